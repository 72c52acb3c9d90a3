//! What a person is shown: `preview`, `info` and `size` as the program prints them, 100 columns wide, on six hosts. Two of
//! Debian 12 and one of Debian 13 are what the packages install; the others are the trees of this test.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::Node;
use serde_json::{Value, json};
use tempfile::TempDir;
use test_hosts::{Flavour, Host as Installed, Release};

use crate::tried::everything;

/// The machine, whatever the tests run on.
const FACTS: &str = r#"{"memory_mb": 8192, "cpus": 4, "tasks_max": 4915, "threads_max": 63000, "pid_max": 4194304,
    "open_files": 8192, "somaxconn": 4096}"#;

/// Runs the program as in a pipe of 100 columns.
fn shown(root: &Path, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apache-tuning"));
    let output = command.args(words).env("COLUMNS", "100").env_remove("NO_COLOR").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap().replace(root.to_str().unwrap(), "ROOT");
    assert!(!text.contains('\x1b'), "{text}");
    // Only a word that is wider and a difference may stand out.
    let differs = |line: &str| line.starts_with(['+', '-', ' ', '@']);
    let wide = text.lines().find(|line| line.chars().count() > 100 && !differs(line));
    assert_eq!(wide, None, "{words:?}");
    // Which release of httpd Debian ships now is not what this is about.
    let mut parts = text.split("httpd 2.4.");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "httpd 2.4.N" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// Holds what is printed of a host against what was looked at and found good.
fn looks_as_before(name: &str, root: &Path, desired: &Value) {
    let dir = TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (desired, facts) = (file("desired.json", &desired.to_string()), file("facts.json", FACTS));
    let root_word = root.to_str().unwrap();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let preview = shown(root, &["preview", &desired, "--root", root_word, "--facts", &facts]);
        insta::assert_snapshot!(format!("{name}.preview"), preview);
        let info = shown(root, &["info", "--root", root_word, "--facts", &facts]);
        insta::assert_snapshot!(format!("{name}.info"), info);
    });
}

/// Writes a tree of this test to disk.
fn written(name: &str) -> TempDir {
    let host = crate::hosts().into_iter().find(|host| host.name == name).unwrap();
    let dir = TempDir::new().unwrap();
    for (path, node) in everything(&host.files) {
        let at = dir.path().join(path.strip_prefix("/").unwrap());
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        match node {
            Node::File(text) => std::fs::write(at, &*text).unwrap(),
            Node::Link(target) => symlink(target, at).unwrap(),
            Node::Absent => {}
        }
    }
    dir
}

#[test]
fn what_debian_installs_is_shown_as_before() {
    let event = Installed::of(Release::Bookworm, Flavour::Event);
    looks_as_before(
        "debian12-event",
        event.root(),
        &json!({"mpm": "event", "keepalive": {"timeout": 3}, "capacity": {"connections": 2000, "active": 300}}),
    );
    let php = Installed::of(Release::Bookworm, Flavour::Php);
    looks_as_before("debian12-php", php.root(), &json!({"mpm": "event", "mod_php": "disable"}));
    let evasive = Installed::of(Release::Trixie, Flavour::Event);
    looks_as_before(
        "debian13-evasive",
        evasive.root(),
        &json!({"settings": {"max_request_workers": 410}, "evasive": {"enabled": true, "page_count": 5}}),
    );
}

#[test]
fn the_trees_of_other_families_are_shown_as_before() {
    for (name, mpm) in [("rocky9", Mpm::Prefork), ("leap15.6", Mpm::Worker), ("alpine3.22", Mpm::Event)] {
        let tree = written(name);
        let desired =
            json!({"mpm": mpm.name(), "settings": {"server_limit": 400, "max_request_workers": 400}});
        looks_as_before(name, tree.path(), &desired);
    }
}

#[test]
fn sizes_for_six_machines_are_shown_as_before() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for (name, words) in [
        ("small", "--connections 500 --memory 1G --cpus 1"),
        ("shop", "--connections 5000 --active 400 --memory 8G --cpus 4"),
        ("burst", "--connections 2000 --active 200 --burst 600 --memory 8G --cpus 8"),
        ("prefork", "--connections 200 --mpm prefork --per-worker 30M --memory 8G --reserve 1G"),
        ("worker", "--connections 1000 --mpm worker --memory 4G --cpus 4"),
        ("too-large", "--connections 4000 --mpm prefork --per-worker 40M --memory 8G"),
    ] {
        let words: Vec<&str> = ["size"].into_iter().chain(words.split(' ')).collect();
        settings.bind(|| {
            insta::assert_snapshot!(format!("size.{name}"), shown(Path::new("/nonexistent"), &words));
        });
    }
}
