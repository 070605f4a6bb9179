//! The schema against what it must agree with: the table of keys, the defaults in force, and the check itself.

mod defaults;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use values::{PLACES, with};

use super::contract::{CONTRACT, around};
use super::{LEAST, read_with, told};
use crate::config::keys::ALL;
use crate::config::schema::{Scope, schema, shapes};

fn validator(scope: Scope) -> Validator {
    jsonschema::draft202012::new(&schema(scope)).unwrap_or_else(|error| panic!("{error}"))
}

/// What an editor makes of a YAML text; `None` where it is none.
fn value(text: &str) -> Option<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).ok()
}

fn faults(validator: &Validator, value: &Value) -> String {
    let faults = validator.iter_errors(value);
    let told: Vec<String> = faults
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    told.join("\n")
}

#[test]
fn its_keys_are_those_that_work_mapping_by_mapping() {
    let mut told = BTreeMap::new();
    for shape in shapes() {
        let (kind, name) = (shape.keys.kind, shape.name);
        let schema = shape.schema(false);
        let keys: BTreeSet<String> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        assert_eq!(schema["additionalProperties"], json!(false), "{name}");
        assert_eq!(told.insert(kind, keys), None, "{kind} stands there twice");
    }
    // Those that say which keys there are, and no table of them is forgotten in `ALL`.
    let tables = [
        include_str!("../keys.rs"),
        include_str!("../keys/action.rs"),
        include_str!("../keys/edge.rs"),
        include_str!("../keys/pool.rs"),
        include_str!("../keys/probe.rs"),
    ];
    let count = tables.map(|table| table.matches(": Keys = Keys {").count());
    assert_eq!(ALL.len(), count.iter().sum::<usize>());
    let working = ALL.iter().filter(|keys| !keys.works.is_empty());
    let working: BTreeMap<&str, BTreeSet<String>> = working
        .map(|keys| {
            (
                keys.kind,
                keys.works.iter().map(|key| (*key).to_owned()).collect(),
            )
        })
        .collect();
    assert_eq!(told, working);
}

#[test]
fn every_definition_exists_and_is_used_and_every_key_is_explained() {
    for scope in [Scope::Whole, Scope::Part] {
        let schema = schema(scope);
        assert!(jsonschema::draft202012::meta::is_valid(&schema));
        let text = schema.to_string();
        let definitions = schema["$defs"].as_object().unwrap();
        for (name, definition) in definitions {
            assert!(
                text.contains(&format!("\"#/$defs/{name}\"")),
                "{name} is not used"
            );
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                let about = property["description"].as_str().unwrap_or_default();
                assert!(about.ends_with('.'), "{name}.{key}: {about:?}");
            }
        }
        for used in text.split("\"#/$defs/").skip(1) {
            let name = used.split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name} is not defined");
        }
    }
}

#[test]
fn each_key_of_the_contract_is_in_it_or_is_refused_as_by_the_check() {
    let validator = validator(Scope::Whole);
    for (place, line) in CONTRACT {
        let (line, is_later) = match line.strip_suffix(" #later") {
            Some(line) => (line, true),
            None => (*line, false),
        };
        let (text, _) = around(place, line);
        let faults = faults(&validator, &value(&text).unwrap());
        assert_eq!(faults.is_empty(), !is_later, "{line}\n{faults}");
    }
}

#[test]
fn every_ready_made_file_names_its_schema_and_fits_it() {
    let line = "# yaml-language-server: $schema=";
    let mut count = BTreeMap::new();
    for path in ["config", "examples"]
        .map(Path::new)
        .map(yaml_files)
        .concat()
    {
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().next().unwrap_or_default();
        let named = first
            .strip_prefix(line)
            .unwrap_or_else(|| panic!("{} begins with {first:?}, not with {line}", path.display()));
        let named = fs::canonicalize(path.parent().unwrap().join(named)).unwrap();
        let (_, scope) = FILES_FOR_EDITORS
            .into_iter()
            .find(|(file, _)| fs::canonicalize(file).unwrap() == named)
            .unwrap();
        let faults = faults(&validator(scope), &value(&text).unwrap());
        assert_eq!(faults, "", "{}", path.display());
        *count.entry(scope == Scope::Part).or_insert(0) += 1;
    }
    assert!(count[&false] >= 5 && count[&true] >= 3, "{count:?}");
}

/// The `*.yaml` and `*.yml` files below a folder, but for manifests: what these hold for fiel is checked where it is mounted
/// (`tests/it/sidecar.rs`).
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("examples/kubernetes") {
            files.extend(yaml_files(&path));
        } else if path
            .extension()
            .is_some_and(|end| end == "yaml" || end == "yml")
        {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_configuration_in_the_documents_fits() {
    let validator = validator(Scope::Whole);
    let mut count = 0;
    for entry in fs::read_dir("docs").unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            let faults = faults(&validator, &value(block).unwrap());
            assert_eq!(faults, "", "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}

/// Wrong files that fit all the same, because what is wrong with them no schema can know.
const BEYOND_A_SCHEMA: &[&str] = &[
    "admin_on_a_listener",
    "admin_without_token",
    "dangling_pool",
    "endpoint_twice",
    "endpoints_all_weight_0",
    "listener_of_match",
    "listener_on_the_admin_address",
    "listeners_on_one_address",
    "merge_key",
    "pool_by_host_twice",
    "probe_port_without_names",
    "raw_path_and_rewrite",
    "redirects_to_themselves",
    "regexes",
    "secret_of_a_variable",
    "token_file_missing",
    "unreachable_routes",
    "variable_adds_no_keys",
    "variable_not_closed",
    "variable_not_set",
    "variable_typed_again",
    "without_effect",
];

#[test]
fn wrong_files_do_not_fit_where_a_schema_can_know_and_right_ones_do() {
    let validator = validator(Scope::Whole);
    let mut fit = BTreeSet::new();
    for entry in fs::read_dir("tests/golden").unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let expected = fs::read_to_string(path.with_extension("expected")).unwrap();
        let Some(value) = value(&text) else {
            continue;
        };
        let faults = faults(&validator, &value);
        let is_right = expected.lines().all(|line| !line.contains("problem"));
        if is_right {
            assert_eq!(faults, "", "{name}");
        } else if faults.is_empty() {
            fit.insert(name.to_owned());
        }
    }
    let beyond: BTreeSet<String> = BEYOND_A_SCHEMA
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    assert_eq!(fit, beyond);
}

#[test]
fn one_file_of_a_folder_needs_nothing_and_knows_the_same_keys() {
    let (whole, part) = (validator(Scope::Whole), validator(Scope::Part));
    for text in [
        "{}",
        "pools: { app: { version: 1 } }",
        "zone: a",
        "routes: []",
        "pools: { a: { readinessProbe: { periodSeconds: 1 } } }",
    ] {
        let value = value(text).unwrap();
        assert!(part.is_valid(&value) && !whole.is_valid(&value), "{text}");
    }
    for text in [
        "workrs: 1",
        "routes: [ {} ]",
        "listeners: [ { name: web } ]",
        "pools: { app: { endpoints: [ {} ] } }",
        "zone: []",
    ] {
        assert!(!part.is_valid(&value(text).unwrap()), "{text}");
    }
    assert!(whole.is_valid(&value(LEAST).unwrap()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_the_check_accepts_fits(
        place in 0..PLACES.len(),
        value_text in prop_oneof![
            "[0-9]{1,3}(\\.[0-9]{0,4})?(ns|us|ms|s|m|h|d)?([0-9]{1,2}s)?",
            "[0-9]{0,4}\\.?[0-9]{0,3} ?(B|kB|MB|KiB|MiB|TiB)?",
            "(1?[0-9]{1,2}\\.){3}[0-9]{1,2}(:[0-9]{1,5})?(/[0-9]{1,2})?",
            "\\[([0-9a-f]{0,4}:){1,7}[0-9a-f]{0,4}\\](:[0-9]{1,5})?",
            "(\\*\\.)?[a-zA-Z0-9._-]{1,12}(:[0-9]{1,4})?",
            "/[!-~]{0,8}",
            "[A-Z!#$%&'*+.^_`|~-]{1,6}",
        ],
        is_quoted: bool,
    ) {
        prop_assume!(!value_text.contains(['\\', '\'', '$']));
        let written = match is_quoted {
            true => format!("'{value_text}'"),
            false => value_text,
        };
        let whole = with(place, &written);
        if read_with(&whole, &[]).is_ok() {
            let value = value(&whole);
            prop_assert!(value.is_some(), "{}", written);
            let validator = validator(Scope::Whole);
            let faults = faults(&validator, &value.unwrap());
            prop_assert!(faults.is_empty(), "{}\n{}", written, faults);
        }
    }
}

/// The schemas as files, which editors read.
const FILES_FOR_EDITORS: [(&str, Scope); 2] = [
    ("config/fiel.schema.json", Scope::Whole),
    ("config/fiel.part.schema.json", Scope::Part),
];

#[test]
fn the_files_for_editors_are_up_to_date() {
    for (name, scope) in FILES_FOR_EDITORS {
        let text = crate::config::schema::text(scope);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(name, &text).unwrap();
        }
        let there = fs::read_to_string(name).unwrap_or_default();
        assert!(there == text, "UPDATE_GOLDEN=1 rewrites {name}");
    }
}
