//! The disk as [`Files`]: reads only, confined to a root directory, never hangs on a pipe or a device.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::tree::{Files, Kind, Status, bytes, resolve};

/// The largest file that is read. httpd refuses a single line beyond 16 MiB; no configuration comes near this.
const MOST: u64 = 64 * 1024 * 1024;

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
    fn place(&self, path: &Path, follow_last: bool) -> io::Result<PathBuf> {
        let Some(root) = &self.root else { return Ok(path.to_owned()) };
        let raw = Raw(root);
        let real = if follow_last {
            resolve(&raw, path)?
        } else {
            match (path.parent(), path.file_name()) {
                (Some(parent), Some(name)) if parent != Path::new("/") => resolve(&raw, parent)?.join(name),
                _ => path.to_owned(),
            }
        };
        Ok(under(root, &real))
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
        // Without O_NONBLOCK, opening a pipe that somebody left among the files would wait for ever.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let mut file =
            OpenOptions::new().read(true).custom_flags(nonblocking).open(self.place(path, true)?)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        // Files under /proc say 0; what they hold is read to its end.
        let mut content = Vec::with_capacity(usize::try_from(meta.len().min(MOST)).unwrap_or(0) + 1);
        let read = file.by_ref().take(MOST + 1).read_to_end(&mut content)?;
        if read as u64 > MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is larger than 64 MiB"));
        }
        Ok(content.into())
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
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let error = Disk::new(Path::new("/")).read(&pipe).unwrap_err();
        assert_eq!(error.to_string(), "is not a regular file");
    }
}
