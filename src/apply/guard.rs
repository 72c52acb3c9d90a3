//! A second process that outlives a run which is killed while the server may be down.
//!
//! Nobody can catch a kill, and the kernel kills when memory runs out. So before a run touches the server it starts this
//! program once more, in a session of its own, where no terminal's and no group's signal reaches it. The guard waits at
//! a pipe. Whatever ends the run closes the other end; where the run did not say first that it is done, the guard does
//! what the next run would do: it gives the files back from the journal and starts the server.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::{ApplyError, HostState};
use super::lock::Lock;
use super::{journal, recover, service};
use crate::{sandbox, signals};

/// The first argument of the guard. No word of the command line that a person would type.
const GUARD: &str = "__guard";

/// What the guard says once it is out of reach.
const READY: &[u8] = b"ready\n";

/// What a run says that ends by itself.
const DONE: &[u8] = b"done";

/// How long the guard may take to be ready.
const STARTS: Duration = Duration::from_secs(5);

/// How long the guard waits for the lock: another run may have taken it, and recovers first.
const LOCK: Duration = Duration::from_secs(600);

/// How often the guard tries to start a server that does not come up.
const TRIES: u32 = 3;

/// A guard that waits.
pub(super) struct Guard {
    child: Child,
    /// Its end, also by the end of this process, is what the guard waits for.
    held: ChildStdin,
}

impl Guard {
    /// Starts a guard; `None` where there can be none. Better a change without one than none at all: the next run does
    /// its work then.
    pub(super) fn post() -> Option<Self> {
        let (program, name) = sandbox::myself()?;
        let mut command = Command::new(program);
        if let Some(name) = name {
            command.arg0(name);
        }
        command.arg(GUARD).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (held, said) = (child.stdin.take(), child.stdout.take());
        if let (Some(held), true) = (held, said.is_some_and(is_ready)) {
            return Some(Self { child, held });
        }
        let _ = child.kill();
        let _ = child.wait();
        None
    }

    /// Ends it: the run is at its end, and the server serves or all was tried.
    pub(super) fn dismiss(self) {
        let Self { mut child, mut held } = self;
        let _ = held.write_all(DONE);
        drop(held);
        let _ = child.wait();
    }
}

/// Waits until the guard has said that it is ready.
fn is_ready(mut said: ChildStdout) -> bool {
    let end = Instant::now() + STARTS;
    let mut text = Vec::new();
    while text.len() < READY.len() {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now()));
        let Ok(left) = left else { return false };
        match poll(&mut [PollFd::new(&said, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => continue,
            Ok(1..) => {}
            _ => return false,
        }
        let mut buffer = [0; 16];
        match said.read(&mut buffer) {
            Ok(length @ 1..) => text.extend_from_slice(&buffer[..length]),
            _ => return false,
        }
    }
    text == READY
}

/// The guard itself: to be called first thing in `main`. Returns `None` where the program was started for something
/// else.
pub fn guard() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(GUARD) || arguments.next().is_some() {
        return None;
    }
    signals::hold();
    let ready = rustix::process::setsid().is_ok() && io::stdout().write_all(READY).is_ok();
    let ready = ready && io::stdout().flush().is_ok();
    let mut text = Vec::new();
    let read = io::stdin().read_to_end(&mut text).is_ok();
    if ready && read && text != DONE {
        take_over();
    }
    Some(ExitCode::SUCCESS)
}

/// Does what the next run would do.
fn take_over() {
    let Ok(lock) = Lock::take(Path::new("/"), LOCK) else { return };
    let live = journal::left_over(&lock.disk).ok().flatten().and_then(|record| record.live);
    let done = recover::recover_unguarded(&lock);
    if let (Err(ApplyError { host: HostState::ServerDown { .. }, .. }), Some(live)) = (done, live) {
        for _ in 0..TRIES {
            if service::set_right(&live).is_ok() {
                break;
            }
        }
    }
}
