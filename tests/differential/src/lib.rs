//! The reader of httpd's configuration against httpd itself.
//!
//! A case is a folder of configuration files, hand-written or made up by chance ([`trees`]). The real program says
//! which files it reads, which modules it loads and which directives are left when all conditions are decided
//! ([`oracle`]); [`compare`] looks for any difference from what the reader says.

pub mod compare;
pub mod oracle;
pub mod trees;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use apache_tuning::facts::disk::Disk;
use apache_tuning::httpd::Version;
use apache_tuning::httpd::read::{Configuration, Start, read};
use apache_tuning::httpd::start::shell;
use test_hosts::Host;

use crate::oracle::Variables;

/// Where httpd can be asked: a root directory that holds it, and a way to run a line of shell in there.
pub struct Bed<'a> {
    /// The root directory as this machine sees it.
    pub root: &'a Path,
    /// Runs a line of shell inside and returns what it printed.
    pub shell: &'a dyn Fn(&str) -> Result<String>,
}

/// What was compared.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases compared.
    pub cases: usize,
    /// Those that httpd accepted.
    pub accepted: usize,
    /// Files read, over all cases.
    pub files: usize,
    /// Managed directives in force, over all cases.
    pub directives: usize,
    /// Differences, each with the folder of its case.
    pub differences: Vec<String>,
}

impl Report {
    /// Compares one answer of httpd with what the reader made of the same files, which are under `root`.
    pub fn compare(&mut self, name: &str, root: &Path, answer: &oracle::Answer, ours: &Configuration) {
        self.cases += 1;
        self.accepted += usize::from(answer.accepted);
        self.files += answer.files.len();
        let found = compare::differences(root, answer, ours);
        self.directives += found.directives;
        for difference in found.list {
            let mut text = format!("{name}: {difference}");
            if !answer.stderr.is_empty() {
                let _ = write!(text, "\n    httpd: {}", answer.stderr.trim().replace('\n', "\n    "));
            }
            self.differences.push(text);
        }
    }

    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.accepted += other.accepted;
        self.files += other.files;
        self.directives += other.directives;
        self.differences.extend(other.differences);
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cases, accepted, files, directives, differences } = self;
        write!(
            f,
            "{cases} cases ({accepted} accepted by httpd), {files} files, {directives} directives, {} differences",
            differences.len()
        )?;
        differences.iter().try_for_each(|difference| write!(f, "\n{difference}"))
    }
}

/// Compares the reader with httpd on made-up trees number `first` and on, and returns what was found. The trees
/// that differ stay in `folder` (a path inside the bed's root), the others are removed.
pub fn random_trees(bed: &Bed<'_>, folder: &str, first: u64, count: u64) -> Result<Report> {
    const BATCH: u64 = 100;
    let modules = modules_of(bed)?;
    let mut report = Report::default();
    let mut number = first;
    while number < first + count {
        let end = (number + BATCH).min(first + count);
        let mut cases = Vec::new();
        for number in number..end {
            let case = format!("{folder}/{number}");
            let tree = trees::tree(number, &case, &modules);
            for (path, content) in &tree.files {
                write(&inside(bed.root, path), content)?;
            }
            for (path, target) in &tree.links {
                let link = inside(bed.root, path);
                std::os::unix::fs::symlink(target, &link)
                    .with_context(|| format!("linking {}", link.display()))?;
            }
            cases.push(oracle::Case {
                folder: case,
                main: tree.main,
                defines: tree.defines,
                prepare: String::new(),
                variables: Variables::Given(environment()),
            });
        }
        let found = compare_all(bed, &cases)?;
        let differing: Vec<&String> = found.differences.iter().collect();
        for case in &cases {
            if !differing.iter().any(|text| text.starts_with(&format!("{}:", case.folder))) {
                std::fs::remove_dir_all(inside(bed.root, &case.folder))?;
            }
        }
        report.add(found);
        number = end;
    }
    Ok(report)
}

/// Asks httpd about all cases in one go and compares each answer with the reader's.
pub fn compare_all(bed: &Bed<'_>, cases: &[oracle::Case]) -> Result<Report> {
    let answers = oracle::ask(bed, cases)?;
    let version = version_of(bed)?;
    let mut report = Report::default();
    for (case, answer) in cases.iter().zip(&answers) {
        let configuration = read(&Disk::new(bed.root), &start_of(bed.root, case, version)?);
        report.compare(&case.folder, bed.root, answer, &configuration);
    }
    Ok(report)
}

/// Returns how the tool would start to read a case on Debian.
pub fn start_of(root: &Path, case: &oracle::Case, version: Version) -> Result<Start> {
    let environment = match &case.variables {
        Variables::Given(list) => list.clone(),
        Variables::Script(path) => {
            shell::read(&Disk::new(root), Path::new(path), &BTreeMap::new(), &BTreeMap::new()).environment
        }
    };
    Ok(Start {
        first: Vec::new(),
        then: Vec::new(),
        unknown: apache_tuning::httpd::start::Unknown::default(),
        binary: "/usr/sbin/apache2".into(),
        file: PathBuf::from(&case.main),
        server_root: PathBuf::from("/etc/apache2"),
        version,
        built_in: [
            ("core_module", "core.c"),
            ("so_module", "mod_so.c"),
            ("watchdog_module", "mod_watchdog.c"),
            ("http_module", "http_core.c"),
            ("log_config_module", "mod_log_config.c"),
            ("logio_module", "mod_logio.c"),
            ("version_module", "mod_version.c"),
            ("unixd_module", "mod_unixd.c"),
        ]
        .map(|(identifier, source)| (identifier.to_owned(), source.to_owned()))
        .to_vec(),
        defines: case.defines.clone(),
        environment,
        table: &apache_tuning::registry::TABLE,
    })
}

/// Returns a way to run a line of shell in a test host.
pub fn shell(host: &Host) -> impl Fn(&str) -> Result<String> + '_ {
    |line| Ok(host.sh(line).stdout)
}

/// The variables httpd is started with.
pub fn environment() -> BTreeMap<String, String> {
    [
        ("APACHE_RUN_DIR", "/tmp"),
        ("APACHE_LOG_DIR", "/tmp"),
        ("APACHE_PID_FILE", "/tmp/none.pid"),
        ("APACHE_RUN_USER", "nobody"),
        ("APACHE_RUN_GROUP", "nogroup"),
        ("APACHE_LOCK_DIR", "/tmp"),
        ("LOW", "low value"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Returns the version of the bed's httpd.
pub fn version_of(bed: &Bed<'_>) -> Result<Version> {
    let text = (bed.shell)("/usr/sbin/apache2 -v")?;
    let number = text.split_once("Apache/").map_or("", |(_, rest)| rest);
    Version::parse(number).with_context(|| format!("no version in {text:?}"))
}

/// Returns the names of the `.so` files in the bed.
fn modules_of(bed: &Bed<'_>) -> Result<Vec<String>> {
    let folder = inside(bed.root, oracle::MODULES);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Returns where a path inside the bed is on this machine.
pub fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Writes a file and makes its folder.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    std::fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}
