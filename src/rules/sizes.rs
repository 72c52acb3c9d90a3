//! `ServerLimit` and `ThreadLimit`: what the scoreboard has room for.

use super::{BY_RESTART, Check, Reporter, Rule, View, rule};
use crate::httpd::Mpm;
use crate::httpd::core_directives;
use crate::httpd::directives::Group;
use crate::httpd::moved::Moved;
use crate::report::Severity;
use crate::units::Bytes;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &SL_001, &SL_002, &SL_003, &SL_004, &SL_005, &SL_006, &SL_007, &SL_008, &TL_001, &TL_002, &TL_003,
    &TL_004,
];

/// A scoreboard larger than this is worth a warning, in bytes.
const LARGE_SCOREBOARD: u64 = 64 * Bytes::MIB;

/// Returns the words for a value that is judged although nobody wrote it.
pub(super) fn left_out(view: &View<'_>, directive: &str) -> &'static str {
    if view.text(directive).is_some() { "" } else { " (httpd's default, as it is left out)" }
}

/// Returns what httpd says under event, worker and prefork, for looking a correction up.
pub(super) const fn one_of<'a>(event: &'a str, worker: &'a str, prefork: &'a str) -> [&'a str; 3] {
    [event, worker, prefork]
}

const SERVERS_ABOVE: [&str; 3] = one_of("AH00497", "AH00300", "AH00175");
const SERVERS_BELOW: [&str; 3] = one_of("AH00499", "AH00302", "AH00177");
const THREAD_LIMIT_ABOVE: [&str; 2] = ["AH00502", "AH00305"];
const THREAD_LIMIT_BELOW: [&str; 2] = ["AH00504", "AH00307"];

pub(crate) static SL_001: Rule = Rule {
    id: "SL-001",
    severity: Severity::Error,
    setting: "ServerLimit",
    summary: "above 20000 (prefork 200000), the most compiled in; httpd lowers it",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00497, AH00300, AH00175",
    why: "Each MPM has a most compiled in. httpd lowers what is above it and starts.",
    remedy: "Ask for no more processes than the load needs; with event a few dozen hold thousands of connections.",
    example: "ServerLimit 50000",
    instead: "ServerLimit 16",
    check: Check::View(server_limit_above_compiled_limit),
    ..Rule::NEW
};

fn server_limit_above_compiled_limit(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&SERVERS_ABOVE) {
        out.on(view, "ServerLimit").correction(fix).emit(
            format!(
                "ServerLimit {} is above {}, the most compiled into the {} MPM",
                fix.from, fix.to, view.mpm
            ),
            format!("set {} to {} or less", view.name("ServerLimit"), fix.to),
        );
    }
}

pub(crate) static SL_002: Rule = Rule {
    id: "SL-002",
    severity: Severity::Error,
    setting: "ServerLimit",
    summary: "below 1, or not a number; httpd raises it to 1, one process",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00499, AH00302, AH00177",
    why: "One process is left, and it serves no more than ThreadsPerChild requests at once, whatever \
         MaxRequestWorkers says.",
    remedy: "Set it to MaxRequestWorkers / ThreadsPerChild and one more, or leave it out.",
    example: "ServerLimit 0",
    instead: "ServerLimit 16",
    check: Check::View(server_limit_below_one),
    ..Rule::NEW
};

fn server_limit_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&SERVERS_BELOW) {
        out.on(view, "ServerLimit").correction(fix).emit(
            format!(
                "ServerLimit {} is read as {}: httpd would run with one process",
                shown(view, "ServerLimit"),
                fix.from
            ),
            format!(
                "set {} to at least 1, or leave it out for {}",
                view.name("ServerLimit"),
                view.default_of("ServerLimit")
            ),
        );
    }
}

pub(crate) static SL_003: Rule = Rule {
    id: "SL-003",
    severity: Severity::Error,
    setting: "ServerLimit",
    summary: "differs from the running server's and only a reload is planned; httpd keeps the old value",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00501, AH00304, AH00179",
    after_change: true,
    check: Check::View(server_limit_kept_by_reload),
    ..Rule::NEW
};

fn server_limit_kept_by_reload(view: &View<'_>, out: &mut Reporter<'_>) {
    fixed_until_stopped(view, out, "ServerLimit", code(view, "AH00501", "AH00304", "AH00179"));
}

pub(crate) static TL_003: Rule = Rule {
    id: "TL-003",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadLimit",
    summary: "differs from the running server's and only a reload is planned; httpd keeps the old value",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00506, AH00309",
    after_change: true,
    check: Check::View(thread_limit_kept_by_reload),
    ..Rule::NEW
};

fn thread_limit_kept_by_reload(view: &View<'_>, out: &mut Reporter<'_>) {
    fixed_until_stopped(view, out, "ThreadLimit", code(view, "AH00506", "AH00309", ""));
}

/// A value that a running parent keeps until it is stopped.
fn fixed_until_stopped(view: &View<'_>, out: &mut Reporter<'_>, directive: &'static str, code: &'static str) {
    if let Some(Moved { before, after, .. }) = view.missed_by_reload(directive) {
        out.on(view, directive).value(after).effective(before).code(code).emit(
            format!("{directive} changes from {before} to {after}, and a reload keeps the old one"),
            BY_RESTART,
        );
    }
}

/// Returns the code of the target MPM.
pub(super) fn code(
    view: &View<'_>,
    event: &'static str,
    worker: &'static str,
    prefork: &'static str,
) -> &'static str {
    match view.mpm {
        Mpm::Event => event,
        Mpm::Worker => worker,
        Mpm::Prefork => prefork,
    }
}

/// Returns a directive's text as it is judged: as written, or httpd's default.
pub(super) fn shown<'a>(view: &View<'a>, directive: &str) -> &'a str {
    view.text(directive).unwrap_or_else(|| view.used(directive))
}

impl View<'_> {
    /// Returns the number that counts for a directive of the MPM where no line sets it.
    pub(super) fn default_of(&self, directive: &str) -> i64 {
        core_directives::default_number(directive, self.mpm).try_into().unwrap_or(i64::MAX)
    }
}

pub(crate) static SL_004: Rule = Rule {
    id: "SL-004",
    severity: Severity::Warning,
    mpms: rule::EVENT,
    setting: "ServerLimit",
    summary: "equal to MaxRequestWorkers / ThreadsPerChild, since 2.4.25; no new process starts after a \
         reload under load",
    source: "httpd 2.4 server/mpm/event/event.c, perform_idle_server_maintenance; AH03490",
    why: "After a reload each old process keeps its slot until its last request ends. When every slot is taken, no \
         process with the new configuration can start, and connections wait.",
    remedy: "Leave a slot free: one more than MaxRequestWorkers / ThreadsPerChild.",
    example: "ServerLimit 16\nThreadsPerChild 25\nMaxRequestWorkers 400",
    instead: "ServerLimit 17\nThreadsPerChild 25\nMaxRequestWorkers 400",
    check: Check::View(no_spare_process_slot),
    ..Rule::NEW
};

fn no_spare_process_slot(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let since = crate::httpd::Version::v24(25);
    if view.version >= since && sizes.server_limit == sizes.processes {
        // Left alone, httpd's own defaults meet this condition on every host.
        let draft = out.on(view, "ServerLimit").value(sizes.server_limit);
        let draft = if view.remarks(Group::MPM) { draft } else { draft.at_most(Severity::Info) };
        draft.emit(
            format!(
                "ServerLimit {}{} leaves no process slot beyond MaxRequestWorkers / ThreadsPerChild = {}: after a \
                 reload under load no new process starts until an old one has ended (AH03490)",
                sizes.server_limit,
                left_out(view, "ServerLimit"),
                sizes.processes
            ),
            format!(
                "set {} to {} for one spare process, or {} to keep full capacity through a reload",
                view.name("ServerLimit"),
                sizes.processes + 1,
                sizes.processes * 2
            ),
        );
    }
}

pub(crate) static SL_005: Rule = Rule {
    id: "SL-005",
    severity: Severity::Info,
    mpms: rule::WORKER_PREFORK,
    setting: "ServerLimit",
    summary: "more than twice what MaxRequestWorkers can use; the rest is memory only",
    source: "httpd 2.4 server/mpm/worker/worker.c, server/mpm/prefork/prefork.c, \
         perform_idle_server_maintenance",
    why: "The scoreboard has a slot for each thread of each process that ServerLimit allows, in memory from the \
         start. What MaxRequestWorkers cannot use is never used.",
    remedy: "Lower it to MaxRequestWorkers / ThreadsPerChild, under prefork to MaxRequestWorkers.",
    example: "ServerLimit 100\nThreadsPerChild 25\nMaxRequestWorkers 400",
    instead: "ServerLimit 16\nThreadsPerChild 25\nMaxRequestWorkers 400",
    check: Check::View(server_limit_far_above_need),
    ..Rule::NEW
};

fn server_limit_far_above_need(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let written = view.text("ServerLimit").is_some();
    if written && view.remarks(Group::MPM) && sizes.server_limit > sizes.processes.saturating_mul(2) {
        out.on(view, "ServerLimit").value(sizes.server_limit).emit(
            format!(
                "ServerLimit {} is more than twice the {} processes that {} can use; under {} the rest is memory of \
                 the scoreboard only",
                sizes.server_limit, sizes.processes, "MaxRequestWorkers", view.mpm
            ),
            format!("set {} to {}, unless MaxRequestWorkers is to grow by a reload", view.name("ServerLimit"), sizes.processes),
        );
    }
}

/// Returns the size of the scoreboard in bytes: shared memory, resident from the start.
///
/// Source: `ap_calc_scoreboard_size` of `server/scoreboard.c` on 64-bit Linux, httpd 2.4.36 and later; within 4 % of
/// it on earlier ones.
pub fn scoreboard(server_limit: u64, thread_limit: u64) -> u64 {
    thread_limit.saturating_mul(336).saturating_add(40).saturating_mul(server_limit).saturating_add(56)
}

pub(crate) static SL_006: Rule = Rule {
    id: "SL-006",
    severity: Severity::Warning,
    setting: "ServerLimit",
    summary: "the scoreboard for ServerLimit x ThreadLimit exceeds 64 MiB or 5 % of the memory; it may fail \
         at start",
    source: "httpd 2.4 server/scoreboard.c, ap_calc_scoreboard_size; AH00004",
    why: "The scoreboard is one piece of shared memory with ServerLimit x ThreadLimit slots. The kernel may refuse \
         it, and then httpd does not start.",
    remedy: "Lower ThreadLimit to ThreadsPerChild, and ServerLimit to what MaxRequestWorkers needs.",
    check: Check::View(large_scoreboard),
    ..Rule::NEW
};

fn large_scoreboard(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let slots = |n: i64| u64::try_from(n).unwrap_or(0);
    let bytes = scoreboard(slots(sizes.server_limit), slots(sizes.thread_limit));
    let memory = view.machine.memory.as_ref();
    let share = memory.is_some_and(|memory| bytes > memory.value.0 / 20);
    if bytes > LARGE_SCOREBOARD || share {
        let beside =
            memory.map_or_else(String::new, |memory| format!(" of {} ({})", memory.value, memory.source));
        let (directive, least) = if sizes.thread_limit > sizes.threads.saturating_mul(2) {
            ("ThreadLimit", sizes.threads)
        } else {
            ("ServerLimit", sizes.processes + 1)
        };
        out.on(view, "ServerLimit").value(sizes.server_limit).emit(
            format!(
                "the scoreboard for ServerLimit {} x ThreadLimit {} takes {}{beside}, resident from the start; if it \
                 cannot be had httpd does not start (AH00004) although its own test passes",
                sizes.server_limit, sizes.thread_limit, Bytes(bytes)
            ),
            format!("lower {} towards {least}", view.name(directive)),
        );
    }
}

pub(crate) static SL_007: Rule = Rule {
    id: "SL-007",
    severity: Severity::Warning,
    mpms: rule::THREADED,
    setting: "ServerLimit",
    summary: "allows more than 400 workers while MaxRequestWorkers is left out, which then stays 400",
    source: "httpd 2.4 server/mpm/event/event.c, event_pre_config; server/mpm/worker/worker.c, \
         worker_pre_config",
    check: Check::View(server_limit_without_workers),
    ..Rule::NEW
};

fn server_limit_without_workers(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let possible = sizes.server_limit.saturating_mul(sizes.threads);
    let given = view.text("ServerLimit").is_some() && view.text("MaxRequestWorkers").is_none();
    if given && possible > view.default_of("MaxRequestWorkers") {
        out.on(view, "ServerLimit").value(sizes.server_limit).effective(sizes.workers).emit(
            format!(
                "ServerLimit {} x ThreadsPerChild {} allows {possible} workers, but MaxRequestWorkers is left out and \
                 stays {}",
                sizes.server_limit, sizes.threads, sizes.workers
            ),
            format!("set {} to the workers wanted, up to {possible}", view.name("MaxRequestWorkers")),
        );
    }
}

pub(crate) static SL_008: Rule = Rule {
    id: "SL-008",
    severity: Severity::Warning,
    mpms: rule::PREFORK,
    setting: "ServerLimit",
    summary: "below 256 while MaxRequestWorkers is left out, which httpd then lowers to it",
    source: "httpd 2.4 server/mpm/prefork/prefork.c, prefork_check_config; AH00180",
    check: Check::View(server_limit_lowers_default_workers),
    ..Rule::NEW
};

fn server_limit_lowers_default_workers(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&["AH00180"]).filter(|_| view.text("MaxRequestWorkers").is_none()) {
        out.on(view, "ServerLimit").value(&fix.to).effective(&fix.to).code(fix.code).emit(
            format!(
                "ServerLimit {} lowers MaxRequestWorkers, which is left out, from {} to {}",
                fix.to, fix.from, fix.to
            ),
            format!("set {} to {} too, to say so", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(crate) static TL_001: Rule = Rule {
    id: "TL-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadLimit",
    summary: "above 100000 (worker 20000), the most compiled in; httpd lowers it",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00502, AH00305",
    why: "The MPM has a most compiled in. httpd lowers what is above it and starts.",
    remedy: "Set it to ThreadsPerChild.",
    example: "ThreadLimit 200000",
    instead: "ThreadLimit 64",
    check: Check::View(thread_limit_above_compiled_limit),
    ..Rule::NEW
};

fn thread_limit_above_compiled_limit(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&THREAD_LIMIT_ABOVE) {
        out.on(view, "ThreadLimit").correction(fix).emit(
            format!(
                "ThreadLimit {} is above {}, the most compiled into the {} MPM",
                fix.from, fix.to, view.mpm
            ),
            format!("set {} to {} or less", view.name("ThreadLimit"), fix.to),
        );
    }
}

pub(crate) static TL_002: Rule = Rule {
    id: "TL-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "ThreadLimit",
    summary: "below 1, or not a number; httpd raises it to 1, and ThreadsPerChild becomes 1",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00504, AH00307",
    why: "ThreadLimit bounds ThreadsPerChild: with 1, every process has one thread, and a threaded MPM serves like \
         prefork.",
    remedy: "Set it to ThreadsPerChild, or leave it out for 64.",
    example: "ThreadLimit 0",
    instead: "ThreadLimit 64",
    check: Check::View(thread_limit_below_one),
    ..Rule::NEW
};

fn thread_limit_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&THREAD_LIMIT_BELOW) {
        out.on(view, "ThreadLimit").correction(fix).emit(
            format!(
                "ThreadLimit {} is read as {}: ThreadsPerChild would become 1 and {} workers be left",
                shown(view, "ThreadLimit"),
                fix.from,
                view.normal.sizes.workers
            ),
            format!("set {} to ThreadsPerChild or more, or leave it out for 64", view.name("ThreadLimit")),
        );
    }
}

pub(crate) static TL_004: Rule = Rule {
    id: "TL-004",
    severity: Severity::Info,
    mpms: rule::THREADED,
    setting: "ThreadLimit",
    summary: "far above ThreadsPerChild; the scoreboard keeps memory for threads that never run",
    source: "httpd 2.4 server/scoreboard.c, ap_calc_scoreboard_size",
    why: "The scoreboard keeps a slot for each thread that ThreadLimit allows, in each process, whether it runs or \
         not.",
    remedy: "Set it to ThreadsPerChild, or what that is to become without a stop.",
    example: "ThreadLimit 10000\nThreadsPerChild 25",
    instead: "ThreadLimit 64\nThreadsPerChild 25",
    check: Check::View(thread_limit_far_above_need),
    ..Rule::NEW
};

fn thread_limit_far_above_need(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let written = view.text("ThreadLimit").is_some();
    if written && view.remarks(Group::MPM) && sizes.thread_limit > sizes.threads.saturating_mul(4).max(64) {
        out.on(view, "ThreadLimit").value(sizes.thread_limit).emit(
            format!(
                "ThreadLimit {} is far above ThreadsPerChild {}: the scoreboard keeps memory for threads that never run",
                sizes.thread_limit, sizes.threads
            ),
            format!("set {} near {}", view.name("ThreadLimit"), sizes.threads),
        );
    }
}
