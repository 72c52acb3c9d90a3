//! Persistent connections.

use super::{Check, Reporter, Rule, View, rule};
use crate::features::keepalive::{self, KeepAlive};
use crate::httpd::Version;
use crate::httpd::numbers::{self, BadDuration, Unit};
use crate::httpd::read::{Line, Scope};
use crate::report::Severity;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &KA_001, &KA_002, &KA_003, &KA_004, &KA_005, &KA_006, &KA_007, &KA_008, &KA_009, &KA_010, &KA_011,
    &KA_012,
];

const WAIT: &str = "KeepAliveTimeout";
const REQUESTS: &str = "MaxKeepAliveRequests";

/// Seconds of waiting that a worker of worker or prefork should not spend on one client.
const LONG_WAIT: i64 = 15;

/// Fewer workers than this are soon all waiting.
const FEW_WORKERS: i64 = 256;

/// Returns the main server's `KeepAliveTimeout`: the wanted one, or that of its line.
fn wait<'a>(view: &View<'a>) -> Option<Cow<'a, str>> {
    let wanted =
        view.context.params.groups.get::<KeepAlive>().and_then(|keepalive| keepalive.timeout.as_deref());
    wanted.or_else(|| view.standing(WAIT)).map(Cow::Borrowed)
}

/// Returns it in microseconds, where it can be read.
fn micros(view: &View<'_>) -> Option<i64> {
    numbers::duration(&wait(view)?, Unit::Seconds).ok().map(|duration| duration.micros)
}

/// Returns the main server's `MaxKeepAliveRequests` as text: the wanted one, or that of its line.
fn requests<'a>(view: &View<'a>) -> Option<Cow<'a, str>> {
    let wanted = view.params.groups.get::<KeepAlive>().and_then(|keepalive| keepalive.max_requests);
    wanted.map(|number| Cow::Owned(number.to_string())).or_else(|| view.standing(REQUESTS).map(Cow::Borrowed))
}

/// The lines of one directive in virtual hosts.
pub(super) fn in_vhosts<'v, 'a>(
    view: &'v View<'a>,
    directive: &'static str,
) -> impl Iterator<Item = (&'a Line, &'a str)> + 'v {
    view.in_vhosts
        .iter()
        .filter(move |line| line.directive == directive)
        .filter_map(|line| line.words.first().map(|text| (*line, text.as_str())))
}

pub(crate) static KA_001: Rule = Rule {
    id: "KA-001",
    severity: Severity::Error,
    setting: "KeepAliveTimeout",
    summary: "not digits with one of the units s, ms, min, h, or negative since 2.4.49; httpd refuses",
    source: "httpd 2.4 server/util.c, ap_timeout_parameter_parse",
    why: "The value is digits and perhaps one of the units s, ms, min and h. httpd refuses anything else and does \
         not start.",
    remedy: "Write 5, or 5s, or 500ms.",
    example: "KeepAliveTimeout 5d",
    instead: "KeepAliveTimeout 5s",
    check: Check::View(keep_alive_timeout_refused),
    ..Rule::NEW
};

fn keep_alive_timeout_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    let refused = |text: &str| match numbers::duration(text, Unit::Seconds) {
        Err(bad) => Some(bad),
        Ok(read) if read.micros < 0 && view.version >= Version::v24(49) => Some(BadDuration::Negative),
        Ok(_) => None,
    };
    let why = |bad| match bad {
        BadDuration::Unit => "is not digits and one of the units s, ms, min, h in lower case",
        BadDuration::Overflow => "is too large",
        BadDuration::Negative => "is below zero",
    };
    let hint = || format!("set {} to seconds (5) or to a number with a unit (500ms)", view.name(WAIT));
    let wanted = view.params.groups.get::<KeepAlive>().and_then(|keepalive| keepalive.timeout.as_deref());
    if let Some((text, bad)) = wanted.and_then(|text| refused(text).map(|bad| (text, bad))) {
        let message = format!("{WAIT} {text:?} {}: httpd does not start", why(bad));
        out.on(view, WAIT).value(text).code("AH00526").emit(message, hint());
    }
    for line in view.after.lines.iter().filter(|line| line.directive == WAIT) {
        let Some(text) = line.words.first().filter(|text| Some(text.as_str()) != wanted) else { continue };
        if let Some(bad) = refused(text) {
            out.about(WAIT).value(text).code("AH00526").emit(
                format!("{WAIT} {text:?}{} {}: httpd does not start", view.at(Some(line)), why(bad)),
                hint(),
            );
        }
    }
}

pub(crate) static KA_002: Rule = Rule {
    id: "KA-002",
    severity: Severity::Error,
    setting: "KeepAliveTimeout",
    summary: "a unit without digits, which is 0 and turns keep-alive off (a plain 0 is a warning)",
    source: "httpd 2.4 modules/http/http_protocol.c, ap_set_keepalive",
    why: "A unit alone is read as 0, and keep-alive is off: every request opens a connection, with TLS a handshake.",
    remedy: "Write digits before the unit; to turn keep-alive off, write KeepAlive Off.",
    example: "KeepAliveTimeout ms",
    instead: "KeepAliveTimeout 500ms",
    check: Check::View(keep_alive_timeout_zero),
    ..Rule::NEW
};

fn keep_alive_timeout_zero(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = wait(view) else { return };
    let Ok(read) = numbers::duration(&text, Unit::Seconds) else { return };
    if read.micros == 0 {
        let draft = out.on(view, WAIT).value(&text).effective("off");
        let draft = if read.digits { draft.at_most(Severity::Warning) } else { draft };
        draft.emit(
            format!("{WAIT} {text} is zero: every connection is closed after one request"),
            format!("set {} to 1 or more, or keepalive.enabled to false", view.name(WAIT)),
        );
    }
}

pub(crate) static KA_003: Rule = Rule {
    id: "KA-003",
    severity: Severity::Warning,
    setting: "KeepAliveTimeout, Timeout, MaxKeepAliveRequests",
    summary: "0 (or -1 requests) in a virtual host; the main server's value counts",
    source: "httpd 2.4 modules/http/http_core.c; server/config.c, ap_fixup_virtual_hosts",
    check: Check::View(no_effect_in_virtual_host),
    ..Rule::NEW
};

fn no_effect_in_virtual_host(view: &View<'_>, out: &mut Reporter<'_>) {
    for line in &view.in_vhosts {
        let Some(text) = line.words.first() else { continue };
        let unset = match line.directive {
            WAIT => numbers::duration(text, Unit::Seconds).is_ok_and(|read| read.micros == 0),
            "Timeout" => numbers::atoi(text).value == 0,
            REQUESTS => numbers::atoi(text).value == -1,
            _ => false,
        };
        if unset {
            out.about(line.directive).value(text).emit(
                format!(
                    "{} {text}{} has no effect in a virtual host: the main server's value is used",
                    line.directive,
                    view.at(Some(line))
                ),
                "remove the line, or write the value wanted",
            );
        }
    }
}

pub(crate) static KA_004: Rule = Rule {
    id: "KA-004",
    severity: Severity::Error,
    setting: "KeepAliveTimeout",
    summary: "negative before 2.4.49; taken, and keep-alive is off",
    source: "httpd 2.4 modules/http/http_core.c, set_keep_alive_timeout",
    check: Check::View(keep_alive_timeout_negative),
    ..Rule::NEW
};

fn keep_alive_timeout_negative(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.version >= Version::v24(49) {
        return;
    }
    if let (Some(text), Some(_)) = (wait(view), micros(view).filter(|micros| *micros < 0)) {
        out.on(view, WAIT).value(&text).effective("off").emit(
            format!("{WAIT} {text} is negative: httpd {} takes it and closes every connection", view.version),
            format!("set {} to 1 or more", view.name(WAIT)),
        );
    }
}

pub(crate) static KA_005: Rule = Rule {
    id: "KA-005",
    severity: Severity::Info,
    setting: "KeepAliveTimeout",
    summary: "less than a second; clients are told timeout=0",
    source: "httpd 2.4 modules/http/http_protocol.c, ap_set_keepalive",
    why: "Clients are told whole seconds, so they hear 0 and may not come back on the connection.",
    remedy: "Set 1 s or more.",
    example: "KeepAliveTimeout 500ms",
    instead: "KeepAliveTimeout 1",
    check: Check::View(keep_alive_below_a_second),
    ..Rule::NEW
};

fn keep_alive_below_a_second(view: &View<'_>, out: &mut Reporter<'_>) {
    if let (Some(text), Some(_)) = (wait(view), micros(view).filter(|micros| (1..1_000_000).contains(micros)))
        && view.remarks(keepalive::GROUP)
    {
        out.on(view, WAIT).value(&text).emit(
            format!("{WAIT} {text} is less than a second: clients are told timeout=0 and may not reuse connections"),
            format!("set {} to 1 or more, unless that is intended", view.name(WAIT)),
        );
    }
}

pub(crate) static KA_006: Rule = Rule {
    id: "KA-006",
    severity: Severity::Error,
    setting: "MaxKeepAliveRequests",
    summary: "read as a negative number; keep-alive is off",
    source: "httpd 2.4 modules/http/http_protocol.c, ap_set_keepalive",
    why: "The count of requests that are left is negative from the start, and every connection is closed after one.",
    remedy: "Write 0 for \"no limit\".",
    example: "MaxKeepAliveRequests -1",
    instead: "MaxKeepAliveRequests 100",
    check: Check::View(max_requests_negative),
    ..Rule::NEW
};

fn max_requests_negative(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = requests(view) else { return };
    let value = numbers::atoi(&text).value;
    if value < 0 {
        out.on(view, REQUESTS).value(&text).effective("off").emit(
            format!("{REQUESTS} {text} is read as {value}: every connection is closed after one request"),
            format!("set {} to 0 for no limit, or to 1 or more", view.name(REQUESTS)),
        );
    }
}

pub(crate) static KA_007: Rule = Rule {
    id: "KA-007",
    severity: Severity::Info,
    setting: "MaxKeepAliveRequests",
    summary: "0; no limit",
    source: "httpd 2.4 modules/http/http_protocol.c, ap_set_keepalive",
    why: "A client may keep its connection for ever, and a process with it, so MaxConnectionsPerChild does not come \
         round.",
    remedy: "Ignore it if no limit is meant, else set a number.",
    example: "MaxKeepAliveRequests 0",
    instead: "MaxKeepAliveRequests 100",
    check: Check::View(max_requests_unlimited),
    ..Rule::NEW
};

fn max_requests_unlimited(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = requests(view) else { return };
    if numbers::atoi(&text).value == 0 && view.remarks(keepalive::GROUP) {
        out.on(view, REQUESTS).value(&text).emit(
            format!("{REQUESTS} {text} sets no limit: a client may keep one connection for ever"),
            "ignore this if it is intended",
        );
    }
}

pub(crate) static KA_008: Rule = Rule {
    id: "KA-008",
    severity: Severity::Info,
    setting: "MaxKeepAliveRequests",
    summary: "N lets a connection carry N + 1 requests",
    source: "httpd 2.4 modules/http/http_protocol.c, ap_set_keepalive",
    check: Check::View(max_requests_one_more),
    ..Rule::NEW
};

fn max_requests_one_more(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(text) = requests(view) else { return };
    let value = numbers::atoi(&text).value;
    if value > 0 && view.remarks(keepalive::GROUP) {
        let really = i64::from(value) + 1;
        out.on(view, REQUESTS).value(&text).effective(really).emit(
            format!("{REQUESTS} {value} counts the requests after the first: a connection carries {really}"),
            format!("set {} to {} for exactly {value}", view.name(REQUESTS), value - 1),
        );
    }
}

pub(crate) static KA_009: Rule = Rule {
    id: "KA-009",
    severity: Severity::Warning,
    setting: "KeepAliveTimeout",
    summary: "a name-based virtual host without it uses that of the first one of its address, and tells \
         clients another",
    source: "httpd 2.4 server/mpm/event/event.c, event_post_read_request",
    check: Check::View(timeout_of_first_virtual_host),
    ..Rule::NEW
};

fn timeout_of_first_virtual_host(view: &View<'_>, out: &mut Reporter<'_>) {
    // Most configurations have no such line in any virtual host.
    let mut own: BTreeMap<u32, &str> = BTreeMap::new();
    for (line, text) in in_vhosts(view, WAIT) {
        if let Scope::Vhost(index) = line.scope {
            own.insert(index, text);
        }
    }
    if own.is_empty() {
        return;
    }
    let told = wait(view).unwrap_or(Cow::Borrowed("5"));
    let mut first_of: BTreeMap<&str, u32> = BTreeMap::new();
    for (index, vhost) in (0_u32..).zip(&view.after.vhosts) {
        let first =
            vhost.addresses.iter().filter_map(|address| first_of.get(address.as_str())).min().copied();
        for address in &vhost.addresses {
            first_of.entry(address).or_insert(index);
        }
        let Some(used) = first.and_then(|first| own.get(&first)).filter(|_| !own.contains_key(&index)) else {
            continue;
        };
        if numbers::duration(&told, Unit::Seconds) == numbers::duration(used, Unit::Seconds) {
            continue;
        }
        out.about(WAIT).value(&*told).effective(used).emit(
            format!(
                "the virtual host {} ({}:{}) has no {WAIT}: it tells clients {told} but uses {used}, that of the \
                 first virtual host of its address",
                vhost.name.as_deref().unwrap_or("without a name"),
                view.after.path(vhost.file).display(),
                vhost.line
            ),
            format!("set {WAIT} in that virtual host too, or only in the main server"),
        );
    }
}

pub(crate) static KA_010: Rule = Rule {
    id: "KA-010",
    severity: Severity::Warning,
    mpms: rule::WORKER_PREFORK,
    setting: "KeepAliveTimeout",
    summary: "more than 15 s with at most 256 workers; each idle client holds one",
    source: "httpd 2.4 docs/manual/mod/core, KeepAliveTimeout",
    why: "Under worker and prefork an idle connection holds a worker until the time is over. A few hundred clients \
         that only wait keep everybody else out.",
    remedy: "Set 5 s or less, or use event, which holds idle connections without a worker.",
    example: "KeepAliveTimeout 60",
    instead: "KeepAliveTimeout 5",
    check: Check::View(long_keep_alive_holds_workers),
    ..Rule::NEW
};

fn long_keep_alive_holds_workers(view: &View<'_>, out: &mut Reporter<'_>) {
    let long = micros(view).filter(|micros| *micros > LONG_WAIT * 1_000_000);
    let workers = view.normal.sizes.workers;
    if let (Some(micros), true) = (long, workers <= FEW_WORKERS) {
        let seconds = micros / 1_000_000;
        out.on(view, WAIT).value(wait(view).unwrap_or_default()).emit(
            format!(
                "{WAIT} {seconds} s under {}: an idle client holds one of {workers} workers for that long",
                view.mpm
            ),
            format!("set {} to 5, or mpm to event", view.name(WAIT)),
        );
    }
}

pub(crate) static KA_011: Rule = Rule {
    id: "KA-011",
    severity: Severity::Warning,
    setting: "KeepAlive",
    summary: "words after the first; httpd ignores them",
    source: "httpd 2.4 server/config.c, invoke_cmd, FLAG",
    check: Check::View(words_after_keep_alive),
    ..Rule::NEW
};

fn words_after_keep_alive(view: &View<'_>, out: &mut Reporter<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == "KeepAlive" && line.words.len() > 1) {
        out.about("KeepAlive").value(line.words.join(" ")).effective(&line.words[0]).emit(
            format!(
                "KeepAlive {}{}: httpd takes the first word and ignores the rest",
                line.words.join(" "),
                view.at(Some(line))
            ),
            format!("write KeepAlive {}", line.words[0]),
        );
    }
}

pub(crate) static KA_012: Rule = Rule {
    id: "KA-012",
    severity: Severity::Error,
    setting: "KeepAlive",
    summary: "neither On nor Off; httpd refuses",
    source: "httpd 2.4 server/config.c, invoke_cmd, FLAG",
    check: Check::View(keep_alive_neither_on_nor_off),
    ..Rule::NEW
};

fn keep_alive_neither_on_nor_off(view: &View<'_>, out: &mut Reporter<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == "KeepAlive") {
        let word = line.words.first().map_or("", String::as_str);
        if !word.eq_ignore_ascii_case("on") && !word.eq_ignore_ascii_case("off") {
            out.about("KeepAlive").value(word).code("AH00526").emit(
                format!(
                    "KeepAlive {word}{} is neither On nor Off: httpd does not start",
                    view.at(Some(line))
                ),
                "write On or Off",
            );
        }
    }
}
