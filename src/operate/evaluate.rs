//! The pure part of a run: one view of a host and the parameters, to everything that needs no process and no change.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use rustc_hash::FxHashSet;

use super::asked::Asked;
use super::overridden::overridden;
use super::start::{self, Said};
use super::{Mode, Stopped, conclude, differences, stopped};
use crate::apply::Holder;
use crate::capacity::{self, MemoryNeed, Server};
use crate::distro::{self, ModuleSwitch, Site};
use crate::facts::version::httpd_version;
use crate::facts::{Known, Machine, Running, access, gather, process};
use crate::feature::{Looks, Place};
use crate::features::evasive::{Build, Evasive, Generation};
use crate::features::mpm;
use crate::httpd::core_directives;
use crate::httpd::directives::{Group, Takes};
use crate::httpd::effective::{self, Value};
use crate::httpd::moved::{InForce, Moved, moved_until_restart};
use crate::httpd::normalise::{Written, normalise_with_buckets};
use crate::httpd::read::startup::{self, Startup};
use crate::httpd::read::{self, Configuration, Start};
use crate::httpd::start::Launch;
use crate::httpd::{Mpm, Version};
use crate::params::{Facts, ModPhp, Params, Placement, State};
use crate::plan::{self, Ground, Plan, Unreadable, Wish};
use crate::registry::{FEATURES, TABLE};
use crate::report::{Activation, EffectiveEntry, Finding, Need, Report, Severity, crowds};
use crate::rules;
use crate::tree::{Change, Draft, Files, Kind, Role};

/// What is read of a host, whatever is asked of it.
#[derive(Debug)]
pub struct Host {
    /// Where things are.
    pub site: Site,
    /// httpd's version, where it could be read.
    pub version: Option<Known<Version>>,
    /// Where httpd starts reading.
    pub start: Start,
    /// How the server is started.
    pub launch: Launch,
    /// The configuration as it is.
    pub configuration: Configuration,
    /// The server that runs now.
    pub running: Option<Running>,
    /// Bytes of each shared memory that its parent has mapped.
    pub(super) shared: Vec<u64>,
    /// The machine's limits.
    pub machine: Machine,
    values: OnceCell<Vec<Value>>,
}

impl Host {
    /// Looks at a host. With another root directory than its own, the machine and what runs on it are not this one's.
    ///
    /// # Errors
    /// The failed result where the host's Apache could not be found.
    pub fn look(
        files: &dyn Files,
        facts: &Facts,
        instance: Option<&str>,
        of_machine: bool,
        said: Option<&Said>,
    ) -> Result<Self, Stopped> {
        let mut site = distro::detect(
            files,
            facts.distribution.as_deref(),
            facts.distribution_version.as_deref(),
            instance,
        )
        .map_err(|error| {
            let rule = match error {
                distro::NotFound::Panel { .. } => &rules::host::SYS_003,
                _ => &rules::host::SYS_001,
            };
            stopped(rule, "facts.distribution", &error.to_string())
        })?;
        let version = httpd_version(files, &site, facts.httpd_version.as_deref());
        // Its main file tells the site's server from others.
        let known = start::Known { of_machine, running: None, said };
        let mut launch = start::launch(files, &site, known);
        site.take(&launch);
        let running = if of_machine { process::running(files, &site) } else { None };
        if let Some(running) = &running {
            start::learn(files, &site, &mut launch, running);
        }
        let version_known = version.as_ref().map_or(Version::NEWEST_KNOWN, |known| known.value);
        let start = start::reads_from(&site, &launch, version_known);
        let configuration = read::read(files, &start);
        let machine = gather::machine_of(files, &site, facts, of_machine, running.as_ref());
        let shared = running.as_ref().map_or_else(Vec::new, |running| process::shared(files, running.parent));
        Ok(Self {
            site,
            version,
            start,
            launch,
            configuration,
            running,
            shared,
            machine,
            values: OnceCell::new(),
        })
    }

    /// Returns httpd's version, or the newest known where it could not be read.
    pub fn version(&self) -> Version {
        self.start.version
    }

    /// Returns the one MPM that is configured.
    pub fn mpm(&self) -> Option<Mpm> {
        only(&self.configuration.mpms())
    }

    /// Returns the settings in force before any change.
    pub fn values(&self) -> &[Value] {
        let values = |mpm| effective::effective(&self.configuration, mpm, self.version(), self.cpus());
        self.values.get_or_init(|| self.mpm().map_or_else(Vec::new, values))
    }

    /// Returns the processors online, where they are known.
    pub(super) fn cpus(&self) -> Option<u64> {
        self.machine.cpus.as_ref().map(|known| known.value)
    }

    /// Returns what is worth saying about the host as it was read.
    pub(super) fn told(&self) -> Vec<Finding> {
        let mut told = Vec::new();
        version_unknown(self.version.as_ref(), &mut told);
        told
    }
}

/// All that is known and planned about one host, before anything is touched.
#[derive(Debug)]
pub struct Evaluation {
    /// What was read of the host.
    pub host: Host,
    /// What is to be done.
    pub changes: Vec<Change>,
    /// How the start script will start the server.
    pub launch: Launch,
    /// What decides whether httpd starts after the change; `None` where nothing changes.
    pub startup: Option<Startup>,
    /// Who keeps the running server from being stopped and started for the change, where it takes that.
    pub holder: Option<Holder>,
    /// The codes of the messages that httpd will print about numbers it changes.
    pub foreseen: Vec<&'static str>,
    /// What the task asks for, in httpd's terms; nothing for an undo.
    pub(super) asked: Asked,
    /// The result so far: everything that does not need a process or a change.
    pub report: Report,
}

/// What happens to what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A finding of severity error is not waived: nothing is done, and the report has no numbers of a change.
    Refused,
    /// The host is in the desired state.
    Unchanged,
    /// There is something to test and to carry out.
    Planned,
}

impl Evaluation {
    /// Returns what happens to what was asked for.
    pub fn outcome(&self) -> Outcome {
        match (self.report.failed, self.changes.is_empty()) {
            (true, _) => Outcome::Refused,
            (false, true) => Outcome::Unchanged,
            (false, false) => Outcome::Planned,
        }
    }

    /// Tells whether a finding of severity error stands that is not waived.
    pub fn refused(&self) -> bool {
        self.outcome() == Outcome::Refused
    }
}

/// Evaluates the parameters against one view of a host. Pure but for reading through `files`, and for one question to
/// `mod_status` where the running server's memory is to be measured. `undo` are the changes
/// that take transactions back, for `state: rolled_back`. A host that another program may change meanwhile is
/// handed over as a [`Snapshot`](crate::tree::Snapshot), so that all is judged on the same content.
///
/// # Errors
/// The failed result where the host could not be looked at.
pub fn evaluate(
    files: &dyn Files,
    params: &Params,
    mode: Mode,
    undo: Option<&[Change]>,
) -> Result<Evaluation, Stopped> {
    evaluate_told(files, params, mode, undo, None)
}

/// Does the same where a shell was asked about the file of variables.
///
/// # Errors
/// The failed result where the host could not be looked at.
pub(super) fn evaluate_told(
    files: &dyn Files,
    params: &Params,
    mode: Mode,
    undo: Option<&[Change]>,
    said: Option<&Said>,
) -> Result<Evaluation, Stopped> {
    let host = Host::look(files, &params.facts, params.instance.as_deref(), params.root == "/", said)?;
    let version = host.version();
    let mpm = match params.state {
        State::Present => target_mpm(params, &host)?,
        State::Absent | State::RolledBack => host.mpm().unwrap_or(Mpm::Event),
    };
    let mut told = host.told();
    let measured = super::load::measured(files, params, &host);
    // The parameters' validation has refused texts that are no amount.
    let memory = MemoryNeed::new(params.memory.as_ref(), measured.as_ref()).unwrap_or_default();
    let given = params.settings.as_ref().map(crate::params::Settings::numbers);
    let proposal = match super::load::sized(params, mpm, &host, &memory) {
        Ok(proposal) => proposal,
        Err(refused) => {
            told.push(*refused);
            None
        }
    };
    told.extend(proposal.iter().flat_map(super::load::assumed));
    let settings = match &proposal {
        None => given.filter(|_| params.capacity.is_none()),
        Some(proposal) => Some(proposal.numbers().into_iter().chain(given.into_iter().flatten()).collect()),
    };
    let place = Place { files, site: &host.site, configuration: &host.configuration, start: &host.start };
    let looks = Looks::new(FEATURES, &place);
    let ground = Ground {
        files,
        site: &host.site,
        version,
        configuration: &host.configuration,
        start: &host.start,
        mpm,
        looks: &looks,
        features: FEATURES,
    };
    let planned = match params.state {
        State::Present => plan::present(&ground, params, settings.as_deref()),
        State::Absent => plan::absent(&ground),
        State::RolledBack => Ok(Plan { changes: undo.unwrap_or_default().to_vec(), ..Plan::default() }),
    };
    let Plan { changes, wishes, modules, findings } = planned.map_err(|Unreadable { path, error }| {
        stopped(&rules::host::SYS_002, "host", &format!("{}: {error}", path.display()))
    })?;
    if let Some(message) = plan::size::too_large(&changes) {
        return Err(stopped(&rules::host::SYS_004, "host", &message));
    }
    // What is there in the plan's way is told by itself: the host as it then stays says nothing about the wish.
    let blocked = findings.iter().any(|finding| finding.severity == Severity::Error);
    told.extend(findings);

    let draft = Draft::with(files, &changes);
    // A start script may choose another binary and other modules now.
    let known = start::Known { of_machine: params.root == "/", running: host.running.as_ref(), said };
    let launch =
        if changes.is_empty() { host.launch.clone() } else { start::launch(&draft, &host.site, known) };
    let reads_from = || start::reads_from(&host.site, &launch, version);
    let startup = (!changes.is_empty()).then(|| startup::read(&draft, &reads_from()));
    let after = startup.as_ref().map_or(&host.configuration, |startup| &startup.configuration);
    let after_mpm = only(&after.mpms()).filter(|_| !blocked).unwrap_or(mpm);
    let values_before = host.values();
    let values: Cow<'_, [Value]> = if changes.is_empty() && host.mpm() == Some(after_mpm) {
        Cow::Borrowed(values_before)
    } else {
        Cow::Owned(effective::effective(after, after_mpm, version, host.cpus()))
    };
    let asked = match params.state {
        State::Present if !blocked => Asked { mpm: params.mpm, modules, wishes },
        _ => Asked::default(),
    };
    let (otherwise, unread) = asked.compare(&draft, after, &values);
    // What httpd does not read at all is not overridden: nobody need take the other line out.
    let (overridden, overrides) = if unread.is_empty() {
        overridden(&draft, after, &asked.wishes, &values)
    } else {
        let unread: FxHashSet<&str> = unread.iter().map(|wish| wish.parameter.as_str()).collect();
        let is_read = |wish: &&Wish| !unread.contains(wish.parameter.as_str());
        let read: Vec<Wish> = asked.wishes.iter().filter(is_read).cloned().collect();
        overridden(&draft, after, &read, &values)
    };
    told.extend(otherwise);
    told.extend(overrides);

    if !changes.is_empty() {
        let movable = params.placement == Placement::Distribution && host.mpm() == Some(after_mpm);
        let numbers = movable.then(|| host.site.mpm_file(after_mpm));
        told.extend(super::shared::judge(files, &draft, &host.site, version, &changes, numbers.as_deref()));
    }
    if params.state != State::Present {
        let configurations = (&host.configuration, after);
        told.extend(super::undo::judge(&draft, &host.site, configurations, &changes));
    }

    let runs = host.running.as_ref().and_then(|running| running.mpm);
    // Another MPM is another server: it keeps nothing.
    let moved = if host.mpm() == Some(after_mpm) {
        let in_force = |configuration, values| InForce { configuration, values, cpus: host.cpus() };
        moved_until_restart(in_force(&host.configuration, values_before), in_force(after, &values))
    } else {
        Vec::new()
    };
    let (need, reasons) = need(&changes, (host.mpm(), after_mpm, runs), &moved);
    let buckets = effective::buckets(after, host.cpus());
    let set = in_force(&values);
    let in_force = normalise_with_buckets(after_mpm, version, &set, buckets);
    let written = settings.as_deref().map_or_else(|| set.clone(), |settings| written(settings, &set));
    let normal = if written == set {
        in_force.clone()
    } else {
        normalise_with_buckets(after_mpm, version, &written, buckets)
    };
    let build = looks.get::<Build>();
    let context = rules::Context {
        params,
        mpm: after_mpm,
        layout: host.site.layout,
        version,
        machine: &host.machine,
        host: rules::Host {
            distribution: Some((&host.site.distribution, &host.site.distribution_version)),
            log_dir: log_dir(files, params, &host.site),
            mpm_available: mpm_available(files, &host.site, mpm),
            mail_program: mail_program(files, params, build),
            php_fpm: php_fpm(files, params, &host.site),
            start_script_files: gather::start_script_files(files, &host.site),
            shell: &host.launch.constructs,
        },
        memory: &memory,
        evasive: build,
        written: &written,
        normal: &normal,
        before: &host.configuration,
        values_before,
        moved: &moved,
        after,
        startup: startup.as_ref(),
        files: &draft,
        now: None,
        running: host.running.as_ref(),
        need,
        changes: &changes,
        blocked,
        audit: false,
    };
    let findings = conclude::merge(rules::check(&context), told, params);

    let mut overridden = overridden;
    crowds::overridden(&mut overridden);
    let mut report = Report {
        changed: !changes.is_empty(),
        changes: plan::entries(&changes),
        effective: entries(&values),
        overridden,
        cause: super::cause::cause(files, &host.site, params, &changes),
        activation: Activation { needed: need, done: false, running: host.running.is_some(), reasons },
        capacity: capacity::assess(
            &Server::of(after_mpm, version, after),
            &in_force,
            params.capacity.as_ref().map(|load| load.connections),
            &host.machine,
            &memory,
        ),
        ..Report::default()
    };
    if let Some(proposal) = proposal {
        report.capacity.binding = proposal.capacity.binding;
        report.sizes = proposal.settings;
    }
    report.mpm.running = host.running.as_ref().and_then(|running| running.mpm);
    report.mpm.before = host.mpm();
    report.mpm.after = only(&after.mpms());
    if mode.diff {
        report.diff = Some(differences::all(files, &changes, values_before, &values));
        report.switched = differences::switched(&changes, &host.configuration, after);
    }
    conclude::add(&mut report, findings, params);
    let foreseen = in_force.corrections.iter().filter_map(|correction| correction.code).collect();
    drop(draft);
    Ok(Evaluation { host, changes, launch, startup, holder: None, foreseen, asked, report })
}

/// Looks at the directory that `DOSLogDir` will name.
fn log_dir(files: &dyn Files, params: &Params, site: &Site) -> Option<rules::LogDir> {
    let wanted = params.groups.get::<Evasive>()?.log_dir.as_deref()?;
    log_dir_at(files, wanted, site)
}

/// Looks at a directory of mod_evasive's lock files.
pub(super) fn log_dir_at(files: &dyn Files, wanted: &str, site: &Site) -> Option<rules::LogDir> {
    let path = site.server_root.join(wanted);
    if matches!(files.kind(&path), Ok(Kind::Absent)) {
        return Some(rules::LogDir { exists: false, web_user_writes: false, world_writes: false });
    }
    let status = files.status(&path)?;
    Some(rules::LogDir {
        exists: files.is_dir(&path),
        web_user_writes: access::may_write(files, site.layout.user, &status),
        world_writes: status.mode & 0o002 != 0,
    })
}

/// Tells whether the program of an MPM is there; `None` where this tree holds no programs at all.
fn mpm_available(files: &dyn Files, site: &Site, mpm: Mpm) -> Option<bool> {
    let path = plan::mpm_program(files, site, mpm)?;
    files.is_dir(path.parent()?).then(|| files.is_file(&path))
}

/// Tells whether the program that mod_evasive mails with is there.
fn mail_program(files: &dyn Files, params: &Params, build: Option<&Build>) -> Option<bool> {
    params.groups.get::<Evasive>()?.email_notify.as_ref()?;
    let program = match build?.generation {
        Generation::One => "/usr/bin/mail",
        Generation::Two => "/bin/mail",
    };
    Some(files.is_file(Path::new(program)))
}

/// Tells whether a php-fpm is installed, where mod_php may go with the MPM. Some packages have the version in its name;
/// Debian's is looked for by its module's version when the module is taken out.
fn php_fpm(files: &dyn Files, params: &Params, site: &Site) -> Option<bool> {
    if params.mod_php != ModPhp::Disable || matches!(site.layout.modules, ModuleSwitch::LinkFarm) {
        return None;
    }
    let is_fpm = |name: &OsString| name.to_str().is_some_and(|name| name.starts_with("php-fpm"));
    Some(files.list(Path::new("/usr/sbin")).is_ok_and(|names| names.iter().any(is_fpm)))
}

/// Returns the MPM asked for, else the one that is configured.
fn target_mpm(params: &Params, host: &Host) -> Result<Mpm, Stopped> {
    if let Some(mpm) = params.mpm {
        return Ok(mpm);
    }
    only(&host.configuration.mpms()).ok_or_else(|| {
        let (_, found) = rules::mpm::not_one(&host.configuration, host.site.layout).unwrap_or_default();
        let php = rules::php::unsafe_modules(&host.configuration).next().is_some();
        let which =
            if php { "mpm: prefork, the only one that mod_php runs under" } else { "which one with mpm" };
        stopped(&rules::mpm::MPM_001, "mpm", &format!("{found}; say {which}"))
    })
}

/// Returns the only element.
fn only(mpms: &[Mpm]) -> Option<Mpm> {
    match mpms {
        [mpm] => Some(*mpm),
        _ => None,
    }
}

/// Returns the MPM's directives that the rules judge where numbers are wanted: of the sizes `set` these and no others.
fn written(settings: &[(&'static str, i64)], set: &Written) -> Written {
    let mut written = set.clone();
    written.retain(|name, _| !mpm::is_size(name));
    written.extend(settings.iter().map(|(name, value)| (*name, value.to_string())));
    written
}

/// Returns the MPM's directives that lines of the configuration set.
pub(super) fn in_force(values: &[Value]) -> Written {
    let is_set = |value: &&Value| {
        value.set_at.is_some()
            && !value.unknown
            && core_directives::find(value.directive.as_bytes()).is_some_and(|row| row.group == Group::MPM)
    };
    let mut written = Written::new();
    written.extend(values.iter().filter(is_set).map(|value| (value.directive, value.value.clone())));
    written
}

/// Says that the version could not be read, once.
fn version_unknown(version: Option<&Known<Version>>, findings: &mut Vec<Finding>) {
    if version.is_none() {
        findings.push(rules::host::HOST_005.finding(
            ("facts.httpd_version", ""),
            format!(
                "httpd's version could be read neither from its binary nor from the package database; {} is assumed",
                Version::NEWEST_KNOWN
            ),
            "give facts.httpd_version".to_owned(),
        ));
    }
}

/// Decides what a running server needs to take the change up, and why; the MPMs are those configured before and after,
/// and the one that runs.
fn need(
    changes: &[Change],
    (before, after, runs): (Option<Mpm>, Mpm, Option<Mpm>),
    moved: &[Moved],
) -> (Need, Vec<String>) {
    let mut reasons = Vec::new();
    if let Some(before) = before.filter(|before| *before != after) {
        // A swap that no server took up goes back.
        let why = if runs == Some(after) {
            "the server still runs that one, and what else it was started with is not known"
        } else {
            "a reload would end the server"
        };
        reasons.push(format!("the MPM changes from {before} to {after}: {why}"));
    }
    reasons.extend(moved.iter().map(|Moved { directive, before, after }| {
        let ends = TABLE.named(directive).is_some_and(|row| row.takes == Takes::RestartToEnd);
        let why = if ends { "a reload can end the server" } else { "a reload keeps the old one" };
        format!("{directive} changes from {} to {}: {why}", or_unset(before), or_unset(after))
    }));
    if changes.iter().any(|change| change.role == Role::Variables) {
        reasons
            .push("the variables that httpd is started with change: a reload keeps the old ones".to_owned());
    }
    if !reasons.is_empty() {
        return (Need::Restart, reasons);
    }
    if changes.iter().any(|change| change.role.is_read_by_httpd()) {
        // Another person swapped the MPM and did not restart: the reload that this change would take stops the server.
        let other = runs.is_some_and(|runs| runs != after);
        let need = if other { Need::Restart } else { Need::Reload };
        (need, vec!["files that httpd reads change".to_owned()])
    } else {
        (Need::None, Vec::new())
    }
}

fn or_unset(value: &str) -> &str {
    if value.is_empty() { "unset" } else { value }
}

/// Returns the effective settings as the result has them.
pub(super) fn entries(values: &[Value]) -> BTreeMap<String, EffectiveEntry> {
    let mut entries = BTreeMap::new();
    entries.extend(values.iter().map(|value| {
        let entry = EffectiveEntry {
            value: value.value.clone(),
            used: value.used.clone(),
            file: value.set_at.as_ref().map(|(file, _)| file.to_string_lossy().into_owned()),
            line: value.set_at.as_ref().map(|(_, line)| *line),
        };
        (value.directive.to_owned(), entry)
    }));
    entries
}
