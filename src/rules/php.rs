//! PHP: mod_php under each MPM, and php-fpm in its place.

use std::path::Path;

use super::{Check, Reporter, Rule, View, rule};
use crate::distro::ModuleSwitch;
use crate::httpd::read::{Configuration, Module};
use crate::params::{ModPhp, Php, State};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&PHP_001, &PHP_002, &PHP_003, &PHP_004, &PHP_005];

pub(crate) static PHP_001: Rule = Rule {
    id: "PHP-001",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "mpm",
    summary: "mod_php that is not thread-safe; httpd refuses",
    source: "PHP sapi/apache2handler/sapi_apache2.c, php_pre_config; AH00013",
    after_change: true,
    check: Check::View(php_not_thread_safe),
    ..Rule::NEW
};

/// Returns the PHP modules that do not run under threads.
pub(crate) fn unsafe_modules(configuration: &Configuration) -> impl Iterator<Item = &Module> {
    configuration.modules.iter().filter(|module| {
        let php = module.identifier.strip_prefix("php").is_some_and(|rest| {
            rest.strip_suffix("_module").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        });
        // Fedora's and RHEL's thread-safe build carries the name of PHP's own option.
        php && !module.path.contains("zts")
    })
}

fn php_not_thread_safe(view: &View<'_>, out: &mut Reporter<'_>) {
    // Without one MPM there is no telling which; that is said by itself.
    if view.after.mpms().len() == 1 {
        for module in unsafe_modules(view.after) {
            let line = module.loaded_at.map(|(file, line)| (view.after.path(file).display(), line));
            let way = match (view.layout.modules, line) {
                (ModuleSwitch::LinkFarm, _) => "set mod_php to disable and serve PHP by php-fpm".to_owned(),
                // There nothing is known of how PHP was set up, and its line is not this tool's.
                (ModuleSwitch::Sysconfig { file }, _) => {
                    format!(
                        "take {} out of APACHE_MODULES and serve PHP by php-fpm",
                        sysconfig_word(view, file, module)
                    )
                }
                (_, Some((file, line))) => {
                    format!("comment {file}:{line} out and serve PHP by php-fpm")
                }
                (_, None) => "serve PHP by php-fpm".to_owned(),
            };
            out.about("mpm").value(view.mpm).code("AH00013").emit(
                format!(
                    "{} is loaded and is not thread-safe: under {} httpd does not start",
                    module.identifier, view.mpm
                ),
                format!("{way}, or set mpm to prefork"),
            );
        }
    }
}

/// Returns the word by which `APACHE_MODULES` of SUSE's variables loads PHP: `php8` for `php_module`.
fn sysconfig_word(view: &View<'_>, file: &str, module: &Module) -> String {
    let text = view.start().and_then(|start| start.files.read(Path::new(file)).ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let values = text.lines().filter_map(|line| line.trim().strip_prefix("APACHE_MODULES="));
    let words =
        values.flat_map(|value| value.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
    let php = words.map(|word| word.trim_start_matches("mod_")).find(|word| word.starts_with("php"));
    php.unwrap_or_else(|| module.identifier.trim_end_matches("_module")).to_owned()
}

pub(crate) static PHP_002: Rule = Rule {
    id: "PHP-002",
    severity: Severity::Warning,
    mpms: rule::THREADED,
    setting: "facts.php",
    summary: "PHP is to run as mod_php on Debian, whose package turns prefork on",
    source: "Debian libapache2-mod-php, postinst",
    check: Check::View(php_package_turns_prefork_on),
    ..Rule::NEW
};

fn php_package_turns_prefork_on(view: &View<'_>, out: &mut Reporter<'_>) {
    let farm = matches!(view.layout.modules, ModuleSwitch::LinkFarm);
    if farm && view.params.facts.php == Some(Php::ModPhp) {
        out.about("facts.php").value("mod_php").emit(
            format!(
                "PHP is to run as mod_php, whose package turns {} off and prefork on when it is installed or upgraded",
                view.mpm
            ),
            "serve PHP by php-fpm, or set mpm to prefork",
        );
    }
}

/// Returns the PHP module that a configuration loads.
fn php_module(configuration: &Configuration) -> Option<&str> {
    configuration.modules.iter().map(|module| module.identifier.as_str()).find(|identifier| {
        identifier
            .strip_prefix("php")
            .and_then(|rest| rest.strip_suffix("_module"))
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

pub(crate) static PHP_004: Rule = Rule {
    id: "PHP-004",
    severity: Severity::Error,
    mpms: rule::PREFORK,
    setting: "mpm",
    summary: "the change of the MPM moves PHP from php-fpm into mod_php: other user, other limits",
    source: "RHEL 8 mod_php, conf.modules.d/20-php.conf: loaded under prefork alone",
    after_change: true,
    check: Check::View(php_moves_into_apache),
    ..Rule::NEW
};

fn php_moves_into_apache(view: &View<'_>, out: &mut Reporter<'_>) {
    // Going back is not a choice of how PHP runs.
    if view.params.state != State::Present {
        return;
    }
    if let (None, Some(module)) = (php_module(view.before), php_module(view.after)) {
        out.about("mpm").value(view.mpm).emit(
            format!(
                "under {} the distribution loads {module}: PHP moves from php-fpm into Apache's processes, with \
                 Apache's user and without the limits of php-fpm's pools",
                view.mpm
            ),
            "stay with a threaded MPM, or waive PHP-004 if PHP is to run in Apache",
        );
    }
}

pub(crate) static PHP_005: Rule = Rule {
    id: "PHP-005",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "mod_php",
    summary: "the change of the MPM drops mod_php, and nobody asked for that or no php-fpm is there",
    source: "RHEL 8 mod_php, conf.modules.d/20-php.conf: loaded under prefork alone",
    after_change: true,
    check: Check::View(php_loses_its_module),
    ..Rule::NEW
};

fn php_loses_its_module(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.params.state != State::Present {
        return;
    }
    let (Some(module), None) = (php_module(view.before), php_module(view.after)) else { return };
    if view.params.mod_php == ModPhp::Disable {
        if view.host.php_fpm == Some(false) {
            out.about("mod_php").value("disable").emit(
                format!(
                    "{module} runs PHP now and is not loaded under {}, and no php-fpm is installed in /usr/sbin: \
                     PHP's sources would be sent to whoever asks",
                    view.mpm
                ),
                "install and start php-fpm first; waive PHP-005 if it is elsewhere; or stay with mpm: prefork",
            );
        }
    } else {
        out.about("mod_php").value("refuse").emit(
            format!(
                "{module} runs PHP now and is not loaded under {}: php-fpm has to take PHP over",
                view.mpm
            ),
            "install and start php-fpm and set mod_php to disable, or stay with mpm: prefork",
        );
    }
}

pub(crate) static PHP_003: Rule = Rule {
    id: "PHP-003",
    severity: Severity::Error,
    mpms: rule::THREADED,
    setting: "mod_php",
    summary: "mod_php would be disabled but no php-fpm is installed; PHP sources would be served as text",
    source: "Debian php-fpm, conf-available/php*-fpm.conf",
    supersedes: &[&PHP_001],
    check: Check::Planned,
    ..Rule::NEW
};
