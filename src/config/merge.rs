//! Several files as one: maps are merged, lists joined in the order of the files, and anything that is set twice is a
//! problem that names both places.
//!
//! It works on what was typed, at any depth, and knows no keys: what the whole means is decided in `check`. Two routes
//! of one name are two items of a list, which `check` refuses.

use std::collections::HashMap;

use crate::config::document::{Entry, Piece, Value};
use crate::config::problem::quoted;
use crate::config::source::{Found, Place, Sources};

/// The files' trees as one tree, and what is set twice. A single tree stays as it is; of several, those without any
/// key add nothing.
pub(crate) fn merge(mut roots: Vec<Piece>, sources: &Sources) -> (Piece, Vec<Found>) {
    if roots.len() == 1
        && let Some(root) = roots.pop()
    {
        return (root, Vec::new());
    }
    let mut merger = Merger {
        sources,
        found: Vec::new(),
    };
    let mut maps = Vec::with_capacity(roots.len());
    for root in roots {
        match root.value {
            Value::Map(entries) => maps.push(entries),
            Value::Null => {}
            Value::Scalar(_) | Value::List(_) => {
                let message = "a file of a configuration is a mapping of keys";
                let remedy = "write keys such as routes: or pools:, or move the file elsewhere";
                let problem = sources.problem(root.place, message, remedy);
                merger.found.push((root.place, problem));
            }
        }
    }
    let value = match maps.is_empty() {
        true => Value::Null,
        false => Value::Map(merger.maps(maps)),
    };
    let place = Place::default();
    (Piece { place, value }, merger.found)
}

struct Merger<'a> {
    sources: &'a Sources,
    found: Vec<Found>,
}

impl Merger<'_> {
    fn maps(&mut self, maps: Vec<Vec<Entry>>) -> Vec<Entry> {
        let mut positions: HashMap<String, usize> = HashMap::new();
        let mut merged: Vec<(Entry, Vec<Entry>)> = Vec::new();
        for entry in maps.into_iter().flatten() {
            match positions.get(&entry.key) {
                Some(&position) => merged[position].1.push(entry),
                None => {
                    positions.insert(entry.key.clone(), merged.len());
                    merged.push((entry, Vec::new()));
                }
            }
        }
        merged
            .into_iter()
            .map(|(first, others)| match others.is_empty() {
                true => first,
                false => self.entry(first, others),
            })
            .collect()
    }

    /// One key of several files.
    fn entry(&mut self, mut first: Entry, others: Vec<Entry>) -> Entry {
        let mut maps = Vec::new();
        let (alike, twice): (Vec<Entry>, Vec<Entry>) = others.into_iter().partition(|other| {
            matches!(
                (&first.value.value, &other.value.value),
                (Value::Map(_), Value::Map(_)) | (Value::List(_), Value::List(_))
            )
        });
        for other in alike {
            match (&mut first.value.value, other.value.value) {
                (Value::List(items), Value::List(more)) => items.extend(more),
                (_, Value::Map(entries)) => maps.push(entries),
                _ => {}
            }
        }
        if let (Value::Map(entries), false) = (&mut first.value.value, maps.is_empty()) {
            maps.insert(0, std::mem::take(entries));
            *entries = self.maps(maps);
        }
        for other in twice {
            let message = format!(
                "the key {} is set here a second time; the first is in line {}",
                quoted(&other.key),
                self.sources.line(first.place)
            );
            let problem = self
                .sources
                .problem(other.place, message, "keep one of them");
            self.found.push((other.place, problem));
        }
        first
    }
}
