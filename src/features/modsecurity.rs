//! `ModSecurity` and its Core Rule Set: the engine, the limits, the level, and which rules are left out.
//!
//! Two places are written, because order decides: the level and the thresholds stand before the rules, all else behind
//! them.

mod reports;

use std::path::{Path, PathBuf};

use crate::distro::{Layout, Site};
use crate::feature::{self, Feature, Host, Item, Module, Want, Writes};
use crate::httpd::directives::{Directive, Group, Parser};
use crate::rules::modules::PKG_001;
use crate::tree::Files;
use crate::units::Bytes;
use reports::{SEC_010, SEC_013, SEC_014, SEC_015};

/// The name of this feature's parameters and block.
pub const NAME: &str = "modsecurity";

const MODULE_ID: &str = "security2_module";

/// The ids of all rules of the Core Rule Set.
const WHOLE_SET: &str = "900000-999999";

/// What `SecRequestBodyLimit` takes at most.
const MOST: u64 = 1 << 30;

fn is_security(identifier: &str) -> bool {
    identifier == MODULE_ID
}

const fn directive(name: &'static str, parser: Parser) -> Directive {
    Directive::new(name, Group(NAME), parser).in_sections().module(is_security)
}

crate::parameters! {
    /// ModSecurity with the Core Rule Set. It is written whole: what is left out is as its default says.
    pub struct ModSecurity {
        /// Whether requests are inspected at all: `true` loads mod_security2, `false` takes out what this program put in.
        /// If omitted, the module is not changed.
        enabled: bool;
        /// What is done about a request that a rule finds: `off`, `detect` (it is logged) or `on` (it is refused).
        /// `SecRuleEngine`. Default: `detect`.
        engine: String => [directive("SecRuleEngine", Parser::Text).default(|_, _| "Off")];
        /// Whose rules count: `crs`, those of the Core Rule Set and those of the host, or `none`, those of the host alone.
        /// Default: `crs`.
        rules: String;
        /// How suspicious the Core Rule Set is: 1 refuses few ordinary requests, 4 most sites' own. Default: 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 4)))]
        paranoia: i64;
        /// The points from which on a request is refused; a critical rule gives 5. Default: 5.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
        inbound: i64;
        /// The points from which on an answer is refused. Default: 4.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000)))]
        outbound: i64;
        /// The largest request that is let through, uploads included, at most `1G`. `SecRequestBodyLimit`. Default:
        /// `12.5M`.
        body_limit: String => [directive("SecRequestBodyLimit", Parser::Strtol).default(|_, _| "134217728")];
        /// The largest request without its uploaded files. `SecRequestBodyNoFilesLimit`. Default: `128K`.
        no_files_limit: String => [
            directive("SecRequestBodyNoFilesLimit", Parser::Strtol).default(|_, _| "1048576"),
        ];
        /// Whether answers are inspected too: each worker keeps one in memory then. `SecResponseBodyAccess`. Default: no.
        inspect_responses: bool => [directive("SecResponseBodyAccess", Parser::Flag).default(|_, _| "Off")];
        /// Which requests are written to the audit log: `off`, `relevant` or `all`. `SecAuditEngine`. Default: `relevant`.
        audit: String => [directive("SecAuditEngine", Parser::Text).default(|_, _| "Off")];
        /// The status of an answer that makes its request relevant, as a regular expression. `SecAuditLogRelevantStatus`.
        /// Default: `^5`.
        audit_status: String => [directive("SecAuditLogRelevantStatus", Parser::Text)];
        /// Rules that are left out, by id or by range: `942100`, `942200-942299`. `SecRuleRemoveById`, behind the rules.
        exclude: Vec<String>;
    }
}

static UNIQUE_ID: Module = Module::stock("unique_id", |id| id == "unique_id_module");
static MODULE: Module = Module { package, needs: &[&UNIQUE_ID], ..Module::stock("security2", is_security) };

fn package(layout: &Layout) -> &'static str {
    match layout.name {
        "debian" => "libapache2-mod-security2",
        "suse" => "apache2-mod_security2",
        "freebsd" => "ap24-mod_security",
        "gentoo" => "www-apache/mod_security",
        _ => "mod_security",
    }
}

/// Where a family keeps what its packages bring.
struct Places {
    /// A directory whose files are read before the rules.
    before: &'static str,
    /// What is there where the Core Rule Set is installed.
    rules: &'static str,
    /// The package that brings it.
    package: &'static str,
    /// The directory for uploads and collections.
    data: &'static str,
    /// The directory of the server's logs.
    logs: &'static str,
}

/// Source: the packages libapache2-mod-security2 and modsecurity-crs of Debian 12 and 13; `mod_security.spec` 2.9.6 and
/// `mod_security_crs.spec` 3.3.4 of Red Hat's family.
fn places(layout: &Layout) -> Option<Places> {
    match layout.name {
        "debian" => Some(Places {
            before: "/etc/modsecurity",
            rules: "/usr/share/modsecurity-crs/owasp-crs.load",
            package: "modsecurity-crs",
            data: "/var/cache/modsecurity",
            logs: "${APACHE_LOG_DIR}",
        }),
        "redhat" => Some(Places {
            before: "/etc/httpd/modsecurity.d",
            rules: "/etc/httpd/modsecurity.d/activated_rules/REQUEST-901-INITIALIZATION.conf",
            package: "mod_security_crs",
            data: "/var/lib/mod_security",
            logs: "/var/log/httpd",
        }),
        _ => None,
    }
}

/// Tells whether the Core Rule Set is installed where the family's package puts it.
fn is_installed(files: &dyn Files, places: &Places) -> bool {
    // Red Hat's activated rules are links into /usr/share.
    files.read(Path::new(places.rules)).is_ok()
}

fn early(site: &Site) -> Option<PathBuf> {
    Some(Path::new(places(site.layout)?.before).join("zz-apache-tuning.conf"))
}

/// The feature.
pub static MODSECURITY: Feature = Feature {
    name: NAME,
    doc: "ModSecurity and its Core Rule Set. If omitted, it is not managed.",
    fields: ModSecurity::FIELDS,
    list: false,
    directives: ModSecurity::DIRECTIVES,
    watched: &[],
    modules: &[&MODULE, &UNIQUE_ID],
    rules: reports::RULES,
    writes: Writes::DropIn,
    early,
    elsewhere: feature::nowhere,
    parse: feature::parse::<ModSecurity>,
    #[cfg(feature = "schema")]
    schema: schemars::SchemaGenerator::into_root_schema_for::<ModSecurity>,
    look: |_| None,
    want,
    takes_over: |_| false,
};

/// What is done about a request that a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Off,
    Detect,
    On,
}

impl ModSecurity {
    /// Returns what is asked of the engine; `None` for a word that is none of its own. YAML's bare `on` and `off` are
    /// booleans.
    fn engine(&self) -> Option<Engine> {
        match self.engine.as_deref().unwrap_or("detect").to_ascii_lowercase().as_str() {
            "off" | "false" => Some(Engine::Off),
            "detect" | "detectiononly" => Some(Engine::Detect),
            "on" | "true" => Some(Engine::On),
            _ => None,
        }
    }

    /// Tells whether the Core Rule Set is to count; `None` for a word that says neither.
    fn core_rules(&self) -> Option<bool> {
        match self.rules.as_deref().unwrap_or("crs") {
            "crs" => Some(true),
            "none" => Some(false),
            _ => None,
        }
    }

    /// Returns the word of `SecAuditEngine`; `None` for a word that is none of its own.
    fn audit(&self) -> Option<&'static str> {
        match self.audit.as_deref().unwrap_or("relevant").to_ascii_lowercase().as_str() {
            "off" | "false" => Some("Off"),
            "relevant" => Some("RelevantOnly"),
            "all" => Some("On"),
            _ => None,
        }
    }

    /// Returns the largest request, in bytes; `None` where it is no size that ModSecurity takes.
    fn body_limit(&self) -> Option<u64> {
        let limit = Bytes::parse(self.body_limit.as_deref().unwrap_or("12.5M"))?.0;
        (1..=MOST).contains(&limit).then_some(limit)
    }

    /// Returns the largest request without its files; `None` where it is no size or larger than one with them.
    fn no_files_limit(&self) -> Option<u64> {
        let limit = Bytes::parse(self.no_files_limit.as_deref().unwrap_or("128K"))?.0;
        (1..=self.body_limit().unwrap_or(MOST)).contains(&limit).then_some(limit)
    }
}

/// Tells whether a text is the id of a rule or a range of them.
fn is_id(text: &str) -> bool {
    let number = |text: &str| {
        (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u32>().ok())?
    };
    match text.split_once('-') {
        None => number(text).is_some(),
        Some((first, last)) => number(first).zip(number(last)).is_some_and(|(first, last)| first <= last),
    }
}

fn want(group: &dyn crate::parameters::Group, host: &Host<'_>, want: &mut Want) {
    let Some(asked) = (group as &dyn std::any::Any).downcast_ref::<ModSecurity>() else { return };
    if asked.enabled == Some(false) {
        want.gone = true;
        return;
    }
    judge_values(asked, want);
    let (Some(engine), Some(core), Some(audit), Some(body), Some(no_files)) =
        (asked.engine(), asked.core_rules(), asked.audit(), asked.body_limit(), asked.no_files_limit())
    else {
        return;
    };
    let places = places(host.place.site.layout);
    let installed = places.as_ref().is_some_and(|places| is_installed(host.place.files, places));
    match &places {
        _ if !core || installed => {}
        Some(places) => want.findings.push(PKG_001.finding(
            ("modsecurity.rules", "crs"),
            format!("the Core Rule Set is not installed: {} is not there", places.rules),
            format!("install the package {} first, or set modsecurity.rules: none", places.package),
        )),
        None => want.findings.push(SEC_015.finding(
            ("modsecurity.rules", "crs"),
            format!("where {} reads the Core Rule Set is not known here", host.place.site.layout.name),
            "set modsecurity.rules: none, and include the rules by lines of your own",
        )),
    }
    let refuses = |line: &crate::httpd::read::Line| {
        line.directive == "SecRuleEngine" && !line.words.iter().any(|word| word.eq_ignore_ascii_case("off"))
    };
    if engine == Engine::On && !host.place.configuration.lines.iter().any(refuses) {
        want.findings.push(SEC_010.finding(
            ("modsecurity.engine", "on"),
            "requests are refused from the first moment on, and nothing was inspected on this host so far".to_owned(),
            "set modsecurity.engine: detect for a week first, and put the rules that name your own requests in the \
             error log ([id \"942100\"]) into modsecurity.exclude"
                .to_owned(),
        ));
    }

    let on = |flag: bool| if flag { "On" } else { "Off" }.to_owned();
    let word = match engine {
        Engine::Off => "Off",
        Engine::Detect => "DetectionOnly",
        Engine::On => "On",
    };
    want.set(&MODSECURITY, "engine", vec![word.to_owned()]);
    want.set(&MODSECURITY, "body_limit", vec![body.to_string()]);
    want.set(&MODSECURITY, "no_files_limit", vec![no_files.to_string()]);
    want.set(&MODSECURITY, "inspect_responses", vec![on(asked.inspect_responses == Some(true))]);
    want.set(&MODSECURITY, "audit", vec![audit.to_owned()]);
    if audit == "RelevantOnly" {
        let status = asked.audit_status.clone().unwrap_or_else(|| "^5".to_owned());
        want.set(&MODSECURITY, "audit_status", vec![status]);
    }
    want.guard(&MODSECURITY, MODULE_ID);

    let mut items = vec![Item::line("SecRequestBodyAccess", ["On"])];
    if let Some(places) = &places {
        items.push(Item::line("SecTmpDir", [places.data]));
        items.push(Item::line("SecDataDir", [places.data]));
        if audit != "Off" {
            items.push(Item::line("SecAuditLog", [format!("{}/modsec_audit.log", places.logs)]));
        }
    }
    if !core && installed {
        items.push(Item::line("SecRuleRemoveById", [WHOLE_SET]));
    }
    let exclude = asked.exclude.as_deref().unwrap_or_default();
    if !exclude.is_empty() {
        items.push(Item::line("SecRuleRemoveById", exclude.iter().map(String::as_str)));
    }
    want.items = vec![Item::Section("IfModule", MODULE_ID.to_owned(), items)];
    if core && installed {
        want.early = vec![Item::Section("IfModule", MODULE_ID.to_owned(), before_the_rules(asked))];
    }
    want.module = asked.enabled;
    want.idle = Some(SEC_014.finding(
        (NAME, "values"),
        "mod_security2 is not loaded: no request is inspected".to_owned(),
        "set modsecurity.enabled: true".to_owned(),
    ));
}

/// Returns the actions by which the Core Rule Set gets its level and its thresholds, with the ids that its own
/// `crs-setup.conf` has for them. Version 4 has another name for the level.
fn before_the_rules(asked: &ModSecurity) -> Vec<Item> {
    let [level, thresholds] = reports::OWN_IDS;
    let paranoia = asked.paranoia.unwrap_or(1);
    let (inbound, outbound) = (asked.inbound.unwrap_or(5), asked.outbound.unwrap_or(4));
    let action = |id: u32, sets: String| {
        Item::line("SecAction", [format!("id:{id},phase:1,nolog,pass,t:none,{sets}")])
    };
    vec![
        action(
            level,
            format!("setvar:tx.paranoia_level={paranoia},setvar:tx.blocking_paranoia_level={paranoia}"),
        ),
        action(
            thresholds,
            format!(
                "setvar:tx.inbound_anomaly_score_threshold={inbound},\
                 setvar:tx.outbound_anomaly_score_threshold={outbound}"
            ),
        ),
    ]
}

/// Says which values are none that `ModSecurity` takes.
fn judge_values(asked: &ModSecurity, want: &mut Want) {
    let mut refuse = |key: &str, value: &Option<String>, why: &str, hint: &str| {
        let value = value.as_deref().unwrap_or_default();
        let setting = format!("modsecurity.{key}");
        let message = format!("{setting} {value:?} {why}");
        want.findings.push(SEC_013.finding((&setting, value), message, hint));
    };
    if asked.engine().is_none() {
        refuse("engine", &asked.engine, "is not off, detect or on", "write detect");
    }
    if asked.core_rules().is_none() {
        refuse("rules", &asked.rules, "is not crs or none", "write crs");
    }
    if asked.audit().is_none() {
        refuse("audit", &asked.audit, "is not off, relevant or all", "write relevant");
    }
    if asked.body_limit().is_none() {
        refuse("body_limit", &asked.body_limit, "is no size from 1 byte to 1 GiB", "write one such as 12.5M");
    }
    if asked.no_files_limit().is_none() {
        refuse(
            "no_files_limit",
            &asked.no_files_limit,
            "is no size up to that of body_limit",
            "write one such as 128K",
        );
    }
    if asked.audit_status.as_deref().is_some_and(str::is_empty) {
        refuse("audit_status", &asked.audit_status, "is empty", "write one such as ^5");
    }
    for entry in asked.exclude.iter().flatten().filter(|entry| !is_id(entry)) {
        let entry = Some(entry.clone());
        refuse("exclude", &entry, "is no id of a rule and no range of them", "write 942100 or 942200-942299");
    }
}
