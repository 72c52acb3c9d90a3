//! The directives of httpd itself: those of the MPMs, which `settings` gives, and those of its core that are watched.
//!
//! Source: the command tables of httpd 2.4 (`server/core.c`, `include/ap_listen.h`, `server/mpm/*/*.c`). Defaults:
//! `*_pre_config` of the MPMs and the `DEFAULT_*` constants beside them.

use super::Mpm;
use super::directives::{Directive, Group, Loaded, NoModules, Parser, Takes};
use crate::parameters::Group as _;

const E: &[Mpm] = &[Mpm::Event];
const EW: &[Mpm] = &[Mpm::Event, Mpm::Worker];
const P: &[Mpm] = &[Mpm::Prefork];

const fn mpm(name: &'static str, default: fn(Mpm, &dyn Loaded) -> &'static str) -> Directive {
    Directive::new(name, Group::MPM, Parser::Atoi).default(default)
}

crate::parameters! {
    /// The MPM's directives by httpd's name in snake_case, whole numbers. The sizes are one set: with this group given, one
    /// that is left out is not written and httpd's own default counts. Any other directive that is left out is not
    /// changed; one that is removed from the task again restores the earlier value.
    pub struct Settings {
        /// Processes started at first. `StartServers`. A size: left out, httpd's default counts.
        start_servers: i64 => [mpm("StartServers", |mpm, _| if mpm.threaded() { "3" } else { "5" }).size()];
        /// Most processes that can ever exist until the next stop and start. `ServerLimit`: 1 to 20000, prefork 200000. A
        /// size: left out, httpd's default counts.
        server_limit: i64 => [mpm("ServerLimit", |mpm, _| if mpm.threaded() { "16" } else { "256" }).size().takes(Takes::Restart)];
        /// Most threads a process can ever have until the next stop and start. `ThreadLimit`: 1 to 20000 (worker) or
        /// 100000 (event). A size: left out, httpd's default counts.
        thread_limit: i64 => [mpm("ThreadLimit", |_, _| "64").size().mpms(EW).takes(Takes::Restart)];
        /// Worker threads a process. `ThreadsPerChild`: 1 to ThreadLimit. A size: left out, httpd's default counts.
        threads_per_child: i64 => [mpm("ThreadsPerChild", |_, _| "25").size().mpms(EW)];
        /// Requests served at once. `MaxRequestWorkers`: a multiple of ThreadsPerChild, at most ServerLimit times it. A
        /// size: left out, httpd's default counts.
        max_request_workers: i64 => [mpm("MaxRequestWorkers", |mpm, _| if mpm.threaded() { "400" } else { "256" }).size().alias("MaxClients")];
        /// Fewest idle threads over all processes. `MinSpareThreads`. A size: left out, httpd's default counts.
        min_spare_threads: i64 => [mpm("MinSpareThreads", |_, _| "75").size().mpms(EW)];
        /// Most idle threads over all processes. `MaxSpareThreads`: at least MinSpareThreads + ThreadsPerChild + 1. A
        /// size: left out, httpd's default counts.
        max_spare_threads: i64 => [mpm("MaxSpareThreads", |_, _| "250").size().mpms(EW)];
        /// Fewest idle processes, prefork. `MinSpareServers`. A size: left out, httpd's default counts.
        min_spare_servers: i64 => [mpm("MinSpareServers", |_, _| "5").size().mpms(P)];
        /// Most idle processes, prefork. `MaxSpareServers`: more than MinSpareServers. A size: left out, httpd's default
        /// counts.
        max_spare_servers: i64 => [mpm("MaxSpareServers", |_, _| "10").size().mpms(P)];
        /// Connections held for each idle worker, event. `AsyncRequestWorkerFactor`: a whole number from 1. A size: left
        /// out, httpd's default counts.
        async_request_worker_factor: i64 => [Directive::new("AsyncRequestWorkerFactor", Group::MPM, Parser::Strtod).default(|_, _| "2").size().mpms(E)];
        /// Connections a process serves before it is replaced; 0 is no limit. `MaxConnectionsPerChild`. If omitted, it
        /// is not changed.
        max_connections_per_child: i64 => [mpm("MaxConnectionsPerChild", |_, _| "0").alias("MaxRequestsPerChild")];
        /// Bytes of stack a thread gets; 0 is the system's default. `ThreadStackSize`. If omitted, it is not changed.
        thread_stack_size: i64 => [Directive::new("ThreadStackSize", Group::MPM, Parser::Strtol).default(|_, _| "0")];
        /// KiB that an allocator keeps before giving memory back; 0 is no limit. `MaxMemFree`. If omitted, it is not
        /// changed.
        max_mem_free: i64 => [Directive::new("MaxMemFree", Group::MPM, Parser::Strtol).default(|_, _| "2048")];
        /// Connections that wait to be accepted, for each listening socket. `ListenBacklog`. If omitted, it is not
        /// changed.
        listen_backlog: i64 => [mpm("ListenBacklog", |_, _| "511").sized().takes(Takes::Socket)];
        /// Seconds that a graceful stop waits for requests; 0 waits for ever. `GracefulShutdownTimeout`. If omitted, it
        /// is not changed.
        graceful_shutdown_timeout: i64 => [mpm("GracefulShutdownTimeout", |_, _| "0")];
    }
}

impl Settings {
    /// Returns the given values by the directive's canonical name, in the order of the directive table.
    pub fn numbers(&self) -> Vec<(&'static str, i64)> {
        let number = |(key, words): (&str, Vec<String>)| {
            Some((mpm_rows().find(|row| row.key == key)?.name, words.first()?.parse().ok()?))
        };
        self.given().into_iter().filter_map(number).collect()
    }
}

const fn watched(name: &'static str) -> Directive {
    Directive::new(name, Group::WATCHED, Parser::Atoi)
}

fn is_remoteip(identifier: &str) -> bool {
    identifier == "remoteip_module"
}

/// The directives that rules need and no parameter sets.
pub const WATCHED: &[Directive] = &[
    watched("ListenCoresBucketsRatio").since(17).takes(Takes::Restart),
    watched("ListenTCPDeferAccept").since(66),
    watched("SendBufferSize").takes(Takes::Socket),
    watched("ReceiveBufferSize").takes(Takes::Socket),
    Directive::new("RemoteIPHeader", Group::WATCHED, Parser::Text).in_vhosts().module(is_remoteip),
    Directive::new("RemoteIPProxyProtocol", Group::WATCHED, Parser::Flag).in_vhosts().module(is_remoteip),
    Directive::new("ScoreBoardFile", Group::WATCHED, Parser::Text).takes(Takes::Restart),
];

/// Returns the rows of the directives of httpd itself, for what needs no feature.
pub fn rows() -> impl Iterator<Item = &'static Directive> {
    mpm_rows().chain(WATCHED)
}

/// Returns the row of a directive of httpd itself by its name or its older alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    rows().find(|row| row.is(name))
}

/// Returns the rows of the MPMs' directives.
pub fn mpm_rows() -> impl Iterator<Item = &'static Directive> {
    Settings::DIRECTIVES.iter().copied().flatten()
}

/// Returns the number that counts for a directive where no line sets it and nothing but the MPM matters.
pub fn default_number(name: &str, mpm: Mpm) -> u64 {
    find(name.as_bytes()).and_then(|row| (row.default)(mpm, &NoModules).parse().ok()).unwrap_or_default()
}
