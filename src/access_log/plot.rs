//! A picture of a load over time against what settings carry.

use std::fmt::Write as _;

use super::Point;
use crate::clock;

const WIDE: u64 = 900;
const HIGH: u64 = 260;
const LEFT: u64 = 70;
const TOP: u64 = 30;

/// Returns the picture, as SVG: requests a second above, open connections below, with a line for each limit, named.
pub fn plot(points: &[Point], connections: &[(String, u64)]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Requests a second and connections over time</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LEFT + WIDE + 20,
        2 * (HIGH + TOP) + 50
    );
    let most = points.iter().map(|point| point.requests).max().unwrap_or(1).max(1);
    let lines = [("#2a5f8f", points.iter().map(|point| point.requests).collect())];
    panel(&mut out, ("requests a second", TOP, most), points, &lines, &[]);
    let of_points = points.iter().map(|point| point.connections.1).max().unwrap_or(1);
    // A limit far above would press the load flat: it is named at the edge instead.
    let limits = connections
        .iter()
        .map(|(_, limit)| *limit)
        .filter(|limit| *limit <= of_points.saturating_mul(4))
        .max();
    let most = of_points.max(limits.unwrap_or(1)).max(1);
    let lines = [
        ("#b0442c", points.iter().map(|point| point.connections.1).collect()),
        ("#2a7f4f", points.iter().map(|point| point.connections.0).collect()),
    ];
    let title = "connections: over HTTP/1.1 (red), over HTTP/2 (green)";
    panel(&mut out, (title, 2 * TOP + HIGH, most), points, &lines, connections);
    for (at, anchor, point) in [(LEFT, "start", points.first()), (LEFT + WIDE, "end", points.last())] {
        let time = point.map_or_else(String::new, |point| clock::timestamp(point.at));
        let _ = writeln!(
            out,
            "<text x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\">{time}</text>",
            2 * (TOP + HIGH) + 20
        );
    }
    out.push_str("</svg>\n");
    out
}

fn panel(
    out: &mut String,
    (title, top, most): (&str, u64, u64),
    points: &[Point],
    lines: &[(&str, Vec<u64>)],
    limits: &[(String, u64)],
) {
    let (from, to) = (points.first().map_or(0, |point| point.at), points.last().map_or(1, |point| point.at));
    let across = |at: u64| LEFT + (at - from) * WIDE / (to - from).max(1);
    let height = |value: u64| {
        let share = u128::from(value) * u128::from(HIGH) / u128::from(most.max(1));
        top + HIGH - u64::try_from(share).unwrap_or(HIGH).min(HIGH)
    };
    let _ = writeln!(
        out,
        "<text x=\"{LEFT}\" y=\"{}\">{title}</text>\n<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text>\n\
         <path d=\"M{LEFT} {top}V{}H{}\" fill=\"none\" stroke=\"#555\"/>",
        top - 8,
        LEFT - 6,
        top + 4,
        top + HIGH,
        LEFT + WIDE
    );
    for (colour, values) in lines {
        let drawn: Vec<String> = points
            .iter()
            .zip(values)
            .map(|(point, value)| format!("{},{}", across(point.at), height(*value)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            drawn.join(" ")
        );
    }
    for (name, limit) in limits {
        let name = name.replace('&', "&amp;").replace('<', "&lt;");
        let y = height(*limit);
        let _ = writeln!(
            out,
            "<path d=\"M{LEFT} {y}H{}\" stroke=\"#555\" stroke-dasharray=\"6 4\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name}: {limit}</text>",
            LEFT + WIDE,
            LEFT + WIDE - 4,
            y + 13
        );
    }
}
