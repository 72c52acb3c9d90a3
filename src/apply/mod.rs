//! Carries a plan out: lock, recover, journal, swap, activate, verify.
//!
//! Whatever interrupts this, a kill or a power cut, leaves files with which httpd starts, and a journal from which
//! [`recover`] gives the old state back. The order that makes it so is in [`order`], the undo data in [`journal`],
//! the system calls in [`disk`].

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::facts::Running;
use crate::report::{ConfigTest, Need};
use crate::tree::{Change, Node};

pub mod disk;
mod history;
mod journal;
mod lock;
mod order;
mod server;
mod service;

pub use self::history::{Generation, Rollback, apply_rollback, history, originals, plan_rollback};
pub use self::lock::{Lock, STATE, quiet};
pub use self::server::{Manager, Server};

use self::disk::{Disk, ExchangeError, Meta, Standing};
pub(crate) use self::journal::Stored;
use self::journal::{Entry, LiveServer, Phase, Record};
use self::order::{Stage, Step};
use self::service::Live;

/// What was being done when it failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call failed.
    #[error("could not {doing} `{path}`: {source}{}", way_out(source))]
    Io {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run holds the lock.
    #[error(
        "another run holds `{path}` ({holder}) and did not end within {} s; wait for it or raise `lock_timeout`",
        waited.as_secs()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What it says about its holder.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Somebody else changed files that were to be changed or undone.
    #[error("changed by somebody else since then: {}; look at them, then run again", list(paths))]
    Moved {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The journal of an interrupted run must be undone first.
    #[error("an interrupted run left `{path}`, and it must be recovered first")]
    LeftOver {
        /// The journal.
        path: PathBuf,
    },
    /// The server rejected the new configuration.
    #[error("the configuration test rejected the change: {}", output.trim())]
    ConfigTest {
        /// What it printed.
        output: String,
    },
    /// The running server did not come up, or did not serve, with the change.
    #[error("the running server did not take the change up: {why}")]
    Activation {
        /// What the server, its manager and its log said.
        why: String,
    },
    /// A run was interrupted while it brought its change into the server.
    #[error("transaction `{transaction}` was interrupted while the server was being restarted")]
    Interrupted {
        /// Its id.
        transaction: String,
    },
    /// There is no such transaction.
    #[error("no transaction `{id}` in the history; {}", known(ids))]
    NoSuchTransaction {
        /// The id asked for.
        id: String,
        /// Those there are, oldest first.
        ids: Vec<String>,
    },
}

/// In what state a failure left the host.
#[derive(Debug, thiserror::Error)]
pub enum HostState {
    /// Nothing was changed.
    #[error("nothing was changed")]
    Untouched,
    /// All changes were undone.
    #[error("all changes were undone")]
    RolledBack,
    /// All changes were undone, but the server does not run.
    #[error("all changes were undone, but the server did not come back with them: {why}")]
    ServerDown {
        /// What the server, its manager and its log said.
        why: String,
    },
    /// All changes were undone; files that were only staged, which httpd does not read, could not be removed.
    #[error(
        "all changes were undone; what was only staged could not be removed: {}; remove it by hand",
        list(left)
    )]
    Littered {
        /// The files and directories.
        left: Vec<PathBuf>,
    },
    /// An interrupted run could not be undone; its journal stays and the next run tries again.
    #[error(
        "so the interrupted run that left `{}` is not undone yet; mend that and run again: the next run gives back what it \
         holds before it does anything else",
        journal::journal().display()
    )]
    Interrupted,
    /// The undo failed as well; the journal stays and the next run tries again.
    #[error(
        "undoing it failed as well: {undo}{}; mend that and run again: the next run gives back what `{}` holds before it \
         does anything else",
        match server {
            Some(why) => format!("; the server did not come back either: {why}"),
            None => String::new(),
        },
        journal::journal().display()
    )]
    NeedsRecovery {
        /// Why.
        undo: Box<Cause>,
        /// What the server said that was to be started all the same.
        server: Option<String>,
    },
}

/// Why a change was not made, and what is left behind.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {host}")]
pub struct ApplyError {
    /// What went wrong.
    pub cause: Cause,
    /// What it left.
    pub host: HostState,
}

impl ApplyError {
    fn untouched(cause: Cause) -> Self {
        Self { cause, host: HostState::Untouched }
    }

    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::untouched(Cause::io(doing, path, source))
    }
}

impl Cause {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Returns what to do about a refused system call, where its error tells; with a `; ` before it.
fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if rustix::process::geteuid().is_root() => {
            "; see whether an attribute (lsattr), a mount or a security module forbids it to root"
        }
        io::ErrorKind::PermissionDenied => "; run this as root (`become: true` in a playbook)",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable and run again",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space there and run again",
        _ => "",
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn known(ids: &[String]) -> String {
    if ids.is_empty() { "it is empty".to_owned() } else { format!("it has {}", ids.join(", ")) }
}

/// How to carry a plan out.
pub struct Options<'a> {
    /// The directory of the server's configuration, `/etc/apache2`, with links followed. Files are staged in it rather
    /// than beside their targets, because a whole directory may be included, whatever the names in it.
    pub config_dir: &'a Path,
    /// Generations of history kept, at least one.
    pub keep: usize,
    /// The test run on the changed files; failing undoes them. `None` where the same content was tested before.
    pub test: Option<&'a dyn Fn() -> ConfigTest>,
    /// What happens to a running server.
    pub activation: Activate<'a>,
}

/// What happens to a running server. One that does not run is never started.
#[derive(Debug, Clone, Copy)]
pub enum Activate<'a> {
    /// Nothing now; this is what it needs, for [`pending`].
    Later(Need),
    /// What it needs, at once; where it does not serve afterwards everything is undone and the old one started.
    Now(&'a Server),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The id in the history.
    pub transaction: String,
    /// The test on the changed files; `None` where none was asked for.
    pub config_test: Option<ConfigTest>,
    /// Whether a running server was brought to use the change and seen to serve.
    pub activated: bool,
}

/// What recovering found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The id that the interrupted transaction would have had.
    pub transaction: String,
    /// The paths that were given back.
    pub restored: Vec<PathBuf>,
    /// What the interrupted run had staged and could not be removed.
    pub left: Vec<PathBuf>,
    /// Whether it had come to its end but for its place in the history, and was not undone.
    pub finished: bool,
}

/// A change that a running server has not taken up yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The transaction that made it.
    pub transaction: String,
    /// What it takes.
    pub needed: Need,
}

/// A change and, for a file that comes back, what distinguishes it.
#[derive(Debug)]
struct Wanted {
    change: Change,
    meta: Option<Meta>,
}

/// Makes `plan` true, whole or not at all.
///
/// Files keep owner, mode, ACL and attributes; new ones get mode 0644. The transaction is in the history then.
///
/// # Errors
/// With what is left behind: [`HostState::Untouched`] also where somebody changed a file since it was planned.
pub fn apply(plan: &[Change], options: &Options<'_>, lock: &Lock) -> Result<Applied, ApplyError> {
    let wanted = plan.iter().map(|change| Wanted { change: change.clone(), meta: None }).collect();
    transact(wanted, Vec::new(), options, lock)
}

/// See [`apply`]; `undoes` are the transactions that this one takes back.
fn transact(
    wanted: Vec<Wanted>,
    undoes: Vec<String>,
    options: &Options<'_>,
    lock: &Lock,
) -> Result<Applied, ApplyError> {
    let disk = &lock.disk;
    let mut record = prepare(disk, wanted, undoes, options.config_dir)?;
    let mut found = None;
    match options.activation {
        Activate::Later(need) => record.left = need,
        Activate::Now(Server { need: Need::None, .. }) => {}
        Activate::Now(server) => match service::find_live(server) {
            // Known before the journal is written, so that it is written once.
            None => record.left = server.need,
            live => found = live.map(|live| (server, live)),
        },
    }
    if let Err(error) = record.write(disk) {
        // Where the journal is in place after all, it would only undo nothing; still, it should not stay.
        let _ = Record::forget(disk);
        return Err(ApplyError::io("write the journal", &journal::journal(), error));
    }
    let mut live = None;
    match complete(disk, &mut record, options, found, &mut live) {
        Ok(config_test) => {
            // The change stands; a generation too many is taken out by the next run.
            let _ = journal::prune(disk, options.keep.max(1));
            Ok(Applied { transaction: record.id, config_test, activated: record.phase == Phase::Activated })
        }
        Err(cause) => Err(ApplyError { cause, host: take_back(disk, &record, live.as_ref()) }),
    }
}

/// Everything between the journal and the history. `found` is the server that runs; it becomes `live` once it is
/// touched.
fn complete<'a>(
    disk: &Disk,
    record: &mut Record,
    options: &Options<'a>,
    found: Option<(&Server, Live<'a>)>,
    live: &mut Option<Live<'a>>,
) -> Result<Option<ConfigTest>, Cause> {
    carry_out(disk, record)?;
    let config_test = options.test.map_or(Ok(None), |test| tested(test()).map(Some))?;
    let write = |record: &Record| {
        record.write(disk).map_err(|error| Cause::io("write the journal", &journal::journal(), error))
    };
    if let Some((server, found)) = found {
        record.live = Some(LiveServer { server: server.clone(), parent: found.parent() });
        record.phase = Phase::Activating;
        write(record)?;
        live.insert(found).activate().map_err(|why| Cause::Activation { why })?;
        record.phase = Phase::Activated;
        write(record)?;
    }
    let path = journal::generation(&record.id);
    record.finish(disk).map_err(|error| Cause::io("put the journal into the history", &path, error))?;
    Ok(config_test)
}

/// Undoes a failed transaction: the files, then the server. The server is started also where a file could not be given
/// back: what it then starts with is what it would be started with at the next boot.
fn take_back(disk: &Disk, record: &Record, live: Option<&Live<'_>>) -> HostState {
    let restored = restore(disk, record);
    // Before the journal goes: a run that is killed in here leaves it to the next one.
    let back = live.map_or(Ok(()), Live::bring_back);
    let restored = match restored.and_then(|restored| forget(disk).map(|()| restored)) {
        Ok(restored) => restored,
        Err(undo) => return HostState::NeedsRecovery { undo: Box::new(undo), server: back.err() },
    };
    match back {
        Ok(()) if restored.left.is_empty() => HostState::RolledBack,
        Ok(()) => HostState::Littered { left: restored.left },
        Err(why) => HostState::ServerDown { why },
    }
}

fn forget(disk: &Disk) -> Result<(), Cause> {
    Record::forget(disk).map_err(|error| Cause::io("remove", &journal::journal(), error))
}

/// Turns a failed test into an error. One that could not run says so in the result and is none.
fn tested(test: ConfigTest) -> Result<ConfigTest, Cause> {
    if test.ran && test.ok == Some(false) { Err(Cause::ConfigTest { output: test.output }) } else { Ok(test) }
}

/// Reads everything that undoing needs, and refuses what somebody else has changed since it was planned.
fn prepare(
    disk: &Disk,
    wanted: Vec<Wanted>,
    undoes: Vec<String>,
    config_dir: &Path,
) -> Result<Record, ApplyError> {
    let left_over = journal::left_over(disk);
    let path = journal::journal();
    if left_over.map_err(|error| ApplyError::io("read the journal", &path, error))?.is_some() {
        return Err(ApplyError::untouched(Cause::LeftOver { path }));
    }
    let mut entries = Vec::new();
    let mut moved = Vec::new();
    let mut made: Vec<PathBuf> = Vec::new();
    let mut staging = Vec::new();
    for Wanted { change, meta } in wanted {
        let path = &change.path;
        let fail = |doing, error| ApplyError::io(doing, path, error);
        if path.to_str().is_none() {
            return Err(fail("record", io::Error::new(io::ErrorKind::InvalidInput, "its name is not UTF-8")));
        }
        let before = disk.standing(path).map_err(|error| fail("read", error))?;
        if before.node != change.before {
            moved.push(path.clone());
            continue;
        }
        let kept = || before.meta.clone().map(|meta| Meta { modified: None, ..meta });
        let is_file = matches!(change.after, Node::File(_));
        let after = Standing { node: change.after.clone(), meta: meta.or_else(kept).filter(|_| is_file) };
        entries.push(Entry::new(&change, &before, &after));

        let dir = path.parent().unwrap_or(Path::new("/"));
        for missing in dir.ancestors() {
            if made.iter().any(|known| known == missing)
                || disk.dir(missing).map_err(|error| fail("open the directory of", error))?.is_some()
            {
                break;
            }
            made.push(missing.to_owned());
        }
        for dir in [dir, dir.parent().unwrap_or(dir), config_dir] {
            if !staging.iter().any(|known| known == dir) {
                staging.push(dir.to_owned());
            }
        }
    }
    if !moved.is_empty() {
        return Err(ApplyError::untouched(Cause::Moved { paths: moved }));
    }
    // Outermost first.
    made.sort();
    let newest =
        journal::ids(disk).map_err(|error| ApplyError::io("read the history in", Path::new(STATE), error))?;
    Ok(Record::new(newest.last().map(String::as_str), config_dir, entries, staging, made, undoes))
}

/// Makes the changes of a record, stage by stage.
fn carry_out(disk: &Disk, record: &Record) -> Result<(), Cause> {
    for dir in &record.made {
        disk.make_dir(dir, 0o755).map_err(|error| Cause::io("make the directory", dir, error))?;
    }
    let read = |error| Cause::io("read the journal", &journal::journal(), error);
    let changes = record.changes().map_err(read)?;
    let after = record.entries.iter().map(Entry::after).collect::<io::Result<Vec<_>>>().map_err(read)?;
    run(disk, &changes, &after, record)
}

/// Runs the stages of `changes`; `after` has what shall stand at each path, with owner and mode.
fn run(disk: &Disk, changes: &[Change], after: &[Standing], record: &Record) -> Result<(), Cause> {
    let stages = order::stages(changes);
    let runner = Runner {
        disk,
        changes,
        after,
        prefix: &record.prefix(),
        config_dir: &record.config_dir,
        stepwise: RefCell::default(),
    };
    let mut rest = stages.as_slice();
    while let Some(first) = rest.first() {
        let joined = if first.at_once { runner.joined(rest) } else { 0 };
        if joined > 1 && runner.exchange(&rest[..joined])? {
            rest = &rest[joined..];
            continue;
        }
        runner.stage(first)?;
        rest = &rest[1..];
    }
    Ok(())
}

/// The steps' effects.
struct Runner<'a> {
    disk: &'a Disk,
    changes: &'a [Change],
    after: &'a [Standing],
    prefix: &'a str,
    config_dir: &'a Path,
    /// Directories that could not be exchanged: what refused it once refuses it for the stages that are left.
    stepwise: RefCell<Vec<PathBuf>>,
}

impl Runner<'_> {
    /// Makes the steps of one stage, then makes them last.
    fn stage(&self, stage: &Stage) -> Result<(), Cause> {
        let mut touched: Vec<&Path> = Vec::new();
        for step in &stage.steps {
            let path = match step {
                Step::Make(index) => {
                    let (Some(change), Some(after)) = (self.changes.get(*index), self.after.get(*index))
                    else {
                        continue;
                    };
                    self.make(change, after)
                        .map_err(|error| Cause::io(verb(&change.after), &change.path, error))?;
                    &change.path
                }
                Step::Retarget { path, target } => {
                    self.staged(path, |staging| self.disk.put_link(path, staging, target, true))
                        .map_err(|error| Cause::io("point the link", path, error))?;
                    path
                }
                Step::Rename { from, to } => {
                    self.disk.rename(from, to).map_err(|error| Cause::io("rename a link to", to, error))?;
                    to
                }
            };
            let dir = path.parent().unwrap_or(Path::new("/"));
            if !touched.contains(&dir) {
                touched.push(dir);
            }
        }
        for dir in touched {
            self.disk.sync_dir(dir).map_err(|error| Cause::io("sync", dir, error))?;
        }
        Ok(())
    }

    /// Makes one change.
    fn make(&self, change: &Change, after: &Standing) -> io::Result<()> {
        let path = &change.path;
        let replace = change.before != Node::Absent;
        match &after.node {
            Node::Absent => self.disk.remove(path),
            Node::Link(target) => {
                self.staged(path, |staging| self.disk.put_link(path, staging, target, replace))
            }
            Node::File(content) => self.staged(path, |staging| {
                self.disk.put_file(path, staging, content, after.meta.as_ref(), replace)
            }),
        }
    }

    /// Runs `put` with the name to stage `path` under: in the directory of the configuration, or beside `path` where
    /// that is elsewhere or another file system.
    fn staged(&self, path: &Path, put: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
        if path.starts_with(self.config_dir) {
            match put(&self.config_dir.join(self.prefix)) {
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
                done => return done,
            }
        }
        put(&path.with_file_name(self.prefix))
    }

    /// Returns how many of the first stages can be made at once: those marked so, in one directory.
    fn joined(&self, stages: &[Stage]) -> usize {
        let mut dir = None;
        stages
            .iter()
            .take_while(|stage| {
                stage.at_once
                    && stage.steps.iter().flat_map(|step| self.paths(step)).all(|path| {
                        let parent = path.parent();
                        *dir.get_or_insert(parent) == parent
                    })
            })
            .count()
    }

    /// Returns the paths that a step is about.
    fn paths<'s>(&'s self, step: &'s Step) -> Vec<&'s Path> {
        match step {
            Step::Make(index) => {
                self.changes.get(*index).map(|change| change.path.as_path()).into_iter().collect()
            }
            Step::Retarget { path, .. } => vec![path],
            Step::Rename { from, to } => vec![from, to],
        }
    }

    /// Makes several stages at once by exchanging their directory; `false` where that cannot be done here, and
    /// nothing was changed.
    fn exchange(&self, stages: &[Stage]) -> Result<bool, Cause> {
        let steps = stages.iter().flat_map(|stage| &stage.steps);
        let paths: Vec<&Path> = steps.flat_map(|step| self.paths(step)).collect();
        let Some(dir) = paths.first().and_then(|path| path.parent()) else { return Ok(false) };
        if self.stepwise.borrow().iter().any(|known| known == dir) {
            return Ok(false);
        }
        let mut nodes: Vec<(&OsStr, &Standing)> = Vec::new();
        for (change, after) in self.changes.iter().zip(self.after) {
            if let (true, Some(name)) = (paths.contains(&change.path.as_path()), change.path.file_name()) {
                nodes.push((name, after));
            }
        }
        let fail = |error| Cause::io("exchange the directory", dir, error);
        let copy = dir.with_file_name(self.prefix);
        let done = self.disk.exchange(dir, OsStr::new(self.prefix), &nodes);
        match done {
            Ok(()) => {}
            Err(ExchangeError::Unfit) => {
                self.disk.clear(&copy).map_err(fail)?;
                self.stepwise.borrow_mut().push(dir.to_owned());
                return Ok(false);
            }
            Err(ExchangeError::Io(error)) => return Err(fail(error)),
        }
        self.disk.clear(&copy).map_err(fail)?;
        Ok(true)
    }
}

/// Returns what making a node is called.
fn verb(node: &Node) -> &'static str {
    match node {
        Node::Absent => "remove",
        Node::File(_) => "write",
        Node::Link(_) => "make the link",
    }
}

/// What giving back did.
struct Restored {
    /// The paths that were given back.
    paths: Vec<PathBuf>,
    /// What was staged and could not be removed.
    left: Vec<PathBuf>,
}

/// Gives back what stood before a record's changes, from any state in which they were interrupted. The journal stays.
///
/// Nothing is given back over what somebody else has put there since: all such paths are named and nothing is done.
fn restore(disk: &Disk, record: &Record) -> Result<Restored, Cause> {
    let journal = journal::journal();
    let read = |error| Cause::io("read the journal", &journal, error);
    let changes = record.changes().map_err(read)?;
    let mut back = Vec::new();
    let mut after = Vec::new();
    let mut moved = Vec::new();
    for (entry, change) in record.entries.iter().zip(&changes) {
        let now = disk.standing(&entry.path).map_err(|error| Cause::io("read", &entry.path, error))?;
        if now.node == change.before {
            continue;
        }
        if now.node != change.after && !between(&now.node, change, &changes) {
            moved.push(entry.path.clone());
            continue;
        }
        back.push(Change { before: now.node, after: change.before.clone(), ..change.clone() });
        after.push(entry.before().map_err(read)?);
    }
    if !moved.is_empty() {
        return Err(Cause::Moved { paths: moved });
    }
    // A staged name that cannot be freed keeps nothing from being given back in the other directories.
    let mut left = clear(disk, record);
    run(disk, &back, &after, record)?;
    for dir in record.made.iter().rev() {
        if disk.remove_dir(dir).is_err() {
            left.push(dir.clone());
        }
    }
    Ok(Restored { paths: back.into_iter().map(|change| change.path).collect(), left })
}

/// Tells whether `now` is what stands at a changing link halfway: one MPM's link, pointed to the other's module by
/// [`Step::Retarget`] on the way there or back.
fn between(now: &Node, change: &Change, changes: &[Change]) -> bool {
    matches!(now, Node::Link(_))
        && changes.iter().any(|other| {
            let goes_and_comes =
                change.after == Node::Absent && other.before == Node::Absent && other.after == *now;
            let comes_and_goes =
                change.before == Node::Absent && other.after == Node::Absent && other.before == *now;
            other.path.parent() == change.path.parent() && (goes_and_comes || comes_and_goes)
        })
}

/// Removes everything that a record's run staged, and returns what of it could not be removed.
fn clear(disk: &Disk, record: &Record) -> Vec<PathBuf> {
    let prefix = record.prefix();
    let mut left = Vec::new();
    for dir in &record.staging {
        // What cannot be listed cannot be told to have anything in it: nothing of the user's is in the balance here.
        let names = disk.names(dir).unwrap_or_default();
        let ours = names.iter().filter(|name| crate::tree::bytes(name).starts_with(prefix.as_bytes()));
        for path in ours.map(|name| dir.join(name)) {
            if disk.clear(&path).is_err() {
                left.push(path);
            }
        }
    }
    left
}

/// Undoes what an interrupted run left; `None` where nothing was left.
///
/// # Errors
/// [`HostState::Interrupted`] where something could not be given back: the journal stays.
pub fn recover(lock: &Lock) -> Result<Option<Recovered>, ApplyError> {
    let disk = &lock.disk;
    let path = journal::journal();
    let Some(record) =
        journal::left_over(disk).map_err(|error| ApplyError::io("read the journal", &path, error))?
    else {
        return Ok(None);
    };
    let left_over = |cause| ApplyError { cause, host: HostState::Interrupted };
    if record.phase == Phase::Activated {
        // The server serves with the new files: going back now would be one more interruption.
        let place = journal::generation(&record.id);
        record
            .finish(disk)
            .map_err(|error| left_over(Cause::io("put the journal into the history", &place, error)))?;
        return Ok(Some(Recovered {
            transaction: record.id,
            restored: Vec::new(),
            left: Vec::new(),
            finished: true,
        }));
    }
    let restored = restore(disk, &record);
    // Also where a file could not be given back: a server that is down serves nobody.
    let back = match (&record.live, record.phase) {
        (Some(live), Phase::Activating) => service::set_right(&live.server, live.parent),
        _ => Ok(()),
    };
    let restored = restored.and_then(|restored| forget(disk).map(|()| restored)).map_err(left_over)?;
    match back {
        Ok(()) => {
            let Restored { paths: restored, left } = restored;
            Ok(Some(Recovered { transaction: record.id, restored, left, finished: false }))
        }
        Err(why) => {
            let cause = Cause::Interrupted { transaction: record.id };
            Err(ApplyError { cause, host: HostState::ServerDown { why } })
        }
    }
}

/// Returns the newest change that was made after the running server's start and needs a stop and start. Reads
/// only; what cannot be read counts as nothing.
pub fn pending(root: &Path, running: &Running) -> Option<Pending> {
    // The kernel tells the moment of a start up to one second early.
    let started = journal::timestamp(running.started? + 1);
    let disk = Disk::open(root).ok()?;
    let ids = journal::ids(&disk).ok()?;
    let mut later = ids.into_iter().rev().take_while(|id| id.as_str() > started.as_str());
    later
        .find(|id| matches!(journal::left(&disk, id), Ok(Some(Need::Restart))))
        .map(|transaction| Pending { transaction, needed: Need::Restart })
}

/// Returns when a journal last came or went below `root`: as long as that stays, no run has changed the host. `None`
/// where no run was ever there.
pub fn last_change(root: &Path) -> Option<SystemTime> {
    let state = Disk::open(root).ok()?.private_dir(Path::new(STATE)).ok()??;
    std::fs::File::from(state).metadata().ok()?.modified().ok()
}

/// Tells, without writing anything, whether an interrupted run left its journal below `root`.
pub fn is_interrupted(root: &Path) -> bool {
    Disk::open(root).is_ok_and(|disk| !matches!(journal::left_over(&disk), Ok(None)))
}
