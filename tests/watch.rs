//! `apache-tuning watch` beside a real server that is loaded, reloaded, stopped and started.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use test_hosts::Host;

fn running() -> Host {
    let host = Host::debian12_event();
    host.install_binary(env!("CARGO_BIN_EXE_apache-tuning"));
    // It would turn away a client that opens so many connections.
    host.run(&["a2dismod", "evasive"]).ok();
    host.start_apache();
    host
}

/// Ends with the test, whatever happens to it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Holds so many kept connections open until its standard input ends.
fn hold(host: &Host, count: u32) -> Ended {
    let script = "import socket, sys\n\
                  held = []\n\
                  for _ in range(int(sys.argv[1])):\n\
                  \x20   s = socket.create_connection(('127.0.0.1', 80), 10)\n\
                  \x20   s.sendall(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'); s.recv(1000); held.append(s)\n\
                  print('held', flush=True)\n\
                  sys.stdin.read()\n";
    let mut child = host.command("python3");
    child.args(["-c", script, &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    Ended(child)
}

#[test]
fn a_watch_tells_load_reload_stop_and_start_and_what_to_ask_for() {
    let host = running();
    let before = host.listing();
    let mut watch = host.command("apache-tuning");
    watch.args(["watch", "--interval", "200ms", "--for", "60s"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut watch = Ended(watch.spawn().unwrap());
    let mut out = std::io::BufReader::new(watch.0.stdout.take().unwrap());
    let mut next = || -> Value {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    };
    let end = Instant::now() + Duration::from_secs(45);
    let mut until = |what: &str, seen: &dyn Fn(&Value) -> bool| {
        loop {
            assert!(Instant::now() < end, "{what} was not seen");
            let sample = next();
            if seen(&sample) {
                return sample;
            }
        }
    };
    let idle = until("an idle server", &|sample| sample["busy_workers"] == 0);
    assert_eq!((&idle["connections"], &idle["event"]), (&json!(0), &Value::Null), "{idle}");
    assert!(idle["memory_mb"].as_u64().unwrap() > 0 && idle["most_workers"].as_u64().unwrap() > 0, "{idle}");
    let held = hold(&host, 30);
    until("the load", &|sample| sample["connections"] == 30);
    drop(held);
    host.run(&["apache2ctl", "graceful"]).ok();
    until("the reload", &|sample| sample["event"] == "reloaded");
    host.run(&["apache2ctl", "stop"]).ok();
    let gone = until("the stop", &|sample| sample["event"] == "stopped");
    assert_eq!((&gone["parent"], &gone["busy_workers"]), (&Value::Null, &Value::Null), "{gone}");
    host.run(&["apache2ctl", "start"]).ok();
    until("the start", &|sample| sample["event"] == "started");
    until("the server again", &|sample| sample["busy_workers"].is_u64());
    drop(watch);
    let own = std::path::Path::new("var/lib/apache-tuning");
    assert!(host.listing().below(own).content().changes_since(&before.below(own).content()).is_empty());
}

#[test]
fn its_end_has_the_peak_and_a_load_that_a_task_takes() {
    let host = running();
    let _held = hold(&host, 40);
    let ran = host.run(&["apache-tuning", "watch", "--interval", "100ms", "--for", "1s", "--json"]);
    let last = ran.ok().lines().last().unwrap().to_owned();
    let summary = serde_json::from_str::<Value>(&last).unwrap()["summary"].clone();
    assert!(summary["samples"].as_u64().unwrap() >= 2, "{summary}");
    let load = &summary["capacity"];
    assert_eq!(load["connections"], 40, "{summary}");
    assert!(load["active"].as_u64().is_some_and(|active| (1..=40).contains(&active)), "{summary}");
    let peak =
        summary["peaks"].as_array().unwrap().iter().find(|peak| peak["name"] == "connections").unwrap();
    assert_eq!(peak["percent"].as_u64().unwrap(), 4000 / peak["limit"].as_u64().unwrap(), "{summary}");
    host.write("/root/load.json", json!({ "capacity": load }).to_string());
    let preview = host.run(&["apache-tuning", "preview", "/root/load.json", "--json"]);
    let preview: Value = serde_json::from_str(&preview.stdout).unwrap();
    assert_eq!((&preview["failed"], preview["sizes"].as_array().unwrap().is_empty()), (&Value::Null, false));
}

#[test]
fn on_a_terminal_the_table_stays_in_place_until_enter() {
    let host = running();
    let script =
        "import pty, sys\nsys.exit(pty.spawn(['apache-tuning', 'watch', '--interval', '200ms']) >> 8)\n";
    let mut terminal = host.command("python3");
    terminal.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut terminal = Ended(terminal.spawn().unwrap());
    std::thread::sleep(Duration::from_secs(2));
    let mut keys = terminal.0.stdin.take().unwrap();
    keys.write_all(b"\n").unwrap();
    let mut text = String::new();
    terminal.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    drop(keys);
    assert!(
        text.matches("busy workers").count() >= 3 && text.contains("\x1b[") && text.contains("Enter ends"),
        "{text}"
    );
    let end = text.rsplit('\x1b').next().unwrap();
    assert!(end.contains("nearest to its limit") && end.contains("capacity:"), "{text}");
}

#[test]
fn a_time_that_is_none_is_wrong_usage() {
    for arguments in [&["--interval", "fast"][..], &["--interval", "1ms"], &["--for", "0"], &["--for", "-1s"]]
    {
        let mut watch = std::process::Command::new(env!("CARGO_BIN_EXE_apache-tuning"));
        let output = watch.arg("watch").args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
