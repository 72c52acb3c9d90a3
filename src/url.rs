//! Addresses of plain HTTP, read and not asked: the parameters refuse what is none, and [`crate::facts`] asks the others.

use std::net::IpAddr;

/// An `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Host and port as written, for the `Host` header.
    pub(crate) host: String,
    /// Whom to ask.
    pub(crate) whom: Whom,
    /// The port, 80 where none is written.
    pub(crate) port: u16,
    /// Path and query, starting with `/`.
    pub(crate) path: String,
}

/// Whom an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// `localhost`.
    Loopback,
    /// A numeric address.
    Address(IpAddr),
    /// Any other name, lower case.
    Name(String),
}

/// Why a text is no address that may be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{url}` {why}; give an address such as http://localhost/ or http://127.0.0.1:8080/path")]
pub struct NotAUrl {
    /// The text.
    pub url: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Url {
    /// Reads an address: `http://localhost/server-status?auto`, `http://127.0.0.1:8080/`, `http://[::1]/`.
    ///
    /// # Errors
    /// For another scheme, a host that is neither a name nor a numeric address, a user name, a
    /// port that is no number, control characters.
    pub fn parse(url: &str) -> Result<Self, NotAUrl> {
        let wrong = |why| NotAUrl { url: url.to_owned(), why };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(wrong("holds blanks or control characters"));
        }
        let scheme = url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
        let rest =
            scheme.map(|scheme| &url[scheme.len()..]).ok_or_else(|| wrong("is not an http:// address"))?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        if host.contains('@') {
            return Err(wrong("holds a user name"));
        }
        let (name, port, bracketed) = if let Some(host) = host.strip_prefix('[') {
            let (name, port) = host.split_once(']').ok_or_else(|| wrong("has a bracket without an end"))?;
            (name, port, true)
        } else {
            let (name, port) = host.find(':').map_or((host, ""), |colon| host.split_at(colon));
            (name, port, false)
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| wrong("has no port from 1 to 65535"))?,
            None if port.is_empty() => 80,
            None => return Err(wrong("has something after its host")),
        };
        let whom = match name.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == bracketed => Whom::Address(address),
            Err(_) if !bracketed && is_name(name) => {
                let name = name.to_ascii_lowercase();
                if name == "localhost" { Whom::Loopback } else { Whom::Name(name) }
            }
            _ => return Err(wrong("has no host that is a name or a numeric address")),
        };
        Ok(Self { host: host.to_owned(), whom, port, path })
    }

    /// Returns path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether it stands for loopback addresses alone.
    pub fn is_loopback(&self) -> bool {
        match &self.whom {
            Whom::Loopback => true,
            Whom::Address(address) => address.to_canonical().is_loopback(),
            Whom::Name(_) => false,
        }
    }

    /// Returns the name, in lower case, where it is one other than `localhost`. It is asked on the loopback.
    pub fn name(&self) -> Option<&str> {
        if let Whom::Name(name) = &self.whom { Some(name) } else { None }
    }

    /// Returns the address, where it is numeric.
    pub fn address(&self) -> Option<IpAddr> {
        if let Whom::Address(address) = &self.whom { Some(*address) } else { None }
    }

    /// Returns the same address with `word` as its query, unless it has one.
    #[must_use]
    pub fn or_query(mut self, word: &str) -> Self {
        if !self.path.contains('?') {
            self.path = format!("{}?{word}", self.path);
        }
        self
    }
}

/// Tells whether a text is a host name: letters, digits, `-`, `_` and `.`, and not an address in disguise (`127.1`).
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..254).contains(&name.len())
        && name.bytes().all(fits)
        && name.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
        && !name.to_ascii_lowercase().starts_with("0x")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_plain_http_are_read() {
        for url in [
            "http://localhost",
            "http://LOCALHOST:8080/x?auto",
            "http://127.3.2.1/",
            "http://[::1]:81/a",
            "http://[::ffff:127.0.0.1]",
            "HTTP://localhost?x",
        ] {
            assert!(Url::parse(url).unwrap().is_loopback(), "{url}");
        }
        for (url, name, address) in [
            ("http://192.0.2.7/", None, Some("192.0.2.7")),
            ("http://WWW.example.test:8080", Some("www.example.test"), None),
            ("http://localhost.example.org/", Some("localhost.example.org"), None),
        ] {
            let read = Url::parse(url).unwrap();
            assert!(!read.is_loopback(), "{url}");
            assert_eq!(
                (read.name(), read.address()),
                (name, address.map(|text| text.parse().unwrap())),
                "{url}"
            );
        }
        for url in [
            "https://localhost/",
            "localhost",
            "http://user@localhost/",
            "http://u:p@localhost/",
            "http:///x",
            "http://localhost:99999/",
            "http://localhost:80:80/",
            "http://localhost:+80/",
            "http://localhost:/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://[127.0.0.1]/",
            "http://::1/",
            "http://a%00b/",
            "http://localhost:0/",
            "http://localhost:x/",
            "http://[::1/",
            "http://[::1]x/",
            "http://localhost/a b",
            "http://localhost/\r\nX: y",
            "",
            "http://",
        ] {
            assert!(Url::parse(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn a_query_is_added_only_where_none_is() {
        let path = |url: &str| Url::parse(url).unwrap().or_query("auto").path;
        assert_eq!(path("http://localhost/server-status"), "/server-status?auto");
        assert_eq!(path("http://localhost/server-status?auto&x#part"), "/server-status?auto&x");
        assert_eq!(path("http://localhost?q"), "/?q");
    }
}
