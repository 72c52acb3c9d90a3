//! Lines elsewhere that count although the task leaves their directive out.

use std::cell::LazyCell;

use super::{Found, View};
use crate::httpd::core_directives;
use crate::httpd::directives::Group;
use crate::httpd::normalise::{self, Written};

pub(super) fn ovr_003(view: &View<'_>, out: &mut Found<'_>) {
    if !view.manages(Group::MPM) {
        return;
    }
    // httpd's own defaults, before any correction by other values.
    let defaults = LazyCell::new(|| normalise::normalise(view.mpm, view.version, &Written::new()).used);
    for row in core_directives::mpm_rows().filter(|row| row.mpms.contains(&view.mpm)) {
        let (None, Some(line)) = (view.text(row.name), view.line(row.name)) else { continue };
        let (Some(standing), Some(default)) = (line.words.first(), defaults.get(row.name)) else { continue };
        if standing != default {
            out.on(view, row.name).value("left out").effective(standing).say(
                format!(
                    "{} is left out, which means {default}, but {} {standing}{} stands and counts",
                    row.name,
                    row.name,
                    view.at(Some(line))
                ),
                format!("set {} to the value wanted, or remove that line", view.name(row.name)),
            );
        }
    }
}
