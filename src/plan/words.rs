//! The words of a plan: what is written to a file, and what the result and the diff say of a change.

use std::fmt::Write as _;

use crate::feature::{Item, Want};
use crate::features::blocks;
use crate::report::{Action, ChangeEntry, ChangeKind};
use crate::tree::{Change, Node, Role, bytes};

/// Returns the lines that a feature wants.
pub(super) fn body(want: &Want) -> String {
    let mut text = String::new();
    for group in want.settings.chunk_by(|one, next| one.guard == next.guard) {
        let lines =
            group.iter().map(|setting| Item::Line(setting.directive, setting.words.clone())).collect();
        match group.first().and_then(|setting| setting.guard.clone()) {
            Some(guard) => render(&[Item::Section("IfModule", guard, lines)], "", &mut text),
            None => render(&lines, "", &mut text),
        }
    }
    render(&want.items, "", &mut text);
    text
}

/// Returns the lines of a file that is read before.
pub(super) fn early(want: &Want) -> String {
    let mut text = String::new();
    render(&want.early, "", &mut text);
    text
}

/// Writes lines and sections.
fn render(items: &[Item], indent: &str, text: &mut String) {
    for item in items {
        match item {
            Item::Line(directive, words) => {
                let words: Vec<String> = words.iter().map(|word| blocks::argument(word)).collect();
                let _ = writeln!(text, "{indent}{directive:<24} {}", words.join(" "));
            }
            Item::Section(name, argument, items) => {
                let _ = writeln!(text, "{indent}<{name} {}>", blocks::argument(argument));
                render(items, &format!("{indent}    "), text);
                let _ = writeln!(text, "{indent}</{name}>");
            }
        }
    }
}

/// Returns the changes as the result lists them.
pub fn entries(changes: &[Change]) -> Vec<ChangeEntry> {
    changes
        .iter()
        .filter(|change| change.role != Role::State)
        .map(|change| ChangeEntry {
            path: change.path.to_string_lossy().into_owned(),
            kind: kind(change),
            action: match (&change.before, &change.after) {
                (Node::Absent, _) => Action::Create,
                (_, Node::Absent) => Action::Remove,
                _ => Action::Modify,
            },
        })
        .collect()
}

/// Returns what kind of thing changes.
pub fn kind(change: &Change) -> ChangeKind {
    if change.role == Role::Marker {
        return ChangeKind::Marker;
    }
    match (&change.before, &change.after) {
        (Node::Link(_), _) | (Node::Absent, Node::Link(_)) => ChangeKind::Link,
        _ => ChangeKind::File,
    }
}

/// Returns a link's text for the diff.
pub fn shown(node: &Node) -> String {
    match node {
        Node::Absent => String::new(),
        Node::Link(target) => format!("link to {}\n", String::from_utf8_lossy(bytes(target.as_os_str()))),
        Node::File(content) => String::from_utf8_lossy(content).into_owned(),
    }
}
