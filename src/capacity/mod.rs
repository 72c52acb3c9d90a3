//! From a load to sizes, and from sizes to what they can carry on a host.
//!
//! [`size`] answers "4000 connections" with every number of the MPM and its reason, or says which limit of the
//! host prevents it and how much would fit. [`assess`] goes the other way: what given sizes hold, and each
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
//! # What is proposed
//! The load with its burst for the fewest workers, not the fewest workers for the load: workers and their spread over
//! processes carry the burst (see the module `burst`), the factor carries the idle rest and is as low as that allows.
//!
//! Source: `connections_above_limit` and `perform_idle_server_maintenance` in `server/mpm/event/event.c` of httpd 2.4.

mod assumed;
mod bounds;
mod burst;
mod draft;
mod memory;
mod proposal;
mod refusal;
mod text;
mod traffic;

use serde::Serialize;

pub use bounds::{assess, exceeded, held_idle};
pub use memory::{MemoryNeed, ServerNeed, Worth, largest_need};
pub use text::{capacity_text, choices_text, refusal_text, text};
pub use traffic::{Traffic, TrafficNeed, bits_text};

use self::draft::Ask;
use crate::facts::Machine;
use crate::httpd::normalise::Written;
use crate::httpd::read::{Configuration, Scope};
use crate::httpd::{Mpm, Version};
use crate::report::{Bound, CapacityReport};
use crate::units::Bytes;

/// A load: connections held at once, how many of them are served at one moment, and a burst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Demand {
    /// Connections, from 1.
    pub connections: u64,
    /// How many of them are served at one moment; event only. `None` counts one in sixteen, and at least 100
    /// (or all, where there are fewer).
    pub active: Option<u64>,
    /// Requests at one moment that are answered while no idle connection is closed for them, on held connections or on
    /// new ones beside those. `None` counts the larger of twice `active` and a quarter of the connections, as far as
    /// the host carries it.
    pub burst: Option<u64>,
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

/// What was counted because nobody said it, and how to know better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumption {
    /// What it is about.
    pub about: About,
    /// The value counted with.
    pub value: String,
    /// What was counted, one sentence.
    pub message: String,
    /// How to know better, or what to do.
    pub hint: String,
}

/// What an [`Assumption`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// `capacity.active` was not given.
    Active,
    /// `capacity.burst` was not given.
    Burst,
    /// The burst that is counted by default is more than the host carries.
    LessBurst,
    /// The burst asked for is more than the host carries.
    NoBurst,
    /// What measured memory is worth.
    Measured,
    /// The measured server has hardly served: what it needs is a lower bound.
    LowerBound,
    /// A limit or a need that is not known.
    Unknown,
}

/// What somewhat fewer or more workers cost and survive. JSON: `{"workers": 1920, "processes": 30,
/// "threads_per_child": 64, "factor": 2, "memory_mb": 19712, "burst": 780, "binding": null}`; `binding` names the bound
/// that does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Step {
    /// `MaxRequestWorkers`.
    pub workers: u64,
    /// Processes.
    pub processes: u64,
    /// `ThreadsPerChild`; 1 under prefork.
    pub threads_per_child: u64,
    /// `AsyncRequestWorkerFactor`; 0 except under event.
    pub factor: u64,
    /// Memory at full load in MiB; null where the need of a worker is not known.
    pub memory_mb: Option<u64>,
    /// The burst that they survive.
    pub burst: u64,
    /// The bound that the host does not allow them; null where it does.
    pub binding: Option<String>,
}

/// Sizes for a load. JSON: `{"mpm", "connections", "active", "burst", "settings": [Choice], "capacity", "smaller",
/// "larger", "notes": []}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Proposal {
    /// The MPM they are for.
    pub mpm: Mpm,
    /// The connections asked for.
    pub connections: u64,
    /// How many of them are counted as served at one moment; all of them except under event.
    pub active: u64,
    /// The burst that was to be carried: asked for, or counted by default. `capacity.burst` is the one that is.
    pub burst: u64,
    /// The numbers, in the order in which files show them.
    pub settings: Vec<Choice>,
    /// What the host gives and the numbers need. `binding` is the bound that keeps the burst small, where one does.
    pub capacity: CapacityReport,
    /// The next smaller sizes; null where these are the smallest for the load.
    pub smaller: Option<Step>,
    /// The next larger sizes.
    pub larger: Option<Step>,
    /// What was assumed.
    #[serde(skip)]
    pub assumptions: Vec<Assumption>,
    /// The same, one text each.
    pub notes: Vec<String>,
}

impl Proposal {
    /// Tells whether a burst was asked for that the host does not carry.
    pub fn refuses_burst(&self) -> bool {
        self.assumptions.iter().any(|one| one.about == About::NoBurst)
    }

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
    /// The name of the bound that prevents it.
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

/// Returns sizes for a load, or why it does not fit.
///
/// The result depends on the arguments alone. What fits still fits when the host has more or the load is less. A burst
/// never decides whether a load fits: what the host does not carry of it is reported in the proposal.
///
/// # Errors
/// The bound that prevents it, what it would take, and the largest load that fits.
pub fn size(
    demand: Demand,
    server: Server,
    host: &Machine,
    memory: &MemoryNeed,
) -> Result<Proposal, Box<Refusal>> {
    let ask = Ask::new(demand, server, host, memory);
    match ask.best() {
        Some(draft) => Ok(ask.proposal(&draft)),
        None => Err(Box::new(ask.refusal())),
    }
}

/// Returns a size that httpd uses; none is negative after its corrections.
fn whole(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(0)
}

/// Returns whole mebibytes, rounded up.
fn mib(bytes: u128) -> u64 {
    u64::try_from(bytes.div_ceil(u128::from(Bytes::MIB))).unwrap_or(u64::MAX)
}
