//! What answers of a size at a rate need of the link, and how long a worker may take for one.

use serde::Serialize;

use crate::facts::Known;

/// Requests a second, and bytes of an answer on average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Requests a second, from 1.
    pub rate: u64,
    /// Bytes of an answer, from 1.
    pub mean_size: u64,
}

/// What traffic needs. JSON: `{"rate", "mean_size", "bits_per_second", "link_bits_per_second", "link_rate",
/// "seconds_per_request", "seconds_on_link", "binding", "notes": []}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrafficNeed {
    /// Requests a second.
    pub rate: u64,
    /// Bytes of an answer on average.
    pub mean_size: u64,
    /// Bits a second that it takes upstream: the answers, and a tenth more for headers of all layers and repeats.
    pub bits_per_second: u64,
    /// What the link carries; null where that is not known.
    pub link_bits_per_second: Option<u64>,
    /// Answers of that size a second that the link carries.
    pub link_rate: Option<u64>,
    /// Seconds that a request may take on average, so that the workers answer as many a second: Little's law.
    pub seconds_per_request: f64,
    /// Seconds that an answer takes at its share of the link, while all the workers send.
    pub seconds_on_link: Option<f64>,
    /// `link` where the link is what keeps the rate from being reached, `workers` where they would be; null where the link
    /// is not known.
    pub binding: Option<&'static str>,
    /// The same, a sentence each.
    pub notes: Vec<String>,
}

/// Bits on the wire for each byte of an answer, in tenths.
const BITS_IN_TENTHS: u128 = 88;

impl Traffic {
    /// Returns what it needs of a link and of so many workers.
    #[allow(clippy::cast_precision_loss)]
    pub fn need(self, workers: u64, link: Option<&Known<u64>>) -> TrafficNeed {
        let whole = |value: u128| u64::try_from(value).unwrap_or(u64::MAX);
        let (rate, mean_size) = (self.rate.max(1), self.mean_size.max(1));
        let of_one = u128::from(mean_size) * BITS_IN_TENTHS;
        let bits = whole(u128::from(rate).saturating_mul(of_one).div_ceil(10));
        let seconds = workers as f64 / rate as f64;
        let mut notes = vec![
            format!(
                "{rate} answers a second of {mean_size} bytes need {} upstream, a tenth for headers and repeats counted in",
                bits_text(bits)
            ),
            format!(
                "{workers} workers answer {rate} requests a second while one takes at most {} on average: requests a \
                 second times seconds are requests under way (Little's law)",
                seconds_text(seconds)
            ),
        ];
        let link_rate = link.map(|link| whole(u128::from(link.value) * 10 / of_one));
        let on_link =
            link.map(|link| of_one as f64 / 10.0 * workers.max(1) as f64 / link.value.max(1) as f64);
        let binding = link.map(|link| if bits > link.value { "link" } else { "workers" });
        if let (Some(link), Some(link_rate), Some(on_link), Some(binding)) =
            (link, link_rate, on_link, binding)
        {
            notes.push(format!(
                "the link of {} ({}) carries {link_rate} of them a second; while all the workers send, one answer takes {} \
                 at its share of it (under event only what does not fit the socket's buffer, and without a worker)",
                bits_text(link.value),
                link.source,
                seconds_text(on_link)
            ));
            notes.push(if binding == "link" {
                "the link is the bound: more workers do not answer more; smaller answers (compression, caching in the browser) \
                 or a faster link do"
                    .to_owned()
            } else {
                format!(
                    "the workers are the bound: the link is used to {} % at that rate",
                    (u128::from(bits) * 100).div_ceil(u128::from(link.value.max(1)))
                )
            });
        } else {
            notes.push("the speed of the link is not known: virtual cards tell none".to_owned());
        }
        TrafficNeed {
            rate,
            mean_size,
            bits_per_second: bits,
            link_bits_per_second: link.map(|link| link.value),
            link_rate,
            seconds_per_request: rounded(seconds),
            seconds_on_link: on_link.map(rounded),
            binding,
            notes,
        }
    }
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1e6).round() / 1e6
}

/// Writes a rate: `880 Mbit/s`.
#[allow(clippy::cast_precision_loss)]
pub fn bits_text(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{} kbit/s", bits.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{:.1} Mbit/s", bits as f64 / 1e6),
        _ => format!("{:.2} Gbit/s", bits as f64 / 1e9),
    }
}

fn seconds_text(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.1} ms", seconds * 1000.0) } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_and_time_follow_from_rate_and_size() {
        // 1000 answers of 40,000 bytes: 320 Mbit/s, and a tenth.
        let traffic = Traffic { rate: 1000, mean_size: 40_000 };
        let need = traffic.need(200, None);
        assert_eq!((need.bits_per_second, need.seconds_per_request, need.binding), (352_000_000, 0.2, None));
        let link = |bits| Known { value: bits, source: "eth0".to_owned() };
        let need = traffic.need(200, Some(&link(1_000_000_000)));
        assert_eq!((need.link_rate, need.binding), (Some(2840), Some("workers")));
        assert_eq!(need.seconds_on_link, Some(0.0704));
        assert!(need.notes[3].contains("36 %"), "{:?}", need.notes);
        let need = traffic.need(200, Some(&link(100_000_000)));
        assert_eq!((need.link_rate, need.binding), (Some(284), Some("link")));
        // The bound is the link exactly from the rate on that it does not carry.
        for rate in [283, 284, 285] {
            let need = Traffic { rate, ..traffic }.need(200, Some(&link(100_000_000)));
            assert_eq!(need.binding == Some("link"), rate > 284, "{rate}");
        }
        // Nothing overflows.
        let most = Traffic { rate: u64::MAX, mean_size: u64::MAX }.need(u64::MAX, Some(&link(1)));
        assert_eq!((most.bits_per_second, most.binding), (u64::MAX, Some("link")));
    }
}
