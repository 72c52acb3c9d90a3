//! Which values in force a change moves: the one comparison of a configuration with another, from which the plan tells
//! whether a reload is enough, and by which the rules judge that.
//!
//! Compared is what httpd uses, never what is written: a line that goes and a default that is the same move nothing,
//! and neither do `60` and `1min`.

use super::core_directives;
use super::directives::{Directive, Group, Takes};
use super::effective::{self, Value};
use super::numbers::atoi;
use super::read::{Configuration, Scope};

/// One directive whose value in force is another one after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The directive's canonical name.
    pub directive: &'static str,
    /// What httpd uses before.
    pub before: String,
    /// What httpd uses after it.
    pub after: String,
}

/// A configuration with the values in force in it.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// The configuration.
    pub configuration: &'a Configuration,
    /// Its values, as [`effective::effective`] returns them.
    pub values: &'a [Value],
    /// The processors online, where they are known.
    pub cpus: Option<u64>,
}

/// Returns the directives that a running server keeps from its start and that differ, under one MPM.
///
/// Source: `first_server_limit` and `first_thread_limit` of `server/mpm/*/*.c`; `server/listen.c`, which goes on with the
/// sockets and the buckets that it has; `server/scoreboard.c`, `ap_create_scoreboard`, which keeps the memory;
/// `modules/ssl/ssl_engine_config.c`, `ssl_config_global_create`, whose record points into the last configuration.
pub fn moved_until_restart(before: InForce<'_>, after: InForce<'_>) -> Vec<Moved> {
    let differs = |row: &'static Directive| {
        let directive = row.name;
        let (before, after) = (before.used(directive), after.used(directive));
        let kept = match row.takes {
            Takes::Reload => false,
            Takes::RestartToEnd => ["", "none", "nonenotnull"].contains(&after.to_ascii_lowercase().as_str()),
            Takes::Restart | Takes::Socket => true,
        };
        (kept && before != after).then_some(Moved { directive, before, after })
    };
    let rows = after.configuration.table.rows().filter(|row| row.takes > Takes::Reload);
    rows.filter_map(differs).collect()
}

impl InForce<'_> {
    /// Returns what httpd uses for a directive; the empty text where this MPM does not have it.
    fn used(&self, directive: &str) -> String {
        if let Some(value) = self.values.iter().find(|value| value.directive == directive) {
            return value.used.clone();
        }
        if core_directives::find(directive.as_bytes()).is_some_and(|row| row.group == Group::MPM) {
            return String::new();
        }
        let line = self.configuration.deciding(directive, Scope::Main);
        let word = line.and_then(|line| line.words.first()).map_or("", String::as_str);
        match directive {
            // What counts is how many sets of sockets come of it.
            "ListenCoresBucketsRatio" if self.cpus.is_some() => {
                let sets = effective::buckets(self.configuration, self.cpus);
                format!("{sets} {} of sockets", if sets == 1 { "set" } else { "sets" })
            }
            "ListenCoresBucketsRatio" | "SendBufferSize" | "ReceiveBufferSize" => {
                atoi(word).value.to_string()
            }
            _ => word.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::httpd::read::Line;
    use crate::httpd::{Mpm, Version};

    fn configuration(lines: &[&str]) -> Configuration {
        let mut configuration = Configuration { table: &crate::registry::TABLE, ..Configuration::default() };
        configuration.lines.extend(lines.iter().filter_map(|text| {
            let (written, word) = text.split_once(' ')?;
            let directive = crate::registry::TABLE.find(written.as_bytes())?.name;
            let words = vec![word.to_owned()];
            Some(Line { directive, written: written.to_owned(), words, file: 0, line: 1, scope: Scope::Main })
        }));
        configuration
    }

    fn moved(mpm: Mpm, before: &[&str], after: &[&str]) -> Vec<(&'static str, String, String)> {
        let (before, after) = (configuration(before), configuration(after));
        let values = |of| effective::effective(of, mpm, Version::NEWEST_KNOWN, Some(4));
        let (values_before, values_after) = (values(&before), values(&after));
        let in_force = |configuration, values| InForce { configuration, values, cpus: Some(4) };
        moved_until_restart(in_force(&before, &values_before), in_force(&after, &values_after))
            .into_iter()
            .map(|moved| (moved.directive, moved.before, moved.after))
            .collect()
    }

    #[test]
    fn a_default_that_is_written_and_one_that_is_not_are_the_same() {
        for (mpm, line) in [
            (Mpm::Event, "ServerLimit 16"),
            (Mpm::Worker, "ServerLimit 16"),
            (Mpm::Prefork, "ServerLimit 256"),
            (Mpm::Event, "ThreadLimit 64"),
            (Mpm::Worker, "ThreadLimit 64"),
            (Mpm::Prefork, "ListenBacklog 511"),
            (Mpm::Event, "SendBufferSize 0"),
            (Mpm::Event, "ReceiveBufferSize 0"),
            (Mpm::Event, "ListenCoresBucketsRatio 0"),
            // One set of sockets, as without it.
            (Mpm::Event, "ListenCoresBucketsRatio 4"),
            (Mpm::Event, "ListenCoresBucketsRatio 100"),
            // No more than the MPM knows, no less than 1.
            (Mpm::Event, "ThreadLimit 64abc"),
        ] {
            assert_eq!(moved(mpm, &[line], &[]), [], "{mpm}: {line} goes");
            assert_eq!(moved(mpm, &[], &[line]), [], "{mpm}: {line} comes");
        }
        assert_eq!(moved(Mpm::Event, &["ServerLimit 0"], &["ServerLimit 1"]), []);
        assert_eq!(moved(Mpm::Event, &["ServerLimit 20000"], &["ServerLimit 30000"]), []);
    }

    #[test]
    fn what_a_running_server_keeps_is_told_with_both_values() {
        for (mpm, before, after, expected) in [
            (Mpm::Event, &["ServerLimit 32"][..], &[][..], ("ServerLimit", "32", "16")),
            (Mpm::Prefork, &[], &["ServerLimit 32"], ("ServerLimit", "256", "32")),
            (Mpm::Worker, &[], &["ThreadLimit 128"], ("ThreadLimit", "64", "128")),
            (Mpm::Event, &["ListenBacklog 600"], &[], ("ListenBacklog", "600", "511")),
            (Mpm::Event, &[], &["SendBufferSize 9000"], ("SendBufferSize", "0", "9000")),
            (Mpm::Event, &[], &["ReceiveBufferSize 9000"], ("ReceiveBufferSize", "0", "9000")),
            (
                Mpm::Event,
                &[],
                &["ListenCoresBucketsRatio 2"],
                ("ListenCoresBucketsRatio", "1 set of sockets", "2 sets of sockets"),
            ),
            (Mpm::Event, &[], &["ScoreBoardFile /run/sb"], ("ScoreBoardFile", "", "/run/sb")),
        ] {
            let expected = vec![(expected.0, expected.1.to_owned(), expected.2.to_owned())];
            assert_eq!(moved(mpm, before, after), expected);
        }
        assert_eq!(moved(Mpm::Prefork, &[], &["ThreadLimit 128"]), [], "prefork has no such limit");
        // A cache that comes or changes needs a reload, one that goes a stop and start.
        let (small, large) = ("SSLSessionCache shmcb:/run/c(9000)", "SSLSessionCache shmcb:/run/c(90000)");
        assert_eq!(moved(Mpm::Event, &[], &[small]), []);
        assert_eq!(moved(Mpm::Event, &[small], &[large]), []);
        assert_eq!(moved(Mpm::Event, &[small], &[]).len(), 1);
        assert_eq!(moved(Mpm::Event, &[small], &["SSLSessionCache none"]).len(), 1);
    }
}
