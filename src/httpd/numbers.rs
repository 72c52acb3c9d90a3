//! The C number parsers that httpd applies to the text of a value.
//!
//! httpd says nothing about what these parsers skip, cut off or wrap around, so each returns that too.
//! Source: C11 7.22.1, glibc's `atoi`, `strtol` and `strtod` on 64-bit Linux, and `server/util.c` of httpd 2.4.

/// What `atoi` makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Atoi<'a> {
    /// The number httpd stores.
    pub value: i32,
    /// Whether there was a digit at all; without one the value is 0.
    pub digits: bool,
    /// Whether the number did not fit and was cut to its low 32 bits.
    pub wrapped: bool,
    /// What follows the digits: ignored by httpd silently.
    pub rest: &'a str,
}

/// Reads a number as glibc's `atoi`: clamped to 64 bits, then cut to the low 32.
pub fn atoi(text: &str) -> Atoi<'_> {
    let long = strtol(text, 10);
    // The cast keeps the low 32 bits, as the C conversion from `long` to `int` does.
    #[allow(clippy::cast_possible_truncation)]
    let value = long.value as i32;
    Atoi {
        value,
        digits: long.digits,
        wrapped: i64::from(value) != long.value || long.overflow,
        rest: long.rest,
    }
}

/// What `strtol` makes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strtol<'a> {
    /// The number, clamped to 64 bits.
    pub value: i64,
    /// Whether there was a digit at all; without one the value is 0.
    pub digits: bool,
    /// Whether the number did not fit 64 bits (`ERANGE`).
    pub overflow: bool,
    /// What follows the number.
    pub rest: &'a str,
}

/// Reads a number as C's `strtol` with base 10, or with base 0, where a leading `0x` means 16 and a leading `0` 8.
pub fn strtol(text: &str, base: u32) -> Strtol<'_> {
    let (negative, body) = sign(text);
    let (radix, digits) = match (base, body.as_bytes()) {
        (0, [b'0', b'x' | b'X', next, ..]) if next.is_ascii_hexdigit() => (16, &body[2..]),
        (0, [b'0', ..]) => (8, body),
        (0, _) => (10, body),
        _ => (base, body),
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    if end == 0 {
        return Strtol { value: 0, digits: false, overflow: false, rest: text };
    }
    let mut value: i64 = 0;
    let mut overflow = false;
    for digit in digits[..end].chars().filter_map(|c| c.to_digit(radix)) {
        let digit = i64::from(digit);
        let next = value
            .checked_mul(i64::from(radix))
            .and_then(|value| if negative { value.checked_sub(digit) } else { value.checked_add(digit) });
        if let Some(next) = next {
            value = next;
        } else {
            overflow = true;
            value = if negative { i64::MIN } else { i64::MAX };
            break;
        }
    }
    Strtol { value, digits: true, overflow, rest: &digits[end..] }
}

/// Reads a floating-point number as C's `strtod` does when the whole text must be one: decimal, hexadecimal,
/// `inf`, `infinity`, `nan` or `nan(...)`, in any case. An empty text is 0, as for a caller that only looks at
/// what is left over.
pub fn strtod(text: &str) -> Option<f64> {
    if text.is_empty() {
        return Some(0.0);
    }
    let (negative, body) = sign(text);
    let lower = body.to_ascii_lowercase();
    let value = if let Some(hex) = lower.strip_prefix("0x") {
        hexadecimal(hex)?
    } else if let Some(tag) = lower.strip_prefix("nan(") {
        let tag = tag.strip_suffix(')')?;
        tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then_some(f64::NAN)?
    } else if lower.starts_with(['+', '-']) {
        return None;
    } else {
        lower.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

/// Reads what follows `0x`: hexadecimal digits with a point, and a binary exponent.
fn hexadecimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p').map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0_f64;
    for c in whole.chars().chain(fraction.chars()) {
        value = value.mul_add(16.0, f64::from(c.to_digit(16)?));
    }
    let exponent: i32 = match exponent {
        Some(text) => text.parse().ok()?,
        None => 0,
    };
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2.0_f64.powi(exponent.checked_sub(shift)?))
}

/// Skips C's white space and a sign; tells whether it was a minus.
fn sign(text: &str) -> (bool, &str) {
    let body = text.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    match body.as_bytes() {
        [b'-', ..] => (true, &body[1..]),
        [b'+', ..] => (false, &body[1..]),
        _ => (false, body),
    }
}

/// The unit that a duration without one is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, as for `KeepAliveTimeout`.
    Seconds,
    /// Milliseconds.
    Millis,
}

/// What httpd makes of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration<'a> {
    /// Microseconds, as APR counts time.
    pub micros: i64,
    /// Whether there was a digit; `s` alone is zero seconds.
    pub digits: bool,
    /// What follows the letters that decide the unit: ignored by httpd silently.
    pub rest: &'a str,
}

/// Why httpd refuses a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDuration {
    /// The unit is none of `s`, `ms`, `mi`, `h`, in lower case.
    Unit,
    /// It does not fit 64 bits of microseconds.
    Overflow,
    /// It is below zero: refused since httpd 2.4.49.
    Negative,
}

/// Reads a duration as `ap_timeout_parameter_parse`: digits, then a unit of which only the first one or two letters
/// count. A negative value is returned as such; see [`BadDuration::Negative`].
///
/// # Errors
/// A unit that httpd does not know, or a number too large.
pub fn duration(text: &str, default: Unit) -> Result<Duration<'_>, BadDuration> {
    let number = strtol(text, 10);
    if number.overflow {
        return Err(BadDuration::Overflow);
    }
    let unit = number.rest;
    let (micros, letters) = match unit.as_bytes() {
        [] => match default {
            Unit::Seconds => (1_000_000, 0),
            Unit::Millis => (1_000, 0),
        },
        [b's', ..] => (1_000_000, 1),
        [b'h', ..] => (3_600_000_000, 1),
        [b'm', b's', ..] => (1_000, 2),
        [b'm', b'i', ..] => (60_000_000, 2),
        _ => return Err(BadDuration::Unit),
    };
    let micros = number.value.checked_mul(micros).ok_or(BadDuration::Overflow)?;
    Ok(Duration { micros, digits: number.digits, rest: &unit[letters..] })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn atoi_stops_at_the_first_other_character_and_wraps() {
        for (text, value, digits, wrapped, rest) in [
            ("16abc", 16, true, false, "abc"),
            ("161#x", 161, true, false, "#x"),
            ("10k", 10, true, false, "k"),
            ("1e3", 1, true, false, "e3"),
            ("1.5", 1, true, false, ".5"),
            ("0x10", 0, true, false, "x10"),
            ("foo", 0, false, false, "foo"),
            ("${UNDEFINED}", 0, false, false, "${UNDEFINED}"),
            (" \t+7", 7, true, false, ""),
            ("-5", -5, true, false, ""),
            ("- 5", 0, false, false, "- 5"),
            ("3000000000", -1_294_967_296, true, true, ""),
            ("4294967296", 0, true, true, ""),
            ("4294967295", -1, true, true, ""),
            ("99999999999999999999", -1, true, true, ""),
            ("-99999999999999999999", 0, true, true, ""),
            ("99999999999", 1_215_752_191, true, true, ""),
            ("2147483647", i32::MAX, true, false, ""),
            ("-2147483648", i32::MIN, true, false, ""),
            ("", 0, false, false, ""),
        ] {
            assert_eq!(atoi(text), Atoi { value, digits, wrapped, rest }, "{text:?}");
        }
    }

    #[test]
    fn strtol_knows_octal_and_hexadecimal_only_in_base_0() {
        for (text, base, value, rest) in [
            ("010", 0, 8, ""),
            ("0x10", 0, 16, ""),
            ("0X1f", 0, 31, ""),
            ("0x", 0, 0, "x"),
            ("09", 0, 0, "9"),
            ("010", 10, 10, ""),
            ("0x10", 10, 0, "x10"),
            ("8M", 10, 8, "M"),
            ("-0x10", 0, -16, ""),
        ] {
            let read = strtol(text, base);
            assert_eq!((read.value, read.rest), (value, rest), "{text:?} base {base}");
        }
        assert!(strtol("9223372036854775808", 10).overflow);
        assert!(!strtol("-9223372036854775808", 10).overflow);
    }

    #[test]
    fn strtod_takes_the_whole_text_or_none_of_it() {
        for (text, value) in [
            ("2", Some(2.0)),
            (" +2.5", Some(2.5)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1e9", Some(1e9)),
            ("0x10", Some(16.0)),
            ("0x.8p1", Some(1.0)),
            ("INF", Some(f64::INFINITY)),
            ("-infinity", Some(f64::NEG_INFINITY)),
            ("1e999", Some(f64::INFINITY)),
            ("", Some(0.0)),
            ("2x", None),
            ("abc", None),
            ("1e", None),
            (".", None),
            ("0x", None),
            ("++1", None),
            ("2 ", None),
            (" ", None),
        ] {
            assert_eq!(strtod(text), value, "{text:?}");
        }
        assert!(strtod("NaN").unwrap().is_nan());
        assert!(strtod("nan(12)").unwrap().is_nan());
    }

    #[test]
    fn a_duration_is_decided_by_the_first_letters_of_its_unit() {
        const S: i64 = 1_000_000;
        for (text, micros) in [
            ("5", 5 * S),
            ("5s", 5 * S),
            ("5sec", 5 * S),
            ("5seconds", 5 * S),
            ("5sms", 5 * S),
            ("500ms", S / 2),
            ("500msec", S / 2),
            ("5ms5", 5_000),
            ("5mi", 300 * S),
            ("5minutes", 300 * S),
            ("1h", 3600 * S),
            ("1hour", 3600 * S),
            ("s", 0),
            ("ms", 0),
            ("h", 0),
            ("mi", 0),
            ("010", 10 * S),
            ("-5", -5 * S),
            ("9223372036854", 9_223_372_036_854 * S),
        ] {
            assert_eq!(duration(text, Unit::Seconds).unwrap().micros, micros, "{text:?}");
        }
        for text in ["5m", "5S", "5MS", "1d", "5us", "5x", "5.5", "1e3", "0x10", "abc", "5 s"] {
            assert_eq!(duration(text, Unit::Seconds), Err(BadDuration::Unit), "{text:?}");
        }
        for text in ["9223372036855", "99999999999999999999", "9223372036854775807h"] {
            assert_eq!(duration(text, Unit::Seconds), Err(BadDuration::Overflow), "{text:?}");
        }
    }
}
