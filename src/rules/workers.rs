//! `ThreadsPerChild` and `MaxRequestWorkers`: how many requests are served at once.

use super::sizes::{code, left_out, shown};
use super::{BY_RESTART, Check, Reporter, Rule, View, rule};
use crate::httpd::numbers;
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&TPC_001, &TPC_002, &TPC_003, &MRW_001, &MRW_002, &MRW_003, &MRW_004, &MRW_005, &MRW_006];

const THREADS_ABOVE: [&str; 2] = ["AH00507", "AH00310"];
const THREADS_BELOW: [&str; 2] = ["AH00509", "AH00312"];
const WORKERS_BELOW: [&str; 2] = ["AH00511", "AH00314"];
const WORKERS_MULTIPLE: [&str; 2] = ["AH00513", "AH00316"];
const WORKERS_ABOVE: [&str; 2] = ["AH00515", "AH00318"];

pub(crate) static TPC_001: Rule = Rule {
    id: "TPC-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadsPerChild",
    summary: "above ThreadLimit (64 where it is left out); httpd lowers it",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00507, AH00310",
    why: "ThreadLimit is the most threads that a process can have. httpd lowers ThreadsPerChild to it, and \
         MaxRequestWorkers may follow.",
    remedy: "Raise ThreadLimit with it; that takes a stop and start.",
    example: "ThreadLimit 64\nThreadsPerChild 100\nMaxRequestWorkers 400",
    instead: "ThreadLimit 100\nThreadsPerChild 100\nMaxRequestWorkers 400",
    check: Check::View(threads_above_thread_limit),
    ..Rule::NEW
};

fn threads_above_thread_limit(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&THREADS_ABOVE) {
        out.on(view, "ThreadsPerChild").correction(fix).emit(
            format!(
                "ThreadsPerChild {}{} is above ThreadLimit {}{}",
                fix.from,
                left_out(view, "ThreadsPerChild"),
                fix.to,
                left_out(view, "ThreadLimit")
            ),
            format!(
                "set {} to {} as well, or {} to {} or less",
                view.name("ThreadLimit"),
                fix.from,
                view.name("ThreadsPerChild"),
                fix.to
            ),
        );
    }
}

pub(crate) static TPC_002: Rule = Rule {
    id: "TPC-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadsPerChild",
    summary: "below 1, or not a number; httpd raises it to 1, and MaxRequestWorkers falls to ServerLimit",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00509, AH00312",
    why: "With one thread in a process, ServerLimit processes serve ServerLimit requests at once.",
    remedy: "Set it to 25 or more, or leave it out.",
    example: "ThreadsPerChild 0",
    instead: "ThreadsPerChild 25",
    check: Check::View(threads_below_one),
    ..Rule::NEW
};

fn threads_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&THREADS_BELOW) {
        out.on(view, "ThreadsPerChild").correction(fix).emit(
            format!(
                "ThreadsPerChild {} is read as {}: one thread a process, {} workers in all",
                shown(view, "ThreadsPerChild"),
                fix.from,
                view.normal.sizes.workers
            ),
            format!("set {} to at least 1, or leave it out for 25", view.name("ThreadsPerChild")),
        );
    }
}

pub(crate) static TPC_003: Rule = Rule {
    id: "TPC-003",
    severity: Severity::Warning,
    mpms: rule::THREADED,
    setting: "ThreadsPerChild",
    summary: "does not divide 400, the default of MaxRequestWorkers, which is left out; httpd rounds that \
         down",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00513, AH00316",
    check: Check::View(default_workers_not_a_multiple),
    ..Rule::NEW
};

fn default_workers_not_a_multiple(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&WORKERS_MULTIPLE).filter(|_| view.text("MaxRequestWorkers").is_none())
    {
        let threads = view.normal.sizes.threads;
        out.on(view, "ThreadsPerChild").value(threads).effective(&fix.to).code(fix.code).emit(
            format!("MaxRequestWorkers is left out; its default {} is no multiple of ThreadsPerChild {threads} and becomes {}", fix.from, fix.to),
            format!("set {} to {}", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(crate) static MRW_001: Rule = Rule {
    id: "MRW-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxRequestWorkers",
    summary: "below ThreadsPerChild; httpd raises it to that",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00511, AH00314",
    why: "A process starts all its threads, so the least is one process. httpd serves more at once than was asked, \
         with the memory that this takes.",
    remedy: "Lower ThreadsPerChild, or ask for a multiple of it.",
    example: "ThreadsPerChild 25\nMaxRequestWorkers 10",
    instead: "ThreadsPerChild 25\nMaxRequestWorkers 25",
    check: Check::View(workers_below_threads),
    ..Rule::NEW
};

fn workers_below_threads(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&WORKERS_BELOW) {
        out.on(view, "MaxRequestWorkers").correction(fix).emit(
            format!(
                "MaxRequestWorkers {}{} is below ThreadsPerChild {}: httpd would serve {} at once",
                fix.from,
                left_out(view, "MaxRequestWorkers"),
                fix.to,
                view.normal.sizes.workers
            ),
            format!(
                "set {} to {} or a multiple of it, or {} lower",
                view.name("MaxRequestWorkers"),
                fix.to,
                view.name("ThreadsPerChild")
            ),
        );
    }
}

pub(crate) static MRW_002: Rule = Rule {
    id: "MRW-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxRequestWorkers",
    summary: "no multiple of ThreadsPerChild; httpd rounds it down",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00513, AH00316",
    why: "Workers come by the process. What is left over of a division by ThreadsPerChild is never started; httpd \
         says so in its log only.",
    remedy: "Set a multiple of ThreadsPerChild.",
    example: "ThreadsPerChild 25\nMaxRequestWorkers 160",
    instead: "ThreadsPerChild 25\nMaxRequestWorkers 150",
    check: Check::View(workers_not_a_multiple),
    ..Rule::NEW
};

fn workers_not_a_multiple(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&WORKERS_MULTIPLE).filter(|_| view.text("MaxRequestWorkers").is_some())
    {
        let threads = view.normal.sizes.threads;
        let up: i64 = fix.to.parse().unwrap_or(0) + threads;
        out.on(view, "MaxRequestWorkers").correction(fix).emit(
            format!("MaxRequestWorkers {} is no multiple of ThreadsPerChild {threads}: httpd rounds it down to {}", fix.from, fix.to),
            format!("set {} to {} or {up}", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(crate) static MRW_003: Rule = Rule {
    id: "MRW-003",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxRequestWorkers",
    summary: "needs more processes than ServerLimit; httpd lowers it to ServerLimit x ThreadsPerChild",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00515, AH00318",
    why: "ServerLimit is 16 where it is left out, which is 400 workers with 25 threads each. httpd answers `Syntax \
         OK` to 5000 and serves 400.",
    remedy: "Set ServerLimit to MaxRequestWorkers / ThreadsPerChild or more.",
    example: "ThreadsPerChild 25\nMaxRequestWorkers 800",
    instead: "ServerLimit 33\nThreadsPerChild 25\nMaxRequestWorkers 800",
    check: Check::View(workers_need_more_processes),
    ..Rule::NEW
};

fn workers_need_more_processes(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&WORKERS_ABOVE) {
        let sizes = view.normal.sizes;
        let asked: i64 = fix.from.parse().unwrap_or(0);
        out.on(view, "MaxRequestWorkers").correction(fix).emit(
            format!(
                "MaxRequestWorkers {}{} needs {} processes of ThreadsPerChild {}{}, but ServerLimit is {}{}: httpd \
                 lowers it to {}",
                fix.from,
                left_out(view, "MaxRequestWorkers"),
                asked / sizes.threads.max(1),
                sizes.threads,
                left_out(view, "ThreadsPerChild"),
                sizes.server_limit,
                left_out(view, "ServerLimit"),
                fix.to
            ),
            format!(
                "set {} to {} or more, or {} to {}",
                view.name("ServerLimit"),
                asked / sizes.threads.max(1),
                view.name("MaxRequestWorkers"),
                fix.to
            ),
        );
    }
}

pub(crate) static MRW_004: Rule = Rule {
    id: "MRW-004",
    severity: Severity::Error,
    mpms: rule::PREFORK,
    setting: "MaxRequestWorkers",
    summary: "above ServerLimit (256 where it is left out); httpd lowers it",
    source: "httpd 2.4 server/mpm/prefork/prefork.c, prefork_check_config; AH00180",
    why: "Under prefork each worker is a process, and ServerLimit, 256 where it is left out, is the most of them.",
    remedy: "Set ServerLimit to the same number.",
    example: "MaxRequestWorkers 400",
    instead: "ServerLimit 400\nMaxRequestWorkers 400",
    check: Check::View(prefork_workers_above_server_limit),
    ..Rule::NEW
};

fn prefork_workers_above_server_limit(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&["AH00180"]).filter(|_| view.text("MaxRequestWorkers").is_some()) {
        out.on(view, "MaxRequestWorkers").correction(fix).emit(
            format!(
                "MaxRequestWorkers {} is above ServerLimit {}{}: httpd lowers it",
                fix.from,
                fix.to,
                left_out(view, "ServerLimit")
            ),
            format!("set {} to {} as well", view.name("ServerLimit"), fix.from),
        );
    }
}

pub(crate) static MRW_005: Rule = Rule {
    id: "MRW-005",
    severity: Severity::Error,
    mpms: rule::PREFORK,
    setting: "MaxRequestWorkers",
    summary: "below 1, or not a number; httpd raises it to 1",
    source: "httpd 2.4 server/mpm/prefork/prefork.c, prefork_check_config; AH00182",
    why: "One process serves one request at a time, and every other client waits.",
    remedy: "Set it to at least 1, or leave it out for 256.",
    example: "MaxRequestWorkers 0",
    instead: "MaxRequestWorkers 150",
    check: Check::View(prefork_workers_below_one),
    ..Rule::NEW
};

fn prefork_workers_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&["AH00182"]) {
        out.on(view, "MaxRequestWorkers").correction(fix).emit(
            format!(
                "MaxRequestWorkers {} is read as {}: httpd would serve one request at a time",
                shown(view, "MaxRequestWorkers"),
                fix.from
            ),
            format!("set {} to at least 1, or leave it out for 256", view.name("MaxRequestWorkers")),
        );
    }
}

pub(crate) static MRW_006: Rule = Rule {
    id: "MRW-006",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxRequestWorkers",
    summary: "beyond the running server's ServerLimit x ThreadsPerChild and only a reload is planned; httpd \
         cuts it",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00516, AH00319",
    why: "The parent keeps the slots that it was started with. A reload fits the workers into them.",
    remedy: "Stop and start httpd. `activation: auto` does.",
    after_change: true,
    check: Check::View(workers_beyond_running_limits),
    ..Rule::NEW
};

fn workers_beyond_running_limits(view: &View<'_>, out: &mut Reporter<'_>) {
    // A reload is bounded by the slots the parent was started with.
    if !view.reloads() {
        return;
    }
    let used = view.values_before.iter().find(|value| value.directive == "ServerLimit");
    let slots = used.map_or(view.default_of("ServerLimit"), |value| numbers::atoi(&value.used).value.into());
    let sizes = view.normal.sizes;
    let bound = slots.saturating_mul(sizes.threads);
    if sizes.workers > bound {
        out.on(view, "MaxRequestWorkers")
            .value(sizes.workers)
            .effective(bound)
            .code(code(view, "AH00516", "AH00319", ""))
            .emit(
                format!(
                    "MaxRequestWorkers {} is more than the running server's ServerLimit {slots} x ThreadsPerChild {} \
                     = {bound}; a reload would cut it",
                    sizes.workers, sizes.threads
                ),
                BY_RESTART,
            );
    }
}
