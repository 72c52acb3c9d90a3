//! Every rule against a host that it has something to say about, and one that it has not.
#![allow(clippy::unwrap_used, clippy::panic)]
// Literals of JSON are handed over, and `known(..)` stands where the facts have an `Option`.
#![allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)]

#[path = "support/gate.rs"]
mod gate;
#[path = "support/judged.rs"]
mod judged;
#[path = "rules/reports.rs"]
mod reports;

use std::path::{Path, PathBuf};

use apache_tuning::capacity::{self, MemoryNeed};
use apache_tuning::facts::{Known, Machine};
use apache_tuning::httpd::read::NoteKind;
use apache_tuning::httpd::start::Construct;
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::report::{Need, Severity};
use apache_tuning::rules::{self, LogDir, Rule};
use apache_tuning::units::Bytes;
use judged::{EPEL, FORK, Host, ONE, event, prefork, worker};
use serde_json::json;

/// One rule: a host it is silent about, and one it speaks about.
struct Case {
    id: &'static str,
    passes: Host,
    fails: Host,
}

fn case(id: &'static str, passes: Host, fails: Host) -> Case {
    Case { id, passes, fails }
}

#[test]
fn sizes_for_a_load_pass_every_rule() {
    for mpm in Mpm::ALL {
        for connections in [1_u64, 2, 50, 400, 1500, 4025, 10_000] {
            for (active, burst) in [(None, None), (Some(connections.div_ceil(3)), None), (None, Some(900))] {
                let demand = capacity::Demand { connections, active, burst };
                let (server, memory) =
                    (capacity::Server::new(mpm, Version::NEWEST_KNOWN), MemoryNeed::default());
                let fits = capacity::size(demand, server, &Machine::default(), &memory).unwrap();
                let settings: serde_json::Map<String, serde_json::Value> =
                    fits.settings.iter().map(|one| (one.setting.to_owned(), json!(one.value))).collect();
                let found = judged::of(mpm).settings(settings.into()).findings();
                let wrong: Vec<_> = found.iter().filter(|one| one.severity != Severity::Info).collect();
                assert!(wrong.is_empty(), "{mpm} {demand:?}: {wrong:?}");
            }
        }
    }
}

/// A host whose task manages nothing but mod_evasive.
fn evasive(build: judged::BuildOf, values: serde_json::Value) -> Host {
    event().build(build).params(json!({ "evasive": values }))
}

fn keepalive(values: serde_json::Value) -> Host {
    event().params(json!({ "keepalive": values }))
}

/// A host that is running with the lines before and would be reloaded.
fn reloaded(host: Host) -> Host {
    host.running(Mpm::Event).need(Need::Reload)
}

fn sizes() -> Vec<Case> {
    let set = |values: serde_json::Value| event().settings(values);
    let pre = |values: serde_json::Value| prefork().settings(values);
    let standing = |line: &'static str| event().main(&[line]).audit();
    vec![
        case("NUM-001", standing("ServerLimit 16"), standing("ServerLimit 16abc")),
        case("NUM-002", standing("StartServers 3"), standing("StartServers foo")),
        case("NUM-003", set(json!({"server_limit": 16})), set(json!({"server_limit": 3_000_000_000_i64}))),
        case(
            "NUM-004",
            evasive(ONE, json!({})).main(&["DOSPageCount 10"]),
            evasive(ONE, json!({})).main(&["DOSPageCount 010"]),
        ),
        case("MPM-004", set(json!({"server_limit": 16})), set(json!({"min_spare_servers": 5}))),
        case("SL-001", pre(json!({"server_limit": 200_000})), pre(json!({"server_limit": 200_001}))),
        case("SL-002", set(json!({"server_limit": 16})), set(json!({"server_limit": 0}))),
        case(
            "SL-003",
            reloaded(event().before(&["ServerLimit 16"]).main(&["ServerLimit 16"]).manages()),
            reloaded(event().before(&["ServerLimit 16"]).main(&["ServerLimit 32"]).manages()),
        ),
        case("SL-004", set(json!({"server_limit": 17})), set(json!({"server_limit": 16}))),
        case(
            "SL-005",
            worker().settings(json!({"server_limit": 32})),
            worker().settings(json!({"server_limit": 33})),
        ),
        case("SL-006", set(json!({})), set(json!({"server_limit": 2000, "thread_limit": 128}))),
        case(
            "SL-007",
            set(json!({"server_limit": 32, "max_request_workers": 800})),
            set(json!({"server_limit": 32})),
        ),
        case("SL-008", pre(json!({"server_limit": 256})), pre(json!({"server_limit": 100}))),
        case(
            "TL-001",
            worker().settings(json!({"thread_limit": 20_000})),
            worker().settings(json!({"thread_limit": 20_001})),
        ),
        case("TL-002", set(json!({"thread_limit": 25})), set(json!({"thread_limit": 0}))),
        case(
            "TL-003",
            reloaded(event().manages()),
            reloaded(event().before(&["ThreadLimit 64"]).main(&["ThreadLimit 128"]).manages()),
        ),
        case("TL-004", set(json!({"thread_limit": 100})), set(json!({"thread_limit": 1000}))),
        case("TPC-001", set(json!({"threads_per_child": 64})), set(json!({"threads_per_child": 65}))),
        case("TPC-002", set(json!({"threads_per_child": 1})), set(json!({"threads_per_child": 0}))),
        case("TPC-003", set(json!({"threads_per_child": 50})), set(json!({"threads_per_child": 64}))),
        case("MRW-001", set(json!({"max_request_workers": 25})), set(json!({"max_request_workers": 24}))),
        case("MRW-002", set(json!({"max_request_workers": 375})), set(json!({"max_request_workers": 374}))),
        case("MRW-003", set(json!({"max_request_workers": 400})), set(json!({"max_request_workers": 425}))),
        case("MRW-004", pre(json!({"max_request_workers": 256})), pre(json!({"max_request_workers": 257}))),
        case("MRW-005", pre(json!({"max_request_workers": 1})), pre(json!({"max_request_workers": 0}))),
        case(
            "MRW-006",
            reloaded(set(json!({"server_limit": 32, "max_request_workers": 400}))),
            reloaded(set(json!({"server_limit": 32, "max_request_workers": 800}))),
        ),
        case("SS-001", set(json!({"start_servers": 1})), set(json!({"start_servers": 0}))),
        case("SS-002", set(json!({"start_servers": 16})), set(json!({"start_servers": 17}))),
        case("SPARE-001", set(json!({"min_spare_threads": 1})), set(json!({"min_spare_threads": -1}))),
        case(
            "SPARE-002",
            set(json!({"min_spare_threads": 75, "max_spare_threads": 101})),
            set(json!({"min_spare_threads": 75, "max_spare_threads": 100})),
        ),
        case(
            "SPARE-003",
            pre(json!({"min_spare_servers": 5, "max_spare_servers": 6})),
            pre(json!({"min_spare_servers": 5, "max_spare_servers": 5})),
        ),
        case("SPARE-004", set(json!({"max_request_workers": 100})), set(json!({"max_request_workers": 75}))),
        case("SPARE-005", set(json!({"start_servers": 10})), set(json!({"start_servers": 11}))),
        case(
            "ARWF-001",
            set(json!({"async_request_worker_factor": 1})),
            set(json!({"async_request_worker_factor": 0})),
        ),
        case("ARWF-002", standing("AsyncRequestWorkerFactor 2"), standing("AsyncRequestWorkerFactor 1.5")),
        case(
            "ARWF-003",
            set(json!({"async_request_worker_factor": 1000})),
            set(json!({"async_request_worker_factor": 1001})),
        ),
        case("ARWF-004", worker(), worker().settings(json!({"async_request_worker_factor": 2}))),
        case(
            "MCPC-001",
            set(json!({"max_connections_per_child": 0})),
            set(json!({"max_connections_per_child": -1})),
        ),
        case(
            "MCPC-002",
            pre(json!({"max_connections_per_child": 0})),
            pre(json!({"max_connections_per_child": -1})),
        ),
        case(
            "MCPC-003",
            set(json!({"max_connections_per_child": 10_000})).module("evasive20_module", "m.so"),
            set(json!({"max_connections_per_child": 0})).module("evasive20_module", "m.so"),
        ),
        case(
            "MCPC-004",
            set(json!({"max_connections_per_child": 101})),
            set(json!({"max_connections_per_child": 100})),
        ),
        case(
            "MCPC-005",
            set(json!({"max_connections_per_child": 0})),
            set(json!({"max_connections_per_child": 10_000})),
        ),
        case(
            "STACK-001",
            set(json!({"thread_stack_size": 16_384})),
            set(json!({"thread_stack_size": 16_383})),
        ),
        case(
            "STACK-002",
            set(json!({"thread_stack_size": 1 << 30})),
            set(json!({"thread_stack_size": (1_i64 << 30) + 1})),
        ),
        case("STACK-003", pre(json!({"thread_stack_size": 0})), pre(json!({"thread_stack_size": 65_536}))),
        case("STACK-004", set(json!({"thread_stack_size": 0})), set(json!({"thread_stack_size": -1}))),
        case("MEM-001", set(json!({"max_mem_free": 4_194_303})), set(json!({"max_mem_free": 4_194_304}))),
        case("MEM-002", standing("MaxMemFree 2048"), standing("MaxMemFree none")),
        case("MEM-003", set(json!({"max_mem_free": 0})), set(json!({"max_mem_free": -1}))),
    ]
}

fn modules() -> Vec<Case> {
    let note = |kind, text| event().note(kind, text).audit();
    vec![
        case("MPM-001", event(), event().module("mpm_worker_module", "w.so")),
        case("MPM-002", event(), event().note(NoteKind::LoadedTwice, "mpm_event_module")),
        case("MPM-003", reloaded(event()), event().running(Mpm::Prefork).need(Need::Reload)),
        case("MPM-005", event(), event().note(NoteKind::WrongContext, "ServerLimit")),
        case("MPM-006", event(), note(NoteKind::DeadMpmGuard, "<IfModule mpm_event.c>")),
        case(
            "MPM-007",
            event().main(&["MaxClients 400", "MaxRequestWorkers 400"]),
            event().main(&["MaxClients 200", "MaxRequestWorkers 400"]),
        ),
        case("MPM-008", event().main(&["MaxRequestWorkers 400"]), event().main(&["MaxClients 400"])),
        case("H2-001", event().module("http2_module", "h.so"), prefork().module("http2_module", "h.so")),
        case(
            "H2-002",
            event().module("http2_module", "h.so").main(&["H2MaxWorkers 25"]).manages(),
            event().module("http2_module", "h.so").main(&["H2MaxWorkers 24"]).manages(),
        ),
        case("H2-003", event().manages(), event().module("http2_module", "h.so").manages()),
        case(
            "H2-005",
            event().module("http2_module", "h.so").main(&["Protocols h2 http/1.1"]),
            event().module("http2_module", "h.so").main(&["Protocols http/1.1 h2"]),
        ),
        case("H2-006", event().main(&["Protocols http/1.1"]), event().main(&["Protocols h2 http/1.1"])),
        case(
            "H2-007",
            event().module("http2_module", "h.so").main(&["Protocols h2"]),
            event().module("http2_module", "h.so"),
        ),
        case("H2-004", event().main(&["H2WindowSize 1024"]), event().main(&["H2WindowSize 1023"])),
        case(
            "PHP-001",
            event().module("php_module", "modules/libphp-zts.so"),
            event().module("php_module", "/usr/lib/apache2/modules/libphp8.2.so"),
        ),
        case("PHP-004", prefork(), prefork().module("php_module", "modules/libphp.so")),
        case("PHP-005", event(), event().dropped("php_module")),
        case(
            "PHP-003",
            event()
                .starts(
                    &[],
                    "SetHandler application/x-httpd-php\nSetHandler proxy:fcgi://127.0.0.1:9000\n",
                    &[],
                )
                .audit(),
            event().starts(&[], "SetHandler application/x-httpd-php\n", &[]).audit(),
        ),
        case(
            "PHP-002",
            event().params(json!({"facts": {"php": "fpm"}})),
            event().params(json!({"facts": {"php": "mod_php"}})),
        ),
        case(
            "CGI-001",
            event().module("cgid_module", "c.so").manages(),
            event().module("cgi_module", "c.so").manages(),
        ),
        case("OVR-003", event().manages(), event().standing(&["ServerLimit 32"]).manages()),
    ]
}

fn listening() -> Vec<Case> {
    let set = |values: serde_json::Value| event().settings(values);
    let changed = |host: Host| host.change("/etc/apache2/x.conf");
    vec![
        case("LIS-001", set(json!({"listen_backlog": 1})), set(json!({"listen_backlog": 0}))),
        case(
            "LIS-002",
            set(json!({"listen_backlog": 4096})).machine(|m| m.somaxconn = known(4096)),
            set(json!({"listen_backlog": 4097})).machine(|m| m.somaxconn = known(4096)),
        ),
        case(
            "LIS-003",
            reloaded(event().before(&["ListenBacklog 511"]).main(&["ListenBacklog 511"])),
            reloaded(event().before(&["ListenBacklog 511"]).main(&["ListenBacklog 1024"])),
        ),
        case(
            "LIS-004",
            event().before(&[]).main(&["ListenCoresBucketsRatio 8"]).running(Mpm::Event).need(Need::Restart),
            reloaded(event().before(&[]).main(&["ListenCoresBucketsRatio 8"])),
        ),
        case(
            "LIS-005",
            event().main(&["ListenCoresBucketsRatio 4"]).machine(|m| m.cpus = known(8)).audit(),
            event()
                .main(&["ListenCoresBucketsRatio 4", "ServerLimit 1"])
                .machine(|m| m.cpus = known(8))
                .audit(),
        ),
        case(
            "LIS-006",
            event().main(&["ListenTCPDeferAccept 30"]),
            event().main(&["ListenTCPDeferAccept 30"]).version(Version::v24(62)),
        ),
        case(
            "FD-001",
            set(json!({"threads_per_child": 64})).machine(|m| m.open_files = known(265)),
            set(json!({"threads_per_child": 64})).machine(|m| m.open_files = known(264)),
        ),
        case(
            "FD-002",
            event().machine(|m| {
                m.unit_open_files = known(8192);
                m.open_files = known(8192);
            }),
            event().machine(|m| {
                m.unit_open_files = known(65_536);
                m.open_files = known(8192);
            }),
        ),
        case(
            "GST-001",
            set(json!({"graceful_shutdown_timeout": 0})),
            set(json!({"graceful_shutdown_timeout": 60})),
        ),
        case(
            "GST-002",
            set(json!({"graceful_shutdown_timeout": 0})),
            set(json!({"graceful_shutdown_timeout": -1})),
        ),
        case(
            "REL-001",
            event().main(&["ServerLimit 32"]).running(Mpm::Event).need(Need::Restart),
            reloaded(event().main(&["ServerLimit 32"])),
        ),
        case(
            "REL-002",
            changed(reloaded(event())),
            changed(reloaded(event().params(json!({"config_test": false})))),
        ),
        case(
            "HOST-001",
            set(json!({})).memory("8G", json!({"per_worker": "20M", "reserve": "192M"})),
            set(json!({})).memory("8G", json!({"per_worker": "20M", "reserve": "193M"})),
        ),
        case(
            "HOST-002",
            set(json!({})).machine(|m| m.tasks_max = known(433)),
            set(json!({})).machine(|m| m.tasks_max = known(432)),
        ),
        case(
            "HOST-003",
            set(json!({})).machine(|m| m.threads_max = known(433)),
            set(json!({})).machine(|m| m.threads_max = known(432)),
        ),
        case(
            "HOST-004",
            set(json!({})).machine(|m| m.pid_max = known(433)),
            set(json!({})).machine(|m| m.pid_max = known(432)),
        ),
        case("HOST-005", set(json!({})), set(json!({})).machine(|m| m.memory = None)),
        case(
            "HOST-006",
            prefork().on("rocky", "9.4").machine(|m| m.selinux_graceful_shutdown = flag(true)),
            prefork().on("rocky", "9.4").machine(|m| m.selinux_graceful_shutdown = flag(false)),
        ),
        case("HOST-007", worker().facts(|f| f.mpm_available = Some(true)), {
            worker().facts(|f| f.mpm_available = Some(false))
        }),
        case("TST-001", set(json!({})), set(json!({"max_request_workers": 410}))),
    ]
}

fn persistence() -> Vec<Case> {
    let wait = |text: &str| keepalive(json!({ "timeout": text }));
    let requests = |number: i64| keepalive(json!({ "max_requests": number }));
    let audit = |line: &'static str| event().main(&[line]).audit();
    let slow = "RequestReadTimeout header=20-40,MinRate=500";
    let limits = |line: &'static str| event().module("reqtimeout_module", "r.so").main(&[line]);
    vec![
        case("KA-001", wait("5s"), wait("5m")),
        case("KA-002", wait("1"), wait("s")),
        case("KA-003", event().vhost("*:80", &["Timeout 5"]), event().vhost("*:80", &["Timeout 0"])),
        case("KA-004", wait("-5"), wait("-5").version(Version::v24(48))),
        case("KA-005", wait("1000ms"), wait("999ms")),
        case("KA-006", requests(0), requests(-1)),
        case("KA-007", requests(1), requests(0)),
        case("KA-008", requests(0), requests(1)),
        case(
            "KA-009",
            event().vhost("*:80", &["KeepAliveTimeout 1"]).vhost("*:443", &[]),
            event().vhost("*:80", &["KeepAliveTimeout 1"]).vhost("*:80", &[]),
        ),
        case(
            "KA-010",
            prefork().params(json!({"keepalive": {"timeout": "15"}})),
            prefork().params(json!({"keepalive": {"timeout": "16"}})),
        ),
        case("KA-011", event().main(&["KeepAlive On"]), event().main(&["KeepAlive On Off"])),
        case("KA-012", event().main(&["KeepAlive oN"]), event().main(&["KeepAlive yes"])),
        case("TO-001", audit("Timeout 5"), audit("Timeout 5ms")),
        case("TO-002", audit("Timeout 1"), audit("Timeout abc")),
        case("TO-003", audit("Timeout 1"), audit("Timeout 3000000000")),
        case("RRT-001", limits(slow), limits("RequestReadTimeout header=20-40")),
        case(
            "RRT-002",
            limits(slow).vhost("*:80", &["RequestReadTimeout header=5 body=5"]),
            limits(slow).vhost("*:80", &["RequestReadTimeout body=5"]),
        ),
        case("RRT-003", limits("RequestReadTimeout body=60"), limits("RequestReadTimeout body=61")),
        case(
            "RRT-004",
            limits("RequestReadTimeout header=0 body=5"),
            limits("RequestReadTimeout header=0 body=0"),
        ),
        case("RRT-005", limits(slow), event().main(&["RequestReadTimeout header=5"])),
        case(
            "RRT-006",
            limits("RequestReadTimeout handshake=5"),
            limits("RequestReadTimeout handshake=5").version(Version::v24(38)),
        ),
    ]
}

fn evasives() -> Vec<Case> {
    let dir = "/var/log/mod_evasive";
    let facts = |exists, web_user_writes, world_writes| {
        evasive(ONE, json!({ "log_dir": dir }))
            .facts(move |f| f.log_dir = Some(LogDir { exists, web_user_writes, world_writes }))
    };
    vec![
        case(
            "EV-001",
            event(),
            event().note(NoteKind::DeadEvasiveGuard, "<IfModule mod_evasive24.c>").audit(),
        ),
        case("EV-002", evasive(FORK, json!({"enabled": true})), evasive(FORK, json!({"page_count": 5}))),
        case(
            "EV-003",
            evasive(FORK, json!({"enabled": true})).vhost("*:80", &["DOSEnabled true", "DOSPageCount 9"]),
            evasive(FORK, json!({"enabled": true})).vhost("*:80", &["DOSPageCount 9"]),
        ),
        case(
            "EV-004",
            evasive(FORK, json!({"enabled": true})).vhost("*:80", &["DOSPageCount 9"]),
            evasive(ONE, json!({"enabled": true})).vhost("*:80", &["DOSPageCount 9"]),
        ),
        case("EV-005", evasive(ONE, json!({"http_status": 429})), evasive(EPEL, json!({"http_status": 429}))),
        case("EV-006", evasive(ONE, json!({"page_count": 1})), evasive(ONE, json!({"page_count": 0}))),
        case("EV-007", evasive(FORK, json!({"page_count": 1})), evasive(FORK, json!({"page_count": -1}))),
        case(
            "EV-008",
            evasive(ONE, json!({"whitelist": ["127.0.0.*"]})),
            evasive(ONE, json!({"whitelist": ["127.0.0.0/8"]})),
        ),
        case(
            "EV-009",
            evasive(FORK, json!({"whitelist": ["127.0.0.0/8"]})),
            evasive(FORK, json!({"whitelist": ["127.*"]})),
        ),
        case(
            "EV-010",
            evasive(FORK, json!({"whitelist": ["127.*.*.*"]})),
            evasive(FORK, json!({"whitelist": ["*.*.*.*"]})),
        ),
        case("EV-011", evasive(ONE, json!({"http_status": 400})), evasive(ONE, json!({"http_status": 200}))),
        case("EV-025", evasive(FORK, json!({"http_status": 503})), evasive(FORK, json!({"http_status": 0}))),
        case(
            "EV-028",
            evasive(FORK, json!({})).listens("80").main(&["DOSWhitelist 192.0.2.1 ::ffff:192.0.2.1"]),
            evasive(FORK, json!({})).listens("80").main(&["DOSWhitelist 192.0.2.1"]),
        ),
        case("EV-012", facts(true, true, false), facts(true, true, true)),
        case("EV-013", evasive(ONE, json!({ "log_dir": dir })), evasive(ONE, json!({}))),
        case("EV-014", evasive(ONE, json!({})), evasive(ONE, json!({"email_notify": "root@example.org"}))),
        case(
            "EV-015",
            evasive(ONE, json!({"system_command": "/usr/local/bin/block %s 50%%"})),
            evasive(ONE, json!({"system_command": "/usr/local/bin/block %s %s"})),
        ),
        case(
            "EV-016",
            evasive(ONE, json!({"system_command": "/usr/local/bin/block %s"})),
            evasive(ONE, json!({"system_command": "/sbin/iptables -A INPUT -s %s -j DROP"})),
        ),
        case(
            "EV-017",
            evasive(ONE, json!({"email_notify": "root+dos@example.org"})),
            evasive(ONE, json!({"email_notify": "root@example.org; id"})),
        ),
        case(
            "EV-018",
            evasive(ONE, json!({})).module("remoteip_module", "r.so"),
            evasive(ONE, json!({}))
                .module("remoteip_module", "r.so")
                .main(&["RemoteIPHeader X-Forwarded-For"]),
        ),
        case("EV-019", evasive(ONE, json!({"page_interval": 1})), evasive(ONE, json!({"page_interval": 2}))),
        case("EV-020", evasive(ONE, json!({"enabled": false})), evasive(ONE, json!({}))),
        case(
            "EV-021",
            evasive(ONE, json!({})).standing(&["MaxConnectionsPerChild 1000"]),
            evasive(ONE, json!({})).standing(&["MaxConnectionsPerChild 999"]),
        ),
        case(
            "EV-022",
            evasive(FORK, json!({"hash_table_size": 3097})),
            evasive(ONE, json!({"hash_table_size": 3097})),
        ),
        case("EV-023", evasive(ONE, json!({"enabled": false})), evasive(ONE, json!({}))),
        case("EV-024", event().build(FORK).audit(), {
            event().build(FORK).note(NoteKind::DeadEvasiveGuard, "<IfModule mod_evasive20.c>").audit()
        }),
    ]
}

fn grammar() -> Vec<Case> {
    [
        ("GRM-001", NoteKind::TrailingComment),
        ("GRM-002", NoteKind::GluedComment),
        ("GRM-003", NoteKind::SwallowingComment),
        ("GRM-004", NoteKind::UndefinedVariable),
        ("GRM-005", NoteKind::GuardBeforeLoad),
        ("GRM-006", NoteKind::GuardCase),
        ("GRM-007", NoteKind::UnclosedSection),
        ("GRM-008", NoteKind::MissingInclude),
        ("GRM-009", NoteKind::StrayFilesIncluded),
        ("GRM-010", NoteKind::EmptyInclude),
        ("GRM-011", NoteKind::StrayBytes),
        ("GRM-012", NoteKind::WrongBase),
        ("GRM-013", NoteKind::NumericOrder),
        ("GRM-014", NoteKind::Macro),
    ]
    .into_iter()
    .map(|(id, kind)| case(id, event().audit(), event().note(kind, "text").audit()))
    .chain([
        case(
            "GRM-015",
            evasive(ONE, json!({"log_dir": "/var/log/\"quoted\""})),
            evasive(ONE, json!({"log_dir": "/var/log/${HOME}"})),
        ),
        case("GRM-018", event().main(&["Timeout 5"]), event().main(&["Timeout 5 6"])),
        case("GRM-017", event().note(NoteKind::UnknownVariable, "WORKERS"), {
            event()
                .note(NoteKind::UnknownVariable, "WORKERS")
                .facts(|facts| facts.shell = shell("export WORKERS=$(nproc)"))
        }),
        case("GRM-016", event(), event().error("ServerLimt is not known")),
    ])
    .collect()
}

/// One line of the start script's variables that only a shell could evaluate.
fn shell(text: &str) -> &'static [Construct] {
    vec![Construct { file: PathBuf::from("/etc/apache2/envvars"), line: 7, text: text.to_owned() }].leak()
}

fn known(value: u64) -> Option<Known<u64>> {
    Some(Known { value, source: "test".to_owned() })
}

fn flag(value: bool) -> Option<Known<bool>> {
    Some(Known { value, source: "test".to_owned() })
}

fn cases() -> Vec<Case> {
    [sizes(), modules(), listening(), persistence(), evasives(), grammar(), gate::cases(), reports::cases()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn the_logs_of_virtual_hosts_count_in_the_open_files_of_every_mpm() {
    for (host, setting) in [
        (event as fn() -> Host, "AsyncRequestWorkerFactor"),
        (worker, "lower ThreadsPerChild"),
        (prefork, "share their logs"),
    ] {
        let said = |files| host().logs(1000).audit().machine(|m| m.open_files = known(files)).said("FD-001");
        assert_eq!(said(1500).len(), 0, "{setting}");
        let findings = said(1005);
        let finding = findings.first().unwrap_or_else(|| panic!("{setting}: silent"));
        assert!(finding.message.contains("its 1002 logs and addresses"), "{}", finding.message);
        assert!(finding.hint.contains(setting), "{}", finding.hint);
    }
}

#[test]
fn every_rule_has_a_host_it_speaks_about_and_one_it_does_not() {
    let cases = cases();
    let mut wrong = Vec::new();
    for rule in rules::all().filter(|rule| !rule.is_planned()) {
        let own: Vec<&Case> = cases.iter().filter(|case| case.id == rule.id).collect();
        let [case] = own.as_slice() else {
            wrong.push(format!("{}: {} cases", rule.id, own.len()));
            continue;
        };
        if let Some(finding) = case.passes.said(rule.id).first() {
            wrong.push(format!("{} speaks about the host in order: {finding:?}", rule.id));
        }
        match case.fails.said(rule.id).first() {
            None => wrong.push(format!("{} is silent about the other host", rule.id)),
            Some(finding) if finding.severity != rule.severity => {
                wrong.push(format!("{} weighs {:?}, not {:?}", rule.id, finding.severity, rule.severity));
            }
            Some(finding) if finding.message.is_empty() || finding.hint.is_empty() => {
                wrong.push(format!("{} has nothing to say: {finding:?}", rule.id));
            }
            Some(_) => {}
        }
    }
    for case in &cases {
        if rules::find(case.id).is_none() {
            wrong.push(format!("{} has a case, but is no rule", case.id));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn ids_are_unique_and_rows_are_whole() {
    let rules: Vec<&Rule> = rules::all().collect();
    for (index, rule) in rules.iter().enumerate() {
        assert!(rules[..index].iter().all(|other| other.id != rule.id), "{} stands twice", rule.id);
        let (family, number) = rule.id.split_once('-').unwrap();
        assert!(family.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()), "{}", rule.id);
        assert!(number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()), "{}", rule.id);
        for text in [rule.setting, rule.summary, rule.source] {
            assert!(
                !text.is_empty() && !text.contains('\n') && !text.ends_with('.'),
                "{}: {text:?}",
                rule.id
            );
        }
        assert!(!rule.mpms.is_empty(), "{}", rule.id);
        assert!(std::ptr::eq(rules::find(&rule.id.to_lowercase()).unwrap(), *rule));
    }
}

/// An id that is misspelt does not compile, as long as it is written in one place.
#[test]
fn an_id_is_written_once_and_its_rule_is_named_after_it() {
    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut written: Vec<(String, String)> = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let mut before = "";
        for line in text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]") {
            let quoted = line.split('"').skip(1).step_by(2);
            let known = |text: &&str| text.len() < 12 && text.contains('-') && rules::find(text).is_some();
            if !line.starts_with("//") {
                written.extend(quoted.filter(known).map(|id| (id.to_owned(), format!("{before} {line}"))));
            }
            before = line;
        }
    }
    for rule in rules::all() {
        let (id, name) = (rule.id, rule.id.replace('-', "_"));
        let lines: Vec<&str> =
            written.iter().filter(|(other, _)| other == id).map(|(_, line)| line.as_str()).collect();
        assert_eq!(lines, [format!("pub(crate) static {name}: Rule = Rule {{ id: \"{id}\",")]);
    }
}

/// What many hosts run and what distributions ship must pass.
#[test]
fn settings_that_are_known_to_run_are_accepted() {
    let worker_250 = json!({"server_limit": 250, "start_servers": 10, "min_spare_threads": 75,
        "max_spare_threads": 250, "thread_limit": 64, "threads_per_child": 32, "max_request_workers": 8000,
        "max_connections_per_child": 10_000});
    let worker_161 = json!({"server_limit": 161, "start_servers": 2, "max_request_workers": 4025,
        "min_spare_threads": 25, "max_spare_threads": 75, "threads_per_child": 25,
        "max_connections_per_child": 10_000});
    let event_16 = json!({"server_limit": 16, "threads_per_child": 64, "max_request_workers": 1024,
        "max_connections_per_child": 10_000, "async_request_worker_factor": 2});
    let event_17 = json!({"server_limit": 17, "thread_limit": 64, "threads_per_child": 64,
        "max_request_workers": 1024, "max_connections_per_child": 10_000, "async_request_worker_factor": 2});
    let stock = [
        "StartServers 2",
        "MinSpareThreads 25",
        "MaxSpareThreads 75",
        "ThreadLimit 64",
        "ThreadsPerChild 25",
        "MaxRequestWorkers 150",
        "MaxConnectionsPerChild 0",
    ];
    let stock_prefork = [
        "StartServers 5",
        "MinSpareServers 5",
        "MaxSpareServers 10",
        "MaxRequestWorkers 150",
        "MaxConnectionsPerChild 0",
    ];
    let only_keepalive = json!({"keepalive": {"enabled": true, "timeout": "5", "max_requests": 100}});
    for (name, host) in vec![
        ("worker 250", worker().settings(worker_250)),
        ("worker 161", worker().settings(worker_161)),
        ("event 16", event().settings(event_16)),
        ("event 17", event().settings(event_17)),
        ("Debian's event", event().standing(&stock)),
        ("Debian's event, told", event().standing(&stock).audit()),
        ("Debian's worker", worker().standing(&stock)),
        ("Debian's prefork", prefork().standing(&stock_prefork)),
        ("nothing set", event()),
        ("nothing set, managed", event().settings(json!({}))),
        ("only keep-alive", event().standing(&stock).params(only_keepalive)),
    ] {
        let errors: Vec<_> =
            host.findings().into_iter().filter(|finding| finding.severity == Severity::Error).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn odd_lines_that_the_task_does_not_manage_never_fail_it() {
    let odd = [
        "MaxRequestWorkers 410",
        "ThreadsPerChild 100",
        "ServerLimit 0",
        "MaxSpareThreads 1",
        "StartServers 16abc",
        "Timeout 5ms",
    ];
    let host = event().standing(&odd).params(json!({"keepalive": {"timeout": "5"}}));
    let findings = host.findings();
    assert!(findings.iter().any(|finding| finding.rule == "SL-002"), "{findings:#?}");
    assert!(!rules::refuses(&findings), "{findings:#?}");
    // A line with which nobody is served is another matter.
    let outage =
        event().standing(&["MaxConnectionsPerChild -1"]).params(json!({"keepalive": {"timeout": "5"}}));
    assert!(rules::refuses(&outage.findings()));
}

#[test]
fn findings_carry_path_value_effective_value_code_and_hint() {
    let host = event().settings(json!({"max_request_workers": 410}));
    let finding = host.said("MRW-002").remove(0);
    assert_eq!(finding.setting.as_deref(), Some("settings.max_request_workers"));
    assert_eq!(finding.value.as_deref(), Some("410"));
    assert_eq!(finding.effective.as_deref(), Some("400"));
    assert_eq!(finding.httpd.as_deref(), Some("AH00513"));
    assert_eq!(
        finding.message,
        "MaxRequestWorkers 410 is no multiple of ThreadsPerChild 25: httpd rounds it down to 400"
    );
    assert_eq!(finding.hint, "set max_request_workers to 400 or 425");
    let standing = event().standing(&["MaxRequestWorkers 410"]);
    assert_eq!(standing.said("MRW-002").remove(0).setting.as_deref(), Some("MaxRequestWorkers"));
}

#[test]
fn all_wrong_values_are_told_at_once_errors_first() {
    let host = event().settings(json!({"server_limit": 0, "threads_per_child": 65, "start_servers": 0}));
    let findings = host.findings();
    for id in ["SL-002", "TPC-001", "SS-001"] {
        assert!(findings.iter().any(|finding| finding.rule == id), "{id}: {findings:#?}");
    }
    assert!(findings.is_sorted_by_key(|finding| finding.severity));
}

#[test]
fn a_waived_rule_is_told_and_does_not_refuse() {
    let host = event().params(json!({"settings": {"max_request_workers": 410}, "waive": ["mrw-002"]}));
    let finding = host.said("MRW-002").remove(0);
    assert!(finding.waived && finding.severity == Severity::Error);
    assert!(!rules::refuses(&host.findings()));
    assert!(rules::refuses(&event().settings(json!({"max_request_workers": 410})).findings()));
}

#[test]
fn an_unknown_id_in_waive_is_answered_with_the_nearest() {
    let waive = ["MRW-002", "MRW-02", "nonsense"].map(str::to_owned);
    let errors = rules::unknown_waived(&waive);
    assert_eq!(errors.len(), 2);
    assert_eq!((errors[0].path.as_str(), errors[0].message.contains("MRW-002")), ("waive[1]", true));
    assert!(errors[1].message.contains("apache-tuning rules"), "{}", errors[1].message);
}

/// The mistakes that are published for copying, with what httpd makes of them.
#[test]
fn published_mistakes_are_refused_with_what_httpd_makes_of_them() {
    for (name, host, id, effective) in [
        (
            "30 workers of 25 threads",
            event().settings(json!({"max_request_workers": 30, "threads_per_child": 25})),
            "MRW-002",
            "25",
        ),
        (
            "260 workers over int(260 / 25) servers",
            event().settings(json!({"max_request_workers": 260, "server_limit": 10})),
            "MRW-002",
            "250",
        ),
        ("ServerLimit 0", event().settings(json!({"server_limit": 0})), "SL-002", "1"),
        (
            "9 workers of 5 threads",
            event().settings(json!({"max_request_workers": 9, "threads_per_child": 5})),
            "MRW-002",
            "5",
        ),
        (
            "3522 prefork workers without ServerLimit",
            prefork().settings(json!({"max_request_workers": 3522})),
            "MRW-004",
            "256",
        ),
        (
            "256 workers of 25 threads",
            worker().settings(json!({"max_request_workers": 256})),
            "MRW-002",
            "250",
        ),
        (
            "5000 workers without ServerLimit",
            event().settings(json!({"max_request_workers": 5000})),
            "MRW-003",
            "400",
        ),
        (
            "16 threads and 150 workers",
            event().settings(json!({"max_request_workers": 150, "threads_per_child": 16})),
            "MRW-002",
            "144",
        ),
    ] {
        let findings = host.said(id);
        assert_eq!(findings.len(), 1, "{name}: {:#?}", host.findings());
        assert_eq!(findings[0].effective.as_deref(), Some(effective), "{name}");
        assert_eq!(findings[0].severity, Severity::Error, "{name}");
    }
}

/// Each prefork child with mod_http2 has a second thread.
#[test]
fn a_limit_of_614_tasks_caps_prefork_at_306() {
    let host = prefork()
        .settings(json!({"server_limit": 400, "max_request_workers": 400}))
        .module("http2_module", "h.so")
        .machine(|m| m.tasks_max = known(614));
    let finding = host.said("HOST-002").remove(0);
    assert_eq!((finding.severity, finding.effective.as_deref()), (Severity::Error, Some("306")));
}

#[test]
fn nothing_is_refused_for_memory_while_the_need_of_a_worker_is_unknown() {
    let host = event().settings(json!({"server_limit": 2000, "max_request_workers": 50_000})).machine(|m| {
        m.memory = Some(Known { value: Bytes(Bytes::MIB * 1024), source: "/proc/meminfo".to_owned() });
    });
    let finding = host.said("HOST-001").remove(0);
    assert_eq!(finding.severity, Severity::Info);
    assert!(finding.message.contains("no more than 21.0 KiB"), "{}", finding.message);
}

/// Whatever httpd refuses or corrects, a rule says so; so no set of numbers gets past the table.
mod nothing_gets_past {
    use super::*;
    use apache_tuning::httpd::core_directives;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => prop::sample::select(vec![0, 1, 2, 5, 16, 24, 25, 26, 63, 64, 65, 100, 150, 256, 400, 401, 425]),
            2 => -5_i64..1000,
            1 => prop::sample::select(vec![19_999, 20_000, 20_001, 100_001, 200_001, 2_147_483_647, 2_147_483_648, 4_294_967_296]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn what_httpd_would_change_is_always_told(
            mpm in prop::sample::select(Mpm::ALL.to_vec()),
            values in prop::collection::btree_map(prop::sample::select(
                core_directives::mpm_rows().map(|row| (row.name, row.key)).collect::<Vec<_>>()), number(), 0..6),
        ) {
            let settings: serde_json::Map<_, _> =
                values.iter().map(|((_, key), value)| ((*key).to_owned(), json!(value))).collect();
            let host = judged::of(mpm).settings(settings.into());
            let findings = host.findings();
            let normal = host.normal();
            if !normal.refusals.is_empty() {
                prop_assert!(rules::refuses(&findings), "{normal:#?} {findings:#?}");
            }
            for fix in normal.corrections.iter().filter(|fix| values.keys().any(|(name, _)| *name == fix.directive)) {
                // More spare ones than there are workers: what httpd makes of the number changes nothing.
                let idle = fix.directive.starts_with("MaxSpare")
                    && fix.from.parse::<i64>().is_ok_and(|from| from >= normal.sizes.workers);
                prop_assert!(
                    findings.iter().any(|finding| (finding.severity != Severity::Info || idle)
                        && (fix.code.is_none() || finding.httpd.as_deref() == fix.code)),
                    "{fix:?} {findings:#?}"
                );
            }
        }
    }
}

/// `cargo xtask docs` writes the page.
#[test]
fn the_page_of_rules_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text == rules::markdown(), "docs/rules.md is not what the rules say; run `cargo xtask docs`");
}

/// A pool of a fixed size is asked for by equal numbers, as a public recommendation has it.
#[test]
fn a_pool_of_a_fixed_size_is_no_error() {
    for (size, host) in [
        (20, prefork().settings(json!({
            "start_servers": 20, "min_spare_servers": 20, "max_spare_servers": 20, "max_request_workers": 20,
            "server_limit": 20
        }))),
        (400, worker().settings(json!({
            "min_spare_threads": 400, "max_spare_threads": 400, "max_request_workers": 400, "server_limit": 17
        }))),
        (400, event().settings(json!({
            "min_spare_threads": 400, "max_spare_threads": 400, "max_request_workers": 400, "server_limit": 17
        }))),
    ] {
        let heavy: Vec<_> = host
            .findings()
            .into_iter()
            .filter(|one| one.rule.starts_with("SPARE") && one.severity != Severity::Info)
            .collect();
        assert!(heavy.is_empty(), "{size}: {heavy:?}");
    }
}
