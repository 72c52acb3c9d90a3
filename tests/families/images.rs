//! httpd where images have it: below a directory of its own, whatever distribution is around it.
//!
//! Known from: the official image of httpd, whose files are those of `make install`, and bitnami's. The words are this
//! project's own.

use apache_tuning::httpd::Mpm;
use apache_tuning::tree::Memory;
use serde_json::json;

use crate::tried::{Host, Tried, with_programs};

fn image(name: &'static str, os: &str, home: &str) -> Host {
    let loads: String = [("event", ""), ("prefork", "#"), ("worker", "#")]
        .map(|(mpm, hash)| format!("{hash}LoadModule mpm_{mpm}_module modules/mod_mpm_{mpm}.so\n"))
        .concat();
    let main = format!(
        "ServerRoot \"{home}\"\nListen 80\n{loads}LoadModule authz_core_module modules/mod_authz_core.so\n\
         LoadModule unixd_module modules/mod_unixd.so\nUser daemon\nGroup daemon\n\
         #Include conf/extra/httpd-mpm.conf\n#Include conf/extra/httpd-default.conf\n"
    );
    let files = Memory::new()
        .file("/etc/os-release", os)
        .file(format!("{home}/conf/httpd.conf"), main)
        .file(format!("{home}/conf/extra/httpd-mpm.conf"), "MaxMemFree 2048\n")
        .file(format!("{home}/bin/httpd"), "Apache/2.4.66\0");
    Host {
        name,
        files: with_programs(files, &format!("{home}/modules")),
        mpms: &Mpm::ALL,
        switch: "",
        writes: &[],
        drop_in: &[],
        evasive: None,
    }
}

#[test]
fn an_image_is_tuned_in_its_own_home_and_given_back_to_the_byte() {
    for (name, os, home) in [
        ("official on debian", "ID=debian\nVERSION_ID=\"13\"\n", "/usr/local/apache2"),
        ("official on alpine", "ID=alpine\nVERSION_ID=3.22.0\n", "/usr/local/apache2"),
        ("bitnami", "ID=debian\nVERSION_ID=\"12\"\n", "/opt/bitnami/apache"),
        ("bitnami on photon", "ID=photon\nVERSION_ID=5.0\n", "/opt/bitnami/apache"),
    ] {
        let host = image(name, os, home);
        for mpm in Mpm::ALL {
            let mut tried = Tried::new(&host);
            let asked = host.wishes(mpm);
            let report = tried.does(&asked);
            assert_eq!(report.mpm.after, Some(mpm), "{name}");
            for (directive, value) in host.expected(mpm) {
                assert_eq!(report.effective[directive].value, value, "{name} {mpm} {directive}");
            }
            let (main, own) =
                (format!("{home}/conf/httpd.conf"), format!("{home}/conf/extra/zz-apache-tuning.conf"));
            tried.only_these_changed(&[&main, &own]);
            tried.does_nothing(&asked);
            tried.does(&json!({"state": "absent"}));
            tried.is_as_at_first();
        }
    }
}

#[test]
fn an_apache_of_another_home_is_named_and_no_package_is_asked_for() {
    for (main, whose) in [
        ("/opt/rh/httpd24/root/etc/httpd/conf/httpd.conf", "httpd24"),
        ("/opt/lampp/etc/httpd.conf", "XAMPP"),
        ("/www/server/apache/conf/httpd.conf", "aaPanel"),
        ("/usr/local/apache/conf/httpd.conf", "a build of its own"),
        ("/usr/local/apache2/conf/httpd.conf", "the official image"),
        ("/opt/bitnami/apache/conf/httpd.conf", "bitnami"),
    ] {
        for os in ["ID=debian\n", "ID=rocky\nVERSION_ID=9\n", "ID=alpine\n"] {
            let mut tried = Tried::new(&image("none", os, "/nowhere"));
            tried.files = Memory::new().file("/etc/os-release", os).file(main, "Listen 80\n");
            let (rule, message) = tried.refuses(&json!({"mpm": "event"}));
            assert!(rule == "SYS-001" && message.contains(whose) && message.contains(main), "{message}");
            assert!(!message.contains("install"), "{message}");
        }
    }
}
