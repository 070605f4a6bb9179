//! The defaults that the schema tells are those in force.

use super::*;

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
admin: { bind: unix:admin.sock }
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
