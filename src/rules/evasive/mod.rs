//! mod_evasive: whether it is there, on, and which build reads its lines.

pub(crate) mod actions;
pub(crate) mod counting;
pub(crate) mod values;

use super::{Check, Reporter, Rule, View, mpm};
use crate::features::evasive::{self, Build, Evasive, Generation};
use crate::httpd::numbers;
use crate::httpd::read::{Line, NoteKind};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&EV_001, &EV_002, &EV_003, &EV_004, &EV_005, &EV_024, &EV_026, &EV_027];

/// Returns mod_evasive's numbers that fall back to a default, each with that of the build.
fn numbers_of<'v>(view: &'v View<'_>) -> impl Iterator<Item = (&'static str, i64)> + 'v {
    let rows = evasive::EVASIVE.owned().filter(|row| row.positive);
    rows.map(|row| (row.name, (row.default)(view.mpm, view.after).parse().unwrap_or_default()))
}

/// Returns the build, where mod_evasive is wanted or loaded.
fn active<'a>(view: &View<'a>) -> Option<&'a Build> {
    let wanted = match view.params.groups.get::<Evasive>() {
        Some(evasive) => evasive.enabled != Some(false),
        None => {
            ["evasive_module", "evasive20_module", "evasive24_module"].iter().any(|module| view.has(module))
        }
    };
    view.context.evasive.filter(|_| wanted)
}

/// Tells whether it is the 2.x fork, which checks its values and is off by default.
fn fork(build: &Build) -> bool {
    build.generation == Generation::Two
}

/// Returns the build's name for a message.
fn name(build: &Build) -> String {
    let number = if fork(build) { "2" } else { "1.10" };
    format!("mod_evasive {number} ({})", build.symbol)
}

/// Returns the text of a number: the wanted one, or that of the main server's line.
fn number(view: &View<'_>, directive: &str) -> Option<String> {
    let wanted = view.params.groups.get::<Evasive>().and_then(|evasive| match directive {
        "DOSHashTableSize" => evasive.hash_table_size,
        "DOSPageCount" => evasive.page_count,
        "DOSSiteCount" => evasive.site_count,
        "DOSPageInterval" => evasive.page_interval,
        "DOSSiteInterval" => evasive.site_interval,
        "DOSBlockingPeriod" => evasive.blocking_period,
        _ => None,
    });
    wanted.map(|number| number.to_string()).or_else(|| view.standing(directive).map(str::to_owned))
}

/// Returns the number that mod_evasive uses for a directive.
fn used(view: &View<'_>, directive: &str) -> i64 {
    let default = numbers_of(view).find(|(name, _)| *name == directive).map_or(0, |(_, default)| default);
    number(view, directive).map(|text| numbers::strtol(&text, 0).value).filter(|n| *n > 0).unwrap_or(default)
}

/// Returns a text: the wanted one, or that of the main server's line.
fn text<'a>(view: &View<'a>, directive: &str) -> Option<&'a str> {
    let wanted = view.context.params.groups.get::<Evasive>().and_then(|evasive| match directive {
        "DOSEmailNotify" => evasive.email_notify.as_deref(),
        "DOSSystemCommand" => evasive.system_command.as_deref(),
        "DOSLogDir" => evasive.log_dir.as_deref(),
        _ => None,
    });
    wanted.or_else(|| view.standing(directive))
}

/// Returns the status of a blocked request: the wanted one, or that of the main server's line.
fn status(view: &View<'_>, build: &Build) -> Option<i64> {
    let wanted = view.params.groups.get::<Evasive>().and_then(|evasive| evasive.http_status);
    wanted.or_else(|| {
        let directive = build.status_directive?;
        view.line(directive)?.words.last().map(|text| numbers::strtol(text, 0).value)
    })
}

/// Returns the addresses never blocked: the wanted ones, or those of the main server's lines.
fn whitelist<'a>(view: &View<'a>) -> Vec<&'a str> {
    let wanted = view.context.params.groups.get::<Evasive>().and_then(|evasive| evasive.whitelist.as_ref());
    if let Some(list) = wanted {
        return list.iter().map(String::as_str).collect();
    }
    let lines = view.main.get("DOSWhitelist").map_or(&[][..], Vec::as_slice);
    lines.iter().flat_map(|line| line.words.iter()).map(String::as_str).collect()
}

pub(crate) static EV_001: Rule = Rule {
    id: "EV-001",
    severity: Severity::Error,
    setting: "evasive",
    summary: "settings in a guard that this build does not match; the block is skipped silently",
    source: "httpd 2.4 server/core.c, start_ifmod",
    check: Check::View(evasive_block_never_read),
    ..Rule::NEW
};

fn evasive_block_never_read(view: &View<'_>, out: &mut Reporter<'_>) {
    mpm::dead_guard(view, out, NoteKind::DeadEvasiveGuard, "the guard of the build that is loaded");
}

pub(crate) static EV_002: Rule = Rule {
    id: "EV-002",
    severity: Severity::Error,
    setting: "evasive.enabled",
    summary: "mod_evasive 2 without `DOSEnabled true`, in that spelling; it is off",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(evasive_not_enabled),
    ..Rule::NEW
};

fn evasive_not_enabled(view: &View<'_>, out: &mut Reporter<'_>) {
    let standing = view.standing("DOSEnabled");
    let wanted = view.params.groups.get::<Evasive>().is_some_and(|evasive| evasive.enabled == Some(true));
    if active(view).is_some_and(fork) && !wanted && standing != Some("true") {
        out.on(view, "DOSEnabled").value(standing.unwrap_or("left out")).effective("off").emit(
            "mod_evasive 2 is off unless DOSEnabled is exactly `true`: nothing is protected",
            format!("set {} to true", view.path("DOSEnabled")),
        );
    }
}

/// Returns the lines about mod_evasive in virtual hosts, the first of each host.
fn first_in_vhosts<'a>(view: &View<'a>) -> Vec<&'a Line> {
    let mut lines: Vec<&'a Line> = Vec::new();
    for line in &view.in_vhosts {
        if line.directive.starts_with("DOS") && lines.iter().all(|other| other.scope != line.scope) {
            lines.push(line);
        }
    }
    lines
}

pub(crate) static EV_003: Rule = Rule {
    id: "EV-003",
    severity: Severity::Error,
    setting: "evasive",
    summary: "mod_evasive 2: a virtual host has settings but no `DOSEnabled true`; nothing is inherited",
    source: "mod_evasive 2.4.0 mod_evasive.c",
    check: Check::View(evasive_off_in_virtual_host),
    ..Rule::NEW
};

fn evasive_off_in_virtual_host(view: &View<'_>, out: &mut Reporter<'_>) {
    if !active(view).is_some_and(fork) {
        return;
    }
    for line in first_in_vhosts(view) {
        let on = view.in_vhosts.iter().any(|other| {
            other.scope == line.scope
                && other.directive == "DOSEnabled"
                && other.words.first().is_some_and(|word| word == "true")
        });
        if !on {
            out.on(view, "DOSEnabled").value("left out").effective("off").emit(
                format!(
                    "the virtual host with {}{} has no `DOSEnabled true` and inherits nothing: mod_evasive is off there",
                    line.directive,
                    view.at(Some(line))
                ),
                "write every directive of mod_evasive in that virtual host, or none",
            );
        }
    }
}

pub(crate) static EV_004: Rule = Rule {
    id: "EV-004",
    severity: Severity::Error,
    setting: "evasive",
    summary: "mod_evasive 1.10: settings in a virtual host count everywhere, and an earlier whitelist is \
         lost",
    source: "mod_evasive 1.10.1 mod_evasive20.c",
    check: Check::View(virtual_host_line_counts_everywhere),
    ..Rule::NEW
};

fn virtual_host_line_counts_everywhere(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none_or(fork) {
        return;
    }
    for line in first_in_vhosts(view) {
        out.on(view, line.directive).value(line.words.join(" ")).emit(
            format!(
                "{}{} is in a virtual host, but counts for all of them, and the whitelist read before it is lost",
                line.directive,
                view.at(Some(line))
            ),
            "move the line to the main server",
        );
    }
}

pub(crate) static EV_005: Rule = Rule {
    id: "EV-005",
    severity: Severity::Error,
    setting: "evasive.http_status",
    summary: "a directive of another build; httpd refuses it",
    source: "mod_evasive, command tables; AH00526",
    check: Check::View(directive_of_another_build),
    ..Rule::NEW
};

fn directive_of_another_build(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(build) = active(view) else { return };
    if build.status_directive.is_none()
        && let Some(status) = view.params.groups.get::<Evasive>().and_then(|evasive| evasive.http_status)
    {
        out.about("evasive.http_status").value(status).effective(403).emit(
            format!("{} has no directive for the status; it answers 403", name(build)),
            "leave http_status out",
        );
    }
    for line in &view.after.lines {
        let foreign = match line.directive {
            "DOSHTTPResponseCode" | "DOSHTTPStatus" | "DOSBlockingHttpResponse" => {
                build.status_directive != Some(line.directive)
            }
            "DOSEnabled" | "DOSWhitelistUri" | "DOSBlocklistUri" => !fork(build),
            _ => false,
        };
        if foreign {
            out.about(line.directive).value(line.words.join(" ")).code("AH00526").emit(
                format!(
                    "{}{} is not known to {}: httpd does not start",
                    line.directive,
                    view.at(Some(line)),
                    name(build)
                ),
                build.status_directive.map_or_else(
                    || "remove the line".to_owned(),
                    |own| format!("write {own}, or remove the line"),
                ),
            );
        }
    }
}

pub(crate) static EV_024: Rule = Rule {
    id: "EV-024",
    severity: Severity::Error,
    setting: "evasive",
    summary: "a block for 1.10 on a host with 2.x, as after an upgrade to Debian 13; protection is off \
         silently",
    source: "mod_evasive 2.4.0 mod_evasive.c; Debian 13 libapache2-mod-evasive",
    check: Check::View(block_of_the_old_build),
    ..Rule::NEW
};

fn block_of_the_old_build(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.context.evasive.is_some_and(fork) {
        return;
    }
    for note in view.notes(NoteKind::DeadEvasiveGuard).filter(|note| note.text.contains("evasive20")) {
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about("evasive").at_most(cap).value(&note.text).emit(
            format!(
                "{} at {} was written for mod_evasive 1.10; the 2.x found here skips it and protects nothing by it",
                note.text,
                view.noted_at(note)
            ),
            "manage `evasive` with this tool, or rewrite the block for evasive_module with DOSEnabled true",
        );
    }
}

pub(crate) static EV_026: Rule = Rule {
    id: "EV-026",
    severity: Severity::Error,
    setting: "evasive",
    summary: "mod_evasive is not installed",
    source: "LoadModule lines of the distribution's package",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static EV_027: Rule = Rule {
    id: "EV-027",
    severity: Severity::Warning,
    setting: "evasive.enabled",
    summary: "values for mod_evasive while its module is not enabled",
    source: "Debian libapache2-mod-evasive, mods-available/evasive.load",
    check: Check::Planned,
    ..Rule::NEW
};
