//! Undoing needs no room: no inode, no block, whatever else fills the disk meanwhile.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use apache_tuning::apply::{self, HostState, Lock, Options};
use apache_tuning::report::ConfigTest;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use super::{SHORT, change, options, path, root, run, swap, tree};
use apache_tuning::tree::Node;

/// Runs `work` on a thread whose mounts nobody else sees; they go with it.
fn with_own_mounts<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only mounts are unshared, no descriptors.
            #[allow(unsafe_code)]
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Puts a directory onto a file system of its own with this much room.
fn limit(dir: &Path, options: &str) {
    let aside = dir.with_file_name("aside");
    fs::rename(dir, &aside).unwrap();
    fs::create_dir(dir).unwrap();
    mount("tmpfs", dir, "tmpfs", MountFlags::empty(), Some(&*std::ffi::CString::new(options).unwrap()))
        .unwrap();
    assert!(
        std::process::Command::new("cp").arg("-a").arg(aside.join(".")).arg(dir).status().unwrap().success()
    );
    fs::remove_dir_all(aside).unwrap();
}

/// Takes all the room that is left but `blocks` blocks and `inodes` inodes; one folder holds it.
fn fill(dir: &Path, blocks: usize, inodes: usize) {
    let full = dir.join("full");
    fs::create_dir(&full).unwrap();
    let made: Vec<_> = (0..)
        .map_while(|n| {
            let at = full.join(n.to_string());
            fs::File::create(&at).is_ok().then_some(at)
        })
        .collect();
    // Each name there has an inode, and one of them takes all blocks.
    let mut block = vec![1; 4096];
    let written = made.iter().map_while(|at| fs::write(at, &block).is_ok().then_some(at)).count();
    for at in made.iter().take(written).rev().take(blocks) {
        fs::write(at, "").unwrap();
    }
    block.clear();
    for at in made.iter().rev().take(inodes) {
        fs::remove_file(at).unwrap();
    }
}

fn rejected() -> ConfigTest {
    ConfigTest { ran: true, ok: Some(false), output: "AH00526: line 7".to_owned(), ..ConfigTest::default() }
}

#[test]
fn a_rejected_change_is_undone_on_a_disk_that_became_full() {
    for (name, subdirectory) in [("exchanged", false), ("stepwise", true)] {
        with_own_mounts(|| {
            let root = root();
            let etc = root.path().join("etc/apache2");
            if subdirectory {
                fs::create_dir(etc.join("mods-enabled/local")).unwrap();
            }
            fs::write(etc.join("mods-available/mpm_event.conf"), vec![b'#'; 50_000]).unwrap();
            let mut plan = swap();
            plan[0] = change(
                path("mods-available/mpm_event.conf"),
                Node::text(vec![b'#'; 50_000]),
                Node::text("new\n"),
            );
            limit(&etc, "size=1m,nr_inodes=200");
            let before = tree(root.path());
            let file = etc.join("mods-available/mpm_event.conf");
            let inode = fs::metadata(&file).unwrap().ino();
            let reject = || {
                fill(&etc, 0, 0);
                rejected()
            };
            let error = run(root.path(), &plan, &Options { test: Some(&reject), ..options() }).unwrap_err();
            assert!(matches!(error.host, HostState::RolledBack), "{name}: {error}");
            fs::remove_dir_all(etc.join("full")).unwrap();
            assert_eq!(tree(root.path()), before, "{name}");
            assert_eq!(fs::metadata(&file).unwrap().ino(), inode, "{name}: it is not the same file");
            assert!(!apply::is_interrupted(root.path()), "{name}");
        });
    }
}

#[test]
fn a_change_with_too_little_room_is_undone_whatever_the_room() {
    let (mut failed, mut done) = (0, 0);
    for (kind, options_of_mount, most) in
        [("inodes", "size=8m,nr_inodes=120", 16), ("blocks", "size=300k,nr_inodes=200", 5)]
    {
        for room in 0..most {
            let ended = with_own_mounts(|| {
                let root = root();
                let etc = root.path().join("etc/apache2");
                limit(&etc, options_of_mount);
                fill(
                    &etc,
                    if kind == "blocks" { room } else { 20 },
                    if kind == "inodes" { room } else { 60 },
                );
                let before = tree(root.path());
                let result = run(root.path(), &swap(), &options());
                if let Err(error) = &result {
                    let safe = matches!(error.host, HostState::RolledBack | HostState::Untouched);
                    assert!(safe, "{room} {kind}: {error}");
                    assert_eq!(tree(root.path()), before, "{room} {kind}: {error}");
                }
                assert!(!apply::is_interrupted(root.path()), "{room} {kind}");
                assert!(!tree(root.path()).join("\n").contains(".apache-tuning-"), "{room} {kind}");
                result.is_ok()
            });
            if ended { done += 1 } else { failed += 1 }
        }
    }
    assert!(failed > 5 && done > 3, "{failed} failed, {done} done");
}

#[test]
fn a_killed_change_is_undone_on_a_disk_that_became_full() {
    with_own_mounts(|| {
        let root = root();
        let etc = root.path().join("etc/apache2");
        limit(&etc, "size=1m,nr_inodes=200");
        let before = tree(root.path());
        // What a run leaves that dies between the change and its end.
        let saved = tempfile::tempdir().unwrap();
        let state = root.path().join("var/lib/apache-tuning");
        let leave = || {
            let copy = |from: &Path, to: &Path| {
                assert!(
                    std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success()
                );
            };
            copy(&etc.join("."), &saved.path().join("etc"));
            copy(&state, &saved.path().join("state"));
            rejected()
        };
        run(root.path(), &swap(), &Options { test: Some(&leave), ..options() }).unwrap_err();
        assert_eq!(tree(root.path()), before);
        assert!(
            std::process::Command::new("sh")
                .args(["-c", "rm -rf \"$1\"/* && cp -a \"$2/.\" \"$1\" && cp -a \"$3/.\" \"$4\"", "sh"])
                .arg(&etc)
                .arg(saved.path().join("etc"))
                .arg(saved.path().join("state"))
                .arg(&state)
                .status()
                .unwrap()
                .success()
        );
        assert!(apply::is_interrupted(root.path()));
        fill(&etc, 0, 0);
        let lock = Lock::take(root.path(), SHORT).unwrap();
        apply::recover(&lock).unwrap().unwrap();
        fs::remove_dir_all(etc.join("full")).unwrap();
        assert_eq!(tree(root.path()), before);
    });
}

#[test]
fn a_directory_that_has_become_append_only_keeps_nothing_else_from_being_given_back() {
    for subdirectory in [false, true] {
        let root = root();
        let etc = root.path().join("etc/apache2");
        if subdirectory {
            fs::create_dir(etc.join("mods-enabled/local")).unwrap();
        }
        let before = tree(root.path());
        let append_only = |on: bool| {
            let dir = fs::File::open(&etc).unwrap();
            let flags = ioctl_getflags(&dir).unwrap();
            ioctl_setflags(&dir, if on { flags | IFlags::APPEND } else { flags - IFlags::APPEND }).unwrap();
        };
        let reject = || {
            append_only(true);
            rejected()
        };
        let result = run(root.path(), &swap(), &Options { test: Some(&reject), ..options() });
        append_only(false);
        let error = result.unwrap_err();
        let HostState::Littered { left } = &error.host else { panic!("{error}") };
        assert!(!left.is_empty() && !apply::is_interrupted(root.path()), "{error}");
        for path in left {
            let at = root.path().join(path.strip_prefix("/").unwrap());
            fs::remove_file(&at).or_else(|_| fs::remove_dir_all(&at)).unwrap();
        }
        assert_eq!(tree(root.path()), before);
    }
}
