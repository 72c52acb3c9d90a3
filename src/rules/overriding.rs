//! Directives in other files that override the managed value.

use super::{Check, Reporter, Rule, View};
use crate::httpd::core_directives;
use crate::httpd::directives::Group;
use crate::httpd::normalise::{self, Written};
use crate::report::Severity;
use std::cell::LazyCell;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&OVR_001, &OVR_002, &OVR_003];

pub(crate) static OVR_003: Rule = Rule {
    id: "OVR-003",
    severity: Severity::Warning,
    setting: "settings",
    summary: "left out, but a line that this task does not write sets it",
    source: "httpd 2.4 server/config.c, ap_walk_config",
    after_change: true,
    check: Check::View(left_out_but_set_elsewhere),
    ..Rule::NEW
};

fn left_out_but_set_elsewhere(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.manages(Group::MPM) {
        return;
    }
    // httpd's own defaults, before any correction by other values.
    let defaults = LazyCell::new(|| normalise::normalise(view.mpm, view.version, &Written::new()).used);
    for row in core_directives::mpm_rows().filter(|row| row.mpms.contains(&view.mpm)) {
        let (None, Some(line)) = (view.text(row.name), view.line(row.name)) else { continue };
        let (Some(standing), Some(default)) = (line.words.first(), defaults.get(row.name)) else { continue };
        if standing != default {
            out.on(view, row.name).value("left out").effective(standing).emit(
                format!(
                    "{} is not set by this task, so {default} is expected, but {} {standing}{} sets it",
                    row.name,
                    row.name,
                    view.at(Some(line))
                ),
                format!("set {} to the value wanted, or remove that line", view.name(row.name)),
            );
        }
    }
}

pub(crate) static OVR_001: Rule = Rule {
    id: "OVR-001",
    severity: Severity::Error,
    setting: "settings, keepalive, evasive",
    summary: "a line elsewhere is read later and wins, or httpd does not read the file",
    source: "httpd 2.4 server/config.c, ap_walk_config",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static OVR_002: Rule = Rule {
    id: "OVR-002",
    severity: Severity::Warning,
    setting: "keepalive, evasive",
    summary: "a virtual host has a value of its own",
    source: "httpd 2.4 server/config.c, ap_fixup_virtual_hosts",
    check: Check::Planned,
    ..Rule::NEW
};
