//! What the tools of those who publish or lint it say of the collection: antsibull-docs, ansible-lint, yamllint.

use std::env;
use std::process::Command;

use super::{Site, ansible};

/// A site with those tools beside Ansible's own.
fn site() -> Site {
    if env::var_os("APACHE_TUNING_ANSIBLE").is_none() {
        test_hosts::ansible::ensure_checks().unwrap();
    }
    Site::without_program()
}

/// Such a tool; it starts Ansible's programs by name.
fn tool(site: &Site, program: &str) -> Command {
    let mut command = site.command(program);
    let path = env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", ansible().display())).current_dir(site.collection());
    command
}

/// Runs it and returns whether it succeeded and all that it showed.
fn shown(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    let shown = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn the_documentation_is_accepted_by_antsibull_and_has_no_error_page() {
    let site = site();
    let lint = shown(tool(&site, "antsibull-docs").args(["lint-collection-docs", "--plugin-docs", "."]));
    assert_eq!(lint, (true, String::new()));
    let pages = site.path().join("pages");
    std::fs::create_dir(&pages).unwrap();
    let make = ["collection", "--use-current", "--squash-hierarchy", "--dest-dir"];
    let (good, said) = shown(tool(&site, "antsibull-docs").args(make).arg(&pages).arg("webfleet.apache"));
    assert!(good && !said.contains("ERROR"), "{said}");
    assert!(pages.join("tuning_module.rst").exists(), "{said}");
}

#[test]
fn ansible_lint_and_yamllint_find_nothing() {
    let site = site();
    let yaml = shown(tool(&site, "yamllint").args(["--strict", "."]));
    assert_eq!(yaml, (true, String::new()));
    let lint = shown(tool(&site, "ansible-lint").args(["--offline", "--nocolor"]));
    assert!(lint.0 && lint.1.contains("0 failure(s), 0 warning(s)"), "{}", lint.1);
}

/// The action plugin has a `main` with the types of the parameters, which is what ansible-lint's rule `args` asks.
#[test]
fn ansible_lint_finds_a_misspelt_parameter_in_a_playbook() {
    let site = site();
    let task = |name: &str, parameters: &str| {
        format!("    - name: {name}\n      webfleet.apache.tuning: {parameters}\n")
    };
    let tasks = [
        task("One", "{mmp: evnt, settings: {max_request_workerz: 5}}"),
        task("Two", "{mpm: evnt}"),
        task("Three", "{mpm: \"{{ mpm }}\", settings: {max_request_workers: 5}, keepalive: {timeout: 5s}}"),
    ];
    let head = "---\n- name: Play\n  hosts: web\n  tasks:\n";
    let playbook = site.file("site.yml", &format!("{head}{}", tasks.concat()));
    let lint = ["--offline", "--nocolor"];
    let (_, said) = shown(tool(&site, "ansible-lint").args(lint).arg(playbook).current_dir(site.path()));
    let found: Vec<&str> = said.lines().filter(|line| line.starts_with("args[module]: ")).collect();
    assert_eq!(found.len(), 2, "{said}");
    assert!(found[0].contains("mmp, settings.max_request_workerz"), "{said}");
    assert!(found[1].contains("value of mpm must be one of: event, worker, prefork, got: evnt"), "{said}");
}
