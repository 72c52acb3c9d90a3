//! `cargo xtask fresh`: the README's two commands on a machine that never saw this project.
//!
//! A minimal Debian is made, with nothing but what the README demands: Rust with the linker it needs, and Python. The
//! project is cloned into it as it is committed, and `cargo xtask demo` and `cargo xtask test` run there as a newcomer
//! would run them. All mounts lie in a mount namespace whose first process ends with this one, so nothing stays mounted,
//! however it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use test_hosts::apt::{self, HOST_NEEDS, Need};
use test_hosts::{Release, folders, template};

use crate::NOT_STARTED;
use crate::steps::{Times, command, output, run as go};

pub(crate) const HELP: &str = "run the README's commands in a new, minimal Debian, as root [--only demo|test] [--keep: leave its files]";

/// What this needs of the machine besides what building hosts needs.
pub(crate) const NEEDS: &[Need] = &[Need {
    package: "git",
    purpose: "clones the project",
    programs: &["git"],
    met: || apt::there("/usr/bin/git"),
}];

/// What the README demands of a machine, as Debian 12 calls it: Rust's linker, and Python with its `venv`.
const DEMANDED: &[&str] = &["gcc", "libc6-dev", "python3", "python3-venv"];

/// Makes the new root this process' own, then runs a line of shell in it.
const ENTER: &str = include_str!("fresh.sh");

/// Variables of this machine by which the network is reached.
const CARRIED: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "CARGO_HTTP_CAINFO",
    "CARGO_HTTP_PROXY",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "SSL_CERT_FILE",
];

/// Files of this machine by which the network is reached, each at the same path in the new one.
const FILES: &[&str] =
    &["/etc/resolv.conf", "/etc/pip.conf", "/root/.config/pip/pip.conf", "/root/.cargo/config.toml"];

/// The certificates that Debian's programs trust, and those of this machine's own among them.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const OWN_CERTIFICATES: &str = "/usr/local/share/ca-certificates";

/// Where the project is cloned to.
const CLONE: &str = "root/apache-tuning";

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut commands, mut keep) = (vec!["demo", "test"], false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("keep") => keep = true,
            Long("only") => {
                let only = arguments.value()?.string()?;
                commands.retain(|name| *name == only);
                if commands.is_empty() {
                    bail!("--only takes demo or test");
                }
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("cargo xtask fresh: only root may make a Debian of its own; run it as root");
        return Ok(ExitCode::from(NOT_STARTED));
    }
    let needs: Vec<Need> = HOST_NEEDS.iter().chain(NEEDS).copied().collect();
    apt::provide(&needs)?;
    let home = folders::target().join("fresh");
    folders::remove_tree(&home)?;
    let fresh = Fresh { root: home.join("root"), rust: sysroot()? };
    let mut times = Times::default();
    let done = fresh.all(&commands, &mut times, &home);
    if !keep {
        folders::remove_tree(&home)?;
    }
    times.print();
    done?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the folder of the Rust toolchain that runs this.
fn sysroot() -> Result<PathBuf> {
    Ok(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim().into())
}

/// The new machine.
struct Fresh {
    root: PathBuf,
    rust: PathBuf,
}

impl Fresh {
    fn all(&self, commands: &[&'static str], times: &mut Times, home: &Path) -> Result<()> {
        times.step("a minimal Debian 12", || {
            fs::create_dir_all(home)?;
            template::bootstrap(Release::Bookworm, &self.root, &home.join("log"))?;
            self.carry()
        })?;
        times.step("what the README demands", || {
            let install = format!(
                "apt-get -q update && apt-get -q --yes --no-install-recommends install {}",
                DEMANDED.join(" ")
            );
            go(self.command(&install).stdout(fs::File::create(home.join("log"))?))
        })?;
        times.step("a clone", || {
            let mut clone = command("git");
            clone.args(["clone", "--quiet", "--no-hardlinks"]).arg(folders::workspace());
            go(clone.arg(self.root.join(CLONE)))
        })?;
        let mut failed = Vec::new();
        for name in commands {
            let line = format!("cd /{CLONE} && exec cargo xtask {name}");
            if times.step(name, || go(&mut self.command(&line))).is_err() {
                failed.push(*name);
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        bail!("on a machine that never saw the project these fail: cargo xtask {}", failed.join(", "))
    }

    /// Brings what belongs to this machine's place in the network: name servers, mirrors, proxies, certificates.
    fn carry(&self) -> Result<()> {
        let mirrors = apt::mirrors()?;
        let suite = Release::Bookworm.suite();
        let sources = format!(
            "deb {main} {suite} main\ndeb {main} {suite}-updates main\ndeb {security} {suite}-security main\n",
            main = mirrors.main,
            security = mirrors.security
        );
        self.write("/etc/apt/sources.list", &sources)?;
        let options = output(Command::new("apt-config").arg("dump"))?;
        let network = ["Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::Check"];
        let options: Vec<&str> =
            options.lines().filter(|line| network.iter().any(|name| line.starts_with(name))).collect();
        self.write("/etc/apt/apt.conf.d/00network", &(options.join("\n") + "\n"))?;
        let variables = ["SSL_CERT_FILE", "PIP_CERT", "CARGO_HTTP_CAINFO"].map(std::env::var);
        let certificates = variables.into_iter().flatten().chain([CERTIFICATES.to_owned()]);
        // From these Debian's package makes the first anew.
        let own = fs::read_dir(OWN_CERTIFICATES).into_iter().flatten().flatten();
        let own = own.map(|entry| entry.path().to_string_lossy().into_owned());
        for file in FILES.iter().map(|file| (*file).to_owned()).chain(certificates).chain(own) {
            if Path::new(&file).is_file() {
                self.write(&file, &fs::read_to_string(&file)?)?;
            }
        }
        Ok(())
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.root.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        // A link of the new machine may lead out of it.
        let _ = fs::remove_file(&path);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Returns a command that runs a line of shell on the new machine, with nothing of this one's environment but what
    /// the network needs.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--pid",
                "--uts",
                "--ipc",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
                "--",
            ])
            .args(["sh", "-c", ENTER])
            .arg(&self.root)
            .arg(&self.rust)
            .arg(line)
            .env_clear()
            .env("PATH", "/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        for name in CARRIED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }
}
