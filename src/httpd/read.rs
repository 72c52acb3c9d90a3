//! Reads httpd's configuration language as httpd reads it, from any [`Files`] view, without starting httpd.

mod engine;
mod include;
mod known;
mod lines;
mod macros;
mod modules;
mod object;
mod paths;
mod regex;
pub mod startup;
mod version;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::directives::{Loaded, Table, is_evasive};
use super::start::Unknown;
use super::{Mpm, Version};
use crate::tree::Files;

/// Where reading starts: what the family's binary was built with and is started with.
#[derive(Debug, Clone)]
pub struct Start {
    /// The main configuration file, absolute: `/etc/apache2/apache2.conf`.
    pub file: PathBuf,
    /// The compiled-in ServerRoot (`HTTPD_ROOT`), in force until a `ServerRoot` line.
    pub server_root: PathBuf,
    /// httpd itself, which holds the modules built in: looked into where a directive is in no table.
    pub binary: PathBuf,
    /// The version, for what differs between releases.
    pub version: Version,
    /// Identifier and source file of each module built in: `("core_module", "core.c")`.
    pub built_in: Vec<(String, String)>,
    /// Names given with `-D`.
    pub defines: Vec<String>,
    /// Directives that httpd is told to read before the main file (`-C`).
    pub first: Vec<String>,
    /// Directives that it reads after it (`-c`).
    pub then: Vec<String>,
    /// The environment that the start script gives httpd, for `${VAR}`.
    pub environment: BTreeMap<String, String>,
    /// Variables that may have a value which is not known here.
    pub unknown: Unknown,
    /// The directives that are looked for.
    pub table: &'static Table,
}

/// Index of a file in [`Configuration::files`].
pub type FileId = u32;

/// One file that httpd reads, with the line that included it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// Absolute path as httpd opens it (links not followed).
    pub path: PathBuf,
    /// The including file and line; `None` for the main file.
    pub included_at: Option<(FileId, u32)>,
    /// Include depth; 0 for the main file.
    pub depth: u16,
}

/// Where a directive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The main server.
    Main,
    /// A virtual host: index into [`Configuration::vhosts`].
    Vhost(u32),
    /// Inside `<Directory>`, `<Location>`, `<If>` and the like, of the main server or a virtual host.
    Section,
}

/// One directive line of interest: a row of the table that httpd really executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The directive, as spelled in the table (`MaxClients` gives `MaxRequestWorkers`).
    pub directive: &'static str,
    /// The name as written.
    pub written: String,
    /// The arguments, variables expanded, split and unquoted as httpd's words; a raw directive has one.
    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub words: Vec<String>,
    /// The file it stands in.
    pub file: FileId,
    /// 1-based number of its first physical line.
    pub line: u32,
    /// Where it stands.
    pub scope: Scope,
}

/// One loaded module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The identifier: `mpm_event_module`.
    pub identifier: String,
    /// The `.so` as written, or empty for a module that is built in.
    pub path: String,
    /// File and line of its `LoadModule`; `None` for a module that is built in.
    pub loaded_at: Option<(FileId, u32)>,
}

/// One `<VirtualHost>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vhost {
    /// The addresses as written: `*:80`.
    pub addresses: Vec<String>,
    /// The `ServerName`, if any.
    pub name: Option<String>,
    /// The file it opens in.
    pub file: FileId,
    /// The line it opens at.
    pub line: u32,
}

/// Something worth telling that reading came across. The grammar rules are made from these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What it is.
    pub kind: NoteKind,
    /// The file it was found in.
    pub file: FileId,
    /// The line.
    pub line: u32,
    /// The text it is about: a variable's name, a pattern, a guard, a directive with its value.
    pub text: String,
}

/// The kinds of [`Note`]; the rule that each feeds is in its description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// GRM-001: words that start with `#` after a directive that takes a fixed number of arguments.
    TrailingComment,
    /// GRM-002: `#` glued to a number.
    GluedComment,
    /// GRM-003: a comment line that ends in a backslash and swallows the next line, a directive; `text` is that line.
    SwallowingComment,
    /// GRM-004: an undefined `${VAR}` in a managed or watched directive or an include.
    UndefinedVariable,
    /// GRM-004 as well: a `${VAR}` whose value is not known here.
    UnknownVariable,
    /// GRM-005: `<IfModule X>` that is false here although X is loaded later.
    GuardBeforeLoad,
    /// GRM-006: a guard that names a loaded module or defined name except for its case.
    GuardCase,
    /// GRM-007: a true conditional section that the end of its file closes.
    UnclosedSection,
    /// GRM-008: an `Include` of something missing.
    MissingInclude,
    /// GRM-009: an included directory with backup or hidden files.
    StrayFilesIncluded,
    /// GRM-010: `IncludeOptional` that matches nothing.
    EmptyInclude,
    /// GRM-011: CR-only line ends, a byte order mark, or a no-break space.
    StrayBytes,
    /// GRM-012: a relative include that exists beside the including file but not under ServerRoot.
    WrongBase,
    /// GRM-013: numeric file names of different length in one include.
    NumericOrder,
    /// GRM-014: macros were expanded, or could not be.
    Macro,
    /// MPM-005: a server-wide directive inside a virtual host or section.
    WrongContext,
    /// MPM-006: MPM directives in a guard that can never be true; `text` is the guard.
    DeadMpmGuard,
    /// EV-001: mod_evasive directives in a guard that is false while some mod_evasive is loaded.
    DeadEvasiveGuard,
    /// MPM-002, AH01574: the same module loaded twice.
    LoadedTwice,
}

/// Why httpd would not start, or why reading stopped short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The file.
    pub file: PathBuf,
    /// The line; 0 where it is about the whole file.
    pub line: u32,
    /// What httpd would say, in this tool's words.
    pub message: String,
}

/// What httpd makes of its configuration files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// The directives that were looked for.
    pub table: &'static Table,
    /// Every file read, in reading order; a file included twice stands here twice.
    pub files: Vec<ReadFile>,
    /// Modules in load order, those built in first.
    pub modules: Vec<Module>,
    /// Managed and watched directives in reading order.
    pub lines: Vec<Line>,
    /// Virtual hosts in reading order.
    pub vhosts: Vec<Vhost>,
    /// `Listen` values of the main server, in reading order.
    pub listen: Vec<String>,
    /// The main server's error log; `None` where it goes to a program or to syslog.
    pub error_log: Option<PathBuf>,
    /// Log files and pipes that each process has open beside the main server's error log.
    pub logs: u64,
    /// Names of variables that are used and not known.
    pub unknown: BTreeSet<String>,
    /// Names of variables that are used and come from the environment.
    pub from_environment: BTreeSet<String>,
    /// Things worth telling.
    pub notes: Vec<Note>,
    /// The errors that would keep httpd from starting, the first first.
    pub errors: Vec<ReadError>,
}

impl Loaded for Configuration {
    fn any_module(&self, is: &dyn Fn(&str) -> bool) -> bool {
        self.modules.iter().any(|module| is(&module.identifier))
    }
}

impl Configuration {
    /// Returns the path of a file read.
    pub fn path(&self, file: FileId) -> &std::path::Path {
        self.files.get(file as usize).map_or(std::path::Path::new(""), |file| file.path.as_path())
    }

    /// Tells whether a text holds a variable whose value is not known.
    pub fn is_unknown(&self, text: &str) -> bool {
        !self.unknown.is_empty()
            && text
                .split("${")
                .skip(1)
                .filter_map(|rest| rest.split_once('}'))
                .any(|(name, _)| self.unknown.contains(name))
    }

    /// Tells whether a module is loaded, by its identifier.
    pub fn has_module(&self, identifier: &str) -> bool {
        self.modules.iter().any(|module| module.identifier == identifier)
    }

    /// Returns the MPMs that are loaded or built in; a startable server has exactly one.
    pub fn mpms(&self) -> Vec<Mpm> {
        Mpm::ALL.into_iter().filter(|mpm| self.has_module(mpm.module())).collect()
    }

    /// Returns the identifier of the loaded mod_evasive, of whatever generation: `evasive20_module`.
    pub fn evasive(&self) -> Option<&str> {
        self.modules.iter().map(|module| module.identifier.as_str()).find(|name| is_evasive(name))
    }

    /// Returns the line that decides a directive in a scope: the last one read. Virtual hosts do not inherit here.
    pub fn deciding(&self, directive: &str, scope: Scope) -> Option<&Line> {
        self.lines.iter().rev().find(|line| line.scope == scope && line.directive == directive)
    }
}

/// Reads a configuration from its main file on. Never fails: what httpd would refuse is in
/// [`Configuration::errors`], and reading goes on where that makes sense, so that all errors are told at once.
pub fn read(files: &dyn Files, start: &Start) -> Configuration {
    engine::Reader::new(files, start).run()
}
