//! Secrets: what is left out of all that is shown or told.

use serde_json::json;

use super::{LEAST, read_with};

#[test]
fn secrets_are_left_out_of_what_is_shown() {
    let text = LEAST.replace(
        "name: all,",
        "name: all, match: { query: { apiToken: hidden4, plain: \"${Q}\" } }, requestHeaders: { set: { \
         authorization: hidden1, x-other: \"${S}\", x-plain: shown }, add: { x-api-key: hidden3 } },",
    );

    let loaded = read_with(&text, &[("S", "hidden2"), ("Q", "hidden5")]).unwrap();

    let shown = loaded.redacted.to_string();
    assert!(!shown.contains("hidden"), "{shown}");
    assert!(shown.contains("\"x-plain\":\"shown\""), "{shown}");
    let set = &loaded.config.routes[0].request_headers.set;
    assert_eq!(set[1].1.as_bytes(), b"hidden2");
    assert!(!format!("{set:?}").contains("hidden"), "{set:?}");
}

#[test]
fn secrets_of_a_command_are_left_out_of_what_is_shown() {
    let command = "[check, -u, me, --password, hidden1, --api-key=hidden2, \"X-Token: hidden3\", \
        \"${S}\", /run/secrets/file:1, a=b]";
    let text = LEAST.replace(
        "endpoints:",
        &format!("readinessProbe: {{ exec: {{ command: {command} }} }}, endpoints:"),
    );

    let loaded = read_with(&text, &[("S", "hidden4")]).unwrap();

    let shown = &loaded.redacted["pools"]["app"]["readinessProbe"]["exec"]["command"];
    let out = "(left out)";
    let expected = json!([
        "check",
        "-u",
        "me",
        "--password",
        out,
        out,
        out,
        out,
        "/run/secrets/file:1",
        "a=b"
    ]);
    assert_eq!(*shown, expected);
    let debug = format!("{:?}", loaded.config);
    assert!(!debug.contains("hidden"), "{debug}");
}

#[test]
fn what_a_variable_puts_into_a_header_is_not_repeated_in_a_problem() {
    let text = LEAST.replace(
        "name: all,",
        "name: all, requestHeaders: { set: { x-a: \"${S}\" } },",
    );

    let problems = read_with(&text, &[("S", "hidden\n")])
        .unwrap_err()
        .to_string();

    assert!(!problems.contains("hidden"), "{problems}");
}
