//! `cargo xtask test`: everything a change must pass, from a checkout that was never built.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Result, bail};
use lexopt::prelude::*;
use test_hosts::apt::{self, HOST_NEEDS, Need};
use test_hosts::memory::InMemory;
use test_hosts::{EXHAUSTIVE_VARIABLE, Flavour, LONG_VARIABLE, Release, ansible, browser, folders, template};

use crate::NOT_STARTED;
use crate::steps::{Times, answers, cargo, run as go};
use crate::{fuzz, words};

pub(crate) const HELP: &str =
    "install what the tests need, then check and test everything [--long: more cases, a minute of fuzzing]";

/// What the tests need of this machine besides the hosts.
pub(crate) const TEST_NEEDS: &[Need] = &[
    Need {
        package: "python3-venv",
        purpose: "runs Ansible",
        programs: &["python3"],
        met: ansible::can_be_made,
    },
    Need {
        package: "strace",
        purpose: "stops the program at each system call",
        programs: &["strace"],
        met: || apt::there("/usr/bin/strace"),
    },
    Need {
        package: "procps",
        purpose: "finds a process that was left",
        programs: &["pgrep"],
        met: || apt::there("/usr/bin/pgrep"),
    },
    Need {
        package: "groff-base",
        purpose: "reads the manual page",
        programs: &["groff"],
        met: || apt::there("/usr/bin/groff"),
    },
    Need {
        package: "perl",
        purpose: "runs Debian's a2enmod",
        programs: &["perl"],
        // The smallest Perl has not all that it uses.
        met: || answers(Command::new("perl").args(["-e", "use if 1, 'strict'"])),
    },
    Need {
        package: "shellcheck",
        purpose: "reads the shell scripts",
        programs: &["shellcheck"],
        met: || apt::there("/usr/bin/shellcheck"),
    },
];

/// How this run is.
#[derive(Clone, Copy)]
struct Setting<'a> {
    /// Whether it may take long.
    long: bool,
    /// Where its hosts are, if not at their usual place.
    hosts: Option<&'a Path>,
}

/// One check.
struct Check {
    name: &'static str,
    run: fn(Setting) -> Result<()>,
}

/// All checks, in this order; each is made, also after one that failed.
const CHECKS: &[Check] = &[
    Check { name: "format", run: |_| go(cargo().args(["fmt", "--all", "--check"])) },
    Check { name: "lints", run: |_| lints() },
    Check { name: "dependencies", run: |_| dependencies() },
    Check { name: "words", run: |_| words::check() },
    Check { name: "tests", run: tests },
    Check { name: "examples in the documentation", run: |_| examples() },
];

/// Those that only a long run makes, behind the others.
const LONG_CHECKS: &[Check] = &[Check { name: "a minute of fuzzing", run: |_| fuzz::reader(fuzz::SECONDS) }];

fn examples() -> Result<()> {
    go(cargo().args(["test", "--quiet", "--workspace", "--doc"]))
}

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut long = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("long") => long = true,
            _ => return Err(argument.unexpected().into()),
        }
    }

    let mut times = Times::default();
    if let Err(error) = times.step("what this machine must have", machine) {
        eprintln!("cargo xtask test: {error:#}");
        return Ok(ExitCode::from(NOT_STARTED));
    }
    let memory = prepare(&mut times)?;
    let mut good = true;
    let more = if long { LONG_CHECKS } else { &[] };
    for check in CHECKS.iter().chain(more) {
        let place = memory.as_ref().map(InMemory::folder);
        if let Err(error) = times.step(check.name, || (check.run)(Setting { long, hosts: place })) {
            eprintln!("cargo xtask test: {error:#}");
            good = false;
        }
    }
    times.print();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Brings what is missing of this machine, or says what that is.
fn machine() -> Result<()> {
    let needs: Vec<Need> = HOST_NEEDS.iter().chain(TEST_NEEDS).chain(browser::NEEDS).copied().collect();
    apt::provide(&needs)?;
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!(
        "the tests build real Debian hosts and run servers in namespaces of their own, which only root may; \
         run `cargo xtask test` as root, in a container or a virtual machine if you like \
         (`cargo xtask demo` needs no root)"
    )
}

/// Builds what the tests share: Ansible's environment and the hosts, which are kept for the next run; for this run
/// the hosts are copied into memory where there is room.
fn prepare(times: &mut Times) -> Result<Option<InMemory>> {
    times.step("Ansible's Python environment", ansible::ensure_checks)?;
    times.step("the test hosts", || {
        for release in Release::ALL {
            template::ensure(release, Flavour::Php)?;
        }
        if std::env::var_os(folders::HOSTS_VARIABLE).is_some() { Ok(None) } else { InMemory::prepare() }
    })
}

fn lints() -> Result<()> {
    let words = ["clippy", "--quiet", "--workspace", "--all-targets", "--all-features", "--"];
    go(cargo().args(words).args(["--deny", "warnings"]))
}

/// Licences, sources and forbidden crates; without the network, so without the list of advisories.
fn dependencies() -> Result<()> {
    if !answers(cargo().args(["deny", "--version"])) {
        println!("cargo-deny is not installed: left out");
        return Ok(());
    }
    go(cargo().args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
}

fn tests(setting: Setting) -> Result<()> {
    let mut command = cargo();
    if answers(cargo().args(["nextest", "--version"])) {
        command.args(["nextest", "run", "--workspace", "--no-tests=fail"]);
    } else {
        command.args(["test", "--quiet", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]);
    }
    if setting.long {
        command.env(LONG_VARIABLE, "1").env(EXHAUSTIVE_VARIABLE, "1");
    }
    if let Some(hosts) = setting.hosts {
        command.env(folders::HOSTS_VARIABLE, hosts);
    }
    go(&mut command)
}
