//! What not everybody may read is not told to everybody: not by a diff, not by this tool's own memory.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};
use test_hosts::Host;

use super::{PROGRAM, done, swap, task};

const SECRET: &str = "correct-horse-battery";
const FILE: &str = "/etc/apache2/mods-available/mpm_event.conf";
const STATE: &str = "/var/lib/apache-tuning";

fn set_mode(host: &Host, path: &str, mode: u32) {
    fs::set_permissions(host.path(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(host: &Host, path: &str) -> u32 {
    fs::metadata(host.path(path)).unwrap().mode() & 0o7777
}

/// Runs every way in which a change is shown or made, and returns all that was printed.
fn everything(host: &Host) -> Vec<Value> {
    let wishes = [
        json!({"activation": "defer", "config_test": false, "settings": {"max_request_workers": 200}}),
        json!({"activation": "defer", "config_test": false, "state": "rolled_back"}),
        json!({"activation": "defer", "config_test": false, "settings": {"max_request_workers": 225}}),
        json!({"activation": "defer", "config_test": false, "state": "absent"}),
    ];
    let mut told = Vec::new();
    for wish in wishes {
        host.write("/root/wish.json", wish.to_string());
        let preview = host.run(&["/usr/local/bin/apache-tuning", "preview", "/root/wish.json"]);
        told.push(json!({"stdout": preview.stdout, "stderr": preview.stderr}));
        for check in [true, false] {
            let mut asked = wish.clone();
            asked["_ansible_diff"] = true.into();
            asked["_ansible_check_mode"] = check.into();
            let result = task(host, &asked);
            assert_eq!(result["changed"], true, "{asked}: {}", result["msg"]);
            told.push(result);
        }
        for options in [&["history"][..], &["history", "--json"], &["info"]] {
            let ran = host.run(&[&["/usr/local/bin/apache-tuning"], options].concat());
            told.push(json!({"stdout": ran.stdout, "stderr": ran.stderr}));
        }
    }
    told
}

#[test]
fn what_not_everybody_may_read_is_shown_by_its_lines_only() {
    for (closed, closed_mode) in
        [(FILE, 0o600), (FILE, 0o640), ("/etc/apache2", 0o750), ("/etc/apache2", 0o755)]
    {
        let host = Host::debian12_event();
        host.install_binary(PROGRAM);
        let text = format!("# password {SECRET}\n{}", host.read(FILE));
        host.write(FILE, &text);
        set_mode(&host, closed, closed_mode);
        let is_open = closed_mode & 0o005 == 0o005;
        let all = everything(&host);
        let printed = all.iter().map(Value::to_string).collect::<Vec<_>>();
        let leaks = printed.iter().filter(|text| text.contains(SECRET)).count();
        assert_eq!(leaks > 0, is_open, "{closed} {closed_mode:o}: {printed:#?}");
        let diffs: Vec<&Value> =
            all.iter().filter_map(|result| result["diff"].as_array()).flatten().collect();
        let of_file: Vec<&&Value> = diffs
            .iter()
            .filter(|entry| entry["before_header"] == FILE && entry["after_header"] == FILE)
            .collect();
        assert_eq!(of_file.len(), 8, "{diffs:#?}");
        for entry in of_file {
            let side = |name: &str| entry[name].as_str().unwrap().to_owned();
            assert_ne!(side("before"), side("after"));
            assert_eq!(side("before").contains("not shown"), !is_open, "{entry}");
            assert!(is_open || side("after").contains("of 1") || side("after").contains("of 2"), "{entry}");
        }
        assert_eq!(host.read(FILE), text);
        assert_eq!(mode(&host, closed), closed_mode);
    }
}

#[test]
fn a_file_that_was_closed_when_it_was_changed_is_not_shown_by_its_undo() {
    let host = Host::debian12_event();
    host.install_binary(PROGRAM);
    host.write(FILE, format!("# password {SECRET}\n{}", host.read(FILE)));
    set_mode(&host, FILE, 0o600);
    done(
        &host,
        &json!({"activation": "defer", "config_test": false, "settings": {"max_request_workers": 200}}),
    );
    set_mode(&host, FILE, 0o644);
    let shown =
        task(&host, &json!({"state": "rolled_back", "_ansible_check_mode": true, "_ansible_diff": true}));
    assert_eq!(shown["changed"], true, "{}", shown["msg"]);
    assert!(!shown.to_string().contains(SECRET), "{shown}");
}

#[test]
fn this_tool_s_own_memory_is_root_s_alone_also_where_an_earlier_version_left_it_open() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    done(&host, &swap());
    let files = |host: &Host| {
        let mut all = vec![STATE.to_owned(), format!("{STATE}/history")];
        for dir in all.clone() {
            for entry in fs::read_dir(host.path(&dir)).unwrap() {
                all.push(format!("{dir}/{}", entry.unwrap().file_name().to_str().unwrap()));
            }
        }
        all
    };
    let open = |host: &Host| {
        let is_open = |path: &String| mode(host, path) & 0o077 != 0;
        files(host).into_iter().filter(is_open).collect::<Vec<_>>()
    };
    assert_eq!(open(&host), [""; 0]);
    for (path, mode) in [
        (STATE, 0o755),
        ("/var/lib/apache-tuning/history", 0o755),
        ("/var/lib/apache-tuning/originals.json", 0o644),
    ] {
        set_mode(&host, path, mode);
    }
    let keep_alive = |seconds: u32| {
        let mut asked = swap();
        asked["keepalive"]["timeout"] = seconds.into();
        asked
    };
    done(&host, &keep_alive(6));
    assert_eq!(open(&host), [""; 0]);
    // An undo gives content back, not the mode of an earlier version.
    set_mode(&host, "/var/lib/apache-tuning/originals.json", 0o644);
    done(&host, &json!({"state": "rolled_back", "activation": "defer", "config_test": false}));
    assert_eq!(open(&host), [""; 0]);
    // One into which others may write is no place to trust.
    set_mode(&host, STATE, 0o770);
    let refused = task(&host, &keep_alive(7));
    assert_eq!(refused["failed"], true, "{refused}");
}
