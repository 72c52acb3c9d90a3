//! The disk as [`Files`]: reads only, confined to a root directory, never hangs on a pipe or a device.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::fs::{FileType, Mode, OFlags, RawDir};

use super::ahead::Ahead;
use crate::tree::{Files, Kind, Look, Space, Status, bytes, resolve};
use crate::units::Bytes;

/// The largest file that is read. httpd refuses a single line beyond 16 MiB; no configuration comes near this.
const MOST: usize = 64 * 1024 * 1024;

/// The size of the room that files are read into: more than those of the kernel that are given in one read.
const ROOM: usize = 32 * 1024;

/// The files under a root directory.
#[derive(Debug)]
pub struct Disk {
    /// `None` for the host's own root, where the kernel follows links by itself.
    root: Option<PathBuf>,
    room: RefCell<Box<[u8]>>,
    ahead: RefCell<Option<Ahead>>,
}

impl Disk {
    /// Returns the files under `root`; links in them lead to paths under `root` too.
    pub fn new(root: &Path) -> Self {
        let root = (root != Path::new("/")).then(|| root.to_owned());
        Self { root, room: RefCell::new(vec![0; ROOM].into()), ahead: RefCell::new(None) }
    }

    /// Opens a regular file, and returns the size it says it has.
    fn open(&self, path: &Path) -> io::Result<(OwnedFd, usize)> {
        // Without O_NONBLOCK, opening a pipe left among the files would wait for ever. The system calls
        // are made directly: a host with thousands of virtual hosts has as many files, and `std` takes half as many
        // calls again for each.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(&*self.place(path, true)?, flags, Mode::empty())?;
        let status = rustix::fs::fstat(&file)?;
        if !FileType::from_raw_mode(status.st_mode).is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file"));
        }
        Ok((file, usize::try_from(status.st_size).unwrap_or(0)))
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

/// Reads a file to its end behind what was read of it.
fn read_on(file: &OwnedFd, mut content: Vec<u8>) -> io::Result<Arc<[u8]>> {
    loop {
        content.reserve(ROOM);
        let read = rustix::io::retry_on_intr(|| rustix::io::read(file, spare_capacity(&mut content)))?;
        if content.len() > MOST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "is larger than 64 MiB"));
        }
        if read == 0 {
            return Ok(content.into());
        }
    }
}

impl Files for Disk {
    fn prefetch(&self, count: usize, paths: &mut dyn Iterator<Item = &Path>) {
        let ahead = Ahead::begin(self.root.as_deref(), count, paths);
        if ahead.is_some() || count == 0 {
            *self.ahead.borrow_mut() = ahead;
        }
    }

    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        if let Some(content) = self.ahead.borrow_mut().as_mut().and_then(|ahead| ahead.take(path)) {
            return content;
        }
        let (file, told) = self.open(path)?;
        // Configuration files are small: read into one room that is used again, they are copied once, to where they
        // stay. Those under /proc/sys give a second read nothing, so the first must have room for all.
        let mut room = self.room.borrow_mut();
        if told < room.len() {
            let mut filled = 0;
            loop {
                let read = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut room[filled..]))?;
                filled += read;
                // Where the size is known, less than there was room for means the end.
                if read == 0 || (told > 0 && filled < room.len()) {
                    return Ok(room[..filled].into());
                }
                if filled == room.len() {
                    break;
                }
            }
            return read_on(&file, room[..filled].to_vec());
        }
        read_on(&file, Vec::with_capacity(told.min(MOST) + 1))
    }

    fn scan(&self, path: &Path, look: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        let (file, _) = self.open(path)?;
        let mut room = self.room.borrow_mut();
        loop {
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&file, &mut room[..]))?;
            if read == 0 || look(&room[..read]) {
                return Ok(());
            }
        }
    }

    fn scan_back(&self, path: &Path, overlap: usize, look: Look<'_>) -> io::Result<()> {
        let (file, size) = self.open(path)?;
        let mut room = self.room.borrow_mut();
        let mut end = size;
        loop {
            let start = end.saturating_sub(room.len());
            let mut filled = 0;
            while filled < end - start {
                let at = (start + filled) as u64;
                let read = rustix::io::retry_on_intr(|| {
                    rustix::io::pread(&file, &mut room[filled..end - start], at)
                })?;
                if read == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                filled += read;
            }
            if look(&room[..filled], end == size) || start == 0 {
                return Ok(());
            }
            end = start + overlap.min(room.len() / 2);
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
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let opened = rustix::fs::open(&*self.place(dir, true)?, flags, Mode::empty())?;
        let mut room = [const { MaybeUninit::uninit() }; 8192];
        let mut entries = RawDir::new(opened, &mut room);
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable_by(|a, b| bytes(a).cmp(bytes(b)));
        Ok(names)
    }

    fn status(&self, path: &Path) -> Option<Status> {
        let meta = fs::metadata(self.place(path, true).ok()?).ok()?;
        Some(Status { mode: meta.mode(), uid: meta.uid(), gid: meta.gid(), modified: meta.mtime() })
    }

    fn space(&self, path: &Path) -> Option<Space> {
        let place = self.place(path, true).ok()?;
        let device = fs::metadata(&place).ok()?.dev();
        let room = rustix::fs::statvfs(&*place).ok()?;
        let bytes = |blocks: u64| Bytes(blocks.saturating_mul(room.f_frsize));
        let free_files = (room.f_files > 0).then_some(room.f_favail);
        Some(Space { device, free: bytes(room.f_bavail), total: bytes(room.f_blocks), free_files })
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

/// Returns what is there at a path of the operating system, a link not followed.
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
    use super::super::ahead::FEWEST;
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
        for size in [0, 1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 1 << 20] {
            let path = dir.path().join(size.to_string());
            fs::write(&path, vec![b'x'; size]).unwrap();
            assert_eq!(disk.read(&path).unwrap().len(), size);
        }
    }

    #[test]
    fn a_file_read_ahead_and_not_asked_for_is_forgotten_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        // So many that they are read ahead, which the reader begins behind the first quarter.
        let paths: Vec<PathBuf> = (0..FEWEST).map(|number| dir.path().join(number.to_string())).collect();
        for path in &paths {
            fs::write(path, "old").unwrap();
        }
        let disk = Disk::new(Path::new("/"));
        let announce = |paths: &[PathBuf]| {
            disk.prefetch(paths.len(), &mut paths.iter().map(PathBuf::as_path));
        };
        announce(&paths);
        assert_eq!(&*disk.read(&paths[FEWEST / 4]).unwrap(), b"old");
        for path in &paths {
            fs::write(path, "new").unwrap();
        }
        announce(&paths[..5]);
        announce(&[]);
        for path in &paths {
            assert_eq!(&*disk.read(path).unwrap(), b"new");
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
