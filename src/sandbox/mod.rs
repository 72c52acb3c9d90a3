//! Starts the real httpd so that it cannot hang, ask, outlive us or leave anything behind.
//!
//! The program is started through a second start of ourselves ([`contained`]), because its own session, its death
//! with ours, another root directory and a private view of the files must be set up inside the child, where `std`
//! has no safe place for it. That nothing reaches the live host is made sure *before* the first mount: see
//! [`namespaces`].

mod covers;
mod namespaces;
mod network;
mod overlay;
mod process;
mod rehearsal;
mod shell;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::covers::{Covers, Devices, Keep};
use self::namespaces::Myself;
pub(crate) use self::overlay::Overlay;
pub(crate) use self::process::{Run, run};
pub(crate) use self::rehearsal::{Ended, Kind, Rehearsal, Rehearsed};
pub(crate) use self::shell::ask_shell;
use crate::httpd::binary::{Httpd, Tested};
use crate::httpd::start::Made;

/// The first argument of the second start. No word of the command line that a person would type.
const CONTAINED: &str = "__contained";

/// Exit code of the second start when httpd could not be started; httpd itself knows 0 and 1.
const NOT_STARTED: u8 = 117;

/// How long a rehearsal may take beside what httpd needs until it serves.
const REHEARSAL_MORE: Duration = Duration::from_secs(20);

/// What the child is told, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    root: PathBuf,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    /// Directories that the start script makes.
    makes: Vec<Made>,
    overlay: Overlay,
    /// What is rehearsed; `None` for a program that is only run.
    rehearsal: Option<Rehearsal>,
}

impl Httpd {
    /// Runs the configuration test on the files as they are.
    ///
    /// # Errors
    /// Why it did not run, in words for the result.
    pub fn test(&self) -> Result<Tested, String> {
        self.test_with(Overlay::default())
    }

    /// Runs the configuration test with some files as they are planned.
    ///
    /// # Errors
    /// Why it did not run, in words for the result.
    pub(crate) fn test_with(&self, overlay: Overlay) -> Result<Tested, String> {
        let run = self.start(&["-t"], overlay, None, self.timeout)?;
        match run.code {
            Some(code) if code == i32::from(NOT_STARTED) => Err(run.output.trim().to_owned()),
            code => {
                let mut tested = Tested::parse(code == Some(0), run.output);
                if let Some(why) = run.ended {
                    tested.output.push_str(&why);
                }
                Ok(tested)
            }
        }
    }

    /// Starts the server with some files as they are planned where nobody can see it, and asks it once.
    ///
    /// # Errors
    /// Why it was not started, in words for the result.
    pub(crate) fn rehearse(&self, overlay: Overlay, rehearsal: Rehearsal) -> Result<Rehearsed, String> {
        if self.root != Path::new("/") {
            return Err("programs of another root directory are not started as a server".to_owned());
        }
        // In the foreground, so that its end is seen; with one process at first, however many are configured.
        let arguments = ["-D", "FOREGROUND", "-c", "StartServers 1"];
        let run = self.start(&arguments, overlay, Some(rehearsal), rehearsal::PATIENCE + REHEARSAL_MORE)?;
        match serde_json::from_str(&run.output) {
            Ok(rehearsed) if run.code == Some(0) => Ok(rehearsed),
            _ => Err((run.output + run.ended.as_deref().unwrap_or_default()).trim().to_owned()),
        }
    }

    /// Starts httpd through a second start of ourselves.
    fn start(
        &self,
        arguments: &[&str],
        overlay: Overlay,
        rehearsal: Option<Rehearsal>,
        timeout: Duration,
    ) -> Result<Run, String> {
        let arguments = self
            .arguments
            .iter()
            .map(String::as_str)
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .collect();
        let environment = self.full_environment();
        let plain = overlay.is_empty() && self.root == Path::new("/") && rehearsal.is_none();
        let (mut command, input) = match self.helper.clone().map(|helper| (helper, None)).or_else(myself) {
            Some((helper, name)) => {
                let (root, binary) = (self.root.clone(), self.binary.clone());
                let makes = self.makes.clone();
                let order = Order { root, binary, arguments, environment, makes, overlay, rehearsal };
                let mut command = Command::new(helper);
                if let Some(name) = name {
                    command.arg0(name);
                }
                command.arg(CONTAINED).env_clear();
                (command, serde_json::to_vec(&order).map_err(|error| error.to_string())?)
            }
            // Better a test that could outlive us than none.
            None if plain => {
                let mut command = Command::new(&self.binary);
                command.args::<Vec<String>, _>(arguments).env_clear().envs(environment);
                (command, Vec::new())
            }
            None => return Err("this program cannot find its own file (is /proc mounted?)".to_owned()),
        };
        run(&mut command, &input, timeout)
            .map_err(|error| format!("could not start `{}`: {error}", self.binary.display()))
    }
}

/// Returns the way to start this program again, and its name.
pub(crate) fn myself() -> Option<(PathBuf, Option<OsString>)> {
    let name = std::env::args_os().next();
    // Names the running program even where its file was replaced or removed.
    let proc = PathBuf::from("/proc/self/exe");
    if proc.exists() {
        return Some((proc, name));
    }
    name.map(PathBuf::from).filter(|path| path.is_absolute() && path.is_file()).map(|path| (path, None))
}

/// The second start: to be called first thing in `main`. Returns `None` where the program was started for
/// something else; otherwise it becomes httpd, or returns why it could not.
pub fn contained() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(CONTAINED) || arguments.next().is_some() {
        return None;
    }
    Some(become_httpd().unwrap_or_else(|reason| {
        // The pipe to the first start; where even that is gone nobody is left to tell.
        let _ = writeln!(io::stderr(), "{reason}");
        ExitCode::from(NOT_STARTED)
    }))
}

/// Reads the order, sets up the surroundings and becomes httpd, or waits for it where it runs in a prison.
fn become_httpd() -> Result<ExitCode, String> {
    let step = |what: &'static str| move |error: rustix::io::Errno| format!("could not {what}: {error}");
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(step("die with the parent"))?;
    rustix::process::setsid().map_err(step("start a session"))?;
    // Read to its end, so that httpd finds nothing on it: there may be no /dev/null in another root.
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| format!("could not read the order: {error}"))?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|error| format!("the order is damaged: {error}"))?;

    if let Some(rehearsal) = &order.rehearsal {
        let rehearsed = rehearsal::rehearse(&order, rehearsal)?;
        let text = serde_json::to_string(&rehearsed).map_err(|error| error.to_string())?;
        return writeln!(io::stdout(), "{text}")
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| error.to_string());
    }
    if order.root != Path::new("/") {
        return imprisoned(&order);
    }
    match namespaces::isolate() {
        // A shared cache makes files there when it is only tested.
        Ok(()) => {
            cover_temporary(&order.makes).map_err(|error| format!("could not cover a directory: {error}"))?;
        }
        // The files as they are can be read without a view of one's own.
        Err(reason) if order.overlay.is_empty() => {
            let missing = order.makes.iter().find(|made| !made.path.is_dir());
            if let Some(Made { path, .. }) = missing {
                return Err(format!(
                    "`{}` is missing, which the start script makes, and it cannot be made in a private view: {reason}",
                    path.display()
                ));
            }
        }
        Err(reason) => return Err(reason),
    }
    rustix::process::chdir("/").map_err(step("enter the root directory"))?;
    order.overlay.lay()?;
    Err(not_started(&order, &order.command().exec()))
}

/// Covers the directories for what is not to stay.
fn cover_temporary(makes: &[Made]) -> io::Result<()> {
    let mut covers = Covers::default();
    ["/tmp", "/var/tmp", "/dev/shm"]
        .iter()
        .try_for_each(|dir| covers.cover(Path::new(dir), "50%", Keep::Nothing))?;
    makes.iter().try_for_each(|made| covers.make(made))
}

/// Runs httpd of another root directory: a program that nobody on this host vouches for. It sees that directory and
/// nothing else, read-only, without devices, processes, network or sockets of this host, and has no capability there.
fn imprisoned(order: &Order) -> Result<ExitCode, String> {
    namespaces::isolate()?;
    let myself = Myself::open()?;
    let devices = Devices::take();
    namespaces::enter(&order.root, &myself, true)?;
    let mut covers = Covers::default();
    for (dir, keep) in IN_ANOTHER_ROOT {
        covers
            .cover(Path::new(dir), "16m", keep)
            .map_err(|error| format!("could not cover `{dir}`: {error}"))?;
    }
    order
        .makes
        .iter()
        .try_for_each(|made| covers.make(made))
        .map_err(|error| format!("could not make a directory in the view: {error}"))?;
    devices.put().map_err(|error| format!("could not put devices into the view: {error}"))?;
    order.overlay.lay()?;
    namespaces::give_up_power(&myself)?;
    let mut command = order.command();
    namespaces::die_with_us(&mut command);
    let status = command.spawn().and_then(|mut child| child.wait());
    let status = status.map_err(|error| not_started(order, &error))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    if code.is_none() {
        let _ = writeln!(io::stderr(), "{status}");
    }
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// The directories of another root through which a program could reach this host, or in which it writes.
const IN_ANOTHER_ROOT: [(&str, Keep); 6] = [
    ("/dev", Keep::Nothing),
    ("/proc", Keep::Nothing),
    ("/sys", Keep::Nothing),
    ("/run", Keep::Directories),
    ("/var/run", Keep::Directories),
    ("/tmp", Keep::Nothing),
];

/// Returns why httpd could not be started.
fn not_started(order: &Order, error: &io::Error) -> String {
    format!("could not start `{}`: {error}", order.binary.display())
}

impl Order {
    /// Returns the command that is httpd.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        command
    }
}
