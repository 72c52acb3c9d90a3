//! Which of the loaded modules are used, and by what: their directives as they are carried out, names of theirs in other
//! directives, modules that need them, and what a `.htaccess` file may still say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::httpd::read::startup::{Line, Startup};

/// What is known of a module's use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Use {
    /// It does its work without any line, so that none proves anything.
    Stays,
    /// Something uses it: what.
    By(String),
    /// Something outside of the configuration may use it: what would tell.
    Open(String),
    /// Nothing does.
    None,
}

/// Modules that act without a directive of their own, or without which httpd does not start.
pub(super) const STAYS: [&str; 10] =
    ["authz_core", "core", "dir", "http", "log_config", "mime", "reqtimeout", "so", "systemd", "unixd"];

/// Modules whose own file as shipped sets directives that use nothing by themselves.
const SHIPPED: [&str; 2] = ["autoindex", "negotiation"];

/// Modules that something else than a line may use, and what.
const OPEN: [(&str, &str); 5] = [
    ("macro", "whether a <Macro> section is somewhere"),
    ("status", "whether something outside watches the server by it"),
    ("unique_id", "whether an application reads UNIQUE_ID"),
    ("version", "whether an <IfVersion> section is somewhere"),
    ("watchdog", "whether a module from elsewhere needs it"),
];

/// Modules and those that each needs, beside what `# Depends:` of Debian says.
const NEEDS: [(&str, &str); 42] = [
    ("auth_basic", "authn_core"),
    ("auth_digest", "authn_core"),
    ("auth_form", "authn_core"),
    ("auth_form", "request"),
    ("auth_form", "session"),
    ("authn_anon", "authn_core"),
    ("authn_dbd", "authn_core"),
    ("authn_dbd", "dbd"),
    ("authn_dbm", "authn_core"),
    ("authn_file", "authn_core"),
    ("authn_socache", "authn_core"),
    ("authnz_ldap", "authn_core"),
    ("authnz_ldap", "ldap"),
    ("authz_dbd", "dbd"),
    ("brotli", "filter"),
    ("cache_disk", "cache"),
    ("cache_socache", "cache"),
    ("dav_fs", "dav"),
    ("dav_lock", "dav"),
    ("deflate", "filter"),
    ("heartmonitor", "watchdog"),
    ("lbmethod_bybusyness", "proxy_balancer"),
    ("lbmethod_byrequests", "proxy_balancer"),
    ("lbmethod_bytraffic", "proxy_balancer"),
    ("lbmethod_heartbeat", "proxy_balancer"),
    ("md", "watchdog"),
    ("proxy_ajp", "proxy"),
    ("proxy_balancer", "proxy"),
    ("proxy_balancer", "slotmem_shm"),
    ("proxy_connect", "proxy"),
    ("proxy_express", "proxy"),
    ("proxy_fcgi", "proxy"),
    ("proxy_ftp", "proxy"),
    ("proxy_hcheck", "watchdog"),
    ("proxy_http", "proxy"),
    ("proxy_http2", "proxy"),
    ("proxy_scgi", "proxy"),
    ("proxy_uwsgi", "proxy"),
    ("proxy_wstunnel", "proxy"),
    ("security2", "unique_id"),
    ("session_cookie", "session"),
    ("session_crypto", "session"),
];

/// Returns the modules that need one.
pub(super) fn needing(name: &str) -> impl Iterator<Item = &'static str> {
    NEEDS.iter().filter(move |(_, needed)| *needed == name).map(|(by, _)| *by)
}

/// Returns how many modules may lead to one by what they need: those that nothing needs come first.
pub(super) fn depth(name: &str) -> usize {
    // The table has no circle.
    needing(name).map(|by| depth(by) + 1).max().unwrap_or(0)
}

/// Handlers, and the module of each.
const HANDLERS: [(&str, &str); 16] = [
    ("balancer-manager", "proxy_balancer"),
    ("cgi-script", "cgi cgid"),
    ("default-handler", ""),
    ("imap-file", "imagemap"),
    ("ldap-status", "ldap"),
    ("lua-script", "lua"),
    ("md-status", "md"),
    ("proxy-server", "proxy"),
    ("reflector", "reflector"),
    ("send-as-is", "asis"),
    ("server-info", "info"),
    ("server-parsed", "include"),
    ("server-status", "status"),
    ("type-map", "negotiation"),
    ("fcgid-script", "fcgid"),
    ("application/x-httpd-php", "php"),
];

/// Filters, and the module of each.
const FILTERS: [(&str, &str); 11] = [
    ("BROTLI_COMPRESS", "brotli"),
    ("BUFFER", "buffer"),
    ("CACHE", "cache"),
    ("DEFLATE", "deflate"),
    ("INCLUDES", "include"),
    ("INFLATE", "deflate"),
    ("RATE_LIMIT", "ratelimit"),
    ("SUBSTITUTE", "substitute"),
    ("XML2ENC", "xml2enc"),
    ("PROXY-HTML", "proxy_html"),
    ("SED", "sed"),
];

/// What `Require` asks, and the modules that answer.
const REQUIREMENTS: [(&str, &str); 12] = [
    ("dbm-group", "authz_dbm"),
    ("file-group", "authz_owner authz_groupfile"),
    ("file-owner", "authz_owner"),
    ("forward-dns", "authz_host"),
    ("group", "authz_groupfile"),
    ("host", "authz_host"),
    ("ip", "authz_host"),
    ("local", "authz_host"),
    ("ssl", "ssl"),
    ("ssl-verify-client", "ssl"),
    ("user", "authz_user"),
    ("valid-user", "authz_user"),
];

/// Schemes of backends, and the module of each.
const SCHEMES: [(&str, &str); 11] = [
    ("ajp", "proxy_ajp"),
    ("balancer", "proxy_balancer lbmethod_byrequests"),
    ("fcgi", "proxy_fcgi"),
    ("ftp", "proxy_ftp"),
    ("h2", "proxy_http2"),
    ("h2c", "proxy_http2"),
    ("http", "proxy_http"),
    ("https", "proxy_http ssl"),
    ("scgi", "proxy_scgi"),
    ("uwsgi", "proxy_uwsgi"),
    ("ws", "proxy_wstunnel proxy_http"),
];

/// The classes of `AllowOverride`, and the beginnings of the names of modules whose directives a `.htaccess` file may
/// have with it. Those that no file of that kind can name are in [`SERVER_ONLY`]; all others go with `FileInfo`.
const CLASSES: [(&str, &[&str]); 4] = [
    ("AuthConfig", &["auth_", "authn_", "authz_", "authnz_", "access_compat"]),
    ("Indexes", &["autoindex", "expires"]),
    ("Limit", &["access_compat"]),
    ("Options", &["negotiation", "include", "cgi", "autoindex"]),
];

/// The beginnings of the names of modules that no `.htaccess` file can name.
const SERVER_ONLY: [&str; 23] = [
    "cache",
    "data",
    "dav",
    "dbd",
    "dumpio",
    "echo",
    "heart",
    "http2",
    "info",
    "lbmethod",
    "ldap",
    "log",
    "md",
    "proxy",
    "remoteip",
    "slotmem",
    "socache",
    "ssl",
    "status",
    "suexec",
    "unique_id",
    "userdir",
    "vhost_alias",
];

/// Judges each module that a line loads, by its name without `_module`, in load order.
pub(super) fn judge(startup: &Startup) -> Vec<(&str, Use)> {
    let named = named_by_lines(startup);
    let overrides = overrides(startup);
    let loaded = startup.configuration.modules.iter().filter(|module| module.loaded_at.is_some());
    let mut judged: Vec<(&str, Use)> = loaded
        .filter_map(|module| {
            let name = module.identifier.strip_suffix("_module")?;
            Some((name, judge_one(startup, name, &module.identifier, &named, &overrides)))
        })
        .collect();
    // What a module needs that is used is used too, and so on.
    loop {
        let is_kept = |name: &str| judged.iter().any(|(other, used)| *other == name && *used != Use::None);
        let found = NEEDS.iter().find(|(name, needed)| {
            is_kept(name) && judged.iter().any(|(other, used)| other == needed && *used == Use::None)
        });
        let Some((name, needed)) = found else { return judged };
        for (other, used) in &mut judged {
            if other == needed {
                *used = Use::By(format!("mod_{name} needs it"));
            }
        }
    }
}

fn judge_one(
    startup: &Startup,
    name: &str,
    identifier: &str,
    named: &BTreeMap<&'static str, String>,
    overrides: &BTreeMap<String, String>,
) -> Use {
    if STAYS.contains(&name) || name.starts_with("mpm_") {
        return Use::Stays;
    }
    if let Some(by) =
        named.get(name.trim_end_matches(|c: char| c.is_ascii_digit() && name.starts_with("php")))
    {
        return Use::By(by.clone());
    }
    let own = format!("{name}.conf");
    let counts = |file: &Path| !SHIPPED.contains(&name) || file.file_name() != Some(own.as_ref());
    match startup.file_with_directive_of(identifier, counts) {
        Some(Some(file)) => return Use::By(format!("a directive of it in {}", file.display())),
        Some(None) => {}
        None => return Use::Open("what its directives do".to_owned()),
    }
    if let Some((_, what)) = OPEN.iter().find(|(open, _)| *open == name) {
        return Use::Open((*what).to_owned());
    }
    let begins = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    if begins(&SERVER_ONLY) {
        return Use::None;
    }
    let classes = CLASSES.iter().filter(|(_, names)| begins(names)).map(|(class, _)| *class);
    let mut classes: Vec<&str> = classes.collect();
    if classes.is_empty() || name == "negotiation" {
        classes.push("FileInfo");
    }
    let allowed =
        classes.iter().copied().chain(["All"]).find_map(|class| overrides.get(&class.to_ascii_lowercase()));
    match allowed {
        Some(place) => {
            Use::Open(format!("whether a .htaccess file names it, which AllowOverride at {place} lets it"))
        }
        None => Use::None,
    }
}

/// Returns the classes that some `.htaccess` file may use, in lower case, with the place that lets it.
fn overrides(startup: &Startup) -> BTreeMap<String, String> {
    let mut classes = BTreeMap::new();
    for line in startup.of("AllowOverride").chain(startup.of("AllowOverrideList")) {
        for word in line.words.iter().filter(|word| !word.eq_ignore_ascii_case("none")) {
            let class =
                if line.is("AllowOverrideList") { "all" } else { word.split('=').next().unwrap_or_default() };
            classes.entry(class.to_ascii_lowercase()).or_insert_with(|| place(startup, line));
        }
    }
    classes
}

fn place(startup: &Startup, line: &Line) -> String {
    format!("{}:{}", startup.configuration.path(line.file).display(), line.line)
}

/// Returns the modules that lines of others name, by handler, filter, provider and the like, each with the line.
fn named_by_lines(startup: &Startup) -> BTreeMap<&'static str, String> {
    let mut named = BTreeMap::new();
    let mut note = |line: &Line, modules: &'static str| {
        for module in modules.split_ascii_whitespace() {
            named.entry(module).or_insert_with(|| format!("{} at {}", line.directive, place(startup, line)));
        }
    };
    let find = |table: &'static [(&str, &'static str)], name: &str| {
        table.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, modules)| *modules)
    };
    for line in &startup.lines {
        let first = line.first();
        let lower = line.directive.to_ascii_lowercase();
        match lower.as_str() {
            "sethandler" | "addhandler" | "addtype" => {
                note(line, find(&HANDLERS, first));
                if lower != "addtype" && first.to_ascii_lowercase().contains("php") {
                    note(line, "php");
                }
            }
            "setoutputfilter" | "setinputfilter" | "addoutputfilter" | "addoutputfilterbytype" => {
                first.split(';').for_each(|filter| note(line, find(&FILTERS, filter)));
            }
            "require" => line.words.iter().for_each(|word| note(line, find(&REQUIREMENTS, word))),
            "authtype" => note(
                line,
                match first.to_ascii_lowercase().as_str() {
                    "basic" => "auth_basic authn_core authn_file",
                    "digest" => "auth_digest authn_core authn_file",
                    "form" => "auth_form authn_core authn_file",
                    _ => "authn_core",
                },
            ),
            "authbasicprovider" | "authdigestprovider" => {
                const PROVIDERS: [(&str, &str); 6] = [
                    ("anon", "authn_anon"),
                    ("dbd", "authn_dbd"),
                    ("dbm", "authn_dbm"),
                    ("file", "authn_file"),
                    ("ldap", "authnz_ldap"),
                    ("socache", "authn_socache"),
                ];
                line.words.iter().for_each(|word| note(line, find(&PROVIDERS, word)));
            }
            "cacheenable" => {
                note(line, find(&[("disk", "cache_disk cache"), ("socache", "cache_socache cache")], first));
            }
            "sslsessioncache" | "sslstaplingcache" | "cachesocache" | "authncachesocache" => {
                const CACHES: [(&str, &str); 4] = [
                    ("dbm", "socache_dbm"),
                    ("memcache", "socache_memcache"),
                    ("redis", "socache_redis"),
                    ("shmcb", "socache_shmcb"),
                ];
                note(line, find(&CACHES, first.split(':').next().unwrap_or_default()));
            }
            "logformat" | "customlog" | "globallog" | "transferlog" => {
                let text = line.words.join(" ");
                if ["%I", "%O", "%S", "^FB"].iter().any(|item| text.contains(item)) {
                    note(line, "logio");
                }
                if text.contains("UNIQUE_ID") {
                    note(line, "unique_id");
                }
                if text.contains("}x") {
                    note(line, "ssl");
                }
            }
            "options" => {
                for word in line.words.iter().filter(|word| !word.starts_with('-')) {
                    note(
                        line,
                        match word.trim_start_matches('+').to_ascii_lowercase().as_str() {
                            "indexes" => "autoindex",
                            "includes" | "includesnoexec" => "include",
                            "execcgi" => "cgi cgid",
                            "multiviews" => "negotiation",
                            "all" => "autoindex include cgi cgid",
                            _ => "",
                        },
                    );
                }
            }
            "rewriterule" => {
                let flags = line.words.get(2).map_or("", String::as_str).trim_matches(['[', ']']);
                let proxies = |flag: &str| {
                    flag.trim().eq_ignore_ascii_case("p") || flag.trim().eq_ignore_ascii_case("proxy")
                };
                if flags.split(',').any(proxies) {
                    note(line, "proxy proxy_http");
                }
            }
            _ => {}
        }
        // `proxy:unix:/run/a.sock|fcgi://host`, `http://host`.
        if ["proxypass", "proxypassmatch", "balancermember", "sethandler", "rewriterule"]
            .contains(&lower.as_str())
        {
            for word in &line.words {
                for (at, _) in word.match_indices("://") {
                    let start = word[..at].rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
                    let modules = find(&SCHEMES, &word[start..at]);
                    if lower != "rewriterule" || !modules.starts_with("proxy_http") {
                        note(line, modules);
                    }
                }
            }
        }
    }
    if let Some(file) = startup.file_with("ScriptAlias").or_else(|| startup.file_with("ScriptAliasMatch")) {
        for module in ["cgi", "cgid"] {
            named.entry(module).or_insert_with(|| format!("ScriptAlias in {}", file.display()));
        }
    }
    named
}

/// Returns the names of the modules that nothing uses.
pub(super) fn unused(startup: &Startup) -> BTreeSet<&str> {
    judge(startup).into_iter().filter(|(_, used)| *used == Use::None).map(|(name, _)| name).collect()
}
