//! Balancers on real Debian hosts with two real backends: shared out, kept together, taken over, and gone again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::modsecurity::done;
use super::{Child, Host, Stdio, Value, json, tune, with_program};

/// A small server that says who it is: `/health` answers what its file says, `/slow` takes its time.
const BACKEND: &str = r#"
import http.server, os, socketserver, sys, time
port, name = int(sys.argv[1]), sys.argv[2]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        code = 200
        if self.path.startswith("/health") and os.path.exists("/run/ill-" + name):
            code = 500
        if self.path.startswith("/slow"):
            time.sleep(3)
        body = "|".join([name, self.path, self.headers.get("Host", ""), self.headers.get("X-Forwarded-Proto", "")])
        body = body.encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
Server(("127.0.0.1", port), Handler).serve_forever()
"#;

/// A backend, ended with the test.
struct Backend(Child);

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn backend(host: &Host, port: u16, name: &str) -> Backend {
    let mut command = host.command("python3");
    command.args(["-c", BACKEND, &port.to_string(), name]).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Backend(command.spawn().unwrap());
    let until = Instant::now() + Duration::from_secs(20);
    while !host
        .sh(&format!("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", {port}), 1)'"))
        .success()
    {
        assert!(Instant::now() < until, "the backend {name} does not listen");
        std::thread::sleep(Duration::from_millis(100));
    }
    started
}

/// Kills a backend by -9, as a machine that loses power.
fn kill(host: &Host, name: &str) {
    let script = "import os, sys\n\
                  for pid in filter(str.isdigit, os.listdir('/proc')):\n\
                  \x20   try: words = open(f'/proc/{pid}/cmdline', 'rb').read().split(b'\\0')\n\
                  \x20   except OSError: continue\n\
                  \x20   if sys.argv[1].encode() in words[3:] and int(pid) != os.getpid(): os.kill(int(pid), 9); print(pid)\n";
    let killed = host.run(&["python3", "-c", script, name]);
    assert!(!killed.ok().trim().is_empty(), "{name} does not run");
}

/// Asks and returns the status, who answered, and the cookie that was set.
fn ask(host: &Host, path: &str, cookie: &str) -> (u16, String, Option<String>) {
    let script = "import http.client, sys\n\
                  c = http.client.HTTPConnection('127.0.0.1', 80, timeout=20)\n\
                  h = {'Host': 'web.example.test'}\n\
                  if sys.argv[2]: h['Cookie'] = sys.argv[2]\n\
                  c.request('GET', sys.argv[1], headers=h)\n\
                  r = c.getresponse()\n\
                  print(r.status); print(r.read().decode()[:300].replace('\\n', ' ')); print(r.getheader('Set-Cookie') or '')\n";
    let said = host.run(&["python3", "-c", script, path, cookie]);
    let mut lines = said.ok().lines();
    let status = lines.next().unwrap().parse().unwrap();
    let body = lines.next().unwrap_or_default().to_owned();
    let cookie = lines.next().unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
    (status, body, (!cookie.is_empty()).then_some(cookie))
}

fn who(body: &str) -> &str {
    body.split('|').next().unwrap_or_default()
}

fn group(more: &Value) -> Value {
    let mut one = json!({
        "name": "app",
        "members": [{"url": "http://127.0.0.1:9001", "route": "a"}, {"url": "http://127.0.0.1:9002", "route": "b"}],
        "sticky": {"cookie": "ROUTEID"},
        "retry": 2,
        "map": [{"path": "/app"}],
    });
    one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"balancers": [one]})
}

#[test]
fn requests_are_shared_out_kept_together_and_taken_over() {
    for host in [Host::debian12_event(), Host::debian13_event()] {
        let host = with_program(host);
        host.run(&["a2dismod", "evasive"]).ok();
        host.start_apache();
        let etc = std::path::Path::new("etc");
        let before = host.listing();
        let (_a, _b) = (backend(&host, 9001, "backend-a"), backend(&host, 9002, "backend-b"));

        done(&host, &group(&json!({"health": {"uri": "/health", "interval": 1}})));
        let mut seen: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..8 {
            let (status, body, cookie) = ask(&host, "/app/x", "");
            assert_eq!(status, 200, "{body}");
            assert!(cookie.is_some_and(|cookie| cookie.starts_with("ROUTEID=.")), "{body}");
            // The path behind the mapping, the name the client asked for, and how it asked.
            assert!(body.ends_with("|/x|web.example.test|http"), "{body}");
            *seen.entry(who(&body).to_owned()).or_default() += 1;
        }
        assert_eq!(seen.len(), 2, "{seen:?}");
        assert_eq!(ask(&host, "/", "").0, 200);
        for _ in 0..4 {
            let (_, body, cookie) = ask(&host, "/app/", "ROUTEID=.b");
            assert_eq!((who(&body), cookie), ("backend-b", None));
        }

        // One that says that it is ill is not asked any more, and asked again once it is well.
        host.write("/run/ill-backend-b", "");
        let until = |wanted: &str, cookie: &str| {
            let end = Instant::now() + Duration::from_secs(30);
            while who(&ask(&host, "/app/", cookie).1) != wanted {
                assert!(Instant::now() < end, "{wanted} never answers");
                std::thread::sleep(Duration::from_millis(200));
            }
        };
        until("backend-a", "ROUTEID=.b");
        std::fs::remove_file(host.path("/run/ill-backend-b")).unwrap();
        until("backend-b", "ROUTEID=.b");

        // A site undoes the mapping for itself.
        let site = "<VirtualHost *:80>\nServerName web.example.test\nDocumentRoot /var/www/html\n<Location /app/>\n\
                    ProxyPass !\n</Location>\n</VirtualHost>\n";
        host.write("/etc/apache2/sites-enabled/000-a.conf", site);
        host.run(&["apache2ctl", "graceful"]).ok();
        let end = Instant::now() + Duration::from_secs(20);
        while ask(&host, "/app/", "").0 != 404 {
            assert!(Instant::now() < end, "the site's own line does not count");
            std::thread::sleep(Duration::from_millis(200));
        }
        std::fs::remove_file(host.path("/etc/apache2/sites-enabled/000-a.conf")).unwrap();
        done(&host, &group(&json!({})));

        // Killed: every request is answered, by the other one.
        kill(&host, "backend-a");
        for _ in 0..8 {
            let (status, body, _) = ask(&host, "/app/", "ROUTEID=.a");
            assert_eq!((status, who(&body)), (200, "backend-b"));
        }

        done(&host, &json!({"balancers": []}));
        assert_eq!(ask(&host, "/app/", "").0, 404);
        done(&host, &group(&json!({})));
        done(&host, &json!({"state": "absent"}));
        assert_eq!(ask(&host, "/app/", "").0, 404);
        let changed = host.listing().below(etc).content().changes_since(&before.below(etc).content());
        assert!(changed.is_empty(), "{changed:#?}");
    }
}

#[test]
fn a_full_pool_answers_in_time_and_impossible_wishes_are_refused() {
    let host = with_program(Host::debian12_event());
    host.run(&["a2dismod", "evasive"]).ok();
    host.start_apache();
    let _a = backend(&host, 9001, "backend-a");
    let one = |more: Value| {
        let mut asked = group(&json!({"members": [{"url": "http://127.0.0.1:9001"}], "sticky": null}));
        asked["balancers"][0].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    // One connection a process, two processes at first: of eight requests at once some find no connection.
    done(&host, &one(json!({"pool": {"max": 1, "acquire": "300ms"}})));
    let script = "import http.client, threading, time\n\
                  out = []\n\
                  def ask():\n\
                  \x20   t = time.monotonic()\n\
                  \x20   c = http.client.HTTPConnection('127.0.0.1', 80, timeout=20)\n\
                  \x20   c.request('GET', '/app/slow'); s = c.getresponse().status\n\
                  \x20   out.append((s, time.monotonic() - t))\n\
                  all = [threading.Thread(target=ask) for _ in range(12)]\n\
                  [t.start() for t in all]; [t.join() for t in all]\n\
                  full = [t for s, t in out if s == 503]\n\
                  print(len(full), len([1 for s, t in out if s == 200]), max(full or [0]) < 2.5)\n";
    let said = host.run(&["python3", "-c", script]).ok().to_owned();
    let words: Vec<&str> = said.split_whitespace().collect();
    assert!(words[0] != "0" && words[1] != "0" && words[2] == "True", "{said}");

    for (more, rule) in [
        (json!({"name": "a b"}), "BAL-019"),
        (json!({"members": []}), "BAL-019"),
        (json!({"members": [{"url": "http://h:80 retry=1"}]}), "BAL-019"),
        (json!({"members": [{"url": "ftp://h"}]}), "BAL-019"),
        (json!({"members": [{"url": "http://h/"}]}), "BAL-004"),
        (json!({"members": [{"url": "http://h"}, {"url": "http://h"}]}), "BAL-019"),
        (json!({"health": {"uri": "/a b"}}), "BAL-019"),
        (json!({"health": {"expect": "2xx/"}}), "BAL-019"),
        (json!({"connect_timeout": "soon"}), "BAL-019"),
        (json!({"fail_on_status": ["99"]}), "BAL-019"),
        (json!({"map": [{"path": "/a>"}]}), "BAL-019"),
        (json!({"backend_limit": 1}), "BAL-005"),
        (json!({"backend_limit": 10, "pool": {"max": 25}}), "BAL-005"),
    ] {
        let result = tune(&host, &one(more.clone()));
        assert_eq!(result["failed"], true, "{more}");
        assert!(result["findings"].to_string().contains(rule), "{more}: {:#}", result["findings"]);
    }
    let unknown = tune(&host, &one(json!({"pool": {"maxx": 1}})));
    assert!(unknown["msg"].to_string().contains("balancers[0].pool.maxx"), "{}", unknown["msg"]);
    let control = tune(&host, &one(json!({"name": "a\nb"})));
    assert!(control["msg"].to_string().contains("balancers[0].name"), "{}", control["msg"]);
    // As many connections as the backend takes, shared by the processes.
    let limited = tune(&host, &one(json!({"backend_limit": 60})));
    assert_ne!(limited["failed"], true, "{}", limited["msg"]);
    let written = host.read("/etc/apache2/conf-available/zz-apache-tuning.conf");
    // 150 workers in processes of 25: six processes.
    assert!(written.contains("max=10 "), "{written}");
    assert_eq!(tune(&host, &one(json!({"backend_limit": 60})))["changed"], false);
}
