//! The page by which a server is watched: mod_status.

use std::net::{IpAddr, SocketAddr};

use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::read::startup::Line;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};

/// The name of this feature's parameters and block.
pub const NAME: &str = "status";

const MODULE_ID: &str = "status_module";

fn is_status(identifier: &str) -> bool {
    identifier == MODULE_ID
}

crate::parameters! {
    /// The status page of mod_status. It is written whole: what is left out is as its default says.
    pub struct Status {
        /// Whether the page is there: `true` loads mod_status, `false` takes out what this program put in. If omitted, the
        /// module is not changed.
        enabled: bool;
        /// Where the page is. Default: `/server-status`.
        path: String;
        /// Who may see it: `local`, addresses, networks, host names. Default: `local`.
        allow: Vec<String>;
        /// An address of its own to listen on, such as `127.0.0.1:8081`, with a virtual host that has nothing else: no
        /// site can hide the page or show it. Left out, the page is part of every site.
        listen: String;
        /// Whether each request is listed and counted. `ExtendedStatus`. If omitted, it is not changed.
        extended: bool => [
            Directive::new("ExtendedStatus", Group(NAME), Parser::Flag).default(|_, loaded| {
                if loaded.any_module(&is_status) { "On" } else { "Off" }
            }),
        ];
    }
}

static MODULE: Module = Module::stock("status", is_status);

/// Returns the places of the status page: each `SetHandler server-status` in a `<Location>`, with its path.
fn pages<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Line, &'a str)> {
    let handlers =
        view.served("SetHandler").filter(|line| line.first().eq_ignore_ascii_case("server-status"));
    handlers.filter_map(|line| Some((line, line.within("Location")?)))
}

/// Returns the lines of a directive in the same `<Location>` of the same server.
fn beside<'a>(view: &View<'a>, page: &'a Line, directive: &'static str) -> impl Iterator<Item = &'a Line> {
    view.served(directive).filter(move |line| line.server == page.server && line.sections == page.sections)
}

pub(crate) static STAT_001: Rule = Rule {
    id: "STAT-001",
    severity: Severity::Error,
    setting: "status.path",
    summary: "the server that answers for the status page hands its path to a backend or rewrites it",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, modules/mappers/mod_rewrite.c",
    check: Check::View(covered),
    example: "ProxyPass \"/\" \"http://127.0.0.1:3000/\"",
    instead: "ProxyPass \"/server-status\" \"!\" before it",
    ..Rule::NEW
};

fn covered(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(MODULE_ID) {
        return;
    }
    for (page, path) in pages(view) {
        // Whoever asks by address gets the first virtual host that speaks in clear text.
        let tls = |server: u32| {
            view.served("SSLEngine")
                .any(|line| line.server == Some(server) && line.first().eq_ignore_ascii_case("on"))
        };
        let count = u32::try_from(view.after.vhosts.len()).unwrap_or(u32::MAX);
        let answers = page.server.or_else(|| (0..count).find(|server| !tls(*server)));
        let cover = mapped_away(view, path, answers).or_else(|| rewritten(view, answers));
        if let Some(line) = cover {
            out.of(view, NAME, line.directive.clone()).value(line.words.join(" ")).emit(
                format!(
                    "{} at {} covers {path}: the status page is not reached",
                    line.directive,
                    view.place(line)
                ),
                match line.directive.to_ascii_lowercase().as_str() {
                    "rewriterule" => {
                        format!("write RewriteCond %{{REQUEST_URI}} !^{path} before it, or set status.listen")
                    }
                    _ => format!("write ProxyPass \"{path}\" \"!\" before it, or set status.listen"),
                },
            );
        }
    }
}

/// Returns the line by which a path goes to a backend: the main server's come first, and the first that fits wins.
fn mapped_away<'a>(view: &View<'a>, path: &str, server: Option<u32>) -> Option<&'a Line> {
    let of = |wanted: Option<u32>| {
        view.served("ProxyPass").filter(move |line| line.server == wanted && line.sections.is_empty())
    };
    let own = server.into_iter().flat_map(|server| of(Some(server)));
    let first = of(None).chain(own).find(|line| {
        let prefix = line.first();
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
    });
    first.filter(|line| line.words.get(1).is_some_and(|target| target != "!"))
}

/// Returns a rule without a condition by which every path is rewritten.
fn rewritten<'a>(view: &View<'a>, server: Option<u32>) -> Option<&'a Line> {
    const ALL: [&str; 10] =
        ["^", "^/", "^/?", ".*", "^.*$", "(.*)", "^(.*)$", "^/(.*)", "^/(.*)$", "^/?(.*)$"];
    let own = |line: &&Line| line.server == server && line.sections.is_empty();
    let on = view.served("RewriteEngine").filter(own).last();
    if !on.is_some_and(|line| line.first().eq_ignore_ascii_case("on")) {
        return None;
    }
    let conditions: Vec<&Line> = view.served("RewriteCond").filter(own).collect();
    let mut before = 0;
    for rule in view.served("RewriteRule").filter(own) {
        let conditional = conditions
            .iter()
            .any(|line| line.file == rule.file && line.line > before && line.line < rule.line);
        let target = rule.words.get(1).map_or("-", String::as_str);
        if ALL.contains(&rule.first()) && target != "-" && !conditional {
            return Some(rule);
        }
        before = rule.line;
    }
    None
}

pub(crate) static STAT_002: Rule = Rule {
    id: "STAT-002",
    severity: Severity::Warning,
    setting: "status.allow",
    summary: "Require local lets everybody in whom a proxy on this host passes on",
    source: "httpd 2.4 modules/aaa/mod_authz_host.c, local_check_authorization",
    check: Check::View(local_is_everybody),
    ..Rule::NEW
};

fn local_is_everybody(view: &View<'_>, out: &mut Reporter<'_>) {
    let is_loopback = |address: &str| address.starts_with("127.") || address.starts_with("[::1]");
    if !view.has(MODULE_ID) || view.served("RemoteIPHeader").next().is_some() {
        return;
    }
    for (page, path) in pages(view) {
        let Some(local) =
            beside(view, page, "Require").find(|line| line.first().eq_ignore_ascii_case("local"))
        else {
            continue;
        };
        // A virtual host on an address of its own is what watches the server, not what a proxy speaks to.
        let addresses = page.server.and_then(|server| view.after.vhosts.get(server as usize));
        let alone = addresses.is_some_and(|host| host.addresses.iter().all(|address| is_loopback(address)));
        let listen = &view.after.listen;
        let behind = !listen.is_empty() && listen.iter().all(|address| is_loopback(address));
        let to_itself = view.served("ProxyPass").find(|line| {
            let target = line.words.get(1).and_then(|url| url.strip_prefix("http://"));
            let address = target.and_then(|rest| rest.split('/').next()).unwrap_or_default();
            let port = address.rsplit_once(':').map_or("80", |(_, port)| port);
            let here = is_loopback(address) || address.starts_with("localhost");
            here && listen.iter().any(|own| own.rsplit(':').next() == Some(port))
        });
        let why = match to_itself {
            Some(line) => format!("{} passes requests on to this server", view.place(line)),
            None if behind => "this server listens on the loopback alone, behind a proxy".to_owned(),
            None => continue,
        };
        if !alone {
            out.of(view, NAME, "status.allow").value("local").emit(
                format!("Require local for {path} at {} lets everybody in: {why}", view.place(local)),
                "set status.listen to an address that no proxy speaks to, or load mod_remoteip with RemoteIPHeader",
            );
        }
    }
}

pub(crate) static STAT_003: Rule = Rule {
    id: "STAT-003",
    severity: Severity::Warning,
    setting: "status.allow",
    summary: "the status page is open to everybody",
    source: "httpd 2.4 modules/generators/mod_status.c",
    check: Check::View(open),
    example: "Require all granted",
    instead: "Require local",
    ..Rule::NEW
};

fn open(view: &View<'_>, out: &mut Reporter<'_>) {
    // What this task writes is judged where it is written.
    if !view.has(MODULE_ID) || view.params.groups.has(NAME) {
        return;
    }
    for (page, path) in pages(view) {
        let words = |line: &Line| line.words.join(" ").to_ascii_lowercase();
        let granted = beside(view, page, "Require").find(|line| words(line) == "all granted");
        let any = beside(view, page, "Satisfy").find(|line| line.first().eq_ignore_ascii_case("any"));
        if let Some(line) = granted.or(any) {
            out.of(view, NAME, "status.allow").value(line.words.join(" ")).emit(
                format!(
                    "{} {} at {} shows {path} to everybody, with the addresses and requests of all clients",
                    line.directive,
                    line.words.join(" "),
                    view.place(line)
                ),
                "write Require local, or set status.allow",
            );
        }
    }
}

pub(crate) static STAT_004: Rule = Rule {
    id: "STAT-004",
    severity: Severity::Info,
    setting: "ExtendedStatus",
    summary: "requests are neither listed nor counted on the status page",
    source: "httpd 2.4 server/core.c, ap_extended_status",
    check: Check::View(not_extended),
    ..Rule::NEW
};

fn not_extended(view: &View<'_>, out: &mut Reporter<'_>) {
    let off = view.standing("ExtendedStatus").is_some_and(|word| word.eq_ignore_ascii_case("off"));
    if off && view.has(MODULE_ID) && view.remarks(Group(NAME)) {
        out.on(view, "ExtendedStatus").value("Off").emit(
            format!(
                "ExtendedStatus Off{}: the status page counts no requests and no bytes",
                view.at(view.line("ExtendedStatus"))
            ),
            "take the line out; its cost is not measurable",
        );
    }
}

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
    doc: "The status page of mod_status, on an address of its own if wanted. If omitted, it is not managed.",
    fields: Status::FIELDS,
    list: false,
    directives: Status::DIRECTIVES,
    watched: &[],
    modules: &[&MODULE],
    rules: &[&STAT_001, &STAT_002, &STAT_003, &STAT_004, &STAT_005, &STAT_006, &STAT_007],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
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
