//! What `absent` and `rolled_back` would give back.

use super::{Check, Rule};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&UND_001, &UND_002];

pub(crate) static UND_001: Rule = Rule {
    id: "UND-001",
    severity: Severity::Error,
    setting: "state",
    summary: "an undo would give a link back whose target was removed since; httpd passes over it or does not start",
    source: "httpd 2.4 server/config.c, ap_process_fnmatch_configs: dangling links are skipped",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static UND_002: Rule = Rule {
    id: "UND-002",
    severity: Severity::Error,
    setting: "state",
    summary: "after the undo nothing would run PHP; its sources would be served as text",
    source: "Debian php-fpm, conf-available/php*-fpm.conf",
    check: Check::Planned,
    ..Rule::NEW
};
