//! The two fronts as a caller meets them: exit codes, streams, and what goes where.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output, Stdio};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apache-tuning")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn wrong_usage_is_exit_2_on_stderr_with_the_nearest_word() {
    for (arguments, words) in [
        (&[][..], "missing command"),
        (&["previw"][..], "did you mean `preview`?"),
        (&["preview"][..], "the file of wanted settings is missing"),
        (&["preview", "a.json", "--colour"][..], "usage: apache-tuning preview"),
        (&["schema", "nothing"][..], "there is no schema `nothing`"),
        (&["size"][..], "--connections is missing"),
        (&["size", "--connections", "many"][..], "usage: apache-tuning size"),
        (&["size", "--connections", "5", "--memory", "lots"][..], "such as 10M or 8G"),
        (&["--frobnicate"][..], "--frobnicate"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{arguments:?}: {}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
    }
}

#[test]
fn help_of_a_command_is_asked_for_and_goes_to_stdout() {
    let all = run(&["--help"]);
    let named = text(&all.stdout).lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<&str> = named.filter(|name| !name.is_empty() && !name.starts_with("apache-")).collect();
    assert!(commands.contains(&"size") && commands.len() >= 8, "{commands:?}");
    for command in commands {
        for option in ["--help", "-h"] {
            let output = run(&[command, option]);
            assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{command}");
            let usage = format!("usage: apache-tuning {command} ");
            assert!(text(&output.stdout).starts_with(&usage), "{command}: {}", text(&output.stdout));
        }
    }
}

#[test]
fn what_cannot_be_done_is_exit_1() {
    for arguments in [&["preview", "/nonexistent.json"][..], &["rules", "MRW-999"]] {
        assert_eq!(run(arguments).status.code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn the_module_answers_one_object_on_stdout_whatever_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let unreadable = folder.path().join("missing.json").to_str().unwrap().to_owned();
    let directory = folder.path().to_str().unwrap().to_owned();
    let empty_root = format!(r#"{{"root": "{directory}", "mpm": "event"}}"#);
    for (argument, words) in [
        (unreadable, "could not be read"),
        (directory.clone(), "not a regular file"),
        (file("empty.json", b""), "are empty"),
        (file("cut.json", br#"{"mpm": "eve"#), "not JSON"),
        (file("latin1.json", b"{\"mpm\": \"\xe9vent\"}"), "not UTF-8"),
        (file("list.json", b"[]"), "not a JSON object"),
        (file("infinite.json", br#"{"keep": Infinity}"#), "not JSON"),
        (file("bare.json", empty_root.as_bytes()), "none of the layouts known here"),
        (
            file("no-root.json", br#"{"root": "/nonexistent-root", "mpm": "event"}"#),
            "none of the layouts known here",
        ),
    ] {
        let output = run(&[&argument]);
        let shown = text(&output.stdout);
        let value: serde_json::Value =
            serde_json::from_str(shown).unwrap_or_else(|_| panic!("{argument}: {shown}"));
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert_eq!((&value["failed"], &value["changed"]), (&true.into(), &false.into()), "{shown}");
        assert!(value["msg"].as_str().unwrap().contains(words), "{argument}: {}", value["msg"]);
        assert!(text(&output.stderr).is_empty());
        // Lists are empty, not absent.
        for key in ["findings", "warnings", "changes", "overridden"] {
            assert!(value[key].is_array(), "{key}: {shown}");
        }
    }
}

#[test]
fn schemas_and_rules_are_printed_as_json_too() {
    for name in ["params", "result", "info", "info-result", "facts"] {
        let output = run(&["schema", name]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema["type"], "object", "{name}");
    }
    let rule: serde_json::Value =
        serde_json::from_slice(&run(&["rules", "mrw-002", "--json"]).stdout).unwrap();
    assert_eq!(rule["id"], "MRW-002");
    let all: serde_json::Value = serde_json::from_slice(&run(&["rules", "--json"]).stdout).unwrap();
    assert!(all.as_array().unwrap().len() > 130);
}

#[test]
fn colour_is_for_terminals_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wanted.json");
    std::fs::write(&path, r#"{"mpm": "x"}"#).unwrap();
    let output = run(&["preview", path.to_str().unwrap()]);
    assert!(!text(&output.stdout).contains('\x1b') && text(&output.stdout).contains("must be one of"));
}

/// What bash completes a command line with.
fn completed(words: &[&str]) -> String {
    let script = text(&run(&["completions", "bash"]).stdout).to_owned();
    let words = words.join(" ");
    let asked = format!(
        "{script}\nCOMP_WORDS=({words})\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n_apache_tuning\necho \"${{COMPREPLY[*]}}\""
    );
    let output = Command::new("bash").args(["-c", &asked]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).trim_end().to_owned()
}

#[test]
fn a_shell_completes_commands_and_options() {
    assert_eq!(completed(&["apache-tuning", "prev"]), "preview");
    assert_eq!(completed(&["apache-tuning", "preview", "--r"]), "--root");
    assert_eq!(completed(&["apache-tuning", "size", "--mpm", "pre"]), "prefork");
    assert_eq!(completed(&["apache-tuning", "schema", "fac"]), "facts");
    for shell in ["zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(text(&output.stdout).contains("rollback") && output.status.success(), "{shell}");
    }
    assert_eq!(run(&["completions", "csh"]).status.code(), Some(2));
}

#[test]
fn the_manual_page_names_every_command_and_option() {
    let page = run(&["man"]);
    let page = text(&page.stdout).replace("\\-", "-");
    assert!(page.starts_with(".TH APACHE-TUNING 1"), "{page}");
    let help = run(&["--help"]);
    for word in text(&help.stdout).split_whitespace().filter(|word| word.starts_with("--")) {
        assert!(page.contains(word.trim_end_matches(['.', ']'])), "{word}");
    }
    // Where a formatter is there, it has nothing to complain about.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("apache-tuning.1");
    std::fs::write(&file, run(&["man"]).stdout).unwrap();
    let output = Command::new("groff").args(["-man", "-Tutf8", "-ww"]).arg(&file).output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert!(text(&output.stdout).contains("preview"), "{output:?}");
}
