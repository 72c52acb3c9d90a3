//! `LoadModule` lines commented and uncommented in place: how most families choose an MPM, and how a module is
//! switched whose line stands in a file of its own.
//!
//! The functions take a file's bytes and give them back with nothing changed but the `#` before such lines, and at
//! most one line added. A line is httpd's: continued over a backslash, indented by any blanks, ended by LF or CRLF.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::switch::Loadable;
use super::{Unreadable, Work, blocks};
use crate::feature::Module;
use crate::httpd::Mpm;
use crate::rules;
use crate::tree::resolve;

/// One `LoadModule` line, active or commented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLine {
    /// Its bytes, line end and continuation lines included.
    pub range: Range<usize>,
    /// The `#` characters that comment it; empty for an active line, and then where one would go.
    hashes: Range<usize>,
    /// The module identifier.
    pub symbol: String,
    /// The program as written, quotes off.
    pub program: String,
    /// Whether it stands inside a section, which may be false.
    nested: bool,
    /// Whether nothing but a `LoadModule` line would be left without the `#`.
    plain: bool,
}

impl LoadLine {
    /// Tells whether httpd sees it.
    pub fn is_active(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Returns every `LoadModule` line of a file, commented ones too.
pub fn load_lines(text: &[u8]) -> Vec<LoadLine> {
    let mut found = Vec::new();
    let mut depth = 0_usize;
    for range in blocks::logical_lines(text) {
        let line = &text[range.clone()];
        let indent = line.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let content = &line[indent..];
        if content.starts_with(b"</") {
            depth = depth.saturating_sub(1);
        } else if content.starts_with(b"<") {
            depth += 1;
        }
        let hashes = content.iter().take_while(|byte| **byte == b'#').count();
        let words = content[hashes..].trim_ascii_start();
        let is_one = words.get(..10).is_some_and(|start| start.eq_ignore_ascii_case(b"LoadModule"));
        // The word itself may be continued on another line.
        if !is_one && !words.contains(&b'\\') {
            continue;
        }
        let joined = String::from_utf8_lossy(&content[hashes..]).replace("\\\r\n", "").replace("\\\n", "");
        let words: Vec<&str> = joined.split_ascii_whitespace().collect();
        let [directive, symbol, program, rest @ ..] = words.as_slice() else { continue };
        if !directive.eq_ignore_ascii_case("LoadModule") {
            continue;
        }
        let start = range.start + indent;
        found.push(LoadLine {
            range,
            hashes: start..start + hashes,
            symbol: symbol.trim_matches('"').to_owned(),
            program: program.trim_matches('"').to_owned(),
            nested: depth > 0,
            plain: rest.is_empty(),
        });
    }
    found
}

/// Returns how many sections are open at the end of `text`.
fn depth(text: &[u8]) -> usize {
    blocks::logical_lines(text).fold(0, |depth: usize, line| match text[line].trim_ascii_start() {
        [b'<', b'/', ..] => depth.saturating_sub(1),
        [b'<', ..] => depth + 1,
        _ => depth,
    })
}

/// Returns the line that loads `symbol`, or would without its `#`: an active one before a commented one, and of
/// commented ones the first whose program is there, else the first.
pub fn chosen<'a>(
    lines: &'a [LoadLine],
    symbol: &str,
    exists: &dyn Fn(&str) -> bool,
) -> Option<&'a LoadLine> {
    let fit = || lines.iter().filter(|line| line.symbol == symbol && line.plain && !line.nested);
    fit()
        .find(|line| line.is_active())
        .or_else(|| fit().find(|line| exists(&line.program)))
        .or_else(|| fit().next())
}

/// Returns `text` with `symbol` loaded by exactly one line, and no other module of its kind loaded.
///
/// A line inside a section counts as one that may not be read: it is commented, and a line of the file itself is
/// taken instead. Where there is none, one is added that loads `program`: after the last line of the kind, else
/// before the first block of this tool, else at the end, or at the start where the end is inside a section.
pub fn only(
    text: &[u8],
    symbol: &str,
    kind: impl Fn(&str) -> bool,
    program: &str,
    exists: &dyn Fn(&str) -> bool,
) -> Vec<u8> {
    let lines: Vec<LoadLine> = load_lines(text).into_iter().filter(|line| kind(&line.symbol)).collect();
    let keep = chosen(&lines, symbol, exists);
    let mut out = Vec::with_capacity(text.len() + 2);
    let mut at = 0;
    for line in &lines {
        out.extend_from_slice(&text[at..line.hashes.start]);
        at = line.hashes.end;
        let kept = keep == Some(line);
        if !kept && line.is_active() {
            out.push(b'#');
        } else if !kept {
            out.extend_from_slice(&text[line.hashes.clone()]);
        }
    }
    out.extend_from_slice(&text[at..]);
    if keep.is_none() {
        let after = load_lines(&out).into_iter().rfind(|line| kind(&line.symbol) && !line.nested);
        let place = after.map(|line| line.range.end).or_else(|| blocks::first(&out)).unwrap_or(out.len());
        // A section that nothing closes would take the line in.
        let place = if depth(&out[..place]) > 0 { 0 } else { place };
        let line = format!("{}LoadModule {symbol} {program}\n", blocks::line_end(&out[..place]));
        out.splice(place..place, line.into_bytes());
    }
    out
}

/// Returns `text` with no module of a kind loaded.
pub fn none(text: &[u8], kind: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut out = text.to_vec();
    for line in load_lines(text).into_iter().rev().filter(|line| kind(&line.symbol) && line.is_active()) {
        out.insert(line.hashes.start, b'#');
    }
    out
}

/// Returns `text` with those modules of a kind loaded that `was` loads, and without lines of the kind that it has not.
pub(super) fn back_to(text: &[u8], was: &[u8], kind: impl Fn(&str) -> bool + Copy) -> Vec<u8> {
    let before: Vec<LoadLine> = load_lines(was).into_iter().filter(|line| kind(&line.symbol)).collect();
    let mut out = text.to_vec();
    for line in load_lines(text).into_iter().rev().filter(|line| kind(&line.symbol)) {
        if !before.iter().any(|known| known.symbol == line.symbol) {
            out.drain(line.range);
        }
    }
    match before.iter().find(|line| line.is_active()) {
        Some(line) => only(&out, &line.symbol, kind, &line.program, &|_| true),
        None => none(&out, kind),
    }
}

/// Tells whether a module identifier is that of an MPM.
pub fn is_mpm(symbol: &str) -> bool {
    Mpm::of_module(symbol).is_some()
}

/// Returns the program that the chosen line of an MPM loads; where the file has no line, one beside the other MPMs'
/// programs, else `usual`.
pub fn mpm_program(text: &[u8], mpm: Mpm, usual: &str, exists: &dyn Fn(&str) -> bool) -> String {
    let lines = load_lines(text);
    if let Some(line) = chosen(&lines, mpm.module(), exists) {
        return line.program.clone();
    }
    let beside = lines.iter().find_map(|line| {
        let other = Mpm::of_module(&line.symbol)?;
        let name = format!("mod_mpm_{other}.so");
        Some(format!("{}mod_mpm_{mpm}.so", line.program.strip_suffix(&name)?))
    });
    beside.unwrap_or_else(|| usual.replace("{mpm}", mpm.name()))
}

/// Returns what to do where the program of an MPM is not there: the package that has it, or the MPMs that are there where
/// that package is httpd's own and has lost it.
fn way_to_mpm(package: &str, mpm: Mpm, is_there: &dyn Fn(Mpm) -> bool) -> String {
    let there: Vec<&str> = Mpm::ALL.into_iter().filter(|mpm| is_there(*mpm)).map(Mpm::name).collect();
    match (package.contains("{mpm}"), there.as_slice()) {
        (false, [_, ..]) => format!("set mpm to {}, whose program is there", there.join(" or ")),
        _ => format!("install the package {} first", package.replace("{mpm}", mpm.name())),
    }
}

impl Work<'_> {
    /// Makes the wanted MPM the only one that the lines of `file` load.
    pub(super) fn switch_mpm_line(&mut self, file: &Path) -> Result<(), Unreadable> {
        let (mpm, ground) = (self.ground.mpm, self.ground);
        let configuration = ground.configuration;
        let real = |path: &Path| resolve(ground.files, path).unwrap_or_else(|_| path.to_owned());
        let own = real(file);
        let elsewhere: Vec<(Mpm, PathBuf, u32)> = configuration
            .modules
            .iter()
            .filter_map(|module| {
                let (id, line) = module.loaded_at?;
                let path = configuration.path(id).to_owned();
                (real(&path) != own).then_some((Mpm::of_module(&module.identifier)?, path, line))
            })
            .collect();
        if !elsewhere.is_empty() {
            if configuration.mpms() == [mpm] {
                return Ok(());
            }
            for (other, path, line) in elsewhere {
                self.findings.push(rules::modules::MOD_009.finding(
                    ("mpm", mpm.name()),
                    format!(
                        "the {other} MPM is loaded at {}:{line}, and MPMs are switched in {} alone",
                        path.display(),
                        file.display()
                    ),
                    format!("comment that LoadModule line, or move it to {}", file.display()),
                ));
            }
            return Ok(());
        }
        let place = |program: &str| ground.site.server_root.join(program);
        let exists = |program: &str| ground.files.is_file(&place(program));
        let text = self.text(file)?;
        let program = mpm_program(&text, mpm, ground.site.layout.mpm_program, &exists);
        // A tree without any programs is only a configuration: nothing can be said of it.
        if !exists(&program) && place(&program).parent().is_some_and(|dir| ground.files.is_dir(dir)) {
            self.findings.push(rules::host::HOST_007.finding(
                ("mpm", mpm.name()),
                format!("the program of the {mpm} MPM is not on this host: {}", place(&program).display()),
                way_to_mpm(ground.site.layout.mpm_package, mpm, &|mpm| {
                    exists(&mpm_program(&text, mpm, ground.site.layout.mpm_program, &exists))
                }),
            ));
            return Ok(());
        }
        self.edit(file, |text| only(text, mpm.module(), is_mpm, &program, &exists))
    }

    /// Gives back which MPM, and which of the features' modules, `file` loaded before this tool came, where its other
    /// lines are no longer this tool's.
    pub(super) fn give_modules_back(&mut self, file: &Path, was: &[u8]) -> Result<(), Unreadable> {
        let modules = self.ground.features.iter().flat_map(|feature| feature.modules);
        self.edit(file, |text| {
            modules.fold(back_to(text, was, is_mpm), |text, module| back_to(&text, was, module.is))
        })
    }

    /// Switches a module's line on or off; tells whether it is on.
    pub(super) fn switch_line(
        &mut self,
        module: &Module,
        found: &Loadable,
        enabled: Option<bool>,
    ) -> Result<bool, Unreadable> {
        let server_root = &self.ground.site.server_root;
        let exists = |program: &str| self.ground.files.is_file(&server_root.join(program));
        match enabled {
            Some(true) => {
                let text = self.text(&found.file)?;
                let after = only(&text, &found.identifier, module.is, &found.program, &exists);
                self.edit(&found.file, |_| after)?;
            }
            Some(false) => self.edit(&found.file, |text| none(text, module.is))?,
            None => {}
        }
        Ok(self.ground.configuration.modules.iter().any(|loaded| (module.is)(&loaded.identifier)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::httpd::directives::is_evasive;
    use proptest::prelude::*;

    fn switched(text: &str, mpm: Mpm) -> String {
        let there = |program: &str| !program.contains("gone");
        let program = mpm_program(text.as_bytes(), mpm, "modules/mod_mpm_{mpm}.so", &there);
        String::from_utf8(only(text.as_bytes(), mpm.module(), is_mpm, &program, &there)).unwrap()
    }

    #[test]
    fn a_line_that_is_continued_is_one_line() {
        for text in ["LoadModule \\\n mpm_event_module m.so\n", "Load\\\r\nModule mpm_event_module m.so\n"] {
            let found = load_lines(text.as_bytes());
            assert_eq!(found.len(), 1, "{text:?}");
            assert_eq!((&*found[0].symbol, &*found[0].program), ("mpm_event_module", "m.so"));
        }
        assert_eq!(load_lines(b"LoadModules a b\n# Loads a b c\n"), []);
    }

    #[test]
    fn exactly_one_line_is_left_active_and_all_else_stays() {
        const P: &str = "LoadModule mpm_prefork_module modules/mod_mpm_prefork.so\n";
        const E: &str = "LoadModule mpm_event_module modules/mod_mpm_event.so\n";
        const W: &str = "LoadModule mpm_worker_module modules/mod_mpm_worker.so\n";
        for (text, want) in [
            // As shipped, in either direction.
            (format!("# a\n{P}#{E}#{W}"), format!("# a\n#{P}{E}#{W}")),
            (format!("#{P}{E}"), format!("#{P}{E}")),
            // A commented twin before an active line, and two active twins.
            (format!("#{E}{E}"), format!("#{E}{E}")),
            (format!("{E}{E}{P}"), format!("{E}#{E}#{P}")),
            // The first commented twin whose program is there.
            (
                format!("#{}{P}#{E}", E.replace("modules", "gone")),
                format!("#{}#{P}{E}", E.replace("modules", "gone")),
            ),
            // Blanks, tabs, CRLF, case, quotes, absolute paths.
            (
                format!("\t {P} ## \tloadmodule\t\"mpm_event_module\"  /usr/x/mod_mpm_event.so \r\n"),
                format!("\t #{P}  \tloadmodule\t\"mpm_event_module\"  /usr/x/mod_mpm_event.so \r\n"),
            ),
            // A line that goes on, and a comment that swallows the next line.
            (
                format!("LoadModule \\\n mpm_prefork_module \\\n x.so\n#{E}"),
                format!("#LoadModule \\\n mpm_prefork_module \\\n x.so\n{E}"),
            ),
            (format!("# see \\\n{P}{E}"), format!("# see \\\n{P}{E}")),
            // A sentence about the line, a module that is no MPM, a file without a last line end.
            (
                format!("# LoadModule mpm_event_module modules/x.so is the default\n{P}#{E}"),
                format!("# LoadModule mpm_event_module modules/x.so is the default\n#{P}{E}"),
            ),
            (
                format!("LoadModule mpm_itk_module m.so\n{P}#{E}"),
                format!("LoadModule mpm_itk_module m.so\n#{P}{E}"),
            ),
            (
                format!("{P}#LoadModule mpm_event_module m.so"),
                format!("#{P}LoadModule mpm_event_module m.so"),
            ),
            // A line in a section cannot be relied upon.
            (format!("<IfDefine x>\n{E}</IfDefine>\n#{E}"), format!("<IfDefine x>\n#{E}</IfDefine>\n{E}")),
            // No line at all: beside its kind, before this tool's block, in an empty file.
            (
                format!("{}Listen 80\n", P.replace("modules", "/opt/m")),
                format!("#{}{}Listen 80\n", P.replace("modules", "/opt/m"), E.replace("modules", "/opt/m")),
            ),
            ("A 1\n# BEGIN apache-tuning mpm.\n".to_owned(), format!("A 1\n{E}# BEGIN apache-tuning mpm.\n")),
            ("A 1".to_owned(), format!("A 1\n{E}")),
            (String::new(), E.to_owned()),
        ] {
            assert_eq!(switched(&text, Mpm::Event), want, "{text:?}");
        }
    }

    #[test]
    fn a_module_is_switched_off_and_on_again_in_place() {
        let text =
            "# x\nLoadModule evasive20_module modules/mod_evasive24.so\r\n<IfModule mod_evasive24.c>\n";
        let off = none(text.as_bytes(), is_evasive);
        assert_eq!(String::from_utf8(off.clone()).unwrap(), text.replace("LoadModule", "#LoadModule"));
        assert_eq!(none(&off, is_evasive), off);
        assert_eq!(only(&off, "evasive20_module", is_evasive, "m.so", &|_| true), text.as_bytes());
    }

    fn any_line() -> impl Strategy<Value = String> {
        let blank = "[ \t]{0,2}";
        let load =
            (blank, "#{0,2}", blank, "(LoadModule|loadmodule)", "(event|worker|prefork|itk)", "(m|/a/b)");
        prop_oneof![
            load.prop_map(|(a, hash, b, word, mpm, dir)| format!(
                "{a}{hash}{b}{word} mpm_{mpm}_module\t{dir}/mod_mpm_{mpm}.so"
            )),
            "#? ?[A-Za-z]{1,8} [a-z0-9/]{0,8}",
            Just("<IfModule x.c>".to_owned()),
            Just("</IfModule>".to_owned()),
            Just("# more \\".to_owned()),
            Just(String::new()),
        ]
    }

    proptest! {
        #[test]
        fn only_the_marks_before_mpm_lines_change_and_twice_is_once(
            lines in prop::collection::vec((any_line(), "\r?"), 0..12),
            mpm in prop::sample::select(Mpm::ALL.to_vec()),
        ) {
            let text: String = lines.iter().map(|(line, end)| format!("{line}{end}\n")).collect();
            let once = switched(&text, mpm);
            prop_assert_eq!(&switched(&once, mpm), &once);
            let active: Vec<String> = load_lines(once.as_bytes())
                .into_iter()
                .filter(|line| line.is_active() && is_mpm(&line.symbol))
                .map(|line| line.symbol)
                .collect();
            prop_assert_eq!(active, [mpm.module()]);
            // Without any `#`, and without a line that had to be added, the file is what it was.
            let bare = |text: &str| text.replace('#', "");
            let added = format!("LoadModule {} ", mpm.module());
            let (bare_once, bare_text) = (bare(&once), bare(&text));
            if bare_once != bare_text {
                let kept: Vec<&str> = bare_once.split_inclusive('\n').collect();
                let place = kept.iter().position(|line| {
                    let rest: String = kept.iter().filter(|other| !std::ptr::eq(*other, line)).copied().collect();
                    let swallows = text.ends_with("\\\n") || text.ends_with("\\\r\n");
                    line.starts_with(&added) && (rest == bare_text || swallows && rest == bare_text.clone() + "\n")
                });
                prop_assert!(place.is_some(), "{:?} became {:?}", text, once);
            }
        }
    }
}
