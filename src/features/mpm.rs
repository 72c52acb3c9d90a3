//! The MPM's numbers.

use std::fmt::Write as _;

use crate::httpd::Mpm;
use crate::httpd::directives::{self, Group};

/// The name of this feature's block.
pub const BLOCK: &str = "mpm";

/// Returns the lines that set `settings` (canonical names) under `mpm`, guarded so that they mean nothing under
/// another one. Directives that the MPM does not know are left out; a rule has refused them before.
pub fn body(mpm: Mpm, settings: &[(&'static str, i64)]) -> String {
    let mut text = format!("<IfModule {}>\n", mpm.module());
    for (name, value) in settings {
        if directives::find(name.as_bytes()).is_some_and(|row| row.mpms.contains(&mpm)) {
            let _ = writeln!(text, "    {name:<24} {value}");
        }
    }
    text.push_str("</IfModule>\n");
    text
}

/// Tells whether a directive is one of the MPM's numbers, in any case and under its older name.
pub fn ours(word: &[u8]) -> bool {
    directives::find(word).is_some_and(|row| row.group == Group::Mpm)
}

/// Tells whether lines inside this section are read under `mpm`.
pub fn inside(mpm: Mpm, section: &[u8]) -> bool {
    let Some(guard) = section.strip_suffix(b">").and_then(|section| section.get(1..)) else { return false };
    let mut words = guard.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"IfModule"))
        && words
            .next()
            .is_some_and(|word| word == mpm.module().as_bytes() || word == mpm.source_file().as_bytes())
        && words.next().is_none()
}
