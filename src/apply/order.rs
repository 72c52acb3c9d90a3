//! In which order changes are made, so that httpd can start after every single one of them. Pure.
//!
//! A stage is a set of steps that do not depend on each other: any part of them, in any order, leaves a
//! configuration that starts. What a stage did is made durable before the next one begins.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::httpd::Mpm;
use crate::tree::{Change, Node};

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

/// The role of a path, as its directory and name tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// A regular file, or a link that switches nothing.
    File,
    /// `mods-enabled/NAME.load`.
    Load,
    /// `mods-enabled/NAME.conf`.
    ModuleConf,
    /// `conf-enabled/NAME.conf`.
    Conf,
    /// A record of who switched what, which httpd never reads.
    Marker,
}

fn role(path: &Path) -> Role {
    if path.starts_with("/var/lib") {
        return Role::Marker;
    }
    let dir = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
    let extension = path.extension().and_then(OsStr::to_str);
    match (dir, extension) {
        (Some("mods-enabled"), Some("load")) => Role::Load,
        (Some("mods-enabled"), Some("conf")) => Role::ModuleConf,
        (Some("conf-enabled"), _) => Role::Conf,
        _ => Role::File,
    }
}

/// Returns the module a path below `mods-enabled` is about.
fn module(path: &Path) -> &str {
    path.file_stem().and_then(OsStr::to_str).unwrap_or_default()
}

/// Tells whether this is one of the three MPMs' names, as Debian calls them. `mpm_itk` is none.
fn is_mpm(name: &str) -> bool {
    Mpm::ALL.iter().any(|mpm| mpm.debian() == name)
}

/// Tells whether a file's text chooses an MPM by a `LoadModule` line or SUSE's variable.
fn chooses_mpm(change: &Change) -> bool {
    let choice = |node: &Node| -> Vec<Vec<u8>> {
        let Node::File(content) = node else { return Vec::new() };
        content
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.starts_with(b"#"))
            .filter(|line| line.windows(8).any(|part| part == b"mod_mpm_") || line.starts_with(b"APACHE_MPM"))
            .map(<[u8]>::to_vec)
            .collect()
    };
    choice(&change.before) != choice(&change.after)
}

/// Returns the stages that make `changes` true, each index exactly once (the MPM's two `.load` links through
/// [`Step::Retarget`] and [`Step::Rename`]).
///
/// `depends` names the modules that a module needs, by its name; only those that also change matter.
///
/// The order: files; modules that come, with what they need first, then their settings, then enabled snippets;
/// then the MPM, around which modules that need the old one go and those that need the new one come; then what
/// goes, snippets first; then files that go; markers last. So what replaces something (PHP over FPM) is there
/// before the replaced thing leaves.
pub(super) fn stages(changes: &[Change], depends: &dyn Fn(&str) -> Vec<String>) -> Vec<Stage> {
    let index: Vec<usize> = (0..changes.len()).collect();
    let select = |wanted: &dyn Fn(&Change, Role) -> bool| -> Vec<usize> {
        let chosen = |i: &usize| changes.get(*i).is_some_and(|change| wanted(change, role(&change.path)));
        index.iter().copied().filter(chosen).collect()
    };
    let goes = |change: &Change| change.after == Node::Absent;
    let of = |wanted: &BTreeSet<String>, change: &Change| wanted.contains(module(&change.path));

    let names = |list: Vec<usize>| -> BTreeSet<String> {
        list.into_iter()
            .filter_map(|i| changes.get(i))
            .map(|change| module(&change.path).to_owned())
            .collect()
    };
    let mpm_loads = select(&|change, role| role == Role::Load && is_mpm(module(&change.path)));
    let leaving: BTreeSet<String> = names(select(&|change, role| role == Role::Load && goes(change)));
    let coming: BTreeSet<String> = names(select(&|change, role| role == Role::Load && !goes(change)));
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
                select(&|change, role| {
                    role == Role::Load
                        && goes(change) == going
                        && !is_mpm(module(&change.path))
                        && of(level, change)
                })
            })
            .collect();
        if going {
            levels.reverse();
        }
        levels
    };

    push(select(&|change, role| role == Role::File && !goes(change) && !chooses_mpm(change)), false);
    let free: BTreeSet<String> = coming.difference(&new_bound).cloned().collect();
    for level in loads_in_order(&free, false) {
        push(level, false);
    }
    let with_swap = |change: &Change| {
        swap && (is_mpm(module(&change.path)) || of(&new_bound, change) || of(&old_bound, change))
    };
    push(select(&|change, role| role == Role::ModuleConf && !goes(change) && !with_swap(change)), false);
    push(select(&|change, role| role == Role::Conf && !goes(change)), false);

    // The swap. Settings of what goes leave before their module, those of what comes arrive after it.
    push(select(&|change, role| role == Role::ModuleConf && goes(change) && with_swap(change)), true);
    for level in loads_in_order(&old_bound, true) {
        push(level, true);
    }
    push(select(&|change, role| role == Role::File && !goes(change) && chooses_mpm(change)), false);
    all.extend(mpm_steps(changes, &mpm_loads));
    let mut push = |indices: Vec<usize>, at_once: bool| {
        if !indices.is_empty() {
            all.push(Stage { steps: indices.into_iter().map(Step::Make).collect(), at_once });
        }
    };
    for level in loads_in_order(&new_bound, false) {
        push(level, true);
    }
    push(select(&|change, role| role == Role::ModuleConf && !goes(change) && with_swap(change)), true);

    push(select(&|change, role| role == Role::Conf && goes(change)), false);
    push(select(&|change, role| role == Role::ModuleConf && goes(change) && !with_swap(change)), false);
    let rest: BTreeSet<String> = leaving.difference(&old_bound).cloned().collect();
    for level in loads_in_order(&rest, true) {
        push(level, false);
    }
    push(select(&|change, role| role == Role::File && goes(change)), false);
    push(select(&|_, role| role == Role::Marker), false);
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
        stages.push(one(Step::Retarget { path: from.path.clone(), target: target.clone() }));
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
