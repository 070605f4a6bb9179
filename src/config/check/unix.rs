//! What a unix socket is called, whether it is listened on or connected to: a path, or behind an `@` a name without a file.
//!
//! How a mistake is told belongs to those who ask.

use std::path::{Path, PathBuf};

use crate::location::MAX_UNIX_PATH;

/// What a unix socket is called.
pub(super) enum Called<'t> {
    File(PathBuf),
    /// Without its `@`.
    Abstract(&'t str),
}

/// Why nothing can be called so.
#[derive(Clone, Copy)]
pub(super) enum Misnamed {
    /// There is no name, or one with a NUL.
    Nameless,
    /// It has so many octets, more than the system takes.
    TooLong(usize),
}

/// Reads what stands behind `unix:`. A relative path lies in `base`.
pub(super) fn called<'t>(text: &'t str, base: &Path) -> Result<Called<'t>, Misnamed> {
    let name = text.strip_prefix('@');
    if name.unwrap_or(text).is_empty() || text.contains('\0') {
        return Err(Misnamed::Nameless);
    }
    let called = match name {
        Some(name) => Called::Abstract(name),
        None => Called::File(base.join(text)),
    };
    // An abstract name has a NUL before it, which takes room as a letter does.
    let octets = match &called {
        Called::Abstract(name) => name.len() + 1,
        Called::File(path) => path.as_os_str().len(),
    };
    match octets <= MAX_UNIX_PATH {
        true => Ok(called),
        false => Err(Misnamed::TooLong(octets)),
    }
}
