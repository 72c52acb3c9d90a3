//! Persistent connections of the main server.

use std::fmt::Write as _;

use super::blocks::argument;
use crate::params::KeepAlive;

/// The name of this feature's block.
pub const BLOCK: &str = "keepalive";

/// Returns the directives that are asked for, by canonical name, with their value as httpd shall read it.
pub fn wanted(keepalive: &KeepAlive) -> Vec<(&'static str, String)> {
    let flag = |on: bool| if on { "On" } else { "Off" }.to_owned();
    [
        ("KeepAlive", keepalive.enabled.map(flag)),
        ("KeepAliveTimeout", keepalive.timeout.clone()),
        ("MaxKeepAliveRequests", keepalive.max_requests.map(|value| value.to_string())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// Returns the lines that set them.
pub fn body(keepalive: &KeepAlive) -> String {
    let mut text = String::new();
    for (name, value) in wanted(keepalive) {
        let _ = writeln!(text, "{name:<24} {}", argument(&value));
    }
    text
}
