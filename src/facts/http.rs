//! Questions to a web server on this host: over plain HTTP, behind a PROXY line, or as the beginning of TLS, answered
//! within a time or not at all.
//!
//! No redirect is followed and no name is looked up: the only name that stands for an address is `localhost`, and any
//! other is asked on the loopback under its own `Host`. That keeps a status page or a health check from ever waiting
//! for a resolver. Whether an address is this host's is for the caller to judge ([`Url::name`], [`Url::address`]).

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::url::{NotAUrl, Url, Whom};

/// The most bytes of an answer that are read.
const MOST: usize = 1 << 20;

/// How a connection has to begin so that the server behind it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With the request.
    Plain,
    /// With a line of the PROXY protocol, as `RemoteIPProxyProtocol On` wants it.
    Proxy,
    /// With TLS.
    Tls,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, 200 to 999.
    pub status: u16,
    /// The content, at most 1 MiB of it.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The address is not one that may be asked.
    #[error(transparent)]
    Address(#[from] NotAUrl),
    /// Nobody listens, or the connection broke.
    #[error("asking http://{host}: {error}")]
    Broken {
        /// The host as written.
        host: String,
        /// What the system says.
        error: String,
    },
    /// No whole answer came in time.
    #[error("no answer from http://{host} within {} s", .timeout.as_secs_f32())]
    Late {
        /// The host as written.
        host: String,
        /// The time waited.
        timeout: Duration,
    },
    /// The connection was closed without a byte.
    #[error("http://{host} closed the connection without an answer")]
    Closed {
        /// The host as written.
        host: String,
    },
    /// What came is not HTTP.
    #[error("what answered at http://{host} is not a web server")]
    NotHttp {
        /// The host as written.
        host: String,
    },
}

impl Url {
    /// Asks once and waits at most `timeout` for the whole answer.
    ///
    /// # Errors
    /// [`Silence`], whatever the reason.
    pub fn get(&self, timeout: Duration) -> Result<Answer, Silence> {
        self.ask(timeout, complete)
    }

    /// Asks once and waits at most `timeout` for the status of the answer; its content is not waited for.
    ///
    /// # Errors
    /// [`Silence`], whatever the reason.
    pub fn status(&self, timeout: Duration) -> Result<u16, Silence> {
        self.ask(timeout, |answer| last_head(answer).is_some()).map(|answer| answer.status)
    }

    /// Asks until `enough` of the answer is there. A server that closes the connection at once is asked a second time
    /// as a balancer would ask it: with a PROXY line before the request.
    fn ask(&self, timeout: Duration, enough: fn(&[u8]) -> bool) -> Result<Answer, Silence> {
        let host = || self.host.clone();
        let end = Instant::now() + timeout;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: apache-tuning\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.path, self.host
        );
        let addresses: Vec<IpAddr> = match &self.whom {
            Whom::Loopback | Whom::Name(_) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Whom::Address(address) => vec![*address],
        };
        let mut failed = None;
        for address in addresses.into_iter().map(|address| SocketAddr::new(address, self.port)) {
            for way in [Way::Plain, Way::Proxy] {
                match exchange(address, way, request.as_bytes(), end, enough) {
                    Ok(answer) if answer.is_empty() => {}
                    Ok(answer) => return parse(&answer).ok_or_else(|| Silence::NotHttp { host: host() }),
                    Err(error) if is_late(&error) => return Err(Silence::Late { host: host(), timeout }),
                    // Cut off without an answer, as opposed to nobody listening.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                    Err(error) => {
                        failed = Some(Silence::Broken { host: host(), error: error.to_string() });
                        break;
                    }
                }
                failed = Some(Silence::Closed { host: host() });
            }
            if matches!(failed, Some(Silence::Closed { .. })) {
                break;
            }
        }
        Err(failed.unwrap_or_else(|| Silence::Closed { host: host() }))
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Asks a server whether it serves at all and returns the beginning of what it says: no byte where it closes the
/// connection silently.
///
/// # Errors
/// Those of connecting, asking and waiting; [`io::ErrorKind::TimedOut`] and [`io::ErrorKind::WouldBlock`] where it is
/// silent for `timeout`.
pub fn speaks(address: SocketAddr, way: Way, timeout: Duration) -> io::Result<Vec<u8>> {
    let request: &[u8] = if way == Way::Tls { CLIENT_HELLO } else { b"OPTIONS * HTTP/1.0\r\n\r\n" };
    match exchange(address, way, request, Instant::now() + timeout, |answer| !answer.is_empty()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Vec::new()),
        answer => answer,
    }
}

/// Connects, sends a request and reads until `enough` is there, the connection ends, or the time is over.
fn exchange(
    address: SocketAddr,
    way: Way,
    request: &[u8],
    end: Instant,
    enough: fn(&[u8]) -> bool,
) -> io::Result<Vec<u8>> {
    let left = || {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(left) }
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    let mut sent = Vec::new();
    if way == Way::Proxy {
        let (from, to) = (stream.local_addr()?, stream.peer_addr()?);
        let family = if from.is_ipv6() { "TCP6" } else { "TCP4" };
        sent.extend(
            format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port()).bytes(),
        );
    }
    sent.extend(request);
    stream.set_write_timeout(Some(left()?))?;
    // What is closed at once may already have answered.
    let written = stream.write_all(&sent);
    let mut answer = Vec::new();
    let mut block = [0; 16 * 1024];
    while answer.len() < MOST && !enough(&answer) {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut block) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&block[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Data that the server did not read makes the kernel reset the connection after the answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !answer.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    if answer.is_empty() {
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ok(()),
            _ => Err(error),
        })?;
    }
    Ok(answer)
}

/// The first message of TLS 1.2 and 1.3: a server that speaks TLS answers with its own or with an alert.
///
/// Source: RFC 5246 7.4.1.2, RFC 8422 5.1.
const CLIENT_HELLO: &[u8] = &[
    0x16, 3, 1, 0, 91, // a handshake record of 91 bytes
    1, 0, 0, 87, // a ClientHello of 87 bytes
    3, 3, // TLS 1.2
    // The random bytes need not be random: no connection comes of it.
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
    29, 30, 31, 0, // no session
    0, 16, // eight cipher suites
    0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8, 0, 0x9c, 0, 0x2f, //
    1, 0, // no compression
    0, 30, // extensions
    0, 10, 0, 6, 0, 4, 0, 29, 0, 23, // groups: x25519, secp256r1
    0, 11, 0, 2, 1, 0, // points: uncompressed
    0, 13, 0, 10, 0, 8, 4, 3, 8, 4, 4, 1, 2, 1, // signatures
];

/// Returns the head of the final answer and what follows it; heads of the 100 kind come before it and are passed over.
fn last_head(mut answer: &[u8]) -> Option<(&[u8], &[u8])> {
    loop {
        let (head, rest) = split(answer)?;
        // 101 is the last one: what follows is another protocol.
        match status_of(head) {
            Some(status) if (100..200).contains(&status) && status != 101 => answer = rest,
            _ => return Some((head, rest)),
        }
    }
}

/// Returns the status that a head states.
fn status_of(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let mut words = line.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok().filter(|status| (100..1000).contains(status))
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
    last_head(answer).is_some_and(|(head, body)| {
        header(head, "Content-Length")
            .and_then(|length| length.parse().ok())
            .is_some_and(|length: usize| body.len() >= length)
    })
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let (head, body) = last_head(answer)?;
    let status = status_of(head)?;
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
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
                204,
                "",
            ),
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
            "HTTP/1.1 100 Continue\r\n\r\n",
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

    /// Answers each connection that begins with `wanted` with the pieces, some milliseconds between them, and closes
    /// every other silently.
    fn in_pieces(wanted: &'static str, pieces: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap();
                if !request[..length].starts_with(wanted.as_bytes()) {
                    continue;
                }
                for piece in pieces {
                    stream.write_all(piece.as_bytes()).unwrap();
                    thread::sleep(Duration::from_millis(30));
                }
            }
        });
        url
    }

    #[test]
    fn a_status_line_may_come_in_pieces_and_after_others() {
        let status = |url: String| Url::parse(&url).unwrap().status(Duration::from_secs(5));
        assert_eq!(status(in_pieces("GET ", &["HTTP/1.1 2", "00 OK\r\n", "\r\n"])), Ok(200));
        let continued = &["HTTP/1.1 100 Continue\r\n\r", "\nHTTP/1.1 503", " No\r\n\r\n"];
        assert_eq!(status(in_pieces("GET ", continued)), Ok(503));
        let garbled = status(in_pieces("GET ", &["SSH-2.0", "-x\r\n\r\n"]));
        assert!(matches!(garbled, Err(Silence::NotHttp { .. })), "{garbled:?}");
    }

    #[test]
    fn what_waits_for_a_balancer_is_asked_as_one_asks() {
        let url = in_pieces("PROXY TCP4 127.0.0.1 127.0.0.1 ", &["HTTP/1.1 200 OK\r\n\r\n"]);
        let url = Url::parse(&url).unwrap();
        assert_eq!(url.status(Duration::from_secs(5)), Ok(200));
        let address = SocketAddr::new(url.address().unwrap(), url.port);
        let speaks = |way| speaks(address, way, Duration::from_secs(5)).unwrap().is_empty();
        assert_eq!((speaks(Way::Plain), speaks(Way::Proxy), speaks(Way::Tls)), (true, false, true));
        let nobody = in_pieces("nothing begins like this", &[]);
        let closed = Url::parse(&nobody).unwrap().status(Duration::from_secs(5));
        assert!(matches!(closed, Err(Silence::Closed { .. })), "{closed:?}");
    }

    #[test]
    fn the_first_message_of_tls_has_the_lengths_it_states() {
        let number = |at: usize| usize::from(CLIENT_HELLO[at]) << 8 | usize::from(CLIENT_HELLO[at + 1]);
        assert_eq!((number(3), number(7)), (CLIENT_HELLO.len() - 5, CLIENT_HELLO.len() - 9));
        let ciphers = number(44);
        assert_eq!(number(46 + ciphers + 2), CLIENT_HELLO.len() - (46 + ciphers + 4));
    }
}
