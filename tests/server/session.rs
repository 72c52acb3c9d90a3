//! A server that is started without a service manager has nothing of the session in which the task ran; and what is left
//! to be done is remembered by the process, not by the clock.

use serde_json::{Value, json};
use test_hosts::Host;

use crate::{Background, host, tune, wait_for};

/// What a server keeps of whoever started it.
fn surroundings(host: &Host) -> String {
    let line = "pid=$(cat /run/apache2/apache2.pid); cd /proc/$pid; grep Umask status; cat oom_score_adj limits; \
                sed 's/.*) //' stat | cut -d' ' -f17";
    host.sh(line).ok().to_owned()
}

#[test]
fn a_started_server_has_nothing_of_the_session() {
    let host = host();
    host.start_apache();
    let clean = surroundings(&host);
    assert!(clean.contains("0022"), "{clean}");
    host.write("/root/parameters.json", json!({"mpm": "worker"}).to_string());
    let held = Background::start(
        &host,
        "mkfifo /root/pipe; exec sleep 600 < /root/pipe 9> /root/pipe",
        "test -p /root/pipe",
    );
    let session = "umask 0; ulimit -S -n 256; ulimit -S -s 4096; echo 500 > /proc/self/oom_score_adj; trap '' HUP; \
                   exec 9<>/root/pipe; exec 8< /root; exec nice -n 15 apache-tuning /root/parameters.json";
    let ran = host.sh(session);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    assert_eq!(surroundings(&host), clean);
    let descriptors = host.sh("ls -l /proc/$(cat /run/apache2/apache2.pid)/fd");
    assert!(!descriptors.ok().contains("/root"), "{descriptors:?}");
    drop(held);
}

/// Gives the newest record of the history another name, as if the clock had stood elsewhere.
fn rename_record(host: &Host, year: u32) {
    let line = format!(
        "cd /var/lib/apache-tuning/history; name=$(ls -t | head -n 1); mv $name {year}0102T030405Z-0001.json"
    );
    host.sh(&line).ok();
}

#[test]
fn what_is_pending_does_not_depend_on_the_clock() {
    for year in [2001, 2099] {
        let host = host();
        host.start_apache();
        // What no look at the running server tells.
        let asked = json!({"settings": {"listen_backlog": 700}, "activation": "defer"});
        assert_eq!(tune(&host, &asked)["restart_required"], true);
        rename_record(&host, year);
        let pending = tune(&host, &asked);
        assert_ne!(pending["pending_activation"], Value::Null, "{year}: {pending}");
        host.run(&["apache2ctl", "graceful"]).ok();
        assert_ne!(
            tune(&host, &asked)["pending_activation"],
            Value::Null,
            "{year}: a reload brings nothing in"
        );

        host.stop_apache();
        host.start_apache();
        assert_eq!(tune(&host, &asked)["pending_activation"], Value::Null, "{year}");
        let result = tune(&host, &json!({"keepalive": {"timeout": 3}, "_ansible_check_mode": true}));
        assert_eq!(result["activation"]["needed"], "reload", "{year}: {result}");
    }
}

#[test]
fn what_was_left_while_no_server_ran_is_not_pending() {
    let host = host();
    assert_eq!(tune(&host, &json!({"settings": {"listen_backlog": 700}}))["changed"], true);
    host.start_apache();
    wait_for(&host, "test -s /run/apache2/apache2.pid");
    assert_eq!(tune(&host, &json!({}))["pending_activation"], Value::Null);
}
