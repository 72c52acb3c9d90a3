//! `apache-tuning size`: sizes for a load and why, without a host.

use std::ffi::OsStr;

use lexopt::prelude::*;

use super::screen::Screen;
use super::{Failure, Outcome};
use crate::capacity::{self, Demand, MemoryNeed, Server};
use crate::facts::{Known, Machine};
use crate::httpd::{Mpm, Version};
use crate::units::Bytes;
use crate::{ansible, params};

/// Runs the command.
pub(super) fn run(mut parser: lexopt::Parser) -> Result<Outcome, Failure> {
    let (mut connections, mut active, mut burst) = (None, None, None);
    let (mut mpm, mut as_json) = (Mpm::Event, false);
    let mut asked = params::Memory::default();
    let mut machine = Machine::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("connections") => connections = Some(parser.value()?.parse()?),
            Long("active") => active = Some(parser.value()?.parse()?),
            Long("burst") => burst = Some(parser.value()?.parse()?),
            Long("mpm") => {
                let name = parser.value()?.to_string_lossy().into_owned();
                mpm = Mpm::of_name(&name).ok_or_else(|| {
                    Failure::Usage(format!("there is no MPM `{name}`; it is event, worker or prefork"))
                })?;
            }
            Long("memory") => {
                machine.memory = Some(told_known("memory", amount("memory", &parser.value()?)?));
            }
            Long("cpus") => machine.cpus = Some(told_known("cpus", parser.value()?.parse()?)),
            Long("per-worker") => {
                let value = parser.value()?;
                amount("per-worker", &value)?;
                asked.per_worker = Some(value.to_string_lossy().into_owned());
            }
            Long("reserve") => {
                let value = parser.value()?;
                amount("reserve", &value)?;
                asked.reserve = Some(value.to_string_lossy().into_owned());
            }
            Long("json") => as_json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let connections: u64 = connections
        .ok_or_else(|| Failure::Usage("--connections is missing: how many at once?".to_owned()))?;
    if connections == 0 || active.is_some_and(|active: u64| active == 0 || active > connections) {
        return Err(Failure::Usage("--connections is at least 1, --active between 1 and that".to_owned()));
    }
    if burst == Some(0) {
        return Err(Failure::Usage("--burst is at least 1".to_owned()));
    }
    let memory = MemoryNeed::new(Some(&asked), None).unwrap_or_default();
    let server = Server::new(mpm, Version::NEWEST_KNOWN);
    match capacity::size(Demand { connections, active, burst }, server, &machine, &memory) {
        Ok(proposal) => {
            let text = if as_json {
                format!("{}\n", ansible::json(&proposal))
            } else {
                Screen::stdout().folded(&capacity::text(&proposal))
            };
            // A burst that was asked for and does not fit is a no.
            Ok(Outcome { text, code: u8::from(proposal.refuses_burst()) })
        }
        Err(refusal) => {
            let text = if as_json {
                ansible::json(&*refusal)
            } else {
                Screen::stdout().folded(&capacity::refusal_text(&refusal))
            };
            Ok(Outcome { text: format!("{}\n", text.trim_end()), code: 1 })
        }
    }
}

/// Returns an amount of memory of the command line.
fn amount(option: &str, value: &OsStr) -> Result<Bytes, Failure> {
    let text = value.to_string_lossy();
    Bytes::parse(&text)
        .filter(|bytes| bytes.0 > 0)
        .ok_or_else(|| Failure::Usage(format!("--{option} takes an amount such as 10M or 8G, not `{text}`")))
}

/// Returns a value as told by an option.
fn told_known<T>(option: &str, value: T) -> Known<T> {
    Known { value, source: format!("--{option}") }
}
