//! After the change the host is read again and compared with what was asked: what the draft promised is worth nothing
//! where something else happened to the files, or where this program's idea of them was wrong.

use std::path::Path;

use rustc_hash::FxHashSet;

use super::evaluate::{Evaluation, Host};
use super::overridden::overridden;
use super::start::Said;
use crate::apply::{ApplyError, Cause};
use crate::facts::disk::Disk;
use crate::feature::{Looks, Place};
use crate::httpd::Mpm;
use crate::httpd::effective;
use crate::params::{Params, State};
use crate::plan::{self, Ground, Wish};
use crate::registry::FEATURES;
use crate::report::{Finding, Severity};
use crate::rules::host::SYS_002;
use crate::rules::run::VER_001;
use crate::tree::Snapshot;

/// Returns what the transaction says was otherwise, as findings; `known` are those that it was told by
/// [`differences`], which come first.
pub(super) fn findings(error: &ApplyError, mut known: Vec<Finding>) -> Vec<Finding> {
    let Cause::Otherwise { found, .. } = &error.cause else { return Vec::new() };
    let of_paths = found.iter().skip(known.len()).map(|said| {
        VER_001.finding(("state", ""), said, "see what else writes to it, then run again".to_owned())
    });
    let of_paths: Vec<Finding> = of_paths.collect();
    known.extend(of_paths);
    known
}

/// Reads the host anew and returns what is otherwise than asked, with file and line; what is waived was known before.
/// What a record of the history says about single paths is compared by whoever wrote them.
///
/// The host is looked at as it was for the plan: variables of its environment, of the running server and of a shell's
/// answer decide what the configuration means.
pub(super) fn differences(params: &Params, evaluation: &Evaluation, said: Option<&Said>) -> Vec<Finding> {
    let disk = Disk::new(Path::new(&params.root));
    let files = Snapshot::new(&disk);
    let of_machine = params.root == "/";
    let host = match Host::look(&files, &params.facts, params.instance.as_deref(), of_machine, said) {
        Ok(host) => host,
        Err(stopped) => return stopped.findings,
    };
    let mut found = match params.state {
        State::Present => otherwise(&files, &host, evaluation),
        State::Absent => left_behind(&files, &host),
        State::RolledBack => Vec::new(),
    };
    found.retain(|finding| finding.severity == Severity::Error && !params.waives(&finding.rule));
    found
}

/// Returns what is otherwise than a task asks for.
fn otherwise(files: &Snapshot<'_>, host: &Host, evaluation: &Evaluation) -> Vec<Finding> {
    let asked = &evaluation.asked;
    let is = &host.configuration;
    let mpm = asked.mpm.or(host.mpm()).or(evaluation.report.mpm.after).unwrap_or(Mpm::Event);
    let values = effective::effective(is, mpm, host.version(), evaluation.host.cpus());
    let (mut found, unread) = asked.compare(files, is, &values);
    // What httpd does not read at all is not overridden.
    let unread: FxHashSet<&str> = unread.iter().map(|wish| wish.parameter.as_str()).collect();
    let is_read = |wish: &&Wish| !unread.contains(wish.parameter.as_str());
    let read: Vec<Wish> = asked.wishes.iter().filter(is_read).cloned().collect();
    let (_, overridden) = overridden(files, is, &read, &values);
    for one in overridden {
        if !found.iter().any(|other| other.setting == one.setting) {
            found.push(one);
        }
    }
    found
}

/// Returns what of this program's is still there after `state: absent`.
fn left_behind(files: &Snapshot<'_>, host: &Host) -> Vec<Finding> {
    let place = Place { files, site: &host.site, configuration: &host.configuration, start: &host.start };
    let ground = Ground {
        files,
        site: &host.site,
        version: host.version(),
        configuration: &host.configuration,
        mpm: host.mpm().unwrap_or(Mpm::Event),
        start: &host.start,
        looks: &Looks::new(FEATURES, &place),
        features: FEATURES,
    };
    match plan::absent(&ground) {
        Ok(plan) => plan
            .changes
            .iter()
            .map(|change| {
                VER_001.finding(
                    ("state", "absent"),
                    format!("{} still has what this tool put in", change.path.display()),
                    "see what else writes to it, then run again".to_owned(),
                )
            })
            .collect(),
        Err(error) => {
            vec![SYS_002.finding(("state", "absent"), error.to_string(), "fix this and run again".to_owned())]
        }
    }
}
