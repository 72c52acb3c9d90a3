//! Parameters as Ansible hands them: brought to their type, all structural errors at once, in Ansible's words.
#![allow(clippy::unwrap_used, clippy::panic)]

use apache_tuning::features::evasive::Evasive;
use apache_tuning::features::keepalive::KeepAlive;
use apache_tuning::params::{self, Asked, Params};
use apache_tuning::registry::FEATURES;

fn taken(json: &str) -> Params {
    match params::parse(json.as_bytes(), FEATURES) {
        Ok((Asked::Tuning(params), _)) => *params,
        other => panic!("{json}: {other:?}"),
    }
}

fn errors(json: &[u8]) -> Vec<(String, String)> {
    match params::parse(json, FEATURES) {
        Err(refused) => refused.errors.into_iter().map(|error| (error.path, error.message)).collect(),
        Ok(taken) => panic!("{}: taken as {taken:?}", String::from_utf8_lossy(json)),
    }
}

#[test]
fn values_are_brought_to_their_type_as_ansible_does_it() {
    for value in ["64", "\"64\"", "\" 64 \"", "\"+64\"", "\"0064\""] {
        let params = taken(&format!(r#"{{"settings": {{"threads_per_child": {value}}}}}"#));
        assert_eq!(params.settings.unwrap().threads_per_child, Some(64), "{value}");
    }
    for (value, want) in [
        ("true", true),
        ("\"YES\"", true),
        ("\" on \"", true),
        ("1", true),
        ("\"t\"", true),
        ("false", false),
        ("\"No\"", false),
        ("\"off\"", false),
        ("0", false),
        ("\"F\"", false),
    ] {
        let params = taken(&format!(r#"{{"keepalive": {{"enabled": {value}}}}}"#));
        assert_eq!(params.groups.get::<KeepAlive>().unwrap().enabled, Some(want), "{value}");
    }
    assert_eq!(
        taken(r#"{"keepalive": {"timeout": 5}}"#)
            .groups
            .get::<KeepAlive>()
            .unwrap()
            .timeout
            .as_deref()
            .unwrap(),
        "5"
    );
    assert_eq!(
        taken(r#"{"evasive": {"whitelist": "127.0.0.1, ::1"}}"#)
            .groups
            .get::<Evasive>()
            .unwrap()
            .whitelist
            .as_ref()
            .unwrap()
            .len(),
        2
    );
    let settings = taken(r#"{"settings": "server_limit=17, thread_limit=64"}"#).settings.unwrap();
    assert_eq!((settings.server_limit, settings.thread_limit), (Some(17), Some(64)));
    let settings = taken(r#"{"settings": "{\"server_limit\": \"17\"}"}"#).settings.unwrap();
    assert_eq!(settings.server_limit, Some(17));
}

#[test]
fn null_is_not_given() {
    let nulls = taken(
        r#"{"mpm": null, "settings": null, "state": null, "keep": null, "keepalive": {"timeout": null}}"#,
    );
    assert_eq!(nulls, taken(r#"{"keepalive": {}}"#));
}

#[test]
fn ansibles_own_keys_are_not_parameters() {
    let json = r#"{"_ansible_check_mode": true, "_ansible_diff": true, "_ansible_invented_later": {"a": [1]},
        "_ansible_tmpdir": null, "mpm": "event"}"#;
    let (_, context) = params::parse(json.as_bytes(), FEATURES).unwrap();
    assert!(context.check_mode && context.diff && !context.invocation);
}

#[test]
fn the_module_name_chooses_the_module() {
    for (name, info) in [
        ("webfleet.apache.tuning", false),
        ("webfleet.apache.tuning_info", true),
        ("tuning_info", true),
        ("", false),
    ] {
        let json = format!(r#"{{"_ansible_module_name": "{name}"}}"#);
        let (asked, _) = params::parse(json.as_bytes(), FEATURES).unwrap();
        assert_eq!(matches!(asked, Asked::Info(_)), info, "{name}");
    }
}

#[test]
fn each_structural_error_is_told_with_its_path() {
    const TPC: &str = "settings.threads_per_child";
    for (json, path, words) in [
        (r#"{"settings": {"threads_per_child": "64x"}}"#, TPC, "unable to convert to int"),
        (r#"{"settings": {"threads_per_child": "0x40"}}"#, TPC, "unable to convert to int"),
        (r#"{"settings": {"threads_per_child": 6.4e1}}"#, TPC, "is of type float"),
        (r#"{"settings": {"threads_per_child": ""}}"#, TPC, "is of type str found in 'settings'"),
        (r#"{"settings": {"threads_per_child": true}}"#, TPC, "is of type bool"),
        (r#"{"settings": {"threads_per_child": [64]}}"#, TPC, "is of type list"),
        (r#"{"settings": {"server_limit": "99999999999999999999"}}"#, "settings.server_limit", "64 bits"),
        (r#"{"settings": {"server_limit": 18446744073709551615}}"#, "settings.server_limit", "64 bits"),
        (r#"{"settings": 5}"#, "settings", "unable to convert to dict"),
        (r#"{"settings": "five"}"#, "settings", "neither a JSON object"),
        (r#"{"settings": "server_limit=1, server_limit=2"}"#, "settings.server_limit", "given twice"),
        (r#"{"keepalive": {"enabled": "maybe"}}"#, "keepalive.enabled", "unable to convert to bool"),
        (r#"{"keepalive": {"enabled": 2}}"#, "keepalive.enabled", "unable to convert to bool"),
        (r#"{"mpm": "itk"}"#, "mpm", "value of mpm must be one of: event, worker, prefork, got: itk"),
        (r#"{"mpm": "evnt"}"#, "mpm", "did you mean 'event'"),
        (r#"{"mpm": ["event"]}"#, "mpm", "unable to convert to str"),
        (r#"{"state": "gone"}"#, "state", "must be one of: present, absent, rolled_back, got: gone"),
        (r#"{"mod_php": "remove"}"#, "mod_php", "must be one of: refuse, disable"),
        (r#"{"placement": "dropin"}"#, "placement", "did you mean 'drop_in'"),
        (r#"{"activation": true}"#, "activation", "must be one of: auto, defer, got: True"),
        (r#"{"setings": {}}"#, "setings", "Did you mean 'settings'?"),
        (
            r#"{"settings": {"MaxRequestWorkers": 1}}"#,
            "settings.MaxRequestWorkers",
            "mean 'max_request_workers'?",
        ),
        (
            r#"{"settings": {"max_clients": 1}}"#,
            "settings.max_clients",
            "mean 'max_request_workers'? MaxClients is MaxRequestWorkers since httpd 2.4.",
        ),
        (
            r#"{"settings": {"MaxRequestsPerChild": 1}}"#,
            "settings.MaxRequestsPerChild",
            "mean 'max_connections_per_child'? MaxRequestsPerChild is MaxConnectionsPerChild since httpd 2.4.",
        ),
        (
            r#"{"keepalive": {"KeepAliveTimeout": 1}}"#,
            "keepalive.KeepAliveTimeout",
            "Did you mean 'timeout'?",
        ),
        (r#"{"MaxRequestWorkers": 1}"#, "MaxRequestWorkers", "Did you mean 'settings.max_request_workers'?"),
        (
            r#"{"keep_alive_timeout": 1}"#,
            "keep_alive_timeout",
            "mean 'keepalive.timeout'? It sets KeepAliveTimeout.",
        ),
        (r#"{"evasive": {"DOSPageCount": 1}}"#, "evasive.DOSPageCount", "Did you mean 'page_count'?"),
        (
            r#"{"evasive": {"pagecount": 1}}"#,
            "evasive.pagecount",
            "Supported parameters include: enabled, hash_table_size",
        ),
        (
            r#"{"zzzzzzzz": 1}"#,
            "zzzzzzzz",
            "Unsupported parameters for (webfleet.apache.tuning) module: zzzzzzzz. Supp",
        ),
        (
            r#"{"capacity": {}}"#,
            "capacity.connections",
            "missing required arguments: connections found in capacity",
        ),
        (r#"{"capacity": {"connections": 0}}"#, "capacity.connections", "at least 1"),
        (r#"{"capacity": {"connections": -5}}"#, "capacity.connections", "at least 1, got: -5"),
        (
            r#"{"capacity": {"connections": 5, "active": 6}}"#,
            "capacity.active",
            "at most capacity.connections (5)",
        ),
        (r#"{"capacity": {"connections": 5, "burst": 0}}"#, "capacity.burst", "at least 1, got: 0"),
        (
            r#"{"capacity": {"connections": 5}, "settings": {"server_limit": 5}}"#,
            "capacity",
            "mutually exclusive",
        ),
        (r#"{"health": {}}"#, "health.url", "missing required arguments: url"),
        (r#"{"health": {"url": "https://x/"}}"#, "health.url", "is not an http:// address"),
        (
            r#"{"health": {"url": "http://x/\r\nHost: y"}}"#,
            "health.url",
            "holds blanks or control characters",
        ),
        (r#"{"health": {"url": "http://u@x/"}}"#, "health.url", "holds a user name"),
        (r#"{"health": {"url": "http://localhost:99999/"}}"#, "health.url", "has no port from 1 to 65535"),
        (r#"{"health": {"url": "http://x/", "status": 600}}"#, "health.status", "at most 599, got: 600"),
        (r#"{"waive": {"a": 1}}"#, "waive", "unable to convert to list"),
        (r#"{"waive": [["a"]]}"#, "waive[0]", "Elements value for option 'waive' is of type list"),
        (r#"{"waive": ["MRW-02"]}"#, "waive[0]", "MRW-002"),
        (r#"{"keep": 0}"#, "keep", "at least 1"),
        (r#"{"lock_timeout": -1}"#, "lock_timeout", "at least 0"),
        (r#"{"transaction": "x"}"#, "transaction", "only for state: rolled_back"),
        (r#"{"state": "rolled_back", "transaction": "../../etc"}"#, "transaction", "must be an id"),
        (r#"{"instance": "../x"}"#, "instance", "must be a name"),
        (r#"{"root": "relative"}"#, "root", "must be an absolute path"),
        (r#"{"memory": {"per_worker": "ten"}}"#, "memory.per_worker", "such as 10M or 1G, or measured"),
        (r#"{"memory": {"reserve": "measured"}}"#, "memory.reserve", "such as 10M"),
        (
            r#"{"evasive": {"log_dir": "/tmp\nDOSPageCount 1"}}"#,
            "evasive.log_dir",
            "control character U+000A",
        ),
        (r#"{"evasive": {"email_notify": "a\u0000b"}}"#, "evasive.email_notify", "control character U+0000"),
        (
            r#"{"evasive": {"whitelist": ["127.0.0.1", "x\r"]}}"#,
            "evasive.whitelist[1]",
            "control character U+000D",
        ),
        (
            r#"{"evasive": {"system_command": "${X} %s"}}"#,
            "evasive.system_command",
            "variable that httpd would",
        ),
        (r#"{"keepalive": {"timeout": "5\nListen 81"}}"#, "keepalive.timeout", "control character"),
        (r#"{"keepalive": {"timeout": ""}}"#, "keepalive.timeout", "is empty"),
        (r#"{"facts": {"memory_mb": "lots"}}"#, "facts.memory_mb", "unable to convert to int"),
        (r#"{"facts": {"php": "php-fpm"}}"#, "facts.php", "must be one of: mod_php, fpm, none"),
        (r#"{"facts": {"ram": 1}}"#, "facts.ram", "Unsupported parameters"),
        (r#"{"mpm": "event", "mpm": "worker"}"#, "mpm", "given twice"),
        (r#"{"evasive": {"whitelist": ["a"], "whitelist": ["b"]}}"#, "evasive.whitelist", "given twice"),
        ("", "", "empty"),
        ("  \n", "", "empty"),
        ("{", "", "not JSON: EOF"),
        (r#"{"mpm": "event""#, "", "not JSON: EOF"),
        (r#"{"keep": NaN}"#, "", "not JSON"),
        (r#"{"keep": Infinity}"#, "", "not JSON"),
        ("[1, 2]", "", "not a JSON object"),
        ("null", "", "not a JSON object"),
        ("{} {}", "", "not JSON: trailing characters"),
    ] {
        let errors = errors(json.as_bytes());
        assert!(
            errors.iter().any(|(at, message)| at == path && message.contains(words)),
            "{json}: wanted {words:?} at {path:?}, got {errors:#?}"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_with_the_place() {
    let errors = errors(b"{\"mpm\": \"\xff\"}");
    assert!(errors[0].1.contains("byte 9 is 0xff"), "{errors:?}");
}

#[test]
fn all_errors_are_told_at_once() {
    let json =
        r#"{"mpm": "x", "settings": {"server_limit": "a", "foo": 1}, "keep": 0, "keep": 0, "root": "r"}"#;
    let paths: Vec<String> = errors(json.as_bytes()).into_iter().map(|(path, _)| path).collect();
    for path in ["mpm", "settings.server_limit", "settings.foo", "keep", "root"] {
        assert!(paths.contains(&path.to_owned()), "{path} is missing in {paths:?}");
    }
}

#[test]
fn unknown_keys_are_accepted_where_ansible_says_so() {
    let json = r#"{"_ansible_ignore_unknown_opts": true, "invented": 1, "mpm": "event"}"#;
    assert!(params::parse(json.as_bytes(), FEATURES).is_ok());
}

#[test]
fn a_check_mode_that_is_not_understood_is_refused_and_never_taken_for_no() {
    for key in ["_ansible_check_mode", "_ansible_diff"] {
        for (value, want) in [
            ("true", true),
            ("\"True\"", true),
            ("\" YES \"", true),
            ("1", true),
            ("\"on\"", true),
            ("false", false),
            ("0", false),
            ("\"no\"", false),
        ] {
            let (_, context) =
                params::parse(format!(r#"{{"{key}": {value}}}"#).as_bytes(), FEATURES).unwrap();
            let flag = if key == "_ansible_diff" { context.diff } else { context.check_mode };
            assert_eq!(flag, want, "{key} {value}");
        }
        for value in ["\"maybe\"", "null", "[true]", "{}", "\"\"", "2", "1.5", "\"tru\""] {
            let told = errors(format!(r#"{{"{key}": {value}}}"#).as_bytes());
            assert!(
                told.len() == 1 && told[0].0 == key && told[0].1.contains("must be a boolean"),
                "{told:?}"
            );
        }
        let told = errors(format!(r#"{{"{key}": true, "{key}": false}}"#).as_bytes());
        assert!(told[0].1.contains("given twice"), "{told:?}");
    }
    let told = errors(br#"{"_ansible_module_name": ["tuning_info"]}"#);
    assert_eq!(told[0].0, "_ansible_module_name");
}

/// Returns the bytes that the errors of these parameters take as JSON, and how many there are.
fn size_of_errors(json: &str) -> (usize, Vec<(String, String)>) {
    let told = errors(json.as_bytes());
    (serde_json::to_string(&told).unwrap().len(), told)
}

#[test]
fn very_many_errors_and_very_long_ones_stay_readable() {
    let many = |n: usize, item: &dyn Fn(usize) -> String| (0..n).map(item).collect::<Vec<_>>().join(",");
    let long = "x".repeat(1 << 18);
    let cases = [
        ("unknown keys", format!("{{{}}}", many(20_000, &|i| format!("\"k{i}\":1")))),
        ("unknown keys below", format!("{{\"settings\":{{{}}}}}", many(20_000, &|i| format!("\"k{i}\":1")))),
        ("unknown rules", format!("{{\"waive\":[{}]}}", many(20_000, &|i| format!("\"MRW-{i}\"")))),
        ("no text", format!("{{\"waive\":[{}]}}", many(20_000, &|_| "[]".into()))),
        ("bad lines", format!("{{\"evasive\":{{\"whitelist\":[{}]}}}}", many(20_000, &|_| "\"\\n\"".into()))),
        ("keys twice", format!("{{{}}}", many(20_000, &|i| format!("\"k{i}\":1,\"k{i}\":1")))),
        ("one long key", format!("{{\"{long}\":1}}")),
        ("a list below a long key", format!("{{\"{long}\":[{}]}}", many(20_000, &|_| "1".into()))),
        (
            "control characters",
            format!("{{{}}}", many(10_000, &|i| format!("\"{}{i}\":1", "\\u0001".repeat(90)))),
        ),
        ("a long word", format!("{{\"mpm\":\"{long}\"}}")),
        ("a long number", format!("{{\"keep\":\"{long}\"}}")),
        ("a long id", format!("{{\"waive\":[\"{long}\"]}}")),
        ("a long name", format!("{{\"instance\":\"/{long}\"}}")),
        ("a long address", format!("{{\"health\":{{\"url\":\"{long}\"}}}}")),
        ("a long root", format!("{{\"root\":\"{long}\"}}")),
        ("a long line", format!("{{\"evasive\":{{\"whitelist\":[\"{long}\\n\"]}}}}")),
        ("a long text", format!("{{\"evasive\":{{\"system_command\":\"{long}\"}}}}")),
        ("a long amount", format!("{{\"memory\":{{\"reserve\":\"{long}\"}}}}")),
        ("a long module name", format!("{{\"_ansible_module_name\":\"{long}\",\"k\":1}}")),
    ];
    for (name, json) in &cases {
        let (bytes, told) = size_of_errors(json);
        assert!(bytes <= 32 * 1024 && told.len() <= 51, "{name}: {bytes} bytes, {} errors", told.len());
        let counted =
            told.iter().any(|(_, message)| message.starts_with("and ") && message.contains(" more "));
        assert_eq!(counted, !name.contains("long"), "{name}: {told:?}");
    }
}

#[test]
fn the_known_names_are_listed_once() {
    let told = errors(br#"{"aa": 1, "bb": 1, "facts": {"cc": 1, "dd": 1}}"#);
    let lists = told.iter().filter(|(_, message)| message.contains("Supported parameters include")).count();
    assert_eq!((told.len(), lists), (4, 2), "{told:?}");
}

#[test]
fn parameters_that_are_too_large_are_refused_and_never_cut() {
    let mut json = br#"{"mpm": "event"}"#.to_vec();
    json.resize(16 << 20, b' ');
    assert!(params::parse(&json, FEATURES).is_ok());
    json.push(b' ');
    assert!(errors(&json)[0].1.contains("larger than 16 MiB"));
}
