//! Hosts that use a feature already: what the rules say of lines that no task writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use apache_tuning::facts::Known;
use apache_tuning::tree::Space;
use apache_tuning::units::Bytes;
use serde_json::{Value, json};

use super::judged::{Host, event};
use super::{Case, case};

const PAGE: &str = "<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n";

pub(crate) fn cases() -> Vec<Case> {
    [
        slow_clients(),
        status(),
        logs(),
        compression(),
        http2(),
        tls(),
        cache(),
        modules(),
        modsecurity(),
        balancers(),
    ]
    .into_iter()
    .flatten()
    .collect()
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

/// Returns a host whose task wants the logs in `/var/log/apache2`, on a disk that is that of `/`, with a file of jails.
fn moved(logs: &Value, lines: &str, jails: Option<&str>) -> Host {
    let mut asked = json!({"directory": "/var/log/apache2"});
    asked.as_object_mut().unwrap().extend(logs.as_object().unwrap().clone());
    let fill = |root: &Path| {
        if let Some(jails) = jails {
            fs::create_dir_all(root.join("etc/fail2ban/jail.d")).unwrap();
            fs::write(root.join("etc/fail2ban/jail.d/web.local"), jails).unwrap();
        }
    };
    logging(lines, fill).params(json!({"logs": asked}))
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
        case("LOG-003", moved(&json!({"require_mount": false}), LINE, None), moved(&json!({}), LINE, None)),
        case(
            "LOG-009",
            moved(
                &json!({}),
                LINE,
                Some(
                    "[sshd]\nenabled = true\n[apache-auth]\nenabled = true\nlogpath = /var/log/apache2/*.log\n",
                ),
            ),
            moved(&json!({}), LINE, Some("[apache-auth]\nenabled = true\n")),
        ),
        case("LOG-011", moved(&json!({}), LINE, None), moved(&json!({"require_mount": true}), LINE, None)),
        case(
            "LOG-012",
            moved(&json!({}), LINE, None),
            moved(&json!({}), &format!("{LINE}\nCustomLog /srv/access.log combined"), None),
        ),
        case("LOG-013", moved(&json!({}), LINE, None), moved(&json!({}), "ErrorLog /srv/error.log", None)),
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

fn http2() -> Vec<Case> {
    vec![case(
        "H2-009",
        event().module("http2_module", "h.so").main(&["Protocols h2 http/1.1"]).audit(),
        event().module("http2_module", "h.so").main(&["Protocols http2 http/1.1"]).audit(),
    )]
}

/// A certificate that names no responder, and ends in 2126.
const PLAIN: &str = include_str!("../activation/own.pem");
/// One that names a responder.
const WITH_RESPONDER: &str = include_str!("with-responder.pem");

fn tls() -> Vec<Case> {
    const SITE: &str = "SSLEngine on\nSSLProtocol -all +TLSv1.2\nSSLCertificateFile /etc/web.pem\n";
    let host = |pem: &'static str, text: &str| {
        let host = event().conf(&["ssl_module"], &format!("{SITE}{text}\n")).audit();
        host.disk(|root| fs::write(root.join("etc/web.pem"), pem).unwrap())
    };
    let day = 86_400;
    // `openssl x509 -enddate` of the first.
    let end = 4_949_211_320;
    let sized = |size: u64, connections: u64| {
        let text = format!("SSLSessionTickets off\nSSLSessionCache shmcb:/run/x({size})");
        host(PLAIN, &text).params(serde_json::json!({"capacity": {"connections": connections}}))
    };
    vec![
        case("TLS-006", host(WITH_RESPONDER, "SSLUseStapling on"), host(PLAIN, "SSLUseStapling on")),
        case(
            "TLS-007",
            host(WITH_RESPONDER, "SSLUseStapling on\nSSLStaplingResponderTimeout 3"),
            host(WITH_RESPONDER, "SSLUseStapling on"),
        ),
        case("TLS-008", sized(512_000, 1408), sized(512_000, 1409)),
        case(
            "TLS-009",
            host(PLAIN, "SSLSessionTickets off\nSSLSessionCache shmcb:/run/x(512000)"),
            host(PLAIN, "SSLSessionCache shmcb:/run/x(512000)"),
        ),
        case("TLS-010", host(PLAIN, "").now(end - 15 * day), host(PLAIN, "").now(end - 13 * day)),
        case("TLS-011", host(PLAIN, ""), host(PLAIN, "SSLProtocol all -SSLv3")),
    ]
}

#[test]
fn without_tickets_and_cache_no_client_resumes_a_session() {
    let said = |text: &str| event().conf(&["ssl_module"], text).audit().said("TLS-008").len();
    assert_eq!(said("SSLEngine on\nSSLSessionTickets off\n"), 1);
    assert_eq!(said("SSLEngine on\n"), 0);
    assert_eq!(said("SSLSessionTickets off\n"), 0, "nobody speaks TLS");
}

fn cache() -> Vec<Case> {
    const MODULES: [&str; 6] = [
        "cache_module",
        "cache_disk_module",
        "authz_core_module",
        "proxy_module",
        "headers_module",
        "authz_host_module",
    ];
    const SAFE: &str = "CacheRoot /srv/cache\nCacheEnable disk /\nCacheQuickHandler Off\n\
                        CacheIgnoreHeaders Set-Cookie\nProxyPass /app http://127.0.0.1:1/app\n";
    let host = |text: &str| {
        let host = event().conf(&MODULES, text).audit().disk(|root| {
            fs::create_dir_all(root.join("srv/cache")).unwrap();
            std::os::unix::fs::chown(root.join("srv/cache"), Some(33), Some(33)).unwrap();
            fs::create_dir_all(root.join("etc/cron.d")).unwrap();
            let job = "0 * * * * www-data htcacheclean -n -t -p /srv/cache -l 300M\n";
            fs::write(root.join("etc/cron.d/cache"), job).unwrap();
        });
        host.space(room(360))
    };
    let safe = || host(SAFE);
    let with = |more: &str| host(&format!("{SAFE}{more}"));
    let without = |line: &str| host(&SAFE.replace(line, ""));
    let quick = || without("CacheQuickHandler Off\n");
    let and_quick = |more: &str| host(&format!("{}{more}", SAFE.replace("CacheQuickHandler Off\n", "")));
    vec![
        case("CACHE-001", safe(), host(&SAFE.replace("/srv/cache", "/srv/none"))),
        case("CACHE-002", safe(), with("CacheEnable dsk /a\n")),
        case(
            "CACHE-003",
            and_quick("<Location /server-status>\nSetHandler server-status\nRequire local\n</Location>\n"),
            and_quick("<Location /app/internal>\nRequire ip 10.0.0.0/8\n</Location>\n"),
        ),
        case("CACHE-004", safe(), without("CacheIgnoreHeaders Set-Cookie\n")),
        case(
            "CACHE-005",
            with("<Location /b>\nCacheEnable disk\n</Location>\n"),
            and_quick("<Location /b>\nCacheEnable disk\n</Location>\n"),
        ),
        case("CACHE-006", with("CacheMaxFileSize 1000000\n"), with("CacheMaxFileSize 10M\n")),
        case("CACHE-007", safe(), host(&SAFE.replace("/srv/cache", "/srv"))),
        case("CACHE-008", safe(), safe().space(room(359))),
        case("CACHE-009", event().conf(&MODULES, SAFE).audit(), safe()),
        case("CACHE-010", safe(), without("ProxyPass /app http://127.0.0.1:1/app\n")),
        case("CACHE-011", safe(), with("CacheStorePrivate On\n")),
        case("CACHE-012", quick(), quick().module("security2_module", "s.so")),
        case(
            "CACHE-013",
            with("Header append Vary Accept-Encoding\n"),
            with("Header append Vary User-Agent\n"),
        ),
    ]
}

fn modules() -> Vec<Case> {
    // Only a module that a line loads is one that can be taken out.
    let host = |text: &str| {
        let loads =
            "LoadModule env_module modules/mod_env.so\nLoadModule status_module modules/mod_status.so\n";
        event().conf(&[], &format!("{loads}{text}")).audit()
    };
    let page = "<Location /s>\nSetHandler server-status\n</Location>\n";
    let php = |text: &str| event().conf(&["php_module"], text).audit();
    vec![
        case("MOD-101", host("SetEnv A b\n"), host("")),
        case(
            "MOD-102",
            php("<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n"),
            php(""),
        ),
        case("MOD-104", host(page), host("")),
    ]
}

fn modsecurity() -> Vec<Case> {
    const RULE: &str = "SecRule ARGS \"@rx x\" \"id:942100,phase:2,deny\"\n";
    const ASKS: &str = "SecRule &TX:crs_setup_version \"@eq 0\" \"id:901001,phase:1,deny,status:500\"\n";
    const SETUP: &str = "SecAction \"id:900990,phase:1,pass,setvar:tx.crs_setup_version=337\"\n";
    let host = |text: &str| event().conf(&["security2_module"], text).audit();
    let detect = |text: &str| host(&format!("SecRuleEngine DetectionOnly\n{text}"));
    let level = |level: u8| {
        detect(&format!("SecAction \"id:900000,phase:1,nolog,pass,setvar:tx.paranoia_level={level}\"\n"))
    };
    let answers = |mib: u64| {
        let host = detect("SecResponseBodyAccess On\nSecResponseBodyLimit 1048576\n");
        host.settings(serde_json::json!({"max_request_workers": 100})).machine(move |machine| {
            machine.memory = Some(Known { value: Bytes(mib << 20), source: "test".to_owned() });
        })
    };
    let kept_in = |mode: u32| {
        detect("SecTmpDir /srv/sec\n").disk(|root| {
            fs::create_dir_all(root.join("srv/sec")).unwrap();
            std::os::unix::fs::chown(root.join("srv/sec"), Some(33), Some(33)).unwrap();
            fs::set_permissions(root.join("srv/sec"), fs::Permissions::from_mode(mode)).unwrap();
        })
    };
    let asked = |text: &str| {
        let host = event().conf(&["security2_module", "cache_module"], text);
        host.params(serde_json::json!({"modsecurity": {"engine": "on"}}))
    };
    let (set, first) = (
        "SecAction \"id:900000,phase:1,nolog,pass,setvar:tx.paranoia_level=1\"\n",
        "SecRule &TX:paranoia_level \"@eq 0\" \"id:901120,phase:1,pass,nolog\"\n",
    );
    let in_order = format!("SecRuleEngine On\n{set}{first}");
    let uploads = |size: &'static str| {
        asked(&in_order).disk(move |root| {
            fs::write(root.join("etc/php.ini"), format!("; all\npost_max_size = {size}\n")).unwrap();
        })
    };
    let load = |load: Value| asked(&in_order).params(json!({"capacity": load}));
    let cached = |text: &str| asked(&format!("{in_order}CacheEnable disk /\n{text}"));
    vec![
        case("SEC-004", asked(&in_order), asked(&format!("{in_order}{set}"))),
        case("SEC-009", uploads("12M"), uploads("13M")),
        case(
            "SEC-011",
            load(serde_json::json!({"connections": 400, "active": 100})),
            load(serde_json::json!({"connections": 400})),
        ),
        case("SEC-012", cached("CacheQuickHandler Off\n"), cached("")),
        case("SEC-015", asked(&in_order), asked(&format!("SecRuleEngine On\n{first}{set}"))),
        case("SEC-001", detect(RULE), host(RULE)),
        case("SEC-002", detect(&format!("{SETUP}{ASKS}")), detect(&format!("{ASKS}{SETUP}"))),
        case("SEC-003", detect(RULE), detect(&format!("{RULE}{RULE}"))),
        case(
            "SEC-005",
            detect(&format!("{RULE}SecRuleRemoveById 942000-942999\n")),
            detect(&format!("SecRuleRemoveById 942000-942999\n{RULE}")),
        ),
        case("SEC-006", answers(2000), answers(1999)),
        case("SEC-007", level(2), level(3)),
        case("SEC-008", kept_in(0o700), kept_in(0o1777)),
    ]
}

fn balancers() -> Vec<Case> {
    const MODULES: [&str; 7] = [
        "proxy_module",
        "proxy_http_module",
        "proxy_balancer_module",
        "slotmem_shm_module",
        "proxy_hcheck_module",
        "ssl_module",
        "authz_core_module",
    ];
    let host = |text: &str| event().conf(&MODULES, text).audit();
    let group = |members: &str, set: &str| host(&format!("<Proxy balancer://app>\n{members}{set}</Proxy>\n"));
    let two = |first: &str, second: &str| {
        group(
            &format!("BalancerMember http://10.0.0.11 {first}\nBalancerMember http://10.0.0.12 {second}\n"),
            "ProxySet stickysession=ROUTEID\n",
        )
    };
    let plain = |text: &str| {
        event().conf(&["proxy_module", "proxy_balancer_module", "slotmem_shm_module"], text).audit()
    };
    let ports = |max: u32| {
        host(&format!("ProxyPass /a/ http://10.0.0.11/ max={max}\n")).disk(|root| {
            fs::create_dir_all(root.join("proc/sys/net/ipv4")).unwrap();
            fs::write(root.join("proc/sys/net/ipv4/ip_local_port_range"), "32768\t60999\n").unwrap();
        })
    };
    let page = |more: &str| {
        host(&format!("<Location /balancer-manager>\nSetHandler balancer-manager\n{more}</Location>\n"))
    };
    // 16 processes, which open one connection each at least.
    let asked = |limit: u32| {
        event().conf(&MODULES, "").params(serde_json::json!({"balancers": [{
            "name": "app", "backend_limit": limit, "members": [{"url": "http://10.0.0.11"}],
        }]}))
    };
    let mapped = |text: &str| {
        event().conf(&MODULES, text).params(serde_json::json!({"balancers": [{
            "name": "app", "members": [{"url": "http://10.0.0.11"}], "map": [{"path": "/app"}],
        }]}))
    };
    let site =
        |text: &str| host(&format!("{text}<VirtualHost *:80>\nProxyPassInherit Off\n</VirtualHost>\n"));
    vec![
        case(
            "BAL-001",
            host("ProxyPass /a/ http://10.0.0.11/\n"),
            plain("ProxyPass /a/ http://10.0.0.11/\n"),
        ),
        case("BAL-002", two("route=a", "route=b"), two("route=a", "")),
        case(
            "BAL-003",
            host("SSLProxyEngine on\nProxyPass /a/ https://10.0.0.11/\n"),
            host("ProxyPass /a/ https://10.0.0.11/\n"),
        ),
        case("BAL-004", host("ProxyPass / http://10.0.0.11/\n"), host("ProxyPass / http://10.0.0.11:80\n")),
        case("BAL-006", two("max=2 acquire=500 route=a", "route=b"), two("max=2 route=a", "route=b")),
        case("BAL-007", host("ProxyTimeout 60\n"), host("ProxyTimeout 61\n")),
        case(
            "BAL-009",
            host("ProxyPass /a http://10.0.0.11/ retry=5\nProxyPass /b http://10.0.0.11/ retry=5\n"),
            host("ProxyPass /a http://10.0.0.11/ retry=5\nProxyPass /b http://10.0.0.11/ retry=6\n"),
        ),
        case(
            "BAL-010",
            two("hcmethod=HEAD route=a", "route=b"),
            host("ProxyPass /a/ http://10.0.0.11/ hcmethod=HEAD\n"),
        ),
        case("BAL-011", two("route=a", "route=b"), group("BalancerMember http://10.0.0.11\n", "")),
        case("BAL-012", host("ProxyRequests Off\n"), host("ProxyRequests On\n")),
        case("BAL-013", page("Require local\n"), page("Require all granted\n")),
        // 16 processes: 28,224 of 28,232 ports, and 28,240.
        case("BAL-014", ports(1764), ports(1765)),
        case("BAL-005", asked(16), asked(15)),
        case(
            "BAL-017",
            mapped("ProxyPass /other/ http://10.0.0.9/\n"),
            mapped("ProxyPass / http://10.0.0.9/\n"),
        ),
        case("BAL-018", site(""), site("ProxyPass /a/ http://10.0.0.11/\n")),
    ]
}

#[test]
fn where_the_engine_is_on_for_one_site_alone_something_is_inspected() {
    let rule = "SecRule ARGS \"@rx x\" \"id:'1',phase:2,deny\"\n";
    for (text, told) in [
        ("", 1),
        ("SecRuleEngine off\n", 1),
        ("<VirtualHost *:80>\nSecRuleEngine Off\n</VirtualHost>\n", 1),
        ("<VirtualHost *:80>\nSecRuleEngine On\n</VirtualHost>\n", 0),
        ("<Location /shop>\nSecRuleEngine DetectionOnly\n</Location>\n", 0),
        ("<IfModule no_module>\nSecRuleEngine On\n</IfModule>\n", 1),
    ] {
        let said = event().conf(&["security2_module"], &format!("{rule}{text}")).audit().said("SEC-001");
        assert_eq!(said.len(), told, "{text}: {said:?}");
    }
    assert!(event().conf(&["security2_module"], "").audit().said("SEC-001").is_empty(), "no rule is loaded");
}

#[test]
fn an_exclusion_counts_where_it_stands_behind_its_rule_or_in_a_site() {
    let rule = "SecRule ARGS \"@rx x\" \\\n    \"id:942100,\\\n    phase:2,deny\"\n";
    for (text, told) in [
        (format!("SecRuleRemoveById 942100\n{rule}"), 1),
        (format!("SecRuleRemoveById 1 \"942000-942999\"\n{rule}"), 1),
        (format!("SecRuleRemoveById 942101\n{rule}"), 0),
        (format!("SecRuleRemoveById 942100\n{rule}SecRuleRemoveById 942100\n"), 0),
        (format!("<VirtualHost *:80>\nSecRuleRemoveById 942100\n</VirtualHost>\n{rule}"), 0),
    ] {
        let host = event().conf(&["security2_module"], &format!("SecRuleEngine On\n{text}"));
        let said = host.audit().said("SEC-005");
        assert_eq!(said.len(), told, "{text}: {said:?}");
    }
}

#[test]
fn rules_of_mod_security_that_inspect_nothing_are_told() {
    for (text, told) in
        [("", 1), ("SecRuleEngine Off\n", 1), ("SecRuleEngine DetectionOnly\n", 0), ("SecRuleEngine On\n", 0)]
    {
        let said = event().conf(&["security2_module"], text).said("MOD-102");
        assert_eq!(said.len(), told, "{text}");
    }
}

#[test]
fn a_module_is_used_by_what_names_it() {
    for (module, text, told) in [
        ("env", "PassEnv A\n", None),
        ("env", "", Some("MOD-101")),
        ("env", "<Directory /srv>\nAllowOverride FileInfo\n</Directory>\n", Some("MOD-104")),
        ("env", "<Directory /srv>\nAllowOverride AuthConfig\n</Directory>\n", Some("MOD-101")),
        ("auth_basic", "<Directory /srv>\nAllowOverride AuthConfig\n</Directory>\n", Some("MOD-104")),
        ("auth_basic", "<Location /a>\nAuthType Basic\n</Location>\n", None),
        ("authn_core", "LoadModule authn_file_module m.so\nAuthUserFile /x\n", None),
        ("autoindex", "<Directory /srv>\nOptions Indexes\n</Directory>\n", None),
        ("autoindex", "<Directory /srv>\nOptions -Indexes\n</Directory>\n", Some("MOD-101")),
        ("socache_shmcb", "SSLSessionCache shmcb:/x(512000)\n", None),
        ("socache_shmcb", "", Some("MOD-101")),
        (
            "proxy",
            "<FilesMatch x>\nSetHandler \"proxy:unix:/run/a|fcgi://h\"\n</FilesMatch>\n",
            Some("MOD-101"),
        ),
        ("proxy_fcgi", "<FilesMatch x>\nSetHandler \"proxy:unix:/run/a|fcgi://h\"\n</FilesMatch>\n", None),
        ("proxy_http", "ProxyPass / https://h/\n", None),
        ("cgid", "ScriptAlias /cgi-bin /x\n", None),
        ("logio", "LogFormat \"%h %O\" x\n", None),
        ("logio", "LogFormat \"%h\" x\n", Some("MOD-101")),
        ("reqtimeout", "", None),
        ("dir", "", None),
    ] {
        let text = format!("LoadModule {module}_module modules/mod_{module}.so\n{text}");
        let findings = event().conf(&[], &text).audit().findings();
        let named = |finding: &&apache_tuning::report::Finding| {
            let words = finding.message.split([' ', ',', ':']);
            ["MOD-101", "MOD-104"].contains(&finding.rule.as_str())
                && words.into_iter().any(|word| word == module)
        };
        let said = findings.iter().find(named).map(|finding| finding.rule.as_str());
        assert_eq!(said, told, "{text}");
    }
}

#[test]
fn an_access_rule_of_a_directory_below_the_document_root_counts_too() {
    let modules = ["cache_module", "cache_disk_module", "authz_core_module", "authz_host_module"];
    let start = "DocumentRoot /var/www/html\nCacheRoot /srv\n";
    for (text, passes) in [
        ("CacheEnable disk /\n<Directory /var/www/html/in>\nRequire ip 10.0.0.1\n</Directory>\n", false),
        ("CacheEnable disk /out\n<Directory /var/www/html/in>\nRequire ip 10.0.0.1\n</Directory>\n", true),
        ("CacheEnable disk /\n<Directory /srv/other>\nRequire ip 10.0.0.1\n</Directory>\n", true),
        ("CacheEnable disk /\n<Directory />\nRequire all denied\n</Directory>\n", true),
        ("CacheEnable disk /\n<Directory /var/www/html>\nRequire all granted\n</Directory>\n", true),
    ] {
        let said = event().conf(&modules, &format!("{start}{text}")).audit().said("CACHE-003");
        assert_eq!(said.is_empty(), passes, "{text}: {said:?}");
    }
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
