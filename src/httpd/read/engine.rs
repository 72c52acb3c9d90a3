//! Reading itself: files within files, sections within sections, in httpd's order.
//!
//! httpd builds a tree first (`ap_build_config`) and walks it afterwards (`ap_walk_config`). While building it
//! carries out `Include`, `LoadModule`, `Define` and the `<If...>` sections; everything else waits for the walk.
//! What is wrong in the first part therefore always comes before what is wrong in the second. This reader keeps
//! the two apart in [`Reader::building`] and [`Reader::walk`]. It uses no recursion: neither includes nor sections
//! that are nested without end can exhaust the stack.
//!
//! Source: `server/config.c`, `server/core.c` and `server/util.c` of httpd 2.4.

mod commands;
mod finish;
mod sections;

use std::rc::Rc;

use commands::{Plain, wanted};
use rustc_hash::{FxHashMap, FxHashSet};

use super::known::Names;
use super::lines::{Next, Place, Source};
use super::macros::Macro;
use super::modules::Modules;
use super::words::{Variables, lossy, trim, word, words};
use super::{
    Configuration, FileId, Module, Note, NoteKind, ReadError, ReadFile, Scope, Start, include, paths, startup,
};
use crate::httpd::Version;
use crate::httpd::hash::of as hash;
use crate::tree::{Files, Kind};

/// httpd's limit for includes within includes.
const MAX_DEPTH: usize = 128;
/// What httpd calls the directives of its options.
const GIVEN: &str = "-C and -c directives";
/// Where this reader gives up: httpd has no such limits and would take all memory, or its stack would end.
const MAX_FILES: usize = 1 << 18;

/// Since this version `IncludeOptional` forgives a missing file that is named or linked without a pattern.
const FORGIVING: Version = Version::v24(30);

/// Something that the walk over the tree would meet, in its order.
enum Step {
    /// A kept line, by its index.
    Line(usize),
    /// A section that httpd knows only with this module: `<IfVersion>`, `<Macro>`.
    Section { module: &'static str, name: String, place: Place },
    /// A directive or section that nothing here asks for, by its index in [`Names`].
    Name(usize),
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
    /// A section of the tree; its name with `<`, and its argument where what is served is asked for.
    Section(Box<[u8]>, Box<[u8]>),
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

enum Task<'a> {
    Level(Level),
    Pending(Pending),
    /// Directives given as options.
    Given(&'a [String]),
}

/// The error logs that servers name. One of the same name is opened once, which httpd tells by the text alone.
///
/// Source: `server/log.c`, `ap_open_logs`.
#[derive(Default)]
struct ErrorLogs {
    main: Option<Vec<u8>>,
    vhosts: FxHashSet<Vec<u8>>,
}

impl ErrorLogs {
    fn note(&mut self, scope: Scope, name: &[u8]) {
        match scope {
            Scope::Main => self.main = Some(name.to_vec()),
            // Most virtual hosts name the same.
            Scope::Vhost(_) if !self.vhosts.contains(name) => {
                self.vhosts.insert(name.to_vec());
            }
            Scope::Vhost(_) | Scope::Section => {}
        }
    }

    /// Returns how many are open beside the main server's. Those that go to syslog are no files.
    fn beside_main(&self) -> u64 {
        let opened = |name: &&Vec<u8>| !is_syslog(name) && self.main.as_ref() != Some(name);
        self.vhosts.iter().filter(opened).count() as u64
    }

    /// Returns the file of the main server's, as written; httpd's default where none is named.
    fn main_file(&self) -> Option<&[u8]> {
        let name = self.main.as_deref().unwrap_or(b"logs/error_log");
        (!is_syslog(name) && name.first() != Some(&b'|')).then_some(name)
    }
}

fn is_syslog(name: &[u8]) -> bool {
    name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"syslog"))
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
    names: Names,
    macros: FxHashMap<Vec<u8>, Rc<Macro>>,
    macro_lines: usize,
    tasks: Vec<Task<'a>>,
    open: Vec<Open>,
    error_logs: ErrorLogs,
    /// The lines that decide whether httpd starts and what it serves, where they are asked for.
    startup: Option<Vec<startup::Line>>,
    /// The hash of each directive that is carried out, with its file, where those lines are asked for.
    carried_out: FxHashSet<(u64, FileId)>,
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
            config: Configuration { table: start.table, ..Configuration::default() },
            building: Vec::new(),
            walk: Vec::new(),
            guards: Vec::new(),
            server_root: paths::bytes(&start.server_root).to_vec(),
            variables: Variables::new(&start.defines, &start.environment),
            modules: Modules::new(start.table),
            names: Names::new(),
            macros: FxHashMap::default(),
            macro_lines: 0,
            tasks: Vec::new(),
            open: Vec::new(),
            error_logs: ErrorLogs::default(),
            startup: None,
            carried_out: FxHashSet::default(),
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
        self.read_all();
        self.finish()
    }

    /// Reads as [`Self::run`] does, and keeps the lines that decide whether httpd starts.
    pub(super) fn run_startup(mut self) -> startup::Startup {
        self.startup = Some(Vec::new());
        self.read_all();
        let lines = self.startup.take().unwrap_or_default();
        let server_root = paths::path(&self.server_root);
        let carried_out = std::mem::take(&mut self.carried_out);
        startup::Startup { configuration: self.finish(), lines, server_root, carried_out }
    }

    fn read_all(&mut self) {
        self.tasks.push(Task::Given(&self.start.then));
        self.tasks.push(Task::Pending(Pending {
            items: vec![include::Item::Path(self.start.file.clone())].into_iter(),
            optional: false,
            at: None,
            directories: 0,
        }));
        self.tasks.push(Task::Given(&self.start.first));
        let mut buffer = Vec::new();
        while !self.halted {
            match self.tasks.pop() {
                None => break,
                Some(Task::Level(level)) => self.read_on(level, &mut buffer),
                Some(Task::Given(lines)) => self.enter_given(lines),
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

    /// Notes a directive or section (`<Proxy`) for which only the modules tell whether httpd knows it.
    fn meet(&mut self, name: &[u8], place: Place) {
        if !self.dead && self.startup.is_some() {
            self.carried_out.insert((hash(name), place.file));
        }
        if !self.dead
            && let Some(index) = self.names.meet(name, hash(name), place)
        {
            self.walk.push(Step::Name(index));
        }
    }

    /// Returns the virtual host that what is read now counts for, whatever sections it stands in.
    fn server(&self) -> Option<u32> {
        let scopes = std::iter::once(self.scope).chain(self.open.iter().rev().map(|open| open.scope));
        scopes.into_iter().find_map(|scope| if let Scope::Vhost(index) = scope { Some(index) } else { None })
    }

    /// Returns the sections that are open, the outermost first, without conditions and virtual hosts.
    fn sections(&self) -> Vec<startup::Section> {
        let section = |open: &Open| match &open.kind {
            OpenKind::Section(name, argument) if !name.eq_ignore_ascii_case(b"<VirtualHost") => {
                Some(startup::Section { name: lossy(&name[1..]), argument: lossy(argument) })
            }
            _ => None,
        };
        self.open.iter().filter_map(section).collect()
    }

    /// Keeps a line that decides whether httpd starts or what it serves, where those are asked for.
    fn keep_for_startup(&mut self, name: &[u8], rest: &[u8], place: Place) {
        if self.dead || self.startup.is_none() {
            return;
        }
        self.carried_out.insert((hash(name), place.file));
        if startup::matters(name) && startup::is_kept(name, rest) {
            self.keep_line(name, rest, place);
        }
    }

    /// Keeps a line as it is, where those that decide about the start are asked for.
    fn keep_line(&mut self, name: &[u8], rest: &[u8], place: Place) {
        if self.dead || self.startup.is_none() {
            return;
        }
        let Place { file, line } = place;
        let words = words(rest).iter().map(|word| lossy(word)).collect();
        let (directive, server, sections) = (lossy(name), self.server(), self.sections());
        let kept = startup::Line { directive, words, file, line, scope: self.scope, server, sections };
        self.startup.get_or_insert_default().push(kept);
    }

    /// Returns how many includes lead to what is read now.
    fn depth(&self) -> usize {
        let is_it =
            |task: &&Task<'_>| matches!(task, Task::Pending(Pending { at: Some(_), directories: 0, .. }));
        self.tasks.iter().filter(is_it).count()
    }

    /// Starts to read the directives of options, which httpd treats as a file.
    fn enter_given(&mut self, lines: &[String]) {
        let Ok(id) = FileId::try_from(self.config.files.len()) else { return };
        if lines.is_empty() {
            return;
        }
        self.config.files.push(ReadFile { path: GIVEN.into(), included_at: None, depth: 0 });
        let content: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect();
        self.tasks
            .push(Task::Level(Level { source: Source::new(id, content.into()), base: self.open.len() }));
    }

    /// Starts to read one file, or all files of a directory, that an include found.
    fn enter(&mut self, item: include::Item, optional: bool, at: Option<Place>, directories: usize) {
        let path = match item {
            include::Item::Path(path) => path,
            include::Item::Fault { message, missing } => {
                let place = at.unwrap_or(Place { file: 0, line: 0 });
                if let Some(missing) = missing {
                    self.note(NoteKind::MissingInclude, place, missing);
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
        let paths = items.iter().filter_map(|item| match item {
            include::Item::Path(path) => Some(path.as_path()),
            include::Item::Fault { .. } => None,
        });
        self.files.prefetch(items.len(), &mut { paths });
    }

    fn halt(&mut self, at: Option<Place>, message: String) {
        self.refuse(at.unwrap_or(Place { file: 0, line: 0 }), message);
        self.halted = true;
    }

    /// Reads a file until an include interrupts it or it ends.
    fn read_on(&mut self, mut level: Level, buffer: &mut Vec<u8>) {
        while !self.halted {
            let Self { names, walk, dead, config, start, startup, carried_out, .. } = self;
            let table = start.table;
            let next = level.source.next(buffer, |text, place| {
                wanted(table, text, startup.is_some(), |plain| match plain {
                    // What is never walked is neither looked up nor opened.
                    _ if *dead => {}
                    Plain::RequestLog => config.logs += 1,
                    Plain::Name(name, hash) => {
                        if startup.is_some() {
                            carried_out.insert((hash, place.file));
                        }
                        if let Some(index) = names.meet(name, hash, place) {
                            walk.push(Step::Name(index));
                        }
                    }
                })
            });
            match next {
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
        if let [Open { kind: OpenKind::Section(name, _), place, .. }, ..] = loud {
            let message = format!("{}> is not closed in its file", lossy(name));
            self.refuse(*place, message);
        }
    }

    /// Tells whether a text begins as a directive or section that httpd knows. The rest of a directive of several lines
    /// that is commented out does not.
    fn is_directive(&self, text: &[u8]) -> bool {
        let name = lossy(&word(&mut &*text));
        let name =
            name.strip_prefix("</").map_or(name.clone(), |rest| format!("<{}", rest.trim_end_matches('>')));
        let is_word = name.trim_start_matches('<').bytes().all(|byte| byte.is_ascii_alphabetic());
        name.len() > 1
            && is_word
            && (commands::command(self.start.table, name.as_bytes()).is_some()
                || self.modules.has_directive(self.files, &name))
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
                if self.is_directive(swallowed) {
                    self.note(NoteKind::SwallowingComment, place, lossy(swallowed));
                }
            }
            return None;
        }
        // The tag that closes a true condition is compared as it is, before variables are replaced.
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
        let mut rest = &resolved[..];
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
}

/// Returns the line of the first carriage return that does not end its line.
fn line_of_lone_carriage_return(content: &[u8]) -> Option<u32> {
    let at = memchr::memchr_iter(b'\r', content)
        .find(|&at| content.get(at + 1).is_some_and(|&next| next != b'\n' && next != b'\r'))?;
    let line = memchr::memchr_iter(b'\n', &content[..at]).count() + 1;
    Some(u32::try_from(line).unwrap_or(u32::MAX))
}
