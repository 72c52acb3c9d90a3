//! What is predicted from the facts that `tuning_info` leaves is what a run on the host itself says, before and after.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{fleet, line, verdicts};

const MACHINE: &str = r#"{"memory_mb": 4096, "cpus": 2, "open_files": 8192, "threads_max": 30000, "pid_max": 32768,
    "somaxconn": 4096, "tasks_max": 4915}"#;

fn program(dir: &TempDir, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_apache-tuning"))
        .args(arguments)
        .args(["--root", "host", "--json"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The facts of the host as a line of a cache.
fn facts_of(dir: &TempDir) -> Value {
    let info = program(dir, &["info", "--facts", "machine.json"]);
    let facts = info["ansible_facts"].clone();
    assert!(facts["apache_tuning"]["plan_key"].is_string(), "{info:#}");
    fs::write(dir.path().join("facts.jsonl"), line("web1", &facts)).unwrap();
    facts
}

fn verdict(dir: &TempDir) -> (String, String) {
    let ran = fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--json"]);
    verdicts(&ran.out)["web1"].clone()
}

#[test]
fn the_fleet_foretells_what_the_host_says_before_and_after() {
    let stock = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/debian12/root");
    for (desired, want) in [
        (json!({"keepalive": {"timeout": 3}}), "change"),
        (json!({"keepalive": {"timeout": 5}}), "change"),
        (json!({"settings": {"max_request_workers": 200}}), "change"),
        (json!({"settings": {"max_request_workers": 200}, "placement": "drop_in"}), "change"),
        (json!({"mpm": "event", "mod_php": "disable"}), "change"),
        (json!({"mpm": "event", "mod_php": "disable", "capacity": {"connections": 2000}}), "change"),
        (json!({"mpm": "event"}), "refused"),
        (json!({"settings": {"max_request_workers": 200, "threads_per_child": 5}}), "refused"),
        (json!({"capacity": {"connections": 100_000}, "memory": {"per_worker": "10M"}}), "refused"),
        (json!({"mpm": "prefork"}), "unchanged"),
        (json!({"state": "absent"}), "unchanged"),
    ] {
        let dir = TempDir::new().unwrap();
        assert!(
            Command::new("cp").args(["-rP", stock]).arg(dir.path().join("host")).status().unwrap().success()
        );
        fs::write(dir.path().join("machine.json"), MACHINE).unwrap();
        fs::write(dir.path().join("desired.json"), desired.to_string()).unwrap();
        facts_of(&dir);
        let predicted = verdict(&dir);
        assert_eq!(predicted.0, want, "{desired}: {}", predicted.1);
        let preview = program(&dir, &["preview", "desired.json", "--facts", "machine.json"]);
        let said = match (preview["failed"].as_bool(), preview["changed"].as_bool()) {
            (Some(true), _) => "refused",
            (_, Some(true)) => "change",
            _ => "unchanged",
        };
        assert_eq!(said, want, "{desired}: {}", preview["msg"]);
        if want == "change" {
            // Facts by hand go with a preview only: the run takes them from the parameters.
            let mut with_facts = desired.clone();
            with_facts["facts"] = serde_json::from_str(MACHINE).unwrap();
            fs::write(dir.path().join("run.json"), with_facts.to_string()).unwrap();
            let done = program(&dir, &["apply", "run.json"]);
            assert_eq!(done["changed"], true, "{desired}: {}", done["msg"]);
            let before = facts_of(&dir);
            assert_eq!(verdict(&dir).0, "unchanged", "{desired}");
            assert_eq!(facts_of(&dir)["apache_tuning"]["plan_key"], before["apache_tuning"]["plan_key"]);
        }
    }
}
