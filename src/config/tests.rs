//! What a configuration means, and what wrong ones are told; its rooms have a subject each.

mod contract;
mod files;
mod folder;
mod schema;
mod secrets;
mod trouble;

use std::fs;
use std::path::Path;

use super::{Loaded, Problems, read};
use crate::config::model::{Action, LogOutput, PathPattern};

const LEAST: &str = "
listeners: [ { name: web, bind: 127.0.0.1:8080 } ]
routes: [ { name: all, split: [ { pool: app } ] } ]
pools: { app: { endpoints: [127.0.0.1:9001] } }
";

fn read_with(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let env = |name: &str| {
        let found = env.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    read(text.as_bytes(), "x.yaml", Path::new(""), &env)
}

fn loaded(text: &str) -> Loaded {
    read_with(text, &[]).unwrap_or_else(|problems| panic!("{problems}"))
}

fn told(text: &str) -> String {
    match read_with(text, &[]) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_least_that_works_is_enough() {
    let config = loaded(LEAST).config;

    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.routes[0].matches.path, PathPattern::Any);
    assert_eq!(&*config.pools[0].name, "app");
    assert_eq!(config.access_log.output, LogOutput::Stdout);
    assert_eq!(config.max_endpoint_series, 1_000);
}

#[test]
fn pools_keep_their_place_in_the_file() {
    let text = LEAST.replace("pools: {", "pools: { z: { endpoints: [127.0.0.1:9002] },");
    let config = loaded(&text).config;

    let Action::Split(shares) = &config.routes[0].action else {
        panic!("{:?}", config.routes[0].action);
    };
    assert_eq!(&*config.pools[shares[0].pool.0].name, "app");
    assert_eq!(&*config.pools[0].name, "z");
}

#[test]
fn a_variable_is_typed_again() {
    let text =
        format!("workers: ${{N}}\nmetrics: {{ maxEndpoints: \"${{N}}\" }}\nzone: a$$b{LEAST}");

    let config = read_with(&text, &[("N", "7")]).unwrap().config;

    assert_eq!(config.workers.map(usize::from), Some(7));
    assert_eq!(config.max_endpoint_series, 7);
    assert_eq!(config.zone.as_deref(), Some("a$b"));
}

#[test]
fn numbers_and_booleans_are_texts_where_a_text_is_wanted() {
    let text = format!("zone: 1.10\nenvironment: true{LEAST}");
    let config = loaded(&text).config;

    assert_eq!(config.zone.as_deref(), Some("1.10"));
    assert_eq!(config.environment.as_deref(), Some("true"));
}

#[test]
fn the_hash_follows_the_text_and_the_variables() {
    let text = format!("zone: ${{Z}}{LEAST}");
    let hash = |text: &str, value| read_with(text, &[("Z", value)]).unwrap().hash;

    assert_eq!(hash(&text, "a"), hash(&text, "a"));
    assert_ne!(hash(&text, "a"), hash(&text, "b"));
    assert_ne!(hash(&text, "a"), hash(&format!("{text}# more\n"), "a"));
    assert_eq!(hash(&text, "a").len(), 16);
    // Written down: a restart of another release must not make it another configuration.
    assert_eq!(loaded(LEAST).hash, "9ae714d425fc44bb");
}

#[test]
fn problems_come_in_file_order_from_all_parts() {
    let problems = read_with(
        "zone: ${NOT_SET}\nbanana: 1\nlisteners: [ { name: web, bind: x } ]\nzone: b\nroutes: []\npools: {}\n",
        &[],
    )
    .unwrap_err();

    let lines: Vec<usize> = problems.0.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6], "{problems}");
}

#[test]
fn every_problem_has_a_place_and_a_remedy() {
    for entry in fs::read_dir("tests/golden").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = fs::read(&path).unwrap();
        let Err(problems) = read(&text, "x.yaml", Path::new(""), &|_| None) else {
            continue;
        };
        for problem in problems.0 {
            assert!(problem.line > 0 && problem.column > 0, "{problem}");
            assert!(
                !problem.remedy.is_empty() && !problem.message.is_empty(),
                "{problem}"
            );
            assert!(!problem.message.ends_with('.'), "{problem}");
        }
    }
}
