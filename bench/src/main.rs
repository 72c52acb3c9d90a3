//! `bench capacity [--quick]`: stock settings and this tool's, under loads of kept connections, on a real server.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use apache_tuning::capacity::{self, Demand, MemoryNeed};
use apache_tuning::facts::disk::Disk;
use apache_tuning::facts::{Known, Machine, process};
use apache_tuning::httpd::normalise::{Written, normalise};
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params;
use apache_tuning::units::Bytes;
use bench::load::{Load, Plan};
use bench::page::{self, Row};
use bench::server::Server;
use rustix::process::{Resource, getrlimit, setrlimit};

fn main() -> ExitCode {
    let mut arguments = lexopt::Parser::from_env();
    let (mut quick, mut named) = (false, false);
    while let Ok(Some(argument)) = arguments.next() {
        match argument {
            lexopt::Arg::Long("quick") => quick = true,
            lexopt::Arg::Value(name) if name == "capacity" => named = true,
            _ => named = false,
        }
    }
    if !named {
        eprintln!("usage: bench capacity [--quick]");
        return ExitCode::from(2);
    }
    match run(quick) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench capacity: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Debian's numbers for event and worker.
const STOCK: [(&str, &str); 6] = [
    ("StartServers", "2"),
    ("MinSpareThreads", "25"),
    ("MaxSpareThreads", "75"),
    ("ThreadLimit", "64"),
    ("ThreadsPerChild", "25"),
    ("MaxRequestWorkers", "150"),
];

fn run(quick: bool) -> Result<bool> {
    let most: &[(Mpm, usize)] = if quick {
        &[(Mpm::Event, 1500)]
    } else {
        &[
            (Mpm::Event, 1000),
            (Mpm::Event, 4025),
            (Mpm::Event, 5000),
            (Mpm::Event, 10_000),
            (Mpm::Worker, 1000),
            (Mpm::Worker, 4025),
        ]
    };
    raise_files(most.iter().map(|(_, n)| *n as u64).max().unwrap_or(0) + 100)?;
    let mut rows = Vec::new();
    let mut need = None;
    for (mpm, connections) in most {
        if need.as_ref().is_none_or(|(of, _)| of != mpm) {
            let stock: Written = STOCK.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let (row, measured) = measure(*mpm, "stock", &stock, *connections, None)?;
            rows.push(row);
            need = Some((*mpm, measured));
        }
        let machine = machine();
        let demand = Demand { connections: *connections as u64, active: None };
        let server = capacity::Server::new(*mpm, Version::NEWEST_KNOWN);
        let proposal = match capacity::size(demand, server, &machine, &MemoryNeed::default()) {
            Ok(proposal) => proposal,
            Err(refusal) => {
                println!("{mpm} {connections}: this machine does not allow it: {}", refusal.message);
                continue;
            }
        };
        let (row, _) = measure(
            *mpm,
            "capacity",
            &proposal.written(),
            *connections,
            need.as_ref().map(|(_, need)| need),
        )?;
        rows.push(row);
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

/// Runs one server under one load, and returns what happened and what its processes need.
fn measure(
    mpm: Mpm,
    name: &str,
    written: &Written,
    connections: usize,
    need: Option<&MemoryNeed>,
) -> Result<(Row, MemoryNeed)> {
    let normal = normalise(mpm, Version::NEWEST_KNOWN, written);
    let shape = capacity::Server::new(mpm, Version::NEWEST_KNOWN);
    let server = Server::start(mpm, written)?;
    std::thread::sleep(Duration::from_secs(1));
    let plan = Plan {
        connections,
        rate: 1000,
        at_once: 40,
        patience: Duration::from_secs(5),
        hold: Duration::from_secs(3),
    };
    let load = Load::open(server.address, plan)?;
    let files = Disk::new(Path::new("/"));
    let threads_each = u64::try_from(normal.sizes.threads).unwrap_or(1);
    let Some(measured) = process::measure(&files, &server.running, Some(threads_each)) else {
        bail!("the server's memory cannot be seen: run this as root");
    };
    let threads = server.threads();
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

/// Returns this machine's limits, as the server started here meets them.
fn machine() -> Machine {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let cpus = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    Machine {
        memory: None::<Known<Bytes>>,
        cpus: Some(Known { value: cpus, source: "this machine".to_owned() }),
        open_files: Some(Known { value: files, source: "RLIMIT_NOFILE".to_owned() }),
        somaxconn: somaxconn.map(|value| Known { value, source: "/proc/sys/net/core/somaxconn".to_owned() }),
        ..Machine::default()
    }
}

/// Returns this machine in words: processors, memory, kernel and the server's version.
fn description() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let memory =
        apache_tuning::facts::parse::kib_field(read("/proc/meminfo").as_bytes(), "MemTotal").unwrap_or(0);
    let cpus = machine().cpus.map_or(1, |cpus| cpus.value);
    let version = std::process::Command::new("/usr/sbin/apache2").arg("-v").output();
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
