//! What is wrong with a configuration: where, what, and how to mend it.
//!
//! A problem is complete in itself: it carries its excerpt, so that it can be printed after the text is gone.

use std::collections::HashSet;
use std::fmt;

/// One thing that is wrong (or, as a warning, doubtful).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The column in characters, from 1; 0 when the whole file is meant.
    pub column: usize,
    /// The line and, below it, carets under the words meant; empty when the whole file is meant.
    pub excerpt: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

impl Problem {
    /// A problem of a whole file.
    pub(crate) fn of_file(
        file: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            excerpt: String::new(),
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        writeln!(f, ": {}", self.message)?;
        if !self.excerpt.is_empty() {
            writeln!(f, "{}", self.excerpt)?;
        }
        write!(f, "  help: {}", self.remedy)
    }
}

/// Everything that is wrong with a configuration, in file order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}\n")?;
        }
        let file = self.0.first().map_or("", |problem| &problem.file);
        let files: HashSet<&str> = self.0.iter().map(|problem| &*problem.file).collect();
        match (self.0.len(), files.len()) {
            (1, _) => write!(f, "1 problem in {file}"),
            (count, ..=1) => write!(f, "{count} problems in {file}"),
            (count, files) => write!(f, "{count} problems in {files} files"),
        }
    }
}

impl std::error::Error for Problems {}

/// A text of the user inside a message: quoted, control characters escaped, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let cut: String = text.chars().take(LONGEST).collect();
    format!("{cut:?}…")
}

#[cfg(test)]
mod tests {
    use super::{Problem, Problems, quoted};

    #[test]
    fn a_problem_prints_its_place_its_words_and_its_remedy() {
        let problem = Problem {
            line: 12,
            column: 9,
            excerpt: "  12 |         weigth: 3\n     |         ^^^^^^".to_owned(),
            ..Problem::of_file(
                "config/quickstart.yaml",
                "unknown key \"weigth\"",
                "did you mean \"weight\"?",
            )
        };

        let printed = Problems(vec![problem]).to_string();

        assert_eq!(
            printed,
            "config/quickstart.yaml:12:9: unknown key \"weigth\"\n  12 |         weigth: 3\n     |         ^^^^^^\n  \
             help: did you mean \"weight\"?\n\n1 problem in config/quickstart.yaml"
        );
    }

    #[test]
    fn a_quoted_text_cannot_reach_the_terminal() {
        assert_eq!(quoted("a\u{1b}[31m\n"), r#""a\u{1b}[31m\n""#);
        assert!(quoted(&"x".repeat(5_000)).len() < 100);
    }
}
