//! `cargo xtask host`: builds the real Debian hosts of the tests, and opens a copy to look around in.

use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use lexopt::prelude::*;
use test_hosts::{Flavour, Host, Release, template};

pub(crate) const HELP: &str =
    "build the test hosts [--release bookworm|trixie] [--rebuild] [--shell] [--event]";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut only = None;
    let (mut rebuild, mut shell, mut flavour) = (false, false, Flavour::Php);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("release") => only = Some(arguments.value()?.parse_with(release)?),
            Long("rebuild") => rebuild = true,
            Long("shell") => shell = true,
            Long("event") => flavour = Flavour::Event,
            _ => return Err(argument.unexpected().into()),
        }
    }
    for release in only.map_or(Release::ALL.to_vec(), |one| vec![one]) {
        if rebuild {
            template::forget(release)?;
        }
        let start = Instant::now();
        let root = template::ensure(release, flavour)?;
        println!("{:<10} {} ({:.1} s)", release.suite(), root.display(), start.elapsed().as_secs_f32());
    }
    if shell {
        let host = Host::of(only.unwrap_or(Release::Bookworm), flavour);
        println!("a copy of its own, gone when this shell ends: {}", host.root().display());
        host.command("bash").stdin(Stdio::inherit()).status().context("starting a shell")?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn release(name: &str) -> Result<Release, String> {
    Release::named(name).ok_or_else(|| "there are bookworm and trixie".to_owned())
}
