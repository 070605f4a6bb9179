//! A file with what lies beside it, and what is told where something is missing.

use std::fs;

use super::LEAST;
use crate::config::load;

#[test]
fn a_file_is_loaded_with_what_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fiel.yaml");
    fs::write(folder.path().join("admin.token"), "secret\n").unwrap();
    let admin = "admin: { bind: 0.0.0.0:9901, tokenFile: admin.token }";
    fs::write(&path, format!("{admin}{LEAST}")).unwrap();

    let loaded = load(&path).unwrap_or_else(|problems| panic!("{problems}"));

    let token = folder.path().join("admin.token");
    assert_eq!(loaded.config.admin.token_file.as_ref(), Some(&token));
    assert_eq!(loaded.files, [path, token]);
}

#[test]
fn an_empty_token_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fiel.yaml");
    fs::write(folder.path().join("admin.token"), "\n").unwrap();
    fs::write(&path, format!("admin: {{ tokenFile: admin.token }}{LEAST}")).unwrap();

    let problems = load(&path).unwrap_err().to_string();

    assert!(problems.contains("admin.token\" is empty"), "{problems}");
}

#[test]
fn a_file_that_is_not_there_and_an_empty_folder_are_told() {
    let folder = tempfile::tempdir().unwrap();

    let missing = load(&folder.path().join("no.yaml"))
        .unwrap_err()
        .to_string();
    let is_folder = load(folder.path()).unwrap_err().to_string();

    assert!(
        missing.contains("no.yaml: there is no such file\n  help: "),
        "{missing}"
    );
    assert!(
        is_folder.contains("holds no configuration file\n  help: "),
        "{is_folder}"
    );
}
