//! Configurations as people have them: what the reader makes of each is written down beside it, and httpd agrees.
//!
//! A case in `tests/configurations/` begins with a sentence that says what it shows. Files follow, each below a line
//! `==== PATH`; `==== PATH -> TARGET` is a link, `==== PATH gone` takes out a file of the base that `==== base NAME`
//! brings in, and `==== expected` closes the case. `UPDATE_CONFIGURATIONS=1` writes what the reader says there; read
//! the difference before you keep it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use apache_tuning::httpd::Version;
use apache_tuning::httpd::effective::{effective, own_lines};
use apache_tuning::httpd::read::{Configuration, read};
use apache_tuning::tree::Memory;
use test_differential::oracle::{Case, MODULES, Variables, ask};
use test_differential::{Bed, Report, environment, inside, shell, start_of, version_of, write};
use test_hosts::Host;

/// What stands at a path.
enum Entry {
    File(String),
    Link(String),
}

/// One configuration.
struct Shape {
    path: PathBuf,
    name: String,
    entries: BTreeMap<String, Entry>,
    /// The text up to what is expected, as it stands.
    given: String,
    expected: String,
}

impl Shape {
    fn all() -> Vec<Self> {
        let folder = test_hosts::folders::workspace().join("tests/configurations");
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "case"))
            .collect();
        paths.sort();
        paths.into_iter().map(Self::load).collect()
    }

    fn load(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(&path).unwrap();
        let (given, expected) = match text.split_once("==== expected\n") {
            Some((given, expected)) => (given.to_owned(), expected.to_owned()),
            None => (text, String::new()),
        };
        let mut entries = BTreeMap::new();
        add(&mut entries, &given, path.parent().unwrap());
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { path, name, entries, given, expected }
    }

    fn main(&self) -> String {
        let main = ["/etc/apache2/apache2.conf", "/etc/httpd/conf/httpd.conf"];
        main.into_iter().find(|path| self.entries.contains_key(*path)).unwrap().to_owned()
    }

    fn case(&self) -> Case {
        let folder = format!("/cases/{}", self.name);
        Case {
            main: self.main(),
            defines: Vec::new(),
            prepare: format!("rm -rf /etc/apache2 /etc/httpd; cp -a {folder}/etc/. /etc/"),
            variables: Variables::Given(environment()),
            folder,
        }
    }

    /// Returns the files in memory, with a host's modules as empty files.
    fn memory(&self) -> Memory {
        let mut files = Memory::new();
        for module in [
            "cgi",
            "cgid",
            "evasive20",
            "macro",
            "mpm_event",
            "mpm_prefork",
            "mpm_worker",
            "proxy",
            "proxy_fcgi",
            "proxy_http",
            "rewrite",
        ] {
            files = files.file(format!("{MODULES}/mod_{module}.so"), "");
        }
        for (path, entry) in &self.entries {
            files = match entry {
                Entry::File(text) => files.file(path, text),
                Entry::Link(target) => files.link(path, target),
            };
        }
        files
    }

    fn read(&self, version: Version) -> Configuration {
        read(&self.memory(), &start_of(Path::new("/"), &self.case(), version).unwrap())
    }
}

/// Adds the files that a text describes.
fn add(entries: &mut BTreeMap<String, Entry>, text: &str, folder: &Path) {
    for part in text.split("==== ").skip(1) {
        let (head, body) = part.split_once('\n').unwrap();
        if let Some(base) = head.strip_prefix("base ") {
            let text = std::fs::read_to_string(folder.join(format!("base-{base}"))).unwrap();
            add(entries, &text, folder);
        } else if let Some(path) = head.strip_suffix(" gone") {
            assert!(entries.remove(path).is_some(), "{path} is not in the base");
        } else if let Some((path, target)) = head.split_once(" -> ") {
            entries.insert(path.to_owned(), Entry::Link(target.to_owned()));
        } else {
            entries.insert(head.to_owned(), Entry::File(body.to_owned()));
        }
    }
}

/// Writes down what the reader makes of a configuration: the MPM, what is set, what virtual hosts set, notes, errors.
fn outcome(ours: &Configuration, version: Version) -> String {
    let mut text = String::new();
    let at = |file, line| format!("{}:{line}", ours.path(file).display());
    let mpms = ours.mpms();
    let names: Vec<&str> = mpms.iter().map(|mpm| mpm.name()).collect();
    writeln!(text, "mpm {}", if names.is_empty() { "none".to_owned() } else { names.join(" ") }).unwrap();
    if let [mpm] = mpms[..] {
        for value in effective(ours, mpm, version, None) {
            let Some((path, line)) = &value.set_at else { continue };
            let used =
                if value.used == value.value { String::new() } else { format!(", used as {}", value.used) };
            writeln!(text, "{} {}{used} at {}:{line}", value.directive, value.value, path.display()).unwrap();
        }
    }
    for own in own_lines(ours) {
        let vhost = &ours.vhosts[own.vhost as usize];
        for line in own.lines {
            let name = vhost.name.as_deref().unwrap_or("-");
            let (words, place) = (line.words.join(" "), at(line.file, line.line));
            writeln!(text, "virtual host {name}: {} {words} at {place}", line.directive).unwrap();
        }
    }
    for note in &ours.notes {
        writeln!(text, "note {:?} at {}: {}", note.kind, at(note.file, note.line), note.text).unwrap();
    }
    for error in &ours.errors {
        writeln!(text, "error at {}:{}: {}", error.file.display(), error.line, error.message).unwrap();
    }
    text
}

#[test]
fn every_shape_comes_out_as_written_down() {
    let update = std::env::var_os("UPDATE_CONFIGURATIONS").is_some();
    let shapes = Shape::all();
    assert!(shapes.len() >= 40, "{}", shapes.len());
    let mut wrong = String::new();
    for shape in shapes {
        let version = Version::NEWEST_KNOWN;
        let found = outcome(&shape.read(version), version);
        if update {
            std::fs::write(&shape.path, format!("{}==== expected\n{found}", shape.given)).unwrap();
        } else if found != shape.expected {
            write!(wrong, "\n{}: found\n{found}expected\n{}", shape.name, shape.expected).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn httpd_reads_every_shape_as_the_reader_does() {
    let host = Host::debian12();
    let shell = shell(&host);
    let bed = Bed { root: host.root(), shell: &shell };
    let version = version_of(&bed).unwrap();
    let shapes = Shape::all();
    for shape in &shapes {
        let folder = inside(host.root(), &format!("/cases/{}", shape.name));
        for (path, entry) in &shape.entries {
            let path = inside(&folder, path);
            match entry {
                Entry::File(text) => write(&path, text.as_bytes()).unwrap(),
                Entry::Link(target) => {
                    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                    std::os::unix::fs::symlink(target, path).unwrap();
                }
            }
        }
    }
    let cases: Vec<Case> = shapes.iter().map(Shape::case).collect();
    let mut report = Report::default();
    for (shape, answer) in shapes.iter().zip(ask(&bed, &cases).unwrap()) {
        let root = inside(host.root(), &format!("/cases/{}", shape.name));
        report.compare(&shape.name, &root, &answer, &shape.read(version));
    }
    assert!(report.differences.is_empty(), "{report}");
    assert!(report.accepted >= 30, "{report}");
}
