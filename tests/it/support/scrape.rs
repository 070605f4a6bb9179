//! What `/metrics` tells: every series by its own text.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::wait::DEADLINE;
use super::{Fiel, client};

/// One scrape.
#[derive(Clone, Debug)]
pub(crate) struct Scrape {
    text: String,
}

/// What a scrape tells of one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Family {
    /// `counter`, `gauge`, `histogram`.
    pub(crate) kind: String,
    /// The names of the labels of each series, in order; the `le` of buckets is left out.
    pub(crate) labels: BTreeSet<Vec<String>>,
}

impl Scrape {
    /// Scrapes now.
    pub(crate) fn of(fiel: &Fiel) -> Self {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = client::request(fiel.admin(), request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        Self {
            text: answer.text(),
        }
    }

    /// Scrapes until each of these series has its value: a request is counted a moment after its client has its answer.
    ///
    /// # Panics
    /// When one has not after the deadline; says which.
    pub(crate) fn wait_for(fiel: &Fiel, expected: &[(&str, f64)]) -> Self {
        let begin = Instant::now();
        loop {
            let scrape = Self::of(fiel);
            let differing: Vec<_> = expected
                .iter()
                .map(|&(series, value)| (series, value, scrape.value(series)))
                .filter(|(_, wanted, value)| *value != Some(*wanted))
                .collect();
            if differing.is_empty() {
                return scrape;
            }
            let is_over = begin.elapsed() > DEADLINE;
            assert!(!is_over, "not so: {differing:?} in\n{}", scrape.text);
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// The text as it came.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The value of a series by its whole text: `name{label="value"}`.
    pub(crate) fn value(&self, series: &str) -> Option<f64> {
        let value = self.samples().find(|(known, _)| *known == series)?.1;
        Some(value)
    }

    /// Every series with its value.
    pub(crate) fn samples(&self) -> impl Iterator<Item = (&str, f64)> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a series and its value");
            (series, value.parse().expect("a number"))
        })
    }

    /// Every series by its text.
    pub(crate) fn series(&self) -> BTreeSet<&str> {
        self.samples().map(|(series, _)| series).collect()
    }

    /// Every metric by its name.
    pub(crate) fn families(&self) -> BTreeMap<String, Family> {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        for line in self.text.lines() {
            let Some(typed) = line.strip_prefix("# TYPE ") else {
                continue;
            };
            let (name, kind) = typed.split_once(' ').expect("a name and a type");
            let family = Family {
                kind: kind.to_owned(),
                labels: BTreeSet::new(),
            };
            let before = families.insert(name.to_owned(), family);
            assert_eq!(before, None, "{name} is there twice");
        }
        for series in self.series() {
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part));
            let name = whole
                .filter(|whole| {
                    families
                        .get(*whole)
                        .is_some_and(|one| one.kind == "histogram")
                })
                .unwrap_or(name);
            let family = families.get_mut(name);
            family
                .unwrap_or_else(|| panic!("{series} has no type"))
                .labels
                .insert(names_of(labels));
        }
        families
    }
}

/// The names in `one="…",other="…"}`; no value in a test holds a quote.
fn names_of(labels: &str) -> Vec<String> {
    let parts: Vec<&str> = labels.split('"').collect();
    let names = parts.chunks_exact(2).map(|pair| pair[0]);
    let names = names.map(|name| name.trim_matches([',', '=']).to_owned());
    names.filter(|name| name != "le").collect()
}
