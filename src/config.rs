//! From a file to a checked [`Config`].
//!
//! source (text with places) -> document (what the user typed, `${NAME}` filled in) -> check (what it means) -> model.
//! Every problem is collected; none stops the others from being found. Only text that is no YAML at all ends the
//! search at its first fault.

mod check;
mod document;
mod keys;
pub mod model;
pub mod path;
mod problem;
mod redact;
mod source;
mod substitute;
mod suggest;
mod syntax;

pub use model::Config;
pub use problem::{Problem, Problems};

use std::path::{Path, PathBuf};

use crate::config::source::Source;

/// A configuration that is right, and what else is known about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is to be in force.
    pub config: Config,
    /// 16 hex digits over the text and the values of its variables: equal for equal configurations, on every host.
    pub hash: String,
    /// The files whose change may change the configuration or what it names: itself, and the token file.
    pub files: Vec<PathBuf>,
    /// The configuration in force with its defaults, secrets left out, as `GET /config` shows it.
    pub redacted: serde_json::Value,
    /// What is doubtful, in file order.
    pub warnings: Vec<Problem>,
}

/// Loads a configuration file, with the environment variables of this process.
///
/// # Errors
/// Every problem of the file, in file order.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let text = source::read(path, &name).map_err(|problem| Problems(vec![problem]))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut loaded = read(&text, &name, base, &|name| std::env::var(name).ok())?;
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
    let one = |problem| Problems(vec![problem]);
    let source = Source::try_new(text, name).map_err(one)?;
    let document = document::parse(&source, env).map_err(one)?;
    let checked = check::check(&document.root, &source, base);
    let mut problems = document.problems;
    problems.extend(checked.problems);
    problems.sort_by_key(|problem| (problem.line, problem.column));
    match checked.config {
        Some(config) if problems.is_empty() => Ok(Loaded {
            hash: hash(source.text(), &document.filled_in),
            files: config.admin.token_file.iter().cloned().collect(),
            redacted: redact::redacted(&config, &document.filled_in),
            warnings: checked.warnings,
            config,
        }),
        _ => Err(Problems(problems)),
    }
}

/// FNV-1a (Fowler, Noll, Vo 1991): stable over hosts and releases, which the hasher of the standard library is not.
fn hash(text: &str, filled_in: &[String]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut take = |octets: &[u8]| {
        for &octet in octets.iter().chain(&[0]) {
            hash = (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    take(text.as_bytes());
    for value in filled_in {
        take(value.as_bytes());
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
