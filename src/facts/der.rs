//! DER, and the base64 around it: as far as certificates and keys take.
//!
//! Source: X.690 (DER), RFC 7468 (the text). What is not understood is nothing.

/// The tags that are met on the way.
pub const INTEGER: u8 = 0x02;
/// A string of bits; its first octet says how many of the last one are unused.
pub const BITS: u8 = 0x03;
/// A string of octets.
pub const OCTETS: u8 = 0x04;
/// An object identifier.
pub const OBJECT: u8 = 0x06;
/// A sequence of values.
pub const SEQUENCE: u8 = 0x30;

/// What is left of a run of values.
#[derive(Debug, Clone, Copy)]
pub struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Reads from the beginning of these octets.
    pub fn of(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// Takes the next value, whatever it is: its tag and its content.
    pub fn value(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (octets.iter().fold(0, |sum, octet| (sum << 8) | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Takes the next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.value().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// Takes the next value, which must have this tag, and reads within it.
    pub fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }

    /// Passes over the next value if it has this tag.
    pub fn pass(&mut self, tag: u8) {
        let mut behind = *self;
        if behind.take(tag).is_some() {
            *self = behind;
        }
    }
}

/// Decodes base64, white space left out.
pub fn decode(text: &str) -> Option<Vec<u8>> {
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
