//! The grammar of `RequestReadTimeout`.
//!
//! Source: `set_reqtimeouts` and `set_reqtimeout_param` of `modules/filters/mod_reqtimeout.c`, httpd 2.4.

use crate::httpd::numbers;

/// The stage of a request that a limit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The TLS handshake, since httpd 2.4.39.
    Handshake,
    /// The request line and header fields.
    Header,
    /// The body.
    Body,
}

/// The limit of one stage. All times are seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// What it limits.
    pub(super) stage: Stage,
    /// Time allowed at first; 0 is no limit.
    pub(super) initial: i32,
    /// Most time allowed with all extensions; 0 is no upper bound.
    pub(super) most: i32,
    /// Bytes that extend the time by one second; 0 is no extension.
    pub(super) rate: i32,
}

/// Reads the arguments of one line.
///
/// # Errors
/// What httpd refuses, in this tool's words.
pub(super) fn parse(arguments: &str) -> Result<Vec<Limit>, String> {
    arguments.split_ascii_whitespace().map(limit).collect()
}

fn limit(word: &str) -> Result<Limit, String> {
    let (key, value) =
        word.split_once('=').ok_or_else(|| format!("`{word}` is not of the form stage=seconds"))?;
    let stage = match key.to_ascii_lowercase().as_str() {
        "handshake" => Stage::Handshake,
        "header" => Stage::Header,
        "body" => Stage::Body,
        _ => return Err(format!("`{key}` is no stage; httpd knows handshake, header and body")),
    };
    let found = value.to_ascii_lowercase().find(",minrate=");
    let (initial, most, rate) = if let Some(at) = found {
        let rate = number(&value[at + ",minrate=".len()..])?;
        if rate == 0 {
            return Err(format!("`{word}` has MinRate 0; it must be at least 1"));
        }
        match value[..at].split_once('-') {
            Some((initial, most)) => {
                let most = number(most)?;
                (number(initial)?, most, rate)
            }
            None => (number(&value[..at])?, 0, rate),
        }
    } else if value.contains('-') {
        return Err(format!("`{word}` has a range without MinRate"));
    } else {
        (number(value)?, 0, 0)
    };
    if most != 0 && initial >= most {
        return Err(format!("`{word}` has an upper bound that is not above the first time"));
    }
    Ok(Limit { stage, initial, most, rate })
}

fn number(text: &str) -> Result<i32, String> {
    let read = numbers::strtol(text, 10);
    if !read.digits || !read.rest.is_empty() {
        return Err(format!("`{text}` is not a whole number of seconds or bytes"));
    }
    let value = numbers::atoi(text).value;
    if value < 0 { Err(format!("`{text}` is below zero or too large")) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_or_refused_as_httpd_does() {
        for (text, taken) in [
            ("", true),
            ("header=20-40,MinRate=500 body=20,minrate=500", true),
            ("HEADER=5 Body=0", true),
            ("header=0-0,MinRate=5", true),
            ("header=4294967296", true),
            ("header=20-40", false),
            ("header=-1", false),
            ("header=5,MinRate=0", false),
            ("header=5-5,MinRate=1", false),
            ("header=5s", false),
            ("header=", false),
            ("header=2147483648", false),
            ("haeder=5", false),
            ("header=5 # slow clients", false),
            ("5", false),
        ] {
            assert_eq!(parse(text).is_ok(), taken, "{text:?}: {:?}", parse(text));
        }
        let limits = parse("body=10-30,MinRate=200").unwrap_or_default();
        assert_eq!(limits, [Limit { stage: Stage::Body, initial: 10, most: 30, rate: 200 }]);
    }
}
