//! The logs: whether httpd can write them, what is written, and whether the disk bears them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Check, Reporter, Rule, View};
use crate::facts::access;
use crate::httpd::read::startup::Line;
use crate::report::Severity;
use crate::tree::{Files, resolve};

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&LOG_001, &LOG_002, &LOG_004, &LOG_005, &LOG_006, &LOG_007, &LOG_008, &LOG_010];

/// The parameters that these lines belong to.
const NAME: &str = "logs";

/// The directives that name a log as their first argument.
const LOGS: [&str; 4] = ["ErrorLog", "CustomLog", "TransferLog", "GlobalLog"];

/// Returns every line that names a log.
pub(crate) fn logs<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = &'a Line> + 'v {
    LOGS.into_iter().flat_map(|directive| view.served(directive))
}

/// Returns the file that a line names; `None` for a program, for syslog, for a device, and for what is not known.
pub(crate) fn file(view: &View<'_>, line: &Line) -> Option<PathBuf> {
    let text = line.first();
    let elsewhere = text.is_empty()
        || text.starts_with('|')
        || text.contains("${")
        || text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("syslog"))
        // `ErrorLog provider:argument`.
        || (line.is("ErrorLog") && !text.contains('/') && text.contains(':'));
    let path = view.context.startup?.path(text);
    (!elsewhere && !path.starts_with("/dev") && !path.starts_with("/proc")).then_some(path)
}

/// Returns the log files with the line that names each first.
fn log_files<'a>(view: &View<'a>) -> Vec<(&'a Line, PathBuf)> {
    let mut seen = BTreeSet::new();
    let all = logs(view).filter_map(|line| file(view, line).map(|path| (line, path)));
    all.filter(|(_, path)| seen.insert(path.clone())).collect()
}

/// Returns the directories of the log files with the line that names each first.
pub(crate) fn log_dirs<'a>(view: &View<'a>) -> Vec<(&'a Line, PathBuf)> {
    let mut seen = BTreeSet::new();
    let all = log_files(view).into_iter().filter_map(|(line, path)| Some((line, path.parent()?.to_owned())));
    all.filter(|(_, dir)| seen.insert(dir.clone())).collect()
}

pub(crate) static LOG_001: Rule = Rule {
    id: "LOG-001",
    severity: Severity::Error,
    setting: "CustomLog, ErrorLog",
    summary: "the directory of a log is not there; httpd does not start",
    source: "httpd 2.4 server/log.c, modules/loggers/mod_log_config.c; AH02291, AH02297, AH00014",
    check: Check::View(no_directory),
    ..Rule::NEW
};

fn no_directory(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(files) = view.disk() else { return };
    for (line, dir) in log_dirs(view).into_iter().filter(|(_, dir)| !files.is_dir(dir)) {
        let code = if line.is("ErrorLog") { "AH02291" } else { "AH02297" };
        out.of(view, NAME, &line.directive).value(line.first()).code(code).emit(
            format!(
                "{} at {}: {} is not a directory; httpd does not start",
                line.directive,
                view.place(line),
                dir.display()
            ),
            format!("make it with: install -d -m 0750 {}", dir.display()),
        );
    }
}

pub(crate) static LOG_002: Rule = Rule {
    id: "LOG-002",
    severity: Severity::Error,
    setting: "CustomLog, ErrorLog",
    summary: "a user other than root may put a link where httpd opens a log as root",
    source: "httpd 2.4 docs, misc/security_tips",
    check: Check::View(open_to_others),
    ..Rule::NEW
};

fn open_to_others(view: &View<'_>, out: &mut Reporter<'_>) {
    const STICKY: u32 = 0o1000;
    let Some(files) = view.disk() else { return };
    let user = view.web_user();
    for (line, dir) in log_dirs(view) {
        let Ok(real) = resolve(files, &dir) else { continue };
        let open = real.ancestors().enumerate().find_map(|(above, at)| {
            let status = files.status(at)?;
            // In a sticky directory nobody moves what is another's; but everybody makes what is not there yet.
            let kept = above > 0 && status.mode & STICKY != 0;
            let who = if status.mode & 0o002 != 0 {
                "everybody"
            } else if access::may_write(files, user, &status) && user != "root" {
                user
            } else {
                return None;
            };
            (!kept).then_some((at, who))
        });
        if let Some((at, who)) = open {
            out.of(view, NAME, &line.directive).value(line.first()).emit(
                format!(
                    "{} at {}: {} may be written by {who}, who can so make root write to any file",
                    line.directive,
                    view.place(line),
                    at.display()
                ),
                format!("give it to root alone: chown root {0} and chmod go-w {0}", at.display()),
            );
        }
    }
}

pub(crate) static LOG_004: Rule = Rule {
    id: "LOG-004",
    severity: Severity::Error,
    setting: "CustomLog",
    summary: "no LogFormat has this nickname; each line of the log is the nickname itself",
    source: "httpd 2.4 modules/loggers/mod_log_config.c, open_multi_logs",
    check: Check::View(unknown_nickname),
    example: "CustomLog /var/log/apache2/access.log combind",
    instead: "CustomLog /var/log/apache2/access.log combined",
    ..Rule::NEW
};

fn unknown_nickname(view: &View<'_>, out: &mut Reporter<'_>) {
    let named = |line: &Line, nickname: &str| {
        view.served("LogFormat")
            .filter(|format| format.server.is_none() || format.server == line.server)
            .any(|format| format.words.get(1).is_some_and(|name| name.eq_ignore_ascii_case(nickname)))
    };
    for line in view.served("CustomLog").chain(view.served("GlobalLog")) {
        let Some(format) = line.words.get(1) else { continue };
        let is_text = format.contains(['%', ' ', '\\', '$']) || format.is_empty();
        // The module's own.
        if is_text || format.eq_ignore_ascii_case("CLF") || named(line, format) {
            continue;
        }
        out.of(view, NAME, &line.directive).value(format).emit(
            format!(
                "{} at {}: no LogFormat is called {format}; each line of the log is that word",
                line.directive,
                view.place(line)
            ),
            "name a format that a LogFormat line defines, such as combined",
        );
    }
}

pub(crate) static LOG_005: Rule = Rule {
    id: "LOG-005",
    severity: Severity::Error,
    setting: "CustomLog, ErrorLog",
    summary: "the log is a directory; httpd passes its test and does not start",
    source: "httpd 2.4 modules/loggers/mod_log_config.c; AH00649, AH00019",
    check: Check::View(is_a_directory),
    ..Rule::NEW
};

fn is_a_directory(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(files) = view.disk() else { return };
    for (line, path) in log_files(view).into_iter().filter(|(_, path)| files.is_dir(path)) {
        out.of(view, NAME, &line.directive).value(line.first()).code("AH00649").emit(
            format!(
                "{} at {}: {} is a directory; httpd passes its test and does not start",
                line.directive,
                view.place(line),
                path.display()
            ),
            "name a file in it",
        );
    }
}

pub(crate) static LOG_006: Rule = Rule {
    id: "LOG-006",
    severity: Severity::Error,
    setting: "CustomLog, ErrorLog",
    summary: "the program that a log is piped to is not there; httpd passes its test and does not start",
    source: "httpd 2.4 server/log.c, ap_open_piped_log_ex; AH00019",
    check: Check::View(no_program),
    ..Rule::NEW
};

fn no_program(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(files) = view.disk() else { return };
    for line in logs(view) {
        let Some(command) = line.first().strip_prefix('|') else { continue };
        // `||` is the same; after `|$` it is a shell's line.
        let command = command.strip_prefix('|').unwrap_or(command).trim_start();
        let program = command.split_ascii_whitespace().next().unwrap_or_default();
        if program.starts_with('/')
            && !program.contains(['"', '\'', '$', '\\'])
            && !files.is_file(Path::new(program))
        {
            out.of(view, NAME, &line.directive).value(line.first()).code("AH00019").emit(
                format!(
                    "{} at {}: {program} is not there; httpd passes its test and does not start",
                    line.directive,
                    view.place(line)
                ),
                "install the program, or let the log be a file",
            );
        }
    }
}

pub(crate) static LOG_007: Rule = Rule {
    id: "LOG-007",
    severity: Severity::Warning,
    setting: "CustomLog, ErrorLog",
    summary: "less than a tenth of the logs' disk is free; requests are answered on, lines are lost",
    source: "httpd 2.4 modules/loggers/mod_log_config.c; AH00646",
    check: Check::View(disk_is_full),
    ..Rule::NEW
};

fn disk_is_full(view: &View<'_>, out: &mut Reporter<'_>) {
    let mut seen = BTreeSet::new();
    for (line, dir) in log_dirs(view) {
        let Some(space) = view.files.space(&dir) else { continue };
        if space.total.0 > 0 && space.free.0 < space.total.0 / 10 && seen.insert(space.device) {
            out.of(view, NAME, &line.directive).value(line.first()).emit(
                format!(
                    "{} of {} MiB are free where {} is: once it is full, requests are answered and not logged",
                    space.free.mib(),
                    space.total.mib(),
                    dir.display()
                ),
                "make room, or put the logs on a larger disk",
            );
        }
    }
}

pub(crate) static LOG_008: Rule = Rule {
    id: "LOG-008",
    severity: Severity::Warning,
    setting: "CustomLog, ErrorLog",
    summary: "no line of logrotate covers the log; it grows for ever",
    source: "logrotate(8)",
    check: Check::View(not_rotated),
    ..Rule::NEW
};

fn not_rotated(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(files) = view.disk() else { return };
    let mut bare = log_files(view);
    if !take_rotated(files, &mut bare) || bare.is_empty() {
        return;
    }
    let (line, path) = bare.remove(0);
    let others = if bare.is_empty() { String::new() } else { format!(" and {} more", bare.len()) };
    out.of(view, NAME, &line.directive).value(line.first()).emit(
        format!(
            "no line of logrotate covers {}{others} ({}): it grows for ever",
            path.display(),
            view.place(line)
        ),
        format!("add {} to a file of /etc/logrotate.d", path.display()),
    );
}

/// Takes out the logs that a pattern of logrotate covers; returns whether it is there at all. Its files are read only
/// while a log is left.
fn take_rotated<L>(files: &dyn Files, bare: &mut Vec<(L, PathBuf)>) -> bool {
    let dir = Path::new("/etc/logrotate.d");
    let Ok(names) = files.list(dir) else { return false };
    let own = names.iter().map(|name| dir.join(name));
    for path in own.chain([PathBuf::from("/etc/logrotate.conf")]) {
        if bare.is_empty() {
            break;
        }
        let mut patterns = Vec::new();
        let Ok(text) = files.read(&path) else { continue };
        let text = crate::tree::text(&text);
        let mut inside = false;
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let head = line.split('{').next().unwrap_or_default();
            if !inside {
                let words = head.split_ascii_whitespace().map(|word| word.trim_matches(['"', '\'']));
                patterns.extend(words.filter(|word| word.starts_with('/')).map(str::to_owned));
            }
            inside = (inside || line.contains('{')) && !line.ends_with('}');
        }
        let covers = |path: &Path| patterns.iter().any(|pattern| is_like(pattern, &path.to_string_lossy()));
        bare.retain(|(_, path)| !covers(path) && !resolve(files, path).is_ok_and(|real| covers(&real)));
    }
    true
}

/// Tells whether a path fits a pattern with `*` and `?`, none of which stands for a `/`. A set of letters counts as
/// one letter.
fn is_like(pattern: &str, path: &str) -> bool {
    fn at(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern.first(), path.first()) {
            (None, None) => true,
            (Some(b'*'), _) => {
                let most = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
                (0..=most).any(|taken| at(&pattern[1..], &path[taken..]))
            }
            (Some(b'?'), Some(byte)) if *byte != b'/' => at(&pattern[1..], &path[1..]),
            (Some(b'['), Some(byte)) if *byte != b'/' => {
                let end = pattern.iter().position(|&byte| byte == b']');
                end.is_some_and(|end| at(&pattern[end + 1..], &path[1..]))
            }
            (Some(one), Some(other)) if one == other => at(&pattern[1..], &path[1..]),
            _ => false,
        }
    }
    // Each `*` multiplies the work; nobody has so many.
    let stars = pattern.bytes().filter(|byte| *byte == b'*').count();
    stars <= 6 && pattern.len() < 1024 && at(pattern.as_bytes(), path.as_bytes())
}

pub(crate) static LOG_010: Rule = Rule {
    id: "LOG-010",
    severity: Severity::Info,
    setting: "CustomLog, ErrorLog",
    summary: "the logs take more than a quarter of the files that a process may have open",
    source: "httpd 2.4 modules/loggers/mod_log_config.c: each process holds all of them",
    check: Check::View(many_open),
    ..Rule::NEW
};

fn many_open(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(limit) = view.machine.open_files.as_ref().filter(|limit| limit.value < u64::MAX) else { return };
    let logs = view.after.logs;
    if logs > limit.value / 4 {
        let mut told = out.of(view, NAME, "CustomLog").value(logs);
        told = told.effective(limit.value);
        told.emit(
            format!(
                "each process holds {logs} logs open, of {} files that it may have ({})",
                limit.value, limit.source
            ),
            "let virtual hosts share a log, with %v in its format",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_the_shell_would() {
        for (pattern, path, covers) in [
            ("/var/log/apache2/*.log", "/var/log/apache2/access.log", true),
            ("/var/log/apache2/*.log", "/var/log/apache2/sites/access.log", false),
            ("/var/log/apache2/*.log", "/var/log/apache2/access.txt", false),
            ("/var/log/*/*_log", "/var/log/httpd/error_log", true),
            ("/var/log/a?c", "/var/log/abc", true),
            ("/var/log/[ab]c", "/var/log/bc", true),
            ("/var/log/[", "/var/log/b", false),
            ("/srv/log", "/srv/log", true),
            ("/srv/log", "/srv/log/a", false),
        ] {
            assert_eq!(is_like(pattern, path), covers, "{pattern} {path}");
        }
    }
}
