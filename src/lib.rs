//! Apache httpd performance settings that are right on every host.
//!
//! Data flows one way:
//!
//! ```text
//! parameters ─┐                       ┌─> preview: stage, real config test, diff          (check mode ends here)
//! host facts ─┼─> desired ─> rules ─> plan
//! httpd's own ┘   (capacity)          └─> apply: lock, recover, journal, swap, activate, verify ─> report
//! configuration
//! ```
//!
//! Everything up to and including [`plan`] is pure: plain data in, plain data out, no clock, no process, and
//! files only through the [`tree::Files`] view it is handed. [`facts::gather`] reads the host, [`preview`],
//! [`sandbox`] and [`apply`] start processes or change the host; nothing else touches the world. Check mode is the branch that
//! never calls [`apply`].
//!
//! The modules, in reading order:

pub mod ansible;
pub mod cli;

pub mod parameters;
pub mod params;
pub mod report;
#[cfg(feature = "schema")]
pub mod schema;
pub mod units;
pub mod url;

pub mod clock;
pub mod distro;
pub mod facts;
pub mod feature;
pub mod fleet;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod house;
pub mod httpd;
pub mod modules;
pub mod state_dir;
pub mod stored;
pub mod tree;

pub mod access_log;
pub mod capacity;
pub mod features;
pub mod operate;
pub mod plan;
pub mod registry;
pub mod rules;

pub mod apply;
pub mod preview;
pub mod sandbox;
pub mod signals;
