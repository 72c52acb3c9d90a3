//! Every example that is printed is tried: the tasks of `ansible-doc`, the plays and variables of the documents under real
//! Ansible in check mode against a host's files, the command lines of the README in the host itself. The samples of
//! results are what a real run returned.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use test_hosts::{Flavour, Host, Release};

use super::{Site, User, ansible, good};

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// A machine on which each load of the examples fits, whatever the tests run on.
const FACTS: &str = r#"{"memory_mb": 16384, "cpus": 4, "tasks_max": 32768, "threads_max": 126000, "pid_max": 4194304,
    "open_files": 65536, "somaxconn": 4096}"#;

/// Returns the documents that users read, by their path from the project's directory.
fn documents() -> Vec<(String, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut dirs = vec![top.join("docs"), top.join("ansible")];
    let mut files: Vec<_> = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].map(|name| top.join(name)).into();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                files.push(path);
            }
        }
    }
    for file in files {
        let name = file.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
        found.push((name, fs::read_to_string(file).unwrap()));
    }
    found
}

/// Returns the blocks of a document that are marked as being of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    let begins = text.match_indices(&open).map(|(at, _)| at + open.len());
    begins.map(|at| text[at..].split("```").next().unwrap()).collect()
}

/// Returns YAML as Ansible's own Python reads it.
fn yaml(text: &str) -> Value {
    let script = "import json, sys, yaml; print(json.dumps(yaml.safe_load(sys.argv[1])))";
    let shown = good(Command::new(ansible().join("python3")).args(["-c", script, text]));
    serde_json::from_str(&shown).unwrap()
}

/// Returns a text that a module's file assigns to a name, as Python reads it.
fn assigned(module: &str, name: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("ansible/plugins/modules/{module}.py"));
    let script = "import ast, sys\nfor node in ast.parse(open(sys.argv[1]).read()).body:\n  \
        if isinstance(node, ast.Assign) and node.targets[0].id == sys.argv[2]: print(ast.literal_eval(node.value))";
    good(Command::new(ansible().join("python3")).args(["-c", script]).arg(file).arg(name))
}

/// Makes a play one that this machine runs without a change, against a host's files. Being root already, it becomes
/// nobody else.
fn harmless(play: &mut Value, host: &Host) {
    let facts: Value = serde_json::from_str(FACTS).unwrap();
    let here = json!({"root": host.root(), "facts": facts});
    let play = play.as_object_mut().unwrap();
    play.insert("hosts".to_owned(), json!("localhost"));
    play.insert("connection".to_owned(), json!("local"));
    play.insert("gather_facts".to_owned(), json!(false));
    play.remove("become");
    // The role takes these as variables and hands them on.
    let vars = json!({"apache_tuning_root": host.root(), "apache_tuning_facts": here["facts"],
        "apache_tuning_mod_php": "disable"});
    play.insert("vars".to_owned(), vars);
    let info = json!({"root": host.root()});
    play.insert(
        "module_defaults".to_owned(),
        json!({"webfleet.apache.tuning": here, "webfleet.apache.tuning_info": info}),
    );
    // What an example leaves to a handler of the reader's own.
    play.entry("handlers")
        .or_insert_with(|| json!([{"name": "Activate Apache", "ansible.builtin.debug": {}}]));
}

/// Runs plays in check mode, of which nothing may fail.
fn tried(site: &Site, name: &str, plays: &Value) {
    let file = site.file("plays.yml", &plays.to_string());
    let output = site.command("ansible-playbook").arg(file).args(["--check", "--diff"]).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name}: {shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("failed=0") && !shown.contains("ok=0"), "{name}: {shown}");
}

fn site() -> Site {
    // The owners of a host's files count: a namespace with one user would show them as nobody's.
    Site { user: User::Own, ..Site::new(&fs::read(PROGRAM).unwrap()) }
}

#[test]
fn the_examples_of_ansible_doc_do_what_they_say() {
    let site = site();
    for (module, least) in [("tuning", 10), ("tuning_info", 4)] {
        // The image of an example is this host too.
        let host = Host::of(Release::Bookworm, Flavour::Php);
        // The directory that an example writes the logs to.
        host.run(&["mkdir", "-p", "/srv/log/apache2"]).ok();
        let examples = assigned(module, "EXAMPLES").replace("/srv/images/web", host.root().to_str().unwrap());
        let mut tasks = yaml(&examples);
        assert!(tasks.as_array().unwrap().len() >= least, "{tasks:#}");
        for task in tasks.as_array_mut().unwrap() {
            // The host has no Core Rule Set.
            if let Some(asked) = task.pointer_mut("/webfleet.apache.tuning/modsecurity") {
                asked["rules"] = json!("none");
            }
            // Each example is a task of its own, for a host that is made for it: these change the MPM of one with mod_php.
            if let Some(asked) = task.get_mut("webfleet.apache.tuning")
                && asked.get("mpm").is_some()
            {
                asked["mod_php"] = json!("disable");
            }
        }
        let mut play = json!({"tasks": tasks});
        harmless(&mut play, &host);
        tried(&site, module, &json!([play]));
    }
}

#[test]
fn the_plays_and_variables_of_the_documents_are_accepted() {
    let site = site();
    let host = Host::of(Release::Bookworm, Flavour::Php);
    let (mut plays, mut variables) = (0, 0);
    for (name, text) in documents() {
        for block in blocks(&text, "yaml") {
            let mut example = yaml(block);
            if let Some(list) = example.as_array_mut() {
                for play in &mut *list {
                    harmless(play, &host);
                    play["module_defaults"]["webfleet.apache.tuning"]["mod_php"] = json!("disable");
                }
                tried(&site, &name, &example);
                plays += 1;
            } else if example.get("collections").is_none() {
                let mut given = example.as_object().unwrap().clone();
                assert!(given.keys().all(|key| key.starts_with("apache_tuning_")), "{name}: {block}");
                given.insert("apache_tuning_root".to_owned(), json!(host.root()));
                given.insert("apache_tuning_mod_php".to_owned(), json!("disable"));
                given.insert("apache_tuning_become".to_owned(), json!(false));
                let here = json!({"ansible_connection": "local", "ansible_python_interpreter": ansible().join("python3")});
                site.file("hosts.yml", &json!({"web": {"hosts": {"web1": here}}}).to_string());
                site.file("web.yml", &json!(given).to_string());
                let mut command = site.command("ansible-playbook");
                let output = command
                    .args(["webfleet.apache.preview", "-i", "hosts.yml", "-e", "@web.yml"])
                    .output()
                    .unwrap();
                let shown = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success() && shown.contains("changed=1"), "{name}: {shown}");
                variables += 1;
            }
        }
    }
    assert!(plays >= 3 && variables >= 1, "{plays} plays, {variables} files of variables");
}

/// Command lines of the documents that are not run here, by their beginning, and why not.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo xtask", "they build and test the project itself"),
    ("apache-tuning watch", "takes its time; tests/watch.rs runs it"),
    ("apache-tuning fleet", "needs the facts of a fleet; tests/fleet and `cargo xtask demo --fleet` run it"),
    ("ansible-galaxy", "tests/collection.rs installs the archive, by itself and by requirements.yml"),
    ("ansible-inventory", "is Ansible's own; `cargo xtask demo --fleet` runs it"),
    ("ansible-playbook webfleet.apache", "tests/collection/playbooks.rs runs each playbook"),
    ("export ANSIBLE_CALLBACKS_ENABLED", "tests/collection/playbooks.rs sets these variables"),
];

/// Returns the command lines of a document: of its consoles, and of its indented blocks.
fn command_lines(text: &str) -> Vec<String> {
    let consoles = blocks(text, "console").into_iter().flat_map(str::lines);
    let consoles = consoles.filter_map(|line| line.strip_prefix("$ "));
    let programs = ["apache-tuning ", "cargo ", "ansible-"];
    let indented = text.lines().filter_map(|line| line.strip_prefix("    "));
    let indented = indented.filter(|line| programs.iter().any(|program| line.starts_with(program)));
    let without_comment = |line: &str| line.split(" #").next().unwrap().trim().to_owned();
    consoles.chain(indented).map(without_comment).collect()
}

#[test]
fn the_command_lines_and_parameters_of_the_documents_are_run() {
    let host = Host::of(Release::Bookworm, Flavour::Event);
    host.install_binary(PROGRAM);
    host.run(&["apache2ctl", "start"]).ok();
    let facts: Value = serde_json::from_str(FACTS).unwrap();
    let (mut ran, mut previewed) = (0, 0);
    for (name, text) in documents() {
        // Parameters between words: `{"mpm": "event"}`.
        for given in text.replace('\n', " ").split('`').filter(|code| code.starts_with("{\"mpm\"")) {
            let mut given: Value =
                serde_json::from_str(given).unwrap_or_else(|error| panic!("{name}: {given}: {error}"));
            given["facts"] = facts.clone();
            host.write("/root/desired.json", given.to_string());
            host.run(&["apache-tuning", "preview", "/root/desired.json"]).ok();
            previewed += 1;
        }
        for line in command_lines(&text) {
            if NOT_RUN.iter().any(|(begin, _)| line.starts_with(begin)) {
                continue;
            }
            host.write("/root/desired.json", r#"{"keepalive": {"timeout": 3}}"#);
            let shown = host.sh(&format!("cd /root && {line}"));
            assert!(shown.success() && !shown.stdout.is_empty(), "{name}: {line}: {shown:?}");
            ran += 1;
        }
    }
    assert!(ran >= 7 && previewed >= 2, "{ran} command lines, {previewed} parameters");
}

/// The samples of results in `ansible-doc`, by module.
fn sample(module: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("xtask/ansible/{module}.result.json"));
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// Values that differ from run to run or from machine to machine: their kind is compared, and the keys in them.
const VOLATILE: &[&str] = &[
    "transaction",
    "milliseconds",
    "collected",
    "plan_key",
    "httpd_version",
    "memory",
    "memory_mb",
    "status",
    "recommendation",
    "log",
    "burst",
    "needs",
    "binding",
];

/// Asserts that a sample is of the kind of a real value, in all its keys and elements.
fn is_alike(place: &str, sample: &Value, real: &Value) {
    match (sample, real) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part {
                let found =
                    whole.get(key).unwrap_or_else(|| panic!("{place}.{key} is in no result: {real:#}"));
                is_alike(&format!("{place}.{key}"), value, found);
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert_eq!(part.is_empty(), whole.is_empty(), "{place}: {real:#}");
            for (one, other) in part.iter().zip(whole) {
                is_alike(place, one, other);
            }
        }
        _ => assert_eq!(std::mem::discriminant(sample), std::mem::discriminant(real), "{place}: {real}"),
    }
}

/// Asserts that a sample is a part of a real result: of objects some keys, of lists the first elements.
fn is_part(place: &str, sample: &Value, real: &Value) {
    match (sample, real) {
        (Value::Object(part), Value::Object(whole)) => {
            for (key, value) in part {
                let place = format!("{place}.{key}");
                let found =
                    whole.get(key).unwrap_or_else(|| panic!("{place} is in no real result: {real:#}"));
                if VOLATILE.contains(&key.as_str()) {
                    is_alike(&place, value, found);
                } else {
                    is_part(&place, value, found);
                }
            }
        }
        (Value::Array(part), Value::Array(whole)) => {
            assert!(part.len() <= whole.len() && part.is_empty() == whole.is_empty(), "{place}: {real:#}");
            for (index, value) in part.iter().enumerate() {
                is_part(&format!("{place}[{index}]"), value, &whole[index]);
            }
        }
        _ => assert_eq!(sample, real, "{place}"),
    }
}

/// Asks the program in a host as Ansible does, and returns its answer.
fn asked(host: &Host, parameters: &Value) -> Value {
    let ran = host.run_with_input(&["apache-tuning", "-"], parameters.to_string().as_bytes());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// Compares the samples of a module with the results that `real` has for its keys. With `APACHE_TUNING_SAMPLES=show` the
/// results are printed instead, to be cut into samples.
#[allow(clippy::print_stdout)]
fn holds(module: &str, real: &[(&[&str], Value)]) {
    if std::env::var_os("APACHE_TUNING_SAMPLES").is_some_and(|value| value == "show") {
        let shown: Vec<_> =
            real.iter().map(|(keys, result)| json!({"keys": keys, "result": result})).collect();
        println!("{module}: {}", json!(shown));
        return;
    }
    for (key, value) in sample(module).as_object().unwrap() {
        let special = real.iter().find(|(keys, _)| keys.contains(&key.as_str()));
        let result = &special.or_else(|| real.last()).unwrap().1;
        if key == "failed" {
            // Present on failure only.
            assert_eq!(value, false);
            continue;
        }
        is_part(key, &json!({key: value}), result);
    }
}

#[test]
fn the_samples_of_results_are_what_real_runs_returned() {
    let host = Host::of(Release::Bookworm, Flavour::Php);
    host.install_binary(PROGRAM);
    host.run(&["apache2ctl", "start"]).ok();
    let facts: Value = serde_json::from_str(FACTS).unwrap();
    let task = |more: Value| {
        let mut task = json!({"_ansible_diff": true, "mpm": "event", "mod_php": "disable", "facts": facts});
        task.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        task
    };
    let wrong = asked(&host, &task(json!({"settings": {"threads_per_child": "many"}})));
    let refused = asked(&host, &task(json!({"settings": {"max_request_workers": 410, "server_limit": 17}})));
    let vhost =
        "<VirtualHost *:80>\n    ServerName shop.example.org\n    KeepAliveTimeout 30\n</VirtualHost>\n";
    host.write("/etc/apache2/sites-enabled/shop.conf", vhost);
    let done = asked(
        &host,
        &task(
            json!({"capacity": {"connections": 400, "active": 100, "burst": 150}, "keepalive": {"timeout": 3}}),
        ),
    );
    assert_eq!(done["changed"], true, "{done:#}");
    holds("tuning", &[(&["errors"], wrong), (&["findings"], refused), (&[], done)]);

    let reached = "[Sat Nov 21 06:00:00.000000 2026] [mpm_event:error] [pid 1:tid 1] AH00484: server reached \
                   MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting\n";
    host.write("/var/log/apache2/error.log", host.read("/var/log/apache2/error.log") + reached);
    let look = json!({"_ansible_module_name": "webfleet.apache.tuning_info", "facts": facts});
    holds("tuning_info", &[(&[], asked(&host, &look))]);
}
