//! The main job on a real Debian host: one task, predicted, done, and not done twice; judged by Debian's own tools.
#![allow(clippy::unwrap_used, clippy::panic)]

mod running;

use std::path::PathBuf;

use serde_json::{Value, json};
use test_hosts::{Ansible, Host};

/// The task that this tool exists for.
fn the_task() -> Value {
    json!({
        "mpm": "event",
        "mod_php": "disable",
        "settings": {
            "server_limit": 17, "thread_limit": 64, "threads_per_child": 64, "max_request_workers": 1024,
            "max_connections_per_child": 10000, "async_request_worker_factor": 2
        },
        "keepalive": {"enabled": true, "timeout": 5, "max_requests": 100},
        "evasive": {"enabled": true, "page_count": 5, "site_count": 100}
    })
}

/// The program in a host, run as Ansible would run it.
struct Tool<'a> {
    host: &'a Host,
    program: PathBuf,
}

impl<'a> Tool<'a> {
    fn on(host: &'a Host) -> Self {
        Self { host, program: host.install_binary(env!("CARGO_BIN_EXE_apache-tuning")) }
    }

    /// Runs the module on these parameters; exactly one JSON object must come back, and nothing else.
    fn run(&self, parameters: &Value) -> Value {
        let text = parameters.to_string();
        let ran = self.host.run_with_input(&[self.program.to_str().unwrap(), "-"], text.as_bytes());
        assert_eq!(ran.stderr, "", "{parameters}");
        let value: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stdout));
        assert_eq!(ran.success(), value.get("failed").is_none(), "{value}");
        value
    }

    fn check(&self, parameters: &Value) -> Value {
        let mut parameters = parameters.clone();
        parameters["_ansible_check_mode"] = json!(true);
        self.run(&parameters)
    }

    /// Runs a task that must do something: predicted exactly, nothing touched by the foretelling; then done, and
    /// nothing at all by a second run.
    #[track_caller]
    fn changes(&self, parameters: &Value) -> Value {
        let before = self.host.listing();
        let predicted = self.check(parameters);
        assert_eq!(
            self.host.listing().changes_since(&before),
            Vec::<String>::new(),
            "check mode touched the host"
        );
        let done = self.run(parameters);
        assert_eq!(done["changed"], true, "{done}");
        for key in ["changed", "changes", "diff", "findings", "effective", "mpm", "overridden", "capacity"] {
            assert_eq!(predicted[key], done[key], "{key} was predicted differently");
        }
        assert_eq!(predicted["activation"]["needed"], done["activation"]["needed"]);
        self.unchanged(parameters);
        done
    }

    #[track_caller]
    fn unchanged(&self, parameters: &Value) {
        let before = self.host.listing();
        let again = self.run(parameters);
        assert_eq!(again["changed"], false, "{again}");
        assert_eq!(
            self.host.listing().changes_since(&before),
            Vec::<String>::new(),
            "a second run wrote something"
        );
    }
}

/// The rules whose findings fail the task.
fn errors(result: &Value) -> Vec<&str> {
    let findings = result["findings"].as_array().unwrap();
    findings
        .iter()
        .filter(|one| one["severity"] == "error")
        .map(|one| one["rule"].as_str().unwrap())
        .collect()
}

/// The one MPM that the real httpd loads; its test must pass silently about changed numbers.
#[track_caller]
fn loaded_mpm(host: &Host) -> String {
    let test = host.apache_t();
    assert!(test.success() && !test.stderr.contains("WARNING"), "{}", test.stderr);
    let mpms: Vec<String> = host.modules().into_iter().filter(|module| module.starts_with("mpm_")).collect();
    let [mpm] = &mpms[..] else { panic!("not one MPM: {mpms:?}") };
    mpm.replace("mpm_", "").replace("_module", "")
}

#[test]
fn one_task_brings_a_host_with_mod_php_to_event() {
    let host = Host::debian12();
    let tool = Tool::on(&host);
    assert_eq!(loaded_mpm(&host), "prefork");
    let done = tool.changes(&the_task());
    assert_eq!(loaded_mpm(&host), "event");
    assert_eq!(done["mpm"], json!({"before": "prefork", "after": "event", "running": null}));
    assert_eq!(done["activation"]["needed"], "restart");
    assert_eq!(done["activation"]["running"], false, "nothing runs in this host");
    assert_eq!(done["effective"]["MaxRequestWorkers"]["used"], "1024");
    // What Debian's own tools say afterwards, and what package scripts will hear.
    for (query, status) in [
        ("mpm_event", 0),
        ("mpm_prefork", 32),
        ("php8.2", 32),
        ("proxy_fcgi", 0),
        ("setenvif", 0),
        ("evasive", 0),
    ] {
        assert_eq!(host.a2query(&["-m", query]).code, Some(status), "{query}");
    }
    assert_eq!(host.a2query(&["-c", "php8.2-fpm"]).code, Some(0));
    assert_eq!(host.a2query(&["-M"]).stdout.trim(), "event");
    // The dump of the real httpd has the numbers, once.
    let dump = host.config_dump();
    for line in ["ServerLimit 17", "MaxRequestWorkers 1024", "DOSPageCount 5", "KeepAliveTimeout 5"] {
        let (name, value) = line.split_once(' ').unwrap();
        let last = dump.lines().rev().find(|text| text.trim().starts_with(&format!("{name} "))).unwrap();
        assert_eq!(last.split_whitespace().nth(1), Some(value), "{line}");
    }
}

#[test]
fn the_same_through_real_ansible_over_ssh() {
    let host = Host::debian12();
    let ssh = host.ssh("web");
    let ansible = Ansible::with_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    let playbook = serde_json::to_string(&json!([{
        "hosts": "web", "gather_facts": true,
        "tasks": [{"name": "Tune", "webfleet.apache.tuning": the_task()}]
    }]))
    .unwrap();
    for (arguments, recap) in
        [(&["--check", "--diff"][..], "changed=1"), (&[][..], "changed=1"), (&[][..], "changed=0")]
    {
        let ran = ansible.playbook(&ssh.inventory(), &playbook, arguments);
        assert!(ran.success() && ran.stdout.contains(recap), "{arguments:?}: {}{}", ran.stdout, ran.stderr);
        if arguments.contains(&"--diff") {
            for line in [
                "+    MaxRequestWorkers        1024",
                "-MaxRequestWorkers       150",
                "+++ after: effective settings",
            ] {
                assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
            }
            assert_eq!(loaded_mpm(&host), "prefork");
        }
    }
    assert_eq!(loaded_mpm(&host), "event");
}

#[test]
fn mod_php_is_never_taken_out_unasked_or_without_a_php_fpm() {
    let host = Host::debian12();
    let tool = Tool::on(&host);
    let mut refusing = the_task();
    refusing["mod_php"] = json!("refuse");
    let before = host.listing();
    let refused = tool.run(&refusing);
    assert_eq!(errors(&refused), ["PHP-001"]);
    let message = refused["msg"].as_str().unwrap();
    assert!(message.contains("php8.2") && message.contains("mod_php: disable"), "{message}");
    assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());

    std::fs::remove_file(host.path("/etc/apache2/conf-available/php8.2-fpm.conf")).unwrap();
    let before = host.listing();
    let refused = tool.run(&the_task());
    assert_eq!(errors(&refused), ["PHP-003"]);
    assert!(refused["msg"].as_str().unwrap().contains("served as text"), "{refused}");
    assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());
}

/// Numbers that each MPM takes as they are.
fn numbers(mpm: &str) -> Value {
    match mpm {
        "prefork" => {
            json!({"max_request_workers": 100, "start_servers": 5, "min_spare_servers": 5, "max_spare_servers": 10})
        }
        _ => json!({"server_limit": 8, "threads_per_child": 32, "max_request_workers": 256}),
    }
}

#[test]
fn six_swaps_each_there_and_back_to_the_byte() {
    const MPMS: [&str; 3] = ["event", "worker", "prefork"];
    for from in MPMS {
        for to in MPMS.into_iter().filter(|to| *to != from) {
            let host = Host::debian12_event();
            let tool = Tool::on(&host);
            if from != "event" {
                tool.changes(&json!({"mpm": from, "settings": numbers(from)}));
            }
            let own = |path: &std::path::Path| !path.starts_with("/var/lib/apache-tuning");
            let start = host.listing().only(own);
            let done = tool.changes(&json!({"mpm": to, "settings": numbers(to)}));
            assert_eq!(loaded_mpm(&host), to);
            let back = tool.run(&json!({"state": "rolled_back", "transaction": done["transaction"]}));
            assert_eq!(back["changed"], true, "{back}");
            assert_eq!(loaded_mpm(&host), from);
            let again = tool.run(&json!({"state": "rolled_back", "transaction": done["transaction"]}));
            assert_eq!(
                (&again["changed"], &again["msg"]),
                (&json!(false), &json!("unchanged: there is nothing to undo"))
            );
            let made = |path: &std::path::Path| {
                own(path) && !path.ends_with("enabled_by_admin") && !path.ends_with("disabled_by_admin")
            };
            assert_eq!(
                host.listing().only(made).content().changes_since(&start.only(made).content()),
                Vec::<String>::new(),
                "{from} to {to} and back"
            );
        }
    }
}

#[test]
fn absent_gives_the_distributions_files_and_modules_back() {
    let host = Host::debian12();
    let tool = Tool::on(&host);
    let own = |path: &std::path::Path| {
        !path.starts_with("/var/lib/apache-tuning")
            && !["enabled_by_admin", "disabled_by_admin"].iter().any(|name| path.ends_with(name))
    };
    let start = host.listing().only(own);
    tool.changes(&the_task());
    tool.changes(&json!({"mpm": "worker", "placement": "drop_in", "settings": numbers("worker")}));
    tool.changes(&json!({"state": "absent"}));
    assert_eq!(loaded_mpm(&host), "prefork");
    assert_eq!(host.listing().only(own).content().changes_since(&start.content()), Vec::<String>::new());
}

#[test]
fn absent_on_a_host_that_was_edited_since_keeps_the_edit() {
    let host = Host::debian12_event();
    let tool = Tool::on(&host);
    let file = "/etc/apache2/mods-available/mpm_event.conf";
    let stock = host.read(file);
    tool.changes(&json!({"settings": numbers("event")}));
    host.write(file, format!("{}# mine\nListenBacklog 600\n", host.read(file)));
    tool.changes(&json!({"state": "absent"}));
    let text = host.read(file);
    assert!(text.contains("# mine\n") && !text.contains("apache-tuning"), "{text}");
    assert!(!text.contains("ServerLimit"), "{text}");
    assert_eq!(text, stock + "# mine\nListenBacklog 600\n", "the lines taken over stand where they stood");
    assert_eq!(loaded_mpm(&host), "event");
}

#[test]
fn a_drop_in_touches_no_file_of_a_package_and_gives_the_same_server() {
    let mut effective = Vec::new();
    for placement in ["distribution", "drop_in"] {
        let host = Host::debian12_event();
        let tool = Tool::on(&host);
        let before = host.listing();
        let settings = the_task()["settings"].clone();
        let done = tool.changes(&json!({"placement": placement, "settings": settings}));
        assert_eq!(loaded_mpm(&host), "event");
        let touched = host
            .listing()
            .below("/etc/apache2/mods-available")
            .changes_since(&before.below("/etc/apache2/mods-available"));
        assert_eq!(touched.is_empty(), placement == "drop_in", "{touched:?}");
        let used: Vec<(String, Value)> = done["effective"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, entry)| (name.clone(), entry["used"].clone()))
            .collect();
        effective.push(used);
    }
    assert_eq!(effective[0], effective[1]);
}

#[test]
fn the_numbers_that_people_copy_from_each_other_are_accepted_and_run() {
    for parameters in [
        json!({"mpm": "worker", "settings": {
            "server_limit": 250, "start_servers": 10, "min_spare_threads": 75, "max_spare_threads": 250,
            "thread_limit": 64, "threads_per_child": 32, "max_request_workers": 8000,
            "max_connections_per_child": 10000}}),
        json!({"mpm": "worker", "settings": {
            "server_limit": 161, "start_servers": 2, "max_request_workers": 4025, "min_spare_threads": 25,
            "max_spare_threads": 75, "threads_per_child": 25, "max_connections_per_child": 10000}}),
        json!({"mpm": "event", "settings": {
            "server_limit": 16, "threads_per_child": 64, "max_request_workers": 1024,
            "max_connections_per_child": 10000, "async_request_worker_factor": 2}}),
    ] {
        let host = Host::debian12_event();
        let tool = Tool::on(&host);
        let done = tool.changes(&parameters);
        assert_eq!(errors(&done), Vec::<&str>::new());
        assert_eq!(loaded_mpm(&host), parameters["mpm"].as_str().unwrap());
        host.start_apache();
        assert_eq!(host.running_mpm().as_deref(), parameters["mpm"].as_str());
        host.stop_apache();
    }
}

#[test]
fn a_group_that_is_left_out_is_left_alone() {
    let host = Host::debian12_event();
    let tool = Tool::on(&host);
    tool.changes(&the_task());
    tool.changes(&json!({"keepalive": {"enabled": false}}));
    let drop_in = host.read("/etc/apache2/conf-available/zz-apache-tuning.conf");
    assert!(
        drop_in.contains("KeepAlive                Off") && !drop_in.contains("KeepAliveTimeout"),
        "{drop_in}"
    );
    assert!(
        host.read("/etc/apache2/mods-available/mpm_event.conf").contains("MaxRequestWorkers        1024")
    );
    tool.unchanged(&json!({}));
}

#[test]
fn a_line_elsewhere_that_wins_is_found_by_the_next_run() {
    let host = Host::debian12_event();
    let tool = Tool::on(&host);
    tool.changes(&the_task());
    host.write("/etc/apache2/conf-enabled/zzz.conf", "MaxRequestWorkers 256\n");
    for result in [tool.check(&the_task()), tool.run(&the_task())] {
        assert!(errors(&result).contains(&"OVR-001"), "{result}");
        let expected = json!([{"setting": "MaxRequestWorkers", "wanted": "1024", "effective": "256",
            "file": "/etc/apache2/conf-enabled/zzz.conf", "line": 1, "scope": "main"}]);
        assert_eq!(result["overridden"], expected);
    }
    let mut waiving = the_task();
    waiving["waive"] = json!(["OVR-001"]);
    assert_eq!(tool.run(&waiving)["changed"], false);
}

#[test]
fn a_configuration_that_was_broken_before_is_told_apart() {
    const EVENT: &str = "/etc/apache2/mods-available/mpm_event.conf";
    let host = Host::debian12_event();
    let tool = Tool::on(&host);
    host.write("/etc/apache2/conf-enabled/broken.conf", "NoSuchDirective on\n");
    let before = host.listing();
    let refused = tool.run(&the_task());
    assert_eq!(refused["failed"], true);
    let message = refused["msg"].as_str().unwrap();
    assert!(message.contains("/etc/apache2/conf-enabled/broken.conf:1"), "{message}");
    // One error is one line; the last one says what became of the host.
    assert_eq!(message.lines().count(), 2, "{message}");
    assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());

    // A line that this change takes over: what was broken is whole afterwards.
    host.write("/etc/apache2/conf-enabled/broken.conf", "");
    let stock = host.read(EVENT).replace("MaxRequestWorkers       150", "MaxRequestWorkers 150 workers");
    host.write(EVENT, stock);
    assert!(!host.sh("apache2ctl configtest").success());
    tool.changes(&the_task());
    host.sh("apache2ctl configtest").ok();
}
