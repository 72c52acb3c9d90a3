//! `health` before anything is touched: a question that cannot be answered after the change must not be found out
//! only when the server was stopped for it.

use std::time::Duration;

use super::conclude;
use super::evaluate::Evaluation;
use crate::facts::health;
use crate::params::{ActivationMode, Health, Params};
use crate::report::{Finding, Need};
use crate::rules::run::{HLT_001, HLT_002, HLT_003};
use crate::tree::Files;
use crate::url::Url;

/// How long a healthy server may take to answer before the change: less than after it, it has no start to get over.
const BEFORE: Duration = Duration::from_secs(5);

/// Refuses a health address of another host, and says where nothing will be asked. Asks nothing yet.
pub(super) fn judge(files: &dyn Files, params: &Params, evaluation: &mut Evaluation) {
    let Some(health) = asked(params) else { return };
    // A URL that is none was refused with the parameters.
    let Ok(url) = Url::parse(&health.url) else { return };
    let about = ("health.url", health.url.as_str());
    let names = evaluation.host.configuration.vhosts.iter().filter_map(|vhost| vhost.name.as_deref());
    let found = if !health::is_of_this_host(&url, files, names) {
        HLT_001.finding(
            about,
            format!("`{}` is no address of this host: only the server that changes is asked", health.url),
            "name localhost, an address of this host, or the ServerName of one of its virtual hosts"
                .to_owned(),
        )
    } else if evaluation.host.running.is_none() {
        HLT_003.finding(
            about,
            "health.url is not asked: the server does not run, and this task does not start it".to_owned(),
            "start the server and run the task again to have the change judged".to_owned(),
        )
    } else {
        return;
    };
    conclude::add(&mut evaluation.report, [found], params);
}

/// Asks the health address before anything is touched. Returns the finding that prevents the change where the
/// server is not healthy as it is: whether the change did any harm could not be told then.
pub(super) fn sick_before(params: &Params, evaluation: &Evaluation) -> Option<Finding> {
    let health = asked(params)?;
    evaluation.host.running.as_ref()?;
    if evaluation.report.activation.needed == Need::None {
        return None;
    }
    let why = health::healthy(health, BEFORE.min(Duration::from_secs(health.timeout))).err()?;
    Some(HLT_002.finding(
        ("health.url", &health.url),
        format!("the server is not healthy before the change: {why}"),
        "fix the server or the question; where this change is what fixes it, waive HLT-002".to_owned(),
    ))
}

/// Returns the question, where this run brings its change into the server of this machine.
fn asked(params: &Params) -> Option<&Health> {
    let here = params.root == "/" && params.activation == ActivationMode::Auto;
    params.health.as_ref().filter(|_| here)
}
