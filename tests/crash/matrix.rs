//! Every layout in every way of failing: whatever was left, recovering brings the old state or the new one, the next run
//! does the rest, and an undo after that gives every byte back.
//!
//! A sample of the points is tried by default; with `APACHE_TUNING_EXHAUSTIVE=1`, or in `cargo xtask test --long`, all.

use std::os::unix::fs::symlink;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use super::{
    Bed, Command, Duration, EXHAUSTIVE_VARIABLE, Host, Lock, RUN, Value, apply, difference, fs, json, swap,
};

/// Points of one layout and one way of failing that are tried by default.
const SAMPLE: usize = 6;

/// The parameters of the undo, in the host.
const UNDO: &str = "/root/undo.json";

/// How a call fails.
#[derive(Debug, Clone, Copy)]
enum Way {
    Killed,
    /// The call answers this, and no more.
    Once(&'static str),
    /// It answers this from now on, as a disk does that has become full or read-only.
    FromNowOn(&'static str),
}

const WAYS: [Way; 5] =
    [Way::Killed, Way::Once("ENOSPC"), Way::Once("EROFS"), Way::Once("EIO"), Way::FromNowOn("ENOSPC")];

/// Lets the configuration directory be a link.
fn linked_directory(host: &Host) {
    fs::create_dir_all(host.path("/srv/web")).unwrap();
    fs::rename(host.path("/etc/apache2"), host.path("/srv/web/apache2")).unwrap();
    symlink("/srv/web/apache2", host.path("/etc/apache2")).unwrap();
}

/// Lets the directories of what is enabled be links to ones of other names.
fn linked_enabled(host: &Host) {
    for name in ["mods-enabled", "conf-enabled"] {
        let at = host.path(format!("/etc/apache2/{name}"));
        fs::rename(&at, at.with_file_name(format!("{name}.site"))).unwrap();
        symlink(format!("{name}.site"), &at).unwrap();
    }
}

/// Lays a file system over the configuration that cannot exchange directories, as in a container.
fn overlay(host: &Host) {
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| host.path(format!("/srv/{name}")));
    let merged = host.path("/etc/apache2");
    fs::rename(&merged, &lower).unwrap();
    for dir in [&upper, &work, &merged] {
        fs::create_dir(dir).unwrap();
    }
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = std::ffi::CString::new(options).unwrap();
    mount("overlay", &merged, "overlay", MountFlags::empty(), Some(&*options)).unwrap();
}

/// Takes the overlay away, if there is one, before the host's files go.
struct Unmounted(std::path::PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Makes a second server, as Debian's `setup-instance` does.
fn instance(host: &Host) {
    super::copy(&host.path("/etc/apache2"), &host.path("/etc/apache2-blue"));
}

/// Runs `work` on a thread whose mounts nobody else sees; they go with it.
fn with_own_mounts(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only mounts are unshared, no descriptors.
            #[allow(unsafe_code)]
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            work();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

impl Bed {
    /// Runs the program with this file of parameters, undisturbed.
    fn plainly(&self, parameters: &str, at: &str) -> Value {
        let mut command = Command::new("chroot");
        let output = command.arg(self.host.root()).args([RUN[0], parameters]).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{at}: {error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Finishes and then undoes what a disturbed run left.
    fn finish_and_undo(&mut self, at: &str) {
        let left = self.tree();
        self.must_start(&left, at);
        Lock::take(self.host.root(), Duration::from_secs(1))
            .and_then(|lock| apply::recover(&lock))
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        let now = self.tree();
        let is_new = now == self.new;
        assert!(is_new || now == self.old, "{at}: neither old nor new\n{}", difference(&self.old, &now));
        if !is_new {
            let next = self.plainly(RUN[1], at);
            assert_eq!(next["changed"], true, "{at}: {}", next["msg"]);
            assert_eq!(self.tree(), self.new, "{at}");
        }
        let undone = self.plainly(UNDO, at);
        assert_eq!(undone["changed"], true, "{at}: {}", undone["msg"]);
        // The directories of the markers stay: another program or person may have put theirs there.
        let files = |tree: &[String]| {
            let is_dir = |line: &&String| line.starts_with("var/lib/apache2") && line.ends_with(" folder");
            tree.iter().filter(|line| !is_dir(line)).cloned().collect::<Vec<_>>()
        };
        let (now, old) = (files(&self.tree()), files(&self.old));
        assert_eq!(now, old, "{at}: the undo\n{}", difference(&old, &now));
    }
}

/// Tries a layout in every way of failing.
fn tried(name: &str, parameters: Value, shape: fn(&Host)) {
    let host = Host::debian12();
    shape(&host);
    let mut undo = json!({"state": "rolled_back", "activation": "defer", "config_test": false});
    if let Some(instance) = parameters.get("instance") {
        undo["instance"] = instance.clone();
    }
    host.write(UNDO, undo.to_string());
    let (mut bed, points) = Bed::new(host, parameters);
    let _unmounted = Unmounted(bed.host.path("/etc/apache2"));
    let all = std::env::var_os(EXHAUSTIVE_VARIABLE).is_some();
    let stride = if all { 1 } else { points.len().div_ceil(SAMPLE) };
    let mut count = 0;
    for (offset, way) in WAYS.into_iter().enumerate() {
        // Each way begins at another point, so that together they see more of them.
        for (call, n) in points.iter().skip((offset * 3 + name.len()) % stride).step_by(stride) {
            let at = format!("{name}, {way:?} at {call} {n}");
            let inject = match way {
                Way::Killed => format!("inject={call}:signal=SIGKILL:when={n}"),
                Way::Once(error) => format!("inject={call}:error={error}:when={n}"),
                // What is still written is the result.
                Way::FromNowOn(_) if call == "write" => continue,
                Way::FromNowOn(error) => format!("inject={call}:error={error}:when={n}+"),
            };
            bed.reset();
            let result = bed.run(&["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", &inject]);
            if let (Way::Once(_), Some(result)) = (way, result) {
                // It knows what it left.
                let is_new = bed.tree() == bed.new;
                assert!(is_new || bed.tree() == bed.old, "{at}: {}", result["msg"]);
                assert_eq!(result["changed"], is_new, "{at}: {}", result["msg"]);
            }
            bed.finish_and_undo(&at);
            count += 1;
        }
    }
    eprintln!(
        "{name}: {count} of {} points tried ({} calls, {} ways), each undone after it; {} states",
        points.len() * WAYS.len(),
        points.len(),
        WAYS.len(),
        bed.starts.len()
    );
    assert!(count >= SAMPLE * (WAYS.len() - 1), "{count}");
}

#[test]
fn a_plain_host_in_every_way_of_failing() {
    tried("plain", swap(), |_| {});
}

#[test]
fn a_linked_directory_in_every_way_of_failing() {
    tried("configuration directory a link", swap(), linked_directory);
}

#[test]
fn linked_enabled_directories_in_every_way_of_failing() {
    tried("mods-enabled and conf-enabled links", swap(), linked_enabled);
}

#[test]
fn an_overlay_in_every_way_of_failing() {
    with_own_mounts(|| tried("overlay", swap(), overlay));
}

#[test]
fn an_instance_in_every_way_of_failing() {
    let mut parameters = swap();
    parameters["instance"] = "blue".into();
    tried("instance", parameters, instance);
}
