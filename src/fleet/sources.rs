//! Reading the facts of many hosts: directories of a cache, files of JSON lines and standard input, by all processors,
//! in memory that does not grow with the size of what is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{Mode, OFlags};

use super::cache::{self, Damage, LARGEST, Record};
use super::names::{FileName, read_file_name};

/// The name of a host as its source has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// A name.
    Host(String),
    /// Digits that an inventory may know.
    Digest(String),
}

/// What a source says of one host.
#[derive(Debug)]
pub struct Sighting {
    /// Whose facts they are.
    pub name: Named,
    /// The file, and the line where there is one.
    pub origin: String,
    /// When the facts were collected, in seconds since the epoch, as far as that can be told.
    pub time: Option<u64>,
    /// The facts, or why they cannot be read.
    pub record: Result<Box<Record>, Damage>,
}

/// Something that was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// The path.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// A piece of work for one thread.
enum Work {
    /// A file of a cache.
    File(PathBuf),
    /// Whole lines of a file, and the number of the first.
    Lines { origin: Arc<str>, first: u64, time: Option<u64>, text: Vec<u8> },
    /// A line that was too long to be kept.
    TooLong { origin: Arc<str>, number: u64, start: Vec<u8> },
}

/// How much of a file of JSON lines one piece of work is, in bytes.
const CHUNK: usize = 1 << 20;

/// Reads every source and hands each sighting to `each`, from several threads at once and in no order.
///
/// # Errors
/// A source that is not there or cannot be read at all.
pub fn read_sources(
    paths: &[PathBuf],
    prefix: &str,
    each: &(dyn Fn(Sighting) + Sync),
) -> Result<Vec<PassedOver>, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from).clamp(1, 64);
    let (send, receive) = sync_channel::<Work>(threads * 4);
    let receive = Arc::new(Mutex::new(receive));
    let passed_over = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            let receive = Arc::clone(&receive);
            let passed_over = &passed_over;
            scope.spawn(move || work_off(&receive, prefix, each, passed_over));
        }
        let outcome = paths.iter().try_for_each(|path| send_source(path, &send));
        drop(send);
        outcome
    })?;
    let mut passed_over = passed_over.into_inner().unwrap_or_else(PoisonError::into_inner);
    passed_over.sort_by(|one: &PassedOver, other: &PassedOver| one.path.cmp(&other.path));
    Ok(passed_over)
}

fn work_off(
    receive: &Mutex<Receiver<Work>>,
    prefix: &str,
    each: &(dyn Fn(Sighting) + Sync),
    passed_over: &Mutex<Vec<PassedOver>>,
) {
    loop {
        let next = receive.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Err(_) => return,
            Ok(Work::File(path)) => read_cache_file(&path, prefix, each, passed_over),
            Ok(Work::Lines { origin, first, time, text }) => {
                let lines = text.split(|byte| *byte == b'\n').enumerate();
                for (index, line) in lines {
                    if !line.trim_ascii().is_empty() {
                        each(sighting_of_line(line, &origin, first + index as u64, time));
                    }
                }
            }
            Ok(Work::TooLong { origin, number, start }) => {
                let damage = Damage {
                    byte: Some(LARGEST as u64),
                    reason: format!("the line is longer than {} MiB", LARGEST >> 20),
                };
                let name = cache::read_line(&start).err().and_then(|(name, _)| name);
                each(damaged_line(name, &origin, number, damage));
            }
        }
    }
}

fn sighting_of_line(line: &[u8], origin: &str, number: u64, time: Option<u64>) -> Sighting {
    match cache::read_line(line) {
        Ok((host, record)) => Sighting {
            time: record.collected().or(time),
            name: Named::Host(host),
            origin: format!("{origin}:{number}"),
            record: Ok(Box::new(record)),
        },
        Err((name, damage)) => damaged_line(name, origin, number, damage),
    }
}

/// A host whose line cannot be read and names nobody is called by its place, so that it is counted.
fn damaged_line(name: Option<String>, origin: &str, number: u64, damage: Damage) -> Sighting {
    let origin = format!("{origin}:{number}");
    Sighting {
        name: Named::Host(name.unwrap_or_else(|| origin.clone())),
        origin,
        time: None,
        record: Err(damage),
    }
}

/// Sends the work of one source.
fn send_source(path: &Path, send: &SyncSender<Work>) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    if path.as_os_str() == "-" {
        return send_lines(BufReader::with_capacity(CHUNK, io::stdin().lock()), "-", None, send)
            .map_err(failed);
    }
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        for entry in std::fs::read_dir(path).map_err(failed)? {
            // The other end is there as long as this one is.
            let _ = send.send(Work::File(entry.map_err(failed)?.path()));
        }
        return Ok(());
    }
    let file = open_without_waiting(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    let mut reader = BufReader::with_capacity(CHUNK, file);
    let start = reader.fill_buf().map_err(failed)?;
    if cache::holds_lines(start) {
        return send_lines(reader, &path.display().to_string(), modified(&meta), send).map_err(failed);
    }
    drop(reader);
    let _ = send.send(Work::File(path.to_owned()));
    Ok(())
}

/// Cuts a stream into pieces of whole lines.
fn send_lines(
    mut reader: impl BufRead,
    origin: &str,
    time: Option<u64>,
    send: &SyncSender<Work>,
) -> io::Result<()> {
    let origin: Arc<str> = origin.into();
    let (mut number, mut text, mut lines) = (1_u64, Vec::with_capacity(CHUNK), 0_u64);
    loop {
        let before = text.len();
        let read = reader.by_ref().take(LARGEST as u64 + 1).read_until(b'\n', &mut text)?;
        if read == 0 || text.len() >= CHUNK {
            lines += u64::from(read > 0);
            let too_long = text.len() - before > LARGEST && !text.ends_with(b"\n");
            let long = if too_long { text.split_off(before) } else { Vec::new() };
            let whole = std::mem::replace(&mut text, Vec::with_capacity(CHUNK));
            if !whole.is_empty() {
                let _ =
                    send.send(Work::Lines { origin: Arc::clone(&origin), first: number, time, text: whole });
            }
            if too_long {
                skip_line(&mut reader)?;
                let start = long.get(..8192).unwrap_or_default().to_vec();
                let at = number + lines - 1;
                let _ = send.send(Work::TooLong { origin: Arc::clone(&origin), number: at, start });
            }
            number += lines;
            lines = 0;
            if read == 0 {
                return Ok(());
            }
        } else {
            lines += 1;
        }
    }
}

/// Reads to the end of a line and keeps nothing of it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = memchr::memchr(b'\n', buffer);
        let length = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(length);
        if end.is_some() {
            return Ok(());
        }
    }
}

/// Reads one file of a cache.
fn read_cache_file(
    path: &Path,
    prefix: &str,
    each: &(dyn Fn(Sighting) + Sync),
    passed_over: &Mutex<Vec<PassedOver>>,
) {
    let bytes = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let file_name = String::from_utf8_lossy(bytes).into_owned();
    let origin = path.display().to_string();
    let (name, damage) = match read_file_name(&file_name, prefix) {
        Ok(FileName::Leftover) => {
            let reason = "left by a run of Ansible that was killed".to_owned();
            passed_over
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(PassedOver { path: path.to_owned(), reason });
            return;
        }
        Ok(FileName::Host(host)) => (Named::Host(host), None),
        Ok(FileName::Digest(digits)) => (Named::Digest(digits), None),
        Err(damage) => (Named::Host(file_name), Some(damage)),
    };
    let read = match damage {
        Some(damage) => Err(damage),
        None => read_regular_file(path),
    };
    match read {
        Err(damage) => each(Sighting { name, origin, time: None, record: Err(damage) }),
        Ok((content, time)) => {
            if cache::holds_lines(&content[..content.len().min(CHUNK)]) {
                let lines = content.split(|byte| *byte == b'\n').enumerate();
                for (index, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
                    each(sighting_of_line(line, &origin, index as u64 + 1, time));
                }
                return;
            }
            let record = cache::read_host_file(&content).map(Box::new);
            let time = record.as_ref().ok().and_then(|record| record.collected()).or(time);
            each(Sighting { name, origin, time, record });
        }
    }
}

/// Reads a regular file whole, bounded; nothing else is waited for.
fn read_regular_file(path: &Path) -> Result<(Vec<u8>, Option<u64>), Damage> {
    let file = open_without_waiting(path).map_err(|error| unreadable(&error))?;
    let meta = file.metadata().map_err(|error| unreadable(&error))?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "no regular file" };
        return Err(Damage::whole(format!("it is {what}")));
    }
    let mut content = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).min(LARGEST) + 1);
    file.take(LARGEST as u64 + 1).read_to_end(&mut content).map_err(|error| unreadable(&error))?;
    Ok((content, modified(&meta)))
}

fn unreadable(error: &io::Error) -> Damage {
    if error.kind() == io::ErrorKind::NotFound {
        return Damage::whole("it vanished, or is a link that leads nowhere");
    }
    Damage::whole(format!("it cannot be read: {error}"))
}

/// Opens for reading and never waits for the other end of a pipe.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn modified(meta: &std::fs::Metadata) -> Option<u64> {
    u64::try_from(meta.mtime()).ok()
}
