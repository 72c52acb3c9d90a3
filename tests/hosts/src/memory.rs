//! The hosts of one long run in the machine's memory, where a copy costs a tenth of one on a disk.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::folders::{self, Lock};
use crate::template::{self, Flavour, Release};

/// The file system in memory that Linux systems have.
const MEMORY: &str = "/dev/shm";

/// What the built hosts and the copies of some tests at once take, in bytes.
const ENOUGH: u64 = 3 << 30;

/// A folder in memory with the built hosts, for [`folders::HOSTS_VARIABLE`]; removed when it is dropped, and by the
/// next one if this process is killed.
#[derive(Debug)]
pub struct InMemory {
    folder: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl InMemory {
    /// Builds the hosts where that is due and copies them into memory; `None` where the machine has too little.
    pub fn prepare() -> Result<Option<Self>> {
        sweep(Path::new(MEMORY));
        if room(Path::new(MEMORY)).is_none_or(|bytes| bytes < ENOUGH) {
            return Ok(None);
        }
        let folder = Path::new(MEMORY).join(format!("apache-tuning-hosts-{}", std::process::id()));
        let lock_path = folder.with_extension("lock");
        let lock = Lock::wait(&lock_path)?;
        folders::remove_tree(&folder)?;
        fs::create_dir_all(&folder)?;
        let made = Self { folder, lock_path, _lock: lock };
        for release in Release::ALL {
            made.bring(&template::ensure(release, Flavour::Php)?)?;
        }
        made.bring(&template::ensure_managed()?)?;
        Ok(Some(made))
    }

    /// Copies the kept folder that a built host is in.
    fn bring(&self, built: &Path) -> Result<()> {
        let kept: OsString = built.parent().unwrap_or(built).into();
        folders::run("cp", ["-a".into(), "--".into(), kept, self.folder.clone().into()])
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        if folders::remove_tree(&self.folder).is_ok() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Returns the free bytes of the file system in memory; `None` where `path` is not on one.
fn room(path: &Path) -> Option<u64> {
    let system = rustix::fs::statfs(path).ok()?;
    let free = rustix::fs::statvfs(path).ok()?;
    // The magic number of tmpfs.
    (system.f_type == 0x0102_1994).then_some(free.f_bavail.saturating_mul(free.f_frsize))
}

/// Removes what killed runs have left; a live one holds its lock.
fn sweep(memory: &Path) {
    let Ok(entries) = fs::read_dir(memory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("apache-tuning-hosts-")
            && name.ends_with(".lock")
            && let Ok(Some(_lock)) = Lock::try_now(&path)
        {
            let _ = folders::remove_tree(&path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}
