//! Runs one program to its end, never longer than it may take, and keeps what it prints.

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Most of the output that is kept; a broken configuration says what it has to say in the first lines.
const MAX_OUTPUT: usize = 64 << 10;

/// What a child left.
pub(crate) struct Run {
    /// Its exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Both its streams.
    pub(crate) output: String,
    /// Why it did not end by itself.
    pub(crate) ended: Option<String>,
}

/// How often a child that has not closed its streams is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command to its end, or to `timeout`, with `input` on its standard input and both streams in one.
///
/// Its end is that of the process itself: a daemon that it leaves behind may keep the streams open for ever.
pub(crate) fn run(command: &mut Command, input: &[u8], timeout: Duration) -> io::Result<Run> {
    let end = Instant::now() + timeout;
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer).current_dir("/");
    let mut child = command.spawn()?;
    // Our own ends of the pipe must be closed, or its end never comes.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ends without reading says more by its output than this error could.
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    let mut status = None;
    let mut open = true;
    let mut late = false;
    while open || status.is_none() {
        if status.is_none() {
            status = child.try_wait()?;
        }
        if status.is_none() && Instant::now() >= end {
            late = true;
            end_group(&mut child);
            status = Some(child.wait()?);
        }
        // Once it has ended, what it left in the pipe is all.
        let wait = if status.is_some() { Duration::ZERO } else { LOOK };
        if !open {
            // Its streams are closed; its exit is a moment away.
            std::thread::sleep(wait.min(Duration::from_millis(1)));
            continue;
        }
        match read_some(&mut reader, wait)? {
            Some(bytes) if bytes.is_empty() => open = false,
            Some(bytes) => {
                let room = MAX_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            None => open = status.is_none(),
        }
    }
    let ended = if late {
        Some(format!("\nended after {} s without an answer", timeout.as_secs()))
    } else {
        status.and_then(|status| status.signal()).map(|signal| format!("\nended by signal {signal}"))
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Run { code: status.and_then(|status| status.code()).filter(|_| !late), output, ended })
}

/// Reads what is there, waiting for it; `None` where nothing came, nothing read is the end.
pub(super) fn read_some(reader: &mut io::PipeReader, wait: Duration) -> io::Result<Option<Vec<u8>>> {
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&*reader, PollFlags::IN)], Some(&wait)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut buffer = vec![0; 4096];
    match reader.read(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends a child and everything it started in its session.
fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may not lead a group yet, then the next line does.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
}
