//! Lines of ours in files that are none of httpd's configuration.

use super::{Unreadable, Work};
use crate::feature::{Elsewhere, Feature};
use crate::features::blocks;
use crate::tree::Node;

impl Work<'_> {
    /// Writes a feature's lines in files outside the configuration, and takes them out where they are not wanted.
    pub(super) fn put_elsewhere(
        &mut self,
        feature: &Feature,
        wanted: &[Elsewhere],
    ) -> Result<(), Unreadable> {
        for (file, _) in self.ground.site.elsewhere() {
            let lines = wanted.iter().find(|one| one.file == file).map(|one| &*one.lines);
            // Without a block of ours in it, it may be whatever it likes.
            if lines.is_none()
                && !matches!(self.node(&file)?, Node::File(text) if blocks::has(&text, feature.name))
            {
                continue;
            }
            self.edit(&file, |text| blocks::put(text, feature.name, lines))?;
            if file == self.ground.site.rotation() && self.text(&file)?.trim_ascii().is_empty() {
                self.draft.put(&file, Node::Absent);
            }
        }
        Ok(())
    }
}
