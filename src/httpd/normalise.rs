//! What httpd makes of a set of values: effective values and message codes, for each MPM and version.
//!
//! Source: `event_check_config`, `worker_check_config`, `prefork_check_config` and the `*_run` functions of
//! httpd 2.4; checked against the real program by the differential tests.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::core_directives;
use super::directives::{Directive, Group, NoModules, Parser};
use super::numbers::{self, Atoi};
use super::{Mpm, Version};

/// The MPM's directives as written in the main server, by canonical name; the last line's text of each.
pub type Written = BTreeMap<&'static str, String>;

/// A message that httpd prints about a value it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The code as `httpd -t` prints it: `AH00513`; `None` where httpd changes the value silently.
    pub code: Option<&'static str>,
    /// The directive it is about.
    pub directive: &'static str,
    /// The value before this step.
    pub from: String,
    /// The value after it.
    pub to: String,
}

/// A value that httpd refuses: it would not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The directive.
    pub directive: &'static str,
    /// What httpd says, in this tool's words.
    pub message: String,
}

/// What httpd makes of [`Written`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normal {
    /// The values in use, by canonical name, those not written at their default, as text.
    pub used: BTreeMap<&'static str, String>,
    /// The corrections, in httpd's order.
    pub corrections: Vec<Correction>,
    /// What would keep httpd from starting, in table order.
    pub refusals: Vec<Refusal>,
    /// The same in numbers, for arithmetic.
    pub sizes: Sizes,
}

/// The sizes in use, after all corrections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Processes started at first.
    pub started: i64,
    /// Most processes that serve at once: MaxRequestWorkers over ThreadsPerChild.
    pub processes: i64,
    /// Process slots of the scoreboard: `ServerLimit`.
    pub server_limit: i64,
    /// Thread slots a process of the scoreboard: `ThreadLimit`; 1 under prefork.
    pub thread_limit: i64,
    /// Worker threads a process: `ThreadsPerChild`; 1 under prefork.
    pub threads: i64,
    /// Requests served at once: `MaxRequestWorkers`.
    pub workers: i64,
    /// Fewest idle: threads, or processes under prefork.
    pub min_spare: i64,
    /// Most idle: threads, or processes under prefork.
    pub max_spare: i64,
    /// Connections a process holds for each idle worker, event only; 0 elsewhere.
    pub factor: i64,
}

/// The sizes that are compiled into an MPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compiled {
    /// Highest `ServerLimit`.
    pub server_limit_max: i32,
    /// Highest `ThreadLimit`.
    pub thread_limit_max: i32,
}

/// Fewest bytes of stack that glibc grants a thread on x86-64; below it the value is ignored.
pub const STACK_MIN: i64 = 16_384;

/// Returns the sizes compiled into an MPM.
///
/// Source: the `MAX_*` constants of `server/mpm/*/*.c`.
pub const fn compiled(mpm: Mpm) -> Compiled {
    match mpm {
        Mpm::Event => Compiled { server_limit_max: 20_000, thread_limit_max: 100_000 },
        Mpm::Worker => Compiled { server_limit_max: 20_000, thread_limit_max: 20_000 },
        Mpm::Prefork => Compiled { server_limit_max: 200_000, thread_limit_max: 1 },
    }
}

/// The codes of one MPM's messages, in the form that `httpd -t` prints.
struct Codes {
    servers_above: &'static str,
    servers_below: &'static str,
    thread_limit_above: &'static str,
    thread_limit_below: &'static str,
    threads_above: &'static str,
    threads_below: &'static str,
    workers_below: &'static str,
    workers_multiple: &'static str,
    workers_above: &'static str,
    start_below: &'static str,
    spare_below: &'static str,
}

const EVENT: Codes = Codes {
    servers_above: "AH00497",
    servers_below: "AH00499",
    thread_limit_above: "AH00502",
    thread_limit_below: "AH00504",
    threads_above: "AH00507",
    threads_below: "AH00509",
    workers_below: "AH00511",
    workers_multiple: "AH00513",
    workers_above: "AH00515",
    start_below: "AH00517",
    spare_below: "AH00519",
};

const WORKER: Codes = Codes {
    servers_above: "AH00300",
    servers_below: "AH00302",
    thread_limit_above: "AH00305",
    thread_limit_below: "AH00307",
    threads_above: "AH00310",
    threads_below: "AH00312",
    workers_below: "AH00314",
    workers_multiple: "AH00316",
    workers_above: "AH00318",
    start_below: "AH00320",
    spare_below: "AH00322",
};

/// Prefork has no threads: the four codes about them are never used.
const PREFORK: Codes = Codes {
    servers_above: "AH00175",
    servers_below: "AH00177",
    thread_limit_above: "",
    thread_limit_below: "",
    threads_above: "",
    threads_below: "",
    workers_below: "AH00182",
    workers_multiple: "",
    workers_above: "AH00180",
    start_below: "AH00184",
    spare_below: "AH00186",
};

/// Returns what `version` of httpd makes of the values under `mpm`, with one set of listening sockets.
pub fn normalise(mpm: Mpm, version: Version, written: &Written) -> Normal {
    normalise_with_buckets(mpm, version, written, 1)
}

/// Returns what [`normalise`] does, with `buckets` sets of listening sockets: processors online divided by
/// `ListenCoresBucketsRatio`, at least 1.
pub fn normalise_with_buckets(mpm: Mpm, version: Version, written: &Written, buckets: u32) -> Normal {
    let mut run = Run { mpm, version, written, normal: Normal::default() };
    run.read_all();
    let codes = match mpm {
        Mpm::Event => &EVENT,
        Mpm::Worker => &WORKER,
        Mpm::Prefork => &PREFORK,
    };
    let buckets = i32::try_from(buckets.max(1)).unwrap_or(i32::MAX);
    if mpm.threaded() {
        run.threaded(codes, buckets);
    } else {
        run.prefork(codes, buckets);
    }
    run.normal
}

/// Returns what httpd's `(unsigned int)` cast makes of `AsyncRequestWorkerFactor` since 2.4.30: the fraction gone,
/// at least 1, and nonsense for what does not fit.
fn whole_factor(value: f64) -> i64 {
    // x86-64 converts through 64 bits, where infinities and NaN become the lowest number, and keeps the low 32.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let low = if value.is_finite() && value < 9.3e18 { value as i64 as u32 } else { 0 };
    i64::from(low.max(1))
}

struct Run<'a> {
    mpm: Mpm,
    version: Version,
    written: &'a Written,
    normal: Normal,
}

impl Run<'_> {
    fn refuse(&mut self, directive: &'static str, message: String) {
        self.normal.refusals.push(Refusal { directive, message });
    }

    fn silent(&mut self, directive: &'static str, from: impl Display, to: impl Display) {
        self.correct(None, directive, from, to);
    }

    fn correct(
        &mut self,
        code: Option<&'static str>,
        directive: &'static str,
        from: impl Display,
        to: impl Display,
    ) {
        let (from, to) = (from.to_string(), to.to_string());
        self.normal.corrections.push(Correction { code, directive, from, to });
    }

    /// What happens while the lines are read: unknown names and bad values are refused, numbers are cut.
    fn read_all(&mut self) {
        let mut values = Vec::with_capacity(24);
        for row in core_directives::rows() {
            let Some(text) = self.written.get(row.name) else {
                if row.group == Group::MPM && row.mpms.contains(&self.mpm) {
                    let default = (row.default)(self.mpm, &NoModules).to_owned();
                    if row.parser == Parser::Strtod {
                        default.parse().map(|factor| self.normal.sizes.factor = factor).unwrap_or_default();
                    }
                    values.push((row.name, default));
                }
                continue;
            };
            if let Err(message) = self.known(row) {
                self.refuse(row.name, message);
                continue;
            }
            if text.is_empty() {
                self.refuse(row.name, format!("{} takes one argument, not an empty one", row.name));
                continue;
            }
            match row.parser {
                Parser::Atoi => {
                    let number = numbers::atoi(text);
                    if let Some(message) = refused_atoi(row.name, number.value) {
                        self.refuse(row.name, message);
                    } else {
                        self.note_cut(row.name, text, number);
                    }
                    values.push((row.name, number.value.to_string()));
                }
                Parser::Strtol => values.push((row.name, self.strtol(row.name, text))),
                Parser::Strtod => values.push((row.name, self.factor(row.name, text))),
                _ => values.push((row.name, text.clone())),
            }
        }
        self.normal.used.extend(values);
    }

    /// Refuses a name that this MPM or version does not know.
    fn known(&self, row: &Directive) -> Result<(), String> {
        if !row.mpms.contains(&self.mpm) {
            Err(format!("{} is not a directive of the {} MPM", row.name, self.mpm))
        } else if row.is_newer_than(self.version) {
            Err(format!("{} is not known before httpd 2.4.{}; this is {}", row.name, row.since, self.version))
        } else {
            Ok(())
        }
    }

    /// Records that `atoi` used something else than the text says.
    fn note_cut(&mut self, directive: &'static str, text: &str, number: Atoi<'_>) {
        if number.wrapped || !number.digits || !number.rest.is_empty() {
            self.silent(directive, text, number.value);
        }
    }

    /// Reads `ThreadStackSize` (bytes) and `MaxMemFree` (KiB).
    fn strtol(&mut self, directive: &'static str, text: &str) -> String {
        let number = numbers::strtol(text, 10);
        if number.overflow || number.value < 0 {
            self.refuse(directive, format!("{directive} {text} is below zero or too large"));
            return text.to_owned();
        }
        let used = match directive {
            // The bytes are kept in 32 bits, so the KiB wrap at 4 GiB.
            "MaxMemFree" => number.value % (1 << 22),
            "ThreadStackSize" if number.value < STACK_MIN && self.mpm.threaded() => 0,
            _ => number.value,
        };
        if used != number.value || !number.digits || !number.rest.is_empty() {
            self.silent(directive, text, used);
        }
        used.to_string()
    }

    /// Reads `AsyncRequestWorkerFactor`.
    fn factor(&mut self, directive: &'static str, text: &str) -> String {
        let Some(value) = numbers::strtod(text) else {
            self.refuse(directive, format!("{directive} {text} is not a number"));
            return text.to_owned();
        };
        // NaN is not below or equal to zero, so httpd lets it pass.
        if value <= 0.0 {
            self.refuse(directive, format!("{directive} must be a positive number, not {text}"));
            return text.to_owned();
        }
        if self.version < Version::v24(30) {
            // Sixteenths of a connection were counted then.
            let sixteenths = whole_factor(value * 16.0).min(i64::from(i32::MAX));
            let whole = sixteenths / 16;
            let used = match sixteenths % 16 {
                0 => whole.to_string(),
                rest => format!("{whole}.{:04}", rest * 625).trim_end_matches('0').to_owned(),
            };
            self.normal.sizes.factor = whole;
            if used.parse() != Ok(value) {
                self.silent(directive, text, &used);
            }
            return used;
        }
        let whole = whole_factor(value);
        #[allow(clippy::cast_precision_loss, clippy::float_cmp)]
        let same = whole as f64 == value;
        if !same {
            self.silent(directive, text, whole);
        }
        self.normal.sizes.factor = whole;
        whole.to_string()
    }

    /// The number read for a directive, refused or not.
    fn number(&self, directive: &str) -> i32 {
        self.normal.used.get(directive).map_or(0, |text| numbers::atoi(text).value)
    }

    fn clamp_low(&mut self, directive: &'static str, value: &mut i32, code: &'static str) {
        if *value < 1 {
            self.correct(Some(code), directive, *value, 1);
            *value = 1;
        }
    }

    fn clamp_high(&mut self, directive: &'static str, value: &mut i32, most: i32, code: &'static str) {
        if *value > most {
            self.correct(Some(code), directive, *value, most);
            *value = most;
        }
    }

    fn threaded(&mut self, codes: &Codes, buckets: i32) {
        let built = compiled(self.mpm);
        let mut servers = self.number("ServerLimit");
        self.clamp_high("ServerLimit", &mut servers, built.server_limit_max, codes.servers_above);
        self.clamp_low("ServerLimit", &mut servers, codes.servers_below);
        let mut thread_limit = self.number("ThreadLimit");
        self.clamp_high("ThreadLimit", &mut thread_limit, built.thread_limit_max, codes.thread_limit_above);
        self.clamp_low("ThreadLimit", &mut thread_limit, codes.thread_limit_below);
        let mut threads = self.number("ThreadsPerChild");
        self.clamp_high("ThreadsPerChild", &mut threads, thread_limit, codes.threads_above);
        self.clamp_low("ThreadsPerChild", &mut threads, codes.threads_below);

        let mut workers = self.number("MaxRequestWorkers");
        if workers < threads {
            self.correct(Some(codes.workers_below), "MaxRequestWorkers", workers, threads);
            workers = threads;
        }
        let mut processes = workers / threads;
        if workers % threads != 0 {
            let down = processes * threads;
            self.correct(Some(codes.workers_multiple), "MaxRequestWorkers", workers, down);
            workers = down;
        }
        if processes > servers {
            processes = servers;
            let most = servers.wrapping_mul(threads);
            self.correct(Some(codes.workers_above), "MaxRequestWorkers", workers, most);
            workers = most;
        }
        let mut start = self.number("StartServers");
        self.clamp_low("StartServers", &mut start, codes.start_below);
        let mut min_spare = self.number("MinSpareThreads");
        self.clamp_low("MinSpareThreads", &mut min_spare, codes.spare_below);

        // From here on httpd says nothing: the corrections at start, for the sets of listening sockets.
        let mut max_spare = self.number("MaxSpareThreads");
        if processes < buckets {
            self.silent("MaxRequestWorkers", workers, buckets.saturating_mul(threads));
            processes = buckets;
            workers = buckets.saturating_mul(threads);
        }
        if start < buckets {
            self.silent("StartServers", start, buckets);
            start = buckets;
        }
        let least = threads.wrapping_mul(buckets - 1).wrapping_add(buckets);
        if min_spare < least {
            self.silent("MinSpareThreads", min_spare, least);
            min_spare = least;
        }
        let step =
            if self.version < Version::v24(23) { threads } else { (threads + 1).wrapping_mul(buckets) };
        // A wrap-around of C's int at the very edge is httpd's own.
        let most = min_spare.wrapping_add(step);
        if max_spare < most {
            self.silent("MaxSpareThreads", max_spare, most);
            max_spare = most;
        }
        if start > processes {
            self.silent("StartServers", start, processes);
            start = processes;
        }
        self.keep(&[
            ("StartServers", start),
            ("ServerLimit", servers),
            ("ThreadLimit", thread_limit),
            ("ThreadsPerChild", threads),
            ("MaxRequestWorkers", workers),
            ("MinSpareThreads", min_spare),
            ("MaxSpareThreads", max_spare),
        ]);
        self.normal.sizes = Sizes {
            started: start.into(),
            processes: processes.into(),
            server_limit: servers.into(),
            thread_limit: thread_limit.into(),
            threads: threads.into(),
            workers: workers.into(),
            min_spare: min_spare.into(),
            max_spare: max_spare.into(),
            factor: self.normal.sizes.factor,
        };
    }

    fn prefork(&mut self, codes: &Codes, buckets: i32) {
        let mut servers = self.number("ServerLimit");
        self.clamp_high(
            "ServerLimit",
            &mut servers,
            compiled(self.mpm).server_limit_max,
            codes.servers_above,
        );
        self.clamp_low("ServerLimit", &mut servers, codes.servers_below);
        let mut workers = self.number("MaxRequestWorkers");
        self.clamp_high("MaxRequestWorkers", &mut workers, servers, codes.workers_above);
        self.clamp_low("MaxRequestWorkers", &mut workers, codes.workers_below);
        let mut start = self.number("StartServers");
        self.clamp_low("StartServers", &mut start, codes.start_below);
        let mut min_spare = self.number("MinSpareServers");
        self.clamp_low("MinSpareServers", &mut min_spare, codes.spare_below);

        let mut max_spare = self.number("MaxSpareServers");
        for (name, value) in [
            ("MaxRequestWorkers", &mut workers),
            ("StartServers", &mut start),
            ("MinSpareServers", &mut min_spare),
        ] {
            if *value < buckets {
                self.silent(name, *value, buckets);
                *value = buckets;
            }
        }
        let most = min_spare.wrapping_add(buckets);
        if max_spare < most {
            self.silent("MaxSpareServers", max_spare, most);
            max_spare = most;
        }
        if start > workers {
            self.silent("StartServers", start, workers);
            start = workers;
        }
        self.keep(&[
            ("StartServers", start),
            ("ServerLimit", servers),
            ("MaxRequestWorkers", workers),
            ("MinSpareServers", min_spare),
            ("MaxSpareServers", max_spare),
        ]);
        self.normal.sizes = Sizes {
            started: start.into(),
            processes: workers.into(),
            server_limit: servers.into(),
            thread_limit: 1,
            threads: 1,
            workers: workers.into(),
            min_spare: min_spare.into(),
            max_spare: max_spare.into(),
            factor: 0,
        };
    }

    fn keep(&mut self, sizes: &[(&'static str, i32)]) {
        for (name, value) in sizes {
            self.normal.used.insert(name, value.to_string());
        }
    }
}

/// Returns what httpd says where it refuses a number that `atoi` read.
fn refused_atoi(directive: &str, value: i32) -> Option<String> {
    match directive {
        "ListenBacklog" | "ListenCoresBucketsRatio" | "ListenTCPDeferAccept" if value < 1 => {
            Some(format!("{directive} must be at least 1; httpd reads {value}"))
        }
        "SendBufferSize" | "ReceiveBufferSize" if value != 0 && value < 512 => Some(format!(
            "{directive} must be at least 512 bytes, or 0 for the system's own; httpd reads {value}"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Mpm::{Event, Prefork, Worker};

    fn written(text: &str) -> Written {
        text.split_terminator(',')
            .map(|pair| {
                let (key, value) = pair.trim().split_once(' ').unwrap();
                let name = match key {
                    "SL" => "ServerLimit",
                    "TL" => "ThreadLimit",
                    "TPC" => "ThreadsPerChild",
                    "MRW" => "MaxRequestWorkers",
                    "SS" => "StartServers",
                    "ARWF" => "AsyncRequestWorkerFactor",
                    _ => core_directives::find(key.as_bytes()).unwrap().name,
                };
                (name, value.to_owned())
            })
            .collect()
    }

    fn newest(mpm: Mpm, text: &str) -> Normal {
        normalise(mpm, Version::NEWEST_KNOWN, &written(text))
    }

    fn codes(normal: &Normal) -> Vec<&'static str> {
        normal.corrections.iter().filter_map(|c| c.code).collect()
    }

    #[test]
    fn sizes_become_what_the_real_server_was_seen_to_make_of_them() {
        for (text, event, worker, processes, threads) in [
            ("", &[][..], &[][..], 16, 25),
            ("SL 32", &[], &[], 16, 25),
            ("SL 4", &["AH00515"], &["AH00318"], 4, 25),
            ("SL 0", &["AH00499", "AH00515"], &["AH00302", "AH00318"], 1, 25),
            ("SL -5", &["AH00499", "AH00515"], &["AH00302", "AH00318"], 1, 25),
            ("SL foo", &["AH00499", "AH00515"], &["AH00302", "AH00318"], 1, 25),
            ("SL 0x10", &["AH00499", "AH00515"], &["AH00302", "AH00318"], 1, 25),
            ("SL 3000000000", &["AH00499", "AH00515"], &["AH00302", "AH00318"], 1, 25),
            ("SL 16abc", &[], &[], 16, 25),
            ("TPC 64", &["AH00513"], &["AH00316"], 6, 64),
            ("TPC 30", &["AH00513"], &["AH00316"], 13, 30),
            ("TPC 65", &["AH00507", "AH00513"], &["AH00310", "AH00316"], 6, 64),
            ("TPC 0", &["AH00509", "AH00515"], &["AH00312", "AH00318"], 16, 1),
            ("TL 0", &["AH00504", "AH00507", "AH00515"], &["AH00307", "AH00310", "AH00318"], 16, 1),
            ("TL 20001", &[], &["AH00305"], 16, 25),
            ("MRW 10", &["AH00511"], &["AH00314"], 1, 25),
            ("MRW 401", &["AH00513"], &["AH00316"], 16, 25),
            ("MRW 410", &["AH00513"], &["AH00316"], 16, 25),
            ("MRW 425", &["AH00515"], &["AH00318"], 16, 25),
            ("MRW 410,TPC 20", &["AH00513", "AH00515"], &["AH00316", "AH00318"], 16, 20),
            (
                "TPC 40,TL 32,SL 5,MRW 333",
                &["AH00507", "AH00513", "AH00515"],
                &["AH00310", "AH00316", "AH00318"],
                5,
                32,
            ),
            ("MRW 1000,SL 40,TPC 25", &[], &[], 40, 25),
            ("MaxConnectionsPerChild -1", &[], &[], 16, 25),
            ("SL 99999999999", &["AH00497"], &["AH00300"], 16, 25),
        ] {
            for (mpm, want) in [(Event, event), (Worker, worker)] {
                let normal = newest(mpm, text);
                assert_eq!(codes(&normal), want, "{mpm}: {text}");
                assert_eq!(
                    (normal.sizes.processes, normal.sizes.threads),
                    (processes, threads),
                    "{mpm}: {text}"
                );
                assert_eq!(
                    normal.used["MaxRequestWorkers"],
                    (processes * threads).to_string(),
                    "{mpm}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_thread_limit_above_the_compiled_one_is_cut_to_it() {
        assert_eq!(newest(Event, "TL 20001").sizes.thread_limit, 20_001);
        assert_eq!(newest(Worker, "TL 20001").sizes.thread_limit, 20_000);
        assert_eq!(codes(&newest(Event, "TL 100001")), ["AH00502"]);
    }

    #[test]
    fn no_more_children_start_than_may_exist() {
        for mpm in [Event, Worker] {
            let normal = newest(mpm, "SS 100,MRW 100,TPC 25");
            assert_eq!((normal.sizes.started, codes(&normal).len()), (4, 0), "{mpm}");
        }
    }

    #[test]
    fn most_spare_is_raised_without_a_word() {
        for (mpm, text, used) in [
            (Event, "MinSpareThreads 25,MaxSpareThreads 0,TPC 25,SS 8", "51"),
            (Worker, "MinSpareThreads 25,MaxSpareThreads 50,TPC 25,SS 8", "51"),
            (Prefork, "MinSpareServers 3,MaxSpareServers 0,SS 8", "4"),
            (Prefork, "MinSpareServers 3,MaxSpareServers 3,SS 8", "4"),
        ] {
            let normal = newest(mpm, text);
            let name = if mpm.threaded() { "MaxSpareThreads" } else { "MaxSpareServers" };
            assert_eq!(normal.used[name], used, "{mpm}: {text}");
            assert_eq!(codes(&normal), [""; 0], "{mpm}: {text}");
            assert!(
                normal.corrections.iter().any(|c| c.code.is_none() && c.directive == name),
                "{mpm}: {text}"
            );
        }
    }

    #[test]
    fn prefork_sizes_become_what_the_real_server_was_seen_to_make_of_them() {
        for (text, want, workers) in [
            ("", &[][..], 256),
            ("SL 100", &["AH00180"], 100),
            ("SL 1000", &[], 256),
            ("MRW 300", &["AH00180"], 256),
            ("MRW 0", &["AH00182"], 1),
            ("MRW -1", &["AH00182"], 1),
            ("SS 50,MRW 4", &[], 4),
            ("MinSpareServers 30,MRW 4", &[], 4),
            ("SL 0,SS 0,MinSpareServers 0", &["AH00177", "AH00180", "AH00184", "AH00186"], 1),
            ("SL 200001", &["AH00175"], 256),
            ("MaxConnectionsPerChild -1", &[], 256),
        ] {
            let normal = newest(Prefork, text);
            assert_eq!((codes(&normal).as_slice(), normal.sizes.workers), (want, workers), "{text}");
        }
    }

    #[test]
    fn what_httpd_refuses_is_refused() {
        for (mpm, text, refused) in [
            (Event, "ARWF 0", true),
            (Event, "ARWF -1", true),
            (Event, "ARWF 2x", true),
            (Event, "ARWF nan", false),
            (Event, "ARWF 1e9", false),
            (Worker, "ARWF 2", true),
            (Event, "MinSpareServers 5", true),
            (Prefork, "ThreadsPerChild 25", true),
            (Prefork, "ThreadStackSize 8388608", false),
            (Event, "ListenBacklog 0", true),
            (Event, "ListenBacklog abc", true),
            (Event, "ListenBacklog 1", false),
            (Event, "ThreadStackSize -1", true),
            (Event, "ThreadStackSize 99999999999999999999", true),
            (Event, "MaxMemFree 8M", false),
            (Event, "MaxMemFree -1", true),
            (Event, "SendBufferSize 511", true),
            (Event, "SendBufferSize 0", false),
            (Event, "ListenCoresBucketsRatio 0", true),
            (Event, "GracefulShutdownTimeout -1", false),
        ] {
            assert_eq!(!newest(mpm, text).refusals.is_empty(), refused, "{mpm}: {text}");
        }
        let empty = Written::from([("ServerLimit", String::new())]);
        assert_eq!(normalise(Event, Version::NEWEST_KNOWN, &empty).refusals.len(), 1);
    }

    #[test]
    fn releases_differ_where_their_sources_do() {
        let spare = written("MinSpareThreads 75,MaxSpareThreads 100,TPC 25");
        assert_eq!(normalise(Event, Version::v24(6), &spare).used["MaxSpareThreads"], "100");
        assert_eq!(normalise(Event, Version::v24(23), &spare).used["MaxSpareThreads"], "101");
        for (text, old, new) in
            [("1.5", "1.5", "1"), ("0.25", "0.25", "1"), ("2.99", "2.9375", "2"), ("3", "3", "3")]
        {
            let factor = written(&format!("ARWF {text}"));
            assert_eq!(
                normalise(Event, Version::v24(29), &factor).used["AsyncRequestWorkerFactor"],
                old,
                "{text}"
            );
            assert_eq!(
                normalise(Event, Version::v24(30), &factor).used["AsyncRequestWorkerFactor"],
                new,
                "{text}"
            );
        }
        let defer = written("ListenTCPDeferAccept 30");
        assert_eq!(normalise(Event, Version::v24(65), &defer).refusals.len(), 1);
        assert_eq!(normalise(Event, Version::v24(66), &defer).refusals.len(), 0);
    }

    #[test]
    fn nonsense_factors_become_what_the_cast_makes_of_them() {
        for (text, used) in
            [("nan", "1"), ("inf", "1"), ("1e9", "1000000000"), ("0.5", "1"), ("1e10", "1410065408")]
        {
            assert_eq!(
                newest(Event, &format!("ARWF {text}")).used["AsyncRequestWorkerFactor"],
                used,
                "{text}"
            );
        }
    }

    #[test]
    fn memory_kept_wraps_at_4_gib() {
        for (text, used) in [("4194304", "0"), ("4194305", "1"), ("8M", "8"), ("abc", "0"), ("2048", "2048")]
        {
            assert_eq!(newest(Event, &format!("MaxMemFree {text}")).used["MaxMemFree"], used, "{text}");
        }
    }

    #[test]
    fn more_sets_of_sockets_raise_the_sizes_without_a_word() {
        let normal =
            normalise_with_buckets(Event, Version::NEWEST_KNOWN, &written("SL 1,TPC 4,MRW 4,SS 1"), 2);
        assert_eq!((normal.sizes.processes, normal.sizes.started, normal.sizes.min_spare), (2, 2, 75));
        assert_eq!(normal.sizes.max_spare, 250);
    }

    #[test]
    fn the_published_mistakes_are_predicted() {
        for (mpm, text, want) in [
            (Event, "MRW 30,TPC 25", 25),
            (Event, "MRW 260,SL 10,TPC 25", 250),
            (Event, "MRW 256,TPC 25", 250),
            (Event, "MRW 9,TPC 5", 5),
            (Event, "MRW 5000", 400),
            (Event, "TPC 100,MRW 400", 384),
            (Prefork, "MRW 3522", 256),
            (Event, "MRW abc", 25),
        ] {
            assert_eq!(newest(mpm, text).sizes.workers, want, "{mpm}: {text}");
        }
    }

    /// Every managed directive that an MPM knows has a value in use.
    #[test]
    fn nothing_known_is_left_without_a_value() {
        for mpm in Mpm::ALL {
            let normal = newest(mpm, "");
            for row in core_directives::mpm_rows() {
                assert_eq!(
                    normal.used.contains_key(row.name),
                    row.mpms.contains(&mpm),
                    "{mpm}: {}",
                    row.name
                );
            }
            assert!(normal.corrections.is_empty() && normal.refusals.is_empty());
        }
    }
}
