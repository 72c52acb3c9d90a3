//! The rehearsal: the real httpd started with the planned files where nobody can see it, waited for until it serves,
//! asked once, and ended.
//!
//! `httpd -t` ends before `post_config`, the stage in which most things fail. The rehearsal has processes, network,
//! mounts and shared memory of its own; every file is read-only and every directory in which httpd writes is memory, so
//! that nothing it does stays or reaches another host or process.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::covers::{Covers, Keep};
use super::namespaces::{self, Myself};
use super::process::read_some;
use super::{Order, network, not_started};

/// How long httpd may take until it serves.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a further listener is waited for once one has answered.
const FURTHER: Duration = Duration::from_secs(2);

/// How long httpd may take to end when it is asked to; then its namespace is taken from it.
const END: Duration = Duration::from_millis(500);

/// How often is looked whether it serves.
const LOOK: Duration = Duration::from_millis(3);

/// The most that is told of what httpd said.
const MOST_SAID: usize = 8 << 10;

/// Directories in which httpd and its modules write on every family, and what stays in sight of them.
const COVERED: [(&str, Keep); 9] = [
    ("/run", Keep::Files),
    ("/var/run", Keep::Files),
    ("/run/lock", Keep::Directories),
    ("/var/lock", Keep::Directories),
    ("/var/log", Keep::Directories),
    ("/var/cache", Keep::Directories),
    ("/tmp", Keep::Nothing),
    ("/var/tmp", Keep::Nothing),
    ("/dev/shm", Keep::Nothing),
];

/// What is rehearsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rehearsal {
    /// The path that is asked for.
    pub(crate) path: String,
    /// Directories in which httpd writes by its configuration, beside those known.
    pub(crate) writes_to: Vec<PathBuf>,
}

/// How a listener took the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Plain HTTP.
    Plain,
    /// TLS: it is there and was not asked further.
    Tls,
    /// HTTP behind the line of the PROXY protocol.
    Proxy,
    /// It said nothing.
    Silent,
}

/// What one listener answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) address: SocketAddr,
    pub(crate) kind: Kind,
    pub(crate) status: Option<u16>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rehearsed {
    /// How httpd ended, where it did by itself.
    pub(crate) ended: Option<Ended>,
    /// What its listeners answered; empty where it did not serve in time.
    pub(crate) answers: Vec<Answer>,
    /// How long it took until the last answer or its end.
    pub(crate) milliseconds: u64,
    /// What it said of errors, on its streams and in its logs, without times.
    pub(crate) output: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ended {
    Code(i32),
    Signal(i32),
}

/// Rehearses in this process's own namespaces. It must have been started for that alone.
pub(super) fn rehearse(order: &Order, rehearsal: &Rehearsal) -> Result<Rehearsed, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("only root can start httpd as it is started".to_owned());
    }
    namespaces::isolate_mounts().map_err(|error| {
        format!(
            "no private view of the files can be had here (mount namespace: {error}); it takes CAP_SYS_ADMIN"
        )
    })??;
    namespaces::alone()?;
    network::bring_up().map_err(|error| format!("could not bring a private network up: {error}"))?;
    let myself = Myself::open()?;
    namespaces::enter(Path::new("/"), &myself, false)?;
    let mut covers = Covers::default();
    let named = rehearsal.writes_to.iter().map(|dir| (dir.as_path(), Keep::Files));
    for (dir, keep) in COVERED.into_iter().map(|(dir, keep)| (Path::new(dir), keep)).chain(named) {
        covers
            .cover(dir, "50%", keep)
            .map_err(|error| format!("could not cover `{}`: {error}", dir.display()))?;
    }
    order
        .makes
        .iter()
        .try_for_each(|made| covers.make(made))
        .map_err(|error| format!("could not make a directory in the view: {error}"))?;
    order.overlay.lay()?;

    let since = Instant::now();
    let (mut streams, writer) = io::pipe().map_err(|error| format!("could not make a pipe: {error}"))?;
    let mut command = order.command();
    let errors = writer.try_clone().map_err(|error| format!("could not make a pipe: {error}"))?;
    command.stdin(Stdio::inherit()).stdout(writer).stderr(errors);
    namespaces::as_first_process(&mut command);
    let mut httpd = command.spawn().map_err(|error| not_started(order, &error))?;
    // Its end of the pipe that this process holds.
    drop(command);

    let mut said = Vec::new();
    let mut answers = Vec::new();
    let mut status = None;
    while since.elapsed() < PATIENCE {
        hear(&mut streams, &mut said);
        status = httpd.try_wait().map_err(|error| error.to_string())?;
        if status.is_some() {
            break;
        }
        answers = ask_all(&network::listeners(&myself), &rehearsal.path, since);
        if !answers.is_empty() {
            break;
        }
        std::thread::sleep(LOOK);
    }
    // It may have died of the question, or at the moment when it was asked.
    status = status.or(httpd.try_wait().map_err(|error| error.to_string())?);
    let milliseconds = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    end(&mut httpd);
    hear(&mut streams, &mut said);
    let output = told(&said, &covers);
    let ended = status.map(ended);
    Ok(Rehearsed { ended, answers, milliseconds, output })
}

/// Asks every listener once. Nothing is returned while none answers, which is while httpd still starts.
fn ask_all(listeners: &[SocketAddr], path: &str, since: Instant) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    for address in listeners {
        let left = PATIENCE.saturating_sub(since.elapsed());
        let wait = if answers.is_empty() { left } else { left.min(FURTHER) };
        match ask(*address, path, wait) {
            Ok((kind, status)) => answers.push(Answer { address: *address, kind, status }),
            // Its process ended, or it is not there any more.
            Err(_) => return Vec::new(),
        }
    }
    answers
}

/// Asks a listener, as plain HTTP and then behind the line of the PROXY protocol.
fn ask(address: SocketAddr, path: &str, wait: Duration) -> io::Result<(Kind, Option<u16>)> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: apache-tuning\r\nConnection: close\r\n\r\n"
    );
    let answer = exchange(address, request.as_bytes(), wait)?;
    match &answer[..] {
        // An alert or a greeting.
        [0x15 | 0x16, 3, ..] => return Ok((Kind::Tls, None)),
        [] => {}
        _ => {
            let text = String::from_utf8_lossy(&answer);
            let tls = text.contains("SSL-enabled server port");
            return Ok(if tls { (Kind::Tls, None) } else { (Kind::Plain, status(&text)) });
        }
    }
    let family = if address.is_ipv4() { "TCP4" } else { "TCP6" };
    let ip = address.ip();
    let request = format!("PROXY {family} {ip} {ip} 40000 {}\r\n{request}", address.port());
    let answer = exchange(address, request.as_bytes(), wait.min(FURTHER))?;
    let text = String::from_utf8_lossy(&answer);
    if answer.is_empty() { Ok((Kind::Silent, None)) } else { Ok((Kind::Proxy, status(&text))) }
}

/// Returns the number in a status line.
fn status(text: &str) -> Option<u16> {
    text.strip_prefix("HTTP/")?.split_once(' ')?.1.get(..3)?.parse().ok()
}

/// Sends a request and returns the start of the answer; empty where the connection was closed or nothing came in time.
fn exchange(address: SocketAddr, request: &[u8], wait: Duration) -> io::Result<Vec<u8>> {
    let until = Instant::now() + wait;
    let mut connection = TcpStream::connect_timeout(&address, wait.max(LOOK))?;
    connection.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 2048];
    while answer.len() < 4096 {
        connection.set_read_timeout(Some(until.saturating_duration_since(Instant::now()).max(LOOK)))?;
        match connection.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind()) => {
                break;
            }
            // A server that refuses what it is sent may reset the connection after its answer.
            Err(_) if !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(answer)
}

/// Ends httpd and everything it started.
fn end(httpd: &mut Child) {
    if let Some(pid) = i32::try_from(httpd.id()).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    let since = Instant::now();
    while since.elapsed() < END && matches!(httpd.try_wait(), Ok(None)) {
        std::thread::sleep(LOOK);
    }
    // The first process of its namespace takes all others with it.
    let _ = httpd.kill();
    let _ = httpd.wait();
}

/// Takes what httpd has written on its streams so far.
fn hear(streams: &mut io::PipeReader, said: &mut Vec<u8>) {
    while let Ok(Some(bytes)) = read_some(streams, Duration::ZERO) {
        if bytes.is_empty() {
            return;
        }
        let room = MOST_SAID.saturating_sub(said.len());
        said.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Returns what httpd said of errors: on its streams, and in the logs that it wrote into memory.
fn told(said: &[u8], covers: &Covers) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |line: &str| {
        let line = bare(line).to_owned();
        if !line.is_empty()
            && !is_about_the_name(&line)
            && !lines.contains(&line)
            && lines.iter().map(String::len).sum::<usize>() < MOST_SAID
        {
            lines.push(line);
        }
    };
    for (file, start) in covers.written() {
        let mut content = Vec::new();
        let read = File::open(&file).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(256 << 10).read_to_end(&mut content)
        });
        if read.is_ok() {
            let text = String::from_utf8_lossy(&content);
            text.lines().filter(|line| is_error(line)).for_each(&mut add);
        }
    }
    String::from_utf8_lossy(said).lines().for_each(add);
    lines.join("\n")
}

/// Tells whether a line of an error log is about an error: `[ssl:emerg]`, a child that died, or what is said without time
/// and level before the logs are open.
fn is_error(line: &str) -> bool {
    let early = !line.starts_with('[') && line.contains("AH");
    early || [":emerg]", ":alert]", ":crit]", ":error]", "exit signal"].iter().any(|mark| line.contains(mark))
}

/// Tells whether a line says only that the host's name was not found out, as it cannot be in a private network.
fn is_about_the_name(line: &str) -> bool {
    line.contains("AH00557") || line.contains("AH00558")
}

/// Returns a line of an error log without time, module, process and client.
fn bare(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        rest = after.trim_start();
    }
    rest
}

fn ended(status: ExitStatus) -> Ended {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code),
        (None, signal) => Ended::Signal(signal.unwrap_or_default()),
    }
}
