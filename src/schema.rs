//! The JSON Schemas of the public types, made from the types themselves; behind the feature `schema`.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// The published schemas: file name under `schema/` and content.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        (
            "params",
            schema::<crate::params::Params>("tuning", "Parameters of the module webfleet.apache.tuning."),
        ),
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
            schema::<crate::fleet::record::HostFacts>(
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
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.transforms.push(Box::new(Plain));
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
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
