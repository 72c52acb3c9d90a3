# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the program in place of a module: ``webfleet.apache.tuning``."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

from ansible_collections.webfleet.apache.plugins.plugin_utils.action import ProgramAction


class ActionModule(ProgramAction):
    """Changes state."""

    MODULE = 'webfleet.apache.tuning'


def main():
    """Checks the arguments alone: ansible-lint and editors look here, where there is an action plugin."""
    from ansible_collections.webfleet.apache.plugins.modules import tuning

    tuning.main()
