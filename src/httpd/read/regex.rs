//! The regular expressions of `<IfVersion ~ ...>`: literals, `.`, sets, groups, `|`, `^`, `$`, and `* + ?`.
//!
//! httpd takes PCRE. A pattern that needs more than this is reported instead of guessed at: the text it is matched
//! against is only a version number.

/// A pattern's parts.
#[derive(Debug)]
enum Part {
    /// Any character that the set holds.
    One(Set),
    Start,
    End,
    /// One of several sequences.
    Group(Vec<Vec<Part>>),
    /// A part repeated: at least so often, at most so often.
    Repeat(Box<Part>, usize, usize),
}

#[derive(Debug)]
struct Set {
    negated: bool,
    ranges: Vec<(u8, u8)>,
}

impl Set {
    fn holds(&self, byte: u8) -> bool {
        self.ranges.iter().any(|&(low, high)| (low..=high).contains(&byte)) != self.negated
    }
}

/// The most repetitions that are tried: no version number is longer.
const MANY: usize = 64;
/// Groups within groups that are followed.
const MAX_GROUPS: usize = 16;
/// The longest pattern that is followed, in bytes.
const MAX_PATTERN: usize = 256;
/// Steps after which a match is given up.
const MAX_STEPS: usize = 100_000;

/// Tells whether a pattern is found anywhere in a text.
pub(super) fn search(pattern: &str, text: &str) -> Result<bool, String> {
    if pattern.len() > MAX_PATTERN {
        return Err(format!("a regular expression longer than {MAX_PATTERN} bytes is not understood"));
    }
    let mut rest = pattern.as_bytes();
    let parts = alternatives(&mut rest, 0)?;
    if !rest.is_empty() {
        return Err(format!("the regular expression `{pattern}` has a `)` too many"));
    }
    let group = [Part::Group(parts)];
    let mut steps = 0;
    for start in 0..=text.len() {
        let found = matches(&group, text.as_bytes(), start, &mut steps, &mut |_, _| true);
        if steps > MAX_STEPS {
            return Err(format!("the regular expression `{pattern}` takes too long"));
        }
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn alternatives(rest: &mut &[u8], depth: usize) -> Result<Vec<Vec<Part>>, String> {
    if depth > MAX_GROUPS {
        return Err("the regular expression has too many groups".to_owned());
    }
    let mut all = vec![Vec::new()];
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b')' {
            break;
        }
        *rest = after;
        let part = match byte {
            b'|' => {
                all.push(Vec::new());
                continue;
            }
            b'^' => Part::Start,
            b'$' => Part::End,
            b'.' => Part::One(Set { negated: true, ranges: vec![(b'\n', b'\n')] }),
            b'(' => {
                *rest = rest.strip_prefix(b"?:").unwrap_or(rest);
                if rest.starts_with(b"?") || rest.starts_with(b"*") {
                    return Err("this kind of group is not understood".to_owned());
                }
                let inner = alternatives(rest, depth + 1)?;
                *rest = rest.strip_prefix(b")").ok_or("the regular expression lacks a `)`")?;
                Part::Group(inner)
            }
            b'[' => Part::One(set(rest)?),
            b'\\' => Part::One(escape(rest)?),
            b'*' | b'+' | b'?' | b'{' => {
                return Err("a repetition in this place is not understood".to_owned());
            }
            literal => Part::One(Set { negated: false, ranges: vec![(literal, literal)] }),
        };
        let part = repeated(part, rest)?;
        if let Some(last) = all.last_mut() {
            last.push(part);
        }
    }
    Ok(all)
}

fn repeated(part: Part, rest: &mut &[u8]) -> Result<Part, String> {
    let (least, most) = match rest.first() {
        Some(b'*') => (0, MANY),
        Some(b'+') => (1, MANY),
        Some(b'?') => (0, 1),
        Some(b'{') => return Err("a repetition in braces is not understood".to_owned()),
        _ => return Ok(part),
    };
    *rest = &rest[1..];
    if matches!(rest.first(), Some(b'*' | b'+' | b'?' | b'{')) {
        return Err("a repetition of a repetition is not understood".to_owned());
    }
    Ok(Part::Repeat(Box::new(part), least, most))
}

fn escape(rest: &mut &[u8]) -> Result<Set, String> {
    let (&byte, after) = rest.split_first().ok_or("the regular expression ends in a backslash")?;
    *rest = after;
    match byte {
        b'd' | b'D' => Ok(Set { negated: byte == b'D', ranges: vec![(b'0', b'9')] }),
        letter if letter.is_ascii_alphanumeric() => {
            Err(format!("`\\{}` is not understood", char::from(letter)))
        }
        literal => Ok(Set { negated: false, ranges: vec![(literal, literal)] }),
    }
}

fn set(rest: &mut &[u8]) -> Result<Set, String> {
    let negated = rest.first() == Some(&b'^');
    *rest = &rest[usize::from(negated)..];
    let mut ranges = Vec::new();
    loop {
        match *rest {
            [b']', after @ ..] if !ranges.is_empty() => {
                *rest = after;
                return Ok(Set { negated, ranges });
            }
            [b'[' | b'\\', ..] => return Err("this set of characters is not understood".to_owned()),
            [low, b'-', high, after @ ..] if *high != b']' => {
                ranges.push((*low, *high));
                *rest = after;
            }
            [one, after @ ..] => {
                ranges.push((*one, *one));
                *rest = after;
            }
            [] => return Err("the regular expression lacks a `]`".to_owned()),
        }
    }
}

/// Matches parts from a place on and hands the place behind them to `then`.
fn matches(
    parts: &[Part],
    text: &[u8],
    at: usize,
    steps: &mut usize,
    then: &mut dyn FnMut(usize, &mut usize) -> bool,
) -> bool {
    *steps += 1;
    if *steps > MAX_STEPS {
        return false;
    }
    let Some((first, rest)) = parts.split_first() else { return then(at, steps) };
    match first {
        Part::One(set) => {
            text.get(at).is_some_and(|&byte| set.holds(byte)) && matches(rest, text, at + 1, steps, then)
        }
        Part::Start => at == 0 && matches(rest, text, at, steps, then),
        Part::End => at == text.len() && matches(rest, text, at, steps, then),
        Part::Group(all) => all
            .iter()
            .any(|one| matches(one, text, at, steps, &mut |at, steps| matches(rest, text, at, steps, then))),
        Part::Repeat(part, least, most) => repeat(part, *least, *most, text, at, steps, &mut |at, steps| {
            matches(rest, text, at, steps, then)
        }),
    }
}

fn repeat(
    part: &Part,
    least: usize,
    most: usize,
    text: &[u8],
    at: usize,
    steps: &mut usize,
    then: &mut dyn FnMut(usize, &mut usize) -> bool,
) -> bool {
    if least == 0 && then(at, steps) {
        return true;
    }
    most > 0
        && matches(std::slice::from_ref(part), text, at, steps, &mut |next, steps| {
            // A part that matches nothing would be repeated for ever.
            (next > at || least > 0)
                && repeat(part, least.saturating_sub(1), most - 1, text, next, steps, then)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_in_version_numbers() {
        for (pattern, expected) in [
            ("^2.4", true),
            ("^2\\.4\\.6[0-9]$", true),
            ("^2\\.4\\.[0-5]?[0-9]$", false),
            ("2\\.(2|4)\\.", true),
            ("^(2|3)\\.4\\.(1|6)+2", true),
            ("4.*2$", true),
            ("^4", false),
            ("\\d+\\.\\d+\\.\\d+", true),
            ("[^0-9.]", false),
            ("", true),
            ("x|62", true),
            ("(a*)*b", false),
        ] {
            assert_eq!(search(pattern, "2.4.62"), Ok(expected), "{pattern}");
        }
        for pattern in ["(", ")", "[a", "a{2}", "\\w", "(?=2)", "*", "2**", "\\"] {
            assert!(search(pattern, "2.4.62").is_err(), "{pattern}");
        }
    }
}
