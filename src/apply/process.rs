//! One process that is told something: held by a descriptor, so that its number cannot go to another one between the
//! look and the signal.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// How long to sleep between two looks where the kernel does not tell of a process's end.
const LOOK: Duration = Duration::from_millis(5);

/// A process that may be told something.
pub(super) struct Process {
    pid: Pid,
    /// `None` before Linux 5.3.
    descriptor: Option<OwnedFd>,
}

impl Process {
    /// Takes hold of a process. Whether it is still the one that was meant must be asked *after* this.
    pub(super) fn hold(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        Some(Self { pid, descriptor: pidfd_open(pid, PidfdFlags::empty()).ok() })
    }

    /// Sends a signal; one to a process that is gone is none.
    ///
    /// # Errors
    /// Why it could not be sent.
    pub(super) fn send(&self, signal: Signal) -> Result<(), String> {
        let sent = match &self.descriptor {
            Some(descriptor) => pidfd_send_signal(descriptor, signal),
            None => rustix::process::kill_process(self.pid, signal),
        };
        match sent {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(format!("process {} could not be signalled: {error}", self.pid)),
        }
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// That it did not go in time.
    pub(super) fn wait_until_gone(&self, most: Duration) -> Result<(), String> {
        let end = Instant::now() + most;
        // The kernel tells at once where it can; the service is down meanwhile.
        if let (Some(descriptor), Ok(wait)) = (&self.descriptor, Timespec::try_from(most))
            && let Ok(1) = poll(&mut [PollFd::new(descriptor, PollFlags::IN)], Some(&wait))
        {
            return Ok(());
        }
        while rustix::process::test_kill_process(self.pid).is_ok() {
            // A zombie answers the question still, but holds no port any more.
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
            if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
                break;
            }
            if Instant::now() >= end {
                let seconds = most.as_secs();
                return Err(format!("the old server (process {}) did not end within {seconds} s", self.pid));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}
