//! Files as administrators leave them: whatever stands in them, only the lines that choose the MPM change.

use std::path::Path;
use std::sync::OnceLock;

use apache_tuning::httpd::Mpm;
use apache_tuning::plan::lines::{is_mpm, load_lines};
use apache_tuning::plan::sysconfig::assignment;
use proptest::prelude::*;
use serde_json::json;

use crate::tried::{Host, Tried};

const LINES: &str = "/etc/httpd/conf.modules.d/00-mpm.conf";
const VARIABLES: &str = "/etc/sysconfig/apache2";

/// One line of the file of the MPMs: a `LoadModule` line as it comes, or what else may be there.
fn line() -> impl Strategy<Value = String> {
    let load =
        ("[ \t]{0,2}", "#{0,2}", "[ \t]{0,2}", "(LoadModule|loadmodule)[ \t]{1,3}", 0..3_usize, 0..4_usize);
    prop_oneof![
        5 => load.prop_map(|(before, hash, after, word, mpm, spelling)| {
            let mpm = Mpm::ALL[mpm];
            let program = match spelling {
                0 => format!("/usr/lib64/httpd/modules/mod_mpm_{mpm}.so"),
                1 => format!("\"modules/mod_mpm_{mpm}.so\""),
                _ => format!("modules/mod_mpm_{mpm}.so"),
            };
            let hash = if after.is_empty() || !hash.is_empty() { hash } else { String::new() };
            format!("{before}{hash}{after}{word}mpm_{mpm}_module\t{program}")
        }),
        1 => "# [a-z ]{0,12}",
        1 => Just("Mutex default".to_owned()),
        1 => Just("<IfModule mpm_event_module>\n\tMutex default\n</IfModule>".to_owned()),
        1 => Just(String::new()),
    ]
}

/// One line of a file of variables.
fn variable() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["APACHE_MPM", "APACHE_MPM_OLD", "APACHE_SERVERADMIN"]);
    let value = prop::sample::select(vec!["", "prefork", "event", "worker"]);
    prop_oneof![
        4 => (name, value, "[\"']?", "[ \t]?#?", "( |\t|  # note)?").prop_map(|(name, value, quote, before, after)| {
            format!("{before}{name}={quote}{value}{quote}{after}")
        }),
        1 => Just("APACHE_MODULES=\"alias authz_core log_config\"".to_owned()),
        1 => "## [A-Za-z: ]{0,12}",
        1 => Just(String::new()),
    ]
}

/// Joins lines, each with its own kind of end; the last one may have none.
fn text(line: impl Strategy<Value = String>, crlf: &'static str) -> impl Strategy<Value = String> {
    (prop::collection::vec((line, crlf), 0..9), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text: String = lines.into_iter().map(|(line, end)| format!("{line}{end}\n")).collect();
        if !ends {
            text.truncate(text.trim_end_matches('\n').len());
        }
        text
    })
}

fn host(name: &str) -> &'static Host {
    static HOSTS: OnceLock<Vec<Host>> = OnceLock::new();
    HOSTS.get_or_init(crate::hosts).iter().find(|host| host.name == name).unwrap()
}

/// Tries one file: the MPM comes about, a second run has nothing to do, and absent gives a file back
/// with which httpd starts.
fn tried(host: &Host, path: &str, text: &str, mpm: Mpm) -> Result<String, TestCaseError> {
    let mut tried = Tried::new(host);
    tried.files = tried.files.file(path, text);
    let before = tried.clone();
    let asked = json!({"mpm": mpm.name()});
    let report = tried.does(&asked);
    prop_assert_eq!(report.mpm.after, Some(mpm));
    tried.only_these_changed(&[path]);
    tried.does_nothing(&asked);
    let after = tried.text(path);
    // With numbers as well, and all of it back again.
    let numbers = json!({"mpm": mpm.name(), "settings": {"max_request_workers": 200}});
    tried.does(&numbers);
    tried.does_nothing(&numbers);
    let absent = json!({"state": "absent"});
    if before.is_refused(&json!({"keepalive": {}})) {
        // What was there before does not start.
        prop_assert_eq!(tried.refuses(&absent).0, "MPM-001");
        return Ok(after);
    }
    tried.does(&absent);
    prop_assert_eq!(tried.text(path), before.text(path));
    Ok(after)
}

/// Returns the lines that are in the first text and not in the second, in order. Line feeds do not count: a last line
/// without one gets one where a line is added.
fn without<'a>(text: &'a str, other: &str) -> Vec<&'a str> {
    let mut others: Vec<&str> = other.split('\n').collect();
    text.split('\n')
        .filter(|line| !line.is_empty())
        .filter(|line| match others.iter().position(|other| other == line) {
            Some(at) => {
                others.remove(at);
                false
            }
            None => true,
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn of_load_lines_only_the_mark_before_them_changes(text in text(line(), "\r?"), mpm in 0..3_usize) {
        let mpm = Mpm::ALL[mpm];
        let after = tried(host("rocky9"), LINES, &text, mpm)?;
        let active: Vec<String> = load_lines(after.as_bytes())
            .into_iter()
            .filter(|line| line.is_active() && is_mpm(&line.symbol))
            .map(|line| line.symbol)
            .collect();
        prop_assert_eq!(active, [mpm.module()]);
        // What changed are lines of MPMs, and without their `#` they are what they were.
        let bare = |line: &&str| line.replace('#', "");
        let (gone, new) = (without(&text, &after), without(&after, &text));
        prop_assert!(gone.iter().chain(&new).all(|line| line.contains("_module")), "{:?} {:?}", gone, new);
        let (gone, mut new): (Vec<_>, Vec<_>) = (gone.iter().map(bare).collect(), new.iter().map(bare).collect());
        if new.len() > gone.len() {
            // A line that had to be added.
            let added = format!("LoadModule {} ", mpm.module());
            new.retain(|line| !line.starts_with(&added) || gone.contains(line));
        }
        prop_assert_eq!(new, gone);
    }

    #[test]
    fn of_variables_only_the_value_of_the_mpm_changes(text in text(variable(), ""), mpm in 0..3_usize) {
        let mpm = Mpm::ALL[mpm];
        let after = tried(host("sles15"), VARIABLES, &text, mpm)?;
        let value = assignment(after.as_bytes(), "APACHE_MPM").map(|found| found.value);
        prop_assert_eq!(value.as_deref(), Some(mpm.name()));
        let (gone, new) = (without(&text, &after), without(&after, &text));
        prop_assert!(gone.len() <= 2 && new.len() <= 2, "{:?} {:?}", gone, new);
        for name in ["APACHE_MPM_OLD", "APACHE_SERVERADMIN", "APACHE_MODULES"] {
            let of = |text: &str| assignment(text.as_bytes(), name).map(|found| found.value);
            prop_assert_eq!(of(&after), of(&text));
        }
        if let Some(found) = assignment(text.as_bytes(), "APACHE_MPM") {
            let (start, end) = (&text[..found.range.start], &text[found.range.end..]);
            prop_assert!(after.starts_with(start) && after.ends_with(end), "{}", after);
        } else {
            prop_assert!(after.starts_with(&text));
        }
    }
}

#[test]
fn an_unreadable_variable_file_is_an_error_with_its_path() {
    let mut tried = Tried::new(host("sles15"));
    tried.files = tried.files.link(VARIABLES, Path::new(VARIABLES));
    let (rule, message) = tried.refuses(&json!({"mpm": "worker"}));
    assert!(rule.starts_with("SYS-") && message.contains(VARIABLES), "{rule}: {message}");
}
