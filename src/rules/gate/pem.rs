//! Certificates and keys as OpenSSL writes them, as far as it takes to tell whether they belong together.
//!
//! Source: RFC 7468 (PEM), RFC 5280 (certificates), RFC 8017 and RFC 5915 (keys of RSA and of elliptic curves), RFC 5958.

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Public {
    /// The modulus of RSA.
    Rsa(Vec<u8>),
    /// The point on a curve, uncompressed.
    Curve(Vec<u8>),
    /// Of a kind that is not known here, or encrypted.
    Other,
}

/// What one file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pem {
    /// The key of its first certificate.
    pub(super) certificate: Option<Public>,
    /// Whether there is a private key.
    pub(super) has_key: bool,
    /// Its first private key's public half.
    pub(super) key: Option<Public>,
    blocks: usize,
}

impl Pem {
    /// Reads a file's text.
    pub(super) fn parse(text: &str) -> Self {
        let mut pem = Self::default();
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("-----BEGIN ") {
            let Some((label, body)) = after.split_once("-----") else { break };
            let Some((body, after)) = body.split_once("-----END ") else { break };
            rest = after;
            pem.blocks += 1;
            let encrypted = body.contains("ENCRYPTED") || label.starts_with("ENCRYPTED");
            let der = decode(body);
            if label.ends_with("CERTIFICATE") && pem.certificate.is_none() {
                pem.certificate = Some(certificate(&der).unwrap_or(Public::Other));
            } else if label.ends_with("PRIVATE KEY") && !pem.has_key {
                pem.has_key = true;
                let known = if encrypted { None } else { private_key(label, &der) };
                pem.key = Some(known.unwrap_or(Public::Other));
            }
        }
        pem
    }

    /// Tells whether it is no such text at all.
    pub(super) fn is_empty(&self) -> bool {
        self.blocks == 0
    }
}

/// Decodes base64; what is no digit of it is skipped, as line ends are.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits) = (0_u32, 0);
    for value in text.bytes().filter_map(digit) {
        held = (held << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.extend(u8::try_from((held >> bits) & 0xff));
        }
    }
    bytes
}

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// An optional field: `[0]`, `[1]`.
const FIRST: u8 = 0xa0;
const SECOND: u8 = 0xa1;

/// The rest of a value of DER.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// Takes the next value, whatever it is.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, first], mut rest) = self.0.split_first_chunk()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f).min(8))?;
            length = bytes
                .iter()
                .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add((*byte).into()))?;
            rest = after;
        }
        let (value, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some((tag, value))
    }

    /// Takes the next value, which must be of this kind.
    fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    fn inside(&mut self, tag: u8) -> Option<Self> {
        self.take(tag).map(Self)
    }
}

/// `1.2.840.113549.1.1.1` and `1.2.840.10045.2.1`.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Returns the key in a certificate.
fn certificate(der: &[u8]) -> Option<Public> {
    let mut signed = Der(der).inside(SEQUENCE)?.inside(SEQUENCE)?;
    let mut rest = signed;
    if rest.next()?.0 == FIRST {
        signed = rest;
    }
    signed.take(INTEGER)?;
    // The algorithm of the signature, who signed, from when to when, and for whom.
    for _ in 0..4 {
        signed.take(SEQUENCE)?;
    }
    let mut key = signed.inside(SEQUENCE)?;
    let algorithm = key.inside(SEQUENCE)?.take(OBJECT)?;
    let (_, bits) = key.take(BITS)?.split_first()?;
    match algorithm {
        RSA => Some(Public::Rsa(modulus(Der(bits).inside(SEQUENCE)?)?)),
        CURVE => Some(point(bits)),
        _ => Some(Public::Other),
    }
}

fn modulus(mut key: Der<'_>) -> Option<Vec<u8>> {
    let bytes = key.take(INTEGER)?;
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Some(bytes[start..].to_vec())
}

fn point(bits: &[u8]) -> Public {
    if bits.first() == Some(&4) { Public::Curve(bits.to_vec()) } else { Public::Other }
}

fn private_key(label: &str, der: &[u8]) -> Option<Public> {
    let mut key = Der(der).inside(SEQUENCE)?;
    match label {
        "RSA PRIVATE KEY" => rsa(key),
        "EC PRIVATE KEY" => curve(key),
        "PRIVATE KEY" => {
            key.take(INTEGER)?;
            let algorithm = key.inside(SEQUENCE)?.take(OBJECT)?;
            let inner = Der(key.take(OCTETS)?).inside(SEQUENCE);
            match algorithm {
                RSA => rsa(inner?),
                CURVE => curve(inner?),
                _ => None,
            }
        }
        _ => None,
    }
}

fn rsa(mut key: Der<'_>) -> Option<Public> {
    key.take(INTEGER)?;
    modulus(key).map(Public::Rsa)
}

fn curve(mut key: Der<'_>) -> Option<Public> {
    key.take(INTEGER)?;
    key.take(OCTETS)?;
    while let Some((tag, value)) = key.next() {
        if tag == SECOND {
            let (_, bits) = Der(value).take(BITS)?.split_first()?;
            return Some(point(bits));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = include_str!("../../../tests/sandbox/pki/certificate.pem");
    const KEY: &str = include_str!("../../../tests/sandbox/pki/key.pem");
    const OTHER_KEY: &str = include_str!("../../../tests/sandbox/pki/other-key.pem");

    #[test]
    fn a_key_and_its_certificate_have_one_public_half() {
        let certificate = Pem::parse(CERTIFICATE).certificate.unwrap();
        assert!(matches!(certificate, Public::Curve(_)));
        assert_eq!(Pem::parse(KEY).key.unwrap(), certificate);
        assert_ne!(Pem::parse(OTHER_KEY).key.unwrap(), certificate);
        let both = Pem::parse(&format!("{KEY}{CERTIFICATE}"));
        assert_eq!((both.key, both.certificate), (Some(certificate.clone()), Some(certificate)));
    }

    #[test]
    fn what_is_cut_off_or_of_another_kind_is_not_known() {
        let cut = CERTIFICATE.replacen("MII", "MIA", 1);
        assert_eq!(Pem::parse(&cut).certificate, Some(Public::Other));
        for length in 0..KEY.len() {
            let pem = Pem::parse(&KEY[..length]);
            assert!(pem.key.is_none_or(|key| key == Public::Other || length > KEY.len() - 30));
        }
        let encrypted = KEY.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
        assert_eq!(Pem::parse(&encrypted).key, Some(Public::Other));
        assert!(Pem::parse("\u{30}\u{82}").is_empty());
    }
}
