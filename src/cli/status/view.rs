//! What `/status` says as lines for people.
//!
//! The answer may come from another version of fiel: what is missing is shown as `-`, what is not known is left out.
//! Its texts are nobody's to trust, and are cleaned on their way into a cell.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::status::table::{Cell, Paper, Side, Table, Tone};

/// The lines of a status at a moment.
pub(crate) fn lines(status: &Value, now: SystemTime, paper: Paper) -> Vec<String> {
    let now = Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut lines = summary(status, now, paper);
    for table in [listeners(status), routes(status), pools(status, now)] {
        let table = table.lines(paper);
        if !table.is_empty() {
            lines.push(String::new());
            lines.extend(table);
        }
    }
    lines
}

/// What fiel says of itself.
fn summary(status: &Value, now: Timestamp, paper: Paper) -> Vec<String> {
    let line = |text: &str, tone| paper.line(&crate::cli::plain::plain(text), tone);
    let mut first = format!(
        "fiel {} {}",
        text(&status["build"]["version"]),
        text(&status["phase"])
    );
    for what in ["zone", "environment"] {
        if let Some(name) = status[what].as_str() {
            first.push_str(&format!(", {what} {name}"));
        }
    }
    let tone = match status["phase"].as_str() {
        Some("running") | None => Tone::Heading,
        Some(_) => Tone::Doubtful,
    };
    let mut lines = vec![line(&first, tone)];
    let config = &status["config"];
    let loaded = age(&config["loadedAt"], now);
    lines.push(line(
        &format!(
            "configuration {}, in force for {loaded}",
            text(&config["hash"])
        ),
        Tone::Usual,
    ));
    let error = &config["lastError"];
    if !error.is_null() {
        let problems = error["problems"].as_str().unwrap_or("");
        let mut told = problems.lines().filter(|line| !line.trim().is_empty());
        let rejected = format!("last reload rejected {} ago:", age(&error["at"], now));
        lines.push(line(&rejected, Tone::Bad));
        let first = told.next().unwrap_or("-");
        lines.push(line(&format!("  {first}"), Tone::Bad));
        if let Some(count) = told.next_back() {
            lines.push(line(
                &format!("  ({count}; all of them with --json)"),
                Tone::Bad,
            ));
        }
    }
    let waiting: Vec<String> = items(&config["restartNeeded"]).map(text).collect();
    if !waiting.is_empty() {
        let told = format!("waiting for a restart: {}", waiting.join(", "));
        lines.push(line(&told, Tone::Doubtful));
    }
    lines
}

fn listeners(status: &Value) -> Table {
    let mut table = Table::new(&[
        ("LISTENER", Side::Left),
        ("BIND", Side::Left),
        ("BOUND", Side::Left),
    ]);
    for listener in items(&status["listeners"]) {
        let bound = match listener["bound"].as_str() {
            Some(bound) => Cell::new(bound, Tone::Usual),
            None => Cell::new("-", Tone::Doubtful),
        };
        table.row(vec![
            Cell::usual(&text(&listener["name"])),
            Cell::usual(&text(&listener["bind"])),
            bound,
        ]);
    }
    table
}

fn routes(status: &Value) -> Table {
    let mut table = Table::new(&[
        ("ROUTE / POOL", Side::Left),
        ("WEIGHT", Side::Right),
        ("SHARE", Side::Right),
        ("NOW", Side::Right),
        ("ASSIGNED", Side::Right),
        ("EXPECTED", Side::Right),
    ]);
    for route in items(&status["routes"]) {
        let mut told = format!("{}: {}", text(&route["name"]), text(&route["match"]));
        if let Some(action) = route["action"].as_str().filter(|action| *action != "split") {
            told.push_str(&format!(": {action}"));
        }
        table.whole(Cell::usual(&told));
        for named in items(&route["poolByHost"]) {
            let unused = || Cell::usual("-");
            table.row(vec![
                Cell::usual(&format!("  {}", text(&named["pool"]))),
                unused(),
                unused(),
                unused(),
                Cell::usual(&text(&named["assigned"])),
                unused(),
            ]);
        }
        for share in items(&route["split"]) {
            let (usual, now) = (&share["shareRatio"], &share["effectiveShareRatio"]);
            let tone = match usual == now {
                true => Tone::Usual,
                false => Tone::Doubtful,
            };
            table.row(vec![
                Cell::usual(&format!("  {}", text(&share["pool"]))),
                Cell::usual(&text(&share["weight"])),
                Cell::usual(&percent(usual)),
                Cell::new(&percent(now), tone),
                Cell::usual(&text(&share["assigned"])),
                Cell::usual(&decimals(&share["expected"])),
            ]);
        }
    }
    table
}

fn pools(status: &Value, now: Timestamp) -> Table {
    let mut table = Table::new(&[
        ("POOL / ENDPOINT", Side::Left),
        ("STATE", Side::Left),
        ("SINCE", Side::Right),
        ("IN FLIGHT", Side::Right),
        ("WHY", Side::Left),
    ]);
    for pool in items(&status["pools"]) {
        let mut told = text(&pool["name"]);
        let mut tone = Tone::Usual;
        let mut facts = Vec::new();
        if let Some(version) = pool["version"].as_str() {
            facts.push(format!("version {version}"));
        }
        if let Some(balance) = pool["balance"]
            .as_str()
            .filter(|word| *word != "roundRobin")
        {
            facts.push(balance.to_owned());
        }
        match pool["standing"].as_str() {
            Some("unable") => (tone, _) = (Tone::Bad, facts.push("nothing ready".to_owned())),
            Some("unjudged") => {
                (tone, _) = (Tone::Doubtful, facts.push("no verdict yet".to_owned()))
            }
            Some("lastResort") => {
                (tone, _) = (Tone::Doubtful, facts.push("only unready ones".to_owned()));
            }
            _ => {}
        }
        match pool["livenessHeld"].as_u64() {
            None | Some(0) => {}
            Some(held) => facts.push(format!("{held} held back from being dead")),
        }
        if !facts.is_empty() {
            told.push_str(&format!(": {}", facts.join(", ")));
        }
        table.whole(Cell::new(&told, tone));
        for endpoint in items(&pool["endpoints"]) {
            let mut name = format!("  {}", text(&endpoint["address"]));
            if endpoint["backup"] == Value::Bool(true) {
                name.push_str(" (backup)");
            }
            table.row(endpoint_row(&name, endpoint, now));
        }
        for name in items(&pool["names"]) {
            table.whole(name_line(name, now));
        }
    }
    let mut leaving = items(&status["leaving"]).peekable();
    if leaving.peek().is_some() {
        table.whole(Cell::new("leaving, with requests in flight", Tone::Faint));
    }
    for endpoint in leaving {
        let name = format!(
            "  {} {}",
            text(&endpoint["pool"]),
            text(&endpoint["address"])
        );
        table.row(endpoint_row(&name, endpoint, now));
    }
    table
}

/// A host name that endpoints come from, and how it is known.
fn name_line(name: &Value, now: Timestamp) -> Cell {
    let count = match items(&name["addresses"]).len() {
        1 => "1 address".to_owned(),
        count => format!("{count} addresses"),
    };
    let asked = match name["answeredAt"].is_null() {
        true => "not answered yet".to_owned(),
        false => format!("answered {} ago", age(&name["answeredAt"], now)),
    };
    let mut told = format!("  {}: {count}, {asked}", text(&name["name"]));
    let tone = match name["problem"].as_str() {
        None => Tone::Faint,
        Some(problem) => {
            told.push_str(&format!(": {problem}"));
            Tone::Doubtful
        }
    };
    Cell::new(&told, tone)
}

fn endpoint_row(name: &str, endpoint: &Value, now: Timestamp) -> Vec<Cell> {
    let state = text(&endpoint["state"]);
    let tone = match state.as_str() {
        "ready" => Tone::Good,
        "dead" => Tone::Bad,
        "unready" | "starting" | "draining" => Tone::Doubtful,
        _ => Tone::Usual,
    };
    let (why, why_tone) = match (state.as_str(), endpoint["reason"].as_str()) {
        ("draining", Some(reason)) => (reason.to_owned(), Tone::Usual),
        _ => last_probe(endpoint, now),
    };
    vec![
        Cell::usual(name),
        Cell::new(&state, tone),
        Cell::usual(&age(&endpoint["since"], now)),
        Cell::usual(&text(&endpoint["inFlight"])),
        Cell::new(&why, why_tone),
    ]
}

/// The probe that says most: the last that failed, or else the last.
fn last_probe(endpoint: &Value, now: Timestamp) -> (String, Tone) {
    let newest = |failed: bool| {
        items(&endpoint["probes"])
            .filter(|probe| !failed || probe["succeeded"] == Value::Bool(false))
            .max_by_key(|probe| moment(&probe["at"]))
    };
    let Some(probe) = newest(true).or(newest(false)) else {
        return (String::new(), Tone::Usual);
    };
    let (word, tone) = match probe["succeeded"].as_bool() {
        Some(true) => ("fine", Tone::Usual),
        Some(false) => ("failed", Tone::Bad),
        None => ("-", Tone::Usual),
    };
    let mut told = format!(
        "{} {word} {} ago",
        text(&probe["kind"]),
        age(&probe["at"], now)
    );
    if let (Some(false), Some(detail)) = (probe["succeeded"].as_bool(), probe["detail"].as_str()) {
        told.push_str(&format!(": {detail}"));
    }
    (told, tone)
}

/// The items of a list; none where it is none.
fn items(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map_or([].iter(), |list| list.iter())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(is_so) => is_so.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => "-".to_owned(),
    }
}

fn percent(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |ratio| {
        let digits = format!("{:.3}", 100.0 * ratio);
        let short = digits.trim_end_matches('0').trim_end_matches('.');
        format!("{short} %")
    })
}

fn decimals(value: &Value) -> String {
    let number = value.as_f64();
    number.map_or("-".to_owned(), |number| format!("{number:.2}"))
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long ago that was: `12s`, `3m12s`, `4h05m`, `3d04h`. A clock that goes ahead of ours is no time ago.
fn age(value: &Value, now: Timestamp) -> String {
    let Some(at) = moment(value) else {
        return "-".to_owned();
    };
    let seconds = now.as_second().saturating_sub(at.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", seconds % 60),
        (0, _, _) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{days}d{:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests;
