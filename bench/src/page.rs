//! The page and the plot that a run leaves in `docs/`.

use std::fmt::Write as _;

use crate::load::Outcome;

/// One server under one load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose settings, and the MPM: `stock event`, `capacity worker`.
    pub name: String,
    /// Connections asked for.
    pub asked: usize,
    /// What became of them.
    pub outcome: Outcome,
    /// Threads of the parent and all children while the connections were kept.
    pub threads: u64,
    /// Proportional memory of all processes then, in MiB.
    pub pss: u64,
    /// What was foretold from the stock server's processes, in MiB; `None` for that server itself.
    pub predicted_pss: Option<u64>,
    /// The most connections that the settings can hold, as foretold.
    pub predicted_connections: u64,
}

impl Row {
    /// Tells whether the load met the settings' own limit, so that seen and foretold can be compared.
    fn at_its_limit(&self) -> bool {
        self.outcome.refused > 0
    }
}

/// Returns the table, one line a row.
pub fn table(rows: &[Row]) -> String {
    let mut out = String::from(
        "| settings | asked | served | held to the end | cut | threads | PSS MiB | foretold MiB | most foretold |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let Outcome { served, held, cut, .. } = row.outcome;
        let memory = row.predicted_pss.map_or_else(|| "-".to_owned(), |mib| mib.to_string());
        let _ = writeln!(
            out,
            "| {} | {} | {served} | {held} | {cut} | {} | {} | {memory} | {} |",
            row.name, row.asked, row.threads, row.pss, row.predicted_connections
        );
    }
    out
}

/// Returns what of a run is not as it should be: connections lost under our settings, memory foretold more than a
/// quarter wrong, a limit foretold more than a twentieth wrong.
pub fn faults(rows: &[Row]) -> Vec<String> {
    let mut faults = Vec::new();
    for row in rows {
        let Outcome { served, held, .. } = row.outcome;
        let name = format!("{} with {} connections", row.name, row.asked);
        if row.predicted_pss.is_some() && held < row.asked {
            faults.push(format!("{name}: only {held} held to the end"));
        }
        if let Some(foretold) = row.predicted_pss
            && foretold.abs_diff(row.pss) * 4 > row.pss
        {
            faults.push(format!("{name}: {foretold} MiB foretold, {} seen", row.pss));
        }
        let seen = served as u64;
        if row.at_its_limit() && row.predicted_connections.abs_diff(seen) * 20 > row.predicted_connections {
            faults.push(format!(
                "{name}: at most {} connections foretold, {seen} seen",
                row.predicted_connections
            ));
        }
    }
    faults
}

/// Returns the page.
pub fn page(rows: &[Row], machine: &str) -> String {
    format!(
        "# Connections held, foretold and seen\n\n\
         Written by `cargo xtask bench capacity`; machine: {machine}.\n\n\
         A client on the same machine opens so many connections at 1,000 a second, asks once on each, keeps all of them \
         open for some seconds and asks again on each. *Served* got a first answer within 5 s, *held to the end* a second \
         one too, *cut* was closed by the server in between. *Stock* are the numbers of a freshly installed Debian host, *capacity* those that the program put there for \
         `capacity: {{connections: N}}`, the server restarted by it.\n\n{}\n\
         ![connections held to the end](capacity.svg)\n\n\
         Memory is foretold from the processes of the stock server under the same client: what all share once, each \
         process's own, and for each worker and each connection a like part of the threads' areas. The most connections \
         are `MaxRequestWorkers x (1 + AsyncRequestWorkerFactor)` under event and `MaxRequestWorkers` under worker; they \
         are met only where connections were refused. With `capacity` event accepts far more than was asked for while its \
         workers are idle: the factor is chosen so that the load is held while one connection in sixteen is being served.\n",
        table(rows)
    )
}

/// Returns the plot: for each row the connections asked for and those held to the end.
pub fn plot(rows: &[Row]) -> String {
    const LEFT: usize = 190;
    const WIDE: usize = 480;
    const HIGH: usize = 30;
    let most = rows.iter().map(|row| row.asked).max().unwrap_or(1).max(1);
    let height = rows.len() * HIGH + 40;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <title>Connections asked for (outline) and held to the end (filled)</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDE + 110
    );
    for (at, row) in rows.iter().enumerate() {
        let top = 20 + at * HIGH;
        let asked = row.asked * WIDE / most;
        let held = row.outcome.held * WIDE / most;
        let colour = if row.predicted_pss.is_some() { "#2a7f4f" } else { "#b0442c" };
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}, {}</text>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{asked}\" height=\"18\" fill=\"none\" stroke=\"#555\"/>\n\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{held}\" height=\"18\" fill=\"{colour}\"/>\n\
             <text x=\"{}\" y=\"{}\">{} held</text>",
            LEFT - 8,
            top + 14,
            row.name,
            row.asked,
            LEFT + asked + 8,
            top + 14,
            row.outcome.held
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
        Row {
            name: "x".into(),
            asked: 1000,
            outcome,
            threads: 1,
            pss,
            predicted_pss,
            predicted_connections: 1000,
        }
    }

    #[test]
    fn a_lost_connection_and_a_wrong_forecast_are_faults() {
        for (row, count) in [
            (row(1000, 100, Some(124)), 0),
            (row(999, 100, Some(100)), 1),
            (row(1000, 100, Some(74)), 1),
            (row(960, 100, None), 0), // stock may refuse, where it was foretold to
            (row(940, 100, None), 1),
        ] {
            assert_eq!(faults(std::slice::from_ref(&row)).len(), count, "{row:?}");
        }
    }
}
