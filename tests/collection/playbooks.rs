//! The playbooks and the callback: what they refuse by name, in which order and how far a rollout goes, what a preview
//! sums up, and what a run leaves for the report.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{RECORDER, Site, ansible};

/// A program that answers for each host as the file `answers/HOST` has it, in check mode `answers/HOST.check` if that
/// is there, and notes each question. A host is told by the one word of its `waive`.
fn program(site: &Path) -> Vec<u8> {
    let at = site.display();
    format!(
        r#"#!/bin/sh
given=$(cat "$1")
host=${{given#*\"waive\": [\"}}; host=${{host%%\"*}}
case $given in *'tuning_info"'*) kind=info;; *'check_mode": true'*) kind=check;; *) kind=run;; esac
case $given in *'tuning_info"'*) host=$(cat "{at}/turn" 2>/dev/null);; esac
echo "$host $kind" >> "{at}/log"
[ $kind = info ] && {{ cat "{at}/answers/info"; exit 0; }}
[ $kind = check ] && [ -e "{at}/answers/$host.check" ] && {{ cat "{at}/answers/$host.check"; exit 0; }}
cat "{at}/answers/$host"
"#
    )
    .into_bytes()
}

struct Fleet {
    site: Site,
}

impl Fleet {
    /// A fleet whose hosts are this machine, each with an answer of its own.
    fn new(hosts: &[(&str, Value)]) -> Self {
        let site = Site::without_program();
        let program = program(site.path());
        site.program(std::env::consts::ARCH, &program);
        fs::create_dir(site.path().join("answers")).unwrap();
        let fleet = Self { site };
        let mut inventory = serde_json::Map::new();
        for (host, answer) in hosts {
            fleet.answer(host, answer);
            let gone = json!({"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1});
            let here = json!({"ansible_connection": "local", "ansible_python_interpreter": ansible().join("python3")});
            let mut vars = if answer.is_null() { gone } else { here };
            vars["apache_tuning_waive"] = json!([host]);
            inventory.insert((*host).to_owned(), vars);
        }
        fleet.site.file("i.yml", &json!({"all": {"hosts": inventory}}).to_string());
        fleet
    }

    fn answer(&self, name: &str, answer: &Value) {
        fs::write(self.site.path().join("answers").join(name), answer.to_string()).unwrap();
    }

    /// Runs a playbook of the collection; returns its exit code and all it showed.
    fn run(&self, playbook: &str, variables: &Value) -> (i32, String) {
        let _ = fs::remove_file(self.site.path().join("log"));
        let mut command = self.command(playbook, variables);
        let output = command.output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8_lossy(&shown).into_owned())
    }

    fn command(&self, playbook: &str, variables: &Value) -> Command {
        let mut command = self.site.command("ansible-playbook");
        command.args([
            &format!("webfleet.apache.{playbook}"),
            "-i",
            "i.yml",
            "-e",
            "apache_tuning_become=false",
        ]);
        command.args(["-e", &variables.to_string()]);
        command
    }

    /// What the program was asked, in order: `HOST run`, `HOST check`, ` info`.
    fn asked(&self) -> Vec<String> {
        let log = fs::read_to_string(self.site.path().join("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// The hosts that the module ran on for real, in order.
    fn ran(&self) -> Vec<String> {
        self.asked().iter().filter_map(|line| line.strip_suffix(" run")).map(str::to_owned).collect()
    }
}

fn changes() -> Value {
    json!({"changed": true, "msg": "changed 2 paths", "restart_required": false, "reload_required": false,
        "activation": {"needed": "restart", "done": true, "running": true},
        "diff": [{"before_header": "f", "after_header": "f", "before": "a\n", "after": "b\n"}]})
}

fn unchanged() -> Value {
    json!({"changed": false, "msg": "already in the desired state", "restart_required": false,
        "reload_required": false, "activation": {"needed": "none", "done": false, "running": true}})
}

fn refuses() -> Value {
    json!({"changed": false, "failed": true, "msg": "PHP-001: mod_php is loaded; install php-fpm",
        "findings": [{"rule": "PHP-001", "severity": "error", "waived": false, "message": "m", "hint": "h"}]})
}

/// Fails because what the change did was undone.
fn undone() -> Value {
    json!({"changed": false, "failed": true, "msg": "all changes were undone"})
}

fn rollout(more: &Value) -> Value {
    let mut all = json!({"apache_tuning_hosts": "all", "apache_tuning_health": {"url": "http://localhost/"}});
    for (name, value) in more.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}

#[test]
fn a_preview_sums_up_all_hosts_also_those_without_an_answer_and_fires_no_handler() {
    let mut due = changes();
    due["restart_required"] = json!(true);
    let mut drifted = due.clone();
    drifted["cause"] = json!("drift");
    let hosts = [
        ("web1", due.clone()),
        ("web2", refuses()),
        ("gone", Value::Null),
        ("web3", due),
        ("web4", unchanged()),
        ("web5", drifted),
    ];
    let fleet = Fleet::new(&hosts);
    let (code, shown) = fleet.run("preview", &json!({}));
    assert_eq!(code, 2, "{shown}");
    for line in [
        "   1 unreachable ",
        "   1 refused     PHP-001: mod_php is loaded; install php-fpm  web2",
        "   2 change      restart; changed 2 paths  web1 web3",
        "   1 change      edited since the last run; restart; changed 2 paths  web5",
        "   1 unchanged",
        "6 hosts: 1 unreachable, 1 refused, 3 change, 1 unchanged; DRY RUN: nothing was changed",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    assert!(!shown.contains("HANDLER") && !shown.contains("Gathering Facts"), "{shown}");
    assert!(fleet.asked().iter().all(|line| line.ends_with(" check")), "{:?}", fleet.asked());

    // Every host refused: the summary is there all the same.
    let fleet = Fleet::new(&[("web1", refuses()), ("web2", refuses())]);
    let (code, shown) = fleet.run("preview", &json!({}));
    assert!(code == 2 && shown.contains("2 hosts: 2 refused; DRY RUN"), "{shown}");

    let fleet = Fleet::new(&[("web1", changes()), ("web2", unchanged())]);
    assert_eq!(fleet.run("preview", &json!({})).0, 0);
    let (code, shown) = fleet.run("preview", &json!({"apache_tuning_exit_code": true}));
    assert!(code == 2 && shown.contains("1 would change"), "{shown}");
    let fleet = Fleet::new(&[("web2", unchanged())]);
    assert_eq!(fleet.run("preview", &json!({"apache_tuning_exit_code": "yes"})).0, 0);
}

#[test]
fn tune_takes_the_variables_and_asks_for_the_hosts_by_name() {
    let site = Site::new(RECORDER.as_bytes());
    let run = |variables: &Value| {
        let mut command = site.command("ansible-playbook");
        command.args([
            "webfleet.apache.tune",
            "-i",
            "localhost,",
            "-c",
            "local",
            "-v",
            "-e",
            &variables.to_string(),
        ]);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let wish = json!({"apache_tuning_become": false, "apache_tuning_mpm": "worker",
        "apache_tuning_settings": {"max_request_workers": 320}});
    let (good, shown) = run(&wish);
    assert!(
        !good && shown.contains("apache_tuning_hosts is not set") && !shown.contains("recorded"),
        "{shown}"
    );
    let mut named = wish;
    named["apache_tuning_hosts"] = json!("localhost");
    let (good, shown) = run(&named);
    assert!(
        good && shown.contains(r#"\"max_request_workers\": 320"#) && shown.contains(r#"\"mpm\": \"worker\""#),
        "{shown}"
    );
    assert!(!shown.contains("page_count"), "{shown}");
}

#[test]
fn a_variable_that_nothing_reads_is_named_before_the_first_host() {
    let fleet = Fleet::new(&[("web1", changes())]);
    for playbook in ["preview", "tune", "rollout"] {
        let (code, shown) = fleet.run(playbook, &rollout(&json!({"apache_tuning_mmp": "event"})));
        assert!(
            code != 0 && shown.contains("apache_tuning_mmp (did you mean apache_tuning_mpm?)"),
            "{playbook}: {shown}"
        );
        assert_eq!(fleet.asked(), Vec::<String>::new(), "{playbook}");
    }
    // The role by itself, with the variable beside it.
    let role = json!([{"ansible.builtin.include_role": {"name": "webfleet.apache.tuning"},
        "vars": {"apache_tuning_keep_alive": {"timeout": 2}}}]);
    let (good, shown) = fleet.site.plays(&[("localhost", role)], &[]);
    assert!(
        !good && shown.contains("apache_tuning_keep_alive (did you mean apache_tuning_keepalive?)"),
        "{shown}"
    );
    assert_eq!(fleet.asked(), Vec::<String>::new());
}

#[test]
fn each_variable_of_the_role_is_known() {
    let specification = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible/roles/tuning/meta/argument_specs.yml"),
    )
    .unwrap();
    let names: Vec<&str> = specification
        .lines()
        .filter_map(|line| line.strip_prefix("      apache_tuning_")?.strip_suffix(':'))
        .collect();
    assert!(names.len() > 20, "{names:?}");
    let known = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible/plugins/plugin_utils/variables.py"),
    )
    .unwrap();
    for name in names {
        assert!(known.contains(&format!("'{name}'")), "{name} is missing in variables.py");
    }
}

#[test]
fn a_rollout_begins_with_a_host_that_changes_runs_and_is_healthy() {
    let fleet = Fleet::new(&[("done", unchanged()), ("web1", changes()), ("web2", changes())]);
    let (code, shown) = fleet.run("rollout", &rollout(&json!({"apache_tuning_batches": "1"})));
    assert_eq!(code, 0, "{shown}");
    assert_eq!(fleet.ran(), ["web1", "done", "web2"]);
    assert_eq!(fleet.asked()[..3], ["done check", "web1 check", "web1 run"]);
    let (_, shown) = fleet.run("rollout", &rollout(&json!({"apache_tuning_canary": "web2"})));
    assert_eq!(fleet.asked()[..2], ["web2 check", "web2 run"], "{shown}");
    let (code, shown) = fleet.run("rollout", &rollout(&json!({"apache_tuning_canary": "web7"})));
    assert!(code != 0 && shown.contains("apache_tuning_canary") && fleet.asked().is_empty(), "{shown}");

    let mut stopped = changes();
    stopped["activation"]["running"] = json!(false);
    fleet.answer("web1", &stopped);
    let (code, shown) = fleet.run("rollout", &rollout(&json!({})));
    assert!(code != 0 && shown.contains("no server runs on web1"), "{shown}");
    assert_eq!(fleet.ran(), Vec::<String>::new());

    // Sick before the change: the module says so in check mode, and nothing is touched.
    fleet.answer("web1.check", &refuses());
    let (code, shown) = fleet.run("rollout", &rollout(&json!({})));
    assert!(code != 0 && fleet.ran().is_empty(), "{shown}");

    // All in order, as after a finished rollout: each host once, none changed.
    let fleet = Fleet::new(&[("web1", unchanged()), ("web2", unchanged())]);
    assert_eq!(fleet.run("rollout", &rollout(&json!({}))).0, 0);
    assert_eq!(fleet.ran(), ["web1", "web2"]);
}

#[test]
fn a_rollout_asks_for_its_hosts_by_name_and_goes_in_steps() {
    let names: Vec<String> = (0..12).map(|number| format!("web{number:02}")).collect();
    let hosts: Vec<(&str, Value)> = names.iter().map(|name| (name.as_str(), changes())).collect();
    let fleet = Fleet::new(&hosts);
    let (code, shown) = fleet.run("rollout", &json!({"apache_tuning_health": {"url": "http://localhost/"}}));
    assert!(
        code != 0 && shown.contains("apache_tuning_hosts is not set") && fleet.asked().is_empty(),
        "{shown}"
    );
    // 12 hosts: 1, 5 % are at least one, 25 % are three; the last step repeats.
    let (code, shown) = fleet.run("rollout", &rollout(&json!({})));
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("TASK [Stop where too many hosts").count(), 6, "{shown}");
    assert_eq!(fleet.ran().len(), 12);
    fleet.answer("web03", &undone());
    let (code, shown) = fleet.run("rollout", &rollout(&json!({"apache_tuning_batches": [1, 2, 3]})));
    assert!(
        code != 0 && shown.contains("the rollout stops: 1 hosts have failed or are unreachable (web03)"),
        "{shown}"
    );
    let mut ran = fleet.ran();
    ran.sort();
    assert_eq!(ran, names[..6]);
}

#[test]
fn a_host_is_out_of_the_load_balancer_only_while_it_restarts_and_a_failed_one_stays_out() {
    let fleet = Fleet::new(&[
        ("web1", changes()),
        ("web2", changes()),
        ("web3", unchanged()),
        ("web4", undone()),
        ("web5", changes()),
    ]);
    // web4 does not know before that it will fail.
    fleet.answer("web4.check", &changes());
    let log = fleet.site.path().join("log");
    let line = |word: &str| {
        json!([{"ansible.builtin.shell": format!("echo {{{{ inventory_hostname }}}} {word} >> {}", log.display())}]).to_string()
    };
    let drain = fleet.site.file("drain.yml", &line("out"));
    let undrain = fleet.site.file("undrain.yml", &line("in"));
    let hooks = json!({"apache_tuning_drain": drain, "apache_tuning_undrain": undrain, "apache_tuning_batches": "1,2"});
    let (code, shown) = fleet.run("rollout", &rollout(&hooks));
    assert!(code != 0 && shown.contains("all changes were undone"), "{shown}");
    let of = |host: &str| -> Vec<String> {
        let of_host = |line: &String| line.strip_prefix(&format!("{host} ")).map(str::to_owned);
        fleet.asked().iter().filter_map(of_host).collect()
    };
    assert_eq!(of("web1")[1..], ["check", "out", "run", "in"]);
    assert_eq!(of("web2"), ["check", "out", "run", "in"]);
    assert_eq!(of("web3"), ["check", "run", "in"]);
    assert_eq!(of("web4"), ["check", "out", "run"]);
    // A batch-mate of the failed host is back.
    assert_eq!(of("web5"), ["check", "out", "run", "in"]);
    // The second start brings the failed one back, too.
    fleet.answer("web4", &changes());
    assert_eq!(fleet.run("rollout", &rollout(&hooks)).0, 0);
    assert_eq!(of("web4"), ["check", "out", "run", "in"]);

    for (wrong, word) in [
        (json!({"apache_tuning_drain": drain}), "both or none"),
        (json!({"apache_tuning_drain": drain, "apache_tuning_undrain": "/nowhere.yml"}), "both or none"),
        (
            json!({"apache_tuning_drain": drain, "apache_tuning_undrain": undrain, "apache_tuning_batches": "100%"}),
            "all 5 hosts",
        ),
    ] {
        let (code, shown) = fleet.run("rollout", &rollout(&wrong));
        assert!(code != 0 && shown.contains(word) && fleet.asked().is_empty(), "{word}: {shown}");
    }
}

#[test]
fn a_step_is_waited_for_and_judged() {
    let fleet = Fleet::new(&[("web1", changes()), ("web2", changes())]);
    let info = |status: Value| {
        json!({"changed": false, "mpm": {"configured": "event", "running": "event"}, "status": status,
            "pending_activation": null})
    };
    let soak = |more: Value| {
        let mut all = rollout(&json!({"apache_tuning_soak": 1, "apache_tuning_batches": "1"}));
        for (name, value) in more.as_object().unwrap() {
            all[name] = value.clone();
        }
        all
    };
    for (status, more, all) in [
        (json!({"busy_workers": 5, "idle_workers": 20}), json!({}), true),
        (json!({"busy_workers": 25, "idle_workers": 0}), json!({}), false),
        // Nothing is known: it goes on, or not, as was said; without a terminal nobody says yes.
        (Value::Null, json!({}), true),
        (json!({"busy_workers": 1, "idle_workers": 20}), json!({"apache_tuning_confirm": "stop"}), false),
        (Value::Null, json!({"apache_tuning_confirm": "ask"}), false),
    ] {
        fleet.answer("info", &info(status.clone()));
        let (code, shown) = fleet.run("rollout", &soak(more.clone()));
        assert_eq!(
            (code == 0, fleet.ran().len()),
            (all, if all { 2 } else { 1 }),
            "{status} {more}: {shown}"
        );
    }
    // A server that died while the step was waited for.
    let mut dead = info(Value::Null);
    dead["mpm"]["running"] = Value::Null;
    fleet.answer("info", &dead);
    let (code, shown) = fleet.run("rollout", &soak(json!({})));
    assert!(code != 0 && shown.contains("no server runs"), "{shown}");
}

#[test]
fn no_batch_has_more_of_a_zone_than_allowed_and_no_host_is_lost() {
    let script = "
import random, sys
from ansible_collections.webfleet.apache.plugins.plugin_utils import rollout
random.seed(7)
for case in range(400):
    hosts = ['h%d' % n for n in range(random.randint(1, 60))]
    zones = dict((h, random.choice(['a', 'b', 'c', None])) for h in hosts)
    given = [random.choice([1, 2, 7, '5%', '25%', '100%']) for _ in range(random.randint(1, 3))]
    most, zone_most = random.randint(1, 20), random.randint(0, 4)
    plan = rollout.batches(hosts, given, most, zones, zone_most)
    assert sorted(plan['order']) == sorted(hosts) and sum(plan['sizes']) == len(hosts) and min(plan['sizes']) > 0
    at = 0
    for size in plan['sizes']:
        batch = plan['order'][at:at + size]
        at += size
        assert size <= most
        for zone in 'abc':
            assert not zone_most or sum(zones[h] == zone for h in batch) <= zone_most, (plan, zones)
    if not zone_most:
        assert plan['order'] == hosts
assert rollout.batches(['h%d' % n for n in range(40)])['sizes'] == [1, 2, 10, 10, 10, 7]
print('held')
";
    let site = Site::without_program();
    let output = Command::new(ansible().join("python3"))
        .args(["-c", script])
        .env("PYTHONPATH", site.path())
        .output()
        .unwrap();
    assert!(output.stdout.starts_with(b"held"), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn each_instance_of_a_play_gets_its_own_restart() {
    let mut due = changes();
    due["restart_required"] = json!(true);
    let fleet = Fleet::new(&[("web1", due.clone()), ("web2", due)]);
    let role = |instance: &str, host: &str| {
        json!({"ansible.builtin.include_role": {"name": "webfleet.apache.tuning"},
            "vars": {"apache_tuning_instance": instance, "apache_tuning_waive": [host], "apache_tuning_activation": "defer",
                "apache_tuning_service": format!("apache2@{instance}"),
                "ansible_python_interpreter": ansible().join("python3")}})
    };
    // In check mode no service is touched.
    let (_, shown) = fleet
        .site
        .plays(&[("localhost", json!([role("blue", "web1"), role("green", "web2")]))], &["--check"]);
    let (_, handlers) =
        shown.split_once("RUNNING HANDLER [webfleet.apache.tuning : Restart Apache]").unwrap();
    for item in ["(item=blue)", "(item=green)"] {
        assert!(handlers.contains(item), "{item}: {shown}");
    }
}

#[test]
fn deferred_hosts_are_restarted_also_beside_one_that_is_refused() {
    let mut due = changes();
    due["restart_required"] = json!(true);
    let fleet = Fleet::new(&[("web1", due.clone()), ("web2", refuses()), ("web3", due)]);
    fleet.answer("web2.check", &unchanged());
    let wish = json!({"apache_tuning_activation": "defer", "apache_tuning_batches": "3", "apache_tuning_service": "none-such"});
    let (code, shown) = fleet.run("rollout", &rollout(&wish));
    assert_ne!(code, 0);
    let (_, handlers) =
        shown.split_once("RUNNING HANDLER [webfleet.apache.tuning : Restart Apache]").unwrap();
    // There is no such service here: that each was tried is what counts.
    for host in ["web1", "web3"] {
        assert!(handlers.contains(&format!("failed: [{host}]")), "{host}: {shown}");
    }
}

#[test]
fn the_callback_keeps_each_host_once_and_equal_results_once() {
    let same = |host: &str| {
        let mut answer = changes();
        answer["msg"] = json!(format!("changed 2 paths of {host}.example"));
        answer["transaction"] = json!(format!("2026-{host}"));
        answer
    };
    let fleet = Fleet::new(&[
        ("web1", same("web1")),
        ("web2", refuses()),
        ("gone", Value::Null),
        ("web3", same("web3")),
        ("web4", undone()),
    ]);
    let results = fleet.site.path().join("results.jsonl");
    let run = |playbook: &str| {
        let mut command = fleet.command(playbook, &rollout(&json!({"apache_tuning_max_failures": 9})));
        command
            .env("ANSIBLE_CALLBACKS_ENABLED", "webfleet.apache.fleet")
            .env("APACHE_TUNING_RESULTS", &results);
        command.output().unwrap()
    };
    let report = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_apache-tuning"));
        let output = command.arg("fleet").arg("--results").arg(&results).arg("--json").output().unwrap();
        let records: Vec<Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        records
    };
    run("preview");
    assert_eq!(fs::metadata(&results).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&results).unwrap();
    assert_eq!(text.matches("\"result\"").count(), 4, "{text}");
    assert!(!text.contains("_ansible") && !text.contains("invocation"), "{text}");
    let records = report();
    let verdict = |records: &[Value], name: &str| -> String {
        records.iter().find(|record| record["name"] == name).unwrap()["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(records[0]["dry_run"], true);
    let found = ["web1", "web2", "gone", "web3", "web4"].map(|name| verdict(&records, name));
    assert_eq!(found, ["change", "refused", "unreachable", "change", "failed"]);
    let groups: Vec<&Value> = records.iter().filter(|record| record["record"] == "group").collect();
    let change = groups.iter().find(|group| group["outcome"]["verdict"] == "change").unwrap();
    assert_eq!((&change["hosts"], change["variants"].as_array().unwrap().len()), (&json!(2), 1), "{change}");
    assert_eq!(change["outcome"]["message"], "changed 2 paths of HOST.example");

    // The real run after it, in the same file: the last word counts.
    let ran = run("rollout");
    let records = report();
    assert_eq!(records[0]["dry_run"], false, "{}", String::from_utf8_lossy(&ran.stdout));
    assert_eq!(verdict(&records, "web4"), "failed");

    // A file that cannot be written costs a warning, not the run.
    let mut command = fleet.command("preview", &rollout(&json!({})));
    command
        .env("ANSIBLE_CALLBACKS_ENABLED", "webfleet.apache.fleet")
        .env("APACHE_TUNING_RESULTS", "/dev/full");
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(shown.contains("writes no more results") && shown.contains("5 hosts:"), "{shown}");
}
