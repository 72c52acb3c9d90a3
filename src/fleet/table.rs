//! Every host with its verdict, grouped: what all outputs are made from.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sha2::{Digest, Sha256};

use super::cache::{Damage, Record};
use super::desired::{Desired, DesiredStates};
use super::inventory::Inventory;
use super::names::Digests;
use super::plan::{Kind, Outcome, Predicted, Verdict, predict};
use super::sources::{Named, PassedOver, Sighting, read_sources};
use crate::stored::to_hex;

/// Beside the verdict: what else is worth saying of a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flags {
    /// Its facts are older than `--max-age`.
    pub stale: bool,
    /// It was seen more than once; the newer facts count.
    pub twice: bool,
    /// Its name could not be told.
    pub unnamed: bool,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRow {
    /// Its name.
    pub name: Box<str>,
    /// The index of its group.
    pub group: u32,
    /// The index of its variant in that group.
    pub variant: u32,
    /// The index of its kind.
    pub kind: u32,
    /// When its facts were collected, in seconds since the epoch.
    pub time: Option<u64>,
    /// What else is worth saying.
    pub flags: Flags,
    /// The value of the variable by which hosts are spread.
    pub by: Option<Box<str>>,
    /// Where its damage is, or what it was seen as elsewhere.
    pub note: Option<Box<str>>,
}

impl HostRow {
    /// Returns a host of which no more is known than where it belongs.
    pub fn new(name: impl Into<Box<str>>, place: Place, by: Option<Box<str>>) -> Self {
        let Place { group, variant, kind } = place;
        let flags = Flags::default();
        Self { name: name.into(), group, variant, kind, time: None, flags, by, note: None }
    }
}

/// Hosts with one outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Stable over runs: a hash over the outcome.
    pub id: String,
    /// What they have in common.
    pub outcome: Outcome,
    /// The different details.
    pub variants: Vec<Variant>,
    /// How many hosts.
    pub count: usize,
}

/// Hosts of a group with equal details.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    /// Stable over runs.
    pub id: String,
    /// Settings before and after and the paths that change.
    pub detail: String,
    /// How many hosts.
    pub count: usize,
}

/// The whole fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The hosts, by name.
    pub hosts: Vec<HostRow>,
    /// The groups, worst first, larger first.
    pub groups: Vec<Group>,
    /// The kinds of host, in order.
    pub kinds: Vec<Kind>,
    /// How many hosts the inventory has, where one was given.
    pub inventory: Option<usize>,
    /// Files that are of no host.
    pub passed_over: Vec<PassedOver>,
}

impl Fleet {
    /// Returns a host's group.
    pub fn group_of(&self, host: &HostRow) -> &Group {
        &self.groups[host.group as usize]
    }

    /// Returns a host's variant.
    pub fn variant_of(&self, host: &HostRow) -> &Variant {
        &self.group_of(host).variants[host.variant as usize]
    }

    /// Returns a host's kind.
    pub fn kind_of(&self, host: &HostRow) -> &Kind {
        &self.kinds[host.kind as usize]
    }

    /// Returns how many hosts have a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.groups.iter().filter(|group| group.outcome.verdict == verdict).map(|group| group.count).sum()
    }

    /// Returns the hosts of one verdict, by name.
    pub fn hosts_of(&self, verdict: Verdict) -> impl Iterator<Item = &HostRow> {
        self.hosts.iter().filter(move |host| self.group_of(host).outcome.verdict == verdict)
    }
}

/// What a preview of a fleet is made from.
#[derive(Debug)]
pub struct Request<'a> {
    /// Directories, files of JSON lines, or `-`.
    pub facts: &'a [PathBuf],
    /// Ansible's `fact_caching_prefix`.
    pub prefix: &'a str,
    /// The inventory.
    pub inventory: Option<&'a Inventory>,
    /// The variable by which hosts are spread.
    pub by: Option<&'a str>,
    /// The age in seconds from which facts are stale.
    pub max_age: Option<u64>,
    /// The time now, in seconds since the epoch.
    pub now: u64,
}

/// Collects rows from many threads.
#[derive(Default)]
pub struct Collector {
    groups: Mutex<Groups>,
    rows: Mutex<Vec<HostRow>>,
}

#[derive(Default)]
struct Groups {
    index: HashMap<Outcome, u32>,
    all: Vec<(Outcome, Vec<String>, HashMap<String, u32>)>,
    kinds: HashMap<Kind, u32>,
}

/// Where a host belongs: the indices of its group, of the variant in it, and of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    group: u32,
    variant: u32,
    kind: u32,
}

impl Collector {
    /// Returns where a host belongs; what is new is added.
    pub fn place(&self, predicted: Predicted) -> Place {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let group = if let Some(index) = groups.index.get(&predicted.outcome) {
            *index
        } else {
            let index = u32::try_from(groups.all.len()).unwrap_or(u32::MAX);
            groups.all.push((predicted.outcome.clone(), Vec::new(), HashMap::new()));
            groups.index.insert(predicted.outcome, index);
            index
        };
        let (_, details, variants) = &mut groups.all[group as usize];
        let next = u32::try_from(details.len()).unwrap_or(u32::MAX);
        let variant = *variants.entry(predicted.detail).or_insert_with_key(|detail| {
            details.push(detail.clone());
            next
        });
        let next = u32::try_from(groups.kinds.len()).unwrap_or(u32::MAX);
        let kind = *groups.kinds.entry(predicted.kind).or_insert(next);
        Place { group, variant, kind }
    }

    /// Adds a host.
    pub fn push(&self, row: HostRow) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// Orders everything, so that neither the order of the input nor the number of threads shows, and keeps the
    /// newer of a host's facts.
    pub fn finish(self) -> Fleet {
        let mut rows = self.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
        let groups = self.groups.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Newest first; among equals the worse verdict, then the note, so that the same one is kept each time.
        let verdict = |row: &HostRow| groups.all[row.group as usize].0.verdict;
        rows.sort_by(|one, other| {
            one.name
                .cmp(&other.name)
                .then_with(|| other.time.cmp(&one.time))
                .then_with(|| verdict(one).cmp(&verdict(other)))
                .then_with(|| one.note.cmp(&other.note))
        });
        let mut hosts: Vec<HostRow> = Vec::with_capacity(rows.len());
        for row in rows {
            match hosts.last_mut() {
                Some(last) if last.name == row.name => {
                    last.flags.twice = true;
                    if last.note.is_none() {
                        last.note = row.note;
                    }
                }
                _ => hosts.push(row),
            }
        }
        let mut fleet = Fleet { hosts, ..Fleet::default() };
        fleet.groups = groups
            .all
            .into_iter()
            .map(|(outcome, details, _)| Group {
                id: outcome.id(),
                outcome,
                variants: details
                    .into_iter()
                    .map(|detail| Variant {
                        id: to_hex(&Sha256::digest(detail.as_bytes())[..4]),
                        detail,
                        count: 0,
                    })
                    .collect(),
                count: 0,
            })
            .collect();
        let mut kinds: Vec<(Kind, u32)> = groups.kinds.into_iter().collect();
        kinds.sort_unstable();
        let mut numbers = vec![0_u32; kinds.len()];
        for (new, (_, old)) in kinds.iter().enumerate() {
            numbers[*old as usize] = u32::try_from(new).unwrap_or(u32::MAX);
        }
        fleet.kinds = kinds.into_iter().map(|(kind, _)| kind).collect();
        for host in &mut fleet.hosts {
            host.kind = numbers[host.kind as usize];
            let group = &mut fleet.groups[host.group as usize];
            group.count += 1;
            group.variants[host.variant as usize].count += 1;
        }
        fleet.sort_groups();
        fleet
    }
}

impl Fleet {
    /// Puts the worst groups first and larger ones before smaller, drops empty ones, and renumbers.
    fn sort_groups(&mut self) {
        let mut order: Vec<usize> =
            (0..self.groups.len()).filter(|index| self.groups[*index].count > 0).collect();
        order.sort_by(|one, other| {
            let (one, other) = (&self.groups[*one], &self.groups[*other]);
            let key = |group: &Group| (group.outcome.verdict, std::cmp::Reverse(group.outcome.activation));
            key(one).cmp(&key(other)).then(other.count.cmp(&one.count)).then_with(|| one.id.cmp(&other.id))
        });
        let mut places = vec![(0_u32, Vec::new()); self.groups.len()];
        let mut sorted = Vec::with_capacity(order.len());
        for (new, old) in order.into_iter().enumerate() {
            let mut group = self.groups[old].clone();
            let mut variants: Vec<usize> =
                (0..group.variants.len()).filter(|index| group.variants[*index].count > 0).collect();
            variants.sort_by(|one, other| {
                let (one, other) = (&group.variants[*one], &group.variants[*other]);
                other.count.cmp(&one.count).then_with(|| one.id.cmp(&other.id))
            });
            let mut numbers = vec![0_u32; group.variants.len()];
            for (number, old) in variants.iter().enumerate() {
                numbers[*old] = u32::try_from(number).unwrap_or(u32::MAX);
            }
            group.variants = variants.iter().map(|index| group.variants[*index].clone()).collect();
            places[old] = (u32::try_from(new).unwrap_or(u32::MAX), numbers);
            sorted.push(group);
        }
        self.groups = sorted;
        for host in &mut self.hosts {
            let (group, variants) = &places[host.group as usize];
            host.variant = variants[host.variant as usize];
            host.group = *group;
        }
    }
}

/// A plan that is being made or was made.
type Slot = Arc<OnceLock<Place>>;

/// Plans made so far, by a keyed hash over facts and desired state. The keys are drawn anew in each run, so that no
/// host can choose facts that meet another one's.
struct Memo {
    keys: [RandomState; 2],
    plans: Mutex<HashMap<u128, Slot>>,
}

impl Memo {
    /// The most plans that are remembered; a fleet has some hundred.
    const MOST: usize = 100_000;

    fn new() -> Self {
        Self { keys: [RandomState::new(), RandomState::new()], plans: Mutex::default() }
    }

    fn place(&self, record: &Record, number: usize, make: impl FnOnce() -> Place) -> Place {
        let [one, two] = &self.keys;
        let what = (record, number);
        let key = u128::from(one.hash_one(what)) << 64 | u128::from(two.hash_one(what));
        let slot = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            if plans.len() >= Self::MOST && !plans.contains_key(&key) {
                return make();
            }
            Arc::clone(plans.entry(key).or_default())
        };
        *slot.get_or_init(make)
    }
}

/// Makes the table of a fleet from facts.
///
/// # Errors
/// A source that cannot be read.
pub fn preview_fleet(request: &Request<'_>, mut states: DesiredStates) -> Result<Fleet, String> {
    let nothing = std::collections::BTreeMap::new();
    let unlisted = states.of_host(&nothing);
    // Each host of the inventory: its desired state and the value it is spread by.
    let mut listed: HashMap<&str, (usize, Option<Box<str>>)> = HashMap::new();
    for (name, vars) in request.inventory.iter().flat_map(|inventory| &inventory.hosts) {
        let by = request.by.and_then(|by| request.inventory?.text_of(name, by));
        listed.insert(name, (states.of_host(vars), by));
    }
    let digests: OnceLock<Digests> = OnceLock::new();
    let collector = Collector::default();
    let memo = Memo::new();
    let is_old = |time: Option<u64>| match (request.max_age, time) {
        (Some(most), Some(time)) => request.now.saturating_sub(time) > most,
        _ => false,
    };
    let each = |sighting: Sighting| {
        let mut flags = Flags { stale: is_old(sighting.time), ..Flags::default() };
        let name = match sighting.name {
            Named::Host(name) => name,
            Named::Digest(digits) => {
                let known = digests.get_or_init(|| Digests::of(listed.keys().copied()));
                // A host may be called by twelve such digits itself.
                match known.name(&digits) {
                    Some(name) => name.to_owned(),
                    None if listed.contains_key(digits.as_str()) => digits,
                    None => {
                        flags.unnamed = true;
                        format!("unnamed {digits}")
                    }
                }
            }
        };
        let place = listed.get(name.as_str());
        let by = place.and_then(|(_, by)| by.clone());
        let (placed, note) = match sighting.record {
            Err(damage) => {
                let note = note_of(&sighting.origin, &damage);
                (collector.place(Outcome::of(Verdict::Damaged, damage.reason).into()), Some(note))
            }
            Ok(_) if flags.unnamed => {
                let message = "its name is not in the file: give the inventory it is of";
                (collector.place(Outcome::of(Verdict::Unknown, message).into()), None)
            }
            Ok(_) if request.inventory.is_some() && place.is_none() => {
                let message = "the inventory does not know it";
                (collector.place(Outcome::of(Verdict::Unknown, message).into()), None)
            }
            Ok(mut record) => {
                let number = place.map_or(unlisted, |(number, _)| *number);
                let Some(desired) = states.get(number) else { return };
                drop_what_no_plan_needs(&mut record, desired);
                let make = || collector.place(predict(&record, desired));
                (memo.place(&record, number, make), None)
            }
        };
        collector.push(HostRow {
            name: name.into(),
            group: placed.group,
            variant: placed.variant,
            kind: placed.kind,
            time: sighting.time,
            flags,
            by,
            note,
        });
    };
    let passed_over = read_sources(request.facts, request.prefix, &each)?;
    let absent = {
        let rows = collector.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let seen: std::collections::HashSet<&str> = rows.iter().map(|row| &*row.name).collect();
        let mut absent: Vec<&str> = listed.keys().copied().filter(|name| !seen.contains(name)).collect();
        absent.sort_unstable();
        absent
    };
    for name in absent {
        let place = collector
            .place(Outcome::of(Verdict::Unknown, "no facts of it: run webfleet.apache.facts").into());
        let by = listed.get(name).and_then(|(_, by)| by.clone());
        collector.push(HostRow::new(name, place, by));
    }
    let mut fleet = collector.finish();
    fleet.inventory = request.inventory.map(|inventory| inventory.hosts.len());
    fleet.passed_over = passed_over;
    Ok(fleet)
}

fn note_of(origin: &str, damage: &Damage) -> Box<str> {
    match damage.byte {
        Some(byte) => format!("{origin}, byte {byte}").into(),
        None => origin.into(),
    }
}

/// Takes out what differs from host to host and decides nothing, so that equal hosts are planned once.
fn drop_what_no_plan_needs(record: &mut Record, desired: &Desired) {
    let measured = matches!(desired, Desired::Params(params) if params
        .memory
        .as_ref()
        .and_then(|memory| memory.per_worker.as_deref())
        == Some("measured"));
    if let Some(facts) = &mut record.facts.apache_tuning {
        facts.collected = None;
        facts.plan_key = None;
        if !measured {
            facts.per_worker_kib = None;
        }
    }
}
