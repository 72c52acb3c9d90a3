//! What an undo gives back must work: PHP was upgraded meanwhile, the package went, a record was tampered with.

use std::fs;

use serde_json::{Value, json};
use test_hosts::Host;

use super::{PROGRAM, done, swap, task, tree};

/// Returns the rules of the errors that stand.
fn errors(result: &Value) -> Vec<String> {
    let findings = result["findings"].as_array().unwrap();
    let stands = |finding: &&Value| finding["severity"] == "error" && finding["waived"] != true;
    findings.iter().filter(stands).map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_undo_after_php_was_upgraded_is_refused() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    let id = done(&host, &swap())["transaction"].clone();
    for end in ["load", "conf"] {
        let at = host.path(format!("/etc/apache2/mods-available/php8.2.{end}"));
        fs::rename(&at, at.with_file_name(format!("php8.4.{end}"))).unwrap();
    }
    let before = tree(host.root(), "etc/apache2");
    let undos = [
        json!({"state": "rolled_back"}),
        json!({"state": "rolled_back", "transaction": id}),
        json!({"state": "absent"}),
    ];
    for undo in &undos {
        for check in [true, false] {
            let mut asked = undo.clone();
            asked["_ansible_check_mode"] = check.into();
            let refused = task(&host, &asked);
            assert_eq!(refused["failed"], true, "{asked}: {}", refused["msg"]);
            assert_eq!(errors(&refused), ["UND-001", "UND-002"], "{asked}");
            let said = refused["msg"].as_str().unwrap();
            assert!(said.contains("libapache2-mod-php8.2") && said.contains("php8.2.load"), "{said}");
            assert_eq!(tree(host.root(), "etc/apache2"), before, "{asked}");
        }
        // That the links lead nowhere may be waived; that PHP's sources are sent to anybody is another matter.
        let mut asked = undo.clone();
        asked["waive"] = json!(["UND-001"]);
        assert_eq!(errors(&task(&host, &asked)), ["UND-002"], "{asked}");
    }
    // With the package there again, the undo is what it was.
    for end in ["load", "conf"] {
        let at = host.path(format!("/etc/apache2/mods-available/php8.4.{end}"));
        fs::rename(&at, at.with_file_name(format!("php8.2.{end}"))).unwrap();
    }
    done(&host, &json!({"state": "rolled_back", "activation": "defer"}));
    assert!(host.apache_t().success());
}

#[test]
fn an_undo_whose_mpm_is_gone_names_its_package() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    done(&host, &swap());
    let at = host.path("/etc/apache2/mods-available/mpm_prefork.load");
    fs::rename(&at, host.path("/root/mpm_prefork.load")).unwrap();
    for state in ["rolled_back", "absent"] {
        let refused = task(&host, &json!({"state": state, "config_test": false}));
        let findings = refused["findings"].as_array().unwrap();
        let told = findings.iter().find(|finding| finding["rule"] == "UND-001").expect(state);
        assert_eq!((&told["severity"], &refused["failed"]), (&json!("error"), &json!(true)), "{state}");
        assert!(told["hint"].as_str().unwrap().contains("apache2-bin"), "{told}");
        assert!(told["message"].as_str().unwrap().contains("mpm_prefork.load"), "{told}");
    }
}

#[test]
fn a_record_that_names_another_program_s_file_is_refused() {
    let host = Host::debian12();
    host.install_binary(PROGRAM);
    let id = done(&host, &swap())["transaction"].as_str().unwrap().to_owned();
    // As the first layout has it, which knows no checksum.
    let at = host.path(format!("/var/lib/apache-tuning/history/{id}.json"));
    let mut record: Value = serde_json::from_slice(&fs::read(&at).unwrap()).unwrap();
    let passwd = host.read("/etc/passwd");
    let meta = json!({"mode": 420, "uid": 0, "gid": 0, "modified": null, "attributes": {}});
    record["version"] = 1.into();
    record["entries"].as_array_mut().unwrap().push(json!({
        "path": "/etc/passwd",
        "before": {"kind": "file", "text": "root::0:0::/:/bin/sh\n", "meta": meta},
        "after": {"kind": "file", "text": passwd, "meta": meta},
    }));
    fs::write(&at, record.to_string()).unwrap();
    let refused = task(&host, &json!({"state": "rolled_back", "config_test": false}));
    assert_eq!(refused["failed"], true, "{}", refused["msg"]);
    let said = refused["msg"].as_str().unwrap();
    assert!(said.contains(&id) && said.contains("/etc/passwd") && said.contains("remove it"), "{said}");
    assert_eq!(host.read("/etc/passwd"), passwd);
}
