//! The server that a change is brought into, as plain data: it is kept in the journal, so that a later run can give the
//! old server back.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::distro::Site;
use crate::httpd::Mpm;
use crate::httpd::binary::Httpd;
use crate::params::Health;
use crate::report::Need;

/// A server that may be running, how to reach it, and its desired state after a change.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Server {
    /// How httpd is called.
    pub httpd: Httpd,
    /// The name of the instance, if it is not the main one.
    pub instance: Option<String>,
    /// The distribution's ID, as the site has it.
    pub distribution: String,
    /// The addresses of `Listen` before the change.
    pub listen_before: Vec<String>,
    /// The addresses of `Listen` after the change.
    pub listen_after: Vec<String>,
    /// The MPM before the change.
    pub mpm_before: Option<Mpm>,
    /// The MPM after the change.
    pub mpm_after: Option<Mpm>,
    /// The main server's error log.
    pub error_log: Option<PathBuf>,
    /// Whether mod_status may tell the generation.
    #[serde(default)]
    pub has_status: bool,
    /// What to ask the server after the change. Not part of an undo.
    #[serde(skip)]
    pub health: Option<Health>,
    /// What it takes to bring the change in.
    pub need: Need,
}

impl Server {
    /// Returns a server of a site; the rest is filled in by the caller.
    pub fn new(httpd: Httpd, site: &Site, need: Need) -> Self {
        Self {
            httpd,
            instance: site.instance.clone(),
            distribution: site.distribution.clone(),
            listen_before: Vec::new(),
            listen_after: Vec::new(),
            mpm_before: None,
            mpm_after: None,
            error_log: None,
            has_status: false,
            health: None,
            need,
        }
    }
}
