//! What was asked is compared with what would be: with the configuration as httpd would read it after the change, before
//! anything is touched.
//!
//! A value counts only where httpd reads this program's own line: the same number in a file that is not this
//! tool's is a coincidence that the next edit ends.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::feature::Module;
use crate::httpd::Mpm;
use crate::httpd::directives::Parser;
use crate::httpd::effective::{self, Value};
use crate::httpd::numbers::{self, Unit};
use crate::httpd::read::{self, Configuration, FileId, Line, NoteKind, Scope};
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
    /// Returns what is otherwise than asked in a configuration, with file and line, and the wishes that httpd does not read
    /// where they are written.
    pub(super) fn compare(
        &self,
        files: &dyn Files,
        is: &Configuration,
        values: &[Value],
    ) -> (Vec<Finding>, Vec<&Wish>) {
        let mut found = Vec::new();
        self.compare_mpm(is, &mut found);
        self.compare_modules(is, &mut found);
        let lines = Lines::of(files, is, &self.wishes);
        // Where the module of a directive is not loaded, that is what is said, and its lines are none.
        let counts = |wish: &&Wish| values.iter().any(|value| value.directive == wish.directive);
        let unread: Vec<&Wish> =
            self.wishes.iter().filter(counts).filter(|wish| !lines.reads(wish)).collect();
        let mut files: Vec<&Path> = unread.iter().map(|wish| wish.file.as_path()).collect();
        files.sort_unstable();
        files.dedup();
        for file in files {
            let wishes: Vec<&Wish> = unread.iter().filter(|wish| wish.file == file).copied().collect();
            found.extend(lines.unread(&wishes));
        }
        (found, unread)
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

/// The lines that count for the whole server, by what one may ask for: a list has as many wishes as lines.
struct Lines<'a> {
    files: &'a dyn Files,
    is: &'a Configuration,
    /// Where the files of these lines really lie.
    real: FxHashMap<FileId, PathBuf>,
    /// The lines of the directives that are asked for.
    by_directive: FxHashMap<&'static str, Vec<&'a Line>>,
    /// The values of these lines, each word and all together, as they are written.
    written: FxHashSet<(&'static str, FileId, Cow<'a, str>)>,
    /// Where each file that is written to really lies.
    own: FxHashMap<&'a Path, PathBuf>,
    /// Where httpd reads these, if it does: looked for once it is asked.
    opened: RefCell<FxHashMap<&'a Path, Option<&'a Path>>>,
}

/// Returns where a path really leads.
fn real(files: &dyn Files, path: &Path) -> PathBuf {
    resolve(files, path).unwrap_or_else(|_| path.to_owned())
}

impl<'a> Lines<'a> {
    fn of(files: &'a dyn Files, is: &'a Configuration, wishes: &'a [Wish]) -> Self {
        let mut all = Self {
            files,
            is,
            real: FxHashMap::default(),
            by_directive: FxHashMap::default(),
            written: FxHashSet::default(),
            own: FxHashMap::default(),
            opened: RefCell::default(),
        };
        for wish in wishes {
            all.own.entry(wish.file.as_path()).or_insert_with_key(|file| real(files, file));
            all.by_directive.entry(wish.directive).or_default();
        }
        let counts = |line: &&Line| line.scope == Scope::Main || effective::counts_everywhere(is, line);
        for line in is.lines.iter().filter(counts) {
            let Some(of_directive) = all.by_directive.get_mut(line.directive) else { continue };
            of_directive.push(line);
            all.real.entry(line.file).or_insert_with_key(|file| real(files, is.path(*file)));
            let written = |text: Cow<'a, str>| (line.directive, line.file, text);
            all.written.extend(line.words.iter().map(|word| written(word.as_str().into())));
            if line.words.len() != 1 {
                all.written.insert(written(line.words.join(" ").into()));
            }
        }
        all
    }

    /// Tells whether httpd reads a wish where it is written.
    fn reads(&self, wish: &Wish) -> bool {
        let own = self.own.get(wish.file.as_path());
        let is_own = |file: &FileId| self.real.get(file) == own;
        let is_written =
            |file: &FileId| self.written.contains(&(wish.directive, *file, wish.value.as_str().into()));
        self.real.keys().any(|file| is_own(file) && is_written(file))
            || self.by_directive.get(wish.directive).into_iter().flatten().any(|line| {
                is_own(&line.file) && line.words.iter().any(|word| same(wish.directive, word, &wish.value))
            })
    }

    /// Returns the path by which httpd reads the file that a wish is written to.
    fn opened(&self, wish: &'a Wish) -> Option<&'a Path> {
        *self.opened.borrow_mut().entry(wish.file.as_path()).or_insert_with_key(|file| {
            let own = self.own.get(*file)?;
            let found = self.is.files.iter().find(|read| real(self.files, &read.path) == *own)?;
            Some(found.path.as_path())
        })
    }

    /// Says what keeps httpd from reading wishes in the one file that they are written to.
    fn unread(&self, wishes: &[&'a Wish]) -> Option<Finding> {
        let first = wishes.first()?;
        let is = self.is;
        let main = is.files.first().map_or_else(String::new, |file| file.path.display().to_string());
        let mut names: Vec<&str> = wishes.iter().map(|wish| wish.directive).collect();
        names.dedup();
        let are = if names.len() == 1 { "is" } else { "are" };
        let names = names.join(", ");
        let (message, hint) = match self.opened(first) {
            None => (
                format!(
                    "{names} {are} written to {}, which httpd does not read: no Include of {main} leads to it",
                    first.file.display()
                ),
                format!("write `IncludeOptional {}/*.conf` into {main}", read_from(&first.file).display()),
            ),
            Some(path) => {
                let at = path.display();
                match self.loaded_later(path) {
                    Some((guard, module)) => (
                        format!(
                            "{names} {are} written to {at}, where httpd skips the block at line {guard}: {} is loaded \
                             later, {}",
                            module.identifier,
                            loaded_at(is, module)
                        ),
                        if first.parameter.starts_with("settings.") {
                            "set placement to drop_in, which is read after that line; or move that line above"
                                .to_owned()
                        } else {
                            "move that line above".to_owned()
                        },
                    ),
                    None => (
                        format!(
                            "{names} {are} written to {at}, where httpd skips {}: the section around it is false there",
                            if are == "is" { "it" } else { "them" }
                        ),
                        "load the module that the section asks for before that file is read".to_owned(),
                    ),
                }
            }
        };
        Some(OVR_001.finding((&first.parameter, &first.value), message, hint))
    }

    /// Returns the line of a guard in a file and the module that it asks for, where that is loaded only later.
    fn loaded_later(&self, path: &Path) -> Option<(u32, &'a read::Module)> {
        let is = self.is;
        let in_file =
            |note: &&read::Note| note.kind == NoteKind::GuardBeforeLoad && is.path(note.file) == path;
        // The last block of a file is this tool's own.
        let note = is.notes.iter().rfind(in_file)?;
        let module = is.modules.iter().find(|module| note.text.contains(&module.identifier))?;
        Some((note.line, module))
    }
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
