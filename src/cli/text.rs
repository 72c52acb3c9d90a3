//! Reports as text: findings first, then the diff, then one line of verdict.

use std::fmt::Write as _;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput, Token};

use crate::apply::{Damaged, Generation};
use crate::capacity::{capacity_text, choices_text};
use crate::report::{DiffEntry, Finding, InfoReport, Report, Severity};
use crate::rules::Rule;

/// Control sequences, or none of them.
struct Paint(bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn red(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.with("2", text)
    }
}

/// Returns a report as a person reads it before saying yes.
pub(super) fn report(report: &Report, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    for error in &report.errors {
        let path = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        let _ = writeln!(text, "{} {path}{}", paint.red("error  "), printable(&error.message));
    }
    for finding in &report.findings {
        text.push_str(&one(finding, &paint));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    for entry in report.diff.iter().flatten() {
        text.push_str(&unified(entry, &paint));
    }
    if report.diff.as_ref().is_some_and(|diff| !diff.is_empty()) {
        text.push('\n');
    }
    if !report.sizes.is_empty() {
        let _ = writeln!(text, "{}", choices_text(&report.sizes));
    }
    if report.capacity.connections.is_some() {
        let _ = writeln!(text, "{}", capacity_text(&report.capacity));
    }
    for reason in &report.activation.reasons {
        let _ = writeln!(text, "{}", paint.dim(&printable(reason)));
    }
    if let Some(reason) = &report.config_test.reason {
        let _ = writeln!(text, "{}", paint.dim(&printable(&format!("httpd -t was not run: {reason}"))));
    }
    // The errors of a refusal stand above, each with its hint.
    let refused = report.failed && report.findings.iter().any(|finding| finding.severity == Severity::Error);
    let last = if refused { report.msg.lines().last().unwrap_or_default() } else { &report.msg };
    let verdict = if refused { format!("refused: {}", printable(last)) } else { printable(last) };
    let verdict = if report.failed { paint.red(&verdict) } else { paint.green(&verdict) };
    let _ = writeln!(text, "{}", paint.bold(&verdict));
    text
}

/// Returns one finding in two lines.
fn one(finding: &Finding, paint: &Paint) -> String {
    let severity = match finding.severity {
        Severity::Error if finding.waived => paint.dim("waived "),
        Severity::Error => paint.red("error  "),
        Severity::Warning => paint.with("33", "warning"),
        Severity::Info => paint.dim("info   "),
    };
    let code = finding.httpd.as_ref().map_or(String::new(), |code| format!(" ({code})"));
    let setting = finding.setting.as_ref().map_or(String::new(), |setting| format!("{setting}: "));
    format!(
        "{severity} {} {}{}{code}\n        {}\n",
        paint.bold(&finding.rule),
        printable(&setting),
        printable(&finding.message),
        paint.dim(&printable(&finding.hint))
    )
}

/// Unchanged lines shown around a change.
const CONTEXT: u32 = 3;

/// Returns a difference in the unified form, which `patch` reads.
// imara-diff 0.2 has a printer of its own, whose first hunk begins a line too early.
fn unified(entry: &DiffEntry, paint: &Paint) -> String {
    let input = InternedInput::new(entry.before.as_str(), entry.after.as_str());
    let diff = Diff::compute(Algorithm::Histogram, &input);
    let lines_before = u32::try_from(input.before.len()).unwrap_or(u32::MAX);
    let mut text = format!(
        "{}\n{}\n",
        paint.bold(&format!("--- {}", printable(&entry.before_header))),
        paint.bold(&format!("+++ {}", printable(&entry.after_header)))
    );
    let line = |sign: char, token: Token| {
        let line = input.interner[token];
        let text = format!("{sign}{}", printable(line.strip_suffix('\n').unwrap_or(line)));
        let painted = match sign {
            '-' => paint.red(&text),
            '+' => paint.green(&text),
            _ => text,
        };
        let end = if line.ends_with('\n') { "" } else { "\\ No newline at end of file\n" };
        format!("{painted}\n{end}")
    };
    let changes: Vec<Hunk> = diff.hunks().collect();
    for near in changes.chunk_by(|one, next| next.before.start - one.before.end <= 2 * CONTEXT) {
        let (Some(first), Some(last)) = (near.first(), near.last()) else { continue };
        let from = first.before.start.saturating_sub(CONTEXT);
        let to = lines_before.min(last.before.end.saturating_add(CONTEXT));
        let from_after = first.after.start - (first.before.start - from);
        let to_after = last.after.end + (to - last.before.end);
        // A side without lines begins before its first one.
        let range =
            |from: u32, to: u32| format!("{},{}", if from == to { from } else { from + 1 }, to - from);
        let _ = writeln!(text, "@@ -{} +{} @@", range(from, to), range(from_after, to_after));
        let mut shown = from;
        for change in near {
            for token in &input.before[shown as usize..change.before.start as usize] {
                text.push_str(&line(' ', *token));
            }
            for token in &input.before[change.before.start as usize..change.before.end as usize] {
                text.push_str(&line('-', *token));
            }
            for token in &input.after[change.after.start as usize..change.after.end as usize] {
                text.push_str(&line('+', *token));
            }
            shown = change.before.end;
        }
        for token in &input.before[shown as usize..to as usize] {
            text.push_str(&line(' ', *token));
        }
    }
    text
}

/// Returns text that can only be read: control characters, which could command a terminal, are shown by name.
fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Returns a look at a host as text: the verdict, the findings, the effective settings, what they carry.
pub(super) fn info(report: &InfoReport, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    for finding in &report.findings {
        text.push_str(&one(finding, &paint));
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
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
        let _ = writeln!(text, "{name:<26} {:<12} {}", printable(&used), paint.dim(&printable(&place)));
    }
    text.push('\n');
    text.push_str(&capacity_text(&report.capacity));
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
    if let Some(recommendation) = &report.recommendation {
        let _ = writeln!(text, "\n{}:\n", printable(&recommendation.why));
        let _ = writeln!(text, "    mpm: {}\n    settings:", recommendation.mpm);
        for (setting, value) in &recommendation.settings {
            let _ = writeln!(text, "      {setting}: {value}");
        }
        text.push('\n');
    }
    let verdict = printable(&report.msg);
    let verdict = if report.failed { paint.red(&verdict) } else { verdict };
    let _ = writeln!(text, "{}", paint.bold(&verdict));
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
    format!(
        "{}  {}\n{}\n\nseverity  {}\nMPMs      {}\nsource    {}\n",
        rule.id,
        rule.setting,
        rule.summary,
        severity(rule.severity),
        mpms.join(", "),
        rule.source
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_one_that_patch_reads() {
        let text = |before: &str, after: &str| {
            let entry = DiffEntry {
                before_header: "a".to_owned(),
                after_header: "b".to_owned(),
                before: before.to_owned(),
                after: after.to_owned(),
            };
            unified(&entry, &Paint(false))
        };
        assert_eq!(
            text("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n"),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        );
        assert_eq!(text("", "1\n2\n"), "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+1\n+2\n");
        assert_eq!(text("1\n", ""), "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-1\n");
        assert_eq!(
            text("1\n2", "1\n3\n"),
            "--- a\n+++ b\n@@ -1,2 +1,2 @@\n 1\n-2\n\\ No newline at end of file\n+3\n"
        );
    }
}
