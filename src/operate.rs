//! What both fronts do: gather, plan, judge, test, apply, report.
//!
//! [`evaluate`] is the whole pure part over one view of the host. A real run evaluates without the lock first: where
//! nothing is to be done, nothing at all is written and no process is started. Only a run that has something to do
//! takes the lock, recovers what an interrupted run left, and evaluates again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::apply::{self, ApplyError, Lock, Rollback};
use crate::distro::{self, Site};
use crate::facts::disk::Disk;
use crate::facts::version::httpd_version;
use crate::facts::{Known, gather, process};
use crate::features::evasive::{self, Build};
use crate::httpd::binary::{self, Httpd, Tested};
use crate::httpd::effective::{self, Value};
use crate::httpd::envvars;
use crate::httpd::normalise::{Written, normalise};
use crate::httpd::read::{self, Configuration, Scope, Start};
use crate::httpd::{Mpm, Version, directives};
use crate::params::{ActivationMode, Params, State};
use crate::plan::{self, Ground, Plan, Unreadable, Wish, finding};
use crate::preview;
use crate::report::{
    Activation, ConfigTest, DiffEntry, EffectiveEntry, Finding, Need, Overridden, Report, Severity,
};
use crate::rules;
use crate::tree::{Change, Draft, Files, Node, resolve};

/// How a run was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode {
    /// Only foretell.
    pub check: bool,
    /// Return the differences.
    pub diff: bool,
}

/// All that is known and planned about one host, before anything is touched.
#[derive(Debug)]
pub struct Evaluation {
    /// Where things are.
    pub site: Site,
    /// What is to be done.
    pub changes: Vec<Change>,
    /// The configuration as it is.
    pub before: Configuration,
    /// The variables that the start script gives httpd.
    pub environment: BTreeMap<String, String>,
    /// The codes of the messages that httpd will print about numbers it changes.
    pub foreseen: Vec<&'static str>,
    /// The result so far: everything that does not need a process or a change.
    pub report: Report,
}

impl Evaluation {
    /// Tells whether a finding of severity error stands that is not waived.
    pub fn refused(&self) -> bool {
        self.report.failed
    }
}

/// A host that could not even be looked at: the result says why.
type Stopped = Box<Report>;

/// Evaluates the parameters against one view of a host. Pure but for reading through `files`. `undo` are the changes
/// that take transactions back, for `state: rolled_back`.
///
/// # Errors
/// The failed result where the host could not be looked at.
pub fn evaluate(
    files: &dyn Files,
    params: &Params,
    mode: Mode,
    undo: Option<&[Change]>,
) -> Result<Evaluation, Stopped> {
    let facts = &params.facts;
    let site = distro::detect(
        files,
        facts.distribution.as_deref(),
        facts.distribution_version.as_deref(),
        params.instance.as_deref(),
    )
    .map_err(|error| stopped("SYS-001", "facts.distribution", &error.to_string()))?;
    let known_version = httpd_version(files, &site, facts.httpd_version.as_deref());
    let version = known_version.as_ref().map_or(Version::NEWEST_KNOWN, |known| known.value);
    let start = start(files, &site, version);
    let before = read::read(files, &start);
    let before_mpms = before.mpms();
    let mpm = match params.state {
        State::Present => target_mpm(params, &before_mpms)?,
        State::Absent | State::RolledBack => only(&before_mpms).unwrap_or(Mpm::Event),
    };
    let ground = Ground { files, site: &site, version, mpm };
    let settings: Option<Vec<(&'static str, i64)>> =
        params.settings.as_ref().map(crate::params::Settings::given);
    let planned = match params.state {
        State::Present => plan::present(&ground, params, settings.as_deref()),
        State::Absent => plan::absent(&ground),
        State::RolledBack => Ok(Plan { changes: undo.unwrap_or_default().to_vec(), ..Plan::default() }),
    };
    let Plan { changes, wishes, findings: mut told } = planned.map_err(|Unreadable { path, error }| {
        stopped("SYS-002", "host", &format!("{}: {error}", path.display()))
    })?;

    let draft = Draft::with(files, &changes);
    let after = if changes.is_empty() { before.clone() } else { read::read(&draft, &start) };
    let after_mpm = only(&after.mpms()).unwrap_or(mpm);
    let values_before =
        only(&before_mpms).map_or_else(Vec::new, |mpm| effective::effective(&before, mpm, version));
    let values = effective::effective(&after, after_mpm, version);
    let (overridden, overrides) = overridden(&draft, &after, &wishes, &values);
    told.extend(overrides);

    let (need, reasons) = need(&changes, only(&before_mpms), after_mpm, &values_before, &values);
    let foreseen =
        normalise(after_mpm, version, &in_force(&values)).corrections.iter().filter_map(|c| c.code).collect();
    let written = written(settings.as_deref(), &values);
    let normal = normalise(after_mpm, version, &written);
    let of_machine = params.root == "/";
    let running = if of_machine { process::running(files, &site) } else { None };
    let machine = gather::machine_of(files, &site, facts, of_machine, running.as_ref());
    let build = evasive_build(files, &site);
    let context = rules::Context {
        params,
        mpm: after_mpm,
        layout: site.layout,
        version,
        machine: &machine,
        host: rules::Host {
            distribution: Some((&site.distribution, &site.distribution_version)),
            ..rules::Host::default()
        },
        evasive: build.as_ref(),
        written: &written,
        normal: &normal,
        before: &before,
        after: &after,
        running: running.as_ref(),
        need,
        changes: &changes,
        audit: false,
    };
    let mut findings = rules::check(&context);
    version_unknown(known_version.as_ref(), &mut told);
    findings.retain(|finding| !told.iter().any(|other| other.rule == finding.rule));
    findings.extend(told);
    for finding in &mut findings {
        finding.waived =
            finding.waived || params.waive.iter().any(|id| id.eq_ignore_ascii_case(&finding.rule));
    }
    findings.sort_by_key(|finding| finding.severity);

    let mut report = Report {
        changed: !changes.is_empty(),
        warnings: texts(&findings),
        changes: plan::entries(&changes),
        effective: entries(&values),
        overridden,
        activation: Activation { needed: need, done: false, reasons },
        ..Report::default()
    };
    report.mpm.running = running.as_ref().and_then(|running| running.mpm);
    report.mpm.before = only(&before_mpms);
    report.mpm.after = only(&after.mpms());
    if mode.diff {
        report.diff = Some(differences(&changes, &values_before, &values));
    }
    let errors: Vec<&Finding> =
        findings.iter().filter(|finding| finding.severity == Severity::Error && !finding.waived).collect();
    if let Some(first) = errors.first() {
        report.failed = true;
        report.changed = false;
        report.msg = refusal(first, errors.len());
    }
    report.findings = findings;
    Ok(Evaluation { site, changes, before, environment: start.environment, foreseen, report })
}

/// Does what `state` asks for, or only foretells it, and reports.
pub fn tuning(params: &Params, mode: Mode) -> Report {
    let root = Path::new(&params.root);
    let disk = Disk::new(root);
    let mut lock = None;
    // A journal means that another run is at work or died at it: what stands on disk is between two states.
    if !mode.check && apply::is_interrupted(root) {
        match locked(params, root) {
            Ok(taken) => lock = Some(taken),
            Err(error) => return failed(Report::default(), &error.to_string()),
        }
    }
    let (mut evaluation, mut rollback) = match look(&disk, params, mode) {
        Ok(seen) => seen,
        Err(report) => return *report,
    };
    if evaluation.refused() || evaluation.changes.is_empty() {
        return settled(evaluation, mode);
    }
    let mut staged = config_test(&evaluation, params, root);
    if mode.check || evaluation.refused_by(&staged) {
        return tested(evaluation, staged, mode);
    }
    if lock.is_none() {
        let tested_changes = evaluation.changes;
        match locked(params, root) {
            Ok(taken) => lock = Some(taken),
            Err(error) => return failed(evaluation.report, &error.to_string()),
        }
        // Another run may have been at work until the lock was ours.
        (evaluation, rollback) = match look(&disk, params, mode) {
            Ok(seen) => seen,
            Err(report) => return *report,
        };
        if evaluation.refused() || evaluation.changes.is_empty() {
            return settled(evaluation, mode);
        }
        if evaluation.changes != tested_changes {
            staged = config_test(&evaluation, params, root);
            if evaluation.refused_by(&staged) {
                return tested(evaluation, staged, mode);
            }
        }
    }
    let Some(lock) = lock else {
        return failed(evaluation.report, "the lock was not taken; nothing was changed");
    };
    let httpd = httpd(&evaluation, root);
    let server = server(&evaluation, params, &httpd);
    let test = || binary::report(&httpd.test());
    let options = apply::Options {
        config_dir: &evaluation.site.config_dir,
        keep: params.keep as usize,
        test: (params.config_test && !staged.report.ran).then_some(&test),
        activation: match &server {
            Some(server) => apply::Activate::Now(server),
            None => apply::Activate::Later(evaluation.report.activation.needed),
        },
    };
    let applied = match rollback {
        Some(rollback) => apply::apply_rollback(rollback, &options, &lock),
        None => apply::apply(&evaluation.changes, &options, &lock),
    };
    let mut report = evaluation.report;
    report.config_test = staged.report;
    match applied {
        Ok(applied) => {
            report.transaction = Some(applied.transaction);
            report.activation.done = applied.activated;
            if let Some(test) = applied.config_test {
                report.config_test = test;
            }
            conclude(report, mode)
        }
        Err(error) => failed(report, &error.to_string()),
    }
}

/// Evaluates the host as it stands now; for `state: rolled_back` with the history's own plan.
fn look(disk: &Disk, params: &Params, mode: Mode) -> Result<(Evaluation, Option<Rollback>), Stopped> {
    let rollback = match params.state {
        State::RolledBack => {
            let planned = apply::plan_rollback(Path::new(&params.root), params.transaction.as_deref());
            Some(planned.map_err(|error| Box::new(failed(Report::default(), &error.to_string())))?)
        }
        State::Present | State::Absent => None,
    };
    let undo = rollback.as_ref().map(|rollback| rollback.changes.as_slice());
    Ok((evaluate(disk, params, mode, undo)?, rollback))
}

/// Takes the lock and gives back what an interrupted run left.
fn locked(params: &Params, root: &Path) -> Result<Lock, ApplyError> {
    let lock = Lock::take(root, Duration::from_secs(params.lock_timeout))?;
    apply::recover(&lock)?;
    Ok(lock)
}

/// The staged configuration test and what it means.
struct Staged {
    report: ConfigTest,
    /// Why the change is refused.
    refusal: Option<Finding>,
}

impl Evaluation {
    /// Tells whether the configuration test stands against the change.
    fn refused_by(&self, staged: &Staged) -> bool {
        staged.refusal.as_ref().is_some_and(|finding| !finding.waived)
    }
}

/// Returns how the real httpd is started on this host.
fn httpd(evaluation: &Evaluation, root: &Path) -> Httpd {
    let arguments = match evaluation.site.instance {
        Some(_) => vec!["-d".to_owned(), evaluation.site.config_dir.to_string_lossy().into_owned()],
        None => Vec::new(),
    };
    Httpd {
        root: root.to_owned(),
        binary: PathBuf::from(evaluation.site.layout.binary),
        arguments,
        environment: evaluation.environment.clone(),
        timeout: binary::TIMEOUT,
        helper: None,
    }
}

/// Returns the server that this run brings its change into; `None` where it is left to a handler, or the root is
/// not this machine's.
fn server(evaluation: &Evaluation, params: &Params, httpd: &Httpd) -> Option<apply::Server> {
    let report = &evaluation.report;
    if params.root != "/" || params.activation != ActivationMode::Auto {
        return None;
    }
    let mut server = apply::Server::new(httpd.clone(), &evaluation.site, report.activation.needed);
    server.listen_before.clone_from(&evaluation.before.listen);
    server.listen_after.clone_from(&evaluation.before.listen);
    server.mpm_before = report.mpm.before;
    server.mpm_after = report.mpm.after;
    server.error_log = httpd.environment.get("APACHE_LOG_DIR").map(|dir| Path::new(dir).join("error.log"));
    server.health.clone_from(&params.health);
    Some(server)
}

/// Runs the real configuration test on the planned files, before anything is touched.
fn config_test(evaluation: &Evaluation, params: &Params, root: &Path) -> Staged {
    if !params.config_test {
        let reason = Some("config_test is false".to_owned());
        return Staged { report: ConfigTest { reason, ..ConfigTest::default() }, refusal: None };
    }
    let httpd = httpd(evaluation, root);
    let result = preview::staged_test(&httpd, &evaluation.changes);
    let report = binary::report(&result);
    let mut refusal = match result {
        Ok(tested) if !tested.ok => Some(broken(&httpd, &tested)),
        Ok(tested) => unforeseen(evaluation, &tested),
        Err(_) => None,
    };
    if let Some(finding) = &mut refusal {
        finding.waived = params.waive.iter().any(|id| id.eq_ignore_ascii_case(&finding.rule));
    }
    Staged { report, refusal }
}

/// Makes the finding of a refused configuration, and tells a configuration apart that was broken before.
fn broken(httpd: &Httpd, tested: &Tested) -> Finding {
    let said = |tested: &Tested| tested.output.trim().to_owned();
    match httpd.test() {
        Ok(before) if !before.ok => {
            let place = before
                .place
                .as_ref()
                .map_or_else(String::new, |(file, line)| format!(" at {}:{line}", file.display()));
            finding(
                "TST-002",
                Severity::Error,
                ("config_test", ""),
                format!(
                    "the configuration was broken before{place}, and this change does not mend it: {}",
                    said(&before)
                ),
                "mend that line first".to_owned(),
            )
        }
        _ => finding(
            "TST-003",
            Severity::Error,
            ("config_test", ""),
            format!("httpd refuses the planned configuration: {}", said(tested)),
            "see what it says; the host is as it was".to_owned(),
        ),
    }
}

/// Makes a finding of a message about a changed number that no rule foretold: then the rules are not to be trusted
/// with this host.
fn unforeseen(evaluation: &Evaluation, tested: &Tested) -> Option<Finding> {
    let code = tested
        .codes
        .iter()
        .find(|code| is_correction(code) && !evaluation.foreseen.iter().any(|known| known == code))?;
    let line = tested.output.lines().find(|line| line.contains(code.as_str())).unwrap_or(code).trim();
    let mut told = finding(
        "TST-004",
        Severity::Error,
        ("config_test", ""),
        format!("httpd would change a number that was not foreseen: {line}"),
        "look for the line that sets it".to_owned(),
    );
    told.httpd = Some(code.clone());
    Some(told)
}

/// Tells whether a message code is one of those by which the MPMs say that they change a number.
fn is_correction(code: &str) -> bool {
    let number: Option<u32> = code.strip_prefix("AH").and_then(|digits| digits.parse().ok());
    number.is_some_and(|number| matches!(number, 175..=187 | 300..=323 | 497..=520))
}

/// Reports an evaluation that needs nothing done, or is refused.
fn settled(evaluation: Evaluation, mode: Mode) -> Report {
    let mut report = evaluation.report;
    let reason = if report.failed { "the change is refused" } else { "nothing changes" };
    report.config_test.reason = Some(reason.to_owned());
    if report.failed { report } else { conclude(report, mode) }
}

/// Reports an evaluation that was tested and goes no further.
fn tested(evaluation: Evaluation, staged: Staged, mode: Mode) -> Report {
    let refused = evaluation.refused_by(&staged);
    let mut report = evaluation.report;
    report.config_test = staged.report;
    if let Some(finding) = staged.refusal {
        if refused {
            report.failed = true;
            report.changed = false;
            report.msg = refusal(&finding, 1);
        }
        report.findings.insert(0, finding);
    }
    if report.failed { report } else { conclude(report, mode) }
}

/// Reports a failure while something was being done.
fn failed(mut report: Report, message: &str) -> Report {
    report.failed = true;
    report.changed = false;
    message.clone_into(&mut report.msg);
    report
}

/// Completes the report of a run without failure.
fn conclude(mut report: Report, mode: Mode) -> Report {
    let open = !report.activation.done;
    report.restart_required = open && report.activation.needed == Need::Restart;
    report.reload_required = open && report.activation.needed == Need::Reload;
    report.msg = verdict(&report, mode.check);
    report
}

/// Returns the sentence that a run without failure ends with.
fn verdict(report: &Report, check: bool) -> String {
    if !report.changed {
        return "unchanged: the host is as asked".to_owned();
    }
    let count = report.changes.len();
    let verb = if check { "would change" } else { "changed" };
    let what = if count == 1 { "1 path".to_owned() } else { format!("{count} paths") };
    let tail = match (report.activation.needed, report.activation.done) {
        (Need::None, _) => String::new(),
        (_, true) => "; the running server uses the new configuration".to_owned(),
        (Need::Reload, false) => "; a running server needs a reload".to_owned(),
        (Need::Restart, false) => {
            "; a running server needs a stop and start, a reload would not do".to_owned()
        }
    };
    format!("{verb} {what}{tail}")
}

/// Returns the message of a refusal: the first error and how many there are.
fn refusal(first: &Finding, count: usize) -> String {
    let more = match count {
        1 => String::new(),
        2 => " (and 1 more error)".to_owned(),
        _ => format!(" (and {} more errors)", count - 1),
    };
    format!("{}: {}; {}{more}; nothing was changed", first.rule, first.message, first.hint)
}

/// Makes the failed result of a host that could not be looked at.
fn stopped(rule: &str, setting: &str, message: &str) -> Stopped {
    let (message, hint) = message.rsplit_once("; ").unwrap_or((message, "mend this and run again"));
    let finding = finding(rule, Severity::Error, (setting, ""), message.to_owned(), hint.to_owned());
    Box::new(Report { failed: true, msg: refusal(&finding, 1), findings: vec![finding], ..Report::default() })
}

/// Returns the MPM asked for, else the one that is configured.
fn target_mpm(params: &Params, configured: &[Mpm]) -> Result<Mpm, Stopped> {
    if let Some(mpm) = params.mpm {
        return Ok(mpm);
    }
    only(configured).ok_or_else(|| {
        let found = if configured.is_empty() {
            "no MPM is loaded".to_owned()
        } else {
            let names: Vec<&str> = configured.iter().map(|mpm| mpm.name()).collect();
            format!("more than one MPM is loaded: {}", names.join(", "))
        };
        stopped(
            "MPM-001",
            "mpm",
            &format!("{found}, so httpd does not start; say which one is wanted with mpm"),
        )
    })
}

/// Returns the only element.
fn only(mpms: &[Mpm]) -> Option<Mpm> {
    match mpms {
        [mpm] => Some(*mpm),
        _ => None,
    }
}

/// Returns where httpd starts reading on this host, with what the start script gives it.
fn start(files: &dyn Files, site: &Site, version: Version) -> Start {
    let mut environment = BTreeMap::new();
    if !site.layout.envvars.is_empty()
        && let Ok(content) = files.read(&site.path(site.layout.envvars))
    {
        let mut given = BTreeMap::new();
        if site.instance.is_some() {
            given.insert("APACHE_CONFDIR".to_owned(), site.config_dir.to_string_lossy().into_owned());
        }
        environment = envvars::read(&content, &given).environment;
    }
    Start {
        file: site.main_file(),
        server_root: site.server_root.clone(),
        version,
        built_in: site
            .layout
            .built_in
            .iter()
            .map(|(id, file)| ((*id).to_owned(), (*file).to_owned()))
            .collect(),
        defines: Vec::new(),
        environment,
    }
}

/// Returns the MPM's directives that the rules judge: the wanted ones, else those in force.
fn written(settings: Option<&[(&'static str, i64)]>, values: &[Value]) -> Written {
    match settings {
        Some(settings) => settings.iter().map(|(name, value)| (*name, value.to_string())).collect(),
        None => in_force(values),
    }
}

/// Returns the MPM's directives that lines of the configuration set.
fn in_force(values: &[Value]) -> Written {
    values
        .iter()
        .filter(|value| {
            value.set_at.is_some()
                && directives::find(value.directive.as_bytes())
                    .is_some_and(|row| row.group == directives::Group::Mpm)
        })
        .map(|value| (value.directive, value.value.clone()))
        .collect()
}

/// Returns the build of mod_evasive that this host has.
fn evasive_build(files: &dyn Files, site: &Site) -> Option<Build> {
    let load = files.read(&site.path(site.layout.evasive_load)).ok()?;
    evasive::build(files, &load, &site.server_root)
}

/// Says that the version could not be read, once.
fn version_unknown(version: Option<&Known<Version>>, findings: &mut Vec<Finding>) {
    if version.is_none() {
        findings.push(finding(
            "HOST-005",
            Severity::Info,
            ("facts.httpd_version", ""),
            format!(
                "httpd's version could be read neither from its binary nor from the package database; {} is assumed",
                Version::NEWEST_KNOWN
            ),
            "give facts.httpd_version".to_owned(),
        ));
    }
}

/// Finds the wishes that something else on the host overrides.
fn overridden(
    files: &dyn Files,
    after: &Configuration,
    wishes: &[Wish],
    values: &[Value],
) -> (Vec<Overridden>, Vec<Finding>) {
    let mut list = Vec::new();
    let mut findings = Vec::new();
    for wish in wishes.iter().filter(|wish| wish.directive != "DOSWhitelist") {
        let Some(value) = values.iter().find(|value| value.directive == wish.directive) else { continue };
        if same(&value.value, &wish.value) {
            continue;
        }
        let (file, line) = value.set_at.clone().unwrap_or_default();
        if resolve(files, &file).is_ok_and(|real| real == wish.file) {
            continue;
        }
        let (message, hint) = if value.set_at.is_some() {
            (
                format!(
                    "{} {} at {}:{line} is read later and wins over {}",
                    wish.directive,
                    value.value,
                    file.display(),
                    wish.value
                ),
                "remove that line, or ask for its value".to_owned(),
            )
        } else {
            (
                format!(
                    "{} is written to {}, but httpd does not read it there and uses {}",
                    wish.directive,
                    wish.file.display(),
                    value.value
                ),
                "let the main configuration file include it as the distribution's does".to_owned(),
            )
        };
        list.push(Overridden {
            setting: wish.directive.to_owned(),
            wanted: wish.value.clone(),
            effective: value.value.clone(),
            file: file.to_string_lossy().into_owned(),
            line,
            scope: "main".to_owned(),
        });
        let mut told = finding("OVR-001", Severity::Error, (&wish.parameter, &wish.value), message, hint);
        told.effective = Some(value.value.clone());
        findings.push(told);
    }
    for line in &after.lines {
        let Scope::Vhost(index) = line.scope else { continue };
        let Some(wish) = wishes.iter().find(|wish| wish.directive == line.directive) else { continue };
        let value = line.words.first().map_or("", String::as_str);
        if wish.directive == "DOSWhitelist" || same(value, &wish.value) {
            continue;
        }
        let host = after.vhosts.get(index as usize);
        let name = host
            .map_or_else(String::new, |host| host.name.clone().unwrap_or_else(|| host.addresses.join(" ")));
        let file: PathBuf = after.path(line.file).to_owned();
        let mut told = finding(
            "OVR-002",
            Severity::Warning,
            (&wish.parameter, &wish.value),
            format!(
                "the virtual host {name} has its own {} {value} ({}:{})",
                line.directive,
                file.display(),
                line.line
            ),
            "remove that line if the virtual host shall follow the main server".to_owned(),
        );
        told.effective = Some(value.to_owned());
        findings.push(told);
        list.push(Overridden {
            setting: line.directive.to_owned(),
            wanted: wish.value.clone(),
            effective: value.to_owned(),
            file: file.to_string_lossy().into_owned(),
            line: line.line,
            scope: name,
        });
    }
    (list, findings)
}

/// Tells whether two texts of a value mean the same to httpd: flags in any case, `5` and `5s`.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || a.strip_suffix('s') == Some(b) || b.strip_suffix('s') == Some(a)
}

/// Directives that only a stop and start brings into a running server.
const RESTART: [&str; 6] = [
    "ServerLimit",
    "ThreadLimit",
    "ListenBacklog",
    "SendBufferSize",
    "ReceiveBufferSize",
    "ListenCoresBucketsRatio",
];

/// Decides what a running server needs to take the change up, and why.
fn need(
    changes: &[Change],
    before: Option<Mpm>,
    after: Mpm,
    values_before: &[Value],
    values: &[Value],
) -> (Need, Vec<String>) {
    let mut reasons = Vec::new();
    if before.is_some_and(|before| before != after) {
        reasons.push(format!(
            "the MPM changes from {} to {after}: a reload would end the server",
            before.map_or("none", Mpm::name)
        ));
    } else {
        for name in RESTART {
            let used = |values: &[Value]| {
                values.iter().find(|value| value.directive == name).map(|value| value.used.clone())
            };
            let (old, new) = (used(values_before), used(values));
            if old != new {
                reasons.push(format!(
                    "{name} changes from {} to {}: a reload keeps the old one",
                    old.unwrap_or_else(|| "unset".to_owned()),
                    new.unwrap_or_else(|| "unset".to_owned())
                ));
            }
        }
    }
    if !reasons.is_empty() {
        return (Need::Restart, reasons);
    }
    let read = changes.iter().any(|change| {
        !plan::is_own_state(&change.path) && plan::kind(change) != crate::report::ChangeKind::Marker
    });
    if read {
        (Need::Reload, vec!["files that httpd reads change".to_owned()])
    } else {
        (Need::None, Vec::new())
    }
}

/// Returns the warnings as text.
fn texts(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Warning && !finding.waived)
        .map(|finding| format!("{}: {}; {}", finding.rule, finding.message, finding.hint))
        .collect()
}

/// Returns the effective settings as the result has them.
fn entries(values: &[Value]) -> BTreeMap<String, EffectiveEntry> {
    values
        .iter()
        .map(|value| {
            let entry = EffectiveEntry {
                value: value.value.clone(),
                used: value.used.clone(),
                file: value.set_at.as_ref().map(|(file, _)| file.to_string_lossy().into_owned()),
                line: value.set_at.as_ref().map(|(_, line)| *line),
            };
            (value.directive.to_owned(), entry)
        })
        .collect()
}

/// Returns one difference for each file or link that changes, then one of the effective settings.
fn differences(changes: &[Change], before: &[Value], after: &[Value]) -> Vec<DiffEntry> {
    let mut list: Vec<DiffEntry> = changes
        .iter()
        .filter(|change| {
            !plan::is_own_state(&change.path) && plan::kind(change) != crate::report::ChangeKind::Marker
        })
        .map(|change| {
            let path = change.path.to_string_lossy().into_owned();
            let header =
                |node: &Node| if *node == Node::Absent { format!("{path} (absent)") } else { path.clone() };
            DiffEntry {
                before_header: header(&change.before),
                after_header: header(&change.after),
                before: plan::shown(&change.before),
                after: plan::shown(&change.after),
            }
        })
        .collect();
    let text = |values: &[Value]| {
        values.iter().map(|value| format!("{} {}\n", value.directive, value.used)).collect::<String>()
    };
    let (before, after) = (text(before), text(after));
    if before != after {
        list.push(DiffEntry {
            before_header: "effective settings".to_owned(),
            after_header: "effective settings".to_owned(),
            before,
            after,
        });
    }
    list
}
