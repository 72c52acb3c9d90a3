//! The desired state of each host: one file for all, and over it the host's variables `apache_tuning_*`.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::inventory::PREFIX;
use crate::params::{self, Asked, Params};
use crate::registry::FEATURES;

/// Variables of the playbooks that are no parameters of the module.
const PLAYBOOK_VARIABLES: &[&str] = &[
    "hosts",
    "become",
    "service",
    "family_service",
    "batches",
    "batch_max",
    "max_failures",
    "max_fail_percentage",
    "soak",
    "confirm",
    "drain",
    "undrain",
    "order",
    "zone",
    "zone_max",
    "result",
    "canary",
    "step",
    "known_variables",
    "inconclusive",
];

/// One desired state, made from the file and a host's variables.
#[derive(Debug, Clone, PartialEq)]
pub enum Desired {
    /// The parameters.
    Params(Box<Params>),
    /// A variable's value is a template, which only Ansible can work out.
    Template {
        /// The variable.
        variable: String,
    },
    /// The parameters are not valid; one line an error.
    Invalid(String),
}

/// Every desired state of the fleet, each once.
#[derive(Debug, Default)]
pub struct DesiredStates {
    base: Map<String, Value>,
    states: Vec<Desired>,
    by_text: HashMap<String, usize>,
}

impl DesiredStates {
    /// Begins with the parameters that count for every host.
    pub fn new(base: Map<String, Value>) -> Self {
        Self { base, ..Self::default() }
    }

    /// Returns the number of the desired state of a host with these variables.
    pub fn of_host(&mut self, vars: &BTreeMap<String, Value>) -> usize {
        let mut params = self.base.clone();
        let mut template = None;
        for (name, value) in vars {
            let Some(key) = name.strip_prefix(PREFIX) else { continue };
            if PLAYBOOK_VARIABLES.contains(&key) {
                continue;
            }
            if is_template(value) && template.is_none() {
                template = Some(name.clone());
            }
            params.insert(key.to_owned(), value.clone());
        }
        // Never this machine's own root or another one: the facts stand for the host.
        params.remove("root");
        let text = match &template {
            Some(variable) => format!("template {variable}"),
            None => Value::Object(params).to_string(),
        };
        if let Some(number) = self.by_text.get(&text) {
            return *number;
        }
        let desired = match template {
            Some(variable) => Desired::Template { variable },
            None => read_desired(&text),
        };
        self.states.push(desired);
        self.by_text.insert(text, self.states.len() - 1);
        self.states.len() - 1
    }

    /// Returns a desired state by its number.
    pub fn get(&self, number: usize) -> Option<&Desired> {
        self.states.get(number)
    }

    /// Returns how many different ones there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Tells whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

/// Reads parameters as the module does.
fn read_desired(text: &str) -> Desired {
    match params::parse(text.as_bytes(), FEATURES) {
        Ok((Asked::Tuning(params), _)) => Desired::Params(params),
        Ok((Asked::Info(_), _)) => Desired::Invalid("these are parameters of tuning_info".to_owned()),
        Err(refused) => {
            let lines: Vec<String> = refused.errors.into_iter().map(|error| error.message).collect();
            Desired::Invalid(lines.join("\n"))
        }
    }
}

/// Tells whether a value holds something that Ansible would still work out.
fn is_template(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{") || text.contains("{%"),
        Value::Array(items) => items.iter().any(is_template),
        Value::Object(map) => map.values().any(is_template),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vars(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn variables_go_over_the_file_and_equal_states_are_one() {
        let base = serde_json::json!({"mpm": "worker", "keepalive": {"enabled": true}});
        let mut states = DesiredStates::new(base.as_object().unwrap().clone());
        let plain = states.of_host(&BTreeMap::new());
        let event = states
            .of_host(&vars(&[("apache_tuning_mpm", "event".into()), ("apache_tuning_hosts", "web".into())]));
        assert_ne!(plain, event);
        assert_eq!(states.of_host(&vars(&[("apache_tuning_soak", 3.into())])), plain);
        let Some(Desired::Params(params)) = states.get(event) else { panic!() };
        assert_eq!(params.mpm.unwrap().name(), "event");
        assert!(params.groups.has("keepalive"));
    }

    #[test]
    fn a_template_and_a_misspelt_variable_are_named() {
        let mut states = DesiredStates::new(Map::new());
        let number = states
            .of_host(&vars(&[("apache_tuning_capacity", serde_json::json!({"connections": "{{ n }}"}))]));
        assert_eq!(
            states.get(number),
            Some(&Desired::Template { variable: "apache_tuning_capacity".to_owned() })
        );
        let number = states.of_host(&vars(&[("apache_tuning_mmp", "event".into())]));
        assert!(matches!(states.get(number), Some(Desired::Invalid(text)) if text.contains("mpm")));
    }
}
