//! Debian and Ubuntu, release by release: with and without a guard around the MPM's numbers, and both generations of
//! mod_evasive.
//!
//! Known from: the packages apache2 and libapache2-mod-evasive of Ubuntu 18.04 to 26.04 and Debian 11 to 13; Debian 10
//! lies between two releases whose files are equal. The words are this project's own.

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::Memory;
use serde_json::json;

use crate::tried::{Host, Tried, with_programs};

const EVASIVE: &str = "/etc/apache2/mods-available/evasive.conf";

/// One release: name, ID, VERSION_ID, whether the numbers are guarded, whether mod_evasive is the fork.
const RELEASES: [(&str, &str, &str, bool, bool); 10] = [
    ("debian10", "debian", "10", true, false),
    ("debian11", "debian", "11", true, false),
    ("debian12", "debian", "12", false, false),
    ("debian13", "debian", "13", false, true),
    ("ubuntu18.04", "ubuntu", "18.04", true, false),
    ("ubuntu20.04", "ubuntu", "20.04", true, false),
    ("ubuntu22.04", "ubuntu", "22.04", true, false),
    ("ubuntu24.04", "ubuntu", "24.04", false, false),
    ("ubuntu26.04", "ubuntu", "26.04", false, true),
    ("raspbian12", "raspbian", "12", false, false),
];

const MAIN: &str = "\
DefaultRuntimeDir ${APACHE_RUN_DIR}
PidFile ${APACHE_PID_FILE}
Timeout 300
KeepAlive On
MaxKeepAliveRequests 100
KeepAliveTimeout 5
User ${APACHE_RUN_USER}
IncludeOptional mods-enabled/*.load
IncludeOptional mods-enabled/*.conf
Include ports.conf
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
";

fn numbers(mpm: Mpm, guarded: bool) -> String {
    let lines = match mpm {
        Mpm::Prefork => "StartServers\t5\nMinSpareServers\t5\nMaxSpareServers\t10\n",
        _ => {
            "StartServers\t2\nMinSpareThreads\t25\nMaxSpareThreads\t75\nThreadLimit\t64\nThreadsPerChild\t25\n"
        }
    };
    let lines = format!("{lines}MaxRequestWorkers\t150\nMaxConnectionsPerChild\t0\n");
    if guarded {
        let inner = lines.trim_end().replace('\n', "\n\t");
        format!(
            "# {mpm} MPM\n<IfModule mpm_{mpm}_module>\n\t{inner}\n</IfModule>\n\n# vim: syntax=apache ts=4 sw=4\n"
        )
    } else {
        format!("# {mpm} MPM\n{lines}")
    }
}

fn tree(id: &str, version: &str, guarded: bool, fork: bool) -> Memory {
    let envvars = "export APACHE_RUN_DIR=/run/apache2\nexport APACHE_PID_FILE=/run/apache2/apache2.pid\n\
                   export APACHE_RUN_USER=www-data\nexport APACHE_RUN_GROUP=www-data\n\
                   export APACHE_LOG_DIR=/var/log/apache2\n";
    let mut files = Memory::new()
        .file("/etc/os-release", format!("ID={id}\nID_LIKE=debian\nVERSION_ID=\"{version}\"\n"))
        .file("/etc/apache2/apache2.conf", MAIN)
        .file("/etc/apache2/envvars", envvars)
        .file("/etc/apache2/ports.conf", "Listen 80\n")
        .file("/etc/apache2/sites-available/000-default.conf", "<VirtualHost *:80>\n</VirtualHost>\n")
        .link("/etc/apache2/sites-enabled/000-default.conf", "../sites-available/000-default.conf")
        .link("/etc/apache2/mods-enabled/mpm_event.load", "../mods-available/mpm_event.load")
        .link("/etc/apache2/mods-enabled/mpm_event.conf", "../mods-available/mpm_event.conf")
        .link("/etc/apache2/mods-enabled/evasive.load", "../mods-available/evasive.load")
        .link("/etc/apache2/mods-enabled/evasive.conf", "../mods-available/evasive.conf")
        .file("/etc/apache2/conf-available/security.conf", "ServerTokens OS\n")
        .file("/var/lib/apache2/module/enabled_by_maint/mpm_event", "");
    for mpm in Mpm::ALL {
        let others: Vec<String> =
            Mpm::ALL.iter().filter(|other| **other != mpm).map(|other| format!("mpm_{other}")).collect();
        files = files
            .file(
                format!("/etc/apache2/mods-available/mpm_{mpm}.load"),
                format!(
                    "# Conflicts: {}\nLoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so\n",
                    others.join(" ")
                ),
            )
            .file(format!("/etc/apache2/mods-available/mpm_{mpm}.conf"), numbers(mpm, guarded));
    }
    let (symbol, program) = if fork { ("evasive", "evasive") } else { ("evasive20", "evasive20") };
    let files = files
        .file(
            "/etc/apache2/mods-available/evasive.load",
            format!("LoadModule {symbol}_module /usr/lib/apache2/modules/mod_{program}.so\n"),
        )
        .file(
            EVASIVE,
            format!("<IfModule mod_{program}.c>\n    #DOSHashTableSize    3097\n    #DOSPageCount        2\n</IfModule>\n"),
        );
    with_programs(files, "/usr/lib/apache2/modules")
}

/// Every release.
pub(crate) fn hosts() -> Vec<Host> {
    RELEASES
        .iter()
        .map(|&(name, id, version, guarded, fork)| Host {
            name,
            files: tree(id, version, guarded, fork),
            mpms: &Mpm::ALL,
            switch: "",
            writes: WRITES,
            drop_in: &[
                "/etc/apache2/conf-available/zz-apache-tuning.conf",
                "/etc/apache2/conf-enabled/zz-apache-tuning.conf",
                "/var/lib/apache2/conf/enabled_by_admin/zz-apache-tuning",
            ],
            evasive: Some(fork),
        })
        .collect()
}

const WRITES: &[&str] = &[
    "/etc/apache2/mods-available/mpm_event.conf",
    "/etc/apache2/mods-available/mpm_worker.conf",
    "/etc/apache2/mods-available/mpm_prefork.conf",
    "/etc/apache2/mods-enabled/mpm_event.conf",
    "/etc/apache2/mods-enabled/mpm_event.load",
    "/etc/apache2/mods-enabled/mpm_worker.conf",
    "/etc/apache2/mods-enabled/mpm_worker.load",
    "/etc/apache2/mods-enabled/mpm_prefork.conf",
    "/etc/apache2/mods-enabled/mpm_prefork.load",
    "/etc/apache2/conf-available/zz-apache-tuning.conf",
    "/etc/apache2/conf-enabled/zz-apache-tuning.conf",
    EVASIVE,
    "/var/lib/apache2/module/enabled_by_maint/mpm_event",
    "/var/lib/apache2/module/disabled_by_admin/mpm_event",
    "/var/lib/apache2/module/enabled_by_admin/mpm_worker",
    "/var/lib/apache2/module/enabled_by_admin/mpm_prefork",
    "/var/lib/apache2/conf/enabled_by_admin/zz-apache-tuning",
];

#[test]
fn a_block_left_under_the_old_guard_by_an_upgrade_is_taken_over() {
    let mut tried = Tried::new(&hosts().remove(3));
    let old =
        "<IfModule mod_evasive20.c>\n    # mine\n    DOSPageCount 7\n    DOSBlockingPeriod 20\n</IfModule>\n";
    tried.files = tried.files.file(EVASIVE, old);
    // Untouched it protects nothing, which is said.
    let report = tried.asks(&json!({"evasive": {"enabled": true, "page_count": 9}})).report;
    assert!(!report.failed, "{}", report.msg);
    let told = tried.asks(&json!({"keepalive": {"enabled": true}})).report;
    assert!(told.findings.iter().any(|finding| finding.rule == "EV-024"), "{:?}", told.findings);
    let report = tried.does(&json!({"evasive": {"enabled": true, "page_count": 9}}));
    assert_eq!(report.effective["DOSPageCount"].value, "9");
    assert_eq!(report.effective["DOSEnabled"].value, "true");
    let text = tried.text(EVASIVE);
    // What was not asked for stays, and is still worth saying.
    let left = "<IfModule mod_evasive20.c>\n    # mine\n    DOSBlockingPeriod 20\n</IfModule>\n";
    assert!(text.starts_with(left), "{text}");
    assert!(report.findings.iter().any(|finding| finding.rule == "EV-024"), "{:?}", report.findings);
    let all = json!({"evasive": {"enabled": true, "page_count": 9, "blocking_period": 20}});
    let report = tried.does(&all);
    assert!(tried.text(EVASIVE).starts_with("<IfModule mod_evasive20.c>\n    # mine\n</IfModule>\n"));
    assert!(!report.findings.iter().any(|finding| finding.rule == "EV-024"), "{:?}", report.findings);
}

#[test]
fn an_instance_has_a_directory_of_its_own() {
    let mut tried = Tried::new(&hosts().remove(2));
    for (path, text) in [("apache2.conf", MAIN), ("ports.conf", "Listen 8080\n"), ("envvars", "")] {
        tried.files = tried.files.clone().file(format!("/etc/apache2-blue/{path}"), text);
    }
    let host = tried.asks(&json!({"instance": "blue", "mpm": "event", "waive": ["MOD-001"]})).host;
    assert_eq!(host.site.arguments(), ["-d", "/etc/apache2-blue"]);
    assert_eq!(host.site.unit(), "apache2@blue");
    assert_eq!(host.configuration.listen, ["8080"]);
}

#[test]
fn a_whitelist_names_ipv4_clients_as_a_socket_of_both_families_has_them() {
    for (listen, both) in [
        ("Listen 80\n", true),
        ("Listen [::]:80\n", true),
        ("Listen 127.0.0.1:80\nListen 0.0.0.0:81\n", false),
    ] {
        let host = hosts().into_iter().find(|host| host.name == "debian13").unwrap();
        let mut tried = Tried::new(&host);
        tried.files = tried.files.file("/etc/apache2/ports.conf", listen);
        let asked =
            json!({"evasive": {"enabled": true, "whitelist": ["127.0.0.1", "10.0.0.0/8", "2001:db8::1"]}});
        tried.does(&asked);
        let text = tried.text(EVASIVE);
        for word in ["127.0.0.1", "10.0.0.0/8", "2001:db8::1"] {
            assert!(text.contains(word), "{listen}: {text}");
        }
        assert_eq!(text.matches("::ffff:").count(), if both { 2 } else { 0 }, "{listen}: {text}");
        assert!(!both || text.contains("::ffff:10.0.0.0/104"), "{text}");
        tried.does_nothing(&asked);
    }
}
