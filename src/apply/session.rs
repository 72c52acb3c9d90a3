//! What a server that is started without a service manager gets from whoever starts it: what the old one had, and
//! nothing of the session in which a task happens to run.
//!
//! Umask, limits, niceness and descriptors are inherited from process to process, and a server keeps them for weeks. So
//! its start script is started through a second start of this program ([`clean`]), which puts them right in the child,
//! where `std` has no safe place for it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

use crate::facts::process;
use crate::sandbox;
use crate::tree::Files;

/// The first argument of the second start. No word of the command line that a person would type.
pub(super) const SESSION: &str = "__session";

/// Exit code of the second start when the program could not be started.
const NOT_STARTED: u8 = 117;

/// The names that `/proc/PID/limits` has for the limits.
const LIMITS: [(&str, Resource); 16] = [
    ("Max cpu time", Resource::Cpu),
    ("Max file size", Resource::Fsize),
    ("Max data size", Resource::Data),
    ("Max stack size", Resource::Stack),
    ("Max core file size", Resource::Core),
    ("Max resident set", Resource::Rss),
    ("Max processes", Resource::Nproc),
    ("Max open files", Resource::Nofile),
    ("Max locked memory", Resource::Memlock),
    ("Max address space", Resource::As),
    ("Max file locks", Resource::Locks),
    ("Max pending signals", Resource::Sigpending),
    ("Max msgqueue size", Resource::Msgqueue),
    ("Max nice priority", Resource::Nice),
    ("Max realtime priority", Resource::Rtprio),
    ("Max realtime timeout", Resource::Rttime),
];

/// The surroundings of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Soft and hard limits by their names in `/proc/PID/limits`, in the kernel's own units; `None` is unlimited. One
    /// that is not known stays as it is.
    limits: Vec<(String, Option<u64>, Option<u64>)>,
    /// -20 to 19.
    nice: i32,
    /// -1000 to 1000.
    oom_score_adj: i32,
}

/// What the second start is told, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    program: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    session: Session,
}

impl Session {
    /// Returns the surroundings of a process that runs.
    pub(super) fn of(view: &dyn Files, pid: u32) -> Self {
        let read = |name: &str| {
            let text = view.read(Path::new(&format!("/proc/{pid}/{name}"))).unwrap_or_default();
            String::from_utf8_lossy(&text).into_owned()
        };
        Self {
            limits: limits(&read("limits")),
            nice: process::nice(view, pid).unwrap_or(0),
            oom_score_adj: read("oom_score_adj").trim().parse().unwrap_or(0),
        }
    }

    /// Returns the command that runs a program in these surroundings, and the input that it takes. Where this program
    /// cannot be started again it is the program itself.
    pub(super) fn command(
        &self,
        program: &Path,
        arguments: &[&str],
        environment: &BTreeMap<String, String>,
    ) -> (Command, Vec<u8>) {
        let order = Order {
            program: program.to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            environment: environment.clone(),
            session: self.clone(),
        };
        match (sandbox::myself(), serde_json::to_vec(&order)) {
            (Some((myself, name)), Ok(input)) => {
                let mut command = Command::new(myself);
                if let Some(name) = name {
                    command.arg0(name);
                }
                command.arg(SESSION).env_clear();
                (command, input)
            }
            _ => (order.command(), Vec::new()),
        }
    }

    /// Takes this process into these surroundings, as far as it may.
    fn enter(&self) {
        // A child that was just made leads no group, so this cannot fail.
        let _ = rustix::process::setsid();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        for (name, current, maximum) in &self.limits {
            let Some((_, resource)) = LIMITS.iter().find(|(known, _)| known == name) else { continue };
            let wanted = Rlimit { current: *current, maximum: *maximum };
            if rustix::process::setrlimit(*resource, wanted).is_err() {
                // The hard limit cannot be raised from here; up to it the soft one can.
                let most = rustix::process::getrlimit(*resource).maximum;
                let current = match (*current, most) {
                    (Some(current), Some(most)) => Some(current.min(most)),
                    (current, most) => current.or(most),
                };
                let _ = rustix::process::setrlimit(*resource, Rlimit { current, maximum: most });
            }
        }
        let _ = rustix::process::setpriority_process(None, self.nice);
        let _ = std::fs::write("/proc/self/oom_score_adj", self.oom_score_adj.to_string());
        close_fds::set_fds_cloexec(3, &[]);
    }
}

impl Order {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(&self.environment);
        command
    }
}

/// Reads `/proc/PID/limits`: a name, the soft and the hard limit, and for most a unit.
fn limits(text: &str) -> Vec<(String, Option<u64>, Option<u64>)> {
    let value = |word: &str| if word == "unlimited" { Some(None) } else { word.parse().ok().map(Some) };
    let found = |name: &str| {
        let mut words = text.lines().find_map(|line| line.strip_prefix(name))?.split_ascii_whitespace();
        Some((name.to_owned(), value(words.next()?)?, value(words.next()?)?))
    };
    LIMITS.iter().filter_map(|(name, _)| found(name)).collect()
}

/// The second start: to be called first thing in `main`. Returns `None` where the program was started for something
/// else; otherwise it becomes the program that it was told, or returns why it could not.
pub fn clean() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(SESSION) || arguments.next().is_some() {
        return None;
    }
    let mut text = Vec::new();
    let read = io::stdin().read_to_end(&mut text).map_err(|error| error.to_string());
    let order = read.and_then(|_| serde_json::from_slice::<Order>(&text).map_err(|error| error.to_string()));
    let why = match order {
        Ok(order) => {
            order.session.enter();
            let error = order.command().stdin(Stdio::null()).exec();
            format!("could not start `{}`: {error}", order.program.display())
        }
        Err(why) => format!("the order is damaged: {why}"),
    };
    // The pipe to the first start; where even that is gone nobody is left to tell.
    let _ = writeln!(io::stderr(), "{why}");
    Some(ExitCode::from(NOT_STARTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_writes_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max cpu time              unlimited            unlimited            seconds   \n\
             Max open files            8192                 524288               files     \n\
             Max core file size        0                    unlimited            bytes     \n\
             Max nice priority         0                    0                    \n\
             Max news of tomorrow      7                    7                    \n";
        let own = |name: &str, soft, hard| (name.to_owned(), soft, hard);
        assert_eq!(
            limits(text),
            [
                own("Max cpu time", None, None),
                own("Max core file size", Some(0), None),
                own("Max open files", Some(8192), Some(524_288)),
                own("Max nice priority", Some(0), Some(0)),
            ]
        );
    }
}
