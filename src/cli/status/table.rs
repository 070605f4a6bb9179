//! Lines of aligned columns, within a width where one is given.
//!
//! Widths are counted in characters. Only the first and the last column give way when there is not enough room: names
//! and free text can be read in part, numbers cannot.

use crate::cli::plain::plain;

/// What a piece of text is shown in, where there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Usual,
    Heading,
    Good,
    Doubtful,
    Bad,
    Faint,
}

/// Where lines go to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paper {
    /// Characters in a line; `None` is as many as it takes.
    pub(crate) width: Option<usize>,
    /// Whether tones become colours.
    pub(crate) is_coloured: bool,
}

impl Paper {
    /// A text in its tone.
    pub(crate) fn toned(self, text: &str, tone: Tone) -> String {
        let code = match tone {
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Doubtful => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
            Tone::Usual => return text.to_owned(),
        };
        match self.is_coloured && !text.trim().is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// A line of one text, cut where it is too long.
    pub(crate) fn line(self, text: &str, tone: Tone) -> String {
        let text = match self.width {
            Some(width) => cut(text, width),
            None => text.to_owned(),
        };
        self.toned(&text, tone)
    }
}

/// Which side of a column its texts keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Right,
}

/// A text in a column.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A text from elsewhere.
    pub(crate) fn new(text: &str, tone: Tone) -> Self {
        Self {
            text: plain(text),
            tone,
        }
    }

    /// A text in the usual tone.
    pub(crate) fn usual(text: &str) -> Self {
        Self::new(text, Tone::Usual)
    }
}

/// A row of a table.
#[derive(Clone, Debug)]
enum Row {
    Cells(Vec<Cell>),
    /// A text over all columns.
    Whole(Cell),
}

/// Rows below their headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Row>,
}

/// Between two columns.
const GAP: usize = 2;

/// Narrower than this the first and the last column do not become.
const LEAST: usize = 12;

impl Table {
    /// A table without rows.
    pub(crate) fn new(columns: &[(&'static str, Side)]) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a text for each column.
    pub(crate) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row::Cells(cells));
    }

    /// Adds a text over all columns.
    pub(crate) fn whole(&mut self, cell: Cell) {
        self.rows.push(Row::Whole(cell));
    }

    /// Its lines, headings first; none where there are no rows.
    pub(crate) fn lines(&self, paper: Paper) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let widths = self.widths(paper.width);
        let heading = |&(text, _): &(&'static str, Side)| Cell::new(text, Tone::Heading);
        let headings: Vec<Cell> = self.columns.iter().map(heading).collect();
        let mut lines = vec![self.line(&headings, &widths, paper)];
        lines.extend(self.rows.iter().map(|row| match row {
            Row::Cells(cells) => self.line(cells, &widths, paper),
            Row::Whole(cell) => paper.line(&cell.text, cell.tone),
        }));
        lines
    }

    fn line(&self, cells: &[Cell], widths: &[usize], paper: Paper) -> String {
        let mut line = String::new();
        let mut owed = 0;
        for ((cell, &width), &(_, side)) in cells.iter().zip(widths).zip(&self.columns) {
            let text = cut(&cell.text, width);
            let room = width - text.chars().count();
            let (before, after) = match side {
                Side::Left => (0, room),
                Side::Right => (room, 0),
            };
            if !text.is_empty() {
                line.push_str(&" ".repeat(owed + before));
                line.push_str(&paper.toned(&text, cell.tone));
                owed = 0;
            } else {
                owed += before;
            }
            owed += after + GAP;
        }
        line
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|(heading, _)| heading.chars().count())
            .collect();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let Some(limit) = limit else {
            return widths;
        };
        let gaps = GAP * widths.len().saturating_sub(1);
        let over = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(limit);
        // The free text at the end gives way first, then the name at the front.
        for column in [widths.len().saturating_sub(1), 0] {
            let over = over(&widths);
            if let Some(width) = widths.get_mut(column)
                && self.columns[column].1 == Side::Left
            {
                *width = width.saturating_sub(over).max(LEAST.min(*width));
            }
        }
        widths
    }
}

/// The text, cut to this many characters.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}
