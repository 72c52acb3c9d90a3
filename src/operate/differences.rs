//! The differences that a result shows: one for each file or link that changes, then one of the effective settings.
//!
//! The text of a file that not everybody may read is not shown: a result goes to logs, to terminals and to whoever looks
//! after the play. What is shown then is that the file differs, and in which lines.

use std::fmt::Write;
use std::path::Path;

use imara_diff::{Algorithm, Diff, InternedInput};

use crate::httpd::effective::Value;
use crate::httpd::read::Configuration;
use crate::plan;
use crate::report::{DiffEntry, SwitchKind, Switched};
use crate::tree::{Change, Files, Node, Role};

/// Returns all of them.
pub(super) fn all(
    files: &dyn Files,
    changes: &[Change],
    before: &[Value],
    after: &[Value],
) -> Vec<DiffEntry> {
    let mut list: Vec<DiffEntry> = changes
        .iter()
        .filter(|change| change.role.is_read_by_httpd())
        .map(|change| {
            let path = change.path.to_string_lossy().into_owned();
            let header =
                |node: &Node| if *node == Node::Absent { format!("{path} (absent)") } else { path.clone() };
            let (before, after) = if is_private(files, change) {
                hidden(&change.before, &change.after)
            } else {
                (plan::shown(&change.before), plan::shown(&change.after))
            };
            DiffEntry {
                before_header: header(&change.before),
                after_header: header(&change.after),
                before,
                after,
            }
        })
        .collect();
    let text = |values: &[Value]| {
        values.iter().fold(String::new(), |text, value| text + value.directive + " " + &value.used + "\n")
    };
    let (before, after) = (text(before), text(after));
    if before != after {
        list.push(DiffEntry {
            before_header: DiffEntry::EFFECTIVE_SETTINGS.to_owned(),
            after_header: DiffEntry::EFFECTIVE_SETTINGS.to_owned(),
            before,
            after,
        });
    }
    list
}

/// Returns what changes switch: by their links, and where modules are switched in another way by what httpd loads before
/// and after.
pub(super) fn switched(changes: &[Change], before: &Configuration, after: &Configuration) -> Vec<Switched> {
    let is_link = |node: &Node| matches!(node, Node::Link(_));
    let mut list = Vec::new();
    for change in changes.iter().filter(|change| is_link(&change.before) || is_link(&change.after)) {
        let stem = || change.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (kind, name) = match &change.role {
            Role::Load { module, .. } => (SwitchKind::Module, module.clone()),
            Role::Conf => (SwitchKind::Conf, stem()),
            // The link to a module's settings goes with the one that loads it.
            Role::ModuleConf { .. } | Role::Marker | Role::State => continue,
            Role::File | Role::ChooseMpm | Role::Variables | Role::Beside => {
                (SwitchKind::Link, change.path.to_string_lossy().into_owned())
            }
        };
        list.push(Switched { kind, on: change.after != Node::Absent, name });
    }
    if !list.iter().any(|one| one.kind == SwitchKind::Module) {
        let lacks = |other: &Configuration, identifier: &str| {
            !other.modules.iter().any(|module| module.identifier == identifier)
        };
        let sides = [(before, after, false), (after, before, true)];
        for (side, other, on) in sides {
            let only_here = side.modules.iter().filter(|module| lacks(other, &module.identifier));
            list.extend(only_here.map(|module| {
                let name = module.identifier.strip_suffix("_module").unwrap_or(&module.identifier).to_owned();
                Switched { kind: SwitchKind::Module, on, name }
            }));
        }
    }
    list.sort();
    list.dedup();
    list
}

/// Tells whether not everybody may read the file that a change is about, for its own mode or that of a directory above.
/// A file that is new has what the task says and nobody's secrets.
fn is_private(files: &dyn Files, change: &Change) -> bool {
    let lacks = |path: &Path, right: u32| files.status(path).is_some_and(|status| status.mode & right == 0);
    let stands = matches!(change.before, Node::File(_));
    let closed =
        || lacks(&change.path, 0o004) || change.path.ancestors().skip(1).any(|dir| lacks(dir, 0o001));
    change.private || (stands && closed())
}

/// What is there above the places of what is not shown.
const NOT_SHOWN: &str = "not shown, because not everybody may read this file\n";

/// Returns both sides of a difference without their text: the places where they differ.
fn hidden(before: &Node, after: &Node) -> (String, String) {
    let text = |node: &Node| match node {
        Node::File(content) => String::from_utf8_lossy(content).into_owned(),
        // What a link leads to is no content of a file.
        Node::Absent | Node::Link(_) => plan::shown(node),
    };
    let (old, new) = (text(before), text(after));
    let input = InternedInput::new(old.as_str(), new.as_str());
    let mut sides = [before, after].map(|node| match node {
        Node::File(_) => NOT_SHOWN.to_owned(),
        Node::Absent | Node::Link(_) => plan::shown(node),
    });
    for hunk in Diff::compute(Algorithm::Histogram, &input).hunks() {
        let places = [(hunk.before, input.before.len(), "is"), (hunk.after, input.after.len(), "will be")];
        for (side, (lines, all, tense)) in sides.iter_mut().zip(places) {
            if !side.starts_with(NOT_SHOWN) {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = match lines.end - lines.start {
                0 => writeln!(side, "nothing after line {} of {all}, as it {tense}", lines.start),
                1 => writeln!(side, "line {} of {all}, as it {tense}", lines.end),
                _ => writeln!(side, "lines {} to {} of {all}, as it {tense}", lines.start + 1, lines.end),
            };
        }
    }
    let [before, after] = sides;
    (before, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_shown_is_told_by_its_lines() {
        let node = |text: &str| Node::text(text);
        let told = |before: &Node, after: &Node| {
            let (before, after) = hidden(before, after);
            for side in [&before, &after] {
                assert!(!side.contains("secret"), "{side}");
            }
            [before, after].map(|side| side.replace(NOT_SHOWN, "").replace('\n', ";"))
        };
        assert_eq!(
            told(&node("secret\n2\n3\n4\n"), &node("secret\n2\nthree\n3b\n4\nsecret 5\n")),
            [
                "line 3 of 4, as it is;nothing after line 4 of 4, as it is;",
                "lines 3 to 4 of 6, as it will be;line 6 of 6, as it will be;",
            ]
        );
        assert_eq!(told(&Node::Absent, &node("secret\nb\n")), ["", "lines 1 to 2 of 2, as it will be;"]);
        assert_eq!(told(&Node::text(b"secret\xff\n"), &Node::Absent), ["line 1 of 1, as it is;", ""]);
        assert_eq!(told(&node("secret"), &Node::Link("../a".into()))[1], "link to ../a;");
    }
}
