//! The user's own edits to fields: first `remove`, then `set`, then `add`.
//!
//! The configuration refuses edits to what frames a message; here they are taken as they are.

use http::HeaderMap;

use crate::config::model::HeaderEdits;

/// Applies the edits in their order, which is not the order in the file.
pub fn apply(headers: &mut HeaderMap, edits: &HeaderEdits) {
    for name in &edits.remove {
        headers.remove(name);
    }
    for (name, value) in &edits.set {
        headers.insert(name, value.clone());
    }
    for (name, value) in &edits.add {
        headers.append(name, value.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::header::tests::fields;

    fn named(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    }

    #[test]
    fn edits_remove_then_set_then_add() {
        let mut headers = fields(&[("a", "1"), ("a", "2"), ("b", "1"), ("b", "2"), ("c", "1")]);
        let edits = HeaderEdits {
            add: vec![named("a", "4"), named("b", "4"), named("c", "4")],
            set: vec![named("a", "3"), named("b", "3")],
            remove: vec![HeaderName::from_static("a"), HeaderName::from_static("d")],
        };
        apply(&mut headers, &edits);
        let expected = [
            ("a", "3"),
            ("a", "4"),
            ("b", "3"),
            ("b", "4"),
            ("c", "1"),
            ("c", "4"),
        ];
        assert_eq!(headers, fields(&expected));
    }
}
