//! `StartServers` and the spare threads or servers.

use super::sizes::{left_out, one_of, shown};
use super::{Check, Reporter, Rule, View, rule};
use crate::httpd::numbers;
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&SS_001, &SS_002, &SPARE_001, &SPARE_002, &SPARE_003, &SPARE_004, &SPARE_005];

const START_BELOW: [&str; 3] = one_of("AH00517", "AH00320", "AH00184");
const SPARE_BELOW: [&str; 3] = one_of("AH00519", "AH00322", "AH00186");

pub(crate) static SS_001: Rule = Rule {
    id: "SS-001",
    severity: Severity::Warning,
    setting: "StartServers",
    summary: "below 1, or not a number; httpd raises it to 1",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00517, AH00320, AH00184",
    why: "httpd starts with one process and has to start the others while clients wait.",
    remedy: "Set it to what the first minute after a start needs, or leave it out.",
    example: "StartServers 0",
    instead: "StartServers 2",
    check: Check::View(start_servers_below_one),
    ..Rule::NEW
};

fn start_servers_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(fix) = view.correction(&START_BELOW) {
        out.on(view, "StartServers").correction(fix).emit(
            format!("StartServers {} is read as {} and raised to 1", shown(view, "StartServers"), fix.from),
            format!("set {} to at least 1, or leave it out", view.name("StartServers")),
        );
    }
}

pub(crate) static SS_002: Rule = Rule {
    id: "SS-002",
    severity: Severity::Warning,
    setting: "StartServers",
    summary: "more than the processes that may run; only those start, with no message",
    source: "httpd 2.4 server/mpm/*/*.c, *_run",
    why: "No more processes run than MaxRequestWorkers allows. httpd starts those, and says nothing of the others.",
    remedy: "Lower it to MaxRequestWorkers / ThreadsPerChild or less.",
    example: "StartServers 20\nThreadsPerChild 25\nMaxRequestWorkers 400",
    instead: "StartServers 2\nThreadsPerChild 25\nMaxRequestWorkers 400",
    check: Check::View(start_servers_above_processes),
    ..Rule::NEW
};

fn start_servers_above_processes(view: &View<'_>, out: &mut Reporter<'_>) {
    let sizes = view.normal.sizes;
    let asked = view.text("StartServers").map_or(0, |text| i64::from(numbers::atoi(text).value));
    if asked > sizes.processes {
        out.on(view, "StartServers").value(asked).effective(sizes.started).emit(
            format!(
                "StartServers {asked} is more than the {} processes that may run: only {} start",
                sizes.processes, sizes.started
            ),
            format!("set {} to {} or less", view.name("StartServers"), sizes.processes),
        );
    }
}

/// Returns the names of the two spare directives of the target MPM.
fn spare(view: &View<'_>) -> (&'static str, &'static str) {
    if view.mpm.threaded() {
        ("MinSpareThreads", "MaxSpareThreads")
    } else {
        ("MinSpareServers", "MaxSpareServers")
    }
}

pub(crate) static SPARE_001: Rule = Rule {
    id: "SPARE-001",
    severity: Severity::Warning,
    setting: "MinSpareThreads, MinSpareServers",
    summary: "below 1, or not a number; httpd raises it to 1",
    source: "httpd 2.4 server/mpm/*/*.c, *_check_config; AH00519, AH00322, AH00186",
    why: "Idle workers are what a burst meets. With one, the next client waits until a process has started.",
    remedy: "Leave it out, or set it to what a burst needs.",
    example: "MinSpareThreads 0",
    instead: "MinSpareThreads 25",
    check: Check::View(min_spare_below_one),
    ..Rule::NEW
};

fn min_spare_below_one(view: &View<'_>, out: &mut Reporter<'_>) {
    let (min, _) = spare(view);
    if let Some(fix) = view.correction(&SPARE_BELOW) {
        out.on(view, min).correction(fix).emit(
            format!("{min} {} is read as {} and raised to 1", shown(view, min), fix.from),
            format!("set {} to at least 1, or leave it out", view.name(min)),
        );
    }
}

pub(crate) static SPARE_002: Rule = Rule {
    id: "SPARE-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "MaxSpareThreads",
    summary: "below MinSpareThreads + ThreadsPerChild + 1 (before 2.4.23 without the 1); httpd raises it \
         silently",
    source: "httpd 2.4 server/mpm/event/event.c, event_run; server/mpm/worker/worker.c, worker_run",
    why: "httpd ends idle processes above the one value and starts some below the other, so they must be one process \
         apart. It raises MaxSpareThreads with no message.",
    remedy: "Set MaxSpareThreads to more than MinSpareThreads + ThreadsPerChild.",
    example: "MinSpareThreads 75\nMaxSpareThreads 75",
    instead: "MinSpareThreads 75\nMaxSpareThreads 250",
    check: Check::View(max_spare_raised),
    ..Rule::NEW
};

pub(crate) static SPARE_003: Rule = Rule {
    id: "SPARE-003",
    severity: Severity::Error,
    mpms: rule::PREFORK,
    setting: "MaxSpareServers",
    summary: "not above MinSpareServers; httpd raises it to MinSpareServers + 1 silently",
    source: "httpd 2.4 server/mpm/prefork/prefork.c, prefork_run",
    why: "httpd ends idle processes above the one value and starts some below the other, so they must differ. It \
         raises MaxSpareServers with no message.",
    remedy: "Set MaxSpareServers above MinSpareServers.",
    example: "MinSpareServers 10\nMaxSpareServers 10",
    instead: "MinSpareServers 5\nMaxSpareServers 10",
    check: Check::View(max_spare_raised),
    ..Rule::NEW
};

/// The most spare that httpd raises silently.
fn max_spare_raised(view: &View<'_>, out: &mut Reporter<'_>) {
    let (min, max) = spare(view);
    let sizes = view.normal.sizes;
    let written = view.text(max);
    let asked = written.map_or(view.default_of(max), |text| numbers::atoi(text).value.into());
    if asked == sizes.max_spare {
        return;
    }
    let least = if view.mpm.threaded() {
        format!("{min} {} plus one process of ThreadsPerChild {} threads", sizes.min_spare, sizes.threads)
    } else {
        format!("{min} {} plus 1", sizes.min_spare)
    };
    // Where all workers may be idle, none is ever ended for it: what the number is raised to makes no difference.
    let pool = asked >= sizes.workers;
    let draft = out.on(view, max).value(asked).effective(sizes.max_spare);
    let draft = if pool { draft.at_most(Severity::Info) } else { draft };
    // Nobody asked for the default that is raised here.
    let draft = if written.is_none() { draft.at_most(Severity::Warning) } else { draft };
    draft.emit(
        format!(
            "{max} {asked}{} is less than {least}: httpd raises it to {} silently",
            left_out(view, max),
            sizes.max_spare
        ),
        format!("set {} to {} or more, or {} lower", view.name(max), sizes.max_spare, view.name(min)),
    );
}

pub(crate) static SPARE_004: Rule = Rule {
    id: "SPARE-004",
    severity: Severity::Warning,
    setting: "MinSpareThreads, MinSpareServers",
    summary: "not below MaxRequestWorkers, defaults 75 and 5 included; every child always runs, with false \
         alarms in the log",
    source: "httpd 2.4 server/mpm/*/*.c, perform_idle_server_maintenance; AH10159, AH00287, AH00161",
    why: "There are never as many idle workers as wanted, so httpd runs every process all the time and writes that \
         MaxRequestWorkers was reached when it was not.",
    remedy: "Lower it well below MaxRequestWorkers.",
    example: "MaxRequestWorkers 50\nMinSpareThreads 75\nMaxSpareThreads 250",
    instead: "MaxRequestWorkers 150\nMinSpareThreads 75\nMaxSpareThreads 250",
    check: Check::View(min_spare_not_below_workers),
    ..Rule::NEW
};

fn min_spare_not_below_workers(view: &View<'_>, out: &mut Reporter<'_>) {
    let (min, max) = spare(view);
    let sizes = view.normal.sizes;
    let fixed = view.text(min).is_some() && view.text(max).is_some() && sizes.max_spare >= sizes.workers;
    if sizes.min_spare >= sizes.workers {
        // A pool of a fixed size is asked for so: both numbers as large as it.
        let cap = if fixed { Severity::Info } else { Severity::Warning };
        out.on(view, min).at_most(cap).value(sizes.min_spare).emit(
            format!(
                "{min} {}{} is not below MaxRequestWorkers {}{}: every child always runs, and an idle server logs \
                 that it is at its limit",
                sizes.min_spare,
                left_out(view, min),
                sizes.workers,
                left_out(view, "MaxRequestWorkers")
            ),
            format!("set {} to {} or less", view.name(min), (sizes.workers / 2).max(1)),
        );
    }
}

pub(crate) static SPARE_005: Rule = Rule {
    id: "SPARE-005",
    severity: Severity::Warning,
    setting: "MaxSpareThreads, MaxSpareServers",
    summary: "less than what StartServers starts; children are ended as soon as they run",
    source: "httpd 2.4 server/mpm/*/*.c, perform_idle_server_maintenance",
    why: "httpd starts the processes, sees too many idle workers, and ends them again.",
    remedy: "Lower StartServers, or raise the other value to StartServers x ThreadsPerChild.",
    example: "StartServers 6\nThreadsPerChild 25\nMaxSpareThreads 75",
    instead: "StartServers 3\nThreadsPerChild 25\nMaxSpareThreads 75",
    check: Check::View(max_spare_below_started),
    ..Rule::NEW
};

fn max_spare_below_started(view: &View<'_>, out: &mut Reporter<'_>) {
    let (_, max) = spare(view);
    let sizes = view.normal.sizes;
    let idle = sizes.started.saturating_mul(sizes.threads);
    if sizes.max_spare < idle {
        out.on(view, max).value(sizes.max_spare).emit(
            format!(
                "{max} {}{} is less than the {idle} that StartServers {}{} gives: children are ended as soon as they \
                 have started",
                sizes.max_spare,
                left_out(view, max),
                sizes.started,
                left_out(view, "StartServers")
            ),
            format!(
                "set {} to {idle} or more, or {} to {}",
                view.name(max),
                view.name("StartServers"),
                (sizes.max_spare / sizes.threads.max(1)).max(1)
            ),
        );
    }
}
