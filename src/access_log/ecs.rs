//! A record as one line of the Elastic Common Schema; what the schema has no field for stands under `fiel`.
//!
//! `source.ip` is the client behind trusted proxies, as Filebeat's modules for proxies have it. Times under `fiel` are
//! seconds, as in fiel's own format; `event.duration` is nanoseconds, as the schema demands.

use jiff::Timestamp;

use super::line::Line;
use super::query::{Query, protocol};
use super::record::{Record, Text};
use crate::grpc::Code;

/// The version of the schema that the fields are of.
const VERSION: &str = "8.11.0";

/// Reasons with which a route answers as it is configured to.
const INTENDED: [&str; 2] = ["redirect", "respond"];

/// Appends the record's line with its newline.
pub(super) fn write_line(record: &Record, query: Query, out: &mut Vec<u8>) {
    let mut line = Line::new(out);
    if let Ok(time) = Timestamp::try_from(record.time) {
        line.printed("@timestamp", format_args!("\"{time:.6}\""));
    }
    line.object("ecs", |ecs| ecs.text("version", VERSION.as_bytes()));
    line.object("event", |event| {
        event.text("kind", b"event");
        event.printed("category", format_args!("[\"web\"]"));
        event.printed("type", format_args!("[\"access\"]"));
        event.text("dataset", b"fiel.access");
        event.text("outcome", outcome(record).as_bytes());
        event.printed("duration", format_args!("{}", record.duration.as_nanos()));
    });
    line.object("http", |http| {
        let version = protocol(record.protocol);
        let version = version.strip_prefix("HTTP/").unwrap_or(version);
        http.text("version", version.as_bytes());
        http.object("request", |request| {
            request.text("id", record.text(Text::RequestId));
            request.text("method", record.method.as_str().as_bytes());
            request.text("referrer", query.referer(record));
            request.object("body", |body| {
                body.printed("bytes", format_args!("{}", record.bytes_in));
            });
        });
        http.object("response", |response| {
            response.printed("status_code", format_args!("{}", record.status));
            response.object("body", |body| {
                body.printed("bytes", format_args!("{}", record.bytes_out));
            });
        });
    });
    line.object("url", |url| {
        url.text("domain", record.text(Text::Host));
        url.text("path", record.text(Text::Path));
        url.text("query", query.of(record));
    });
    line.object("network", |network| network.text("protocol", b"http"));
    if let Some(client) = record.client {
        line.object("source", |source| {
            source.printed("ip", format_args!("\"{client}\""));
        });
    }
    line.object("user_agent", |agent| {
        agent.text("original", record.text(Text::UserAgent));
    });
    line.object("trace", |trace| {
        trace.text("id", record.text(Text::TraceId));
    });
    line.object("fiel", |fiel| own(record, fiel));
    line.end();
}

fn own(record: &Record, fiel: &mut Line<'_>) {
    fiel.text("listener", record.text(Text::Listener));
    fiel.text("route", record.text(Text::Route));
    fiel.text("pool", record.text(Text::Pool));
    fiel.text("version", record.text(Text::Version));
    fiel.text("endpoint", record.text(Text::Endpoint));
    fiel.printed("attempts", format_args!("{}", record.attempts));
    if let Some(code) = record.grpc_status {
        fiel.printed("grpc_status", format_args!("{}", code.number()));
    }
    fiel.text("reason", record.reason.unwrap_or_default().as_bytes());
    fiel.seconds("queue", record.queue);
    fiel.seconds("connect", record.connect);
    fiel.seconds("first_byte", record.first_byte);
    if let Some(position) = record.position {
        fiel.printed("position", format_args!("{position}"));
    }
}

/// A failure is an error of client or server, an answer that broke off whatever its status, and a call that ended so.
fn outcome(record: &Record) -> &'static str {
    let broke_off = record
        .reason
        .is_some_and(|reason| !INTENDED.contains(&reason));
    let failed = record.grpc_status.is_some_and(|code| code != Code::Ok);
    if record.status >= 400 || broke_off || failed {
        "failure"
    } else {
        "success"
    }
}
