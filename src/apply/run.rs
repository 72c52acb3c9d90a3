//! The steps of a change on disk, in the order of [`order`].

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, ExchangeError, Standing};
use super::error::Cause;
use super::journal::{Entry, Record};
use super::order::{self, Stage, Step};
use crate::state_dir;
use crate::tree::{Change, Node};

/// Which way changes are made.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way<'a> {
    /// To what is asked for.
    Forth,
    /// Back to what was there there, with where each change's old node is kept, if it is.
    Back(&'a [Option<PathBuf>]),
}

/// Makes the changes of a record, stage by stage.
pub(super) fn carry_out(disk: &Disk, record: &Record) -> Result<(), Cause> {
    for dir in &record.made {
        disk.make_dir(dir, 0o755).map_err(|error| Cause::io("make the directory", dir, error))?;
    }
    let read = |error| Cause::io("read the journal", &state_dir::journal(), error);
    let changes = record.changes().map_err(read)?;
    let after = record.entries.iter().map(Entry::after).collect::<io::Result<Vec<_>>>().map_err(read)?;
    run(disk, &changes, &after, record, Way::Forth)
}

/// Runs the stages of `changes`; `after` has what is to be at each path, with owner and mode.
pub(super) fn run(
    disk: &Disk,
    changes: &[Change],
    after: &[Standing],
    record: &Record,
    way: Way<'_>,
) -> Result<(), Cause> {
    let stages = order::stages(changes);
    let runner = Runner {
        disk,
        changes,
        after,
        way,
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
    way: Way<'a>,
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
                    self.make(*index, change, after)
                        .map_err(|error| Cause::io(verb(&change.after), &change.path, error))?;
                    &change.path
                }
                Step::Retarget { path, target, comes } => {
                    let kept = self.kept(*comes);
                    let done = match kept.map(|kept| self.disk.rename_over(kept, path)) {
                        Some(Ok(())) => Ok(()),
                        _ => self.staged(path, |staging| self.disk.put_link(path, staging, target, true)),
                    };
                    done.map_err(|error| Cause::io("point the link", path, error))?;
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

    /// Returns where what a change gives back is kept.
    fn kept(&self, index: usize) -> Option<&Path> {
        match self.way {
            Way::Forth => None,
            Way::Back(kept) => kept.get(index)?.as_deref(),
        }
    }

    /// Makes one change.
    fn make(&self, index: usize, change: &Change, after: &Standing) -> io::Result<()> {
        let path = &change.path;
        let replace = change.before != Node::Absent;
        if let Some(kept) = self.kept(index) {
            let renamed =
                if replace { self.disk.rename_over(kept, path) } else { self.disk.rename(kept, path) };
            // A directory that has become append-only gives nothing out any more.
            if renamed.is_ok() {
                return renamed;
            }
        }
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
                // What others did to that directory meanwhile keeps nothing in the others from coming back.
                Err(_) if matches!(self.way, Way::Back(_)) => {}
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
        let back = matches!(self.way, Way::Back(_));
        match done {
            Ok(()) => {}
            Err(ExchangeError::Unfit) => {
                self.disk.clear(&copy).map_err(fail)?;
                self.stepwise.borrow_mut().push(dir.to_owned());
                return Ok(false);
            }
            // A copy of the directory needs room, and the way back needs none: step by step.
            Err(ExchangeError::Io(_)) if back => {
                let _ = self.disk.clear(&copy);
                self.stepwise.borrow_mut().push(dir.to_owned());
                return Ok(false);
            }
            Err(ExchangeError::Io(error)) => return Err(fail(error)),
        }
        let cleared = self.disk.clear(&copy);
        // On the way back nothing that was only staged stands before giving files back.
        if back { Ok(true) } else { cleared.map(|()| true).map_err(fail) }
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
