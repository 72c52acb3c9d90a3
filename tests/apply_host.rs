//! The real program on real Debian hosts with a running Apache: changes arrive in the server or never were, and
//! what is only tried out never shows.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

#[path = "apply_host/balancers.rs"]
mod balancers;
#[path = "apply_host/features.rs"]
mod features;
#[path = "apply_host/modsecurity.rs"]
mod modsecurity;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

fn with_program(host: Host) -> Host {
    host.install_binary(PROGRAM);
    host
}

fn tune(host: &Host, parameters: &Value) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let ran = host.run(&["apache-tuning", "/root/parameters.json"]);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Asks again and again, in the host, and says at its end how many answers came and how long the longest time
/// between two of them was.
const CLIENT: &str = r#"
import os, socket, time
answers, failures, longest, last = 0, 0, 0.0, None
while not os.path.exists("/run/stop-client"):
    try:
        with socket.create_connection(("127.0.0.1", 80), 5) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            answered = s.recv(12).startswith(b"HTTP/1.1 ")
    except OSError:
        answered = False
    now = time.monotonic()
    if answered:
        if last is not None:
            longest = max(longest, now - last)
        answers, last = answers + 1, now
    else:
        failures += 1
    time.sleep(0.002)
print(answers, failures, round(longest * 1000))
"#;

fn client(host: &Host) -> Child {
    host.command("python3").args(["-c", CLIENT]).stdout(Stdio::piped()).spawn().unwrap()
}

fn end(host: &Host, mut client: Child) -> String {
    fs::write(host.path("/run/stop-client"), "").unwrap();
    let mut said = String::new();
    client.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    client.wait().unwrap();
    fs::remove_file(host.path("/run/stop-client")).unwrap();
    said.trim().to_owned()
}

#[test]
fn every_swap_reaches_the_running_server_and_a_reload_does_not_kill_it() {
    let host = with_program(Host::debian12_event());
    host.start_apache();
    for mpm in ["worker", "event", "prefork", "worker", "prefork", "event"] {
        let before = host.running_mpm().unwrap();
        let client = client(&host);
        std::thread::sleep(Duration::from_millis(100));
        let result = tune(&host, &json!({"mpm": mpm}));
        std::thread::sleep(Duration::from_millis(100));
        let said = end(&host, client);
        eprintln!("{before} to {mpm}: answers, failures, longest gap in ms: {said}");
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
        assert_eq!(result["activation"]["needed"], "restart");
        assert_eq!(result["restart_required"], false);
        assert_eq!(host.running_mpm().unwrap(), mpm);
        host.run(&["apache2ctl", "graceful"]).ok();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(host.running_mpm().unwrap(), mpm, "the reload killed it");
        assert!(host.http("/").is_ok());
        assert_eq!(tune(&host, &json!({"mpm": mpm}))["changed"], false);
    }
}

#[test]
fn a_swap_that_somebody_left_undone_is_taken_up_by_the_next_change() {
    let host = with_program(Host::debian12_event());
    host.start_apache();
    host.sh("a2dismod -q mpm_event && a2enmod -q mpm_worker").ok();
    let asked = json!({"keepalive": {"enabled": false}});
    let deferred =
        json!({"keepalive": {"enabled": false}, "activation": "defer", "_ansible_check_mode": true});
    let predicted = tune(&host, &deferred);
    assert_eq!(
        (&predicted["changed"], &predicted["restart_required"]),
        (&json!(true), &json!(true)),
        "{predicted}"
    );
    let severity = |finding: &Value| finding["rule"] == "MPM-003" && finding["severity"] == "warning";
    assert!(predicted["findings"].as_array().unwrap().iter().any(severity), "{predicted}");
    assert_eq!(host.running_mpm().unwrap(), "event");

    let result = tune(&host, &asked);
    let activation = &result["activation"];
    assert_eq!(
        (&activation["needed"], &activation["done"]),
        (&json!("restart"), &json!(true)),
        "{}",
        result["msg"]
    );
    assert_eq!(host.running_mpm().unwrap(), "worker");
    assert_eq!(tune(&host, &asked)["pending_activation"], Value::Null);
}

#[test]
fn limits_edited_by_hand_in_a_running_servers_files_are_pending_until_it_is_restarted() {
    let host = with_program(Host::debian12_event());
    for mpm in ["event", "worker", "prefork"] {
        host.sh(&format!("a2dismod -q -f mpm_event mpm_worker mpm_prefork; a2enmod -q mpm_{mpm}")).ok();
        host.write("/etc/apache2/conf-enabled/own.conf", "");
        host.start_apache();
        let pending = || tune(&host, &json!({}))["pending_activation"].clone();
        assert_eq!(pending(), Value::Null, "{mpm}");
        for line in ["ServerLimit 40\n", "ServerLimit 3\n"] {
            host.write("/etc/apache2/conf-enabled/own.conf", line);
            let told = pending();
            assert!(
                told["reasons"][0].as_str().is_some_and(|why| why.contains(line.trim())),
                "{mpm}: {told}"
            );
            // A reload, which another person may have asked for, changes nothing about it.
            host.run(&["apache2ctl", "graceful"]).ok();
            assert_ne!(pending(), Value::Null, "{mpm}");
        }
        host.write("/etc/apache2/conf-enabled/own.conf", "KeepAlive Off\n");
        assert_eq!(pending(), Value::Null, "{mpm}: what a reload takes up is not pending");
        host.stop_apache();
    }
}

#[test]
fn a_reload_is_enough_for_what_a_reload_takes_up() {
    let host = with_program(Host::debian12_event());
    host.start_apache();
    let parent = host.apache_processes().into_iter().min();
    let result = tune(&host, &json!({"keepalive": {"enabled": false}}));
    assert_eq!(result["activation"]["needed"], "reload", "{}", result["msg"]);
    assert_eq!(result["activation"]["done"], true);
    assert_eq!(host.apache_processes().into_iter().min(), parent);
    let (_, answer) = host.http("/").unwrap();
    assert!(!answer.contains("Keep-Alive"), "{answer}");
}

/// Breaks the start with prefork in a way that no configuration test sees: its port is taken.
fn only_starts_without_prefork(host: &Host) -> Child {
    host.write(
        "/etc/apache2/conf-enabled/local.conf",
        "<IfModule mpm_prefork_module>\nListen 81\n</IfModule>\n",
    );
    let line = "import socket, time; s = socket.create_server(('', 81)); print('ready', flush=True); time.sleep(600)";
    let mut taker = host.command("python3").args(["-c", line]).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    taker.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    taker
}

#[test]
fn a_server_that_does_not_come_up_gets_its_old_configuration_back_and_serves() {
    let host = with_program(Host::debian12_event());
    let mut taker = only_starts_without_prefork(&host);
    host.start_apache();
    let before = host.listing();
    let result = tune(&host, &json!({"mpm": "prefork"}));
    taker.kill().unwrap();
    taker.wait().unwrap();
    assert_eq!(result["failed"], true, "{}", result["msg"]);
    assert_eq!(result["changed"], false);
    let message = result["msg"].as_str().unwrap();
    assert!(
        message.contains("did not take the change up") && message.contains("all changes were undone"),
        "{message}"
    );
    assert!(message.contains("Address already in use"), "{message}");
    assert_eq!(host.running_mpm().unwrap(), "event");
    assert!(host.http("/").is_ok());
    let changed = host.listing().changes_since(&before);
    let config: Vec<&String> = changed.iter().filter(|line| line.contains("/etc/apache2/mods")).collect();
    // The folder itself was exchanged twice; what is in it is the same.
    assert!(config.iter().all(|line| line.contains("mods-enabled")), "{changed:#?}");
    assert_eq!(host.a2query(&["-M"]).ok(), "event");
}

/// Puts the server into the hands of the real `OpenRC`, whose init script then keeps what it was told in `/run/asked`.
fn openrc(host: &Host) {
    let script = host.read("/etc/init.d/apache2");
    let told = script.replacen('\n', "\necho \"$1\" >> /run/asked\n", 1);
    fs::remove_file(host.path("/etc/init.d/apache2")).unwrap();
    host.write("/etc/init.d/apache2", told);
    host.sh("chmod 755 /etc/init.d/apache2 && mkdir -p /run/openrc && echo default > /run/openrc/softlevel")
        .ok();
    host.run(&["rc-service", "apache2", "start"]).ok();
    for _ in 0..500 {
        if host.http("/").is_ok() {
            fs::remove_file(host.path("/run/asked")).unwrap();
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("OpenRC did not start the server: {}", host.read("/var/log/apache2/error.log"));
}

#[test]
fn on_a_host_of_openrc_the_server_is_restarted_and_reloaded_through_it() {
    let host = with_program(Host::managed());
    openrc(&host);
    let result = tune(&host, &json!({"mpm": "worker"}));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    assert_eq!(host.read("/run/asked"), "restart\n");
    assert_eq!(host.running_mpm().unwrap(), "worker");
    host.run(&["rc-service", "apache2", "status"]).ok();

    let result = tune(&host, &json!({"mpm": "worker", "keepalive": {"enabled": false}}));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    assert_eq!(host.read("/run/asked"), "restart\nstatus\nreload\n");
    let (_, answer) = host.http("/").unwrap();
    assert!(!answer.contains("Keep-Alive"), "{answer}");
}

#[test]
fn a_server_of_openrc_that_does_not_come_up_gets_its_old_configuration_back_and_serves() {
    let host = with_program(Host::managed());
    let mut taker = only_starts_without_prefork(&host);
    openrc(&host);
    let result = tune(&host, &json!({"mpm": "prefork"}));
    taker.kill().unwrap();
    taker.wait().unwrap();
    assert_eq!(result["failed"], true, "{}", result["msg"]);
    let message = result["msg"].as_str().unwrap();
    assert!(message.contains("`/usr/sbin/rc-service apache2 restart`"), "{message}");
    assert!(message.contains("Address already in use"), "{message}");
    assert!(
        message.contains("all changes were undone") && !message.contains("did not come back"),
        "{message}"
    );
    assert_eq!(host.read("/run/asked"), "restart\nrestart\n");
    assert_eq!(host.running_mpm().unwrap(), "event");
    assert!(host.http("/").is_ok());
}

#[test]
fn a_server_that_fails_its_health_question_gets_its_old_configuration_back() {
    let host = with_program(Host::debian12_event());
    host.start_apache();
    host.write(
        "/etc/apache2/conf-enabled/own.conf",
        "<IfModule mpm_worker_module>\nRedirect 404 /up\n</IfModule>\nRedirect 204 /up\n",
    );
    host.run(&["apache2ctl", "graceful"]).ok();
    let health = json!({"url": "http://localhost/up", "status": 204, "timeout": 1});
    let result = tune(&host, &json!({"mpm": "worker", "health": health}));
    assert_eq!(result["failed"], true, "{}", result["msg"]);
    assert!(result["msg"].as_str().unwrap().contains("404"), "{}", result["msg"]);
    assert_eq!(host.running_mpm().unwrap(), "event");
    let health = json!({"url": "http://localhost/none-such", "status": 404, "timeout": 5});
    let result = tune(&host, &json!({"mpm": "worker", "health": health}));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
}

#[test]
fn a_server_that_did_not_run_is_not_started() {
    let host = with_program(Host::debian12_event());
    let result = tune(&host, &json!({"mpm": "worker"}));
    assert_eq!(result["changed"], true, "{}", result["msg"]);
    assert_eq!(result["activation"]["done"], false);
    assert_eq!(host.apache_processes(), Vec::<u32>::new());
}

#[test]
fn of_twenty_runs_at_once_one_changes_and_the_others_find_it_done() {
    let host = with_program(Host::debian12_event());
    let parameters = json!({"mpm": "worker", "keepalive": {"timeout": 7}, "config_test": false});
    host.write("/root/parameters.json", parameters.to_string());
    let start = || {
        let mut command = host.command("apache-tuning");
        command.arg("/root/parameters.json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs: Vec<Child> = (0..20).map(|_| start()).collect();
    let results: Vec<Value> = runs
        .into_iter()
        .map(|run| {
            let output = run.wait_with_output().unwrap();
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
        })
        .collect();
    assert!(results.iter().all(|result| result.get("failed").is_none()), "{results:#?}");
    assert_eq!(results.iter().filter(|result| result["changed"] == true).count(), 1);
    let history = fs::read_dir(host.path("/var/lib/apache-tuning/history")).unwrap().count();
    assert_eq!(history, 1);
    assert_eq!(host.a2query(&["-M"]).ok(), "worker");
    assert!(host.apache_t().success());
}

#[test]
fn an_ordinary_user_can_look_at_a_change_and_have_it_tested() {
    let host = Host::debian12();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::copy(PROGRAM, &program).unwrap();
    let parameters = json!({
        "root": host.root(), "mpm": "event", "mod_php": "disable", "_ansible_check_mode": true,
    });
    let file = folder.path().join("parameters.json");
    fs::write(&file, parameters.to_string()).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&program, 0o755), (&file, 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = host.listing();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args([&program, &file])
        .output()
        .unwrap();
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["changed"], true, "{}", result["msg"]);
    assert!(host.listing().changes_since(&before).is_empty());
    let test = &result["config_test"];
    let allowed =
        fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|text| text.trim() != "0");
    if allowed {
        assert_eq!(test["ok"], true, "{}", result["msg"]);
    } else {
        assert_eq!(test["ran"], false, "{}", result["msg"]);
        assert!(test["reason"].as_str().unwrap().contains("user namespace"), "{}", result["msg"]);
    }
}

/// A mount table that others share, a root in it that is no mount point, and a look from outside while the test
/// runs there.
#[test]
fn a_staged_test_in_a_shared_mount_never_shows_outside() {
    let host = with_program(Host::debian12());
    let parameters = json!({"mpm": "event", "mod_php": "disable", "_ansible_check_mode": true});
    host.write("/root/parameters.json", parameters.to_string());
    // In the server's place something that says what it sees and takes its time.
    let server = host.path("/usr/sbin/apache2");
    fs::remove_file(&server).unwrap();
    fs::write(
        &server,
        "#!/bin/sh\ntest -e /etc/apache2/mods-enabled/mpm_event.load || exit 1\n: > /srv/testing\nsleep 1\necho Syntax OK\n",
    )
    .unwrap();
    fs::set_permissions(&server, fs::Permissions::from_mode(0o755)).unwrap();

    let script = r#"
        set -eu
        mount --make-rshared /
        mounts() { cut -d' ' -f 5- /proc/self/mountinfo | sort; }
        mounts > "$0/tmp/before"
        unshare --mount --propagation unchanged chroot "$0" /usr/local/bin/apache-tuning /root/parameters.json \
            > "$0/tmp/result" &
        for try in $(seq 500); do test -e "$0/srv/testing" && break; sleep 0.02; done
        test -e "$0/srv/testing"
        mounts > "$0/tmp/during"
        wait $!
        mounts > "$0/tmp/after"
    "#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(host.root())
        .output()
        .unwrap();
    let result = fs::read_to_string(host.path("/tmp/result")).unwrap_or_default();
    assert!(output.status.success(), "{output:?} {result}");
    let result: Value = serde_json::from_str(&result).unwrap();
    assert_eq!(result["config_test"]["ok"], true, "{}", result["msg"]);
    let read = |name: &str| host.read(Path::new("/tmp").join(name));
    assert!(read("before").contains("shared:"));
    assert_eq!(read("during"), read("before"));
    assert_eq!(read("after"), read("before"));
}

#[test]
fn a_run_killed_while_the_server_restarts_is_set_right_without_another_one() {
    for (call, n) in [
        // The first child is the staged test, the second the rehearsal, the third the guard; the fourth starts the server
        // that was stopped.
        ("clone,clone3,vfork", 4),
        // The server was asked before the change; now it runs with the new files and is asked again.
        ("connect", 2),
    ] {
        let host = with_program(Host::debian12_event());
        host.start_apache();
        host.write("/root/parameters.json", json!({"mpm": "worker"}).to_string());
        let output = host
            .machine_command("strace")
            .args(["-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
            .args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}"), "chroot"])
            .arg(host.root())
            .args(["/usr/local/bin/apache-tuning", "/root/parameters.json"])
            .output()
            .unwrap();
        assert!(output.stdout.is_empty(), "{call} {n}: not killed: {output:?}");
        for _ in 0..500 {
            if !host.sh("pgrep -f '[_]_guard'").success() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(host.http("/").is_ok(), "{call} {n}");
        assert!(host.apache_t().success(), "{call} {n}");
        assert_eq!(host.running_mpm().as_deref(), Some("event"), "{call} {n}");
        assert_eq!(host.a2query(&["-M"]).ok(), "event", "{call} {n}");

        let result = tune(&host, &json!({"mpm": "event"}));
        assert_eq!(
            (&result["changed"], &result["recovered"]),
            (&json!(false), &Value::Null),
            "{call} {n}: {}",
            result["msg"]
        );
        host.run(&["apache2ctl", "graceful"]).ok();
        std::thread::sleep(Duration::from_millis(300));
        assert!(host.http("/").is_ok(), "{call} {n}");
    }
}
