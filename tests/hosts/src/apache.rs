//! The real Apache of a host: its own answers about its configuration, and the running server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::host::{Host, Ran};

/// How long a server may take until it answers, or until it is gone.
const PATIENCE: Duration = Duration::from_secs(20);

impl Host {
    /// Runs the real config test, `apache2ctl -t`.
    #[track_caller]
    pub fn apache_t(&self) -> Ran {
        self.run(&["apache2ctl", "-t"])
    }

    /// Returns the names of the loaded modules, sorted, as `apache2ctl -M` tells them (`mpm_event_module`).
    ///
    /// # Panics
    /// Where the configuration is broken.
    #[track_caller]
    pub fn modules(&self) -> Vec<String> {
        let ran = self.run(&["apache2ctl", "-M"]);
        let mut names: Vec<String> = ran
            .ok()
            .lines()
            .filter(|line| line.ends_with(')'))
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// Asks Debian's `a2query`.
    #[track_caller]
    pub fn a2query(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["a2query"], arguments].concat())
    }

    /// Runs httpd itself, without `apache2ctl`'s way round, with the variables of `envvars`.
    #[track_caller]
    pub fn apache2(&self, arguments: &[&str]) -> Ran {
        let line = r#". /etc/apache2/envvars && exec /usr/sbin/apache2 "$@""#;
        self.run(&[&["sh", "-c", line, "apache2"], arguments].concat())
    }

    /// Returns the configuration as httpd has read it: `-D DUMP_CONFIG`, for which `mod_info` is loaded.
    ///
    /// # Panics
    /// Where the configuration is broken.
    #[track_caller]
    pub fn config_dump(&self) -> String {
        let load = "LoadModule info_module /usr/lib/apache2/modules/mod_info.so";
        self.apache2(&["-C", load, "-t", "-D", "DUMP_CONFIG"]).ok().to_owned()
    }

    /// Returns what `-D DUMP_INCLUDES` prints: the configuration files httpd has read, with the including line.
    ///
    /// # Panics
    /// Where the configuration is broken.
    #[track_caller]
    pub fn dump_includes(&self) -> String {
        self.apache2(&["-t", "-D", "DUMP_INCLUDES"]).ok().to_owned()
    }

    /// Starts the server with `apache2ctl start` and waits until it answers on port 80 of the host's own network.
    ///
    /// It ends with the host at the latest, also when the test panics or is killed.
    ///
    /// # Panics
    /// Where it does not come up.
    #[track_caller]
    pub fn start_apache(&self) {
        self.run(&["apache2ctl", "start"]).ok();
        let until = Instant::now() + PATIENCE;
        loop {
            match self.http("/") {
                Ok(_) => return,
                Err(error) if Instant::now() > until => {
                    let log = std::fs::read_to_string(self.path("/var/log/apache2/error.log"));
                    panic!("Apache does not answer: {error:#}; its log: {}", log.unwrap_or_default());
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Stops the server with `apache2ctl stop` and waits until its parent process is gone.
    ///
    /// # Panics
    /// Where it does not go.
    #[track_caller]
    pub fn stop_apache(&self) {
        self.run(&["apache2ctl", "stop"]).ok();
        let until = Instant::now() + PATIENCE;
        while !self.apache_processes().is_empty() {
            assert!(Instant::now() < until, "Apache does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Returns the process ids, as the host numbers them, of all that runs `/usr/sbin/apache2` there.
    #[track_caller]
    pub fn apache_processes(&self) -> Vec<u32> {
        let line = r#"for exe in /proc/[0-9]*/exe; do
            [ "$(readlink "$exe")" = /usr/sbin/apache2 ] && echo "${exe#/proc/}"
        done; true"#;
        let ran = self.sh(line);
        ran.ok().lines().filter_map(|line| line.trim_end_matches("/exe").parse().ok()).collect()
    }

    /// Asks the server of the host for `path`; returns the status code and the whole answer.
    ///
    /// # Errors
    /// Where nothing answers, or not in HTTP.
    pub fn http(&self, path: &str) -> Result<(u16, String)> {
        self.on_network(|| {
            let mut stream =
                TcpStream::connect((Ipv4Addr::LOCALHOST, 80)).context("connecting to port 80")?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: web.example.test\r\nConnection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let status = answer.split_whitespace().nth(1).and_then(|word| word.parse().ok());
            match status {
                Some(status) if answer.starts_with("HTTP/1.") => Ok((status, answer)),
                _ => bail!("not an answer in HTTP: {answer:?}"),
            }
        })
    }

    /// Returns the MPM of the running server, as its parent process has it mapped: `event`.
    #[track_caller]
    pub fn running_mpm(&self) -> Option<String> {
        let parent = self.apache_processes().into_iter().min()?;
        let maps = self.run(&["cat", &format!("/proc/{parent}/maps")]).stdout;
        let name = maps.lines().find_map(|line| line.split_once("/mod_mpm_"))?.1;
        Some(name.trim_end_matches(".so").to_owned())
    }
}
