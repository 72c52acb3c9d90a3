# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches of a rollout, and the summary of all hosts: plain data in, plain data out."""

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

import re

from collections import Counter, deque

# The steps of a rollout where nothing is asked for; the last one repeats.
DEFAULT = (1, '5%', '25%')

# Worst first, as `apache-tuning fleet` has them.
VERDICTS = ('failed', 'unreachable', 'refused', 'not run', 'change', 'unchanged')


# What the summary says beside a change that no task asked for, by the result's `cause`.
CAUSES = {'drift': 'edited since the last run', 'upgrade': 'a package replaced a file'}


def steps(given):
    """Returns the sizes of batches as texts, from a list or from text such as ``1,5%,25%``.

    Raises ValueError that says what is no size.
    """
    if isinstance(given, (list, tuple)):
        words = [str(word).strip() for word in given]
    else:
        words = [word.strip() for word in re.sub(r'[\[\]"\']', '', str(given)).split(',')]
    wrong = [word for word in words if not re.match(r'^[1-9][0-9]*%?$', word)]
    if wrong or not words:
        raise ValueError(
            'apache_tuning_batches is %s: write numbers or percentages, such as 1,5%%,25%%' % (given,)
        )
    return words


def size(step, total):
    """Returns how many of ``total`` hosts a step has, percentages as Ansible counts them; at least one."""
    if step.endswith('%'):
        return max(1, total * int(step[:-1]) // 100)
    return max(1, int(step))


def batches(hosts, given=DEFAULT, most=500, zones=None, zone_most=0):
    """Returns the hosts in order and the sizes of their batches.

    No batch has more than ``most`` hosts, nor, where ``zone_most`` is not 0, more than that many of one zone: who
    does not fit waits for the next batch.
    """
    words = steps(given)
    zones = zones or {}
    left, order, sizes = deque(hosts), [], []
    while left:
        room = min(most, size(words[min(len(sizes), len(words) - 1)], len(hosts)))
        taken, waiting, full = [], [], Counter()
        while left and len(taken) < room:
            host = left.popleft()
            zone = zones.get(host)
            if zone_most and zone is not None and full[zone] >= zone_most:
                waiting.append(host)
                continue
            full[zone] += 1
            taken.append(host)
        left.extendleft(reversed(waiting))
        order.extend(taken)
        sizes.append(len(taken))
    return {'order': order, 'sizes': sizes}


def verdict(result):
    """Returns the verdict of one host and a line that says why, without the host's name."""
    if not isinstance(result, dict) or not result:
        return 'not run', 'the run did not come to it'
    first = (str(result.get('msg') or '').splitlines() or [''])[0]
    if result.get('unreachable'):
        return 'unreachable', first
    rules = sorted(set(
        str(finding.get('rule')) for finding in result.get('findings') or []
        if finding.get('severity') == 'error' and not finding.get('waived')
    ))
    if result.get('failed'):
        return ('refused' if rules else 'failed'), first
    if result.get('changed'):
        needed = (result.get('activation') or {}).get('needed') or 'none'
        parts = [CAUSES.get(result.get('cause')), None if needed in first else needed, first]
        return 'change', '; '.join(part for part in parts if part and part != 'none')
    return 'unchanged', ''


def summary(results, dry_run=True):
    """Returns lines that show equal hosts once, worst first, and how many hosts have each verdict.

    ``results`` is a list of pairs of a host's name and the module's result.
    """
    groups = {}
    for name, result in results:
        word, why = verdict(result)
        if len(name) > 2:
            why = why.replace(name, 'HOST')
        groups.setdefault((VERDICTS.index(word), why), []).append(name)
    counts = Counter()
    lines = []
    for (place, why), names in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1])):
        word = VERDICTS[place]
        counts[word] += len(names)
        if word == 'unchanged':
            lines.append('%4d unchanged' % len(names))
            continue
        more = ' +%d' % (len(names) - 3) if len(names) > 3 else ''
        lines.append('%4d %-11s %s  %s%s' % (len(names), word, why, ' '.join(names[:3]), more))
    total = sum(counts.values())
    said = ['%d %s' % (counts[word], word) for word in VERDICTS if counts[word]]
    mark = 'DRY RUN: nothing was changed' if dry_run else 'done'
    lines.append('%d host%s: %s; %s' % (total, '' if total == 1 else 's', ', '.join(said), mark))
    return {'lines': lines, 'counts': dict((word.replace(' ', '_'), counts[word]) for word in VERDICTS)}


def judge(before, after):
    """Returns what happens to a step after its time of waiting: ``good``, ``bad`` or ``inconclusive``, and why.

    ``before`` and ``after`` are results of ``tuning_info``; ``before`` may be empty.
    """
    if not isinstance(after, dict) or after.get('unreachable') or after.get('failed'):
        return 'bad', str((after or {}).get('msg') or 'the host does not answer').splitlines()[0]
    if not (after.get('mpm') or {}).get('running'):
        return 'bad', 'no server runs'
    if (after.get('pending_activation') or {}).get('needed') in ('reload', 'restart'):
        return 'bad', 'the running server has not taken the change up'
    status = after.get('status') or {}
    if status.get('busy_workers') is None:
        return 'inconclusive', 'mod_status does not answer, so nothing is known of its load'
    if status.get('idle_workers') == 0:
        return 'bad', 'all %s workers are busy' % status['busy_workers']
    earlier = ((before or {}).get('status') or {}).get('busy_workers')
    if earlier is not None and status['busy_workers'] > 10 and status['busy_workers'] > 3 * max(1, earlier):
        return 'bad', '%s workers are busy, %s were before' % (status['busy_workers'], earlier)
    # The one is busy with the question.
    if status['busy_workers'] <= 1:
        return 'inconclusive', 'it gets no traffic'
    return 'good', '%s of %s workers are busy' % (
        status['busy_workers'], status['busy_workers'] + (status.get('idle_workers') or 0))
