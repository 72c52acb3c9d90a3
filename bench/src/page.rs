//! The page and the plot that a run leaves in `docs/`.

use std::fmt::Write as _;
use std::time::Duration;

use crate::load::{BurstOutcome, Outcome};

/// One server under one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose settings, and the MPM: `stock event`, `capacity worker`.
    pub name: String,
    /// Whether they are this tool's.
    pub ours: bool,
    /// Connections asked for.
    pub asked: usize,
    /// What became of them, all bursts included.
    pub outcome: Outcome,
    /// What became of a burst of a quarter as many requests on new connections.
    pub on_new: BurstOutcome,
    /// And of one on held connections.
    pub on_held: BurstOutcome,
    /// The burst on held connections, in steps of a tenth of the predicted one, at which the first idle connection was
    /// closed; `None` where none was up to twice that, or where it was not looked for.
    pub first_cut: Option<usize>,
    /// Threads of the parent and all children while the connections were kept.
    pub threads: u64,
    /// Proportional memory of all processes after the bursts, in MiB.
    pub pss: u64,
    /// What was predicted from the stock server's processes, in MiB; `None` for that server itself.
    pub predicted_pss: Option<u64>,
    /// The most connections that the settings can hold, as predicted.
    pub predicted_connections: u64,
    /// The burst that they survive beside those asked for, as predicted.
    pub predicted_burst: u64,
}

impl Row {
    /// Tells whether the load met the settings' own limit, so that seen and predicted can be compared.
    fn at_its_limit(&self) -> bool {
        self.outcome.refused > 0
    }
}

/// Returns a time in seconds, `-` where there is none.
fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{}.{:02}", time.as_secs(), time.subsec_millis() / 10))
}

/// Returns the answered requests of a burst, and the times to their first bytes: median, 99 %, all.
fn burst(seen: &BurstOutcome) -> String {
    let [median, most, all] = [50, 99, 100].map(|part| seconds(seen.within(part)));
    format!("{} of {} | {median} / {most} / {all}", seen.answered, seen.asked)
}

/// Returns the table, one line a row.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| settings | asked | served | new: answered | first byte, s | held: answered | first byte, s | cut | held to \
         the end | threads | PSS MiB | predicted MiB | burst predicted | first cut at |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let Outcome { served, held, cut, .. } = row.outcome;
        let memory = row.predicted_pss.map_or_else(|| "-".to_owned(), |mib| mib.to_string());
        let first_cut = row.first_cut.map_or_else(|| "-".to_owned(), |burst| burst.to_string());
        let _ = writeln!(
            out,
            "| {} | {} | {served} | {} | {} | {cut} | {held} | {} | {} | {memory} | {} | {first_cut} |",
            row.name,
            row.asked,
            burst(&row.on_new),
            burst(&row.on_held),
            row.threads,
            row.pss,
            row.predicted_burst
        );
    }
    out
}

/// The longest time to the first byte that half of a burst's requests may take with our settings.
const PROMPT: Duration = Duration::from_millis(100);

/// Returns what of a run is not as it should be. With our settings: connections refused, or requests of a burst that are
/// not answered or not promptly, a connection cut by a burst within the predicted one, memory predicted more than a tenth
/// wrong. With any: a limit predicted more than a twentieth wrong.
pub fn faults(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        let Outcome { served, .. } = row.outcome;
        let name = format!("{} with {} connections", row.name, row.asked);
        if row.ours {
            if served < row.asked {
                faults.push(format!("{name}: only {served} served"));
            }
            for (where_, seen) in [("new", &row.on_new), ("held", &row.on_held)] {
                if seen.answered < seen.asked || seen.cut > 0 {
                    faults.push(format!(
                        "{name}: a burst of {} on {where_} connections: {} answered, {} cut",
                        seen.asked, seen.answered, seen.cut
                    ));
                }
                if seen.within(50).is_none_or(|median| median > PROMPT) {
                    faults.push(format!(
                        "{name}: half of a burst on {where_} connections waited {}",
                        seconds(seen.within(50))
                    ));
                }
            }
            if row.first_cut.is_some_and(|burst| (burst as u64) <= row.predicted_burst) {
                faults.push(format!("{name}: the predicted burst of {} cuts", row.predicted_burst));
            }
            if let Some(predicted) = row.predicted_pss
                && predicted.abs_diff(row.pss) * 10 > row.pss
            {
                faults.push(format!("{name}: {predicted} MiB predicted, {} seen", row.pss));
            }
        }
        let seen = served as u64;
        if row.at_its_limit() && row.predicted_connections.abs_diff(seen) * 20 > row.predicted_connections {
            faults.push(format!(
                "{name}: at most {} connections predicted, {seen} seen",
                row.predicted_connections
            ));
        }
    }
    faults
}

/// Returns the page.
pub fn page(rows: &[Row], machine: &str) -> String {
    format!(
        "# Connections and bursts, predicted and seen\n\n\
         Written by `cargo xtask bench capacity`; machine: {machine}.\n\n\
         A client on the same machine opens so many connections at 1,000 a second and asks once on each: *served* got an \
         answer within 5 s. While they are held, a quarter as many requests come at one moment, first on new connections, \
         then on held ones; each holds its worker for 2 s. *First byte* is the time until a worker took the request: for \
         half of them, for 99 %, for all (`-`: not all within 8 s). *Cut* connections were closed by the server while idle, \
         *held to the end* ones answered once more after everything. *Stock* are the numbers of a freshly installed Debian \
         host, *capacity* those that the program put there for `capacity: {{connections: N}}`, the others number sets that \
         are often copied, put there by the program too.\n\n{}\n\
         ![connections held to the end](capacity.svg)\n\n\
         *Burst predicted* is `capacity.burst`: the requests at one moment, on held or on new connections, that are answered \
         while no idle connection is closed, in the worst split of the connections over the processes. With `capacity` under \
         event, bursts on held connections were then raised by a tenth of it until the first idle connection was cut, at \
         most to twice of it (`-`: none was). PSS is that of all processes after the two bursts; it is predicted from the processes of the stock server under the same \
         client: what all share once, each process's own, and for each worker and each connection a like part of the \
         threads' areas.\n\n\
         A process that holds no more idle connections than its factor takes new ones with all its workers, and then \
         closes those few: a burst on new connections under event may cut a handful, whatever the settings.\n",
        table(rows)
    )
}

/// Returns the plot: for each row the connections asked for and those held to the end, bursts included.
pub fn plot(rows: &[Row]) -> String {
    const LEFT: usize = 190;
    const WIDE: usize = 480;
    const HIGH: usize = 30;
    let most = rows.iter().map(|row| row.asked).max().unwrap_or(1).max(1);
    let height = rows.len() * HIGH + 40;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Connections asked for (outline) and held to the end through two bursts (filled)</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDE + 260
    );
    for (at, row) in rows.iter().enumerate() {
        let top = 20 + at * HIGH;
        let asked = row.asked * WIDE / most;
        let held = row.outcome.held * WIDE / most;
        let colour = if row.ours { "#2a7f4f" } else { "#b0442c" };
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}, {}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{asked}\" height=\"18\" fill=\"none\" stroke=\"#555\"/>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{held}\" height=\"18\" fill=\"{colour}\"/>\n\
             <text x=\"{}\" y=\"{}\">{} held, {} cut, {} of {} answered</text>",
            LEFT - 8,
            top + 14,
            row.name,
            row.asked,
            LEFT + asked + 8,
            top + 14,
            row.outcome.held,
            row.outcome.cut,
            row.on_new.answered + row.on_held.answered,
            row.on_new.asked + row.on_held.asked
        );
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(held: usize, pss: u64, predicted_pss: Option<u64>) -> Row {
        let outcome = Outcome { served: held, refused: 1000 - held, held, ..Outcome::default() };
        let burst = BurstOutcome {
            asked: 250,
            answered: 250,
            first_bytes: vec![Duration::from_millis(3); 250],
            cut: 0,
        };
        Row {
            name: "x".into(),
            ours: predicted_pss.is_some(),
            asked: 1000,
            outcome,
            on_new: burst.clone(),
            on_held: burst,
            first_cut: None,
            threads: 1,
            pss,
            predicted_pss,
            predicted_connections: 1000,
            predicted_burst: 260,
        }
    }

    #[test]
    fn what_is_lost_late_or_predicted_wrong_is_a_fault() {
        for (row, count) in [
            (row(1000, 100, Some(109)), 0),
            (row(999, 100, Some(100)), 1),
            (row(1000, 100, Some(89)), 1),
            (row(960, 100, None), 0), // stock may refuse, where it was predicted to
            (row(940, 100, None), 1),
            (Row { first_cut: Some(280), ..row(1000, 100, Some(100)) }, 0),
            (Row { first_cut: Some(260), ..row(1000, 100, Some(100)) }, 1),
        ] {
            assert_eq!(faults(std::slice::from_ref(&row)).len(), count, "{row:?}");
        }
        let mut late = row(1000, 100, Some(100));
        late.on_new.first_bytes = vec![Duration::from_secs(1); 250];
        late.on_held.answered = 249;
        late.on_held.cut = 1;
        assert_eq!(faults(&[late.clone()]).len(), 2, "{:?}", faults(&[late]));
    }
}
