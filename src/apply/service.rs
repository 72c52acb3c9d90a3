//! Bringing a change into the running server, and knowing that it serves.
//!
//! A change of the MPM kills the server at its next reload, whoever asks for that (a rotation of logs, a renewed
//! certificate). So a change that needs a stop and start gets it here, at once, and is taken back where the server
//! does not come up with it.

use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::Process;
use super::server::{Manager, Server};
use crate::clock::now;
use crate::distro::{self, Site};
use crate::facts::disk::Disk as View;
use crate::facts::{Running, process, systemd};
use crate::httpd::Mpm;
use crate::httpd::binary::Httpd;
use crate::params::Health;
use crate::report::Need;
use crate::sandbox;
use crate::tree::Files;
use rustix::process::Signal;

/// How long a service command may take. systemd itself gives up after 90 s.
const COMMAND: Duration = Duration::from_secs(120);

/// How long the server may take until it answers after its start was accepted.
const COMES_UP: Duration = Duration::from_secs(30);

/// How long the old parent may take to go: it waits for its children for some seconds before it kills them.
const GOES: Duration = Duration::from_secs(60);

/// How long one question to the server may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How long to sleep between two looks. Every look costs little beside what the server does meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// Lines kept of each log.
const LAST_LINES: usize = 10;

/// A server found running, and how it is to be told things.
pub(super) struct Live<'a> {
    server: &'a Server,
    site: Site,
    view: View,
    manager: Manager,
    was: Running,
    /// Length of the error log when it was found.
    log_length: u64,
    /// When it was found, in seconds since the epoch.
    since: u64,
}

/// Finds the running server; `None` where none runs, and nothing is to be done.
pub(super) fn find_live(server: &Server) -> Option<Live<'_>> {
    let (view, site) = site_of(server)?;
    let was = process::running(&view, &site)?;
    let manager = manager(&view, &site, was.parent);
    let log = server.error_log.as_deref();
    let log_length = log.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |meta| meta.len());
    Some(Live { server, site, view, manager, was, log_length, since: now() })
}

/// Returns the view of the host and the site of a server.
fn site_of(server: &Server) -> Option<(View, Site)> {
    let view = View::new(&server.httpd.root);
    let distribution = Some(server.distribution.as_str()).filter(|id| !id.is_empty());
    let site = distro::detect(&view, distribution, None, server.instance.as_deref()).ok()?;
    Some((view, site))
}

/// Makes sure that the server runs with the files as they are again after an interrupted change: `was` is the
/// parent that ran before it.
///
/// # Errors
/// What it said when it did not come up.
pub(super) fn set_right(server: &Server, was: u32) -> Result<(), String> {
    let (view, site) = site_of(server).ok_or("the server's configuration is not found any more")?;
    match process::running(&view, &site) {
        // Never stopped, and it can only have been asked to reload what is gone again.
        Some(now) if now.parent == was => match find_live(server) {
            Some(live) if live.need() == Need::Reload => {
                live.reload(&server.listen_before, server.mpm_before)
            }
            _ => Ok(()),
        },
        _ => {
            let manager =
                if systemd::booted(&view) { Manager::Systemd(site.unit()) } else { plain(&view, &site) };
            let was = Running { parent: was, ..Running::default() };
            let live = Live { server, site, view, manager, was, log_length: 0, since: now() };
            live.restart(&server.listen_before, server.mpm_before)
        }
    }
}

/// Finds what started the process that runs: a server started by hand on a systemd host is not systemd's.
fn manager(view: &dyn Files, site: &Site, parent: u32) -> Manager {
    if systemd::booted(view) {
        let unit = format!("/{}.service", site.unit());
        let groups = view.read(Path::new(&format!("/proc/{parent}/cgroup"))).unwrap_or_default();
        let in_unit = String::from_utf8_lossy(&groups).lines().any(|line| line.ends_with(&unit));
        return if in_unit { Manager::Systemd(site.unit()) } else { Manager::Apachectl };
    }
    plain(view, site)
}

/// Finds what starts services on a host without systemd.
fn plain(view: &dyn Files, site: &Site) -> Manager {
    let script = Path::new("/etc/init.d").join(site.layout.unit);
    if view.is_dir(Path::new("/run/openrc")) && view.is_file(&script) {
        let name = match &site.instance {
            Some(name) => format!("{}.{name}", site.layout.unit),
            None => site.layout.unit.to_owned(),
        };
        return Manager::OpenRc(name);
    }
    Manager::Apachectl
}

impl Live<'_> {
    /// Returns the parent process that was found.
    pub(super) fn parent(&self) -> u32 {
        self.was.parent
    }

    /// Returns what it takes: a reload would end a server that runs with another MPM than is configured, whoever
    /// configured that.
    fn need(&self) -> Need {
        let server = self.server;
        let other = self.was.mpm.is_some() && server.mpm_after.is_some() && self.was.mpm != server.mpm_after;
        if other && server.need == Need::Reload { Need::Restart } else { server.need }
    }

    /// Brings the changed files into the server and sees that it serves with them.
    ///
    /// # Errors
    /// What the server, the service manager and the log said.
    pub(super) fn activate(&self) -> Result<(), String> {
        let server = self.server;
        match self.need() {
            Need::None => return Ok(()),
            Need::Reload => self.reload(&server.listen_after, server.mpm_after),
            Need::Restart => self.restart(&server.listen_after, server.mpm_after),
        }?;
        server.health.as_ref().map_or(Ok(()), |health| healthy(health).map_err(|why| self.with_log(why)))
    }

    /// Brings the files as they were back into the server, after [`Self::activate`] failed.
    ///
    /// # Errors
    /// What the server, the service manager and the log said.
    pub(super) fn bring_back(&self) -> Result<(), String> {
        let server = self.server;
        let runs = process::running(&self.view, &self.site).is_some_and(|now| now.parent == self.was.parent);
        if runs && self.need() == Need::Reload {
            return self.reload(&server.listen_before, server.mpm_before);
        }
        if runs {
            // It was not even stopped.
            return Ok(());
        }
        self.restart(&server.listen_before, server.mpm_before)
    }

    /// Stops the server and starts it.
    fn restart(&self, listen: &[String], mpm: Option<Mpm>) -> Result<(), String> {
        let running = process::running(&self.view, &self.site).map(|running| running.parent);
        match &self.manager {
            Manager::Systemd(unit) => {
                let unit = format!("{unit}.service");
                // A unit that failed several times in a row is otherwise not started any more. Not failed: no harm.
                let _ = self.command("systemctl", &["--no-ask-password", "reset-failed", &unit]);
                self.command("systemctl", &["--no-ask-password", "restart", &unit])?;
            }
            Manager::OpenRc(service) => self.command("rc-service", &[service, "restart"])?,
            Manager::Apachectl => {
                self.stop_parents()?;
                self.start()?;
            }
        }
        self.serves(running, listen, mpm)
    }

    /// Has the server read its files again. The caller has tested them.
    fn reload(&self, listen: &[String], mpm: Option<Mpm>) -> Result<(), String> {
        let now = process::running(&self.view, &self.site).ok_or("the server is gone")?;
        let children = process::children(&self.view, &now);
        match &self.manager {
            Manager::Systemd(unit) => {
                self.command("systemctl", &["--no-ask-password", "reload", &format!("{unit}.service")])?;
            }
            Manager::OpenRc(service) => self.command("rc-service", &[service, "reload"])?,
            Manager::Apachectl => self.signal(now.parent, Signal::USR1).map(drop)?,
        }
        // The signal is only sent then. A parent that takes the files up starts new children; one that cannot ends.
        let end = Instant::now() + ANSWER;
        while Instant::now() < end {
            let Some(now) = process::running(&self.view, &self.site) else { break };
            if process::children(&self.view, &now).iter().any(|child| !children.contains(child)) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        self.serves(None, listen, mpm)
    }

    /// Waits until a parent other than `not` is up, has the MPM mapped, and one of the addresses answers.
    fn serves(&self, not: Option<u32>, listen: &[String], mpm: Option<Mpm>) -> Result<(), String> {
        let end = Instant::now() + COMES_UP;
        let mut why = String::new();
        loop {
            match process::running(&self.view, &self.site) {
                None => "the server does not run".clone_into(&mut why),
                Some(now) if Some(now.parent) == not => "the old server runs still".clone_into(&mut why),
                Some(now) if mpm.is_some() && now.mpm.is_some() && now.mpm != mpm => {
                    why = format!("the server runs with {}", now.mpm.map_or("none", Mpm::name));
                }
                Some(_) => match answers(listen) {
                    Ok(()) => return Ok(()),
                    Err(error) => why = error,
                },
            }
            if Instant::now() >= end {
                return Err(self.with_log(format!("{why} after {} s", COMES_UP.as_secs())));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Ends every parent of the site, also one that does not listen yet: an interrupted run may have started it.
    fn stop_parents(&self) -> Result<(), String> {
        // One that a script is still starting shows up later than the first look.
        let end = Instant::now() + GOES;
        while let Some(parent) = process::parents(&self.view, &self.site).first().copied() {
            if let Some(process) = self.signal(parent, Signal::TERM)? {
                process.wait_until_gone(GOES).map_err(|why| self.with_log(why))?;
            }
            if Instant::now() >= end {
                return Err(
                    self.with_log(format!("servers are started again and again for {} s", GOES.as_secs()))
                );
            }
        }
        Ok(())
    }

    /// Sends a signal to a parent of the site; `None` where that process is none any more. httpd's own `-k` would take
    /// the number from a file that may be stale, and `-k graceful` starts a server that was stopped.
    fn signal(&self, parent: u32, signal: Signal) -> Result<Option<Process>, String> {
        let Some(process) = Process::hold(parent) else { return Ok(None) };
        // Held before this look: the number cannot go to another process between the two.
        if !process::parents(&self.view, &self.site).contains(&parent) {
            return Ok(None);
        }
        process.send(signal).map_err(|why| self.with_log(why))?;
        Ok(Some(process))
    }

    /// Starts the server without a service manager.
    fn start(&self) -> Result<(), String> {
        let httpd = &self.server.httpd;
        let (program, arguments) = start_command(&self.view, &self.site, httpd);
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(httpd.full_environment());
        self.run(&mut command)
    }

    /// Runs a program of the system.
    fn command(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let program = self.program(name).ok_or_else(|| format!("`{name}` is not found"))?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(self.server.httpd.full_environment());
        self.run(&mut command)
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let mut paths = dirs.iter().map(|dir| Path::new(dir).join(name));
        paths.find(|path| self.view.is_file(path))
    }

    fn run(&self, command: &mut Command) -> Result<(), String> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        let run = sandbox::run(command, b"", COMMAND).map_err(|error| format!("`{words}`: {error}"))?;
        if run.code == Some(0) {
            return Ok(());
        }
        let output = last_lines(&run.output);
        let ended = run
            .ended
            .map_or_else(|| format!("exit code {}", run.code.unwrap_or(-1)), |why| why.trim().to_owned());
        Err(self.with_log(format!("`{words}`: {ended}: {output}")))
    }

    /// Returns the last lines about the unit in systemd's journal since the server was found: what a start says before
    /// there is a log to write to stands only there.
    fn journal(&self) -> Option<String> {
        let Manager::Systemd(unit) = &self.manager else { return None };
        let program = self.program("journalctl")?;
        // What was said last may not be there yet. Before systemd 228 there is no asking for that.
        let mut sync = Command::new(&program);
        sync.arg("--sync").env_clear().envs(self.server.httpd.full_environment());
        let _ = sandbox::run(&mut sync, b"", ANSWER);
        let mut command = Command::new(program);
        // All lines since then: with `--lines` beside `--since`, some releases give the first ones.
        command.args(["--no-pager", "--quiet", "--output=cat"]);
        command.args([format!("--unit={unit}.service"), format!("--since=@{}", self.since)]);
        command.env_clear().envs(self.server.httpd.full_environment());
        let run = sandbox::run(&mut command, b"", ANSWER).ok().filter(|run| run.code == Some(0))?;
        Some(last_lines(&run.output)).filter(|lines| !lines.is_empty())
    }

    /// Adds the last lines that the server wrote to systemd's journal and to its log since it was found.
    fn with_log(&self, mut why: String) -> String {
        if let Some(lines) = self.journal() {
            why = format!("{why}; journal: {lines}");
        }
        let Some(path) = &self.server.error_log else { return why };
        let read = || -> std::io::Result<String> {
            let mut file = std::fs::File::open(path)?;
            let length = file.metadata()?.len();
            // A shorter one was rotated meanwhile.
            let from = if length < self.log_length { 0 } else { self.log_length };
            file.seek(SeekFrom::Start(from.max(length.saturating_sub(1 << 16))))?;
            let mut text = Vec::new();
            file.take(1 << 16).read_to_end(&mut text)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        match read() {
            Ok(text) if !text.trim().is_empty() => {
                format!("{why}; {}: {}", path.display(), last_lines(&text))
            }
            _ => why,
        }
    }
}

/// Returns the program and the arguments that start the server: the family's own script, which sets limits and makes
/// directories. Of another instance the script knows nothing; then it is the binary itself.
fn start_command<'a>(view: &dyn Files, site: &'a Site, httpd: &'a Httpd) -> (&'a Path, Vec<&'a str>) {
    match site.layout.control {
        [script, words @ ..] if site.instance.is_none() && view.is_file(Path::new(script)) => {
            (Path::new(script), words.iter().copied().chain(["start"]).collect())
        }
        _ => {
            let arguments = httpd.arguments.iter().map(String::as_str);
            (&httpd.binary, arguments.chain(["-k", "start"]).collect())
        }
    }
}

/// Tells whether something on one of the addresses of `Listen` answers a request, whatever the answer.
fn answers(listen: &[String]) -> Result<(), String> {
    let mut why = String::new();
    let addresses: Vec<SocketAddr> = listen.iter().filter_map(|text| listen_address(text)).collect();
    if addresses.is_empty() {
        return Ok(());
    }
    for address in addresses {
        match ask(address, "OPTIONS * HTTP/1.0\r\n\r\n") {
            Ok(answer) if !answer.is_empty() => return Ok(()),
            Ok(_) => why = format!("{address} closed the connection without an answer"),
            Err(error) => why = format!("{address} does not answer: {error}"),
        }
    }
    Err(why)
}

/// Returns where to reach what `Listen` says: `80`, `192.0.2.1:80`, `[::]:443 https`.
fn listen_address(text: &str) -> Option<SocketAddr> {
    let text = text.split_whitespace().next()?;
    if let Ok(port) = text.parse() {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok()?;
    if host == "*" {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Ok(address) => address,
        Err(_) => (host, port).to_socket_addrs().ok()?.next()?.ip(),
    };
    Some(SocketAddr::new(address, port))
}

/// Sends a request and returns the beginning of the answer.
fn ask(address: SocketAddr, request: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![0; 512];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// Asks the health address until it answers with the wanted status or its time is over.
fn healthy(health: &Health) -> Result<(), String> {
    let (address, request) = health_request(&health.url)?;
    let end = Instant::now() + Duration::from_secs(health.timeout);
    loop {
        let mut again = Duration::from_millis(100);
        let why = match ask(address, &request) {
            Ok(answer) => {
                // mod_evasive takes two questions a second from one address, and blocks for longer what goes on asking.
                again = Duration::from_secs(1);
                let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
                let status = line.split_whitespace().nth(1).and_then(|word| word.parse::<u16>().ok());
                if status == Some(health.status) {
                    return Ok(());
                }
                format!("answers `{line}` instead of status {}", health.status)
            }
            Err(error) => format!("does not answer: {error}"),
        };
        if Instant::now() >= end {
            return Err(format!("{} {why} after {} s", health.url, health.timeout));
        }
        std::thread::sleep(again);
    }
}

/// Returns whom to ask what for a health address. It is a question to this host: a name that is no address is sent
/// as the `Host` and asked on the loopback address, wherever the name leads by now.
fn health_request(url: &str) -> Result<(SocketAddr, String), String> {
    let wrong = || format!("`{url}` is not an address of the form http://HOST[:PORT]/PATH");
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err(wrong());
    }
    let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (authority, 80),
    };
    if host.is_empty() || host.contains('@') {
        return Err(wrong());
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse::<IpAddr>().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: apache-tuning\r\nConnection: close\r\n\r\n"
    );
    Ok((SocketAddr::new(ip, port), request))
}

/// Returns the last lines of a text, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn a_server_is_started_by_its_own_familys_script() {
        // All of them are there: what counts is the family.
        let scripts = [
            "/usr/sbin/apache2ctl",
            "/usr/sbin/apachectl",
            "/usr/bin/apachectl",
            "/usr/local/sbin/apachectl",
            "/usr/sbin/start_apache2",
        ];
        let all = scripts.iter().fold(Memory::default(), |files, path| files.file(path, ""));
        let none = Memory::default();
        for (family, start) in [
            ("debian", "/usr/sbin/apache2ctl start"),
            ("redhat", "/sbin/own -D X -k start"),
            ("suse", "/usr/sbin/start_apache2 -k start"),
            ("arch", "/usr/bin/apachectl start"),
            ("alpine", "/usr/sbin/apachectl start"),
            ("freebsd", "/usr/local/sbin/apachectl start"),
            ("gentoo", "/usr/sbin/apache2ctl start"),
        ] {
            let layout = distro::LAYOUTS.iter().find(|layout| layout.name == family).unwrap();
            let httpd = Httpd {
                root: "/".into(),
                binary: "/sbin/own".into(),
                arguments: vec!["-D".to_owned(), "X".to_owned()],
                environment: std::collections::BTreeMap::new(),
                timeout: crate::httpd::binary::TIMEOUT,
                helper: None,
            };
            let told = |view: &dyn Files, instance: Option<&str>| {
                let site = Site {
                    layout,
                    instance: instance.map(str::to_owned),
                    config_dir: layout.config_dir.into(),
                    server_root: layout.server_root.into(),
                    distribution: String::new(),
                    distribution_version: String::new(),
                };
                let (program, arguments) = start_command(view, &site, &httpd);
                format!("{} {}", program.display(), arguments.join(" "))
            };
            assert_eq!(told(&all, None), start, "{family}");
            assert_eq!(told(&all, Some("blue")), "/sbin/own -D X -k start", "{family}");
            assert_eq!(told(&none, None), "/sbin/own -D X -k start", "{family}");
        }
    }

    #[test]
    fn every_form_of_listen_is_reached_on_this_host() {
        for (text, address) in [
            ("80", Some("127.0.0.1:80")),
            ("443 https", Some("127.0.0.1:443")),
            ("*:8080", Some("127.0.0.1:8080")),
            ("0.0.0.0:80", Some("127.0.0.1:80")),
            ("[::]:80", Some("[::1]:80")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("192.0.2.7:81 http", Some("192.0.2.7:81")),
            ("", None),
            ("70000", None),
            ("x", None),
        ] {
            assert_eq!(listen_address(text), address.map(|address| address.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_health_address_is_asked_on_this_host_under_its_own_name() {
        for (url, address, request) in [
            ("http://localhost/up", "127.0.0.1:80", "GET /up HTTP/1.1\r\nHost: localhost\r\n"),
            (
                "http://www.example.test:8080",
                "127.0.0.1:8080",
                "GET / HTTP/1.1\r\nHost: www.example.test:8080\r\n",
            ),
            ("http://[::1]:81/a?b", "[::1]:81", "GET /a?b HTTP/1.1\r\nHost: [::1]:81\r\n"),
            ("http://[::1]", "[::1]:80", "GET / HTTP/1.1\r\nHost: [::1]\r\n"),
            ("http://127.0.0.2?x", "127.0.0.2:80", "GET /?x HTTP/1.1\r\n"),
        ] {
            let (found, text) = health_request(url).unwrap();
            assert_eq!(found, address.parse().unwrap(), "{url}");
            assert!(text.starts_with(request) && text.ends_with("\r\n\r\n"), "{url}: {text}");
        }
        for url in [
            "https://localhost/",
            "http://",
            "http:///x",
            "http://a:b/",
            "http://u@h/",
            "http://h/ x",
            "http://h/\r\nX: y",
        ] {
            assert!(health_request(url).is_err(), "{url}");
        }
    }

    #[test]
    fn only_the_last_lines_of_a_log_are_told() {
        let text: String = (0..30).map(|n| format!("line {n}\n")).collect::<Vec<_>>().join("\n");
        let told = last_lines(&text);
        assert!(told.starts_with("line 20 | ") && told.ends_with("line 29"), "{told}");
    }
}
