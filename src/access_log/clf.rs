//! A record as one line of the common and of the combined log format, as nginx writes them.
//!
//! Times are UTC. The request's line is made of what was understood of it, the canonical path among it. As with nginx
//! `"`, `\`, control characters and what is beyond ASCII become `\xHH`, and `-` stands for what is missing; so does a
//! space in the middle of the request's line, which then always has three words.

use std::io::Write as _;

use jiff::Timestamp;

use crate::header::network::shown;

use super::query::{Query, protocol};
use super::record::{Record, Text};

/// Appends the record's line in the common log format.
pub(super) fn write_common(record: &Record, query: Query, out: &mut Vec<u8>) {
    write_head(record, query, out);
    out.push(b'\n');
}

/// Appends the record's line in the combined log format.
pub(super) fn write_combined(record: &Record, query: Query, out: &mut Vec<u8>) {
    write_head(record, query, out);
    for field in [query.referer(record), record.text(Text::UserAgent)] {
        out.extend_from_slice(b" \"");
        match field {
            b"" => out.push(b'-'),
            field => escape(field, is_plain, out),
        }
        out.push(b'"');
    }
    out.push(b'\n');
}

fn write_head(record: &Record, query: Query, out: &mut Vec<u8>) {
    // The client's identity and its user are never known here.
    print(out, format_args!("{} - - [", shown(record.client)));
    match Timestamp::try_from(record.time) {
        Ok(time) => print(
            out,
            format_args!("{}", time.strftime("%d/%b/%Y:%H:%M:%S %z")),
        ),
        Err(_) => out.push(b'-'),
    }
    out.extend_from_slice(b"] \"");
    write_request(record, query, out);
    print(
        out,
        format_args!("\" {} {}", record.status, record.bytes_out),
    );
}

fn write_request(record: &Record, query: Query, out: &mut Vec<u8>) {
    let path = record.text(Text::Path);
    if path.is_empty() {
        // A head that could not be read.
        out.push(b'-');
        return;
    }
    let is_word = |octet| octet != b' ' && is_plain(octet);
    escape(record.method.as_str().as_bytes(), is_word, out);
    out.push(b' ');
    escape(path, is_word, out);
    let asked = query.of(record);
    if !asked.is_empty() {
        out.push(b'?');
        escape(asked, is_word, out);
    }
    out.push(b' ');
    out.extend_from_slice(protocol(record.protocol).as_bytes());
}

fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\')
}

fn escape(text: &[u8], is_plain: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    for &octet in text {
        if is_plain(octet) {
            out.push(octet);
        } else {
            print(out, format_args!("\\x{octet:02X}"));
        }
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing into memory cannot fail");
}
