//! Holds that a machine which sees this project for the first time has all that its tests start: each program that a
//! test, a benchmark or a step starts is Debian's own, Rust's, or stands in a table of what is needed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use test_hosts::apt::{HOST_NEEDS, Need};
use test_hosts::{Flavour, Release, browser, folders, template};

use crate::{fresh, fuzz, measure, test};

/// The folders whose code runs on the developer's machine.
const FOLDERS: [&str; 4] = ["tests", "bench", "xtask", "fuzz"];

/// What starts a program of this machine, up to the program.
const STARTS: [&str; 5] = ["Command::new(", "machine_command(", "folders::run(", " command(", "(command("];

/// What comes with Rust.
const OF_RUST: [&str; 3] = ["cargo", "rustc", "rustup"];

/// Programs that are no literal: where, which expression, and what it can only be.
const EXPRESSIONS: &[(&str, &str, &str)] = &[
    ("tests/a2enmod/script.rs", "program", "one of two programs, each asked for first"),
    ("tests/a2enmod/script.rs", "script", "perl, in a function of that file"),
    ("tests/command_line.rs", "env!", "the program itself"),
    ("tests/access_log.rs", "env!", "the program itself"),
    ("tests/collection.rs", "ansible()", "of Ansible's environment"),
    ("tests/collection/examples.rs", "ansible()", "of Ansible's environment"),
    ("tests/families/printed.rs", "env!", "the program itself"),
    ("tests/families/refused.rs", "env!", "the program itself"),
    ("tests/collection/playbooks.rs", "env!", "the program itself"),
    ("tests/collection/playbooks.rs", "ansible()", "of Ansible's environment"),
    ("tests/fleet/bad_input.rs", "env!", "the program itself"),
    ("tests/fleet/own_facts.rs", "env!", "the program itself"),
    ("tests/fleet/support.rs", "env!", "the program itself"),
    ("tests/hosts/src/ansible.rs", "python", "the Python that the table of needs brings"),
    ("tests/hosts/src/ansible.rs", "pip", "of Ansible's environment"),
    ("tests/hosts/src/ansible.rs", "programs.join", "of Ansible's environment"),
    ("tests/hosts/src/folders.rs", "program", "the word that the caller gives"),
    ("tests/hosts/src/host.rs", "&words[0]", "nsenter"),
    ("tests/hosts/tests/host.rs", "std::env::current_exe", "the test itself"),
    ("tests/sandbox/main.rs", "program", "the program itself"),
    ("xtask/src/collection.rs", "galaxy", "of Ansible's environment"),
    ("xtask/src/demo_fleet.rs", "&self.program", "the program itself"),
    ("xtask/src/fuzz.rs", "home.join", "built by Cargo"),
    (
        "xtask/src/measure_log.rs",
        "program",
        "the program itself, or goaccess, which the table of needs brings",
    ),
    ("xtask/src/steps.rs", "program", "the word that the caller gives"),
    ("xtask/src/steps.rs", "std::env::var_os", "the Cargo that runs"),
    ("tests/start/main.rs", "PROGRAM", "the program itself"),
    ("tests/watch.rs", "env!", "the program itself"),
];

/// A program that is started: the file, and the program as the code has it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    file: String,
    program: Program,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Word(String),
    Expression(String),
}

/// Returns the text between quotes at the beginning.
fn literal(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.split('"').next()
}

/// Returns every program that a file's text starts; a constant of the file is the text it stands for.
fn starts(file: &str, text: &str) -> Vec<Start> {
    let constant = |name: &str| {
        let (_, rest) = text.split_once(&format!("const {name}: &str = "))?;
        literal(rest)
    };
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for start in STARTS {
            for (at, _) in line.match_indices(start) {
                // A definition, or the same word with a different object before it.
                if line.contains("fn ") {
                    continue;
                }
                let given = line.get(at + start.len()..).unwrap_or_default().trim();
                let program = match literal(given).or_else(|| constant(given.split([')', ',']).next()?)) {
                    Some(word) => Program::Word(word.to_owned()),
                    None => Program::Expression(given.to_owned()),
                };
                found.push(Start { file: file.to_owned(), program });
            }
        }
    }
    found
}

fn sources() -> Vec<(String, String)> {
    let root = folders::workspace();
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = FOLDERS.iter().map(|name| root.join(name)).collect();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                if !name.ends_with("/root") && !name.ends_with("/target") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "rs") && name != "xtask/src/programs.rs" {
                files.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    files
}

/// Returns the names of all programs of the packages without which there is no Debian.
fn of_every_debian() -> BTreeSet<String> {
    let root = template::ensure(Release::Bookworm, Flavour::Event).unwrap();
    let status = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    let required = status.split("\n\n").filter(|entry| entry.contains("\nPriority: required"));
    let mut names = BTreeSet::from(["apt-get", "apt-config"].map(str::to_owned));
    for entry in required {
        let package = entry.lines().find_map(|line| line.strip_prefix("Package: ")).unwrap();
        let lists =
            [format!("{package}.list"), format!("{package}:amd64.list"), format!("{package}:arm64.list")];
        let list =
            lists.iter().find_map(|name| fs::read_to_string(root.join("var/lib/dpkg/info").join(name)).ok());
        for path in list.unwrap_or_default().lines().map(Path::new) {
            if path.parent().is_some_and(|folder| folder.ends_with("bin") || folder.ends_with("sbin")) {
                names.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    names
}

/// Returns what is wrong with a start, if anything.
fn complaint(start: &Start, there: &BTreeSet<String>) -> Option<String> {
    let file = &start.file;
    match &start.program {
        Program::Word(word) if word.contains('/') => Some(format!(
            "{file} starts {word} of this machine: start it in a test host, or by its name from a table of needs"
        )),
        Program::Word(word) if !there.contains(word) => Some(format!(
            "{file} starts `{word}`, which a fresh machine does not have: put its package into a table of needs"
        )),
        Program::Expression(given)
            if !EXPRESSIONS.iter().any(|(at, expression, _)| at == file && given.starts_with(expression)) =>
        {
            Some(format!("{file} starts {given:?}: say in EXPRESSIONS what that can be"))
        }
        _ => None,
    }
}

fn needed() -> impl Iterator<Item = &'static Need> {
    [HOST_NEEDS, browser::NEEDS, test::TEST_NEEDS, measure::NEEDS, fuzz::NEEDS, fresh::NEEDS]
        .into_iter()
        .flatten()
}

#[test]
fn every_program_that_is_started_is_debians_rusts_or_needed() {
    let mut there = of_every_debian();
    there.extend(OF_RUST.map(str::to_owned));
    there.extend(needed().flat_map(|need| need.programs).map(|name| (*name).to_owned()));
    let all: Vec<Start> = sources().iter().flat_map(|(file, text)| starts(file, text)).collect();
    let complaints: BTreeSet<String> = all.iter().filter_map(|start| complaint(start, &there)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(all.len() > 40, "only {} starts found: does the search still work?", all.len());
    for (file, expression, _) in EXPRESSIONS {
        let is = |start: &Start| {
            start.file == *file
                && matches!(&start.program, Program::Expression(given) if given.starts_with(expression))
        };
        assert!(all.iter().any(is), "{file} does not start {expression} any more");
    }
}

#[test]
fn the_shell_scripts_are_clean_to_shellcheck() {
    let root = folders::workspace();
    let scripts = ["tests/hosts/src/build-root.sh", "xtask/src/fresh.sh"];
    let mut command = crate::steps::command("shellcheck");
    // An empty root cannot be: each script ends where its argument is missing.
    command.args(["--shell=sh", "--exclude=SC2115"]).args(scripts.map(|name| root.join(name)));
    crate::steps::run(&mut command).unwrap();
}

#[test]
fn a_program_of_this_machine_is_found_however_it_is_named() {
    let there = BTreeSet::from(["cp".to_owned()]);
    for (text, good) in [
        ("Command::new(\"cp\")", true),
        ("Command::new(\"apache2\")", false),
        ("Command::new(\"/usr/sbin/apache2\")", false),
        ("Command::new(\"/bin/cp\")", false),
        ("const BINARY: &str = \"/usr/sbin/apache2\";\nlet x = Command::new(BINARY)", false),
        ("const COPY: &str = \"cp\";\nlet x = Command::new(COPY)", true),
        ("let binary = \"/usr/sbin/apache2\";\nCommand::new(binary)", false),
        ("folders::run(\"rsync\", [])", false),
        ("host.machine_command(\"tcpdump\")", false),
        ("go(command(\"npm\"))", false),
        ("// Command::new(\"apache2\")", true),
        ("host.command(\"apache2\")", true),
    ] {
        let complaints =
            starts("tests/x.rs", text).iter().filter_map(|start| complaint(start, &there)).count();
        assert_eq!(complaints == 0, good, "{text}");
    }
}
