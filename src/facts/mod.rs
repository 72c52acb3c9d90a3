//! The host as plain data: the machine's limits, the running server, where each value was read.

pub mod disk;
pub mod version;

use crate::httpd::Mpm;
use crate::units::Bytes;

/// A value and where it was read, such as `/proc/sys/net/core/somaxconn` or `facts.somaxconn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Where it was read.
    pub source: String,
}

/// The limits of the machine and of the service. `None` is "could not be read"; nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Memory of the machine or of the tightest control group above the service, whichever is less.
    pub memory: Option<Known<Bytes>>,
    /// Processors online.
    pub cpus: Option<Known<u64>>,
    /// Open files one server process may have; `u64::MAX` is no limit.
    pub open_files: Option<Known<u64>>,
    /// Tasks (processes and threads) the service may have; `u64::MAX` is no limit.
    pub tasks_max: Option<Known<u64>>,
    /// `kernel.threads-max`.
    pub threads_max: Option<Known<u64>>,
    /// `kernel.pid_max`.
    pub pid_max: Option<Known<u64>>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<Known<u64>>,
    /// SELinux boolean `httpd_graceful_shutdown`; `None` also where SELinux is off.
    pub selinux_graceful_shutdown: Option<Known<bool>>,
}

/// The server that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Process id of the parent.
    pub parent: u32,
    /// The MPM mapped in it; `None` where it cannot be told.
    pub mpm: Option<Mpm>,
    /// When it started, in seconds since the epoch.
    pub started: Option<u64>,
}
