//! Namespaces of a process's own: what it mounts there never reaches the host.

use std::ffi::{CStr, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

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
    match isolate_mounts() {
        Ok(done) => done,
        Err(Errno::PERM) => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS).map_err(|error| {
                let who = if root { "root without the right to mount" } else { "an ordinary user" };
                format!("no private view of the files can be had here ({who}; user namespace: {error})")
            })?;
            Myself::open()?.map(uid, gid)?;
            private_from_the_top()
        }
        Err(error) => Err(format!("no private view of the files can be had here (mount namespace: {error})")),
    }
}

/// Takes this process into a mount namespace of its own, without a user namespace: only root can.
pub(super) fn isolate_mounts() -> Result<Result<(), String>, Errno> {
    unshare(UnshareFlags::NEWNS).map(|()| private_from_the_top())
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
    let cut =
        || rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC);
    // Where `/` is a mount point, everything below it is all that this process can mount on.
    match cut() {
        Err(Errno::INVAL) => {}
        done => return done.map_err(step("make the mounts private")),
    }
    let own = open_path(Path::new("/")).map_err(step("open the root directory"))?;
    climb()?;
    let done = cut().map_err(step("make the mounts private"));
    rustix::process::fchdir(&own).map_err(step("return to the root directory"))?;
    rustix::process::chroot(".").map_err(step("return to the root directory"))?;
    done
}

/// Makes the namespace's own root this process's root directory, which may have been one below it.
fn climb() -> Result<(), String> {
    let own = open_path(Path::new("/")).map_err(step("open the root directory"))?;
    // `..` is stopped only by the process's own root directory; with that set to a place below, it leads to the top.
    let below = a_directory().map_err(step("find a directory in the root directory"))?;
    rustix::process::chroot(&below).map_err(step("leave the root directory"))?;
    rustix::process::fchdir(&own).map_err(step("return to the root directory"))?;
    let mut here = identity(&own).map_err(step("look at the root directory"))?;
    loop {
        rustix::process::chdir("..").map_err(step("go up"))?;
        let up = open_path(Path::new(".")).and_then(identity).map_err(step("look up"))?;
        if up == here {
            break;
        }
        here = up;
    }
    rustix::process::chroot(".").map_err(step("reach the topmost root"))
}

/// Returns how a step that failed is told.
pub(super) fn step(what: &'static str) -> impl Fn(Errno) -> String {
    move |error| format!("no private view of the files can be had here: could not {what}: {error}")
}

/// This process as `/proc` shows it: usable also where no `/proc` is in sight any more.
pub(super) struct Myself(OwnedFd);

impl Myself {
    /// Opens it.
    pub(super) fn open() -> Result<Self, String> {
        open_path(Path::new("/proc/self")).map(Self).map_err(step("open `/proc/self`"))
    }

    /// Reads one of its files.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let mut text = Vec::new();
        File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?).read_to_end(&mut text)?;
        Ok(text)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        rustix::fs::openat(&self.0, name, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(io::Error::from)
            .and_then(|fd| File::from(fd).write_all(text.as_bytes()))
            .map_err(|error| format!("could not write `/proc/self/{name}`: {error}"))
    }

    /// Gives the one user and group of a user namespace the numbers that this process had outside.
    fn map(&self, uid: u32, gid: u32) -> Result<(), String> {
        self.write("setgroups", "deny")?;
        self.write("uid_map", &format!("0 {uid} 1"))?;
        self.write("gid_map", &format!("0 {gid} 1"))
    }
}

/// Makes `root` the whole of what this process can reach: everything else is unmounted. All of it becomes read-only;
/// with `no_devices` no device and no set-id program in it works either. Only after [`isolate`].
pub(super) fn enter(root: &Path, myself: &Myself, no_devices: bool) -> Result<(), String> {
    let wanted = open_path(root).map_err(step("open the root directory"))?;
    climb()?;
    let place = a_directory().map_err(step("find a directory in the root directory"))?;
    rustix::process::fchdir(&wanted).map_err(step("enter the root directory"))?;
    rustix::mount::mount_bind_recursive(".", &place).map_err(step("mount the root directory"))?;
    rustix::process::chdir(&place).map_err(step("enter the root directory"))?;
    let entered = open_path(Path::new(".")).and_then(identity).map_err(step("look at the root directory"))?;
    if identity(&wanted) != Ok(entered) {
        return Err(
            "no private view of the files can be had here: the root directory was exchanged".to_owned()
        );
    }
    let table = myself.read("mountinfo").map_err(|error| format!("could not read the mounts: {error}"))?;
    for (point, flags) in mounts_below(&table, &place) {
        let mut flags = flags | MountFlags::BIND | MountFlags::RDONLY;
        if no_devices {
            flags |= MountFlags::NODEV | MountFlags::NOSUID;
        }
        match rustix::mount::mount_remount(&point, flags, c"") {
            // What lies under another mount cannot be reached, neither here nor by what will run.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) if point != place => {}
            done => done.map_err(step("make the files read-only"))?,
        }
    }
    rustix::process::pivot_root(".", ".").map_err(step("change the root directory"))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(step("leave the old root directory"))?;
    rustix::process::chdir("/").map_err(step("enter the root directory"))
}

/// Returns the mount points at and below a directory with the flags that they have, from the table of mounts: `36 35
/// 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mounts_below(table: &[u8], dir: &Path) -> Vec<(PathBuf, MountFlags)> {
    let rows = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut words = line.split(|byte| *byte == b' ').skip(4);
        let point = PathBuf::from(OsString::from_vec(unescaped(words.next()?)));
        let flags = words.next()?.split(|byte| *byte == b',').fold(MountFlags::empty(), |flags, word| {
            flags
                | match word {
                    b"ro" => MountFlags::RDONLY,
                    b"nosuid" => MountFlags::NOSUID,
                    b"nodev" => MountFlags::NODEV,
                    b"noexec" => MountFlags::NOEXEC,
                    b"noatime" => MountFlags::NOATIME,
                    b"nodiratime" => MountFlags::NODIRATIME,
                    b"relatime" => MountFlags::RELATIME,
                    _ => MountFlags::empty(),
                }
        });
        Some((point, flags))
    });
    rows.filter(|(point, _)| point.starts_with(dir)).collect()
}

/// Returns a path of the table of mounts, which writes a space as `\040`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let code = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = code.and_then(|code| u8::from_str_radix(str::from_utf8(code).ok()?, 8).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    bytes
}

/// Takes what this process will start into namespaces of its own for processes, network, and what processes share.
pub(super) fn alone() -> Result<(), String> {
    unshare(UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS)
        .map_err(step("leave the processes and the network of the host"))
}

/// Lets a program end as soon as this process does, however it ends; as the first of its namespace it takes all that it
/// started with it.
#[allow(unsafe_code)]
pub(super) fn die_with_us(command: &mut Command) {
    let die = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        Ok(())
    };
    // SAFETY: one system call, between fork and exec of a process that has one thread.
    unsafe { command.pre_exec(die) };
}

/// The same for a program that is to see the processes of its namespace, and no others, in `/proc`.
#[allow(unsafe_code)]
pub(super) fn as_first_process(command: &mut Command) {
    die_with_us(command);
    let mount = || {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        // Where it cannot be had the old one stays in sight, read-only.
        let _ = rustix::mount::mount(c"proc", c"/proc", c"proc", flags, None::<&CStr>);
        Ok(())
    };
    // SAFETY: one system call, between fork and exec of a process that has one thread.
    unsafe { command.pre_exec(mount) };
}

/// Gives up all power for good: what this process starts has no capability, can get none, and belongs to a user
/// namespace that owns nothing outside.
pub(super) fn give_up_power(myself: &Myself) -> Result<(), String> {
    if rustix::process::geteuid().is_root() && !in_own_user_namespace(myself) {
        unshare(UnshareFlags::NEWUSER).map_err(step("make a user namespace"))?;
        myself.map(0, 0)?;
    }
    alone()?;
    rustix::thread::set_no_new_privs(true).map_err(step("give up set-id programs"))?;
    for number in 0..64 {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            // The kernel knows no more of them.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(step("give up capabilities")(error)),
        }
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(step("give up capabilities"))
}

/// Tells whether [`isolate`] has made a user namespace already.
fn in_own_user_namespace(myself: &Myself) -> bool {
    let text = myself.read("uid_map").unwrap_or_default();
    let words: Vec<&str> = str::from_utf8(&text).unwrap_or_default().split_ascii_whitespace().collect();
    words.get(2) == Some(&"1")
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

/// Opens a directory for its path alone.
fn open_path(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens a directory to list it; a link is not followed.
pub(super) fn open_dir(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}
