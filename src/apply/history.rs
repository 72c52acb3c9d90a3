//! What was done before, and how to take it back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Standing};
use super::journal::{self, Record};
use super::lock::Lock;
use super::{Applied, ApplyError, Cause, Options, Wanted, transact};
use crate::state_dir::{self, STATE_DIR};
use crate::tree::{Change, Node};

/// One transaction of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its id, which begins with the time it was done at: `20261120T231500Z-1f2e`.
    pub id: String,
    /// What it changed, in the order planned.
    pub changes: Vec<Change>,
    /// The transactions that it took back; empty for one that was no rollback.
    pub undoes: Vec<String>,
    /// The transaction that took it back.
    pub undone_by: Option<String>,
}

/// What a rollback changes.
#[derive(Debug, Default)]
pub struct Rollback {
    /// The changes; none where there is nothing to take back, or it is taken back already.
    pub changes: Vec<Change>,
    /// The transactions taken back, oldest first.
    pub undoes: Vec<String>,
    /// What stood at each path of `changes`, with owner, mode and time.
    old: Vec<Standing>,
}

/// Returns the transactions of the host below `root`, oldest first. Reads only.
///
/// # Errors
/// Those of reading, for example for an ordinary user.
pub fn history(root: &Path) -> Result<Vec<Generation>, ApplyError> {
    let disk = open(root)?;
    let records = records(&disk)?;
    let undone = undone(&records);
    records
        .iter()
        .map(|record| {
            Ok(Generation {
                id: record.id.clone(),
                changes: record.changes().map_err(|error| unreadable(&record.id, error))?,
                undoes: record.undoes.clone(),
                undone_by: undone.get(&record.id).cloned(),
            })
        })
        .collect()
}

/// Returns what stood at each path before this program changed it for the first time that is still known. Reads
/// only.
///
/// # Errors
/// As [`history`].
pub fn originals(root: &Path) -> Result<BTreeMap<PathBuf, Node>, ApplyError> {
    let mut originals = BTreeMap::new();
    for generation in history(root)? {
        for change in generation.changes {
            originals.entry(change.path).or_insert(change.before);
        }
    }
    Ok(originals)
}

/// Plans to take back the newest transaction, or everything since and with the one of this id. Reads only.
///
/// The newest is not taken back twice: where it was, there are no changes.
///
/// # Errors
/// [`Cause::NoSuchTransaction`]; [`Cause::Moved`] with all the paths that somebody else has changed since.
pub fn plan_rollback(root: &Path, id: Option<&str>) -> Result<Rollback, ApplyError> {
    let disk = open(root)?;
    let records = records(&disk)?;
    let undone = undone(&records);
    let first = if let Some(id) = id {
        records.iter().position(|record| record.id == id).ok_or_else(|| {
            let ids = records.iter().map(|record| record.id.clone()).collect();
            ApplyError::untouched(Cause::NoSuchTransaction { id: id.to_owned(), ids })
        })?
    } else {
        let newest = records.iter().rposition(|record| record.undoes.is_empty());
        let Some(index) = newest.filter(|index| !undone.contains_key(&records[*index].id)) else {
            return Ok(Rollback::default());
        };
        index
    };
    let range = records.get(first..).unwrap_or_default();

    // Each path from the newest transaction back to the oldest: what it must be now, and what it was.
    let mut paths: BTreeMap<PathBuf, (Change, Standing, Standing)> = BTreeMap::new();
    let mut moved: Vec<PathBuf> = Vec::new();
    for record in range.iter().rev() {
        for entry in &record.entries {
            let read = |error| unreadable(&record.id, error);
            let (before, after) = (entry.before().map_err(read)?, entry.after().map_err(read)?);
            match paths.entry(entry.path.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert((entry.change().map_err(read)?, after, before));
                }
                Slot::Occupied(mut slot) => {
                    // What the newer one found is not what the older one left.
                    if slot.get().2.node != after.node {
                        moved.push(entry.path.clone());
                    }
                    slot.get_mut().2 = before;
                }
            }
        }
    }
    let mut rollback = Rollback::default();
    for (path, (change, expected, old)) in paths {
        if expected.node == old.node {
            continue;
        }
        let now = disk.standing(&path).map_err(|error| ApplyError::io("read", &path, error))?;
        if now.node != expected.node {
            moved.push(path.clone());
        }
        rollback.changes.push(Change { before: expected.node, after: old.node.clone(), ..change });
        rollback.old.push(old);
    }
    if !moved.is_empty() {
        moved.sort();
        moved.dedup();
        return Err(ApplyError::untouched(Cause::Moved { paths: moved }));
    }
    if !rollback.changes.is_empty() {
        let taken_back = |record: &&Record| record.undoes.is_empty() && !undone.contains_key(&record.id);
        rollback.undoes = range.iter().filter(taken_back).map(|record| record.id.clone()).collect();
        if rollback.undoes.is_empty() {
            // Only rollbacks in the range: what is taken back then are they.
            rollback.undoes = range.iter().map(|record| record.id.clone()).collect();
        }
    }
    Ok(rollback)
}

/// Carries a rollback out, as [`super::apply`] does a plan: it is a transaction itself.
///
/// # Errors
/// As [`super::apply`].
pub fn apply_rollback(rollback: Rollback, options: &Options<'_>, lock: &Lock) -> Result<Applied, ApplyError> {
    let wanted = rollback
        .changes
        .into_iter()
        .zip(rollback.old)
        .map(|(change, old)| Wanted { change, meta: old.meta })
        .collect();
    transact(wanted, rollback.undoes, options, lock)
}

fn open(root: &Path) -> Result<Disk, ApplyError> {
    Disk::open(root).map_err(|error| ApplyError::io("open the root directory", root, error))
}

/// Reads all records, oldest first.
fn records(disk: &Disk) -> Result<Vec<Record>, ApplyError> {
    let ids = journal::ids(disk)
        .map_err(|error| ApplyError::io("read the history in", Path::new(STATE_DIR), error))?;
    let mut records = Vec::new();
    for id in ids {
        // One that is gone was pushed out by a run that goes on meanwhile.
        if let Some(record) = journal::done(disk, &id).map_err(|error| unreadable(&id, error))? {
            records.push(record);
        }
    }
    Ok(records)
}

fn unreadable(id: &str, error: io::Error) -> ApplyError {
    ApplyError::io("read the record", &state_dir::generation(id), error)
}

/// Returns which transactions were taken back, and by which.
fn undone(records: &[Record]) -> BTreeMap<String, String> {
    let pairs =
        records.iter().flat_map(|record| record.undoes.iter().map(|id| (id.clone(), record.id.clone())));
    pairs.collect()
}
