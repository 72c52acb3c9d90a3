//! Groups, results of runs, comparison, samples and order.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{facts, fleet, line, records, tuning_facts, verdicts};

/// One host changed, one refused, one unreachable, as the module and Ansible report them.
fn outcomes() -> [(&'static str, Value); 3] {
    let finding =
        json!({"rule": "PHP-001", "severity": "error", "waived": false, "message": "m", "hint": "h"});
    [
        (
            "web1",
            json!({"changed": true, "msg": "would change 3 paths; a running server needs a reload",
                "activation": {"needed": "reload", "done": false}, "findings": [], "capacity": {"binding": null},
                "diff": [{"before_header": "f", "after_header": "f", "before": "a\n", "after": "web1\n"}]}),
        ),
        (
            "web2",
            json!({"changed": false, "failed": true, "msg": "PHP-001: mod_php is loaded; install php-fpm", "findings": [finding]}),
        ),
        ("gone", json!({"changed": false, "unreachable": true, "msg": "no route"})),
    ]
}

#[test]
fn every_collector_gives_the_same_groups() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    let with_action = |value: &Value| {
        let mut value = value.clone();
        value["action"] = json!("webfleet.apache.tuning");
        value
    };
    let callback: Vec<String> = outcomes()
        .iter()
        .map(|(host, result)| {
            json!({"check": true, "host": host, "result": result, "status": "x", "task": "t"}).to_string()
        })
        .collect();
    fs::write(path("callback.jsonl"), callback.join("\n")).unwrap();
    let once: Vec<String> = outcomes()
        .iter()
        .flat_map(|(host, result)| {
            [
                json!({"body": host, "result": result}).to_string(),
                json!({"check": true, "host": host, "body": host}).to_string(),
            ]
        })
        .collect();
    fs::write(path("once.jsonl"), once.join("\n")).unwrap();
    let jsonl: Vec<String> = outcomes()
        .iter()
        .map(|(host, result)| {
            json!({"_event": "v2_runner_on_ok", "hosts": {*host: with_action(result)}}).to_string()
        })
        .collect();
    fs::write(path("posix.jsonl"), jsonl.join("\n")).unwrap();
    let hosts: serde_json::Map<String, Value> =
        outcomes().iter().map(|(host, result)| ((*host).to_owned(), with_action(result))).collect();
    let whole = json!({"plays": [{"tasks": [{"hosts": hosts}]}], "stats": {}});
    fs::write(path("posix.json"), serde_json::to_string_pretty(&whole).unwrap()).unwrap();
    let events: Vec<Value> = outcomes()
        .iter()
        .map(|(host, result)| {
            let event = if result["unreachable"] == true {
                "runner_on_unreachable"
            } else if result["failed"] == true {
                "runner_on_failed"
            } else {
                "runner_on_ok"
            };
            json!({"event": event, "event_data": {"host": host, "res": result, "task_action": "webfleet.apache.tuning"}})
        })
        .collect();
    fs::write(path("awx.json"), json!({"count": 3, "results": events}).to_string()).unwrap();
    fs::create_dir(path("events")).unwrap();
    for (number, event) in events.iter().enumerate() {
        fs::write(path("events").join(format!("{number}-x.json")), event.to_string()).unwrap();
    }
    let mut seen = Vec::new();
    for name in ["callback.jsonl", "posix.jsonl", "posix.json", "awx.json", "events"] {
        let ran = fleet(dir.path(), &["--results", name, "--json"]);
        assert_eq!(ran.code, 1, "{name}: {}", ran.err);
        let groups: Vec<Value> =
            records(&ran.out).into_iter().filter(|record| record["record"] == "group").collect();
        assert_eq!(groups.len(), 3, "{name}: {}", ran.out);
        seen.push(groups);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    let ran = fleet(dir.path(), &["--results", "once.jsonl", "--json"]);
    let found = verdicts(&ran.out);
    assert_eq!(found["web2"], ("refused".to_owned(), "mod_php is loaded; install php-fpm".to_owned()));
    assert_eq!((found["gone"].0.as_str(), found["web1"].0.as_str()), ("unreachable", "change"));
}

#[test]
fn the_tree_callback_is_read_with_a_warning() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("tree")).unwrap();
    for (host, result) in outcomes() {
        let mut result = result;
        for gap in ["failed", "diff"] {
            result.as_object_mut().unwrap().remove(gap);
        }
        fs::write(dir.path().join("tree").join(host), result.to_string()).unwrap();
    }
    let ran = fleet(dir.path(), &["--results", "tree", "--json"]);
    assert!(ran.err.contains("webfleet.apache.fleet"), "{}", ran.err);
    assert_eq!(verdicts(&ran.out)["web2"].0, "refused");
}

#[test]
fn hosts_that_a_stopped_run_did_not_come_to_remain() {
    let dir = TempDir::new().unwrap();
    let lines: Vec<String> =
        outcomes().iter().map(|(host, result)| json!({"host": host, "result": result}).to_string()).collect();
    fs::write(dir.path().join("r.jsonl"), lines.join("\n")).unwrap();
    let inventory = json!({"_meta": {"hostvars": {}}, "web": {"hosts": ["web1", "web2", "gone", "later"]}});
    fs::write(dir.path().join("i.json"), inventory.to_string()).unwrap();
    let ran =
        fleet(dir.path(), &["--results", "r.jsonl", "--inventory", "i.json", "--limits", "lists", "--json"]);
    assert_eq!(verdicts(&ran.out)["later"].0, "not_run");
    let remaining = fs::read_to_string(dir.path().join("lists/remaining.txt")).unwrap();
    assert_eq!(remaining, "gone\nlater\nweb2\n");
}

/// A fleet of three zones and two groups.
fn zones(dir: &TempDir) {
    let (mut lines, mut vars) = (Vec::new(), serde_json::Map::new());
    for number in 0..30 {
        let mut tuning = tuning_facts();
        if number % 10 == 0 {
            tuning["mpm"]["configured"] = json!("worker");
        }
        let host = format!("web{number:02}");
        lines.push(line(&host, &facts(tuning)));
        vars.insert(
            host,
            json!({"zone": format!("z{}", number % 3), "apache_tuning_mpm": "event",
            "apache_tuning_keepalive": {"timeout": 2}}),
        );
    }
    fs::write(dir.path().join("facts.jsonl"), lines.join("\n")).unwrap();
    let inventory = json!({"_meta": {"hostvars": vars}});
    fs::write(dir.path().join("i.json"), inventory.to_string()).unwrap();
}

#[test]
fn a_rollout_begins_with_a_canary_of_each_group_and_goes_over_the_zones_in_turn() {
    let dir = TempDir::new().unwrap();
    zones(&dir);
    let order = |seed: &str| -> Vec<String> {
        let ran = fleet(dir.path(), &["--facts", "facts.jsonl", "--inventory", "i.json", "--order", seed]);
        let value: Value = serde_json::from_str(&ran.out).unwrap();
        serde_json::from_value(value["apache_tuning_order"].clone()).unwrap()
    };
    let first = order("zone,seed=7");
    assert_eq!(first.len(), 30);
    assert_eq!(first, order("zone,seed=7"));
    assert_ne!(first, order("zone,seed=8"));
    let number = |host: &String| host[3..].parse::<usize>().unwrap();
    assert_ne!(number(&first[0]) % 10, 0, "the largest group's canary comes first");
    assert_eq!(number(&first[1]) % 10, 0);
    let zones: Vec<usize> = first[2..11].iter().map(|host| number(host) % 3).collect();
    assert_eq!(zones, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn samples_prove_a_group_or_show_that_it_was_predicted_otherwise() {
    let dir = TempDir::new().unwrap();
    zones(&dir);
    let base = ["--facts", "facts.jsonl", "--inventory", "i.json", "--by", "zone"];
    let ran = fleet(dir.path(), &[&base[..], &["--samples", "2"]].concat());
    let sampled: Vec<&str> = ran.out.lines().collect();
    assert_eq!(sampled.len(), 4, "{}", ran.out);
    let results: Vec<String> = sampled
        .iter()
        .map(|host| {
            let number: usize = host[3..].parse().unwrap();
            // The facts of every tenth host lie: it is refused.
            let result = if number.is_multiple_of(10) {
                json!({"changed": false, "failed": true, "msg": "PHP-001: x", "findings": [{"rule": "PHP-001", "severity": "error"}]})
            } else {
                json!({"changed": true, "msg": "would change", "activation": {"needed": "reload"}})
            };
            json!({"host": host, "check": true, "result": result}).to_string()
        })
        .collect();
    fs::write(dir.path().join("r.jsonl"), results.join("\n")).unwrap();
    let ran = fleet(dir.path(), &[&base[..], &["--results", "r.jsonl"]].concat());
    assert!(ran.out.contains("verified on web"), "{}", ran.out);
    assert!(
        ran.out.contains("predicted differently: web") && ran.out.contains("refused PHP-001"),
        "{}",
        ran.out
    );
}

#[test]
fn a_comparison_names_what_changed_its_verdict() {
    let dir = TempDir::new().unwrap();
    zones(&dir);
    let base = ["--facts", "facts.jsonl", "--inventory", "i.json"];
    let ran = fleet(dir.path(), &[&base[..], &["--json"]].concat());
    fs::write(dir.path().join("old.jsonl"), &ran.out).unwrap();
    let same = fleet(dir.path(), &[&base[..], &["--compare", "old.jsonl"]].concat());
    assert!(same.out.contains("0 with another verdict, 0 new, 0 gone"), "{}", same.out);
    let other = ran.out.replace("\"name\":\"web05\"", "\"name\":\"web99\"").replacen(
        "\"verdict\":\"change\",\"age\"",
        "\"verdict\":\"unchanged\",\"age\"",
        1,
    );
    fs::write(dir.path().join("other.jsonl"), other).unwrap();
    let differs = fleet(dir.path(), &[&base[..], &["--compare", "other.jsonl"]].concat());
    for words in ["1 with another verdict, 1 new, 1 gone", "unchanged → change", "new: web05", "gone: web99"]
    {
        assert!(differs.out.contains(words), "{words}: {}", differs.out);
    }
    let cut: Vec<&str> = ran.out.lines().take(10).collect();
    fs::write(dir.path().join("cut.jsonl"), cut.join("\n")).unwrap();
    let refused = fleet(dir.path(), &[&base[..], &["--compare", "cut.jsonl"]].concat());
    assert!(refused.code == 1 && refused.err.contains("cut"), "{}", refused.err);
    fs::write(dir.path().join("newer.jsonl"), ran.out.replace("\"format\":\"1.0\"", "\"format\":\"2.0\""))
        .unwrap();
    let refused = fleet(dir.path(), &[&base[..], &["--compare", "newer.jsonl"]].concat());
    assert!(refused.err.contains("2.0"), "{}", refused.err);
}

#[test]
fn exit_codes_tell_a_program_what_is_due() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("one.jsonl"), line("web1", &facts(tuning_facts()))).unwrap();
    fs::write(dir.path().join("k.json"), r#"{"keepalive": {"timeout": 3}}"#).unwrap();
    fs::write(dir.path().join("bad.json"), r#"{"settings": {"max_request_workers": 999}}"#).unwrap();
    fs::write(dir.path().join("none.jsonl"), line("web1", &json!({}))).unwrap();
    for (arguments, code) in [
        (&["k.json", "--facts", "one.jsonl"][..], 0),
        (&["k.json", "--facts", "one.jsonl", "--exit-code"], 3),
        (&["bad.json", "--facts", "one.jsonl", "--exit-code"], 1),
        (&["k.json", "--facts", "none.jsonl"], 4),
    ] {
        let ran = fleet(dir.path(), arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {} {}", ran.out, ran.err);
        assert!(
            ran.out.starts_with("DRY RUN") && ran.out.trim_end().ends_with("nothing was changed"),
            "{}",
            ran.out
        );
    }
}
