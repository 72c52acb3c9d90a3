//! Debian's way: modules and snippets are enabled by links, as a2enmod and a2enconf make them.

use std::path::Path;

use super::{DROP_IN, Work};
use crate::modules::{Farm, Kind as Switched, Options, Problem, State as Standing};
use crate::params::ModPhp;
use crate::report::Finding;
use crate::rules;

impl Work<'_> {
    fn farm(&self) -> Farm {
        Farm::new(self.ground.site.config_dir.clone())
    }

    /// Makes the wanted MPM the only one enabled, with PHP handed to php-fpm where that is asked for.
    pub(super) fn switch_mpm_link(&mut self, mod_php: ModPhp) {
        let mpm = self.ground.mpm;
        let farm = self.farm();
        if mpm.threaded() && !self.settle_php(&farm, mod_php) {
            return;
        }
        if let Err(problems) = farm.switch_mpm(&mut self.draft, mpm) {
            self.findings.extend(problems.iter().map(|problem| refusal("mpm", mpm.name(), problem)));
        }
    }

    /// Takes an enabled mod_php out of a threaded MPM's way. Tells whether the way is free.
    fn settle_php(&mut self, farm: &Farm, mod_php: ModPhp) -> bool {
        let is_php = |name: &str| php_version(name).is_some();
        let enabled = match farm.list_enabled(&self.draft, Switched::Module, is_php) {
            Ok(enabled) => enabled,
            Err(problem) => {
                self.findings.push(refusal("mpm", self.ground.mpm.name(), &problem));
                return false;
            }
        };
        let mut free = true;
        for module in &enabled {
            let Some(version) = php_version(module) else { continue };
            // A module built by hand has no version in its name: any php-fpm will do.
            let installed_one = version.is_empty().then(|| self.newest_fpm(farm)).flatten();
            let version = installed_one.as_deref().unwrap_or(version);
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
                    self.findings.push(rules::php::PHP_001.finding(
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
                    self.findings.push(rules::php::PHP_003.finding(
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

    /// Returns the version of the newest php-fpm that is installed with its snippet.
    fn newest_fpm(&self, farm: &Farm) -> Option<String> {
        let names = self.ground.files.list(Path::new("/usr/sbin")).unwrap_or_default();
        let versions = names.iter().filter_map(|name| name.to_str()?.strip_prefix("php-fpm"));
        let has_snippet = |version: &&str| {
            let snippet = farm.available(Switched::Conf, &format!("php{version}-fpm"));
            !version.is_empty() && self.ground.files.is_file(&snippet)
        };
        let number = |version: &&str| -> Vec<u32> {
            version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
        };
        versions.filter(has_snippet).max_by_key(number).map(str::to_owned)
    }

    /// Switches a module on or off; tells whether it is on.
    pub(super) fn switch_link(&mut self, name: &str, enabled: Option<bool>, setting: &str) -> bool {
        let farm = self.farm();
        let off = matches!(farm.state(&self.draft, Switched::Module, name), Ok(Standing::Disabled));
        let result = match enabled {
            Some(true) => farm.enable(&mut self.draft, Switched::Module, name).map(|_| ()),
            Some(false) if !off => {
                farm.disable(&mut self.draft, Switched::Module, name, Options::default()).map(|_| ())
            }
            Some(false) | None => Ok(()),
        };
        if let Err(problems) = result {
            let told: Vec<Finding> =
                problems.iter().map(|problem| refusal(setting, "true", problem)).collect();
            self.findings.extend(told);
        }
        !off
    }

    /// Takes a module's links out although a2dismod asks before it does so: what it holds essential was proven to be used
    /// by nothing. What declares to depend on it prevents it all the same.
    pub(super) fn take_link_out(&mut self, name: &str, setting: &str) {
        let farm = self.farm();
        let result = match farm.dependents(&self.draft, name) {
            Ok(by) if !by.is_empty() => Err(vec![Problem::NeededBy { name: name.to_owned(), by }]),
            Ok(_) => {
                let options = Options { force: true, purge: false };
                farm.disable(&mut self.draft, Switched::Module, name, options).map(|_| ())
            }
            Err(problem) => Err(vec![problem]),
        };
        if let Err(problems) = result {
            let told: Vec<Finding> = problems.iter().map(|problem| refusal(setting, name, problem)).collect();
            self.findings.extend(told);
        }
    }

    /// Enables the drop-in.
    pub(super) fn link_drop_in(&mut self) {
        let farm = self.farm();
        if let Err(problems) = farm.enable(&mut self.draft, Switched::Conf, DROP_IN) {
            let told: Vec<Finding> =
                problems.iter().map(|problem| refusal("keepalive", DROP_IN, problem)).collect();
            self.findings.extend(told);
        }
    }

    /// Takes the drop-in's link out.
    pub(super) fn unlink_drop_in(&mut self) {
        let options = Options { force: false, purge: true };
        // A link in the way that is not this tool's stays, and is its owner's to fix.
        let _ = self.farm().disable(&mut self.draft, Switched::Conf, DROP_IN, options);
    }
}

/// A problem of switching modules as a finding.
fn refusal(setting: &str, value: &str, problem: &Problem) -> Finding {
    let rule = match problem {
        Problem::Missing { .. } => &rules::modules::MOD_001,
        Problem::Dangling { .. } => &rules::modules::MOD_002,
        Problem::Conflict { .. } => &rules::modules::MOD_003,
        Problem::NeededBy { .. } => &rules::modules::MOD_004,
        Problem::RealFile { .. } => &rules::modules::MOD_005,
        Problem::ForeignLink { .. } => &rules::modules::MOD_006,
        Problem::Unreadable { .. } => &rules::host::SYS_002,
        _ => &rules::modules::MOD_007,
    };
    let text = problem.to_string();
    let (message, hint) = text.rsplit_once("; ").unwrap_or((&text, "see the message"));
    rule.finding((setting, value), message, hint)
}

/// Returns the version in a PHP module's name: `8.2` of `php8.2`, `7` of `php7`, nothing of `php`, as PHP's own
/// `make install` names it.
fn php_version(module: &str) -> Option<&str> {
    let version = module.strip_prefix("php")?;
    version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(version)
}
