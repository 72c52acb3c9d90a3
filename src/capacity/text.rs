//! Proposals, refusals and capacities as text for a person: small tables, and a bar for each bound.

use std::fmt::Write as _;

use super::{Choice, Proposal, Refusal, Step};
use crate::httpd::Mpm;
use crate::report::{Bound, CapacityReport};
use crate::units::Bytes;

/// Returns a proposal as text: a table of the numbers with their reasons, and a bar for each bound.
pub fn text(proposal: &Proposal) -> String {
    let mut out = format!(
        "{} connections, {} of them served at one moment and a burst of {}, with {}:\n\n",
        proposal.connections,
        proposal.active,
        proposal.capacity.burst.unwrap_or_default().min(proposal.burst),
        proposal.mpm
    );
    out.push_str(&choices_text(&proposal.settings));
    out.push('\n');
    out.push_str(&capacity_text(&proposal.capacity));
    out.push_str(&steps(proposal));
    for note in &proposal.notes {
        let _ = writeln!(out, "\nnote: {note}");
    }
    out
}

/// Returns what the next smaller and the next larger sizes cost and survive, a line each.
fn steps(proposal: &Proposal) -> String {
    let mut out = String::new();
    for (name, step) in [("smaller", &proposal.smaller), ("larger", &proposal.larger)] {
        let Some(step) = step else { continue };
        let Step { processes, threads_per_child, workers, factor, burst, .. } = step;
        let shape = match proposal.mpm {
            Mpm::Prefork => format!("{workers} processes"),
            Mpm::Worker => format!("{processes} x {threads_per_child} = {workers} workers"),
            Mpm::Event => format!("{processes} x {threads_per_child} = {workers} workers, factor {factor}"),
        };
        let memory = step.memory_mb.map_or_else(String::new, |mib| format!(", {}", mebibytes(mib)));
        let fits = match &step.binding {
            Some(bound) => format!("; not on this host: {bound}"),
            None => String::new(),
        };
        let _ = write!(out, "\n{name}: {shape}{memory}: a burst of {burst}{fits}");
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// Returns numbers with their reasons, a line each.
pub fn choices_text(choices: &[Choice]) -> String {
    let name = choices.iter().map(|choice| choice.directive.len()).max().unwrap_or(0);
    let digits = choices.iter().map(|choice| choice.value.to_string().len()).max().unwrap_or(0);
    let mut out = String::new();
    for choice in choices {
        let _ = writeln!(out, "  {:name$}  {:>digits$}  {}", choice.directive, choice.value, choice.why);
    }
    out
}

/// Returns a refusal as text: why, what instead, and a bar for each bound.
pub fn refusal_text(refusal: &Refusal) -> String {
    let bars = bars(&refusal.bounds, Some(&refusal.binding));
    format!("{}\n{}\n\n{bars}", refusal.message, refusal.hint)
}

/// Returns what settings carry as text: one line of totals and a bar for each bound.
pub fn capacity_text(report: &CapacityReport) -> String {
    let number = |value: Option<u64>| value.map_or_else(|| "not known".to_owned(), |value| value.to_string());
    let memory = report.memory_mb.map_or_else(|| "not known".to_owned(), mebibytes);
    let burst = report.burst.map_or_else(String::new, |burst| format!(", a burst of {burst} requests"));
    format!(
        "at most {} connections{burst}, {} workers in {} processes, memory at full load {memory}\n\n{}",
        number(report.connections),
        number(report.workers),
        number(report.processes),
        bars(&report.bounds, report.binding.as_deref())
    )
}

/// Cells of a full bar.
const BAR: usize = 24;

/// Returns one line a bound: its name, a bar, the share in use, need and limit, and where the limit was read. The
/// binding one is marked; a bar that would run over ends in `>`.
fn bars(bounds: &[Bound], binding: Option<&str>) -> String {
    let amount = |bound: &Bound, value: u64| {
        if bound.name == "memory" { mebibytes(value) } else { value.to_string() }
    };
    let name = bounds.iter().map(|bound| bound.name.len()).max().unwrap_or(0);
    let needs = bounds.iter().map(|bound| amount(bound, bound.needs).len()).max().unwrap_or(0);
    let limits = bounds.iter().map(|bound| amount(bound, bound.limit).len()).max().unwrap_or(0);
    let mut out = String::new();
    for bound in bounds {
        let percent = (u128::from(bound.needs) * 100).checked_div(u128::from(bound.limit));
        let cells =
            percent.map_or(BAR, |percent| usize::try_from(percent.min(100)).unwrap_or(100) * BAR / 100);
        let over = bound.needs > bound.limit;
        let bar = if over { "#".repeat(BAR - 1) + ">" } else { "#".repeat(cells) };
        let share = percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
        let mark = if binding == Some(&bound.name) { '*' } else { ' ' };
        let _ = writeln!(
            out,
            "{mark} {:name$}  [{bar:.<BAR$}] {share:>7}  {:>needs$} of {:>limits$}  {}",
            bound.name,
            amount(bound, bound.needs),
            amount(bound, bound.limit),
            bound.source
        );
    }
    out
}

/// Returns an amount of whole mebibytes in its largest unit.
fn mebibytes(amount: u64) -> String {
    Bytes(amount.saturating_mul(Bytes::MIB)).to_string()
}
