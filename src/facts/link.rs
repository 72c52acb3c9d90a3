//! The speed of the host's network links.

use std::path::Path;

use super::Known;
use crate::tree::Files;

/// Where the kernel lists them.
const LINKS: &str = "/sys/class/net";

/// Returns the bits a second of the fastest link that is up and tells its speed. Virtual cards tell none, or -1.
pub fn speed(files: &dyn Files) -> Option<Known<u64>> {
    let dir = Path::new(LINKS);
    let names = files.list(dir).ok()?;
    let speed = |name: &std::ffi::OsString| {
        let path = dir.join(name).join("speed");
        let text = files.read(&path).ok()?;
        // In Mbit/s.
        let megabits: u64 = std::str::from_utf8(&text).ok()?.trim().parse().ok()?;
        let value = megabits.checked_mul(1_000_000).filter(|bits| *bits > 0)?;
        Some(Known { value, source: path.display().to_string() })
    };
    names.iter().filter_map(speed).max_by_key(|known| known.value)
}
