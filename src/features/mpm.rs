//! The MPM's numbers.

use std::fmt::Write as _;

use super::blocks;
use crate::httpd::Mpm;
use crate::httpd::core_directives;

/// The name of this feature's block.
pub const BLOCK: &str = "mpm";

/// Tells whether a directive is one of the sizes. They are one set, because httpd makes them fit each other: where one
/// is asked for, one that is left out is not written, and httpd's default counts.
pub fn is_size(directive: &str) -> bool {
    core_directives::find(directive.as_bytes()).is_some_and(|row| row.one_set)
}

/// Tells whether a line of this directive makes room for `settings`: it is a size, or it is asked for.
pub fn makes_room(word: &[u8], settings: &[(&'static str, i64)]) -> bool {
    core_directives::mpm_rows()
        .find(|row| row.is(word))
        .is_some_and(|row| row.one_set || settings.iter().any(|(name, _)| *name == row.name))
}

/// Tells whether the block in `text` sets something that stood for itself before and is not asked for any more.
pub fn lets_go(text: &[u8], settings: &[(&'static str, i64)]) -> bool {
    blocks::first_words(text, BLOCK).any(|word| ours(word) && !makes_room(word, settings))
}

/// Returns the lines that set `settings` (canonical names) under `mpm`, guarded so that they mean nothing under
/// another one. Directives that the MPM does not know are left out; a rule has refused them before.
pub fn body(mpm: Mpm, settings: &[(&'static str, i64)]) -> String {
    let mut text = format!("<IfModule {}>\n", mpm.module());
    for (name, value) in settings {
        if core_directives::find(name.as_bytes()).is_some_and(|row| row.mpms.contains(&mpm)) {
            let _ = writeln!(text, "    {name:<24} {value}");
        }
    }
    text.push_str("</IfModule>\n");
    text
}

/// Tells whether a directive is one of the MPM's numbers, in any case and under its older name.
pub fn ours(word: &[u8]) -> bool {
    core_directives::mpm_rows().any(|row| row.is(word))
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

/// Returns the MPM whose numbers the block in `text` holds.
pub fn written_for(text: &[u8]) -> Option<Mpm> {
    let block = blocks::block(text, BLOCK)?;
    Mpm::ALL.into_iter().find(|mpm| {
        let guard = format!("<IfModule {}>", mpm.module());
        block.split(|byte| *byte == b'\n').any(|line| line.trim_ascii() == guard.as_bytes())
    })
}

/// Returns `rest`, a file without this tool's block, with the numbers of `mpm` that are missing in it: the lines that
/// stood in `was`, or `stock` where that is not known. What the file sets by now is left as it is.
///
/// Lines of `was` go back to where they stood; those of `stock` to the end, in a section of their own where a file is
/// `shared` by the MPMs.
pub fn give_back(
    rest: &[u8],
    mpm: Mpm,
    was: Option<&[u8]>,
    (stock, shared): (&[(&str, &str)], bool),
) -> Vec<u8> {
    let in_section = |section: &[u8]| inside(mpm, section);
    let name = |line: &[u8]| core_directives::find(blocks::first_word(line)).map(|row| row.name);
    let set: Vec<_> = blocks::managed(rest, BLOCK, ours, in_section)
        .into_iter()
        .map(|(line, _)| name(&rest[line]))
        .collect();
    let Some(was) = was else {
        let missing = stock.iter().filter(|(name, _)| !set.contains(&Some(*name)));
        let lines: String = missing.map(|(name, value)| format!("{name:<24} {value}\n")).collect();
        let mut out = rest.to_vec();
        if !lines.is_empty() {
            out.extend_from_slice(blocks::line_end(rest).as_bytes());
            let lines =
                if shared { format!("<IfModule {}>\n{lines}</IfModule>\n", mpm.module()) } else { lines };
            out.extend_from_slice(lines.as_bytes());
        }
        return out;
    };
    blocks::give_back(was, rest, |line, sections| {
        ours(blocks::first_word(line))
            && sections.iter().all(|section| in_section(section))
            && !set.contains(&name(line))
    })
}
