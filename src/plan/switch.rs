//! Switching one module on or off, in the family's way, whichever module it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::originals::Original;
use super::{Unreadable, Work, lines, sysconfig};
use crate::distro::{ModuleSwitch, Site};
use crate::feature::{Module, Place};
use crate::httpd::Mpm;
use crate::report::Finding;
use crate::rules;
use crate::tree::{Files, Node, bytes};

/// How many files are searched for a line that loads a module and is commented out.
const MOST_FILES: usize = 60;

/// How a module is loaded here, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loadable {
    /// The file that decides.
    pub file: PathBuf,
    /// The module's identifier.
    pub identifier: String,
    /// Its program, as the file has it.
    pub program: String,
}

/// Returns the file that usually loads a module.
pub fn usual_file(site: &Site, module: &Module) -> PathBuf {
    let pattern = site.layout.module_load.first().copied().unwrap_or_default();
    site.path(&pattern.replace("{module}", module.name))
}

/// Returns how a module is loaded here or would be; `None` where nothing on the host knows of it.
pub fn loadable(place: &Place<'_>, module: &Module) -> Option<Loadable> {
    let site = place.site;
    if let ModuleSwitch::Sysconfig { file } = site.layout.modules {
        return sysconfig::loadable(place.files, site, file, module);
    }
    let known = site.layout.module_load.iter().flat_map(|pattern| candidates(place, pattern, module));
    // An administrator may load it elsewhere.
    let configuration = place.configuration;
    let loaded = configuration
        .modules
        .iter()
        .find(|loaded| (module.is)(&loaded.identifier))
        .and_then(|loaded| loaded.loaded_at)
        .map(|(file, _)| configuration.path(file).to_owned());
    // What this tool has turned off in a file of somebody's own is found where it stands. The modules come first.
    let by_lines = matches!(site.layout.modules, ModuleSwitch::Lines { .. });
    let read =
        configuration.files.iter().take(if by_lines { MOST_FILES } else { 0 }).map(|file| file.path.clone());
    known.chain(loaded).chain(read).find_map(|file| {
        let text = place.files.read(&file).ok()?;
        let found = lines::load_lines(&text);
        let fit = || found.iter().filter(|line| (module.is)(&line.symbol));
        let line = fit().find(|line| line.is_active()).or_else(|| fit().next())?;
        Some(Loadable { file, identifier: line.symbol.clone(), program: line.program.clone() })
    })
}

/// Returns the files that a pattern of the family's row stands for.
fn candidates(place: &Place<'_>, pattern: &str, module: &Module) -> Vec<PathBuf> {
    let Some((dir, end)) = pattern.split_once("/*") else {
        return vec![place.site.path(&pattern.replace("{module}", module.name))];
    };
    let dir = place.site.path(dir);
    let names = place.files.list(&dir).unwrap_or_default();
    names.iter().filter(|name| bytes(name).ends_with(end.as_bytes())).map(|name| dir.join(name)).collect()
}

impl Work<'_> {
    /// Switches a module on or off, or says `idle` where it is left as it is and not loaded. `setting` is the parameter
    /// that asks for it.
    pub(super) fn switch_module(
        &mut self,
        module: &'static Module,
        enabled: Option<bool>,
        idle: Option<Finding>,
        setting: &str,
    ) -> Result<(), Unreadable> {
        if enabled == Some(true) {
            for needed in module.needs {
                self.switch_module(needed, Some(true), None, setting)?;
            }
        }
        if let Some(on) = enabled {
            self.modules.push((module, on, setting.to_owned()));
        }
        let switch = self.ground.site.layout.modules;
        let configuration = self.ground.configuration;
        let loads = || configuration.modules.iter().any(|loaded| (module.is)(&loaded.identifier));
        let reads = |file: &Path| configuration.files.iter().any(|read| read.path == file);
        if enabled == Some(true)
            && matches!(switch, ModuleSwitch::Lines { .. } | ModuleSwitch::Sysconfig { .. })
            && loads()
        {
            // Loaded, wherever that is said; built in, perhaps.
            return Ok(());
        }
        let on = match switch {
            ModuleSwitch::LinkFarm => self.switch_link(module.name, enabled, setting),
            ModuleSwitch::BuiltIn => self.refuse_option(module, enabled, setting),
            ModuleSwitch::Lines { .. } | ModuleSwitch::Sysconfig { .. } => {
                match loadable(&self.ground.place(), module) {
                    // Of an instance: the line is another server's, and this one does without the module already.
                    Some(found) if enabled == Some(false) && !loads() && !reads(&found.file) => false,
                    Some(found) if matches!(switch, ModuleSwitch::Lines { .. }) => {
                        self.switch_line(module, &found, enabled)?
                    }
                    Some(found) => self.switch_word(&found, enabled)?,
                    None => {
                        self.refuse_missing(module, enabled, setting);
                        false
                    }
                }
            }
        };
        if enabled.is_none() && !on {
            self.findings.extend(idle);
        }
        Ok(())
    }

    /// Takes out a module of which is known that nothing uses it.
    pub(super) fn take_out(&mut self, module: &'static Module, setting: &str) -> Result<(), Unreadable> {
        if self.ground.site.layout.modules != ModuleSwitch::LinkFarm {
            return self.switch_module(module, Some(false), None, setting);
        }
        self.modules.push((module, false, setting.to_owned()));
        self.take_link_out(module.name, setting);
        Ok(())
    }

    /// Says that nothing on the host loads a module.
    fn refuse_missing(&mut self, module: &Module, enabled: Option<bool>, setting: &str) {
        if enabled != Some(true) {
            return;
        }
        let layout = self.ground.site.layout;
        self.findings.push(rules::modules::PKG_001.finding(
            (setting, "true"),
            format!("no file on this host loads mod_{}, so it cannot be switched on", module.name),
            format!("install the package {} first", (module.package)(layout)),
        ));
    }

    /// Switches a module back to what it was before this tool's first change.
    pub(super) fn restore_module(&mut self, module: &Module) -> Result<(), Unreadable> {
        for needed in module.needs {
            self.restore_module(needed)?;
        }
        let switch = self.ground.site.layout.modules;
        let remembered: Vec<(PathBuf, Original)> =
            self.originals()?.iter().map(|(path, original)| (path.clone(), original.clone())).collect();
        for (path, original) in remembered {
            match (switch, &original.was) {
                (ModuleSwitch::LinkFarm, _) if switches(&path, module.name) => self.give_back(&path)?,
                (ModuleSwitch::Lines { .. }, Node::File(was)) => {
                    self.edit(&path, |text| lines::back_to(text, was, module.is))?;
                }
                (ModuleSwitch::Sysconfig { file }, Node::File(was))
                    if path == sysconfig::path_of(self.ground.site, file) =>
                {
                    self.edit(&path, |text| sysconfig::words_back_to(text, was, module.is))?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Tells whether a path is a link or marker of Debian's that switches a module.
fn switches(path: &Path, name: &str) -> bool {
    let dir = path.parent().unwrap_or(Path::new(""));
    path.file_stem() == Some(OsStr::new(name))
        && (dir.ends_with("mods-enabled") || dir.starts_with("/var/lib/apache2/module"))
}

/// Returns the program of an MPM on this host; `None` where the family has none to look for.
pub fn mpm_program(files: &dyn Files, site: &Site, mpm: Mpm) -> Option<PathBuf> {
    let usual = site.layout.mpm_program.replace("{mpm}", mpm.name());
    let written = match site.layout.modules {
        ModuleSwitch::LinkFarm => {
            let load = files.read(&site.path(&format!("mods-available/{}.load", mpm.debian()))).ok()?;
            lines::load_lines(&load).into_iter().find(|line| line.symbol == mpm.module())?.program
        }
        ModuleSwitch::Lines { file } => {
            let text = files.read(&site.path(file)).unwrap_or_default();
            let exists = |program: &str| files.is_file(&site.server_root.join(program));
            lines::mpm_program(&text, mpm, &usual, &exists)
        }
        ModuleSwitch::Sysconfig { .. } => usual,
        ModuleSwitch::BuiltIn => return None,
    };
    Some(site.server_root.join(written))
}
