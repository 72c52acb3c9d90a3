//! The search for sizes: which of those that fit the host carry a load and its burst with the fewest workers.

use super::bounds::{files, fit, slots};
use super::burst::{self, Shape};
use super::memory::MemoryNeed;
use super::{Demand, Server};
use crate::facts::Machine;
use crate::httpd::normalise::Sizes;
use crate::httpd::{Mpm, Version, core_directives};

/// The smallest number of workers proposed: with a single one, "fewer idle than workers" cannot be met.
pub(super) const FEWEST: u64 = 2;

/// The connections that are counted as served at one moment by default: one in so many.
const ACTIVE_SHARE: u64 = 16;

/// Where no number is given, up to so many connections are all counted as served at one moment.
pub(super) const ACTIVE_LEAST: u64 = 100;

/// The factor up to which sizes are preferred, and the highest that is proposed at all.
const FACTORS: [u64; 2] = [128, 1000];

/// The parts of a burst that are tried where the whole does not fit.
const PARTS: u64 = 16;

/// What a process costs, in workers, where neither was said nor measured: an idle one takes 1 to 2 MiB, an idle worker
/// some 40 KiB.
const PROCESS_AS_WORKERS: u64 = 32;

/// The fewest threads a process that are preferred, and the most: httpd's default of `ThreadLimit`.
const LEAST_THREADS: u64 = 16;
const USUAL_THREADS: u64 = 64;

/// The most threads a process that are ever proposed.
pub(super) const MOST_THREADS: u64 = 200;

/// Sizes on the way to a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) processes: u64,
    pub(super) threads: u64,
    /// `AsyncRequestWorkerFactor`; 0 except under event.
    pub(super) factor: u64,
    /// The connections that it is for.
    pub(super) connections: u64,
    /// The burst that it is for; 0 where it is for the connections alone.
    pub(super) burst: u64,
    /// Whether the connections are more than the workers, so that the factor carries the rest.
    pub(super) leaning: bool,
}

impl Draft {
    pub(super) const fn workers(&self) -> u64 {
        self.processes.saturating_mul(self.threads)
    }

    /// Returns the connections whose memory is counted: those asked for, and at least one for each worker.
    pub(super) fn held(&self) -> u64 {
        self.connections.max(self.workers())
    }

    pub(super) fn thread_limit(&self) -> u64 {
        let usual = core_directives::default_number("ThreadLimit", Mpm::Event);
        if self.threads > usual { self.threads } else { usual }
    }

    pub(super) const fn shape(&self) -> Shape {
        Shape { processes: self.processes, threads: self.threads, factor: self.factor }
    }
}
/// A question under work.
pub(super) struct Ask<'a> {
    pub(super) demand: Demand,
    pub(super) server: Server,
    pub(super) host: &'a Machine,
    pub(super) memory: &'a MemoryNeed,
}

impl<'a> Ask<'a> {
    pub(super) fn new(demand: Demand, server: Server, host: &'a Machine, memory: &'a MemoryNeed) -> Self {
        let connections = demand.connections.max(1);
        Self { demand: Demand { connections, ..demand }, server, host, memory }
    }

    /// Returns how many of `connections` are served at one moment. Never less for more connections.
    pub(super) fn active(&self, connections: u64) -> u64 {
        if self.server.mpm != Mpm::Event {
            return connections;
        }
        let usual = connections.div_ceil(ACTIVE_SHARE).max(ACTIVE_LEAST);
        self.demand.active.unwrap_or(usual).clamp(1, connections)
    }

    /// Returns the burst that is to be carried: as requested, else what is counted by default.
    pub(super) fn burst(&self) -> u64 {
        let connections = self.demand.connections;
        let quarter = connections.div_ceil(4);
        let usual = match self.demand.active {
            _ if self.server.mpm != Mpm::Event => quarter,
            Some(_) => self.active(connections).saturating_mul(2).max(quarter),
            // What is only assumed to be served at one moment is not doubled beyond what is there.
            None => self.active(connections).saturating_mul(2).min(connections).max(quarter),
        };
        self.demand.burst.unwrap_or(usual)
    }

    /// Returns the preferred sizes for the load and as much of its burst as fits, in sixteenths; `None` where not even
    /// the connections alone fit.
    pub(super) fn best(&self) -> Option<Draft> {
        let (connections, wanted) = (self.demand.connections, self.burst());
        let part = |part: u128| u64::try_from(u128::from(wanted) * part / u128::from(PARTS));
        let mut parts: Vec<u64> = (1..=PARTS).filter_map(|one| part(one.into()).ok()).collect();
        if self.server.mpm == Mpm::Event && self.active(connections) < wanted {
            parts.push(self.active(connections));
        }
        parts.sort_unstable_by(|one, other| other.cmp(one));
        parts.dedup();
        parts
            .into_iter()
            .find_map(|burst| self.draft(connections, burst))
            .or_else(|| self.draft(connections, 0))
    }

    /// Returns the sizes for so many connections and a burst, the preferred ones of those that fit.
    pub(super) fn draft(&self, connections: u64, burst: u64) -> Option<Draft> {
        let all = connections.saturating_add(burst).max(FEWEST);
        let of =
            |processes, threads| Draft { processes, threads, factor: 0, connections, burst, leaning: false };
        match self.server.mpm {
            Mpm::Prefork => Some(of(all, 1)).filter(|draft| self.fits(draft)),
            Mpm::Worker => preferred_threads(all)
                .map(|threads| of(all.div_ceil(threads), threads))
                .find(|draft| self.fits(draft)),
            Mpm::Event if burst == 0 => self.event_draft(connections),
            Mpm::Event => self.event_for_burst(connections, burst),
        }
    }

    /// Of the sizes under event that carry a burst and fit, takes those with the fewest workers: first of those that
    /// carry it whatever the split over the processes, then of those that do while no process has more than twice its
    /// even share.
    fn event_for_burst(&self, connections: u64, burst: u64) -> Option<Draft> {
        let few = (connections < LEAST_THREADS).then_some(connections.max(FEWEST));
        let usual = few.into_iter().chain(LEAST_THREADS..=USUAL_THREADS).collect();
        let ranges: [Vec<u64>; 3] = [usual, vec![72, 80, 96, 112, 128, 160, MOST_THREADS], vec![12, 8, 4, 2]];
        [self.several(connections), 1].into_iter().find_map(|several| {
            ranges.iter().find_map(|threads| self.event_of(connections, burst, threads, several))
        })
    }

    /// Returns the preferred sizes of [`Ask::event_for_burst`] with so many threads a process and at least `several`
    /// processes.
    fn event_of(&self, connections: u64, burst: u64, threads: &[u64], several: u64) -> Option<Draft> {
        let at_ceiling = |threads| {
            let most = burst::highest_factor(threads, connections, burst.min(connections));
            self.event_shape(connections, burst, (threads, most, several))
        };
        let at_twice = |threads| {
            let least = burst::fewest_processes(threads, burst.min(connections)).max(several);
            self.event_shape(connections, burst, (threads, FACTORS[0], least))
        };
        self.first_that_fits(threads.iter().copied().filter_map(at_ceiling).collect())
            .or_else(|| self.first_that_fits(threads.iter().copied().filter_map(at_twice).collect()))
    }

    /// Returns the fewest processes of so many threads that take a burst of new connections beside those they hold,
    /// with a factor that is as low as that allows and at most `most`.
    fn event_shape(
        &self,
        connections: u64,
        burst: u64,
        (threads, most, least): (u64, u64, u64),
    ) -> Option<Draft> {
        let most = most.min(FACTORS[0]).min(self.most_factor(threads)?);
        let of = |processes: u64| {
            let workers = processes.checked_mul(threads)?;
            let room = workers.checked_sub(burst)?.checked_sub(processes).filter(|room| *room > 0)?;
            let factor = connections.div_ceil(room).saturating_sub(1).max(1);
            let factor = factor.max(self.factor_for(connections, processes, threads)?);
            let leaning = workers < connections;
            Some(Draft { processes, threads, factor, connections, burst, leaning })
                .filter(|draft| factor <= most && draft.shape().on_new(connections) >= burst)
        };
        let enough = connections.saturating_add(burst).div_ceil(threads.saturating_sub(1).max(1)) + 1;
        let (mut low, mut high) = (least, enough.max(least));
        while low < high {
            let middle = low.midpoint(high);
            if of(middle).is_some() { high = middle } else { low = middle + 1 }
        }
        of(low)
    }

    /// Returns the fewest processes that let several processors accept, and lose less when one of them ends.
    fn several(&self, connections: u64) -> u64 {
        self.cpus().clamp(1, 4).min(self.active(connections).div_ceil(LEAST_THREADS))
    }

    /// Returns the cheapest of the drafts that fit: the least memory, then the fewest workers.
    fn first_that_fits(&self, mut drafts: Vec<Draft>) -> Option<Draft> {
        let cost = |draft: &Draft| {
            let (processes, workers) = (draft.processes, draft.workers());
            let usual = || u128::from(workers) + u128::from(PROCESS_AS_WORKERS) * u128::from(processes);
            let memory = self.memory.server.as_ref().map(|need| need.total(processes, workers, draft.held()));
            (memory.unwrap_or_else(usual), workers, processes)
        };
        drafts.sort_by_key(cost);
        drafts.into_iter().find(|draft| self.fits(draft))
    }

    /// Of the preferred sizes that fit, takes those with the fewest workers; of those the fewest processes.
    fn event_draft(&self, connections: u64) -> Option<Draft> {
        let several = self.several(connections);
        let few = (connections < LEAST_THREADS).then_some(connections.max(FEWEST));
        let usual = || few.into_iter().chain(LEAST_THREADS..=MOST_THREADS);
        let with = |threads, factor, least| self.event_with(connections, threads, factor, least);
        self.first_that_fits(usual().filter_map(|threads| with(threads, FACTORS[0], several)).collect())
            .or_else(|| {
                self.first_that_fits(usual().filter_map(|threads| with(threads, FACTORS[0], 1)).collect())
            })
            .or_else(|| {
                self.first_that_fits(
                    (2..=MOST_THREADS).filter_map(|threads| with(threads, FACTORS[1], 1)).collect(),
                )
            })
    }

    /// Returns the fewest processes of so many threads that hold the connections with at most this factor. More
    /// processes need more of everything else, so if the fewest do not fit none do.
    fn event_with(&self, connections: u64, threads: u64, most: u64, least: u64) -> Option<Draft> {
        let most = most.min(self.most_factor(threads)?);
        let enough = |processes: u64| {
            self.factor_for(connections, processes, threads).filter(|factor| *factor <= most)
        };
        let (mut low, mut high) = (1, connections.max(FEWEST).div_ceil(threads));
        while low < high {
            let middle = low.midpoint(high);
            if enough(middle).is_some() { high = middle } else { low = middle + 1 }
        }
        let processes = low.max(least);
        let needed = enough(processes)?;
        let leaning = processes.saturating_mul(threads) < connections;
        // httpd's default costs nothing where it is more than needed.
        let factor =
            needed.max(core_directives::default_number("AsyncRequestWorkerFactor", Mpm::Event).min(most));
        Some(Draft { processes, threads, factor, connections, burst: 0, leaning })
    }

    /// Returns the least factor with which so many processes hold the connections, all processes having stopped
    /// listening once; `None` where they do not with any.
    fn factor_for(&self, connections: u64, processes: u64, threads: u64) -> Option<u64> {
        let workers = processes.checked_mul(threads)?;
        if workers >= connections.max(FEWEST) {
            return Some(1);
        }
        let active = self.active(connections);
        // Requests do not spread evenly, and a process without an idle worker closes all its idle connections: each
        // keeps room for one and a half deviations above its even share.
        let uneven = active.div_ceil(processes)
            + active.saturating_mul(9).div_ceil(processes.saturating_mul(4)).isqrt();
        if threads < uneven {
            return None;
        }
        let idle = workers.checked_sub(active).filter(|idle| *idle > processes)?;
        Some((connections - workers).div_ceil(idle - processes))
    }

    /// Returns the highest factor with which a process's connections and files stay below the open files it may
    /// have; `None` where not even 1 does.
    fn most_factor(&self, threads: u64) -> Option<u64> {
        let Some(limit) = &self.host.open_files else { return Some(u64::MAX) };
        let fixed = files(&self.server, threads, 0);
        let factor = limit.value.checked_sub(fixed)? / threads;
        (factor > 0).then_some(factor)
    }

    fn cpus(&self) -> u64 {
        let online = self.host.cpus.as_ref().map_or(2, |known| known.value);
        let quota = self.host.cpu_quota.as_ref().map_or(u64::MAX, |known| known.value.div_ceil(1000));
        online.min(quota).max(1)
    }

    pub(super) fn fits(&self, draft: &Draft) -> bool {
        let sizes = self.sizes(draft);
        let room = slots(&self.server, draft.thread_limit(), self.host);
        sizes.is_some_and(|sizes| fit(&self.server, &sizes, draft.held(), self.host, self.memory))
            && self.server_limit(draft, room).is_some()
    }

    /// Returns `ServerLimit`: under event room for processes that finish their last requests, where slots allow.
    pub(super) fn server_limit(&self, draft: &Draft, room: u64) -> Option<u64> {
        if draft.processes > room {
            return None;
        }
        if self.server.mpm != Mpm::Event || self.server.version < SLACK_SINCE {
            return Some(draft.processes);
        }
        Some(draft.processes.saturating_mul(2).min(room)).filter(|limit| *limit > draft.processes)
    }

    pub(super) fn sizes(&self, draft: &Draft) -> Option<Sizes> {
        let int = |value: u64| i64::try_from(value).ok();
        Some(Sizes {
            processes: int(draft.processes)?,
            server_limit: int(draft.processes)?,
            thread_limit: int(if self.server.mpm.threaded() { draft.thread_limit() } else { 1 })?,
            threads: int(draft.threads)?,
            workers: int(draft.workers())?,
            factor: int(draft.factor)?,
            ..Sizes::default()
        })
    }
}

/// Since this version event counts serving processes alone against `MaxRequestWorkers`, and slots beyond let new
/// ones start while old ones finish.
const SLACK_SINCE: Version = Version::v24(25);

/// Returns the threads a process, best first: near httpd's 25 with the fewest workers too many, then more, then
/// fewer. Every number is in the list for every load, so that a smaller load can use whatever a larger one can.
fn preferred_threads(connections: u64) -> impl Iterator<Item = u64> {
    let connections = connections.max(FEWEST);
    let mut near: Vec<u64> = (20..=32).collect();
    near.sort_by_key(|threads| (connections.next_multiple_of(*threads), threads.abs_diff(25)));
    let one = (connections < 20).then_some(connections);
    one.into_iter().chain(near).chain(33..=MOST_THREADS).chain((2..20).rev())
}
