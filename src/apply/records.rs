//! The records of done transactions: each is read by itself, so that one that is damaged costs itself alone.

use std::io;
use std::path::PathBuf;

use super::disk::Disk;
use super::journal::{self, Record};
use crate::facts::Identity;
use crate::report::Need;
use crate::state_dir::{generation, history};

/// A file of the history that is no readable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// The file.
    pub path: PathBuf,
    /// Its transaction's id; `None` where its name is none, so that it never was a record.
    pub id: Option<String>,
    /// Why it cannot be read.
    pub why: String,
}

/// The history of a host.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// What can be read, oldest first.
    pub(super) readable: Vec<Record>,
    /// What cannot.
    pub(super) damaged: Vec<Damaged>,
}

/// Tells whether a name is a transaction's id: `20261120T231500Z-1f2e`.
fn is_id(name: &str) -> bool {
    let Some((moment, number)) = name.split_once('-') else { return false };
    let shape = |(index, byte): (usize, u8)| match index {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    moment.len() == 16
        && moment.bytes().enumerate().all(shape)
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the ids of done transactions, oldest first.
pub(super) fn ids(disk: &Disk) -> io::Result<Vec<String>> {
    Ok(names(disk)?.into_iter().filter(|name| is_id(name)).collect())
}

/// Returns the names of the files in the history, without their suffix.
fn names(disk: &Disk) -> io::Result<Vec<String>> {
    if disk.private_dir(&history())?.is_none() {
        return Ok(Vec::new());
    }
    let names = disk.names(&history())?;
    let name = |name: std::ffi::OsString| Some(name.to_str()?.strip_suffix(".json")?.to_owned());
    Ok(names.into_iter().filter_map(name).collect())
}

/// Reads the whole history.
pub(super) fn all(disk: &Disk) -> io::Result<Records> {
    let mut records = Records::default();
    for name in names(disk)? {
        let path = generation(&name);
        if !is_id(&name) {
            let why = "its name is no transaction's".to_owned();
            records.damaged.push(Damaged { path, id: None, why });
            continue;
        }
        match journal::read(disk, &path) {
            Ok(Some(record)) => records.readable.push(record),
            // One that is gone was pushed out by a run that goes on meanwhile.
            Ok(None) => {}
            // An ordinary user sees none of them, and not one less.
            Err(error) if !rustix::process::geteuid().is_root() && is_forbidden(&error) => return Err(error),
            Err(error) => {
                records.damaged.push(Damaged { path, id: Some(name), why: error.to_string() });
            }
        }
    }
    Ok(records)
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Removes all but the newest `keep` generations of one instance. What cannot be read is nobody's and stays.
pub(super) fn prune(disk: &Disk, instance: Option<&str>, keep: usize) -> io::Result<()> {
    let ids = ids(disk)?;
    if ids.len() <= keep {
        return Ok(());
    }
    let own = |id: &String| matches!(journal::read(disk, &generation(id)), Ok(Some(record)) if record.instance.as_deref() == instance);
    for id in ids.into_iter().rev().filter(own).skip(keep) {
        disk.remove(&generation(&id))?;
    }
    Ok(())
}

/// Tells whether a done transaction takes a stop and start of an instance's server that it did not get while this
/// process ran.
pub(super) fn is_left(disk: &Disk, id: &str, instance: Option<&str>, running: &Identity) -> bool {
    let path = generation(id);
    // Most are of another process, which their last bytes tell.
    if !matches!(journal::left_in(disk, &path), Ok(Some(process)) if process == *running) {
        return false;
    }
    matches!(
        journal::read(disk, &path),
        Ok(Some(record)) if record.instance.as_deref() == instance && record.left == Need::Restart
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_are_ids() {
        for id in ["20261120T231500Z-1f2e", "20261120T231500Z-1f2e0"] {
            assert!(is_id(id), "{id}");
        }
        for name in ["zz", "", "20261120T231500Z", "20261120T231500Z-", "20261120T231500Z-xyz", "2026-11"] {
            assert!(!is_id(name), "{name}");
        }
    }
}
