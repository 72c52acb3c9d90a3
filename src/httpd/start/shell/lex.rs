//! The words of a start script's files, and what is there between them.
//!
//! Source: POSIX.1-2017, Shell Command Language, 2.2 (quoting), 2.3 (tokens), 2.6.2 (variables).

use super::parse::Parser;

/// One word.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) parts: Vec<Part>,
    /// Whether quotes stand in it: then it is a word even when it is empty.
    pub(super) quoted: bool,
}

impl Word {
    /// Returns the text of a word without quotes and variables.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text { text, quoted: false }] if !self.quoted => Some(text),
            _ => None,
        }
    }
}

/// A piece of a word.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text {
        text: String,
        quoted: bool,
    },
    Variable {
        name: String,
        change: Option<(Change, Word)>,
        quoted: bool,
    },
    /// What only a shell could tell: `$(...)`, `$1`.
    Opaque,
}

/// What `${NAME...}` makes of a value. `empty` tells whether an empty value counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Default { empty: bool },
    Assign { empty: bool },
    Alternative { empty: bool },
    Required { empty: bool },
    WithoutPrefix { longest: bool },
    WithoutSuffix { longest: bool },
}

/// What a token is besides a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Newline,
    Semicolon,
    DoubleSemicolon,
    And,
    Or,
    Pipe,
    Background,
    Open,
    Close,
    End,
}

pub(super) enum Token {
    Word(Word),
    Operator(Operator),
}

/// A text that is no shell, or more of it than is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotUnderstood;

pub(super) type Parsed<T> = Result<T, NotUnderstood>;

impl Parser<'_> {
    fn byte(&self, offset: usize) -> Option<u8> {
        self.text.get(self.at + offset).copied()
    }

    fn advance(&mut self, count: usize) {
        if count == 1 {
            if let Some(byte) = self.byte(0) {
                self.line = self.line.saturating_add(u32::from(byte == b'\n'));
                self.at += 1;
            }
            return;
        }
        let end = (self.at + count).min(self.text.len());
        let lines = memchr::memchr_iter(b'\n', &self.text[self.at..end]).count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at = end;
    }

    /// Skips blanks, continued lines and a comment.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b' ' | b'\t' | b'\r'), _) => self.advance(1),
                (Some(b'\\'), Some(b'\n')) => self.advance(2),
                (Some(b'#'), _) => {
                    let rest = &self.text[self.at..];
                    // The end of the line is not skipped.
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// Reads the next token from the text.
    pub(super) fn read_token(&mut self) -> Parsed<Token> {
        loop {
            self.skip_blanks();
            let (operator, length) = match (self.byte(0), self.byte(1)) {
                (None, _) => (Operator::End, 0),
                (Some(b'\n'), _) => (Operator::Newline, 1),
                (Some(b';'), Some(b';')) => (Operator::DoubleSemicolon, 2),
                (Some(b';'), _) => (Operator::Semicolon, 1),
                (Some(b'&'), Some(b'&')) => (Operator::And, 2),
                (Some(b'&'), Some(b'>')) => {
                    self.advance(1);
                    self.redirection()?;
                    continue;
                }
                (Some(b'&'), _) => (Operator::Background, 1),
                (Some(b'|'), Some(b'|')) => (Operator::Or, 2),
                (Some(b'|'), _) => (Operator::Pipe, 1),
                (Some(b'('), _) => (Operator::Open, 1),
                (Some(b')'), _) => (Operator::Close, 1),
                (Some(b'<' | b'>'), _) => {
                    self.redirection()?;
                    continue;
                }
                _ => {
                    let word = self.deeper(|parser| parser.word(None))?;
                    let digits =
                        word.plain().is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                    if digits && matches!(self.byte(0), Some(b'<' | b'>')) {
                        self.redirection()?;
                        continue;
                    }
                    return Ok(Token::Word(word));
                }
            };
            self.advance(length);
            return Ok(Token::Operator(operator));
        }
    }

    /// Skips `> file`, `2>&1` and their like; a document in place is more than is understood.
    fn redirection(&mut self) -> Parsed<()> {
        if self.text[self.at..].starts_with(b"<<") {
            return Err(NotUnderstood);
        }
        while matches!(self.byte(0), Some(b'<' | b'>' | b'&' | b'|')) {
            self.advance(1);
        }
        while matches!(self.byte(0), Some(b' ' | b'\t')) {
            self.advance(1);
        }
        let word = self.deeper(|parser| parser.word(None))?;
        if word.parts.is_empty() && !word.quoted { Err(NotUnderstood) } else { Ok(()) }
    }

    /// Reads one word, or what is there in `${...}` up to its `}`; `inside` tells whether that is within quotes.
    fn word(&mut self, inside: Option<bool>) -> Parsed<Word> {
        let mut word = Word::default();
        let outer_quotes = inside == Some(true);
        let mut quotes = outer_quotes;
        let mut text: Vec<u8> = Vec::new();
        loop {
            let Some(byte) = self.byte(0) else {
                if quotes || inside.is_some() {
                    return Err(NotUnderstood);
                }
                break;
            };
            match byte {
                b'}' if inside.is_some() && quotes == outer_quotes => break,
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>'
                    if !quotes && inside.is_none() =>
                {
                    break;
                }
                b'"' => {
                    flush(&mut word, &mut text, quotes)?;
                    quotes = !quotes;
                    word.quoted = true;
                    self.advance(1);
                }
                b'\'' if !quotes => {
                    flush(&mut word, &mut text, false)?;
                    let rest = &self.text[self.at + 1..];
                    let length = memchr::memchr(b'\'', rest).ok_or(NotUnderstood)?;
                    text.extend_from_slice(&rest[..length]);
                    flush(&mut word, &mut text, true)?;
                    word.quoted = true;
                    self.advance(length + 2);
                }
                b'\\' => {
                    let next = self.byte(1).ok_or(NotUnderstood)?;
                    self.advance(2);
                    if next == b'\n' {
                        continue;
                    }
                    if quotes && !matches!(next, b'$' | b'`' | b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    flush(&mut word, &mut text, quotes)?;
                    // The rest of a character of several bytes follows as it is.
                    text.push(next);
                    if next.is_ascii() {
                        flush(&mut word, &mut text, true)?;
                        word.quoted = true;
                    }
                }
                b'`' => {
                    flush(&mut word, &mut text, quotes)?;
                    let rest = &self.text[self.at + 1..];
                    let length = memchr::memchr(b'`', rest).ok_or(NotUnderstood)?;
                    self.advance(length + 2);
                    word.parts.push(Part::Opaque);
                }
                b'$' => {
                    let next = self.byte(1);
                    let is_literal = !next
                        .is_some_and(|next| next.is_ascii_alphanumeric() || b"_{(@*#?-$!".contains(&next));
                    if is_literal {
                        text.push(b'$');
                        self.advance(1);
                        continue;
                    }
                    flush(&mut word, &mut text, quotes)?;
                    self.advance(1);
                    let part = self.deeper(|parser| parser.dollar(quotes))?;
                    word.parts.push(part);
                }
                b'~' if !quotes && word.parts.is_empty() && text.is_empty() && inside.is_none() => {
                    self.advance(1);
                    word.parts.push(Part::Opaque);
                }
                b'\n' => {
                    text.push(byte);
                    self.advance(1);
                }
                _ => {
                    let rest = &self.text[self.at..];
                    let plain = 1 + rest.iter().skip(1).take_while(|byte| is_plain(**byte)).count();
                    text.extend_from_slice(&rest[..plain]);
                    self.at += plain;
                }
            }
        }
        flush(&mut word, &mut text, quotes)?;
        Ok(word)
    }

    /// Reads what follows a `$`.
    fn dollar(&mut self, quoted: bool) -> Parsed<Part> {
        match self.byte(0) {
            Some(b'(') => {
                self.advance(1);
                self.substitution()?;
                Ok(Part::Opaque)
            }
            Some(b'{') => {
                self.advance(1);
                self.braces(quoted)
            }
            _ => {
                if let Some(name) = self.name() {
                    Ok(Part::Variable { name, change: None, quoted })
                } else {
                    self.advance(1);
                    Ok(Part::Opaque)
                }
            }
        }
    }

    /// Skips `$(...)`, whose `(` is read.
    fn substitution(&mut self) -> Parsed<()> {
        let mut open = 1;
        while open > 0 {
            match self.byte(0).ok_or(NotUnderstood)? {
                b'(' => open += 1,
                b')' => open -= 1,
                b'\\' => self.advance(1),
                quote @ (b'"' | b'\'') => {
                    let rest = &self.text[self.at + 1..];
                    let length = memchr::memchr(quote, rest).ok_or(NotUnderstood)?;
                    self.advance(length + 1);
                }
                _ => {}
            }
            self.advance(1);
        }
        Ok(())
    }

    fn name(&mut self) -> Option<String> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let name = std::str::from_utf8(&rest[..length]).ok().filter(|name| is_name(name))?.to_owned();
        self.advance(length);
        Some(name)
    }

    /// Reads what follows `${`.
    fn braces(&mut self, quoted: bool) -> Parsed<Part> {
        let Some(name) = self.name() else {
            self.deeper(|parser| parser.word(Some(quoted)))?;
            self.advance(1);
            return Ok(Part::Opaque);
        };
        let (change, length) = match (self.byte(0), self.byte(1)) {
            (Some(b'}'), _) => {
                self.advance(1);
                return Ok(Part::Variable { name, change: None, quoted });
            }
            (Some(b':'), Some(b'-')) => (Change::Default { empty: true }, 2),
            (Some(b'-'), _) => (Change::Default { empty: false }, 1),
            (Some(b':'), Some(b'=')) => (Change::Assign { empty: true }, 2),
            (Some(b'='), _) => (Change::Assign { empty: false }, 1),
            (Some(b':'), Some(b'+')) => (Change::Alternative { empty: true }, 2),
            (Some(b'+'), _) => (Change::Alternative { empty: false }, 1),
            (Some(b':'), Some(b'?')) => (Change::Required { empty: true }, 2),
            (Some(b'?'), _) => (Change::Required { empty: false }, 1),
            (Some(b'#'), Some(b'#')) => (Change::WithoutPrefix { longest: true }, 2),
            (Some(b'#'), _) => (Change::WithoutPrefix { longest: false }, 1),
            (Some(b'%'), Some(b'%')) => (Change::WithoutSuffix { longest: true }, 2),
            (Some(b'%'), _) => (Change::WithoutSuffix { longest: false }, 1),
            _ => {
                self.deeper(|parser| parser.word(Some(quoted)))?;
                self.advance(1);
                return Ok(Part::Opaque);
            }
        };
        self.advance(length);
        let word = self.deeper(|parser| parser.word(Some(quoted)))?;
        self.advance(1);
        Ok(Part::Variable { name, change: Some((change, word)), quoted })
    }
}

/// Tells whether a byte means itself wherever it stands in a word.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'=' | b':' | b',' | b'+')
}

/// Ends a piece of plain text.
fn flush(word: &mut Word, text: &mut Vec<u8>, quoted: bool) -> Parsed<()> {
    if !text.is_empty() {
        let text = String::from_utf8(std::mem::take(text)).map_err(|_| NotUnderstood)?;
        word.parts.push(Part::Text { text, quoted });
    }
    Ok(())
}

/// Tells whether a text can be a variable's name.
pub(in crate::httpd::start) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
