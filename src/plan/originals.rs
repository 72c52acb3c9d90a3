//! What was there at each path before this tool first changed it: the memory that `state: absent` gives back from.
//!
//! Kept in one file a server on the host (an instance has its own), changed by the same transaction that changes the paths, so that undoing the
//! transaction undoes the memory too. JSON:
//!
//! ```json
//! {"format": 1, "paths": {"/etc/apache2/mods-available/mpm_event.conf":
//!     {"was": {"text": "..."}, "ours": "1f2e3d4c5b6a7988"}}}
//! ```
//!
//! `was` is `{"text": "..."}`, `{"hex": "..."}` for a file that is not UTF-8, `{"link": "..."}`, or null for nothing;
//! `ours` is a fingerprint of what this tool last left there, so that a later change by others is noticed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::distro::Site;
use crate::state_dir;
use crate::stored::to_hex;
use crate::tree::{Change, Files, Node};

/// One path's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Original {
    /// What was there there before this tool's first change.
    pub was: Node,
    /// The fingerprint of what this tool last left there.
    pub ours: String,
}

/// The memory of one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Originals {
    paths: BTreeMap<PathBuf, Original>,
    /// What an earlier version, which had one file for all, remembers in it for instances.
    of_others: BTreeMap<PathBuf, Original>,
}

impl Originals {
    /// Reads the memory of a server; nothing where there is none.
    ///
    /// # Errors
    /// Why its file cannot be read or is not of this shape, without the path.
    pub fn read(files: &dyn Files, site: &Site) -> Result<Self, String> {
        let own = Self::read_file(files, &state_dir::originals(site.instance.as_deref()))?;
        if site.instance.is_none() {
            let mut own = own.unwrap_or_default();
            let is_foreign = |path: &Path| site.is_of_an_instance(files, path);
            (own.of_others, own.paths) = own.paths.into_iter().partition(|(path, _)| is_foreign(path));
            return Ok(own);
        }
        if let Some(own) = own {
            return Ok(own);
        }
        let mut shared = Self::read_file(files, &state_dir::originals(None))?.unwrap_or_default();
        shared.paths.retain(|path, _| site.is_own(files, path));
        Ok(shared)
    }

    /// Reads one file; `None` where it is missing.
    fn read_file(files: &dyn Files, path: &Path) -> Result<Option<Self>, String> {
        let content = match files.read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Err("what was there before this tool's first change is for root alone to read; run this as root, a \
                            preview too (become: true in a playbook)"
                    .to_owned());
            }
            Err(error) => return Err(error.to_string()),
        };
        let damaged = || "is damaged; restore it from a backup or remove it to start afresh".to_owned();
        let value: Value = serde_json::from_slice(&content).map_err(|_| damaged())?;
        if value.get("format") != Some(&json!(1)) {
            return Err(damaged());
        }
        let mut paths = BTreeMap::new();
        for (path, entry) in value.get("paths").and_then(Value::as_object).ok_or_else(damaged)? {
            let was = node(entry.get("was").ok_or_else(damaged)?).ok_or_else(damaged)?;
            let ours = entry.get("ours").and_then(Value::as_str).ok_or_else(damaged)?.to_owned();
            paths.insert(PathBuf::from(path), Original { was, ours });
        }
        Ok(Some(Self { paths, of_others: BTreeMap::new() }))
    }

    /// Returns the memory of one path.
    pub fn get(&self, path: &Path) -> Option<&Original> {
        self.paths.get(path)
    }

    /// Returns every path remembered, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&PathBuf, &Original)> {
        self.paths.iter()
    }

    /// Records what a plan is about to change; a path that goes back to what it was is forgotten.
    pub fn remember(&mut self, changes: &[Change]) {
        for change in changes {
            let ours = fingerprint(&change.after);
            let entry = self
                .paths
                .entry(change.path.clone())
                .or_insert_with(|| Original { was: change.before.clone(), ours: String::new() });
            entry.ours = ours;
            if entry.was == change.after {
                self.paths.remove(&change.path);
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.paths.clear();
    }

    /// Returns the file's node: nothing where nothing is remembered.
    pub fn node(&self) -> Node {
        if self.paths.is_empty() && self.of_others.is_empty() {
            return Node::Absent;
        }
        let mut paths = Map::new();
        for (path, original) in self.paths.iter().chain(&self.of_others) {
            let was = match &original.was {
                Node::Absent => Value::Null,
                Node::Link(target) => json!({"link": target.to_string_lossy()}),
                Node::File(content) => match std::str::from_utf8(content) {
                    Ok(text) => json!({"text": text}),
                    Err(_) => json!({"hex": to_hex(content)}),
                },
            };
            paths.insert(path.to_string_lossy().into_owned(), json!({"was": was, "ours": original.ours}));
        }
        Node::text(format!("{:#}\n", json!({"format": 1, "paths": paths})))
    }
}

/// Reads one `was`.
fn node(value: &Value) -> Option<Node> {
    if value.is_null() {
        return Some(Node::Absent);
    }
    let (key, text) = value.as_object()?.iter().next()?;
    let text = text.as_str()?;
    match key.as_str() {
        "text" => Some(Node::text(text)),
        "hex" => {
            let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
            let content: Vec<u8> = digits?
                .chunks(2)
                .filter_map(|pair| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok())
                .collect();
            Some(Node::text(content))
        }
        "link" => Some(Node::Link(PathBuf::from(text))),
        _ => None,
    }
}

/// Returns the fingerprint of a node: FNV-1a of its kind and content. It notices changes, it guards against nobody.
pub fn fingerprint(node: &Node) -> String {
    let (kind, content): (u8, &[u8]) = match node {
        Node::Absent => (0, &[]),
        Node::File(content) => (1, content),
        Node::Link(target) => (2, crate::tree::bytes(target.as_os_str())),
    };
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in std::iter::once(&kind).chain(content) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::Memory;

    fn change(path: &str, before: Node, after: Node) -> Change {
        Change::new(path, before, after)
    }

    fn site(instance: Option<&str>) -> Site {
        let debian = Memory::new()
            .file("/etc/os-release", "ID=debian\n")
            .file("/etc/apache2/apache2.conf", "")
            .file("/etc/apache2-blue/apache2.conf", "");
        crate::distro::detect(&debian, None, None, instance).unwrap()
    }

    #[test]
    fn each_instance_remembers_its_own_also_what_an_earlier_version_kept_for_all() {
        let all = r#"{"format": 1, "paths": {"/etc/apache2/a": {"was": null, "ours": "1"},
            "/etc/apache2-blue/a": {"was": null, "ours": "2"}}}"#;
        let files = Memory::new().file("/var/lib/apache-tuning/originals.json", all);
        let paths = |of: &Originals| of.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
        let blue = Originals::read(&files, &site(Some("blue"))).unwrap();
        assert_eq!(paths(&blue), [Path::new("/etc/apache2-blue/a")]);
        let mut main = Originals::read(&files, &site(None)).unwrap();
        assert_eq!(paths(&main), [Path::new("/etc/apache2/a")]);
        // What is not the main server's to forget stays for whose it is.
        main.clear();
        let Node::File(content) = main.node() else { panic!("no file") };
        let files = Memory::new().file("/var/lib/apache-tuning/originals.json", &*content);
        assert_eq!(Originals::read(&files, &site(Some("blue"))).unwrap(), blue);
        assert_eq!(paths(&Originals::read(&files, &site(None)).unwrap()), [""; 0].map(PathBuf::from));
        let files = files.file("/var/lib/apache-tuning/originals@blue.json", r#"{"format": 1, "paths": {}}"#);
        assert_eq!(paths(&Originals::read(&files, &site(Some("blue"))).unwrap()), [""; 0].map(PathBuf::from));
    }

    #[test]
    fn the_first_state_is_remembered_and_forgotten_when_it_is_back() {
        let (a, b, c) = (Node::text("a"), Node::text([0xff, 0x00]), Node::Link(PathBuf::from("../x")));
        let mut originals = Originals::default();
        originals.remember(&[change("/f", b.clone(), a.clone()), change("/l", Node::Absent, c.clone())]);
        originals.remember(&[change("/f", a.clone(), c.clone())]);
        let Node::File(content) = originals.node() else { panic!("no file") };
        let files = Memory::new().file("/var/lib/apache-tuning/originals.json", &*content);
        let read = Originals::read(&files, &site(None)).unwrap();
        assert_eq!(read, originals);
        assert_eq!(read.get(Path::new("/f")).unwrap(), &Original { was: b.clone(), ours: fingerprint(&c) });
        originals.remember(&[change("/f", c.clone(), b), change("/l", c, Node::Absent)]);
        assert_eq!(originals.node(), Node::Absent);
    }

    #[test]
    fn a_damaged_memory_is_an_error() {
        for content in
            ["", "{}", "{\"format\": 2, \"paths\": {}}", "{\"format\": 1, \"paths\": {\"/f\": {\"was\": 3}}}"]
        {
            let files = Memory::new().file("/var/lib/apache-tuning/originals.json", content);
            let error = Originals::read(&files, &site(None)).unwrap_err();
            assert!(error.contains("damaged"), "{content}: {error}");
        }
    }
}
