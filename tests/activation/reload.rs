//! A reload: done when the server has taken it up, not when the command returned; undone by a start.

use serde_json::{Value, json};

use crate::{parent, running, tune, tune_past_rules};

/// Configurations that pass `httpd -t` and end the running server at its next reload, with the modules they take.
const DEADLY: [(&str, &str, &str); 6] = [
    (
        "a balancer without its method",
        "proxy proxy_http proxy_balancer slotmem_shm",
        "<Proxy balancer://pool>\nBalancerMember http://127.0.0.1:9\n</Proxy>\nProxyPass /app balancer://pool\n",
    ),
    (
        "stapling without a cache",
        "ssl socache_shmcb",
        "SSLUseStapling On\n<VirtualHost 127.0.0.1:80>\nSSLEngine On\n\
         SSLCertificateFile /etc/apache2/own.pem\nSSLCertificateKeyFile /etc/apache2/own.pem\n</VirtualHost>\n",
    ),
    (
        "ciphers that match nothing",
        "ssl socache_shmcb",
        "<VirtualHost 127.0.0.1:80>\nSSLEngine On\nSSLCipherSuite NONE-SUCH\n\
         SSLCertificateFile /etc/apache2/own.pem\nSSLCertificateKeyFile /etc/apache2/own.pem\n</VirtualHost>\n",
    ),
    (
        "a shared cache that is too small",
        "cache cache_socache socache_shmcb",
        "CacheSocache shmcb:/run/own(4096)\n",
    ),
    ("a log that is a directory", "", "CustomLog /var/log/apache2 combined\n"),
    ("a log program that does not exist", "", "CustomLog \"|/no/such/program\" combined\n"),
];

/// A key and a certificate of its own, which the test needs to be read, not to be believed.
const PEM: &str = include_str!("own.pem");

#[test]
fn a_reload_that_ends_the_server_is_undone_by_a_start() {
    let host = running();
    host.write("/etc/apache2/own.pem", PEM);
    for (what, modules, lines) in DEADLY {
        if !modules.is_empty() {
            host.sh(&format!("a2enmod -q {modules} && apache2ctl graceful")).ok();
        }
        // They are read once the drop-in is there: the change and nothing else makes them so.
        let guarded = format!("<IfFile /etc/apache2/conf-enabled/zz-apache-tuning.conf>\n{lines}</IfFile>\n");
        host.write("/etc/apache2/conf-enabled/own.conf", guarded);
        assert!(host.apache_t().success(), "{what}");
        let asked = json!({"keepalive": {"enabled": false}, "config_test": false});
        let result = tune_past_rules(&host, &asked);
        let message = result["msg"].as_str().unwrap();
        assert_eq!(result["failed"], true, "{what}: {message}");
        assert!(message.contains("the server ended at the reload"), "{what}: {message}");
        assert!(
            message.contains("all changes were undone") && !message.contains("did not come back"),
            "{what}: {message}"
        );
        assert_eq!(host.running_mpm().as_deref(), Some("event"), "{what}");
        assert!(host.http("/").is_ok(), "{what}");
        assert!(!host.path("/etc/apache2/conf-enabled/zz-apache-tuning.conf").exists(), "{what}");
    }
}

#[test]
fn a_reload_is_done_when_new_children_or_the_generation_show_it() {
    for status in [true, false] {
        let host = running();
        host.sh(if status { "a2enmod -q status" } else { "a2dismod -q status" }).ok();
        host.run(&["apache2ctl", "graceful"]).ok();
        std::thread::sleep(std::time::Duration::from_millis(500));
        let was = parent(&host);
        let result = tune(&host, &json!({"keepalive": {"enabled": false}}));
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
        assert_eq!(parent(&host), was);
        // No old child may still be the one that answers with what was before.
        for _ in 0..20 {
            let (_, answer) = host.http("/").unwrap();
            assert!(!answer.contains("Keep-Alive"), "{answer}");
        }
    }
}

/// A cache of TLS that goes leaves the running server with a pointer into its last configuration: what a reload makes of
/// that is chance.
#[test]
fn a_cache_of_tls_that_is_taken_out_takes_a_stop_and_start() {
    let host = running();
    host.write("/etc/apache2/own.pem", PEM);
    let stock = host.read("/etc/apache2/mods-available/ssl.conf");
    let bare: String =
        stock.lines().filter(|line| !line.contains("SSLSessionCache")).map(|l| format!("{l}\n")).collect();
    host.write("/etc/apache2/mods-available/ssl.conf", bare);
    host.sh("a2enmod -q ssl socache_shmcb && apache2ctl graceful").ok();
    let vhost = "<VirtualHost 127.0.0.1:443>\nSSLEngine On\nSSLCertificateFile /etc/apache2/own.pem\n</VirtualHost>\n";
    host.write("/etc/apache2/conf-enabled/own.conf", vhost);
    for (comes, goes, directive) in [
        (json!({"session_cache": "2M"}), json!({"session_cache": "off"}), "SSLSessionCache"),
        (
            json!({"session_cache": "2M", "stapling": true}),
            json!({"session_cache": "2M"}),
            "SSLStaplingCache",
        ),
        (json!({"session_cache": "2M"}), json!({"enabled": false}), "SSLSessionCache"),
    ] {
        // Its certificate names nobody who answers for it.
        let added = tune(&host, &json!({"tls": comes, "waive": ["TLS-006"]}));
        assert_eq!(added["failed"], Value::Null, "{directive}: {}", added["msg"]);
        let before = parent(&host).unwrap();
        let taken = tune(&host, &json!({"tls": goes}));
        assert_eq!(taken["activation"]["needed"], "restart", "{directive}: {taken:#}");
        assert_eq!(taken["activation"]["done"], true, "{directive}: {taken:#}");
        let reasons = taken["activation"]["reasons"].to_string();
        assert!(reasons.contains(directive) && reasons.contains("a reload can end"), "{reasons}");
        assert_ne!(parent(&host).unwrap(), before, "{directive}: the old server goes on");
        assert!(host.http("/").is_ok(), "{directive}");
    }
}
