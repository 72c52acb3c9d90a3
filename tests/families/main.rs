//! Every family of distributions: the same wishes on a tree of each release, and what becomes of its files.
//!
//! The trees are written for this project, with the lines that count; where each is known from stands in the file of
//! its family.
#![allow(clippy::unwrap_used, clippy::panic)]

mod debian;
mod history;
mod lines;
mod redhat;
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
    for (dir, words) in [
        ("/usr/local/cpanel", "set the values in WHM"),
        ("/usr/local/psa", "Plesk"),
        ("/usr/local/directadmin", "custombuild"),
        ("/usr/local/CyberCP", "OpenLiteSpeed"),
    ] {
        let mut tried = Tried::new(&hosts().remove(4));
        tried.files = tried.files.file(format!("{dir}/version"), "1");
        let (rule, message) = tried.refuses(&serde_json::json!({"mpm": "event"}));
        assert!(rule == "SYS-003" && message.contains(words), "{message}");
    }
}
