//! One transaction: the journal, the changes, the test, the server, the history; or everything back.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Meta, Standing};
use super::error::{ApplyError, Cause, HostState};
use super::guard::Guard;
use super::journal::{self, Entry, Phase, Record};
use super::kept;
use super::lock::Lock;
use super::records;
use super::recover::{forget, restore};
use super::run::carry_out;
use super::service::{self, Live};
use super::verify::{set_aside, verify};
use super::{Activate, Applied, Options, Server};
use crate::report::{ConfigTest, Need};
use crate::signals;
use crate::state_dir::{self, STATE_DIR};
use crate::tree::{Change, Node, Role};

/// A change and, for a file that comes back, what distinguishes it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) change: Change,
    pub(super) meta: Option<Meta>,
}

/// See [`apply`]; `undoes` are the transactions that this one takes back.
pub(super) fn transact(
    wanted: Vec<Wanted>,
    undoes: Vec<String>,
    options: &Options<'_>,
    lock: &Lock,
) -> Result<Applied, ApplyError> {
    signals::hold();
    let disk = &lock.disk;
    if let Some(signal) = signals::seen() {
        return Err(ApplyError::untouched(Cause::Signal { signal }));
    }
    let mut record = prepare(disk, wanted, undoes, (options.config_dir, options.instance))?;
    let mut found = None;
    match options.activation {
        Activate::Later(need, running) => {
            record.left = need;
            record.left_in = running.and_then(|running| running.identity.clone());
        }
        Activate::Now(Server { need: Need::None, .. }) => {}
        Activate::Now(server) => match service::find_live(server) {
            // Known before the journal is written, so that it is written once.
            None => record.left = server.need,
            live => found = live,
        },
    }
    // Before there is anything to undo: a kill may come as soon as there is.
    let guard = found.as_ref().and_then(|_| Guard::post());
    let done = recorded(disk, record, options, found);
    if let Some(guard) = guard {
        guard.dismiss();
    }
    done
}

/// Everything from the journal on. `found` is the server that runs.
fn recorded<'a>(
    disk: &Disk,
    mut record: Record,
    options: &Options<'a>,
    found: Option<Live<'a>>,
) -> Result<Applied, ApplyError> {
    if let Err(error) = record.write(disk) {
        // Where the journal is in place after all, it would only undo nothing; still, it should not stay.
        let _ = Record::forget(disk);
        return Err(ApplyError::io("write the journal", &state_dir::journal(), error));
    }
    let mut live = None;
    match complete(disk, &mut record, options, found, &mut live) {
        Ok(config_test) => {
            // The change stands; a generation too many is taken out by the next run.
            let _ = records::prune(disk, options.instance, options.keep.max(1));
            Ok(Applied { transaction: record.id, config_test, activated: record.phase == Phase::Activated })
        }
        Err(mut cause) => {
            if let Cause::Otherwise { kept, .. } = &mut cause {
                // Where it cannot be kept, nothing is given back over it.
                *kept = set_aside(disk, &mut record).unwrap_or_default();
            }
            Err(ApplyError { cause, host: take_back(disk, &record, live.as_ref()) })
        }
    }
}

/// Everything between the journal and the history. `found` is the server that runs; it becomes `live` once it is
/// touched.
fn complete<'a>(
    disk: &Disk,
    record: &mut Record,
    options: &Options<'a>,
    found: Option<Live<'a>>,
    live: &mut Option<Live<'a>>,
) -> Result<Option<ConfigTest>, Cause> {
    let kept = kept::keep(disk, record)?;
    carry_out(disk, record)?;
    // Before the server is touched, and before httpd says what is wrong with something else than was written.
    verify(disk, record, options)?;
    let config_test = options.test.map_or(Ok(None), |test| tested(test()).map(Some))?;
    let write = |record: &Record| {
        record.write(disk).map_err(|error| Cause::io("write the journal", &state_dir::journal(), error))
    };
    if let Some(signal) = signals::seen() {
        return Err(Cause::Signal { signal });
    }
    if let Some(found) = found {
        record.live = Some(found.remembered());
        record.phase = Phase::Activating;
        write(record)?;
        live.insert(found).activate().map_err(|why| match signals::seen() {
            Some(signal) => Cause::Signal { signal },
            None => Cause::Activation { why },
        })?;
        verify(disk, record, options)?;
        record.phase = Phase::Activated;
        write(record)?;
    }
    let dropped = kept::drop_all(disk, &kept);
    if record.phase != Phase::Activated {
        // Nobody uses the change yet. A server that does is not stopped again for names that httpd never reads.
        dropped?;
    }
    let path = state_dir::generation(&record.id);
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

/// Turns a failed test into an error. One that could not run says so in the result and is none.
fn tested(test: ConfigTest) -> Result<ConfigTest, Cause> {
    if test.ran && test.ok == Some(false) { Err(Cause::ConfigTest { output: test.output }) } else { Ok(test) }
}

/// Reads everything that undoing needs, and refuses what another program or person has changed since it was planned.
fn prepare(
    disk: &Disk,
    wanted: Vec<Wanted>,
    undoes: Vec<String>,
    (config_dir, instance): (&Path, Option<&str>),
) -> Result<Record, ApplyError> {
    let left_over = journal::left_over(disk);
    let path = state_dir::journal();
    if left_over.map_err(|error| ApplyError::untouched(Cause::journal(path.clone(), &error)))?.is_some() {
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
        let meta = if change.role == Role::State { Some(Meta::own()) } else { meta.or_else(kept) };
        let after = Standing { node: change.after.clone(), meta: meta.filter(|_| is_file) };
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
    let newest = records::ids(disk)
        .map_err(|error| ApplyError::io("read the history in", Path::new(STATE_DIR), error))?;
    Ok(Record::new(newest.last().map(String::as_str), (config_dir, instance), entries, staging, made, undoes))
}
