//! Everything that can be seen of a tree of files, for comparing before and after.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// What is there at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file with the SHA-256 of its content.
    File([u8; 32]),
    /// A directory.
    Dir,
    /// A symbolic link with its text.
    Link(PathBuf),
    /// A device, socket or pipe.
    Other,
}

/// One path as the file system knows it, without what reading alone changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Type and permission bits, as `stat` has them.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Inode number: a file that was replaced has another one.
    pub inode: u64,
    /// Time of the last change of content, in nanoseconds since 1970.
    pub modified: i128,
}

impl Entry {
    /// Names what differs, short enough for a test's message.
    fn differences(&self, old: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.kind != old.kind {
            found.push(match (&old.kind, &self.kind) {
                (Kind::Link(old), Kind::Link(new)) => format!("link {} -> {}", old.display(), new.display()),
                (Kind::File(_), Kind::File(_)) => "content".into(),
                _ => "type".into(),
            });
        }
        if self.mode != old.mode {
            found.push(format!("mode {:o} -> {:o}", old.mode, self.mode));
        }
        if (self.uid, self.gid) != (old.uid, old.gid) {
            found.push(format!("owner {}:{} -> {}:{}", old.uid, old.gid, self.uid, self.gid));
        }
        if self.size != old.size {
            found.push(format!("size {} -> {}", old.size, self.size));
        }
        if self.inode != old.inode {
            found.push("inode".into());
        }
        if self.modified != old.modified {
            found.push("time".into());
        }
        found
    }
}

/// A tree of files: paths as the host names them, with all that can be seen of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// In the order of their names.
    pub entries: BTreeMap<PathBuf, Entry>,
}

impl Listing {
    /// Lists everything below `root`; paths in it start with `/`.
    pub fn of(root: &Path) -> Result<Self> {
        let mut listing = Self::default();
        listing.walk(root, Path::new("/"), &|_| true)?;
        Ok(listing)
    }

    /// Lists a host: all but the machine's folders and the shared part of `/usr`.
    pub(crate) fn of_host(root: &Path) -> Result<Self> {
        let mut listing = Self::default();
        listing.walk(root, Path::new("/"), &|path| {
            let shared = path.starts_with("/usr") && path != "/usr" && !path.starts_with("/usr/local");
            let machine = ["/proc", "/dev", "/sys"].iter().any(|folder| path.starts_with(folder));
            !shared && !machine
        })?;
        Ok(listing)
    }

    fn walk(&mut self, root: &Path, path: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
        let real = root.join(path.strip_prefix("/").unwrap_or(path));
        let about = |what: &str| format!("{what} {}", real.display());
        let meta = fs::symlink_metadata(&real).with_context(|| about("looking at"))?;
        let kind = if meta.is_dir() {
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Link(fs::read_link(&real).with_context(|| about("reading"))?)
        } else if meta.is_file() {
            Kind::File(Sha256::digest(fs::read(&real).with_context(|| about("reading"))?).into())
        } else {
            Kind::Other
        };
        if kind == Kind::Dir {
            for entry in fs::read_dir(&real).with_context(|| about("listing"))? {
                let below = path.join(entry?.file_name());
                if wanted(&below) {
                    self.walk(root, &below, wanted)?;
                }
            }
        }
        let entry = Entry {
            kind,
            mode: meta.mode(),
            uid: meta.uid(),
            gid: meta.gid(),
            size: meta.size(),
            inode: meta.ino(),
            modified: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        };
        self.entries.insert(path.to_path_buf(), entry);
        Ok(())
    }

    /// Returns the part below `folder`, the folder itself included.
    #[must_use]
    pub fn below(&self, folder: impl AsRef<Path>) -> Self {
        self.only(|path| path.starts_with(folder.as_ref()))
    }

    /// Returns the listing without `folder` and what is below it.
    #[must_use]
    pub fn without(&self, folder: impl AsRef<Path>) -> Self {
        self.only(|path| !path.starts_with(folder.as_ref()))
    }

    /// Returns the entries whose path `wanted` accepts.
    #[must_use]
    pub fn only(&self, wanted: impl Fn(&Path) -> bool) -> Self {
        let entries = self.entries.iter().filter(|(path, _)| wanted(path));
        Self { entries: entries.map(|(path, entry)| (path.clone(), entry.clone())).collect() }
    }

    /// Returns the listing with inodes and times forgotten: what a backup of the tree would hold.
    ///
    /// The sizes of directories are forgotten too; they tell of the file system, not of the tree.
    #[must_use]
    pub fn content(&self) -> Self {
        let mut same = self.clone();
        for entry in same.entries.values_mut() {
            entry.inode = 0;
            entry.modified = 0;
            if entry.kind == Kind::Dir {
                entry.size = 0;
            }
        }
        same
    }

    /// Returns one line for each path that is not as it was in `before`; empty when nothing was touched.
    pub fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, old) in &before.entries {
            match self.entries.get(path) {
                None => lines.push(format!("{}: gone", path.display())),
                Some(new) if new != old => {
                    lines.push(format!("{}: {}", path.display(), new.differences(old).join(", ")));
                }
                Some(_) => {}
            }
        }
        let new = self.entries.keys().filter(|path| !before.entries.contains_key(*path));
        lines.extend(new.map(|path| format!("{}: new", path.display())));
        lines.sort();
        lines
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_change_is_named_and_none_is_invented() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["content", "mode", "replaced", "gone", "same", "touched"] {
            fs::write(at(name), "1234").unwrap();
        }
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let before = Listing::of(folder.path()).unwrap();
        assert_eq!(Listing::of(folder.path()).unwrap().changes_since(&before), Vec::<String>::new());

        fs::write(at("content"), "4321").unwrap();
        fs::set_permissions(at("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(at("new"), "1234").unwrap();
        fs::rename(at("new"), at("replaced")).unwrap();
        fs::remove_file(at("gone")).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        fs::File::options().write(true).open(at("touched")).unwrap().set_modified(later).unwrap();
        fs::remove_file(at("link")).unwrap();
        std::os::unix::fs::symlink("b", at("link")).unwrap();

        let changes = Listing::of(folder.path()).unwrap().changes_since(&before);
        let told = |path: &str, word: &str| {
            changes.iter().any(|line| line.starts_with(&format!("/{path}: ")) && line.contains(word))
        };
        for (path, word) in [
            ("content", "content"),
            ("mode", "mode 100644 -> 100600"),
            ("replaced", "inode"),
            ("gone", "gone"),
            ("touched", "time"),
            ("link", "link a -> b"),
        ] {
            assert!(told(path, word), "{path}: {word}: {changes:?}");
        }
        assert!(!told("same", ""), "{changes:?}");

        let content = Listing::of(folder.path()).unwrap().content().changes_since(&before.content());
        assert!(!content.iter().any(|line| line.starts_with("/replaced") || line.starts_with("/touched")));
    }
}
