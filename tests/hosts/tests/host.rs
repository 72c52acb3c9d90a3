//! The test hosts are what they promise: real, equal, apart from each other, and gone afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use test_hosts::{Ansible, Flavour, Host, Release};

fn mpm(host: &Host) -> Vec<String> {
    host.modules().into_iter().filter(|module| module.starts_with("mpm_")).collect()
}

#[test]
fn each_host_is_as_its_packages_leave_it() {
    for (release, flavour, version, running, php) in [
        (Release::Bookworm, Flavour::Php, "12", "prefork", Some("8.2")),
        (Release::Bookworm, Flavour::Event, "12", "event", None),
        (Release::Trixie, Flavour::Php, "13", "prefork", Some("8.4")),
        (Release::Trixie, Flavour::Event, "13", "event", None),
    ] {
        let host = Host::of(release, flavour);
        let about = format!("{release:?} {flavour:?}");
        assert!(host.read("/etc/os-release").contains(&format!("VERSION_ID=\"{version}\"")), "{about}");
        let test = host.apache_t();
        assert!(test.success() && test.stderr == "Syntax OK\n", "{about}: {test:?}");
        assert_eq!(mpm(&host), [format!("mpm_{running}_module")], "{about}");
        assert_eq!(host.a2query(&["-M"]).ok(), running, "{about}");
        assert!(host.modules().iter().any(|module| module.contains("evasive")), "{about}");
        assert_eq!(host.modules().contains(&"php_module".to_owned()), php.is_some(), "{about}");
        if let Some(version) = php {
            assert!(
                host.path(format!("/etc/apache2/conf-available/php{version}-fpm.conf")).exists(),
                "{about}"
            );
        }
        assert!(host.config_dump().contains("# In file: /etc/apache2/apache2.conf"), "{about}");
        assert!(host.dump_includes().contains("/etc/apache2/ports.conf"), "{about}");
    }
}

#[test]
fn looking_at_a_host_changes_nothing_outside_run() {
    let host = Host::debian12();
    let before = host.listing();
    assert!(before.entries.len() > 1000, "{}", before.entries.len());
    host.apache_t().ok();
    host.modules();
    host.a2query(&["-m"]).ok();
    let ssh = host.ssh("web1");
    assert!(
        Command::new("ssh").arg("-F").arg(ssh.config()).args(["web1", "true"]).status().unwrap().success()
    );
    let changes = host.listing().without("/run").changes_since(&before.without("/run"));
    assert_eq!(changes, Vec::<String>::new());
}

#[test]
fn two_hosts_share_no_file_that_may_be_written() {
    let (one, two) = (Host::debian12(), Host::debian12());
    assert_ne!(one.root(), two.root());
    let first = one.listing();
    let second = two.listing();
    assert_eq!(first.content(), second.content());
    for (path, entry) in &first.entries {
        assert_ne!(entry.inode, second.entries[path].inode, "{}", path.display());
    }
    let inode = |host: &Host| fs::metadata(host.path("/usr/sbin/apache2")).unwrap().ino();
    assert_eq!(inode(&one), inode(&two), "/usr is meant to be shared");
}

#[test]
fn a_server_runs_on_the_hosts_own_network_and_ends_with_it() {
    let mut host = Host::debian12_event();
    host.start_apache();
    assert_eq!(host.http("/").unwrap().0, 200);
    assert_eq!(host.http("/nothing").unwrap().0, 404);
    assert_eq!(host.running_mpm().as_deref(), Some("event"));
    let other = Host::debian12_event();
    assert!(other.http("/").is_err(), "another host answers on this one's port");

    host.stop_apache();
    assert!(host.http("/").is_err());
    host.start_apache();
    host.power_off();
    assert_eq!(host.apache_processes(), Vec::<u32>::new());
}

#[test]
fn orphans_are_reaped_as_by_an_init() {
    let host = Host::debian12_event();
    host.sh("(sleep 0.05 &) ; true").ok();
    std::thread::sleep(Duration::from_millis(300));
    let states = host.sh("cat /proc/[0-9]*/stat");
    assert!(!states.ok().lines().any(|line| line.contains(") Z ")), "{}", states.stdout);
}

#[test]
fn nothing_is_left_of_a_host_that_was_dropped() {
    let host = Host::debian12_event();
    host.start_apache();
    let root = host.root().to_path_buf();
    assert!(processes_rooted_at(&root) > 0, "the count below would prove nothing");
    drop(host);
    assert!(!root.exists());
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(root.to_str().unwrap()));
    assert_eq!(processes_rooted_at(&root), 0);
}

/// The second half of [`nothing_runs_on_after_a_test_was_killed`]: a test that never ends by itself.
#[test]
#[ignore = "started and killed by another test"]
fn a_test_that_hangs() {
    let host = Host::debian12_event();
    host.start_apache();
    fs::write(std::env::var("TELL").unwrap(), host.root().to_str().unwrap()).unwrap();
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn nothing_runs_on_after_a_test_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let tell = folder.path().join("root");
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "a_test_that_hangs"])
        .env("TELL", &tell)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(120);
    let root = loop {
        match fs::read_to_string(&tell) {
            Ok(root) if !root.is_empty() => break std::path::PathBuf::from(root),
            _ => assert!(Instant::now() < until, "the victim never got its host"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(processes_rooted_at(&root) > 0);
    victim.kill().unwrap();
    victim.wait().unwrap();

    let until = Instant::now() + Duration::from_secs(10);
    while processes_rooted_at(&root) > 0 {
        assert!(Instant::now() < until, "processes of a killed test run on");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The files go with the next process that makes a host.
    let again = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "orphans_are_reaped_as_by_an_init"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(again.success() && !root.exists());
}

/// Counts this machine's processes that run below a host's root.
fn processes_rooted_at(root: &std::path::Path) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| fs::read_link(entry.path().join("root")).is_ok_and(|link| link == root)).count()
}

#[test]
fn ansible_reaches_two_hosts_at_once_by_real_ssh() {
    let (one, two) = (Host::debian12(), Host::debian13());
    let (first, second) = (one.ssh("web1"), two.ssh("web2"));
    let inventory = first.inventory() + &second.inventory();
    // Any program will do as the binary; this is about the way there.
    let ansible = Ansible::with_binary("/bin/true");
    let result =
        ansible.task(&inventory, "web1", "ansible.builtin.setup", &json!({"gather_subset": "min"}), &[]);
    assert_eq!(
        result["ansible_facts"]["ansible_distribution_version"].as_str().unwrap().split('.').next(),
        Some("12")
    );

    let playbook = "
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.command: a2query -M
      register: mpm
    - ansible.builtin.copy: {content: '{{ inventory_hostname }} {{ mpm.stdout }}', dest: /root/told}
";
    ansible.playbook(&inventory, playbook, &[]).ok();
    assert_eq!(one.read("/root/told"), "web1 prefork");
    assert_eq!(two.read("/root/told"), "web2 prefork");
}
