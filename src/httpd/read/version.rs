//! `<IfVersion>`.
//!
//! Source: `modules/metadata/mod_version.c` of httpd 2.4.

use super::words::{lossy, words};
use crate::httpd::Version;

const BAD_VERSION: &str = "a version is one to three numbers with dots between them";

/// Tells whether the condition holds for a version, or what httpd has against it. `arguments` is what follows
/// `<IfVersion`, with the closing `>`.
pub(super) fn holds(arguments: &[u8], version: Version) -> Result<bool, String> {
    let words: Vec<String> = words(arguments).iter().map(|word| lossy(word)).collect();
    let (operator, asked, closed) = match words.as_slice() {
        [one] => ("=", one.as_str(), false),
        [one, two] if two == ">" => ("=", one.as_str(), true),
        [one, two] => (one.as_str(), two.as_str(), false),
        [one, two, three] => (one.as_str(), two.as_str(), three == ">"),
        _ => return Err("it takes an operator and a version".to_owned()),
    };
    let asked = if closed { Some(asked) } else { asked.strip_suffix('>') };
    let asked = asked.ok_or("it lacks its closing `>`")?;
    let (negated, plain) = match operator.strip_prefix('!') {
        Some("") | None => (operator == "!", operator),
        Some(plain) => (true, plain),
    };
    let compared =
        |asked: &str| number(asked).map(|asked| version.cmp(&asked)).ok_or_else(|| BAD_VERSION.to_owned());
    let result = match plain {
        "=" | "==" => match asked.strip_prefix('/') {
            None => compared(asked)?.is_eq(),
            Some(pattern) => {
                let pattern =
                    pattern.strip_suffix('/').ok_or("a regular expression needs a `/` at both ends")?;
                super::regex::search(pattern, &version.to_string())?
            }
        },
        "~" => super::regex::search(asked, &version.to_string())?,
        "<" => compared(asked)?.is_lt(),
        "<=" => compared(asked)?.is_le(),
        ">" => compared(asked)?.is_gt(),
        ">=" => compared(asked)?.is_ge(),
        _ => return Err(format!("it does not know the operator `{operator}`")),
    };
    Ok(result != negated)
}

/// Reads `major[.minor[.patch]]`; missing parts are 0.
fn number(text: &str) -> Option<Version> {
    if !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let mut parts = [0_u16; 3];
    for (count, part) in text.split('.').enumerate() {
        let valid = part.bytes().all(|byte| byte.is_ascii_digit());
        *parts.get_mut(count).filter(|_| valid)? =
            if part.is_empty() { 0 } else { part.parse().unwrap_or(u16::MAX) };
    }
    let [major, minor, patch] = parts;
    Some(Version { major, minor, patch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_hold_as_in_mod_version() {
        let version = Version::v24(62);
        for (text, expected) in [
            ("2.4.62>", Some(true)),
            ("= 2.4>", Some(false)),
            (">= 2.4>", Some(true)),
            ("> 2.4.61>", Some(true)),
            ("!> 2.4.61>", Some(false)),
            ("< 2.5>", Some(true)),
            ("<= 2.4.62>", Some(true)),
            ("== 2.4.62>", Some(true)),
            ("!= 2.4.62>", Some(false)),
            ("\"2.4.62\">", Some(true)),
            (">= \"2.4\">", Some(true)),
            (">= 2.4 >", Some(true)),
            ("~ ^2\\.4\\.6[0-9]>", Some(true)),
            ("= /^2.4/>", Some(true)),
            ("!~ ^2\\.2>", Some(true)),
            (">=2.4>", None),
            (">= 2.4", None),
            (">= 2.4.6.1>", None),
            (">= x>", None),
            (">", None),
            ("=< 2.4>", None),
            ("= /2.4>", None),
            (">= 2.4 junk x>", None),
        ] {
            assert_eq!(holds(text.as_bytes(), version).ok(), expected, "{text}");
        }
    }
}
