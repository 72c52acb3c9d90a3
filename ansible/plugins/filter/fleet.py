# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of this collection's playbooks."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

from ansible.errors import AnsibleFilterError

from ansible_collections.webfleet.apache.plugins.plugin_utils import rollout, variables


def misspelt(hosts, hostvars):
    """Returns the variables apache_tuning_* of hosts that nothing reads, each once, with the host that has it."""
    found = {}
    for host in hosts:
        for said in variables.misspelt(hostvars[host]):
            found.setdefault(said, host)
    return ['%s of %s' % (said, host) for said, host in sorted(found.items())]


def batches(hosts, given, most=500, zones=None, zone_most=0):
    """Returns order and sizes of a rollout's batches."""
    try:
        return rollout.batches(list(hosts), given, int(most), zones, int(zone_most))
    except ValueError as error:
        raise AnsibleFilterError(str(error))


def outcomes(hosts, hostvars, name='apache_tuning_result', dry_run=True):
    """Returns the summary of all hosts, those included of which a run left nothing."""
    return rollout.summary([(host, hostvars[host].get(name)) for host in hosts], dry_run)


class FilterModule(object):
    """The filters by name."""

    def filters(self):
        """Returns them."""
        return {
            'misspelt': misspelt,
            'batches': batches,
            'outcomes': outcomes,
            'judge': lambda after, before=None: list(rollout.judge(before, after)),
        }
