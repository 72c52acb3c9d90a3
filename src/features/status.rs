//! The page by which a server is watched: mod_status.

use std::net::{IpAddr, SocketAddr};

use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::report::Severity;
use crate::rules::Rule;

/// The name of this feature's parameters and block.
pub const NAME: &str = "status";

const MODULE_ID: &str = "status_module";

fn is_status(identifier: &str) -> bool {
    identifier == MODULE_ID
}

crate::parameters! {
    /// The status page of mod_status. It is written whole: what is left out is as its default says.
    pub struct Status {
        /// Whether the page is there: `true` loads mod_status, `false` takes out what this program put in. Left out, the
        /// module stays as it stands.
        enabled: bool;
        /// Where the page is. Default: `/server-status`.
        path: String;
        /// Who may see it: `local`, addresses, networks, host names. Default: `local`.
        allow: Vec<String>;
        /// An address of its own to listen on, such as `127.0.0.1:8081`, with a virtual host that has nothing else: no
        /// site can hide the page or show it. Left out, the page is part of every site.
        listen: String;
        /// Whether each request is listed and counted. `ExtendedStatus`. Left out, it stays as it stands.
        extended: bool => [
            Directive::new("ExtendedStatus", Group(NAME), Parser::Flag).default(|_, loaded| {
                if loaded.any_module(&is_status) { "On" } else { "Off" }
            }),
        ];
    }
}

static MODULE: Module = Module::stock("status", is_status);

pub(crate) static STAT_003: Rule = Rule {
    id: "STAT-003",
    severity: Severity::Warning,
    setting: "status.allow",
    summary: "the status page is open to everybody",
    source: "httpd 2.4 modules/generators/mod_status.c",
    ..Rule::NEW
};

pub(crate) static STAT_005: Rule = Rule {
    id: "STAT-005",
    severity: Severity::Error,
    setting: "status.path",
    summary: "is not the path of a page",
    source: "httpd 2.4 server/core.c, urlsection",
    ..Rule::NEW
};

pub(crate) static STAT_006: Rule = Rule {
    id: "STAT-006",
    severity: Severity::Error,
    setting: "status.listen",
    summary: "is not an address with a port",
    source: "httpd 2.4 server/listen.c, ap_set_listener",
    ..Rule::NEW
};

pub(crate) static STAT_007: Rule = Rule {
    id: "STAT-007",
    severity: Severity::Warning,
    setting: "status.enabled",
    summary: "mod_status is not loaded; there is no status page",
    source: "httpd 2.4 modules/generators/mod_status.c",
    ..Rule::NEW
};

/// The feature.
pub static STATUS: Feature = Feature {
    name: NAME,
    doc: "The status page of mod_status, on an address of its own if wanted. Left out, what stands stays.",
    fields: Status::FIELDS,
    directives: Status::DIRECTIVES,
    watched: &[],
    modules: &[&MODULE],
    rules: &[&STAT_003, &STAT_005, &STAT_006, &STAT_007],
    writes: Writes::DropIn,
    parse: feature::parse::<Status>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Status>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// Returns the words of `Require` for one entry of `allow`.
fn require(entry: &str) -> Vec<String> {
    let address = entry.split_once('/').map_or(entry, |(address, _)| address);
    match entry {
        "local" => vec!["local".to_owned()],
        "all" => vec!["all".to_owned(), "granted".to_owned()],
        _ if address.parse::<IpAddr>().is_ok() => vec!["ip".to_owned(), entry.to_owned()],
        _ => vec!["host".to_owned(), entry.to_owned()],
    }
}

fn want(group: &dyn crate::parameters::Group, _: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Status>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    let path = asked.path.as_deref().unwrap_or("/server-status");
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-~".contains(c);
    if !path.starts_with('/') || path.len() < 2 || !path.chars().all(plain) {
        want.findings.push(STAT_005.finding(
            ("status.path", path),
            format!("status.path {path:?} is not the path of a page"),
            "write a path such as /server-status".to_owned(),
        ));
    }
    let allow = asked.allow.clone().unwrap_or_else(|| vec!["local".to_owned()]);
    if allow.is_empty() || allow.iter().any(|entry| entry == "all") {
        want.findings.push(STAT_003.finding(
            ("status.allow", &allow.join(", ")),
            "everybody may see the status page, with the addresses and requests of all clients".to_owned(),
            "name the addresses that watch the server, or local".to_owned(),
        ));
    }
    let who = if allow.is_empty() { vec!["all".to_owned()] } else { allow };
    let mut page = vec![Item::line("SetHandler", ["server-status"])];
    page.extend(who.iter().map(|entry| Item::Line("Require", require(entry))));
    let page = Item::Section("Location", path.to_owned(), page);
    let items = match asked.listen.as_deref() {
        None => vec![page],
        Some(address) => {
            if address.parse::<SocketAddr>().is_err() {
                want.findings.push(STAT_006.finding(
                    ("status.listen", address),
                    format!("status.listen {address:?} is not an address with a port"),
                    "write one such as 127.0.0.1:8081 or [::1]:8081".to_owned(),
                ));
            }
            alone(address, page)
        }
    };
    want.given(&STATUS, group);
    want.items.push(Item::Section("IfModule", MODULE_ID.to_owned(), items));
    want.module = asked.enabled;
    want.idle = Some(STAT_007.finding(
        (NAME, "values"),
        "mod_status is not loaded: there is no status page".to_owned(),
        "set status.enabled: true".to_owned(),
    ));
}

/// Returns a virtual host that has the page and nothing else, whatever the main server maps or caches.
fn alone(address: &str, page: Item) -> Vec<Item> {
    let guarded = |module: &str, line: Item| Item::Section("IfModule", module.to_owned(), vec![line]);
    let all = Item::Section("Location", "/".to_owned(), vec![Item::line("Require", ["all", "denied"])]);
    vec![
        Item::line("Listen", [address]),
        Item::Section(
            "VirtualHost",
            address.to_owned(),
            vec![
                Item::line("ServerName", ["localhost"]),
                // The main server's ProxyPass would count here too.
                guarded("setenvif_module", Item::line("SetEnvIf", ["Request_URI", ".", "no-proxy=1"])),
                guarded("cache_module", Item::line("CacheDisable", ["/"])),
                all,
                page,
            ],
        ),
    ]
}
