//! What can go wrong while a host is changed, and in what state that leaves it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::records::Damaged;
use crate::state_dir;

/// What was being done when it failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A system call failed.
    #[error("could not {doing} `{path}`: {source}{}", way_out(source))]
    Io {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another run holds the lock.
    #[error(
        "another run holds `{path}` ({holder}) and did not finish within {} s; wait for it or raise `lock_timeout`",
        waited.as_secs()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What it says about its holder.
        holder: String,
        /// How long was waited.
        waited: Duration,
    },
    /// Another program or person changed files that were to be changed or undone.
    #[error("changed by another program or person since then: {}; look at them, then run again", list(paths))]
    Moved {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The journal of an interrupted run must be undone first.
    #[error("an interrupted run left `{path}`, and it must be recovered first")]
    LeftOver {
        /// The journal.
        path: PathBuf,
    },
    /// The server rejected the new configuration.
    #[error("the configuration test rejected the change: {}", output.trim())]
    ConfigTest {
        /// What it printed.
        output: String,
    },
    /// The change was made, and what is there then is not what was asked for.
    #[error(
        "after the change the host is not in the desired state: {}{}",
        found.join("; "),
        if kept.is_empty() { String::new() } else { format!("; that is kept as {}", list(kept)) }
    )]
    Otherwise {
        /// Each difference, with file and line.
        found: Vec<String>,
        /// Where what another program or person wrote meanwhile is kept.
        kept: Vec<PathBuf>,
    },
    /// The running server did not come up, or did not serve, with the change.
    #[error("the running server did not take the change up: {why}")]
    Activation {
        /// What the server, its manager and its log said.
        why: String,
    },
    /// Another person ended this run.
    #[error("the run was told to end ({signal})")]
    Signal {
        /// The signal's name.
        signal: &'static str,
    },
    /// A run was interrupted while it brought its change into the server.
    #[error("transaction `{transaction}` was interrupted while the server was being restarted")]
    Interrupted {
        /// Its id.
        transaction: String,
    },
    /// What an interrupted run did cannot be read.
    #[error(
        "the journal `{path}` of an interrupted run cannot be read: {why}; what that run changed is not known: see that \
         httpd's configuration is as it should be (its files' times and `httpd -t` help), then remove the journal and run \
         again"
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The transaction is another server's.
    #[error(
        "transaction `{id}` is of {}, and undoing it would reload the wrong server; {}",
        match instance {
            Some(name) => format!("the instance {name}"),
            None => "the main server".to_owned(),
        },
        match instance {
            Some(name) => format!("set instance to {name}"),
            None => "leave instance out".to_owned(),
        }
    )]
    OtherInstance {
        /// Its id.
        id: String,
        /// The instance; `None` for the main server.
        instance: Option<String>,
    },
    /// The record of the transaction to undo cannot be read.
    #[error(
        "the record of transaction `{}` cannot be read: {}; restore `{}` from a backup, or remove it{}",
        record.id.as_deref().unwrap_or_default(),
        record.why,
        record.path.display(),
        match ids.as_slice() {
            [] => "; nothing else is left to undo".to_owned(),
            ids => format!(" or name what to undo with transaction; there are {}", ids.join(", ")),
        }
    )]
    Unreadable {
        /// The record.
        record: Box<Damaged>,
        /// Those that can be undone, oldest first.
        ids: Vec<String>,
    },
    /// There is no such transaction.
    #[error("no transaction `{id}` in the history; {}", known(ids))]
    NoSuchTransaction {
        /// The id asked for.
        id: String,
        /// Those there are, oldest first.
        ids: Vec<String>,
    },
}

/// In what state a failure left the host.
#[derive(Debug, thiserror::Error)]
pub enum HostState {
    /// Nothing was changed.
    #[error("nothing was changed")]
    Untouched,
    /// All changes were undone.
    #[error("all changes were undone")]
    RolledBack,
    /// All changes were undone, but the server does not run.
    #[error("all changes were undone, but the server did not come back with them: {why}")]
    ServerDown {
        /// What the server, its manager and its log said.
        why: String,
    },
    /// All changes were undone; files that were only staged, which httpd does not read, could not be removed.
    #[error(
        "all changes were undone; what was only staged could not be removed: {}; remove it by hand",
        list(left)
    )]
    Littered {
        /// The files and directories.
        left: Vec<PathBuf>,
    },
    /// An interrupted run could not be undone; its journal stays and the next run tries again.
    #[error(
        "so the interrupted run that left `{}` is not undone yet; fix that and run again: the next run gives back what it \
         holds before it does anything else",
        state_dir::journal().display()
    )]
    Interrupted,
    /// The undo failed as well; the journal stays and the next run tries again.
    #[error(
        "undoing it failed as well: {undo}{}; fix that and run again: the next run gives back what `{}` holds before it \
         does anything else",
        match server {
            Some(why) => format!("; the server did not come back either: {why}"),
            None => String::new(),
        },
        state_dir::journal().display()
    )]
    NeedsRecovery {
        /// Why.
        undo: Box<Cause>,
        /// What the server said that was to be started all the same.
        server: Option<String>,
    },
}

/// Why a change was not made, and what is left behind.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {host}")]
pub struct ApplyError {
    /// What went wrong.
    pub cause: Cause,
    /// What it left.
    pub host: HostState,
}

impl ApplyError {
    pub(super) fn untouched(cause: Cause) -> Self {
        Self { cause, host: HostState::Untouched }
    }

    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::untouched(Cause::io(doing, path, source))
    }
}

impl Cause {
    /// Returns why the journal could not be read: what the system refused, or that it is damaged.
    pub(super) fn journal(path: PathBuf, error: &io::Error) -> Self {
        Self::Journal { path, why: error.to_string() }
    }

    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// Returns what to do about a refused system call, where its error tells; with a `; ` before it. What this program itself
/// refuses says that by itself.
fn way_out(error: &io::Error) -> &'static str {
    if error.raw_os_error().is_none() {
        return "";
    }
    match error.kind() {
        io::ErrorKind::PermissionDenied if rustix::process::geteuid().is_root() => {
            "; see whether an attribute (lsattr), a mount or a security module forbids it to root"
        }
        io::ErrorKind::PermissionDenied => "; run this as root (`become: true` in a playbook)",
        io::ErrorKind::ReadOnlyFilesystem => "; mount it writable and run again",
        io::ErrorKind::FileTooLarge => "; raise the limit of a file's size (`ulimit -f`) and run again",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free some space there and run again",
        _ => "",
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

fn known(ids: &[String]) -> String {
    if ids.is_empty() { "it is empty".to_owned() } else { format!("it has {}", ids.join(", ")) }
}
