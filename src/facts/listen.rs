//! Where a server that listens as `Listen` says is reached from its own host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

/// How long looking up the name of a `Listen NAME:80` may take.
const LOOK_UP: Duration = Duration::from_secs(2);

/// Where one value of `Listen` is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Address(SocketAddr),
    Name(String, u16),
}

/// Reads a value of `Listen`: `80`, `192.0.2.1:80`, `[::]:443 https`, `localhost:8080`.
fn place(value: &str) -> Option<Place> {
    let text = value.split_whitespace().next()?;
    let (host, port) = text.rsplit_once(':').unwrap_or(("*", text));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let at = |address| Some(Place::Address(SocketAddr::new(address, port)));
    if host == "*" {
        return at(Ipv4Addr::LOCALHOST.into());
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match bare.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => at(Ipv4Addr::LOCALHOST.into()),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => at(Ipv6Addr::LOCALHOST.into()),
        Ok(address) => at(address),
        Err(_) if bare.eq_ignore_ascii_case("localhost") => at(Ipv4Addr::LOCALHOST.into()),
        Err(_) => Some(Place::Name(host.to_owned(), port)),
    }
}

/// Tells whether one of these values of `Listen` makes a socket that takes IPv4 as well as IPv6 clients: without an address
/// httpd listens so.
pub fn is_dual(values: &[String]) -> bool {
    values.iter().filter_map(|value| value.split_whitespace().next()).any(|text| {
        let host = text.rsplit_once(':').map_or("*", |(host, _)| host);
        host == "*" || host == "[::]"
    })
}

/// Returns where a server with these values of `Listen` is reached on its host, in their order. Names are looked up,
/// all of them together for two seconds at most; one that is not found by then is left out.
pub fn reached_at(values: &[String]) -> Vec<SocketAddr> {
    let (mut places, mut names) = (Vec::new(), Vec::new());
    for place in values.iter().filter_map(|value| place(value)) {
        match place {
            Place::Address(address) => places.push(address),
            Place::Name(name, port) => names.push((name, port)),
        }
    }
    if !names.is_empty() {
        let (found, look_up) = mpsc::channel();
        // A resolver that does not answer keeps the thread; it ends with the process.
        std::thread::spawn(move || {
            let look_up = |(name, port): (String, u16)| (name.as_str(), port).to_socket_addrs().ok();
            let _ = found.send(names.into_iter().filter_map(look_up).flatten().collect::<Vec<_>>());
        });
        places.extend(look_up.recv_timeout(LOOK_UP).unwrap_or_default());
    }
    places
}

/// Returns the first address at which a server with these values of `Listen` can be asked for plain HTTP from its own
/// host without leaving the loopback; nothing is looked up.
pub fn plain_loopback(values: &[String]) -> Option<SocketAddr> {
    values.iter().find_map(|value| match place(value)? {
        Place::Address(address) if address.ip().is_loopback() && address.port() != 443 => Some(address),
        _ => None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_listen_is_reached_on_this_host() {
        for (text, address) in [
            ("80", Some("127.0.0.1:80")),
            ("443 https", Some("127.0.0.1:443")),
            ("*:8080", Some("127.0.0.1:8080")),
            ("0.0.0.0:80", Some("127.0.0.1:80")),
            ("[::]:80", Some("[::1]:80")),
            ("[2001:db8::1]:80", Some("[2001:db8::1]:80")),
            ("192.0.2.7:81 http", Some("192.0.2.7:81")),
            ("localhost:82", Some("127.0.0.1:82")),
            ("", None),
            ("0", None),
            ("70000", None),
            ("x", None),
        ] {
            let wanted: Vec<SocketAddr> =
                address.map(|address| address.parse().unwrap()).into_iter().collect();
            assert_eq!(reached_at(&[text.to_owned()]), wanted, "{text}");
        }
        assert_eq!(place("web.example.test:80"), Some(Place::Name("web.example.test".to_owned(), 80)));
    }

    #[test]
    fn a_status_page_is_asked_where_plain_http_is_on_the_loopback() {
        let plain = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            plain_loopback(&values).map(|address| address.to_string())
        };
        assert_eq!(plain(&["443", "192.0.2.1:80", "[::]:81", "82"]).as_deref(), Some("[::1]:81"));
        assert_eq!(plain(&["127.0.0.2:8080"]).as_deref(), Some("127.0.0.2:8080"));
        assert_eq!(plain(&["[::1]:443", "web.example.test:80"]), None);
    }
}
