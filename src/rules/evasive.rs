//! mod_evasive: numbers, addresses, the command and the mail, in the dialect of the build.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Found, View, modules};
use crate::features::evasive::{self, Build, Evasive, Generation};
use crate::httpd::numbers;
use crate::httpd::read::{Line, NoteKind};
use crate::report::Severity;

/// Returns mod_evasive's numbers that fall back to a default, each with that of the build.
fn numbers_of<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'static str, i64)> + 'v {
    let rows = evasive::EVASIVE.owned().filter(|row| row.positive);
    rows.map(|row| (row.name, (row.default)(view.mpm, view.after).parse().unwrap_or_default()))
}

/// Programs that only root may use, or that ask for it.
const ROOT_PROGRAMS: [&str; 11] = [
    "sudo",
    "doas",
    "iptables",
    "ip6tables",
    "nft",
    "ufw",
    "firewall-cmd",
    "ipset",
    "ip",
    "route",
    "fail2ban-client",
];

/// Directories in which everybody may write.
const WORLD: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

/// Returns the build, where mod_evasive is wanted or loaded.
fn active<'a>(view: &View<'a>) -> Option<&'a Build> {
    let wanted = match view.params.groups.get::<Evasive>() {
        Some(evasive) => evasive.enabled != Some(false),
        None => {
            ["evasive_module", "evasive20_module", "evasive24_module"].iter().any(|module| view.has(module))
        }
    };
    view.context.evasive.filter(|_| wanted)
}

/// Tells whether it is the 2.x fork, which checks its values and is off by default.
fn fork(build: &Build) -> bool {
    build.generation == Generation::Two
}

/// Returns the build's name for a message.
fn name(build: &Build) -> String {
    let number = if fork(build) { "2" } else { "1.10" };
    format!("mod_evasive {number} ({})", build.symbol)
}

/// Returns the text of a number: the wanted one, or that of the main server's line.
fn number(view: &View<'_>, directive: &str) -> Option<String> {
    let wanted = view.params.groups.get::<Evasive>().and_then(|evasive| match directive {
        "DOSHashTableSize" => evasive.hash_table_size,
        "DOSPageCount" => evasive.page_count,
        "DOSSiteCount" => evasive.site_count,
        "DOSPageInterval" => evasive.page_interval,
        "DOSSiteInterval" => evasive.site_interval,
        "DOSBlockingPeriod" => evasive.blocking_period,
        _ => None,
    });
    wanted.map(|number| number.to_string()).or_else(|| view.standing(directive).map(str::to_owned))
}

/// Returns the number that mod_evasive uses for a directive.
fn used(view: &View<'_>, directive: &str) -> i64 {
    let default = numbers_of(view).find(|(name, _)| *name == directive).map_or(0, |(_, default)| default);
    number(view, directive).map(|text| numbers::strtol(&text, 0).value).filter(|n| *n > 0).unwrap_or(default)
}

/// Returns a text: the wanted one, or that of the main server's line.
fn text<'a>(view: &View<'a>, directive: &str) -> Option<&'a str> {
    let wanted = view.context.params.groups.get::<Evasive>().and_then(|evasive| match directive {
        "DOSEmailNotify" => evasive.email_notify.as_deref(),
        "DOSSystemCommand" => evasive.system_command.as_deref(),
        "DOSLogDir" => evasive.log_dir.as_deref(),
        _ => None,
    });
    wanted.or_else(|| view.standing(directive))
}

/// Returns the status of a blocked request: the wanted one, or that of the main server's line.
fn status(view: &View<'_>, build: &Build) -> Option<i64> {
    let wanted = view.params.groups.get::<Evasive>().and_then(|evasive| evasive.http_status);
    wanted.or_else(|| {
        let directive = build.status_directive?;
        view.line(directive)?.words.last().map(|text| numbers::strtol(text, 0).value)
    })
}

/// Returns the addresses never blocked: the wanted ones, or those of the main server's lines.
fn whitelist<'a>(view: &View<'a>) -> Vec<&'a str> {
    let wanted = view.context.params.groups.get::<Evasive>().and_then(|evasive| evasive.whitelist.as_ref());
    if let Some(list) = wanted {
        return list.iter().map(String::as_str).collect();
    }
    let lines = view.main.get("DOSWhitelist").map_or(&[][..], Vec::as_slice);
    lines.iter().flat_map(|line| line.words.iter()).map(String::as_str).collect()
}

pub(super) fn ev_001(view: &View<'_>, out: &mut Found<'_>) {
    modules::dead_guard(view, out, NoteKind::DeadEvasiveGuard, "the guard of the build that is loaded");
}

pub(super) fn ev_002(view: &View<'_>, out: &mut Found<'_>) {
    let standing = view.standing("DOSEnabled");
    let wanted = view.params.groups.get::<Evasive>().is_some_and(|evasive| evasive.enabled == Some(true));
    if active(view).is_some_and(fork) && !wanted && standing != Some("true") {
        out.on(view, "DOSEnabled").value(standing.unwrap_or("left out")).effective("off").say(
            "mod_evasive 2 is off unless DOSEnabled is exactly `true`: nothing is protected",
            format!("set {} to true", view.path("DOSEnabled")),
        );
    }
}

/// Returns the lines about mod_evasive in virtual hosts, the first of each host.
fn first_in_vhosts<'a>(view: &View<'a>) -> Vec<&'a Line> {
    let mut lines: Vec<&'a Line> = Vec::new();
    for line in &view.in_vhosts {
        if line.directive.starts_with("DOS") && lines.iter().all(|other| other.scope != line.scope) {
            lines.push(line);
        }
    }
    lines
}

pub(super) fn ev_003(view: &View<'_>, out: &mut Found<'_>) {
    if !active(view).is_some_and(fork) {
        return;
    }
    for line in first_in_vhosts(view) {
        let on = view.in_vhosts.iter().any(|other| {
            other.scope == line.scope
                && other.directive == "DOSEnabled"
                && other.words.first().is_some_and(|word| word == "true")
        });
        if !on {
            out.on(view, "DOSEnabled").value("left out").effective("off").say(
                format!(
                    "the virtual host with {}{} has no `DOSEnabled true` and inherits nothing: mod_evasive is off there",
                    line.directive,
                    view.at(Some(line))
                ),
                "write every directive of mod_evasive in that virtual host, or none",
            );
        }
    }
}

pub(super) fn ev_004(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none_or(fork) {
        return;
    }
    for line in first_in_vhosts(view) {
        out.on(view, line.directive).value(line.words.join(" ")).say(
            format!(
                "{}{} stands in a virtual host, but counts for all of them, and the whitelist read before it is lost",
                line.directive,
                view.at(Some(line))
            ),
            "move the line to the main server",
        );
    }
}

pub(super) fn ev_005(view: &View<'_>, out: &mut Found<'_>) {
    let Some(build) = active(view) else { return };
    if build.status_directive.is_none()
        && let Some(status) = view.params.groups.get::<Evasive>().and_then(|evasive| evasive.http_status)
    {
        out.about("evasive.http_status").value(status).effective(403).say(
            format!("{} has no directive for the status; it answers 403", name(build)),
            "leave http_status out",
        );
    }
    for line in &view.after.lines {
        let foreign = match line.directive {
            "DOSHTTPResponseCode" | "DOSHTTPStatus" | "DOSBlockingHttpResponse" => {
                build.status_directive != Some(line.directive)
            }
            "DOSEnabled" | "DOSWhitelistUri" | "DOSBlocklistUri" => !fork(build),
            _ => false,
        };
        if foreign {
            out.about(line.directive).value(line.words.join(" ")).code("AH00526").say(
                format!(
                    "{}{} is not known to {}: httpd does not start",
                    line.directive,
                    view.at(Some(line)),
                    name(build)
                ),
                build.status_directive.map_or_else(
                    || "remove the line".to_owned(),
                    |own| format!("write {own}, or remove the line"),
                ),
            );
        }
    }
}

/// A number that the build replaces by its default: silently, or with a warning in the fork.
fn replaced(view: &View<'_>, out: &mut Found<'_>, two: bool) {
    if active(view).is_none_or(|build| fork(build) != two) {
        return;
    }
    for (directive, default) in numbers_of(view) {
        let Some(text) = number(view, directive) else { continue };
        let read = numbers::strtol(&text, 0);
        let bad = read.value <= 0 || read.value > i64::from(i32::MAX) || (two && !read.rest.is_empty());
        if bad {
            out.on(view, directive).value(&text).effective(default).say(
                format!(
                    "{directive} {text} is not a number from 1 to {}: mod_evasive uses {default}",
                    i32::MAX
                ),
                format!("set {} to 1 or more", view.name(directive)),
            );
        }
    }
}

pub(super) fn ev_006(view: &View<'_>, out: &mut Found<'_>) {
    replaced(view, out, false);
}

pub(super) fn ev_007(view: &View<'_>, out: &mut Found<'_>) {
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

pub(super) fn ev_008(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none_or(fork) {
        return;
    }
    for entry in whitelist(view).into_iter().filter(|entry| !matched_by_1(entry)) {
        out.on(view, "DOSWhitelist").value(entry).effective("never matches").say(
            format!("DOSWhitelist {entry} is accepted by mod_evasive 1.10 and never matches a client"),
            "write single addresses, or 192.0.2.*, 192.0.*.*, 192.*.*.*",
        );
    }
}

pub(super) fn ev_009(view: &View<'_>, out: &mut Found<'_>) {
    if !active(view).is_some_and(fork) {
        return;
    }
    for entry in whitelist(view).into_iter().filter(|entry| !taken_by_2(entry)) {
        out.on(view, "DOSWhitelist").value(entry).effective("dropped").say(
            format!(
                "DOSWhitelist {entry} is no address, pattern of four octets or network: mod_evasive drops it"
            ),
            "write 192.0.2.1, 192.0.2.*, 192.0.2.0/24 or 2001:db8::/32",
        );
    }
}

pub(super) fn ev_010(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_some_and(fork) && whitelist(view).contains(&"*.*.*.*") {
        out.on(view, "DOSWhitelist").value("*.*.*.*").say(
            "DOSWhitelist *.*.*.* exempts everybody: mod_evasive protects nothing",
            "name the addresses that are never to be blocked",
        );
    }
}

pub(super) fn ev_011(view: &View<'_>, out: &mut Found<'_>) {
    let Some(build) = active(view) else { return };
    let (Some(directive), Some(status)) = (build.status_directive, status(view, build)) else { return };
    let zero = fork(build) && status == 0;
    if !(400..=599).contains(&status) && !zero {
        out.on(view, directive).value(status).say(
            format!("{directive} {status} is no status of a refusal: clients are not blocked, or get 403"),
            format!("set {} to 403, 429 or 503", view.name(directive)),
        );
    }
}

pub(super) fn ev_025(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_some_and(|build| fork(build) && status(view, build) == Some(0)) {
        out.on(view, "DOSHTTPStatus").value(0).say(
            "DOSHTTPStatus 0: every client counts as blocked at its first request, for mail and command, and is served",
            format!("set {} to 403, 429 or 503", view.name("DOSHTTPStatus")),
        );
    }
}

pub(super) fn ev_012(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none() {
        return;
    }
    let Some(dir) = text(view, "DOSLogDir") else { return };
    let plain = dir.trim_end_matches('/');
    let why = match view.host.log_dir {
        _ if WORLD.contains(&plain) => {
            Some("is writable by everybody, who can then keep clients from being blocked")
        }
        Some(facts) if !facts.exists => Some("does not exist: there will be no mail, no command and no log"),
        Some(facts) if facts.world_writes => {
            Some("is writable by everybody, who can then keep clients from being blocked")
        }
        Some(facts) if !facts.web_user_writes => {
            Some("cannot be written by the web server's user: there will be no mail, no command and no log")
        }
        _ => None,
    };
    if let Some(why) = why {
        out.on(view, "DOSLogDir").value(dir).say(
            format!("DOSLogDir {dir} {why}"),
            format!(
                "make a directory of {} with mode 0750 and name it in {}",
                view.layout.user,
                view.name("DOSLogDir")
            ),
        );
    }
}

pub(super) fn ev_013(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_some() && text(view, "DOSLogDir").is_none() {
        out.on(view, "DOSLogDir").value("left out").effective("/tmp").say(
            "DOSLogDir is left out: the lock files stand in /tmp under names that anybody can foretell",
            format!("set {} to a directory that only {} may write", view.name("DOSLogDir"), view.layout.user),
        );
    }
}

pub(super) fn ev_014(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none() {
        return;
    }
    for directive in ["DOSSystemCommand", "DOSEmailNotify"] {
        if let Some(value) = text(view, directive) {
            out.on(view, directive).value(value).say(
                format!("{directive} runs once for each address and never again: nobody removes its lock file dos-ADDRESS"),
                "remove old dos-* files from log_dir regularly, such as by systemd-tmpfiles",
            );
        }
    }
}

pub(super) fn ev_015(view: &View<'_>, out: &mut Found<'_>) {
    let Some(command) = active(view).and_then(|_| text(view, "DOSSystemCommand")) else { return };
    let (mut addresses, mut others) = (0, 0);
    let mut rest = command.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            match rest.next() {
                Some(b's') => addresses += 1,
                Some(b'%') => {}
                _ => others += 1,
            }
        }
    }
    if addresses != 1 || others != 0 {
        out.on(view, "DOSSystemCommand").value(command).say(
            format!(
                "DOSSystemCommand has {addresses} times %s and {others} other %: mod_evasive prints with it, once, the \
                 client's address"
            ),
            "write exactly one %s, and %% for every other percent sign",
        );
    }
}

pub(super) fn ev_016(view: &View<'_>, out: &mut Found<'_>) {
    let Some(command) = active(view).and_then(|_| text(view, "DOSSystemCommand")) else { return };
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    if ROOT_PROGRAMS.contains(&name) {
        out.on(view, "DOSSystemCommand").value(command).say(
            format!(
                "{name} needs root, but the command runs as {}, and the worker waits for it",
                view.layout.user
            ),
            "write the address to a file or socket that a service of root watches",
        );
    }
}

pub(super) fn ev_017(view: &View<'_>, out: &mut Found<'_>) {
    let Some(address) = active(view).and_then(|_| text(view, "DOSEmailNotify")) else { return };
    let plain = |c: char| c.is_ascii_alphanumeric() || "@._+-=%".contains(c);
    if address.is_empty() || address.starts_with('-') || !address.chars().all(plain) {
        out.on(view, "DOSEmailNotify").value(address).say(
            format!(
                "DOSEmailNotify {address:?} has characters that the shell would take for commands or options"
            ),
            "write one plain mail address",
        );
    } else if view.host.mail_program == Some(false) {
        out.on(view, "DOSEmailNotify").value(address).say(
            "DOSEmailNotify needs the program mail, which is not installed: no mail will be sent",
            "install a package with mail, such as bsd-mailx, or leave it out",
        );
    }
}

pub(super) fn ev_018(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_some_and(|build| !fork(build)) && view.has("remoteip_module") {
        out.on(view, "DOSPageCount").say(
            "mod_remoteip is loaded, but mod_evasive 1.10 counts by the address of the proxy: all clients behind it \
             share one counter",
            "leave mod_evasive off behind a proxy, or waive this where clients also come directly",
        );
    }
}

pub(super) fn ev_019(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none() {
        return;
    }
    for directive in ["DOSPageInterval", "DOSSiteInterval"] {
        let seconds = used(view, directive);
        if seconds > 1 && seconds <= i64::from(i32::MAX) {
            out.on(view, directive).value(seconds).say(
                format!(
                    "{directive} {seconds} is the idle time that resets the counter, not a window: a client that asks \
                     every {} s is blocked in the end",
                    seconds - 1
                ),
                format!("set {} to 1, and the count higher", view.name(directive)),
            );
        }
    }
}

pub(super) fn ev_020(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_none() || !view.remarks(evasive::GROUP) {
        return;
    }
    let (count, processes) = (used(view, "DOSPageCount"), view.normal.sizes.processes);
    let most = count.saturating_add(1).saturating_mul(processes).saturating_add(1);
    out.on(view, "DOSPageCount").value(count).effective(most).say(
        format!(
            "each of {processes} processes counts for itself: a client is blocked after {} to {most} requests",
            count.saturating_add(2)
        ),
        "fewer processes with more threads count more exactly",
    );
}

pub(super) fn ev_021(view: &View<'_>, out: &mut Found<'_>) {
    let recycle = view.text("MaxConnectionsPerChild").map_or(0, |text| numbers::atoi(text).value);
    if active(view).is_some() && (1..1000).contains(&recycle) {
        out.on(view, "MaxConnectionsPerChild").value(recycle).say(
            format!("MaxConnectionsPerChild {recycle}: each new child begins to count clients from nothing"),
            format!("set {} to 1000 or more, or 0", view.name("MaxConnectionsPerChild")),
        );
    }
}

pub(super) fn ev_022(view: &View<'_>, out: &mut Found<'_>) {
    let text = number(view, "DOSHashTableSize");
    if let (Some(build), Some(text)) = (active(view), text)
        && !fork(build)
        && view.remarks(evasive::GROUP)
    {
        out.on(view, "DOSHashTableSize").value(text).effective(3097).say(
            "DOSHashTableSize has no effect: mod_evasive 1.10 makes its table before it reads the line",
            format!("leave {} out", view.name("DOSHashTableSize")),
        );
    }
}

pub(super) fn ev_023(view: &View<'_>, out: &mut Found<'_>) {
    if active(view).is_some() && view.remarks(evasive::GROUP) {
        out.on(view, "DOSPageCount").at_most(Severity::Info).say(
            format!(
                "mod_evasive does not lock its table, which the threads of {} share: counts may be off",
                view.mpm
            ),
            "nothing to do",
        );
    }
}

pub(super) fn ev_024(view: &View<'_>, out: &mut Found<'_>) {
    if !view.context.evasive.is_some_and(fork) {
        return;
    }
    for note in view.notes(NoteKind::DeadEvasiveGuard).filter(|note| note.text.contains("evasive20")) {
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about("evasive").at_most(cap).value(&note.text).say(
            format!(
                "{} at {} was written for mod_evasive 1.10; the 2.x found here skips it and protects nothing by it",
                note.text,
                view.noted_at(note)
            ),
            "manage `evasive` with this tool, or rewrite the block for evasive_module with DOSEnabled true",
        );
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
