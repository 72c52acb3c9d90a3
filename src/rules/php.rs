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
            let disables = view.params.mod_php == ModPhp::Disable;
            let way = match (view.layout.modules, line) {
                // What `disable` takes out is a link of a2enmod's.
                (ModuleSwitch::LinkFarm, _) if !disables => {
                    "set mod_php to disable and serve PHP by php-fpm".to_owned()
                }
                // There nothing is known of how PHP was set up, and its line is not this tool's.
                (ModuleSwitch::Sysconfig { file }, _) => {
                    format!(
                        "have php-fpm serve PHP, then take {} out of APACHE_MODULES",
                        sysconfig_word(view, file, module)
                    )
                }
                (_, Some((file, line))) => {
                    format!(
                        "have php-fpm serve PHP, then comment {file}:{line} out, with the lines that give PHP's files to it"
                    )
                }
                (_, None) => "serve PHP by php-fpm".to_owned(),
            };
            let not_done = if disables { "; mod_php: disable does not take it out here" } else { "" };
            out.about("mpm").value(view.mpm).code("AH00013").emit(
                format!(
                    "{} is loaded and is not thread-safe: under {} httpd does not start{not_done}",
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
    setting: "mod_php",
    summary: "PHP's files have a handler, and neither mod_php nor php-fpm is there for it; sources would be served as text",
    source: "Debian php-fpm, conf-available/php*-fpm.conf; httpd 2.4 server/core.c, default_handler",
    after_change: true,
    supersedes: &[&PHP_001],
    check: Check::View(sources_are_served),
    ..Rule::NEW
};

/// Tells whether a handler or media type is one that only mod_php takes.
fn is_of_mod_php(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    word.strip_prefix("application/x-httpd-php")
        .is_some_and(|rest| rest.is_empty() || rest.bytes().all(|byte| byte.is_ascii_digit()))
        || word
            .strip_prefix("php")
            .and_then(|rest| rest.strip_suffix("-script"))
            .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn sources_are_served(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.params.state != State::Present || php_module(view.after).is_some() {
        return;
    }
    let Some(start) = view.start() else { return };
    // Something else may run them: php-fpm, or a program that an Action names.
    let is_proxy = |text: &str| text.contains("fcgi");
    let elsewhere = ["SetHandler", "AddHandler", "ProxyPass", "ProxyPassMatch", "RewriteRule"]
        .into_iter()
        .flat_map(|directive| view.served(directive))
        .any(|line| line.words.iter().any(|word| is_proxy(word)));
    if elsewhere || start.startup.file_with("Action").is_some() {
        return;
    }
    let handlers =
        ["SetHandler", "AddHandler", "AddType"].into_iter().flat_map(|directive| view.served(directive));
    let Some(line) = handlers.into_iter().find(|line| is_of_mod_php(line.first())) else { return };
    // What was so before is not this task's fault, unless it is about the way PHP runs.
    let about_php = view.audit
        || view.params.mpm.is_some()
        || view.params.mod_php == ModPhp::Disable
        || php_module(view.before).is_some();
    let cap = if about_php { Severity::Error } else { Severity::Warning };
    out.about("mod_php").at_most(cap).value(line.words.join(" ")).emit(
        format!(
            "{} {} at {} gives files to PHP, and neither mod_php nor php-fpm is there to run them: their sources are \
             sent to whoever asks",
            line.directive,
            line.first(),
            view.place(line)
        ),
        "have php-fpm serve PHP (SetHandler \"proxy:unix:…|fcgi://localhost\"), and take that line out",
    );
}
