//! httpd's configuration language: what reading came across, and what cannot be written in it.

use super::mpm::is_bare;
use super::{Check, Reporter, Rule, View};
use crate::httpd::directives::Parser;
use crate::httpd::read::{Line, Note, NoteKind, ReadError};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[
    &GRM_001, &GRM_002, &GRM_003, &GRM_004, &GRM_005, &GRM_006, &GRM_007, &GRM_008, &GRM_009, &GRM_010,
    &GRM_011, &GRM_012, &GRM_013, &GRM_014, &GRM_015, &GRM_016, &GRM_017, &GRM_018,
];

/// Says one finding for each note of a kind. A note is about a line that stands, so unless httpd does not start
/// with it, it weighs in full only in a report.
fn noted(
    view: &View<'_>,
    out: &mut Reporter<'_>,
    kind: NoteKind,
    fatal: bool,
    message: impl Fn(&Note, &str) -> String,
    hint: &str,
) {
    for note in view.notes(kind) {
        let cap = if fatal || view.audit { Severity::Error } else { Severity::Warning };
        let at = view.noted_at(note);
        out.about(&at).at_most(cap).value(&note.text).emit(message(note, &at), hint);
    }
}

pub(crate) static GRM_001: Rule = Rule {
    id: "GRM-001",
    severity: Severity::Error,
    setting: "configuration",
    summary: "a comment after the value of a directive with a fixed number of arguments; httpd refuses",
    source: "httpd 2.4 server/config.c, invoke_cmd; AH00526",
    check: Check::View(comment_after_value),
    ..Rule::NEW
};

fn comment_after_value(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!(
            "`{}` at {at} has a comment after its value, which httpd takes for arguments and refuses",
            note.text
        )
    };
    noted(view, out, NoteKind::TrailingComment, true, message, "put the comment on a line of its own");
}

pub(crate) static GRM_002: Rule = Rule {
    id: "GRM-002",
    severity: Severity::Error,
    setting: "configuration",
    summary: "# glued to a number; httpd cuts the value off",
    source: "httpd 2.4 server/config.c; C11 7.22.1.2, atoi",
    check: Check::View(comment_glued_to_number),
    ..Rule::NEW
};

fn comment_glued_to_number(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("`{}` at {at} has # glued to its number: httpd cuts the value off there", note.text)
    };
    noted(view, out, NoteKind::GluedComment, false, message, "put the comment on a line of its own");
}

pub(crate) static GRM_003: Rule = Rule {
    id: "GRM-003",
    severity: Severity::Error,
    setting: "configuration",
    summary: "a comment that ends in a backslash, and the line that it swallows is a directive",
    source: "httpd 2.4 server/util.c, ap_cfg_getline_core",
    check: Check::View(comment_swallows_line),
    ..Rule::NEW
};

fn comment_swallows_line(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("the comment at {at} ends in a backslash and swallows the next line: `{}`", note.text)
    };
    noted(view, out, NoteKind::SwallowingComment, false, message, "remove the backslash");
}

pub(crate) static GRM_004: Rule = Rule {
    id: "GRM-004",
    severity: Severity::Error,
    setting: "configuration",
    summary: "an undefined variable; its text is kept, and a number is 0",
    source: "httpd 2.4 server/core.c, ap_resolve_env; AH00111",
    check: Check::View(undefined_variable),
    ..Rule::NEW
};

fn undefined_variable(view: &View<'_>, out: &mut Reporter<'_>) {
    for note in view.notes(NoteKind::UnknownVariable) {
        let at = view.noted_at(note);
        match view.host.shell.iter().find(|construct| mentions(&construct.text, &note.text)) {
            Some(construct) => out.about(&at).at_most(Severity::Warning).value(&note.text).emit(
                format!(
                    "{} at {at} may be set by shell that was not followed ({}:{}): its value is not known here",
                    note.text,
                    construct.file.display(),
                    construct.line
                ),
                "set it there by a plain export NAME=value line, or write the value itself",
            ),
            None => out.about(&at).at_most(Severity::Info).value(&note.text).emit(
                format!("{} at {at} is given when the server is started: its value is not known here", note.text),
                "run this where the server has been started, or write the value itself",
            ),
        }
    }
    for note in view.notes(NoteKind::UndefinedVariable) {
        let at = view.noted_at(note);
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about(&at).at_most(cap).value(&note.text).code("AH00111").emit(
            format!(
                "{} at {at} is not defined: httpd keeps the text as it is, and reads a number as 0",
                note.text
            ),
            "define the variable before that line, or write the value",
        );
    }
}

pub(crate) static GRM_005: Rule = Rule {
    id: "GRM-005",
    severity: Severity::Warning,
    setting: "configuration",
    summary: "a guard before its module is loaded; the block is skipped",
    source: "httpd 2.4 server/core.c, start_ifmod",
    check: Check::View(guard_before_module),
    ..Rule::NEW
};

fn guard_before_module(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} comes before its module is loaded: the block is skipped", note.text)
    };
    noted(view, out, NoteKind::GuardBeforeLoad, false, message, "move the LoadModule line before the block");
}

pub(crate) static GRM_006: Rule = Rule {
    id: "GRM-006",
    severity: Severity::Warning,
    setting: "configuration",
    summary: "a guard that differs from the name by its case only; the block is skipped",
    source: "httpd 2.4 server/core.c, start_ifmod and start_ifdefine",
    check: Check::View(guard_in_wrong_case),
    ..Rule::NEW
};

fn guard_in_wrong_case(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} differs from an existing name by its case only: the block is skipped", note.text)
    };
    noted(view, out, NoteKind::GuardCase, false, message, "write the name in its own case");
}

pub(crate) static GRM_007: Rule = Rule {
    id: "GRM-007",
    severity: Severity::Warning,
    setting: "configuration",
    summary: "a true conditional block that its file never closes",
    source: "httpd 2.4 server/config.c, ap_build_config",
    check: Check::View(section_not_closed),
    ..Rule::NEW
};

fn section_not_closed(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} is never closed; the end of the file closes it", note.text)
    };
    noted(view, out, NoteKind::UnclosedSection, false, message, "close the section");
}

pub(crate) static GRM_008: Rule = Rule {
    id: "GRM-008",
    severity: Severity::Error,
    setting: "configuration",
    summary: "an include of something missing; httpd refuses",
    source: "httpd 2.4 server/config.c, ap_process_fnmatch_configs",
    check: Check::View(include_missing),
    ..Rule::NEW
};

fn include_missing(view: &View<'_>, out: &mut Reporter<'_>) {
    let message =
        |note: &Note, at: &str| format!("{} at {at} does not exist: httpd does not start", note.text);
    noted(view, out, NoteKind::MissingInclude, true, message, "correct the path, or use IncludeOptional");
}

pub(crate) static GRM_009: Rule = Rule {
    id: "GRM-009",
    severity: Severity::Warning,
    setting: "configuration",
    summary: "an included directory with backup or hidden files, which are read too",
    source: "httpd 2.4 server/config.c, ap_process_resource_config",
    check: Check::View(backup_files_included),
    ..Rule::NEW
};

fn backup_files_included(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} also reads backup or hidden files of that directory", note.text)
    };
    noted(view, out, NoteKind::StrayFilesIncluded, false, message, "include *.conf of the directory");
}

pub(crate) static GRM_010: Rule = Rule {
    id: "GRM-010",
    severity: Severity::Info,
    setting: "configuration",
    summary: "IncludeOptional that matches nothing (in reports only)",
    source: "httpd 2.4 server/config.c, ap_process_fnmatch_configs",
    check: Check::View(include_matches_nothing),
    ..Rule::NEW
};

fn include_matches_nothing(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.audit {
        let message = |note: &Note, at: &str| format!("{} at {at} matches nothing", note.text);
        noted(view, out, NoteKind::EmptyInclude, false, message, "ignore this if it is intended");
    }
}

pub(crate) static GRM_011: Rule = Rule {
    id: "GRM-011",
    severity: Severity::Error,
    setting: "configuration",
    summary: "line ends of CR alone, a byte order mark, or a no-break space",
    source: "httpd 2.4 server/util.c, ap_cfg_getline_core",
    check: Check::View(stray_bytes),
    ..Rule::NEW
};

fn stray_bytes(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        let what = if note.text.contains('\u{feff}') {
            format!("a byte order mark (`{}`)", note.text.replace('\u{feff}', ""))
        } else if note.text.contains('\u{a0}') {
            format!("a no-break space (`{}`)", note.text.replace('\u{a0}', " "))
        } else {
            note.text.clone()
        };
        format!("{at} has {what}: httpd refuses the line or reads several as one")
    };
    noted(view, out, NoteKind::StrayBytes, false, message, "save the file as plain text with line feeds");
}

pub(crate) static GRM_012: Rule = Rule {
    id: "GRM-012",
    severity: Severity::Error,
    setting: "configuration",
    summary: "a relative include that exists beside the including file, but not under ServerRoot",
    source: "httpd 2.4 server/config.c, ap_server_root_relative",
    check: Check::View(include_of_wrong_base),
    ..Rule::NEW
};

fn include_of_wrong_base(view: &View<'_>, out: &mut Reporter<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} is looked for under ServerRoot, not beside the file that includes it", note.text)
    };
    noted(
        view,
        out,
        NoteKind::WrongBase,
        false,
        message,
        "write the path from ServerRoot on, or the absolute one",
    );
}

pub(crate) static GRM_013: Rule = Rule {
    id: "GRM-013",
    severity: Severity::Info,
    setting: "configuration",
    summary: "numbered files of different length; 10- is read before 9- (in reports only)",
    source: "httpd 2.4 server/config.c, fname_alphasort",
    check: Check::View(numbered_files_of_different_length),
    ..Rule::NEW
};

fn numbered_files_of_different_length(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.audit {
        let message = |note: &Note, at: &str| {
            format!("{} at {at} has numbered files that httpd reads in byte order: 10- before 9-", note.text)
        };
        noted(
            view,
            out,
            NoteKind::NumericOrder,
            false,
            message,
            "give the numbers the same length: 09-, 10-",
        );
    }
}

pub(crate) static GRM_014: Rule = Rule {
    id: "GRM-014",
    severity: Severity::Info,
    setting: "configuration",
    summary: "macros are used; their lines were followed (in reports only)",
    source: "httpd 2.4 modules/core/mod_macro.c",
    check: Check::View(macro_used),
    ..Rule::NEW
};

fn macro_used(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.audit {
        let message = |note: &Note, at: &str| {
            format!("{} at {at} is a macro; its lines were followed where it is used", note.text)
        };
        noted(
            view,
            out,
            NoteKind::Macro,
            false,
            message,
            "compare with httpd -t -D DUMP_CONFIG, if in doubt",
        );
    }
}

/// Tells what keeps a value from being one argument of one directive.
fn unwritable(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        Some("is empty")
    } else if value.chars().any(char::is_control) {
        Some("has a control character, such as a line end")
    } else if value.contains("${") {
        Some("has ${, which httpd would replace by a variable")
    } else {
        None
    }
}

pub(crate) static GRM_015: Rule = Rule {
    id: "GRM-015",
    severity: Severity::Error,
    setting: "parameters",
    summary: "a text that cannot be written as one argument of one directive",
    source: "httpd 2.4 server/util.c, ap_getword_conf; server/core.c, ap_resolve_env",
    check: Check::View(parameter_not_one_argument),
    ..Rule::NEW
};

fn parameter_not_one_argument(view: &View<'_>, out: &mut Reporter<'_>) {
    let mut look = |path: String, value: &str, why: Option<&str>| {
        if let Some(why) = why {
            out.about(&path).value(value.escape_debug()).emit(
                format!("{path} {why}: it cannot be written as one directive"),
                "write it without, or put a command into a script of its own",
            );
        }
    };
    for (feature, group) in view.params.groups.iter() {
        for (key, words) in group.given() {
            let rows = || feature.owned().filter(|row| row.key == key);
            // A duration and an address are one word each; a command or a directory may have blanks.
            let one_word = rows().any(|row| matches!(row.parser, Parser::Duration | Parser::Iterate));
            let list = rows().any(|row| row.parser == Parser::Iterate);
            for (index, word) in words.iter().enumerate() {
                let blank = (one_word && word.contains(char::is_whitespace)).then_some("has a blank");
                let path = if list {
                    format!("{}.{key}[{index}]", feature.name)
                } else {
                    format!("{}.{key}", feature.name)
                };
                look(path, word, unwritable(word).or(blank));
            }
        }
    }
}

/// Notes whose own rules already say that httpd does not start.
const FATAL_NOTES: [NoteKind; 4] =
    [NoteKind::TrailingComment, NoteKind::MissingInclude, NoteKind::WrongContext, NoteKind::StrayBytes];

pub(crate) static GRM_016: Rule = Rule {
    id: "GRM-016",
    severity: Severity::Error,
    setting: "configuration",
    summary: "a line that httpd would refuse (a warning where it was before and httpd's own test decides)",
    source: "httpd 2.4 server/config.c, ap_build_config",
    check: Check::View(line_refused),
    ..Rule::NEW
};

fn line_refused(view: &View<'_>, out: &mut Reporter<'_>) {
    for error in &view.after.errors {
        let told = view.after.notes.iter().any(|note| {
            FATAL_NOTES.contains(&note.kind)
                && note.line == error.line
                && view.after.path(note.file) == error.file
        });
        // Without one MPM that is told by itself; so is a line of another one.
        let about_mpm = error.line == 0 && view.after.mpms().len() != 1;
        let bare = view.after.lines.iter().any(|line| {
            line.line == error.line
                && view.after.path(line.file) == error.file
                && view.row(line.directive).is_some_and(|row| is_bare(view, row))
        });
        if told || about_mpm || bare {
            continue;
        }
        // What was there before is for httpd's own test to judge, where that runs.
        let old =
            view.before.errors.iter().any(|other| other.message == error.message && other.file == error.file)
                && view.params.config_test
                && !view.audit;
        let cap = if old { Severity::Warning } else { Severity::Error };
        // A line that the change only moves is told where it stands.
        let same = |other: &&ReadError| other.message == error.message && other.file == error.file;
        let line = view.before.errors.iter().find(same).map_or(error.line, |found| found.line);
        let at = format!("{}:{line}", error.file.display());
        out.about(&at)
            .at_most(cap)
            .emit(format!("{at}: {}; httpd does not start", error.message), "correct that line");
    }
}

pub(crate) static GRM_017: Rule = Rule {
    id: "GRM-017",
    severity: Severity::Warning,
    setting: "envvars",
    summary: "shell in the start script's variables that was not followed",
    source: "Debian apache2ctl, envvars",
    check: Check::View(shell_not_followed),
    ..Rule::NEW
};

fn shell_not_followed(view: &View<'_>, out: &mut Reporter<'_>) {
    for construct in view.host.shell {
        let mut unknown =
            view.notes(NoteKind::UnknownVariable).filter(|note| mentions(&construct.text, &note.text));
        // What httpd's files do not use cannot change what they say.
        let cap = if unknown.next().is_some() { Severity::Warning } else { Severity::Info };
        out.about("envvars").at_most(cap).value(&construct.text).emit(
            format!(
                "`{}` at {}:{} is shell that this tool does not evaluate: values that depend on it may differ",
                construct.text,
                construct.file.display(),
                construct.line
            ),
            "write plain export NAME=value lines",
        );
    }
}

/// Tells whether a variable's name stands in a text as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    !name.is_empty()
        && text
            .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .any(|word| word == name)
}

pub(crate) static GRM_018: Rule = Rule {
    id: "GRM-018",
    severity: Severity::Error,
    setting: "configuration",
    summary: "no value, an empty one or several for a directive that takes one; httpd refuses",
    source: "httpd 2.4 server/config.c, invoke_cmd, TAKE1; AH00526",
    check: Check::View(not_one_argument),
    ..Rule::NEW
};

fn not_one_argument(view: &View<'_>, out: &mut Reporter<'_>) {
    let alone = |line: &&Line| line.words.len() == 1 && !line.words[0].is_empty();
    for line in view.after.lines.iter().filter(|line| !alone(line)) {
        let one = view
            .row(line.directive)
            .is_some_and(|row| !matches!(row.parser, Parser::Flag | Parser::Iterate | Parser::Raw));
        // A comment after the value has a rule of its own.
        let comment = line.words.len() > 1 && line.words.iter().any(|word| word.starts_with('#'));
        if one && !comment {
            out.about(line.directive).value(line.words.join(" ")).code("AH00526").emit(
                format!(
                    "{}{} takes one argument that is not empty: httpd does not start",
                    line.directive,
                    view.at(Some(line))
                ),
                "write one value, in quotes if it has blanks",
            );
        }
    }
}
