//! `root: DIR`: nothing vouches for the programs in there, and they get no power over this host.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command};

use serde_json::json;
use test_hosts::Host;

use super::{PROGRAM, tune_with};

/// Takes httpd's place in the root and tries to get out of it; says what it managed to do.
const HOSTILE: &str = r#"#!/usr/bin/perl
use strict; use Socket;
sub got { print "ESCAPED: @_\n" }
got("wrote into the root") if open(my $f, ">", "/etc/apache2/written");
got("wrote into the top directory") if open(my $g, ">", "/written");
got("changed a mode") if chmod(0777, "/etc/apache2/apache2.conf");
got("removed a file") if unlink("/etc/apache2/ports.conf");
got("made a device") if system("mknod /tmp/disk b 7 0 2>/dev/null") == 0;
got("opened a device of the root") if open(my $d, "<", "/srv/loop");
got("mounted") if system("mount -t tmpfs none /mnt 2>/dev/null") == 0;
got("sees a process") if kill(0, VICTIM);
got("ended a process") if kill(9, VICTIM);
got("sees the root of process 1") if -e "/proc/1/root/SENTINEL" || opendir(my $p, "/proc/1/root");
got("turned a knob of the kernel") if open(my $s, "+<", "/proc/sys/kernel/hostname");
socket(my $tcp, PF_INET, SOCK_STREAM, 0);
got("reached the loopback") if connect($tcp, sockaddr_in(PORT, inet_aton("127.0.0.1")));
socket(my $unix, PF_UNIX, SOCK_STREAM, 0);
got("reached a socket of the host") if connect($unix, sockaddr_un("/run/host.socket"));
got("became another user") if ($> = 33) && $> == 33;
mkdir "/tmp/out";
if (chroot "/tmp/out") { chdir ".." for 1..64; chroot "."; got("left the root") if -e "SENTINEL"; }
chdir "/"; chdir ".." for 1..64;
got("went up") if -e "SENTINEL";
fork() or do { sleep 600; exit };
print "Syntax OK\n";
"#;

/// A process that must live on.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_hostile_program_in_another_root_reaches_nothing() {
    let host = Host::debian12();
    let folder = tempfile::tempdir().unwrap();
    let sentinel = folder.path().join("sentinel");
    fs::write(&sentinel, "of this machine").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _socket = UnixListener::bind(host.path("/run/host.socket")).unwrap();
    let mut victim = Victim(Command::new("sleep").arg("1000").spawn().unwrap());
    let script = HOSTILE
        .replace("SENTINEL", sentinel.to_str().unwrap())
        .replace("PORT", &port.to_string())
        .replace("VICTIM", &victim.0.id().to_string());
    let server = host.path("/usr/sbin/apache2");
    fs::remove_file(&server).unwrap();
    fs::write(&server, script).unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(
        Command::new("mknod").arg(host.path("/srv/loop")).args(["b", "7", "0"]).status().unwrap().success()
    );

    let mut parameters = json!({
        "root": host.root(), "mpm": "event", "mod_php": "disable", "_ansible_check_mode": true,
    });
    let before = host.listing();
    let result = tune_with(Path::new(PROGRAM), &parameters);
    assert_eq!(result["changed"], true, "{}", result["msg"]);
    let test = &result["config_test"];
    // Every kernel that this project is tested on lets root make a user namespace.
    assert_eq!(test["ran"], true, "{test}");
    assert_eq!(test["output"], "Syntax OK", "{test}");
    assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());

    parameters["_ansible_check_mode"] = json!(false);
    let result = tune_with(Path::new(PROGRAM), &parameters);
    assert_eq!(result["config_test"]["output"], "Syntax OK", "{result}");
    assert_eq!(fs::read_to_string(&sentinel).unwrap(), "of this machine");
    assert!(victim.0.try_wait().unwrap().is_none(), "the process was ended");
    let left = Command::new("pgrep").args(["-f", "perl /usr/sbin/apache2"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "", "a process was left");
}

#[test]
fn the_real_httpd_of_another_root_is_still_asked() {
    let host = Host::debian12();
    let mut parameters = json!({
        "root": host.root(), "mpm": "event", "mod_php": "disable", "_ansible_check_mode": true,
    });
    let result = tune_with(Path::new(PROGRAM), &parameters);
    assert_eq!(result["config_test"]["ok"], true, "{result}");
    host.write("/etc/apache2/conf-enabled/broken.conf", "NoSuchDirective on\n");
    parameters["waive"] = json!([]);
    let result = tune_with(Path::new(PROGRAM), &parameters);
    assert_eq!(result["failed"], true, "{result}");
    assert!(result["msg"].as_str().unwrap().contains("NoSuchDirective"), "{}", result["msg"]);
}
