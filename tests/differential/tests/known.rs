//! Which directives httpd knows with which modules, asked of the real one by `<IfDirective>`.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use apache_tuning::facts::disk::Disk;
use apache_tuning::httpd::read::read;
use test_differential::oracle::{Case, Variables};
use test_differential::{Bed, shell, start_of, version_of};
use test_hosts::{Host, Release};

const MODULES: &str = "usr/lib/apache2/modules";

/// Returns every word in a program that could be a directive's name, whatever it is there for.
fn words_in(bytes: &[u8]) -> impl Iterator<Item = String> + '_ {
    bytes.split(|byte| *byte == 0).filter_map(|text| {
        let text = str::from_utf8(text).ok()?;
        let name = text.strip_prefix('<').unwrap_or(text);
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = (3..40).contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(named);
        is_name.then(|| text.to_owned())
    })
}

/// Returns the `LoadModule` lines for the modules of these names.
fn load(names: &[String]) -> String {
    let identifier = |name: &str| match name.strip_prefix("mod_").unwrap_or(name) {
        // The two whose identifier is not that of the file.
        "evasive20" => "evasive20_module".to_owned(),
        name => format!("{name}_module"),
    };
    let line = |name: &String| format!("LoadModule {} /{MODULES}/{name}.so\n", identifier(name));
    names.iter().map(line).collect()
}

/// Returns the candidates that httpd knows, by the names it was made to define.
fn known_to_httpd(host: &Host, loads: &str, candidates: &[&String]) -> BTreeSet<usize> {
    let mut text = format!("ServerName a\nListen 127.0.0.1:8099\nErrorLog /dev/null\n{loads}");
    for (index, name) in candidates.iter().enumerate() {
        let (ask, name) =
            name.strip_prefix('<').map_or(("IfDirective", name.as_str()), |name| ("IfSection", name));
        let _ = write!(text, "<{ask} {name}>\nDefine KNOWN_{index}\n</{ask}>\n");
    }
    host.write("/known.conf", text);
    let ran = host.sh("cd / && /usr/sbin/apache2 -f /known.conf -t -D DUMP_RUN_CFG");
    assert!(ran.success(), "{}", ran.stderr);
    let defined = |line: &str| line.strip_prefix("Define: KNOWN_")?.parse().ok();
    ran.stdout.lines().filter_map(defined).collect()
}

/// Returns the candidates that the tool does not refuse, each on a line of its own, where it was told of so many of the
/// modules that are built in.
fn known_to_the_tool(host: &Host, loads: &str, candidates: &[&String], built_in: usize) -> BTreeSet<usize> {
    let mut text = loads.to_owned();
    let before = text.lines().count();
    for name in candidates {
        // Each section is closed on the next line, so that two lines belong to every name.
        match name.strip_prefix('<') {
            Some(inner) => write!(text, "{name} x>\n</{inner}>\n").unwrap(),
            None => write!(text, "{name} x\n\n").unwrap(),
        }
    }
    host.write("/plain.conf", text);
    let shell = shell(host);
    let bed = Bed { root: host.root(), shell: &shell };
    let case = Case {
        folder: "/".to_owned(),
        main: "/plain.conf".to_owned(),
        defines: Vec::new(),
        prepare: String::new(),
        variables: Variables::Given(BTreeMap::new()),
    };
    let mut start = start_of(host.root(), &case, version_of(&bed).unwrap()).unwrap();
    start.built_in.truncate(built_in);
    let found = read(&Disk::new(host.root()), &start);
    let unknown = found.errors.iter().filter(|error| error.message.contains("does not know"));
    let unknown: BTreeSet<usize> = unknown.map(|error| (error.line as usize - before - 1) / 2).collect();
    (0..candidates.len()).filter(|index| !unknown.contains(index)).collect()
}

#[test]
fn what_httpd_knows_is_known_and_nothing_else() {
    // What the tool does at once or skips, so that no line of its own is left to refuse.
    const ACTED_ON: [&str; 11] = [
        "include",
        "includeoptional",
        "loadmodule",
        "define",
        "undefine",
        "use",
        "undefmacro",
        "error",
        "serverroot",
        "<macro",
        "<perl",
    ];
    for release in Release::ALL {
        let host = Host::of(release, test_hosts::Flavour::Event);
        let mut files: Vec<String> = fs::read_dir(host.path(MODULES))
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".so").map(str::to_owned)
            })
            .filter(|name| !name.starts_with("mod_mpm_"))
            .collect();
        files.sort();
        let mut words = BTreeSet::new();
        for name in
            files.iter().map(|name| format!("{MODULES}/{name}.so")).chain(["usr/sbin/apache2".to_owned()])
        {
            words.extend(words_in(&fs::read(host.path(&name)).unwrap()));
        }
        let mut seen = BTreeSet::new();
        words.retain(|word| {
            let lower = word.to_ascii_lowercase();
            // A condition is no section that could be empty, and `<Lua...` has lines of another language.
            let other = lower.starts_with("<if") || lower.starts_with("<lua") || lower.starts_with("<else");
            !other && !ACTED_ON.contains(&lower.as_str()) && seen.insert(lower)
        });
        let candidates: Vec<&String> = words.iter().collect();
        let mpm = vec!["mod_mpm_event".to_owned()];
        // Every other one of those that are no part of another.
        let whole = files.iter().filter(|name| name.matches('_').count() == 1 && *name != "mod_lua");
        let few: Vec<String> = whole.step_by(2).cloned().collect();
        for modules in [[mpm.clone(), files.clone()].concat(), [mpm.clone(), few].concat(), mpm] {
            let loads = load(&modules);
            let expected = known_to_httpd(&host, &loads, &candidates);
            // A family's row may not know of all that is built in.
            for built_in in [usize::MAX, 1] {
                let found = known_to_the_tool(&host, &loads, &candidates, built_in);
                let wrong = expected.symmetric_difference(&found);
                let wrong: Vec<&String> = wrong.take(20).map(|index| candidates[*index]).collect();
                assert!(wrong.is_empty(), "{release:?}, {} modules, {built_in}: {wrong:?}", modules.len());
            }
            assert!(expected.len() > 90 && candidates.len() > expected.len() * 5, "{}", expected.len());
        }
    }
}
