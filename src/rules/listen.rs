//! Listening sockets, stopping, and what a reload cannot do.

use super::{BY_RESTART, Found, View};
use crate::httpd::core_directives;
use crate::httpd::directives::{Group, Takes};
use crate::httpd::moved::Moved;
use crate::httpd::normalise::normalise;
use crate::httpd::numbers;
use crate::report::{Need, Severity};
use crate::tree::Node;

/// Directives whose numbers httpd refuses below a bound.
const BOUNDED: [&str; 5] = [
    "ListenBacklog",
    "ListenCoresBucketsRatio",
    "ListenTCPDeferAccept",
    "SendBufferSize",
    "ReceiveBufferSize",
];

/// Directives that a reload does not bring into force for this reason.
fn taken_by(takes: Takes) -> impl Iterator<Item = &'static str> {
    core_directives::rows().filter(move |row| row.takes == takes).map(|row| row.name)
}

/// Returns the text judged: that of the settings, or of the main server's line.
fn text<'a>(view: &View<'a>, directive: &str) -> Option<&'a str> {
    let standing = || if directive == "ListenBacklog" { None } else { view.standing(directive) };
    view.text(directive).or_else(standing)
}

pub(super) fn lis_001(view: &View<'_>, out: &mut Found<'_>) {
    for directive in BOUNDED {
        let Some(text) = text(view, directive) else { continue };
        let value = numbers::atoi(text).value;
        let buffer = directive.ends_with("BufferSize");
        let refused = if buffer { value != 0 && value < 512 } else { value < 1 };
        if refused {
            let least = if buffer { "512 bytes, or 0 for the system's own" } else { "1" };
            out.on(view, directive).fatal().value(text).code("AH00526").say(
                format!("{directive} {text} is read as {value}, below {least}: httpd does not start"),
                format!("set {} to {least} or more, or leave it out", view.name(directive)),
            );
        }
    }
}

pub(super) fn lis_002(view: &View<'_>, out: &mut Found<'_>) {
    let Some(most) = &view.machine.somaxconn else { return };
    let Some(text) = view.text("ListenBacklog") else { return };
    let asked = numbers::atoi(text).value;
    if u64::try_from(asked).is_ok_and(|asked| asked > most.value) {
        out.on(view, "ListenBacklog").value(text).effective(most.value).say(
            format!(
                "ListenBacklog {asked} is above somaxconn {} ({}): the kernel cuts it",
                most.value, most.source
            ),
            format!("set net.core.somaxconn to {asked}, or {} to {}", view.name("ListenBacklog"), most.value),
        );
    }
}

pub(super) fn lis_003(view: &View<'_>, out: &mut Found<'_>) {
    kept_by_reload(view, out, taken_by(Takes::Socket), None, "the open socket keeps its own");
}

pub(super) fn lis_004(view: &View<'_>, out: &mut Found<'_>) {
    let what = "httpd ignores it or leaves part of the connections without a process";
    kept_by_reload(view, out, std::iter::once("ListenCoresBucketsRatio"), Some("AH00072"), what);
}

/// Values that change while only a reload is planned.
fn kept_by_reload(
    view: &View<'_>,
    out: &mut Found<'_>,
    directives: impl Iterator<Item = &'static str>,
    code: Option<&'static str>,
    what: &str,
) {
    for directive in directives {
        if let Some(Moved { before, after, .. }) = view.missed_by_reload(directive) {
            out.about(view.path(directive))
                .value(after)
                .effective(before)
                .code(code)
                .say(format!("{directive} changes and only a reload is planned: {what}"), BY_RESTART);
        }
    }
}

pub(super) fn lis_005(view: &View<'_>, out: &mut Found<'_>) {
    let buckets = view.buckets();
    if buckets < 2 {
        return;
    }
    // httpd raises the processes to the buckets, but not the slots of the scoreboard.
    let asked = normalise(view.mpm, view.version, view.written);
    let workers = i64::from(numbers::atoi(&asked.used["MaxRequestWorkers"]).value);
    let processes = (workers / view.normal.sizes.threads.max(1)).min(view.normal.sizes.server_limit);
    if processes < buckets {
        let cap = if view.remarks(Group::MPM) { Severity::Error } else { Severity::Warning };
        out.about("ListenCoresBucketsRatio").at_most(cap).value(buckets).effective(processes).say(
            format!(
                "ListenCoresBucketsRatio makes {buckets} sets of sockets{}, but at most {processes} processes run: \
                 part of the connections is never accepted",
                view.at(view.line("ListenCoresBucketsRatio"))
            ),
            format!("set {} to {buckets} or more, or remove ListenCoresBucketsRatio", view.name("ServerLimit")),
        );
    }
}

const STOP: &str = "GracefulShutdownTimeout";

pub(super) fn gst_001(view: &View<'_>, out: &mut Found<'_>) {
    let Some(seconds) = view.text(STOP).map(|text| numbers::atoi(text).value).filter(|n| *n > 0) else {
        return;
    };
    if view.remarks(Group::MPM) {
        out.on(view, STOP).value(seconds).say(
            format!(
                "{STOP} {seconds}: under {} the last request is cut off about {} s after the stop",
                view.mpm,
                i64::from(seconds) + 10
            ),
            format!("keep the unit's TimeoutStopSec above {} s", i64::from(seconds) + 10),
        );
    }
}

pub(super) fn gst_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(seconds) = view.text(STOP).map(|text| numbers::atoi(text).value).filter(|n| *n < 0) {
        out.on(view, STOP).value(seconds).say(
            format!("{STOP} {seconds} is negative: a graceful stop cuts requests off at once"),
            format!("set {} to the seconds to wait, or 0 to wait for ever", view.name(STOP)),
        );
    }
}

pub(super) fn rel_001(view: &View<'_>, out: &mut Found<'_>) {
    if !view.reloads() {
        return;
    }
    let mut moved: Vec<&str> = view.context.moved.iter().map(|moved| moved.directive).collect();
    if view.running.and_then(|running| running.mpm).is_some_and(|mpm| mpm != view.mpm) {
        moved.insert(0, "the MPM");
    }
    if !moved.is_empty() {
        let names = moved.join(", ");
        out.about("activation").value(&names).say(
            format!("{names} change and only a reload is planned, which does not bring them into force"),
            BY_RESTART,
        );
    }
}

pub(super) fn rel_002(view: &View<'_>, out: &mut Found<'_>) {
    let writes = view.changes.iter().any(|change| change.after != Node::Absent);
    if !view.params.config_test && view.running.is_some() && view.need != Need::None && writes {
        out.about("config_test").value("false").say(
            "the running server is told to take up files that nothing has tested; one error in any of them ends it",
            "leave config_test out",
        );
    }
}
