//! What a run answers: the one place where findings are put together, waived, sorted and worded, and where a refused
//! change loses everything that would only be true if it were made.

use std::collections::BTreeMap;

use crate::params::Params;
use crate::report::{Activation, CapacityReport, Finding, Report, Severity, worst_first};
use crate::rules;

/// Puts what the rules found and what was found on the way into one list: nothing twice, errors first, waived ones
/// marked.
pub(super) fn merge(mut by_rules: Vec<Finding>, on_the_way: Vec<Finding>, params: &Params) -> Vec<Finding> {
    // What was found on the way knows the reason, so it stands for what a rule says of the same setting.
    let said = |finding: &Finding| {
        on_the_way.iter().any(|other| {
            (other.rule == finding.rule && other.setting == finding.setting)
                || rules::supersedes(&other.rule, &finding.rule)
        })
    };
    by_rules.retain(|finding| !said(finding));
    by_rules.extend(on_the_way);
    settle(&mut by_rules, params);
    by_rules
}

/// Adds findings to those of a report, and what follows from them: the warnings, and whether the change is refused.
pub(super) fn add(report: &mut Report, findings: impl IntoIterator<Item = Finding>, params: &Params) {
    report.findings.extend(findings);
    settle(&mut report.findings, params);
    report.warnings = warnings(&report.findings);
    if rules::refuses(&report.findings) {
        refuse(report);
    }
}

fn settle(findings: &mut Vec<Finding>, params: &Params) {
    for finding in findings.iter_mut() {
        finding.waived = finding.waived || params.waives(&finding.rule);
    }
    worst_first(findings);
}

/// Returns the warnings as Ansible displays them: those about what the task manages or changes. What is there on the
/// host whatever the task does is read in the findings.
pub(super) fn warnings(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning && !finding.standing)
        .map(sentence)
        .collect()
}

/// Returns a finding in one line.
pub(super) fn sentence(finding: &Finding) -> String {
    format!("{}: {}; {}", finding.rule, finding.message, finding.hint)
}

/// Makes a report that of a refusal: every error in its message, the lines in the way, and nothing of a change that is
/// not made.
fn refuse(report: &mut Report) {
    report.failed = true;
    report.changed = false;
    report.msg = refusal(&report.findings);
    report.diff = report.diff.take().map(|_| Vec::new());
    report.changes = Vec::new();
    report.switched = Vec::new();
    report.effective = BTreeMap::new();
    report.capacity = CapacityReport::default();
    report.sizes = Vec::new();
    report.cause = None;
    report.mpm.after = report.mpm.before;
    let running = report.activation.running;
    report.activation = Activation { running, ..Activation::default() };
}

/// Returns the message of a refusal: all errors, one a line.
pub(super) fn refusal(findings: &[Finding]) -> String {
    let refuses = |finding: &&Finding| finding.severity == Severity::Error && !finding.waived;
    let mut lines: Vec<String> = findings.iter().filter(refuses).map(sentence).collect();
    lines.push("nothing was changed".to_owned());
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::report::Need;

    fn params(json: serde_json::Value) -> Params {
        serde_json::from_value(json).unwrap()
    }

    fn about(rule: &rules::Rule, setting: &str, message: &str) -> Finding {
        rule.finding((setting, ""), message, "do it")
    }

    #[test]
    fn a_finding_on_the_way_stands_only_for_the_same_rule_and_setting() {
        let by_rules = vec![
            about(&rules::host::HOST_005, "facts", "memory_mb could not be read"),
            about(&rules::evasive::EV_005, "evasive.http_status", "no directive"),
            about(&rules::evasive::EV_005, "DOSHTTPStatus", "not known at zz.conf:3"),
            about(&rules::php::PHP_001, "mpm", "mod_php is loaded"),
        ];
        let on_the_way = vec![
            about(&rules::host::HOST_005, "facts.httpd_version", "the version could not be read"),
            about(&rules::evasive::EV_005, "evasive.http_status", "this build has none"),
            about(&rules::php::PHP_003, "mod_php", "no php-fpm"),
        ];
        let merged = merge(by_rules, on_the_way, &params(serde_json::json!({})));
        let messages: Vec<&str> = merged.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(
            messages,
            [
                "not known at zz.conf:3",
                "this build has none",
                "no php-fpm",
                "memory_mb could not be read",
                "the version could not be read",
            ]
        );
    }

    #[test]
    fn a_finding_added_late_is_waived_sorted_and_worded_like_the_others() {
        let params = params(serde_json::json!({"waive": ["ACT-001", "TST-003"]}));
        let mut report = Report { changed: true, ..Report::default() };
        add(&mut report, [about(&rules::run::ACT_001, "activation", "pending")], &params);
        add(&mut report, [about(&rules::run::TST_003, "config_test", "refused by httpd")], &params);
        assert!(report.findings.iter().all(|finding| finding.waived));
        assert!(report.findings.is_sorted_by_key(|finding| finding.severity));
        assert!(report.changed && !report.failed);
        assert_eq!(report.warnings, ["ACT-001: pending; do it"]);
    }

    #[test]
    fn a_refused_change_tells_all_errors_and_no_numbers() {
        let mut report = Report { changed: true, ..Report::default() };
        report.capacity.connections = Some(450);
        report.activation.needed = Need::Restart;
        report.diff = Some(Vec::new());
        let errors = [
            about(&rules::mpm::MPM_001, "mpm", "no MPM is loaded"),
            about(&rules::evasive::EV_026, "evasive", "not installed"),
        ];
        add(&mut report, errors, &params(serde_json::json!({})));
        assert!(report.failed && !report.changed);
        assert_eq!(
            report.msg,
            "MPM-001: no MPM is loaded; do it\nEV-026: not installed; do it\nnothing was changed"
        );
        assert_eq!((report.capacity.connections, report.activation.needed), (None, Need::None));
    }
}
