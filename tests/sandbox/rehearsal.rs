//! The rehearsal: what passes `httpd -t` and does not start is refused before anything is touched.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_hosts::Host;

/// Runs the program in a host.
fn tune(host: &Host, parameters: &Value) -> Value {
    let ran = host.run_with_input(&["/usr/local/bin/apache-tuning", "-"], parameters.to_string().as_bytes());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// A configuration that passes `httpd -t` and does not start.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// Modules to switch on.
    pub(super) modules: &'static [&'static str],
    pub(super) lines: &'static str,
    /// A message code of httpd's that the refusal must have.
    pub(super) code: &'static str,
    /// The rule that knows it without starting httpd.
    pub(super) rule: &'static str,
}

const fn row(
    name: &'static str,
    modules: &'static [&'static str],
    lines: &'static str,
    code: &'static str,
    rule: &'static str,
) -> Row {
    Row { name, modules, lines, code, rule }
}

const TLS: &[&str] = &["ssl"];

pub(super) const ROWS: &[Row] = &[
    row(
        "a balancer without the module of its method",
        &["proxy", "proxy_http", "proxy_balancer", "slotmem_shm"],
        "<Proxy \"balancer://app\">\nBalancerMember http://127.0.0.1:9000\n</Proxy>\nProxyPass /app balancer://app\n",
        "AH01183",
        "GATE-001",
    ),
    row(
        "a balancer's module without shared memory",
        &[],
        "LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\nLoadModule proxy_balancer_module /usr/lib/apache2/modules/mod_proxy_balancer.so\n",
        "AH01177",
        "GATE-002",
    ),
    row(
        "stapling without a cache",
        TLS,
        "SSLUseStapling on\n<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\n</VirtualHost>\n",
        "AH01958",
        "GATE-003",
    ),
    row(
        "another certificate's key",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/other-key.pem\n</VirtualHost>\n",
        "AH02565",
        "GATE-004",
    ),
    row(
        "TLS without a certificate",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\n</VirtualHost>\n",
        "AH02572",
        "GATE-005",
    ),
    row(
        "no cipher",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\nSSLCipherSuite NO-SUCH-CIPHER\n</VirtualHost>\n",
        "AH01898",
        "GATE-006",
    ),
    row(
        "no protocol",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\nSSLProtocol -all\n</VirtualHost>\n",
        "AH02231",
        "GATE-007",
    ),
    row(
        "a shared cache that is too small",
        &["cache", "cache_socache", "socache_shmcb"],
        "CacheSocache shmcb:${APACHE_RUN_DIR}/cache(8191)\n",
        "AH02392",
        "GATE-008",
    ),
    row(
        "a shared cache that is too large",
        &["cache", "cache_socache", "socache_shmcb"],
        "CacheSocache shmcb:${APACHE_RUN_DIR}/cache(4294967295)\n",
        "AH02392",
        "GATE-008",
    ),
    row(
        "memcache without servers",
        &["cache", "cache_socache", "socache_memcache"],
        "CacheSocache memcache\n",
        "AH02392",
        "GATE-009",
    ),
    row("a log that is a directory", &[], "CustomLog /var/log/apache2 combined\n", "AH00649", "GATE-010"),
    row(
        "a log program that is not there",
        &[],
        "CustomLog \"|/no/such/program\" combined\n",
        "AH00104",
        "GATE-011",
    ),
];

/// Brings a host to a row; returns what to do afterwards.
pub(super) fn bring_to(host: &Host, row: &Row) {
    for (name, content) in [
        ("certificate.pem", include_str!("pki/certificate.pem")),
        ("key.pem", include_str!("pki/key.pem")),
        ("other-key.pem", include_str!("pki/other-key.pem")),
    ] {
        std::fs::create_dir_all(host.path("/etc/pki")).unwrap();
        host.write(format!("/etc/pki/{name}"), content);
    }
    for module in row.modules {
        host.run(&["a2enmod", "-q", module]).ok();
    }
    host.write("/etc/apache2/conf-enabled/row.conf", row.lines);
    let test = host.apache_t();
    assert!(test.success(), "{}: {}", row.name, test.stderr);
}

pub(super) fn take_back(host: &Host, row: &Row) {
    std::fs::remove_file(host.path("/etc/apache2/conf-enabled/row.conf")).unwrap();
    for module in row.modules.iter().rev() {
        host.run(&["a2dismod", "-q", "-f", module]).ok();
    }
}

#[test]
fn what_passes_the_test_and_does_not_start_is_refused_before_anything_is_touched() {
    let host = Host::debian12_event();
    host.install_binary(super::PROGRAM);
    let mut wrong = Vec::new();
    for row in ROWS {
        bring_to(&host, row);
        // That nothing else changes is looked at once; it takes long.
        let before = row.modules.contains(&"cache_socache").then(|| host.listing());
        let rehearsed = tune(&host, &json!({"keepalive": {"timeout": 3}, "waive": [row.rule]}));
        let rehearsal = &rehearsed["config_test"]["rehearsal"];
        let told = &rehearsed["findings"].as_array().unwrap().iter().find(|one| one["rule"] == "TST-006");
        let refused = rehearsed["failed"] == true && told.is_some() && rehearsal["ok"] == false;
        if !refused || !rehearsal["output"].as_str().unwrap().contains(row.code) {
            wrong.push(format!("{}, rehearsed: {} {rehearsal}", row.name, rehearsed["msg"]));
        }
        // The rule alone, where no program may be started.
        let ruled = tune(&host, &json!({"keepalive": {"timeout": 3}, "config_test": false}));
        if ruled["failed"] != true || ruled["findings"][0]["rule"] != row.rule {
            wrong.push(format!("{}, by rule: {}", row.name, ruled["msg"]));
        }
        let changed = before.map_or(Vec::new(), |before| host.listing().changes_since(&before));
        assert_eq!(changed, Vec::<String>::new(), "{}", row.name);
        assert!(!host.path("/var/lib/apache-tuning").exists(), "{}", row.name);
        take_back(&host, row);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_sound_change_is_rehearsed_and_leaves_nothing() {
    let host = Host::debian12();
    host.install_binary(super::PROGRAM);
    let parameters = json!({"mpm": "event", "mod_php": "disable", "_ansible_check_mode": true});
    let before = host.listing();
    let result = tune(&host, &parameters);
    let rehearsal = &result["config_test"]["rehearsal"];
    assert_eq!(rehearsal["ran"], true, "{result:#}");
    assert_eq!(rehearsal["ok"], true, "{rehearsal}");
    assert_eq!(rehearsal["status"], 200, "{rehearsal}");
    assert_eq!(host.listing().changes_since(&before), Vec::<String>::new());
    assert_eq!(host.apache_processes(), Vec::<u32>::new());
}

/// Asks the live server until it is told to end, and says how many answers came and how many did not.
const CLIENT: &str = r#"
import os, socket, time
answers, failures = 0, 0
while not os.path.exists("/run/stop-client"):
    try:
        with socket.create_connection(("127.0.0.1", 80), 5) as s:
            s.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
            answered = s.recv(12) == b"HTTP/1.1 200"
    except OSError:
        answered = False
    answers, failures = answers + answered, failures + (not answered)
    time.sleep(0.005)
print(answers, failures)
"#;

/// A program that ends for no signal that can be refused.
const NEVER: &str = "#!/bin/sh\ntrap '' TERM HUP INT USR1 PIPE\nwhile :; do sleep 1; done\n";

#[test]
fn what_never_ends_is_ended_and_the_live_server_sees_nothing() {
    let host = Host::debian12_event();
    host.install_binary(super::PROGRAM);
    // A client that asks without pause is what mod_evasive is there to turn away.
    host.sh("a2dismod -q evasive; a2enmod -q ssl").ok();
    host.write("/root/never", NEVER);
    host.sh("chmod 0755 /root/never").ok();
    host.start_apache();
    let client = host.command("python3").args(["-c", CLIENT]).stdout(Stdio::piped()).spawn().unwrap();
    for (lines, serves) in [
        ("CustomLog \"|/root/never\" combined\n", true),
        ("ErrorLog \"||/root/never\"\n", true),
        // It is asked for its bytes after the test, while httpd starts.
        ("SSLRandomSeed startup exec:/root/never\n", false),
    ] {
        host.write("/etc/apache2/conf-enabled/zz-never.conf", lines);
        let before = host.listing();
        let since = Instant::now();
        let result = tune(&host, &json!({"keepalive": {"timeout": 3}, "_ansible_check_mode": true}));
        let spent = since.elapsed();
        let rehearsal = &result["config_test"]["rehearsal"];
        assert_eq!(rehearsal["ran"], true, "{lines}: {result:#}");
        // What has not answered by then may be slow: that is told, and nothing is refused for it.
        let status = if serves { json!(200) } else { json!(null) };
        assert_eq!((&rehearsal["ok"], &rehearsal["status"]), (&json!(true), &status), "{lines}: {result:#}");
        assert!(spent < Duration::from_secs(60), "{lines}: {spent:?}");
        let changed: Vec<String> = host
            .listing()
            .changes_since(&before)
            .into_iter()
            .filter(|path| !path.contains("/log/"))
            .collect();
        assert_eq!(changed, Vec::<String>::new(), "{lines}");
        // This look has the name in its own words.
        let left = host
            .sh("for dir in /proc/[0-9]*; do grep -aq '/root/neve[r]' $dir/cmdline && echo $dir; done; true");
        assert_eq!(left.ok(), "", "{lines}");
    }
    host.write("/run/stop-client", "");
    let said = client.wait_with_output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let (answers, failures) = said.trim().split_once(' ').unwrap();
    assert!(answers.parse::<u32>().unwrap() > 100 && failures == "0", "{said}");
}

/// The Core Rule Set without its setup, or before it, passes the test, starts, and answers every request with 500.
#[test]
fn a_rule_set_without_its_setup_is_refused_by_rule_and_by_rehearsal() {
    let host = Host::protected(test_hosts::Release::Bookworm);
    host.install_binary(super::PROGRAM);
    let engine = "<IfModule security2_module>\nSecRuleEngine On\n</IfModule>\n";
    host.write("/etc/apache2/conf-enabled/zz-engine.conf", engine);
    let check = |waive: &[&str], more: Value| {
        let mut parameters =
            json!({"keepalive": {"timeout": 3}, "waive": waive, "_ansible_check_mode": true});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tune(&host, &parameters)
    };
    let sound = check(&[], json!({}));
    assert_eq!(sound["config_test"]["rehearsal"]["ok"], true, "{sound:#}");

    let stock = "/etc/apache2/mods-enabled/security2.conf";
    let setup = host.path("/etc/modsecurity/crs/crs-setup.conf");
    let kept = std::fs::read_to_string(&setup).unwrap();
    host.write("/etc/modsecurity/crs/crs-setup.conf", "# Nothing is set up yet.\n");
    host.apache_t().ok();
    let ruled = check(&[], json!({"rehearse": false}));
    assert_eq!(ruled["findings"][0]["rule"], "GATE-013", "{ruled:#}");
    // It answers so as the files stand, too: the rehearsal alone does not blame the change.
    let rehearsed = check(&["GATE-013"], json!({}));
    assert_eq!(rehearsed["config_test"]["rehearsal"]["status"], 500, "{rehearsed:#}");

    // The setup after the rules: as good as none.
    std::fs::remove_file(host.path(stock)).unwrap();
    host.write("/etc/modsecurity/setup-last.conf", &kept);
    host.write(
        "/etc/apache2/conf-enabled/zz-engine.conf",
        engine.replace(
            "SecRuleEngine On\n",
            "SecDataDir /var/cache/modsecurity\nIncludeOptional /usr/share/modsecurity-crs/rules/*.conf\n\
             Include /etc/modsecurity/setup-last.conf\nSecRuleEngine On\n",
        ),
    );
    host.apache_t().ok();
    let late = check(&[], json!({"rehearse": false}));
    assert_eq!(late["findings"][0]["rule"], "GATE-013", "{late:#}");
    // Watched alone it denies nothing.
    let engine =
        host.read("/etc/apache2/conf-enabled/zz-engine.conf").replace("Engine On", "Engine DetectionOnly");
    host.write("/etc/apache2/conf-enabled/zz-engine.conf", engine);
    let watched = check(&[], json!({}));
    assert_eq!(watched["failed"], Value::Null, "{watched:#}");
    assert_eq!(watched["config_test"]["rehearsal"]["status"], 200);
}

/// What ends a running server at its next reload is told while it still runs.
#[test]
fn a_configuration_that_ends_the_server_at_its_next_reload_is_pending() {
    let host = Host::debian12_event();
    host.install_binary(super::PROGRAM);
    host.start_apache();
    let info = |config_test: bool| {
        tune(&host, &json!({"_ansible_module_name": "tuning_info", "config_test": config_test}))
    };
    let sound = info(true);
    assert_eq!(sound["pending_activation"], Value::Null, "{sound:#}");
    assert_eq!(sound["config_test"]["ok"], true, "{sound:#}");
    assert_eq!(sound["config_test"]["rehearsal"]["status"], 200, "{sound:#}");
    assert!(sound["msg"].as_str().unwrap().contains("serves in a rehearsal"), "{}", sound["msg"]);
    let unasked = info(false);
    assert_eq!(unasked["config_test"]["ran"], false);
    assert!(unasked["msg"].as_str().unwrap().contains("httpd itself was not asked"), "{}", unasked["msg"]);
    for name in ["stapling without a cache", "no cipher", "a log that is a directory"] {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        bring_to(&host, row);
        for config_test in [false, true] {
            let told = info(config_test);
            let reasons = told["pending_activation"]["reasons"].to_string();
            assert!(reasons.contains(row.rule), "{name}: {reasons}");
            assert_eq!(reasons.contains("TST-006"), config_test, "{name}: {reasons}");
        }
        take_back(&host, row);
    }
    // What httpd's test alone refuses.
    host.write("/etc/apache2/conf-enabled/row.conf", "NoSuchDirective on\n");
    let told = info(true);
    assert_eq!(told["config_test"]["ok"], false, "{told:#}");
    assert!(told["pending_activation"]["reasons"].to_string().contains("TST-002"), "{told:#}");
    assert!(host.http("/").is_ok(), "the server was disturbed");
}
