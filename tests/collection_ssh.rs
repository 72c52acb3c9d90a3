//! The collection against a real Debian host over real ssh.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};
use test_hosts::{Ansible, Host};

/// What one task shows at the highest verbosity that tells the sessions, and its result.
fn task(ansible: &Ansible, inventory: &str, asked: &Value, more: &[&str]) -> (usize, Value) {
    let inventory = ansible.file("inventory", inventory);
    let mut command = ansible.command("ansible");
    command.arg("-i").arg(inventory).args(["web", "-vvv", "-m", "webfleet.apache.tuning", "-a"]);
    let output = command.arg(asked.to_string()).args(more).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let sessions =
        shown.lines().filter(|line| line.contains("> SSH: EXEC ") || line.contains("> PUT ")).count();
    let at = shown.find("=> {").unwrap_or_else(|| panic!("no result in: {output:?}"));
    let mut values = serde_json::Deserializer::from_str(&shown[at + 3..]).into_iter::<Value>();
    (sessions, values.next().unwrap().unwrap())
}

#[test]
fn a_second_run_over_ssh_is_one_session_and_changes_nothing() {
    let host = Host::debian12_event();
    let ssh = host.ssh("web");
    let ansible = Ansible::with_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    let asked = json!({"keepalive": {"timeout": "7"}});

    let before = host.listing();
    let (_, foretold) = task(&ansible, &ssh.inventory(), &asked, &["--check"]);
    assert_eq!(foretold["changed"], true, "{foretold}");
    // What every task of Ansible leaves on a host that never saw one: its temporary directory and the log-in.
    let ansible_s_own = ["/root/.ansible: new", "/root/.ansible/tmp: new"];
    let mut moved = host.listing().changes_since(&before);
    // The folder that got them changes its time, and on some file systems its size.
    let theirs = |line: &str| ansible_s_own.contains(&line) || line.starts_with("/root: ");
    moved.retain(|line| !theirs(line) && !line.starts_with("/var/log/"));
    assert_eq!(moved, Vec::<String>::new());

    let (first, done) = task(&ansible, &ssh.inventory(), &asked, &[]);
    assert_eq!(done["changed"], true, "{done}");
    assert!(first > 1, "{first}");
    let before = host.listing();
    let (second, again) = task(&ansible, &ssh.inventory(), &asked, &[]);
    assert_eq!((second, &again["changed"]), (1, &json!(false)), "{again}");
    let mut moved = host.listing().changes_since(&before);
    moved.retain(|line| !line.starts_with("/var/log/"));
    assert_eq!(moved, Vec::<String>::new());
}
