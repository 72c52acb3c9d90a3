//! Giving back what was there before a change: after a failure, and after a run that was interrupted.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Standing};
use super::error::{ApplyError, Cause, HostState};
use super::guard::Guard;
use super::journal::{self, Phase, Record};
use super::kept;
use super::lock::Lock;
use super::run::{Way, run};
use super::service;
use crate::report::{Need, RecoveredServer};
use crate::signals;
use crate::state_dir;
use crate::tree::{Change, Node};

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
    /// What became of the running server.
    pub server: RecoveredServer,
}

/// What recovering would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predicted {
    /// The id that the interrupted transaction would have had.
    pub transaction: String,
    /// What would be given back, from what is there now.
    pub changes: Vec<Change>,
    /// What the interrupted run had begun to do with the running server.
    pub server: RecoveredServer,
    /// Whether it had come to its end, so that its change stays.
    pub finished: bool,
}

/// Predicts what [`recover`] would do; `None` where nothing was left, or where it is not for this user to see. Reads
/// only.
///
/// # Errors
/// Those of [`recover`] that can be foreseen.
pub fn predict(root: &Path) -> Result<Option<Predicted>, ApplyError> {
    let Ok(disk) = Disk::open(root) else { return Ok(None) };
    let record = match journal::left_over(&disk) {
        Ok(Some(record)) => record,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(ApplyError::untouched(Cause::journal(state_dir::journal(), &error)));
        }
        Ok(None) | Err(_) => return Ok(None),
    };
    let (changes, server) = match record.phase {
        Phase::Activated => (Vec::new(), RecoveredServer::Untouched),
        phase => {
            let back = to_give_back(&disk, &record)
                .map_err(|cause| ApplyError { cause, host: HostState::Interrupted })?;
            let begun = match &record.live {
                Some(live) if phase == Phase::Activating && live.server.need == Need::Restart => {
                    RecoveredServer::Started
                }
                Some(_) if phase == Phase::Activating => RecoveredServer::Reloaded,
                _ => RecoveredServer::Untouched,
            };
            (back.into_iter().map(|one| one.change).collect(), begun)
        }
    };
    let finished = record.phase == Phase::Activated;
    Ok(Some(Predicted { transaction: record.id, changes, server, finished }))
}

/// What giving back did.
pub(super) struct Restored {
    /// The paths that were given back.
    pub(super) paths: Vec<PathBuf>,
    /// What was staged and could not be removed.
    pub(super) left: Vec<PathBuf>,
}

/// Gives back what was there before a record's changes, from any state in which they were interrupted. The journal stays.
///
/// Nothing is given back over what another program or person has put there since: all such paths are named and nothing is done.
pub(super) fn restore(disk: &Disk, record: &Record) -> Result<Restored, Cause> {
    let (mut back, mut after, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for one in to_give_back(disk, record)? {
        back.push(one.change);
        after.push(one.standing);
        kept.push(one.kept);
    }
    // A staged name that cannot be freed keeps nothing from being given back in the other directories. What is kept is
    // what is given back; all else makes room.
    clear(disk, record, &kept);
    run(disk, &back, &after, record, Way::Back(&kept))?;
    let mut left = clear(disk, record, &[]);
    for dir in record.made.iter().rev() {
        if disk.remove_dir(dir).is_err() {
            left.push(dir.clone());
        }
    }
    Ok(Restored { paths: back.into_iter().map(|change| change.path).collect(), left })
}

/// One path that is given back.
struct GivenBack {
    change: Change,
    /// With owner and mode.
    standing: Standing,
    /// Where the old node is kept.
    kept: Option<PathBuf>,
}

/// Returns what [`restore`] gives back.
fn to_give_back(disk: &Disk, record: &Record) -> Result<Vec<GivenBack>, Cause> {
    let journal = state_dir::journal();
    let read = |error| Cause::io("read the journal", &journal, error);
    let changes = record.changes().map_err(read)?;
    let mut back = Vec::new();
    let mut moved = Vec::new();
    for (index, (entry, change)) in record.entries.iter().zip(&changes).enumerate() {
        let now = disk.standing(&entry.path).map_err(|error| Cause::io("read", &entry.path, error))?;
        if now.node == change.before {
            continue;
        }
        if now.node != change.after && !between(&now.node, change, &changes) {
            moved.push(entry.path.clone());
            continue;
        }
        let kept = kept::find(disk, record, index, &change.before);
        let change = Change { before: now.node, after: change.before.clone(), ..change.clone() };
        back.push(GivenBack { change, standing: entry.before().map_err(read)?, kept });
    }
    if !moved.is_empty() {
        return Err(Cause::Moved { paths: moved });
    }
    Ok(back)
}

/// Tells whether `now` is what is there at a changing link halfway: one MPM's link, pointed to the other's module by
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

/// Removes everything that a record's run staged but what is `kept`, and returns what of it could not be removed.
fn clear(disk: &Disk, record: &Record, kept: &[Option<PathBuf>]) -> Vec<PathBuf> {
    let prefix = record.prefix();
    let mut left = Vec::new();
    for dir in &record.staging {
        // What cannot be listed cannot be told to have anything in it: nothing of the user's is in the balance here.
        let names = disk.names(dir).unwrap_or_default();
        let ours = names.iter().filter(|name| crate::tree::bytes(name).starts_with(prefix.as_bytes()));
        for path in ours.map(|name| dir.join(name)) {
            let is_kept = kept.iter().flatten().any(|known| *known == path);
            if !is_kept && disk.clear(&path).is_err() {
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
    signals::hold();
    let touches = |record: Record| record.live.is_some() && record.phase == Phase::Activating;
    let guarded = journal::left_over(&lock.disk).ok().flatten().is_some_and(touches);
    let guard = if guarded { Guard::post() } else { None };
    let done = recover_unguarded(lock);
    if let Some(guard) = guard {
        guard.dismiss();
    }
    done
}

/// Does [`recover`] without a guard, or as one.
pub(super) fn recover_unguarded(lock: &Lock) -> Result<Option<Recovered>, ApplyError> {
    let disk = &lock.disk;
    let path = state_dir::journal();
    let Some(record) =
        journal::left_over(disk).map_err(|error| ApplyError::untouched(Cause::journal(path, &error)))?
    else {
        return Ok(None);
    };
    let left_over = |cause| ApplyError { cause, host: HostState::Interrupted };
    if record.phase == Phase::Activated {
        // The server serves with the new files: going back now would be one more interruption.
        let left = clear(disk, &record, &[]);
        let place = state_dir::generation(&record.id);
        record
            .finish(disk)
            .map_err(|error| left_over(Cause::io("put the journal into the history", &place, error)))?;
        return Ok(Some(Recovered {
            transaction: record.id,
            restored: Vec::new(),
            left,
            finished: true,
            server: RecoveredServer::Untouched,
        }));
    }
    let restored = restore(disk, &record);
    // Also where a file could not be given back: a server that is down serves nobody.
    let back = match (&record.live, record.phase) {
        (Some(live), Phase::Activating) => service::set_right(live),
        _ => Ok(RecoveredServer::Untouched),
    };
    let restored = restored.and_then(|restored| forget(disk).map(|()| restored)).map_err(left_over)?;
    match back {
        Ok(server) => {
            let Restored { paths: restored, left } = restored;
            Ok(Some(Recovered { transaction: record.id, restored, left, finished: false, server }))
        }
        Err(why) => {
            let cause = Cause::Interrupted { transaction: record.id };
            Err(ApplyError { cause, host: HostState::ServerDown { why } })
        }
    }
}

/// Removes the journal: the transaction never was.
pub(super) fn forget(disk: &Disk) -> Result<(), Cause> {
    Record::forget(disk).map_err(|error| Cause::io("remove", &state_dir::journal(), error))
}
