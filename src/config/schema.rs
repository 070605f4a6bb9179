//! The JSON Schema of the configuration (draft 2020-12), for editors: which keys stand where, what they mean, what they
//! are when they are missing.
//!
//! The document is checked by hand, piece by piece, so there are no types to derive a schema from. Instead each mapping
//! here stands beside its `Keys`, whose `works` are its keys and no others, words come from the `Words` that the check
//! reads, and defaults from the model; tests hold the rest against the check itself. Keys of later versions are not
//! in it. A schema knows less than `fiel check`: names that must exist, addresses bound twice, routes never reached.

mod around;
mod edge;
mod pool;
mod probe;
mod route;
mod scalar;
mod shape;

use serde_json::{Map, Value, json};

use crate::config::schema::shape::Shape;

/// Which file it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A file that is a configuration by itself.
    Whole,
    /// One file of a folder: what is needed may stand in another.
    Part,
}

/// The schema, laid out for people as well.
#[must_use]
pub fn text(scope: Scope) -> String {
    format!("{:#}\n", schema(scope))
}

/// The schema.
#[must_use]
pub fn schema(scope: Scope) -> Value {
    let mut definitions: Map<String, Value> = scalar::all()
        .into_iter()
        .map(|(name, scalar)| (name.to_owned(), scalar))
        .collect();
    for shape in shapes() {
        definitions.insert(shape.name.to_owned(), shape.schema(scope == Scope::Part));
    }
    let about = match scope {
        Scope::Whole => "A configuration of fiel, whole in one file.",
        Scope::Part => "One file of a folder that is a configuration of fiel.",
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "fiel",
        "description": about,
        "$ref": "#/$defs/Configuration",
        "$defs": definitions,
    })
}

/// Every mapping with a fixed set of keys.
pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = edge::shapes();
    shapes.extend(route::shapes());
    shapes.extend(pool::shapes());
    shapes.extend(probe::shapes());
    shapes.extend(around::shapes());
    shapes
}
