//! Front 1: the Ansible module contract. One JSON object in, exactly one JSON object out.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::operate::{self, Mode};
use crate::params::{self, Asked, Refused};
use crate::report::Report;

/// The largest input that is read; a task's parameters are a few kilobytes.
const MOST: u64 = 16 * 1024 * 1024;

/// Runs the module on the parameters in a file, or on descriptor 0 for `-`. Returns the result's JSON and whether it
/// failed. Nothing else is ever printed.
pub fn run(argument: &Path) -> (String, bool) {
    let report = match input(argument) {
        Ok(input) => answer(&input),
        Err(error) => Report {
            failed: true,
            msg: format!(
                "the parameters could not be read from {}: {error}; give a readable file",
                argument.display()
            ),
            ..Report::default()
        },
    };
    let failed = report.failed;
    (json(&report), failed)
}

/// Reads the whole input before anything else is done: Ansible may remove the file while the module runs.
fn input(argument: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if argument == Path::new("-") {
        // The descriptor itself: opening /dev/stdin anew is refused after a change of user.
        io::stdin().lock().take(MOST).read_to_end(&mut content)?;
    } else {
        if !fs::metadata(argument)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        fs::File::open(argument)?.take(MOST).read_to_end(&mut content)?;
    }
    Ok(content)
}

/// Does what the parameters ask for.
fn answer(input: &[u8]) -> Report {
    match params::parse(input) {
        Err(refused) => structural(refused),
        Ok((Asked::Tuning(params), context)) => {
            let mode = Mode { check: context.check_mode, diff: context.diff };
            let mut report = operate::tuning(&params, mode);
            if context.invocation {
                report.invocation = invocation(input);
            }
            report
        }
        Ok((Asked::Info(_), _)) => {
            Report { failed: true, msg: "tuning_info is not supported yet".to_owned(), ..Report::default() }
        }
    }
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
pub fn json(report: &Report) -> String {
    serde_json::to_string(report)
        .unwrap_or_else(|error| format!("{{\"changed\": false, \"failed\": true, \"msg\": \"{error}\"}}"))
}
