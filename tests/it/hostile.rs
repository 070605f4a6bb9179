//! Chapter 3, from the side of those who mean harm: input that breaks the rules, and what comes of it on both sides.
//!
//! The cases are tables; `docs/hostile-input.md` is made from them. Each says what fiel does and by which rule.

mod answers;
mod case;
mod chunks;
mod crowd;
mod document;
mod fields;
mod framing;
mod heads;
mod hosts;
mod noise;
mod refusals;
mod strict;
mod targets;
mod upgrades;

use self::case::Case;
use self::document::Row;

/// Every case that a client begins.
fn requests() -> Vec<Case> {
    [
        framing::cases(),
        chunks::cases(),
        heads::cases(),
        hosts::cases(),
        targets::cases(),
        fields::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Every table of the document, in its order.
fn chapters() -> Vec<(&'static str, Vec<Row>)> {
    let rows = |cases: Vec<Case>| cases.iter().map(Case::row).collect();
    vec![
        ("framing", rows(framing::cases())),
        ("chunks", rows(chunks::cases())),
        ("heads", rows(heads::cases())),
        ("hosts", rows(hosts::cases())),
        ("targets", rows(targets::cases())),
        ("fields", rows(fields::cases())),
        (
            "answers",
            answers::cases().iter().map(answers::Case::row).collect(),
        ),
    ]
}
