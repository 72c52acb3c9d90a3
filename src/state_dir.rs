//! This tool's own directory on a managed host, and the names in it.

use std::path::{Path, PathBuf};

/// The directory: only root may enter it.
pub const STATE_DIR: &str = "/var/lib/apache-tuning";

/// Returns the path of the memory of what was there at each path before this tool first changed it: each instance of the
/// server has its own, so that one is undone without the others.
pub fn originals(instance: Option<&str>) -> PathBuf {
    Path::new(STATE_DIR).join(match instance {
        Some(name) => format!("originals@{name}.json"),
        None => "originals.json".to_owned(),
    })
}

/// Returns the path of the lock.
pub fn lock() -> PathBuf {
    Path::new(STATE_DIR).join("lock")
}

/// Returns the path of the journal.
pub fn journal() -> PathBuf {
    Path::new(STATE_DIR).join("journal")
}

/// Returns the path of a journal that is being written.
pub fn journal_in_the_making() -> PathBuf {
    Path::new(STATE_DIR).join("journal.new")
}

/// Returns where what another program or person wrote during a transaction is kept; `index` is the path's place in its record.
pub fn aside(id: &str, index: usize) -> PathBuf {
    Path::new(STATE_DIR).join(format!("aside-{id}-{index}"))
}

/// Returns the path of a file set aside that is being written.
pub fn aside_in_the_making() -> PathBuf {
    Path::new(STATE_DIR).join("aside.new")
}

/// Returns the directory of the records of done transactions.
pub fn history() -> PathBuf {
    Path::new(STATE_DIR).join("history")
}

/// Returns the path of a done transaction's record.
pub fn generation(id: &str) -> PathBuf {
    history().join(format!("{id}.json"))
}
