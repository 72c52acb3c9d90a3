//! `cargo xtask bench capacity`: measures on real servers of this machine, and writes what was seen into `docs/`.

use std::process::ExitCode;

use anyhow::Result;

use crate::steps::cargo;

pub(crate) const HELP: &str =
    "measure real servers: `capacity [--quick]` holds thousands of connections, writes docs/capacity.md";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let status =
        cargo().args(["run", "--quiet", "--package", "bench", "--"]).args(arguments.raw_args()?).status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
