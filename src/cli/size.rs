//! `apache-tuning size`: sizes for a load that is told, or that access logs show.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use lexopt::prelude::*;
use serde_json::json;

use super::fleet::write_whole;
use super::screen::Screen;
use super::{Failure, Outcome};
use crate::access_log::{self, LONGEST_KEEP, LogLoad, Point};
use crate::capacity::{self, Demand, MemoryNeed, Proposal, Refusal, Server, Traffic, TrafficNeed, bits_text};
use crate::facts::disk::Disk;
use crate::facts::{Known, Machine, link};
use crate::httpd::{Mpm, Version};
use crate::operate::{self, LoggingHost};
use crate::report::CapacityReport;
use crate::units::Bytes;
use crate::{ansible, clock, params};

/// What follows the command's name.
pub(super) const USAGE: &str = "[--connections N] [--from-log PATH...] [--active N] [--burst N] [--mean-size 40K] [--rate N] \
    [--mpm M] [--memory 8G] [--per-worker 10M] [--reserve 512M] [--cpus N] [--log-format FORMAT] [--keepalive-timeout N] \
    [--root DIR] [--svg FILE]";
/// What it does.
pub(super) const ABOUT: &str = "sizes for a load and why; the load is told, or shown by access logs";

/// `KeepAliveTimeout` where nobody tells it: httpd's and Debian's own, in seconds.
const KEEP_ALIVE: u64 = 5;

/// What the command line says.
#[derive(Default)]
struct Asked {
    connections: Option<u64>,
    active: Option<u64>,
    burst: Option<u64>,
    mpm: Option<Mpm>,
    memory: params::Memory,
    machine: Machine,
    mean_size: Option<u64>,
    rate: Option<u64>,
    logs: Vec<PathBuf>,
    format: Option<String>,
    keep_alive: Option<u64>,
    root: Option<PathBuf>,
    svg: Option<PathBuf>,
    as_json: bool,
}

impl Asked {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let mut asked = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("connections") => asked.connections = Some(parser.value()?.parse()?),
                Long("active") => asked.active = Some(parser.value()?.parse()?),
                Long("burst") => asked.burst = Some(parser.value()?.parse()?),
                Long("rate") => asked.rate = Some(parser.value()?.parse()?),
                Long("mean-size") => {
                    asked.mean_size = Some(amount("mean-size", &parser.value()?)?.0);
                }
                Long("from-log") => asked.logs.extend(parser.values()?.map(PathBuf::from)),
                Long("log-format") => asked.format = Some(parser.value()?.string()?),
                Long("keepalive-timeout") => asked.keep_alive = Some(parser.value()?.parse()?),
                Long("root") => asked.root = Some(PathBuf::from(parser.value()?)),
                Long("svg") => asked.svg = Some(parser.value()?.into()),
                Long("mpm") => {
                    let name = parser.value()?.to_string_lossy().into_owned();
                    asked.mpm = Some(Mpm::of_name(&name).ok_or_else(|| {
                        Failure::Usage(format!("there is no MPM `{name}`; it is event, worker or prefork"))
                    })?);
                }
                Long("memory") => {
                    asked.machine.memory = Some(told_known("memory", amount("memory", &parser.value()?)?));
                }
                Long("cpus") => asked.machine.cpus = Some(told_known("cpus", parser.value()?.parse()?)),
                Long("per-worker") => {
                    let value = parser.value()?;
                    amount("per-worker", &value)?;
                    asked.memory.per_worker = Some(value.to_string_lossy().into_owned());
                }
                Long("reserve") => {
                    let value = parser.value()?;
                    amount("reserve", &value)?;
                    asked.memory.reserve = Some(value.to_string_lossy().into_owned());
                }
                Long("json") => asked.as_json = true,
                other => return Err(other.unexpected().into()),
            }
        }
        match asked.wrong() {
            None => Ok(asked),
            Some(wrong) => Err(Failure::Usage(wrong)),
        }
    }

    /// Returns what does not go together.
    fn wrong(&self) -> Option<String> {
        let from_log = !self.logs.is_empty();
        let of_logs =
            self.svg.is_some() || self.format.is_some() || self.root.is_some() || self.keep_alive.is_some();
        let wrong = if from_log && self.connections.is_some() {
            "--connections and --from-log exclude each other: the logs show the connections"
        } else if !from_log && self.connections.is_none() {
            "--connections is missing: how many at once? or --from-log: the access logs that show it"
        } else if self.connections == Some(0)
            || self.active == Some(0)
            || self.connections.is_some_and(|all| self.active > Some(all))
        {
            "--connections is at least 1, --active between 1 and that"
        } else if self.burst == Some(0) {
            "--burst is at least 1"
        } else if self.rate == Some(0) {
            "--rate is at least 1"
        } else if !from_log && of_logs {
            "--svg, --log-format, --keepalive-timeout and --root go with --from-log"
        } else if !from_log && self.rate.is_some() != self.mean_size.is_some() {
            "--rate and --mean-size go together"
        } else if self.keep_alive > Some(LONGEST_KEEP) {
            return Some(format!("--keepalive-timeout is at most {LONGEST_KEEP} seconds"));
        } else {
            return None;
        };
        Some(wrong.to_owned())
    }

    fn size(&self, demand: Demand) -> Result<Proposal, Box<Refusal>> {
        let memory = MemoryNeed::new(Some(&self.memory), None).unwrap_or_default();
        let mpm = self.mpm.unwrap_or(Mpm::Event);
        capacity::size(demand, Server::new(mpm, Version::NEWEST_KNOWN), &self.machine, &memory)
    }
}

pub(super) fn run(parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let asked = Asked::parse(parser)?;
    if !asked.logs.is_empty() {
        return from_log(&asked);
    }
    let connections = asked.connections.unwrap_or(1);
    let sized = asked.size(Demand { connections, active: asked.active, burst: asked.burst });
    let traffic = asked.rate.zip(asked.mean_size).map(|(rate, mean_size)| Traffic { rate, mean_size });
    let need = need(&sized, traffic);
    let text = if asked.as_json {
        let mut value = match &sized {
            Ok(proposal) => json!(proposal),
            Err(refusal) => json!(refusal),
        };
        if let Some(need) = &need {
            value["traffic"] = json!(need);
        }
        format!("{}\n", ansible::json(&value))
    } else {
        Screen::stdout().folded(&format!("{}{}", sizes_text(&sized), traffic_text(need.as_ref())))
    };
    Ok(Outcome { text, code: refuses(&sized) })
}

type Sized = Result<Proposal, Box<Refusal>>;

/// Returns the exit code: a burst that was asked for and does not fit is a no too.
fn refuses(sized: &Sized) -> u8 {
    u8::from(sized.as_ref().map_or(true, Proposal::refuses_burst))
}

fn sizes_text(sized: &Sized) -> String {
    match sized {
        Ok(proposal) => capacity::text(proposal),
        Err(refusal) => format!("{}\n", capacity::refusal_text(refusal).trim_end()),
    }
}

/// Returns what traffic needs of the link and of the workers proposed.
fn need(sized: &Sized, traffic: Option<Traffic>) -> Option<TrafficNeed> {
    let workers = sized.as_ref().ok()?.value("MaxRequestWorkers")?;
    let link = link::speed(&Disk::new(Path::new("/")));
    traffic.map(|traffic| traffic.need(workers, link.as_ref()))
}

fn traffic_text(need: Option<&TrafficNeed>) -> String {
    let notes = need.map(|need| need.notes.iter().map(|note| format!("  {note}\n")).collect::<String>());
    notes.map_or_else(String::new, |notes| format!("\ntraffic:\n{notes}"))
}

/// Returns a value and a quarter of it: a log shows the load that was, not the one that will be.
const fn with_room(value: u64) -> u64 {
    value.saturating_add(value.div_ceil(4))
}

/// One number that sizes were worked out for. JSON: `{"name": "connections", "value": 500, "why": "..."}`.
#[derive(Debug, serde::Serialize)]
struct Wanted {
    name: &'static str,
    value: u64,
    why: String,
}

/// What sizes are worked out for, and what was assumed.
struct Wish {
    demand: Demand,
    numbers: Vec<Wanted>,
    assumed: Vec<String>,
}

/// Turns what logs show into a load to ask for.
fn wish(asked: &Asked, load: &LogLoad, (keep, of): (u64, &str)) -> Wish {
    let open = load.connections;
    let mut numbers = Vec::new();
    let mut assumed = vec![
        format!("a connection is kept for {keep} s after its last answer: {of}"),
        "a quarter more than the logs show: they tell the load that was".to_owned(),
        format!(
            "one address is one client with at most six connections; where many share one (a proxy, an office) it may be up to {}",
            open.most
        ),
        "requests that began in the same second were asked at once".to_owned(),
    ];
    let connections = with_room(open.upper).max(1);
    numbers.push(Wanted {
        name: "connections",
        value: connections,
        why: format!(
            "{} open at once over HTTP/1.1 ({}), and a quarter more",
            open.upper,
            clock::timestamp(open.at)
        ),
    });
    let active = match (asked.active, load.concurrency) {
        (Some(active), _) => Some((active.min(connections), "--active".to_owned())),
        (None, Some(busy)) => Some((
            with_room(busy.peak).clamp(1, connections),
            format!(
                "{} under way in the busiest second ({}), and a quarter more",
                busy.peak,
                clock::timestamp(busy.at)
            ),
        )),
        (None, None) => {
            assumed.push(
                "how many requests are served at one moment is not in the logs: add %D to LogFormat and come again, or \
                 give --active"
                    .to_owned(),
            );
            None
        }
    };
    if let Some((value, why)) = &active {
        numbers.push(Wanted { name: "active", value: *value, why: why.clone() });
    }
    if load.concurrency.is_some() {
        assumed.push(
            "requests under way are the average of a second: peaks shorter than that are the burst's"
                .to_owned(),
        );
    }
    let demand = Demand { connections, active: active.map(|(value, _)| value), burst: asked.burst };
    Wish { demand, numbers, assumed }
}

/// Returns what the host says about its logs: of another root directory it has to be there.
fn logging_host(root: Option<&Path>) -> Result<Option<LoggingHost>, Failure> {
    let Some(root) = root else { return Ok(operate::logging_host(Path::new("/")).ok()) };
    let told = |why: String| Failure::Failed(format!("--root {}: {why}", root.display()));
    let root = std::fs::canonicalize(root).map_err(|error| told(error.to_string()))?;
    operate::logging_host(&root).map(Some).map_err(|stopped| told(stopped.msg))
}

fn from_log(asked: &Asked) -> Result<Outcome, Failure> {
    let host = logging_host(asked.root.as_deref())?;
    let of_host = host.as_ref().and_then(|host| host.keep_alive);
    let (keep, of) = match (asked.keep_alive, of_host) {
        (Some(seconds), _) => (seconds, "--keepalive-timeout"),
        (None, Some(seconds)) => (seconds.min(LONGEST_KEEP), "KeepAliveTimeout of the host's configuration"),
        (None, None) => (KEEP_ALIVE, "httpd's default; give --keepalive-timeout where it is another"),
    };
    let formats = host.as_ref().map_or_else(Vec::new, |host| host.formats.clone());
    let options = access_log::Options { format: asked.format.clone(), formats, keep_alive: keep };
    let (load, points) = read(&asked.logs, &options)?;
    let wish = wish(asked, &load, (keep, of));
    let sized = asked.size(wish.demand);
    let traffic = Traffic {
        rate: asked.rate.unwrap_or(with_room(load.peak_second.value)).max(1),
        mean_size: asked.mean_size.unwrap_or(load.bytes / load.requests.max(1)).max(1),
    };
    let need = need(&sized, Some(traffic));
    let present = host.and_then(|host| host.capacity);
    if let Some(file) = &asked.svg {
        write_whole(file, access_log::plot(&points, &limits(&wish, &sized, present.as_ref())).as_bytes())?;
    }
    let text = if asked.as_json {
        let (proposal, refusal) = match &sized {
            Ok(proposal) => (Some(proposal), None),
            Err(refusal) => (None, Some(refusal)),
        };
        let value = json!({
            "load": load,
            "demand": wish.numbers,
            "assumed": wish.assumed,
            "proposal": proposal,
            "refusal": refusal,
            "traffic": need,
            "present": present,
        });
        format!("{}\n", ansible::json(&value))
    } else {
        let mut text = log_text(&load, keep);
        text.push_str("\nsizes are for:\n");
        for number in &wish.numbers {
            let _ = writeln!(text, "  {:<12} {:>8}  {}", number.name, number.value, number.why);
        }
        text.push_str("\nassumed:\n");
        for line in &wish.assumed {
            let _ = writeln!(text, "  {line}");
        }
        Screen::stdout().folded(&format!("{text}\n{}{}", sizes_text(&sized), traffic_text(need.as_ref())))
    };
    Ok(Outcome { text, code: refuses(&sized) })
}

/// Reads the logs, with progress on a terminal only.
fn read(logs: &[PathBuf], options: &access_log::Options) -> Result<(LogLoad, Vec<Point>), Failure> {
    let terminal = io::stderr().is_terminal();
    let mut shown = 0;
    let mut progress = |bytes: u64| {
        if terminal && bytes >> 26 > shown {
            shown = bytes >> 26;
            let _ = write!(io::stderr(), "\r{} read", Bytes(bytes));
        }
    };
    let read = access_log::read(logs, options, &mut progress);
    if shown > 0 {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    read.map_err(Failure::Failed)
}

/// Returns the lines of the plot that connections are held against.
fn limits(wish: &Wish, sized: &Sized, present: Option<&CapacityReport>) -> Vec<(String, u64)> {
    let mut limits = vec![("asked for".to_owned(), wish.demand.connections)];
    limits.extend(
        present.and_then(|now| now.connections).map(|most| ("present settings, at most".to_owned(), most)),
    );
    let proposed = sized.as_ref().ok().and_then(|proposal| proposal.capacity.connections);
    limits.extend(proposed.map(|most| ("proposed settings, at most".to_owned(), most)));
    limits
}

/// Returns what logs show as text, a line each.
fn log_text(load: &LogLoad, keep_alive: u64) -> String {
    let at = clock::timestamp;
    let mut out = format!(
        "{} requests in {} files ({}), {} to {}\n",
        load.requests,
        load.files,
        load.formats.join(", "),
        at(load.from),
        at(load.to)
    );
    let hour = load.busiest_hour;
    let _ = writeln!(
        out,
        "  requests      {} in the busiest second ({}), {} in the busiest hour ({}): {} a second",
        load.peak_second.value,
        at(load.peak_second.at),
        hour.requests,
        at(hour.at),
        hour.per_second
    );
    let open = load.connections;
    let _ = writeln!(
        out,
        "  connections   {} to {} open at once ({}): one a client over HTTP/2, as many as it asks at once over HTTP/1.1, \
         each kept for {keep_alive} s; at most {}",
        open.lower,
        open.upper,
        at(open.at),
        open.most
    );
    let _ = match load.concurrency {
        Some(busy) => writeln!(
            out,
            "  under way     {} requests in the busiest second ({}), {} in the busiest minute, {} in the busiest hour; {} % \
             took longer than 1 s",
            busy.peak,
            at(busy.at),
            busy.minute,
            hour.concurrency.unwrap_or(0.0),
            load.slow_percent.unwrap_or(0.0)
        ),
        None => writeln!(
            out,
            "  under way     between 1 and {} requests: the log has no durations; add %D to LogFormat",
            open.most
        ),
    };
    let _ = writeln!(
        out,
        "  sent          {}, up to {} ({}), {} in the busiest hour",
        Bytes(load.bytes),
        bits_text(load.peak_bits.value),
        at(load.peak_bits.at),
        bits_text(hour.bits_per_second)
    );
    let _ = writeln!(out, "  robots        {} % of the requests", load.robots_percent);
    if load.damaged > 0 {
        let _ = writeln!(
            out,
            "  not read      {} of {} lines are of another format or damaged",
            load.damaged, load.lines
        );
    }
    if load.misplaced > 0 {
        let _ =
            writeln!(out, "  misplaced     {} requests are far from their neighbours' time", load.misplaced);
    }
    for note in &load.notes {
        let _ = writeln!(out, "  note          {note}");
    }
    out
}

/// Returns an amount of memory of the command line.
fn amount(option: &str, value: &OsStr) -> Result<Bytes, Failure> {
    let text = value.to_string_lossy();
    Bytes::parse(&text)
        .filter(|bytes| bytes.0 > 0)
        .ok_or_else(|| Failure::Usage(format!("--{option} takes an amount such as 10M or 8G, not `{text}`")))
}

/// Returns a value as told by an option.
fn told_known<T>(option: &str, value: T) -> Known<T> {
    Known { value, source: format!("--{option}") }
}
