//! A network of a process's own, in which every address is its own.
//!
//! Whatever address httpd is told to listen on can be bound there and asked, and whatever it speaks to, a name server or
//! a backend, refuses at once: nothing waits for an answer, and nothing reaches another host.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::namespaces::Myself;

/// Messages and flags of `linux/netlink.h` and `linux/rtnetlink.h`.
const NEW_LINK: u16 = 16;
const NEW_ROUTE: u16 = 24;
const REQUEST: u16 = 0x1;
const ACKNOWLEDGE: u16 = 0x4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;

/// The loopback device is the first of every network.
const LOOPBACK: u32 = 1;

/// Brings the loopback up and sends every address there. Only in a network of this process's own.
///
/// # Errors
/// Those of the loopback and of IPv4; a kernel without IPv6 is none.
pub(super) fn bring_up() -> io::Result<()> {
    let mut kernel =
        File::from(socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?);
    let mut link = vec![0, 0, 0, 0];
    // The device, that it is to be up, and that nothing else about it changes.
    for word in [LOOPBACK, 1, 1] {
        link.extend(word.to_ne_bytes());
    }
    tell(&mut kernel, NEW_LINK, REQUEST | ACKNOWLEDGE, &link)?;
    route(&mut kernel, 2)?;
    let _ = route(&mut kernel, 10);
    // An address of IPv6 must also be allowed to be bound.
    let _ = fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
    Ok(())
}

/// Makes all addresses of a family local ones: `ip route add local default dev lo`.
fn route(kernel: &mut File, family: u8) -> io::Result<()> {
    // Family, lengths of destination and source, type of service, table `local`, protocol `static`, scope `host`, type
    // `local`, flags; then the attribute "out by this device".
    let mut message = vec![family, 0, 0, 0, 255, 4, 254, 2, 0, 0, 0, 0];
    message.extend(8_u16.to_ne_bytes());
    message.extend(4_u16.to_ne_bytes());
    message.extend(LOOPBACK.to_ne_bytes());
    tell(kernel, NEW_ROUTE, REQUEST | ACKNOWLEDGE | CREATE | EXCLUSIVE, &message)
}

/// Sends the kernel one message and waits for its word on it.
fn tell(kernel: &mut File, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::from(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    kernel.write_all(&message)?;
    let mut answer = [0; 1024];
    let length = kernel.read(&mut answer)?;
    // After the header: zero, or an error's number made negative.
    let code = answer.get(16..20).filter(|_| length >= 20).and_then(|code| code.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer is cut short")),
    }
}

/// Returns the addresses on which something listens in this process's network, each as it can be asked.
pub(super) fn listeners(myself: &Myself) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    for table in ["net/tcp", "net/tcp6"] {
        let text = myself.read(table).unwrap_or_default();
        let rows = String::from_utf8_lossy(&text);
        for address in rows.lines().filter_map(listening) {
            // One that listens for both families is in both tables, or asked by the other.
            if !found.iter().any(|known| known.port() == address.port() && known.ip().is_loopback()) {
                found.push(address);
            }
        }
    }
    found
}

/// Reads a row of `/proc/net/tcp`: `0: 0100007F:0050 00000000:0000 0A …`.
fn listening(row: &str) -> Option<SocketAddr> {
    let mut words = row.split_ascii_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    let state = words.nth(1)?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = (0..address.len() / 8)
        .filter_map(|word| u32::from_str_radix(address.get(word * 8..word * 8 + 8)?, 16).ok())
        .map(u32::to_ne_bytes)
        .collect();
    let ip = match words[..] {
        [word] => IpAddr::V4(Ipv4Addr::from(word)),
        [a, b, c, d] => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from([a, b, c, d].concat()).ok()?)),
        _ => return None,
    };
    let ip = match ip {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    };
    (state == "0A").then(|| SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_read_from_the_kernels_table() {
        let table = [
            ("   0: 00000000:0050 00000000:0000 0A 00000000:00000000", Some("127.0.0.1:80")),
            ("   1: 00000000000000000000000000000000:01BB 0:0 0A 0", Some("[::1]:443")),
            ("   2: 0100007F:1F90 0100007F:C001 01 00000000:00000000", None),
            ("  sl  local_address rem_address   st tx_queue rx_queue", None),
            ("", None),
        ];
        for (row, address) in table {
            assert_eq!(listening(row), address.and_then(|address| address.parse().ok()), "{row}");
        }
        // The kernel writes the bytes as this machine has its words.
        let word = u32::from_ne_bytes([192, 0, 2, 1]);
        let row = format!("0: {word:08X}:0051 0:0 0A");
        assert_eq!(listening(&row), "192.0.2.1:81".parse().ok());
    }
}
