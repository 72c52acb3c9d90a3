//! Namespaces of a process's own: what it mounts there never reaches the host.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::MountPropagationFlags;
use rustix::thread::UnshareFlags;

/// Takes this process into a mount namespace whose mounts cannot reach the host.
///
/// As root: a namespace of its own with every mount in it made private, from its topmost root on, also where this
/// process lives in a root directory that is no mount point itself and its mount is shared. Otherwise: a user
/// namespace as well, whose mounts never travel back.
///
/// # Errors
/// Why that cannot be had; nothing has been mounted then.
pub(super) fn isolate() -> Result<(), String> {
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
pub(super) fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
