//! Directories in which programs write, covered by memory: what is written there is gone with the process.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::httpd::start::Made;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};

/// How deep the directories below a covered one are made again.
const DEPTH: usize = 6;

/// The most entries that are made again in one covered directory.
const ENTRIES: usize = 10_000;

/// The largest file that is shown in a covered directory, such as a secret that a container's engine put there.
const SMALL: u64 = 256 << 10;

/// Covered directories, none below another, each with the files that were made again in it and their lengths.
#[derive(Debug, Default)]
pub(super) struct Covers {
    dirs: BTreeMap<PathBuf, BTreeMap<PathBuf, u64>>,
}

/// What stays in sight of a covered directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing.
    Nothing,
    /// Its directories, with their owners and modes.
    Directories,
    /// Small files as well, and links.
    Files,
}

impl Covers {
    /// Covers a directory that exists; one that does not is made where it lies in a covered one. Never covered are the
    /// root directory and one with large files beside logs in it, which would be missing: it stays read-only.
    ///
    /// # Errors
    /// Those of mounting.
    pub(super) fn cover(&mut self, dir: &Path, size: &str, keep: Keep) -> io::Result<()> {
        let Ok(real) = fs::canonicalize(dir) else {
            // Elsewhere all is read-only and this fails, as it should.
            let _ = DirBuilder::new().recursive(true).mode(0o755).create(dir);
            return Ok(());
        };
        let known = self.dirs.keys().any(|covered| real.starts_with(covered));
        if known || real == Path::new("/") || !real.is_dir() {
            return Ok(());
        }
        let listed = if keep == Keep::Nothing { Some(Vec::new()) } else { entries(&real, keep) };
        let Some(listed) = listed else { return Ok(()) };
        let about = fs::metadata(&real)?;
        let options = CString::new(format!("mode={:o},size={size}", about.mode() & 0o7777))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", &real, "tmpfs", flags, options.as_c_str())?;
        // In a user namespace owners that are not in it cannot be given.
        let _ = chown(&real, Some(about.uid()), Some(about.gid()));
        let mut files = BTreeMap::new();
        for entry in listed {
            if let What::File(content) = &entry.what {
                files.insert(real.join(&entry.path), content.len() as u64);
            }
            entry.make(&real);
        }
        self.dirs.insert(real, files);
        Ok(())
    }

    /// Makes a directory that the start script would make, in memory: where it is to lie in a directory that is not covered
    /// yet, that one is.
    ///
    /// # Errors
    /// Those of mounting.
    pub(super) fn make(&mut self, made: &Made) -> io::Result<()> {
        let missing = || made.path.ancestors().take_while(|dir| fs::symlink_metadata(dir).is_err());
        let Some(first) = missing().last() else { return Ok(()) };
        let Some(there) = first.parent().and_then(|dir| fs::canonicalize(dir).ok()) else { return Ok(()) };
        self.cover(&there, "50%", Keep::Files)?;
        if !self.dirs.keys().any(|covered| there.starts_with(covered)) {
            return Ok(());
        }
        DirBuilder::new().recursive(true).mode(0o755).create(&made.path)?;
        let owner = made.owner.as_deref().and_then(uid);
        if owner.is_some() {
            let _ = chown(&made.path, owner, None);
        }
        Ok(())
    }

    /// Returns the regular files in covered directories, each with where that begins which was not there before.
    pub(super) fn written(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        for (covered, files) in &self.dirs {
            let mut open: Vec<(PathBuf, usize)> = vec![(covered.clone(), 0)];
            while let Some((dir, depth)) = open.pop() {
                for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                    let Ok(kind) = entry.file_type() else { continue };
                    if kind.is_dir() && depth < DEPTH {
                        open.push((entry.path(), depth + 1));
                    } else if kind.is_file() && found.len() < ENTRIES {
                        let start = files.get(&entry.path()).copied().unwrap_or(0);
                        found.push((entry.path(), start));
                    }
                }
            }
        }
        found.sort();
        found
    }
}

/// Returns the number of a user of this view.
fn uid(name: &str) -> Option<u32> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let fields = users.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    fields.split(':').nth(1)?.parse().ok()
}

/// Something in a directory that is made again over it.
struct Entry {
    /// Its path below the directory.
    path: PathBuf,
    uid: u32,
    gid: u32,
    mode: u32,
    what: What,
}

enum What {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

impl Entry {
    /// Makes it. What cannot be made is missing, as it may be on another day.
    fn make(self, below: &Path) {
        let path = below.join(&self.path);
        let made = match &self.what {
            What::Directory => fs::create_dir(&path),
            What::File(content) => fs::write(&path, content),
            What::Link(target) => symlink(target, &path),
        };
        if made.is_err() || matches!(self.what, What::Link(_)) {
            return;
        }
        let _ = chown(&path, Some(self.uid), Some(self.gid));
        let _ = fs::set_permissions(&path, fs::Permissions::from_mode(self.mode & 0o7777));
    }
}

/// Returns what is there below a directory and is to stay in sight, outer directories first; `None` where too much of it
/// could not.
fn entries(dir: &Path, keep: Keep) -> Option<Vec<Entry>> {
    let mut list = Vec::new();
    let mut open = vec![(PathBuf::new(), 0)];
    while let Some((below, depth)) = open.pop() {
        for entry in fs::read_dir(dir.join(&below)).into_iter().flatten().flatten() {
            let path = below.join(entry.file_name());
            let Ok(about) = entry.metadata() else { continue };
            let kind = about.file_type();
            let is_log = path.to_string_lossy().contains("log");
            let what = if kind.is_dir() {
                if depth < DEPTH {
                    open.push((path.clone(), depth + 1));
                }
                What::Directory
            } else if keep == Keep::Files && kind.is_symlink() {
                let Ok(target) = fs::read_link(entry.path()) else { continue };
                What::Link(target)
            } else if keep == Keep::Files && kind.is_file() && about.len() <= SMALL {
                let mut content = Vec::new();
                let read =
                    File::open(entry.path()).and_then(|file| file.take(SMALL).read_to_end(&mut content));
                // A file with the number of a running server's process would be taken for that of an earlier one.
                if read.is_err() || path.extension().is_some_and(|extension| extension == "pid") {
                    continue;
                }
                What::File(content)
            } else if keep == Keep::Files && kind.is_file() && !is_log && !dir.starts_with("/run") {
                return None;
            } else {
                // Neither sockets, by which a program could speak with those outside, nor logs.
                continue;
            };
            list.push(Entry { path, uid: about.uid(), gid: about.gid(), mode: about.mode(), what });
            if list.len() >= ENTRIES {
                return None;
            }
        }
    }
    Some(list)
}

/// Devices without which a program may not start, taken along from the host.
pub(super) struct Devices(Vec<(&'static str, OwnedFd)>);

impl Devices {
    /// Takes them; none where the kernel cannot hold a mount that is nowhere (before 5.2).
    pub(super) fn take() -> Self {
        let names = ["/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"];
        let take = |name| {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            Some((name, rustix::mount::open_tree(CWD, name, flags).ok()?))
        };
        Self(names.into_iter().filter_map(take).collect())
    }

    /// Puts them into `/dev`, which must be covered.
    pub(super) fn put(self) -> Result<(), Errno> {
        for (name, device) in self.0 {
            if File::create(name).is_ok() {
                rustix::mount::move_mount(&device, "", CWD, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
            }
        }
        Ok(())
    }
}
