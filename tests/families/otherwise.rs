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
