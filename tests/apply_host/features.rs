//! Features on real Debian hosts, seen by a real client, and gone again.

use super::{Host, Value, json, tune, with_program};

const CLOSE: &str = "Connection: close";

/// Asks once in the host and returns what came back, head and body.
fn asks(host: &Host, port: u16, lines: &[&str]) -> String {
    let script = "import socket, sys\n\
                  s = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 20)\n\
                  s.sendall(''.join(line + '\\r\\n' for line in sys.argv[2:] + ['']).encode())\n\
                  data = b''\n\
                  while b'HTTP/1.1 101' not in data:\n    more = s.recv(65536)\n    if not more: break\n    data += more\n\
                  print(data.decode('latin-1'))\n";
    let port = port.to_string();
    let words: Vec<&str> =
        ["python3", "-c", script, &port].into_iter().chain(lines.iter().copied()).collect();
    host.run(&words).ok().to_owned()
}

fn status_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

/// Sends one header line a second and returns the status it is cut off with, or nothing after `seconds`.
fn dribbles(host: &Host, seconds: u32) -> String {
    let script = "import socket, sys, time\n\
                  s = socket.create_connection(('127.0.0.1', 80), 60)\n\
                  s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n')\n\
                  end = time.monotonic() + int(sys.argv[1])\n\
                  s.settimeout(1)\n\
                  while time.monotonic() < end:\n\
                  \x20   try:\n        data = s.recv(100)\n        print(data.decode().split('\\r\\n')[0]); break\n\
                  \x20   except TimeoutError: pass\n\
                  \x20   try: s.sendall(b'X-A: b\\r\\n')\n\
                  \x20   except OSError: pass\n";
    host.run(&["python3", "-c", script, &seconds.to_string()]).ok().trim().to_owned()
}

fn done(result: &Value) {
    assert_ne!(result["failed"], true, "{}", result["msg"]);
}

#[test]
fn features_act_on_real_hosts_and_go_again() {
    for host in [Host::debian12_event(), Host::debian13_event()] {
        let host = with_program(host);
        host.write("/var/www/html/page.html", "text ".repeat(10_000));
        host.write("/var/www/html/data.json", format!("[{}1]", "1,".repeat(10_000)));
        // A new file is fresh for no time at all.
        host.run(&["touch", "-d", "2020-01-01", "/var/www/html/page.html"]).ok();
        // It would block a client that asks as quickly as this one.
        host.run(&["a2dismod", "evasive"]).ok();
        host.start_apache();
        let before = host.listing();
        let all = json!({
            "slow_clients": {"enabled": true, "header": {"initial": 2, "max": 4}},
            "status": {"enabled": true, "listen": "127.0.0.1:8081"},
            "http2": {"enabled": true, "clear_text": true},
            "compression": {"enabled": true},
            "cache_disk": {"enabled": true, "paths": ["/page.html"], "header": true},
        });
        let result = tune(&host, &all);
        done(&result);
        assert_eq!(result["changed"], true);
        assert_eq!(tune(&host, &all)["changed"], false);

        assert_eq!(dribbles(&host, 20), "HTTP/1.1 408 Request Timeout");

        let page = asks(&host, 8081, &["GET /server-status?auto HTTP/1.1", "Host: x", CLOSE]);
        assert!(page.contains("Scoreboard:"), "{page}");
        let other = asks(&host, 8081, &["GET /page.html HTTP/1.1", "Host: x", CLOSE]);
        assert!(status_line(&other).contains("403"), "{}", status_line(&other));

        let encoding = |path: &str, accept: &str| {
            let get = format!("GET {path} HTTP/1.1");
            let answer = asks(&host, 80, &[&get, "Host: x", &format!("Accept-Encoding: {accept}"), CLOSE]);
            assert!(status_line(&answer).contains("200"), "{}", status_line(&answer));
            let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_owned();
            head.lines().find_map(|line| line.strip_prefix("Content-Encoding: ").map(str::to_owned))
        };
        for path in ["/page.html", "/data.json"] {
            assert_eq!(encoding(path, "gzip, deflate, br").as_deref(), Some("br"), "{path}");
            assert_eq!(encoding(path, "gzip").as_deref(), Some("gzip"), "{path}");
            assert_eq!(encoding(path, "identity"), None, "{path}");
        }

        let cached = asks(&host, 80, &["GET /page.html HTTP/1.1", "Host: x", "Accept-Encoding: gzip", CLOSE]);
        assert!(cached.contains("X-Cache: HIT"), "{}", cached.split("\r\n\r\n").next().unwrap_or_default());

        let upgraded = asks(
            &host,
            80,
            &[
                "GET / HTTP/1.1",
                "Host: x",
                "Upgrade: h2c",
                "HTTP2-Settings: AAMAAABkAAQAAP__",
                "Connection: Upgrade, HTTP2-Settings",
            ],
        );
        assert!(status_line(&upgraded).contains("101"), "{}", status_line(&upgraded));

        let off = json!({
            "slow_clients": {"enabled": false}, "status": {"enabled": false},
            "http2": {"enabled": false}, "compression": {"enabled": false}, "cache_disk": {"enabled": false},
        });
        done(&tune(&host, &off));
        assert_eq!(tune(&host, &off)["changed"], false);
        assert_eq!(encoding("/data.json", "gzip, br"), None);
        done(&tune(&host, &json!({"state": "absent"})));
        let etc = std::path::Path::new("etc/apache2");
        let changed = host.listing().below(etc).content().changes_since(&before.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

#[test]
fn logs_go_to_a_disk_of_their_own_while_the_server_runs_and_come_back() {
    for host in [Host::debian12_event(), Host::debian13_event()] {
        let host = with_program(host);
        let before = host.listing();
        let asked = json!({"logs": {"directory": "/srv/log/apache2", "require_mount": true}});
        host.start_apache();
        let first = asks(&host, 80, &["GET /before HTTP/1.1", "Host: x", CLOSE]);
        assert!(status_line(&first).contains("404"), "{first}");
        let refusal = |result: &Value| result["msg"].as_str().unwrap_or_default()[..7].to_owned();
        assert_eq!(refusal(&tune(&host, &asked)), "LOG-001");
        host.run(&["install", "-d", "-m", "0750", "/srv/log/apache2"]).ok();
        assert_eq!(refusal(&tune(&host, &asked)), "LOG-011");
        host.run(&["mount", "-t", "tmpfs", "-o", "mode=0755", "none", "/srv/log"]).ok();
        host.run(&["install", "-d", "-m", "0750", "-o", "www-data", "/srv/log/apache2"]).ok();
        assert_eq!(refusal(&tune(&host, &asked)), "LOG-002");
        host.run(&["chown", "root:root", "/srv/log/apache2"]).ok();

        let result = tune(&host, &asked);
        done(&result);
        // The start script hands the variable over: a reload would go on with the old one.
        assert_eq!(result["activation"]["needed"], "restart", "{result:#}");
        assert_eq!(result["activation"]["done"], true, "{result:#}");
        assert_eq!(tune(&host, &asked)["changed"], false);
        asks(&host, 80, &["GET /moved HTTP/1.1", "Host: x", CLOSE]);
        let log = |path: &str| host.run(&["cat", path]).ok().to_owned();
        assert!(log("/srv/log/apache2/access.log").contains("GET /moved"));
        assert!(!log("/var/log/apache2/access.log").contains("GET /moved"));
        assert!(log("/etc/logrotate.d/apache-tuning").contains("\n/srv/log/apache2/*.log {\n"));

        done(&tune(&host, &json!({"state": "rolled_back"})));
        done(&tune(&host, &asked));
        done(&tune(&host, &json!({"logs": {"enabled": false}})));
        asks(&host, 80, &["GET /back HTTP/1.1", "Host: x", CLOSE]);
        assert!(log("/var/log/apache2/access.log").contains("GET /back"));
        let etc = std::path::Path::new("etc");
        let changed = host.listing().below(etc).content().changes_since(&before.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

#[test]
fn a_client_of_the_whitelist_is_never_blocked_on_a_socket_of_both_families() {
    let host = with_program(Host::debian13_event());
    host.start_apache();
    // One request after the other, each on a connection of its own: page_count 2 is soon passed in each process.
    let script = "import socket\n\
                  for _ in range(40):\n\
                  \x20   s = socket.create_connection(('127.0.0.1', 80), 20)\n\
                  \x20   s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n')\n\
                  \x20   print(s.recv(65536).split()[1].decode()); s.close()\n";
    for (entry, exempt) in
        [("127.0.0.1", true), ("127.0.0.0/8", true), ("127.0.*.*", true), ("10.0.0.0/8", false)]
    {
        let asked = json!({
            "evasive": {"enabled": true, "page_count": 2, "site_count": 5000, "blocking_period": 1, "whitelist": [entry]},
        });
        done(&tune(&host, &asked));
        assert_eq!(tune(&host, &asked)["changed"], false, "{entry}");
        let said = host.run(&["python3", "-c", script]).ok().to_owned();
        assert_eq!(!said.contains("403"), exempt, "{entry}: {}", said.replace('\n', " "));
        assert!(said.contains("200"), "{entry}: {said}");
    }
}
