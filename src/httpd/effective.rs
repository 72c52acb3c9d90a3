//! Which value of each managed directive httpd really uses in the main server, and which line set it.

use std::path::PathBuf;

use super::read::Configuration;
use super::{Mpm, Version};

/// The value of one directive in force in the main server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The directive's canonical name.
    pub directive: &'static str,
    /// The value as the winning line has it (variables expanded, quotes off), or httpd's default.
    pub value: String,
    /// The value after httpd's own corrections.
    pub used: String,
    /// The winning line; `None` for a default.
    pub set_at: Option<(PathBuf, u32)>,
}

/// Returns every managed directive that the loaded MPM and modules know, set or default, in table order.
pub fn effective(configuration: &Configuration, mpm: Mpm, version: Version) -> Vec<Value> {
    let _ = (configuration, mpm, version);
    Vec::new()
}
