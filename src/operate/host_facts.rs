//! The inputs of a plan, as `tuning_info` leaves them in Ansible's fact cache for the preview of a fleet.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::evaluate::Host;
use crate::distro::{ModuleSwitch, Site};
use crate::facts::Measured;
use crate::facts::host_facts::{
    Amount, EffectiveFact, EvasiveFacts, HostFacts, LimitFact, MAJOR, ManagedFact, MpmFacts, OverriddenFact,
};
use crate::feature::Looks;
use crate::features::evasive::{Build, Generation};
use crate::params::Php;
use crate::plan::originals::{Originals, fingerprint};
use crate::report::InfoReport;
use crate::state_dir::STATE_DIR;
use crate::stored::to_hex;
use crate::tree::{Files, Kind, Node};

/// Puts together what a plan of this host depends on, out of what was reported of it.
pub(super) fn host_facts(
    files: &dyn Files,
    host: &Host,
    looks: &Looks,
    report: &InfoReport,
    measured: Option<&Measured>,
    now: u64,
) -> HostFacts {
    let mut modules = report.modules.clone();
    modules.sort_unstable();
    modules.dedup();
    let php_fpm = installed_php_fpm(files, host);
    let known = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut facts = HostFacts {
        version: Some(format!("{MAJOR}.0")),
        distribution: known(&host.site.distribution),
        distribution_version: known(&host.site.distribution_version),
        httpd_version: report.httpd_version.clone(),
        mpm: MpmFacts { configured: report.mpm.configured, running: report.mpm.running },
        evasive: looks.get::<Build>().map(|build| EvasiveFacts {
            symbol: build.symbol.clone(),
            fork: build.generation == Generation::Two,
            status: build.status_directive.map(str::to_owned),
        }),
        effective: report
            .effective
            .iter()
            .map(|(name, entry)| {
                let fact = EffectiveFact {
                    value: entry.value.clone(),
                    used: entry.used.clone(),
                    file: entry.file.clone(),
                    line: entry.line,
                };
                (name.clone(), fact)
            })
            .collect(),
        limits: report
            .limits
            .iter()
            .map(|(name, limit)| {
                let value = limit.value.map(Amount::Known);
                (name.clone(), LimitFact { value, source: limit.source.clone() })
            })
            .collect(),
        php: Some(how_php_runs(&modules, &php_fpm)),
        php_fpm: Some(php_fpm),
        overridden: report.overridden.iter().map(without_names).collect(),
        running: Some(host.running.is_some()),
        managed: managed(files, &host.site),
        modules: Some(modules),
        ..HostFacts::default()
    };
    // What is measured differs from one look to the next and is asked for by few plans: no part of the key.
    let text = serde_json::to_vec(&facts).unwrap_or_default();
    facts.plan_key = Some(to_hex(&Sha256::digest(&text)[..16]));
    facts.per_worker_kib = measured.map(|measured| Amount::Known(measured.per_worker.0.div_ceil(1024)));
    facts.collected = Some(Amount::Known(now));
    facts
}

/// A line that wins, without what would name a virtual host.
fn without_names(line: &crate::report::Overridden) -> OverriddenFact {
    let is_main = line.scope == "main";
    OverriddenFact {
        setting: line.setting.clone(),
        effective: line.effective.clone(),
        file: if is_main { line.file.clone() } else { String::new() },
        line: if is_main { line.line } else { 0 },
        scope: if is_main { "main" } else { "virtual host" }.to_owned(),
    }
}

/// The versions whose php-fpm is installed together with httpd's snippet for it; elsewhere than on Debian, the names of
/// the programs.
fn installed_php_fpm(files: &dyn Files, host: &Host) -> Vec<String> {
    let programs = files.list(Path::new("/usr/sbin")).unwrap_or_default();
    let versions = programs.iter().filter_map(|name| name.to_str()?.strip_prefix("php-fpm"));
    let mut found: Vec<String> = match host.site.layout.modules {
        ModuleSwitch::LinkFarm => versions
            .filter(|version| {
                files.is_file(&host.site.path(&format!("conf-available/php{version}-fpm.conf")))
            })
            .map(str::to_owned)
            .collect(),
        _ => versions.map(str::to_owned).collect(),
    };
    found.sort_unstable();
    found
}

fn how_php_runs(modules: &[String], php_fpm: &[String]) -> Php {
    if modules.iter().any(|module| module.starts_with("php")) {
        Php::ModPhp
    } else if !php_fpm.is_empty() && modules.iter().any(|module| module == "proxy_fcgi_module") {
        Php::Fpm
    } else {
        Php::None
    }
}

/// The files in which this tool manages something, and whether each is as it was left. Without the right to read that
/// memory there is none.
fn managed(files: &dyn Files, site: &Site) -> Vec<ManagedFact> {
    let Ok(originals) = Originals::read(files, site) else { return Vec::new() };
    let files_of = originals.iter().filter(|(path, _)| !path.starts_with(STATE_DIR));
    files_of
        .filter_map(|(path, original)| {
            // A link is what it points at: the file itself is managed under its own path.
            if !matches!(files.link_kind(path), Ok(Kind::File)) {
                return None;
            }
            let text = files.read(path).ok()?;
            Some(ManagedFact {
                path: path.to_string_lossy().into_owned(),
                sha256: managed_fingerprint(&text),
                as_left: fingerprint(&Node::File(text)) == original.ours,
            })
        })
        .collect()
}

/// Returns the SHA-256 of the lines between this tool's markers, markers included: what a plan is compared by without
/// knowing the rest of the file.
pub fn managed_fingerprint(text: &[u8]) -> String {
    let mut digest = Sha256::new();
    let mut inside = false;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        inside |= line.starts_with(b"# BEGIN apache-tuning ");
        if inside {
            digest.update(line);
        }
        inside &= !line.starts_with(b"# END apache-tuning ");
    }
    to_hex(&digest.finalize())
}
