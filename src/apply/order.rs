//! In which order changes are made, so that httpd can start after every single one of them. Pure.
//!
//! A stage is a set of steps that do not depend on each other: any part of them, in any order, leaves a
//! configuration that starts. What a stage did is made durable before the next one begins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::httpd::Mpm;
use crate::tree::{Change, Node, Role};

/// One atomic step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Makes the change with this index true: put, replace or remove.
    Make(usize),
    /// Puts a link over the one at `path`; `path` is the old MPM's, the target the new one's.
    Retarget {
        /// The link.
        path: PathBuf,
        /// What it points to from now on.
        target: PathBuf,
        /// The index of the change by which the new MPM's link comes.
        comes: usize,
    },
    /// Gives a link its right name.
    Rename {
        /// The name so far.
        from: PathBuf,
        /// The name from now on.
        to: PathBuf,
    },
}

/// Steps between which nothing needs to be synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stage {
    /// The steps.
    pub(super) steps: Vec<Step>,
    /// Whether this stage and those that follow with the same mark may instead be made at once, by exchanging the
    /// directory that holds all their paths.
    pub(super) at_once: bool,
}

/// What the order of steps distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A regular file, or a link that switches nothing.
    File,
    /// The file that chooses the MPM.
    ChooseMpm,
    /// A link that loads a module.
    Load,
    /// A link to a module's settings.
    ModuleConf,
    /// A link to a snippet.
    Conf,
    /// What httpd never reads.
    Unread,
}

impl Kind {
    fn of(change: &Change) -> Self {
        match &change.role {
            Role::File | Role::Variables => Self::File,
            Role::ChooseMpm => Self::ChooseMpm,
            Role::Load { .. } => Self::Load,
            Role::ModuleConf { .. } => Self::ModuleConf,
            Role::Conf => Self::Conf,
            Role::Marker | Role::State | Role::Beside => Self::Unread,
        }
    }
}

/// Returns the module that a link is about; empty for anything else.
fn module(change: &Change) -> &str {
    change.role.module().unwrap_or_default()
}

/// Returns the modules that each changing module declares to need.
fn needs(changes: &[Change]) -> BTreeMap<&str, &[String]> {
    let declared = changes.iter().filter_map(|change| match &change.role {
        Role::Load { module, needs } => Some((module.as_str(), needs.as_slice())),
        _ => None,
    });
    declared.collect()
}

/// Tells whether this is one of the three MPMs' names, as Debian calls them. `mpm_itk` is none.
fn is_mpm(name: &str) -> bool {
    Mpm::ALL.iter().any(|mpm| mpm.debian() == name)
}

/// Returns the stages that make `changes` true, each index exactly once (the MPM's two `.load` links through
/// [`Step::Retarget`] and [`Step::Rename`]).
///
/// The order: files; modules that come, with what they need first, then their settings, then enabled snippets;
/// then the MPM, around which modules that need the old one go and those that need the new one come; then what
/// goes, snippets first; then files that go; markers last. So what replaces something (PHP over FPM) is there
/// before the replaced thing leaves.
pub(super) fn stages(changes: &[Change]) -> Vec<Stage> {
    let needs = needs(changes);
    let depends: &dyn Fn(&str) -> Vec<String> =
        &|module| needs.get(module).map_or_else(Vec::new, |needs| needs.to_vec());
    let index: Vec<usize> = (0..changes.len()).collect();
    let select = |wanted: &dyn Fn(&Change, Kind) -> bool| -> Vec<usize> {
        let chosen = |i: &usize| changes.get(*i).is_some_and(|change| wanted(change, Kind::of(change)));
        index.iter().copied().filter(chosen).collect()
    };
    let goes = |change: &Change| change.after == Node::Absent;
    let of = |wanted: &BTreeSet<String>, change: &Change| wanted.contains(module(change));

    let names = |list: Vec<usize>| -> BTreeSet<String> {
        list.into_iter().filter_map(|i| changes.get(i)).map(|change| module(change).to_owned()).collect()
    };
    let mpm_loads = select(&|change, kind| kind == Kind::Load && is_mpm(module(change)));
    let leaving: BTreeSet<String> = names(select(&|change, kind| kind == Kind::Load && goes(change)));
    let coming: BTreeSet<String> = names(select(&|change, kind| kind == Kind::Load && !goes(change)));
    let swap = !mpm_loads.is_empty();
    let bound = |set: &BTreeSet<String>| bound_to_mpm(set, depends);
    let (old_bound, new_bound) = if swap { (bound(&leaving), bound(&coming)) } else { Default::default() };

    let mut all = Vec::new();
    let mut push = |indices: Vec<usize>, at_once: bool| {
        if !indices.is_empty() {
            all.push(Stage { steps: indices.into_iter().map(Step::Make).collect(), at_once });
        }
    };
    let loads_in_order = |set: &BTreeSet<String>, going: bool| -> Vec<Vec<usize>> {
        let mut levels: Vec<Vec<usize>> = levels(set, depends)
            .iter()
            .map(|level| {
                select(&|change, kind| {
                    kind == Kind::Load
                        && goes(change) == going
                        && !is_mpm(module(change))
                        && of(level, change)
                })
            })
            .collect();
        if going {
            levels.reverse();
        }
        levels
    };

    push(select(&|change, kind| kind == Kind::File && !goes(change)), false);
    let free: BTreeSet<String> = coming.difference(&new_bound).cloned().collect();
    for level in loads_in_order(&free, false) {
        push(level, false);
    }
    let with_swap = |change: &Change| {
        swap && (is_mpm(module(change)) || of(&new_bound, change) || of(&old_bound, change))
    };
    push(select(&|change, kind| kind == Kind::ModuleConf && !goes(change) && !with_swap(change)), false);
    push(select(&|change, kind| kind == Kind::Conf && !goes(change)), false);

    // The swap. Settings of what goes leave before their module, those of what comes arrive after it.
    push(select(&|change, kind| kind == Kind::ModuleConf && goes(change) && with_swap(change)), true);
    for level in loads_in_order(&old_bound, true) {
        push(level, true);
    }
    push(select(&|change, kind| kind == Kind::ChooseMpm && !goes(change)), false);
    all.extend(mpm_steps(changes, &mpm_loads));
    let mut push = |indices: Vec<usize>, at_once: bool| {
        if !indices.is_empty() {
            all.push(Stage { steps: indices.into_iter().map(Step::Make).collect(), at_once });
        }
    };
    for level in loads_in_order(&new_bound, false) {
        push(level, true);
    }
    push(select(&|change, kind| kind == Kind::ModuleConf && !goes(change) && with_swap(change)), true);

    push(select(&|change, kind| kind == Kind::Conf && goes(change)), false);
    push(select(&|change, kind| kind == Kind::ModuleConf && goes(change) && !with_swap(change)), false);
    let rest: BTreeSet<String> = leaving.difference(&old_bound).cloned().collect();
    for level in loads_in_order(&rest, true) {
        push(level, false);
    }
    push(select(&|change, kind| matches!(kind, Kind::File | Kind::ChooseMpm) && goes(change)), false);
    push(select(&|_, kind| kind == Kind::Unread), false);
    all
}

/// Returns the stages for the `.load` links of MPMs: where one goes and one comes, the old link is pointed to the
/// new module and then renamed, so that there is exactly one at each instant.
fn mpm_steps(changes: &[Change], loads: &[usize]) -> Vec<Stage> {
    let get = |i: &usize| changes.get(*i);
    let going: Vec<usize> =
        loads.iter().copied().filter(|i| get(i).is_some_and(|change| change.after == Node::Absent)).collect();
    let coming: Vec<usize> = loads
        .iter()
        .copied()
        .filter(|i| get(i).is_some_and(|change| change.before == Node::Absent))
        .collect();
    let one = |step| Stage { steps: vec![step], at_once: true };
    let mut stages: Vec<Stage> = Vec::new();
    let mut paired = None;
    if let (Some(old), Some(new)) = (going.first(), coming.first())
        && let (Some(from), Some(Change { path: to, after: Node::Link(target), .. })) = (get(old), get(new))
        && from.path.parent() == to.parent()
    {
        stages.push(one(Step::Retarget { path: from.path.clone(), target: target.clone(), comes: *new }));
        stages.push(one(Step::Rename { from: from.path.clone(), to: to.clone() }));
        paired = Some((*old, *new));
    }
    let unpaired = |i: &&usize| paired.is_none_or(|(old, new)| **i != old && **i != new);
    // A second MPM that goes (two were loaded: broken before) goes first, one that only changes is one step.
    for i in loads.iter().filter(unpaired) {
        let at = if going.contains(i) { 0 } else { stages.len() };
        stages.insert(at, one(Step::Make(*i)));
    }
    stages
}

/// Returns the modules of `set` that need an MPM of `set`, directly or through others of it; MPMs themselves not.
fn bound_to_mpm(set: &BTreeSet<String>, depends: &dyn Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let mut bound: BTreeSet<String> = set.iter().filter(|name| is_mpm(name)).cloned().collect();
    loop {
        let more: Vec<String> = set
            .iter()
            .filter(|name| !bound.contains(*name) && depends(name).iter().any(|need| bound.contains(need)))
            .cloned()
            .collect();
        if more.is_empty() {
            bound.retain(|name| !is_mpm(name));
            return bound;
        }
        bound.extend(more);
    }
}

/// Returns `set` in levels: each module stands after those of `set` that it needs. A circle is one last level.
fn levels(set: &BTreeSet<String>, depends: &dyn Fn(&str) -> Vec<String>) -> Vec<BTreeSet<String>> {
    let mut left = set.clone();
    let mut levels = Vec::new();
    while !left.is_empty() {
        let mut level: BTreeSet<String> = left
            .iter()
            .filter(|name| !depends(name).iter().any(|need| need != *name && left.contains(need)))
            .cloned()
            .collect();
        if level.is_empty() {
            level.clone_from(&left);
        }
        left.retain(|name| !level.contains(name));
        levels.push(level);
    }
    levels
}
