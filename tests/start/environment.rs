//! Variables: of `envvars`, of files that it reads, of an image, of the running server.

use serde_json::{Value, json};
use test_hosts::Host;

use crate::{host, tune, tune_root};

/// Returns a host with numbers that variables give.
fn with_variables() -> Host {
    let host = host();
    host.write(
        "/etc/apache2/mods-available/mpm_event.conf",
        "ServerLimit 16\nThreadsPerChild 25\nMaxRequestWorkers ${SITE_WORKERS}\n",
    );
    host.write(
        "/etc/apache2/conf-enabled/aaa.conf",
        "KeepAlive ${SITE_KEEP}\nKeepAliveTimeout ${SITE_TIMEOUT}\n",
    );
    host
}

const VALUES: [&str; 3] = ["SITE_WORKERS=175", "SITE_KEEP=On", "SITE_TIMEOUT=3"];

#[track_caller]
fn knows_the_values(host: &Host, environment: &[&str], what: &str) {
    let info = tune(host, environment, &json!({"_ansible_module_name": "webfleet.apache.tuning_info"}));
    for (directive, value) in [("MaxRequestWorkers", "175"), ("KeepAlive", "On"), ("KeepAliveTimeout", "3")] {
        assert_eq!(info["effective"][directive]["value"], value, "{what}: {info}");
    }
    let errors = info["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "error");
    assert_eq!(errors.count(), 0, "{what}: {info}");
    let report = tune(host, environment, &json!({"keepalive": {"max_requests": 50}, "activation": "defer"}));
    assert_eq!(report["changed"], true, "{what}: {}", report["msg"]);
    assert_eq!(report["config_test"]["ok"], true, "{what}: {report}");
}

#[test]
fn an_image_that_gives_defaults_is_tuned_as_a_stock_host() {
    let rewritten = "sed -ri 's/^export ([^ ]+)=(.*)$/: ${\\1:=\\2}\\nexport \\1/' /etc/apache2/envvars";
    let also =
        "printf ': \"${SITE:=/srv$SUFFIX}\" ${OTHER=x}\\nexport SITE OTHER\\n' >> /etc/apache2/envvars";
    for (lines, environment) in [
        (vec![rewritten], vec![]),
        (vec![rewritten, also], vec!["APACHE_LOG_DIR=/var/log/apache2"]),
        (vec![rewritten, also, "ln -sfT /dev/stdout /var/log/apache2/access.log"], vec!["SITE=/x"]),
    ] {
        let host = host();
        for line in &lines {
            host.sh(line).ok();
        }
        host.apache_t();
        let asked = json!({"settings": {"server_limit": 8, "max_request_workers": 200}});
        for report in
            [tune(&host, &environment, &asked), tune_root(&host, &json!({"keepalive": {"timeout": 4}}))]
        {
            assert_eq!(report["changed"], true, "{lines:?}: {}", report["msg"]);
            assert_eq!(report["config_test"]["ok"], true, "{lines:?}: {report}");
            let rules: Vec<&Value> =
                report["findings"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
            assert!(!rules.contains(&&json!("GRM-016")) && !rules.contains(&&json!("GRM-017")), "{rules:?}");
        }
    }
}

#[test]
fn values_come_from_the_environment_of_the_container() {
    let host = with_variables();
    knows_the_values(&host, &VALUES, "its own environment");
}

/// A line behind this program's own that gives the same number by a variable: the look after the change knows it too.
#[test]
fn the_look_after_the_change_knows_the_same_variables() {
    let host = with_variables();
    host.write("/etc/apache2/conf-enabled/zzz.conf", "KeepAliveTimeout ${SITE_TIMEOUT}\n");
    let report = tune(&host, &VALUES, &json!({"keepalive": {"timeout": 3}, "activation": "defer"}));
    assert_eq!((&report["failed"], &report["changed"]), (&Value::Null, &json!(true)), "{}", report["msg"]);
}

#[test]
fn values_come_from_the_environment_of_the_running_server() {
    let host = with_variables();
    let mut command = host.command_with(&VALUES, "apache2ctl");
    assert!(command.arg("start").status().unwrap().success());
    for _ in 0..500 {
        if host.http("/").is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    knows_the_values(&host, &[], "the running parent's");
    // A restart by this program keeps what the server had.
    let asked = json!({"mpm": "worker"});
    let report = tune(&host, &[], &asked);
    assert_eq!(report["activation"]["done"], true, "{}", report["msg"]);
    let line = "tr '\\0' '\\n' < /proc/$(cat /run/apache2/apache2.pid)/environ | grep -c ^SITE_";
    assert_eq!(host.sh(line).ok(), "3");
}

#[test]
fn values_come_from_files_that_the_start_script_reads() {
    let assignments = VALUES.join("\n");
    for (envvars, file) in [
        (". /etc/default/site\nexport SITE_WORKERS SITE_KEEP SITE_TIMEOUT\n", "/etc/default/site"),
        ("set -a\n[ -r /etc/default/site ] && . /etc/default/site\nset +a\n", "/etc/default/site"),
        (
            "for f in /etc/apache2/envvars.d/*; do if [ -f \"$f\" ]; then set -a; . \"$f\"; set +a; fi; done\n",
            "/etc/apache2/envvars.d/site",
        ),
    ] {
        let host = with_variables();
        host.sh(&format!("printf '%s' '{envvars}' >> /etc/apache2/envvars; mkdir -p $(dirname {file})")).ok();
        host.write(file, format!("{assignments}\n"));
        assert!(host.apache_t().success(), "{envvars}");
        knows_the_values(&host, &[], envvars);
        let report = tune_root(&host, &json!({"keepalive": {"max_requests": 60}}));
        assert_eq!(report["config_test"]["ok"], true, "{envvars}: {report}");
    }
}

#[test]
fn what_only_a_shell_can_tell_is_told_by_the_shell() {
    for envvars in [
        "export SITE_WORKERS=$(echo 175) SITE_KEEP=`echo On` SITE_TIMEOUT=$((1+2))\n",
        "eval 'SITE_WORKERS=175 SITE_KEEP=On SITE_TIMEOUT=3'; export SITE_WORKERS SITE_KEEP SITE_TIMEOUT\n",
        "while read line; do export \"$line\"; done <<END\nSITE_WORKERS=175\nSITE_KEEP=On\nSITE_TIMEOUT=3\nEND\n",
    ] {
        let host = with_variables();
        let stock = host.read("/etc/apache2/envvars");
        host.write("/etc/apache2/envvars", format!("{stock}{envvars}"));
        assert!(host.apache_t().success(), "{envvars}");
        let report = tune(&host, &[], &json!({"keepalive": {"max_requests": 50}}));
        assert_eq!(report["changed"], true, "{envvars}: {}", report["msg"]);
        assert_eq!(report["effective"]["MaxRequestWorkers"]["value"], "175", "{envvars}: {report}");
        assert_eq!(report["config_test"]["ok"], true, "{envvars}: {report}");
        // Nobody runs a program of another root directory for that: there it is not known, and refuses nothing.
        let report = tune_root(&host, &json!({"keepalive": {"max_requests": 60}}));
        assert_eq!(report["changed"], true, "{envvars}: {}", report["msg"]);
        assert_eq!(report["config_test"]["ran"], false, "{envvars}: {report}");
        // A file that others may write to is not carried out with root's power.
        host.sh("chmod 666 /etc/apache2/envvars").ok();
        let report = tune(&host, &[], &json!({"keepalive": {"max_requests": 70}}));
        assert_eq!(report["config_test"]["ran"], false, "{envvars}: {report}");
    }
}

#[test]
fn a_shell_that_hangs_is_ended() {
    let host = with_variables();
    let stock = host.read("/etc/apache2/envvars");
    host.write("/etc/apache2/envvars", format!("{stock}export SITE_WORKERS=$(sleep 987)\n"));
    let since = std::time::Instant::now();
    tune(&host, &[], &json!({"keepalive": {"max_requests": 50}, "_ansible_check_mode": true}));
    assert!(since.elapsed().as_secs() < 40, "{:?}", since.elapsed());
    assert!(!host.sh("pgrep -f 'sleep 987' | grep -v $$").success(), "it is still there");
}
