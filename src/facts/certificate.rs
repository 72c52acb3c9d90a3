//! What a certificate says of itself: until when it holds, and whether its issuer answers for it.
//!
//! Source: RFC 5280 (the fields), RFC 7468 (the text), X.690 (DER). What is not understood says nothing.

use super::der::{Der, INTEGER, OCTETS, SEQUENCE, decode};

/// The tags that certificates alone have.
const UTC_TIME: u8 = 0x17;
const LONG_TIME: u8 = 0x18;
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

/// The fields of a certificate that are looked into.
#[derive(Debug)]
pub struct Fields<'a> {
    /// From when to when it holds.
    validity: Der<'a>,
    /// The algorithm of its public key, and the key.
    pub key: Der<'a>,
    /// What follows: identifiers that nobody uses, and the extensions.
    rest: Der<'a>,
}

/// Takes a certificate apart.
pub fn fields(der: &[u8]) -> Option<Fields<'_>> {
    let mut fields = Der::of(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
    fields.pass(VERSION);
    fields.take(INTEGER)?;
    // The algorithm of the signature and the issuer.
    fields.take(SEQUENCE)?;
    fields.take(SEQUENCE)?;
    let validity = fields.inside(SEQUENCE)?;
    // The subject.
    fields.take(SEQUENCE)?;
    let key = fields.inside(SEQUENCE)?;
    Some(Fields { validity, key, rest: fields })
}

fn of_der(der: &[u8]) -> Option<Certificate> {
    let Fields { mut validity, mut rest, .. } = fields(der)?;
    validity.value()?;
    let (tag, end) = validity.value()?;
    let not_after = seconds(tag, end)?;
    let mut has_responder = false;
    while let Some((tag, content)) = rest.value() {
        if tag != EXTENSIONS {
            continue;
        }
        let mut list = Der::of(content).inside(SEQUENCE)?;
        while let Some(extension) = list.take(SEQUENCE) {
            if let Some(value) = extension.strip_prefix(&AUTHORITY_INFO) {
                let mut values = Der::of(value);
                let content = match values.value()? {
                    (OCTETS, content) => content,
                    // Whether it is critical.
                    _ => values.take(OCTETS)?,
                };
                has_responder = content.windows(OCSP.len()).any(|window| window == OCSP);
            }
        }
    }
    Some(Certificate { not_after, has_responder })
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
