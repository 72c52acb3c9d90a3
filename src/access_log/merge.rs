//! Several logs as one: blocks of lines are read by all processors, their requests added up in the order of time.

use std::collections::{BTreeSet, VecDeque};
use std::io::Read;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, available_parallelism};

use super::Named;
use super::format::{Known, Request};
use super::read::{self, Blocks, Piece};
use super::tally::{Tally, ended};

/// Lines one after another that are not of a file's format before another one is tried: a log whose format was changed.
pub(super) const CHANGED: u32 = 16;

/// How much later than its neighbours a line may be before the next one is asked, in seconds.
const FAR: u64 = 4096;

/// A log whose format is known.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) format: Arc<Named>,
    /// Lines that are not of it before another format is tried.
    pub(super) patience: u32,
    /// When its first request ended, in seconds since the epoch.
    pub(super) first: u64,
    /// What is open, and what was read of it already; `None` where it can be opened again.
    pub(super) opened: Option<(Box<dyn Read + Send>, Vec<u8>)>,
}

/// What was read besides requests.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) lines: u64,
    pub(super) damaged: u64,
    pub(super) formats: Vec<String>,
}

/// A block of lines that waits for a processor.
struct Job {
    block: Vec<u8>,
    format: Arc<Named>,
    patience: u32,
    answer: SyncSender<Parsed>,
}

/// What a block holds.
struct Parsed {
    requests: Vec<Request>,
    lines: u64,
    damaged: u64,
    bytes: u64,
    /// The last format that lines of it had.
    format: Arc<Named>,
}

/// What follows next in a log.
enum Next {
    Block(Receiver<Parsed>),
    TooLong,
    Failed(String),
}

/// A log that is being read.
struct Active {
    next: Receiver<Next>,
    path: PathBuf,
    requests: std::vec::IntoIter<Request>,
    head: Option<Request>,
    /// Where the log is in time; a single line far ahead does not move it.
    key: u64,
    doubted: bool,
}

/// Adds up what was read besides requests.
struct Counter<'a> {
    counted: Counted,
    names: BTreeSet<String>,
    bytes: u64,
    notes: &'a mut Vec<String>,
    progress: &'a mut dyn FnMut(u64),
}

impl Counter<'_> {
    fn block(&mut self, parsed: &Parsed) {
        self.counted.lines += parsed.lines;
        self.counted.damaged += parsed.damaged;
        self.bytes += parsed.bytes;
        if !parsed.requests.is_empty() && !self.names.contains(&parsed.format.name) {
            self.names.insert(parsed.format.name.clone());
        }
        (self.progress)(self.bytes);
    }

    fn too_long(&mut self) {
        self.counted.lines += 1;
        self.counted.damaged += 1;
    }
}

/// Reads all logs into a tally. `progress` is told the bytes read so far.
pub(super) fn merge(
    mut sources: Vec<Source>,
    formats: &[Arc<Named>],
    tally: &mut Tally,
    notes: &mut Vec<String>,
    progress: &mut dyn FnMut(u64),
) -> Counted {
    sources.sort_by_key(|source| source.first);
    let mut waiting = VecDeque::from(sources);
    let names = BTreeSet::new();
    let mut counter = Counter { counted: Counted::default(), names, bytes: 0, notes, progress };
    let processors = available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let (jobs, work) = channel::<Job>();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..processors {
            let work = Arc::clone(&work);
            scope.spawn(move || parse_all(&work, formats));
        }
        let mut active: Vec<Active> = Vec::new();
        loop {
            // Those whose time has come.
            let earliest = active.iter().map(|one| one.key).min();
            let due = |source: &Source| earliest.is_none_or(|key| source.first <= key);
            while waiting.front().is_some_and(due) {
                active.extend(waiting.pop_front().map(|source| start(scope, source, &jobs, processors)));
                if earliest.is_none() {
                    break;
                }
            }
            // Each has its next request at hand, or has ended.
            active.retain_mut(|one| one.head.is_some() || one.advance(&mut counter));
            let Some(first) = (0..active.len()).min_by_key(|at| active[*at].key) else {
                if waiting.is_empty() {
                    break;
                }
                continue;
            };
            let others = active.iter().enumerate().filter(|(at, _)| *at != first).map(|(_, one)| one.key);
            let bound = others.chain(waiting.front().map(|source| source.first)).min().unwrap_or(u64::MAX);
            let one = &mut active[first];
            while let Some(request) = one.head.take() {
                if one.key > bound {
                    one.head = Some(request);
                    break;
                }
                tally.add(request);
                one.head = one.requests.next();
                one.move_key();
            }
        }
    });
    tally.end();
    Counted { formats: counter.names.into_iter().collect(), ..counter.counted }
}

impl Active {
    /// Gets the next request; tells whether there is one.
    fn advance(&mut self, counter: &mut Counter<'_>) -> bool {
        while self.head.is_none() {
            match self.next.recv() {
                Ok(Next::Block(answer)) => {
                    let Ok(parsed) = answer.recv() else { return false };
                    counter.block(&parsed);
                    self.requests = parsed.requests.into_iter();
                    self.head = self.requests.next();
                    self.move_key();
                }
                Ok(Next::TooLong) => counter.too_long(),
                Ok(Next::Failed(why)) => {
                    counter.notes.push(format!("{}: {why}; what comes before counts", self.path.display()));
                }
                Err(_) => return false,
            }
        }
        true
    }

    fn move_key(&mut self) {
        let Some(head) = &self.head else { return };
        let at = ended(head);
        let far = self.key > 0 && at.abs_diff(self.key) > FAR;
        if far && !self.doubted {
            self.doubted = true;
        } else {
            self.doubted = false;
            self.key = at;
        }
    }
}

/// Begins to read a log.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: Source,
    jobs: &Sender<Job>,
    processors: usize,
) -> Active {
    let Source { path, format, patience, first, opened } = source;
    // So many blocks of it are under way at most.
    let (give, next) = sync_channel(processors + 1);
    let jobs = jobs.clone();
    let named = path.clone();
    scope.spawn(move || {
        let (from, begun) = match opened {
            Some(opened) => opened,
            None => match read::open(&path) {
                Ok(opened) => (opened.from, Vec::new()),
                Err(why) => {
                    let _ = give.send(Next::Failed(why));
                    return;
                }
            },
        };
        for piece in Blocks::new(from, begun).flatten() {
            let next = match piece {
                Piece::Lines(block) => {
                    let (answer, parsed) = sync_channel(1);
                    if jobs.send(Job { block, format: Arc::clone(&format), patience, answer }).is_err() {
                        return;
                    }
                    Next::Block(parsed)
                }
                Piece::TooLong => Next::TooLong,
                Piece::Failed(why) => Next::Failed(why),
            };
            if give.send(next).is_err() {
                return;
            }
        }
    });
    Active { next, path: named, requests: Vec::new().into_iter(), head: None, key: first, doubted: false }
}

/// Reads blocks until there are no more.
fn parse_all(work: &Mutex<Receiver<Job>>, formats: &[Arc<Named>]) {
    let mut known = Known::default();
    loop {
        let job = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, format, patience, answer }) = job else { return };
        // Who asked may be gone.
        let _ = answer.send(parse(&block, (format, patience), formats, &mut known));
    }
}

fn parse(
    block: &[u8],
    (mut format, mut patience): (Arc<Named>, u32),
    formats: &[Arc<Named>],
    known: &mut Known,
) -> Parsed {
    let mut requests = Vec::with_capacity(block.len() / 128);
    let (mut lines, mut damaged, mut missed) = (0, 0, 0);
    let mut rest = block;
    while !rest.is_empty() {
        let (line, after) = match memchr::memchr(b'\n', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = after;
        lines += 1;
        let line = without_return(line);
        if let Some(request) = format.format.read(line, known) {
            requests.push(request);
            missed = 0;
            continue;
        }
        missed += 1;
        let other = if missed >= patience {
            formats.iter().find_map(|other| Some((other, other.format.read(line, known)?)))
        } else {
            None
        };
        match other {
            Some((other, request)) => {
                format = Arc::clone(other);
                requests.push(request);
                (missed, patience) = (0, CHANGED);
            }
            None => damaged += 1,
        }
    }
    Parsed { requests, lines, damaged, bytes: block.len() as u64, format }
}

/// Returns a line without the carriage return that a copy from another system may have.
pub(super) fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
