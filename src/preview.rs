//! The staged test, before anything is touched: the real `httpd -t` on the planned files, then the rehearsal, the real
//! httpd started with them where nobody can see it.

use crate::httpd::binary::{Httpd, Tested};
use crate::httpd::read::startup::Startup;
use crate::report::{Finding, RehearsalReport};
use crate::rules::run;
use crate::sandbox::{Ended, Kind, Overlay, Rehearsal, Rehearsed};
use crate::tree::Change;

/// Runs the real configuration test on the files as `changes` would make them. The host is not touched.
///
/// # Errors
/// Why the test could not run here, in words for the result; the caller then tests after the change.
pub fn staged_test(httpd: &Httpd, changes: &[Change]) -> Result<Tested, String> {
    httpd.test_with(Overlay::new(changes))
}

/// Modules that speak with others while httpd starts: a certificate authority, a database, or whatever a site's own
/// program does.
const REACH_OUT: [&str; 3] = ["md_module", "dbd_module", "perl_module"];

/// What a private network and read-only files do to a server that is sound: then the rehearsal says nothing.
///
/// A syntax error after a test that passed is a name that could not be looked up; an address that cannot be bound is one
/// with a zone; what root is not permitted a security module forbids there.
const OF_THE_REHEARSAL: [&str; 5] =
    ["Read-only file system", "Syntax error", "AH00526", "AH00072", "Permission denied"];

/// What the rehearsal says of a change.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// As the result has it.
    pub report: RehearsalReport,
    /// Why the change is refused.
    pub refusal: Option<Finding>,
}

impl Verdict {
    /// The verdict of a rehearsal that was not held.
    pub fn none(reason: impl Into<String>) -> Self {
        Self {
            report: RehearsalReport { reason: Some(reason.into()), ..RehearsalReport::default() },
            refusal: None,
        }
    }
}

/// Starts the real httpd with the files as `changes` would make them, in namespaces of its own, and asks it for `path`
/// once. `startup` is the configuration that it will read. The host is not touched.
pub fn rehearse(httpd: &Httpd, changes: &[Change], startup: &Startup, path: &str) -> Verdict {
    if let Some(module) = REACH_OUT.iter().find(|module| startup.configuration.has_module(module)) {
        return Verdict::none(format!("{module} is loaded, which speaks with others while httpd starts"));
    }
    let rehearsal =
        || Rehearsal { path: path.to_owned(), writes_to: startup.written_dirs().into_iter().collect() };
    let rehearsed = match httpd.rehearse(Overlay::new(changes), rehearsal()) {
        Ok(rehearsed) => rehearsed,
        Err(reason) => return Verdict::none(reason),
    };
    let mut report = RehearsalReport {
        ran: true,
        ok: Some(true),
        status: status(&rehearsed),
        milliseconds: Some(rehearsed.milliseconds),
        output: rehearsed.output.clone(),
        reason: None,
    };
    let problem = match Problem::of(&rehearsed) {
        Ok(None) => return Verdict { report, refusal: None },
        Ok(Some(problem)) => problem,
        Err(reason) => {
            report = RehearsalReport { ran: false, ok: None, reason: Some(reason), ..report };
            return Verdict { report, refusal: None };
        }
    };
    // Whether the change is to blame is seen by what the files as they are do.
    let before = if changes.is_empty() { None } else { httpd.rehearse(Overlay::default(), rehearsal()).ok() };
    let before = before.and_then(|before| Problem::of(&before).ok());
    // An answer of 500 is the change's fault only where the same question was seen to be answered otherwise before.
    let unproven = before.is_none() && problem == Problem::Fails;
    let refusal =
        if unproven { None } else { problem.refusal(before.flatten(), changes.is_empty(), &rehearsed, path) };
    report.ok = Some(refusal.is_none());
    Verdict { report, refusal }
}

/// Returns the status that counts: of a listener that answered 500, else of the first that was asked.
fn status(rehearsed: &Rehearsed) -> Option<u16> {
    let all = || rehearsed.answers.iter().filter_map(|answer| answer.status);
    all().find(|status| *status == 500).or_else(|| all().next())
}

/// What was wrong in a rehearsal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    /// httpd ended before it served.
    Ended(Ended),
    /// Its processes die of a request.
    Dies,
    /// It answers 500. Without backends and a network an application may say 502 to 504; that is not its fault.
    Fails,
}

impl Problem {
    /// Returns it; an error where the rehearsal says nothing about the server as it will run.
    fn of(rehearsed: &Rehearsed) -> Result<Option<Self>, String> {
        let Rehearsed { ended, answers, output, .. } = rehearsed;
        if let Some(ended) = *ended {
            if let Some(sign) = OF_THE_REHEARSAL.iter().find(|sign| output.contains(**sign)) {
                return Err(format!("httpd ended in the rehearsal for a reason of the private view: {sign}"));
            }
            if ended == Ended::Code(0) && !output.contains("AH") {
                return Err("httpd ended in the rehearsal with success and silently".to_owned());
            }
            return Ok(Some(Self::Ended(ended)));
        }
        if answers.is_empty() {
            return Err(format!(
                "httpd did not serve in the rehearsal within {} s",
                rehearsed.milliseconds / 1000
            ));
        }
        let silent = answers.iter().all(|answer| answer.kind == Kind::Silent);
        if silent && output.contains("exit signal") {
            return Ok(Some(Self::Dies));
        }
        Ok((status(rehearsed) == Some(500)).then_some(Self::Fails))
    }

    /// Makes the finding that refuses the change; `None` where it is no worse than what is there.
    fn refusal(
        self,
        before: Option<Self>,
        stands: bool,
        rehearsed: &Rehearsed,
        path: &str,
    ) -> Option<Finding> {
        let lines: Vec<&str> = rehearsed.output.lines().collect();
        let mut said = lines.join("; ");
        if said.is_empty() {
            said = match self {
                Self::Ended(Ended::Code(code)) => format!("it ended with exit code {code} and said nothing"),
                Self::Ended(Ended::Signal(signal)) => format!("it was ended by signal {signal}"),
                Self::Dies | Self::Fails => "it said nothing".to_owned(),
            };
        }
        let (rule, message, hint) = match (self, before) {
            (Self::Fails, Some(_)) => return None,
            (Self::Fails, None) if stands => return None,
            (Self::Fails, None) => (
                &run::TST_007,
                format!("the server answers `{path}` with 500 with the planned configuration only: {said}"),
                "see what it says; the host is as it was",
            ),
            (Self::Ended(_) | Self::Dies, None) if !stands => (
                &run::TST_005,
                format!("httpd passes its test and does not serve with the planned configuration: {said}"),
                "see what it says; the host is as it was",
            ),
            (Self::Ended(_) | Self::Dies, _) => (
                &run::TST_006,
                format!(
                    "httpd passes its test and does not serve with the files as they are: the next start or reload \
                     fails: {said}"
                ),
                "fix that first",
            ),
        };
        let mut told = rule.finding(("config_test", ""), message, hint.to_owned());
        told.httpd = code(&rehearsed.output);
        Some(told)
    }
}

/// Returns the first message code of httpd in a text.
fn code(text: &str) -> Option<String> {
    Tested::parse(false, text.to_owned()).codes.into_iter().next()
}
