//! The real httpd: its configuration test, run so that it cannot hang, ask, outlive us or leave anything behind.
//!
//! The program is started through a second start of ourselves ([`contained`]), because its own session, its death
//! with ours, another root directory and a private view of the files must be set up inside the child, where `std`
//! has no safe place for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::preview::{self, Overlay};
use crate::report::ConfigTest;

/// The first argument of the second start. No word of the command line that a person would type.
const CONTAINED: &str = "__contained";

/// Exit code of the second start when httpd could not be started; httpd itself knows 0 and 1.
const NOT_STARTED: u8 = 117;

/// Most of the output that is kept; a broken configuration says what it has to say in the first lines.
const MAX_OUTPUT: usize = 64 << 10;

/// How long a test may take before it is ended. Name lookups of a large configuration on a host without an
/// answering name server take the longest.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// How httpd is started on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Httpd {
    /// The host's root directory.
    pub root: PathBuf,
    /// The binary on the host, absolute: `/usr/sbin/apache2`.
    pub binary: PathBuf,
    /// Arguments before `-t`, such as `-d /etc/apache2-blue`.
    pub arguments: Vec<String>,
    /// The variables that the start script would give it, and nothing else is given.
    pub environment: BTreeMap<String, String>,
    /// How long it may run.
    pub timeout: Duration,
    /// The program that starts it contained; `None` is this one. For tests.
    pub helper: Option<PathBuf>,
}

/// What the configuration test said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tested {
    /// Whether httpd would start, as far as it tests.
    pub ok: bool,
    /// What it printed on both streams, at most 64 KiB.
    pub output: String,
    /// The message codes in the output, in order: `AH00513`.
    pub codes: Vec<String>,
    /// The file and line that a syntax error names.
    pub place: Option<(PathBuf, u32)>,
}

/// What the child is told, on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    root: PathBuf,
    binary: PathBuf,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    overlay: Overlay,
}

impl Httpd {
    /// Runs the configuration test on the files as they stand.
    ///
    /// # Errors
    /// Why it did not run, in words for the result.
    pub fn test(&self) -> Result<Tested, String> {
        self.test_with(Overlay::default())
    }

    /// Runs the configuration test with some files as they are planned.
    ///
    /// # Errors
    /// Why it did not run, in words for the result.
    pub(crate) fn test_with(&self, overlay: Overlay) -> Result<Tested, String> {
        let mut arguments = self.arguments.clone();
        arguments.push("-t".to_owned());
        let environment = self.full_environment();
        let plain = overlay.is_empty() && self.root == Path::new("/");
        let (mut command, input) = match self.helper.clone().map(|helper| (helper, None)).or_else(myself) {
            Some((helper, name)) => {
                let (root, binary) = (self.root.clone(), self.binary.clone());
                let order = Order { root, binary, arguments, environment, overlay };
                let mut command = Command::new(helper);
                if let Some(name) = name {
                    command.arg0(name);
                }
                command.arg(CONTAINED).env_clear();
                (command, serde_json::to_vec(&order).map_err(|error| error.to_string())?)
            }
            // Better a test that could outlive us than none.
            None if plain => {
                let mut command = Command::new(&self.binary);
                command.args(arguments).env_clear().envs(environment);
                (command, Vec::new())
            }
            None => return Err("this program cannot find its own file (is /proc mounted?)".to_owned()),
        };
        let run = run(&mut command, &input, self.timeout)
            .map_err(|error| format!("could not start `{}`: {error}", self.binary.display()))?;
        match run.code {
            Some(code) if code == i32::from(NOT_STARTED) => Err(run.output.trim().to_owned()),
            code => {
                let mut tested = Tested::parse(code == Some(0), run.output);
                if let Some(why) = run.ended {
                    tested.output.push_str(&why);
                }
                Ok(tested)
            }
        }
    }
}

impl Httpd {
    /// Returns the variables of the start script, with what every program expects added.
    pub(crate) fn full_environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.environment.clone();
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        for (name, value) in [("PATH", path), ("LANG", "C")] {
            environment.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        environment
    }
}

impl Tested {
    /// Reads what httpd printed.
    pub fn parse(ok: bool, output: String) -> Self {
        let mut codes = Vec::new();
        let mut rest = output.as_str();
        while let Some(at) = rest.find("AH") {
            let code =
                rest.get(at..at + 7).filter(|code| code[2..].bytes().all(|byte| byte.is_ascii_digit()));
            if let Some(code) = code {
                codes.push(code.to_owned());
            }
            rest = &rest[at + 2..];
        }
        let place = output.lines().find_map(|line| {
            // The including file's line comes first, the line that is wrong last.
            let (_, rest) = line.rsplit_once("yntax error on line ")?;
            let (number, rest) = rest.split_once(" of ")?;
            let file = rest.split_once(": ").map_or(rest.trim_end_matches(':'), |(file, _)| file);
            Some((PathBuf::from(file), number.parse().ok()?))
        });
        Self { ok, output, codes, place }
    }

    /// Returns it as the report has it.
    pub fn report(&self) -> ConfigTest {
        ConfigTest { ran: true, ok: Some(self.ok), output: self.output.trim_end().to_owned(), reason: None }
    }
}

/// Returns a test's report, or that it did not run and why.
pub fn report(tested: &Result<Tested, String>) -> ConfigTest {
    match tested {
        Ok(tested) => tested.report(),
        Err(reason) => {
            ConfigTest { ran: false, ok: None, output: String::new(), reason: Some(reason.clone()) }
        }
    }
}

/// Returns the way to start this program again, and its name.
fn myself() -> Option<(PathBuf, Option<OsString>)> {
    let name = std::env::args_os().next();
    // Names the running program even where its file was replaced or removed.
    let proc = PathBuf::from("/proc/self/exe");
    if proc.exists() {
        return Some((proc, name));
    }
    name.map(PathBuf::from).filter(|path| path.is_absolute() && path.is_file()).map(|path| (path, None))
}

/// What a child left.
pub(crate) struct Run {
    /// Its exit code; `None` where a signal ended it.
    pub(crate) code: Option<i32>,
    /// Both its streams.
    pub(crate) output: String,
    /// Why it did not end by itself.
    pub(crate) ended: Option<String>,
}

/// How often a child that has not closed its streams is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Runs a command to its end, or to `timeout`, with `input` on its standard input and both streams in one.
///
/// Its end is that of the process itself: a daemon that it leaves behind may keep the streams open for ever.
pub(crate) fn run(command: &mut Command, input: &[u8], timeout: Duration) -> io::Result<Run> {
    let end = Instant::now() + timeout;
    let (mut reader, writer) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(writer.try_clone()?).stderr(writer).current_dir("/");
    let mut child = command.spawn()?;
    // Our own ends of the pipe must be closed, or its end never comes.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    if let Some(mut stdin) = child.stdin.take() {
        // A child that ends without reading says more by its output than this error could.
        let _ = stdin.write_all(input);
    }
    let mut output = Vec::new();
    let mut status = None;
    let mut open = true;
    let mut late = false;
    while open || status.is_none() {
        if status.is_none() {
            status = child.try_wait()?;
        }
        if status.is_none() && Instant::now() >= end {
            late = true;
            end_group(&mut child);
            status = Some(child.wait()?);
        }
        // Once it has ended, what it left in the pipe is all.
        let wait = if status.is_some() { Duration::ZERO } else { LOOK };
        if !open {
            // Its streams are closed; its exit is a moment away.
            std::thread::sleep(wait.min(Duration::from_millis(1)));
            continue;
        }
        match read_some(&mut reader, wait)? {
            Some(bytes) if bytes.is_empty() => open = false,
            Some(bytes) => {
                let room = MAX_OUTPUT.saturating_sub(output.len());
                output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            None => open = status.is_none(),
        }
    }
    let ended = if late {
        Some(format!("\nended after {} s without an answer", timeout.as_secs()))
    } else {
        status.and_then(|status| status.signal()).map(|signal| format!("\nended by signal {signal}"))
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    Ok(Run { code: status.and_then(|status| status.code()).filter(|_| !late), output, ended })
}

/// Reads what is there, waiting for it; `None` where nothing came, nothing read is the end.
fn read_some(reader: &mut io::PipeReader, wait: Duration) -> io::Result<Option<Vec<u8>>> {
    let wait = Timespec::try_from(wait).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&*reader, PollFlags::IN)], Some(&wait)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut buffer = vec![0; 4096];
    match reader.read(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends a child and everything it started in its session.
fn end_group(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may not lead a group yet, then the next line does.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
}

/// The second start: to be called first thing in `main`. Returns `None` where the program was started for
/// something else; otherwise it becomes httpd, or returns why it could not.
pub fn contained() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(CONTAINED) || arguments.next().is_some() {
        return None;
    }
    let Err(reason) = become_httpd();
    // The pipe to the first start; where even that is gone nobody is left to tell.
    let _ = writeln!(io::stderr(), "{reason}");
    Some(ExitCode::from(NOT_STARTED))
}

/// Reads the order, sets up the surroundings and becomes httpd.
fn become_httpd() -> Result<Infallible, String> {
    let step = |what: &'static str| move |error: rustix::io::Errno| format!("could not {what}: {error}");
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(step("die with the parent"))?;
    rustix::process::setsid().map_err(step("start a session"))?;
    // Read to its end, so that httpd finds nothing on it: there may be no /dev/null in another root.
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| format!("could not read the order: {error}"))?;
    let order: Order =
        serde_json::from_slice(&text).map_err(|error| format!("the order is damaged: {error}"))?;

    let other_root = order.root != Path::new("/");
    if !order.overlay.is_empty() || other_root && !rustix::process::geteuid().is_root() {
        preview::isolate()?;
    }
    if other_root {
        rustix::process::chroot(&order.root).map_err(step("enter the root directory"))?;
    }
    rustix::process::chdir("/").map_err(step("enter the root directory"))?;
    preview::lay(&order.overlay)?;
    let error =
        Command::new(&order.binary).args(&order.arguments).env_clear().envs(&order.environment).exec();
    Err(format!("could not start `{}`: {error}", order.binary.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output, the codes in it, and the place it names.
    type Row = (&'static str, &'static [&'static str], Option<(&'static str, u32)>);

    #[test]
    fn codes_and_the_place_of_an_error_are_read_from_what_httpd_prints() {
        let table: [Row; 5] = [
            ("Syntax OK\n", &[], None),
            (
                "AH00526: Syntax error on line 7 of /etc/apache2/mods-enabled/mpm_event.conf:\nInvalid command 'x'\n",
                &["AH00526"],
                Some(("/etc/apache2/mods-enabled/mpm_event.conf", 7)),
            ),
            (
                "apache2: Syntax error on line 146 of /etc/apache2/apache2.conf: \
                 Syntax error on line 2 of /etc/a b:c.load: Cannot load x: no such file\n",
                &[],
                Some(("/etc/a b:c.load", 2)),
            ),
            (
                "AH00513: WARNING: MaxRequestWorkers of 410\n multiple\nAH00558: apache2: name\nSyntax OK\n",
                &["AH00513", "AH00558"],
                None,
            ),
            ("AHA AH12 AH0051\u{e9} AH", &[], None),
        ];
        for (output, codes, place) in table {
            let tested = Tested::parse(true, output.to_owned());
            assert_eq!(tested.codes, codes, "{output}");
            assert_eq!(tested.place, place.map(|(file, line)| (PathBuf::from(file), line)), "{output}");
        }
    }
}
