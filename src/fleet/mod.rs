//! The preview of a whole fleet from what Ansible already keeps about its hosts: no host is touched.
//!
//! ```text
//! fact caches ─┐                                     ┌─> text       for a terminal
//! inventory  ──┼─> records ─> plan (once a distinct ─┼─> JSON lines for a program
//! desired    ──┘             set of facts) ─> groups └─> page       for a browser
//! results    ──────────────────────────────> groups ─┘
//! ```
//!
//! Each host gets exactly one verdict, also one whose facts cannot be read: hosts in is hosts out. The plan of a host is
//! made by the same [`crate::operate::evaluate`] that a run on the host uses, over a tree that stands for the facts
//! ([`stand_in`]); hosts with equal facts and an equal desired state are planned once.

pub mod cache;
pub mod desired;
pub mod inventory;
pub mod lines;
pub mod names;
pub mod order;
pub mod page;
pub mod plan;
pub mod proof;
pub mod record;
pub mod results;
pub mod sources;
pub mod stand_in;
pub mod table;
pub mod text;
