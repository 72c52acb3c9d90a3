//! Reads one JSON object and notices keys that are given twice, which plain parsing would drop silently.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::bounds;

/// The most keys given twice that are told.
const MOST: usize = 20;

/// Parses `text` and returns the value and the path of each key given twice (`settings.server_limit`), of very many
/// the first ones.
///
/// # Errors
/// serde_json's own message, with line and column.
pub fn parse(text: &str) -> Result<(Value, Vec<String>), serde_json::Error> {
    let twice = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Seed { place: Place::Whole, twice: &twice }.deserialize(&mut reader)?;
    reader.end()?;
    Ok((value, twice.into_inner()))
}

/// Where a value is; made into a path only where that is asked for, which for a list of a million is never.
#[derive(Clone, Copy)]
enum Place<'a> {
    Whole,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn path(&self) -> String {
        match self {
            Place::Whole => String::new(),
            Place::Key(object, key) => join(&object.path(), &bounds::cut(key)),
            Place::Index(list, index) => format!("{}[{index}]", list.path()),
        }
    }
}

/// Builds a [`Value`] while it knows where it is.
struct Seed<'a> {
    place: Place<'a>,
    twice: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let place = Place::Index(&self.place, list.len());
            match items.next_element_seed(Seed { place, twice: self.twice })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let place = Place::Key(&self.place, &key);
            let value = entries.next_value_seed(Seed { place, twice: self.twice })?;
            if map.contains_key(&key) {
                let mut twice = self.twice.try_borrow_mut().map_err(A::Error::custom)?;
                if twice.len() < MOST {
                    let path = place.path();
                    if !twice.contains(&path) {
                        twice.push(path);
                    }
                }
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Returns the path of `key` inside the object at `path`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_given_twice_is_noticed_at_every_depth() {
        for (text, want) in [
            (r#"{"a": 1, "b": 2}"#, &[][..]),
            (r#"{"a": 1, "a": 2}"#, &["a"]),
            (r#"{"a": 1, "a": 2, "a": 3}"#, &["a"]),
            (r#"{"s": {"x": 1, "x": 1}, "t": {"x": 1}}"#, &["s.x"]),
            (r#"{"l": [{"x": 1}, {"x": 1, "x": 2}]}"#, &["l[1].x"]),
        ] {
            assert_eq!(parse(text).unwrap().1, want, "{text}");
        }
    }

    #[test]
    fn what_is_not_one_json_value_is_refused() {
        for text in ["", "{", "{} {}", "{\"a\": NaN}", "{\"a\": Infinity}", "nul", "{\"a\": 1,}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
