//! Hosts that pass `httpd -t` and do not start, each beside one that does. What they do was seen on real servers.

use super::judged::{Host, event};
use super::{Case, case};

const CERTIFICATE: &str = include_str!("../sandbox/pki/certificate.pem");
const KEY: &str = include_str!("../sandbox/pki/key.pem");
const OTHER_KEY: &str = include_str!("../sandbox/pki/other-key.pem");

const BALANCER: [&str; 3] = ["proxy_module", "proxy_balancer_module", "slotmem_shm_module"];

fn balancer(lines: &str) -> Host {
    event().starts(&BALANCER, lines, &[])
}

/// A host with a virtual host that speaks TLS with a certificate, with lines in the main server and in it.
fn tls(main: &str, vhost: &str) -> Host {
    let lines = format!(
        "{main}\n<VirtualHost *:443>\nSSLEngine on\nSSLCertificateFile /pki/certificate.pem\n\
         SSLCertificateKeyFile /pki/key.pem\n{vhost}\n</VirtualHost>\n"
    );
    bare_tls(&lines)
}

fn bare_tls(lines: &str) -> Host {
    let files =
        [("/pki/certificate.pem", CERTIFICATE), ("/pki/key.pem", KEY), ("/pki/other-key.pem", OTHER_KEY)];
    event().starts(&["ssl_module"], lines, &files)
}

fn cache(lines: &str) -> Host {
    event().starts(&["cache_socache_module"], lines, &[])
}

fn logs(lines: &str) -> Host {
    let there = [("/var/log/apache2/", ""), ("/usr/bin/rotatelogs", "")];
    event().starts(&["log_config_module"], lines, &there)
}

/// A host whose Core Rule Set asks for its setup.
fn rule_set(before: &str, after: &str) -> Host {
    let asks = "SecRule &TX:crs_setup_version \"@eq 0\" \"id:901001,phase:1,deny,status:500\"";
    event().starts(&["security2_module"], &format!("SecRuleEngine On\n{before}\n{asks}\n{after}\n"), &[])
}

const SETUP: &str = "SecAction \"id:900990,phase:1,pass,setvar:tx.crs_setup_version=337\"";

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "GATE-001",
            balancer("ProxyPass /app balancer://app lbmethod=bybusyness\n"),
            balancer("ProxyPass /app balancer://app\n"),
        ),
        case("GATE-002", balancer(""), event().starts(&["proxy_module", "proxy_balancer_module"], "", &[])),
        case(
            "GATE-003",
            tls("SSLUseStapling on\nSSLStaplingCache shmcb:/run/stapling(32768)", ""),
            tls("SSLUseStapling on", ""),
        ),
        case("GATE-004", tls("", ""), {
            bare_tls(
                "SSLEngine on\nSSLCertificateFile /pki/certificate.pem\nSSLCertificateKeyFile /pki/other-key.pem\n",
            )
        }),
        case("GATE-005", tls("", ""), bare_tls("SSLEngine on\n")),
        case("GATE-006", tls("SSLCipherSuite HIGH:!aNULL", ""), tls("SSLCipherSuite Modern", "")),
        case("GATE-007", tls("SSLProtocol all -SSLv3", ""), tls("", "SSLProtocol -all")),
        case(
            "GATE-008",
            cache("CacheSocache shmcb:/run/cache(512000)\n"),
            cache("CacheSocache shmcb:/run/cache(8191)\n"),
        ),
        case("GATE-009", cache("CacheSocache memcache:127.0.0.1\n"), cache("CacheSocache memcache\n")),
        case(
            "GATE-010",
            logs("CustomLog /var/log/apache2/access.log combined\n"),
            logs("CustomLog /var/log/apache2 combined\n"),
        ),
        case(
            "GATE-011",
            logs("CustomLog \"|/usr/bin/rotatelogs /var/log/apache2/x 86400\" combined\n"),
            logs("CustomLog \"|/no/such/program\" combined\n"),
        ),
        case(
            "GATE-012",
            cache("CacheSocache dbm:/etc/apache2/cache\n"),
            cache("CacheSocache dbm:/no/such/directory/cache\n"),
        ),
        case("GATE-013", rule_set(SETUP, ""), rule_set("", SETUP)),
        case(
            "GATE-014",
            logs("Mutex file:/run/lock/apache2 default\n").audit(),
            logs("Mutex file:/run/no-such-directory default\n").audit(),
        ),
    ]
}

/// Lines that a real server took, beside those of the same kind that it did not.
#[test]
fn kinds_of_each_row_that_were_seen_on_real_servers() {
    let section = |inner: &str| {
        format!("<Proxy balancer://App>\nBalancerMember http://127.0.0.1:9\n{inner}\n</Proxy>\n")
    };
    let vhost = |inner: &str| format!("<VirtualHost *:81>\n{inner}\n</VirtualHost>\n");
    let two = "SSLCertificateFile /pki/certificate.pem";
    for (id, takes, host) in vec![
        ("GATE-001", true, balancer("<Proxy balancer://app>\n</Proxy>\n")),
        ("GATE-001", true, balancer(&section("ProxySet lbmethod=bybusyness"))),
        ("GATE-001", true, balancer("RewriteRule ^/x balancer://app/ [P]\n")),
        ("GATE-001", false, balancer(&section(""))),
        ("GATE-001", false, balancer("BalancerMember balancer://app http://127.0.0.1:9\n")),
        ("GATE-001", false, balancer("ProxyPassMatch ^/a balancer://app\n")),
        ("GATE-001", false, balancer("<Location /a>\nProxyPass balancer://app\n</Location>\n")),
        ("GATE-001", false, balancer(&vhost(&section("")))),
        // A virtual host's balancer is another one, also of the same name.
        (
            "GATE-001",
            false,
            balancer(&(section("ProxySet lbmethod=bybusyness") + &vhost("ProxyPass / balancer://app/"))),
        ),
        ("GATE-003", true, tls("SSLUseStapling on", "SSLUseStapling off")),
        ("GATE-003", true, bare_tls("SSLUseStapling on\n")),
        ("GATE-003", false, tls("", "SSLUseStapling on")),
        (
            "GATE-004",
            true,
            tls("SSLCertificateFile /pki/certificate.pem\nSSLCertificateKeyFile /pki/key.pem", ""),
        ),
        ("GATE-004", false, tls("", two)),
        ("GATE-004", false, bare_tls("SSLEngine on\nSSLCertificateFile /pki/key.pem\n")),
        (
            "GATE-004",
            true,
            bare_tls(&vhost(
                "SSLCertificateFile /pki/certificate.pem\nSSLCertificateKeyFile /pki/other-key.pem",
            )),
        ),
        (
            "GATE-005",
            true,
            bare_tls(
                "SSLCertificateFile /pki/certificate.pem\n<VirtualHost *:443>\nSSLEngine on\n</VirtualHost>\n",
            ),
        ),
        ("GATE-005", true, bare_tls(&vhost("SSLEngine optional"))),
        ("GATE-005", false, bare_tls(&vhost("SSLEngine on"))),
        (
            "GATE-005",
            false,
            bare_tls("SSLEngine on\n<VirtualHost *:443>\nSSLCertificateFile /pki/key.pem\n</VirtualHost>\n"),
        ),
        ("GATE-006", true, tls("SSLCipherSuite Modern", "SSLCipherSuite DEFAULT")),
        ("GATE-006", true, bare_tls("SSLCipherSuite Modern\n")),
        ("GATE-006", false, tls("", "SSLCipherSuite SSL FOO")),
        ("GATE-006", false, tls("", "SSLCipherSuite TLSv1.3 FOO")),
        ("GATE-007", true, tls("SSLProtocol -all", "SSLProtocol TLSv1.2")),
        ("GATE-007", true, bare_tls("SSLProtocol -all\n")),
        ("GATE-007", false, tls("SSLProtocol all -TLSv1 -TLSv1.1 -TLSv1.2 -TLSv1.3", "")),
        ("GATE-008", true, cache("CacheSocache shmcb\n")),
        ("GATE-008", true, cache("CacheSocache shmcb:(512000)\n")),
        ("GATE-008", true, cache("CacheSocache shmcb:/c(4294967294)\n")),
        ("GATE-008", false, cache("CacheSocache shmcb:/c(4294967295)\n")),
        ("GATE-008", false, cache("CacheSocache shmcb:/c(99999999999999999999)\n")),
        ("GATE-008", false, cache("CacheSocache shmcb:/c(x)\n")),
        ("GATE-008", false, cache("CacheSocache shmcb:/c(512000\n")),
        ("GATE-008", false, cache(&vhost("CacheSocache shmcb:/c(100)"))),
        ("GATE-009", false, cache("CacheSocache memcache:\n")),
        ("GATE-009", false, cache("CacheSocache redis\n")),
        ("GATE-010", true, logs("ErrorLog /var/log/apache2\nErrorLog /var/log/apache2/error.log\n")),
        ("GATE-010", true, logs("ErrorLog syslog:local1\n")),
        ("GATE-010", true, logs("PidFile /run/apache2/apache2.pid\n")),
        ("GATE-010", false, logs("ErrorLog /var/log/apache2\n")),
        ("GATE-010", false, logs(&vhost("ErrorLog /var/log/apache2"))),
        ("GATE-010", false, logs(&vhost("TransferLog /var/log/apache2"))),
        ("GATE-010", false, logs("CustomLog /var/log/apache2 combined env=dontlog\n")),
        ("GATE-010", false, logs("PidFile /no/such/directory/x\n")),
        ("GATE-011", true, logs("CustomLog \"|$rotatelogs /x 86400\" combined\n")),
        ("GATE-011", true, logs("CustomLog \"|/var/log/apache2\" combined\n")),
        ("GATE-011", false, logs("CustomLog \"||/no/such/program x\" combined\n")),
        ("GATE-011", false, logs("CustomLog \"|$/no/such/program\" combined\n")),
        ("GATE-011", false, logs("CustomLog \"|rotatelogs /x 86400\" combined\n")),
        ("GATE-011", false, logs("ErrorLog \"|/no/such/program\"\n")),
        ("GATE-011", false, logs("CustomLog | combined\n")),
        ("GATE-012", true, cache("CacheSocache dbm\n")),
        ("GATE-012", false, cache("SSLSessionCache dbm:/no/such/directory/x\n")),
        ("GATE-013", false, rule_set("", "")),
        ("GATE-013", true, rule_set("", "SecRuleEngine DetectionOnly")),
        ("GATE-013", true, rule_set("", "SecRuleRemoveById 900000-901999")),
        // The main server's rules come before those of a virtual host, wherever they stand.
        ("GATE-013", false, rule_set(&vhost(SETUP), "")),
    ] {
        let said = host.said(id);
        assert_eq!(said.is_empty(), takes, "{id}: {said:?}");
    }
}

/// What is not known refuses nothing.
#[test]
fn what_a_variable_or_another_program_decides_is_left_to_the_rehearsal() {
    for host in [
        logs("CustomLog \"|${PROGRAM}\" combined\nErrorLog ${LOGS}\nPidFile ${PIDS}/x\n"),
        cache("CacheSocache shmcb:/c(${SIZE})\n"),
        tls("", "SSLCipherSuite ${CIPHERS}\nSSLProtocol ${PROTOCOLS}"),
        bare_tls("SSLEngine on\nSSLCertificateFile ${CERTIFICATE}\n"),
        bare_tls("SSLEngine on\nSSLOpenSSLConfCmd Certificate /pki/certificate.pem\n"),
        event().starts(&["ssl_module", "md_module"], "SSLEngine on\nSSLUseStapling on\n", &[]),
    ] {
        let gate: Vec<_> = host.findings().into_iter().filter(|one| one.rule.starts_with("GATE")).collect();
        assert!(gate.is_empty(), "{gate:?}");
    }
}
