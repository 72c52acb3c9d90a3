//! A difference in the unified form, which `patch` reads.

use std::fmt::Write as _;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

use super::screen::{Screen, printable};
use crate::report::DiffEntry;

/// Unchanged lines shown around a change.
const CONTEXT: u32 = 3;

/// Returns a difference in the unified form, which `patch` reads.
// imara-diff 0.2 has a printer of its own, whose first hunk begins a line too early.
pub(super) fn unified(entry: &DiffEntry, screen: &Screen) -> String {
    let input = InternedInput::new(entry.before.as_str(), entry.after.as_str());
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let lines_before = u32::try_from(input.before.len()).unwrap_or(u32::MAX);
    let mut text = format!(
        "{}\n{}\n",
        screen.bold(&format!("--- {}", printable(&entry.before_header))),
        screen.bold(&format!("+++ {}", printable(&entry.after_header)))
    );
    let line = |sign: char, token: Token| {
        let line = input.interner[token];
        let text = format!("{sign}{}", printable(line.strip_suffix('\n').unwrap_or(line)));
        let painted = match sign {
            '-' => screen.red(&text),
            '+' => screen.green(&text),
            _ => text,
        };
        let end = if line.ends_with('\n') { "" } else { "\\ No newline at end of file\n" };
        format!("{painted}\n{end}")
    };
    let changes: Vec<Hunk> = diff.hunks().collect();
    for near in changes.chunk_by(|one, next| next.before.start - one.before.end <= 2 * CONTEXT) {
        let (Some(first), Some(last)) = (near.first(), near.last()) else { continue };
        let from = first.before.start.saturating_sub(CONTEXT);
        let to = lines_before.min(last.before.end.saturating_add(CONTEXT));
        let from_after = first.after.start - (first.before.start - from);
        let to_after = last.after.end + (to - last.before.end);
        // A side without lines begins before its first one.
        let range =
            |from: u32, to: u32| format!("{},{}", if from == to { from } else { from + 1 }, to - from);
        let _ = writeln!(text, "@@ -{} +{} @@", range(from, to), range(from_after, to_after));
        let mut shown = from;
        for change in near {
            for token in &input.before[shown as usize..change.before.start as usize] {
                text.push_str(&line(' ', *token));
            }
            for token in &input.before[change.before.start as usize..change.before.end as usize] {
                text.push_str(&line('-', *token));
            }
            for token in &input.after[change.after.start as usize..change.after.end as usize] {
                text.push_str(&line('+', *token));
            }
            shown = change.before.end;
        }
        for token in &input.before[shown as usize..to as usize] {
            text.push_str(&line(' ', *token));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_one_that_patch_reads() {
        let text = |before: &str, after: &str| {
            let entry = DiffEntry {
                before_header: "a".to_owned(),
                after_header: "b".to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
            };
            unified(&entry, &Screen::plain())
        };
        assert_eq!(
            text("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(text("", "1\n2\n"), "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n");
        assert_eq!(text("1\n", ""), "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-1\n");
        assert_eq!(
            text("1\n2", "1\n3\n"),
            "--- a\n+++ b\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+3\n"
        );
    }
}
