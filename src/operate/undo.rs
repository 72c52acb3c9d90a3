//! An undo is judged like any other change: what it gives back must lead somewhere, and leave something to run PHP.

use std::collections::BTreeMap;
use std::path::Path;

use crate::distro::{ModuleSwitch, Site};
use crate::httpd::Mpm;
use crate::httpd::read::Configuration;
use crate::modules::{Farm, Kind as Switched};
use crate::report::Finding;
use crate::rules;
use crate::tree::{Change, Draft, Files, Kind, Node, Role};

/// Judges the changes of `absent` and `rolled_back` over the draft that they make.
pub(super) fn judge(
    draft: &Draft<'_>,
    site: &Site,
    (before, after): (&Configuration, &Configuration),
    changes: &[Change],
) -> Vec<Finding> {
    let mut told = Vec::new();
    dangling(draft, site, changes, &mut told);
    unserved_php(draft, site, (before, after), changes, &mut told);
    told
}

/// Refuses links that would lead nowhere: httpd passes over them in silence, or does not start.
fn dangling(draft: &Draft<'_>, site: &Site, changes: &[Change], told: &mut Vec<Finding>) {
    let mut missing: BTreeMap<(String, &'static str), Vec<&Path>> = BTreeMap::new();
    for change in changes {
        let leads_nowhere = !matches!(draft.kind(&change.path), Ok(kind) if kind != Kind::Absent);
        if matches!(change.after, Node::Link(_)) && leads_nowhere {
            missing.entry(package(site, change)).or_default().push(&change.path);
        }
    }
    for ((package, setting), links) in missing {
        told.push(rules::undo::UND_001.finding(
            (setting, "undo"),
            format!("{} would be given back and lead nowhere: what it led to was removed since", list(&links)),
            format!(
                "install {package} first; or leave this change as it is and take single values back with a task; or waive \
                 UND-001 where httpd is to do without"
            ),
        ));
    }
}

/// Returns what to install for the target of a link, and the setting that it is about.
fn package(site: &Site, change: &Change) -> (String, &'static str) {
    let layout = site.layout;
    let name = change.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let module = change.role.module().unwrap_or_default();
    if let Some(mpm) = Mpm::ALL.into_iter().find(|mpm| mpm.debian() == module) {
        return (format!("the package {}", layout.mpm_package.replace("{mpm}", mpm.name())), "mpm");
    }
    let package = match () {
        () if is_php(module) => format!("libapache2-mod-{module}"),
        () if is_fpm(name) => name.to_owned(),
        () => return (format!("the package that has {name}"), "state"),
    };
    (format!("the package {package}"), "state")
}

/// Refuses an undo after which nobody runs PHP: its sources would be sent to whoever asks.
fn unserved_php(
    draft: &Draft<'_>,
    site: &Site,
    (before, after): (&Configuration, &Configuration),
    changes: &[Change],
    told: &mut Vec<Finding>,
) {
    let taken = if site.layout.modules == ModuleSwitch::LinkFarm {
        let farm = Farm::new(site.config_dir.clone());
        let there = |kind, wanted: fn(&str) -> bool| {
            farm.list_enabled(draft, kind, wanted).is_ok_and(|names| !names.is_empty())
        };
        let goes = changes.iter().find(|change| {
            let name = change.path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let ran_php = match &change.role {
                Role::Load { module, .. } => is_php(module),
                Role::Conf => is_fpm(name),
                _ => false,
            };
            ran_php && change.after == Node::Absent
        });
        let served = there(Switched::Module, is_php) || there(Switched::Conf, is_fpm);
        goes.filter(|_| !served).map(|change| change.path.display().to_string())
    } else {
        let fpm = draft.list(Path::new("/usr/sbin")).is_ok_and(|names| {
            names.iter().any(|name| name.to_str().is_some_and(|name| name.starts_with("php-fpm")))
        });
        let module = |configuration: &Configuration| {
            let mut names = configuration.modules.iter().map(|module| module.identifier.clone());
            names.find(|name| name.strip_suffix("_module").is_some_and(is_php))
        };
        module(before).filter(|_| module(after).is_none() && !fpm)
    };
    if let Some(taken) = taken {
        told.push(rules::undo::UND_002.finding(
            ("state", "undo"),
            format!(
                "this undo takes {taken} out, and nothing else runs PHP then: its sources would be sent to whoever asks"
            ),
            "install what ran PHP before, or hand PHP over by a task with mpm and mod_php instead of undoing".to_owned(),
        ));
    }
}

/// Tells whether a module is PHP's: `php8.2`, `php7`.
fn is_php(module: &str) -> bool {
    let version = module.strip_prefix("php").unwrap_or_default();
    module == "php"
        || (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// Tells whether a snippet hands PHP to php-fpm: `php8.2-fpm`.
fn is_fpm(snippet: &str) -> bool {
    snippet.strip_suffix("-fpm").is_some_and(is_php)
}

fn list(paths: &[&Path]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
