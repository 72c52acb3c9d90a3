//! The reader of httpd's configuration on any bytes: shared by the tests and the fuzz target.
//!
//! An input is a few files: each begins at a line `==== PATH`, as in `tests/configurations/`, so that those may be taken
//! as seeds. The first file is the main one; lines before the first such line are a main file of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use apache_tuning::httpd::Version;
use apache_tuning::httpd::effective::{effective, own_lines};
use apache_tuning::httpd::read::{Configuration, Scope, Start, read};
use apache_tuning::tree::Memory;

/// How every input is started.
pub(crate) fn start() -> Start {
    Start {
        first: Vec::new(),
        then: Vec::new(),
        unknown: apache_tuning::httpd::start::Unknown::default(),
        binary: "/usr/sbin/apache2".into(),
        file: "/c/main".into(),
        server_root: "/c".into(),
        version: Version::NEWEST_KNOWN,
        built_in: ["core", "so", "version"]
            .map(|name| (format!("{name}_module"), format!("mod_{name}.c")))
            .to_vec(),
        defines: vec!["GIVEN".to_owned()],
        environment: BTreeMap::from([("HOME".to_owned(), "/c".to_owned())]),
        table: &apache_tuning::registry::TABLE,
    }
}

/// Reads an input and checks what came of it.
#[allow(dead_code)] // the tests of random trees bring their own files
pub(crate) fn read_and_check(input: &[u8]) {
    let mut files = Memory::new().file("/m.so", "");
    let mut path = PathBuf::from("/c/main");
    let mut start = start();
    let mut content = Vec::new();
    let mut first = true;
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        let Some(name) = line.strip_prefix(b"==== ") else {
            content.extend_from_slice(line);
            continue;
        };
        let name = Path::new("/c").join(String::from_utf8_lossy(name).trim());
        if first && content.is_empty() {
            name.parent().unwrap_or(Path::new("/")).clone_into(&mut start.server_root);
            start.file.clone_from(&name);
        } else {
            files = files.file(&path, std::mem::take(&mut content));
        }
        first = false;
        path = name;
    }
    files = files.file(&path, content);
    check(&read(&files, &start));
}

/// Checks that every index leads somewhere and that what follows from a configuration can be asked for.
pub(crate) fn check(found: &Configuration) {
    let file = |id: u32| found.files.get(id as usize).is_some();
    assert!(found.lines.iter().all(|line| file(line.file) && line.line > 0));
    assert!(found.notes.iter().all(|note| file(note.file)));
    assert!(found.vhosts.iter().all(|vhost| file(vhost.file)));
    let vhost = |scope| matches!(scope, Scope::Vhost(index) if found.vhosts.get(index as usize).is_none());
    assert!(!found.lines.iter().any(|line| vhost(line.scope)));
    for (index, read) in found.files.iter().enumerate() {
        // An including file was read before the file it includes.
        assert!(read.included_at.is_none_or(|(includer, _)| (includer as usize) < index));
        assert_eq!(read.included_at.is_none(), index == 0);
        assert!(read.depth <= 128);
    }
    for mpm in found.mpms() {
        effective(found, mpm, Version::NEWEST_KNOWN, None);
    }
    own_lines(found);
}
