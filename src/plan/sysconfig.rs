//! Switching by variables of a start script: SUSE's `/etc/sysconfig/apache2`.
//!
//! SUSE builds each MPM into a binary of its own, `/usr/sbin/httpd-MPM`, and `start_apache2` chooses it by
//! `APACHE_MPM` and loads the modules of `APACHE_MODULES` before the configuration. It writes them to
//! `sysconfig.d/loadmodule.conf` at every start, so that file tells only of the last one: they are worked out from the
//! variables ([`crate::httpd::start`]), and the real configuration test is given the same lines as arguments.
//!
//! Source: SUSE `start_apache2`, `load_modules` and `find_mpm`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::switch::Loadable;
use super::{Unreadable, Work, blocks};
use crate::distro::Site;
use crate::feature::Module;
use crate::rules;
use crate::tree::Files;

/// The variables of the file.
const MPM: &str = "APACHE_MPM";
const MODULES: &str = "APACHE_MODULES";

/// Returns the file of a site's variables: an instance has its own.
pub(super) fn path_of(site: &Site, file: &str) -> PathBuf {
    match &site.instance {
        Some(name) => PathBuf::from(format!("{file}@{name}")),
        None => PathBuf::from(file),
    }
}

/// One assignment of a file in shell's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Where the value stands, quotes included.
    pub range: Range<usize>,
    /// The value, quotes off.
    pub value: String,
}

/// Returns the assignment to `name` that counts: the last one. A value in quotes may go over several lines.
pub fn assignment(text: &[u8], name: &str) -> Option<Assignment> {
    let mut found = None;
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
        let line = &text[at..end];
        let indent = line.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let content = &line[indent..];
        let mut next = end + 1;
        if let Some((word, start)) = assigned(content).map(|(word, start)| (word, at + indent + start)) {
            let stop = match text.get(start) {
                Some(quote @ (b'"' | b'\'')) => {
                    let close = text[start + 1..].iter().position(|byte| byte == quote);
                    close.map_or(end, |length| start + length + 2)
                }
                _ => text[start..end]
                    .iter()
                    .position(u8::is_ascii_whitespace)
                    .map_or(end, |length| start + length),
            };
            if word == name.as_bytes() {
                let raw = String::from_utf8_lossy(&text[start..stop]).replace("\\\n", "");
                found =
                    Some(Assignment { range: start..stop, value: raw.trim_matches(['"', '\'']).to_owned() });
            }
            // Lines inside a quoted value are no assignments.
            if stop > end {
                next =
                    text[stop..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |n| stop + n + 1);
            }
        }
        at = next;
    }
    found
}

/// Returns the name that a line assigns to, and where its value starts.
fn assigned(line: &[u8]) -> Option<(&[u8], usize)> {
    let skip = if line.starts_with(b"export ") { b"export ".len() } else { 0 };
    let equals = line[skip..].iter().position(|byte| *byte == b'=')?;
    let name = &line[skip..skip + equals];
    let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    (!name.is_empty() && name.iter().all(word)).then_some((name, skip + equals + 1))
}

/// Returns `text` with `value` assigned to `name`, all else as it is. A variable that is not there comes to the end.
pub fn assign(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    let mut out = text.to_vec();
    match assignment(text, name) {
        Some(found) if found.value == value => {}
        Some(found) => {
            out.splice(found.range, format!("\"{value}\"").into_bytes());
        }
        None => {
            let end = blocks::line_end(text);
            out.extend_from_slice(format!("{end}{name}=\"{value}\"\n").as_bytes());
        }
    }
    out
}

/// Returns how a module is loaded whose program is there, loaded or not.
pub(super) fn loadable(files: &dyn Files, site: &Site, file: &str, module: &Module) -> Option<Loadable> {
    let (identifier, program) = ["/usr/lib64/apache2", "/usr/lib/apache2"].into_iter().find_map(|dir| {
        let names = files.list(Path::new(dir)).unwrap_or_default();
        names.iter().find_map(|name| {
            let word = name.to_str()?.strip_prefix("mod_")?.strip_suffix(".so")?;
            let identifier = format!("{word}_module");
            (module.is)(&identifier).then(|| (identifier, Path::new(dir).join(name)))
        })
    })?;
    let program = program.to_string_lossy().into_owned();
    Some(Loadable { file: path_of(site, file), identifier, program })
}

/// Returns the identifier that a word of `APACHE_MODULES` means.
fn identifier(word: &str) -> String {
    format!("{}_module", word.strip_prefix("mod_").unwrap_or(word))
}

/// Returns `text` with those words of a kind of module that `was` has, all other words and lines as they are.
pub(super) fn words_back_to(text: &[u8], was: &[u8], kind: impl Fn(&str) -> bool) -> Vec<u8> {
    let of = |text: &[u8]| assignment(text, MODULES).map(|found| found.value);
    let is_kind = |word: &&str| kind(&identifier(word));
    let modules = of(was).unwrap_or_default();
    let Some(now) = of(text) else { return text.to_vec() };
    let had = |word: &str| modules.split_whitespace().any(|known| known == word);
    let kept = now.split_whitespace().filter(|word| !is_kind(word) || had(word));
    let gone = modules
        .split_whitespace()
        .filter(is_kind)
        .filter(|word| !now.split_whitespace().any(|known| known == *word));
    let words: Vec<&str> = kept.chain(gone).collect();
    if now.split_whitespace().eq(words.iter().copied()) {
        return text.to_vec();
    }
    assign(text, MODULES, &words.join(" "))
}

impl Work<'_> {
    /// Chooses the MPM by `APACHE_MPM`.
    pub(super) fn switch_mpm_variable(&mut self, file: &str) -> Result<(), Unreadable> {
        let (mpm, ground) = (self.ground.mpm, self.ground);
        let program = PathBuf::from(ground.site.layout.mpm_program.replace("{mpm}", mpm.name()));
        if !ground.files.is_file(&program) && program.parent().is_some_and(|dir| ground.files.is_dir(dir)) {
            self.findings.push(rules::host::HOST_007.finding(
                ("mpm", mpm.name()),
                format!("the {mpm} MPM is a program of its own here, and {} is missing", program.display()),
                format!(
                    "install the package {} first",
                    ground.site.layout.mpm_package.replace("{mpm}", mpm.name())
                ),
            ));
            return Ok(());
        }
        let own = path_of(ground.site, file);
        if !ground.files.is_file(&own) {
            // A new file with nothing but the MPM would unload every module.
            let error = format!("is missing, and the MPM is chosen in it; copy {file} there first");
            return Err(Unreadable { path: own, error });
        }
        self.edit(&own, |text| assign(text, MPM, mpm.name()))
    }

    /// Switches a module's word in `APACHE_MODULES`; tells whether it is there.
    pub(super) fn switch_word(
        &mut self,
        found: &Loadable,
        enabled: Option<bool>,
    ) -> Result<bool, Unreadable> {
        let file = &found.file;
        let is_it = |other: &str| identifier(other) == found.identifier;
        let text = self.text(file)?;
        let value = assignment(&text, MODULES).map_or_else(String::new, |found| found.value);
        let has = value.split_whitespace().any(is_it);
        match enabled {
            Some(true) if !has => {
                let word = found.identifier.strip_suffix("_module").unwrap_or(&found.identifier);
                let value = format!("{value} {word}");
                self.edit(file, |text| assign(text, MODULES, value.trim_start()))?;
            }
            Some(false) if has => {
                let kept: Vec<&str> = value.split_whitespace().filter(|word| !is_it(word)).collect();
                self.edit(file, |text| assign(text, MODULES, &kept.join(" ")))?;
            }
            _ => {}
        }
        Ok(has)
    }

    /// Gives the MPM and the features' words in the variables back as they were in `was`, in a file that another program or person
    /// changed since: all other words and lines stay.
    pub(super) fn give_variables_back(&mut self, file: &Path, was: &[u8]) -> Result<(), Unreadable> {
        let mpm = assignment(was, MPM).map(|found| found.value);
        let modules = self.ground.features.iter().flat_map(|feature| feature.modules);
        self.edit(file, |text| {
            let text = mpm.map_or_else(|| text.to_vec(), |mpm| assign(text, MPM, &mpm));
            modules.fold(text, |text, module| words_back_to(&text, was, module.is))
        })
    }

    /// Says that what is built in cannot be switched here.
    pub(super) fn refuse_built_in(&mut self) {
        let (mpm, now) = (self.ground.mpm, self.ground.configuration.mpms());
        if now == [mpm] {
            return;
        }
        let has = now
            .first()
            .map_or("which one could not be read".to_owned(), |now| format!("{now}, in this case"));
        self.findings.push(rules::modules::MOD_010.finding(
            ("mpm", mpm.name()),
            format!("the MPM is chosen when Apache is built here ({has}), not by its configuration"),
            format!("build it with APACHE2_MPMS=\"{mpm}\", or leave mpm out"),
        ));
    }

    /// Says that a module is loaded by an option of the start script, where that does not suit; tells whether it is
    /// loaded.
    pub(super) fn refuse_option(&mut self, module: &Module, enabled: Option<bool>, setting: &str) -> bool {
        let loaded = self.ground.configuration.modules.iter().any(|loaded| (module.is)(&loaded.identifier));
        if let Some(wanted) = enabled.filter(|wanted| *wanted != loaded) {
            let option = module.name.to_ascii_uppercase();
            let verb =
                if wanted { format!("add -D {option} to") } else { format!("take -D {option} out of") };
            self.findings.push(rules::modules::MOD_010.finding(
                (setting, if wanted { "true" } else { "false" }),
                format!("mod_{} is loaded by an option of the start script here", module.name),
                format!("{verb} APACHE2_OPTS in /etc/conf.d/apache2"),
            ));
        }
        loaded
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_assignment_counts_and_nothing_else_of_the_file_changes() {
        for (text, value, want) in [
            ("A=\"1\"\nM=\"old\" # why\nB=2\n", Some("old"), "A=\"1\"\nM=\"new\" # why\nB=2\n"),
            ("M=\"\"", Some(""), "M=\"new\""),
            ("M=\r\n", Some(""), "M=\"new\"\r\n"),
            (" export M='a b'\n", Some("a b"), " export M=\"new\"\n"),
            ("export M='a b'\nM=c\n", Some("c"), "export M='a b'\nM=\"new\"\n"),
            ("#M=\"x\"\nMM=1\nAM=2\n", None, "#M=\"x\"\nMM=1\nAM=2\nM=\"new\"\n"),
            ("X=\"a\nM=no\n\"\nM=yes\n", Some("yes"), "X=\"a\nM=no\n\"\nM=\"new\"\n"),
            ("M=\"a \\\n b\"\n", Some("a  b"), "M=\"new\"\n"),
            ("A=1", None, "A=1\nM=\"new\"\n"),
            ("M=\"open\n", Some("open"), "M=\"new\"\n"),
        ] {
            let found = assignment(text.as_bytes(), "M").map(|found| found.value);
            assert_eq!(found.as_deref(), value, "{text:?}");
            assert_eq!(String::from_utf8(assign(text.as_bytes(), "M", "new")).unwrap(), want, "{text:?}");
            let same = value.unwrap_or("new");
            let kept = String::from_utf8(assign(text.as_bytes(), "M", same)).unwrap();
            assert!(kept == text || value.is_none(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn only_the_value_changes_and_twice_is_once(
            lines in prop::collection::vec("[ \t]?#?(export )?(M|MM|A)?=?(\"[a-z =]{0,6}\"|'[a-z]{0,3}'|[a-z]{0,3})( #.{0,4})?\r?", 0..10),
            value in "[a-z]{0,6}",
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let once = assign(text.as_bytes(), "M", &value);
            prop_assert_eq!(&assign(&once, "M", &value), &once);
            prop_assert_eq!(assignment(&once, "M").map(|found| found.value), Some(value.clone()));
            prop_assert_eq!(
                assignment(&once, "A").map(|found| found.value),
                assignment(text.as_bytes(), "A").map(|found| found.value)
            );
            if let Some(found) = assignment(text.as_bytes(), "M") {
                prop_assert!(once.starts_with(&text.as_bytes()[..found.range.start]));
                prop_assert!(once.ends_with(&text.as_bytes()[found.range.end..]));
            } else {
                prop_assert!(once.starts_with(text.as_bytes()));
            }
        }
    }
}
