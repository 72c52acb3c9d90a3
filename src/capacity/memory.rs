//! What the server and everything else need of the memory.

use crate::facts::{Machine, Measured, Served};
use crate::params;
use crate::report::ParameterError;
use crate::units::Bytes;

/// Memory to count with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryNeed {
    /// What the server needs; `None` where nobody said and nothing was measured: then memory refuses nothing.
    pub server: Option<ServerNeed>,
    /// What everything else on the host needs.
    pub reserve: Bytes,
    /// Why the need is not known although it was asked for.
    pub missing: Option<String>,
    /// What a measurement is worth; `None` where nothing was measured.
    pub worth: Option<Worth>,
}

/// What a measurement of the running server is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worth {
    /// What the server had done when it was measured, one sentence.
    pub seen: String,
    /// Whether it had hardly served, so that its workers will need more.
    pub lower_bound: bool,
}

/// A server has hardly served before its workers have answered so many requests each, on average.
const REQUESTS_A_WORKER: u64 = 20;

/// Where requests are not counted: processor time that so many take, in milliseconds each; an answer from a file takes
/// a tenth of one.
const MILLISECONDS_A_WORKER: u64 = 20;

impl Worth {
    /// Returns what a measurement is worth.
    pub fn of(measured: &Measured) -> Self {
        let Served { seconds, requests, milliseconds, peak } = measured.served;
        let age = match seconds {
            0..120 => format!("{seconds} s"),
            120..7200 => format!("{} minutes", seconds / 60),
            7200..172_800 => format!("{} hours", seconds / 3600),
            _ => format!("{} days", seconds / 86_400),
        };
        let answered = match requests {
            Some(1) => "has answered 1 request".to_owned(),
            Some(count) => format!("has answered {count} requests"),
            None => format!(
                "has used {}.{:02} s of processor time",
                milliseconds / 1000,
                milliseconds % 1000 / 10
            ),
        };
        let busiest = if peak.0 > 0 {
            format!("; at its busiest moment its processes held {peak} more than now")
        } else {
            String::new()
        };
        let workers = measured.workers.max(1);
        let lower_bound = requests
            .map_or(milliseconds < workers.saturating_mul(MILLISECONDS_A_WORKER), |count| {
                count < workers.saturating_mul(REQUESTS_A_WORKER)
            });
        Self {
            seen: format!(
                "measured {} after the server's start, {} workers with {} connections; it {answered}{busiest}",
                age, measured.workers, measured.connections
            ),
            lower_bound,
        }
    }
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
    pub(super) fn total(&self, processes: u64, workers: u64, connections: u64) -> u128 {
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
            need.worth = Some(Worth::of(measured));
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
    pub(super) fn total(&self, processes: u64, workers: u64, connections: u64) -> Option<u128> {
        Some(self.server.as_ref()?.total(processes, workers, connections) + u128::from(self.reserve.0))
    }
}

/// Returns the most that each of `workers` workers may need on a host, all else being as said; `None` where the
/// memory is not known.
pub fn largest_need(workers: u64, host: &Machine, reserve: Bytes) -> Option<Bytes> {
    let memory = host.memory.as_ref()?.value.0;
    memory.saturating_sub(reserve.0).checked_div(workers).map(Bytes)
}
