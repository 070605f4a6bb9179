//! A record as one line of JSON, fields in the order of the contract, chapter 5; `position` comes last.
//!
//! What JSON makes of texts is in `line.rs`.

use jiff::Timestamp;

use crate::header::network::shown;

use super::line::Line;
use super::query::{Query, protocol};
use super::record::{Record, Text};

/// Appends the record's line with its newline.
pub(super) fn write_line(record: &Record, query: Query, out: &mut Vec<u8>) {
    let mut line = Line::new(out);
    if let Ok(time) = Timestamp::try_from(record.time) {
        line.printed("time", format_args!("\"{time:.6}\""));
    }
    line.text("request_id", record.text(Text::RequestId));
    line.text("trace_id", record.text(Text::TraceId));
    line.printed("client", format_args!("\"{}\"", shown(record.client)));
    line.text("listener", record.text(Text::Listener));
    line.text("method", record.method.as_str().as_bytes());
    line.text("host", record.text(Text::Host));
    match query.of(record) {
        b"" => line.text("path", record.text(Text::Path)),
        asked => line.text("path", &[record.text(Text::Path), b"?", asked].concat()),
    }
    line.text("protocol", protocol(record.protocol).as_bytes());
    line.printed("status", format_args!("{}", record.status));
    if let Some(code) = record.grpc_status {
        line.printed("grpc_status", format_args!("{}", code.number()));
    }
    line.text("reason", record.reason.unwrap_or_default().as_bytes());
    line.text("route", record.text(Text::Route));
    line.text("pool", record.text(Text::Pool));
    line.text("version", record.text(Text::Version));
    line.text("endpoint", record.text(Text::Endpoint));
    line.printed("attempts", format_args!("{}", record.attempts));
    line.printed("bytes_in", format_args!("{}", record.bytes_in));
    line.printed("bytes_out", format_args!("{}", record.bytes_out));
    line.seconds("duration", Some(record.duration));
    line.seconds("queue", record.queue);
    line.seconds("connect", record.connect);
    line.seconds("first_byte", record.first_byte);
    if let Some(position) = record.position {
        line.printed("position", format_args!("{position}"));
    }
    line.end();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::Code;
    use std::time::Duration;

    #[test]
    fn a_full_record_has_every_field_in_order() {
        let mut record = Record::bare();
        record.status = 200;
        record.reason = Some("response_cut");
        record.grpc_status = Some(Code::Unavailable);
        record.attempts = 2;
        record.bytes_in = 10;
        record.bytes_out = 1_234;
        record.duration = Duration::from_micros(1_500_250);
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
        ] {
            record.put(text, value.as_bytes());
        }
        let expected = concat!(
            r#"{"time":"2026-11-20T11:29:22.000123Z","request_id":"7f3c","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","client":"192.0.2.7","#,
            r#""listener":"web","method":"GET","host":"shop.example.com","path":"/api/x","#,
            r#""protocol":"HTTP/1.1","status":200,"grpc_status":14,"reason":"response_cut","route":"shop","#,
            r#""pool":"shop-v2","version":"1.8.2","endpoint":"10.0.0.2:8080","attempts":2,"#,
            r#""bytes_in":10,"bytes_out":1234,"duration":1.500250,"queue":0.000000,"#,
            r#""connect":0.000999,"first_byte":0.020000,"position":41}"#,
            "\n",
        );
        assert_eq!(line(&record, Query::Hidden), expected);
        assert!(line(&record, Query::Printed).contains(r#""path":"/api/x?q=1""#));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let expected = concat!(
            r#"{"time":"2026-11-20T11:29:22.000123Z","client":"192.0.2.7","method":"GET","#,
            r#""protocol":"HTTP/1.1","status":0,"attempts":0,"bytes_in":0,"bytes_out":0,"#,
            r#""duration":0.000000}"#,
            "\n",
        );
        assert_eq!(line(&Record::bare(), Query::Printed), expected);
    }

    #[test]
    fn a_client_cannot_forge_a_line_or_a_field() {
        let mut record = Record::bare();
        let host = "a\"b\\c\r\n{\"status\":200}\u{0}\u{1b}[31m\u{2028}\u{7f}";
        record.put(Text::Host, host.as_bytes());
        record.put(Text::Path, b"/\xff\xfe");
        let line = line(&record, Query::Hidden);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        let ends_a_line = |letter: char| letter.is_control() || letter == '\u{2028}';
        assert!(!line.trim_end().contains(ends_a_line), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["host"], host);
        assert_eq!(read["path"], "/\u{fffd}\u{fffd}");
        assert_eq!(read["status"], 0);
    }

    fn line(record: &Record, query: Query) -> String {
        let mut out = Vec::new();
        write_line(record, query, &mut out);
        String::from_utf8(out).unwrap()
    }
}
