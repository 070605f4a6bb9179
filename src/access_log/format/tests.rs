//! What lines look like, and that nothing of a client breaks one.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::access_log::record::Text;

const FORMATS: [LogFormat; 4] = [
    LogFormat::Json,
    LogFormat::Ecs,
    LogFormat::Common,
    LogFormat::Combined,
];

fn full() -> Record {
    let mut record = Record::bare();
    record.status = 200;
    record.reason = Some("response_cut");
    record.attempts = 2;
    record.bytes_in = 10;
    record.bytes_out = 1_234;
    record.duration = Duration::from_nanos(1_500_250_007);
    record.queue = Some(Duration::ZERO);
    record.connect = Some(Duration::from_nanos(999_999));
    record.first_byte = Some(Duration::from_millis(20));
    record.position = Some(41);
    for (text, value) in [
        (Text::RequestId, "7f3c"),
        (Text::TraceId, "4bf92f3577b34da6a3ce929d0e0e4736"),
        (Text::Listener, "web"),
        (Text::Host, "shop.example.com"),
        (Text::Path, "/api/x"),
        (Text::Query, "q=1"),
        (Text::Route, "shop"),
        (Text::Pool, "shop-v2"),
        (Text::Version, "1.8.2"),
        (Text::Endpoint, "10.0.0.2:8080"),
        (Text::Referer, "https://example.com/from?token=1"),
        (Text::UserAgent, "curl/8.5.0"),
    ] {
        record.put(text, value.as_bytes());
    }
    record
}

fn line(format: LogFormat, query: Query, record: &Record) -> String {
    let mut out = Vec::new();
    Style { format, query }.write_line(record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_common_format_is_that_of_apache_and_nginx() {
    let written = line(LogFormat::Common, Query::Hidden, &full());
    let expected = "192.0.2.7 - - [20/Nov/2026:11:29:22 +0000] \"GET /api/x HTTP/1.1\" 200 1234\n";
    assert_eq!(written, expected);
    let written = line(LogFormat::Common, Query::Printed, &full());
    assert!(written.contains("\"GET /api/x?q=1 HTTP/1.1\""), "{written}");
}

#[test]
fn the_combined_format_adds_the_referring_page_and_the_agent() {
    let head = "192.0.2.7 - - [20/Nov/2026:11:29:22 +0000] ";
    let written = line(LogFormat::Combined, Query::Hidden, &full());
    let rest = "\"GET /api/x HTTP/1.1\" 200 1234 \"https://example.com/from\" \"curl/8.5.0\"\n";
    assert_eq!(written, format!("{head}{rest}"));
    let written = line(LogFormat::Combined, Query::Printed, &full());
    assert!(written.contains("/from?token=1\""), "{written}");
    let written = line(LogFormat::Combined, Query::Printed, &Record::bare());
    assert_eq!(written, format!("{head}\"-\" 0 0 \"-\" \"-\"\n"));
}

#[test]
fn octets_are_escaped_as_nginx_does() {
    let mut record = Record::bare();
    record.put(Text::Path, b"/a\"b\\c\x00\x1f\x7f\xc3\xa9~ d");
    let written = line(LogFormat::Common, Query::Hidden, &record);
    let path = r"/a\x22b\x5Cc\x00\x1F\x7F\xC3\xA9~\x20d";
    assert!(
        written.contains(&format!("\"GET {path} HTTP/1.1\"")),
        "{written}"
    );
}

#[test]
fn ecs_has_the_fields_of_the_schema_and_those_of_fiel() {
    let written = line(LogFormat::Ecs, Query::Printed, &full());
    let expected = json!({
        "@timestamp": "2026-11-20T11:29:22.000123Z",
        "ecs": { "version": "8.11.0" },
        "event": {
            "kind": "event", "category": ["web"], "type": ["access"], "dataset": "fiel.access",
            "outcome": "failure", "duration": 1_500_250_007,
        },
        "http": {
            "version": "1.1",
            "request": {
                "id": "7f3c", "method": "GET", "referrer": "https://example.com/from?token=1",
                "body": { "bytes": 10 },
            },
            "response": { "status_code": 200, "body": { "bytes": 1_234 } },
        },
        "url": { "domain": "shop.example.com", "path": "/api/x", "query": "q=1" },
        "network": { "protocol": "http" },
        "source": { "ip": "192.0.2.7" },
        "user_agent": { "original": "curl/8.5.0" },
        "trace": { "id": "4bf92f3577b34da6a3ce929d0e0e4736" },
        "fiel": {
            "listener": "web", "route": "shop", "pool": "shop-v2", "version": "1.8.2",
            "endpoint": "10.0.0.2:8080", "attempts": 2, "reason": "response_cut", "queue": 0.0,
            "connect": 0.000_999, "first_byte": 0.02, "position": 41,
        },
    });
    assert_eq!(parsed(&written), expected);
    let hidden = parsed(&line(LogFormat::Ecs, Query::Hidden, &full()));
    assert_eq!(hidden["url"]["query"], Value::Null);
    assert_eq!(
        hidden["http"]["request"]["referrer"],
        "https://example.com/from"
    );
}

#[test]
fn ecs_leaves_out_what_is_not_known_with_the_object_around_it() {
    let written = line(LogFormat::Ecs, Query::Printed, &Record::bare());
    let line = parsed(&written);
    for absent in ["url", "user_agent", "trace"] {
        assert_eq!(line[absent], Value::Null, "{written}");
    }
}

#[test]
fn the_outcome_is_a_failure_for_errors_and_for_what_broke_off() {
    let cases = [
        (200, None, "success"),
        (304, None, "success"),
        (308, Some("redirect"), "success"),
        (200, Some("respond"), "success"),
        (200, Some("response_cut"), "failure"),
        (404, None, "failure"),
        (499, Some("client_gone"), "failure"),
        (502, Some("reset"), "failure"),
        (503, Some("respond"), "failure"),
    ];
    for (status, reason, expected) in cases {
        let mut record = Record::bare();
        (record.status, record.reason) = (status, reason);
        let line = parsed(&line(LogFormat::Ecs, Query::Hidden, &record));
        assert_eq!(line["event"]["outcome"], expected, "{status} {reason:?}");
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// A reader of the combined format, made of its description: fields between spaces, quotes and brackets, `\xHH`.
fn read_combined(line: &str) -> Vec<Vec<u8>> {
    let mut rest = line.strip_suffix('\n').unwrap();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted.split_once('"').unwrap()
        } else if let Some(bracketed) = rest.strip_prefix('[') {
            bracketed.split_once(']').unwrap()
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            rest.split_at(end)
        };
        fields.push(unescaped(field));
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    fields
}

fn unescaped(field: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first == b'\\' {
            let digits = std::str::from_utf8(&rest[1..3]).unwrap();
            octets.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &rest[3..];
        } else {
            octets.push(first);
        }
    }
    octets
}

proptest! {
    #[test]
    fn whatever_a_client_sends_a_line_reads_back_as_it_was(
        // With more of what is special than chance would bring.
        texts in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\\r\n \t{}[],:\x1b\x7f-?".to_vec())],
                0..40,
            ),
            5,
        ),
    ) {
        let mut record = Record::bare();
        let keys = [Text::Host, Text::Path, Text::Query, Text::Referer, Text::UserAgent];
        for (key, text) in keys.into_iter().zip(&texts) {
            record.put(key, text);
        }
        for format in FORMATS {
            let line = line(format, Query::Printed, &record);
            let (_, end) = line.split_at(line.len() - 1);
            prop_assert_eq!(end, "\n");
            let ends_a_line = |letter: char| letter.is_control() || ['\u{2028}', '\u{2029}'].contains(&letter);
            prop_assert!(!line.trim_end_matches('\n').contains(ends_a_line), "{:?}", line);
        }
        let lossy = |index: usize| String::from_utf8_lossy(&texts[index]).into_owned();
        let said = |value: &Value| value.as_str().unwrap_or_default().to_owned();

        let json = parsed(&line(LogFormat::Json, Query::Hidden, &record));
        prop_assert_eq!(said(&json["host"]), lossy(0));
        prop_assert_eq!(said(&json["path"]), lossy(1));
        prop_assert_eq!(&json["status"], 0);

        let ecs = parsed(&line(LogFormat::Ecs, Query::Printed, &record));
        prop_assert_eq!(said(&ecs["url"]["domain"]), lossy(0));
        prop_assert_eq!(said(&ecs["url"]["path"]), lossy(1));
        prop_assert_eq!(said(&ecs["url"]["query"]), lossy(2));
        prop_assert_eq!(said(&ecs["http"]["request"]["referrer"]), lossy(3));
        prop_assert_eq!(said(&ecs["user_agent"]["original"]), lossy(4));
        prop_assert_eq!(&ecs["http"]["response"]["status_code"], 0);

        let combined = read_combined(&line(LogFormat::Combined, Query::Printed, &record));
        prop_assert_eq!(combined.len(), 9);
        let or_dash = |text: &[u8]| if text.is_empty() { b"-".to_vec() } else { text.to_vec() };
        if !texts[1].is_empty() {
            let mut target = texts[1].clone();
            if !texts[2].is_empty() {
                target.push(b'?');
                target.extend_from_slice(&texts[2]);
            }
            prop_assert_eq!(&combined[4], &[b"GET ", &target[..], b" HTTP/1.1"].concat());
        }
        prop_assert_eq!(&combined[7], &or_dash(&texts[3]));
        prop_assert_eq!(&combined[8], &or_dash(&texts[4]));

        let common = line(LogFormat::Common, Query::Printed, &record);
        if !texts[1].is_empty() {
            prop_assert_eq!(common.split(' ').count(), 10, "the request has three words: {:?}", common);
        }
    }
}
