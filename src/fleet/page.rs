//! The fleet as one HTML file that needs no network: the data packed in columns, the page's own script, and the two
//! libraries that are kept in `assets/page`.
//!
//! Facts and differences come from hosts that may be hostile. They reach the page as JSON in base64, which cannot end
//! the element it stands in, and the script puts them there as text. A Content-Security-Policy lets the page's own
//! scripts and styles run, by their hashes, and nothing else.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::plan::Verdict;
use super::proof::Proof;
use super::table::{Fleet, HostRow};
use crate::report::Need;

/// The scripts, in the order in which they run; before those of others stands their licence.
const SCRIPTS: [(&str, &str); 3] = [
    (include_str!("../../assets/page/LICENSE.uPlot"), include_str!("../../assets/page/uPlot.iife.min.js")),
    (
        include_str!("../../assets/page/LICENSE.virtual-core"),
        include_str!("../../assets/page/virtual-core.iife.min.js"),
    ),
    ("", include_str!("../../assets/page/page.js")),
];

const STYLES: [&str; 2] =
    [include_str!("../../assets/page/uPlot.min.css"), include_str!("../../assets/page/page.css")];

const BODY: &str = include_str!("../../assets/page/page.html");

/// How hard the data is packed, 0 to 10. Higher numbers take longer and win some percent.
const PACKING: u8 = 6;

/// What a page says of its making.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The time now, in seconds since the epoch.
    pub now: u64,
    /// The variable by which hosts are spread.
    pub by: Option<&'a str>,
    /// What samples said of each group; empty where there were none.
    pub proofs: &'a [Proof<'a>],
}

/// The data of a page. Columns, not rows: what repeats stands side by side and packs well.
#[derive(Serialize)]
struct Data<'a> {
    dry_run: bool,
    version: &'a str,
    made: u64,
    by: Option<&'a str>,
    inventory: Option<usize>,
    verdicts: [&'static str; Verdict::ALL.len()],
    groups: Vec<GroupData<'a>>,
    /// System, and name, need and size of the tightest limit.
    kinds: Vec<(&'a str, &'a str, u64, u64)>,
    /// The values of the variable by which hosts are spread.
    values: Vec<&'a str>,
    /// Places of damage, by the index of the host.
    notes: BTreeMap<usize, &'a str>,
    hosts: Columns<'a>,
}

#[derive(Serialize)]
struct GroupData<'a> {
    id: &'a str,
    /// The index in `verdicts`.
    verdict: usize,
    activation: Need,
    rules: &'a [String],
    binding: Option<&'a str>,
    message: &'a str,
    count: usize,
    variants: Vec<VariantData<'a>>,
    verified: Option<&'a str>,
    otherwise: Vec<String>,
}

#[derive(Serialize)]
struct VariantData<'a> {
    id: &'a str,
    detail: &'a str,
    count: usize,
}

#[derive(Default, Serialize)]
struct Columns<'a> {
    name: Vec<&'a str>,
    group: Vec<u32>,
    variant: Vec<u32>,
    kind: Vec<u32>,
    /// The index in `values`, or -1.
    by: Vec<i64>,
    /// Age of the facts in minutes, or -1.
    age: Vec<i64>,
    /// 1 stale, 2 seen twice, 4 without a name.
    flags: Vec<u8>,
}

/// Returns the page.
///
/// # Errors
/// Those of writing JSON.
pub fn page(fleet: &Fleet, about: &About<'_>) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(&data(fleet, about))?;
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&json, PACKING);
    drop(json);
    let scripts = SCRIPTS.map(|(licence, code)| match licence {
        "" => code.to_owned(),
        licence => format!("/*\n{licence}*/\n{code}"),
    });
    let hashes = |texts: &mut dyn Iterator<Item = &str>| -> String {
        texts.map(|text| format!(" 'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))).collect()
    };
    let policy = format!(
        "default-src 'none'; script-src{}; style-src{}; base-uri 'none'; form-action 'none'",
        hashes(&mut scripts.iter().map(String::as_str)),
        hashes(&mut STYLES.into_iter()),
    );
    let title = format!(
        "{}{} host{}",
        if about.dry_run { "DRY RUN: " } else { "" },
        super::text::grouped(fleet.hosts.len()),
        if fleet.hosts.len() == 1 { "" } else { "s" },
    );
    let styles: String = STYLES.map(|style| format!("<style>{style}</style>\n")).concat();
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>\n{styles}{BODY}\
         <script id=\"data\" type=\"application/octet-stream\">"
    )
    .into_bytes();
    out.extend_from_slice(base64(&packed).as_bytes());
    out.extend_from_slice(b"</script>\n");
    for script in &scripts {
        out.extend_from_slice(b"<script>");
        out.extend_from_slice(script.as_bytes());
        out.extend_from_slice(b"</script>\n");
    }
    out.extend_from_slice(b"</html>\n");
    Ok(out)
}

fn data<'a>(fleet: &'a Fleet, about: &About<'a>) -> Data<'a> {
    let mut values: Vec<&str> = fleet.hosts.iter().filter_map(|host| host.by.as_deref()).collect();
    values.sort_unstable();
    values.dedup();
    let mut hosts = Columns::default();
    let mut notes = BTreeMap::new();
    for (index, host) in fleet.hosts.iter().enumerate() {
        hosts.name.push(&host.name);
        hosts.group.push(host.group);
        hosts.variant.push(host.variant);
        hosts.kind.push(host.kind);
        let value = host.by.as_deref().and_then(|value| values.binary_search(&value).ok());
        hosts.by.push(value.map_or(-1, |at| i64::try_from(at).unwrap_or(-1)));
        hosts.age.push(minutes(host, about.now));
        let flags = host.flags;
        hosts.flags.push(u8::from(flags.stale) | u8::from(flags.twice) << 1 | u8::from(flags.unnamed) << 2);
        if let Some(note) = host.note.as_deref() {
            notes.insert(index, note);
        }
    }
    Data {
        dry_run: about.dry_run,
        version: env!("CARGO_PKG_VERSION"),
        made: about.now,
        by: about.by,
        inventory: fleet.inventory,
        verdicts: Verdict::ALL.map(Verdict::word),
        groups: groups(fleet, about.proofs),
        kinds: fleet
            .kinds
            .iter()
            .map(|kind| match &kind.load {
                Some(load) => (kind.system.as_str(), load.bound.as_str(), load.needs, load.limit),
                None => (kind.system.as_str(), "", 0, 0),
            })
            .collect(),
        values,
        notes,
        hosts,
    }
}

fn minutes(host: &HostRow, now: u64) -> i64 {
    let minutes = host.time.map(|time| now.saturating_sub(time) / 60);
    minutes.map_or(-1, |minutes| i64::try_from(minutes).unwrap_or(i64::MAX))
}

fn groups<'a>(fleet: &'a Fleet, proofs: &'a [Proof<'a>]) -> Vec<GroupData<'a>> {
    let each = fleet.groups.iter().enumerate().map(|(index, group)| {
        let proof = proofs.get(index);
        let otherwise = proof.map_or(&[][..], |proof| &proof.otherwise);
        GroupData {
            id: &group.id,
            verdict: Verdict::ALL.iter().position(|verdict| *verdict == group.outcome.verdict).unwrap_or(0),
            activation: group.outcome.activation,
            rules: &group.outcome.rules,
            binding: group.outcome.binding.as_deref(),
            message: &group.outcome.message,
            count: group.count,
            variants: group
                .variants
                .iter()
                .map(|variant| VariantData { id: &variant.id, detail: &variant.detail, count: variant.count })
                .collect(),
            verified: proof
                .and_then(|proof| proof.verified)
                .filter(|_| otherwise.is_empty())
                .map(|host| &*host.name),
            otherwise: otherwise
                .iter()
                .map(|(host, said)| {
                    format!(
                        "{} says {} {}: {}",
                        host.name,
                        said.verdict.word(),
                        said.rules.join(" "),
                        said.message
                    )
                })
                .collect(),
        }
    });
    each.collect()
}

/// Writes bytes as RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let get = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let bits = get(0) << 16 | get(1) << 8 | get(2);
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= part.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), coded);
        }
        assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
    }

    #[test]
    fn the_kept_libraries_are_as_their_checksums_say() {
        let files: [(&str, &[u8]); 5] = [
            ("uPlot.iife.min.js", include_bytes!("../../assets/page/uPlot.iife.min.js")),
            ("uPlot.min.css", include_bytes!("../../assets/page/uPlot.min.css")),
            ("virtual-core.iife.min.js", include_bytes!("../../assets/page/virtual-core.iife.min.js")),
            ("LICENSE.uPlot", include_bytes!("../../assets/page/LICENSE.uPlot")),
            ("LICENSE.virtual-core", include_bytes!("../../assets/page/LICENSE.virtual-core")),
        ];
        let sums = include_str!("../../assets/page/SHA256SUMS");
        assert_eq!(sums.lines().count(), files.len());
        for (name, content) in files {
            let sum = crate::stored::to_hex(&Sha256::digest(content));
            assert!(sums.lines().any(|line| line == format!("{sum}  {name}")), "{name} has {sum}");
        }
    }

    #[test]
    fn no_part_of_the_page_ends_its_element_early() {
        for (licence, code) in SCRIPTS {
            for end in ["</script", "<!--"] {
                assert!(!code.to_lowercase().contains(end) && !licence.contains(end), "{end}");
            }
            assert!(!licence.contains("*/"));
        }
        assert!(!STYLES.concat().contains("</style"));
    }
}
