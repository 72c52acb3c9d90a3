//! `apache-tuning size --from-log`: logs of every kind, in any order, and what is no log.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use apache_tuning::access_log::{self, Options};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runs `size`; what the host of the test has configured does not count.
fn run(dir: &Path, arguments: &[&str]) -> Output {
    let timeout = if arguments.contains(&"--connections") || arguments.contains(&"--root") {
        &[][..]
    } else {
        &["--keepalive-timeout", "5"][..]
    };
    Command::new(env!("CARGO_BIN_EXE_apache-tuning"))
        .arg("size")
        .args(timeout)
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn load(dir: &Path, arguments: &[&str]) -> Value {
    let output = run(dir, arguments);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert!(told["proposal"]["settings"].is_array() || told["refusal"].is_object(), "{told}");
    told["load"].clone()
}

/// A second of a day as httpd writes it.
fn time(second: u32) -> String {
    format!("[21/Nov/2026:{:02}:{:02}:{:02} +0100]", second / 3600, second / 60 % 60, second % 60)
}

/// Lines of `clients` that each ask `each` times a second, from one second to another.
fn lines(seconds: std::ops::Range<u32>, clients: u32, each: u32, tail: &str) -> String {
    let mut text = String::new();
    for second in seconds {
        for client in 0..clients {
            for _ in 0..each {
                let _ = writeln!(
                    text,
                    "192.0.2.{client} - - {} \"GET / HTTP/1.1\" 200 5000 \"-\" \"Mozilla/5.0\"{tail}",
                    time(second)
                );
            }
        }
    }
    text
}

#[test]
fn rotated_and_packed_logs_are_one_log_whatever_their_order() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    fs::write(path.join("access.log.2"), lines(100..160, 3, 2, "")).unwrap();
    fs::write(path.join("access.log.1"), lines(160..220, 9, 2, "")).unwrap();
    fs::write(path.join("access.log"), lines(220..280, 5, 2, "")).unwrap();
    let plain = load(path, &["--json", "--from-log", "access.log", "access.log.1", "access.log.2"]);
    assert_eq!((&plain["requests"], &plain["damaged"]), (&Value::from(2040), &Value::from(0)));
    assert_eq!(plain["peak_second"]["value"], 18);
    // Nine clients, each asking twice at once.
    assert_eq!((&plain["connections"]["lower"], &plain["connections"]["upper"]), (&9.into(), &18.into()));
    assert_eq!(plain["concurrency"], Value::Null);
    assert_eq!(plain["formats"][0], "combined");
    assert_eq!(plain["to"].as_u64().unwrap() - plain["from"].as_u64().unwrap(), 179);

    // Two members in one file, as `cat` puts them together.
    for name in ["access.log.1", "access.log.2"] {
        assert!(Command::new("gzip").arg(path.join(name)).status().unwrap().success());
    }
    let mut both = fs::read(path.join("access.log.2.gz")).unwrap();
    both.extend(fs::read(path.join("access.log.1.gz")).unwrap());
    fs::write(path.join("both.gz"), both).unwrap();
    for packed in [&["access.log.1.gz", "access.log", "access.log.2.gz"][..], &["both.gz", "access.log"]] {
        let mut told = load(path, &[&["--json", "--from-log"], packed].concat());
        told["files"] = plain["files"].clone();
        assert_eq!(told, plain, "{packed:?}");
    }
    // A file given twice is read once.
    let told = load(path, &["--json", "--from-log", "access.log", "./access.log"]);
    assert_eq!((&told["requests"], &told["files"]), (&600.into(), &1.into()));
    assert!(told["notes"][0].as_str().unwrap().contains("given twice"), "{told}");
}

#[test]
fn logs_written_at_the_same_time_are_one_load() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    // Two virtual hosts with other clients, in formats of their own.
    fs::write(path.join("a.log"), lines(100..400, 3, 2, "")).unwrap();
    let other: String = lines(200..300, 8, 1, "")
        .lines()
        .map(|line| format!("b.example:443 {}\n", line.replace("192.0.2", "198.51.100")))
        .collect();
    fs::write(path.join("b.log"), other).unwrap();
    for files in [["a.log", "b.log"], ["b.log", "a.log"]] {
        let told = load(path, &[&["--json", "--from-log"], &files[..]].concat());
        assert_eq!((&told["peak_second"]["value"], &told["connections"]["lower"]), (&14.into(), &11.into()));
        assert_eq!(told["formats"], json!(["combined", "vhost_combined"]));
        assert_eq!((&told["damaged"], &told["misplaced"]), (&0.into(), &0.into()));
    }
}

#[test]
fn durations_give_what_was_under_way_and_sizes_follow() {
    let dir = TempDir::new().unwrap();
    // 20 clients with 2 requests a second of half a second each, and one damaged line.
    let text = lines(0..600, 20, 2, " 500000") + "192.0.2.1 - - [21/Nov/2026:00:";
    fs::write(dir.path().join("own.log"), text).unwrap();
    let format = r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\" %D"#;
    let arguments = ["--from-log", "own.log", "--log-format", format, "--svg", "load.svg"];
    let told = load(dir.path(), &[&["--json"], &arguments[..]].concat());
    assert_eq!((&told["concurrency"]["peak"], &told["concurrency"]["minute"]), (&20.into(), &20.into()));
    assert_eq!((&told["damaged"], &told["slow_percent"]), (&1.into(), &json!(0.0)));
    assert_eq!(told["busiest_hour"]["per_second"], json!(6.66));
    let drawn = fs::read_to_string(dir.path().join("load.svg")).unwrap();
    assert!(drawn.starts_with("<svg ") && drawn.matches("<polyline").count() == 3, "{drawn}");
    assert!(drawn.contains("proposed settings, at most"), "{drawn}");
    let text = run(dir.path(), &arguments);
    let text = String::from_utf8(text.stdout).unwrap();
    for part in [
        "20 requests in the busiest second",
        "1 of 24001 lines",
        "MaxRequestWorkers",
        "25  20 under way in the busiest second",
        "a connection is kept for 5 s after its last answer: --keepalive-timeout",
        "Little's law",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains('\x1b') && !text.contains('\r'), "{text}");
}

#[test]
fn a_hosts_own_format_and_timeout_are_read_from_its_configuration() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    let etc = path.join("root/etc/apache2");
    fs::create_dir_all(etc.join("mods-enabled")).unwrap();
    fs::create_dir_all(path.join("root/usr/sbin")).unwrap();
    fs::write(path.join("root/etc/os-release"), "ID=debian\nVERSION_ID=\"13\"\n").unwrap();
    fs::write(etc.join("envvars"), "").unwrap();
    fs::write(
        etc.join("apache2.conf"),
        "LoadModule mpm_event_module m.so\nKeepAliveTimeout 9\nMaxRequestWorkers 100\nThreadsPerChild 25\n\
         LogFormat \"%{ms}T|%a|%t|%O|%>s\" odd\nCustomLog /var/log/odd.log odd\n",
    )
    .unwrap();
    fs::write(path.join("odd.log"), "250|192.0.2.1|[21/Nov/2026:00:00:00 +0100]|100|200\n".repeat(8))
        .unwrap();
    let output = run(path, &["--from-log", "odd.log", "--root", "root", "--json", "--svg", "a.svg"]);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(told["load"]["formats"], json!(["odd"]));
    assert_eq!((&told["load"]["requests"], &told["load"]["concurrency"]["peak"]), (&8.into(), &2.into()));
    assert!(told["assumed"][0].as_str().unwrap().contains("9 s"), "{}", told["assumed"]);
    // Event holds so many with its default factor of 2.
    assert_eq!(told["present"]["connections"], 300);
    assert!(fs::read_to_string(path.join("a.svg")).unwrap().contains("present settings, at most: 300"));
    // A root without a server is named.
    let output = run(path, &["--from-log", "odd.log", "--root", "root/usr"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--root root/usr: "));
}

#[test]
fn what_is_damaged_is_counted_and_the_rest_is_read() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    let good = lines(0..100, 5, 2, "");
    let check = |name: &str, requests: u64, damaged: u64| {
        let told = load(path, &["--json", "--from-log", name]);
        assert_eq!(
            (&told["requests"], &told["damaged"]),
            (&requests.into(), &damaged.into()),
            "{name}: {told}"
        );
        told
    };
    let mut bytes = good.clone().into_bytes();
    bytes.extend([0_u8, 255, 10, 10, 0x1f, 0x8b, 10]);
    bytes.extend(good.as_bytes());
    fs::write(path.join("binary"), &bytes).unwrap();
    check("binary", 2000, 3);
    // Longer than any block, in the middle, at the start and at the end.
    let long = "x".repeat(3 << 20);
    for (name, text) in [
        ("middle", format!("{good}{long}\n{good}")),
        ("start", format!("{long}\n{good}{good}")),
        ("end", format!("{good}{good}{long}")),
    ] {
        fs::write(path.join(name), text).unwrap();
        check(name, 2000, 1);
    }
    // A format that was changed in between, and lines that end as on another system.
    let changed = lines(100..200, 5, 2, "").replace(" 200 5000 ", " 200 5000 5000 ");
    let own = changed.replace("\"-\" \"Mozilla/5.0\"", "\"-\" \"Mozilla/5.0\" 1 2");
    fs::write(path.join("changed"), format!("{good}{}", own.replace(" 5000 5000 ", " 5000 "))).unwrap();
    let told = check("changed", 1985, 15);
    assert_eq!(told["formats"], json!(["combinedio"]));
    fs::write(path.join("returns"), good.replace('\n', "\r\n")).unwrap();
    check("returns", 1000, 0);
    // A date that a broken clock or somebody's hand wrote.
    let wrong = "192.0.2.1 - - [21/Nov/9000:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"\n";
    fs::write(path.join("date"), format!("{good}{wrong}{}", lines(100..200, 5, 2, ""))).unwrap();
    let told = check("date", 2001, 0);
    assert_eq!((&told["misplaced"], &told["peak_second"]["value"]), (&1.into(), &10.into()));
    assert_eq!(told["to"].as_u64().unwrap() - told["from"].as_u64().unwrap(), 199);
    // What is cut off counts as far as it goes.
    fs::write(path.join("cut"), lines(0..9000, 5, 2, "")).unwrap();
    assert!(Command::new("gzip").arg(path.join("cut")).status().unwrap().success());
    let whole = fs::read(path.join("cut.gz")).unwrap();
    fs::write(path.join("cut.gz"), &whole[..whole.len() / 2]).unwrap();
    let told = load(path, &["--json", "--from-log", "cut.gz"]);
    let requests = told["requests"].as_u64().unwrap();
    assert!((1000..89_000).contains(&requests), "{told}");
    assert!(told["notes"][0].as_str().unwrap().contains("cut.gz: the gzip file is cut off"), "{told}");
    let mut broken = whole.clone();
    let middle = whole.len() / 2;
    broken[middle..middle + 20].fill(0xaa);
    fs::write(path.join("broken.gz"), broken).unwrap();
    let told = load(path, &["--json", "--from-log", "broken.gz"]);
    assert!(told["requests"].as_u64().unwrap() > 1000, "{told}");
    // A pipe is a log too.
    let pipe = path.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let (pipe, good) = (pipe.clone(), good.clone());
        move || fs::write(pipe, good)
    });
    check("pipe", 1000, 0);
    writer.join().unwrap().unwrap();
}

/// A request of the property: second, client, duration in milliseconds, bytes.
type Drawn = (u64, u8, u64, u64);

/// What a reader shows that looks at every second by itself.
fn simple(requests: &[Drawn], keep: u64) -> (u64, u64, u64) {
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut clients, mut kept): (BTreeMap<u64, BTreeSet<u8>>, BTreeMap<u64, u64>) = Default::default();
    for (second, client, took, _) in requests {
        *seconds.entry(*second).or_default() += 1;
        for at in *second..=(second * 1000 + 500 + took) / 1000 + keep {
            clients.entry(at).or_default().insert(*client);
            *kept.entry(at).or_default() += 1;
        }
    }
    (
        seconds.values().copied().max().unwrap(),
        clients.values().map(|all| all.len() as u64).max().unwrap(),
        kept.values().copied().max().unwrap(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn random_logs_are_read_as_a_simple_reader_reads_them(
        mut requests in prop::collection::vec((0_u64..400, 0_u8..9, 0_u64..4000, 0_u64..5000), 1..300),
        broken in prop::collection::vec(("[^\n]{1,60}", 0_usize..300), 0..6),
        keep in 4_u64..20,
        cut in 1_usize..4,
    ) {
        // httpd writes a line when its request has ended.
        requests.sort_by_key(|(second, _, took, _)| (second * 1000 + 500 + took) / 1000);
        let mut text: Vec<String> = requests
            .iter()
            .map(|(second, client, took, bytes)| {
                let second = u32::try_from(*second).unwrap();
                format!("10.0.0.{client} - - {} \"GET / HTTP/1.1\" 200 {bytes} {took}", time(second))
            })
            .collect();
        for (line, at) in &broken {
            text.insert(at % (text.len() + 1), line.clone());
        }
        // In several files, the last one first.
        let dir = TempDir::new().unwrap();
        let mut files = Vec::new();
        for (n, part) in text.chunks(text.len().div_ceil(cut)).enumerate() {
            let file = dir.path().join(n.to_string());
            fs::write(&file, part.join("\n") + "\n").unwrap();
            files.insert(0, file);
        }
        let format = Some(r#"%h %l %u %t "%r" %>s %b %{ms}T"#.to_owned());
        let options = Options { format, formats: Vec::new(), keep_alive: keep };
        let (load, _) = access_log::read(&files, &options, &mut |_| {}).unwrap();
        let (second, clients, kept) = simple(&requests, keep);
        prop_assert_eq!((load.requests, load.damaged), (requests.len() as u64, broken.len() as u64));
        prop_assert_eq!(load.bytes, requests.iter().map(|request| request.3).sum::<u64>());
        prop_assert_eq!((load.peak_second.value, load.connections.lower), (second, clients));
        prop_assert_eq!(load.connections.most, kept);
        prop_assert!(load.connections.lower <= load.connections.upper, "{load:?}");
        prop_assert!(load.connections.upper <= load.connections.most.max(clients * 6), "{load:?}");
        // The time of all requests is in the hour, but for what each part of a second rounds.
        let took: u64 = requests.iter().map(|request| request.2).sum();
        let told = load.busiest_hour.concurrency.unwrap() * 3600.0;
        prop_assert!((told - took as f64 / 1000.0).abs() <= 36.0 + took as f64 / 1e5, "{told} {took}");
    }
}

#[test]
fn what_is_no_log_is_one_clear_message() {
    let dir = TempDir::new().unwrap();
    let path = dir.path();
    fs::write(path.join("empty.log"), "").unwrap();
    fs::write(path.join("binary"), [0_u8, 1, 2, 255, 10, 0]).unwrap();
    fs::write(path.join("error.log"), "[Sat Nov 21 06:00:00 2026] [core:notice] AH00094\n").unwrap();
    fs::write(path.join("a.xz"), b"\xfd7zXZ\0rest").unwrap();
    for (arguments, code, part) in [
        (&["--from-log", "none.log"][..], 1, "none.log: No such file"),
        (&["--from-log", "."], 1, "is a directory"),
        (&["--from-log", "empty.log"], 1, "empty.log: is empty: nothing can be counted"),
        (&["--from-log", "binary"], 1, "binary: no line is of the format"),
        (&["--from-log", "error.log"], 1, "the first line: \"[Sat Nov 21"),
        (&["--from-log", "a.xz"], 1, "xzcat a.xz | apache-tuning size --from-log -"),
        (&["--from-log", "/dev/zero"], 1, "/dev/zero: is neither a file nor a pipe"),
        (&["--from-log", "x", "--mean-size", "0"], 2, "--mean-size takes an amount"),
        (&["--from-log", "error.log", "--log-format", "%h %r"], 1, "--log-format: it has no %t"),
        (&["--from-log"], 2, "from-log"),
        (&["--from-log", "x", "--connections", "5"], 2, "exclude each other"),
        (&["--connections", "5", "--svg", "x"], 2, "go with --from-log"),
        (&["--from-log", "x", "--keepalive-timeout", "2001"], 2, "at most 2000 seconds"),
        (&["--connections", "5", "--rate", "10"], 2, "--rate and --mean-size go together"),
    ] {
        let output = run(path, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert!(!told.contains("panicked") && told.lines().next().unwrap().len() < 500, "{told}");
        assert!(code == 2 || told.lines().count() == 1, "{told}");
    }
}

#[test]
fn a_rate_and_a_size_tell_bandwidth_and_what_bounds_it() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--connections", "4000", "--rate", "1000", "--mean-size", "40000"];
    let output = run(dir.path(), &[&["--json"], &arguments[..]].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["traffic"]["bits_per_second"], 352_000_000);
    let workers = told["capacity"]["workers"].as_f64().unwrap();
    assert!(
        (told["traffic"]["seconds_per_request"].as_f64().unwrap() - workers / 1000.0).abs() < 1e-5,
        "{told}"
    );
    let text = String::from_utf8(run(dir.path(), &arguments).stdout).unwrap();
    assert!(text.contains("352.0 Mbit/s upstream") && text.contains("Little's law"), "{text}");
}
