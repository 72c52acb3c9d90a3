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
module: tuning
short_description: Set Apache's MPM, KeepAlive and mod_evasive, checked before anything is touched
version_added: 0.1.0
description:
  - Makes one MPM the only one loaded, sets its numbers, persistent connections and mod_evasive.
  - >-
    Every value is checked as httpd itself would treat it. Numbers that httpd would silently lower, raise or refuse fail
    the task, with the reason and with what to set instead, before anything on the host is touched.
  - >-
    The real configuration test runs on the staged change first, in check mode too. A change that does not come up again
    is undone.
  - >-
    A group that is left out (C(settings), C(keepalive), C(evasive)) is not managed. The same parameters
    always give the same files, and a second run changes nothing.
  - >-
    Values are taken as Ansible's own modules take them: C("64") is a whole number, C(yes) is a boolean, null is not
    given. All errors are reported at once, each with the path of its parameter.
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
    details: Reports the changes, findings and activation that a real run would produce, and changes nothing.
  diff_mode:
    support: full
    details: One difference for each file or link that changes, then one of the settings in force.
  platform:
    support: full
    platforms: linux
  action:
    support: full
  bypass_host_loop:
    support: none
  async:
    support: none
    details: A job that is killed at its time limit in the middle of a restart is what this module prevents.
notes:
  - >-
    The program is kept under C(/var/lib/apache-tuning/bin) on hosts where it runs as root, and is fed its parameters in
    one session after that. Check mode does not put it there.
seealso:
  - module: webfleet.apache.tuning_info
options:
  state:
    description:
      - Desired state.
      - 'C(present): The settings are in force.'
      - 'C(absent): All that this tool put in is taken out and the distribution''s values are given back.'
      - 'C(rolled_back): The newest transaction, or all back to before C(transaction), is undone.'
    type: str
    default: present
    choices:
      - present
      - absent
      - rolled_back
  transaction:
    description:
      - 'With C(state: rolled_back): the transaction before which the host is to be again.'
    type: str
  mpm:
    description:
      - 'The MPM that must be the only one loaded. Default: the one enabled now.'
      - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
      - 'C(worker): Threads, one for each connection.'
      - 'C(prefork): One process for each connection.'
    type: str
    choices:
      - event
      - worker
      - prefork
  settings:
    description:
      - >-
        The MPM's directives by httpd's name in snake_case. If omitted, it is not managed. Given, a directive
        that is left out of it is not written, and httpd's own default counts; one that the MPM does not know
        is an error.
    type: dict
    suboptions:
      start_servers:
        description:
          - 'Processes started at first. C(StartServers). A size: left out, httpd''s default counts.'
        type: int
      server_limit:
        description:
          - >-
            Most processes that can ever exist until the next stop and start. C(ServerLimit): 1 to 20000,
            prefork 200000. A size: left out, httpd's default counts.
        type: int
      thread_limit:
        description:
          - >-
            Most threads a process can ever have until the next stop and start. C(ThreadLimit): 1 to 20000
            (worker) or 100000 (event). A size: left out, httpd's default counts.
        type: int
      threads_per_child:
        description:
          - >-
            Worker threads a process. C(ThreadsPerChild): 1 to ThreadLimit. A size: left out, httpd's default
            counts.
        type: int
      max_request_workers:
        description:
          - >-
            Requests served at once. C(MaxRequestWorkers): a multiple of ThreadsPerChild, at most ServerLimit
            times it. A size: left out, httpd's default counts.
        type: int
      min_spare_threads:
        description:
          - >-
            Fewest idle threads over all processes. C(MinSpareThreads). A size: left out, httpd's default
            counts.
        type: int
      max_spare_threads:
        description:
          - >-
            Most idle threads over all processes. C(MaxSpareThreads): at least MinSpareThreads +
            ThreadsPerChild + 1. A size: left out, httpd's default counts.
        type: int
      min_spare_servers:
        description:
          - 'Fewest idle processes, prefork. C(MinSpareServers). A size: left out, httpd''s default counts.'
        type: int
      max_spare_servers:
        description:
          - >-
            Most idle processes, prefork. C(MaxSpareServers): more than MinSpareServers. A size: left out,
            httpd's default counts.
        type: int
      async_request_worker_factor:
        description:
          - >-
            Connections held for each idle worker, event. C(AsyncRequestWorkerFactor): a whole number from 1.
            A size: left out, httpd's default counts.
        type: int
      max_connections_per_child:
        description:
          - >-
            Connections a process serves before it is replaced; 0 is no limit. C(MaxConnectionsPerChild). If
            omitted, it is not changed.
        type: int
      thread_stack_size:
        description:
          - >-
            Bytes of stack a thread gets; 0 is the system's default. C(ThreadStackSize). If omitted, it is not
            changed.
        type: int
      max_mem_free:
        description:
          - >-
            KiB that an allocator keeps before giving memory back; 0 is no limit. C(MaxMemFree). If omitted,
            it is not changed.
        type: int
      listen_backlog:
        description:
          - >-
            Connections that wait to be accepted, for each listening socket. C(ListenBacklog). If omitted, it
            is not changed.
        type: int
      graceful_shutdown_timeout:
        description:
          - >-
            Seconds that a graceful stop waits for requests; 0 waits for ever. C(GracefulShutdownTimeout). If
            omitted, it is not changed.
        type: int
  capacity:
    description:
      - A load to size for, instead of numbers. Excludes the sizes in C(settings).
    type: dict
    suboptions:
      connections:
        description:
          - Connections to hold at once, from 1.
          - From 1 to 100000000.
        type: int
        required: true
      active:
        description:
          - 'How many of them are served at one moment; event only. Default: one in sixteen, and at least 100.'
          - From 1 to 100000000.
        type: int
      burst:
        description:
          - >-
            Requests at one moment, on held or on new connections, that are answered without closing idle
            connections. Default: the larger of twice C(active) and a quarter of C(connections), as far as the
            host carries it.
          - From 1 to 100000000.
        type: int
  memory:
    description:
      - >-
        Memory to count with. Where the need of a worker is neither given nor measured, nothing is refused for
        memory, and the result reports the largest need that would fit.
    type: dict
    suboptions:
      per_worker:
        description:
          - What one worker needs (C(10M)), or C(measured) from the running server.
        type: str
      reserve:
        description:
          - What everything else on the host needs (C(512M)).
        type: str
  keepalive:
    description:
      - Persistent connections of the main server. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - Whether a connection may carry more than one request. C(KeepAlive). If omitted, it is not changed.
        type: bool
      timeout:
        description:
          - >-
            How long an idle connection waits for the next request: C(5), C(5s), C(500ms).
            C(KeepAliveTimeout). If omitted, it is not changed.
        type: str
      max_requests:
        description:
          - >-
            Requests a connection may carry; 0 is no limit. C(MaxKeepAliveRequests). If omitted, it is not
            changed.
        type: int
  evasive:
    description:
      - mod_evasive, in the dialect of the build found on the host. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - Whether mod_evasive protects this server. If omitted, it is not changed.
        type: bool
      hash_table_size:
        description:
          - Size of the hash table. C(DOSHashTableSize). If omitted, it is not changed.
        type: int
      page_count:
        description:
          - >-
            Requests for one page within C(page_interval) before a client is blocked. C(DOSPageCount). If
            omitted, it is not changed.
        type: int
      site_count:
        description:
          - >-
            Requests for the whole site within C(site_interval) before a client is blocked. C(DOSSiteCount).
            If omitted, it is not changed.
        type: int
      page_interval:
        description:
          - >-
            Idle seconds after which the page counter starts again. C(DOSPageInterval). If omitted, it is not
            changed.
        type: int
      site_interval:
        description:
          - >-
            Idle seconds after which the site counter starts again. C(DOSSiteInterval). If omitted, it is not
            changed.
        type: int
      blocking_period:
        description:
          - >-
            Seconds for which a client stays blocked; each request starts them again. C(DOSBlockingPeriod). If
            omitted, it is not changed.
        type: int
      http_status:
        description:
          - >-
            HTTP status of a blocked request, where the build has a directive for it. If omitted, it is not
            changed.
        type: int
      email_notify:
        description:
          - >-
            Address that is mailed when a client is first blocked. C(DOSEmailNotify). If omitted, it is not
            changed.
        type: str
      system_command:
        description:
          - >-
            Command run when a client is first blocked, with exactly one C(%s) for its address.
            C(DOSSystemCommand). If omitted, it is not changed.
        type: str
      log_dir:
        description:
          - >-
            Directory of the lock files; writable by the web server's user alone. C(DOSLogDir). If omitted, it
            is not changed.
        type: str
      whitelist:
        description:
          - >-
            Addresses never blocked. C(DOSWhitelist). For C(mod_evasive) 2.x and a C(Listen) without an
            address, IPv4 entries are written in their IPv6 form too (C(::ffff:192.0.2.1)), which such a
            socket has of these clients. If omitted, it is not changed.
        type: list
        elements: str
  slow_clients:
    description:
      - How long a client may take for its request (mod_reqtimeout). If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether slow requests are cut off: C(true) loads mod_reqtimeout, C(false) takes out what this
            program put in. If omitted, it is not changed.
        type: bool
      handshake:
        description:
          - >-
            Seconds for the TLS handshake, 0 for no limit; httpd 2.4.39 and later. If omitted, it is not
            changed.
          - From 0 to 2147483647.
        type: int
      header:
        description:
          - The request line and the header fields. If omitted, it is not changed.
        type: dict
        suboptions:
          initial:
            description:
              - Seconds at first.
              - From 1 to 2147483647.
            type: int
          max:
            description:
              - 'Seconds with all extensions, more than C(initial); 0 is no upper bound. Header: 40; body: 0.'
              - From 0 to 2147483647.
            type: int
          min_rate:
            description:
              - 'Bytes that extend the time by a second. Default: 500.'
              - From 1 to 2147483647.
            type: int
      body:
        description:
          - The body. If omitted, it is not changed.
        type: dict
        suboptions:
          initial:
            description:
              - Seconds at first.
              - From 1 to 2147483647.
            type: int
          max:
            description:
              - 'Seconds with all extensions, more than C(initial); 0 is no upper bound. Header: 40; body: 0.'
              - From 0 to 2147483647.
            type: int
          min_rate:
            description:
              - 'Bytes that extend the time by a second. Default: 500.'
              - From 1 to 2147483647.
            type: int
      timeout:
        description:
          - >-
            Seconds that httpd waits for a client that neither sends nor takes anything. C(Timeout). If
            omitted, it is not changed.
          - From 1 to 2147483647.
        type: int
  status:
    description:
      - The status page of mod_status, on an address of its own if wanted. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether the page is there: C(true) loads mod_status, C(false) takes out what this program put in.
            If omitted, the module is not changed.
        type: bool
      path:
        description:
          - 'Where the page is. Default: C(/server-status).'
        type: str
      allow:
        description:
          - 'Who may see it: C(local), addresses, networks, host names. Default: C(local).'
        type: list
        elements: str
      listen:
        description:
          - >-
            An address of its own to listen on, such as C(127.0.0.1:8081), with a virtual host that has
            nothing else: no site can hide the page or show it. Left out, the page is part of every site.
        type: str
      extended:
        description:
          - Whether each request is listed and counted. C(ExtendedStatus). If omitted, it is not changed.
        type: bool
  http2:
    description:
      - HTTP/2 for clients that take it, before HTTP/1.1. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether clients are offered HTTP/2: C(true) loads mod_http2 and writes C(Protocols), C(false)
            takes out what this program put in. If omitted, both are not changed.
        type: bool
      min_workers:
        description:
          - >-
            Threads for HTTP/2 in each process, beside those of the MPM. C(H2MinWorkers); httpd's default is
            ThreadsPerChild.
          - From 1 to 100000.
        type: int
      max_workers:
        description:
          - Most of them. C(H2MaxWorkers), at least C(min_workers).
          - From 1 to 100000.
        type: int
      max_streams:
        description:
          - Requests that one connection may carry at a time. C(H2MaxSessionStreams).
          - From 1 to 2147483647.
        type: int
      clear_text:
        description:
          - 'Whether HTTP/2 is offered without TLS too (C(h2c)). Default: no; no browser uses it.'
        type: bool
      push:
        description:
          - Whether answers are pushed that nobody asked for. C(H2Push); browsers dropped it.
        type: bool
  compression:
    description:
      - Compression of answers by brotli and gzip. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether answers are compressed: C(true) loads the modules that are needed, C(false) takes out what
            this program put in. If omitted, the modules are not changed.
        type: bool
      algorithms:
        description:
          - 'C(br), C(gzip) or both; the first that a client takes is used. Default: C(br), C(gzip).'
        type: list
        elements: str
      types:
        description:
          - 'The types that are compressed. Default: text in its usual forms.'
        type: list
        elements: str
      gzip_level:
        description:
          - '1 to 9. C(DeflateCompressionLevel). If omitted, it is not changed.'
          - From 1 to 9.
        type: int
      br_quality:
        description:
          - >-
            0 to 11; above 6 is not for compression on the fly. C(BrotliCompressionQuality). If omitted, it is
            not changed.
          - From 0 to 11.
        type: int
  tls:
    description:
      - 'What all sites with TLS share: sessions, stapling, the lowest version. If omitted, it is not managed.'
    type: dict
    suboptions:
      enabled:
        description:
          - C(false) takes out what this program put in.
        type: bool
      session_cache:
        description:
          - 'The cache of sessions: C(auto) (4 MiB), a size such as C(2M), or C(off). C(SSLSessionCache).'
        type: str
      session_timeout:
        description:
          - Seconds for which a session can be resumed. C(SSLSessionCacheTimeout).
          - From 1 to 86400.
        type: int
      tickets:
        description:
          - >-
            Whether clients keep their sessions themselves: they resume without any cache.
            C(SSLSessionTickets).
        type: bool
      stapling:
        description:
          - >-
            Whether the answer of the certificate's issuer is sent along. C(SSLUseStapling),
            C(SSLStaplingCache).
        type: bool
      stapling_timeout:
        description:
          - Seconds to wait for that answer. C(SSLStaplingResponderTimeout); httpd's default is 10.
          - From 1 to 60.
        type: int
      protocols:
        description:
          - 'The lowest version: C(1.2) or C(1.3). C(SSLProtocol).'
        type: str
  cache_disk:
    description:
      - >-
        A cache of answers on disk, with cookies left out and access rules kept. If omitted, it is not
        managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether answers are cached: C(true) loads the modules, C(false) takes out what this program put
            in. If omitted, the modules are not changed.
        type: bool
      root:
        description:
          - 'The directory, of the user that serves requests. Default: that of the distribution.'
        type: str
      size:
        description:
          - 'The size that htcacheclean keeps the cache below. Default: C(300M).'
        type: str
      interval:
        description:
          - 'Minutes between two cleanings. Default: 15.'
          - From 1 to 1440.
        type: int
      paths:
        description:
          - 'Beginnings of the paths that are cached. Default: all of them.'
        type: list
        elements: str
      except:
        description:
          - Beginnings of paths that are not.
        type: list
        elements: str
      quick:
        description:
          - >-
            Whether answers come from the cache before any access rule is asked. C(CacheQuickHandler).
            Default: no.
        type: bool
      max_file:
        description:
          - 'The largest answer that is kept. C(CacheMaxFileSize). Default: C(1M).'
        type: str
      default_expire:
        description:
          - Seconds for answers that say nothing themselves. C(CacheDefaultExpire).
          - From 0 to 31536000.
        type: int
      max_expire:
        description:
          - 'The most seconds that any answer is kept. C(CacheMaxExpire). Default: 86400.'
          - From 1 to 31536000.
        type: int
      lock:
        description:
          - 'Whether only one request fetches what many wait for. C(CacheLock). Default: yes.'
        type: bool
      stale_on_error:
        description:
          - 'Whether an old answer is given where the backend fails. C(CacheStaleOnError). Default: yes.'
        type: bool
      store_cookies:
        description:
          - 'Whether cookies are stored and handed to the next visitor. Default: no.'
        type: bool
      header:
        description:
          - 'Whether answers say in C(X-Cache) where they come from. C(CacheHeader). Default: no.'
        type: bool
  logs:
    description:
      - The directory of the logs, on a disk of its own if wanted. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - C(false) takes out what this program put in; the logs written so far stay where they are.
        type: bool
      directory:
        description:
          - >-
            The directory: absolute, there, and written by root alone. On Debian and Ubuntu C(APACHE_LOG_DIR),
            by which every log of their own files moves; elsewhere the main server's error log and access log.
            If omitted, no log is moved.
        type: str
      access:
        description:
          - >-
            The nickname of the C(LogFormat) of the main server's access log in that directory, or C(off) for
            none. Default: C(combined); on Debian and Ubuntu, whose sites name their own, none.
        type: str
      buffered:
        description:
          - >-
            Whether lines are kept in memory until there are some thousand bytes. C(BufferedLogs). Programs
            that follow the log see them late. If omitted, it is not changed.
        type: bool
      require_mount:
        description:
          - >-
            C(true) refuses a directory on the file system of C(/), where a disk that is not mounted would
            leave the logs; C(false) accepts it. If omitted, it is accepted with a warning.
        type: bool
      rotate:
        description:
          - >-
            Whether logrotate gets a file for the directory, with what the distribution's own says. Default:
            C(true); an instance has none.
        type: bool
  balancers:
    description:
      - >-
        Balancers: groups of backends with health checks, pools, sticky sessions and fail-over. A list; an
        empty one takes out what this program put in. If omitted, it is not managed.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - 'Its name: C(balancer://NAME). Letters, digits, C(-) and C(_).'
        type: str
      members:
        description:
          - The backends.
        type: list
        elements: dict
        suboptions:
          url:
            description:
              - 'Its address: C(http://10.0.0.11:8080), or C(https://), whose certificate is verified.'
            type: str
          route:
            description:
              - >-
                The name by which a session finds it again: letters, digits, C(-) and C(_). Default: C(m1),
                C(m2), …
            type: str
          weight:
            description:
              - 'Its share beside the others, 1 to 100. Default: 1.'
              - From 1 to 100.
            type: int
          standby:
            description:
              - 'Whether it is used only while all others fail. Default: no.'
            type: bool
      method:
        description:
          - 'How requests are shared out: C(byrequests), C(bytraffic) or C(bybusyness). Default: C(byrequests).'
        type: str
      sticky:
        description:
          - Sessions that stay with one member. If omitted, they do not.
        type: dict
        suboptions:
          cookie:
            description:
              - 'The cookie that names the member. Default: C(ROUTEID).'
            type: str
          failover:
            description:
              - 'Whether another member takes a session over where its own fails. Default: yes.'
            type: bool
      pool:
        description:
          - The connections of each process to each member.
        type: dict
        suboptions:
          max:
            description:
              - >-
                The most of them. Default: as many as C(backend_limit) allows, else as many as a process has
                threads.
              - From 1 to 100000.
            type: int
          acquire:
            description:
              - 'How long a request waits for one of them: C(500ms), C(2s). Default: C(500ms).'
            type: str
          ttl:
            description:
              - 'Seconds after which one that is not used is closed. Default: 60.'
              - From 1 to 86400.
            type: int
      backend_limit:
        description:
          - >-
            Connections that one member can take from the whole server, such as C(max_children) of php-fpm. If
            omitted, it is not checked.
          - From 1 to 1000000.
        type: int
      timeout:
        description:
          - 'Seconds to wait for an answer. Default: 30.'
          - From 1 to 86400.
        type: int
      connect_timeout:
        description:
          - 'How long to wait for a connection: C(2s), C(500ms). Default: C(2s).'
        type: str
      retry:
        description:
          - 'Seconds for which a member that failed is not used. Default: 10.'
          - From 0 to 86400.
        type: int
      fail_on_status:
        description:
          - 'Codes of answers after which a member is not used either. Default: 503.'
        type: list
        elements: str
      fail_on_timeout:
        description:
          - 'Whether a member that does not answer in time is not used either. Default: no.'
        type: bool
      health:
        description:
          - Asking each member whether it works. If omitted, none is asked.
        type: dict
        suboptions:
          method:
            description:
              - 'How it is asked: C(GET), C(HEAD), C(OPTIONS) or C(TCP). Default: C(GET).'
            type: str
          uri:
            description:
              - 'The path that is asked for. Default: C(/health).'
            type: str
          interval:
            description:
              - 'Seconds between two questions. Default: 5.'
              - From 1 to 86400.
            type: int
          fails:
            description:
              - 'Wrong answers after which it is not used any more. Default: 2.'
              - From 1 to 1000.
            type: int
          passes:
            description:
              - 'Right answers after which it is used again. Default: 2.'
              - From 1 to 1000.
            type: int
          expect:
            description:
              - 'The right answers: classes and codes such as C(2xx,3xx) or C(200). Default: C(2xx,3xx).'
            type: str
      map:
        description:
          - >-
            The paths whose requests go to it. If omitted, only the balancer is there, for the sites' own
            lines.
        type: list
        elements: dict
        suboptions:
          path:
            description:
              - >-
                Its beginning: C(/app). With C(/), the paths of ACME challenges and of C(/server-status) stay
                here.
            type: str
      preserve_host:
        description:
          - 'Whether members get the name that the client asked for. Default: yes.'
        type: bool
      forwarded_proto:
        description:
          - 'Whether members are told in C(X-Forwarded-Proto) how the client asked. Default: yes.'
        type: bool
  modsecurity:
    description:
      - ModSecurity and its Core Rule Set. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - >-
            Whether requests are inspected at all: C(true) loads mod_security2, C(false) takes out what this
            program put in. If omitted, the module is not changed.
        type: bool
      engine:
        description:
          - >-
            What is done about a request that a rule finds: C(off), C(detect) (it is logged) or C(on) (it is
            refused). C(SecRuleEngine). Default: C(detect).
        type: str
      rules:
        description:
          - >-
            Whose rules count: C(crs), those of the Core Rule Set and those of the host, or C(none), those of
            the host alone. Default: C(crs).
        type: str
      paranoia:
        description:
          - >-
            How suspicious the Core Rule Set is: 1 refuses few ordinary requests, 4 most sites' own. Default:
            1.
          - From 1 to 4.
        type: int
      inbound:
        description:
          - 'The points from which on a request is refused; a critical rule gives 5. Default: 5.'
          - From 1 to 100000.
        type: int
      outbound:
        description:
          - 'The points from which on an answer is refused. Default: 4.'
          - From 1 to 100000.
        type: int
      body_limit:
        description:
          - >-
            The largest request that is let through, uploads included, at most C(1G). C(SecRequestBodyLimit).
            Default: C(12.5M).
        type: str
      no_files_limit:
        description:
          - 'The largest request without its uploaded files. C(SecRequestBodyNoFilesLimit). Default: C(128K).'
        type: str
      inspect_responses:
        description:
          - >-
            Whether answers are inspected too: each worker keeps one in memory then. C(SecResponseBodyAccess).
            Default: no.
        type: bool
      audit:
        description:
          - >-
            Which requests are written to the audit log: C(off), C(relevant) or C(all). C(SecAuditEngine).
            Default: C(relevant).
        type: str
      audit_status:
        description:
          - >-
            The status of an answer that makes its request relevant, as a regular expression.
            C(SecAuditLogRelevantStatus). Default: C(^5).
        type: str
      exclude:
        description:
          - >-
            Rules that are left out, by id or by range: C(942100), C(942200-942299). C(SecRuleRemoveById),
            behind the rules.
        type: list
        elements: str
  modules:
    description:
      - Modules that nothing uses, taken out by name. If omitted, it is not managed.
    type: dict
    suboptions:
      enabled:
        description:
          - C(false) gives back what this program took out.
        type: bool
      remove:
        description:
          - >-
            Modules that are taken out, by their names without C(mod_). One that is used is refused, with what
            uses it; so is one that does its work without a line, such as C(reqtimeout).
        type: list
        elements: str
  mod_php:
    description:
      - How to handle a thread-unsafe mod_php when a threaded MPM is requested.
      - 'C(refuse): Fail, and name the PHP module in the way and the solution.'
      - >-
        C(disable): Take it out and hand PHP to the installed php-fpm (Debian, Ubuntu; on the Red Hat family
        it goes with the MPM); refused where no php-fpm is installed, and on the other families, which have no
        way from one to the other.
    type: str
    default: refuse
    choices:
      - refuse
      - disable
  placement:
    description:
      - Where the MPM's numbers are written.
      - 'C(distribution): In the distribution''s own file, such as C(mods-available/mpm_event.conf).'
      - 'C(drop_in): In C(zz-apache-tuning.conf), so that no file of a package is touched.'
    type: str
    default: distribution
    choices:
      - distribution
      - drop_in
  activation:
    description:
      - Whether Apache is reloaded or restarted by this task, or by a handler.
      - >-
        C(auto): This task: restart or reload a running server, verify it, undo everything if it does not come
        back.
      - 'C(defer): A handler; the result says what is needed.'
    type: str
    default: auto
    choices:
      - auto
      - defer
  health:
    description:
      - An HTTP request made after activation; if it fails, the change is rolled back.
    type: dict
    suboptions:
      url:
        description:
          - >-
            An C(http://) address of this host: C(localhost), a numeric address of one of its interfaces, or a
            name of its own (the host's, one of C(/etc/hosts), a C(ServerName)), which is asked on the
            loopback.
        type: str
        required: true
      status:
        description:
          - The status expected.
          - From 100 to 599.
        type: int
        default: 200
      timeout:
        description:
          - Seconds to wait for it after the change; before it 5 at most.
          - From 1 to 3600.
        type: int
        default: 30
  config_test:
    description:
      - Whether the real C(httpd -t) is run on the staged change before anything is touched.
    type: bool
    default: true
  rehearse:
    description:
      - >-
        Whether the test goes on with the rehearsal: the real httpd started with the change in private
        namespaces, asked once and ended. Skipped, and said, where a loaded module reaches outside at start or
        no namespace can be had.
    type: bool
    default: true
  waive:
    description:
      - Rules whose findings are kept in the result but do not fail the task.
    type: list
    default: []
    elements: str
  keep:
    description:
      - Transactions kept for rollback.
      - From 1 to 1000.
    type: int
    default: 10
  lock_timeout:
    description:
      - Seconds to wait for another run on this host.
      - From 0 to 86400.
    type: int
    default: 60
  instance:
    description:
      - 'A second instance of the server: C(NAME) of C(/etc/apache2-NAME).'
    type: str
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
      - >-
        Another root directory, such as an image or a chroot: the same work, no activation. Facts of the
        machine (memory, limits) then come from C(facts) alone.
    type: str
    default: /
'''

EXAMPLES = r'''
---
- name: Threads instead of processes, with room for 1024 requests at once
  webfleet.apache.tuning:
    mpm: event
    settings:
      server_limit: 17
      thread_limit: 64
      threads_per_child: 64
      max_request_workers: 1024
      max_connections_per_child: 10000
      async_request_worker_factor: 2
    keepalive:
      enabled: true
      timeout: 5
      max_requests: 100
    evasive:
      enabled: true
      page_count: 5
      site_count: 100

- name: The same on a host with mod_php, whose PHP is handed to php-fpm
  webfleet.apache.tuning:
    mpm: event
    mod_php: disable

- name: Ask for a load and let the numbers follow from it
  webfleet.apache.tuning:
    mpm: event
    capacity:
      connections: 4000
      active: 800
    memory:
      reserve: 1G

- name: Undo everything if the shop does not answer afterwards
  webfleet.apache.tuning:
    mpm: worker
    health:
      url: http://localhost/health
      timeout: 20

- name: Cut slow requests off
  webfleet.apache.tuning:
    slow_clients:
      enabled: true
      header:
        initial: 5
        max: 15
      timeout: 60

- name: Watch the server on a port of its own, and offer HTTP/2 and brotli
  webfleet.apache.tuning:
    mpm: event
    status:
      enabled: true
      listen: 127.0.0.1:8081
    http2:
      enabled: true
    compression:
      enabled: true
      algorithms: [br, gzip]

- name: Write the logs to a disk of their own
  webfleet.apache.tuning:
    logs:
      directory: /srv/log/apache2
      buffered: false

- name: Let sessions be resumed from a cache of 4 MiB, from TLS 1.2 on
  webfleet.apache.tuning:
    tls:
      session_cache: 4M
      protocols: "1.2"

- name: Keep the answers of an application on disk
  webfleet.apache.tuning:
    cache_disk:
      enabled: true
      paths: [/app]
      except: [/app/account]

- name: Share /app out to two backends that are asked every 5 s whether they work
  webfleet.apache.tuning:
    balancers:
      - name: app
        members:
          - url: http://10.0.0.11:8080
          - url: http://10.0.0.12:8080
        backend_limit: 200
        sticky:
          cookie: ROUTEID
        health:
          uri: /health
        map:
          - path: /app

- name: Log what the Core Rule Set would refuse, except for a rule that our own editors meet
  webfleet.apache.tuning:
    modsecurity:
      engine: detect
      exclude: [942100]

- name: Leave the restart to a handler
  webfleet.apache.tuning:
    mpm: event
    activation: defer
  register: tuned
  notify: Activate Apache # a handler with `when: tuned.restart_required`, another with `when: tuned.reload_required`

- name: Undo the newest change
  webfleet.apache.tuning:
    state: rolled_back

- name: Take out all that this module put in
  webfleet.apache.tuning:
    state: absent
'''

RETURN = r'''
---
changed:
  description:
    - Whether anything was, or in check mode would be, changed.
  returned: always
  type: bool
  sample: true
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
  sample: changed 23 paths; the running server uses the new configuration
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
  sample:
    - path: settings.threads_per_child
      message: >-
        argument 'threads_per_child' is of type str found in 'settings' and we were unable to convert to int:
        "many" is not a whole number in decimal digits
diff:
  description:
    - The differences; only where a diff was asked for.
  returned: when a diff is asked for
  type: list
  elements: dict
  contains:
    before_header:
      description:
        - Heading of the old side.
      returned: always
      type: str
    after_header:
      description:
        - Heading of the new side.
      returned: always
      type: str
    before:
      description:
        - The old text.
      returned: always
      type: str
    after:
      description:
        - The new text.
      returned: always
      type: str
  sample:
    - before_header: /etc/apache2/conf-available/zz-apache-tuning.conf (absent)
      after_header: /etc/apache2/conf-available/zz-apache-tuning.conf
      before: ''
      after: "# BEGIN apache-tuning keepalive. These lines are written by apache-tuning (webfleet.apache.tuning);\n# change the task's parameters instead: lines between the markers are replaced by the next run.\nKeepAliveTimeout         3\n# END apache-tuning keepalive.\n"
findings:
  description:
    - What the rules say, errors first.
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
    - rule: MRW-002
      severity: error
      setting: settings.max_request_workers
      value: '410'
      effective: '400'
      httpd: AH00513
      message: 'MaxRequestWorkers 410 is no multiple of ThreadsPerChild 25: httpd rounds it down to 400'
      hint: set max_request_workers to 400 or 425
      waived: false
warnings:
  description:
    - The warnings among them as text, for Ansible's own display.
  returned: always
  type: list
  elements: str
  sample:
    - >-
      OVR-002: the virtual host shop.example.org has its own KeepAliveTimeout 30
      (/etc/apache2/sites-enabled/shop.conf:3); remove that line if the virtual host is to follow the main
      server
changes:
  description:
    - The paths that change.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description:
        - Absolute path on the managed host.
      returned: always
      type: str
    kind:
      description:
        - What it is.
        - 'C(file): A regular file.'
        - 'C(link): A symbolic link.'
        - 'C(marker): A marker under C(/var/lib/apache2).'
      returned: always
      type: str
    action:
      description:
        - What happens to it.
        - 'C(create): Created: it was not there.'
        - 'C(modify): Modified: its content or metadata changed.'
        - 'C(remove): It will not be there.'
      returned: always
      type: str
  sample:
    - path: /etc/apache2/conf-available/zz-apache-tuning.conf
      kind: file
      action: create
    - path: /etc/apache2/conf-enabled/php8.2-fpm.conf
      kind: link
      action: create
effective:
  description:
    - The directives of the main server after the change, by name.
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
mpm:
  description:
    - The multi-processing modules.
  returned: always
  type: dict
  contains:
    before:
      description:
        - The one configured before; null where none or several are.
        - 'C(event): Threads, and one listener a process that holds idle connections without a worker.'
        - 'C(worker): Threads, one for each connection.'
        - 'C(prefork): One process for each connection.'
      returned: always
      type: str
    after:
      description:
        - The one configured after.
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
    before: prefork
    after: event
    running: event
activation:
  description:
    - What a running server needs.
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
    done:
      description:
        - Whether it was done in this run.
      returned: always
      type: bool
    running:
      description:
        - >-
          Whether a server was seen running; a handler that restarts would start one that was stopped on
          purpose.
      returned: always
      type: bool
    reasons:
      description:
        - Why, one sentence each.
      returned: always
      type: list
      elements: str
  sample:
    needed: restart
    done: true
    running: true
    reasons:
      - 'the MPM changes from prefork to event: a reload would end the server'
restart_required:
  description:
    - 'For handlers: stop and start is needed and was not done.'
  returned: always
  type: bool
  sample: false
reload_required:
  description:
    - 'For handlers: a reload is needed and was not done.'
  returned: always
  type: bool
  sample: false
pending_activation:
  description:
    - An earlier change that the running server does not use yet; null where there is none.
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
recovered:
  description:
    - What this run gave back of an interrupted one; C(changed) is true then. Null where there was none.
  returned: always
  type: dict
  contains:
    transaction:
      description:
        - The id that the interrupted transaction had.
      returned: always
      type: str
    paths:
      description:
        - >-
          The paths that were given back; none where the interrupted run had come to its end but for its
          result.
      returned: always
      type: list
      elements: str
    server:
      description:
        - >-
          What became of the running server. Check mode, which cannot know, says what the interrupted run had
          begun.
        - >-
          C(untouched): The interrupted run had not told it anything, or something else keeps it in the
          foreground and starts it.
        - 'C(reloaded): It was made to read the files that were given back.'
        - >-
          C(started): It was started with the files that were given back, and stopped before that where it
          ran.
      returned: always
      type: str
  sample: null
capacity:
  description:
    - What the settings can carry.
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
    burst: 154
    workers: 360
    processes: 6
    memory_mb: null
    bounds:
      - name: open_files
        limit: 65536
        needs: 191
        source: facts.open_files
    binding: tasks
sizes:
  description:
    - >-
      The numbers worked out from the parameter C(capacity), each with its reason; empty where it is not
      given.
  returned: always
  type: list
  elements: dict
  contains:
    directive:
      description:
        - The directive's name.
      returned: always
      type: str
    setting:
      description:
        - The key in C(settings).
      returned: always
      type: str
    value:
      description:
        - The value.
      returned: always
      type: int
    why:
      description:
        - The reason, one sentence.
      returned: always
      type: str
  sample:
    - directive: StartServers
      setting: start_servers
      value: 6
      why: 'all processes at once: httpd starts more for missing idle workers only, not for many connections'
    - directive: ServerLimit
      setting: server_limit
      value: 12
      why: >-
        6 processes, and 6 slots for processes that finish their last requests after a reload or 10000
        connections
config_test:
  description:
    - The real configuration test.
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
    ran: true
    ok: true
    output: Syntax OK
    reason: null
    rehearsal:
      ran: true
      ok: true
      status: 200
      milliseconds: 203
      output: ''
      reason: null
cause:
  description:
    - Why something differs; null where nothing does.
    - 'C(first): This tool has never changed the host.'
    - 'C(desired): What this tool left is still there: the parameters changed.'
    - 'C(drift): What this tool left was edited or removed by others.'
    - 'C(upgrade): A file that this tool has lines in was replaced as a whole, as the update of a package does.'
  returned: always
  type: str
  sample: first
transaction:
  description:
    - The id in the history; null where nothing was changed.
  returned: always
  type: str
  sample: '20261201T045714Z-8d40'
'''


from ansible.module_utils.basic import AnsibleModule


def main():
    """Checks the arguments, for ansible-lint and editors; a host never gets this file."""
    module = AnsibleModule(supports_check_mode=True, argument_spec={
        'state': {'type': 'str', 'default': 'present', 'choices': ['present', 'absent', 'rolled_back']},
        'transaction': {'type': 'str'},
        'mpm': {'type': 'str', 'choices': ['event', 'worker', 'prefork']},
        'settings': {'type': 'dict', 'options': {
            'start_servers': {'type': 'int'},
            'server_limit': {'type': 'int'},
            'thread_limit': {'type': 'int'},
            'threads_per_child': {'type': 'int'},
            'max_request_workers': {'type': 'int'},
            'min_spare_threads': {'type': 'int'},
            'max_spare_threads': {'type': 'int'},
            'min_spare_servers': {'type': 'int'},
            'max_spare_servers': {'type': 'int'},
            'async_request_worker_factor': {'type': 'int'},
            'max_connections_per_child': {'type': 'int'},
            'thread_stack_size': {'type': 'int'},
            'max_mem_free': {'type': 'int'},
            'listen_backlog': {'type': 'int'},
            'graceful_shutdown_timeout': {'type': 'int'},
        }},
        'capacity': {'type': 'dict', 'options': {
            'connections': {'type': 'int', 'required': True},
            'active': {'type': 'int'},
            'burst': {'type': 'int'},
        }},
        'memory': {'type': 'dict', 'options': {
            'per_worker': {'type': 'str'},
            'reserve': {'type': 'str'},
        }},
        'keepalive': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'timeout': {'type': 'str'},
            'max_requests': {'type': 'int'},
        }},
        'evasive': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'hash_table_size': {'type': 'int'},
            'page_count': {'type': 'int'},
            'site_count': {'type': 'int'},
            'page_interval': {'type': 'int'},
            'site_interval': {'type': 'int'},
            'blocking_period': {'type': 'int'},
            'http_status': {'type': 'int'},
            'email_notify': {'type': 'str'},
            'system_command': {'type': 'str'},
            'log_dir': {'type': 'str'},
            'whitelist': {'type': 'list', 'elements': 'str'},
        }},
        'slow_clients': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'handshake': {'type': 'int'},
            'header': {'type': 'dict', 'options': {
                'initial': {'type': 'int'},
                'max': {'type': 'int'},
                'min_rate': {'type': 'int'},
            }},
            'body': {'type': 'dict', 'options': {
                'initial': {'type': 'int'},
                'max': {'type': 'int'},
                'min_rate': {'type': 'int'},
            }},
            'timeout': {'type': 'int'},
        }},
        'status': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'path': {'type': 'str'},
            'allow': {'type': 'list', 'elements': 'str'},
            'listen': {'type': 'str'},
            'extended': {'type': 'bool'},
        }},
        'http2': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'min_workers': {'type': 'int'},
            'max_workers': {'type': 'int'},
            'max_streams': {'type': 'int'},
            'clear_text': {'type': 'bool'},
            'push': {'type': 'bool'},
        }},
        'compression': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'algorithms': {'type': 'list', 'elements': 'str'},
            'types': {'type': 'list', 'elements': 'str'},
            'gzip_level': {'type': 'int'},
            'br_quality': {'type': 'int'},
        }},
        'tls': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'session_cache': {'type': 'str'},
            'session_timeout': {'type': 'int'},
            'tickets': {'type': 'bool'},
            'stapling': {'type': 'bool'},
            'stapling_timeout': {'type': 'int'},
            'protocols': {'type': 'str'},
        }},
        'cache_disk': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'root': {'type': 'str'},
            'size': {'type': 'str'},
            'interval': {'type': 'int'},
            'paths': {'type': 'list', 'elements': 'str'},
            'except': {'type': 'list', 'elements': 'str'},
            'quick': {'type': 'bool'},
            'max_file': {'type': 'str'},
            'default_expire': {'type': 'int'},
            'max_expire': {'type': 'int'},
            'lock': {'type': 'bool'},
            'stale_on_error': {'type': 'bool'},
            'store_cookies': {'type': 'bool'},
            'header': {'type': 'bool'},
        }},
        'logs': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'directory': {'type': 'str'},
            'access': {'type': 'str'},
            'buffered': {'type': 'bool'},
            'require_mount': {'type': 'bool'},
            'rotate': {'type': 'bool'},
        }},
        'balancers': {'type': 'list', 'elements': 'dict', 'options': {
            'name': {'type': 'str'},
            'members': {'type': 'list', 'elements': 'dict', 'options': {
                'url': {'type': 'str'},
                'route': {'type': 'str'},
                'weight': {'type': 'int'},
                'standby': {'type': 'bool'},
            }},
            'method': {'type': 'str'},
            'sticky': {'type': 'dict', 'options': {
                'cookie': {'type': 'str'},
                'failover': {'type': 'bool'},
            }},
            'pool': {'type': 'dict', 'options': {
                'max': {'type': 'int'},
                'acquire': {'type': 'str'},
                'ttl': {'type': 'int'},
            }},
            'backend_limit': {'type': 'int'},
            'timeout': {'type': 'int'},
            'connect_timeout': {'type': 'str'},
            'retry': {'type': 'int'},
            'fail_on_status': {'type': 'list', 'elements': 'str'},
            'fail_on_timeout': {'type': 'bool'},
            'health': {'type': 'dict', 'options': {
                'method': {'type': 'str'},
                'uri': {'type': 'str'},
                'interval': {'type': 'int'},
                'fails': {'type': 'int'},
                'passes': {'type': 'int'},
                'expect': {'type': 'str'},
            }},
            'map': {'type': 'list', 'elements': 'dict', 'options': {
                'path': {'type': 'str'},
            }},
            'preserve_host': {'type': 'bool'},
            'forwarded_proto': {'type': 'bool'},
        }},
        'modsecurity': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'engine': {'type': 'str'},
            'rules': {'type': 'str'},
            'paranoia': {'type': 'int'},
            'inbound': {'type': 'int'},
            'outbound': {'type': 'int'},
            'body_limit': {'type': 'str'},
            'no_files_limit': {'type': 'str'},
            'inspect_responses': {'type': 'bool'},
            'audit': {'type': 'str'},
            'audit_status': {'type': 'str'},
            'exclude': {'type': 'list', 'elements': 'str'},
        }},
        'modules': {'type': 'dict', 'options': {
            'enabled': {'type': 'bool'},
            'remove': {'type': 'list', 'elements': 'str'},
        }},
        'mod_php': {'type': 'str', 'default': 'refuse', 'choices': ['refuse', 'disable']},
        'placement': {'type': 'str', 'default': 'distribution', 'choices': ['distribution', 'drop_in']},
        'activation': {'type': 'str', 'default': 'auto', 'choices': ['auto', 'defer']},
        'health': {'type': 'dict', 'options': {
            'url': {'type': 'str', 'required': True},
            'status': {'type': 'int', 'default': 200},
            'timeout': {'type': 'int', 'default': 30},
        }},
        'config_test': {'type': 'bool', 'default': True},
        'rehearse': {'type': 'bool', 'default': True},
        'waive': {'type': 'list', 'elements': 'str', 'default': []},
        'keep': {'type': 'int', 'default': 10},
        'lock_timeout': {'type': 'int', 'default': 60},
        'instance': {'type': 'str'},
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
        'root': {'type': 'str', 'default': '/'},
    })
    module.fail_json(msg='this module is run by the action plugin of its collection, on the controller')


if __name__ == '__main__':
    main()
