//! How httpd is started: read, never assumed.
//!
//! Environment, `-D` names, main file and what is read before and after it decide what the configuration means. They are
//! read from the start files of the family (`families`), and from the running parent where it is newer than they are.
//! What is then still open is *not known* ([`Unknown`]), never "not defined".

pub mod command_line;
mod families;
pub mod shell;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use command_line::CommandLine;
use serde::{Deserialize, Serialize};
pub use shell::{Construct, Unknown};

use super::Mpm;
use crate::tree::Files;

/// What starts the server of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Debian's `apache2ctl`, which reads `envvars` and takes `APACHE_ARGUMENTS`.
    Apache2ctl,
    /// A unit of systemd that starts httpd itself, with options in variables.
    Unit {
        /// The file with `OPTIONS` that is read where there is no unit, as before systemd; empty where there is none.
        options: &'static str,
    },
    /// SUSE's `start_apache2`, which reads `/etc/sysconfig/apache2`.
    StartApache2,
    /// `OpenRC`'s script, which reads `/etc/conf.d/apache2`.
    OpenRc {
        /// The variable with httpd's options.
        options: &'static str,
        /// Whether the MPM is built into the program.
        builds_mpm: bool,
    },
    /// FreeBSD's script, which reads `/etc/rc.conf`.
    Rc,
    /// httpd itself, with the environment of an image.
    Image,
}

/// What the service manager is informed about the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// The variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// Names of variables whose values come from elsewhere.
    pub passed: Vec<String>,
    /// The words of the command that starts the server, variables expanded.
    pub start: Vec<String>,
    /// The files that say so.
    pub files: Vec<PathBuf>,
}

/// The running parent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parent {
    /// Its environment, as `/proc/PID/environ` has it.
    pub environment: Vec<u8>,
    /// Its words, as `/proc/PID/cmdline` has them.
    pub words: Vec<u8>,
    /// When it was started, in seconds since the epoch; may be one second early.
    pub started: Option<u64>,
}

/// What there is to read.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The host's files.
    pub files: &'a dyn Files,
    /// What starts the server.
    pub script: Script,
    /// The directory of the configuration.
    pub config_dir: &'a Path,
    /// The main file of this family or instance.
    pub main_file: &'a Path,
    /// ServerRoot of this family or instance.
    pub server_root: &'a Path,
    /// httpd's program.
    pub binary: &'a Path,
    /// The instance's name, if it is not the main one.
    pub instance: Option<&'a str>,
    /// The file of variables of this family or instance; empty where it has none.
    pub variables: &'a Path,
    /// The service's unit, where there is one.
    pub unit: Option<&'a Unit>,
    /// The environment that whatever starts the server has; `None` where that is not known.
    pub inherited: Option<&'a BTreeMap<String, String>>,
    /// Names in it that only whoever runs this program has.
    pub caller: &'a BTreeSet<String>,
    /// The running parent.
    pub parent: Option<&'a Parent>,
    /// What a real shell said of the file of variables, asked because this program could not follow it.
    pub said: Option<&'a BTreeMap<String, String>>,
}

/// A directory that the start script makes before httpd is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The directory.
    pub path: PathBuf,
    /// The user that it is made for; `None` for root.
    pub owner: Option<String>,
}

/// A file of variables that only a shell can carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The file.
    pub file: PathBuf,
    /// The variables that the start script has when it reads it.
    pub environment: BTreeMap<String, String>,
}

/// How a server is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The binary that is started; `None` for the family's usual one.
    pub binary: Option<PathBuf>,
    /// The MPM built into it.
    pub mpm: Option<Mpm>,
    /// Modules loaded before the configuration: identifier, source file, program.
    pub modules: Vec<(String, String, PathBuf)>,
    /// Names given with `-D`.
    pub defines: Vec<String>,
    /// The main file, where it is another one than the family's (`-f`), absolute.
    pub main_file: Option<PathBuf>,
    /// ServerRoot, where it is another one than the family's (`-d`).
    pub server_root: Option<PathBuf>,
    /// Directives read before the main file (`-C`).
    pub first: Vec<String>,
    /// Directives read after it (`-c`), whose lines win over all others.
    pub then: Vec<String>,
    /// The environment of httpd.
    pub environment: BTreeMap<String, String>,
    /// Names in it that come from whoever runs this program, not from the server or a file: they may be meant for others.
    pub of_the_caller: BTreeSet<String>,
    /// Directories that the script makes.
    pub makes: Vec<Made>,
    /// Variables that are not known.
    pub unknown: Unknown,
    /// Whether httpd's options are not known.
    pub unknown_options: bool,
    /// Lines that only a shell could carry out.
    pub constructs: Vec<Construct>,
    /// What a shell could be asked.
    pub ask_shell: Option<Ask>,
    /// Where all this was read.
    pub read_from: Vec<PathBuf>,
    /// Whether the running parent told it.
    pub by_parent: bool,
}

/// Names by which an MPM stays in the foreground: whoever starts the server decides that, not the configuration.
fn is_foreground(name: &str) -> bool {
    command_line::FOREGROUND.contains(&name)
}

/// Variables that a service manager gives to one process alone: with them httpd would speak in the server's name.
const OF_ONE_PROCESS: [&str; 12] = [
    "APACHE_STARTED_BY_SYSTEMD",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "MAINPID",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "PWD",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Returns an environment as the kernel shows it, without what is one process's own.
pub fn environment(text: &[u8]) -> BTreeMap<String, String> {
    let pairs =
        text.split(|byte| *byte == 0).filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='));
    pairs
        .filter(|(name, _)| shell::is_name(name) && !OF_ONE_PROCESS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Works out how a server is started.
pub fn launch(ground: &Ground<'_>) -> Launch {
    let mut launch = families::launch(ground);
    let inherited = |name: &String| ground.inherited.and_then(|inherited| inherited.get(name));
    let as_given = |name: &&String| launch.environment.get(*name) == inherited(name);
    launch.of_the_caller = ground.caller.iter().filter(as_given).cloned().collect();
    launch.unknown.every |= ground.inherited.is_none() && ground.said.is_none();
    for name in OF_ONE_PROCESS {
        launch.environment.remove(name);
    }
    if let Some(parent) = ground.parent {
        launch.learn(ground, parent);
    }
    launch
}

impl Launch {
    /// Learns from the running parent what the files do not say, or say differently since it was started.
    pub fn learn(&mut self, ground: &Ground<'_>, parent: &Parent) {
        let told = environment(&parent.environment);
        if !told.is_empty() && self.is_older_than(ground.files, parent) {
            self.take(ground, parent, told);
            return;
        }
        // What no file sets, the next start has as this one had it.
        for (name, value) in told {
            if let Entry::Vacant(place) = self.environment.entry(name) {
                self.of_the_caller.remove(place.key());
                self.unknown.names.remove(place.key());
                place.insert(value);
            }
        }
    }

    /// Returns the arguments by which httpd is started so, those of the instance apart.
    pub fn arguments(&self) -> Vec<String> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let mut words: Vec<String> =
            self.defines.iter().filter(|name| !is_foreground(name)).map(|name| format!("-D{name}")).collect();
        let mut pair = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if let Some(root) = &self.server_root {
            pair("-d", text(root));
        }
        if let Some(file) = &self.main_file {
            pair("-f", text(file));
        }
        for (id, _, program) in &self.modules {
            pair("-C", format!("LoadModule {id} {}", program.display()));
        }
        for directive in &self.first {
            pair("-C", directive.clone());
        }
        for directive in &self.then {
            pair("-c", directive.clone());
        }
        words
    }

    /// Returns identifier and source file of what is there before the configuration is read.
    pub fn built_in(&self) -> Vec<(String, String)> {
        let mpm = self.mpm.map(|mpm| (mpm.module().to_owned(), mpm.source_file().to_owned()));
        let loaded = self.modules.iter().map(|(id, source, _)| (id.clone(), source.clone()));
        mpm.into_iter().chain(loaded).collect()
    }

    /// Takes the options of a command line.
    fn take_options(&mut self, options: CommandLine, server_root: &Path) {
        let CommandLine { defines, file, server_root: root, before, after, .. } = options;
        self.defines.extend(defines);
        self.first.extend(before);
        self.then.extend(after);
        self.server_root = root.or(self.server_root.take());
        let base = self.server_root.as_deref().unwrap_or(server_root);
        self.main_file = file.map(|file| base.join(file)).or(self.main_file.take());
    }

    /// Forgets what is the family's own.
    fn drop_usual(&mut self, ground: &Ground<'_>) {
        self.main_file = self.main_file.take().filter(|file| file != ground.main_file);
        self.server_root = self.server_root.take().filter(|root| root != ground.server_root);
        self.binary = self.binary.take().filter(|binary| binary != ground.binary);
    }

    /// Tells whether no file that was read has changed since the parent was started.
    fn is_older_than(&self, files: &dyn Files, parent: &Parent) -> bool {
        let Some(started) = parent.started.and_then(|started| i64::try_from(started).ok()) else {
            return false;
        };
        self.read_from
            .iter()
            .all(|file| files.status(file).is_none_or(|status| status.modified <= started.saturating_add(1)))
    }

    /// Takes what the running parent was started with.
    fn take(&mut self, ground: &Ground<'_>, parent: &Parent, environment: BTreeMap<String, String>) {
        let options = CommandLine::parse(&parent.words);
        self.environment = environment;
        self.of_the_caller.clear();
        self.unknown = Unknown::default();
        self.unknown_options = false;
        self.constructs.clear();
        self.ask_shell = None;
        self.by_parent = true;
        self.defines.clear();
        if ground.script == Script::StartApache2 {
            // The rest of its words are files that the script writes anew at each start.
            self.defines = options.defines;
            return;
        }
        (self.first, self.then, self.main_file, self.server_root) = (Vec::new(), Vec::new(), None, None);
        self.take_options(options, ground.server_root);
        self.drop_usual(ground);
    }
}
