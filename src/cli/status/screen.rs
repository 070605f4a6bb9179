//! Where a status is printed: a terminal, of which one page is drawn over and over, or whatever reads the output.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use crate::cli::status::table::Paper;

/// The standard output.
#[derive(Debug)]
pub(crate) struct Screen {
    is_terminal: bool,
    is_coloured: bool,
    is_begun: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let refuses_colours = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            is_terminal: is_terminal && !is_dumb,
            is_coloured: is_terminal && !is_dumb && !refuses_colours,
            is_begun: false,
        }
    }

    /// What lines are to be made for, as it is now: windows change their size.
    pub(crate) fn paper(&self) -> Paper {
        Paper {
            width: self.size().map(|(columns, _)| columns),
            is_coloured: self.is_coloured,
        }
    }

    /// Prints these lines, once.
    ///
    /// # Errors
    /// The system's; a pipe that nobody reads any more is one.
    pub(crate) fn print(&self, lines: &[String]) -> io::Result<()> {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        write(&text)
    }

    /// Puts these lines in the place of those before: over them on a terminal, behind them elsewhere.
    ///
    /// # Errors
    /// As [`Screen::print`].
    pub(crate) fn redraw(&mut self, lines: &[String]) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        let Some((_, rows)) = self.size() else {
            let apart = if is_first { "" } else { "\n" };
            write(apart)?;
            return self.print(lines);
        };
        // From the top left, each line to its end, and nothing below: without a moment of emptiness.
        let mut text = String::from(if is_first {
            "\u{1b}[2J\u{1b}[H"
        } else {
            "\u{1b}[H"
        });
        // One line stays free for the cursor, and one for the words about what is below.
        let shown = match lines.len() < rows {
            true => lines.len(),
            false => rows.saturating_sub(2),
        };
        for line in &lines[..shown] {
            text.push_str(line);
            text.push_str("\u{1b}[K\n");
        }
        if shown < lines.len() {
            text.push_str(&format!("… {} lines more\u{1b}[K\n", lines.len() - shown));
        }
        text.push_str("\u{1b}[J");
        write(&text)
    }

    /// Columns and rows of a terminal.
    fn size(&self) -> Option<(usize, usize)> {
        if !self.is_terminal {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
        // Some terminals do not know; 80 by 24 is what they were once.
        let known = size.filter(|size| size.ws_col > 0 && size.ws_row > 2);
        Some(known.map_or((80, 24), |size| {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }))
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
