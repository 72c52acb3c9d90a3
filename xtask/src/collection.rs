//! `cargo xtask collection`: the archive that `ansible-galaxy collection install` takes.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use test_hosts::{ansible, folders};

use crate::steps::{command, run as go};
use crate::{dist, no_arguments};

pub(crate) const HELP: &str =
    "build the binaries and the collection's archive, target/webfleet-apache-VERSION.tar.gz";

pub(crate) fn run(arguments: lexopt::Parser) -> Result<ExitCode> {
    no_arguments(arguments)?;
    let built = dist::run(lexopt::Parser::from_args([] as [&str; 0]))?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    let galaxy = ansible::ensure()?.join("bin/ansible-galaxy");
    let target = folders::target();
    let archive = target.join(concat!("webfleet-apache-", env!("CARGO_PKG_VERSION"), ".tar.gz"));
    let words = ["collection", "build", "--force", "--output-path"];
    go(command(galaxy).args(words).arg(&target).arg(folders::workspace().join("ansible")))?;
    // The collection has its version in galaxy.yml, the program in Cargo.toml.
    ensure!(archive.is_file(), "the version in ansible/galaxy.yml is not {}", env!("CARGO_PKG_VERSION"));
    println!("{}", archive.display());
    Ok(ExitCode::SUCCESS)
}
