//! Certificates and keys as OpenSSL writes them, as far as it takes to tell whether they belong together.
//!
//! Source: RFC 7468 (PEM), RFC 5280 (certificates), RFC 8017 and RFC 5915 (keys of RSA and of elliptic curves), RFC 5958.

use crate::facts::certificate;
use crate::facts::der::{BITS, Der, INTEGER, OBJECT, OCTETS, SEQUENCE, decode};

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
            let der = decode(body).unwrap_or_default();
            if label.ends_with("CERTIFICATE") && pem.certificate.is_none() {
                pem.certificate = Some(public(&der).unwrap_or(Public::Other));
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

/// An optional field of a key: `[1]`.
const SECOND: u8 = 0xa1;

/// `1.2.840.113549.1.1.1` and `1.2.840.10045.2.1`.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const CURVE: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// Returns the key in a certificate.
fn public(der: &[u8]) -> Option<Public> {
    let mut key = certificate::fields(der)?.key;
    let algorithm = key.inside(SEQUENCE)?.take(OBJECT)?;
    let (_, bits) = key.take(BITS)?.split_first()?;
    match algorithm {
        RSA => Some(Public::Rsa(modulus(Der::of(bits).inside(SEQUENCE)?)?)),
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
    let mut key = Der::of(der).inside(SEQUENCE)?;
    match label {
        "RSA PRIVATE KEY" => rsa(key),
        "EC PRIVATE KEY" => curve(key),
        "PRIVATE KEY" => {
            key.take(INTEGER)?;
            let algorithm = key.inside(SEQUENCE)?.take(OBJECT)?;
            let inner = Der::of(key.take(OCTETS)?).inside(SEQUENCE);
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
    while let Some((tag, value)) = key.value() {
        if tag == SECOND {
            let (_, bits) = Der::of(value).take(BITS)?.split_first()?;
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
