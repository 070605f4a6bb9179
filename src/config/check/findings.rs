//! What the check has found so far, and the first questions it asks of every piece: which keys, which kind.
//!
//! Readers return a value even where they report a problem: whatever is built with it is thrown away, because a
//! configuration with a single problem is never used. So every problem is found in one go.

use crate::config::document::{Entry, Piece, Value};
use crate::config::keys::{ALL, Keys};
use crate::config::problem::quoted;
use crate::config::source::{Found, Place, Sources};
use crate::config::suggest;

/// Problems and warnings, collected while the document is walked.
pub(crate) struct Findings<'s> {
    sources: &'s Sources,
    problems: Vec<Found>,
    warnings: Vec<Found>,
    /// Suggestions still worth their time; see [`Findings::nearest`].
    suggestions_left: u32,
}

/// A value and the word that messages call it by: its key, or the key of the list it stands in.
#[derive(Clone, Copy)]
pub(crate) struct At<'n> {
    pub(crate) what: &'n str,
    pub(crate) piece: &'n Piece,
}

/// The entries of a mapping whose keys are known.
pub(crate) struct Fields<'n> {
    entries: &'n [Entry],
    place: Place,
}

impl<'s> Findings<'s> {
    pub(crate) fn new(sources: &'s Sources) -> Self {
        Self {
            sources,
            problems: Vec::new(),
            warnings: Vec::new(),
            suggestions_left: 20,
        }
    }

    /// The problems and the warnings, each with its place.
    pub(crate) fn into_parts(self) -> (Vec<Found>, Vec<Found>) {
        (self.problems, self.warnings)
    }

    /// Reports what makes the configuration unusable.
    pub(crate) fn problem(
        &mut self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.problems
            .push((place, self.sources.problem(place, message, remedy)));
    }

    /// Reports what is doubtful.
    pub(crate) fn warning(
        &mut self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.warnings
            .push((place, self.sources.problem(place, message, remedy)));
    }

    /// The line of a place, with its file where there are several, for messages that name a second place.
    pub(crate) fn line(&self, place: Place) -> String {
        self.sources.line(place)
    }

    /// The words a place holds in the file.
    pub(crate) fn words(&self, place: Place) -> &'s str {
        self.sources.words(place)
    }

    /// Reports a key or a value that the contract promises and this version does not have.
    pub(crate) fn later(&mut self, place: Place, words: &str, remedy: &str) {
        self.problem(place, format!("{words} is not in this version"), remedy);
    }

    /// The remedy for a name that is not known: the nearest one, or what there is to choose from.
    ///
    /// Looking for the nearest is bounded to the first 20 names, so that ten thousand wrong names in a file of ten
    /// thousand routes do not cost a hundred million comparisons.
    pub(crate) fn nearest<'k>(
        &mut self,
        wrong: &str,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> String {
        if self.suggestions_left > 0 {
            self.suggestions_left -= 1;
            if let Some(name) = suggest::nearest(wrong, known.clone()) {
                return format!("did you mean {}?", quoted(name));
            }
        }
        choices(known)
    }

    /// The entries of a mapping. Unknown keys and keys of later versions are reported; `None` when it is no mapping.
    pub(crate) fn fields<'n>(&mut self, at: At<'n>, keys: &'static Keys) -> Option<Fields<'n>> {
        let entries = self.entries(at)?;
        for entry in entries {
            self.key(entry, keys);
        }
        Some(Fields {
            entries,
            place: at.piece.place,
        })
    }

    fn key(&mut self, entry: &Entry, keys: &'static Keys) {
        let key = entry.key.as_str();
        if keys.works.contains(&key) {
            return;
        }
        if let Some((_, remedy)) = keys.later.iter().find(|(later, _)| *later == key) {
            return self.later(entry.place, &quoted(key), remedy);
        }
        let near = suggest::nearest(key, keys.works.iter().copied());
        let elsewhere = ALL
            .iter()
            .find(|other| other.works.contains(&key) || other.later.iter().any(|(k, _)| *k == key));
        let remedy = match (near, elsewhere) {
            (Some(name), _) => format!("did you mean {}?", quoted(name)),
            (None, Some(other)) => format!("it belongs in {}", other.kind),
            (None, None) => choices(keys.works.iter().copied()),
        };
        let message = format!("unknown key {} in {}", quoted(key), keys.kind);
        self.problem(entry.place, message, remedy);
    }

    /// The entries of a mapping whose keys are free.
    pub(crate) fn entries<'n>(&mut self, at: At<'n>) -> Option<&'n [Entry]> {
        match &at.piece.value {
            Value::Map(entries) => Some(entries),
            Value::Null | Value::Scalar(_) | Value::List(_) => {
                self.wrong_kind(
                    at,
                    "a mapping",
                    "write it as `key: value` lines, or { key: value }",
                );
                None
            }
        }
    }

    /// The items of a list.
    pub(crate) fn list<'n>(
        &mut self,
        at: At<'n>,
    ) -> Option<impl Iterator<Item = At<'n>> + use<'n>> {
        if let Value::List(items) = &at.piece.value {
            let what = at.what;
            return Some(items.iter().map(move |piece| At { what, piece }));
        }
        self.wrong_kind(at, "a list", "write [a, b], or one \"- \" line for each");
        None
    }

    /// Reports a value of the wrong kind.
    pub(crate) fn wrong_kind(&mut self, at: At<'_>, wanted: &str, remedy: &str) {
        let (what, place) = (called(at.what), at.piece.place);
        let message = match &at.piece.value {
            Value::Null => {
                let remedy = format!("{remedy}, or remove the key");
                return self.problem(place, format!("{what} has no value"), remedy);
            }
            Value::List(_) => format!("{what} must be {wanted}, not a list"),
            Value::Map(_) => format!("{what} must be {wanted}, not a mapping"),
            Value::Scalar(scalar) => {
                format!("{what} must be {wanted}, not {}", quoted(&scalar.text))
            }
        };
        self.problem(place, message, remedy);
    }
}

impl<'n> Fields<'n> {
    /// The value of a key, if it is there.
    pub(crate) fn get(&self, key: &'static str) -> Option<At<'n>> {
        self.entry(key).map(|entry| At {
            what: key,
            piece: &entry.value,
        })
    }

    /// The place of a key, if it is there.
    pub(crate) fn key(&self, key: &str) -> Option<Place> {
        self.entry(key).map(|entry| entry.place)
    }

    /// Whether nothing at all stands in the mapping.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the mapping begins: its first key, or its bracket.
    pub(crate) fn place(&self) -> Place {
        self.entries.first().map_or(self.place, |entry| entry.place)
    }

    fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// A key is quoted, a description ("an endpoint") is not.
pub(crate) fn called(what: &str) -> String {
    if what.contains(' ') {
        return what.to_owned();
    }
    quoted(what)
}

fn choices<'k>(mut known: impl Iterator<Item = &'k str> + Clone) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<&str> = known.clone().take(SHOWN).collect();
    let more = if known.nth(SHOWN).is_some() {
        ", …"
    } else {
        ""
    };
    match shown.as_slice() {
        [] => "remove it".to_owned(),
        [only] => format!("write {only}"),
        several => format!("write one of {}{more}", several.join(", ")),
    }
}
