//! httpd's world: its language, its directives, its arithmetic, its binary.

pub mod binary;
pub mod core_directives;
pub mod directives;
pub mod effective;
mod hash;
pub mod moved;
pub mod normalise;
pub mod numbers;
pub mod read;
pub mod start;

use std::fmt;

use serde::{Deserialize, Serialize};

/// A multi-processing module of httpd 2.4 on Unix. JSON: `"event"`, `"worker"`, `"prefork"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mpm {
    /// Threads, and one listener a process that holds idle connections without a worker.
    Event,
    /// Threads, one for each connection.
    Worker,
    /// One process for each connection.
    Prefork,
}

impl Mpm {
    /// All of them, in the order in which httpd's documentation lists them.
    pub const ALL: [Self; 3] = [Self::Event, Self::Worker, Self::Prefork];

    /// Returns the lower-case name, as in `mpm_event.conf`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Worker => "worker",
            Self::Prefork => "prefork",
        }
    }

    /// Returns the module identifier that `LoadModule` and `<IfModule>` use.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Event => "mpm_event_module",
            Self::Worker => "mpm_worker_module",
            Self::Prefork => "mpm_prefork_module",
        }
    }

    /// Returns the source file name that `<IfModule>` also matches; `mpm_event.c` never does.
    pub const fn source_file(self) -> &'static str {
        match self {
            Self::Event => "event.c",
            Self::Worker => "worker.c",
            Self::Prefork => "prefork.c",
        }
    }

    /// Returns the module's name as Debian's `a2enmod` takes it.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Event => "mpm_event",
            Self::Worker => "mpm_worker",
            Self::Prefork => "mpm_prefork",
        }
    }

    /// Tells whether one process serves with several threads.
    pub const fn threaded(self) -> bool {
        !matches!(self, Self::Prefork)
    }

    /// Returns the MPM of a module identifier such as `mpm_event_module`; `mpm_itk_module` is none.
    pub fn of_module(identifier: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mpm| mpm.module() == identifier)
    }

    /// Returns the MPM of a name such as `event`.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mpm| mpm.name() == name)
    }
}

impl fmt::Display for Mpm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A version of httpd, such as 2.4.58. JSON: `"2.4.58"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number, 2.
    pub major: u16,
    /// Minor number, 4.
    pub minor: u16,
    /// Patch level.
    pub patch: u16,
}

impl Version {
    /// The version assumed where none can be read: the newest whose behaviour was observed.
    pub const NEWEST_KNOWN: Self = Self::v24(71);

    /// Returns 2.4.`patch`.
    pub const fn v24(patch: u16) -> Self {
        Self { major: 2, minor: 4, patch }
    }

    /// Reads the leading `N.N.N` of a text such as `2.4.58-1ubuntu8`; missing parts count as 0.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut parts = text[..end].split('.').map(|part| part.parse().ok());
        let major = parts.next()??;
        let minor = parts.next().unwrap_or(Some(0)).unwrap_or(0);
        let patch = parts.next().unwrap_or(Some(0)).unwrap_or(0);
        Some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}
