//! Random settings, judged by the rules and by the real httpd.
//!
//! A set is written to a file. The rules predict from the text of that file, through the reader, which messages
//! `httpd -t` prints and whether it refuses; then the real one of a test host is asked. For some sets the server is
//! started and its processes and threads are counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use apache_tuning::capacity::MemoryNeed;
use apache_tuning::distro::LAYOUTS;
use apache_tuning::facts::Machine;
use apache_tuning::features::blocks::argument;
use apache_tuning::httpd::core_directives;
use apache_tuning::httpd::normalise::{Normal, Sizes, Written, normalise};
use apache_tuning::httpd::read::{self, Configuration, Scope, Start};
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params::Params;
use apache_tuning::registry::TABLE;
use apache_tuning::report::Need;
use apache_tuning::rules::{self, Context};
use apache_tuning::tree::Memory;
use test_hosts::Host;

/// Where the files are in the host.
const FOLDER: &str = "/srv/differential";
/// What httpd calls a line that it refuses; what it says then is no message about a size.
const REFUSED: &str = "AH00526";
/// What the reader of httpd says about variables, not about values.
const VARIABLE: &str = "AH00111";

/// A small generator of numbers whose whole state is the seed that a failure names (`SplitMix64`).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::try_from(self.below(list.len() as u64)).unwrap_or(0)]
    }
}

/// Numbers at which some rule begins or ends to speak, and others.
fn number(random: &mut Random) -> i64 {
    const EDGES: [i64; 34] = [
        -1, 0, 1, 2, 5, 9, 10, 15, 16, 17, 24, 25, 26, 30, 50, 63, 64, 65, 75, 100, 150, 250, 255, 256, 257,
        399, 400, 401, 425, 511, 512, 1000, 1024, 8000,
    ];
    const LIMITS: [i64; 8] = [20_000, 100_000, 200_000, 1 << 22, 1 << 31, 1 << 32, 16_384, 3_000_000_000];
    match random.below(8) {
        0 | 1 => i64::try_from(random.below(600)).unwrap_or(0),
        2 => random.of(&LIMITS) + random.of(&[-1, 0, 1]),
        3 => -i64::try_from(random.below(1000)).unwrap_or(0),
        4 => 25 * i64::try_from(random.below(40)).unwrap_or(0),
        _ => random.of(&EDGES),
    }
}

/// A value as another person might write it: mostly a number, sometimes with more or less than that.
fn value(random: &mut Random) -> String {
    const TEXTS: [&str; 22] = [
        "",
        " ",
        "abc",
        "16abc",
        "10k",
        "0x10",
        "010",
        "1e3",
        "1.5",
        "+25",
        " 25",
        "25 ",
        "- 5",
        "99999999999999999999",
        "-99999999999999999999",
        "${UNDEFINED}",
        "inf",
        "nan",
        "2x",
        "0.5",
        "#5",
        "5#text",
    ];
    if random.one_in(8) { random.of(&TEXTS).to_owned() } else { number(random).to_string() }
}

/// A duration as another person might write it.
fn duration(random: &mut Random) -> String {
    const UNITS: [&str; 17] =
        ["", "", "s", "ms", "mi", "min", "h", "sec", "m", "S", "MS", "d", "us", " s", "s5", ".5", "x"];
    format!("{}{}", if random.one_in(8) { String::new() } else { value(random) }, random.of(&UNITS))
}

/// Arguments of `RequestReadTimeout`.
fn read_timeout(random: &mut Random) -> String {
    const STAGES: [&str; 5] = ["header", "body", "handshake", "HEADER", "head"];
    let mut words = Vec::new();
    for _ in 0..=random.below(2) {
        let mut word = format!("{}={}", random.of(&STAGES), number(random));
        if random.one_in(2) {
            let _ = write!(word, "-{}", number(random).abs());
        }
        if !random.one_in(3) {
            let _ = write!(word, ",MinRate={}", number(random));
        }
        words.push(word);
    }
    words.join(" ")
}

/// Directives beside the MPM's that are judged too.
const FURTHER: [&str; 9] = [
    "KeepAlive",
    "KeepAliveTimeout",
    "MaxKeepAliveRequests",
    "Timeout",
    "RequestReadTimeout",
    "ListenTCPDeferAccept",
    "ListenCoresBucketsRatio",
    "SendBufferSize",
    "ReceiveBufferSize",
];

/// One set: the MPM and the text of the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) mpm: Mpm,
    text: String,
}

/// The lines without which no server starts.
fn frame(mpm: Mpm, number: usize, port: usize) -> String {
    format!(
        "ServerName localhost\nServerRoot /etc/apache2\nDefaultRuntimeDir {FOLDER}\nPidFile {FOLDER}/{number}.pid\n\
         ErrorLog {FOLDER}/{number}.log\nUser www-data\nGroup www-data\nListen 127.0.0.1:{port}\n\
         LoadModule {} /usr/lib/apache2/modules/mod_mpm_{mpm}.so\n\
         LoadModule reqtimeout_module /usr/lib/apache2/modules/mod_reqtimeout.so\n",
        mpm.module()
    )
}

/// Returns a random set.
pub(crate) fn set(random: &mut Random, index: usize) -> Set {
    let mpm = random.of(&Mpm::ALL);
    let mut text = frame(mpm, index, 8080);
    for row in core_directives::mpm_rows() {
        let known = row.mpms.contains(&mpm);
        if !random.one_in(if known { 3 } else { 60 }) {
            continue;
        }
        let name = row.alias.filter(|_| random.one_in(6)).unwrap_or(row.name);
        let _ = writeln!(text, "{name} {}", argument(&value(random)));
    }
    for name in FURTHER {
        if !random.one_in(14) {
            continue;
        }
        let value = match name {
            "KeepAlive" => random.of(&["On", "off", "ON", "yes", "1", "On Off"]).to_owned(),
            "KeepAliveTimeout" => argument(&duration(random)),
            "RequestReadTimeout" => read_timeout(random),
            _ => argument(&value(random)),
        };
        let _ = writeln!(text, "{name} {value}");
    }
    Set { mpm, text }
}

/// What `httpd -t` is expected to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    refused: bool,
    /// The codes of the messages about sizes, in order; none where it is refused, as the sizes are looked at last.
    codes: Vec<String>,
}

/// Reads a configuration as the product does.
fn read_text(text: &str, version: Version) -> Configuration {
    let mut files = Memory::new().file(format!("{FOLDER}/a.conf"), text);
    for module in ["mpm_event", "mpm_worker", "mpm_prefork", "reqtimeout"] {
        files = files.file(format!("/usr/lib/apache2/modules/mod_{module}.so"), "");
    }
    let built_in = LAYOUTS[0].built_in.iter().map(|(id, file)| ((*id).to_owned(), (*file).to_owned()));
    let start = Start {
        first: Vec::new(),
        then: Vec::new(),
        unknown: apache_tuning::httpd::start::Unknown::default(),
        binary: "/usr/sbin/apache2".into(),
        file: Path::new(FOLDER).join("a.conf"),
        server_root: "/etc/apache2".into(),
        version,
        built_in: built_in.collect(),
        defines: Vec::new(),
        environment: BTreeMap::new(),
        table: &TABLE,
    };
    read::read(&files, &start)
}

/// Returns the MPM's directives of a configuration as they are judged.
fn written(configuration: &Configuration) -> Written {
    let main = configuration.lines.iter().filter(|line| line.scope == Scope::Main);
    let of_mpm = |name: &str| core_directives::mpm_rows().any(|row| row.name == name);
    main.filter(|line| of_mpm(line.directive))
        .map(|line| (line.directive, line.words.first().cloned().unwrap_or_default()))
        .collect()
}

/// Predicts what `version` of httpd does with a set.
pub(crate) fn predicted(set: &Set, version: Version) -> Answer {
    let configuration = read_text(&set.text, version);
    let written = written(&configuration);
    let normal = normalise(set.mpm, version, &written);
    let params: Params = serde_json::from_str("{}").unwrap_or_else(|error| panic!("no parameters: {error}"));
    let findings = rules::check(&Context {
        params: &params,
        mpm: set.mpm,
        layout: &LAYOUTS[0],
        version,
        machine: &Machine::default(),
        host: rules::Host::default(),
        memory: &MemoryNeed::default(),
        evasive: None,
        written: &written,
        normal: &normal,
        before: &configuration,
        values_before: &[],
        moved: &[],
        after: &configuration,
        startup: None,
        files: &Memory::new(),
        now: None,
        running: None,
        need: Need::None,
        changes: &[],
        blocked: false,
        audit: true,
    });
    let refused = findings.iter().any(|finding| finding.httpd.as_deref() == Some(REFUSED));
    let codes = normal.corrections.iter().filter_map(|fix| fix.code).map(str::to_owned);
    Answer { refused, codes: if refused { Vec::new() } else { codes.collect() } }
}

/// Asks the host's own httpd about many sets, in one go.
pub(crate) fn answered(host: &Host, sets: &[Set]) -> Vec<(Answer, String)> {
    host.sh(&format!("rm -rf {FOLDER} && mkdir -p {FOLDER}")).ok();
    for (index, set) in sets.iter().enumerate() {
        host.write(format!("{FOLDER}/{index}.conf"), &set.text);
    }
    let line = format!(
        "n=0; while [ $n -lt {} ]; do echo \"== set $n\"; /usr/sbin/apache2 -t -f {FOLDER}/$n.conf 2>&1; \
         echo \"== exit $?\"; n=$((n + 1)); done",
        sets.len()
    );
    let ran = host.sh(&line);
    let answers: Vec<(Answer, String)> = ran.ok().split("== set ").skip(1).map(answer).collect();
    assert_eq!(answers.len(), sets.len(), "httpd was not asked about every set: {}", ran.stderr);
    answers
}

/// Reads one answer: what was printed, then the exit status.
fn answer(text: &str) -> (Answer, String) {
    let (printed, exit) = text.split_once("== exit ").unwrap_or((text, "none"));
    let refused = exit.trim() != "0";
    let codes = printed
        .lines()
        .filter_map(|line| line.get(..7).filter(|code| code.starts_with("AH") && line[7..].starts_with(':')))
        .filter(|code| *code != VARIABLE && *code != REFUSED)
        .map(str::to_owned);
    (Answer { refused, codes: codes.collect() }, printed.to_owned())
}

/// What came of many sets.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The sets about which the rules and httpd disagree, each with the lines that made it.
    pub(crate) disagreements: Vec<String>,
    /// How many sets httpd refused.
    pub(crate) refused: usize,
    /// How often httpd printed each code.
    pub(crate) codes: BTreeMap<String, usize>,
}

/// Judges `cases` sets on a host.
pub(crate) fn judge(host: &Host, version: Version, seed: u64, cases: usize) -> Outcome {
    let mut random = Random::new(seed);
    let mut outcome = Outcome::default();
    let mut left = cases;
    while left > 0 {
        let batch = left.min(500);
        left -= batch;
        let sets: Vec<Set> = (0..batch).map(|index| set(&mut random, index)).collect();
        for (set, (real, printed)) in sets.iter().zip(answered(host, &sets)) {
            let predicted = predicted(set, version);
            outcome.refused += usize::from(real.refused);
            for code in &real.codes {
                *outcome.codes.entry(code.clone()).or_default() += 1;
            }
            if predicted != real {
                let lines: Vec<&str> = set.text.lines().skip(10).collect();
                outcome.disagreements.push(format!(
                    "{}: predicted {predicted:?}, httpd {real:?}\n  {}\n  printed: {printed}",
                    set.mpm,
                    lines.join("\n  ")
                ));
            }
        }
    }
    outcome
}

/// Returns the version of a host's httpd, from its own words.
pub(crate) fn version(host: &Host) -> Version {
    let words = host.run(&["/usr/sbin/apache2", "-v"]);
    let number = words.ok().split_once("Apache/").map_or("", |(_, rest)| rest);
    Version::parse(number).unwrap_or_else(|| panic!("no version in {:?}", words.stdout))
}

/// Returns how many children an idle server comes to rest with, where that does not hang on the moment at which its
/// parent looks.
fn settled(sizes: &Sizes) -> Option<i64> {
    let idle = sizes.started * sizes.threads;
    if idle < sizes.min_spare {
        // More are started until the limit; short of it, the last batch may be larger than needed.
        (sizes.min_spare >= sizes.workers).then_some(sizes.processes)
    } else if idle > sizes.max_spare {
        // One child a second is ended while there are more idle than the most spare.
        Some(sizes.max_spare / sizes.threads)
    } else {
        Some(sizes.started)
    }
}

/// A set that a small machine can start, and what it must come to.
pub(crate) struct Started {
    set: Set,
    children: i64,
    threads: i64,
}

/// Returns `count` sets to start. Some values are left out, some are corrected by httpd.
pub(crate) fn startable(seed: u64, count: usize, version: Version) -> Vec<Started> {
    let mut random = Random::new(seed);
    let mut list = Vec::new();
    while list.len() < count {
        let mpm = random.of(&Mpm::ALL);
        let mut text = frame(mpm, list.len(), 9000 + list.len());
        for name in ["StartServers", "ServerLimit", "ThreadLimit", "ThreadsPerChild", "MaxRequestWorkers"] {
            let known = TABLE.find(name.as_bytes()).is_some_and(|row| row.mpms.contains(&mpm));
            if known && !random.one_in(4) {
                let _ = writeln!(text, "{name} {}", random.below(9));
            }
        }
        for name in if mpm.threaded() {
            ["MinSpareThreads", "MaxSpareThreads"]
        } else {
            ["MinSpareServers", "MaxSpareServers"]
        } {
            let _ = writeln!(text, "{name} {}", random.below(20));
        }
        let sizes = normal_of(&text, mpm, version).sizes;
        if sizes.processes > 8 || sizes.threads > 9 {
            continue;
        }
        if let Some(children) = settled(&sizes) {
            let threads = if mpm.threaded() { sizes.threads + 2 } else { 1 };
            list.push(Started { set: Set { mpm, text }, children, threads });
        }
    }
    list
}

fn normal_of(text: &str, mpm: Mpm, version: Version) -> Normal {
    normalise(mpm, version, &written(&read_text(text, version)))
}

/// Starts every set at once, each on a port of its own, and returns those that do not come to what was predicted.
pub(crate) fn wrongly_started(host: &Host, sets: &[Started]) -> Vec<String> {
    host.sh(&format!("rm -rf {FOLDER} && mkdir -p {FOLDER}")).ok();
    for (index, started) in sets.iter().enumerate() {
        host.write(format!("{FOLDER}/{index}.conf"), &started.set.text);
        host.run(&["/usr/sbin/apache2", "-k", "start", "-f", &format!("{FOLDER}/{index}.conf")]).ok();
    }
    // A child more or less a second: the largest set is at rest long before this, and then has to stay there.
    let until = Instant::now() + Duration::from_secs(30);
    let mut right = 0;
    loop {
        let wrong = miscounted(host, sets);
        right = if wrong.is_empty() { right + 1 } else { 0 };
        if right == 3 || Instant::now() > until {
            return wrong;
        }
        std::thread::sleep(Duration::from_millis(700));
    }
}

/// Counts the children and threads of every set and returns those that differ.
fn miscounted(host: &Host, sets: &[Started]) -> Vec<String> {
    let ran = host.sh("grep -sH -e ^PPid: -e ^Threads: /proc/[0-9]*/status");
    let mut processes: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for line in ran.stdout.lines() {
        let Some((file, field)) = line.split_once(':') else { continue };
        let Some((name, number)) = field.split_once(':') else { continue };
        let number: i64 = number.trim().parse().unwrap_or(-1);
        let process = processes.entry(file).or_default();
        if name == "PPid" { process.0 = number } else { process.1 = number }
    }
    let mut wrong = Vec::new();
    for (index, started) in sets.iter().enumerate() {
        let pid: i64 = host.read(format!("{FOLDER}/{index}.pid")).trim().parse().unwrap_or(-2);
        let children: Vec<i64> =
            processes.values().filter(|(parent, _)| *parent == pid).map(|(_, threads)| *threads).collect();
        let expected = vec![started.threads; usize::try_from(started.children).unwrap_or(0)];
        if children != expected {
            let lines: Vec<&str> = started.set.text.lines().skip(10).collect();
            wrong.push(format!(
                "{}: {} children of {} threads predicted, threads of each child: {children:?}\n  {}",
                started.set.mpm,
                started.children,
                started.threads,
                lines.join("\n  ")
            ));
        }
    }
    wrong
}
