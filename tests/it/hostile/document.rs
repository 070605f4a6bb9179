//! `docs/hostile-input.md` against the cases: the tables there are made from those that the tests run.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

const DOCUMENT: &str = "docs/hostile-input.md";

/// A row of a table.
pub(super) struct Row {
    /// What comes.
    pub(super) label: String,
    /// What fiel does.
    pub(super) does: String,
    /// By which rule.
    pub(super) why: &'static str,
}

#[test]
fn the_document_tells_every_case_and_no_other() {
    let document = fs::read_to_string(DOCUMENT).unwrap();
    let chapters = super::chapters();
    let mut labels = BTreeSet::new();
    for row in chapters.iter().flat_map(|(_, rows)| rows) {
        assert!(labels.insert(&row.label), "{:?} is there twice", row.label);
    }

    let mut written = String::new();
    let mut rest = document.as_str();
    for (name, rows) in &chapters {
        let mark = format!("<!-- cases: {name} -->\n");
        let (before, after) = rest
            .split_once(&mark)
            .unwrap_or_else(|| panic!("{DOCUMENT} has no {mark}"));
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        write!(written, "{before}{mark}{}<!-- end -->", table(rows)).unwrap();
        rest = after;
    }
    written.push_str(rest);
    assert_eq!(written.matches("<!-- cases: ").count(), chapters.len());

    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(DOCUMENT, &written).unwrap();
    }
    let now = fs::read_to_string(DOCUMENT).unwrap();
    assert!(now == written, "UPDATE_GOLDEN=1 rewrites {DOCUMENT}");
}

fn table(rows: &[Row]) -> String {
    let mut table = "| what comes | what fiel does | why |\n|---|---|---|\n".to_owned();
    for Row { label, does, why } in rows {
        let line = format!("{label}\u{0}{does}\u{0}{why}").replace('|', "\\|");
        writeln!(table, "| {} |", line.replace('\u{0}', " | ")).unwrap();
    }
    table
}
