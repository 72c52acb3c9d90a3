//! Hosts for the rules, built in a few words.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use apache_tuning::capacity::MemoryNeed;
use apache_tuning::distro::LAYOUTS;
use apache_tuning::facts::disk::Disk;
use apache_tuning::facts::{Known, Machine, Running};
use apache_tuning::features::evasive::{Build, Generation};
use apache_tuning::httpd::core_directives;
use apache_tuning::httpd::directives::Parser;
use apache_tuning::httpd::effective;
use apache_tuning::httpd::moved::{InForce, moved_until_restart};
use apache_tuning::httpd::normalise::{Normal, Written, normalise_with_buckets};
use apache_tuning::httpd::read::startup::{self, Startup};
use apache_tuning::httpd::read::{
    Configuration, Line, Module, Note, NoteKind, ReadError, ReadFile, Scope, Start, Vhost,
};
use apache_tuning::httpd::start::Unknown;
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params::Params;
use apache_tuning::registry::{FEATURES, TABLE};
use apache_tuning::report::{Finding, Need};
use apache_tuning::rules::{self, Context};
use apache_tuning::tree::{Change, Files, Kind, Memory, Node, Space, Status};
use apache_tuning::units::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The main file.
const MAIN: &str = "/etc/apache2/apache2.conf";

/// A build of mod_evasive: symbol, generation, directive for the status.
pub(crate) type BuildOf = (&'static str, Generation, Option<&'static str>);

pub(crate) const ONE: BuildOf = ("evasive20_module", Generation::One, Some("DOSHTTPResponseCode"));
pub(crate) const FORK: BuildOf = ("evasive_module", Generation::Two, Some("DOSHTTPStatus"));
pub(crate) const EPEL: BuildOf = ("evasive20_module", Generation::One, None);

/// A host as the rules see it.
pub(crate) struct Host {
    mpm: Mpm,
    version: Version,
    params: Value,
    before: Configuration,
    after: Configuration,
    machine: Machine,
    facts: rules::Host<'static>,
    build: Option<Build>,
    running: Option<Running>,
    need: Need,
    changes: Vec<Change>,
    audit: bool,
    start: Option<(Startup, Memory)>,
    startup: Option<Startup>,
    disk: Option<(Rc<TempDir>, Option<Space>)>,
    now: Option<u64>,
}

/// A real directory as the host's files, on a file system that may be told to have other room.
struct OnDisk {
    disk: Disk,
    space: Option<Space>,
}

impl Files for OnDisk {
    fn read(&self, path: &Path) -> std::io::Result<Arc<[u8]>> {
        self.disk.read(path)
    }

    fn link_kind(&self, path: &Path) -> std::io::Result<Kind> {
        self.disk.link_kind(path)
    }

    fn read_link(&self, path: &Path) -> std::io::Result<PathBuf> {
        self.disk.read_link(path)
    }

    fn list(&self, dir: &Path) -> std::io::Result<Vec<OsString>> {
        self.disk.list(dir)
    }

    fn status(&self, path: &Path) -> Option<Status> {
        self.disk.status(path)
    }

    fn space(&self, path: &Path) -> Option<Space> {
        self.space.or_else(|| self.disk.space(path))
    }
}

pub(crate) fn event() -> Host {
    of(Mpm::Event)
}

pub(crate) fn worker() -> Host {
    of(Mpm::Worker)
}

pub(crate) fn prefork() -> Host {
    of(Mpm::Prefork)
}

/// Returns a host with nothing set, no limit that binds, and nothing running.
pub(crate) fn of(mpm: Mpm) -> Host {
    let known = |value| Some(Known { value, source: "test".to_owned() });
    let mut after = Configuration { table: &TABLE, ..Configuration::default() };
    after.files.push(ReadFile { path: "/etc/apache2/apache2.conf".into(), included_at: None, depth: 0 });
    after.modules.push(Module {
        identifier: mpm.module().to_owned(),
        path: "m.so".to_owned(),
        loaded_at: None,
    });
    Host {
        mpm,
        version: Version::NEWEST_KNOWN,
        params: json!({}),
        before: after.clone(),
        after,
        machine: Machine {
            memory: Some(Known { value: Bytes(1 << 60), source: "test".to_owned() }),
            open_files: known(u64::MAX),
            tasks_max: known(u64::MAX),
            threads_max: known(u64::MAX),
            pid_max: known(u64::MAX),
            somaxconn: known(u64::MAX),
            ..Machine::default()
        },
        facts: rules::Host::default(),
        build: None,
        running: None,
        need: Need::None,
        changes: Vec::new(),
        audit: false,
        start: None,
        startup: None,
        disk: None,
        now: None,
    }
}

fn line(text: &str, number: usize, scope: Scope) -> Line {
    let (name, rest) = text.split_once(' ').unwrap();
    let row = TABLE.find(name.as_bytes()).unwrap();
    let words = if row.parser == Parser::Raw {
        vec![rest.to_owned()]
    } else {
        rest.split_whitespace().map(str::to_owned).collect()
    };
    let line = u32::try_from(number + 1).unwrap();
    Line { directive: row.name, written: name.to_owned(), words, file: 0, line, scope }
}

impl Host {
    /// Adds lines of the main server.
    pub(crate) fn main(mut self, lines: &[&str]) -> Self {
        let lines = lines.iter().enumerate().map(|(number, text)| line(text, number, Scope::Main));
        self.after.lines.extend(lines);
        self
    }

    /// Puts lines of the main server that the change leaves alone.
    pub(crate) fn standing(self, lines: &[&str]) -> Self {
        self.before(lines).main(lines)
    }

    /// Puts the lines of the main server before the change.
    pub(crate) fn before(mut self, lines: &[&str]) -> Self {
        self.before.lines = lines.iter().enumerate().map(|(n, text)| line(text, n, Scope::Main)).collect();
        self
    }

    /// Adds a virtual host.
    pub(crate) fn vhost(mut self, address: &str, lines: &[&str]) -> Self {
        let index = u32::try_from(self.after.vhosts.len()).unwrap();
        let addresses = vec![address.to_owned()];
        self.after.vhosts.push(Vhost { addresses, name: None, file: 0, line: 1 });
        let lines = lines.iter().enumerate().map(|(n, text)| line(text, n, Scope::Vhost(index)));
        self.after.lines.extend(lines);
        self
    }

    pub(crate) fn logs(mut self, count: u64) -> Self {
        self.after.logs = count;
        self
    }

    pub(crate) fn module(mut self, identifier: &str, path: &str) -> Self {
        let module = Module { identifier: identifier.to_owned(), path: path.to_owned(), loaded_at: None };
        self.after.modules.push(module);
        self
    }

    /// Adds a module that the change takes out.
    pub(crate) fn dropped(mut self, identifier: &str) -> Self {
        let module = Module { identifier: identifier.to_owned(), path: "x.so".to_owned(), loaded_at: None };
        self.before.modules.push(module);
        self
    }

    pub(crate) fn note(mut self, kind: NoteKind, text: &str) -> Self {
        self.after.notes.push(Note { kind, file: 0, line: 7, text: text.to_owned() });
        self
    }

    pub(crate) fn error(mut self, message: &str) -> Self {
        let file = "/etc/apache2/apache2.conf".into();
        self.after.errors.push(ReadError { file, line: 9, message: message.to_owned() });
        self
    }

    /// Merges parameters into those of the task.
    pub(crate) fn params(mut self, params: Value) -> Self {
        let Value::Object(more) = params else { panic!("parameters are an object") };
        self.params.as_object_mut().unwrap().extend(more);
        self
    }

    pub(crate) fn settings(self, settings: Value) -> Self {
        self.params(json!({ "settings": settings }))
    }

    /// Makes the task manage the MPM's numbers, none of them set.
    pub(crate) fn manages(self) -> Self {
        self.settings(json!({}))
    }

    pub(crate) fn memory(self, size: &str, memory: Value) -> Self {
        let value = Bytes::parse(size).unwrap();
        self.params(json!({ "memory": memory }))
            .machine(|machine| machine.memory = Some(Known { value, source: "test".to_owned() }))
    }

    pub(crate) fn machine(mut self, change: impl FnOnce(&mut Machine)) -> Self {
        change(&mut self.machine);
        self
    }

    pub(crate) fn facts(mut self, change: impl FnOnce(&mut rules::Host<'static>)) -> Self {
        change(&mut self.facts);
        self
    }

    pub(crate) fn on(self, id: &'static str, version: &'static str) -> Self {
        self.facts(|facts| facts.distribution = Some((id, version)))
    }

    pub(crate) fn build(mut self, (symbol, generation, status_directive): BuildOf) -> Self {
        let program = "m.so".to_owned();
        self.build = Some(Build { symbol: symbol.to_owned(), program, generation, status_directive });
        self
    }

    pub(crate) fn running(mut self, mpm: Mpm) -> Self {
        self.running = Some(Running { parent: 1, mpm: Some(mpm), ..Running::default() });
        self
    }

    pub(crate) fn need(mut self, need: Need) -> Self {
        self.need = need;
        self
    }

    pub(crate) fn listens(mut self, at: &str) -> Self {
        self.after.listen.push(at.to_owned());
        self
    }

    pub(crate) fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    pub(crate) fn change(mut self, path: &str) -> Self {
        self.changes.push(Change::new(path, Node::Absent, Node::text("")));
        self
    }

    /// Returns where a stock Debian starts reading, with modules by identifier and source file.
    fn start(&self, built_in: Vec<(String, String)>) -> Start {
        Start {
            file: MAIN.into(),
            server_root: "/etc/apache2".into(),
            binary: "/usr/sbin/apache2".into(),
            version: self.version,
            built_in,
            defines: Vec::new(),
            first: Vec::new(),
            then: Vec::new(),
            environment: BTreeMap::new(),
            unknown: Unknown::default(),
            table: &TABLE,
        }
    }

    /// Lets the reader make the configuration of a file's text, with these modules beside the MPM.
    pub(crate) fn conf(mut self, modules: &[&str], text: &str) -> Self {
        let all = ["core_module", "so_module", "log_config_module", self.mpm.module()];
        let built_in = all
            .iter()
            .chain(modules)
            .map(|id| ((*id).to_owned(), format!("mod_{}.c", id.trim_end_matches("_module"))));
        let start = self.start(built_in.collect());
        let startup = startup::read(&Memory::new().file(MAIN, text), &start);
        self.after = startup.configuration.clone();
        self.before = self.after.clone();
        self.startup = Some(startup);
        self
    }

    /// Lets the host have a disk, whose root directory `fill` gets.
    pub(crate) fn disk(mut self, fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("etc")).unwrap();
        let users = "root:x:0:0::/:\nwww-data:x:33:33::/:\n";
        std::fs::write(dir.path().join("etc/passwd"), users).unwrap();
        fill(dir.path());
        self.disk = Some((Rc::new(dir), None));
        self
    }

    /// Lets that disk have other room than it has.
    pub(crate) fn space(mut self, space: Space) -> Self {
        let (dir, _) = self.disk.unwrap();
        self.disk = Some((dir, Some(space)));
        self
    }

    pub(crate) fn now(mut self, now: u64) -> Self {
        self.now = Some(now);
        self
    }

    pub(crate) fn audit(mut self) -> Self {
        self.audit = true;
        self
    }

    /// Makes the start known: the lines of the main file, read as a real host's are, with modules that are loaded and
    /// other files that are there. Directories end with a slash.
    pub(crate) fn starts(mut self, modules: &[&str], lines: &str, there: &[(&str, &str)]) -> Self {
        let mut files = Memory::new().file(MAIN, lines);
        for (path, content) in there {
            let directory = path.strip_suffix('/');
            files = match directory {
                Some(directory) => files.file(format!("{directory}/.keep"), ""),
                None => files.file(path, content),
            };
        }
        let built_in = modules.iter().map(|module| ((*module).to_owned(), format!("{module}.c"))).collect();
        let startup = startup::read(&files, &self.start(built_in));
        for module in modules {
            self = self.module(module, "m.so");
        }
        self.start = Some((startup, files));
        self
    }

    fn parsed(&self) -> Params {
        Params::of_json(self.params.clone(), FEATURES).unwrap()
    }

    fn written(&self, params: &Params) -> Written {
        let Some(settings) = &params.settings else {
            let of_mpm = |name| core_directives::mpm_rows().any(|row| row.name == name);
            let main = self.after.lines.iter().filter(|line| line.scope == Scope::Main);
            return main
                .filter(|line| of_mpm(line.directive))
                .map(|line| (line.directive, line.words[0].clone()))
                .collect();
        };
        settings.numbers().into_iter().map(|(name, value)| (name, value.to_string())).collect()
    }

    /// Returns what httpd makes of the values that the rules judge.
    pub(crate) fn normal(&self) -> Normal {
        let ratio = self.after.deciding("ListenCoresBucketsRatio", Scope::Main);
        let ratio: u64 = ratio.map_or(u64::MAX, |line| line.words[0].parse().unwrap());
        let cpus = self.machine.cpus.as_ref().map_or(1, |cpus| cpus.value);
        let buckets = u32::try_from(cpus / ratio).unwrap();
        normalise_with_buckets(self.mpm, self.version, &self.written(&self.parsed()), buckets)
    }

    /// Returns what all rules say.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let params = self.parsed();
        let written = self.written(&params);
        let normal = self.normal();
        let cpus = self.machine.cpus.as_ref().map(|cpus| cpus.value);
        let [values_before, values] = [&self.before, &self.after]
            .map(|configuration| effective::effective(configuration, self.mpm, self.version, cpus));
        let in_force = |configuration, values| InForce { configuration, values, cpus };
        let moved =
            moved_until_restart(in_force(&self.before, &values_before), in_force(&self.after, &values));
        let nothing = Memory::new();
        let memory = self.start.as_ref().map_or(&nothing, |(_, files)| files);
        let disk =
            self.disk.as_ref().map(|(dir, space)| OnDisk { disk: Disk::new(dir.path()), space: *space });
        let files: &dyn Files = disk.as_ref().map_or(memory, |disk| disk as &dyn Files);
        rules::check(&Context {
            startup: self.startup.as_ref().or(self.start.as_ref().map(|(startup, _)| startup)),
            files,
            now: self.now,
            params: &params,
            mpm: self.mpm,
            layout: &LAYOUTS[0],
            version: self.version,
            machine: &self.machine,
            host: self.facts.clone(),
            memory: &MemoryNeed::new(params.memory.as_ref(), None).unwrap(),
            evasive: self.build.as_ref(),
            written: &written,
            normal: &normal,
            before: &self.before,
            values_before: &values_before,
            moved: &moved,
            after: &self.after,
            running: self.running.as_ref(),
            need: self.need,
            changes: &self.changes,
            blocked: false,
            audit: self.audit,
        })
    }

    /// Returns what one rule says.
    pub(crate) fn said(&self, id: &str) -> Vec<Finding> {
        self.findings().into_iter().filter(|finding| finding.rule == id).collect()
    }
}
