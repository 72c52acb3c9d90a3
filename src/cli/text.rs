//! Reports as text: what matters most first, one line of verdict last.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::screen::{Screen, printable};
use super::unified::unified;
use crate::apply::{Damaged, Generation};
use crate::capacity::{capacity_text, choices_text};
use crate::report::{ChangeKind, DiffEntry, Finding, InfoReport, Need, Report, Severity, Switched};
use crate::rules::Rule;

/// Returns a report as a person reads it before saying yes: findings, what is switched, effective values before and
/// after, the difference of each file (with `links` of each link too), what it carries, activation, the verdict.
pub(super) fn report(report: &Report, screen: &Screen, links: bool) -> String {
    let mut parts = Vec::new();
    let mut text = String::new();
    for error in &report.errors {
        let path = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        let _ = writeln!(text, "{}    {path}{}", screen.red("error"), printable(&error.message));
    }
    parts.push(screen.folded(&(text + &findings(&report.findings, screen))));
    parts.push(screen.folded(&switched(&report.switched, screen)));
    let diff = report.diff.as_deref().unwrap_or_default();
    let (settings, files): (Vec<_>, Vec<_>) =
        diff.iter().partition(|entry| entry.after_header == DiffEntry::EFFECTIVE_SETTINGS);
    parts.push(
        screen.folded(
            &settings.iter().map(|entry| before_and_after(entry, report, screen)).collect::<String>(),
        ),
    );
    let is_link = |entry: &&&DiffEntry| {
        let is = |path: &str| path == entry.after_header || path == entry.before_header;
        report.changes.iter().any(|change| change.kind == ChangeKind::Link && is(&change.path))
    };
    parts.push(
        files.iter().filter(|entry| links || !is_link(entry)).map(|entry| unified(entry, screen)).collect(),
    );
    if !report.sizes.is_empty() {
        parts.push(screen.folded(&choices_text(&report.sizes)));
    }
    if report.capacity.connections.is_some() {
        parts.push(screen.folded(&capacity_text(&report.capacity)));
    }
    parts.push(screen.folded(&format!("{}{}", activation(report), tested(report))));
    parts.retain(|part| !part.is_empty());
    let mut text = parts.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text + &screen.folded(&verdict(report, screen))
}

/// Returns the line that says what comes of it.
fn verdict(report: &Report, screen: &Screen) -> String {
    // The errors of a refusal stand above, each with its hint.
    let refused = report.failed && report.findings.iter().any(|finding| finding.severity == Severity::Error);
    let last = if refused { report.msg.lines().last().unwrap_or_default() } else { &report.msg };
    let verdict = if refused { format!("refused: {}", printable(last)) } else { printable(last) };
    let counts = counts(&report.findings).map_or_else(String::new, |counts| format!(" ({counts})"));
    let painted = if report.failed { screen.red(&verdict) } else { screen.green(&verdict) };
    format!("{}{}\n", screen.bold(&painted), counts)
}

/// Returns how many errors and warnings there are: `1 error, 2 warnings`.
fn counts(findings: &[Finding]) -> Option<String> {
    let of = |severity, one: &str| {
        let count = findings.iter().filter(|finding| finding.severity == severity && !finding.waived).count();
        let end = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {one}{end}"))
    };
    let counts: Vec<String> =
        [of(Severity::Error, "error"), of(Severity::Warning, "warning")].into_iter().flatten().collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// Returns findings, two lines each.
fn findings(findings: &[Finding], screen: &Screen) -> String {
    findings.iter().map(|finding| one(finding, screen)).collect()
}

/// Returns one finding in two lines.
fn one(finding: &Finding, screen: &Screen) -> String {
    let severity = match finding.severity {
        Severity::Error if finding.waived => screen.dim("waived "),
        Severity::Error => screen.red("error  "),
        Severity::Warning => screen.yellow("warning"),
        Severity::Info => screen.dim("info   "),
    };
    let code = finding.httpd.as_ref().map_or(String::new(), |code| format!(" ({code})"));
    let setting = finding.setting.as_ref().map_or(String::new(), |setting| format!("{setting}: "));
    format!(
        "{severity}  {} {}{}{code}\n         {}\n",
        screen.bold(&finding.rule),
        printable(&setting),
        printable(&finding.message),
        screen.dim(&printable(&finding.hint))
    )
}

/// Returns what is switched, a line for modules and one for snippets: `modules: -mpm_prefork +mpm_event`.
fn switched(list: &[Switched], screen: &Screen) -> String {
    let kinds: BTreeSet<_> = list.iter().map(|one| one.kind).collect();
    let mut text = String::new();
    for kind in kinds {
        let words = list.iter().filter(|one| one.kind == kind).map(|one| {
            let name = printable(&one.name);
            if one.on { screen.green(&format!("+{name}")) } else { screen.red(&format!("-{name}")) }
        });
        let _ = writeln!(text, "{:<8}  {}", format!("{kind}:"), words.collect::<Vec<_>>().join(" "));
    }
    text
}

/// Returns the values that httpd uses, of each directive whose value changes: before and after in a column each.
fn before_and_after(entry: &DiffEntry, report: &Report, screen: &Screen) -> String {
    let values = |text: &'_ str| -> BTreeMap<String, String> {
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.map(|(name, value)| (printable(name), printable(value))).collect()
    };
    let (before, after) = (values(&entry.before), values(&entry.after));
    let mut rows = Vec::new();
    let mpm =
        |mpm: Option<crate::httpd::Mpm>| mpm.map_or_else(|| "-".to_owned(), |mpm| mpm.name().to_owned());
    if report.mpm.before != report.mpm.after {
        rows.push(("  MPM".to_owned(), mpm(report.mpm.before), mpm(report.mpm.after)));
    }
    let mut stay = 0;
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let value =
            |side: &BTreeMap<String, String>| side.get(name).map_or_else(|| "-".to_owned(), Clone::clone);
        let (before, after) = (value(&before), value(&after));
        if before == after {
            stay += 1;
        } else {
            rows.push((format!("  {name}"), before, after));
        }
    }
    let wide = |column: fn(&(String, String, String)) -> &String, least: usize| {
        // A long text, such as a list of ciphers, widens no column for the others.
        rows.iter().map(|row| column(row).chars().count()).filter(|wide| *wide <= 28).fold(least, usize::max)
    };
    let (name, old) = (wide(|row| &row.0, "effective".len()), wide(|row| &row.1, "before".len()));
    let mut text = format!("{:name$}  {:old$}  after\n", "effective", "before");
    for (directive, before, after) in &rows {
        let after = screen.bold(after);
        let _ = writeln!(text, "{directive:name$}  {before:old$}  {after}");
    }
    if stay > 0 {
        let others =
            if stay == 1 { "1 other value stays".to_owned() } else { format!("{stay} other values stay") };
        let _ = writeln!(text, "  {}", screen.dim(&others));
    }
    text
}

/// Returns what the running server needs, and why.
fn activation(report: &Report) -> String {
    let needed = match report.activation.needed {
        Need::None => "note",
        Need::Reload => "reload",
        Need::Restart => "restart",
    };
    let reasons = report.activation.reasons.iter();
    reasons.map(|reason| labelled(needed, reason)).collect()
}

/// Returns a line with what it is about before it, in a column with those of what is switched.
fn labelled(label: &str, text: &str) -> String {
    format!("{:<8}  {}\n", format!("{label}:"), printable(text))
}

/// Returns what httpd itself said of the change.
fn tested(report: &Report) -> String {
    let test = &report.config_test;
    if let Some(reason) = &test.reason {
        return labelled("test", &format!("httpd -t was not run: {reason}"));
    }
    if test.ok != Some(true) {
        return String::new();
    }
    let rehearsal = &test.rehearsal;
    match (&rehearsal.reason, rehearsal.ok) {
        (Some(reason), _) => labelled("test", &format!("httpd -t passes; not rehearsed: {reason}")),
        (None, Some(true)) => {
            let status = rehearsal.status.map_or_else(String::new, |status| format!(" and answers {status}"));
            labelled("test", &format!("httpd -t passes; in a rehearsal httpd starts with the change{status}"))
        }
        (None, _) => labelled("test", "httpd -t passes"),
    }
}

/// Returns a look at a host as text: the MPM and what it carries, what limits it, what is wrong; then the effective
/// settings, the limits, this moment; the verdict last.
pub(super) fn info(report: &InfoReport, screen: &Screen) -> String {
    let mut parts =
        vec![screen.folded(&first(report, screen)), screen.folded(&findings(&report.findings, screen))];
    let mut text = String::new();
    for (name, entry) in &report.effective {
        let place = match (&entry.file, entry.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "httpd's default".to_owned(),
        };
        let used = if entry.used == entry.value {
            entry.used.clone()
        } else {
            format!("{} (used: {})", entry.value, entry.used)
        };
        let _ = writeln!(text, "{name:<26} {:<12}  {}", printable(&used), screen.dim(&printable(&place)));
    }
    parts.push(screen.folded(&text));
    let mut text = capacity_text(&report.capacity);
    if let Some(memory) = &report.memory {
        let _ = writeln!(
            text,
            "{} processes take {} MiB (PSS); one more costs {} MiB and {} MiB a worker",
            memory.processes, memory.pss_mb, memory.per_process_mb, memory.per_worker_mb
        );
    }
    text.push_str(&now(report));
    for message in &report.log {
        let _ = writeln!(text, "{} {}x in the error log: {}", message.code, message.count, message.meaning);
    }
    parts.push(screen.folded(&text));
    if let Some(recommendation) = &report.recommendation {
        let mut text = format!("{}:\n\n", printable(&recommendation.why));
        let _ = writeln!(text, "    mpm: {}\n    settings:", recommendation.mpm);
        for (setting, value) in &recommendation.settings {
            let _ = writeln!(text, "      {setting}: {value}");
        }
        parts.push(screen.folded(&text));
    }
    parts.retain(|part| !part.is_empty());
    let verdict = printable(&report.msg);
    let verdict = if report.failed { screen.red(&verdict) } else { verdict };
    parts.join("\n") + "\n" + &screen.folded(&format!("{}\n", screen.bold(&verdict)))
}

/// Returns the lines that a person in a hurry reads: the MPM, what it carries, what limits it, how much is wrong.
fn first(report: &InfoReport, screen: &Screen) -> String {
    let mut text = String::new();
    let version =
        report.httpd_version.as_ref().map_or_else(String::new, |version| format!(", httpd {version}"));
    let mpm = match (report.mpm.configured, report.mpm.running) {
        (None, None) => "no single MPM is configured".to_owned(),
        (None, Some(running)) => format!("no single MPM is configured; {running} is running"),
        (Some(mpm), Some(running)) if running != mpm => format!("{mpm} is configured, {running} is running"),
        (Some(mpm), Some(_)) => format!("{mpm}, running"),
        (Some(mpm), None) => format!("{mpm}, not seen running"),
    };
    let _ =
        writeln!(text, "{}      {}", screen.bold("MPM"), screen.bold(&printable(&format!("{mpm}{version}"))));
    let capacity = &report.capacity;
    if let (Some(connections), Some(workers)) = (capacity.connections, capacity.workers) {
        let _ = writeln!(text, "carries  {connections} connections, {workers} requests at one moment");
    }
    if let Some(bound) = capacity.bounds.iter().find(|bound| capacity.binding.as_ref() == Some(&bound.name)) {
        let unit = if bound.name == "memory" { " MiB" } else { "" };
        let _ = writeln!(
            text,
            "limit    {}: {} of {}{unit} ({})",
            bound.name,
            bound.needs,
            bound.limit,
            printable(&bound.source)
        );
    }
    if let Some(pending) = &report.pending_activation {
        for reason in &pending.reasons {
            let _ = writeln!(text, "pending  {}", screen.yellow(&printable(reason)));
        }
    }
    let wrong =
        counts(&report.findings).map_or_else(|| "nothing found".to_owned(), |counts| counts + ", below");
    let _ = writeln!(text, "wrong    {wrong}");
    text
}

/// Returns what mod_status says of this moment, or why it says nothing.
fn now(report: &InfoReport) -> String {
    let Some(status) = &report.status else {
        let reason = report.status_reason.as_deref().unwrap_or("it was not asked");
        return format!("mod_status is not available: {}\n", printable(reason));
    };
    let number = |value: Option<u64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let mut text =
        format!("now {} workers busy and {} idle", number(status.busy_workers), number(status.idle_workers));
    if let Some(connections) = status.connections {
        let _ = write!(text, ", {connections} connections");
        if let Some(kept) = status.keep_alive {
            let _ = write!(text, " of which {kept} are kept for a next request");
        }
    }
    text + "\n"
}

/// Returns the history, a transaction a line, with what it changed.
pub(super) fn history(generations: &[Generation], damaged: &[Damaged]) -> String {
    if generations.is_empty() && damaged.is_empty() {
        return "nothing to undo\n".to_owned();
    }
    let mut text = String::new();
    for one in generations {
        let note = match &one.undone_by {
            Some(by) => format!("  undone by {by}"),
            None if one.undoes.is_empty() => String::new(),
            None => format!("  undid {}", one.undoes.join(", ")),
        };
        let whose = one.instance.as_ref().map_or_else(String::new, |name| format!("  instance {name}"));
        let mut features: Vec<&str> =
            one.changes.iter().flat_map(|change| &change.features).map(String::as_str).collect();
        features.sort_unstable();
        features.dedup();
        let what = if features.is_empty() { String::new() } else { format!("  {}", features.join(", ")) };
        let _ = writeln!(text, "{}{whose}{what}{note}", one.id);
        for entry in crate::plan::entries(&one.changes) {
            let _ = writeln!(
                text,
                "    {:<7} {}",
                format!("{:?}", entry.action).to_lowercase(),
                printable(&entry.path)
            );
        }
    }
    for one in damaged {
        let path = one.path.display();
        let _ = match &one.id {
            Some(id) => writeln!(
                text,
                "{id}  cannot be read: {}; restore {path} from a backup, or remove it",
                printable(&one.why)
            ),
            None => writeln!(text, "{path} is no record: {}; remove it", printable(&one.why)),
        };
    }
    text
}

/// Returns one rule in full.
pub(super) fn rule(rule: &Rule) -> String {
    let mpms: Vec<&str> = rule.mpms.iter().map(|mpm| mpm.name()).collect();
    let mut text = format!(
        "{}  {}\n{}\n\nseverity  {}\nMPMs      {}\nsource    {}\n",
        rule.id,
        rule.setting,
        rule.summary,
        severity(rule.severity),
        mpms.join(", "),
        rule.source
    );
    for (title, words) in [("why", rule.why), ("remedy", rule.remedy)] {
        if !words.is_empty() {
            let _ = writeln!(text, "{title:<8}  {words}");
        }
    }
    for (title, lines) in [("not so", rule.example), ("but so", rule.instead)] {
        for (number, line) in lines.lines().enumerate() {
            let _ = writeln!(text, "{:<8}  {line}", if number == 0 { title } else { "" });
        }
    }
    text
}

/// Returns rules, a line each.
pub(super) fn rules(rules: &[&Rule]) -> String {
    let mut text = String::new();
    for rule in rules {
        let _ = writeln!(
            text,
            "{:<10} {:<8} {:<26} {}",
            rule.id,
            severity(rule.severity),
            rule.setting,
            rule.summary
        );
    }
    text
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}
