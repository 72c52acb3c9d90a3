//! Undoing, on real hosts: it is judged like a change, needs no room, and works however the directories are laid out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod in_the_way;
mod instances;
mod judged;
mod secrets;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// Runs the program in the host with these parameters.
fn task(host: &Host, parameters: &Value) -> Value {
    let ran = host.run_with_input(&["/usr/local/bin/apache-tuning", "-"], parameters.to_string().as_bytes());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

/// Runs the program, which must do it.
fn done(host: &Host, parameters: &Value) -> Value {
    let result = task(host, parameters);
    assert!(result["changed"] == true && result.get("failed").is_none(), "{}", result["msg"]);
    result
}

/// From prefork with mod_php to event with php-fpm, with numbers and a drop-in.
fn swap() -> Value {
    json!({
        "mpm": "event", "mod_php": "disable", "activation": "defer", "config_test": false,
        "settings": {"max_request_workers": 200},
        "keepalive": {"timeout": 5},
    })
}

/// Everything below a directory, by its path: what it is and what is in it.
fn tree(root: &Path, below: &str) -> BTreeMap<String, String> {
    fn walk(root: &Path, dir: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let at = entry.unwrap().path();
            let name = at.strip_prefix(root).unwrap().display().to_string();
            let meta = fs::symlink_metadata(&at).unwrap();
            let what = if meta.is_symlink() {
                format!("link {}", fs::read_link(&at).unwrap().display())
            } else if meta.is_dir() {
                walk(root, &at, out);
                "folder".to_owned()
            } else {
                format!("file {}", String::from_utf8_lossy(&fs::read(&at).unwrap()))
            };
            out.insert(name, what);
        }
    }
    let mut out = BTreeMap::new();
    walk(root, &root.join(below), &mut out);
    out
}
