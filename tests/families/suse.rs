//! SUSE: the MPM is a binary, modules are words of a variable.
//!
//! Known from: the spec file and sources of apache2 in openSUSE (`start_apache2`, `load_modules`, `find_mpm`,
//! `apache2.sysconfig`, `apache2-server-tuning.conf`) and of apache2-mod_evasive. The words are this project's own.

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::Memory;
use serde_json::json;

use crate::tried::{Host, Tried};

const SWITCH: &str = "/etc/sysconfig/apache2";
const TUNING: &str = "/etc/apache2/server-tuning.conf";
const DROP_IN: &str = "/etc/apache2/conf.d/zz-apache-tuning.conf";
const EVASIVE: &str = "/etc/apache2/conf.d/mod_evasive.conf";

const MAIN: &str = "\
Include /etc/apache2/uid.conf
Include /etc/apache2/server-tuning.conf
ErrorLog /var/log/apache2/error_log
<IfDefine !SYSCONFIG>
  Include /etc/apache2/sysconfig.d/loadmodule.conf
</IfDefine>
Include /etc/apache2/listen.conf
Include /etc/apache2/default-server.conf
IncludeOptional /etc/apache2/vhosts.d/*.conf
";

const VARIABLES: &str = "\
## Path: Network/WWW/Apache2
# Modules to load. An example: APACHE_MODULES=\"none\"
APACHE_MODULES=\"actions alias authz_core cgi dir log_config reqtimeout nosuch\"

## Type: list(prefork,worker,event)
APACHE_MPM=\"\"
APACHE_SERVER_FLAGS=\"STATUS -D SSL\"
";

fn tuning() -> String {
    let threads = |mpm: &str| {
        format!(
            "<IfModule {mpm}.c>\n    StartServers 3\n    MinSpareThreads 25\n    MaxSpareThreads 75\n    \
             ThreadLimit 64\n    MaxRequestWorkers 256\n    ThreadsPerChild 25\n    \
             MaxConnectionsPerChild 10000\n</IfModule>\n"
        )
    };
    format!(
        "# sizes\n<IfModule prefork.c>\n    StartServers 5\n    MinSpareServers 5\n    MaxSpareServers 10\n    \
         ServerLimit 256\n    MaxRequestWorkers 256\n    MaxConnectionsPerChild 10000\n</IfModule>\n{}{}\
         KeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 15\nEnableSendfile on\n",
        threads("worker"),
        threads("event")
    )
}

fn tree(os_release: &str, chosen: Mpm, with: &[Mpm]) -> Memory {
    let mut files = Memory::new()
        .file("/etc/os-release", os_release)
        .file("/etc/apache2/httpd.conf", MAIN)
        .file("/etc/apache2/uid.conf", "User wwwrun\nGroup www\n")
        .file(TUNING, tuning())
        .file("/etc/apache2/listen.conf", "Listen 80\n")
        .file(
            "/etc/apache2/default-server.conf",
            "DocumentRoot \"/srv/www/htdocs\"\nIncludeOptional /etc/apache2/conf.d/*.conf\n",
        )
        .file("/etc/apache2/conf.d/mod_perl.conf", "# perl\n")
        .file("/etc/apache2/sysconfig.d/loadmodule.conf", "# of the last start\n")
        .file(SWITCH, VARIABLES)
        .link("/usr/sbin/httpd", "/etc/alternatives/httpd")
        .link("/etc/alternatives/httpd", format!("/usr/sbin/httpd-{chosen}"));
    for name in ["actions", "alias", "authz_core", "cgi", "cgid", "dir", "log_config", "reqtimeout"] {
        files = files.file(format!("/usr/lib64/apache2/mod_{name}.so"), "");
    }
    for mpm in with {
        files = files.file(format!("/usr/sbin/httpd-{mpm}"), "");
    }
    files
}

fn with_evasive(files: Memory) -> Memory {
    files.file("/usr/lib64/apache2/mod_evasive24.so", "").file(
        EVASIVE,
        "<IfModule mod_evasive24.c>\n    DOSHashTableSize 3097\n    DOSPageCount 2\n    DOSSiteCount 50\n</IfModule>\n",
    )
}

/// Every release.
pub(crate) fn hosts() -> Vec<Host> {
    let leap = "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n";
    let tumbleweed = "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\nVERSION_ID=\"20260820\"\n";
    let one = |name, files, evasive| Host {
        name,
        files,
        mpms: &Mpm::ALL,
        switch: SWITCH,
        writes: &[SWITCH, TUNING, DROP_IN, EVASIVE],
        drop_in: &[DROP_IN],
        evasive,
    };
    vec![
        one("leap15.6", with_evasive(tree(leap, Mpm::Prefork, &Mpm::ALL)), Some(false)),
        one("tumbleweed", with_evasive(tree(tumbleweed, Mpm::Event, &Mpm::ALL)), Some(false)),
        one("sles15", tree("ID=\"sles\"\nVERSION_ID=\"15.7\"\n", Mpm::Prefork, &Mpm::ALL), None),
    ]
}

#[test]
fn only_the_value_of_the_variable_changes() {
    let mut tried = Tried::new(&hosts()[0]);
    assert_eq!(tried.mpm(), Some(Mpm::Prefork), "what the alternatives chose");
    tried.does(&json!({"mpm": "worker", "evasive": {"enabled": true}}));
    let want = VARIABLES
        .replace("APACHE_MPM=\"\"", "APACHE_MPM=\"worker\"")
        .replace(" nosuch\"\n", " nosuch evasive24\"\n");
    assert_eq!(tried.text(SWITCH), want);
    tried.does(&json!({"evasive": {"enabled": false}}));
    assert_eq!(tried.text(SWITCH), want.replace(" evasive24", ""));
    // The MPM that stands is written down, so that a package installed later does not choose another.
    let mut tried = Tried::new(&hosts()[0]);
    tried.does(&json!({"mpm": "prefork"}));
    assert!(tried.text(SWITCH).contains("APACHE_MPM=\"prefork\"\n"));
}

#[test]
fn the_server_is_started_as_the_start_script_would() {
    let mut tried = Tried::new(&hosts()[0]);
    tried.does(&json!({"mpm": "event", "evasive": {"enabled": true}}));
    let launch = tried.asks(&json!({})).launch;
    assert_eq!(launch.binary.clone().unwrap().to_str(), Some("/usr/sbin/httpd-event"));
    let arguments = launch.arguments().join(" ");
    assert!(
        arguments.starts_with("-DSYSCONFIG -DSTATUS -DSSL -C LoadModule actions_module /usr/lib64"),
        "{arguments}"
    );
    assert!(arguments.contains("LoadModule cgid_module "), "{arguments}");
    assert!(!arguments.contains("nosuch"), "{arguments}");
    assert!(
        arguments.ends_with(
            "LoadModule evasive24_module /usr/lib64/apache2/mod_evasive24.so -C PidFile /run/httpd.pid"
        ),
        "{arguments}"
    );
}

#[test]
fn a_file_that_the_start_script_has_read_last_wins_and_is_named() {
    let mut tried = Tried::new(&hosts()[1]);
    tried.files = tried
        .files
        .file(SWITCH, VARIABLES.to_owned() + "APACHE_CONF_INCLUDE_FILES=\"last.conf gone.conf\"\n")
        .file("/etc/apache2/last.conf", "KeepAliveTimeout 30\n");
    let (rule, message) = tried.refuses(&json!({"keepalive": {"enabled": true, "timeout": 5}}));
    assert!(rule == "OVR-001" && message.contains("/etc/apache2/last.conf:1"), "{message}");
}

#[test]
fn a_binary_that_is_not_installed_is_named_with_its_package() {
    let mut host = hosts().remove(2);
    host.files = tree("ID=sles\n", Mpm::Prefork, &[Mpm::Prefork]);
    let (rule, message) = Tried::new(&host).refuses(&json!({"mpm": "event"}));
    assert!(rule == "HOST-007" && message.contains("install the package apache2-event"), "{message}");
}

#[test]
fn an_instance_has_a_directory_and_variables_of_its_own() {
    let shared = Tried::new(&hosts().remove(0));
    let blue = |path: &str| path.replacen("apache2", "apache2@blue", 1);
    let mut tried = shared.clone();
    let main = MAIN.replace("/etc/apache2/server-tuning", "/etc/apache2@blue/server-tuning").replace(
        "Include /etc/apache2/default-server.conf",
        "IncludeOptional /etc/apache2@blue/conf.d/*.conf",
    );
    tried.files = tried.files.file("/etc/apache2@blue/httpd.conf", main).file(blue(TUNING), tuning());
    let mut asked = json!({"instance": "blue", "mpm": "worker", "settings": {"max_request_workers": 300}});
    // The start script would load nothing at all once that file is there with the MPM alone in it.
    let (rule, message) = tried.refuses(&asked);
    assert!(rule == "SYS-002" && message.contains("copy /etc/sysconfig/apache2 there"), "{message}");
    tried.files = tried.files.file(blue(SWITCH), VARIABLES);
    let before = tried.clone();
    asked["keepalive"] = json!({"enabled": true, "timeout": 3});
    let site = tried.asks(&asked).host.site;
    assert_eq!(site.arguments(), ["-f", "/etc/apache2@blue/httpd.conf"]);
    assert_eq!(site.unit(), "apache2@blue");
    assert_eq!(site.server_root.to_str(), Some("/srv/www"));
    let report = tried.does(&asked);
    assert_eq!(report.mpm.after, Some(Mpm::Worker));
    assert_eq!(report.effective["MaxRequestWorkers"].value, "300");
    assert_eq!(report.effective["KeepAliveTimeout"].file, Some(blue(DROP_IN)));
    for path in [SWITCH, TUNING] {
        assert_eq!(tried.text(path), before.text(path), "{path}");
        assert_ne!(tried.text(&blue(path)), before.text(&blue(path)), "{path}");
    }
    tried.does_nothing(&asked);
    tried.does(&json!({"instance": "blue", "state": "absent"}));
    for path in [blue(SWITCH), blue(TUNING)] {
        assert_eq!(tried.text(&path), before.text(&path), "{path}");
    }
    let (rule, message) = tried.refuses(&json!({"instance": "green"}));
    assert!(rule == "SYS-001" && message.contains("instances here: blue"), "{message}");
}
