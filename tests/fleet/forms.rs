//! The same facts in every form a cache keeps them in.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{facts, fleet, line, new_form, old_form, records, tuning_facts, verdicts};

const DESIRED: &str = r#"{"settings": {"thread_limit": 64, "threads_per_child": 64, "server_limit": 8, "max_request_workers": 512}}"#;

fn place() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("desired.json"), DESIRED).unwrap();
    fs::create_dir(dir.path().join("cache")).unwrap();
    dir
}

#[test]
fn each_form_gives_the_same_plan() {
    let known = facts(tuning_facts());
    let mut outputs = Vec::new();
    for (name, text) in [
        ("web1", old_form(&known)),
        ("s1_web1", new_form(&known)),
        ("web1", json!({"ansible_facts": known, "changed": false}).to_string()),
        ("lines.jsonl", line("web1", &known) + "\n"),
        ("lines.jsonl", format!("\u{feff}{}\r\n\r\n", line("web1", &known))),
        (
            "lines.jsonl",
            json!({"host": "web1", "facts": {"distribution": "debian"}, "info": known["apache_tuning"]})
                .to_string(),
        ),
    ] {
        let dir = place();
        fs::write(dir.path().join("cache").join(name), text).unwrap();
        let ran = fleet(dir.path(), &["desired.json", "--facts", "cache", "--json"]);
        assert_eq!(ran.code, 0, "{name}: {} {}", ran.out, ran.err);
        let verdicts = verdicts(&ran.out);
        assert_eq!(verdicts["web1"].0, "change", "{name}");
        assert!(verdicts["web1"].1.contains("MaxRequestWorkers 150 → 512"), "{}", verdicts["web1"].1);
        assert!(!ran.out.contains("do-not-show"));
        let group = records(&ran.out).into_iter().find(|record| record["record"] == "group").unwrap();
        outputs.push(group);
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]), "{outputs:#?}");
}

#[test]
fn tags_are_taken_off_at_every_depth() {
    let dir = place();
    let tag = |value: Value, kind: &str| json!({"value": value, "tags": [{"path": "x", "__ansible_type": "Origin"}], "__ansible_type": kind});
    let mut tuning = tuning_facts();
    tuning["limits"]["memory_mb"] = tag(
        json!({"value": tag(json!(4096), "_AnsibleTaggedInt"), "source": tag(json!("x"), "_AnsibleTaggedStr")}),
        "_AnsibleTaggedDict",
    );
    tuning["modules"] =
        tag(json!([tag(json!("mpm_event_module"), "_AnsibleTaggedStr")]), "_AnsibleTaggedList");
    let mut known = facts(tuning);
    known["other"] = tag(json!("whatever"), "_AnsibleTaggedNeverSeen");
    fs::write(dir.path().join("cache/s1_web1"), new_form(&known)).unwrap();
    fs::write(dir.path().join("capacity.json"), r#"{"capacity": {"connections": 1000}}"#).unwrap();
    let ran = fleet(dir.path(), &["capacity.json", "--facts", "cache", "--json"]);
    assert_eq!(verdicts(&ran.out)["web1"].0, "change", "{}", ran.out);
}

#[test]
fn after_an_upgrade_of_ansible_the_newer_file_counts() {
    let dir = place();
    let mut newer = tuning_facts();
    newer["collected"] = json!(1_790_000_500);
    newer["mpm"] = json!({"configured": "worker", "running": "worker"});
    fs::write(dir.path().join("cache/web1"), old_form(&facts(tuning_facts()))).unwrap();
    fs::write(dir.path().join("cache/s1_web1"), new_form(&facts(newer))).unwrap();
    fs::write(dir.path().join("event.json"), r#"{"mpm": "event"}"#).unwrap();
    let ran = fleet(dir.path(), &["event.json", "--facts", "cache", "--json"]);
    let hosts: Vec<Value> =
        records(&ran.out).into_iter().filter(|record| record["record"] == "host").collect();
    assert_eq!(hosts.len(), 1, "{}", ran.out);
    assert_eq!(hosts[0]["flags"], json!(["twice"]));
    assert!(verdicts(&ran.out)["web1"].1.starts_with("MPM worker → event"), "{}", ran.out);
}

#[test]
fn a_host_whose_name_is_only_a_digest_is_found_by_the_inventory() {
    let dir = place();
    // The first digits of the SHA-256 of `s1_web/1`.
    let digits = "1a6a0e1b2c0d";
    let known = new_form(&facts(tuning_facts()));
    fs::write(dir.path().join("cache").join(digits), &known).unwrap();
    let ran = fleet(dir.path(), &["desired.json", "--facts", "cache", "--json"]);
    let host = records(&ran.out).into_iter().find(|record| record["record"] == "host").unwrap();
    assert_eq!(host["name"], format!("unnamed {digits}"));
    assert_eq!(host["flags"], json!(["unnamed"]));
    assert_eq!(host["verdict"], "unknown");

    let digest = {
        let output = std::process::Command::new("python3")
            .args(["-c", "import hashlib; print(hashlib.sha256(b's1_web/1').hexdigest()[:12])"])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    fs::remove_file(dir.path().join("cache").join(digits)).unwrap();
    fs::write(dir.path().join("cache").join(&digest), known).unwrap();
    let inventory = json!({"_meta": {"hostvars": {"web/1": {}}}, "all": {"hosts": ["web/1"]}});
    fs::write(dir.path().join("inventory.json"), inventory.to_string()).unwrap();
    let ran =
        fleet(dir.path(), &["desired.json", "--facts", "cache", "--inventory", "inventory.json", "--json"]);
    assert_eq!(verdicts(&ran.out)["web/1"].0, "change", "{}", ran.out);
}

#[test]
fn the_same_facts_give_the_same_bytes_in_any_order() {
    let dir = place();
    let mut lines: Vec<String> = (0..300)
        .map(|number| {
            let mut tuning = tuning_facts();
            tuning["limits"]["memory_mb"]["value"] = json!(1024 * (1 + number % 7));
            line(&format!("web{number:04}"), &facts(tuning))
        })
        .collect();
    let mut outputs = Vec::new();
    for turn in 0..3 {
        lines.rotate_left(turn * 97);
        fs::write(dir.path().join("facts.jsonl"), lines.join("\n")).unwrap();
        outputs.push(fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--json"]).out);
    }
    let ages_off = |text: &str| -> Vec<Value> {
        records(text)
            .into_iter()
            .map(|mut record| {
                if let Some(object) = record.as_object_mut() {
                    object.remove("age");
                }
                record
            })
            .collect()
    };
    assert_eq!(ages_off(&outputs[0]), ages_off(&outputs[1]));
    assert_eq!(ages_off(&outputs[1]), ages_off(&outputs[2]));
    assert_eq!(verdicts(&outputs[0]).len(), 300);
}

#[test]
fn each_host_has_the_desired_state_of_its_variables() {
    let dir = place();
    let lines: Vec<String> =
        ["a", "b", "c", "stray"].iter().map(|host| line(host, &facts(tuning_facts()))).collect();
    fs::write(dir.path().join("facts.jsonl"), lines.join("\n")).unwrap();
    let inventory = json!({"_meta": {"hostvars": {
        "a": {"apache_tuning_keepalive": {"enabled": true, "timeout": 2}},
        "b": {"apache_tuning_settings": {"max_request_workers": "{{ n }}"}},
        "c": {"apache_tuning_mmp": "event"},
        "d": {}
    }}, "web": {"hosts": ["a", "b", "c", "d"]}});
    fs::write(dir.path().join("inventory.json"), inventory.to_string()).unwrap();
    let ran = fleet(dir.path(), &["--facts", "facts.jsonl", "--inventory", "inventory.json", "--json"]);
    let verdicts = verdicts(&ran.out);
    assert_eq!(verdicts["a"], ("change".to_owned(), "KeepAliveTimeout 5 → 2".to_owned()));
    assert!(
        verdicts["b"].0 == "unknown" && verdicts["b"].1.contains("apache_tuning_settings"),
        "{verdicts:?}"
    );
    assert!(verdicts["c"].0 == "refused" && verdicts["c"].1.contains("mpm"), "{verdicts:?}");
    assert!(verdicts["d"].0 == "unknown" && verdicts["d"].1.contains("no facts"), "{verdicts:?}");
    assert_eq!(verdicts["stray"].0, "unknown");
    let summary = records(&ran.out).pop().unwrap();
    assert_eq!((summary["inventory"].clone(), summary["hosts"].clone()), (json!(4), json!(5)));
}
