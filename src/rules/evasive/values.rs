//! The values of mod_evasive in the dialect of the build: numbers, addresses, the status.

use super::{Check, Reporter, Rule, View, active, fork, number, numbers_of, status, whitelist};
use crate::facts::listen;
use crate::features::evasive;
use crate::httpd::numbers;
use crate::report::Severity;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&EV_006, &EV_007, &EV_008, &EV_009, &EV_010, &EV_011, &EV_025, &EV_028];

/// A number that the build replaces by its default: silently, or with a warning in the fork.
fn replaced(view: &View<'_>, out: &mut Reporter<'_>, two: bool) {
    if active(view).is_none_or(|build| fork(build) != two) {
        return;
    }
    for (directive, default) in numbers_of(view) {
        let Some(text) = number(view, directive) else { continue };
        let read = numbers::strtol(&text, 0);
        let bad = read.value <= 0 || read.value > i64::from(i32::MAX) || (two && !read.rest.is_empty());
        if bad {
            out.on(view, directive).value(&text).effective(default).emit(
                format!(
                    "{directive} {text} is not a number from 1 to {}: mod_evasive uses {default}",
                    i32::MAX
                ),
                format!("set {} to 1 or more", view.name(directive)),
            );
        }
    }
}

pub(crate) static EV_006: Rule = Rule {
    id: "EV-006",
    severity: Severity::Error,
    setting: "evasive numbers",
    summary: "mod_evasive 1.10: below 1 or not a number; the default counts silently",
    source: "mod_evasive 1.10.1 mod_evasive20.c, get_*",
    check: Check::View(default_instead_of_number_in_1_10),
    ..Rule::NEW
};

fn default_instead_of_number_in_1_10(view: &View<'_>, out: &mut Reporter<'_>) {
    replaced(view, out, false);
}

pub(crate) static EV_007: Rule = Rule {
    id: "EV-007",
    severity: Severity::Error,
    setting: "evasive numbers",
    summary: "mod_evasive 2: below 1 or not a clean number; the default counts with a warning in the log",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(default_instead_of_number_in_2),
    ..Rule::NEW
};

fn default_instead_of_number_in_2(view: &View<'_>, out: &mut Reporter<'_>) {
    replaced(view, out, true);
}

/// Tells whether 1.10.1 can match an entry: an address as httpd prints it, or whole octets left open at the end.
fn matched_by_1(entry: &str) -> bool {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return address.to_string() == entry;
    }
    let octets: Vec<&str> = entry.split('.').collect();
    let open = octets.iter().rev().take_while(|octet| **octet == "*").count();
    octets.len() == 4 && (1..=3).contains(&open) && octets[..4 - open].iter().all(|octet| is_octet(octet))
}

/// Tells whether the fork takes an entry: an address, octets left open anywhere, or a network.
fn taken_by_2(entry: &str) -> bool {
    if let Some((address, bits)) = entry.split_once('/') {
        let Ok(bits) = bits.parse::<u8>() else { return false };
        return match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => (1..=32).contains(&bits),
            Ok(IpAddr::V6(_)) => (1..=128).contains(&bits),
            Err(_) => false,
        };
    }
    let octets: Vec<&str> = entry.split('.').collect();
    entry.parse::<Ipv4Addr>().is_ok()
        || entry.parse::<Ipv6Addr>().is_ok()
        || (octets.len() == 4 && octets.iter().all(|octet| *octet == "*" || is_octet(octet)))
}

fn is_octet(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|octet| octet.to_string() == text)
}

pub(crate) static EV_008: Rule = Rule {
    id: "EV-008",
    severity: Severity::Error,
    setting: "evasive.whitelist",
    summary: "mod_evasive 1.10: neither an address nor 192.0.2.* and the like; never matches",
    source: "mod_evasive 1.10.1 mod_evasive20.c, is_whitelisted",
    check: Check::View(whitelist_entry_never_matches),
    ..Rule::NEW
};

fn whitelist_entry_never_matches(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none_or(fork) {
        return;
    }
    for entry in whitelist(view).into_iter().filter(|entry| !matched_by_1(entry)) {
        out.on(view, "DOSWhitelist").value(entry).effective("never matches").emit(
            format!("DOSWhitelist {entry} is accepted by mod_evasive 1.10 and never matches a client"),
            "write single addresses, or 192.0.2.*, 192.0.*.*, 192.*.*.*",
        );
    }
}

pub(crate) static EV_009: Rule = Rule {
    id: "EV-009",
    severity: Severity::Error,
    setting: "evasive.whitelist",
    summary: "mod_evasive 2: no address, pattern or network; dropped with an error in the log",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(whitelist_entry_dropped),
    ..Rule::NEW
};

fn whitelist_entry_dropped(view: &View<'_>, out: &mut Reporter<'_>) {
    if !active(view).is_some_and(fork) {
        return;
    }
    for entry in whitelist(view).into_iter().filter(|entry| !taken_by_2(entry)) {
        out.on(view, "DOSWhitelist").value(entry).effective("dropped").emit(
            format!(
                "DOSWhitelist {entry} is no address, pattern of four octets or network: mod_evasive drops it"
            ),
            "write 192.0.2.1, 192.0.2.*, 192.0.2.0/24 or 2001:db8::/32",
        );
    }
}

pub(crate) static EV_010: Rule = Rule {
    id: "EV-010",
    severity: Severity::Error,
    setting: "evasive.whitelist",
    summary: "mod_evasive 2: *.*.*.* exempts everybody",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(everybody_exempt),
    ..Rule::NEW
};

fn everybody_exempt(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_some_and(fork) && whitelist(view).contains(&"*.*.*.*") {
        out.on(view, "DOSWhitelist").value("*.*.*.*").emit(
            "DOSWhitelist *.*.*.* exempts everybody: mod_evasive protects nothing",
            "name the addresses that are never to be blocked",
        );
    }
}

pub(crate) static EV_011: Rule = Rule {
    id: "EV-011",
    severity: Severity::Error,
    setting: "evasive.http_status",
    summary: "not 400 to 599; no refusal, or 403 instead",
    source: "mod_evasive, get_http_reply and others",
    check: Check::View(status_of_no_refusal),
    ..Rule::NEW
};

fn status_of_no_refusal(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(build) = active(view) else { return };
    let (Some(directive), Some(status)) = (build.status_directive, status(view, build)) else { return };
    let zero = fork(build) && status == 0;
    if !(400..=599).contains(&status) && !zero {
        out.on(view, directive).value(status).emit(
            format!("{directive} {status} is no status of a refusal: clients are not blocked, or get 403"),
            format!("set {} to 403, 429 or 503", view.name(directive)),
        );
    }
}

pub(crate) static EV_025: Rule = Rule {
    id: "EV-025",
    severity: Severity::Error,
    setting: "evasive.http_status",
    summary: "mod_evasive 2: status 0; mail and command for every client, nobody blocked",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(status_zero_blocks_nobody),
    ..Rule::NEW
};

fn status_zero_blocks_nobody(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_some_and(|build| fork(build) && status(view, build) == Some(0)) {
        out.on(view, "DOSHTTPStatus").value(0).emit(
            "DOSHTTPStatus 0: each client's first request sends the mail and runs the command, and no client is blocked",
            format!("set {} to 403, 429 or 503", view.name("DOSHTTPStatus")),
        );
    }
}

pub(crate) static EV_028: Rule = Rule {
    id: "EV-028",
    severity: Severity::Warning,
    setting: "evasive.whitelist",
    summary: "mod_evasive 2: an IPv4 entry where httpd listens for both families; it never matches",
    source: "mod_evasive 2.4.0 mod_evasive.c, is_whitelisted; a socket of both families has IPv4 clients as ::ffff:a.b.c.d",
    check: Check::View(entry_of_the_other_family),
    ..Rule::NEW
};

fn entry_of_the_other_family(view: &View<'_>, out: &mut Reporter<'_>) {
    if !active(view).is_some_and(fork) || !listen::is_dual(&view.after.listen) {
        return;
    }
    let lines = view.main.get("DOSWhitelist").map_or(&[][..], Vec::as_slice);
    let entries: Vec<&String> = lines.iter().flat_map(|line| &line.words).collect();
    for (entry, mapped) in entries.iter().filter_map(|entry| Some((entry, evasive::mapped(entry)?))) {
        if !entries.contains(&&mapped) {
            out.on(view, "DOSWhitelist").value(entry).effective("never matches").emit(
                format!(
                    "DOSWhitelist {entry} exempts nobody: httpd listens for both families on one socket, where IPv4 \
                     clients have addresses such as ::ffff:192.0.2.1"
                ),
                format!("add {mapped}, or set evasive.whitelist, which writes both"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_matched_as_each_build_does() {
        for (entry, one, two) in [
            ("192.0.2.1", true, true),
            ("192.0.2.*", true, true),
            ("192.0.*.*", true, true),
            ("192.*.*.*", true, true),
            ("*.*.*.*", false, true),
            ("192.*.2.*", false, true),
            ("127.*", false, false),
            ("127.0.*", false, false),
            ("192.0.2.0/24", false, true),
            ("192.0.2.0/0", false, false),
            ("192.0.2.0/33", false, false),
            ("2001:db8::1", true, true),
            ("2001:DB8::1", false, true),
            ("2001:db8::/32", false, true),
            ("2001:db8::/129", false, false),
            ("localhost", false, false),
            ("192.0.2.256", false, false),
            ("192.0.02.1", false, false),
            ("", false, false),
        ] {
            assert_eq!((matched_by_1(entry), taken_by_2(entry)), (one, two), "{entry}");
        }
    }
}
