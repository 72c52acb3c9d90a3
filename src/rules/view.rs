//! What a rule looks at: [`View`].

use std::collections::BTreeMap;
use std::path::Path;

use super::Context;
use crate::capacity::{self, Server};
use crate::httpd::directives::{Directive, Group};
use crate::httpd::moved::Moved;
use crate::httpd::normalise::Correction;
use crate::httpd::read::{Line, Note, NoteKind, Scope, startup};
use crate::params::Settings;
use crate::registry::FEATURES;
use crate::report::{Bound, Need};
use crate::tree::Files;

/// A [`Context`] with what several rules look up in it, worked out once.
pub(crate) struct View<'a> {
    pub(crate) context: &'a Context<'a>,
    /// The lines of the main server by directive, in reading order.
    pub(crate) main: BTreeMap<&'static str, Vec<&'a Line>>,
    /// The lines of virtual hosts, in reading order.
    pub(crate) in_vhosts: Vec<&'a Line>,
    /// Each limit of the host that is known, beside what the sizes need of it.
    pub(crate) bounds: Vec<Bound>,
    /// What of the server decides what it needs beside its sizes.
    pub(crate) server: Server,
}

impl<'a> std::ops::Deref for View<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Self::Target {
        self.context
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(context: &'a Context<'a>) -> Self {
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
    pub(crate) fn exceeded(&self, name: &str) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.name == name && bound.needs > bound.limit)
    }

    /// Returns the row of a directive by its canonical name.
    pub(crate) fn row(&self, directive: &str) -> Option<&'static Directive> {
        self.after.table.named(directive)
    }

    /// Tells whether the task manages a group.
    pub(crate) fn manages(&self, group: Group) -> bool {
        match group {
            Group::MPM => self.params.settings.is_some() || self.params.capacity.is_some(),
            Group(name) => self.params.groups.has(name),
        }
    }

    /// Tells whether the task decides a directive's value: one that is left out of a group that is managed is not
    /// changed, the sizes apart.
    pub(crate) fn decides(&self, row: &Directive) -> bool {
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

    /// Tells whether the task manages or changes what a finding of this setting is about: a parameter's path, a
    /// directive, or a place. What else stands on the host stands there whatever the task does.
    pub(crate) fn concerns(&self, setting: &str) -> bool {
        let group = setting.split(['.', '[']).next().unwrap_or_default();
        if let Some(row) = self.row(setting) {
            return self.manages(row.group);
        }
        match group {
            "settings" | "ServerLimit" => self.manages(Group::MPM),
            "mpm" => self.params.mpm.is_some() || self.manages(Group::MPM),
            "envvars" | "LimitNOFILE" => false,
            // A line that is new in a file comes with the change.
            _ if setting.starts_with('/') || setting.starts_with('<') => {
                self.after.notes.len() + self.after.errors.len()
                    > self.before.notes.len() + self.before.errors.len()
            }
            name if FEATURES.iter().any(|feature| feature.name == name) => self.params.groups.has(name),
            _ => true,
        }
    }

    /// Tells whether remarks that only matter to whoever chose the value are worth saying.
    pub(crate) fn remarks(&self, group: Group) -> bool {
        self.audit || self.manages(group)
    }

    /// Returns how a user writes a directive: the parameter's path where the task manages it, else its name.
    pub(crate) fn path(&self, directive: &'static str) -> String {
        match self.row(directive) {
            Some(row) if !row.key.is_empty() && self.manages(row.group) => {
                format!("{}.{}", row.group.0, row.key)
            }
            _ => directive.to_owned(),
        }
    }

    /// Returns how a user writes a directive in a hint: the parameter's key, or its name.
    pub(crate) fn name(&self, directive: &'static str) -> &'static str {
        match self.row(directive) {
            Some(row) if !row.key.is_empty() && self.manages(row.group) => row.key,
            _ => directive,
        }
    }

    /// Returns the line of the main server that decides a directive after the change.
    pub(crate) fn line(&self, directive: &str) -> Option<&'a Line> {
        self.main.get(directive).and_then(|lines| lines.last()).copied()
    }

    /// Returns the first word of the line of the main server that decides a directive after the change.
    pub(crate) fn standing(&self, directive: &str) -> Option<&'a str> {
        self.line(directive).and_then(|line| line.words.first()).map(String::as_str)
    }

    /// Returns the text judged for a directive of the MPM.
    pub(crate) fn text(&self, directive: &str) -> Option<&'a str> {
        self.written.get(directive).map(String::as_str)
    }

    /// Returns the value that httpd uses for a directive of the MPM.
    pub(crate) fn used(&self, directive: &str) -> &'a str {
        self.context.normal.used.get(directive).map_or("", String::as_str)
    }

    /// Returns the first correction with one of these codes.
    pub(crate) fn correction(&self, codes: &[&str]) -> Option<&'a Correction> {
        self.context.normal.corrections.iter().find(|c| c.code.is_some_and(|code| codes.contains(&code)))
    }

    /// Returns the notes of one kind on the configuration after the change.
    pub(crate) fn notes(&self, kind: NoteKind) -> impl Iterator<Item = &'a Note> {
        self.context.after.notes.iter().filter(move |note| note.kind == kind)
    }

    /// Tells whether a module is loaded after the change.
    pub(crate) fn has(&self, identifier: &str) -> bool {
        self.after.has_module(identifier)
    }

    /// Writes where a line stands: ` (/etc/apache2/apache2.conf:12)`.
    pub(crate) fn at(&self, line: Option<&Line>) -> String {
        line.map_or_else(String::new, |line| {
            format!(" ({}:{})", self.after.path(line.file).display(), line.line)
        })
    }

    /// Writes where a note was made: `/etc/apache2/apache2.conf:12`.
    pub(crate) fn noted_at(&self, note: &Note) -> String {
        format!("{}:{}", self.after.path(note.file).display(), note.line)
    }

    /// Writes where a line stands on disk: one that is not of the change is looked for there, not in the draft.
    pub(crate) fn on_disk(&self, line: &Line) -> String {
        let path = self.after.path(line.file);
        let is_it = |other: &&Line| {
            other.directive == line.directive
                && other.words == line.words
                && other.scope == line.scope
                && self.before.path(other.file) == path
        };
        let number = self.before.lines.iter().find(is_it).map_or(line.line, |found| found.line);
        format!("{}:{number}", path.display())
    }

    /// Returns what decides whether httpd starts, and the files; `None` where that was not read.
    pub(crate) fn start(&self) -> Option<super::Start<'a>> {
        let files = self.context.files;
        self.context.startup.map(|startup| super::Start { startup, files })
    }

    /// Returns the lines of a directive that says what is served, in reading order; none where nothing of the kind is
    /// asked.
    pub(crate) fn served(&self, directive: &'static str) -> impl Iterator<Item = &'a startup::Line> {
        self.context.startup.into_iter().flat_map(move |startup| startup.of(directive))
    }

    /// Returns the host's files where they are those of a disk: what is not there is not there on the host either.
    pub(crate) fn disk(&self) -> Option<&'a dyn Files> {
        let files = self.context.files;
        files.status(Path::new("/")).is_some().then_some(files)
    }

    /// Writes where a line that says what is served stands: `/etc/apache2/sites-enabled/a.conf:3`.
    pub(crate) fn place(&self, line: &startup::Line) -> String {
        self.context.startup.map_or_else(String::new, |startup| startup.place(line))
    }

    /// Returns the user that serves requests.
    pub(crate) fn web_user(&self) -> &'a str {
        let written = self.served("User").filter(|line| line.server.is_none()).last();
        written.map(startup::Line::first).filter(|user| !user.is_empty()).unwrap_or(self.context.layout.user)
    }

    /// Tells whether a running server would be reloaded, or restarted without a stop, to take the change up.
    pub(crate) fn reloads(&self) -> bool {
        self.running.is_some() && self.need == Need::Reload
    }

    /// Returns the values in force of a directive before and after, where the change moves it and only a reload is
    /// planned, which leaves a running server with the old one.
    pub(crate) fn missed_by_reload(&self, directive: &str) -> Option<&'a Moved> {
        self.context.moved.iter().find(|moved| moved.directive == directive).filter(|_| self.reloads())
    }

    /// Returns how many sets of listening sockets `ListenCoresBucketsRatio` makes: at least 1.
    pub(crate) fn buckets(&self) -> i64 {
        let cpus = self.machine.cpus.as_ref().map(|cpus| cpus.value);
        i64::from(crate::httpd::effective::buckets(self.after, cpus))
    }
}
