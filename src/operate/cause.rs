//! Why something differs: the parameters changed, or the host did.

use crate::distro::Site;
use crate::features::blocks;
use crate::params::{Params, State};
use crate::plan::originals::{Original, Originals, fingerprint};
use crate::report::Cause;
use crate::state_dir::STATE_DIR;
use crate::tree::{Change, Files, Node};

/// Returns why these changes are due, judged by what this tool remembers of what it left; `None` where none is due.
pub(super) fn cause(files: &dyn Files, site: &Site, params: &Params, changes: &[Change]) -> Option<Cause> {
    let mut changes = changes.iter().filter(|change| !change.path.starts_with(STATE_DIR)).peekable();
    changes.peek()?;
    if params.state != State::Present {
        return Some(Cause::Desired);
    }
    // A memory that cannot be read refuses the task elsewhere.
    let memory = Originals::read(files, site).ok()?;
    if memory.iter().next().is_none() {
        return Some(Cause::First);
    }
    let mut cause = Cause::Desired;
    for change in changes {
        let Some(original) = memory.get(&change.path) else { continue };
        if fingerprint(&change.before) == original.ours {
            continue;
        }
        if !is_replaced(original, change) {
            return Some(Cause::Drift);
        }
        cause = Cause::Upgrade;
    }
    Some(cause)
}

/// Tells whether a file was replaced as a whole, as a package's new release does it: none of this tool's lines is left,
/// and it is not what was there before this tool either, which an administrator may have put back.
fn is_replaced(original: &Original, change: &Change) -> bool {
    let (Node::File(before), Node::File(after)) = (&change.before, &change.after) else { return false };
    blocks::first(after).is_some() && blocks::first(before).is_none() && original.was != change.before
}
