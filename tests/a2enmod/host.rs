//! Hosts to try: trees of files and links, random ones among them, on a disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use apache_tuning::modules::{Action, Kind, Options};
use apache_tuning::tree::{self, Draft, Files, Node};

use crate::script::Call;

/// Paths relative to the case's directory, and what is there. `@` at the start of a link is that directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Host(pub(crate) BTreeMap<String, Node>);

impl Host {
    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        self.put(path, Node::text(text));
        self
    }

    pub(crate) fn link(mut self, path: &str, text: &str) -> Self {
        self.put(path, Node::Link(text.into()));
        self
    }

    /// Adds a module that is available, with a `.conf`.
    pub(crate) fn module(self, name: &str, head: &str) -> Self {
        self.file(&format!("etc/apache2/mods-available/{name}.load"), &format!("{head}\nLoadModule\n"))
            .file(&format!("etc/apache2/mods-available/{name}.conf"), "")
    }

    /// Adds the links of a module, as a2enmod makes them.
    pub(crate) fn enabled(self, name: &str) -> Self {
        let link = |suffix: &str| format!("etc/apache2/mods-enabled/{name}.{suffix}");
        self.link(&link("load"), &format!("../mods-available/{name}.load"))
            .link(&link("conf"), &format!("../mods-available/{name}.conf"))
    }

    fn put(&mut self, path: &str, node: Node) {
        self.0.insert(path.to_owned(), node);
    }

    /// Makes `dir` hold exactly this, and the directories that every Debian host has.
    pub(crate) fn write(&self, dir: &Path) -> io::Result<()> {
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
        for sort in ["mods", "conf"] {
            for state in ["available", "enabled"] {
                fs::create_dir_all(dir.join(format!("etc/apache2/{sort}-{state}")))?;
            }
        }
        for (path, node) in &self.0 {
            let path = dir.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            match node {
                Node::Absent => {}
                Node::File(content) => fs::write(&path, content)?,
                Node::Link(text) => match text.strip_prefix("@") {
                    Ok(rest) => symlink(dir.join(rest), &path)?,
                    Err(_) => symlink(text, &path)?,
                },
            }
        }
        Ok(())
    }

    /// Returns what is there below `dir` in a view.
    pub(crate) fn read(files: &dyn Files, dir: &Path) -> io::Result<Self> {
        let mut host = Self::default();
        let mut dirs = vec![dir.to_owned()];
        while let Some(at) = dirs.pop() {
            for name in files.list(&at)? {
                let path = at.join(name);
                if files.link_kind(&path)? == tree::Kind::Dir {
                    dirs.push(path);
                    continue;
                }
                let node = match tree::node(files, &path)? {
                    Node::Link(text) => Node::Link(
                        text.strip_prefix(dir).map_or(text.clone(), |rest| Path::new("@").join(rest)),
                    ),
                    node => node,
                };
                host.put(path.strip_prefix(dir).unwrap().to_str().unwrap(), node);
            }
        }
        Ok(host)
    }

    /// Says what differs from here to `other`, a line each.
    pub(crate) fn difference(&self, other: &Self) -> String {
        let mut lines = String::new();
        for path in self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path))) {
            let (here, there) = (self.0.get(path), other.0.get(path));
            if here != there {
                let _ = writeln!(lines, "  {path}: {} -> {}", word(here), word(there));
            }
        }
        lines
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (path, node) in &self.0 {
            writeln!(f, "  {path}: {}", word(Some(node)))?;
        }
        Ok(())
    }
}

fn word(node: Option<&Node>) -> String {
    match node {
        None | Some(Node::Absent) => "nothing".to_owned(),
        Some(Node::File(content)) => format!("file \"{}\"", content.escape_ascii()),
        Some(Node::Link(text)) => format!("link to {}", text.display()),
    }
}

/// Returns what is there below `dir` in a draft.
pub(crate) fn drafted(draft: &Draft, dir: &Path) -> Host {
    Host::read(draft, dir).unwrap()
}

/// Sebastiano Vigna's splitmix64: small, and the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Returns true in `percent` of 100 calls.
    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Names of modules. Essential ones, the MPMs, neighbours that sort differently with and without regard to case and
/// suffix, and both of CGI's. Those of `cache_disk`, which makes the script call systemctl, and of files whose end
/// it takes for a suffix (`upload`) are left out.
const MODULES: &[&str] = &[
    "alias",
    "a",
    "a-b",
    "a_b",
    "B",
    "b1",
    "cgi",
    "cgid",
    "env",
    "mime",
    "mpm_event",
    "mpm_itk",
    "mpm_prefork",
    "mpm_worker",
    "php8.2",
    "proxy",
    "proxy_http",
    "ssl",
    "x.y",
    "zz",
];

/// Names of snippets, one of them a module's too.
const SNIPPETS: &[&str] = &["charset", "php8.2-fpm", "alias", "zz-tune"];

/// Returns a random host and random calls for it.
pub(crate) fn random(seed: u64) -> (Host, Vec<Call>) {
    let mut random = Random(seed);
    let names: Vec<&str> = MODULES.iter().copied().filter(|_| random.chance(60)).collect();
    let mut host = Host::default().file("outside/other.load", "# Depends: alias\n");
    for name in &names {
        module(&mut random, &mut host, name);
    }
    for name in SNIPPETS {
        if random.chance(70) {
            let head = head(&mut random);
            available(&mut random, &mut host, &format!("etc/apache2/conf-available/{name}.conf"), &head);
        }
        let chance = random.below(100);
        enabled(&mut random, &mut host, "conf", &format!("{name}.conf"), chance);
        markers(&mut random, &mut host, "conf", name);
    }
    let calls = (0..if random.chance(25) { 2 } else { 1 }).map(|_| call(&mut random, &names)).collect();
    (host, calls)
}

fn module(random: &mut Random, host: &mut Host, name: &str) {
    if random.chance(88) {
        let head = head(random);
        available(random, host, &format!("etc/apache2/mods-available/{name}.load"), &head);
    }
    if random.chance(50) {
        available(random, host, &format!("etc/apache2/mods-available/{name}.conf"), "");
    }
    let chance = random.below(100);
    enabled(random, host, "mods", &format!("{name}.load"), chance);
    // Mostly the same for both files of a module, or hardly any module would be sound.
    let chance = if random.chance(70) { chance } else { random.below(100) };
    enabled(random, host, "mods", &format!("{name}.conf"), chance);
    markers(random, host, "module", name);
}

/// Puts the file to be linked: mostly a file, sometimes itself a link, to another or to nothing.
fn available(random: &mut Random, host: &mut Host, path: &str, head: &str) {
    let node = match random.below(40) {
        0 => Node::Link("../../../outside/other.load".into()),
        1 => Node::Link(format!("{}.load", random.pick(MODULES)).into()),
        2 => Node::Link("gone".into()),
        _ => Node::text(head),
    };
    host.put(path, node);
}

/// Puts what enables a file: `chance` of 100 says what.
fn enabled(random: &mut Random, host: &mut Host, sort: &str, file: &str, chance: usize) {
    let path = format!("etc/apache2/{sort}-enabled/{file}");
    let node = match chance {
        0..35 => return,
        35..70 => Node::Link(format!("../{sort}-available/{file}").into()),
        70..75 => Node::Link(format!("@/etc/apache2/{sort}-available/{file}").into()),
        75..78 => Node::Link(format!(".././{sort}-enabled/../{sort}-available/{file}").into()),
        78..84 => Node::text(head(random)),
        84..88 => Node::Link(format!("../{sort}-available/{}.load", random.pick(MODULES)).into()),
        88..91 => Node::Link("@/outside/other.load".into()),
        91..95 => Node::Link(format!("../{sort}-available/gone").into()),
        95..97 => Node::Link("@/gone/gone".into()),
        // A circle of one link, and a way through a file.
        97 => Node::Link(file.into()),
        98 => Node::Link("@/outside/other.load/x".into()),
        _ => Node::Link("../../../outside/other.load".into()),
    };
    host.put(&path, node);
}

/// Returns a random head of a file: sound declarations, and everything that looks like one.
fn head(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..random.below(4) {
        let mut names = String::new();
        for _ in 0..random.below(3) {
            names.push_str(random.pick(MODULES));
            names.push_str(random.pick(&[" ", " ", "  ", "\t", ", "]));
        }
        let word = random.pick(&["Depends", "Conflicts"]);
        let _ = match random.below(20) {
            0 => writeln!(text, "#{word}: {names}"),
            1 => writeln!(text, " # {word}: {names}"),
            2 => writeln!(text, "#  {word}: {names}"),
            3 => writeln!(text, "# {}: {names}", word.to_lowercase()),
            4 => writeln!(text, "# {word}:{names}"),
            5 => writeln!(text, "# {word}: {names}\r"),
            6 => writeln!(text, "# {word}:\t{names}\u{a0}{names}"),
            7 => writeln!(text, "\n  # words about {names}\n \u{b}\t"),
            8 => writeln!(text, "LoadModule x\n# {word}: {names}"),
            _ => writeln!(text, "# {word}: {names}"),
        };
    }
    if random.chance(50) {
        text.push_str("LoadModule x_module x.so\n");
    }
    text
}

fn markers(random: &mut Random, host: &mut Host, sort: &str, name: &str) {
    if random.chance(50) {
        return;
    }
    for dir in ["enabled_by_admin", "enabled_by_maint", "disabled_by_admin", "disabled_by_maint", "old/deep"]
    {
        let path = format!("var/lib/apache2/{sort}/{dir}/{name}");
        match random.below(20) {
            0..5 => host.put(&path, Node::text("")),
            5 => host.put(&path, Node::text("words")),
            6 if dir == "old/deep" => host.put(&path, Node::Link("@/outside/other.load".into())),
            _ => {}
        }
    }
}

fn call(random: &mut Random, names: &[&str]) -> Call {
    let action = if random.chance(50) { Action::Enable } else { Action::Disable };
    let options = Options { force: random.chance(30), purge: random.chance(12) };
    let (kind, pool) = if random.chance(75) { (Kind::Module, names) } else { (Kind::Conf, SNIPPETS) };
    let mut wished: Vec<&str> = Vec::new();
    for _ in 0..=random.below(4) {
        let pool = if pool.is_empty() || random.chance(4) { MODULES } else { pool };
        wished.push(random.pick(pool));
    }
    Call::new(action, kind, options, &wished)
}

/// Returns `case` with everything taken out that the disagreement does not need.
pub(crate) fn shrunk(
    mut host: Host,
    mut calls: Vec<Call>,
    fails: &mut dyn FnMut(&Host, &[Call]) -> bool,
) -> (Host, Vec<Call>) {
    loop {
        let size = (host.0.len(), calls.iter().map(|call| call.names.len()).sum::<usize>());
        for path in host.0.keys().cloned().collect::<Vec<String>>() {
            let mut smaller = host.clone();
            smaller.0.remove(&path);
            if fails(&smaller, &calls) {
                host = smaller;
            }
        }
        for index in (0..calls.len()).rev() {
            for name in (0..calls[index].names.len()).rev() {
                let mut fewer = calls.clone();
                fewer[index].names.remove(name);
                fewer.retain(|call| !call.names.is_empty());
                if !fewer.is_empty() && fails(&host, &fewer) {
                    calls = fewer;
                    break;
                }
            }
            if index >= calls.len() {
                break;
            }
        }
        if (host.0.len(), calls.iter().map(|call| call.names.len()).sum::<usize>()) == size {
            return (host, calls);
        }
    }
}

/// Returns a directory for cases, in memory where there is one.
pub(crate) fn place() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("a2enmod-");
    builder.tempdir_in(memory).or_else(|_| builder.tempdir()).unwrap()
}
