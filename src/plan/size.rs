//! What a change must fit into: everything that a run writes, its journal too, is read again by a later one.

use crate::tree::{Change, Node};

/// The most bytes that the journal of a change may take: with what it says about each file besides, below the 16 MiB up
/// to which a file is read.
const MOST: usize = 15 << 20;

/// Tells why a change is too large to be undone by a later run, if it is.
pub fn too_large(changes: &[Change]) -> Option<String> {
    let sizes = changes.iter().map(|change| stored(&change.before) + stored(&change.after));
    let whole: usize = sizes.sum();
    let largest = changes.iter().max_by_key(|change| stored(&change.after))?;
    (whole > MOST).then(|| {
        format!(
            "the files before and after the change take {} MiB together, {} with {} bytes most of them; only {} MiB \
             could be read back to undo it; ask for less, such as networks instead of single addresses in a whitelist",
            whole >> 20,
            largest.path.display(),
            stored(&largest.after),
            MOST >> 20
        )
    })
}

/// Returns the bytes of a node in the journal: JSON text, or two digits a byte.
fn stored(node: &Node) -> usize {
    let Node::File(content) = node else { return 0 };
    match std::str::from_utf8(content) {
        Ok(text) => text.bytes().map(escaped).sum(),
        Err(_) => content.len() * 2,
    }
}

/// Returns the bytes that a byte of text takes in JSON.
const fn escaped(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0x00..=0x1f => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: &str, after: &str) -> Change {
        Change::new("/etc/x.conf", Node::text(before), Node::text(after))
    }

    #[test]
    fn what_the_journal_holds_is_counted_as_it_stands_there() {
        for text in ["plain", "\"quoted\"\n\t", "\u{1}\u{1f}\u{7f}", "äö", "\u{8}\u{c}\r\\"] {
            let json = serde_json::to_string(text).unwrap_or_default();
            assert_eq!(stored(&Node::text(text)), json.len() - 2, "{text:?}");
        }
        assert_eq!(stored(&Node::File(vec![0xff, 0xfe].into())), 4);
    }

    #[test]
    fn a_change_that_could_not_be_read_back_is_told_with_its_largest_file() {
        let half = "x".repeat(MOST / 2);
        assert_eq!(too_large(&[change("", &half), change(&half, "")]), None);
        let told = too_large(&[change("", &half), change(&half, "yy")]).unwrap_or_default();
        assert!(told.contains("/etc/x.conf"), "{told}");
        assert_eq!(too_large(&[]), None);
    }
}
