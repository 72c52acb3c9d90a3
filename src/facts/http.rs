//! A question to a web server on this host: one GET over plain HTTP, answered within a time or not at all.
//!
//! No redirect is followed, no name is looked up: the only name known is `localhost`. That keeps a status page or a
//! health check from ever leaving the host or waiting for a resolver.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The most bytes of an answer that are read.
const MOST: usize = 1 << 20;

/// An `http://` address of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The host as written, for the `Host` header.
    host: String,
    /// Where to connect, in the order tried.
    addresses: Vec<SocketAddr>,
    /// Path and query, starting with `/`.
    path: String,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 100 to 999.
    pub status: u16,
    /// The content, at most 1 MiB of it.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The address is not one that may be asked.
    #[error("`{url}` {why}; give http://localhost or a numeric address of this host")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody listens, or the connection broke.
    #[error("asking http://{host}: {error}")]
    Broken {
        /// The host as written.
        host: String,
        /// What the system says.
        error: String,
    },
    /// No whole answer came in time.
    #[error("no answer from http://{host} within {} s", .timeout.as_secs())]
    Late {
        /// The host as written.
        host: String,
        /// The time waited.
        timeout: Duration,
    },
    /// What came is not HTTP.
    #[error("what answered at http://{host} is not a web server")]
    NotHttp {
        /// The host as written.
        host: String,
    },
}

impl Url {
    /// Reads an address: `http://localhost/server-status?auto`, `http://127.0.0.1:8080/`, `http://[::1]/`.
    ///
    /// # Errors
    /// [`Silence::Address`] for another scheme, a name other than `localhost`, user names, control characters.
    pub fn parse(url: &str) -> Result<Self, Silence> {
        let wrong = |why| Silence::Address { url: url.to_owned(), why };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(wrong("holds blanks or control characters"));
        }
        let rest = url.strip_prefix("http://").ok_or_else(|| wrong("is not an http:// address"))?;
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (name, port) = match host.strip_prefix('[') {
            Some(host) => host.split_once(']').ok_or_else(|| wrong("has a bracket without an end"))?,
            None => host.find(':').map_or((host, ""), |colon| host.split_at(colon)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| wrong("has no port that is a number"))?,
            None if port.is_empty() => 80,
            None => return Err(wrong("has something after its host")),
        };
        let addresses: Vec<IpAddr> = if name.eq_ignore_ascii_case("localhost") {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        } else {
            vec![name.parse().map_err(|_| wrong("names a host that would have to be looked up"))?]
        };
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
        Ok(Self { host: host.to_owned(), addresses, path })
    }

    /// Returns path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether every address it stands for is a loopback address.
    pub fn is_loopback(&self) -> bool {
        self.addresses.iter().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// Returns the same address with `word` as its query, unless it has one.
    #[must_use]
    pub fn or_query(mut self, word: &str) -> Self {
        if !self.path.contains('?') {
            self.path = format!("{}?{word}", self.path);
        }
        self
    }

    /// Asks once and waits at most `timeout` for the whole answer.
    ///
    /// # Errors
    /// [`Silence`], whatever the reason.
    pub fn get(&self, timeout: Duration) -> Result<Answer, Silence> {
        let late = || Silence::Late { host: self.host.clone(), timeout };
        let broken = |error: &std::io::Error| match error.kind() {
            std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => late(),
            _ => Silence::Broken { host: self.host.clone(), error: error.to_string() },
        };
        let end = Instant::now() + timeout;
        let left = || Some(end.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
        let mut connected = Err(late());
        for address in &self.addresses {
            connected =
                TcpStream::connect_timeout(address, left().ok_or_else(late)?).map_err(|error| broken(&error));
            if connected.is_ok() {
                break;
            }
        }
        let mut stream = connected?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: apache-tuning\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path, self.host
        );
        stream.set_write_timeout(left()).map_err(|error| broken(&error))?;
        stream.write_all(request.as_bytes()).map_err(|error| broken(&error))?;
        let mut answer = Vec::new();
        let mut block = [0; 16 * 1024];
        while answer.len() < MOST {
            stream.set_read_timeout(Some(left().ok_or_else(late)?)).map_err(|error| broken(&error))?;
            match stream.read(&mut block) {
                Ok(0) => break,
                Ok(count) => answer.extend_from_slice(&block[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(&error)),
            }
            if complete(&answer) {
                break;
            }
        }
        parse(&answer).ok_or_else(|| Silence::NotHttp { host: self.host.clone() })
    }
}

/// Splits an answer into its head and what follows.
fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some((&answer[..end], &answer[end + 4..]))
}

/// Returns the value of a header, its name in any case.
fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (key, value) = std::str::from_utf8(line).ok()?.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Tells whether an answer that states its length is there as a whole.
fn complete(answer: &[u8]) -> bool {
    split(answer).is_some_and(|(head, body)| {
        header(head, "Content-Length")
            .and_then(|length| length.parse().ok())
            .is_some_and(|length: usize| body.len() >= length)
    })
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let (head, body) = split(answer)?;
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    let status = words.next()?.parse().ok().filter(|status| (100..1000).contains(status))?;
    let chunked =
        header(head, "Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length = header(head, "Content-Length").and_then(|length| length.parse().ok()).unwrap_or(usize::MAX);
    let body = if chunked { unchunk(body) } else { body[..body.len().min(length)].to_owned() };
    Some(Answer { status, body })
}

/// Joins the chunks of a body; one that is cut off or garbled gives what came before.
fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap_or("").split(';').next().unwrap_or("").trim();
        let Ok(size) = usize::from_str_radix(size, 16) else { break };
        let rest = &body[end + 2..];
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&rest[..rest.len().min(size)]);
        body = rest.get(size.saturating_add(2)..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn only_this_hosts_plain_addresses_are_read() {
        for url in [
            "http://localhost",
            "http://LOCALHOST:8080/x?auto",
            "http://127.3.2.1/",
            "http://[::1]:81/a",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(Url::parse(url).unwrap().is_loopback(), "{url}");
        }
        assert!(!Url::parse("http://192.0.2.7/").unwrap().is_loopback());
        for url in [
            "https://localhost/",
            "localhost",
            "http://example.org/",
            "http://user@localhost/",
            "http://localhost:0/",
            "http://localhost:x/",
            "http://[::1/",
            "http://[::1]x/",
            "http://localhost/a b",
            "http://localhost/\r\nX: y",
            "",
            "http://",
        ] {
            assert!(matches!(Url::parse(url), Err(Silence::Address { .. })), "{url:?}");
        }
    }

    #[test]
    fn a_query_is_added_only_where_none_is() {
        let path = |url: &str| Url::parse(url).unwrap().or_query("auto").path;
        assert_eq!(path("http://localhost/server-status"), "/server-status?auto");
        assert_eq!(path("http://localhost/server-status?auto&x#part"), "/server-status?auto&x");
        assert_eq!(path("http://localhost?q"), "/?q");
    }

    #[test]
    fn an_answer_is_read_by_length_by_chunks_or_to_its_end() {
        for (raw, status, body) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcdef", 200, "abc"),
            (
                "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                503,
                "abcde",
            ),
            ("HTTP/1.0 404\r\n\r\nto the end", 404, "to the end"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\ncut", 200, "cut"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ngarbled", 200, ""),
        ] {
            let want = Answer { status, body: body.as_bytes().to_vec() };
            assert_eq!(parse(raw.as_bytes()), Some(want), "{raw:?}");
        }
        for raw in [
            "",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 20000\r\n\r\n",
            "HTTP/1.1 200 OK\r\n",
        ] {
            assert_eq!(parse(raw.as_bytes()), None, "{raw:?}");
        }
    }

    /// Answers one connection with `raw`, then stays silent with it open for `open`.
    fn server(raw: &'static str, open: Duration) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(raw.as_bytes()).unwrap();
            thread::sleep(open);
        });
        url
    }

    #[test]
    fn a_server_that_does_not_finish_is_given_up_in_time() {
        let get = |url: String, millis| Url::parse(&url).unwrap().get(Duration::from_millis(millis));
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let answer = get(server(whole, Duration::from_secs(3)), 2500).unwrap();
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (200, &b"ok"[..]),
            "not waiting for the end of the connection"
        );
        let started = Instant::now();
        let late = get(server("HTTP/1.1 200 OK\r\n", Duration::from_secs(5)), 300);
        assert!(matches!(late, Err(Silence::Late { .. })), "{late:?}");
        assert!(started.elapsed() < Duration::from_secs(2));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(get(url, 300), Err(Silence::Broken { .. })));
    }
}
