//! `${NAME}` and `${NAME:-default}` inside a value; `$$` is `$`.
//!
//! It runs on values that have been parsed, once, and looks at nothing it has put in: a variable can neither add keys
//! nor name further variables. A `$` before anything else stands for itself, so that `^/api$` needs no care.

/// Why a value cannot be filled in, with the octets of the value that are at fault.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where the variable begins.
    pub(crate) start: usize,
    /// How long it is.
    pub(crate) length: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// How to mend it.
    pub(crate) remedy: String,
}

/// The value filled in, or `None` when nothing of it is a variable.
///
/// As in a shell, the default of `${NAME:-default}` also stands for a variable that is set but empty.
///
/// # Errors
/// The first variable that is not set, not closed or not a name.
pub(crate) fn fill_in(
    value: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<String>, Fault> {
    if !value.contains("$$") && !value.contains("${") {
        return Ok(None);
    }
    let mut filled = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(dollar) = rest.find('$') {
        filled.push_str(&rest[..dollar]);
        let start = value.len() - rest.len() + dollar;
        let after = &rest[dollar + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            filled.push('$');
            rest = tail;
        } else if let Some(inside) = after.strip_prefix('{') {
            let Some(end) = inside.find('}') else {
                return Err(Fault {
                    start,
                    length: value.len() - start,
                    message: "\"${\" is not closed".to_owned(),
                    remedy: "close it with \"}\", or write \"$$\" for a plain \"$\"".to_owned(),
                });
            };
            filled.push_str(&look_up(&inside[..end], start, env)?);
            rest = &inside[end + 1..];
        } else {
            filled.push('$');
            rest = after;
        }
    }
    filled.push_str(rest);
    Ok(Some(filled))
}

fn look_up(
    inside: &str,
    start: usize,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let fault = |message: String, remedy: String| Fault {
        start,
        length: inside.len() + 3,
        message,
        remedy,
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !is_name {
        return Err(fault(
            format!("{name:?} is no name of an environment variable"),
            "write ${NAME} or ${NAME:-default}, or \"$$\" for a plain \"$\"".to_owned(),
        ));
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(fault(
            format!("the environment variable {name} is not set"),
            format!("set {name}, or give a default: ${{{name}:-…}}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::fill_in;

    fn env(name: &str) -> Option<String> {
        match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICK" => Some("${PORT} $$".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_are_filled_in_once() {
        for (value, wanted) in [
            ("plain", None),
            ("^/a$", None),
            ("$5", None),
            ("a:${PORT}", Some("a:8080")),
            ("${NONE:-9}${PORT}", Some("98080")),
            ("${EMPTY:-x}${EMPTY}", Some("x")),
            ("${NONE:-}", Some("")),
            ("$$${PORT}$$", Some("$8080$")),
            ("$${PORT}", Some("${PORT}")),
            ("${TRICK}", Some("${PORT} $$")),
        ] {
            assert_eq!(
                fill_in(value, &env).unwrap().as_deref(),
                wanted,
                "{value:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_filled_in_is_told_with_its_place() {
        for (value, start, length) in [
            ("ab${NONE}", 2, 7),
            ("${PORT", 0, 6),
            ("x${}", 1, 3),
            ("${a b}", 0, 6),
            ("${1a}", 0, 5),
        ] {
            let fault = fill_in(value, &env).unwrap_err();
            assert_eq!((fault.start, fault.length), (start, length), "{value:?}");
        }
    }
}
