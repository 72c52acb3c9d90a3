//! The hosts as they are built: by debootstrap, once for each release, kept until their recipe changes.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::apt::{self, Mirrors};
use crate::folders::{self, Lock};

/// A release of Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 12: PHP 8.2, mod_evasive 1.10 (`mod_evasive20.c`).
    Bookworm,
    /// Debian 13: PHP 8.4, mod_evasive 2 (`mod_evasive.c`).
    Trixie,
}

/// What is installed in a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// apache2 and mod_evasive alone: the package's own choice, MPM event.
    Event,
    /// The same and then mod_php, which brings prefork, and php-fpm beside it.
    Php,
}

impl Flavour {
    /// The flavours in the order in which one is built upon the other.
    const ORDER: [Self; 2] = [Self::Event, Self::Php];

    fn folder(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Php => "php",
        }
    }

    /// The packages this flavour adds to the one before it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Event => {
                &["apache2", "libapache2-mod-evasive", "python3", "openssh-server", "iproute2", "sudo"]
            }
            Self::Php => &["libapache2-mod-php", "php-fpm"],
        }
    }
}

impl Release {
    /// Every release there are hosts of.
    pub const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    /// Returns Debian's name of the release.
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Returns the release of that name or number.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "bookworm" | "12" | "debian12" => Some(Self::Bookworm),
            "trixie" | "13" | "debian13" => Some(Self::Trixie),
            _ => None,
        }
    }

    /// Everything the built trees depend on; a kept tree with another recipe is built anew.
    fn recipe(self) -> String {
        let mut text = format!("suite {}\n", self.suite());
        for flavour in Flavour::ORDER {
            let _ = writeln!(text, "{} {}", flavour.folder(), flavour.packages().join(" "));
        }
        text + BUILD_ROOT
    }
}

const BUILD_ROOT: &str = include_str!("build-root.sh");

/// Returns the folder of the built host, building it first if it is missing or its recipe has changed.
///
/// Any number of processes may ask at once; one builds, the others wait for it.
///
/// # Errors
/// Without root rights, without debootstrap, or when the build fails; the path of its log is in the message.
pub fn ensure(release: Release, flavour: Flavour) -> Result<PathBuf> {
    let home = folders::hosts();
    let kept = home.join(release.suite());
    let found = kept.join(flavour.folder());
    if is_current(&kept, release) {
        return Ok(found);
    }
    let _lock = Lock::wait(&home.join(format!("{}.lock", release.suite())))?;
    if !is_current(&kept, release) {
        build(release, &home, &kept)
            .with_context(|| format!("the Debian {} test host could not be built", release.suite()))?;
    }
    Ok(found)
}

/// What manages services elsewhere than in the usual hosts, where nothing does.
const MANAGERS: &[&str] = &["openrc", "systemd"];

/// `ModSecurity` and its Core Rule Set.
const PROTECTION: &[&str] = &["libapache2-mod-security2", "modsecurity-crs"];

/// Returns the folder of a Debian 12 with apache2 (event) and mod_evasive on which `OpenRC` and systemd are installed,
/// neither of them at work; builds it first like [`ensure`].
///
/// # Errors
/// As [`ensure`].
pub fn ensure_managed() -> Result<PathBuf> {
    ensure_with(Release::Bookworm, "managed", MANAGERS)
}

/// Returns the folder of a Debian with apache2 (event), mod_evasive, `ModSecurity` and its Core Rule Set; builds it
/// first like [`ensure`].
///
/// # Errors
/// As [`ensure`].
pub fn ensure_protected(release: Release) -> Result<PathBuf> {
    ensure_with(release, "protected", PROTECTION)
}

fn ensure_with(release: Release, name: &str, packages: &[&str]) -> Result<PathBuf> {
    let base = ensure(release, Flavour::Event)?;
    let home = folders::hosts();
    let kept = home.join(format!("{}-{name}", release.suite()));
    let root = kept.join("root");
    let recipe = release.recipe() + &packages.join(" ");
    let is_current = || fs::read_to_string(kept.join("recipe")).is_ok_and(|known| known == recipe);
    let _lock = Lock::wait(&kept.with_extension("lock"))?;
    if is_current() {
        return Ok(root);
    }
    folders::remove_tree(&kept)?;
    fs::create_dir_all(&kept)?;
    copy(&base, &root)?;
    step(&kept.with_extension("log"), "install", &root, release, &apt::mirrors()?, packages)?;
    // Made at its installation, but otherwise on hosts that it has started.
    folders::remove_tree(&root.join("run/openrc"))?;
    fs::write(kept.join("recipe"), recipe)?;
    Ok(root)
}

/// Forgets a kept host, so that the next use builds it anew with the packages of the day.
pub fn forget(release: Release) -> Result<()> {
    let home = folders::hosts();
    let _lock = Lock::wait(&home.join(format!("{}.lock", release.suite())))?;
    folders::remove_tree(&home.join(release.suite()))
}

/// Makes a Debian of that release at `root` with the packages without which there is none; `log` is what debootstrap says.
///
/// # Errors
/// Without root rights, or when debootstrap fails; the path of its log is in the message.
pub fn bootstrap(release: Release, root: &Path, log: &Path) -> Result<()> {
    step(log, "bootstrap", root, release, &apt::mirrors()?, &[])
}

fn is_current(kept: &Path, release: Release) -> bool {
    fs::read_to_string(kept.join("recipe")).is_ok_and(|recipe| recipe == release.recipe())
}

fn build(release: Release, home: &Path, kept: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("debootstrap needs root rights; run as root, or on a machine where you may be");
    }
    apt::provide(apt::HOST_NEEDS)?;
    let mirrors = apt::mirrors()?;

    // Built beside and renamed as a whole, so that an interrupted build is never taken for a host.
    let work = home.join(format!("{}.building", release.suite()));
    folders::remove_tree(&work)?;
    fs::create_dir_all(&work)?;
    let log = home.join(format!("{}.log", release.suite()));
    let mut before: Option<PathBuf> = None;
    for flavour in Flavour::ORDER {
        let root = work.join(flavour.folder());
        match &before {
            None => step(&log, "bootstrap", &root, release, &mirrors, &[])?,
            Some(base) => copy(base, &root)?,
        }
        step(&log, "install", &root, release, &mirrors, flavour.packages())?;
        before = Some(root);
    }
    fs::write(work.join("recipe"), release.recipe())?;

    folders::remove_tree(kept)?;
    fs::rename(&work, kept).with_context(|| format!("renaming {}", work.display()))
}

fn step(
    log: &Path,
    name: &str,
    root: &Path,
    release: Release,
    mirrors: &Mirrors,
    packages: &[&str],
) -> Result<()> {
    let output = File::create(log).with_context(|| format!("writing {}", log.display()))?;
    let status = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"])
        .args(["sh", "-c", BUILD_ROOT, "build-root.sh", name])
        .arg(root)
        .args([release.suite(), &mirrors.main, &mirrors.security])
        .args(packages)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("starting `unshare`")?;
    if status.success() {
        return Ok(());
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let last: Vec<&str> = text.lines().rev().take(8).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    bail!("the step `{name}` failed ({status}); the end of {}:\n{}", log.display(), last.join("\n"))
}

/// Folders of a root that belong to the running machine and are never copied; a copy has them empty.
const MACHINE_FOLDERS: &[&str] = &["dev", "proc", "sys"];

/// Copies a root in about half a second: `/usr`, in which no test may change a file, by hard links, the rest and
/// `/usr/local` whole, with owners, modes, ACLs, extended attributes and times.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut whole: Vec<OsString> = vec!["-a".into(), "--".into()];
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if name != "usr" && !MACHINE_FOLDERS.iter().any(|machine| name == *machine) {
            whole.push(entry.path().into());
        }
    }
    whole.push(to.into());
    folders::run("cp", whole)?;
    folders::run("cp", ["-al".into(), "--".into(), from.join("usr").into(), to.into()])?;
    folders::remove_tree(&to.join("usr/local"))?;
    folders::run("cp", ["-a".into(), "--".into(), from.join("usr/local").into(), to.join("usr").into()])?;
    for name in MACHINE_FOLDERS {
        fs::create_dir_all(to.join(name))?;
    }
    devices(&to.join("dev"))
}

/// Makes the few devices that programs expect even where nothing is mounted.
fn devices(dev: &Path) -> Result<()> {
    for (name, minor) in [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)] {
        let path = dev.join(name);
        // Made with every right, whatever the umask is: as on a real host.
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::empty(), makedev(1, minor))
            .with_context(|| format!("making {}", path.display()))?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    }
    Ok(())
}
