//! `apache-tuning watch`: a table that stays in place on a terminal, a JSON line a sample elsewhere.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use lexopt::prelude::*;
use serde_json::json;

use super::{Failure, Outcome};
use crate::ansible;
use crate::operate::watch::{Sample, Summary, Watch};

/// What follows the command's name.
pub(super) const USAGE: &str = "[--interval 2s] [--for 10m] [--status-url URL]";
/// What it does.
pub(super) const ABOUT: &str =
    "the running server over time, against what its settings carry; then the load to ask for";

/// The shortest and the longest time between two samples.
const INTERVAL: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3600)];
/// The longest watch.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// How many samples the line of a value shows.
const HISTORY: usize = 40;

/// Reads `2s`, `500ms`, `10m`, `1h` or whole seconds.
fn duration(option: &str, text: &str) -> Result<Duration, Failure> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let scale = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let millis = scale.and_then(|scale: u64| digits.parse::<u64>().ok()?.checked_mul(scale));
    millis.filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(|| {
        Failure::Usage(format!("--{option} takes a time such as 2s, 500ms or 10m, not `{text}`"))
    })
}

pub(super) fn run(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let (mut interval, mut end, mut url, mut as_json) = (Duration::from_secs(2), None, None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("interval") => interval = duration("interval", &parser.value()?.to_string_lossy())?,
            Long("for") => end = Some(duration("for", &parser.value()?.to_string_lossy())?),
            Long("status-url") => url = Some(parser.value()?.to_string_lossy().into_owned()),
            Long("json") => as_json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let [shortest, longest] = INTERVAL;
    if !(shortest..=longest).contains(&interval) {
        return Err(Failure::Usage("--interval is between 100ms and 1h".to_owned()));
    }
    let in_place = io::stdout().is_terminal() && !as_json;
    // Who watches on a terminal ends it there; a pipe may have nobody at its end.
    let keys = in_place && io::stdin().is_terminal();
    let end = end.unwrap_or(if keys { LONGEST } else { Duration::from_secs(600) }).min(LONGEST);
    let mut watch = Watch::new(url).map_err(Failure::Failed)?;
    let began = Instant::now();
    let mut next = began;
    let mut table = Table::default();
    loop {
        let sample = watch.sample();
        let text =
            if in_place { table.drawn(&sample, keys) } else { format!("{}\n", ansible::json(&sample)) };
        let mut out = io::stdout().lock();
        // A reader that went away has seen enough.
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            break;
        }
        drop(out);
        // What took too long is left out, not made up for.
        next = (next + interval).max(Instant::now());
        if next.duration_since(began) > end || waits(next, keys) {
            break;
        }
    }
    let summary = watch.summary();
    let text = if in_place {
        told(&summary)
    } else {
        format!("{}\n", ansible::json(&json!({ "summary": summary })))
    };
    Ok(Outcome { text, code: 0 })
}

/// Waits until a moment, or for a line on the terminal; tells whether one came.
fn waits(until: Instant, keys: bool) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    if !keys {
        std::thread::sleep(left);
        return false;
    }
    let stdin = io::stdin();
    let mut polled = [rustix::event::PollFd::new(&stdin, rustix::event::PollFlags::IN)];
    let time = rustix::event::Timespec::try_from(left).ok();
    rustix::event::poll(&mut polled, time.as_ref()).is_ok_and(|ready| ready > 0)
}

/// One value of the table: its name, what is in a sample, and its limit there.
type Row = (&'static str, fn(&Sample) -> Option<u64>, fn(&Sample) -> Option<u64>);

const ROWS: [Row; 6] = [
    ("busy workers", |sample| sample.busy_workers, |sample| sample.most_workers),
    ("connections", |sample| sample.connections, |sample| sample.most_connections),
    ("memory, MiB", |sample| sample.memory_mb, |sample| sample.most_memory_mb),
    ("idle workers", |sample| sample.idle_workers, |_| None),
    ("processes ending", |sample| sample.stopping, |_| None),
    ("queue overflows", |sample| sample.overflows, |_| None),
];

/// The table in its place, with the last values of each row.
#[derive(Default)]
struct Table {
    history: [Vec<Option<u64>>; ROWS.len()],
    event: Option<&'static str>,
    lines: usize,
}

impl Table {
    /// Returns what draws it over the one before.
    fn drawn(&mut self, sample: &Sample, keys: bool) -> String {
        let mut text = String::new();
        if self.lines > 0 {
            // Back to its first line, and clear from there.
            let _ = write!(text, "\x1b[{}F\x1b[J", self.lines);
        }
        let before = text.len();
        self.event = sample.event.or(self.event);
        let server =
            sample.parent.map_or_else(|| "no server runs".to_owned(), |pid| format!("process {pid}"));
        let event = self.event.map_or_else(String::new, |event| format!("; last seen: {event}"));
        let end = if keys { "; Enter ends" } else { "" };
        let _ = writeln!(text, "{server}{event}{end}");
        for ((name, value, limit), history) in ROWS.iter().zip(&mut self.history) {
            let (now, limit) = (value(sample), limit(sample));
            history.push(now);
            let gone = history.len().saturating_sub(HISTORY);
            history.drain(..gone);
            let shown = now.map_or_else(|| "-".to_owned(), |now| now.to_string());
            let of = limit.map_or_else(String::new, |limit| format!("of {limit}"));
            let _ = writeln!(text, "{name:<17}{shown:>9} {of:<12} {}", bars(history));
        }
        if let Some(reason) = &sample.status_reason {
            let short: String = reason.chars().filter(|c| !c.is_control()).take(76).collect();
            let _ = writeln!(text, "{short}");
        }
        self.lines = text[before..].lines().count();
        text
    }
}

/// Draws values as bars, the highest of them as the highest bar.
fn bars(values: &[Option<u64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = values.iter().flatten().max().copied().unwrap_or(0).max(1);
    let bar = |value: &Option<u64>| match value {
        None => ' ',
        Some(value) => {
            let step = usize::try_from(value.saturating_mul(7) / most).unwrap_or(7);
            BARS[step.min(7)]
        }
    };
    values.iter().map(bar).collect()
}

/// Writes what a watch saw in all.
fn told(summary: &Summary) -> String {
    let mut text = format!(
        "\n{} samples in {} s, {} reloads, {} restarts, {} connections turned away by a full queue\n",
        summary.samples, summary.seconds, summary.reloads, summary.restarts, summary.overflows
    );
    for (at, peak) in summary.peaks.iter().enumerate() {
        let nearest = if at == 0 { "  nearest to its limit" } else { "" };
        let _ = writeln!(
            text,
            "peak {:<12} {:>8} of {} ({} %){nearest}",
            peak.name, peak.peak, peak.limit, peak.percent
        );
    }
    match &summary.capacity {
        Some(load) => {
            let _ = write!(
                text,
                "\nthe load of the peak, for a task:\n\n    capacity:\n      connections: {}\n",
                load.connections
            );
            if let Some(active) = load.active {
                let _ = writeln!(text, "      active: {active}");
            }
        }
        None => text.push_str("\nmod_status told nothing, so that the load is not known\n"),
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in [
            ("2s", Some(2000)),
            ("500ms", Some(500)),
            ("10m", Some(600_000)),
            ("3", Some(3000)),
            ("1h", Some(3_600_000)),
            ("0", None),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("99999999999999999999d", None),
            ("18446744073709551615d", None),
        ] {
            let read = duration("for", text).ok();
            assert_eq!(read, millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn the_table_is_drawn_over_itself_and_its_history_is_bounded() {
        let mut table = Table::default();
        let first = table.drawn(&Sample::default(), true);
        assert!(!first.contains('\x1b'), "{first:?}");
        for busy in 0..200 {
            table.drawn(&Sample { busy_workers: Some(busy), ..Sample::default() }, true);
        }
        let last = table.drawn(
            &Sample {
                busy_workers: Some(1),
                status_reason: Some("a\x1b[2J".to_owned()),
                ..Sample::default()
            },
            true,
        );
        assert!(last.starts_with(&format!("\x1b[{}F\x1b[J", first.lines().count())), "{last:?}");
        assert_eq!(last.matches('\x1b').count(), 2, "{last:?}");
        assert!(table.history.iter().all(|history| history.len() <= HISTORY));
        assert_eq!(bars(&[Some(0), Some(7), None, Some(14)]), "▁▄ █");
    }
}
