//! A test's own host.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::folders::{self, Lock};
use crate::inside::{Inside, PATH};
use crate::listing::Listing;
use crate::template::{self, Flavour, Release};

/// A copy of a built host that belongs to one test and is removed when it is dropped.
///
/// Its methods panic where the host itself does not work (a program that cannot be started, a file that cannot
/// be read): that is a broken test bed, and never what a test is about. What a program in the host answers comes
/// back as [`Ran`].
#[derive(Debug)]
pub struct Host {
    root: PathBuf,
    inside: OnceCell<Inside>,
    /// Shows other processes that this copy is in use.
    _lock: Lock,
    lock_path: PathBuf,
}

/// What became of a program that was run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// The exit status; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output, bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Ran {
    /// Returns standard output without the line end, of a program that must have succeeded.
    ///
    /// # Panics
    /// Where it did not exit with 0; both outputs are shown.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self.stdout.trim_end()
    }

    /// Tells whether it exited with 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs `work`, whose failure means that the test bed is broken.
#[track_caller]
pub(crate) fn sound<T>(work: Result<T>) -> T {
    match work {
        Ok(value) => value,
        Err(error) => panic!("{error:#}"),
    }
}

impl Host {
    /// Returns a fresh Debian 12 with apache2, mod_evasive, mod_php (so prefork) and php-fpm.
    #[track_caller]
    pub fn debian12() -> Self {
        Self::of(Release::Bookworm, Flavour::Php)
    }

    /// Returns a fresh Debian 12 with apache2 (event) and mod_evasive, without PHP.
    #[track_caller]
    pub fn debian12_event() -> Self {
        Self::of(Release::Bookworm, Flavour::Event)
    }

    /// Returns a fresh Debian 13 with apache2, mod_evasive, mod_php (so prefork) and php-fpm.
    #[track_caller]
    pub fn debian13() -> Self {
        Self::of(Release::Trixie, Flavour::Php)
    }

    /// Returns a fresh Debian 13 with apache2 (event) and mod_evasive, without PHP.
    #[track_caller]
    pub fn debian13_event() -> Self {
        Self::of(Release::Trixie, Flavour::Event)
    }

    /// Returns a fresh host of that release and flavour.
    #[track_caller]
    pub fn of(release: Release, flavour: Flavour) -> Self {
        sound(Self::make(release, flavour))
    }

    /// Returns a fresh Debian 12 like [`Host::debian12_event`] with `OpenRC` and systemd installed; neither is at work.
    #[track_caller]
    pub fn managed() -> Self {
        sound(template::ensure_managed().and_then(|template| Self::from(&template, Release::Bookworm)))
    }

    /// Returns a fresh host like [`Host::debian12_event`] or [`Host::debian13_event`] with `ModSecurity` and its Core
    /// Rule Set installed.
    #[track_caller]
    pub fn protected(release: Release) -> Self {
        sound(template::ensure_protected(release).and_then(|template| Self::from(&template, release)))
    }

    fn make(release: Release, flavour: Flavour) -> Result<Self> {
        Self::from(&template::ensure(release, flavour)?, release)
    }

    /// Makes a copy of a built host.
    fn from(template: &Path, release: Release) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static SWEEP: Once = Once::new();
        let run = folders::hosts().join("run");
        SWEEP.call_once(|| sweep(&run));

        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // With the time in it, so that a process number used again never means the same copy.
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
        let name = format!("{}-{}-{number}-{time}", release.suite(), std::process::id());
        let lock_path = run.join(format!("{name}.lock"));
        let lock = Lock::wait(&lock_path)?;
        let root = run.join(name);
        folders::remove_tree(&root)?;
        let host = Self { root, inside: OnceCell::new(), _lock: lock, lock_path };
        template::copy(template, &host.root)?;
        Ok(host)
    }

    /// Returns where the host's `/` is on this machine.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns where a path of the host is on this machine; links are not followed.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Returns the text of a file of the host.
    #[track_caller]
    pub fn read(&self, path: impl AsRef<Path>) -> String {
        let path = self.path(path);
        sound(fs::read_to_string(&path).with_context(|| format!("reading {}", path.display())))
    }

    /// Writes a file of the host, outside `/usr`, whose files belong to all hosts.
    ///
    /// # Panics
    /// For a path below `/usr`, and where the file cannot be written.
    #[track_caller]
    pub fn write(&self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(path);
        assert!(!path.starts_with(self.root.join("usr")), "/usr is shared by hard links: {}", path.display());
        sound(fs::write(&path, content).with_context(|| format!("writing {}", path.display())));
    }

    /// Puts a program of this machine under `/usr/local/bin` of the host and returns its path there.
    #[track_caller]
    pub fn install_binary(&self, program: impl AsRef<Path>) -> PathBuf {
        let program = program.as_ref();
        let name = program.file_name().unwrap_or(OsStr::new("program"));
        let there = Path::new("/usr/local/bin").join(name);
        let target = self.path(&there);
        // A new file by way of a removal, never a write into one that may be shared.
        let _ = fs::remove_file(&target);
        sound(fs::copy(program, &target).with_context(|| format!("copying {}", program.display())));
        there
    }

    fn inside(&self) -> Result<&Inside> {
        if let Some(inside) = self.inside.get() {
            return Ok(inside);
        }
        let made = Inside::new(&self.root)?;
        Ok(self.inside.get_or_init(|| made))
    }

    /// Returns a command that starts a program *of the host* in the host, with a clean environment, `LC_ALL=C`
    /// and nothing on standard input. Arguments, input and a working folder may be added.
    #[track_caller]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_with(&[], program)
    }

    /// Like [`Host::command`], with variables `NAME=value` in the program's environment.
    #[track_caller]
    pub fn command_with(&self, environment: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = self.machine_command("chroot");
        command.arg(&self.root).args(["/usr/bin/env", "-i", "LC_ALL=C", "HOME=/root"]);
        command.arg(format!("PATH={PATH}")).args(environment).arg(program);
        command
    }

    /// Returns a command that starts a program *of this machine* in the host's namespaces: it sees the machine's
    /// files, and the host's network and processes.
    #[track_caller]
    pub fn machine_command(&self, program: impl AsRef<OsStr>) -> Command {
        let words = sound(self.inside()).enter();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(program).stdin(Stdio::null());
        command
    }

    /// Runs a program of the host to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, words: &[S]) -> Ran {
        let (program, arguments) = sound(words.split_first().context("nothing to run"));
        let mut command = self.command(program);
        sound(command.args(arguments).output().context("starting `nsenter`")).into()
    }

    /// Runs a program of the host to its end, with `input` on its standard input.
    #[track_caller]
    pub fn run_with_input<S: AsRef<OsStr>>(&self, words: &[S], input: &[u8]) -> Ran {
        let (program, arguments) = sound(words.split_first().context("nothing to run"));
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = sound(command.spawn().context("starting `nsenter`"));
        let stdin = child.stdin.take();
        let output = std::thread::scope(|scope| {
            // A program may end without reading; that shows in its answer.
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input)));
            child.wait_with_output()
        });
        sound(output.context("waiting for `nsenter`")).into()
    }

    /// Runs a line of shell in the host.
    #[track_caller]
    pub fn sh(&self, line: &str) -> Ran {
        self.run(&["sh", "-c", line])
    }

    /// Runs `work` on a thread that sees the host's network, where its ports 80 and 22 are on `127.0.0.1`.
    #[track_caller]
    pub fn on_network<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        sound(self.inside().and_then(|inside| inside.on_network(work)))
    }

    /// Returns every file of the host with all that can be seen of it.
    ///
    /// `/usr` is left out except for `/usr/local`: its files are shared with other hosts and nothing may write
    /// there. Folders of the running machine (`/proc`, `/dev`, `/sys`) are left out.
    #[track_caller]
    pub fn listing(&self) -> Listing {
        sound(Listing::of_host(&self.root))
    }

    /// Ends every process in the host, with it every mount and connection; the files stay.
    pub fn power_off(&mut self) {
        self.inside.take();
    }
}

/// Removes the copies whose test is no more; a live test holds its lock.
fn sweep(run: &Path) {
    let Ok(entries) = fs::read_dir(run) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "lock")
            && let Ok(Some(_lock)) = Lock::try_now(&path)
        {
            let _ = folders::remove_tree(&path.with_extension(""));
            let _ = fs::remove_file(&path);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.inside.take();
        if let Err(error) = folders::remove_tree(&self.root) {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            return;
        }
        let _ = fs::remove_file(&self.lock_path);
    }
}
