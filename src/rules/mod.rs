//! What httpd, mod_evasive and the host make of the wanted settings: [`RULES`], one row a rule.
//!
//! A rule sees plain data ([`Context`]) and says [`Finding`]s: what is wrong, with the numbers, and what to set
//! instead. An error that is not waived fails the task before anything is touched, so a finding about a line that
//! the task does not manage is at most a warning, unless that line keeps the server from serving at all.

mod evasive;
mod grammar;
mod host;
mod keepalive;
mod listen;
mod modules;
mod numbers;
mod overriding;
mod reqtimeout;

mod sizes;
mod table;

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::path::PathBuf;

pub use sizes::scoreboard;
pub use table::RULES;

use crate::capacity::{self, MemoryNeed, Server};
use crate::distro::Layout;
use crate::facts::{Known, Machine, Running};
use crate::features::evasive::Build;
use crate::httpd::directives::{Directive, Group};
use crate::httpd::effective::Value;
use crate::httpd::envvars::Construct;
use crate::httpd::moved::Moved;
use crate::httpd::normalise::{Correction, Normal, Written};
use crate::httpd::read::{Configuration, Line, Note, NoteKind, Scope};
use crate::httpd::{Mpm, Version};
use crate::params::bounds::{MOST_IN_ONE_PLACE, and_more, cut};
use crate::params::{Params, Settings, nearest};
use crate::report::{Bound, Finding, Need, ParameterError, Severity};
use crate::tree::Change;

/// One rule. Its `id` is stable: tests, documents and `waive` key on it.
pub struct Rule {
    /// Such as `MRW-002`.
    pub id: &'static str,
    /// How much its findings weigh; a finding about a line that the task does not manage may weigh less.
    pub severity: Severity,
    /// The MPMs under which it can say something.
    pub applies: &'static [Mpm],
    /// The directive, parameter or part of the configuration it is about.
    pub setting: &'static str,
    /// What it finds and what httpd does then, in one sentence.
    pub summary: &'static str,
    /// Where that behaviour can be read.
    pub source: &'static str,
    /// Whether what it looks at is known already.
    pub input: Input,
    check: Check,
}

/// What to do about a value that no reload brings into a running server.
const BY_RESTART: &str =
    "stop and start the server: systemctl restart, or its script's stop and start without systemd";

/// The check of a rule: looks at the view, says what it finds.
type Check = fn(&View<'_>, &mut Found<'_>);

/// Whether a rule's input is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// It is.
    Now,
    /// It is seen while the change is planned, not in the settings: the plan says the finding.
    Plan,
    /// It is not gathered yet: what is missing. The rule stays silent.
    Pending(&'static str),
}

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
    /// The lines of the start script's variables that only a shell could evaluate, each with its file.
    pub shell: &'a [(PathBuf, Construct)],
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
    /// The running server.
    pub running: Option<&'a Running>,
    /// What the plan says a running server needs.
    pub need: Need,
    /// The files that would change.
    pub changes: &'a [Change],
    /// Whether only a report is wanted: then lines that no task manages weigh in full.
    pub audit: bool,
}

/// A [`Context`] with what several rules look up in it, worked out once.
struct View<'a> {
    context: &'a Context<'a>,
    /// The lines of the main server by directive, in reading order.
    main: BTreeMap<&'static str, Vec<&'a Line>>,
    /// The lines of virtual hosts, in reading order.
    in_vhosts: Vec<&'a Line>,
    /// Each limit of the host that is known, beside what the sizes need of it.
    bounds: Vec<Bound>,
    /// What of the server decides what it needs beside its sizes.
    server: Server,
}

impl<'a> std::ops::Deref for View<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Self::Target {
        self.context
    }
}

impl<'a> View<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let mut main: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut in_vhosts = Vec::new();
        for line in &context.after.lines {
            match line.scope {
                Scope::Main => main.entry(line.directive).or_default().push(line),
                Scope::Vhost(_) => in_vhosts.push(line),
                Scope::Section => {}
            }
        }
        let server = Server::of(context.mpm, context.version, context.after);
        let load = context.params.capacity.as_ref().map(|capacity| capacity.connections);
        let bounds = capacity::assess(&server, context.normal, load, context.machine, context.memory).bounds;
        Self { context, main, in_vhosts, bounds, server }
    }

    /// Returns the limit of this name, where the sizes go beyond it.
    fn exceeded(&self, name: &str) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.name == name && bound.needs > bound.limit)
    }

    /// Returns the row of a directive by its canonical name.
    fn row(&self, directive: &str) -> Option<&'static Directive> {
        self.after.table.named(directive)
    }

    /// Tells whether the task manages a group.
    fn manages(&self, group: Group) -> bool {
        match group {
            Group::MPM => self.params.settings.is_some() || self.params.capacity.is_some(),
            Group(name) => self.params.groups.has(name),
        }
    }

    /// Tells whether the task decides a directive's value: one that is left out of a group that is managed stays as it
    /// stands, the sizes apart.
    fn decides(&self, row: &Directive) -> bool {
        self.manages(row.group)
            && match row.group {
                Group::MPM => {
                    let asks =
                        |settings: &Settings| settings.numbers().iter().any(|(name, _)| *name == row.name);
                    row.one_set || self.params.settings.as_ref().is_some_and(asks)
                }
                Group(name) => self.params.groups.decides(name, row.key),
            }
    }

    /// Tells whether remarks that only matter to whoever chose the value are worth saying.
    fn remarks(&self, group: Group) -> bool {
        self.audit || self.manages(group)
    }

    /// Returns how a user writes a directive: the parameter's path where the task manages it, else its name.
    fn path(&self, directive: &'static str) -> String {
        match self.row(directive) {
            Some(row) if !row.key.is_empty() && self.manages(row.group) => {
                format!("{}.{}", row.group.0, row.key)
            }
            _ => directive.to_owned(),
        }
    }

    /// Returns how a user writes a directive in a hint: the parameter's key, or its name.
    fn name(&self, directive: &'static str) -> &'static str {
        match self.row(directive) {
            Some(row) if !row.key.is_empty() && self.manages(row.group) => row.key,
            _ => directive,
        }
    }

    /// Returns the line of the main server that decides a directive after the change.
    fn line(&self, directive: &str) -> Option<&'a Line> {
        self.main.get(directive).and_then(|lines| lines.last()).copied()
    }

    /// Returns the first word of the line of the main server that decides a directive after the change.
    fn standing(&self, directive: &str) -> Option<&'a str> {
        self.line(directive).and_then(|line| line.words.first()).map(String::as_str)
    }

    /// Returns the text judged for a directive of the MPM.
    fn text(&self, directive: &str) -> Option<&'a str> {
        self.written.get(directive).map(String::as_str)
    }

    /// Returns the value that httpd uses for a directive of the MPM.
    fn used(&self, directive: &str) -> &'a str {
        self.context.normal.used.get(directive).map_or("", String::as_str)
    }

    /// Returns the first correction with one of these codes.
    fn correction(&self, codes: &[&str]) -> Option<&'a Correction> {
        self.context.normal.corrections.iter().find(|c| c.code.is_some_and(|code| codes.contains(&code)))
    }

    /// Returns the notes of one kind on the configuration after the change.
    fn notes(&self, kind: NoteKind) -> impl Iterator<Item = &'a Note> {
        self.context.after.notes.iter().filter(move |note| note.kind == kind)
    }

    /// Tells whether a module is loaded after the change.
    fn has(&self, identifier: &str) -> bool {
        self.after.has_module(identifier)
    }

    /// Writes where a line stands: ` (/etc/apache2/apache2.conf:12)`.
    fn at(&self, line: Option<&Line>) -> String {
        line.map_or_else(String::new, |line| {
            format!(" ({}:{})", self.after.path(line.file).display(), line.line)
        })
    }

    /// Writes where a note was made: `/etc/apache2/apache2.conf:12`.
    fn noted_at(&self, note: &Note) -> String {
        format!("{}:{}", self.after.path(note.file).display(), note.line)
    }

    /// Tells whether a running server would be reloaded, or restarted without a stop, to take the change up.
    fn reloads(&self) -> bool {
        self.running.is_some() && self.need == Need::Reload
    }

    /// Returns the values in force of a directive before and after, where the change moves it and only a reload is
    /// planned, which leaves a running server with the old one.
    fn missed_by_reload(&self, directive: &str) -> Option<&'a Moved> {
        self.context.moved.iter().find(|moved| moved.directive == directive).filter(|_| self.reloads())
    }

    /// Returns how many sets of listening sockets `ListenCoresBucketsRatio` makes: at least 1.
    fn buckets(&self) -> i64 {
        let cpus = self.machine.cpus.as_ref().map(|cpus| cpus.value);
        i64::from(crate::httpd::effective::buckets(self.after, cpus))
    }
}

/// Where a rule says what it finds.
struct Found<'f> {
    rule: &'static Rule,
    findings: &'f mut Vec<Finding>,
}

impl Found<'_> {
    /// Begins a finding about a directive. Where the task does not decide its value, it is at most a warning.
    fn on(&mut self, view: &View<'_>, directive: &'static str) -> Draft<'_> {
        let managed = view.audit || view.row(directive).is_some_and(|row| view.decides(row));
        self.about(view.path(directive)).at_most(if managed { Severity::Error } else { Severity::Warning })
    }

    /// Begins a finding about something else, such as a parameter's path.
    fn about(&mut self, setting: impl Into<String>) -> Draft<'_> {
        let rule = self.rule;
        Draft {
            findings: self.findings,
            rule,
            finding: Finding {
                rule: rule.id.to_owned(),
                severity: rule.severity,
                setting: Some(setting.into()),
                value: None,
                effective: None,
                httpd: None,
                message: String::new(),
                hint: String::new(),
                waived: false,
            },
        }
    }
}

/// A finding in the making.
struct Draft<'f> {
    findings: &'f mut Vec<Finding>,
    rule: &'static Rule,
    finding: Finding,
}

impl Draft<'_> {
    fn value(mut self, value: impl Display) -> Self {
        self.finding.value = Some(value.to_string());
        self
    }

    fn effective(mut self, effective: impl Display) -> Self {
        self.finding.effective = Some(effective.to_string());
        self
    }

    fn code(mut self, code: impl Into<Option<&'static str>>) -> Self {
        self.finding.httpd = code.into().map(str::to_owned);
        self
    }

    /// Makes it weigh at most this.
    fn at_most(mut self, severity: Severity) -> Self {
        // Errors are the least in the order, because they sort first.
        self.finding.severity = self.finding.severity.max(severity);
        self
    }

    /// Makes it weigh what the rule says, whoever wrote the line: the server does not serve with it.
    fn fatal(mut self) -> Self {
        self.finding.severity = self.rule.severity;
        self
    }

    /// Takes what a correction of httpd says of value, effective value and code.
    fn correction(self, correction: &Correction) -> Self {
        self.value(&correction.from).effective(&correction.to).code(correction.code)
    }

    /// Says it: what is wrong, and what to do instead.
    fn say(mut self, message: impl Into<String>, hint: impl Into<String>) {
        self.finding.message = message.into();
        self.finding.hint = hint.into();
        self.findings.push(self.finding);
    }
}

/// Returns what all rules say: errors first, then in table order. Findings of waived rules stay, marked.
// A function of its own in the shipped binary too, so that its cost can be measured.
#[inline(never)]
pub fn check(context: &Context<'_>) -> Vec<Finding> {
    let view = View::new(context);
    let mut findings = Vec::new();
    for rule in RULES {
        if rule.applies.contains(&context.mpm) {
            (rule.check)(&view, &mut Found { rule, findings: &mut findings });
        }
    }
    for finding in &mut findings {
        finding.waived = context.params.waives(&finding.rule);
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
    RULES.iter().find(|rule| rule.id.eq_ignore_ascii_case(id))
}

/// Returns the id nearest to one that is not known.
pub fn nearest_rule(id: &str) -> Option<&'static str> {
    nearest(&id.to_ascii_uppercase(), RULES.iter().map(|rule| rule.id))
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
    if rule.applies.len() == Mpm::ALL.len() {
        return "all".to_owned();
    }
    rule.applies.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(", ")
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
         This page is written by `cargo xtask docs` from the table in `src/rules/table.rs`.\n\n\
         | id | severity | MPM | about | finds | source |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for rule in RULES {
        let pending = match rule.input {
            Input::Now | Input::Plan => String::new(),
            Input::Pending(missing) => format!(" *Silent so far: {missing}.*"),
        };
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {}{} | {} |",
            rule.id,
            severity(rule.severity),
            applies(rule),
            cell(rule.setting),
            cell(rule.summary),
            cell(&pending),
            cell(rule.source)
        );
    }
    text
}
