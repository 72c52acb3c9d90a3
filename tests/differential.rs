//! What the rules predict of random settings is what the real httpd does.
#![allow(clippy::panic)]

#[path = "support/differential.rs"]
mod differential;

use differential::{judge, startable, version, wrongly_started};
use test_hosts::Host;

/// Sets for each release; `cargo xtask differential` judges as many as wanted.
const CASES: usize = 300;
/// Servers that are really started.
const STARTED: usize = 40;

#[test]
fn debian_12_s_httpd_answers_as_predicted() {
    agrees(&Host::debian12_event(), 12);
}

#[test]
fn debian_13_s_httpd_answers_as_predicted() {
    agrees(&Host::debian13_event(), 13);
}

fn agrees(host: &Host, seed: u64) {
    let outcome = judge(host, version(host), seed, CASES);
    let found = &outcome.disagreements;
    assert!(found.is_empty(), "seed {seed}, {} disagreements:\n{}", found.len(), found.join("\n"));
    // The sets are such that agreeing means something.
    assert!((CASES / 10..CASES / 2).contains(&outcome.refused), "{} of {CASES} refused", outcome.refused);
    assert!(outcome.codes.len() >= 24, "only these corrections were seen: {:?}", outcome.codes);
}

#[test]
fn servers_come_to_the_processes_and_threads_predicted() {
    let host = Host::debian12_event();
    let wrong = wrongly_started(&host, &startable(1, STARTED, version(&host)));
    assert!(wrong.is_empty(), "{} of {STARTED}:\n{}", wrong.len(), wrong.join("\n"));
}
