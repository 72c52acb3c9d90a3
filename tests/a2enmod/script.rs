//! Debian's own a2enmod, on a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::host::Host;
use apache_tuning::modules::{Action, Kind, Options};
use test_hosts::{Flavour, Release, template};

/// One call of the script.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) action: Action,
    pub(crate) kind: Kind,
    pub(crate) options: Options,
    pub(crate) names: Vec<String>,
}

impl Call {
    pub(crate) fn new(action: Action, kind: Kind, options: Options, names: &[&str]) -> Self {
        Self { action, kind, options, names: names.iter().map(|&name| name.to_owned()).collect() }
    }

    /// Returns the name that the script is called by.
    pub(crate) fn program(&self) -> &'static str {
        match (self.action, self.kind) {
            (Action::Enable, Kind::Module) => "a2enmod",
            (Action::Disable, Kind::Module) => "a2dismod",
            (Action::Enable, Kind::Conf) => "a2enconf",
            (Action::Disable, Kind::Conf) => "a2disconf",
        }
    }

    pub(crate) fn arguments(&self) -> Vec<&str> {
        let force = self.options.force.then_some("-f");
        let purge = self.options.purge.then_some("-p");
        force.into_iter().chain(purge).chain(self.names.iter().map(String::as_str)).collect()
    }
}

/// What a call of the script said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The exit status, or the signal that ended it.
    pub(crate) status: String,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Returns the script as a release of Debian ships it, from a host that is built once for all tests.
pub(crate) fn of(release: Release) -> PathBuf {
    for (program, arguments, package) in
        [("perl", &["-e", "use if 1, 'strict'"][..], "perl"), ("find", &["--version"], "findutils")]
    {
        let there = Command::new(program).args(arguments).stdout(Stdio::null()).status();
        assert!(
            there.is_ok_and(|status| status.success()),
            "this test runs Debian's a2enmod, which needs `{program}`: `apt-get install {package}`"
        );
    }
    let host = template::ensure(release, Flavour::Event).unwrap_or_else(|error| panic!("{error:#}"));
    host.join("usr/sbin/a2enmod")
}

/// Returns the command that runs the script as a program of its own, nothing changed in it.
fn command(script: &Path, dir: &Path, call: &Call) -> Command {
    let mut command = Command::new("perl");
    command
        .arg(script.with_file_name(call.program()))
        .args(call.arguments())
        .env("APACHE_CONFDIR", dir.join("etc/apache2"))
        .env("APACHE_STATE_DIRECTORY", dir.join("var/lib/apache2"))
        .env("APACHE_ENVVARS", dir.join("none"))
        .stdin(Stdio::null());
    command
}

/// Runs the script as a program of its own.
pub(crate) fn run(script: &Path, dir: &Path, call: &Call) -> Said {
    let output = command(script, dir, call).output().unwrap();
    Said {
        status: output.status.code().map_or("signal".to_owned(), |code| code.to_string()),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Lets the script enable `name` until it has looked at `most` dependencies, and returns at how many it looked.
pub(crate) fn rounds(script: &Path, dir: &Path, host: &Host, name: &str, most: usize) -> usize {
    host.write(dir).unwrap();
    let call = Call::new(Action::Enable, Kind::Module, Options::default(), &[name]);
    let mut perl = command(script, dir, &call).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(perl.stdout.take().unwrap()).lines();
    let seen = lines.map_while(Result::ok).filter(|line| line.contains(" dependency ")).take(most).count();
    perl.kill().unwrap();
    perl.wait().unwrap();
    seen
}

/// A Perl that has compiled the script once and forks for each call: a tenth of the time.
pub(crate) struct Compiled {
    perl: Child,
    calls: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Compiled {
    /// Starts it.
    pub(crate) fn new(script: &Path) -> Self {
        let mut perl = Command::new("perl")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/a2enmod/driver.pl"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let calls = perl.stdin.take();
        let answers = BufReader::new(perl.stdout.take().unwrap());
        Self { perl, calls, answers }
    }

    pub(crate) fn run(&mut self, dir: &Path, call: &Call) -> Said {
        let mut line = format!("{}\t{}", dir.display(), call.program());
        for argument in call.arguments() {
            line.push('\t');
            line.push_str(argument);
        }
        line.push('\n');
        self.calls.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
        let mut status = String::new();
        self.answers.read_line(&mut status).unwrap();
        let text = |name: &str| String::from_utf8_lossy(&fs::read(dir.join(name)).unwrap()).into_owned();
        let said = Said { status: status.trim_end().to_owned(), out: text("out"), err: text("err") };
        fs::remove_file(dir.join("out")).unwrap();
        fs::remove_file(dir.join("err")).unwrap();
        said
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.calls = None;
        let _ = self.perl.wait();
    }
}
