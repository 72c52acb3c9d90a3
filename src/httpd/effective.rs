//! Which value of each managed directive httpd really uses in the main server, and which line set it.

use std::path::PathBuf;

use super::directives::{Directive, Group, Loaded as _, Parser};
use super::normalise::{Written, normalise_with_buckets};
use super::numbers::{self, Unit, atoi};
use super::read::{Configuration, Line, Scope};
use super::{Mpm, Version};

/// The value of one directive in force in the main server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The directive's canonical name.
    pub directive: &'static str,
    /// The value as the winning line has it (variables expanded, quotes off), or httpd's default.
    pub value: String,
    /// The value after httpd's own corrections.
    pub used: String,
    /// Whether it holds a variable that is not known here: then `used` is the text.
    pub unknown: bool,
    /// The winning line; `None` for a default.
    pub set_at: Option<(PathBuf, u32)>,
}

/// Returns how many sets of listening sockets `ListenCoresBucketsRatio` makes with `cpus` processors online: at
/// least 1, and 1 where the processors are not known.
///
/// Source: `server/listen.c`, `ap_duplicate_listeners`.
pub fn buckets(configuration: &Configuration, cpus: Option<u64>) -> u32 {
    let line = configuration.deciding("ListenCoresBucketsRatio", Scope::Main);
    let ratio = line.and_then(|line| line.words.first()).map_or(0, |text| atoi(text).value);
    match (u64::try_from(ratio), cpus) {
        (Ok(ratio @ 1..), Some(cpus)) => u32::try_from(cpus / ratio).unwrap_or(u32::MAX).max(1),
        _ => 1,
    }
}

/// Returns every managed directive that the loaded MPM and modules know, set or default, in table order, on a
/// machine with `cpus` processors online.
pub fn effective(configuration: &Configuration, mpm: Mpm, version: Version, cpus: Option<u64>) -> Vec<Value> {
    let mut written = Written::new();
    written.extend(rows(configuration, mpm).filter(|row| row.group == Group::MPM).filter_map(|row| {
        let value = value_of(row, configuration.deciding(row.name, Scope::Main)?);
        (!configuration.is_unknown(&value)).then_some((row.name, value))
    }));
    let normal = normalise_with_buckets(mpm, version, &written, buckets(configuration, cpus));
    rows(configuration, mpm)
        .map(|row| {
            let line = deciding(configuration, row);
            let default = || (row.default)(mpm, configuration).to_owned();
            let value = match line {
                Some(_) if row.parser == Parser::Iterate => all_words(configuration, row),
                Some(line) => value_of(row, line),
                None => default(),
            };
            let unknown = configuration.is_unknown(&value);
            let used = match row.group {
                _ if unknown => value.clone(),
                Group::MPM => normal.used.get(row.name).cloned().unwrap_or_else(|| value.clone()),
                _ => used(row, &value, default),
            };
            let set_at = line.map(|line| (configuration.path(line.file).to_owned(), line.line));
            Value { directive: row.name, value, used, unknown, set_at }
        })
        .collect()
}

/// The lines of features that a virtual host has of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnLines<'a> {
    /// Index in [`Configuration::vhosts`].
    pub vhost: u32,
    /// For each directive the line that decides it, in reading order.
    pub lines: Vec<&'a Line>,
}

/// Returns the virtual hosts that set values of features of their own, in reading order.
pub fn own_lines(configuration: &Configuration) -> Vec<OwnLines<'_>> {
    let mut found: Vec<OwnLines<'_>> = Vec::new();
    let row_of = |line: &Line| configuration.table.named(line.directive);
    for line in &configuration.lines {
        let Scope::Vhost(vhost) = line.scope else { continue };
        if !row_of(line).is_some_and(|row| !matches!(row.group, Group::MPM | Group::WATCHED)) {
            continue;
        }
        // Virtual hosts do not nest, so that the lines of one stand together.
        match found.last_mut() {
            Some(own) if own.vhost == vhost => {
                own.lines.retain(|earlier| earlier.directive != line.directive);
                own.lines.push(line);
            }
            _ => found.push(OwnLines { vhost, lines: vec![line] }),
        }
    }
    found
}

/// Returns the rows of the managed directives that this MPM and the loaded modules know.
fn rows(configuration: &Configuration, mpm: Mpm) -> impl Iterator<Item = &'static Directive> {
    configuration.table.rows().filter(move |row| {
        row.group != Group::WATCHED
            && row.mpms.contains(&mpm)
            && row.module.is_none_or(|module| configuration.any_module(&module))
    })
}

/// Tells whether a line decides for the whole process wherever it stands.
pub fn counts_everywhere(configuration: &Configuration, line: &Line) -> bool {
    configuration.table.named(line.directive).is_some_and(|row| row.counts_everywhere(configuration))
}

/// Returns the line that decides a directive for the main server. Where a module keeps one value for the whole process,
/// a line in a virtual host decides as well.
fn deciding<'a>(configuration: &'a Configuration, row: &Directive) -> Option<&'a Line> {
    if row.counts_everywhere(configuration) {
        let anywhere = |line: &&Line| line.directive == row.name && line.scope != Scope::Section;
        return configuration.lines.iter().rev().find(anywhere);
    }
    configuration.deciding(row.name, Scope::Main)
}

/// Returns a line's value: its first word, or all of a raw directive.
fn value_of(row: &Directive, line: &Line) -> String {
    match row.parser {
        Parser::Iterate => line.words.join(" "),
        _ => line.words.first().cloned().unwrap_or_default(),
    }
}

/// Returns all words that a repeatable directive has in the main server.
fn all_words(configuration: &Configuration, row: &Directive) -> String {
    let own = |line: &&Line| line.directive == row.name && line.scope == Scope::Main;
    let words: Vec<&str> = configuration
        .lines
        .iter()
        .filter(own)
        .flat_map(|line| line.words.iter().map(String::as_str))
        .collect();
    words.join(" ")
}

/// Returns what httpd makes of a value; a duration as it would be written shortest.
fn used(row: &Directive, value: &str, default: impl Fn() -> String) -> String {
    match row.parser {
        Parser::Strtol0 if row.positive => {
            let number = numbers::strtol(value, 0);
            if number.digits && number.value > 0 { number.value.to_string() } else { default() }
        }
        Parser::Flag => if value.eq_ignore_ascii_case("off") { "Off" } else { "On" }.to_owned(),
        Parser::Atoi => atoi(value).value.to_string(),
        Parser::Duration => match numbers::duration(value, Unit::Seconds) {
            Ok(duration) if duration.micros % 1_000_000 == 0 => (duration.micros / 1_000_000).to_string(),
            Ok(duration) => format!("{}ms", duration.micros / 1_000),
            Err(_) => value.to_owned(),
        },
        _ => value.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::httpd::read::{Start, read};
    use crate::tree::Memory;

    fn configuration(text: &str) -> Configuration {
        let files = Memory::new().file("/c/main.conf", text).file("/m/x.so", "");
        let start = Start {
            first: Vec::new(),
            then: Vec::new(),
            unknown: crate::httpd::start::Unknown::default(),
            binary: "/usr/sbin/apache2".into(),
            file: "/c/main.conf".into(),
            server_root: "/c".into(),
            version: Version::NEWEST_KNOWN,
            built_in: vec![("core_module".to_owned(), "core.c".to_owned())],
            defines: Vec::new(),
            environment: std::collections::BTreeMap::new(),
            table: &crate::registry::TABLE,
        };
        read(&files, &start)
    }

    fn values(text: &str, mpm: Mpm) -> Vec<Value> {
        effective(&configuration(text), mpm, Version::NEWEST_KNOWN, Some(8))
    }

    fn value(text: &str, mpm: Mpm, directive: &str) -> Option<(String, String, Option<u32>)> {
        let value = values(text, mpm).into_iter().find(|value| value.directive == directive)?;
        Some((value.value, value.used, value.set_at.map(|(_, line)| line)))
    }

    #[test]
    fn every_managed_directive_of_the_mpm_has_a_value_and_no_other() {
        let names = |mpm| values("", mpm).iter().map(|value| value.directive).collect::<Vec<_>>();
        assert_eq!(
            names(Mpm::Prefork),
            [
                "StartServers",
                "ServerLimit",
                "MaxRequestWorkers",
                "MinSpareServers",
                "MaxSpareServers",
                "MaxConnectionsPerChild",
                "ThreadStackSize",
                "MaxMemFree",
                "ListenBacklog",
                "GracefulShutdownTimeout",
                "KeepAlive",
                "KeepAliveTimeout",
                "MaxKeepAliveRequests",
                "Timeout",
                "ExtendedStatus",
                "Protocols",
                "ProtocolsHonorOrder",
                "BufferedLogs",
            ]
        );
        assert!(names(Mpm::Event).contains(&"AsyncRequestWorkerFactor"));
        assert!(!names(Mpm::Worker).contains(&"AsyncRequestWorkerFactor"));
        assert!(values("", Mpm::Event).iter().all(|value| !value.value.is_empty() && value.set_at.is_none()));
    }

    #[test]
    fn the_last_line_of_the_main_server_wins_under_either_name() {
        let text = "MaxRequestWorkers 100\nMaxClients 50\n<VirtualHost *:80>\nKeepAlive Off\n</VirtualHost>\n\
                    KeepAliveTimeout 300ms\nKeepAlive off # no\nMaxKeepAliveRequests 5x\n";
        for (directive, expected) in [
            ("MaxRequestWorkers", ("50", "50", Some(2))),
            ("KeepAlive", ("off", "Off", Some(7))),
            ("KeepAliveTimeout", ("300ms", "300ms", Some(6))),
            ("MaxKeepAliveRequests", ("5x", "5", Some(8))),
            ("StartServers", ("3", "2", None)),
        ] {
            let (value, used, line) = value(text, Mpm::Event, directive).unwrap();
            if directive == "StartServers" {
                assert_eq!((value.as_str(), line), (expected.0, expected.2));
            } else {
                assert_eq!((value.as_str(), used.as_str(), line), expected, "{directive}");
            }
        }
    }

    #[test]
    fn sets_of_listening_sockets_raise_what_is_spare() {
        let text = "StartServers 1\nMinSpareThreads 10\nMaxSpareThreads 20\nListenCoresBucketsRatio ";
        // ThreadsPerChild is 25: with 2 sets, MinSpareThreads is at least 25 + 2 and MaxSpareThreads 26 x 2 above it.
        for (ratio, expected) in
            [("4", ["2", "27", "79"]), ("8", ["1", "10", "36"]), ("9", ["1", "10", "36"])]
        {
            let text = format!("{text}{ratio}\n");
            let found = ["StartServers", "MinSpareThreads", "MaxSpareThreads"]
                .map(|directive| value(&text, Mpm::Event, directive).unwrap().1);
            assert_eq!(found, expected, "8 processors, ratio {ratio}");
        }
        assert_eq!(buckets(&configuration("ListenCoresBucketsRatio 1"), None), 1);
    }

    #[test]
    fn mod_evasive_of_the_first_generation_is_set_from_virtual_hosts_too() {
        let load = |identifier: &str| format!("LoadModule {identifier} /m/x.so\n");
        let vhost = "DOSPageCount 0x10\n<VirtualHost *>\nDOSPageCount 7\n</VirtualHost>\n";
        let first = value(&(load("evasive20_module") + vhost), Mpm::Event, "DOSPageCount");
        assert_eq!(first, Some(("7".to_owned(), "7".to_owned(), Some(4))));
        let second = value(&(load("evasive_module") + vhost), Mpm::Event, "DOSPageCount");
        assert_eq!(second, Some(("0x10".to_owned(), "16".to_owned(), Some(2))));
        assert_eq!(value(vhost, Mpm::Event, "DOSPageCount"), None, "the module is not loaded");
        let enabled = value(&load("evasive_module"), Mpm::Event, "DOSEnabled").unwrap();
        assert_eq!(enabled.0, "false");
    }

    #[test]
    fn a_virtual_hosts_own_lines_are_told_once_each() {
        let configuration = configuration(
            "KeepAlive On\n<VirtualHost a>\nKeepAlive Off\nTimeout 5\nKeepAlive On\n</VirtualHost>\n\
             <VirtualHost b>\nServerName b\n</VirtualHost>\n<VirtualHost c>\nDOSPageCount 5\n</VirtualHost>\n",
        );
        let own: Vec<(u32, Vec<u32>)> = own_lines(&configuration)
            .iter()
            .map(|own| (own.vhost, own.lines.iter().map(|line| line.line).collect()))
            .collect();
        assert_eq!(own, [(0, vec![4, 5]), (2, vec![11])]);
    }
}
