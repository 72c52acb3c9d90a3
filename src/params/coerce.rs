//! Brings values to their type as Ansible's own modules do: Jinja hands strings where numbers are meant.
//!
//! [`tuning`] says which type each key has; a test holds it equal to the published schema.

use serde_json::{Map, Number, Value};

use super::Settings;
use super::bounds::{self, MOST_IN_ONE_PLACE, and_more};
use super::json::join;
use crate::feature::Feature;
pub use crate::parameters::{Field, Kind};
use crate::parameters::{Typed, field};
use crate::report::ParameterError;

/// Returns the keys of `tuning`, with the groups of these features.
pub fn tuning(features: &[&Feature]) -> Vec<Field> {
    let group = |feature: &&Feature| field(feature.name, feature.kind());
    TUNING.iter().copied().chain(features.iter().map(group)).collect()
}

/// The keys of `tuning` that belong to no feature's group.
const TUNING: &[Field] = &[
    field("state", Kind::Str),
    field("transaction", Kind::Str),
    field("mpm", Kind::Str),
    field("settings", <Settings as Typed>::KIND),
    field(
        "capacity",
        Kind::Dict(&[field("connections", Kind::Int), field("active", Kind::Int), field("burst", Kind::Int)]),
    ),
    field("memory", Kind::Dict(&[field("per_worker", Kind::Str), field("reserve", Kind::Str)])),
    field("mod_php", Kind::Str),
    field("placement", Kind::Str),
    field("activation", Kind::Str),
    field(
        "health",
        Kind::Dict(&[field("url", Kind::Str), field("status", Kind::Int), field("timeout", Kind::Int)]),
    ),
    field("config_test", Kind::Bool),
    field("rehearse", Kind::Bool),
    field("waive", Kind::List),
    field("keep", Kind::Int),
    field("lock_timeout", Kind::Int),
    field("instance", Kind::Str),
    field("facts", Kind::Dict(FACTS)),
    field("root", Kind::Str),
];

/// The keys of `tuning_info`.
pub const INFO: &[Field] = &[
    field("facts", Kind::Dict(FACTS)),
    field("instance", Kind::Str),
    field("root", Kind::Str),
    field("status_url", Kind::Str),
    field("config_test", Kind::Bool),
];

const FACTS: &[Field] = &[
    field("memory_mb", Kind::Int),
    field("cpus", Kind::Int),
    field("distribution", Kind::Str),
    field("distribution_version", Kind::Str),
    field("httpd_version", Kind::Str),
    field("open_files", Kind::Int),
    field("tasks_max", Kind::Int),
    field("threads_max", Kind::Int),
    field("pid_max", Kind::Int),
    field("somaxconn", Kind::Int),
    field("php", Kind::Str),
    field("selinux_graceful_shutdown", Kind::Bool),
];

/// Returns `value` with every known key brought to its type. Nulls are "not given" and go; a value that cannot be
/// brought to its type goes too and is told in `errors`; unknown keys stay for validation to name.
pub fn object(
    value: Map<String, Value>,
    fields: &[Field],
    path: &str,
    errors: &mut Vec<ParameterError>,
) -> Map<String, Value> {
    let mut typed = Map::new();
    for (key, value) in value {
        let Some(field) = fields.iter().find(|field| field.key == key) else {
            typed.insert(key, value);
            continue;
        };
        if value.is_null() {
            continue;
        }
        match one(value, field.kind, &join(path, &key), errors) {
            Ok(value) => {
                typed.insert(key, value);
            }
            Err(Unconverted { python_type, wanted, reason }) => {
                let place = if path.is_empty() { String::new() } else { format!(" found in '{path}'") };
                errors.push(ParameterError {
                    path: join(path, &key),
                    message: format!(
                        "argument '{key}' is of type {python_type}{place} and we were unable to convert to \
                         {wanted}: {reason}"
                    ),
                });
            }
        }
    }
    typed
}

/// A value that cannot be brought to its type.
struct Unconverted {
    python_type: &'static str,
    wanted: &'static str,
    reason: String,
}

/// Brings one value to its type.
fn one(value: Value, kind: Kind, path: &str, errors: &mut Vec<ParameterError>) -> Result<Value, Unconverted> {
    let fail = |wanted: &'static str, value: &Value, reason: &str| Unconverted {
        python_type: python_type(value),
        wanted,
        reason: format!("{} {reason}", shown(value)),
    };
    match kind {
        Kind::Bool => match boolean(&value) {
            Some(flag) => Ok(Value::Bool(flag)),
            None => Err(fail("bool", &value, "is not a boolean; give true or false, yes or no, on or off")),
        },
        Kind::Int => integer(&value).map(Value::Number).map_err(|reason| fail("int", &value, reason)),
        Kind::Str => match text(&value) {
            Some(text) => Ok(Value::String(text)),
            None => Err(fail("str", &value, "is not text")),
        },
        Kind::List => {
            let items = match value {
                Value::Array(items) => items,
                Value::String(text) => {
                    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                    items.map(|item| Value::String(item.to_owned())).collect()
                }
                Value::Number(_) => vec![value],
                _ => return Err(fail("list", &value, "is not a list")),
            };
            let mut typed = Vec::with_capacity(items.len());
            let mut wrong = 0;
            for (index, item) in items.into_iter().enumerate() {
                match text(&item) {
                    Some(text) => typed.push(Value::String(text)),
                    None if wrong >= MOST_IN_ONE_PLACE => wrong += 1,
                    None => errors.push(ParameterError {
                        path: {
                            wrong += 1;
                            format!("{path}[{index}]")
                        },
                        message: format!(
                            "Elements value for option '{path}' is of type {} and we were unable to convert to \
                             str: {} is not text",
                            python_type(&item),
                            shown(&item)
                        ),
                    }),
                }
            }
            if wrong > MOST_IN_ONE_PLACE {
                errors.push(and_more(path, wrong - MOST_IN_ONE_PLACE, "elements that are not text"));
            }
            Ok(Value::Array(typed))
        }
        Kind::Dicts(fields) => {
            let items = match value {
                Value::Array(items) => items,
                Value::Object(_) => vec![value],
                _ => return Err(fail("list", &value, "is not a list")),
            };
            let mut typed = Vec::with_capacity(items.len());
            for (index, item) in items.into_iter().enumerate() {
                typed.push(one(item, Kind::Dict(fields), &format!("{path}[{index}]"), errors)?);
            }
            Ok(Value::Array(typed))
        }
        Kind::Dict(fields) => {
            let map = match value {
                Value::Object(map) => map,
                Value::String(ref given) => match dictionary(given) {
                    Ok((map, twice)) => {
                        errors.extend(twice.into_iter().map(|key| super::given_twice(&join(path, &key))));
                        map
                    }
                    Err(reason) => return Err(fail("dict", &value, reason)),
                },
                _ => return Err(fail("dict", &value, "is not a dictionary")),
            };
            Ok(Value::Object(object(map, fields, path, errors)))
        }
    }
}

/// Ansible's words for yes and no, in any case and with white space around.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) if number.as_i64() == Some(1) => Some(true),
        Value::Number(number) if number.as_i64() == Some(0) => Some(false),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" | "on" | "1" | "true" | "t" => Some(true),
            "n" | "no" | "off" | "0" | "false" | "f" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A whole number, or the decimal text of one; no fraction, exponent, other base or empty text.
fn integer(value: &Value) -> Result<Number, &'static str> {
    match value {
        Value::Number(number) if number.is_i64() => Ok(number.clone()),
        Value::Number(number) if number.is_u64() => Err(BEYOND),
        Value::Number(_) => Err("is not a whole number in decimal digits"),
        Value::String(text) => {
            let digits = text.trim();
            let unsigned = digits.strip_prefix(['+', '-']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("is not a whole number in decimal digits");
            }
            digits.parse::<i64>().map(Number::from).map_err(|_| BEYOND)
        }
        _ => Err("is not a whole number"),
    }
}

const BEYOND: &str = "is beyond what any setting can hold (64 bits)";

/// Text, or a scalar as Python writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        _ => None,
    }
}

/// Reads the two texts that Ansible takes for a dictionary: JSON, and `k=v, k2=v2`. Also returns the keys given twice.
fn dictionary(given: &str) -> Result<(Map<String, Value>, Vec<String>), &'static str> {
    const SHAPE: &str = "is neither a JSON object nor a list of key=value";
    let given = given.trim();
    if given.starts_with('{') {
        return match super::json::parse(given) {
            Ok((Value::Object(map), twice)) => Ok((map, twice)),
            _ => Err(SHAPE),
        };
    }
    let mut map = Map::new();
    let mut twice = Vec::new();
    for pair in given.split([',', ' ', '\t', '\n']).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(SHAPE)?;
        let value = value.trim_matches(['"', '\'']);
        if map.insert(key.to_owned(), Value::String(value.to_owned())).is_some() {
            twice.push(key.to_owned());
        }
    }
    if map.is_empty() { Err(SHAPE) } else { Ok((map, twice)) }
}

/// The name of a value's type as Ansible's messages have it.
pub fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// A value as a message shows it: JSON, control characters escaped, cut where it is long.
pub fn shown(value: &Value) -> String {
    bounds::cut(&value.to_string())
}
