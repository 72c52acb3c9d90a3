//! What `tuning_info` tells of a real Debian host, whose server runs: its status, its log, what to paste.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_hosts::{Host, Release};

const LOG: &str = "/var/log/apache2/error.log";

/// A line as event writes it when it runs out of workers.
const REACHED: &str = "[Sat Nov 21 06:00:00.000000 2026] [mpm_event:error] [pid 1:tid 1] AH00484: server reached \
    MaxRequestWorkers setting, consider raising the MaxRequestWorkers setting\n";

fn ask(host: &Host, parameters: &Value) -> Value {
    let ran = host.run_with_input(&["apache-tuning", "-"], parameters.to_string().as_bytes());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

fn look(host: &Host) -> Value {
    ask(host, &json!({"_ansible_module_name": "webfleet.apache.tuning_info"}))
}

fn running() -> Host {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    host.start_apache();
    host
}

#[test]
fn a_server_in_order_is_told_as_it_is_and_nothing_is_recommended() {
    let host = running();
    // Processes and their threads come up one after the other: StartServers 2 x ThreadsPerChild 25.
    let workers = |told: &Value| {
        let count = |name: &str| told["status"][name].as_u64().unwrap_or(0);
        count("busy_workers") + count("idle_workers")
    };
    let until = Instant::now() + Duration::from_secs(20);
    let mut told = look(&host);
    while workers(&told) != 50 {
        assert!(Instant::now() < until, "{}", told["status"]);
        std::thread::sleep(Duration::from_millis(100));
        told = look(&host);
    }
    assert_eq!(told["status"]["mpm"], "event");
    assert_eq!((&told["log"], &told["recommendation"]), (&json!([]), &Value::Null), "{told}");
    // A worker takes kibibytes, which whole or tenth mebibytes would not show.
    let memory = &told["memory"];
    assert!(memory["per_worker_mb"].as_f64().is_some_and(|each| each > 0.0 && each < 1.0), "{memory}");

    let text = host.run(&["apache-tuning", "info"]).stdout;
    assert!(text.contains("workers busy and ") && text.contains(" connections of which "), "{text}");
}

#[test]
fn mod_status_is_asked_where_it_answers_and_the_reason_told_where_not() {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    host.write("/etc/apache2/ports.conf", "Listen 443\nListen 192.0.2.1:80\nListen 127.0.0.9:8080\n");
    host.sh("ip address add 192.0.2.1/32 dev lo").ok();
    host.sh("sed -i 's/:80>/:8080>/' /etc/apache2/sites-available/000-default.conf").ok();
    host.run(&["apache2ctl", "start"]).ok();
    let answers = || look(&host)["status"]["mpm"] == "event";
    let until = Instant::now() + Duration::from_secs(20);
    while !answers() {
        assert!(Instant::now() < until, "{:#}", look(&host)["status_reason"]);
        std::thread::sleep(Duration::from_millis(50));
    }
    host.write("/etc/apache2/ports.conf", "Listen 443\nListen 192.0.2.1:80\n");
    let told = look(&host);
    assert_eq!(told["status"], Value::Null);
    assert!(told["status_reason"].as_str().unwrap().contains("status_url"), "{}", told["status_reason"]);
}

#[test]
fn a_log_that_says_all_workers_were_busy_leads_to_numbers_that_the_task_accepts() {
    // Where Debian's own log is, and where the main server's line puts it on other distributions.
    for (log, line) in [(LOG, ""), ("/etc/apache2/logs/error_log", "ErrorLog logs/error_log\n")] {
        let host = running();
        host.write("/etc/apache2/conf-enabled/log.conf", line);
        std::fs::create_dir_all(host.path("/etc/apache2/logs")).unwrap();
        host.write(log, format!("{REACHED}something else\n{REACHED}"));
        let told = look(&host);
        assert_eq!(
            (&told["log"][0]["code"], &told["log"][0]["count"]),
            (&json!("AH00484"), &json!(2)),
            "{told}"
        );
        let advice = &told["recommendation"];
        assert_eq!(advice["connections"], 2 * told["capacity"]["connections"].as_u64().unwrap());
        assert!(advice["why"].as_str().unwrap().contains("AH00484"), "{advice}");

        let text = host.run(&["apache-tuning", "info"]).stdout;
        assert!(text.contains("    mpm: event\n    settings:\n      "), "{text}");
        let pasted = json!({"mpm": advice["mpm"], "settings": advice["settings"]});
        let done = ask(&host, &pasted);
        assert_eq!(done["changed"], true, "{done}");
        let activation = &done["activation"];
        assert_eq!((&activation["running"], &activation["done"]), (&json!(true), &json!(true)), "{done}");
        assert!(done["capacity"]["connections"].as_u64() >= advice["connections"].as_u64(), "{done}");
    }
}

/// Returns the rules of these families that speak, in their order.
fn speak(told: &Value, families: &[&str]) -> Vec<String> {
    let rules = told["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap());
    let known = rules.filter(|rule| families.contains(&rule.split('-').next().unwrap_or_default()));
    known.map(str::to_owned).collect()
}

#[test]
fn a_host_as_shipped_is_in_order_and_lines_by_hand_are_judged() {
    const FAMILIES: [&str; 4] = ["RRT", "STAT", "LOG", "CMP"];
    for host in [Host::debian12_event(), Host::debian13_event()] {
        host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        host.start_apache();
        // Debian ships a Timeout of 300 s.
        assert_eq!(speak(&look(&host), &FAMILIES), ["RRT-008"]);

        host.sh("a2enmod -q proxy proxy_http brotli && a2dismod -q -f reqtimeout").ok();
        host.sh("mkdir -p /srv/log/dir && chmod 777 /srv/log").ok();
        host.write(
            "/etc/apache2/conf-enabled/zz-by-hand.conf",
            "ProxyPass / http://127.0.0.1:3000/\nExtendedStatus Off\n\
             CustomLog /srv/log/a.log no_such_format\n\
             CustomLog \"|/no/such/program\" combined\n\
             AddOutputFilterByType BROTLI_COMPRESS text/html\nAddOutputFilterByType DEFLATE image/png\n",
        );
        let told = look(&host);
        let mut said = speak(&told, &FAMILIES);
        said.sort();
        said.dedup();
        let all = [
            "CMP-001", "CMP-002", "LOG-002", "LOG-004", "LOG-006", "LOG-008", "RRT-007", "RRT-008",
            "STAT-001", "STAT-004",
        ];
        assert_eq!(said, all, "{:#}", told["findings"]);
        // A task that changes something else is told too, and is refused for nothing but the log that no start survives.
        let asked = json!({"keepalive": {"max_requests": 77}, "waive": ["GATE-011"], "_ansible_check_mode": true, "rehearse": false});
        let told = ask(&host, &asked);
        assert_eq!((&told["changed"], &told["warnings"]), (&json!(true), &json!([])), "{told:#}");
        assert!(speak(&told, &FAMILIES).contains(&"STAT-001".to_owned()), "{told:#}");
    }
}

#[test]
fn memory_measured_on_a_server_that_has_hardly_served_is_told_as_a_lower_bound() {
    let host = running();
    let asked = json!({"capacity": {"connections": 200}, "memory": {"per_worker": "measured"}, "_ansible_check_mode": true});
    let answer = ask(&host, &asked);
    let warned = answer["warnings"].as_array().unwrap().iter().filter_map(Value::as_str);
    let warned: Vec<&str> = warned.filter(|text| text.starts_with("CAP-006")).collect();
    assert_eq!(warned.len(), 1, "{answer}");
    // Its own mod_status says how much it has served.
    assert!(warned[0].contains(" after the server's start") && warned[0].contains(" request"), "{warned:?}");
    assert!(warned[0].contains("workers needs at most "), "{warned:?}");
    assert!(answer["capacity"]["memory_mb"].as_u64() > Some(0), "{answer}");
}

#[test]
fn a_cache_and_tls_by_hand_are_judged() {
    const FAMILIES: [&str; 3] = ["CACHE", "TLS", "H2"];
    for host in [Host::debian12_event(), Host::debian13_event()] {
        host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        host.start_apache();
        host.sh("a2enmod -q cache cache_disk ssl http2").ok();
        host.write("/etc/ssl/web.pem", include_str!("activation/own.pem"));
        host.write("/etc/apache2/mods-enabled/http2.conf", "Protocols http/1.1 h2 spdy\n");
        host.write(
            "/etc/apache2/sites-enabled/by-hand.conf",
            "CacheEnable disk /\nCacheMaxFileSize 10M\nSSLUseStapling on\n\
             <VirtualHost *:443>\nSSLEngine on\nSSLProtocol all\nSSLCertificateFile /etc/ssl/web.pem\n\
             <Location /in>\nRequire ip 10.0.0.0/8\n</Location>\n</VirtualHost>\n",
        );
        let told = look(&host);
        let mut said = speak(&told, &FAMILIES);
        said.sort();
        said.dedup();
        // The package's own cleaner is not enabled where no systemd is.
        said.retain(|rule| rule != "CACHE-007" && rule != "CACHE-009" && rule != "CACHE-012");
        let all = [
            "CACHE-003",
            "CACHE-004",
            "CACHE-006",
            "H2-003",
            "H2-005",
            "H2-009",
            "TLS-006",
            "TLS-007",
            "TLS-011",
        ];
        assert_eq!(said, all, "{:#}", told["findings"]);
    }
}

#[test]
fn modules_that_nothing_uses_are_named_and_taken_out_and_come_back() {
    for host in [Host::debian12_event(), Host::debian13_event()] {
        host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        host.start_apache();
        let told = look(&host);
        let findings = told["findings"].as_array().unwrap();
        let unused = findings.iter().find(|finding| finding["rule"] == "MOD-101").unwrap();
        let names: Vec<&str> = unused["value"].as_str().unwrap().split(' ').collect();
        let all = ["access_compat", "auth_basic", "authn_core", "authn_file", "authz_user", "env"];
        assert_eq!(names, all);

        let paths = ["/", "/index.html", "/icons/", "/server-status?auto", "/no-such-page"];
        let answers = || paths.map(|path| host.http(path).map(|(status, _)| status).ok());
        let before = (host.listing(), answers());
        let off = |names: &[&str]| ask(&host, &json!({"modules": {"remove": names}}));
        let result = off(&names);
        assert_eq!(
            (&result["changed"], &result["activation"]["done"]),
            (&json!(true), &json!(true)),
            "{result:#}"
        );
        assert_eq!(off(&names)["changed"], false);
        assert_eq!(answers(), before.1);
        assert!(!speak(&look(&host), &["MOD"]).contains(&"MOD-101".to_owned()));

        for (name, rule) in [
            ("alias", "MOD-103"),
            ("setenvif", "MOD-103"),
            ("dir", "MOD-105"),
            ("reqtimeout", "MOD-105"),
            ("x", "MOD-107"),
        ] {
            let refused = off(&[name]);
            assert_eq!(
                (&refused["failed"], speak(&refused, &["MOD"])[0].as_str()),
                (&json!(true), rule),
                "{name}"
            );
        }
        assert_eq!(ask(&host, &json!({"state": "absent"}))["changed"], true);
        let etc = std::path::Path::new("etc/apache2");
        let changed = host.listing().below(etc).content().changes_since(&before.0.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

#[test]
fn a_load_is_answered_with_each_number_and_its_reason() {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    let asked = json!({"capacity": {"connections": 2000}, "_ansible_check_mode": true});
    let answer = ask(&host, &asked);
    let sizes = answer["sizes"].as_array().unwrap();
    assert!(sizes.len() >= 8, "{sizes:?}");
    assert!(answer["capacity"]["burst"].as_u64() >= Some(500), "{}", answer["capacity"]);
    let said = |rule: &str| {
        let findings = answer["findings"].as_array().unwrap().iter();
        let of_rule = findings.filter(|one| one["rule"] == rule);
        of_rule.map(|one| one["message"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert!(said("CAP-002").contains("125 of 2000") && said("CAP-002").contains("500 requests"), "{answer}");
    for size in sizes {
        let directive = size["directive"].as_str().unwrap();
        assert_eq!(answer["effective"][directive]["used"], size["value"].to_string(), "{directive}");
        assert!(!size["why"].as_str().unwrap().is_empty(), "{directive}");
    }
    assert_eq!(ask(&host, &json!({"_ansible_check_mode": true}))["sizes"], json!([]));

    host.write("/root/wanted.json", asked.to_string());
    let text = host.run(&["apache-tuning", "preview", "/root/wanted.json"]).stdout;
    for size in sizes {
        assert!(text.contains(size["why"].as_str().unwrap()), "{size}: {text}");
    }
    assert!(text.contains("at most ") && text.contains("* open_files"), "{text}");
}

#[test]
fn a_directory_in_which_mod_evasive_can_note_nothing_is_told_wherever_it_was_set() {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    host.run(&["a2enmod", "evasive"]).ok();
    host.sh("mkdir -p /var/log/own /var/log/open; chown www-data /var/log/own; chmod 0750 /var/log/own; chmod 0777 /var/log/open")
        .ok();
    for (dir, words) in [
        ("/var/log/apache2", "cannot be written"),
        ("/var/log/nowhere", "does not exist"),
        ("/var/log/open", "writable by everybody"),
        ("/var/log/own", ""),
    ] {
        host.write(
            "/etc/apache2/mods-available/evasive.conf",
            format!(
                "<IfModule mod_evasive20.c>\nDOSPageCount 9\nDOSLogDir \"{dir}\"\nDOSEmailNotify root\n\
                 DOSSystemCommand \"sudo block %s\"\n</IfModule>\n"
            ),
        );
        let told = look(&host);
        let findings = told["findings"].as_array().unwrap();
        let found: Vec<&Value> = findings.iter().filter(|one| one["rule"] == "EV-012").collect();
        assert_eq!(found.len(), usize::from(!words.is_empty()), "{dir}: {findings:#?}");
        assert!(found.iter().all(|one| one["message"].as_str().unwrap().contains(words)), "{dir}: {found:?}");
        // Where it can note nothing, it mails nothing and runs nothing, not even once.
        let acts = findings.iter().any(|one| one["rule"] == "EV-014" || one["rule"] == "EV-016");
        assert_eq!(acts, ["/var/log/open", "/var/log/own"].contains(&dir), "{dir}: {findings:#?}");
    }
}

/// What both packages of Debian leave: hundreds of rules in memory, and every attack answered.
#[test]
fn rules_that_inspect_nothing_are_the_first_thing_that_is_told() {
    for release in Release::ALL {
        let host = Host::protected(release);
        host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
        host.run(&["a2dismod", "evasive"]).ok();
        host.start_apache();
        let attack = "/?exec=/bin/bash";
        assert_eq!(host.http(attack).unwrap().0, 200);
        let told = look(&host);
        let findings = told["findings"].as_array().unwrap();
        let errors = findings.iter().take_while(|one| one["severity"] == "error").count();
        assert_eq!(errors, 0, "{findings:#?}");
        assert_eq!(findings[0]["rule"], "SEC-001", "{findings:#?}");
        let rules = findings[0]["message"].as_str().unwrap().split(' ').next().unwrap();
        assert!(rules.parse::<u32>().unwrap() > 150, "{}", findings[0]["message"]);

        // Behind the rules, in whatever file: then it is inspected, and nothing is told.
        host.write("/etc/apache2/conf-enabled/engine.conf", "SecRuleEngine On\n");
        host.run(&["apache2ctl", "graceful"]).ok();
        let until = Instant::now() + Duration::from_secs(20);
        while host.http(attack).unwrap().0 != 403 {
            assert!(Instant::now() < until, "the rules never refuse");
            std::thread::sleep(Duration::from_millis(100));
        }
        let told = look(&host)["findings"].to_string();
        assert!(!told.contains("SEC-00"), "{told}");
    }
}

#[test]
fn how_httpd_is_started_is_told_and_no_value_of_a_variable() {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    host.sh("echo 'export SITE_KEY=hunter2' >> /etc/apache2/envvars").ok();
    host.write(
        "/etc/apache2/conf-enabled/zz-site.conf",
        "KeepAliveTimeout ${SITE_TIMEOUT}\nServerName ${SITE_KEY}\n",
    );
    let first = |name: &str| look(&host)["start"][name].clone();
    assert_eq!((first("by"), first("binary")), (json!("files"), json!("/usr/sbin/apache2")));
    assert_eq!((first("main_file"), first("defines")), (json!("/etc/apache2/apache2.conf"), json!([])));
    assert_eq!(first("server_root"), "/etc/apache2");
    assert!(first("read_from").as_array().unwrap().contains(&json!("/etc/apache2/envvars")));
    assert!(first("variables").as_array().unwrap().contains(&json!("SITE_KEY")));
    // A name that somebody gives it is one that is known.
    host.sh("echo 'export SITE_TIMEOUT=7' >> /etc/apache2/envvars").ok();
    assert!(first("variables").as_array().unwrap().contains(&json!("SITE_TIMEOUT")));
    // Options: names, another main file, directives without what they say.
    host.sh("cp /etc/apache2/apache2.conf /etc/apache2/other.conf").ok();
    host.sh("echo \"export APACHE_ARGUMENTS='-D FAST -f other.conf -C KeepAliveTimeout\\\\\\t9'\" >> /etc/apache2/envvars").ok();
    assert_eq!((first("defines"), first("main_file")), (json!(["FAST"]), json!("/etc/apache2/other.conf")));
    host.sh("sed -i /APACHE_ARGUMENTS/d /etc/apache2/envvars").ok();
    host.start_apache();
    assert_eq!(first("by"), "parent");
    assert_eq!(look(&host)["effective"]["KeepAliveTimeout"]["value"], "7");
    assert!(!look(&host)["start"].to_string().contains("hunter2"));
}

#[test]
fn an_instance_is_looked_at_by_its_name() {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    host.sh("cp -a /etc/apache2 /etc/apache2-blue").ok();
    host.write("/etc/apache2-blue/conf-enabled/own.conf", "KeepAliveTimeout 77\n");
    let told = |instance: Value| {
        ask(&host, &json!({"_ansible_module_name": "webfleet.apache.tuning_info", "instance": instance}))
    };
    assert_eq!(told(json!("blue"))["effective"]["KeepAliveTimeout"]["value"], "77");
    assert_eq!(told(Value::Null)["effective"]["KeepAliveTimeout"]["value"], "5");
    let wrong = told(json!("../blue"));
    assert_eq!(wrong["failed"], true);
    assert!(wrong["msg"].as_str().unwrap().contains("value of instance must be a name"), "{}", wrong["msg"]);
    let missing = told(json!("green"));
    assert!(
        missing["failed"] == true && missing["msg"].as_str().unwrap().contains("green"),
        "{}",
        missing["msg"]
    );
}
