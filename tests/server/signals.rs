//! Whatever ends a run, the server does not stay down for it.

use std::fmt::Write as _;

use serde_json::{Value, json};
use test_hosts::EXHAUSTIVE_VARIABLE;

use crate::{Background, host, tune, wait_for};

/// Signals in a usual run of the tests, and in a long one.
const FEW: usize = 12;
const MANY: usize = 200;

/// Asks the server without a pause, with eight connections at once.
const LOAD: &str = r#"
import socket, threading, time
def ask():
    while True:
        try:
            with socket.create_connection(("127.0.0.1", 80), 5) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                while s.recv(65536):
                    pass
        except OSError:
            time.sleep(0.01)
for _ in range(8):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(3600)
"#;

/// Swaps the MPM to and fro, ends each run with a signal at a random moment, and looks two seconds later. Prints one
/// line of JSON for each.
const ENDS: &str = r#"
import json, os, random, signal, socket, subprocess, sys, time
random.seed(int(sys.argv[2]))
def up():
    try:
        with socket.create_connection(("127.0.0.1", 80), 5) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            return s.recv(12).startswith(b"HTTP/1.1 ")
    except OSError:
        return False
def done(said):
    # A kill may come after the last change and before the answer: then the next run finds it done.
    return '"changed":true' in said or '"msg":"unchanged: ' in said
names, longest, mpm, hits = ["TERM", "INT", "HUP", "KILL"], 0.4, "worker", 0
while hits < int(sys.argv[1]):
    name = names[hits % 4]
    with open("/root/swap.json", "w") as file:
        json.dump({"mpm": mpm, "config_test": False}, file)
    run = subprocess.Popen(["/usr/local/bin/apache-tuning", "/root/swap.json"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(random.uniform(0.0, longest))
    activating = False
    try:
        with open("/var/lib/apache-tuning/journal") as file:
            activating = '"phase":"activating"' in file.read()
    except OSError:
        pass
    if run.poll() is not None:
        longest = max(0.1, longest * 0.9)
        if done(run.communicate()[0].decode()):
            mpm = "event" if mpm == "worker" else "worker"
        continue
    os.killpg(run.pid, getattr(signal, "SIG" + name))
    sent = time.monotonic()
    hits, longest = hits + 1, min(2.0, longest * 1.05)
    said = run.communicate()[0].decode()
    time.sleep(max(0.0, sent + 2 - time.monotonic()))
    left = subprocess.run(["pgrep", "-f", "__guard"], stdout=subprocess.DEVNULL).returncode == 0
    print(json.dumps({"signal": name, "activating": activating, "code": run.returncode, "said": said, "up": up(),
                      "guard": left, "journal": os.path.exists("/var/lib/apache-tuning/journal")}))
    if done(said):
        mpm = "event" if mpm == "worker" else "worker"
"#;

#[test]
fn whatever_ends_a_run_the_server_is_up_two_seconds_later() {
    let count = if std::env::var_os(EXHAUSTIVE_VARIABLE).is_some() { MANY } else { FEW };
    let host = host();
    host.start_apache();
    host.write("/root/load.py", LOAD);
    let load = Background::start(&host, "exec python3 /root/load.py", "pgrep -f load.py");
    let seed = std::process::id().to_string();
    host.write("/root/ends.py", ENDS);
    let ran = host.run(&["python3", "/root/ends.py", &count.to_string(), &seed]);
    drop(load);
    let rows: Vec<Value> = ran.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), count);
    let mut table = String::new();
    let mut down = 0;
    for signal in ["TERM", "INT", "HUP", "KILL"] {
        let of = |test: &dyn Fn(&Value) -> bool| {
            rows.iter().filter(|row| row["signal"] == signal && test(row)).count()
        };
        let (hit, midway) = (of(&|_| true), of(&|row| row["activating"] == true));
        let (answered, down_now) = (of(&|row| row["said"] != ""), of(&|row| row["up"] == false));
        down += down_now;
        let _ = writeln!(
            table,
            "{signal}: {hit} runs hit, {midway} of them while the server was being stopped and started, \
             {answered} answered, {down_now} times down 2 s later"
        );
    }
    eprint!("seed {seed}\n{table}");
    assert_eq!(down, 0, "{table}");
    for row in &rows {
        assert_eq!((&row["guard"], &row["journal"]), (&json!(false), &json!(false)), "{row}");
        // A signal that can be caught is no reason to be killed by it once something was changed.
        let said = row["said"].as_str().unwrap();
        if said.is_empty() {
            assert!(row["signal"] == "KILL" || row["activating"] == false, "{row}");
            continue;
        }
        let said: Value = serde_json::from_str(said).unwrap();
        let message = said["msg"].as_str().unwrap();
        let (undone, found) = (message.contains("told to end (SIG"), message.starts_with("unchanged: "));
        assert!(said["changed"] == true || undone || found, "{said}");
    }
    for mpm in ["worker", "event"] {
        let result = tune(&host, &json!({"mpm": mpm}));
        assert_eq!(result["failed"], Value::Null, "{}", result["msg"]);
        assert_eq!(result["recovered"], Value::Null);
        assert_eq!(host.running_mpm().as_deref(), Some(mpm));
    }
}

#[test]
fn a_guard_ends_with_a_run_that_ends_by_itself() {
    let host = host();
    host.start_apache();
    for parameters in [
        json!({"mpm": "worker"}),
        json!({"keepalive": {"timeout": 3}}),
        json!({"mpm": "event", "health": {"url": "http://localhost/", "status": 299, "timeout": 1}, "waive": ["HLT-002"]}),
    ] {
        let result = tune(&host, &parameters);
        assert_eq!(result["failed"].is_null(), parameters.get("health").is_none(), "{}", result["msg"]);
        assert!(!host.sh("pgrep -f '[_]_guard'").success(), "{parameters}");
    }
    assert_eq!(host.running_mpm().as_deref(), Some("worker"));
}

#[test]
fn a_killed_run_is_undone_and_the_server_started_without_another_run() {
    let host = host();
    host.start_apache();
    let before = host.a2query(&["-M"]).ok().to_owned();
    host.write("/root/parameters.json", json!({"mpm": "worker", "config_test": false}).to_string());
    // The old parent does not hear that it is to end: the run waits for it, and dies waiting.
    host.sh("kill -STOP $(pgrep -o -x apache2)").ok();
    let run = Background::start(
        &host,
        "exec /usr/local/bin/apache-tuning /root/parameters.json",
        "grep -q '\"phase\":\"activating\"' /var/lib/apache-tuning/journal",
    );
    host.sh("pkill -KILL -o -x apache-tuning; kill -CONT $(pgrep -o -x apache2)").ok();
    wait_for(&host, "! pgrep -f '[_]_guard'");
    drop(run);
    assert!(!host.path("/var/lib/apache-tuning/journal").exists());
    assert_eq!((host.a2query(&["-M"]).ok(), host.running_mpm().as_deref()), (&*before, Some("event")));
    assert!(host.http("/").is_ok());
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_like_a_full_disk() {
    let host = host();
    host.start_apache();
    let parent = host.running_mpm();
    for blocks in [0, 2, 8] {
        for parameters in
            [json!({"mpm": "worker"}), json!({"keepalive": {"timeout": 3}, "config_test": false})]
        {
            host.write("/root/parameters.json", parameters.to_string());
            let before = host.listing();
            let ran = host.sh(&format!("ulimit -f {blocks}; exec apache-tuning /root/parameters.json"));
            let result: Value = serde_json::from_str(&ran.stdout)
                .unwrap_or_else(|error| panic!("{blocks}: {error}: {ran:?}"));
            let changed = host.listing().changes_since(&before);
            // What was made anew to give it back is another inode, with the same in it.
            let same = |line: &str| {
                line.rsplit(": ").next().unwrap().split(", ").all(|what| what == "inode" || what == "time")
            };
            let config: Vec<&String> =
                changed.iter().filter(|line| line.contains("/etc/") && !same(line)).collect();
            if result["failed"] == true {
                assert!(config.is_empty(), "{blocks}: {config:#?}");
                assert!(!host.path("/var/lib/apache-tuning/journal").exists(), "{blocks}");
            }
            if blocks < 4 && parameters["config_test"] == false {
                assert!(result["msg"].as_str().unwrap().contains("ulimit -f"), "{blocks}: {}", result["msg"]);
            }
            assert!(host.http("/").is_ok(), "{blocks}");
        }
        if host.running_mpm() != parent {
            break;
        }
    }
}
