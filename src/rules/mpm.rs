//! The MPM: which one is loaded, and where its directives stand.

use super::{BY_RESTART, Check, Reporter, Rule, View};
use crate::distro::{Layout, ModuleSwitch};
use crate::httpd::Mpm;
use crate::httpd::directives::{Directive, Group};
use crate::httpd::read::{Configuration, Line, NoteKind, Scope};
use crate::params::ActivationMode;
use crate::report::{Need, Severity};

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] =
    &[&MPM_001, &MPM_002, &MPM_003, &MPM_004, &MPM_005, &MPM_006, &MPM_007, &MPM_008];

pub(crate) static MPM_001: Rule = Rule {
    id: "MPM-001",
    severity: Severity::Error,
    setting: "mpm",
    summary: "no MPM or more than one is loaded; httpd refuses",
    source: "httpd 2.4 server/mpm_common.c, ap_check_mpm; AH00534",
    why: "httpd runs with exactly one MPM. With none or with two it does not start, and a running server ends at its \
         next reload.",
    remedy: "Set the parameter mpm: it leaves that one loaded and no other.",
    after_change: true,
    check: Check::View(not_exactly_one_mpm),
    ..Rule::NEW
};

fn not_exactly_one_mpm(view: &View<'_>, out: &mut Reporter<'_>) {
    if let Some((names, message)) = not_one(view.after, view.layout) {
        // PHP that is in httpd itself decides for the only one that it runs under.
        let php = super::php::unsafe_modules(view.after).next().is_some();
        let (mpm, why) = if php {
            (Mpm::Prefork, ", the only one that mod_php runs under; it turns the others off")
        } else {
            (view.mpm, ", which turns the others off")
        };
        out.about("mpm").value(&names).code("AH00534").emit(message, format!("set mpm to {mpm}{why}"));
    }
}

/// Returns the names of the MPMs that are loaded, and what is wrong, where it is not exactly one.
pub(crate) fn not_one(configuration: &Configuration, layout: &Layout) -> Option<(String, String)> {
    let loaded = configuration.mpms();
    if loaded.len() == 1 {
        return None;
    }
    let names = loaded.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(" and ");
    if loaded.is_empty() {
        let where_to = match layout.modules {
            ModuleSwitch::LinkFarm => "mods-enabled has none",
            _ => "no LoadModule line names one",
        };
        return Some((names, format!("no MPM is loaded, {where_to}: httpd does not start")));
    }
    let lines: Vec<String> = configuration
        .modules
        .iter()
        .filter(|module| Mpm::of_module(&module.identifier).is_some())
        .filter_map(|module| module.loaded_at)
        .map(|(file, line)| format!("{}:{line}", configuration.path(file).display()))
        .collect();
    let at = if lines.is_empty() { String::new() } else { format!(" ({})", lines.join(", ")) };
    let message =
        format!("more than one MPM is loaded: {names}{at}; httpd needs exactly one and does not start");
    Some((names, message))
}

pub(crate) static MPM_002: Rule = Rule {
    id: "MPM-002",
    severity: Severity::Info,
    setting: "mpm",
    summary: "the same MPM is loaded twice; httpd skips the second line",
    source: "httpd 2.4 modules/core/mod_so.c, load_module; AH01574",
    check: Check::View(mpm_loaded_twice),
    ..Rule::NEW
};

fn mpm_loaded_twice(view: &View<'_>, out: &mut Reporter<'_>) {
    for note in view.notes(NoteKind::LoadedTwice).filter(|note| note.text.contains("mpm_")) {
        out.about("mpm").value(&note.text).code("AH01574").emit(
            format!(
                "{} is loaded a second time at {}; httpd skips that line",
                note.text,
                view.noted_at(note)
            ),
            "remove one of the LoadModule lines",
        );
    }
}

pub(crate) static MPM_003: Rule = Rule {
    id: "MPM-003",
    severity: Severity::Error,
    setting: "mpm",
    summary: "another MPM is running; a reload stops the server (a warning where activation is deferred)",
    source: "httpd 2.4 server/mpm_common.c, ap_check_mpm; AH00534",
    why: "A reload reads the configuration into the running parent, which cannot exchange its MPM: it ends, and with \
         it every connection. Logrotate and certificate renewal reload at night.",
    remedy: "Stop and start httpd. `activation: auto` does.",
    after_change: true,
    check: Check::View(another_mpm_runs),
    ..Rule::NEW
};

fn another_mpm_runs(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(running) = view.running.and_then(|running| running.mpm).filter(|mpm| *mpm != view.mpm) else {
        return;
    };
    let message = format!(
        "{running} is running and {} is configured: at the next reload, such as by logrotate, the server ends",
        view.mpm
    );
    let hint = BY_RESTART;
    if view.need == Need::Reload {
        out.about("mpm").value(view.mpm).effective(running).code("AH00534").emit(message, hint);
    } else if view.params.activation == ActivationMode::Defer || view.audit {
        let draft = out.about("mpm").value(view.mpm).effective(running).code("AH00534");
        draft.at_most(Severity::Warning).emit(message, hint);
    }
}

pub(crate) static MPM_004: Rule = Rule {
    id: "MPM-004",
    severity: Severity::Error,
    setting: "settings",
    summary: "a directive that the MPM does not know; httpd refuses it as an invalid command",
    source: "httpd 2.4 server/mpm/*/*.c, command tables; AH00526",
    check: Check::View(directive_of_another_mpm),
    ..Rule::NEW
};

fn directive_of_another_mpm(view: &View<'_>, out: &mut Reporter<'_>) {
    for refusal in &view.normal.refusals {
        let Some(row) = view.row(refusal.directive) else { continue };
        if row.mpms.contains(&view.mpm) || row.name == "AsyncRequestWorkerFactor" {
            continue;
        }
        let wanted = of_mpms(row);
        out.on(view, row.name).fatal().value(view.text(row.name).unwrap_or_default()).code("AH00526").emit(
            format!("{} is a directive of {wanted}; under {} httpd does not start", row.name, view.mpm),
            format!("leave {} out, or set mpm to {wanted}", view.name(row.name)),
        );
    }
    // Lines that stand outside any guard were those of the MPM that goes.
    for line in view.after.lines.iter().filter(|line| line.scope == Scope::Main) {
        let Some(row) = view.row(line.directive).filter(|row| row.group == Group::MPM) else { continue };
        if !is_bare(view, row) {
            continue;
        }
        let wanted = of_mpms(row);
        let guard = row.mpms.first().map_or("", |mpm| mpm.module());
        out.about(row.name).value(line.words.join(" ")).code("AH00526").emit(
            format!(
                "{} at {} is a directive of {wanted}, {} does not know it: httpd does not start",
                line.written,
                view.on_disk(line),
                view.mpm
            ),
            format!("give settings, which takes these lines over, or put them into <IfModule {guard}>"),
        );
    }
}

/// Tells whether a line of a directive is one of another MPM that nobody takes over, and nothing else tells of it.
pub(super) fn is_bare(view: &View<'_>, row: &Directive) -> bool {
    row.group == Group::MPM
        && !view.blocked
        && !view.manages(Group::MPM)
        && view.after.mpms().len() == 1
        && !row.mpms.contains(&view.mpm)
        && row.name != "AsyncRequestWorkerFactor"
        && !view.normal.refusals.iter().any(|told| told.directive == row.name)
}

/// Returns the names of the MPMs that know a directive.
fn of_mpms(row: &Directive) -> String {
    row.mpms.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(" or ")
}

pub(crate) static MPM_005: Rule = Rule {
    id: "MPM-005",
    severity: Severity::Error,
    setting: "settings",
    summary: "a directive for the whole server inside a virtual host or section; httpd refuses it",
    source: "httpd 2.4 server/core.c, ap_check_cmd_context; AH00526",
    why: "Sizes belong to the whole server. httpd refuses them in a virtual host, a directory or a location.",
    remedy: "Move the line out of the section.",
    example: "<VirtualHost *:80>\n    MaxRequestWorkers 150\n</VirtualHost>",
    instead: "MaxRequestWorkers 150",
    check: Check::View(mpm_directive_in_section),
    ..Rule::NEW
};

fn mpm_directive_in_section(view: &View<'_>, out: &mut Reporter<'_>) {
    for note in view.notes(NoteKind::WrongContext) {
        out.about(&note.text).code("AH00526").emit(
            format!(
                "{} at {} is inside a section, but counts for the whole server: httpd does not start",
                note.text,
                view.noted_at(note)
            ),
            "move the line out of the section, or remove it",
        );
    }
}

/// A guard that hides lines: they are dead wherever they stand, so a task that writes living ones may go on.
pub(super) fn dead_guard(view: &View<'_>, out: &mut Reporter<'_>, kind: NoteKind, alive: &str) {
    for note in view.notes(kind) {
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about(&note.text).at_most(cap).value(&note.text).emit(
            format!("the block {} at {} is never read: its guard is false", note.text, view.noted_at(note)),
            format!("write {alive}, or remove the block"),
        );
    }
}

pub(crate) static MPM_006: Rule = Rule {
    id: "MPM-006",
    severity: Severity::Error,
    setting: "settings",
    summary: "MPM directives in a guard that is never true, such as <IfModule mpm_event.c>; the block is \
         skipped",
    source: "httpd 2.4 server/core.c, start_ifmod",
    why: "A guard names a module by its identifier or its source file. A name that no module has is false, and httpd \
         skips the block with no message.",
    remedy: "Name the identifier: mpm_event_module, mpm_worker_module or mpm_prefork_module.",
    example: "<IfModule mpm_event.c>\n    MaxRequestWorkers 150\n</IfModule>",
    instead: "<IfModule mpm_event_module>\n    MaxRequestWorkers 150\n</IfModule>",
    check: Check::View(mpm_block_never_read),
    ..Rule::NEW
};

fn mpm_block_never_read(view: &View<'_>, out: &mut Reporter<'_>) {
    let alive = format!("<IfModule {}> or <IfModule {}>", view.mpm.module(), view.mpm.source_file());
    dead_guard(view, out, NoteKind::DeadMpmGuard, &alive);
}

pub(crate) static MPM_007: Rule = Rule {
    id: "MPM-007",
    severity: Severity::Warning,
    setting: "settings",
    summary: "set twice with different values, under either name; the last line counts silently",
    source: "httpd 2.4 server/config.c, ap_walk_config",
    check: Check::View(set_twice),
    ..Rule::NEW
};

fn set_twice(view: &View<'_>, out: &mut Reporter<'_>) {
    for (directive, lines) in &view.main {
        let Some(row) = view.row(directive).filter(|row| row.group == Group::MPM) else { continue };
        let (Some(last), Some(first)) = (
            lines.last(),
            lines
                .iter()
                .rev()
                .skip(1)
                .find(|line| line.words.first() != lines.last().and_then(|last| last.words.first())),
        ) else {
            continue;
        };
        // Winning over the distribution's lines is what the drop-in is for.
        if view.after.path(last.file).file_name() == std::path::Path::new(view.layout.drop_in).file_name() {
            continue;
        }
        let (old, new) = (first.words.first(), last.words.first());
        let text = |word: Option<&String>| word.cloned().unwrap_or_default();
        out.on(view, row.name).value(text(old)).effective(text(new)).emit(
            format!(
                "{} {}{} is followed by {} {}{}: the last one counts",
                first.written,
                text(old),
                view.at(Some(first)),
                last.written,
                text(new),
                view.at(Some(last))
            ),
            "remove one of the two lines",
        );
    }
}

pub(crate) static MPM_008: Rule = Rule {
    id: "MPM-008",
    severity: Severity::Info,
    setting: "MaxClients, MaxRequestsPerChild",
    summary: "the old name of a directive",
    source: "httpd 2.4 server/mpm/*/*.c; AH00521, AH00324, AH00188, AH00545",
    why: "httpd 2.4 still reads the old name, and writes a notice at each start.",
    remedy: "Write the new name.",
    example: "MaxClients 150",
    instead: "MaxRequestWorkers 150",
    check: Check::View(old_directive_name),
    ..Rule::NEW
};

fn old_directive_name(view: &View<'_>, out: &mut Reporter<'_>) {
    let aliased = |line: &&Line| !line.written.eq_ignore_ascii_case(line.directive);
    for line in view.after.lines.iter().filter(aliased) {
        let alias = view.row(line.directive).and_then(|row| row.alias);
        if let Some(alias) = alias.filter(|alias| alias.eq_ignore_ascii_case(&line.written)) {
            let code = match (alias, view.mpm) {
                ("MaxClients", Mpm::Event) => "AH00521",
                ("MaxClients", Mpm::Worker) => "AH00324",
                ("MaxClients", Mpm::Prefork) => "AH00188",
                _ => "AH00545",
            };
            out.about(line.directive).value(alias).effective(line.directive).code(code).emit(
                format!("{alias}{} is the old name of {}", view.at(Some(line)), line.directive),
                format!("write {}", line.directive),
            );
        }
    }
}
