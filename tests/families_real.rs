//! The real httpd in the layouts of other families: Debian's binary and modules stand where those distributions have
//! theirs, and it reads what this program makes of their files.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_hosts::Host;

const PROGRAM: &str = env!("CARGO_BIN_EXE_apache-tuning");

/// A family's layout, laid over a Debian host.
struct Layout {
    name: &'static str,
    os_release: &'static str,
    /// The main file; the binary's own, Debian's, becomes a link to it.
    main: &'static str,
    binary: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// Where `modules` leads from.
    modules: Option<&'static str>,
    evasive: bool,
}

/// What every main file here begins with.
const COMMON: &str = "\
ServerName localhost
Listen 80
User www-data
Group www-data
DefaultRuntimeDir /run/httpd
PidFile /run/httpd/httpd.pid
ErrorLog /var/log/httpd/error_log
DocumentRoot /var/www/html
<IfModule !authz_core_module>
    LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
</IfModule>
";

const LOADS: &str = "\
LoadModule mpm_event_module modules/mod_mpm_event.so
#LoadModule mpm_prefork_module modules/mod_mpm_prefork.so
#LoadModule mpm_worker_module modules/mod_mpm_worker.so
";

const NUMBERS: &str = "\
<IfModule mpm_prefork_module>
    MinSpareServers 5
    MaxRequestWorkers 250
</IfModule>
<IfModule mpm_event_module>
    ThreadsPerChild 25
    MaxRequestWorkers 400
</IfModule>
";

const DEFAULT: &str = "KeepAlive On\nKeepAliveTimeout 5\n";

fn layouts() -> Vec<Layout> {
    vec![
        Layout {
            name: "redhat",
            os_release: "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.6\"\n",
            main: "/etc/httpd/conf/httpd.conf",
            binary: "/usr/sbin/httpd",
            files: &[
                (
                    "/etc/httpd/conf/httpd.conf",
                    "ServerRoot /etc/httpd\nInclude conf.modules.d/*.conf\n@COMMONIncludeOptional conf.d/*.conf\n",
                ),
                (
                    "/etc/httpd/conf.modules.d/00-mpm.conf",
                    "# Choose one.\r\n@LOADS\n# by hand\nListenBacklog 500\n",
                ),
                (
                    "/etc/httpd/conf.modules.d/01-cgi.conf",
                    "<IfModule !mpm_prefork_module>\n    LoadModule cgid_module modules/mod_cgid.so\n</IfModule>\n\
                     <IfModule mpm_prefork_module>\n    LoadModule cgi_module modules/mod_cgi.so\n</IfModule>\n",
                ),
                (
                    "/etc/httpd/conf.d/mod_evasive.conf",
                    "LoadModule evasive20_module modules/mod_evasive20.so\n<IfModule mod_evasive20.c>\n    \
                     DOSPageCount 2\n    DOSSiteCount 50\n</IfModule>\n",
                ),
            ],
            modules: Some("/etc/httpd/modules"),
            evasive: true,
        },
        Layout {
            name: "arch",
            os_release: "ID=arch\n",
            main: "/etc/httpd/conf/httpd.conf",
            binary: "/usr/bin/httpd",
            files: &[
                (
                    "/etc/httpd/conf/httpd.conf",
                    "ServerRoot /etc/httpd\n@LOADS#LoadModule evasive20_module modules/mod_evasive20.so\n@COMMON\
                     Include conf/extra/httpd-mpm.conf\nInclude conf/extra/httpd-default.conf\n",
                ),
                ("/etc/httpd/conf/extra/httpd-mpm.conf", NUMBERS),
                ("/etc/httpd/conf/extra/httpd-default.conf", DEFAULT),
            ],
            modules: Some("/etc/httpd/modules"),
            evasive: true,
        },
        Layout {
            name: "alpine",
            os_release: "ID=alpine\nVERSION_ID=3.22.0\n",
            main: "/etc/apache2/httpd.conf",
            binary: "/usr/sbin/httpd",
            files: &[
                (
                    "/etc/apache2/httpd.conf",
                    "ServerRoot /var/www\n@LOADS@COMMONIncludeOptional /etc/apache2/conf.d/*.conf\n",
                ),
                ("/etc/apache2/conf.d/mpm.conf", NUMBERS),
                ("/etc/apache2/conf.d/default.conf", DEFAULT),
                ("/etc/alpine-release", "3.22.0\n"),
            ],
            modules: Some("/var/www/modules"),
            evasive: false,
        },
        Layout {
            name: "suse",
            os_release: "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n",
            main: "/etc/apache2/httpd.conf",
            binary: "/usr/sbin/httpd",
            files: &[
                (
                    "/etc/apache2/httpd.conf",
                    "ServerRoot /srv/www\nInclude /etc/apache2/server-tuning.conf\n@COMMON\
                     IncludeOptional /etc/apache2/conf.d/*.conf\n",
                ),
                (
                    "/etc/apache2/server-tuning.conf",
                    "<IfModule event.c>\n    MaxRequestWorkers 256\n</IfModule>\n<IfModule prefork.c>\n    \
                     MaxRequestWorkers 256\n</IfModule>\nKeepAlive On\nKeepAliveTimeout 15\n",
                ),
                ("/etc/apache2/conf.d/other.conf", "# x\n"),
                ("/etc/sysconfig/apache2", "APACHE_MODULES=\"dir cgi\"\nAPACHE_MPM=\"event\"\n"),
            ],
            modules: None,
            evasive: false,
        },
    ]
}

/// Returns a Debian host that looks like one of another family.
fn host(layout: &Layout) -> Host {
    let host = Host::debian12_event();
    fs::remove_dir_all(host.path("/etc/apache2")).unwrap();
    let _ = fs::remove_file(host.path("/etc/os-release"));
    host.write("/etc/os-release", layout.os_release);
    for dir in ["/run/httpd", "/var/log/httpd", "/srv/www"] {
        fs::create_dir_all(host.path(dir)).unwrap();
    }
    for (path, text) in layout.files {
        let path = host.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text.replace("@COMMON", COMMON).replace("@LOADS", LOADS)).unwrap();
    }
    if let Some(modules) = layout.modules {
        symlink("/usr/lib/apache2/modules", host.path(modules)).unwrap();
    }
    // The folders of `/usr` are this host's own, only the files in them are shared.
    let apache = host.path("/usr/sbin/apache2");
    if layout.name == "suse" {
        fs::create_dir_all(host.path("/usr/lib64/apache2")).unwrap();
        for name in ["mod_dir.so", "mod_cgi.so", "mod_cgid.so"] {
            fs::hard_link(
                host.path("/usr/lib/apache2/modules").join(name),
                host.path("/usr/lib64/apache2").join(name),
            )
            .unwrap();
        }
        for mpm in ["event", "worker", "prefork"] {
            let path = host.path(format!("/usr/sbin/httpd-{mpm}"));
            let load = format!("LoadModule mpm_{mpm}_module /usr/lib/apache2/modules/mod_mpm_{mpm}.so");
            fs::write(&path, format!("#!/bin/sh\nexec /usr/sbin/apache2 -C '{load}' \"$@\"\n")).unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        }
    } else {
        fs::hard_link(&apache, host.path(layout.binary)).unwrap();
    }
    // Debian's start scripts would start another server.
    for script in ["/usr/sbin/apache2ctl", "/usr/sbin/apachectl"] {
        fs::remove_file(host.path(script)).unwrap();
    }
    // Debian's binary looks for its own main file.
    if layout.main.starts_with("/etc/httpd") {
        symlink("/etc/httpd", host.path("/etc/apache2")).unwrap();
        symlink(layout.main, host.path("/etc/httpd/apache2.conf")).unwrap();
    } else {
        symlink(layout.main, host.path("/etc/apache2/apache2.conf")).unwrap();
    }
    host.install_binary(PROGRAM);
    host
}

fn tune(host: &Host, parameters: &Value) -> Value {
    let ran = host.run_with_input(&["apache-tuning", "-"], parameters.to_string().as_bytes());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// Returns all of the configuration as text.
fn configuration(host: &Host) -> String {
    let line =
        "find /etc -path /etc/ssl -prune -o -type f -exec md5sum {} + -o -type l -printf '%p %l\\n' | sort";
    host.sh(line).ok().to_owned()
}

fn wishes(layout: &Layout, mpm: &str) -> Value {
    let settings = if mpm == "prefork" {
        json!({"server_limit": 300, "max_request_workers": 300})
    } else {
        json!({"server_limit": 8, "threads_per_child": 25, "max_request_workers": 200})
    };
    let mut wishes = json!({
        "mpm": mpm, "settings": settings, "keepalive": {"enabled": true, "timeout": 7},
        "activation": "defer"
    });
    if layout.evasive {
        wishes["evasive"] = json!({"enabled": true, "page_count": 9, "site_count": 90});
    }
    wishes
}

#[test]
fn httpd_reads_each_of_the_six_swaps_as_predicted() {
    for layout in layouts() {
        let host = host(&layout);
        let first = configuration(&host);
        for mpm in ["worker", "event", "prefork", "worker", "prefork", "event"] {
            let asked = wishes(&layout, mpm);
            let mut checked = asked.clone();
            checked["_ansible_check_mode"] = true.into();
            let predicted = tune(&host, &checked);
            let done = tune(&host, &asked);
            assert_eq!(done["changed"], true, "{} {mpm}: {}", layout.name, done["msg"]);
            assert_eq!(done["mpm"]["after"], mpm, "{}", layout.name);
            for key in ["changed", "changes", "findings", "effective", "mpm"] {
                assert_eq!(predicted[key], done[key], "{} {mpm} {key}", layout.name);
            }
            for result in [&predicted, &done] {
                assert_eq!(result["config_test"]["ran"], true, "{} {mpm}: {result}", layout.name);
                assert_eq!(result["config_test"]["ok"], true, "{} {mpm}: {result}", layout.name);
            }
            let binary = if layout.name == "suse" {
                assert!(host.read("/etc/sysconfig/apache2").contains(&format!("APACHE_MPM=\"{mpm}\"\n")));
                format!("/usr/sbin/httpd-{mpm}")
            } else {
                layout.binary.to_owned()
            };
            let loaded = host.run(&[binary.as_str(), "-M"]);
            assert!(loaded.ok().contains(&format!(" mpm_{mpm}_module ")), "{}: {loaded:?}", layout.name);
            assert_eq!(loaded.ok().contains(" evasive20_module "), layout.evasive, "{}", layout.name);
            // A number that httpd would correct is a warning of its own.
            let tested = host.run(&[binary.as_str(), "-t"]);
            assert!(tested.success() && !tested.stderr.contains("WARNING"), "{}: {tested:?}", layout.name);
            assert_eq!(tune(&host, &asked)["changed"], false, "{} {mpm}", layout.name);
        }
        let gone = tune(&host, &json!({"state": "absent", "activation": "defer"}));
        assert_ne!(gone["failed"], true, "{}: {}", layout.name, gone["msg"]);
        assert_eq!(configuration(&host), first, "{}", layout.name);
    }
}

#[test]
fn a_running_server_in_the_red_hat_layout_takes_a_swap_up() {
    let layout = layouts().remove(0);
    let host = host(&layout);
    host.run(&["/usr/sbin/httpd", "-k", "start"]).ok();
    let until = Instant::now() + Duration::from_secs(20);
    while host.http("/").is_err() {
        assert!(Instant::now() < until, "{:?}", host.sh("cat /var/log/httpd/error_log"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut asked = wishes(&layout, "prefork");
    asked.as_object_mut().unwrap().remove("activation");
    let result = tune(&host, &asked);
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    let mapped = host.sh("grep -o 'mod_mpm_[a-z]*' /proc/$(cat /run/httpd/httpd.pid)/maps | sort -u");
    assert_eq!(mapped.ok(), "mod_mpm_prefork");
}

#[test]
fn mod_evasive_of_debian_13_answers_403_after_the_change_and_not_before() {
    let host = Host::debian13_event();
    host.install_binary(PROGRAM);
    host.start_apache();
    let statuses = || -> Vec<u16> { (0..12).map(|_| host.http("/").unwrap().0).collect() };
    assert_eq!(statuses(), [200; 12]);
    let asked =
        json!({"evasive": {"enabled": true, "page_count": 2, "site_count": 50, "blocking_period": 1}});
    let result = tune(&host, &asked);
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    let after = statuses();
    assert!(after.contains(&403), "{after:?}");
    std::thread::sleep(Duration::from_secs(2));
    tune(&host, &json!({"state": "absent"}));
    assert_eq!(statuses(), [200; 12]);
}

/// What SUSE's script does: it writes the modules of its variables into a file, whatever it is called for, and starts the
/// httpd of the MPM, which here is built with none.
const START_APACHE2: &str = r#"#!/bin/sh
name=${START_APACHE_INSTANCE:+@$START_APACHE_INSTANCE}
. "/etc/sysconfig/apache2$name"
dir=/etc/apache2$name/sysconfig.d
mkdir -p "$dir"
for word in $APACHE_MODULES; do
    echo "LoadModule ${word}_module /usr/lib64/apache2/mod_$word.so"
done > "$dir/loadmodule.conf"
exec "/usr/sbin/httpd-$APACHE_MPM" -DSYSCONFIG -f "/etc/apache2$name/httpd.conf" -C "PidFile /run/httpd$name.pid" \
    -C "LoadModule mpm_${APACHE_MPM}_module /usr/lib/apache2/modules/mod_mpm_$APACHE_MPM.so" \
    -C "Include $dir/loadmodule.conf" "$@"
"#;

/// Returns a SUSE host that no service manager starts, with mod_evasive and a second server, `blue`, on port 8081.
fn suse() -> Host {
    let layout = layouts().into_iter().find(|layout| layout.name == "suse").unwrap();
    let host = host(&layout);
    for mpm in ["event", "worker", "prefork"] {
        let path = host.path(format!("/usr/sbin/httpd-{mpm}"));
        fs::remove_file(&path).unwrap();
        fs::hard_link(host.path("/usr/sbin/apache2"), &path).unwrap();
    }
    symlink("httpd-event", host.path("/usr/sbin/httpd")).unwrap();
    let program = "mod_evasive20.so";
    fs::hard_link(
        host.path("/usr/lib/apache2/modules").join(program),
        host.path("/usr/lib64/apache2").join(program),
    )
    .unwrap();
    fs::write(host.path("/usr/sbin/start_apache2"), START_APACHE2).unwrap();
    host.sh("chmod 0755 /usr/sbin/start_apache2; mkdir '/etc/apache2@blue'").ok();
    host.sh("sed 's/Listen 80/Listen 8081/; /PidFile/d; s,/etc/apache2/,/etc/apache2@blue/,' /etc/apache2/httpd.conf \
             > '/etc/apache2@blue/httpd.conf'; sed -i /PidFile/d /etc/apache2/httpd.conf")
        .ok();
    host.sh("cp /etc/apache2/server-tuning.conf '/etc/apache2@blue/'; cp /etc/sysconfig/apache2 /etc/sysconfig/apache2@blue").ok();
    host.sh("start_apache2 -k start && START_APACHE_INSTANCE=blue start_apache2 -k start").ok();
    let until = Instant::now() + Duration::from_secs(20);
    while host.sh("test -s /run/httpd.pid -a -s /run/httpd@blue.pid").stderr.is_empty()
        && host.http("/").is_err()
    {
        assert!(Instant::now() < until, "{:?}", host.sh("cat /var/log/httpd/error_log"));
        std::thread::sleep(Duration::from_millis(20));
    }
    host
}

fn pid(host: &Host, file: &str) -> String {
    host.read(file).trim().to_owned()
}

#[test]
fn a_module_of_suses_variable_reaches_a_server_that_its_script_started() {
    let host = suse();
    let main = pid(&host, "/run/httpd.pid");
    let statuses = || -> Vec<u16> { (0..12).map(|_| host.http("/").unwrap().0).collect() };
    assert_eq!(statuses(), [200; 12]);
    // The MPM is no part of this httpd, so that it cannot be tested as SUSE's can.
    let asked = |enabled: bool| {
        json!({
            "evasive": {"enabled": enabled, "page_count": 2, "site_count": 50, "blocking_period": 1},
            "config_test": false
        })
    };
    for (enabled, blocked) in [(true, true), (false, false), (true, true)] {
        let result = tune(&host, &asked(enabled));
        assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
        let after = statuses();
        assert_eq!(after.contains(&403), blocked, "{enabled}: {after:?}");
        assert_eq!(tune(&host, &asked(enabled))["changed"], false, "{enabled}");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert_eq!(pid(&host, "/run/httpd.pid"), main);
}

#[test]
fn a_second_server_of_suse_is_stopped_and_started_and_the_first_one_goes_on() {
    let host = suse();
    let pids = || ["/run/httpd.pid", "/run/httpd@blue.pid"].map(|file| pid(&host, file));
    let [main, blue] = pids();
    let asked = json!({
        "instance": "blue", "config_test": false, "mpm": "prefork",
        "settings": {"server_limit": 30, "max_request_workers": 30}
    });
    let result = tune(&host, &asked);
    assert_eq!(result["activation"]["done"], true, "{}", result["msg"]);
    let [main_now, blue_now] = pids();
    assert!(main_now == main && blue_now != blue, "{main} {main_now} {blue} {blue_now}");
    let maps =
        |pid: &str| host.sh(&format!("grep -o 'mod_mpm_[a-z]*' /proc/{pid}/maps | sort -u")).ok().to_owned();
    assert_eq!([maps(&main_now), maps(&blue_now)], ["mod_mpm_event", "mod_mpm_prefork"]);
    assert_eq!(host.http("/").unwrap().0, 200);
}
