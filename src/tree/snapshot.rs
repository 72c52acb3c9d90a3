//! A view that remembers.

use std::cell::RefCell;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Files, Kind, Look, Space, Status};

/// A view in which what was seen once stays as it was then: one look at a host judges and plans on the same content,
/// and reads it once. Only the first answers are remembered, and only small files: those that are read more than once
/// are among them, and thousands of virtual hosts need not be held.
pub struct Snapshot<'a> {
    files: &'a dyn Files,
    read: Seen<Arc<[u8]>>,
    link_kind: Seen<Kind>,
    kind: Seen<Kind>,
    list: Seen<Vec<OsString>>,
}

/// Answers by the path's text: to hash a path itself, all its components are walked.
type Seen<T> = RefCell<FxHashMap<OsString, T>>;

impl<'a> Snapshot<'a> {
    /// How many answers of each kind are remembered.
    const MOST: usize = 256;
    /// The largest file that is remembered, in bytes.
    const LARGEST: usize = 64 * 1024;

    /// Returns a view of `files` that remembers.
    pub fn new(files: &'a dyn Files) -> Self {
        Self {
            files,
            read: Seen::default(),
            link_kind: Seen::default(),
            kind: Seen::default(),
            list: Seen::default(),
        }
    }

    /// Returns what was seen at a path before, or asks, and remembers what is `small`. Errors are not remembered.
    fn once<T: Clone>(
        seen: &Seen<T>,
        path: &Path,
        small: impl FnOnce(&T) -> bool,
        ask: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        if let Some(answer) = seen.borrow().get(path.as_os_str()) {
            return Ok(answer.clone());
        }
        let answer = ask()?;
        let mut seen = seen.borrow_mut();
        if seen.len() < Self::MOST && small(&answer) {
            seen.insert(path.as_os_str().to_owned(), answer.clone());
        }
        Ok(answer)
    }
}

impl Files for Snapshot<'_> {
    fn read(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        Self::once(&self.read, path, |content| content.len() <= Self::LARGEST, || self.files.read(path))
    }

    fn scan(&self, path: &Path, look: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<()> {
        self.files.scan(path, look)
    }

    fn scan_back(&self, path: &Path, overlap: usize, look: Look<'_>) -> io::Result<()> {
        self.files.scan_back(path, overlap, look)
    }

    fn link_kind(&self, path: &Path) -> io::Result<Kind> {
        Self::once(&self.link_kind, path, |_| true, || self.files.link_kind(path))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.read_link(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        Self::once(&self.list, dir, |names| names.len() <= Self::MOST, || self.files.list(dir))
    }

    fn kind(&self, path: &Path) -> io::Result<Kind> {
        Self::once(&self.kind, path, |_| true, || self.files.kind(path))
    }

    fn prefetch(&self, count: usize, paths: &mut dyn Iterator<Item = &Path>) {
        self.files.prefetch(count, paths);
    }

    fn status(&self, path: &Path) -> Option<Status> {
        self.files.status(path)
    }

    fn space(&self, path: &Path) -> Option<Space> {
        self.files.space(path)
    }
}
