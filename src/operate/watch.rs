//! A running server watched over time: what it holds, against what its settings and the host carry.
//!
//! Reads only, and keeps no more than peaks: a watch may last for days. The server may be reloaded, restarted or gone
//! meanwhile; it is looked at anew then.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::evaluate::Host;
use super::info::status_url;
use crate::capacity::{self, MemoryNeed, Server};
use crate::clock;
use crate::facts::disk::Disk;
use crate::facts::{listening, parse, process, status};
use crate::httpd::Mpm;
use crate::httpd::effective;
use crate::httpd::normalise::normalise_with_buckets;
use crate::params::Facts;
use crate::tree::Files;
use crate::units::Bytes;

/// How long mod_status may take to answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(1);

/// What was seen at one moment. JSON: one line each; what could not be read is null.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// When, in seconds since the epoch.
    pub time: u64,
    /// The parent; null where no server runs.
    pub parent: Option<u32>,
    /// What happened since the sample before: `reloaded`, `restarted`, `stopped`, `started`.
    pub event: Option<&'static str>,
    /// Workers that serve, without the one that answers this question.
    pub busy_workers: Option<u64>,
    /// Workers that wait.
    pub idle_workers: Option<u64>,
    /// Most workers by the settings, MaxRequestWorkers.
    pub most_workers: Option<u64>,
    /// Connections that are open to the server's ports.
    pub connections: Option<u64>,
    /// Most connections that the settings hold.
    pub most_connections: Option<u64>,
    /// Processes that serve or finish.
    pub processes: Option<u64>,
    /// Processes that finish.
    pub stopping: Option<u64>,
    /// Connections that the kernel turned away since the watch began, because a queue was full: of all programs here.
    pub overflows: Option<u64>,
    /// Memory of the parent and its children by their proportional share, in MiB.
    pub memory_mb: Option<u64>,
    /// Memory that the host or its control group has, in MiB.
    pub most_memory_mb: Option<u64>,
    /// Why mod_status told nothing.
    pub status_reason: Option<String>,
}

/// The highest that was seen of something, against its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Peak {
    /// `workers`, `connections`, `memory_mb`.
    pub name: &'static str,
    /// The highest.
    pub peak: u64,
    /// Its limit at that moment.
    pub limit: u64,
    /// That in parts of the limit, in percent.
    pub percent: u64,
}

/// A load to paste into a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Connections at once.
    pub connections: u64,
    /// Those served at one moment; null where a worker is a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
}

/// What a watch saw in all. JSON: the last line, `{"summary": {...}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Samples taken.
    pub samples: u64,
    /// Seconds from the first to the last.
    pub seconds: u64,
    /// How often the server was reloaded.
    pub reloads: u64,
    /// How often it was another process than before.
    pub restarts: u64,
    /// Samples in which no server ran.
    pub stopped: u64,
    /// Connections that the kernel turned away.
    pub overflows: u64,
    /// The peaks, the one nearest to its limit first.
    pub peaks: Vec<Peak>,
    /// The load of the peak, for `capacity`; null where mod_status told nothing.
    pub capacity: Option<Load>,
}

/// What the settings in force and the host carry.
#[derive(Debug)]
struct Limits {
    mpm: Option<Mpm>,
    workers: Option<u64>,
    connections: Option<u64>,
    memory: Option<Bytes>,
    url: Result<String, String>,
}

/// A server as one sample saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    parent: u32,
    /// When it started, in the kernel's ticks.
    ticks: Option<u64>,
    /// How often it has taken its configuration up; `None` where it did not tell.
    generation: Option<u64>,
}

/// A watch in progress.
#[derive(Debug)]
pub struct Watch {
    disk: Disk,
    asked_url: Option<String>,
    host: Host,
    limits: Limits,
    /// The server of the sample before; `None` where none ran.
    seen: Option<Seen>,
    overflows_before: Option<u64>,
    first: u64,
    summary: Summary,
}

impl Watch {
    /// Begins a watch of this machine's server. `url` is where mod_status answers; left out, it is found.
    ///
    /// # Errors
    /// Why there is no Apache to watch.
    pub fn new(url: Option<String>) -> Result<Self, String> {
        let disk = Disk::new(Path::new("/"));
        let host = Host::look(&disk, &Facts::default(), None, true, None).map_err(|report| report.msg)?;
        let limits = Limits::of(&host, url.as_deref());
        let overflows_before = overflows(&disk);
        let first = clock::now();
        Ok(Self {
            disk,
            asked_url: url,
            host,
            limits,
            seen: None,
            overflows_before,
            first,
            summary: Summary::default(),
        })
    }

    /// Looks once.
    pub fn sample(&mut self) -> Sample {
        let mut sample = Sample { time: clock::now(), ..Sample::default() };
        let running = process::running(&self.disk, &self.host.site);
        let mut told = None;
        if let Some(running) = &running {
            sample.parent = Some(running.parent);
            // Where it answers may have changed with the configuration: then the next sample has it.
            match self
                .limits
                .url
                .clone()
                .and_then(|url| status::ask(&url, STATUS_TIMEOUT).map_err(|no| no.to_string()))
            {
                Ok(status) => told = Some(status),
                Err(reason) => sample.status_reason = Some(reason),
            }
            // What mod_status says of connections that rest is some seconds old.
            sample.connections = listening::connections(&self.disk, running.parent);
            let (processes, memory) = process::held(&self.disk, running);
            sample.processes = Some(processes);
            sample.memory_mb = memory.map(Bytes::mib);
        } else {
            sample.status_reason = Some("no server runs".to_owned());
        }
        let generation = told.as_ref().and_then(|status| status.generation);
        let now = running.as_ref().map(|running| Seen {
            parent: running.parent,
            ticks: running.identity.as_ref().map(|identity| identity.ticks),
            generation,
        });
        sample.event = self.compare(now);
        if (sample.event.is_some() || told.is_none())
            && let Ok(host) = Host::look(&self.disk, &Facts::default(), None, true, None)
        {
            self.limits = Limits::of(&host, self.asked_url.as_deref());
            self.host = host;
        }
        if let Some(status) = told {
            sample.busy_workers = status.busy_workers.map(|busy| busy.saturating_sub(1));
            sample.idle_workers = status.idle_workers;
            sample.stopping = status.stopping;
        }
        sample.most_workers = self.limits.workers;
        sample.most_connections = self.limits.connections;
        sample.most_memory_mb = self.limits.memory.map(Bytes::mib);
        sample.overflows =
            overflows(&self.disk).zip(self.overflows_before).map(|(now, before)| now.saturating_sub(before));
        self.add(&sample);
        sample
    }

    /// Tells what happened to the server since the sample before.
    fn compare(&mut self, mut now: Option<Seen>) -> Option<&'static str> {
        let before = self.seen;
        let same = |old: &Seen, new: &Seen| (old.parent, old.ticks) == (new.parent, new.ticks);
        let event = match (&before, &mut now) {
            (None, Some(_)) if self.summary.samples > 0 => Some("started"),
            (Some(_), None) => Some("stopped"),
            (Some(old), Some(new)) if !same(old, new) => Some("restarted"),
            (Some(old), Some(new)) => {
                // Where it did not tell this time, what it told before still counts.
                new.generation = new.generation.or(old.generation);
                (old.generation.is_some() && old.generation != new.generation).then_some("reloaded")
            }
            (None, _) => None,
        };
        self.seen = now;
        event
    }

    fn add(&mut self, sample: &Sample) {
        let summary = &mut self.summary;
        summary.samples += 1;
        summary.seconds = sample.time.saturating_sub(self.first);
        summary.stopped += u64::from(sample.parent.is_none());
        match sample.event {
            Some("reloaded") => summary.reloads += 1,
            Some("restarted" | "started") => summary.restarts += 1,
            _ => {}
        }
        summary.overflows = summary.overflows.max(sample.overflows.unwrap_or(0));
        for (name, value, limit) in [
            ("workers", sample.busy_workers, sample.most_workers),
            ("connections", sample.connections, sample.most_connections),
            ("memory_mb", sample.memory_mb, sample.most_memory_mb),
        ] {
            let Some((peak, limit)) = value.zip(limit.filter(|limit| *limit > 0)) else { continue };
            let percent = peak.saturating_mul(100) / limit;
            let seen = Peak { name, peak, limit, percent };
            match summary.peaks.iter_mut().find(|other| other.name == name) {
                Some(other) if other.peak < peak => *other = seen,
                Some(_) => {}
                None => summary.peaks.push(seen),
            }
        }
        if let Some((busy, connections)) = sample.busy_workers.zip(sample.connections) {
            let most = summary.capacity.get_or_insert(Load { connections: 1, active: None });
            most.connections = most.connections.max(connections);
            if self.limits.mpm == Some(Mpm::Event) {
                most.active = Some(most.active.unwrap_or(1).max(busy));
            }
            most.active = most.active.map(|active| active.min(most.connections));
        }
    }

    /// Returns what was seen in all so far, the peak nearest to its limit first.
    pub fn summary(&self) -> Summary {
        let mut summary = self.summary.clone();
        summary.peaks.sort_by_key(|peak| std::cmp::Reverse(peak.percent));
        summary
    }
}

impl Limits {
    fn of(host: &Host, url: Option<&str>) -> Self {
        let url = status_url(url, host);
        let memory = host.machine.memory.as_ref().map(|known| known.value);
        let Some(mpm) = host.mpm() else {
            return Self { mpm: None, workers: None, connections: None, memory, url };
        };
        let written = super::evaluate::in_force(host.values());
        let buckets = effective::buckets(&host.configuration, host.cpus());
        let normal = normalise_with_buckets(mpm, host.version(), &written, buckets);
        let server = Server::of(mpm, host.version(), &host.configuration);
        let carried = capacity::assess(&server, &normal, None, &host.machine, &MemoryNeed::default());
        Self { mpm: Some(mpm), workers: carried.workers, connections: carried.connections, memory, url }
    }
}

/// Returns how often the kernel turned a connection away because a queue of a listening socket was full, since boot.
///
/// Source: `TcpExt: ... ListenOverflows ...` of `/proc/net/netstat`, proc(5).
fn overflows(files: &dyn Files) -> Option<u64> {
    let text = files.read(Path::new("/proc/net/netstat")).ok()?;
    parse::table_value(&text, "TcpExt:", "ListenOverflows")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn the_kernels_count_is_read_by_its_name() {
        let table =
            "IpExt: A ListenOverflows\nIpExt: 1 2\nTcpExt: SyncookiesSent ListenOverflows X\nTcpExt: 5 7 9\n";
        assert_eq!(overflows(&Memory::new().file("/proc/net/netstat", table)), Some(7));
        assert_eq!(overflows(&Memory::new().file("/proc/net/netstat", "TcpExt: A\nTcpExt: 1\n")), None);
        assert_eq!(overflows(&Memory::new()), None);
    }
}
