//! What the documents say is so: their configurations are right, their files are there, their keys exist.

// `cfg(test)` always holds here; it tells the lints that `unwrap` is at home.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn every_configuration_in_the_documents_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for snippet in blocks(&text, "yaml") {
            count += 1;
            let file = folder.path().join(format!("{count}.yaml"));
            fs::write(&file, &snippet).unwrap();
            let checked = Command::new(env!("CARGO_BIN_EXE_fiel"))
                .args(["check", "--config"])
                .arg(&file)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&checked.stderr);
            let summary = String::from_utf8_lossy(&checked.stdout);
            assert!(checked.status.success(), "{}\n{told}", document.display());
            assert!(
                !summary.contains("warning"),
                "{}\n{summary}",
                document.display()
            );
        }
    }
    assert!(count > 0, "the README shows no configuration");
}

#[test]
fn every_command_in_the_documents_names_a_command_and_files_that_exist() {
    let help = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .collect();
    let mut count = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for line in blocks(&text, "sh").iter().flat_map(|block| block.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let typed = match words.as_slice() {
                ["cargo", "run", "--release", "--", typed @ ..] => typed,
                ["fiel", typed @ ..] => typed,
                _ => continue,
            };
            count += 1;
            assert!(known.contains(typed[0]), "{}: {line}", document.display());
            let config = typed.iter().skip_while(|word| **word != "--config").nth(1);
            assert!(config.is_none_or(|file| Path::new(file).exists()), "{line}");
        }
    }
    assert!(count >= 2, "the README shows how to begin");
}

#[test]
fn the_table_of_commands_has_every_command_and_no_other() {
    let help = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let offered: BTreeSet<&str> = commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect();
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, after) = readme.split_once("| command | does |").unwrap();
    let (table, _) = after.split_once("\n\n").unwrap();
    let told: BTreeSet<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `fiel ")?.split([' ', '`']).next())
        .collect();
    assert_eq!(told, offered);
}

#[test]
fn what_the_documents_show_of_problems_is_what_is_told() {
    let told: String = fs::read_dir("tests/golden")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "expected"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let page = fs::read_to_string("docs/configuration.md").unwrap();
    let shown = blocks(&page, "text");
    assert!(shown.len() >= 2, "{shown:?}");
    for problems in shown {
        assert!(told.contains(&problems), "nobody is told\n{problems}");
    }
}

#[test]
fn the_readme_has_the_one_test_command() {
    let readme = fs::read_to_string("README.md").unwrap();
    assert!(
        blocks(&readme, "sh")
            .iter()
            .any(|block| block == "cargo test\n")
    );
    let ci = fs::read_to_string(".ci/run").unwrap();
    assert!(
        ci.lines()
            .any(|line| line == "FIEL_REAL_TOOLS=1 cargo test")
    );
}

#[test]
fn every_file_that_a_document_links_to_is_there() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let file = target.split('#').next().unwrap();
            // Measurements are taken apart from the documents.
            let elsewhere = target.contains("://") || file.is_empty();
            assert!(
                elsewhere || folder.join(file).exists(),
                "{} links to {target}",
                document.display()
            );
        }
    }
}

#[test]
fn the_table_of_keys_has_every_key_and_no_other() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, after) = readme.split_once("| key | meaning | default |").unwrap();
    let (table, _) = after.split_once("\n\n").unwrap();
    let told = words(table);
    let options = fs::read_to_string("config/all-options.yaml").unwrap();
    let mut keys = BTreeSet::new();
    for line in options.lines().filter(|line| !line.starts_with('#')) {
        let line = line.replace("# tokenFile", "tokenFile");
        let code = line.split(" #").next().unwrap();
        let ends = code.match_indices(": ").map(|(place, _)| place);
        let ends = ends.chain(code.ends_with(':').then(|| code.len() - 1));
        for end in ends {
            let start =
                code[..end].rfind(|letter: char| !letter.is_alphanumeric() && letter != '-');
            keys.insert(code[start.map_or(0, |place| place + 1)..end].to_owned());
        }
    }
    assert!(keys.len() > 60, "{keys:?}");

    // Names of the user's own, and what belongs to a probe of Kubernetes.
    let own = [
        "shop-v1",
        "shop-v2",
        "health",
        "x-beta",
        "debug",
        "x-from",
        "x-tag",
        "x-served-by",
    ];
    let deployment = ["commit", "by", "at"];
    let probe = [
        "port",
        "httpHeaders",
        "value",
        "initialDelaySeconds",
        "periodSeconds",
        "timeoutSeconds",
        "successThreshold",
        "failureThreshold",
        "terminationGracePeriodSeconds",
    ];
    let untold: Vec<&String> = keys
        .iter()
        .filter(|key| !told.contains(key.as_str()))
        .filter(|key| {
            ![&own[..], &deployment, &probe]
                .concat()
                .contains(&key.as_str())
        })
        .collect();
    assert_eq!(
        untold,
        Vec::<&String>::new(),
        "in all-options.yaml, not in the README"
    );

    let first_cells = table.lines().filter_map(|line| line.split('|').nth(1));
    for key in first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)) {
        for part in key
            .trim_end_matches("[]")
            .split('.')
            .filter(|part| *part != "NAME")
        {
            assert!(
                keys.contains(part),
                "{key} is in the README, not in all-options.yaml"
            );
        }
    }
}

/// The documents at the top and in `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = [".", "docs"]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    found.sort();
    found
}

/// What stands in the fenced blocks of this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence)
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0.to_owned()))
        .collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .collect()
}
