//! Shared caches: made after the test, and a server that cannot make one ends.

use std::path::Path;

use super::super::{Check, Reporter, Rule, View};
use super::{Gate, is_open};
use crate::httpd::read::Scope;
use crate::httpd::read::startup::Line;
use crate::tree::Kind;

/// The bytes that the provider takes: from this on, and less than [`END`].
///
/// Source: `modules/cache/mod_socache_shmcb.c`, `socache_shmcb_create`.
const LEAST: i64 = 8192;
const END: i64 = 4_294_967_295;

/// Splits `provider:argument`.
fn provider(line: &Line) -> (String, &str) {
    let (provider, argument) = line.first().split_once(':').unwrap_or((line.first(), ""));
    (provider.to_ascii_lowercase(), argument)
}

pub(crate) static GATE_008: Rule = Rule {
    id: "GATE-008",
    setting: "CacheSocache",
    summary: "the size of a shared cache in memory that httpd refuses at its start",
    source: "httpd 2.4 modules/cache/mod_socache_shmcb.c, socache_shmcb_create; AH02392, seen on 2.4.71",
    example: "CacheSocache shmcb:/run/apache2/cache(4096)",
    instead: "CacheSocache shmcb:/run/apache2/cache(512000)",
    after_change: true,
    check: Check::View(size_of_shared_cache),
    ..Rule::NEW
};

fn size_of_shared_cache(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    for line in gate.startup().of("CacheSocache") {
        let (provider, argument) = provider(line);
        let Some(why) = wrong_size(argument).filter(|_| provider == "shmcb" && !is_open(argument)) else {
            continue;
        };
        gate.tell(
            out,
            line,
            Some("AH02392"),
            |place| format!("CacheSocache {} ({place}) {why}", line.first()),
            "give a size from 8192 to 4294967294 bytes, digits alone, such as (512000)",
        );
    }
}

/// Returns what is wrong with the size at the end of `path(size)`.
fn wrong_size(argument: &str) -> Option<&'static str> {
    let Some((_, size)) = argument.rsplit_once('(') else {
        return argument.ends_with(')').then_some("has no opening parenthesis");
    };
    let Some(digits) = size.strip_suffix(')') else { return Some("has no closing parenthesis") };
    match digits.trim_start().parse::<i64>() {
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => Some("is too large"),
        Err(_) => Some("has a size that is no number of bytes"),
        Ok(size) if size < LEAST => Some("is smaller than 8192 bytes"),
        Ok(size) if size >= END => Some("is too large"),
        Ok(_) => None,
    }
}

pub(crate) static GATE_009: Rule = Rule {
    id: "GATE-009",
    setting: "CacheSocache",
    summary: "a shared cache of memcached or Redis without a server",
    source: "httpd 2.4 modules/cache/mod_socache_memcache.c, mod_socache_redis.c; AH02392, seen on 2.4.71",
    example: "CacheSocache memcache",
    instead: "CacheSocache memcache:127.0.0.1:11211",
    after_change: true,
    check: Check::View(cache_without_server),
    ..Rule::NEW
};

fn cache_without_server(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    for line in gate.startup().of("CacheSocache") {
        let (provider, argument) = provider(line);
        if ["memcache", "redis"].contains(&provider.as_str()) && argument.is_empty() {
            let port = if provider == "redis" { 6379 } else { 11211 };
            gate.tell(
                out,
                line,
                Some("AH02392"),
                |place| format!("CacheSocache {} ({place}) names no server", line.first()),
                &format!("name the servers: {provider}:127.0.0.1:{port}"),
            );
        }
    }
}

pub(crate) static GATE_012: Rule = Rule {
    id: "GATE-012",
    setting: "SSLSessionCache",
    summary: "a shared cache in a file whose directory is not there",
    source: "httpd 2.4 modules/cache/mod_socache_dbm.c, socache_dbm_init; AH00804, AH01874, AH02393, seen on 2.4.71",
    example: "SSLSessionCache dbm:/no/such/directory/cache",
    instead: "SSLSessionCache shmcb:/run/apache2/ssl_scache(512000)",
    after_change: true,
    check: Check::View(cache_without_directory),
    ..Rule::NEW
};

fn cache_without_directory(view: &View<'_>, out: &mut Reporter<'_>) {
    let Some(mut gate) = Gate::of(view) else { return };
    for directive in ["CacheSocache", "SSLSessionCache", "SSLStaplingCache"] {
        let startup = gate.startup();
        for line in startup.of(directive).filter(|line| line.scope != Scope::Section) {
            let (provider, argument) = provider(line);
            let path = Path::new(argument);
            // The start script or systemd makes directories in there.
            let made = ["/run", "/var/run"].iter().any(|dir| path.starts_with(dir));
            if provider != "dbm" || !path.is_absolute() || made || is_open(argument) {
                continue;
            }
            let missing =
                path.parent().is_some_and(|dir| matches!(gate.start.files.kind(dir), Ok(Kind::Absent)));
            if missing {
                gate.tell(
                    out,
                    line,
                    Some("AH00804"),
                    |place| format!("the directory of {directive} {} ({place}) is not there", line.first()),
                    "make the directory, or use shmcb, which is in memory",
                );
            }
        }
    }
}
