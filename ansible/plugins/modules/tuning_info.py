#!/usr/bin/python
# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by `cargo xtask docs`: the documentation and the specification of the arguments. What runs is the program
# under files/bin, started by the action plugin of the same name.

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
  bypass_host_loop:
    support: none
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
  instance:
    description:
      - 'A second instance of the server: C(NAME) of C(/etc/apache2-NAME).'
    type: str
  root:
    description:
      - Another root directory.
    type: str
    default: /
  status_url:
    description:
      - 'Where mod_status answers. Default: found from the configuration.'
    type: str
  config_test:
    description:
      - >-
        Whether the real C(httpd -t) and the rehearsal are run on the files as they are. Without it no process
        is started.
    type: bool
    default: false
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
    that: apache.pending_activation is none

- name: Read an image instead of the running host
  webfleet.apache.tuning_info:
    root: /srv/images/web
    facts:
      memory_mb: 8192
'''

RETURN = r'''
---
changed:
  description:
    - 'Always false: nothing is ever changed.'
  returned: always
  type: bool
  sample: false
failed:
  description:
    - True on failure, absent otherwise.
  returned: on failure
  type: bool
  sample: false
msg:
  description:
    - One sentence for a person.
  returned: always
  type: str
  sample: event, at most 720 connections; no errors in the configuration as it was read; httpd itself was not asked
errors:
  description:
    - Structural errors of the parameters, all at once.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description:
        - The parameter's path; empty for the object as a whole.
      returned: always
      type: str
    message:
      description:
        - What is wrong, and what is allowed.
      returned: always
      type: str
  sample: []
findings:
  description:
    - What the rules say of the host as it is, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    rule:
      description:
        - 'The id of the rule: stable, C(apache-tuning rules ID) tells its source.'
      returned: always
      type: str
    severity:
      description:
        - Error fails the task; warning and info do not.
        - >-
          C(error): httpd would refuse, die, or run with something other than asked. Fails the task unless
          waived.
        - 'C(warning): Works, but not as most would expect.'
        - 'C(info): Worth saying.'
      returned: always
      type: str
    setting:
      description:
        - The parameter's path (C(settings.server_limit)), or the directive's name where no parameter sets it.
      returned: always
      type: str
    value:
      description:
        - The value it is about.
      returned: always
      type: str
    effective:
      description:
        - What httpd would really use.
      returned: always
      type: str
    httpd:
      description:
        - The code of httpd's own message, where it has one.
      returned: always
      type: str
    message:
      description:
        - What is wrong, with the numbers.
      returned: always
      type: str
    hint:
      description:
        - What to set instead.
      returned: always
      type: str
    waived:
      description:
        - Whether the task's C(waive) keeps it from failing the task.
      returned: always
      type: bool
  sample:
    - rule: EV-013
      severity: warning
      setting: DOSLogDir
      value: left out
      effective: /tmp
      httpd: null
      message: 'DOSLogDir is left out: lock files are created in /tmp under predictable names'
      hint: set DOSLogDir to a directory that only www-data may write
      waived: false
warnings:
  description:
    - The warnings among them as text.
  returned: always
  type: list
  elements: str
  sample:
    - >-
      EV-013: DOSLogDir is left out: lock files are created in /tmp under predictable names; set DOSLogDir to
      a directory that only www-data may write
httpd_version:
  description:
    - httpd's version; null where it could not be read.
  returned: always
  type: str
  sample: '2.4.71'
start:
  description:
    - How httpd is started here; null where the host could not be looked at.
  returned: always
  type: dict
  contains:
    by:
      description:
        - 'Who told it: C(parent) (the running server), or C(files) (units, the start script''s variables).'
      returned: always
      type: str
    binary:
      description:
        - The program.
      returned: always
      type: str
    main_file:
      description:
        - The main configuration file.
      returned: always
      type: str
    server_root:
      description:
        - ServerRoot until a line says otherwise.
      returned: always
      type: str
    defines:
      description:
        - Names given with C(-D).
      returned: always
      type: list
      elements: str
    directives:
      description:
        - Names of the directives given with C(-C) or C(-c), without their values, which may be secrets.
      returned: always
      type: list
      elements: str
    variables:
      description:
        - Names of the environment's variables that the configuration uses, without their values.
      returned: always
      type: list
      elements: str
    unknown:
      description:
        - Names of variables that the configuration uses and whose values are not known.
      returned: always
      type: list
      elements: str
    unknown_options:
      description:
        - Whether httpd may be given options that are not known.
      returned: always
      type: bool
    read_from:
      description:
        - The start files that were read.
      returned: always
      type: list
      elements: str
  sample:
    by: parent
    binary: /usr/sbin/apache2
    main_file: /etc/apache2/apache2.conf
    server_root: /etc/apache2
    defines: []
    directives: []
    variables:
      - APACHE_LOG_DIR
      - APACHE_RUN_DIR
    unknown: []
    unknown_options: false
    read_from:
      - /usr/lib/systemd/system/apache2.service
      - /etc/apache2/envvars
mpm:
  description:
    - The multi-processing modules.
  returned: always
  type: dict
  contains:
    configured:
      description:
        - The one configured; null where none or several are.
        - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
        - 'C(worker): Threads, one for each connection.'
        - 'C(prefork): One process for each connection.'
      returned: always
      type: str
    running:
      description:
        - The one mapped in the running parent; null where nothing runs or it cannot be told.
        - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
        - 'C(worker): Threads, one for each connection.'
        - 'C(prefork): One process for each connection.'
      returned: always
      type: str
  sample:
    configured: event
    running: event
effective:
  description:
    - The directives of the main server, by name.
    - >-
      C(value) of each entry: As the winning line has it, variables expanded and quotes off; httpd's default
      where no line sets it.
    - 'C(used) of each entry: After httpd''s own corrections.'
    - 'C(file) of each entry: The file of the winning line; null for a default.'
    - 'C(line) of each entry: The line, from 1; null for a default.'
  returned: always
  type: dict
  sample:
    KeepAliveTimeout:
      value: '3'
      used: '3'
      file: /etc/apache2/conf-enabled/zz-apache-tuning.conf
      line: 3
    MaxRequestWorkers:
      value: '360'
      used: '360'
      file: /etc/apache2/mods-enabled/mpm_event.conf
      line: 15
modules:
  description:
    - Identifiers of the loaded modules, in load order.
  returned: always
  type: list
  elements: str
  sample:
    - core_module
    - so_module
    - watchdog_module
memory:
  description:
    - Memory of the running server; null where nothing runs or it cannot be seen.
  returned: always
  type: dict
  contains:
    processes:
      description:
        - Serving processes, the parent not counted.
      returned: always
      type: int
    rss_mb:
      description:
        - Resident memory of all added up; shared pages count in each.
      returned: always
      type: int
    pss_mb:
      description:
        - 'Proportional memory of all added up: what the server really takes.'
      returned: always
      type: int
    per_process_mb:
      description:
        - What one more process costs without its workers, in MiB with one decimal.
      returned: always
      type: float
    per_worker_mb:
      description:
        - What one more worker costs, in MiB with one decimal.
      returned: always
      type: float
  sample:
    processes: 6
    rss_mb: 37
    pss_mb: 12
    per_process_mb: 0.082
    per_worker_mb: 0.016
status:
  description:
    - What mod_status tells; null where it does not answer.
  returned: always
  type: dict
  contains:
    version:
      description:
        - The server's version and modules, C(ServerVersion).
      returned: always
      type: str
    mpm:
      description:
        - The MPM, C(ServerMPM).
      returned: always
      type: str
    uptime:
      description:
        - Seconds since it was started.
      returned: always
      type: int
    generation:
      description:
        - How often it has taken its configuration up since then, C(ParentServerConfigGeneration).
      returned: always
      type: int
    requests:
      description:
        - Requests answered since then, C(Total Accesses); with C(ExtendedStatus).
      returned: always
      type: int
    busy_workers:
      description:
        - Workers that serve a request or hold a connection.
      returned: always
      type: int
    idle_workers:
      description:
        - Workers that wait.
      returned: always
      type: int
    processes:
      description:
        - Processes that serve or finish, C(Processes).
      returned: always
      type: int
    stopping:
      description:
        - Processes that finish, C(Stopping).
      returned: always
      type: int
    connections:
      description:
        - Connections of all kinds, event.
      returned: always
      type: int
    writing:
      description:
        - Connections that wait for the client to take data, event.
      returned: always
      type: int
    keep_alive:
      description:
        - Idle kept connections, event.
      returned: always
      type: int
    closing:
      description:
        - Connections that are being closed, event.
      returned: always
      type: int
    scoreboard:
      description:
        - How many slots of the scoreboard are in which state; states that no slot is in are left out.
      returned: always
      type: dict
  sample:
    version: Apache/2.4.71 (Debian)
    mpm: event
    uptime: 0
    generation: 1
    requests: 1
    busy_workers: 1
    idle_workers: 359
    processes: 6
    stopping: 0
    connections: 0
    writing: 0
    keep_alive: 0
    closing: 0
    scoreboard:
      sending: 1
      waiting: 359
status_reason:
  description:
    - Why mod_status was not asked or did not answer; null where it did.
  returned: always
  type: str
  sample: null
log:
  description:
    - Messages about limits at the end of the error log.
  returned: always
  type: list
  elements: dict
  contains:
    code:
      description:
        - httpd's code.
      returned: always
      type: str
    count:
      description:
        - How often it stands in what was read.
      returned: always
      type: int
    meaning:
      description:
        - What it means, in this tool's words.
      returned: always
      type: str
    last:
      description:
        - The newest line that has it, at most 300 bytes.
      returned: always
      type: str
  sample:
    - code: AH00484
      count: 1
      meaning: 'all workers were busy: MaxRequestWorkers was reached'
      last: >-
        [Sat Nov 21 06:00:00.000000 2026] [mpm_event:error] [pid 1:tid 1] AH00484: server reached
        MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting
limits:
  description:
    - The limits of the machine and the service that could be read.
    - 'C(value) of each entry: The value; null is "no limit".'
    - 'C(source) of each entry: Where it was read.'
  returned: always
  type: dict
  sample:
    somaxconn:
      value: 4096
      source: facts.somaxconn
capacity:
  description:
    - What the current settings can carry.
  returned: always
  type: dict
  contains:
    connections:
      description:
        - Most connections held at once; null where the MPM is not known.
      returned: always
      type: int
    burst:
      description:
        - >-
          Requests at one moment that are answered while the load is held and no idle connection is closed;
          null where no load was asked for or seen.
      returned: always
      type: int
    workers:
      description:
        - Most requests served at once.
      returned: always
      type: int
    processes:
      description:
        - Most server processes at full load.
      returned: always
      type: int
    memory_mb:
      description:
        - Memory at full load in MiB; null where the need of a worker is not known.
      returned: always
      type: int
    bounds:
      description:
        - The limits, in table order.
      returned: always
      type: list
      elements: dict
      contains:
        name:
          description:
            - C(memory), C(open_files), C(tasks), C(threads_max), C(pid_max), C(somaxconn), C(scoreboard).
          returned: always
          type: str
        limit:
          description:
            - What the host allows, in the bound's own unit (memory in MiB).
          returned: always
          type: int
        needs:
          description:
            - What the settings need, in the same unit.
          returned: always
          type: int
        source:
          description:
            - Where the limit was read.
          returned: always
          type: str
    binding:
      description:
        - >-
          The name of the tightest bound that is known, or of the one that keeps C(burst) below what was to be
          carried; null where none is.
      returned: always
      type: str
  sample:
    connections: 720
    burst: 354
    workers: 360
    processes: 6
    memory_mb: 32
    bounds:
      - name: memory
        limit: 16384
        needs: 32
        source: facts.memory_mb
    binding: tasks
pending_activation:
  description:
    - >-
      A change on disk that the running server does not use yet, or that ends it at its next reload; null
      where there is none.
  returned: always
  type: dict
  contains:
    needed:
      description:
        - 'The action required: none, reload or restart.'
        - 'C(none): Nothing.'
        - 'C(reload): A graceful reload.'
        - 'C(restart): Stop and start: a reload would ignore part of it, or kill the server.'
      returned: always
      type: str
    reasons:
      description:
        - Why, one sentence each.
      returned: always
      type: list
      elements: str
  sample: null
config_test:
  description:
    - httpd's own test of the files as they are, and the rehearsal, where C(config_test) asks for them.
  returned: always
  type: dict
  contains:
    ran:
      description:
        - Whether it ran.
      returned: always
      type: bool
    ok:
      description:
        - Whether it passed; null where it did not run.
      returned: always
      type: bool
    output:
      description:
        - What it printed.
      returned: always
      type: str
    reason:
      description:
        - Why it did not run; null where it did.
      returned: always
      type: str
    rehearsal:
      description:
        - The server started with the change where nobody can see it.
      returned: always
      type: dict
      contains:
        ran:
          description:
            - Whether it ran and said something about the change.
          returned: always
          type: bool
        ok:
          description:
            - Whether httpd started and served; null where it did not run.
          returned: always
          type: bool
        status:
          description:
            - The status of its answer; null where no listener without TLS answered.
            - From 0 to 65535.
          returned: always
          type: int
        milliseconds:
          description:
            - How long it took until it served or ended; null where it did not run.
          returned: always
          type: int
        output:
          description:
            - What it said of errors, on its streams and in its logs.
          returned: always
          type: str
        reason:
          description:
            - Why it did not run or says nothing; null where it did.
          returned: always
          type: str
  sample:
    ran: false
    ok: null
    output: ''
    reason: 'config_test is false: no program was started'
    rehearsal:
      ran: false
      ok: null
      status: null
      milliseconds: null
      output: ''
      reason: 'config_test is false: no program was started'
overridden:
  description:
    - Directives in other files that override the managed value.
  returned: always
  type: list
  elements: dict
  contains:
    setting:
      description:
        - The directive.
      returned: always
      type: str
    wanted:
      description:
        - The value asked for.
      returned: always
      type: str
    effective:
      description:
        - The value in force.
      returned: always
      type: str
    file:
      description:
        - The file of the line that wins.
      returned: always
      type: str
    line:
      description:
        - Its line, from 1.
      returned: always
      type: int
    scope:
      description:
        - C(main), or the virtual host's name and address.
      returned: always
      type: str
  sample:
    - setting: KeepAliveTimeout
      wanted: '3'
      effective: '30'
      file: /etc/apache2/sites-enabled/shop.conf
      line: 3
      scope: shop.example.org
recommendation:
  description:
    - >-
      Settings to paste and why: for the load that the current ones are meant for where something is wrong
      with them, for twice that load where the error log says that it was reached. Null where nothing is to
      better.
  returned: always
  type: dict
  contains:
    mpm:
      description:
        - The MPM they are for.
        - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
        - 'C(worker): Threads, one for each connection.'
        - 'C(prefork): One process for each connection.'
      returned: always
      type: str
    connections:
      description:
        - The connections they hold.
      returned: always
      type: int
    why:
      description:
        - What speaks against the numbers in force, one sentence.
      returned: always
      type: str
    settings:
      description:
        - The numbers, as the parameter C(settings) takes them.
      returned: always
      type: dict
  sample:
    mpm: event
    connections: 1440
    why: 'the error log says that all workers were busy (AH00484, 1 times): for twice as many'
    settings:
      async_request_worker_factor: 1
      listen_backlog: 1440
      max_connections_per_child: 10000
      max_request_workers: 3712
      max_spare_threads: 3712
      min_spare_threads: 250
      server_limit: 116
      start_servers: 58
      thread_limit: 64
      threads_per_child: 64
ansible_facts:
  description:
    - >-
      The inputs of a plan of this host, kept by Ansible's fact cache under C(apache_tuning); null where the
      host could not be looked at.
  returned: always
  type: dict
  contains:
    apache_tuning:
      description:
        - The inputs of a plan of this host.
      returned: always
      type: dict
      contains:
        version:
          description:
            - >-
              The version of this form, C(MAJOR.MINOR): a reader ignores keys it does not know and refuses
              another major.
          returned: always
          type: str
        collected:
          description:
            - When the facts were collected, in seconds since the epoch.
          returned: always
          type: int
        plan_key:
          description:
            - >-
              A hash over all that follows: hosts with an equal key and an equal desired state have the same
              plan.
          returned: always
          type: str
        distribution:
          description:
            - 'The distribution''s ID as in os-release: C(debian).'
          returned: always
          type: str
        distribution_version:
          description:
            - 'Its C(VERSION_ID): C(12).'
          returned: always
          type: str
        httpd_version:
          description:
            - 'httpd''s version: C(2.4.62).'
          returned: always
          type: str
        mpm:
          description:
            - The multi-processing modules.
          returned: always
          type: dict
          contains:
            configured:
              description:
                - The one configured; null where none or several are.
                - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
                - 'C(worker): Threads, one for each connection.'
                - 'C(prefork): One process for each connection.'
              returned: always
              type: str
            running:
              description:
                - The one in the running server; null where nothing runs.
                - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
                - 'C(worker): Threads, one for each connection.'
                - 'C(prefork): One process for each connection.'
              returned: always
              type: str
        modules:
          description:
            - Identifiers of the loaded modules that a plan asks for, sorted.
          returned: always
          type: list
          elements: str
        evasive:
          description:
            - >-
              The program that C(LoadModule) loads for mod_evasive, and the directive of its status, where it
              is installed.
          returned: always
          type: dict
          contains:
            symbol:
              description:
                - The module identifier of its C(LoadModule) line.
              returned: always
              type: str
            fork:
              description:
                - Whether it is the 2.x fork, which is off until C(DOSEnabled true).
              returned: always
              type: bool
            status:
              description:
                - The directive for the status of a blocked request, where the build has one.
              returned: always
              type: str
        effective:
          description:
            - The directives of the main server, by name.
            - 'C(value) of each entry: As the winning line has it.'
            - 'C(used) of each entry: After httpd''s own corrections.'
            - 'C(file) of each entry: The file of the winning line; null for a default.'
            - 'C(line) of each entry: The line, from 1.'
          returned: always
          type: dict
        limits:
          description:
            - The limits of the machine and the service, by name.
            - 'C(value) of each entry: The value; null is "no limit".'
            - 'C(source) of each entry: Where it was read.'
          returned: always
          type: dict
        php:
          description:
            - How PHP runs.
            - 'C(mod_php): Inside httpd''s processes.'
            - 'C(fpm): In php-fpm''s own.'
            - 'C(none): Not at all.'
          returned: always
          type: str
        php_fpm:
          description:
            - The PHP versions whose php-fpm is installed, with a snippet for httpd.
          returned: always
          type: list
          elements: str
        overridden:
          description:
            - Lines that win over those this tool manages, without the names of virtual hosts.
          returned: always
          type: list
          elements: dict
          contains:
            setting:
              description:
                - The directive.
              returned: always
              type: str
            effective:
              description:
                - Its value there.
              returned: always
              type: str
            file:
              description:
                - The file.
              returned: always
              type: str
            line:
              description:
                - The line, from 1.
              returned: always
              type: int
            scope:
              description:
                - C(main) or C(virtual host).
              returned: always
              type: str
        per_worker_kib:
          description:
            - Memory one worker takes in the running server, in KiB.
          returned: always
          type: int
        running:
          description:
            - Whether a server runs.
          returned: always
          type: bool
        managed:
          description:
            - What this tool manages on the host.
          returned: always
          type: list
          elements: dict
          contains:
            path:
              description:
                - The path.
              returned: always
              type: str
            sha256:
              description:
                - SHA-256 of the lines this tool manages there, in hexadecimal digits.
              returned: always
              type: str
            as_left:
              description:
                - Whether the file is as this tool last left it.
              returned: always
              type: bool
  sample:
    apache_tuning:
      version: '1.0'
      collected: 1796101035
      plan_key: addd2b96bd2590dc09debc463443dbdc
      distribution: debian
      distribution_version: '12'
      httpd_version: '2.4.71'
      mpm:
        configured: event
        running: event
'''


from ansible.module_utils.basic import AnsibleModule


def main():
    """Checks the arguments, for ansible-lint and editors; a host never gets this file."""
    module = AnsibleModule(supports_check_mode=True, argument_spec={
        'facts': {'type': 'dict', 'options': {
            'memory_mb': {'type': 'int'},
            'cpus': {'type': 'int'},
            'distribution': {'type': 'str'},
            'distribution_version': {'type': 'str'},
            'httpd_version': {'type': 'str'},
            'open_files': {'type': 'int'},
            'tasks_max': {'type': 'int'},
            'threads_max': {'type': 'int'},
            'pid_max': {'type': 'int'},
            'somaxconn': {'type': 'int'},
            'php': {'type': 'str', 'choices': ['mod_php', 'fpm', 'none']},
            'selinux_graceful_shutdown': {'type': 'bool'},
        }},
        'instance': {'type': 'str'},
        'root': {'type': 'str', 'default': '/'},
        'status_url': {'type': 'str'},
        'config_test': {'type': 'bool', 'default': False},
    })
    module.fail_json(msg='this module is run by the action plugin of its collection, on the controller')


if __name__ == '__main__':
    main()
