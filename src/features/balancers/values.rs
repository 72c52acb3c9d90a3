//! Which values httpd takes as they are meant: what is written to a line or a section is one word there.

use super::reports::{BAL_004, BAL_019};
use super::{Balancer, LONGEST_ROUTE, members, route, url};
use crate::report::Finding;

/// Tells whether a text is the plain name of a balancer, a route or a cookie.
fn is_name(text: &str) -> bool {
    (1..=LONGEST_ROUTE).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Tells whether a text is a path, without anything that a section's argument would read as more.
fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains("//")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_.-~".contains(&byte))
}

/// Tells whether a text is the address of a backend: `http://10.0.0.11:8080`, with a path or without.
fn is_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return false;
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = match authority.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => {
            ("x", port.strip_prefix(':').or(port.is_empty().then_some("80")))
        }
        Some(_) => return false,
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("80")),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    !host.is_empty()
        && host.bytes().all(plain)
        && port.is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
        && (path.is_empty() || is_path(path))
}

/// Returns a duration in milliseconds: `500ms`, `2s`, `2`.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let scale = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "min" => 60_000,
        _ => return None,
    };
    number.checked_mul(scale).filter(|all| (1..=86_400_000).contains(all))
}

/// Returns the regular expression of the answers that are right: `2xx,3xx` gives `^(2..|3..)$`.
pub(super) fn expected(text: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim) {
        let bytes = part.as_bytes();
        let class = bytes.len() == 3 && part.ends_with("xx") && (b'1'..=b'5').contains(&bytes[0]);
        let code =
            bytes.len() == 3 && (b'1'..=b'5').contains(&bytes[0]) && bytes.iter().all(u8::is_ascii_digit);
        match (class, code) {
            (true, _) => parts.push(format!("{}..", &part[..1])),
            (_, true) => parts.push(part.to_owned()),
            _ => return None,
        }
    }
    Some(format!("^({})$", parts.join("|")))
}

/// Says that a value is none that httpd takes.
pub(super) fn refusal(index: usize, key: &str, value: &str, why: &str, hint: &str) -> Finding {
    let setting = format!("balancers[{index}].{key}");
    BAL_019.finding((&setting, value), format!("{setting} {value:?} {why}"), hint.to_owned())
}

/// Says which values are none that httpd takes.
pub(super) fn judge_values(asked: &Balancer, index: usize, findings: &mut Vec<Finding>) {
    let mut refuse = |key: &str, value: &str, why: &str, hint: &str| {
        findings.push(refusal(index, key, value, why, hint));
    };
    let name = asked.name.as_deref().unwrap_or_default();
    if !is_name(name) {
        refuse("name", name, "is no name of letters, digits, - and _", "write one such as app");
    }
    if members(asked).next().is_none() {
        refuse("members", "", "is empty", "name the backends");
    }
    let mut routes = Vec::new();
    for (number, member) in members(asked).enumerate() {
        let key = format!("members[{number}].url");
        if !is_address(url(member)) {
            refuse(
                &key,
                url(member),
                "is no address of a backend",
                "write one such as http://10.0.0.11:8080",
            );
        }
        if members(asked).take(number).any(|other| url(other) == url(member)) {
            refuse(
                &key,
                url(member),
                "is there twice: parameters of both would be those of one",
                "name it once",
            );
        }
        let route = route(number, member);
        if !is_name(&route) || routes.contains(&route) {
            let key = format!("members[{number}].route");
            refuse(&key, &route, "is no name of its own of letters, digits, - and _", "write one such as m1");
        }
        routes.push(route);
    }
    let method = asked.method.as_deref().unwrap_or("byrequests");
    if !["byrequests", "bytraffic", "bybusyness"].contains(&method) {
        refuse("method", method, "is not byrequests, bytraffic or bybusyness", "write byrequests");
    }
    if let Some(cookie) =
        asked.sticky.as_ref().and_then(|sticky| sticky.cookie.as_deref()).filter(|name| !is_name(name))
    {
        refuse(
            "sticky.cookie",
            cookie,
            "is no name of letters, digits, - and _",
            "write one such as ROUTEID",
        );
    }
    let durations = [
        ("pool.acquire", asked.pool.as_ref().and_then(|pool| pool.acquire.as_deref())),
        ("connect_timeout", asked.connect_timeout.as_deref()),
    ];
    for (key, text) in durations {
        if let Some(text) = text.filter(|text| milliseconds(text).is_none()) {
            refuse(key, text, "is no duration", "write one such as 500ms or 2s");
        }
    }
    for code in asked.fail_on_status.iter().flatten() {
        if code.len() != 3 || !code.parse::<u16>().is_ok_and(|code| (100..=599).contains(&code)) {
            refuse("fail_on_status", code, "is no status of an answer", "write one such as 503");
        }
    }
    if let Some(health) = &asked.health {
        let method = health.method.as_deref().unwrap_or("GET");
        if !["GET", "HEAD", "OPTIONS", "TCP"].contains(&method) {
            refuse("health.method", method, "is not GET, HEAD, OPTIONS or TCP", "write GET");
        }
        let uri = health.uri.as_deref().unwrap_or("/health");
        if !is_path(uri) {
            refuse("health.uri", uri, "is no path", "write one such as /health");
        }
        let expect = health.expect.as_deref().unwrap_or("2xx,3xx");
        if expected(expect).is_none() {
            refuse("health.expect", expect, "is no list of answers", "write one such as 2xx,3xx or 200");
        }
    }
    for (number, map) in asked.map.iter().flatten().enumerate() {
        let path = map.path.as_deref().unwrap_or_default();
        if !is_path(path) {
            let key = format!("map[{number}].path");
            refuse(&key, path, "is no beginning of a path", "write one such as /app");
        }
    }
    for (number, member) in members(asked).enumerate() {
        if is_address(url(member)) && url(member).ends_with('/') {
            let setting = format!("balancers[{index}].members[{number}].url");
            findings.push(BAL_004.finding(
                (&setting, url(member)),
                format!("{setting} {:?} ends in a slash: a path behind it would begin with two", url(member)),
                "write it without",
            ));
        }
    }
}
