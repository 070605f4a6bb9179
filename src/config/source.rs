//! Files: the text of a configuration with its places, and what else the configuration names on the disk.
//!
//! A [`Place`] is a range of octets over all files of a configuration, one after the other; line, column and excerpt
//! are worked out only when something is to be said about it. Only this room and `folder` touch the disk.

use std::path::Path;

use crate::config::problem::Problem;

/// The text of a file and the name by which messages call it.
pub(crate) struct Source {
    name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// Where its places begin.
    base: usize,
}

/// A range of octets of a configuration's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Where it begins.
    pub(crate) start: usize,
    /// How long it is; 0 marks a point.
    pub(crate) length: usize,
}

/// A problem and where it is among all the files.
pub(crate) type Found = (Place, Problem);

/// More than this is refused before it is read, in one file or in a folder: no configuration is that large.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

impl Source {
    /// Takes a text that has been read.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(crate) fn try_new(bytes: &[u8], name: &str) -> Result<Self, Problem> {
        match std::str::from_utf8(bytes) {
            // A byte order mark is no part of the text; dropped here, it shifts no column.
            Ok(text) => Ok(Self::new(
                text.strip_prefix('\u{feff}').unwrap_or(text),
                name,
            )),
            Err(error) => {
                let source = Self::new(&String::from_utf8_lossy(bytes), name);
                let start = error.valid_up_to();
                Err(source.problem(
                    Place { start, length: 0 },
                    format!("the octet 0x{:02x} here is not UTF-8", bytes[start]),
                    "save the file as UTF-8",
                ))
            }
        }
    }

    fn new(text: &str, name: &str) -> Self {
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            lines: std::iter::once(0).chain(starts).collect(),
            base: 0,
        }
    }

    /// Stands in the place of a file that could not be read.
    pub(crate) fn empty(name: &str) -> Self {
        Self::new("", name)
    }

    /// A place by where it begins in this text.
    pub(crate) fn place(&self, start: usize, length: usize) -> Place {
        Place {
            start: self.base.saturating_add(start),
            length,
        }
    }

    /// Where a place begins in this text.
    pub(crate) fn offset(&self, place: Place) -> usize {
        place.start.saturating_sub(self.base)
    }

    /// The whole text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The words at a place.
    pub(crate) fn words(&self, place: Place) -> &str {
        let start = self.offset(place);
        self.text
            .get(start..start.saturating_add(place.length))
            .unwrap_or("")
    }

    /// The place of a line and a column in characters, both from 1.
    pub(crate) fn place_of(&self, line: usize, column: usize) -> Place {
        let line = line.clamp(1, self.lines.len());
        let start = self.lines[line - 1];
        let offset = self
            .line_text(line)
            .char_indices()
            .nth(column.saturating_sub(1));
        let offset = offset.map_or_else(|| self.line_text(line).len(), |(offset, _)| offset);
        self.place(start + offset, 0)
    }

    /// The line of a place, from 1.
    pub(crate) fn line(&self, place: Place) -> usize {
        let offset = self.offset(place);
        self.lines.partition_point(|&start| start <= offset)
    }

    /// A problem at a place.
    pub(crate) fn problem(
        &self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        let line = self.line(place);
        let text = self.line_text(line);
        let start = self.offset(place) - self.lines[line - 1];
        let (before, from) = text.split_at_checked(start).unwrap_or((text, ""));
        let marked = from.get(..place.length).unwrap_or(from).trim_end();
        Problem {
            line,
            column: before.chars().count() + 1,
            excerpt: excerpt(line, before, from, marked.chars().count().max(1)),
            ..Problem::of_file(&self.name, message, remedy)
        }
    }

    /// A line, from 1, without its end.
    fn line_text(&self, line: usize) -> &str {
        let start = self.lines[line - 1];
        let end = self
            .lines
            .get(line)
            .map_or(self.text.len(), |next| next - 1);
        self.text[start..end].trim_end_matches('\r')
    }
}

/// The files of a configuration, in the order in which they are read.
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// Takes files that have been read, and puts their places one behind the other.
    pub(crate) fn new(mut files: Vec<Source>) -> Self {
        let mut base = 0_usize;
        for file in &mut files {
            file.base = base;
            // One more, so that the end of a file is no place of the next.
            base = base.saturating_add(file.text.len()).saturating_add(1);
        }
        Self(files)
    }

    /// The files, in order.
    pub(crate) fn all(&self) -> &[Source] {
        &self.0
    }

    /// The file of a place.
    fn of(&self, place: Place) -> &Source {
        &self.0[self.index(place)]
    }

    /// Where the file of a place stands among the others.
    pub(crate) fn index(&self, place: Place) -> usize {
        let after = self.0.partition_point(|file| file.base <= place.start);
        after.saturating_sub(1)
    }

    /// The words at a place.
    pub(crate) fn words(&self, place: Place) -> &str {
        self.of(place).words(place)
    }

    /// The line of a place for messages that name it beside another: `12`, or `12 of b.yaml` where there are several
    /// files.
    pub(crate) fn line(&self, place: Place) -> String {
        let file = self.of(place);
        let line = file.line(place);
        match self.0.len() {
            1 => line.to_string(),
            _ => format!("{line} of {}", file.name),
        }
    }

    /// A problem at a place.
    pub(crate) fn problem(
        &self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Problem {
        self.of(place).problem(place, message, remedy)
    }
}

/// The line (what is before the words meant, and from them on) and carets below it. It is cut around the carets when
/// it is long, without a look at the rest: a file may be one line of megabytes. Nothing in it can move the cursor.
fn excerpt(line: usize, before: &str, from: &str, marked: usize) -> String {
    const WIDTH: usize = 120;
    const LEAD: usize = 60;
    let mut lead: Vec<char> = before.chars().rev().take(WIDTH).collect();
    let is_cut = lead.len() + marked.min(WIDTH - LEAD) > WIDTH;
    if is_cut {
        lead.truncate(LEAD);
    }
    let mut rest = from.chars();
    let mut shown = String::new();
    if is_cut {
        shown.push('…');
    }
    let words = lead.iter().rev().copied().chain(rest.by_ref()).take(WIDTH);
    shown.extend(words.map(|c| match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }));
    if rest.next().is_some() {
        shown.push('…');
    }
    let indent = lead.len() + usize::from(is_cut);
    let carets = "^".repeat(marked.min(WIDTH.saturating_sub(lead.len()).max(1)));
    let gutter = line.to_string().len().max(4);
    let first = format!("{line:>gutter$} | {shown}");
    let first = first.trim_end();
    format!("{first}\n{:gutter$} | {:indent$}{carets}", "", "")
}

/// Reads the file of a configuration, as long as it has at most `max_bytes`.
///
/// # Errors
/// When it is not there, is a folder, is too large, or cannot be read.
pub(crate) fn read(path: &Path, name: &str, max_bytes: u64) -> Result<Vec<u8>, Problem> {
    let failed = |error: &std::io::Error| unreadable(name, error);
    let facts = std::fs::metadata(path).map_err(|error| failed(&error))?;
    if facts.len() > max_bytes {
        return Err(Problem::of_file(
            name,
            format!("it has {} octets, more than {max_bytes}", facts.len()),
            "name a configuration with --config; this looks like something else",
        ));
    }
    std::fs::read(path).map_err(|error| failed(&error))
}

/// What a file or a folder that cannot be read is told.
pub(crate) fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    let (message, remedy) = if error.kind() == std::io::ErrorKind::NotFound {
        (
            "there is no such file".to_owned(),
            "name an existing file with --config, or start from config/quickstart.yaml",
        )
    } else {
        (
            format!("could not read it: {error}"),
            "make it readable for the user that runs fiel",
        )
    };
    Problem::of_file(name, message, remedy)
}

/// Why a file that must hold a secret does not, if it does not; the secret itself is not looked at.
pub(crate) fn secret_fault(path: &Path) -> Option<String> {
    match std::fs::read(path) {
        Ok(content) if content.trim_ascii().is_empty() => Some("is empty".to_owned()),
        Ok(_) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some("does not exist".to_owned())
        }
        Err(error) => Some(format!("could not be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Source, Sources};

    fn source(text: &str) -> Source {
        Source::try_new(text.as_bytes(), "x.yaml").unwrap()
    }

    #[test]
    fn a_place_knows_its_line_and_its_column_in_characters() {
        let source = source("a: 1\nä: weigth\r\n");

        let problem = source.problem(
            Place {
                start: 9,
                length: 6,
            },
            "m",
            "r",
        );

        assert_eq!((problem.line, problem.column), (2, 4));
        assert_eq!(problem.excerpt, "   2 | ä: weigth\n     |    ^^^^^^");
    }

    #[test]
    fn what_is_not_utf_8_is_told_with_its_place() {
        let problem = Source::try_new(b"a: 1\nb: \xff\n", "x.yaml").err().unwrap();

        assert_eq!((problem.line, problem.column), (2, 4));
    }

    #[test]
    fn a_long_line_is_cut_around_the_words_meant() {
        let text = format!("{}here{}", "x".repeat(500), "y".repeat(500));

        let problem = source(&text).problem(
            Place {
                start: 500,
                length: 4,
            },
            "m",
            "r",
        );

        let (line, carets) = problem.excerpt.split_once('\n').unwrap();
        let at = line.chars().collect::<Vec<_>>();
        let from = carets.chars().position(|c| c == '^').unwrap();
        assert_eq!(at[from..from + 4].iter().collect::<String>(), "here");
        assert!(line.chars().count() < 140, "{line}");
    }

    #[test]
    fn a_place_past_the_end_is_still_told() {
        let source = source("a: 1");
        let problem = source.problem(
            Place {
                start: 4,
                length: 0,
            },
            "m",
            "r",
        );
        assert_eq!((problem.line, problem.column), (1, 5));
        assert_eq!(source.place_of(9, 9).start, 4);
    }

    #[test]
    fn a_place_knows_its_file_as_well() {
        let files = ["a: 1", "", "b: 2\nc: 3"].map(source);

        let files = Sources::new(files.into());

        for (file, line, words) in [(0, 1, "a"), (2, 1, "b"), (2, 2, "c")] {
            let one = &files.all()[file];
            let place = one.place(one.text().find(words).unwrap(), 1);
            assert_eq!(files.words(place), words);
            assert_eq!(files.line(place), format!("{line} of x.yaml"));
            assert_eq!(files.problem(place, "m", "r").line, line);
        }
        let end = files.all()[0].place(4, 0);
        assert_eq!(files.problem(end, "m", "r").column, 5);
    }
}
