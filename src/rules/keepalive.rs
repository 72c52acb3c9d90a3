//! Persistent connections, `Timeout`, and how long a request may take to arrive.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::reqtimeout::{self, Limit, Stage};
use super::{Found, View};
use crate::features::keepalive::{self, KeepAlive};
use crate::httpd::Version;
use crate::httpd::numbers::{self, BadDuration, Unit};
use crate::httpd::read::{Line, Scope};
use crate::report::Severity;

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
fn in_vhosts<'v, 'a>(
    view: &'v View<'a>,
    directive: &'static str,
) -> impl Iterator<Item = (&'a Line, &'a str)> + 'v {
    view.in_vhosts
        .iter()
        .filter(move |line| line.directive == directive)
        .filter_map(|line| line.words.first().map(|text| (*line, text.as_str())))
}

pub(super) fn ka_001(view: &View<'_>, out: &mut Found<'_>) {
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
        out.on(view, WAIT).value(text).code("AH00526").say(message, hint());
    }
    for line in view.after.lines.iter().filter(|line| line.directive == WAIT) {
        let Some(text) = line.words.first().filter(|text| Some(text.as_str()) != wanted) else { continue };
        if let Some(bad) = refused(text) {
            out.about(WAIT).value(text).code("AH00526").say(
                format!("{WAIT} {text:?}{} {}: httpd does not start", view.at(Some(line)), why(bad)),
                hint(),
            );
        }
    }
}

pub(super) fn ka_002(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = wait(view) else { return };
    let Ok(read) = numbers::duration(&text, Unit::Seconds) else { return };
    if read.micros == 0 {
        let draft = out.on(view, WAIT).value(&text).effective("off");
        let draft = if read.digits { draft.at_most(Severity::Warning) } else { draft };
        draft.say(
            format!("{WAIT} {text} is zero: every connection is closed after one request"),
            format!("set {} to 1 or more, or keepalive.enabled to false", view.name(WAIT)),
        );
    }
}

pub(super) fn ka_003(view: &View<'_>, out: &mut Found<'_>) {
    for line in &view.in_vhosts {
        let Some(text) = line.words.first() else { continue };
        let unset = match line.directive {
            WAIT => numbers::duration(text, Unit::Seconds).is_ok_and(|read| read.micros == 0),
            "Timeout" => numbers::atoi(text).value == 0,
            REQUESTS => numbers::atoi(text).value == -1,
            _ => false,
        };
        if unset {
            out.about(line.directive).value(text).say(
                format!(
                    "{} {text}{} stands in a virtual host, where it means nothing: the main server's value counts",
                    line.directive,
                    view.at(Some(line))
                ),
                "remove the line, or write the value wanted",
            );
        }
    }
}

pub(super) fn ka_004(view: &View<'_>, out: &mut Found<'_>) {
    if view.version >= Version::v24(49) {
        return;
    }
    if let (Some(text), Some(_)) = (wait(view), micros(view).filter(|micros| *micros < 0)) {
        out.on(view, WAIT).value(&text).effective("off").say(
            format!("{WAIT} {text} is negative: httpd {} takes it and closes every connection", view.version),
            format!("set {} to 1 or more", view.name(WAIT)),
        );
    }
}

pub(super) fn ka_005(view: &View<'_>, out: &mut Found<'_>) {
    if let (Some(text), Some(_)) = (wait(view), micros(view).filter(|micros| (1..1_000_000).contains(micros)))
        && view.remarks(keepalive::GROUP)
    {
        out.on(view, WAIT).value(&text).say(
            format!("{WAIT} {text} is less than a second: clients are told timeout=0 and may not reuse connections"),
            format!("set {} to 1 or more, unless that is meant", view.name(WAIT)),
        );
    }
}

pub(super) fn ka_006(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = requests(view) else { return };
    let value = numbers::atoi(&text).value;
    if value < 0 {
        out.on(view, REQUESTS).value(&text).effective("off").say(
            format!("{REQUESTS} {text} is read as {value}: every connection is closed after one request"),
            format!("set {} to 0 for no limit, or to 1 or more", view.name(REQUESTS)),
        );
    }
}

pub(super) fn ka_007(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = requests(view) else { return };
    if numbers::atoi(&text).value == 0 && view.remarks(keepalive::GROUP) {
        out.on(view, REQUESTS).value(&text).say(
            format!("{REQUESTS} {text} sets no limit: a client may keep one connection for ever"),
            "nothing to do, if that is meant",
        );
    }
}

pub(super) fn ka_008(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = requests(view) else { return };
    let value = numbers::atoi(&text).value;
    if value > 0 && view.remarks(keepalive::GROUP) {
        let really = i64::from(value) + 1;
        out.on(view, REQUESTS).value(&text).effective(really).say(
            format!("{REQUESTS} {value} counts the requests after the first: a connection carries {really}"),
            format!("set {} to {} for exactly {value}", view.name(REQUESTS), value - 1),
        );
    }
}

pub(super) fn ka_009(view: &View<'_>, out: &mut Found<'_>) {
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
        out.about(WAIT).value(&*told).effective(used).say(
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

pub(super) fn ka_010(view: &View<'_>, out: &mut Found<'_>) {
    let long = micros(view).filter(|micros| *micros > LONG_WAIT * 1_000_000);
    let workers = view.normal.sizes.workers;
    if let (Some(micros), true) = (long, workers <= FEW_WORKERS) {
        let seconds = micros / 1_000_000;
        out.on(view, WAIT).value(wait(view).unwrap_or_default()).say(
            format!(
                "{WAIT} {seconds} s under {}: an idle client holds one of {workers} workers for that long",
                view.mpm
            ),
            format!("set {} to 5, or mpm to event", view.name(WAIT)),
        );
    }
}

pub(super) fn ka_011(view: &View<'_>, out: &mut Found<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == "KeepAlive" && line.words.len() > 1) {
        out.about("KeepAlive").value(line.words.join(" ")).effective(&line.words[0]).say(
            format!(
                "KeepAlive {}{}: httpd takes the first word and ignores the rest",
                line.words.join(" "),
                view.at(Some(line))
            ),
            format!("write KeepAlive {}", line.words[0]),
        );
    }
}

pub(super) fn ka_012(view: &View<'_>, out: &mut Found<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == "KeepAlive") {
        let word = line.words.first().map_or("", String::as_str);
        if !word.eq_ignore_ascii_case("on") && !word.eq_ignore_ascii_case("off") {
            out.about("KeepAlive").value(word).code("AH00526").say(
                format!(
                    "KeepAlive {word}{} is neither On nor Off: httpd does not start",
                    view.at(Some(line))
                ),
                "write On or Off",
            );
        }
    }
}

/// Returns every `Timeout` line that counts: the main server's last, and those of virtual hosts.
fn timeouts<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'a Line, &'a str)> + 'v {
    let main = view.line("Timeout").and_then(|line| line.words.first().map(|text| (line, text.as_str())));
    main.into_iter().chain(in_vhosts(view, "Timeout"))
}

pub(super) fn to_001(view: &View<'_>, out: &mut Found<'_>) {
    for (line, text) in timeouts(view) {
        let read = numbers::atoi(text);
        if read.digits && !read.rest.is_empty() {
            out.on(view, "Timeout").value(text).effective(read.value).say(
                format!(
                    "Timeout {text}{} takes whole seconds only: httpd reads {}",
                    view.at(Some(line)),
                    read.value
                ),
                "write whole seconds",
            );
        }
    }
}

pub(super) fn to_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(text) = view.standing("Timeout").filter(|text| numbers::atoi(text).value == 0) {
        out.on(view, "Timeout").value(text).effective(0).say(
            format!(
                "Timeout {text}{} is read as 0: a client whose request does not arrive at once gets status 400",
                view.at(view.line("Timeout"))
            ),
            "write whole seconds, such as 60",
        );
    }
}

pub(super) fn to_003(view: &View<'_>, out: &mut Found<'_>) {
    for (line, text) in timeouts(view) {
        let value = numbers::atoi(text).value;
        if value < 0 {
            out.on(view, "Timeout").value(text).effective(value).say(
                format!("Timeout {text}{} is read as {value}: no time limit at all", view.at(Some(line))),
                "write whole seconds, such as 60",
            );
        }
    }
}

const READ: &str = "RequestReadTimeout";

/// Returns the lines of `RequestReadTimeout` with what they say, those that httpd takes.
fn limits<'a>(view: &View<'a>) -> Vec<(&'a Line, Vec<Limit>)> {
    let lines = view.context.after.lines.iter().filter(|line| line.directive == READ);
    lines
        .filter_map(|line| reqtimeout::parse(&line.words.join(" ")).ok().map(|limits| (line, limits)))
        .collect()
}

/// Returns the limit of a stage in the main server; httpd's own where no line names it.
fn main_limit(limits: &[(&Line, Vec<Limit>)], stage: Stage) -> Limit {
    let written = limits.iter().rev().filter(|(line, _)| line.scope == Scope::Main);
    let found = written.flat_map(|(_, limits)| limits.iter().rev()).find(|limit| limit.stage == stage);
    found.copied().unwrap_or(match stage {
        Stage::Handshake => Limit { stage, initial: 0, most: 0, rate: 0 },
        Stage::Header => Limit { stage, initial: 20, most: 40, rate: 500 },
        Stage::Body => Limit { stage, initial: 20, most: 0, rate: 500 },
    })
}

pub(super) fn rrt_001(view: &View<'_>, out: &mut Found<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == READ) {
        let text = line.words.join(" ");
        if let Err(why) = reqtimeout::parse(&text) {
            out.about(READ).value(&text).code("AH00526").say(
                format!("{READ}{}: {why}; httpd does not start", view.at(Some(line))),
                "write it as header=20-40,MinRate=500 body=20,MinRate=500",
            );
        }
    }
}

pub(super) fn rrt_002(view: &View<'_>, out: &mut Found<'_>) {
    let limits = limits(view);
    for (line, own) in limits.iter().filter(|(line, _)| matches!(line.scope, Scope::Vhost(_))) {
        let lost: Vec<&str> = [(Stage::Header, "header"), (Stage::Body, "body")]
            .into_iter()
            .filter(|(stage, _)| own.iter().all(|limit| limit.stage != *stage))
            .filter(|(stage, _)| main_limit(&limits, *stage).rate != 0)
            .map(|(_, name)| name)
            .collect();
        if !own.is_empty() && !lost.is_empty() {
            out.about(READ).value(line.words.join(" ")).say(
                format!(
                    "{READ}{} names only some stages: in that virtual host {} loses the extension by MinRate",
                    view.at(Some(line)),
                    lost.join(" and ")
                ),
                "repeat every stage in that line",
            );
        }
    }
}

pub(super) fn rrt_003(view: &View<'_>, out: &mut Found<'_>) {
    let timeout = view.standing("Timeout").map_or(60, |text| numbers::atoi(text).value);
    for (line, limits) in limits(view) {
        for limit in limits.iter().filter(|limit| timeout > 0 && limit.initial > timeout) {
            out.about(READ).value(limit.initial).effective(timeout).say(
                format!(
                    "{READ}{} allows {} s, but Timeout {timeout} ends it first",
                    view.at(Some(line)),
                    limit.initial
                ),
                format!("raise Timeout to {}, or lower the limit", limit.initial),
            );
        }
    }
}

pub(super) fn rrt_004(view: &View<'_>, out: &mut Found<'_>) {
    let limits = limits(view);
    let off = |stage| main_limit(&limits, stage).initial == 0;
    if view.has("reqtimeout_module") && off(Stage::Header) && off(Stage::Body) {
        out.about(READ).value("header=0 body=0").say(
            format!("{READ}{} limits nothing: slow clients may hold every worker", view.at(view.line(READ))),
            "write it as header=20-40,MinRate=500 body=20,MinRate=500",
        );
    }
}

pub(super) fn rrt_005(view: &View<'_>, out: &mut Found<'_>) {
    if view.has("reqtimeout_module") {
        return;
    }
    for line in view.after.lines.iter().filter(|line| line.directive == READ) {
        out.about(READ).value(line.words.join(" ")).code("AH00526").say(
            format!("{READ}{} stands without mod_reqtimeout: httpd does not start", view.at(Some(line))),
            "load mod_reqtimeout, or put the line inside <IfModule reqtimeout_module>",
        );
    }
}

pub(super) fn rrt_006(view: &View<'_>, out: &mut Found<'_>) {
    if view.version >= Version::v24(39) {
        return;
    }
    for (line, limits) in limits(view) {
        if limits.iter().any(|limit| limit.stage == Stage::Handshake) {
            out.about(READ).value("handshake").code("AH00526").say(
                format!("{READ} handshake={} is not known to httpd {}", view.at(Some(line)), view.version),
                "remove handshake, which came with 2.4.39",
            );
        }
    }
}
