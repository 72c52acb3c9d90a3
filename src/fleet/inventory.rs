//! The inventory: which hosts there are, and the variables that make each host's desired state.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

/// The prefix of the variables that role and playbooks take.
pub const PREFIX: &str = "apache_tuning_";

/// The hosts of an inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Each host's variables that count: those of this collection, and the one asked for beside them.
    pub hosts: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Inventory {
    /// Returns a host's variable as text: of a text itself, of anything else its JSON.
    pub fn text_of(&self, host: &str, variable: &str) -> Option<Box<str>> {
        Some(match self.hosts.get(host)?.get(variable)? {
            Value::String(text) => text.as_str().into(),
            other => other.to_string().into(),
        })
    }
}

/// Reads what `ansible-inventory --list` prints. `also` is a variable to keep beside those of this collection.
///
/// # Errors
/// Says what the text is instead, or that it was made with `--export`, which leaves variables at their groups.
pub fn read_inventory(text: &str, also: Option<&str>) -> Result<Inventory, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let inventory = Top { also }.deserialize(&mut reader).map_err(|error| {
        let words = error.to_string();
        if words.contains("--export") {
            words.split(" at line ").next().unwrap_or_default().to_owned()
        } else {
            format!("it is not what `ansible-inventory --list` prints: {words}")
        }
    })?;
    reader.end().map_err(|error| format!("something is behind the inventory: {error}"))?;
    Ok(inventory)
}

#[derive(Clone, Copy)]
struct Top<'a> {
    also: Option<&'a str>,
}

/// A group: its hosts, and variables only where `--export` left them.
#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    hosts: Vec<String>,
    vars: Option<IgnoredAny>,
}

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Inventory;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inventory, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Inventory;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of groups with `_meta`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Inventory, A::Error> {
        let mut inventory = Inventory::default();
        let mut has_meta = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "_meta" {
                has_meta = true;
                for (host, vars) in map.next_value_seed(Meta(self))? {
                    inventory.hosts.entry(host).or_default().extend(vars);
                }
                continue;
            }
            let group: Group = map.next_value()?;
            if group.vars.is_some() {
                return Err(de::Error::custom(
                    "the inventory was made with --export, which leaves variables at their groups; \
                     make it with `ansible-inventory --list` alone",
                ));
            }
            for host in group.hosts {
                inventory.hosts.entry(host).or_default();
            }
        }
        if !has_meta {
            return Err(de::Error::missing_field("_meta"));
        }
        Ok(inventory)
    }
}

/// The variables of every host.
type AllVars = BTreeMap<String, BTreeMap<String, Value>>;

struct Meta<'a>(Top<'a>);

impl<'de> DeserializeSeed<'de> for Meta<'_> {
    type Value = AllVars;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AllVars, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Meta<'_> {
    type Value = AllVars;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`hostvars`")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AllVars, A::Error> {
        let mut all = AllVars::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "hostvars" {
                all = map.next_value_seed(HostVars(self.0))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(all)
    }
}

struct HostVars<'a>(Top<'a>);

impl<'de> DeserializeSeed<'de> for HostVars<'_> {
    type Value = AllVars;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AllVars, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for HostVars<'_> {
    type Value = AllVars;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of hosts")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AllVars, A::Error> {
        let mut all = AllVars::new();
        while let Some(host) = map.next_key::<String>()? {
            let vars = map.next_value_seed(Vars(self.0))?;
            all.insert(host, vars);
        }
        Ok(all)
    }
}

struct Vars<'a>(Top<'a>);

impl<'de> DeserializeSeed<'de> for Vars<'_> {
    type Value = BTreeMap<String, Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Vars<'_> {
    type Value = BTreeMap<String, Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a host's variables")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut vars = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.starts_with(PREFIX) || Some(name.as_str()) == self.0.also {
                vars.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(vars)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIST: &str = r#"{"_meta": {"hostvars": {"w1": {"apache_tuning_mpm": "event", "zone": "a", "other": {"x": 1}},
        "w2": {}}, "profile": "inventory_legacy"}, "all": {"children": ["ungrouped", "web"]}, "web": {"hosts": ["w1", "w2", "w3"]}}"#;

    #[test]
    fn hosts_come_from_groups_and_variables_and_only_what_counts_is_kept() {
        let inventory = read_inventory(LIST, Some("zone")).unwrap();
        assert_eq!(inventory.hosts.keys().collect::<Vec<_>>(), ["w1", "w2", "w3"]);
        let names: Vec<&String> = inventory.hosts["w1"].keys().collect();
        assert_eq!(names, ["apache_tuning_mpm", "zone"]);
    }

    #[test]
    fn an_exported_inventory_and_other_texts_are_refused_by_name() {
        let exported = r#"{"_meta": {"hostvars": {}}, "web": {"hosts": ["w1"], "vars": {"apache_tuning_mpm": "event"}}}"#;
        let error = read_inventory(exported, None).unwrap_err();
        assert!(error.contains("--export") && !error.contains("line 1"), "{error}");
        for text in ["", "[]", "web1\nweb2\n", "{\"web\": 1}", "{} {}", "{\"web\": {}}"] {
            assert!(read_inventory(text, None).is_err(), "{text}");
        }
    }
}
