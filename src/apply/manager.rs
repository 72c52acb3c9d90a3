//! Who starts and stops the server, and who must not be taken by surprise by a stop.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::distro::Site;
use crate::facts::{Running, process, systemd};
use crate::tree::Files;

/// What starts and stops the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Manager {
    /// `systemctl`, with the unit's name.
    Systemd(String),
    /// `rc-service`, with the service's name.
    OpenRc(String),
    /// `apachectl` or the binary's own `-k`.
    Apachectl,
    /// A process that keeps the server in its foreground and starts it again by itself, or a container that ends with
    /// it. Nothing stops and starts such a server from here.
    Foreground,
}

/// Who keeps a server in the foreground, so that it must not be stopped from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: it is the first process of its container, which ends with it.
    Container,
    /// The process that started it and may start it again, with its name and id in words.
    Process(String),
}

impl Holder {
    /// Returns why the server is not stopped.
    pub fn why(&self) -> String {
        match self {
            Self::Container => {
                "httpd is process 1: a stop would end its container and this run with it".to_owned()
            }
            Self::Process(name) => format!(
                "httpd runs in the foreground of {name}, which would take a stop for its end and know nothing of a \
                 server that is started from here"
            ),
        }
    }

    /// Returns what brings a change in that takes a stop and start.
    pub fn way_out(&self) -> String {
        match self {
            Self::Container => "restart the container".to_owned(),
            Self::Process(name) => format!("have {name} restart httpd"),
        }
    }
}

/// Finds who keeps the running server in the foreground; `None` where it may be stopped and started, by its service
/// manager or as a daemon of nobody.
pub fn holder(view: &dyn Files, site: &Site, running: &Running) -> Option<Holder> {
    if of_running(view, site, running) != Manager::Foreground {
        return None;
    }
    if running.parent == 1 {
        return Some(Holder::Container);
    }
    let above = process::started_by(view, running.parent);
    let name = above.and_then(|pid| Some(format!("{} (process {pid})", process::name(view, pid)?)));
    Some(Holder::Process(name.unwrap_or_else(|| "a process outside this container".to_owned())))
}

/// Finds what started the process that runs: a server started by hand on a systemd host is not systemd's.
pub(super) fn of_running(view: &dyn Files, site: &Site, running: &Running) -> Manager {
    // Whatever else is on the host: process 1 is nobody's to start again.
    if running.parent == 1 {
        return Manager::Foreground;
    }
    let daemon = if running.foreground { Manager::Foreground } else { Manager::Apachectl };
    if systemd::booted(view) {
        let unit = format!("/{}.service", site.unit());
        let groups = view.read(Path::new(&format!("/proc/{}/cgroup", running.parent))).unwrap_or_default();
        let in_unit = String::from_utf8_lossy(&groups).lines().any(|line| line.ends_with(&unit));
        return if in_unit { Manager::Systemd(site.unit()) } else { daemon };
    }
    openrc(view, site).unwrap_or(daemon)
}

/// Finds what starts a server that does not run.
pub(super) fn of_stopped(view: &dyn Files, site: &Site) -> Manager {
    if systemd::booted(view) {
        return Manager::Systemd(site.unit());
    }
    openrc(view, site).unwrap_or(Manager::Apachectl)
}

/// Finds `OpenRC`'s service on a host that it has booted.
fn openrc(view: &dyn Files, site: &Site) -> Option<Manager> {
    let script = Path::new("/etc/init.d").join(site.layout.unit);
    if !view.is_dir(Path::new("/run/openrc")) || !view.is_file(&script) {
        return None;
    }
    Some(Manager::OpenRc(match &site.instance {
        Some(name) => format!("{}.{name}", site.layout.unit),
        None => site.layout.unit.to_owned(),
    }))
}
