//! The staged test: the real `httpd -t` on the planned files, before anything is touched.
//!
//! The planned files are mounted over the real ones in a mount namespace of the test's own, which goes with its
//! process. Nothing is written to the host: what is new lies in memory (tmpfs). That nothing reaches the live host
//! is made sure *before* the first mount: see [`isolate`].

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use crate::httpd::binary::{Httpd, Tested};
use crate::stored::Stored;
use crate::tree::{Change, Node};

/// Runs the real configuration test on the files as `changes` would make them. The host is not touched.
///
/// # Errors
/// Why the test could not run here, in words for the result; the caller then tests after the change.
pub fn staged_test(httpd: &Httpd, changes: &[Change]) -> Result<Tested, String> {
    httpd.test_with(Overlay::new(changes))
}

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
    fn new(changes: &[Change]) -> Self {
        let mut dirs: BTreeMap<PathBuf, Vec<Planned>> = BTreeMap::new();
        for change in changes.iter().filter(|change| change.role.is_read_by_httpd()) {
            let (Some(dir), Some(name)) = (change.path.parent(), change.path.file_name()) else { continue };
            let rewritten = matches!((&change.before, &change.after), (Node::File(_), Node::File(_)));
            let planned = Planned { name: name.into(), rewritten, node: Stored::of(&change.after) };
            dirs.entry(dir.to_owned()).or_default().push(planned);
        }
        Self { dirs }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }
}

/// Takes this process into a mount namespace whose mounts cannot reach the host.
///
/// As root: a namespace of its own with every mount in it made private, from its topmost root on, also where this
/// process lives in a root directory that is no mount point itself and its mount is shared. Otherwise: a user
/// namespace as well, whose mounts never travel back.
///
/// # Errors
/// Why that cannot be had; nothing has been mounted then.
pub(crate) fn isolate() -> Result<(), String> {
    let root = rustix::process::geteuid().is_root();
    match unshare(UnshareFlags::NEWNS) {
        Ok(()) => private_from_the_top(),
        Err(Errno::PERM) => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(|error| {
                let who = if root { "root without the right to mount" } else { "an ordinary user" };
                format!("no private view of the files can be had here ({who}; user namespace: {error})")
            })?;
            let write = |path: &str, text: String| {
                std::fs::write(path, text).map_err(|error| format!("could not write `{path}`: {error}"))
            };
            write("/proc/self/setgroups", "deny".to_owned())?;
            write("/proc/self/uid_map", format!("0 {uid} 1"))?;
            write("/proc/self/gid_map", format!("0 {gid} 1"))?;
            private_from_the_top()
        }
        Err(error) => Err(format!("no private view of the files can be had here (mount namespace: {error})")),
    }
}

/// Leaves the namespaces of the other processes.
#[allow(unsafe_code)]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: only `UnshareFlags::FILES` can take descriptors away from other threads; it is never given here, and
    // the second start has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Makes every mount of the namespace private, then returns to the root directory this process has.
///
/// A change of propagation needs a path that is a mount point, and `/` need not be one: a chroot into a plain
/// directory. So this goes up to the namespace's own root and back, which is allowed to whoever may enter roots.
fn private_from_the_top() -> Result<(), String> {
    let step = |what: &'static str| {
        move |error: Errno| format!("no private view of the files can be had here: could not {what}: {error}")
    };
    let cut =
        || rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC);
    // Where `/` is a mount point, everything below it is all that this process can mount on.
    match cut() {
        Err(Errno::INVAL) => {}
        done => return done.map_err(step("make the mounts private")),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/", flags, Mode::empty()).map_err(step("open the root directory"))?;
    // `..` is stopped only by the process's own root directory; with that set to a place below, it leads to the top.
    let below = a_directory().map_err(step("find a directory in the root directory"))?;
    rustix::process::chroot(&below).map_err(step("leave the root directory"))?;
    rustix::process::fchdir(&own).map_err(step("return to the root directory"))?;
    let mut here = identity(&own).map_err(step("look at the root directory"))?;
    loop {
        rustix::process::chdir("..").map_err(step("go up"))?;
        let up = rustix::fs::open(".", flags, Mode::empty()).and_then(identity).map_err(step("look up"))?;
        if up == here {
            break;
        }
        here = up;
    }
    rustix::process::chroot(".").map_err(step("reach the topmost root"))?;
    let done = cut().map_err(step("make the mounts private"));
    rustix::process::fchdir(&own).map_err(step("return to the root directory"))?;
    rustix::process::chroot(".").map_err(step("return to the root directory"))?;
    done
}

/// Returns what tells one directory from another.
fn identity(dir: impl AsFd) -> Result<(u64, u64), Errno> {
    rustix::fs::fstat(dir).map(|stat| (stat.st_dev, stat.st_ino))
}

/// Returns the path of some directory in `/`.
fn a_directory() -> Result<PathBuf, Errno> {
    let root = open_dir(Path::new("/"))?;
    for entry in rustix::fs::Dir::read_from(&root)? {
        let entry = entry?;
        let name = entry.file_name();
        let stat = rustix::fs::statat(&root, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && !name.to_bytes().starts_with(b".")
        {
            return Ok(Path::new("/").join(OsStr::from_bytes(name.to_bytes())));
        }
    }
    Err(Errno::NOENT)
}

/// Opens a directory to list it; a link is not followed.
fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Lays the planned files over the real ones. Only after [`isolate`].
///
/// # Errors
/// What could not be mounted.
pub(crate) fn lay(overlay: &Overlay) -> Result<(), String> {
    // A directory that does not exist yet becomes part of the nearest one that does.
    let mut plans: BTreeMap<&Path, Vec<(PathBuf, &Planned)>> = BTreeMap::new();
    for (dir, planned) in &overlay.dirs {
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

/// Lays planned files over one directory.
fn lay_dir(dir: &Path, planned: &[(PathBuf, &Planned)]) -> io::Result<()> {
    let under = open_dir(dir)?;
    // From here on `./name` is a real file, whatever is mounted over the directory.
    rustix::process::fchdir(&under)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    rustix::mount::mount("tmpfs", dir, "tmpfs", flags, c"mode=0755")?;
    let over = open_dir(dir)?;

    if planned.iter().all(|(_, planned)| planned.rewritten) {
        for (name, planned) in planned {
            create(&over, name, &planned.node)?;
            rustix::mount::mount_bind(dir.join(name), Path::new(".").join(name))?;
        }
        // The files stay, mounted one by one; the directory is the real one again.
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
                rustix::fs::symlinkat(target, &over, name)?;
            }
            FileType::RegularFile => {
                create_file(&over, path, b"")?;
                rustix::mount::mount_bind(from, dir.join(path))?;
            }
            FileType::Directory => {
                rustix::fs::mkdirat(&over, name, Mode::from_raw_mode(0o755))?;
                rustix::mount::mount_bind_recursive(from, dir.join(path))?;
            }
            // httpd reads neither sockets nor devices of its configuration.
            _ => {}
        }
    }
    for (name, planned) in planned {
        let inner: Vec<&Path> =
            name.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
        for part in inner.into_iter().rev() {
            match rustix::fs::mkdirat(&over, part, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        create(&over, name, &planned.node)?;
    }
    Ok(())
}

/// Makes a planned node in a directory in memory.
fn create(dir: &OwnedFd, name: &Path, node: &Stored) -> io::Result<()> {
    match node.standing()?.node {
        Node::Absent => Ok(()),
        Node::Link(target) => Ok(rustix::fs::symlinkat(target, dir, name)?),
        Node::File(content) => create_file(dir, name, &content),
    }
}

/// Makes a file in a directory in memory.
fn create_file(dir: &OwnedFd, name: &Path, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644))?;
    File::from(fd).write_all(content)
}
