//! `cargo run --release -p bench --bin rules [--once]`: how long all rules take over one host with many virtual hosts.
//!
//! `--once` checks a single time, for counting instructions:
//! `valgrind --tool=callgrind --toggle-collect='apache_tuning::rules::check' target/release/rules --once`.

#![allow(clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;
use apache_tuning::capacity::MemoryNeed;
use apache_tuning::distro::LAYOUTS;
use apache_tuning::facts::Machine;
use apache_tuning::httpd::normalise::{Written, normalise};
use apache_tuning::httpd::read::{self, Start};
use apache_tuning::httpd::{Mpm, Version};
use apache_tuning::params::Params;
use apache_tuning::report::Need;
use apache_tuning::rules::{self, Context};
use apache_tuning::tree::Memory;

/// Virtual hosts of the host, each with lines of its own.
const VHOSTS: usize = 200;
const ROUNDS: u32 = 1000;

fn main() -> Result<()> {
    let once = std::env::args().any(|argument| argument == "--once");
    let mut text = "LoadModule mpm_event_module event.so\nMaxRequestWorkers 410\nKeepAlive On\n".to_owned();
    for number in 0..VHOSTS {
        let _ = writeln!(
            text,
            "<VirtualHost *:80>\nServerName {number}.example.org\nKeepAliveTimeout 5\nTimeout 60\n</VirtualHost>"
        );
    }
    let files = Memory::new().file("/etc/apache2/apache2.conf", &text).file("/etc/apache2/event.so", "");
    let version = Version::NEWEST_KNOWN;
    let configuration = read::read(
        &files,
        &Start {
            first: Vec::new(),
            then: Vec::new(),
            unknown: apache_tuning::httpd::start::Unknown::default(),
            binary: "/usr/sbin/apache2".into(),
            file: "/etc/apache2/apache2.conf".into(),
            server_root: "/etc/apache2".into(),
            version,
            built_in: Vec::new(),
            defines: Vec::new(),
            environment: BTreeMap::new(),
            table: &apache_tuning::registry::TABLE,
        },
    );
    let params = Params::of_json(
        serde_json::from_str(
            r#"{"settings": {"max_request_workers": 410}, "keepalive": {"timeout": "5"}, "evasive": {"page_count": 5}}"#,
        )?,
        apache_tuning::registry::FEATURES,
    )?;
    let written = Written::from([("MaxRequestWorkers", "410".to_owned())]);
    let normal = normalise(Mpm::Event, version, &written);
    let (machine, memory) = (Machine::default(), MemoryNeed::default());
    let context = Context {
        params: &params,
        mpm: Mpm::Event,
        layout: &LAYOUTS[0],
        version,
        machine: &machine,
        host: rules::Host::default(),
        memory: &memory,
        evasive: None,
        written: &written,
        normal: &normal,
        before: &configuration,
        values_before: &[],
        moved: &[],
        after: &configuration,
        startup: None,
        files: &Memory::new(),
        now: None,
        running: None,
        need: Need::None,
        changes: &[],
        blocked: false,
        audit: true,
    };
    let rounds = if once { 1 } else { ROUNDS };
    let start = Instant::now();
    let mut findings = 0;
    for _ in 0..rounds {
        findings = black_box(rules::check(black_box(&context))).len();
    }
    println!(
        "{} rules over a host with {VHOSTS} virtual hosts: {:.1} us, {findings} findings",
        rules::all().count(),
        start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds)
    );
    Ok(())
}
