//! Answers kept on disk: mod_cache and mod_cache_disk, with the defaults that are safe.
//!
//! httpd's own would hand one visitor's cookie to the next, and a page to whom an access rule denies it. Files of the own
//! disk gain nothing from it: it is for what is made or fetched anew for each request.

mod cleaner;
mod reports;

use std::path::Path;

use crate::facts::access;
use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Loaded as _, Parser};
use crate::report::Severity;
use crate::rules::{Check, Rule};
use crate::units::Bytes;

/// The name of this feature's parameters and block.
pub const NAME: &str = "cache_disk";

/// What the cleaner keeps a cache below where nothing else is asked, in bytes.
const USUAL_SIZE: u64 = 300 << 20;

const CACHE_ID: &str = "cache_module";
const DISK_ID: &str = "cache_disk_module";

fn is_cache(identifier: &str) -> bool {
    identifier == CACHE_ID
}

fn is_disk(identifier: &str) -> bool {
    identifier == DISK_ID
}

const fn cache(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group(NAME), parser).in_vhosts().module(is_cache)
}

crate::parameters! {
    /// A cache of answers on disk. It is written whole: what is left out is as its default says.
    pub struct CacheDisk {
        /// Whether answers are cached: `true` loads the modules, `false` takes out what this program put in. If omitted,
        /// the modules are not changed.
        enabled: bool;
        /// The directory, of the user that serves requests. Default: that of the distribution.
        root: String => [
            Directive::new("CacheRoot", Group(NAME), Parser::Text).in_vhosts().module(is_disk),
        ];
        /// The size that htcacheclean keeps the cache below. Default: `300M`.
        size: String;
        /// Minutes between two cleanings. Default: 15.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1440)))]
        interval: i64;
        /// Beginnings of the paths that are cached. Default: all of them.
        paths: Vec<String>;
        /// Beginnings of paths that are not.
        except: Vec<String>;
        /// Whether answers come from the cache before any access rule is asked. `CacheQuickHandler`. Default: no.
        quick: bool => [cache("CacheQuickHandler", Parser::Flag).default(|_, _| "On")];
        /// The largest answer that is kept. `CacheMaxFileSize`. Default: `1M`.
        max_file: String => [
            Directive::new("CacheMaxFileSize", Group(NAME), Parser::Atoi)
                .in_vhosts().module(is_disk).default(|_, _| "1000000"),
        ];
        /// Seconds for answers that say nothing themselves. `CacheDefaultExpire`.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 31_536_000)))]
        default_expire: i64 => [cache("CacheDefaultExpire", Parser::Atoi).default(|_, _| "3600")];
        /// The most seconds that any answer is kept. `CacheMaxExpire`. Default: 86400.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 31_536_000)))]
        max_expire: i64 => [cache("CacheMaxExpire", Parser::Atoi).default(|_, _| "86400")];
        /// Whether only one request fetches what many wait for. `CacheLock`. Default: yes.
        lock: bool => [cache("CacheLock", Parser::Flag).default(|_, _| "Off")];
        /// Whether an old answer is given where the backend fails. `CacheStaleOnError`. Default: yes.
        stale_on_error: bool => [cache("CacheStaleOnError", Parser::Flag).default(|_, _| "On")];
        /// Whether cookies are stored and handed to the next visitor. Default: no.
        store_cookies: bool;
        /// Whether answers say in `X-Cache` where they come from. `CacheHeader`. Default: no.
        header: bool => [cache("CacheHeader", Parser::Flag).default(|_, _| "Off")];
    }
}

impl CacheDisk {
    /// Returns what the cleaner is to keep the cache below, in bytes.
    fn limit(&self) -> u64 {
        let asked = self.size.as_deref().and_then(Bytes::parse);
        asked.map_or(USUAL_SIZE, |bytes| bytes.0)
    }
}

static CACHE: Module = Module::stock("cache", is_cache);
static DISK: Module = Module { needs: &[&CACHE], ..Module::stock("cache_disk", is_disk) };

pub(crate) static CACHE_001: Rule = Rule {
    id: "CACHE-001",
    severity: Severity::Error,
    setting: "cache_disk.root",
    summary: "is no absolute path of a directory that the web server's user may write; nothing is cached, with no message",
    source: "httpd 2.4 modules/cache/mod_cache_disk.c; AH00765 at level debug",
    check: Check::View(reports::root_missing),
    ..Rule::NEW
};

pub(crate) static CACHE_004: Rule = Rule {
    id: "CACHE-004",
    severity: Severity::Error,
    setting: "cache_disk.store_cookies",
    summary: "cookies are stored and handed to the next visitor",
    source: "httpd 2.4 modules/cache/cache_storage.c; CacheIgnoreHeaders",
    check: Check::View(reports::cookies_stored),
    ..Rule::NEW
};

pub(crate) static CACHE_007: Rule = Rule {
    id: "CACHE-007",
    severity: Severity::Warning,
    setting: "cache_disk.size",
    summary: "nothing in httpd limits the cache; htcacheclean must run on its directory",
    source: "httpd 2.4 support/htcacheclean.c",
    check: Check::View(reports::nothing_cleans),
    ..Rule::NEW
};

pub(crate) static CACHE_012: Rule = Rule {
    id: "CACHE-012",
    severity: Severity::Error,
    setting: "cache_disk.quick",
    summary: "the cache answers before ModSecurity or mod_evasive can refuse",
    source: "httpd 2.4 modules/cache/mod_cache.c, cache_quick_handler",
    check: Check::View(reports::answers_before_judges),
    ..Rule::NEW
};

pub(crate) static CACHE_014: Rule = Rule {
    id: "CACHE-014",
    severity: Severity::Error,
    setting: "cache_disk",
    summary: "a size or a path that httpd would not take",
    source: "httpd 2.4 modules/cache/mod_cache_disk.c, mod_cache.c",
    ..Rule::NEW
};

/// The feature.
pub static CACHE_DISK: Feature = Feature {
    name: NAME,
    doc: "A cache of answers on disk, with cookies left out and access rules kept. If omitted, it is not managed.",
    fields: CacheDisk::FIELDS,
    list: false,
    directives: CacheDisk::DIRECTIVES,
    watched: &[],
    modules: &[&DISK, &CACHE],
    rules: &[
        &CACHE_001,
        &reports::CACHE_002,
        &reports::CACHE_003,
        &CACHE_004,
        &reports::CACHE_005,
        &reports::CACHE_006,
        &CACHE_007,
        &reports::CACHE_008,
        &reports::CACHE_009,
        &reports::CACHE_010,
        &reports::CACHE_011,
        &CACHE_012,
        &reports::CACHE_013,
        &CACHE_014,
    ],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<CacheDisk>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<CacheDisk>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// Returns the directory of a family's package.
fn usual_root(host: &Host<'_>) -> &'static str {
    match host.place.site.layout.name {
        "redhat" => "/var/cache/httpd/proxy",
        "arch" => "/var/cache/httpd",
        _ => "/var/cache/apache2/mod_cache_disk",
    }
}

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<CacheDisk>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    let root = asked.root.as_deref().unwrap_or(usual_root(host));
    look_at_root(root, host, want);
    let bytes = |key: &str, text: &Option<String>, usual: u64, want: &mut Want| match text {
        None => usual,
        Some(text) => Bytes::parse(text).map_or_else(
            || {
                let setting = format!("cache_disk.{key}");
                let message = format!("{setting} {text:?} is not an amount");
                want.findings.push(CACHE_014.finding((&setting, text), message, "write one such as 300M"));
                usual
            },
            |bytes| bytes.0,
        ),
    };
    let size = bytes("size", &asked.size, USUAL_SIZE, want);
    let max_file = bytes("max_file", &asked.max_file, 1 << 20, want);
    let paths = asked.paths.clone().unwrap_or_else(|| vec!["/".to_owned()]);
    let except = asked.except.clone().unwrap_or_default();
    for path in paths.iter().chain(&except).filter(|path| !path.starts_with('/')) {
        let message = format!("{path:?} is no beginning of a path");
        want.findings.push(CACHE_014.finding(("cache_disk.paths", path), message, "begin it with /"));
    }
    if asked.store_cookies == Some(true) {
        want.findings.push(CACHE_004.finding(
            ("cache_disk.store_cookies", "true"),
            "a cookie that one visitor got is stored and handed to the next one",
            "leave store_cookies out, or waive this where no answer under the paths sets a cookie",
        ));
    }
    let minutes = asked.interval.unwrap_or(15);
    if !cleaner::cleans(host.place.files, host.place.site.layout, Path::new(root)) {
        let user = host.place.site.layout.user;
        want.findings.push(CACHE_007.finding(
            ("cache_disk.size", &size.to_string()),
            format!(
                "nothing in httpd keeps {root} below {} MiB: htcacheclean does, and it is not enabled for it",
                size >> 20
            ),
            format!("run htcacheclean -d {minutes} -n -t -i -p {root} -l {}M as {user}", size >> 20),
        ));
    }
    let judges = |id: &str| id == "security2_module" || id.starts_with("evasive");
    if asked.quick == Some(true) && host.place.configuration.any_module(&judges) {
        want.findings.push(CACHE_012.finding(
            ("cache_disk.quick", "true"),
            "answers come from the cache before ModSecurity or mod_evasive can refuse the request",
            "leave cache_disk.quick out",
        ));
    }

    let on = |flag: bool| if flag { "On" } else { "Off" }.to_owned();
    want.set(&CACHE_DISK, "root", vec![root.to_owned()]);
    want.set(&CACHE_DISK, "quick", vec![on(asked.quick == Some(true))]);
    want.set(&CACHE_DISK, "max_file", vec![max_file.to_string()]);
    if let Some(seconds) = asked.default_expire {
        want.set(&CACHE_DISK, "default_expire", vec![seconds.to_string()]);
    }
    want.set(&CACHE_DISK, "max_expire", vec![asked.max_expire.unwrap_or(86_400).to_string()]);
    want.set(&CACHE_DISK, "lock", vec![on(asked.lock != Some(false))]);
    want.set(&CACHE_DISK, "stale_on_error", vec![on(asked.stale_on_error != Some(false))]);
    want.set(&CACHE_DISK, "header", vec![on(asked.header == Some(true))]);
    want.guard(&CACHE_DISK, DISK_ID);
    let mut items = vec![Item::line("CacheDirLevels", ["2"]), Item::line("CacheDirLength", ["1"])];
    if asked.lock != Some(false) {
        items.push(Item::line("CacheLockPath", [format!("{}/.lock", root.trim_end_matches('/'))]));
        items.push(Item::line("CacheLockMaxAge", ["5"]));
    }
    if asked.store_cookies != Some(true) {
        items.push(Item::line("CacheIgnoreHeaders", ["Set-Cookie"]));
    }
    items.extend(paths.iter().map(|path| Item::line("CacheEnable", ["disk", path])));
    items.extend(except.iter().map(|path| Item::line("CacheDisable", [path.as_str()])));
    want.items = vec![Item::Section("IfModule", DISK_ID.to_owned(), items)];
    want.module = asked.enabled;
}

/// Says where the directory is none that httpd can write to: it would cache nothing, with no message.
fn look_at_root(root: &str, host: &Host<'_>, want: &mut Want) {
    let (files, user) = (host.place.files, host.place.site.layout.user);
    let path = Path::new(root);
    let why = if !path.is_absolute() || root.contains("/..") {
        Some("is not an absolute path")
    } else if !files.is_dir(path) {
        Some("is not a directory")
    } else if files.status(path).is_some_and(|status| !access::may_write(files, user, &status)) {
        Some("cannot be written by the web server's user")
    } else {
        None
    };
    if let Some(why) = why {
        want.findings.push(CACHE_001.finding(
            ("cache_disk.root", root),
            format!("{root} {why}: httpd would cache nothing, with no message"),
            format!("make it with: install -d -m 0700 -o {user} {root}"),
        ));
    }
}
