//! What a change would fail at, seen without writing: attributes, mounts, who may write where, and what lies in this
//! tool's own directory. Both a real run and check mode ask before anything is touched, so that they answer the same.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, IFlags, Mode, OFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, fstat, fstatvfs,
    ioctl_getflags, openat, statx,
};

use super::disk::Disk;
use super::error::Cause;
use super::journal;
use crate::state_dir::{self, STATE_DIR};
use crate::tree::{Change, Node};

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obstacle {
    /// What it is, a sentence that names the path.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// Whether it is about this tool's own directory rather than a path of httpd's.
    pub own: bool,
}

/// Returns what keeps any run, also one that changes nothing, from being sure of the host: a journal, or a directory of
/// this tool's, that is not what it should be. Reads only; what this user may not see is no obstacle.
pub fn in_state(root: &Path) -> Option<Obstacle> {
    let disk = Disk::open(root).ok()?;
    let error = journal::left_over(&disk).err().filter(|error| !is_hidden(error))?;
    // Where the directory itself is the reason, that is told.
    let dir = disk.private_dir(Path::new(STATE_DIR)).err();
    Some(match dir {
        Some(error) => own(&error.to_string()),
        None => own(&Cause::journal(state_dir::journal(), &error).to_string()),
    })
}

/// Returns everything that would make `changes` fail below `root`, where files are staged in `config_dir`. Reads only.
pub fn obstacles(root: &Path, changes: &[Change], config_dir: &Path) -> Vec<Obstacle> {
    let Ok(disk) = Disk::open(root) else { return Vec::new() };
    let mut search = Search { disk: &disk, seen: Vec::new(), found: Vec::new() };
    search.state();
    for change in changes {
        if change.path.starts_with(config_dir) {
            search.directory(config_dir);
        }
        search.directory(change.path.parent().unwrap_or(Path::new("/")));
        if change.before != Node::Absent {
            search.entry(&change.path);
        }
    }
    search.found
}

/// A look at one host.
struct Search<'a> {
    disk: &'a Disk,
    /// The directories looked at.
    seen: Vec<PathBuf>,
    found: Vec<Obstacle>,
}

impl Search<'_> {
    fn add(&mut self, what: String, hint: String) {
        let obstacle = Obstacle { what, hint, own: false };
        if !self.found.contains(&obstacle) {
            self.found.push(obstacle);
        }
    }

    /// Looks at this tool's own directory as the lock, the journal and the history need it.
    fn state(&mut self) {
        let state = Path::new(STATE_DIR);
        match self.disk.private_dir(state) {
            Ok(Some(_)) => {}
            Ok(None) => return self.directory(state),
            Err(error) => return self.unfit(&error),
        }
        self.directory(state);
        match self.disk.private_file(&state_dir::lock(), false) {
            Ok(Some(_)) => self.entry(&state_dir::lock()),
            Ok(None) => {}
            Err(error) => self.unfit(&error),
        }
        match self.disk.private_dir(&state_dir::history()) {
            Ok(_) => self.directory(&state_dir::history()),
            Err(error) => self.unfit(&error),
        }
        if let Err(error) = journal::left_over(self.disk)
            && !is_hidden(&error)
        {
            let told = own(&Cause::journal(state_dir::journal(), &error).to_string());
            self.found.push(told);
        }
    }

    /// Tells what is wrong with this tool's own directory.
    fn unfit(&mut self, error: &io::Error) {
        if !is_hidden(error) {
            self.found.push(own(&error.to_string()));
        }
    }

    /// Looks at a directory in which names come and go; where it is missing, at the one that it would be made in.
    fn directory(&mut self, dir: &Path) {
        if self.seen.iter().any(|known| known == dir) {
            return;
        }
        self.seen.push(dir.to_owned());
        let fd = match self.disk.dir(dir) {
            Ok(Some(fd)) => fd,
            Ok(None) => {
                if let Some(above) = dir.parent() {
                    self.directory(above);
                }
                return;
            }
            Err(error) if is_hidden(&error) => return,
            Err(error) => {
                let (what, hint) = split(&error.to_string());
                return self.add(what, hint);
            }
        };
        let path = dir.display();
        if fstatvfs(&fd).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::RDONLY)) {
            self.add(
                format!("`{path}` is on a file system that is mounted read-only"),
                "mount it writable and run again".to_owned(),
            );
        }
        self.attributes(dir, Marks::of(&fd, OsStr::new("")));
    }

    /// Looks at what is replaced or removed.
    fn entry(&mut self, path: &Path) {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Ok(Some(fd)) = self.disk.dir(dir) else { return };
        let marks = Marks::of(&fd, name);
        if marks.mount_point {
            self.add(
                format!("`{}` is a mount point and cannot be exchanged", path.display()),
                "change the file that is mounted there; or, for the MPM's numbers, use placement: drop_in"
                    .to_owned(),
            );
        }
        self.attributes(path, marks);
    }

    fn attributes(&mut self, path: &Path, marks: Marks) {
        let (word, letter) = match marks {
            Marks { immutable: true, .. } => ("immutable", 'i'),
            Marks { append_only: true, .. } => ("append-only", 'a'),
            _ => return,
        };
        let path = path.display();
        self.add(
            format!("`{path}` has the attribute {word} (chattr +{letter}), which binds root too"),
            format!("take it away (chattr -{letter} {path}) and run again"),
        );
    }
}

/// What keeps a name from being replaced or removed, whoever asks.
#[derive(Debug, Clone, Copy, Default)]
struct Marks {
    immutable: bool,
    append_only: bool,
    mount_point: bool,
}

impl Marks {
    /// Returns the marks of a name in an open directory, or of the directory itself where the name is empty. What
    /// cannot be asked is not marked.
    fn of(dir: &OwnedFd, name: &OsStr) -> Self {
        let own = name.is_empty();
        let at = if own { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
        let told = statx(dir, name, at, StatxFlags::BASIC_STATS).ok();
        let has = |attribute: StatxAttributes| {
            let told = told.as_ref().filter(|stat| stat.stx_attributes_mask.contains(attribute));
            told.map(|stat| stat.stx_attributes.contains(attribute))
        };
        let mount_point = match has(StatxAttributes::MOUNT_ROOT) {
            Some(is_root) => is_root,
            None => is_of_another_device(dir, name),
        };
        let known = (has(StatxAttributes::IMMUTABLE), has(StatxAttributes::APPEND));
        let (immutable, append_only) = match known {
            (Some(immutable), Some(append_only)) => (immutable, append_only),
            // An older kernel, or a file system that tells it the old way.
            _ => flags(dir, name),
        };
        Self { immutable, append_only, mount_point: mount_point && !own }
    }
}

/// Tells whether a file is on another device than its directory: then something is mounted on it.
fn is_of_another_device(dir: &OwnedFd, name: &OsStr) -> bool {
    let entry = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
    matches!((entry, fstat(dir)), (Ok(entry), Ok(dir)) if entry.st_dev != dir.st_dev)
}

/// Asks for the flags immutable and append-only.
fn flags(dir: &OwnedFd, name: &OsStr) -> (bool, bool) {
    let of = |fd: &OwnedFd| {
        ioctl_getflags(fd).map_or((false, false), |flags| {
            (flags.contains(IFlags::IMMUTABLE), flags.contains(IFlags::APPEND))
        })
    };
    if name.is_empty() {
        return of(dir);
    }
    let is_file = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if !is_file {
        return (false, false);
    }
    openat(dir, name, flags, Mode::empty()).map_or((false, false), |fd| of(&fd))
}

/// Tells whether something only is not for this user's eyes.
fn is_hidden(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
        && error.kind() == io::ErrorKind::PermissionDenied
        && !rustix::process::geteuid().is_root()
}

fn own(text: &str) -> Obstacle {
    let (what, hint) = split(text);
    Obstacle { what, hint, own: true }
}

/// Splits a message at what is to be done about it.
fn split(text: &str) -> (String, String) {
    let (what, hint) = text.split_once("; ").unwrap_or((text, "fix this and run again"));
    (what.to_owned(), hint.to_owned())
}
