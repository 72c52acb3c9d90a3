//! The real program on real hosts whose server is started in another way than the package's: by an image's environment, by
//! files that `envvars` reads, with directories that only the start script makes.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod environment;
mod run_directory;

use serde_json::Value;
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// Runs the program in the host, with variables in its environment.
#[track_caller]
fn tune(host: &Host, environment: &[&str], parameters: &Value) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let mut command = host.command_with(environment, "/usr/local/bin/apache-tuning");
    let output = command.arg("/root/parameters.json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Runs the program of this machine on the host's directory.
#[track_caller]
fn tune_root(host: &Host, parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    parameters["root"] = host.root().to_str().into();
    let task = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(task.path(), parameters.to_string()).unwrap();
    let output = std::process::Command::new(PROGRAM).arg(task.path()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn host() -> Host {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    host
}
