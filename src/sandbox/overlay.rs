//! The planned files laid over the real ones, in a mount namespace of a process's own.
//!
//! Nothing is written to the host: what is new lies in memory (tmpfs).

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use super::namespaces::open_dir;
use crate::stored::Stored;
use crate::tree::{Change, Node};

/// Planned files by directory and name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Overlay {
    dirs: BTreeMap<PathBuf, Vec<Planned>>,
}

/// One planned file.
#[derive(Debug, Serialize, Deserialize)]
struct Planned {
    name: PathBuf,
    /// Whether a regular file of this name only gets another content.
    rewritten: bool,
    node: Stored,
}

impl Overlay {
    /// Returns the overlay of a plan, without what httpd does not read.
    pub(crate) fn new(changes: &[Change]) -> Self {
        let mut dirs: BTreeMap<PathBuf, Vec<Planned>> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.role.is_read_by_httpd()) {
            let (Some(dir), Some(name)) = (change.path.parent(), change.path.file_name()) else { continue };
            let rewritten = matches!((&change.before, &change.after), (Node::File(_), Node::File(_)));
            let planned = Planned { name: name.into(), rewritten, node: Stored::of(&change.after) };
            dirs.entry(dir.to_owned()).or_default().push(planned);
        }
        Self { dirs }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }
}

impl Overlay {
    /// Lays the planned files over the real ones. Only in mounts of this process's own.
    ///
    /// # Errors
    /// What could not be mounted, or that another program or person changed the directories meanwhile.
    pub(super) fn lay(&self) -> Result<(), String> {
        // A directory that does not exist yet becomes part of the nearest one that does.
        let mut plans: BTreeMap<&Path, Vec<(PathBuf, &Planned)>> = BTreeMap::new();
        for (dir, planned) in &self.dirs {
            let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
            let rest = dir.strip_prefix(there).unwrap_or(Path::new(""));
            let entries = planned.iter().map(|planned| (rest.join(&planned.name), planned));
            plans.entry(there).or_default().extend(entries);
        }
        // Outer directories first: an inner one is then laid over what the outer one shows.
        for (dir, planned) in plans {
            lay_dir(dir, &planned).map_err(|error| {
                format!("no private view of the files can be had here: `{}`: {error}", dir.display())
            })?;
        }
        rustix::process::chdir("/").map_err(|error| format!("could not enter the root directory: {error}"))
    }
}

/// Lays planned files over one directory.
fn lay_dir(dir: &Path, planned: &[(PathBuf, &Planned)]) -> io::Result<()> {
    let under = open_dir(dir)?;
    // From here on `./name` is a real file, whatever is mounted over the directory.
    rustix::process::fchdir(&under)?;
    let over = Cover::over_working_directory()?;
    let over = over.open(dir)?;

    if planned.iter().all(|(_, planned)| planned.rewritten) {
        for (name, planned) in planned {
            over.create(name, &planned.node)?;
            rustix::mount::mount_bind(dir.join(name), Path::new(".").join(name))?;
        }
        // The files stay, mounted one by one; the directory is the real one again.
        over.still_at(dir)?;
        drop(over);
        return Ok(rustix::mount::unmount(dir, UnmountFlags::DETACH)?);
    }

    for entry in rustix::fs::Dir::read_from(&under)? {
        let entry = entry?;
        let name = entry.file_name();
        if [&b"."[..], b".."].contains(&name.to_bytes()) {
            continue;
        }
        let path = Path::new(OsStr::from_bytes(name.to_bytes()));
        if planned.iter().any(|(planned, _)| planned == path) {
            continue;
        }
        let from = Path::new(".").join(path);
        let stat = rustix::fs::statat(&under, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&under, name, Vec::new())?;
                rustix::fs::symlinkat(target, &over.fd, name)?;
            }
            FileType::RegularFile => {
                over.create_file(path, b"")?;
                rustix::mount::mount_bind(from, dir.join(path))?;
            }
            FileType::Directory => {
                rustix::fs::mkdirat(&over.fd, name, Mode::from_raw_mode(0o755))?;
                rustix::mount::mount_bind_recursive(from, dir.join(path))?;
            }
            // httpd reads neither sockets nor devices of its configuration.
            _ => {}
        }
    }
    for (name, planned) in planned {
        over.create(name, &planned.node)?;
    }
    // What was mounted by its path in between went to the same place.
    over.still_at(dir)
}

/// A file system in memory that this process has just mounted, told from every other by a number of its own.
///
/// A path may lead elsewhere by the time it is walked again: another run exchanges whole directories, and whoever may
/// write to a directory can. So the file system is mounted on an open directory, not on a path, and what is then opened
/// by the path is written to only where it is that file system and no other.
struct Cover {
    /// The most files it can hold.
    files: u64,
}

impl Cover {
    /// Mounts a file system of its own over the working directory.
    fn over_working_directory() -> io::Result<Self> {
        // More than any configuration needs, and hardly met twice: hash maps are seeded from the system's own source.
        let files = (1 << 20) + (RandomState::new().build_hasher().finish() >> 34);
        let options = CString::new(format!("mode=0755,nr_inodes={files}"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", ".", "tmpfs", flags, options.as_c_str())?;
        Ok(Self { files })
    }

    /// Opens it by the path of the directory that it was mounted over.
    fn open(&self, dir: &Path) -> io::Result<Covered> {
        let fd = open_dir(dir)?;
        let stat = rustix::fs::fstatfs(&fd)?;
        #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
        if stat.f_type as u64 != TMPFS || stat.f_files as u64 != self.files {
            return Err(moved());
        }
        let device = rustix::fs::fstat(&fd)?.st_dev;
        Ok(Covered { fd, device })
    }
}

/// The magic number of a file system in memory, `TMPFS_MAGIC` of `linux/magic.h`.
const TMPFS: u64 = 0x0102_1994;

/// Returns the error of a directory that is another one now.
fn moved() -> io::Error {
    io::Error::other("another program or person exchanged it meanwhile")
}

/// The top directory of a [`Cover`], to create files in.
struct Covered {
    fd: OwnedFd,
    device: u64,
}

impl Covered {
    /// Makes sure that a path leads here.
    fn still_at(&self, dir: &Path) -> io::Result<()> {
        if rustix::fs::fstat(open_dir(dir)?)?.st_dev == self.device { Ok(()) } else { Err(moved()) }
    }

    /// Makes a planned node and the directories on the way to it.
    fn create(&self, name: &Path, node: &Stored) -> io::Result<()> {
        match node.standing()?.node {
            Node::Absent => Ok(()),
            Node::Link(target) => {
                let (dir, name) = self.parent(name)?;
                Ok(rustix::fs::symlinkat(target, &dir, name)?)
            }
            Node::File(content) => self.create_file(name, &content),
        }
    }

    /// Makes a file and the directories on the way to it.
    fn create_file(&self, name: &Path, content: &[u8]) -> io::Result<()> {
        let (dir, name) = self.parent(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o644))?;
        File::from(fd).write_all(content)
    }

    /// Opens the directory of a name, making those on the way. One that is not of this file system was not there when
    /// the change was planned, and is another one's.
    fn parent<'n>(&self, name: &'n Path) -> io::Result<(OwnedFd, &'n OsStr)> {
        let last = name.file_name().ok_or_else(moved)?;
        let mut dir = self.fd.try_clone()?;
        for part in name.parent().into_iter().flat_map(Path::components) {
            match rustix::fs::mkdirat(&dir, part.as_os_str(), Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            dir = rustix::fs::openat(&dir, part.as_os_str(), flags, Mode::empty())?;
            if rustix::fs::fstat(&dir)?.st_dev != self.device {
                return Err(moved());
            }
        }
        Ok((dir, last))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::fs::RenameFlags;

    use super::super::namespaces;
    use super::*;

    #[test]
    fn a_directory_that_is_exchanged_after_the_mount_is_never_written_to() {
        if !rustix::process::geteuid().is_root() || namespaces::isolate().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [dir, other] = ["enabled", "other"].map(|name| folder.path().join(name));
        std::fs::create_dir(&dir).unwrap();
        std::fs::create_dir(&other).unwrap();

        rustix::process::fchdir(open_dir(&dir).unwrap()).unwrap();
        let cover = Cover::over_working_directory().unwrap();
        assert!(cover.open(&dir).is_ok());
        let covered = cover.open(&dir).unwrap();
        let cwd = rustix::fs::CWD;
        rustix::fs::renameat_with(cwd, &dir, cwd, &other, RenameFlags::EXCHANGE).unwrap_err();
        // What is covered here cannot be renamed here; another process, without this mount, can do so. Another
        // directory at the path looks the same from here.
        assert!(cover.open(&other).is_err(), "an ordinary directory passed for the one in memory");
        assert!(covered.still_at(&other).is_err());

        // Another file system in memory is not it either.
        rustix::process::fchdir(open_dir(&other).unwrap()).unwrap();
        let second = Cover::over_working_directory().unwrap();
        assert!(second.open(&other).is_ok() && cover.open(&other).is_err());

        // A directory on the way to a planned file that came meanwhile is the host's own.
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        covered.create_file(Path::new("made/file"), b"").unwrap();
        std::fs::create_dir(dir.join("came")).unwrap();
        rustix::mount::mount_bind(&inner, dir.join("came")).unwrap();
        assert!(covered.create_file(Path::new("came/file"), b"").is_err());
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
    }
}
