//! `bench capacity --program APACHE-TUNING [--quick]`: stock settings and this tool's, under loads of kept
//! connections, on a real host; `bench change --program APACHE-TUNING`: what a change costs.

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
use bench::load::Plan;
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

/// The loads, each for Debian's stock settings and for this tool's.
const LOADS: [(Mpm, usize); 6] = [
    (Mpm::Event, 1000),
    (Mpm::Event, 4025),
    (Mpm::Event, 5000),
    (Mpm::Event, 10_000),
    (Mpm::Worker, 1000),
    (Mpm::Worker, 4025),
];

fn run(program: &Path, quick: bool) -> Result<bool> {
    let loads = if quick { &[(Mpm::Event, 1500)][..] } else { &LOADS[..] };
    raise_files(loads.iter().map(|(_, n)| *n as u64).max().unwrap_or(0) + 100)?;
    let mut rows = Vec::new();
    for (mpm, connections) in loads {
        let web = Web::stock(*mpm, program);
        let (row, need) = measure(&web, *mpm, "stock", *connections, None)?;
        rows.push(row);
        match web.size_for(*connections) {
            Ok(_) => rows.push(measure(&web, *mpm, "capacity", *connections, Some(&need))?.0),
            Err(refusal) => println!("{mpm} {connections}: this machine does not allow it: {refusal:#}"),
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

/// Puts the host's server under one load, and returns what happened and what its processes need.
fn measure(
    web: &Web,
    mpm: Mpm,
    name: &str,
    connections: usize,
    need: Option<&MemoryNeed>,
) -> Result<(Row, MemoryNeed)> {
    let normal = normalise(mpm, Version::NEWEST_KNOWN, &web.numbers()?);
    let shape = capacity::Server::new(mpm, Version::NEWEST_KNOWN);
    let running = web.running()?;
    // Children are forked one after the other.
    std::thread::sleep(Duration::from_secs(1));
    let load = web.load(Plan {
        connections,
        rate: 1000,
        at_once: 40,
        patience: Duration::from_secs(5),
        hold: Duration::from_secs(3),
    })?;
    let files = Disk::new(Path::new("/"));
    let threads_each = u64::try_from(normal.sizes.threads).unwrap_or(1);
    let Some(measured) = process::measure(&files, &running, Some(threads_each)) else {
        bail!("the server's memory cannot be seen: run this as root");
    };
    let threads = threads(&running);
    let outcome = load.finish()?;
    let asked = params::Memory { per_worker: Some("measured".to_owned()), reserve: Some("0".to_owned()) };
    let own = MemoryNeed::new(Some(&asked), Some(&measured)).unwrap_or_default();
    let most =
        capacity::assess(&shape, &normal, None, &Machine::default(), &own).connections.unwrap_or_default();
    let report = need
        .map(|need| capacity::assess(&shape, &normal, Some(connections as u64), &Machine::default(), need));
    let predicted_pss = report.and_then(|report| report.memory_mb);
    println!(
        "  {name} {mpm}: shared {}, a process {}, a worker {}; {:?}",
        measured.shared, measured.per_process, measured.per_worker, outcome
    );
    let row = Row {
        name: format!("{name} {mpm}"),
        asked: connections,
        outcome,
        threads,
        pss: measured.pss.mib(),
        predicted_pss,
        predicted_connections: most,
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
