//! Directives: which lines matter at all, and what is done at once while reading.

use super::{Level, MAX_DEPTH, Pending, Reader, Step};
use crate::httpd::directives::{Directive, Parser, Table};
use crate::httpd::hash::of as hash;
use crate::httpd::read::lines::Place;
use crate::httpd::read::words::{first_word, is_space, lossy, words};
use crate::httpd::read::{Line, Module, NoteKind, Scope, include, paths, startup};
use crate::tree::Kind;

/// Where this reader gives up: httpd has no such limit and would take all memory.
const MAX_LINES: usize = 1 << 20;

/// A directive that is more than a kept line.
#[derive(Clone, Copy)]
pub(super) enum Command {
    Kept(&'static Directive),
    Include { optional: bool },
    LoadModule,
    Define,
    UnDefine,
    ServerRoot,
    DefaultRuntimeDir,
    Listen,
    ErrorLog,
    RequestLog,
    ServerName,
    Use,
    UndefMacro,
    Error,
}

const COMMANDS: &[(&str, Command)] = &[
    ("servername", Command::ServerName),
    ("include", Command::Include { optional: false }),
    ("includeoptional", Command::Include { optional: true }),
    ("loadmodule", Command::LoadModule),
    ("define", Command::Define),
    ("undefine", Command::UnDefine),
    ("serverroot", Command::ServerRoot),
    ("defaultruntimedir", Command::DefaultRuntimeDir),
    ("listen", Command::Listen),
    ("errorlog", Command::ErrorLog),
    ("customlog", Command::RequestLog),
    ("transferlog", Command::RequestLog),
    ("globallog", Command::RequestLog),
    ("use", Command::Use),
    ("undefmacro", Command::UndefMacro),
    ("error", Command::Error),
];

/// How many slots [`SLOTS`] has: a few times the names, so that most others meet an empty one.
const SIZE: usize = 64;

/// The names of [`COMMANDS`], by the upper bits of their hash, else in the next slot that was free: with the hash, one
/// more than the index.
static SLOTS: [(u64, u8); SIZE] = slots();

const fn slots() -> [(u64, u8); SIZE] {
    let mut slots = [(0, 0); SIZE];
    let mut index = 0;
    while index < COMMANDS.len() {
        let hash = hash(COMMANDS[index].0.as_bytes());
        let mut slot = first_slot(hash);
        while slots[slot].1 != 0 {
            slot = (slot + 1) % SIZE;
        }
        #[allow(clippy::cast_possible_truncation)]
        let number = index as u8 + 1;
        slots[slot] = (hash, number);
        index += 1;
    }
    slots
}

const fn first_slot(hash: u64) -> usize {
    (hash >> 58) as usize % SIZE
}

pub(super) fn command(table: &Table, name: &[u8]) -> Option<Command> {
    hashed_command(table, name, hash(name))
}

fn hashed_command(table: &Table, name: &[u8], hash: u64) -> Option<Command> {
    if let Some(row) = table.find_hashed(name, hash) {
        return Some(Command::Kept(row));
    }
    let mut slot = first_slot(hash);
    loop {
        let (known, number) = SLOTS[slot];
        let (known_name, command) = COMMANDS.get(usize::from(number).checked_sub(1)?)?;
        if known == hash {
            return known_name.as_bytes().eq_ignore_ascii_case(name).then_some(*command);
        }
        slot = (slot + 1) % SIZE;
    }
}

/// A line that need not be looked at.
pub(super) enum Plain<'a> {
    /// A directive that nothing here asks for: its name, and the hash of it.
    Name(&'a [u8], u64),
    /// A log file of requests.
    RequestLog,
}

/// Tells whether a line, cut at both ends, has to be looked at: all but comments and plain directives that
/// nothing here asks for, and the log files of requests, of which only the number counts. What those are goes to
/// `plain`; with `startup` so are the directives that decide whether httpd starts.
pub(super) fn wanted(table: &Table, text: &[u8], startup: bool, plain: impl FnOnce(Plain<'_>)) -> bool {
    match text[0] {
        b'#' => false,
        first if first.is_ascii_alphabetic() => {
            // A variable, and bytes that no directive has, are for the general way.
            let is_other = |byte: u8| byte == b'$' || !byte.is_ascii();
            let end = text.iter().position(|&byte| is_space(byte) || is_other(byte)).unwrap_or(text.len());
            if text.get(end).is_some_and(|&byte| is_other(byte)) {
                return true;
            }
            let name = &text[..end];
            if name[end - 1] == b'>' {
                return true;
            }
            if startup && startup::matters(name) {
                return true;
            }
            let hash = hash(name);
            match hashed_command(table, name, hash) {
                None => plain(Plain::Name(name, hash)),
                Some(Command::RequestLog) => plain(Plain::RequestLog),
                Some(_) => return true,
            }
            false
        }
        _ => true,
    }
}

impl Reader<'_> {
    /// Does what a directive says; `rest` is what follows its name.
    pub(super) fn directive(
        &mut self,
        level: &mut Level,
        name: &[u8],
        rest: &[u8],
        place: Place,
        undefined: &[Vec<u8>],
    ) -> Option<Pending> {
        self.keep_for_startup(name, rest, place);
        for name in undefined.iter().map(|name| lossy(name)) {
            if self.start.unknown.has(&name) {
                self.config.unknown.insert(name);
            }
        }
        let Some(command) = command(self.start.table, name) else {
            if !name.first().is_some_and(u8::is_ascii_alphabetic) || !name.is_ascii() {
                if !name.is_ascii() {
                    self.note(NoteKind::StrayBytes, place, lossy(name));
                }
                self.refuse_later(place, invalid_command(&lossy(name)));
            } else {
                self.meet(name, place);
            }
            return None;
        };
        if matches!(command, Command::Kept(_) | Command::Include { .. }) {
            for name in undefined {
                let name = lossy(name);
                let kind = if self.start.unknown.has(&name) {
                    NoteKind::UnknownVariable
                } else {
                    NoteKind::UndefinedVariable
                };
                self.note(kind, place, name);
            }
        }
        // What is there is not known, so nothing can be said against it.
        let is_unknown = undefined.iter().any(|name| self.start.unknown.has(&lossy(name)));
        if is_unknown && !matches!(command, Command::Kept(_)) {
            return None;
        }
        match command {
            Command::Kept(row) => self.keep(row, name, rest, place),
            Command::Include { optional } => return self.include(rest, place, optional),
            Command::LoadModule => self.load_module(rest, place),
            Command::Define => match self.take(place, "Define", rest, 1..=2) {
                Some(words) if words[0].contains(&b':') => {
                    self.refuse(place, "the name of a variable cannot have a `:` in it");
                }
                Some(words) => {
                    self.variables.define(&words[0], words.get(1).map(Vec::as_slice).unwrap_or_default());
                }
                None => {}
            },
            Command::UnDefine => match self.take(place, "UnDefine", rest, 1..=1) {
                Some(words) if words[0].contains(&b':') => {
                    self.refuse(place, "the name of a variable cannot have a `:` in it");
                }
                Some(words) => self.variables.undefine(&words[0]),
                None => {}
            },
            Command::ServerRoot => {
                if let Some(words) = self.take(place, "ServerRoot", rest, 1..=1) {
                    self.set_server_root(&words[0], place);
                }
            }
            Command::DefaultRuntimeDir => {
                // The start script makes the directory, so that it may be missing now.
                if let Some(words) = self.take(place, "DefaultRuntimeDir", rest, 1..=1)
                    && let Some(name) = undefined.first()
                    && words[0].contains(&b'$')
                {
                    let name = lossy(name);
                    self.refuse(
                        place,
                        format!("DefaultRuntimeDir needs the variable `{name}`, which is not defined"),
                    );
                }
            }
            Command::Listen => {
                if self.scope == Scope::Main
                    && !self.dead
                    && let Some(address) = first_word(rest)
                {
                    self.config.listen.push(lossy(&address));
                }
            }
            Command::ErrorLog if !self.dead => {
                if let Some(name) = first_word(rest) {
                    self.error_logs.note(self.scope, &name);
                }
            }
            // httpd opens each of them anew, also where two name the same file.
            Command::RequestLog => self.config.logs += u64::from(!self.dead),
            Command::ErrorLog => {}
            Command::ServerName => {
                if let Scope::Vhost(index) = self.scope
                    && !self.dead
                    && let Some(vhost) = self.config.vhosts.get_mut(index as usize)
                {
                    vhost.name = first_word(rest).map(|name| lossy(&name));
                }
            }
            Command::Use if self.modules.has("macro_module") => self.use_macro(level, rest, place),
            Command::UndefMacro if self.modules.has("macro_module") => {
                if let Some(words) = self.take(place, "UndefMacro", rest, 1..=1)
                    && self.macros.remove(&words[0].to_ascii_lowercase()).is_none()
                {
                    self.refuse(place, format!("macro `{}` is not defined", lossy(&words[0])));
                }
            }
            Command::Use | Command::UndefMacro => {
                self.note(NoteKind::Macro, place, format!("{}: mod_macro is not loaded", lossy(name)));
                if !self.dead {
                    self.walk.push(Step::Section { module: "macro_module", name: lossy(name), place });
                }
            }
            Command::Error => self.refuse_later(place, format!("the configuration says: {}", lossy(rest))),
        }
        None
    }

    /// Returns the words of a directive that takes between so many, or records what httpd says against it.
    fn take(
        &mut self,
        place: Place,
        name: &str,
        rest: &[u8],
        count: std::ops::RangeInclusive<usize>,
    ) -> Option<Vec<Vec<u8>>> {
        let words = words(rest);
        let least = *count.start();
        if count.contains(&words.len()) && words[..least].iter().all(|word| !word.is_empty()) {
            return Some(words);
        }
        if words.get(least).is_some_and(|word| word.first() == Some(&b'#')) {
            self.note(NoteKind::TrailingComment, place, format!("{name} {}", lossy(rest)));
        }
        self.refuse(place, takes(name, &count));
        None
    }

    fn set_server_root(&mut self, written: &[u8], place: Place) {
        let path = paths::under(b"/", written).filter(|_| written.first() == Some(&b'/'));
        let found = path.filter(|path| self.files.is_dir(&paths::path(path)));
        match found {
            Some(path) => self.server_root = path,
            None => self.refuse(place, format!("ServerRoot {} is not a directory", lossy(written))),
        }
    }

    fn load_module(&mut self, rest: &[u8], place: Place) {
        let Some(words) = self.take(place, "LoadModule", rest, 2..=2) else { return };
        let (identifier, written) = (lossy(&words[0]), lossy(&words[1]));
        match self.modules.built_in_source(&identifier) {
            // httpd finds this only for files called `mod_...`; another one it tries to load.
            Some(source) if source.starts_with("mod_") => {
                self.refuse(place, format!("module {identifier} is built in and cannot be loaded"));
                return;
            }
            None if self.modules.has(&identifier) => {
                self.note(NoteKind::LoadedTwice, place, identifier);
                return;
            }
            _ => {}
        }
        let object = paths::under(&self.server_root, &words[1]).map(|path| paths::path(&path));
        // A bare name is looked for among the system's libraries too.
        let elsewhere = !words[1].contains(&b'/');
        let missing =
            object.as_ref().is_none_or(|path| matches!(self.files.kind(path), Ok(Kind::Absent | Kind::Dir)));
        if missing && !elsewhere {
            self.refuse(place, format!("cannot load {written} into the server: there is no such file"));
        }
        self.modules.load(&identifier, &written, object.unwrap_or_default());
        self.config.modules.push(Module {
            identifier,
            path: written,
            loaded_at: Some((place.file, place.line)),
        });
    }

    fn include(&mut self, rest: &[u8], place: Place, optional: bool) -> Option<Pending> {
        let name = if optional { "IncludeOptional" } else { "Include" };
        let words = self.take(place, name, rest, 1..=1)?;
        let written = &words[0];
        if self.depth() >= MAX_DEPTH {
            let message =
                format!("includes are nested deeper than {MAX_DEPTH}: a file seems to include itself");
            self.halt(Some(place), message);
            return None;
        }
        let Some(path) = paths::under(&self.server_root, written) else {
            self.refuse(place, format!("{name} {}: the path is too long", lossy(written)));
            return None;
        };
        let before = self.config.notes.len();
        let found = include::expand(self.files, &path, optional);
        if let Some(order) = found.unpadded {
            self.note(NoteKind::NumericOrder, place, order);
        }
        if !found.stray.is_empty() {
            self.note(NoteKind::StrayFilesIncluded, place, format!("{}: {}", lossy(written), found.stray));
        }
        if found.items.is_empty() {
            self.note(NoteKind::EmptyInclude, place, lossy(written));
        }
        let nothing = match found.items.as_slice() {
            [] | [include::Item::Fault { missing: Some(_), .. }] => true,
            [include::Item::Path(path)] => matches!(self.files.kind(path), Ok(Kind::Absent)),
            _ => false,
        };
        if nothing && written.first() != Some(&b'/') && self.config.notes.len() >= before {
            let includer = self.config.path(place.file).parent().map(|parent| paths::bytes(parent).to_vec());
            if let Some(beside) = includer.and_then(|directory| paths::under(&directory, written))
                && beside != path
                && include::exists(self.files, &beside)
            {
                self.note(NoteKind::WrongBase, place, lossy(written));
            }
        }
        self.announce(&found.items);
        Some(Pending { items: found.items.into_iter(), optional, at: Some(place), directories: 0 })
    }

    /// Keeps a line of the table.
    fn keep(&mut self, row: &'static Directive, name: &[u8], rest: &[u8], place: Place) {
        if self.dead {
            return;
        }
        if self.config.lines.len() >= MAX_LINES {
            self.halt(
                Some(place),
                format!("more than {MAX_LINES} lines set performance values; reading stopped here"),
            );
            return;
        }
        let raw = row.parser == Parser::Raw;
        let words: Vec<String> =
            if raw { vec![lossy(rest)] } else { words(rest).iter().map(|word| lossy(word)).collect() };
        self.note_about_words(row, name, rest, &words, place);
        let main_only = match self.scope {
            Scope::Main => false,
            Scope::Vhost(_) => !row.in_vhost,
            Scope::Section => !row.in_section,
        };
        if main_only {
            self.note(NoteKind::WrongContext, place, format!("{} {}", lossy(name), lossy(rest)));
        }
        self.walk.push(Step::Line(self.config.lines.len()));
        self.config.lines.push(Line {
            directive: row.name,
            written: lossy(name),
            words,
            file: place.file,
            line: place.line,
            scope: self.scope,
        });
    }

    fn note_about_words(
        &mut self,
        row: &Directive,
        name: &[u8],
        rest: &[u8],
        words: &[String],
        place: Place,
    ) {
        let text = || format!("{} {}", lossy(name), lossy(rest));
        let (trailing, glued) = match row.parser {
            Parser::Flag | Parser::Iterate => (false, false),
            Parser::Raw => (rest.split(|&byte| is_space(byte)).any(|word| word.starts_with(b"#")), false),
            Parser::Text => (words.get(1).is_some_and(|word| word.starts_with('#')), false),
            Parser::Atoi | Parser::Strtol | Parser::Strtod | Parser::Duration | Parser::Strtol0 => (
                words.get(1).is_some_and(|word| word.starts_with('#')),
                words.first().is_some_and(|word| word.contains('#') && !word.starts_with('#')),
            ),
        };
        if trailing {
            self.note(NoteKind::TrailingComment, place, text());
        }
        if glued {
            self.note(NoteKind::GluedComment, place, text());
        }
        if words.iter().any(|word| word.contains(['\u{a0}', '\u{feff}'])) {
            self.note(NoteKind::StrayBytes, place, text());
        }
    }
}

pub(super) fn invalid_command(name: &str) -> String {
    format!("httpd does not know `{name}`: misspelled, or its module is not loaded")
}

pub(super) fn takes(name: &str, count: &std::ops::RangeInclusive<usize>) -> String {
    match (count.start(), count.end()) {
        (1, 1) => format!("{name} takes one argument"),
        (2, 2) => format!("{name} takes two arguments"),
        (least, most) => format!("{name} takes {least} to {most} arguments"),
    }
}
