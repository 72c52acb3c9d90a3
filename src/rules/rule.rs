//! What a rule is made of: [`Rule`], and how its check reports what it finds: [`Reporter`].

use std::fmt::Display;

use super::View;
use crate::httpd::Mpm;
use crate::httpd::directives::Group;
use crate::httpd::normalise::Correction;
use crate::report::{Finding, Severity};

/// MPMs of a rule about event alone.
pub(crate) const EVENT: &[Mpm] = &[Mpm::Event];
/// MPMs of a rule about threads.
pub(crate) const THREADED: &[Mpm] = &[Mpm::Event, Mpm::Worker];
/// MPMs of a rule about prefork alone.
pub(crate) const PREFORK: &[Mpm] = &[Mpm::Prefork];
/// MPMs of a rule about everything but event.
pub(crate) const WORKER_PREFORK: &[Mpm] = &[Mpm::Worker, Mpm::Prefork];

/// One rule: a `static` above its check, and a line in the list of its file.
pub struct Rule {
    /// Such as `MRW-002`. Stable: tests, documents and `waive` key on it.
    pub id: &'static str,
    /// How much its findings weigh; a finding about a line that the task does not manage may weigh less.
    pub severity: Severity,
    /// The MPMs under which it can find something.
    pub mpms: &'static [Mpm],
    /// The directive, parameter or part of the configuration it is about.
    pub setting: &'static str,
    /// What it finds and what httpd does then, in one sentence.
    pub summary: &'static str,
    /// Where that behaviour can be read.
    pub source: &'static str,
    /// What happens to the server and its clients, and how httpd comes to it; empty where the summary says all.
    pub why: &'static str,
    /// What to do, in general: a finding's own hint has the host's numbers.
    pub remedy: &'static str,
    /// Lines that it is about, and [`instead`](Self::instead) of them; empty where lines help nobody.
    pub example: &'static str,
    /// The lines to write instead of the example.
    pub instead: &'static str,
    /// Rules whose findings about the same thing this one's replace, because it says more.
    pub(crate) supersedes: &'static [&'static Self],
    /// Whether it judges the host as it is after the change: where the change cannot be planned, there is none.
    pub(crate) after_change: bool,
    /// How it is found.
    pub(crate) check: Check,
}

/// How what a rule is about is found.
#[derive(Clone, Copy)]
pub(crate) enum Check {
    /// By looking at the wanted settings and the host.
    View(fn(&View<'_>, &mut Reporter<'_>)),
    /// On the way: while the change is planned, tested or activated. That code reports it.
    Planned,
}

impl Rule {
    /// What a rule has that does not say otherwise: to be completed.
    pub(crate) const NEW: Self = Self {
        id: "",
        severity: Severity::Error,
        mpms: &Mpm::ALL,
        setting: "",
        summary: "",
        source: "",
        why: "",
        remedy: "",
        example: "",
        instead: "",
        supersedes: &[],
        after_change: false,
        check: Check::Planned,
    };

    /// Tells whether planning, testing or activating finds it, not a check of the settings.
    pub const fn is_planned(&self) -> bool {
        matches!(self.check, Check::Planned)
    }

    /// Makes a finding of this rule about a setting and its value, of the rule's own severity.
    pub(crate) fn finding(
        &self,
        (setting, value): (&str, &str),
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Finding {
        Finding {
            rule: self.id.to_owned(),
            severity: self.severity,
            setting: Some(setting.to_owned()),
            value: (!value.is_empty()).then(|| value.to_owned()),
            effective: None,
            httpd: None,
            message: message.into(),
            hint: hint.into(),
            waived: false,
            standing: false,
        }
    }
}

/// Where a rule says what it finds.
pub(crate) struct Reporter<'f> {
    pub(super) rule: &'static Rule,
    pub(super) findings: &'f mut Vec<Finding>,
}

impl Reporter<'_> {
    /// Begins a finding about a directive. Where the task does not decide its value, it is at most a warning.
    pub(crate) fn on(&mut self, view: &View<'_>, directive: &'static str) -> FindingBuilder<'_> {
        let managed = view.audit || view.row(directive).is_some_and(|row| view.decides(row));
        self.about(view.path(directive)).at_most(if managed { Severity::Error } else { Severity::Warning })
    }

    /// Begins a finding about lines of a feature that are not read for their values. Where the task does not manage the
    /// feature, it is at most a warning.
    pub(crate) fn of(
        &mut self,
        view: &View<'_>,
        feature: &'static str,
        setting: impl Into<String>,
    ) -> FindingBuilder<'_> {
        let managed = view.manages(Group(feature));
        let most = if managed || view.audit { Severity::Error } else { Severity::Warning };
        let mut builder = self.about(setting).at_most(most);
        builder.finding.standing = !managed;
        builder
    }

    /// Begins a finding about something else, such as a parameter's path.
    pub(crate) fn about(&mut self, setting: impl Into<String>) -> FindingBuilder<'_> {
        let rule = self.rule;
        FindingBuilder {
            findings: self.findings,
            rule,
            finding: rule.finding((&setting.into(), ""), String::new(), String::new()),
        }
    }
}

/// A finding in the making.
pub(crate) struct FindingBuilder<'f> {
    findings: &'f mut Vec<Finding>,
    rule: &'static Rule,
    finding: Finding,
}

impl FindingBuilder<'_> {
    pub(crate) fn value(mut self, value: impl Display) -> Self {
        self.finding.value = Some(value.to_string());
        self
    }

    pub(crate) fn effective(mut self, effective: impl Display) -> Self {
        self.finding.effective = Some(effective.to_string());
        self
    }

    pub(crate) fn code(mut self, code: impl Into<Option<&'static str>>) -> Self {
        self.finding.httpd = code.into().map(str::to_owned);
        self
    }

    /// Makes it weigh at most this.
    pub(crate) fn at_most(mut self, severity: Severity) -> Self {
        // Errors are the least in the order, because they sort first.
        self.finding.severity = self.finding.severity.max(severity);
        self
    }

    /// Makes it weigh what the rule says, whoever wrote the line: the server does not serve with it.
    pub(crate) fn fatal(mut self) -> Self {
        self.finding.severity = self.rule.severity;
        self
    }

    /// Takes what a correction of httpd says of value, effective value and code.
    pub(crate) fn correction(self, correction: &Correction) -> Self {
        self.value(&correction.from).effective(&correction.to).code(correction.code)
    }

    /// Reports it: what is wrong, and what to do instead.
    pub(crate) fn emit(mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.finding.message = message.into();
        self.finding.hint = hint.into();
        self.findings.push(self.finding);
    }
}
