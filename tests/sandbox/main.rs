//! What is started to test a change: it reaches nothing of the host and leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::panic)]

mod another_root;
mod rehearsal;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The program as this machine runs it.
const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// Runs a program of this tool on this machine.
fn tune_with(program: &Path, parameters: &Value) -> Value {
    let mut run = Command::new(program)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    run.stdin.take().unwrap().write_all(parameters.to_string().as_bytes()).unwrap();
    let output = run.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}
