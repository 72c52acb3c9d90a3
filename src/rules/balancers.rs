//! Backends and balancers on a host, whoever wrote their lines.
//!
//! Source: `modules/proxy/mod_proxy.c`, `mod_proxy_balancer.c`, `proxy_util.c` and `mod_proxy_hcheck.c` of httpd 2.4; what
//! is called seen was seen with 2.4.68 and 2.4.71 and real backends.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Check, Reporter, Rule, View};
use crate::httpd::numbers::{self, Unit};
use crate::httpd::read::startup::{Line, PROXY, PROXY_END};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &BAL_001, &BAL_002, &BAL_003, &BAL_004, &BAL_006, &BAL_007, &BAL_009, &BAL_010, &BAL_011, &BAL_012,
    &BAL_013, &BAL_014, &BAL_018,
];

/// The group of parameters that manages balancers.
pub(crate) const GROUP: &str = "balancers";

/// Seconds that a worker waits for an answer without a remark.
const PATIENCE: i64 = 60;

/// A line that names a backend: `BalancerMember`, `ProxyPass`.
pub(crate) struct Target<'a> {
    /// The line.
    pub(crate) line: &'a Line,
    /// The backend's address, or the balancer's.
    pub(crate) url: &'a str,
    /// The balancer that it is a member of, in lower case.
    pub(crate) balancer: Option<String>,
    /// The path that is mapped to it, where the line says it.
    path: Option<&'a str>,
}

impl Target<'_> {
    /// Returns what the line says of a key: `route=a`.
    pub(crate) fn key(&self, name: &str) -> Option<&str> {
        let is_it =
            |word: &String| word.split_once('=').is_some_and(|(key, _)| key.eq_ignore_ascii_case(name));
        let words = &self.line.words;
        let at = words.iter().rposition(is_it)?;
        words[at].split_once('=').map(|(_, value)| value)
    }

    fn scheme(&self) -> String {
        self.url.split_once("://").map_or("", |(scheme, _)| scheme).to_ascii_lowercase()
    }
}

/// Returns the name of a balancer in its address.
fn balancer_name(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let name = rest.split('/').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("balancer").then(|| name.to_ascii_lowercase())
}

/// Returns the lines that name backends, in reading order.
pub(crate) fn targets<'a>(view: &View<'a>) -> Vec<Target<'a>> {
    let Some(startup) = view.context.startup else { return Vec::new() };
    let mut section: Option<String> = None;
    let mut found = Vec::new();
    for line in &startup.lines {
        if line.is(PROXY) {
            section = balancer_name(line.first());
        } else if line.is(PROXY_END) {
            section = None;
        } else if line.is("BalancerMember") {
            let own = balancer_name(line.first());
            let at = usize::from(own.is_some());
            let Some(url) = line.words.get(at) else { continue };
            found.push(Target { line, url, balancer: own.or_else(|| section.clone()), path: None });
        } else if line.is("ProxyPass") || line.is("ProxyPassMatch") {
            let url = line.words.iter().position(|word| word.contains("://"));
            let Some(at) = url else { continue };
            // A pattern is no beginning of a path.
            let path = (at == 1 && line.is("ProxyPass")).then(|| line.first());
            found.push(Target { line, url: &line.words[at], balancer: None, path });
        }
    }
    found
}

/// Returns the members of each balancer, in reading order.
fn members<'a>(view: &View<'a>) -> BTreeMap<String, Vec<Target<'a>>> {
    let mut found: BTreeMap<String, Vec<Target<'a>>> = BTreeMap::new();
    for mut target in targets(view) {
        if let Some(name) = target.balancer.take() {
            found.entry(name).or_default().push(target);
        }
    }
    found
}

pub(crate) static BAL_001: Rule = Rule {
    id: "BAL-001",
    severity: Severity::Error,
    setting: "ProxyPass, BalancerMember",
    summary: "the module for the kind of backend is not loaded; every request to it is answered with 500 or 503",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, proxy_handler; AH01144, AH00934, seen",
    after_change: true,
    check: Check::View(no_module_for_scheme),
    ..Rule::NEW
};

/// The modules that speak to a kind of backend.
const SCHEMES: [(&str, &str); 9] = [
    ("http", "proxy_http_module"),
    ("https", "proxy_http_module"),
    ("ws", "proxy_wstunnel_module"),
    ("wss", "proxy_wstunnel_module"),
    ("ajp", "proxy_ajp_module"),
    ("fcgi", "proxy_fcgi_module"),
    ("scgi", "proxy_scgi_module"),
    ("uwsgi", "proxy_uwsgi_module"),
    ("balancer", "proxy_balancer_module"),
];

fn no_module_for_scheme(view: &View<'_>, out: &mut Reporter<'_>) {
    let mut told: Vec<&str> = Vec::new();
    for target in targets(view).iter().filter(|_| view.has("proxy_module")) {
        let scheme = target.scheme();
        let Some((_, module)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else { continue };
        // Since 2.4.47 mod_proxy_http upgrades by itself.
        let tunnels = module.contains("wstunnel") && view.has("proxy_http_module");
        if view.has(module) || tunnels || told.contains(module) {
            continue;
        }
        told.push(module);
        out.of(view, GROUP, target.line.directive.clone()).value(target.url).emit(
            format!(
                "{} at {} names {}, and {module} is not loaded: every request to it fails",
                target.line.directive,
                view.place(target.line),
                target.url
            ),
            format!("load {module}"),
        );
    }
}

pub(crate) static BAL_002: Rule = Rule {
    id: "BAL-002",
    severity: Severity::Error,
    setting: "BalancerMember",
    summary: "a member without a route in a balancer with sticky sessions: nothing sticks, with no message",
    source: "httpd 2.4 modules/proxy/mod_proxy_balancer.c, find_session_route; seen",
    check: Check::View(sticky_without_route),
    example: "BalancerMember http://10.0.0.11:8080",
    instead: "BalancerMember http://10.0.0.11:8080 route=a",
    ..Rule::NEW
};

/// Returns the balancers whose sessions stick, with the line that says so.
fn sticky<'a>(view: &View<'a>) -> BTreeMap<String, &'a Line> {
    let mut found = BTreeMap::new();
    let mut section: Option<String> = None;
    for line in view.context.startup.into_iter().flat_map(|startup| &startup.lines) {
        if line.is(PROXY) {
            section = balancer_name(line.first());
        } else if line.is(PROXY_END) {
            section = None;
        } else if line.is("ProxySet") || line.is("ProxyPass") || line.is("BalancerMember") {
            let sticks =
                line.words.iter().any(|word| word.to_ascii_lowercase().starts_with("stickysession="));
            let own = line.words.iter().take(2).find_map(|word| balancer_name(word));
            if let Some(name) = own.or_else(|| section.clone()).filter(|_| sticks) {
                found.insert(name, line);
            }
        }
    }
    found
}

fn sticky_without_route(view: &View<'_>, out: &mut Reporter<'_>) {
    let sticky = sticky(view);
    for (name, members) in members(view) {
        let Some(line) = sticky.get(&name) else { continue };
        for member in members.iter().filter(|member| member.key("route").is_none()) {
            out.of(view, GROUP, "BalancerMember").value(member.url).emit(
                format!(
                    "{} at {} has no route, and balancer://{name} has sticky sessions ({}): no session sticks to it",
                    member.url,
                    view.place(member.line),
                    view.place(line)
                ),
                "write route=NAME behind each member, a name of its own each",
            );
        }
    }
}

pub(crate) static BAL_003: Rule = Rule {
    id: "BAL-003",
    severity: Severity::Error,
    setting: "SSLProxyEngine",
    summary: "a backend with https, and SSLProxyEngine is not on there: every request to it is answered with 500",
    source: "httpd 2.4 modules/ssl/mod_ssl.c, ssl_engine_set; AH01961, seen",
    check: Check::View(no_proxy_engine),
    example: "ProxyPass / https://10.0.0.11/",
    instead: "SSLProxyEngine on",
    ..Rule::NEW
};

fn no_proxy_engine(view: &View<'_>, out: &mut Reporter<'_>) {
    let on: Vec<&Line> =
        view.served("SSLProxyEngine").filter(|line| line.first().eq_ignore_ascii_case("on")).collect();
    for target in targets(view).iter().filter(|target| target.scheme() == "https") {
        let has = on.iter().any(|line| line.server.is_none() || line.server == target.line.server);
        if !has && view.has("proxy_module") {
            out.of(view, GROUP, "SSLProxyEngine").value(target.url).emit(
                format!(
                    "{} at {} is asked by TLS, and SSLProxyEngine is not on: every request to it is answered with 500",
                    target.url,
                    view.place(target.line)
                ),
                "write SSLProxyEngine on there, with SSLProxyVerify require and SSLProxyCACertificateFile",
            );
            return;
        }
    }
}

pub(crate) static BAL_004: Rule = Rule {
    id: "BAL-004",
    severity: Severity::Error,
    setting: "ProxyPass",
    summary: "only one of path and address ends in a slash; the backend is asked for another path, or another host",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, ap_proxy_trans_match; AH00898, seen",
    check: Check::View(slash_on_one_side),
    example: "ProxyPass / http://10.0.0.11:8080",
    instead: "ProxyPass / http://10.0.0.11:8080/",
    ..Rule::NEW
};

fn slash_on_one_side(view: &View<'_>, out: &mut Reporter<'_>) {
    for target in targets(view).iter().filter(|_| view.has("proxy_module")) {
        let Some(path) = target.path else { continue };
        let url = target.url.split('?').next().unwrap_or_default();
        if path.ends_with('/') != url.ends_with('/') {
            let (asked, joined) = if path.ends_with('/') {
                (format!("{path}a"), format!("{url}a"))
            } else {
                (format!("{path}/a"), format!("{url}/a"))
            };
            out.of(view, GROUP, "ProxyPass").value(target.line.words.join(" ")).emit(
                format!(
                    "ProxyPass {path} {url} at {}: only one of them ends in a slash; for {asked} the backend is asked by \
                     {joined}",
                    view.place(target.line)
                ),
                "end both in a slash, or neither",
            );
        }
    }
}

pub(crate) static BAL_006: Rule = Rule {
    id: "BAL-006",
    severity: Severity::Warning,
    setting: "BalancerMember",
    summary: "a pool with an end and nothing that ends waiting for it: requests wait for ever, each in a worker",
    source: "httpd 2.4 modules/proxy/proxy_util.c, ap_proxy_acquire_connection; seen, AH00941 with acquire",
    check: Check::View(waits_for_pool),
    example: "BalancerMember http://10.0.0.11:8080 max=16",
    instead: "BalancerMember http://10.0.0.11:8080 max=16 acquire=500",
    ..Rule::NEW
};

fn waits_for_pool(view: &View<'_>, out: &mut Reporter<'_>) {
    for target in targets(view).iter().filter(|_| view.has("proxy_module")) {
        if let Some(max) = target.key("max").filter(|_| target.key("acquire").is_none()) {
            out.of(view, GROUP, target.line.directive.clone()).value(max).emit(
                format!(
                    "{} at {} has at most {max} connections a process and no acquire: further requests wait for ever, \
                     each in a worker",
                    target.url,
                    view.place(target.line)
                ),
                "write acquire=500 (milliseconds) beside max",
            );
        }
    }
}

pub(crate) static BAL_007: Rule = Rule {
    id: "BAL-007",
    severity: Severity::Warning,
    setting: "ProxyTimeout",
    summary: "a backend that hangs holds a worker for more than a minute",
    source: "httpd 2.4 modules/proxy/proxy_util.c: timeout, else ProxyTimeout, else Timeout",
    check: Check::View(waits_for_backend),
    example: "ProxyTimeout 300",
    instead: "ProxyTimeout 30",
    ..Rule::NEW
};

/// Returns a duration in whole seconds, as httpd reads it.
fn seconds(text: &str) -> Option<i64> {
    Some(numbers::duration(text, Unit::Seconds).ok()?.micros / 1_000_000)
}

fn waits_for_backend(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has("proxy_module") {
        return;
    }
    for target in targets(view) {
        let Some(wait) = target.key("timeout").and_then(seconds).filter(|wait| *wait > PATIENCE) else {
            continue;
        };
        out.of(view, GROUP, target.line.directive.clone()).value(wait).emit(
            format!(
                "{} at {} is waited for {wait} s: one that hangs holds a worker so long",
                target.url,
                view.place(target.line)
            ),
            "write timeout=30, unless its answers take longer",
        );
    }
    for line in view.served("ProxyTimeout") {
        let Some(wait) = seconds(line.first()).filter(|wait| *wait > PATIENCE) else { continue };
        out.of(view, GROUP, "ProxyTimeout").value(wait).emit(
            format!(
                "ProxyTimeout {} at {}: a backend that hangs holds a worker for {wait} s",
                line.first(),
                view.place(line)
            ),
            "write 30, unless answers take longer",
        );
    }
}

pub(crate) static BAL_009: Rule = Rule {
    id: "BAL-009",
    severity: Severity::Error,
    setting: "ProxyPass, BalancerMember",
    summary: "one address with two sets of parameters: only the first counts",
    source: "httpd 2.4 modules/proxy/mod_proxy.c: Ignoring parameter … because of worker sharing; AH01146, AH01150, seen",
    check: Check::View(shared_worker),
    ..Rule::NEW
};

fn shared_worker(view: &View<'_>, out: &mut Reporter<'_>) {
    let mut seen: BTreeMap<(Option<u32>, Option<String>, &str), Target<'_>> = BTreeMap::new();
    for target in targets(view).into_iter().filter(|target| target.scheme() != "balancer") {
        let set = |target: &Target<'_>| -> Vec<String> {
            let at = target.line.words.iter().position(|word| word == target.url).unwrap_or_default();
            let mut words: Vec<String> = target.line.words[at + 1..].to_vec();
            words.retain(|word| word.contains('='));
            words.sort();
            words
        };
        let key = (target.line.server, target.balancer.clone(), target.url.trim_end_matches('/'));
        let Some(first) = seen.get(&key) else {
            seen.insert(key, target);
            continue;
        };
        if set(first) != set(&target) && !set(&target).is_empty() && view.has("proxy_module") {
            out.of(view, GROUP, target.line.directive.clone()).value(target.url).emit(
                format!(
                    "{} has other parameters at {} than at {}: only those read first count",
                    target.url,
                    view.place(target.line),
                    view.place(first.line)
                ),
                "write the parameters once, at the first of both lines",
            );
        }
    }
}

pub(crate) static BAL_010: Rule = Rule {
    id: "BAL-010",
    severity: Severity::Error,
    setting: "ProxyPass",
    summary: "a health check of a backend that is no member of a balancer: it is never made",
    source: "httpd 2.4 modules/proxy/mod_proxy_hcheck.c, hc_watchdog_callback: walks the balancers; seen",
    check: Check::View(never_checked),
    ..Rule::NEW
};

fn never_checked(view: &View<'_>, out: &mut Reporter<'_>) {
    for target in
        targets(view).iter().filter(|target| target.balancer.is_none() && target.scheme() != "balancer")
    {
        if target.key("hcmethod").is_some() && view.has("proxy_hcheck_module") {
            out.of(view, GROUP, target.line.directive.clone()).value(target.url).emit(
                format!(
                    "{} at {} has a health check and is no member of a balancer: the check is never made",
                    target.url,
                    view.place(target.line)
                ),
                "make it the member of a balancer: <Proxy balancer://NAME> with BalancerMember",
            );
        }
    }
}

pub(crate) static BAL_011: Rule = Rule {
    id: "BAL-011",
    severity: Severity::Warning,
    setting: "BalancerMember",
    summary: "a balancer with one member: nothing takes over where it fails",
    source: "httpd 2.4 modules/proxy/mod_proxy_balancer.c",
    check: Check::View(one_member),
    ..Rule::NEW
};

fn one_member(view: &View<'_>, out: &mut Reporter<'_>) {
    for (name, members) in members(view) {
        if let [only] = members.as_slice() {
            out.of(view, GROUP, "BalancerMember").value(only.url).emit(
                format!(
                    "balancer://{name} has one member, {} at {}: nothing takes over where it fails",
                    only.url,
                    view.place(only.line)
                ),
                "add a second member, or a standby: status=+H",
            );
        }
    }
}

pub(crate) static BAL_012: Rule = Rule {
    id: "BAL-012",
    severity: Severity::Error,
    setting: "ProxyRequests",
    summary: "the server fetches any address for whoever asks: an open proxy",
    source: "httpd 2.4 documentation, mod_proxy, Forward Proxies and Reverse Proxies/Gateways",
    check: Check::View(open_proxy),
    example: "ProxyRequests On",
    instead: "ProxyRequests Off",
    ..Rule::NEW
};

fn open_proxy(view: &View<'_>, out: &mut Reporter<'_>) {
    let on = |line: &&Line| line.first().eq_ignore_ascii_case("on");
    for line in view.served("ProxyRequests").filter(on).filter(|_| view.has("proxy_module")) {
        out.of(view, GROUP, "ProxyRequests").value("On").emit(
            format!(
                "ProxyRequests On at {}: the server fetches any address for whoever asks",
                view.place(line)
            ),
            "take the line out: a reverse proxy and a balancer do not need it",
        );
    }
}

pub(crate) static BAL_013: Rule = Rule {
    id: "BAL-013",
    severity: Severity::Warning,
    setting: "SetHandler",
    summary: "the page by which members are switched on and off is open to all",
    source: "httpd 2.4 modules/proxy/mod_proxy_balancer.c, balancer_handler",
    check: Check::View(open_manager),
    example: "SetHandler balancer-manager",
    instead: "Require local",
    ..Rule::NEW
};

fn open_manager(view: &View<'_>, out: &mut Reporter<'_>) {
    let handlers =
        view.served("SetHandler").filter(|line| line.first().eq_ignore_ascii_case("balancer-manager"));
    for page in handlers.filter(|_| view.has("proxy_balancer_module")) {
        let beside = |directive| {
            view.served(directive)
                .filter(|line| line.server == page.server && line.sections == page.sections)
                .map(|line| line.words.join(" ").to_ascii_lowercase())
                .collect::<Vec<_>>()
        };
        let rules = beside("Require");
        let closed = rules.iter().any(|rule| rule != "all granted") || !beside("Deny").is_empty();
        if !closed {
            let path = page.within("Location").unwrap_or_default();
            out.of(view, GROUP, "SetHandler").value("balancer-manager").emit(
                format!("the page {path} at {} lets everybody switch members off", view.place(page)),
                "write Require local beside it",
            );
        }
    }
}

pub(crate) static BAL_014: Rule = Rule {
    id: "BAL-014",
    severity: Severity::Warning,
    setting: "BalancerMember",
    summary: "more connections to one backend than there are local ports",
    source: "Linux Documentation/networking/ip-sysctl.rst, ip_local_port_range; one port a connection to one address",
    check: Check::View(more_than_ports),
    ..Rule::NEW
};

fn more_than_ports(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    if !view.has("proxy_module") {
        return;
    }
    let range = view.files.read(Path::new("/proc/sys/net/ipv4/ip_local_port_range")).ok();
    let range = range.map(|text| String::from_utf8_lossy(&text).into_owned());
    let ports = range.as_deref().and_then(|text| {
        let mut ends = text.split_whitespace().map(str::parse::<i64>);
        let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
        Some(last.saturating_sub(first) + 1)
    });
    let Some(ports) = ports else { return };
    for target in targets(view).iter().filter(|target| target.scheme() != "balancer") {
        let max = target
            .key("max")
            .and_then(|max| max.parse().ok())
            .filter(|max| *max > 0)
            .unwrap_or(sizes.threads);
        let most = sizes.processes.saturating_mul(max);
        if most > ports {
            out.of(view, GROUP, target.line.directive.clone()).value(most).emit(
                format!(
                    "{} processes with {max} connections each to {} ({}) are more than the {ports} local ports",
                    sizes.processes,
                    target.url,
                    view.place(target.line)
                ),
                "lower max, or widen net.ipv4.ip_local_port_range",
            );
            return;
        }
    }
}

pub(crate) static BAL_018: Rule = Rule {
    id: "BAL-018",
    severity: Severity::Warning,
    setting: "ProxyPassInherit",
    summary: "does nothing about ProxyPass of the main server, which comes first in each virtual host",
    source: "httpd 2.4 modules/proxy/mod_proxy.c, merge_proxy_config: aliases are appended whatever it says; seen",
    check: Check::View(inherits_anyway),
    ..Rule::NEW
};

fn inherits_anyway(view: &View<'_>, out: &mut Reporter<'_>) {
    let off = |line: &&Line| line.first().eq_ignore_ascii_case("off") && line.server.is_some();
    let of_main = view.served("ProxyPass").find(|line| line.server.is_none() && line.sections.is_empty());
    let Some(of_main) = of_main.filter(|_| view.has("proxy_module")) else { return };
    for line in view.served("ProxyPassInherit").filter(off) {
        out.of(view, GROUP, "ProxyPassInherit").value("Off").emit(
            format!(
                "ProxyPassInherit Off at {} does not keep ProxyPass at {} out of this virtual host",
                view.place(line),
                view.place(of_main)
            ),
            "map by <Location> in the main server, which a virtual host undoes by ProxyPass ! in the same <Location>",
        );
    }
}
