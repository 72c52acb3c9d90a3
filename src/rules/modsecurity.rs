//! `ModSecurity` on a host, whoever wrote its lines: rules that inspect nothing, exclusions that come too early,
//! directories that are open to everybody.
//!
//! Source: `apache2/apache2_config.c` and `apache2/re.c` of `ModSecurity` 2.9; what is called seen was seen with 2.9.7
//! and 2.9.11 and the Core Rule Set 3.3.4 and 3.3.7.

use std::collections::BTreeMap;

use super::gate::protection::setup_missing;
use super::{Check, Reporter, Rule, View};
use crate::facts::access;
use crate::httpd::read::Scope;
use crate::httpd::read::startup::{Line, Section};
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&SEC_001, &SEC_002, &SEC_003, &SEC_005, &SEC_006, &SEC_007, &SEC_008];

/// The group of parameters that manages it.
const GROUP: &str = "modsecurity";

const MODULE_ID: &str = "security2_module";

/// Bytes of an answer that are inspected where no line says how many.
const RESPONSE_LIMIT: u64 = 524_288;

/// From this paranoia level on, requests of ordinary visitors are refused on most sites.
const STRICT: u64 = 3;

/// The ids that `crs-setup.conf` has for the level and for the thresholds: those of the feature's own lines too.
pub(crate) const OWN_IDS: [u32; 2] = [900_000, 900_110];

/// Returns the lines that are rules of their own, each with its id: `SecRule` and `SecAction`.
pub(crate) fn rules<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Line, u32)> {
    let lines = view.context.startup.into_iter().flat_map(|startup| &startup.lines);
    lines.filter(|line| line.is("SecRule") || line.is("SecAction")).filter_map(|line| Some((line, id(line)?)))
}

/// Returns the id in the actions of a rule: `id:942100`, also in quotes.
fn id(line: &Line) -> Option<u32> {
    let actions = line.words.last()?;
    let mut parts = actions.split(',').map(|part| part.trim().trim_start_matches('"'));
    let is_id = |part: &&str| part.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("id:"));
    let text = parts.find(is_id)?;
    text[3..].trim().trim_matches(['\'', '"']).parse().ok()
}

/// Returns the words of `SecRuleEngine` that let requests be inspected, in any server or section.
fn inspecting<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Line> {
    view.served("SecRuleEngine").filter(|line| !line.first().eq_ignore_ascii_case("off"))
}

/// Returns the last word of the main server for a directive.
fn main<'a>(view: &View<'a>, directive: &'static str) -> Option<&'a Line> {
    view.served(directive).filter(|line| line.scope == Scope::Main).last()
}

pub(crate) static SEC_001: Rule = Rule {
    id: "SEC-001",
    severity: Severity::Warning,
    setting: "SecRuleEngine",
    summary: "rules are loaded and the engine is off: they take memory and no request is inspected",
    source: "ModSecurity 2.9 apache2/apache2_config.c: the engine is off where no line sets it; seen after installing \
             libapache2-mod-security2 and modsecurity-crs of Debian 12 and 13",
    check: Check::View(inspects_nothing),
    example: "SecRuleEngine Off",
    instead: "SecRuleEngine DetectionOnly",
    ..Rule::NEW
};

fn inspects_nothing(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(MODULE_ID) || inspecting(view).next().is_some() {
        return;
    }
    let Some((first, _)) = rules(view).next() else { return };
    let engine = main(view, "SecRuleEngine").map_or_else(
        || "no line sets SecRuleEngine, which is Off then".to_owned(),
        |line| format!("SecRuleEngine is Off ({})", view.place(line)),
    );
    out.of(view, GROUP, "SecRuleEngine").value("Off").emit(
        format!(
            "{} rules of ModSecurity are loaded (the first at {}) and {engine}: no request is inspected, an attack is \
             answered like any other request",
            rules(view).count(),
            view.place(first)
        ),
        "write SecRuleEngine DetectionOnly behind them, read its log for a week, then write On",
    );
}

pub(crate) static SEC_002: Rule = Rule {
    id: "SEC-002",
    severity: Severity::Error,
    setting: "SecRuleEngine",
    summary: "the Core Rule Set is read without its crs-setup.conf or before it; once the engine is On, every request is \
              answered with 500",
    source: "OWASP CRS rules/REQUEST-901-INITIALIZATION.conf, rule 901001",
    check: Check::View(would_answer_500),
    ..Rule::NEW
};

fn would_answer_500(view: &View<'_>, out: &mut Reporter<'_>) {
    // With the engine on it is more than a finding about lines: the server does not serve.
    let denies = inspecting(view).any(|line| line.first().eq_ignore_ascii_case("on"));
    let Some(line) = setup_missing(view).filter(|_| view.has(MODULE_ID) && !denies) else { return };
    out.of(view, GROUP, "SecRuleEngine").emit(
        format!(
            "the Core Rule Set ({}) asks for its crs-setup.conf, which is not read before it: with SecRuleEngine On \
             every request would be answered with 500",
            view.place(line)
        ),
        "include crs-setup.conf before the rules",
    );
}

pub(crate) static SEC_003: Rule = Rule {
    id: "SEC-003",
    severity: Severity::Error,
    setting: "SecRule",
    summary: "two rules have the same id; httpd does not start",
    source: "ModSecurity 2.9 apache2/apache2_config.c: Found another rule with the same id",
    check: Check::View(same_id),
    ..Rule::NEW
};

fn same_id(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(MODULE_ID) {
        return;
    }
    let mut seen: BTreeMap<(Scope, u32), &Line> = BTreeMap::new();
    let own = |id: u32| OWN_IDS.contains(&id) && view.params.groups.has(GROUP);
    // Each section has rules of its own, and which sections are one is not told here.
    for (line, id) in rules(view).filter(|(line, id)| line.scope != Scope::Section && !own(*id)) {
        let Some(first) = seen.insert((line.scope, id), line) else { continue };
        out.of(view, GROUP, line.directive.clone()).value(id).emit(
            format!(
                "the rule at {} has id {id}, as the one at {} has: httpd does not start",
                view.place(line),
                view.place(first)
            ),
            "take one of them out; the Core Rule Set is included once",
        );
        return;
    }
}

pub(crate) static SEC_005: Rule = Rule {
    id: "SEC-005",
    severity: Severity::Error,
    setting: "SecRuleRemoveById",
    summary: "stands before the rule that it is to take out, and does nothing",
    source: "ModSecurity 2.9 apache2/apache2_config.c, cmd_rule_remove_by_id: acts on the rules read so far; seen",
    check: Check::View(removes_too_early),
    ..Rule::NEW
};

/// Tells whether a list of ids and ranges names an id: `942100 942200-942299`.
pub(crate) fn names(words: &[String], id: u32) -> bool {
    words.iter().flat_map(|word| word.split([',', ' '])).any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&id))
    })
}

fn removes_too_early(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(startup) = view.context.startup.filter(|_| view.has(MODULE_ID)) else { return };
    let mut told: Vec<(&[Section], &[String])> = Vec::new();
    // Of a virtual host's own line the main server's rules are taken out too, wherever they stand.
    let of_main = |line: &&Line| line.scope == Scope::Main;
    let lines: Vec<&Line> = startup.lines.iter().filter(of_main).collect();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.is("SecRuleRemoveById")) {
        let named = |line: &&&Line| {
            (line.is("SecRule") || line.is("SecAction"))
                && id(line).is_some_and(|id| names(&lines[at].words, id))
        };
        let later = lines[at..].iter().find(named);
        let again =
            lines[at + 1..].iter().any(|other| other.is("SecRuleRemoveById") && other.words == line.words);
        let Some(later) = later.filter(|_| !again && !told.contains(&(&line.sections, &line.words))) else {
            continue;
        };
        told.push((&line.sections, &line.words));
        out.of(view, GROUP, "SecRuleRemoveById").value(line.words.join(" ")).emit(
            format!(
                "SecRuleRemoveById {} at {} does nothing to the rule at {}, which is read after it",
                line.words.join(" "),
                view.place(line),
                view.place(later)
            ),
            "write it behind the rules: on Debian in a file of conf-enabled or in \
             RESPONSE-999-EXCLUSION-RULES-AFTER-CRS.conf",
        );
    }
}

pub(crate) static SEC_006: Rule = Rule {
    id: "SEC-006",
    severity: Severity::Warning,
    setting: "SecResponseBodyAccess",
    summary: "answers are inspected: each worker keeps one in memory, more than 5 % of the host's together",
    source: "ModSecurity 2.9 apache2/apache2_io.c, output_filter; SecResponseBodyLimit 524288",
    check: Check::View(keeps_answers),
    example: "SecResponseBodyAccess On",
    instead: "SecResponseBodyAccess Off",
    ..Rule::NEW
};

fn keeps_answers(view: &View<'_>, out: &mut Reporter<'_>) {
    let on = main(view, "SecResponseBodyAccess").filter(|line| line.first().eq_ignore_ascii_case("on"));
    let (Some(line), Some(memory)) = (on, view.machine.memory.as_ref()) else { return };
    if !view.has(MODULE_ID) || inspecting(view).next().is_none() {
        return;
    }
    let limit = main(view, "SecResponseBodyLimit").and_then(|line| line.first().parse().ok());
    let limit: u64 = limit.unwrap_or(RESPONSE_LIMIT);
    let workers: u64 = view.used("MaxRequestWorkers").parse().unwrap_or_default();
    let need = workers.saturating_mul(limit);
    if need > memory.value.0 / 20 {
        out.of(view, GROUP, "SecResponseBodyAccess").value("On").emit(
            format!(
                "SecResponseBodyAccess On at {}: {workers} workers keep up to {limit} bytes each of what they answer, {} \
                 MiB of {} MiB",
                view.place(line),
                need >> 20,
                memory.value.mib()
            ),
            "write SecResponseBodyAccess Off, or lower SecResponseBodyLimit or MaxRequestWorkers",
        );
    }
}

pub(crate) static SEC_007: Rule = Rule {
    id: "SEC-007",
    severity: Severity::Warning,
    setting: "paranoia level",
    summary: "requests of ordinary visitors are refused on most sites, and each request costs seven to nine times the \
              processor time",
    source: "OWASP CRS crs-setup.conf, rule 900000; measured: 2,314 requests a second without rules, 644 at level 1, 407 at \
             2, 320 at 3, 254 at 4",
    check: Check::View(paranoid),
    ..Rule::NEW
};

/// Returns the paranoia level that an action sets.
fn level(line: &Line) -> Option<u64> {
    const NAMES: [&str; 2] = ["setvar:tx.paranoia_level=", "setvar:tx.blocking_paranoia_level="];
    let actions = line.words.last()?.to_ascii_lowercase();
    let part = |part: &str| {
        let part = part.trim().trim_matches(['\'', '"']);
        NAMES.iter().find_map(|name| part.strip_prefix(name)?.trim_matches('\'').parse().ok())
    };
    actions.split(',').find_map(part)
}

fn paranoid(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(MODULE_ID) || inspecting(view).next().is_none() {
        return;
    }
    let set = rules(view).filter(|(line, _)| line.is("SecAction"));
    let strict = set.filter_map(|(line, _)| Some((line, level(line)?))).find(|(_, level)| *level >= STRICT);
    if let Some((line, level)) = strict {
        out.of(view, GROUP, "paranoia level").value(level).emit(
            format!(
                "paranoia level {level} ({}): requests of ordinary visitors are refused on most sites, and a request \
                 takes {} times the processor time that it takes without rules",
                view.place(line),
                if level == STRICT { 7 } else { 9 }
            ),
            "begin with level 1, and raise it where the log of a week shows no request of yours",
        );
    }
}

pub(crate) static SEC_008: Rule = Rule {
    id: "SEC-008",
    severity: Severity::Error,
    setting: "SecTmpDir, SecDataDir",
    summary: "is no directory, cannot be written by the web server's user, or can be written by everybody",
    source: "ModSecurity 2.9 apache2/msc_multipart.c, persist_dbm.c: uploads and collections are kept there; /tmp/ in \
             modsecurity.conf-recommended",
    check: Check::View(open_directory),
    example: "SecTmpDir /tmp/",
    instead: "SecTmpDir /var/cache/modsecurity",
    ..Rule::NEW
};

fn open_directory(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(files) = view.disk().filter(|_| view.has(MODULE_ID)) else { return };
    for directive in ["SecTmpDir", "SecDataDir"] {
        let Some(line) = main(view, directive) else { continue };
        let Some(path) = view.context.startup.map(|startup| startup.path(line.first())) else { continue };
        let user = view.web_user();
        let status = files.status(&path).filter(|_| files.is_dir(&path));
        let why = match &status {
            None => "is no directory: uploads and collections fail when they are needed",
            Some(status) if status.mode & 0o002 != 0 => {
                "can be written by everybody: others on this host can put their own data in its place"
            }
            Some(status) if !access::may_write(files, user, status) => {
                "cannot be written by the web server's user: uploads and collections fail when they are needed"
            }
            Some(_) => continue,
        };
        out.of(view, GROUP, directive).value(line.first()).emit(
            format!("{directive} {} at {} {why}", line.first(), view.place(line)),
            format!("make a directory of its own: install -d -m 0700 -o {user} DIR"),
        );
    }
}
