//! Front 2: the same operations for a person.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

/// Tells whether a word is a subcommand or an option rather than a file of parameters.
pub fn is_command(word: &OsStr) -> bool {
    word == "rules"
}

/// Runs a command line.
pub fn run(_arguments: Vec<OsString>) -> ExitCode {
    ExitCode::from(2)
}
