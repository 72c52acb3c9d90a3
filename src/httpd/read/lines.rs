//! Logical lines of one file, as httpd's `ap_varbuf_cfg_getline` hands them out, and what macros put between
//! them.

use std::sync::Arc;

use memchr::memchr;

use super::FileId;
use super::words::{is_space, trim};

/// The longest logical line in bytes, its line end included; httpd refuses longer ones.
const MAX_LINE: usize = 16 << 20;

/// The longest line inside `<Macro>`, in bytes.
pub(super) const MAX_MACRO_LINE: usize = 8190;

/// Lines that a macro puts in place of its `Use`.
pub(super) struct Expansion {
    /// The macro's name in lower case.
    pub(super) name: Vec<u8>,
    /// The file that defines the macro.
    pub(super) file: FileId,
    /// The lines, parameters replaced, with the line each stands at.
    pub(super) lines: Vec<(Vec<u8>, u32)>,
    next: usize,
}

impl Expansion {
    /// Returns the lines of one use of a macro.
    pub(super) fn new(name: Vec<u8>, file: FileId, lines: Vec<(Vec<u8>, u32)>) -> Self {
        Self { name, file, lines, next: 0 }
    }
}

/// A file being read.
pub(super) struct Source {
    /// Its index in the configuration.
    pub(super) id: FileId,
    bytes: Arc<[u8]>,
    position: usize,
    line: u32,
    has_nul: bool,
    /// The macros whose lines are read before the file goes on, innermost last.
    pub(super) macros: Vec<Expansion>,
    /// Whether a macro has just ended: httpd then reads the next line in another way, see [`Source::physical`].
    after_macro: bool,
}

/// Where a logical line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) file: FileId,
    /// Its first physical line.
    pub(super) line: u32,
}

/// What [`Source::next`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line; its text, cut at both ends, is in the buffer. `joined` is the length of its first physical line
    /// where a backslash continued it.
    Line { place: Place, joined: Option<usize> },
    /// A line longer than httpd takes.
    TooLong(Place),
    /// The end of the file.
    End,
}

impl Source {
    /// Starts to read a file.
    pub(super) fn new(id: FileId, bytes: Arc<[u8]>) -> Self {
        let has_nul = memchr(0, &bytes).is_some();
        Self { id, bytes, position: 0, line: 0, has_nul, macros: Vec::new(), after_macro: false }
    }

    /// Reads up to the next line that `wanted` takes, and puts its text into `text`.
    ///
    /// `wanted` sees each line cut at both ends; empty lines are never handed out. A continued line is always
    /// handed out, because a comment among them swallows what follows it.
    pub(super) fn next(&mut self, text: &mut Vec<u8>, mut wanted: impl FnMut(&[u8], Place) -> bool) -> Next {
        loop {
            text.clear();
            if !self.macros.is_empty() || self.after_macro {
                let line = self.join(text);
                // Behind a macro this holds for one logical line, to its end.
                self.after_macro = false;
                match line {
                    Next::Line { place, joined } => {
                        if joined.is_some() || (!text.is_empty() && wanted(text, place)) {
                            return Next::Line { place, joined };
                        }
                        continue;
                    }
                    other => return other,
                }
            }
            let rest = &self.bytes[self.position..];
            if rest.is_empty() {
                return Next::End;
            }
            let end = memchr(b'\n', rest);
            let physical = &rest[..end.unwrap_or(rest.len())];
            let place = Place { file: self.id, line: self.line + 1 };
            if physical.len() >= MAX_LINE {
                return Next::TooLong(place);
            }
            let unusual = self.has_nul && memchr(0, physical).is_some();
            if unusual || (end.is_some() && is_continued(physical)) {
                let result = self.join(text);
                match result {
                    Next::Line { joined: None, place } if text.is_empty() || !wanted(text, place) => continue,
                    other => return other,
                }
            }
            self.line += 1;
            self.position += physical.len() + usize::from(end.is_some());
            let trimmed = trim(physical);
            if !trimmed.is_empty() && wanted(trimmed, place) {
                text.extend_from_slice(trimmed);
                return Next::Line { place, joined: None };
            }
        }
    }

    /// Reads one logical line in the general way: across continuations, NUL bytes and the ends of macros.
    fn join(&mut self, text: &mut Vec<u8>) -> Next {
        let mut first: Option<Place> = None;
        let mut joined = None;
        loop {
            let before = text.len();
            let Some((place, line_feed)) = self.physical(text) else {
                // The file ends behind a backslash: what was joined so far is the line.
                let Some(place) = first else { return Next::End };
                trim_in_place(text);
                return Next::Line { place, joined };
            };
            let place = *first.get_or_insert(place);
            if let Some(nul) = memchr(0, &text[before..]) {
                text.truncate(before + nul);
                trim_in_place(text);
                return Next::Line { place, joined };
            }
            if text.len() >= MAX_LINE {
                return Next::TooLong(place);
            }
            // The backslash is looked for in all that was joined, so that one left over by a doubled backslash
            // continues an empty line, as in httpd.
            if line_feed && let Some(length) = continuation(text) {
                text.truncate(length);
                joined.get_or_insert(length);
                continue;
            }
            trim_in_place(text);
            return Next::Line { place, joined };
        }
    }

    /// Appends the next physical line without its line feed and tells whether it had one.
    ///
    /// Where a macro ends, httpd reads the next line of the file character by character and forgets it when the
    /// file ends without a line feed.
    fn physical(&mut self, text: &mut Vec<u8>) -> Option<(Place, bool)> {
        while let Some(expansion) = self.macros.last_mut() {
            if let Some((line, number)) = expansion.lines.get(expansion.next) {
                text.extend_from_slice(line);
                expansion.next += 1;
                self.after_macro = false;
                return Some((Place { file: expansion.file, line: *number }, true));
            }
            self.macros.pop();
            self.after_macro = true;
        }
        let rest = &self.bytes[self.position..];
        if rest.is_empty() {
            return None;
        }
        let end = memchr(b'\n', rest);
        let physical = &rest[..end.unwrap_or(rest.len())];
        self.line += 1;
        self.position += physical.len() + usize::from(end.is_some());
        if self.after_macro && end.is_none() {
            return None;
        }
        text.extend_from_slice(physical);
        Some((Place { file: self.id, line: self.line }, end.is_some()))
    }
}

/// Tells whether a physical line without its line feed is continued.
fn is_continued(physical: &[u8]) -> bool {
    matches!(physical, [.., b'\\'] | [.., b'\\', b'\r'])
}

/// Returns the length up to the backslash that continues a line, if one does.
fn continuation(text: &[u8]) -> Option<usize> {
    match text {
        [rest @ .., b'\\'] | [rest @ .., b'\\', b'\r'] => Some(rest.len()),
        _ => None,
    }
}

fn trim_in_place(text: &mut Vec<u8>) {
    let length = trim(text).len();
    let start = text.iter().position(|&byte| !is_space(byte)).unwrap_or(0);
    text.drain(..start);
    text.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<(u32, String)> {
        let mut source = Source::new(0, text.into());
        let mut buffer = Vec::new();
        let mut lines = Vec::new();
        loop {
            match source.next(&mut buffer, |_, _| true) {
                Next::Line { place, .. } => {
                    lines.push((place.line, crate::tree::text(&buffer).into_owned()));
                }
                Next::TooLong(place) => {
                    lines.push((place.line, "too long".to_owned()));
                    return lines;
                }
                Next::End => return lines,
            }
        }
    }

    #[test]
    fn lines_are_joined_cut_and_counted_as_httpd_does() {
        for (text, expected) in [
            ("a\nb", &[(1, "a"), (2, "b")][..]),
            ("  a \r\n\n\tb\x0b\n", &[(1, "a"), (3, "b")]),
            ("Server\\\nLimit 5\nx", &[(1, "ServerLimit 5"), (3, "x")]),
            ("Server\\\r\nLimit 5\n", &[(1, "ServerLimit 5")]),
            ("a\\ \nb\n", &[(1, "a\\"), (2, "b")]),
            ("a\\\\\nb\n", &[(1, "a\\b")]),
            ("a\\\\\n\nb\n", &[(1, "ab")]),
            ("a\\\n\nb\n", &[(1, "a"), (3, "b")]),
            ("# a\\\nb\nc\n", &[(1, "# ab"), (3, "c")]),
            ("a\\\n# b\n", &[(1, "a# b")]),
            ("a\\", &[(1, "a\\")]),
            ("a\\\n", &[(1, "a")]),
            ("a\rb\n", &[(1, "a\rb")]),
            ("a\0b\nc\n", &[(1, "a"), (2, "c")]),
            ("a\0\\\nc\n", &[(1, "a"), (2, "c")]),
            ("a\\\nb\0c\nd\n", &[(1, "ab"), (3, "d")]),
            ("", &[]),
        ] {
            let expected: Vec<(u32, String)> =
                expected.iter().map(|&(line, text)| (line, text.to_owned())).collect();
            assert_eq!(all(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_of_sixteen_mebibytes_is_too_long() {
        let line = |length: usize| [&vec![b'a'; length - 1][..], b"\n"].concat();
        assert_eq!(all(&line(MAX_LINE))[0].1.len(), MAX_LINE - 1);
        assert_eq!(all(&line(MAX_LINE + 1)), [(1, "too long".to_owned())]);
        let joined = b"aaaaaaa\\\n".repeat(MAX_LINE / 7 + 1);
        assert_eq!(all(&joined), [(1, "too long".to_owned())]);
    }

    #[test]
    fn the_line_behind_a_macro_is_lost_without_its_line_feed() {
        for (text, expected) in [
            ("a\nb\n", &["m", "b"][..]),
            ("a\nb", &["m"]),
            ("a\nb\nc", &["m", "b", "c"]),
            // What the backslash stands behind is a line all the same: httpd says `Invalid command 'Ma'`.
            ("a\nMa\\\nxKeepAliveRequests 221", &["m", "Ma"]),
        ] {
            let mut source = Source::new(0, text.as_bytes().into());
            let mut buffer = Vec::new();
            let mut lines = Vec::new();
            source.next(&mut buffer, |_, _| true);
            source.macros.push(Expansion::new(b"x".to_vec(), 0, vec![(b"m".to_vec(), 9)]));
            while let Next::Line { .. } = source.next(&mut buffer, |_, _| true) {
                lines.push(crate::tree::text(&buffer).into_owned());
            }
            assert_eq!(lines, expected, "{text:?}");
        }
    }
}
