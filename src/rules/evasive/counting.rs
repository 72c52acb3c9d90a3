//! How mod_evasive counts, and what its thresholds mean.

use super::super::rule;
use super::{Check, Reporter, Rule, View, active, evasive, fork, number, used};
use crate::httpd::numbers;
use crate::httpd::read::Line;
use crate::report::Severity;

/// The rules of this file, in the order of the result.
pub(crate) static RULES: &[&Rule] = &[&EV_018, &EV_019, &EV_020, &EV_021, &EV_022, &EV_023];

pub(crate) static EV_018: Rule = Rule {
    id: "EV-018",
    severity: Severity::Error,
    setting: "evasive",
    summary: "mod_evasive 1.10 where mod_remoteip takes the client from a proxy; all clients behind it share one counter",
    source: "mod_evasive 1.10.1 mod_evasive20.c, access_checker",
    check: Check::View(proxy_shares_one_counter),
    ..Rule::NEW
};

fn proxy_shares_one_counter(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none_or(fork) || !view.has("remoteip_module") {
        return;
    }
    // Loaded alone, as some distributions do, it changes no address.
    let works = |line: &&Line| match line.directive {
        "RemoteIPHeader" => true,
        "RemoteIPProxyProtocol" => line.words.first().is_some_and(|word| word.eq_ignore_ascii_case("on")),
        _ => false,
    };
    if let Some(line) = view.after.lines.iter().find(works) {
        out.on(view, "DOSPageCount").emit(
            format!(
                "{}{} takes the client's address from a proxy, but mod_evasive 1.10 counts by the address of the \
                 proxy: all clients behind it share one counter",
                line.written,
                view.at(Some(line))
            ),
            "leave mod_evasive off behind a proxy, or waive this where clients also come directly",
        );
    }
}

pub(crate) static EV_019: Rule = Rule {
    id: "EV-019",
    severity: Severity::Warning,
    setting: "evasive.page_interval, evasive.site_interval",
    summary: "above 1; it is an idle time, so slow pollers are blocked too",
    source: "mod_evasive, access_checker",
    check: Check::View(interval_is_idle_time),
    ..Rule::NEW
};

fn interval_is_idle_time(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none() {
        return;
    }
    for directive in ["DOSPageInterval", "DOSSiteInterval"] {
        let seconds = used(view, directive);
        if seconds > 1 && seconds <= i64::from(i32::MAX) {
            out.on(view, directive).value(seconds).emit(
                format!(
                    "{directive} {seconds} is the idle time that resets the counter, not a window: a client that asks \
                     every {} s is blocked in the end",
                    seconds - 1
                ),
                format!("set {} to 1, and the count higher", view.name(directive)),
            );
        }
    }
}

pub(crate) static EV_020: Rule = Rule {
    id: "EV-020",
    severity: Severity::Info,
    setting: "evasive.page_count",
    summary: "each process counts for itself; the real threshold is higher",
    source: "mod_evasive, create_hit_list",
    check: Check::View(each_process_counts_for_itself),
    ..Rule::NEW
};

fn each_process_counts_for_itself(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_none() || !view.remarks(evasive::GROUP) {
        return;
    }
    let (count, processes) = (used(view, "DOSPageCount"), view.normal.sizes.processes);
    let most = count.saturating_add(1).saturating_mul(processes).saturating_add(1);
    out.on(view, "DOSPageCount").value(count).effective(most).emit(
        format!(
            "each of {processes} processes counts for itself: a client is blocked after {} to {most} requests",
            count.saturating_add(2)
        ),
        "fewer processes with more threads count more exactly",
    );
}

pub(crate) static EV_021: Rule = Rule {
    id: "EV-021",
    severity: Severity::Warning,
    setting: "MaxConnectionsPerChild",
    summary: "below 1000 beside mod_evasive; the counters are lost with each child",
    source: "mod_evasive, create_hit_list",
    check: Check::View(recycling_loses_counters),
    ..Rule::NEW
};

fn recycling_loses_counters(view: &View<'_>, out: &mut Reporter<'_>) {
    let recycle = view.text("MaxConnectionsPerChild").map_or(0, |text| numbers::atoi(text).value);
    if active(view).is_some() && (1..1000).contains(&recycle) {
        out.on(view, "MaxConnectionsPerChild").value(recycle).emit(
            format!("MaxConnectionsPerChild {recycle}: each new child begins to count clients from nothing"),
            format!("set {} to 1000 or more, or 0", view.name("MaxConnectionsPerChild")),
        );
    }
}

pub(crate) static EV_022: Rule = Rule {
    id: "EV-022",
    severity: Severity::Info,
    setting: "evasive.hash_table_size",
    summary: "mod_evasive 1.10: no effect, the table is made before the line is read",
    source: "mod_evasive 1.10.1 mod_evasive20.c, create_hit_list",
    check: Check::View(hash_table_size_without_effect),
    ..Rule::NEW
};

fn hash_table_size_without_effect(view: &View<'_>, out: &mut Reporter<'_>) {
    let text = number(view, "DOSHashTableSize");
    if let (Some(build), Some(text)) = (active(view), text)
        && !fork(build)
        && view.remarks(evasive::GROUP)
    {
        out.on(view, "DOSHashTableSize").value(text).effective(3097).emit(
            "DOSHashTableSize has no effect: mod_evasive 1.10 makes its table before it reads the line",
            format!("leave {} out", view.name("DOSHashTableSize")),
        );
    }
}

pub(crate) static EV_023: Rule = Rule {
    id: "EV-023",
    severity: Severity::Info,
    mpms: rule::THREADED,
    setting: "evasive",
    summary: "threads share a table without a lock",
    source: "mod_evasive, ntt_insert",
    check: Check::View(threads_share_table),
    ..Rule::NEW
};

fn threads_share_table(view: &View<'_>, out: &mut Reporter<'_>) {
    if active(view).is_some() && view.remarks(evasive::GROUP) {
        out.on(view, "DOSPageCount").at_most(Severity::Info).emit(
            format!(
                "mod_evasive does not lock its table, which the threads of {} share: counts may be off",
                view.mpm
            ),
            "nothing to do",
        );
    }
}
