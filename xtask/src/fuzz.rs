//! Fuzzing the reader of httpd's configuration: libFuzzer with the stable compiler, which needs no other tool.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use test_hosts::apt::{self, Need};
use test_hosts::folders;

use crate::steps::{cargo, run as go};

/// What the fuzzer needs of this machine.
pub(crate) const NEEDS: &[Need] = &[Need {
    package: "g++",
    purpose: "builds the fuzzer's engine",
    programs: &["g++"],
    met: || apt::there("/usr/bin/g++"),
}];

/// Seconds that it runs unless told otherwise.
pub(crate) const SECONDS: u32 = 60;

pub(crate) const HELP: &str =
    "feed the reader of httpd's configuration with whatever breaks it [--seconds N]";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut seconds = SECONDS;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("seconds") => seconds = arguments.value()?.parse()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    reader(seconds)?;
    Ok(ExitCode::SUCCESS)
}

/// Instrumentation of the program under test, as libFuzzer reads it.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

/// Runs the fuzz target from the kept inputs and the written configurations on. What it finds on the way is kept under
/// `target/fuzz/`; an input that breaks something is left there too, and named.
pub(crate) fn reader(seconds: u32) -> Result<()> {
    apt::provide(NEEDS)?;
    let home = folders::target().join("fuzz");
    let (corpus, broken) = (home.join("corpus"), home.join("broken"));
    for folder in [&corpus, &broken] {
        fs::create_dir_all(folder)?;
    }
    let root = folders::workspace();
    for seeds in ["fuzz/corpus/reader", "tests/configurations"] {
        for entry in fs::read_dir(root.join(seeds))? {
            let entry = entry?;
            fs::copy(entry.path(), corpus.join(entry.file_name()))?;
        }
    }

    // With a target named, the flags hold for what is fuzzed and not for the programs that build it.
    let target = host_target()?;
    let mut build = cargo();
    build.current_dir(root.join("fuzz")).args(["build", "--quiet", "--release", "--target", &target]);
    build.env("CARGO_TARGET_DIR", &home).env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    go(&mut build)?;

    let mut fuzzer = Command::new(home.join(&target).join("release/reader"));
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(artifacts(&broken));
    fuzzer.args(["-max_len=65536", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]).arg(&corpus);
    go(&mut fuzzer).with_context(|| format!("the reader was broken; the input is under {}", broken.display()))
}

fn artifacts(folder: &Path) -> String {
    format!("-artifact_prefix={}/", folder.display())
}

/// Returns the compiler's own target.
fn host_target() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("starting `rustc`")?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(target) => Ok(target.to_owned()),
        None => bail!("`rustc -vV` names no host"),
    }
}
