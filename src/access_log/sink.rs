//! Lines on their way to an output, and what becomes of those that cannot be written.
//!
//! A write that fails loses its lines and counts them; the next one is tried all the same, so that a full disk, a
//! folder that was gone or a reader that comes back heals by itself. The log says when that begins and when it is over,
//! not what each line met. After a line that was cut short the next begins on a new line.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gauge::Gauge;
use super::output::{Output, Refreshed};
use super::trouble::Trouble;
use crate::metrics::Metrics;

/// At this size a buffer is written, and above four times of it given back.
const BATCH_BYTES: usize = 64 << 10;

/// After a file could not be rotated, lines go on into it for so long before that is tried again.
const ROTATE_AGAIN: Duration = Duration::from_secs(1);

/// Lines on their way to an output.
#[derive(Debug)]
pub(super) struct Sink {
    output: Output,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// The output's last line was cut short.
    torn: bool,
    /// The output stood still for too long; nothing is written to it any more.
    given_up: bool,
    rotate_from: Option<Instant>,
    /// By the number that the system gives to an error.
    failing: Trouble<Option<i32>>,
    unrotated: Trouble<Option<i32>>,
    slow: Trouble<()>,
    /// Of the records that found no room, those that are told of.
    overflow_seen: u64,
    gauge: Arc<Gauge>,
    metrics: Arc<Metrics>,
}

impl Sink {
    pub(super) fn new(output: Output, gauge: Arc<Gauge>, metrics: Arc<Metrics>) -> Self {
        Self {
            torn: output.is_torn(),
            output,
            buffer: Vec::new(),
            lines: 0,
            given_up: false,
            rotate_from: None,
            failing: Trouble::none(),
            unrotated: Trouble::none(),
            slow: Trouble::none(),
            overflow_seen: 0,
            gauge,
            metrics,
        }
    }

    /// Whether the output was given up: what comes next is for another one.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// Takes a line in, and writes when many have come together.
    pub(super) fn push(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) {
        if self.output.is_off() {
            return;
        }
        let before = self.buffer.len();
        write_line(&mut self.buffer);
        if !self.output.has_room(before, self.buffer.len() - before) && self.may_rotate() {
            let line = self.buffer.split_off(before);
            self.flush();
            self.rotate();
            self.buffer.extend_from_slice(&line);
        }
        self.lines += 1;
        if self.buffer.len() >= BATCH_BYTES {
            self.flush();
        }
    }

    /// Writes what has come together.
    pub(super) fn flush(&mut self) {
        if self.lines == 0 {
            return;
        }
        match self.try_flush() {
            Ok(()) => {
                if let Some(lost) = self.failing.over() {
                    let output = self.output.name().display();
                    tracing::info!(%output, lost, "Access log is written again");
                }
            }
            Err((written, error)) => self.failed(written, &error),
        }
        self.lines = 0;
        self.buffer.clear();
        self.buffer.shrink_to(4 * BATCH_BYTES);
    }

    /// From here on to another output.
    pub(super) fn switch(&mut self, output: Output) {
        self.flush();
        let (gauge, metrics) = (Arc::clone(&self.gauge), Arc::clone(&self.metrics));
        let buffer = std::mem::take(&mut self.buffer);
        *self = Self {
            buffer,
            overflow_seen: self.overflow_seen,
            ..Self::new(output, gauge, metrics)
        };
    }

    /// Opens the file anew under its name, after it was moved away; the old one stays when that fails.
    pub(super) fn reopen(&mut self) {
        self.flush();
        match self.output.reopen() {
            Ok(()) => self.torn = self.output.is_torn(),
            Err(error) => tracing::error!(%error, "Access log stays with its old file"),
        }
    }

    /// Tells when records have begun to find no room, and when they find it again. To be called once a turn.
    pub(super) fn tell_of_overflow(&mut self) {
        let name = self.output.name();
        let seen = &mut self.overflow_seen;
        let lost = match note_overflow(&self.gauge, seen, &mut self.slow, name) {
            Overflow::GoesOn => None,
            Overflow::None => self.slow.over(),
        };
        if let Some(lost) = lost {
            let output = name.display();
            tracing::info!(%output, lost, "Access log keeps up again");
        }
    }

    fn try_flush(&mut self) -> Result<(), (usize, io::Error)> {
        if self.given_up {
            return Err((0, io::ErrorKind::TimedOut.into()));
        }
        let refreshed = self.output.refresh().map_err(|error| (0, error))?;
        if refreshed == Refreshed::Anew {
            self.torn = false;
        }
        let (gauge, slow, seen) = (&self.gauge, &mut self.slow, &mut self.overflow_seen);
        let name = self.output.name().to_owned();
        let mut go_on = || {
            note_overflow(gauge, seen, slow, &name);
            match gauge.is_impatient() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        if self.torn {
            self.output
                .write(b"\n", &mut go_on)
                .map_err(|(_, error)| (0, error))?;
            self.torn = false;
        }
        self.output.write(&self.buffer, go_on)
    }

    fn failed(&mut self, written: usize, error: &io::Error) {
        let begun = &self.buffer[..written];
        let whole = memchr::memchr_iter(b'\n', begun).count() as u64;
        if let Some(last) = begun.last() {
            self.torn = *last != b'\n';
        }
        self.given_up |= error.kind() == io::ErrorKind::TimedOut;
        let lost = self.lines - whole;
        self.metrics.access_log_dropped(lost);
        if self
            .failing
            .is_news(error.raw_os_error(), lost, Instant::now())
        {
            let output = self.output.name().display();
            tracing::error!(%output, %error, "Access log cannot be written, its lines are lost");
        }
    }

    fn may_rotate(&self) -> bool {
        self.rotate_from.is_none_or(|from| Instant::now() >= from)
    }

    fn rotate(&mut self) {
        match self.output.rotate() {
            Ok(()) => {
                self.torn = false;
                self.rotate_from = None;
                if self.unrotated.over().is_some() {
                    tracing::info!("Access log is rotated again");
                }
            }
            Err(error) => {
                let now = Instant::now();
                self.rotate_from = Some(now + ROTATE_AGAIN);
                if self.unrotated.is_news(error.raw_os_error(), 0, now) {
                    let output = self.output.name().display();
                    tracing::error!(%output, %error, "Access log cannot be rotated, its file grows on");
                }
            }
        }
    }
}

/// Whether records have found no room since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overflow {
    GoesOn,
    None,
}

fn note_overflow(gauge: &Gauge, seen: &mut u64, slow: &mut Trouble<()>, output: &Path) -> Overflow {
    let present = gauge.overflowed();
    let lost = present - std::mem::replace(seen, present);
    if lost == 0 {
        return Overflow::None;
    }
    if slow.is_news((), lost, Instant::now()) {
        let output = output.display();
        tracing::error!(%output, "Access log is slower than the traffic, lines are lost");
    }
    Overflow::GoesOn
}

#[cfg(test)]
mod tests;
