//! Where lines go, and what becomes of those that cannot be written.
//!
//! A write that fails loses its lines, counts them and is complained of at most once a minute; the next one is tried
//! all the same, so that a full disk or a reader that comes back heals by itself. After a line that was cut short the
//! next batch begins on a new line.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::config::model::LogOutput;
use crate::metrics::Metrics;

/// An open output.
#[derive(Debug)]
pub(super) struct Output {
    place: LogOutput,
    /// `None` is off.
    file: Option<File>,
}

impl Output {
    /// Opens it.
    ///
    /// # Errors
    /// When the file cannot be opened or made, or is a named pipe that nobody reads.
    pub(super) fn open(place: &LogOutput) -> io::Result<Self> {
        let file = match place {
            LogOutput::Off => None,
            // A descriptor of its own: std's has a lock and a buffer.
            LogOutput::Stdout => Some(io::stdout().as_fd().try_clone_to_owned()?.into()),
            LogOutput::Stderr => Some(io::stderr().as_fd().try_clone_to_owned()?.into()),
            LogOutput::File(path) => Some(append_to(path)?),
        };
        Ok(Self {
            place: place.clone(),
            file,
        })
    }

    fn name(&self) -> &Path {
        match &self.place {
            LogOutput::Off => Path::new("off"),
            LogOutput::Stdout => Path::new("stdout"),
            LogOutput::Stderr => Path::new("stderr"),
            LogOutput::File(path) => path,
        }
    }

    /// Writes all of it, waiting as long as it takes; otherwise how much was written, and what went wrong.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut written = 0;
        while written < bytes.len() {
            match file.write(&bytes[written..]) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for_room(file).map_err(|error| (written, error))?;
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

/// Without blocking, because opening a named pipe without a reader would hang, and a start or a reload with it. On a
/// file this has no effect.
fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::CLOEXEC
        | OFlags::NONBLOCK
        | OFlags::NOCTTY;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640));
    opened.map(File::from).map_err(|cause| {
        let cause = io::Error::from(cause);
        io::Error::new(
            cause.kind(),
            format!("could not open access log {}: {cause}", path.display()),
        )
    })
}

fn wait_for_room(file: &File) -> io::Result<()> {
    match poll(&mut [PollFd::new(file, PollFlags::OUT)], None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lines on their way to an output.
#[derive(Debug)]
pub(super) struct Sink {
    output: Output,
    buffer: Vec<u8>,
    /// Lines in the buffer.
    lines: u64,
    /// The output's last line was cut short.
    torn: bool,
    /// Lines lost since the last complaint.
    lost: u64,
    complained: Option<Instant>,
    metrics: Arc<Metrics>,
}

/// At this size a buffer is written, and above four times of it given back.
const BATCH_BYTES: usize = 64 << 10;

/// From one complaint to the next.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

impl Sink {
    pub(super) fn new(output: Output, metrics: Arc<Metrics>) -> Self {
        Self {
            output,
            buffer: Vec::new(),
            lines: 0,
            torn: false,
            lost: 0,
            complained: None,
            metrics,
        }
    }

    fn is_off(&self) -> bool {
        self.output.file.is_none()
    }

    /// Takes a line in, and writes when many have come together.
    pub(super) fn push(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) {
        if self.is_off() {
            return;
        }
        if self.lines == 0 && self.torn {
            self.buffer.push(b'\n');
        }
        write_line(&mut self.buffer);
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
        match self.output.write(&self.buffer) {
            Ok(()) => self.torn = false,
            Err((written, error)) => self.failed(written, &error),
        }
        self.lines = 0;
        self.buffer.clear();
        self.buffer.shrink_to(4 * BATCH_BYTES);
    }

    /// From here on to another output.
    pub(super) fn switch(&mut self, output: Output) {
        self.flush();
        self.output = output;
        self.torn = false;
    }

    /// Opens the file anew under its name, after it was moved away; the old one stays when that fails.
    pub(super) fn reopen(&mut self) {
        if !matches!(self.output.place, LogOutput::File(_)) {
            return;
        }
        match Output::open(&self.output.place) {
            Ok(output) => self.switch(output),
            Err(error) => tracing::error!(%error, "Access log stays with its old file"),
        }
    }

    fn failed(&mut self, written: usize, error: &io::Error) {
        let begun = &self.buffer[..written];
        let mended = u64::from(self.torn && written > 0);
        let whole = begun.iter().filter(|byte| **byte == b'\n').count() as u64 - mended;
        let lost = self.lines - whole;
        if let Some(last) = begun.last() {
            self.torn = *last != b'\n';
        }
        self.metrics.access_log_dropped(lost);
        self.lost += lost;
        let now = Instant::now();
        if self
            .complained
            .is_none_or(|then| now.duration_since(then) >= COMPLAINT_PERIOD)
        {
            let output = self.output.name().display();
            tracing::error!(%output, %error, lines = self.lost, "Access log could not be written");
            self.complained = Some(now);
            self.lost = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_short_is_ended_before_the_next_and_counts_as_lost() {
        let folder = tempfile::tempdir().unwrap();
        let place = LogOutput::File(folder.path().join("access.log"));
        let metrics = Metrics::new(1);
        let mut sink = Sink::new(Output::open(&place).unwrap(), Arc::clone(&metrics));

        // As if the disk had become full in the middle of the second of three lines.
        sink.buffer = b"one\ntwo\nthree\n".to_vec();
        sink.lines = 3;
        sink.output.write(b"one\ntw").unwrap();
        sink.failed(6, &io::ErrorKind::StorageFull.into());
        sink.lines = 0;
        sink.buffer.clear();
        sink.push(|buffer| buffer.extend_from_slice(b"four\n"));
        sink.flush();

        let LogOutput::File(path) = place else {
            unreachable!()
        };
        assert_eq!(std::fs::read_to_string(path).unwrap(), "one\ntw\nfour\n");
        let text = metrics.text(Vec::new());
        assert!(text.contains("fiel_access_log_dropped_total 2\n"), "{text}");
        assert!(!sink.torn);
    }

    #[test]
    fn a_full_disk_loses_lines_but_nothing_else() {
        let metrics = Metrics::new(1);
        let full = LogOutput::File("/dev/full".into());
        let mut sink = Sink::new(Output::open(&full).unwrap(), Arc::clone(&metrics));
        for _ in 0..3 {
            sink.push(|buffer| buffer.extend_from_slice(b"line\n"));
            sink.flush();
        }
        let text = metrics.text(Vec::new());
        assert!(text.contains("fiel_access_log_dropped_total 3\n"), "{text}");
        assert_eq!(sink.lost, 2, "complained of once");
    }
}
