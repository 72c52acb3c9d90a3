//! The load that access logs show: requests a second, connections open at once, requests under way, bytes.
//!
//! Lines are read block by block, by all processors, and added up by the second in the order of their time, so memory
//! does not grow with the log. Files may be given in any order: rotated ones follow each other, and those of several
//! virtual hosts that were written at the same time are one load.
//!
//! A log does not tell how long a connection is open. A client may hold one from its request until `KeepAliveTimeout`
//! after the answer; over HTTP/2 it needs one, over HTTP/1.1 a browser opens up to six, as many as it asks at once. Both
//! are counted: the load lies between them, unless many clients share an address. How many requests are under way is
//! known where the log has their durations (`%D`, `%T`): by Little's law their time in a second is their number in it.

pub mod format;
mod merge;
mod plot;
mod read;
mod tally;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use self::plot::plot;
pub use self::tally::{Hour, LONGEST_KEEP, Peak, Point, Tally};

use self::format::{Format, KNOWN, Known, SECOND};
use self::merge::{Counted, Source, merge};

/// Bytes of a file by which its format is told, and lines of them.
const SAMPLE: (u64, usize) = (1 << 16, 200);

/// A moment's value. JSON: `{"value": 120, "at": 1790000000}`; `at` in seconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// How much.
    pub value: u64,
    /// When.
    pub at: u64,
}

impl From<Peak> for Moment {
    fn from(peak: Peak) -> Self {
        Self { value: peak.value, at: peak.at }
    }
}

/// What access logs show. JSON: `{"files", "lines", "damaged", "misplaced", "requests", "from", "to", "peak_second",
/// "busiest_hour", "connections", "concurrency", "bytes", "peak_bits", "slow_percent", "robots_percent", "formats": [],
/// "notes": []}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogLoad {
    /// Files read.
    pub files: usize,
    /// Their lines.
    pub lines: u64,
    /// Lines that are of no known format, or cut off.
    pub damaged: u64,
    /// Requests whose time is far from their neighbours': they count in the sums only.
    pub misplaced: u64,
    /// Requests.
    pub requests: u64,
    /// The first second, since the epoch.
    pub from: u64,
    /// The last one.
    pub to: u64,
    /// Most requests that began in one second.
    pub peak_second: Moment,
    /// The hour of the clock with the most requests.
    pub busiest_hour: BusyHour,
    /// Connections open at one moment.
    pub connections: Connections,
    /// Requests under way; null where no log has durations.
    pub concurrency: Option<Concurrency>,
    /// Bytes sent.
    pub bytes: u64,
    /// Most bits sent in one second, counted where their requests ended.
    pub peak_bits: Moment,
    /// Percent of the requests with a duration that took longer than a second; null where no log has durations.
    pub slow_percent: Option<f64>,
    /// Percent of the requests whose clients say that they are robots.
    pub robots_percent: f64,
    /// The formats of the files, each once.
    pub formats: Vec<String>,
    /// What could not be read, a sentence each.
    pub notes: Vec<String>,
}

/// The hour with the most requests. JSON: `{"requests", "at", "per_second", "concurrency", "bits_per_second"}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BusyHour {
    /// Its requests.
    pub requests: u64,
    /// When it began.
    pub at: u64,
    /// Requests a second, on average.
    pub per_second: f64,
    /// Requests under way, on average: requests a second times their duration. Null where no log has durations.
    pub concurrency: Option<f64>,
    /// Bits a second, on average.
    pub bits_per_second: u64,
}

/// Connections open at one moment. JSON: `{"lower": 400, "upper": 900, "most": 1300, "at": 1790000000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// One for each client: HTTP/2.
    pub lower: u64,
    /// As many as each client asked at once, up to six: HTTP/1.1.
    pub upper: u64,
    /// A connection for each request that began within the time that one is kept: more cannot have been open, even from
    /// behind one address.
    pub most: u64,
    /// When the upper bound was reached.
    pub at: u64,
}

/// Requests under way. JSON: `{"peak": 120, "minute": 80, "at": 1790000000}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Concurrency {
    /// In the busiest second, on average.
    pub peak: u64,
    /// In the busiest minute, on average.
    pub minute: u64,
    /// When the busiest second was.
    pub at: u64,
}

/// How logs are read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The format as `LogFormat` has it; `None` tells it by the lines.
    pub format: Option<String>,
    /// Formats of the host with their names, beside those that are known everywhere.
    pub formats: Vec<(String, String)>,
    /// `KeepAliveTimeout` in seconds, at most [`LONGEST_KEEP`]; 0 where connections are not kept.
    pub keep_alive: u64,
}

/// Reads logs, and returns what they show and what a plot needs. `progress` is told the bytes read so far.
///
/// # Errors
/// What is wrong with a file or the format, in one sentence. Lines that cannot be read are counted, and a file that ends
/// too early counts as far as it goes.
pub fn read(
    paths: &[PathBuf],
    options: &Options,
    progress: &mut dyn FnMut(u64),
) -> Result<(LogLoad, Vec<Point>), String> {
    let formats = formats(options)?;
    let mut known = BTreeSet::new();
    let (mut sources, mut notes, mut alien) = (Vec::new(), Vec::new(), None);
    for path in paths {
        let opened = read::open(path)?;
        if opened.file.is_some_and(|file| !known.insert(file)) {
            notes.push(format!("{}: is given twice and read once", path.display()));
            continue;
        }
        match probe(path, opened, &formats, &mut notes) {
            Probed::Empty => notes.push(format!("{}: is empty", path.display())),
            Probed::Log(source) => sources.push(source),
            Probed::Alien(source, first) => {
                alien.get_or_insert((path, first));
                sources.push(source);
            }
        }
    }
    if sources.is_empty() {
        return Err(match notes.as_slice() {
            [note] => format!("{note}: nothing can be counted"),
            _ => "the logs are empty: nothing can be counted".to_owned(),
        });
    }
    let files = sources.len();
    let mut tally = Tally::new(options.keep_alive);
    let counted = merge(sources, &formats, &mut tally, &mut notes, progress);
    if tally.requests == 0 {
        let names: Vec<&str> = formats.iter().map(|format| format.name.as_str()).collect();
        let (path, first) = alien.unwrap_or((&paths[0], String::new()));
        return Err(format!(
            "{}: no line is of the format {}; give --log-format as LogFormat has it; the first line: {first:?}",
            path.display(),
            names.join(" or ")
        ));
    }
    Ok((load(&tally, files, counted, notes), tally.points))
}

/// A format and its name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) format: Format,
}

/// Returns the formats that lines may have, that which says the most first.
fn formats(options: &Options) -> Result<Vec<Arc<Named>>, String> {
    if let Some(text) = &options.format {
        let format = Format::parse(text).map_err(|why| format!("--log-format: {why}"))?;
        return Ok(vec![Arc::new(Named { name: "--log-format".to_owned(), format })]);
    }
    let known = KNOWN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let mut formats: Vec<Named> = Vec::new();
    // The host's own is often the same as one that is known: it keeps its name.
    for (name, text) in options.formats.iter().cloned().chain(known) {
        if let Ok(format) = Format::parse(&text)
            && formats.iter().all(|other| other.format != format)
        {
            formats.push(Named { name, format });
        }
    }
    formats.sort_by_key(|named| std::cmp::Reverse(named.format.says()));
    Ok(formats.into_iter().map(Arc::new).collect())
}

/// What the start of a file is.
enum Probed {
    Empty,
    Log(Source),
    /// No line of it could be read; its first one is shown.
    Alien(Source, String),
}

/// Tells a log's format by its first lines.
fn probe(path: &Path, opened: read::Opened, formats: &[Arc<Named>], notes: &mut Vec<String>) -> Probed {
    let mut from = opened.from;
    let mut start = Vec::new();
    let read = from.by_ref().take(SAMPLE.0).read_to_end(&mut start);
    if start.is_empty() {
        if let Err(error) = read {
            notes.push(format!("{}: {error}", path.display()));
        }
        return Probed::Empty;
    }
    let lines: Vec<&[u8]> = start.split(|byte| *byte == b'\n').take(SAMPLE.1).collect();
    let mut known = Known::default();
    let mut best: Option<(usize, u64, &Arc<Named>)> = None;
    for named in formats {
        let mut read =
            lines.iter().filter_map(|line| named.format.read(merge::without_return(line), &mut known));
        let Some(first) = read.next() else { continue };
        let count = 1 + read.count();
        if best.is_none_or(|(most, ..)| count > most) {
            best = Some((count, tally::ended(&first), named));
        }
    }
    let shown = String::from_utf8_lossy(lines.first().copied().unwrap_or_default());
    let shown: String = shown.chars().filter(|letter| !letter.is_control()).take(80).collect();
    // What can be opened again is, when its time comes: a hundred rotated logs are not open at once.
    let again = opened.file.is_some();
    let source = |format: &Arc<Named>, patience, first| Source {
        path: path.to_owned(),
        format: Arc::clone(format),
        patience,
        first,
        opened: if again { None } else { Some((from, start.clone())) },
    };
    match (best, formats.first()) {
        (Some((_, first, format)), _) => Probed::Log(source(format, merge::CHANGED, first)),
        (None, Some(format)) => Probed::Alien(source(format, 1, 0), shown),
        (None, None) => Probed::Empty,
    }
}

/// Returns a share in percent, to two decimals.
#[allow(clippy::cast_precision_loss)]
fn percent(part: u64, all: u64) -> f64 {
    (part.saturating_mul(10_000).checked_div(all).unwrap_or(0)) as f64 / 100.0
}

/// Returns a quotient, to two decimals.
#[allow(clippy::cast_precision_loss)]
fn per(part: u64, all: u64) -> f64 {
    (part.saturating_mul(100) / all) as f64 / 100.0
}

fn load(tally: &Tally, files: usize, counted: Counted, notes: Vec<String>) -> LogLoad {
    let timed = tally.timed > 0;
    let lower = tally.peak_clients.value;
    let browsers = tally.peak_browsers;
    let hour = tally.busiest_hour;
    LogLoad {
        files,
        lines: counted.lines,
        damaged: counted.damaged,
        misplaced: tally.misplaced,
        requests: tally.requests,
        from: tally.first,
        to: tally.last,
        peak_second: tally.peak_second.into(),
        busiest_hour: BusyHour {
            requests: hour.requests,
            at: hour.at,
            per_second: per(hour.requests, 3600),
            concurrency: timed.then(|| per(hour.busy, 3600 * SECOND)),
            bits_per_second: hour.bytes.saturating_mul(8) / 3600,
        },
        connections: Connections {
            lower,
            upper: browsers.value.max(lower).max(tally.peak_busy.value.div_ceil(1000)),
            most: tally.peak_kept.value.max(browsers.value),
            at: browsers.at,
        },
        concurrency: timed.then(|| Concurrency {
            peak: tally.peak_busy.value.div_ceil(1000),
            minute: tally.peak_busy_minute.value.div_ceil(1000),
            at: tally.peak_busy.at,
        }),
        bytes: tally.bytes,
        peak_bits: Moment { value: tally.peak_bytes.value.saturating_mul(8), at: tally.peak_bytes.at },
        slow_percent: timed.then(|| percent(tally.slow, tally.timed)),
        robots_percent: percent(tally.robots, tally.requests),
        formats: counted.formats,
        notes,
    }
}
