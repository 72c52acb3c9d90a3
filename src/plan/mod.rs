//! The differences between the host and what it shall be: every state ends in one list of [`Change`]s, from which
//! `changed`, the diff, the journal and the undo are made.

pub mod originals;

use std::io;
use std::path::{Path, PathBuf};

use originals::{Originals, STATE_DIR, fingerprint};

use crate::distro::{ModuleSwitch, Site};
use crate::features::evasive::Build;
use crate::features::{blocks, evasive, keepalive, mpm};
use crate::httpd::directives::{self, Group};
use crate::httpd::normalise::{Written, normalise};
use crate::httpd::{Mpm, Version};
use crate::modules::{Farm, Kind as Switched, Options, Problem, State as Standing};
use crate::params::{ModPhp, Params, Placement};
use crate::report::{Action, ChangeEntry, ChangeKind, Finding, Severity};
use crate::tree::{Change, Draft, Files, Node, bytes};

/// The name under which the drop-in is enabled.
const DROP_IN: &str = "zz-apache-tuning";

/// One directive that the plan makes true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The directive's canonical name.
    pub directive: &'static str,
    /// The parameter's path: `settings.server_limit`.
    pub parameter: String,
    /// The value, as httpd's words have it once quotes are off.
    pub value: String,
    /// The file it is written to.
    pub file: PathBuf,
}

/// What is to be done, and what stands in the way.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Every path that changes, in path order; this tool's own state included.
    pub changes: Vec<Change>,
    /// The directives made true.
    pub wishes: Vec<Wish>,
    /// What stands in the way, or is worth saying about how things stand on disk.
    pub findings: Vec<Finding>,
}

/// What planning needs to know besides the files.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The host's files.
    pub files: &'a dyn Files,
    /// Where things are.
    pub site: &'a Site,
    /// httpd's version.
    pub version: Version,
    /// The MPM that shall be the only one.
    pub mpm: Mpm,
}

impl std::fmt::Debug for dyn Files + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Files")
    }
}

/// Plans `state: present`. `settings` is what was asked for or worked out; `None` leaves the MPM's numbers alone.
///
/// # Errors
/// Those of reading the host's files, with the path.
pub fn present(
    ground: &Ground<'_>,
    params: &Params,
    settings: Option<&[(&'static str, i64)]>,
) -> Result<Plan, Unreadable> {
    let mut work = Work::new(ground)?;
    if params.mpm.is_some() {
        work.switch_mpm(params.mod_php);
    }
    if let Some(settings) = settings {
        work.settings(settings, params.placement)?;
    }
    if let Some(wanted) = &params.keepalive {
        work.keepalive(wanted)?;
    }
    if let Some(wanted) = &params.evasive {
        work.evasive(wanted)?;
    }
    work.finish()
}

/// Plans `state: absent`: all that this tool put in is taken out, and what stood before stands again.
///
/// # Errors
/// Those of reading the host's files, with the path.
pub fn absent(ground: &Ground<'_>) -> Result<Plan, Unreadable> {
    let mut work = Work::new(ground)?;
    let remembered: Vec<PathBuf> = work.originals.iter().map(|(path, _)| path.clone()).collect();
    for path in &remembered {
        work.give_back(path)?;
    }
    // A host whose memory is lost still has the blocks; their markers say what is ours.
    for mpm in Mpm::ALL {
        work.take_block_out(&ground.site.mpm_file(mpm), mpm::BLOCK, Some(mpm))?;
    }
    work.take_block_out(&ground.site.path(ground.site.layout.evasive_file), evasive::BLOCK, None)?;
    for block in [mpm::BLOCK, keepalive::BLOCK] {
        work.take_block_out(&ground.site.drop_in(), block, None)?;
    }
    work.drop_empty_drop_in()?;
    work.finish()
}

/// A path of the host that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub struct Unreadable {
    /// The path.
    pub path: PathBuf,
    /// The system's words.
    pub error: String,
}

/// A plan in the making.
struct Work<'a> {
    ground: &'a Ground<'a>,
    draft: Draft<'a>,
    originals: Originals,
    wishes: Vec<Wish>,
    findings: Vec<Finding>,
}

impl<'a> Work<'a> {
    fn new(ground: &'a Ground<'a>) -> Result<Self, Unreadable> {
        let originals = Originals::read(ground.files)
            .map_err(|error| Unreadable { path: PathBuf::from(originals::FILE), error })?;
        Ok(Self {
            ground,
            draft: Draft::new(ground.files),
            originals,
            wishes: Vec::new(),
            findings: Vec::new(),
        })
    }

    fn farm(&self) -> Farm {
        Farm::new(self.ground.site.config_dir.clone())
    }

    /// Makes the wanted MPM the only one enabled, with PHP handed to php-fpm where that is asked for.
    fn switch_mpm(&mut self, mod_php: ModPhp) {
        let mpm = self.ground.mpm;
        let farm = self.farm();
        if self.ground.site.layout.modules != ModuleSwitch::LinkFarm {
            return;
        }
        if mpm.threaded() && !self.settle_php(&farm, mod_php) {
            return;
        }
        if let Err(problems) = farm.switch_mpm(&mut self.draft, mpm) {
            self.findings.extend(problems.iter().map(|problem| refusal("mpm", mpm.name(), problem)));
        }
    }

    /// Takes an enabled mod_php out of a threaded MPM's way. Tells whether the way is free.
    fn settle_php(&mut self, farm: &Farm, mod_php: ModPhp) -> bool {
        let enabled = match farm.list_enabled(&self.draft, Switched::Module) {
            Ok(enabled) => enabled,
            Err(problem) => {
                self.findings.push(refusal("mpm", self.ground.mpm.name(), &problem));
                return false;
            }
        };
        let mut free = true;
        for module in enabled.iter().filter(|name| php_version(name).is_some()) {
            let Some(version) = php_version(module) else { continue };
            let snippet = format!("php{version}-fpm");
            let program = format!("/usr/sbin/php-fpm{version}");
            let installed = self.ground.files.is_file(&farm.available(Switched::Conf, &snippet))
                && self.ground.files.is_file(Path::new(&program));
            let package = format!("php{version}-fpm");
            let mpm = self.ground.mpm;
            match mod_php {
                ModPhp::Refuse => {
                    let way = if installed {
                        format!("php-fpm {version} is installed: set mod_php: disable to hand PHP to it")
                    } else {
                        format!("install {package} and set mod_php: disable to hand PHP to it")
                    };
                    self.findings.push(finding(
                        "PHP-001",
                        Severity::Error,
                        ("mpm", mpm.name()),
                        format!(
                            "the PHP module `{module}` is enabled and not thread-safe: httpd would refuse to start \
                             with the {mpm} MPM"
                        ),
                        format!("{way}; or stay with mpm: prefork"),
                    ));
                    free = false;
                }
                ModPhp::Disable if !installed => {
                    self.findings.push(finding(
                        "PHP-003",
                        Severity::Error,
                        ("mod_php", "disable"),
                        format!(
                            "without `{module}` nothing would run PHP: no php-fpm {version} is installed ({program} or \
                             its Apache snippet {snippet}.conf is missing), and PHP sources would be served as text"
                        ),
                        format!("install {package} first; or stay with mpm: prefork"),
                    ));
                    free = false;
                }
                ModPhp::Disable => {
                    let mut step = |result: Result<_, Vec<Problem>>, refusals: &mut Vec<Problem>| {
                        if let Err(problems) = result {
                            refusals.extend(problems);
                            free = false;
                        }
                    };
                    let mut refusals = Vec::new();
                    for needed in ["proxy_fcgi", "setenvif"] {
                        step(farm.enable(&mut self.draft, Switched::Module, needed), &mut refusals);
                    }
                    step(farm.enable(&mut self.draft, Switched::Conf, &snippet), &mut refusals);
                    let off = farm.disable(&mut self.draft, Switched::Module, module, Options::default());
                    step(off, &mut refusals);
                    let told: Vec<Finding> =
                        refusals.iter().map(|problem| refusal("mod_php", "disable", problem)).collect();
                    self.findings.extend(told);
                }
            }
        }
        free
    }

    /// Writes the MPM's numbers where `placement` wants them, and takes them out of the other place.
    fn settings(&mut self, settings: &[(&'static str, i64)], placement: Placement) -> Result<(), Unreadable> {
        let mpm = self.ground.mpm;
        let own = self.ground.site.mpm_file(mpm);
        let drop_in = self.ground.site.drop_in();
        let target = match placement {
            Placement::Distribution => own.clone(),
            Placement::DropIn => drop_in.clone(),
        };
        for (directive, value) in settings {
            let key = directives::find(directive.as_bytes()).map_or("", |row| row.key);
            self.wishes.push(Wish {
                directive,
                parameter: format!("settings.{key}"),
                value: value.to_string(),
                file: target.clone(),
            });
        }
        match placement {
            Placement::Distribution => {
                self.take_block_out(&drop_in, mpm::BLOCK, None)?;
                self.drop_empty_drop_in()?;
                self.edit(&own, |text| {
                    let rest =
                        blocks::take_over(text, mpm::BLOCK, mpm::ours, |section| mpm::inside(mpm, section));
                    blocks::put(&rest, mpm::BLOCK, Some(&mpm::body(mpm, settings)))
                })
            }
            Placement::DropIn => {
                self.take_block_out(&own, mpm::BLOCK, Some(mpm))?;
                let all = self.with_defaults(&own, settings)?;
                self.edit(&drop_in, |text| blocks::put(text, mpm::BLOCK, Some(&mpm::body(mpm, &all))))?;
                self.enable_drop_in();
                Ok(())
            }
        }
    }

    /// Adds httpd's default for each number that is left out and that the distribution's own file sets: a drop-in
    /// comes after that file, so only a line of its own makes the default count.
    fn with_defaults(
        &self,
        own: &Path,
        settings: &[(&'static str, i64)],
    ) -> Result<Vec<(&'static str, i64)>, Unreadable> {
        let mpm = self.ground.mpm;
        let text = self.text(own)?;
        let defaults = normalise(mpm, self.ground.version, &Written::new()).used;
        let mut all = Vec::new();
        for row in directives::group(Group::Mpm).filter(|row| row.mpms.contains(&mpm)) {
            if let Some((name, value)) = settings.iter().find(|(name, _)| *name == row.name) {
                all.push((*name, *value));
                continue;
            }
            let is_row = |word: &[u8]| directives::find(word).is_some_and(|found| found.name == row.name);
            let without = blocks::take_over(&text, mpm::BLOCK, is_row, |section| mpm::inside(mpm, section));
            if without != *text
                && let Some(default) = defaults.get(row.name).and_then(|value| value.parse().ok())
            {
                all.push((row.name, default));
            }
        }
        // What no row of this MPM knows is kept, so that a rule can name it.
        all.extend(
            settings
                .iter()
                .filter(|(name, _)| !all.iter().any(|(known, _)| known == name))
                .copied()
                .collect::<Vec<_>>(),
        );
        Ok(all)
    }

    /// Writes the keep-alive block of the drop-in.
    fn keepalive(&mut self, wanted: &crate::params::KeepAlive) -> Result<(), Unreadable> {
        let lines = keepalive::wanted(wanted);
        if lines.is_empty() {
            return Ok(());
        }
        let drop_in = self.ground.site.drop_in();
        for (directive, value) in lines {
            let key = directives::find(directive.as_bytes()).map_or("", |row| row.key);
            self.wishes.push(Wish {
                directive,
                parameter: format!("keepalive.{key}"),
                value,
                file: drop_in.clone(),
            });
        }
        self.edit(&drop_in, |text| blocks::put(text, keepalive::BLOCK, Some(&keepalive::body(wanted))))?;
        self.enable_drop_in();
        Ok(())
    }

    /// Writes mod_evasive's settings in the dialect of the build found, and switches the module.
    fn evasive(&mut self, wanted: &crate::params::Evasive) -> Result<(), Unreadable> {
        let site = self.ground.site;
        let Some(build) = self.evasive_build() else {
            if wanted.enabled != Some(false) {
                self.findings.push(finding(
                    "EV-026",
                    Severity::Error,
                    ("evasive", "present"),
                    format!(
                        "mod_evasive is not installed: no file {} loads it",
                        site.path(site.layout.evasive_load).display()
                    ),
                    format!("install the package {} first", site.layout.evasive_package),
                ));
            }
            return Ok(());
        };
        if wanted.http_status.is_some() && build.status_directive.is_none() {
            self.findings.push(finding(
                "EV-005",
                Severity::Error,
                ("evasive.http_status", &wanted.http_status.unwrap_or_default().to_string()),
                format!(
                    "this build of mod_evasive ({}) has no directive for the status: it always answers 403",
                    build.symbol
                ),
                "leave evasive.http_status out".to_owned(),
            ));
        }
        let file = site.path(site.layout.evasive_file);
        let lines = evasive::wanted(wanted, &build);
        for (directive, value) in &lines {
            let key = directives::find(directive.as_bytes()).map_or("", |row| row.key);
            self.wishes.push(Wish {
                directive,
                parameter: format!("evasive.{key}"),
                value: value.clone(),
                file: file.clone(),
            });
        }
        if !lines.is_empty() {
            self.edit(&file, |text| {
                let rest = blocks::take_over(text, evasive::BLOCK, evasive::ours, evasive::inside);
                blocks::put(&rest, evasive::BLOCK, Some(&evasive::body(wanted, &build)))
            })?;
        }
        self.switch_evasive(wanted.enabled);
        Ok(())
    }

    /// Returns the build of mod_evasive that this host has.
    fn evasive_build(&self) -> Option<Build> {
        let site = self.ground.site;
        let load = self.ground.files.read(&site.path(site.layout.evasive_load)).ok()?;
        evasive::build(self.ground.files, &load, &site.server_root)
    }

    /// Switches mod_evasive's module on or off, or says that values alone do nothing while it is off.
    fn switch_evasive(&mut self, enabled: Option<bool>) {
        if self.ground.site.layout.modules != ModuleSwitch::LinkFarm {
            return;
        }
        let farm = self.farm();
        let result = match enabled {
            Some(true) => farm.enable(&mut self.draft, Switched::Module, "evasive").map(|_| ()),
            Some(false) => match farm.state(&self.draft, Switched::Module, "evasive") {
                Ok(Standing::Disabled) => Ok(()),
                _ => {
                    farm.disable(&mut self.draft, Switched::Module, "evasive", Options::default()).map(|_| ())
                }
            },
            None => {
                if matches!(farm.state(&self.draft, Switched::Module, "evasive"), Ok(Standing::Disabled)) {
                    self.findings.push(finding(
                        "EV-027",
                        Severity::Warning,
                        ("evasive", "values"),
                        "mod_evasive is not enabled, so these values protect nothing yet".to_owned(),
                        "set evasive.enabled: true".to_owned(),
                    ));
                }
                Ok(())
            }
        };
        if let Err(problems) = result {
            let told: Vec<Finding> =
                problems.iter().map(|problem| refusal("evasive.enabled", "true", problem)).collect();
            self.findings.extend(told);
        }
    }

    /// Enables the drop-in.
    fn enable_drop_in(&mut self) {
        if self.ground.site.layout.modules != ModuleSwitch::LinkFarm {
            return;
        }
        let farm = self.farm();
        if let Err(problems) = farm.enable(&mut self.draft, Switched::Conf, DROP_IN) {
            let told: Vec<Finding> =
                problems.iter().map(|problem| refusal("keepalive", DROP_IN, problem)).collect();
            self.findings.extend(told);
        }
    }

    /// Removes the drop-in and its link once nothing is left in it.
    fn drop_empty_drop_in(&mut self) -> Result<(), Unreadable> {
        let drop_in = self.ground.site.drop_in();
        let Node::File(text) = self.node(&drop_in)? else { return Ok(()) };
        if !text.trim_ascii().is_empty() {
            return Ok(());
        }
        if self.ground.site.layout.modules == ModuleSwitch::LinkFarm {
            let options = Options { force: false, purge: true };
            // A link of somebody else's in the way stays, and is theirs to mend.
            let _ = self.farm().disable(&mut self.draft, Switched::Conf, DROP_IN, options);
        }
        self.draft.put(&drop_in, Node::Absent);
        Ok(())
    }

    /// Puts back what stood at `path` before this tool's first change, where nobody else changed it since.
    fn give_back(&mut self, path: &Path) -> Result<(), Unreadable> {
        let Some(original) = self.originals.get(path).cloned() else { return Ok(()) };
        let now = self.node(path)?;
        if fingerprint(&now) == original.ours {
            self.draft.put(path, original.was);
        } else if now != original.was && !matches!(now, Node::File(_)) {
            self.findings.push(finding(
                "MOD-008",
                Severity::Warning,
                ("state", "absent"),
                format!("{} was changed by somebody else since; it is left as it is", path.display()),
                "put it back by hand if that is wanted".to_owned(),
            ));
        }
        Ok(())
    }

    /// Takes our block out of a file. Where the file is as this tool left it, the original stands again; else the
    /// distribution's own numbers go where the block stood, because the lines they were on are gone.
    fn take_block_out(&mut self, path: &Path, block: &str, stock: Option<Mpm>) -> Result<(), Unreadable> {
        let Node::File(text) = self.node(path)? else { return Ok(()) };
        if !blocks::has(&text, block) {
            return Ok(());
        }
        if stock.is_some()
            && let Some(original) = self.originals.get(path)
            && fingerprint(&Node::File(text.clone())) == original.ours
        {
            let was = original.was.clone();
            self.draft.put(path, was);
            return Ok(());
        }
        let mut rest = blocks::put(&text, block, None);
        if let Some(mpm) = stock {
            for (name, value) in (self.ground.site.layout.stock)(mpm) {
                rest.extend_from_slice(format!("{name:<24} {value}\n").as_bytes());
            }
        }
        self.draft.put(path, Node::File(rest.into()));
        Ok(())
    }

    /// Rewrites the file at `path`; a file that is missing counts as empty.
    fn edit(&mut self, path: &Path, rewrite: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), Unreadable> {
        let text = self.text(path)?;
        let after = rewrite(&text);
        if after != *text {
            self.draft.put(path, Node::File(after.into()));
        }
        Ok(())
    }

    /// Returns the content of a file in the draft; empty where nothing stands.
    fn text(&self, path: &Path) -> Result<std::sync::Arc<[u8]>, Unreadable> {
        match self.node(path)? {
            Node::File(text) => Ok(text),
            Node::Absent => Ok(std::sync::Arc::from(&[][..])),
            Node::Link(target) => Err(Unreadable {
                path: path.to_owned(),
                error: format!(
                    "is a link to {}, not a file; it is left alone: make it a file, or use placement: drop_in",
                    target.display()
                ),
            }),
        }
    }

    fn node(&self, path: &Path) -> Result<Node, Unreadable> {
        self.draft.node(path).map_err(|error| unreadable(path, &error))
    }

    /// Makes the list of changes, with the memory of what stood before.
    fn finish(mut self) -> Result<Plan, Unreadable> {
        let changes = |draft: &Draft<'_>| {
            draft.changes().map_err(|error| unreadable(&self.ground.site.config_dir, &error))
        };
        let outside = changes(&self.draft)?;
        if !outside.is_empty() {
            let mut originals = self.originals.clone();
            originals.remember(&outside);
            self.draft.put(Path::new(originals::FILE), originals.node());
        }
        Ok(Plan { changes: changes(&self.draft)?, wishes: self.wishes, findings: self.findings })
    }
}

/// A problem of switching modules as a finding.
fn refusal(setting: &str, value: &str, problem: &Problem) -> Finding {
    let rule = match problem {
        Problem::Missing { .. } => "MOD-001",
        Problem::Dangling { .. } => "MOD-002",
        Problem::Conflict { .. } => "MOD-003",
        Problem::NeededBy { .. } => "MOD-004",
        Problem::RealFile { .. } => "MOD-005",
        Problem::ForeignLink { .. } => "MOD-006",
        Problem::Unreadable { .. } => "SYS-002",
        _ => "MOD-007",
    };
    let text = problem.to_string();
    let (message, hint) = text.rsplit_once("; ").unwrap_or((&text, "see the message"));
    finding(rule, Severity::Error, (setting, value), message.to_owned(), hint.to_owned())
}

fn unreadable(path: &Path, error: &io::Error) -> Unreadable {
    Unreadable { path: path.to_owned(), error: error.to_string() }
}

/// Returns the version in a PHP module's name: `8.2` of `php8.2`, `7` of `php7`.
fn php_version(module: &str) -> Option<&str> {
    let version = module.strip_prefix("php")?;
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
        .then_some(version)
}

/// Makes a finding about a parameter.
pub(crate) fn finding(
    rule: &str,
    severity: Severity,
    (setting, value): (&str, &str),
    message: String,
    hint: String,
) -> Finding {
    Finding {
        rule: rule.to_owned(),
        severity,
        setting: Some(setting.to_owned()),
        value: Some(value.to_owned()),
        effective: None,
        httpd: None,
        message,
        hint,
        waived: false,
    }
}

/// Tells whether a path is this tool's own state, which the result does not list.
pub fn is_own_state(path: &Path) -> bool {
    path.starts_with(STATE_DIR)
}

/// Returns the changes as the result lists them.
pub fn entries(changes: &[Change]) -> Vec<ChangeEntry> {
    changes
        .iter()
        .filter(|change| !is_own_state(&change.path))
        .map(|change| ChangeEntry {
            path: change.path.to_string_lossy().into_owned(),
            kind: kind(change),
            action: match (&change.before, &change.after) {
                (Node::Absent, _) => Action::Create,
                (_, Node::Absent) => Action::Remove,
                _ => Action::Modify,
            },
        })
        .collect()
}

/// Returns what kind of thing changes.
pub fn kind(change: &Change) -> ChangeKind {
    if change.path.starts_with("/var/lib/apache2") {
        return ChangeKind::Marker;
    }
    match (&change.before, &change.after) {
        (Node::Link(_), _) | (Node::Absent, Node::Link(_)) => ChangeKind::Link,
        _ => ChangeKind::File,
    }
}

/// Returns the paths of the files that hold our settings, for telling our lines from others'.
pub fn own_files(site: &Site, mpm: Mpm) -> Vec<PathBuf> {
    vec![site.mpm_file(mpm), site.drop_in(), site.path(site.layout.evasive_file)]
}

/// Returns a link's text for the diff.
pub fn shown(node: &Node) -> String {
    match node {
        Node::Absent => String::new(),
        Node::Link(target) => format!("link to {}\n", String::from_utf8_lossy(bytes(target.as_os_str()))),
        Node::File(content) => String::from_utf8_lossy(content).into_owned(),
    }
}
