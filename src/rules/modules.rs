//! Modules: which MPM, what it knows, and what stands beside it.

use super::{BY_RESTART, Found, View};
use crate::distro::ModuleSwitch;
use crate::httpd::directives::Group;
use crate::httpd::numbers;
use crate::httpd::read::{Configuration, Line, NoteKind};
use crate::httpd::{Mpm, Version};
use crate::params::{ActivationMode, ModPhp, Php, State};
use crate::report::{Need, Severity};

pub(super) fn mpm_001(view: &View<'_>, out: &mut Found<'_>) {
    let loaded = view.after.mpms();
    if loaded.len() == 1 {
        return;
    }
    let names = loaded.iter().map(|mpm| mpm.name()).collect::<Vec<_>>().join(" and ");
    let what = if loaded.is_empty() { "no MPM is loaded".to_owned() } else { format!("{names} are loaded") };
    out.about("mpm").value(&names).code("AH00534").say(
        format!("{what} after the change: httpd needs exactly one and does not start"),
        format!("set mpm to {}, which turns the others off", view.mpm),
    );
}

pub(super) fn mpm_002(view: &View<'_>, out: &mut Found<'_>) {
    for note in view.notes(NoteKind::LoadedTwice).filter(|note| note.text.contains("mpm_")) {
        out.about("mpm").value(&note.text).code("AH01574").say(
            format!(
                "{} is loaded a second time at {}; httpd skips that line",
                note.text,
                view.noted_at(note)
            ),
            "remove one of the LoadModule lines",
        );
    }
}

pub(super) fn mpm_003(view: &View<'_>, out: &mut Found<'_>) {
    let Some(running) = view.running.and_then(|running| running.mpm).filter(|mpm| *mpm != view.mpm) else {
        return;
    };
    let message = format!(
        "{running} is running and {} is configured: at the next reload, such as by logrotate, the server ends",
        view.mpm
    );
    let hint = BY_RESTART;
    if view.need == Need::Reload {
        out.about("mpm").value(view.mpm).effective(running).code("AH00534").say(message, hint);
    } else if view.params.activation == ActivationMode::Defer || view.audit {
        let draft = out.about("mpm").value(view.mpm).effective(running).code("AH00534");
        draft.at_most(Severity::Warning).say(message, hint);
    }
}

pub(super) fn mpm_004(view: &View<'_>, out: &mut Found<'_>) {
    for refusal in &view.normal.refusals {
        let Some(row) = view.row(refusal.directive) else { continue };
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

pub(super) fn mpm_005(view: &View<'_>, out: &mut Found<'_>) {
    for note in view.notes(NoteKind::WrongContext) {
        out.about(&note.text).code("AH00526").say(
            format!(
                "{} at {} stands inside a section, but counts for the whole server: httpd does not start",
                note.text,
                view.noted_at(note)
            ),
            "move the line out of the section, or remove it",
        );
    }
}

/// A guard that hides lines: they are dead wherever they stand, so a task that writes living ones may go on.
pub(super) fn dead_guard(view: &View<'_>, out: &mut Found<'_>, kind: NoteKind, alive: &str) {
    for note in view.notes(kind) {
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about(&note.text).at_most(cap).value(&note.text).say(
            format!("the block {} at {} is never read: its guard is false", note.text, view.noted_at(note)),
            format!("write {alive}, or remove the block"),
        );
    }
}

pub(super) fn mpm_006(view: &View<'_>, out: &mut Found<'_>) {
    let alive = format!("<IfModule {}> or <IfModule {}>", view.mpm.module(), view.mpm.source_file());
    dead_guard(view, out, NoteKind::DeadMpmGuard, &alive);
}

pub(super) fn mpm_007(view: &View<'_>, out: &mut Found<'_>) {
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
        out.on(view, row.name).value(text(old)).effective(text(new)).say(
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

pub(super) fn mpm_008(view: &View<'_>, out: &mut Found<'_>) {
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
            out.about(line.directive).value(alias).effective(line.directive).code(code).say(
                format!("{alias}{} is the old name of {}", view.at(Some(line)), line.directive),
                format!("write {}", line.directive),
            );
        }
    }
}

/// Returns a number of mod_http2 as it reads it, from the main server.
fn h2(view: &View<'_>, directive: &str) -> Option<i64> {
    view.standing(directive).map(|text| numbers::strtol(text, 10).value)
}

pub(super) fn h2_001(view: &View<'_>, out: &mut Found<'_>) {
    if view.has("http2_module") {
        out.about("mpm").value(view.mpm).code("AH10034").say(
            "mod_http2 is loaded under prefork, which it does not support: browsers get HTTP/1.1, while h2c with \
             prior knowledge stays on",
            "set mpm to event, or turn mod_http2 off",
        );
    }
}

pub(super) fn h2_002(view: &View<'_>, out: &mut Found<'_>) {
    if !view.has("http2_module") {
        return;
    }
    let threads = view.normal.sizes.threads;
    let (most, least) = (h2(view, "H2MaxWorkers"), h2(view, "H2MinWorkers"));
    if let Some(most) = most.filter(|most| *most > 0 && *most < least.unwrap_or(threads)) {
        let cap = if view.remarks(Group::MPM) { Severity::Error } else { Severity::Warning };
        let beside = least.map_or_else(
            || format!("ThreadsPerChild {threads}, the default of H2MinWorkers"),
            |least| format!("H2MinWorkers {least}"),
        );
        out.about("H2MaxWorkers").at_most(cap).value(most).code("AH02911").say(
            format!(
                "H2MaxWorkers {most}{} is below {beside}: every HTTP/2 request fails",
                view.at(view.line("H2MaxWorkers"))
            ),
            format!("set H2MaxWorkers to {} or more, or remove the line", least.unwrap_or(threads)),
        );
    }
}

pub(super) fn h2_003(view: &View<'_>, out: &mut Found<'_>) {
    if view.has("http2_module") && view.remarks(Group::MPM) {
        let extra = h2(view, "H2MinWorkers").unwrap_or(view.normal.sizes.threads);
        out.about("H2MinWorkers").value(extra).say(
            format!(
                "mod_http2 starts {extra} threads more in each of {} processes; count them in memory and tasks",
                view.normal.sizes.processes
            ),
            "set H2MinWorkers lower where HTTP/2 is little used",
        );
    }
}

pub(super) fn h2_004(view: &View<'_>, out: &mut Found<'_>) {
    for line in &view.after.lines {
        let least = match line.directive {
            "H2MinWorkers" | "H2MaxWorkers" | "H2MaxSessionStreams" => 1,
            "H2WindowSize" | "H2StreamMaxMemSize" => 1024,
            _ => continue,
        };
        let text = line.words.first().map_or("", String::as_str);
        // The upper half of the number is lost when httpd keeps it in 32 bits.
        #[allow(clippy::cast_possible_truncation)]
        let value = numbers::strtol(text, 10).value as i32;
        if value < least {
            out.about(line.directive).value(text).code("AH00526").say(
                format!(
                    "{} {text}{} is below {least}: httpd does not start",
                    line.directive,
                    view.at(Some(line))
                ),
                format!("set it to {least} or more"),
            );
        }
    }
}

pub(super) fn php_001(view: &View<'_>, out: &mut Found<'_>) {
    for module in &view.after.modules {
        let php = module.identifier.strip_prefix("php").is_some_and(|rest| {
            rest.strip_suffix("_module").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        });
        // Fedora's and RHEL's thread-safe build carries the name of PHP's own option.
        if php && !module.path.contains("zts") {
            let line = module.loaded_at.map(|(file, line)| (view.after.path(file).display(), line));
            let way = match (view.layout.modules, line) {
                (ModuleSwitch::LinkFarm, _) => "set mod_php to disable and serve PHP by php-fpm".to_owned(),
                // There nothing is known of how PHP was set up, and its line is somebody's own.
                (ModuleSwitch::Sysconfig { .. }, _) => format!(
                    "take {} out of APACHE_MODULES and serve PHP by php-fpm",
                    module.identifier.trim_end_matches("_module")
                ),
                (_, Some((file, line))) => {
                    format!("comment {file}:{line} out and serve PHP by php-fpm")
                }
                (_, None) => "serve PHP by php-fpm".to_owned(),
            };
            out.about("mpm").value(view.mpm).code("AH00013").say(
                format!(
                    "{} is loaded and is not thread-safe: under {} httpd does not start",
                    module.identifier, view.mpm
                ),
                format!("{way}, or set mpm to prefork"),
            );
        }
    }
}

pub(super) fn php_002(view: &View<'_>, out: &mut Found<'_>) {
    let farm = matches!(view.layout.modules, ModuleSwitch::LinkFarm);
    if farm && view.params.facts.php == Some(Php::ModPhp) {
        out.about("facts.php").value("mod_php").say(
            format!(
                "PHP is to run as mod_php, whose package turns {} off and prefork on when it is installed or upgraded",
                view.mpm
            ),
            "serve PHP by php-fpm, or set mpm to prefork",
        );
    }
}

/// Returns the PHP module that a configuration loads.
fn php_module(configuration: &Configuration) -> Option<&str> {
    configuration.modules.iter().map(|module| module.identifier.as_str()).find(|identifier| {
        identifier
            .strip_prefix("php")
            .and_then(|rest| rest.strip_suffix("_module"))
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

pub(super) fn php_004(view: &View<'_>, out: &mut Found<'_>) {
    // Going back is not a choice of how PHP runs.
    if view.params.state != State::Present {
        return;
    }
    if let (None, Some(module)) = (php_module(view.before), php_module(view.after)) {
        out.about("mpm").value(view.mpm).say(
            format!(
                "under {} the distribution loads {module}: PHP moves from php-fpm into Apache's processes, with \
                 Apache's user and without the limits of php-fpm's pools",
                view.mpm
            ),
            "stay with a threaded MPM, or waive PHP-004 if PHP shall run in Apache",
        );
    }
}

pub(super) fn php_005(view: &View<'_>, out: &mut Found<'_>) {
    if view.params.state != State::Present {
        return;
    }
    let (Some(module), None) = (php_module(view.before), php_module(view.after)) else { return };
    if view.params.mod_php == ModPhp::Disable {
        if view.host.php_fpm == Some(false) {
            out.about("mod_php").value("disable").say(
                format!(
                    "{module} runs PHP now and is not loaded under {}, and no php-fpm is installed in /usr/sbin: \
                     PHP's sources would be sent to whoever asks",
                    view.mpm
                ),
                "install and start php-fpm first; waive PHP-005 if it is elsewhere; or stay with mpm: prefork",
            );
        }
    } else {
        out.about("mod_php").value("refuse").say(
            format!(
                "{module} runs PHP now and is not loaded under {}: php-fpm has to take PHP over",
                view.mpm
            ),
            "install and start php-fpm and set mod_php to disable, or stay with mpm: prefork",
        );
    }
}

pub(super) fn cgi_001(view: &View<'_>, out: &mut Found<'_>) {
    if view.has("cgi_module") && (view.params.mpm.is_some() || view.remarks(Group::MPM)) {
        out.about("mpm").value(view.mpm).say(
            format!("mod_cgi forks a whole process of {} threads for each script", view.normal.sizes.threads),
            "load mod_cgid instead of mod_cgi",
        );
    }
}

pub(super) fn lis_006(view: &View<'_>, out: &mut Found<'_>) {
    let known = Version::v24(66);
    if view.version < known
        && let Some(line) = view.line("ListenTCPDeferAccept")
    {
        out.about("ListenTCPDeferAccept").code("AH00526").say(
            format!(
                "ListenTCPDeferAccept{} is not known before httpd {known}; this is {}",
                view.at(Some(line)),
                view.version
            ),
            "remove the line",
        );
    }
}
