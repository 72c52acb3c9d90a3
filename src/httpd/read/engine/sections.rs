//! Sections: those of the tree, conditions, and the blocks that are skipped or belong to another language.

use std::rc::Rc;

use super::commands::{Command, command, wanted};
use super::{Guard, Level, Open, OpenKind, Reader, Step};
use crate::httpd::Version;
use crate::httpd::directives::{Group, Table};
use crate::httpd::read::lines::{Expansion, MAX_MACRO_LINE, Next, Place};
use crate::httpd::read::macros::Macro;
use crate::httpd::read::words::{lossy, trim, word, words};
use crate::httpd::read::{Note, NoteKind, Scope, Vhost, paths, startup, version};
use crate::tree::Kind;

/// Where this reader gives up: httpd has no such limits and would take all memory, or its stack would end.
const MAX_MACRO_LINES: usize = 1 << 21;
const MAX_SECTIONS: usize = 10_000;

/// `<IfFile>`, `<IfDirective>` and `<IfSection>` came with this version.
const IF_FILE: Version = Version::v24(34);

/// Tells whether a line matters in a block that is skipped: section tags, and directives whose absence there is
/// told. The first word may be quoted.
fn wanted_in_skipped(table: &Table, text: &[u8]) -> bool {
    matches!(text[0], b'<' | b'"' | b'\'')
        || (text[0].is_ascii_alphabetic() && wanted(table, text, false, |_| {}))
}

impl Reader<'_> {
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

    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.scope = open.scope;
            self.dead = open.dead;
        }
    }

    pub(super) fn close_section(&mut self, base: usize, name: &[u8], place: Place) {
        let inner = &name[2..];
        let own = &self.open[base.min(self.open.len())..];
        let Some(Open { kind: OpenKind::Section(section, _), .. }) = own.last() else {
            self.refuse(place, format!("{} without a matching <{}", lossy(name), lossy(inner)));
            return;
        };
        let Some(inner) = inner.strip_suffix(b">") else {
            self.refuse(place, format!("{} lacks its closing `>`", lossy(name)));
            return;
        };
        if inner.eq_ignore_ascii_case(&section[1..]) {
            if inner.eq_ignore_ascii_case(&startup::PROXY.as_bytes()[1..]) {
                self.keep_line(startup::PROXY_END.as_bytes(), b"", place);
            }
            self.close();
            return;
        }
        let message = format!("expected </{}> but saw {}", lossy(&section[1..]), lossy(name));
        // To find more errors, go on as if the sections in between had been closed.
        let same = |open: &&Open| matches!(&open.kind, OpenKind::Section(name, _) if inner.eq_ignore_ascii_case(&name[1..]));
        let missing = own
            .iter()
            .rev()
            .take_while(|open| matches!(open.kind, OpenKind::Section(..)))
            .position(|open| same(&open));
        self.refuse(place, message);
        for _ in 0..missing.map_or(0, |missing| missing + 1) {
            self.close();
        }
    }

    pub(super) fn open_section(&mut self, level: &mut Level, name: &[u8], arguments: &[u8], place: Place) {
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
                if name.eq_ignore_ascii_case(startup::PROXY.as_bytes()) {
                    let end = arguments.iter().rposition(|&byte| byte == b'>').unwrap_or(arguments.len());
                    self.keep_line(startup::PROXY.as_bytes(), &arguments[..end], place);
                }
                self.meet(name, place);
                let argument = match self.startup {
                    Some(_) => {
                        let end = arguments.iter().rposition(|&byte| byte == b'>').unwrap_or(arguments.len());
                        word(&mut &arguments[..end]).into()
                    }
                    None => Box::default(),
                };
                self.push(OpenKind::Section(name.into(), argument), place);
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
        self.push(OpenKind::Section(name.into(), Box::default()), place);
        self.dead = true;
    }

    fn virtual_host(&mut self, name: &[u8], arguments: &[u8], place: Place) {
        let end = arguments.iter().rposition(|&byte| byte == b'>');
        match end {
            None => self.refuse_later(place, "<VirtualHost> lacks its closing `>`"),
            Some(0) => self.refuse_later(place, "<VirtualHost> needs an address"),
            Some(_) => {}
        }
        self.push(OpenKind::Section(name.into(), Box::default()), place);
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
                self.refuse_later(place, "<VirtualHost> cannot be inside another <VirtualHost>");
                self.scope = Scope::Section;
            }
            Scope::Section => {
                self.refuse_later(place, "<VirtualHost> cannot be inside another section");
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
        let table = self.start.table;
        // Names one behind the other and where each starts: nesting costs little more than the file itself.
        let mut names = format!("<{name}").into_bytes();
        let mut starts = vec![0_usize];
        let mut buffer = Vec::new();
        while let Some(&start) = starts.last() {
            let here = match level.source.next(&mut buffer, |text, _| wanted_in_skipped(table, text)) {
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
                other => match command(table, other) {
                    Some(Command::Kept(row)) if row.group == Group::MPM => skipped.mpm = true,
                    Some(Command::Kept(row)) if row.group == Group("evasive") => skipped.evasive = true,
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
            match level.source.next(&mut buffer, |text, _| text[0] == b'<') {
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
            let here = match level.source.next(&mut buffer, |_, _| true) {
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

    pub(super) fn use_macro(&mut self, level: &mut Level, arguments: &[u8], place: Place) {
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
}

/// What the skipped block of a false condition would have set.
#[derive(Default, Clone, Copy)]
struct Skipped {
    mpm: bool,
    evasive: bool,
}
