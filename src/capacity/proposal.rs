//! A proposal's numbers, each with its reason, and what was assumed for them.

use super::bounds::{assess, slots, tightest};
use super::draft::{Ask, Draft};
use super::{Choice, Proposal, Step, mib};
use crate::httpd::normalise::{self, Written};
use crate::httpd::{Mpm, core_directives};

/// Connections after which a process is replaced where nothing else is known: often enough for what leaks, seldom
/// enough for its cost to be none.
const RECYCLE: u64 = 10_000;

impl Ask<'_> {
    /// Returns the numbers of sizes that fit, each with its reason.
    pub(super) fn proposal(&self, draft: &Draft) -> Proposal {
        let Draft { processes, threads, factor, burst, leaning, .. } = *draft;
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
            (Mpm::Event, 1..) => format!("{processes} processes, and {slack} slots for processes that finish their last requests after a reload or {RECYCLE} connections"),
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
                if leaning && burst > 0 {
                    format!("in {processes} processes: the fewest workers that carry the load and the burst however connections fall on the processes")
                } else if leaning {
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
        let more = if burst > 0 { format!(", and for a burst of {burst} new ones") } else { String::new() };
        out.add("MaxRequestWorkers", workers, match (mpm, leaning) {
            (Mpm::Event, true) if burst > 0 => format!(
                "a burst of {burst} requests at one moment, and {} idle workers that let their processes hold the {connections} connections",
                workers.saturating_sub(burst)
            ),
            (Mpm::Event, true) => format!(
                "{active} requests served at one moment, and {} idle workers that let their processes hold the other connections",
                workers - active
            ),
            (Mpm::Event, false) => format!("a worker for each of the {connections} connections{more}"),
            _ => format!("{mpm} holds a worker for each of the {connections} connections, idle ones too{more}"),
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
            out.add("AsyncRequestWorkerFactor", factor, self.why_factor(draft));
        }
        out.add("MaxConnectionsPerChild", RECYCLE, match mpm {
            Mpm::Prefork => "a process is replaced now and then: with 0 what leaks stays for ever".to_owned(),
            _ => "a process is replaced now and then: with 0 what leaks stays for ever; one that finishes keeps its slot until its last request is answered".to_owned(),
        });
        let (backlog, why) = self.backlog();
        out.add("ListenBacklog", backlog, why);

        let written: Written =
            out.0.iter().map(|choice| (choice.directive, choice.value.to_string())).collect();
        let normal = normalise::normalise(mpm, self.server.version, &written);
        let mut capacity = assess(&self.server, &normal, Some(connections), self.host, self.memory);
        let survives = capacity.burst.unwrap_or_default();
        let (wanted, ideal) = (self.burst(), self.in_the_way_of(self.burst()));
        if survives < wanted
            && let Some((name, _)) = &ideal
        {
            capacity.binding = Some(name.clone());
        }
        let smaller = (burst > 1).then(|| self.step(burst * 3 / 4)).filter(|step| step.workers < workers);
        let larger = Some(self.step(burst.max(wanted / 4).saturating_mul(5).div_ceil(4)))
            .filter(|step| step.workers > workers);
        let assumptions = self.assumptions(&normal.sizes, survives, ideal);
        let notes = assumptions.iter().map(super::Assumption::sentence).collect();
        Proposal {
            mpm,
            connections,
            active,
            burst: wanted,
            settings: out.0,
            capacity,
            smaller,
            larger,
            assumptions,
            notes,
        }
    }

    /// Returns the reason of the factor.
    fn why_factor(&self, draft: &Draft) -> String {
        let Draft { processes, threads, factor, burst, leaning, connections } = *draft;
        let workers = draft.workers();
        let each = threads.saturating_mul(factor.saturating_add(1));
        if burst > 0 && connections > threads {
            return format!(
                "as low as the load allows: a process takes at most {threads} x (1 + {factor}) = {each} connections, \
                 all up to {} new ones beside the {connections}, and closes idle ones only when all of its {threads} \
                 workers are busy",
                draft.shape().on_new(connections)
            );
        }
        if leaning {
            let active = self.active(connections);
            let most = workers + (workers - active - processes) * factor;
            return format!(
                "{workers} + ({workers} - {active} busy - {processes} that stopped once) x {factor} = {most} \
                 connections, for the {connections} asked"
            );
        }
        "there is a worker for each connection; httpd's default where the open files allow".to_owned()
    }

    /// Returns the sizes for another burst: what they cost and survive.
    fn step(&self, burst: u64) -> Step {
        let connections = self.demand.connections;
        let fitting = self.draft(connections, burst);
        let binding = if fitting.is_some() { None } else { self.in_the_way_of(burst) };
        let draft = fitting.unwrap_or_else(|| self.ideal(connections, burst).0);
        let workers = draft.workers();
        Step {
            workers,
            processes: draft.processes,
            threads_per_child: draft.threads,
            factor: draft.factor,
            memory_mb: self.memory.total(draft.processes, workers, connections.max(workers)).map(mib),
            burst: draft.shape().survives(self.server.mpm, connections),
            binding: binding.map(|(name, _)| name),
        }
    }

    /// Returns the bound that a burst would go beyond, and its words; `None` where it fits.
    fn in_the_way_of(&self, burst: u64) -> Option<(String, String)> {
        if self.draft(self.demand.connections, burst).is_some() {
            return None;
        }
        let (draft, bounds) = self.ideal(self.demand.connections, burst);
        let over: Vec<_> = bounds.into_iter().filter(|bound| bound.needs > bound.limit).collect();
        let bound = tightest(&over);
        let named = bound.map(|bound| (bound.name.clone(), self.words(bound, &draft)));
        Some(named.unwrap_or_else(|| {
            ("scoreboard".to_owned(), "more processes or connections each than httpd can have".to_owned())
        }))
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
