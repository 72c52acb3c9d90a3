//! What may be asked: the parameters, brought to their type, checked against the schema, as plain data.

pub(crate) mod bounds;
pub mod coerce;
pub mod json;
mod validate;

pub use bounds::LARGEST_INPUT;
pub(crate) use validate::nearest;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::feature::{Feature, Groups};
use crate::httpd::Mpm;
pub use crate::httpd::core_directives::Settings;
use crate::report::ParameterError;

/// Desired state. JSON: `"present"`, `"absent"`, `"rolled_back"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The settings are in force.
    #[default]
    Present,
    /// All that this tool put in is taken out and the distribution's values are given back.
    Absent,
    /// The newest transaction, or all back to before `transaction`, is undone.
    RolledBack,
}

/// What to do when a mod_php that is not thread-safe prevents a threaded MPM. JSON: `"refuse"`, `"disable"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ModPhp {
    /// Fail, and name the PHP module in the way and the solution.
    #[default]
    Refuse,
    /// Take it out and hand PHP to the installed php-fpm (Debian, Ubuntu; on the Red Hat family it goes with the MPM);
    /// refused where no php-fpm is installed, and on the other families, which have no way from one to the other.
    Disable,
}

/// Where the MPM's numbers are written. JSON: `"distribution"`, `"drop_in"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// In the distribution's own file, such as `mods-available/mpm_event.conf`.
    #[default]
    Distribution,
    /// In `zz-apache-tuning.conf`, so that no file of a package is touched.
    DropIn,
}

/// Who brings a change into the running server. JSON: `"auto"`, `"defer"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ActivationMode {
    /// This task: restart or reload a running server, verify it, undo everything if it does not come back.
    #[default]
    Auto,
    /// A handler; the result says what is needed.
    Defer,
}

/// A load to size for, instead of numbers. Excludes the sizes in `settings`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Connections to hold at once, from 1.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000_000)))]
    pub connections: u64,
    /// How many of them are served at one moment; event only. Default: one in sixteen, and at least 100.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000_000)))]
    pub active: Option<u64>,
    /// Requests at one moment, on held or on new connections, that are answered without closing idle connections.
    /// Default: the larger of twice `active` and a quarter of `connections`, as far as the host carries it.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100_000_000)))]
    pub burst: Option<u64>,
}

/// Memory to count with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// What one worker needs (`10M`), or `measured` from the running server.
    pub per_worker: Option<String>,
    /// What everything else on the host needs (`512M`).
    pub reserve: Option<String>,
}

/// A question asked of the running server before its change, which is refused where the server is not healthy then,
/// and after it was brought in, which is undone where it no longer is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// An `http://` address of this host: `localhost`, a numeric address of one of its interfaces, or a name of its
    /// own (the host's, one of `/etc/hosts`, a `ServerName`), which is asked on the loopback.
    pub url: String,
    /// The status expected.
    #[serde(default = "defaults::status")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 599)))]
    pub status: u16,
    /// Seconds to wait for it after the change; before it 5 at most.
    #[serde(default = "defaults::health_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3600)))]
    pub timeout: u64,
}

/// How PHP runs. JSON: `"mod_php"`, `"fpm"`, `"none"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Php {
    /// Inside httpd's processes.
    ModPhp,
    /// In php-fpm's own.
    Fpm,
    /// Not at all.
    None,
}

/// Facts of the host to use instead of those read from it. Each is optional.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Memory of the machine or of its control group, whichever is less, in MiB.
    pub memory_mb: Option<u64>,
    /// Processors online.
    pub cpus: Option<u64>,
    /// The distribution's ID as in os-release: `debian`, `rocky`.
    pub distribution: Option<String>,
    /// Its VERSION_ID: `12`, `9.4`.
    pub distribution_version: Option<String>,
    /// httpd's version: `2.4.62`.
    pub httpd_version: Option<String>,
    /// Open files that one server process may have (`LimitNOFILE`).
    pub open_files: Option<u64>,
    /// Tasks (processes and threads) that the service may have (`TasksMax`).
    pub tasks_max: Option<u64>,
    /// `kernel.threads-max`.
    pub threads_max: Option<u64>,
    /// `kernel.pid_max`.
    pub pid_max: Option<u64>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u64>,
    /// How PHP runs.
    pub php: Option<Php>,
    /// SELinux boolean `httpd_graceful_shutdown`.
    pub selinux_graceful_shutdown: Option<bool>,
}

/// All that can be asked of `tuning`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Desired state.
    #[serde(default)]
    pub state: State,
    /// With `state: rolled_back`: the transaction before which the host is to be again.
    pub transaction: Option<String>,
    /// The MPM that must be the only one loaded. Default: the one enabled now.
    pub mpm: Option<Mpm>,
    /// The MPM's directives by httpd's name in snake_case. If omitted, it is not managed. Given, a directive that is
    /// left out of it is not written, and httpd's own default counts; one that the MPM does not know is an error.
    pub settings: Option<Settings>,
    /// A load to size for, instead of numbers. Excludes the sizes in `settings`.
    pub capacity: Option<Capacity>,
    /// Memory to count with. Where the need of a worker is neither given nor measured, nothing is refused for
    /// memory, and the result reports the largest need that would fit.
    pub memory: Option<Memory>,
    /// The groups of the features.
    #[serde(skip)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub groups: Groups,
    /// How to handle a thread-unsafe mod_php when a threaded MPM is requested.
    #[serde(default)]
    pub mod_php: ModPhp,
    /// Where the MPM's numbers are written.
    #[serde(default)]
    pub placement: Placement,
    /// Whether Apache is reloaded or restarted by this task, or by a handler.
    #[serde(default)]
    pub activation: ActivationMode,
    /// An HTTP request made after activation; if it fails, the change is rolled back.
    pub health: Option<Health>,
    /// Whether the real `httpd -t` is run on the staged change before anything is touched.
    #[serde(default = "defaults::yes")]
    pub config_test: bool,
    /// Whether the test goes on with the rehearsal: the real httpd started with the change in private namespaces, asked
    /// once and ended. Skipped, and said, where a loaded module reaches outside at start or no namespace can be had.
    #[serde(default = "defaults::yes")]
    pub rehearse: bool,
    /// Rules whose findings are kept in the result but do not fail the task.
    #[serde(default)]
    pub waive: Vec<String>,
    /// Transactions kept for rollback.
    #[serde(default = "defaults::keep")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 1000)))]
    pub keep: u32,
    /// Seconds to wait for another run on this host.
    #[serde(default = "defaults::lock_timeout")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 86400)))]
    pub lock_timeout: u64,
    /// A second instance of the server: `NAME` of `/etc/apache2-NAME`.
    pub instance: Option<String>,
    /// Facts to use instead of the host's.
    #[serde(default)]
    pub facts: Facts,
    /// Another root directory, such as an image or a chroot: the same work, no activation. Facts of the machine
    /// (memory, limits) then come from `facts` alone.
    #[serde(default = "defaults::root")]
    pub root: String,
}

impl Params {
    /// Makes parameters of JSON that fits the schema, with the groups of these features.
    ///
    /// # Errors
    /// Those of serde.
    pub fn of_json(mut value: Value, features: &'static [&'static Feature]) -> serde_json::Result<Self> {
        let groups = value.as_object_mut().map(|map| Groups::take(features, map)).transpose()?;
        let params: Self = serde_json::from_value(value)?;
        Ok(Self { groups: groups.unwrap_or_default(), ..params })
    }

    /// Tells whether findings of a rule, by its id in any case, are kept in the result but do not fail the task.
    pub fn waives(&self, rule: &str) -> bool {
        self.waive.iter().any(|id| id.eq_ignore_ascii_case(rule))
    }

    /// Returns parameters that ask for nothing, with these facts: what a look at a host is judged with.
    pub fn of_facts(facts: Facts) -> Self {
        Self {
            state: State::Present,
            transaction: None,
            mpm: None,
            settings: None,
            capacity: None,
            memory: None,
            groups: Groups::default(),
            mod_php: ModPhp::Refuse,
            placement: Placement::Distribution,
            activation: ActivationMode::Auto,
            health: None,
            config_test: true,
            rehearse: true,
            waive: Vec::new(),
            keep: defaults::keep(),
            lock_timeout: defaults::lock_timeout(),
            instance: None,
            facts,
            root: defaults::root(),
        }
    }
}

/// All that can be asked of `tuning_info`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct InfoParams {
    /// Facts to use instead of the host's.
    #[serde(default)]
    pub facts: Facts,
    /// A second instance of the server: `NAME` of `/etc/apache2-NAME`.
    pub instance: Option<String>,
    /// Another root directory.
    #[serde(default = "defaults::root")]
    pub root: String,
    /// Where mod_status answers. Default: found from the configuration.
    pub status_url: Option<String>,
    /// Whether the real `httpd -t` and the rehearsal are run on the files as they are. Without it no process is
    /// started.
    #[serde(default)]
    pub config_test: bool,
}

/// What Ansible itself says beside the parameters: its `_ansible_*` keys. Unknown ones are ignored, because each
/// release adds some.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// Only predict.
    pub check_mode: bool,
    /// Return the differences.
    pub diff: bool,
    /// Return the parameters under `invocation`.
    pub invocation: bool,
    /// Accept unknown parameters silently.
    pub ignore_unknown: bool,
    /// How often `-v` was given.
    pub verbosity: u64,
    /// Whether no value of a parameter may be written to a log.
    pub no_log: bool,
    /// The module's name as the task has it; empty by hand.
    pub module: String,
}

/// What was asked: one of the two modules.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// `tuning`.
    Tuning(Box<Params>),
    /// `tuning_info`.
    Info(Box<InfoParams>),
}

/// Parameters that could not be taken, all errors at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What Ansible said beside them, as far as it could be read.
    pub context: Context,
    /// The errors.
    pub errors: Vec<ParameterError>,
}

/// Reads the parameters of a task: one JSON object, parameters and `_ansible_*` keys side by side. `features` are those
/// whose groups are known.
///
/// # Errors
/// Every structural error at once, each with its path; of very many the first ones and their number.
pub fn parse(input: &[u8], features: &'static [&'static Feature]) -> Result<(Asked, Context), Refused> {
    let whole = |message: String| Refused {
        context: Context::default(),
        errors: vec![ParameterError { path: String::new(), message }],
    };
    if input.len() as u64 > LARGEST_INPUT {
        return Err(whole(format!(
            "the parameters are larger than {} MiB, more than any task needs; nothing was done",
            LARGEST_INPUT >> 20
        )));
    }
    let text = std::str::from_utf8(input).map_err(|error| {
        whole(format!(
            "the parameters are not UTF-8 (byte {} is 0x{:02x}); write them as JSON in UTF-8",
            error.valid_up_to(),
            input.get(error.valid_up_to()).copied().unwrap_or(0)
        ))
    })?;
    if text.trim().is_empty() {
        return Err(whole(
            "the parameters are empty; give one JSON object such as {\"mpm\": \"event\"}".to_owned(),
        ));
    }
    let (value, twice) = json::parse(text)
        .map_err(|error| whole(format!("the parameters are not JSON: {error}; give one JSON object")))?;
    let Value::Object(map) = value else {
        return Err(whole(format!(
            "the parameters are {}, not a JSON object such as {{\"mpm\": \"event\"}}",
            coerce::shown(&value)
        )));
    };
    let mut errors: Vec<ParameterError> = twice.iter().map(|path| given_twice(path)).collect();
    let (context, own) = split(map, &mut errors);
    let asked = if context.module.rsplit('.').next() == Some("tuning_info") {
        let typed = coerce::object(own, coerce::INFO, "", &mut errors);
        validate::info(typed, &context, &mut errors).map(|params| Asked::Info(Box::new(params)))
    } else {
        let fields = coerce::tuning(features);
        let typed = coerce::object(own, &fields, "", &mut errors);
        validate::tuning(typed, (&context, features, &fields), &mut errors)
            .map(|params| Asked::Tuning(Box::new(params)))
    };
    match asked {
        Some(asked) if errors.is_empty() => Ok((asked, context)),
        _ => Err(Refused { context, errors: bounds::readable(errors) }),
    }
}

/// Separates Ansible's own keys from the parameters. A key that decides what is done to the host must be understood:
/// a check mode that is neither yes nor no is refused, never taken for no.
fn split(map: Map<String, Value>, errors: &mut Vec<ParameterError>) -> (Context, Map<String, Value>) {
    let mut context = Context::default();
    let mut own = Map::new();
    let mut refuse = |key: &str, value: &Value, wanted: &str| {
        let message =
            format!("value of {key} must be {wanted}, got: {}; nothing was done", coerce::shown(value));
        errors.push(ParameterError { path: key.to_owned(), message });
    };
    for (key, value) in map {
        let flag = coerce::boolean(&value);
        match key.as_str() {
            "_ansible_check_mode" | "_ansible_diff" => match (flag, key.as_str()) {
                (Some(flag), "_ansible_diff") => context.diff = flag,
                (Some(flag), _) => context.check_mode = flag,
                (None, _) => refuse(&key, &value, "a boolean: true or false, yes or no, on or off"),
            },
            "_ansible_verbosity" => context.verbosity = value.as_u64().unwrap_or_default(),
            "_ansible_no_log" => context.no_log = flag.unwrap_or(false),
            "_ansible_inject_invocation" => context.invocation = flag.unwrap_or(false),
            "_ansible_ignore_unknown_opts" => context.ignore_unknown = flag.unwrap_or(false),
            "_ansible_module_name" => match &value {
                Value::String(name) => name.clone_into(&mut context.module),
                Value::Null => {}
                _ => refuse(&key, &value, "the module's name"),
            },
            other if other.starts_with("_ansible_") => {}
            _ => {
                own.insert(key, value);
            }
        }
    }
    (context, own)
}

/// The error of a key given twice.
fn given_twice(path: &str) -> ParameterError {
    ParameterError {
        path: path.to_owned(),
        message: format!("parameter '{}' is given twice; keep one of them", bounds::cut(path)),
    }
}

/// Defaults that are not their type's own.
mod defaults {
    pub(super) fn status() -> u16 {
        200
    }
    pub(super) fn health_timeout() -> u64 {
        30
    }
    pub(super) fn yes() -> bool {
        true
    }
    pub(super) fn keep() -> u32 {
        10
    }
    pub(super) fn lock_timeout() -> u64 {
        60
    }
    pub(super) fn root() -> String {
        "/".to_owned()
    }
}
