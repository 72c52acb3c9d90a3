//! Listening sockets, stopping, and what a reload cannot do.

use super::{BY_RESTART, Check, Reporter, Rule, View, rule};
use crate::httpd::Version;
use crate::httpd::core_directives;
use crate::httpd::directives::{Group, Takes};
use crate::httpd::moved::Moved;
use crate::httpd::normalise::normalise;
use crate::httpd::numbers;
use crate::report::{Need, Severity};
use crate::tree::Node;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&LIS_001, &LIS_002, &LIS_003, &LIS_004, &LIS_005, &LIS_006, &GST_001, &GST_002, &REL_001, &REL_002];

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

pub(crate) static LIS_001: Rule = Rule {
    id: "LIS-001",
    severity: Severity::Error,
    setting: "ListenBacklog and the like",
    summary: "ListenBacklog, ListenCoresBucketsRatio or ListenTCPDeferAccept below 1, a buffer of 1 to 511 \
         bytes; httpd refuses",
    source: "httpd 2.4 server/listen.c, ap_set_listenbacklog and others",
    why: "httpd refuses the line and does not start.",
    remedy: "Leave it out, or set what the system allows.",
    example: "ListenBacklog 0",
    instead: "ListenBacklog 511",
    check: Check::View(listen_number_refused),
    ..Rule::NEW
};

fn listen_number_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    for directive in BOUNDED {
        let Some(text) = text(view, directive) else { continue };
        let value = numbers::atoi(text).value;
        let buffer = directive.ends_with("BufferSize");
        let refused = if buffer { value != 0 && value < 512 } else { value < 1 };
        if refused {
            let least = if buffer { "512 bytes, or 0 for the system's own" } else { "1" };
            out.on(view, directive).fatal().value(text).code("AH00526").emit(
                format!("{directive} {text} is read as {value}, below {least}: httpd does not start"),
                format!("set {} to {least} or more, or leave it out", view.name(directive)),
            );
        }
    }
}

pub(crate) static LIS_002: Rule = Rule {
    id: "LIS-002",
    severity: Severity::Warning,
    setting: "ListenBacklog",
    summary: "above net.core.somaxconn; the kernel cuts it",
    source: "Linux net/socket.c, __sys_listen",
    why: "The kernel keeps no more waiting connections than net.core.somaxconn, whatever httpd asks for.",
    remedy: "Raise net.core.somaxconn with sysctl, or lower ListenBacklog.",
    check: Check::View(backlog_above_somaxconn),
    ..Rule::NEW
};

fn backlog_above_somaxconn(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(most) = &view.machine.somaxconn else { return };
    let Some(text) = view.text("ListenBacklog") else { return };
    let asked = numbers::atoi(text).value;
    if u64::try_from(asked).is_ok_and(|asked| asked > most.value) {
        out.on(view, "ListenBacklog").value(text).effective(most.value).emit(
            format!(
                "ListenBacklog {asked} is above somaxconn {} ({}): the kernel cuts it",
                most.value, most.source
            ),
            format!("set net.core.somaxconn to {asked}, or {} to {}", view.name("ListenBacklog"), most.value),
        );
    }
}

pub(crate) static LIS_003: Rule = Rule {
    id: "LIS-003",
    severity: Severity::Error,
    setting: "ListenBacklog, SendBufferSize, ReceiveBufferSize",
    summary: "changes and only a reload is planned; the open socket keeps its own",
    source: "httpd 2.4 server/listen.c, make_sock",
    after_change: true,
    check: Check::View(socket_option_kept_by_reload),
    ..Rule::NEW
};

fn socket_option_kept_by_reload(view: &View<'_>, out: &mut Reporter<'_>) {
    kept_by_reload(view, out, taken_by(Takes::Socket), None, "the open socket keeps its own");
}

pub(crate) static LIS_004: Rule = Rule {
    id: "LIS-004",
    severity: Severity::Error,
    setting: "ListenCoresBucketsRatio",
    summary: "changes and only a reload is planned; ignored, or sockets are left without a process",
    source: "httpd 2.4 server/listen.c, ap_duplicate_listeners; AH00072",
    after_change: true,
    check: Check::View(buckets_kept_by_reload),
    ..Rule::NEW
};

fn buckets_kept_by_reload(view: &View<'_>, out: &mut Reporter<'_>) {
    let what = "httpd ignores it or leaves part of the connections without a process";
    kept_by_reload(view, out, std::iter::once("ListenCoresBucketsRatio"), Some("AH00072"), what);
}

/// Values that change while only a reload is planned.
fn kept_by_reload(
    view: &View<'_>,
    out: &mut Reporter<'_>,
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
                .emit(format!("{directive} changes and only a reload is planned: {what}"), BY_RESTART);
        }
    }
}

pub(crate) static LIS_005: Rule = Rule {
    id: "LIS-005",
    severity: Severity::Error,
    setting: "ListenCoresBucketsRatio",
    summary: "more sets of sockets than processes can run; part of the connections is never accepted",
    source: "httpd 2.4 server/mpm/*/*.c, *_run; AH03490",
    check: Check::View(more_buckets_than_processes),
    ..Rule::NEW
};

fn more_buckets_than_processes(view: &View<'_>, out: &mut Reporter<'_>) {
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
        out.about("ListenCoresBucketsRatio").at_most(cap).value(buckets).effective(processes).emit(
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

pub(crate) static GST_001: Rule = Rule {
    id: "GST-001",
    severity: Severity::Info,
    mpms: rule::THREADED,
    setting: "GracefulShutdownTimeout",
    summary: "requests are cut off about 10 seconds after it; compare with the unit's TimeoutStopSec",
    source: "httpd 2.4 server/mpm_unix.c, ap_reclaim_child_processes; AH00045, AH00046",
    check: Check::View(graceful_stop_cut_off),
    ..Rule::NEW
};

fn graceful_stop_cut_off(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(seconds) = view.text(STOP).map(|text| numbers::atoi(text).value).filter(|n| *n > 0) else {
        return;
    };
    if view.remarks(Group::MPM) {
        out.on(view, STOP).value(seconds).emit(
            format!(
                "{STOP} {seconds}: under {} the last request is cut off about {} s after the stop",
                view.mpm,
                i64::from(seconds) + 10
            ),
            format!("keep the unit's TimeoutStopSec above {} s", i64::from(seconds) + 10),
        );
    }
}

pub(crate) static GST_002: Rule = Rule {
    id: "GST-002",
    severity: Severity::Warning,
    setting: "GracefulShutdownTimeout",
    summary: "negative; a graceful stop cuts off at once",
    source: "httpd 2.4 server/mpm_common.c, ap_mpm_set_graceful_shutdown",
    why: "The time is over before it begins: a graceful stop cuts requests off at once.",
    remedy: "Set the seconds that a request may take; 0 waits without an end.",
    example: "GracefulShutdownTimeout -1",
    instead: "GracefulShutdownTimeout 60",
    check: Check::View(graceful_timeout_negative),
    ..Rule::NEW
};

fn graceful_timeout_negative(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(seconds) = view.text(STOP).map(|text| numbers::atoi(text).value).filter(|n| *n < 0) {
        out.on(view, STOP).value(seconds).emit(
            format!("{STOP} {seconds} is negative: a graceful stop cuts requests off at once"),
            format!("set {} to the seconds to wait, or 0 to wait for ever", view.name(STOP)),
        );
    }
}

pub(crate) static REL_001: Rule = Rule {
    id: "REL-001",
    severity: Severity::Error,
    setting: "activation",
    summary: "something changes that needs a stop and start, and only a reload is planned",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; server/scoreboard.c, ap_create_scoreboard",
    after_change: true,
    check: Check::View(change_needs_restart),
    ..Rule::NEW
};

fn change_needs_restart(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.reloads() {
        return;
    }
    let mut moved: Vec<&str> = view.context.moved.iter().map(|moved| moved.directive).collect();
    if view.running.and_then(|running| running.mpm).is_some_and(|mpm| mpm != view.mpm) {
        moved.insert(0, "the MPM");
    }
    if !moved.is_empty() {
        let names = moved.join(", ");
        out.about("activation").value(&names).emit(
            format!("{names} change and only a reload is planned, which does not bring them into force"),
            BY_RESTART,
        );
    }
}

pub(crate) static REL_002: Rule = Rule {
    id: "REL-002",
    severity: Severity::Warning,
    setting: "config_test",
    summary: "a running server loads files that no test has read; one error stops it",
    source: "httpd 2.4 server/main.c",
    after_change: true,
    check: Check::View(untested_files_reloaded),
    ..Rule::NEW
};

fn untested_files_reloaded(view: &View<'_>, out: &mut Reporter<'_>) {
    let writes = view.changes.iter().any(|change| change.after != Node::Absent);
    if !view.params.config_test && view.running.is_some() && view.need != Need::None && writes {
        out.about("config_test").value("false").emit(
            "Apache would load files that nothing has tested; one error in any of them stops it",
            "leave config_test out",
        );
    }
}

pub(crate) static LIS_006: Rule = Rule {
    id: "LIS-006",
    severity: Severity::Error,
    setting: "ListenTCPDeferAccept",
    summary: "used before 2.4.66, which brought it; httpd refuses",
    source: "httpd 2.4 server/listen.c; AH00526",
    check: Check::View(defer_accept_unknown),
    ..Rule::NEW
};

fn defer_accept_unknown(view: &View<'_>, out: &mut Reporter<'_>) {
    let known = Version::v24(66);
    if view.version < known
        && let Some(line) = view.line("ListenTCPDeferAccept")
    {
        out.about("ListenTCPDeferAccept").code("AH00526").emit(
            format!(
                "ListenTCPDeferAccept{} is not known before httpd {known}; this is {}",
                view.at(Some(line)),
                view.version
            ),
            "remove the line",
        );
    }
}
