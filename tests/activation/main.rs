//! How a change arrives in a running server and how the server is judged afterwards: what it is asked, in which way it
//! is asked, and what a reload that failed costs.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod balancer;
mod health;
mod look_again;
mod reload;

use serde_json::{Value, json};
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// A host with a running event server.
fn running() -> Host {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    host.start_apache();
    host
}

fn tune(host: &Host, parameters: &Value) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let ran = host.run(&["apache-tuning", "/root/parameters.json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Tunes with every rule waived that prevents it, so that the server itself has the word.
fn tune_past_rules(host: &Host, parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    loop {
        let result = tune(host, &parameters);
        let refusing: Vec<Value> = result["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "error" && finding["waived"] != true)
            .map(|finding| finding["rule"].clone())
            .collect();
        if result["failed"] != true || refusing.is_empty() {
            return result;
        }
        let waived = parameters["waive"].as_array().cloned().unwrap_or_default();
        parameters["waive"] = json!([waived, refusing].concat());
    }
}

fn parent(host: &Host) -> Option<u32> {
    host.apache_processes().into_iter().min()
}

/// Returns the finding of a rule.
fn finding<'a>(result: &'a Value, rule: &str) -> Option<&'a Value> {
    result["findings"].as_array()?.iter().find(|finding| finding["rule"] == rule)
}
