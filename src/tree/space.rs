//! What is known of a file beside its content, and of the file system that it is on.

use crate::units::Bytes;

/// Who may do what with a file, and when it last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The last change of the content, in seconds since the epoch.
    pub modified: i64,
}

/// A file system: which one, and what room it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The number of its device, by which one is told from another.
    pub device: u64,
    /// What can be had by whoever is not root.
    pub free: Bytes,
    /// All of it.
    pub total: Bytes,
    /// Files that can still be made; `None` where the file system makes them as needed.
    pub free_files: Option<u64>,
}
