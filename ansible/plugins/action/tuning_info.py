# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the program in place of a module: ``webfleet.apache.tuning_info``."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

from ansible_collections.webfleet.apache.plugins.plugin_utils.action import ProgramAction


class ActionModule(ProgramAction):
    """Reads only."""

    MODULE = 'webfleet.apache.tuning_info'


def main():
    """Checks the arguments alone: ansible-lint and editors look here, where there is an action plugin."""
    from ansible_collections.webfleet.apache.plugins.modules import tuning_info

    tuning_info.main()
