//! Differences between httpd's answer and the reader's.

use std::path::Path;

use apache_tuning::httpd::directives::Parser;
use apache_tuning::httpd::read::{Configuration, FileId, Scope};
use apache_tuning::registry::TABLE;

use crate::inside;
use crate::oracle::{Answer, Dumped};

/// What [`differences`] found.
#[derive(Debug, Default)]
pub struct Found {
    /// Managed and watched directives that were compared.
    pub directives: usize,
    /// The differences, for people.
    pub list: Vec<String>,
}

/// Compares everything that httpd told about a case. `root` is where the files are.
pub fn differences(root: &Path, answer: &Answer, ours: &Configuration) -> Found {
    let mut found = Found::default();
    let list = &mut found.list;
    let lines = Lines { root, ours };
    files(&lines, answer, list);
    if !answer.accepted {
        errors(&lines, answer, list);
        return found;
    }
    for error in &ours.errors {
        list.push(format!(
            "httpd accepts it, the reader says {}:{}: {}",
            error.file.display(),
            error.line,
            error.message
        ));
    }
    let modules: Vec<&str> = ours.modules.iter().map(|module| module.identifier.as_str()).collect();
    if modules != answer.modules {
        list.push(format!("modules: httpd {:?}, the reader {modules:?}", answer.modules));
    }
    let theirs: Vec<Kept> = answer.config.iter().filter_map(|dumped| kept(&answer.config, dumped)).collect();
    let mine: Vec<Kept> = ours.lines.iter().map(|line| lines.kept(line)).collect();
    found.directives = theirs.len();
    for (index, pair) in theirs
        .iter()
        .map(Some)
        .chain(std::iter::repeat(None))
        .zip(mine.iter().map(Some).chain(std::iter::repeat(None)))
        .enumerate()
    {
        match pair {
            (None, None) => break,
            (Some(a), Some(b)) if a.same(b) => {}
            (a, b) => {
                list.push(format!("directive {index}: httpd {a:?}, the reader {b:?}"));
                break;
            }
        }
    }
    vhosts(&lines, answer, list);
    let listens: Vec<String> = answer
        .config
        .iter()
        .filter(|dumped| dumped.name.eq_ignore_ascii_case("Listen") && dumped.parents.is_empty())
        .filter_map(|dumped| split(&dumped.arguments).into_iter().next())
        .collect();
    if listens != ours.listen {
        list.push(format!("Listen: httpd {listens:?}, the reader {:?}", ours.listen));
    }
    found
}

/// A directive of the table, in a form that both sides can be brought to.
#[derive(Debug)]
struct Kept {
    name: &'static str,
    words: Vec<String>,
    /// File and last physical line; `None` where a macro made it.
    place: Option<(String, u32)>,
    scope: &'static str,
}

impl Kept {
    fn same(&self, other: &Self) -> bool {
        let same_place = match (&self.place, &other.place) {
            (Some(a), Some(b)) => a == b,
            // httpd numbers the lines of a macro's text, the reader tells where they stand.
            _ => true,
        };
        self.name == other.name && self.words == other.words && self.scope == other.scope && same_place
    }
}

fn kept(all: &[Dumped], dumped: &Dumped) -> Option<Kept> {
    let row = TABLE.find(dumped.name.as_bytes())?;
    let raw = row.parser == Parser::Raw;
    let parents: Vec<&str> = dumped.parents.iter().map(|&index| all[index].name.as_str()).collect();
    Some(Kept {
        name: row.name,
        words: if raw { vec![dumped.arguments.clone()] } else { split(&dumped.arguments) },
        place: (!dumped.file.starts_with("macro '")).then(|| (dumped.file.clone(), dumped.line)),
        scope: match parents.as_slice() {
            [] => "main",
            [one] if one.eq_ignore_ascii_case("<VirtualHost") => "vhost",
            _ => "section",
        },
    })
}

fn files(lines: &Lines<'_>, answer: &Answer, list: &mut Vec<String>) {
    let ours = &lines.ours.files;
    for (index, theirs) in answer.files.iter().enumerate() {
        let Some(file) = ours.get(index) else {
            list.push(format!("httpd also reads {}", theirs.path));
            return;
        };
        let line = file.included_at.map_or(0, |(includer, line)| lines.last_of(includer, line));
        // httpd keeps one number for all levels: after an include within an include it tells the inner line.
        let sibling = ours[..index].iter().rfind(|earlier| earlier.depth <= file.depth);
        let first = sibling.is_none_or(|sibling| sibling.included_at != file.included_at);
        let same_line = line == theirs.line || !first || lines.has_macros();
        if *file.path.to_string_lossy() != theirs.path
            || usize::from(file.depth) != theirs.depth
            || !same_line
        {
            list.push(format!("file {index}: httpd {theirs:?}, the reader {file:?} (line {line})"));
            return;
        }
    }
    // Where httpd stops at an error, the reader goes on.
    if answer.accepted
        && let Some(more) = ours.get(answer.files.len())
    {
        list.push(format!("the reader also reads {}", more.path.display()));
    }
}

/// Compares where the first error is; its words are the reader's own.
fn errors(lines: &Lines<'_>, answer: &Answer, list: &mut Vec<String>) {
    let Some(first) = lines.ours.errors.first() else {
        list.push("httpd refuses it, the reader does not".to_owned());
        return;
    };
    // The innermost place comes last, except that the words after it may quote another.
    let theirs = answer.stderr.match_indices("yntax error on line ").last().and_then(|(at, text)| {
        let rest = &answer.stderr[at + text.len()..];
        let (line, rest) = rest.split_once(" of ")?;
        let file = rest.split_once(":\n").into_iter().chain(rest.split_once(": ")).map(|(file, _)| file);
        Some((line.parse::<u32>().ok()?, unescape(file.min_by_key(|file| file.len())?)))
    });
    let Some((line, file)) = theirs else { return };
    if file.starts_with("macro '") || lines.has_macros() {
        return;
    }
    let id = lines.ours.files.iter().position(|read| read.path == first.file);
    let number = id.map_or(0, |id| lines.last_of(FileId::try_from(id).unwrap_or(0), first.line));
    if first.file.to_string_lossy() != file || number != line {
        list.push(format!(
            "httpd's first error is at {file}:{line}, the reader's at {}:{number}: {}",
            first.file.display(),
            first.message
        ));
    }
}

/// Undoes the `\xc3` that httpd's log writes for bytes beyond ASCII.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut parts = text.split("\\x");
    bytes.extend_from_slice(parts.next().unwrap_or_default().as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        bytes.extend(u8::from_str_radix(digits, 16));
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn vhosts(lines: &Lines<'_>, answer: &Answer, list: &mut Vec<String>) {
    let theirs: Vec<(String, Option<String>)> = answer
        .config
        .iter()
        .enumerate()
        .filter(|(_, dumped)| dumped.name.eq_ignore_ascii_case("<VirtualHost"))
        .map(|(index, dumped)| {
            let addresses = dumped.arguments.rsplit_once('>').map_or("", |(addresses, _)| addresses);
            let name = answer
                .config
                .iter()
                .rfind(|inner| inner.parents == [index] && inner.name.eq_ignore_ascii_case("ServerName"))
                .and_then(|inner| split(&inner.arguments).into_iter().next());
            (split(addresses).join(" "), name)
        })
        .collect();
    let mine: Vec<(String, Option<String>)> =
        lines.ours.vhosts.iter().map(|vhost| (vhost.addresses.join(" "), vhost.name.clone())).collect();
    if theirs != mine {
        list.push(format!("virtual hosts: httpd {theirs:?}, the reader {mine:?}"));
    }
}

/// The files' physical lines.
struct Lines<'a> {
    root: &'a Path,
    ours: &'a Configuration,
}

impl Lines<'_> {
    fn has_macros(&self) -> bool {
        use apache_tuning::httpd::read::NoteKind;
        self.ours.notes.iter().any(|note| note.kind == NoteKind::Macro)
    }

    fn kept(&self, line: &apache_tuning::httpd::read::Line) -> Kept {
        let path = self.ours.path(line.file).to_string_lossy().into_owned();
        Kept {
            name: line.directive,
            words: line.words.clone(),
            place: Some((path, self.last_of(line.file, line.line))),
            scope: match line.scope {
                Scope::Main => "main",
                Scope::Vhost(_) => "vhost",
                Scope::Section => "section",
            },
        }
    }

    /// Returns the last physical line of the logical line that starts at `first`: the number httpd tells.
    fn last_of(&self, file: FileId, first: u32) -> u32 {
        let path = inside(self.root, &self.ours.path(file).to_string_lossy());
        let Ok(content) = std::fs::read(path) else { return first };
        let mut joined: Vec<u8> = Vec::new();
        let mut number = first;
        for line in content.split_inclusive(|&byte| byte == b'\n').skip(first.saturating_sub(1) as usize) {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            joined.extend_from_slice(text);
            let bare = joined.strip_suffix(b"\r").unwrap_or(&joined);
            let Some(bare) = bare.strip_suffix(b"\\") else { break };
            joined.truncate(bare.len());
            number += 1;
        }
        number
    }
}

/// Splits arguments into words: a second implementation, so that a mistake in the reader's shows.
fn split(text: &str) -> Vec<String> {
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\u{b}' | '\u{c}' | '\r');
    let mut words = Vec::new();
    let mut rest = text.trim_matches(space);
    while let Some(first) = rest.chars().next() {
        let quote = matches!(first, '"' | '\'').then_some(first);
        let mut word = String::new();
        let mut chars = rest.char_indices().skip(usize::from(quote.is_some())).peekable();
        let mut end = rest.len();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|&(_, next)| next);
            if c == '\\' && next.is_some() && (next == Some('\\') || next == quote) {
                word.extend(next);
                chars.next();
            } else if quote.map_or_else(|| space(c), |quote| c == quote) {
                end = at + usize::from(quote.is_some());
                break;
            } else {
                word.push(c);
            }
        }
        words.push(word);
        rest = rest[end..].trim_start_matches(space);
    }
    words
}
