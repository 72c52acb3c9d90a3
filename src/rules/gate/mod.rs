//! What passes `httpd -t` and does not start, or ends a running server at the next reload: `-t` ends before
//! `post_config` and before the logs are opened. The rehearsal shows it where it can be had; these rules speak where it
//! cannot, and about a host as it is.

mod balancers;
mod caches;
mod certificates;
mod ciphers;
mod logs;
mod pem;
pub(super) mod protection;

use std::collections::BTreeSet;

use super::{Reporter, Rule, View};
use crate::httpd::read::startup::{Line, Startup};
use crate::report::Finding;
use crate::tree::Files;

/// The rules of this folder, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &balancers::GATE_001,
    &balancers::GATE_002,
    &certificates::GATE_003,
    &certificates::GATE_004,
    &certificates::GATE_005,
    &ciphers::GATE_006,
    &ciphers::GATE_007,
    &caches::GATE_008,
    &caches::GATE_009,
    &logs::GATE_010,
    &logs::GATE_011,
    &caches::GATE_012,
    &protection::GATE_013,
    &logs::GATE_014,
];

/// The configuration as httpd will start with it, and the files that it names. Nothing is known of the start where
/// nothing is to change.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// The lines.
    pub startup: &'a Startup,
    /// The host's files as they would be.
    pub files: &'a dyn Files,
}

/// What the rules of this folder have in common: the files as they are read, and that each place is told once.
struct Gate<'v, 'a> {
    view: &'v View<'a>,
    start: Start<'a>,
    told: BTreeSet<String>,
}

impl<'v, 'a> Gate<'v, 'a> {
    /// Returns it where the start is known.
    fn of(view: &'v View<'a>) -> Option<Self> {
        Some(Self { view, start: view.start()?, told: BTreeSet::new() })
    }

    fn startup(&self) -> &'a Startup {
        self.start.startup
    }

    /// Tells that httpd does not serve with a line. It weighs in full whoever wrote it.
    fn tell(
        &mut self,
        out: &mut Reporter<'_>,
        line: &Line,
        code: Option<&'static str>,
        message: impl FnOnce(&str) -> String,
        hint: &str,
    ) {
        let place = self.startup().place(line);
        if self.told.insert(place.clone()) {
            let message = message(&place);
            let value = format!("{} {}", line.directive, line.words.join(" "));
            out.about(&place).value(value.trim_end()).code(code).emit(format!("{message}: {DIES}"), hint);
        }
    }
}

/// What happens to a server with a line that the test passes.
const DIES: &str = "httpd -t passes, the next start fails and a reload ends the running server";

/// Tells whether a word holds a variable that is not known here.
fn is_open(word: &str) -> bool {
    word.contains("${")
}

/// Tells whether a finding says what the next reload of a running server does to it.
pub(crate) fn is_about_next_reload(finding: &Finding) -> bool {
    RULES.iter().any(|rule| rule.id == finding.rule)
}
