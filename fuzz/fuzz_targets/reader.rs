//! `cargo +nightly fuzz run reader`: the reader of httpd's configuration on any bytes.
//!
//! The input is a few files: each begins at a line `==== PATH`, as in `tests/configurations/`, so that those may
//! be taken as seeds. Lines before the first such line are the main file.

#![no_main]

use std::collections::BTreeMap;

use apache_tuning::httpd::Version;
use apache_tuning::httpd::effective::{effective, own_lines};
use apache_tuning::httpd::read::{Start, read};
use apache_tuning::tree::Memory;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut files = Memory::new().file("/m.so", "");
    let mut path = "/c/main".to_owned();
    let mut content = Vec::new();
    for line in input.split_inclusive(|&byte| byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"==== ") {
            files = files.file(&path, std::mem::take(&mut content));
            path = format!("/c/{}", String::from_utf8_lossy(name).trim());
        } else {
            content.extend_from_slice(line);
        }
    }
    files = files.file(&path, content);
    let start = Start {
        file: "/c/main".into(),
        server_root: "/c".into(),
        version: Version::NEWEST_KNOWN,
        built_in: ["core", "so", "version"].map(|name| (format!("{name}_module"), format!("mod_{name}.c"))).to_vec(),
        defines: Vec::new(),
        environment: BTreeMap::new(),
    };
    let found = read(&files, &start);
    for mpm in found.mpms() {
        effective(&found, mpm, Version::NEWEST_KNOWN);
    }
    own_lines(&found);
});
