//! What was asked is compared with what would be: with the configuration as httpd would read it after the change, before
//! anything is touched.
//!
//! A value counts only where httpd reads this program's own line: the same number in a file that is not this
//! tool's is a coincidence that the next edit ends.

use std::path::{Path, PathBuf};

use crate::feature::Module;
use crate::httpd::Mpm;
use crate::httpd::directives::Parser;
use crate::httpd::effective::{self, Value};
use crate::httpd::numbers::{self, Unit};
use crate::httpd::read::{self, Configuration, Line, Scope};
use crate::plan::Wish;
use crate::registry::TABLE;
use crate::report::Finding;
use crate::rules::modules::MOD_009;
use crate::rules::overriding::OVR_001;
use crate::tree::{Files, resolve};

/// What a task asks for, in httpd's terms.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// The MPM that is to be the only one.
    pub mpm: Option<Mpm>,
    /// Each module that is to be loaded or not, with the parameter that says so.
    pub modules: Vec<(&'static Module, bool, String)>,
    /// Each value, with the file that it is written to.
    pub wishes: Vec<Wish>,
}

impl Asked {
    /// Returns what is otherwise than asked in a configuration, with file and line.
    pub(super) fn compare(&self, files: &dyn Files, is: &Configuration, values: &[Value]) -> Vec<Finding> {
        let mut found = Vec::new();
        self.compare_mpm(is, &mut found);
        self.compare_modules(is, &mut found);
        for wish in &self.wishes {
            // Where the module of a directive is not loaded, that is what is said, and its lines are none.
            if values.iter().any(|value| value.directive == wish.directive) {
                found.extend(unread(files, is, wish));
            }
        }
        found
    }

    fn compare_mpm(&self, is: &Configuration, found: &mut Vec<Finding>) {
        let Some(asked) = self.mpm.filter(|asked| is.mpms() != [*asked]) else { return };
        let others: Vec<&read::Module> = is
            .modules
            .iter()
            .filter(|module| Mpm::of_module(&module.identifier).is_some_and(|mpm| mpm != asked))
            .collect();
        for other in &others {
            let place = loaded_at(is, other);
            found.push(MOD_009.finding(
                ("mpm", asked.name()),
                format!("{} is loaded {place}, where this task does not switch it off", other.identifier),
                "take that LoadModule or Include line out, or ask for that MPM".to_owned(),
            ));
        }
        if others.is_empty() {
            let main = is.files.first().map_or_else(String::new, |file| file.path.display().to_string());
            found.push(MOD_009.finding(
                ("mpm", asked.name()),
                format!("{} is switched on, but no file that {main} includes loads it", asked.module()),
                "let the main configuration file include what the distribution's does".to_owned(),
            ));
        }
    }

    fn compare_modules(&self, is: &Configuration, found: &mut Vec<Finding>) {
        for (module, on, parameter) in &self.modules {
            let loaded = is.modules.iter().find(|loaded| (module.is)(&loaded.identifier));
            let (message, hint) = match (on, loaded) {
                (false, Some(loaded)) => (
                    format!(
                        "{} is still loaded {}, where this task does not switch it off",
                        loaded.identifier,
                        loaded_at(is, loaded)
                    ),
                    "take that LoadModule or Include line out".to_owned(),
                ),
                (true, None) => (
                    format!("mod_{} is switched on, but no file that httpd reads loads it", module.name),
                    "let the main configuration file include what the distribution's does".to_owned(),
                ),
                _ => continue,
            };
            found.push(MOD_009.finding((parameter, &on.to_string()), message, hint));
        }
    }
}

/// Says where a module is loaded, and by which line its file is included.
fn loaded_at(is: &Configuration, module: &read::Module) -> String {
    let Some((file, line)) = module.loaded_at else { return "from httpd itself".to_owned() };
    let included = is.files.get(file as usize).and_then(|file| file.included_at);
    let by = included
        .map_or_else(String::new, |(file, line)| format!(", included at {}:{line}", is.path(file).display()));
    format!("at {}:{line}{by}", is.path(file).display())
}

/// Returns what keeps httpd from reading a wish where it is written; nothing where it reads it.
fn unread(files: &dyn Files, is: &Configuration, wish: &Wish) -> Option<Finding> {
    let real = |path: &Path| resolve(files, path).unwrap_or_else(|_| path.to_owned());
    let own = real(&wish.file);
    let counts = |line: &&Line| {
        line.directive == wish.directive
            && (line.scope == Scope::Main || effective::counts_everywhere(is, line))
            && (line.words.join(" ") == wish.value
                || line.words.iter().any(|word| same(wish.directive, word, &wish.value)))
    };
    if is.lines.iter().filter(counts).any(|line| real(is.path(line.file)) == own) {
        return None;
    }
    let opened: Vec<&PathBuf> =
        is.files.iter().map(|file| &file.path).filter(|path| real(path) == own).collect();
    let main = is.files.first().map_or_else(String::new, |file| file.path.display().to_string());
    let (message, hint) = match opened.first() {
        None => (
            format!(
                "{} is written to {}, which httpd does not read: no Include of {main} leads to it",
                wish.directive,
                wish.file.display()
            ),
            format!("write `IncludeOptional {}/*.conf` into {main}", read_from(&wish.file).display()),
        ),
        Some(path) => (
            format!(
                "{} is written to {}, where httpd skips it: the section around it is false there",
                wish.directive,
                path.display()
            ),
            "load the module that the section asks for before that file is read".to_owned(),
        ),
    };
    Some(OVR_001.finding((&wish.parameter, &wish.value), message, hint))
}

/// Returns the directory that httpd reads a file from: Debian's files are read through links.
fn read_from(file: &Path) -> PathBuf {
    let dir = file.parent().unwrap_or(Path::new(""));
    match dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix("-available")) {
        Some(kind) => dir.with_file_name(format!("{kind}-enabled")),
        None => dir.to_owned(),
    }
}

/// Tells whether two texts mean the same to httpd as a value of this directive: `60` and `1min`, `on` and `On`.
pub(super) fn same(directive: &str, one: &str, other: &str) -> bool {
    let micros = |text| numbers::duration(text, Unit::Seconds).map(|duration| duration.micros).ok();
    one == other
        || is_expansion(one, other)
        || TABLE.named(directive).is_some_and(|row| match row.parser {
            Parser::Atoi => numbers::atoi(one).value == numbers::atoi(other).value,
            Parser::Strtol0 => numbers::strtol(one, 0).value == numbers::strtol(other, 0).value,
            Parser::Duration => micros(one).is_some_and(|time| Some(time) == micros(other)),
            Parser::Flag => one.eq_ignore_ascii_case(other),
            Parser::Text => row.name == "DOSEnabled" && one.eq_ignore_ascii_case(other),
            _ => false,
        })
}

/// Tells whether a text, as httpd has read it, may be one that was written with variables: `${APACHE_RUN_DIR}/cache`.
fn is_expansion(read: &str, written: &str) -> bool {
    let mut pieces = written.split("${");
    let Some(mut rest) = pieces.next().and_then(|first| read.strip_prefix(first)) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some((_, literal)) = piece.split_once('}') else { return false };
        let Some(at) = rest.find(literal) else { return false };
        rest = &rest[at + literal.len()..];
        last = Some(literal);
    }
    // What is there behind the last variable ends the text.
    last.is_some_and(|literal| read.ends_with(literal) && (literal.is_empty() || rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_same_with_its_variables_expanded() {
        let is = |read: &str| is_expansion(read, "shmcb:${APACHE_RUN_DIR}/ssl_scache(2097152)");
        assert!(is("shmcb:/var/run/apache2/ssl_scache(2097152)"));
        assert!(!is("shmcb:/var/run/apache2/ssl_scache(512000)"));
        assert!(!is("dbm:/var/run/apache2/ssl_scache(2097152)"));
        assert!(is_expansion("/a/x", "${DIR}/x") && is_expansion("/a/x", "/a/${NAME}"));
        assert!(!is_expansion("/a/x", "/a/x") && !is_expansion("/a/x", "/a/${NAME"));
    }
}
