//! The real program on hosts with a real server: what counts as the running server, and what may be done to it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod foreground;
mod recovered;
mod session;
mod signals;
mod who_runs;

use std::process::{Child, Stdio};

use serde_json::Value;
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// Returns a host with the program, a running server not yet in it.
fn host() -> Host {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    host
}

/// Runs the program with parameters and returns its answer.
#[track_caller]
fn tune(host: &Host, parameters: &Value) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let ran = host.run(&["apache-tuning", "/root/parameters.json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// A process in a host that ends with the test.
struct Background(Child);

impl Background {
    /// Starts a line of shell and waits until `ready`, another line of shell, is true.
    #[track_caller]
    fn start(host: &Host, line: &str, ready: &str) -> Self {
        let mut command = host.command("sh");
        let child = command.args(["-c", line]).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let background = Self(child);
        wait_for(host, ready);
        background
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a line of shell in the host is true.
#[track_caller]
fn wait_for(host: &Host, line: &str) {
    for _ in 0..1000 {
        if host.sh(line).success() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("not true after 20 s: {line}");
}

/// Interrupts a run in the middle of its activation: the parent does not hear its signal, and the run is killed while
/// it waits for the effect, and its guard with it.
fn interrupt(host: &Host, run: &str) {
    host.sh("kill -STOP $(pgrep -o -x apache2)").ok();
    let started =
        Background::start(host, run, "grep -q '\"phase\":\"activating\"' /var/lib/apache-tuning/journal");
    host.sh("sleep 0.3; pkill -KILL -f '[_]_guard'; pkill -KILL apache-tuning; true").ok();
    drop(started);
    host.sh("kill -CONT $(pgrep -o -x apache2)").ok();
}
