//! Hosts that use a feature already: what the rules say of lines that no task writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use apache_tuning::facts::Known;
use apache_tuning::tree::Space;
use apache_tuning::units::Bytes;

use super::judged::{Host, event};
use super::{Case, case};

const PAGE: &str = "<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n";

pub(crate) fn cases() -> Vec<Case> {
    [slow_clients(), status(), logs(), compression()].into_iter().flatten().collect()
}

fn slow_clients() -> Vec<Case> {
    vec![
        case("RRT-007", event().module("reqtimeout_module", "r.so").audit(), event().audit()),
        case("RRT-008", event().main(&["Timeout 60"]).audit(), event().main(&["Timeout 300"]).audit()),
    ]
}

fn status() -> Vec<Case> {
    let host = |text: &str| {
        let modules =
            ["status_module", "authz_core_module", "authz_host_module", "proxy_module", "remoteip_module"];
        event().conf(&modules, text).audit()
    };
    let with = |more: &str| host(&format!("{PAGE}{more}"));
    vec![
        case(
            "STAT-001",
            with(
                "<VirtualHost *:80>\nProxyPass /server-status !\nProxyPass / http://127.0.0.1:3000/\n</VirtualHost>\n",
            ),
            with(
                "<VirtualHost *:80>\nProxyPass / http://127.0.0.1:3000/\nProxyPass /server-status !\n</VirtualHost>\n",
            ),
        ),
        case(
            "STAT-002",
            with("Listen 80\nListen 127.0.0.1:8080\n"),
            with("Listen 127.0.0.1:8080\nListen [::1]:8080\n"),
        ),
        case("STAT-003", with(""), host(&PAGE.replace("local", "all granted"))),
        case("STAT-004", with("ExtendedStatus On\n"), with("ExtendedStatus Off\n")),
    ]
}

/// Returns a host with a log and a directory for it.
fn logging(line: &str, fill: impl FnOnce(&Path)) -> Host {
    let host = event().conf(&[], &format!("LogFormat \"%h %>s\" combined\n{line}\n")).audit();
    host.disk(|root| {
        fs::create_dir_all(root.join("var/log/apache2")).unwrap();
        fill(root);
    })
}

fn room(free: u64) -> Space {
    Space { device: 1, free: Bytes(free << 20), total: Bytes(1000 << 20), free_files: None }
}

fn logs() -> Vec<Case> {
    const LINE: &str = "CustomLog /var/log/apache2/access.log combined";
    let mode = |path: &'static str, mode: u32| {
        move |root: &Path| fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap()
    };
    let rotates = |what: &'static str| {
        move |root: &Path| {
            fs::create_dir_all(root.join("etc/logrotate.d")).unwrap();
            let text = format!("# all\n{what} {{\n\tweekly\n\tpostrotate\n/bin/true\n\tendscript\n}}\n");
            fs::write(root.join("etc/logrotate.d/apache2"), text).unwrap();
        }
    };
    let many = |count| {
        let limit = Known { value: 1024, source: "test".to_owned() };
        event().logs(count).audit().machine(|machine| machine.open_files = Some(limit))
    };
    vec![
        case("LOG-001", logging(LINE, |_| {}), logging("ErrorLog /srv/log/error.log", |_| {})),
        case("LOG-002", logging(LINE, mode("var/log", 0o755)), logging(LINE, mode("var/log", 0o777))),
        case(
            "LOG-004",
            logging(LINE, |_| {}),
            logging("CustomLog /var/log/apache2/access.log combind", |_| {}),
        ),
        case("LOG-005", logging(LINE, |_| {}), logging("CustomLog /var/log/apache2 combined", |_| {})),
        case(
            "LOG-006",
            logging("CustomLog \"|/usr/bin/rotatelogs /var/log/a 86400\" combined", |root| {
                fs::create_dir_all(root.join("usr/bin")).unwrap();
                fs::write(root.join("usr/bin/rotatelogs"), "").unwrap();
            }),
            logging("CustomLog \"||/usr/bin/rotatelogs /var/log/a 86400\" combined", |_| {}),
        ),
        case("LOG-007", logging(LINE, |_| {}).space(room(100)), logging(LINE, |_| {}).space(room(99))),
        case(
            "LOG-008",
            logging(LINE, rotates("/var/log/apache2/*.log")),
            logging(LINE, rotates("/var/log/apache2/*_log")),
        ),
        case("LOG-010", many(256), many(257)),
    ]
}

fn compression() -> Vec<Case> {
    let all = ["brotli_module", "deflate_module", "filter_module", "ssl_module", "proxy_module"];
    let host = move |text: &str| event().conf(&all, text).audit();
    let by_type = "AddOutputFilterByType DEFLATE text/html\n";
    vec![
        case(
            "CMP-001",
            host("AddOutputFilterByType BROTLI_COMPRESS;DEFLATE text/html\n"),
            host(
                "AddOutputFilterByType DEFLATE text/html\nAddOutputFilterByType BROTLI_COMPRESS text/css text/html\n",
            ),
        ),
        case(
            "CMP-002",
            host("AddOutputFilterByType DEFLATE text/html image/svg+xml\n"),
            host("AddOutputFilterByType DEFLATE text/html image/jpeg\n"),
        ),
        case(
            "CMP-004",
            host(by_type),
            host(&format!("{by_type}SSLEngine on\nProxyPass /app http://127.0.0.1:1/app\n")),
        ),
        case("CMP-005", host("BrotliCompressionQuality 6\n"), host("BrotliCompressionQuality 7\n")),
        case(
            "CMP-006",
            host("SetOutputFilter DEFLATE\n"),
            event().conf(&[], "<Location /a>\nSetOutputFilter DEFLATE\n</Location>\n").audit(),
        ),
    ]
}

#[test]
fn what_no_task_manages_is_at_most_a_warning_and_never_among_the_warnings() {
    let covered = format!("{PAGE}ProxyPass / http://127.0.0.1:3000/\n");
    let modules = ["status_module", "authz_core_module", "authz_host_module", "proxy_module"];
    let told = event().conf(&modules, &covered).said("STAT-001");
    let [finding] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((finding.severity, finding.standing), (apache_tuning::report::Severity::Warning, true));
    let asked = event().conf(&modules, &covered).params(serde_json::json!({"status": {"extended": true}}));
    assert_eq!(asked.said("STAT-001")[0].severity, apache_tuning::report::Severity::Error);
}

#[test]
fn the_first_mapping_that_fits_decides_whether_the_status_page_is_reached() {
    let modules = ["status_module", "authz_core_module", "proxy_module", "rewrite_module", "ssl_module"];
    let page = "<Location /server-status>\nSetHandler server-status\n</Location>\n";
    for (text, covered) in [
        ("ProxyPass /app http://b/\n", false),
        ("ProxyPass /server http://b/\n", false),
        ("ProxyPass / http://b/\n", true),
        // The main server's mappings come before a virtual host's, whatever that says.
        ("ProxyPass / http://b/\n<VirtualHost *:80>\nProxyPass /server-status !\n</VirtualHost>\n", true),
        // Who asks by address does not get this one.
        (
            "<VirtualHost *:80>\n</VirtualHost>\n<VirtualHost *:80>\nProxyPass / http://b/\n</VirtualHost>\n",
            false,
        ),
        ("<VirtualHost *:443>\nSSLEngine on\nProxyPass / http://b/\n</VirtualHost>\n", false),
        ("<VirtualHost *:80>\nRewriteEngine on\nRewriteRule ^ /index.php [L]\n</VirtualHost>\n", true),
        ("<VirtualHost *:80>\nRewriteRule ^ /index.php [L]\n</VirtualHost>\n", false),
        (
            "<VirtualHost *:80>\nRewriteEngine on\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^ /i [L]\n</VirtualHost>\n",
            false,
        ),
        ("<Location /server-status>\nProxyPass !\n</Location>\n", false),
    ] {
        let said = event().conf(&modules, &format!("{page}{text}")).audit().said("STAT-001");
        assert_eq!(!said.is_empty(), covered, "{text}: {said:?}");
    }
}
