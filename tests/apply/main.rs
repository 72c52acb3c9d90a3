//! Changes are made whole or not at all, and what was there there is kept or given back.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use apache_tuning::apply::{self, Activate, Applied, ApplyError, Cause, HostState, Lock, Options};
use apache_tuning::report::{ConfigTest, Need};
use apache_tuning::tree::{Change, Node, Role};

mod otherwise;
mod records;
mod room;

const CONFIG: &str = "/etc/apache2";
const SHORT: Duration = Duration::from_millis(50);

/// A root directory with a small Debian configuration, prefork enabled.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let etc = root.path().join("etc/apache2");
    for dir in ["mods-available", "mods-enabled", "conf-available", "conf-enabled"] {
        fs::create_dir_all(etc.join(dir)).unwrap();
    }
    for mpm in ["event", "prefork"] {
        fs::write(etc.join(format!("mods-available/mpm_{mpm}.load")), format!("LoadModule {mpm}\n")).unwrap();
        fs::write(etc.join(format!("mods-available/mpm_{mpm}.conf")), "MaxRequestWorkers 150\n").unwrap();
    }
    for end in ["load", "conf"] {
        let name = format!("mpm_prefork.{end}");
        symlink(format!("../mods-available/{name}"), etc.join("mods-enabled").join(name)).unwrap();
    }
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    root
}

fn path(name: &str) -> PathBuf {
    Path::new(CONFIG).join(name)
}

fn change(path: impl Into<PathBuf>, before: Node, after: Node) -> Change {
    let path = path.into();
    let role = Role::by_debian_name(&path);
    Change::new(path, before, after).with_role(role)
}

fn link(module: &str) -> Node {
    Node::Link(format!("../mods-available/{module}").into())
}

/// The swap from prefork to event, with a file, a drop-in and a marker in a directory that does not exist yet.
fn swap() -> Vec<Change> {
    vec![
        change(
            path("mods-available/mpm_event.conf"),
            Node::text("MaxRequestWorkers 150\n"),
            Node::text("new\n"),
        ),
        change(path("conf-available/zz-apache-tuning.conf"), Node::Absent, Node::text("KeepAlive On\n")),
        change(
            path("conf-enabled/zz-apache-tuning.conf"),
            Node::Absent,
            Node::Link("../conf-available/zz-apache-tuning.conf".into()),
        ),
        change(path("mods-enabled/mpm_prefork.conf"), link("mpm_prefork.conf"), Node::Absent),
        change(path("mods-enabled/mpm_prefork.load"), link("mpm_prefork.load"), Node::Absent),
        change(path("mods-enabled/mpm_event.conf"), Node::Absent, link("mpm_event.conf")),
        change(path("mods-enabled/mpm_event.load"), Node::Absent, link("mpm_event.load")),
        change("/var/lib/apache2/module/enabled_by_admin/mpm_event", Node::Absent, Node::text("")),
    ]
}

fn options() -> Options<'static> {
    Options {
        config_dir: Path::new(CONFIG),
        instance: None,
        keep: 10,
        test: None,
        look: None,
        activation: Activate::Later(Need::None, None),
    }
}

fn run(root: &Path, changes: &[Change], options: &Options<'_>) -> Result<Applied, ApplyError> {
    apply::apply(changes, options, &Lock::take(root, SHORT).unwrap())
}

/// Everything below the root except this program's own state: path, kind and content or target, mode, owner.
fn tree(root: &Path) -> Vec<String> {
    fn walk(root: &Path, dir: &Path, out: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let at = entry.unwrap().path();
            if at.ends_with("var/lib/apache-tuning") {
                continue;
            }
            let meta = fs::symlink_metadata(&at).unwrap();
            let what = if meta.is_symlink() {
                format!("link {}", fs::read_link(&at).unwrap().display())
            } else if meta.is_dir() {
                walk(root, &at, out);
                "dir".to_owned()
            } else {
                format!("file {:?}", fs::read(&at).unwrap())
            };
            let name = at.strip_prefix(root).unwrap().display();
            out.push(format!("{name} {:o} {}:{} {what}", meta.mode(), meta.uid(), meta.gid()));
        }
    }
    let mut out = Vec::new();
    walk(root, root, &mut out);
    out.sort();
    out
}

#[test]
fn a_plan_is_made_true_and_leaves_nothing_staged() {
    let root = root();
    let done = run(root.path(), &swap(), &options()).unwrap();
    for change in swap() {
        let at = root.path().join(change.path.strip_prefix("/").unwrap());
        match change.after {
            Node::Absent => assert!(fs::symlink_metadata(&at).is_err(), "{}", at.display()),
            Node::File(content) => assert_eq!(fs::read(&at).unwrap(), &*content),
            Node::Link(target) => assert_eq!(fs::read_link(&at).unwrap(), target),
        }
    }
    let all = tree(root.path()).join("\n");
    assert!(!all.contains(".apache-tuning-"), "{all}");
    let record = root.path().join(format!("var/lib/apache-tuning/history/{}.json", done.transaction));
    assert_eq!(fs::metadata(record).unwrap().mode() & 0o777, 0o600);
    assert!(!apply::is_interrupted(root.path()));
}

#[test]
fn what_is_foreign_in_an_exchanged_directory_keeps_its_inode() {
    let root = root();
    let enabled = root.path().join("etc/apache2/mods-enabled");
    fs::write(enabled.join("local.load"), "mine\n").unwrap();
    symlink("/root/nowhere", enabled.join("dangling.conf")).unwrap();
    fs::set_permissions(&enabled, fs::Permissions::from_mode(0o2750)).unwrap();
    let before = fs::metadata(enabled.join("local.load")).unwrap().ino();
    let directory = fs::metadata(&enabled).unwrap().ino();
    run(root.path(), &swap(), &options()).unwrap();
    assert_eq!(fs::metadata(enabled.join("local.load")).unwrap().ino(), before);
    assert_eq!(fs::read_link(enabled.join("dangling.conf")).unwrap(), Path::new("/root/nowhere"));
    let after = fs::metadata(&enabled).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o2750);
    assert_ne!(after.ino(), directory, "the directory was not exchanged");
}

#[test]
fn a_directory_that_cannot_be_linked_as_a_whole_is_changed_step_by_step() {
    let root = root();
    let enabled = root.path().join("etc/apache2/mods-enabled");
    fs::create_dir(enabled.join("local")).unwrap();
    let directory = fs::metadata(&enabled).unwrap().ino();
    run(root.path(), &swap(), &options()).unwrap();
    assert_eq!(fs::metadata(&enabled).unwrap().ino(), directory);
    assert_eq!(
        fs::read_link(enabled.join("mpm_event.load")).unwrap(),
        Path::new("../mods-available/mpm_event.load")
    );
    assert!(fs::symlink_metadata(enabled.join("mpm_prefork.load")).is_err());
    assert!(!tree(root.path()).join("\n").contains(".apache-tuning-"));
}

#[test]
fn a_rejected_configuration_is_undone_to_the_byte() {
    for subdirectory in [false, true] {
        let root = root();
        if subdirectory {
            fs::create_dir(root.path().join("etc/apache2/mods-enabled/local")).unwrap();
        }
        let before = tree(root.path());
        let reject = || ConfigTest {
            ran: true,
            ok: Some(false),
            output: "AH00526: line 7".to_owned(),
            ..ConfigTest::default()
        };
        let error = run(root.path(), &swap(), &Options { test: Some(&reject), ..options() }).unwrap_err();
        assert!(matches!(error.host, HostState::RolledBack), "{error}");
        assert_eq!(
            error.to_string(),
            "the configuration test rejected the change: AH00526: line 7; all changes were undone"
        );
        assert_eq!(tree(root.path()), before);
        assert!(!apply::is_interrupted(root.path()));
    }
}

#[test]
fn a_replaced_file_keeps_mode_owner_and_attributes() {
    let root = root();
    let at = root.path().join("etc/apache2/mods-available/mpm_event.conf");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o640)).unwrap();
    let as_root = rustix::process::geteuid().is_root();
    if as_root {
        std::os::unix::fs::chown(&at, Some(1234), Some(33)).unwrap();
    }
    let no_flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&at, "user.note", b"\0mine", no_flags).unwrap();
    // user::rw-, user:33:r--, group::r--, mask::r--, other::---
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, right, id) in
        [(1u16, 6u16, u32::MAX), (2, 4, 33), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)]
    {
        acl.extend([&tag.to_le_bytes()[..], &right.to_le_bytes()[..], &id.to_le_bytes()[..]].concat());
    }
    rustix::fs::setxattr(&at, "system.posix_acl_access", &acl, no_flags).unwrap();
    // Where SELinux is on, the context of httpd's configuration: a file without it is not read.
    let context = b"system_u:object_r:httpd_config_t:s0\0";
    // Only root may set one, and a kernel or a file system without it may refuse: then the next best name is tried.
    let label = ["security.selinux", "trusted.label", "user.label"]
        .into_iter()
        .find(|name| rustix::fs::setxattr(&at, *name, context, no_flags).is_ok())
        .unwrap();
    run(root.path(), &swap(), &options()).unwrap();
    assert_eq!(fs::read(&at).unwrap(), b"new\n");
    let after = fs::metadata(&at).unwrap();
    assert_eq!(after.mode() & 0o7777, 0o640);
    if as_root {
        assert_eq!((after.uid(), after.gid()), (1234, 33));
    }
    for (name, value) in
        [("user.note", &b"\0mine"[..]), ("system.posix_acl_access", &acl), (label, &context[..])]
    {
        let mut found = vec![0; 256];
        let length = rustix::fs::getxattr(&at, name, found.as_mut_slice()).unwrap();
        assert_eq!(&found[..length], value, "{name}");
    }
}

#[test]
fn a_file_that_somebody_changed_since_it_was_planned_stops_everything() {
    let root = root();
    fs::write(root.path().join("etc/apache2/conf-available/zz-apache-tuning.conf"), "theirs\n").unwrap();
    let before = tree(root.path());
    let error = run(root.path(), &swap(), &options()).unwrap_err();
    let Cause::Moved { paths } = &error.cause else { panic!("{error}") };
    assert_eq!(paths, &[path("conf-available/zz-apache-tuning.conf")]);
    assert!(matches!(error.host, HostState::Untouched));
    assert_eq!(tree(root.path()), before);
}

#[test]
fn the_second_run_waits_and_then_says_who_holds_the_lock() {
    let root = root();
    let first = Lock::take(root.path(), SHORT).unwrap();
    let error = Lock::take(root.path(), SHORT).unwrap_err().to_string();
    assert!(error.contains(&format!("pid {} since 2", std::process::id())), "{error}");
    drop(first);
    // Held by another program, with the line of the last run still in the file.
    let lock = root.path().join("var/lib/apache-tuning/lock");
    fs::write(&lock, "pid 1 since 20200101T000000Z\n").unwrap();
    let mut other = Command::new("flock").arg("--no-fork").arg(&lock).args(["sleep", "60"]).spawn().unwrap();
    let error = loop {
        // Until the other program has it.
        match Lock::take(root.path(), Duration::ZERO) {
            Err(error) => break error.to_string(),
            Ok(taken) => drop(taken),
        }
        fs::write(&lock, "pid 1 since 20200101T000000Z\n").unwrap();
        thread::sleep(Duration::from_millis(5));
    };
    let foreign = error.contains(&format!("pid {} (", other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(foreign, "{error}");
    Lock::take(root.path(), SHORT).unwrap();
}

#[test]
fn links_and_open_directories_in_the_way_are_refused_and_not_followed() {
    type Plant = fn(&Path, &Path);
    let plants: [(&str, Plant); 7] = [
        ("mods-enabled", |root, outside| {
            let at = root.join("etc/apache2/mods-enabled");
            fs::rename(&at, outside.join("moved")).unwrap();
            symlink(outside.join("moved"), at).unwrap();
        }),
        ("may be written to by everybody", |root, _| {
            let at = root.join("etc/apache2/conf-available");
            fs::set_permissions(at, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("may be written to by everybody", |root, _| {
            let at = root.join("etc/apache2/conf-available");
            fs::set_permissions(at, fs::Permissions::from_mode(0o1777)).unwrap();
        }),
        ("apache-tuning", |root, outside| symlink(outside, root.join("var/lib/apache-tuning")).unwrap()),
        ("may be written to by others", |root, _| {
            let at = root.join("var/lib/apache-tuning");
            fs::create_dir(&at).unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o770)).unwrap();
        }),
        ("link", |root, outside| {
            let at = root.join("var/lib/apache-tuning");
            fs::create_dir(&at).unwrap();
            fs::set_permissions(&at, fs::Permissions::from_mode(0o700)).unwrap();
            symlink(outside.join("lock"), at.join("lock")).unwrap();
        }),
        ("link", |root, outside| {
            let at = root.join("var/lib/apache-tuning");
            fs::create_dir(&at).unwrap();
            fs::set_permissions(&at, fs::Permissions::from_mode(0o700)).unwrap();
            symlink(outside.join("journal"), at.join("journal")).unwrap();
        }),
    ];
    let elsewhere = tempfile::tempdir().unwrap();
    for (index, (word, plant)) in plants.into_iter().enumerate() {
        let root = root();
        let outside = elsewhere.path().join(index.to_string());
        fs::create_dir(&outside).unwrap();
        plant(root.path(), &outside);
        let (before, there) = (tree(root.path()), tree(&outside));
        let error = Lock::take(root.path(), SHORT)
            .and_then(|lock| apply::apply(&swap(), &options(), &lock))
            .expect_err(word)
            .to_string();
        assert!(error.contains(word), "{index}: {error}");
        assert_eq!(tree(root.path()), before, "{index}");
        assert_eq!(tree(&outside), there, "{index}");
    }
}

/// Changes the one file from one text to another.
fn edit(before: &str, after: &str) -> Vec<Change> {
    let node = |text: &str| if text.is_empty() { Node::Absent } else { Node::text(text) };
    vec![change(path("conf-available/x.conf"), node(before), node(after))]
}

fn roll_back(root: &Path, id: Option<&str>) -> Result<usize, ApplyError> {
    let rollback = apply::plan_rollback(root, None, id, &[])?;
    let count = rollback.changes.len();
    if count > 0 {
        apply::apply_rollback(rollback, &options(), &Lock::take(root, SHORT).unwrap())?;
    }
    Ok(count)
}

#[test]
fn a_rollback_gives_back_every_byte_and_mode_and_is_not_done_twice() {
    let root = root();
    let at = root.path().join("etc/apache2/mods-available/mpm_event.conf");
    fs::set_permissions(&at, fs::Permissions::from_mode(0o604)).unwrap();
    let modified = fs::metadata(&at).unwrap().modified().unwrap();
    let before = tree(root.path());
    run(root.path(), &swap(), &options()).unwrap();
    let swapped = tree(root.path());
    assert_ne!(swapped, before);
    assert_eq!(roll_back(root.path(), None).unwrap(), swap().len());
    // The directories of the markers stay: nobody else's files may have gone there since.
    let without_dirs = |tree: Vec<String>| {
        let keep = |line: &String| !line.starts_with("var/lib/apache2");
        tree.into_iter().filter(keep).collect::<Vec<_>>()
    };
    assert_eq!(without_dirs(tree(root.path())), without_dirs(before));
    assert_eq!(fs::metadata(&at).unwrap().modified().unwrap(), modified);
    assert_eq!(roll_back(root.path(), None).unwrap(), 0);
}

#[test]
fn a_rollback_goes_back_to_before_any_transaction_of_the_history() {
    let root = root();
    let at = root.path().join("etc/apache2/conf-available/x.conf");
    let read = || fs::read_to_string(&at).unwrap_or_default();
    let mut ids = Vec::new();
    for (before, after) in [("", "1"), ("1", "2"), ("2", "3")] {
        ids.push(run(root.path(), &edit(before, after), &options()).unwrap().transaction);
    }
    assert_eq!(roll_back(root.path(), None).unwrap(), 1);
    assert_eq!(read(), "2");
    assert_eq!(roll_back(root.path(), None).unwrap(), 0, "the newest one is undone already");
    run(root.path(), &edit("2", "4"), &options()).unwrap();
    assert_eq!(roll_back(root.path(), Some(&ids[1])).unwrap(), 1);
    assert_eq!(read(), "1");
    assert_eq!(roll_back(root.path(), Some(&ids[1])).unwrap(), 0);
    assert_eq!(roll_back(root.path(), Some(&ids[0])).unwrap(), 1);
    assert_eq!(read(), "");
    let error = roll_back(root.path(), Some("20010101T000000Z-0000")).unwrap_err().to_string();
    assert!(error.contains("no transaction `20010101T000000Z-0000`") && error.contains(&ids[2]), "{error}");
    let (history, _) = apply::history(root.path()).unwrap();
    assert_eq!(history.iter().filter(|generation| generation.undone_by.is_some()).count(), 4);
}

#[test]
fn a_rollback_over_what_somebody_else_wrote_is_refused_with_the_names() {
    let root = root();
    let at = root.path().join("etc/apache2/conf-available/x.conf");
    let first = run(root.path(), &edit("", "1"), &options()).unwrap().transaction;
    fs::write(&at, "theirs").unwrap();
    for id in [None, Some(first.as_str())] {
        let error = roll_back(root.path(), id).unwrap_err();
        assert!(
            matches!(&error.cause, Cause::Moved { paths } if paths == &[path("conf-available/x.conf")]),
            "{error}"
        );
    }
    // Also where they did it between two transactions.
    run(root.path(), &edit("theirs", "2"), &options()).unwrap();
    let error = roll_back(root.path(), Some(&first)).unwrap_err();
    assert!(matches!(&error.cause, Cause::Moved { .. }), "{error}");
    assert_eq!(fs::read_to_string(&at).unwrap(), "2");
    assert_eq!(roll_back(root.path(), None).unwrap(), 1);
    assert_eq!(fs::read_to_string(&at).unwrap(), "theirs");
}

#[test]
fn only_the_newest_generations_are_kept() {
    let root = root();
    let options = Options { keep: 3, ..options() };
    let mut text = String::new();
    for n in 0..6 {
        let next = n.to_string();
        run(root.path(), &edit(&text, &next), &options).unwrap();
        text = next;
    }
    let (history, _) = apply::history(root.path()).unwrap();
    let after: Vec<&Node> = history.iter().map(|generation| &generation.changes[0].after).collect();
    assert_eq!(after, [&Node::text("3"), &Node::text("4"), &Node::text("5")]);
}
