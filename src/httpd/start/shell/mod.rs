//! The files of shell that a start script reads before httpd, carried out without a shell.
//!
//! Debian's `envvars`, SUSE's and Red Hat's `/etc/sysconfig` and `OpenRC`'s `/etc/conf.d` are shell: assignments, defaults,
//! conditions, other files, loops over a pattern. That much is carried out; a command that is no part of the shell sets no
//! variable. What remains (`$(...)`, `eval`, a file that is not there) makes the variables it may set *not known*: they
//! are neither defined nor undefined.

mod expand;
mod glob;
mod lex;
mod parse;
mod tests_of;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(super) use lex::is_name;
use lex::{Part, Word};
use parse::{Command, Item, List, Parser, What};

use crate::tree::Files;

/// How many commands are carried out: loops within loops end some time.
const MOST_STEPS: usize = 20_000;

/// How deep files may read others.
const DEEPEST_FILE: usize = 10;

/// A line that only a shell could carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Construct {
    /// Its file.
    pub file: PathBuf,
    /// Its 1-based line.
    pub line: u32,
    /// The line, cut at both ends.
    pub text: String,
}

/// Variables that have a value which is not known, or may have one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown {
    /// Whether every name that is not defined may have a value.
    pub every: bool,
    /// Those that certainly are meant.
    pub names: BTreeSet<String>,
}

impl Unknown {
    /// Tells whether a name that is not defined may have a value.
    pub fn has(&self, name: &str) -> bool {
        self.every || self.names.contains(name)
    }
}

/// What files of shell set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The variables that a program started afterwards sees.
    pub environment: BTreeMap<String, String>,
    /// All variables, those that only the script itself sees among them.
    pub values: BTreeMap<String, String>,
    /// What is not known.
    pub unknown: Unknown,
    /// What was not carried out.
    pub constructs: Vec<Construct>,
    /// The files that were read.
    pub files: Vec<PathBuf>,
}

impl Read {
    /// Returns the value of a variable; empty where it is not set or not known.
    pub fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Tells whether a variable may have a value other than the one that is known.
    pub fn is_unknown(&self, name: &str) -> bool {
        !self.values.contains_key(name) && self.unknown.has(name)
    }
}

/// Reads a file on top of an environment, and of variables that the script has set and not exported. A file that is not
/// there sets nothing.
pub fn read(
    files: &dyn Files,
    file: &Path,
    environment: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
) -> Read {
    let given = environment.iter().chain(own);
    let mut shell = Shell {
        files,
        values: given.map(|(name, value)| (name.clone(), Some(value.clone()))).collect(),
        exported: environment.keys().cloned().collect(),
        perhaps_exported: BTreeSet::new(),
        functions: BTreeMap::new(),
        read: Read::default(),
        maybe: 0,
        exports_all: false,
        steps: 0,
        depth: 0,
        file: file.to_owned(),
        line_texts: Rc::default(),
    };
    if files.is_file(file) {
        shell.file(file);
    }
    shell.finish()
}

/// Whether a command succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Zero,
    Other,
    Unknown,
}

impl From<bool> for Status {
    fn from(is: bool) -> Self {
        if is { Self::Zero } else { Self::Other }
    }
}

impl From<Option<bool>> for Status {
    fn from(is: Option<bool>) -> Self {
        is.map_or(Self::Unknown, Self::from)
    }
}

impl Status {
    fn negated(self, negated: bool) -> Self {
        match self {
            Self::Zero if negated => Self::Other,
            Self::Other if negated => Self::Zero,
            same => same,
        }
    }
}

/// What comes after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
    /// The end of the file or function.
    Return,
    /// The end of it all.
    Stop,
}

struct Shell<'a> {
    files: &'a dyn Files,
    /// Values by name; `None` is one that is not known.
    values: BTreeMap<String, Option<String>>,
    exported: BTreeSet<String>,
    /// Names of which it is not known whether they are exported.
    perhaps_exported: BTreeSet<String>,
    functions: BTreeMap<String, Rc<List>>,
    read: Read,
    /// How many conditions around the current command are not known.
    maybe: usize,
    exports_all: bool,
    steps: usize,
    depth: usize,
    file: PathBuf,
    line_texts: Rc<Vec<String>>,
}

impl Shell<'_> {
    fn finish(self) -> Read {
        let Self { values, exported, perhaps_exported, mut read, .. } = self;
        for (name, value) in values {
            match value {
                Some(value) => {
                    if perhaps_exported.contains(&name) {
                        read.unknown.names.insert(name.clone());
                    } else if exported.contains(&name) {
                        read.environment.insert(name.clone(), value.clone());
                    }
                    read.values.insert(name, value);
                }
                None => {
                    read.unknown.names.insert(name);
                }
            }
        }
        read
    }

    /// Carries out a file.
    fn file(&mut self, path: &Path) -> Flow {
        let Ok(content) = self.files.read(path) else { return Flow::Next };
        self.read.files.push(path.to_owned());
        let text = crate::tree::text(&content).into_owned();
        let outer = std::mem::replace(&mut self.file, path.to_owned());
        let lines = Rc::new(text.lines().map(|line| line.trim().to_owned()).collect());
        let outer_lines = std::mem::replace(&mut self.line_texts, lines);
        let maybe = self.maybe;
        self.depth += 1;
        let mut parser = Parser::new(&text);
        let flow = loop {
            match parser.next_item() {
                Ok(None) => break Flow::Next,
                Ok(Some(item)) => match self.item(&item).1 {
                    Flow::Next | Flow::Break | Flow::Continue => {}
                    Flow::Return => break Flow::Next,
                    Flow::Stop => break Flow::Stop,
                },
                Err(_) => {
                    // The words that follow could mean anything.
                    self.report(parser.started());
                    self.read.unknown.every = true;
                    break Flow::Next;
                }
            }
        };
        self.depth -= 1;
        self.maybe = maybe;
        self.file = outer;
        self.line_texts = outer_lines;
        flow
    }

    /// Notes a line that was not carried out, once.
    fn report(&mut self, line: u32) {
        let at = usize::try_from(line).unwrap_or_default().saturating_sub(1);
        let text = self.line_texts.get(at).cloned().unwrap_or_default();
        let construct = Construct { file: self.file.clone(), line, text };
        if !self.read.constructs.contains(&construct) {
            self.read.constructs.push(construct);
        }
    }

    fn list(&mut self, list: &[Item]) -> (Status, Flow) {
        let mut status = Status::Zero;
        for item in list {
            let flow;
            (status, flow) = self.item(item);
            if flow != Flow::Next {
                return (status, flow);
            }
        }
        (status, Flow::Next)
    }

    fn item(&mut self, item: &Item) -> (Status, Flow) {
        let (mut status, mut flow) = self.command(&item.first);
        for (and, command) in &item.rest {
            if flow != Flow::Next {
                return (status, flow);
            }
            match (status, and) {
                (Status::Unknown, _) => {
                    flow = self.perhaps(|shell| shell.command(command).1);
                }
                (Status::Zero, true) | (Status::Other, false) => (status, flow) = self.command(command),
                (Status::Zero, false) | (Status::Other, true) => {}
            }
        }
        (status, flow)
    }

    /// Carries out what may not be carried out: what it sets is not known, and whether it ends something neither.
    fn perhaps(&mut self, run: impl FnOnce(&mut Self) -> Flow) -> Flow {
        self.maybe += 1;
        let flow = run(self);
        if flow == Flow::Next {
            self.maybe -= 1;
        }
        // Where it may have ended, the rest of the file is in doubt as well.
        Flow::Next
    }

    fn command(&mut self, command: &Command) -> (Status, Flow) {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            self.report(command.line);
            self.read.unknown.every = true;
            return (Status::Unknown, Flow::Stop);
        }
        let (status, flow) = match &command.what {
            What::Simple(words) => self.simple(words, command.line),
            What::Group(list) => self.list(list),
            What::Apart => (Status::Unknown, Flow::Next),
            What::Function(name, body) => {
                self.functions.insert(name.clone(), Rc::new(body.clone()));
                (Status::Zero, Flow::Next)
            }
            What::If(branches, otherwise) => self.conditional(branches, otherwise),
            What::For(name, words, body) => self.for_loop(name, words, body, command.line),
            What::While(condition, body) => {
                self.report(command.line);
                let flow = self.perhaps(|shell| {
                    shell.list(condition);
                    match shell.list(body).1 {
                        Flow::Break | Flow::Continue => Flow::Next,
                        flow => flow,
                    }
                });
                (Status::Unknown, flow)
            }
            What::Case(word, arms) => self.choice(word, arms),
        };
        (status.negated(command.negated), flow)
    }

    fn conditional(&mut self, branches: &[(List, List)], otherwise: &[Item]) -> (Status, Flow) {
        let mut doubt = false;
        for (condition, body) in branches {
            let (status, flow) =
                if doubt { (self.perhaps_list(condition), Flow::Next) } else { self.list(condition) };
            if flow != Flow::Next {
                return (status, flow);
            }
            match status {
                Status::Other => {}
                Status::Zero if !doubt => return self.list(body),
                Status::Zero => {
                    self.perhaps_list(body);
                    return (Status::Unknown, Flow::Next);
                }
                Status::Unknown => {
                    self.perhaps_list(body);
                    doubt = true;
                }
            }
        }
        if doubt { (self.perhaps_list(otherwise), Flow::Next) } else { self.list(otherwise) }
    }

    fn perhaps_list(&mut self, list: &[Item]) -> Status {
        let mut status = Status::Unknown;
        self.perhaps(|shell| {
            let flow;
            (status, flow) = shell.list(list);
            flow
        });
        status
    }

    fn for_loop(&mut self, name: &str, words: &[Word], body: &[Item], line: u32) -> (Status, Flow) {
        let Some(values) = self.fields_of(words) else {
            self.report(line);
            self.assign(name, None);
            let flow = self.perhaps(|shell| match shell.list(body).1 {
                Flow::Break | Flow::Continue => Flow::Next,
                flow => flow,
            });
            return (Status::Unknown, flow);
        };
        let mut status = Status::Zero;
        for value in values {
            self.assign(name, Some(value));
            let flow;
            (status, flow) = self.list(body);
            match flow {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                Flow::Return | Flow::Stop => return (status, flow),
            }
        }
        (status, Flow::Next)
    }

    fn choice(&mut self, word: &Word, arms: &[(Vec<Word>, List)]) -> (Status, Flow) {
        let value = self.text(word);
        let mut doubt = value.is_none();
        for (patterns, body) in arms {
            let patterns: Vec<Option<String>> = patterns.iter().map(|pattern| self.text(pattern)).collect();
            let fits = |pattern: &Option<String>| {
                pattern.as_deref().zip(value.as_deref()).map(|(pattern, value)| glob::matches(pattern, value))
            };
            let found: Vec<Option<bool>> = patterns.iter().map(fits).collect();
            if found.contains(&Some(true)) && !doubt {
                return self.list(body);
            }
            if found.contains(&None) || found.contains(&Some(true)) {
                self.perhaps_list(body);
                doubt = true;
            }
        }
        (if doubt { Status::Unknown } else { Status::Zero }, Flow::Next)
    }

    /// Sets a variable; in doubt it may have kept its value.
    fn assign(&mut self, name: &str, value: Option<String>) {
        let value = if self.maybe > 0 && self.values.get(name) != Some(&value) { None } else { value };
        self.values.insert(name.to_owned(), value);
        if self.exports_all {
            self.set_exported(name);
        }
    }

    /// Exports a variable; in doubt it may have stayed the shell's own.
    fn set_exported(&mut self, name: &str) {
        if self.maybe == 0 {
            self.perhaps_exported.remove(name);
            self.exported.insert(name.to_owned());
        } else if !self.exported.contains(name) {
            self.perhaps_exported.insert(name.to_owned());
        }
    }

    /// Splits `NAME=word` where a word is an assignment.
    fn assignment(word: &Word) -> Option<(&str, Word)> {
        let Some(Part::Text { text, quoted: false }) = word.parts.first() else { return None };
        let (name, value) = text.split_once('=')?;
        if !is_name(name) {
            return None;
        }
        let first = Part::Text { text: value.to_owned(), quoted: false };
        let parts = std::iter::once(first).chain(word.parts.iter().skip(1).cloned()).collect();
        Some((name, Word { parts, quoted: word.quoted }))
    }

    fn simple(&mut self, words: &[Word], line: u32) -> (Status, Flow) {
        let Some(first) = words.first() else { return (Status::Zero, Flow::Next) };
        if Self::assignment(first).is_some() {
            // Before a command they hold for that command alone.
            if words.iter().all(|word| Self::assignment(word).is_some()) {
                self.declare(words, line);
            }
            return (Status::Zero, Flow::Next);
        }
        let next = |status| (status, Flow::Next);
        let rest = &words[1..];
        match first.plain().unwrap_or_default() {
            ":" | "true" => {
                let known = self.fields_of(rest).is_some();
                if !known {
                    self.report(line);
                }
                next(Status::Zero)
            }
            "false" => next(Status::Other),
            "export" | "readonly" | "local" | "declare" | "typeset" => {
                next(self.export(first.plain() == Some("export"), rest, line))
            }
            "unset" => {
                let names = rest.iter().filter_map(Word::plain).filter(|name| is_name(name));
                for name in names.map(str::to_owned).collect::<Vec<_>>() {
                    if self.maybe > 0 {
                        self.assign(&name, None);
                        if self.exported.contains(&name) {
                            self.perhaps_exported.insert(name);
                        }
                    } else {
                        self.values.remove(&name);
                        self.exported.remove(&name);
                        self.perhaps_exported.remove(&name);
                    }
                }
                next(Status::Zero)
            }
            "set" => {
                for word in rest.iter().filter_map(Word::plain) {
                    match word {
                        "-a" | "+a" if self.maybe > 0 => {
                            self.report(line);
                            self.read.unknown.every = true;
                        }
                        "-a" => self.exports_all = true,
                        "+a" => self.exports_all = false,
                        _ => {}
                    }
                }
                next(Status::Zero)
            }
            "." | "source" => self.other_file(rest, line),
            "[" | "test" => {
                let fields = self.fields_of(rest);
                let fields = fields.and_then(|mut fields| {
                    let closed = first.plain() == Some("test") || fields.pop().as_deref() == Some("]");
                    closed.then_some(fields)
                });
                next(fields.and_then(|fields| tests_of::test(self.files, &fields)).into())
            }
            "break" => (Status::Zero, Flow::Break),
            "continue" => (Status::Zero, Flow::Continue),
            "return" => (Status::Unknown, Flow::Return),
            "exit" | "exec" if first.plain() == Some("exit") || !rest.is_empty() => {
                (Status::Unknown, Flow::Stop)
            }
            "eval" | "getopts" | "alias" => {
                self.report(line);
                self.read.unknown.every = true;
                next(Status::Unknown)
            }
            "read" => {
                self.report(line);
                let names = rest.iter().filter_map(Word::plain).filter(|name| is_name(name));
                for name in names.map(str::to_owned).collect::<Vec<_>>() {
                    self.assign(&name, None);
                }
                next(Status::Unknown)
            }
            "umask" | "ulimit" | "trap" | "exec" | "cd" | "shift" | "echo" | "printf" => next(Status::Zero),
            // A name that is not known may be that of a function.
            "" if !self.functions.is_empty() => {
                self.report(line);
                self.read.unknown.every = true;
                next(Status::Unknown)
            }
            name => match self.functions.get(name).cloned() {
                Some(_) if self.depth >= DEEPEST_FILE => {
                    self.report(line);
                    self.read.unknown.every = true;
                    next(Status::Unknown)
                }
                Some(body) => {
                    self.depth += 1;
                    let (status, flow) = self.list(&body);
                    self.depth -= 1;
                    (status, if flow == Flow::Stop { flow } else { Flow::Next })
                }
                // Another program sets no variable of this one.
                None => next(Status::Unknown),
            },
        }
    }

    /// Carries out assignments.
    fn declare(&mut self, words: &[Word], line: u32) {
        for word in words {
            let Some((name, value)) = Self::assignment(word) else { continue };
            let name = name.to_owned();
            let value = self.text(&value);
            if value.is_none() {
                self.report(line);
            }
            self.assign(&name, value);
        }
    }

    fn export(&mut self, exports: bool, words: &[Word], line: u32) -> Status {
        for word in words {
            if let Some((name, _)) = Self::assignment(word) {
                let name = name.to_owned();
                self.declare(std::slice::from_ref(word), line);
                if exports {
                    self.set_exported(&name);
                }
                continue;
            }
            match word.plain() {
                Some("-x") if !exports => return self.export(true, words, line),
                Some(name) if is_name(name) => {
                    if exports {
                        self.set_exported(name);
                    }
                }
                Some(option) if option.starts_with('-') && option != "-n" => {}
                _ => {
                    self.report(line);
                    self.read.unknown.every = true;
                }
            }
        }
        Status::Zero
    }

    /// Carries out another file.
    fn other_file(&mut self, words: &[Word], line: u32) -> (Status, Flow) {
        let path =
            words.first().and_then(|_| self.fields_of(words)).and_then(|fields| fields.into_iter().next());
        // One without a slash is looked for elsewhere.
        let path = path.filter(|path| path.starts_with('/')).map(PathBuf::from);
        let path = path.filter(|path| self.depth < DEEPEST_FILE && self.files.is_file(path));
        let Some(path) = path else {
            self.report(line);
            self.read.unknown.every = true;
            return (Status::Unknown, Flow::Next);
        };
        let flow = self.file(&path);
        (Status::Zero, if flow == Flow::Stop { flow } else { Flow::Next })
    }
}

#[cfg(test)]
mod tests;
