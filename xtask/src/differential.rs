//! `cargo xtask differential`: many random settings and configuration trees, judged by the rules and the reader and
//! by the real httpd of each test host.

#[path = "../../tests/support/differential.rs"]
mod sets;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use lexopt::prelude::*;
use test_hosts::{Flavour, Host, Release};

pub(crate) const HELP: &str = "judge random settings and configuration trees against the real httpd \
    [--cases N] [--start N] [--trees N] [--seed N] [--release bookworm|trixie]";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut cases, mut started, mut trees, mut seed, mut only) = (10_000, 40, 2_000, 1, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("cases") => cases = arguments.value()?.parse()?,
            Long("start") => started = arguments.value()?.parse()?,
            Long("trees") => trees = arguments.value()?.parse()?,
            Long("seed") => seed = arguments.value()?.parse()?,
            Long("release") => only = Some(arguments.value()?.parse_with(crate::host::release)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut agreed = true;
    for release in only.map_or(Release::ALL.to_vec(), |one| vec![one]) {
        let host = Host::of(release, Flavour::Event);
        let version = sets::version(&host);
        let start = Instant::now();
        let outcome = sets::judge(&host, version, seed, cases);
        let wrong = sets::wrongly_started(&host, &sets::startable(seed, started, version));
        for disagreement in outcome.disagreements.iter().chain(&wrong) {
            println!("{disagreement}\n");
        }
        println!(
            "{:<10} httpd {version}, seed {seed}: {} disagreements in {cases} sets ({} refused, {} different \
             corrections), {} of {started} servers started otherwise than predicted ({:.0} s)",
            release.suite(),
            outcome.disagreements.len(),
            outcome.refused,
            outcome.codes.len(),
            wrong.len(),
            start.elapsed().as_secs_f32()
        );
        let shell = test_differential::shell(&host);
        let bed = test_differential::Bed { root: host.root(), shell: &shell };
        let read = test_differential::random_trees(&bed, "/cases", seed << 32, trees)?;
        println!("{:<10} trees: {read}", release.suite());
        agreed &= outcome.disagreements.is_empty() && wrong.is_empty() && read.differences.is_empty();
    }
    Ok(if agreed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
