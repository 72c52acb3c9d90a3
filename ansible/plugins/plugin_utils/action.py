# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind both modules: finds the program for the host, brings it there, runs it, reads its answer."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import shlex

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.webfleet.apache.plugins.plugin_utils import program


class ProgramAction(ActionBase):
    """Runs the program of this collection with the task's arguments.

    It needs no Python on the managed host. How the program gets there is ``_run_copied``: it and its arguments
    travel into the task's temporary directory, as every binary module does.
    """

    # The name under which the program is asked; a subclass says it.
    MODULE = ''

    def run(self, tmp=None, task_vars=None):
        """Returns the program's answer as the task's result."""
        task_vars = task_vars or {}
        if self._task.async_val:
            # A binary module under async needs Python on the host, and a job that is forgotten or killed at its
            # time limit in the middle of a restart is what this module is there to prevent.
            raise AnsibleActionFail(
                '%s does not run under async: take async and poll off the task; its own limits are '
                'lock_timeout and health.timeout' % self.MODULE
            )
        result = super(ProgramAction, self).run(tmp, task_vars)
        if getattr(self._connection._shell, '_IS_WINDOWS', False):
            raise AnsibleActionFail('%s manages Apache on Linux hosts; this one is Windows' % self.MODULE)
        result.update(self._run_copied(task_vars))
        return result

    def _arguments(self, task_vars):
        """Returns the task's arguments with Ansible's own keys, as the text that the program reads."""
        arguments = dict(self._task.args)
        self._update_module_args(self.MODULE, arguments, task_vars)
        return program.encode(arguments)

    def _run_copied(self, task_vars):
        """Copies program and arguments into the task's temporary directory and runs it there."""
        local = self._program(task_vars)
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        there, arguments = (shell.join_path(shell.tmpdir, name) for name in ('apache-tuning', 'args'))
        try:
            self._transfer_file(local, there)
            self._transfer_data(arguments, self._arguments(task_vars))
            self._fixup_perms2([shell.tmpdir, there, arguments])
            command = '%s %s' % (shlex.quote(there), shlex.quote(arguments))
            return self._answer(self._low_level_execute_command(self._environment() + command))
        finally:
            self._remove_tmp_path(shell.tmpdir)

    def _environment(self):
        """Returns the task's environment in the form that stands before a command, with a space behind it."""
        environment = self._compute_environment_string().strip()
        return environment + ' ' if environment else ''

    def _program(self, task_vars):
        """Returns the path of the program for the host: by its facts, else by what its uname says."""
        system, machine = self._facts(task_vars) or self._uname()
        try:
            return program.path_for(system, machine)
        except program.NoProgram as error:
            raise AnsibleActionFail(str(error))

    def _facts(self, task_vars):
        """Returns system and machine from gathered facts of the host that runs the task, or None."""
        host = self._task.delegate_to
        if host:
            # The facts in task_vars are those of the host that the play is about, not of the one that runs the task.
            try:
                facts = task_vars['hostvars'][host]['ansible_facts']
            except KeyError:
                return None
        else:
            facts = task_vars.get('ansible_facts') or {}
        system, machine = facts.get('system'), facts.get('architecture')
        return (system, machine) if system and machine else None

    def _uname(self):
        """Returns system and machine from the host itself."""
        result = self._low_level_execute_command('uname -sm', sudoable=False)
        words = result['stdout'].split()
        if result['rc'] != 0 or len(words) != 2:
            raise AnsibleActionFail(
                'cannot tell what kind of machine this is: `uname -sm` ended with %s; gather facts before this task' % result['rc']
            )
        return words[0], words[1]

    def _answer(self, process):
        """Returns the program's answer, or a failure that says what came instead."""
        try:
            return program.answer(process['stdout'])
        except program.NoAnswer as error:
            # What was printed may hold values of the task, so it stands in keys that no_log hides, never in msg.
            return {
                'failed': True,
                'msg': self._no_answer(process, error),
                'rc': process['rc'],
                'module_stdout': process['stdout'],
                'module_stderr': process['stderr'],
            }

    def _no_answer(self, process, error):
        """Returns one sentence about a program that gave no answer, with the way out where it is known."""
        if process['rc'] == 126:
            return (
                'the program cannot be executed on this host: most often its temporary directory is mounted noexec; '
                'set ansible_remote_tmp to a directory that is not'
            )
        if process['rc'] == 127:
            return 'the program was gone before it could be started: something removes files from ansible_remote_tmp'
        return 'the program gave no answer (exit code %s): %s; see module_stdout and module_stderr' % (process['rc'], error)
