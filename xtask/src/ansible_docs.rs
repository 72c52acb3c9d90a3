//! The documentation of the modules as Ansible reads it, `ansible/plugins/modules/*.py`, and the specification of the
//! role's variables.
//!
//! What a person must write (what it is for, examples, one whole result) stands in `xtask/ansible/`; the
//! parameters and the keys of the result come from the published schemas, and so from the Rust types themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value, json};

/// Columns at which running text is folded.
const WIDTH: usize = 110;

/// A module and the names of its schemas.
struct Module {
    name: &'static str,
    parameters: &'static str,
    result: &'static str,
}

const MODULES: &[Module] = &[
    Module { name: "tuning", parameters: "params", result: "result" },
    Module { name: "tuning_info", parameters: "info", result: "info-result" },
];

/// Before the name of each variable of the role.
const ROLE_PREFIX: &str = "apache_tuning_";

/// When a key of the result is there, where that is not always.
const RETURNED: &[(&str, &str)] = &[
    ("failed", "on failure"),
    ("diff", "when a diff is asked for"),
    ("invocation", "when Ansible asks for it"),
];

/// Above the documentation: what every check of Ansible's own wants to see at the head of a module.
const HEAD: &str = "\
#!/usr/bin/python
# Copyright: webfleet maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Written by `cargo xtask docs`: the documentation and the specification of the arguments. What runs is the program
# under files/bin, started by the action plugin of the same name.

from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

";

/// Before the specification of the arguments.
const SPECIFICATION: &str = "

from ansible.module_utils.basic import AnsibleModule


def main():
    \"\"\"Checks the arguments, for ansible-lint and editors; a host never gets this file.\"\"\"
    module = AnsibleModule(supports_check_mode=True, argument_spec={
";

/// Behind the specification of the arguments.
const TAIL: &str = "    })
    module.fail_json(msg='this module is run by the action plugin of its collection, on the controller')


if __name__ == '__main__':
    main()
";

/// Writes the modules' files.
///
/// # Errors
/// Those of reading and writing; a schema in words that this generator does not know.
pub(crate) fn write(root: &Path) -> io::Result<()> {
    for (path, text) in files(root)? {
        fs::write(path, text)?;
    }
    Ok(())
}

/// Returns the generated files: path and content.
fn files(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let mut files = vec![(root.join("ansible/roles/tuning/meta/argument_specs.yml"), role()?)];
    for module in MODULES {
        let path = root.join(format!("ansible/plugins/modules/{}.py", module.name));
        files.push((path, text(root, module)?));
    }
    Ok(files)
}

/// Returns the specification of the role's variables: the parameters of the module, each under its long name.
fn role() -> io::Result<String> {
    let Value::Object(parameters) = options(&schema("params")?, "options")? else { return Ok(String::new()) };
    let mut variables: Map<String, Value> =
        parameters.into_iter().map(|(name, option)| (format!("{ROLE_PREFIX}{name}"), option)).collect();
    let service = json!({
        "description": ["The name of Apache's service, for the handlers. Default: by the family of the distribution."],
        "type": "str",
    });
    variables.insert(format!("{ROLE_PREFIX}service"), service);
    let specification = json!({"argument_specs": {"main": {
        "short_description": "Set Apache's MPM, KeepAlive and mod_evasive",
        "description": [
            "Each parameter of the module C(webfleet.apache.tuning) as a variable; what is not set is not handed on."
        ],
        "options": variables,
    }}});
    let mut text = "---\n# Written by `cargo xtask docs`.\n".to_owned();
    yaml(&specification, 0, &mut text);
    Ok(text)
}

/// Returns one module's file.
fn text(root: &Path, module: &Module) -> io::Result<String> {
    let written = |part: &str| {
        let path = root.join(format!("xtask/ansible/{}.{part}", module.name));
        fs::read_to_string(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
    };
    let mut documentation = written("documentation.yml")?;
    documentation.push_str("options:\n");
    let parameters = schema(module.parameters)?;
    yaml(&options(&parameters, "suboptions")?, 1, &mut documentation);

    let sample: Value = serde_json::from_str(&written("result.json")?)?;
    let mut returned = String::new();
    yaml(&returns(&schema(module.result)?, Some(&sample))?, 0, &mut returned);

    let mut text = HEAD.to_owned();
    let parts =
        [("DOCUMENTATION", documentation), ("EXAMPLES", written("examples.yml")?), ("RETURN", returned)];
    for (number, (name, part)) in parts.into_iter().enumerate() {
        if part.contains("'''") {
            return Err(io::Error::other(format!(
                "{name} of {} contains the end of its own string",
                module.name
            )));
        }
        let gap = if number == 0 { "" } else { "\n" };
        let _ = write!(text, "{gap}{name} = r'''\n---\n{}'''\n", part.trim_start_matches("---\n"));
    }
    text.push_str(SPECIFICATION);
    specification(&options(&parameters, "options")?, 2, &mut text)?;
    text.push_str(TAIL);
    Ok(text)
}

/// Appends the specification of options, each on a line of its own, as the inside of a Python dictionary.
fn specification(options: &Value, depth: usize, out: &mut String) -> io::Result<()> {
    let pad = "    ".repeat(depth);
    for (name, option) in options.as_object().into_iter().flatten() {
        let _ = write!(out, "{pad}{}: {{", python(&name.as_str().into())?);
        let facts = ["type", "elements", "required", "default", "choices"];
        let facts: Vec<String> = facts
            .into_iter()
            .filter_map(|fact| Some((fact, option.get(fact)?)))
            .map(|(fact, value)| Ok(format!("'{fact}': {}", python(value)?)))
            .collect::<io::Result<_>>()?;
        out.push_str(&facts.join(", "));
        if let Some(inner) = option.get("options") {
            out.push_str(", 'options': {\n");
            specification(inner, depth + 1, out)?;
            let _ = write!(out, "{pad}}}");
        }
        out.push_str("},\n");
    }
    Ok(())
}

/// Returns a plain value as Python writes it.
fn python(value: &Value) -> io::Result<String> {
    Ok(match value {
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if !text.contains(['\'', '\\']) && !text.contains(char::is_control) => {
            format!("'{text}'")
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(python).collect::<io::Result<Vec<_>>>()?.join(", "))
        }
        Value::Object(entries) if entries.is_empty() => "{}".to_owned(),
        other => return Err(io::Error::other(format!("not known how Python writes {other}"))),
    })
}

/// Returns a published schema.
fn schema(name: &str) -> io::Result<Value> {
    apache_tuning::schema::all()
        .into_iter()
        .find(|(known, _)| *known == name)
        .map(|(_, schema)| schema)
        .ok_or_else(|| io::Error::other(format!("no schema {name}")))
}

/// Returns the options of a schema of an object; options of options stand under `inner_name`.
fn options(schema: &Value, inner_name: &str) -> io::Result<Value> {
    let mut all = Map::new();
    for (name, property) in properties(schema) {
        let mut option = Map::new();
        option.insert("description".to_owned(), description(name, property)?);
        option.insert("type".to_owned(), kind(name, property)?);
        if required(schema, name) {
            option.insert("required".to_owned(), true.into());
        }
        for (from, to) in [("default", "default"), ("enum", "choices")] {
            if let Some(value) = property.get(from) {
                option.insert(to.to_owned(), value.clone());
            }
        }
        let inner = property.get("items").unwrap_or(property);
        if property.get("items").is_some() {
            option.insert("elements".to_owned(), kind(name, inner)?);
        }
        if inner.get("properties").is_some() {
            option.insert(inner_name.to_owned(), options(inner, inner_name)?);
        }
        all.insert(name.clone(), option.into());
    }
    Ok(all.into())
}

/// Returns the keys of a result in Ansible's form, with the matching parts of `sample` at the top.
fn returns(schema: &Value, sample: Option<&Value>) -> io::Result<Value> {
    let mut keys = Map::new();
    for (name, property) in properties(schema) {
        if name == "invocation" {
            // Ansible's own, not ours to document.
            continue;
        }
        let mut key = Map::new();
        key.insert("description".to_owned(), description(name, property)?);
        let when = RETURNED.iter().find(|(key, _)| key == name).map_or("always", |(_, when)| when);
        key.insert("returned".to_owned(), when.into());
        key.insert("type".to_owned(), kind(name, property)?);
        let inner = property.get("items").unwrap_or(property);
        if property.get("items").is_some() {
            key.insert("elements".to_owned(), kind(name, inner)?);
        }
        if inner.get("properties").is_some() {
            key.insert("contains".to_owned(), returns(inner, None)?);
        }
        if let Some(sample) = sample {
            let value = sample
                .get(name)
                .ok_or_else(|| io::Error::other(format!("the sample result has no `{name}`: add one")))?;
            key.insert("sample".to_owned(), value.clone());
        }
        keys.insert(name.clone(), key.into());
    }
    Ok(keys.into())
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn required(schema: &Value, name: &str) -> bool {
    schema
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|names| names.iter().any(|known| known == name))
}

/// Returns Ansible's word for a schema's type.
fn kind(name: &str, schema: &Value) -> io::Result<Value> {
    let word = match schema.get("type").and_then(Value::as_str) {
        Some("string") => "str",
        Some("integer") => "int",
        Some("number") => "float",
        Some("boolean") => "bool",
        Some("array") => "list",
        Some("object") => "dict",
        // Whatever JSON can say.
        None => "raw",
        _ => {
            return Err(io::Error::other(format!(
                "`{name}` has a type that Ansible has no word for: {schema}"
            )));
        }
    };
    Ok(word.into())
}

/// Returns the paragraphs of a description: the doc comment, the bounds, the meaning of each choice.
fn description(name: &str, schema: &Value) -> io::Result<Value> {
    let text = schema
        .get("description")
        .and_then(Value::as_str)
        .ok_or_else(|| io::Error::other(format!("`{name}` has no doc comment")))?;
    let mut paragraphs: Vec<String> = text.split("\n\n").map(markup).collect();
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => paragraphs.push(format!("From {least} to {most}.")),
        // That a count is not negative goes without saying.
        (Some(least), None) if least != 0 => paragraphs.push(format!("At least {least}.")),
        _ => {}
    }
    for choice in schema.get("x-choices").and_then(Value::as_array).into_iter().flatten() {
        let (value, meaning) = choice.as_str().and_then(|choice| choice.split_once(": ")).unwrap_or_default();
        paragraphs.push(format!("C({value}): {}", markup(meaning)));
    }
    if let Some(entry) = schema.get("additionalProperties").filter(|entry| entry.is_object()) {
        for (key, property) in properties(entry) {
            let meaning = property.get("description").and_then(Value::as_str).unwrap_or_default();
            paragraphs.push(format!("C({key}) of each entry: {}", markup(meaning)));
        }
    }
    Ok(paragraphs.into())
}

/// Returns a doc comment on one line, its backticks in Ansible's markup.
fn markup(text: &str) -> String {
    let mut out = String::new();
    for (number, part) in text.split('`').enumerate() {
        // `C(...)` ends at the first closing bracket; what has one itself stays as it is.
        match (number % 2 == 1, part.contains(')')) {
            (true, false) => {
                let _ = write!(out, "C({part})");
            }
            (true, true) => {
                let _ = write!(out, "`{part}`");
            }
            (false, _) => out.push_str(part),
        }
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Appends a value as YAML in block style, `depth` levels of two spaces deep.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let _ = write!(out, "{pad}{}:", scalar(key, 0));
                entry(value, depth, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let nested = match item {
                    Value::Object(entries) => !entries.is_empty(),
                    Value::Array(items) => !items.is_empty(),
                    _ => false,
                };
                if nested {
                    // The first line of the item goes behind the dash, the others stand below it.
                    let mut text = String::new();
                    yaml(item, depth + 1, &mut text);
                    let _ = write!(out, "{pad}- {}", text.trim_start());
                } else {
                    let _ = write!(out, "{pad}-");
                    entry(item, depth, out);
                }
            }
        }
        _ => {}
    }
}

/// Appends what is there behind a key or a dash, with the end of its line.
fn entry(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::Array(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Object(_) | Value::Array(_) => {
            out.push('\n');
            yaml(value, depth + 1, out);
        }
        Value::String(text) => {
            let _ = writeln!(out, " {}", scalar(text, depth + 1));
        }
        other => {
            let _ = writeln!(out, " {other}");
        }
    }
}

/// Returns a string as YAML: bare where that is safe, else in quotes, folded where it is long.
fn scalar(text: &str, depth: usize) -> String {
    let words = ["yes", "no", "on", "off", "true", "false", "null", "y", "n"];
    let bare = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|c| c.is_alphanumeric() || " _./,;()'\"+*=<>{}[]:|-".contains(c))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !words.contains(&text.to_ascii_lowercase().as_str());
    let pad = "  ".repeat(depth);
    if text.chars().any(char::is_control) {
        // JSON's strings are YAML's double-quoted ones.
        Value::from(text).to_string()
    } else if text.len() + pad.len() > WIDTH {
        let mut out = ">-".to_owned();
        let mut line = String::new();
        for word in text.split(' ') {
            if !line.is_empty() && pad.len() + line.len() + 1 + word.len() > WIDTH {
                let _ = write!(out, "\n{pad}{line}");
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        let _ = write!(out, "\n{pad}{line}");
        out
    } else if bare {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn root() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
    }

    #[test]
    fn the_checked_in_modules_are_what_the_types_say() {
        for (path, text) in files(root()).unwrap() {
            let stands = fs::read_to_string(&path).unwrap();
            assert!(stands == text, "{} is out of date: run `cargo xtask docs`", path.display());
        }
    }

    #[test]
    fn the_role_hands_every_parameter_on() {
        let tasks = fs::read_to_string(root().join("ansible/roles/tuning/tasks/main.yml")).unwrap();
        let schema = schema("params").unwrap();
        for (name, _) in properties(&schema) {
            let line = format!("    {name}: \"{{{{ apache_tuning_{name} ");
            assert!(tasks.contains(&line), "roles/tuning/tasks/main.yml has no line `{line}`");
        }
    }

    #[test]
    fn a_parameter_becomes_an_option() {
        let schema = json!({"required": ["n"], "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "How many `x`\nthere are."},
            "mode": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "What.",
                     "x-choices": ["a: One: the first.", "b: Other."]},
            "list": {"type": "array", "items": {"type": "string"}, "default": [], "description": "Some."},
        }});
        let mut text = String::new();
        yaml(&options(&schema, "suboptions").unwrap(), 0, &mut text);
        let wanted = "\
n:
  description:
    - How many C(x) there are.
    - From 1 to 9.
  type: int
  required: true
mode:
  description:
    - What.
    - 'C(a): One: the first.'
    - 'C(b): Other.'
  type: str
  default: a
  choices:
    - a
    - b
list:
  description:
    - Some.
  type: list
  default: []
  elements: str
";
        // YAML's choice of quotes is checked on its own below.
        assert_eq!(text.replace("'n':", "n:"), wanted);
    }

    #[test]
    fn a_parameter_without_a_doc_comment_is_refused() {
        let schema = json!({"properties": {"n": {"type": "integer"}}});
        assert!(options(&schema, "suboptions").unwrap_err().to_string().contains("`n` has no doc comment"));
    }

    #[test]
    fn a_string_is_quoted_where_yaml_would_read_something_else() {
        for (text, wanted) in [
            ("plain text", "plain text"),
            ("yes", "'yes'"),
            ("No", "'No'"),
            ("5", "'5'"),
            ("1.10", "'1.10'"),
            ("", "''"),
            ("a: b", "'a: b'"),
            ("a #b", "'a #b'"),
            ("it's", "it's"),
            ("- it's", "'- it''s'"),
            ("{a}", "'{a}'"),
            ("end:", "'end:'"),
            ("two\nlines", "\"two\\nlines\""),
        ] {
            assert_eq!(scalar(text, 0), wanted, "{text:?}");
        }
        let long = "word ".repeat(40);
        let folded = scalar(long.trim_end(), 2);
        assert!(folded.lines().all(|line| line.len() <= WIDTH));
        assert_eq!(folded.lines().skip(1).map(str::trim).collect::<Vec<_>>().join(" "), long.trim_end());
    }
}
