//! Where hosts and tools are kept on this machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Names a folder in which the built hosts are kept instead of `target/hosts`, so that several checkouts on one
/// machine share them.
pub const HOSTS_VARIABLE: &str = "APACHE_TUNING_HOSTS";

/// Returns the workspace's root folder.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Returns Cargo's target folder of this workspace.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Returns the folder of the built hosts and of their running copies.
pub fn hosts() -> PathBuf {
    std::env::var_os(HOSTS_VARIABLE).map_or_else(|| target().join("hosts"), PathBuf::from)
}

/// An exclusive lock between processes, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until the lock at `path` is free and takes it; the file is made if missing and never removed.
    pub fn wait(path: &Path) -> Result<Self> {
        let file = open(path)?;
        flock(&file, FlockOperation::LockExclusive).with_context(|| format!("locking {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// Takes the lock at `path`, or returns `None` where another process has it.
    pub fn try_now(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        Ok(flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(Self { _file: file }))
    }
}

fn open(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}

/// Removes a folder tree if it is there, and never follows a mount out of it.
pub fn remove_tree(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    run("rm", [OsString::from("-rf"), "--one-file-system".into(), "--".into(), path.into()])
}

/// Runs a program of this machine to its end; its words become the error when it fails.
pub fn run(program: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<()> {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("starting `{program}`"))?;
    if output.status.success() {
        return Ok(());
    }
    anyhow::bail!(
        "`{program}` failed ({}): {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    )
}
