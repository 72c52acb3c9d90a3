//! What a user may do, from the files that say who is who.

use std::path::Path;

use crate::tree::{Files, Status};

/// Tells whether a user, by name, may write into a directory: as owner, by a group, or as everybody. A user that
/// `/etc/passwd` does not know may only do what everybody may.
pub fn may_write(files: &dyn Files, user: &str, status: &Status) -> bool {
    const ROOT: u32 = 0;
    let everybody = status.mode & 0o002 != 0;
    let Some((uid, gid)) = ids(files, user) else { return everybody };
    if uid == ROOT {
        return true;
    }
    // The first class that fits decides, as in the kernel.
    if uid == status.uid {
        return status.mode & 0o200 != 0;
    }
    if gid == status.gid || in_group(files, user, status.gid) {
        return status.mode & 0o020 != 0;
    }
    everybody
}

/// Returns a user's id and primary group.
fn ids(files: &dyn Files, user: &str) -> Option<(u32, u32)> {
    let text = files.read(Path::new("/etc/passwd")).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        Some((uid, fields.next()?.parse().ok()?))
    })
}

/// Tells whether a user is among the members of a group.
fn in_group(files: &dyn Files, user: &str, group: u32) -> bool {
    let Ok(text) = files.read(Path::new("/etc/group")) else { return false };
    String::from_utf8_lossy(&text).lines().any(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields[..] else { return false };
        gid.parse() == Ok(group) && members.split(',').any(|member| member == user)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn the_first_class_that_fits_decides() {
        let files = Memory::new()
            .file("/etc/passwd", "root:x:0:0::/:\nwww-data:x:33:33::/:\n")
            .file("/etc/group", "www-data:x:33:\nadm:x:4:syslog,www-data\n");
        for (user, mode, uid, gid, want) in [
            ("www-data", 0o755, 33, 33, true),
            ("www-data", 0o755, 0, 0, false),
            ("www-data", 0o575, 33, 33, false),
            ("www-data", 0o770, 0, 33, true),
            ("www-data", 0o770, 0, 4, true),
            ("www-data", 0o770, 0, 5, false),
            ("www-data", 0o777, 0, 0, true),
            ("nobody", 0o770, 0, 0, false),
            ("nobody", 0o777, 0, 0, true),
            ("root", 0o000, 33, 33, true),
        ] {
            let status = Status { mode, uid, gid, modified: 0 };
            assert_eq!(may_write(&files, user, &status), want, "{user} {mode:o} {uid} {gid}");
        }
    }
}
