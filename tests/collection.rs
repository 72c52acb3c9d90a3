//! The collection under real Ansible: does the action find the right program, bring it over, hand it the arguments
//! as a binary module gets them, and pass its answer on?
//!
//! A recorder stands in for the program where the question is what reaches it; it prints what it was given.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Prints its own path, the number of its arguments, the environment variable `MARK`, and what it was given to
/// read, as text.
const RECORDER: &str = r#"#!/bin/sh
given=$(cat "$1" | sed 's/\\/\\\\/g; s/"/\\"/g')
printf '{"changed": false, "msg": "recorded", "program": "%s", "argc": %d, "mark": "%s", "given": "%s"}\n' \
    "$0" "$#" "$MARK" "$given"
"#;

/// An installed collection in an empty directory, and a place for everything that a run of Ansible writes.
struct Site {
    dir: TempDir,
}

impl Site {
    /// A site whose program for this machine is `program`.
    fn new(program: &[u8]) -> Self {
        let site = Self::without_program();
        site.program(env::consts::ARCH, program);
        site
    }

    /// A site whose collection has no program at all.
    fn without_program() -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap() };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible");
        copy(&source, &site.collection());
        for entry in fs::read_dir(site.collection().join("files/bin")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "README.md" {
                fs::remove_file(entry.path()).unwrap();
            }
        }
        site
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn collection(&self) -> PathBuf {
        self.path().join("ansible_collections/webfleet/apache")
    }

    /// Puts a program for one architecture in.
    fn program(&self, architecture: &str, content: &[u8]) {
        let path = self.collection().join(format!("files/bin/apache-tuning-linux-{architecture}"));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program of Ansible, set up to write nowhere but here.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(ansible().join(program));
        command
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("ANSIBLE_COLLECTIONS_PATH", self.path())
            .env("ANSIBLE_REMOTE_TMP", self.path().join("remote"))
            .env("ANSIBLE_LOCAL_TEMP", self.path().join("local"))
            .env("ANSIBLE_LOCALHOST_WARNING", "0")
            .env("ANSIBLE_INVENTORY_UNPARSED_WARNING", "0")
            .env("ANSIBLE_NOCOLOR", "1")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs one task on this machine and returns its result.
    fn task(&self, module: &str, arguments: &Value, more: &[&str]) -> Value {
        let arguments = arguments.to_string();
        let output = self
            .command("ansible")
            .args(["localhost", "-m", module, "-a", &arguments])
            .args(more)
            .output()
            .unwrap();
        result(&output)
    }

    /// Runs plays, each a host and its tasks, and returns whether they succeeded and all that was shown.
    fn plays(&self, plays: &[(&str, Value)], more: &[&str]) -> (bool, String) {
        let plays: Vec<Value> = plays
            .iter()
            .map(|(host, tasks)| json!({"hosts": host, "gather_facts": false, "tasks": tasks}))
            .collect();
        // JSON is YAML.
        let file = self.file("plays.yml", &Value::from(plays).to_string());
        let output = self.command("ansible-playbook").arg(file).args(more).output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&shown).into_owned())
    }

    /// Writes a file below the site and returns its path.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// The directory of Ansible's programs.
fn ansible() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ansible/bin");
    assert!(path.join("ansible").exists(), "no Ansible in {}: run `cargo xtask test` once", path.display());
    path
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The result in the output of an ad hoc task: `HOST | STATUS => {...}`.
fn result(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let at = text.find("=> {").unwrap_or_else(|| panic!("no result in: {output:?}"));
    let mut values = serde_json::Deserializer::from_str(&text[at + 3..]).into_iter::<Value>();
    values.next().unwrap().unwrap_or_else(|error| panic!("{error} in: {text}"))
}

/// What the recorder was given to read.
fn given(result: &Value) -> Value {
    let text = result["given"].as_str().unwrap_or_else(|| panic!("no answer of the recorder: {result}"));
    serde_json::from_str(text).unwrap()
}

fn message(result: &Value) -> &str {
    result["msg"].as_str().unwrap_or_else(|| panic!("no message: {result}"))
}

#[test]
fn the_program_gets_parameters_and_ansible_s_own_keys_side_by_side() {
    let site = Site::new(RECORDER.as_bytes());
    let asked = json!({"mpm": "event", "settings": {"server_limit": 17}, "evasive": {"whitelist": ["10.0.0.*", "ü"]}});
    for (more, check, diff) in [(&[][..], false, false), (&["--check", "--diff"][..], true, true)] {
        let result = site.task("webfleet.apache.tuning", &asked, more);
        let given = given(&result);
        assert_eq!(result["argc"], 1);
        for key in ["mpm", "settings", "evasive"] {
            assert_eq!(given[key], asked[key]);
        }
        assert_eq!(given["_ansible_check_mode"], check);
        assert_eq!(given["_ansible_diff"], diff);
        assert_eq!(given["_ansible_module_name"], "webfleet.apache.tuning");
        for key in ["_ansible_version", "_ansible_remote_tmp", "_ansible_verbosity", "_ansible_tmpdir"] {
            assert!(given.get(key).is_some(), "{key} is missing");
        }
    }
}

#[test]
fn the_reading_module_asks_under_its_own_name() {
    let site = Site::new(RECORDER.as_bytes());
    let result = site.task("webfleet.apache.tuning_info", &json!({"root": "/srv/image"}), &[]);
    assert_eq!(given(&result)["_ansible_module_name"], "webfleet.apache.tuning_info");
    assert_eq!(given(&result)["root"], "/srv/image");
}

#[test]
fn nothing_stays_in_the_temporary_directory() {
    let site = Site::new(RECORDER.as_bytes());
    let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &["--check"]);
    let remote = site.path().join("remote");
    assert!(result["program"].as_str().unwrap().starts_with(remote.to_str().unwrap()), "{result}");
    let left: Vec<_> = fs::read_dir(remote).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}

#[test]
fn the_environment_of_the_task_reaches_the_program() {
    let site = Site::new(RECORDER.as_bytes());
    let tasks = json!([
        {"webfleet.apache.tuning": {}, "environment": {"MARK": "a b'c"}, "register": "r"},
        {"ansible.builtin.assert": {"that": "r.mark == \"a b'c\""}},
    ]);
    let (good, shown) = site.plays(&[("localhost", tasks)], &[]);
    assert!(good, "{shown}");
}

#[test]
fn the_architecture_comes_from_the_facts_of_the_host_that_runs_the_task_else_from_uname() {
    let site = Site::new(RECORDER.as_bytes());
    site.program("riscv64", RECORDER.replace("recorded", "recorded by riscv64").as_bytes());
    let inventory =
        json!({"all": {"vars": {"ansible_connection": "local"}, "hosts": {"here": {}, "far": {}}}});
    site.file("inventory.yml", &inventory.to_string());
    let facts = json!({"system": "Linux", "architecture": "riscv64", "cacheable": true});
    for (host, delegate, says) in [
        ("here", "here", "recorded"),
        ("far", "far", "recorded by riscv64"),
        ("here", "far", "recorded by riscv64"),
        ("far", "here", "recorded"),
    ] {
        let asking = json!([
            {"webfleet.apache.tuning": {}, "check_mode": true, "delegate_to": delegate, "register": "r"},
            {"ansible.builtin.assert": {"that": format!("r.msg == '{says}'")}},
        ]);
        let gathering = json!([{"ansible.builtin.set_fact": facts}]);
        let plays = [("far", gathering), (host, asking)];
        let (good, shown) = site.plays(&plays, &["-i", "inventory.yml"]);
        assert!(good, "{host} by {delegate}: {shown}");
    }
}

#[test]
fn a_machine_without_a_program_is_told_for_which_there_is_one() {
    let site = Site::without_program();
    site.program("sparc9", RECORDER.as_bytes());
    site.program("vax", RECORDER.as_bytes());
    let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &[]);
    let wanted = format!(
        "no program for Linux {}: this collection has it for Linux sparc9, Linux vax",
        env::consts::ARCH
    );
    assert!(message(&result).contains(&wanted), "{result}");
}

#[test]
fn a_collection_without_programs_says_how_they_are_built() {
    let site = Site::without_program();
    let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &[]);
    assert!(message(&result).contains("cargo xtask dist"), "{result}");
}

#[test]
fn async_is_refused_with_the_way_out() {
    let site = Site::new(RECORDER.as_bytes());
    let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &["-B", "10", "-P", "1"]);
    assert!(message(&result).contains("take async and poll off"), "{result}");
}

#[test]
fn an_answer_is_found_between_other_lines_and_anything_else_is_a_failure_that_shows_it() {
    for (printed, code, says) in [
        ("banner\\n{\"changed\": true, \"msg\": \"fine\"}\\ngoodbye\\n", 0, "fine"),
        ("{\\n  \"changed\": true,\\n  \"msg\": \"fine\"\\n}", 1, "fine"),
        ("", 0, "gave no answer (exit code 0): it printed no JSON object"),
        ("segmentation fault\\n", 139, "gave no answer (exit code 139)"),
        ("{\"msg\": \"half", 1, "gave no answer (exit code 1)"),
        ("{\"a\": 1}\\n{\"b\": 2}\\n", 0, "not one JSON object"),
        ("[1, 2]\\n", 0, "it printed no JSON object"),
        ("", 126, "ansible_remote_tmp"),
    ] {
        let site = Site::new(format!("#!/bin/sh\nprintf '{printed}'\nexit {code}\n").as_bytes());
        let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &["--check"]);
        assert!(message(&result).contains(says), "{printed}: {result}");
        if says != "fine" {
            assert_eq!(result["rc"], code, "{printed}: {result}");
            assert!(
                result.get("module_stdout").is_some() && result.get("module_stderr").is_some(),
                "{result}"
            );
        }
    }
}

#[test]
fn what_the_task_was_given_never_stands_in_the_message() {
    // Newer releases print the message of a failure even where no_log hides the rest of the result.
    let site = Site::new(b"#!/bin/sh\ncat \"$1\" | tr '{}' '()'\nexit 3\n");
    let tasks = json!([
        {"webfleet.apache.tuning": {"evasive": {"email_notify": "s3cret@example.org"}}, "no_log": true},
    ]);
    let (good, shown) = site.plays(&[("localhost", tasks)], &[]);
    assert!(!good && shown.contains("censored"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
