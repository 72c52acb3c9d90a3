# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what became of each host as JSON lines, for ``apache-tuning fleet --results``."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = '''
name: fleet
type: notification
short_description: Keep what became of each host, for the report of a whole fleet
version_added: 0.1.0
author: webfleet maintainers
description:
  - Writes one line of JSON for each host on which the module P(webfleet.apache.tuning#module) ran, which was
    unreachable, or on which another task failed; C(apache-tuning fleet --results FILE) makes groups, lists and a page
    from them.
  - Results that are equal but for the host's own name are written once, so that a fleet of one change stays small.
  - Runs beside any screen output, in check mode and in real runs.
  - Lines are added to a file that is there, and a host's last one counts, so that a run which was stopped and started
    again gives one report.
  - Where the file cannot be written, one warning says so and the run goes on.
requirements:
  - enabled by E(ANSIBLE_CALLBACKS_ENABLED=webfleet.apache.fleet) or C(callbacks_enabled)
options:
  path:
    description:
      - The file the lines are added to. It is made for its owner alone.
      - Nothing is written where this is not set.
    type: path
    env:
      - name: APACHE_TUNING_RESULTS
    ini:
      - section: callback_fleet
        key: path
'''

import hashlib
import json
import os

from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.callback import CallbackBase

MODULES = ('webfleet.apache.tuning', 'tuning')

# The tag of the tasks that only decide whether a rollout goes on: that they stop it is no host's failure.
GATE = 'webfleet.apache.gate'

# What differs from run to run and says nothing of the outcome, or is not about the host's settings.
NOISE = ('invocation', 'ansible_facts', 'ansible_loop_var', 'item', 'attempts', 'exception', 'deprecations')


class CallbackModule(CallbackBase):
    """Adds a line for each result."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = 'notification'
    CALLBACK_NAME = 'webfleet.apache.fleet'
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super(CallbackModule, self).__init__(*args, **kwargs)
        self._file = None
        self._path = None
        self._check = False
        # Bodies that stand in the file.
        self._written = set()

    def v2_playbook_on_start(self, playbook):
        """Opens the file."""
        self._path = self.get_option('path')
        if not self._path:
            self._display.warning(
                'webfleet.apache.fleet is enabled and writes nothing: APACHE_TUNING_RESULTS names no file'
            )
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, 'O_CLOEXEC', 0)
            self._file = os.open(self._path, flags, 0o600)
            # A line that a killed run left half would swallow the next one.
            if os.fstat(self._file).st_size > 0:
                self._add_bytes(b'\n')
        except OSError as error:
            self._give_up(error)

    def v2_playbook_on_play_start(self, play):
        """Notes whether the play is in check mode."""
        self._check = bool(getattr(play, 'check_mode', False))

    def v2_runner_on_ok(self, result):
        """A task that went well counts where it is ours."""
        self._take(result, 'ok')

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """A task that failed counts."""
        self._take(result, 'failed', ignore_errors)

    def v2_runner_on_unreachable(self, result):
        """A host that could not be reached counts, whatever the task."""
        self._take(result, 'unreachable')

    def v2_runner_on_skipped(self, result):
        """A task that was left out counts where it is ours."""
        self._take(result, 'skipped')

    def _take(self, result, status, ignored=False):
        if self._file is None:
            return
        # Names of ansible-core 2.19 and newer, and those before.
        task = getattr(result, 'task', None) or result._task
        host = getattr(result, 'host', None) or result._host
        body = getattr(result, 'result', None) or result._result
        name = host.get_name()
        ours = task.action in MODULES or getattr(task, 'resolved_action', None) == MODULES[0]
        if not ours and (status in ('ok', 'skipped') or ignored or GATE in task.tags):
            return
        check = bool(getattr(task, 'check_mode', None) or self._check)
        for item in body.get('results') if isinstance(body.get('results'), list) else [body]:
            if isinstance(item, dict):
                self._write(name, item, self._status(item, status), check, task)

    @staticmethod
    def _status(item, status):
        """Returns the status of one item of a loop, which has its own."""
        if item.get('unreachable'):
            return 'unreachable'
        if item.get('failed'):
            return 'failed'
        if item.get('skipped'):
            return 'skipped'
        return status if status in ('failed', 'unreachable', 'skipped') else 'ok'

    def _write(self, name, item, status, check, task):
        own = dict((key, value) for key, value in item.items() if key not in NOISE and not key.startswith('_ansible'))
        own.setdefault('changed', False)
        own['failed'] = status == 'failed'
        own['unreachable'] = status == 'unreachable'
        own['skipped'] = status == 'skipped'
        line = {'host': name, 'status': status, 'check': check, 'task': to_text(task.action)}
        instance = task.args.get('instance') if isinstance(task.args, dict) else None
        if instance:
            line['instance'] = to_text(instance)
        # Its own number in each host's history, and how long a rehearsal took.
        if own.get('transaction'):
            line['transaction'] = own.pop('transaction')
        test = own.get('config_test')
        if isinstance(test, dict) and isinstance(test.get('rehearsal'), dict):
            rehearsal = dict(test['rehearsal'], milliseconds=None)
            own['config_test'] = dict(test, rehearsal=rehearsal)
        text = json.dumps(own, default=to_text, sort_keys=True)
        # Two letters would be replaced inside of words.
        inner = json.dumps(name)[1:-1]
        if len(name) > 2:
            text = text.replace(inner, 'HOST')
        line['body'] = hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:16]
        if line['body'] not in self._written:
            self._written.add(line['body'])
            self._add('{"body": "%s", "result": %s}' % (line['body'], text))
        self._add(json.dumps(line, default=to_text, sort_keys=True))

    def _add(self, text):
        self._add_bytes(text.encode('utf-8', 'surrogateescape') + b'\n')

    def _add_bytes(self, rest):
        try:
            while self._file is not None and rest:
                rest = rest[os.write(self._file, rest):]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error):
        """Says once that results are lost, and lets the run go on."""
        self._display.warning('webfleet.apache.fleet writes no more results: %s: %s' % (self._path, error.strerror))
        if self._file is not None:
            os.close(self._file)
            self._file = None
