//! The directives this tool manages or watches: one row each, from which reading, effective values, defaults,
//! corrections and the need of a restart follow.
//!
//! Source: the command tables of httpd 2.4 (`server/core.c`, `include/ap_listen.h`, `server/mpm/*/*.c`) and of
//! mod_evasive 1.10.1 and 2.4.0.

use super::{Mpm, Version};

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
    /// `strtol` base 0, as mod_evasive reads its numbers.
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

/// What brings a changed value into a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Takes {
    /// A graceful reload.
    Reload,
    /// A stop and start: the parent keeps the old value for its whole life.
    Restart,
    /// A stop and start, because the open listening socket keeps its own value.
    Socket,
}

/// The modules that are loaded, for what depends on them.
pub trait Loaded {
    /// Tells whether the identifier of some loaded module is accepted.
    fn any_module(&self, is: &dyn Fn(&str) -> bool) -> bool;
}

/// No module at all, where only the MPM matters.
#[derive(Debug, Clone, Copy)]
pub struct NoModules;

impl Loaded for NoModules {
    fn any_module(&self, _: &dyn Fn(&str) -> bool) -> bool {
        false
    }
}

/// One directive of httpd.
#[derive(Debug, Clone, Copy)]
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
    /// Accepts the identifiers of the modules that bring it; `None` for httpd's core and the MPMs.
    pub module: Option<fn(&str) -> bool>,
    /// The first release of httpd 2.4 that knows it; 0 for all.
    pub since: u16,
    /// How its value is read.
    pub parser: Parser,
    /// Whether it takes more words than the one that counts.
    pub more_words: bool,
    /// Whether a virtual host may have its own value.
    pub in_vhost: bool,
    /// Accepts the identifiers of the modules that keep one value for the whole process, whichever virtual host sets it.
    pub process_wide: fn(&str) -> bool,
    /// The value that counts where no line sets it.
    pub default: fn(Mpm, &dyn Loaded) -> &'static str,
    /// Whether the default counts too where the number is not above zero.
    pub positive: bool,
    /// What brings a changed value into a running server.
    pub takes: Takes,
}

const E: &[Mpm] = &[Mpm::Event];
const EW: &[Mpm] = &[Mpm::Event, Mpm::Worker];
const P: &[Mpm] = &[Mpm::Prefork];

impl Directive {
    /// Returns the row of a directive that only the main server may have, under any MPM.
    pub const fn new(name: &'static str, group: Group, parser: Parser) -> Self {
        Self {
            name,
            alias: None,
            key: "",
            group,
            mpms: &Mpm::ALL,
            module: None,
            since: 0,
            parser,
            more_words: false,
            in_vhost: false,
            process_wide: |_| false,
            default: |_, _| "",
            positive: false,
            takes: Takes::Reload,
        }
    }

    /// Sets the parameter's key.
    #[must_use]
    pub const fn key(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    /// Sets the older spelling.
    #[must_use]
    pub const fn alias(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// Restricts it to some MPMs.
    #[must_use]
    pub const fn mpms(self, mpms: &'static [Mpm]) -> Self {
        Self { mpms, ..self }
    }

    /// Says which modules bring it.
    #[must_use]
    pub const fn module(self, module: fn(&str) -> bool) -> Self {
        Self { module: Some(module), ..self }
    }

    /// Sets the first release of httpd 2.4 that knows it.
    #[must_use]
    pub const fn since(self, since: u16) -> Self {
        Self { since, ..self }
    }

    /// Says that it takes more words than the one that counts.
    #[must_use]
    pub const fn more_words(self) -> Self {
        Self { more_words: true, ..self }
    }

    /// Says that a virtual host may have its own value.
    #[must_use]
    pub const fn in_vhosts(self) -> Self {
        Self { in_vhost: true, ..self }
    }

    /// Says which modules keep one value for the whole process, whichever virtual host sets it.
    #[must_use]
    pub const fn process_wide(self, process_wide: fn(&str) -> bool) -> Self {
        Self { process_wide, ..self }
    }

    /// Sets the value that counts where no line sets it.
    #[must_use]
    pub const fn default(self, default: fn(Mpm, &dyn Loaded) -> &'static str) -> Self {
        Self { default, ..self }
    }

    /// Says that the default counts too where the number is not above zero.
    #[must_use]
    pub const fn positive(self) -> Self {
        Self { positive: true, ..self }
    }

    /// Says what brings a changed value into a running server.
    #[must_use]
    pub const fn takes(self, takes: Takes) -> Self {
        Self { takes, ..self }
    }

    /// Tells whether a name is the directive's or its older alias, in any case, as httpd compares names.
    pub fn is(&self, name: &[u8]) -> bool {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        is(self.name) || self.alias.is_some_and(is)
    }

    /// Tells whether a release of httpd is too old for it.
    pub fn is_newer_than(&self, version: Version) -> bool {
        version < Version::v24(self.since)
    }

    /// Tells whether one of the loaded modules keeps one value of it for the whole process.
    pub fn counts_everywhere(&self, loaded: &dyn Loaded) -> bool {
        loaded.any_module(&self.process_wide)
    }
}

const fn mpm(
    name: &'static str,
    key: &'static str,
    default: fn(Mpm, &dyn Loaded) -> &'static str,
) -> Directive {
    Directive::new(name, Group::Mpm, Parser::Atoi).key(key).default(default)
}

const fn keepalive(name: &'static str, key: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group::KeepAlive, parser).key(key).in_vhosts()
}

const fn evasive(name: &'static str, key: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group::Evasive, parser)
        .key(key)
        .in_vhosts()
        .module(is_evasive)
        .process_wide(|identifier| is_evasive(identifier) && !is_second(identifier))
}

const fn evasive_number(
    name: &'static str,
    key: &'static str,
    default: fn(Mpm, &dyn Loaded) -> &'static str,
) -> Directive {
    evasive(name, key, Parser::Strtol0).default(default).positive()
}

/// Tells whether a module identifier is one of mod_evasive's: `evasive20_module`, `evasive24_module`,
/// `evasive_module`.
pub fn is_evasive(identifier: &str) -> bool {
    identifier.starts_with("evasive") && identifier.ends_with("_module")
}

/// Tells whether it is the 2.x line's, whose identifier has no number.
fn is_second(identifier: &str) -> bool {
    identifier == "evasive_module"
}

const fn watched(name: &'static str) -> Directive {
    Directive::new(name, Group::Watched, Parser::Atoi)
}

const fn http2(name: &'static str) -> Directive {
    Directive::new(name, Group::Watched, Parser::Raw)
        .in_vhosts()
        .module(|identifier| identifier == "http2_module")
}

/// Every directive managed or watched, in the order in which files and results show them.
pub const DIRECTIVES: &[Directive] = &[
    // The MPM's. Defaults: `*_pre_config` of the MPMs and the `DEFAULT_*` constants beside them.
    mpm("StartServers", "start_servers", |mpm, _| if mpm.threaded() { "3" } else { "5" }),
    mpm("ServerLimit", "server_limit", |mpm, _| if mpm.threaded() { "16" } else { "256" })
        .takes(Takes::Restart),
    mpm("ThreadLimit", "thread_limit", |_, _| "64").mpms(EW).takes(Takes::Restart),
    mpm("ThreadsPerChild", "threads_per_child", |_, _| "25").mpms(EW),
    mpm("MaxRequestWorkers", "max_request_workers", |mpm, _| if mpm.threaded() { "400" } else { "256" })
        .alias("MaxClients"),
    mpm("MinSpareThreads", "min_spare_threads", |_, _| "75").mpms(EW),
    mpm("MaxSpareThreads", "max_spare_threads", |_, _| "250").mpms(EW),
    mpm("MinSpareServers", "min_spare_servers", |_, _| "5").mpms(P),
    mpm("MaxSpareServers", "max_spare_servers", |_, _| "10").mpms(P),
    Directive::new("AsyncRequestWorkerFactor", Group::Mpm, Parser::Strtod)
        .key("async_request_worker_factor")
        .default(|_, _| "2")
        .mpms(E),
    mpm("MaxConnectionsPerChild", "max_connections_per_child", |_, _| "0").alias("MaxRequestsPerChild"),
    Directive::new("ThreadStackSize", Group::Mpm, Parser::Strtol)
        .key("thread_stack_size")
        .default(|_, _| "0"),
    Directive::new("MaxMemFree", Group::Mpm, Parser::Strtol).key("max_mem_free").default(|_, _| "2048"),
    mpm("ListenBacklog", "listen_backlog", |_, _| "511").takes(Takes::Socket),
    mpm("GracefulShutdownTimeout", "graceful_shutdown_timeout", |_, _| "0"),
    // Defaults: `include/httpd.h`.
    keepalive("KeepAlive", "enabled", Parser::Flag).default(|_, _| "On"),
    keepalive("KeepAliveTimeout", "timeout", Parser::Duration).default(|_, _| "5"),
    keepalive("MaxKeepAliveRequests", "max_requests", Parser::Atoi).default(|_, _| "100"),
    // Defaults: the heads of `mod_evasive20.c` and `mod_evasive.c` of the 2.x line.
    evasive("DOSEnabled", "enabled", Parser::Text).default(|_, _| "false").module(is_second),
    evasive_number("DOSHashTableSize", "hash_table_size", |_, loaded| {
        if loaded.any_module(&is_second) { "3079" } else { "3097" }
    }),
    evasive_number("DOSPageCount", "page_count", |_, _| "2"),
    evasive_number("DOSSiteCount", "site_count", |_, _| "50"),
    evasive_number("DOSPageInterval", "page_interval", |_, _| "1"),
    evasive_number("DOSSiteInterval", "site_interval", |_, _| "1"),
    evasive_number("DOSBlockingPeriod", "blocking_period", |_, _| "10"),
    evasive("DOSHTTPResponseCode", "http_status", Parser::Strtol0)
        .default(|_, _| "403")
        .module(|identifier| is_evasive(identifier) && !is_second(identifier)),
    evasive("DOSHTTPStatus", "http_status", Parser::Strtol0)
        .default(|_, _| "403")
        .module(is_second)
        .more_words(),
    evasive("DOSBlockingHttpResponse", "http_status", Parser::Strtol0)
        .default(|_, _| "403")
        .module(|identifier| identifier == "evasive24_module"),
    evasive("DOSEmailNotify", "email_notify", Parser::Text),
    evasive("DOSSystemCommand", "system_command", Parser::Text),
    evasive("DOSLogDir", "log_dir", Parser::Text).default(|_, _| "/tmp"),
    evasive("DOSWhitelist", "whitelist", Parser::Iterate),
    evasive("DOSWhitelistUri", "", Parser::Iterate).module(is_second),
    evasive("DOSBlocklistUri", "", Parser::Iterate).module(is_second),
    watched("Timeout").in_vhosts(),
    Directive::new("RequestReadTimeout", Group::Watched, Parser::Raw)
        .in_vhosts()
        .module(|identifier| identifier == "reqtimeout_module"),
    watched("SendBufferSize").takes(Takes::Socket),
    watched("ReceiveBufferSize").takes(Takes::Socket),
    watched("ListenCoresBucketsRatio").since(17).takes(Takes::Restart),
    watched("ListenTCPDeferAccept").since(66),
    Directive::new("ScoreBoardFile", Group::Watched, Parser::Text).takes(Takes::Restart),
    http2("H2MinWorkers"),
    http2("H2MaxWorkers"),
    http2("H2MaxSessionStreams"),
    http2("H2WindowSize"),
    http2("H2StreamMaxMemSize"),
];

/// Returns the row of a directive by its name or its older alias, in any case, as httpd compares names.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.is(name))
}

/// Returns the row of a directive by its canonical name.
pub fn named(name: &str) -> Option<&'static Directive> {
    DIRECTIVES.iter().find(|row| row.name == name)
}

/// Returns the rows of one group, in table order.
pub fn group(group: Group) -> impl Iterator<Item = &'static Directive> {
    DIRECTIVES.iter().filter(move |row| row.group == group)
}

/// Returns the number that counts for a directive where no line sets it and nothing but the MPM matters.
pub fn default_number(name: &str, mpm: Mpm) -> u64 {
    named(name).and_then(|row| (row.default)(mpm, &NoModules).parse().ok()).unwrap_or_default()
}
