//! `apache-tuning fleet`: the preview of a whole fleet from cached facts.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lexopt::prelude::*;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::{Failure, Outcome, read};
use crate::fleet::desired::DesiredStates;
use crate::fleet::inventory::{Inventory, read_inventory};
use crate::fleet::lines::{self, Input};
use crate::fleet::page::{self, About};
use crate::fleet::plan::Verdict;
use crate::fleet::proof::{self, Proof};
use crate::fleet::results::{Results, read_results};
use crate::fleet::table::{Collector, Fleet, HostRow, Request, preview_fleet};
use crate::fleet::{order, text};
use crate::stored::to_hex;

/// What follows the command's name.
pub(super) const USAGE: &str = "[DESIRED.json] --facts PATH... [--inventory FILE] [--results PATH...] [--max-age 24h] \
    [--prefix TEXT] [--by VAR] [--group ID] [--json] [--html FILE] [--samples N] [--order VAR[,seed=N]] \
    [--compare OLD.jsonl] [--limits DIR] [--exit-code]";

/// What it does.
pub(super) const ABOUT: &str =
    "the preview of a whole fleet from cached Ansible facts, or the report of a run; no host is touched";

/// The command line.
#[derive(Default)]
struct Options {
    desired: Option<PathBuf>,
    facts: Vec<PathBuf>,
    inventory: Option<PathBuf>,
    results: Vec<PathBuf>,
    max_age: Option<u64>,
    prefix: String,
    by: Option<String>,
    group: Option<String>,
    json: bool,
    html: Option<PathBuf>,
    samples: Option<usize>,
    order: Option<(String, u64)>,
    compare: Option<PathBuf>,
    limits: Option<PathBuf>,
    exit_code: bool,
}

impl Options {
    fn parse(mut parser: lexopt::Parser) -> Result<Self, Failure> {
        let mut options = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("facts") => options.facts.extend(parser.values()?.map(PathBuf::from)),
                Long("results") => options.results.extend(parser.values()?.map(PathBuf::from)),
                Long("inventory") => options.inventory = Some(parser.value()?.into()),
                Long("max-age") => options.max_age = Some(parse_age(&parser.value()?.string()?)?),
                Long("prefix") => options.prefix = parser.value()?.string()?,
                Long("by") => options.by = Some(parser.value()?.string()?),
                Long("group") => options.group = Some(parser.value()?.string()?),
                Long("html") => options.html = Some(parser.value()?.into()),
                Long("json") => options.json = true,
                Long("samples") => options.samples = Some(parser.value()?.parse()?),
                Long("order") => options.order = Some(parse_order(&parser.value()?.string()?)?),
                Long("compare") => options.compare = Some(parser.value()?.into()),
                Long("limits") => options.limits = Some(parser.value()?.into()),
                Long("exit-code") => options.exit_code = true,
                Value(file) if options.desired.is_none() => options.desired = Some(file.into()),
                other => return Err(other.unexpected().into()),
            }
        }
        if options.facts.is_empty() && options.results.is_empty() {
            return Err(Failure::Usage(
                "--facts names the cached facts: a directory, a file, or -".to_owned(),
            ));
        }
        if !options.facts.is_empty() && options.desired.is_none() && options.inventory.is_none() {
            return Err(Failure::Usage(
                "what is desired is missing: give DESIRED.json, or --inventory with the variables apache_tuning_*"
                    .to_owned(),
            ));
        }
        if let (Some((variable, _)), None) = (&options.order, &options.by) {
            options.by = Some(variable.clone());
        }
        Ok(options)
    }
}

/// Reads `24h`, `90m`, `3600s`, `2d` or a number of seconds.
fn parse_age(text: &str) -> Result<u64, Failure> {
    let wrong = || Failure::Usage(format!("--max-age {text} is no time: write 24h, 90m, 3600s or 2d"));
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, "s"),
    };
    let unit = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(wrong)
}

/// Reads `VAR[,seed=N]`.
fn parse_order(text: &str) -> Result<(String, u64), Failure> {
    let (variable, rest) = text.split_once(',').unwrap_or((text, "seed=0"));
    let seed = rest.strip_prefix("seed=").and_then(|digits| digits.parse().ok());
    match seed {
        Some(seed) if !variable.is_empty() => Ok((variable.to_owned(), seed)),
        _ => Err(Failure::Usage(format!("--order {text}: write a variable, or VAR,seed=N"))),
    }
}

pub(super) fn run(parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let options = Options::parse(parser)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut inputs = Vec::new();
    let base = match &options.desired {
        Some(file) => read_desired(file, &mut inputs)?,
        None => Map::new(),
    };
    let inventory = match &options.inventory {
        Some(file) => Some(read_inventory_file(file, options.by.as_deref(), &mut inputs)?),
        None => None,
    };
    let results = if options.results.is_empty() {
        None
    } else {
        Some(read_results(&options.results).map_err(Failure::Failed)?)
    };
    for path in options.facts.iter().chain(&options.results) {
        inputs.push(Input { path: path.display().to_string(), sha256: None });
    }
    let from_results = options.facts.is_empty();
    let fleet = if from_results {
        let results = results.as_ref().ok_or_else(|| Failure::Failed("no results".to_owned()))?;
        report_fleet(results, inventory.as_ref(), options.by.as_deref())
    } else {
        let request = Request {
            facts: &options.facts,
            prefix: &options.prefix,
            inventory: inventory.as_ref(),
            by: options.by.as_deref(),
            max_age: options.max_age,
            now,
        };
        preview_fleet(&request, DesiredStates::new(base)).map_err(Failure::Failed)?
    };
    // One run is a check run or none at all: what says nothing of itself goes by the others.
    let dry_run = !from_results
        || results.as_ref().is_some_and(|results| {
            let said = || results.hosts.values().filter_map(|host| host.check);
            said().any(|check| check) && said().all(|check| check)
        });
    warn(results.as_ref());
    write_limits(&fleet, &options)?;
    let proofs = match &results {
        Some(results) if !from_results => proof::prove(&fleet, results),
        _ => Vec::new(),
    };
    if let Some(file) = &options.html {
        let about = About { dry_run, now, by: options.by.as_deref(), proofs: &proofs };
        let page = page::page(&fleet, &about).map_err(|error| Failure::Failed(error.to_string()))?;
        write_whole(file, &page)?;
    }
    print(&fleet, &options, &proofs, dry_run, inputs, now)?;
    Ok(Outcome { text: String::new(), code: exit_code(&fleet, options.exit_code) })
}

/// 0 nothing due, 1 refused, failed or damaged, 3 a change is due (where that is asked for), 4 nothing worse than
/// unknown or stale.
fn exit_code(fleet: &Fleet, ask: bool) -> u8 {
    let bad = [Verdict::Failed, Verdict::Unreachable, Verdict::Refused, Verdict::Damaged];
    if bad.iter().any(|verdict| fleet.count(*verdict) > 0) {
        return 1;
    }
    if ask && fleet.count(Verdict::Change) > 0 {
        return 3;
    }
    let open = fleet.count(Verdict::Unknown) + fleet.count(Verdict::NotRun);
    if open > 0 || fleet.hosts.iter().any(|host| host.flags.stale) { 4 } else { 0 }
}

fn read_desired(file: &Path, inputs: &mut Vec<Input>) -> Result<Map<String, Json>, Failure> {
    let content = read(file)?;
    inputs.push(Input { path: file.display().to_string(), sha256: Some(to_hex(&Sha256::digest(&content))) });
    let wrong = |error: String| Failure::Failed(format!("{}: {error}", file.display()));
    if let Err(report) = super::typed(&content) {
        return Err(wrong(report.msg));
    }
    match serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))? {
        Json::Object(map) => Ok(map),
        _ => Err(wrong("it is no JSON object".to_owned())),
    }
}

fn read_inventory_file(file: &Path, by: Option<&str>, inputs: &mut Vec<Input>) -> Result<Inventory, Failure> {
    let content = read(file)?;
    inputs.push(Input { path: file.display().to_string(), sha256: Some(to_hex(&Sha256::digest(&content))) });
    let wrong = |error: String| Failure::Failed(format!("{}: {error}", file.display()));
    let text = std::str::from_utf8(&content).map_err(|error| wrong(error.to_string()))?;
    read_inventory(text, by).map_err(wrong)
}

/// Makes the table of a run's results; hosts of the inventory that no result names were not run.
fn report_fleet(results: &Results, inventory: Option<&Inventory>, by: Option<&str>) -> Fleet {
    let collector = Collector::default();
    let names: std::collections::BTreeSet<&str> = results
        .hosts
        .keys()
        .map(String::as_str)
        .chain(inventory.iter().flat_map(|inventory| inventory.hosts.keys().map(String::as_str)))
        .collect();
    for name in names {
        let predicted = results.hosts.get(name).map_or_else(
            || crate::fleet::plan::Outcome::of(Verdict::NotRun, "the run did not come to it").into(),
            |result| result.predicted.clone(),
        );
        let value = by.and_then(|by| inventory?.text_of(name, by));
        collector.push(HostRow::new(name, collector.place(predicted), value));
    }
    let mut fleet = collector.finish();
    fleet.inventory = inventory.map(|inventory| inventory.hosts.len());
    fleet
}

fn warn(results: Option<&Results>) {
    let Some(results) = results else { return };
    let mut stderr = io::stderr().lock();
    for warning in &results.warnings {
        let _ = writeln!(stderr, "apache-tuning: warning: {warning}");
    }
    for (place, why) in results.damaged.iter().take(10) {
        let _ = writeln!(
            stderr,
            "apache-tuning: {}: {}",
            text::escape_controls(place),
            text::escape_controls(why)
        );
    }
    if results.damaged.len() > 10 {
        let _ =
            writeln!(stderr, "apache-tuning: {} more texts could not be read", results.damaged.len() - 10);
    }
}

/// Writes the lists that Ansible's `--limit @FILE` takes: hosts without a plan, and what a stopped run has left.
fn write_limits(fleet: &Fleet, options: &Options) -> Result<(), Failure> {
    let Some(dir) = options.limits.as_deref() else { return Ok(()) };
    fs::create_dir_all(dir).map_err(|error| Failure::Failed(format!("{}: {error}", dir.display())))?;
    let lists: [(&str, &[Verdict]); 4] = [
        ("unknown.txt", &[Verdict::Unknown, Verdict::Damaged]),
        ("refused.txt", &[Verdict::Refused]),
        ("change.txt", &[Verdict::Change]),
        (
            "remaining.txt",
            &[Verdict::Failed, Verdict::Unreachable, Verdict::Refused, Verdict::NotRun, Verdict::Skipped],
        ),
    ];
    for (name, verdicts) in lists {
        // Only a run has something that remains.
        if name == "remaining.txt" && options.results.is_empty() {
            continue;
        }
        let hosts: Vec<&str> = fleet
            .hosts
            .iter()
            .filter(|host| verdicts.contains(&fleet.group_of(host).outcome.verdict) && !host.flags.unnamed)
            .map(|host| &*host.name)
            .filter(|name| !name.contains(['\n', '\r']))
            .collect();
        let text: String = hosts.iter().map(|host| format!("{host}\n")).collect();
        write_whole(&dir.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Writes a file beside its name and moves it there, so that nobody ever reads half of it.
pub(super) fn write_whole(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", path.display()));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let staged = path.with_file_name(name);
    let written = fs::File::create_new(&staged).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&staged, path)
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&staged);
        failed(error)
    })
}

/// Prints what was asked for. A reader that goes away ends it quietly.
fn print(
    fleet: &Fleet,
    options: &Options,
    proofs: &[Proof<'_>],
    dry_run: bool,
    inputs: Vec<Input>,
    now: u64,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let width = 120;
    let written = if let Some(most) = options.samples {
        let names = order::samples(fleet, most);
        names.iter().try_for_each(|host| writeln!(out, "{}", host.name))
    } else if let Some((_, seed)) = &options.order {
        let names: Vec<&str> = order::rollout_order(fleet, *seed).iter().map(|host| &*host.name).collect();
        serde_json::to_writer(&mut out, &serde_json::json!({"apache_tuning_order": names}))
            .map_err(io::Error::from)
            .and_then(|()| writeln!(out))
    } else if let Some(id) = &options.group {
        let text = text::one_group(fleet, id).map_err(Failure::Failed)?;
        out.write_all(text.as_bytes())
    } else if options.json {
        lines::write_lines(&mut out, fleet, dry_run, inputs, now)
    } else {
        out.write_all(text::overview(fleet, dry_run, now, width).as_bytes())
    };
    let mut rest = String::new();
    if let Some(file) = &options.compare {
        let open =
            fs::File::open(file).map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
        let earlier = lines::read_lines(io::BufReader::new(open))
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
        rest.push_str(&text::comparison(fleet, &earlier));
    }
    rest.push_str(&text::proof(fleet, proofs));
    let only_a_list = options.samples.is_some() || options.order.is_some();
    if only_a_list {
        rest.insert_str(0, &text::overview(fleet, dry_run, now, width));
    }
    let written = written.and_then(|()| {
        if only_a_list || options.json {
            io::stderr().lock().write_all(rest.as_bytes())
        } else {
            out.write_all(rest.as_bytes())
        }
    });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Failed(format!("the output could not be written: {error}")))
        }
        _ => Ok(()),
    }
}
