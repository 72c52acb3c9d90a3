//! The differences between the host and its desired state: every state ends in one list of [`Change`]s, from which
//! `changed`, the diff, the journal and the undo are made.

mod drop_in;
mod farm;
mod features;
pub mod lines;
pub mod originals;
pub mod size;
pub mod switch;
pub mod sysconfig;
mod words;

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use originals::{Original, Originals, fingerprint};
pub use switch::mpm_program;
pub use words::{entries, kind, shown};

use crate::distro::{ModuleSwitch, Site};
use crate::feature::{Feature, Looks, Module, Place, Writes};
use crate::features::{blocks, mpm};
use crate::httpd::core_directives;
use crate::httpd::read::{Configuration, Start};
use crate::httpd::{Mpm, Version};
use crate::modules::Farm;
use crate::params::{ModPhp, Params, Placement};
use crate::report::Finding;
use crate::rules;
use crate::state_dir;
use crate::tree::{Change, Draft, Files, Node, Role};

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

/// What is to be done, and what prevents it.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Every path that changes, in path order; this tool's own state included.
    pub changes: Vec<Change>,
    /// The directives made true.
    pub wishes: Vec<Wish>,
    /// The modules switched on or off, each with the parameter that asks for it.
    pub modules: Vec<(&'static Module, bool, String)>,
    /// What prevents it, or is worth saying about how things stand on disk.
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
    /// The configuration as it is.
    pub configuration: &'a Configuration,
    /// Where reading it starts.
    pub start: &'a Start,
    /// The MPM that is to be the only one.
    pub mpm: Mpm,
    /// What the features have looked up.
    pub looks: &'a Looks,
    /// The features.
    pub features: &'static [&'static Feature],
}

impl Ground<'_> {
    /// Returns where features look.
    fn place(&self) -> Place<'_> {
        Place { files: self.files, site: self.site, configuration: self.configuration, start: self.start }
    }
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
    let mut work = Work::new(ground);
    work.draft.ask_for("mpm");
    if params.mpm.is_some() {
        work.switch_mpm(params.mod_php)?;
    }
    if let Some(settings) = settings {
        work.settings(settings, params.placement)?;
        work.numbers = Some(settings.to_vec());
    }
    for (feature, group) in params.groups.iter() {
        work.draft.ask_for(feature.name);
        work.feature(feature, group)?;
    }
    work.finish()
}

/// Plans `state: absent`: all that this tool put in is taken out, and what was there before stands again.
///
/// # Errors
/// Those of reading the host's files, with the path.
pub fn absent(ground: &Ground<'_>) -> Result<Plan, Unreadable> {
    let mut work = Work::new(ground);
    let remembered: Vec<PathBuf> = work.originals()?.iter().map(|(path, _)| path.clone()).collect();
    for path in &remembered {
        work.give_back(path)?;
    }
    // A host whose memory is lost still has the blocks; their markers say what is ours.
    for mpm in Mpm::ALL {
        work.take_mpm_block_out(&ground.site.mpm_file(mpm))?;
    }
    let switches = match ground.site.layout.modules {
        ModuleSwitch::Lines { .. } => remembered,
        ModuleSwitch::Sysconfig { file } => vec![sysconfig::path_of(ground.site, file)],
        ModuleSwitch::LinkFarm | ModuleSwitch::BuiltIn => Vec::new(),
    };
    for file in switches {
        let Some(Original { was: Node::File(was), .. }) = work.originals()?.get(&file).cloned() else {
            continue;
        };
        if work.text(&file)? == was {
            // It stands again as it was, whatever was odd about it.
            continue;
        }
        match ground.site.layout.modules {
            ModuleSwitch::Lines { .. } => work.give_modules_back(&file, &was)?,
            _ => work.give_variables_back(&file, &was)?,
        }
    }
    work.take_block_out(&ground.site.drop_in(), mpm::BLOCK)?;
    for feature in ground.features {
        work.take_blocks_out(feature)?;
    }
    work.drop_empty_drop_in()?;
    // What was left alone because others changed it is theirs from now on.
    work.forgets = true;
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
    /// Read at its first use: a host where nothing changes needs no memory of what was.
    originals: OnceCell<Originals>,
    /// Whether nothing is to be remembered any more.
    forgets: bool,
    /// The MPM's numbers that are asked for.
    numbers: Option<Vec<(&'static str, i64)>>,
    modules: Vec<(&'static Module, bool, String)>,
    wishes: Vec<Wish>,
    findings: Vec<Finding>,
}

impl<'a> Work<'a> {
    fn new(ground: &'a Ground<'a>) -> Self {
        let mut draft = Draft::new(ground.files);
        if let Some(file) = ground.site.switch_file() {
            draft.set_role(&file, Role::ChooseMpm);
        }
        for (file, role) in ground.features.iter().flat_map(|feature| (feature.elsewhere)(ground.site)) {
            draft.set_role(&file, role);
        }
        draft.set_role(&state_dir::originals(ground.site.instance.as_deref()), Role::State);
        Self {
            ground,
            draft,
            originals: OnceCell::new(),
            forgets: false,
            numbers: None,
            wishes: Vec::new(),
            modules: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Returns the path of the memory of what was there before.
    fn memory(&self) -> PathBuf {
        state_dir::originals(self.ground.site.instance.as_deref())
    }

    /// Returns what was there at each path before this tool's first change.
    fn originals(&self) -> Result<&Originals, Unreadable> {
        if let Some(known) = self.originals.get() {
            return Ok(known);
        }
        let read = Originals::read(self.ground.files, self.ground.site)
            .map_err(|error| Unreadable { path: self.memory(), error })?;
        Ok(self.originals.get_or_init(|| read))
    }

    /// Makes the wanted MPM the only one, in the family's way.
    fn switch_mpm(&mut self, mod_php: ModPhp) -> Result<(), Unreadable> {
        match self.ground.site.layout.modules {
            ModuleSwitch::LinkFarm => self.switch_mpm_link(mod_php),
            ModuleSwitch::Lines { file } => self.switch_mpm_line(&self.ground.site.path(file))?,
            ModuleSwitch::Sysconfig { file } => self.switch_mpm_variable(file)?,
            ModuleSwitch::BuiltIn => self.refuse_built_in(),
        }
        Ok(())
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
            let key = core_directives::find(directive.as_bytes()).map_or("", |row| row.key);
            self.wishes.push(Wish {
                directive,
                parameter: format!("settings.{key}"),
                value: value.to_string(),
                file: target.clone(),
            });
        }
        // Of an instance that shares the distribution's file, the drop-in holds the numbers in either case.
        let all;
        let settings = match self.ground.site.shared_mpm_file(mpm) {
            Some(shared) => {
                all = self.with_defaults(&shared, settings)?;
                &all[..]
            }
            None => settings,
        };
        match placement {
            Placement::Distribution => {
                if own != drop_in {
                    self.take_block_out(&drop_in, mpm::BLOCK)?;
                    self.drop_empty_drop_in()?;
                    // What was there before stands again before these are written: another MPM's numbers, where the
                    // MPMs share a file, and lines that made room for what is not asked for any more.
                    let text = self.text(&own)?;
                    if mpm::written_for(&text)
                        .is_some_and(|other| other != mpm || mpm::lets_go(&text, settings))
                    {
                        self.take_mpm_block_out(&own)?;
                        self.switch_mpm_line_of(&own)?;
                    }
                }
                let body = mpm::body(mpm, settings);
                self.edit(&own, |text| {
                    let makes_room = |word: &[u8]| mpm::makes_room(word, settings);
                    let rest =
                        blocks::take_over(text, mpm::BLOCK, makes_room, |section| mpm::inside(mpm, section));
                    let with = blocks::put(&rest, mpm::BLOCK, Some(&body));
                    // A guard above the line that loads its module is false.
                    let loaded = lines::load_lines(&with)
                        .into_iter()
                        .find(|line| line.is_active() && line.symbol == mpm.module());
                    if loaded.is_some_and(|line| Some(line.range.start) > blocks::start(&with, mpm::BLOCK)) {
                        return blocks::put(&blocks::put(&with, mpm::BLOCK, None), mpm::BLOCK, Some(&body));
                    }
                    with
                })?;
                if own == drop_in { self.enable_drop_in() } else { Ok(()) }
            }
            Placement::DropIn => {
                if own != drop_in {
                    self.take_mpm_block_out(&own)?;
                }
                self.switch_mpm_line_of(&own)?;
                let all = self.with_defaults(&own, settings)?;
                self.edit(&drop_in, |text| blocks::put(text, mpm::BLOCK, Some(&mpm::body(mpm, &all))))?;
                self.enable_drop_in()
            }
        }
    }

    /// Puts back what was there at `path` before this tool's first change, where nobody else changed it since.
    fn give_back(&mut self, path: &Path) -> Result<(), Unreadable> {
        let Some(original) = self.originals()?.get(path).cloned() else { return Ok(()) };
        let now = self.node(path)?;
        if fingerprint(&now) == original.ours {
            let site = self.ground.site;
            if site.layout.modules == ModuleSwitch::LinkFarm {
                let role = Farm::new(site.config_dir.clone()).role(self.ground.files, path);
                self.draft.set_role(path, role);
            }
            self.draft.put(path, original.was);
        } else if now != original.was && !matches!(now, Node::File(_)) {
            self.findings.push(rules::modules::MOD_008.finding(
                ("state", "absent"),
                format!(
                    "{} was changed by another program or person since; it is left as it is",
                    path.display()
                ),
                "put it back by hand if that is wanted".to_owned(),
            ));
        }
        Ok(())
    }

    /// Takes our block out of a file; a module's lines that made room for it go back to where they stood.
    fn take_block_out(&mut self, path: &Path, block: &str) -> Result<(), Unreadable> {
        let Node::File(text) = self.node(path)? else { return Ok(()) };
        if !blocks::has(&text, block) {
            return Ok(());
        }
        let mut rest = blocks::put(&text, block, None);
        let feature = self.ground.features.iter().find(|feature| feature.name == block);
        if let Some(feature) = feature.filter(|feature| feature.writes == Writes::ModuleFile)
            && let Some(Original { was: Node::File(was), .. }) = self.originals()?.get(path)
            && !blocks::has(was, block)
        {
            let made_room = |line: &[u8], _: &[&[u8]]| feature.made_room(blocks::first_word(line), &text);
            rest = blocks::give_back(was, &rest, made_room);
        }
        self.draft.put(path, Node::File(rest.into()));
        Ok(())
    }

    /// Takes the block of an MPM's numbers out of the file that holds them. Where the file on disk is as this tool left
    /// it, the original stands again. Else the numbers that made room for the block are put back: those of the
    /// original, or the distribution's own where that is not known.
    fn take_mpm_block_out(&mut self, path: &Path) -> Result<(), Unreadable> {
        let Node::File(text) = self.node(path)? else { return Ok(()) };
        if !blocks::has(&text, mpm::BLOCK) {
            return Ok(());
        }
        let on_disk = crate::tree::node(self.ground.files, path).map_err(|error| unreadable(path, &error))?;
        let original = self.originals()?.get(path).cloned();
        // A memory begun after the first one was lost knows only the file with the block in it.
        let original = original
            .filter(|original| !matches!(&original.was, Node::File(was) if blocks::has(was, mpm::BLOCK)));
        if let Some(original) = &original
            && fingerprint(&on_disk) == original.ours
        {
            self.draft.put(path, original.was.clone());
            return Ok(());
        }
        let mut rest = blocks::put(&text, mpm::BLOCK, None);
        if let Some(mpm) = mpm::written_for(&text) {
            let was = original.as_ref().and_then(|original| match &original.was {
                Node::File(was) => Some(&**was),
                _ => None,
            });
            let layout = self.ground.site.layout;
            let shared = !layout.mpm_file.contains("{mpm}");
            rest = mpm::give_back(&rest, mpm, was, ((layout.stock)(mpm), shared));
        }
        self.draft.put(path, Node::File(rest.into()));
        Ok(())
    }

    /// Switches the MPM again in the file that chooses it: the original that stands there again may load another one.
    fn switch_mpm_line_of(&mut self, own: &Path) -> Result<(), Unreadable> {
        match self.ground.site.layout.modules {
            ModuleSwitch::Lines { file } if self.ground.site.path(file) == own => self.switch_mpm_line(own),
            _ => Ok(()),
        }
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

    /// Makes the list of changes, with the memory of what was there before.
    fn finish(mut self) -> Result<Plan, Unreadable> {
        let changes = |draft: &Draft<'_>| {
            draft.changes().map_err(|error| unreadable(&self.ground.site.config_dir, &error))
        };
        let outside = changes(&self.draft)?;
        if self.forgets || !outside.is_empty() {
            let mut originals = self.originals()?.clone();
            if self.forgets {
                originals.clear();
            } else {
                originals.remember(&outside);
            }
            self.draft.put(&self.memory(), originals.node());
        }
        Ok(Plan {
            changes: changes(&self.draft)?,
            wishes: self.wishes,
            modules: self.modules,
            findings: self.findings,
        })
    }
}

/// Returns the file that the lines of a feature are written to.
fn file_of(site: &Site, feature: &Feature) -> PathBuf {
    match (feature.writes, feature.modules.first()) {
        (Writes::ModuleFile, Some(module)) => site.module_conf(module.name),
        _ => site.drop_in(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Unreadable {
    Unreadable { path: path.to_owned(), error: error.to_string() }
}

/// Returns the paths of the files that hold our settings, for telling our lines from others'.
pub fn own_files(site: &Site, mpm: Mpm, features: &[&Feature]) -> Vec<PathBuf> {
    let of_features = features.iter().map(|feature| file_of(site, feature));
    let early = features.iter().filter_map(|feature| (feature.early)(site));
    [site.mpm_file(mpm), site.drop_in()].into_iter().chain(of_features).chain(early).collect()
}
