//! `cargo xtask demo`: a playbook against a bundled Debian host, previewed, run, and run again. No root, no Apache. With `--fleet`
//! twelve hosts instead: `demo_fleet`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use lexopt::prelude::*;
use test_hosts::{Ansible, Listing, ansible, folders};

use crate::steps::{debug_binary, run as go};
use crate::{NOT_STARTED, demo_fleet};

pub(crate) const HELP: &str = "preview, change and leave alone a bundled Debian host by Ansible, without root [--fleet: twelve of them, with pages \
     [--pictures DIR]]";

const PLAYBOOK: &str = include_str!("demo.yml");

pub(crate) fn run(mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut fleet, mut pictures) = (false, None);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("fleet") => fleet = true,
            Long("pictures") => pictures = Some(PathBuf::from(arguments.value()?)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    if let Err(error) = ansible::ensure() {
        eprintln!("cargo xtask demo: {error:#}");
        return Ok(ExitCode::from(NOT_STARTED));
    }
    if fleet {
        return demo_fleet::run(pictures.as_deref());
    }
    let ansible = Ansible::new(&debug_binary()?)?;

    let host = folders::target().join("demo/debian12");
    folders::remove_tree(&host)?;
    std::fs::create_dir_all(host.parent().unwrap_or(&host))?;
    let bundled = folders::workspace().join("tests/fixtures/debian12/root");
    folders::run("cp", ["-rP".into(), "--".into(), bundled.into(), host.clone().into()])?;
    let fresh = Listing::of(&host)?;

    heading("1. Preview: ansible-playbook --check --diff", &host);
    let previewed = play(&ansible, &host, &["--check", "--diff"])?;
    let touched = Listing::of(&host)?.changes_since(&fresh);
    ensure!(touched.is_empty(), "the preview has touched the host: {touched:?}");

    heading("2. For real: ansible-playbook", &host);
    let changed = play(&ansible, &host, &[])?;
    let done = Listing::of(&host)?;
    let touched = done.changes_since(&fresh);
    println!("what became of the host's files:\n  {}", touched.join("\n  "));

    heading("3. The same again: ansible-playbook --diff", &host);
    let again = play(&ansible, &host, &["--diff"])?;
    let touched_again = Listing::of(&host)?.changes_since(&done);
    ensure!(touched_again.is_empty(), "the second run has touched the host: {touched_again:?}");

    ensure!(previewed == 1, "the preview predicted no change");
    ensure!(changed == 1 && !touched.is_empty(), "the run has changed nothing");
    ensure!(again == 0, "the second run says it has changed the host");
    println!("previewed, changed, unchanged");
    Ok(ExitCode::SUCCESS)
}

fn heading(text: &str, host: &Path) {
    println!("\n=== {text}   (host: {})", host.display());
}

/// Runs the playbook, shows what Ansible says, and returns how many tasks it calls changed.
fn play(ansible: &Ansible, host: &Path, arguments: &[&str]) -> Result<u32> {
    let playbook = ansible.folder().join("demo.yml");
    std::fs::write(&playbook, PLAYBOOK)?;
    let name = host.to_str().context("the target folder's path is not UTF-8")?;
    let mut command = ansible.command("ansible-playbook");
    command.args(["-i", "localhost,", "-e"]).arg(format!("{{\"host\": \"{name}\"}}"));
    command.arg(&playbook).args(arguments);
    if std::io::stdout().is_terminal() {
        command.env_remove("ANSIBLE_NOCOLOR").env("ANSIBLE_FORCE_COLOR", "1");
    }
    // Kept besides being shown: the last lines count the changes.
    let log = ansible.folder().join("ansible.log");
    let _ = std::fs::remove_file(&log);
    go(command.env("ANSIBLE_LOG_PATH", &log))?;
    let text = std::fs::read_to_string(&log)?;
    let count =
        text.rsplit_once("changed=").and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    match count {
        Some(count) => Ok(count),
        None => bail!("Ansible has not counted its changes"),
    }
}
