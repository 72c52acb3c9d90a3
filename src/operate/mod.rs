//! What both fronts do: gather, plan, judge, test, apply, report.
//!
//! [`evaluate()`] is the whole pure part over one view of the host. A real run evaluates without the lock first: where
//! nothing is to be done, nothing at all is written and no process is started. Only a run that has something to do
//! takes the lock, recovers what an interrupted run left, and evaluates again.

mod access_log;
mod activation;
mod asked;
mod cause;
mod conclude;
mod differences;
mod evaluate;
mod health;
mod host_facts;
mod info;
mod load;
mod overridden;
mod recovery;
mod shared;
mod start;
mod undo;
mod verify;
pub mod watch;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use access_log::{LoggingHost, logging_host};
pub use evaluate::{Evaluation, Host, Outcome, evaluate};
pub use host_facts::managed_fingerprint;
pub use info::info;
use start::Shell;

use crate::apply::{self, ApplyError, Lock, Rollback};
use crate::facts::disk::Disk;
use crate::facts::process;
use crate::httpd::binary::{self, Httpd, Tested};
use crate::httpd::start::Launch;
use crate::params::{ActivationMode, Params, State};
use crate::preview::{self, Verdict};
use crate::report::{ConfigTest, Finding, Need, RecoveredReport, Report};
use crate::rules;
use crate::tree::{Change, Draft, Files, Snapshot};
use crate::url::Url;

/// How a run was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mode {
    /// Only predict.
    pub check: bool,
    /// Return the differences.
    pub diff: bool,
}

/// A host that could not even be looked at: the result says why.
pub type Stopped = Box<Report>;

/// Does what `state` asks for, or only predicts it, and reports.
pub fn tuning(params: &Params, mode: Mode) -> Report {
    let mut recovered = None;
    let report = run(params, mode, &mut recovered);
    let mut report = if report.failed { report } else { conclude(report, params, mode) };
    if let Some(recovered) = recovered {
        recovery::add(&mut report, recovered, params, mode);
    }
    let test = &mut report.config_test;
    if !test.rehearsal.ran && test.rehearsal.reason.is_none() {
        let refused = || "the configuration test prevents the change".to_owned();
        test.rehearsal.reason = Some(test.reason.clone().unwrap_or_else(refused));
    }
    report
}

/// Does it and reports, without the sentence at the end of a run that did not fail. What an interrupted run left is
/// given back first, and told in `recovered`.
fn run(params: &Params, mode: Mode, recovered: &mut Option<RecoveredReport>) -> Report {
    let root = Path::new(&params.root);
    let disk = Disk::new(root);
    let shell = Shell::default();
    let mut lock = None;
    // Before it is known that no journal lies there: one that comes and goes from here on is noticed by it.
    let seen_at = apply::last_change(root);
    if let Some(obstacle) = apply::in_state(root) {
        return *stopped(&rules::host::SYS_006, "host", &format!("{}; {}", obstacle.what, obstacle.hint));
    }
    // A journal means that another run is at work or died at it: what is there on disk is between two states.
    if !mode.check && apply::is_interrupted(root) {
        match locked(params, root, recovered) {
            Ok(taken) => lock = Some(taken),
            Err(error) => return failed(Report::default(), &error.to_string()),
        }
    }
    let predicted = if mode.check {
        match recovery::predict(params, root) {
            Ok(predicted) => predicted,
            Err(error) => return failed(Report::default(), &error.to_string()),
        }
    } else {
        None
    };
    *recovered = recovered.take().or_else(|| predicted.as_ref().map(recovery::predicted));
    let first = predicted.map(|predicted| predicted.changes).unwrap_or_default();
    let draft = Draft::with(&disk, &first);
    let files: &dyn Files = if first.is_empty() { &disk } else { &draft };
    let sight = Sight { files, first: &first, shell: &shell };
    let seen = if lock.is_some() { look(sight, params, mode) } else { look_in_quiet(sight, params, mode) };
    let (mut evaluation, mut rollback) = match seen {
        Ok(seen) => seen,
        Err(report) => return *report,
    };
    match evaluation.outcome() {
        Outcome::Refused => return settled(evaluation),
        Outcome::Unchanged => {
            let broken = !evaluation.host.configuration.errors.is_empty();
            if params.config_test && broken && first.is_empty() {
                return judged_by_httpd(evaluation, params, root);
            }
            return settled(evaluation);
        }
        Outcome::Planned => {}
    }
    let sick = health::sick_before(params, &evaluation);
    conclude::add(&mut evaluation.report, sick.clone(), params);
    if evaluation.refused() {
        return settled(evaluation);
    }
    let mut staged = config_test(&evaluation, sight, params, root);
    // Without the lock: what httpd refused may have been another run's host between two states.
    if lock.is_none()
        && staged.is_doubtful(params)
        && (apply::is_interrupted(root) || apply::last_change(root) != seen_at)
        && let Some(_quiet) = apply::quiet(root, Duration::from_secs(params.lock_timeout))
    {
        (evaluation, rollback) = match look(sight, params, mode) {
            Ok(seen) => seen,
            Err(report) => return *report,
        };
        if evaluation.outcome() != Outcome::Planned {
            return settled(evaluation);
        }
        conclude::add(&mut evaluation.report, sick.clone(), params);
        staged = config_test(&evaluation, sight, params, root);
    }
    if mode.check || staged.refuses() {
        return tested(evaluation, staged, params);
    }
    if lock.is_none() {
        match locked(params, root, recovered) {
            Ok(taken) => lock = Some(taken),
            Err(error) => return failed(evaluation.report, &error.to_string()),
        }
        // Another run may have been at work until the lock was ours.
        if seen_at.is_none() || apply::last_change(root) != seen_at {
            let tested_changes = evaluation.changes;
            (evaluation, rollback) = match look(sight, params, mode) {
                Ok(seen) => seen,
                Err(report) => return *report,
            };
            if evaluation.outcome() != Outcome::Planned {
                return settled(evaluation);
            }
            conclude::add(&mut evaluation.report, sick, params);
            if evaluation.changes != tested_changes {
                staged = config_test(&evaluation, sight, params, root);
                if staged.refuses() {
                    return tested(evaluation, staged, params);
                }
            }
        }
    }
    let Some(lock) = lock else {
        return failed(evaluation.report, "the lock was not taken; nothing was changed");
    };
    let httpd = httpd(&evaluation.host, &evaluation.launch, root);
    let server = server(&evaluation, params, &httpd);
    let test = || binary::report(&httpd.test());
    let config_dir = evaluation.host.site.real_config_dir(sight.files);
    let differences = RefCell::default();
    let look_again = || {
        let found = verify::differences(params, &evaluation, shell.said());
        let said = found.iter().map(conclude::sentence).collect();
        *differences.borrow_mut() = found;
        said
    };
    let options = apply::Options {
        config_dir: &config_dir,
        instance: evaluation.host.site.instance.as_deref(),
        keep: params.keep as usize,
        test: (params.config_test && !staged.report.ran && !staged.unknown).then_some(&test),
        look: Some(&look_again),
        activation: match &server {
            Some(server) => apply::Activate::Now(server),
            None => {
                apply::Activate::Later(evaluation.report.activation.needed, evaluation.host.running.as_ref())
            }
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
            if applied.activated {
                // Looked up anew: what was read before is the server that the change replaced.
                let running = process::running(&Disk::new(root), &evaluation.host.site);
                report.mpm.running = running.and_then(|running| running.mpm);
            }
            if let Some(test) = applied.config_test {
                report.config_test = test;
            }
            report
        }
        Err(error) => {
            conclude::add(&mut report, verify::findings(&error, differences.take()), params);
            failed(report, &error.to_string())
        }
    }
}

/// The host as a run looks at it: as it is, or in check mode as a recovery would leave it.
#[derive(Clone, Copy)]
struct Sight<'a> {
    files: &'a dyn Files,
    /// What the recovery would give back.
    first: &'a [Change],
    /// The shell that is asked where nothing else tells.
    shell: &'a Shell,
}

/// Evaluates the host without the lock. Another run may change it meanwhile, and what is seen then is between two
/// states: what seems to prevent it is looked at again while nobody works.
fn look_in_quiet(
    sight: Sight<'_>,
    params: &Params,
    mode: Mode,
) -> Result<(Evaluation, Option<Rollback>), Stopped> {
    let first = look(sight, params, mode);
    if first.as_ref().is_ok_and(|(evaluation, _)| !evaluation.refused()) {
        return first;
    }
    match apply::quiet(Path::new(&params.root), Duration::from_secs(params.lock_timeout)) {
        Some(_quiet) => look(sight, params, mode),
        None => first,
    }
}

/// Evaluates the host as it is now; for `state: rolled_back` with the history's own plan.
fn look(sight: Sight<'_>, params: &Params, mode: Mode) -> Result<(Evaluation, Option<Rollback>), Stopped> {
    let rollback = match params.state {
        State::RolledBack => {
            let planned = apply::plan_rollback(
                Path::new(&params.root),
                params.instance.as_deref(),
                params.transaction.as_deref(),
                sight.first,
            );
            Some(planned.map_err(|error| Box::new(failed(Report::default(), &error.to_string())))?)
        }
        State::Present | State::Absent => None,
    };
    let note = rollback.as_ref().and_then(|rollback| rollback.undone.clone());
    let undo = rollback.as_ref().map(|rollback| rollback.changes.as_slice());
    let shell = sight.shell;
    let evaluate = |said| {
        // The process ends with the result: taking apart what was remembered before would be work for nothing.
        let files = ManuallyDrop::new(Snapshot::new(sight.files));
        evaluate::evaluate_told(&*files, params, mode, undo, said)
    };
    let mut evaluation = evaluate(shell.said())?;
    if shell.ask(&evaluation.host.launch, &params.root) {
        evaluation = evaluate(shell.said())?;
    }
    evaluation.report.note = note;
    activation::remember(sight.files, &mut evaluation, params);
    health::judge(sight.files, params, &mut evaluation);
    if evaluation.outcome() == Outcome::Planned {
        obstacles(sight.files, params, &mut evaluation);
    }
    Ok((evaluation, rollback))
}

/// Refuses what the real run would fail at, in check mode as in the real run.
fn obstacles(files: &dyn Files, params: &Params, evaluation: &mut Evaluation) {
    let config_dir = evaluation.host.site.real_config_dir(files);
    let found = apply::obstacles(Path::new(&params.root), &evaluation.changes, &config_dir);
    let told = found.into_iter().map(|obstacle| {
        let rule = if obstacle.own { &rules::host::SYS_006 } else { &rules::host::SYS_005 };
        rule.finding(("host", ""), obstacle.what, obstacle.hint)
    });
    conclude::add(&mut evaluation.report, told.collect::<Vec<_>>(), params);
}

/// Takes the lock and gives back what an interrupted run left.
fn locked(params: &Params, root: &Path, recovered: &mut Option<RecoveredReport>) -> Result<Lock, ApplyError> {
    let lock = Lock::take(root, Duration::from_secs(params.lock_timeout))?;
    if let Some(done) = apply::recover(&lock)? {
        *recovered = Some(recovery::done(done));
    }
    Ok(lock)
}

/// The staged configuration test and what it means.
struct Staged {
    report: ConfigTest,
    /// Why the change is refused.
    refusal: Option<Finding>,
    /// Whether httpd needs a value here that is not known: then it cannot be tested at all.
    unknown: bool,
}

impl Staged {
    /// Tells whether the configuration test prevents the change.
    fn refuses(&self) -> bool {
        self.refusal.as_ref().is_some_and(|finding| !finding.waived)
    }

    /// Tells whether the configuration test was asked for and says anything but that all is well.
    fn is_doubtful(&self, params: &Params) -> bool {
        params.config_test && (self.refusal.is_some() || !self.report.ran)
    }
}

/// Returns how the real httpd is started on this host, with the program and arguments that its start script chooses.
fn httpd(host: &Host, launch: &Launch, root: &Path) -> Httpd {
    let site = &host.site;
    let mut arguments = site.arguments();
    arguments.extend(launch.arguments());
    // A variable of ours that the configuration does not use is not for the server.
    let used = &host.configuration.from_environment;
    let is_its_own = |name: &String| !launch.of_the_caller.contains(name) || used.contains(name);
    let environment = launch.environment.iter().filter(|(name, _)| is_its_own(name));
    Httpd {
        root: root.to_owned(),
        binary: launch.binary.clone().unwrap_or_else(|| PathBuf::from(site.layout.binary)),
        arguments,
        environment: environment.map(|(name, value)| (name.clone(), value.clone())).collect(),
        makes: launch.makes.clone(),
        timeout: binary::TIMEOUT,
        helper: None,
    }
}

/// Takes back what a test said that failed for a variable which is not known here; tells whether it did.
fn without_unknown(
    evaluation: &Evaluation,
    result: Result<Tested, String>,
) -> (Result<Tested, String>, bool) {
    let unknown = result.as_ref().ok().filter(|tested| !tested.ok).and_then(|tested| {
        let names = tested.output.split("Config variable ${").skip(1);
        let mut names = names.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
        names.find(|name| evaluation.launch.unknown.has(name)).map(str::to_owned)
    });
    match unknown {
        Some(name) => {
            (Err(format!("the value of {name}, which the configuration uses, is not known here")), true)
        }
        None => (result, false),
    }
}

/// Returns the server that this run brings its change into; `None` where it is left to a handler, or the root is
/// not this machine's.
fn server(evaluation: &Evaluation, params: &Params, httpd: &Httpd) -> Option<apply::Server> {
    let report = &evaluation.report;
    // With a holder, the finding that refuses this was waived.
    if params.root != "/" || params.activation != ActivationMode::Auto || evaluation.holder.is_some() {
        return None;
    }
    let mut server = apply::Server::new(httpd.clone(), &evaluation.host.site, report.activation.needed);
    server.listen_before.clone_from(&evaluation.host.configuration.listen);
    server.listen_after.clone_from(&evaluation.host.configuration.listen);
    server.mpm_before = report.mpm.before;
    server.mpm_after = report.mpm.after;
    server.error_log = httpd.environment.get("APACHE_LOG_DIR").map(|dir| Path::new(dir).join("error.log"));
    server.has_status = evaluation.host.configuration.has_module("status_module");
    server.health.clone_from(&params.health);
    Some(server)
}

/// Runs the real configuration test on the planned files, before anything is touched.
fn config_test(evaluation: &Evaluation, sight: Sight<'_>, params: &Params, root: &Path) -> Staged {
    if !params.config_test {
        let reason = Some("config_test is false".to_owned());
        return Staged {
            report: ConfigTest { reason, ..ConfigTest::default() },
            refusal: None,
            unknown: false,
        };
    }
    let httpd = httpd(&evaluation.host, &evaluation.launch, root);
    let changes = recovery::both(sight.first, &evaluation.changes);
    let result = preview::staged_test(&httpd, &changes);
    let (result, unknown) = without_unknown(evaluation, result);
    let mut report = binary::report(&result);
    let mut refusal = match result {
        Ok(tested) if !tested.ok => {
            Some(broken(&self::httpd(&evaluation.host, &evaluation.host.launch, root), &tested))
        }
        Ok(tested) => unforeseen(evaluation, &tested),
        Err(_) => None,
    };
    if report.ran && refusal.is_none() {
        let verdict = rehearsal(evaluation, &changes, params, &httpd);
        report.rehearsal = verdict.report;
        refusal = verdict.refusal;
    }
    if let Some(finding) = &mut refusal {
        finding.waived = params.waives(&finding.rule);
    }
    Staged { report, refusal, unknown }
}

/// Starts the real httpd with the planned files where nobody can see it.
fn rehearsal(evaluation: &Evaluation, changes: &[Change], params: &Params, httpd: &Httpd) -> Verdict {
    let Some(startup) = evaluation.startup.as_ref().filter(|_| params.rehearse) else {
        return Verdict::none("rehearse is false");
    };
    let asked = params.health.as_ref().and_then(|health| Url::parse(&health.url).ok());
    let path = asked.as_ref().map_or("/", |url| url.path());
    preview::rehearse(httpd, changes, startup, path)
}

/// Returns what httpd said, as one line.
fn said(tested: &Tested) -> String {
    let lines: Vec<&str> = tested.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

/// Makes the finding of a refused configuration, and tells a configuration apart that was broken before: `httpd` is the one
/// of before the change.
fn broken(httpd: &Httpd, tested: &Tested) -> Finding {
    match httpd.test() {
        Ok(before) if !before.ok => {
            let place = before
                .place
                .as_ref()
                .map_or_else(String::new, |(file, line)| format!(" at {}:{line}", file.display()));
            rules::run::TST_002.finding(
                ("config_test", ""),
                format!(
                    "the configuration was broken before{place}, and this change does not fix it: {}",
                    said(&before)
                ),
                "fix that line first".to_owned(),
            )
        }
        _ => rules::run::TST_003.finding(
            ("config_test", ""),
            format!("httpd refuses the planned configuration: {}", said(tested)),
            "see what it says; the host is as it was".to_owned(),
        ),
    }
}

/// Makes a finding of a message about a changed number that no rule predicted: then the rules are not to be trusted
/// with this host.
fn unforeseen(evaluation: &Evaluation, tested: &Tested) -> Option<Finding> {
    let code = tested
        .codes
        .iter()
        .find(|code| is_correction(code) && !evaluation.foreseen.iter().any(|known| known == code))?;
    let line = tested.output.lines().find(|line| line.contains(code.as_str())).unwrap_or(code).trim();
    let mut told = rules::run::TST_004.finding(
        ("config_test", ""),
        format!("`httpd -t` reports a correction that no rule predicted: {line}"),
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
fn settled(evaluation: Evaluation) -> Report {
    let Evaluation { mut report, host, asked, .. } = evaluation;
    // The process ends with the report. Taking thousands of virtual hosts apart before would take it a thirtieth longer.
    std::mem::forget((host, asked));
    let reason = if report.failed { "the change is refused" } else { "nothing changes" };
    report.config_test.reason = Some(reason.to_owned());
    report
}

/// Reports a host on which nothing is to be done but whose configuration httpd seems to refuse: then every value is in
/// the desired state and no server comes up with them. httpd itself has the last word.
fn judged_by_httpd(evaluation: Evaluation, params: &Params, root: &Path) -> Report {
    let (result, unknown) =
        without_unknown(&evaluation, httpd(&evaluation.host, &evaluation.launch, root).test());
    let report = binary::report(&result);
    let refusal = result.ok().filter(|tested| !tested.ok).map(|tested| {
        let mut told = rules::run::TST_002.finding(
            ("config_test", ""),
            format!("httpd refuses the configuration as it is: {}", said(&tested)),
            "fix that line; the values of this task are valid".to_owned(),
        );
        told.waived = params.waives(&told.rule);
        told
    });
    tested(evaluation, Staged { report, refusal, unknown }, params)
}

/// Reports an evaluation that was tested and goes no further.
fn tested(evaluation: Evaluation, staged: Staged, params: &Params) -> Report {
    let mut report = evaluation.report;
    report.config_test = staged.report;
    conclude::add(&mut report, staged.refusal, params);
    report
}

/// Reports a failure while something was being done.
fn failed(mut report: Report, message: &str) -> Report {
    report.failed = true;
    report.changed = false;
    message.clone_into(&mut report.msg);
    report
}

/// Completes the report of a run without failure.
fn conclude(mut report: Report, params: &Params, mode: Mode) -> Report {
    let open = !report.activation.done;
    report.restart_required = open && report.activation.needed == Need::Restart;
    report.reload_required = open && report.activation.needed == Need::Reload;
    report.msg = verdict(&report, params, mode.check);
    report
}

/// Returns the sentence that a run without failure ends with.
fn verdict(report: &Report, params: &Params, check: bool) -> String {
    if !report.changed {
        let what = match params.state {
            State::Present => "already in the desired state",
            State::Absent => "nothing managed by this module is present",
            State::RolledBack => "there is nothing to undo",
        };
        return format!("unchanged: {}", report.note.as_deref().unwrap_or(what));
    }
    let count = report.changes.len();
    let verb = if check { "would change" } else { "changed" };
    let what = if count == 1 { "1 path".to_owned() } else { format!("{count} paths") };
    let tail = match (report.activation.needed, report.activation.done) {
        (Need::None, _) => String::new(),
        // Whether a server runs there is not known.
        _ if params.root != "/" => String::new(),
        _ if !report.activation.running => "; Apache is not running".to_owned(),
        (_, true) => "; the running server uses the new configuration".to_owned(),
        (Need::Reload, false) => "; a running server needs a reload".to_owned(),
        (Need::Restart, false) => "; Apache must be restarted, a reload is not enough".to_owned(),
    };
    format!("{verb} {what}{tail}")
}

/// Makes the failed result of a host that could not be looked at.
fn stopped(rule: &rules::Rule, setting: &str, message: &str) -> Stopped {
    let (message, hint) = message.rsplit_once("; ").unwrap_or((message, "fix this and run again"));
    let finding = rule.finding((setting, ""), message, hint);
    Box::new(Report {
        failed: true,
        msg: conclude::refusal(std::slice::from_ref(&finding)),
        findings: vec![finding],
        ..Report::default()
    })
}
