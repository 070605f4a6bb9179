//! What becomes of a route's requests: exactly one of split, poolByHost, redirect, respond.
//!
//! Names of pools become ids here. Whether a redirect leads back to its own route is asked in `reach`, which knows
//! all routes.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;

use crate::config::check::by_host::pool_by_host;
use crate::config::check::findings::{At, Fields, Findings};
use crate::config::check::pool::Pools;
use crate::config::keys::{REDIRECT, RESPOND, SCHEME, SHARE};
use crate::config::model::{Action, PoolId, Redirect, Respond, Share};
use crate::config::problem::quoted;
use crate::config::source::Place;
use crate::units::Weight;

/// The keys of which a route has exactly one.
const ACTIONS: [&str; 4] = ["split", "poolByHost", "redirect", "respond"];

/// Reads the action of a route.
pub(crate) fn action(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    pools: &Pools<'_>,
) -> Option<Action> {
    let given: Vec<At<'_>> = ACTIONS
        .into_iter()
        .filter_map(|key| fields.get(key))
        .collect();
    match given.as_slice() {
        [] => {
            let remedy = "add split: [ { pool: … } ], redirect or respond";
            findings.problem(
                fields.place(),
                "this route does nothing with its requests",
                remedy,
            );
            None
        }
        &[at] => match at.what {
            "split" => split(findings, at, pools).map(Action::Split),
            "poolByHost" => pool_by_host(findings, at, pools).map(Action::PoolByHost),
            "redirect" => redirect(findings, at).map(Action::Redirect),
            _ => respond(findings, at).map(Action::Respond),
        },
        [_, second, ..] => {
            let place = fields.key(second.what).unwrap_or(fields.place());
            let keys: Vec<&str> = given.iter().map(|at| at.what).collect();
            let message = format!("this route has {} at once", keys.join(" and "));
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
        findings.problem(
            at.piece.place,
            "this split names no pool",
            "add { pool: … }",
        );
        return None;
    }
    if shares.len() == count && shares.iter().all(|share| share.weight.is_zero()) {
        let message = "all weights of this split are 0, so no pool is ever chosen";
        findings.problem(
            at.piece.place,
            message,
            "give at least one a weight above 0",
        );
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
        // Pools that could not be read were told already.
        if pools.names.is_empty() {
            return None;
        }
        let remedy = findings.nearest(name, pools.names.iter().map(|&(name, _)| name));
        let message = format!("there is no pool called {}", quoted(name));
        findings.problem(at.piece.place, message, remedy);
        return None;
    };
    let share = Share {
        pool,
        weight,
        strict,
    };
    Some((share, at.piece.place))
}

fn redirect(findings: &mut Findings<'_>, at: At<'_>) -> Option<Redirect> {
    let fields = findings.fields(at, &REDIRECT)?;
    let keys = ["scheme", "host", "path"];
    let scheme = fields
        .get("scheme")
        .map(|at| findings.word(at, &SCHEME).map(Arc::from));
    let host = fields.get("host").map(|at| findings.authority(at));
    let path = fields
        .get("path")
        .map(|at| findings.path_and_query(at).map(Arc::from));
    let status = match fields.get("status") {
        Some(at) => redirect_status(findings, at),
        None => StatusCode::PERMANENT_REDIRECT,
    };
    if keys.iter().all(|key| fields.key(key).is_none()) {
        let remedy = "add scheme, host or path";
        let place = if at.piece.place.length == 0 {
            fields.place()
        } else {
            at.piece.place
        };
        findings.problem(place, "this redirect leads to where it comes from", remedy);
        return None;
    }
    // A part that is there and wrong is no redirect, so that it is not told to lead anywhere.
    let sound = |part: Option<Option<Arc<str>>>| part.map_or(Some(None), |part| part.map(Some));
    Some(Redirect {
        scheme: sound(scheme)?,
        host: sound(host)?,
        path: sound(path)?,
        status,
    })
}

fn redirect_status(findings: &mut Findings<'_>, at: At<'_>) -> StatusCode {
    let Some(number) = findings.whole(at, 0..=999) else {
        return StatusCode::PERMANENT_REDIRECT;
    };
    if !matches!(number, 301 | 302 | 303 | 307 | 308) {
        let message = format!("{number} is no status of a redirect here");
        let remedy = "write 301, 302, 303, 307 or 308";
        findings.problem(at.piece.place, message, remedy);
    }
    status_of(number).unwrap_or_default()
}

fn status_of(number: u64) -> Option<StatusCode> {
    StatusCode::from_u16(u16::try_from(number).ok()?).ok()
}

fn respond(findings: &mut Findings<'_>, at: At<'_>) -> Option<Respond> {
    let fields = findings.fields(at, &RESPOND)?;
    let status = fields
        .get("status")
        .and_then(|at| findings.whole(at, 200..=599))
        .and_then(status_of)
        .unwrap_or_default();
    let body = fields
        .get("body")
        .and_then(|at| Some((at, findings.text(at)?)));
    if let Some((at, text)) = body {
        // RFC 9110 §15.3.5, §15.3.6, §15.4.5.
        let has_no_content = matches!(status.as_u16(), 204 | 205 | 304);
        if has_no_content && !text.is_empty() {
            let message = format!("a response with status {} has no body", status.as_u16());
            findings.problem(
                at.piece.place,
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
