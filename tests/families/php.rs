//! PHP where the distribution has no way from mod_php to php-fpm, and where its module was built by hand.

use apache_tuning::tree::{Change, Node};
use serde_json::json;

use crate::tried::{Host, Tried};
use crate::{debian, lines, suse};

fn named(hosts: Vec<Host>, name: &str) -> Tried {
    Tried::new(&hosts.into_iter().find(|host| host.name == name).unwrap())
}

/// A host under prefork with mod_php, the file with the lines of PHP, and the text that loads the module.
fn with_mod_php(name: &str) -> (Tried, &'static str, &'static str) {
    let (hosts, path, load, handler): (_, _, &'static str, _) = match name {
        "alpine3.22" => (
            lines::hosts(),
            "/etc/apache2/conf.d/php83-module.conf",
            "LoadModule php_module modules/mod_php83.so\n",
            "<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n",
        ),
        "arch" => (
            lines::hosts(),
            "/etc/httpd/conf/extra/php_module.conf",
            "LoadModule php_module modules/libphp.so\n",
            "AddHandler php-script .php\n",
        ),
        "freebsd" => (
            lines::hosts(),
            "/usr/local/etc/apache24/modules.d/260_php.conf",
            "LoadModule php_module libexec/apache24/libphp.so\n",
            "AddType application/x-httpd-php .php\n",
        ),
        _ => (
            suse::hosts(),
            "/etc/apache2/conf.d/mod_php8.conf",
            "APACHE_MODULES",
            "<IfModule mod_dir.c>\n</IfModule>\n<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n",
        ),
    };
    let mut tried = named(hosts, name);
    tried.does(&json!({"mpm": "prefork"}));
    let mut files = tried.files.clone();
    if load == "APACHE_MODULES" {
        let variables =
            tried.text("/etc/sysconfig/apache2").replace("APACHE_MODULES=\"", "APACHE_MODULES=\"php8 ");
        files = files
            .file("/etc/sysconfig/apache2", variables)
            .file("/usr/lib64/apache2/mod_php8.so", "")
            .file(path, handler);
    } else {
        let program = load.trim().rsplit('/').next().unwrap();
        for dir in ["/usr/lib/apache2", "/usr/lib/httpd/modules", "/usr/local/libexec/apache24"] {
            files = files.file(format!("{dir}/{program}"), "");
        }
        files = files.file(path, format!("{load}{handler}"));
    }
    if name == "arch" {
        let main = tried.text("/etc/httpd/conf/httpd.conf") + "Include conf/extra/php_module.conf\n";
        files = files.file("/etc/httpd/conf/httpd.conf", main);
    }
    tried.files = files;
    (tried, path, load)
}

#[test]
fn where_mod_php_is_not_taken_out_it_is_said_and_a_handler_without_php_is_refused() {
    for name in ["alpine3.22", "arch", "freebsd", "leap15.6"] {
        let (mut tried, path, load) = with_mod_php(name);
        for (mod_php, said) in [("disable", true), ("refuse", false)] {
            let asked = json!({"mpm": "event", "mod_php": mod_php});
            let (rule, message) = tried.refuses(&asked);
            assert_eq!(rule, "PHP-001", "{name}: {message}");
            let words = if load == "APACHE_MODULES" { "take php8 out of" } else { path };
            assert!(
                message.contains(words) && message.contains("have php-fpm serve PHP"),
                "{name}: {message}"
            );
            assert_eq!(message.contains("mod_php: disable does not"), said, "{name}: {message}");
            assert!(!message.contains("set mod_php to disable"), "{name}: {message}");
        }
        // Half of what was told: the module is gone, its handler is not.
        let (file, off, none) = if load == "APACHE_MODULES" {
            let text = tried.text("/etc/sysconfig/apache2");
            ("/etc/sysconfig/apache2", text.replace("php8 ", ""), "# nothing\n".to_owned())
        } else {
            let text = tried.text(path);
            (path, text.replace(load, &format!("#{load}")), "# nothing\n".to_owned())
        };
        tried.files = tried.files.clone().file(file, &off);
        let asked = json!({"mpm": "event"});
        let (rule, message) = tried.refuses(&asked);
        assert!(rule == "PHP-003" && message.contains(path), "{name}: {rule} {message}");
        // A task that is not about PHP is told of it, and done.
        let report = tried.clone().does(&json!({"keepalive": {"enabled": true, "timeout": 4}}));
        assert!(report.findings.iter().any(|one| one.rule == "PHP-003"), "{name}");
        let mut served = tried.clone();
        let proxy = "<FilesMatch \\.php$>\nSetHandler \"proxy:unix:/run/php-fpm/www.sock|fcgi://localhost\"\n</FilesMatch>\n";
        served.files = served.files.clone().file(path, tried.text(path) + proxy);
        served.does(&asked);
        tried.files = tried.files.clone().file(path, none);
        tried.does(&asked);
    }
}

#[test]
fn a_php_module_of_debian_without_a_version_goes_to_the_newest_php_fpm_or_stays() {
    let available = "/etc/apache2";
    for (fpms, taken) in [(&["8.2"][..], Some("8.2")), (&["8.4", "7.4", "8.10"], Some("8.10")), (&[], None)] {
        let mut tried = named(debian::hosts(), "debian12");
        tried.does(&json!({"mpm": "prefork"}));
        let mut files = tried
            .files
            .clone()
            // As `make install` of PHP writes it.
            .file(
                format!("{available}/mods-available/php.load"),
                "LoadModule php_module /usr/lib/apache2/modules/libphp.so\n",
            )
            .link(format!("{available}/mods-enabled/php.load"), "../mods-available/php.load")
            .file("/usr/lib/apache2/modules/libphp.so", "")
            .file(
                "/etc/apache2/conf-available/docker-php.conf",
                "<FilesMatch \\.php$>\nSetHandler application/x-httpd-php\n</FilesMatch>\n",
            )
            .link("/etc/apache2/conf-enabled/docker-php.conf", "../conf-available/docker-php.conf");
        for module in ["proxy", "proxy_fcgi", "setenvif"] {
            let depends = if module == "proxy_fcgi" { "# Depends: proxy\n" } else { "" };
            files = files
                .file(
                    format!("{available}/mods-available/{module}.load"),
                    format!("{depends}LoadModule {module}_module /usr/lib/apache2/modules/mod_{module}.so\n"),
                )
                .file(format!("/usr/lib/apache2/modules/mod_{module}.so"), "");
        }
        for version in fpms {
            files = files.file(format!("/usr/sbin/php-fpm{version}"), "").file(
                format!("{available}/conf-available/php{version}-fpm.conf"),
                format!("<FilesMatch \\.php$>\nSetHandler \"proxy:unix:/run/php/php{version}-fpm.sock|fcgi://localhost\"\n</FilesMatch>\n"),
            );
        }
        tried.files = files;
        let (rule, message) = tried.refuses(&json!({"mpm": "event"}));
        assert!(rule == "PHP-001" && message.contains("set mod_php: disable"), "{fpms:?}: {message}");
        let asked = json!({"mpm": "event", "mod_php": "disable"});
        let Some(version) = taken else {
            let (rule, message) = tried.refuses(&asked);
            assert!(rule == "PHP-003" && !message.contains("set mod_php"), "{message}");
            continue;
        };
        tried.does(&asked);
        assert!(tried.is_a_file(&format!("{available}/conf-enabled/php{version}-fpm.conf")), "{fpms:?}");
        assert!(!tried.is_a_file(&format!("{available}/mods-enabled/php.load")), "{fpms:?}");
        tried.does_nothing(&asked);
        // A snippet that is no longer there: what nobody serves is not taken for served.
        let snippet = format!("{available}/conf-available/php{version}-fpm.conf");
        let text = tried.text(&snippet);
        tried.files.apply(&[Change::new(&*snippet, Node::text(text), Node::text("# none\n"))]);
        let (rule, message) = tried.refuses(&json!({"mpm": "worker"}));
        assert_eq!(rule, "PHP-003", "{message}");
    }
}
