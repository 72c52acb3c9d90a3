//! `cargo xtask dist`: the static release binaries, put where the collection looks for them.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use sha2::{Digest, Sha256};
use test_hosts::folders;

use crate::steps::{answers, cargo, output, run as go};

pub(crate) const HELP: &str = "build the static binaries into the collection [--only x86_64|aarch64]";

/// An architecture as `uname -m` names it, and how a static binary for it is built.
struct Build {
    architecture: &'static str,
    /// The best target.
    musl: &'static str,
    /// The target that links glibc statically, where it can do without the musl one.
    glibc: &'static str,
    /// The environment variables of Cargo with which it links without a foreign toolchain.
    cross: &'static [(&'static str, &'static str)],
}

const BUILDS: &[Build] = &[
    Build {
        architecture: "x86_64",
        musl: "x86_64-unknown-linux-musl",
        glibc: "x86_64-unknown-linux-gnu",
        cross: &[
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Clink-self-contained=yes"),
        ],
    },
    Build {
        architecture: "aarch64",
        musl: "aarch64-unknown-linux-musl",
        glibc: "aarch64-unknown-linux-gnu",
        cross: &[
            ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld"),
            ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS", "-Clink-self-contained=yes"),
        ],
    },
];

/// How the program is linked: at a fixed address, which saves the table that would move it, 80 kB. All code is
/// generated when it is linked, so no library has to be built anew for this.
pub(crate) const LINKING: [&str; 1] = ["-Crelocation-model=static"];

/// Before the architecture in a program's name.
const PREFIX: &str = "apache-tuning-linux-";

/// The most a binary may have, in bytes: it travels to every host.
const MOST: usize = 800_000;

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut only = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("only") => only = Some(arguments.value()?.parse_with(known)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    for build in BUILDS.iter().filter(|build| only.is_none_or(|only| only == build.architecture)) {
        match make(build) {
            Ok((_, size)) if size <= MOST => {}
            // A large program works; `cargo xtask bench size` is what holds it against the limit.
            Ok((path, size)) => eprintln!("{} has {size} bytes, more than {MOST}", path.display()),
            Err(error) if only.is_none() && build.architecture != std::env::consts::ARCH => {
                println!("{:<8} left out: {error:#}", build.architecture);
            }
            Err(error) => return Err(error.context(format!("no binary for {}", build.architecture))),
        }
    }
    sums(&folder())?;
    Ok(ExitCode::SUCCESS)
}

/// Where the collection looks for its programs.
fn folder() -> PathBuf {
    folders::workspace().join("ansible/files/bin")
}

/// Writes `SHA256SUMS` beside the programs, in the form that `sha256sum --check` reads: all that are there.
fn sums(folder: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(PREFIX) {
            lines.push((name.clone(), checksum(&fs::read(folder.join(&name))?)));
        }
    }
    lines.sort();
    let text: String = lines.into_iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    Ok(fs::write(folder.join("SHA256SUMS"), text)?)
}

/// Returns the SHA-256 of bytes in hexadecimal digits.
fn checksum(content: &[u8]) -> String {
    let mut sum = String::new();
    for byte in Sha256::digest(content) {
        let _ = write!(sum, "{byte:02x}");
    }
    sum
}

fn known(name: &str) -> Result<&'static str, String> {
    let mut names = BUILDS.iter().map(|build| build.architecture);
    names.find(|known| *known == name).ok_or_else(|| "there are x86_64 and aarch64".to_owned())
}

/// Builds one binary, puts it into the collection and prints its row; returns its path and size.
fn make(build: &Build) -> Result<(PathBuf, usize)> {
    let native = build.architecture == std::env::consts::ARCH;
    let mut command = cargo();
    command.args(["rustc", "--quiet", "--release", "--locked", "--package", "apache-tuning"]);
    let target = if has_target(build.musl)? {
        if !native {
            command.envs(build.cross.iter().copied());
        }
        build.musl
    } else if native {
        println!("{} cannot be had here: glibc is linked statically instead", build.musl);
        command.env("RUSTFLAGS", "-Ctarget-feature=+crt-static");
        build.glibc
    } else {
        bail!("the target {} is not installed (`rustup target add {}`)", build.musl, build.musl)
    };
    go(command.args(["--bin", "apache-tuning", "--target", target, "--"]).args(LINKING))?;

    let made = folders::target().join(target).join("release/apache-tuning");
    let content = fs::read(&made).with_context(|| format!("reading {}", made.display()))?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{PREFIX}{}", build.architecture));
    fs::copy(&made, &path).with_context(|| format!("writing {}", path.display()))?;
    let sum = checksum(&content);
    println!("{:<8} {:>7} bytes  sha256 {sum}  {target}", build.architecture, content.len());
    Ok((path, content.len()))
}

/// Tells whether the standard library for a target is installed, after trying to install it.
fn has_target(target: &str) -> Result<bool> {
    let folder = output(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))?;
    if PathBuf::from(folder.trim()).exists() {
        return Ok(true);
    }
    Ok(answers(Command::new("rustup").args(["target", "add", target])))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_sums_are_those_of_all_programs_as_sha256sum_reads_them() {
        let folder = std::env::temp_dir().join(format!("apache-tuning-sums-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in
            [("apache-tuning-linux-b", "2"), ("apache-tuning-linux-a", "1"), ("README.md", "")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        sums(&folder).unwrap();
        let check = || output(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&folder));
        let good = check();
        fs::write(folder.join("apache-tuning-linux-b"), "3").unwrap();
        let exchanged = check();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(good.unwrap(), "apache-tuning-linux-a: OK\napache-tuning-linux-b: OK\n");
        exchanged.unwrap_err();
    }
}
