//! `cargo xtask bench`: `capacity` measures real servers of this machine and writes what was seen into `docs/`;
//! `change` holds a change's time and the gap of a swap against what a person's own commands take; the others hold what
//! a run of the program costs against its limits.

use std::process::ExitCode;

use anyhow::Result;
use test_hosts::folders;

use crate::measure;
use crate::steps::{cargo, run as go};

pub(crate) const HELP: &str =
    "measure: capacity [--quick] on real servers; change, log, run, rules, size, vhosts against their limits";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let words: Vec<_> = arguments.raw_args()?.collect();
    if let [word] = words.as_slice()
        && let Some(measure) = word.to_str().and_then(measure::named)
    {
        return measure();
    }
    let program = if words.first().is_some_and(|word| word == "change") {
        measure::binary(false)?
    } else {
        go(cargo().args(["build", "--quiet", "--package", "apache-tuning"]))?;
        folders::target().join("debug/apache-tuning")
    };
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--package", "bench", "--"]).args(words).arg("--program").arg(program);
    let status = bench.status()?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}
