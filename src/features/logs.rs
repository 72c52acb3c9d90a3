//! The directory of the logs: on a disk of its own, with a rotation of its own.
//!
//! Debian's files name it by the variable `APACHE_LOG_DIR`, so that one line of `envvars` moves all of them. Elsewhere the
//! main server gets its own lines.

use std::path::{Path, PathBuf};

use crate::distro::Site;
use crate::feature::{self, Elsewhere, Feature, Host, Item, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::read::startup::Line;
use crate::httpd::start::Script;
use crate::report::Severity;
use crate::rules::logs::{file, log_dirs, logs};
use crate::rules::{Check, Reporter, Rule, View};
use crate::tree::{Files, Role, resolve};

/// The name of this feature's parameters and block.
pub const NAME: &str = "logs";

const MODULE_ID: &str = "log_config_module";

crate::parameters! {
    /// Where the logs are. It is written whole: what is left out is as its default says.
    pub struct Logs {
        /// `false` takes out what this program put in; the logs written so far stay where they are.
        enabled: bool;
        /// The directory: absolute, there, and written by root alone. On Debian and Ubuntu `APACHE_LOG_DIR`, by which every
        /// log of their own files moves; elsewhere the main server's error log and access log. If omitted, no log is moved.
        directory: String;
        /// The nickname of the `LogFormat` of the main server's access log in that directory, or `off` for none. Default:
        /// `combined`; on Debian and Ubuntu, whose sites name their own, none.
        access: String;
        /// Whether lines are kept in memory until there are some thousand bytes. `BufferedLogs`. Programs that follow the
        /// log see them late. If omitted, it is not changed.
        buffered: bool => [
            Directive::new("BufferedLogs", Group(NAME), Parser::Flag).default(|_, _| "Off"),
        ];
        /// `true` refuses a directory on the file system of `/`, where a disk that is not mounted would leave the logs;
        /// `false` accepts it. If omitted, it is accepted with a warning.
        require_mount: bool;
        /// Whether logrotate gets a file for the directory, with what the distribution's own says. Default: `true`; an
        /// instance has none.
        rotate: bool;
    }
}

/// Returns what the task asks for, and the directory in it.
fn asked<'a>(view: &View<'a>) -> Option<(&'a Logs, &'a Path)> {
    let logs: &Logs = view.context.params.groups.get()?;
    let directory = logs.directory.as_deref().filter(|_| logs.enabled != Some(false))?;
    if !is_plain_path(directory) {
        return None;
    }
    Some((logs, Path::new(directory)))
}

/// Tells whether a text is an absolute path that means itself to a shell, to logrotate and to httpd.
fn is_plain_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    let part = |part: &str| !["", ".", ".."].contains(&part);
    text.chars().all(plain) && text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

pub(crate) static LOG_003: Rule = Rule {
    id: "LOG-003",
    severity: Severity::Warning,
    setting: "logs.directory",
    summary: "the logs share a disk with the system, the pages or the cache",
    source: "stat(2), st_dev; sysfs, dev/block",
    check: Check::View(shares_a_disk),
    ..Rule::NEW
};

fn shares_a_disk(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some((asked, directory)) = asked(view) else { return };
    let told_elsewhere = || is_on_the_root_file_system(view, directory) == Some(true);
    if asked.require_mount == Some(false) || (asked.require_mount == Some(true) && told_elsewhere()) {
        return;
    }
    let Some(own) = view.files.space(directory) else { return };
    let places = |directive: &'static str| {
        view.served(directive).map(move |line| (directive, PathBuf::from(line.first())))
    };
    let mut others = vec![("/", PathBuf::from("/"))];
    others.extend(places("DocumentRoot").chain(places("CacheRoot")));
    let shared = others.into_iter().find_map(|(what, path)| {
        let other = view.files.space(&path)?;
        let same_disk = || Some(disk(view.files, own.device)? == disk(view.files, other.device)?);
        let how = if own.device == other.device {
            "the same file system"
        } else if same_disk()? {
            "another partition of the same disk"
        } else {
            return None;
        };
        let what = if what == "/" { "/".to_owned() } else { format!("{what} {}", path.display()) };
        Some((how, what))
    });
    if let Some((how, what)) = shared {
        out.of(view, NAME, "logs.directory").value(directory.display()).emit(
            format!(
                "logs.directory {} is on {how} as {what}: full logs stop what else writes there",
                directory.display()
            ),
            "mount a disk of its own there, or set logs.require_mount: false",
        );
    }
}

/// Tells whether a directory is on the file system of `/`; `None` where that is not known.
fn is_on_the_root_file_system(view: &View<'_>, directory: &Path) -> Option<bool> {
    let device = |path: &Path| Some(view.files.space(path)?.device);
    Some(device(directory)? == device(Path::new("/"))?)
}

/// Returns the disk that a file system is on, partitions left out; `None` where no disk is known, as for a tmpfs.
fn disk(files: &dyn Files, device: u64) -> Option<PathBuf> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let block = resolve(files, Path::new(&format!("/sys/dev/block/{major}:{minor}"))).ok()?;
    if files.is_file(&block.join("partition")) { Some(block.parent()?.to_owned()) } else { Some(block) }
}

pub(crate) static LOG_009: Rule = Rule {
    id: "LOG-009",
    severity: Severity::Warning,
    setting: "logs.directory",
    summary: "a jail of Fail2ban still reads the logs where they were",
    source: "jail.conf(5), logpath",
    check: Check::View(jail_reads_elsewhere),
    ..Rule::NEW
};

fn jail_reads_elsewhere(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some((_, directory)), Some(files)) = (asked(view), view.disk()) else { return };
    let dir = Path::new("/etc/fail2ban/jail.d");
    let mut read = vec![PathBuf::from("/etc/fail2ban/jail.local")];
    read.extend(files.list(dir).unwrap_or_default().iter().map(|name| dir.join(name)));
    for path in read {
        let Ok(text) = files.read(&path) else { continue };
        for jail in jails(&String::from_utf8_lossy(&text)) {
            let about_httpd =
                ["apache", "httpd", "evasive", "modsec"].iter().any(|word| jail.name.contains(word));
            let follows =
                jail.logpath.as_deref().is_some_and(|logs| logs.contains(&*directory.to_string_lossy()));
            if jail.enabled && about_httpd && !follows {
                let reads = jail.logpath.as_deref().unwrap_or("the distribution's path");
                out.of(view, NAME, "logs.directory").value(directory.display()).emit(
                    format!(
                        "jail {} ({}) reads {reads}, not {}: it bans nobody",
                        jail.name,
                        path.display(),
                        directory.display()
                    ),
                    format!("set its logpath to the files in {}", directory.display()),
                );
            }
        }
    }
}

/// What a file says of a jail.
#[derive(Debug, Default, PartialEq, Eq)]
struct Jail {
    name: String,
    enabled: bool,
    logpath: Option<String>,
}

/// Returns the jails of a file; a line that begins with a space goes on with the value before it.
fn jails(text: &str) -> Vec<Jail> {
    let mut jails: Vec<Jail> = Vec::new();
    let mut goes_on = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            jails.push(Jail { name: name.trim().to_owned(), ..Jail::default() });
            continue;
        }
        let Some(jail) = jails.last_mut() else { continue };
        if line.starts_with([' ', '\t']) {
            if let Some(logpath) = jail.logpath.as_mut().filter(|_| goes_on) {
                logpath.push(' ');
                logpath.push_str(line.trim());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        goes_on = key.trim() == "logpath";
        match key.trim() {
            "enabled" => {
                jail.enabled = ["true", "1", "yes", "on"].contains(&&*value.trim().to_ascii_lowercase());
            }
            "logpath" => jail.logpath = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    jails
}

pub(crate) static LOG_011: Rule = Rule {
    id: "LOG-011",
    severity: Severity::Error,
    setting: "logs.require_mount",
    summary: "the directory of the logs is on the file system of /, where a mount is required",
    source: "stat(2), st_dev",
    check: Check::View(is_not_mounted),
    ..Rule::NEW
};

fn is_not_mounted(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some((asked, directory)) = asked(view) else { return };
    if asked.require_mount == Some(true) && is_on_the_root_file_system(view, directory) == Some(true) {
        out.of(view, NAME, "logs.require_mount").value(directory.display()).emit(
            format!("{} is on the file system of /: its disk is not mounted", directory.display()),
            "mount the disk, or set logs.require_mount: false",
        );
    }
}

pub(crate) static LOG_012: Rule = Rule {
    id: "LOG-012",
    severity: Severity::Warning,
    setting: "logs.directory",
    summary: "some logs are written elsewhere than in the directory that is asked for",
    source: "httpd 2.4 modules/loggers/mod_log_config.c, server/log.c",
    check: Check::View(others_stay),
    ..Rule::NEW
};

fn others_stay(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some((_, directory)) = asked(view) else { return };
    let elsewhere = |line: &&Line| file(view, line).is_some_and(|path| !path.starts_with(directory));
    let overrides = |line: &&Line| {
        let of_server = view.served("ErrorLog").filter(|other| other.server == line.server);
        of_server.last().is_some_and(|last| !std::ptr::eq(last, *line))
    };
    // An error log is the last one named; each access log is one more.
    let stay: Vec<&Line> =
        logs(view).filter(elsewhere).filter(|line| !(line.is("ErrorLog") && overrides(line))).collect();
    let Some(first) = stay.first() else { return };
    let more = if stay.len() > 1 { format!(" and {} more", stay.len() - 1) } else { String::new() };
    out.of(view, NAME, "logs.directory").value(directory.display()).effective(first.first()).emit(
        format!(
            "{} {} at {}{more} is not in {}",
            first.directive,
            first.first(),
            view.place(first),
            directory.display()
        ),
        "change the path there, or take the line out",
    );
}

pub(crate) static LOG_013: Rule = Rule {
    id: "LOG-013",
    severity: Severity::Error,
    setting: "logs.directory",
    summary: "no log is written in the directory that is asked for",
    source: "httpd 2.4 server/core.c, ap_resolve_env",
    check: Check::View(nothing_moves),
    ..Rule::NEW
};

fn nothing_moves(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some((_, directory)), Some(_)) = (asked(view), view.context.startup) else { return };
    if !log_dirs(view).iter().any(|(_, dir)| dir.starts_with(directory)) {
        out.of(view, NAME, "logs.directory").value(directory.display()).emit(
            format!("no line names a log in {}: none of them uses APACHE_LOG_DIR, or a later line sets it", directory.display()),
            "write ${APACHE_LOG_DIR} in ErrorLog and CustomLog, and take out other lines that set APACHE_LOG_DIR",
        );
    }
}

pub(crate) static LOG_014: Rule = Rule {
    id: "LOG-014",
    severity: Severity::Error,
    setting: "logs.directory",
    summary: "is not an absolute path of letters, digits and / _ . -",
    source: "the start script reads it as a shell's word, logrotate as a pattern",
    ..Rule::NEW
};

pub(crate) static LOG_015: Rule = Rule {
    id: "LOG-015",
    severity: Severity::Error,
    setting: "logs.access",
    summary: "is not the nickname of a LogFormat",
    source: "httpd 2.4 modules/loggers/mod_log_config.c",
    ..Rule::NEW
};

pub(crate) static LOG_016: Rule = Rule {
    id: "LOG-016",
    severity: Severity::Warning,
    setting: "logs.rotate",
    summary: "the distribution's own rule for logrotate is not there, so none is written for the directory",
    source: "logrotate(8)",
    ..Rule::NEW
};

/// The feature.
pub static LOGS: Feature = Feature {
    name: NAME,
    doc: "The directory of the logs, on a disk of its own if wanted. If omitted, it is not managed.",
    fields: Logs::FIELDS,
    list: false,
    directives: Logs::DIRECTIVES,
    watched: &[],
    modules: &[],
    rules: &[&LOG_003, &LOG_009, &LOG_011, &LOG_012, &LOG_013, &LOG_014, &LOG_015, &LOG_016],
    early: |_| None,
    elsewhere,
    writes: Writes::DropIn,
    parse: feature::parse::<Logs>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Logs>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// Returns the names of error log and access log, as the family has them.
const fn names(script: Script) -> (&'static str, &'static str) {
    match script {
        Script::Apache2ctl | Script::OpenRc { .. } => ("error.log", "access.log"),
        Script::Unit { .. } | Script::StartApache2 | Script::Image => ("error_log", "access_log"),
        Script::Rc => ("httpd-error.log", "httpd-access.log"),
    }
}

/// The file for logrotate that is this program's own.
const ROTATION: &str = "/etc/logrotate.d/apache-tuning";

/// An instance has no rotation: what the distribution's own says is about the main server.
fn elsewhere(site: &Site) -> Vec<(PathBuf, Role)> {
    let rotation = site.instance.is_none().then(|| (PathBuf::from(ROTATION), Role::Beside));
    let by_variable = site.layout.script == Script::Apache2ctl;
    rotation.into_iter().chain(by_variable.then(|| (site.variables(), Role::Variables))).collect()
}

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Logs>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    want.given(&LOGS, group);
    let Some(directory) = asked.directory.as_deref() else { return };
    if !is_plain_path(directory) {
        want.findings.push(LOG_014.finding(
            ("logs.directory", directory),
            format!("logs.directory {directory:?} is not an absolute path of letters, digits and / _ . -"),
            "write a path such as /srv/log/apache2".to_owned(),
        ));
        return;
    }
    let site = host.place.site;
    let by_variable = site.layout.script == Script::Apache2ctl;
    let (error, access) = names(site.layout.script);
    let nickname = asked.access.as_deref().or((!by_variable).then_some("combined"));
    if let Some(nickname) = nickname.filter(|name| !name.eq_ignore_ascii_case("off")) {
        let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if nickname.is_empty() || !nickname.chars().all(word) {
            want.findings.push(LOG_015.finding(
                ("logs.access", nickname),
                format!("logs.access {nickname:?} is not the nickname of a LogFormat"),
                "name one that a LogFormat line defines, such as combined, or off".to_owned(),
            ));
        }
        let line = Item::line("CustomLog", [format!("{directory}/{access}"), nickname.to_owned()]);
        want.items.push(Item::Section("IfModule", MODULE_ID.to_owned(), vec![line]));
    }
    if by_variable {
        let lines = format!("export APACHE_LOG_DIR={directory}\n");
        want.elsewhere.push(Elsewhere { file: site.variables(), lines });
    } else {
        want.items.push(Item::line("ErrorLog", [format!("{directory}/{error}")]));
    }
    if asked.rotate != Some(false) && site.instance.is_none() {
        match rotation(host.place.files, [site.layout.unit, site.layout.package], directory) {
            Some(lines) => want.elsewhere.push(Elsewhere { file: ROTATION.into(), lines }),
            None => want.findings.push(LOG_016.finding(
                ("logs.rotate", "true"),
                format!("no rule of logrotate for {} is there to follow, so nothing rotates {directory}", site.layout.unit),
                "install logrotate with the distribution's rule, or set logs.rotate: false and rotate them otherwise".to_owned(),
            )),
        }
    }
}

/// Returns the distribution's own rule for logrotate with another directory: the first one that its file has.
fn rotation(files: &dyn Files, names: [&str; 2], directory: &str) -> Option<String> {
    let text = names.iter().find_map(|name| files.read(&Path::new("/etc/logrotate.d").join(name)).ok())?;
    let text = std::str::from_utf8(&text).ok()?;
    let without_comments: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let text = without_comments.join("\n");
    let (head, rest) = text.split_once('{')?;
    let mut body = String::new();
    let mut lines = rest.lines();
    loop {
        let line = lines.next()?;
        if line.trim() == "}" {
            break;
        }
        if !line.trim().is_empty() {
            body.push_str(line);
            body.push('\n');
        }
    }
    let patterns: Vec<String> = head
        .split_ascii_whitespace()
        .map(|word| word.trim_matches(['"', '\'']))
        .filter_map(|word| Some(format!("{directory}/{}", Path::new(word).file_name()?.to_str()?)))
        .collect();
    (!patterns.is_empty()).then(|| format!("{} {{\n{body}}}\n", patterns.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn the_distribution_s_own_rotation_goes_on_in_another_directory() {
        let stock = "# a comment {\n/var/log/httpd/*log {\n    missingok\n\n    postrotate\n        a ${b}\n    endscript\n}\n";
        let files = Memory::new().file("/etc/logrotate.d/httpd", stock);
        assert_eq!(
            rotation(&files, ["httpd", "httpd"], "/srv/log").as_deref(),
            Some("/srv/log/*log {\n    missingok\n    postrotate\n        a ${b}\n    endscript\n}\n")
        );
        let open = Memory::new().file("/etc/logrotate.d/httpd", "/var/log/httpd/*log {\n    missingok\n");
        assert_eq!(rotation(&open, ["httpd", "httpd"], "/srv/log"), None);
        assert_eq!(rotation(&Memory::new(), ["httpd", "httpd"], "/srv/log"), None);
    }

    #[test]
    fn a_jail_is_read_as_fail2ban_reads_it() {
        let text = "[DEFAULT]\nbantime = 1h\n[apache-auth]\n; enabled = false\nenabled = True\nlogpath = /a/*.log\n   /b/*.log\n[x]\nenabled=no\n";
        let found = jails(text);
        assert_eq!(
            found[1],
            Jail {
                name: "apache-auth".to_owned(),
                enabled: true,
                logpath: Some("/a/*.log /b/*.log".to_owned())
            }
        );
        assert!(!found[0].enabled && !found[2].enabled);
    }
}
