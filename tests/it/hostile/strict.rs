//! A reader of requests that forgives nothing: what fiel sends to endpoints must be readable in one way only.

use crate::support::Endpoint;

/// Everything that arrived at this endpoint is requests that every reader takes for the same, none of them smuggled.
#[track_caller]
pub(super) fn assert_well_formed(endpoint: &Endpoint) {
    let smuggled = endpoint.requests_to("/smuggled");
    assert!(smuggled.is_empty(), "{smuggled:?}");
    count_well_formed(endpoint);
}

/// The same without a look for smuggled ones; tells how many requests there were. The last one of a connection may be
/// cut.
#[track_caller]
pub(super) fn count_well_formed(endpoint: &Endpoint) -> usize {
    (0..endpoint.connections())
        .map(|connection| {
            let octets = endpoint.arrived(connection);
            match read_all(&octets) {
                Ok(count) => count,
                Err(fault) => panic!("{fault} in {:?}", String::from_utf8_lossy(&octets)),
            }
        })
        .sum()
}

/// Why reading stopped.
enum Stop {
    /// There is nothing more.
    Cut,
    /// It is no request, or one that could be read in another way.
    Fault(String),
}

type Read<T> = Result<T, Stop>;

fn fault<T>(what: impl Into<String>) -> Read<T> {
    Err(Stop::Fault(what.into()))
}

/// How many requests there are.
fn read_all(octets: &[u8]) -> Result<usize, String> {
    let mut rest = octets;
    let mut count = 0;
    while !rest.is_empty() {
        match read(&mut rest) {
            Ok(()) => count += 1,
            Err(Stop::Cut) => break,
            Err(Stop::Fault(what)) => return Err(what),
        }
    }
    Ok(count)
}

fn read(rest: &mut &[u8]) -> Read<()> {
    let first = first_line(line(rest)?)?;
    let fields = fields(rest)?;
    let of = |wanted: &str| -> Vec<&[u8]> {
        let named = fields.iter().filter(|(name, _)| name == wanted);
        named.map(|(_, value)| value.as_slice()).collect()
    };
    if of("host").len() != 1 {
        return fault("not exactly one Host");
    }
    match (
        of("content-length").as_slice(),
        of("transfer-encoding").as_slice(),
    ) {
        ([], []) => {}
        ([length], []) => drop(take(rest, number(length, 10)?)?),
        ([], [b"chunked"]) => chunks(rest)?,
        (lengths, codings) => return fault(format!("{lengths:?} with {codings:?}")),
    }
    // The endpoints of these tests switch there and nowhere else: what follows is the tunnel's.
    let is_tunnel = first.split([' ', '?']).nth(1) == Some("/ws");
    if is_tunnel && !of("upgrade").is_empty() {
        *rest = &[];
    }
    Ok(())
}

fn first_line(line: &[u8]) -> Read<&str> {
    let Ok(line) = std::str::from_utf8(line) else {
        return fault("octets beyond ASCII in the first line");
    };
    let words: Vec<&str> = line.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return fault(format!("first line {line:?}"));
    };
    let is_visible = target.bytes().all(|byte| byte.is_ascii_graphic());
    let is_target = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !is_token(method.as_bytes()) || !is_visible || !is_target || target.contains('#') {
        return fault(format!("first line {line:?}"));
    }
    Ok(line)
}

/// Fields to the empty line, names in lower case.
fn fields(rest: &mut &[u8]) -> Read<Vec<(String, Vec<u8>)>> {
    let mut fields = Vec::new();
    loop {
        let line = line(rest)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return fault(format!("no colon in {:?}", String::from_utf8_lossy(line)));
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_text = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        if !is_token(name) || !value.iter().all(is_text) {
            return fault(format!("field {:?}", String::from_utf8_lossy(line)));
        }
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        fields.push((name, value.to_vec()));
    }
}

fn chunks(rest: &mut &[u8]) -> Read<()> {
    loop {
        let length = number(line(rest)?, 16)?;
        if length == 0 {
            return trailers(rest);
        }
        take(rest, length)?;
        if !line(rest)?.is_empty() {
            return fault("more in a chunk than it says");
        }
    }
}

fn trailers(rest: &mut &[u8]) -> Read<()> {
    let framing = ["content-length", "transfer-encoding", "host", "connection"];
    for (name, _) in fields(rest)? {
        if framing.contains(&name.as_str()) {
            return fault(format!("trailer {name}"));
        }
    }
    Ok(())
}

/// Digits and nothing else.
fn number(text: &[u8], base: u32) -> Read<usize> {
    let digits = std::str::from_utf8(text).unwrap_or_default();
    let is_plain = !digits.is_empty() && digits.chars().all(|letter| letter.is_digit(base));
    match usize::from_str_radix(digits, base) {
        Ok(number) if is_plain => Ok(number),
        _ => fault(format!("number {:?}", String::from_utf8_lossy(text))),
    }
}

/// The next line, without its end; nothing but CRLF ends it.
fn line<'a>(rest: &mut &'a [u8]) -> Read<&'a [u8]> {
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Err(Stop::Cut);
    };
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    match line.split_last() {
        Some((b'\r', line)) if !line.contains(&b'\r') => Ok(line),
        _ => fault(format!("line {:?}", String::from_utf8_lossy(line))),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Read<&'a [u8]> {
    let Some((taken, left)) = rest.split_at_checked(count) else {
        return Err(Stop::Cut);
    };
    *rest = left;
    Ok(taken)
}

/// RFC 9110 §5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_letter)
}

#[test]
fn the_strict_reader_forgives_nothing() {
    let is_sound = |text: &str| read_all(text.as_bytes()).is_ok();
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    assert!(is_sound(&format!(
        "{head}Content-Length: 1\r\n\r\nx{head}\r\n"
    )));
    assert!(is_sound(&format!(
        "{head}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nt: 1\r\n\r\n{head}\r\n"
    )));
    for unsound in [
        "\r\n\r\n",
        "x\r\n\r\n",
        "Host: b\r\n\r\n",
        "X : 1\r\n\r\n",
        "X: 1\n\r\n",
        "X: a\rb\r\n\r\n",
        "Content-Length: +1\r\n\r\nx",
        "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nhost: b\r\n\r\n",
    ] {
        assert!(!is_sound(&format!("{head}{unsound}")), "{unsound:?}");
    }
}
