//! What is answered: the result as Ansible gets it, and as every front prints it.

pub(crate) mod crowds;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::capacity::Choice;
use crate::httpd::Mpm;

/// How much a finding weighs. JSON: `"error"`, `"warning"`, `"info"`. Errors sort first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// httpd would refuse, die, or run with something other than asked. Fails the task unless waived.
    Error,
    /// Works, but not as most would expect.
    Warning,
    /// Worth saying.
    Info,
}

/// One thing that a rule has to say about a setting. JSON:
/// `{"rule": "MRW-002", "severity": "error", "setting": "settings.max_request_workers", "value": "410",
/// "effective": "400", "httpd": "AH00513", "message": "...", "hint": "...", "waived": false}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// The id of the rule: stable, `apache-tuning rules ID` tells its source.
    pub rule: String,
    /// Error fails the task; warning and info do not.
    pub severity: Severity,
    /// The parameter's path (`settings.server_limit`), or the directive's name where no parameter sets it.
    pub setting: Option<String>,
    /// The value it is about.
    pub value: Option<String>,
    /// What httpd would really use.
    pub effective: Option<String>,
    /// The code of httpd's own message, where it has one.
    pub httpd: Option<String>,
    /// What is wrong, with the numbers.
    pub message: String,
    /// What to set instead.
    pub hint: String,
    /// Whether the task's `waive` keeps it from failing the task.
    pub waived: bool,
    /// Whether it is about something that the task neither manages nor changes. Not part of the JSON.
    #[serde(skip)]
    pub standing: bool,
}

/// Puts errors first and infos last, each in the order in which they were found; of very many alike the first stand
/// for all.
pub fn worst_first(findings: &mut Vec<Finding>) {
    findings.sort_by_key(|finding| finding.severity);
    crowds::findings(findings);
}

/// What kind of thing changes. JSON: `"file"`, `"link"`, `"marker"` (a2enmod's record of who switched a module).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A marker under `/var/lib/apache2`.
    Marker,
}

/// What happens to it. JSON: `"create"`, `"modify"`, `"remove"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Created: it was not there.
    Create,
    /// Modified: its content or metadata changed.
    Modify,
    /// It will not be there.
    Remove,
}

/// One path that changes. JSON: `{"path": "...", "kind": "file", "action": "modify"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeEntry {
    /// Absolute path on the managed host.
    pub path: String,
    /// What it is.
    pub kind: ChangeKind,
    /// What happens to it.
    pub action: Action,
}

/// One difference in the shape Ansible draws. JSON: `{"before_header", "after_header", "before", "after"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DiffEntry {
    /// Heading of the old side.
    pub before_header: String,
    /// Heading of the new side.
    pub after_header: String,
    /// The old text.
    pub before: String,
    /// The new text.
    pub after: String,
}

impl DiffEntry {
    /// The heading of both sides of what httpd uses before and after the change, a directive and its value a line.
    pub const EFFECTIVE_SETTINGS: &str = "effective settings";
}

/// What is switched by a link or a line of its own. Ordered as a person is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SwitchKind {
    /// A module.
    Module,
    /// A snippet of configuration.
    Conf,
    /// A link that switches nothing known here.
    Link,
}

impl std::fmt::Display for SwitchKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Module => "modules",
            Self::Conf => "conf",
            Self::Link => "links",
        })
    }
}

/// One thing that a change switches on or off. Not part of the JSON, which lists the paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Switched {
    /// What it is.
    pub kind: SwitchKind,
    /// Whether it is on after the change.
    pub on: bool,
    /// Its name: of a module as a2enmod or its `LoadModule` line calls it.
    pub name: String,
}

/// The value of one directive of the main server. JSON: `{"value": "1024", "used": "1024", "file": "...", "line": 7}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EffectiveEntry {
    /// As the winning line has it, variables expanded and quotes off; httpd's default where no line sets it.
    pub value: String,
    /// After httpd's own corrections.
    pub used: String,
    /// The file of the winning line; null for a default.
    pub file: Option<String>,
    /// The line, from 1; null for a default.
    pub line: Option<u32>,
}

/// A line elsewhere that wins over ours. JSON: `{"setting", "wanted", "effective", "file", "line", "scope"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overridden {
    /// The directive.
    pub setting: String,
    /// The value asked for.
    pub wanted: String,
    /// The value in force.
    pub effective: String,
    /// The file of the line that wins.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// `main`, or the virtual host's name and address.
    pub scope: String,
}

/// The multi-processing modules. JSON: `{"before": "prefork", "after": "event", "running": null}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MpmReport {
    /// The one configured before; null where none or several are.
    pub before: Option<Mpm>,
    /// The one configured after.
    pub after: Option<Mpm>,
    /// The one mapped in the running parent; null where nothing runs or it cannot be told.
    pub running: Option<Mpm>,
}

/// What a running server needs to take the change up. JSON: `"none"`, `"reload"`, `"restart"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// Nothing.
    #[default]
    None,
    /// A graceful reload.
    Reload,
    /// Stop and start: a reload would ignore part of it, or kill the server.
    Restart,
}

/// Why a host is not in the desired state. JSON: `"first"`, `"desired"`, `"drift"`, `"upgrade"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// This tool has never changed the host.
    First,
    /// What this tool left is still there: the parameters changed.
    Desired,
    /// What this tool left was edited or removed by others.
    Drift,
    /// A file that this tool has lines in was replaced as a whole, as the update of a package does.
    Upgrade,
}

/// Bringing the change into a running server. JSON: `{"needed": "restart", "done": false, "running": true,
/// "reasons": ["..."]}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Activation {
    /// The action required: none, reload or restart.
    pub needed: Need,
    /// Whether it was done in this run.
    pub done: bool,
    /// Whether a server was seen running; a handler that restarts would start one that was stopped on purpose.
    pub running: bool,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// One limit that a load meets. JSON: `{"name": "memory", "limit": 7680, "needs": 4000, "source": "/proc/meminfo"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Bound {
    /// `memory`, `open_files`, `tasks`, `threads_max`, `pid_max`, `somaxconn`, `scoreboard`.
    pub name: String,
    /// What the host allows, in the bound's own unit (memory in MiB).
    pub limit: u64,
    /// What the settings need, in the same unit.
    pub needs: u64,
    /// Where the limit was read.
    pub source: String,
}

/// What the settings can carry. JSON: `{"connections", "burst", "workers", "processes", "memory_mb", "bounds", "binding"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CapacityReport {
    /// Most connections held at once; null where the MPM is not known.
    pub connections: Option<u64>,
    /// Requests at one moment that are answered while the load is held and no idle connection is closed; null where no
    /// load was asked for or seen.
    pub burst: Option<u64>,
    /// Most requests served at once.
    pub workers: Option<u64>,
    /// Most server processes at full load.
    pub processes: Option<u64>,
    /// Memory at full load in MiB; null where the need of a worker is not known.
    pub memory_mb: Option<u64>,
    /// The limits, in table order.
    pub bounds: Vec<Bound>,
    /// The name of the tightest bound that is known, or of the one that keeps `burst` below what was to be carried; null
    /// where none is.
    pub binding: Option<String>,
}

/// The real `httpd -t`, and the rehearsal. JSON: `{"ran": true, "ok": true, "output": "Syntax OK", "reason": null,
/// "rehearsal": {...}}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigTest {
    /// Whether it ran.
    pub ran: bool,
    /// Whether it passed; null where it did not run.
    pub ok: Option<bool>,
    /// What it printed.
    pub output: String,
    /// Why it did not run; null where it did.
    pub reason: Option<String>,
    /// The server started with the change where nobody can see it.
    pub rehearsal: RehearsalReport,
}

/// The real httpd, started with the change in namespaces of its own and asked once. JSON: `{"ran": true, "ok": true,
/// "status": 200, "milliseconds": 140, "output": "", "reason": null}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RehearsalReport {
    /// Whether it ran and said something about the change.
    pub ran: bool,
    /// Whether httpd started and served; null where it did not run.
    pub ok: Option<bool>,
    /// The status of its answer; null where no listener without TLS answered.
    pub status: Option<u16>,
    /// How long it took until it served or ended; null where it did not run.
    pub milliseconds: Option<u64>,
    /// What it said of errors, on its streams and in its logs.
    pub output: String,
    /// Why it did not run or says nothing; null where it did.
    pub reason: Option<String>,
}

/// Settings to paste. JSON: `{"mpm": "event", "connections": 900, "why": "...", "settings": {"server_limit": 4, ...}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Recommendation {
    /// The MPM they are for.
    pub mpm: Mpm,
    /// The connections they hold.
    pub connections: u64,
    /// What speaks against the numbers in force, one sentence.
    pub why: String,
    /// The numbers, as the parameter `settings` takes them.
    pub settings: BTreeMap<&'static str, u64>,
}

/// A structural error of the parameters. JSON: `{"path": "settings.threads_per_child", "message": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParameterError {
    /// The parameter's path; empty for the object as a whole.
    pub path: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

/// A change on disk that the running server does not use yet. JSON: `{"needed": "restart", "reasons": ["..."]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PendingActivation {
    /// The action required: none, reload or restart.
    pub needed: Need,
    /// Why, one sentence each.
    pub reasons: Vec<String>,
}

/// What became of the running server when an interrupted run was undone. JSON: `"untouched"`, `"reloaded"`,
/// `"started"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RecoveredServer {
    /// The interrupted run had not told it anything, or something else keeps it in the foreground and starts it.
    #[default]
    Untouched,
    /// It was made to read the files that were given back.
    Reloaded,
    /// It was started with the files that were given back, and stopped before that where it ran.
    Started,
}

/// What was given back of a run that was interrupted. JSON: `{"transaction": "...", "paths": ["..."], "server":
/// "started"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecoveredReport {
    /// The id that the interrupted transaction had.
    pub transaction: String,
    /// The paths that were given back; none where the interrupted run had come to its end but for its result.
    pub paths: Vec<String>,
    /// What became of the running server. Check mode, which cannot know, says what the interrupted run had begun.
    pub server: RecoveredServer,
    /// Whether the interrupted run had come to its end, so that its change stays. Not part of the JSON.
    #[serde(skip)]
    pub finished: bool,
}

/// The result of the `tuning` module, whole: lists are empty, not absent, where they do not apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Report {
    /// What to say of a run without changes, where the usual sentence says too little. Not part of the result.
    #[serde(skip)]
    pub note: Option<String>,
    /// Whether anything was, or in check mode would be, changed.
    pub changed: bool,
    /// True on failure, absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// One sentence for a person.
    pub msg: String,
    /// Structural errors of the parameters, all at once.
    pub errors: Vec<ParameterError>,
    /// The differences; only where a diff was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Vec<DiffEntry>>,
    /// What the rules say, errors first.
    pub findings: Vec<Finding>,
    /// The warnings among them as text, for Ansible's own display.
    pub warnings: Vec<String>,
    /// The paths that change.
    pub changes: Vec<ChangeEntry>,
    /// What the change switches, in order; only where a diff was asked for. Not part of the JSON.
    #[serde(skip)]
    pub switched: Vec<Switched>,
    /// The directives of the main server after the change, by name.
    pub effective: BTreeMap<String, EffectiveEntry>,
    /// Directives in other files that override the managed value.
    pub overridden: Vec<Overridden>,
    /// The multi-processing modules.
    pub mpm: MpmReport,
    /// What a running server needs.
    pub activation: Activation,
    /// For handlers: stop and start is needed and was not done.
    pub restart_required: bool,
    /// For handlers: a reload is needed and was not done.
    pub reload_required: bool,
    /// An earlier change that the running server does not use yet; null where there is none.
    pub pending_activation: Option<PendingActivation>,
    /// What this run gave back of an interrupted one; `changed` is true then. Null where there was none.
    pub recovered: Option<RecoveredReport>,
    /// What the settings can carry.
    pub capacity: CapacityReport,
    /// The numbers worked out from the parameter `capacity`, each with its reason; empty where it is not given.
    pub sizes: Vec<Choice>,
    /// The real configuration test.
    pub config_test: ConfigTest,
    /// Why something differs; null where nothing does.
    pub cause: Option<Cause>,
    /// The id in the history; null where nothing was changed.
    pub transaction: Option<String>,
    /// The parameters, where Ansible asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Value>,
}

/// The multi-processing modules, as `tuning_info` tells them. JSON: `{"configured": "event", "running": "event"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoMpm {
    /// The one configured; null where none or several are.
    pub configured: Option<Mpm>,
    /// The one mapped in the running parent; null where nothing runs or it cannot be told.
    pub running: Option<Mpm>,
}

/// Memory of the running server in MiB, rounded up. JSON: `{"processes", "rss_mb", "pss_mb", "per_process_mb",
/// "per_worker_mb"}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoMemory {
    /// Serving processes, the parent not counted.
    pub processes: u64,
    /// Resident memory of all added up; shared pages count in each.
    pub rss_mb: u64,
    /// Proportional memory of all added up: what the server really takes.
    pub pss_mb: u64,
    /// What one more process costs without its workers, in MiB with one decimal.
    pub per_process_mb: f64,
    /// What one more worker costs, in MiB with one decimal.
    pub per_worker_mb: f64,
}

/// A limit and where it was read. JSON: `{"value": 4096, "source": "/proc/sys/net/core/somaxconn"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoLimit {
    /// The value; null is "no limit".
    pub value: Option<u64>,
    /// Where it was read.
    pub source: String,
}

/// How httpd is started here, as it was read. JSON: `{"by": "files", "binary": "/usr/sbin/apache2", "main_file":
/// "/etc/apache2/apache2.conf", …}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoStart {
    /// Who told it: `parent` (the running server), or `files` (units, the start script's variables).
    pub by: String,
    /// The program.
    pub binary: String,
    /// The main configuration file.
    pub main_file: String,
    /// ServerRoot until a line says otherwise.
    pub server_root: String,
    /// Names given with `-D`.
    pub defines: Vec<String>,
    /// Names of the directives given with `-C` or `-c`, without their values, which may be secrets.
    pub directives: Vec<String>,
    /// Names of the environment's variables that the configuration uses, without their values.
    pub variables: Vec<String>,
    /// Names of variables that the configuration uses and whose values are not known.
    pub unknown: Vec<String>,
    /// Whether httpd may be given options that are not known.
    pub unknown_options: bool,
    /// The start files that were read.
    pub read_from: Vec<String>,
}

/// Facts that Ansible keeps: every fact cache holds them for later plays and for `apache-tuning fleet`. JSON:
/// `{"apache_tuning": {…}}`, of the schema `host-facts`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnsibleFacts {
    /// The inputs of a plan of this host.
    pub apache_tuning: crate::facts::host_facts::HostFacts,
}

/// The result of the `tuning_info` module, whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InfoReport {
    /// Always false: nothing is ever changed.
    pub changed: bool,
    /// True on failure, absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// One sentence for a person.
    pub msg: String,
    /// Structural errors of the parameters, all at once.
    pub errors: Vec<ParameterError>,
    /// What the rules say of the host as it is, errors first.
    pub findings: Vec<Finding>,
    /// The warnings among them as text.
    pub warnings: Vec<String>,
    /// httpd's version; null where it could not be read.
    pub httpd_version: Option<String>,
    /// How httpd is started here; null where the host could not be looked at.
    pub start: Option<InfoStart>,
    /// The multi-processing modules.
    pub mpm: InfoMpm,
    /// The directives of the main server, by name.
    pub effective: BTreeMap<String, EffectiveEntry>,
    /// Identifiers of the loaded modules, in load order.
    pub modules: Vec<String>,
    /// Memory of the running server; null where nothing runs or it cannot be seen.
    pub memory: Option<InfoMemory>,
    /// What mod_status tells; null where it does not answer.
    pub status: Option<crate::facts::status::Status>,
    /// Why mod_status was not asked or did not answer; null where it did.
    pub status_reason: Option<String>,
    /// Messages about limits at the end of the error log.
    pub log: Vec<crate::facts::status::LogMessage>,
    /// The limits of the machine and the service that could be read.
    pub limits: BTreeMap<String, InfoLimit>,
    /// What the current settings can carry.
    pub capacity: CapacityReport,
    /// A change on disk that the running server does not use yet, or that ends it at its next reload; null where there is
    /// none.
    pub pending_activation: Option<PendingActivation>,
    /// httpd's own test of the files as they are, and the rehearsal, where `config_test` asks for them.
    pub config_test: ConfigTest,
    /// Directives in other files that override the managed value.
    pub overridden: Vec<Overridden>,
    /// Settings to paste and why: for the load that the current ones are meant for where something is wrong with
    /// them, for twice that load where the error log says that it was reached. Null where nothing is to better.
    pub recommendation: Option<Recommendation>,
    /// The inputs of a plan of this host, kept by Ansible's fact cache under `apache_tuning`; null where the host could
    /// not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ansible_facts: Option<AnsibleFacts>,
    /// The parameters, where Ansible asks for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Value>,
}
