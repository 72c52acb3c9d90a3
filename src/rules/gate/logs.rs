//! Logs: opened after the test, and a server that cannot open one ends.

use std::path::Path;

use super::super::{Check, Reporter, Rule, View};
use super::{Gate, is_open};
use crate::httpd::read::Scope;
use crate::httpd::read::startup::{Line, Startup};
use crate::tree::{Files, Kind};

/// The logs of which a server opens each line's.
const EACH: [&str; 4] = ["CustomLog", "GlobalLog", "TransferLog", "ForensicLog"];

/// Returns the lines by which logs are opened.
fn opened(startup: &Startup) -> Vec<&Line> {
    let mut lines: Vec<&Line> = Vec::new();
    // An error log has one line for each server; a virtual host without one has the main server's.
    lines.extend(
        startup
            .servers()
            .filter_map(|server| startup.of("ErrorLog").filter(|line| line.scope == server).last()),
    );
    for directive in EACH {
        lines.extend(startup.of(directive).filter(|line| line.scope != Scope::Section));
    }
    lines
}

/// Returns the code by which httpd tells that a log cannot be opened.
fn code(line: &Line, program: bool) -> &'static str {
    match (line.is("ErrorLog"), line.is("ForensicLog"), program) {
        (true, _, true) => "AH00089",
        (true, _, false) => "AH00091",
        (_, _, true) => "AH00104",
        (_, true, false) => "AH00651",
        _ => "AH00649",
    }
}

pub(crate) static GATE_010: Rule = Rule {
    id: "GATE-010",
    setting: "CustomLog",
    summary: "a log that is a directory, or a PidFile in a directory that is not there",
    source: "httpd 2.4 modules/loggers/mod_log_config.c, server/log.c; AH00649, AH00651, AH00091, AH00099, seen on 2.4.71",
    example: "CustomLog /var/log/apache2 combined",
    instead: "CustomLog /var/log/apache2/access.log combined",
    after_change: true,
    check: Check::View(log_cannot_be_opened),
    ..Rule::NEW
};

fn log_cannot_be_opened(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    let (startup, files) = (gate.startup(), gate.start.files);
    for line in opened(startup) {
        let text = line.first();
        let no_file = text.is_empty() || text.starts_with('|') || is_open(text);
        if !no_file && files.is_dir(&startup.path(text)) {
            gate.tell(
                out,
                line,
                Some(code(line, false)),
                |place| format!("{} {text} ({place}) is a directory", line.directive),
                "name a file in it",
            );
        }
    }
    let Some(line) = startup.deciding("PidFile", Scope::Main) else { return };
    let path = Path::new(line.first());
    // The start script or systemd makes directories in there, such as `/run/apache2`.
    let made = ["/run", "/var/run"].iter().any(|dir| path.starts_with(dir));
    if let Some(dir) = path.parent().filter(|_| path.is_absolute() && !made && !is_open(line.first()))
        && matches!(files.kind(dir), Ok(Kind::Absent))
    {
        gate.tell(
            out,
            line,
            Some("AH00099"),
            |place| format!("the directory of PidFile {} ({place}) is not there", line.first()),
            "make the directory, or name a file in one that is there",
        );
    }
}

pub(crate) static GATE_011: Rule = Rule {
    id: "GATE-011",
    setting: "CustomLog",
    summary: "a log goes to a program that is not there or cannot be run",
    source: "httpd 2.4 server/log.c, piped_log_spawn; AH00104, AH00089, seen on 2.4.71",
    example: "CustomLog \"|rotatelogs /var/log/apache2/access.log 86400\" combined",
    instead: "CustomLog \"|/usr/bin/rotatelogs /var/log/apache2/access.log 86400\" combined",
    after_change: true,
    check: Check::View(log_program_missing),
    ..Rule::NEW
};

fn log_program_missing(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    let files = gate.start.files;
    for line in opened(gate.startup()) {
        let Some(why) = line.first().strip_prefix('|').and_then(|command| unusable(files, command)) else {
            continue;
        };
        gate.tell(
            out,
            line,
            Some(code(line, true)),
            |place| format!("{} ({place}) goes to a program, and {why}", line.directive),
            "name a program that is there, by its absolute path",
        );
    }
}

/// Returns why a log's program cannot be run. One that ends at once is started again and again; that is not told here.
fn unusable(files: &dyn Files, command: &str) -> Option<String> {
    let command = command.strip_prefix('|').unwrap_or(command);
    let (shell, command) = command.strip_prefix('$').map_or((false, command), |command| (true, command));
    let command = command.trim_start();
    let program = command.split_ascii_whitespace().next().unwrap_or_default();
    if is_open(program) || program.contains(['"', '\'', '\\']) {
        return None;
    }
    if program.is_empty() {
        return (!shell).then(|| "none is named".to_owned());
    }
    if !program.starts_with('/') {
        // A shell looks for it; without one httpd does not, and runs in the root directory.
        let there = shell || program.contains('/') || files.is_file(&Path::new("/").join(program));
        return (!there).then(|| format!("{program} is no absolute path: httpd does not search for it"));
    }
    let path = Path::new(program);
    match files.kind(path) {
        Ok(Kind::Absent) => Some(format!("{program} is not there")),
        Ok(Kind::File) if files.status(path).is_some_and(|status| status.mode & 0o111 == 0) => {
            Some(format!("{program} is not executable"))
        }
        _ => None,
    }
}

pub(crate) static GATE_014: Rule = Rule {
    id: "GATE-014",
    setting: "Mutex",
    summary: "a lock in a directory that is not there, such as one of a file system in memory (in reports only)",
    source: "httpd 2.4 server/util_mutex.c, set_mutex; AH00526, seen on 2.4.68",
    example: "Mutex file:/run/no-such-directory default",
    instead: "Mutex default",
    check: Check::View(lock_without_directory),
    ..Rule::NEW
};

fn lock_without_directory(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(start) = view.start().filter(|_| view.audit) else { return };
    for line in start.startup.of("Mutex") {
        let Some((mechanism, dir)) = line.first().split_once(':') else { continue };
        let path = Path::new(dir);
        // The start script makes the directory of this name in there.
        let made = ["/run", "/var/run", "/var/lock", "/run/lock"]
            .iter()
            .any(|parent| ["apache2", "httpd"].iter().any(|name| path == Path::new(parent).join(name)));
        let is_dir = ["file", "flock", "fcntl"].contains(&mechanism.to_ascii_lowercase().as_str());
        if !is_dir || !path.is_absolute() || made || is_open(dir) {
            continue;
        }
        if matches!(start.files.kind(path), Ok(Kind::Absent)) {
            let place = start.startup.place(line);
            out.about(&place).value(line.words.join(" ")).code("AH00526").emit(
                format!(
                    "the directory of Mutex {} ({place}) is not there: httpd does not start",
                    line.first()
                ),
                "make the directory at each start, as tmpfiles.d does, or write Mutex default",
            );
        }
    }
}
