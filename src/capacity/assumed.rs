//! What was counted because nobody said it, and how to know better.

use super::bounds::{files, tasks};
use super::draft::{ACTIVE_LEAST, Ask};
use super::refusal::raise;
use super::{About, Assumption, largest_need, whole};
use crate::httpd::Mpm;
use crate::httpd::normalise::Sizes;

impl Assumption {
    /// Returns it as one text.
    pub fn sentence(&self) -> String {
        if self.hint.is_empty() { self.message.clone() } else { format!("{}; {}", self.message, self.hint) }
    }
}

impl Ask<'_> {
    /// Returns what was assumed for sizes that survive a burst of `survives`; `in_the_way` is what keeps the burst that
    /// was wanted from fitting, by name and in words.
    pub(super) fn assumptions(
        &self,
        sizes: &Sizes,
        survives: u64,
        in_the_way: Option<(String, String)>,
    ) -> Vec<Assumption> {
        let mut all = Vec::new();
        let mut add = |about, value: String, message: String, hint: &str| {
            all.push(Assumption { about, value, message, hint: hint.to_owned() });
        };
        let connections = self.demand.connections;
        let (event, active) = (self.server.mpm == Mpm::Event, self.active(connections));
        if event && self.demand.active.is_none() && connections > ACTIVE_LEAST {
            add(
                About::Active,
                active.to_string(),
                format!(
                    "capacity.active was not given: {active} of {connections} connections are counted as served at \
                     one moment"
                ),
                "give capacity.active as the busiest hour shows it: BusyWorkers of mod_status, or requests a second \
                 times their seconds (%D) in the access log",
            );
        }
        let wanted = self.burst();
        if self.demand.burst.is_none() {
            let how = if wanted == connections.div_ceil(4) {
                "a quarter of the connections"
            } else {
                "twice those served at one moment"
            };
            add(
                About::Burst,
                wanted.to_string(),
                format!("capacity.burst was not given: {wanted} requests at one moment are counted, {how}"),
                "give capacity.burst as the access log shows it: the most requests that began within the time that \
                 one takes",
            );
        }
        if survives < wanted {
            let (name, words) = in_the_way.unwrap_or_default();
            let asked = self.demand.burst.is_some();
            let room = if self.server.mpm == Mpm::Event {
                "beyond that some idle connections are closed or new ones wait"
            } else {
                "beyond that new connections wait until held ones end"
            };
            let none = if survives == 0 { " (no room for a burst of new connections)" } else { "" };
            add(
                if asked { About::NoBurst } else { About::LessBurst },
                survives.to_string(),
                format!(
                    "the sizes survive a burst of {survives} requests at one moment{none}, not of {wanted}, which \
                     would need {words}: {room}"
                ),
                &format!(
                    "{}{}",
                    raise(&name),
                    if asked { format!(", or ask for a burst of {survives}") } else { String::new() }
                ),
            );
        }
        let (processes, workers, threads) =
            (whole(sizes.processes), whole(sizes.workers), whole(sizes.threads));
        let most = largest_need(workers, self.host, self.memory.reserve);
        if let Some(worth) = &self.memory.worth {
            let fit = most.map_or_else(String::new, |most| {
                format!(
                    "; what the host has is enough while each of the {workers} workers needs at most {most}"
                )
            });
            if worth.lower_bound {
                add(
                    About::LowerBound,
                    worth.seen.clone(),
                    format!("the memory of a worker is a lower bound: {}{fit}", worth.seen),
                    "measure again after a busy day, or give memory.per_worker",
                );
            } else {
                add(About::Measured, worth.seen.clone(), format!("{}{fit}", worth.seen), "");
            }
        }
        if self.memory.server.is_none() {
            let why = self.memory.missing.as_deref().unwrap_or("memory.per_worker was not given");
            let most = most.map_or_else(
                || "the host's memory is not known either".to_owned(),
                |most| format!("each of the {workers} workers may need up to {most}"),
            );
            add(About::Unknown, String::new(), format!("memory was not checked: {why}; {most}"), "");
        }
        // Where a limit is not known, nothing else says what it has to allow.
        if self.host.open_files.is_none() {
            let open = files(&self.server, threads, whole(sizes.factor));
            add(
                About::Unknown,
                open.to_string(),
                format!(
                    "the limit of open files is not known: a process may have {open} open (LimitNOFILE of the unit, \
                     APACHE_ULIMIT_MAX_FILES of Debian's start script)"
                ),
                "",
            );
        }
        if self.host.tasks_max.is_none() {
            let tasks = tasks(&self.server, processes, threads);
            add(
                About::Unknown,
                tasks.to_string(),
                format!(
                    "the limit of tasks is not known: the server may have {tasks} (TasksMax of the unit)"
                ),
                "",
            );
        }
        all
    }
}
