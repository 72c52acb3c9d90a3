# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the role and the playbooks: a name that is none of them would be ignored silently."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import difflib

PREFIX = 'apache_tuning_'

# Each parameter of the module as the role takes it.
ROLE = (
    'activation', 'balancers', 'cache_disk', 'capacity', 'compression', 'config_test', 'evasive', 'facts', 'health',
    'http2', 'instance', 'keep', 'keepalive', 'lock_timeout', 'logs', 'memory', 'mod_php', 'modsecurity', 'modules', 'mpm',
    'placement', 'rehearse', 'root', 'settings', 'slow_clients', 'state', 'status', 'tls', 'transaction', 'waive',
)

# What the role and the playbooks take besides, and what they set themselves.
OTHER = (
    'batch_max', 'batches', 'become', 'canary', 'confirm', 'drain', 'exit_code', 'hosts', 'max_fail_percentage',
    'max_failures', 'order', 'service', 'soak', 'status_url', 'undrain', 'zone', 'zone_max',
    'answer', 'before', 'family_service', 'predicted', 'pending', 'plan', 'reloaded', 'restarted',
    'result', 'services', 'soaked', 'turn',
)

KNOWN = frozenset(PREFIX + name for name in ROLE + OTHER)


def misspelt(names):
    """Returns one fragment for each name that looks like a variable of this collection and is none."""
    wrong = sorted(str(name) for name in names if str(name).startswith(PREFIX) and str(name) not in KNOWN)
    return [name + _nearest(name) for name in wrong]


def _nearest(name):
    near = difflib.get_close_matches(name, sorted(KNOWN), n=1, cutoff=0.75)
    return ' (did you mean %s?)' % near[0] if near else ''
