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
use bench::load::{Load, Outcome, Plan};
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

/// One row of the table.
struct Row {
    name: String,
    asked: usize,
    outcome: Outcome,
    threads: u64,
    pss: u64,
    predicted_pss: Option<u64>,
    predicted_connections: u64,
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
            println!("{}", line(&row));
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
        println!("{}", line(&row));
        rows.push(row);
    }
    println!("\n{}", table(&rows));
    Ok(rows.iter().filter(|row| !row.name.starts_with("stock")).all(|row| row.outcome.held == row.asked))
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
    let plan =
        Plan { connections, rate: 1000, patience: Duration::from_secs(5), hold: Duration::from_secs(3) };
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

fn line(row: &Row) -> String {
    let Outcome { served, refused, held, cut, late } = row.outcome;
    let predicted = row.predicted_pss.map_or_else(|| "-".to_owned(), |mib| mib.to_string());
    format!(
        "| {} | {} | {served} | {refused} | {held} | {cut} | {late} | {} | {} | {predicted} | {} |",
        row.name, row.asked, row.threads, row.pss, row.predicted_connections
    )
}

fn table(rows: &[Row]) -> String {
    let head = "| settings | asked | served | refused | held to the end | cut | late | threads | PSS MiB | predicted MiB | predicted connections |\n\
        | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    rows.iter().fold(head.to_owned(), |table, row| table + &line(row) + "\n")
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
