//! Writes the files that are made from the code: `schema/*.json`, `docs/rules.md`.

use std::path::Path;
use std::{fs, io};

/// Writes `schema/NAME.json` for each published schema.
///
/// # Errors
/// Those of writing.
pub(crate) fn schemas(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join("schema"))?;
    for (name, schema) in apache_tuning::schema::all() {
        fs::write(root.join(format!("schema/{name}.json")), format!("{schema:#}\n"))?;
    }
    Ok(())
}

/// Writes `docs/rules.md` from the rule table.
///
/// # Errors
/// Those of writing.
pub(crate) fn rules(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root.join("docs"))?;
    fs::write(root.join("docs/rules.md"), apache_tuning::rules::markdown())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use apache_tuning::params::coerce::{Field, INFO, Kind, tuning};
    use apache_tuning::registry::FEATURES;
    use serde_json::Value;

    #[test]
    fn checked_in_schemas_are_those_of_the_types() {
        for (name, schema) in apache_tuning::schema::all() {
            let path = format!("{}/../schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
            let checked_in = std::fs::read_to_string(&path).unwrap();
            assert_eq!(checked_in, format!("{schema:#}\n"), "{path} is old; run `cargo xtask schema`");
        }
    }

    /// Values are coerced by a table before the schema sees them, so the two must know the same keys and types.
    #[test]
    fn the_table_of_types_equals_the_schema() {
        let schemas = apache_tuning::schema::all();
        for (name, fields) in [("params", &*tuning(FEATURES)), ("info", INFO)] {
            let (_, schema) = schemas.iter().find(|(other, _)| *other == name).unwrap();
            same(name, schema, fields);
        }
    }

    fn same(path: &str, schema: &Value, fields: &[Field]) {
        let properties = schema["properties"].as_object().unwrap();
        let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut known: Vec<&str> = fields.iter().map(|field| field.key).collect();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known, "{path}");
        for field in fields {
            let property = &properties[field.key];
            let kind = match field.kind {
                Kind::Bool => "boolean",
                Kind::Int => "integer",
                Kind::Str => "string",
                Kind::List => "array",
                Kind::Dicts(inner) => {
                    same(&format!("{path}.{}", field.key), &property["items"], inner);
                    "array"
                }
                Kind::Dict(inner) => {
                    same(&format!("{path}.{}", field.key), property, inner);
                    "object"
                }
            };
            assert_eq!(property["type"], kind, "{path}.{}", field.key);
        }
    }
}
