//! The rehearsal: what passes `httpd -t` and does not start is refused before anything is touched.

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
}

const fn row(
    name: &'static str,
    modules: &'static [&'static str],
    lines: &'static str,
    code: &'static str,
) -> Row {
    Row { name, modules, lines, code }
}

const TLS: &[&str] = &["ssl"];

pub(super) const ROWS: &[Row] = &[
    row(
        "a balancer without the module of its method",
        &["proxy", "proxy_http", "proxy_balancer", "slotmem_shm"],
        "<Proxy \"balancer://app\">\nBalancerMember http://127.0.0.1:9000\n</Proxy>\nProxyPass /app balancer://app\n",
        "AH01183",
    ),
    row(
        "stapling without a cache",
        TLS,
        "SSLUseStapling on\n<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\n</VirtualHost>\n",
        "AH01958",
    ),
    row(
        "another certificate's key",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/other-key.pem\n</VirtualHost>\n",
        "AH02565",
    ),
    row("TLS without a certificate", TLS, "<VirtualHost *:443>\nSSLEngine on\n</VirtualHost>\n", "AH02572"),
    row(
        "no cipher",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\nSSLCipherSuite NO-SUCH-CIPHER\n</VirtualHost>\n",
        "AH01898",
    ),
    row(
        "no protocol",
        TLS,
        "<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /etc/pki/certificate.pem\nSSLCertificateKeyFile /etc/pki/key.pem\nSSLProtocol -all\n</VirtualHost>\n",
        "AH02231",
    ),
    row(
        "a shared cache that is too small",
        &["cache", "cache_socache", "socache_shmcb"],
        "CacheSocache shmcb:${APACHE_RUN_DIR}/cache(8191)\n",
        "AH02392",
    ),
    row(
        "a shared cache that is too large",
        &["cache", "cache_socache", "socache_shmcb"],
        "CacheSocache shmcb:${APACHE_RUN_DIR}/cache(4294967295)\n",
        "AH02392",
    ),
    row(
        "memcache without servers",
        &["cache", "cache_socache", "socache_memcache"],
        "CacheSocache memcache\n",
        "AH02392",
    ),
    row("a log that is a directory", &[], "CustomLog /var/log/apache2 combined\n", "AH00649"),
    row("a log program that is not there", &[], "CustomLog \"|/no/such/program\" combined\n", "AH00104"),
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
        let result = tune(&host, &json!({"keepalive": {"timeout": 3}}));
        let rehearsal = &result["config_test"]["rehearsal"];
        let told = &result["findings"][0];
        let refused = result["failed"] == true && told["rule"] == "TST-006" && rehearsal["ok"] == false;
        if !refused || !rehearsal["output"].as_str().unwrap().contains(row.code) {
            wrong.push(format!("{}: {} {rehearsal}", row.name, result["msg"]));
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
