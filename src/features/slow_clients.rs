//! Time limits for requests that arrive slowly: mod_reqtimeout, and httpd's own `Timeout`.
//!
//! Loading the module is what protects; its directive only moves the limits.

use std::fmt::Write as _;

use crate::feature::{self, Feature, Host, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::numbers;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};

/// The name of this feature's parameters and block.
pub const NAME: &str = "slow_clients";

const MODULE_ID: &str = "reqtimeout_module";

/// What the module does for a stage that no line names.
const HEADER: Stage = Stage { initial: 20, max: 40, min_rate: 500 };
const BODY: Stage = Stage { initial: 20, max: 0, min_rate: 500 };

fn is_reqtimeout(identifier: &str) -> bool {
    identifier == MODULE_ID
}

crate::parameters! {
    /// How long one stage of a request may take. What is left out here is as httpd has it.
    pub struct Limit {
        /// Seconds at first.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_147_483_647)))]
        initial: i64;
        /// Seconds with all extensions, more than `initial`; 0 is no upper bound. Header: 40; body: 0.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2_147_483_647)))]
        max: i64;
        /// Bytes that extend the time by a second. Default: 500.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_147_483_647)))]
        min_rate: i64;
    }
}

crate::parameters! {
    /// How long a client may take for its request. A key that is omitted is not changed; one that is removed from the
    /// task again restores the earlier value.
    pub struct SlowClients {
        /// Whether slow requests are cut off: `true` loads mod_reqtimeout, `false` takes out what this program put in.
        /// If omitted, it is not changed.
        enabled: bool;
        /// Seconds for the TLS handshake, 0 for no limit; httpd 2.4.39 and later. If omitted, it is not changed.
        #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 2_147_483_647)))]
        handshake: i64;
        /// The request line and the header fields. If omitted, it is not changed.
        header: Limit => [
            Directive::new("RequestReadTimeout", Group(NAME), Parser::Raw).in_vhosts().module(is_reqtimeout),
        ];
        /// The body. If omitted, it is not changed.
        body: Limit;
        /// Seconds that httpd waits for a client that neither sends nor takes anything. `Timeout`. If omitted, it is
        /// not changed.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 2_147_483_647)))]
        timeout: i64 => [
            Directive::new("Timeout", Group(NAME), Parser::Atoi).in_vhosts().default(|_, _| "60"),
        ];
    }
}

static MODULE: Module = Module::stock("reqtimeout", is_reqtimeout);

/// The feature.
pub static SLOW_CLIENTS: Feature = Feature {
    name: NAME,
    doc: "How long a client may take for its request (mod_reqtimeout). If omitted, it is not managed.",
    fields: SlowClients::FIELDS,
    list: false,
    directives: SlowClients::DIRECTIVES,
    watched: &[],
    modules: &[&MODULE],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<SlowClients>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<SlowClients>,
    rules: &[&RRT_007, &RRT_008],
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// The limit of one stage, with nothing left out.
struct Stage {
    initial: i64,
    max: i64,
    min_rate: i64,
}

impl Stage {
    /// Returns the argument that sets it: `header=20-40,MinRate=500`.
    fn argument(&self, name: &str, limit: &Limit) -> String {
        let mut text = format!("{name}={}", limit.initial.unwrap_or(self.initial));
        let max = limit.max.unwrap_or(self.max);
        if max > 0 {
            let _ = write!(text, "-{max}");
        }
        let _ = write!(text, ",MinRate={}", limit.min_rate.unwrap_or(self.min_rate));
        text
    }
}

pub(crate) static RRT_007: Rule = Rule {
    id: "RRT-007",
    severity: Severity::Warning,
    setting: "slow_clients.enabled",
    summary: "mod_reqtimeout is not loaded; slow requests are never cut off",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c",
    after_change: true,
    check: Check::View(never_cut_off),
    ..Rule::NEW
};

fn never_cut_off(view: &View<'_>, out: &mut Reporter<'_>) {
    // A task that takes it out knows what it does.
    let enabled = view.params.groups.get::<SlowClients>().is_none_or(|asked| asked.enabled != Some(false));
    if !view.has(MODULE_ID) && view.remarks(Group(NAME)) && enabled {
        out.about("slow_clients.enabled").emit(
            "mod_reqtimeout is not loaded: slow requests are never cut off",
            "set slow_clients.enabled: true",
        );
    }
}

pub(crate) static RRT_008: Rule = Rule {
    id: "RRT-008",
    severity: Severity::Info,
    setting: "Timeout",
    summary: "a client that takes nothing of its answer holds a worker for more than a minute",
    source: "httpd 2.4 server/core_filters.c",
    check: Check::View(long_timeout),
    example: "Timeout 300",
    instead: "Timeout 60",
    ..Rule::NEW
};

fn long_timeout(view: &View<'_>, out: &mut Reporter<'_>) {
    let seconds = view.standing("Timeout").map_or(60, |text| numbers::atoi(text).value);
    if seconds > 60 && view.remarks(Group(NAME)) {
        out.on(view, "Timeout").value(seconds).emit(
            format!(
                "Timeout {seconds}{}: a client that takes nothing of its answer holds a worker for {seconds} s",
                view.at(view.line("Timeout"))
            ),
            "write 60, unless backends or uploads need more",
        );
    }
}

fn want(group: &dyn crate::parameters::Group, _: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<SlowClients>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    // All stages in one line: a virtual host's line replaces them together.
    let stages = [
        asked.handshake.map(|seconds| format!("handshake={seconds}")),
        asked.header.as_ref().map(|limit| HEADER.argument("header", limit)),
        asked.body.as_ref().map(|limit| BODY.argument("body", limit)),
    ];
    let words: Vec<String> = stages.into_iter().flatten().collect();
    if !words.is_empty() {
        want.set(&SLOW_CLIENTS, "header", words);
    }
    if let Some(seconds) = asked.timeout {
        want.set(&SLOW_CLIENTS, "timeout", vec![seconds.to_string()]);
    }
    want.guard(&SLOW_CLIENTS, MODULE_ID);
    want.module = asked.enabled;
}
