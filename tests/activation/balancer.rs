//! A server that does not answer plain HTTP: behind a balancer, or with TLS alone.

use serde_json::json;

use crate::{finding, running, tune};

#[test]
fn behind_a_balancer_that_speaks_the_proxy_protocol_changes_arrive() {
    let host = running();
    host.sh("a2enmod -q remoteip").ok();
    host.write("/etc/apache2/conf-enabled/own.conf", "RemoteIPProxyProtocol On\n");
    host.run(&["apache2ctl", "graceful"]).ok();
    for _ in 0..100 {
        if host.http("/").is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(host.http("/").is_err(), "it answers without a PROXY line");
    let health = json!({"url": "http://localhost/", "timeout": 5});
    for asked in [
        json!({"keepalive": {"enabled": false}}),
        json!({"keepalive": {"enabled": false}, "mpm": "worker"}),
        json!({"mpm": "event", "health": health}),
    ] {
        let result = tune(&host, &asked);
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    }
    let health = json!({"url": "http://localhost/none-such", "timeout": 2});
    let result = tune(&host, &json!({"mpm": "worker", "health": health}));
    let told = finding(&result, "HLT-002").unwrap()["message"].to_string();
    assert!(told.contains("status 404"), "{told}");
}

#[test]
fn a_server_with_tls_alone_is_seen_to_serve() {
    let host = running();
    host.write("/etc/apache2/own.pem", include_str!("own.pem"));
    host.sh("a2enmod -q ssl socache_shmcb").ok();
    host.write("/etc/apache2/ports.conf", "Listen 443\n");
    host.write(
        "/etc/apache2/conf-enabled/own.conf",
        "<VirtualHost *:443>\nSSLEngine On\n\
         SSLCertificateFile /etc/apache2/own.pem\nSSLCertificateKeyFile /etc/apache2/own.pem\n</VirtualHost>\n",
    );
    host.stop_apache();
    host.run(&["apache2ctl", "start"]).ok();
    for asked in [json!({"keepalive": {"enabled": false}}), json!({"mpm": "worker"})] {
        let result = tune(&host, &asked);
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    }
}
