//! Why a load does not fit a host, and the largest that does.

use super::bounds::{bounds, slots, slots_source, tightest};
use super::draft::{Ask, Draft, MOST_THREADS};
use super::{Demand, Refusal};
use crate::facts::Machine;
use crate::httpd::Mpm;
use crate::report::Bound;
use crate::units::Bytes;

impl Ask<'_> {
    /// Returns the sizes that a host without limits would get for so many connections and a burst, and each limit of
    /// this host beside what they need of it.
    pub(super) fn ideal(&self, connections: u64, burst: u64) -> (Draft, Vec<Bound>) {
        let mpm = self.server.mpm;
        let boundless = Machine {
            cpus: self.host.cpus.clone(),
            cpu_quota: self.host.cpu_quota.clone(),
            ..Machine::default()
        };
        let ideal = Ask { host: &boundless, ..*self };
        let threads = if mpm.threaded() { MOST_THREADS } else { 1 };
        let draft = ideal.draft(connections, burst).unwrap_or_else(|| Draft {
            // More than all slots: as many processes as it takes with the most threads.
            processes: connections.saturating_add(burst).div_ceil(threads),
            threads,
            factor: u64::from(mpm == Mpm::Event),
            connections,
            burst,
            leaning: false,
        });
        let mut bounds = ideal
            .sizes(&draft)
            .map(|sizes| bounds(&self.server, &sizes, draft.held(), None, self.host, self.memory))
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
        (draft, bounds)
    }

    /// Returns what prevents it, measured on the sizes that a host without limits would get.
    pub(super) fn refusal(&self) -> Refusal {
        let Demand { connections, .. } = self.demand;
        let mpm = self.server.mpm;
        let (draft, bounds) = self.ideal(connections, 0);
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
    pub(super) fn words(&self, bound: &Bound, draft: &Draft) -> String {
        let workers = draft.workers();
        let (limit, source) = (bound.limit, &bound.source);
        match (bound.name.as_str(), &self.memory.server) {
            ("memory", Some(need)) => {
                let total = self.memory.total(draft.processes, workers, draft.held()).unwrap_or_default();
                let processes = if need.per_process.0 > 0 {
                    format!(" + {} processes x {}", draft.processes, need.per_process)
                } else {
                    String::new()
                };
                let held = if need.per_connection.0 > 0 {
                    format!(" + {} connections x {}", draft.held(), need.per_connection)
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
        let raise = raise(binding);
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
            if self.draft(middle, 0).is_some() { fits = middle } else { not = middle }
        }
        fits
    }
}

/// Returns what widens a bound.
pub(super) fn raise(binding: &str) -> &'static str {
    match binding {
        "memory" => "give the host more memory, or lower memory.per_worker by making each worker need less",
        "open_files" => "raise LimitNOFILE of the unit (on Debian APACHE_ULIMIT_MAX_FILES in envvars too)",
        "tasks" => "raise TasksMax of the unit",
        "threads_max" => "raise kernel.threads-max",
        "pid_max" => "raise kernel.pid_max",
        _ => "spread the load over more hosts",
    }
}
