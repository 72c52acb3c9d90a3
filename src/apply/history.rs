//! What was done before, and how to take it back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Standing};
use super::journal::Record;
use super::lock::Lock;
use super::records::{self, Damaged, Records};
use super::{Applied, ApplyError, Cause, Options, Wanted, transact};
use crate::state_dir::{self, STATE_DIR};
use crate::tree::Change;

/// One transaction of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its id, which begins with the time it was done at: `20261120T231500Z-1f2e`.
    pub id: String,
    /// The instance whose files it changed; the main one has no name.
    pub instance: Option<String>,
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
    /// Where the newest transaction is taken back already: what to say of it and of those before.
    pub undone: Option<String>,
    /// What was there at each path of `changes`, with owner, mode and time.
    old: Vec<Standing>,
}

/// Returns the transactions of the host below `root`, of every instance, oldest first, and what in the history is no
/// readable record. Reads only.
///
/// # Errors
/// Those of reading, for example for an ordinary user.
pub fn history(root: &Path) -> Result<(Vec<Generation>, Vec<Damaged>), ApplyError> {
    let disk = open(root)?;
    let Records { readable, mut damaged } = all(&disk)?;
    let undone = undone(&readable);
    let mut generations = Vec::new();
    for record in &readable {
        match record.changes() {
            Ok(changes) => generations.push(Generation {
                id: record.id.clone(),
                instance: record.instance.clone(),
                changes,
                undoes: record.undoes.clone(),
                undone_by: undone.get(&record.id).cloned(),
            }),
            Err(error) => damaged.push(Damaged {
                path: state_dir::generation(&record.id),
                id: Some(record.id.clone()),
                why: error.to_string(),
            }),
        }
    }
    Ok((generations, damaged))
}

/// Plans to take back the newest transaction of an instance, or everything since and with the one of this id. Reads
/// only.
///
/// `recovered` is what a recovery before it would give back.
///
/// The newest is not taken back twice: where it was, there are no changes. A record that cannot be read costs itself:
/// only where it may be the one to take back is that refused.
///
/// # Errors
/// [`Cause::NoSuchTransaction`], [`Cause::OtherInstance`], [`Cause::Unreadable`]; [`Cause::Moved`] with all the paths
/// that another program or person has changed since.
pub fn plan_rollback(
    root: &Path,
    instance: Option<&str>,
    id: Option<&str>,
    recovered: &[Change],
) -> Result<Rollback, ApplyError> {
    let disk = open(root)?;
    let Records { readable, damaged } = all(&disk)?;
    if let Some(other) = readable
        .iter()
        .find(|record| id.is_some_and(|id| record.id == id) && record.instance.as_deref() != instance)
    {
        let cause = Cause::OtherInstance { id: other.id.clone(), instance: other.instance.clone() };
        return Err(ApplyError::untouched(cause));
    }
    let own: Vec<Record> =
        readable.into_iter().filter(|record| record.instance.as_deref() == instance).collect();
    let undone = undone(&own);
    let open_ones = || {
        let left = own.iter().filter(|record| record.undoes.is_empty() && !undone.contains_key(&record.id));
        left.map(|record| record.id.clone()).collect::<Vec<_>>()
    };
    let unreadable = |damaged: &Damaged| {
        ApplyError::untouched(Cause::Unreadable { record: Box::new(damaged.clone()), ids: open_ones() })
    };
    if let Some(id) = id
        && let Some(named) = damaged.iter().find(|damaged| damaged.id.as_deref() == Some(id))
    {
        return Err(unreadable(named));
    }
    let first = if let Some(id) = id {
        own.iter().position(|record| record.id == id).ok_or_else(|| {
            let ids = own.iter().map(|record| record.id.clone()).collect();
            ApplyError::untouched(Cause::NoSuchTransaction { id: id.to_owned(), ids })
        })?
    } else {
        let newest = own.iter().rposition(|record| record.undoes.is_empty());
        // Whose it was is not known: it may be the one that was asked for.
        let newest_id = newest.map(|index| own[index].id.clone());
        if let Some(newer) = damaged.iter().find(|damaged| damaged.id.is_some() && damaged.id > newest_id) {
            return Err(unreadable(newer));
        }
        let Some(index) = newest else { return Ok(Rollback::default()) };
        if let Some(by) = undone.get(&own[index].id) {
            let said = already(&own[index].id, by, &open_ones());
            return Ok(Rollback { undone: Some(said), ..Rollback::default() });
        }
        index
    };
    let mut rollback = backwards(&disk, own.get(first..).unwrap_or_default(), recovered)?;
    if !rollback.changes.is_empty() {
        let range = own.get(first..).unwrap_or_default();
        let taken_back = |record: &&Record| record.undoes.is_empty() && !undone.contains_key(&record.id);
        rollback.undoes = range.iter().filter(taken_back).map(|record| record.id.clone()).collect();
        if rollback.undoes.is_empty() {
            // Only rollbacks in the range: what is taken back then are they.
            rollback.undoes = range.iter().map(|record| record.id.clone()).collect();
        }
    }
    Ok(rollback)
}

/// Says that the newest transaction is taken back already, and what else can be.
fn already(newest: &str, by: &str, left: &[String]) -> String {
    let more = match left {
        [] => "nothing older is left to undo".to_owned(),
        [only] => format!("to go back further, set transaction to {only}"),
        several => format!("to go back further, set transaction to one of {}", several.join(", ")),
    };
    format!("transaction {newest} was undone by {by} already; {more}")
}

/// Returns the changes that lead back to before a range of transactions.
fn backwards(disk: &Disk, range: &[Record], recovered: &[Change]) -> Result<Rollback, ApplyError> {
    // Each path from the newest transaction back to the oldest: what it must be now, and what it was.
    let mut paths: BTreeMap<PathBuf, (Change, Standing, Standing)> = BTreeMap::new();
    let mut moved: Vec<PathBuf> = Vec::new();
    for record in range.iter().rev() {
        for entry in &record.entries {
            let read = |error| ApplyError::io("read the record", &state_dir::generation(&record.id), error);
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
                    slot.get_mut().0.private |= entry.change().map_err(read)?.private;
                }
            }
        }
    }
    let mut rollback = Rollback::default();
    for (path, (change, expected, old)) in paths {
        if expected.node == old.node {
            continue;
        }
        let now = match recovered.iter().find(|change| change.path == path) {
            Some(change) => change.after.clone(),
            None => disk.standing(&path).map_err(|error| ApplyError::io("read", &path, error))?.node,
        };
        if now != expected.node {
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

/// Reads the history.
fn all(disk: &Disk) -> Result<Records, ApplyError> {
    records::all(disk).map_err(|error| ApplyError::io("read the history in", Path::new(STATE_DIR), error))
}

/// Returns which transactions were taken back, and by which.
fn undone(records: &[Record]) -> BTreeMap<String, String> {
    let pairs =
        records.iter().flat_map(|record| record.undoes.iter().map(|id| (id.clone(), record.id.clone())));
    pairs.collect()
}
