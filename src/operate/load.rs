//! The load of a task: its memory measured, its sizes worked out, and what was assumed for them as findings.

use std::time::Duration;

use super::evaluate::Host;
use crate::capacity::{self, About, Demand, MemoryNeed, Proposal, Server};
use crate::facts::{Measured, listen, process, status};
use crate::httpd::Mpm;
use crate::params::Params;
use crate::report::Finding;
use crate::rules::{self, Rule};
use crate::tree::Files;

/// How long `mod_status` may take to say how many requests were served.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Measures the running server, where the task asks for that: its memory through `/proc`, and by one question to
/// `mod_status`, where it answers on the loopback, how much it has served.
pub(super) fn measured(files: &dyn Files, params: &Params, host: &Host) -> Option<Measured> {
    let asked = params.memory.as_ref().and_then(|memory| memory.per_worker.as_deref());
    if asked != Some("measured") {
        return None;
    }
    let threads = host
        .values()
        .iter()
        .find(|value| value.directive == "ThreadsPerChild")
        .and_then(|value| value.used.parse().ok());
    let mut measured = process::measure(files, host.running.as_ref()?, threads)?;
    if params.root == "/" {
        measured.served.requests = requests(host);
    }
    Some(measured)
}

/// Returns how many requests the running server has answered, as `mod_status` counts them.
fn requests(host: &Host) -> Option<u64> {
    if !host.configuration.has_module("status_module") {
        return None;
    }
    let address = listen::plain_loopback(&host.configuration.listen)?;
    status::ask(&format!("http://{address}/server-status"), STATUS_TIMEOUT).ok()?.requests
}

/// Returns the sizes for the load that is asked for; `None` where none is.
///
/// # Errors
/// The finding that refuses it.
pub(super) fn sized(
    params: &Params,
    mpm: Mpm,
    host: &Host,
    memory: &MemoryNeed,
) -> Result<Option<Proposal>, Box<Finding>> {
    let Some(load) = &params.capacity else { return Ok(None) };
    let demand = Demand { connections: load.connections, active: load.active, burst: load.burst };
    let server = Server::of(mpm, host.version(), &host.configuration);
    match capacity::size(demand, server, &host.machine, memory) {
        Ok(proposal) => Ok(Some(proposal)),
        Err(refusal) => Err(Box::new(rules::run::CAP_001.finding(
            ("capacity.connections", &load.connections.to_string()),
            refusal.message,
            refusal.hint,
        ))),
    }
}

/// Returns what was assumed for a proposal as findings.
pub(super) fn assumed(proposal: &Proposal) -> Vec<Finding> {
    let finding = |rule: &'static Rule, setting, assumption: &capacity::Assumption| {
        rule.finding((setting, &assumption.value), assumption.message.clone(), assumption.hint.clone())
    };
    let of = |assumption: &capacity::Assumption| match assumption.about {
        About::Active => Some(finding(&rules::run::CAP_002, "capacity.active", assumption)),
        About::Burst => Some(finding(&rules::run::CAP_002, "capacity.burst", assumption)),
        About::LessBurst => Some(finding(&rules::run::CAP_003, "capacity.burst", assumption)),
        About::NoBurst => Some(finding(&rules::run::CAP_004, "capacity.burst", assumption)),
        About::Measured => Some(finding(&rules::run::CAP_005, "memory.per_worker", assumption)),
        About::LowerBound => Some(finding(&rules::run::CAP_006, "memory.per_worker", assumption)),
        // The rules about the host say which limits are not known.
        About::Unknown => None,
    };
    proposal.assumptions.iter().filter_map(of).collect()
}
