//! A server that another person keeps in the foreground, a container or a supervisor, is reloaded and never stopped.

use serde_json::{Value, json};
use test_hosts::Host;

use crate::{Background, PROGRAM, host, interrupt, tune, wait_for};

const SERVES: &str = "ss -tln | grep -q ':80 '";

/// httpd as process 1 of a container: process ids and `/proc` of its own, the host's files and network.
const CONTAINER: &str = "exec unshare --pid --fork --kill-child --mount --propagation unchanged sh -c \
    'mount -t proc proc /proc; . /etc/apache2/envvars; mkdir -p /run/apache2; exec apache2 -DFOREGROUND'";

/// A supervisor: whenever the server ends, it starts it again.
const SUPERVISOR: &str =
    ". /etc/apache2/envvars; mkdir -p /run/apache2; while true; do apache2 -DFOREGROUND; sleep 0.2; done";

/// Enters the container of the oldest httpd.
const INTO_CONTAINER: &str = "exec nsenter -t $(pgrep -o -x apache2) -p -m -r ";

fn contained(host: &Host, parameters: &Value) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let ran = host.sh(&format!("{INTO_CONTAINER} /usr/local/bin/apache-tuning /root/parameters.json"));
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The oldest httpd.
fn parent(host: &Host) -> String {
    host.sh("pgrep -o -x apache2").stdout.trim().to_owned()
}

fn rules(result: &Value) -> Vec<&str> {
    let findings = result["findings"].as_array().unwrap();
    findings.iter().filter_map(|finding| finding["rule"].as_str()).collect()
}

/// Changes of each kind that takes a stop and start.
fn restarts() -> [Value; 3] {
    [
        json!({"mpm": "worker"}),
        json!({"settings": {"server_limit": 20, "max_request_workers": 400}}),
        json!({"settings": {"listen_backlog": 700}}),
    ]
}

fn never_stopped(by: &str, line: &str, run: fn(&Host, &Value) -> Value) {
    let host = host();
    let held = Background::start(&host, line, SERVES);
    let was = parent(&host);

    let result = run(&host, &json!({"keepalive": {"timeout": 3}}));
    assert_eq!(result["activation"]["done"], true, "{by}: {}", result["msg"]);
    assert_eq!(parent(&host), was, "{by}: a reload is enough");

    for parameters in restarts() {
        let before = host.listing();
        for check in [true, false] {
            let mut parameters = parameters.clone();
            parameters["_ansible_check_mode"] = check.into();
            let result = run(&host, &parameters);
            assert_eq!(result["failed"], true, "{by}: {result}");
            assert!(rules(&result).contains(&"ACT-003"), "{by}: {result}");
            let message = result["msg"].as_str().unwrap();
            assert!(message.contains("activation to defer") && message.contains(by), "{message}");
        }
        let changed = host.listing().changes_since(&before);
        let changed: Vec<&String> = changed.iter().filter(|line| !line.contains("/var/log/")).collect();
        assert!(
            changed.iter().all(|line| line.contains("parameters.json") || line.contains("/root")),
            "{changed:#?}"
        );
    }
    assert_eq!(parent(&host), was, "{by}");
    assert!(host.http("/").is_ok(), "{by}");

    let limits = json!({"settings": {"listen_backlog": 700}, "waive": ["ACT-003"]});
    let result = run(&host, &limits);
    assert_eq!(result["changed"], true, "{by}: {}", result["msg"]);
    assert_eq!((&result["activation"]["done"], &result["restart_required"]), (&json!(false), &json!(true)));

    let result = run(&host, &json!({"mpm": "worker", "activation": "defer"}));
    assert_eq!((&result["activation"]["done"], &result["restart_required"]), (&json!(false), &json!(true)));
    let deferred = result["findings"].as_array().unwrap().iter().find(|finding| finding["rule"] == "ACT-002");
    assert!(deferred.unwrap()["hint"].as_str().unwrap().contains(by), "{deferred:?}");
    assert_eq!(parent(&host), was, "{by}");
    assert!(host.sh("grep -q mod_mpm_event.so /proc/$(pgrep -o -x apache2)/maps").success(), "{by}");
    assert!(host.http("/").is_ok(), "{by}");
    drop(held);
}

#[test]
fn a_server_that_is_process_1_of_its_container_is_never_stopped() {
    never_stopped("restart the container", CONTAINER, contained);
}

#[test]
fn a_server_in_the_foreground_of_a_supervisor_is_never_stopped_or_replaced() {
    never_stopped("have sh (process", SUPERVISOR, tune);
}

#[test]
fn a_deferred_change_arrives_when_the_supervisor_starts_the_server_again() {
    let host = host();
    let held = Background::start(&host, SUPERVISOR, SERVES);
    let asked = json!({"mpm": "worker", "activation": "defer"});
    assert_eq!(tune(&host, &asked)["restart_required"], true);
    assert_ne!(tune(&host, &asked)["pending_activation"], Value::Null);
    host.sh("kill $(cat /run/apache2/apache2.pid)").ok();
    wait_for(
        &host,
        "grep -q mod_mpm_worker.so /proc/$(cat /run/apache2/apache2.pid)/maps && ss -tln | grep -q ':80 '",
    );
    let result = tune(&host, &json!({"mpm": "worker"}));
    assert_eq!(
        (&result["changed"], &result["pending_activation"]),
        (&json!(false), &Value::Null),
        "{result}"
    );
    drop(held);
}

#[test]
fn recovery_does_not_stop_a_server_in_the_foreground_either() {
    let name = std::path::Path::new(PROGRAM).file_name().unwrap().to_str().unwrap();
    let reload = json!({"keepalive": {"timeout": 3}, "config_test": false});
    for (line, into, run) in
        [(CONTAINER, INTO_CONTAINER, contained as fn(&Host, &Value) -> Value), (SUPERVISOR, "exec ", tune)]
    {
        let host = host();
        let held = Background::start(&host, line, SERVES);
        let was = parent(&host);
        host.write("/root/parameters.json", reload.to_string());
        interrupt(&host, &format!("{into} /usr/local/bin/{name} /root/parameters.json"));
        assert!(host.path("/var/lib/apache-tuning/journal").exists());
        let result = run(&host, &json!({"keepalive": {"timeout": 4}}));
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
        assert_eq!(parent(&host), was);
        drop(held);
    }

    // A stop and start that was begun when the server was a daemon still.
    let host = host();
    host.start_apache();
    host.write("/root/parameters.json", json!({"mpm": "worker", "config_test": false}).to_string());
    interrupt(&host, &format!("exec /usr/local/bin/{name} /root/parameters.json"));
    wait_for(&host, "! pgrep -x apache2");
    let held = Background::start(&host, SUPERVISOR, SERVES);
    let was = parent(&host);
    let result = tune(&host, &json!({}));
    assert_eq!(result["failed"], Value::Null, "{}", result["msg"]);
    assert!(!host.path("/var/lib/apache-tuning/journal").exists());
    assert_eq!(parent(&host), was);
    assert_eq!(host.sh("pgrep -a -x apache2 | grep -e '-k start'").stdout, "", "a daemon was started");
    drop(held);
}
