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

#[path = "collection/examples.rs"]
mod examples;
#[path = "collection/playbooks.rs"]
mod playbooks;
#[path = "collection/published.rs"]
mod published;
#[path = "collection/trust.rs"]
mod trust;

/// Prints its own path, the number of its arguments, the environment variable `MARK`, and what it was given to
/// read, as text.
const RECORDER: &str = r#"#!/bin/sh
given=$(cat "$1" | sed 's/\\/\\\\/g; s/"/\\"/g')
printf '{"changed": false, "msg": "recorded", "program": "%s", "argc": %d, "mark": "%s", "given": "%s"}\n' \
    "$0" "$#" "$MARK" "$given"
"#;

/// Makes Ansible leave what it sends, and so send it.
const KEEP_REMOTE_FILES: &str = "[defaults]\nkeep_remote_files = true\n";

/// An installed collection in an empty directory, and a place for everything that a run of Ansible writes.
struct Site {
    dir: TempDir,
    user: User,
}

/// Who Ansible is on the managed host, which is this machine.
#[derive(Clone, Copy)]
enum User {
    Root,
    Nobody,
    /// Whoever runs the tests, with every user of a host known.
    Own,
}

impl Site {
    /// A site whose program for this machine is `program`.
    fn new(program: &[u8]) -> Self {
        let site = Self::without_program();
        site.program(env::consts::ARCH, program);
        site
    }

    /// A site without a collection.
    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), user: User::Root }
    }

    /// A site whose collection has no program at all.
    fn without_program() -> Self {
        let site = Self::empty();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible");
        copy(&source, &site.collection());
        // This machine is not a managed host: what one keeps stays here too.
        site.replace(
            "plugins/plugin_utils/program.py",
            "'/var/lib/apache-tuning'",
            &format!("'{}'", site.kept().display()),
        );
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

    /// Where the programs of a managed host are kept, in place of a directory under `/var/lib`.
    fn kept(&self) -> PathBuf {
        self.path().join("kept")
    }

    /// Replaces a part of a file of the collection.
    fn replace(&self, file: &str, from: &str, to: &str) {
        let path = self.collection().join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Puts a program for one architecture in.
    fn program(&self, architecture: &str, content: &[u8]) {
        let path = self.collection().join(format!("files/bin/apache-tuning-linux-{architecture}"));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program of Ansible, set up to write nowhere but here.
    fn command(&self, program: &str) -> Command {
        // A user namespace shows the user who runs the tests as root, or as nobody; to the files it stays the same.
        let mut command = Command::new("unshare");
        match self.user {
            User::Root => command.arg("--map-root-user").arg(ansible().join(program)),
            User::Nobody => command.arg("--user").arg(ansible().join(program)),
            User::Own => {
                command = Command::new(ansible().join(program));
                &mut command
            }
        };
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

/// Runs a command that must succeed and returns what it printed.
fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The files below a directory, by relative path, sorted.
fn listing(directory: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path.strip_prefix(directory).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    files
}

/// The directory of Ansible's programs. `APACHE_TUNING_ANSIBLE` names another Python environment, to try the
/// collection with another release.
fn ansible() -> PathBuf {
    let environment = env::var_os("APACHE_TUNING_ANSIBLE");
    environment.map_or_else(|| test_hosts::ansible::ensure().unwrap(), PathBuf::from).join("bin")
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
fn a_copied_program_is_chosen_by_the_facts_of_the_host_that_runs_the_task_else_by_its_uname() {
    let site = Site::new(RECORDER.as_bytes());
    site.program("riscv64", RECORDER.replace("recorded", "recorded by riscv64").as_bytes());
    let inventory =
        json!({"all": {"vars": {"ansible_connection": "local"}, "hosts": {"here": {}, "far": {}}}});
    site.file("inventory.yml", &inventory.to_string());
    // A host that can be fed is asked in the one session that runs the program.
    site.file("ansible.cfg", KEEP_REMOTE_FILES);
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
        // Copied; brought there and kept; kept already.
        for more in [&["--check"][..], &[], &[]] {
            let result = site.task("webfleet.apache.tuning", &json!({"mpm": "event"}), more);
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
}

/// The checksums of the programs that the host keeps.
fn kept(site: &Site) -> Vec<String> {
    if site.kept().join("bin").is_dir() { listing(&site.kept().join("bin")) } else { Vec::new() }
}

/// How many sessions with the host a task took, each a command or a file sent, and its result.
fn sessions(site: &Site, more: &[&str]) -> (usize, Value) {
    let mut command = site.command("ansible");
    let arguments = r#"{"mpm": "event"}"#;
    command.args(["localhost", "-m", "webfleet.apache.tuning", "-a", arguments, "-vvv"]).args(more);
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let sessions = shown.lines().filter(|line| line.contains("> EXEC ") || line.contains("> PUT ")).count();
    (sessions, result(&output))
}

#[test]
fn a_host_keeps_the_program_and_is_then_asked_in_one_session() {
    let site = Site::new(RECORDER.as_bytes());
    let (first, result) = sessions(&site, &[]);
    let names = kept(&site);
    assert_eq!(names.len(), 1);
    let program = site.kept().join("bin").join(&names[0]);
    assert_eq!(fs::read(&program).unwrap(), RECORDER.as_bytes());
    for path in [site.kept(), site.kept().join("bin"), program.clone()] {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o700, "{}", path.display());
    }
    assert_eq!(result["program"], program.to_str().unwrap());
    assert!(first > 1, "{first}");

    for more in [&[][..], &["--check"]] {
        let (then, result) = sessions(&site, more);
        assert_eq!((then, &result["program"]), (1, &json!(program.to_str().unwrap())));
        assert_eq!(given(&result)["_ansible_check_mode"], !more.is_empty());
    }
}

#[test]
fn check_mode_keeps_nothing_on_the_host() {
    let site = Site::new(RECORDER.as_bytes());
    let (_, result) = sessions(&site, &["--check"]);
    assert_eq!(given(&result)["mpm"], "event");
    assert!(!site.kept().exists());
}

#[test]
fn a_damaged_program_is_brought_again() {
    for damage in ["", "half", "#!/bin/sh\necho no JSON\n", "#!/no/such/interpreter\n"] {
        let site = Site::new(RECORDER.as_bytes());
        sessions(&site, &[]);
        let program = site.kept().join("bin").join(&kept(&site)[0]);
        fs::write(&program, damage).unwrap();
        let (_, result) = sessions(&site, &[]);
        assert_eq!(given(&result)["mpm"], "event", "{damage:?}");
        assert_eq!(fs::read(&program).unwrap(), RECORDER.as_bytes(), "{damage:?}");
    }
}

#[test]
fn what_a_killed_run_left_is_taken_away_by_the_next_version() {
    let site = Site::new(RECORDER.as_bytes());
    sessions(&site, &[]);
    // Left by a run that was killed while it copied; no process has that number.
    fs::write(site.kept().join("bin/.new.4194305"), "half").unwrap();
    site.program(env::consts::ARCH, RECORDER.replace("recorded", "recorded anew").as_bytes());
    let (_, result) = sessions(&site, &[]);
    assert_eq!(message(&result), "recorded anew");
    let kept = kept(&site);
    assert!(kept.len() == 2 && !kept.iter().any(|name| name.starts_with('.')), "{kept:?}");
}

#[test]
fn a_directory_that_others_can_write_to_is_not_trusted() {
    for plant in ["world", "group", "link", "file"] {
        let site = Site::new(RECORDER.as_bytes());
        let elsewhere = site.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let open = |mode| {
            fs::create_dir(site.kept()).unwrap();
            fs::set_permissions(site.kept(), fs::Permissions::from_mode(mode)).unwrap();
        };
        match plant {
            "world" => open(0o757),
            "group" => open(0o775),
            "link" => std::os::unix::fs::symlink(&elsewhere, site.kept()).unwrap(),
            _ => fs::write(site.kept(), "").unwrap(),
        }
        let (_, result) = sessions(&site, &[]);
        assert_eq!(given(&result)["mpm"], "event", "{plant}");
        let remote = site.path().join("remote");
        assert!(
            result["program"].as_str().unwrap().starts_with(remote.to_str().unwrap()),
            "{plant}: {result}"
        );
        assert_eq!((kept(&site), listing(&elsewhere)), (vec![], vec![]), "{plant}");
    }
}

#[test]
fn a_program_that_was_exchanged_on_its_way_is_neither_kept_nor_run() {
    let site = Site::new(RECORDER.as_bytes());
    // The user who logs in owns the directory that it travels through.
    let exchanged = site.file("exchanged", "#!/bin/sh\necho exchanged\n");
    let command = format!(
        "from ansible_collections.webfleet.apache.plugins.plugin_utils import program\n\
         print(program.keep_command('{}', program.checksum(program.path_for('Linux', '{}'))))",
        exchanged.display(),
        env::consts::ARCH
    );
    let script = good(site.command("python").env("PYTHONPATH", site.path()).args(["-c", &command]));
    let output = Command::new("unshare").args(["--map-root-user", "sh", "-c", &script]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(123), vec![]));
    assert_eq!(kept(&site), Vec::<String>::new());
    assert!(site.kept().join("bin").is_dir(), "the script did not come that far");
}

#[test]
fn the_real_program_answers_whether_it_is_copied_brought_or_kept() {
    let site = Site::new(&fs::read(env!("CARGO_BIN_EXE_apache-tuning")).unwrap());
    let asked = json!({"mmp": "event", "settings": {"threads_per_child": "64x"}});
    for more in [&["--check"][..], &[], &[]] {
        let result = site.task("webfleet.apache.tuning", &asked, more);
        let paths: Vec<&Value> =
            result["errors"].as_array().unwrap().iter().map(|error| &error["path"]).collect();
        assert_eq!(paths, ["settings.threads_per_child", "mmp"]);
    }
    assert_eq!(kept(&site).len(), 1);
}

#[test]
fn a_user_other_than_root_gets_the_program_each_time() {
    let mut site = Site::new(RECORDER.as_bytes());
    site.user = User::Nobody;
    let (_, result) = sessions(&site, &[]);
    assert_eq!(given(&result)["mpm"], "event");
    assert!(!site.kept().exists());
}

#[test]
fn who_keeps_remote_files_finds_what_was_sent() {
    let site = Site::new(RECORDER.as_bytes());
    site.file("ansible.cfg", KEEP_REMOTE_FILES);
    sessions(&site, &[]);
    let sent = listing(&site.path().join("remote"));
    assert!(sent.iter().any(|file| file.ends_with("/args")), "{sent:?}");
    assert!(sent.iter().any(|file| file.ends_with("/apache-tuning")), "{sent:?}");
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

#[test]
fn the_archive_installs_into_an_empty_place_and_works_there() {
    let site = Site::new(RECORDER.as_bytes());
    // What must not travel: left-overs of running and of building.
    fs::create_dir_all(site.collection().join("plugins/action/__pycache__")).unwrap();
    fs::write(site.collection().join("plugins/action/__pycache__/tuning.pyc"), "").unwrap();
    fs::write(site.collection().join("webfleet-apache-0.0.9.tar.gz"), "").unwrap();
    good(site.command("ansible-galaxy").args(["collection", "build"]).arg(site.collection()));
    let archive = site.path().join(concat!("webfleet-apache-", env!("CARGO_PKG_VERSION"), ".tar.gz"));

    let fresh = Site::empty();
    let install = ["collection", "install", "--offline", "-p", "."];
    // As the README of the collection has it.
    let name = archive.file_name().unwrap().to_str().unwrap();
    let readme = fs::read_to_string(site.collection().join("README.md")).unwrap();
    let block = format!("```yaml\ncollections:\n  - name: {name}\n    type: file\n```");
    assert!(readme.contains(&block), "the README does not install {name}");
    fs::copy(&archive, fresh.path().join(name)).unwrap();
    fresh.file("requirements.yml", block.trim_start_matches("```yaml\n").trim_end_matches("```"));
    good(fresh.command("ansible-galaxy").args(install).args(["-r", "requirements.yml"]));
    fs::remove_dir_all(fresh.path().join("ansible_collections")).unwrap();
    good(fresh.command("ansible-galaxy").args(install).arg(name));
    let mut wanted = listing(&site.collection());
    let stays = ["galaxy.yml", ".ansible-lint", ".yamllint"];
    wanted.retain(|file| {
        !file.contains("__pycache__") && !file.ends_with(".tar.gz") && !stays.contains(&file.as_str())
    });
    wanted.extend(["FILES.json".to_owned(), "MANIFEST.json".to_owned()]);
    wanted.sort();
    assert_eq!(listing(&fresh.collection()), wanted);

    for (kind, name) in [("module", "tuning"), ("module", "tuning_info"), ("role", "tuning")]
        .map(|(k, n)| (k, format!("webfleet.apache.{n}")))
    {
        let listed = good(fresh.command("ansible-doc").args(["-t", kind, "-l", "webfleet.apache"]));
        assert!(listed.contains(&name), "{kind} {name}: {listed}");
        good(fresh.command("ansible-doc").args(["-t", kind, &name]));
    }
    for playbook in ["tune", "preview", "rollout", "facts"] {
        good(
            fresh
                .command("ansible-playbook")
                .args([&format!("webfleet.apache.{playbook}"), "--syntax-check"]),
        );
    }
    let result = fresh.task("webfleet.apache.tuning", &json!({"mpm": "event"}), &["--check"]);
    assert_eq!(given(&result)["mpm"], "event");
}

#[test]
fn the_role_hands_on_what_is_set_and_nothing_else() {
    let site = Site::new(RECORDER.as_bytes());
    let variables = json!({
        "apache_tuning_mpm": "event",
        "apache_tuning_settings": {"server_limit": 17},
        "apache_tuning_config_test": false,
    });
    let tasks = json!([
        {"ansible.builtin.include_role": {"name": "webfleet.apache.tuning"}, "vars": variables},
        {"ansible.builtin.copy": {"content": "{{ apache_tuning_result.given }}", "dest": site.path().join("given")},
         "check_mode": false},
    ]);
    let (good, shown) = site.plays(&[("localhost", tasks)], &["--check"]);
    assert!(good, "{shown}");
    let given: Value = serde_json::from_slice(&fs::read(site.path().join("given")).unwrap()).unwrap();
    let mut given = given.as_object().unwrap().clone();
    given.retain(|key, _| !key.starts_with("_ansible_"));
    let wanted = json!({
        "state": "present",
        "mpm": "event",
        "settings": {"server_limit": 17},
        "activation": "auto",
        "config_test": false,
    });
    assert_eq!(Value::Object(given), wanted);
}

#[test]
fn the_role_refuses_a_wrong_variable_before_it_asks_the_host() {
    let site = Site::new(RECORDER.as_bytes());
    let wrong = json!({"apache_tuning_mpm": "evnet", "apache_tuning_health": {"status": 200}});
    let tasks = json!([{"ansible.builtin.include_role": {"name": "webfleet.apache.tuning"}, "vars": wrong}]);
    let (good, shown) = site.plays(&[("localhost", tasks)], &["--check"]);
    assert!(!good && shown.contains("event, worker, prefork") && shown.contains("url"), "{shown}");
}

#[test]
fn the_role_s_handlers_do_what_the_answer_says() {
    for (changed, restart, reload, running, wanted) in [
        (true, true, false, true, Some("Restart Apache")),
        (true, false, true, true, Some("Reload Apache")),
        // A restart takes up all that a reload would.
        (true, true, true, true, Some("Restart Apache")),
        (true, false, false, true, None),
        // An earlier run left it to a handler that never ran.
        (false, true, false, true, Some("Restart Apache")),
        (false, false, false, true, None),
        // What does not run is not started.
        (true, true, false, false, None),
        (true, false, true, false, None),
    ] {
        let answer = json!({
            "changed": changed, "msg": "", "restart_required": restart, "reload_required": reload,
            "activation": {"running": running},
        });
        let site = Site::new(format!("#!/bin/sh\necho '{answer}'\n").as_bytes());
        let role = json!([{"ansible.builtin.include_role": {"name": "webfleet.apache.tuning"}}]);
        // In check mode no service is touched; whether this machine has one does not matter here.
        let more = ["--check", "-e", "apache_tuning_service=apache2"];
        let (_, shown) = site.plays(&[("localhost", role)], &more);
        let ran: Vec<&str> = shown
            .split("RUNNING HANDLER [webfleet.apache.tuning : ")
            .skip(1)
            .filter(|part| !part.lines().nth(1).unwrap_or_default().starts_with("skipping"))
            .map(|part| part.split(']').next().unwrap())
            .collect();
        assert_eq!(ran, wanted.into_iter().collect::<Vec<_>>(), "{answer}: {shown}");
    }
}

#[test]
fn a_preview_changes_nothing_whatever_the_command_line_says() {
    let site = Site::new(RECORDER.as_bytes());
    let output = good(site.command("ansible-playbook").args([
        "webfleet.apache.preview",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-v",
    ]));
    assert!(
        output.contains(r#"\"_ansible_check_mode\": true"#) && output.contains(r#"\"_ansible_diff\": true"#),
        "{output}"
    );
}

#[test]
fn a_rollout_stops_at_the_first_host_that_does_not_serve() {
    // The program fails on the host named second, which is alone in its batch.
    let site = Site::new(
        br#"#!/bin/sh
case $MARK in
  two) echo '{"failed": true, "changed": false, "msg": "all changes were undone"}' ;;
  *) echo '{"changed": true, "msg": "fine", "restart_required": false, "reload_required": false}' ;;
esac
"#,
    );
    site.file("inventory.yml", &json!({"all": {"hosts": {"one": {}, "two": {}, "three": {}}}}).to_string());
    let play = site.collection().join("playbooks/rollout.yml");
    let text = fs::read_to_string(&play).unwrap();
    let marked = text.replace(
        "  gather_facts: false\n",
        "  gather_facts: false\n  environment: {MARK: '{{ inventory_hostname }}'}\n",
    );
    assert_ne!(text, marked);
    fs::write(&play, marked).unwrap();
    let variables = json!({"apache_tuning_hosts": "all", "apache_tuning_health": {"url": "http://localhost/"},
        "apache_tuning_batches": 1});
    let run = |variables: &Value| {
        let mut command = site.command("ansible-playbook");
        command.args([
            "webfleet.apache.rollout",
            "-i",
            "inventory.yml",
            "-c",
            "local",
            "-e",
            &variables.to_string(),
        ]);
        command.args(["-e", "ansible_become=false"]);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let shown = run(&variables);
    assert!(shown.contains("all changes were undone"), "{shown}");
    assert!(shown.contains("changed: [one]") && !shown.contains("[three]"), "{shown}");

    // A host that cannot be reached counts as one that failed, wherever it stands in its batch.
    site.file(
        "inventory.yml",
        &json!({"all": {"hosts": {
            "one": {},
            "gone": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
            "three": {}, "four": {}, "five": {}
        }}})
        .to_string(),
    );
    let mut lax = variables.clone();
    for (batches, reached) in [("1", "[one]"), ("2", "[one]"), ("[1, 2]", "[three]"), ("1,40%", "[three]")] {
        lax["apache_tuning_batches"] = batches.into();
        let shown = run(&lax);
        // Where the batch is that host alone, Ansible ends the play by itself.
        let says = "the rollout stops: 1 hosts have failed or are unreachable (gone)";
        assert!(batches == "1" || shown.contains(says), "{batches}: {shown}");
        assert!(shown.contains(&format!("changed: {reached}")), "{batches}: {shown}");
        assert!(
            !shown.contains("changed: [four]") && !shown.contains("changed: [five]"),
            "{batches}: {shown}"
        );
    }
    lax["apache_tuning_max_failures"] = "20%".into();
    let shown = run(&lax);
    assert!(shown.contains("changed: [five]") && !shown.contains("the rollout stops"), "{shown}");
    for (name, wrong) in [
        ("apache_tuning_batches", "some"),
        ("apache_tuning_batches", "1,0%"),
        ("apache_tuning_max_failures", "few"),
        ("apache_tuning_max_fail_percentage", "0"),
    ] {
        let mut asked = variables.clone();
        asked[name] = wrong.into();
        let shown = run(&asked);
        assert!(shown.contains(name) && !shown.contains("changed: [one]"), "{name}={wrong}: {shown}");
        assert!(!shown.contains("Traceback") && !shown.contains("probably a bug"), "{shown}");
    }

    let shown = run(&json!({"apache_tuning_hosts": "all", "apache_tuning_batches": 1}));
    assert!(
        shown.contains("apache_tuning_health is not set") && !shown.contains("changed: [one]"),
        "{shown}"
    );
}
