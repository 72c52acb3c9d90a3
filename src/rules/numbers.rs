//! Numbers as C reads them: what is cut off, missing or wrapped silently.

use super::{Check, Reporter, Rule, View};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::httpd::numbers::{self, Atoi};
use crate::httpd::read::Line;
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&NUM_001, &NUM_002, &NUM_003, &NUM_004];

/// One number as written, and where.
struct Number<'a> {
    row: &'static Directive,
    text: &'a str,
    line: Option<&'a Line>,
}

/// Calls `each` for every number that httpd reads with `atoi` or `strtol`: the judged ones of the MPM, and those of
/// other lines. `Timeout` has rules of its own.
fn each_number<'a>(view: &View<'a>, mut each: impl FnMut(&Number<'a>)) {
    for row in view.after.table.rows() {
        if !matches!(row.parser, Parser::Atoi | Parser::Strtol) || row.name == "Timeout" {
            continue;
        }
        if row.group == Group::MPM {
            if let Some(text) = view.text(row.name) {
                let line = if view.decides(row) { None } else { view.line(row.name) };
                each(&Number { row, text, line });
            }
        } else if let Some(line) = view.line(row.name)
            && let Some(text) = line.words.first()
        {
            each(&Number { row, text, line: Some(line) });
        }
    }
    for line in &view.in_vhosts {
        let row = view.row(line.directive).filter(|row| row.parser == Parser::Atoi && row.name != "Timeout");
        if let (Some(row), Some(text)) = (row, line.words.first()) {
            each(&Number { row, text, line: Some(line) });
        }
    }
}

/// Returns what `atoi` makes of it. The two directives read by `strtol` never wrap: MEM and STACK look at them.
fn read<'a>(number: &Number<'a>) -> Atoi<'a> {
    let read = numbers::atoi(number.text);
    Atoi { wrapped: read.wrapped && number.row.parser == Parser::Atoi, ..read }
}

pub(crate) static NUM_001: Rule = Rule {
    id: "NUM-001",
    severity: Severity::Error,
    setting: "numbers",
    summary: "characters after the digits; httpd silently ignores them",
    source: "C11 7.22.1.2, atoi; httpd 2.4 server/mpm/*/*.c, set_* functions",
    why: "httpd reads numbers with atoi, which stops at the first character that is no digit: of `1,024` it keeps 1, \
         and `httpd -t` says nothing.",
    remedy: "Write the digits alone, without separators and units.",
    example: "MaxRequestWorkers 1,024",
    instead: "MaxRequestWorkers 1024",
    check: Check::View(text_after_digits),
    ..Rule::NEW
};

fn text_after_digits(view: &View<'_>, out: &mut Reporter<'_>) {
    each_number(view, |number| {
        let read = read(number);
        if read.digits && !read.rest.is_empty() {
            let used = numbers::strtol(number.text, 10).value;
            out.on(view, number.row.name).value(number.text).effective(used).emit(
                format!(
                    "{} {}{}: httpd reads {used} and silently ignores {:?}",
                    number.row.name,
                    number.text,
                    view.at(number.line),
                    read.rest
                ),
                format!("set {} to a plain number", view.name(number.row.name)),
            );
        }
    });
}

pub(crate) static NUM_002: Rule = Rule {
    id: "NUM-002",
    severity: Severity::Error,
    setting: "numbers",
    summary: "no digits, such as an undefined variable; httpd reads 0",
    source: "C11 7.22.1.2, atoi; httpd 2.4 server/mpm/*/*.c, set_* functions",
    why: "A word without digits, such as a variable that nothing defines, is read as 0. httpd takes that for the \
         least value or for \"no limit\", whatever was meant.",
    remedy: "Write a number, or define the variable.",
    example: "MaxConnectionsPerChild many",
    instead: "MaxConnectionsPerChild 10000",
    check: Check::View(no_digits),
    ..Rule::NEW
};

fn no_digits(view: &View<'_>, out: &mut Reporter<'_>) {
    each_number(view, |number| {
        if !read(number).digits {
            out.on(view, number.row.name).value(number.text).effective(0).emit(
                format!(
                    "{} {:?}{} is not a number: httpd reads 0",
                    number.row.name,
                    number.text,
                    view.at(number.line)
                ),
                format!("set {} to a plain number", view.name(number.row.name)),
            );
        }
    });
}

pub(crate) static NUM_003: Rule = Rule {
    id: "NUM-003",
    severity: Severity::Error,
    setting: "numbers",
    summary: "beyond 32 bits; httpd keeps the low ones, often a negative number",
    source: "glibc stdlib/atoi.c, a cast from long",
    why: "The number is kept in 32 bits. Of a larger one only the low bits are left, often a negative number.",
    remedy: "Write a number below 2147483648; where no limit is meant, 0 is the one that says so.",
    example: "MaxConnectionsPerChild 4294967295",
    instead: "MaxConnectionsPerChild 0",
    check: Check::View(beyond_32_bits),
    ..Rule::NEW
};

fn beyond_32_bits(view: &View<'_>, out: &mut Reporter<'_>) {
    let mut say = |name: &'static str, text: &str, value: i32, line: Option<&Line>| {
        out.on(view, name).value(text).effective(value).emit(
            format!("{name} {text}{} does not fit 32 bits: httpd reads {value}", view.at(line)),
            format!("set {} to a number from 0 to {}", view.name(name), i32::MAX),
        );
    };
    each_number(view, |number| {
        let read = read(number);
        if read.wrapped {
            say(number.row.name, number.text, read.value, number.line);
        }
    });
    if let Some(requests) = view
        .params
        .groups
        .get::<crate::features::keepalive::KeepAlive>()
        .and_then(|keepalive| keepalive.max_requests)
    {
        let text = requests.to_string();
        let read = numbers::atoi(&text);
        if read.wrapped && view.standing("MaxKeepAliveRequests") != Some(&text) {
            say("MaxKeepAliveRequests", &text, read.value, None);
        }
    }
}

pub(crate) static NUM_004: Rule = Rule {
    id: "NUM-004",
    severity: Severity::Warning,
    setting: "DOS* numbers",
    summary: "a leading 0 or 0x; mod_evasive reads octal or hexadecimal",
    source: "mod_evasive mod_evasive20.c, strtol with base 0",
    check: Check::View(octal_or_hexadecimal),
    ..Rule::NEW
};

fn octal_or_hexadecimal(view: &View<'_>, out: &mut Reporter<'_>) {
    for row in view.after.table.rows().filter(|row| row.parser == Parser::Strtol0) {
        let Some(line) = view.line(row.name) else { continue };
        let Some(text) = line.words.first() else { continue };
        let (plain, read) = (numbers::strtol(text, 10), numbers::strtol(text, 0));
        if plain.value != read.value {
            out.on(view, row.name).value(text).effective(read.value).emit(
                format!("{} {text}{}: mod_evasive reads it as {}", row.name, view.at(Some(line)), read.value),
                format!("write {} without a leading 0", row.name),
            );
        }
    }
}
