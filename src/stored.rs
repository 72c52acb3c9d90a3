//! What is there at a path, and how that is kept as JSON: in the journal, and on its way to the staged test.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde::{Deserialize, Serialize};

use crate::tree::Node;

/// What distinguishes a file from its content: everything that replacing it must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits, `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change of the content, seconds and nanoseconds since the epoch; what an undo gives back.
    /// `None` for new content, whose time is now.
    pub modified: Option<(i64, i64)>,
    /// Extended attributes by name: ACLs, the SELinux label, what users put there.
    pub attributes: Vec<(String, Vec<u8>)>,
}

impl Meta {
    /// What a file of this tool's own memory has: it holds what others' files hold, whoever may read those.
    pub fn own() -> Self {
        Self {
            mode: 0o600,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            modified: None,
            attributes: Vec::new(),
        }
    }

    /// Tells whether there is a user who may not read the file.
    pub fn is_private(&self) -> bool {
        self.mode & 0o004 == 0
    }
}

/// What is there at a path, with what distinguishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The content.
    pub node: Node,
    /// The rest; `None` where nothing or a link stands.
    pub meta: Option<Meta>,
}

impl Standing {
    /// Nothing.
    pub const ABSENT: Self = Self { node: Node::Absent, meta: None };
}

/// A [`Standing`] as JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stored {
    /// `absent`, `file`, `link`.
    kind: String,
    /// The content of a file or the target of a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The same where it is not UTF-8, two hexadecimal digits a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    meta: Option<StoredMeta>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredMeta {
    mode: u32,
    uid: u32,
    gid: u32,
    modified: Option<(i64, i64)>,
    /// Values in hexadecimal.
    attributes: BTreeMap<String, String>,
}

impl Stored {
    /// Returns a node without what distinguishes it.
    pub fn of(node: &Node) -> Self {
        Self::new(&Standing { node: node.clone(), meta: None })
    }

    /// Returns what is there at a path, as it is kept.
    pub fn new(standing: &Standing) -> Self {
        let (kind, bytes) = match &standing.node {
            Node::Absent => ("absent", None),
            Node::File(content) => ("file", Some(&**content)),
            Node::Link(target) => ("link", Some(target.as_os_str().as_bytes())),
        };
        let text = bytes.and_then(|bytes| str::from_utf8(bytes).ok()).map(str::to_owned);
        let hex = if text.is_none() { bytes.map(to_hex) } else { None };
        let meta = standing.meta.as_ref().map(|meta| StoredMeta {
            mode: meta.mode,
            uid: meta.uid,
            gid: meta.gid,
            modified: meta.modified,
            attributes: meta.attributes.iter().map(|(name, value)| (name.clone(), to_hex(value))).collect(),
        });
        Self { kind: kind.to_owned(), text, hex, meta }
    }

    /// Returns what it stands for.
    ///
    /// # Errors
    /// `InvalidData` where it is damaged.
    pub fn standing(&self) -> io::Result<Standing> {
        let bytes = match (&self.text, &self.hex) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (None, Some(hex)) => from_hex(hex)?,
            (None, None) => Vec::new(),
        };
        let node = match self.kind.as_str() {
            "absent" => Node::Absent,
            "file" => Node::File(bytes.into()),
            "link" => Node::Link(OsString::from_vec(bytes).into()),
            _ => return Err(damaged("an unknown kind")),
        };
        let meta = match &self.meta {
            None => None,
            Some(meta) => Some(Meta {
                mode: meta.mode & 0o7777,
                uid: meta.uid,
                gid: meta.gid,
                modified: meta.modified,
                attributes: meta
                    .attributes
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), from_hex(value)?)))
                    .collect::<io::Result<_>>()?,
            }),
        };
        Ok(Standing { node, meta })
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the record has {what}"))
}

/// Returns bytes as lower-case hexadecimal digits.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn from_hex(text: &str) -> io::Result<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(damaged("half a byte"));
    }
    digits
        .chunks(2)
        .map(|pair| {
            str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| damaged("a byte that is none"))
        })
        .collect()
}

/// Returns a checksum, FNV-1a of 64 bits in hexadecimal. It notices changes, it guards against nobody.
pub fn checksum(content: &[u8]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in content {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}
