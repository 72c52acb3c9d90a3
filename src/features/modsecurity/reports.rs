//! What is said of what a task asks of `ModSecurity`. A host without any task is judged in
//! `src/rules/modsecurity.rs`.

use std::path::Path;

use super::{Engine, MODULE_ID, ModSecurity};
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View, modsecurity};
use crate::units::Bytes;

/// The ids that `crs-setup.conf` has for the level and for the thresholds.
pub(super) const OWN_IDS: [u32; 2] = modsecurity::OWN_IDS;

/// The rules of this feature, in the order of the result.
pub(super) const RULES: &[&Rule] =
    &[&SEC_004, &SEC_009, &SEC_010, &SEC_011, &SEC_012, &SEC_013, &SEC_014, &SEC_015];

/// How many times the processor time of a request without rules one takes, by paranoia level, in tenths.
///
/// Source: measured with a small GET with two arguments: 2,314 requests a second without rules, then 644, 407, 320, 254.
const COST: [u64; 4] = [36, 57, 72, 91];

fn asked<'a>(view: &View<'a>) -> Option<&'a ModSecurity> {
    view.params
        .groups
        .get::<ModSecurity>()
        .filter(|asked| asked.enabled != Some(false) && view.has(MODULE_ID))
}

pub(crate) static SEC_004: Rule = Rule {
    id: "SEC-004",
    severity: Severity::Error,
    setting: "modsecurity.paranoia",
    summary: "a line of another program or person has the id by which the level or the thresholds are set",
    source: "OWASP CRS crs-setup.conf, rules 900000 and 900110; ModSecurity takes an id once",
    after_change: true,
    check: Check::View(own_id_is_taken),
    ..Rule::NEW
};

fn own_id_is_taken(view: &View<'_>, out: &mut Reporter<'_>) {
    if asked(view).is_none() {
        return;
    }
    for own in OWN_IDS {
        let lines: Vec<_> =
            modsecurity::rules(view).filter(|(_, id)| *id == own).map(|(line, _)| line).collect();
        let is_own = |path: &Path| path.file_name().is_some_and(|name| name == "zz-apache-tuning.conf");
        let other = lines.iter().find(|line| !is_own(view.after.path(line.file)));
        if let Some(other) = other.filter(|_| lines.len() > 1) {
            out.about("modsecurity.paranoia").value(own).emit(
                format!("{} sets id {own} itself, which ModSecurity takes only once", view.place(other)),
                "comment that action out: modsecurity.paranoia, inbound and outbound take its place",
            );
        }
    }
}

pub(crate) static SEC_009: Rule = Rule {
    id: "SEC-009",
    severity: Severity::Warning,
    setting: "modsecurity.body_limit",
    summary: "is smaller than what PHP lets visitors upload; the rest is refused with 413",
    source: "ModSecurity 2.9 apache2/apache2_io.c; PHP main.c, post_max_size",
    check: Check::View(smaller_than_uploads),
    ..Rule::NEW
};

/// Returns the files in which PHP's own limits stand.
fn php_settings(view: &View<'_>) -> Vec<std::path::PathBuf> {
    let mut found = vec![Path::new("/etc/php.ini").to_owned()];
    let versions = view.files.list(Path::new("/etc/php")).unwrap_or_default();
    for version in versions {
        for kind in ["apache2", "fpm"] {
            found.push(Path::new("/etc/php").join(&version).join(kind).join("php.ini"));
        }
    }
    found
}

/// Returns PHP's `post_max_size` in the text of a php.ini.
fn post_max_size(text: &str) -> Option<u64> {
    let of = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "post_max_size").then_some(())?;
        Bytes::parse(value.split(';').next()?.trim().trim_matches('"'))
    };
    text.lines().filter_map(of).next_back().map(|bytes| bytes.0)
}

fn smaller_than_uploads(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(limit) = asked(view).and_then(ModSecurity::body_limit) else { return };
    for path in php_settings(view) {
        let Ok(text) = view.files.read(&path) else { continue };
        let largest = post_max_size(&String::from_utf8_lossy(&text));
        if let Some(largest) = largest.filter(|largest| *largest > limit) {
            out.about("modsecurity.body_limit").value(limit).emit(
                format!(
                    "modsecurity.body_limit is {limit} bytes and {} lets visitors send {largest} (post_max_size): larger \
                     requests are refused with 413",
                    path.display()
                ),
                format!("set modsecurity.body_limit to {} MiB", largest.div_ceil(Bytes::MIB)),
            );
            return;
        }
    }
}

pub(crate) static SEC_010: Rule = Rule {
    id: "SEC-010",
    severity: Severity::Info,
    setting: "modsecurity.engine",
    summary: "requests are refused on a host where nothing was inspected before",
    source: "OWASP CRS, its documentation on false positives",
    ..Rule::NEW
};

pub(crate) static SEC_011: Rule = Rule {
    id: "SEC-011",
    severity: Severity::Warning,
    setting: "modsecurity.paranoia",
    summary: "a load is asked for as if requests were not inspected; each takes 3.6 to 9 times the processor time",
    source: "measured: 2,314 requests a second without rules, 644 at level 1, 407 at 2, 320 at 3, 254 at 4",
    check: Check::View(load_without_cost),
    ..Rule::NEW
};

fn load_without_cost(view: &View<'_>, out: &mut Reporter<'_>) {
    let (Some(asked), Some(load)) = (asked(view), view.params.capacity.as_ref()) else { return };
    let inspects = asked.engine() != Some(Engine::Off) && asked.core_rules() == Some(true);
    if !inspects || load.active.is_some() {
        return;
    }
    let level = asked.paranoia.unwrap_or(1);
    let cost = usize::try_from(level - 1).ok().and_then(|at| COST.get(at)).copied().unwrap_or(COST[0]);
    out.about("modsecurity.paranoia").value(level).emit(
        format!(
            "at paranoia level {level} a request takes {}.{} times the processor time that it takes without rules, and a \
             worker is busy as much longer; capacity does not say how many connections are served at one moment",
            cost / 10,
            cost % 10
        ),
        format!(
            "set capacity.active to what it is without rules, times {}.{}; and keep 52 MiB in memory.reserve: two rule \
             sets stand beside each other during a reload",
            cost / 10,
            cost % 10
        ),
    );
}

pub(crate) static SEC_012: Rule = Rule {
    id: "SEC-012",
    severity: Severity::Error,
    setting: "modsecurity.engine",
    summary: "what is cached is answered before a rule can refuse the request",
    source: "httpd 2.4 modules/cache/mod_cache.c, cache_quick_handler; seen: 200 from the cache, 403 without it",
    after_change: true,
    check: Check::View(cache_answers_first),
    ..Rule::NEW
};

fn cache_answers_first(view: &View<'_>, out: &mut Reporter<'_>) {
    let refuses = asked(view).is_some_and(|asked| asked.engine() == Some(Engine::On));
    let quick = !view.standing("CacheQuickHandler").is_some_and(|word| word.eq_ignore_ascii_case("off"));
    let Some(line) = view.served("CacheEnable").next().filter(|_| view.has("cache_module")) else { return };
    if refuses && quick {
        out.about("modsecurity.engine").value("on").emit(
            format!(
                "CacheQuickHandler is on with CacheEnable at {}: what is cached is answered before a rule can refuse the \
                 request",
                view.place(line)
            ),
            "write CacheQuickHandler Off",
        );
    }
}

pub(crate) static SEC_013: Rule = Rule {
    id: "SEC-013",
    severity: Severity::Error,
    setting: "modsecurity",
    summary: "a word, a size or an id that ModSecurity does not take",
    source: "ModSecurity 2.9 apache2/apache2_config.c",
    ..Rule::NEW
};

pub(crate) static SEC_014: Rule = Rule {
    id: "SEC-014",
    severity: Severity::Warning,
    setting: "modsecurity.enabled",
    summary: "mod_security2 is not loaded; no request is inspected",
    source: "ModSecurity 2.9 apache2/mod_security2.c",
    ..Rule::NEW
};

pub(crate) static SEC_015: Rule = Rule {
    id: "SEC-015",
    severity: Severity::Error,
    setting: "modsecurity.rules",
    summary: "the Core Rule Set is not read, or not between the level and the exclusions: neither counts",
    source: "OWASP CRS rules/REQUEST-901-INITIALIZATION.conf: what is not set before it gets its default there",
    after_change: true,
    check: Check::View(out_of_order),
    ..Rule::NEW
};

fn out_of_order(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(asked) = asked(view).filter(|asked| asked.core_rules() == Some(true)) else { return };
    let (Some(startup), true) = (view.context.startup, asked.engine().is_some()) else { return };
    // Rules of the main server in reading order, by their place among all lines that are kept.
    let at = |wanted: &dyn Fn(u32) -> bool| {
        let mut rules = modsecurity::rules(view).filter(|(_, id)| wanted(*id));
        rules.next().and_then(|(line, _)| startup.lines.iter().position(|other| std::ptr::eq(other, line)))
    };
    let first = at(&|id| (901_000..1_000_000).contains(&id));
    let set = at(&|id| id == OWN_IDS[0]);
    let why = match (first, set) {
        (None, _) => "no file that httpd reads includes the Core Rule Set",
        (Some(_), None) => "no file that httpd reads includes the one with the level and the thresholds",
        (Some(first), Some(set)) if set > first => "the level and the thresholds are read after the rules",
        _ => return,
    };
    out.about("modsecurity.rules").value("crs").emit(
        format!("{why}: what modsecurity asks for does not count"),
        "let httpd read the distribution's own file for mod_security2 as it was shipped",
    );
}
