//! Which hosts a rollout begins with, and which stand for a group.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::plan::Verdict;
use super::table::{Fleet, HostRow};

/// Names some hosts of each group, spread over the values of the variable by which hosts are spread.
pub fn samples(fleet: &Fleet, most: usize) -> Vec<&HostRow> {
    let mut chosen = Vec::new();
    for group in &fleet.groups {
        let members: Vec<&HostRow> =
            fleet.hosts.iter().filter(|host| std::ptr::eq(fleet.group_of(host), group)).collect();
        let mut queues: BTreeMap<Option<&str>, std::collections::VecDeque<&HostRow>> = BTreeMap::new();
        for member in members {
            queues.entry(member.by.as_deref()).or_default().push_back(member);
        }
        let mut left = most;
        while left > 0 && !queues.is_empty() {
            queues.retain(|_, queue| {
                if left > 0
                    && let Some(host) = queue.pop_front()
                {
                    chosen.push(host);
                    left -= 1;
                }
                !queue.is_empty()
            });
        }
    }
    chosen
}

/// Orders the hosts that change for a rollout: one canary of each group, of the largest first; then in turn over the
/// values of the variable, shuffled inside each by the seed.
pub fn rollout_order(fleet: &Fleet, seed: u64) -> Vec<&HostRow> {
    let changing: Vec<&HostRow> = fleet.hosts_of(Verdict::Change).collect();
    let mut first: HashMap<u32, &HostRow> = HashMap::new();
    for host in &changing {
        let best = first.entry(host.group).or_insert(host);
        if rank(&host.name, seed) < rank(&best.name, seed) {
            *best = host;
        }
    }
    let mut canaries: Vec<&HostRow> = first.into_values().collect();
    canaries.sort_by_key(|host| (std::cmp::Reverse(fleet.group_of(host).count), host.group));
    let taken: HashSet<&str> = canaries.iter().map(|host| &*host.name).collect();
    let mut zones: BTreeMap<Option<&str>, Vec<&HostRow>> = BTreeMap::new();
    for host in changing.into_iter().filter(|host| !taken.contains(&*host.name)) {
        zones.entry(host.by.as_deref()).or_default().push(host);
    }
    for hosts in zones.values_mut() {
        // From the end: the last one is taken first.
        hosts.sort_by_key(|host| std::cmp::Reverse(rank(&host.name, seed)));
    }
    let mut order = canaries;
    while !zones.is_empty() {
        zones.retain(|_, hosts| {
            order.extend(hosts.pop());
            !hosts.is_empty()
        });
    }
    order
}

/// A host's place in a shuffle that the seed decides: the same in every run and on every machine (FNV-1a).
fn rank(name: &str, seed: u64) -> u64 {
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The last bytes alone would decide the lowest bits.
    hash ^ (hash >> 29) ^ (hash >> 47)
}
