//! `ModSecurity`'s Core Rule Set: without its setup it answers every request with 500.

use super::super::{Check, Reporter, Rule, View};
use super::is_open;
use crate::httpd::read::Scope;
use crate::httpd::read::startup::{CRS_SETUP, Line};

/// The rule of the set that asks for its setup.
const ASKS: u32 = 901_001;

pub(crate) static GATE_013: Rule = Rule {
    id: "GATE-013",
    setting: "SecRuleEngine",
    summary: "the Core Rule Set is read without its crs-setup.conf or before it: every request is answered with 500",
    source: "OWASP CRS rules/REQUEST-901-INITIALIZATION.conf, rule 901001",
    example: "IncludeOptional /usr/share/modsecurity-crs/rules/*.conf",
    instead: "IncludeOptional /etc/modsecurity/crs/crs-setup.conf",
    after_change: true,
    check: Check::View(rule_set_without_setup),
    ..Rule::NEW
};

/// Returns the line of the Core Rule Set that asks for its setup, where no line sets it up before.
pub(crate) fn setup_missing<'a>(view: &View<'a>) -> Option<&'a Line> {
    let startup = view.start()?.startup;
    let text = |line: &Line| line.words.join(" ").to_ascii_lowercase();
    let sets = |line: &Line| text(line).contains(&format!("setvar:{CRS_SETUP}="));
    let asks = |line: &Line| {
        line.is("SecRule") && line.first().to_ascii_lowercase().starts_with("&tx:crs_setup_version")
    };
    let removed = startup.of("SecRuleRemoveById").any(|line| line.words.iter().any(|word| covers(word)));
    if removed {
        return None;
    }
    let mut asking = startup.lines.iter().enumerate().filter(|(_, line)| asks(line));
    let unset = asking.find(|(index, line)| {
        // A virtual host has the main server's rules before its own, wherever they stand.
        !startup.lines.iter().enumerate().any(|(other, setter)| {
            (setter.is("SecAction") || setter.is("SecRule"))
                && sets(setter)
                && ((setter.scope == line.scope && other < *index)
                    || (setter.scope == Scope::Main && line.scope != Scope::Main)
                    || setter.scope == Scope::Section)
        })
    });
    unset.map(|(_, line)| line)
}

fn rule_set_without_setup(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(start) = view.start() else { return };
    let startup = start.startup;
    let denies = |server| {
        let engine = startup.deciding("SecRuleEngine", server);
        engine.is_some_and(|line| line.first().eq_ignore_ascii_case("on"))
    };
    if !startup.servers().any(denies) {
        return;
    }
    if let Some(line) = setup_missing(view) {
        let place = startup.place(line);
        out.about(&place).value("SecRuleEngine On").emit(
            format!(
                "the Core Rule Set ({place}) is read and the crs-setup.conf that it asks for is not read before it: \
                 httpd -t passes, and every request is answered with 500"
            ),
            "include crs-setup.conf before the rules, or set SecRuleEngine DetectionOnly until it is there",
        );
    }
}

/// Tells whether an argument of `SecRuleRemoveById`, a number or a range, covers the rule that asks.
fn covers(word: &str) -> bool {
    word.split([',', ' ']).any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        is_open(part)
            || number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&ASKS))
    })
}
