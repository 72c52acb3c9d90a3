//! Front 1: the Ansible module contract. One JSON object in, exactly one JSON object out.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::operate::{self, Mode};
use crate::params::{self, Asked, Refused};
use crate::registry::FEATURES;
use crate::report::{Finding, Report, Severity};

/// Runs the module on the parameters in a file, or on descriptor 0 for `-`. Returns the result's JSON and whether it
/// failed. Nothing else is ever printed.
pub fn run(argument: &Path) -> (String, bool) {
    match input(argument) {
        Ok(input) => answer(&input),
        Err(error) => {
            let msg = format!(
                "the parameters could not be read from {}: {error}; give a readable file",
                argument.display()
            );
            (json(&Report { failed: true, msg, ..Report::default() }), true)
        }
    }
}

/// Reads the whole input before anything else is done: Ansible may remove the file while the module runs.
fn input(argument: &Path) -> io::Result<Vec<u8>> {
    if argument == Path::new("-") {
        // The descriptor itself: opening /dev/stdin anew is refused after a change of user.
        return bounded(io::stdin().lock());
    }
    if !fs::metadata(argument)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    bounded(fs::File::open(argument)?)
}

/// Reads to the end; of what is too large a byte more than may be, by which [`params::parse`] knows it.
pub(crate) fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    reader.take(params::LARGEST_INPUT + 1).read_to_end(&mut content)?;
    Ok(content)
}

/// Does what the parameters ask for.
fn answer(input: &[u8]) -> (String, bool) {
    match params::parse(input, FEATURES) {
        Err(refused) => {
            let no_log = refused.context.no_log;
            let mut report = structural(refused);
            if no_log {
                conceal(&mut report);
            }
            (json(&report), true)
        }
        Ok((Asked::Tuning(params), context)) => {
            let mode = Mode { check: context.check_mode, diff: context.diff };
            let mut report = operate::tuning(&params, mode);
            if context.verbosity == 0 && (report.failed || !report.changed) {
                // They matter to whoever asks for more; an unchanged host answers with little.
                report.findings.retain(|finding| finding.severity != Severity::Info);
            }
            if context.no_log {
                conceal(&mut report);
            }
            report.invocation = context.invocation.then(|| invocation(input)).flatten();
            let answer = (json(&report), report.failed);
            // The process ends with the answer.
            std::mem::forget(report);
            answer
        }
        Ok((Asked::Info(params), context)) => {
            let mut report = operate::info(&params);
            if context.no_log && report.failed {
                "the host could not be looked at; no_log hides the reason".clone_into(&mut report.msg);
            }
            report.invocation = context.invocation.then(|| invocation(input)).flatten();
            (json(&report), report.failed)
        }
    }
}

/// Takes out of the sentences of a result what may be the value of a parameter: the rules and the parameters remain.
fn conceal(report: &mut Report) {
    if report.failed {
        let refuses = |finding: &&Finding| finding.severity == Severity::Error && !finding.waived;
        let rules =
            report.findings.iter().filter(refuses).map(|finding| {
                format!("{} ({})", finding.rule, finding.setting.as_deref().unwrap_or("host"))
            });
        let paths = report.errors.iter().map(|error| error.path.clone());
        let named: Vec<String> = rules.chain(paths).collect();
        let what = if named.is_empty() { "the run failed".to_owned() } else { named.join(", ") };
        report.msg = format!("{what}; no_log hides the reasons");
    } else if report.note.is_some() {
        // It names the transaction that was asked for.
        "unchanged; no_log hides the reason".clone_into(&mut report.msg);
    }
    for error in &mut report.errors {
        "no_log hides the reason".clone_into(&mut error.message);
    }
    report.warnings.clear();
}

/// Returns the parameters as they were given, without Ansible's own keys.
fn invocation(input: &[u8]) -> Option<Value> {
    let mut given: Value = serde_json::from_slice(input).ok()?;
    given.as_object_mut()?.retain(|key, _| !key.starts_with("_ansible_"));
    Some(serde_json::json!({"module_args": given}))
}

/// Makes the result of parameters that could not be taken.
pub fn structural(refused: Refused) -> Report {
    let messages: Vec<&str> = refused.errors.iter().map(|error| error.message.as_str()).collect();
    Report { failed: true, msg: messages.join("; "), errors: refused.errors, ..Report::default() }
}

/// Writes a result as one line of JSON.
pub fn json<T: Serialize>(report: &T) -> String {
    serde_json::to_string(report)
        .unwrap_or_else(|error| format!("{{\"changed\": false, \"failed\": true, \"msg\": \"{error}\"}}"))
}
