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
    let (_, predicted) = task(&ansible, &ssh.inventory(), &asked, &["--check"]);
    assert_eq!(predicted["changed"], true, "{predicted}");
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

#[test]
fn a_user_who_becomes_root_by_sudo_has_the_same_task_in_as_few_sessions() {
    let host = Host::debian12_event();
    host.sh("useradd -m -s /bin/bash deploy && echo deploy:secret | chpasswd").ok();
    let ssh = host.ssh("web");
    let ansible = Ansible::with_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    let inventory = ssh.inventory().replace("ansible_user=root", "ansible_user=deploy ansible_become=true");
    for (timeout, sudoers, more) in [
        ("7", "deploy ALL=(ALL) NOPASSWD: ALL", &[][..]),
        ("8", "deploy ALL=(ALL) ALL", &["-e", "ansible_become_password=secret"]),
        // Without input through sudo everything goes as files, by a terminal.
        ("9", "Defaults requiretty\ndeploy ALL=(ALL) NOPASSWD: ALL", &["-e", "ansible_pipelining=false"]),
    ] {
        host.write("/etc/sudoers.d/deploy", format!("{sudoers}\n"));
        let asked = json!({"keepalive": {"timeout": timeout}});
        let (_, predicted) = task(&ansible, &inventory, &asked, &[more, &["--check"]].concat());
        assert_eq!(predicted["changed"], true, "{sudoers}: {predicted}");
        let (_, done) = task(&ansible, &inventory, &asked, more);
        assert_eq!(
            (&done["changed"], &done["changes"]),
            (&json!(true), &predicted["changes"]),
            "{sudoers}: {done}"
        );
        let (sessions, again) = task(&ansible, &inventory, &asked, more);
        assert_eq!(again["changed"], false, "{sudoers}: {again}");
        if !sudoers.contains("requiretty") {
            assert_eq!(sessions, 1, "{sudoers}");
        }
        let left = std::fs::read_dir(host.path("/home/deploy/.ansible/tmp")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{sudoers}");
    }
}

#[test]
fn a_user_who_is_not_root_may_preview_and_is_told_what_a_real_run_needs() {
    let host = Host::debian12_event();
    host.sh("useradd -m -s /bin/bash deploy && echo deploy:secret | chpasswd").ok();
    host.write("/etc/sudoers.d/deploy", "deploy ALL=(ALL) NOPASSWD: ALL\n");
    let ssh = host.ssh("web");
    let ansible = Ansible::with_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    let user = ssh.inventory().replace("ansible_user=root", "ansible_user=deploy");
    let by_sudo = "ansible_user=deploy ansible_become=true ansible_become_user=www-data \
                   ansible_shell_allow_world_readable_temp=true";
    let other = user.replace("ansible_user=deploy", by_sudo);
    let asked = json!({"keepalive": {"timeout": "7"}});
    let before = host.listing();
    for inventory in [user, other] {
        let (_, predicted) = task(&ansible, &inventory, &asked, &["--check"]);
        assert_eq!(predicted["changed"], true, "{predicted}");
        let test = &predicted["config_test"];
        // Inside a chroot, which this host is, no user namespace is to be had: then the result says so.
        assert!(test["ran"] == true || test["reason"].as_str().is_some_and(|why| !why.is_empty()), "{test}");
        let (_, done) = task(&ansible, &inventory, &asked, &[]);
        let message = done["msg"].as_str().unwrap();
        assert!(message.contains("run this as root (`become: true`"), "{message}");
        assert_eq!((&done["changed"], &done["transaction"]), (&json!(false), &Value::Null), "{done}");
    }
    for folder in ["/etc", "/var/lib"] {
        let moved = host.listing().below(folder).changes_since(&before.below(folder));
        assert_eq!(moved, Vec::<String>::new());
    }
}

/// The first example of a document.
fn example(document: &str) -> String {
    let path = test_hosts::folders::workspace().join(document);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_first_example_of_each_readme_works_on_a_stock_host_with_php_and_both_say_the_same() {
    let host = Host::debian12();
    host.start_apache();
    let ssh = host.ssh("web");
    let ansible = Ansible::with_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    for (document, recap) in [("ansible/README.md", "changed=1"), ("README.md", "changed=0")] {
        let ran = ansible.playbook(&ssh.inventory(), &example(document), &[]);
        assert!(ran.success() && ran.stdout.contains(recap), "{document}: {}{}", ran.stdout, ran.stderr);
        // The task alone: no facts were gathered.
        assert!(ran.stdout.contains("ok=1"), "{document}: {}", ran.stdout);
    }
    assert_eq!(host.running_mpm().as_deref(), Some("event"));
}
