//! After the change the host is read again: what became of it between the swap and the end of the run is told with file
//! and line, and undone.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use test_hosts::Host;

use crate::{PROGRAM, parent, running, tune};

const DROP_IN: &str = "/etc/apache2/conf-enabled/zz-apache-tuning.conf";

/// What others do to the host, and what is said of it.
const MEDDLED: [(&str, &str, &str); 4] = [
    (
        "another file wins",
        "printf '# theirs\\nKeepAlive On\\n' > /etc/apache2/conf-enabled/zzz-later.conf",
        "/etc/apache2/conf-enabled/zzz-later.conf:2",
    ),
    (
        "the file is rewritten",
        "echo 'KeepAlive On' > /etc/apache2/conf-available/zz-apache-tuning.conf",
        "/etc/apache2/conf-available/zz-apache-tuning.conf:1",
    ),
    (
        "the link leads elsewhere",
        "ln -sfn ../conf-available/security.conf /etc/apache2/conf-enabled/zz-apache-tuning.conf",
        "/etc/apache2/conf-enabled/zz-apache-tuning.conf is a link to ../conf-available/security.conf",
    ),
    (
        "the include goes",
        "sed -i '/IncludeOptional conf-enabled/d' /etc/apache2/apache2.conf",
        "/etc/apache2/conf-available/zz-apache-tuning.conf, which httpd does not read",
    ),
];

fn is_undone(host: &Host, result: &Value, (what, said): (&str, &str)) {
    let message = result["msg"].as_str().unwrap();
    assert_eq!((&result["failed"], &result["changed"]), (&json!(true), &json!(false)), "{what}: {message}");
    assert!(message.contains("after the change the host is not in the desired state"), "{what}: {message}");
    assert!(message.contains(said), "{what}: {message}");
    assert!(message.contains("all changes were undone"), "{what}: {message}");
    let told = result["findings"].as_array().unwrap().iter();
    assert!(told.filter(|finding| finding["severity"] == "error").count() > 0, "{what}: {result}");
    assert_eq!(result["changes"], json!([]), "{what}");
    assert!(!host.path(DROP_IN).is_symlink(), "{what}");
    assert!(!host.path("/var/lib/apache-tuning/journal").exists(), "{what}");
}

#[test]
fn what_others_write_while_the_server_takes_the_change_up_is_told_and_undone() {
    for (what, meddle, said) in MEDDLED {
        let host = running();
        // A log program runs when the server takes the drop-in up, and not before.
        host.write(
            "/root/meddle",
            format!("#!/bin/sh\n[ -e /root/done ] || {meddle}\ntouch /root/done\nexec cat > /dev/null\n"),
        );
        host.sh("chmod 755 /root/meddle").ok();
        host.write(
            "/etc/apache2/conf-enabled/own.conf",
            format!("<IfFile {DROP_IN}>\nCustomLog \"|/root/meddle\" combined\n</IfFile>\n"),
        );
        let result = tune(&host, &json!({"keepalive": {"enabled": false}, "config_test": false}));
        is_undone(&host, &result, (what, said));
        assert!(host.http("/").is_ok(), "{what}");
        assert!(parent(&host).is_some(), "{what}");
    }
}

/// Runs a task slowly, and `meddle` in the host as soon as the drop-in is linked, or is not.
fn tune_slowly(host: &Host, parameters: &Value, linked: bool, meddle: &str) -> Value {
    host.write("/root/parameters.json", parameters.to_string());
    let calls = "rename,renameat,renameat2,symlinkat,unlinkat";
    let mut slowly = host.machine_command("strace");
    slowly.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}")]);
    slowly.args(["-e", &format!("inject={calls}:delay_exit=150000"), "chroot"]).arg(host.root());
    slowly.args(["/usr/local/bin/apache-tuning", "/root/parameters.json"]);
    let mut running = slowly.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while host.path(DROP_IN).is_symlink() != linked && running.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    host.sh(meddle).ok();
    let output = running.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn what_others_write_before_the_look_is_told_where_activation_is_deferred_too() {
    for (what, meddle, said) in MEDDLED {
        let host = Host::debian12_event();
        host.install_binary(PROGRAM);
        let asked = json!({"keepalive": {"enabled": false}, "activation": "defer", "config_test": false});
        let result = tune_slowly(&host, &asked, true, meddle);
        is_undone(&host, &result, (what, said));
    }
}

#[test]
fn what_comes_back_while_it_is_taken_out_is_told() {
    for state in ["absent", "rolled_back"] {
        let host = Host::debian12_event();
        host.install_binary(PROGRAM);
        let asked = json!({"keepalive": {"enabled": false}, "activation": "defer", "config_test": false});
        assert_eq!(tune(&host, &asked)["changed"], true);
        let undo = json!({"state": state, "config_test": false});
        let result = tune_slowly(&host, &undo, false, &format!("echo 'KeepAlive On' > {DROP_IN}"));
        let message = result["msg"].as_str().unwrap();
        assert_eq!(result["failed"], true, "{state}: {message}");
        assert!(message.contains(&format!("{DROP_IN} is there again")), "{state}: {message}");
        assert!(message.contains("all changes were undone"), "{state}: {message}");
        assert!(host.path(DROP_IN).is_symlink(), "{state}");
        let back = host.read("/etc/apache2/conf-available/zz-apache-tuning.conf");
        assert!(back.contains("  Off\n"), "{state}: {back}: {message}");
    }
}
