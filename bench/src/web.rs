//! A Debian host with its packaged Apache, changed by the program itself; gone with its value.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use apache_tuning::facts::Running;
use apache_tuning::facts::disk::Disk;
use apache_tuning::facts::process;
use apache_tuning::httpd::Mpm;
use apache_tuning::httpd::core_directives;
use apache_tuning::httpd::normalise::Written;
use serde_json::{Value, json};
use test_hosts::Host;

use crate::load::{Burst, BurstOutcome, Load, Plan};

/// The host, its server running.
pub struct Web {
    host: Host,
    mpm: Mpm,
}

impl Web {
    /// Makes a host whose server runs with Debian's own numbers under `mpm`; `program` is put into it.
    ///
    /// # Panics
    /// Where the host itself does not work.
    pub fn stock(mpm: Mpm, program: &Path) -> Self {
        let host = Host::debian12_event();
        host.install_binary(program);
        // One client with so many questions is what mod_evasive is there to turn away.
        host.sh("a2dismod -q evasive").ok();
        if mpm != Mpm::Event {
            host.sh(&format!("a2dismod -q mpm_event && a2enmod -q mpm_{mpm}")).ok();
        }
        // What the load needs of the server: it keeps its connections longer than visitors do.
        let keep = "KeepAlive On\nKeepAliveTimeout 300\nMaxKeepAliveRequests 0\n";
        host.write("/etc/apache2/conf-enabled/keep.conf", keep);
        host.write("/var/www/html/index.html", "held\n");
        host.start_apache();
        Self { host, mpm }
    }

    /// Lets the program size the running server for so many connections, and returns its answer.
    ///
    /// # Errors
    /// Its refusal, in its own words.
    pub fn size_for(&self, connections: usize) -> Result<Value> {
        self.change(&json!({"mpm": self.mpm, "capacity": {"connections": connections}}))
    }

    /// Lets the program give the running server these numbers, by their keys in `settings`.
    ///
    /// # Errors
    /// Its refusal, in its own words.
    pub fn set(&self, numbers: &[(&str, u64)]) -> Result<Value> {
        let settings: serde_json::Map<String, Value> =
            numbers.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.change(&json!({"mpm": self.mpm, "settings": settings}))
    }

    fn change(&self, wanted: &Value) -> Result<Value> {
        let answer = self.ask(wanted)?;
        if answer["failed"] == json!(true) {
            bail!("{}", answer["msg"].as_str().unwrap_or("no message"));
        }
        if answer["activation"]["done"] != json!(true) {
            bail!("the server did not take the change up: {}", answer["activation"]);
        }
        Ok(answer)
    }

    /// Returns the MPM's numbers that the server uses, as the program reads them.
    ///
    /// # Errors
    /// Where the program gives none.
    pub fn numbers(&self) -> Result<Written> {
        let answer = self.ask(&json!({"_ansible_module_name": "webfleet.apache.tuning_info"}))?;
        let effective = answer["effective"].as_object().context("no effective settings")?;
        let of_mpm = core_directives::mpm_rows();
        Ok(of_mpm
            .filter_map(|row| Some((row.name, effective.get(row.name)?["used"].as_str()?.to_owned())))
            .collect())
    }

    fn ask(&self, parameters: &Value) -> Result<Value> {
        self.host.write("/root/wanted.json", parameters.to_string());
        let ran = self.host.run(&["apache-tuning", "/root/wanted.json"]);
        serde_json::from_str(&ran.stdout)
            .with_context(|| format!("the program answered {:?}", ran.stdout + &ran.stderr))
    }

    /// Opens a load on the host's port 80.
    ///
    /// # Errors
    /// Those of [`Load::open`].
    pub fn load(&self, plan: Plan) -> Result<Load> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
        Ok(self.host.on_network(|| Load::open(address, plan))?)
    }

    /// Sends a burst beside a load of this host.
    ///
    /// # Errors
    /// Those of [`Load::burst`].
    pub fn burst(
        &self,
        load: &mut Load,
        burst: Burst,
        hold: Duration,
        patience: Duration,
    ) -> Result<BurstOutcome> {
        Ok(self.host.on_network(|| load.burst(burst, hold, patience))?)
    }

    /// Returns the server's parent as this machine numbers it.
    ///
    /// # Errors
    /// Where it does not come up within ten seconds: with its error log.
    pub fn running(&self) -> Result<Running> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let all = self.processes()?;
            let is_parent = |pid: &&u32| parent_of(**pid).is_some_and(|parent| !all.contains(&parent));
            if let Some(parent) = all.iter().find(is_parent) {
                return Ok(Running { parent: *parent, mpm: Some(self.mpm), ..Running::default() });
            }
            if Instant::now() > until {
                bail!("apache2 does not run:\n{}", self.host.read("/var/log/apache2/error.log"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the processes of this machine that are the host's `apache2`.
    fn processes(&self) -> Result<Vec<u32>> {
        let root = self.host.root().canonicalize()?;
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            let link =
                |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_else(|_| PathBuf::new());
            if link("root") == root && link("exe").ends_with("usr/sbin/apache2") {
                found.push(pid);
            }
        }
        Ok(found)
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// Returns the threads of a server's parent and all its children.
pub fn threads(running: &Running) -> u64 {
    let children = process::children(&Disk::new(Path::new("/")), running);
    let threads = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    children.into_iter().chain([running.parent]).map(threads).sum::<usize>() as u64
}
