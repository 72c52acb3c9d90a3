//! Facts that are damaged, hostile or missing: each host gets its verdict, none is lost, none stops the run.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use crate::support::{facts, fleet, line, new_form, old_form, records, tuning_facts, verdicts};

fn place() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("desired.json"), r#"{"keepalive": {"timeout": 3}}"#).unwrap();
    fs::create_dir(dir.path().join("cache")).unwrap();
    dir
}

#[test]
fn a_damaged_file_is_that_hosts_verdict_alone() {
    let dir = place();
    let whole = facts(tuning_facts());
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("{}".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("empty".into(), Vec::new()),
        ("blank".into(), b" \n ".to_vec()),
        ("list".into(), b"[1]".to_vec()),
        ("payload_number".into(), br#"{"__payload__": 3}"#.to_vec()),
        ("payload_text".into(), br#"{"__payload__": "no json"}"#.to_vec()),
        ("payload_empty".into(), br#"{"__payload__": ""}"#.to_vec()),
        ("payload_cut".into(), new_form(&whole).into_bytes()[..900].to_vec()),
        ("latin".into(), b"{\"ansible_distribution\": \"\xe4\"}".to_vec()),
        ("utf16".into(), utf16),
        ("nul".into(), b"{\"a\": \"\0\"}".to_vec()),
        ("gzip".into(), vec![0x1f, 0x8b, 8, 0]),
        ("pickle".into(), b"\x80\x04}q\x00.".to_vec()),
        ("yaml".into(), b"ansible_distribution: Debian\n".to_vec()),
        ("infinite".into(), br#"{"ansible_memtotal_mb": 1e400}"#.to_vec()),
        ("deep".into(), format!("{{\"__ansible_type\": {deep}}}").into_bytes()),
        ("twice_key".into(), br#"{"apache_tuning": null, "apache_tuning": null}"#.to_vec()),
        ("s2_web".into(), new_form(&whole).into_bytes()),
    ];
    let text = old_form(&whole).into_bytes();
    for (number, cut) in (1..text.len()).step_by(997).enumerate() {
        cases.push((format!("cut{number:03}"), text[..cut].to_vec()));
    }
    for (name, content) in &cases {
        fs::write(dir.path().join("cache").join(name), content).unwrap();
    }
    fs::create_dir(dir.path().join("cache/directory")).unwrap();
    symlink("nowhere", dir.path().join("cache/dangling")).unwrap();
    symlink("loop", dir.path().join("cache/loop")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("cache/fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    fs::write(dir.path().join("cache/good"), old_form(&whole)).unwrap();
    fs::write(dir.path().join("cache/tmpabc12_xy"), "left by a killed run").unwrap();
    fs::write(dir.path().join("cache/site.retry"), "web1\n").unwrap();

    let ran = fleet(dir.path(), &["desired.json", "--facts", "cache", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let verdicts = verdicts(&ran.out);
    println!("{} files tried", verdicts.len());
    assert_eq!(verdicts.len(), cases.len() + 5);
    for (name, (verdict, message)) in &verdicts {
        let want = if name == "good" { "change" } else { "damaged" };
        assert_eq!(verdict, want, "{name}: {message}");
    }
    for (name, word) in [
        ("pickle", "pickle"),
        ("yaml", "YAML"),
        ("gzip", "gunzip"),
        ("utf16", "UTF-16"),
        ("fifo", "no regular file"),
        ("s2_web", "newer form"),
    ] {
        assert!(verdicts[name].1.contains(word), "{name}: {}", verdicts[name].1);
    }
    let note = records(&ran.out).into_iter().find(|record| record["name"] == "cut001").unwrap();
    assert_eq!(note["note"], "cache/cut001, byte 998", "{note}");
}

#[test]
fn what_is_missing_or_no_number_is_unknown_only_where_it_is_needed() {
    let dir = place();
    let odd = |value: serde_json::Value| {
        let mut tuning = tuning_facts();
        tuning["limits"]["memory_mb"]["value"] = value;
        facts(tuning)
    };
    let mut lines = vec![
        line("timeout", &json!({"module_setup": true})),
        line("setup_only", &json!({"ansible_distribution": "Debian", "ansible_memtotal_mb": 4096})),
        line("negative", &odd(json!(-1))),
        line("text", &odd(json!("4096"))),
        line("huge", &odd(json!(1e30))),
        line("newer", &facts(json!({"version": "2.0"}))),
    ];
    lines.push(line(
        "strange",
        &json!({"apache_tuning": {"mpm": "event", "limits": {"somaxconn": 4096, "open_files": null}}}),
    ));
    fs::write(dir.path().join("facts.jsonl"), lines.join("\n")).unwrap();
    fs::write(dir.path().join("load.json"), r#"{"capacity": {"connections": 500}}"#).unwrap();
    let by_load = verdicts(&fleet(dir.path(), &["load.json", "--facts", "facts.jsonl", "--json"]).out);
    let by_keepalive =
        verdicts(&fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--json"]).out);
    for (host, load, keepalive) in [
        ("timeout", "unknown", "unknown"),
        ("setup_only", "unknown", "unknown"),
        ("text", "change", "change"),
        ("newer", "unknown", "unknown"),
        ("strange", "unknown", "unknown"),
    ] {
        assert_eq!(by_load[host].0, load, "{host}: {}", by_load[host].1);
        assert_eq!(by_keepalive[host].0, keepalive, "{host}: {}", by_keepalive[host].1);
    }
    // Keep-alive asks for no memory; a load does, and Ansible's own number stands in.
    for host in ["negative", "huge"] {
        assert_eq!(by_keepalive[host].0, "change", "{host}: {}", by_keepalive[host].1);
    }
    assert!(by_load["newer"].1.contains("2.0"));
    assert!(by_load["setup_only"].1.contains("webfleet.apache.facts"));
}

#[test]
fn hostile_names_are_shown_and_never_obeyed() {
    let dir = place();
    let names = [
        "a b",
        "it's \"x\"",
        "<script>alert(1)</script>",
        "\u{1b}[2Jclear",
        "\u{202e}drow",
        "::1",
        &"n".repeat(4096),
    ];
    let lines: Vec<String> = names.iter().map(|name| line(name, &facts(tuning_facts()))).collect();
    fs::write(dir.path().join("facts.jsonl"), lines.join("\n")).unwrap();
    let ran = fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl"]);
    assert!(!ran.out.contains('\u{1b}') && !ran.out.contains('\u{202e}'), "{}", ran.out);
    let listed = fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--json"]);
    assert_eq!(verdicts(&listed.out).len(), names.len());
    let id =
        records(&listed.out).into_iter().find(|record| record["record"] == "group").unwrap()["id"].clone();
    let ran = fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--group", id.as_str().unwrap()]);
    assert!(ran.out.contains("\\u{1b}[2Jclear") && ran.out.contains("\\u{202e}drow"), "{}", ran.out);
}

#[test]
fn one_line_of_any_length_and_a_reader_that_goes_away_end_well() {
    let dir = place();
    let long = format!("{{\"host\": \"long\", \"x\": \"{}\"}}", "y".repeat(17 << 20));
    let text = [
        line("first", &facts(tuning_facts())),
        long,
        "no json".to_owned(),
        line("last", &facts(tuning_facts())),
    ];
    fs::write(dir.path().join("facts.jsonl"), text.join("\n")).unwrap();
    let ran = fleet(dir.path(), &["desired.json", "--facts", "facts.jsonl", "--json"]);
    let verdicts = verdicts(&ran.out);
    assert_eq!(verdicts.len(), 4, "{:?}", verdicts.keys());
    assert_eq!(verdicts["long"].0, "damaged");
    assert_eq!(verdicts["facts.jsonl:3"].0, "damaged");
    assert_eq!((verdicts["first"].0.as_str(), verdicts["last"].0.as_str()), ("change", "change"));

    let lines: Vec<String> = (0..3000).map(|number| line(&format!("h{number}"), &json!({}))).collect();
    fs::write(dir.path().join("many.jsonl"), lines.join("\n")).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_apache-tuning"))
        .args(["fleet", "desired.json", "--facts", "many.jsonl", "--json"])
        .current_dir(dir.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_wrong_call_says_what_is_missing() {
    let dir = place();
    for (arguments, code, word) in [
        (&[][..], 2, "--facts"),
        (&["--facts", "cache"], 2, "DESIRED.json"),
        (&["desired.json", "--facts", "nowhere"], 1, "nowhere"),
        (&["desired.json", "--facts", "cache", "--max-age", "soon"], 2, "24h"),
        (&["desired.json", "--facts", "cache", "--order", "zone,sed=1"], 2, "seed"),
        (&["nodesired.json", "--facts", "cache"], 1, "nodesired.json"),
        (&["desired.json", "--facts", "cache", "--inventory", "desired.json"], 1, "ansible-inventory"),
    ] {
        let ran = fleet(dir.path(), arguments);
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(word), "{arguments:?}: {}", ran.err);
        assert!(ran.out.is_empty());
    }
}
