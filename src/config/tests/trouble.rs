//! Files that are large, wrong in many places, deep, or no configuration at all: each is read to its end, and told.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::{loaded, read_with, told};
use crate::config::read;

#[test]
fn ten_thousand_routes_and_endpoints_are_read_whole() {
    let mut text = String::from("listeners: [ { name: web, bind: 127.0.0.1:8080 } ]\nroutes:\n");
    for i in 0..10_000 {
        writeln!(
            text,
            "  - name: route-{i}\n    match: {{ hosts: [host{i}.example.com], path: {{ prefix: /api }} }}\n    \
             split: [ {{ pool: pool-{}, weight: 99.9 }} ]",
            i % 100
        )
        .unwrap();
    }
    text.push_str("pools:\n");
    for pool in 0..100 {
        writeln!(text, "  pool-{pool}:\n    endpoints:").unwrap();
        for endpoint in 0..100 {
            writeln!(text, "      - 10.0.{pool}.{endpoint}:8080").unwrap();
        }
    }
    let wrong = text.replace("{ pool: pool-", "{ pool: poul-x");

    let config = loaded(&text).config;
    let problems = read_with(&wrong, &[]).unwrap_err();

    assert_eq!(config.routes.len(), 10_000);
    assert_eq!(problems.0.len(), 10_000);
}

#[test]
fn a_file_of_one_long_line_with_many_problems_is_told_whole() {
    let mut text = String::from("{listeners: [{name: web, bind: '127.0.0.1:80'}], routes: [");
    for i in 0..2_000 {
        write!(
            text,
            "{{name: r{i}, nmae: x, split: [{{pool: none-such}}]}}, "
        )
        .unwrap();
    }
    text.push_str("], pools: {app: {endpoints: ['127.0.0.1:81']}}}");

    let problems = read_with(&text, &[]).unwrap_err();

    let count = problems.0.len();
    assert!(count >= 4_000, "{count}");
    assert!(problems.0.iter().all(|problem| problem.excerpt.len() < 500));
}

#[test]
fn aliases_within_aliases_are_bounded_in_depth() {
    for nesting in [1, 10, 28] {
        let (open, close) = ("[".repeat(nesting), "]".repeat(nesting));
        let mut text = String::from("a0: &a0 [x]\n");
        for i in 1..400 {
            writeln!(text, "a{i}: &a{i} {open}*a{}{close}", i - 1).unwrap();
        }

        let told = told(&text);

        let is_bounded = told.contains("nested more than 32 deep") || told.contains("repeat more");
        assert!(
            is_bounded && told.ends_with("1 problem in x.yaml"),
            "{told}"
        );
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(text: Vec<u8>) {
        drop(read(&text, "x.yaml", Path::new(""), &|_| None));
    }

    #[test]
    fn no_text_made_of_its_own_words_makes_it_panic(
        words in proptest::collection::vec(
            prop_oneof![
                Just("listeners:"), Just("routes:"), Just("pools:"), Just("\n"), Just("\n  "), Just("\n  - "),
                Just("{ "), Just(" }"), Just("[ "), Just(" ]"), Just(", "), Just("name: a"), Just("bind: "),
                Just("127.0.0.1:80"), Just("split: "), Just("pool: a"), Just("weight: 1.5"), Just("${A"), Just("}"),
                Just("$$"), Just("\""), Just("'"), Just("&a "), Just("*a"), Just("match: "), Just("path: "),
                Just("regex: ("), Just("endpoints: "), Just("\u{e9}"), Just("\t"), Just("# "), Just("---"),
                Just("? "), Just("!!int "), Just("|"), Just("redirect: "), Just("<<: "), Just("\r"), Just("\0"),
            ],
            0..24,
        ),
    ) {
        let text = words.concat();
        drop(read(text.as_bytes(), "x.yaml", Path::new(""), &|_| Some("1".to_owned())));
    }

    #[test]
    fn no_change_of_a_right_file_makes_it_panic(at in 0_usize..6_000, replacement in any::<char>()) {
        let mut text: Vec<char> = include_str!("../../../config/all-options.yaml").chars().collect();
        let at = at % text.len();
        text[at] = replacement;
        let text: String = text.into_iter().collect();
        drop(read(text.as_bytes(), "x.yaml", Path::new(""), &|_| None));
    }
}
