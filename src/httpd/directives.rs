//! The directives this tool manages or watches: one row each.
//!
//! Source: the command tables of httpd 2.4 (`server/core.c`, `include/ap_listen.h`, `server/mpm/*/*.c`) and of
//! mod_evasive 1.10.1 and 2.4.0.

use super::Mpm;

/// How httpd turns the text of a value into a number or a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parser {
    /// C's `atoi`: stops silently at the first other character, wraps to 32 bits.
    Atoi,
    /// `strtol` base 10; only negative values and overflow are refused.
    Strtol,
    /// `strtod` over the whole argument.
    Strtod,
    /// `ap_timeout_parameter_parse`: digits and a unit.
    Duration,
    /// `On` or `Off`, further words ignored.
    Flag,
    /// mod_evasive's numbers: `strtol` base 0.
    Strtol0,
    /// A list of words, repeatable.
    Iterate,
    /// The rest of the line, split by the module itself.
    Raw,
    /// One string.
    Text,
}

/// Which group of parameters a directive belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// `settings`: the multi-processing module's own numbers.
    Mpm,
    /// `keepalive`.
    KeepAlive,
    /// `evasive`: mod_evasive, every generation.
    Evasive,
    /// Watched because rules need it, never written: `Timeout`, `RequestReadTimeout`, HTTP/2's numbers.
    Watched,
}

/// One directive of httpd.
#[derive(Debug)]
pub struct Directive {
    /// Canonical spelling, as in httpd's documentation.
    pub name: &'static str,
    /// Older spelling that writes the same variable.
    pub alias: Option<&'static str>,
    /// The parameter's key, in `settings`, `keepalive` or `evasive`; empty where it cannot be set.
    pub key: &'static str,
    /// The group it belongs to.
    pub group: Group,
    /// The MPMs under which httpd knows the name.
    pub mpms: &'static [Mpm],
    /// How its value is read.
    pub parser: Parser,
    /// Whether a virtual host may have its own value.
    pub in_vhost: bool,
}

const E: &[Mpm] = &[Mpm::Event];
const EW: &[Mpm] = &[Mpm::Event, Mpm::Worker];
const P: &[Mpm] = &[Mpm::Prefork];
const ALL: &[Mpm] = &Mpm::ALL;

const fn mpm(name: &'static str, key: &'static str, mpms: &'static [Mpm], parser: Parser) -> Directive {
    Directive { name, alias: None, key, group: Group::Mpm, mpms, parser, in_vhost: false }
}

const fn aliased(name: &'static str, alias: &'static str, key: &'static str) -> Directive {
    Directive {
        name,
        alias: Some(alias),
        key,
        group: Group::Mpm,
        mpms: ALL,
        parser: Parser::Atoi,
        in_vhost: false,
    }
}

const fn server(name: &'static str, key: &'static str, group: Group, parser: Parser) -> Directive {
    Directive { name, alias: None, key, group, mpms: ALL, parser, in_vhost: true }
}

impl Directive {
    /// Tells whether a name is the directive's or its older alias, in any case, as httpd compares names.
    pub fn is(&self, name: &[u8]) -> bool {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        is(self.name) || self.alias.is_some_and(is)
    }
}

/// Every directive managed or watched, in the order in which files and results show them.
pub const DIRECTIVES: &[Directive] = &[
    mpm("StartServers", "start_servers", ALL, Parser::Atoi),
    mpm("ServerLimit", "server_limit", ALL, Parser::Atoi),
    mpm("ThreadLimit", "thread_limit", EW, Parser::Atoi),
    mpm("ThreadsPerChild", "threads_per_child", EW, Parser::Atoi),
    aliased("MaxRequestWorkers", "MaxClients", "max_request_workers"),
    mpm("MinSpareThreads", "min_spare_threads", EW, Parser::Atoi),
    mpm("MaxSpareThreads", "max_spare_threads", EW, Parser::Atoi),
    mpm("MinSpareServers", "min_spare_servers", P, Parser::Atoi),
    mpm("MaxSpareServers", "max_spare_servers", P, Parser::Atoi),
    mpm("AsyncRequestWorkerFactor", "async_request_worker_factor", E, Parser::Strtod),
    aliased("MaxConnectionsPerChild", "MaxRequestsPerChild", "max_connections_per_child"),
    mpm("ThreadStackSize", "thread_stack_size", ALL, Parser::Strtol),
    mpm("MaxMemFree", "max_mem_free", ALL, Parser::Strtol),
    mpm("ListenBacklog", "listen_backlog", ALL, Parser::Atoi),
    mpm("GracefulShutdownTimeout", "graceful_shutdown_timeout", ALL, Parser::Atoi),
    server("KeepAlive", "enabled", Group::KeepAlive, Parser::Flag),
    server("KeepAliveTimeout", "timeout", Group::KeepAlive, Parser::Duration),
    server("MaxKeepAliveRequests", "max_requests", Group::KeepAlive, Parser::Atoi),
    server("DOSEnabled", "enabled", Group::Evasive, Parser::Text),
    server("DOSHashTableSize", "hash_table_size", Group::Evasive, Parser::Strtol0),
    server("DOSPageCount", "page_count", Group::Evasive, Parser::Strtol0),
    server("DOSSiteCount", "site_count", Group::Evasive, Parser::Strtol0),
    server("DOSPageInterval", "page_interval", Group::Evasive, Parser::Strtol0),
    server("DOSSiteInterval", "site_interval", Group::Evasive, Parser::Strtol0),
    server("DOSBlockingPeriod", "blocking_period", Group::Evasive, Parser::Strtol0),
    server("DOSHTTPResponseCode", "http_status", Group::Evasive, Parser::Strtol0),
    server("DOSHTTPStatus", "http_status", Group::Evasive, Parser::Strtol0),
    server("DOSBlockingHttpResponse", "http_status", Group::Evasive, Parser::Strtol0),
    server("DOSEmailNotify", "email_notify", Group::Evasive, Parser::Text),
    server("DOSSystemCommand", "system_command", Group::Evasive, Parser::Text),
    server("DOSLogDir", "log_dir", Group::Evasive, Parser::Text),
    server("DOSWhitelist", "whitelist", Group::Evasive, Parser::Iterate),
    server("DOSWhitelistUri", "", Group::Evasive, Parser::Iterate),
    server("DOSBlocklistUri", "", Group::Evasive, Parser::Iterate),
    server("Timeout", "", Group::Watched, Parser::Atoi),
    server("RequestReadTimeout", "", Group::Watched, Parser::Raw),
    watched("ListenCoresBucketsRatio", ALL),
    watched("ListenTCPDeferAccept", ALL),
    watched("SendBufferSize", ALL),
    watched("ReceiveBufferSize", ALL),
    Directive {
        name: "ScoreBoardFile",
        alias: None,
        key: "",
        group: Group::Watched,
        mpms: ALL,
        parser: Parser::Text,
        in_vhost: false,
    },
    server("H2MinWorkers", "", Group::Watched, Parser::Raw),
    server("H2MaxWorkers", "", Group::Watched, Parser::Raw),
    server("H2MaxSessionStreams", "", Group::Watched, Parser::Raw),
    server("H2WindowSize", "", Group::Watched, Parser::Raw),
    server("H2StreamMaxMemSize", "", Group::Watched, Parser::Raw),
];

const fn watched(name: &'static str, mpms: &'static [Mpm]) -> Directive {
    Directive {
        name,
        alias: None,
        key: "",
        group: Group::Watched,
        mpms,
        parser: Parser::Atoi,
        in_vhost: false,
    }
}

/// Returns the row of a directive by its name or its older alias, in any case, as httpd compares names.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.is(name))
}

/// Returns the row of a directive by its canonical name.
pub fn named(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.name == name)
}

/// Returns the row of a key of `settings`.
pub fn setting(key: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.group == Group::Mpm && row.key == key)
}

/// Returns the rows of one group, in table order.
pub fn group(group: Group) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(move |row| row.group == group)
}
