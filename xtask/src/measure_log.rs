//! `cargo xtask bench log`: how fast `size --from-log` reads an access log, beside goaccess on the same file.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use test_hosts::folders;

use crate::measure::binary;

/// Megabytes of the log.
const SIZE: u64 = 200;

/// Megabytes a second that are read at least, on a machine that does nothing else.
const LEAST: f64 = 500.0;

/// Runs of ours; the fastest counts.
const RUNS: usize = 3;

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
];

/// Writes a log of usual lines: many clients, paths and agents, 400 requests a second.
fn write_log(path: &Path) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    // The same file every time.
    let mut drawn: u64 = 0x9e37_79b9_7f4a_7c15;
    let (mut bytes, mut lines, mut text) = (0, 0_u64, String::new());
    while bytes < SIZE * 1_000_000 {
        drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = drawn >> 33;
        let second = lines / 400;
        text.clear();
        writeln!(
            text,
            "10.{}.{}.{} - - [{:02}/Nov/2026:{:02}:{:02}:{:02} +0000] \"GET /shop/item/{}?page={} HTTP/1.1\" 200 {} \
             \"https://www.example.org/shop/\" \"{}\"",
            dice % 8,
            dice / 8 % 64,
            dice / 512 % 250,
            second / 86_400 % 28 + 1,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            dice % 9973,
            dice % 7,
            dice % 60_000,
            AGENTS[usize::try_from(dice % 13).unwrap_or(0) % 4],
        )?;
        out.write_all(text.as_bytes())?;
        bytes += text.len() as u64;
        lines += 1;
    }
    out.flush()?;
    Ok(bytes)
}

/// What a run took: on the clock, and of processors.
#[derive(Clone, Copy)]
struct Took {
    clock: Duration,
    processors: Duration,
}

/// Runs a program and returns what it took.
fn time(command: &mut Command) -> Result<Took> {
    let (began, before) = (Instant::now(), of_children()?);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ensure!(status.context("starting it")?.success(), "{command:?} failed");
    Ok(Took { clock: began.elapsed(), processors: of_children()?.saturating_sub(before) })
}

/// Returns the processor time of all children that have ended: proc(5), `cutime` and `cstime`.
fn of_children() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let after = text.rsplit_once(')').context("/proc/self/stat has no name")?.1;
    let ticks: u64 =
        after.split_whitespace().skip(13).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Measures both programs on the same file.
pub(crate) fn log() -> Result<bool> {
    let program = binary(false)?;
    let folder = folders::target().join("bench-log");
    fs::create_dir_all(&folder)?;
    let measured = compared(&program, &folder);
    fs::remove_dir_all(&folder)?;
    measured
}

fn compared(program: &Path, folder: &Path) -> Result<bool> {
    let file = folder.join("access.log");
    let bytes = write_log(&file)?;
    let mut ours = Vec::new();
    for _ in 0..RUNS {
        let mut size = Command::new(program);
        size.args(["size", "--json", "--keepalive-timeout", "5", "--from-log"]).arg(&file);
        ours.push(time(&mut size)?);
    }
    let mut goaccess = Command::new("goaccess");
    goaccess.arg(&file).args(["--no-global-config", "--log-format=COMBINED", "--no-progress", "-o"]);
    goaccess.arg(folder.join("report.json"));
    // It takes many times as long, so that one run tells enough.
    let theirs = [time(&mut goaccess)?];
    println!("an access log of {} MB:", bytes / 1_000_000);
    let ours = told("apache-tuning size --from-log", bytes, &ours);
    let theirs = told("goaccess", bytes, &theirs);
    println!(
        "at least {LEAST} MB/s, and more than goaccess; other programs on the machine count against the clock"
    );
    Ok(ours >= LEAST && ours > theirs)
}

/// Prints the fastest run, and returns its megabytes a second.
#[allow(clippy::cast_precision_loss)]
fn told(name: &str, bytes: u64, runs: &[Took]) -> f64 {
    let clock = runs.iter().map(|took| took.clock).min().unwrap_or_default();
    let processors = runs.iter().map(|took| took.processors).min().unwrap_or_default();
    let speed = bytes as f64 / 1e6 / clock.as_secs_f64();
    let of_processors = processors.as_secs_f64();
    println!("  {name:<30} {speed:>6.0} MB/s, {of_processors:.2} s of processors");
    speed
}
