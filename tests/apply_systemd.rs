//! The real program on a host that the real systemd has started, in namespaces and a control group of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use test_hosts::{Host, Ran};

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// Gives the process the control group `$2`, and the namespaces in which it sees only that.
const START: &str = r#"
echo $$ > "$2/cgroup.procs"
exec setpriv --pdeathsig KILL -- unshare --cgroup --mount --net --uts --ipc --pid --fork --kill-child \
    --propagation private -- sh -c "$0" "$1"
"#;

/// Mounts what systemd wants to find and becomes it, with `$0` as its root.
const INIT: &str = r#"
set -eu
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t tmpfs -o mode=755 tmpfs sys
mkdir -p sys/fs/cgroup
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"; done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
hostname web
chroot . /usr/sbin/ip link set lo up
mkdir -p .machine
pivot_root . .machine
exec chroot . /bin/sh -c 'umount -l /.machine && exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --show-status=false systemd.unit=multi-user.target'
"#;

/// A host with systemd as its first process; its end is that of all it started.
struct Booted {
    first: Child,
    pid: u32,
    group: PathBuf,
    host: Host,
}

impl Booted {
    fn new(host: Host) -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified =
            mounts.lines().find(|line| line.contains(" - cgroup2 ")).expect("control groups, version 2");
        let group = Path::new(unified.split(' ').nth(4).unwrap())
            .join(format!("apache-tuning-test-{}", std::process::id()));
        fs::create_dir(&group).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", START, INIT]).arg(host.root()).arg(&group);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let first = command.spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", first.id());
        let mut booted = Self { first, pid: 0, group, host };
        for _ in 0..1500 {
            let text = fs::read_to_string(&children).unwrap_or_default();
            booted.pid = text.trim().parse().unwrap_or_default();
            let name = fs::read_to_string(format!("/proc/{}/comm", booted.pid)).unwrap_or_default();
            if name == "systemd\n" && booted.run(&["systemctl", "is-active", "apache2"]).success() {
                return booted;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("not up: {:?}", booted.run(&["systemctl", "status", "apache2"]));
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.pid.to_string(),
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            "--cgroup",
        ]);
        command.args(["--root", "--wd", "env", "-i", "LC_ALL=C", "PATH=/usr/local/bin:/usr/sbin:/usr/bin"]);
        command.args(words).stdin(Stdio::null()).output().unwrap().into()
    }

    fn tune(&self, parameters: &Value) -> Value {
        self.host.write("/root/parameters.json", parameters.to_string());
        let ran = self.run(&["apache-tuning", "/root/parameters.json"]);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// Returns the process that systemd takes for the server, and the MPM in it.
    fn server(&self) -> (String, String) {
        let pid =
            self.run(&["systemctl", "show", "--property=MainPID", "--value", "apache2"]).ok().to_owned();
        let maps = self.run(&["cat", &format!("/proc/{pid}/maps")]).stdout;
        let mpm =
            maps.split("/mod_mpm_").nth(1).and_then(|rest| rest.split(".so").next()).unwrap_or_default();
        (pid, mpm.to_owned())
    }

    fn answers(&self) -> bool {
        let line = "import urllib.request; urllib.request.urlopen('http://127.0.0.1/', timeout=5)";
        self.run(&["python3", "-c", line]).success()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let _ = self.first.kill();
        let _ = self.first.wait();
        // Its processes end with it, but not at once; then the groups that systemd made can go, inner ones first.
        for _ in 0..500 {
            if remove_groups(&self.group).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

#[test]
fn on_a_host_of_systemd_the_server_is_restarted_reloaded_and_brought_back_through_it() {
    let host = Host::managed();
    host.install_binary(PROGRAM);
    host.write(
        "/etc/apache2/conf-enabled/local.conf",
        "<IfModule mpm_prefork_module>\nListen 81\n</IfModule>\n",
    );
    let booted = Booted::new(host);
    let (first, mpm) = booted.server();
    assert_eq!(mpm, "event");

    let result = booted.tune(&json!({"mpm": "worker"}));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    let (worker, mpm) = booted.server();
    assert_eq!(mpm, "worker");
    assert_ne!(worker, first);

    let result = booted.tune(&json!({"keepalive": {"enabled": false}}));
    assert_eq!(result["activation"]["needed"], "reload", "{}", result["msg"]);
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    assert_eq!(booted.server(), (worker.clone(), "worker".to_owned()));

    // A port that is taken: no configuration test sees that, and only systemd's journal says it.
    let line = "import socket, time; s = socket.create_server(('', 81)); time.sleep(600)";
    booted.run(&["systemd-run", "--quiet", "--unit=taker", "python3", "-c", line]).ok();
    let taken = "import socket; socket.create_connection(('127.0.0.1', 81))";
    while !booted.run(&["python3", "-c", taken]).success() {
        assert!(booted.run(&["systemctl", "is-active", "taker"]).success());
    }
    let result = booted.tune(&json!({"mpm": "prefork"}));
    let message = result["msg"].as_str().unwrap();
    assert_eq!(result["failed"], true, "{message}");
    assert!(message.contains("restart apache2.service") && message.contains("; journal: "), "{message}");
    assert!(message.contains("Address already in use"), "{message}");
    assert!(
        message.contains("all changes were undone") && !message.contains("did not come back"),
        "{message}"
    );
    let (back, mpm) = booted.server();
    assert_eq!(mpm, "worker");
    assert_ne!(back, worker);
    assert!(booted.answers());
    booted.run(&["systemctl", "is-active", "apache2"]).ok();

    booted.run(&["systemctl", "stop", "apache2"]).ok();
    let result = booted.tune(&json!({"mpm": "event"}));
    assert_eq!(result["changed"], true, "{}", result["msg"]);
    assert_eq!(result["activation"]["done"], false);
    assert_eq!(booted.run(&["systemctl", "is-active", "apache2"]).stdout, "inactive\n");
}
