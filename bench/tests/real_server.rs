//! The real server on a loopback port: what is predicted and read about it is so.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use apache_tuning::access_log::{self, LogLoad, Options};
use apache_tuning::capacity::{self, Demand, MemoryNeed};
use apache_tuning::facts::disk::Disk;
use apache_tuning::facts::{Machine, process, status};
use apache_tuning::httpd::normalise::{Written, normalise};
use apache_tuning::httpd::read::{Start, read};
use apache_tuning::httpd::{Mpm, Version};
use bench::load::{Burst, Load, Plan};
use bench::server::{BINARY, Server};

/// Sizes for so many connections on a machine without limits.
fn sized(mpm: Mpm, connections: u64) -> Written {
    let server = capacity::Server::new(mpm, Version::NEWEST_KNOWN);
    let demand = Demand { connections, ..Demand::default() };
    capacity::size(demand, server, &Machine::default(), &MemoryNeed::default()).unwrap().written()
}

fn plan(connections: usize) -> Plan {
    Plan {
        connections,
        rate: 1000,
        at_once: 40,
        patience: Duration::from_secs(20),
        hold: Duration::from_millis(500),
    }
}

#[test]
fn fifteen_hundred_connections_are_held_by_event_and_none_is_cut() {
    let written = sized(Mpm::Event, 1500);
    let server = Server::start(Mpm::Event, &written).unwrap();
    let load = Load::open(server.address, plan(1500)).unwrap();
    let threads = server.threads();
    let url = format!("http://{}/server-status", server.address);
    let told = status::ask(&url, Duration::from_secs(10)).unwrap();
    let outcome = load.finish().unwrap();
    assert_eq!((outcome.served, outcome.held, outcome.cut), (1500, 1500, 0), "{outcome:?}\n{}", server.log());
    assert!(threads < 1200, "{threads} threads");
    assert_eq!(told.mpm.as_deref(), Some("event"));
    // Event adds up connections only when a listener wakes, so their number may lag; workers it knows at once.
    let workers = told.idle_workers.unwrap() + told.busy_workers.unwrap();
    assert_eq!(workers.to_string(), written["MaxRequestWorkers"], "{told:?}");
    assert_eq!(
        told.scoreboard.values().sum::<u64>() - told.scoreboard.get("open_slots").unwrap_or(&0),
        workers
    );
}

/// Returns the idle connections that the processes of a server hold, the fullest first.
fn held_by_each(server: &Server) -> Vec<usize> {
    let files = Disk::new(Path::new("/"));
    let sockets = |pid: u32| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))
        })
        .count()
    };
    let own = sockets(server.running.parent);
    let mut held: Vec<usize> = process::children(&files, &server.running)
        .into_iter()
        .map(|pid| sockets(pid).saturating_sub(own))
        .collect();
    held.sort_unstable_by(|one, other| other.cmp(one));
    held
}

#[test]
fn a_burst_is_answered_and_cuts_none_but_what_processes_with_few_connections_hold() {
    let written = sized(Mpm::Event, 1500);
    let server = Server::start(Mpm::Event, &written).unwrap();
    let mut load = Load::open(server.address, plan(1500)).unwrap();
    assert_eq!(load.idle(), 1500, "{}", server.log());
    let spread = held_by_each(&server);
    let (hold, patience) = (Duration::from_secs(2), Duration::from_secs(10));
    // A process that holds no more than its factor takes new connections with all its workers, and then closes its few.
    let factor: usize = written["AsyncRequestWorkerFactor"].parse().unwrap();
    let few: usize = spread.iter().filter(|held| **held <= factor).sum();
    let mut cut = 0;
    for (burst, most) in [(Burst::New(375), few), (Burst::Held(375), 0)] {
        let seen = load.burst(burst, hold, patience).unwrap();
        assert_eq!(seen.answered, 375, "{burst:?}, held {spread:?}\n{}", server.log());
        assert!(seen.cut <= most, "{burst:?}: {} of {most} cut, held {spread:?}\n{}", seen.cut, server.log());
        cut += seen.cut;
        assert!(seen.within(100).unwrap() < Duration::from_secs(2), "{:?}", seen.within(100));
        // Closing the new connections takes a worker each; the next burst is to meet idle ones.
        let until = Instant::now() + patience;
        while held_by_each(&server).iter().sum::<usize>() > 1500 - cut && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
    }
    let outcome = load.finish().unwrap();
    assert_eq!((outcome.held, outcome.cut), (1500 - cut, cut), "{outcome:?}");

    // The same load on few workers with a high factor: what the burst does to them is what is predicted.
    let few = [
        ("StartServers", "4"),
        ("ServerLimit", "8"),
        ("ThreadsPerChild", "25"),
        ("MaxRequestWorkers", "100"),
        ("MinSpareThreads", "76"),
        ("MaxSpareThreads", "102"),
        ("AsyncRequestWorkerFactor", "40"),
    ];
    let few: Written = few.map(|(name, value)| (name, value.to_owned())).into();
    let normal = normalise(Mpm::Event, Version::NEWEST_KNOWN, &few);
    let shape = capacity::Server::new(Mpm::Event, Version::NEWEST_KNOWN);
    let predicted =
        capacity::assess(&shape, &normal, Some(1500), &Machine::default(), &MemoryNeed::default());
    assert!(predicted.burst.unwrap() < 100, "{predicted:?}");
    let server = Server::start(Mpm::Event, &few).unwrap();
    let mut load = Load::open(server.address, plan(1500)).unwrap();
    let seen = load.burst(Burst::Held(375), hold, patience).unwrap();
    assert!(seen.cut > 100, "{} cut, {} answered", seen.cut, seen.answered);
}

#[test]
fn a_server_at_its_limit_holds_what_was_predicted() {
    for (mpm, most) in [(Mpm::Worker, 50), (Mpm::Event, 150)] {
        let written: Written = [
            ("StartServers", "2"),
            ("MaxRequestWorkers", "50"),
            ("MinSpareThreads", "49"),
            ("MaxSpareThreads", "80"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        let normal = normalise(mpm, Version::NEWEST_KNOWN, &written);
        let shape = capacity::Server::new(mpm, Version::NEWEST_KNOWN);
        let predicted = capacity::assess(&shape, &normal, None, &Machine::default(), &MemoryNeed::default());
        assert_eq!(predicted.connections, Some(most));
        let server = Server::start(mpm, &written).unwrap();
        let patience = Duration::from_secs(2);
        let load = Load::open(server.address, Plan { patience, ..plan(250) }).unwrap();
        let seen = load.finish().unwrap().served as u64;
        assert!(seen.abs_diff(most) * 20 <= most, "{mpm}: {seen} served, {most} predicted");
    }
}

/// Returns the descriptors that each process of a server has open at rest, and those that are counted beyond the
/// ones of one address and one log.
fn descriptors(mpm: Mpm, lines: &str) -> (usize, u64) {
    let server = Server::start_with(mpm, &sized(mpm, 60), lines).unwrap();
    let files = Disk::new(Path::new("/"));
    let start = Start {
        file: server.configuration(),
        first: Vec::new(),
        then: Vec::new(),
        unknown: apache_tuning::httpd::start::Unknown::default(),
        binary: BINARY.into(),
        server_root: "/".into(),
        version: Version::NEWEST_KNOWN,
        built_in: Vec::new(),
        defines: Vec::new(),
        environment: std::collections::BTreeMap::new(),
        table: &apache_tuning::registry::TABLE,
    };
    let counted = capacity::Server::of(mpm, Version::NEWEST_KNOWN, &read(&files, &start)).extra_files;
    let is_server =
        |pid: &u32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.ends_with("apache2"));
    let open = |pid: u32| fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
    let (mut before, mut same) = (Vec::new(), 0);
    // A process forked just now has not opened its own yet.
    for _ in 0..500 {
        thread::sleep(Duration::from_millis(20));
        let children = process::children(&files, &server.running).into_iter().filter(is_server);
        let seen: Vec<usize> = children.map(open).collect();
        let alike = !seen.is_empty() && seen.iter().all(|one| *one == seen[0]);
        same = if alike && seen == before { same + 1 } else { 0 };
        if same == 10 {
            return (seen[0], counted);
        }
        before = seen;
    }
    panic!("{mpm}: the processes differ: {before:?}\n{}", server.log());
}

#[test]
fn each_log_and_each_address_costs_every_process_a_descriptor() {
    let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let lines = "CustomLog first %h\nCustomLog first %h\nTransferLog \"|/bin/cat\"\n\
                 <VirtualHost *>\nErrorLog own\nCustomLog first %h\n</VirtualHost>\n\
                 <VirtualHost *>\nErrorLog own\n</VirtualHost>\n\
                 <VirtualHost *>\nErrorLog syslog:local7\nCustomLog own %h\n</VirtualHost>\n";
    let lines = format!("Listen {free}\n{lines}");
    for mpm in Mpm::ALL {
        let ((plain, none), (open, counted)) = (descriptors(mpm, ""), descriptors(mpm, &lines));
        assert_eq!((none, counted, open - plain), (0, 7, 7), "{mpm}");
    }
}

#[test]
fn the_running_server_is_read_as_it_is() {
    for mpm in Mpm::ALL {
        let server = Server::start(mpm, &sized(mpm, 60)).unwrap();
        let files = Disk::new(Path::new("/"));
        let up = fs::read_to_string("/proc/uptime").unwrap();
        let now: u64 = up.split('.').next().unwrap().parse().unwrap();
        let found = process::describe(&files, server.running.parent);
        assert_eq!((found.parent, found.mpm), (server.running.parent, Some(mpm)));
        let started = found.identity.as_ref().unwrap().ticks / 100;
        assert!(started.abs_diff(now) <= 5, "{found:?} {now}");

        // Children are forked one after the other.
        thread::sleep(Duration::from_secs(1));
        let normal = normalise(mpm, Version::NEWEST_KNOWN, &sized(mpm, 60));
        let threads = u64::try_from(normal.sizes.threads).unwrap();
        let measured = process::measure(&files, &found, None).unwrap();
        assert_eq!(measured.processes, u64::try_from(normal.sizes.started).unwrap(), "{mpm}");
        assert_eq!(measured.workers, measured.processes * threads, "{mpm}");
        let parts = measured.shared.0
            + measured.processes * measured.per_process.0
            + measured.workers * measured.per_worker.0
            + measured.connections * measured.per_connection.0;
        assert!(
            parts.abs_diff(measured.pss.0) * 50 <= measured.pss.0,
            "{mpm}: {parts} of {}",
            measured.pss.0
        );
        assert!(measured.rss >= measured.pss && measured.pss >= measured.private, "{mpm}");
    }
}

/// Asks again and again on one connection until `until`, each time for so long.
fn ask_for(address: SocketAddr, each: Duration, until: Instant) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut answer = [0; 4096];
    while Instant::now() < until {
        let began = Instant::now();
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        assert!(stream.read(&mut answer).unwrap() > 0);
        thread::sleep(each.saturating_sub(began.elapsed()));
        stream.write_all(b"x").unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"held\n") {
            let count = stream.read(&mut answer).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&got));
            got.extend_from_slice(&answer[..count]);
        }
    }
}

/// Clients at once: so many, from so many seconds on, until so many.
type Shape = &'static [(usize, f64, f64)];

/// Lets a real httpd log a load of a shape, with durations and without, and returns what both logs show.
fn logged(shape: Shape, each: Duration) -> (LogLoad, LogLoad) {
    let dir = tempfile::tempdir().unwrap();
    let (timed, plain) = (dir.path().join("timed.log"), dir.path().join("plain.log"));
    let format = r#"%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\""#;
    let lines = format!(
        "CustomLog {} \"{format} %D\"\nCustomLog {} \"{format}\"\n",
        timed.display(),
        plain.display()
    );
    let server = Server::start_with(Mpm::Event, &sized(Mpm::Event, 500), &lines).unwrap();
    let began = Instant::now();
    thread::scope(|scope| {
        for (clients, from, until) in shape {
            for client in 0..*clients {
                // Not all at once, as if they knew nothing of each other.
                let apart = Duration::from_millis(250).mul_f64(client as f64 / *clients as f64);
                let from = Duration::from_secs_f64(*from) + apart;
                let until = began + Duration::from_secs_f64(*until);
                let address = server.address;
                scope.spawn(move || {
                    thread::sleep(from.saturating_sub(began.elapsed()));
                    ask_for(address, each, until);
                });
            }
        }
    });
    thread::sleep(Duration::from_millis(300));
    drop(server);
    let read = |path, format| {
        let options = Options { format, formats: Vec::new(), keep_alive: 5 };
        access_log::read(&[path], &options, &mut |_| {}).unwrap().0
    };
    (read(timed, Some(format!("{format} %D"))), read(plain, None))
}

#[test]
fn the_log_of_a_known_load_gives_it_back() {
    // Steady with short requests, a step and back again, and one burst.
    let shapes: [(Shape, u64, usize); 3] = [
        (&[(40, 0.0, 6.0)], 500, 40),
        (&[(20, 0.0, 9.0), (60, 3.0, 6.0)], 250, 80),
        (&[(120, 0.5, 1.0)], 3000, 120),
    ];
    for (shape, each, known) in shapes {
        let (timed, plain) = logged(shape, Duration::from_millis(each));
        let known = known as u64;
        let peak = timed.concurrency.unwrap().peak;
        assert!(peak.abs_diff(known) * 10 <= known, "{peak} of {known} under way: {timed:?}");
        assert_eq!((timed.damaged, plain.damaged, plain.concurrency), (0, 0, None));
        assert_eq!(timed.requests, plain.requests);
        let open = plain.connections;
        assert!((open.lower..=open.most).contains(&known), "{known}: {open:?}");
    }
}
