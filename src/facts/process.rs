//! The server that runs now, found and measured through `/proc`; no process is started or signalled.
//!
//! Source: `proc(5)`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::parse::{self, Held, Stat};
use super::{Consumer, Identity, Measured, Running, Served, listening};
use crate::distro::Site;
use crate::httpd::Mpm;
use crate::httpd::start::command_line::CommandLine;
use crate::tree::{Files, bytes, resolve};
use crate::units::Bytes;

/// Where the families' servers write the parent's process id.
const PID_FILES: [&str; 7] = [
    "/run/apache2/apache2.pid",
    "/run/httpd/httpd.pid",
    "/run/httpd.pid",
    "/run/apache2/httpd.pid",
    "/run/apache2.pid",
    "/usr/local/apache2/logs/httpd.pid",
    "/opt/bitnami/apache/var/run/httpd.pid",
];

/// Where their instances' parents write it, `{name}` standing for the instance's name.
const INSTANCE_PID_FILES: [&str; 3] =
    ["/run/apache2-{name}/apache2.pid", "/run/httpd/instance-{name}.pid", "/run/httpd@{name}.pid"];

/// Returns the running server of a site; `None` where none runs or `/proc` cannot tell.
///
/// Any user may start the server's program, and a test of the configuration runs it too. So only a process counts that
/// was started by root (or by our own user, or by that of a container's first process), to serve, with this site's
/// configuration, and that listens.
pub fn running(files: &dyn Files, site: &Site) -> Option<Running> {
    let program = Program { files, site, binary: Path::new(site.layout.binary), real: None };
    let is_it = |pid: &u32| program.is_parent(*pid) && listening::listens(files, *pid);
    let named = pid_files(site).into_iter().filter_map(|path| {
        let pid = pid(&files.read(&path).ok()?)?;
        // After a kill -9 of the parent the file stays, and its number may be reused by any process, even a child.
        (program.runs(pid) && program.has_own_pid_file(pid) && is_it(&pid)).then_some(pid)
    });
    let parent = named.into_iter().next().or_else(|| program.search(&is_it))?;
    Some(describe(files, parent))
}

/// Returns the parents that serve a site and those that were told to (`-k start`) and do not listen yet: all that must be
/// gone before another one can start.
pub fn parents(files: &dyn Files, site: &Site) -> Vec<u32> {
    let program = Program { files, site, binary: Path::new(site.layout.binary), real: None };
    let serves = |pid| command_line(files, pid).action.is_some() || listening::listens(files, pid);
    let is_it = |pid| program.runs(pid) && !program.is_other_instance(pid) && program.is_parent(pid);
    pids(files).filter(|pid| is_it(*pid) && serves(*pid)).collect()
}

/// Returns where the site's parent may have written its process id. Each file is verified before it is believed, so one
/// of another family does no harm.
fn pid_files(site: &Site) -> Vec<PathBuf> {
    match &site.instance {
        Some(name) => {
            INSTANCE_PID_FILES.iter().map(|path| PathBuf::from(path.replace("{name}", name))).collect()
        }
        None => PID_FILES.iter().map(PathBuf::from).collect(),
    }
}

/// Returns what is known about the server with this parent.
pub fn describe(files: &dyn Files, parent: u32) -> Running {
    Running {
        parent,
        mpm: mapped_mpm(files, parent),
        identity: identity(files, parent),
        foreground: command_line(files, parent).stays_in_foreground(),
    }
}

/// Returns what a process was started with.
fn command_line(files: &dyn Files, pid: u32) -> CommandLine {
    CommandLine::parse(&files.read(&of(pid, "cmdline")).unwrap_or_default())
}

/// The program of a site's server, compared with what processes run.
struct Program<'a> {
    files: &'a dyn Files,
    site: &'a Site,
    binary: &'a Path,
    /// The binary with all links followed, where that was needed once.
    real: Option<PathBuf>,
}

impl Program<'_> {
    /// Looks through all processes; of several servers takes the one in the unit's control group, else the
    /// oldest.
    fn search(&self, is_it: &dyn Fn(&u32) -> bool) -> Option<u32> {
        let unit = format!("/{}.service", self.site.unit());
        pids(self.files)
            .filter(|pid| self.runs(*pid) && !self.is_other_instance(*pid) && is_it(pid))
            .min_by_key(|pid| {
                let groups = self.files.read(&of(*pid, "cgroup")).unwrap_or_default();
                let in_unit = parse::lines(&groups).any(|line| line.ends_with(unit.as_bytes()));
                (!in_unit, stat(self.files, *pid).map_or(u64::MAX, |stat| stat.started), *pid)
            })
    }

    /// Tells whether a process of this host (not of a container or of another root) runs the program.
    fn runs(&self, pid: u32) -> bool {
        let Ok(exe) = self.files.read_link(&of(pid, "exe")) else { return false };
        self.is(&exe) && self.shares_our_world(pid)
    }

    /// Tells whether a process that runs the program is a server's parent, of a user who may start this server.
    fn is_parent(&self, pid: u32) -> bool {
        !self.is_child(pid) && command_line(self.files, pid).is_of_a_server() && self.is_trusted(pid)
    }

    /// Tells whether a process belongs to root, to our own user, or to the user of process 1: whoever owns a
    /// container's first process owns the container.
    fn is_trusted(&self, pid: u32) -> bool {
        let Some(owner) = self.owner(&pid.to_string()) else { return false };
        owner == 0 || ["self", "1"].iter().any(|other| self.owner(other) == Some(owner))
    }

    /// Returns the user who runs a process; `None` where the real and the effective one differ. The owner of its
    /// directory does not tell: that is root for whatever may not be dumped.
    fn owner(&self, pid: &str) -> Option<u64> {
        let status = self.files.read(&Path::new("/proc").join(pid).join("status")).ok()?;
        let line = parse::lines(&status).find_map(|line| line.strip_prefix(b"Uid:"))?;
        let mut users = parse::words(line).filter_map(parse::number);
        let (real, effective) = (users.next()?, users.next()?);
        (real == effective).then_some(real)
    }

    fn is(&self, exe: &Path) -> bool {
        // An upgraded package unlinks the old binary under the running server.
        let exe = exe.to_str().map_or(exe, |text| Path::new(text.strip_suffix(" (deleted)").unwrap_or(text)));
        if exe == self.binary {
            return true;
        }
        let (Some(name), Some(wanted)) = (exe.file_name(), self.binary.file_name()) else { return false };
        // One binary an MPM: `httpd-prefork` beside a link or script `httpd`.
        let suffixed = name
            .to_str()
            .zip(wanted.to_str())
            .and_then(|(name, wanted)| name.strip_prefix(wanted)?.strip_prefix('-'));
        if name != wanted && suffixed.and_then(Mpm::of_name).is_none() {
            return false;
        }
        if exe.parent() == self.binary.parent() {
            return true;
        }
        let real = self.real.clone().or_else(|| resolve(self.files, self.binary).ok());
        real.is_some_and(|real| real.parent() == exe.parent())
    }

    /// A container's server has the same path in its own tree; its process ids live in another name space.
    fn shares_our_world(&self, pid: u32) -> bool {
        let here = |name: &str| self.files.read_link(&Path::new("/proc/self").join(name)).ok();
        let there = |name: &str| self.files.read_link(&of(pid, name)).ok();
        let same_pids = match (here("ns/pid"), there("ns/pid")) {
            (Some(here), Some(there)) => here == there,
            _ => true,
        };
        same_pids && there("root").is_none_or(|root| root == Path::new("/"))
    }

    fn is_child(&self, pid: u32) -> bool {
        stat(self.files, pid)
            .and_then(|stat| self.files.read_link(&of(stat.parent, "exe")).ok())
            .is_some_and(|exe| self.is(&exe))
    }

    /// Tells whether the options of a process named by the site's own file do not speak against it: a number may have
    /// gone to another instance.
    fn has_own_pid_file(&self, pid: u32) -> bool {
        !matches!(self.started_with(pid), (Some(false), _) | (_, Some(false)))
    }

    /// A server started with another configuration (`-f`) or another root (`-d`) is not the site's. A second
    /// instance is always started with one of its own; the main one without, or with its own.
    fn is_other_instance(&self, pid: u32) -> bool {
        let (file, root) = self.started_with(pid);
        file == Some(false)
            || root == Some(false)
            || (self.site.instance.is_some() && file.is_none() && root.is_none())
    }

    /// Tells whether the configuration and the root that a server was started with are the site's; `None` where it
    /// was started without.
    fn started_with(&self, pid: u32) -> (Option<bool>, Option<bool>) {
        let line = command_line(self.files, pid);
        // A relative path is one below ServerRoot: Red Hat's instances are started with `-f conf/NAME.conf`.
        let is = |value: PathBuf, own: &Path| self.site.server_root.join(value) == own;
        (
            line.file.map(|file| is(file, &self.site.main_file())),
            line.server_root.map(|root| is(root, &self.site.server_root)),
        )
    }
}

/// Returns the process id in a `PidFile`: its first line's number.
fn pid(text: &[u8]) -> Option<u32> {
    let pid = parse::number(parse::lines(text).next()?)?;
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

/// Returns the MPM whose module a process has mapped, or after which its binary is named.
fn mapped_mpm(files: &dyn Files, pid: u32) -> Option<Mpm> {
    let maps = files.read(&of(pid, "maps")).unwrap_or_default();
    // Of hundreds of maps one is the module's.
    let mapped = memchr::memmem::find_iter(&maps, b"/mod_mpm_").find_map(|at| {
        let name = parse::lines(&maps[at + b"/mod_mpm_".len()..]).next()?;
        // An upgraded package unlinks the old module under the running server.
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name).strip_suffix(b".so")?;
        Mpm::of_name(std::str::from_utf8(name).ok()?)
    });
    mapped.or_else(|| {
        let exe = files.read_link(&of(pid, "exe")).ok()?;
        Mpm::of_name(exe.file_name()?.to_str()?.rsplit_once('-')?.1)
    })
}

/// Returns the bytes of each shared memory that a process has mapped, whatever its name.
pub fn shared(files: &dyn Files, pid: u32) -> Vec<u64> {
    let maps = files.read(&of(pid, "maps")).unwrap_or_default();
    let size = |line: &[u8]| {
        // The range has 17 to 33 letters; the line of a library may have hundreds.
        memchr::memmem::find(&line[..line.len().min(40)], b" rw-s ")?;
        let mut fields = parse::words(line);
        let range = std::str::from_utf8(fields.next()?).ok()?;
        if fields.next()? != b"rw-s" {
            return None;
        }
        let (start, end) = range.split_once('-')?;
        u64::from_str_radix(end, 16).ok()?.checked_sub(u64::from_str_radix(start, 16).ok()?)
    };
    parse::lines(&maps).filter_map(size).collect()
}

/// Returns what tells a process from every other one.
fn identity(files: &dyn Files, pid: u32) -> Option<Identity> {
    let boot = files.read(Path::new("/proc/sys/kernel/random/boot_id")).ok()?;
    let boot = std::str::from_utf8(&boot).ok()?.trim().to_owned();
    Some(Identity { boot, pid, ticks: stat(files, pid)?.started })
}

/// Returns the niceness of a process, -20 to 19.
pub fn nice(files: &dyn Files, pid: u32) -> Option<i32> {
    let text = files.read(&of(pid, "stat")).ok()?;
    // Counted behind the name, which may hold anything: the state is the first field there.
    let after = text.get(text.iter().rposition(|byte| *byte == b')')? + 1..)?;
    std::str::from_utf8(parse::words(after).nth(16)?).ok()?.parse().ok()
}

/// Tells whether a process runs whose command line begins with these words, behind an interpreter perhaps.
pub fn is_running_command(files: &dyn Files, words: &[&[u8]]) -> bool {
    pids(files).any(|pid| {
        let line = files.read(&of(pid, "cmdline")).unwrap_or_default();
        let line: Vec<&[u8]> = line.split(|byte| *byte == 0).take(words.len() + 2).collect();
        line.windows(words.len()).any(|part| part == words)
    })
}

/// Returns the serving children of a parent: processes that run the same program. Helpers such as `rotatelogs`
/// are not among them, nor, under a threaded MPM, `mod_cgid`'s daemon, which has a single thread.
pub fn children(files: &dyn Files, running: &Running) -> Vec<u32> {
    let program = files.read_link(&of(running.parent, "exe")).ok();
    pids(files)
        .filter(|pid| {
            stat(files, *pid).is_some_and(|stat| {
                stat.parent == running.parent && (stat.threads > 1 || !running.mpm.is_some_and(Mpm::threaded))
            }) && files.read_link(&of(*pid, "exe")).ok() == program
        })
        .collect()
}

/// Returns the serving children of a server, and what it takes in memory by the proportional shares of all its processes;
/// no memory where the kernel does not let this process see it.
pub fn held(files: &dyn Files, running: &Running) -> (u64, Option<Bytes>) {
    let children = children(files, running);
    let all = std::iter::once(&running.parent).chain(&children);
    let share = |pid: &u32| Some(parse::rollup(&files.read(&of(*pid, "smaps_rollup")).ok()?)?.pss);
    // A process that ended meanwhile holds nothing.
    let shares: Vec<u64> = all.filter_map(share).collect();
    let sum = shares.iter().fold(0, |sum: u64, share| sum.saturating_add(*share));
    (children.len() as u64, (!shares.is_empty()).then_some(Bytes(sum)))
}

/// Returns what the running server and the rest of the host hold in memory; `None` where the kernel does not
/// let this process see it (another user's processes) or the server has no children.
///
/// `threads_per_child` is the configured number of workers a process; left out, it is taken from the threads
/// seen, less the listener and the main thread.
///
/// # The model
/// What all processes share (code, the configuration read before the fork, the scoreboard) is paid once: it is
/// the sum of all proportional shares less the children's private pages. Each further process costs the private
/// pages that belong to it as a whole. The rest of its private pages lie in the thread areas: the workers' stacks,
/// and the arenas from which every connection has its pool, also one that waits without a worker. A worker and a
/// connection are counted alike; with static files and event both take 35 to 40 KiB on 64-bit Linux. Under prefork
/// a process is a worker with its connection, so all its private pages are the worker's.
///
/// A server measured at rest tells less than it will need: workers that never served have hardly touched their
/// stacks.
pub fn measure(files: &dyn Files, running: &Running, threads_per_child: Option<u64>) -> Option<Measured> {
    let held = |pid: u32| parse::rollup(&files.read(&of(pid, "smaps_rollup")).ok()?);
    let parent = held(running.parent)?;
    let children: Vec<(u32, Held)> =
        children(files, running).into_iter().filter_map(|pid| Some((pid, held(pid)?))).collect();
    let count = u64::try_from(children.len()).ok().filter(|count| *count > 0)?;
    let sum =
        |part: fn(&Held) -> u64| children.iter().map(|(_, held)| part(held)).fold(0, u64::saturating_add);
    let (pss, private) = (sum(|held| held.pss), sum(|held| held.private));
    let (largest, most) = children.iter().copied().max_by_key(|(pid, held)| (held.private, *pid))?;

    let threaded = running.mpm.is_some_and(Mpm::threaded);
    let workers_each = if threaded {
        threads_per_child.or_else(|| Some(stat(files, largest)?.threads.saturating_sub(2)))?.max(1)
    } else {
        1
    };
    let of_threads = if threaded {
        thread_private(&files.read(&of(largest, "smaps")).ok()?).min(most.private)
    } else {
        most.private
    };
    // The largest child tells the proportion; the average child tells the amount.
    let each = private / count;
    let of_threads = scale(each, of_threads, most.private);
    let workers = count.saturating_mul(workers_each);
    let connections = connections(files, running.parent, &children);
    let sharing = if threaded { workers.saturating_add(connections) } else { workers };
    let unit = of_threads.saturating_mul(count) / sharing.max(1);
    let others = others(files, running.parent, &children);
    let served = served(files, running.parent, &children);
    Some(Measured {
        parent: Bytes(parent.pss),
        processes: count,
        workers,
        connections,
        rss: Bytes(sum(|held| held.rss).saturating_add(parent.rss)),
        pss: Bytes(pss.saturating_add(parent.pss)),
        private: Bytes(private.saturating_add(parent.private)),
        shared: Bytes(pss.saturating_add(parent.pss).saturating_sub(private)),
        per_process: Bytes(each - of_threads),
        per_worker: Bytes(unit),
        per_connection: Bytes(if threaded { unit } else { 0 }),
        served,
        others,
    })
}

/// Returns what a server has done since it started, as the kernel counts it.
fn served(files: &dyn Files, parent: u32, children: &[(u32, Held)]) -> Served {
    let stats: Vec<Stat> = children.iter().filter_map(|(pid, _)| stat(files, *pid)).collect();
    let of_parent = stat(files, parent);
    let ticks = stats.iter().map(|stat| stat.ticks).fold(0, u64::saturating_add);
    let ended = of_parent.as_ref().map_or(0, |stat| stat.ticks_of_children);
    let peak = |pid: u32, held: &Held| {
        let fields = files.read(&of(pid, "status")).unwrap_or_default();
        parse::kib_field(&fields, "VmHWM").unwrap_or(0).saturating_sub(held.rss)
    };
    let up = files.read(Path::new("/proc/uptime")).ok().and_then(|text| parse::uptime(&text));
    let since_boot = of_parent.map_or(0, |stat| stat.started / parse::TICKS);
    Served {
        seconds: up.unwrap_or(0).saturating_sub(since_boot),
        requests: None,
        milliseconds: ticks.saturating_add(ended).saturating_mul(1000 / parse::TICKS),
        peak: Bytes(children.iter().map(|(pid, held)| peak(*pid, held)).fold(0, u64::saturating_add)),
    }
}

/// Returns the sockets that the children have open beyond those they have from the parent, which listen.
fn connections(files: &dyn Files, parent: u32, children: &[(u32, Held)]) -> u64 {
    let sockets = |pid: u32| {
        let dir = of(pid, "fd");
        let names = files.list(&dir).unwrap_or_default();
        let is_socket = |name: &OsString| {
            files
                .read_link(&dir.join(name))
                .is_ok_and(|target| bytes(target.as_os_str()).starts_with(b"socket:"))
        };
        names.iter().filter(|name| is_socket(name)).count()
    };
    let listening = sockets(parent);
    let open: usize = children.iter().map(|(pid, _)| sockets(*pid).saturating_sub(listening)).sum();
    u64::try_from(open).unwrap_or(u64::MAX)
}

/// Returns `amount × part / whole`, at most `amount`.
fn scale(amount: u64, part: u64, whole: u64) -> u64 {
    if whole == 0 {
        return 0;
    }
    let scaled = u128::from(amount) * u128::from(part) / u128::from(whole);
    u64::try_from(scaled).unwrap_or(u64::MAX).min(amount)
}

/// Returns the private bytes in a process's thread areas, from `/proc/PID/smaps`: anonymous writable maps that
/// have no name, which are the threads' stacks and their allocation arenas. The main heap, the main stack and
/// the data of libraries belong to the process.
fn thread_private(smaps: &[u8]) -> u64 {
    let mut inside = false;
    let mut total: u64 = 0;
    for line in parse::lines(smaps) {
        let mut fields = parse::words(line);
        let Some(first) = fields.next() else { continue };
        if let Some(key) = first.strip_suffix(b":") {
            if inside && matches!(key, b"Private_Clean" | b"Private_Dirty") {
                let kib = fields.next().and_then(parse::number).unwrap_or(0);
                total = total.saturating_add(kib.saturating_mul(1024));
            }
        } else {
            // 7f10a0000000-7f10a0021000 rw-p 00000000 00:00 0 [heap]
            let writable = fields.next().is_some_and(|permissions| permissions.starts_with(b"rw"));
            inside = writable && fields.nth(3).is_none();
        }
    }
    total
}

/// Processes below this many resident bytes are not asked for their proportional share, which the kernel has
/// to walk page tables for.
const SMALL: u64 = 8 << 20;

/// Returns the other programs of the host that hold memory, largest first, all processes of a name together.
fn others(files: &dyn Files, parent: u32, children: &[(u32, Held)]) -> Vec<Consumer> {
    let mut by_name: BTreeMap<String, Consumer> = BTreeMap::new();
    for pid in pids(files) {
        if pid == parent || children.iter().any(|(child, _)| *child == pid) {
            continue;
        }
        let Ok(status) = files.read(&of(pid, "status")) else { continue };
        let Some(rss) = parse::kib_field(&status, "VmRSS").filter(|rss| *rss >= SMALL) else { continue };
        let Some(name) = parse::lines(&status).find_map(|line| line.strip_prefix(b"Name:")) else { continue };
        let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
        let rollup = files.read(&of(pid, "smaps_rollup")).ok();
        let bytes = rollup.and_then(|text| parse::rollup(&text)).map_or(rss, |held| held.pss);
        let entry = by_name.entry(name.clone()).or_insert(Consumer { name, processes: 0, memory: Bytes(0) });
        entry.processes += 1;
        entry.memory.0 = entry.memory.0.saturating_add(bytes);
    }
    let mut others: Vec<Consumer> = by_name.into_values().collect();
    others.sort_by(|a, b| b.memory.cmp(&a.memory).then_with(|| a.name.cmp(&b.name)));
    others
}

/// Returns a file of a process.
/// Returns the process that started another one, or that took it over when that one ended; `None` for one outside this
/// process namespace.
pub fn started_by(files: &dyn Files, pid: u32) -> Option<u32> {
    stat(files, pid).map(|stat| stat.parent).filter(|parent| *parent > 0)
}

/// Returns the name that the kernel shows for a process; `None` where it has none that can be shown.
pub fn name(files: &dyn Files, pid: u32) -> Option<String> {
    let name = String::from_utf8(files.read(&of(pid, "comm")).ok()?.to_vec()).ok()?;
    let name = name.trim_end_matches('\n');
    let is_shown = !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    is_shown.then(|| name.to_owned())
}

fn of(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn stat(files: &dyn Files, pid: u32) -> Option<Stat> {
    parse::stat(&files.read(&of(pid, "stat")).ok()?)
}

/// Returns all process ids, in the order of their text.
fn pids(files: &dyn Files) -> impl Iterator<Item = u32> {
    files
        .list(Path::new("/proc"))
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| name.to_str()?.parse().ok())
}
