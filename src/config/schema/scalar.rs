//! Single values. Each accepts all that the check accepts, and any text with a variable in it, whose value no schema
//! knows; what it refuses, the check refuses too. Where a pattern would have to be a program, it lets more through.

use serde_json::{Value, json};

use crate::config::schema::shape::one;
use crate::units::Weight;

/// The definitions, by name.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    // A double holds a thousand million exactly.
    let most = Weight::MAX.thousandths() / 1_000;
    let scalar = json!(["string", "number", "boolean"]);
    vec![
        (
            "Variable",
            json!({
                "type": "string",
                "pattern": r"\$\{",
                "description": "A text with an environment variable: ${NAME} or ${NAME:-default}.",
            }),
        ),
        (
            "Text",
            json!({ "type": scalar, "description": "Any single value, taken by its own words." }),
        ),
        (
            "Name",
            json!({
                "type": scalar,
                "anyOf": [ { "type": "string", "minLength": 1, "maxLength": 100 }, { "not": { "type": "string" } }, one("Variable") ],
                "description": "A name of 1 to 100 characters.",
            }),
        ),
        (
            "Boolean",
            json!({ "anyOf": [ { "type": "boolean" }, one("Variable") ] }),
        ),
        (
            "Duration",
            json!({
                "anyOf": [ { "const": 0 }, pattern(r"^(0|(([0-9]+(\.[0-9]{0,9})?|\.[0-9]{1,9})(ns|us|µs|ms|s|m|h|d))+)$"), one("Variable") ],
                "description": "A number with its unit: 250ms, 2s, 1m30s.",
            }),
        ),
        (
            "Size",
            json!({
                "anyOf": [
                    { "type": "integer", "minimum": 0 },
                    pattern(r"^[0-9]+\s*(B|kB|MB|GB|KiB|MiB|GiB|TiB)?$"),
                    one("Variable"),
                ],
                "description": "Octets, or a number with its unit: 512, 64KiB, 10MiB. 0 is no limit.",
            }),
        ),
        (
            "Limit",
            json!({
                "anyOf": [ { "type": "integer", "minimum": 0 }, one("Variable") ],
                "description": "A whole number; 0 is no limit.",
            }),
        ),
        (
            "Weight",
            json!({
                "anyOf": [ { "type": "number", "minimum": 0, "maximum": most }, one("Variable") ],
                "description": "A number from 0 with up to three decimals, such as 99.9.",
            }),
        ),
        (
            "Seconds",
            json!({
                "anyOf": [ { "type": "number", "minimum": 0 }, one("Variable") ],
                "description": "Seconds as a bare number, such as 5 or 0.5.",
            }),
        ),
        (
            "Port",
            json!({ "anyOf": [ { "type": "integer", "minimum": 1, "maximum": 65_535 }, one("Variable") ] }),
        ),
        ("Address", address()),
        ("ListenAddress", listen_address()),
        (
            "Permissions",
            json!({
                "anyOf": [ pattern("^0?[0-7]{3}$"), { "type": "integer" }, one("Variable") ],
                "description": "Octal digits, such as \"0660\".",
            }),
        ),
        (
            "Peer",
            either(
                r"^(unix|[0-9A-Fa-f:.]+(/[0-9]{1,3})?)$",
                "An address, a network such as 10.0.0.0/8 or fd00::/8, or unix for sockets of this host.",
            ),
        ),
        (
            "EndpointAddress",
            either(
                r"^(([0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]+|unix:.+)$",
                "An IP address or a name, and a port, such as 10.0.0.1:8080 or shop.internal:8080; or a unix socket, such as unix:/run/app.sock.",
            ),
        ),
        (
            "NameServer",
            either(
                r"^([0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+(%[0-9]+)?\](:[0-9]+)?)$",
                "An IP address, with its port where that is not 53, such as 10.0.0.53 or 127.0.0.1:5353.",
            ),
        ),
        (
            "Network",
            either(
                r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
                "An address, or a network such as 10.0.0.0/8 or fd00::/8.",
            ),
        ),
        (
            "Host",
            any_like(
                r"^[^*/\s]+$",
                "A host such as example.com; a port where one is meant.",
            ),
        ),
        (
            "IpAddress",
            either(
                r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[?[0-9A-Fa-f:.]+\]?)$",
                "An IP address.",
            ),
        ),
        (
            "HostPattern",
            any_like(
                r"^(\*\.)?[^*/\s]+$",
                "A host without its port; \"*.\" stands for one label or more.",
            ),
        ),
        (
            "Path",
            either(r##"^/[!-"$->@-~]*$"##, "A canonical path without a query."),
        ),
        (
            "PathAndQuery",
            either(
                r##"^/[!-"$-~]*$"##,
                "A path, with its query where one is meant.",
            ),
        ),
        (
            "Method",
            any_like(
                r"^[!#$%&'*+.^_`|~0-9A-Z-]+$",
                "A method such as GET; case counts.",
            ),
        ),
        (
            "FieldName",
            any_like(
                r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
                "The name of a header; case does not count.",
            ),
        ),
        (
            "CookieName",
            any_like(
                r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
                "The name of a cookie; case counts.",
            ),
        ),
        (
            "Fields",
            json!({
                "type": "object",
                "propertyNames": pattern(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
                "additionalProperties": one("Text"),
                "description": "Names of headers and their values.",
            }),
        ),
    ]
}

fn address() -> Value {
    either(
        r"^([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]+$",
        "An IP address and a port, such as 127.0.0.1:8080 or \"[::1]:8080\".",
    )
}

fn listen_address() -> Value {
    either(
        r"^(([0-9]{1,3}(\.[0-9]{1,3}){3}|\[[0-9A-Fa-f:.]+(%[0-9]+)?\]):[0-9]+|unix:.+)$",
        "An IP address and a port, such as 127.0.0.1:8080 or \"[::1]:8080\", or a unix socket, such as unix:/run/fiel.sock.",
    )
}

fn pattern(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// A text like this, or with a variable in it.
fn either(like: &str, about: &str) -> Value {
    json!({ "anyOf": [ pattern(like), one("Variable") ], "description": about })
}

/// The same where what looks like a number or a boolean is a text like any other.
fn any_like(like: &str, about: &str) -> Value {
    let bare = json!({ "type": ["number", "boolean"] });
    json!({ "anyOf": [ pattern(like), bare, one("Variable") ], "description": about })
}
