//! The forms in which facts of hosts are kept, told apart by their content and never by their names.
//!
//! - A file of Ansible's `jsonfile` cache up to ansible-core 2.18: the facts are the object.
//! - The same since 2.19: `{"__payload__": "…"}`, the facts as JSON inside a JSON string, read twice; values that
//!   `set_fact` put there carry tags.
//! - What `ansible --tree` leaves: `{"ansible_facts": {…}, "changed": false}`.
//! - JSON lines `{"host": …, "ansible_facts": {…}}` or, for engines other than Ansible, `{"host": …, "facts": {…},
//!   "info": {…}}`.
//!
//! Everything here is pure: bytes in, one host's facts or why they cannot be read out.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::record::{Amount, Facts, HostFacts};
use crate::params::Facts as Overrides;

/// The largest record of one host that is read, in bytes. Real ones have 13 to 30 KB.
pub const LARGEST: usize = 16 << 20;

/// Why the facts of a host cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Damage {
    /// The byte at which reading ended, from 0, where there is one.
    pub byte: Option<u64>,
    /// What is wrong, and what to do.
    pub reason: String,
}

impl Damage {
    /// Damage that concerns the record as a whole.
    pub fn whole(reason: impl Into<String>) -> Self {
        Self { byte: None, reason: reason.into() }
    }

    fn at(byte: usize, reason: impl Into<String>) -> Self {
        Self { byte: Some(byte as u64), reason: reason.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            Some(byte) => write!(f, "byte {byte}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

/// Facts of one host, whatever kept them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Ansible's facts, `apache_tuning` among them.
    pub facts: Facts,
    /// Facts that are stated in place of the host's own.
    pub stated: Overrides,
}

/// One line of JSON lines.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
    ansible_facts: Option<Facts>,
    facts: Option<Overrides>,
    info: Option<HostFacts>,
}

/// What is there in one file of a cache.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    __payload__: Option<Cow<'a, str>>,
    ansible_facts: Option<Facts>,
}

/// Reads the facts of one host from a file of a cache.
///
/// # Errors
/// Says at which byte the file ends to be what it should be.
pub fn read_host_file(content: &[u8]) -> Result<Record, Damage> {
    let (text, start) = as_text(content)?;
    if text.trim_start().starts_with("{\"__payload__\"") {
        let outer: Outer<'_> = from_json(text, start, "the facts")?;
        let payload = outer.__payload__.unwrap_or_default();
        if payload.trim().is_empty() {
            return Err(Damage::whole("__payload__ is empty: the file was cut; gather the facts again"));
        }
        return facts_of(&payload, None).map(Record::of);
    }
    // What `--tree` leaves has the facts one level down; nothing else has a key of that name.
    if memchr::memmem::find(&text.as_bytes()[..text.len().min(LARGEST)], b"\"ansible_facts\"").is_some()
        && let Ok(Outer { ansible_facts: Some(facts), .. }) = from_json::<Outer<'_>>(text, start, "the facts")
    {
        return Ok(Record::of(facts));
    }
    facts_of(text, Some(start)).map(Record::of)
}

impl Record {
    fn of(facts: Facts) -> Self {
        Self { facts, stated: Overrides::default() }
    }
}

/// Reads one line of JSON lines: the host's name, and its facts.
///
/// # Errors
/// The damage, with the host's name where it could be read.
pub fn read_line(line: &[u8]) -> Result<(String, Record), (Option<String>, Damage)> {
    let (text, start) = as_text(line).map_err(|damage| (None, damage))?;
    let parsed = if has_tags(text) {
        untagged(text, Some(start)).and_then(|value| {
            // The name is never tagged itself; what is below it may be.
            let host = value.get("host").and_then(Value::as_str).unwrap_or_default().to_owned();
            let taken = |key: &str| value.get(key).cloned().filter(|value| !value.is_null());
            let part = |key: &str| taken(key).map(serde_json::from_value::<Facts>).transpose();
            let parts = || -> Result<_, serde_json::Error> {
                Ok((
                    part("ansible_facts")?,
                    taken("facts").map(serde_json::from_value::<Overrides>).transpose()?,
                    taken("info").map(serde_json::from_value::<HostFacts>).transpose()?,
                ))
            };
            let (ansible_facts, facts, info) = parts().map_err(|error| Damage::whole(error.to_string()))?;
            Ok(Line { host: Cow::Owned(host), ansible_facts, facts, info })
        })
    } else {
        from_json::<Line<'_>>(text, start, "the line")
    };
    let Line { host, ansible_facts, facts, info } = parsed.map_err(|damage| (named_in(text), damage))?;
    if host.is_empty() {
        return Err((None, Damage::whole("the line names no host: give `host` a name")));
    }
    let mut known = ansible_facts.unwrap_or_default();
    if info.is_some() {
        known.apache_tuning = info;
    }
    Ok((host.into_owned(), Record { facts: known, stated: facts.unwrap_or_default() }))
}

/// Finds the name in a line that is otherwise damaged, where the name comes first.
fn named_in(text: &str) -> Option<String> {
    let rest = text.trim_start().strip_prefix('{')?.trim_start().strip_prefix("\"host\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let mut names = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    names.next()?.ok().filter(|name| !name.is_empty())
}

/// Tells whether a file holds JSON lines: its first line is a whole object that names a host.
pub fn holds_lines(start: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Probe {
        host: Option<String>,
    }
    let start = start.strip_prefix(BYTE_ORDER_MARK).unwrap_or(start);
    let lines = start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let Some(first) = lines.into_iter().find(|line| !line.is_empty()) else { return false };
    if !first.starts_with(b"{") || first.starts_with(b"{\"__payload__\"") {
        return false;
    }
    match serde_json::from_slice::<Probe>(first) {
        Ok(probe) => probe.host.is_some(),
        // A line that is longer than what was looked at, or damaged behind its name.
        Err(_) => std::str::from_utf8(first.get(..first.len().min(8192)).unwrap_or(first))
            .ok()
            .and_then(named_in)
            .is_some(),
    }
}

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Returns a record's text and at which byte it begins, and tells what is no JSON at all by its first bytes.
fn as_text(content: &[u8]) -> Result<(&str, usize), Damage> {
    if content.trim_ascii().is_empty() {
        return Err(Damage::at(0, "it is empty; gather the facts again"));
    }
    if content.len() > LARGEST {
        return Err(Damage::at(LARGEST, format!("it is larger than {} MiB", LARGEST >> 20)));
    }
    match content {
        [0x1f, 0x8b, ..] => return Err(Damage::at(0, "it is compressed; unpack it with gunzip first")),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(Damage::at(0, "it is UTF-16; write it as UTF-8")),
        [0x80, ..] => {
            return Err(Damage::at(
                0,
                "it is a pickle, which runs code where it is read; use the jsonfile cache",
            ));
        }
        _ => {}
    }
    let start = if content.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let text = std::str::from_utf8(&content[start..])
        .map_err(|error| Damage::at(start + error.valid_up_to(), "it is not UTF-8 from here on"))?;
    let first = text.trim_start();
    match first.bytes().next() {
        Some(b'{') => Ok((text, start)),
        Some(b'[') => Err(Damage::at(start, "it is a list where an object is due")),
        Some(_) if looks_like_yaml(first) => Err(Damage::at(
            start,
            "it is YAML; use the jsonfile cache, or convert it: python3 -c 'import sys, json, yaml; \
             json.dump(yaml.safe_load(sys.stdin), sys.stdout)'",
        )),
        _ => Err(Damage::at(start, "it is not JSON")),
    }
}

fn looks_like_yaml(text: &str) -> bool {
    text.starts_with("---")
        || text.lines().next().is_some_and(|line| {
            line.split_once(':').is_some_and(|(key, rest)| {
                !key.is_empty()
                    && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                    && (rest.is_empty() || rest.starts_with(' '))
            })
        })
}

/// Reads JSON into its type; `start` is where the text begins in its file.
fn from_json<'a, T: Deserialize<'a>>(text: &'a str, start: usize, what: &str) -> Result<T, Damage> {
    serde_json::from_str(text).map_err(|error| damage(text, start, &error, what))
}

/// Turns serde's line and column into a byte.
fn damage(text: &str, start: usize, error: &serde_json::Error, what: &str) -> Damage {
    let before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let byte = (start + before + error.column().saturating_sub(1)).min(start + text.len());
    let words = error.to_string();
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
    if error.is_eof() {
        return Damage::at(
            start + text.len(),
            format!("{what} end in the middle ({words}); gather them again"),
        );
    }
    Damage::at(byte, words)
}

/// Reads facts, tagged or not. Inside a payload there is no byte of the file to name.
fn facts_of(text: &str, start: Option<usize>) -> Result<Facts, Damage> {
    if !has_tags(text) {
        return match start {
            Some(start) => from_json(text, start, "the facts"),
            None => serde_json::from_str(text).map_err(|error| in_payload(text, &error)),
        };
    }
    let value = untagged(text, start)?;
    serde_json::from_value(value).map_err(|error| Damage::whole(error.to_string()))
}

fn in_payload(text: &str, error: &serde_json::Error) -> Damage {
    let inner = damage(text, 0, error, "the facts");
    Damage::whole(format!("byte {} of __payload__: {}", inner.byte.unwrap_or(0), inner.reason))
}

/// The key by which ansible-core marks a value that carries tags.
const TAG: &str = "__ansible_type";

fn has_tags(text: &str) -> bool {
    memchr::memmem::find(text.as_bytes(), TAG.as_bytes()).is_some()
}

/// Reads JSON and takes the tags off at every depth.
fn untagged(text: &str, start: Option<usize>) -> Result<Value, Damage> {
    let value: Value = match start {
        Some(start) => from_json(text, start, "the facts")?,
        None => serde_json::from_str(text).map_err(|error| in_payload(text, &error))?,
    };
    take_tags_off(value)
}

/// Takes the tags off a value. serde refuses what is nested deeper than 128, so this ends.
fn take_tags_off(value: Value) -> Result<Value, Damage> {
    Ok(match value {
        Value::Array(items) => Value::Array(items.into_iter().map(take_tags_off).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            if let Some(kind) = map.get(TAG).and_then(Value::as_str).map(str::to_owned) {
                bare(map, &kind)?
            } else {
                let bare = |(key, value)| Ok((key, take_tags_off(value)?));
                Value::Object(map.into_iter().map(bare).collect::<Result<_, Damage>>()?)
            }
        }
        other => other,
    })
}

/// Returns the value inside a tagged one.
fn bare(mut map: Map<String, Value>, kind: &str) -> Result<Value, Damage> {
    match kind {
        "_AnsibleTaggedStr"
        | "_AnsibleTaggedInt"
        | "_AnsibleTaggedFloat"
        | "_AnsibleTaggedList"
        | "_AnsibleTaggedDict"
        | "_AnsibleTaggedDate"
        | "_AnsibleTaggedDateTime"
        | "_AnsibleTaggedTime"
        | "_AnsibleTaggedTuple"
        | "_AnsibleTaggedSet" => match map.remove("value") {
            Some(value) => take_tags_off(value),
            None => Err(Damage::whole(format!("a value of type {kind} has no `value`"))),
        },
        // Dates, sets and the like have their own form; no plan asks for one.
        _ => {
            map.remove(TAG);
            Ok(map.remove("value").map_or(Value::Null, |value| take_tags_off(value).unwrap_or(Value::Null)))
        }
    }
}

impl Record {
    /// Returns when the facts were collected, where they say so.
    pub fn collected(&self) -> Option<u64> {
        self.facts.apache_tuning.as_ref()?.collected.as_ref().and_then(Amount::known)
    }
}
