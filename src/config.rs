//! From a file, or a folder of them, to a checked [`Config`].
//!
//! source (texts with places) -> document (what the user typed, `${NAME}` filled in) -> merge (several files as one)
//! -> check (what it means) -> model. Every problem is collected; none stops the others from being found. Only text
//! that is no YAML at all ends the search in its file at the first fault, and before the check.

mod check;
mod document;
mod files;
pub(crate) mod folder;
mod keys;
mod merge;
pub mod model;
pub mod path;
mod problem;
mod redact;
pub mod schema;
mod source;
mod substitute;
mod suggest;
mod syntax;

pub use model::Config;
pub use problem::{Problem, Problems};

use std::path::{Path, PathBuf};

use crate::config::document::Budget;
use crate::config::source::{MAX_BYTES, Source, Sources};

/// A configuration that is right, and what else is known about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is to be in force.
    pub config: Config,
    /// 16 hex digits over the text and the values of its variables: equal for equal configurations, on every host.
    pub hash: String,
    /// The files whose change may change the configuration or what it names: itself (or its folder), and the token
    /// file.
    pub files: Vec<PathBuf>,
    /// The files that were read, in order.
    pub parts: Vec<PathBuf>,
    /// What lies in the folder and was not read: what is not called `*.yaml` or `*.yml`, without hidden files.
    pub left_out: Vec<PathBuf>,
    /// The configuration in force with its defaults, secrets left out, as `GET /config` shows it.
    pub redacted: serde_json::Value,
    /// What is doubtful, in file order.
    pub warnings: Vec<Problem>,
}

/// Loads a configuration, a file or a folder of them, with the environment variables of this process.
///
/// # Errors
/// Every problem, in file order.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let env = |name: &str| std::env::var(name).ok();
    let one = |problem| Problems(vec![problem]);
    let name = path.display().to_string();
    let mut loaded = if path.is_dir() {
        let read = folder::read(path).map_err(one)?;
        let parts: Vec<PathBuf> = read.files.iter().map(|(file, _)| file.clone()).collect();
        let texts = read
            .files
            .into_iter()
            .map(|(file, text)| (file.display().to_string(), text));
        let mut loaded = whole(texts.collect(), path, &env)?;
        loaded.parts = parts;
        loaded.left_out = read.left_out;
        loaded
    } else {
        let text = source::read(path, &name, MAX_BYTES).map_err(one)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let mut loaded = read(&text, &name, base, &env)?;
        loaded.parts.push(path.to_owned());
        loaded
    };
    loaded.files.insert(0, path.to_owned());
    Ok(loaded)
}

/// Reads a configuration from its text.
///
/// `name` is what messages call it, `base` the folder in which relative files are looked for, `env` the environment
/// variables. [`Loaded::files`] has only the files that the text names.
///
/// # Errors
/// Every problem of the text, in file order.
pub fn read(
    text: &[u8],
    name: &str,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    whole(vec![(name.to_owned(), Ok(text.to_owned()))], base, env)
}

/// Reads a configuration from its texts, or from what kept them from being read.
fn whole(
    texts: Vec<(String, Result<Vec<u8>, Problem>)>,
    base: &Path,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Problems> {
    // Each with the number of its file, by which they are put in order.
    let mut problems: Vec<(usize, Problem)> = Vec::new();
    let mut files = Vec::with_capacity(texts.len());
    for (index, (name, text)) in texts.into_iter().enumerate() {
        let source = text.and_then(|text| Source::try_new(&text, &name));
        files.push(source.unwrap_or_else(|problem| {
            problems.push((index, problem));
            Source::empty(&name)
        }));
    }
    let sources = Sources::new(files);
    let mut is_readable = problems.is_empty();
    let mut budget = Budget::default();
    let mut roots = Vec::with_capacity(sources.all().len());
    let mut found = Vec::new();
    let mut filled_in = Vec::new();
    for (index, source) in sources.all().iter().enumerate() {
        match document::parse(source, env, &mut budget) {
            Ok(document) => {
                roots.push(document.root);
                found.extend(document.problems);
                filled_in.extend(document.filled_in);
            }
            Err(problem) => {
                is_readable = false;
                problems.push((index, problem));
            }
        }
    }
    let mut config = None;
    let mut warnings = Vec::new();
    // What stands in a file that is no YAML would be missed by the others.
    if is_readable {
        let (root, twice) = merge::merge(roots, &sources);
        let checked = check::check(&root, &sources, base);
        found.extend(twice);
        found.extend(checked.problems);
        config = checked.config;
        warnings = checked.warnings;
    }
    let placed = found.into_iter();
    problems.extend(placed.map(|(place, problem)| (sources.index(place), problem)));
    problems.sort_by_key(|(index, problem)| (*index, problem.line, problem.column));
    warnings.sort_by_key(|(place, _)| place.start);
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            hash: hash(sources.all().iter().map(Source::text), &filled_in),
            files: config.admin.token_file.iter().cloned().collect(),
            parts: Vec::new(),
            left_out: Vec::new(),
            redacted: redact::redacted(&config, &filled_in),
            warnings: warnings.into_iter().map(|(_, warning)| warning).collect(),
            config,
        }),
        _ => {
            let problems = problems.into_iter().map(|(_, problem)| problem);
            Err(Problems(problems.collect()))
        }
    }
}

/// FNV-1a (Fowler, Noll, Vo 1991): stable over hosts and releases, which the hasher of the standard library is not.
fn hash<'a>(texts: impl Iterator<Item = &'a str>, filled_in: &[String]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |octets: &[u8]| {
        for &octet in octets.iter().chain(&[0]) {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for text in texts {
        take(text.as_bytes());
    }
    for value in filled_in {
        take(value.as_bytes());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
