//! Balancers: the method and the shared memory without which httpd ends at its start.

use std::collections::BTreeMap;

use super::super::{Check, Reporter, Rule, View};
use super::Gate;
use crate::httpd::read::Scope;
use crate::httpd::read::startup::{Line, PROXY, PROXY_END};

const BALANCER: &str = "proxy_balancer_module";

pub(crate) static GATE_001: Rule = Rule {
    id: "GATE-001",
    setting: "balancer",
    summary: "a balancer names no method, and the module of the default one is not loaded",
    source: "httpd 2.4 modules/proxy/mod_proxy_balancer.c, init_balancer_members; AH02432, AH01183, seen on 2.4.68 and 2.4.71",
    example: "ProxyPass \"/app/\" \"balancer://app/\"",
    instead: "ProxyPass \"/app/\" \"balancer://app/\" lbmethod=bybusyness",
    after_change: true,
    check: Check::View(balancer_without_method),
    ..Rule::NEW
};

/// A balancer of one server: each has its own, also of the same name.
type Key = (Scope, String);

#[derive(Default)]
struct Balancer<'a> {
    /// The line that makes it; a section alone does not.
    made_at: Option<&'a Line>,
    /// Whether a method is named for it.
    has_method: bool,
}

/// Returns a balancer's name from its address, `balancer://app/path`.
fn name(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let name = rest.split('/').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("balancer").then(|| name.to_ascii_lowercase())
}

fn names_method(line: &Line) -> bool {
    line.words.iter().any(|word| word.to_ascii_lowercase().starts_with("lbmethod="))
}

fn balancers(lines: &[Line]) -> BTreeMap<Key, Balancer<'_>> {
    let mut found: BTreeMap<Key, Balancer<'_>> = BTreeMap::new();
    let mut section: Option<Key> = None;
    for line in lines {
        let named = line.words.iter().take(2).find_map(|word| name(word));
        let own = named.map(|name| (line.scope, name));
        if line.is(PROXY) {
            section = own;
            continue;
        }
        if line.is(PROXY_END) {
            section = None;
            continue;
        }
        let makes = ["BalancerMember", "ProxyPass", "ProxyPassMatch"].iter().any(|word| line.is(word));
        if !makes && !line.is("ProxySet") {
            continue;
        }
        let Some(key) = own.or_else(|| section.clone()) else { continue };
        let balancer = found.entry(key).or_default();
        balancer.has_method |= names_method(line);
        if makes && balancer.made_at.is_none() {
            balancer.made_at = Some(line);
        }
    }
    found
}

fn balancer_without_method(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    if !view.has(BALANCER) || view.has("lbmethod_byrequests_module") {
        return;
    }
    let found = balancers(&gate.startup().lines);
    for ((scope, name), balancer) in &found {
        // Whose a section is inside is not known: then any line that names the method may be about it.
        let elsewhere = found.iter().any(|((other_scope, other), balancer)| {
            other == name
                && balancer.has_method
                && (*scope == Scope::Section || *other_scope == Scope::Section)
        });
        let Some(line) = balancer.made_at.filter(|_| !balancer.has_method && !elsewhere) else { continue };
        gate.tell(
            out,
            line,
            Some("AH02432"),
            |place| {
                format!(
                    "balancer://{name} ({place}) names no lbmethod, and lbmethod_byrequests_module, the default's, is \
                     not loaded"
                )
            },
            "load lbmethod_byrequests_module, or name the method of a module that is loaded: lbmethod=NAME",
        );
    }
}

pub(crate) static GATE_002: Rule = Rule {
    id: "GATE-002",
    setting: "proxy_balancer_module",
    summary: "mod_proxy_balancer is loaded without mod_slotmem_shm, even with no balancer",
    source: "httpd 2.4 modules/proxy/mod_proxy_balancer.c, balancer_post_config; AH01177, seen on 2.4.71",
    after_change: true,
    check: Check::View(balancer_without_memory),
    ..Rule::NEW
};

fn balancer_without_memory(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.start().is_none() || !view.has(BALANCER) || view.has("slotmem_shm_module") {
        return;
    }
    let loaded = view.after.modules.iter().find(|module| module.identifier == BALANCER);
    let at = loaded.and_then(|module| module.loaded_at);
    let at =
        at.map_or_else(String::new, |(file, line)| format!(" ({}:{line})", view.after.path(file).display()));
    out.about("modules").value(BALANCER).code("AH01177").emit(
        format!("{BALANCER} is loaded{at} and slotmem_shm_module is not: {}", super::DIES),
        "load slotmem_shm_module, or do not load proxy_balancer_module",
    );
}
