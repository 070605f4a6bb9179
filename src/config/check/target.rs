//! Paths and methods: the parts of a request's first line that a configuration names.
//!
//! A path that is not canonical is refused with its canonical form, rather than changed: what is written is what
//! matches.

use http::Method;

use crate::config::check::findings::{At, Findings};
use crate::config::path::canonical;
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::config::suggest;

impl Findings<'_> {
    /// A canonical path without a query.
    pub(crate) fn path<'n>(&mut self, at: At<'n>) -> Option<&'n str> {
        let text = self.text(at)?;
        let place = at.piece.place;
        if let Some(cut) = text.find(['?', '#']) {
            let what = quoted(text);
            let remedy = format!(
                "write {}; a query is matched under match.query",
                quoted(&text[..cut])
            );
            let message = format!("the path {what} holds a query or a fragment");
            self.problem(place, message, remedy);
            return None;
        }
        self.canonical_path(place, text)
    }

    /// A canonical path that may bring a query along, as it stands in `Location`.
    pub(crate) fn path_and_query<'n>(&mut self, at: At<'n>) -> Option<&'n str> {
        let text = self.text(at)?;
        let place = at.piece.place;
        if let Some((before, _)) = text.split_once('#') {
            let message = format!("the path {} holds a fragment", quoted(text));
            self.problem(place, message, format!("write {}", quoted(before)));
            return None;
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        self.canonical_path(place, path)?;
        self.sendable(place, &format!("the query {}", quoted(query)), query)?;
        Some(text)
    }

    fn canonical_path<'n>(&mut self, place: Place, text: &'n str) -> Option<&'n str> {
        let what = quoted(text);
        if !text.starts_with('/') {
            let remedy = format!("write {}", quoted(&format!("/{text}")));
            self.problem(
                place,
                format!("the path {what} does not begin with \"/\""),
                remedy,
            );
            return None;
        }
        self.sendable(place, &format!("the path {what}"), text)?;
        let bad_escape = text.match_indices('%').any(|(start, _)| {
            let digits = text.as_bytes().get(start + 1..start + 3);
            !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
        if bad_escape {
            let message = format!("the path {what} holds a \"%\" without two hex digits");
            self.problem(place, message, "write %25 for a plain \"%\"");
            return None;
        }
        let wanted = canonical(text);
        if wanted != text {
            let message = format!("the path {what} is not canonical, so no request would match it");
            self.problem(place, message, format!("write {}", quoted(&wanted)));
            return None;
        }
        Some(text)
    }

    /// Whether a text may stand in a request line.
    fn sendable(&mut self, place: Place, what: &str, text: &str) -> Option<()> {
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(());
        }
        let message = format!("{what} holds a character that no request can hold");
        self.problem(place, message, "percent-encode it, as in %20 for a space");
        None
    }

    /// A request method.
    pub(crate) fn method(&mut self, at: At<'_>) -> Option<Method> {
        let text = self.text(at)?;
        let upper = text.to_ascii_uppercase();
        let method = Method::from_bytes(text.as_bytes()).ok();
        if text != upper || method.is_none() {
            let remedy = if Method::from_bytes(upper.as_bytes()).is_ok() {
                format!("write {upper}; methods are case-sensitive")
            } else {
                "write a method such as GET or POST".to_owned()
            };
            self.problem(
                at.piece.place,
                format!("{} is no method", quoted(text)),
                remedy,
            );
            return None;
        }
        if !METHODS.contains(&text)
            && let Some(near) = suggest::nearest(text, METHODS.iter().copied())
        {
            let message = format!("{} is no registered method", quoted(text));
            self.warning(
                at.piece.place,
                message,
                format!("did you mean {}?", quoted(near)),
            );
        }
        method
    }
}

/// The methods in use (IANA registry, the ones a proxy meets), for suggestions only.
const METHODS: &[&str] = &[
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "QUERY",
    "ACL",
    "COPY",
    "LINK",
    "LOCK",
    "MKCOL",
    "MOVE",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REPORT",
    "SEARCH",
    "UNLINK",
    "UNLOCK",
];
