//! Directories that only the start script makes: after a boot, and in an image, they are not there.

use serde_json::json;
use test_hosts::{Flavour, Host, Release};

use crate::{PROGRAM, tune, tune_root};

#[test]
fn a_host_whose_run_directory_is_not_there_passes_and_gets_none() {
    for release in [Release::Bookworm, Release::Trixie] {
        for line in [
            "rm -rf /run/apache2",
            "rm -rf /run/apache2 /var/lock/apache2 /run/lock/apache2",
            "rm -rf /run/apache2; sed -i 's,^export APACHE_RUN_DIR=.*,export APACHE_RUN_DIR=/srv/site/run,' /etc/apache2/envvars; mkdir -p /srv/site",
        ] {
            let host = Host::of(release, Flavour::Event);
            host.install_binary(PROGRAM);
            host.sh(line).ok();
            let before = host.sh("ls -la /run /run/lock /srv /srv/* 2>/dev/null | grep -v total").stdout;
            let asked = json!({"settings": {"server_limit": 8, "max_request_workers": 200}, "_ansible_check_mode": true});
            for report in [tune(&host, &[], &asked), tune_root(&host, &asked)] {
                assert_eq!(report["changed"], true, "{line}: {}", report["msg"]);
                assert_eq!(report["config_test"]["ok"], true, "{line}: {report}");
            }
            assert_eq!(tune(&host, &[], &asked)["config_test"]["rehearsal"]["ok"], true, "{line}");
            assert_eq!(
                host.sh("ls -la /run /run/lock /srv /srv/* 2>/dev/null | grep -v total").stdout,
                before,
                "{line}"
            );
            assert!(host.apache_t().success(), "the script's own test passes as well: {line}");
        }
    }
}

#[test]
fn an_instance_that_never_ran_is_tuned() {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    host.sh("sh /usr/share/doc/apache2/examples/setup-instance blue >/dev/null 2>&1 || cp -a /etc/apache2 /etc/apache2-blue").ok();
    host.sh(
        "sed -i 's/^Listen 80/Listen 8081/' /etc/apache2-blue/ports.conf; mkdir -p /var/log/apache2-blue",
    )
    .ok();
    let report = tune(&host, &[], &json!({"instance": "blue", "keepalive": {"timeout": 4}}));
    assert_eq!(report["changed"], true, "{}", report["msg"]);
    assert_eq!(report["config_test"]["ok"], true, "{report}");
    assert!(!host.path("/run/apache2-blue").exists());
}
