//! What only the end of reading tells: the errors of the walk over the tree, and guards that were false in vain.

use super::commands::{invalid_command, takes};
use super::{Guard, Reader, Step};
use crate::httpd::directives::{Group, Parser};
use crate::httpd::read::lines::Place;
use crate::httpd::read::words::lossy;
use crate::httpd::read::{Configuration, Line, NoteKind, ReadError, Scope, modules, paths};

impl Reader<'_> {
    /// Adds what only the end of reading tells.
    pub(super) fn finish(mut self) -> Configuration {
        // What was read ahead and not asked for must not be handed to a later look at the host.
        self.files.prefetch(0, &mut std::iter::empty());
        self.finish_guards();
        self.config.from_environment = self.variables.used();
        self.config.logs += self.error_logs.beside_main();
        self.config.error_log = self
            .error_logs
            .main_file()
            .and_then(|name| paths::under(&self.server_root, name))
            .map(|path| paths::path(&path));
        let mut errors = std::mem::take(&mut self.building);
        let mpms: Vec<&str> = self.config.mpms().iter().map(|mpm| mpm.module()).collect();
        let main = self.start.file.clone();
        match mpms.as_slice() {
            [] if errors.is_empty() => errors.push(ReadError {
                file: main,
                line: 0,
                message: "no multi-processing module (MPM) is loaded".to_owned(),
            }),
            [] | [_] => {}
            several => errors.push(ReadError {
                file: main,
                line: 0,
                message: format!(
                    "more than one multi-processing module (MPM) is loaded: {}",
                    several.join(", ")
                ),
            }),
        }
        self.modules.strike(self.files, &self.start.binary, &mut self.names);
        for step in std::mem::take(&mut self.walk) {
            let (place, message) = match step {
                Step::Name(index) => {
                    let Some((name, place)) = self.names.unknown(index) else { continue };
                    (place, invalid_command(&lossy(name)))
                }
                Step::Refused(place, message) => (place, message),
                Step::Section { module, name, place } => {
                    if self.modules.has(module) {
                        continue;
                    }
                    (place, invalid_command(&name))
                }
                Step::Line(index) => {
                    let line = &self.config.lines[index];
                    let Some(message) = self.refusal(line, mpms.len() == 1) else { continue };
                    (Place { file: line.file, line: line.line }, message)
                }
            };
            let file = self.config.path(place.file).to_owned();
            errors.push(ReadError { file, line: place.line, message });
        }
        self.config.errors = errors;
        self.config
    }

    /// Returns what httpd has against a kept line when it walks the tree, apart from its value.
    fn refusal(&self, line: &Line, one_mpm: bool) -> Option<String> {
        let row = self.start.table.named(line.directive)?;
        let version = self.start.version;
        if row.is_newer_than(version) || (!self.modules.knows(row) && (row.group != Group::MPM || one_mpm)) {
            return Some(invalid_command(&line.written));
        }
        match line.scope {
            Scope::Main => {}
            Scope::Vhost(_) if row.in_vhost => {}
            Scope::Section if row.in_section => {}
            Scope::Vhost(_) => return Some(format!("{} cannot be inside <VirtualHost>", line.written)),
            Scope::Section => return Some(format!("{} cannot be inside this section", line.written)),
        }
        let words = &line.words;
        if words.iter().any(|word| self.config.is_unknown(word)) {
            return None;
        }
        let first = words.first().map_or("", String::as_str);
        match row.parser {
            Parser::Raw => None,
            Parser::Flag => (!first.eq_ignore_ascii_case("on") && !first.eq_ignore_ascii_case("off"))
                .then(|| format!("{} must be On or Off", line.written)),
            Parser::Iterate => {
                first.is_empty().then(|| format!("{} needs at least one argument", line.written))
            }
            _ if row.more_words => {
                first.is_empty().then(|| format!("{} needs at least one argument", line.written))
            }
            _ => (words.len() != 1 || first.is_empty()).then(|| takes(&line.written, &(1..=1))),
        }
    }

    fn finish_guards(&mut self) {
        for guard in std::mem::take(&mut self.guards) {
            let Guard { place, name, module, negated, has_mpm, has_evasive } = guard;
            if negated {
                continue;
            }
            if !module {
                if self.variables.is_defined_in_other_case(name.as_bytes()) {
                    self.note(NoteKind::GuardCase, place, name);
                }
                continue;
            }
            let later = self.modules.answers_to(self.files, &name);
            if later {
                self.note(NoteKind::GuardBeforeLoad, place, name.clone());
            } else if self.modules.in_other_case(&name).is_some() {
                self.note(NoteKind::GuardCase, place, name.clone());
            }
            if has_mpm && modules::is_dead_mpm_name(&name) {
                self.note(NoteKind::DeadMpmGuard, place, name.clone());
            }
            let about_evasive = name.to_ascii_lowercase().contains("evasive");
            if has_evasive && about_evasive && !later && self.modules.evasive().is_some() {
                self.note(NoteKind::DeadEvasiveGuard, place, name);
            }
        }
    }
}
