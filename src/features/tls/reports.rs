//! What is said of TLS lines that stand on a host, whoever wrote them.

use super::{MODULE_ID, NAME};
use crate::facts::certificate::{self, Certificate};
use crate::httpd::directives::Group;
use crate::httpd::numbers;
use crate::httpd::read::startup::Line;
use crate::report::Severity;
use crate::rules::{Check, Reporter, Rule, View};

/// Entries that a cache of sessions in shared memory holds, for each thousand bytes of it.
///
/// Source: `modules/cache/mod_socache_shmcb.c`; seen as 2,816 in 512,000 bytes and 55,552 in 10,000,000.
const ENTRIES_PER_KILOBYTE: u64 = 5;

/// How long before its end a certificate is spoken of, in seconds.
const SOON: u64 = 14 * 86_400;

fn is_on(line: &Line) -> bool {
    line.first().eq_ignore_ascii_case("on")
}

/// Tells whether any server speaks TLS.
fn serves_tls(view: &View<'_>) -> bool {
    view.has(MODULE_ID) && view.served("SSLEngine").any(is_on)
}

/// Returns the line that decides a directive for a server: its own last one, else the main server's.
fn deciding<'a>(view: &View<'a>, directive: &'static str, server: Option<u32>) -> Option<&'a Line> {
    let last = |wanted: Option<u32>| view.served(directive).filter(|line| line.server == wanted).last();
    server.and_then(|_| last(server)).or_else(|| last(None))
}

/// Returns the certificates that servers with TLS present, with the line that names each.
fn certificates<'v, 'a>(view: &'v View<'a>) -> impl Iterator<Item = (&'a Line, Certificate)> + 'v {
    let speaks = |line: &&Line| deciding(view, "SSLEngine", line.server).is_some_and(is_on);
    let read = |line: &'a Line| {
        let text = view.files.read(&view.context.startup?.path(line.first())).ok()?;
        Some((line, certificate::read(&text)?))
    };
    view.served("SSLCertificateFile").filter(speaks).filter_map(read)
}

pub(crate) static TLS_006: Rule = Rule {
    id: "TLS-006",
    severity: Severity::Error,
    setting: "SSLUseStapling",
    summary: "stapling for a certificate that names nobody to ask; nothing is sent along, an error at each start",
    source: "httpd 2.4 modules/ssl/ssl_util_stapling.c; AH02218, AH02604",
    check: Check::View(nobody_to_ask),
    ..Rule::NEW
};

fn nobody_to_ask(view: &View<'_>, out: &mut Reporter<'_>) {
    for (line, _) in certificates(view).filter(|(_, certificate)| !certificate.has_responder) {
        if let Some(on) = deciding(view, "SSLUseStapling", line.server).filter(|line| is_on(line)) {
            out.of(view, NAME, "SSLUseStapling").value("On").code("AH02604").emit(
                format!(
                    "SSLUseStapling On at {}: the certificate at {} names nobody who answers for it",
                    view.place(on),
                    view.place(line)
                ),
                "write SSLUseStapling Off; certificates of Let's Encrypt have no such address since May 2025",
            );
        }
    }
}

pub(crate) static TLS_007: Rule = Rule {
    id: "TLS-007",
    severity: Severity::Warning,
    setting: "SSLStaplingResponderTimeout",
    summary: "a responder that hangs keeps the first client of each certificate waiting so long",
    source: "httpd 2.4 modules/ssl/ssl_util_stapling.c; default 10",
    check: Check::View(waits_for_responder),
    example: "SSLStaplingResponderTimeout 10",
    instead: "SSLStaplingResponderTimeout 2",
    ..Rule::NEW
};

fn waits_for_responder(view: &View<'_>, out: &mut Reporter<'_>) {
    let line = view.line("SSLStaplingResponderTimeout");
    let seconds = view.standing("SSLStaplingResponderTimeout").map_or(10, |text| numbers::atoi(text).value);
    if seconds > 3 && serves_tls(view) && view.served("SSLUseStapling").any(is_on) {
        out.of(view, NAME, "SSLStaplingResponderTimeout").value(seconds).emit(
            format!(
                "SSLStaplingResponderTimeout{} is {seconds} s: a responder that hangs keeps a client waiting so long",
                view.at(line)
            ),
            "write SSLStaplingResponderTimeout 2, and SSLStaplingFakeTryLater Off",
        );
    }
}

/// Returns whether clients keep their sessions themselves, and the bytes of the server's cache of them; `None` for a
/// cache of another kind.
fn sessions(view: &View<'_>) -> (bool, Option<u64>) {
    let tickets = !view.standing("SSLSessionTickets").is_some_and(|word| word.eq_ignore_ascii_case("off"));
    let cache = view.standing("SSLSessionCache").unwrap_or("none");
    if cache.eq_ignore_ascii_case("none") {
        return (tickets, Some(0));
    }
    let size = cache.strip_prefix("shmcb:").map(|rest| {
        let size = rest.rsplit_once('(').and_then(|(_, size)| size.strip_suffix(')')?.parse().ok());
        // httpd's own where none is written.
        size.unwrap_or(512 * 1024)
    });
    (tickets, size)
}

pub(crate) static TLS_008: Rule = Rule {
    id: "TLS-008",
    severity: Severity::Warning,
    setting: "SSLSessionCache",
    summary: "without tickets the cache holds fewer sessions than there are clients; the others shake hands anew",
    source: "httpd 2.4 modules/cache/mod_socache_shmcb.c; a TLS 1.3 handshake stores two",
    check: Check::View(sessions_do_not_fit),
    ..Rule::NEW
};

fn sessions_do_not_fit(view: &View<'_>, out: &mut Reporter<'_>) {
    let (tickets, Some(size)) = sessions(view) else { return };
    if tickets || !serves_tls(view) {
        return;
    }
    let holds = size / 1000 * ENTRIES_PER_KILOBYTE + size / 2000;
    let clients = view.params.capacity.as_ref().map(|load| load.connections);
    let message = match clients {
        _ if size == 0 => {
            "no client resumes a session: SSLSessionTickets is off and there is no cache".to_owned()
        }
        Some(clients) if holds < clients.saturating_mul(2) => format!(
            "SSLSessionCache{} holds about {holds} sessions, and {clients} clients store two each",
            view.at(view.line("SSLSessionCache"))
        ),
        _ => return,
    };
    out.of(view, NAME, "SSLSessionCache").value(size).emit(
        message,
        "set tls.tickets: true on a machine that shares no address with others, else tls.session_cache: auto",
    );
}

pub(crate) static TLS_009: Rule = Rule {
    id: "TLS-009",
    severity: Severity::Info,
    setting: "SSLSessionCache",
    summary: "a cache beside tickets, which resume sessions without one",
    source: "httpd 2.4 modules/ssl/ssl_engine_init.c; seen with TLS 1.2 and 1.3",
    check: Check::View(cache_beside_tickets),
    ..Rule::NEW
};

fn cache_beside_tickets(view: &View<'_>, out: &mut Reporter<'_>) {
    let (tickets, size) = sessions(view);
    if tickets && size != Some(0) && serves_tls(view) && view.remarks(Group(NAME)) {
        out.of(view, NAME, "SSLSessionCache").emit(
            format!(
                "SSLSessionCache{} is beside tickets, by which sessions are resumed without it",
                view.at(view.line("SSLSessionCache"))
            ),
            "leave it: it is small, and serves clients without tickets",
        );
    }
}

pub(crate) static TLS_010: Rule = Rule {
    id: "TLS-010",
    severity: Severity::Warning,
    setting: "SSLCertificateFile",
    summary: "the certificate ends within two weeks, or has ended",
    source: "RFC 5280, 4.1.2.5",
    check: Check::View(ends_soon),
    ..Rule::NEW
};

fn ends_soon(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(now) = view.now else { return };
    for (line, certificate) in certificates(view) {
        let left = certificate.not_after.saturating_sub(now);
        if left < SOON {
            let when = match left / 86_400 {
                _ if left == 0 => "has ended".to_owned(),
                1 => "ends in 1 day".to_owned(),
                days => format!("ends in {days} days"),
            };
            out.of(view, NAME, "SSLCertificateFile").value(line.first()).emit(
                format!("the certificate {} ({}) {when}", line.first(), view.place(line)),
                "see why it was not renewed",
            );
        }
    }
}

pub(crate) static TLS_011: Rule = Rule {
    id: "TLS-011",
    severity: Severity::Warning,
    setting: "SSLProtocol",
    summary: "versions before TLS 1.2 are allowed",
    source: "RFC 8996",
    check: Check::View(old_versions),
    example: "SSLProtocol all -SSLv3",
    instead: "SSLProtocol -all +TLSv1.2 +TLSv1.3",
    ..Rule::NEW
};

/// Returns the versions before TLS 1.2 that the words of `SSLProtocol` allow.
///
/// Source: `ssl_cmd_protocol_parse` of `modules/ssl/ssl_engine_config.c`.
fn allowed(words: &[String]) -> Vec<&'static str> {
    const OLD: [&str; 3] = ["SSLv3", "TLSv1", "TLSv1.1"];
    let mut allowed = [false; 3];
    for word in words.iter().flat_map(|word| word.split_ascii_whitespace()) {
        let (sign, name) = match word.as_bytes().first() {
            Some(sign @ (b'+' | b'-')) => (*sign, &word[1..]),
            _ => (b'=', word),
        };
        let hit =
            |at: usize| OLD[at].eq_ignore_ascii_case(name) || (name.eq_ignore_ascii_case("all") && at > 0);
        for (at, old) in allowed.iter_mut().enumerate() {
            match sign {
                b'-' => *old &= !hit(at) && !(name.eq_ignore_ascii_case("all")),
                b'+' => *old |= hit(at),
                _ => *old = hit(at),
            }
        }
    }
    OLD.into_iter().zip(allowed).filter_map(|(name, on)| on.then_some(name)).collect()
}

fn old_versions(view: &View<'_>, out: &mut Reporter<'_>) {
    if !view.has(MODULE_ID) {
        return;
    }
    let mut told: Vec<Option<&Line>> = Vec::new();
    for engine in view.served("SSLEngine").filter(|line| is_on(line)) {
        let line = deciding(view, "SSLProtocol", engine.server);
        if told.iter().any(|other| other.map(std::ptr::from_ref) == line.map(std::ptr::from_ref)) {
            continue;
        }
        told.push(line);
        // httpd's own.
        let usual = ["all".to_owned(), "-SSLv3".to_owned()];
        let versions = allowed(line.map_or(&usual[..], |line| &line.words));
        if !versions.is_empty() {
            let place =
                line.map_or_else(|| "is not set".to_owned(), |line| format!("at {}", view.place(line)));
            out.of(view, NAME, "SSLProtocol").value(versions.join(" ")).emit(
                format!("SSLProtocol {place}: {} allowed", versions.join(", ")),
                "set tls.protocols: \"1.2\"",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_allowed_as_the_words_add_and_take() {
        for (text, want) in [
            ("all -SSLv3", &["TLSv1", "TLSv1.1"][..]),
            ("all -SSLv3 -TLSv1 -TLSv1.1", &[]),
            ("-all +TLSv1.2 +TLSv1.3", &[]),
            ("TLSv1.2", &[]),
            ("all", &["TLSv1", "TLSv1.1"]),
            ("TLSv1 TLSv1.2", &[]),
            ("+SSLv3", &["SSLv3"]),
            ("all -all +TLSv1.1", &["TLSv1.1"]),
        ] {
            let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
            assert_eq!(allowed(&words), want, "{text}");
        }
    }
}
