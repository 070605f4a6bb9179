//! What a mapping's schema is put together from.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::keys::{Keys, Words};
use crate::units::{print_duration, print_size};

/// A mapping with a fixed set of keys.
pub(crate) struct Shape {
    /// Its name among the definitions.
    pub(crate) name: &'static str,
    /// The keys that the check knows in it.
    pub(crate) keys: &'static Keys,
    about: &'static str,
    properties: Vec<(&'static str, Value)>,
    /// What must be there, as further keywords; in one file of a folder it may be in another, unless the mapping is
    /// the item of a list.
    needed: Value,
    is_item: bool,
}

impl Shape {
    /// A mapping that nothing must be in.
    pub(super) fn new(
        name: &'static str,
        keys: &'static Keys,
        about: &'static str,
        properties: Vec<(&'static str, Value)>,
    ) -> Self {
        Self {
            name,
            keys,
            about,
            properties,
            needed: json!({}),
            is_item: false,
        }
    }

    /// The same with what must be in it.
    pub(super) fn needs(self, needed: Value) -> Self {
        Self { needed, ..self }
    }

    /// The same as the item of a list, which stands whole in one file.
    pub(super) fn item(self) -> Self {
        Self {
            is_item: true,
            ..self
        }
    }

    /// Its schema.
    pub(crate) fn schema(self, is_part: bool) -> Value {
        let may_be_elsewhere = is_part && !self.is_item;
        let properties: Map<String, Value> = self
            .properties
            .into_iter()
            .map(|(key, schema)| (key.to_owned(), schema))
            .map(|(key, schema)| match may_be_elsewhere {
                true => (key, without_least(schema)),
                false => (key, schema),
            })
            .collect();
        let mut schema = json!({
            "title": self.keys.kind,
            "type": "object",
            "description": self.about,
            "properties": properties,
            "additionalProperties": false,
        });
        if !may_be_elsewhere {
            merge(&mut schema, self.needed);
        }
        schema
    }
}

/// The schema without how many there must be.
fn without_least(mut schema: Value) -> Value {
    if let Some(keywords) = schema.as_object_mut() {
        keywords.remove("minItems");
        keywords.remove("minProperties");
    }
    schema
}

fn merge(schema: &mut Value, more: Value) {
    if let (Some(keywords), Value::Object(more)) = (schema.as_object_mut(), more) {
        keywords.extend(more);
    }
}

/// A key with its meaning.
pub(super) fn key(name: &'static str, about: &str, mut schema: Value) -> (&'static str, Value) {
    merge(&mut schema, json!({ "description": about }));
    (name, schema)
}

/// A key with its meaning and what it is when it is missing.
pub(super) fn with_default(
    name: &'static str,
    about: &str,
    schema: Value,
    default: impl Into<Value>,
) -> (&'static str, Value) {
    let (name, mut schema) = key(name, about, schema);
    merge(&mut schema, json!({ "default": default.into() }));
    (name, schema)
}

/// A definition by its name.
pub(super) fn one(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A list of these.
pub(super) fn list(item: Value) -> Value {
    keywords([("type", json!("array")), ("items", item)])
}

/// A list of at least one of these.
pub(super) fn some(item: Value) -> Value {
    keywords([
        ("type", json!("array")),
        ("items", item),
        ("minItems", json!(1)),
    ])
}

/// A mapping from names of the user's own to these.
pub(super) fn named(value: Value) -> Value {
    keywords([("type", json!("object")), ("additionalProperties", value)])
}

fn keywords<const N: usize>(keywords: [(&str, Value); N]) -> Value {
    let owned = keywords.map(|(keyword, value)| (keyword.to_owned(), value));
    Value::Object(owned.into_iter().collect())
}

/// One of a few words.
pub(super) fn word(words: &Words) -> Value {
    json!({ "anyOf": [ { "enum": words.works }, one("Variable") ] })
}

/// A whole number in a range.
pub(super) fn whole(low: u64, high: u64) -> Value {
    json!({ "anyOf": [ { "type": "integer", "minimum": low, "maximum": high }, one("Variable") ] })
}

/// A limit as it is written: none is 0.
pub(super) fn duration(limit: Option<Duration>) -> Value {
    json!(print_duration(limit.unwrap_or_default()))
}

/// A limit as it is written: none is 0.
pub(super) fn size(limit: Option<u64>) -> Value {
    match limit {
        Some(limit) => json!(print_size(limit)),
        None => json!(0),
    }
}

/// A limit as it is written: none is 0.
pub(super) fn octets(limit: Option<usize>) -> Value {
    size(limit.map(|limit| u64::try_from(limit).unwrap_or(u64::MAX)))
}
