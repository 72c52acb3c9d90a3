//! Running one thing after the other, each with its time.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use test_hosts::folders;

/// Returns a command of this workspace: it starts in the workspace's root folder.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folders::workspace());
    command
}

/// Returns the Cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What Cargo set for running this program is not meant for the next Cargo.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end, its words shown as they come.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting `{name}`"))?;
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", line(command))
}

/// Runs a command to its end and returns its standard output; standard error is shown.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{}`", line(command)))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    bail!("`{}` failed ({})", line(command), output.status)
}

/// Tells whether a program can be started and then succeeds, with nothing shown.
pub(crate) fn answers(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The times of the steps done so far.
#[derive(Debug, Default)]
pub(crate) struct Times {
    rows: Vec<(&'static str, Duration, &'static str)>,
}

impl Times {
    /// Runs a step; its name is printed before, its time is kept.
    pub(crate) fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("== {name}");
        let start = Instant::now();
        let done = work();
        self.rows.push((name, start.elapsed(), if done.is_ok() { "ok" } else { "FAILED" }));
        done
    }

    /// Prints one row a step.
    pub(crate) fn print(&self) {
        println!();
        for (name, time, word) in &self.rows {
            println!("{:>8.1} s  {word:<6}  {name}", time.as_secs_f32());
        }
    }
}

/// Returns the debug binary, built if need be.
pub(crate) fn debug_binary() -> Result<PathBuf> {
    run(cargo().args(["build", "--quiet", "--package", "apache-tuning", "--bin", "apache-tuning"]))?;
    Ok(folders::target().join("debug/apache-tuning"))
}
