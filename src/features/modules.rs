//! Modules that nothing uses: which they are, what taking them out brings, and taking them out by name.
//!
//! Most of them cost next to nothing: thirteen that Debian loads and nothing uses take 0.2 MB of the whole server. What
//! pays is mod_php that runs no PHP and a rule set that inspects nothing, and there is less to attack.

mod stock;
mod usage;

use crate::feature::{self, Feature, Host, Want, Writes};
use crate::httpd::directives;
use crate::httpd::read::startup;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};
use usage::Use;

/// The name of this feature's parameters.
pub const NAME: &str = "modules";

crate::parameters! {
    /// Modules that nothing uses.
    pub struct Modules {
        /// `false` gives back what this program took out.
        enabled: bool;
        /// Modules that are taken out, by their names without `mod_`. One that is used is refused, with what uses it; so is
        /// one that does its work without a line, such as `reqtimeout`.
        remove: Vec<String>;
    }
}

pub(crate) static MOD_101: Rule = Rule {
    id: "MOD-101",
    severity: Severity::Info,
    setting: "modules.remove",
    summary: "modules that nothing uses; taking them out leaves less to attack and saves next to no memory",
    source: "the configuration as it is carried out, with the directives, handlers, filters and providers of each module",
    check: Check::View(unused),
    ..Rule::NEW
};

fn unused(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(startup) = view.context.startup.filter(|_| view.remarks(directives::Group(NAME))) else {
        return;
    };
    let names: Vec<&str> = usage::unused(startup).into_iter().collect();
    if names.is_empty() {
        return;
    }
    out.of(view, NAME, "modules.remove").value(names.join(" ")).emit(
        format!(
            "nothing uses {}: taken out there is less to attack; thirteen of that kind take 0.2 MB of the whole server",
            names.join(", ")
        ),
        format!("set modules.remove: [{}] where nothing else needs them", names.join(", ")),
    );
}

pub(crate) static MOD_102: Rule = Rule {
    id: "MOD-102",
    severity: Severity::Warning,
    setting: "modules",
    summary: "a module that takes much memory and does nothing",
    source: "measured: mod_php 16 MB of a server with 5 processes, an idle rule set of mod_security2 26 MB",
    check: Check::View(costly_for_nothing),
    ..Rule::NEW
};

fn costly_for_nothing(view: &View<'_>, out: &mut Reporter<'_>) {
    if view.context.startup.is_none() {
        return;
    }
    let is_php = |id: &str| id == "php_module" || id == "php5_module" || id == "php7_module";
    let php = view.after.modules.iter().find(|module| is_php(&module.identifier));
    let runs_php = ["SetHandler", "AddHandler", "AddType"]
        .into_iter()
        .any(|name| view.served(name).any(|line| line.first().to_ascii_lowercase().contains("php")));
    if let Some(php) = php.filter(|_| !runs_php) {
        out.of(view, NAME, "modules").value(&php.identifier).emit(
            format!(
                "{} is loaded and no line gives it a file to run: about 3 MB for each process",
                php.identifier
            ),
            "take it out, or give it the files: SetHandler application/x-httpd-php",
        );
    }
    let inspects = view.served("SecRuleEngine").any(|line| !line.first().eq_ignore_ascii_case("off"));
    if view.has("security2_module") && !inspects {
        out.of(view, NAME, "modules").value("security2_module").emit(
            "mod_security2 is loaded and SecRuleEngine is nowhere On or DetectionOnly: its rules take memory and inspect \
             nothing",
            "write SecRuleEngine DetectionOnly and read its log, or take the module out",
        );
    }
}

pub(crate) static MOD_103: Rule = Rule {
    id: "MOD-103",
    severity: Severity::Error,
    setting: "modules.remove",
    summary: "a module that is used",
    source: "the configuration as it is carried out",
    ..Rule::NEW
};

pub(crate) static MOD_104: Rule = Rule {
    id: "MOD-104",
    severity: Severity::Info,
    setting: "modules.remove",
    summary: "modules of which the configuration does not tell whether they are used",
    source: "httpd 2.4 server/core.c, AllowOverride",
    check: Check::View(open),
    ..Rule::NEW
};

fn open(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(startup) = view.context.startup.filter(|_| view.remarks(directives::Group(NAME))) else {
        return;
    };
    let open: Vec<String> = usage::judge(startup)
        .into_iter()
        .filter_map(
            |(name, used)| if let Use::Open(what) = used { Some(format!("{name} ({what})")) } else { None },
        )
        .collect();
    if !open.is_empty() {
        out.of(view, NAME, "modules.remove").emit(
            format!("not known to be used: {}", open.join(", ")),
            "modules.remove takes them out where you know that nothing needs them",
        );
    }
}

pub(crate) static MOD_105: Rule = Rule {
    id: "MOD-105",
    severity: Severity::Error,
    setting: "modules.remove",
    summary: "a module that does its work without a line: never taken out",
    source: "httpd 2.4; seen: without mod_dir a listing for /, without mod_mime files without a type, without \
             mod_reqtimeout slow clients that are never cut off",
    ..Rule::NEW
};

pub(crate) static MOD_107: Rule = Rule {
    id: "MOD-107",
    severity: Severity::Error,
    setting: "modules.remove",
    summary: "is no module of httpd's own",
    source: "httpd 2.4, its source tree",
    ..Rule::NEW
};

/// The feature.
pub static MODULES: Feature = Feature {
    name: NAME,
    doc: "Modules that nothing uses, taken out by name. If omitted, it is not managed.",
    fields: Modules::FIELDS,
    list: false,
    directives: Modules::DIRECTIVES,
    watched: &[],
    modules: &stock::ALL,
    rules: &[&MOD_101, &MOD_102, &MOD_103, &MOD_104, &MOD_105, &MOD_107],
    writes: Writes::DropIn,
    early: |_| None,
    elsewhere: feature::nowhere,
    parse: feature::parse::<Modules>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<Modules>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<Modules>() else { return };
    if asked.enabled == Some(false) {
        // One that is loaded was not taken out; another feature may have put it in.
        want.back = stock::ALL.iter().copied().filter(|module| !host.loads(module)).collect();
        return;
    }
    let names = asked.remove.as_deref().unwrap_or_default();
    // Read only where one of them is still loaded.
    let mut startup = None;
    for name in names {
        let name = name.as_str();
        if usage::STAYS.contains(&name) || name.starts_with("mpm_") {
            want.findings.push(MOD_105.finding(
                ("modules.remove", name),
                format!("mod_{name} does its work without a line of its own: it is never taken out"),
                format!("take {name} out of modules.remove"),
            ));
            continue;
        }
        let Some(module) = stock::ALL.iter().find(|module| module.name == name) else {
            want.findings.push(MOD_107.finding(
                ("modules.remove", name),
                format!("{name:?} is no module of httpd's own"),
                "write its name without mod_ and .so, such as negotiation".to_owned(),
            ));
            continue;
        };
        if !host.loads(module) {
            continue;
        }
        let read = startup.get_or_insert_with(|| startup::read(host.place.files, host.place.start));
        let judged = usage::judge(read);
        if let Some((_, Use::By(what))) = judged.iter().find(|(other, _)| *other == name)
            && !is_needed_by_removed_alone(names, name, what, &judged)
        {
            want.findings.push(MOD_103.finding(
                ("modules.remove", name),
                format!("mod_{name} is used: {what}"),
                format!("take that out first, or take {name} out of modules.remove"),
            ));
        }
        want.off.push(module);
    }
    want.off.sort_by_key(|module| usage::depth(module.name));
}

/// Tells whether a module is used by no line, and by no module but those that are taken out too.
fn is_needed_by_removed_alone(names: &[String], name: &str, what: &str, judged: &[(&str, Use)]) -> bool {
    let loaded = |other: &str| judged.iter().any(|(known, _)| *known == other);
    let mut needing = usage::needing(name).filter(|other| loaded(other)).peekable();
    what.starts_with("mod_")
        && needing.peek().is_some()
        && needing.all(|other| names.iter().any(|name| name == other))
}
