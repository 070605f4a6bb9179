//! What everything that is shown is made of: maps without what is not set, values without what is secret.

use http::HeaderValue;
use serde_json::Value;

/// Stands in the place of a secret.
pub(super) const LEFT_OUT: &str = "(left out)";

/// An object without the keys that have no value.
pub(super) fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// A header's value, unless it is secret.
pub(super) fn shown(value: &HeaderValue) -> String {
    if value.is_sensitive() {
        return LEFT_OUT.to_owned();
    }
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}
