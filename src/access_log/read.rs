//! The bytes of a log, plain or compressed with gzip, block by block.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZError, MZFlush, MZStatus};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// Bytes of a block; a line that is longer is not read.
pub(super) const BLOCK: usize = 1 << 18;

/// How long a pipe may have nobody who writes into it, in seconds.
const PATIENCE: i64 = 10;

/// What a log is made of.
pub(super) struct Opened {
    /// Its bytes, unpacked.
    pub(super) from: Box<dyn Read + Send>,
    /// Its device and inode, where it can be opened again.
    pub(super) file: Option<(u64, u64)>,
}

/// Opens a log, whatever it is compressed with; `-` is standard input.
///
/// # Errors
/// Why it cannot be read, in one sentence.
pub(super) fn open(path: &Path) -> Result<Opened, String> {
    let told = |error: &io::Error| format!("{}: {error}", path.display());
    let (mut from, file): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let (file, identity) = regular_or_pipe(path)?;
        (Box::new(file), identity)
    };
    let mut start = Vec::new();
    from.by_ref().take(6).read_to_end(&mut start).map_err(|error| told(&error))?;
    let of_another = [
        (&b"\xfd7zXZ\0"[..], "xz", "xzcat"),
        (b"BZh", "bzip2", "bzcat"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstdcat"),
    ];
    if let Some((_, name, cat)) = of_another.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Err(format!(
            "{0}: is compressed with {name}, which is not read here; write {cat} {0} | apache-tuning size --from-log -",
            path.display()
        ));
    }
    let gzip = start.starts_with(b"\x1f\x8b");
    let whole = io::Cursor::new(start).chain(from);
    let from: Box<dyn Read + Send> = if gzip { Box::new(Gunzip::new(whole)) } else { Box::new(whole) };
    Ok(Opened { from, file })
}

/// Opens what has an end: a file, or a pipe with a writer. A device might never end.
fn regular_or_pipe(path: &Path) -> Result<(File, Option<(u64, u64)>), String> {
    let told = |error: io::Error| format!("{}: {error}", path.display());
    // To open a pipe that nobody writes into would wait for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file: File = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| told(error.into()))?.into();
    let metadata = file.metadata().map_err(told)?;
    let kind = metadata.file_type();
    if kind.is_file() {
        return Ok((file, Some((metadata.dev(), metadata.ino()))));
    }
    if kind.is_dir() {
        return Err(format!("{}: is a directory; give the logs in it", path.display()));
    }
    if !kind.is_fifo() {
        return Err(format!("{}: is neither a file nor a pipe", path.display()));
    }
    let time = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(&time));
    if ready.map_err(|error| told(error.into()))? == 0 {
        return Err(format!("{}: nobody writes into this pipe", path.display()));
    }
    rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(|error| told(error.into()))?;
    Ok((file, None))
}

/// Cuts what is read into blocks of whole lines.
pub(super) struct Blocks {
    from: Box<dyn Read + Send>,
    carry: Vec<u8>,
    ended: bool,
}

/// A piece of a log.
pub(super) enum Piece {
    /// Whole lines.
    Lines(Vec<u8>),
    /// A line longer than a block; it is left out.
    TooLong,
    /// It could not be read to its end, and why.
    Failed(String),
}

impl Blocks {
    pub(super) fn new(from: Box<dyn Read + Send>, start: Vec<u8>) -> Self {
        Self { from, carry: start, ended: false }
    }

    /// Reads on; whatever was read before an error is left in `block`.
    fn fill(&mut self, block: &mut Vec<u8>) -> io::Result<()> {
        let room = (BLOCK.saturating_sub(block.len())).max(1) as u64;
        let before = block.len();
        let read = self.from.by_ref().take(room).read_to_end(block);
        self.ended = read.is_err() || ((block.len() - before) as u64) < room;
        read.map(|_| ())
    }
}

impl Iterator for Blocks {
    type Item = Vec<Piece>;

    fn next(&mut self) -> Option<Vec<Piece>> {
        if self.ended && self.carry.is_empty() {
            return None;
        }
        let mut pieces = Vec::new();
        let mut block = std::mem::replace(&mut self.carry, Vec::with_capacity(BLOCK));
        let mut failed = None;
        if !self.ended {
            failed = self.fill(&mut block).err();
        }
        if !self.ended && memchr::memrchr(b'\n', &block).is_none() {
            pieces.push(Piece::TooLong);
            // Its end, however far that is.
            loop {
                block.clear();
                if self.ended {
                    break;
                }
                failed = self.fill(&mut block).err();
                if let Some(at) = memchr::memchr(b'\n', &block) {
                    block.drain(..=at);
                    break;
                }
            }
        }
        if !self.ended
            && let Some(at) = memchr::memrchr(b'\n', &block)
        {
            self.carry = block.split_off(at + 1);
        }
        if !block.is_empty() {
            pieces.push(Piece::Lines(block));
        }
        if let Some(error) = failed {
            pieces.push(Piece::Failed(error.to_string()));
        }
        Some(pieces)
    }
}

/// What a gzip file holds, its members one after the other.
struct Gunzip<R> {
    from: R,
    state: Box<InflateState>,
    input: Vec<u8>,
    /// The part of `input` that is not used yet.
    left: std::ops::Range<usize>,
    inside: bool,
    ended: bool,
}

impl<R: Read> Gunzip<R> {
    fn new(from: R) -> Self {
        let state = InflateState::new_boxed(DataFormat::Raw);
        Self { from, state, input: vec![0; 1 << 16], left: 0..0, inside: false, ended: false }
    }

    /// Reads more where nothing is left; tells whether something is.
    fn fill(&mut self) -> io::Result<bool> {
        if self.left.is_empty() {
            let count = self.from.read(&mut self.input)?;
            self.left = 0..count;
        }
        Ok(!self.left.is_empty())
    }

    fn byte(&mut self) -> io::Result<Option<u8>> {
        Ok(if self.fill()? { self.left.next().and_then(|at| self.input.get(at)).copied() } else { None })
    }

    fn skip(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.byte()?.ok_or_else(cut_off)?;
        }
        Ok(())
    }

    /// Reads the head of a member; tells whether there is one.
    fn head(&mut self) -> io::Result<bool> {
        let Some(first) = self.byte()? else { return Ok(false) };
        let mut next = || self.byte()?.ok_or_else(cut_off);
        let (second, method, flags) = (next()?, next()?, next()?);
        if (first, second, method) != (0x1f, 0x8b, 8) {
            return Err(damaged());
        }
        self.skip(6)?;
        if flags & 4 != 0 {
            let mut next = || self.byte()?.ok_or_else(cut_off);
            let length = usize::from(next()?) + 256 * usize::from(next()?);
            self.skip(length)?;
        }
        for text in [8, 16] {
            while flags & text != 0 && self.byte()?.ok_or_else(cut_off)? != 0 {}
        }
        if flags & 2 != 0 {
            self.skip(2)?;
        }
        Ok(true)
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the gzip file is cut off")
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the gzip file is damaged")
}

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !out.is_empty() {
            if !self.inside {
                if !self.head()? {
                    self.ended = true;
                    break;
                }
                self.state.reset(DataFormat::Raw);
                self.inside = true;
            }
            let more = self.fill()?;
            let result = inflate(&mut self.state, &self.input[self.left.clone()], out, MZFlush::None);
            self.left.start += result.bytes_consumed;
            match result.status {
                Ok(MZStatus::StreamEnd) => {
                    self.inside = false;
                    // The sum and the length; a damaged stream rarely comes so far.
                    self.skip(8)?;
                }
                Ok(_) => {}
                Err(MZError::Buf) if more || result.bytes_written > 0 => {}
                Err(MZError::Buf) => return Err(cut_off()),
                Err(_) => return Err(damaged()),
            }
            if result.bytes_written > 0 {
                return Ok(result.bytes_written);
            }
            if !more && self.inside {
                return Err(cut_off());
            }
        }
        Ok(0)
    }
}
