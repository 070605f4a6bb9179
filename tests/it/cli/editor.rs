//! What editors and shells are given: the schema and the completions.

use std::process::Command;

use super::{assert_parts, fiel, said};
use crate::real::tool;

#[test]
fn the_schema_is_the_one_that_lies_beside_the_ready_made_configurations() {
    for (args, file) in [
        (&["schema"][..], "config/fiel.schema.json"),
        (&["schema", "--part"], "config/fiel.part.schema.json"),
    ] {
        let said = fiel(args);

        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.out, std::fs::read_to_string(file).unwrap(), "{file}");
        let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(
            schema["$schema"],
            "https://json-schema.org/draft/2020-12/schema"
        );
    }
}

#[test]
fn every_shell_gets_completions_for_every_command() {
    let help = fiel(&["--help"]).out;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() >= 6, "{commands:?}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = fiel(&["completions", shell]);

        assert_eq!(said.code, Some(0), "{}", said.err);
        assert_eq!(said.err, "", "{shell}");
        assert_parts(&said.out, &commands);
        assert_parts(&said.out, &["config", "token-file"]);
        for later in ["rollout", "autoscale", "explain"] {
            assert!(!said.out.contains(later), "{shell}: {later}");
        }
    }
    let said = fiel(&["completions", "tcsh"]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    assert_parts(&said.err, &["tcsh", "bash", "fish"]);
}

#[test]
fn bash_completes_commands_flags_and_shells_by_what_it_is_given() {
    if tool("bash").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("fiel.bash");
    std::fs::write(&script, fiel(&["completions", "bash"]).out).unwrap();
    for (typed, wanted) in [
        ("fiel ch", &["check"][..]),
        ("fiel status --w", &["--watch"]),
        ("fiel completions f", &["fish"]),
    ] {
        let words: Vec<&str> = typed.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let asked = format!(
            ". {}; COMP_WORDS=({typed}); COMP_CWORD={}; _fiel fiel {last} {before}; echo \"${{COMPREPLY[@]}}\"",
            script.display(),
            words.len() - 1,
        );
        let said = said(Command::new("bash").args(["--norc", "-c", &asked]));
        let offered: Vec<&str> = said.out.split_whitespace().collect();
        assert_eq!(offered, wanted, "{typed}: {}", said.err);
    }
}
