//! What httpd, mod_evasive and the host make of the wanted settings: [`all`] rules, each an item above its check.
//!
//! A rule sees plain data ([`Context`]) and says [`Finding`]s: what is wrong, with the numbers, and what to set
//! instead. An error that is not waived fails the task before anything is touched, so a finding about a line that
//! the task does not manage is at most a warning, unless that line keeps the server from serving at all.

pub(crate) mod balancers;
mod children;
pub(crate) mod evasive;
pub(crate) mod gate;
mod grammar;
pub(crate) mod host;
mod keepalive;
mod listen;
pub(crate) mod logs;
pub(crate) mod modsecurity;
pub(crate) mod modules;
pub(crate) mod mpm;
mod numbers;
pub(crate) mod overriding;
pub(crate) mod php;
mod reqtimeout;
mod rule;
pub(crate) mod run;
mod sizes;
mod spare;
pub(crate) mod timeouts;
pub(crate) mod undo;
mod view;
mod workers;

use std::fmt::Write as _;

pub use gate::Start;
pub use rule::Rule;
pub(crate) use rule::{Check, Reporter, THREADED};
pub use sizes::scoreboard;
pub(crate) use view::View;

use crate::capacity::MemoryNeed;
use crate::distro::Layout;
use crate::facts::{Known, Machine, Running};
use crate::features::evasive::Build;
use crate::httpd::effective::Value;
use crate::httpd::moved::Moved;
use crate::httpd::normalise::{Normal, Written};
use crate::httpd::read::Configuration;
use crate::httpd::read::startup::Startup;
use crate::httpd::start::Construct;
use crate::httpd::{Mpm, Version};
use crate::params::bounds::{MOST_IN_ONE_PLACE, and_more, cut};
use crate::params::{Params, nearest};
use crate::registry::FEATURES;
use crate::report::{Finding, Need, ParameterError, Severity};
use crate::tree::{Change, Files};

/// What is known of mod_evasive's directory of lock files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogDir {
    /// Whether it is a directory.
    pub exists: bool,
    /// Whether the user that serves requests may write in it.
    pub web_user_writes: bool,
    /// Whether everybody may.
    pub world_writes: bool,
}

/// Facts of the host beyond [`Machine`], each optional: nothing is guessed.
#[derive(Debug, Clone, Default)]
pub struct Host<'a> {
    /// ID and VERSION_ID of os-release: `("rocky", "9.4")`.
    pub distribution: Option<(&'a str, &'a str)>,
    /// The directory that `DOSLogDir` will name, if it was looked at.
    pub log_dir: Option<LogDir>,
    /// Whether the wanted MPM's `.so` is there (or built in).
    pub mpm_available: Option<bool>,
    /// Whether the program that mod_evasive mails with is there.
    pub mail_program: Option<bool>,
    /// Whether a php-fpm is installed, if mod_php is to go.
    pub php_fpm: Option<bool>,
    /// What the start script's `ulimit -n` lowers the open files to, where it has such a line.
    pub start_script_files: Option<Known<u64>>,
    /// The lines of the start script's variables that only a shell could carry out.
    pub shell: &'a [Construct],
}

/// What to do about a value that no reload brings into a running server.
const BY_RESTART: &str =
    "stop and start the server: systemctl restart, or its script's stop and start without systemd";

/// The rules by file, in the order of the result within one severity.
static BY_FILE: &[&[&Rule]] = &[
    // Who believes to be protected and is not has to hear that before all other warnings.
    modsecurity::RULES,
    numbers::RULES,
    mpm::RULES,
    sizes::RULES,
    workers::RULES,
    spare::RULES,
    children::RULES,
    listen::RULES,
    logs::RULES,
    host::RULES,
    keepalive::RULES,
    timeouts::RULES,
    balancers::RULES,
    modules::RULES,
    undo::RULES,
    php::RULES,
    evasive::RULES,
    evasive::values::RULES,
    evasive::actions::RULES,
    evasive::counting::RULES,
    grammar::RULES,
    gate::RULES,
    run::RULES,
    overriding::RULES,
];

/// Returns every rule, in the order of the result within one severity.
pub fn all() -> impl Iterator<Item = &'static Rule> + Clone {
    let of_features = FEATURES.iter().map(|feature| feature.rules);
    BY_FILE.iter().copied().chain(of_features).flatten().copied()
}

/// All that the rules look at.
#[derive(Clone)]
pub struct Context<'a> {
    /// What was asked.
    pub params: &'a Params,
    /// The MPM after the change.
    pub mpm: Mpm,
    /// The family of the host.
    pub layout: &'a Layout,
    /// httpd's version.
    pub version: Version,
    /// The machine's limits.
    pub machine: &'a Machine,
    /// Further facts.
    pub host: Host<'a>,
    /// What the server and everything else need of the memory.
    pub memory: &'a MemoryNeed,
    /// The build of mod_evasive found on the host; `None` where there is none.
    pub evasive: Option<&'a Build>,
    /// The MPM's directives that are judged: the wanted ones where `settings` or `capacity` is given (what is left
    /// out counts with httpd's default), else those in force after the change.
    pub written: &'a Written,
    /// What httpd makes of `written`.
    pub normal: &'a Normal,
    /// The configuration as it is.
    pub before: &'a Configuration,
    /// The values in force in it.
    pub values_before: &'a [Value],
    /// The values that the change moves and that a running server keeps until it is stopped.
    pub moved: &'a [Moved],
    /// The configuration as it would be.
    pub after: &'a Configuration,
    /// What decides in it whether httpd starts and what it serves; `None` where nothing changes and only that is asked.
    pub startup: Option<&'a Startup>,
    /// The host's files as they would be.
    pub files: &'a dyn Files,
    /// The time, in seconds since the epoch; `None` where nothing of the kind is asked.
    pub now: Option<u64>,
    /// The running server.
    pub running: Option<&'a Running>,
    /// What the plan says a running server needs.
    pub need: Need,
    /// The files that would change.
    pub changes: &'a [Change],
    /// Whether the change cannot be planned: then nothing of it is in `after`.
    pub blocked: bool,
    /// Whether only a report is wanted: then lines that no task manages weigh in full.
    pub audit: bool,
}

/// Returns what all rules say: errors first, then in table order. Findings of waived rules stay, marked.
// A function of its own in the shipped binary too, so that its cost can be measured.
#[inline(never)]
pub fn check(context: &Context<'_>) -> Vec<Finding> {
    let view = View::new(context);
    let mut findings = Vec::new();
    let judges = |rule: &&Rule| rule.mpms.contains(&context.mpm) && !(context.blocked && rule.after_change);
    for rule in all().filter(judges) {
        if let Check::View(check) = rule.check {
            check(&view, &mut Reporter { rule, findings: &mut findings });
        }
    }
    let unknown = |finding: &Finding| {
        context.after.is_unknown(&finding.message)
            || finding.value.as_deref().is_some_and(|value| context.after.is_unknown(value))
    };
    // What is not known cannot be wrong.
    findings
        .iter_mut()
        .filter(|finding| unknown(finding))
        .for_each(|finding| finding.severity = Severity::Info);
    for finding in &mut findings {
        finding.waived = context.params.waives(&finding.rule);
        let concerns = || !finding.standing && view.concerns(finding.setting.as_deref().unwrap_or_default());
        finding.standing = !context.audit && !concerns();
    }
    crate::report::worst_first(&mut findings);
    findings
}

/// Tells whether findings fail the task.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.severity == Severity::Error && !finding.waived)
}

/// Returns the rule with this id, in any case.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// Tells whether the findings of one rule take the place of those of another.
pub(crate) fn supersedes(one: &str, other: &str) -> bool {
    find(one).is_some_and(|rule| rule.supersedes.iter().any(|rule| rule.id == other))
}

/// Returns the id nearest to one that is not known.
pub fn nearest_rule(id: &str) -> Option<&'static str> {
    nearest(&id.to_ascii_uppercase(), all().map(|rule| rule.id))
}

/// Returns an error for each id in `waive` that no rule has.
pub fn unknown_waived(waive: &[String]) -> Vec<ParameterError> {
    let mut unknown = waive.iter().enumerate().filter(|(_, id)| find(id).is_none());
    let first = unknown.by_ref().take(MOST_IN_ONE_PLACE);
    let mut errors: Vec<ParameterError> = first
        .map(|(index, id)| ParameterError {
            path: format!("waive[{index}]"),
            message: match nearest_rule(id) {
                Some(near) => format!("no rule is called '{}'; the nearest is {near}", cut(id)),
                None => format!("no rule is called '{}'; `apache-tuning rules` lists them", cut(id)),
            },
        })
        .collect();
    let more = unknown.count();
    if more > 0 {
        errors.push(and_more("waive", more, "ids that no rule has"));
    }
    errors
}

/// Returns the MPMs of a rule in short: `all`, or names.
pub fn applies(rule: &Rule) -> String {
    if rule.mpms.len() == Mpm::ALL.len() {
        return "all".to_owned();
    }
    rule.mpms.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(", ")
}

/// Returns a severity's name, as in JSON.
pub const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

/// Returns `docs/rules.md`: the whole table.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Rules\n\n\
         Every rule that `apache-tuning` checks before a byte is written. `apache-tuning rules ID` prints one; \
         `waive: [ID]` keeps its findings from failing a task.\n\n\
         An **error** fails the task: httpd would refuse, die, or run with something other than asked. A \
         **warning** works, but not as most would expect. An **info** is worth saying. A finding about a line that \
         the task does not manage is at most a warning, unless the server does not serve with it.\n\n\
         This page is written by `cargo xtask docs` from the rules in `src/rules`.\n\n\
         | id | severity | MPM | about | finds | source |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for rule in all() {
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            rule.id,
            severity(rule.severity),
            applies(rule),
            cell(rule.setting),
            cell(rule.summary),
            cell(rule.source)
        );
    }
    text.push_str("\n## Why, and what to do\n");
    for rule in all().filter(|rule| !rule.why.is_empty() || !rule.example.is_empty()) {
        let _ = writeln!(text, "\n### {}: {}\n\n{}.", rule.id, rule.setting, capital(rule.summary));
        for words in [rule.why, rule.remedy].iter().filter(|words| !words.is_empty()) {
            let _ = writeln!(text, "\n{}", words.replace('<', "&lt;"));
        }
        for (title, lines) in [("Not so", rule.example), ("But so", rule.instead)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "\n{title}:\n\n```apache\n{lines}\n```");
            }
        }
    }
    text
}

/// Returns a sentence with a capital at its beginning, unless it begins with a name.
fn capital(sentence: &str) -> String {
    let first = sentence.split(' ').next().unwrap_or_default();
    let mut chars = sentence.chars();
    match chars.next() {
        Some(letter) if first.chars().all(|c| c.is_ascii_lowercase()) && first != "httpd" => {
            letter.to_uppercase().chain(chars).collect()
        }
        _ => sentence.to_owned(),
    }
}
