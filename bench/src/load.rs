//! A load of kept connections: opens N, keeps them, lets bursts of requests that take their time come on them and on
//! new ones, asks again on each, and counts what became of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Connections to open.
    pub connections: usize,
    /// Connections opened, and later asked again, in a second.
    pub rate: u32,
    /// Questions that wait for their answer at one moment; one that waits longer than [`STUCK`] counts no more.
    pub at_once: usize,
    /// How long an answer may take.
    pub patience: Duration,
    /// How long the connections are kept before each is asked again.
    pub hold: Duration,
}

/// What became of the connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Got an answer to their first question.
    pub served: usize,
    /// Got none in time, or were not let in.
    pub refused: usize,
    /// Got an answer to their second question too: held to the end.
    pub held: usize,
    /// Were served first and closed by the server since.
    pub cut: usize,
    /// Were served first and got no second answer in time, though nobody closed them.
    pub late: usize,
}

/// Where the requests of a burst come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    /// Each on a connection of its own, beside those held.
    New(usize),
    /// On held connections, drawn from all of them.
    Held(usize),
}

/// What became of a burst.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BurstOutcome {
    /// Requests sent.
    pub asked: usize,
    /// Requests answered in whole.
    pub answered: usize,
    /// The time to the first byte of each that got one, the shortest first.
    pub first_bytes: Vec<Duration>,
    /// Connections that were idle, or whose request was under way, and were closed by the server.
    pub cut: usize,
}

impl BurstOutcome {
    /// Returns the time within which so many hundredths of the requests got their first byte; `None` where fewer did.
    pub fn within(&self, hundredths: usize) -> Option<Duration> {
        let at = (self.asked * hundredths).div_ceil(100).max(1);
        self.first_bytes.get(at - 1).copied()
    }
}

/// After this time without an answer a question is not being served: its connection waits to be accepted.
const STUCK: Duration = Duration::from_millis(200);

const QUESTION: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A request that holds its worker until the client sends the last byte. The worker that takes it says so at once:
/// `100 Continue` is its first byte.
const SLOW_QUESTION: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
const LAST_BYTE: &[u8] = b"x";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Where one connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Asked, no whole answer yet.
    Asked(Instant),
    /// Answered, kept.
    Idle,
    /// Closed by the server, or broken.
    Gone,
}

struct Connection {
    stream: TcpStream,
    phase: Phase,
    /// Whether the question is still to be written, once connected.
    unsent: bool,
    /// Whether its question is one that takes its time.
    slow: bool,
    /// When the first byte of the answer came.
    first: Option<Instant>,
    answer: Vec<u8>,
}

/// The connections of one load, and the queue of events that they share.
pub struct Load {
    plan: Plan,
    to: SocketAddr,
    queue: std::os::fd::OwnedFd,
    connections: Vec<Connection>,
    /// Those asked last, answered ones among them until they are looked at.
    recent: Vec<usize>,
    outcome: Outcome,
}

impl Load {
    /// Opens all connections at the plan's rate, asks on each, and waits for the answers.
    ///
    /// # Errors
    /// Those of this process: too few descriptors or ports. What the server refuses is counted, not an error.
    pub fn open(to: SocketAddr, plan: Plan) -> io::Result<Self> {
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut load = Self {
            plan,
            to,
            queue,
            connections: Vec::with_capacity(plan.connections),
            recent: Vec::new(),
            outcome: Outcome::default(),
        };
        let started = Instant::now();
        while load.connections.len() < plan.connections {
            let due = due(started, plan);
            while load.connections.len() < due && load.may_ask() {
                load.connect(false)?;
            }
            load.turn(Duration::from_millis(1))?;
        }
        load.settle()?;
        load.outcome.served = load.connections.iter().filter(|one| one.phase == Phase::Idle).count();
        load.outcome.refused = plan.connections - load.outcome.served;
        Ok(load)
    }

    /// Returns how many connections are open and idle.
    pub fn idle(&self) -> usize {
        self.connections.iter().filter(|one| one.phase == Phase::Idle).count()
    }

    /// Sends a burst of requests at one moment. Each holds its worker for `hold` from its first byte on; after `patience`
    /// without one, or without the whole answer, it counts as not answered. New connections are closed afterwards.
    ///
    /// # Errors
    /// Those of this process.
    pub fn burst(&mut self, burst: Burst, hold: Duration, patience: Duration) -> io::Result<BurstOutcome> {
        let idle: Vec<usize> =
            (0..self.connections.len()).filter(|at| self.connections[*at].phase == Phase::Idle).collect();
        let before = self.connections.len();
        let started = Instant::now();
        let mut asked = Vec::new();
        match burst {
            Burst::New(count) => {
                for number in 0..count {
                    self.connect(true)?;
                    asked.push(before + number);
                    if number % 32 == 31 {
                        self.turn(Duration::ZERO)?;
                    }
                }
            }
            Burst::Held(count) => {
                asked = drawn(&idle, count);
                for (number, at) in asked.iter().enumerate() {
                    self.connections[*at].slow = true;
                    self.ask(*at);
                    if number % 32 == 31 {
                        self.turn(Duration::ZERO)?;
                    }
                }
            }
        }
        let begun: Vec<Instant> = asked
            .iter()
            .map(|at| match self.connections[*at].phase {
                Phase::Asked(since) => since,
                _ => started,
            })
            .collect();
        let mut waiting = asked.clone();
        while !waiting.is_empty() && started.elapsed() < patience + hold {
            self.turn(Duration::from_millis(5))?;
            waiting.retain(|at| {
                let one = &mut self.connections[*at];
                if one.slow && one.first.is_some_and(|first| first.elapsed() >= hold) {
                    one.slow = false;
                    if one.stream.write_all(LAST_BYTE).is_err() {
                        one.phase = Phase::Gone;
                    }
                }
                matches!(one.phase, Phase::Asked(_))
            });
        }
        let of = |at: &usize| &self.connections[*at];
        let mut first_bytes: Vec<Duration> = asked
            .iter()
            .zip(&begun)
            .filter_map(|(at, begun)| Some(of(at).first?.saturating_duration_since(*begun)))
            .collect();
        first_bytes.sort_unstable();
        let outcome = BurstOutcome {
            asked: asked.len(),
            answered: asked.iter().filter(|at| of(at).phase == Phase::Idle).count(),
            first_bytes,
            cut: idle.iter().filter(|at| of(at).phase == Phase::Gone).count(),
        };
        self.outcome.cut += outcome.cut;
        for at in asked {
            let one = &mut self.connections[at];
            one.slow = false;
            if at >= before {
                let _ = one.stream.shutdown(Shutdown::Both);
                one.phase = Phase::Gone;
            }
        }
        Ok(outcome)
    }

    /// Keeps the connections for the plan's time, asks again on each that was served, and tells what became of all.
    ///
    /// # Errors
    /// Those of this process.
    pub fn finish(mut self) -> io::Result<Outcome> {
        self.ask_all()
    }

    /// Does what [`Load::finish`] does, and keeps the connections.
    ///
    /// # Errors
    /// Those of this process.
    pub fn ask_all(&mut self) -> io::Result<Outcome> {
        let served: Vec<usize> =
            (0..self.connections.len()).filter(|at| self.connections[*at].phase == Phase::Idle).collect();
        let until = Instant::now() + self.plan.hold;
        while Instant::now() < until {
            self.turn(Duration::from_millis(20))?;
        }
        let started = Instant::now();
        let mut asked = 0;
        while asked < served.len() {
            let due = due(started, Plan { connections: served.len(), ..self.plan });
            while asked < due && self.may_ask() {
                self.ask(served[asked]);
                asked += 1;
            }
            self.turn(Duration::from_millis(1))?;
        }
        self.settle()?;
        for at in served {
            match self.connections[at].phase {
                Phase::Idle => self.outcome.held += 1,
                Phase::Gone => self.outcome.cut += 1,
                Phase::Asked(_) => self.outcome.late += 1,
            }
        }
        Ok(self.outcome)
    }

    /// Tells whether fewer questions than allowed are being served.
    fn may_ask(&mut self) -> bool {
        let connections = &self.connections;
        self.recent
            .retain(|at| matches!(connections[*at].phase, Phase::Asked(since) if since.elapsed() < STUCK));
        self.recent.len() < self.plan.at_once
    }

    fn connect(&mut self, slow: bool) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match connect(&socket, &self.to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS | rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        let events =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        let id = epoll::EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.queue, socket.as_fd(), id, events)?;
        let phase = Phase::Asked(Instant::now());
        self.recent.push(self.connections.len());
        self.connections.push(Connection {
            stream: socket.into(),
            phase,
            unsent: true,
            slow,
            first: None,
            answer: Vec::new(),
        });
        Ok(())
    }

    fn ask(&mut self, at: usize) {
        let one = &mut self.connections[at];
        if one.phase == Phase::Gone {
            return;
        }
        one.phase = Phase::Asked(Instant::now());
        self.recent.push(at);
        one.answer.clear();
        one.first = None;
        if one.stream.write_all(one.question()).is_err() {
            one.phase = Phase::Gone;
        }
    }

    /// Takes what happened, waiting at most so long for something to happen.
    fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        let wait = rustix::event::Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        match epoll::wait(&self.queue, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let at = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            if let Some(one) = self.connections.get_mut(at) {
                one.react(event.flags);
            }
        }
        Ok(())
    }

    /// Waits until every question is answered, or out of patience.
    fn settle(&mut self) -> io::Result<()> {
        let patience = self.plan.patience;
        loop {
            let waiting = self
                .connections
                .iter()
                .any(|one| matches!(one.phase, Phase::Asked(since) if since.elapsed() < patience));
            if !waiting {
                return Ok(());
            }
            self.turn(Duration::from_millis(20))?;
        }
    }
}

/// Returns how many connections are due since `started`.
fn due(started: Instant, plan: Plan) -> usize {
    let due = started.elapsed().as_micros() * u128::from(plan.rate) / 1_000_000;
    usize::try_from(due).unwrap_or(usize::MAX).min(plan.connections)
}

/// Draws so many of the connections, everywhere among them and the same ones each time.
fn drawn(from: &[usize], count: usize) -> Vec<usize> {
    let mut from = from.to_vec();
    let count = count.min(from.len());
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    for at in 0..count {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let left = from.len() - at;
        from.swap(at, at + usize::try_from(seed % left as u64).unwrap_or(0));
    }
    from.truncate(count);
    from
}

impl Connection {
    const fn question(&self) -> &'static [u8] {
        if self.slow { SLOW_QUESTION } else { QUESTION }
    }

    fn react(&mut self, flags: epoll::EventFlags) {
        if self.unsent && flags.contains(epoll::EventFlags::OUT) {
            self.unsent = false;
            if self.stream.write_all(self.question()).is_err() {
                self.phase = Phase::Gone;
            }
        }
        let mut block = [0; 4096];
        loop {
            match self.stream.read(&mut block) {
                Ok(0) => {
                    self.phase = Phase::Gone;
                    break;
                }
                Ok(count) => self.answer.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::NotConnected => break,
                Err(_) => {
                    self.phase = Phase::Gone;
                    break;
                }
            }
        }
        if !self.answer.is_empty() && self.first.is_none() {
            self.first = Some(Instant::now());
        }
        if matches!(self.phase, Phase::Asked(_)) && whole(&self.answer) {
            self.phase = Phase::Idle;
        }
    }
}

/// Tells whether an answer of status 200 is there as a whole.
fn whole(answer: &[u8]) -> bool {
    let answer = answer.strip_prefix(CONTINUE).unwrap_or(answer);
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]);
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.trim().parse::<usize>().ok());
    head.starts_with("HTTP/1.1 200") && length.is_some_and(|length| answer.len() >= end + 4 + length)
}
