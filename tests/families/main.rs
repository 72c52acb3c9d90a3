//! Every family of distributions: the same wishes on a tree of each release, and what happens to its files.
//!
//! The trees are written for this project, with the lines that count; where each is known from stands in the file of
//! its family.
#![allow(clippy::unwrap_used, clippy::panic)]

mod by_hand;
mod debian;
mod features;
mod hints;
mod history;
mod images;
mod left_out;
mod lines;
mod otherwise;
mod php;
mod printed;
mod redhat;
mod refused;
mod rule_examples;
mod started;
mod suse;
mod tried;

use apache_tuning::httpd::Mpm;
use tried::{Host, Tried};

/// Every tree.
fn hosts() -> Vec<Host> {
    [redhat::hosts(), suse::hosts(), lines::hosts(), debian::hosts()].into_iter().flatten().collect()
}

#[test]
fn every_mpm_with_its_numbers_keepalive_and_evasive_comes_about_and_goes_again() {
    for host in hosts() {
        for &mpm in host.mpms {
            let mut tried = Tried::new(&host);
            let asked = host.wishes(mpm);
            let report = tried.does(&asked);
            assert_eq!(report.mpm.after, Some(mpm), "{}", host.name);
            for (directive, value) in host.expected(mpm) {
                let found = report.effective.get(directive).map(|entry| entry.value.as_str());
                assert_eq!(found, Some(value), "{} {mpm} {directive}", host.name);
            }
            assert_eq!(tried.has_evasive(), host.evasive.is_some(), "{} {mpm}", host.name);
            tried.only_these_changed(host.writes);
            tried.does_nothing(&asked);
            tried.does(&serde_json::json!({"state": "absent"}));
            tried.is_as_at_first();
        }
    }
}

#[test]
fn a_file_that_was_edited_since_keeps_the_edit_and_gets_back_what_was_taken_over() {
    for host in hosts() {
        for &mpm in host.mpms {
            let mut tried = Tried::new(&host);
            tried.does(&host.wishes(mpm));
            // At its head and at its end, in every file of a package that this tool wrote to.
            // a2enmod's markers are no files that another person edits.
            let texts = |path: &&str| {
                !path.starts_with("/var/lib/") && tried.was_a_file(path) && tried.is_a_file(path)
            };
            let edited: Vec<&str> = host.writes.iter().copied().filter(texts).collect();
            for path in &edited {
                let text = tried.text(path);
                tried.files = tried.files.clone().file(*path, format!("# head\n{text}# end\n"));
            }
            tried.does(&serde_json::json!({"state": "absent"}));
            for path in edited {
                let (first, now) = (tried.first_text(path), tried.text(path));
                let own: String = first.lines().filter(|line| !line.trim().is_empty()).collect();
                let kept: String = now.lines().filter(|line| !line.trim().is_empty()).collect();
                assert_eq!(kept, format!("# head{own}# end"), "{} {mpm} {path}:\n{now}", host.name);
            }
        }
    }
}

#[test]
fn numbers_of_an_mpm_come_back_when_another_one_gets_its_own_in_the_same_file() {
    let mut shared = 0;
    for host in hosts() {
        for from in host.mpms {
            for to in host.mpms.iter().filter(|to| *to != from) {
                let (mut straight, mut around) = (Tried::new(&host), Tried::new(&host));
                straight.does(&host.wishes(*to));
                around.does(&host.wishes(*from));
                around.does(&host.wishes(*to));
                around.does_nothing(&host.wishes(*to));
                let texts = |path: &&&str| straight.was_a_file(path) && around.is_a_file(path);
                for path in host.writes.iter().filter(texts) {
                    let numbers = |tried: &Tried| {
                        let text = tried.text(path);
                        let is_number =
                            |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_uppercase());
                        let mut lines: Vec<String> =
                            text.lines().filter(is_number).map(|line| line.trim().to_owned()).collect();
                        lines.sort_unstable();
                        lines
                    };
                    // Where each MPM has its own file, the other one's keeps what was set for it.
                    if path.contains("mods-available/mpm_") {
                        continue;
                    }
                    shared += 1;
                    assert_eq!(numbers(&around), numbers(&straight), "{} {from} {to} {path}", host.name);
                }
            }
        }
    }
    assert!(shared > 50, "{shared} files");
}

#[test]
fn each_swap_alone_changes_what_chooses_the_mpm_and_nothing_else() {
    for host in hosts() {
        for from in host.mpms {
            for to in host.mpms.iter().filter(|to| *to != from) {
                let mut tried = Tried::new(&host);
                if tried.mpm() != Some(*from) {
                    tried.does(&serde_json::json!({"mpm": from.name(), "waive": ["PHP-004", "PHP-005"]}));
                }
                let waive = ["PHP-004", "PHP-005"];
                let report = tried.does(&serde_json::json!({"mpm": to.name(), "waive": waive}));
                assert_eq!(report.mpm.after, Some(*to), "{} {from} {to}", host.name);
                if !host.switch.is_empty() {
                    tried.only_these_changed(&[host.switch]);
                }
                tried.does_nothing(&serde_json::json!({"mpm": to.name(), "waive": waive}));
            }
        }
    }
}

#[test]
fn placement_in_the_drop_in_leaves_the_files_of_packages_alone() {
    for host in hosts() {
        let mut tried = Tried::new(&host);
        let mpm = tried.mpm().unwrap_or(Mpm::Event);
        let mut asked = host.wishes(mpm);
        asked.as_object_mut().unwrap().remove("evasive");
        asked.as_object_mut().unwrap().remove("mpm");
        asked["placement"] = "drop_in".into();
        let report = tried.does(&asked);
        assert_eq!(report.effective["MaxRequestWorkers"].value, "400", "{}", host.name);
        tried.only_these_changed(host.drop_in);
        // To the distribution's file and back: each place holds the numbers alone.
        asked["placement"] = "distribution".into();
        tried.does(&asked);
        asked["placement"] = "drop_in".into();
        tried.does(&asked);
        tried.only_these_changed(host.drop_in);
        tried.does(&serde_json::json!({"state": "absent"}));
        tried.is_as_at_first();
    }
}

#[test]
fn what_a_control_panel_generates_is_left_alone() {
    let hosts = hosts();
    for (dir, words) in [
        ("/usr/local/cpanel", "set the values in WHM"),
        ("/usr/local/psa", "Plesk"),
        ("/usr/local/directadmin", "custombuild"),
        ("/usr/local/CyberCP", "OpenLiteSpeed"),
    ] {
        for host in &hosts {
            let mut tried = Tried::new(host);
            tried.files = tried.files.file(format!("{dir}/version"), "1");
            for asked in [
                serde_json::json!({"mpm": "event"}),
                serde_json::json!({"state": "absent"}),
                serde_json::json!({"keepalive": {"enabled": true}, "facts": {"distribution": "debian"}}),
            ] {
                let (rule, message) = tried.refuses(&asked);
                assert!(rule == "SYS-003" && message.contains(words), "{} {asked}: {message}", host.name);
                assert!(message.contains(dir), "{message}");
            }
        }
    }
}

/// ID, ID_LIKE and the values of VERSION_ID of one distribution.
type Distribution = (&'static str, &'static str, &'static [&'static str]);

#[test]
fn every_distribution_is_of_its_family() {
    let rows: &[(&str, &[Distribution])] = &[
        (
            "rocky9",
            &[
                ("rhel", "fedora", &["7.9", "8.10", "9.6"]),
                ("rhel", "centos fedora", &["10.1"]),
                ("centos", "rhel fedora", &["7", "8", "9", "10"]),
                ("rocky", "rhel centos fedora", &["8.10", "9.6", "10.0"]),
                ("almalinux", "rhel centos fedora", &["8.10", "9.6", "10.1"]),
                ("ol", "", &["7.9"]),
                ("ol", "fedora", &["8.10", "9.6", "10.0"]),
                ("fedora", "", &["42", "43", "44"]),
                ("amzn", "centos rhel fedora", &["2"]),
                ("amzn", "fedora", &["2023"]),
                ("eurolinux", "rhel fedora centos", &["9.4"]),
                ("scientific", "rhel centos fedora", &["7.9"]),
                ("openEuler", "", &["24.03"]),
                ("azurelinux", "", &["3.0"]),
                ("clone", "nothing centos", &["1"]),
            ],
        ),
        (
            "debian12",
            &[
                ("debian", "", &["10", "11", "12", "13"]),
                ("ubuntu", "debian", &["18.04", "20.04", "22.04", "24.04", "26.04"]),
                ("linuxmint", "ubuntu debian", &["22"]),
                ("pop", "ubuntu debian", &["24.04"]),
                ("kali", "debian", &["2026.1"]),
                ("raspbian", "debian", &["12"]),
                ("devuan", "debian", &["5"]),
            ],
        ),
        (
            "leap15.6",
            &[
                ("opensuse-leap", "suse opensuse", &["15.6", "16.0"]),
                ("opensuse-tumbleweed", "opensuse suse", &["20260820"]),
                ("opensuse", "suse", &["13.2"]),
                ("sles", "", &["12.5"]),
                ("sles", "suse", &["15.7", "16.0"]),
                ("sles_sap", "suse", &["15.7"]),
            ],
        ),
        (
            "arch",
            &[
                ("arch", "", &[""]),
                ("manjaro", "arch", &[""]),
                ("artix", "", &[""]),
                ("cachyos", "arch", &[""]),
            ],
        ),
        ("alpine3.22", &[("alpine", "", &["3.18.0", "3.22.0"])]),
        ("freebsd", &[("freebsd", "", &["13.5", "14.3", "15.0"])]),
        ("gentoo", &[("gentoo", "", &["2.18"])]),
    ];
    let hosts = hosts();
    for (tree, distributions) in rows {
        let host = hosts.iter().find(|host| host.name == *tree).unwrap();
        let family = Tried::new(host).asks(&serde_json::json!({})).host.site.layout.name;
        for (id, like, versions) in *distributions {
            for version in *versions {
                let os = format!("NAME=\"x\"\nID=\"{id}\"\nID_LIKE='{like}'\nVERSION_ID={version}\n");
                let mut tried = Tried::new(host);
                tried.files = tried.files.file("/etc/os-release", &os);
                let site = tried.asks(&serde_json::json!({})).host.site;
                assert_eq!(site.layout.name, family, "{os}");
                assert_eq!((site.distribution.as_str(), site.distribution_version.as_str()), (*id, *version));
                // Told alone, on a host whose own file says nothing.
                let facts = serde_json::json!({"distribution": id, "distribution_version": version});
                tried.files = tried.files.file("/etc/os-release", "");
                if *id != "clone" {
                    let site = tried.asks(&serde_json::json!({"facts": facts})).host.site;
                    assert_eq!(site.layout.name, family, "{facts}");
                }
            }
        }
    }
}
