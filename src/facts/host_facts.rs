//! The inputs of a plan as `tuning_info` returns them for Ansible's fact cache, written on a host and read by the preview
//! of a fleet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::httpd::Mpm;
use crate::params::Php;

/// The major version of the facts that this program reads; a minor version only adds keys.
pub const MAJOR: u64 = 1;

/// A whole number as facts have it: `4096`, or `"4096"` where it was set by hand. What is no such number is kept
/// as it was written, so that the verdict can name it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Amount {
    /// A number from 0 to 2^64 - 1.
    Known(u64),
    /// Something else.
    Unfit(String),
}

impl Amount {
    /// Returns the number.
    pub fn known(&self) -> Option<u64> {
        match self {
            Self::Known(number) => Some(*number),
            Self::Unfit(_) => None,
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(number) => serializer.serialize_u64(*number),
            Self::Unfit(text) => serializer.serialize_str(text),
        }
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Amount {
    fn schema_name() -> Cow<'static, str> {
        "Amount".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 0})
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Amount;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Amount, E> {
                Ok(Amount::Known(number))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Amount, E> {
                Ok(u64::try_from(number).map_or_else(|_| Amount::Unfit(number.to_string()), Amount::Known))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Amount, E> {
                Ok(Amount::Unfit(number.to_string()))
            }
            fn visit_bool<E>(self, flag: bool) -> Result<Amount, E> {
                Ok(Amount::Unfit(flag.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Amount, E> {
                Ok(text
                    .parse()
                    .map_or_else(|_| Amount::Unfit(format!("{:?}", shortened(text))), Amount::Known))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Amount, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Amount::Unfit("a list".to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Amount, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Amount::Unfit("an object".to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The first words of a long text.
fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// The inputs of a plan as `webfleet.apache.tuning_info` returns them under `ansible_facts.apache_tuning`.
///
/// JSON: `{"version": "1.0", "collected": 1790000000, "plan_key": "9f31…", "httpd_version": "2.4.62", "mpm":
/// {"configured": "event", "running": "event"}, "modules": ["mpm_event_module"], "effective": {}, "limits": {},
/// "php": "fpm", "overridden": [], "managed": []}`. No secrets, no environment, no command line, no name of a virtual
/// host. A key that is missing is "not known".
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostFacts {
    /// The version of this form, `MAJOR.MINOR`: a reader ignores keys it does not know and refuses another major.
    pub version: Option<String>,
    /// When the facts were collected, in seconds since the epoch.
    pub collected: Option<Amount>,
    /// A hash over all that follows: hosts with an equal key and an equal desired state have the same plan.
    pub plan_key: Option<String>,
    /// The distribution's ID as in os-release: `debian`.
    pub distribution: Option<String>,
    /// Its `VERSION_ID`: `12`.
    pub distribution_version: Option<String>,
    /// httpd's version: `2.4.62`.
    pub httpd_version: Option<String>,
    /// The multi-processing modules.
    pub mpm: MpmFacts,
    /// Identifiers of the loaded modules that a plan asks for, sorted.
    pub modules: Option<Vec<String>>,
    /// The program that `LoadModule` loads for mod_evasive, and the directive of its status, where it is installed.
    pub evasive: Option<EvasiveFacts>,
    /// The directives of the main server, by name.
    pub effective: BTreeMap<String, EffectiveFact>,
    /// The limits of the machine and the service, by name.
    pub limits: BTreeMap<String, LimitFact>,
    /// How PHP runs.
    pub php: Option<Php>,
    /// The PHP versions whose php-fpm is installed, with a snippet for httpd.
    pub php_fpm: Option<Vec<String>>,
    /// Lines that win over those this tool manages, without the names of virtual hosts.
    pub overridden: Vec<OverriddenFact>,
    /// Memory one worker takes in the running server, in KiB.
    pub per_worker_kib: Option<Amount>,
    /// Whether a server runs.
    pub running: Option<bool>,
    /// What this tool manages on the host.
    pub managed: Vec<ManagedFact>,
}

/// The multi-processing modules. JSON: `{"configured": "event", "running": null}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MpmFacts {
    /// The one configured; null where none or several are.
    pub configured: Option<Mpm>,
    /// The one in the running server; null where nothing runs.
    pub running: Option<Mpm>,
}

/// The build of mod_evasive. JSON: `{"symbol": "evasive20_module", "fork": false, "status": "DOSHTTPResponseCode"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EvasiveFacts {
    /// The module identifier of its `LoadModule` line.
    pub symbol: String,
    /// Whether it is the 2.x fork, which is off until `DOSEnabled true`.
    pub fork: bool,
    /// The directive for the status of a blocked request, where the build has one.
    pub status: Option<String>,
}

/// One directive in force. JSON: `{"value": "150", "used": "150", "file": null, "line": null}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct EffectiveFact {
    /// As the winning line has it.
    pub value: String,
    /// After httpd's own corrections.
    pub used: String,
    /// The file of the winning line; null for a default.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
}

/// One limit and where it was read. JSON: `{"value": 8192, "source": "…"}`; a null value is "no limit".
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LimitFact {
    /// The value; null is "no limit".
    pub value: Option<Amount>,
    /// Where it was read.
    pub source: String,
}

/// A line that wins over a managed one. JSON: `{"setting": "KeepAlive", "effective": "Off", "file": "…", "line": 3,
/// "scope": "virtual host"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct OverriddenFact {
    /// The directive.
    pub setting: String,
    /// Its value there.
    pub effective: String,
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// `main` or `virtual host`.
    pub scope: String,
}

/// A file in which this tool manages something. JSON: `{"path": "…", "sha256": "…", "as_left": true}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ManagedFact {
    /// The path.
    pub path: String,
    /// SHA-256 of the lines this tool manages there, in hexadecimal digits.
    pub sha256: String,
    /// Whether the file is as this tool last left it.
    pub as_left: bool,
}

/// A short form beside the whole one: facts written by hand say `"mpm": "event"` and `"somaxconn": 4096`.
macro_rules! short_or_whole {
    ($name:ident, $expecting:literal, $($visit:tt)*) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Any;
                impl<'de> Visitor<'de> for Any {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_unit<E>(self) -> Result<$name, E> {
                        Ok($name::default())
                    }
                    $($visit)*
                }
                deserializer.deserialize_any(Any)
            }
        }
    };
}

short_or_whole! { MpmFacts, "an MPM, or {\"configured\": …, \"running\": …}",
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<MpmFacts, E> {
        let configured = Mpm::ALL.into_iter().find(|mpm| mpm.name() == name);
        Ok(MpmFacts { configured, running: None })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MpmFacts, A::Error> {
        let mut facts = MpmFacts::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "configured" => facts.configured = map.next_value()?,
                "running" => facts.running = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(facts)
    }
}

short_or_whole! { LimitFact, "a number, or {\"value\": …, \"source\": …}",
    fn visit_u64<E>(self, number: u64) -> Result<LimitFact, E> {
        Ok(LimitFact { value: Some(Amount::Known(number)), source: String::new() })
    }
    fn visit_i64<E>(self, number: i64) -> Result<LimitFact, E> {
        Ok(LimitFact { value: Some(Amount::Unfit(number.to_string())), source: String::new() })
    }
    fn visit_f64<E>(self, number: f64) -> Result<LimitFact, E> {
        Ok(LimitFact { value: Some(Amount::Unfit(number.to_string())), source: String::new() })
    }
    fn visit_str<E>(self, text: &str) -> Result<LimitFact, E> {
        let value = text.parse().map_or_else(|_| Amount::Unfit(format!("{:?}", shortened(text))), Amount::Known);
        Ok(LimitFact { value: Some(value), source: String::new() })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<LimitFact, A::Error> {
        let mut facts = LimitFact::default();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "value" => facts.value = map.next_value()?,
                "source" => facts.source = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(facts)
    }
}

impl HostFacts {
    /// Returns the major version; facts without one are of the first form.
    pub fn major(&self) -> Option<u64> {
        match &self.version {
            None => Some(MAJOR),
            Some(text) => text.split('.').next()?.parse().ok(),
        }
    }
}
