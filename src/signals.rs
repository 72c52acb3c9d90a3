//! Signals that would end a run while the server is down: held back, and asked for at the places where the run can
//! still be undone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

/// The signals that ask a program to end, with their names.
const ENDING: [(i32, &str); 4] =
    [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT"), (SIGHUP, "SIGHUP"), (SIGQUIT, "SIGQUIT")];

/// The last of them that came; 0 is none.
static SEEN: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// From here on signals that ask this program to end are only remembered. One that whoever started it has it ignore, as
/// `nohup` does, stays ignored.
pub fn hold() {
    SEEN.get_or_init(|| {
        let seen = Arc::new(AtomicUsize::new(0));
        let ignored = ignored();
        for (signal, _) in ENDING {
            if let Ok(value) = usize::try_from(signal)
                && ignored >> (signal - 1) & 1 == 0
            {
                // It fails for signals that nobody may catch, and these are none.
                let _ = flag::register_usize(signal, Arc::clone(&seen), value);
            }
        }
        seen
    });
}

/// Returns the name of the signal that asked this program to end since [`hold`]; `None` where none did.
pub fn seen() -> Option<&'static str> {
    let number = SEEN.get()?.load(Ordering::Relaxed);
    ENDING.into_iter().find(|(signal, _)| usize::try_from(*signal) == Ok(number)).map(|(_, name)| name)
}

/// Lets a write beyond the largest file that is allowed fail (`EFBIG`) instead of ending this program. Caught and not
/// ignored: what it starts does not inherit that.
pub fn survive_file_size_limit() {
    let _ = flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}

/// Returns the signals that this program ignores, one bit each: the lowest is signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}
