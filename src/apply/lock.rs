//! One run a host at a time: a lock on a file that is opened, locked and never replaced.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode};
use rustix::io::Errno;

use super::disk::Disk;
use super::{ApplyError, Cause};
use crate::clock;
use crate::state_dir::{self, STATE_DIR};

/// How often a taken lock is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// The right to change a host. Given up when dropped, and by the system when the program dies.
#[derive(Debug)]
pub struct Lock {
    pub(super) disk: Disk,
    _file: File,
}

impl Lock {
    /// Takes the lock of the host below `root`, waiting up to `timeout` for another run.
    ///
    /// Makes the state directory (mode 0700) and the lock file where they are missing.
    ///
    /// # Errors
    /// [`Cause::Locked`] with who holds it; [`Cause::Io`] where the state directory is not a safe place or cannot
    /// be written.
    pub fn take(root: &Path, timeout: Duration) -> Result<Self, ApplyError> {
        let disk =
            Disk::open(root).map_err(|error| ApplyError::io("open the root directory", root, error))?;
        let state = Path::new(STATE_DIR);
        make_state(&disk).map_err(|error| ApplyError::io("make the state directory", state, error))?;
        let path = state_dir::lock();
        let mut file = disk
            .private_file(&path, true)
            .and_then(|file| file.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .map_err(|error| ApplyError::io("open the lock", &path, error))?;
        // A umask of whoever started this may have left nobody any right to it.
        open_to_us(&file).map_err(|error| ApplyError::io("open the lock", &path, error))?;
        let since = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK | Errno::INTR) if since.elapsed() < timeout => {
                    std::thread::sleep(AGAIN);
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => {
                    let holder = holder(&mut file);
                    return Err(ApplyError::untouched(Cause::Locked { path, holder, waited: timeout }));
                }
                Err(error) => return Err(ApplyError::io("lock", &path, error.into())),
            }
        }
        close_to_others(&disk).map_err(|error| ApplyError::io("close to others", state, error))?;
        // Only a help for whoever waits: a failure to say it must not keep the work from being done.
        let text = format!("pid {} since {}\n", std::process::id(), clock::timestamp(clock::now()));
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Self { disk, _file: file })
    }
}

/// Waits up to `timeout` until no run changes the host below `root`, and keeps others from it as long as the answer is
/// held. Nothing is written; `None` where no run was ever there, where it cannot be told, or where one goes on.
pub fn quiet(root: &Path, timeout: Duration) -> Option<File> {
    let disk = Disk::open(root).ok()?;
    let file = disk.private_file(&state_dir::lock(), false).ok()??;
    let since = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Some(file),
            Err(Errno::WOULDBLOCK | Errno::INTR) if since.elapsed() < timeout => std::thread::sleep(AGAIN),
            Err(_) => return None,
        }
    }
}

/// Makes the state directory and what is missing above it.
fn make_state(disk: &Disk) -> std::io::Result<()> {
    let state = Path::new(STATE_DIR);
    if disk.private_dir(state)?.is_some() {
        return Ok(());
    }
    let mut missing: Vec<PathBuf> = vec![state.to_owned()];
    for dir in state.ancestors().skip(1) {
        if disk.dir(dir)?.is_some() {
            break;
        }
        missing.push(dir.to_owned());
    }
    for dir in missing.into_iter().rev() {
        let mode = if dir == state { 0o700 } else { 0o755 };
        match disk.make_dir(&dir, mode) {
            // Another run was faster.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            done => done?,
        }
    }
    Ok(())
}

/// Takes the right to read away from others where an earlier version, or another person, gave it: the memory holds what
/// files hold that not everybody may read.
fn close_to_others(disk: &Disk) -> std::io::Result<()> {
    for dir in [Path::new(STATE_DIR), &state_dir::history()] {
        if let Some(dir) = disk.private_dir(dir)? {
            close(&dir)?;
        }
    }
    let names = disk.names(Path::new(STATE_DIR))?;
    // An interrupted run keeps the old memory by a second link, which the recovery takes away: the next run closes it.
    let interrupted = names.iter().any(|name| state_dir::journal().file_name() == Some(name));
    for file in names {
        let is_memory = Path::new(&file).extension().is_some_and(|end| end == "json");
        match disk.private_file(&Path::new(STATE_DIR).join(file), false) {
            Ok(Some(file)) if is_memory => close(&file)?,
            Err(error) if is_memory && !interrupted => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives root's rights to a file of ours that has lost them.
fn open_to_us(file: &File) -> std::io::Result<()> {
    if rustix::fs::fstat(file)?.st_mode & 0o600 != 0o600 {
        rustix::fs::fchmod(file, Mode::from_raw_mode(0o600))?;
    }
    Ok(())
}

/// See [`close_to_others`].
fn close(fd: impl AsFd) -> std::io::Result<()> {
    let mode = rustix::fs::fstat(&fd)?.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode & !0o077))?;
    }
    Ok(())
}

/// Returns who holds the lock: by the kernel's table of locks, and where that does not tell, by what the lock file says.
fn holder(file: &mut File) -> String {
    let said = said(file);
    match holding(file) {
        // Also a program that is none of this tool's holds it by locking the file, and writes nothing into it.
        Some(pid) if !said.as_deref().is_some_and(|said| said.starts_with(&format!("pid {pid} "))) => {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok();
            match name.as_deref().and_then(printable) {
                Some(name) => format!("pid {pid} ({name})"),
                None => format!("pid {pid}"),
            }
        }
        _ => said.unwrap_or_else(|| "unknown process".to_owned()),
    }
}

/// Returns the first process that `/proc/locks` names for the file: `1: FLOCK  ADVISORY  WRITE 712 08:01:131 0 EOF`, the
/// device in hexadecimal. `None` also where the holder lives in another process namespace.
fn holding(file: &File) -> Option<u32> {
    let stat = rustix::fs::fstat(file).ok()?;
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let identity = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // A line with an arrow waits for the lock and does not hold it.
    locks.lines().filter(|line| !line.contains("->")).find_map(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let ours = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&identity.as_str());
        let pid = words.get(4).filter(|_| ours)?.parse().ok()?;
        (pid > 0).then_some(pid)
    })
}

/// Returns what the lock file says about who holds it.
fn said(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(200).read_to_string(&mut text).ok()?;
    printable(text.lines().next()?)
}

/// Returns a text without the spaces around it, where it is one that can be shown.
fn printable(text: &str) -> Option<String> {
    let text = text.trim();
    let shown = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    shown.then(|| text.to_owned())
}
