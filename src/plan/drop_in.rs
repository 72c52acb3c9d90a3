//! The own drop-in: its text, and how httpd comes to read it.

use std::path::Path;

use super::{Unreadable, Work};
use crate::distro::DropIn;
use crate::features::{blocks, mpm};
use crate::httpd::core_directives;
use crate::httpd::normalise::{Written, normalise};
use crate::tree::Node;

/// The name of the block by which a main file includes the drop-in.
const INCLUDE: &str = "include";

impl Work<'_> {
    /// Adds httpd's default for each size that is left out and that the distribution's own file sets: a drop-in
    /// comes after that file, so only a line of its own makes the default count.
    pub(super) fn with_defaults(
        &self,
        own: &Path,
        settings: &[(&'static str, i64)],
    ) -> Result<Vec<(&'static str, i64)>, Unreadable> {
        let mpm = self.ground.mpm;
        let text = self.text(own)?;
        let defaults = normalise(mpm, self.ground.version, &Written::new()).used;
        let mut all = Vec::new();
        for row in core_directives::mpm_rows().filter(|row| row.mpms.contains(&mpm)) {
            if let Some((name, value)) = settings.iter().find(|(name, _)| *name == row.name) {
                all.push((*name, *value));
                continue;
            }
            if !row.one_set {
                continue;
            }
            let is_row =
                |word: &[u8]| core_directives::find(word).is_some_and(|found| found.name == row.name);
            let without = blocks::take_over(&text, mpm::BLOCK, is_row, |section| mpm::inside(mpm, section));
            if without != *text
                && let Some(default) = defaults.get(row.name).and_then(|value| value.parse().ok())
            {
                all.push((row.name, default));
            }
        }
        // What no row of this MPM knows is kept, so that a rule can name it.
        all.extend(
            settings
                .iter()
                .filter(|(name, _)| !all.iter().any(|(known, _)| known == name))
                .copied()
                .collect::<Vec<_>>(),
        );
        Ok(all)
    }

    /// Sees that httpd reads the drop-in.
    pub(super) fn enable_drop_in(&mut self) -> Result<(), Unreadable> {
        let site = self.ground.site;
        if site.layout.drop_in_by == DropIn::Linked {
            self.link_drop_in();
        }
        if let Some(line) = site.drop_in_line() {
            self.edit(&site.main_file(), |text| blocks::put(text, INCLUDE, Some(&line)))?;
        }
        Ok(())
    }

    /// Removes the drop-in and its link once nothing is left in it.
    pub(super) fn drop_empty_drop_in(&mut self) -> Result<(), Unreadable> {
        let drop_in = self.ground.site.drop_in();
        match self.node(&drop_in)? {
            Node::File(text) if text.trim_ascii().is_empty() => {}
            // It came with this tool and has gone; what leads to it may be in a file that was edited since.
            Node::Absent => {}
            Node::File(_) | Node::Link(_) => return Ok(()),
        }
        let site = self.ground.site;
        if site.layout.drop_in_by == DropIn::Linked {
            self.unlink_drop_in();
        }
        if site.drop_in_line().is_some() {
            self.take_block_out(&site.main_file(), INCLUDE)?;
        }
        self.draft.put(&drop_in, Node::Absent);
        Ok(())
    }
}
