//! mod_evasive: three programs with one name. The `LoadModule` line found on the host and the program it loads
//! decide symbol, guard and dialect.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::blocks::{self, argument};
use crate::httpd::directives::{self, Group};
use crate::params::Evasive;
use crate::tree::Files;

/// The name of this feature's block.
pub const BLOCK: &str = "evasive";

/// Which of the incompatible programs a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// 1.10.1 and its descendants: active as soon as it is loaded.
    One,
    /// 2.x (the maintained fork): off until `DOSEnabled true`.
    Two,
}

/// The build of mod_evasive that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The module identifier of its `LoadModule` line: `evasive20_module`.
    pub symbol: String,
    /// The program, as the line has it.
    pub program: String,
    /// The generation.
    pub generation: Generation,
    /// The directive for the status of a blocked request, where the build has one.
    pub status_directive: Option<&'static str>,
}

/// The directives that tell the builds apart, each with the generation it belongs to.
const STATUS: [(&str, Generation); 3] = [
    ("DOSHTTPStatus", Generation::Two),
    ("DOSHTTPResponseCode", Generation::One),
    ("DOSBlockingHttpResponse", Generation::One),
];

/// Finds the build that the `LoadModule` line in `load` (the content of the file at `load_path`) loads.
///
/// The names of directives inside the program itself decide; where it cannot be read, the symbol does: only the fork
/// is called `evasive_module`.
pub fn build(files: &dyn Files, load: &[u8], server_root: &Path) -> Option<Build> {
    let text = String::from_utf8_lossy(load);
    let (symbol, program) = text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let directive = words.next()?;
        let symbol = words.next()?.trim_matches('"');
        let program = words.next()?.trim_matches('"');
        (directive.eq_ignore_ascii_case("LoadModule")
            && symbol.starts_with("evasive")
            && symbol.ends_with("_module"))
        .then(|| (symbol.to_owned(), program.to_owned()))
    })?;
    let path: PathBuf = server_root.join(&program);
    let content = files.read(&path).unwrap_or_default();
    let contains = |name: &str| memchr::memmem::find(&content, name.as_bytes()).is_some();
    let readable = contains("DOSPageCount");
    let fork = contains("DOSEnabled") || (!readable && symbol == "evasive_module");
    let generation = if fork { Generation::Two } else { Generation::One };
    let status_directive = if readable {
        STATUS.iter().find(|(name, _)| contains(name)).map(|(name, _)| *name)
    } else {
        // The program cannot be read: the status directive of the one build that each symbol is known from.
        match symbol.as_str() {
            "evasive_module" => Some("DOSHTTPStatus"),
            "evasive20_module" if program.ends_with("mod_evasive20.so") => Some("DOSHTTPResponseCode"),
            _ => None,
        }
    };
    Some(Build { symbol, program, generation, status_directive })
}

/// Returns the directives that are asked for, in table order, with their values; `DOSWhitelist` once an address.
pub fn wanted(evasive: &Evasive, build: &Build) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if build.generation == Generation::Two
        && let Some(enabled) = evasive.enabled
    {
        lines.push(("DOSEnabled", enabled.to_string()));
    }
    let numbers = [
        ("DOSHashTableSize", evasive.hash_table_size),
        ("DOSPageCount", evasive.page_count),
        ("DOSSiteCount", evasive.site_count),
        ("DOSPageInterval", evasive.page_interval),
        ("DOSSiteInterval", evasive.site_interval),
        ("DOSBlockingPeriod", evasive.blocking_period),
    ];
    lines.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
    if let (Some(directive), Some(status)) = (build.status_directive, evasive.http_status) {
        lines.push((directive, status.to_string()));
    }
    let texts = [
        ("DOSEmailNotify", &evasive.email_notify),
        ("DOSSystemCommand", &evasive.system_command),
        ("DOSLogDir", &evasive.log_dir),
    ];
    lines.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    lines.extend(evasive.whitelist.iter().flatten().map(|address| ("DOSWhitelist", address.clone())));
    lines
}

/// Returns the lines that set them, under a guard that this build matches.
pub fn body(evasive: &Evasive, build: &Build) -> String {
    let mut text = format!("<IfModule {}>\n", build.symbol);
    for (name, value) in wanted(evasive, build) {
        let _ = writeln!(text, "    {name:<24} {}", argument(&value));
    }
    text.push_str("</IfModule>\n");
    text
}

/// Returns the parameter that a directive belongs to.
fn key_of(word: &[u8]) -> Option<&'static str> {
    directives::find(word).filter(|row| row.group == Group::Evasive && !row.key.is_empty()).map(|row| row.key)
}

/// Tells whether a line of this directive makes room for `wanted`: it sets what one of those sets, under whatever name.
pub fn makes_room(word: &[u8], wanted: &[(&'static str, String)]) -> bool {
    key_of(word).is_some_and(|key| wanted.iter().any(|(name, _)| key_of(name.as_bytes()) == Some(key)))
}

/// Tells whether a line of this directive made room for the block in `text`.
pub fn made_room(word: &[u8], text: &[u8]) -> bool {
    key_of(word).is_some_and(|key| blocks::first_words(text, BLOCK).any(|set| key_of(set) == Some(key)))
}

/// Tells whether the block in `text` sets something that is not asked for any more.
pub fn lets_go(text: &[u8], wanted: &[(&'static str, String)]) -> bool {
    blocks::first_words(text, BLOCK).any(|word| key_of(word).is_some() && !makes_room(word, wanted))
}

/// Tells whether lines inside this section are, or with another build were, mod_evasive's settings: a guard that
/// names any mod_evasive. Settings left under the guard of a build that is gone are taken over too.
pub fn inside(section: &[u8]) -> bool {
    let Some(guard) = section.strip_suffix(b">").and_then(|section| section.get(1..)) else { return false };
    let mut words = guard.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.next().is_some_and(|word| word.eq_ignore_ascii_case(b"IfModule"))
        && words.next().is_some_and(|word| {
            (word.starts_with(b"evasive") && word.ends_with(b"_module"))
                || (word.starts_with(b"mod_evasive") && word.ends_with(b".c"))
        })
        && words.next().is_none()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn the_program_decides_the_dialect_and_the_symbol_where_it_cannot_be_read() {
        let so = "/usr/lib/apache2/modules/m.so";
        for (line, program, want) in [
            (
                "LoadModule evasive20_module",
                "DOSPageCount DOSHTTPResponseCode",
                (Generation::One, Some("DOSHTTPResponseCode")),
            ),
            ("LoadModule evasive20_module", "DOSPageCount", (Generation::One, None)),
            (
                "loadmodule evasive24_module",
                "DOSPageCount DOSBlockingHttpResponse",
                (Generation::One, Some("DOSBlockingHttpResponse")),
            ),
            (
                "LoadModule evasive_module",
                "DOSPageCount DOSEnabled DOSHTTPStatus",
                (Generation::Two, Some("DOSHTTPStatus")),
            ),
            (
                "LoadModule evasive20_module",
                "DOSPageCount DOSEnabled DOSHTTPStatus",
                (Generation::Two, Some("DOSHTTPStatus")),
            ),
            ("LoadModule evasive_module", "", (Generation::Two, Some("DOSHTTPStatus"))),
            ("LoadModule evasive24_module", "", (Generation::One, None)),
        ] {
            let files = Memory::new().file(so, program);
            let found =
                build(&files, format!("# x\n{line} {so}\n").as_bytes(), Path::new("/etc/apache2")).unwrap();
            assert_eq!((found.generation, found.status_directive), want, "{line} {program}");
        }
        assert!(build(&Memory::new(), b"#LoadModule evasive20_module x.so\n", Path::new("/")).is_none());
    }
}
