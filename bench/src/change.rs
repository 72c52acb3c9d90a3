//! What a change costs beside `apache2ctl configtest`, and how long a swap interrupts the service beside one by hand.
//! Times count only as ratios of one run.

// What it prints is what it is for.
#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use test_hosts::Host;

/// Times that of `apache2ctl configtest` a change may take that no server loads.
const MOST_OF_CONFIG_TEST: f64 = 1.5;

/// Milliseconds that a rehearsal may add to a change on the stock host.
const MOST_OF_REHEARSAL: f64 = 400.0;

/// Times the gap of a swap by hand that the program's may last: not longer, but for what a clock cannot tell.
const MOST_OF_HAND: f64 = 1.05;

/// Does the measuring in the host, so that getting into it counts for nothing.
const SCRIPT: &str = include_str!("change.py");

/// Measures both, prints them, and tells whether they keep their limits.
///
/// # Errors
/// Where something could not be measured.
pub fn run(program: &Path) -> Result<bool> {
    let cost = measure(program, "cost", 15, false)?;
    let test = median(&cost, "configtest")?;
    println!("a change that no server loads, and `apache2ctl configtest` ({test:.1} ms) in turns:");
    let mut within = true;
    for (name, kind) in [("  numbers", "numbers"), ("  swap of the MPM", "swap")] {
        within &= held(name, median(&cost, kind)?, test, MOST_OF_CONFIG_TEST);
    }

    println!("the same with a rehearsal, and what it adds:");
    for kind in ["numbers", "swap"] {
        let with = median(&cost, &format!("{kind} rehearsed"))?;
        within &= added(&format!("  {kind}"), with, with - median(&cost, kind)?);
    }

    let gap = measure(program, "gap", 7, true)?;
    let hand = median(&gap, "hand")?;
    println!("longest time without an answer, and that of stop and start by hand ({hand:.1} ms) in turns:");
    within &= held("  swap of the MPM", median(&gap, "program")?, hand, MOST_OF_HAND);
    Ok(within)
}

/// Prints a ratio beside its limit, and tells whether it keeps it.
fn held(what: &str, found: f64, of: f64, most: f64) -> bool {
    let ratio = found / of;
    let within = ratio <= most;
    println!(
        "{what:<20} {found:>7.1} ms  {ratio:>5.2}  (at most {most}){}",
        if within { "" } else { "  TOO MUCH" }
    );
    within
}

/// Prints what a rehearsal adds beside its limit, and tells whether it keeps it.
fn added(what: &str, found: f64, more: f64) -> bool {
    let within = more <= MOST_OF_REHEARSAL;
    println!(
        "{what:<20} {found:>7.1} ms  {more:>+5.1} ms  (at most {MOST_OF_REHEARSAL}){}",
        if within { "" } else { "  TOO MUCH" }
    );
    within
}

/// Lets the script measure on a fresh host.
fn measure(program: &Path, what: &str, rounds: u32, running: bool) -> Result<BTreeMap<String, Vec<f64>>> {
    let host = Host::debian12_event();
    let program = host.install_binary(program);
    // A client that asks without pause is what mod_evasive is there to turn away.
    host.sh("a2dismod -q evasive").ok();
    host.write("/root/change.py", SCRIPT);
    if running {
        host.start_apache();
    }
    let program = program.to_string_lossy();
    let ran = host.run(&["python3", "/root/change.py", what, &program, &rounds.to_string()]);
    if !ran.success() {
        bail!("measuring failed: {}{}", ran.stdout, ran.stderr);
    }
    serde_json::from_str(&ran.stdout).with_context(|| format!("unexpected answer: {}", ran.stdout))
}

/// Returns the median of one series.
fn median(found: &BTreeMap<String, Vec<f64>>, name: &str) -> Result<f64> {
    let mut times = found.get(name).with_context(|| format!("no times of {name}"))?.clone();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().with_context(|| format!("no times of {name}"))
}
