//! What a certificate says of itself: until when it holds, and whether its issuer answers for it.
//!
//! Source: RFC 5280 (the fields), RFC 7468 (the text), X.690 (DER). What is not understood says nothing.

/// The tags of DER that are met on the way.
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const LONG_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

/// `id-pe-authorityInfoAccess`, 1.3.6.1.5.5.7.1.1, as DER has it.
const AUTHORITY_INFO: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// `id-ad-ocsp`, 1.3.6.1.5.5.7.48.1, as DER has it.
const OCSP: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];

/// A certificate, as far as a server's settings depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// The end of its validity, in seconds since the epoch.
    pub not_after: u64,
    /// Whether it names an address that answers for it (OCSP).
    pub has_responder: bool,
}

/// Reads the first certificate of a PEM file.
pub fn read(pem: &[u8]) -> Option<Certificate> {
    let text = String::from_utf8_lossy(pem);
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    of_der(&decode(body)?)
}

fn of_der(der: &[u8]) -> Option<Certificate> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (mut rest, _) = take(certificate, SEQUENCE)?;
    if let Some((_, after)) = take(rest, VERSION) {
        rest = after;
    }
    let (_, rest) = take(rest, INTEGER)?;
    // The algorithm of the signature and the issuer.
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, rest) = take(rest, SEQUENCE)?;
    let (validity, rest) = take(rest, SEQUENCE)?;
    let (_, _, end) = any(validity)?;
    let (tag, end, _) = any(end)?;
    let not_after = seconds(tag, end)?;
    // The subject and its key.
    let (_, rest) = take(rest, SEQUENCE)?;
    let (_, mut rest) = take(rest, SEQUENCE)?;
    let mut has_responder = false;
    while let Some((tag, content, after)) = any(rest) {
        if tag == EXTENSIONS {
            let (mut list, _) = take(content, SEQUENCE)?;
            while let Some((extension, after)) = take(list, SEQUENCE) {
                if let Some(value) = extension.strip_prefix(&AUTHORITY_INFO) {
                    // Whether it is critical may be before it.
                    let value = take(value, OCTETS).or_else(|| take(any(value)?.2, OCTETS))?.0;
                    has_responder = value.windows(OCSP.len()).any(|window| window == OCSP);
                }
                list = after;
            }
        }
        rest = after;
    }
    Some(Certificate { not_after, has_responder })
}

/// Takes one value off: its tag, its content, and what follows.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Takes a value of this tag off.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    any(der).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// Reads a time such as `260131235959Z`, in seconds since the epoch.
fn seconds(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: u64 = text[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &text[2..])
        }
        LONG_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let number = |at: usize| rest[at..at + 2].parse::<u64>().ok();
    let (month, day) = (number(0)?, number(2)?);
    if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    // Days since the epoch, with years that begin in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day;
    let days = days.checked_sub(719_469)?;
    Some(days * 86_400 + number(4)? * 3600 + number(6)? * 60 + number(8)?)
}

/// Decodes base64, white space left out.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0_u32, 0);
    for letter in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_calendar_has_them() {
        for (tag, text, want) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "260131235959Z", Some(1_769_903_999)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (LONG_TIME, "20500101000000Z", Some(2_524_608_000)),
            (LONG_TIME, "20240229120000Z", Some(1_709_208_000)),
            (UTC_TIME, "260131235959", None),
            (UTC_TIME, "26013123595xZ", None),
            (UTC_TIME, "260031235959Z", None),
            (LONG_TIME, "260131235959Z", None),
        ] {
            assert_eq!(seconds(tag, text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn a_damaged_certificate_says_nothing_and_does_no_harm() {
        let pem = include_bytes!("../../tests/activation/own.pem");
        let whole = read(pem);
        assert!(whole.is_some());
        for cut in 0..pem.len() {
            let _ = read(&pem[..cut]);
        }
        let text = String::from_utf8_lossy(pem);
        let body = text.split("-----BEGIN CERTIFICATE-----").nth(1).unwrap_or_default();
        let der = decode(body.split("-----END").next().unwrap_or_default()).unwrap_or_default();
        assert_eq!(of_der(&der), whole);
        for at in 0..der.len() {
            for value in [0, 0x7f, 0x84, 0xff] {
                let mut damaged = der.clone();
                damaged[at] = value;
                let _ = of_der(&damaged);
            }
        }
    }
}
