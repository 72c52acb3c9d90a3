//! What is there where a host keeps its program is run by root, so it must be root's alone, whole, and ours.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{RECORDER, Site, good, kept, message, sessions};

/// A program of another program or person, which answers as ours does.
const PLANTED: &str = "#!/bin/sh\necho '{\"changed\": false, \"msg\": \"planted\"}'\n";

const WEB_USER: u32 = 33;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_program_that_somebody_else_could_have_exchanged_is_not_run() {
    let site = Site::new(RECORDER.as_bytes());
    let run = script(&site, "run_command()");
    let name = script(&site, &format!("checksum(program.path_for('Linux', '{}'))", env::consts::ARCH));
    let (bin, elsewhere) = (site.kept().join("bin"), site.path().join("elsewhere"));
    let program = bin.join(name.trim());
    let mut tried = 0;
    for who in [site.kept(), bin.clone(), program.clone()] {
        for how in
            ["nothing", "another owner", "the group writes", "all write", "a link", "other bytes", "cut"]
        {
            for old in [site.kept(), elsewhere.clone()] {
                let _ = fs::remove_file(&old).or_else(|_| fs::remove_dir_all(&old));
            }
            fs::create_dir_all(&bin).unwrap();
            fs::write(&program, RECORDER).unwrap();
            for path in [site.kept(), bin.clone(), program.clone()] {
                set_mode(&path, 0o700);
            }
            match how {
                "another owner" => chown(&who, Some(WEB_USER), None).unwrap(),
                "the group writes" => set_mode(&who, 0o770),
                "all write" => set_mode(&who, 0o707),
                "a link" => {
                    fs::rename(&who, &elsewhere).unwrap();
                    std::os::unix::fs::symlink(&elsewhere, &who).unwrap();
                }
                "other bytes" => fs::write(&program, PLANTED).unwrap(),
                "cut" => fs::write(&program, RECORDER.get(..40).unwrap()).unwrap(),
                _ => {}
            }
            let output = Command::new("unshare")
                .args(["--map-root-user", "sh", "-c", &run])
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            let ran = shown.contains("recorded") || shown.contains("planted");
            let want = (how == "nothing", Some(if how == "nothing" { 0 } else { 120 }));
            assert_eq!((ran, output.status.code()), want, "{}: {how}: {shown}", who.display());
            tried += 1;
        }
    }
    assert_eq!(tried, 21);
}

#[test]
fn a_planted_program_is_passed_over_and_ours_is_sent() {
    let site = Site::new(RECORDER.as_bytes());
    sessions(&site, &[]);
    let bin = site.kept().join("bin");
    fs::write(bin.join(&kept(&site)[0]), PLANTED).unwrap();
    chown(site.kept(), Some(WEB_USER), None).unwrap();
    let (_, result) = sessions(&site, &[]);
    let ran = result["program"].as_str().unwrap();
    assert!(Path::new(ran).starts_with(site.path().join("remote")), "{result}");
}

/// Returns a command of the collection's own scripts as Ansible would start it, from an expression of Python.
fn script(site: &Site, expression: &str) -> String {
    let command = format!(
        "from ansible_collections.webfleet.apache.plugins.plugin_utils import program\nprint(program.{expression})"
    );
    good(site.command("python").env("PYTHONPATH", site.path()).args(["-c", &command]))
}

#[test]
fn a_pipe_in_the_place_of_the_program_sent_does_not_hang_the_task() {
    let site = Site::new(RECORDER.as_bytes());
    let pipe = site.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let script = script(&site, &format!("keep_command('{}', 'x')", pipe.display()));
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "sh", "-c", &script])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    // A guard against waiting for ever, no measure.
    let until = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            None => {
                let _ = child.kill();
                let _ = fs::OpenOptions::new().read(true).write(true).open(&pipe);
                panic!("the script waits for the pipe");
            }
        }
    };
    assert_eq!(status.code(), Some(123));
}

#[test]
fn the_newest_three_versions_stay_and_the_one_in_use_is_never_sent_again() {
    let site = Site::new(RECORDER.as_bytes());
    let mut programs = Vec::new();
    for version in 1..=4 {
        let text = RECORDER.replace("recorded", &format!("version {version}"));
        site.program(env::consts::ARCH, text.as_bytes());
        let (_, result) = sessions(&site, &[]);
        assert_eq!(message(&result), format!("version {version}"));
        programs.push(text);
        assert_eq!(kept(&site).len(), programs.len().min(3), "after version {version}");
    }
    // Two controllers in turns.
    for version in [3, 4] {
        site.program(env::consts::ARCH, programs[version - 1].as_bytes());
        let (count, result) = sessions(&site, &[]);
        assert_eq!((count, message(&result)), (1, format!("version {version}").as_str()));
    }
}

#[test]
fn where_the_kept_program_cannot_be_executed_it_is_sent_once_a_run_and_not_twice() {
    let site = Site::new(RECORDER.as_bytes());
    sessions(&site, &[]);
    let program = site.kept().join("bin").join(&kept(&site)[0]);
    // To the shell's question this is what a file system mounted noexec answers.
    set_mode(&program, 0o600);
    let (_, result) = sessions(&site, &[]);
    let ran = result["program"].as_str().unwrap();
    assert!(Path::new(ran).starts_with(site.path().join("remote")), "{ran}");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o777, 0o600, "it was sent again");
}

#[test]
fn the_scripts_are_clean_to_shellcheck_and_work_as_one_line() {
    let site = Site::new(RECORDER.as_bytes());
    let scripts = ["owned.sh", "run.sh", "keep.sh"]
        .map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("ansible/plugins/plugin_utils").join(name));
    good(Command::new("shellcheck").args(&scripts));
    for expression in ["run_command()", "keep_command('/x y', 'z')"] {
        let script = script(&site, expression);
        assert_eq!(script.lines().count(), 1, "{script}");
        assert!(Command::new("sh").args(["-n", "-c", &script]).status().unwrap().success());
        // What travels with each task; the parameters come beside it.
        assert!(script.len() < 2048, "{} bytes", script.len());
    }
}
