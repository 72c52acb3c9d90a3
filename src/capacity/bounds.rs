//! What given sizes carry on a host, and each limit of the host beside what they need of it.

use super::burst::Shape;
use super::memory::MemoryNeed;
use super::{Http2, Server, mib, whole};
use crate::facts::{Known, Machine};
use crate::httpd::Mpm;
use crate::httpd::normalise::{self, Normal, Sizes};
use crate::report::{Bound, CapacityReport};
use crate::rules::scoreboard;
use crate::units::Bytes;

/// The memory that a scoreboard may take before it counts as a fault, in bytes and as a share of the host's.
const SCOREBOARD: (u64, u64) = (64 << 20, 20);

/// Returns what given values carry on a host, and each limit beside what they need of it.
///
/// Memory is that of all workers and of `load` connections, at least one for each worker. Event may accept far more
/// while its workers are idle; what those would take is not counted.
///
/// `burst` of the answer is for that load, on the processes that are kept without it; `None` where there is none.
/// `connections` of the answer is the most the server can hold, with all its processes running and their workers idle; see
/// [`held_idle`] for what is held without any load that starts them.
pub fn assess(
    server: &Server,
    normal: &Normal,
    load: Option<u64>,
    host: &Machine,
    memory: &MemoryNeed,
) -> CapacityReport {
    let sizes = &normal.sizes;
    let backlog = normal.used.get("ListenBacklog").and_then(|text| text.parse().ok());
    let workers = whole(sizes.workers);
    let processes = whole(sizes.processes);
    let most = workers.saturating_mul(1 + whole(sizes.factor));
    let held = load.unwrap_or(0).clamp(workers, most);
    let bounds = bounds(server, sizes, held, backlog, host, memory);
    CapacityReport {
        connections: Some(most),
        burst: load.map(|load| burst(server.mpm, sizes, load)),
        workers: Some(workers),
        processes: Some(processes),
        memory_mb: memory.total(processes, workers, held).map(mib),
        binding: tightest(&bounds).map(|bound| bound.name.clone()),
        bounds,
    }
}

/// Returns how many requests at one moment the sizes answer while they hold a load.
fn burst(mpm: Mpm, sizes: &Sizes, load: u64) -> u64 {
    // Event closes idle connections at once; the processes that it would still start come too late.
    let processes = if mpm == Mpm::Event { held_idle(sizes).1 } else { whole(sizes.processes) };
    Shape { processes, threads: whole(sizes.threads), factor: whole(sizes.factor) }.survives(mpm, load)
}

/// Returns how many connections are held while none of them is served, and by how many processes: httpd keeps
/// processes for their idle workers alone, between the least and the most spare.
pub fn held_idle(sizes: &Sizes) -> (u64, u64) {
    let threads = whole(sizes.threads).max(1);
    let most = (whole(sizes.max_spare) / threads).max(1);
    let least = whole(sizes.min_spare).div_ceil(threads);
    let processes = whole(sizes.started).clamp(least.min(most), most).min(whole(sizes.processes));
    (processes.saturating_mul(threads).saturating_mul(1 + whole(sizes.factor)), processes)
}

/// Returns the bounds that the settings go beyond: each keeps the server from working at full load. A backlog that
/// the kernel shortens and a scoreboard that is larger than it should be do not, and are not among them.
pub fn exceeded(report: &CapacityReport) -> impl Iterator<Item = &Bound> {
    let advice = ["somaxconn", "scoreboard"];
    report
        .bounds
        .iter()
        .filter(move |bound| bound.needs > bound.limit && !advice.contains(&bound.name.as_str()))
}

/// A limit of the host, and what sizes need of it.
struct Limit<'a> {
    name: &'static str,
    most: u64,
    needs: u64,
    /// Where it was read; `None` is httpd's own.
    source: Option<&'a str>,
}

/// Returns each limit that is known, in table order; what is not limited is not listed.
fn limits<'a>(
    server: &Server,
    sizes: &Sizes,
    held: u64,
    backlog: Option<u64>,
    host: &'a Machine,
    memory: &MemoryNeed,
) -> impl Iterator<Item = Limit<'a>> {
    let (processes, workers, threads) = (whole(sizes.processes), whole(sizes.workers), whole(sizes.threads));
    let tasks = tasks(server, processes, threads);
    let known = |name, limit: &'a Option<Known<u64>>, needs| {
        let limit = limit.as_ref().filter(|limit| limit.value != u64::MAX)?;
        Some(Limit { name, most: limit.value, needs, source: Some(limit.source.as_str()) })
    };
    let of_memory = memory.total(processes, workers, held).zip(host.memory.as_ref()).map(|(total, there)| {
        let (most, source) = (there.value.0 / Bytes::MIB, Some(there.source.as_str()));
        Limit { name: "memory", most, needs: mib(total), source }
    });
    let room = slots(server, whole(sizes.thread_limit), host);
    [
        of_memory,
        known("open_files", &host.open_files, files(server, threads, whole(sizes.factor))),
        known("tasks", &host.tasks_max, tasks),
        known("threads_max", &host.threads_max, tasks),
        known("pid_max", &host.pid_max, tasks),
        backlog.and_then(|backlog| known("somaxconn", &host.somaxconn, backlog)),
        Some(Limit { name: "scoreboard", most: room, needs: whole(sizes.server_limit), source: None }),
    ]
    .into_iter()
    .flatten()
}

/// Returns each limit that is known beside what the sizes need of it; what is not limited is not listed.
pub(super) fn bounds(
    server: &Server,
    sizes: &Sizes,
    held: u64,
    backlog: Option<u64>,
    host: &Machine,
    memory: &MemoryNeed,
) -> Vec<Bound> {
    let bound = |one: Limit<'_>| Bound {
        name: one.name.to_owned(),
        limit: one.most,
        needs: one.needs,
        source: one.source.map_or_else(|| slots_source(server), str::to_owned),
    };
    limits(server, sizes, held, backlog, host, memory).map(bound).collect()
}

/// Tells whether sizes that hold so many connections stay within every limit.
pub(super) fn fit(server: &Server, sizes: &Sizes, held: u64, host: &Machine, memory: &MemoryNeed) -> bool {
    limits(server, sizes, held, None, host, memory).all(|one| one.needs <= one.most)
}

/// Returns the bound with the greatest share in use. The backlog binds only where it is cut, and after all others:
/// it limits how many may wait at once, not how many are held.
pub(super) fn tightest(bounds: &[Bound]) -> Option<&Bound> {
    let hard = |bound: &&Bound| bound.name != "somaxconn";
    let fuller = |one: &&Bound, other: &&Bound| {
        let share = |a: &Bound, b: &Bound| u128::from(a.needs) * u128::from(b.limit);
        // Of equals the first in table order is taken, which `max_by` would not do.
        share(one, other).cmp(&share(other, one)).then(std::cmp::Ordering::Greater)
    };
    let tightest = bounds.iter().filter(hard).max_by(fuller);
    let cut = bounds.iter().find(|bound| !hard(bound) && bound.needs > bound.limit);
    match (tightest, cut) {
        (Some(bound), _) if bound.needs > bound.limit => Some(bound),
        (bound, cut) => cut.or(bound),
    }
}

/// Returns the descriptors one process needs at full load: its own, a connection for each worker and each waiting
/// one, and a file or backend for each worker.
///
/// Source: counted in `/proc/PID/fd` of idle and busy children of httpd 2.4.71: 9 (prefork 7) with one listening
/// address and one log, and one more for each connection.
pub(super) fn files(server: &Server, threads: u64, factor: u64) -> u64 {
    let own = if server.mpm.threaded() { 9 } else { 7 };
    threads.saturating_mul(2 + factor).saturating_add(own + server.extra_files)
}

/// Returns the tasks of the whole service: the parent and, for each process, its workers, its listener and its
/// main thread. After a reload the processes that finish their requests come on top for that while.
pub(super) fn tasks(server: &Server, processes: u64, threads: u64) -> u64 {
    let each = match (server.mpm, server.http2) {
        // Unsupported there, mod_http2 still starts the workers of each process: two threads, counted in /proc.
        (Mpm::Prefork, Http2::Off) => 1,
        (Mpm::Prefork, Http2::AsWorkers) => 2,
        (Mpm::Prefork, Http2::Workers(more)) => more.saturating_add(1),
        (_, Http2::Off) => threads.saturating_add(2),
        (_, Http2::AsWorkers) => threads.saturating_mul(2).saturating_add(2),
        (_, Http2::Workers(more)) => threads.saturating_add(2).saturating_add(more),
    };
    processes.saturating_mul(each).saturating_add(1)
}

/// Returns the process slots that a scoreboard may have: httpd's own ceiling, or what keeps it below 64 MiB and a
/// twentieth of the memory.
pub(super) fn slots(server: &Server, thread_limit: u64, host: &Machine) -> u64 {
    let threads = if server.mpm.threaded() { thread_limit } else { 1 };
    let (most, share) = SCOREBOARD;
    let budget = host.memory.as_ref().map_or(most, |known| most.min(known.value.0 / share));
    let one = scoreboard(1, threads);
    let fixed = scoreboard(0, threads);
    let ceiling = u64::from(normalise::compiled(server.mpm).server_limit_max.unsigned_abs());
    (budget.saturating_sub(fixed) / (one - fixed).max(1)).min(ceiling)
}

pub(super) fn slots_source(server: &Server) -> String {
    format!(
        "ServerLimit of {} at most {}, its scoreboard at most 64 MiB and 5 % of the memory",
        server.mpm,
        normalise::compiled(server.mpm).server_limit_max
    )
}
