//! From a load to sizes, and from sizes to what they can carry on a host.
//!
//! [`size`] answers "4000 connections" with every number of the MPM and its reason, or says which limit of the
//! host stands in the way and how much would fit. [`assess`] goes the other way: what given sizes hold, and each
//! limit of the host beside what they need of it. Both count with the same formulas, so a proposal always passes
//! its own assessment.
//!
//! # What an event process accepts
//! A process takes a new connection while it has an idle worker and holds fewer than
//! `ThreadsPerChild + idle × AsyncRequestWorkerFactor`; once it stopped listening it opens again one factor lower.
//! Over all processes, with A workers busy and every process having stopped once, that is
//! `W + (W - A - P) × F` connections for W workers in P processes. Processes are started for missing idle
//! *workers*, never for many connections, so a server with few busy workers would run few processes and refuse
//! connections: a proposal that counts on the factor therefore starts all processes and keeps them.
//!
//! Source: `connections_above_limit` and `perform_idle_server_maintenance` in `server/mpm/event/event.c` of httpd 2.4.

mod text;

use serde::Serialize;

pub use text::{capacity_text, choices_text, refusal_text, text};

use crate::facts::{Known, Machine, Measured};
use crate::httpd::core_directives;
use crate::httpd::normalise::{self, Normal, Sizes, Written};
use crate::httpd::read::{Configuration, Scope};
use crate::httpd::{Mpm, Version};
use crate::params;
use crate::report::{Bound, CapacityReport, ParameterError};
use crate::rules::scoreboard;
use crate::units::Bytes;

/// A load: connections held at once, and how many of them are served at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Connections, from 1.
    pub connections: u64,
    /// How many of them are served at one moment; event only. `None` counts one in sixteen, and at least 100
    /// (or all, where there are fewer).
    pub active: Option<u64>,
}

/// What of the server, besides its sizes, decides what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// The MPM.
    pub mpm: Mpm,
    /// httpd's version.
    pub version: Version,
    /// Descriptors each process has open beyond those of one listening address and one log.
    pub extra_files: u64,
    /// Threads that `mod_http2` adds to each process.
    pub http2: Http2,
}

impl Server {
    /// Returns a server with one listening address, one log and no HTTP/2.
    pub const fn new(mpm: Mpm, version: Version) -> Self {
        Self { mpm, version, extra_files: 0, http2: Http2::Off }
    }

    /// Returns the server of a configuration: each listening address and each log counts, and HTTP/2 where its module
    /// is loaded.
    pub fn of(mpm: Mpm, version: Version, configuration: &Configuration) -> Self {
        let mut server = Self::new(mpm, version);
        let addresses = configuration.listen.len().saturating_sub(1) as u64;
        server.extra_files = addresses.saturating_add(configuration.logs);
        if configuration.modules.iter().any(|module| module.identifier == "http2_module") {
            let set = configuration
                .lines
                .iter()
                .rev()
                .find(|line| line.directive == "H2MinWorkers" && line.scope == Scope::Main);
            let workers = set.and_then(|line| line.words.first()?.parse().ok());
            server.http2 = workers.map_or(Http2::AsWorkers, Http2::Workers);
        }
        server
    }
}

/// Threads that `mod_http2` adds to each process of a threaded MPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2 {
    /// The module is not loaded.
    Off,
    /// Loaded, `H2MinWorkers` not set: as many as `ThreadsPerChild`.
    AsWorkers,
    /// Loaded, with this `H2MinWorkers`.
    Workers(u64),
}

/// Memory to count with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// What the server needs; `None` where nobody said and nothing was measured: then memory refuses nothing.
    pub server: Option<ServerNeed>,
    /// What everything else on the host needs.
    pub reserve: Bytes,
    /// Why the need is not known although it was asked for.
    pub missing: Option<String>,
}

/// What the server needs for its processes and workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerNeed {
    /// For each worker.
    pub per_worker: Bytes,
    /// For each connection beside that.
    pub per_connection: Bytes,
    /// For each process, without its workers.
    pub per_process: Bytes,
    /// Once, however many processes there are.
    pub once: Bytes,
    /// Where that comes from: `memory.per_worker`, or the processes measured.
    pub source: String,
}

impl ServerNeed {
    fn total(&self, processes: u64, workers: u64, connections: u64) -> u128 {
        u128::from(self.per_worker.0) * u128::from(workers)
            + u128::from(self.per_connection.0) * u128::from(connections)
            + u128::from(self.per_process.0) * u128::from(processes)
            + u128::from(self.once.0)
    }
}

impl MemoryNeed {
    /// Returns what the `memory` parameter and a measurement say together.
    ///
    /// `per_worker` counts for each worker and for nothing else; what the parent and the rest of the host take
    /// belongs in `reserve`. With `per_worker: measured` the running server's own division counts, and without a
    /// `reserve` the other programs seen are counted as used.
    ///
    /// # Errors
    /// Each text that is no amount of memory, by its path.
    pub fn new(
        asked: Option<&params::Memory>,
        measured: Option<&Measured>,
    ) -> Result<Self, Vec<ParameterError>> {
        let mut errors = Vec::new();
        let mut amount = |text: &Option<String>, key: &str, also: &str| {
            let text = text.as_deref()?;
            let bytes = Bytes::parse(text).filter(|bytes| bytes.0 > 0 || key == "reserve");
            if bytes.is_none() {
                errors.push(ParameterError {
                    path: format!("memory.{key}"),
                    message: format!("{text:?} is no amount of memory; write a number and a unit, such as 10M or 1.5G{also}"),
                });
            }
            bytes
        };
        let Some(asked) = asked else { return Ok(Self::default()) };
        let reserve = amount(&asked.reserve, "reserve", "");
        let from_server = asked.per_worker.as_deref() == Some("measured");
        let per_worker =
            if from_server { None } else { amount(&asked.per_worker, "per_worker", ", or \"measured\"") };
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut need = Self { reserve: reserve.unwrap_or_default(), ..Self::default() };
        if let Some(per_worker) = per_worker {
            let source = "memory.per_worker".to_owned();
            need.server = Some(ServerNeed {
                per_worker,
                per_connection: Bytes(0),
                per_process: Bytes(0),
                once: Bytes(0),
                source,
            });
        } else if let Some(measured) = measured.filter(|_| from_server) {
            let others = measured.others.iter().map(|one| one.memory.0).fold(0, u64::saturating_add);
            need.reserve = reserve.unwrap_or(Bytes(others));
            need.server = Some(ServerNeed {
                per_worker: measured.per_worker,
                per_connection: measured.per_connection,
                per_process: measured.per_process,
                once: measured.shared,
                source: format!("measured in {} running processes", measured.processes),
            });
        } else if from_server {
            need.missing = Some("no server runs whose memory could be measured".to_owned());
        }
        Ok(need)
    }

    /// Returns the memory at full load, in bytes, everything else included; `None` where the need is not known.
    fn total(&self, processes: u64, workers: u64, connections: u64) -> Option<u128> {
        Some(self.server.as_ref()?.total(processes, workers, connections) + u128::from(self.reserve.0))
    }
}

/// Returns the most that each of `workers` workers may need on a host, all else being as said; `None` where the
/// memory is not known.
pub fn largest_need(workers: u64, host: &Machine, reserve: Bytes) -> Option<Bytes> {
    let memory = host.memory.as_ref()?.value.0;
    memory.saturating_sub(reserve.0).checked_div(workers).map(Bytes)
}

/// One number of a proposal. JSON: `{"directive": "ThreadsPerChild", "setting": "threads_per_child", "value": 64,
/// "why": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// The directive's name.
    pub directive: &'static str,
    /// The key in `settings`.
    pub setting: &'static str,
    /// The value.
    pub value: u64,
    /// The reason, one sentence.
    pub why: String,
}

/// Sizes for a load. JSON: `{"mpm", "connections", "active", "settings": [Choice], "capacity", "notes": []}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Proposal {
    /// The MPM they are for.
    pub mpm: Mpm,
    /// The connections asked for.
    pub connections: u64,
    /// How many of them are counted as served at one moment; all of them except under event.
    pub active: u64,
    /// The numbers, in the order in which files show them.
    pub settings: Vec<Choice>,
    /// What the host gives and the numbers need.
    pub capacity: CapacityReport,
    /// What else to know, one sentence each.
    pub notes: Vec<String>,
}

impl Proposal {
    /// Returns the value proposed for a directive.
    pub fn value(&self, directive: &str) -> Option<u64> {
        self.settings.iter().find(|choice| choice.directive == directive).map(|choice| choice.value)
    }

    /// Returns the numbers as the configuration would have them.
    pub fn written(&self) -> Written {
        self.settings.iter().map(|choice| (choice.directive, choice.value.to_string())).collect()
    }

    /// Returns the numbers by the directive's canonical name.
    pub fn numbers(&self) -> Vec<(&'static str, i64)> {
        let number = |choice: &Choice| Some((choice.directive, i64::try_from(choice.value).ok()?));
        self.settings.iter().filter_map(number).collect()
    }
}

/// Why a load does not fit a host. JSON: `{"binding", "message", "hint", "largest", "bounds"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refusal {
    /// The name of the bound that stands in the way.
    pub binding: String,
    /// What is asked, what it needs and what there is, with the numbers.
    pub message: String,
    /// What to do instead.
    pub hint: String,
    /// The most connections that fit; 0 where none do.
    pub largest: u64,
    /// Every bound, as the load would need it.
    pub bounds: Vec<Bound>,
}

/// The smallest number of workers proposed: with a single one, "fewer idle than workers" cannot be met.
const FEWEST: u64 = 2;

/// The connections that are counted as served at one moment by default: one in so many.
const ACTIVE_SHARE: u64 = 16;

/// Where no number is given, up to so many connections are all counted as served at one moment.
const ACTIVE_LEAST: u64 = 100;

/// The factor up to which sizes are preferred, and the highest that is proposed at all.
const FACTORS: [u64; 2] = [128, 1000];

/// The memory that a scoreboard may take before it counts as a fault, in bytes and as a share of the host's.
const SCOREBOARD: (u64, u64) = (64 << 20, 20);

/// The most threads a process that are ever proposed.
const MOST_THREADS: u64 = 200;

/// Sizes on the way to a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draft {
    processes: u64,
    threads: u64,
    /// `AsyncRequestWorkerFactor`; 0 except under event.
    factor: u64,
    /// The connections that it is for.
    connections: u64,
    /// Whether the connections are more than the workers, so that the factor carries the rest.
    leaning: bool,
}

impl Draft {
    const fn workers(&self) -> u64 {
        self.processes.saturating_mul(self.threads)
    }

    fn thread_limit(&self) -> u64 {
        let usual = core_directives::default_number("ThreadLimit", Mpm::Event);
        if self.threads > usual { self.threads } else { usual }
    }
}

/// Returns sizes for a load, or why it does not fit.
///
/// The result depends on the arguments alone. What fits still fits when the host has more or the load is less.
///
/// # Errors
/// The bound that stands in the way, what it would take, and the largest load that fits.
pub fn size(
    demand: Demand,
    server: Server,
    host: &Machine,
    memory: &MemoryNeed,
) -> Result<Proposal, Box<Refusal>> {
    let ask = Ask::new(demand, server, host, memory);
    match ask.draft(demand.connections) {
        Some(draft) => Ok(ask.proposal(&draft)),
        None => Err(Box::new(ask.refusal())),
    }
}

/// A question under work.
struct Ask<'a> {
    demand: Demand,
    server: Server,
    host: &'a Machine,
    memory: &'a MemoryNeed,
}

impl<'a> Ask<'a> {
    fn new(demand: Demand, server: Server, host: &'a Machine, memory: &'a MemoryNeed) -> Self {
        let connections = demand.connections.max(1);
        Self { demand: Demand { connections, ..demand }, server, host, memory }
    }

    /// Returns how many of `connections` are served at one moment. Never less for more connections.
    fn active(&self, connections: u64) -> u64 {
        if self.server.mpm != Mpm::Event {
            return connections;
        }
        let usual = connections.div_ceil(ACTIVE_SHARE).max(ACTIVE_LEAST);
        self.demand.active.unwrap_or(usual).clamp(1, connections)
    }

    /// Returns the sizes for so many connections, the preferred ones of those that fit.
    fn draft(&self, connections: u64) -> Option<Draft> {
        match self.server.mpm {
            Mpm::Prefork => {
                let processes = connections.max(FEWEST);
                Some(Draft { processes, threads: 1, factor: 0, connections, leaning: false })
                    .filter(|draft| self.fits(draft))
            }
            Mpm::Worker => preferred_threads(connections)
                .map(|threads| Draft {
                    processes: connections.max(FEWEST).div_ceil(threads),
                    threads,
                    factor: 0,
                    connections,
                    leaning: false,
                })
                .find(|draft| self.fits(draft)),
            Mpm::Event => self.event_draft(connections),
        }
    }

    /// Of the preferred sizes that fit, takes those with the fewest workers; of those the fewest processes.
    fn event_draft(&self, connections: u64) -> Option<Draft> {
        // Several processes let several processors accept, and lose less when one of them ends.
        let several = self.cpus().clamp(1, 4).min(self.active(connections).div_ceil(16));
        let few = (connections < 16).then_some(connections.max(FEWEST));
        let usual = || few.into_iter().chain(16..=MOST_THREADS);
        let with = |threads, factor, least| self.event_with(connections, threads, factor, least);
        let first_that_fits = |mut drafts: Vec<Draft>| {
            drafts.sort_by_key(|draft| (draft.workers(), draft.processes));
            drafts.into_iter().find(|draft| self.fits(draft))
        };
        first_that_fits(usual().filter_map(|threads| with(threads, FACTORS[0], several)).collect())
            .or_else(|| first_that_fits(usual().filter_map(|threads| with(threads, FACTORS[0], 1)).collect()))
            .or_else(|| {
                first_that_fits(
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
        Some(Draft { processes, threads, factor, connections, leaning })
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

    fn fits(&self, draft: &Draft) -> bool {
        let sizes = self.sizes(draft);
        let room = slots(&self.server, draft.thread_limit(), self.host);
        sizes.is_some_and(|sizes| {
            bounds(&self.server, &sizes, draft.connections, None, self.host, self.memory)
                .iter()
                .all(|bound| bound.needs <= bound.limit)
        }) && self.server_limit(draft, room).is_some()
    }

    /// Returns `ServerLimit`: under event room for processes that finish their last requests, where slots allow.
    fn server_limit(&self, draft: &Draft, room: u64) -> Option<u64> {
        if draft.processes > room {
            return None;
        }
        if self.server.mpm != Mpm::Event || self.server.version < SLACK_SINCE {
            return Some(draft.processes);
        }
        Some(draft.processes.saturating_mul(2).min(room)).filter(|limit| *limit > draft.processes)
    }

    fn sizes(&self, draft: &Draft) -> Option<Sizes> {
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

    /// Returns the numbers of sizes that fit, each with its reason.
    fn proposal(&self, draft: &Draft) -> Proposal {
        let Draft { processes, threads, factor, leaning, .. } = *draft;
        let workers = draft.workers();
        let connections = self.demand.connections;
        let active = self.active(connections);
        let mpm = self.server.mpm;
        let room = slots(&self.server, draft.thread_limit(), self.host);
        let limit = self.server_limit(draft, room).unwrap_or(processes);
        let spare = Spare::new(draft, mpm);
        let mut out = Choices(Vec::new());

        out.add("StartServers", spare.start, match (mpm, leaning) {
            (_, true) => "all processes at once: httpd starts more for missing idle workers only, not for many connections".to_owned(),
            (Mpm::Prefork, _) => format!("the {} idle processes wanted at all times", spare.min),
            _ => "all processes at once: starting them one by one would take seconds while connections wait".to_owned(),
        });
        let slack = limit - processes;
        out.add("ServerLimit", limit, match (mpm, slack) {
            (Mpm::Event, 1..) => format!("{processes} processes, and {slack} slots for processes that finish their last requests after a reload"),
            (Mpm::Prefork, _) => "as many processes as MaxRequestWorkers; more slots would only take memory".to_owned(),
            _ => format!("MaxRequestWorkers / ThreadsPerChild = {workers} / {threads}; more slots would only take memory"),
        });
        if mpm.threaded() {
            let usual = draft.thread_limit() > threads;
            out.add(
                "ThreadLimit",
                draft.thread_limit(),
                if usual {
                    "httpd's default: ThreadsPerChild can grow up to it by a reload".to_owned()
                } else {
                    "as ThreadsPerChild, which may not be above it".to_owned()
                },
            );
            out.add(
                "ThreadsPerChild",
                threads,
                if leaning {
                    format!(
                        "in {processes} processes: the load with the fewest workers that the limits allow"
                    )
                } else {
                    format!(
                        "in {processes} processes: {workers} workers, {} more than the connections",
                        workers - connections.min(workers)
                    )
                },
            );
        }
        out.add("MaxRequestWorkers", workers, match (mpm, leaning) {
            (Mpm::Event, true) => format!(
                "{active} requests served at one moment, and {} idle workers that let their processes hold the other connections",
                workers - active
            ),
            (Mpm::Event, false) => format!("a worker for each of the {connections} connections"),
            _ => format!("{mpm} holds a worker for each of the {connections} connections, idle ones too"),
        });
        let (min, max) = if mpm.threaded() {
            ("MinSpareThreads", "MaxSpareThreads")
        } else {
            ("MinSpareServers", "MaxSpareServers")
        };
        out.add(
            min,
            spare.min,
            if leaning && processes > 1 {
                "a process that ends is replaced while the others are idle".to_owned()
            } else {
                format!("a burst finds {} idle {} and waits for no fork", spare.min, unit(mpm))
            },
        );
        out.add(
            max,
            spare.max,
            if leaning {
                format!("above {workers}, so that no process is ended for being idle: it holds connections")
            } else {
                match mpm {
                    Mpm::Prefork => {
                        format!("twice {min}: processes beyond are ended, and their memory is free")
                    }
                    _ => {
                        format!("at least the {workers} workers, so that no process is ended for being idle")
                    }
                }
            },
        );
        if mpm == Mpm::Event {
            out.add("AsyncRequestWorkerFactor", factor, if leaning {
                let idle = workers - active - processes;
                let most = workers + idle * factor;
                format!("{workers} + ({workers} - {active} busy - {processes} that stopped once) x {factor} = {most} connections, for the {connections} asked")
            } else {
                "there is a worker for each connection; httpd's default where the open files allow".to_owned()
            });
        }
        let (backlog, why) = self.backlog();
        out.add("ListenBacklog", backlog, why);

        let written: Written =
            out.0.iter().map(|choice| (choice.directive, choice.value.to_string())).collect();
        let normal = normalise::normalise(mpm, self.server.version, &written);
        let capacity = assess(&self.server, &normal, Some(connections), self.host, self.memory);
        Proposal { mpm, connections, active, settings: out.0, capacity, notes: self.notes(&normal.sizes) }
    }

    fn backlog(&self) -> (u64, String) {
        let usual = core_directives::default_number("ListenBacklog", Mpm::Event);
        match &self.host.somaxconn {
            None => (usual, "httpd's default: net.core.somaxconn, which caps it, is not known".to_owned()),
            Some(known) => {
                let wanted = self.demand.connections.max(usual);
                let value = wanted.min(known.value).max(1);
                let why = if value < wanted {
                    format!(
                        "all that net.core.somaxconn {} allows ({}) to wait while {wanted} connect at once",
                        known.value, known.source
                    )
                } else {
                    "all connections may arrive at once and wait to be accepted".to_owned()
                };
                (value, why)
            }
        }
    }

    fn notes(&self, sizes: &Sizes) -> Vec<String> {
        let (processes, workers, threads) =
            (whole(sizes.processes), whole(sizes.workers), whole(sizes.threads));
        let mut notes = Vec::new();
        if self.server.mpm == Mpm::Event
            && self.demand.active.is_none()
            && self.demand.connections > ACTIVE_LEAST
        {
            notes.push(format!(
                "capacity.active was not given: {} of {} connections are counted as served at one moment",
                self.active(self.demand.connections),
                self.demand.connections
            ));
        }
        if self.memory.server.is_none() {
            let why = self.memory.missing.as_deref().unwrap_or("memory.per_worker was not given");
            let most = largest_need(workers, self.host, self.memory.reserve).map_or_else(
                || "the host's memory is not known either".to_owned(),
                |most| format!("each of the {workers} workers may need up to {most}"),
            );
            notes.push(format!("nothing was refused for memory: {why}; {most}"));
        }
        // Where a limit is not known, nothing else says what it has to allow.
        if self.host.open_files.is_none() {
            notes.push(format!(
                "the limit of open files is not known: a process may have {} open (LimitNOFILE of the unit, \
                 APACHE_ULIMIT_MAX_FILES of Debian's start script)",
                files(&self.server, threads, whole(sizes.factor))
            ));
        }
        if self.host.tasks_max.is_none() {
            notes.push(format!(
                "the limit of tasks is not known: the server may have {} (TasksMax of the unit)",
                tasks(&self.server, processes, threads)
            ));
        }
        notes
    }

    /// Returns what stands in the way, measured on the sizes that a host without limits would get.
    fn refusal(&self) -> Refusal {
        let Demand { connections, .. } = self.demand;
        let mpm = self.server.mpm;
        let boundless = Machine {
            cpus: self.host.cpus.clone(),
            cpu_quota: self.host.cpu_quota.clone(),
            ..Machine::default()
        };
        let ideal = Ask { host: &boundless, ..*self };
        let draft = ideal.draft(connections).unwrap_or_else(|| Draft {
            // More than all slots: as many processes as it takes with the most threads.
            processes: connections.div_ceil(if mpm.threaded() { MOST_THREADS } else { 1 }),
            threads: if mpm.threaded() { MOST_THREADS } else { 1 },
            factor: u64::from(mpm == Mpm::Event),
            connections,
            leaning: false,
        });
        let mut bounds = ideal
            .sizes(&draft)
            .map(|sizes| bounds(&self.server, &sizes, draft.connections, None, self.host, self.memory))
            .unwrap_or_default();
        let room = slots(&self.server, draft.thread_limit(), self.host);
        if draft.processes >= room {
            bounds.retain(|bound| bound.name != "scoreboard");
            bounds.push(Bound {
                name: "scoreboard".to_owned(),
                limit: room,
                needs: draft.processes,
                source: slots_source(&self.server),
            });
        }
        let tightest = tightest(&bounds);
        let largest = self.largest();
        let (binding, need) = match tightest {
            Some(bound) => (bound.name.clone(), self.words(bound, &draft)),
            None => ("scoreboard".to_owned(), "more processes than httpd can have".to_owned()),
        };
        let fit = if largest == 0 {
            "not even one connection fits".to_owned()
        } else {
            format!("the largest load that fits is {largest} connections")
        };
        Refusal {
            message: format!("{connections} connections under {mpm} need {need}; {fit}"),
            hint: self.way_out(&binding, largest),
            binding,
            largest,
            bounds,
        }
    }

    /// Returns a bound in words: what is needed, how that comes about, what there is and where that was read.
    fn words(&self, bound: &Bound, draft: &Draft) -> String {
        let workers = draft.workers();
        let (limit, source) = (bound.limit, &bound.source);
        match (bound.name.as_str(), &self.memory.server) {
            ("memory", Some(need)) => {
                let total =
                    self.memory.total(draft.processes, workers, draft.connections).unwrap_or_default();
                let processes = if need.per_process.0 > 0 {
                    format!(" + {} processes x {}", draft.processes, need.per_process)
                } else {
                    String::new()
                };
                let held = if need.per_connection.0 > 0 {
                    format!(" + {} connections x {}", draft.connections, need.per_connection)
                } else {
                    String::new()
                };
                let once = if need.once.0 > 0 { format!(" + {} once", need.once) } else { String::new() };
                let there = self.host.memory.as_ref().map_or(Bytes(0), |known| known.value);
                format!(
                    "{} of memory ({workers} workers x {}{held}{processes}{once} + {} reserved), but there are {there} ({source})",
                    Bytes(u64::try_from(total).unwrap_or(u64::MAX)),
                    need.per_worker,
                    self.memory.reserve
                )
            }
            ("open_files", _) => {
                format!("{} open files in each process, but it may have {limit} ({source})", bound.needs)
            }
            ("scoreboard", _) => {
                format!("{} processes, but there are slots for {limit} ({source})", bound.needs)
            }
            (name, _) => format!(
                "{} tasks ({} processes of {} threads), but {} allows {limit} ({source})",
                bound.needs,
                draft.processes,
                draft.threads + 2,
                match name {
                    "tasks" => "the service's TasksMax",
                    "threads_max" => "kernel.threads-max",
                    _ => "kernel.pid_max",
                }
            ),
        }
    }

    fn way_out(&self, binding: &str, largest: u64) -> String {
        let raise = match binding {
            "memory" => {
                "give the host more memory, or lower memory.per_worker by making each worker need less"
            }
            "open_files" => {
                "raise LimitNOFILE of the unit (on Debian APACHE_ULIMIT_MAX_FILES in envvars too)"
            }
            "tasks" => "raise TasksMax of the unit",
            "threads_max" => "raise kernel.threads-max",
            "pid_max" => "raise kernel.pid_max",
            _ => "spread the load over more hosts",
        };
        let event = if self.server.mpm == Mpm::Event {
            ""
        } else {
            "; event holds idle connections without a worker each"
        };
        if largest == 0 {
            format!("{raise}{event}")
        } else {
            format!("ask for {largest} connections, or {raise}{event}")
        }
    }

    /// Returns the most connections that fit, found by halving: what fits also fits for fewer.
    fn largest(&self) -> u64 {
        let (mut fits, mut not) = (0, self.demand.connections);
        while not - fits > 1 {
            let middle = fits.midpoint(not);
            if self.draft(middle).is_some() { fits = middle } else { not = middle }
        }
        fits
    }
}

/// Returns the threads a process, best first: near httpd's 25 with the fewest workers too many, then more, then
/// fewer. Every number is in the list for every load, so that a smaller load can use whatever a larger one can.
fn preferred_threads(connections: u64) -> impl Iterator<Item = u64> {
    let connections = connections.max(FEWEST);
    let mut near: Vec<u64> = (20..=32).collect();
    near.sort_by_key(|threads| (connections.next_multiple_of(*threads), threads.abs_diff(25)));
    let one = (connections < 20).then_some(connections);
    one.into_iter().chain(near).chain(33..=MOST_THREADS).chain((2..20).rev())
}

/// Idle workers to keep, and processes to start.
struct Spare {
    start: u64,
    min: u64,
    max: u64,
}

impl Spare {
    fn new(draft: &Draft, mpm: Mpm) -> Self {
        let (workers, threads) = (draft.workers(), draft.threads);
        if mpm == Mpm::Prefork {
            let min = (workers / 20).clamp(5, 50).min(workers / 2).max(1);
            return Self { start: min, min, max: min * 2 };
        }
        if draft.leaning {
            let min = workers - threads + 1;
            return Self { start: draft.processes, min, max: min + threads + 1 };
        }
        let min = (workers / 10).clamp(25, 250).min(workers / 2).max(1);
        Self { start: draft.processes, min, max: workers.max(min + threads + 1) }
    }
}

const fn unit(mpm: Mpm) -> &'static str {
    if mpm.threaded() { "workers" } else { "processes" }
}

/// The numbers of a proposal as they are collected.
struct Choices(Vec<Choice>);

impl Choices {
    fn add(&mut self, directive: &'static str, value: u64, why: String) {
        let setting = core_directives::find(directive.as_bytes()).map_or("", |row| row.key);
        self.0.push(Choice { directive, setting, value, why });
    }
}

/// Since this version event counts serving processes alone against `MaxRequestWorkers`, and slots beyond let new
/// ones start while old ones finish.
const SLACK_SINCE: Version = Version::v24(25);

/// Returns what given values carry on a host, and each limit beside what they need of it.
///
/// Memory is that of all workers and of `load` connections, at least one for each worker. Event may accept far more
/// while its workers are idle; what those would take is not counted.
///
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
        workers: Some(workers),
        processes: Some(processes),
        memory_mb: memory.total(processes, workers, held).map(mib),
        binding: tightest(&bounds).map(|bound| bound.name.clone()),
        bounds,
    }
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

/// Returns each limit that is known beside what the sizes need of it; what is not limited is not listed.
fn bounds(
    server: &Server,
    sizes: &Sizes,
    held: u64,
    backlog: Option<u64>,
    host: &Machine,
    memory: &MemoryNeed,
) -> Vec<Bound> {
    let (processes, workers, threads) = (whole(sizes.processes), whole(sizes.workers), whole(sizes.threads));
    let tasks = tasks(server, processes, threads);
    let mut bounds = Vec::new();
    let mut add = |name: &str, limit: Option<&Known<u64>>, needs: u64| {
        if let Some(limit) = limit.filter(|limit| limit.value != u64::MAX) {
            bounds.push(Bound {
                name: name.to_owned(),
                limit: limit.value,
                needs,
                source: limit.source.clone(),
            });
        }
    };
    let room = host
        .memory
        .as_ref()
        .map(|known| Known { value: known.value.0 / Bytes::MIB, source: known.source.clone() });
    if let Some(total) = memory.total(processes, workers, held) {
        add("memory", room.as_ref(), mib(total));
    }
    add("open_files", host.open_files.as_ref(), files(server, threads, whole(sizes.factor)));
    add("tasks", host.tasks_max.as_ref(), tasks);
    add("threads_max", host.threads_max.as_ref(), tasks);
    add("pid_max", host.pid_max.as_ref(), tasks);
    if let Some(backlog) = backlog {
        add("somaxconn", host.somaxconn.as_ref(), backlog);
    }
    let slots = Known { value: slots(server, whole(sizes.thread_limit), host), source: slots_source(server) };
    add("scoreboard", Some(&slots), whole(sizes.server_limit));
    bounds
}

/// Returns the bound with the greatest share in use. The backlog binds only where it is cut, and after all others:
/// it limits how many may wait at once, not how many are held.
fn tightest(bounds: &[Bound]) -> Option<&Bound> {
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
fn files(server: &Server, threads: u64, factor: u64) -> u64 {
    let own = if server.mpm.threaded() { 9 } else { 7 };
    threads.saturating_mul(2 + factor).saturating_add(own + server.extra_files)
}

/// Returns the tasks of the whole service: the parent and, for each process, its workers, its listener and its
/// main thread. After a reload the processes that finish their requests come on top for that while.
fn tasks(server: &Server, processes: u64, threads: u64) -> u64 {
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
fn slots(server: &Server, thread_limit: u64, host: &Machine) -> u64 {
    let threads = if server.mpm.threaded() { thread_limit } else { 1 };
    let (most, share) = SCOREBOARD;
    let budget = host.memory.as_ref().map_or(most, |known| most.min(known.value.0 / share));
    let one = scoreboard(1, threads);
    let fixed = scoreboard(0, threads);
    let ceiling = u64::from(normalise::compiled(server.mpm).server_limit_max.unsigned_abs());
    (budget.saturating_sub(fixed) / (one - fixed).max(1)).min(ceiling)
}

fn slots_source(server: &Server) -> String {
    format!(
        "ServerLimit of {} at most {}, its scoreboard at most 64 MiB and 5 % of the memory",
        server.mpm,
        normalise::compiled(server.mpm).server_limit_max
    )
}

/// Returns a size that httpd uses; none is negative after its corrections.
fn whole(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// Returns whole mebibytes, rounded up.
fn mib(bytes: u128) -> u64 {
    u64::try_from(bytes.div_ceil(u128::from(Bytes::MIB))).unwrap_or(u64::MAX)
}
