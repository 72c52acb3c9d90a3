//! Reading itself: files within files, sections within sections, in httpd's order.
//!
//! httpd builds a tree first (`ap_build_config`) and walks it afterwards (`ap_walk_config`). While building it
//! carries out `Include`, `LoadModule`, `Define` and the `<If...>` sections; everything else waits for the walk.
//! What is wrong in the first part therefore always comes before what is wrong in the second. This reader keeps
//! the two apart in [`Reader::building`] and [`Reader::walk`]. It uses no recursion: neither includes nor sections
//! that are nested without end can exhaust the stack.
//!
//! Source: `server/config.c`, `server/core.c` and `server/util.c` of httpd 2.4.

use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::lines::{Expansion, MAX_MACRO_LINE, Next, Place, Source};
use super::macros::Macro;
use super::modules::{self, Modules};
use super::words::{Variables, lossy, trim, word, words};
use super::{
    Configuration, FileId, Line, Module, Note, NoteKind, ReadError, ReadFile, Scope, Start, Vhost, paths,
};
use super::{include, version};
use crate::httpd::Version;
use crate::httpd::directives::{self, DIRECTIVES, Directive, Group, Parser};
use crate::tree::{Files, Kind};

/// httpd's limit for includes within includes.
const MAX_DEPTH: usize = 128;
/// Where this reader gives up: httpd has no such limits and would take all memory, or its stack would end.
const MAX_FILES: usize = 1 << 18;
const MAX_LINES: usize = 1 << 20;
const MAX_MACRO_LINES: usize = 1 << 21;
const MAX_SECTIONS: usize = 10_000;

/// `<IfFile>`, `<IfDirective>` and `<IfSection>` came with this version.
const IF_FILE: Version = Version::v24(34);
/// Since this version `IncludeOptional` forgives a missing file that is named or linked without a pattern.
const FORGIVING: Version = Version::v24(30);

/// A directive that is more than a kept line.
#[derive(Clone, Copy)]
enum Command {
    Kept(&'static Directive),
    Include { optional: bool },
    LoadModule,
    Define,
    UnDefine,
    ServerRoot,
    DefaultRuntimeDir,
    Listen,
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
    ("use", Command::Use),
    ("undefmacro", Command::UndefMacro),
    ("error", Command::Error),
];

/// For each first letter, the lengths of the names that matter, as bits. Most lines are told from it alone.
static LENGTHS: [u64; 26] = lengths();

const fn lengths() -> [u64; 26] {
    const fn add(table: &mut [u64; 26], name: &str) {
        let name = name.as_bytes();
        table[(name[0].to_ascii_lowercase() - b'a') as usize] |= 1 << name.len();
    }
    let mut table = [0; 26];
    let mut index = 0;
    while index < DIRECTIVES.len() {
        add(&mut table, DIRECTIVES[index].name);
        if let Some(alias) = DIRECTIVES[index].alias {
            add(&mut table, alias);
        }
        index += 1;
    }
    index = 0;
    while index < COMMANDS.len() {
        add(&mut table, COMMANDS[index].0);
        index += 1;
    }
    table
}

fn command(name: &[u8]) -> Option<Command> {
    let first = name.first()?.to_ascii_lowercase();
    if !first.is_ascii_lowercase()
        || name.len() > 63
        || LENGTHS[usize::from(first - b'a')] & (1 << name.len()) == 0
    {
        return None;
    }
    COMMANDS
        .iter()
        .find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name))
        .map(|&(_, command)| command)
        .or_else(|| directives::find(name).map(Command::Kept))
}

/// Tells whether a line, cut at both ends, has to be looked at: all but comments and plain directives that
/// nothing here asks for.
fn wanted(text: &[u8]) -> bool {
    match text[0] {
        b'#' => false,
        first if first.is_ascii_alphabetic() => {
            let mut length = 0;
            for &byte in text {
                match byte {
                    b' ' | b'\t' | 0x0b | 0x0c | b'\r' => break,
                    // A variable, or a byte that no directive has.
                    b'$' | 0x80.. => return true,
                    _ => length += 1,
                }
            }
            text[length - 1] == b'>' || command(&text[..length]).is_some()
        }
        _ => true,
    }
}

/// Tells whether a line matters in a block that is skipped: section tags, and directives whose absence there is
/// told. The first word may be quoted.
fn wanted_in_skipped(text: &[u8]) -> bool {
    matches!(text[0], b'<' | b'"' | b'\'') || (text[0].is_ascii_alphabetic() && wanted(text))
}

/// Something that the walk over the tree would meet, in its order.
enum Step {
    /// A kept line, by its index.
    Line(usize),
    /// A section that httpd knows only with this module: `<IfVersion>`, `<Macro>`.
    Section { module: &'static str, name: String, place: Place },
    /// What httpd refuses whatever else is read.
    Refused(Place, String),
}

/// A guard that was false, for what only the end of reading tells.
struct Guard {
    place: Place,
    name: String,
    /// Whether it asks for a module, not for a name given to `Define`.
    module: bool,
    negated: bool,
    has_mpm: bool,
    has_evasive: bool,
}

/// An open section.
struct Open {
    kind: OpenKind,
    place: Place,
    /// What was in force before it.
    scope: Scope,
    dead: bool,
}

enum OpenKind {
    /// A true condition: closed by its exact tag or by the end of its file.
    Condition { name: &'static str, text: String },
    /// A section of the tree; its name with `<`.
    Section(Box<[u8]>),
}

/// A file being read, and how many sections were open before it.
struct Level {
    source: Source,
    base: usize,
}

/// Files that an include found and that are still to be read.
struct Pending {
    items: std::vec::IntoIter<include::Item>,
    optional: bool,
    at: Option<Place>,
    /// Directories within directories, below the include's own path.
    directories: usize,
}

enum Task {
    Level(Level),
    Pending(Pending),
}

pub(super) struct Reader<'a> {
    files: &'a dyn Files,
    start: &'a Start,
    config: Configuration,
    building: Vec<ReadError>,
    walk: Vec<Step>,
    guards: Vec<Guard>,
    server_root: Vec<u8>,
    variables: Variables<'a>,
    modules: Modules,
    macros: HashMap<Vec<u8>, Rc<Macro>>,
    macro_lines: usize,
    tasks: Vec<Task>,
    open: Vec<Open>,
    scope: Scope,
    /// Whether what is read will never be walked.
    dead: bool,
    halted: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a dyn Files, start: &'a Start) -> Self {
        let mut reader = Self {
            files,
            start,
            config: Configuration::default(),
            building: Vec::new(),
            walk: Vec::new(),
            guards: Vec::new(),
            server_root: paths::bytes(&start.server_root).to_vec(),
            variables: Variables::new(&start.defines, &start.environment),
            modules: Modules::default(),
            macros: HashMap::new(),
            macro_lines: 0,
            tasks: Vec::new(),
            open: Vec::new(),
            scope: Scope::Main,
            dead: false,
            halted: false,
        };
        for (identifier, source) in &start.built_in {
            reader.modules.build_in(identifier, source);
            reader.config.modules.push(Module {
                identifier: identifier.clone(),
                path: String::new(),
                loaded_at: None,
            });
        }
        reader
    }

    /// Reads everything from the main file on.
    pub(super) fn run(mut self) -> Configuration {
        let main = include::Item::Path(self.start.file.clone());
        self.tasks.push(Task::Pending(Pending {
            items: vec![main].into_iter(),
            optional: false,
            at: None,
            directories: 0,
        }));
        let mut buffer = Vec::new();
        while !self.halted {
            match self.tasks.pop() {
                None => break,
                Some(Task::Level(level)) => self.read_on(level, &mut buffer),
                Some(Task::Pending(mut pending)) => {
                    let item = pending.items.next();
                    let (optional, at, directories) = (pending.optional, pending.at, pending.directories);
                    if let Some(item) = item {
                        self.tasks.push(Task::Pending(pending));
                        self.enter(item, optional, at, directories);
                    }
                }
            }
        }
        self.finish()
    }

    fn note(&mut self, kind: NoteKind, place: Place, text: impl Into<String>) {
        self.config.notes.push(Note { kind, file: place.file, line: place.line, text: text.into() });
    }

    /// Records what stops httpd while it builds the tree.
    fn refuse(&mut self, place: Place, message: impl Into<String>) {
        let file = self.config.path(place.file).to_owned();
        self.building.push(ReadError { file, line: place.line, message: message.into() });
    }

    /// Records what stops httpd when it walks the tree.
    fn refuse_later(&mut self, place: Place, message: impl Into<String>) {
        if !self.dead {
            self.walk.push(Step::Refused(place, message.into()));
        }
    }

    /// Returns how many includes lead to what is read now.
    fn depth(&self) -> usize {
        let include =
            |task: &&Task| matches!(task, Task::Pending(Pending { at: Some(_), directories: 0, .. }));
        self.tasks.iter().filter(include).count()
    }

    /// Starts to read one file, or all files of a directory, that an include found.
    fn enter(&mut self, item: include::Item, optional: bool, at: Option<Place>, directories: usize) {
        let path = match item {
            include::Item::Path(path) => path,
            include::Item::Fault { message, missing } => {
                let place = at.unwrap_or(Place { file: 0, line: 0 });
                if missing {
                    self.note(NoteKind::MissingInclude, place, message.clone());
                }
                self.refuse(place, message);
                return;
            }
        };
        if self.config.files.len() >= MAX_FILES {
            self.halt(at, format!("more than {MAX_FILES} files are included; reading stopped here"));
            return;
        }
        let content = match self.files.read(&path) {
            Ok(content) => content,
            Err(error) => match self.files.kind(&path) {
                Ok(Kind::Dir) if at.is_some() => {
                    self.enter_directory(&path, optional, at, directories);
                    return;
                }
                Ok(Kind::Other) if path == std::path::Path::new("/dev/null") => [].into(),
                Ok(Kind::Absent) | Err(_) if optional && self.start.version >= FORGIVING => {
                    if let Some(place) = at {
                        self.note(NoteKind::EmptyInclude, place, path.display().to_string());
                    }
                    return;
                }
                kind => {
                    let reason = match kind {
                        Ok(Kind::Absent) => "there is no such file".to_owned(),
                        Ok(Kind::Other | Kind::Dir) => "it is not a regular file".to_owned(),
                        _ => error.to_string(),
                    };
                    let message = format!("cannot open configuration file {}: {reason}", path.display());
                    match at {
                        Some(place) => {
                            if matches!(kind, Ok(Kind::Absent)) {
                                self.note(NoteKind::MissingInclude, place, path.display().to_string());
                            }
                            self.refuse(place, message);
                        }
                        None => self.building.push(ReadError { file: path, line: 0, message }),
                    }
                    return;
                }
            },
        };
        let Ok(id) = FileId::try_from(self.config.files.len()) else { return };
        self.config.files.push(ReadFile {
            path,
            included_at: at.map(|place| (place.file, place.line)),
            depth: u16::try_from(self.depth()).unwrap_or(u16::MAX),
        });
        if let Some(line) = line_of_lone_carriage_return(&content) {
            self.note(NoteKind::StrayBytes, Place { file: id, line }, "a carriage return inside a line");
        }
        self.tasks.push(Task::Level(Level { source: Source::new(id, content), base: self.open.len() }));
    }

    fn enter_directory(
        &mut self,
        path: &std::path::Path,
        optional: bool,
        at: Option<Place>,
        directories: usize,
    ) {
        let place = at.unwrap_or(Place { file: 0, line: 0 });
        if directories >= MAX_DEPTH {
            self.halt(at, format!("{} is nested deeper than {MAX_DEPTH} directories", path.display()));
            return;
        }
        match self.files.list(path) {
            Ok(names) => {
                let stray = include::stray(&names);
                if !stray.is_empty() {
                    self.note(NoteKind::StrayFilesIncluded, place, format!("{}: {stray}", path.display()));
                }
                if let Some(order) = include::unpadded(&names) {
                    self.note(NoteKind::NumericOrder, place, order);
                }
                let items: Vec<include::Item> = names
                    .iter()
                    .map(|name| paths::join(paths::bytes(path), crate::tree::bytes(name)))
                    .map(|path| include::Item::Path(paths::path(&path)))
                    .collect();
                self.announce(&items);
                let directories = directories + 1;
                self.tasks.push(Task::Pending(Pending {
                    items: items.into_iter(),
                    optional,
                    at,
                    directories,
                }));
            }
            Err(error) => self.refuse(place, format!("cannot open directory {}: {error}", path.display())),
        }
    }

    /// Lets the view read ahead.
    fn announce(&self, items: &[include::Item]) {
        if items.len() > 1 {
            let path = |item: &include::Item| match item {
                include::Item::Path(path) => Some(path.clone()),
                include::Item::Fault { .. } => None,
            };
            self.files.prefetch(&items.iter().filter_map(path).collect::<Vec<PathBuf>>());
        }
    }

    fn halt(&mut self, at: Option<Place>, message: String) {
        self.refuse(at.unwrap_or(Place { file: 0, line: 0 }), message);
        self.halted = true;
    }

    /// Reads a file until an include interrupts it or it ends.
    fn read_on(&mut self, mut level: Level, buffer: &mut Vec<u8>) {
        while !self.halted {
            match level.source.next(buffer, wanted) {
                Next::End => {
                    self.end_of_file(&level);
                    return;
                }
                Next::TooLong(place) => {
                    self.refuse(place, "the line is longer than 16 MiB");
                    self.end_of_file(&level);
                    return;
                }
                Next::Line { place, joined } => {
                    let text = std::mem::take(buffer);
                    let pending = self.line(&mut level, &text, place, joined);
                    *buffer = text;
                    if let Some(pending) = pending {
                        self.tasks.push(Task::Level(level));
                        self.tasks.push(Task::Pending(pending));
                        return;
                    }
                }
            }
        }
    }

    /// Closes what a file leaves open: from its outermost true condition on everything silently, sections of the
    /// tree before it with an error.
    fn end_of_file(&mut self, level: &Level) {
        if self.open.len() <= level.base {
            return;
        }
        let own = self.open.split_off(level.base);
        self.scope = own[0].scope;
        self.dead = own[0].dead;
        let silent = own.iter().position(|open| matches!(open.kind, OpenKind::Condition { .. }));
        let (loud, quiet) = own.split_at(silent.unwrap_or(own.len()));
        for open in quiet {
            if let OpenKind::Condition { text, .. } = &open.kind {
                self.note(NoteKind::UnclosedSection, open.place, text.clone());
            }
        }
        if let [Open { kind: OpenKind::Section(name), place, .. }, ..] = loud {
            let message = format!("{}> is not closed in its file", lossy(name));
            self.refuse(*place, message);
        }
    }

    /// Does what one logical line says; returns the files that it includes.
    fn line(
        &mut self,
        level: &mut Level,
        text: &[u8],
        place: Place,
        joined: Option<usize>,
    ) -> Option<Pending> {
        if let Some(first) = text.first()
            && *first == b'#'
        {
            if let Some(length) = joined {
                let swallowed = trim(text.get(length..).unwrap_or_default());
                if !swallowed.is_empty() && swallowed[0] != b'#' {
                    self.note(NoteKind::SwallowingComment, place, lossy(swallowed));
                }
            }
            return None;
        }
        // The tag that closes a true condition is compared as it stands, before variables are replaced.
        if self.open.len() > level.base
            && let Some(Open { kind: OpenKind::Condition { name, .. }, .. }) = self.open.last()
            && let [b'<', b'/', inner @ .., b'>'] = text
            && inner.eq_ignore_ascii_case(name.as_bytes())
        {
            self.close();
            return None;
        }
        let mut undefined = Vec::new();
        let Some(resolved) = self.variables.resolve(text, &mut undefined) else {
            self.halt(
                Some(place),
                "variables make the line longer than 16 MiB; reading stopped here".to_owned(),
            );
            return None;
        };
        let resolved = resolved.into_owned();
        let mut rest = resolved.as_slice();
        let name = word(&mut rest);
        let mut name = &name[..];
        if name.is_empty() {
            return None;
        }
        if name.get(1) != Some(&b'/') {
            name = name.strip_suffix(b">").unwrap_or(name);
            if name.first() == Some(&b'<') && rest.is_empty() {
                rest = b">";
            }
        }
        match name {
            [b'<', b'/', ..] => {
                self.close_section(level.base, name, place);
                None
            }
            [b'<', ..] => {
                self.open_section(level, name, rest, place);
                None
            }
            _ => self.directive(level, name, rest, place, &undefined),
        }
    }

    fn push(&mut self, kind: OpenKind, place: Place) {
        if self.open.len() >= MAX_SECTIONS {
            self.halt(
                Some(place),
                format!("sections are nested deeper than {MAX_SECTIONS}; reading stopped here"),
            );
            return;
        }
        self.open.push(Open { kind, place, scope: self.scope, dead: self.dead });
    }

    fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.scope = open.scope;
            self.dead = open.dead;
        }
    }

    fn close_section(&mut self, base: usize, name: &[u8], place: Place) {
        let inner = &name[2..];
        let own = &self.open[base.min(self.open.len())..];
        let Some(Open { kind: OpenKind::Section(section), .. }) = own.last() else {
            self.refuse(place, format!("{} without a matching <{}", lossy(name), lossy(inner)));
            return;
        };
        let Some(inner) = inner.strip_suffix(b">") else {
            self.refuse(place, format!("{} lacks its closing `>`", lossy(name)));
            return;
        };
        if inner.eq_ignore_ascii_case(&section[1..]) {
            self.close();
            return;
        }
        let message = format!("expected </{}> but saw {}", lossy(&section[1..]), lossy(name));
        // To find more errors, go on as if the sections in between had been closed.
        let same = |open: &&Open| matches!(&open.kind, OpenKind::Section(name) if inner.eq_ignore_ascii_case(&name[1..]));
        let missing = own
            .iter()
            .rev()
            .take_while(|open| matches!(open.kind, OpenKind::Section(_)))
            .position(|open| same(&open));
        self.refuse(place, message);
        for _ in 0..missing.map_or(0, |missing| missing + 1) {
            self.close();
        }
    }

    fn open_section(&mut self, level: &mut Level, name: &[u8], arguments: &[u8], place: Place) {
        let is = |known: &str| name[1..].eq_ignore_ascii_case(known.as_bytes());
        let new_enough = self.start.version >= IF_FILE;
        match name[1..].first().map_or(b' ', u8::to_ascii_lowercase) {
            b'i' if is("IfModule") => self.condition(level, "IfModule", arguments, place),
            b'i' if is("IfDefine") => self.condition(level, "IfDefine", arguments, place),
            b'i' if is("IfFile") && new_enough => self.condition(level, "IfFile", arguments, place),
            b'i' if is("IfDirective") && new_enough => self.condition(level, "IfDirective", arguments, place),
            b'i' if is("IfSection") && new_enough => self.condition(level, "IfSection", arguments, place),
            b'i' if is("IfVersion") => {
                if self.modules.has("version_module") {
                    self.if_version(level, arguments, place);
                } else {
                    self.unknown_section("version_module", name, place);
                }
            }
            b'm' if is("Macro") => {
                if self.modules.has("macro_module") {
                    self.define_macro(level, arguments, place);
                } else {
                    self.unknown_section("macro_module", name, place);
                }
            }
            b'p' if is("Perl") && self.modules.has("perl_module") => self.skip_foreign(level, name, place),
            b'l' if name[1..].to_ascii_lowercase().starts_with(b"lua") && self.modules.has("lua_module") => {
                self.skip_foreign(level, name, place);
            }
            b'v' if is("VirtualHost") => self.virtual_host(name, arguments, place),
            _ => {
                if !arguments.contains(&b'>') {
                    self.refuse_later(place, format!("{}> lacks its closing `>`", lossy(name)));
                }
                self.push(OpenKind::Section(name.into()), place);
                self.scope = Scope::Section;
            }
        }
    }

    /// Opens a section that httpd does not know yet: it becomes part of the tree, and when the module comes later
    /// it is left out of the walk.
    fn unknown_section(&mut self, module: &'static str, name: &[u8], place: Place) {
        if !self.dead {
            self.walk.push(Step::Section { module, name: lossy(name), place });
        }
        self.push(OpenKind::Section(name.into()), place);
        self.dead = true;
    }

    fn virtual_host(&mut self, name: &[u8], arguments: &[u8], place: Place) {
        let end = arguments.iter().rposition(|&byte| byte == b'>');
        match end {
            None => self.refuse_later(place, "<VirtualHost> lacks its closing `>`"),
            Some(0) => self.refuse_later(place, "<VirtualHost> needs an address"),
            Some(_) => {}
        }
        self.push(OpenKind::Section(name.into()), place);
        let addresses = &arguments[..end.unwrap_or(arguments.len())];
        match self.scope {
            Scope::Main if self.dead => self.scope = Scope::Section,
            Scope::Main => {
                let index = u32::try_from(self.config.vhosts.len()).unwrap_or(u32::MAX);
                self.scope = Scope::Vhost(index);
                self.config.vhosts.push(Vhost {
                    addresses: words(addresses).iter().map(|word| lossy(word)).collect(),
                    name: None,
                    file: place.file,
                    line: place.line,
                });
            }
            Scope::Vhost(_) => {
                self.refuse_later(place, "<VirtualHost> cannot stand inside another <VirtualHost>");
                self.scope = Scope::Section;
            }
            Scope::Section => {
                self.refuse_later(place, "<VirtualHost> cannot stand inside another section");
            }
        }
    }

    /// Opens or skips `<IfModule>` and its like.
    fn condition(&mut self, level: &mut Level, name: &'static str, arguments: &[u8], place: Place) {
        let Some(end) = arguments.iter().rposition(|&byte| byte == b'>') else {
            self.refuse(place, format!("<{name}> lacks its closing `>`"));
            return;
        };
        let written = &arguments[..end];
        let negated = written.first() == Some(&b'!');
        let mut rest = &written[usize::from(negated)..];
        let asked = word(&mut rest).into_owned();
        if asked.is_empty() {
            self.refuse(place, format!("<{name}> needs an argument"));
            return;
        }
        let result = match name {
            "IfModule" => self.modules.answers_to(self.files, &lossy(&asked)),
            "IfDefine" => self.variables.is_defined(&asked),
            "IfFile" => paths::under(&self.server_root, &asked).is_some_and(|path| {
                !matches!(self.files.kind(&paths::path(&path)), Ok(Kind::Absent) | Err(_))
            }),
            "IfDirective" => self.modules.has_directive(self.files, &lossy(&asked)),
            _ => self.modules.has_directive(self.files, &format!("<{}", lossy(&asked))),
        };
        if result != negated {
            let text = format!("<{name} {}>", lossy(trim(written)));
            self.push(OpenKind::Condition { name, text }, place);
            return;
        }
        let skipped = self.skip(level, name, place);
        if name == "IfModule" || name == "IfDefine" {
            self.guards.push(Guard {
                place,
                name: lossy(&asked),
                module: name == "IfModule",
                negated,
                has_mpm: skipped.mpm,
                has_evasive: skipped.evasive,
            });
        }
    }

    fn if_version(&mut self, level: &mut Level, arguments: &[u8], place: Place) {
        match version::holds(arguments, self.start.version) {
            Ok(true) => {
                let text = format!("<IfVersion {}", lossy(arguments));
                self.push(OpenKind::Condition { name: "IfVersion", text }, place);
            }
            Ok(false) => {
                self.skip(level, "IfVersion", place);
            }
            Err(message) => self.refuse(place, format!("<IfVersion>: {message}")),
        }
    }

    /// Skips the block of a false condition as httpd does: by counting tags, whatever else stands there.
    fn skip(&mut self, level: &mut Level, name: &str, place: Place) -> Skipped {
        let mut skipped = Skipped::default();
        // Names one behind the other and where each starts: nesting costs little more than the file itself.
        let mut names = format!("<{name}").into_bytes();
        let mut starts = vec![0_usize];
        let mut buffer = Vec::new();
        while let Some(&start) = starts.last() {
            let here = match level.source.next(&mut buffer, wanted_in_skipped) {
                Next::Line { place, .. } => place,
                Next::TooLong(place) => {
                    self.refuse(place, "the line is longer than 16 MiB");
                    return skipped;
                }
                Next::End => {
                    let name = lossy(&names[start + 1..]);
                    self.refuse(place, format!("the file ends before </{name}>"));
                    return skipped;
                }
            };
            let mut rest = buffer.as_slice();
            let first = word(&mut rest);
            match &first[..] {
                [b'<', b'/', inner @ ..] => {
                    let inner = &inner[..inner.len().saturating_sub(1)];
                    if !inner.eq_ignore_ascii_case(&names[start + 1..]) {
                        // httpd tells the line where the skipped block begins.
                        let (expected, saw) = (lossy(&names[start + 1..]), lossy(inner));
                        let line = here.line;
                        self.refuse(place, format!("expected </{expected}> but saw </{saw}> in line {line}"));
                        return skipped;
                    }
                    names.truncate(start);
                    starts.pop();
                }
                [b'<', ..] => {
                    let tag =
                        if rest.is_empty() { first.strip_suffix(b">").unwrap_or(&first) } else { &first[..] };
                    starts.push(names.len());
                    names.extend_from_slice(tag);
                }
                other => match command(other) {
                    Some(Command::Kept(row)) if row.group == Group::Mpm => skipped.mpm = true,
                    Some(Command::Kept(row)) if row.group == Group::Evasive => skipped.evasive = true,
                    _ => {}
                },
            }
        }
        skipped
    }

    /// Skips a section whose text is another language's, up to its closing tag.
    fn skip_foreign(&mut self, level: &mut Level, name: &[u8], place: Place) {
        let mut buffer = Vec::new();
        loop {
            match level.source.next(&mut buffer, |text| text[0] == b'<') {
                Next::Line { .. } => {
                    if let [b'<', b'/', inner @ ..] = buffer.as_slice()
                        && inner.len() >= name.len() - 1
                        && inner[..name.len() - 1].eq_ignore_ascii_case(&name[1..])
                    {
                        return;
                    }
                }
                Next::TooLong(_) | Next::End => {
                    self.refuse(place, format!("{}> is not closed in its file", lossy(name)));
                    return;
                }
            }
        }
    }

    fn define_macro(&mut self, level: &mut Level, arguments: &[u8], place: Place) {
        let Some(end) = arguments.iter().rposition(|&byte| byte == b'>') else {
            self.refuse(place, "<Macro> lacks its closing `>`");
            return;
        };
        let mut rest = &arguments[..end];
        let name = word(&mut rest).to_ascii_lowercase();
        if name.is_empty() {
            self.refuse(place, "<Macro> needs a name");
            return;
        }
        let mut definition = Macro { file: place.file, parameters: words(rest), lines: Vec::new() };
        if let Some(fault) = definition.fault() {
            self.refuse(place, format!("macro `{}`: {fault}", lossy(&name)));
        }
        let mut depth = 1;
        let mut buffer = Vec::new();
        loop {
            let here = match level.source.next(&mut buffer, |_| true) {
                Next::Line { place, .. } if buffer.len() <= MAX_MACRO_LINE => place,
                _ => {
                    self.refuse(place, format!("macro `{}` is not closed by </Macro>", lossy(&name)));
                    return;
                }
            };
            if buffer.first() == Some(&b'#') {
                continue;
            }
            let first = word(&mut buffer.as_slice()).into_owned();
            if first.eq_ignore_ascii_case(b"</Macro>") {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            } else if first.eq_ignore_ascii_case(b"<Macro") {
                depth += 1;
            }
            definition.lines.push((buffer.clone(), here.line));
        }
        self.macros.insert(name, Rc::new(definition));
    }

    fn use_macro(&mut self, level: &mut Level, arguments: &[u8], place: Place) {
        let mut rest = arguments;
        let name = word(&mut rest).to_ascii_lowercase();
        let shown = lossy(&name);
        let Some(definition) = self.macros.get(&name).cloned() else {
            self.note(NoteKind::Macro, place, format!("{shown}: not defined"));
            self.refuse(place, format!("macro `{shown}` is not defined"));
            return;
        };
        if level.source.macros.iter().any(|expansion| expansion.name == name) {
            self.note(NoteKind::Macro, place, format!("{shown}: used inside itself"));
            self.refuse(place, format!("macro `{shown}` uses itself"));
            return;
        }
        let values = words(rest);
        if values.len() != definition.parameters.len() {
            self.note(NoteKind::Macro, place, format!("{shown}: wrong number of values"));
            let (given, takes) = (values.len(), definition.parameters.len());
            self.refuse(place, format!("macro `{shown}` takes {takes} values, not {given}"));
            return;
        }
        let Some(lines) = definition.expand(&values) else {
            self.note(NoteKind::Macro, place, format!("{shown}: a line gets too long"));
            self.refuse(place, format!("macro `{shown}`: a line gets longer than 8 KiB"));
            return;
        };
        self.macro_lines += lines.len();
        if self.macro_lines > MAX_MACRO_LINES {
            self.halt(
                Some(place),
                format!("macros make more than {MAX_MACRO_LINES} lines; reading stopped here"),
            );
            return;
        }
        let known = |note: &Note| note.kind == NoteKind::Macro && note.text == shown;
        if !self.config.notes.iter().any(known) {
            self.note(NoteKind::Macro, place, shown);
        }
        level.source.macros.push(Expansion::new(name, definition.file, lines));
    }

    /// Does what a directive says; `rest` is what follows its name.
    fn directive(
        &mut self,
        level: &mut Level,
        name: &[u8],
        rest: &[u8],
        place: Place,
        undefined: &[Vec<u8>],
    ) -> Option<Pending> {
        let Some(command) = command(name) else {
            if !name.first().is_some_and(u8::is_ascii_alphabetic) || !name.is_ascii() {
                if !name.is_ascii() {
                    self.note(NoteKind::StrayBytes, place, lossy(name));
                }
                self.refuse_later(place, invalid_command(&lossy(name)));
            }
            return None;
        };
        if matches!(command, Command::Kept(_) | Command::Include { .. }) {
            for name in undefined {
                self.note(NoteKind::UndefinedVariable, place, lossy(name));
            }
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
                    && let Some(address) = words(rest).first()
                {
                    self.config.listen.push(lossy(address));
                }
            }
            Command::ServerName => {
                if let Scope::Vhost(index) = self.scope
                    && !self.dead
                    && let Some(vhost) = self.config.vhosts.get_mut(index as usize)
                {
                    vhost.name = words(rest).first().map(|name| lossy(name));
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
            [] | [include::Item::Fault { missing: true, .. }] => true,
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
        let main_only = self.scope == Scope::Section || (!row.in_vhost && self.scope != Scope::Main);
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
            Parser::Raw => {
                (rest.split(|&byte| super::words::is_space(byte)).any(|word| word.starts_with(b"#")), false)
            }
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

    /// Adds what only the end of reading tells.
    fn finish(mut self) -> Configuration {
        self.finish_guards();
        let mut errors = std::mem::take(&mut self.building);
        let mpms: Vec<&str> = self.config.mpms().iter().map(|mpm| mpm.module()).collect();
        let main = self.start.file.clone();
        match mpms.as_slice() {
            [] if errors.is_empty() => errors.push(ReadError {
                file: main,
                line: 0,
                message: "no multi-processing module (MPM) is loaded".to_owned(),
            }),
            [] | [_] => {}
            several => errors.push(ReadError {
                file: main,
                line: 0,
                message: format!(
                    "more than one multi-processing module (MPM) is loaded: {}",
                    several.join(", ")
                ),
            }),
        }
        for step in std::mem::take(&mut self.walk) {
            let (place, message) = match step {
                Step::Refused(place, message) => (place, message),
                Step::Section { module, name, place } => {
                    if self.modules.has(module) {
                        continue;
                    }
                    (place, invalid_command(&name))
                }
                Step::Line(index) => {
                    let line = &self.config.lines[index];
                    let Some(message) = self.refusal(line, mpms.len() == 1) else { continue };
                    (Place { file: line.file, line: line.line }, message)
                }
            };
            let file = self.config.path(place.file).to_owned();
            errors.push(ReadError { file, line: place.line, message });
        }
        self.config.errors = errors;
        self.config
    }

    /// Returns what httpd has against a kept line when it walks the tree, apart from its value.
    fn refusal(&self, line: &Line, one_mpm: bool) -> Option<String> {
        let row = DIRECTIVES.iter().find(|row| row.name == line.directive)?;
        let (name, version) = (row.name, self.start.version);
        let too_old = match name {
            "ListenCoresBucketsRatio" => version < Version::v24(17),
            "ListenTCPDeferAccept" => version < Version::v24(66),
            _ => false,
        };
        if too_old || (!self.modules.knows(row) && (row.group != Group::Mpm || one_mpm)) {
            return Some(invalid_command(&line.written));
        }
        match line.scope {
            Scope::Main => {}
            Scope::Vhost(_) if row.in_vhost => {}
            Scope::Vhost(_) => return Some(format!("{} cannot stand inside <VirtualHost>", line.written)),
            Scope::Section => return Some(format!("{} cannot stand inside this section", line.written)),
        }
        let words = &line.words;
        let first = words.first().map_or("", String::as_str);
        match row.parser {
            Parser::Raw => None,
            Parser::Flag => (!first.eq_ignore_ascii_case("on") && !first.eq_ignore_ascii_case("off"))
                .then(|| format!("{} must be On or Off", line.written)),
            Parser::Iterate => {
                first.is_empty().then(|| format!("{} needs at least one argument", line.written))
            }
            _ if name == "DOSHTTPStatus" => {
                first.is_empty().then(|| format!("{} needs at least one argument", line.written))
            }
            _ => (words.len() != 1 || first.is_empty()).then(|| takes(&line.written, &(1..=1))),
        }
    }

    fn finish_guards(&mut self) {
        for guard in std::mem::take(&mut self.guards) {
            let Guard { place, name, module, negated, has_mpm, has_evasive } = guard;
            if negated {
                continue;
            }
            if !module {
                if self.variables.is_defined_in_other_case(name.as_bytes()) {
                    self.note(NoteKind::GuardCase, place, name);
                }
                continue;
            }
            let later = self.modules.answers_to(self.files, &name);
            if later {
                self.note(NoteKind::GuardBeforeLoad, place, name.clone());
            } else if self.modules.in_other_case(&name).is_some() {
                self.note(NoteKind::GuardCase, place, name.clone());
            }
            if has_mpm && modules::is_dead_mpm_name(&name) {
                self.note(NoteKind::DeadMpmGuard, place, name.clone());
            }
            let about_evasive = name.to_ascii_lowercase().contains("evasive");
            if has_evasive && about_evasive && !later && self.modules.evasive().is_some() {
                self.note(NoteKind::DeadEvasiveGuard, place, name);
            }
        }
    }
}

/// What the skipped block of a false condition would have set.
#[derive(Default, Clone, Copy)]
struct Skipped {
    mpm: bool,
    evasive: bool,
}

fn invalid_command(name: &str) -> String {
    format!("httpd does not know `{name}`: misspelled, or its module is not loaded")
}

fn takes(name: &str, count: &std::ops::RangeInclusive<usize>) -> String {
    match (count.start(), count.end()) {
        (1, 1) => format!("{name} takes one argument"),
        (2, 2) => format!("{name} takes two arguments"),
        (least, most) => format!("{name} takes {least} to {most} arguments"),
    }
}

/// Returns the line of the first carriage return that does not end its line.
fn line_of_lone_carriage_return(content: &[u8]) -> Option<u32> {
    let at = memchr::memchr_iter(b'\r', content)
        .find(|&at| content.get(at + 1).is_some_and(|&next| next != b'\n' && next != b'\r'))?;
    let line = memchr::memchr_iter(b'\n', &content[..at]).count() + 1;
    Some(u32::try_from(line).unwrap_or(u32::MAX))
}
