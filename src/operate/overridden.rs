//! Which values that this program writes do not count, because another line wins: one judgement for a task and for
//! `tuning_info`.

use std::path::PathBuf;

use super::asked::same;
use crate::httpd::directives::Parser;
use crate::httpd::effective::{self, Value};
use crate::httpd::read::{Configuration, Line, Scope};
use crate::plan::Wish;
use crate::registry::TABLE;
use crate::report::{Finding, Overridden};
use crate::rules;
use crate::tree::{Files, resolve};

/// Returns the lines of a host's own files as wishes: each stands there because some task asked for it.
pub(super) fn wishes(files: &dyn Files, is: &Configuration, own: &[PathBuf]) -> Vec<Wish> {
    let mut wishes: Vec<Wish> = Vec::new();
    for line in is.lines.iter().filter(|line| line.scope == Scope::Main) {
        let Some(file) = resolve(files, is.path(line.file)).ok().filter(|real| own.contains(real)) else {
            continue;
        };
        wishes.retain(|earlier| earlier.directive != line.directive);
        let value = line.words.join(" ");
        wishes.push(Wish { directive: line.directive, parameter: line.directive.to_owned(), value, file });
    }
    wishes
}

/// Finds the wishes that something else on the host overrides.
pub(super) fn overridden(
    files: &dyn Files,
    after: &Configuration,
    wishes: &[Wish],
    values: &[Value],
) -> (Vec<Overridden>, Vec<Finding>) {
    let mut list = Vec::new();
    let mut findings = Vec::new();
    for wish in wishes.iter().filter(|wish| !is_list(wish.directive)) {
        let Some(value) = values.iter().find(|value| value.directive == wish.directive) else { continue };
        if same(wish.directive, &value.value, &wish.value) {
            continue;
        }
        let (file, line) = value.set_at.clone().unwrap_or_default();
        if resolve(files, &file).is_ok_and(|real| real == wish.file) {
            continue;
        }
        let (message, hint) = if value.set_at.is_some() {
            // The line may spell an old name, and that is what one looks for in the file.
            let standing = |found: &&Line| {
                found.line == line && found.directive == wish.directive && after.path(found.file) == file
            };
            let written =
                after.lines.iter().find(standing).map_or(wish.directive, |found| found.written.as_str());
            (
                format!(
                    "{written} {} at {}:{line} is read later and wins over {}",
                    value.value,
                    file.display(),
                    wish.value
                ),
                "remove that line, or ask for its value".to_owned(),
            )
        } else {
            (
                format!(
                    "{} is written to {}, but httpd does not read it there and uses {}",
                    wish.directive,
                    wish.file.display(),
                    value.value
                ),
                "let the main configuration file include it as the distribution's does".to_owned(),
            )
        };
        list.push(Overridden {
            setting: wish.directive.to_owned(),
            wanted: wish.value.clone(),
            effective: value.value.clone(),
            file: file.to_string_lossy().into_owned(),
            line,
            scope: "main".to_owned(),
        });
        let mut told = rules::overriding::OVR_001.finding((&wish.parameter, &wish.value), message, hint);
        told.effective = Some(value.value.clone());
        findings.push(told);
    }
    for line in &after.lines {
        let Scope::Vhost(index) = line.scope else { continue };
        let Some(wish) = wishes.iter().find(|wish| wish.directive == line.directive) else { continue };
        if effective::counts_everywhere(after, line) {
            continue;
        }
        let value = line.words.first().map_or("", String::as_str);
        if is_list(wish.directive) || same(wish.directive, value, &wish.value) {
            continue;
        }
        let host = after.vhosts.get(index as usize);
        let name = host
            .map_or_else(String::new, |host| host.name.clone().unwrap_or_else(|| host.addresses.join(" ")));
        let file: PathBuf = after.path(line.file).to_owned();
        let mut told = rules::overriding::OVR_002.finding(
            (&wish.parameter, &wish.value),
            format!(
                "the virtual host {name} has its own {} {value} ({}:{})",
                line.directive,
                file.display(),
                line.line
            ),
            "remove that line if the virtual host is to follow the main server".to_owned(),
        );
        told.effective = Some(value.to_owned());
        findings.push(told);
        list.push(Overridden {
            setting: line.directive.to_owned(),
            wanted: wish.value.clone(),
            effective: value.to_owned(),
            file: file.to_string_lossy().into_owned(),
            line: line.line,
            scope: name,
        });
    }
    (list, findings)
}

/// Tells whether each line of a directive adds to those before it.
fn is_list(directive: &str) -> bool {
    TABLE.named(directive).is_some_and(|row| row.parser == Parser::Iterate)
}
