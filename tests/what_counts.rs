//! What another program or person writes on a real Debian host after the task was done, and what the next run says about it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use test_hosts::{Flavour, Host, Release};

/// The file that is read last of those enabled.
const LATER: &str = "/etc/apache2/conf-enabled/zzz.conf";

/// A host on which the task has been done.
struct Settled {
    host: Host,
    program: PathBuf,
}

fn task() -> Value {
    json!({
        "mpm": "event", "mod_php": "disable",
        "settings": {"server_limit": 17, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 1024},
        "keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
        "evasive": {"enabled": true, "page_count": 5, "site_count": 100}
    })
}

impl Settled {
    fn new() -> Self {
        let host = Host::of(Release::Bookworm, Flavour::Php);
        let program = host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        let settled = Self { host, program };
        assert_eq!(settled.run(&task())["changed"], true);
        settled
    }

    fn run(&self, parameters: &Value) -> Value {
        let text = parameters.to_string();
        let ran = self.host.run_with_input(&[self.program.to_str().unwrap(), "-"], text.as_bytes());
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// Writes the later file, predicts and runs the task, which must say the same, and takes the file away again.
    fn with(&self, later: impl AsRef<[u8]>) -> Value {
        self.host.write(LATER, later);
        let mut task = task();
        task["_ansible_verbosity"] = json!(1);
        let real = self.run(&task);
        let mut check = task.clone();
        check["_ansible_check_mode"] = json!(true);
        let predicted = self.run(&check);
        for key in ["failed", "findings", "overridden", "effective"] {
            assert_eq!(predicted[key], real[key], "{key}");
        }
        std::fs::remove_file(self.host.path(Path::new(LATER))).unwrap();
        assert_eq!(real["changed"], false, "{real}");
        real
    }
}

/// Returns what was said under a rule: severity and message.
fn said(report: &Value, rule: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let findings = findings.filter(|finding| finding["rule"] == rule);
    findings.map(|finding| (text(&finding["severity"]), text(&finding["message"]))).collect()
}

fn error(message: &str) -> Vec<(String, String)> {
    vec![("error".to_owned(), message.to_owned())]
}

fn warning(message: &str) -> Vec<(String, String)> {
    vec![("warning".to_owned(), message.to_owned())]
}

#[test]
fn a_later_line_is_told_as_it_is_written() {
    let settled = Settled::new();
    for (written, line) in [
        ("MaxRequestWorkers 256\n", 1),
        ("# Debian 6\r\nMaxClients 256\r\n", 2),
        ("# caf\u{e9}\nmaxclients 256", 2),
    ] {
        let report = settled.with(written);
        let name = written.lines().last().unwrap().split(' ').next().unwrap();
        let told = format!("{name} 256 at {LATER}:{line} is read later and wins over 1024");
        assert_eq!(said(&report, "OVR-001"), error(&told));
        assert_eq!(report["failed"], true);
        let entry = json!([{"setting": "MaxRequestWorkers", "wanted": "1024", "effective": "256", "file": LATER,
            "line": line, "scope": "main"}]);
        assert_eq!(report["overridden"], entry);
    }
}

#[test]
fn a_refused_result_has_every_error_and_nothing_of_the_change() {
    let settled = Settled::new();
    let mut refused = task();
    refused["settings"] =
        json!({"server_limit": 0, "threads_per_child": 65, "max_connections_per_child": 5000});
    refused["_ansible_diff"] = json!(true);
    let report = settled.run(&refused);
    assert_eq!((&report["failed"], &report["changed"]), (&json!(true), &json!(false)));
    for key in ["changes", "diff", "sizes"] {
        assert_eq!(report[key], json!([]), "{key}");
    }
    assert_eq!(report["effective"], json!({}));
    assert_eq!(report["activation"]["needed"], "none");
    let message = report["msg"].as_str().unwrap();
    for rule in ["SL-002: ", "TPC-001: "] {
        assert!(message.lines().any(|line| line.starts_with(rule)), "{message}");
    }
    assert!(message.ends_with("\nnothing was changed"), "{message}");
    let severities = |report: &Value| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        findings.map(|finding| finding["severity"].as_str().unwrap().to_owned()).collect()
    };
    assert!(!severities(&report).contains(&"info".to_owned()), "{report}");
    refused["_ansible_verbosity"] = json!(1);
    assert!(severities(&settled.run(&refused)).contains(&"info".to_owned()));

    // With no_log no value of a parameter is written.
    refused["_ansible_no_log"] = json!(true);
    let hidden = settled.run(&refused);
    let message = hidden["msg"].as_str().unwrap();
    assert!(message.contains("TPC-001 (settings.threads_per_child)") && !message.contains("65"), "{message}");
}

/// mod_evasive of the distribution keeps its lock files in /tmp on every host: no task but one about it warns.
#[test]
fn what_stands_whatever_the_task_does_is_a_finding_and_no_warning() {
    let settled = Settled::new();
    let warned = |task: &Value| -> bool {
        let report = settled.run(task);
        assert!(!said(&report, "EV-013").is_empty(), "{report}");
        let warnings = report["warnings"].as_array().unwrap().iter();
        warnings.map(|text| text.as_str().unwrap()).any(|text| text.starts_with("EV-013"))
    };
    let mut task = task();
    let evasive = task.as_object_mut().unwrap().remove("evasive").unwrap();
    assert!(!warned(&task));
    task["evasive"] = evasive;
    assert!(warned(&task));
}

#[test]
fn a_virtual_host_s_own_keep_alive_is_a_warning_and_its_line_for_the_process_an_error() {
    let settled = Settled::new();
    let report = settled.with(
        "<VirtualHost *:80>\nServerName k.example\nKeepAlive Off\nKeepAliveTimeout 5\nDOSPageCount 1\n</VirtualHost>\n",
    );
    let told = format!("the virtual host k.example has its own KeepAlive Off ({LATER}:3)");
    assert_eq!(said(&report, "OVR-002"), warning(&told), "the same timeout is none of its own");
    let told = format!("DOSPageCount 1 at {LATER}:5 is read later and wins over 5");
    assert_eq!(said(&report, "OVR-001"), error(&told));
    let entries: Vec<&Value> =
        report["overridden"].as_array().unwrap().iter().map(|entry| &entry["setting"]).collect();
    assert_eq!(entries, ["DOSPageCount", "KeepAlive"]);

    let report = settled.with("<VirtualHost *:80>\nKeepAlive Off\n</VirtualHost>\n");
    assert_eq!(report["failed"], Value::Null, "a warning is no failure");
    assert_eq!(said(&report, "OVR-002").len(), 1);
}

#[test]
fn the_task_and_the_information_name_the_same_lines_that_win() {
    let settled = Settled::new();
    settled.host.write(
        LATER,
        "MaxRequestWorkers 256\nMaxKeepAliveRequests 7\n<VirtualHost *:80>\nServerName k.example\nKeepAlive Off\n\
         KeepAliveTimeout 5s\nDOSPageCount 1\n</VirtualHost>\n",
    );
    let lines = |report: &Value| {
        let mut lines: Vec<String> =
            report["overridden"].as_array().unwrap().iter().map(Value::to_string).collect();
        lines.sort();
        lines
    };
    let by_task = lines(&settled.run(&task()));
    assert!(by_task.iter().any(|line| line.contains("k.example")), "{by_task:?}");
    let by_info = lines(&settled.run(&json!({"_ansible_module_name": "webfleet.apache.tuning_info"})));
    assert_eq!(by_info, by_task);
}

#[test]
fn a_variable_that_only_a_shell_sets_is_unknown_and_not_undefined() {
    let settled = Settled::new();
    let envvars = std::fs::read_to_string(settled.host.path(Path::new("/etc/apache2/envvars"))).unwrap();
    let last = envvars.lines().count() + 1;
    let shell = "export WORKERS=$(nproc)00";
    settled.host.write("/etc/apache2/envvars", format!("{envvars}{shell}\n"));
    // What others may write to is not carried out with root's power.
    settled.host.sh("chmod 666 /etc/apache2/envvars").ok();

    let report = settled.with("MaxRequestWorkers ${WORKERS}\n");
    let told = format!(
        "WORKERS at {LATER}:1 may be set by shell that was not followed (/etc/apache2/envvars:{last}): its value is \
         not known here"
    );
    assert_eq!(said(&report, "GRM-004"), warning(&told));
    let told = format!(
        "`{shell}` at /etc/apache2/envvars:{last} is shell that this tool does not evaluate: values that depend \
         on it may differ"
    );
    assert_eq!(said(&report, "GRM-017"), warning(&told));
    assert_eq!(said(&report, "GRM-018"), [], "that rule is about something else");

    // Where no directive uses it, it is worth a note only; another variable is simply not defined.
    let report = settled.with("MaxRequestWorkers ${WORKER}\n");
    assert_eq!(said(&report, "GRM-017")[0].0, "info");
    assert!(said(&report, "GRM-004")[0].1.contains("is not defined"), "{report}");
}

#[test]
fn a_configuration_that_httpd_refuses_is_not_as_asked() {
    let settled = Settled::new();
    for broken in [
        format!("Include {LATER}\n"),
        "<VirtualHost *:80>\n".to_owned(),
        "\u{feff}Timeout 300\n".to_owned(),
        "KeepAlives Off\n".to_owned(),
        "<Directory /srv>\nAllowOverides None\n</Directory>\n".to_owned(),
        "<VirtualHost *:8081>\nDav On\n</VirtualHost>\n".to_owned(),
        format!("# {}\n", "x".repeat(17 << 20)),
    ] {
        let start = &broken[..20.min(broken.len())];
        let report = settled.with(&broken);
        assert_eq!(report["failed"], true, "{start}: {}", report["msg"]);
        let told = said(&report, "TST-002");
        assert!(told[0].1.starts_with("httpd refuses the configuration as it is: "), "{start}: {told:?}");
        assert_eq!(report["config_test"]["ran"], true);
    }
    // With the place and the reason, and what a loaded module knows is no reason.
    let report = settled.with("Alias /a /srv/a\nAliass /b /srv/b\n");
    let told = format!(
        "{LATER}:2: httpd does not know `Aliass`: misspelled, or its module is not loaded; httpd does not start"
    );
    assert_eq!(said(&report, "GRM-016"), warning(&told));
    // What is known for certain needs no test.
    for (include, missing) in [
        ("Include gone.conf", "/etc/apache2/gone.conf"),
        ("Include gone/*.conf", "/etc/apache2/gone"),
        ("Include conf-enabled/*.gone", "/etc/apache2/conf-enabled/*.gone"),
    ] {
        let report = settled.with(format!("{include}\n"));
        let told = format!("{missing} at {LATER}:1 does not exist: httpd does not start");
        assert_eq!(said(&report, "GRM-008"), error(&told));
        assert_eq!(report["failed"], true);
    }
    let report = settled.with("\u{feff}MaxRequestWorkers 256\n");
    let told = format!(
        "{LATER}:1 has a byte order mark (`MaxRequestWorkers`): httpd refuses the line or reads several as one"
    );
    assert_eq!(said(&report, "GRM-011"), warning(&told));
    assert_eq!(settled.run(&task())["failed"], Value::Null, "and fixed it is in the desired state");
}
