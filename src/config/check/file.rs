//! Files that a configuration names.

use std::path::{Path, PathBuf};

use crate::config::check::findings::{At, Findings, called};

/// A file; a relative one lies beside the configuration.
pub(crate) fn file(findings: &mut Findings<'_>, at: At<'_>, base: &Path) -> Option<PathBuf> {
    let text = findings.text(at)?;
    if text.is_empty() || text.contains('\0') {
        let message = format!("{} names no file", called(at.what));
        findings.problem(at.piece.place, message, "write the path of a file");
        return None;
    }
    Some(base.join(text))
}
