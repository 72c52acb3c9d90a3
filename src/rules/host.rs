//! The host's limits against the sizes.

use super::{Check, Reporter, Rule, View, rule};
use crate::capacity;
use crate::httpd::Mpm;
use crate::httpd::directives::Group;
use crate::report::Severity;
use crate::units::Bytes;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &FD_001, &FD_002, &HOST_001, &HOST_002, &HOST_003, &HOST_004, &HOST_005, &HOST_006, &HOST_007, &SYS_001,
    &SYS_002, &SYS_003, &SYS_004, &SYS_005, &SYS_006, &SYS_007,
];

/// What Debian's start script lowers the open files to unless told otherwise.
const START_SCRIPT_FILES: u64 = 8192;

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Returns the cap of findings about sizes that the task may not manage.
fn cap(view: &View<'_>) -> Severity {
    if view.remarks(Group::MPM) { Severity::Error } else { Severity::Warning }
}

/// Returns the setting to name for the number of workers.
fn workers(view: &View<'_>) -> (String, u64) {
    (view.path("MaxRequestWorkers"), count(view.normal.sizes.workers))
}

pub(crate) static FD_001: Rule = Rule {
    id: "FD-001",
    severity: Severity::Error,
    setting: "ThreadsPerChild",
    summary: "one process can hold more connections, files and logs than its limit of open files; it ends \
         when they run out",
    source: "httpd 2.4 server/mpm/event/event.c, connections_above_limit; AH02179",
    check: Check::View(open_files_run_out),
    ..Rule::NEW
};

fn open_files_run_out(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(bound) = view.exceeded("open_files") else { return };
    let sizes = view.normal.sizes;
    let connections = sizes.threads.saturating_mul(sizes.factor.saturating_add(1));
    let threads = view.name("ThreadsPerChild");
    let smaller = match view.mpm {
        Mpm::Event => format!("lower {threads} or {}", view.name("AsyncRequestWorkerFactor")),
        Mpm::Worker => format!("lower {threads}"),
        Mpm::Prefork => "let virtual hosts share their logs".to_owned(),
    };
    out.about(view.path("ThreadsPerChild")).at_most(cap(view)).value(sizes.threads).code("AH02179").emit(
        format!(
            "one process may hold {connections} connections and {} files beside its {} logs and addresses, {} \
             descriptors in all, but open files are limited to {} ({}): the process ends when they run out",
            sizes.threads,
            2 + view.server.extra_files,
            bound.needs,
            bound.limit,
            bound.source
        ),
        format!(
            "raise LimitNOFILE of the unit {} to {} or more, or {smaller}",
            view.layout.unit,
            bound.needs.next_power_of_two(),
        ),
    );
}

pub(crate) static FD_002: Rule = Rule {
    id: "FD-002",
    severity: Severity::Warning,
    setting: "LimitNOFILE",
    summary: "raised in the unit, but lowered again by the start script's ulimit",
    source: "Debian apache2ctl, APACHE_ULIMIT_MAX_FILES",
    check: Check::View(open_files_lowered_by_start_script),
    ..Rule::NEW
};

fn open_files_lowered_by_start_script(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some(unit), Some(open)) = (&view.machine.unit_open_files, &view.machine.open_files) else { return };
    let most = view.host.start_script_files.as_ref().map_or(START_SCRIPT_FILES, |known| known.value);
    if unit.value > open.value && open.value <= most {
        out.about("LimitNOFILE").value(unit.value).effective(open.value).emit(
            format!(
                "the unit allows {} open files ({}), but the start script lowers them to {} ({})",
                unit.value, unit.source, open.value, open.source
            ),
            format!("set APACHE_ULIMIT_MAX_FILES='ulimit -n {}' in {}", unit.value, view.layout.variables),
        );
    }
}

pub(crate) static HOST_001: Rule = Rule {
    id: "HOST-001",
    severity: Severity::Error,
    setting: "memory",
    summary: "workers x what one needs exceed the memory less the reserve (an info where the need is not \
         known)",
    source: "memory.per_worker or the running server, /proc/meminfo, memory.max",
    check: Check::View(memory_exceeded),
    ..Rule::NEW
};

fn memory_exceeded(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(memory) = view.machine.memory.as_ref().filter(|_| view.remarks(Group::MPM)) else { return };
    let (setting, workers) = workers(view);
    let reserve = view.memory.reserve;
    let kept = if reserve.0 > 0 { format!(" less {reserve} kept for the rest") } else { String::new() };
    let Some(server) = &view.memory.server else {
        let missing = view.memory.missing.as_ref().map_or_else(String::new, |why| format!("; {why}"));
        if let Some(largest) = capacity::largest_need(workers, view.machine, reserve) {
            out.about(setting).at_most(Severity::Info).value(workers).emit(
                format!(
                    "{workers} workers fit into {} ({}){kept} as long as one needs no more than {largest}{missing}",
                    memory.value, memory.source
                ),
                "set memory.per_worker to what one needs, or to measured, and this is checked",
            );
        }
        return;
    };
    let Some(bound) = view.exceeded("memory") else { return };
    // A worker's share of its process and of the connections that wait counts with it.
    let sizes = view.normal.sizes;
    let threads = count(sizes.threads).max(1);
    let each = server
        .per_worker
        .0
        .saturating_add(server.per_process.0 / threads)
        .saturating_add(server.per_connection.0.saturating_mul(count(sizes.factor).saturating_add(1)))
        .max(1);
    let fit = memory.value.0.saturating_sub(reserve.0).saturating_sub(server.once.0) / each;
    out.about(setting).value(workers).effective(fit).emit(
        format!(
            "{workers} workers of {} ({}) and all else need {} MiB, but there are {} ({})",
            Bytes(each),
            server.source,
            bound.needs,
            memory.value,
            memory.source
        ),
        format!("set {} to {fit} or less", view.name("MaxRequestWorkers")),
    );
}

/// A limit on processes and threads.
fn limited(view: &View<'_>, out: &mut Reporter<'_>, bound: &str, name: &str, raise: &str) {
    let Some(bound) = view.exceeded(bound) else { return };
    let sizes = view.normal.sizes;
    // The parent is the one task beside those of the children.
    let child = (bound.needs - 1) / count(sizes.processes).max(1);
    let processes = bound.limit.saturating_sub(1) / child.max(1);
    let fit = processes.saturating_mul(count(sizes.threads));
    out.about(view.path("MaxRequestWorkers")).at_most(cap(view)).value(sizes.workers).effective(fit).emit(
        format!(
            "{} processes of {child} tasks and their parent are {} tasks, but {name} is {} ({}): {processes} \
             processes, {fit} workers fit",
            sizes.processes, bound.needs, bound.limit, bound.source
        ),
        format!(
            "{raise} to {} or more, or set {} to {fit} or less",
            bound.needs,
            view.name("MaxRequestWorkers")
        ),
    );
}

pub(crate) static HOST_002: Rule = Rule {
    id: "HOST-002",
    severity: Severity::Error,
    setting: "tasks",
    summary: "processes and threads exceed TasksMax",
    source: "systemd.resource-control(5), TasksMax",
    check: Check::View(tasks_max_exceeded),
    ..Rule::NEW
};

fn tasks_max_exceeded(view: &View<'_>, out: &mut Reporter<'_>) {
    let raise = format!("raise TasksMax of the unit {}", view.layout.unit);
    limited(view, out, "tasks", "TasksMax", &raise);
}

pub(crate) static HOST_003: Rule = Rule {
    id: "HOST-003",
    severity: Severity::Error,
    setting: "tasks",
    summary: "processes and threads exceed kernel.threads-max",
    source: "Linux Documentation/admin-guide/sysctl/kernel.rst, threads-max",
    check: Check::View(threads_max_exceeded),
    ..Rule::NEW
};

fn threads_max_exceeded(view: &View<'_>, out: &mut Reporter<'_>) {
    limited(view, out, "threads_max", "kernel.threads-max", "raise kernel.threads-max");
}

pub(crate) static HOST_004: Rule = Rule {
    id: "HOST-004",
    severity: Severity::Error,
    setting: "tasks",
    summary: "processes and threads exceed kernel.pid_max",
    source: "Linux Documentation/admin-guide/sysctl/kernel.rst, pid_max",
    check: Check::View(pid_max_exceeded),
    ..Rule::NEW
};

fn pid_max_exceeded(view: &View<'_>, out: &mut Reporter<'_>) {
    limited(view, out, "pid_max", "kernel.pid_max", "raise kernel.pid_max");
}

pub(crate) static HOST_005: Rule = Rule {
    id: "HOST-005",
    severity: Severity::Info,
    setting: "facts",
    summary: "a fact could not be read, and nothing is checked against it",
    source: "this host's /proc, /sys and unit files",
    check: Check::View(facts_unknown),
    ..Rule::NEW
};

fn facts_unknown(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.remarks(Group::MPM) {
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
        out.about("facts").value(&names).emit(
            format!(
                "these facts of the host could not be read, and nothing is checked against them: {names}"
            ),
            format!("give facts.{}", unread.join(", facts.")),
        );
    }
}

/// IDs of os-release of the family whose SELinux policy has the boolean.
const RED_HAT: [&str; 7] = ["rhel", "centos", "rocky", "almalinux", "ol", "fedora", "eurolinux"];

pub(crate) static HOST_006: Rule = Rule {
    id: "HOST-006",
    severity: Severity::Warning,
    mpms: rule::PREFORK,
    setting: "mpm",
    summary: "SELinux boolean httpd_graceful_shutdown is off on EL 8 and later; prefork cannot stop \
         gracefully",
    source: "selinux-policy httpd_selinux(8)",
    check: Check::View(selinux_keeps_prefork_from_stopping),
    ..Rule::NEW
};

fn selinux_keeps_prefork_from_stopping(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some((id, version)) = view.host.distribution else { return };
    let release: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    let off = view.machine.selinux_graceful_shutdown.as_ref().filter(|known| !known.value);
    if let Some(known) = off.filter(|_| RED_HAT.contains(&id) && release >= 8) {
        out.about("mpm").value(view.mpm).emit(
            format!(
                "SELinux keeps prefork from a graceful stop: the boolean httpd_graceful_shutdown is off ({})",
                known.source
            ),
            "setsebool -P httpd_graceful_shutdown on",
        );
    }
}

pub(crate) static HOST_007: Rule = Rule {
    id: "HOST-007",
    severity: Severity::Error,
    setting: "mpm",
    summary: "the MPM's program is not on the host, such as mod_mpm_worker.so on Fedora 44",
    source: "the distribution's httpd package",
    check: Check::View(mpm_not_installed),
    ..Rule::NEW
};

fn mpm_not_installed(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.host.mpm_available == Some(false) {
        out.about("mpm").value(view.mpm).emit(
            format!("the program of the {} MPM, mod_mpm_{}.so, is not on this host", view.mpm, view.mpm),
            "set mpm to one that the distribution ships, or install the package that has it",
        );
    }
}

pub(crate) static SYS_001: Rule = Rule {
    id: "SYS-001",
    severity: Severity::Error,
    setting: "facts.distribution",
    summary: "the host's distribution or its Apache is not known",
    source: "os-release(5)",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_002: Rule = Rule {
    id: "SYS-002",
    severity: Severity::Error,
    setting: "host",
    summary: "a file of the host cannot be read",
    source: "the operating system",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_003: Rule = Rule {
    id: "SYS-003",
    severity: Severity::Error,
    setting: "host",
    summary: "a control panel generates Apache's configuration and would overwrite what is changed",
    source: "cPanel, Plesk, DirectAdmin, CyberPanel",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_004: Rule = Rule {
    id: "SYS-004",
    severity: Severity::Error,
    setting: "host",
    summary: "a change is so large that its journal could not be read back to undo it",
    source: "the largest file that is read: 16 MiB",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_005: Rule = Rule {
    id: "SYS-005",
    severity: Severity::Error,
    setting: "host",
    summary: "a path to change is immutable or append-only, on a file system mounted read-only, a mount point itself, \
         or in a directory into which everybody may write",
    source: "chattr(1), mount(8), rename(2): EPERM, EROFS, EBUSY",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_006: Rule = Rule {
    id: "SYS-006",
    severity: Severity::Error,
    setting: "host",
    summary: "/var/lib/apache-tuning is not root's alone, or its lock, journal or history is not what this tool left \
         there",
    source: "an undo is only as good as the place its data is in",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static SYS_007: Rule = Rule {
    id: "SYS-007",
    severity: Severity::Error,
    setting: "instance",
    summary: "another server of this host reads a file that changes; it would have the change at its next reload, \
         which may end it",
    source: "the configurations of all instances, as httpd reads them",
    check: Check::Planned,
    ..Rule::NEW
};
