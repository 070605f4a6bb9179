//! Golden files of what wrong configurations are told, and the configurations in `config/`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use fiel::config::{Loaded, Problems, load, read};

#[test]
fn every_wrong_file_is_told_in_the_words_expected() {
    let mut failed = String::new();
    let mut count = 0;
    let files = yaml_files("tests/golden").into_iter();
    let cases = files.map(|file| (report(&file), file));
    let folders = folders("tests/golden").into_iter();
    for (actual, path) in cases.chain(folders.map(|folder| (told(load(&folder)), folder))) {
        count += 1;
        let expected_path = path.with_extension("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected_path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if actual != expected {
            writeln!(
                failed,
                "== {}\n-- expected\n{expected}-- actual\n{actual}",
                path.display()
            )
            .unwrap();
        }
    }
    assert!(count >= 60, "only {count} cases");
    assert!(failed.is_empty(), "UPDATE_GOLDEN=1 rewrites them\n{failed}");
}

#[test]
fn every_ready_made_configuration_is_right_and_gives_no_warning() {
    let folder = PathBuf::from("examples/folder");
    for path in yaml_files("config").into_iter().chain([folder]) {
        match load(&path) {
            Ok(loaded) => assert_eq!(loaded.warnings, [], "{}", path.display()),
            Err(problems) => panic!("{problems}"),
        }
    }
}

#[test]
fn what_is_in_force_reads_back_as_the_same_configuration() {
    for path in yaml_files("config") {
        let loaded = load(&path).unwrap();
        let shown = serde_json::to_string_pretty(&loaded.redacted).unwrap();

        // Files are shown as they were found, not as they were written.
        let again = read(shown.as_bytes(), "shown.json", Path::new(""), &|_| None);

        match again {
            Ok(again) => assert_eq!(again.config, loaded.config, "{}", path.display()),
            Err(problems) => panic!("{problems}\n{shown}"),
        }
    }
}

/// What the file is told: its problems, or its warnings. The first line may set a variable: `# env: NAME=value`.
fn report(path: &Path) -> String {
    let text = fs::read(path).expect("the file was just listed");
    let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let first = String::from_utf8_lossy(first).into_owned();
    let set = first
        .strip_prefix("# env: ")
        .and_then(|set| set.split_once('='));
    let env = |name: &str| {
        set.filter(|(set, _)| *set == name)
            .map(|(_, value)| value.to_owned())
    };
    let name = path
        .file_name()
        .expect("a listed file has a name")
        .to_string_lossy();
    told(read(&text, &name, Path::new("tests/golden"), &env))
}

/// Its problems, or its warnings.
fn told(loaded: Result<Loaded, Problems>) -> String {
    match loaded {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .map(|warning| format!("warning: {warning}\n"))
            .collect(),
        Err(problems) => format!("{problems}\n"),
    }
}

fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    paths.sort();
    paths
}

fn folders(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.is_dir())
        .collect();
    paths.sort();
    paths
}
