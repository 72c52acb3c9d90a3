//! The Red Hat family.
//!
//! Known from: the spec files and sources of httpd and php in RHEL 8 and 9 (as `OpenELA` rebuilds them) and in Fedora, which
//! give the files' names, the order of the MPMs, the default and, from Fedora 44 on, that worker is not built; EPEL's
//! package of mod_evasive. RHEL 7's files are known from Red Hat's documentation and users' copies only; that Amazon
//! Linux 2 starts with prefork, and what is there in EPEL's file for RHEL 8 and later, is taken over from its neighbours.
//! The words of the files are this project's own.

use std::fmt::Write as _;

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::{Change, Memory, Node};
use serde_json::json;

use crate::tried::{Host, Tried, with_programs};

const SWITCH: &str = "/etc/httpd/conf.modules.d/00-mpm.conf";
const DROP_IN: &str = "/etc/httpd/conf.d/zz-apache-tuning.conf";
const EVASIVE: &str = "/etc/httpd/conf.d/mod_evasive.conf";

const MAIN: &str = "\
# The main file.
ServerRoot \"/etc/httpd\"
Listen 80
Include conf.modules.d/*.conf
User apache
Group apache
ServerAdmin root@localhost
<Directory />
    AllowOverride none
    Require all denied
</Directory>
DocumentRoot \"/var/www/html\"
EnableSendfile on
IncludeOptional conf.d/*.conf
";

/// Returns the file of the MPMs as shipped: each with a comment above it.
pub(crate) fn mpm_file(mpms: &[Mpm], active: Mpm) -> String {
    let mut text = "# Choose one MPM by uncommenting its line.\n\n".to_owned();
    for mpm in [Mpm::Prefork, Mpm::Worker, Mpm::Event].into_iter().filter(|mpm| mpms.contains(mpm)) {
        let hash = if mpm == active { "" } else { "#" };
        write!(text, "# {mpm}\n{hash}LoadModule mpm_{mpm}_module modules/mod_mpm_{mpm}.so\n\n").unwrap();
    }
    text
}

/// Returns a host of the family: os-release, the default MPM, the MPMs that are built.
pub(crate) fn tree(os_release: &str, mpms: &[Mpm], active: Mpm) -> Memory {
    Memory::new()
        .file("/etc/os-release", os_release)
        .file("/etc/httpd/conf/httpd.conf", MAIN)
        .file(SWITCH, mpm_file(mpms, active))
        .file(
            "/etc/httpd/conf.modules.d/00-base.conf",
            "LoadModule authz_core_module modules/mod_authz_core.so\n\
             LoadModule log_config_module modules/mod_log_config.so\n\
             LoadModule remoteip_module modules/mod_remoteip.so\n\
             LoadModule unixd_module modules/mod_unixd.so\n",
        )
        .file(
            "/etc/httpd/conf.modules.d/00-systemd.conf",
            "LoadModule systemd_module modules/mod_systemd.so\n",
        )
        .file(
            "/etc/httpd/conf.modules.d/01-cgi.conf",
            "<IfModule !mpm_prefork_module>\n    LoadModule cgid_module modules/mod_cgid.so\n</IfModule>\n\
             <IfModule mpm_prefork_module>\n    LoadModule cgi_module modules/mod_cgi.so\n</IfModule>\n",
        )
        .file("/etc/httpd/conf.d/autoindex.conf", "# Icons of listings.\n")
        .link("/etc/httpd/modules", "../../usr/lib64/httpd/modules")
}

/// Adds mod_evasive as EPEL ships it: loaded, and with settings that count.
fn with_evasive(files: Memory, symbol: &str) -> Memory {
    let guard = if symbol == "evasive20_module" { "mod_evasive24.c" } else { symbol };
    let fork = if symbol == "evasive_module" { "    #DOSEnabled true\n" } else { "" };
    files.file(
        EVASIVE,
        format!(
            "# mod_evasive\nLoadModule {symbol} modules/mod_evasive24.so\n\n<IfModule {guard}>\n{fork}    \
             # The table.\n    DOSHashTableSize    3097\n    DOSPageCount        2\n    DOSSiteCount        50\n    \
             DOSPageInterval     1\n    DOSSiteInterval     1\n    DOSBlockingPeriod   10\n</IfModule>\n"
        ),
    )
}

/// Adds PHP of RHEL 8: in Apache under prefork, else by php-fpm.
fn with_php8(files: Memory) -> Memory {
    files
        .file(
            "/etc/httpd/conf.modules.d/20-php.conf",
            "<IfModule prefork.c>\n  LoadModule php_module modules/libphp.so\n</IfModule>\n",
        )
        .file("/usr/sbin/php-fpm", "")
}

/// Adds PHP of RHEL 7: a pair of builds, one of them thread-safe.
fn with_php7(files: Memory) -> Memory {
    files.file(
        "/etc/httpd/conf.modules.d/10-php.conf",
        "<IfModule prefork.c>\n  LoadModule php5_module modules/libphp5.so\n</IfModule>\n\
         <IfModule !prefork.c>\n  LoadModule php5_module modules/libphp5-zts.so\n</IfModule>\n",
    )
}

const ALL: &[Mpm] = &Mpm::ALL;
const NO_WORKER: &[Mpm] = &[Mpm::Event, Mpm::Prefork];

/// Every release.
pub(crate) fn hosts() -> Vec<Host> {
    let os = |id: &str, like: &str, version: &str| {
        format!("NAME=x\nID=\"{id}\"\nID_LIKE=\"{like}\"\nVERSION_ID=\"{version}\"\n")
    };
    let one = |name: &'static str, files: Memory, mpms: &'static [Mpm], evasive: Option<bool>| Host {
        name,
        files: with_programs(files, "/usr/lib64/httpd/modules"),
        mpms,
        switch: SWITCH,
        writes: &[SWITCH, DROP_IN, EVASIVE],
        drop_in: &[DROP_IN],
        evasive,
    };
    let plain = |id: &str, like: &str, version: &str, active| tree(&os(id, like, version), ALL, active);
    let (event, prefork) = (Mpm::Event, Mpm::Prefork);
    vec![
        one(
            "centos7",
            with_evasive(with_php7(plain("centos", "rhel fedora", "7", prefork)), "evasive20_module"),
            ALL,
            Some(false),
        ),
        one("ol7", plain("ol", "", "7.9", prefork), ALL, None),
        one("amzn2", plain("amzn", "centos rhel fedora", "2", prefork), ALL, None),
        one(
            "rhel8",
            with_evasive(with_php8(plain("rhel", "fedora", "8.10", event)), "evasive20_module"),
            ALL,
            Some(false),
        ),
        one("rocky9", plain("rocky", "rhel centos fedora", "9.6", event), ALL, None),
        one("almalinux10", plain("almalinux", "rhel centos fedora", "10.1", event), ALL, None),
        one("amzn2023", plain("amzn", "fedora", "2023", event), ALL, None),
        one("fedora43", with_evasive(plain("fedora", "", "43", event), "evasive_module"), ALL, Some(true)),
        one("fedora44", tree(&os("fedora", "", "44"), NO_WORKER, event), NO_WORKER, None),
    ]
}

fn host(name: &str) -> Host {
    hosts().into_iter().find(|host| host.name == name).unwrap()
}

fn edited(name: &str, path: &str, text: &str) -> Tried {
    let mut tried = Tried::new(&host(name));
    tried.files = tried.files.clone().file(path, text);
    tried
}

#[test]
fn a_file_as_administrators_leave_it_keeps_every_other_byte() {
    let before = "# prefork\r\n#LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\r\n\
                  #LoadModule mpm_event_module modules/mod_mpm_event.so\n\
                  \tLoadModule  mpm_event_module\t/usr/lib64/httpd/modules/mod_mpm_event.so\r\n\
                  <IfModule mpm_event_module>\n  ServerLimit 20\n  MaxRequestsPerChild 1000\n  Mutex default\n\
                  </IfModule>\nListenBacklog 511\n# by hand \u{e9}\n";
    let mut tried = edited("rocky9", SWITCH, before);
    tried.does(&json!({"mpm": "prefork"}));
    let swapped =
        before.replace("#LoadModule mpm_prefork", "LoadModule mpm_prefork").replace("\tLoad", "\t#Load");
    assert_eq!(tried.text(SWITCH), swapped);
    tried.does(&json!({"mpm": "event", "settings": {"server_limit": 16, "max_request_workers": 400}}));
    let text = tried.text(SWITCH);
    assert!(text.starts_with(
        "# prefork\r\n#LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\r\n\
         LoadModule mpm_event_module modules/mod_mpm_event.so\n\t#LoadModule"
    ));
    assert!(
        text.contains(
            "<IfModule mpm_event_module>\n  MaxRequestsPerChild 1000\n  Mutex default\n</IfModule>\n\
             ListenBacklog 511\n# by hand \u{e9}\n# BEGIN"
        ),
        "{text}"
    );
    tried.does(&json!({"state": "absent"}));
    assert_eq!(tried.text(SWITCH), before);
}

#[test]
fn a_file_that_somebody_edited_since_gives_the_mpm_back_and_keeps_the_edit() {
    let mut tried = Tried::new(&host("rocky9"));
    let before = tried.text(SWITCH);
    tried.does(&json!({"mpm": "worker", "settings": {"server_limit": 16, "max_request_workers": 400}}));
    let text = tried.text(SWITCH) + "# mine\n";
    tried.files = tried.files.clone().file(SWITCH, text);
    tried.does(&json!({"state": "absent"}));
    assert_eq!(tried.text(SWITCH), before + "# mine\n");
}

#[test]
fn what_cannot_be_switched_is_refused_with_the_place() {
    let worker = json!({"mpm": "worker"});
    let line = "LoadModule mpm_event_module modules/mod_mpm_event.so\n";
    for (tried, asked, rule, words) in [
        // In another file, whether or not the usual one has an active line too.
        (edited("rhel8", "/etc/httpd/conf.modules.d/01-x.conf", line), &json!({"mpm": "event"}), "", ""),
        (
            {
                let mut tried =
                    edited("rhel8", "/etc/httpd/conf.modules.d/01-x.conf", &format!("# x\n{line}"));
                tried.files = tried.files.file(SWITCH, "# nothing\n");
                tried
            },
            &worker,
            "MOD-009",
            "the event MPM is loaded at /etc/httpd/conf.modules.d/01-x.conf:2",
        ),
        // Two, and none, with no word of which is wanted.
        (
            edited("rhel8", SWITCH, &(line.to_owned() + &line.replace("event", "prefork"))),
            &json!({"keepalive": {"enabled": true}}),
            "MPM-001",
            "more than one MPM is loaded",
        ),
        (
            edited("rhel8", SWITCH, "#x\n"),
            &json!({"keepalive": {"enabled": true}}),
            "MPM-001",
            "no MPM is loaded",
        ),
        // A file that cannot be read as one, and a link in its place.
        (
            {
                let mut tried = edited("rhel8", "/etc/httpd/conf.modules.d/00-mpm.conf", "");
                let managed = Node::Link("../managed/mpm.conf".into());
                tried.files.apply(&[Change::new(SWITCH, Node::Absent, managed)]);
                tried.files = tried.files.file("/etc/httpd/managed/mpm.conf", line);
                tried
            },
            &worker,
            "SYS-002",
            "00-mpm.conf: is a link to ../managed/mpm.conf",
        ),
        // A program that is not there.
        (Tried::new(&host("fedora44")), &worker, "HOST-007", "mod_mpm_worker.so"),
        // PHP changes sides.
        (Tried::new(&host("rhel8")), &json!({"mpm": "prefork"}), "PHP-004", "php-fpm"),
        // mod_evasive that is not there.
        (
            Tried::new(&host("rocky9")),
            &json!({"evasive": {"enabled": true}}),
            "EV-026",
            "install the package",
        ),
    ] {
        if rule.is_empty() {
            tried.does_nothing(asked);
            continue;
        }
        let (found, message) = tried.refuses(asked);
        assert_eq!(found, rule, "{asked}: {message}");
        assert!(message.contains(words), "{asked}: {message}");
    }
    // Said outright, both broken states are fixed.
    for text in [line.to_owned() + &line.replace("event", "prefork"), "#x\n".to_owned()] {
        let mut tried = edited("rocky9", SWITCH, &text);
        assert_eq!(tried.does(&worker).mpm.after, Some(Mpm::Worker), "{text}");
    }
}

#[test]
fn mod_evasive_is_switched_off_by_its_line_and_on_again() {
    let mut tried = Tried::new(&host("rhel8"));
    let before = tried.text(EVASIVE);
    tried.does(&json!({"evasive": {"enabled": false}}));
    assert_eq!(tried.text(EVASIVE), before.replace("LoadModule", "#LoadModule"));
    assert!(!tried.has_evasive());
    tried.does_nothing(&json!({"evasive": {"enabled": false}}));
    let report = tried.does(&json!({"evasive": {"page_count": 5}}));
    assert!(report.findings.iter().any(|finding| finding.rule == "EV-027"));
    tried.does(&json!({"evasive": {"enabled": true, "page_count": 5}}));
    assert!(tried.has_evasive());
    assert!(tried.text(EVASIVE).contains("<IfModule evasive20_module>\n    DOSPageCount             5\n"));
}

#[test]
fn mod_php_goes_with_prefork_only_where_a_php_fpm_is_there_to_take_over() {
    let wished = json!({"mpm": "event", "mod_php": "disable"});
    for (with_fpm, asked, words) in [
        (true, json!({"mpm": "event"}), "set mod_php to disable"),
        (false, wished.clone(), "no php-fpm is installed"),
    ] {
        let mut tried = Tried::new(&host("rhel8"));
        tried.does(&json!({"mpm": "prefork", "waive": ["PHP-004"]}));
        if !with_fpm {
            tried.files.apply(&[Change::new("/usr/sbin/php-fpm", Node::text(""), Node::Absent)]);
        }
        let (rule, message) = tried.refuses(&asked);
        assert!(rule == "PHP-005" && message.contains(words), "{rule}: {message}");
    }
    let mut tried = Tried::new(&host("rhel8"));
    tried.does(&json!({"mpm": "prefork", "waive": ["PHP-004"]}));
    assert_eq!(tried.does(&wished).mpm.after, Some(Mpm::Event));
}

#[test]
fn a_php_module_that_nothing_guards_is_refused_with_its_line() {
    let load = "LoadModule php_module modules/libphp.so\n";
    let mut tried = edited("rocky9", "/etc/httpd/conf.d/own-php.conf", load);
    tried.files = tried.files.file("/usr/lib64/httpd/modules/libphp.so", "");
    let (rule, message) = tried.refuses(&json!({"mpm": "worker"}));
    assert_eq!(rule, "PHP-001", "{message}");
    assert!(message.contains("comment /etc/httpd/conf.d/own-php.conf:1 out"), "{message}");
}

#[test]
fn the_thread_safe_build_of_php_stands_with_a_threaded_mpm() {
    let mut tried = Tried::new(&host("centos7"));
    assert_eq!(tried.does(&json!({"mpm": "event"})).mpm.after, Some(Mpm::Event));
}

#[test]
fn an_instance_reads_its_own_main_file() {
    // The template unit sets the variable.
    let main = MAIN.replace("Listen 80", "Listen 8080\nInclude conf/${HTTPD_INSTANCE}.d/*.conf");
    let tried = edited("rocky9", "/etc/httpd/conf/blue.conf", &main);
    let site = tried.asks(&json!({"instance": "blue"})).host.site;
    assert_eq!(site.arguments(), ["-f", "/etc/httpd/conf/blue.conf"]);
    assert_eq!(site.unit(), "httpd@blue");
    let mut read = tried.clone();
    read.files = read.files.file("/etc/httpd/conf/blue.d/x.conf", "KeepAliveTimeout 11\n");
    let asked = json!({"instance": "blue", "settings": {"max_request_workers": 400}});
    let (rule, message) = read.refuses(&json!({"settings": {"max_request_workers": 400}}));
    assert!(rule == "SYS-007" && message.contains("the instance blue reads"), "{message}");
    // A copy of the main file, which nobody starts, is no server.
    let copy = edited("rocky9", "/etc/httpd/conf/old.conf", MAIN);
    assert!(!copy.asks(&json!({"settings": {"max_request_workers": 400}})).refused());
    let report = read.does(&asked);
    assert_eq!(report.effective["KeepAliveTimeout"].value, "11");
    let (rule, message) = tried.refuses(&json!({"instance": "green"}));
    assert!(rule == "SYS-001" && message.contains("instances here: blue"), "{message}");
}

#[test]
fn the_mpm_stays_when_its_numbers_move_to_the_drop_in() {
    let mut tried = Tried::new(&host("rocky9"));
    let settings = json!({"server_limit": 16, "max_request_workers": 400});
    tried.does(&json!({"mpm": "worker", "settings": settings}));
    let report = tried.does(&json!({"settings": settings, "placement": "drop_in"}));
    assert_eq!(report.mpm.after, Some(Mpm::Worker));
    assert!(!tried.text(SWITCH).contains("ServerLimit"));
}

#[test]
fn a_block_above_the_line_that_loads_its_module_moves_below_it() {
    let mut tried = Tried::new(&host("rocky9"));
    let asked = json!({"settings": {"server_limit": 16, "max_request_workers": 400}});
    let before = tried.text(SWITCH);
    tried.does(&asked);
    let block = tried.text(SWITCH).strip_prefix(&before).unwrap().to_owned();
    tried.files = tried.files.file(SWITCH, format!("{block}{before}"));
    assert_eq!(tried.does(&asked).effective["ServerLimit"].file.as_deref(), Some(SWITCH));
    assert_eq!(tried.text(SWITCH), format!("{before}{block}"));
}

#[test]
fn mod_evasive_counts_clients_where_mod_remoteip_is_loaded_and_told_nothing() {
    let asked = json!({"evasive": {"enabled": true, "page_count": 9}});
    for (name, evasive) in [("centos7", true), ("rhel8", true), ("fedora43", false)] {
        let mut plain = Tried::new(&host(name));
        plain.does(&asked);
        for (line, refused) in [
            ("RemoteIPHeader X-Forwarded-For\n", true),
            ("<VirtualHost *:80>\nRemoteIPHeader X-Client-IP\n</VirtualHost>\n", true),
            ("RemoteIPProxyProtocol On\n", true),
            ("RemoteIPProxyProtocol Off\n", false),
            ("<IfModule none_module>\nRemoteIPHeader X\n</IfModule>\n", false),
        ] {
            let tried = edited(name, "/etc/httpd/conf.d/proxy.conf", line);
            assert_eq!(tried.is_refused(&asked), refused && evasive, "{name} {line}");
        }
    }
}

/// A main file of an instance as the distribution's template has it: modules are shared, `conf.d` is not read.
fn instance(port: u16) -> String {
    MAIN.replace("Listen 80", &format!("PidFile /run/httpd/instance-${{HTTPD_INSTANCE}}.pid\nListen {port}"))
        .replace("IncludeOptional conf.d/*.conf\n", "")
}

#[test]
fn what_other_servers_read_too_is_not_changed_for_an_instance() {
    for name in ["rocky9", "fedora43", "rhel8", "amzn2023"] {
        let mut tried = edited(name, "/etc/httpd/conf/blue.conf", &instance(8081));
        tried.files = tried.files.clone().file("/etc/httpd/conf/green.conf", instance(8082));
        for asked in [
            json!({"instance": "blue", "mpm": "prefork", "waive": ["PHP-004", "PHP-005"]}),
            json!({"instance": "blue", "mpm": "prefork", "settings": {"server_limit": 300, "max_request_workers": 300}, "waive": ["PHP-004", "PHP-005"]}),
        ] {
            let (_, message) = tried.refuses(&asked);
            assert!(message.starts_with("SYS-007"), "{name}: {message}");
            for words in ["the main server reads", "the instance green reads", SWITCH] {
                assert!(message.contains(words), "{name} {words}: {message}");
            }
        }
        if host(name).evasive.is_some() {
            // Its configuration does not read the file of conf.d that loads the module.
            tried.clone().does(&json!({"instance": "blue", "evasive": {"enabled": false}}));
            assert!(tried.is_refused(&json!({"instance": "blue", "evasive": {"enabled": true}})), "{name}");
        }
        // What only the instance reads is written: its numbers and keep-alive, below its own main file.
        let before = tried.clone();
        let asked = json!({
            "instance": "blue", "settings": {"server_limit": 8, "threads_per_child": 25, "max_request_workers": 200},
            "keepalive": {"enabled": true, "timeout": 7}
        });
        let report = tried.does(&asked);
        assert_eq!(
            report.effective["MaxRequestWorkers"].file.as_deref(),
            Some("/etc/httpd/conf/zz-apache-tuning.blue")
        );
        assert_eq!(report.effective["KeepAliveTimeout"].value, "7", "{name}");
        tried.does_nothing(&asked);
        let (main, green) = (tried.asks(&json!({})), tried.asks(&json!({"instance": "green"})));
        for other in [main, green] {
            let values = other.host.values();
            let timeout = values.iter().find(|value| value.directive == "KeepAliveTimeout").unwrap();
            assert_eq!(timeout.value, "5", "{name}");
        }
        tried.does(&json!({"instance": "blue", "state": "absent"}));
        assert_eq!(
            tried.text("/etc/httpd/conf/blue.conf"),
            before.text("/etc/httpd/conf/blue.conf"),
            "{name}"
        );
        assert!(!tried.is_a_file("/etc/httpd/conf/zz-apache-tuning.blue"), "{name}");
        // The main server's numbers have a file that it alone reads; its MPM has none.
        let numbers =
            json!({"settings": {"server_limit": 9, "threads_per_child": 25, "max_request_workers": 225}});
        let (rule, message) = tried.refuses(&numbers);
        assert!(rule == "SYS-007" && message.contains("set placement to drop_in"), "{name}: {message}");
        let mut elsewhere = numbers.clone();
        elsewhere["placement"] = "drop_in".into();
        let report = tried.does(&elsewhere);
        assert_eq!(report.effective["MaxRequestWorkers"].value, "225", "{name}");
        tried.does(&json!({"keepalive": {"enabled": true, "timeout": 9}}));
        let swap = json!({"mpm": "prefork", "placement": "drop_in", "waive": ["PHP-004", "PHP-005"]});
        let (_, message) = tried.refuses(&swap);
        assert!(message.starts_with("SYS-007") && !message.contains("set placement"), "{name}: {message}");
    }
}

#[test]
fn mod_evasive_of_somebodys_own_file_goes_off_and_comes_back() {
    for path in [
        "/etc/httpd/conf.modules.d/99-evasive.conf",
        "/etc/httpd/conf.d/security.conf",
        "/etc/httpd/conf.d/own/e.conf",
    ] {
        let mut tried = edited("rocky9", path, "LoadModule evasive20_module modules/mod_evasive20.so\n");
        tried.files = tried
            .files
            .clone()
            .file("/usr/lib64/httpd/modules/mod_evasive20.so", "DOSPageCount")
            .file("/etc/httpd/conf.d/a.conf", "IncludeOptional conf.d/own/*.conf\n");
        assert!(tried.has_evasive(), "{path}");
        tried.does(&json!({"evasive": {"enabled": false}}));
        assert!(!tried.has_evasive(), "{path}");
        tried.does(&json!({"evasive": {"enabled": true, "page_count": 5}}));
        assert!(tried.has_evasive(), "{path}");
    }
}

#[test]
fn releases_with_httpd_2_2_say_so() {
    for (id, version) in
        [("amzn", "2018.03"), ("amzn", "2017.09"), ("rhel", "6.10"), ("centos", "6"), ("ol", "5.11")]
    {
        let files = Memory::new().file("/etc/os-release", format!("ID={id}\nVERSION_ID={version}\n")).file(
            "/etc/httpd/conf/httpd.conf",
            "Listen 80\nLoadModule authz_host_module modules/mod_authz_host.so\n",
        );
        let mut tried = Tried::new(&host("rocky9"));
        tried.files = files;
        let (rule, message) = tried.refuses(&json!({"mpm": "event"}));
        assert!(rule == "SYS-001" && message.contains("has httpd 2.2"), "{id} {version}: {message}");
    }
}

#[test]
fn numbers_that_would_stand_above_the_line_that_loads_their_mpm_are_refused_once_with_the_way_out() {
    let load = "LoadModule mpm_event_module modules/mod_mpm_event.so\n";
    for (path, text, line) in [
        ("/etc/httpd/conf.modules.d/mpm.conf", format!("{load}ServerLimit 16\nMaxRequestWorkers 400\n"), 1),
        ("/etc/httpd/conf.modules.d/10-site.conf", format!("# ours\n{load}"), 2),
        ("/etc/httpd/conf.d/00-mpm.conf", format!("<IfModule !mpm_event_module>\n{load}</IfModule>\n"), 2),
    ] {
        let mut tried = edited("rocky9", path, &text);
        let off = tried.text(SWITCH).replace("\nLoadModule mpm_event", "\n#LoadModule mpm_event");
        tried.files = tried.files.clone().file(SWITCH, off);
        for (limit, workers) in [(16, 400), (32, 800)] {
            let mut asked =
                json!({"mpm": "event", "settings": {"server_limit": limit, "max_request_workers": workers}});
            let (rule, message) = tried.refuses(&asked);
            assert!(rule == "OVR-001" && message.matches("OVR-001").count() == 1, "{path}: {message}");
            for words in [
                "ServerLimit, ",
                "MaxRequestWorkers",
                SWITCH,
                &format!("at {path}:{line}"),
                "placement to drop_in",
            ] {
                assert!(message.contains(words), "{path} {words}: {message}");
            }
            asked["placement"] = "drop_in".into();
            let report = tried.clone().does(&asked);
            assert_eq!(report.effective["MaxRequestWorkers"].file.as_deref(), Some(DROP_IN), "{path}");
        }
    }
}
