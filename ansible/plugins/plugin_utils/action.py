# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action behind both modules: finds the program for the host, brings it there, runs it, reads its answer."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import shlex

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.webfleet.apache.plugins.plugin_utils import program, variables

ROLE = 'webfleet.apache.tuning'


# Ways to another user that need a terminal, and so cannot be fed; newer releases say it of themselves.
NEED_TERMINAL = ('su', 'doas', 'machinectl')


class ProgramAction(ActionBase):
    """Runs the program of this collection with the task's arguments; needs no Python on the managed host.

    A host on which it runs as root keeps the program, and gets the arguments on descriptor 0: one session with the
    host for each task (``_run_kept``). Everywhere else program and arguments travel into the task's temporary
    directory each time, as those of every binary module do: about seven sessions (``_run_copied``).
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
        role = self._task._role
        if role is not None and role.get_name(include_role_fqcn=True) == ROLE:
            wrong = variables.misspelt(task_vars)
            if wrong:
                raise AnsibleActionFail(
                    'nothing reads %s: the variables of this role are in `ansible-doc -t role %s`' % (', '.join(wrong), ROLE)
                )
        result = super(ProgramAction, self).run(tmp, task_vars)
        if getattr(self._connection._shell, '_IS_WINDOWS', False):
            raise AnsibleActionFail('%s manages Apache on Linux hosts; this one is Windows' % self.MODULE)
        answer, machine = self._run_kept(task_vars) if self._can_be_fed() else (None, None)
        result.update(answer or self._run_copied(machine or self._facts(task_vars) or self._uname(), task_vars))
        return result

    def _can_be_fed(self):
        """Returns whether a command on the host can be given input, and whether it may be root that runs it."""
        become = self._connection.become
        name = become.name.rsplit('.', 1)[-1] if become else ''
        return (
            self._connection.has_pipelining
            and name not in NEED_TERMINAL
            and getattr(become, 'pipelining', True)
            and not self._is_become_unprivileged()
            # Who wants to look at what was sent must find it.
            and not C.DEFAULT_KEEP_REMOTE_FILES
        )

    def _run_kept(self, task_vars):
        """Runs the kept program, which is brought there first where it is missing.

        Returns its answer, or None where this way is closed; and system and machine of the host as far as known.
        """
        arguments = self._arguments(task_vars)
        process = self._feed(program.run_command(), arguments)
        code = process['rc']
        try:
            return program.answer(process['stdout']), None
        except program.NoAnswer as error:
            if code in (126, 127):
                # It is whole, but this host cannot execute it there.
                return None, self._uname()
            if code not in (program.MISSING, program.NOT_ROOT, program.NO_MACHINE, program.NOT_EXECUTABLE):
                if not process['stdout'] and 'tty' in process['stderr']:
                    # sudo with requiretty: nothing was run.
                    return None, None
                # The program was whole when it was started: what it did then is its own affair.
                return self._failure(process, error), None
            machine = self._machine(process)
        # Raises where there is none, before anything is sent.
        local = self._path(machine)
        if code in (program.NOT_ROOT, program.NOT_EXECUTABLE) or self._task.check_mode:
            # Check mode leaves nothing behind; and what cannot be executed there is not sent there again.
            return None, machine
        process = self._keep(local, arguments)
        if process['rc'] in (126, 127, program.NOT_KEPT):
            return None, machine
        return self._answer(process), machine

    def _keep(self, local, arguments):
        """Brings the program to the host, which keeps it and runs it. Returns the process."""
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        there = shell.join_path(shell.tmpdir, 'apache-tuning')
        self._transfer_file(local, there)
        return self._feed(program.keep_command(there, program.checksum(local)), arguments)

    def _feed(self, command, arguments):
        """Runs a command on the host with the arguments on its descriptor 0."""
        return self._low_level_execute_command(self._environment() + command, in_data=arguments.encode('ascii'))

    def _arguments(self, task_vars):
        """Returns the task's arguments with Ansible's own keys, as the text that the program reads."""
        arguments = dict(self._task.args)
        self._update_module_args(self.MODULE, arguments, task_vars)
        return program.encode(arguments)

    def _run_copied(self, machine, task_vars):
        """Copies program and arguments into the task's temporary directory and runs it there."""
        local = self._path(machine)
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        there, arguments = (shell.join_path(shell.tmpdir, name) for name in ('apache-tuning', 'args'))
        # Ansible takes the directory away when the task is over.
        self._transfer_file(local, there)
        self._transfer_data(arguments, self._arguments(task_vars))
        self._fixup_perms2([shell.tmpdir, there, arguments])
        command = '%s %s' % (shlex.quote(there), shlex.quote(arguments))
        return self._answer(self._low_level_execute_command(self._environment() + command))

    def _environment(self):
        """Returns the task's environment in the form that stands before a command, with a space behind it."""
        environment = self._compute_environment_string().strip()
        return environment + ' ' if environment else ''

    def _path(self, machine):
        """Returns the path of the program for a host of this system and machine."""
        try:
            return program.path_for(*machine)
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
        return self._machine(self._low_level_execute_command('uname -sm', sudoable=False))

    def _machine(self, process):
        """Returns system and machine from the last line of what was printed."""
        words = (process['stdout'].splitlines() or [''])[-1].split()
        if len(words) != 2:
            raise AnsibleActionFail(
                'cannot tell what kind of machine this is: `uname -sm` ended with %s and no answer' % process['rc']
            )
        return tuple(words)

    def _answer(self, process):
        """Returns the program's answer, or a failure that says what came instead."""
        try:
            return program.answer(process['stdout'])
        except program.NoAnswer as error:
            return self._failure(process, error)

    def _failure(self, process, error):
        """Returns the result of a program that gave no answer."""
        return {
            'failed': True,
            # What was printed may hold values of the task, so it stands in keys that no_log hides, never in msg.
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
