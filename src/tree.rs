//! The host's files as a view that pure code can read: [`Files`], and a [`Draft`] of what they are to become.
//!
//! Pure rooms (the reader of httpd's language, a2enmod's logic, rendering, planning) take `&dyn Files` and never
//! know whether a disk, a test's tree in memory or a draft over either stands behind it. All paths are absolute
//! paths *of the managed host*: with another root directory, `/etc/apache2` is still called `/etc/apache2`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

mod change;
mod snapshot;
mod space;

pub use change::{Change, Role};
pub use snapshot::Snapshot;
pub use space::{Space, Status};

/// What kind of thing stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing.
    Absent,
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link (only from [`Files::link_kind`], which does not follow it).
    Link,
    /// A device, socket or pipe.
    Other,
}

/// What [`Files::scan_back`] shows each piece to: its bytes, and whether it is the one at the file's end. Returns whether
/// that is enough.
pub type Look<'a> = &'a mut dyn FnMut(&[u8], bool) -> bool;

/// A read-only view of a host's files.
///
/// Errors are the operating system's; a missing path is `Kind::Absent`, not an error, wherever a kind is asked.
pub trait Files {
    /// Returns the whole content of a regular file, links followed inside the view's root.
    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>>;

    /// Shows a regular file piece by piece from its start, until `look` returns true: for the kernel's tables, which
    /// may be long and whose pieces end with a line. `look` may not read through the same view.
    fn scan(&self, path: &Path, look: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        look(&self.read(path)?);
        Ok(())
    }

    /// Shows a regular file piece by piece from its end, until `look` returns true: for what is searched in programs,
    /// whose texts stand behind their code. Each piece but the one at the file's end, which `look` is told, runs
    /// `overlap` bytes into the one shown before. `look` may not read through the same view.
    fn scan_back(&self, path: &Path, overlap: usize, look: Look<'_>) -> io::Result<()> {
        let _ = overlap;
        look(&self.read(path)?, true);
        Ok(())
    }

    /// Returns what is there at `path`, the last component not followed when it is a link.
    fn link_kind(&self, path: &Path) -> io::Result<Kind>;

    /// Returns the text of the symbolic link at `path`.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// Returns the names in a directory (links followed), sorted bytewise as httpd sorts them.
    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>>;

    /// Returns what is there at `path`, links followed; a dangling link is [`Kind::Absent`].
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        match resolve(self, path) {
            Ok(real) => self.link_kind(&real),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kind::Absent),
            Err(error) => Err(error),
        }
    }

    /// Says that so many files will be read soon and in this order, so that a slow view can begin. None at all says
    /// that nothing more will be asked for of those announced before.
    fn prefetch(&self, count: usize, paths: &mut dyn Iterator<Item = &Path>) {
        let _ = (count, paths);
    }

    /// Returns who may do what with `path`, links followed; `None` where this view does not know.
    fn status(&self, path: &Path) -> Option<Status> {
        let _ = path;
        None
    }

    /// Returns the file system that `path` is on, links followed; `None` where this view does not know.
    fn space(&self, path: &Path) -> Option<Space> {
        let _ = path;
        None
    }

    /// Tells whether a regular file, links followed, stands at `path`; unreadable counts as not.
    fn is_file(&self, path: &Path) -> bool {
        matches!(self.kind(path), Ok(Kind::File))
    }

    /// Tells whether a directory, links followed, stands at `path`; unreadable counts as not.
    fn is_dir(&self, path: &Path) -> bool {
        matches!(self.kind(path), Ok(Kind::Dir))
    }
}

/// The number of links followed for one path before it counts as a loop, as in Linux.
const MAX_LINKS: usize = 40;

/// Returns `path` with every symbolic link in it followed inside the view's root.
///
/// # Errors
/// `NotFound` where a component is missing, and the system's "too many levels of symbolic links" for a loop.
pub fn resolve<F: Files + ?Sized>(files: &F, path: &Path) -> io::Result<PathBuf> {
    let mut pending: Vec<OsString> = components(path).rev().collect();
    let mut real = PathBuf::from("/");
    let mut followed = 0;
    while let Some(name) = pending.pop() {
        if name == ".." {
            real.pop();
            continue;
        }
        real.push(&name);
        match files.link_kind(&real)? {
            Kind::Absent => return Err(io::Error::from(io::ErrorKind::NotFound)),
            Kind::Link => {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()));
                }
                let target = files.read_link(&real)?;
                if target.is_absolute() {
                    real = PathBuf::from("/");
                } else {
                    real.pop();
                }
                pending.extend(components(&target).rev());
            }
            _ => {}
        }
    }
    Ok(real)
}

/// Returns the components that matter for walking: names and `..`, without `/` and `.`.
fn components(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Returns `path` with `.` and `..` removed by text alone, links not looked at.
pub fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for name in components(path) {
        if name == ".." {
            clean.pop();
        } else {
            clean.push(name);
        }
    }
    clean
}

/// What is there, or is to be, at one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Nothing.
    Absent,
    /// A regular file with this content. Owner, mode and attributes of an existing file are kept by whoever
    /// writes it; a new file gets mode 0644.
    File(Arc<[u8]>),
    /// A symbolic link with this text.
    Link(PathBuf),
}

impl Node {
    /// Returns a file node with this text.
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::File(text.as_ref().into())
    }
}

/// A host's files as they is to become: a base view and the nodes that replace something in it.
///
/// A draft is itself a [`Files`], so the code that reads a host reads a planned host too.
pub struct Draft<'a> {
    base: &'a dyn Files,
    nodes: BTreeMap<PathBuf, Node>,
    /// What each path is for, where that is known to be more than a file that httpd reads.
    roles: BTreeMap<PathBuf, Role>,
    /// The features that asked for each path.
    features: BTreeMap<PathBuf, Vec<String>>,
    /// The feature that asks now.
    feature: Option<&'static str>,
    /// Directories whose links were already followed, because thousands of lookups share a few directories.
    directories: RefCell<FxHashMap<PathBuf, PathBuf>>,
}

impl<'a> Draft<'a> {
    /// Returns a draft that equals `base`.
    pub fn new(base: &'a dyn Files) -> Self {
        Self {
            base,
            nodes: BTreeMap::new(),
            roles: BTreeMap::new(),
            features: BTreeMap::new(),
            feature: None,
            directories: RefCell::default(),
        }
    }

    /// Returns a draft over `base` with `changes` made.
    pub fn with(base: &'a dyn Files, changes: &[Change]) -> Self {
        let mut draft = Self::new(base);
        draft.nodes = changes.iter().map(|change| (change.path.clone(), change.after.clone())).collect();
        draft
    }

    /// Names the feature that asks for what is put from now on.
    pub fn ask_for(&mut self, feature: &'static str) {
        self.feature = Some(feature);
    }

    /// States what is to be at `path`. A missing parent directory is made when the draft is applied.
    pub fn put(&mut self, path: &Path, node: Node) {
        let key = self.key(path);
        if let Some(feature) = self.feature {
            let features = self.features.entry(key.clone()).or_default();
            if !features.iter().any(|known| known == feature) {
                features.push(feature.to_owned());
            }
        }
        self.nodes.insert(key, node);
    }

    /// States what is to be at `path` and what it is for.
    pub fn put_as(&mut self, path: &Path, role: Role, node: Node) {
        self.set_role(path, role);
        self.put(path, node);
    }

    /// States what `path` is for, whether it comes to be changed or not.
    pub fn set_role(&mut self, path: &Path, role: Role) {
        self.roles.insert(self.key(path), role);
    }

    /// Returns what is there at `path` in the draft, the last component not followed.
    ///
    /// # Errors
    /// Those of reading the base; a directory or special file there is an error of kind `InvalidInput`.
    pub fn node(&self, path: &Path) -> io::Result<Node> {
        if self.nodes.is_empty() {
            return node(self.base, path);
        }
        let key = self.key(path);
        match self.nodes.get(&key) {
            Some(node) => Ok(node.clone()),
            None => node(self.base, &key),
        }
    }

    /// Returns the differences between the base and the draft, by path. Equal sides are no change.
    ///
    /// # Errors
    /// Those of reading the base at a drafted path.
    pub fn changes(&self) -> io::Result<Vec<Change>> {
        let mut changes = Vec::new();
        for (path, after) in &self.nodes {
            let before = node(self.base, path)?;
            if before != *after {
                changes.push(Change {
                    path: path.clone(),
                    before,
                    after: after.clone(),
                    role: self.roles.get(path).cloned().unwrap_or_default(),
                    features: self.features.get(path).cloned().unwrap_or_default(),
                    private: false,
                });
            }
        }
        Ok(changes)
    }

    /// Returns `path` with the links of its directory followed, as the key under which a node is kept.
    fn key(&self, path: &Path) -> PathBuf {
        let clean = lexical_last(path);
        let (Some(parent), Some(name)) = (clean.parent(), clean.file_name()) else { return clean };
        if let Some(real) = self.directories.borrow().get(parent) {
            return real.join(name);
        }
        // A directory that does not exist yet has no links to follow.
        let real = resolve(self.base, parent).unwrap_or_else(|_| lexical(parent));
        let key = real.join(name);
        self.directories.borrow_mut().insert(parent.to_owned(), real);
        key
    }

    /// Tells whether a drafted node stands in or below `dir`.
    fn touches(&self, dir: &Path) -> bool {
        self.nodes.range(dir.to_owned()..).next().is_some_and(|(path, _)| path.starts_with(dir))
    }
}

/// Drops `.` and keeps `..` inside the path, so that a link before a `..` is still followed.
fn lexical_last(path: &Path) -> PathBuf {
    if path.file_name().is_some() { path.components().collect() } else { lexical(path) }
}

/// Returns what is there at `path` in `files`, the last component not followed.
///
/// # Errors
/// Those of reading, and `InvalidInput` where a directory or special file stands.
pub fn node(files: &dyn Files, path: &Path) -> io::Result<Node> {
    match files.link_kind(path)? {
        Kind::Absent => Ok(Node::Absent),
        Kind::File => Ok(Node::File(files.read(path)?)),
        Kind::Link => Ok(Node::Link(files.read_link(path)?)),
        Kind::Dir => Err(io::Error::new(io::ErrorKind::InvalidInput, "is a directory, not a file or link")),
        Kind::Other => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "is a special file, not a file or link"))
        }
    }
}

impl Files for Draft<'_> {
    fn prefetch(&self, count: usize, paths: &mut dyn Iterator<Item = &Path>) {
        self.base.prefetch(count, paths);
    }

    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        if self.nodes.is_empty() {
            return self.base.read(path);
        }
        let mut at = path.to_owned();
        for _ in 0..MAX_LINKS {
            let key = self.key(&at);
            let target = match self.nodes.get(&key) {
                Some(Node::Absent) => return Err(io::Error::from(io::ErrorKind::NotFound)),
                Some(Node::File(content)) => return Ok(content.clone()),
                Some(Node::Link(target)) => target.clone(),
                None => match self.base.link_kind(&key)? {
                    Kind::Link => self.base.read_link(&key)?,
                    _ => return self.base.read(&key),
                },
            };
            at = key.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        if self.nodes.is_empty() {
            return self.base.kind(path);
        }
        // Directories' links are remembered by their key, so this is one look for each link and not for each
        // component of the path.
        let mut at = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let key = self.key(&at);
            match self.link_kind(&key)? {
                Kind::Link => at = key.parent().unwrap_or(Path::new("/")).join(self.read_link(&key)?),
                kind => return Ok(kind),
            }
        }
        Err(io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error()))
    }

    fn link_kind(&self, path: &Path) -> io::Result<Kind> {
        if self.nodes.is_empty() {
            return self.base.link_kind(path);
        }
        let key = self.key(path);
        match self.nodes.get(&key) {
            Some(Node::Absent) => Ok(Kind::Absent),
            Some(Node::File(_)) => Ok(Kind::File),
            Some(Node::Link(_)) => Ok(Kind::Link),
            None => match self.base.link_kind(&key)? {
                Kind::Absent if self.touches(&key) => Ok(Kind::Dir),
                kind => Ok(kind),
            },
        }
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        if self.nodes.is_empty() {
            return self.base.read_link(path);
        }
        let key = self.key(path);
        match self.nodes.get(&key) {
            Some(Node::Link(target)) => Ok(target.clone()),
            Some(_) => Err(io::Error::from(io::ErrorKind::InvalidInput)),
            None => self.base.read_link(&key),
        }
    }

    fn status(&self, path: &Path) -> Option<Status> {
        let status = self.base.status(path)?;
        let changes = !self.nodes.is_empty() && self.nodes.contains_key(&self.key(path));
        // What is about to be written is newer than all that is there.
        Some(if changes { Status { modified: i64::MAX, ..status } } else { status })
    }

    fn space(&self, path: &Path) -> Option<Space> {
        self.base.space(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        if self.nodes.is_empty() {
            return self.base.list(dir);
        }
        let real = self.key(&dir.join("x")).parent().unwrap_or(Path::new("/")).to_owned();
        let mut names = match self.base.list(&real) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.touches(&real) => Vec::new(),
            Err(error) => return Err(error),
        };
        for (path, node) in self.nodes.range(real.clone()..) {
            let Ok(rest) = path.strip_prefix(&real) else { break };
            let mut rest = rest.components();
            let Some(Component::Normal(name)) = rest.next() else { continue };
            let below = rest.next().is_some();
            let found = names.binary_search_by(|other| bytes(other).cmp(bytes(name)));
            match (node, found) {
                (Node::Absent, Ok(index)) if !below => {
                    names.remove(index);
                }
                // A node further down makes its directories.
                (Node::File(_) | Node::Link(_), Err(index)) => names.insert(index, name.to_owned()),
                _ => {}
            }
        }
        Ok(names)
    }
}

/// Returns bytes as text, those that are no UTF-8 replaced. Nearly every file is plain, and looked at once for that:
/// the standard library's function goes through it character by character.
pub fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Into::into)
}

/// Returns a file name's bytes.
pub fn bytes(name: &OsStr) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    name.as_bytes()
}

/// A tree in memory, for fixtures and tests.
#[derive(Debug, Default, Clone)]
pub struct Memory {
    nodes: BTreeMap<PathBuf, Node>,
}

impl Memory {
    /// Returns an empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a file.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) -> Self {
        self.nodes.insert(lexical(path.as_ref()), Node::text(text));
        self
    }

    /// Puts a symbolic link.
    #[must_use]
    pub fn link(mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        self.nodes.insert(lexical(path.as_ref()), Node::Link(target.as_ref().to_owned()));
        self
    }

    /// Carries out changes, as applying them to a disk would.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            if change.after == Node::Absent {
                self.nodes.remove(&change.path);
            } else {
                self.nodes.insert(change.path.clone(), change.after.clone());
            }
        }
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        match self.nodes.get(&resolve(self, path)?) {
            Some(Node::File(content)) => Ok(content.clone()),
            _ => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        }
    }

    fn link_kind(&self, path: &Path) -> io::Result<Kind> {
        let clean = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if parent != Path::new("/") => match resolve(self, parent) {
                Ok(real) => real.join(name),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kind::Absent),
                Err(error) => return Err(error),
            },
            _ => lexical(path),
        };
        Ok(match self.nodes.get(&clean) {
            Some(Node::File(_)) => Kind::File,
            Some(Node::Link(_)) => Kind::Link,
            Some(Node::Absent) | None => {
                let below = self.nodes.range(clean.clone()..).next();
                if clean == Path::new("/") || below.is_some_and(|(path, _)| path.starts_with(&clean)) {
                    Kind::Dir
                } else {
                    Kind::Absent
                }
            }
        })
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let real = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => resolve(self, parent)?.join(name),
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        match self.nodes.get(&real) {
            Some(Node::Link(target)) => Ok(target.clone()),
            _ => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        let real = resolve(self, dir)?;
        let mut names: Vec<OsString> = Vec::new();
        for path in self.nodes.keys() {
            if let Ok(rest) = path.strip_prefix(&real)
                && let Some(first) = rest.components().next()
                && names.last().is_none_or(|last| last != first.as_os_str())
            {
                names.push(first.as_os_str().to_owned());
            }
        }
        names.sort_by(|a, b| bytes(a).cmp(bytes(b)));
        names.dedup();
        Ok(names)
    }
}
