//! The host as plain data: the machine's limits, the running server, where each value was read.

pub mod access;
mod ahead;
pub mod certificate;
pub mod cgroup;
pub mod der;
pub mod disk;
pub mod gather;
pub mod health;
pub mod host_facts;
pub mod http;
pub mod link;
pub mod listen;
pub mod listening;
pub mod parse;
pub mod process;
pub mod status;
pub mod systemd;
pub mod unit;
pub mod version;

use serde::{Deserialize, Serialize};

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
    /// Processor time that the control groups above the service allow, in thousandths of one processor;
    /// `u64::MAX` is no quota. The threads still see every processor of `cpus`.
    pub cpu_quota: Option<Known<u64>>,
    /// Open files one server process may have; `u64::MAX` is no limit.
    pub open_files: Option<Known<u64>>,
    /// Open files that the unit asks for (`LimitNOFILE=`), where it does so in words. Debian's start script
    /// may lower it again: then `open_files` is less.
    pub unit_open_files: Option<Known<u64>>,
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

/// One process and no other one, of this boot or an earlier one. JSON: `{"boot": "…", "pid": 712, "ticks": 8121}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The kernel's id of this boot.
    pub boot: String,
    /// Process id.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since boot.
    pub ticks: u64,
}

/// The server that runs now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running {
    /// Process id of the parent.
    pub parent: u32,
    /// The MPM mapped in it; `None` where it cannot be told.
    pub mpm: Option<Mpm>,
    /// What tells its parent from every other process; `None` where the kernel does not tell.
    pub identity: Option<Identity>,
    /// Whether it stays with whoever started it (`-D FOREGROUND`, `-X`) instead of being a daemon.
    pub foreground: bool,
}

/// What the running server and the rest of the host hold in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The parent's proportional share (PSS).
    pub parent: Bytes,
    /// Serving children.
    pub processes: u64,
    /// Workers in all of them.
    pub workers: u64,
    /// Connections they hold, with and without a worker.
    pub connections: u64,
    /// Resident memory of parent and children added up: shared pages counted again in each.
    pub rss: Bytes,
    /// Proportional memory of parent and children added up: what the server really takes.
    pub pss: Bytes,
    /// Private memory of parent and children added up.
    pub private: Bytes,
    /// What is paid once, however many processes there are: the shared pages and the parent.
    pub shared: Bytes,
    /// What one more process costs, without its workers.
    pub per_process: Bytes,
    /// What one more worker costs in a process that exists.
    pub per_worker: Bytes,
    /// What one more connection costs beside that; none under prefork, where a worker is its connection.
    pub per_connection: Bytes,
    /// What the server had done until then.
    pub served: Served,
    /// Other programs that hold memory, largest first.
    pub others: Vec<Consumer>,
}

/// What a server has done since it started, which says what a measurement of it is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Seconds since it started.
    pub seconds: u64,
    /// Requests answered since then, as `mod_status` counts them; `None` where it was not asked.
    pub requests: Option<u64>,
    /// Processor time of its children, those that have ended among them, in milliseconds.
    pub milliseconds: u64,
    /// How much more its children held at their busiest moment than now.
    pub peak: Bytes,
}

/// A program beside the server, all its processes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The name the kernel shows: `php-fpm8.2`.
    pub name: String,
    /// Its processes.
    pub processes: u64,
    /// Their proportional memory.
    pub memory: Bytes,
}
