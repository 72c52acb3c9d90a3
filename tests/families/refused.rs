//! What cannot be done is said, with what was found and what to do, by the program itself, and nothing is written.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use apache_tuning::distro::ModuleSwitch;
use apache_tuning::httpd::Mpm;
use apache_tuning::tree::{Change, Files, Memory, Node};
use serde_json::{Value, json};

use crate::tried::{Host, Tried, everything};

/// One broken host: what is wrong, its files, what is asked of it, and words of the refusal: what was found, what to do.
type Broken = (&'static str, Memory, Value, [String; 2]);

fn put(files: &Memory, path: impl AsRef<Path>, after: Node) -> Memory {
    let mut files = files.clone();
    let path = path.as_ref().to_owned();
    let before = apache_tuning::tree::node(&files, &path).unwrap_or(Node::Absent);
    files.apply(&[Change::new(path, before, after)]);
    files
}

/// Returns the file with each line that `of` accepts replaced.
fn lines(files: &Memory, path: &Path, of: impl Fn(&str) -> Option<String>) -> Memory {
    let text = String::from_utf8(files.read(path).unwrap().to_vec()).unwrap();
    let text: String =
        text.split_inclusive('\n').map(|line| of(line).unwrap_or_else(|| line.to_owned())).collect();
    put(files, path, Node::text(text))
}

/// Returns the host with exactly these MPMs chosen, in the family's way.
fn with_mpms(host: &Host, modules: ModuleSwitch, mpms: &[Mpm]) -> Memory {
    let chosen = |line: &str| {
        let mpm = Mpm::ALL.into_iter().find(|mpm| line.contains(mpm.module()))?;
        Some(format!("{}{}", if mpms.contains(&mpm) { "" } else { "#" }, line.trim_start_matches('#')))
    };
    match modules {
        ModuleSwitch::Lines { .. } => lines(&host.files, Path::new(host.switch), |line| {
            line.contains("LoadModule").then(|| chosen(line)).flatten()
        }),
        ModuleSwitch::LinkFarm => Mpm::ALL.iter().fold(host.files.clone(), |files, mpm| {
            let path = format!("/etc/apache2/mods-enabled/mpm_{mpm}.load");
            let link = Node::Link(format!("../mods-available/mpm_{mpm}.load").into());
            put(&files, path, if mpms.contains(mpm) { link } else { Node::Absent })
        }),
        ModuleSwitch::Sysconfig { file } => lines(&host.files, Path::new(file), |line| {
            line.starts_with("APACHE_MPM=").then(|| "APACHE_MPM=\"itk\"\n".to_owned())
        }),
        ModuleSwitch::BuiltIn => {
            put(&host.files, "/var/db/pkg/www-servers/apache-2.4.66/USE", Node::text(""))
        }
    }
}

fn broken(host: &Host) -> Vec<Broken> {
    let tried = Tried::new(host);
    let site = tried.asks(&json!({})).host.site;
    let modules = site.layout.modules;
    let now = tried.mpm().unwrap();
    let keepalive = json!({"keepalive": {"enabled": true, "timeout": 3}});
    let words = |found: &str, to_do: &str| [found.to_owned(), to_do.to_owned()];
    let main = site.main_file();
    let mut cases = vec![(
        "none active",
        with_mpms(host, modules, &[]),
        keepalive.clone(),
        words("no MPM is loaded", "mpm"),
    )];
    if matches!(modules, ModuleSwitch::Lines { .. } | ModuleSwitch::LinkFarm) {
        let two = &host.mpms[..2];
        let found = words("more than one MPM is loaded", "mpm");
        cases.push(("two active", with_mpms(host, modules, two), keepalive.clone(), found));
    }
    let other = host.mpms.iter().copied().find(|mpm| *mpm != now);
    if let Some(program) = other.and_then(|mpm| apache_tuning::plan::mpm_program(&host.files, &site, mpm)) {
        let real = apache_tuning::tree::resolve(&host.files, &program).unwrap();
        // Where the MPMs come with httpd's own package, that one is installed already.
        let own_package = !matches!(modules, ModuleSwitch::Lines { .. })
            || site.layout.mpm_package.contains("{mpm}")
            || host.mpms.len() == 1;
        let to_do = if own_package { "install the package" } else { "whose program is there" };
        let found = words(program.file_name().unwrap().to_str().unwrap(), to_do);
        let asked = json!({"mpm": other.unwrap().name(), "waive": ["PHP-004", "PHP-005"]});
        cases.push(("no program", put(&host.files, real, Node::Absent), asked, found));
    }
    let looping = Node::Link(main.clone());
    let found = words(main.to_str().unwrap(), "fix this");
    cases.push(("main file unreadable", put(&host.files, &main, looping), keepalive.clone(), found));
    let drop_in = site.drop_in();
    let dir = host.files.clone().file(drop_in.join("x"), "");
    let found = words(drop_in.to_str().unwrap(), "fix this");
    cases.push(("a directory in the way", dir, keepalive.clone(), found));
    let mut told = keepalive.clone();
    told["facts"] = json!({"distribution": "plan9"});
    let found = words(&format!("laid out as on {}", site.layout.name), "leave it out");
    cases.push(("told an unknown distribution", host.files.clone(), told, found));
    let os = put(&host.files, "/etc/os-release", Node::text("ID=plan9\n"));
    let found = words("this host is plan9", "give facts.distribution");
    cases.push(("unknown", put(&os, &main, Node::Absent), keepalive.clone(), found));
    let found = words(main.to_str().unwrap(), "install the package");
    cases.push(("not installed", put(&host.files, &main, Node::Absent), keepalive.clone(), found));
    let stranger = if site.layout.name == "debian" { "rocky" } else { "debian" };
    let os = Node::text(format!("ID={stranger}\n"));
    let found = words(&format!("laid out as on {}", site.layout.name), "give facts.distribution");
    cases.push(("disagreeing", put(&host.files, "/etc/os-release", os), keepalive, found));
    cases
}

/// Writes the tree below a directory.
fn on_disk(files: &Memory) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, node) in everything(files) {
        let path = root.path().join(path.strip_prefix("/").unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::File(text) => std::fs::write(path, text).unwrap(),
            Node::Link(target) => symlink(target, path).unwrap(),
            Node::Absent => {}
        }
    }
    root
}

/// Returns every path with what would differ if it had been written: number, mode, times and size.
fn listing(root: &Path) -> BTreeMap<PathBuf, (u64, u32, i64, i64, u64)> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let about = path.symlink_metadata().unwrap();
            if about.is_dir() {
                dirs.push(path.clone());
            }
            found.insert(
                path,
                (about.ino(), about.mode(), about.mtime_nsec(), about.ctime_nsec(), about.size()),
            );
        }
    }
    found
}

/// Runs the program as Ansible does.
fn run(root: &Path, asked: &Value) -> Value {
    let mut asked = asked.clone();
    asked["root"] = root.to_str().into();
    asked["config_test"] = false.into();
    let task = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(task.path(), asked.to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_apache-tuning")).arg(task.path()).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_broken_host_is_refused_with_what_was_found_and_nothing_is_written() {
    for host in crate::hosts() {
        for (what, files, asked, words) in broken(&host) {
            let root = on_disk(&files);
            let before = listing(root.path());
            let answer = run(root.path(), &asked);
            // All errors, not only the first.
            let message = format!("{} {}", answer["msg"], answer["findings"]);
            assert_eq!(answer["failed"], true, "{} {what}: {answer}", host.name);
            assert_ne!(answer["changed"], true, "{} {what}: {answer}", host.name);
            for word in words {
                assert!(message.contains(&word), "{} {what}: {word:?} is not in {message}", host.name);
            }
            assert_eq!(listing(root.path()), before, "{} {what}", host.name);
        }
        // What is fine on the same tree changes it.
        let root = on_disk(&host.files);
        let before = listing(root.path());
        let answer = run(root.path(), &json!({"keepalive": {"enabled": true, "timeout": 3}}));
        assert_eq!(answer["changed"], true, "{}: {answer}", host.name);
        assert_ne!(listing(root.path()), before, "{}", host.name);
    }
}
