//! One run over a draft: the script's own steps, and where the program is more careful than the script.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::{Action, Done, Farm, Header, Kind, Options, Problem, State, Step, is_name, unreadable};
use crate::tree::{self, Draft, Files, Node, Role};

/// Modules without which the script asks before it disables them.
const ESSENTIAL: &[&str] = &[
    "alias",
    "auth_basic",
    "authn_file",
    "authz_host",
    "authz_user",
    "autoindex",
    "deflate",
    "dir",
    "env",
    "filter",
    "logio",
    "mime",
    "negotiation",
    "setenvif",
    "unixd",
    "version",
    "watchdog",
];

/// Whose manners a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// The script's, faults included: the draft keeps what was done before a refusal.
    AsTheScript,
    /// The program's: any problem refuses the whole, and nothing foreign is removed.
    AllOrNothing,
}

/// Why an action did not succeed; the reasons are among the run's problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// This name was refused; the script goes on with the next.
    Refused,
    /// The script leaves: its question found no answer.
    Exit,
}

/// What is there where a link belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Nothing.
    Missing,
    /// A link that leads nowhere, with its text.
    Dangling(PathBuf),
    /// Something that is no link.
    Real,
    /// A link to something else, with its text.
    Foreign(PathBuf),
    /// A link that ends at the available file, whatever its text.
    Right,
}

/// One call of the script, or one operation of the program.
pub(super) struct Run<'run, 'base> {
    farm: &'run Farm,
    draft: &'run mut Draft<'base>,
    kind: Kind,
    options: Options,
    manner: Manner,
    /// The names being worked on, outermost first, to notice a circle.
    stack: Vec<String>,
    pub(super) problems: Vec<Problem>,
    pub(super) steps: Vec<Step>,
}

impl<'run, 'base> Run<'run, 'base> {
    pub(super) fn new(
        farm: &'run Farm,
        draft: &'run mut Draft<'base>,
        kind: Kind,
        options: Options,
        manner: Manner,
    ) -> Self {
        Self {
            farm,
            draft,
            kind,
            options,
            manner,
            stack: Vec::new(),
            problems: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Enables or disables one name with all that hangs on it.
    pub(super) fn act(&mut self, action: Action, name: &str) -> Result<(), Stop> {
        if !is_name(name) {
            // The script takes any word of a declaration for a name, and purges what does not exist in silence.
            let silent = self.options.purge && self.manner == Manner::AsTheScript;
            return if silent { Ok(()) } else { self.refuse(self.missing(name)) };
        }
        if let Some(first) = self.stack.iter().position(|other| other == name) {
            let names = self.stack[first..].iter().cloned().chain([name.to_owned()]).collect();
            return self.refuse(Problem::Circle { names });
        }
        self.stack.push(name.to_owned());
        let outcome = match action {
            Action::Enable => self.enable(name),
            Action::Disable => self.disable(name),
        };
        self.stack.pop();
        outcome
    }

    /// Disables one module, or does nothing where nothing of its name is in the enabled directory.
    pub(super) fn turn_off_if_linked(&mut self, name: &str) -> Result<(), Stop> {
        let farm = self.farm;
        match self.seen(farm.state(&*self.draft, self.kind, name))? {
            State::Missing | State::Disabled => Ok(()),
            _ => self.act(Action::Disable, name),
        }
    }

    fn enable(&mut self, asked: &str) -> Result<(), Stop> {
        let name =
            if self.kind == Kind::Module && asked == "cgi" && self.threaded()? { "cgid" } else { asked };
        let target = self.farm.available(self.kind, name);
        let link = self.farm.enabled(self.kind, name);
        let conf = self.conf_of(name)?;
        if !self.exists(&target)? {
            if let Link::Dangling(text) = self.look(&target, &link)? {
                self.problems.push(Problem::Dangling { link, target: text });
            }
            return self.gone(Action::Enable, name);
        }

        let header = self.header(&target)?;
        match self.kind {
            Kind::Module => {
                self.all(Action::Enable, name, &header.depends)?;
                self.refuse_conflicts(name, &header.conflicts)?;
            }
            Kind::Conf => self.refuse_unmet(name, header.depends)?,
        }

        let linked = self.is_linked(&target, &link)?;
        let conf_missing = match &conf {
            Some((target, link)) => !self.is_linked(target, link)?,
            None => false,
        };
        if let Some((target, link)) = conf
            && conf_missing
        {
            self.link(&target, &link);
            if linked {
                self.step(name, Done::ConfLinked);
            }
        }
        if !linked {
            self.link(&target, &link);
            self.mark(Action::Enable, name)?;
            self.step(name, Done::Enabled);
        }
        Ok(())
    }

    fn disable(&mut self, name: &str) -> Result<(), Stop> {
        let target = self.farm.available(self.kind, name);
        let link = self.farm.enabled(self.kind, name);
        if !self.exists(&target)? {
            if let Link::Dangling(_) = self.look(&target, &link)? {
                self.unlink(&link);
                self.remove_orphaned_conf(name)?;
                self.step(name, Done::DanglingRemoved);
                return Ok(());
            }
            return self.gone(Action::Disable, name);
        }
        if self.kind == Kind::Module {
            let dependents = self.dependents(name)?;
            if !dependents.is_empty() {
                if !self.options.force {
                    return self.refuse(Problem::NeededBy { name: name.to_owned(), by: dependents });
                }
                self.all(Action::Disable, name, &dependents)?;
            }
        }

        // The script leaves a `.conf` alone whose file is no longer available.
        let conf = match self.manner {
            Manner::AsTheScript => self.conf_of(name)?,
            Manner::AllOrNothing => (self.kind == Kind::Module).then(|| self.conf_paths(name)),
        };
        let standing = self.look(&target, &link)?;
        if standing != Link::Missing {
            if self.kind == Kind::Module && !self.options.force && ESSENTIAL.contains(&name) {
                return match self.manner {
                    Manner::AsTheScript => Err(Stop::Exit),
                    Manner::AllOrNothing => self.refuse(Problem::Essential { name: name.to_owned() }),
                };
            }
            self.remove(&target, &link)?;
            if let Some((target, link)) = conf {
                self.remove_conf(&target, &link)?;
            }
            self.mark(Action::Disable, name)?;
            self.step(name, Done::Disabled);
        } else if let Some((target, link)) = conf
            && self.look(&target, &link)? != Link::Missing
            && self.remove_conf(&target, &link)?
        {
            self.step(name, Done::ConfUnlinked);
        } else if self.options.purge {
            self.mark(Action::Disable, name)?;
        }
        Ok(())
    }

    /// Does the same to each of `others` before `name`.
    fn all(&mut self, action: Action, name: &str, others: &[String]) -> Result<(), Stop> {
        for on in others {
            match self.act(action, on) {
                Ok(()) => {}
                Err(Stop::Exit) => return Err(Stop::Exit),
                Err(Stop::Refused) => {
                    return self.refuse(Problem::Dependency {
                        action,
                        name: name.to_owned(),
                        on: on.clone(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Refuses `name` if any of the modules it excludes is enabled, after a look at all of them.
    fn refuse_conflicts(&mut self, name: &str, conflicts: &[String]) -> Result<(), Stop> {
        let mut refused = false;
        for with in conflicts {
            let target = self.farm.available(self.kind, with);
            let link = self.farm.enabled(self.kind, with);
            match self.look(&target, &link)? {
                Link::Missing => {}
                Link::Dangling(_) => self.unlink(&link),
                Link::Right => {
                    refused = true;
                    self.problems.push(Problem::Conflict { name: name.to_owned(), with: with.clone() });
                }
                // The script does not see these, and httpd would load both modules.
                foreign @ (Link::Real | Link::Foreign(_)) => {
                    if self.manner == Manner::AllOrNothing {
                        refused = true;
                        self.problems.push(in_the_way(foreign, link, target));
                    }
                }
            }
        }
        if refused { Err(Stop::Refused) } else { Ok(()) }
    }

    /// Refuses a snippet whose modules are not all enabled.
    fn refuse_unmet(&mut self, name: &str, depends: Vec<String>) -> Result<(), Stop> {
        for needs in depends {
            if !self.exists(&self.farm.enabled(Kind::Module, &needs))? {
                return self.refuse(Problem::NotEnabled { name: name.to_owned(), needs });
            }
        }
        Ok(())
    }

    /// Tells whether `link` leads to `target`; removes it where it leads nowhere, refuses what is in the way.
    fn is_linked(&mut self, target: &Path, link: &Path) -> Result<bool, Stop> {
        match self.look(target, link)? {
            Link::Right => Ok(true),
            Link::Missing => Ok(false),
            Link::Dangling(_) => {
                self.unlink(link);
                Ok(false)
            }
            foreign @ (Link::Real | Link::Foreign(_)) => {
                self.problems.push(in_the_way(foreign, link.to_owned(), target.to_owned()));
                Err(Stop::Refused)
            }
        }
    }

    /// Removes a link. The script removes every link, complains about a file and goes on.
    fn remove(&mut self, target: &Path, link: &Path) -> Result<(), Stop> {
        match (self.look(target, link)?, self.manner) {
            (Link::Missing, _) => Ok(()),
            (Link::Right | Link::Dangling(_), _) | (Link::Foreign(_), Manner::AsTheScript) => {
                self.unlink(link);
                Ok(())
            }
            (foreign @ (Link::Real | Link::Foreign(_)), manner) => {
                self.problems.push(in_the_way(foreign, link.to_owned(), target.to_owned()));
                if manner == Manner::AsTheScript { Ok(()) } else { Err(Stop::Refused) }
            }
        }
    }

    /// Removes the link to a module's `.conf`, which the script leaves where it leads nowhere. Tells whether the
    /// script would have tried.
    fn remove_conf(&mut self, target: &Path, link: &Path) -> Result<bool, Stop> {
        if self.manner == Manner::AsTheScript && matches!(self.look(target, link)?, Link::Dangling(_)) {
            return Ok(false);
        }
        self.remove(target, link)?;
        Ok(true)
    }

    /// Removes the `.conf` beside a `.load` that led nowhere. The script leaves one that leads somewhere, and the
    /// next start of httpd may fail over directives of a module that is not loaded.
    fn remove_orphaned_conf(&mut self, name: &str) -> Result<(), Stop> {
        let (target, link) = self.conf_paths(name);
        match (self.look(&target, &link)?, self.manner) {
            (Link::Dangling(_), _) | (Link::Right, Manner::AllOrNothing) => self.unlink(&link),
            (Link::Missing, _) | (_, Manner::AsTheScript) => {}
            (foreign, Manner::AllOrNothing) => return self.refuse(in_the_way(foreign, link, target)),
        }
        Ok(())
    }

    /// Ends an action on something that is not available: an error, unless markers are being purged.
    fn gone(&mut self, action: Action, name: &str) -> Result<(), Stop> {
        if self.options.purge { self.mark(action, name) } else { self.refuse(self.missing(name)) }
    }

    /// Replaces all markers of `name` by one, or by none when purging.
    fn mark(&mut self, action: Action, name: &str) -> Result<(), Stop> {
        let root = self.farm.state_dir.join(self.kind.markers());
        let mut dirs = vec![root];
        while let Some(dir) = dirs.pop() {
            if !matches!(self.draft.link_kind(&dir), Ok(tree::Kind::Dir)) {
                continue;
            }
            let entries = self.seen(entries(&*self.draft, &dir))?;
            for entry in entries {
                let path = dir.join(&entry);
                match self.draft.link_kind(&path) {
                    Ok(tree::Kind::Dir) => dirs.push(path),
                    Ok(tree::Kind::File) if entry == name => {
                        self.draft.put_as(&path, Role::Marker, Node::Absent);
                    }
                    Ok(_) => {}
                    Err(error) => return self.refuse(unreadable(&path, &error)),
                }
            }
        }
        if !self.options.purge {
            let marker = self.farm.marker(action, self.kind, name);
            self.draft.put_as(&marker, Role::Marker, Node::text(""));
        }
        Ok(())
    }

    /// Returns the enabled modules that declare `name`, in the order of the script's wildcard.
    fn dependents(&mut self, name: &str) -> Result<Vec<String>, Stop> {
        let farm = self.farm;
        let mut found = self.seen(farm.dependents(&*self.draft, name))?;
        // Perl's wildcard sorts without regard to case, suffix included.
        found.sort_by_cached_key(|other| {
            let file = format!("{other}.load");
            (file.to_ascii_lowercase(), file)
        });
        Ok(found)
    }

    /// Tells whether the enabled MPM serves with threads; without any the answer is no.
    fn threaded(&mut self) -> Result<bool, Stop> {
        let farm = self.farm;
        let mpms = self.seen(farm.enabled_mpms(&*self.draft))?;
        Ok(!mpms.is_empty() && mpms.iter().all(|mpm| mpm.threaded()))
    }

    /// Returns the available `.conf` of a module and its link, where the module has one.
    fn conf_of(&mut self, name: &str) -> Result<Option<(PathBuf, PathBuf)>, Stop> {
        if self.kind != Kind::Module {
            return Ok(None);
        }
        let (target, link) = self.conf_paths(name);
        Ok(self.exists(&target)?.then_some((target, link)))
    }

    /// Returns where a `.conf` of this name is available and where it is linked.
    fn conf_paths(&self, name: &str) -> (PathBuf, PathBuf) {
        let file = format!("{name}.conf");
        let target = self.farm.available(self.kind, name).with_file_name(&file);
        (target, self.farm.enabled(self.kind, name).with_file_name(file))
    }

    fn header(&mut self, file: &Path) -> Result<Header, Stop> {
        let header = header(&*self.draft, file);
        self.seen(header)
    }

    fn exists(&mut self, path: &Path) -> Result<bool, Stop> {
        let found = exists(&*self.draft, path);
        self.seen(found)
    }

    fn look(&mut self, target: &Path, link: &Path) -> Result<Link, Stop> {
        let found = look(&*self.draft, target, link);
        self.seen(found)
    }

    fn link(&mut self, target: &Path, link: &Path) {
        let file = target.file_name().unwrap_or_default();
        let text = Path::new("..").join(format!("{}-available", self.kind.directory())).join(file);
        let leads_there = |text: &Path| {
            let real = link.parent().and_then(|dir| tree::resolve(&*self.draft, dir).ok());
            let end = real.map(|dir| tree::resolve(&*self.draft, &dir.join(text)));
            // A directory that is not there yet is made where its path says.
            end.is_none_or(|end| end.ok() == tree::resolve(&*self.draft, target).ok())
        };
        // The script's text leads nowhere where the enabled directory is a link to a place elsewhere.
        let text = match self.manner {
            Manner::AllOrNothing if !leads_there(&text) => target.to_owned(),
            _ => text,
        };
        self.draft.put_as(link, self.role(link), Node::Link(text));
    }

    fn unlink(&mut self, link: &Path) {
        self.draft.put_as(link, self.role(link), Node::Absent);
    }

    /// Returns what a link in the enabled directory is for.
    fn role(&self, link: &Path) -> Role {
        let name = link.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        match (self.kind, link.extension().and_then(OsStr::to_str)) {
            (Kind::Conf, _) => Role::Conf,
            (Kind::Module, Some("load")) => self.farm.load_role(&*self.draft, name),
            (Kind::Module, _) => Role::ModuleConf { module: name.to_owned() },
        }
    }

    fn step(&mut self, name: &str, done: Done) {
        self.steps.push(Step { name: name.to_owned(), done });
    }

    fn missing(&self, name: &str) -> Problem {
        Problem::Missing {
            kind: self.kind,
            name: name.to_owned(),
            available: self.farm.available(self.kind, name),
        }
    }

    fn refuse<T>(&mut self, problem: Problem) -> Result<T, Stop> {
        self.problems.push(problem);
        Err(Stop::Refused)
    }

    /// Turns a failed look into a refusal.
    fn seen<T>(&mut self, result: Result<T, Problem>) -> Result<T, Stop> {
        result.or_else(|problem| self.refuse(problem))
    }
}

/// Returns the problem that a file or a foreign link at `link` is.
fn in_the_way(standing: Link, link: PathBuf, available: PathBuf) -> Problem {
    match standing {
        Link::Foreign(target) => Problem::ForeignLink { link, target, available },
        _ => Problem::RealFile { path: link, available },
    }
}

/// Tells whether something stands at `path`, links followed; a circle of links is nothing.
pub(super) fn exists(files: &dyn Files, path: &Path) -> Result<bool, Problem> {
    match files.kind(path) {
        Ok(kind) => Ok(kind != tree::Kind::Absent),
        Err(error) if leads_nowhere(&error) => Ok(false),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Returns what is there at `link`, where a link to `target` belongs.
pub(super) fn look(files: &dyn Files, target: &Path, link: &Path) -> Result<Link, Problem> {
    let failed = |error: io::Error| unreadable(link, &error);
    let standing = match files.link_kind(link) {
        Ok(kind) => kind,
        Err(error) if leads_nowhere(&error) => tree::Kind::Absent,
        Err(error) => return Err(failed(error)),
    };
    match standing {
        tree::Kind::Absent => return Ok(Link::Missing),
        tree::Kind::Link => {}
        tree::Kind::File | tree::Kind::Dir | tree::Kind::Other => return Ok(Link::Real),
    }
    let text = files.read_link(link).map_err(failed)?;
    if !exists(files, link)? {
        return Ok(Link::Dangling(text));
    }
    // Nearly every link is as a2enmod made it, in a directory that is none itself: no need to walk both ways.
    if let (Some(dir), Some(config)) = (link.parent(), link.parent().and_then(Path::parent))
        && text.strip_prefix("..").is_ok_and(|rest| target.strip_prefix(config) == Ok(rest))
        && files.link_kind(dir).is_ok_and(|kind| kind == tree::Kind::Dir)
    {
        return Ok(Link::Right);
    }
    let end = tree::resolve(files, link).map_err(failed)?;
    // Where the available file is missing or leads in a circle, no link ends there.
    Ok(if tree::resolve(files, target).is_ok_and(|right| right == end) {
        Link::Right
    } else {
        Link::Foreign(text)
    })
}

/// Returns what the head of a file declares.
pub(super) fn header(files: &dyn Files, file: &Path) -> Result<Header, Problem> {
    files.read(file).map(|content| Header::parse(&content)).map_err(|error| unreadable(file, &error))
}

/// Returns the names in a directory, none where it does not exist.
pub(super) fn entries(files: &dyn Files, dir: &Path) -> Result<Vec<OsString>, Problem> {
    match files.list(dir) {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(unreadable(dir, &error)),
    }
}

/// Returns the name that a file stands for, if it is one that httpd's wildcard finds.
pub(super) fn stem(file: &OsStr, kind: Kind) -> Option<&str> {
    let name = file.to_str()?.strip_suffix(kind.suffix())?.strip_suffix('.')?;
    (!name.starts_with('.')).then_some(name)
}

/// Tells whether a failed look means that nothing is there: a missing or impossible part of the way, or a circle.
pub(super) fn leads_nowhere(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
