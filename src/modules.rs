//! a2enmod, a2dismod and a2enconf over a tree: links, markers and refusals exactly as the real tools leave them.
//!
//! On Debian and its derivatives a module is enabled by links from `mods-enabled` to `mods-available`, a snippet of
//! configuration by one from `conf-enabled` to `conf-available`. Beside the links the tools keep empty marker files
//! below `/var/lib/apache2`, which package scripts read before they switch modules themselves: a swap of links
//! without markers is undone by the next upgrade of PHP.
//!
//! [`Farm::enable`], [`Farm::disable`] and [`Farm::switch_mpm`] are what the program uses; [`Farm::run_tool`] does
//! what one call of the script does, faults included, and exists so that tests can hold it against the script.
//! The former differ from the script on purpose:
//!
//! * **Nothing half done.** A refusal leaves the draft as it was; the script leaves dependencies enabled, and goes on
//!   with its next argument.
//! * **One swap in one go.** The script knows no MPM: between `a2dismod` and `a2enmod` there is none, and after a
//!   refused second step it stays so.
//! * **What is not a link of a2enmod's is left alone and reported.** The script removes a link that leads elsewhere,
//!   says "disabled" of a real file that it left, and overlooks both when it looks for conflicts, which gives two MPMs.
//! * **No `.conf` stays behind.** The script leaves `NAME.conf` enabled where only `NAME.load` leads nowhere, and a
//!   dangling `NAME.conf` beside a good `NAME.load`.
//! * **`cgi` becomes `cgid` by the links.** The script asks a running `apache2ctl -V` first, and the links only where
//!   the configuration is broken.
//! * **No question.** An essential module is refused without force; the script asks on its standard input.
//! * **A circle of dependencies is refused.** The script never ends.
//! * **Names are names.** The script expands wildcards and strips a suffix.
//! * **No service is touched.** The script switches `apache-htcacheclean` along with `cache_disk`.

mod header;
mod problem;
mod run;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::httpd::Mpm;
use crate::tree::{Draft, Files, Role, resolve};

pub use header::Header;
pub use problem::Problem;
use run::Run;

/// What is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A module: `mods-available`, `.load` and perhaps `.conf`.
    Module,
    /// A snippet of configuration: `conf-available`, `.conf`.
    Conf,
}

impl Kind {
    /// Returns the first part of the directories' names: `mods-enabled`.
    const fn directory(self) -> &'static str {
        match self {
            Self::Module => "mods",
            Self::Conf => "conf",
        }
    }

    /// Returns the suffix of the file that decides.
    const fn suffix(self) -> &'static str {
        match self {
            Self::Module => "load",
            Self::Conf => "conf",
        }
    }

    /// Returns the directory of its markers.
    const fn markers(self) -> &'static str {
        match self {
            Self::Module => "module",
            Self::Conf => "conf",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Module => "module",
            Self::Conf => "configuration",
        })
    }
}

/// In which direction something is switched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// On: a2enmod, a2enconf.
    Enable,
    /// Off: a2dismod, a2disconf.
    Disable,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Enable => "enable",
            Self::Disable => "disable",
        })
    }
}

/// The script's options that change what it does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `-f`: disable what depends on the module too, and essential modules. Conflicts stay conflicts.
    pub force: bool,
    /// `-p`: remove the markers and leave none. What does not exist is then no error.
    pub purge: bool,
}

/// How a module or snippet stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Linked as a2enmod would have done it, `.conf` included where there is one.
    Enabled,
    /// Available, not linked.
    Disabled,
    /// Neither available nor linked.
    Missing,
    /// `.load` is linked, the `.conf` that goes with it is not: loaded with httpd's own defaults.
    WithoutConf,
    /// `.conf` is linked, `.load` is not.
    StaleConf,
    /// A link leads nowhere, whether or not a file of that name is available.
    Dangling {
        /// The link.
        link: PathBuf,
    },
    /// A file stands where a link belongs.
    RealFile {
        /// The file.
        path: PathBuf,
    },
    /// A link leads to something else than the available file of its name.
    ForeignLink {
        /// The link.
        link: PathBuf,
        /// Its text.
        target: PathBuf,
    },
}

/// One thing that was done to a module or snippet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name; `cgid` where `cgi` was asked for under a threaded MPM.
    pub name: String,
    /// What was done.
    pub done: Done,
}

/// What was done in one [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Linked and marked.
    Enabled,
    /// Links removed and marked.
    Disabled,
    /// Only the missing link to its `.conf` was added; no marker changes.
    ConfLinked,
    /// Only a left-over link to its `.conf` was removed; no marker changes.
    ConfUnlinked,
    /// Links that led nowhere were removed; no marker changes.
    DanglingRemoved,
}

/// What one call of the script does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRun {
    /// Its exit status: 0, or 1 when anything was refused.
    pub status: u8,
    /// What it would write to standard error, in order; some of it without a failing status.
    pub problems: Vec<Problem>,
    /// What it did, in order.
    pub steps: Vec<Step>,
}

/// The directories that a2enmod works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farm {
    /// `/etc/apache2`, or `/etc/apache2-NAME` of an instance.
    pub config_dir: PathBuf,
    /// `/var/lib/apache2`, shared by all instances.
    pub state_dir: PathBuf,
}

impl Farm {
    /// Returns the farm of a configuration directory with Debian's state directory.
    pub fn new(config_dir: impl Into<PathBuf>) -> Self {
        Self { config_dir: config_dir.into(), state_dir: PathBuf::from("/var/lib/apache2") }
    }

    /// Returns the file that is linked to enable `name`: `/etc/apache2/mods-available/mpm_event.load`.
    pub fn available(&self, kind: Kind, name: &str) -> PathBuf {
        self.config_dir.join(format!("{}-available/{name}.{}", kind.directory(), kind.suffix()))
    }

    /// Returns the link that enables `name`: `/etc/apache2/mods-enabled/mpm_event.load`.
    pub fn enabled(&self, kind: Kind, name: &str) -> PathBuf {
        self.config_dir.join(format!("{}-enabled/{name}.{}", kind.directory(), kind.suffix()))
    }

    /// Returns the marker that remembers who switched `name` last, as a2enmod run by an administrator writes it.
    pub fn marker(&self, action: Action, kind: Kind, name: &str) -> PathBuf {
        self.state_dir.join(format!("{}/{action}d_by_admin/{name}", kind.markers()))
    }

    /// Returns what `path` is for: a link in one of the enabled directories by whatever name its directory really has,
    /// a marker, else a file. `path`'s own directory is free of links.
    pub fn role(&self, files: &dyn Files, path: &Path) -> Role {
        if path.starts_with(&self.state_dir) {
            return Role::Marker;
        }
        let is_in = |kind: Kind| {
            let dir = self.config_dir.join(format!("{}-enabled", kind.directory()));
            path.parent().is_some_and(|parent| resolve(files, &dir).is_ok_and(|real| real == parent))
        };
        let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        match path.extension().and_then(OsStr::to_str) {
            Some("load") if is_in(Kind::Module) => self.load_role(files, name),
            Some("conf") if is_in(Kind::Module) => Role::ModuleConf { module: name.to_owned() },
            _ if is_in(Kind::Conf) => Role::Conf,
            _ => Role::File,
        }
    }

    /// Returns the role of the link that loads `name`.
    fn load_role(&self, files: &dyn Files, name: &str) -> Role {
        // A module that is not installed any more declares nothing.
        let needs =
            self.header(files, Kind::Module, name).map_or_else(|_| Vec::new(), |header| header.depends);
        Role::Load { module: name.to_owned(), needs }
    }

    /// Returns how `name` stands.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn state(&self, files: &dyn Files, kind: Kind, name: &str) -> Result<State, Problem> {
        let available = self.available(kind, name);
        let link = self.enabled(kind, name);
        let known = run::exists(files, &available)?;
        match run::look(files, &available, &link)? {
            run::Link::Real => return Ok(State::RealFile { path: link }),
            run::Link::Foreign(target) => return Ok(State::ForeignLink { link, target }),
            run::Link::Dangling(_) => return Ok(State::Dangling { link }),
            run::Link::Missing if kind == Kind::Conf => {
                return Ok(if known { State::Disabled } else { State::Missing });
            }
            run::Link::Right if kind == Kind::Conf => return Ok(State::Enabled),
            run::Link::Right | run::Link::Missing => {}
        }
        let loaded = run::exists(files, &link)?;
        let conf = available.with_file_name(format!("{name}.conf"));
        let conf_link = link.with_file_name(format!("{name}.conf"));
        let conf_known = run::exists(files, &conf)?;
        Ok(match run::look(files, &conf, &conf_link)? {
            run::Link::Real => State::RealFile { path: conf_link },
            run::Link::Foreign(target) => State::ForeignLink { link: conf_link, target },
            run::Link::Dangling(_) => State::Dangling { link: conf_link },
            run::Link::Right if loaded => State::Enabled,
            run::Link::Right => State::StaleConf,
            run::Link::Missing if loaded && conf_known => State::WithoutConf,
            run::Link::Missing if loaded => State::Enabled,
            run::Link::Missing if known => State::Disabled,
            run::Link::Missing => State::Missing,
        })
    }

    /// Tells whether httpd reads something under this name, by whatever file or link.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn is_loaded(&self, files: &dyn Files, kind: Kind, name: &str) -> Result<bool, Problem> {
        run::exists(files, &self.enabled(kind, name))
    }

    /// Returns those names that are `wanted` and that httpd reads from the enabled directory, in its order.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn list_enabled(
        &self,
        files: &dyn Files,
        kind: Kind,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Problem> {
        self.list(files, kind, "enabled", wanted)
    }

    /// Returns the names that can be enabled, sorted bytewise.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn list_available(&self, files: &dyn Files, kind: Kind) -> Result<Vec<String>, Problem> {
        self.list(files, kind, "available", |_| true)
    }

    /// Returns the MPMs that httpd would load from `mods-enabled`: one on a sound host. `mpm_itk` is none: it sits on prefork.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn enabled_mpms(&self, files: &dyn Files) -> Result<Vec<Mpm>, Problem> {
        let mut enabled = Vec::new();
        for mpm in Mpm::ALL {
            if self.is_loaded(files, Kind::Module, mpm.debian())? {
                enabled.push(mpm);
            }
        }
        Ok(enabled)
    }

    /// Returns what the available file of `name` declares.
    ///
    /// # Errors
    /// [`Problem::Unreadable`], also where there is no such file.
    pub fn header(&self, files: &dyn Files, kind: Kind, name: &str) -> Result<Header, Problem> {
        run::header(files, &self.available(kind, name))
    }

    /// Returns the enabled modules that declare to depend on `name`, in the order of the directory.
    ///
    /// # Errors
    /// [`Problem::Unreadable`].
    pub fn dependents(&self, files: &dyn Files, name: &str) -> Result<Vec<String>, Problem> {
        let mut headers = self.enabled_headers(files)?;
        headers.retain(|(_, header)| header.depends.iter().any(|need| need == name));
        Ok(headers.into_iter().map(|(other, _)| other).collect())
    }

    /// Enables `name` and the modules it depends on.
    ///
    /// # Errors
    /// Everything that prevents it; the draft is then as it was.
    pub fn enable(&self, draft: &mut Draft, kind: Kind, name: &str) -> Result<Vec<Step>, Vec<Problem>> {
        self.all_or_nothing(draft, kind, Options::default(), |run| run.act(Action::Enable, name))
    }

    /// Disables `name`; with `force` also what depends on it. With `purge` no marker stays.
    ///
    /// What does not exist and is not linked either is a [`Problem::Missing`], unless purged.
    ///
    /// # Errors
    /// Everything that prevents it; the draft is then as it was.
    pub fn disable(
        &self,
        draft: &mut Draft,
        kind: Kind,
        name: &str,
        options: Options,
    ) -> Result<Vec<Step>, Vec<Problem>> {
        self.all_or_nothing(draft, kind, options, |run| run.act(Action::Disable, name))
    }

    /// Makes `to` the only enabled MPM: the others off, with whatever they left behind, and `to` on, in one go.
    ///
    /// # Errors
    /// Everything that prevents it; the draft is then as it was. Enabled modules that declare another MPM as
    /// dependency, such as PHP's and ITK's with prefork, are a [`Problem::NeededBy`] that names them.
    pub fn switch_mpm(&self, draft: &mut Draft, to: Mpm) -> Result<Vec<Step>, Vec<Problem>> {
        let others = Mpm::ALL.into_iter().filter(|&mpm| mpm != to).map(Mpm::debian);
        let headers = self.enabled_headers(draft).map_err(|problem| vec![problem])?;
        let mut needed = Vec::new();
        for other in others.clone() {
            let depends = |header: &Header| header.depends.iter().any(|need| need == other);
            let by: Vec<_> =
                headers.iter().filter(|(_, header)| depends(header)).map(|(name, _)| name.clone()).collect();
            if !by.is_empty() {
                needed.push(Problem::NeededBy { name: other.to_owned(), by });
            }
        }
        if !needed.is_empty() {
            return Err(needed);
        }
        self.all_or_nothing(draft, Kind::Module, Options::default(), |run| {
            // All of them, so that everything that prevents it is reported at once.
            let mut off = Ok(());
            for other in others {
                off = off.and(run.turn_off_if_linked(other));
            }
            off?;
            run.act(Action::Enable, to.debian())
        })
    }

    /// Does what one call of the script does: each name in turn, whatever became of the one before.
    pub fn run_tool(
        &self,
        draft: &mut Draft,
        action: Action,
        kind: Kind,
        names: &[&str],
        options: Options,
    ) -> ToolRun {
        let mut run = Run::new(self, draft, kind, options, run::Manner::AsTheScript);
        let mut status = 0;
        for name in names {
            match run.act(action, name) {
                Ok(()) => {}
                Err(run::Stop::Refused) => status = 1,
                Err(run::Stop::Exit) => {
                    status = 1;
                    break;
                }
            }
        }
        ToolRun { status, problems: run.problems, steps: run.steps }
    }

    /// Runs `work` on a copy of the draft and takes the copy over only if nothing prevented it.
    fn all_or_nothing(
        &self,
        draft: &mut Draft,
        kind: Kind,
        options: Options,
        work: impl FnOnce(&mut Run) -> Result<(), run::Stop>,
    ) -> Result<Vec<Step>, Vec<Problem>> {
        let (changes, steps) = {
            let mut trial = Draft::new(&*draft);
            let mut run = Run::new(self, &mut trial, kind, options, run::Manner::AllOrNothing);
            let outcome = work(&mut run);
            if outcome.is_err() || !run.problems.is_empty() {
                return Err(run.problems);
            }
            let steps = run.steps;
            let changes = trial.changes().map_err(|error| vec![unreadable(&self.config_dir, &error)])?;
            (changes, steps)
        };
        for change in changes {
            draft.put_as(&change.path, change.role, change.after);
        }
        Ok(steps)
    }

    /// Returns what each enabled module declares, in the order of the directory.
    fn enabled_headers(&self, files: &dyn Files) -> Result<Vec<(String, Header)>, Problem> {
        let dir = self.config_dir.join("mods-enabled");
        let mut headers = Vec::new();
        for file in run::entries(files, &dir)? {
            let Some(name) = run::stem(&file, Kind::Module) else { continue };
            let path = dir.join(&file);
            match files.read(&path) {
                Ok(content) => headers.push((name.to_owned(), Header::parse(&content))),
                Err(error) if run::leads_nowhere(&error) => {}
                Err(error) => return Err(unreadable(&path, &error)),
            }
        }
        Ok(headers)
    }

    /// Returns the wanted names of the files in a directory that are there, links followed, hidden ones left out.
    fn list(
        &self,
        files: &dyn Files,
        kind: Kind,
        which: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, Problem> {
        let dir = self.config_dir.join(format!("{}-{which}", kind.directory()));
        let mut names = Vec::new();
        for file in run::entries(files, &dir)? {
            if let Some(name) = run::stem(&file, kind).filter(|name| wanted(name))
                && run::exists(files, &dir.join(&file))?
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }
}

/// Tells whether `name` is one that a2enmod takes for itself and not for a pattern, a path or an option.
pub fn is_name(name: &str) -> bool {
    !name.starts_with(['.', '-'])
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.+-,:=@%".contains(&byte))
}

/// Returns the problem for a failed look at `path`.
fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::Unreadable { path: path.to_owned(), error: error.to_string() }
}
