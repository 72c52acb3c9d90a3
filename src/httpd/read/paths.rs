//! Paths and patterns of `Include`, as APR joins and matches them.
//!
//! Source: `apr_filepath_merge`, `apr_fnmatch` and `apr_fnmatch_test` of APR 1.7.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The longest path APR takes, in bytes.
const MAX_PATH: usize = 4096;

/// Returns a path of these bytes.
pub(super) fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Returns a path of these bytes, which it keeps.
pub(super) fn owned(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

/// Returns a path's bytes.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Returns `name` under `root`, `.` and `..` and doubled slashes taken out by text alone; `None` where it is
/// longer than a path may be.
pub(super) fn under(root: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    if root.len() + name.len() + 4 > MAX_PATH {
        return None;
    }
    let mut path = if name.first() == Some(&b'/') { b"/".to_vec() } else { root.to_vec() };
    if path.last().is_some_and(|&last| last != b'/') {
        path.push(b'/');
    }
    let mut rest = name;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == b'/');
        let segment = &rest[..end.unwrap_or(rest.len())];
        match segment {
            b"" | b"." => {}
            b".." => {
                if path != b"/" {
                    path.pop();
                    while path.last().is_some_and(|&last| last != b'/') {
                        path.pop();
                    }
                }
            }
            segment => {
                path.extend_from_slice(segment);
                if end.is_some() {
                    path.push(b'/');
                }
            }
        }
        rest = end.map_or(&rest[rest.len()..], |end| &rest[end + 1..]);
    }
    Some(path)
}

/// Returns `name` in `directory`.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let slash = directory.last() != Some(&b'/');
    let mut path = Vec::with_capacity(directory.len() + name.len() + 1);
    path.extend_from_slice(directory);
    if slash {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Tells whether a text has anything in it that makes it a pattern.
pub(super) fn is_pattern(text: &[u8]) -> bool {
    let mut bracket = false;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'?' | b'*' => return true,
            b'\\' if bytes.next().is_none() => return false,
            b'[' => bracket = true,
            b']' if bracket => return true,
            _ => {}
        }
    }
    false
}

/// Tells whether a file name matches a pattern. A leading dot is matched by a dot alone.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && !matches!(pattern, [b'.', ..] | [b'\\', b'.', ..]) {
        return false;
    }
    let (mut at, mut position) = (0, 0);
    // Where to go on when what follows the last `*` does not match here: one character later.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            at += 1;
            let rest = &pattern[at..];
            // What nearly every pattern ends in, such as `*.conf`.
            if !rest.iter().any(|byte| b"*?[\\".contains(byte)) {
                return name[position..].ends_with(rest);
            }
            retry = Some((at, position));
            continue;
        }
        if position == name.len() && at == pattern.len() {
            return true;
        }
        let one = name.get(position).and_then(|&byte| match_one(&pattern[at..], byte));
        if let Some(length) = one {
            at += length;
            position += 1;
            continue;
        }
        match retry {
            Some((after_star, start)) if start < name.len() => {
                at = after_star;
                position = start + 1;
                retry = Some((after_star, start + 1));
            }
            _ => return false,
        }
    }
}

/// Returns the length of the pattern's first element if it matches `byte`.
fn match_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => match bracket(rest, byte) {
            Some((true, length)) => Some(length + 1),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// Returns whether a bracket expression, its `[` taken off, matches, and its length with the `]`; `None` where
/// it is not closed and `[` is a plain character.
fn bracket(text: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut found = false;
    let mut first = true;
    loop {
        if text.get(at) == Some(&b']') && !first {
            return Some((found != negated, at + 1));
        }
        if text.get(at) == Some(&b'\\') {
            at += 1;
        }
        let start = *text.get(at)?;
        first = false;
        if text.get(at + 1) == Some(&b'-') && text.get(at + 2).is_some_and(|&end| end != b']') {
            at += if text.get(at + 2) == Some(&b'\\') { 3 } else { 2 };
            let end = *text.get(at)?;
            found |= (start..=end).contains(&byte);
        } else {
            found |= start == byte;
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_join_the_server_root_by_text_alone() {
        for (root, name, expected) in [
            ("/etc/apache2", "ports.conf", "/etc/apache2/ports.conf"),
            ("/etc/apache2/", "a//b/./c", "/etc/apache2/a/b/c"),
            ("/etc/apache2", "/x//y", "/x/y"),
            ("/etc/apache2", "../httpd/x", "/etc/httpd/x"),
            ("/etc", "../../../x", "/x"),
            ("/etc/apache2", "conf.d/", "/etc/apache2/conf.d/"),
            ("/etc/apache2", "conf.d/..", "/etc/apache2/"),
            ("/", "x", "/x"),
        ] {
            let found = under(root.as_bytes(), name.as_bytes());
            assert_eq!(found.as_deref(), Some(expected.as_bytes()), "{root} {name}");
        }
        assert_eq!(under(b"/etc", &[b'x'; 4096]), None);
    }

    #[test]
    fn patterns_match_as_in_apr() {
        for (pattern, yes, no) in [
            ("*.conf", &["a.conf", "é.conf"][..], &[".conf", ".a.conf", "a.conf~", "a.conf.bak", "conf"][..]),
            ("*", &["a", "a.b"], &[".a"]),
            (".*", &[".a", "."], &["a"]),
            ("a?c", &["abc", "a.c"], &["ac", "abbc"]),
            ("[0-9]*", &["0", "9x"], &["a0", ""]),
            ("[!0-9]x", &["ax"], &["0x", ".x"]),
            ("[^a]b", &["bb"], &["ab"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[a", &["[a"], &["a"]),
            ("[a*", &["[a", "[ab"], &["a"]),
            (r"\*", &["*"], &["a"]),
            (r"[\]a]", &["]", "a"], &["b"]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "acb"]),
            ("*a*a*a*a*b", &["aaaab"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
            ("{a,b}", &["{a,b}"], &["a"]),
        ] {
            for name in yes {
                assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
            }
        }
        for (text, expected) in [
            ("*", true),
            ("a?", true),
            ("[a]", true),
            ("[a", false),
            ("a]", false),
            (r"\*", false),
            ("a\\", false),
        ] {
            assert_eq!(is_pattern(text.as_bytes()), expected, "{text}");
        }
    }
}
