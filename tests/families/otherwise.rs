//! What was asked and what httpd reads are not the same thing: then a task fails and names file and line.

use serde_json::json;

use crate::hosts;
use crate::tried::Tried;

const MAIN: &str = "/etc/apache2/apache2.conf";

fn debian() -> Tried {
    Tried::new(&hosts().into_iter().find(|host| host.name.starts_with("debian12")).unwrap())
}

#[test]
fn an_mpm_that_the_main_file_loads_itself_is_named() {
    for line in [
        "Include mods-available/mpm_prefork.load\n",
        "LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so\n",
    ] {
        let mut tried = debian();
        let text = tried.text(MAIN);
        tried.files = tried.files.clone().file(MAIN, format!("{text}{line}"));
        let (_, message) = tried.refuses(&json!({"mpm": "event"}));
        assert!(message.contains("mpm_prefork_module is loaded at "), "{message}");
        assert!(message.contains(MAIN), "{message}");
    }
}

#[test]
fn a_drop_in_that_nothing_includes_is_not_called_overridden() {
    let mut tried = debian();
    let text = tried.text(MAIN).replace("IncludeOptional conf-enabled/", "IncludeOptional conf.d/");
    tried.files = tried.files.clone().file(MAIN, text + "KeepAliveTimeout 5\n");
    for value in ["2", "5"] {
        let (rule, message) = tried.refuses(&json!({"keepalive": {"timeout": value}}));
        assert_eq!(rule, "OVR-001", "{message}");
        assert!(message.contains("which httpd does not read") && !message.contains("later"), "{message}");
    }
}

#[test]
fn a_module_that_is_off_but_loaded_by_another_file_is_named() {
    const LOAD: &str = "LoadModule evasive20_module /usr/lib/apache2/modules/mod_evasive20.so\n";
    for (file, line) in [
        (MAIN, LOAD),
        (MAIN, "Include mods-available/evasive.load\n"),
        ("/etc/apache2/conf-enabled/local.conf", LOAD),
    ] {
        let mut tried = debian();
        let text = if file == MAIN { tried.text(MAIN) } else { String::new() };
        tried.files = tried.files.clone().file(file, format!("{text}{line}"));
        let (rule, message) = tried.refuses(&json!({"evasive": {"enabled": false}}));
        assert_eq!(rule, "MOD-009", "{message}");
        assert!(
            message.contains("evasive20_module is still loaded at ") && message.contains(file),
            "{message}"
        );
    }
}

#[test]
fn an_own_block_in_a_section_that_is_false_is_no_success_by_somebody_elses_number() {
    const INCLUDE: &str = "IncludeOptional conf-enabled/*.conf\n";
    for guard in ["IfModule nosuch_module", "IfDefine Nosuch", "IfModule !mpm_event_module"] {
        let mut tried = debian();
        let name = guard.split(' ').next().unwrap();
        let guarded = format!("<{guard}>\n{INCLUDE}</{name}>\nKeepAliveTimeout 7\n");
        let text = tried.text(MAIN);
        assert!(text.contains(INCLUDE));
        tried.files = tried.files.clone().file(MAIN, text.replace(INCLUDE, &guarded));
        let (rule, message) = tried.refuses(&json!({"keepalive": {"timeout": "7"}}));
        assert_eq!(rule, "OVR-001", "{guard}: {message}");
    }
}

#[test]
fn the_same_time_in_another_unit_overrides_nothing() {
    let later = |value: &str| {
        let mut tried = debian();
        let text = tried.text(MAIN);
        tried.files = tried.files.clone().file(MAIN, format!("{text}KeepAliveTimeout {value}\n"));
        tried
    };
    for (asked, value) in [("7", "7s"), ("7s", "7000ms"), ("60", "1min")] {
        later(value).does(&json!({"keepalive": {"timeout": asked}}));
    }
    let (rule, message) = later("8s").refuses(&json!({"keepalive": {"timeout": "7"}}));
    assert_eq!(rule, "OVR-001", "{message}");
}
