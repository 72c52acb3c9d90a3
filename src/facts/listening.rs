//! Which processes listen for connections, through `/proc`: their sockets against the kernel's tables of TCP.

use std::path::{Path, PathBuf};

use super::parse;
use crate::tree::{Files, bytes};

/// The kernel's tables, in the network namespace of the process whose directory they are in.
const TABLES: [&str; 2] = ["net/tcp6", "net/tcp"];

/// The state of a socket that listens, as the tables write it.
const LISTEN: &[u8] = b"0A";

/// Tells whether a process has a TCP socket that listens. Where the tables cannot be read, any socket counts; where
/// its descriptors cannot be, the process is another user's and nothing is known of it.
pub(super) fn listens(files: &dyn Files, pid: u32) -> bool {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let sockets = sockets(files, &dir.join("fd"));
    if sockets.is_empty() {
        return false;
    }
    let mut readable = false;
    for table in TABLES {
        match has_listener(files, &dir.join(table), &sockets) {
            Ok(true) => return true,
            Ok(false) => readable = true,
            Err(_) => {}
        }
    }
    !readable
}

/// The state of a socket with a client at its other end, as the tables write it.
const ESTABLISHED: &[u8] = b"01";

/// Returns the connections that are open to the ports on which a process listens; `None` where that cannot be read.
pub fn connections(files: &dyn Files, pid: u32) -> Option<u64> {
    let dir = PathBuf::from(format!("/proc/{pid}"));
    let sockets = sockets(files, &dir.join("fd"));
    let mut count = None;
    for table in TABLES {
        let mut ports: Vec<Vec<u8>> = Vec::new();
        let mut open: u64 = 0;
        let read = files.scan(&dir.join(table), &mut |piece| {
            for line in parse::lines(piece) {
                let mut fields = parse::words(line);
                let Some(local) = fields.next().filter(|number| number.ends_with(b":")).and(fields.next())
                else {
                    continue;
                };
                let Some(port) = local.rsplit(|byte| *byte == b':').next() else { continue };
                match fields.nth(1) {
                    // Those that listen come first.
                    Some(LISTEN)
                        if fields.nth(5).is_some_and(|inode| sockets.iter().any(|own| own == inode)) =>
                    {
                        ports.push(port.to_vec());
                    }
                    Some(ESTABLISHED) if ports.iter().any(|own| own == port) => open += 1,
                    _ => {}
                }
            }
            false
        });
        if read.is_ok() && !sockets.is_empty() {
            count = Some(count.unwrap_or(0) + open);
        }
    }
    count
}

/// Returns the inodes of a process's sockets.
fn sockets(files: &dyn Files, dir: &Path) -> Vec<Vec<u8>> {
    let names = files.list(dir).unwrap_or_default();
    let inode = |name| {
        let target = files.read_link(&dir.join(name)).ok()?;
        Some(bytes(target.as_os_str()).strip_prefix(b"socket:[")?.strip_suffix(b"]")?.to_vec())
    };
    names.iter().filter_map(inode).collect()
}

/// Tells whether one of the sockets listens in a table. The kernel writes those that listen first, so that the
/// connections of a busy server behind them are not read.
fn has_listener(files: &dyn Files, table: &Path, sockets: &[Vec<u8>]) -> std::io::Result<bool> {
    let mut found = false;
    files.scan(table, &mut |piece| {
        for line in parse::lines(piece) {
            // "0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 INODE"
            let mut fields = parse::words(line);
            // The head has no number.
            let Some(state) = fields.next().filter(|number| number.ends_with(b":")).and(fields.nth(2)) else {
                continue;
            };
            if state != LISTEN {
                return true;
            }
            let inode = fields.nth(5);
            found = inode.is_some_and(|inode| sockets.iter().any(|socket| socket == inode));
            if found {
                return true;
            }
        }
        false
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(state: &str, inode: u32) -> String {
        format!(
            "   0: 00000000:0050 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100\n"
        )
    }

    #[test]
    fn connections_are_those_to_the_ports_that_the_process_listens_on() {
        let other = |line: String| line.replace("00000000:0050 ", "0100007F:1F90 ");
        let table = [
            line("0A", 41),
            other(line("0A", 50)),
            line("01", 0),
            line("01", 7),
            line("06", 8),
            other(line("01", 9)),
        ];
        let files = Memory::new()
            .link("/proc/7/fd/4", "socket:[41]")
            .file("/proc/7/net/tcp", HEAD.to_owned() + &table.concat());
        assert_eq!(connections(&files, 7), Some(2));
        assert_eq!(connections(&Memory::new(), 7), None);
    }

    #[test]
    fn only_a_socket_that_listens_makes_a_server() {
        let process = || {
            Memory::new()
                .link("/proc/7/fd/0", "/dev/null")
                .link("/proc/7/fd/1", "pipe:[9]")
                .link("/proc/7/fd/4", "socket:[41]")
        };
        let table = |lines: &[String]| process().file("/proc/7/net/tcp", HEAD.to_owned() + &lines.concat());
        for (files, listens_now) in [
            (table(&[line("0A", 40), line("0A", 41)]), true),
            (table(&[line("0A", 40), line("01", 41)]), false),
            (table(&[line("0A", 40)]), false),
            (table(&[]), false),
            // Connections come after all that listen.
            (table(&[line("0A", 40), line("01", 3), line("0A", 41)]), false),
            (process().file("/proc/7/net/tcp6", HEAD.to_owned() + &line("0A", 41)), true),
            (process(), true),
            (Memory::new().link("/proc/7/fd/1", "pipe:[41]"), false),
            (Memory::new(), false),
        ] {
            assert_eq!(listens(&files, 7), listens_now);
        }
    }
}
