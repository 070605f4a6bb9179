//! What a text that is no YAML is told: serde-saphyr's errors in words that name the usual cause and its cure.
//!
//! Errors of its scanner come as texts only; the cause is guessed from what stands at the place. A wrong guess costs
//! a less fitting remedy, never a wrong place.

use serde_saphyr::{Error, Location};

use crate::config::problem::Problem;
use crate::config::source::{Place, Source};

/// Deeper nesting is refused; the deepest key of the contract lies at 8.
pub(crate) const MAX_DEPTH: usize = 32;

/// The problem behind an error of the parser.
pub(crate) fn explain(source: &Source, error: &Error) -> Problem {
    // Of what an alias repeats, the alias is told.
    let place = error.location().map_or_else(
        || source.place(0, 0),
        |location| place_of(source, &location),
    );
    let mut error = error.without_snippet();
    while let Error::AliasError { error: inner, .. } = error {
        error = inner.without_snippet();
    }
    let (message, remedy) = match error {
        Error::MultipleDocuments { .. } => (
            "a second document begins here".to_owned(),
            "keep one document in the file: remove the \"---\" or \"...\" and join the keys"
                .to_owned(),
        ),
        Error::UnknownAnchor { .. } => (
            "a value that begins with \"*\" is an alias, and there is no such anchor".to_owned(),
            "put quotes around the value, as in \"*.example.com\"".to_owned(),
        ),
        Error::MergeKeyNotAllowed { .. } => (
            "merge keys (\"<<\") are not allowed".to_owned(),
            "write the keys out".to_owned(),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => (
            "this alias stands inside what it repeats".to_owned(),
            "write the value out".to_owned(),
        ),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => (
            "the aliases (\"*name\") repeat more than a configuration can hold".to_owned(),
            "use fewer aliases, and none that repeats others many times".to_owned(),
        ),
        Error::Budget { breach, .. } => budget(breach),
        Error::Unexpected { .. } | Error::NullIntoString { .. } => (
            "a key must be a plain text".to_owned(),
            "write `key: value`; put quotes around a key with special characters".to_owned(),
        ),
        other => {
            let text = other.to_string();
            // The place is printed by itself.
            let text = text.split(" at line ").next().unwrap_or(&text);
            return scanner(source, place, text);
        }
    };
    source.problem(place, message, remedy)
}

fn budget(breach: &serde_saphyr::budget::BudgetBreach) -> (String, String) {
    use serde_saphyr::budget::BudgetBreach;
    match breach {
        BudgetBreach::Depth { .. } => too_deep(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => (
            "there are more anchors and aliases than a configuration can hold".to_owned(),
            "use fewer of them".to_owned(),
        ),
        _ => (
            "the file holds more than a configuration can hold".to_owned(),
            "name a configuration file with --config; this looks like something else".to_owned(),
        ),
    }
}

fn too_deep() -> (String, String) {
    (
        format!("this is nested more than {MAX_DEPTH} deep"),
        "look for brackets or spaces too many; no key of fiel lies that deep".to_owned(),
    )
}

/// Errors of the scanner are texts; the usual causes are told apart by what stands at the place.
fn scanner(source: &Source, place: Place, text: &str) -> Problem {
    let offset = source.offset(place);
    let at = source.text().get(offset..).unwrap_or("");
    let before = source.text().get(..offset).unwrap_or("");
    let line_before = before.rsplit('\n').next().unwrap_or("");
    if text.contains("recursion limit") {
        let (message, remedy) = too_deep();
        return source.problem(place, message, remedy);
    }
    let remedy = if line_before.contains("[::") {
        "put quotes around an IPv6 address: \"[::]:8080\""
    } else if line_before.trim_end().ends_with('$') || line_before.ends_with("${") {
        "inside { } and [ ], put quotes around a variable: \"${NAME}\""
    } else if text.contains("tab") {
        "indent with spaces, not tabs"
    } else if at.starts_with(['@', '`', '%', '&', '*', '!', '|', '>']) {
        "put quotes around a value that begins with this character"
    } else if text.contains("escape") {
        "put single quotes around the value, which know no escapes"
    } else if text.contains("mapping values are not allowed") {
        "check the indentation, and put quotes around a value that holds \": \""
    } else if text.contains("quote") {
        "close the quotes that were opened here or before"
    } else if text.contains("unclosed") || text.contains("flow") || text.contains("indicator") {
        "close every [ and { that was opened, and put a comma between their parts"
    } else if text.contains("expected ':'") {
        "write `key: value`, with a space after the colon"
    } else {
        "check the indentation and the quotes here and in the line before"
    };
    source.problem(place, format!("this is not YAML: {text}"), remedy)
}

/// The octets of a location of serde-saphyr.
pub(crate) fn place_of(source: &Source, location: &Location) -> Place {
    let span = location.span();
    match (span.byte_offset(), span.byte_len()) {
        (Some(start), length) => source.place(octets(start), length.map_or(0, octets)),
        _ => source.place_of(octets(location.line()), octets(location.column())),
    }
}

fn octets(number: impl Into<u64>) -> usize {
    usize::try_from(number.into()).unwrap_or(usize::MAX)
}
