//! `bench capacity --program APACHE-TUNING [--quick]`: stock settings, often copied ones and this tool's, under loads of
//! kept connections and bursts of requests, on a real host; `bench change --program APACHE-TUNING`: what a change costs.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use apache_tuning::capacity::{self, MemoryNeed};
use apache_tuning::facts::disk::Disk;
use apache_tuning::facts::{Machine, process};
use apache_tuning::httpd::normalise::normalise;
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params;
use apache_tuning::units::Bytes;
use bench::change;
use bench::load::{Burst, Plan};
use bench::page::{self, Row};
use bench::web::{Web, threads};
use rustix::process::{Resource, getrlimit, setrlimit};

fn main() -> ExitCode {
    let mut arguments = lexopt::Parser::from_env();
    let (mut quick, mut named, mut program) = (false, None, None);
    while let Ok(Some(argument)) = arguments.next() {
        match argument {
            lexopt::Arg::Long("quick") => quick = true,
            lexopt::Arg::Long("program") => program = arguments.value().ok().map(PathBuf::from),
            lexopt::Arg::Value(name) if name == "capacity" || name == "change" => named = Some(name),
            _ => named = None,
        }
    }
    let (Some(name), Some(program)) = (named, program) else {
        eprintln!("usage: bench capacity|change --program APACHE-TUNING [--quick]");
        return ExitCode::from(2);
    };
    let within = if name == "change" { change::run(&program) } else { run(&program, quick) };
    match within {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench {}: {error:#}", name.display());
            ExitCode::from(2)
        }
    }
}

/// Whose numbers a server runs with.
#[derive(Clone, Copy)]
enum Settings {
    /// Debian's own.
    Stock,
    /// Given ones, with their name.
    Given(&'static str, &'static [(&'static str, u64)]),
    /// Those that the program works out.
    Capacity,
}

/// Number sets that are often copied, with the same shape: so many processes of so many threads.
const WORKER_250_X_32: Settings = Settings::Given(
    "250 x 32 worker",
    &[
        ("start_servers", 250),
        ("server_limit", 250),
        ("thread_limit", 32),
        ("threads_per_child", 32),
        ("max_request_workers", 8000),
        ("min_spare_threads", 75),
        ("max_spare_threads", 8000),
    ],
);
const WORKER_161_X_25: Settings = Settings::Given(
    "161 x 25 worker",
    &[
        ("start_servers", 161),
        ("server_limit", 161),
        ("threads_per_child", 25),
        ("max_request_workers", 4025),
        ("min_spare_threads", 75),
        ("max_spare_threads", 4025),
    ],
);
const EVENT_16_X_64: Settings = Settings::Given(
    "16 x 64 event, 2",
    &[
        ("start_servers", 16),
        ("server_limit", 32),
        ("threads_per_child", 64),
        ("max_request_workers", 1024),
        ("min_spare_threads", 75),
        ("max_spare_threads", 1100),
        ("async_request_worker_factor", 2),
    ],
);

/// The loads, and the number sets that carry each beside Debian's own and this tool's.
const LOADS: [(Mpm, usize, &[Settings]); 6] = [
    (Mpm::Event, 1000, &[EVENT_16_X_64]),
    (Mpm::Event, 4025, &[EVENT_16_X_64]),
    (Mpm::Event, 5000, &[EVENT_16_X_64]),
    (Mpm::Event, 10_000, &[EVENT_16_X_64]),
    (Mpm::Worker, 1000, &[WORKER_250_X_32, WORKER_161_X_25]),
    (Mpm::Worker, 4025, &[WORKER_250_X_32, WORKER_161_X_25]),
];

fn run(program: &Path, quick: bool) -> Result<bool> {
    let quickly: [(Mpm, usize, &[Settings]); 1] = [(Mpm::Event, 1500, &[])];
    let loads = if quick { &quickly[..] } else { &LOADS[..] };
    raise_files(loads.iter().map(|(_, n, _)| *n as u64 * 5 / 4).max().unwrap_or(0) + 100)?;
    let mut rows = Vec::new();
    for (mpm, connections, given) in loads {
        let (row, need) = measure(program, *mpm, Settings::Stock, *connections, None)?;
        rows.push(row);
        for settings in given.iter().copied().chain([Settings::Capacity]) {
            match measure(program, *mpm, settings, *connections, Some(&need)) {
                Ok((row, _)) => rows.push(row),
                Err(error) => println!("{mpm} {connections}: not measured: {error:#}"),
            }
        }
    }
    println!("\n{}", page::table(&rows));
    if !quick {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        std::fs::write(docs.join("capacity.md"), page::page(&rows, &description()))?;
        std::fs::write(docs.join("capacity.svg"), page::plot(&rows))?;
    }
    let faults = page::faults(&rows);
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(faults.is_empty())
}

/// How long each request of a burst holds its worker, and how long it may wait for one.
const BURST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(6));

/// Puts a host's server under one load with its bursts, and returns what happened and what its processes need.
fn measure(
    program: &Path,
    mpm: Mpm,
    settings: Settings,
    connections: usize,
    need: Option<&MemoryNeed>,
) -> Result<(Row, MemoryNeed)> {
    let web = Web::stock(mpm, program);
    let name = match settings {
        Settings::Stock => format!("stock {mpm}"),
        Settings::Given(name, numbers) => {
            web.set(numbers)?;
            name.to_owned()
        }
        Settings::Capacity => {
            web.size_for(connections)?;
            format!("capacity {mpm}")
        }
    };
    let normal = normalise(mpm, Version::NEWEST_KNOWN, &web.numbers()?);
    let shape = capacity::Server::new(mpm, Version::NEWEST_KNOWN);
    let running = web.running()?;
    // Children are forked one after the other.
    std::thread::sleep(Duration::from_secs(2));
    let mut load = web.load(Plan {
        connections,
        rate: 1000,
        at_once: 40,
        patience: Duration::from_secs(5),
        hold: Duration::from_millis(500),
    })?;
    let files = Disk::new(Path::new("/"));
    let threads_each = u64::try_from(normal.sizes.threads).unwrap_or(1);
    let Some(measured) = process::measure(&files, &running, Some(threads_each)) else {
        bail!("the server's memory cannot be seen: run this as root");
    };
    let threads = threads(&running);
    let asked = params::Memory { per_worker: Some("measured".to_owned()), reserve: Some("0".to_owned()) };
    let own = MemoryNeed::new(Some(&asked), Some(&measured)).unwrap_or_default();
    let load_of = Some(connections as u64);
    let report = capacity::assess(
        &shape,
        &normal,
        load_of,
        &Machine::default(),
        need.unwrap_or(&MemoryNeed::default()),
    );
    let (hold, patience) = BURST;
    let quarter = connections / 4;
    let on_new = web.burst(&mut load, Burst::New(quarter), hold, patience)?;
    let on_held = web.burst(&mut load, Burst::Held(quarter), hold, patience)?;
    // What a worker needs, it has touched when it has served: the bursts are the full load that is predicted.
    let pss = process::measure(&files, &running, Some(threads_each)).map_or(measured.pss, |after| after.pss);
    let outcome = load.ask_all()?;
    // Ours is driven on, until the first idle connection is closed.
    let predicted = usize::try_from(report.burst.unwrap_or(0)).unwrap_or(usize::MAX);
    let mut first_cut = None;
    if matches!(settings, Settings::Capacity) && mpm == Mpm::Event {
        for tenths in 10..=20 {
            let burst = (predicted * tenths / 10).min(load.idle());
            let seen = web.burst(&mut load, Burst::Held(burst), Duration::from_secs(1), patience)?;
            if seen.cut > 0 {
                first_cut = Some(burst);
                break;
            }
        }
    }
    println!(
        "  {name} {connections}: {outcome:?}; new: {} answered, {:?}; held: {} answered, {:?}; first cut {first_cut:?}",
        on_new.answered,
        on_new.within(50),
        on_held.answered,
        on_held.within(50)
    );
    let row = Row {
        name,
        ours: matches!(settings, Settings::Capacity),
        asked: connections,
        outcome,
        on_new,
        on_held,
        first_cut,
        threads,
        pss: pss.mib(),
        predicted_pss: report.memory_mb,
        predicted_connections: report.connections.unwrap_or_default(),
        predicted_burst: report.burst.unwrap_or_default(),
    };
    Ok((row, own))
}

/// Returns this machine in words: processors, memory, kernel and the server's version.
fn description() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.split('-').next().unwrap_or_default();
    let memory =
        apache_tuning::facts::parse::kib_field(read("/proc/meminfo").as_bytes(), "MemTotal").unwrap_or(0);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let version = bench::server::httpd().and_then(|mut httpd| Ok(httpd.arg("-v").output()?));
    let version =
        version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = version
        .lines()
        .next()
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("an unknown httpd")
        .to_owned();
    format!("{cpus} processors, {}, Linux {}, {version}", Bytes(memory), kernel.trim())
}

/// Lets this process, and the servers it starts, open so many files.
fn raise_files(wanted: u64) -> Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = Some(wanted.min(limit.maximum.unwrap_or(wanted)));
    setrlimit(Resource::Nofile, limit)?;
    if limit.current < Some(wanted) {
        bail!(
            "this machine allows {:?} open files, but {wanted} are needed: raise the hard limit (ulimit -Hn)",
            limit.current
        );
    }
    Ok(())
}
