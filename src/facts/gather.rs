//! Reads the machine's limits. Few files, each at most once, none that a given fact makes needless.

use std::path::{Path, PathBuf};

use super::cgroup::{self, Service};
use super::systemd::{self, Build, Settings};
use super::{Known, Machine, Running, parse, process};
use crate::distro::Site;
use crate::params::Facts;
use crate::tree::Files;
use crate::units::Bytes;

/// Returns the limits of the machine and of the site's service.
///
/// Facts given by the user win over what is read. With `of_machine` false, for another root directory, nothing
/// is read: the limits of this machine are not those of the image's future host.
pub fn machine(files: &dyn Files, site: &Site, overrides: &Facts, of_machine: bool) -> Machine {
    let running = if of_machine { process::running(files, site) } else { None };
    machine_of(files, site, overrides, of_machine, running.as_ref())
}

/// Does the same as [`machine`] for a caller that has already looked for the running server.
pub fn machine_of(
    files: &dyn Files,
    site: &Site,
    overrides: &Facts,
    of_machine: bool,
    running: Option<&Running>,
) -> Machine {
    let mut machine = Machine {
        memory: given(overrides.memory_mb, "memory_mb").map(|known| Known {
            value: Bytes(known.value.saturating_mul(Bytes::MIB)),
            source: known.source,
        }),
        cpus: given(overrides.cpus, "cpus"),
        open_files: given(overrides.open_files, "open_files"),
        tasks_max: given(overrides.tasks_max, "tasks_max"),
        threads_max: given(overrides.threads_max, "threads_max"),
        pid_max: given(overrides.pid_max, "pid_max"),
        somaxconn: given(overrides.somaxconn, "somaxconn"),
        selinux_graceful_shutdown: given(overrides.selinux_graceful_shutdown, "selinux_graceful_shutdown"),
        ..Machine::default()
    };
    if !of_machine {
        return machine;
    }
    let sysctl = |path: &str| {
        let value = parse::number(&files.read(Path::new(path)).ok()?)?;
        Some(Known { value, source: path.to_owned() })
    };
    machine.threads_max = machine.threads_max.or_else(|| sysctl("/proc/sys/kernel/threads-max"));
    machine.pid_max = machine.pid_max.or_else(|| sysctl("/proc/sys/kernel/pid_max"));
    machine.somaxconn = machine.somaxconn.or_else(|| sysctl("/proc/sys/net/core/somaxconn"));
    machine.cpus = machine.cpus.or_else(|| {
        let path = "/sys/devices/system/cpu/online";
        Some(Known { value: parse::cpu_list(&files.read(Path::new(path)).ok()?)?, source: path.to_owned() })
    });
    machine.selinux_graceful_shutdown = machine.selinux_graceful_shutdown.or_else(|| {
        // The value in force, then the one that is pending: `1 1`.
        let path = "/sys/fs/selinux/booleans/httpd_graceful_shutdown";
        let text = files.read(Path::new(path)).ok()?;
        let value = match text.first()? {
            b'0' => false,
            b'1' => true,
            _ => return None,
        };
        Some(Known { value, source: path.to_owned() })
    });

    let limits = running.and_then(|running| {
        let path = PathBuf::from(format!("/proc/{}/limits", running.parent));
        Some((files.read(&path).ok()?, path.to_string_lossy().into_owned()))
    });
    let seen = Seen { files, site, unit: site.unit(), limits, booted: systemd::booted(files) };
    let unit = Settings::of_unit(files, &seen.unit);
    let service = seen.service(running, &unit);
    machine.cpu_quota = service.as_ref().and_then(Service::cpu);
    machine.unit_open_files = unit.limit("LimitNOFILE");
    machine.memory = machine.memory.or_else(|| seen.memory(service.as_ref(), &unit));
    machine.open_files = machine.open_files.or_else(|| seen.open_files(&unit));
    if machine.tasks_max.is_none() {
        machine.tasks_max = seen.tasks(service.as_ref(), &unit, &machine);
    }
    machine
}

fn given<T>(value: Option<T>, name: &str) -> Option<Known<T>> {
    value.map(|value| Known { value, source: format!("facts.{name}") })
}

/// What several facts are derived from.
struct Seen<'a> {
    files: &'a dyn Files,
    site: &'a Site,
    /// The service's name, without `.service`.
    unit: String,
    /// `/proc/PID/limits` of the running parent, and its path.
    limits: Option<(std::sync::Arc<[u8]>, String)>,
    /// Whether systemd runs this machine: only then do its files and defaults apply.
    booted: bool,
}

impl<'a> Seen<'a> {
    /// Returns the service's control groups: those it runs in, else those systemd will put it into, else, where
    /// no systemd runs (most containers), those of this process.
    fn service(&self, running: Option<&Running>, unit: &Settings) -> Option<Service<'a>> {
        match running {
            Some(running) => Service::of(self.files, &running.parent.to_string(), None),
            None if self.booted => {
                let slice = unit.get("Slice").map(|(slice, _)| slice);
                let group = cgroup::unit_group(&self.unit, slice);
                Service::of(self.files, "self", Some(&group))
            }
            None => Service::of(self.files, "self", None),
        }
    }

    /// Returns the least of the machine's memory, its control groups' and the unit's own words, which are a
    /// control group from the next start on.
    fn memory(&self, service: Option<&Service>, unit: &Settings) -> Option<Known<Bytes>> {
        let path = "/proc/meminfo";
        let total =
            self.files.read(Path::new(path)).ok().and_then(|text| parse::kib_field(&text, "MemTotal"));
        let mut least = total.map(|value| Known { value, source: format!("{path}: MemTotal") });
        if self.booted {
            for key in ["MemoryMax", "MemoryHigh", "MemoryLimit"] {
                least = cgroup::least(least, unit.amount(key, total));
            }
        }
        // The machine's own size goes first: where a group allows as much or more, it does not bind.
        least = cgroup::least(least, service.and_then(Service::memory));
        // A group without a limit on a machine of unknown size says nothing.
        let least = least.filter(|known| known.value != u64::MAX)?;
        Some(Known { value: Bytes(least.value), source: least.source })
    }

    /// Returns the open files that a process may have after the next start: what the unit or the start script
    /// sets in words; else what the running server has; else the start script's or systemd's default.
    fn open_files(&self, unit: &Settings) -> Option<Known<u64>> {
        let unit_limit = if self.booted { unit.limit("LimitNOFILE") } else { None };
        let script = start_script(self.files, self.site);
        if let Some(script) = script {
            // The script runs `ulimit -n`, which sets both limits; above the hard limit it fails and changes nothing.
            let hard = if self.booted { unit.hard_limit("LimitNOFILE") } else { None };
            let refused = hard.as_ref().is_some_and(|hard| hard.value < script.number);
            if !refused && (script.explicit || unit_limit.is_some()) {
                return Some(Known { value: script.number, source: script.source });
            }
            return unit_limit
                .or_else(|| self.running_open_files())
                .or(Some(Known { value: script.number, source: script.source }));
        }
        let manager =
            || if self.booted { Settings::of_manager(self.files).limit("DefaultLimitNOFILE") } else { None };
        unit_limit
            .or_else(manager)
            .or_else(|| self.running_open_files())
            .or_else(|| self.default_open_files())
    }

    fn running_open_files(&self) -> Option<Known<u64>> {
        let (text, path) = self.limits.as_ref()?;
        let value = parse::soft_limit(text, "Max open files")?;
        Some(Known { value, source: format!("{path}: Max open files") })
    }

    fn default_open_files(&self) -> Option<Known<u64>> {
        if !self.booted {
            return None;
        }
        let version = systemd::version(self.files)?;
        let value = self.build().default_open_files();
        Some(Known { value, source: format!("default of systemd {} ({})", version.value, version.source) })
    }

    /// Returns the tasks that the service may have: the least of its control groups, of the unit's `TasksMax=`
    /// or else the manager's default, and of the running server's own limit of processes.
    fn tasks(&self, service: Option<&Service>, unit: &Settings, machine: &Machine) -> Option<Known<u64>> {
        let mut least = service.and_then(Service::tasks);
        let group_known = least.is_some() && self.limits.is_some();
        if self.booted {
            let whole =
                [&machine.pid_max, &machine.threads_max].into_iter().flatten().map(|known| known.value).min();
            let own = unit.amount("TasksMax", whole);
            let inherited = || {
                // A running service's group already shows the default that it was given.
                if group_known { None } else { self.default_tasks(whole) }
            };
            least = cgroup::least(own.or_else(inherited), least);
        }
        let processes = self.limits.as_ref().and_then(|(text, path)| {
            let value = parse::soft_limit(text, "Max processes")?;
            Some(Known { value, source: format!("{path}: Max processes") })
        });
        cgroup::least(least, processes)
    }

    fn default_tasks(&self, whole: Option<u64>) -> Option<Known<u64>> {
        let manager = Settings::of_manager(self.files);
        if manager.get("DefaultTasksMax").is_some() {
            return manager.amount("DefaultTasksMax", whole);
        }
        let version = systemd::version(self.files)?;
        let source =
            |share: &str| format!("default of systemd {}{share} ({})", version.value, version.source);
        match self.build().default_tasks_percent(version.value)? {
            None => Some(Known { value: u64::MAX, source: source("") }),
            Some(percent) => {
                let value = u64::try_from(u128::from(whole?) * u128::from(percent) / 100).ok()?;
                Some(Known { value, source: source(&format!(": {percent}% of all tasks")) })
            }
        }
    }

    fn build(&self) -> Build {
        Build::of(&self.site.distribution)
    }
}

/// What a start script does to the limit of open files.
struct Script {
    /// The limit it sets.
    number: u64,
    /// Whether the administrator wrote it, or it is the script's own default.
    explicit: bool,
    source: String,
}

/// Returns what the start script lowers, or raises, the open files to; `None` where the family's has no such line.
pub fn start_script_files(files: &dyn Files, site: &Site) -> Option<Known<u64>> {
    start_script(files, site).map(|script| Known { value: script.number, source: script.source })
}

/// Returns what Debian's `apache2ctl` gives to `ulimit`, for root: 8192, or the `APACHE_ULIMIT_MAX_FILES` of
/// `envvars`; `None` on other families, and where `envvars` puts in another command.
fn start_script(files: &dyn Files, site: &Site) -> Option<Script> {
    if site.layout.name != "debian" {
        return None;
    }
    let path = site.path(site.layout.variables);
    let text = files.read(&path).unwrap_or_default();
    let assigned =
        parse::lines(&text).filter_map(ulimit_assignment).last().filter(|command| !command.is_empty());
    let Some(command) = assigned else {
        let source = "apache2ctl: ulimit -n 8192 (APACHE_ULIMIT_MAX_FILES is not set)".to_owned();
        return Some(Script { number: 8192, explicit: false, source });
    };
    let number = match command.rsplit_once(char::is_whitespace)?.1 {
        "unlimited" => u64::MAX,
        digits => parse::number(digits.as_bytes())?,
    };
    let source = format!("{}: APACHE_ULIMIT_MAX_FILES={command}", path.display());
    command.starts_with("ulimit").then_some(Script { number, explicit: true, source })
}

/// Returns the value of an assignment to `APACHE_ULIMIT_MAX_FILES`, quotes off; a comment is none.
fn ulimit_assignment(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
    let value = line.strip_prefix("APACHE_ULIMIT_MAX_FILES=")?.trim();
    let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.split(quote).next());
    Some(quoted.unwrap_or_else(|| value.split_whitespace().next().unwrap_or_default()).to_owned())
}
