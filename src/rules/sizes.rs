//! The MPM's sizes: servers, threads, workers, spare ones, the factor of event, and what each child keeps.

use super::{BY_RESTART, Found, View};
use crate::httpd::Mpm;
use crate::httpd::core_directives;
use crate::httpd::directives::Group;
use crate::httpd::moved::Moved;
use crate::httpd::normalise::STACK_MIN;
use crate::httpd::numbers;
use crate::report::Severity;
use crate::units::Bytes;

/// A scoreboard larger than this is worth a warning, in bytes.
const LARGE_SCOREBOARD: u64 = 64 * Bytes::MIB;
/// A thread's stack larger than this is taken for a slip, in bytes.
const LARGE_STACK: i64 = 1 << 30;
/// The factor of event above which no host has connections to spend, per idle worker.
const LARGE_FACTOR: f64 = 1000.0;
/// Fewer connections a child than this keep httpd forking.
const FEW_CONNECTIONS: i32 = 100;

/// Returns the words for a value that is judged although nobody wrote it.
fn left_out(view: &View<'_>, directive: &str) -> &'static str {
    if view.text(directive).is_some() { "" } else { " (httpd's default, as it is left out)" }
}

/// Returns what httpd says under event, worker and prefork, for looking a correction up.
const fn one_of<'a>(event: &'a str, worker: &'a str, prefork: &'a str) -> [&'a str; 3] {
    [event, worker, prefork]
}

const SERVERS_ABOVE: [&str; 3] = one_of("AH00497", "AH00300", "AH00175");
const SERVERS_BELOW: [&str; 3] = one_of("AH00499", "AH00302", "AH00177");
const THREAD_LIMIT_ABOVE: [&str; 2] = ["AH00502", "AH00305"];
const THREAD_LIMIT_BELOW: [&str; 2] = ["AH00504", "AH00307"];
const THREADS_ABOVE: [&str; 2] = ["AH00507", "AH00310"];
const THREADS_BELOW: [&str; 2] = ["AH00509", "AH00312"];
const WORKERS_BELOW: [&str; 2] = ["AH00511", "AH00314"];
const WORKERS_MULTIPLE: [&str; 2] = ["AH00513", "AH00316"];
const WORKERS_ABOVE: [&str; 2] = ["AH00515", "AH00318"];
const START_BELOW: [&str; 3] = one_of("AH00517", "AH00320", "AH00184");
const SPARE_BELOW: [&str; 3] = one_of("AH00519", "AH00322", "AH00186");

pub(super) fn sl_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&SERVERS_ABOVE) {
        out.on(view, "ServerLimit").correction(fix).say(
            format!(
                "ServerLimit {} is above {}, the most compiled into the {} MPM",
                fix.from, fix.to, view.mpm
            ),
            format!("set {} to {} or less", view.name("ServerLimit"), fix.to),
        );
    }
}

pub(super) fn sl_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&SERVERS_BELOW) {
        out.on(view, "ServerLimit").correction(fix).say(
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

pub(super) fn sl_003(view: &View<'_>, out: &mut Found<'_>) {
    fixed_until_stopped(view, out, "ServerLimit", code(view, "AH00501", "AH00304", "AH00179"));
}

pub(super) fn tl_003(view: &View<'_>, out: &mut Found<'_>) {
    fixed_until_stopped(view, out, "ThreadLimit", code(view, "AH00506", "AH00309", ""));
}

/// A value that a running parent keeps until it is stopped.
fn fixed_until_stopped(view: &View<'_>, out: &mut Found<'_>, directive: &'static str, code: &'static str) {
    if let Some(Moved { before, after, .. }) = view.missed_by_reload(directive) {
        out.on(view, directive).value(after).effective(before).code(code).say(
            format!("{directive} changes from {before} to {after}, and a reload keeps the old one"),
            BY_RESTART,
        );
    }
}

/// Returns the code of the target MPM.
fn code(view: &View<'_>, event: &'static str, worker: &'static str, prefork: &'static str) -> &'static str {
    match view.mpm {
        Mpm::Event => event,
        Mpm::Worker => worker,
        Mpm::Prefork => prefork,
    }
}

/// Returns a directive's text as it is judged: as written, or httpd's default.
fn shown<'a>(view: &View<'a>, directive: &str) -> &'a str {
    view.text(directive).unwrap_or_else(|| view.used(directive))
}

impl View<'_> {
    /// Returns the number that counts for a directive of the MPM where no line sets it.
    fn default_of(&self, directive: &str) -> i64 {
        core_directives::default_number(directive, self.mpm).try_into().unwrap_or(i64::MAX)
    }
}

pub(super) fn sl_004(view: &View<'_>, out: &mut Found<'_>) {
    let sizes = view.normal.sizes;
    let since = crate::httpd::Version::v24(25);
    if view.version >= since && sizes.server_limit == sizes.processes {
        // Left alone, httpd's own defaults meet this condition on every host.
        let draft = out.on(view, "ServerLimit").value(sizes.server_limit);
        let draft = if view.remarks(Group::MPM) { draft } else { draft.at_most(Severity::Info) };
        draft.say(
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

pub(super) fn sl_005(view: &View<'_>, out: &mut Found<'_>) {
    let sizes = view.normal.sizes;
    let written = view.text("ServerLimit").is_some();
    if written && view.remarks(Group::MPM) && sizes.server_limit > sizes.processes.saturating_mul(2) {
        out.on(view, "ServerLimit").value(sizes.server_limit).say(
            format!(
                "ServerLimit {} is more than twice the {} processes that {} can use; under {} the rest is memory of \
                 the scoreboard only",
                sizes.server_limit, sizes.processes, "MaxRequestWorkers", view.mpm
            ),
            format!("set {} to {}, unless MaxRequestWorkers shall grow by a reload", view.name("ServerLimit"), sizes.processes),
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

pub(super) fn sl_006(view: &View<'_>, out: &mut Found<'_>) {
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
        out.on(view, "ServerLimit").value(sizes.server_limit).say(
            format!(
                "the scoreboard for ServerLimit {} x ThreadLimit {} takes {}{beside}, resident from the start; if it \
                 cannot be had httpd does not start (AH00004) although its own test passes",
                sizes.server_limit, sizes.thread_limit, Bytes(bytes)
            ),
            format!("lower {} towards {least}", view.name(directive)),
        );
    }
}

pub(super) fn sl_007(view: &View<'_>, out: &mut Found<'_>) {
    let sizes = view.normal.sizes;
    let possible = sizes.server_limit.saturating_mul(sizes.threads);
    let given = view.text("ServerLimit").is_some() && view.text("MaxRequestWorkers").is_none();
    if given && possible > view.default_of("MaxRequestWorkers") {
        out.on(view, "ServerLimit").value(sizes.server_limit).effective(sizes.workers).say(
            format!(
                "ServerLimit {} x ThreadsPerChild {} allows {possible} workers, but MaxRequestWorkers is left out and \
                 stays {}",
                sizes.server_limit, sizes.threads, sizes.workers
            ),
            format!("set {} to the workers wanted, up to {possible}", view.name("MaxRequestWorkers")),
        );
    }
}

pub(super) fn sl_008(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&["AH00180"]).filter(|_| view.text("MaxRequestWorkers").is_none()) {
        out.on(view, "ServerLimit").value(&fix.to).effective(&fix.to).code(fix.code).say(
            format!(
                "ServerLimit {} lowers MaxRequestWorkers, which is left out, from {} to {}",
                fix.to, fix.from, fix.to
            ),
            format!("set {} to {} too, to say so", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(super) fn tl_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&THREAD_LIMIT_ABOVE) {
        out.on(view, "ThreadLimit").correction(fix).say(
            format!(
                "ThreadLimit {} is above {}, the most compiled into the {} MPM",
                fix.from, fix.to, view.mpm
            ),
            format!("set {} to {} or less", view.name("ThreadLimit"), fix.to),
        );
    }
}

pub(super) fn tl_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&THREAD_LIMIT_BELOW) {
        out.on(view, "ThreadLimit").correction(fix).say(
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

pub(super) fn tl_004(view: &View<'_>, out: &mut Found<'_>) {
    let sizes = view.normal.sizes;
    let written = view.text("ThreadLimit").is_some();
    if written && view.remarks(Group::MPM) && sizes.thread_limit > sizes.threads.saturating_mul(4).max(64) {
        out.on(view, "ThreadLimit").value(sizes.thread_limit).say(
            format!(
                "ThreadLimit {} is far above ThreadsPerChild {}: the scoreboard keeps memory for threads that never run",
                sizes.thread_limit, sizes.threads
            ),
            format!("set {} near {}", view.name("ThreadLimit"), sizes.threads),
        );
    }
}

pub(super) fn tpc_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&THREADS_ABOVE) {
        out.on(view, "ThreadsPerChild").correction(fix).say(
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

pub(super) fn tpc_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&THREADS_BELOW) {
        out.on(view, "ThreadsPerChild").correction(fix).say(
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

pub(super) fn tpc_003(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&WORKERS_MULTIPLE).filter(|_| view.text("MaxRequestWorkers").is_none())
    {
        let threads = view.normal.sizes.threads;
        out.on(view, "ThreadsPerChild").value(threads).effective(&fix.to).code(fix.code).say(
            format!("MaxRequestWorkers is left out; its default {} is no multiple of ThreadsPerChild {threads} and becomes {}", fix.from, fix.to),
            format!("set {} to {}", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(super) fn mrw_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&WORKERS_BELOW) {
        out.on(view, "MaxRequestWorkers").correction(fix).say(
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

pub(super) fn mrw_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&WORKERS_MULTIPLE).filter(|_| view.text("MaxRequestWorkers").is_some())
    {
        let threads = view.normal.sizes.threads;
        let up: i64 = fix.to.parse().unwrap_or(0) + threads;
        out.on(view, "MaxRequestWorkers").correction(fix).say(
            format!("MaxRequestWorkers {} is no multiple of ThreadsPerChild {threads}: httpd rounds it down to {}", fix.from, fix.to),
            format!("set {} to {} or {up}", view.name("MaxRequestWorkers"), fix.to),
        );
    }
}

pub(super) fn mrw_003(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&WORKERS_ABOVE) {
        let sizes = view.normal.sizes;
        let asked: i64 = fix.from.parse().unwrap_or(0);
        out.on(view, "MaxRequestWorkers").correction(fix).say(
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

pub(super) fn mrw_004(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&["AH00180"]).filter(|_| view.text("MaxRequestWorkers").is_some()) {
        out.on(view, "MaxRequestWorkers").correction(fix).say(
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

pub(super) fn mrw_005(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&["AH00182"]) {
        out.on(view, "MaxRequestWorkers").correction(fix).say(
            format!(
                "MaxRequestWorkers {} is read as {}: httpd would serve one request at a time",
                shown(view, "MaxRequestWorkers"),
                fix.from
            ),
            format!("set {} to at least 1, or leave it out for 256", view.name("MaxRequestWorkers")),
        );
    }
}

pub(super) fn mrw_006(view: &View<'_>, out: &mut Found<'_>) {
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
            .say(
                format!(
                    "MaxRequestWorkers {} is more than the running server's ServerLimit {slots} x ThreadsPerChild {} \
                     = {bound}; a reload would cut it",
                    sizes.workers, sizes.threads
                ),
                BY_RESTART,
            );
    }
}

pub(super) fn ss_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(fix) = view.correction(&START_BELOW) {
        out.on(view, "StartServers").correction(fix).say(
            format!("StartServers {} is read as {} and raised to 1", shown(view, "StartServers"), fix.from),
            format!("set {} to at least 1, or leave it out", view.name("StartServers")),
        );
    }
}

pub(super) fn ss_002(view: &View<'_>, out: &mut Found<'_>) {
    let sizes = view.normal.sizes;
    let asked = view.text("StartServers").map_or(0, |text| i64::from(numbers::atoi(text).value));
    if asked > sizes.processes {
        out.on(view, "StartServers").value(asked).effective(sizes.started).say(
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

pub(super) fn spare_001(view: &View<'_>, out: &mut Found<'_>) {
    let (min, _) = spare(view);
    if let Some(fix) = view.correction(&SPARE_BELOW) {
        out.on(view, min).correction(fix).say(
            format!("{min} {} is read as {} and raised to 1", shown(view, min), fix.from),
            format!("set {} to at least 1, or leave it out", view.name(min)),
        );
    }
}

/// The most spare that httpd raises without a word.
pub(super) fn spare_raised(view: &View<'_>, out: &mut Found<'_>) {
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
    let draft = out.on(view, max).value(asked).effective(sizes.max_spare);
    // Nobody asked for the default that is raised here.
    let draft = if written.is_none() { draft.at_most(Severity::Warning) } else { draft };
    draft.say(
        format!(
            "{max} {asked}{} is less than {least}: httpd raises it to {} without a word",
            left_out(view, max),
            sizes.max_spare
        ),
        format!("set {} to {} or more, or {} lower", view.name(max), sizes.max_spare, view.name(min)),
    );
}

pub(super) fn spare_004(view: &View<'_>, out: &mut Found<'_>) {
    let (min, _) = spare(view);
    let sizes = view.normal.sizes;
    if sizes.min_spare >= sizes.workers {
        out.on(view, min).value(sizes.min_spare).say(
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

pub(super) fn spare_005(view: &View<'_>, out: &mut Found<'_>) {
    let (_, max) = spare(view);
    let sizes = view.normal.sizes;
    let idle = sizes.started.saturating_mul(sizes.threads);
    if sizes.max_spare < idle {
        out.on(view, max).value(sizes.max_spare).say(
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

const FACTOR: &str = "AsyncRequestWorkerFactor";

pub(super) fn arwf_001(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    if numbers::strtod(text).is_none_or(|value| value <= 0.0) {
        out.on(view, FACTOR).fatal().value(text).code("AH00526").say(
            format!("{FACTOR} {text} is not a positive number: httpd does not start"),
            format!("set {} to a whole number from 1; httpd's default is 2", view.name(FACTOR)),
        );
    }
}

pub(super) fn arwf_002(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    let new = view.version >= crate::httpd::Version::v24(30);
    if new
        && numbers::strtod(text).is_some_and(|value| value > 0.0 && value.is_finite() && value.fract() != 0.0)
    {
        out.on(view, FACTOR).value(text).effective(view.used(FACTOR)).say(
            format!("{FACTOR} {text} has a fraction, which httpd drops: {} counts", view.used(FACTOR)),
            format!("set {} to a whole number from 1", view.name(FACTOR)),
        );
    }
}

pub(super) fn arwf_003(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = view.text(FACTOR) else { return };
    if numbers::strtod(text).is_some_and(|value| value.is_nan() || value > LARGE_FACTOR) {
        out.on(view, FACTOR).value(text).effective(view.used(FACTOR)).say(
            format!("{FACTOR} {text} is beyond what httpd can count with; a thousand million serves nobody"),
            format!("set {} to a whole number from 1 to 1000; httpd's default is 2", view.name(FACTOR)),
        );
    }
}

pub(super) fn arwf_004(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(text) = view.text(FACTOR) {
        out.on(view, FACTOR).fatal().value(text).code("AH00526").say(
            format!("{FACTOR} is a directive of the event MPM; under {} httpd does not start", view.mpm),
            format!("leave {} out, or set mpm to event", view.name(FACTOR)),
        );
    }
}

const RECYCLE: &str = "MaxConnectionsPerChild";

/// Returns the connections a child serves, where the directive is written.
fn recycle(view: &View<'_>) -> Option<i32> {
    view.text(RECYCLE).map(|text| numbers::atoi(text).value)
}

pub(super) fn mcpc_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value < 0) {
        out.on(view, RECYCLE).fatal().value(shown(view, RECYCLE)).effective(value).say(
            format!("{RECYCLE} {value}: every child ends as soon as it has started, and nobody is served"),
            format!("set {} to 0 for no limit, or to 1000 and more", view.name(RECYCLE)),
        );
    }
}

pub(super) fn mcpc_002(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value < 0) {
        out.on(view, RECYCLE).value(shown(view, RECYCLE)).effective("0").say(
            format!("{RECYCLE} {value} is no limit under prefork, and an outage under event and worker"),
            format!("set {} to 0", view.name(RECYCLE)),
        );
    }
}

pub(super) fn mcpc_003(view: &View<'_>, out: &mut Found<'_>) {
    let leaky = view.has("evasive20_module") || view.has("evasive24_module");
    if leaky
        && view.used(RECYCLE) == "0"
        && (view.remarks(Group::MPM) || view.remarks(crate::features::evasive::GROUP))
    {
        out.on(view, RECYCLE).value(shown(view, RECYCLE)).say(
            format!(
                "{RECYCLE} is 0: children are never replaced, and mod_evasive 1.10's tables never shrink"
            ),
            format!("set {} to 10000 or so", view.name(RECYCLE)),
        );
    }
}

pub(super) fn mcpc_004(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(value) = recycle(view).filter(|value| (1..=FEW_CONNECTIONS).contains(value)) {
        out.on(view, RECYCLE).value(value).say(
            format!("{RECYCLE} {value} replaces a child after {value} connections: httpd forks all the time"),
            format!("set {} to 1000 or more, or 0 for no limit", view.name(RECYCLE)),
        );
    }
}

pub(super) fn mcpc_005(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(value) = recycle(view).filter(|value| *value > 0 && view.remarks(Group::MPM)) {
        out.on(view, RECYCLE).value(value).say(
            format!(
                "{RECYCLE} {value} counts connections; further requests on a kept connection do not count"
            ),
            "nothing to do, unless requests were meant",
        );
    }
}

const STACK: &str = "ThreadStackSize";

/// Returns the stack asked for in bytes, where the directive is written and readable.
fn stack(view: &View<'_>) -> Option<i64> {
    view.text(STACK)
        .map(|text| numbers::strtol(text, 10))
        .filter(|read| !read.overflow)
        .map(|read| read.value)
}

pub(super) fn stack_001(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(bytes) = stack(view).filter(|bytes| (1..STACK_MIN).contains(bytes)) {
        out.on(view, STACK).value(shown(view, STACK)).effective("0").code("AH02436").say(
            format!("{STACK} {bytes} is below the {STACK_MIN} bytes a thread needs: every child ignores it"),
            format!("set {} to {STACK_MIN} or more, or 0 for the system's default", view.name(STACK)),
        );
    }
}

pub(super) fn stack_002(view: &View<'_>, out: &mut Found<'_>) {
    let memory = view.machine.memory.as_ref().and_then(|memory| i64::try_from(memory.value.0).ok());
    let most = memory.map_or(LARGE_STACK, |memory| memory.min(LARGE_STACK));
    if let Some(bytes) = stack(view).filter(|bytes| *bytes > most) {
        out.on(view, STACK).fatal().value(bytes).code("AH00480").say(
            format!(
                "{STACK} {} for each of {} threads a process cannot be had: httpd ends when a thread cannot start",
                Bytes(u64::try_from(bytes).unwrap_or(0)),
                view.normal.sizes.threads
            ),
            format!("set {} to 0 for the system's default, or to 1048576", view.name(STACK)),
        );
    }
}

pub(super) fn stack_003(view: &View<'_>, out: &mut Found<'_>) {
    if let Some(text) = view.text(STACK).filter(|text| *text != "0") {
        out.on(view, STACK).value(text).effective("0").say(
            format!("{STACK} {text} has no effect under prefork, which has no threads"),
            format!("leave {} out", view.name(STACK)),
        );
    }
}

pub(super) fn stack_004(view: &View<'_>, out: &mut Found<'_>) {
    refused(view, out, STACK, "0 for the system's default, or 16384 and more");
}

pub(super) fn mem_003(view: &View<'_>, out: &mut Found<'_>) {
    refused(view, out, "MaxMemFree", "KiB from 0, below 4194304");
}

/// A number that `strtol` finds negative or too large, which httpd refuses.
fn refused(view: &View<'_>, out: &mut Found<'_>, directive: &'static str, allowed: &str) {
    let Some(text) = view.text(directive) else { return };
    let read = numbers::strtol(text, 10);
    if read.value < 0 || read.overflow {
        out.on(view, directive).fatal().value(text).code("AH00526").say(
            format!("{directive} {text} is below zero or too large: httpd does not start"),
            format!("set {} to {allowed}", view.name(directive)),
        );
    }
}

const FREE: &str = "MaxMemFree";

pub(super) fn mem_001(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = view.text(FREE) else { return };
    let read = numbers::strtol(text, 10);
    if !read.overflow && read.value >= 1 << 22 {
        out.on(view, FREE).value(text).effective(view.used(FREE)).say(
            format!(
                "{FREE} {text} KiB is 4 GiB or more, which httpd keeps in 32 bits: {} KiB count",
                view.used(FREE)
            ),
            format!("set {} below 4194304, or 0 for no limit", view.name(FREE)),
        );
    }
}

pub(super) fn mem_002(view: &View<'_>, out: &mut Found<'_>) {
    let Some(text) = view.text(FREE) else { return };
    let read = numbers::strtol(text, 10);
    if !read.digits {
        out.on(view, FREE).value(text).effective("0").say(
            format!("{FREE} {text} is not a number: httpd reads 0, which is no limit"),
            format!("set {} to KiB, such as 2048", view.name(FREE)),
        );
    } else if read.value == 0 && view.remarks(Group::MPM) {
        out.on(view, FREE).value(text).at_most(Severity::Info).say(
            format!("{FREE} 0 lets every allocator keep all memory it ever needed"),
            format!("leave {} out for httpd's 2048 KiB", view.name(FREE)),
        );
    }
}
