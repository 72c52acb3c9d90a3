//! The project's own commands: `cargo xtask demo`, `cargo xtask test` and what they are made of.

// What these commands print is what they are for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod ansible_docs;
mod bench;
mod collection;
mod demo;
mod demo_fleet;
mod differential;
mod dist;
mod fixture;
mod fresh;
mod fuzz;
mod generate;
mod host;
mod measure;
mod measure_log;
#[cfg(test)]
mod programs;
mod steps;
mod test;
mod words;

use std::process::ExitCode;

use anyhow::Result;
use lexopt::Arg;

/// One command.
struct Subcommand {
    name: &'static str,
    /// One line for the overview.
    help: &'static str,
    run: fn(lexopt::Parser) -> Result<ExitCode>,
}

const COMMANDS: &[Subcommand] = &[
    Subcommand { name: "demo", help: demo::HELP, run: demo::run },
    Subcommand { name: "test", help: test::HELP, run: test::run },
    Subcommand { name: "dist", help: dist::HELP, run: dist::run },
    Subcommand { name: "collection", help: collection::HELP, run: collection::run },
    Subcommand { name: "bench", help: bench::HELP, run: bench::run },
    Subcommand { name: "host", help: host::HELP, run: host::run },
    Subcommand { name: "fresh", help: fresh::HELP, run: fresh::run },
    Subcommand { name: "fuzz", help: fuzz::HELP, run: fuzz::run },
    Subcommand { name: "fixture", help: fixture::HELP, run: fixture::run },
    Subcommand { name: "differential", help: differential::HELP, run: differential::run },
    Subcommand { name: "words", help: words::HELP, run: words::run },
    Subcommand { name: "schema", help: "write schema/*.json from the Rust types", run: schema },
    Subcommand {
        name: "docs",
        help: "write docs/rules.md and the modules' documentation in the collection",
        run: docs,
    },
];

/// Wrong usage, or something of this machine is missing: nothing was tried.
const NOT_STARTED: u8 = 2;

fn main() -> ExitCode {
    let mut arguments = lexopt::Parser::from_env();
    let Ok(Some(Arg::Value(name))) = arguments.next() else { return usage() };
    let Some(command) = COMMANDS.iter().find(|command| name == command.name) else { return usage() };
    match (command.run)(arguments) {
        Ok(code) => code,
        Err(error) if error.is::<lexopt::Error>() => {
            eprintln!("cargo xtask {}: {error}", command.name);
            ExitCode::from(NOT_STARTED)
        }
        Err(error) => {
            eprintln!("cargo xtask {}: {error:#}", command.name);
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    println!("usage: cargo xtask COMMAND [--help]\n");
    for command in COMMANDS {
        println!("  {:<12} {}", command.name, command.help);
    }
    ExitCode::from(NOT_STARTED)
}

/// Accepts no argument at all.
fn no_arguments(mut arguments: lexopt::Parser) -> Result<()> {
    match arguments.next()? {
        None => Ok(()),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

fn schema(arguments: lexopt::Parser) -> Result<ExitCode> {
    no_arguments(arguments)?;
    generate::schemas(&test_hosts::folders::workspace())?;
    Ok(ExitCode::SUCCESS)
}

fn docs(arguments: lexopt::Parser) -> Result<ExitCode> {
    no_arguments(arguments)?;
    let root = test_hosts::folders::workspace();
    generate::rules(&root)?;
    ansible_docs::write(&root)?;
    Ok(ExitCode::SUCCESS)
}
