//! Whether what was written stands: another program or person may have written to the same files meanwhile.

use std::io;

use super::disk::{Disk, Standing};
use super::journal::Record;
use super::{Cause, Options};
use crate::state_dir;
use crate::tree::Node;

/// Reads every path of a record again, and then lets the caller read the whole host.
///
/// # Errors
/// [`Cause::Otherwise`] with each difference.
pub(super) fn verify(disk: &Disk, record: &Record, options: &Options<'_>) -> Result<(), Cause> {
    let mut found = options.look.map_or_else(Vec::new, |look| look());
    for entry in &record.entries {
        let read = |error| Cause::io("read", &entry.path, error);
        let wanted = entry.after().map_err(read)?;
        let difference = match disk.standing(&entry.path) {
            Ok(now) => difference(&wanted, &now),
            // A directory or something else that no file can be read of.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Some(format!(": {error}")),
            Err(error) => return Err(read(error)),
        };
        if let Some(difference) = difference {
            found.push(format!(
                "{}{difference}, written by another program or person meanwhile",
                entry.path.display()
            ));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Cause::Otherwise { found, kept: Vec::new() }) }
}

/// Says how what is there differs from what was put there, beginning with the line in a file. What is there is not
/// quoted: it is not this tool's and may be a secret.
fn difference(wanted: &Standing, now: &Standing) -> Option<String> {
    if wanted.node == now.node {
        let rights = |standing: &Standing| standing.meta.as_ref().map(|meta| (meta.mode, meta.uid, meta.gid));
        // Without rights in the record it is a new file, whose rights are not asked for.
        let differ = rights(wanted).is_some_and(|wanted| rights(now) != Some(wanted));
        return differ.then(|| " has another owner or mode".to_owned());
    }
    Some(match (&wanted.node, &now.node) {
        (_, Node::Absent) => " is not there".to_owned(),
        (Node::Absent, _) => " is there again".to_owned(),
        (Node::File(wanted), Node::File(now)) => {
            let same = wanted.iter().zip(now.iter()).take_while(|(wanted, now)| wanted == now).count();
            let line = now[..same].split(|byte| *byte == b'\n').count();
            format!(":{line} has another content")
        }
        (_, Node::Link(target)) => format!(" is a link to {}", target.display()),
        (Node::Link(_), Node::File(_)) => " is a file in place of a link".to_owned(),
    })
}

/// Keeps what another program or person put at the paths of a record in the state directory, and lets the record know it, so that
/// what was there before the change can be given back without losing anything. Returns where it is kept.
///
/// # Errors
/// Those of reading and writing; then nothing is given back over it.
pub(super) fn set_aside(disk: &Disk, record: &mut Record) -> io::Result<Vec<std::path::PathBuf>> {
    let mut kept = Vec::new();
    for (index, entry) in record.entries.iter_mut().enumerate() {
        let now = disk.standing(&entry.path)?;
        if now.node == entry.before()?.node || now.node == entry.after()?.node {
            continue;
        }
        let place = state_dir::aside(&record.id, index);
        match &now.node {
            Node::Absent => {}
            Node::File(content) => {
                let staging = state_dir::aside_in_the_making();
                disk.clear(&staging)?;
                disk.put_file(&place, &staging, content, now.meta.as_ref(), true)?;
                kept.push(place);
            }
            Node::Link(target) => {
                disk.put_link(&place, &place, target, false)?;
                kept.push(place);
            }
        }
        entry.met_instead(&now);
    }
    record.write(disk)?;
    Ok(kept)
}
