//! A line's words and variables, split and replaced as httpd does it.
//!
//! Source: `ap_getword_conf` and `ap_resolve_env` of httpd 2.4.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

/// The white space of C's `isspace`, which httpd cuts and splits at.
pub(super) const fn is_space(byte: u8) -> bool {
    SPACES[byte as usize]
}

/// A table, because it is asked for nearly every byte of every line.
static SPACES: [bool; 256] = {
    let mut spaces = [false; 256];
    let mut at = 0;
    let all = b" \t\n\x0b\x0c\r";
    while at < all.len() {
        spaces[all[at] as usize] = true;
        at += 1;
    }
    spaces
};

/// Returns `text` without white space at its ends.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_space(*last)
    {
        text = rest;
    }
    text
}

/// Returns `text` without white space before it.
fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_space(*first)
    {
        text = rest;
    }
    text
}

/// Takes the next word off `rest`, and the white space behind it; an empty word where nothing is left or where
/// the word is `""`.
///
/// A word that starts with a quote runs to the same quote, which a backslash escapes; a missing closing quote is
/// accepted. In every word a doubled backslash is one.
pub(super) fn word<'a>(rest: &mut &'a [u8]) -> Cow<'a, [u8]> {
    let text = trim_start(rest);
    let Some(&first) = text.first() else {
        *rest = text;
        return Cow::Borrowed(b"");
    };
    let quote = matches!(first, b'"' | b'\'').then_some(first);
    let (raw, after) = if let Some(quote) = quote {
        let body = &text[1..];
        let mut end = 0;
        while end < body.len() && body[end] != quote {
            let escaped =
                body[end] == b'\\' && body.get(end + 1).is_some_and(|&next| next == quote || next == b'\\');
            end += if escaped { 2 } else { 1 };
        }
        (&body[..end], body.get(end + 1..).unwrap_or_default())
    } else {
        let end = text.iter().position(|&byte| is_space(byte)).unwrap_or(text.len());
        text.split_at(end)
    };
    *rest = trim_start(after);
    unescape(raw, quote)
}

/// Returns a word's text with its escapes taken off.
fn unescape(raw: &[u8], quote: Option<u8>) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(&next) if byte == b'\\' && (next == b'\\' || Some(next) == quote) => {
                text.push(next);
                bytes.next();
            }
            _ => text.push(byte),
        }
    }
    Cow::Owned(text)
}

/// Returns the first word of a text, if it has one.
pub(super) fn first_word(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut rest = trim_start(text);
    (!rest.is_empty()).then(|| word(&mut rest))
}

/// Returns all words of a text.
pub(super) fn words(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    rest = trim_start(rest);
    while !rest.is_empty() {
        words.push(word(&mut rest).into_owned());
    }
    words
}

/// Returns a text for people and results: bytes that are not UTF-8 become U+FFFD.
pub(super) fn lossy(text: &[u8]) -> String {
    crate::tree::text(text).into_owned()
}

/// What `${NAME}` and `<IfDefine NAME>` see: the effect of `Define`, `UnDefine`, `-D` and the environment.
pub(super) struct Variables<'a> {
    /// Names that are defined, with or without a value; compared byte for byte.
    flags: Vec<Vec<u8>>,
    /// Values by lower-case name, because httpd looks them up in a table that ignores case.
    values: FxHashMap<Vec<u8>, Vec<u8>>,
    environment: &'a BTreeMap<String, String>,
    /// Names that were looked up there and found.
    used: RefCell<BTreeSet<String>>,
}

/// The longest line that replacing variables may make, in bytes. httpd has no limit; a chain of definitions that
/// double each other would take all memory there.
pub(super) const MAX_EXPANDED: usize = 16 << 20;

impl<'a> Variables<'a> {
    /// Returns the state before the first line.
    pub(super) fn new(flags: &[String], environment: &'a BTreeMap<String, String>) -> Self {
        let flags = flags.iter().map(|flag| flag.clone().into_bytes()).collect();
        Self { flags, values: FxHashMap::default(), environment, used: RefCell::default() }
    }

    /// Carries out `Define`; an empty value sets the flag alone and leaves an earlier value in place.
    pub(super) fn define(&mut self, name: &[u8], value: &[u8]) {
        if !self.is_defined(name) {
            self.flags.push(name.to_vec());
        }
        if !value.is_empty() {
            self.values.insert(name.to_ascii_lowercase(), value.to_vec());
        }
    }

    /// Carries out `UnDefine`.
    pub(super) fn undefine(&mut self, name: &[u8]) {
        if let Some(index) = self.flags.iter().position(|flag| flag == name) {
            self.flags.swap_remove(index);
        }
        self.values.remove(&name.to_ascii_lowercase());
    }

    /// Tells whether `<IfDefine NAME>` is true.
    pub(super) fn is_defined(&self, name: &[u8]) -> bool {
        self.flags.iter().any(|flag| flag == name)
    }

    /// Tells whether a name is defined that differs from this one only in case.
    pub(super) fn is_defined_in_other_case(&self, name: &[u8]) -> bool {
        !self.is_defined(name) && self.flags.iter().any(|flag| flag.eq_ignore_ascii_case(name))
    }

    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if !self.values.is_empty()
            && let Some(value) = self.values.get(&name.to_ascii_lowercase())
        {
            return Some(value);
        }
        let name = std::str::from_utf8(name).ok()?;
        let value = self.environment.get(name)?;
        let mut used = self.used.borrow_mut();
        if !used.contains(name) {
            used.insert(name.to_owned());
        }
        Some(value.as_bytes())
    }

    /// Returns the names that were found in the environment.
    pub(super) fn used(&self) -> BTreeSet<String> {
        self.used.take()
    }

    /// Returns a line with its variables replaced, once: values are not looked at again. Names that are not
    /// defined stay as they are and are added to `undefined`. `None` where the result would be larger than
    /// [`MAX_EXPANDED`].
    pub(super) fn resolve<'t>(&self, text: &'t [u8], undefined: &mut Vec<Vec<u8>>) -> Option<Cow<'t, [u8]>> {
        let Some(first) = memchr::memchr(b'$', text) else { return Some(Cow::Borrowed(text)) };
        let mut result = Vec::with_capacity(text.len() + 64);
        result.extend_from_slice(&text[..first]);
        let mut rest = &text[first..];
        while let Some(&byte) = rest.first() {
            if byte == b'$'
                && rest.get(1) == Some(&b'{')
                && let Some(end) = memchr::memchr(b'}', &rest[2..])
            {
                let name = &rest[2..2 + end];
                if let Some(value) = self.value(name) {
                    result.extend_from_slice(value);
                } else {
                    // Names with a colon belong to modules that replace them later.
                    if !name.contains(&b':') {
                        undefined.push(name.to_vec());
                    }
                    result.extend_from_slice(&rest[..end + 3]);
                }
                rest = &rest[end + 3..];
            } else {
                let next = memchr::memchr(b'$', &rest[1..]).map_or(rest.len(), |at| at + 1);
                result.extend_from_slice(&rest[..next]);
                rest = &rest[next..];
            }
            if result.len() > MAX_EXPANDED {
                return None;
            }
        }
        Some(Cow::Owned(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_split_as_httpd_splits_them() {
        for (line, expected) in [
            ("a b  c", &["a", "b", "c"][..]),
            ("\ta\x0bb\x0cc ", &["a", "b", "c"]),
            ("\"a b\" c", &["a b", "c"]),
            ("'a \"b' c", &["a \"b", "c"]),
            ("\"a b", &["a b"]),
            ("\"5\"6", &["5", "6"]),
            (r#""a\"b" c"#, &["a\"b", "c"]),
            (r#""a\\" c"#, &[r"a\", "c"]),
            (r#""a\'b""#, &[r"a\'b"]),
            (r"a\\b a\b", &[r"a\b", r"a\b"]),
            (r#"a"b c"#, &["a\"b", "c"]),
            ("\"\" x", &["", "x"]),
            ("   ", &[]),
        ] {
            let found: Vec<String> = words(line.as_bytes()).iter().map(|word| lossy(word)).collect();
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn variables_are_replaced_once_and_looked_up_as_httpd_does() {
        let environment = BTreeMap::from([("HOME_dir".to_owned(), "/h".to_owned())]);
        let mut variables = Variables::new(&["FLAG".to_owned()], &environment);
        variables.define(b"a", b"5");
        variables.define(b"Two", b"x y");
        variables.define(b"nest", b"${a}");
        variables.define(b"empty", b"");
        for (line, expected, unknown) in [
            ("L ${A} ${a}", "L 5 5", &[][..]),
            ("${TWO}", "x y", &[]),
            ("${nest}", "${a}", &[]),
            ("${HOME_dir} ${HOME_DIR}", "/h ${HOME_DIR}", &["HOME_DIR"]),
            ("${empty}${FLAG}", "${empty}${FLAG}", &["empty", "FLAG"]),
            ("${ENV:x} $a $ ${", "${ENV:x} $a $ ${", &[]),
            ("$${a}", "$5", &[]),
            ("${}", "${}", &[""]),
        ] {
            let mut undefined = Vec::new();
            let found = variables.resolve(line.as_bytes(), &mut undefined).map(|text| lossy(&text));
            assert_eq!(found.as_deref(), Some(expected), "{line}");
            assert_eq!(undefined, unknown.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_definition_is_a_flag_in_its_case_and_a_value_in_any() {
        let environment = BTreeMap::new();
        let mut variables = Variables::new(&[], &environment);
        variables.define(b"A", b"1");
        variables.define(b"A", b"");
        assert!(variables.is_defined(b"A") && !variables.is_defined(b"a"));
        assert!(variables.is_defined_in_other_case(b"a") && !variables.is_defined_in_other_case(b"A"));
        assert_eq!(variables.value(b"a"), Some(&b"1"[..]), "an empty value does not take the old one away");
        variables.undefine(b"a");
        assert!(variables.is_defined(b"A"), "the flag is compared byte for byte");
        assert_eq!(variables.value(b"A"), None, "the value is not");
    }

    #[test]
    fn values_that_double_each_other_stop() {
        let environment = BTreeMap::new();
        let mut variables = Variables::new(&[], &environment);
        variables.define(b"a", &vec![b'x'; 1 << 20]);
        let line = b"${a}".repeat(17);
        assert_eq!(variables.resolve(&line, &mut Vec::new()), None);
    }
}
