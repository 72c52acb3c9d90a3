//! `Timeout` and `RequestReadTimeout`: how long a request may take to arrive.

use super::keepalive::in_vhosts;
use super::reqtimeout::{self, Limit, Stage};
use super::{Check, Reporter, Rule, View};
use crate::httpd::Version;
use crate::httpd::numbers;
use crate::httpd::read::{Line, Scope};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&TO_001, &TO_002, &TO_003, &RRT_001, &RRT_002, &RRT_003, &RRT_004, &RRT_005, &RRT_006];

/// Returns every `Timeout` line that counts: the main server's last, and those of virtual hosts.
fn timeouts<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'a Line, &'a str)> + 'v {
    let main = view.line("Timeout").and_then(|line| line.words.first().map(|text| (line, text.as_str())));
    main.into_iter().chain(in_vhosts(view, "Timeout"))
}

pub(crate) static TO_001: Rule = Rule {
    id: "TO-001",
    severity: Severity::Error,
    setting: "Timeout",
    summary: "a unit or fraction; httpd reads whole seconds and ignores the rest",
    source: "httpd 2.4 server/core.c, set_timeout",
    check: Check::View(timeout_with_unit),
    ..Rule::NEW
};

fn timeout_with_unit(view: &View<'_>, out: &mut Reporter<'_>) {
    for (line, text) in timeouts(view) {
        let read = numbers::atoi(text);
        if read.digits && !read.rest.is_empty() {
            out.on(view, "Timeout").value(text).effective(read.value).emit(
                format!(
                    "Timeout {text}{} takes whole seconds only: httpd reads {}",
                    view.at(Some(line)),
                    read.value
                ),
                "write whole seconds",
            );
        }
    }
}

pub(crate) static TO_002: Rule = Rule {
    id: "TO-002",
    severity: Severity::Error,
    setting: "Timeout",
    summary: "0 or no number; requests that do not arrive at once get status 400",
    source: "httpd 2.4 server/core.c, set_timeout",
    check: Check::View(timeout_zero),
    ..Rule::NEW
};

fn timeout_zero(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some(text) = view.standing("Timeout").filter(|text| numbers::atoi(text).value == 0) {
        out.on(view, "Timeout").value(text).effective(0).emit(
            format!(
                "Timeout {text}{} is read as 0: a client whose request does not arrive at once gets status 400",
                view.at(view.line("Timeout"))
            ),
            "write whole seconds, such as 60",
        );
    }
}

pub(crate) static TO_003: Rule = Rule {
    id: "TO-003",
    severity: Severity::Error,
    setting: "Timeout",
    summary: "read as a negative number; no time limit",
    source: "httpd 2.4 server/core.c, set_timeout",
    check: Check::View(timeout_negative),
    ..Rule::NEW
};

fn timeout_negative(view: &View<'_>, out: &mut Reporter<'_>) {
    for (line, text) in timeouts(view) {
        let value = numbers::atoi(text).value;
        if value < 0 {
            out.on(view, "Timeout").value(text).effective(value).emit(
                format!("Timeout {text}{} is read as {value}: no time limit at all", view.at(Some(line))),
                "write whole seconds, such as 60",
            );
        }
    }
}

const READ: &str = "RequestReadTimeout";

/// Returns the lines of `RequestReadTimeout` with what they say, those that httpd takes.
fn limits<'a>(view: &View<'a>) -> Vec<(&'a Line, Vec<Limit>)> {
    let lines = view.context.after.lines.iter().filter(|line| line.directive == READ);
    lines
        .filter_map(|line| reqtimeout::parse(&line.words.join(" ")).ok().map(|limits| (line, limits)))
        .collect()
}

/// Returns the limit of a stage in the main server; httpd's own where no line names it.
fn main_limit(limits: &[(&Line, Vec<Limit>)], stage: Stage) -> Limit {
    let written = limits.iter().rev().filter(|(line, _)| line.scope == Scope::Main);
    let found = written.flat_map(|(_, limits)| limits.iter().rev()).find(|limit| limit.stage == stage);
    found.copied().unwrap_or(match stage {
        Stage::Handshake => Limit { stage, initial: 0, most: 0, rate: 0 },
        Stage::Header => Limit { stage, initial: 20, most: 40, rate: 500 },
        Stage::Body => Limit { stage, initial: 20, most: 0, rate: 500 },
    })
}

pub(crate) static RRT_001: Rule = Rule {
    id: "RRT-001",
    severity: Severity::Error,
    setting: "RequestReadTimeout",
    summary: "does not follow its grammar; httpd refuses",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c, set_reqtimeout_param",
    check: Check::View(request_read_timeout_refused),
    ..Rule::NEW
};

fn request_read_timeout_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    for line in view.after.lines.iter().filter(|line| line.directive == READ) {
        let text = line.words.join(" ");
        if let Err(why) = reqtimeout::parse(&text) {
            out.about(READ).value(&text).code("AH00526").emit(
                format!("{READ}{}: {why}; httpd does not start", view.at(Some(line))),
                "write it as header=20-40,MinRate=500 body=20,MinRate=500",
            );
        }
    }
}

pub(crate) static RRT_002: Rule = Rule {
    id: "RRT-002",
    severity: Severity::Warning,
    setting: "RequestReadTimeout",
    summary: "a virtual host names only some stages; the others lose the extension by MinRate",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c, reqtimeout_merge_srv_config",
    check: Check::View(stages_lost_in_virtual_host),
    ..Rule::NEW
};

fn stages_lost_in_virtual_host(view: &View<'_>, out: &mut Reporter<'_>) {
    let limits = limits(view);
    for (line, own) in limits.iter().filter(|(line, _)| matches!(line.scope, Scope::Vhost(_))) {
        let lost: Vec<&str> = [(Stage::Header, "header"), (Stage::Body, "body")]
            .into_iter()
            .filter(|(stage, _)| own.iter().all(|limit| limit.stage != *stage))
            .filter(|(stage, _)| main_limit(&limits, *stage).rate != 0)
            .map(|(_, name)| name)
            .collect();
        if !own.is_empty() && !lost.is_empty() {
            out.about(READ).value(line.words.join(" ")).emit(
                format!(
                    "{READ}{} names only some stages: in that virtual host {} loses the extension by MinRate",
                    view.at(Some(line)),
                    lost.join(" and ")
                ),
                "repeat every stage in that line",
            );
        }
    }
}

pub(crate) static RRT_003: Rule = Rule {
    id: "RRT-003",
    severity: Severity::Info,
    setting: "RequestReadTimeout",
    summary: "allows more than Timeout, which ends the request first",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c, reqtimeout_filter",
    check: Check::View(timeout_ends_first),
    ..Rule::NEW
};

fn timeout_ends_first(view: &View<'_>, out: &mut Reporter<'_>) {
    let timeout = view.standing("Timeout").map_or(60, |text| numbers::atoi(text).value);
    for (line, limits) in limits(view) {
        for limit in limits.iter().filter(|limit| timeout > 0 && limit.initial > timeout) {
            out.about(READ).value(limit.initial).effective(timeout).emit(
                format!(
                    "{READ}{} allows {} s, but Timeout {timeout} ends it first",
                    view.at(Some(line)),
                    limit.initial
                ),
                format!("raise Timeout to {}, or lower the limit", limit.initial),
            );
        }
    }
}

pub(crate) static RRT_004: Rule = Rule {
    id: "RRT-004",
    severity: Severity::Warning,
    setting: "RequestReadTimeout",
    summary: "header=0 and body=0; no protection against slow clients",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c",
    check: Check::View(slowness_not_limited),
    ..Rule::NEW
};

fn slowness_not_limited(view: &View<'_>, out: &mut Reporter<'_>) {
    let limits = limits(view);
    let off = |stage| main_limit(&limits, stage).initial == 0;
    if view.has("reqtimeout_module") && off(Stage::Header) && off(Stage::Body) {
        out.about(READ).value("header=0 body=0").emit(
            format!("{READ}{} limits nothing: slow clients may hold every worker", view.at(view.line(READ))),
            "write it as header=20-40,MinRate=500 body=20,MinRate=500",
        );
    }
}

pub(crate) static RRT_005: Rule = Rule {
    id: "RRT-005",
    severity: Severity::Error,
    setting: "RequestReadTimeout",
    summary: "is used but mod_reqtimeout is not loaded; httpd refuses",
    source: "httpd 2.4 server/config.c; AH00526",
    check: Check::View(reqtimeout_not_loaded),
    ..Rule::NEW
};

fn reqtimeout_not_loaded(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.has("reqtimeout_module") {
        return;
    }
    for line in view.after.lines.iter().filter(|line| line.directive == READ) {
        out.about(READ).value(line.words.join(" ")).code("AH00526").emit(
            format!(
                "{READ}{} is used but mod_reqtimeout is not loaded: httpd does not start",
                view.at(Some(line))
            ),
            "load mod_reqtimeout, or put the line inside <IfModule reqtimeout_module>",
        );
    }
}

pub(crate) static RRT_006: Rule = Rule {
    id: "RRT-006",
    severity: Severity::Error,
    setting: "RequestReadTimeout",
    summary: "handshake= before 2.4.39, which brought it; httpd refuses",
    source: "httpd 2.4 modules/filters/mod_reqtimeout.c, set_reqtimeout_param",
    check: Check::View(handshake_unknown),
    ..Rule::NEW
};

fn handshake_unknown(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.version >= Version::v24(39) {
        return;
    }
    for (line, limits) in limits(view) {
        if limits.iter().any(|limit| limit.stage == Stage::Handshake) {
            out.about(READ).value("handshake").code("AH00526").emit(
                format!("{READ} handshake={} is not known to httpd {}", view.at(Some(line)), view.version),
                "remove handshake, which came with 2.4.39",
            );
        }
    }
}
