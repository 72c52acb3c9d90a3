//! What a host's configuration says about its access logs, and what its settings carry: for sizes from logs.

use std::path::Path;

use super::Stopped;
use super::evaluate::{Host, in_force};
use crate::capacity::{self, MemoryNeed, Server};
use crate::facts::disk::Disk;
use crate::httpd::effective;
use crate::httpd::normalise::normalise_with_buckets;
use crate::httpd::numbers::{self, Unit};
use crate::httpd::read::startup;
use crate::params::Facts;
use crate::report::CapacityReport;

/// A host as far as its logs are concerned.
#[derive(Debug)]
pub struct LoggingHost {
    /// Formats with their names: of a format without one the place of its line.
    pub formats: Vec<(String, String)>,
    /// `KeepAliveTimeout` in seconds, rounded up, of the main server; 0 where connections are not kept.
    pub keep_alive: Option<u64>,
    /// What the settings in force carry.
    pub capacity: Option<CapacityReport>,
}

/// Reads a host's configuration below a root directory.
///
/// # Errors
/// The failed result where there is no Apache that could be read.
pub fn logging_host(root: &Path) -> Result<LoggingHost, Stopped> {
    let disk = Disk::new(root);
    let host = Host::look(&disk, &Facts::default(), None, root == Path::new("/"), None)?;
    let startup = startup::read(&disk, &host.start);
    let mut formats = Vec::new();
    for line in ["LogFormat", "CustomLog", "GlobalLog"].into_iter().flat_map(|name| startup.of(name)) {
        let at = usize::from(!line.is("LogFormat"));
        let Some(text) = line.words.get(at).filter(|text| text.contains('%')) else { continue };
        let nickname = line.words.get(1).filter(|_| at == 0).cloned();
        formats.push((nickname.unwrap_or_else(|| startup.place(line)), text.clone()));
    }
    let used = |directive| {
        let value = host.values().iter().find(|value| value.directive == directive)?;
        Some(value.used.as_str())
    };
    let kept = used("KeepAlive").is_none_or(|value| !value.eq_ignore_ascii_case("off"));
    let seconds = |text: &str| {
        let micros = numbers::duration(text, Unit::Seconds).ok()?.micros;
        Some(u64::try_from(micros).ok()?.div_ceil(1_000_000))
    };
    let keep_alive = if kept { used("KeepAliveTimeout").and_then(seconds) } else { Some(0) };
    let capacity = host.mpm().map(|mpm| {
        let buckets = effective::buckets(&host.configuration, host.cpus());
        let normal = normalise_with_buckets(mpm, host.version(), &in_force(host.values()), buckets);
        let server = Server::of(mpm, host.version(), &host.configuration);
        capacity::assess(&server, &normal, None, &host.machine, &MemoryNeed::default())
    });
    Ok(LoggingHost { formats, keep_alive, capacity })
}
