//! What was there at the paths of a change, kept by hard links until the change is done: giving it back is a rename then,
//! which needs neither a block nor an inode of a disk that has become full. It is the same inode, with all that a copy
//! could lose.
//!
//! The names follow from the record alone, so that a later run finds them. What could not be kept, because the file
//! system has no hard links, is written anew from the journal.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::error::Cause;
use super::journal::Record;
use crate::tree::Node;

/// Returns where the node at a path may be kept, best first: in the directory of the configuration, because httpd may
/// read all files of another one; where a link cannot lead there, beside the path.
fn places(record: &Record, index: usize) -> Vec<PathBuf> {
    let name = format!("{}-{index}", record.prefix());
    let Some(entry) = record.entries.get(index) else { return Vec::new() };
    let central = Some(record.config_dir.as_path()).filter(|dir| entry.path.starts_with(dir));
    let mut dirs: Vec<&Path> = central.into_iter().chain(entry.path.parent()).collect();
    dirs.dedup();
    dirs.into_iter().map(|dir| dir.join(&name)).collect()
}

/// Keeps everything that a record's changes replace or remove, before the first of them, and returns its new names.
///
/// # Errors
/// Where the directory that a name would be in is full, broken or read-only: the change would fail there as well, and
/// nothing is changed yet.
pub(super) fn keep(disk: &Disk, record: &Record) -> Result<Vec<PathBuf>, Cause> {
    let mut kept = Vec::new();
    for (index, entry) in record.entries.iter().enumerate() {
        let before = entry.before().map_err(|error| Cause::io("read the journal for", &entry.path, error))?;
        if before.node == Node::Absent {
            continue;
        }
        for place in places(record, index) {
            match disk.link(&entry.path, &place) {
                Ok(()) => kept.push(place),
                // Another file system, or one without hard links.
                Err(error) if is_unfit(&error) => continue,
                Err(error) => return Err(Cause::io("keep the old", &entry.path, error)),
            }
            break;
        }
    }
    Ok(kept)
}

/// Tells whether a hard link cannot be had there at all.
fn is_unfit(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, InvalidInput, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | InvalidInput | PermissionDenied | TooManyLinks | Unsupported)
}

/// Returns where the old node of a record's entry is kept; `None` where it is not, or is not what the journal has.
pub(super) fn find(disk: &Disk, record: &Record, index: usize, before: &Node) -> Option<PathBuf> {
    let is_it = |place: &PathBuf| disk.standing(place).is_ok_and(|standing| standing.node == *before);
    places(record, index).into_iter().filter(|_| *before != Node::Absent).find(is_it)
}

/// Removes what was kept: the change is done.
///
/// # Errors
/// With the first name that could not be removed; the others are.
pub(super) fn drop_all(disk: &Disk, kept: &[PathBuf]) -> Result<(), Cause> {
    let mut first = Ok(());
    let mut dirs: Vec<&Path> = Vec::new();
    for path in kept {
        let removed = disk.remove(path).map_err(|error| Cause::io("remove the old", path, error));
        first = first.and(removed);
        if let Some(dir) = path.parent().filter(|dir| !dirs.contains(dir)) {
            dirs.push(dir);
        }
    }
    for dir in dirs {
        first = first.and(disk.sync_dir(dir).map_err(|error| Cause::io("sync", dir, error)));
    }
    first
}
