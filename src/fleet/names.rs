//! The host that a file of Ansible's `jsonfile` cache is about.
//!
//! Up to ansible-core 2.18 the file is called as the host. Since 2.19 it is `s1_HOST`, and a host whose name fits no
//! file name is stored under the first hexadecimal digits of the SHA-256 of `s1_HOST` instead: then only an inventory
//! tells whose facts they are.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::cache::Damage;
use crate::stored::to_hex;

/// What a file's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileName {
    /// The host of that name.
    Host(String),
    /// A host whose name only an inventory can tell.
    Digest(String),
    /// Something that a killed run left, of no host.
    Leftover,
}

/// The fewest digits that stand for a name.
const DIGITS: usize = 12;

/// Reads a file name of the cache, `prefix` being Ansible's `fact_caching_prefix`.
///
/// # Errors
/// A form of the cache that is newer than this program.
pub fn read_file_name(name: &str, prefix: &str) -> Result<FileName, Damage> {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    if let Some(host) = name.strip_prefix("s1_") {
        return Ok(FileName::Host(host.to_owned()));
    }
    if is_newer_form(name) {
        return Err(Damage::whole(
            "the file is of a newer form of Ansible's cache than s1_; update apache-tuning",
        ));
    }
    if is_leftover(name) {
        return Ok(FileName::Leftover);
    }
    let is_digest = name.len() >= DIGITS
        && name.len() <= 64
        && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_digest { Ok(FileName::Digest(name.to_owned())) } else { Ok(FileName::Host(name.to_owned())) }
}

/// `s2_…`, `s17_…`.
fn is_newer_form(name: &str) -> bool {
    let Some((number, _)) = name.strip_prefix('s').and_then(|rest| rest.split_once('_')) else {
        return false;
    };
    !number.is_empty() && number != "1" && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// What Ansible leaves beside the facts: a retry file, or the temporary file of a run that was killed.
fn is_leftover(name: &str) -> bool {
    let is_temporary = name.len() == 11
        && name.starts_with("tmp")
        && name
            .bytes()
            .skip(3)
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_temporary || name.rsplit_once('.').is_some_and(|(_, end)| end == "retry")
}

/// Names of an inventory by the digits that stand for them.
#[derive(Debug, Default)]
pub struct Digests {
    names: HashMap<[u8; 6], Vec<(String, String)>>,
}

impl Digests {
    /// Works out the digits of each name.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut digests = Self::default();
        for name in names {
            let digest = Sha256::digest(format!("s1_{name}").as_bytes());
            let mut key = [0; 6];
            key.copy_from_slice(&digest[..6]);
            digests.names.entry(key).or_default().push((to_hex(&digest), name.to_owned()));
        }
        digests
    }

    /// Returns the host whose digits a file is called by.
    pub fn name(&self, digits: &str) -> Option<&str> {
        let mut key = [0; 6];
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        let found = self.names.get(&key)?.iter().find(|(digest, _)| digest.starts_with(digits))?;
        Some(&found.1)
    }
}
