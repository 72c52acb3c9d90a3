//! Families whose MPM is chosen in the main file itself, and Gentoo's, which builds it in.
//!
//! Known from: Alpine's aports (main/apache2 with its patches), Arch's httpd.conf as its users keep it, FreeBSD's
//! ports (www/apache24), Gentoo's apache-tools and users' copies, and the httpd-mpm.conf of Apache httpd, which the
//! first two ship. The words are this project's own.

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::Memory;
use serde_json::json;

use crate::tried::{Host, Tried, with_programs};

/// The lines of the MPMs, in the order event, prefork, worker.
fn loads(active: Mpm, dir: &str) -> String {
    [Mpm::Event, Mpm::Prefork, Mpm::Worker]
        .map(|mpm| {
            let hash = if mpm == active { "" } else { "#" };
            format!("{hash}LoadModule mpm_{mpm}_module {dir}/mod_mpm_{mpm}.so\n")
        })
        .concat()
}

/// The numbers as Apache httpd ships them beside its main file.
fn numbers() -> String {
    let threads = |mpm: &str| {
        format!(
            "<IfModule mpm_{mpm}_module>\n    StartServers 3\n    MinSpareThreads 75\n    MaxSpareThreads 250\n    \
             ThreadsPerChild 25\n    MaxRequestWorkers 400\n    MaxConnectionsPerChild 0\n</IfModule>\n"
        )
    };
    format!(
        "<IfModule mpm_prefork_module>\n    StartServers 5\n    MinSpareServers 5\n    MaxSpareServers 10\n    \
         MaxRequestWorkers 250\n    MaxConnectionsPerChild 0\n</IfModule>\n{}{}\
         <IfModule !mpm_netware_module>\n    MaxMemFree 2048\n</IfModule>\n",
        threads("worker"),
        threads("event")
    )
}

const DEFAULT: &str = "Timeout 60\nKeepAlive On\nMaxKeepAliveRequests 100\nKeepAliveTimeout 5\n";

fn arch() -> Host {
    let main = format!(
        "ServerRoot \"/etc/httpd\"\nListen 80\n{}LoadModule authz_core_module modules/mod_authz_core.so\n\
         #LoadModule evasive20_module modules/mod_evasive20.so\n\
         Include conf/extra/httpd-mpm.conf\nInclude conf/extra/httpd-default.conf\n#Include conf/extra/httpd-ssl.conf\n",
        loads(Mpm::Event, "modules")
    );
    let files = Memory::new()
        .file("/etc/os-release", "ID=arch\n")
        .file("/etc/httpd/conf/httpd.conf", main)
        .file("/etc/httpd/conf/extra/httpd-mpm.conf", numbers())
        .file("/etc/httpd/conf/extra/httpd-default.conf", DEFAULT)
        .link("/etc/httpd/modules", "/usr/lib/httpd/modules");
    Host {
        name: "arch",
        files: with_programs(files, "/usr/lib/httpd/modules"),
        mpms: &Mpm::ALL,
        switch: "/etc/httpd/conf/httpd.conf",
        writes: &[
            "/etc/httpd/conf/httpd.conf",
            "/etc/httpd/conf/extra/httpd-mpm.conf",
            "/etc/httpd/conf/extra/zz-apache-tuning.conf",
        ],
        drop_in: &["/etc/httpd/conf/httpd.conf", "/etc/httpd/conf/extra/zz-apache-tuning.conf"],
        evasive: Some(false),
    }
}

fn alpine(name: &'static str, version: &str) -> Host {
    let main = format!(
        "ServerRoot /var/www\nListen 80\n{}LoadModule authz_core_module modules/mod_authz_core.so\n\
         IncludeOptional /etc/apache2/conf.d/*.conf\n",
        loads(Mpm::Prefork, "modules")
    );
    let files = Memory::new()
        .file("/etc/os-release", format!("ID=alpine\nVERSION_ID={version}\n"))
        .file("/etc/alpine-release", version)
        .file("/etc/apache2/httpd.conf", main)
        .file("/etc/apache2/conf.d/default.conf", DEFAULT)
        .file("/etc/apache2/conf.d/mpm.conf", numbers())
        .link("/var/www/modules", "/usr/lib/apache2");
    Host {
        name,
        files: with_programs(files, "/usr/lib/apache2"),
        mpms: &Mpm::ALL,
        switch: "/etc/apache2/httpd.conf",
        writes: &[
            "/etc/apache2/httpd.conf",
            "/etc/apache2/conf.d/mpm.conf",
            "/etc/apache2/conf.d/zz-apache-tuning.conf",
        ],
        drop_in: &["/etc/apache2/conf.d/zz-apache-tuning.conf"],
        evasive: None,
    }
}

fn freebsd() -> Host {
    let main = format!(
        "ServerRoot \"/usr/local\"\nListen 80\n{}IncludeOptional etc/apache24/modules.d/[0-9][0-9][0-9]_*.conf\n\
         #Include etc/apache24/extra/httpd-mpm.conf\nInclude etc/apache24/Includes/*.conf\n",
        loads(Mpm::Prefork, "libexec/apache24")
    );
    let files = Memory::new()
        .file("/etc/os-release", "ID=freebsd\nVERSION_ID=14.3\n")
        .file("/usr/local/etc/apache24/httpd.conf", main)
        .file("/usr/local/etc/apache24/extra/httpd-mpm.conf", numbers())
        .file("/usr/local/etc/apache24/Includes/no-accf.conf", "# x\n")
        .file(
            "/usr/local/etc/apache24/modules.d/270_mod_evasive.conf",
            "LoadModule evasive_module libexec/apache24/mod_evasive.so\n",
        );
    Host {
        name: "freebsd",
        files: with_programs(files, "/usr/local/libexec/apache24"),
        mpms: &Mpm::ALL,
        switch: "/usr/local/etc/apache24/httpd.conf",
        writes: &[
            "/usr/local/etc/apache24/httpd.conf",
            "/usr/local/etc/apache24/Includes/zz-apache-tuning.conf",
        ],
        drop_in: &["/usr/local/etc/apache24/Includes/zz-apache-tuning.conf"],
        evasive: Some(true),
    }
}

fn gentoo() -> Host {
    let files = Memory::new()
        .file("/etc/os-release", "ID=gentoo\n")
        .file("/etc/gentoo-release", "Gentoo Base System release 2.18\n")
        .file("/etc/conf.d/apache2", "APACHE2_OPTS=\"-D DEFAULT_VHOST -D EVASIVE\"\n")
        .file("/var/db/pkg/www-servers/apache-2.4.66/USE", "ssl apache2_mpms_event threads\n")
        .file(
            "/etc/apache2/httpd.conf",
            "ServerRoot \"/usr/lib64/apache2\"\nInclude /etc/apache2/modules.d/*.conf\n",
        )
        .file("/etc/apache2/modules.d/00_mpm.conf", numbers())
        .file("/etc/apache2/modules.d/00_default_settings.conf", DEFAULT)
        .file(
            "/etc/apache2/modules.d/10_mod_evasive.conf",
            "<IfDefine EVASIVE>\nLoadModule evasive_module modules/mod_evasive.so\n</IfDefine>\n",
        );
    Host {
        name: "gentoo",
        files: with_programs(files, "/usr/lib64/apache2/modules"),
        mpms: &[Mpm::Event],
        switch: "",
        writes: &[
            "/etc/apache2/modules.d/00_mpm.conf",
            "/etc/apache2/modules.d/10_mod_evasive.conf",
            "/etc/apache2/modules.d/zz-apache-tuning.conf",
        ],
        drop_in: &["/etc/apache2/modules.d/zz-apache-tuning.conf"],
        evasive: Some(true),
    }
}

/// Every tree.
pub(crate) fn hosts() -> Vec<Host> {
    vec![arch(), alpine("alpine3.20", "3.20.3"), alpine("alpine3.22", "3.22.0"), freebsd(), gentoo()]
}

#[test]
fn what_is_built_in_is_only_reported() {
    let tried = Tried::new(&gentoo());
    let (rule, message) = tried.refuses(&json!({"mpm": "prefork"}));
    assert!(rule == "MOD-010" && message.contains("event, in this case"), "{message}");
    assert!(message.contains("APACHE2_MPMS=\"prefork\""), "{message}");
    let (rule, message) = tried.refuses(&json!({"evasive": {"enabled": false}}));
    assert!(rule == "MOD-010" && message.contains("take -D EVASIVE out of APACHE2_OPTS"), "{message}");
    tried.does_nothing(&json!({"mpm": "event"}));
    // The binary says it too, where the record of the package is gone.
    let mut tried = Tried::new(&gentoo());
    tried.files = tried.files.file("/var/db/pkg/www-servers/apache-2.4.66/USE", "");
    let (_, message) = tried.refuses(&json!({"mpm": "worker"}));
    assert!(message.contains("could not be read"), "{message}");
    tried.files = tried.files.file("/usr/sbin/apache2", b"\x7fELF\0mod_so.c\0worker.c\0Apache/2.4.66\0");
    tried.does_nothing(&json!({"mpm": "worker"}));
}

#[test]
fn an_include_of_the_drop_in_comes_last_once_and_goes_with_it() {
    let mut tried = Tried::new(&arch());
    let before = tried.text("/etc/httpd/conf/httpd.conf");
    tried.does(&json!({"keepalive": {"enabled": true, "timeout": 9}}));
    tried.does(&json!({"keepalive": {"enabled": true, "timeout": 8}}));
    let after = tried.text("/etc/httpd/conf/httpd.conf");
    assert!(after.starts_with(&before) && after.matches("zz-apache-tuning").count() == 1, "{after}");
    tried.does(&json!({"state": "absent"}));
    tried.is_as_at_first();
}

#[test]
fn two_families_with_one_main_file_are_told_apart() {
    for (host, other) in [(arch(), "rocky"), (alpine("alpine", "3.22"), "sles"), (gentoo(), "alpine")] {
        let mut tried = Tried::new(&host);
        assert_eq!(tried.asks(&json!({})).host.site.layout.name, host.name);
        // What os-release says and what is on disk differ.
        tried.files = tried.files.file("/etc/os-release", format!("ID={other}\n"));
        let (rule, message) = tried.refuses(&json!({}));
        assert!(rule == "SYS-001" && message.contains("laid out as on"), "{}: {message}", host.name);
        // With nothing to go by but the disk.
        tried.files = tried.files.file("/etc/os-release", "");
        assert_eq!(tried.asks(&json!({})).host.site.layout.name, host.name);
        let told = json!({"facts": {"distribution": host.name}});
        assert_eq!(tried.asks(&told).host.site.layout.name, host.name);
    }
}

#[test]
fn a_family_whose_further_servers_are_not_managed_says_so() {
    let layout = |host: &Host| Tried::new(host).asks(&json!({})).host.site.layout.name;
    for host in hosts() {
        let (rule, message) =
            Tried::new(&host).refuses(&json!({"instance": "blue", "keepalive": {"enabled": true}}));
        let words = format!("further servers of the family {} are not managed", layout(&host));
        assert!(rule == "SYS-001" && message.contains(&words), "{}: {message}", host.name);
        assert!(message.contains("leave out instance"), "{}: {message}", host.name);
    }
}
