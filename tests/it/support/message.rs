//! HTTP/1.1 framing, as little as the tests' own client and endpoints need. It believes what it reads: whether fiel
//! keeps to the rules is for the tests to say, from the bytes.

use std::io::{self, BufRead, Read};

/// Fields in the order received, names as written.
pub(crate) type Fields = Vec<(String, String)>;

/// How long a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// So many octets.
    Length(u64),
    /// In chunks, with trailers.
    Chunked,
    /// To the end of the connection.
    UntilClose,
}

impl Framing {
    /// Of a message with these fields; `otherwise` where they say nothing.
    pub(crate) fn of(fields: &Fields, otherwise: Self) -> Self {
        let is_chunked = |value: &str| value.to_ascii_lowercase().ends_with("chunked");
        if field(fields, "transfer-encoding").is_some_and(is_chunked) {
            return Self::Chunked;
        }
        match field(fields, "content-length").map(str::parse) {
            Some(Ok(length)) => Self::Length(length),
            Some(Err(_)) | None => otherwise,
        }
    }
}

/// The first field of this name, in any case.
pub(crate) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Reads a head to its empty line, both included; `None` where the connection ended before its first octet.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    loop {
        let line_bytes = reader.read_until(b'\n', &mut head)?;
        let ended = !head.ends_with(b"\n");
        match (head.is_empty(), ended) {
            (true, _) => return Ok(None),
            (false, true) => return Err(cut_short("a head", &head)),
            (false, false) if line_bytes <= 2 && head.len() > 2 => break,
            (false, false) => {}
        }
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// The fields of a head, without its first line.
pub(crate) fn fields_of(head: &str) -> Fields {
    head.lines().skip(1).filter_map(parse_field).collect()
}

fn parse_field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// Reads a body piece by piece into `take`, decoded; its trailers are the result.
pub(crate) fn read_body(
    reader: &mut impl BufRead,
    framing: Framing,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Fields> {
    match framing {
        Framing::Empty => Ok(Fields::new()),
        Framing::Length(length) => {
            read_pieces(reader, length, &mut take)?;
            Ok(Fields::new())
        }
        Framing::Chunked => read_chunks(reader, &mut take),
        Framing::UntilClose => loop {
            let piece = reader.fill_buf()?;
            if piece.is_empty() {
                return Ok(Fields::new());
            }
            take(piece)?;
            let length = piece.len();
            reader.consume(length);
        },
    }
}

fn read_chunks(
    reader: &mut impl BufRead,
    take: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Fields> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16)
            .map_err(|_| io::Error::other(format!("no chunk size: {line:?}")))?;
        if size == 0 {
            break;
        }
        read_pieces(reader, size, take)?;
        let end = read_line(reader)?;
        if !end.is_empty() {
            return Err(io::Error::other(format!("after a chunk came {end:?}")));
        }
    }
    let mut trailers = Fields::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(trailers);
        }
        trailers.extend(parse_field(&line));
    }
}

fn read_pieces(
    reader: &mut impl BufRead,
    length: u64,
    take: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut part = reader.take(length);
    while part.limit() > 0 {
        let piece = part.fill_buf()?;
        if piece.is_empty() {
            return Err(cut_short("a body", &[]));
        }
        take(piece)?;
        let piece_bytes = piece.len();
        part.consume(piece_bytes);
    }
    Ok(())
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(cut_short("a line", &line));
    }
    let line = String::from_utf8_lossy(&line);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn cut_short(what: &str, so_far: &[u8]) -> io::Error {
    let text = format!(
        "{what} was cut short after {:?}",
        String::from_utf8_lossy(so_far)
    );
    io::Error::new(io::ErrorKind::UnexpectedEof, text)
}
