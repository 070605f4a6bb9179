//! Where lines go: a descriptor, and for a file its size, its name and whether it still has one.
//!
//! A write to a pipe or a terminal waits for its reader, and asks once a second whether it still should. Knows nothing
//! of lines.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use super::rotation::shift;
use crate::config::model::{LogFile, LogOutput};

/// How much is written to a pipe at once: what has room in one that can be written to at all (`PIPE_BUF`), so that a
/// write never waits beyond our reach.
const PIPE_BYTES: usize = 4 << 10;

/// How long an output may stand still until it is asked whether to go on.
const STALL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// An open output.
#[derive(Debug)]
pub(super) struct Output {
    place: LogOutput,
    /// `None` is off.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file on a disk, of this size.
    Regular { size: u64 },
    /// A pipe, a terminal, a device.
    Stream,
}

/// Whether the file that is written to is another one than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refreshed {
    Same,
    Anew,
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
            LogOutput::File(file) => Some(append_to(&file.path)?),
        };
        Ok(Self {
            place: place.clone(),
            open: file.map(Open::new).transpose()?,
        })
    }

    pub(super) fn is_off(&self) -> bool {
        self.open.is_none()
    }

    /// What it is called in the log.
    pub(super) fn name(&self) -> &Path {
        match &self.place {
            LogOutput::Off => Path::new("off"),
            LogOutput::Stdout => Path::new("stdout"),
            LogOutput::Stderr => Path::new("stderr"),
            LogOutput::File(file) => &file.path,
        }
    }

    /// Whether the file ends within a line, as a process that was cut off has left it. Unknown is no.
    pub(super) fn is_torn(&self) -> bool {
        let (LogOutput::File(file), Some(open)) = (&self.place, &self.open) else {
            return false;
        };
        let Kind::Regular { size: 1.. } = open.kind else {
            return false;
        };
        let last = || -> io::Result<u8> {
            let (read, mut last) = (File::open(&file.path)?, [b'\n']);
            read.read_exact_at(&mut last, read.metadata()?.len().saturating_sub(1))?;
            Ok(last[0])
        };
        last().is_ok_and(|last| last != b'\n')
    }

    /// Looks at the file: how large it is by now, and whether it still has a name. One that has none, because it or its
    /// folder was removed, would take lines and lose them; it is made anew.
    ///
    /// # Errors
    /// When it could not be made.
    pub(super) fn refresh(&mut self) -> io::Result<Refreshed> {
        let (LogOutput::File(_), Some(open)) = (&self.place, &mut self.open) else {
            return Ok(Refreshed::Same);
        };
        let Kind::Regular { size } = &mut open.kind else {
            return Ok(Refreshed::Same);
        };
        let present = open.file.metadata()?;
        if present.nlink() > 0 {
            *size = present.len();
            return Ok(Refreshed::Same);
        }
        self.reopen()?;
        Ok(Refreshed::Anew)
    }

    /// Opens the file anew under its name; the old one stays when that fails. Nothing but a file is opened anew.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if matches!(self.place, LogOutput::File(_)) {
            self.open = Self::open(&self.place)?.open;
        }
        Ok(())
    }

    /// Whether a line may be added after what is buffered, or the file is full. An empty file has room for any line.
    pub(super) fn has_room(&self, buffered: usize, line: usize) -> bool {
        let LogOutput::File(LogFile {
            max_bytes: Some(most),
            ..
        }) = self.place
        else {
            return true;
        };
        match &self.open {
            Some(Open {
                kind: Kind::Regular { size },
                ..
            }) => {
                let before = size.saturating_add(buffered as u64);
                before == 0 || before.saturating_add(line as u64) <= most
            }
            _ => true,
        }
    }

    /// Begins the next file. One that was moved away or put in the place of ours meanwhile is left alone.
    ///
    /// # Errors
    /// When files could not be moved, or the next not be made; the present one stays.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        let (LogOutput::File(LogFile { path, keep, .. }), Some(open)) = (&self.place, &self.open)
        else {
            return Ok(());
        };
        let ours = open.file.metadata()?;
        let named = match fs::symlink_metadata(path) {
            Ok(named) => Some(named),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(named) = named {
            if named.is_symlink() {
                // `/dev/stdout` is one too: what it leads to has no other name beside which to keep anything.
                return Err(io::Error::other("it is a symbolic link"));
            }
            if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) {
                shift(path, *keep)?;
            }
        }
        self.reopen()?;
        if let Some(open) = &self.open {
            // Whoever was let read the old one may read the new one; where that is not ours to say, it stays ours.
            open.file.set_permissions(ours.permissions()).ok();
        }
        Ok(())
    }

    /// Writes all of it; otherwise how much was written, and what went wrong. Where the output stands still, `go_on` is
    /// asked once a second whether to wait for it.
    pub(super) fn write(
        &mut self,
        bytes: &[u8],
        mut go_on: impl FnMut() -> ControlFlow<()>,
    ) -> Result<(), (usize, io::Error)> {
        let Some(Open { file, kind }) = &mut self.open else {
            return Ok(());
        };
        let mut written = 0;
        while written < bytes.len() {
            let mut piece = &bytes[written..];
            if *kind == Kind::Stream {
                piece = &piece[..piece.len().min(PIPE_BYTES)];
                wait_for_room(file, &mut go_on).map_err(|error| (written, error))?;
            }
            match file.write(piece) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => {
                    written += more;
                    if let Kind::Regular { size } = kind {
                        *size += more as u64;
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                    ) => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

impl Open {
    fn new(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let kind = match metadata.is_file() {
            true => Kind::Regular {
                size: metadata.len(),
            },
            false => Kind::Stream,
        };
        Ok(Self { file, kind })
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

fn wait_for_room(file: &File, go_on: &mut impl FnMut() -> ControlFlow<()>) -> io::Result<()> {
    loop {
        match poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&STALL)) {
            Ok(0) => {
                if go_on().is_break() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
            // An error of the output is told by the write.
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
