//! Modules: which MPM, what it knows, and what stands beside it.

use super::{Found, View, row};

pub(super) fn mpm_004(view: &View<'_>, out: &mut Found<'_>) {
    for refusal in &view.normal.refusals {
        let Some(row) = row(refusal.directive) else { continue };
        if row.mpms.contains(&view.mpm) || row.name == "AsyncRequestWorkerFactor" {
            continue;
        }
        let wanted = row.mpms.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(" or ");
        out.on(view, row.name).fatal().value(view.text(row.name).unwrap_or_default()).code("AH00526").say(
            format!("{} is a directive of {wanted}; under {} httpd does not start", row.name, view.mpm),
            format!("leave {} out, or set mpm to {wanted}", view.name(row.name)),
        );
    }
}
