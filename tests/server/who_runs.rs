//! Only a process of root that serves is the running server; whatever else runs its program decides nothing.

use serde_json::json;

use crate::{Background, host, tune, wait_for};

/// httpd reads its configuration from a pipe that nobody writes to: it hangs before it listens.
const HANGS: &str = "rm -f /tmp/never; mkfifo -m 666 /tmp/never; . /etc/apache2/envvars; exec ";

/// Ways to have a process with the server's program that is not the server, and what to wait for. `nobody`'s own
/// server listens.
const NOT_THE_SERVER: [(&str, &str); 4] = [
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups /usr/sbin/apache2 -C 'Include /tmp/never'",
        "pgrep -u 65534 -x apache2",
    ),
    (
        "setpriv --reuid=65534 --regid=65534 --clear-groups /usr/sbin/apache2 -X -f /tmp/own.conf",
        "ss -tln | grep -q 8123",
    ),
    ("/usr/sbin/apache2 -t -C 'Include /tmp/never'", "pgrep -x apache2"),
    ("/usr/sbin/apache2 -D SSL -S -C 'Include /tmp/never'", "pgrep -x apache2"),
];

const OWN_SERVER: &str = "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n\
    Listen 8123\nPidFile /tmp/own.pid\nErrorLog /tmp/own.log\nMutex pthread\nServerName own\n";

#[test]
fn a_stopped_server_is_not_started_whoever_runs_its_program() {
    for (line, ready) in NOT_THE_SERVER {
        let host = host();
        host.write("/tmp/own.conf", OWN_SERVER);
        let other = Background::start(&host, &format!("{HANGS}{line}"), ready);
        // A file that was left behind names that very process.
        host.sh("mkdir -p /run/apache2; pgrep -o -x apache2 > /run/apache2/apache2.pid").ok();
        let predicted = tune(&host, &json!({"keepalive": {"timeout": 3}, "_ansible_check_mode": true}));
        assert_eq!(predicted["activation"]["running"], false, "{line}: {predicted}");
        for parameters in [json!({"keepalive": {"timeout": 3}}), json!({"mpm": "worker"})] {
            let result = tune(&host, &parameters);
            assert_eq!(result["changed"], true, "{line}: {}", result["msg"]);
            assert_eq!(result["activation"]["done"], false, "{line}: {}", result["msg"]);
        }
        assert!(host.http("/").is_err(), "{line}: a server was started");
        // Nobody ended it either.
        assert!(host.sh("pgrep -x apache2").success(), "{line}");
        drop(other);
    }
}

#[test]
fn a_running_server_is_restarted_and_reloaded_whoever_else_runs_its_program() {
    for (line, ready) in NOT_THE_SERVER {
        let host = host();
        host.write("/tmp/own.conf", OWN_SERVER);
        host.start_apache();
        let started = host.read("/run/apache2/apache2.pid");
        let other = Background::start(&host, &format!("{HANGS}{line}"), ready);
        let result = tune(&host, &json!({"keepalive": {"timeout": 3}}));
        assert_eq!(result["activation"]["done"], true, "{line}: {}", result["msg"]);
        assert_eq!(host.read("/run/apache2/apache2.pid"), started, "{line}: a reload was enough");
        let result = tune(&host, &json!({"mpm": "worker"}));
        assert_eq!(result["activation"]["done"], true, "{line}: {}", result["msg"]);
        assert_eq!(result["mpm"]["running"], "worker", "{line}: it tells the server as it is now");
        let mapped = host.sh("grep -q mod_mpm_worker.so /proc/$(cat /run/apache2/apache2.pid)/maps");
        assert!(mapped.success(), "{line}");
        drop(other);
    }
}

#[test]
fn a_number_in_the_servers_file_that_went_to_another_process_is_not_signalled() {
    let host = host();
    host.sh("mkdir -p /run/apache2").ok();
    for stopped in [true, false] {
        if !stopped {
            host.sh("rm -f /run/apache2/apache2.pid").ok();
            host.start_apache();
        }
        let sleeper = Background::start(&host, "exec sleep 600", "pgrep -x sleep");
        host.sh("pgrep -x sleep > /run/apache2/apache2.pid").ok();
        for timeout in [3, 4] {
            let result = tune(&host, &json!({"keepalive": {"timeout": timeout + i32::from(stopped) * 2}}));
            assert_eq!(result["changed"], true, "{}", result["msg"]);
            assert_eq!(result["activation"]["done"], !stopped, "{}", result["msg"]);
        }
        assert!(host.sh("pgrep -x sleep").success(), "it got the server's signal");
        assert_eq!(host.http("/").is_ok(), !stopped);
        host.sh("pkill -x sleep").ok();
        drop(sleeper);
        wait_for(&host, "! pgrep -x sleep");
    }
}
