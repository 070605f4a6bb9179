//! `fiel check`: validates a configuration and binds nothing.
//!
//! [`check`] is the only place where the command line meets the loader. What a missing file means is said here, before
//! the loader is asked, because only the command line knows what else could be typed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;
use crate::cli::plain::plain;
use crate::config::{self, Config};

/// Validates the configuration at `path` and prints one line of summary, which files of a folder were read and which
/// were not, and warnings where there are any.
///
/// # Errors
/// [`Failure::Wrong`] with every problem at once.
pub(crate) fn check(path: &Path) -> Result<(), Failure> {
    find(path)?;
    let loaded = config::load(path).map_err(|problems| Failure::Wrong(problems.to_string()))?;
    let mut lines = format!("{}: fine: {}\n", path.display(), summary(&loaded.config));
    if path.is_dir() {
        lines.push_str(&format!("read: {}\n", names(&loaded.parts)));
    }
    if !loaded.left_out.is_empty() {
        let names = names(&loaded.left_out);
        lines.push_str(&format!(
            "not read, being neither *.yaml nor *.yml: {names}\n"
        ));
    }
    for warning in &loaded.warnings {
        lines.push_str(&format!("warning: {warning}\n"));
    }
    // The verdict is the exit code: a closed pipe does not change it.
    io::stdout().write_all(lines.as_bytes()).ok();
    Ok(())
}

/// The names of files without their folder; nothing in them reaches the terminal.
fn names(files: &[PathBuf]) -> String {
    let names = files.iter().filter_map(|file| file.file_name());
    let names: Vec<String> = names.map(|name| plain(&name.to_string_lossy())).collect();
    names.join(", ")
}

/// Whether there is anything at `path` to be read; the loader says all else.
///
/// # Errors
/// [`Failure::Wrong`], with what could have been meant, when there is nothing.
pub(crate) fn find(path: &Path) -> Result<(), Failure> {
    let Err(error) = fs::metadata(path) else {
        return Ok(());
    };
    let mut text = format!("error: could not read {}: {error}\n\n", path.display());
    let nearby = configurations_beside(path);
    if error.kind() == io::ErrorKind::NotFound && !nearby.is_empty() {
        text.push_str("  found beside it:\n");
        for file in nearby {
            text.push_str(&format!("    {}\n", file.display()));
        }
    }
    text.push_str(
        "  remedy: give `--config` the path of a YAML file, or of a folder of them, that this user may read;\n\
         \x20         `fiel demo --print-config > fiel.yaml` writes one to begin with; `fiel demo` needs none",
    );
    Err(Failure::Wrong(text))
}

/// A few YAML files in the folder where `path` would be, in name order.
fn configurations_beside(path: &Path) -> Vec<PathBuf> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let looked_in = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let is_yaml = |file: &PathBuf| {
        file.extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
    };
    let mut files: Vec<PathBuf> = fs::read_dir(looked_in)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(folder.join(entry.ok()?.file_name())))
        .filter(is_yaml)
        .collect();
    files.sort();
    files.truncate(5);
    files
}

/// How much of what there is: `1 listener, 2 routes, 2 pools, 4 endpoints`.
fn summary(config: &Config) -> String {
    let endpoints = config.pools.iter().map(|pool| pool.endpoints.len()).sum();
    [
        (config.listeners.len(), "listener"),
        (config.routes.len(), "route"),
        (config.pools.len(), "pool"),
        (endpoints, "endpoint"),
    ]
    .map(|(count, what)| counted(count, what))
    .join(", ")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_counted_in_the_singular() {
        assert_eq!(counted(1, "route"), "1 route");
        assert_eq!(counted(0, "route"), "0 routes");
        assert_eq!(counted(2, "pool"), "2 pools");
    }

    #[test]
    fn a_missing_file_names_the_configurations_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("right.yaml"), "").unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();

        let failure = find(&folder.path().join("wrong.yaml")).unwrap_err();

        let text = failure.to_string();
        assert!(text.contains("wrong.yaml: No such file"), "{text}");
        assert!(text.contains("right.yaml"), "{text}");
        assert!(!text.contains("notes.txt"), "{text}");
        assert!(text.contains("remedy:"), "{text}");
    }

    #[test]
    fn what_is_there_is_left_to_the_loader() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(folder.path()).is_ok());
    }
}
