//! What an interrupted run left: given back by the next one, predicted by check mode, and told by both.

use std::path::Path;
use std::time::Duration;

use super::{Mode, conclude};
use crate::apply::{self, ApplyError, Predicted, Recovered};
use crate::params::Params;
use crate::report::{Finding, RecoveredReport, RecoveredServer, Report};
use crate::rules;
use crate::tree::Change;

/// Predicts what a real run would give back first. Another run that is still at work is waited for.
pub(super) fn predict(params: &Params, root: &Path) -> Result<Option<Predicted>, ApplyError> {
    if !apply::is_interrupted(root) {
        return Ok(None);
    }
    let _quiet = apply::quiet(root, Duration::from_secs(params.lock_timeout));
    apply::predict(root)
}

/// Returns what was given back as the result has it.
pub(super) fn done(recovered: Recovered) -> RecoveredReport {
    let paths = recovered.restored.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let Recovered { transaction, server, finished, .. } = recovered;
    RecoveredReport { transaction, paths, server, finished }
}

/// Returns what would be given back as the result has it.
pub(super) fn predicted(predicted: &Predicted) -> RecoveredReport {
    let paths = predicted.changes.iter().map(|change| change.path.to_string_lossy().into_owned()).collect();
    let Predicted { server, finished, .. } = *predicted;
    RecoveredReport { transaction: predicted.transaction.clone(), paths, server, finished }
}

/// Returns what changes in all where `first` is done before `then`: what is there now against what will.
pub(super) fn both(first: &[Change], then: &[Change]) -> Vec<Change> {
    let mut all = then.to_vec();
    for change in first {
        match all.iter_mut().find(|later| later.path == change.path) {
            Some(later) => later.before = change.before.clone(),
            None => all.push(change.clone()),
        }
    }
    all.retain(|change| change.before != change.after);
    all
}

/// Puts what was given back into a report: whatever else the run did or failed at, that was a change.
pub(super) fn add(report: &mut Report, recovered: RecoveredReport, params: &Params, mode: Mode) {
    let what = said(&recovered, mode);
    let told = rules::run::ACT_004.finding(
        ("recovered", &recovered.transaction),
        format!("the run of transaction {} was interrupted; {what}", recovered.transaction),
        "see what ended it (a signal, memory, a reboot); its own result was never seen",
    );
    let (failed, message) = (report.failed, std::mem::take(&mut report.msg));
    conclude::add(report, [told], params);
    report.failed = failed;
    report.msg = match message.strip_prefix("unchanged: ") {
        Some(rest) if !failed => format!("{what}; {rest}"),
        _ if failed => format!("{what}; then: {message}"),
        _ => format!("{message}; before that, {what}"),
    };
    report.changed = true;
    report.recovered = Some(recovered);
}

/// Returns what a recovery does, in words.
fn said(recovered: &RecoveredReport, mode: Mode) -> String {
    if recovered.finished {
        let verb = if mode.check { "would go" } else { "went" };
        return format!(
            "the change of transaction {} is complete and {verb} into the history",
            recovered.transaction
        );
    }
    let number = match recovered.paths.len() {
        // What it had done was given back already by a run that was interrupted as well.
        0 => "nothing more".to_owned(),
        1 => "1 path".to_owned(),
        count => format!("{count} paths"),
    };
    let gave = if mode.check { "this run would give back" } else { "this run gave back" };
    let server = match (recovered.server, mode.check) {
        (RecoveredServer::Untouched, _) => "",
        (RecoveredServer::Reloaded, false) => " and reloaded the server",
        (RecoveredServer::Reloaded, true) => " and reload the server",
        (RecoveredServer::Started, false) => " and started the server",
        (RecoveredServer::Started, true) => " and start the server",
    };
    format!("{gave} {number} of transaction {}{server}", recovered.transaction)
}

/// Makes the finding of an interrupted run for whoever only looks.
pub(super) fn open(root: &Path) -> Option<Finding> {
    let message = match apply::predict(root) {
        Ok(None) => return None,
        Ok(Some(found)) => format!(
            "the run of transaction {} was interrupted: {} paths are otherwise than before it",
            found.transaction,
            found.changes.len()
        ),
        Err(error) => error.to_string(),
    };
    Some(rules::run::ACT_004.finding(
        ("recovered", ""),
        message,
        "run a task of webfleet.apache.tuning: it gives them back before it does anything else",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Node;

    #[test]
    fn two_changes_of_a_path_are_one_and_there_and_back_is_none() {
        let change =
            |path: &str, before: &str, after: &str| Change::new(path, Node::text(before), Node::text(after));
        let first = [change("/a", "1", "0"), change("/b", "1", "0"), change("/c", "1", "0")];
        let then = [change("/d", "0", "1"), change("/b", "0", "2"), change("/a", "0", "1")];
        let all = [change("/d", "0", "1"), change("/b", "1", "2"), change("/c", "1", "0")];
        assert_eq!(both(&first, &then), all);
    }
}
