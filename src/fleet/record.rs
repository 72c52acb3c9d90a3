//! What a fact cache says of one host: the few facts a plan needs, typed, everything else skipped.

use serde::Deserialize;

pub use crate::facts::host_facts::{Amount, HostFacts, LimitFact, MAJOR};

/// Ansible's own facts and this collection's, those that a plan needs. JSON: an object with `ansible_` before the
/// names of Ansible's own, and `apache_tuning`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Facts {
    /// The distribution as Ansible calls it: `Debian`, `RedHat`, `openSUSE Leap`.
    pub ansible_distribution: Option<String>,
    /// Its version: `12.15`.
    pub ansible_distribution_version: Option<String>,
    /// Memory of the machine in MiB; a control group's limit is not in it.
    pub ansible_memtotal_mb: Option<Amount>,
    /// Processors this system may run on.
    pub ansible_processor_nproc: Option<Amount>,
    /// Whether Ansible's setup ran; a file with nothing else is what a time-out leaves.
    pub module_setup: Option<bool>,
    /// What `webfleet.apache.tuning_info` left.
    pub apache_tuning: Option<HostFacts>,
}
