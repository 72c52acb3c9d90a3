//! The fleet on a terminal: bad news first, equal hosts once.

use std::fmt::Write as _;

use super::lines::Earlier;
use super::plan::Verdict;
use super::proof::Proof;
use super::table::{Fleet, Group};
use crate::report::Need;

/// The words by which the first and the last line say that nothing was changed.
pub const DRY_RUN: &str = "DRY RUN";

/// Returns text of hosts and files with everything shown that a terminal would obey or turn around.
pub fn escape_controls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        let turns =
            matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns || character == '\u{feff}' {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    out
}

/// Returns a number with a comma between thousands.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns an age in its largest fitting unit.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn one_line(text: &str, most: usize) -> String {
    let text = escape_controls(text.lines().next().unwrap_or_default());
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Words a count.
fn hosts(count: usize) -> String {
    format!("{} host{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// The overview.
pub fn overview(fleet: &Fleet, dry_run: bool, now: u64, width: usize) -> String {
    let mut text = String::new();
    let ages: Vec<u64> =
        fleet.hosts.iter().filter_map(|host| host.time).map(|time| now.saturating_sub(time)).collect();
    let span = match (ages.iter().min(), ages.iter().max()) {
        (Some(youngest), Some(oldest)) => format!(", facts {} to {} old", age(*youngest), age(*oldest)),
        _ => String::new(),
    };
    let groups = fleet.groups.len();
    let plural = if groups == 1 { "" } else { "s" };
    let head = format!("{}, {} group{plural}{span}", hosts(fleet.hosts.len()), grouped(groups));
    let _ = writeln!(text, "{}{head}", if dry_run { "DRY RUN  " } else { "" });
    let widest = fleet.groups.iter().map(|group| grouped(group.count).len()).max().unwrap_or(1).max(4);
    for group in &fleet.groups {
        // A host that is in order is only counted.
        let count = grouped(group.count);
        if group.outcome.verdict == Verdict::Unchanged {
            let _ = writeln!(text, "{count:>widest$} unchanged");
            continue;
        }
        let what = describe(group);
        let names = names(fleet, group);
        let room = width.saturating_sub(widest + 15 + names.chars().count() + 2).max(30);
        let _ = writeln!(
            text,
            "{count:>widest$} {:<11} {}  {names}",
            group.outcome.verdict.word(),
            one_line(&what, room)
        );
    }
    let stale = fleet.hosts.iter().filter(|host| host.flags.stale).count();
    let twice = fleet.hosts.iter().filter(|host| host.flags.twice).count();
    if stale > 0 {
        let _ = writeln!(text, "{} with facts older than --max-age", hosts(stale));
    }
    if twice > 0 {
        let _ = writeln!(text, "{} seen more than once: the newer facts count", hosts(twice));
    }
    for file in fleet.passed_over.iter().take(5) {
        let _ = writeln!(
            text,
            "passed over: {} ({})",
            escape_controls(&file.path.display().to_string()),
            file.reason
        );
    }
    if fleet.passed_over.len() > 5 {
        let _ = writeln!(text, "passed over: {} more files", grouped(fleet.passed_over.len() - 5));
    }
    if let Some(known) = fleet.inventory {
        let _ = writeln!(text, "{} of the inventory, {} in all", hosts(known), grouped(fleet.hosts.len()));
    }
    let change = fleet.count(Verdict::Change);
    let bad = [Verdict::Refused, Verdict::Failed, Verdict::Unreachable, Verdict::Damaged]
        .into_iter()
        .map(|verdict| (fleet.count(verdict), verdict.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", grouped(count)))
        .collect::<Vec<_>>()
        .join(", ");
    let verb = if dry_run { "would change" } else { "changed" };
    let bad = if bad.is_empty() { String::new() } else { format!("; {bad}") };
    let unknown = match fleet.count(Verdict::Unknown) {
        0 => String::new(),
        count => format!("; {} unknown", grouped(count)),
    };
    let mark = if dry_run { "; DRY RUN: nothing was changed" } else { "" };
    let _ = writeln!(text, "{} {verb}{bad}{unknown}{mark}", hosts(change));
    text
}

fn describe(group: &Group) -> String {
    let outcome = &group.outcome;
    let rules =
        if outcome.rules.is_empty() { String::new() } else { format!("{} ", outcome.rules.join(" ")) };
    let activation = match (outcome.verdict, outcome.activation) {
        (Verdict::Change, Need::Reload) => "reload; ",
        (Verdict::Change, Need::Restart) => "restart; ",
        _ => "",
    };
    let binding = outcome.binding.as_ref().map_or_else(String::new, |name| format!("; {name} binds"));
    format!("{activation}{rules}{}{binding}", outcome.message)
}

/// The first names of a group, and its id, by which the rest is listed.
fn names(fleet: &Fleet, group: &Group) -> String {
    let mut members = fleet.hosts.iter().filter(|host| std::ptr::eq(fleet.group_of(host), group));
    let first: Vec<String> = members.by_ref().take(3).map(|host| one_line(&host.name, 40)).collect();
    let more = if group.count > first.len() {
        format!(" +{}", grouped(group.count - first.len()))
    } else {
        String::new()
    };
    format!("{}{more}  [{}]", first.join(" "), group.id)
}

/// One group: its variants with their details, and every host.
///
/// # Errors
/// Where no group, or more than one, has an id that begins so.
pub fn one_group(fleet: &Fleet, id: &str) -> Result<String, String> {
    let mut found = fleet.groups.iter().filter(|group| group.id.starts_with(id));
    let group = match (found.next(), found.next()) {
        (Some(group), None) => group,
        (None, _) => return Err(format!("there is no group {id}")),
        (Some(_), Some(_)) => return Err(format!("more than one group begins with {id}")),
    };
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} {}: {}",
        group.id,
        group.outcome.verdict.word(),
        escape_controls(&describe(group))
    );
    for (index, variant) in group.variants.iter().enumerate() {
        if group.variants.len() > 1 || !variant.detail.is_empty() {
            let _ = writeln!(text, "\nvariant {} ({})", variant.id, hosts(variant.count));
        }
        for line in variant.detail.lines() {
            let _ = writeln!(text, "    {}", escape_controls(line));
        }
        for host in fleet
            .hosts
            .iter()
            .filter(|host| std::ptr::eq(fleet.group_of(host), group) && host.variant as usize == index)
        {
            let note =
                host.note.as_ref().map_or_else(String::new, |note| format!("  ({})", escape_controls(note)));
            let _ = writeln!(text, "{}{note}", escape_controls(&host.name));
        }
    }
    Ok(text)
}

/// What is otherwise than in an earlier preview: hosts that changed their verdict, new ones, gone ones, new groups.
pub fn comparison(fleet: &Fleet, earlier: &Earlier) -> String {
    let mut text = String::new();
    let (mut moved, mut new) = (Vec::new(), Vec::new());
    let mut gone = earlier.hosts.clone();
    for host in &fleet.hosts {
        let verdict = fleet.group_of(host).outcome.verdict;
        match gone.remove(&*host.name) {
            None => new.push(host),
            Some((before, _)) if before != verdict => moved.push((host, before, verdict)),
            Some(_) => {}
        }
    }
    let _ = writeln!(
        text,
        "since the earlier preview: {} with another verdict, {} new, {} gone",
        grouped(moved.len()),
        grouped(new.len()),
        grouped(gone.len())
    );
    for (host, before, now) in moved.iter().take(20) {
        let _ = writeln!(text, "  {}: {} → {}", escape_controls(&host.name), before.word(), now.word());
    }
    if moved.len() > 20 {
        let _ = writeln!(text, "  and {} more", grouped(moved.len() - 20));
    }
    for host in new.iter().take(5) {
        let _ = writeln!(text, "  new: {}", escape_controls(&host.name));
    }
    for name in gone.keys().take(5) {
        let _ = writeln!(text, "  gone: {}", escape_controls(name));
    }
    for group in fleet.groups.iter().filter(|group| !earlier.groups.contains(&group.id)) {
        let _ = writeln!(
            text,
            "  new group {}: {} {}: {}",
            group.id,
            hosts(group.count),
            group.outcome.verdict.word(),
            one_line(&describe(group), 80)
        );
    }
    text
}

/// Tells of each group that samples speak of whether it is verified, or was predicted differently.
pub fn proof(fleet: &Fleet, proofs: &[Proof<'_>]) -> String {
    let mut text = String::new();
    for (group, proof) in fleet.groups.iter().zip(proofs) {
        let head = format!("{} {}", group.id, group.outcome.verdict.word());
        if let Some(host) = proof.verified.filter(|_| proof.otherwise.is_empty()) {
            let _ = writeln!(text, "{head}: verified on {}", escape_controls(&host.name));
        }
        for (host, said) in &proof.otherwise {
            let _ = writeln!(
                text,
                "{head}: predicted differently: {} says {}{}: {}",
                escape_controls(&host.name),
                said.verdict.word(),
                if said.rules.is_empty() { String::new() } else { format!(" {}", said.rules.join(" ")) },
                one_line(&said.message, 100)
            );
        }
    }
    text
}
