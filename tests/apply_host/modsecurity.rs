//! `ModSecurity` with the Core Rule Set on real Debian hosts: what is refused, what is let through, and gone again.

use test_hosts::Release;

use super::{Host, Value, json, tune, with_program};

const ATTACK: &str = "/?exec=/bin/bash";

fn host(release: Release) -> Host {
    let host = with_program(Host::protected(release));
    // It would block a client that asks as quickly as this one.
    host.run(&["a2dismod", "evasive"]).ok();
    host.start_apache();
    host
}

fn status(host: &Host, path: &str) -> u16 {
    host.http(path).unwrap().0
}

/// Predicts, does, and asks again: the prediction is what came, and the second run finds nothing to do.
pub(super) fn done(host: &Host, parameters: &Value) -> Value {
    let before = host.listing();
    let mut predicted = parameters.clone();
    predicted["_ansible_check_mode"] = json!(true);
    predicted["_ansible_diff"] = json!(true);
    let foretold = tune(host, &predicted);
    assert_ne!(foretold["failed"], true, "{}", foretold["msg"]);
    let etc = std::path::Path::new("etc");
    assert_eq!(host.listing().below(etc).changes_since(&before.below(etc)), Vec::<String>::new());
    let mut real = parameters.clone();
    real["_ansible_diff"] = json!(true);
    let result = tune(host, &real);
    assert_ne!(result["failed"], true, "{}", result["msg"]);
    for key in ["changed", "changes", "diff"] {
        assert_eq!(foretold[key], result[key], "{key}");
    }
    assert_eq!(result["changed"], true);
    assert_eq!(tune(host, parameters)["changed"], false);
    result
}

fn refused(host: &Host, parameters: &Value, rule: &str) {
    let result = tune(host, parameters);
    assert_eq!(result["failed"], true, "{parameters}");
    let told = result["findings"].as_array().unwrap();
    assert!(told.iter().any(|one| one["rule"] == rule && one["severity"] == "error"), "{rule}: {told:#?}");
}

#[test]
fn requests_are_watched_refused_and_let_through_as_asked() {
    for release in Release::ALL {
        let host = host(release);
        let etc = std::path::Path::new("etc");
        let before = host.listing();
        let own = "SecRule ARGS:probe \"@streq 1\" \"id:10001,phase:1,deny,status:403,log\"\n";
        host.write("/etc/modsecurity/own.conf", own);
        let with_own = host.listing();

        // Watched: it is written down, and answered.
        let result = done(&host, &json!({"modsecurity": {"enabled": true}}));
        assert_eq!(result["effective"]["SecRuleEngine"]["used"], "DetectionOnly");
        assert_eq!(status(&host, ATTACK), 200);
        let log = host.read("/var/log/apache2/error.log");
        assert!(log.contains("ModSecurity: Warning.") && log.contains("[id \"949110\"]"), "{log}");

        // Refused. What YAML makes of a bare `on` is a boolean.
        let result = done(&host, &json!({"modsecurity": {"engine": true, "body_limit": "200K"}}));
        assert_eq!(result["activation"]["done"], true, "{result:#}");
        assert_eq!((status(&host, ATTACK), status(&host, "/"), status(&host, "/?probe=1")), (403, 200, 403));

        // The thresholds count only because they are read before the rules, the exclusion only because it is behind.
        done(&host, &json!({"modsecurity": {"engine": "on", "inbound": 1000, "exclude": [10001]}}));
        assert_eq!((status(&host, ATTACK), status(&host, "/?probe=1")), (200, 200));
        done(&host, &json!({"modsecurity": {"engine": "on", "rules": "none"}}));
        assert_eq!((status(&host, ATTACK), status(&host, "/?probe=1")), (200, 403));
        assert!(!host.path("/etc/modsecurity/zz-apache-tuning.conf").exists());

        // A site of its own mind is named.
        let site = "<VirtualHost *:81>\nSecRuleEngine Off\n</VirtualHost>\n";
        host.write("/etc/apache2/sites-enabled/other.conf", site);
        let result = tune(&host, &json!({"modsecurity": {"engine": "on"}}));
        assert!(result["overridden"].to_string().contains("SecRuleEngine"), "{}", result["overridden"]);
        std::fs::remove_file(host.path("/etc/apache2/sites-enabled/other.conf")).unwrap();

        done(&host, &json!({"modsecurity": {"enabled": false}}));
        assert_eq!(status(&host, ATTACK), 200);
        let changed = host.listing().below(etc).content().changes_since(&with_own.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");

        done(&host, &json!({"modsecurity": {"engine": "on", "paranoia": 2}}));
        assert_eq!(status(&host, ATTACK), 403);
        done(&host, &json!({"state": "absent"}));
        std::fs::remove_file(host.path("/etc/modsecurity/own.conf")).unwrap();
        let changed = host.listing().below(etc).content().changes_since(&before.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

#[test]
fn what_could_not_count_is_refused() {
    let host = host(Release::Trixie);
    for (asked, rule) in [
        (json!({"engine": "maybe"}), "SEC-013"),
        (json!({"body_limit": "2G"}), "SEC-013"),
        (json!({"body_limit": "1M", "no_files_limit": "2M"}), "SEC-013"),
        (json!({"exclude": ["942100\nSecRuleEngine Off"]}), ""),
        (json!({"exclude": ["942100 SecRuleEngine"]}), "SEC-013"),
        (json!({"audit": "sometimes"}), "SEC-013"),
    ] {
        let result = tune(&host, &json!({"modsecurity": asked}));
        assert_eq!(result["failed"], true, "{asked}");
        let told = &result["findings"];
        assert!(rule.is_empty() || told[0]["rule"] == rule, "{asked}: {told:#}");
    }
    // A setup that somebody edited has the same ids.
    let setup = "/etc/modsecurity/crs/crs-setup.conf";
    let stock = host.read(setup);
    let level = "SecAction \"id:900000,phase:1,nolog,pass,t:none,setvar:tx.paranoia_level=2\"\n";
    host.write(setup, format!("{stock}{level}"));
    refused(&host, &json!({"modsecurity": {"engine": "on"}}), "SEC-004");
    host.write(setup, &stock);

    let kept = host.read("/etc/apache2/mods-available/security2.conf");
    let moved = kept.replace("IncludeOptional /etc/modsecurity/*.conf", "");
    host.write("/etc/apache2/mods-available/security2.conf", moved);
    refused(&host, &json!({"modsecurity": {"engine": "on"}}), "SEC-015");
    host.write("/etc/apache2/mods-available/security2.conf", kept);

    std::fs::create_dir_all(host.path("/etc/php/8.4/apache2")).unwrap();
    host.write("/etc/php/8.4/apache2/php.ini", "post_max_size = 64M ; more\n");
    let told = tune(&host, &json!({"modsecurity": {"engine": "on"}, "_ansible_check_mode": true}));
    assert!(told["warnings"].to_string().contains("SEC-009"), "{}", told["warnings"]);

    host.run(&["rm", "-r", "/usr/share/modsecurity-crs"]).ok();
    let result = tune(&host, &json!({"modsecurity": {"engine": "on"}}));
    assert_eq!(result["failed"], true);
    assert!(result["findings"].to_string().contains("install the package modsecurity-crs"), "{result:#}");
}
