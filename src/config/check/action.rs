//! What becomes of a route's requests: exactly one of split, redirect, respond.

use std::collections::HashMap;

use bytes::Bytes;
use http::StatusCode;

use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::pool::Pools;
use crate::config::keys::{REDIRECT, RESPOND, SCHEME, SHARE};
use crate::config::model::{Action, PoolId, Redirect, Respond, Share};
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::units::Weight;

/// Reads the action of a route.
pub(crate) fn action(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    pools: &Pools<'_>,
) -> Option<Action> {
    let given = (
        fields.get("split"),
        fields.get("redirect"),
        fields.get("respond"),
    );
    match given {
        (Some(at), None, None) => split(findings, at, pools).map(Action::Split),
        (None, Some(at), None) => redirect(findings, at).map(Action::Redirect),
        (None, None, Some(at)) => respond(findings, at).map(Action::Respond),
        (None, None, None) => {
            let remedy = "add split: [ { pool: … } ], redirect or respond";
            findings.problem(
                fields.place(),
                "this route does nothing with its requests",
                remedy,
            );
            None
        }
        _ => {
            let keys = ["split", "redirect", "respond"];
            let given: Vec<&str> = keys
                .into_iter()
                .filter(|key| fields.key(key).is_some())
                .collect();
            let place = fields.key(given[1]).unwrap_or(fields.place());
            let message = format!("this route has {} at once", given.join(" and "));
            findings.problem(place, message, "keep one of them, or make two routes");
            None
        }
    }
}

fn split(findings: &mut Findings<'_>, at: At<'_>, pools: &Pools<'_>) -> Option<Vec<Share>> {
    let mut shares = Vec::new();
    let mut places: HashMap<PoolId, Place> = HashMap::new();
    let mut count = 0_usize;
    for item in findings.list(at)? {
        count += 1;
        let Some((share, place)) = share(findings, item, pools) else {
            continue;
        };
        if let Some(&first) = places.get(&share.pool) {
            let line = findings.line(first);
            let message = format!("this split already names that pool, in line {line}");
            findings.problem(
                place,
                message,
                "keep one of them, with the sum of their weights",
            );
            continue;
        }
        places.insert(share.pool, place);
        shares.push(share);
    }
    if count == 0 {
        findings.problem(at.node.place, "this split names no pool", "add { pool: … }");
        return None;
    }
    if shares.len() == count && shares.iter().all(|share| share.weight.is_zero()) {
        let message = "all weights of this split are 0, so no pool is ever chosen";
        findings.problem(at.node.place, message, "give at least one a weight above 0");
    }
    Some(shares)
}

fn share(findings: &mut Findings<'_>, at: At<'_>, pools: &Pools<'_>) -> Option<(Share, Place)> {
    let what = "an entry of a split";
    let fields = findings.fields(At { what, ..at }, &SHARE)?;
    let weight = match fields.get("weight") {
        Some(at) => findings.weight(at),
        None => Weight::ONE,
    };
    let strict = fields.get("strict").is_some_and(|at| findings.boolean(at));
    let Some(at) = fields.get("pool") else {
        findings.problem(
            fields.place(),
            "this entry names no pool",
            "add pool: and the name of one",
        );
        return None;
    };
    let name = findings.text(at)?;
    let Some(pool) = pools.id(name) else {
        let remedy = findings.nearest(name, pools.names.iter().map(|&(name, _)| name));
        let message = format!("there is no pool called {}", quoted(name));
        findings.problem(at.node.place, message, remedy);
        return None;
    };
    let share = Share {
        pool,
        weight,
        strict,
    };
    Some((share, at.node.place))
}

fn redirect(findings: &mut Findings<'_>, at: At<'_>) -> Option<Redirect> {
    let fields = findings.fields(at, &REDIRECT)?;
    let scheme = fields
        .get("scheme")
        .and_then(|at| findings.word(at, &SCHEME));
    let host = fields.get("host").and_then(|at| findings.authority(at));
    let path = fields.get("path").and_then(|at| findings.path(at));
    let status = match fields.get("status") {
        Some(at) => status(findings, at, "write 301, 302, 303, 307 or 308", |status| {
            matches!(status, 301 | 302 | 303 | 307 | 308)
        }),
        None => StatusCode::PERMANENT_REDIRECT,
    };
    if ["scheme", "host", "path"]
        .iter()
        .all(|key| fields.key(key).is_none())
    {
        let remedy = "add scheme, host or path";
        let place = if at.node.place.length == 0 {
            fields.place()
        } else {
            at.node.place
        };
        findings.problem(place, "this redirect leads to where it comes from", remedy);
        return None;
    }
    Some(Redirect {
        scheme: scheme.map(Into::into),
        host,
        path: path.map(Into::into),
        status,
    })
}

fn respond(findings: &mut Findings<'_>, at: At<'_>) -> Option<Respond> {
    let fields = findings.fields(at, &RESPOND)?;
    let status = match fields.get("status") {
        Some(at) => status(findings, at, "write a status from 200 to 599", |status| {
            (200..=599).contains(&status)
        }),
        None => StatusCode::OK,
    };
    let body = fields
        .get("body")
        .and_then(|at| Some((at, findings.text(at)?)));
    if let Some((at, text)) = body {
        // RFC 9110 §15.3.5, §15.3.6, §15.4.5.
        let has_no_content = matches!(status.as_u16(), 204 | 205 | 304);
        if has_no_content && !text.is_empty() {
            let message = format!("a response with status {} has no body", status.as_u16());
            findings.problem(
                at.node.place,
                message,
                "remove the body, or change the status",
            );
        }
    }
    Some(Respond {
        status,
        body: body.map_or_else(Bytes::new, |(_, text)| {
            Bytes::copy_from_slice(text.as_bytes())
        }),
    })
}

fn status(
    findings: &mut Findings<'_>,
    at: At<'_>,
    remedy: &str,
    fits: impl Fn(u16) -> bool,
) -> StatusCode {
    let Some(number) = findings.whole(at, 0..=u64::from(u16::MAX)) else {
        return StatusCode::OK;
    };
    let status = u16::try_from(number).ok().filter(|&status| fits(status));
    match status.and_then(|status| StatusCode::from_u16(status).ok()) {
        Some(status) => status,
        None => {
            findings.problem(at.node.place, format!("{number} is no status here"), remedy);
            StatusCode::OK
        }
    }
}
