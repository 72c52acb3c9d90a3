//! How the server is started decides what its files mean: options, main file and further files in every place that the
//! families' start scripts read.

use apache_tuning::report::Severity;
use serde_json::json;

use crate::tried::{Host, Tried};

/// A host by its name, with files added or replaced.
fn host(name: &str, files: &[(&str, &str)]) -> Tried {
    let host: Host = crate::hosts().into_iter().find(|host| host.name == name).unwrap();
    let mut tried = Tried::new(&host);
    for (path, text) in files {
        // What is there in Debian's file stays; the others are whole.
        let before = if *path == "/etc/apache2/envvars" { tried.text(path) } else { String::new() };
        tried.files = tried.files.file(*path, before + text);
    }
    tried
}

/// What a later file says where a name is given with `-D`.
const LATER: &str = "<IfDefine TUNE>\n    KeepAliveTimeout 60\n</IfDefine>\n";

/// A tree, the file that is read last on it, and the start files that give the name.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const EL_UNIT: (&str, &str) = (
    "/usr/lib/systemd/system/httpd.service",
    "[Service]\nType=notify\nEnvironment=LANG=C\nExecStart=/usr/sbin/httpd $OPTIONS -DFOREGROUND\n",
);
const EL7_UNIT: (&str, &str) = (
    "/usr/lib/systemd/system/httpd.service",
    "[Service]\nType=notify\nEnvironmentFile=/etc/sysconfig/httpd\nExecStart=/usr/sbin/httpd $OPTIONS -DFOREGROUND\n",
);

const GIVEN: &[Row] = &[
    (
        "debian12",
        "/etc/apache2/conf-enabled/zzz.conf",
        &[("/etc/apache2/envvars", "export APACHE_ARGUMENTS='-D TUNE'\n")],
    ),
    (
        "debian12",
        "/etc/apache2/conf-enabled/zzz.conf",
        &[("/etc/apache2/envvars", "APACHE_ARGUMENTS=\"-DSSL -DTUNE\"\n")],
    ),
    (
        "debian12",
        "/etc/apache2/conf-enabled/zzz.conf",
        &[
            (
                "/etc/apache2/envvars",
                "for f in /etc/apache2/envvars.d/*.sh; do [ -r \"$f\" ] && . \"$f\"; done\n",
            ),
            ("/etc/apache2/envvars.d/10-a.sh", "APACHE_ARGUMENTS=\"${APACHE_ARGUMENTS:-} -D TUNE\"\n"),
        ],
    ),
    (
        "ubuntu24.04",
        "/etc/apache2/conf-enabled/zzz.conf",
        &[
            ("/usr/lib/systemd/system/apache2.service", "[Service]\nExecStart=/usr/sbin/apachectl start\n"),
            (
                "/etc/systemd/system/apache2.service.d/o.conf",
                "[Service]\nEnvironment=\"APACHE_ARGUMENTS=-D TUNE\"\n",
            ),
        ],
    ),
    (
        "rocky9",
        "/etc/httpd/conf.d/zzz.conf",
        &[
            EL_UNIT,
            ("/etc/systemd/system/httpd.service.d/override.conf", "[Service]\nEnvironment=OPTIONS=-DTUNE\n"),
        ],
    ),
    (
        "rhel8",
        "/etc/httpd/conf.d/zzz.conf",
        &[
            EL_UNIT,
            (
                "/etc/systemd/system/httpd.service.d/a.conf",
                "[Service]\nEnvironmentFile=-/etc/sysconfig/httpd\n",
            ),
            ("/etc/sysconfig/httpd", "OPTIONS=\"-D SSL -D TUNE\"\n"),
        ],
    ),
    (
        "fedora43",
        "/etc/httpd/conf.d/zzz.conf",
        &[
            EL_UNIT,
            (
                "/etc/systemd/system/httpd.service.d/z.conf",
                "[Service]\nExecStart=\nExecStart=/usr/sbin/httpd -D TUNE -DFOREGROUND\n",
            ),
        ],
    ),
    (
        "centos7",
        "/etc/httpd/conf.d/zzz.conf",
        &[EL7_UNIT, ("/etc/sysconfig/httpd", "OPTIONS=\"-D TUNE\"\nLANG=C\n")],
    ),
    ("centos7", "/etc/httpd/conf.d/zzz.conf", &[("/etc/sysconfig/httpd", "OPTIONS=-DTUNE\n")]),
    (
        "leap15.6",
        "/etc/apache2/conf.d/zzz.conf",
        &[("/etc/sysconfig/apache2", "APACHE_MPM=event\nAPACHE_SERVER_FLAGS=\"SSL TUNE\"\n")],
    ),
    (
        "leap15.6",
        "/etc/apache2/conf.d/zzz.conf",
        &[("/etc/sysconfig/apache2", "APACHE_MPM=event\nAPACHE_SERVER_FLAGS=\"-D TUNE\"\n")],
    ),
    ("alpine3.22", "/etc/apache2/conf.d/zzz.conf", &[("/etc/conf.d/apache2", "HTTPD_OPTS=\"-D TUNE\"\n")]),
    (
        "alpine3.20",
        "/etc/apache2/conf.d/zzz.conf",
        &[("/etc/conf.d/apache2", "A=-DTUNE\nHTTPD_OPTS=\"$A -DSSL\"\n")],
    ),
    (
        "gentoo",
        "/etc/apache2/modules.d/zzz.conf",
        &[("/etc/conf.d/apache2", "APACHE2_OPTS=\"-D EVASIVE\"\nAPACHE2_OPTS=\"${APACHE2_OPTS} -D TUNE\"\n")],
    ),
    (
        "freebsd",
        "/usr/local/etc/apache24/Includes/zzz.conf",
        &[("/etc/rc.conf", "apache24_enable=YES\napache24_flags=\"-D TUNE\"\n")],
    ),
    (
        "freebsd",
        "/usr/local/etc/apache24/Includes/zzz.conf",
        &[("/etc/rc.conf.d/apache24", "apache24_flags=-DTUNE\n")],
    ),
];

#[test]
fn names_given_with_d_count_wherever_they_are_given() {
    let asked = json!({"keepalive": {"enabled": true, "timeout": 7}});
    for (name, later, files) in GIVEN {
        let mut tried = host(name, files);
        tried.files = tried.files.file(*later, LATER);
        let (rule, message) = tried.refuses(&asked);
        assert_eq!(rule, "OVR-001", "{name} {files:?}: {message}");
        assert!(
            message.contains(&format!("KeepAliveTimeout 60 at {later}:2")),
            "{name} {files:?}: {message}"
        );
        // Without the name the same task is done.
        let without: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (*path, text.replace("TUNE", "OTHER"))).collect();
        let without: Vec<(&str, &str)> = without.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let mut tried = host(name, &without);
        tried.files = tried.files.file(*later, LATER);
        assert_eq!(tried.does(&asked).effective["KeepAliveTimeout"].value, "7", "{name} {files:?}");
    }
}

#[test]
fn the_main_file_is_the_one_that_the_start_files_name() {
    let suse = |text: &str| format!("APACHE_MPM=event\n{text}\n");
    let main = "Include /etc/apache2/uid.conf\nInclude /etc/apache2/server-tuning.conf\nInclude /etc/apache2/listen.conf\n\
        IncludeOptional /etc/apache2/conf.d/*.conf\nKeepAliveTimeout 63\n";
    for (name, start, text, file) in [
        (
            "leap15.6",
            "/etc/sysconfig/apache2",
            suse("APACHE_HTTPD_CONF=/etc/apache2/my.conf"),
            "/etc/apache2/my.conf",
        ),
        (
            "tumbleweed",
            "/etc/sysconfig/apache2",
            suse("D=/etc/apache2\nAPACHE_HTTPD_CONF=\"$D/own.conf\""),
            "/etc/apache2/own.conf",
        ),
        (
            "alpine3.22",
            "/etc/conf.d/apache2",
            "CONFIGFILE=/etc/apache2/my.conf\n".to_owned(),
            "/etc/apache2/my.conf",
        ),
        (
            "alpine3.20",
            "/etc/conf.d/apache2",
            "SERVERROOT=/srv\nCONFIGFILE=conf/my.conf\n".to_owned(),
            "/srv/conf/my.conf",
        ),
    ] {
        let own = if name.starts_with("alpine") {
            "ServerRoot /var/www\nListen 80\nLoadModule mpm_event_module modules/mod_mpm_event.so\n\
             IncludeOptional /etc/apache2/conf.d/*.conf\nKeepAliveTimeout 63\n"
        } else {
            main
        };
        let tried = host(name, &[(start, &text), (file, own)]);
        let evaluation = tried.asks(&json!({}));
        assert_eq!(evaluation.host.site.main_file().to_str(), Some(file), "{name}");
        assert!(evaluation.launch.arguments().join(" ").contains(&format!("-f {file}")), "{name}");
        let (rule, message) = tried.refuses(&json!({"keepalive": {"enabled": true, "timeout": 7}}));
        assert!(
            rule == "OVR-001" && message.contains(&format!("KeepAliveTimeout 63 at {file}:")),
            "{name}: {message}"
        );
    }
}

#[test]
fn what_suse_has_read_last_is_a_pattern_a_directory_or_a_file() {
    for (words, file) in [
        ("APACHE_CONF_INCLUDE_DIRS=\"local/*.conf\"", "/etc/apache2/local/site.conf"),
        ("APACHE_CONF_INCLUDE_DIRS=\"/etc/apache2/my_conf/\"", "/etc/apache2/my_conf/site"),
        ("APACHE_CONF_INCLUDE_DIRS=\"/etc/apache2/deep\"", "/etc/apache2/deep/a/b/c.txt"),
        ("APACHE_CONF_INCLUDE_FILES=\"gone.conf last.conf\"", "/etc/apache2/last.conf"),
    ] {
        let tried = host(
            "leap15.6",
            &[
                ("/etc/sysconfig/apache2", &format!("APACHE_MPM=event\n{words}\n")),
                (file, "KeepAliveTimeout 60\n"),
            ],
        );
        let (rule, message) = tried.refuses(&json!({"keepalive": {"enabled": true, "timeout": 7}}));
        assert!(rule == "OVR-001" && message.contains(&format!("{file}:1")), "{words}: {message}");
    }
    // A word that leads nowhere is left out, as the script leaves it out.
    let mut tried = host(
        "leap15.6",
        &[
            (
                "/etc/sysconfig/apache2",
                "APACHE_MPM=event\nAPACHE_CONF_INCLUDE_DIRS=\"gone/*.conf local/*.conf\"\n",
            ),
            ("/etc/apache2/local/site.conf", "Timeout 60\n"),
        ],
    );
    tried.does(&json!({"keepalive": {"enabled": true, "timeout": 7}}));
}

#[test]
fn what_is_given_when_the_server_is_started_is_not_known_and_refuses_nothing() {
    let numbers = "KeepAlive ${KEEP_ALIVE}\nKeepAliveTimeout ${KEEP_TIMEOUT}\nMaxRequestWorkers ${WORKERS}\n";
    let asked = json!({"keepalive": {"max_requests": 50}});
    for envvars in [
        ". /run/secrets/of-the-image\n",
        "eval \"$(/usr/bin/site-settings)\"\n",
        "export KEEP_ALIVE=$(a) KEEP_TIMEOUT=`b` WORKERS=$(nproc)0\n",
    ] {
        let mut tried = host(
            "debian12",
            &[("/etc/apache2/envvars", envvars), ("/etc/apache2/conf-enabled/aaa.conf", numbers)],
        );
        let report = tried.does(&asked);
        assert!(
            report.findings.iter().all(|finding| finding.severity != Severity::Error),
            "{envvars}: {:?}",
            report.findings
        );
        let told: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.rule == "GRM-004")
            .map(|finding| finding.message.as_str())
            .collect();
        assert_eq!(told.len(), 3, "{envvars}: {told:?}");
        assert!(told.iter().all(|message| message.contains("not known here")), "{told:?}");
    }
    // A name that nothing may set is not defined.
    let tried = host("debian12", &[("/etc/apache2/conf-enabled/aaa.conf", numbers)]);
    let (_, message) = tried.refuses(&asked);
    assert!(message.contains("KA-001") || message.contains("KA-012"), "{message}");
}
