//! How weights and times are written in the status.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;

use crate::pool::Written;
use crate::units::Weight;

/// A weight as it was written: whole where it is.
pub(crate) fn number(weight: Weight) -> Value {
    let thousandths = weight.thousandths();
    if thousandths.is_multiple_of(1_000) {
        return Value::from(thousandths / 1_000);
    }
    // Read from its decimals, the nearest number prints as these decimals again.
    weight
        .to_string()
        .parse()
        .map_or(Value::Null, |number: f64| Value::from(number))
}

/// A weight that may be part of one.
pub(crate) fn written(weight: Written) -> Value {
    match weight {
        Written::Exact(weight) => number(weight),
        Written::Near(weight) => Value::from(weight),
    }
}

/// As RFC 3339 writes it, in UTC to the millisecond; `None` beyond the year 9999.
pub(crate) fn time(at: SystemTime) -> Option<String> {
    let at = Timestamp::try_from(at).ok()?;
    Some(format!("{at:.3}"))
}
