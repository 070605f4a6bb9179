//! Routes: each by itself. What an earlier route leaves for a later one is asked in `reach`.
//!
//! Keys that change what is sent to a pool are refused on routes that send nothing to one.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;

use crate::config::check::action::action;
use crate::config::check::by_host::take_hosts;
use crate::config::check::field::{FieldUse, field_map};
use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::listener::{Listeners, required_name, unique};
use crate::config::check::matching::matches;
use crate::config::check::pool::Pools;
use crate::config::document::{Piece, Value};
use crate::config::keys::{EDITS, RETRY, RETRY_ON, REWRITE, ROUTE, TIMEOUTS};
use crate::config::model::{Action, HeaderEdits, Match, Retry, Rewrite, Route, Timeouts};
use crate::config::problem::quoted;
use crate::config::source::Place;

/// A route that is right, and where it stands.
pub(crate) struct Placed {
    pub(crate) route: Arc<Route>,
    pub(crate) place: Place,
}

/// Reads `routes`.
pub(crate) fn routes(
    findings: &mut Findings<'_>,
    at: At<'_>,
    listeners: &Listeners,
    pools: &Pools<'_>,
) -> Vec<Placed> {
    const REMEDY: &str = "add one, such as { name: all, split: [ { pool: shop } ] }";
    let mut placed = Vec::new();
    let mut names = HashMap::new();
    let mut is_empty = true;
    if matches!(at.piece.value, Value::Null) {
        findings.problem(at.piece.place, "there is no route", REMEDY);
        return placed;
    }
    let Some(items) = findings.list(at) else {
        return placed;
    };
    for item in items {
        is_empty = false;
        placed.extend(route(findings, item.piece, &mut names, listeners, pools));
    }
    if is_empty {
        findings.problem(at.piece.place, "there is no route", REMEDY);
    }
    placed
}

fn route(
    findings: &mut Findings<'_>,
    piece: &Piece,
    names: &mut HashMap<Arc<str>, Place>,
    listeners: &Listeners,
    pools: &Pools<'_>,
) -> Option<Placed> {
    let what = "a route";
    let fields = findings.fields(At { what, piece }, &ROUTE)?;
    let name = required_name(findings, fields.get("name"), fields.place(), "route");
    let mut place = fields.place();
    if let (Some(name), Some(at)) = (&name, fields.get("name")) {
        place = at.piece.place;
        unique(findings, names, name, place, "route");
    }
    let mut matches = match fields.get("match") {
        Some(at) => matches(findings, at, listeners),
        None => Some(Match::default()),
    };
    let action = action(findings, &fields, pools);
    if let (Some(matches), Some(Action::PoolByHost(by_host))) = (&mut matches, &action) {
        let match_at = fields.get("match");
        take_hosts(findings, matches, by_host, match_at);
    }
    without_effect(findings, &fields);
    let timeouts = fields
        .get("timeouts")
        .map(|at| timeouts(findings, at))
        .unwrap_or_default();
    let retry = fields
        .get("retry")
        .map(|at| retry(findings, at))
        .unwrap_or_default();
    let max_body_bytes = fields.get("maxBodyBytes").map(|at| findings.size_limit(at));
    let path_as_received = fields
        .get("pathAsReceived")
        .is_some_and(|at| findings.boolean(at));
    let rewrite = fields
        .get("rewrite")
        .map(|at| rewrite(findings, at))
        .unwrap_or_default();
    if path_as_received && rewrite.prefix.is_some() {
        let place = fields.key("pathAsReceived").unwrap_or(place);
        let message = "\"pathAsReceived\" and \"rewrite.prefix\" contradict each other";
        findings.problem(place, message, "keep one of them");
    }
    let mut edits = |key, use_of| {
        fields
            .get(key)
            .map(|at| edits(findings, at, use_of))
            .unwrap_or_default()
    };
    let request_headers = edits("requestHeaders", FieldUse::RequestEdit);
    let response_headers = edits("responseHeaders", FieldUse::ResponseEdit);
    let route = Arc::new(Route {
        name: name?,
        matches: matches?,
        action: action?,
        timeouts,
        retry,
        max_body_bytes,
        path_as_received,
        rewrite,
        request_headers,
        response_headers,
    });
    Some(Placed { route, place })
}

/// Reports keys that only a split gives a meaning to.
fn without_effect(findings: &mut Findings<'_>, fields: &Fields<'_>) {
    const NEED_A_POOL: [&str; 4] = ["retry", "rewrite", "requestHeaders", "pathAsReceived"];
    let actions = ["split", "redirect", "respond"].map(|key| fields.key(key).map(|_| key));
    let [None, redirect, respond] = actions else {
        return;
    };
    let Some(action) = redirect.or(respond) else {
        return;
    };
    for key in NEED_A_POOL {
        if let Some(place) = fields.key(key) {
            let message = format!("{} has no effect beside {action}", quoted(key));
            let remedy =
                "remove it; it changes what is sent to a pool, and this route sends nothing";
            findings.problem(place, message, remedy);
        }
    }
}

fn timeouts(findings: &mut Findings<'_>, at: At<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Some(fields) = findings.fields(at, &TIMEOUTS) else {
        return timeouts;
    };
    if let Some(at) = fields.get("response") {
        timeouts.response = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("idle") {
        timeouts.idle = findings.duration_limit(at);
        timeouts.tunnel = timeouts.idle;
    }
    if let Some(at) = fields.get("tunnel") {
        timeouts.tunnel = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("total") {
        timeouts.total = findings.duration_limit(at);
    }
    if let Some(at) = fields.get("tryTimeout") {
        timeouts.try_timeout = findings.duration_limit(at);
        if let (Some(one), Some(all)) = (timeouts.try_timeout, timeouts.response)
            && one >= all
        {
            let message = "\"tryTimeout\" is not shorter than \"response\", so it never ends a try";
            findings.warning(at.piece.place, message, "shorten it, or lengthen response");
        }
    }
    timeouts
}

fn retry(findings: &mut Findings<'_>, at: At<'_>) -> Retry {
    let mut retry = Retry::default();
    let Some(fields) = findings.fields(at, &RETRY) else {
        return retry;
    };
    if let Some(at) = fields.get("attempts") {
        let attempts = findings.whole(at, 0..=100).unwrap_or(0);
        retry.attempts = u32::try_from(attempts).unwrap_or(0);
    }
    if let Some(items) = fields.get("on").and_then(|at| findings.list(at)) {
        retry.on_connect_failure = false;
        retry.on_refused_stream = false;
        retry.on_reset = false;
        for item in items {
            if let Some(remedy) = status_later(item) {
                let text = findings.text(item).unwrap_or("").to_owned();
                let words = format!("a retry on the status {}", quoted(&text));
                findings.later(item.piece.place, &words, remedy);
                continue;
            }
            match findings.word(item, &RETRY_ON) {
                Some("connectFailure") => retry.on_connect_failure = true,
                Some("refusedStream") => retry.on_refused_stream = true,
                Some("reset") => retry.on_reset = true,
                _ => {}
            }
        }
    }
    retry
}

/// The contract also lets a status stand in `retry.on`.
fn status_later(at: At<'_>) -> Option<&'static str> {
    let Value::Scalar(scalar) = &at.piece.value else {
        return None;
    };
    let is_status = scalar.text.len() == 3 && scalar.text.bytes().all(|b| b.is_ascii_digit());
    is_status.then_some("remove it")
}

fn rewrite(findings: &mut Findings<'_>, at: At<'_>) -> Rewrite {
    let Some(fields) = findings.fields(at, &REWRITE) else {
        return Rewrite::default();
    };
    let prefix = fields
        .get("prefix")
        .and_then(|at| findings.path(at))
        .map(Arc::from);
    let host = fields.get("host").and_then(|at| findings.authority(at));
    Rewrite {
        prefix,
        host: host.and_then(|host| HeaderValue::from_str(&host).ok()),
    }
}

fn edits(findings: &mut Findings<'_>, at: At<'_>, use_of: FieldUse) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    let Some(fields) = findings.fields(at, &EDITS) else {
        return edits;
    };
    if let Some(at) = fields.get("set") {
        edits.set = field_map(findings, at, use_of);
    }
    if let Some(at) = fields.get("add") {
        edits.add = field_map(findings, at, use_of);
    }
    if let Some(items) = fields.get("remove").and_then(|at| findings.list(at)) {
        for item in items {
            let Some(text) = findings.text(item) else {
                continue;
            };
            edits
                .remove
                .extend(findings.field_name(item.piece.place, text, use_of));
        }
    }
    edits
}
