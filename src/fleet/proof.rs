//! What was predicted beside what a check run on samples said.

use super::plan::{Outcome, Verdict};
use super::results::Results;
use super::table::{Fleet, HostRow};

/// What samples said of one group.
#[derive(Debug, Default)]
pub struct Proof<'a> {
    /// The first host that said what was predicted.
    pub verified: Option<&'a HostRow>,
    /// Hosts that said something else, and what.
    pub otherwise: Vec<(&'a HostRow, &'a Outcome)>,
}

/// Returns what samples said of each group, in the order of the groups.
pub fn prove<'a>(fleet: &'a Fleet, results: &'a Results) -> Vec<Proof<'a>> {
    let mut proofs: Vec<Proof> = fleet.groups.iter().map(|_| Proof::default()).collect();
    for host in &fleet.hosts {
        let Some(seen) = results.hosts.get(&*host.name) else { continue };
        let (said, predicted) = (&seen.predicted.outcome, &fleet.group_of(host).outcome);
        let same = said.verdict == predicted.verdict
            && (said.verdict != Verdict::Change || said.activation == predicted.activation)
            && (said.verdict != Verdict::Refused || said.rules == predicted.rules);
        let proof = &mut proofs[host.group as usize];
        if same {
            proof.verified.get_or_insert(host);
        } else {
            proof.otherwise.push((host, said));
        }
    }
    proofs
}
