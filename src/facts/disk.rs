//! The disk as [`Files`]: reads only, confined to a root directory, never hangs on a pipe or a device.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags};

use crate::tree::{Files, Kind, Status, bytes, resolve};

/// The largest file that is read. httpd refuses a single line beyond 16 MiB; no configuration comes near this.
const MOST: usize = 64 * 1024 * 1024;

/// What a file of the kernel's holds at most, for those that are given in one read.
const PAGE: usize = 4096;

/// The files under a root directory.
#[derive(Debug)]
pub struct Disk {
    /// `None` for the host's own root, where the kernel follows links by itself.
    root: Option<PathBuf>,
}

impl Disk {
    /// Returns the files under `root`; links in them lead to paths under `root` too.
    pub fn new(root: &Path) -> Self {
        Self { root: (root != Path::new("/")).then(|| root.to_owned()) }
    }

    /// Returns where `path`, its directory's links followed, is for the operating system.
    fn place<'a>(&self, path: &'a Path, follow_last: bool) -> io::Result<Cow<'a, Path>> {
        let Some(root) = &self.root else { return Ok(Cow::Borrowed(path)) };
        let raw = Raw(root);
        let real = if follow_last {
            resolve(&raw, path)?
        } else {
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) if parent != Path::new("/") => resolve(&raw, parent)?.join(name),
                _ => path.to_owned(),
            }
        };
        Ok(Cow::Owned(under(root, &real)))
    }
}

/// Returns the absolute path `path` under `root`.
pub fn under(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Tells a missing path from other errors: a parent that is a file is a missing path too.
fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        // Without O_NONBLOCK, opening a pipe that somebody left among the files would wait for ever. The system calls
        // are made directly: a host with thousands of virtual hosts has as many files, and `std` takes half as many
        // calls again for each.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(&*self.place(path, true)?, flags, Mode::empty())?;
        let status = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(status.st_mode).is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        // Files under /proc say 0 and are read to their end. Those under /proc/sys give a second read nothing, so the
        // first has room for all.
        let told = usize::try_from(status.st_size).unwrap_or(0).min(MOST);
        let mut content = Vec::with_capacity(if told == 0 { PAGE } else { told + 1 });
        loop {
            if content.len() == content.capacity() {
                content.reserve(PAGE);
            }
            let room = content.capacity() - content.len();
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&file, spare_capacity(&mut content)))?;
            if content.len() > MOST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "is larger than 64 MiB"));
            }
            // Where the size is known, less than there was room for means the end.
            if read == 0 || (told > 0 && read < room) {
                return Ok(content.into());
            }
        }
    }

    fn link_kind(&self, path: &Path) -> io::Result<Kind> {
        match self.place(path, false) {
            Ok(place) => lstat(&place),
            Err(error) if missing(&error) => Ok(Kind::Absent),
            Err(error) => Err(error),
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(self.place(path, false)?)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let mut names: Vec<OsString> = fs::read_dir(self.place(dir, true)?)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        Ok(names)
    }

    fn status(&self, path: &Path) -> Option<Status> {
        let meta = fs::metadata(self.place(path, true).ok()?).ok()?;
        Some(Status { mode: meta.mode(), uid: meta.uid(), gid: meta.gid(), modified: meta.mtime() })
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let place = match self.place(path, true) {
            Ok(place) => place,
            Err(error) if missing(&error) => return Ok(Kind::Absent),
            Err(error) => return Err(error),
        };
        match fs::metadata(place) {
            Ok(meta) => Ok(kind_of(meta.file_type())),
            Err(error) if missing(&error) => Ok(Kind::Absent),
            Err(error) => Err(error),
        }
    }
}

/// The files under a root, for paths whose directory holds no links any more: what resolving is made of.
struct Raw<'a>(&'a Path);

impl Files for Raw<'_> {
    fn read(&self, _: &Path) -> io::Result<Arc<[u8]>> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn link_kind(&self, path: &Path) -> io::Result<Kind> {
        lstat(&under(self.0, path))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(under(self.0, path))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

/// Returns what stands at a path of the operating system, a link not followed.
fn lstat(place: &Path) -> io::Result<Kind> {
    match fs::symlink_metadata(place) {
        Ok(meta) => Ok(kind_of(meta.file_type())),
        Err(error) if missing(&error) => Ok(Kind::Absent),
        Err(error) => Err(error),
    }
}

/// Returns the kind of a file type.
fn kind_of(kind: fs::FileType) -> Kind {
    if kind.is_file() {
        Kind::File
    } else if kind.is_dir() {
        Kind::Dir
    } else if kind.is_symlink() {
        Kind::Link
    } else {
        Kind::Other
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_inside_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc/real")).unwrap();
        fs::write(dir.path().join("etc/real/file"), "inside").unwrap();
        symlink("/etc/real", dir.path().join("etc/dir")).unwrap();
        symlink("../../../../../etc/real/file", dir.path().join("etc/up")).unwrap();
        symlink("/etc", dir.path().join("etc/real/out")).unwrap();
        symlink("loop", dir.path().join("etc/loop")).unwrap();
        symlink("gone", dir.path().join("etc/dangling")).unwrap();
        let disk = Disk::new(dir.path());
        for path in ["/etc/dir/file", "/etc/up", "/etc/real/../dir/file"] {
            assert_eq!(&*disk.read(Path::new(path)).unwrap(), b"inside", "{path}");
            assert_eq!(disk.kind(Path::new(path)).unwrap(), Kind::File, "{path}");
        }
        assert_eq!(disk.link_kind(Path::new("/etc/real/out/passwd")).unwrap(), Kind::Absent);
        assert_eq!(disk.kind(Path::new("/etc/dangling")).unwrap(), Kind::Absent);
        assert_eq!(disk.link_kind(Path::new("/etc/dangling")).unwrap(), Kind::Link);
        assert!(disk.kind(Path::new("/etc/loop")).is_err());
        assert_eq!(disk.list(Path::new("/etc/dir")).unwrap(), ["file", "out"]);
    }

    #[test]
    fn files_are_read_whole_whatever_size_they_say() {
        let disk = Disk::new(Path::new("/"));
        // Nothing under /proc says its size, and what is under /proc/sys can be read once only.
        for path in
            ["/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max", "/proc/version", "/proc/filesystems"]
        {
            assert_eq!(&*disk.read(Path::new(path)).unwrap(), fs::read(path).unwrap(), "{path}");
        }
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 1 << 20] {
            let path = dir.path().join(size.to_string());
            fs::write(&path, vec![b'x'; size]).unwrap();
            assert_eq!(disk.read(&path).unwrap().len(), size);
        }
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
        let error = Disk::new(Path::new("/")).read(&pipe).unwrap_err();
        assert_eq!(error.to_string(), "is not a regular file");
    }
}
