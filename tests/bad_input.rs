//! Whatever is asked, there is one JSON object for an answer, in bounds of time and size, and what is refused has changed
//! nothing: five hundred bad inputs and more, most of them made from the schema.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// The parameters, as the types have them.
const SCHEMA: &str = include_str!("../schema/params.json");

/// The most that an answer may have, in bytes.
const LARGEST: usize = 128 * 1024;

/// The longest that an answer may take, on a machine with much else to do.
const LONGEST: Duration = Duration::from_secs(20);

/// Returns the parameters with `value` at a path.
fn at(path: &[String], value: &str) -> String {
    path.iter().rev().fold(value.to_owned(), |inner, key| format!("{{{}: {inner}}}", json!(key)))
}

/// Returns what no parameter of this type takes.
fn wrong(schema: &Value) -> Vec<&'static str> {
    let not_for_any =
        ["[[[]]]", "{\"a\": {\"b\": 1}}", "\"a\\u0000b\"", "\"5\\nListen 81\"", "\"\\ud800\"", "1e999"];
    let of_type: &[&str] = match schema["type"].as_str().unwrap_or_default() {
        "integer" => {
            &["\"64x\"", "\"0x40\"", "\"\"", "1.5", "[1, 2]", "9223372036854775808", "\"$(id)\"", "\"１\""]
        }
        "boolean" => &["\"maybe\"", "2", "\"\"", "[true]", "-1"],
        "object" => &["\"x\"", "[1]", "1", "{\"invented\": 1}", "{\"\": 1}", "{\"a\": 1, \"a\": 1}"],
        "array" => &["{\"a\": 1}", "[[1]]", "[{\"a\": []}]", "[\"x\\r\"]"],
        _ if schema.get("enum").is_some() => &["\"x\"", "\"\"", "[\"x\"]", "1", "true"],
        _ => &["[1]", "{}", "[\"\"]"],
    };
    let any = if schema["type"] == "object" { &not_for_any[..1] } else { &not_for_any[..] };
    of_type.iter().chain(any).copied().collect()
}

/// Adds the bad inputs for everything below a schema.
fn of_schema(schema: &Value, path: &mut Vec<String>, inputs: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    for (key, below) in properties {
        path.push(key.clone());
        inputs.extend(wrong(below).into_iter().map(|value| at(path, value)));
        of_schema(below, path, inputs);
        let name = path.pop().unwrap();
        // Misspelled, and given twice.
        path.push(format!("{name}s"));
        inputs.push(at(path, "1"));
        path.pop();
        inputs.push(at(path, &format!("{{{0}: null, {0}: null}}", json!(name))));
    }
}

/// What no schema tells.
fn of_a_list() -> Vec<Vec<u8>> {
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let many = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(",");
    let long = "x".repeat(1 << 20);
    let texts = [
        String::new(),
        " \n\t".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "\"mpm\"".to_owned(),
        "{".to_owned(),
        "}".to_owned(),
        "{]".to_owned(),
        "{\"mpm\"}".to_owned(),
        "{mpm: event}".to_owned(),
        "{'mpm': 'event'}".to_owned(),
        "{\"mpm\": \"event\",}".to_owned(),
        "{\"mpm\": \"event\"} {}".to_owned(),
        "{\"mpm\": \"event\"} x".to_owned(),
        "// c\n{}".to_owned(),
        "mpm: event\n".to_owned(),
        "\u{feff}{\"mpm\": \"x\"}".to_owned(),
        "{\"mpm\": \"event\", \"mp\\u006d\": \"worker\"}".to_owned(),
        "{\"_ansible_check_mode\": \"maybe\", \"mpm\": \"event\"}".to_owned(),
        "{\"_ansible_check_mode\": false, \"_ansible_check_mode\": true}".to_owned(),
        "{\"_ansible_diff\": []}".to_owned(),
        "{\"_ansible_module_name\": 1}".to_owned(),
        "{\"settings\": {\"max_request_workers\": 99999999}}".to_owned(),
        "{\"settings\": {\"server_limit\": -1, \"threads_per_child\": 0}}".to_owned(),
        "{\"settings\": {\"max_request_workers\": 9223372036854775807}}".to_owned(),
        "{\"settings\": {\"max_request_workers\": -9223372036854775808}}".to_owned(),
        "{\"capacity\": {\"connections\": 9223372036854775807}}".to_owned(),
        "{\"capacity\": {\"connections\": 0}}".to_owned(),
        "{\"keepalive\": {\"timeout\": \"5 minutes\"}}".to_owned(),
        "{\"keepalive\": {\"timeout\": \"99999999999999999999s\"}}".to_owned(),
        "{\"memory\": {\"per_worker\": \"99999999999999999999G\"}}".to_owned(),
        "{\"state\": \"rolled_back\", \"transaction\": \"../../../etc/passwd\"}".to_owned(),
        "{\"state\": \"rolled_back\", \"transaction\": \"20261120T231500Z-1f2e\"}".to_owned(),
        "{\"state\": \"absent\", \"transaction\": \"20261120T231500Z-1f2e\"}".to_owned(),
        "{\"instance\": \"../blue\"}".to_owned(),
        "{\"instance\": \"nobody\"}".to_owned(),
        "{\"root\": \"etc\"}".to_owned(),
        "{\"root\": \"/nowhere\"}".to_owned(),
        "{\"root\": \"/etc/passwd\"}".to_owned(),
        "{\"health\": {\"url\": \"http://169.254.169.254/\"}}".to_owned(),
        "{\"health\": {\"url\": \"http://[::1\"}}".to_owned(),
        "{\"facts\": {\"distribution\": \"Plan9\"}, \"keepalive\": {\"timeout\": 5}}".to_owned(),
        "{\"mpm\": \"event\", \"facts\": {\"memory_mb\": -1}}".to_owned(),
        format!("{{\"mpm\": {}}}", deep("[", "]", 100_000)),
        deep("{\"a\":", "}", 100_000),
        deep("[", "", 1_000_000),
        format!("{{\"{long}\": 1}}"),
        format!("{{\"mpm\": \"{long}\"}}"),
        format!("{{\"evasive\": {{\"whitelist\": [\"{long}\"]}}}}"),
        format!("{{\"evasive\": {{\"whitelist\": [\"{long}\\n\"]}}}}"),
        format!("{{\"evasive\": {{\"system_command\": \"{long}\"}}}}"),
        format!("{{\"evasive\": {{\"whitelist\": [{}]}}}}", many(100_000, &|n| format!("\"10.0.0.{n}\""))),
        format!("{{\"evasive\": {{\"whitelist\": [{}]}}}}", many(500_000, &|n| format!("\"10.{n}\""))),
        format!("{{\"waive\": [{}]}}", many(100_000, &|n| format!("\"MRW-{n}\""))),
        format!("{{{}}}", many(100_000, &|n| format!("\"k{n}\": 1"))),
        format!("{{{}}}", many(50_000, &|_| "\"mpm\": \"event\"".to_owned())),
        format!("{{\"keep\": {}}}", "9".repeat(1 << 20)),
        format!("{{\"keep\": 1{}}}", ".0".repeat(1000)),
        format!("{{\"mpm\": \"event\"}}{}x", " ".repeat(17 << 20)),
    ];
    let mut all: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    all.extend([
        b"{\"mpm\": \"\xff\"}".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        b"\0".to_vec(),
        vec![0; 1 << 20],
        b"\x1f\x8b\x08\x00".to_vec(),
        b"{\"mpm\": \"event\"\0}".to_vec(),
    ]);
    all
}

#[test]
fn every_bad_input_has_one_bounded_answer_and_changes_nothing() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    let mut of_the_schema = Vec::new();
    of_schema(&serde_json::from_str(SCHEMA).unwrap(), &mut Vec::new(), &mut of_the_schema);
    let (made, listed) = (of_the_schema.len(), of_a_list().len());
    let inputs = of_the_schema.into_iter().map(String::into_bytes).chain(of_a_list());
    let before = host.listing();
    let (mut longest, mut largest) = (Duration::ZERO, 0);
    for input in inputs {
        let shown = String::from_utf8_lossy(&input[..input.len().min(200)]).into_owned();
        let since = Instant::now();
        let ran = host.run_with_input(&["/usr/local/bin/apache-tuning", "-"], &input);
        let took = since.elapsed();
        let answer: Value = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{shown}: {error}: {:?} {} {}", ran.code, ran.stdout, ran.stderr));
        assert!(answer.is_object() && ran.stdout.lines().count() == 1, "{shown}: {}", ran.stdout);
        assert_eq!((ran.code, &answer["failed"]), (Some(1), &json!(true)), "{shown}: {}", answer["msg"]);
        assert_eq!(answer["changed"], false, "{shown}: {}", answer["msg"]);
        assert!(answer["msg"].as_str().is_some_and(|said| !said.is_empty()), "{shown}: {answer}");
        assert!(ran.stderr.is_empty(), "{shown}: {}", ran.stderr);
        assert!(ran.stdout.len() <= LARGEST, "{shown}: {} bytes", ran.stdout.len());
        assert!(took <= LONGEST, "{shown}: {took:?}");
        (longest, largest) = (longest.max(took), largest.max(ran.stdout.len()));
    }
    assert_eq!(host.listing().changes_since(&before), [""; 0]);
    assert!(made + listed >= 500, "{made} and {listed}");
    eprintln!("{made} inputs of the schema, {listed} of a list: at most {largest} bytes, {longest:?}");
}
