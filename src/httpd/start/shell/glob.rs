//! Patterns of file names and of values.

use std::path::{Path, PathBuf};

use crate::tree::{Files, Kind};

/// The most names that a pattern is followed to.
const MOST: usize = 10_000;

/// Tells whether a text has characters of a pattern in it.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Tells whether `text` matches a shell's pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Where the last star stands, and how much of the text it has taken.
    let (mut at, mut here, mut star) = (0, 0, None);
    loop {
        if pattern.get(at) == Some(&'*') {
            star = Some((at + 1, here));
            at += 1;
            continue;
        }
        if here == text.len() && at == pattern.len() {
            return true;
        }
        let next = text.get(here).and_then(|letter| one(&pattern[at..], *letter));
        if let Some(length) = next {
            at += length;
            here += 1;
            continue;
        }
        match star {
            Some((behind, taken)) if taken < text.len() => {
                star = Some((behind, taken + 1));
                (at, here) = (behind, taken + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one character; returns the length of the pattern that did.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let negated = matches!(pattern.get(1), Some('!' | '^'));
            let start = if negated { 2 } else { 1 };
            // A bracket right at the start is one of the set.
            let Some(length) = pattern.iter().skip(start + 1).position(|one| *one == ']') else {
                return (letter == '[').then_some(1);
            };
            let set = &pattern[start..=start + length];
            let mut found = false;
            let mut at = 0;
            while at < set.len() {
                if let (Some('-'), Some(last)) = (set.get(at + 1), set.get(at + 2)) {
                    found |= (set[at]..=*last).contains(&letter);
                    at += 3;
                } else {
                    found |= set[at] == letter;
                    at += 1;
                }
            }
            (found != negated).then_some(start + length + 2)
        }
        same => (*same == letter).then_some(1),
    }
}

/// Returns what a pattern of an absolute path leads to, in the order of names; `None` where that cannot be told.
pub(super) fn expand(files: &dyn Files, pattern: &str) -> Option<Vec<String>> {
    let rest = pattern.strip_prefix('/')?;
    let mut found = vec![PathBuf::from("/")];
    for part in rest.split('/').filter(|part| !part.is_empty()) {
        let mut next = Vec::new();
        for dir in found {
            if !is_pattern(part) {
                next.push(dir.join(part));
                continue;
            }
            let mut names = files.list(&dir).unwrap_or_default();
            names.sort();
            for name in names {
                let name = name.to_str()?;
                if (part.starts_with('.') || !name.starts_with('.')) && matches(part, name) {
                    next.push(dir.join(name));
                }
            }
        }
        if next.len() > MOST {
            return None;
        }
        found = next;
    }
    found.retain(|path| exists(files, path));
    found.iter().map(|path| path.to_str().map(str::to_owned)).collect()
}

fn exists(files: &dyn Files, path: &Path) -> bool {
    files.link_kind(path).is_ok_and(|kind| kind != Kind::Absent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, text, want) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*.sh", "x.sh", true),
            ("*.sh", "x.sh~", false),
            ("?x", "ax", true),
            ("?x", "x", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]a]", "]", true),
            ("[", "[", true),
            ("*a*b*", "xxaxxbxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} {text}");
        }
    }
}
