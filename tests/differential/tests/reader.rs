//! The reader against httpd: trees made up by chance, and the packaged configuration in each MPM.

#![allow(clippy::unwrap_used)]

use apache_tuning::httpd::Mpm;
use test_differential::oracle::{Case, Variables};
use test_differential::{Bed, Report, compare_all, random_trees, shell};
use test_hosts::{Flavour, Host, Release};

/// Reads a number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Compares made-up trees on one host; `READER_TREES` and `READER_FIRST` choose others than usual.
fn random(host: &Host, count: u64) -> Report {
    let shell = shell(host);
    let bed = Bed { root: host.root(), shell: &shell };
    let first = number("READER_FIRST").unwrap_or(0);
    random_trees(&bed, "/cases", first, number("READER_TREES").unwrap_or(count)).unwrap()
}

#[test]
fn trees_made_up_by_chance_mean_to_the_reader_what_they_mean_to_httpd() {
    let report = random(&Host::debian12(), test_hosts::cases(500, 5_000).into());
    assert!(report.differences.is_empty(), "{report}");
    // If hardly a tree were accepted or read, nothing would have been compared.
    assert!(report.accepted * 10 > report.cases * 6 && report.directives > report.cases * 5, "{report}");
}

#[test]
fn the_same_holds_for_the_next_debian() {
    let report = random(&Host::debian13(), 100);
    assert!(report.differences.is_empty(), "{report}");
}

#[test]
fn the_packaged_configuration_is_read_as_httpd_reads_it_in_each_mpm() {
    for release in Release::ALL {
        for mpm in Mpm::ALL {
            let host = Host::of(release, Flavour::Php);
            host.sh("a2dismod -q -f 'php*' mpm_prefork");
            host.run(&["a2enmod", "-q", mpm.debian()]).ok();
            let shell = shell(&host);
            let bed = Bed { root: host.root(), shell: &shell };
            let case = Case {
                folder: "/case".to_owned(),
                main: "/etc/apache2/apache2.conf".to_owned(),
                defines: Vec::new(),
                prepare: "mkdir -p /var/run/apache2 /var/log/apache2".to_owned(),
                variables: Variables::Script("/etc/apache2/envvars".to_owned()),
            };
            std::fs::create_dir_all(host.path("/case")).unwrap();
            let report = compare_all(&bed, &[case]).unwrap();
            assert!(report.differences.is_empty(), "{release:?} {mpm}: {report}");
            assert!(
                report.accepted == 1 && report.files > 20 && report.directives >= 10,
                "{release:?} {mpm}: {report}"
            );
        }
    }
}
