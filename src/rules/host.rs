//! The host's limits against the sizes.

use super::{Found, View};
use crate::facts::Known;
use crate::httpd::Mpm;
use crate::httpd::directives::Group;
use crate::httpd::numbers;
use crate::report::Severity;
use crate::units::Bytes;

/// Descriptors that an idle child of event has, with one listening socket and one log.
const IDLE_FILES: u64 = 9;
/// Threads of a child beside its workers: the main one and the listener.
const OTHER_THREADS: u64 = 2;
/// What Debian's start script lowers the open files to unless told otherwise.
const START_SCRIPT_FILES: u64 = 8192;

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Returns the cap of findings about sizes that the task may not manage.
fn cap(view: &View<'_>) -> Severity {
    if view.remarks(Group::Mpm) { Severity::Error } else { Severity::Warning }
}

/// Returns the setting to name for the number of workers.
fn workers(view: &View<'_>) -> (String, u64) {
    (view.path("MaxRequestWorkers"), count(view.normal.sizes.workers))
}

/// Returns the tasks (processes and threads) that one child is.
fn tasks_of_child(view: &View<'_>) -> u64 {
    let threads = count(view.normal.sizes.threads);
    let own = if view.mpm.threaded() { threads + OTHER_THREADS } else { 1 };
    if !view.has("http2_module") {
        return own;
    }
    let least = view.standing("H2MinWorkers").map(|text| numbers::strtol(text, 10).value).filter(|n| *n > 0);
    own.saturating_add(least.map_or(threads, count))
}

/// Returns the tasks of the whole service at full load.
fn tasks(view: &View<'_>) -> u64 {
    tasks_of_child(view).saturating_mul(count(view.normal.sizes.processes)).saturating_add(1)
}

pub(super) fn fd_001(view: &View<'_>, out: &mut Found<'_>) {
    let Some(limit) = &view.machine.open_files else { return };
    let sizes = view.normal.sizes;
    let sockets = view.after.listen.len().saturating_sub(1) as u64;
    let threads = count(sizes.threads);
    let connections = threads.saturating_mul(count(sizes.factor).saturating_add(1));
    let needs = connections.saturating_add(threads).saturating_add(IDLE_FILES + sockets);
    if needs > limit.value {
        out.about(view.path("ThreadsPerChild")).at_most(cap(view)).value(sizes.threads).code("AH02179").say(
            format!(
                "one process may hold {connections} connections and {threads} files, {needs} descriptors in all, but \
                 open files are limited to {} ({}): the process ends when they run out",
                limit.value, limit.source
            ),
            format!(
                "raise LimitNOFILE of the unit {} to {} or more, or lower {} or {}",
                view.layout.unit,
                needs.next_power_of_two(),
                view.name("ThreadsPerChild"),
                view.name("AsyncRequestWorkerFactor")
            ),
        );
    }
}

pub(super) fn fd_002(view: &View<'_>, out: &mut Found<'_>) {
    let (Some(unit), Some(open)) = (&view.machine.unit_open_files, &view.machine.open_files) else { return };
    let most = view.host.start_script_files.as_ref().map_or(START_SCRIPT_FILES, |known| known.value);
    if unit.value > open.value && open.value <= most {
        out.about("LimitNOFILE").value(unit.value).effective(open.value).say(
            format!(
                "the unit allows {} open files ({}), but the start script lowers them to {} ({})",
                unit.value, unit.source, open.value, open.source
            ),
            format!("set APACHE_ULIMIT_MAX_FILES='ulimit -n {}' in {}", unit.value, view.layout.envvars),
        );
    }
}

/// Returns what one worker needs and where that is known from.
fn need_of_worker(view: &View<'_>) -> Option<Known<Bytes>> {
    let asked = view.params.memory.as_ref().and_then(|memory| memory.per_worker.as_deref());
    match asked {
        Some("measured") | None => view.host.measured_worker.clone(),
        Some(text) => Bytes::parse(text).map(|value| Known { value, source: "memory.per_worker".to_owned() }),
    }
}

pub(super) fn host_001(view: &View<'_>, out: &mut Found<'_>) {
    let Some(memory) = view.machine.memory.as_ref().filter(|_| view.remarks(Group::Mpm)) else { return };
    let reserve = view.params.memory.as_ref().and_then(|memory| memory.reserve.as_deref());
    let reserve = reserve.and_then(Bytes::parse).map_or(0, |bytes| bytes.0);
    let (setting, workers) = workers(view);
    let free = memory.value.0.saturating_sub(reserve);
    let largest = Bytes(free / workers.max(1));
    let kept =
        if reserve > 0 { format!(" less {} kept for the rest", Bytes(reserve)) } else { String::new() };
    let Some(each) = need_of_worker(view) else {
        out.about(setting).at_most(Severity::Info).value(workers).say(
            format!(
                "{workers} workers fit into {} ({}){kept} as long as one needs no more than {largest}",
                memory.value, memory.source
            ),
            "set memory.per_worker to what one needs, or to measured, and this is checked",
        );
        return;
    };
    let needs = each.value.0.saturating_mul(workers);
    if needs > free {
        out.about(setting).value(workers).effective(free / each.value.0.max(1)).say(
            format!(
                "{workers} workers of {} ({}) need {}, but there are {} ({}){kept}",
                each.value,
                each.source,
                Bytes(needs),
                memory.value,
                memory.source
            ),
            format!("set {} to {} or less", view.name("MaxRequestWorkers"), free / each.value.0.max(1)),
        );
    }
}

/// A limit on processes and threads.
fn limited(view: &View<'_>, out: &mut Found<'_>, limit: Option<&Known<u64>>, name: &str, raise: &str) {
    let Some(limit) = limit else { return };
    let (needs, child) = (tasks(view), tasks_of_child(view));
    if needs <= limit.value {
        return;
    }
    let sizes = view.normal.sizes;
    let processes = limit.value.saturating_sub(1) / child.max(1);
    let fit = processes.saturating_mul(count(sizes.threads));
    out.about(view.path("MaxRequestWorkers")).at_most(cap(view)).value(sizes.workers).effective(fit).say(
        format!(
            "{} processes of {child} tasks and their parent are {needs} tasks, but {name} is {} ({}): {processes} \
             processes, {fit} workers fit",
            sizes.processes, limit.value, limit.source
        ),
        format!("{raise} to {needs} or more, or set {} to {fit} or less", view.name("MaxRequestWorkers")),
    );
}

pub(super) fn host_002(view: &View<'_>, out: &mut Found<'_>) {
    let raise = format!("raise TasksMax of the unit {}", view.layout.unit);
    limited(view, out, view.machine.tasks_max.as_ref(), "TasksMax", &raise);
}

pub(super) fn host_003(view: &View<'_>, out: &mut Found<'_>) {
    limited(view, out, view.machine.threads_max.as_ref(), "kernel.threads-max", "raise kernel.threads-max");
}

pub(super) fn host_004(view: &View<'_>, out: &mut Found<'_>) {
    limited(view, out, view.machine.pid_max.as_ref(), "kernel.pid_max", "raise kernel.pid_max");
}

pub(super) fn host_005(view: &View<'_>, out: &mut Found<'_>) {
    if !view.remarks(Group::Mpm) {
        return;
    }
    let machine = view.machine;
    let unread: Vec<&str> = [
        ("memory_mb", machine.memory.is_none()),
        ("open_files", machine.open_files.is_none() && view.mpm == Mpm::Event),
        ("tasks_max", machine.tasks_max.is_none()),
        ("threads_max", machine.threads_max.is_none()),
        ("pid_max", machine.pid_max.is_none()),
        ("somaxconn", machine.somaxconn.is_none() && view.text("ListenBacklog").is_some()),
    ]
    .into_iter()
    .filter_map(|(name, unread)| unread.then_some(name))
    .collect();
    if !unread.is_empty() {
        let names = unread.join(", ");
        out.about("facts").value(&names).say(
            format!(
                "these facts of the host could not be read, and nothing is checked against them: {names}"
            ),
            format!("give facts.{}", unread.join(", facts.")),
        );
    }
}

/// IDs of os-release of the family whose SELinux policy has the boolean.
const RED_HAT: [&str; 7] = ["rhel", "centos", "rocky", "almalinux", "ol", "fedora", "eurolinux"];

pub(super) fn host_006(view: &View<'_>, out: &mut Found<'_>) {
    let Some((id, version)) = view.host.distribution else { return };
    let release: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let off = view.machine.selinux_graceful_shutdown.as_ref().filter(|known| !known.value);
    if let Some(known) = off.filter(|_| RED_HAT.contains(&id) && release >= 8) {
        out.about("mpm").value(view.mpm).say(
            format!(
                "SELinux keeps prefork from a graceful stop: the boolean httpd_graceful_shutdown is off ({})",
                known.source
            ),
            "setsebool -P httpd_graceful_shutdown on",
        );
    }
}

pub(super) fn host_007(view: &View<'_>, out: &mut Found<'_>) {
    if view.host.mpm_available == Some(false) {
        out.about("mpm").value(view.mpm).say(
            format!("the program of the {} MPM, mod_mpm_{}.so, is not on this host", view.mpm, view.mpm),
            "set mpm to one that the distribution ships, or install the package that has it",
        );
    }
}
