//! What a real run is refused by and can be seen without writing, check mode is refused by as well, in the same words;
//! and nothing is touched.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, IFlags, Mode, ioctl_getflags, ioctl_setflags, mknodat};
use serde_json::{Value, json};
use test_hosts::Host;

use super::{PROGRAM, done, swap, task, tree};

const CONF: &str = "/etc/apache2";
const DROP_IN: &str = "/etc/apache2/conf-available/zz-apache-tuning.conf";
const ENABLED: &str = "/etc/apache2/mods-enabled";
const MARKERS: &str = "/var/lib/apache2/module/enabled_by_admin";
const STATE: &str = "/var/lib/apache-tuning";
const HISTORY: &str = "/var/lib/apache-tuning/history";
const JOURNAL: &str = "/var/lib/apache-tuning/journal";
const LOCK: &str = "/var/lib/apache-tuning/lock";
const ORIGINALS: &str = "/var/lib/apache-tuning/originals.json";

/// An attribute that is taken away again, however the test ends.
struct Marked(PathBuf, IFlags);

impl Marked {
    fn new(path: PathBuf, flag: IFlags) -> Self {
        let file = fs::File::open(&path).unwrap();
        ioctl_setflags(file.as_fd(), ioctl_getflags(&file).unwrap() | flag).unwrap();
        Self(path, flag)
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        if let Ok(file) = fs::File::open(&self.0) {
            let flags = ioctl_getflags(&file).unwrap_or(IFlags::empty());
            let _ = ioctl_setflags(&file, flags - self.1);
        }
    }
}

/// What undoes a state of a host.
type Undo<'a> = Box<dyn FnOnce() + 'a>;

/// Brings a host into a state and returns how to leave it.
type Plant = for<'h> fn(&'h Host, &'static str) -> Undo<'h>;

fn marked(host: &Host, path: &str, flag: IFlags) -> Undo<'static> {
    let marked = Marked::new(host.path(path), flag);
    Box::new(move || drop(marked))
}

/// Puts what is there at a path aside and lets `make` put something else there.
fn instead<'h>(host: &'h Host, path: &'static str, make: impl FnOnce(&Path)) -> Undo<'h> {
    let (at, aside) = (host.path(path), host.path("/root/aside"));
    let stood = fs::rename(&at, &aside).is_ok();
    make(&at);
    Box::new(move || {
        let _ = fs::remove_file(&at).or_else(|_| fs::remove_dir_all(&at));
        if stood {
            fs::rename(&aside, &at).unwrap();
        }
    })
}

fn with_mode(host: &Host, path: &'static str, mode: u32) -> Undo<'static> {
    let at = host.path(path);
    let old = fs::metadata(&at).unwrap().permissions();
    fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
    Box::new(move || fs::set_permissions(&at, old).unwrap())
}

fn owned_by_www_data(host: &Host, path: &'static str) -> Undo<'static> {
    let at = host.path(path);
    chown(&at, Some(33), Some(33)).unwrap();
    Box::new(move || chown(&at, Some(0), Some(0)).unwrap())
}

fn mounted<'h>(host: &'h Host, path: &'static str, options: &str) -> Undo<'h> {
    host.sh(&format!(
        "mount --bind {path} {path} && {{ test -z '{options}' || mount -o remount,bind,{options} {path}; }}"
    ))
    .ok();
    Box::new(move || {
        host.sh(&format!("umount {path}")).ok();
    })
}

/// A pipe, which nobody may wait at.
fn fifo(at: &Path) {
    mknodat(CWD, at, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// The states: a path, what is done to it, the word that tells it.
const STATES: [(&str, &str, Plant); 31] = [
    (ENABLED, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (CONF, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    ("/etc/apache2/conf-available", "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (DROP_IN, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (MARKERS, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (STATE, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (LOCK, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (ORIGINALS, "immutable", |host, path| marked(host, path, IFlags::IMMUTABLE)),
    (ENABLED, "append-only", |host, path| marked(host, path, IFlags::APPEND)),
    (CONF, "append-only", |host, path| marked(host, path, IFlags::APPEND)),
    ("/etc/apache2/conf-available", "append-only", |host, path| marked(host, path, IFlags::APPEND)),
    (DROP_IN, "append-only", |host, path| marked(host, path, IFlags::APPEND)),
    (HISTORY, "append-only", |host, path| marked(host, path, IFlags::APPEND)),
    (ENABLED, "read-only", |host, path| mounted(host, path, "ro")),
    (CONF, "read-only", |host, path| mounted(host, path, "ro")),
    (STATE, "read-only", |host, path| mounted(host, path, "ro")),
    (DROP_IN, "is a mount point", |host, path| mounted(host, path, "")),
    (DROP_IN, "is a mount point", |host, path| mounted(host, path, "ro")),
    (STATE, "belongs to user 33", |host, path| owned_by_www_data(host, path)),
    (HISTORY, "belongs to user 33", |host, path| owned_by_www_data(host, path)),
    (STATE, "may be written to by everybody", |host, path| with_mode(host, path, 0o777)),
    (STATE, "may be written to by others", |host, path| with_mode(host, path, 0o770)),
    (CONF, "may be written to by everybody", |host, path| with_mode(host, path, 0o777)),
    (STATE, "links are not followed", |host, path| {
        instead(host, path, |at| symlink("/root/aside", at).unwrap())
    }),
    (LOCK, "is not a plain file", |host, path| instead(host, path, fifo)),
    (LOCK, "is a link", |host, path| instead(host, path, |at| symlink("/root/nothing", at).unwrap())),
    (HISTORY, "is not a directory", |host, path| instead(host, path, |at| fs::write(at, "").unwrap())),
    (JOURNAL, "is not a plain file", |host, path| instead(host, path, fifo)),
    (JOURNAL, "is not a plain file", |host, path| instead(host, path, |at| fs::create_dir(at).unwrap())),
    (JOURNAL, "it is empty", |host, path| {
        instead(host, path, |at| {
            fs::write(at, "").unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
        })
    }),
    (JOURNAL, "it is damaged", |host, path| {
        instead(host, path, |at| {
            fs::write(at, "{\"version\": 2, \"id\"").unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o600)).unwrap();
        })
    }),
];

fn wishes() -> [Value; 3] {
    let mut present = swap();
    present["mpm"] = "worker".into();
    present["keepalive"]["timeout"] = 6.into();
    [
        present,
        json!({"state": "absent", "activation": "defer", "config_test": false}),
        json!({"state": "rolled_back", "activation": "defer", "config_test": false}),
    ]
}

#[test]
fn check_mode_is_refused_by_what_the_real_run_is_refused_by() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    done(&host, &swap());
    let mut told_by_ids = 0;
    for (path, word, plant) in STATES {
        let leave = plant(&host, path);
        let before = tree(host.root(), "etc/apache2");
        for wish in wishes() {
            let at = format!("{path} {word}, {}", wish["state"]);
            let mut answers = Vec::new();
            for check in [true, false] {
                let mut asked = wish.clone();
                asked["_ansible_check_mode"] = check.into();
                let result = task(&host, &asked);
                let said = result["msg"].as_str().unwrap().to_owned();
                assert_eq!(result["failed"], true, "{at}, check {check}: {said}");
                assert_eq!(result["changed"], false, "{at}, check {check}: {said}");
                assert!(said.contains(path) && said.contains(word), "{at}, check {check}: {said}");
                assert!(!said.contains("undone") && !said.contains("undoing"), "{at}: {said}");
                let id = if path.starts_with(STATE)
                    && !["immutable", "append-only", "read-only"].contains(&word)
                {
                    "SYS-006"
                } else {
                    "SYS-005"
                };
                told_by_ids += usize::from(said.contains(id));
                answers.push(said);
            }
            assert_eq!(answers[0], answers[1], "{at}");
            assert_eq!(tree(host.root(), "etc/apache2"), before, "{at}");
        }
        leave();
    }
    // A history that cannot be entered stops a rollback before anything is planned.
    assert!(told_by_ids >= STATES.len() * 6 - 6, "{told_by_ids}");
    // Nothing of all that is left: the same wishes are fulfilled now.
    let mut asked = wishes()[0].clone();
    asked["_ansible_check_mode"] = true.into();
    let predicted = done(&host, &asked);
    assert_eq!(
        predicted["findings"].as_array().unwrap().len(),
        done(&host, &wishes()[0])["findings"].as_array().unwrap().len()
    );
    done(&host, &wishes()[2]);
    done(&host, &wishes()[1]);
}

#[test]
fn the_first_run_on_a_host_that_has_no_place_for_its_memory_is_refused_beforehand() {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    let _marked = Marked::new(host.path("/var/lib"), IFlags::IMMUTABLE);
    let before = tree(host.root(), "etc/apache2");
    let answers = [true, false].map(|check| {
        let asked = json!({
            "activation": "defer", "config_test": false, "keepalive": {"timeout": 6}, "_ansible_check_mode": check,
        });
        task(&host, &asked)["msg"].clone()
    });
    assert!(
        answers[0].as_str().unwrap().contains("`/var/lib` has the attribute immutable"),
        "{}",
        answers[0]
    );
    assert_eq!(answers[0], answers[1]);
    assert_eq!(tree(host.root(), "etc/apache2"), before);
}

#[test]
fn a_preview_by_another_user_works_or_says_what_it_needs() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    let preview = |wish: &Value| {
        host.write("/tmp/wish.json", wish.to_string());
        let words = ["runuser", "-u", "nobody", "--", "/usr/local/bin/apache-tuning", "preview", "--json"];
        let ran = host.run(&[&words[..], &["/tmp/wish.json"]].concat());
        serde_json::from_str::<Value>(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr))
    };
    let unmanaged = preview(&swap());
    assert_eq!(unmanaged["changed"], true, "{}", unmanaged["msg"]);
    done(&host, &swap());
    // What is in the desired state needs no memory.
    let same = preview(&swap());
    assert!(same["changed"] == false && same.get("failed").is_none(), "{}", same["msg"]);
    for wish in wishes() {
        let refused = preview(&wish);
        let said = refused["msg"].as_str().unwrap();
        assert_eq!(refused["failed"], true, "{said}");
        assert!(said.contains("/var/lib/apache-tuning") && said.contains("as root"), "{said}");
        assert!(said.contains("become: true"), "{said}");
        assert!(said.matches("originals.json").count() <= 1, "{said}");
    }
}
