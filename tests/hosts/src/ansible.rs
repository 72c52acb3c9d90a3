//! Real Ansible, in a Python environment of its own under `target/ansible`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::folders::{self, Lock};
use crate::host::{Ran, sound};

/// What is installed, each at one version.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// What reads the collection as those do who publish or lint it, each at one version.
const CHECKS: &str = include_str!("../requirements-checks.txt");

/// Pythons that ansible-core 2.19 runs on, the first that is there is taken.
const PYTHONS: &[&str] = &["python3", "python3.11", "python3.12", "python3.13"];

/// Returns the Python environment with ansible-core, making it first if it is missing or of another version.
///
/// # Errors
/// Names what this machine lacks (Python 3.11 or newer, its `venv` module) and how to get it.
pub fn ensure() -> Result<PathBuf> {
    let environment = folders::target().join("ansible");
    let stamp = environment.join("requirements.txt");
    let current = || fs::read_to_string(&stamp).is_ok_and(|text| text == REQUIREMENTS);
    if current() {
        return Ok(environment);
    }
    let _lock = Lock::wait(&environment.with_extension("lock"))?;
    if !current() {
        folders::remove_tree(&environment)?;
        let python = python()?;
        let words = ["-m".into(), "venv".into(), environment.clone().into()];
        folders::run(python, words).context("a Python environment could not be made")?;
        install(&environment, REQUIREMENTS)
            .context("ansible-core could not be installed into the Python environment")?;
        fs::write(&stamp, REQUIREMENTS)?;
    }
    Ok(environment)
}

/// Returns the same environment with antsibull-docs, ansible-lint and yamllint in it.
///
/// # Errors
/// Those of [`ensure`]; a package that cannot be had.
pub fn ensure_checks() -> Result<PathBuf> {
    let environment = ensure()?;
    // Goes with the environment when that is made anew.
    let stamp = environment.join("requirements-checks.txt");
    let current = || fs::read_to_string(&stamp).is_ok_and(|text| text == CHECKS);
    if !current() {
        let _lock = Lock::wait(&environment.with_extension("lock"))?;
        if !current() {
            install(&environment, CHECKS).context("the collection's checks could not be installed")?;
            fs::write(&stamp, CHECKS)?;
        }
    }
    Ok(environment)
}

/// Installs a list of packages that is complete, so that nothing moves what another list names.
fn install(environment: &Path, requirements: &str) -> Result<()> {
    let list = environment.join("requirements.in");
    fs::write(&list, requirements)?;
    let pip = environment.join("bin/pip");
    let pip = pip.to_str().context("the target folder's path is not UTF-8")?;
    let words = ["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"];
    folders::run(pip, words.iter().map(Into::into).chain([list.into()]))
}

/// Tells whether this machine has a Python from which the environment can be made.
pub fn can_be_made() -> bool {
    python().is_ok()
}

fn python() -> Result<&'static str> {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";
    let fits = |python: &&&str| {
        let ran = Command::new(python).args(["-c", check]).stderr(Stdio::null()).status();
        ran.is_ok_and(|status| status.success())
    };
    match PYTHONS.iter().find(fits) {
        Some(python) => Ok(python),
        None => bail!(
            "Ansible needs Python 3.11 or newer as `python3`, with its modules `venv` and `ensurepip`; \
             on Debian 12: apt-get install python3-venv"
        ),
    }
}

/// Ansible with a home of its own, the project's collection, and the binary under test in it.
#[derive(Debug)]
pub struct Ansible {
    environment: PathBuf,
    folder: TempDir,
}

impl Ansible {
    /// Returns an Ansible that knows the collection `webfleet.apache` of this checkout with `binary` as its binary
    /// for this machine's architecture.
    #[track_caller]
    pub fn with_binary(binary: impl AsRef<Path>) -> Self {
        sound(Self::new(binary.as_ref()))
    }

    /// Like [`Ansible::with_binary`], for callers that report errors.
    pub fn new(binary: &Path) -> Result<Self> {
        let environment = ensure()?;
        // A short path: Ansible's control sockets lie below it, and theirs may have 107 characters.
        let folder = tempfile::Builder::new().prefix("ansible-").tempdir()?;
        let collection = folder.path().join("collections/ansible_collections/webfleet/apache");
        fs::create_dir_all(&collection)?;
        let source = folders::workspace().join("ansible");
        if source.exists() {
            folders::run("cp", ["-rT".into(), "--".into(), source.into(), collection.clone().into()])?;
        }
        let programs = collection.join("files/bin");
        fs::create_dir_all(&programs)?;
        let name = format!("apache-tuning-linux-{}", std::env::consts::ARCH);
        fs::copy(binary, programs.join(name)).with_context(|| format!("copying {}", binary.display()))?;
        Ok(Self { environment, folder })
    }

    /// Returns the folder that belongs to this Ansible alone: its home, collections and inventories.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the collection as this Ansible sees it.
    pub fn collection(&self) -> PathBuf {
        self.folder.path().join("collections/ansible_collections/webfleet/apache")
    }

    /// Returns a command that starts one of Ansible's programs (`ansible-playbook`, `ansible-doc`, `python3`) with
    /// nothing of the caller's environment.
    pub fn command(&self, program: &str) -> Command {
        let at = self.folder.path();
        let programs = self.environment.join("bin");
        let mut command = Command::new(programs.join(program));
        command
            .env_clear()
            .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", programs.display()))
            .env("HOME", at)
            .env("LC_ALL", "C.UTF-8")
            .env("ANSIBLE_COLLECTIONS_PATH", at.join("collections"))
            .env("ANSIBLE_NOCOLOR", "1")
            .env("ANSIBLE_RETRY_FILES_ENABLED", "0")
            .env("ANSIBLE_LOCALHOST_WARNING", "0")
            .env("ANSIBLE_INVENTORY_UNPARSED_WARNING", "0")
            .current_dir(at)
            .stdin(Stdio::null());
        command
    }

    /// Runs one of Ansible's programs to its end.
    #[track_caller]
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Ran {
        let mut command = self.command(program);
        sound(command.args(arguments).output().with_context(|| format!("starting {program}"))).into()
    }

    /// Writes a file into this Ansible's folder and returns its path.
    #[track_caller]
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        sound(fs::write(&path, text).with_context(|| format!("writing {}", path.display())));
        path
    }

    /// Runs a playbook, given as text, against an inventory, given as text; more `arguments` may follow (`--check`).
    #[track_caller]
    pub fn playbook(&self, inventory: &str, playbook: &str, arguments: &[&str]) -> Ran {
        let inventory = self.file("inventory", inventory);
        let playbook = self.file("playbook.yml", playbook);
        let mut command = self.command("ansible-playbook");
        command.arg("-i").arg(inventory).arg(playbook).args(arguments);
        sound(command.output().context("starting `ansible-playbook`")).into()
    }

    /// Runs one module against one host of an inventory and returns its result as Ansible has it.
    ///
    /// # Panics
    /// Where Ansible gives no result at all; a task that failed is a result.
    #[track_caller]
    pub fn task(
        &self,
        inventory: &str,
        host: &str,
        module: &str,
        parameters: &serde_json::Value,
        arguments: &[&str],
    ) -> serde_json::Value {
        let inventory = self.file("inventory", inventory);
        let mut command = self.command("ansible");
        command
            .env("ANSIBLE_LOAD_CALLBACK_PLUGINS", "1")
            .env("ANSIBLE_STDOUT_CALLBACK", "ansible.builtin.minimal");
        command.arg("-i").arg(inventory).args([host, "-o", "-m", module, "-a"]).arg(parameters.to_string());
        let ran = Ran::from(sound(command.args(arguments).output().context("starting `ansible`")));
        let json = ran.stdout.split_once("=> ").map(|(_, json)| json.trim());
        match json.map(serde_json::from_str) {
            Some(Ok(value)) => value,
            _ => panic!("no result from Ansible: {}{}", ran.stdout, ran.stderr),
        }
    }
}
