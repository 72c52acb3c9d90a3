//! The machine form: JSON lines, of which the schema stands in `schema/fleet.json`.
//!
//! One `header`, the `group` records, the `host` records, one `summary`: a file without it was cut. A reader ignores keys
//! it does not know and refuses another major number of `format`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

use super::plan::{Outcome, Verdict};
use super::table::Fleet;

/// The form that is written. A minor number only adds keys.
pub const FORMAT: &str = "1.0";

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Line {
    /// The first one.
    Header {
        /// The form: `1.0`.
        format: String,
        /// The program's version.
        version: String,
        /// Whether nothing was changed: always for a preview.
        dry_run: bool,
        /// The inputs and the SHA-256 of those that were read whole.
        inputs: Vec<Input>,
    },
    /// Hosts with one outcome.
    Group {
        /// Stable over runs.
        id: String,
        /// What they have in common.
        outcome: Outcome,
        /// How many.
        hosts: usize,
        /// Their variants.
        variants: Vec<VariantLine>,
    },
    /// One host.
    Host {
        /// Its name.
        name: String,
        /// Its group's id.
        group: String,
        /// Its variant's id.
        variant: String,
        /// Its verdict.
        verdict: Verdict,
        /// How old its facts are, in seconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        age: Option<u64>,
        /// `stale`, `twice`, `unnamed`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        flags: Vec<String>,
        /// The value of the variable by which hosts are spread.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// The place of its damage.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The last one.
    Summary {
        /// Hosts in all.
        hosts: usize,
        /// Hosts of the inventory, where one was given.
        inventory: Option<usize>,
        /// Hosts of each verdict that occurs.
        counts: BTreeMap<String, usize>,
        /// True; a file without it was cut.
        complete: bool,
        /// Whether nothing was changed.
        dry_run: bool,
    },
}

/// A file or directory that was read. JSON: `{"path": "web.json", "sha256": "…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Input {
    /// The path as it was given.
    pub path: String,
    /// The SHA-256 of its content; null for what is streamed.
    pub sha256: Option<String>,
}

/// A variant. JSON: `{"id": "…", "detail": "…", "hosts": 3}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VariantLine {
    /// Stable over runs.
    pub id: String,
    /// Settings before and after and the paths that change.
    pub detail: String,
    /// How many hosts.
    pub hosts: usize,
}

/// Writes a fleet.
///
/// # Errors
/// Those of writing.
pub fn write_lines(
    out: &mut dyn Write,
    fleet: &Fleet,
    dry_run: bool,
    inputs: Vec<Input>,
    now: u64,
) -> io::Result<()> {
    let mut put = |line: &Line| -> io::Result<()> {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    };
    put(&Line::Header {
        format: FORMAT.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        dry_run,
        inputs,
    })?;
    for group in &fleet.groups {
        let variants = group.variants.iter().map(|variant| VariantLine {
            id: variant.id.clone(),
            detail: variant.detail.clone(),
            hosts: variant.count,
        });
        put(&Line::Group {
            id: group.id.clone(),
            outcome: group.outcome.clone(),
            hosts: group.count,
            variants: variants.collect(),
        })?;
    }
    for host in &fleet.hosts {
        let flags =
            [(host.flags.stale, "stale"), (host.flags.twice, "twice"), (host.flags.unnamed, "unnamed")];
        put(&Line::Host {
            name: host.name.to_string(),
            group: fleet.group_of(host).id.clone(),
            variant: fleet.variant_of(host).id.clone(),
            verdict: fleet.group_of(host).outcome.verdict,
            age: host.time.map(|time| now.saturating_sub(time)),
            flags: flags.iter().filter(|(set, _)| *set).map(|(_, word)| (*word).to_owned()).collect(),
            by: host.by.as_deref().map(str::to_owned),
            note: host.note.as_deref().map(str::to_owned),
        })?;
    }
    put(&Line::Summary {
        hosts: fleet.hosts.len(),
        inventory: fleet.inventory,
        counts: Verdict::ALL
            .into_iter()
            .map(|verdict| (verdict.word().to_owned(), fleet.count(verdict)))
            .filter(|(_, count)| *count > 0)
            .collect(),
        complete: true,
        dry_run,
    })
}

/// What an earlier file says of each host.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// The verdict and the group of each host.
    pub hosts: BTreeMap<String, (Verdict, String)>,
    /// The ids of its groups.
    pub groups: Vec<String>,
}

/// Reads what [`write_lines`] wrote.
///
/// # Errors
/// Another major number, a line that is none of these, a file that was cut.
pub fn read_lines(reader: impl BufRead) -> Result<Earlier, String> {
    let mut earlier = Earlier::default();
    let mut complete = false;
    for (index, line) in reader.lines().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        if line.trim().is_empty() {
            continue;
        }
        let parsed: Line =
            serde_json::from_str(&line).map_err(|error| format!("line {}: {error}", index + 1))?;
        match parsed {
            Line::Header { format, .. } => {
                if format.split('.').next() != FORMAT.split('.').next() {
                    return Err(format!("it is of format {format}, and this program reads 1.x"));
                }
            }
            Line::Group { id, .. } => earlier.groups.push(id),
            Line::Host { name, group, verdict, .. } => {
                earlier.hosts.insert(name, (verdict, group));
            }
            Line::Summary { complete: whole, .. } => complete = whole,
        }
    }
    if !complete {
        return Err("it has no summary: it was cut".to_owned());
    }
    Ok(earlier)
}
