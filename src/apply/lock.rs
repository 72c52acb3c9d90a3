//! One run a host at a time: a lock on a file that is opened, locked and never replaced.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::disk::Disk;
use super::journal;
use super::{ApplyError, Cause};

/// The state directory on a managed host.
pub const STATE: &str = "/var/lib/apache-tuning";

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
        let state = Path::new(STATE);
        make_state(&disk).map_err(|error| ApplyError::io("make the state directory", state, error))?;
        let path = state.join("lock");
        let mut file = disk
            .private_file(&path, true)
            .and_then(|file| file.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .map_err(|error| ApplyError::io("open the lock", &path, error))?;
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
        // Only a help for whoever waits: a failure to say it must not keep the work from being done.
        let text = format!("pid {} since {}\n", std::process::id(), journal::timestamp(journal::now()));
        let _ = file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        Ok(Self { disk, _file: file })
    }
}

/// Waits up to `timeout` until no run changes the host below `root`, and keeps others from it as long as the answer is
/// held. Nothing is written; `None` where no run was ever there, where it cannot be told, or where one goes on.
pub fn quiet(root: &Path, timeout: Duration) -> Option<File> {
    let disk = Disk::open(root).ok()?;
    let file = disk.private_file(&Path::new(STATE).join("lock"), false).ok()??;
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
    let state = Path::new(STATE);
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

/// Returns what the lock file says about who holds it.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.rewind();
    let _ = file.take(200).read_to_string(&mut text);
    let line = text.lines().next().unwrap_or_default().trim();
    let printable = !line.is_empty() && line.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if printable { line.to_owned() } else { "unknown process".to_owned() }
}
