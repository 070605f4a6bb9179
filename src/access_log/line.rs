//! JSON, written field by field into a line.
//!
//! A field without a value is left out, never `null`: lines stay short, and a missing field reads as null wherever
//! logs are searched. Octets that are no UTF-8 become U+FFFD. All that could end a line or move a cursor is escaped:
//! the control characters of ASCII, as JSON demands, and those beyond it (U+0080 to U+009F, U+2028, U+2029), which some
//! readers take for the end of a line.

use std::fmt::Arguments;
use std::io::Write as _;
use std::time::Duration;

/// An object under way at the end of a buffer.
#[derive(Debug)]
pub(super) struct Line<'a> {
    out: &'a mut Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    Begun,
}

impl<'a> Line<'a> {
    /// Begins an object at the end of a buffer.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            state: State::Empty,
        }
    }

    /// Ends the object and its line.
    pub(super) fn end(mut self) {
        self.close();
        self.out.push(b'\n');
    }

    /// A text, left out where it is empty.
    pub(super) fn text(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        self.name(name);
        quote(&String::from_utf8_lossy(value), self.out);
    }

    /// Seconds to the microsecond.
    pub(super) fn seconds(&mut self, name: &str, value: Option<Duration>) {
        if let Some(value) = value {
            let (whole, micros) = (value.as_secs(), value.subsec_micros());
            self.printed(name, format_args!("{whole}.{micros:06}"));
        }
    }

    /// What is JSON as it prints.
    pub(super) fn printed(&mut self, name: &str, value: Arguments<'_>) {
        self.name(name);
        self.out
            .write_fmt(value)
            .expect("writing into memory cannot fail");
    }

    /// An object within, left out where nothing comes to stand in it.
    pub(super) fn object(&mut self, name: &str, fields: impl FnOnce(&mut Line<'_>)) {
        let (start, before) = (self.out.len(), self.state);
        self.name(name);
        let mut inner = Line::new(self.out);
        fields(&mut inner);
        if inner.state == State::Empty {
            self.out.truncate(start);
            self.state = before;
        } else {
            inner.close();
        }
    }

    fn name(&mut self, name: &str) {
        let before: &[u8] = match self.state {
            State::Empty => b"{\"",
            State::Begun => b",\"",
        };
        self.state = State::Begun;
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn close(&mut self) {
        let end: &[u8] = match self.state {
            State::Empty => b"{}",
            State::Begun => b"}",
        };
        self.out.extend_from_slice(end);
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    serde_json::to_writer(&mut *out, text).expect("a text into memory cannot fail");
    // Almost every text is plain, and is looked at no further.
    if !text.contains(is_unsafe) {
        return;
    }
    let quoted = String::from_utf8_lossy(&out.split_off(start)).into_owned();
    for letter in quoted.chars() {
        if is_unsafe(letter) {
            write!(out, "\\u{:04x}", u32::from(letter)).expect("writing into memory cannot fail");
        } else {
            out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Control characters that JSON lets stand.
fn is_unsafe(letter: char) -> bool {
    matches!(letter, '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}
