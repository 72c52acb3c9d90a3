//! What the running server does not use yet, and whether it may be stopped and started for it.

use std::path::Path;

use super::conclude;
use super::evaluate::{Evaluation, Host};
use crate::apply::{self, Holder};
use crate::httpd::Version;
use crate::params::{ActivationMode, Params};
use crate::report::{Finding, Need, PendingActivation};
use crate::rules;
use crate::tree::Files;

/// Adds what the running server does not use yet of earlier changes: whatever else changes, it then takes a stop
/// and start, because a reload would end the server or keep old limits.
pub(super) fn remember(files: &dyn Files, evaluation: &mut Evaluation, params: &Params) {
    let pending = pending(&evaluation.host, Path::new(&params.root));
    let report = &mut evaluation.report;
    let mut told = Vec::new();
    if let Some(pending) = &pending {
        report.activation.needed = report.activation.needed.max(pending.needed);
        report.activation.reasons.extend(pending.reasons.iter().cloned());
        told.push(not_taken_up(pending));
    }
    report.pending_activation = pending;
    let restarts = !evaluation.changes.is_empty() && report.activation.needed == Need::Restart;
    if restarts && let Some(running) = &evaluation.host.running {
        let holder = apply::holder(files, &evaluation.host.site, running);
        match params.activation {
            ActivationMode::Defer => told.push(deferred(holder.as_ref())),
            ActivationMode::Auto => {
                told.extend(holder.as_ref().map(held));
                evaluation.holder = holder;
            }
        }
    }
    conclude::add(report, told, params);
}

/// Makes the finding of a stop and start that is left to a handler.
fn deferred(holder: Option<&Holder>) -> Finding {
    rules::run::ACT_002.finding(
        ("activation", "defer"),
        "until the server is stopped and started, the next reload (logrotate, certificate renewal) ends it or \
         applies only part of the change"
            .to_owned(),
        match holder {
            Some(holder) => format!("notify a handler by restart_required: {}", holder.way_out()),
            None => "notify a handler that restarts it by restart_required, or let activation be auto".to_owned(),
        },
    )
}

/// Makes the finding of a stop and start that must not be made from here.
fn held(holder: &Holder) -> Finding {
    rules::run::ACT_003.finding(
        ("activation", "auto"),
        format!("the change takes a stop and start, and {}", holder.why()),
        format!("set activation to defer, and {} then", holder.way_out()),
    )
}

/// Returns what the running server does not use yet; reads only.
pub(super) fn pending(host: &Host, root: &Path) -> Option<PendingActivation> {
    let running = host.running.as_ref()?;
    let mut reasons = Vec::new();
    if let (Some(now), Some(configured)) = (running.mpm, host.mpm())
        && now != configured
    {
        reasons.push(format!(
            "the server runs with the {now} MPM while {configured} is configured: the next reload ends it"
        ));
    }
    if let Some(earlier) = apply::pending(root, host.site.instance.as_deref(), running) {
        reasons.push(format!(
            "the server has not been stopped and started since transaction {}",
            earlier.transaction
        ));
    }
    if reasons.is_empty() {
        reasons.extend(other_limits(host));
    }
    (!reasons.is_empty()).then_some(PendingActivation { needed: Need::Restart, reasons })
}

/// The first release whose scoreboard is of exactly the size that is known here.
const KNOWN_SCOREBOARD: Version = Version::v24(36);

/// Tells by the size of its scoreboard that a server was started with another `ServerLimit` or `ThreadLimit` than is
/// configured now: they were edited since, and no reload brings them in.
fn other_limits(host: &Host) -> Option<String> {
    let known = host.version.as_ref().is_some_and(|version| version.value >= KNOWN_SCOREBOARD);
    let mpm = host.mpm().filter(|_| known && !host.shared.is_empty())?;
    let values = host.values();
    let used = |directive: &str| -> Option<u64> {
        values.iter().find(|value| value.directive == directive)?.used.parse().ok()
    };
    let servers = used("ServerLimit")?;
    let threads = if mpm.threaded() { used("ThreadLimit")? } else { 1 };
    let needs = rules::scoreboard(servers, threads);
    // A mapping is as large as the pages that hold what was asked for; those of some machines have 64 KiB.
    let page = if host.shared.iter().all(|size| size % 65_536 == 0) { 65_536 } else { 4096 };
    let is_it = |size: &u64| size.checked_sub(needs).is_some_and(|rest| rest < page);
    if host.shared.iter().any(is_it) {
        return None;
    }
    let limits = if mpm.threaded() {
        format!("ServerLimit {servers} or ThreadLimit {threads}")
    } else {
        format!("ServerLimit {servers}")
    };
    Some(format!("the server was not started with {limits}: a reload keeps the old one"))
}

/// Makes the finding of a change that the running server does not use yet.
pub(super) fn not_taken_up(pending: &PendingActivation) -> Finding {
    rules::run::ACT_001.finding(
        ("activation", "pending"),
        pending.reasons.join("; "),
        "stop and start the server at a time of your choosing, before something reloads it".to_owned(),
    )
}
