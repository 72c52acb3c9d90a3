//! Hints name a word, a package or a line that is really there.

use serde_json::json;

use crate::tried::{Host, Tried};
use crate::{debian, lines, redhat, suse};

fn named(hosts: &[Host], name: &str) -> Tried {
    Tried::new(hosts.iter().find(|host| host.name == name).unwrap_or_else(|| panic!("no tree {name}")))
}

fn with(mut tried: Tried, path: &str, text: &str) -> Tried {
    tried.files = tried.files.clone().file(path, text);
    tried
}

const RHEL_SWITCH: &str = "/etc/httpd/conf.modules.d/00-mpm.conf";
const BARE: &str = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\nStartServers 20\nMinSpareServers 20\n\
                    MaxSpareServers 20\nMaxRequestWorkers 20\nServerLimit 20\n";

#[test]
fn lines_of_the_mpm_that_goes_are_told_where_they_stand() {
    let tried = with(named(&redhat::hosts(), "rocky9"), RHEL_SWITCH, BARE);
    let (rule, message) = tried.refuses(&json!({"mpm": "event"}));
    assert_eq!(rule, "MPM-004", "{message}");
    for words in [
        "MinSpareServers at /etc/httpd/conf.modules.d/00-mpm.conf:3 is a directive of prefork",
        "MaxSpareServers at /etc/httpd/conf.modules.d/00-mpm.conf:4",
        "give settings, which takes these lines over, or put them into <IfModule mpm_prefork_module>",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    assert!(!message.contains("GRM-016"), "{message}");
    let asked = json!({"mpm": "event", "settings": {"server_limit": 17, "max_request_workers": 400}});
    assert!(!tried.is_refused(&asked));
}

#[test]
fn an_error_of_a_line_that_is_moved_is_told_where_it_stands() {
    let text = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\nStartServers 5\nMaxRequestWorkers 256\n\
                </ IfModule>\n";
    let tried = with(named(&redhat::hosts(), "rocky9"), RHEL_SWITCH, text);
    let asked = json!({"settings": {"max_request_workers": 200}, "config_test": false});
    let (rule, message) = tried.refuses(&asked);
    assert_eq!(rule, "GRM-016", "{message}");
    assert!(message.contains("00-mpm.conf:4: </ without a matching <"), "{message}");
}

#[test]
fn of_two_mpms_that_one_is_named_that_php_runs_under() {
    let enabled = "/etc/apache2/mods-enabled";
    for host in debian::hosts() {
        let mut tried = Tried::new(&host);
        let php = tried.configuration().modules.iter().any(|module| module.identifier.starts_with("php"));
        tried.files = ["event", "prefork"].iter().fold(tried.files.clone(), |files, mpm| {
            files.link(format!("{enabled}/mpm_{mpm}.load"), format!("../mods-available/mpm_{mpm}.load"))
        });
        let (rule, message) = tried.refuses(&json!({"keepalive": {"timeout": 3}}));
        assert_eq!(rule, "MPM-001", "{}: {message}", host.name);
        for mpm in ["event", "prefork"] {
            let line = format!("mods-enabled/mpm_{mpm}.load:");
            assert!(message.contains(&line), "{}: {message}", host.name);
        }
        assert_eq!(message.contains("mpm: prefork"), php, "{}: {message}", host.name);
        assert_eq!(message.matches("MPM-001").count(), 1, "{}: {message}", host.name);
    }
}

#[test]
fn the_package_that_is_named_has_what_is_missing() {
    // Installed by hand: the program is there, and no line loads it.
    let tried = with(named(&redhat::hosts(), "rocky9"), "/usr/lib64/httpd/modules/mod_evasive20.so", "");
    let (rule, message) = tried.refuses(&json!({"evasive": {"enabled": true}}));
    assert_eq!(rule, "EV-026");
    assert!(message.contains("LoadModule evasive20_module modules/mod_evasive20.so"), "{message}");
    let amazon = named(&redhat::hosts(), "amzn2");
    let (_, message) = amazon.refuses(&json!({"evasive": {"enabled": true}}));
    assert!(message.contains("apxs") && !message.contains("install the package"), "{message}");
    for host in lines::hosts().iter().filter(|host| host.evasive.is_none()) {
        let (rule, message) = Tried::new(host).refuses(&json!({"evasive": {"enabled": true}}));
        assert!(rule == "EV-026" || rule == "MOD-010", "{}: {message}", host.name);
    }
}

#[test]
fn the_word_of_php_is_the_one_in_the_file() {
    for word in ["php8", "php7", "php5"] {
        let mut tried = Tried::new(&suse::hosts()[0]);
        let file = "/etc/sysconfig/apache2";
        let text = tried.text(file).replace("APACHE_MODULES=\"", &format!("APACHE_MODULES=\"{word} "));
        let program = format!("/usr/lib64/apache2/mod_{word}.so");
        tried = with(with(tried, file, &text), &program, "php_module");
        let (_, message) = tried.refuses(&json!({"mpm": "event"}));
        assert!(message.contains(&format!("take {word} out of APACHE_MODULES")), "{message}");
    }
}

#[test]
fn a_file_that_nothing_includes_is_told_with_the_line_that_is_missing() {
    let host = debian::hosts().into_iter().next().unwrap();
    let tried = Tried::new(&host);
    let main = "/etc/apache2/apache2.conf";
    let text: String = tried
        .text(main)
        .lines()
        .filter(|line| !line.contains("conf-enabled"))
        .map(|line| format!("{line}\n"))
        .collect();
    let tried = with(tried, main, &format!("{text}KeepAliveTimeout 5\n"));
    let (rule, message) = tried.refuses(&json!({"keepalive": {"timeout": 2}, "placement": "drop_in"}));
    assert_eq!(rule, "OVR-001", "{message}");
    assert!(message.contains("IncludeOptional /etc/apache2/conf-enabled/*.conf"), "{message}");
    assert!(!message.contains("remove that line"), "{message}");
}
