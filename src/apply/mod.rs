//! Carries a plan out: lock, recover, journal, swap, activate, verify.
//!
//! Whatever interrupts this, a kill or a power cut, leaves files with which httpd starts, and a journal from which
//! [`recover`] gives the old state back. The order that makes it so is in [`order`], the undo data in [`journal`],
//! the system calls in [`disk`].

use std::path::Path;
use std::time::SystemTime;

use crate::facts::Running;
use crate::report::{ConfigTest, Need};
use crate::tree::Change;

mod answers;
pub mod disk;
mod error;
mod guard;
mod history;
mod journal;
mod kept;
mod lock;
mod manager;
mod obstacles;
mod order;
mod process;
mod records;
mod recover;
mod run;
mod server;
mod service;
mod session;
mod start_script;
mod transact;
mod verify;

pub use self::error::{ApplyError, Cause, HostState};
pub use self::guard::guard;
pub use self::history::{Generation, Rollback, apply_rollback, history, plan_rollback};
pub use self::lock::{Lock, quiet};
pub use self::manager::{Holder, holder};
pub use self::obstacles::{Obstacle, in_state, obstacles};
pub use self::records::Damaged;
pub use self::recover::{Predicted, Recovered, predict, recover};
pub use self::server::Server;
pub use self::session::clean;

use self::disk::Disk;
use self::transact::{Wanted, transact};
use crate::state_dir::STATE_DIR;

/// How to carry a plan out.
pub struct Options<'a> {
    /// The directory of the server's configuration, `/etc/apache2`, with links followed. Files are staged in it rather
    /// than beside their targets, because a whole directory may be included, whatever the names in it.
    pub config_dir: &'a Path,
    /// The instance of the server that the files are of; the main one has no name.
    pub instance: Option<&'a str>,
    /// Transactions kept for rollback, at least one.
    pub keep: usize,
    /// The test run on the changed files; failing undoes them. `None` where the same content was tested before.
    pub test: Option<&'a dyn Fn() -> ConfigTest>,
    /// Reads the host again after the change, and once more after the server took it up; says each difference from what
    /// was asked for, and one undoes the change. The files themselves are always read again.
    pub look: Option<&'a dyn Fn() -> Vec<String>>,
    /// What happens to a running server.
    pub activation: Activate<'a>,
}

/// What happens to a running server. One that does not run is never started.
#[derive(Debug, Clone, Copy)]
pub enum Activate<'a> {
    /// Nothing now; this is what it needs, and who runs, for [`pending`].
    Later(Need, Option<&'a Running>),
    /// What it needs, at once; where it does not serve afterwards everything is undone and the old one started.
    Now(&'a Server),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The id in the history.
    pub transaction: String,
    /// The test on the changed files; `None` where none was asked for.
    pub config_test: Option<ConfigTest>,
    /// Whether a running server was brought to use the change and seen to serve.
    pub activated: bool,
}

/// A change that a running server does not use yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The transaction that made it.
    pub transaction: String,
    /// The action required: none, reload or restart.
    pub needed: Need,
}

/// Makes `plan` true, whole or not at all.
///
/// Files keep owner, mode, ACL and attributes; new ones get mode 0644. The transaction is in the history then.
///
/// # Errors
/// With what is left behind: [`HostState::Untouched`] also where others changed a file since it was planned.
pub fn apply(plan: &[Change], options: &Options<'_>, lock: &Lock) -> Result<Applied, ApplyError> {
    let wanted = plan.iter().map(|change| Wanted { change: change.clone(), meta: None }).collect();
    transact(wanted, Vec::new(), options, lock)
}

/// Returns the newest change of an instance's files that takes a stop and start and was left to be done while the very
/// process ran that runs now. Reads only; what cannot be read counts as nothing.
///
/// No clock tells which came first: clocks go back, and forth again.
pub fn pending(root: &Path, instance: Option<&str>, running: &Running) -> Option<Pending> {
    let disk = Disk::open(root).ok()?;
    let running = running.identity.as_ref()?;
    let ids = records::ids(&disk).ok()?;
    ids.into_iter()
        .rev()
        .find(|id| records::is_left(&disk, id, instance, running))
        .map(|transaction| Pending { transaction, needed: Need::Restart })
}

/// Returns when a journal last came or went below `root`: as long as that stays, no run has changed the host. `None`
/// where no run was ever there.
pub fn last_change(root: &Path) -> Option<SystemTime> {
    let state = Disk::open(root).ok()?.private_dir(Path::new(STATE_DIR)).ok()??;
    std::fs::File::from(state).metadata().ok()?.modified().ok()
}

/// Tells, without writing anything, whether an interrupted run left its journal below `root`.
pub fn is_interrupted(root: &Path) -> bool {
    Disk::open(root).is_ok_and(|disk| !matches!(journal::left_over(&disk), Ok(None)))
}
