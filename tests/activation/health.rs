//! The health question: asked before anything is touched, of this host only.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{finding, parent, running, tune};

#[test]
fn a_question_that_no_healthy_server_answers_is_found_out_before_anything_is_touched() {
    let host = running();
    let (before, was) = (host.listing(), parent(&host));
    for (health, rule, told) in [
        (json!({"url": "http://localhost/none-such", "timeout": 1}), "HLT-002", "status 404 instead of 200"),
        (json!({"url": "http://localhost:81/", "timeout": 1}), "HLT-002", "Connection refused"),
        (json!({"url": "http://169.254.169.254/latest/meta-data/"}), "HLT-001", "no address of this host"),
        (json!({"url": "http://[fd00::1]/"}), "HLT-001", "no address of this host"),
        (json!({"url": "http://example.org/"}), "HLT-001", "no address of this host"),
    ] {
        for check in [true, false] {
            let asked = json!({"mpm": "worker", "health": health, "_ansible_check_mode": check});
            let result = tune(&host, &asked);
            assert_eq!(result["failed"], true, "{result}");
            let message = finding(&result, rule).unwrap()["message"].as_str().unwrap();
            assert!(message.contains(told), "{health}: {message}");
            assert!(result["msg"].as_str().unwrap().contains(told), "{}", result["msg"]);
        }
    }
    // An address that is none is refused with the parameters, whatever else there is to do.
    for url in ["http://localhost:99999/", "http://u:p@localhost/", "http:///x", "https://localhost/"] {
        let result = tune(&host, &json!({"mpm": "event", "health": {"url": url}}));
        assert_eq!(result["failed"], true, "{result}");
        assert!(result["msg"].as_str().unwrap().contains("health.url"), "{}", result["msg"]);
    }
    let elsewhere = json!({"mpm": "event", "health": {"url": "http://192.0.2.1/"}});
    assert_eq!(tune(&host, &elsewhere)["failed"], true, "an unchanged run takes another host's address");
    let changed = host.listing().changes_since(&before);
    assert!(
        changed.iter().all(|line| !line.contains("/etc/") && !line.contains("/var/lib/")),
        "{changed:#?}"
    );
    assert_eq!(parent(&host), was);
}

#[test]
fn a_change_that_makes_a_healthy_server_sick_is_undone_within_the_time_given() {
    let host = running();
    host.write(
        "/etc/apache2/conf-enabled/own.conf",
        "<IfModule mpm_worker_module>\nRedirect 503 /\n</IfModule>\n",
    );
    let health = json!({"url": "http://localhost/", "timeout": 3});
    let started = Instant::now();
    let result = tune(&host, &json!({"mpm": "worker", "health": health}));
    assert_eq!(result["failed"], true, "{}", result["msg"]);
    assert!(result["msg"].as_str().unwrap().contains("status 503 instead of 200"), "{}", result["msg"]);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(host.running_mpm().unwrap(), "event");
    // Asked for what the change brings, it is refused as it is, and taken where that is waived.
    let fixes = json!({"url": "http://localhost/", "status": 503, "timeout": 5});
    let refused = tune(&host, &json!({"mpm": "worker", "health": fixes}));
    assert!(finding(&refused, "HLT-002").is_some(), "{refused}");
    let result = tune(&host, &json!({"mpm": "worker", "health": fixes, "waive": ["HLT-002"]}));
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
}

#[test]
fn a_server_that_does_not_run_is_not_asked_and_the_result_says_so() {
    let host = running();
    host.stop_apache();
    let health = json!({"url": "http://localhost/"});
    for asked in [json!({"mpm": "worker", "health": health}), json!({"mpm": "worker", "health": health})] {
        let result = tune(&host, &asked);
        assert_eq!(result["failed"], serde_json::Value::Null, "{}", result["msg"]);
        assert_eq!(finding(&result, "HLT-003").unwrap()["severity"], "warning");
    }
}
