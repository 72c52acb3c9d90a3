//! The own drop-in: read where it holds something, gone where it holds nothing.

use super::{INCLUDE, Unreadable, Work};
use crate::distro::DropIn;
use crate::features::blocks;
use crate::tree::Node;

impl Work<'_> {
    /// Sees that httpd reads the drop-in.
    pub(super) fn enable_drop_in(&mut self) -> Result<(), Unreadable> {
        match self.ground.site.layout.drop_in_by {
            DropIn::Linked => self.link_drop_in(),
            DropIn::Included => {}
            DropIn::Line(line) => {
                let main = self.ground.site.main_file();
                self.edit(&main, |text| blocks::put(text, INCLUDE, Some(line)))?;
            }
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
        match self.ground.site.layout.drop_in_by {
            DropIn::Linked => self.unlink_drop_in(),
            DropIn::Included => {}
            DropIn::Line(_) => self.take_block_out(&self.ground.site.main_file(), INCLUDE)?,
        }
        self.draft.put(&drop_in, Node::Absent);
        Ok(())
    }
}
