//! The few effects on files: every one works below an open root directory, follows no link, and is atomic.
//!
//! A path is walked component by component from the root's descriptor, each opened with `O_NOFOLLOW`, so that a
//! link planted on the way (or a directory swapped for one) is an error and never leads elsewhere. `std::fs` has no
//! calls relative to a directory, therefore rustix.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

pub use crate::stored::{Meta, Standing};
use crate::tree::Node;

/// Attributes whose value belongs to one content or inode and must not be carried to another.
const NOT_CARRIED: [&str; 2] = ["security.ima", "security.evm"];

/// Largest regular file that is read or kept: far above any configuration file, far below what hurts.
const MAX_FILE: u64 = 16 << 20;

/// A root directory, `/` or that of an image, and everything below it.
#[derive(Debug)]
pub struct Disk {
    fd: OwnedFd,
    root: PathBuf,
    /// Who may own the state directory beside root: whoever owns the root directory itself.
    owner: u32,
}

impl Disk {
    /// Opens the root directory. Links in `root` itself are followed: whoever runs the program named it.
    ///
    /// # Errors
    /// Those of opening a directory.
    pub fn open(root: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let owner = rustix::fs::fstat(&fd)?.st_uid;
        Ok(Self { fd, root: root.to_owned(), owner })
    }

    /// Returns the path of the root directory, as given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Opens a directory below the root. `None` where it does not exist.
    ///
    /// # Errors
    /// `ELOOP`/`ENOTDIR` for a link on the way, `PermissionDenied` for a directory on the way that everybody may
    /// write to (a sticky one such as `/tmp` may be passed through, but nothing is put into it).
    pub fn dir(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let mut dir: Option<OwnedFd> = None;
        let mut shared = None;
        let mut walked = PathBuf::from("/");
        for component in path.components() {
            let name = match component {
                Component::RootDir | Component::CurDir => continue,
                Component::Normal(name) => name,
                _ => return Err(refused(path, "has a `..` in it")),
            };
            walked.push(name);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened =
                match rustix::fs::openat(dir.as_ref().unwrap_or(&self.fd), name, flags, Mode::empty()) {
                    Ok(fd) => fd,
                    Err(Errno::NOENT) => return Ok(None),
                    Err(Errno::LOOP | Errno::NOTDIR) => {
                        return Err(refused(&walked, "is not a directory (links are not followed here)"));
                    }
                    Err(error) => return Err(error.into()),
                };
            let mode = rustix::fs::fstat(&opened)?.st_mode;
            dir = Some(opened);
            shared = (mode & 0o002 != 0).then_some(mode & 0o1000 != 0);
            if shared == Some(false) {
                return Err(refused(&walked, "may be written to by everybody; take that right away first"));
            }
        }
        if shared.is_some() {
            return Err(refused(&walked, "may be written to by everybody; nothing is put there"));
        }
        if dir.is_none() {
            // The root itself was opened for its path alone; a descriptor to list and sync is needed.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            dir = Some(rustix::fs::openat(&self.fd, ".", flags, Mode::empty())?);
        }
        Ok(dir)
    }

    /// Opens the directory of `path`, which must exist, and returns it with the last name.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(OwnedFd, &'p OsStr)> {
        let (dir, name) = split(path)?;
        let fd =
            self.dir(dir)?.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such directory"))?;
        Ok((fd, name))
    }

    /// Returns what is there at `path`. A missing directory on the way means nothing stands there.
    ///
    /// # Errors
    /// Those of reading; `InvalidInput` for a directory, a special file, or a file above 16 MiB.
    pub fn standing(&self, path: &Path) -> io::Result<Standing> {
        let (dir, name) = split(path)?;
        match self.dir(dir)? {
            Some(dir) => standing_at(&dir, name),
            None => Ok(Standing::ABSENT),
        }
    }

    /// Makes the directory `path`, mode 0755. Its parent must exist; it must not.
    ///
    /// # Errors
    /// Those of making it.
    pub fn make_dir(&self, path: &Path, mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
        // The umask of whoever started this may have taken more away.
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
        rustix::fs::fsync(&dir)?;
        rustix::fs::fsync(&parent)?;
        Ok(())
    }

    /// Removes the directory `path` if it is empty; returns whether it is gone.
    ///
    /// # Errors
    /// Those of removing it, except that something is still in it.
    pub fn remove_dir(&self, path: &Path) -> io::Result<bool> {
        let (parent, name) = match self.parent(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
            Ok(()) => rustix::fs::fsync(&parent)?,
            Err(Errno::NOENT) => {}
            Err(Errno::NOTEMPTY | Errno::EXIST) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Puts a file at `path` in one step: staged as `staging`, written, synced, renamed. What was there there is
    /// replaced if `replace`, else nothing may be there. `meta` is what the file is to have; `None` is a new
    /// file of mode 0644. The caller syncs the directory.
    ///
    /// # Errors
    /// Those of each step; the staged file is removed then.
    pub fn put_file(
        &self,
        path: &Path,
        staging: &Path,
        content: &[u8],
        meta: Option<&Meta>,
        replace: bool,
    ) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        let (stage_dir, stage_name) = self.parent(staging)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&stage_dir, stage_name, flags, Mode::from_raw_mode(0o600))?;
        let mut file = File::from(fd);
        let done = file
            .write_all(content)
            .and_then(|()| dress(&file, meta))
            .and_then(|()| file.sync_all())
            .and_then(|()| rename(&stage_dir, stage_name, &dir, name, replace));
        if done.is_err() {
            // The error that is being reported is the first one; recovery removes what is left here.
            let _ = rustix::fs::unlinkat(&stage_dir, stage_name, AtFlags::empty());
        }
        done
    }

    /// Puts a symbolic link at `path` in one step, as [`Self::put_file`] does a file.
    ///
    /// # Errors
    /// Those of each step; the staged link is removed then.
    pub fn put_link(&self, path: &Path, staging: &Path, target: &Path, replace: bool) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        if !replace {
            return Ok(rustix::fs::symlinkat(target, &dir, name)?);
        }
        let (stage_dir, stage_name) = self.parent(staging)?;
        rustix::fs::symlinkat(target, &stage_dir, stage_name)?;
        let done = rename(&stage_dir, stage_name, &dir, name, true);
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&stage_dir, stage_name, AtFlags::empty());
        }
        done
    }

    /// Gives what is there at `from`, a file or a link itself, a second name, at which nothing may be.
    ///
    /// # Errors
    /// Those of linking: `CrossesDevices` for another file system.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from_dir, from) = self.parent(from)?;
        let (to_dir, to) = self.parent(to)?;
        Ok(rustix::fs::linkat(&from_dir, from, &to_dir, to, AtFlags::empty())?)
    }

    /// Renames within one directory; nothing may be at the new name.
    ///
    /// # Errors
    /// Those of renaming.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, from) = self.parent(from)?;
        let (to_dir, to) = self.parent(to)?;
        rename(&dir, from, &to_dir, to, false)
    }

    /// Renames over whatever stands at the new name.
    ///
    /// # Errors
    /// Those of renaming.
    pub fn rename_over(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (dir, from) = self.parent(from)?;
        let (to_dir, to) = self.parent(to)?;
        rename(&dir, from, &to_dir, to, true)
    }

    /// Removes the file or link at `path`.
    ///
    /// # Errors
    /// Those of removing it.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        Ok(rustix::fs::unlinkat(&dir, name, AtFlags::empty())?)
    }

    /// Makes what was done in a directory last through a power cut.
    ///
    /// # Errors
    /// Those of syncing; a directory that is gone is none.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        if let Some(dir) = self.dir(path)? {
            rustix::fs::fsync(&dir)?;
        }
        Ok(())
    }

    /// Returns the names in a directory, sorted; none where it does not exist.
    ///
    /// # Errors
    /// Those of reading it.
    pub fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        match self.dir(path)? {
            Some(dir) => names_at(&dir),
            None => Ok(Vec::new()),
        }
    }

    /// Returns the device of a directory; `None` where it does not exist.
    ///
    /// # Errors
    /// Those of looking.
    pub fn device(&self, path: &Path) -> io::Result<Option<u64>> {
        Ok(match self.dir(path)? {
            Some(dir) => Some(rustix::fs::fstat(&dir)?.st_dev),
            None => None,
        })
    }

    /// Opens a directory of ours, refusing one that another program or person could have prepared.
    ///
    /// # Errors
    /// `PermissionDenied` where it is not owned by root, by the user who runs this or by the root directory's
    /// owner, or where others may write to it.
    pub fn private_dir(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        let Some(dir) = self.dir(path)? else { return Ok(None) };
        self.check_private(path, &rustix::fs::fstat(&dir)?)?;
        Ok(Some(dir))
    }

    /// Opens a regular file of ours for reading and, if asked, writing (made when missing, mode 0600). The same
    /// refusals as [`Self::private_dir`], and for a second hard link.
    ///
    /// # Errors
    /// As said, and those of opening.
    pub fn private_file(&self, path: &Path, write: bool) -> io::Result<Option<File>> {
        let (dir, name) = split(path)?;
        let Some(dir) = self.private_dir(dir)? else { return Ok(None) };
        // Not blocking, so that a pipe planted here cannot hold the program up.
        let mut flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        flags |= if write { OFlags::RDWR | OFlags::CREATE } else { OFlags::RDONLY };
        let fd = match rustix::fs::openat(&dir, name, flags, Mode::from_raw_mode(0o600)) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(refused(path, "is a link, which is not followed")),
            Err(error) => return Err(error.into()),
        };
        let stat = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_nlink != 1 {
            return Err(refused(path, "is not a plain file"));
        }
        self.check_private(path, &stat)?;
        Ok(Some(File::from(fd)))
    }

    /// See [`Self::private_dir`].
    fn check_private(&self, path: &Path, stat: &Stat) -> io::Result<()> {
        let own = [0, self.owner, rustix::process::geteuid().as_raw()].contains(&stat.st_uid);
        if !own {
            return Err(refused(path, &format!("belongs to user {}, who must not own it", stat.st_uid)));
        }
        if stat.st_mode & 0o022 != 0 {
            return Err(refused(path, "may be written to by others; take that right away first"));
        }
        Ok(())
    }

    /// Builds `copy` beside it, a directory equal to `dir` with some nodes put or (absent) left out, and exchanges the two in
    /// one step. Everything else keeps its inode: it is linked, not copied. Afterwards the old directory is at
    /// `copy`, for [`Self::clear`].
    ///
    /// # Errors
    /// [`ExchangeError::Unfit`] where this cannot be done here and nothing was changed: the caller goes step by
    /// step instead. `EXDEV` of overlayfs is one, a subdirectory or a mount point in `dir` another.
    pub fn exchange(
        &self,
        dir: &Path,
        copy: &OsStr,
        nodes: &[(&OsStr, &Standing)],
    ) -> Result<(), ExchangeError> {
        let (parent, name) = self.parent(dir)?;
        let old = self.dir(dir)?.ok_or(ExchangeError::Unfit)?;
        let listed = names_at(&old)?;
        let stat = rustix::fs::fstat(&old)?;

        rustix::fs::mkdirat(&parent, copy, Mode::from_raw_mode(0o700))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = rustix::fs::openat(&parent, copy, flags, Mode::empty())?;
        for entry in &listed {
            if nodes.iter().any(|(name, _)| *name == entry.as_os_str()) {
                continue;
            }
            // A directory cannot be linked, nor a file that is a mount point.
            match rustix::fs::linkat(&old, entry, &new, entry, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::PERM | Errno::XDEV | Errno::MLINK | Errno::OPNOTSUPP) => {
                    return Err(ExchangeError::Unfit);
                }
                Err(error) => return Err(error.into()),
            }
        }
        for (name, standing) in nodes {
            match &standing.node {
                Node::Absent => {}
                Node::Link(target) => rustix::fs::symlinkat(target, &new, *name)?,
                Node::File(content) => {
                    let flags =
                        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let mut file =
                        File::from(rustix::fs::openat(&new, *name, flags, Mode::from_raw_mode(0o600))?);
                    file.write_all(content)?;
                    dress(&file, standing.meta.as_ref())?;
                    file.sync_all()?;
                }
            }
        }
        dress_as(&new, &Meta { modified: None, ..meta_of(&old, &stat)? })?;
        rustix::fs::fsync(&new)?;
        rustix::fs::fsync(&parent)?;
        match rustix::fs::renameat_with(&parent, copy, &parent, name, RenameFlags::EXCHANGE) {
            Ok(()) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::BUSY | Errno::OPNOTSUPP) => {
                return Err(ExchangeError::Unfit);
            }
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(&parent)?;
        // Another person who put something into the old directory meanwhile must not lose it.
        for entry in names_at(&old)? {
            if !listed.contains(&entry) {
                rename(&old, &entry, &new, &entry, false)?;
                rustix::fs::fsync(&new)?;
            }
        }
        Ok(())
    }

    /// Removes what was staged at `path`: a file, a link, or a directory of them. Nothing there is no error.
    ///
    /// # Errors
    /// Those of removing.
    pub fn clear(&self, path: &Path) -> io::Result<()> {
        let (dir, name) = match self.parent(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match rustix::fs::unlinkat(&dir, name, AtFlags::empty()) {
            Ok(()) => Ok(rustix::fs::fsync(&dir)?),
            Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let staged = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
                    Ok(staged) => staged,
                    // No directory: what was refused is removing it.
                    Err(Errno::NOTDIR | Errno::LOOP) => return Err(Errno::PERM.into()),
                    Err(error) => return Err(error.into()),
                };
                for entry in names_at(&staged)? {
                    rustix::fs::unlinkat(&staged, &entry, AtFlags::empty())?;
                }
                rustix::fs::unlinkat(&dir, name, AtFlags::REMOVEDIR)?;
                Ok(rustix::fs::fsync(&dir)?)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Why a directory was not exchanged.
#[derive(Debug)]
pub enum ExchangeError {
    /// It cannot be done with this directory or file system.
    Unfit,
    /// A system call failed.
    Io(io::Error),
}

impl From<io::Error> for ExchangeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for ExchangeError {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

/// Returns the refusal of a path.
fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("`{}` {why}", path.display()))
}

/// Splits an absolute path into directory and name.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(dir), Some(name)) if path.is_absolute() => Ok((dir, name)),
        _ => Err(refused(path, "is not an absolute path of a file")),
    }
}

/// Returns what is there under a name in an open directory.
fn standing_at(dir: &OwnedFd, name: &OsStr) -> io::Result<Standing> {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(Standing::ABSENT),
        Err(error) => return Err(error.into()),
    };
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
            Ok(Standing { node: Node::Link(PathBuf::from(OsStr::from_bytes(target.as_bytes()))), meta: None })
        }
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::empty())?);
            // Asked again of the descriptor: the name may lead elsewhere by now.
            let stat = rustix::fs::fstat(&file)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "is not a regular file any more"));
            }
            let mut content = Vec::new();
            (&mut file).take(MAX_FILE + 1).read_to_end(&mut content)?;
            if content.len() as u64 > MAX_FILE {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "is larger than 16 MiB"));
            }
            let meta = meta_of(&file, &stat)?;
            Ok(Standing { node: Node::File(content.into()), meta: Some(meta) })
        }
        FileType::Directory => Err(io::Error::new(io::ErrorKind::InvalidInput, "is a directory")),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "is a special file")),
    }
}

/// Reads what distinguishes an open file or directory.
fn meta_of(fd: impl AsFd, stat: &Stat) -> io::Result<Meta> {
    #[allow(clippy::cast_possible_wrap, clippy::cast_lossless, clippy::unnecessary_cast)]
    let modified = (stat.st_mtime as i64, stat.st_mtime_nsec as i64);
    Ok(Meta {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: Some(modified),
        attributes: attributes(fd)?,
    })
}

/// Reads the extended attributes of an open file; none where the file system has none.
fn attributes(fd: impl AsFd) -> io::Result<Vec<(String, Vec<u8>)>> {
    let fd = fd.as_fd();
    let mut names = vec![0; 4096];
    let length = match rustix::fs::flistxattr(fd, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {
            names = vec![0; 65536];
            rustix::fs::flistxattr(fd, names.as_mut_slice())?
        }
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(name) = str::from_utf8(name) else { continue };
        if NOT_CARRIED.contains(&name) {
            continue;
        }
        let mut value = vec![0; 65536];
        match rustix::fs::fgetxattr(fd, name, value.as_mut_slice()) {
            Ok(length) => value.truncate(length),
            // Listed, but not for this user to see, or gone since.
            Err(Errno::NODATA | Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP) => continue,
            Err(error) => return Err(error.into()),
        }
        found.push((name.to_owned(), value));
    }
    found.sort();
    Ok(found)
}

/// Gives a staged file its owner, mode and attributes: those of the file it replaces, or 0644.
fn dress(file: &File, meta: Option<&Meta>) -> io::Result<()> {
    let Some(meta) = meta else { return Ok(rustix::fs::fchmod(file, Mode::from_raw_mode(0o644))?) };
    dress_as(file, meta)
}

/// Gives an open file or directory this owner, mode, attributes, and time.
fn dress_as(fd: impl AsFd, meta: &Meta) -> io::Result<()> {
    let fd = fd.as_fd();
    let stat = rustix::fs::fstat(fd)?;
    if (stat.st_uid, stat.st_gid) != (meta.uid, meta.gid) {
        rustix::fs::fchown(fd, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    }
    // After the owner: changing that takes set-id bits away.
    rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode))?;
    let has = attributes(fd)?;
    for (name, value) in &meta.attributes {
        if !has.iter().any(|(other, same)| other == name && same == value) {
            rustix::fs::fsetxattr(fd, name.as_str(), value, XattrFlags::empty())?;
        }
    }
    for (name, _) in has {
        // A default ACL of the directory must not open a file that had none.
        if name.starts_with("system.posix_acl") && !meta.attributes.iter().any(|(other, _)| *other == name) {
            rustix::fs::fremovexattr(fd, name.as_str())?;
            rustix::fs::fchmod(fd, Mode::from_raw_mode(meta.mode))?;
        }
    }
    if let Some((seconds, nanoseconds)) = meta.modified {
        #[allow(clippy::useless_conversion)]
        let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
        rustix::fs::futimens(fd, &Timestamps { last_access: time, last_modification: time })?;
    }
    Ok(())
}

/// Renames in one step; without `replace` nothing may be at the new name.
fn rename(from_dir: &OwnedFd, from: &OsStr, to_dir: &OwnedFd, to: &OsStr, replace: bool) -> io::Result<()> {
    if !replace {
        match rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
            // Old kernels and some file systems do not know the flag; the caller has looked already.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            done => return Ok(done?),
        }
    }
    Ok(rustix::fs::renameat(from_dir, from, to_dir, to)?)
}

/// Returns the names in an open directory, sorted.
fn names_at(dir: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_owned();
        if name != b"." && name != b".." {
            names.push(OsStr::from_bytes(&name).to_owned());
        }
    }
    names.sort();
    Ok(names)
}
