//! Which files an `Include` names, in httpd's order.
//!
//! Source: `ap_dir_nofnmatch` and `ap_dir_fnmatch` in `server/util.c` of httpd 2.4.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use super::paths;
use crate::tree::{Files, Kind, bytes};

/// One thing an include leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A file, or a directory whose files are all read.
    Path(PathBuf),
    /// What httpd refuses at this point; `missing` is the path or pattern where it is that nothing is there.
    Fault { message: String, missing: Option<String> },
}

/// All that an include leads to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, directories and errors in httpd's order.
    pub(super) items: Vec<Item>,
    /// Backup copies and hidden files among them, for people.
    pub(super) stray: String,
    /// Two names whose numbers sort differently from their text, for people.
    pub(super) unpadded: Option<String>,
}

/// Finds what an absolute path or pattern leads to. An optional pattern that leads nowhere gives no items.
pub(super) fn expand(files: &dyn Files, pattern: &[u8], optional: bool) -> Found {
    let mut found = Found::default();
    if paths::is_pattern(pattern) {
        let start = pattern.iter().position(|&byte| byte != b'/').unwrap_or(pattern.len());
        walk(files, b"/".to_vec(), &pattern[start..], optional, &mut found);
    } else {
        found.items.push(Item::Path(paths::path(pattern)));
    }
    found
}

/// Tells whether a path or pattern leads to anything.
pub(super) fn exists(files: &dyn Files, pattern: &[u8]) -> bool {
    expand(files, pattern, true).items.iter().any(|item| match item {
        Item::Path(path) => !matches!(files.kind(path), Ok(Kind::Absent) | Err(_)),
        Item::Fault { .. } => false,
    })
}

/// Matches the parts of a pattern one after the other below `directory`.
fn walk(files: &dyn Files, mut directory: Vec<u8>, mut pattern: &[u8], optional: bool, found: &mut Found) {
    let (part, rest) = loop {
        let end = pattern.iter().position(|&byte| byte == b'/');
        let (part, rest) = end.map_or((pattern, None), |end| (&pattern[..end], Some(&pattern[end + 1..])));
        if paths::is_pattern(part) {
            break (part, rest);
        }
        directory = paths::join(&directory, part);
        let Some(rest) = rest else {
            found.items.push(Item::Path(paths::path(&directory)));
            return;
        };
        pattern = rest;
    };
    let shown = crate::tree::text(&directory).into_owned();
    let names = match files.list(&paths::path(&directory)) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound && optional => return,
        Err(error) => {
            let missing = (error.kind() == io::ErrorKind::NotFound).then(|| shown.clone());
            let message = format!("cannot open directory {shown}: {error}");
            found.items.push(Item::Fault { message, missing });
            return;
        }
    };
    let mut names: Vec<OsString> = names;
    names.retain(|name| paths::matches(part, bytes(name)));
    if let Some(rest) = rest {
        // A link to a directory does not count inside a pattern.
        names.retain(|name| {
            let path = paths::path(&paths::join(&directory, bytes(name)));
            matches!(files.link_kind(&path), Ok(Kind::Dir))
        });
        for name in &names {
            walk(files, paths::join(&directory, bytes(name)), rest, optional, found);
        }
    } else {
        found.stray = stray(&names);
        found.unpadded = unpadded(&names);
        let path = |name: &OsString| Item::Path(paths::owned(paths::join(&directory, bytes(name))));
        found.items.extend(names.iter().map(path));
    }
    if names.is_empty() && !optional {
        let message = format!("nothing matches {} in {shown}", crate::tree::text(part));
        let missing = paths::join(&directory, part);
        let missing = Some(crate::tree::text(&missing).into_owned());
        found.items.push(Item::Fault { message, missing });
    }
}

/// Endings of the copies that editors and package managers leave beside a file.
const COPIES: &[&str] = &[
    "~",
    ".bak",
    ".orig",
    ".old",
    ".save",
    ".swp",
    ".rpmsave",
    ".rpmnew",
    ".rpmorig",
    ".dpkg-old",
    ".dpkg-new",
    ".dpkg-dist",
    ".dpkg-bak",
    ".dpkg-tmp",
    ".ucf-old",
    ".ucf-new",
    ".ucf-dist",
    ".pacnew",
    ".pacsave",
    ".apk-new",
    ".disabled",
];

/// Returns the names that are hidden or look like copies, one behind the other.
pub(super) fn stray(names: &[OsString]) -> String {
    let is_stray = |name: &&OsString| {
        // The last byte is compared first: the names of thousands of virtual hosts end in none of these.
        let ends =
            |end: &&str| end.as_bytes().last() == bytes(name).last() && bytes(name).ends_with(end.as_bytes());
        bytes(name).starts_with(b".") || COPIES.iter().any(ends)
    };
    let list: Vec<String> =
        names.iter().filter(is_stray).map(|name| name.to_string_lossy().into_owned()).collect();
    list.join(", ")
}

/// Returns the first two neighbours whose leading numbers are read in the wrong order: `10-a` before `9-b`.
pub(super) fn unpadded(names: &[OsString]) -> Option<String> {
    let number = |name: &OsString| {
        let name = bytes(name);
        let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&name[..digits]).ok()?.parse::<u64>().ok()
    };
    let mut before: Option<(u64, &OsString)> = None;
    names.iter().find_map(|name| {
        let now = number(name).map(|number| (number, name));
        let (first, second) = (std::mem::replace(&mut before, now)?, now?);
        (first.0 > second.0)
            .then(|| format!("{} before {}", first.1.to_string_lossy(), second.1.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    fn names(list: &[&str]) -> Vec<OsString> {
        list.iter().map(OsString::from).collect()
    }

    #[test]
    fn names_are_told_that_nobody_meant_to_include() {
        let list = names(&[".x.conf", "a.conf", "a.conf.dpkg-old", "a.conf~", "b.rpmsave"]);
        assert_eq!(stray(&list), ".x.conf, a.conf.dpkg-old, a.conf~, b.rpmsave");
        assert_eq!(unpadded(&names(&["10-a", "9-b"])).as_deref(), Some("10-a before 9-b"));
        assert_eq!(unpadded(&names(&["09-a", "10-b", "100-c"])), None);
        assert_eq!(unpadded(&names(&["10-a", "x", "9-b"])), None, "they are not neighbours");
    }

    #[test]
    fn patterns_lead_to_files_in_bytewise_order() {
        let files = Memory::new()
            .file("/c/d/10-a", "")
            .file("/c/d/9-b", "")
            .file("/c/d/B", "")
            .file("/c/d/a", "")
            .file("/c/d/.h", "")
            .file("/c/e/a", "")
            .link("/c/f", "/c/d");
        for (pattern, expected) in [
            ("/c/d/*", &["/c/d/10-a", "/c/d/9-b", "/c/d/B", "/c/d/a"][..]),
            ("/c/*/a", &["/c/d/a", "/c/e/a"]),
            ("//c/d/[a-z]", &["/c/d/a"]),
            ("/c/d", &["/c/d"]),
            ("/c/f/?", &["/c/f/B", "/c/f/a"]),
            ("/c/x/*", &[]),
        ] {
            let found = expand(&files, pattern.as_bytes(), true);
            let expected: Vec<Item> = expected.iter().map(|path| Item::Path(PathBuf::from(path))).collect();
            assert_eq!(found.items, expected, "{pattern}");
        }
        for pattern in ["/c/x/*", "/c/d/*.conf", "/c/*/b/*"] {
            let found = expand(&files, pattern.as_bytes(), false);
            assert!(
                matches!(found.items[..], [Item::Fault { missing: Some(_), .. }, ..]),
                "{pattern}: {found:?}"
            );
        }
    }
}
