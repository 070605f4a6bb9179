//! The schema against what it must agree with: the table of keys, the defaults in force, and the check itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CONTRACT, LEAST, around, read_with, told};
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
fn its_defaults_are_those_in_force() {
    let text = "
listeners:
  - { name: web, bind: 127.0.0.1:8080 }
  - { name: local, bind: unix:a.sock }
  - name: secure
    bind: 127.0.0.1:8443
    tls: { certificates: [ { certFile: config/tls/site.crt, keyFile: config/tls/site.key } ] }
routes:
  - { name: all, split: [ { pool: app }, { pool: sticky } ] }
  - { name: there, match: { path: { exact: /there } }, redirect: { path: /here } }
  - { name: ping, match: { path: { exact: /ping } }, respond: {} }
pools:
  app:
    endpoints: [ { address: 127.0.0.1:9001 } ]
    tls: { caFile: config/tls/ca.crt }
    startupProbe: { httpGet: {} }
    readinessProbe: { exec: { command: [cat] } }
    livenessProbe: { tcpSocket: {} }
  sticky:
    endpoints: [ { address: 127.0.0.1:9002 } ]
    balance: { ringHash: {} }
    readinessProbe: { grpc: {} }
";
    let written = value(text).unwrap();
    let in_force = read_with(text, &[]).unwrap().redacted;
    let schema = schema(Scope::Whole);
    let mut walk = Walk {
        definitions: &schema["$defs"],
        compared: BTreeSet::new(),
        untold: BTreeSet::new(),
    };

    walk.mapping("Configuration", Some(&written), &in_force);
    let written = value(BOUNDED_LOG).unwrap();
    let in_force = read_with(BOUNDED_LOG, &[]).unwrap().redacted;
    walk.mapping("Configuration", Some(&written), &in_force);
    // What is in force says nothing of a limit that is none.
    assert!(walk.compared.insert("LogFile.maxBytes".to_owned()));

    // What is in force without having been written has a default, or means that nothing is restricted or changed.
    let untold: Vec<&str> = walk.untold.iter().map(String::as_str).collect();
    assert_eq!(untold, Vec::<&str>::new());
    for shape in shapes() {
        let name = shape.name;
        let schema = shape.schema(false);
        for (key, property) in schema["properties"].as_object().unwrap() {
            let told = format!("{name}.{key}");
            let is_compared = walk.compared.contains(&told);
            assert!(
                property.get("default").is_none() || is_compared,
                "{told} was not met"
            );
        }
    }
}

/// What is the default only beside something else that is not.
const BOUNDED_LOG: &str = "
listeners: [ { name: web, bind: 127.0.0.1:8080 } ]
routes: [ { name: all, split: [ { pool: app } ] } ]
pools: { app: { endpoints: [ { address: 127.0.0.1:9001 } ] } }
accessLog: { output: { file: access.log, maxBytes: 1KiB } }
";

/// Goes through a schema and a configuration in force side by side.
struct Walk<'a> {
    definitions: &'a Value,
    compared: BTreeSet<String>,
    untold: BTreeSet<String>,
}

impl Walk<'_> {
    fn mapping(&mut self, name: &str, written: Option<&Value>, in_force: &Value) {
        let properties = self.definitions[name]["properties"].as_object().unwrap();
        for (key, value) in in_force.as_object().unwrap() {
            let property = &properties[key];
            let told = format!("{name}.{key}");
            let was_written = written.and_then(|written| written.get(key));
            if was_written.is_none() && is_nothing(value) && property.get("default").is_none() {
                continue;
            }
            if let (Some(default), None) = (property.get("default"), was_written) {
                assert!(
                    same(default, value),
                    "{told}: {default} is told, {value} is in force"
                );
                self.compared.insert(told);
                continue;
            }
            if !self.below(property, was_written, value) && was_written.is_none() {
                self.untold.insert(told);
            }
        }
    }

    /// Goes on below a key; whether there is anything.
    fn below(&mut self, property: &Value, written: Option<&Value>, in_force: &Value) -> bool {
        if let Some(name) = self.mapping_of(property) {
            self.mapping(&name, written, in_force);
            return true;
        }
        if let (Some(items), Some(list)) = (property.get("items"), in_force.as_array()) {
            for (index, item) in list.iter().enumerate() {
                self.below(items, written.and_then(|list| list.get(index)), item);
            }
            return !list.is_empty();
        }
        if let (Some(more), Some(map)) =
            (property.get("additionalProperties"), in_force.as_object())
        {
            for (key, item) in map {
                self.below(more, written.and_then(|map| map.get(key)), item);
            }
            return !map.is_empty();
        }
        false
    }

    /// The name of the mapping that a schema refers to, itself or as one of several.
    fn mapping_of(&self, schema: &Value) -> Option<String> {
        let several = schema["anyOf"].as_array().into_iter().flatten();
        std::iter::once(schema).chain(several).find_map(|schema| {
            let name = schema["$ref"].as_str()?.strip_prefix("#/$defs/")?;
            self.definitions[name].get("properties")?;
            Some(name.to_owned())
        })
    }
}

fn same(told: &Value, in_force: &Value) -> bool {
    let no_limit = [json!(0), json!("0"), json!("0s")];
    told == in_force
        || (told.is_number() && told.as_f64() == in_force.as_f64())
        || (no_limit.contains(told) && no_limit.contains(in_force))
}

fn is_nothing(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        || *value == json!({ "prefix": "/" })
}

/// Where single values stand, with a line for each kind.
const PLACES: [(&str, &str); 17] = [
    ("route", "timeouts: { idle: VALUE }"),
    ("route", "maxBodyBytes: VALUE"),
    (
        "route",
        "split: [ { pool: app, weight: VALUE }, { pool: app2 } ]",
    ),
    ("listener", "bind: VALUE"),
    ("pool", "endpoints: [ VALUE ]"),
    ("listener", "trustedProxies: [ VALUE ]"),
    ("route", "match: { hosts: [ VALUE ] }"),
    ("route", "match: { path: { prefix: VALUE } }"),
    ("route", "match: { methods: [ VALUE ] }"),
    ("route", "rewrite: { host: VALUE }"),
    ("", "workers: VALUE"),
    ("", "accessLog: { query: VALUE }"),
    (
        "pool",
        "readinessProbe: { tcpSocket: { port: VALUE }, periodSeconds: 1 }",
    ),
    (
        "pool",
        "readinessProbe: { tcpSocket: {}, timeoutSeconds: VALUE }",
    ),
    ("", "resolver: { servers: [ VALUE ] }"),
    ("pool", "balance: VALUE"),
    ("pool", "balance: { ringHash: { on: VALUE } }"),
];

/// A configuration with a value at a place.
fn with(place: usize, value: &str) -> String {
    let (place, line) = PLACES[place];
    let (text, _) = around(place, &line.replace("VALUE", value));
    format!("{text}\n  app2: {{ endpoints: [127.0.0.1:9002] }}")
}

#[test]
fn single_values_fit_as_they_are_accepted() {
    let validator = validator(Scope::Whole);
    let (
        idle,
        body,
        weight,
        bind,
        endpoint,
        network,
        host,
        path,
        method,
        name,
        workers,
        query,
        port,
        seconds,
        server,
        balance,
        on,
    ) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
    for (place, texts, is_right) in [
        (
            idle,
            &[
                "0",
                "\"0\"",
                "0s",
                "250ms",
                "1m30s",
                "1.5h",
                ".5s",
                "1.s",
                "7d",
                "3us",
                "\"3µs\"",
                "\"${T}s\"",
            ][..],
            true,
        ),
        (
            idle,
            &[
                "5", "\"5\"", "5 s", "s", "-1s", "1m30", "true", "[]", "~", "1.1.1s", "1w",
            ],
            false,
        ),
        (
            body,
            &[
                "0",
                "512",
                "64KiB",
                "10 MiB",
                "1GB",
                "\"7\"",
                "7B",
                "\"${S}KiB\"",
            ],
            true,
        ),
        (
            body,
            &["-1", "KiB", "7 K", "1.5MiB", "{}", "~", "7kib"],
            false,
        ),
        (
            weight,
            &[
                "0",
                "1",
                "99.9",
                "0.001",
                ".5",
                "5.",
                "1000000000",
                "\"${W}\"",
            ],
            true,
        ),
        (
            weight,
            &["-1", "\"1\"", "a", "true", "1000000001", "[1]"],
            false,
        ),
        (
            bind,
            &[
                "127.0.0.1:0",
                "0.0.0.0:8080",
                "\"[::]:8080\"",
                "\"[fe80::1%2]:80\"",
                "\"${H}:8080\"",
            ],
            true,
        ),
        (
            bind,
            &[
                "8080",
                "localhost:8080",
                "127.0.0.1",
                "\":8080\"",
                "\"::1:80\"",
                "http://127.0.0.1:80",
                "{}",
            ],
            false,
        ),
        (
            endpoint,
            &[
                "10.0.0.1:80",
                "\"[fd00::1]:80\"",
                "shop.internal:80",
                "_shop.internal.:80",
                "{ address: \"10.0.0.1:80\", weight: 0.5 }",
            ],
            true,
        ),
        (
            endpoint,
            &[
                "10.0.0.1",
                "80",
                "{}",
                "{ adress: \"10.0.0.1:80\" }",
                "http://10.0.0.1:80",
            ],
            false,
        ),
        (
            network,
            &[
                "10.0.0.0/8",
                "127.0.0.1",
                "\"::1\"",
                "\"fd00::/8\"",
                "\"${N}/8\"",
            ],
            true,
        ),
        (network, &["ten", "10.0.0.0/", "/8", "8", "a b"], false),
        (
            host,
            &[
                "example.com",
                "\"*.example.com\"",
                "EXAMPLE.com",
                "\"[::1]\"",
                "127.0.0.1",
            ],
            true,
        ),
        (
            host,
            &["\"*\"", "\"a.*.com\"", "http://a", "a/b", "\"\"", "\"a b\""],
            false,
        ),
        (path, &["/", "/api", "/a%2Fb", "\"/${P}\""], true),
        (
            path,
            &["api", "/a?b", "\"/a#b\"", "\"/a b\"", "/é", "\"\""],
            false,
        ),
        (method, &["GET", "M-SEARCH"], true),
        (method, &["get", "\"G T\"", "\"\""], false),
        (
            name,
            &["internal.example", "internal.example:8080", "\"[::1]:80\""],
            true,
        ),
        (name, &["a/b", "\"\"", "\"*.a\""], false),
        (workers, &["auto", "1", "1024", "\"${WORKERS}\""], true),
        (
            workers,
            &["0", "1025", "many", "\"4\"", "1.5", "true", "[]"],
            false,
        ),
        (query, &["true", "false", "\"${B}\""], true),
        (query, &["yes", "on", "\"true\"", "1", "~"], false),
        (port, &["80", "65535", "\"${PORT}\""], true),
        (port, &["0", "65536", "-1", "{}", "1.5"], false),
        (seconds, &["1", "0.5", ".5", "\"${T2}\""], true),
        (seconds, &["1s", "\"1\"", "-1", "true"], false),
        (
            server,
            &[
                "10.0.0.53",
                "10.0.0.53:5353",
                "\"::1\"",
                "\"[::1]\"",
                "\"[fd00::53]:5353\"",
            ],
            true,
        ),
        (
            server,
            &["dns.internal", "udp://10.0.0.53", "\"\"", "53", "{}"],
            false,
        ),
        (
            balance,
            &[
                "random",
                "ringHash",
                "{ ringHash: {} }",
                "{ ringHash: { on: path } }",
                "{ ringHash: { balanceFactor: 0 } }",
                "{ ringHash: { balanceFactor: 1.5 } }",
            ],
            true,
        ),
        (
            balance,
            &[
                "maglev",
                "{}",
                "{ random: {} }",
                "{ ringHash: path }",
                "{ ringHash: { balanceFactor: 0.5 } }",
                "[random]",
            ],
            false,
        ),
        (
            on,
            &["clientIp", "{ header: x-user }", "{ cookie: uid }"],
            true,
        ),
        (
            on,
            &[
                "header",
                "{}",
                "{ header: \"a b\" }",
                "{ cookie: \"a=b\" }",
                "{ header: a, cookie: b }",
                "~",
            ],
            false,
        ),
    ] {
        for text in texts {
            let whole = with(place, text);
            let env = [
                ("T", "5"),
                ("S", "64"),
                ("W", "0.5"),
                ("H", "127.0.0.1"),
                ("N", "10.0.0.0"),
                ("P", "api"),
                ("WORKERS", "4"),
                ("B", "true"),
                ("PORT", "80"),
                ("T2", "1.5"),
            ];
            let told = read_with(&whole, &env)
                .map_or_else(|problems| problems.to_string(), |_| String::new());
            let faults = faults(&validator, &value(&whole).unwrap());
            assert_eq!(told.is_empty(), is_right, "{text}\n{told}");
            assert_eq!(faults.is_empty(), is_right, "{text}\n{faults}");
        }
    }
}

#[test]
fn numbers_end_where_the_check_ends_them() {
    let validator = validator(Scope::Whole);
    for (place, line, least, most) in [
        ("", "workers: VALUE", 1, 1_024),
        (
            "",
            "accessLog: { output: { file: a, maxBytes: 1KiB, keep: VALUE } }",
            0,
            1_000,
        ),
        ("route", "retry: { attempts: VALUE }", 0, 100),
        ("action", "respond: { status: VALUE }", 200, 599),
        ("pool", "ports: { http: VALUE }", 1, 65_535),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, successThreshold: VALUE }",
            1,
            1_000_000,
        ),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, failureThreshold: VALUE }",
            1,
            1_000_000,
        ),
        (
            "pool",
            "readinessProbe: { tcpSocket: {}, terminationGracePeriodSeconds: VALUE }",
            0,
            i64::from(u32::MAX),
        ),
        (
            "pool",
            "balance: { ringHash: { balanceFactor: VALUE } }",
            0,
            1_000_000_000,
        ),
    ] {
        for (number, is_right) in [
            (least, true),
            (most, true),
            (least - 1, false),
            (most + 1, false),
        ] {
            let (text, _) = around(place, &line.replace("VALUE", &number.to_string()));
            let told = told(&text);
            let faults = faults(&validator, &value(&text).unwrap());
            assert_eq!(told.is_empty(), is_right, "{line} {number}\n{told}");
            assert_eq!(faults.is_empty(), is_right, "{line} {number}\n{faults}");
        }
    }
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
