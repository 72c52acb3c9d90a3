//! What is known about a change before it begins, so that it can be undone at any time: the journal of the one
//! under way, and the history of those done. Both are the same file; a transaction is done when its journal is
//! renamed into the history.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::manager::Manager;
use super::server::Server;
use super::session::Session;
use crate::clock::{now, random, timestamp};
use crate::facts::{Identity, Running};
use crate::modules::Header;
use crate::report::Need;
use crate::state_dir::{self, STATE_DIR, generation, history, journal};
use crate::stored::{Meta, Standing, Stored, checksum};
use crate::tree::{Change, Node, Role};

/// The layout of a record.
const VERSION: u32 = 2;

/// The layout before a change knew what its path is for. It is read as well.
const VERSION_1: u32 = 1;

/// How far a transaction has come. JSON: `"applying"`, `"activating"`, `"activated"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Files are being changed; the server has not been told.
    Applying,
    /// The files are complete; the server is being stopped and started.
    Activating,
    /// The server runs with the new files and serves.
    Activated,
}

/// One transaction, with everything that undoing it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// Sorts by time: `20261120T231500Z-1f2e`.
    pub(super) id: String,
    /// Part of the name of everything that this transaction stages.
    pub(super) token: String,
    /// The directory of the server's configuration.
    pub(super) config_dir: PathBuf,
    /// The instance of the server that the files are of; the main one has no name. Version 1 has none.
    #[serde(default)]
    pub(super) instance: Option<String>,
    /// Directories where something staged may be found.
    pub(super) staging: Vec<PathBuf>,
    /// Directories made for it, outermost first.
    pub(super) made: Vec<PathBuf>,
    /// Transactions that this one undoes.
    pub(super) undoes: Vec<String>,
    pub(super) phase: Phase,
    /// The server that ran before, and is to run after an undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) live: Option<LiveServer>,
    /// What a running server needs for this change and was not given.
    #[serde(default)]
    pub(super) left: Need,
    pub(super) entries: Vec<Entry>,
    /// The server that ran when something was left for it. The last member: [`left_in`] reads nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) left_in: Option<Identity>,
}

/// A server that ran when its files were changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LiveServer {
    pub(super) server: Server,
    /// Process id of its parent then.
    pub(super) parent: u32,
    /// When that was started, in ticks since boot.
    #[serde(default)]
    pub(super) ticks: Option<u64>,
    /// Its surroundings.
    #[serde(default)]
    pub(super) session: Session,
    /// What stopped and started it; `None` where that is to be found out.
    #[serde(default)]
    pub(super) manager: Option<Manager>,
}

impl LiveServer {
    /// Tells whether the server that runs now is this one.
    pub(super) fn is(&self, now: &Running) -> bool {
        let ticks = now.identity.as_ref().map(|identity| identity.ticks);
        now.parent == self.parent && (self.ticks.is_none() || self.ticks == ticks)
    }
}

/// One path of a transaction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    before: Stored,
    after: Stored,
    /// What the path is for. Version 1 has none.
    #[serde(default)]
    role: Role,
    /// The features that asked for the change. Version 1 has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    features: Vec<String>,
}

impl Entry {
    /// Returns the entry of a change, with owner and mode of what is there and of what is to be.
    pub(super) fn new(change: &Change, before: &Standing, after: &Standing) -> Self {
        Self {
            path: change.path.clone(),
            before: Stored::new(before),
            after: Stored::new(after),
            role: change.role.clone(),
            features: change.features.clone(),
        }
    }

    /// Returns the change as it was planned.
    pub(super) fn change(&self) -> io::Result<Change> {
        let (before, after) = (self.before()?, self.after()?);
        let is_private = |standing: &Standing| standing.meta.as_ref().is_some_and(Meta::is_private);
        Ok(Change {
            path: self.path.clone(),
            private: is_private(&before) || is_private(&after),
            before: before.node,
            after: after.node,
            role: self.role.clone(),
            features: self.features.clone(),
        })
    }

    /// Fills in what version 1 did not record, from the names of a Debian host's directories and from what the
    /// module's file declares now.
    fn fill_in_role(&mut self, disk: &Disk) {
        self.role = Role::by_debian_name(&self.path);
        if let Role::Load { needs, .. } = &mut self.role
            && let (Some(config_dir), Some(file)) = (self.path.ancestors().nth(2), self.path.file_name())
            && let Ok(Standing { node: Node::File(text), .. }) =
                disk.standing(&config_dir.join("mods-available").join(file))
        {
            *needs = Header::parse(&text).depends;
        }
    }

    /// Takes what another program or person put at the path for what this transaction left there.
    pub(super) fn met_instead(&mut self, now: &Standing) {
        self.after = Stored::new(now);
    }

    pub(super) fn before(&self) -> io::Result<Standing> {
        self.before.standing()
    }

    pub(super) fn after(&self) -> io::Result<Standing> {
        self.after.standing()
    }
}

impl Record {
    /// Returns a record of a change that is about to begin; `newest` is the id of the last one done.
    pub(super) fn new(
        newest: Option<&str>,
        (config_dir, instance): (&Path, Option<&str>),
        entries: Vec<Entry>,
        staging: Vec<PathBuf>,
        made: Vec<PathBuf>,
        undoes: Vec<String>,
    ) -> Self {
        let random = random();
        Self {
            version: VERSION,
            id: next_id(newest, now(), random >> 48),
            token: format!("{random:016x}"),
            config_dir: config_dir.to_owned(),
            instance: instance.map(str::to_owned),
            staging,
            made,
            undoes,
            phase: Phase::Applying,
            live: None,
            left: Need::None,
            entries,
            left_in: None,
        }
    }

    /// Fills in what version 1 did not record.
    ///
    /// # Errors
    /// `InvalidData` where it names a path that no plan of that time could: it has no checksum to trust it by.
    fn complete_version_1(&mut self, disk: &Disk) -> io::Result<()> {
        let known = [&self.config_dir, Path::new("/var/lib/apache2"), Path::new(STATE_DIR)];
        let is_known = |path: &Path| {
            let variables = path.to_str().is_some_and(|path| path.starts_with("/etc/sysconfig/apache2"));
            variables || known.iter().any(|dir| path.starts_with(dir))
        };
        if let Some(entry) = self.entries.iter().find(|entry| !is_known(&entry.path)) {
            let why = format!("it names `{}`, which this tool does not change", entry.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        self.entries.iter_mut().for_each(|entry| entry.fill_in_role(disk));
        let dir = self.config_dir.to_str().unwrap_or_default();
        let name = ["/etc/apache2-", "/etc/apache2@"].iter().find_map(|prefix| dir.strip_prefix(prefix));
        self.instance = name.map(str::to_owned);
        Ok(())
    }

    /// Returns the prefix of the names of everything that this transaction stages.
    pub(super) fn prefix(&self) -> String {
        format!(".apache-tuning-{}", self.token)
    }

    /// Writes the journal: whole and synced, or not at all.
    pub(super) fn write(&self, disk: &Disk) -> io::Result<()> {
        let text = seal(self)?;
        // One fixed name, free because the lock is held; what a killed run left there is of no use.
        let staging = state_dir::journal_in_the_making();
        disk.clear(&staging)?;
        disk.put_file(&journal(), &staging, &text, Some(&Meta::own()), true)?;
        disk.sync_dir(Path::new(STATE_DIR))
    }

    /// Moves the journal into the history: from here on the transaction is done.
    pub(super) fn finish(&self, disk: &Disk) -> io::Result<()> {
        let history = history();
        if disk.private_dir(&history)?.is_none() {
            disk.make_dir(&history, 0o700)?;
        }
        disk.rename(&journal(), &generation(&self.id))?;
        disk.sync_dir(&history)?;
        disk.sync_dir(Path::new(STATE_DIR))
    }

    /// Removes the journal: the transaction never was.
    pub(super) fn forget(disk: &Disk) -> io::Result<()> {
        disk.remove(&journal())?;
        disk.sync_dir(Path::new(STATE_DIR))
    }

    /// Returns the changes as planned.
    pub(super) fn changes(&self) -> io::Result<Vec<Change>> {
        self.entries.iter().map(Entry::change).collect()
    }
}

/// Reads the journal that an interrupted run left; `None` where there is none.
///
/// # Errors
/// Those of reading, and `InvalidData` for one that is damaged.
pub(super) fn left_over(disk: &Disk) -> io::Result<Option<Record>> {
    read(disk, &journal())
}

/// The most bytes that [`left_in`] and the checksum take at a record's end, with room to spare.
const TAIL: u64 = 512;

/// Returns the server for which a record left something, from the record's last bytes: a record may have every file of a
/// site in it.
///
/// # Errors
/// Those of reading. What cannot be understood names no server.
pub(super) fn left_in(disk: &Disk, path: &Path) -> io::Result<Option<Identity>> {
    let Some(mut file) = disk.private_file(path, false)? else { return Ok(None) };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let Some(end) = tail.windows(SEAL.len()).rposition(|part| part == SEAL) else { return Ok(None) };
    let name = b",\"left_in\":";
    let Some(start) = tail[..end].windows(name.len()).rposition(|part| part == name) else { return Ok(None) };
    Ok(serde_json::from_slice(&tail[start + name.len()..end]).ok())
}

/// What every record ends with: its checksum over all that stands before this.
const SEAL: &[u8] = b",\"checksum\":\"";

/// Returns a record's text with its checksum as the last member. It notices what was damaged or edited, it guards
/// against nobody: only root writes here.
fn seal(record: &Record) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(record)?;
    let checksum = checksum(&text);
    text.pop();
    text.extend_from_slice(SEAL);
    text.extend_from_slice(checksum.as_bytes());
    text.extend_from_slice(b"\"}");
    Ok(text)
}

/// Tells whether a text is what [`seal`] made.
fn is_sealed(text: &[u8]) -> bool {
    let Some(at) = text.windows(SEAL.len()).rposition(|part| part == SEAL) else { return false };
    let mut content = text[..at].to_vec();
    content.push(b'}');
    text[at + SEAL.len()..] == [checksum(&content).as_bytes(), b"\"}"].concat()
}

/// Reads a record; `None` where there is none.
///
/// # Errors
/// Those of reading, and `InvalidData` for one that is damaged, altered, or of another layout.
pub(super) fn read(disk: &Disk, path: &Path) -> io::Result<Option<Record>> {
    let Some(mut file) = disk.private_file(path, false)? else { return Ok(None) };
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    if text.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty"));
    }
    let cut = |error: serde_json::Error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged ({error})"))
    };
    let mut record: Record = serde_json::from_slice(&text).map_err(cut)?;
    match record.version {
        VERSION if is_sealed(&text) => {}
        VERSION => {
            let why = "its checksum does not fit: it was changed since it was written";
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        VERSION_1 => record.complete_version_1(disk)?,
        other => {
            let why = format!("its layout {other} is of another version of this program");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
    }
    Ok(Some(record))
}

/// Returns an id for `now` that sorts after `newest`, also within one second and when the clock went back.
fn next_id(newest: Option<&str>, now: u64, random: u64) -> String {
    let id = format!("{}-{:04x}", timestamp(now), random & 0xffff);
    let Some(newest) = newest.filter(|newest| id.as_str() <= *newest) else { return id };
    let (moment, number) = newest.split_once('-').unwrap_or((newest, ""));
    match u64::from_str_radix(number, 16) {
        Ok(number) if number < u64::MAX && number != (1 << (4 * number_width(moment, newest))) - 1 => {
            format!("{moment}-{:01$x}", number + 1, number_width(moment, newest))
        }
        // The last number of its width: a longer one sorts after it.
        _ => format!("{newest}0"),
    }
}

/// Returns the number of digits after the dash.
fn number_width(moment: &str, id: &str) -> usize {
    id.len().saturating_sub(moment.len() + 1).min(15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_whatever_the_clock_does() {
        let mut newest: Option<String> = None;
        for (now, random) in [
            (100, 0x1f2e),
            (100, 0x0001),
            (100, 0xffff),
            (100, 7),
            (100, 8),
            (99, 3),
            (0, 0xffff),
            (101, 0),
            (101, 0),
        ] {
            let id = next_id(newest.as_deref(), now, random);
            assert!(newest.as_ref().is_none_or(|newest| *newest < id), "{newest:?} then {id}");
            newest = Some(id);
        }
    }

    #[test]
    fn every_byte_of_a_file_and_its_attributes_comes_back_from_the_journal() {
        let all: Vec<u8> = (0..=255).collect();
        let meta = Meta {
            mode: 0o4750,
            uid: 1000,
            gid: 33,
            modified: Some((-1, 999_999_999)),
            attributes: vec![("user.note".to_owned(), all.clone())],
        };
        for node in [Node::Absent, Node::text("plain\n"), Node::text(&all), Node::Link("../x\u{e9}".into())] {
            let meta = matches!(node, Node::File(_)).then(|| meta.clone());
            let standing = Standing { node, meta };
            let change = Change::new("/etc/x", standing.node.clone(), Node::Absent);
            let entry = Entry::new(&change, &standing, &Standing::ABSENT);
            let text = serde_json::to_string(&entry).unwrap();
            let back: Entry = serde_json::from_str(&text).unwrap();
            assert_eq!(back.before().unwrap(), standing);
            assert_eq!(back.after().unwrap(), Standing::ABSENT);
        }
    }
}
