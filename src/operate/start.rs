//! How the server of this host is started: what there is to read of that, put together.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::distro::Site;
use crate::facts::parse;
use crate::facts::{Running, systemd, unit};
use crate::httpd::Version;
use crate::httpd::read::Start;
use crate::httpd::start::{self, Ground, Launch, Parent};
use crate::registry::TABLE;
use crate::sandbox;
use crate::tree::Files;

/// What a shell said of a file of variables.
pub(super) type Said = BTreeMap<String, String>;

/// What is known of how the server is started beside its files.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known<'a> {
    /// Whether the files are this machine's own.
    pub(super) of_machine: bool,
    /// The running server.
    pub(super) running: Option<&'a Running>,
    /// What a shell said.
    pub(super) said: Option<&'a Said>,
}

/// Works out how a site's server is started.
pub(super) fn launch(files: &dyn Files, site: &Site, known: Known<'_>) -> Launch {
    let unit = unit::unit(files, &site.unit());
    let (inherited, caller) = inherited(files, known.of_machine);
    let parent = known.running.and_then(|running| parent(files, running));
    with_ground(files, site, |ground| {
        start::launch(&Ground {
            unit: unit.as_ref(),
            inherited: inherited.as_ref(),
            caller: &caller,
            parent: parent.as_ref(),
            said: known.said,
            ..*ground
        })
    })
}

/// Learns from the running server what its start files did not say: the same as [`launch`] with that server, without
/// reading the files again.
pub(super) fn learn(files: &dyn Files, site: &Site, launch: &mut Launch, running: &Running) {
    if let Some(parent) = parent(files, running) {
        with_ground(files, site, |ground| launch.learn(ground, &parent));
    }
}

/// Does something with what a site's family says of a start.
fn with_ground<T>(files: &dyn Files, site: &Site, work: impl FnOnce(&Ground<'_>) -> T) -> T {
    work(&Ground {
        files,
        script: site.layout.script,
        config_dir: &site.config_dir,
        main_file: &site.usual_main_file(),
        server_root: &site.usual_server_root(),
        binary: Path::new(site.layout.binary),
        instance: site.instance.as_deref(),
        variables: &site.variables(),
        unit: None,
        inherited: None,
        caller: &BTreeSet::new(),
        parent: None,
        said: None,
    })
}

/// Returns the environment that the start script inherits, and the names in it that only this program has: systemd's own
/// where that starts services; else that of a container's first process with ours over it, as `apache2ctl` would have it
/// if it were called here. `None` for the tree of an image, whose variables are given when it is run.
fn inherited(files: &dyn Files, of_machine: bool) -> (Option<BTreeMap<String, String>>, BTreeSet<String>) {
    if of_machine && !systemd::booted(files) {
        let of = |process: &str| {
            let path = Path::new("/proc").join(process).join("environ");
            start::environment(&files.read(&path).unwrap_or_default())
        };
        let mut all = of("1");
        let own = of("self");
        let caller = own.keys().filter(|name| !all.contains_key(*name)).cloned().collect();
        all.extend(own);
        return (Some(all), caller);
    }
    let image = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| files.is_file(Path::new(path)));
    let environment = (of_machine || !image || unit::is_installed(files)).then(|| unit::of_manager(files));
    (environment, BTreeSet::new())
}

/// Returns what the running parent was started with; `None` where that cannot be read.
fn parent(files: &dyn Files, running: &Running) -> Option<Parent> {
    let of = |name: &str| files.read(&PathBuf::from(format!("/proc/{}/{name}", running.parent)));
    Some(Parent {
        environment: of("environ").ok()?.to_vec(),
        words: of("cmdline").ok()?.to_vec(),
        // The kernel gives the boot time in whole seconds, so this may be one second early.
        started: running.identity.as_ref().and_then(|identity| {
            let boot = parse::boot_time(&files.read(Path::new("/proc/stat")).ok()?)?;
            boot.checked_add(identity.ticks / parse::TICKS)
        }),
    })
}

/// Returns where httpd starts reading on a host, given how it is started.
pub(super) fn reads_from(site: &Site, launch: &Launch, version: Version) -> Start {
    let built_in = site.layout.built_in.iter().map(|(id, file)| ((*id).to_owned(), (*file).to_owned()));
    Start {
        file: site.main_file(),
        server_root: site.server_root.clone(),
        binary: launch.binary.clone().unwrap_or_else(|| PathBuf::from(site.layout.binary)),
        version,
        built_in: built_in.chain(launch.built_in()).collect(),
        defines: launch.defines.clone(),
        first: launch.first.clone(),
        then: launch.then.clone(),
        environment: launch.environment.clone(),
        unknown: launch.unknown.clone(),
        table: &TABLE,
    }
}

/// A shell that is asked at most once in a run, where nothing else tells what the start script's file sets.
#[derive(Debug, Default)]
pub(super) struct Shell(OnceCell<Option<Said>>);

impl Shell {
    pub(super) fn said(&self) -> Option<&Said> {
        self.0.get()?.as_ref()
    }

    /// Asks, where there is something to ask that was not asked yet; tells whether there is an answer now.
    pub(super) fn ask(&self, launch: &Launch, root: &str) -> bool {
        let Some(ask) = launch.ask_shell.as_ref().filter(|_| root == "/" && self.0.get().is_none()) else {
            return false;
        };
        let said = sandbox::ask_shell(&ask.file, &ask.environment).ok();
        self.0.get_or_init(|| said).is_some()
    }
}
