//! httpd's configuration language: what reading came across, and what cannot be written in it.

use super::{Found, View};
use crate::httpd::directives::Parser;
use crate::httpd::read::{Line, Note, NoteKind};
use crate::report::Severity;

/// Says one finding for each note of a kind. A note is about a line that stands, so unless httpd does not start
/// with it, it weighs in full only in a report.
fn noted(
    view: &View<'_>,
    out: &mut Found<'_>,
    kind: NoteKind,
    fatal: bool,
    message: impl Fn(&Note, &str) -> String,
    hint: &str,
) {
    for note in view.notes(kind) {
        let cap = if fatal || view.audit { Severity::Error } else { Severity::Warning };
        let at = view.noted_at(note);
        out.about(&at).at_most(cap).value(&note.text).say(message(note, &at), hint);
    }
}

pub(super) fn grm_001(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!(
            "`{}` at {at} has a comment after its value, which httpd takes for arguments and refuses",
            note.text
        )
    };
    noted(view, out, NoteKind::TrailingComment, true, message, "put the comment on a line of its own");
}

pub(super) fn grm_002(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!("`{}` at {at} has # glued to its number: httpd cuts the value off there", note.text)
    };
    noted(view, out, NoteKind::GluedComment, false, message, "put the comment on a line of its own");
}

pub(super) fn grm_003(view: &View<'_>, out: &mut Found<'_>) {
    let message =
        |_: &Note, at: &str| format!("the comment at {at} ends in a backslash and swallows the next line");
    noted(view, out, NoteKind::SwallowingComment, false, message, "remove the backslash");
}

pub(super) fn grm_004(view: &View<'_>, out: &mut Found<'_>) {
    for note in view.notes(NoteKind::UndefinedVariable) {
        let at = view.noted_at(note);
        if let Some((file, construct)) =
            view.host.shell.iter().find(|(_, construct)| mentions(&construct.text, &note.text))
        {
            out.about(&at).at_most(Severity::Warning).value(&note.text).say(
                format!(
                    "{} at {at} may be set by shell that was not followed ({}:{}): its value is not known here",
                    note.text,
                    file.display(),
                    construct.line
                ),
                "set it there by a plain export NAME=value line, or write the value itself",
            );
            continue;
        }
        let cap = if view.audit { Severity::Error } else { Severity::Warning };
        out.about(&at).at_most(cap).value(&note.text).code("AH00111").say(
            format!(
                "{} at {at} is not defined: httpd keeps the text as it is, and reads a number as 0",
                note.text
            ),
            "define the variable before that line, or write the value",
        );
    }
}

pub(super) fn grm_005(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} comes before its module is loaded: the block is skipped", note.text)
    };
    noted(view, out, NoteKind::GuardBeforeLoad, false, message, "move the LoadModule line before the block");
}

pub(super) fn grm_006(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!(
            "{} at {at} differs from the name that is meant by its case only: the block is skipped",
            note.text
        )
    };
    noted(view, out, NoteKind::GuardCase, false, message, "write the name in its own case");
}

pub(super) fn grm_007(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} is never closed; the end of the file closes it", note.text)
    };
    noted(view, out, NoteKind::UnclosedSection, false, message, "close the section");
}

pub(super) fn grm_008(view: &View<'_>, out: &mut Found<'_>) {
    let message =
        |note: &Note, at: &str| format!("{} at {at} does not exist: httpd does not start", note.text);
    noted(view, out, NoteKind::MissingInclude, true, message, "correct the path, or use IncludeOptional");
}

pub(super) fn grm_009(view: &View<'_>, out: &mut Found<'_>) {
    let message = |note: &Note, at: &str| {
        format!("{} at {at} also reads backup or hidden files of that directory", note.text)
    };
    noted(view, out, NoteKind::StrayFilesIncluded, false, message, "include *.conf of the directory");
}

pub(super) fn grm_010(view: &View<'_>, out: &mut Found<'_>) {
    if view.audit {
        let message = |note: &Note, at: &str| format!("{} at {at} matches nothing", note.text);
        noted(view, out, NoteKind::EmptyInclude, false, message, "nothing to do, if that is meant");
    }
}

pub(super) fn grm_011(view: &View<'_>, out: &mut Found<'_>) {
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

pub(super) fn grm_012(view: &View<'_>, out: &mut Found<'_>) {
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

pub(super) fn grm_013(view: &View<'_>, out: &mut Found<'_>) {
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

pub(super) fn grm_014(view: &View<'_>, out: &mut Found<'_>) {
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

pub(super) fn grm_015(view: &View<'_>, out: &mut Found<'_>) {
    let mut look = |path: String, value: &str, why: Option<&str>| {
        if let Some(why) = why {
            out.about(&path).value(value.escape_debug()).say(
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

pub(super) fn grm_016(view: &View<'_>, out: &mut Found<'_>) {
    for error in &view.after.errors {
        let told = view.after.notes.iter().any(|note| {
            FATAL_NOTES.contains(&note.kind)
                && note.line == error.line
                && view.after.path(note.file) == error.file
        });
        if told {
            continue;
        }
        // What stood before is for httpd's own test to judge, where that runs.
        let old = view.before.errors.contains(error) && view.params.config_test && !view.audit;
        let cap = if old { Severity::Warning } else { Severity::Error };
        let at = format!("{}:{}", error.file.display(), error.line);
        out.about(&at)
            .at_most(cap)
            .say(format!("{at}: {}; httpd does not start", error.message), "correct that line");
    }
}

pub(super) fn grm_017(view: &View<'_>, out: &mut Found<'_>) {
    for (file, construct) in view.host.shell {
        let mut unknown =
            view.notes(NoteKind::UndefinedVariable).filter(|note| mentions(&construct.text, &note.text));
        // What httpd's files do not use cannot change what they say.
        let cap = if unknown.next().is_some() { Severity::Warning } else { Severity::Info };
        out.about("envvars").at_most(cap).value(&construct.text).say(
            format!(
                "`{}` at {}:{} is shell that was not followed: what it sets may differ from what is told here",
                construct.text,
                file.display(),
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

pub(super) fn grm_018(view: &View<'_>, out: &mut Found<'_>) {
    let alone = |line: &&Line| line.words.len() == 1 && !line.words[0].is_empty();
    for line in view.after.lines.iter().filter(|line| !alone(line)) {
        let one = view
            .row(line.directive)
            .is_some_and(|row| !matches!(row.parser, Parser::Flag | Parser::Iterate | Parser::Raw));
        // A comment after the value has a rule of its own.
        let comment = line.words.len() > 1 && line.words.iter().any(|word| word.starts_with('#'));
        if one && !comment {
            out.about(line.directive).value(line.words.join(" ")).code("AH00526").say(
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

pub(super) fn tst_001(view: &View<'_>, out: &mut Found<'_>) {
    let codes: Vec<&str> = view.normal.corrections.iter().filter_map(|fix| fix.code).collect();
    if !codes.is_empty() {
        out.about("config_test").value(codes.join(", ")).say(
            format!(
                "httpd -t says Syntax OK to these values and exits 0, though it corrects them ({})",
                codes.join(", ")
            ),
            "nothing to do: the findings above say what to change",
        );
    }
}
