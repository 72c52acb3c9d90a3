# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which program runs on which machine, and what its answer is: plain data in, plain data out."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import hashlib
import json
import os
import re
import shlex

from collections.abc import Mapping, Set

# files/bin of this collection, wherever it is installed.
BIN = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, 'files', 'bin'))

PREFIX = 'apache-tuning-linux-'

# Names that facts and uname give to a machine for which the program goes by another name.
ALIASES = {'amd64': 'x86_64', 'arm64': 'aarch64'}

# What a machine name may look like: it becomes a part of a file name here and of a command there.
MACHINE = re.compile(r'^[a-z0-9_]+$')


# Where a host keeps its program, under its checksum. Only root may write there: what root executes must not lie where
# the user who logs in could exchange it.
KEPT = '/var/lib/apache-tuning'

# How run.sh and keep.sh end where they did not come to the program, which itself ends with 0 or 1.
MISSING = 120
NOT_ROOT = 121
NO_MACHINE = 122
NOT_KEPT = 123
NOT_EXECUTABLE = 124


class NoProgram(Exception):
    """There is no program for this host; the text says what there is and what to do."""


class NoAnswer(Exception):
    """What was printed is not an answer."""


def available(directory=BIN):
    """Returns the architectures for which a program is there, sorted."""
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    return sorted(name[len(PREFIX):] for name in names if name.startswith(PREFIX) and MACHINE.match(name[len(PREFIX):]))


def path_for(system, machine, directory=BIN):
    """Returns the path of the program for a host whose ``uname`` says ``system`` and ``machine``.

    Raises NoProgram where there is none.
    """
    have = available(directory)
    if not have:
        raise NoProgram(
            'no program in %s: this collection was not built whole; run `cargo xtask dist` in its source, '
            'or install the archive that `cargo xtask collection` makes' % directory
        )
    machine = ALIASES.get(machine.lower(), machine.lower())
    if system.lower() == 'linux' and machine in have:
        return os.path.join(directory, PREFIX + machine)
    raise NoProgram(
        'no program for %s %s: this collection has it for %s; build it for that machine with '
        '`cargo xtask dist` in the source of this collection' % (system, machine, ', '.join('Linux ' + name for name in have))
    )


def checksum(path):
    """Returns the SHA-256 of a file in hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).hexdigest()


def run_command():
    """Returns the shell command that runs the kept program, whichever is the one for the host."""
    pairs = [('Linux ' + name, checksum(os.path.join(BIN, PREFIX + name))) for name in available()]
    return _sh('run.sh', *[word for pair in pairs for word in pair])


def keep_command(source, digest):
    """Returns the shell command that keeps the program at the path ``source`` of the host and runs it."""
    return _sh('keep.sh', source, digest)


def _sh(name, *words):
    """Returns a script with its arguments as one simple command of one line.

    Before that an environment can stand in any shell.
    """
    lines = []
    for file in ('owned.sh', name):
        with open(os.path.join(os.path.dirname(__file__), file)) as script:
            lines += [line.strip() for line in script]
    script = ' '.join(line for line in lines if line and not line.startswith('#'))
    return ' '.join(['/bin/sh -c', shlex.quote(script), 'sh'] + [shlex.quote(word) for word in (KEPT,) + words])


def encode(arguments):
    """Returns the arguments as one line of JSON in ASCII, the form that Ansible gives to a binary module."""
    return json.dumps(arguments, default=_plain)


def _plain(value):
    """Returns the plain form of a value that JSON does not know."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (Set, tuple)):
        return list(value)
    # Dates as ISO text; vaulted values decrypt themselves when they are asked for their text.
    return str(value)


def answer(stdout):
    """Returns the one JSON object that the program printed.

    Over a terminal other lines may be around it (a banner, the end of a connection): those before the first
    line that opens an object and after the last that closes one do not count. Raises NoAnswer for anything else.
    """
    lines = stdout.splitlines()
    opening = [number for number, line in enumerate(lines) if line.startswith('{')]
    closing = [number for number, line in enumerate(lines) if line.rstrip().endswith('}')]
    if not opening or not closing or closing[-1] < opening[0]:
        raise NoAnswer('it printed no JSON object')
    try:
        result = json.loads('\n'.join(lines[opening[0]:closing[-1] + 1]))
    except ValueError as error:
        raise NoAnswer('what it printed is not one JSON object: %s' % error)
    # Ansible keeps keys of this form for itself.
    return dict((key, value) for key, value in result.items() if not key.startswith('_ansible_'))
