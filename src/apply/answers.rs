//! Whether a server serves: it is asked the way it listens, and judged by what the same question got before.
//!
//! Plain HTTP is not all that httpd listens for. Behind a balancer it may want a PROXY line first, on another port TLS,
//! and a module may turn away whatever is not a client of its own. So the question is put in each way until one gets
//! an answer, and a server that gave none before a change is not called broken for giving none after it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::facts::http::{self, Way};

/// What a server did when it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answers {
    /// It answered a question put in this way.
    By(Way),
    /// It took the connection and said nothing.
    Accepts(String),
    /// It took no connection.
    Not(String),
}

/// Asks at each address, first in the way that got an answer before, until one answers; `within` a time for all.
pub(super) fn ask(addresses: &[SocketAddr], first: Option<Way>, within: Duration) -> Answers {
    let end = Instant::now() + within;
    let mut answers = Answers::Not("it listens at no address that is known".to_owned());
    for &address in addresses {
        let others = [Way::Plain, Way::Proxy, Way::Tls].into_iter().filter(|way| Some(*way) != first);
        for way in first.into_iter().chain(others) {
            let why = match http::speaks(address, way, end.saturating_duration_since(Instant::now())) {
                Ok(said) if !said.is_empty() => return Answers::By(way),
                Ok(_) => format!("{address} closed the connection without an answer"),
                Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
                    answers = Answers::Accepts(format!("{address} does not answer"));
                    // Busy or hung: another way of asking would only wait as long again.
                    break;
                }
                Err(error) => {
                    if !matches!(answers, Answers::Accepts(_)) {
                        answers = Answers::Not(format!("{address} does not answer: {error}"));
                    }
                    break;
                }
            };
            answers = Answers::Accepts(why);
        }
    }
    answers
}

impl Answers {
    /// Returns the way of asking that got an answer.
    pub(super) fn way(&self) -> Option<Way> {
        if let Self::By(way) = self { Some(*way) } else { None }
    }

    /// Tells whether a server that did this serves as well as one that did `before`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn judged_by(self, before: &Self) -> Result<(), String> {
        match (self, before) {
            (Self::By(_), _)
            | (Self::Accepts(_), Self::Accepts(_) | Self::Not(_))
            | (Self::Not(_), Self::Not(_)) => Ok(()),
            (Self::Accepts(why) | Self::Not(why), _) => Err(why),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers connections that begin with `wanted`, closes the others.
    fn server(wanted: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                if asked[..length].starts_with(wanted) {
                    stream.write_all(b"anything").unwrap();
                }
            }
        });
        address
    }

    #[test]
    fn a_server_is_asked_in_the_way_that_it_understands() {
        let within = Duration::from_secs(10);
        for (wanted, way) in
            [(&b"OPTIONS *"[..], Way::Plain), (&b"PROXY TCP4 "[..], Way::Proxy), (&b"\x16\x03"[..], Way::Tls)]
        {
            let address = server(wanted);
            assert_eq!(ask(&[address], None, within), Answers::By(way));
            assert_eq!(ask(&[address], Some(way), within), Answers::By(way));
            assert_eq!(ask(&[address], Some(Way::Tls), within), Answers::By(way));
        }
        let mute = server(b"nothing begins like this");
        assert!(matches!(ask(&[mute], None, within), Answers::Accepts(_)));
        assert_eq!(ask(&[mute, server(b"OPTIONS")], None, within), Answers::By(Way::Plain));
        let nobody = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        assert!(matches!(ask(&[nobody], None, within), Answers::Not(_)));
        assert!(matches!(ask(&[mute, nobody], None, within), Answers::Accepts(_)));
        assert!(matches!(ask(&[], None, within), Answers::Not(_)));
    }

    #[test]
    fn a_server_is_judged_by_what_it_did_before() {
        let (by, accepts, not) =
            (Answers::By(Way::Proxy), Answers::Accepts("mute".to_owned()), Answers::Not("dead".to_owned()));
        for (now, before, good) in [
            (&by, &by, true),
            (&by, &not, true),
            (&accepts, &by, false),
            (&accepts, &accepts, true),
            (&accepts, &not, true),
            (&not, &by, false),
            (&not, &accepts, false),
            (&not, &not, true),
        ] {
            assert_eq!(now.clone().judged_by(before).is_ok(), good, "{now:?} after {before:?}");
        }
    }
}
