//! The question that a task asks a server, before its change and after it: does it answer as a healthy one?

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::http::Silence;
use crate::params::Health;
use crate::tree::Files;
use crate::url::Url;

/// How long to wait after no answer, and after a wrong one. mod_evasive takes two questions a second from one address,
/// and blocks for longer what goes on asking.
const AGAIN: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Asks the health address until it answers with the wanted status, for `within` at most.
///
/// # Errors
/// What it did instead; of an answer only its status is told.
pub fn healthy(health: &Health, within: Duration) -> Result<(), String> {
    let url = Url::parse(&health.url).map_err(|wrong| wrong.to_string())?;
    let end = Instant::now() + within;
    let mut why = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let answer = if left.is_zero() { None } else { Some(url.status(left)) };
        let wait = match answer {
            Some(Ok(status)) if status == health.status => return Ok(()),
            Some(Ok(status)) => {
                why = Some(format!("answers with status {status} instead of {}", health.status));
                AGAIN[1]
            }
            Some(Err(silence)) => {
                let told = match silence {
                    // The time is told with all of them.
                    Silence::Late { .. } => "does not answer".to_owned(),
                    Silence::Broken { error, .. } => format!("does not answer: {error}"),
                    Silence::Closed { .. } => "closes the connection without an answer".to_owned(),
                    other => format!("does not answer: {other}"),
                };
                // A question that the end of the time cut off says less than the answer before.
                why = Some(why.filter(|_| told == "does not answer").unwrap_or(told));
                AGAIN[0]
            }
            None => Duration::ZERO,
        };
        if Instant::now() + wait >= end {
            let why = why.unwrap_or_else(|| "does not answer".to_owned());
            return Err(format!("{} {why}, for {} s", health.url, within.as_secs()));
        }
        std::thread::sleep(wait);
    }
}

/// Tells whether an address is one of this host: of the loopback, of one of its interfaces, or a name that `names`
/// (the virtual hosts') or `/etc/hosts` have for it. Sends nothing and looks nothing up.
pub fn is_of_this_host<'a>(url: &Url, files: &dyn Files, names: impl IntoIterator<Item = &'a str>) -> bool {
    if let Some(address) = url.address() {
        return is_local(address);
    }
    let Some(name) = url.name() else { return true };
    let own = files.read(std::path::Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let own = String::from_utf8_lossy(&own).trim().to_ascii_lowercase();
    name.ends_with(".localhost")
        || (!own.is_empty()
            && (name == own || name.strip_prefix(&own).is_some_and(|rest| rest.starts_with('.'))))
        || names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
        || in_hosts_file(files, name)
}

/// Tells whether `/etc/hosts` has a name for an address of this host.
fn in_hosts_file(files: &dyn Files, name: &str) -> bool {
    let text = files.read(std::path::Path::new("/etc/hosts")).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { return false };
        words.any(|word| word.eq_ignore_ascii_case(name)) && is_local(address)
    })
}

/// Tells whether a packet to an address would stay on this host: the kernel then sends it from that very address.
/// Connecting a datagram socket asks the routing table and sends nothing.
fn is_local(address: IpAddr) -> bool {
    let address = address.to_canonical();
    if address.is_loopback() {
        return true;
    }
    if address.is_unspecified() || address.is_multicast() {
        return false;
    }
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind(SocketAddr::new(any, 0))
        .and_then(|socket| {
            socket.connect(SocketAddr::new(address, 9))?;
            socket.local_addr()
        })
        .is_ok_and(|own| own.ip().to_canonical() == address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::tree::Memory;

    #[test]
    fn only_this_hosts_addresses_and_names_are_its_own() {
        let files = Memory::default().file(
            "/etc/hosts",
            "127.0.1.1 own.example.test own # not.example.test\n192.0.2.9 other.example.test\n",
        );
        let files = files.file("/proc/sys/kernel/hostname", "web1\n");
        let ours = |url: &str| is_of_this_host(&Url::parse(url).unwrap(), &files, ["shop.example.test"]);
        for url in [
            "http://localhost/",
            "http://127.9.8.7/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://a.localhost/",
            "http://OWN.example.test/",
            "http://own/",
            "http://web1/",
            "http://web1.example.org/",
            "http://Shop.example.test:8080/up",
        ] {
            assert!(ours(url), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "http://192.0.2.9/",
            "http://8.8.8.8/",
            "http://[fd00::1]/",
            "http://[2001:db8::1]/",
            "http://[::ffff:192.0.2.9]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://255.255.255.255/",
            "http://224.0.0.1/",
            "http://other.example.test/",
            "http://not.example.test/",
            "http://example.org/",
            "http://web12/",
        ] {
            assert!(!ours(url), "{url}");
        }
    }

    /// Answers every connection with `raw` and keeps it open.
    fn server(raw: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1024]).unwrap();
                stream.write_all(raw.as_bytes()).unwrap();
                open.push(stream);
            }
        });
        url
    }

    #[test]
    fn of_an_answer_only_the_status_is_told_and_never_after_its_time() {
        for (raw, told) in [
            ("HTTP/1.1 404 s3cret\r\nX: s3cret\r\n\r\ns3cret", "answers with status 404 instead of 200"),
            ("s3cret\r\n\r\n", "is not a web server"),
            ("", "does not answer"),
        ] {
            let health = Health { url: server(raw), status: 200, timeout: 1 };
            let started = Instant::now();
            let why = healthy(&health, Duration::from_secs(1)).unwrap_err();
            // Far from both what it should take and what a question that is not cut off takes.
            assert!(started.elapsed() < Duration::from_secs(4), "{why}");
            assert!(why.contains(told) && !why.contains("s3cret"), "{why}");
        }
        let health = Health { url: server("HTTP/1.1 200 OK\r\n\r\nand on"), status: 200, timeout: 1 };
        assert_eq!(healthy(&health, Duration::from_secs(5)), Ok(()));
    }
}
