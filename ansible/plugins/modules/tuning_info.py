#!/usr/bin/python
# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by `cargo xtask docs`: the documentation alone. What runs is the program under files/bin, started by the
# action plugin of the same name.

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: tuning_info
short_description: Read which performance settings Apache really uses, and what they can carry
version_added: 0.1.0
description:
  - >-
    Reads the configuration as httpd reads it, with includes, conditions and variables, and tells each setting's value,
    the file and line that wins, and the value that httpd uses after its own corrections.
  - Measures the running server and the limits of the host. Changes nothing.
author:
  - webfleet maintainers (@webfleet)
requirements:
  - Apache httpd 2.4 on the managed host; neither Python nor anything else.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.flow
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  platform:
    support: full
    platforms: linux
  action:
    support: full
  async:
    support: none
seealso:
  - module: webfleet.apache.tuning
options:
  facts:
    description:
      - Facts to use instead of the host's.
    type: dict
    suboptions:
      memory_mb:
        description:
          - Memory of the machine or of its control group, whichever is less, in MiB.
        type: int
      cpus:
        description:
          - Processors online.
        type: int
      distribution:
        description:
          - 'The distribution''s ID as in os-release: C(debian), C(rocky).'
        type: str
      distribution_version:
        description:
          - 'Its VERSION_ID: C(12), C(9.4).'
        type: str
      httpd_version:
        description:
          - 'httpd''s version: C(2.4.62).'
        type: str
      open_files:
        description:
          - Open files that one server process may have (C(LimitNOFILE)).
        type: int
      tasks_max:
        description:
          - Tasks (processes and threads) that the service may have (C(TasksMax)).
        type: int
      threads_max:
        description:
          - C(kernel.threads-max).
        type: int
      pid_max:
        description:
          - C(kernel.pid_max).
        type: int
      somaxconn:
        description:
          - C(net.core.somaxconn).
        type: int
      php:
        description:
          - How PHP runs.
          - 'C(mod_php): Inside httpd''s processes.'
          - 'C(fpm): In php-fpm''s own.'
          - 'C(none): Not at all.'
        type: str
        choices:
          - mod_php
          - fpm
          - none
      selinux_graceful_shutdown:
        description:
          - SELinux boolean C(httpd_graceful_shutdown).
        type: bool
  root:
    description:
      - Another root directory.
    type: str
    default: /
  status_url:
    description:
      - 'Where mod_status answers. Default: found from the configuration.'
    type: str
'''

EXAMPLES = r'''
---
- name: Read what Apache uses now
  webfleet.apache.tuning_info:
  register: apache

- name: Show the number of requests served at once, and which line says so
  ansible.builtin.debug:
    msg: "{{ item.used }} from {{ item.file | default('httpd itself', true) }}:{{ item.line | default('', true) }}"
  vars:
    item: "{{ apache.effective.MaxRequestWorkers }}"

- name: Stop here if a swapped MPM waits for a restart
  ansible.builtin.assert:
    that: apache.pending_activation.needed == 'none'

- name: Read an image instead of the running host
  webfleet.apache.tuning_info:
    root: /srv/images/web
    facts:
      memory_mb: 8192
'''

RETURN = r'''
---
effective:
  description:
    - The directives of the main server by name.
    - 'C(value) of each entry: As the winning line has it. C(used): after httpd''s own corrections. C(file), C(line): the line, null for a default.'
  returned: always
  type: dict
  sample:
    MaxRequestWorkers:
      value: '1024'
      used: '1024'
      file: /etc/apache2/mods-enabled/mpm_event.conf
      line: 7
'''
