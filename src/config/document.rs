//! The YAML as it was typed: a tree of pieces, each with its place and its own words.
//!
//! serde-saphyr reads it into `Spanned` pieces; here they become [`Piece`]s: numbers keep their digits (thousandths stay
//! exact), variables are filled in, keys that stand twice are told. What keys and values mean is decided in `check`.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Location, Options, Spanned};

use crate::config::problem::{Problem, quoted};
use crate::config::source::{Found, Place, Source};
use crate::config::substitute;
use crate::config::syntax::{self, MAX_DEPTH, place_of};

/// A value with its place. What an alias repeats has the place of the alias.
pub(crate) struct Piece {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

/// A value as typed.
pub(crate) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, a number or a boolean: which, is decided by what is wanted.
    Scalar(Scalar),
    List(Vec<Piece>),
    /// In file order, no key twice.
    Map(Vec<Entry>),
}

/// A key with its value.
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Piece,
}

/// A text, a number or a boolean.
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Written with quotes (or as a block), so that it cannot be a number or a boolean.
    pub(crate) is_quoted: bool,
    /// It came, at least in part, from an environment variable.
    pub(crate) is_substituted: bool,
}

/// The tree of a source, and every problem met on the way. What it holds is taken from `budget`.
///
/// # Errors
/// When the text is no YAML, or is more than a configuration can be.
pub(crate) fn parse(
    source: &Source,
    env: &dyn Fn(&str) -> Option<String>,
    budget: &mut Budget,
) -> Result<Document, Problem> {
    let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(source.text(), options(budget))
        .map_err(|error| syntax::explain(source, &error))?;
    let mut builder = Builder {
        source,
        env,
        budget,
        problems: Vec::new(),
        filled_in: Vec::new(),
    };
    let root = builder.piece(raw, None);
    Ok(Document {
        root,
        problems: builder.problems,
        filled_in: builder.filled_in,
    })
}

/// A parsed source.
pub(crate) struct Document {
    pub(crate) root: Piece,
    /// Keys that stand twice, and variables that could not be filled in.
    pub(crate) problems: Vec<Found>,
    /// Every value that held a variable, filled in, in file order.
    pub(crate) filled_in: Vec<String>,
}

/// What all files of a configuration together may still hold: 10,000 routes and endpoints are about 300,000 pieces.
pub(crate) struct Budget {
    pieces: usize,
    /// Of these, what aliases may repeat.
    repeated: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            pieces: 4_000_000,
            repeated: 100_000,
        }
    }
}

/// Everything strict, and bounded.
fn options(budget: &Budget) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 2,
            max_nodes: budget.pieces,
            max_events: budget.pieces.saturating_mul(2),
            max_aliases: 10_000,
            max_anchors: 10_000,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: budget.repeated,
            max_replay_stack_depth: MAX_DEPTH,
        },
        // The last one wins: only so does every one of them reach the builder, which tells them all.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        emit_comments: false,
        with_snippet: false,
    }
}

/// What serde-saphyr hands over. Types it guesses are ignored: the words in the source count.
enum Raw {
    Null,
    /// A text, with escapes and folding resolved.
    Text(String),
    /// A number or a boolean, whose words are in the source.
    Plain,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Turns what was read into pieces.
struct Builder<'a> {
    source: &'a Source,
    env: &'a dyn Fn(&str) -> Option<String>,
    budget: &'a mut Budget,
    problems: Vec<Found>,
    filled_in: Vec<String>,
}

impl Builder<'_> {
    /// `key` is the place of the key; a value that is not there is told at its key.
    fn piece(&mut self, raw: Spanned<Raw>, key: Option<Place>) -> Piece {
        self.budget.pieces = self.budget.pieces.saturating_sub(1);
        if raw.referenced != raw.defined {
            self.budget.repeated = self.budget.repeated.saturating_sub(1);
        }
        let place = self.place(&raw.referenced);
        let words = self.source.words(self.place(&raw.defined));
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::Text(text) => self.scalar(text, words, place),
            Raw::Plain => self.scalar(words.to_owned(), words, place),
            Raw::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| self.piece(item, None))
                    .collect(),
            ),
            Raw::Map(entries) => Value::Map(self.entries(entries)),
        };
        let place = match (&value, key) {
            (Value::Null, Some(key)) if place.length == 0 => key,
            _ => place,
        };
        Piece { place, value }
    }

    fn scalar(&mut self, text: String, words: &str, place: Place) -> Value {
        // A block scalar has words that do not begin with its `|`; being no number it needs no mark.
        let is_quoted = words.starts_with(['"', '\'']);
        match substitute::fill_in(&text, self.env) {
            Ok(None) => Value::Scalar(Scalar {
                text,
                is_quoted,
                is_substituted: false,
            }),
            Ok(Some(filled)) => {
                self.filled_in.push(filled.clone());
                // Typed again: nothing but `null` is nothing, and quotes no longer hide a number.
                if !is_quoted && matches!(filled.as_str(), "" | "~" | "null") {
                    return Value::Null;
                }
                Value::Scalar(Scalar {
                    text: filled,
                    is_quoted: false,
                    is_substituted: true,
                })
            }
            Err(fault) => {
                let variable = text.get(fault.start..fault.start + fault.length);
                let offset = variable.and_then(|variable| words.find(variable));
                let place = offset.map_or(place, |offset| Place {
                    start: place.start + offset,
                    length: fault.length,
                });
                let problem = self.source.problem(place, fault.message, fault.remedy);
                self.problems.push((place, problem));
                Value::Scalar(Scalar {
                    text,
                    is_quoted,
                    is_substituted: true,
                })
            }
        }
    }

    fn entries(&mut self, raw: Vec<(Spanned<String>, Spanned<Raw>)>) -> Vec<Entry> {
        let mut firsts: HashMap<String, Place> = HashMap::with_capacity(raw.len());
        let mut entries = Vec::with_capacity(raw.len());
        for (key, value) in raw {
            let place = self.place(&key.referenced);
            if let Some(&first) = firsts.get(&key.value) {
                let message = format!(
                    "the key {} stands here a second time; the first is in line {}",
                    quoted(&key.value),
                    self.source.line(first)
                );
                let problem = self.source.problem(place, message, "keep one of them");
                self.problems.push((place, problem));
                continue;
            }
            firsts.insert(key.value.clone(), place);
            let value = self.piece(value, Some(place));
            entries.push(Entry {
                key: key.value,
                place,
                value,
            });
        }
        entries
    }

    fn place(&self, location: &Location) -> Place {
        place_of(self.source, location)
    }
}
