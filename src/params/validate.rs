//! Checks the typed parameters against the published schema, and what a schema cannot say, all at once.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bounds::{ENOUGH, LONGEST_TEXT, MOST_IN_ONE_PLACE, and_more, cut};
use super::coerce::{self, Field, Kind};
use super::json::join;
use super::{Context, InfoParams, Params};
use crate::feature::Feature;
use crate::httpd::core_directives::mpm_rows;
use crate::parameters::field;
use crate::report::ParameterError;
use crate::url::{NotAUrl, Url};

#[jsonschema::validator(path = "schema/params.json")]
struct TuningSchema;

#[jsonschema::validator(path = "schema/info.json")]
struct InfoSchema;

/// Checks the parameters of `tuning`.
pub(super) fn tuning(
    typed: Map<String, Value>,
    (context, features, fields): (&Context, &'static [&'static Feature], &[Field]),
    errors: &mut Vec<ParameterError>,
) -> Option<Params> {
    let value = known_only(typed, context, fields);
    for error in TuningSchema::iter_errors(&value).take(ENOUGH) {
        explain(&error, context, (features, fields), errors);
    }
    together(&value, errors);
    texts_of_features(&value, features, errors);
    if !errors.is_empty() {
        return None;
    }
    Params::of_json(value, features).map_err(|error| errors.push(misfit(&error))).ok()
}

/// Checks the parameters of `tuning_info`.
pub(super) fn info(
    typed: Map<String, Value>,
    context: &Context,
    errors: &mut Vec<ParameterError>,
) -> Option<InfoParams> {
    let value = known_only(typed, context, coerce::INFO);
    for error in InfoSchema::iter_errors(&value).take(ENOUGH) {
        explain(&error, context, (&[], coerce::INFO), errors);
    }
    absolute_root(&value, errors);
    instance_name(&value, &mut |path, message| {
        errors.push(ParameterError { path: path.to_owned(), message });
    });
    finish(value, errors)
}

/// Makes the plain data, once nothing is wrong with it.
fn finish<T: DeserializeOwned>(value: Value, errors: &mut Vec<ParameterError>) -> Option<T> {
    if !errors.is_empty() {
        return None;
    }
    serde_json::from_value(value).map_err(|error| errors.push(misfit(&error))).ok()
}

fn misfit(error: &serde_json::Error) -> ParameterError {
    ParameterError { path: String::new(), message: format!("the parameters do not fit: {error}") }
}

/// Drops unknown keys where Ansible says that they are to be accepted silently.
fn known_only(mut typed: Map<String, Value>, context: &Context, fields: &[Field]) -> Value {
    if context.ignore_unknown {
        typed.retain(|key, _| fields.iter().any(|field| field.key == key));
    }
    Value::Object(typed)
}

/// Turns one error of the validator into Ansible's words, with the path.
fn explain(
    error: &ValidationError<'_>,
    context: &Context,
    (features, fields): (&[&Feature], &[Field]),
    errors: &mut Vec<ParameterError>,
) {
    let path = dotted(error.instance_path().as_str());
    let given = coerce::shown(error.instance());
    let message = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = keys_at(fields, &path);
            let module = if context.module.is_empty() { "webfleet.apache.tuning" } else { &context.module };
            // Once in an answer is enough.
            let mut names = format!(" Supported parameters include: {}.", known.join(", "));
            if errors.iter().any(|error| error.message.ends_with(&names)) {
                names.clear();
            }
            for key in unexpected.iter().take(MOST_IN_ONE_PLACE) {
                let full = join(&path, &cut(key));
                let meant = by_directive(key, &path, features).unwrap_or_else(|| {
                    let nearest = nearest(key, known.iter().copied());
                    nearest.map_or(String::new(), |near| format!(" Did you mean '{near}'?"))
                });
                let message =
                    format!("Unsupported parameters for ({}) module: {full}.{meant}{names}", cut(module));
                errors.push(ParameterError { path: full, message });
                names.clear();
            }
            if let Some(more) = unexpected.len().checked_sub(MOST_IN_ONE_PLACE).filter(|more| *more > 0) {
                errors.push(and_more(&path, more, "unsupported parameters"));
            }
            return;
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<&str> =
                options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let got = error.instance().as_str().map_or(given, cut);
            let near = nearest(&got, options.iter().copied());
            let meant = near.map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            format!("value of {path} must be one of: {}, got: {got}{meant}", options.join(", "))
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            errors.push(ParameterError {
                message: if path.is_empty() {
                    format!("missing required arguments: {key}")
                } else {
                    format!("missing required arguments: {key} found in {path}")
                },
                path: join(&path, key),
            });
            return;
        }
        ValidationErrorKind::Minimum { limit } => {
            format!("value of {path} must be at least {limit}, got: {given}")
        }
        ValidationErrorKind::Maximum { limit } => {
            format!("value of {path} must be at most {limit}, got: {given}")
        }
        ValidationErrorKind::Type { kind } => {
            format!("value of {path} must be {}, got: {given}", wanted(kind))
        }
        // The schema uses no other keyword; the validator's own words serve for one that comes later.
        _ => format!("value of {path} is not allowed: {error}"),
    };
    errors.push(ParameterError { path, message });
}

/// The type a schema wants, as Ansible names it.
fn wanted(kind: &TypeKind) -> &'static str {
    match kind {
        TypeKind::Single(JsonType::Integer) => "an int",
        TypeKind::Single(JsonType::Boolean) => "a bool",
        TypeKind::Single(JsonType::Array) => "a list",
        TypeKind::Single(JsonType::Object) => "a dict",
        _ => "a str",
    }
}

/// Returns `/settings/server_limit` as `settings.server_limit` and `/waive/0` as `waive[0]`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            path = format!("{path}[{part}]");
        } else {
            path = join(&path, &part.replace("~1", "/").replace("~0", "~"));
        }
    }
    path
}

/// Returns the keys known in the object at `path`.
fn keys_at(mut fields: &[Field], path: &str) -> Vec<&'static str> {
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let name = part.split('[').next().unwrap_or_default();
        match fields.iter().find(|field| field.key == name).map(|field| field.kind) {
            Some(Kind::Dict(inner) | Kind::Dicts(inner)) => fields = inner,
            _ => return Vec::new(),
        }
    }
    fields.iter().map(|field| field.key).collect()
}

/// Returns what is said of a key that is a directive's name in any spelling, today's or an older one: `MaxClients`,
/// `max_clients` and `keep_alive_timeout` are keys of other names.
fn by_directive(key: &str, path: &str, features: &[&Feature]) -> Option<String> {
    let flat = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let asked = flat(key);
    let is = |name: &str| flat(name) == asked;
    let rows = || mpm_rows().chain(features.iter().flat_map(|feature| feature.owned()));
    let row =
        rows().filter(|row| !row.key.is_empty()).find(|row| is(row.name) || row.alias.is_some_and(is))?;
    let full = format!("{}.{}", row.group.0, row.key);
    let key = if row.group.0 == path { row.key } else { full.as_str() };
    Some(match row.alias.filter(|alias| is(alias)) {
        Some(alias) => format!(" Did you mean '{key}'? {alias} is {} since httpd 2.4.", row.name),
        None if is(row.key) || row.group.0 == path => format!(" Did you mean '{key}'?"),
        None => format!(" Did you mean '{key}'? It sets {}.", row.name),
    })
}

/// Returns the known word nearest to `given`, if one is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody slips that far, and each comparison costs the product of both lengths.
    if given.len() > 64 {
        return None;
    }
    let given = given.to_ascii_lowercase();
    let flat: String = given.chars().filter(char::is_ascii_alphanumeric).collect();
    known
        .map(|word| {
            // `MaxRequestWorkers` is httpd's spelling of `max_request_workers`: no distance at all.
            let plain: String =
                word.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
            (strsim::damerau_levenshtein(&flat, &plain), word)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, word)| *distance <= word.len().div_ceil(3))
        .map(|(_, word)| word)
}

/// Refuses a name that no instance has: it becomes part of paths.
fn instance_name(value: &Value, refuse: &mut impl FnMut(&str, String)) {
    let Some(name) = value.get("instance").and_then(Value::as_str) else { return };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.starts_with('.') || name.starts_with('-') || !name.bytes().all(fits) {
        let known = "a name of letters, digits, '_', '.' and '-'";
        refuse("instance", format!("value of instance must be {known}, got: {:?}", cut(name)));
    }
}

/// What holds between parameters, and what only words can say.
fn together(value: &Value, errors: &mut Vec<ParameterError>) {
    let mut refuse = |path: &str, message: String| {
        if errors.len() < ENOUGH {
            errors.push(ParameterError { path: path.to_owned(), message });
        }
    };
    if value.get("capacity").is_some() {
        let sizes: Vec<String> = mpm_rows()
            .filter(|row| row.sized && value.pointer(&format!("/settings/{}", row.key)).is_some())
            .map(|row| format!("settings.{}", row.key))
            .collect();
        if !sizes.is_empty() {
            refuse(
                "capacity",
                format!(
                    "parameters are mutually exclusive: capacity|{}; give the load or the numbers, not both",
                    sizes.join("|")
                ),
            );
        }
        if let (Some(connections), Some(active)) = (
            value.pointer("/capacity/connections").and_then(Value::as_u64),
            value.pointer("/capacity/active").and_then(Value::as_u64),
        ) && active > connections
        {
            refuse(
                "capacity.active",
                format!(
                    "value of capacity.active must be at most capacity.connections ({connections}), got: {active}"
                ),
            );
        }
    }
    let rolled_back = value.get("state").and_then(Value::as_str) == Some("rolled_back");
    if let Some(id) = value.get("transaction").and_then(Value::as_str) {
        if !rolled_back {
            refuse(
                "transaction",
                "transaction is only for state: rolled_back; take it out or set that state".to_owned(),
            );
        }
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            refuse(
                "transaction",
                format!(
                    "value of transaction must be an id as `apache-tuning history` lists them, got: {:?}",
                    cut(id)
                ),
            );
        }
    }
    instance_name(value, &mut refuse);
    if let Some(url) = value.pointer("/health/url").and_then(Value::as_str)
        && let Err(NotAUrl { why, .. }) = Url::parse(url)
    {
        refuse(
            "health.url",
            format!(
                "value of health.url {why}; it must be an address of this host such as http://127.0.0.1/, got: {:?}",
                cut(url)
            ),
        );
    }
    for key in ["per_worker", "reserve"] {
        if let Some(text) = value.pointer(&format!("/memory/{key}")).and_then(Value::as_str)
            && crate::units::Bytes::parse(text).is_none_or(|bytes| bytes.0 == 0 && key == "per_worker")
            && !(key == "per_worker" && text == "measured")
        {
            let also = if key == "per_worker" { ", or measured" } else { "" };
            refuse(
                &format!("memory.{key}"),
                format!(
                    "value of memory.{key} must be an amount such as 10M or 1G{also}, got: {:?}",
                    cut(text)
                ),
            );
        }
    }
    let waived: Vec<String> = value
        .get("waive")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|id| id.as_str().map(str::to_owned))
        .collect();
    errors.extend(crate::rules::unknown_waived(&waived));
    absolute_root(value, errors);
    // What is said of the host instead of its own files is as plain as those are.
    for (key, fact) in value.get("facts").and_then(Value::as_object).into_iter().flatten() {
        let path = join("facts", key);
        let message = fact.as_str().and_then(|text| control(&path, text, "write it without"));
        errors.extend(message.map(|message| ParameterError { path, message }));
    }
}

/// Texts of the features' groups become arguments of directives, each of which is one line.
fn texts_of_features(value: &Value, features: &[&Feature], errors: &mut Vec<ParameterError>) {
    for feature in features {
        let group = [field(feature.name, feature.kind())];
        each_text("", value, &group, &mut |path, text| {
            one_line(path, text, &mut |path, message| {
                if errors.len() < ENOUGH {
                    errors.push(ParameterError { path: path.to_owned(), message });
                }
            });
        });
    }
}

/// Calls `each` for every text of an object, with its path, in the order of the keys.
fn each_text(path: &str, object: &Value, fields: &[Field], each: &mut dyn FnMut(&str, &str)) {
    for field in fields {
        let Some(value) = object.get(field.key) else { continue };
        let path = join(path, field.key);
        match (field.kind, value) {
            (Kind::Str, Value::String(text)) => each(&path, text),
            (Kind::List, Value::Array(items)) => {
                for (index, text) in items.iter().enumerate() {
                    each(&format!("{path}[{index}]"), text.as_str().unwrap_or_default());
                }
            }
            (Kind::Dict(fields), object) => each_text(&path, object, fields, each),
            (Kind::Dicts(fields), Value::Array(items)) => {
                for (index, object) in items.iter().enumerate() {
                    each_text(&format!("{path}[{index}]"), object, fields, each);
                }
            }
            _ => {}
        }
    }
}

/// Text becomes one argument of one directive: what httpd would read as more than that cannot be written at all.
fn one_line(path: &str, text: &str, refuse: &mut impl FnMut(&str, String)) {
    if let Some(message) = control(path, text, "httpd reads one line, write it without") {
        refuse(path, message);
    }
    if text.contains("${") {
        refuse(
            path,
            format!(
                "value of {path} holds a variable that httpd would replace, got: {:?}; write the value itself",
                cut(text)
            ),
        );
    }
    if text.len() > LONGEST_TEXT {
        let length = text.len();
        refuse(path, format!("value of {path} has {length} bytes; at most {LONGEST_TEXT} are written"));
    }
    if text.is_empty() {
        refuse(path, format!("value of {path} is empty; leave the parameter out instead"));
    }
}

/// Returns what is said against the first control character of a text.
fn control(path: &str, text: &str, way_out: &str) -> Option<String> {
    let control = u32::from(text.chars().find(|c| c.is_control())?);
    let text = cut(text);
    Some(format!("value of {path} holds the control character U+{control:04X}, got: {text:?}; {way_out}"))
}

/// The other root must be an absolute path.
fn absolute_root(value: &Value, errors: &mut Vec<ParameterError>) {
    if let Some(root) = value.get("root").and_then(Value::as_str)
        && (!root.starts_with('/') || root.contains('\0'))
    {
        errors.push(ParameterError {
            path: "root".to_owned(),
            message: format!("value of root must be an absolute path, got: {:?}", cut(root)),
        });
    }
}
