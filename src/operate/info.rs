//! `tuning_info`: everything that can be said of a host without changing it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::activation::{not_taken_up, pending};
use super::evaluate::{Host, entries, in_force, log_dir_at};
use super::host_facts::host_facts;
use super::{conclude, httpd, overridden, recovery, said};
use crate::capacity::{self, Demand, MemoryNeed, Server};
use crate::clock;
use crate::facts::disk::{Disk, under};
use crate::facts::{Measured, gather, listen, process, status};
use crate::feature::{Looks, Place};
use crate::httpd::Mpm;
use crate::httpd::binary;
use crate::httpd::directives::Group;
use crate::httpd::effective::{self, Value};
use crate::httpd::normalise::normalise_with_buckets;
use crate::httpd::read::startup::{self, Startup};
use crate::params::{InfoParams, Params};
use crate::plan;
use crate::preview;
use crate::registry::FEATURES;
use crate::report::{
    AnsibleFacts, Finding, InfoLimit, InfoMemory, InfoReport, InfoStart, Need, Overridden, PendingActivation,
    Recommendation, Severity, crowds,
};
use crate::rules;
use crate::tree::{Files, resolve};
use crate::units::Bytes;

/// How long mod_status may take to answer.
const STATUS_TIMEOUT: Duration = Duration::from_secs(3);

/// Looks at a host and reports. Reads only.
pub fn info(params: &InfoParams) -> InfoReport {
    let root = Path::new(&params.root);
    let disk = Disk::new(root);
    let of_machine = params.root == "/";
    let host = match Host::look(&disk, &params.facts, params.instance.as_deref(), of_machine, None) {
        Ok(host) => host,
        Err(stopped) => {
            return InfoReport {
                failed: true,
                msg: stopped.msg,
                findings: stopped.findings,
                ..InfoReport::default()
            };
        }
    };
    let values = host.values();
    let measured = host
        .running
        .as_ref()
        .and_then(|running| process::measure(&disk, running, number(values, "ThreadsPerChild")));
    let mut report = InfoReport {
        httpd_version: host.version.as_ref().map(|known| known.value.to_string()),
        start: Some(told_start(&host)),
        effective: entries(values),
        modules: host.configuration.modules.iter().map(|module| module.identifier.clone()).collect(),
        memory: measured.as_ref().map(memory),
        limits: limits(&host),
        overridden: overridden(&disk, &host),
        pending_activation: pending(&host, root),
        ..InfoReport::default()
    };
    report.mpm.configured = host.mpm();
    report.mpm.running = host.running.as_ref().and_then(|running| running.mpm);
    let place =
        Place { files: &disk, site: &host.site, configuration: &host.configuration, start: &host.start };
    let looks = Looks::new(FEATURES, &place);
    let startup = startup::read(&disk, &host.start);
    judge(&disk, params, &host, (&looks, &startup), measured.as_ref(), &mut report);
    config_test(params, (&host, &startup), &mut report);
    crate::report::worst_first(&mut report.findings);
    if host.running.is_some() {
        fails_at_next_reload(&mut report);
    }
    if of_machine {
        ask_status(params, &host, &mut report);
    } else {
        report.status_reason = Some("another root directory serves nothing".to_owned());
    }
    report.log = log(&disk, root, &host);
    recommend(&host, measured.as_ref(), &mut report);
    report.warnings = conclude::warnings(&report.findings);
    report.msg = summary(&report);
    let facts = host_facts(&disk, &host, &looks, &report, measured.as_ref(), clock::now());
    report.ansible_facts = Some(AnsibleFacts { apache_tuning: facts });
    report
}

/// Tells how httpd is started.
fn told_start(host: &Host) -> InfoStart {
    let (launch, configuration) = (&host.launch, &host.configuration);
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let mut directives: Vec<String> = launch
        .first
        .iter()
        .chain(&launch.then)
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .collect();
    directives.extend(launch.modules.first().map(|_| "LoadModule".to_owned()));
    directives.sort_unstable();
    directives.dedup();
    InfoStart {
        by: if launch.by_parent { "parent" } else { "files" }.to_owned(),
        binary: text(&host.start.binary),
        main_file: text(&host.start.file),
        server_root: text(&host.start.server_root),
        defines: launch.defines.clone(),
        directives,
        variables: configuration.from_environment.iter().cloned().collect(),
        unknown: configuration.unknown.iter().cloned().collect(),
        unknown_options: launch.unknown_options,
        read_from: launch.read_from.iter().map(|path| text(path)).collect(),
    }
}

/// Returns the sentence that sums a host up.
fn summary(report: &InfoReport) -> String {
    let Some(mpm) = report.mpm.configured else {
        return "no single MPM is configured: httpd does not start like this".to_owned();
    };
    let errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let connections =
        report.capacity.connections.map_or_else(String::new, |most| format!(", at most {most} connections"));
    let test = &report.config_test;
    let found = match errors {
        0 if test.rehearsal.ran => {
            "no errors: httpd's own test passes and it serves in a rehearsal".to_owned()
        }
        0 if test.ran => "no errors: httpd's own test passes; it was not rehearsed".to_owned(),
        0 => "no errors in the configuration as it was read; httpd itself was not asked".to_owned(),
        1 => "1 error found".to_owned(),
        _ => format!("{errors} errors found"),
    };
    format!("{mpm}{connections}; {found}")
}

/// Lets the rules judge the host as it is, and works out what it carries.
fn judge(
    files: &dyn Files,
    params: &InfoParams,
    host: &Host,
    (looks, startup): (&Looks, &Startup),
    measured: Option<&Measured>,
    report: &mut InfoReport,
) {
    let values = host.values();
    let mpm = host.mpm().unwrap_or(Mpm::Event);
    let written = in_force(values);
    let buckets = effective::buckets(&host.configuration, host.cpus());
    let normal = normalise_with_buckets(mpm, host.version(), &written, buckets);
    let asked = Params::of_facts(params.facts.clone());
    let memory = memory_need(measured);
    let context = rules::Context {
        params: &asked,
        mpm,
        layout: host.site.layout,
        version: host.version(),
        machine: &host.machine,
        host: rules::Host {
            distribution: Some((&host.site.distribution, &host.site.distribution_version)),
            log_dir: host
                .values()
                .iter()
                .find(|value| value.directive == "DOSLogDir" && value.set_at.is_some())
                .and_then(|value| log_dir_at(files, &value.value, &host.site)),
            start_script_files: gather::start_script_files(files, &host.site),
            shell: &host.launch.constructs,
            ..rules::Host::default()
        },
        memory: &memory,
        evasive: looks.get(),
        written: &written,
        normal: &normal,
        before: &host.configuration,
        values_before: values,
        moved: &[],
        after: &host.configuration,
        startup: Some(startup),
        files,
        now: Some(clock::now()),
        running: host.running.as_ref(),
        need: Need::None,
        changes: &[],
        blocked: false,
        audit: true,
    };
    report.findings = rules::check(&context);
    if host.mpm().is_none() {
        // The sizes of an MPM that is only guessed are not judged.
        let is_size = |finding: &Finding| {
            let row = finding.setting.as_deref().and_then(|name| host.configuration.table.named(name));
            row.is_some_and(|row| row.group == Group::MPM)
        };
        report.findings.retain(|finding| !is_size(finding));
    }
    report.findings.extend(host.told());
    report.findings.extend(report.pending_activation.as_ref().map(not_taken_up));
    report.findings.extend(recovery::open(Path::new(&params.root)));
    if host.mpm().is_none() {
        return;
    }
    let server = Server::of(mpm, host.version(), &host.configuration);
    let load = measured.map(|seen| seen.connections);
    report.capacity = capacity::assess(&server, &normal, load, &host.machine, &memory);
}

/// Asks the real httpd about the files as they are, where that is wanted: its test, and then a rehearsal.
fn config_test(params: &InfoParams, (host, startup): (&Host, &Startup), report: &mut InfoReport) {
    if !params.config_test {
        let reason = || Some("config_test is false: no program was started".to_owned());
        report.config_test.reason = reason();
        report.config_test.rehearsal.reason = reason();
        return;
    }
    let httpd = httpd(host, &host.launch, Path::new(&params.root));
    let tested = preview::staged_test(&httpd, &[]);
    report.config_test = binary::report(&tested);
    match tested {
        Err(reason) => report.config_test.rehearsal.reason = Some(reason),
        Ok(tested) if !tested.ok => {
            let reason = "the configuration test failed".to_owned();
            report.config_test.rehearsal.reason = Some(reason);
            report.findings.push(rules::run::TST_002.finding(
                ("config_test", ""),
                format!("httpd refuses the configuration as it is: {}", said(&tested)),
                "fix that line",
            ));
        }
        Ok(_) => {
            let verdict = preview::rehearse(&httpd, &[], startup, "/");
            report.config_test.rehearsal = verdict.report;
            report.findings.extend(verdict.refusal);
        }
    }
}

/// Adds what ends the running server at its next reload to what it does not use yet.
fn fails_at_next_reload(report: &mut InfoReport) {
    let says = |finding: &&Finding| {
        rules::gate::is_about_next_reload(finding)
            || [&rules::run::TST_002, &rules::run::TST_006].iter().any(|rule| rule.id == finding.rule)
    };
    let reasons: Vec<String> = report
        .findings
        .iter()
        .filter(says)
        .map(|finding| format!("{}: {}", finding.rule, finding.message))
        .collect();
    if !reasons.is_empty() {
        let none = || PendingActivation { needed: Need::Restart, reasons: Vec::new() };
        report.pending_activation.get_or_insert_with(none).reasons.extend(reasons);
    }
}

/// Returns what the running server's processes need, as far as it was measured.
fn memory_need(measured: Option<&Measured>) -> MemoryNeed {
    let asked = crate::params::Memory { per_worker: Some("measured".to_owned()), reserve: None };
    measured.and_then(|seen| MemoryNeed::new(Some(&asked), Some(seen)).ok()).unwrap_or_default()
}

/// Proposes sizes where something speaks against those in force: for the connections that they are meant to hold, or
/// for twice as many where the error log says that all workers were busy; what does not fit, for as many as do.
fn recommend(host: &Host, measured: Option<&Measured>, report: &mut InfoReport) {
    let (Some(mpm), Some(held)) = (host.mpm(), report.capacity.connections) else { return };
    let wrong: Vec<&str> = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.rule.as_str())
        .collect();
    let exceeded = capacity::exceeded(&report.capacity).next();
    let reached = report.log.iter().find(|message| status::MRW_REACHED.contains(&message.code));
    let (connections, active, why) = match (reached, exceeded) {
        (Some(message), _) => {
            let active = report.capacity.workers.map(|workers| workers.saturating_mul(2));
            let why = format!(
                "the error log says that all workers were busy ({}, {} times): for twice as many",
                message.code, message.count
            );
            (held.saturating_mul(2), active.filter(|_| mpm == Mpm::Event), why)
        }
        (None, Some(bound)) => {
            (held, None, format!("the numbers in force need more {} than there is", bound.name))
        }
        (None, None) if !wrong.is_empty() => {
            (held, None, format!("the numbers in force are in error ({})", wrong.join(", ")))
        }
        (None, None) => return,
    };
    let (server, memory) = (Server::of(mpm, host.version(), &host.configuration), memory_need(measured));
    let size = |connections: u64| {
        let demand =
            Demand { connections, active: active.map(|active| active.min(connections)), burst: None };
        capacity::size(demand, server, &host.machine, &memory)
    };
    let proposal = match size(connections) {
        Err(refusal) if refusal.largest > 0 => size(refusal.largest),
        sized => sized,
    };
    let Ok(proposal) = proposal else { return };
    report.recommendation = Some(Recommendation {
        mpm: proposal.mpm,
        connections: proposal.connections,
        why,
        settings: proposal.settings.iter().map(|choice| (choice.setting, choice.value)).collect(),
    });
}

/// Returns the number that httpd uses for a directive.
fn number(values: &[Value], directive: &str) -> Option<u64> {
    values.iter().find(|value| value.directive == directive)?.used.parse().ok()
}

/// Returns the measured memory as the result has it.
fn memory(measured: &Measured) -> InfoMemory {
    InfoMemory {
        processes: measured.processes,
        rss_mb: measured.rss.mib(),
        pss_mb: measured.pss.mib(),
        per_process_mb: thousandths(measured.per_process),
        per_worker_mb: thousandths(measured.per_worker),
    }
}

/// Returns mebibytes with three decimals: a worker of event takes some ten kibibytes.
fn thousandths(bytes: Bytes) -> f64 {
    let thousandths = (bytes.0.saturating_mul(1000) + Bytes::MIB / 2) / Bytes::MIB;
    f64::from(u32::try_from(thousandths).unwrap_or(u32::MAX)) / 1000.0
}

/// Returns the limits that could be read.
fn limits(host: &Host) -> BTreeMap<String, InfoLimit> {
    let machine = &host.machine;
    let mut limits = BTreeMap::new();
    if let Some(memory) = &machine.memory {
        let limit = InfoLimit { value: Some(memory.value.mib()), source: memory.source.clone() };
        limits.insert("memory_mb".to_owned(), limit);
    }
    let numbers = [
        ("cpus", &machine.cpus),
        ("cpu_quota_thousandths", &machine.cpu_quota),
        ("open_files", &machine.open_files),
        ("tasks_max", &machine.tasks_max),
        ("threads_max", &machine.threads_max),
        ("pid_max", &machine.pid_max),
        ("somaxconn", &machine.somaxconn),
    ];
    for (name, known) in numbers {
        if let Some(known) = known {
            let value = (known.value != u64::MAX).then_some(known.value);
            limits.insert(name.to_owned(), InfoLimit { value, source: known.source.clone() });
        }
    }
    limits
}

/// Finds lines in the files that this tool writes which another line wins over.
fn overridden(files: &dyn Files, host: &Host) -> Vec<Overridden> {
    let Some(mpm) = host.mpm() else { return Vec::new() };
    let own = plan::own_files(&host.site, mpm, FEATURES);
    let wishes = overridden::wishes(files, &host.configuration, &own);
    let (mut list, _) = overridden::overridden(files, &host.configuration, &wishes, host.values());
    crowds::overridden(&mut list);
    list
}

/// Returns where mod_status answers: `asked`, else what the configuration tells.
///
/// # Errors
/// Why nothing answers, or that it is not known where.
pub(super) fn status_url(asked: Option<&str>, host: &Host) -> Result<String, String> {
    if let Some(url) = asked {
        return Ok(url.to_owned());
    }
    if host.running.is_none() {
        return Err("no server runs".to_owned());
    }
    if !host.configuration.has_module("status_module") {
        return Err("mod_status is not loaded".to_owned());
    }
    let address = listen::plain_loopback(&host.configuration.listen).ok_or_else(|| {
        "no plain HTTP Listen address can be reached on the loopback: set status_url".to_owned()
    })?;
    Ok(format!("http://{address}/server-status"))
}

/// Asks mod_status, where it is loaded and something listens.
fn ask_status(params: &InfoParams, host: &Host, report: &mut InfoReport) {
    let told = status_url(params.status_url.as_deref(), host)
        .and_then(|url| status::ask(&url, STATUS_TIMEOUT).map_err(|error| format!("{url}: {error}")));
    match told {
        Ok(status) => report.status = Some(status),
        Err(reason) => report.status_reason = Some(reason),
    }
}

/// Searches the end of the error log for limits that were met.
fn log(files: &dyn Files, root: &Path, host: &Host) -> Vec<status::LogMessage> {
    let path = host.configuration.error_log.as_deref().and_then(|path| resolve(files, path).ok());
    path.and_then(|path| status::log_messages(&under(root, &path)).ok()).unwrap_or_default()
}
