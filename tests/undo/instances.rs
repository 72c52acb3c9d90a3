//! Each server of a host is changed and undone by itself: what another one has, remembers or reads stays.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};
use test_hosts::Host;

use super::{PROGRAM, done, swap, task, tree};

/// A host with a second server, as Debian's `setup-instance` makes it.
fn host() -> Host {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    host.sh("cp -a /etc/apache2 /etc/apache2-blue").ok();
    host.write("/etc/apache2-blue/ports.conf", "Listen 8080\n");
    host
}

fn blue(mut asked: Value) -> Value {
    asked["instance"] = "blue".into();
    asked
}

fn undo(state: &str) -> Value {
    json!({"state": state, "activation": "defer", "config_test": false})
}

#[test]
fn one_server_is_undone_and_the_other_keeps_what_it_has() {
    let host = host();
    let trees = || ["etc/apache2", "etc/apache2-blue"].map(|dir| tree(host.root(), dir));
    let stock = trees();
    for state in ["rolled_back", "absent"] {
        for first_is_blue in [true, false] {
            let of = |asked: Value, is_blue: bool| if is_blue { blue(asked) } else { asked };
            done(&host, &of(swap(), first_is_blue));
            done(&host, &of(swap(), !first_is_blue));
            let both = trees();
            assert!(both[0] != stock[0] && both[1] != stock[1]);

            // The older one goes: the newer one's change stands between, and is not touched.
            done(&host, &of(undo(state), first_is_blue));
            let (own, other) = if first_is_blue { (1, 0) } else { (0, 1) };
            assert_eq!(trees()[own], stock[own], "{state}, blue first: {first_is_blue}");
            assert_eq!(trees()[other], both[other], "{state}, blue first: {first_is_blue}");
            // There is nothing more of its own to undo.
            let again = task(&host, &of(undo(state), first_is_blue));
            assert!(again["changed"] == false && again.get("failed").is_none(), "{}", again["msg"]);
            assert_eq!(trees()[other], both[other], "{state}, blue first: {first_is_blue}");

            done(&host, &of(undo(state), !first_is_blue));
            assert_eq!(trees(), stock, "{state}, blue first: {first_is_blue}");
        }
    }
    // All that was remembered is given back.
    let left = fs::read_dir(host.path("/var/lib/apache-tuning")).unwrap();
    let memories: Vec<_> = left
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().contains("originals"))
        .collect();
    assert!(memories.is_empty(), "{memories:?}");
}

#[test]
fn a_file_that_another_server_reads_is_refused_by_name() {
    let host = host();
    let available = host.path("/etc/apache2-blue/mods-available");
    fs::remove_dir_all(&available).unwrap();
    symlink("/etc/apache2/mods-available", &available).unwrap();
    // Its numbers are those of the main server's file.
    let before = ["etc/apache2", "etc/apache2-blue"].map(|dir| tree(host.root(), dir));
    let asked =
        json!({"activation": "defer", "config_test": false, "settings": {"max_request_workers": 200}});
    for (asked, other) in [(asked.clone(), "the instance blue reads"), (blue(asked), "the main server reads")]
    {
        for check in [true, false] {
            let mut asked = asked.clone();
            asked["_ansible_check_mode"] = check.into();
            let refused = task(&host, &asked);
            let said = refused["msg"].as_str().unwrap();
            assert_eq!(refused["failed"], true, "{said}");
            assert!(said.contains("SYS-007") && said.contains(other), "{said}");
            assert!(said.contains("/etc/apache2/mods-available/mpm_prefork.conf"), "{said}");
        }
    }
    assert_eq!(["etc/apache2", "etc/apache2-blue"].map(|dir| tree(host.root(), dir)), before);
    // What is the server's own is changed.
    done(&host, &blue(json!({"activation": "defer", "config_test": false, "keepalive": {"timeout": 6}})));
}
