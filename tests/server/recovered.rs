//! A run that gives back what an interrupted one left says so; whoever only looks is told before.

use serde_json::{Value, json};
use test_hosts::Host;

use crate::{host, interrupt, tune};

const RUN: &str = "exec /usr/local/bin/apache-tuning /root/parameters.json";

/// A host with a running server and a run that was interrupted at it.
fn interrupted(parameters: &Value) -> Host {
    let host = host();
    host.start_apache();
    host.write("/root/parameters.json", parameters.to_string());
    interrupt(&host, RUN);
    assert!(host.path("/var/lib/apache-tuning/journal").exists());
    host
}

fn told(result: &Value) -> bool {
    result["findings"].as_array().unwrap().iter().any(|finding| finding["rule"] == "ACT-004")
}

fn list(result: &Value) -> Vec<&str> {
    let mut paths: Vec<&str> =
        result["recovered"]["paths"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    paths.sort_unstable();
    paths
}

#[test]
fn a_recovery_is_predicted_then_told_and_counts_as_a_change() {
    for (asked, server) in [
        (json!({"keepalive": {"timeout": 3}, "config_test": false}), "reloaded"),
        (json!({"mpm": "worker", "config_test": false}), "started"),
    ] {
        for next in [json!({}), asked.clone(), json!({"keepalive": {"timeout": 9}})] {
            let host = interrupted(&asked);
            let before = host.listing();
            let mut check = next.clone();
            check["_ansible_check_mode"] = true.into();
            let predicted = tune(&host, &check);
            let info = tune(&host, &json!({"_ansible_module_name": "webfleet.apache.tuning_info"}));
            let touched = host.listing().changes_since(&before);
            let touched: Vec<&String> = touched
                .iter()
                .filter(|line| !line.contains("/root") && !line.contains("/var/log/"))
                .collect();
            assert!(touched.is_empty(), "{touched:#?}");
            assert!(told(&predicted) && told(&info), "{predicted}\n{info}");

            let result = tune(&host, &next);
            assert!(told(&result), "{result}");
            for result in [&predicted, &result] {
                assert_eq!((&result["changed"], &result["failed"]), (&json!(true), &Value::Null), "{result}");
                let transaction = result["recovered"]["transaction"].as_str().unwrap();
                assert!(result["msg"].as_str().unwrap().contains(transaction), "{result}");
            }
            assert!(!list(&result).is_empty());
            assert_eq!(list(&predicted), list(&result));
            assert_eq!(predicted["recovered"]["server"], server);
            assert_eq!(result["recovered"]["server"], server, "{result}");
            for key in ["changes", "effective"] {
                assert_eq!(predicted[key], result[key], "{next}: {key}");
            }
            assert_eq!(predicted["activation"]["needed"], result["activation"]["needed"], "{next}");
            assert!(host.http("/").is_ok());

            let again = tune(&host, &next);
            assert_eq!((&again["changed"], &again["recovered"]), (&json!(false), &Value::Null), "{again}");
            assert!(!told(&again));
        }
    }
}

#[test]
fn a_refused_task_tells_what_it_gave_back_all_the_same() {
    let host = interrupted(&json!({"keepalive": {"timeout": 3}, "config_test": false}));
    let wrong = json!({"settings": {"max_request_workers": 401, "threads_per_child": 25}});
    let result = tune(&host, &wrong);
    assert_eq!((&result["changed"], &result["failed"]), (&json!(true), &json!(true)), "{result}");
    assert_eq!(result["recovered"]["server"], "reloaded");
    assert!(result["msg"].as_str().unwrap().contains("gave back"), "{result}");
}
