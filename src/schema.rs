//! The JSON Schemas of the public types, made from the types themselves; behind the feature `schema`.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The published schemas: file name under `schema/` and content.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("params", parameters()),
        (
            "info",
            schema::<crate::params::InfoParams>(
                "tuning_info",
                "Parameters of the module webfleet.apache.tuning_info.",
            ),
        ),
        ("result", schema::<crate::report::Report>("result", "What webfleet.apache.tuning returns.")),
        (
            "info-result",
            schema::<crate::report::InfoReport>("info-result", "What webfleet.apache.tuning_info returns."),
        ),
        (
            "facts",
            schema::<crate::params::Facts>("facts", "Facts of a host, in place of those read from it."),
        ),
        (
            "host-facts",
            schema::<crate::facts::host_facts::HostFacts>(
                "host-facts",
                "The inputs of a plan, as webfleet.apache.tuning_info returns them under ansible_facts.apache_tuning.",
            ),
        ),
        (
            "fleet",
            schema::<crate::fleet::lines::Line>(
                "fleet",
                "One line of what `apache-tuning fleet --json` prints.",
            ),
        ),
    ]
}

/// Returns the schema of one type, without references and in the plainest words JSON Schema has.
fn schema<T: JsonSchema>(title: &str, description: &str) -> Value {
    finished(generator().into_root_schema_for::<T>(), title, description)
}

fn generator() -> SchemaGenerator {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.transforms.push(Box::new(Plain));
    settings.into_generator()
}

/// The parameters that say what the MPM is wanted like.
const MPM_KEYS: [&str; 6] = ["state", "transaction", "mpm", "settings", "capacity", "memory"];

/// Returns the schema of the parameters of `tuning`, with the groups of all features.
fn parameters() -> Value {
    let mut schema =
        schema::<crate::params::Params>("tuning", "Parameters of the module webfleet.apache.tuning.");
    let groups = crate::registry::FEATURES.iter().map(|feature| {
        let mut group = finished((feature.schema)(generator()), "", feature.doc);
        if let Some(group) = group.as_object_mut() {
            group.remove("$schema");
            group.remove("title");
        }
        (feature.name.to_owned(), group)
    });
    if let Some(properties) = schema["properties"].as_object_mut() {
        // Behind what is said of the MPM, before how the task is done.
        let (mpm, task): (Vec<_>, Vec<_>) =
            std::mem::take(properties).into_iter().partition(|(key, _)| MPM_KEYS.contains(&key.as_str()));
        properties.extend(mpm.into_iter().chain(groups).chain(task));
    }
    schema
}

fn finished(mut schema: Schema, title: &str, description: &str) -> Value {
    schema.insert("title".to_owned(), json!(title));
    schema.insert("description".to_owned(), json!(description));
    schema.to_value()
}

/// Rewrites what schemars derives for optional fields and documented enums. Null is "not given" and never reaches
/// validation, and `enum` gives an error that names the choices where `oneOf` cannot.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = object.get_mut("enum") {
            choices.retain(|choice| !choice.is_null());
        }
        if object.get("default") == Some(&Value::Null) {
            object.remove("default");
        }
        if let Some(Value::Array(mut choices)) = object.remove("anyOf") {
            choices.retain(|choice| choice.get("type") != Some(&json!("null")));
            match <[Value; 1]>::try_from(choices) {
                Ok([Value::Object(only)]) => {
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
                Ok([other]) => {
                    object.insert("anyOf".to_owned(), json!([other]));
                }
                Err(choices) => {
                    object.insert("anyOf".to_owned(), Value::Array(choices));
                }
            }
        }
        if let Some(Value::Array(choices)) = object.get("oneOf") {
            let constants: Option<Vec<Value>> =
                choices.iter().map(|choice| choice.get("const").cloned()).collect();
            if let Some(constants) = constants {
                let meanings: Vec<String> = choices
                    .iter()
                    .filter_map(|choice| {
                        let value = choice.get("const")?.as_str()?;
                        let meaning = choice.get("description")?.as_str()?;
                        Some(format!("{value}: {meaning}"))
                    })
                    .collect();
                object.remove("oneOf");
                object.insert("type".to_owned(), json!("string"));
                object.insert("enum".to_owned(), Value::Array(constants));
                object.insert("x-choices".to_owned(), json!(meanings));
            }
        }
        object.remove("format");
    }
}
