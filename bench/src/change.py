"""Times changes in a host, and the gaps they leave in its service; prints one JSON object.

change.py cost PROGRAM ROUNDS: milliseconds of changes that no server loads, without and with a rehearsal, and of
`apache2ctl configtest`.
change.py gap PROGRAM ROUNDS: milliseconds without an answer around swaps by the program, and by hand.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import time

WHAT, PROGRAM, ROUNDS = sys.argv[1], sys.argv[2], int(sys.argv[3])
OTHER = {"worker": "event", "event": "worker"}


def parameters(name, **wanted):
    path = f"/root/{name}.json"
    with open(path, "w") as file:
        json.dump(wanted, file)
    return path


def timed(*words):
    start = time.perf_counter()
    ran = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    spent = (time.perf_counter() - start) * 1000
    assert ran.returncode == 0, (words, ran)
    return spent, ran.stdout


def change(path):
    spent, said = timed(PROGRAM, path)
    result = json.loads(said)
    assert result["changed"], result["msg"]
    return spent, result


def cost():
    """In turns, so that whatever else the machine does meets both."""
    # Each asks for what the one before it did not.
    kinds = {
        "numbers": parameters("numbers", keepalive={"timeout": 6}, rehearse=False),
        "numbers rehearsed": parameters("rehearsed", keepalive={"timeout": 7}),
        "swap": parameters("worker", mpm="worker", rehearse=False),
        "swap rehearsed": parameters("event", mpm="event"),
    }
    found = {kind: [] for kind in kinds} | {"configtest": []}
    for path in kinds.values():
        change(path)
    for _ in range(ROUNDS):
        for kind, path in kinds.items():
            found["configtest"].append(timed("apache2ctl", "configtest")[0])
            spent, result = change(path)
            found[kind].append(spent)
            rehearsal = result["config_test"]["rehearsal"]
            assert rehearsal["ran"] == ("rehearsed" in kind), (kind, rehearsal)
    return found


class Client(threading.Thread):
    """Asks again and again, and keeps the longest time between two answers."""

    def __init__(self):
        super().__init__()
        self.ends, self.longest, self.answers = False, 0.0, 0

    def run(self):
        last = time.perf_counter()
        while not self.ends:
            try:
                with socket.create_connection(("127.0.0.1", 80), 5) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                    answered = connection.recv(12).startswith(b"HTTP/1.1 200")
            except OSError:
                answered = False
            if answered:
                now = time.perf_counter()
                self.longest, last = max(self.longest, now - last), now
                self.answers += 1
            time.sleep(0.0005)


def gap_around(work):
    client = Client()
    client.start()
    time.sleep(0.2)
    work()
    time.sleep(0.3)
    client.ends = True
    client.join()
    assert client.answers > 20, client.answers
    return client.longest * 1000


def by_program(mpm):
    path = parameters(mpm, mpm=mpm)

    def work():
        _, result = change(path)
        assert result["activation"]["done"], result["activation"]

    return gap_around(work)


def by_hand(mpm):
    timed("a2dismod", "-q", f"mpm_{OTHER[mpm]}")
    timed("a2enmod", "-q", f"mpm_{mpm}")
    with open("/run/apache2/apache2.pid") as file:
        parent = int(file.read())

    def work():
        timed("apachectl", "stop")
        # `stop` returns at once, and `start` does nothing while the old one is there.
        while os.path.exists(f"/proc/{parent}"):
            time.sleep(0.001)
        timed("apachectl", "start")

    return gap_around(work)


def gap():
    found = {"program": [], "hand": []}
    for _ in range(ROUNDS):
        for who, swap in ("program", by_program), ("hand", by_hand):
            for mpm in OTHER:
                found[who].append(swap(mpm))
    return found


print(json.dumps({"cost": cost, "gap": gap}[WHAT]()))
