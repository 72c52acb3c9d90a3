//! Bringing a change into the running server, and knowing that it serves.
//!
//! A change of the MPM kills the server at its next reload, whoever asks for that (a rotation of logs, a renewed
//! certificate). So a change that needs a stop and start gets it here, at once, and is taken back where the server
//! does not come up with it.

use std::cell::Cell;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::answers::{self, Answers};
use super::journal::LiveServer;
use super::manager::{self, Manager};
use super::process::Process;
use super::server::Server;
use super::session::{self, Session};
use super::start_script::{self, start_command};
use crate::clock::now;
use crate::distro::{self, Site};
use crate::facts::disk::Disk as View;
use crate::facts::{Running, health, listen, process, status};
use crate::httpd::Mpm;
use crate::httpd::start::command_line::CommandLine;
use crate::report::{Need, RecoveredServer};
use crate::sandbox;
use crate::signals;
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

/// How long a reload may take until new children show that the parent has taken its files up; one that shows none by
/// then, because every slot is held by a process that finishes, has at least not died of them.
const RELOADS: Duration = Duration::from_secs(10);

/// How long new children are no proof yet where mod_status counts the generations: one may have been due anyway.
const SETTLES: Duration = Duration::from_secs(2);

/// How long to wait before the generation is asked for again: mod_evasive takes two questions a second.
const AGAIN: Duration = Duration::from_secs(1);

/// How long mod_status may take to answer.
const STATUS: Duration = Duration::from_secs(1);

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
    /// Its surroundings.
    session: Session,
    /// Whether its parent was told to end, or to reload and failed at it: then nothing but a start brings it back.
    must_start: Cell<bool>,
    /// Whether what was changed is being taken back: that nobody interrupts.
    goes_back: Cell<bool>,
    /// What it did when it was asked.
    answered: Answers,
    /// Length of the error log when it was found.
    log_length: u64,
    /// When it was found, in seconds since the epoch.
    since: u64,
}

/// Finds the running server; `None` where none runs, and nothing is to be done.
pub(super) fn find_live(server: &Server) -> Option<Live<'_>> {
    let (view, site) = site_of(server)?;
    let was = process::running(&view, &site)?;
    let manager = manager::of_running(&view, &site, &was);
    let log = server.error_log.as_deref();
    let log_length = log.and_then(|path| std::fs::metadata(path).ok()).map_or(0, |meta| meta.len());
    let answered = answers::ask(&listen::reached_at(&server.listen_before), None, ANSWER);
    let session = Session::of(&view, was.parent);
    Some(Live {
        server,
        site,
        view,
        manager,
        was,
        session,
        must_start: Cell::default(),
        goes_back: Cell::default(),
        answered,
        log_length,
        since: now(),
    })
}

/// Returns the view of the host and the site of a server.
fn site_of(server: &Server) -> Option<(View, Site)> {
    let view = View::new(&server.httpd.root);
    let distribution = Some(server.distribution.as_str()).filter(|id| !id.is_empty());
    let mut site = distro::detect(&view, distribution, None, server.instance.as_deref()).ok()?;
    let words = std::iter::once("httpd").chain(server.httpd.arguments.iter().map(String::as_str));
    let options = CommandLine::parse(words.collect::<Vec<_>>().join("\0").as_bytes());
    site.main = options.file.map(|file| site.server_root.join(file)).or(site.main);
    Some((view, site))
}

/// Makes sure that the server that ran before an interrupted change runs with the files as they are again. One that
/// others keep in the foreground is neither stopped nor started.
///
/// # Errors
/// What it said when it did not come up.
pub(super) fn set_right(was: &LiveServer) -> Result<RecoveredServer, String> {
    let server = &was.server;
    let held = was.manager == Some(Manager::Foreground);
    let (view, site) = site_of(server).ok_or("the server's configuration is not found any more")?;
    match process::running(&view, &site) {
        // One that was told to end may be on its way still, and is no server any more.
        Some(now) if was.is(&now) && server.need == Need::Reload => {
            let Some(live) = find_live(server) else { return Err("the server is gone".to_owned()) };
            live.goes_back.set(true);
            if live.reload(&server.listen_before, server.mpm_before).is_ok() {
                return Ok(RecoveredServer::Reloaded);
            }
            // It failed at the files that it was asked to read first.
            live.restart(&server.listen_before, server.mpm_before)?;
            Ok(if held { RecoveredServer::Untouched } else { RecoveredServer::Started })
        }
        runs => {
            // Whoever keeps it there has started it, and would take a stop for its end.
            if runs.as_ref().is_some_and(|now| manager::holder(&view, &site, now).is_some()) {
                return Ok(RecoveredServer::Untouched);
            }
            let manager = match (&was.manager, &runs) {
                (Some(manager), _) => manager.clone(),
                (None, Some(now)) => manager::of_running(&view, &site, now),
                (None, None) => manager::of_stopped(&view, &site),
            };
            let session = was.session.clone();
            let was = Running { parent: was.parent, ..Running::default() };
            // What it did before is not known: that it takes connections must do.
            let answered = Answers::Accepts(String::new());
            let live = Live {
                server,
                site,
                view,
                manager,
                was,
                session,
                must_start: Cell::new(true),
                goes_back: Cell::new(true),
                answered,
                log_length: 0,
                since: now(),
            };
            live.restart(&server.listen_before, server.mpm_before)?;
            Ok(if held { RecoveredServer::Untouched } else { RecoveredServer::Started })
        }
    }
}

impl Live<'_> {
    /// Returns what a later run needs to set it right.
    pub(super) fn remembered(&self) -> LiveServer {
        let server = Server { need: self.need(), ..self.server.clone() };
        let ticks = self.was.identity.as_ref().map(|identity| identity.ticks);
        let manager = Some(self.manager.clone());
        LiveServer { server, parent: self.was.parent, ticks, session: self.session.clone(), manager }
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
            Need::Reload => self.reload(&server.listen_after, server.mpm_after).inspect_err(|_| {
                // A signal says nothing against the server.
                self.must_start.set(signals::seen().is_none());
            }),
            // Refused before anything was written; here only where the server was replaced since.
            Need::Restart if self.manager == Manager::Foreground => {
                Err("it takes a stop and start, and whoever keeps the server in the foreground must do that"
                    .to_owned())
            }
            Need::Restart => self.restart(&server.listen_after, server.mpm_after),
        }?;
        let Some(wanted) = &server.health else { return Ok(()) };
        health::healthy(wanted, Duration::from_secs(wanted.timeout)).map_err(|why| self.with_log(why))
    }

    /// Brings the files as they were back into the server, after [`Self::activate`] failed.
    ///
    /// # Errors
    /// What the server, the service manager and the log said.
    pub(super) fn bring_back(&self) -> Result<(), String> {
        let server = self.server;
        self.goes_back.set(true);
        let runs = process::running(&self.view, &self.site).is_some_and(|now| now.parent == self.was.parent);
        if runs
            && self.need() == Need::Reload
            && (!self.must_start.get() || self.manager == Manager::Foreground)
        {
            // It serves with files that it must not keep; one that ends at this needs a start as well.
            if self.reload(&server.listen_before, server.mpm_before).is_ok() {
                return Ok(());
            }
        } else if runs && !self.must_start.get() {
            // It was not even told to end.
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
            Manager::OpenRc(service) => self.command_in_session("rc-service", &[service, "restart"])?,
            Manager::Apachectl => {
                self.must_start.set(true);
                self.stop_parents()?;
                self.start()?;
            }
            // It is down already, or was never to be stopped: whoever keeps it starts it again.
            Manager::Foreground => return self.serves(None, listen, mpm),
        }
        self.serves(running, listen, mpm)
    }

    /// Has the server read its files again and waits until it has. The caller has tested them.
    ///
    /// That the command returns 0 says nothing: it only sends the signal, and a parent that fails at its files ends
    /// after it.
    fn reload(&self, listen: &[String], mpm: Option<Mpm>) -> Result<(), String> {
        let now = process::running(&self.view, &self.site).ok_or("the server is gone")?;
        let children = process::children(&self.view, &now);
        let generation = self.generation(listen);
        match &self.manager {
            Manager::Systemd(unit) => {
                self.command("systemctl", &["--no-ask-password", "reload", &format!("{unit}.service")])?;
            }
            Manager::OpenRc(service) => self.command("rc-service", &[service, "reload"])?,
            Manager::Apachectl | Manager::Foreground => {
                // httpd reads again what the script wrote when it was last called.
                if let Some((script, words)) = start_script::writes_modules(&self.view, &self.site) {
                    self.run_in_session(script, &words)?;
                }
                self.signal(now.parent, Signal::USR1).map(drop)?;
            }
        }
        let sent = Instant::now();
        let mut look = LOOK;
        while sent.elapsed() < RELOADS {
            self.still(now.parent)?;
            if process::children(&self.view, &now).iter().any(|child| !children.contains(child)) {
                let grown = |before| self.generation(listen).is_some_and(|generation| generation > before);
                if sent.elapsed() >= SETTLES || generation.is_none_or(grown) {
                    break;
                }
                look = AGAIN;
            }
            self.pause(look)?;
        }
        self.still(now.parent)?;
        self.serves(None, listen, mpm)?;
        self.still(now.parent)
    }

    /// Sees that the parent is still the one that was asked to reload.
    fn still(&self, parent: u32) -> Result<(), String> {
        let parents = process::parents(&self.view, &self.site);
        if parents.contains(&parent) {
            return Ok(());
        }
        let anew = if parents.is_empty() { "" } else { ", and another one was started" };
        Err(self.with_log(format!("the server ended at the reload{anew}")))
    }

    /// Asks mod_status how often the server has taken its files up.
    fn generation(&self, listen: &[String]) -> Option<u64> {
        let address = listen::plain_loopback(listen).filter(|_| self.server.has_status)?;
        status::ask(&format!("http://{address}/server-status"), STATUS).ok()?.generation
    }

    /// Waits until a parent other than `not` is up, has the MPM mapped, and serves as it did before the change.
    fn serves(&self, not: Option<u32>, listen: &[String], mpm: Option<Mpm>) -> Result<(), String> {
        let end = Instant::now() + COMES_UP;
        let addresses = listen::reached_at(listen);
        let mut why = String::new();
        loop {
            match process::running(&self.view, &self.site) {
                None => "the server does not run".clone_into(&mut why),
                Some(now) if Some(now.parent) == not => "the old server runs still".clone_into(&mut why),
                Some(now) if mpm.is_some() && now.mpm.is_some() && now.mpm != mpm => {
                    why = format!("the server runs with {}", now.mpm.map_or("none", Mpm::name));
                }
                Some(now) => match self.answers(&now, &addresses) {
                    Ok(()) => return Ok(()),
                    Err(error) => why = error,
                },
            }
            if Instant::now() >= end {
                return Err(self.with_log(format!("{why} after {} s", COMES_UP.as_secs())));
            }
            self.pause(LOOK)?;
        }
    }

    /// Waits a moment.
    ///
    /// # Errors
    /// That a signal ended this run meanwhile; never while its change is taken back.
    fn pause(&self, moment: Duration) -> Result<(), String> {
        std::thread::sleep(moment);
        match signals::seen() {
            Some(signal) if !self.goes_back.get() => Err(format!("the run was told to end ({signal})")),
            _ => Ok(()),
        }
    }

    /// Sees that the server answers as it did before the change; one that did not has children at least.
    fn answers(&self, now: &Running, addresses: &[SocketAddr]) -> Result<(), String> {
        if addresses.is_empty() {
            return Ok(());
        }
        let answers = answers::ask(addresses, self.answered.way(), ANSWER);
        if answers.way().is_none() && process::children(&self.view, now).is_empty() {
            return Err("the server has no children".to_owned());
        }
        answers.judged_by(&self.answered)
    }

    /// Ends every parent of the site, also one that does not listen yet: an interrupted run may have started it.
    fn stop_parents(&self) -> Result<(), String> {
        let end = Instant::now() + GOES;
        loop {
            if let Some(parent) = process::parents(&self.view, &self.site).first().copied() {
                if let Some(process) = self.signal(parent, Signal::TERM)? {
                    process.wait_until_gone(GOES).map_err(|why| self.with_log(why))?;
                }
                if Instant::now() >= end {
                    return Err(self
                        .with_log(format!("servers are started again and again for {} s", GOES.as_secs())));
                }
            } else if self.is_being_started() && Instant::now() < end {
                // One that a script is still starting shows up later than the first look.
                std::thread::sleep(LOOK);
            } else {
                return Ok(());
            }
        }
    }

    /// Tells whether a start command runs that has not become a server yet: that of a run that was killed.
    fn is_being_started(&self) -> bool {
        let (program, arguments) = start_command(&self.view, &self.site, &self.server.httpd);
        let command: Vec<&[u8]> = std::iter::once(program.as_os_str().as_bytes())
            .chain(arguments.iter().map(|word| word.as_bytes()))
            .collect();
        let is_script = program != self.server.httpd.binary;
        process::is_running_command(&self.view, &[session::SESSION.as_bytes()])
            || (is_script && process::is_running_command(&self.view, &command))
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
        let (program, arguments) = start_command(&self.view, &self.site, &self.server.httpd);
        self.run_in_session(program, &arguments)
    }

    /// Runs a program of the system.
    fn command(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let program = self.program(name).ok_or_else(|| format!("`{name}` is not found"))?;
        let mut command = Command::new(&program);
        command.args(arguments).env_clear().envs(self.server.httpd.full_environment());
        self.run(&mut command, b"", &in_words(&program, arguments))
    }

    /// Runs a program of the system that starts the server as its own child.
    fn command_in_session(&self, name: &str, arguments: &[&str]) -> Result<(), String> {
        let program = self.program(name).ok_or_else(|| format!("`{name}` is not found"))?;
        self.run_in_session(&program, arguments)
    }

    /// Runs a program in the old server's surroundings.
    fn run_in_session(&self, program: &Path, arguments: &[&str]) -> Result<(), String> {
        let environment = start_script::environment(&self.site, &self.server.httpd);
        let (mut command, input) = self.session.command(program, arguments, &environment);
        self.run(&mut command, &input, &in_words(program, arguments))
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let dirs = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let mut paths = dirs.iter().map(|dir| Path::new(dir).join(name));
        paths.find(|path| self.view.is_file(path))
    }

    fn run(&self, command: &mut Command, input: &[u8], words: &str) -> Result<(), String> {
        let run = sandbox::run(command, input, COMMAND).map_err(|error| format!("`{words}`: {error}"))?;
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

/// Returns a command line for a message.
fn in_words(program: &Path, arguments: &[&str]) -> String {
    std::iter::once(&*program.to_string_lossy())
        .chain(arguments.iter().copied())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Returns the last lines of a text, on one line.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_of_a_log_are_told() {
        let text: String = (0..30).map(|n| format!("line {n}\n")).collect::<Vec<_>>().join("\n");
        let told = last_lines(&text);
        assert!(told.starts_with("line 20 | ") && told.ends_with("line 29"), "{told}");
    }
}
