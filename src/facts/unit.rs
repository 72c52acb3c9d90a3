//! What a unit of systemd starts a service with.
//!
//! Source: `systemd.exec(5)` for `Environment=`, `EnvironmentFile=` and `PassEnvironment=`, `systemd.service(5)` for the
//! command line, `systemd.syntax(7)` for quotes, `systemd.unit(5)` for specifiers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::systemd::Settings;
use crate::httpd::start::Unit;
use crate::tree::Files;

/// Returns what a unit sets; `None` where there is no such unit.
pub fn unit(files: &dyn Files, name: &str) -> Option<Unit> {
    let settings = Settings::of_unit(files, name);
    let mut unit = Unit { files: settings.files().into_iter().collect(), ..Unit::default() };
    if unit.files.is_empty() {
        return None;
    }
    for (text, _) in settings.get_all("Environment") {
        let pairs = words(text).into_iter().map(|word| specified(&word, name));
        unit.environment.extend(pairs.filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        }));
    }
    for (text, _) in settings.get_all("EnvironmentFile") {
        let path = specified(text.trim().trim_start_matches('-'), name);
        let path = PathBuf::from(path.trim_matches('"'));
        if let Ok(content) = files.read(&path) {
            unit.environment.extend(environment_file(&String::from_utf8_lossy(&content)));
            unit.files.push(path);
        }
    }
    for (text, _) in settings.get_all("UnsetEnvironment") {
        for word in words(text) {
            unit.environment.remove(&word);
        }
    }
    for (text, _) in settings.get_all("PassEnvironment") {
        unit.passed.extend(words(text).into_iter().filter(|name| !unit.environment.contains_key(name)));
    }
    if let Some((text, _)) = settings.get_all("ExecStart").last() {
        let text = text.trim_start_matches(['-', '@', ':', '+', '!']);
        unit.start =
            words(text).into_iter().flat_map(|word| expanded(&word, name, &unit.environment)).collect();
    }
    Some(unit)
}

/// Returns the manager's own variables for all services.
pub fn of_manager(files: &dyn Files) -> BTreeMap<String, String> {
    let settings = Settings::of_manager(files);
    let all: Vec<String> = settings.get_all("DefaultEnvironment").flat_map(|(text, _)| words(text)).collect();
    all.iter()
        .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect()
}

/// Splits a line into words and takes quotes off.
fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', quote) if quote != Some('\'') => {
                let escaped = letters.next().unwrap_or('\\');
                word.get_or_insert_default().push(match escaped {
                    's' => ' ',
                    't' => '\t',
                    other => other,
                });
            }
            (letter, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (letter, None) if letter.is_ascii_whitespace() => all.extend(word.take()),
            (letter, _) => word.get_or_insert_default().push(letter),
        }
    }
    all.extend(word);
    all
}

/// Returns a text with the specifiers of a unit's name replaced.
fn specified(text: &str, unit: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let (prefix, instance) = unit.split_once('@').unwrap_or((unit, ""));
    let mut out = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('i' | 'I') => out.push_str(instance),
            Some('n') => out.push_str(&format!("{unit}.service")),
            Some('N') => out.push_str(unit),
            Some('p' | 'P') => out.push_str(prefix),
            Some('%') | None => out.push('%'),
            Some(other) => out.extend(['%', other]),
        }
    }
    out
}

/// Returns what a word of a command line becomes: `$NAME` alone is split into words, `${NAME}` is not.
fn expanded(word: &str, unit: &str, environment: &BTreeMap<String, String>) -> Vec<String> {
    let word = specified(word, unit);
    let value = |name: &str| environment.get(name).map_or("", String::as_str);
    if let Some(name) = word.strip_prefix('$').filter(|name| !name.starts_with(['{', '$'])) {
        return words(value(name));
    }
    let mut out = String::new();
    let mut rest = word.as_str();
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(value(name));
        rest = behind;
    }
    out.push_str(rest);
    vec![out.replace("$$", "$")]
}

/// Reads a file of variables as systemd does, which is no shell.
fn environment_file(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let text = text.replace("\\\n", "");
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim();
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name {
            let value = value.trim();
            let quoted =
                ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
            found.insert(name.to_owned(), quoted.unwrap_or(value).to_owned());
        }
    }
    found
}

/// Tells whether systemd is there to start services, running or not.
pub fn is_installed(files: &dyn Files) -> bool {
    ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].iter().any(|path| files.is_file(Path::new(path)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn variables_of_units_files_and_drop_ins_come_together_in_the_command() {
        let files = Memory::new()
            .file(
                "/usr/lib/systemd/system/httpd@.service",
                "[Service]\nEnvironment=LANG=C\nEnvironment=HTTPD_INSTANCE=%i\n\
                 EnvironmentFile=-/etc/sysconfig/httpd\nEnvironmentFile=-/etc/gone\n\
                 ExecStart=/usr/sbin/httpd $OPTIONS -DFOREGROUND -f conf/%i.conf -C \"Define X ${LANG}\"\n",
            )
            .file("/etc/sysconfig/httpd", "# x\nOPTIONS=\"-D ONE -DTWO\"\nB = 'b c'\n; OPTIONS=no\n")
            .file(
                "/etc/systemd/system/httpd@blue.service.d/x.conf",
                "[Service]\nEnvironment=\"A=1 2\" LANG=de\nPassEnvironment=SECRET A\n",
            );
        let found = unit(&files, "httpd@blue").unwrap();
        let start = "/usr/sbin/httpd|-D|ONE|-DTWO|-DFOREGROUND|-f|conf/blue.conf|-C|Define X de";
        assert_eq!(found.start.join("|"), start);
        let pairs: Vec<String> =
            found.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(pairs, ["A=1 2", "B=b c", "HTTPD_INSTANCE=blue", "LANG=de", "OPTIONS=-D ONE -DTWO"]);
        assert_eq!(found.passed, ["SECRET"]);
        assert_eq!(found.files.len(), 3);
        assert_eq!(unit(&files, "apache2"), None);
    }

    #[test]
    fn an_empty_assignment_begins_anew() {
        let files = Memory::new()
            .file("/lib/systemd/system/httpd.service", "[Service]\nEnvironment=A=1\nExecStart=/usr/sbin/httpd -DA\n")
            .file(
                "/etc/systemd/system/httpd.service.d/o.conf",
                "[Service]\nEnvironment=\nEnvironment=OPTIONS=-DMINE\nExecStart=\nExecStart=/usr/sbin/httpd -DB $OPTIONS\n",
            );
        let found = unit(&files, "httpd").unwrap();
        assert_eq!(found.start, ["/usr/sbin/httpd", "-DB", "-DMINE"]);
        assert_eq!(found.environment.len(), 1);
    }
}
