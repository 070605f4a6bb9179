//! `fiel schema`: the JSON Schema of the configuration, for editors.

use std::io::{self, Write as _};

use crate::config::schema;

/// Prints the schema of a whole configuration, or of one file of a folder.
pub(crate) fn schema(is_part: bool) {
    let scope = match is_part {
        true => schema::Scope::Part,
        false => schema::Scope::Whole,
    };
    // Who has closed the pipe has seen enough.
    io::stdout().write_all(schema::text(scope).as_bytes()).ok();
}
