//! What would become of one host: its verdict, from its facts and its desired state alone.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::cache::Record;
use super::desired::Desired;
use super::record::{Amount, HostFacts, LimitFact, MAJOR};
use super::stand_in::{can_stand_in, family_of, is_managed, os_release_id, os_release_version, tree};
use crate::operate::{self, Mode};
use crate::params::{Facts as Overrides, Params, State};
use crate::report::{CapacityReport, Need, Severity};
use crate::stored::to_hex;
use crate::tree::Node;

/// The one verdict of a host, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A real run failed and undid what it did.
    Failed,
    /// A real run did not reach the host.
    Unreachable,
    /// The rules refuse the desired state on this host.
    Refused,
    /// The facts cannot be read.
    Damaged,
    /// A fact or a variable that the plan needs is missing.
    Unknown,
    /// Something changes.
    Change,
    /// A real run left the host out.
    Skipped,
    /// A real run ended before it came to the host.
    NotRun,
    /// Nothing is to be done.
    Unchanged,
}

impl Verdict {
    /// All of them, worst first.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Unreachable,
        Self::Refused,
        Self::Damaged,
        Self::Unknown,
        Self::Change,
        Self::Skipped,
        Self::NotRun,
        Self::Unchanged,
    ];

    /// Returns the word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
            Self::Unknown => "unknown",
            Self::Change => "change",
            Self::Skipped => "skipped",
            Self::NotRun => "not run",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What hosts of one group have in common. JSON: `{"verdict": "change", "activation": "reload", "rules": [],
/// "binding": "memory", "message": "MaxRequestWorkers 150 → 1024"}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// What a running server needs to take the change up.
    pub activation: Need,
    /// The rules that refuse, or that failed a real run.
    pub rules: Vec<String>,
    /// The bound that is met first, where the desired state asks for a load.
    pub binding: Option<String>,
    /// One line: what changes, what refuses, what is missing.
    pub message: String,
}

/// What would become of a host. Equal ones are one group; those of a group with another `detail` are its variants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Predicted {
    /// What the group has in common.
    pub outcome: Outcome,
    /// Settings before and after and the paths that change, one a line.
    pub detail: String,
    /// What kind of host it is.
    pub kind: Kind,
}

/// What kind of host it is, and how near its limit the desired state brings it: shown, and never part of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// Distribution and version: `debian 12`; empty where no fact names it.
    pub system: String,
    /// The tightest of the limits, where one is known.
    pub load: Option<Load>,
}

/// What the desired state needs of a limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Load {
    /// The limit's name, as in [`crate::report::Bound`].
    pub bound: String,
    /// What is needed, in the limit's own unit (memory in MiB).
    pub needs: u64,
    /// What the host allows, in the same unit.
    pub limit: u64,
}

impl Outcome {
    /// An outcome without a change.
    pub fn of(verdict: Verdict, message: impl Into<String>) -> Self {
        Self { verdict, activation: Need::None, rules: Vec::new(), binding: None, message: message.into() }
    }

    /// Returns the group's id: eight hexadecimal digits over its content, the same in every run.
    pub fn id(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        to_hex(&Sha256::digest(text.as_bytes())[..4])
    }
}

impl From<Outcome> for Predicted {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, detail: String::new(), kind: Kind::default() }
    }
}

/// Predicts what happens to a host.
pub fn predict(record: &Record, desired: &Desired) -> Predicted {
    let mut predicted = predict_outcome(record, desired);
    let (id, version) = distribution(record);
    format!("{id} {version}").trim().clone_into(&mut predicted.kind.system);
    predicted
}

/// Returns the distribution's ID and version as os-release has them: stated, from the collection's facts, from Ansible's
/// own; empty where none names it.
fn distribution(record: &Record) -> (String, String) {
    let (stated, facts) = (&record.stated, record.facts.apache_tuning.as_ref());
    let id = stated
        .distribution
        .clone()
        .or_else(|| facts?.distribution.clone())
        .or_else(|| record.facts.ansible_distribution.as_deref().map(os_release_id))
        .unwrap_or_default();
    let version = stated
        .distribution_version
        .clone()
        .or_else(|| facts?.distribution_version.clone())
        .or_else(|| {
            let version = record.facts.ansible_distribution_version.as_deref()?;
            Some(os_release_version(&id, version))
        })
        .unwrap_or_default();
    (id, version)
}

fn predict_outcome(record: &Record, desired: &Desired) -> Predicted {
    let params = match desired {
        Desired::Invalid(text) => {
            return Outcome { rules: vec!["PAR-001".to_owned()], ..Outcome::of(Verdict::Refused, text) }
                .into();
        }
        Desired::Template { variable } => {
            let message = format!("the variable {variable} is a template, which only Ansible can work out");
            return Outcome::of(Verdict::Unknown, message).into();
        }
        Desired::Params(params) => params,
    };
    let facts = match usable_facts(record) {
        Ok(facts) => facts,
        Err(message) => return Outcome::of(Verdict::Unknown, message).into(),
    };
    if let Some(message) = missing(facts, record, params) {
        return Outcome::of(Verdict::Unknown, message).into();
    }
    let (id, version) = distribution(record);
    let Some(layout) = family_of(&id) else {
        let message = if id.is_empty() {
            "no fact names the distribution: gather it, or state facts.distribution".to_owned()
        } else {
            format!("{id} is no distribution that is known; state facts.distribution")
        };
        return Outcome::of(Verdict::Unknown, message).into();
    };
    if !can_stand_in(layout) {
        let message = format!("on {id} the MPM is built into httpd: preview the host itself");
        return Outcome::of(Verdict::Unknown, message).into();
    }
    let Some(files) = tree(facts, &id, &version, layout) else {
        return Outcome::of(Verdict::Unknown, "mpm.configured is missing from its facts").into();
    };
    let mut params = params.clone();
    "/fleet".clone_into(&mut params.root);
    params.facts = overrides(record, facts, &params.facts, &id, &version);
    let mode = Mode { check: true, diff: true };
    match operate::evaluate(&files, &params, mode, None) {
        Err(stopped) => refused(&stopped.findings, &stopped.msg).into(),
        Ok(evaluation) if evaluation.refused() => {
            let mut predicted = Predicted::from(refused(&evaluation.report.findings, &evaluation.report.msg));
            // A refusal tells nothing of a change that is not made; what it would have needed is asked for apart.
            let rules = predicted.outcome.rules.iter().cloned();
            params.waive.extend(rules);
            if params.capacity.is_none()
                && let Ok(evaluation) = operate::evaluate(&files, &params, mode, None)
            {
                predicted.kind.load = tightest(&evaluation.report.capacity);
            }
            predicted
        }
        Ok(evaluation) => {
            let mut predicted = planned(facts, &params, &evaluation);
            predicted.kind.load = tightest(&evaluation.report.capacity);
            predicted
        }
    }
}

/// Returns the limit of which the largest part is needed.
fn tightest(capacity: &CapacityReport) -> Option<Load> {
    // An unlimited one has the largest number there is.
    let bounded = capacity.bounds.iter().filter(|bound| bound.limit > 0 && bound.limit < u64::from(u32::MAX));
    let part = |bound: &&crate::report::Bound| u128::from(bound.needs) * 1_000_000 / u128::from(bound.limit);
    let bound = bounded.max_by_key(part)?;
    Some(Load { bound: bound.name.clone(), needs: bound.needs, limit: bound.limit })
}

/// Returns the facts that a plan can be made from.
fn usable_facts(record: &Record) -> Result<&HostFacts, String> {
    let Some(facts) = &record.facts.apache_tuning else {
        return Err("no apache_tuning facts: run webfleet.apache.facts".to_owned());
    };
    match facts.major() {
        Some(MAJOR) => Ok(facts),
        _ => Err(format!(
            "its facts are of version {}, and this program reads {MAJOR}.x: update apache-tuning",
            facts.version.as_deref().unwrap_or_default()
        )),
    }
}

/// Names the facts that this plan needs and does not have.
fn missing(facts: &HostFacts, record: &Record, params: &Params) -> Option<String> {
    let mut names = Vec::new();
    let Some(mpm) = facts.mpm.configured else {
        return Some("mpm.configured is missing from its facts: none or several MPMs are loaded".to_owned());
    };
    if facts.effective.is_empty() {
        names.push("effective".to_owned());
    }
    let wanted = params.mpm.unwrap_or(mpm);
    let php_known = facts.php.is_some() || record.stated.php.is_some() || params.facts.php.is_some();
    if params.state == State::Present
        && wanted != mpm
        && wanted.threaded()
        && !php_known
        && facts.modules.is_none()
    {
        names.push("php".to_owned());
    }
    let switches_modules = params.groups.iter().any(|(feature, _)| !feature.modules.is_empty());
    if params.state == State::Present && switches_modules && facts.modules.is_none() {
        names.push("modules".to_owned());
    }
    if params.capacity.is_some() {
        let limits = overrides(record, facts, &params.facts, "", "");
        let wanted = [
            ("memory_mb", limits.memory_mb),
            ("open_files", limits.open_files),
            ("threads_max", limits.threads_max),
        ];
        for (name, value) in wanted {
            if value.is_none() && !is_unlimited(facts, name) {
                let unfit = match facts.limits.get(name).and_then(|limit| limit.value.as_ref()) {
                    Some(Amount::Unfit(text)) => format!("limits.{name} ({text} is no whole number)"),
                    _ => format!("limits.{name}"),
                };
                names.push(unfit);
            }
        }
    }
    (!names.is_empty()).then(|| format!("missing from its facts: {}", names.join(", ")))
}

fn is_unlimited(facts: &HostFacts, name: &str) -> bool {
    facts.limits.get(name).is_some_and(|limit: &LimitFact| limit.value.is_none())
}

/// Puts the machine's facts together: what the task states, what the line states, what was read, Ansible's own.
fn overrides(record: &Record, facts: &HostFacts, asked: &Overrides, id: &str, version: &str) -> Overrides {
    let stated = &record.stated;
    let limit = |name: &str| -> Option<u64> {
        let limit = facts.limits.get(name)?;
        match &limit.value {
            Some(amount) => amount.known(),
            None => Some(u64::MAX),
        }
    };
    let setup = |amount: &Option<Amount>| amount.as_ref().and_then(Amount::known);
    Overrides {
        memory_mb: asked
            .memory_mb
            .or(stated.memory_mb)
            .or_else(|| limit("memory_mb"))
            .or_else(|| setup(&record.facts.ansible_memtotal_mb)),
        cpus: asked
            .cpus
            .or(stated.cpus)
            .or_else(|| limit("cpus"))
            .or_else(|| setup(&record.facts.ansible_processor_nproc)),
        distribution: Some(id.to_owned()).filter(|id| !id.is_empty()),
        distribution_version: Some(version.to_owned()).filter(|version| !version.is_empty()),
        httpd_version: asked
            .httpd_version
            .clone()
            .or_else(|| stated.httpd_version.clone())
            .or_else(|| facts.httpd_version.clone()),
        open_files: asked.open_files.or(stated.open_files).or_else(|| limit("open_files")),
        tasks_max: asked.tasks_max.or(stated.tasks_max).or_else(|| limit("tasks_max")),
        threads_max: asked.threads_max.or(stated.threads_max).or_else(|| limit("threads_max")),
        pid_max: asked.pid_max.or(stated.pid_max).or_else(|| limit("pid_max")),
        somaxconn: asked.somaxconn.or(stated.somaxconn).or_else(|| limit("somaxconn")),
        php: asked.php.or(stated.php).or(facts.php),
        selinux_graceful_shutdown: asked.selinux_graceful_shutdown.or(stated.selinux_graceful_shutdown),
    }
}

fn refused(findings: &[crate::report::Finding], msg: &str) -> Outcome {
    let errors: Vec<_> =
        findings.iter().filter(|finding| finding.severity == Severity::Error && !finding.waived).collect();
    let mut rules: Vec<String> = errors.iter().map(|finding| finding.rule.clone()).collect();
    rules.sort_unstable();
    rules.dedup();
    let message = errors.first().map_or_else(|| msg.to_owned(), |finding| finding.message.clone());
    Outcome { rules, ..Outcome::of(Verdict::Refused, message) }
}

/// Words what a plan changes.
fn planned(facts: &HostFacts, params: &Params, evaluation: &operate::Evaluation) -> Predicted {
    let report = &evaluation.report;
    let own = |change: &&crate::tree::Change| !change.path.starts_with("/var/lib/apache-tuning");
    let open: Vec<&crate::tree::Change> =
        evaluation.changes.iter().filter(own).filter(|change| !is_done(facts, change)).collect();
    let before: BTreeMap<&str, &str> = evaluation
        .host
        .values()
        .iter()
        .map(|value| (value.directive, value.used.as_str()))
        .chain(facts.effective.iter().map(|(name, fact)| (name.as_str(), fact.used.as_str())))
        .collect();
    let mut settings = Vec::new();
    for (name, entry) in &report.effective {
        match before.get(name.as_str()) {
            Some(old) if *old == entry.used => {}
            Some(old) => settings.push(format!("{name} {old} → {}", entry.used)),
            None => settings.push(format!("{name} {}", entry.used)),
        }
    }
    let mpm = match (facts.mpm.configured, report.mpm.after) {
        (Some(old), Some(new)) if old != new => Some(format!("MPM {old} → {new}")),
        _ => None,
    };
    let binding = params.capacity.is_some().then(|| report.capacity.binding.clone()).flatten();
    let drifted = facts.managed.iter().any(|managed| !managed.as_left);
    if open.is_empty() && mpm.is_none() {
        return Predicted {
            outcome: Outcome { binding, ..Outcome::of(Verdict::Unchanged, "already in the desired state") },
            detail: String::new(),
            kind: Kind::default(),
        };
    }
    let mut words: Vec<String> = mpm.iter().cloned().collect();
    // A swap brings another MPM's numbers; naming each would hide that.
    let most = 4;
    words.extend(settings.iter().take(most).cloned());
    if settings.len() > most {
        words.push(format!("{} more settings", settings.len() - most));
    }
    if words.is_empty() {
        words.push(if drifted {
            "files were edited by hand".to_owned()
        } else {
            "only files change".to_owned()
        });
    }
    let activation =
        if report.activation.needed == Need::None { Need::Reload } else { report.activation.needed };
    let mut detail: Vec<String> = mpm.into_iter().chain(settings).collect();
    detail.extend(
        report
            .changes
            .iter()
            .filter(|entry| open.iter().any(|change| change.path.to_string_lossy() == entry.path))
            .map(|entry| format!("{} {}", action_word(entry.action), entry.path)),
    );
    Predicted {
        outcome: Outcome { activation, binding, ..Outcome::of(Verdict::Change, words.join(", ")) },
        detail: detail.join("\n"),
        kind: Kind::default(),
    }
}

fn action_word(action: crate::report::Action) -> &'static str {
    match action {
        crate::report::Action::Create => "create",
        crate::report::Action::Modify => "modify",
        crate::report::Action::Remove => "remove",
    }
}

/// Tells whether the host has already what a change would write: its managed lines have the same fingerprint.
fn is_done(facts: &HostFacts, change: &crate::tree::Change) -> bool {
    let path = change.path.to_string_lossy();
    let Some(managed) = facts.managed.iter().find(|managed| managed.path == path) else {
        // The drop-in's link and marker come and go with it.
        let of_drop_in = path.contains("zz-apache-tuning");
        return of_drop_in
            && is_managed(facts, "zz-apache-tuning.conf")
            && !matches!(change.after, Node::Absent);
    };
    match &change.after {
        Node::File(text) => managed.as_left && managed.sha256 == operate::managed_fingerprint(text),
        _ => false,
    }
}
