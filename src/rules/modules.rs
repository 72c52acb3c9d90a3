//! Modules beside the MPM, and switching them.

use super::{Check, Reporter, Rule, View, rule};
use crate::httpd::directives::Group;
use crate::httpd::numbers;
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &H2_001, &H2_002, &H2_003, &H2_004, &CGI_001, &MOD_001, &MOD_002, &MOD_003, &MOD_004, &MOD_005, &MOD_006,
    &MOD_007, &MOD_008, &MOD_009, &MOD_010, &PKG_001,
];

/// Returns a number of mod_http2 as it reads it, from the main server.
fn h2(view: &View<'_>, directive: &str) -> Option<i64> {
    view.standing(directive).map(|text| numbers::strtol(text, 10).value)
}

pub(crate) static H2_001: Rule = Rule {
    id: "H2-001",
    severity: Severity::Warning,
    mpms: rule::PREFORK,
    setting: "mpm",
    summary: "mod_http2 under prefork; browsers get HTTP/1.1, h2c with prior knowledge stays on",
    source: "httpd 2.4 modules/http2/mod_http2.c, h2_post_config; AH10034",
    check: Check::View(http2_under_prefork),
    ..Rule::NEW
};

fn http2_under_prefork(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.has("http2_module") {
        out.about("mpm").value(view.mpm).code("AH10034").emit(
            "mod_http2 is loaded under prefork, which it does not support: browsers get HTTP/1.1, while h2c with \
             prior knowledge stays on",
            "set mpm to event, or turn mod_http2 off",
        );
    }
}

pub(crate) static H2_002: Rule = Rule {
    id: "H2-002",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "H2MaxWorkers",
    summary: "below H2MinWorkers, which is ThreadsPerChild by default; every HTTP/2 request fails",
    source: "httpd 2.4 modules/http2/h2_workers.c, h2_workers_create; AH02911",
    check: Check::View(http2_workers_too_few),
    ..Rule::NEW
};

fn http2_workers_too_few(view: &View<'_>, out: &mut Reporter<'_>) {
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
        out.about("H2MaxWorkers").at_most(cap).value(most).code("AH02911").emit(
            format!(
                "H2MaxWorkers {most}{} is below {beside}: every HTTP/2 request fails",
                view.at(view.line("H2MaxWorkers"))
            ),
            format!("set H2MaxWorkers to {} or more, or remove the line", least.unwrap_or(threads)),
        );
    }
}

pub(crate) static H2_003: Rule = Rule {
    id: "H2-003",
    severity: Severity::Info,
    mpms: rule::THREADED,
    setting: "H2MinWorkers",
    summary: "mod_http2 starts that many threads more in each process",
    source: "httpd 2.4 modules/http2/h2_workers.c, h2_workers_create",
    check: Check::View(http2_more_threads),
    ..Rule::NEW
};

fn http2_more_threads(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.has("http2_module") && view.remarks(Group::MPM) {
        let extra = h2(view, "H2MinWorkers").unwrap_or(view.normal.sizes.threads);
        out.about("H2MinWorkers").value(extra).emit(
            format!(
                "mod_http2 starts {extra} threads more in each of {} processes; count them in memory and tasks",
                view.normal.sizes.processes
            ),
            "set H2MinWorkers lower where HTTP/2 is little used",
        );
    }
}

pub(crate) static H2_004: Rule = Rule {
    id: "H2-004",
    severity: Severity::Error,
    setting: "H2MinWorkers, H2MaxWorkers, H2MaxSessionStreams, H2WindowSize, H2StreamMaxMemSize",
    summary: "below 1, or the last two below 1024; httpd refuses",
    source: "httpd 2.4 modules/http2/h2_config.c",
    check: Check::View(http2_number_refused),
    ..Rule::NEW
};

fn http2_number_refused(view: &View<'_>, out: &mut Reporter<'_>) {
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
            out.about(line.directive).value(text).code("AH00526").emit(
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

pub(crate) static CGI_001: Rule = Rule {
    id: "CGI-001",
    severity: Severity::Info,
    mpms: rule::THREADED,
    setting: "mpm",
    summary: "mod_cgi forks a whole threaded process for each script",
    source: "httpd 2.4 docs/manual/mod/mod_cgid",
    check: Check::View(cgi_forks_threaded_process),
    ..Rule::NEW
};

fn cgi_forks_threaded_process(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.has("cgi_module") && (view.params.mpm.is_some() || view.remarks(Group::MPM)) {
        out.about("mpm").value(view.mpm).emit(
            format!("mod_cgi forks a whole process of {} threads for each script", view.normal.sizes.threads),
            "load mod_cgid instead of mod_cgi",
        );
    }
}

pub(crate) static MOD_001: Rule = Rule {
    id: "MOD-001",
    severity: Severity::Error,
    setting: "modules",
    summary: "a module to switch is not installed",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_002: Rule = Rule {
    id: "MOD-002",
    severity: Severity::Error,
    setting: "modules",
    summary: "a link to a module points nowhere",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_003: Rule = Rule {
    id: "MOD-003",
    severity: Severity::Error,
    setting: "modules",
    summary: "a module conflicts with one that stays enabled",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_004: Rule = Rule {
    id: "MOD-004",
    severity: Severity::Error,
    setting: "modules",
    summary: "a module to disable is needed by another",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_005: Rule = Rule {
    id: "MOD-005",
    severity: Severity::Error,
    setting: "modules",
    summary: "a regular file is in the place of a link",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_006: Rule = Rule {
    id: "MOD-006",
    severity: Severity::Error,
    setting: "modules",
    summary: "a link leads elsewhere than a2enmod would make it",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_007: Rule = Rule {
    id: "MOD-007",
    severity: Severity::Error,
    setting: "modules",
    summary: "a module cannot be switched for another reason",
    source: "Debian apache2, a2enmod",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_008: Rule = Rule {
    id: "MOD-008",
    severity: Severity::Warning,
    setting: "state",
    summary: "a file was changed by another program or person since this tool wrote it; it is left as it is",
    source: "this tool's record of what it replaced",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_009: Rule = Rule {
    id: "MOD-009",
    severity: Severity::Error,
    setting: "mpm",
    summary: "an MPM or module is loaded where this tool does not switch it, or by no file that httpd reads",
    source: "httpd 2.4 modules/core/mod_so.c, load_module",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static MOD_010: Rule = Rule {
    id: "MOD-010",
    severity: Severity::Error,
    setting: "mpm",
    summary: "the MPM or module is chosen when Apache is built, not by its configuration",
    source: "Gentoo www-servers/apache, APACHE2_MPMS",
    check: Check::Planned,
    ..Rule::NEW
};

pub(crate) static PKG_001: Rule = Rule {
    id: "PKG-001",
    severity: Severity::Error,
    setting: "a feature's enabled",
    summary: "a module that is to be switched on and that no file of the host loads",
    source: "each family's packages of Apache's modules",
    check: Check::Planned,
    ..Rule::NEW
};
