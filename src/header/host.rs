//! Which authority a request is for (RFC 9112 §3.2): its target and its `Host`, checked together.
//!
//! An authority is taken strictly as RFC 3986 §3.2 writes it, without user information and never empty: what different
//! readers could take for different hosts is refused. Which routes a host has is decided in `route/host.rs`.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use crate::error::Kind;

/// A host and maybe a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host as written: a name in any case, an IPv4 address, or an IPv6 address in its brackets.
    pub host: &'a str,
    /// The port, where one is written.
    pub port: Option<u16>,
}

/// What is written is no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no host, or no host with a port")]
pub struct BadHost;

/// Reads an authority.
///
/// # Errors
/// [`BadHost`] when it is none, is empty, or carries user information.
pub fn authority(text: &[u8]) -> Result<Authority<'_>, BadHost> {
    read(std::str::from_utf8(text).map_err(|_| BadHost)?)
}

fn read(text: &str) -> Result<Authority<'_>, BadHost> {
    // Most are a name or an address of the old kind, and maybe a port.
    let plain = text.bytes().take_while(|octet| PLAIN[usize::from(*octet)]);
    let plain = plain.count();
    let is_all = matches!(text.as_bytes().get(plain), None | Some(b':'));
    let (host, rest) = if is_all && plain > 0 {
        text.split_at(plain)
    } else if text.starts_with('[') {
        let end = text.find(']').ok_or(BadHost)?;
        let (host, rest) = text.split_at(end + 1);
        // RFC 3986 §3.2.2, IP-literal. IPvFuture has no meaning yet, zones (RFC 6874) none beyond one machine.
        host[1..end].parse::<Ipv6Addr>().map_err(|_| BadHost)?;
        (host, rest)
    } else {
        let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
        if !is_registered_name(host.as_bytes()) {
            return Err(BadHost);
        }
        (host, rest)
    };
    Ok(Authority {
        host,
        port: port(rest)?,
    })
}

/// RFC 3986 §2: unreserved octets and sub-delims.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        plain[octet as usize] = octet.is_ascii_alphanumeric();
        octet += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut index = 0;
    while index < others.len() {
        plain[others[index] as usize] = true;
        index += 1;
    }
    plain
};

/// RFC 3986 §3.2.2, reg-name, but for the empty one; IPv4 addresses are of this form too.
fn is_registered_name(host: &[u8]) -> bool {
    let mut rest = host;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (octet, after) if PLAIN[usize::from(*octet)] => after,
            _ => return false,
        };
    }
    !host.is_empty()
}

/// What follows the host: nothing, or a colon and digits. RFC 3986 §3.2.3 lets the digits be missing.
fn port(rest: &str) -> Result<Option<u16>, BadHost> {
    let Some(digits) = rest.strip_prefix(':') else {
        return if rest.is_empty() {
            Ok(None)
        } else {
            Err(BadHost)
        };
    };
    if digits.is_empty() {
        return Ok(None);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadHost);
    }
    digits.parse().map(Some).map_err(|_| BadHost)
}

/// In which form a request names its target (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A path and maybe a query.
    Origin,
    /// A whole URI, whose authority takes the place of `Host`: see [`adopt`].
    Absolute,
    /// `*`, the endpoint as a whole.
    Asterisk,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The form of its target.
    pub form: Form,
    /// Its authority; `None` only in HTTP/1.0.
    pub authority: Option<Authority<'a>>,
    /// What `Host` says, which the authority is that of unless the target has one.
    pub said: Option<&'a HeaderValue>,
}

/// Decides which authority a request is for, or refuses it. One of HTTP/2 has its `:authority` in `Host` by now.
///
/// # Errors
/// [`Kind::VersionUnknown`], [`Kind::MethodRefused`], [`Kind::MalformedRequest`] or [`Kind::BadHost`].
pub fn target<'a>(
    version: Version,
    method: &Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
) -> Result<Target<'a>, Kind> {
    let known = [Version::HTTP_11, Version::HTTP_2, Version::HTTP_10];
    if !known.contains(&version) {
        return Err(Kind::VersionUnknown);
    }
    // RFC 9110 §9.3.6: a reverse proxy opens no tunnels on demand. §9.3.8: TRACE would show a client the fields that
    // proxies added.
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Kind::MethodRefused);
    }
    let form = form(method, uri).ok_or(Kind::MalformedRequest)?;
    // RFC 9112 §3.2: `Host` is checked even where the target overrides it.
    let (said, authority_said) = said_host(version, headers)?.unzip();
    let authority = match (form, uri.authority()) {
        // RFC 9112 §3.2.2: the received `Host` is ignored.
        (Form::Absolute, Some(written)) => {
            Some(authority(written.as_str().as_bytes()).map_err(|BadHost| Kind::BadHost)?)
        }
        _ => authority_said,
    };
    Ok(Target {
        form,
        authority,
        said,
    })
}

fn form(method: &Method, uri: &Uri) -> Option<Form> {
    match (uri.scheme_str(), uri.authority()) {
        (Some("http" | "https"), Some(_)) => Some(Form::Absolute),
        (None, None) if uri.path() == "*" => {
            // RFC 9112 §3.2.4: only for OPTIONS, and without a query.
            (method == Method::OPTIONS && uri.query().is_none()).then_some(Form::Asterisk)
        }
        (None, None) => uri.path().starts_with('/').then_some(Form::Origin),
        // Other schemes are not for this proxy; RFC 9112 §3.2.3: an authority alone is only for CONNECT.
        _ => None,
    }
}

/// RFC 9112 §3.2, RFC 9113 §8.3.1: there is exactly one `Host`, and a valid one; HTTP/1.0 may have none.
fn said_host(
    version: Version,
    headers: &HeaderMap,
) -> Result<Option<(&HeaderValue, Authority<'_>)>, Kind> {
    let mut lines = headers.get_all(HOST).iter();
    let Some(line) = lines.next() else {
        return if version == Version::HTTP_10 {
            Ok(None)
        } else {
            Err(Kind::BadHost)
        };
    };
    if lines.next().is_some() {
        return Err(Kind::BadHost);
    }
    let text = line.to_str().map_err(|_| Kind::BadHost)?;
    let said = read(text).map_err(|BadHost| Kind::BadHost)?;
    Ok(Some((line, said)))
}

/// Puts the authority of an absolute target into `Host` (RFC 9112 §3.2.2), where no such target is leaves it alone.
/// To be called after [`target`] has found them sound.
pub fn adopt(headers: &mut HeaderMap, uri: &Uri) {
    if let Some(authority) = uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::header::tests::fields;

    fn parts(text: &str) -> Result<(&str, Option<u16>), BadHost> {
        authority(text.as_bytes()).map(|authority| (authority.host, authority.port))
    }

    #[test]
    fn names_and_addresses_are_hosts_with_or_without_a_port() {
        assert_eq!(parts("example.com"), Ok(("example.com", None)));
        assert_eq!(parts("Example.COM:8080"), Ok(("Example.COM", Some(8080))));
        assert_eq!(parts("10.0.0.1:80"), Ok(("10.0.0.1", Some(80))));
        assert_eq!(parts("[::1]"), Ok(("[::1]", None)));
        assert_eq!(parts("[2001:db8::1]:443"), Ok(("[2001:db8::1]", Some(443))));
        assert_eq!(parts("a_b.example."), Ok(("a_b.example.", None)));
        assert_eq!(parts("example.com:"), Ok(("example.com", None)));
        assert_eq!(parts("a%41"), Ok(("a%41", None)));
    }

    #[test]
    fn anything_else_is_no_host() {
        for text in [
            "",
            ":80",
            "user@example.com",
            "user:1@example.com",
            "a b",
            " a",
            "a ",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a:b",
            "a:+80",
            "a:65536",
            "a:80:80",
            "[::1",
            "::1",
            "[::1]a",
            "[::1]:a",
            "[]",
            "[v1.a]",
            "[::1%25eth0]",
            "[127.0.0.1]",
            "a%4",
            "a%zz",
            "a\"b",
            "a<b",
            "a^b",
            "a|b",
            "é.example",
            "a\tb",
            "a[b]",
        ] {
            assert_eq!(parts(text), Err(BadHost), "{text:?}");
        }
        assert_eq!(authority(b"a\xff"), Err(BadHost));
    }

    fn ask(
        version: Version,
        method: &Method,
        uri: &str,
        hosts: &[&str],
    ) -> Result<(Form, String), Kind> {
        let lines: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let target =
            target(version, method, &uri.parse().unwrap(), &fields(&lines)).map(|target| {
                (
                    target.form,
                    target.authority.map(|authority| authority.host.to_owned()),
                )
            })?;
        Ok((target.0, target.1.unwrap_or_default()))
    }

    fn get(uri: &str, hosts: &[&str]) -> Result<(Form, String), Kind> {
        ask(Version::HTTP_11, &Method::GET, uri, hosts)
    }

    #[test]
    fn a_request_of_http_1_1_has_exactly_one_valid_host() {
        assert_eq!(
            get("/a?b", &["a.example:80"]),
            Ok((Form::Origin, "a.example".into()))
        );
        assert_eq!(get("/", &[]), Err(Kind::BadHost));
        assert_eq!(get("/", &[""]), Err(Kind::BadHost));
        assert_eq!(get("/", &["a", "a"]), Err(Kind::BadHost));
        assert_eq!(get("/", &["u@a"]), Err(Kind::BadHost));
    }

    #[test]
    fn a_request_of_http_1_0_may_have_no_host() {
        let of = |hosts| ask(Version::HTTP_10, &Method::GET, "/", hosts);
        assert_eq!(of(&[]), Ok((Form::Origin, String::new())));
        assert_eq!(of(&["a"]), Ok((Form::Origin, "a".into())));
        assert_eq!(of(&["a", "b"]), Err(Kind::BadHost));
    }

    #[test]
    fn an_absolute_target_overrides_a_host_that_must_be_valid_all_the_same() {
        let absolute = Ok((Form::Absolute, "b.example".to_owned()));
        assert_eq!(get("http://b.example/x", &["a.example"]), absolute);
        assert_eq!(get("https://b.example:1/x", &["a.example"]), absolute);
        assert_eq!(get("http://b.example/", &[]), Err(Kind::BadHost));
        assert_eq!(get("http://b.example/", &["a b"]), Err(Kind::BadHost));
        assert_eq!(get("http://u@b.example/", &["a"]), Err(Kind::BadHost));
        assert_eq!(get("ftp://b.example/", &["a"]), Err(Kind::MalformedRequest));
    }

    #[test]
    fn the_authority_of_an_absolute_target_becomes_the_host() {
        let mut headers = fields(&[("host", "a"), ("host", "c")]);
        adopt(&mut headers, &"http://b.example:1/x".parse().unwrap());
        assert_eq!(headers, fields(&[("host", "b.example:1")]));
        adopt(&mut headers, &"/x".parse().unwrap());
        assert_eq!(headers, fields(&[("host", "b.example:1")]));
    }

    #[test]
    fn an_asterisk_is_for_options_only() {
        let options = |uri| ask(Version::HTTP_11, &Method::OPTIONS, uri, &["a"]);
        assert_eq!(options("*"), Ok((Form::Asterisk, "a".into())));
        assert_eq!(options("/x"), Ok((Form::Origin, "a".into())));
        assert_eq!(get("*", &["a"]), Err(Kind::MalformedRequest));
    }

    #[test]
    fn an_authority_alone_connect_and_trace_are_refused() {
        assert_eq!(get("a.example:80", &["a"]), Err(Kind::MalformedRequest));
        assert_eq!(get("foo", &["a"]), Err(Kind::MalformedRequest));
        let of = |method, uri| ask(Version::HTTP_11, method, uri, &["a"]);
        assert_eq!(
            of(&Method::CONNECT, "a.example:80"),
            Err(Kind::MethodRefused)
        );
        assert_eq!(of(&Method::TRACE, "/"), Err(Kind::MethodRefused));
    }

    #[test]
    fn other_versions_are_unknown() {
        let of = |version| ask(version, &Method::GET, "/", &["a"]);
        assert_eq!(of(Version::HTTP_09), Err(Kind::VersionUnknown));
        assert_eq!(of(Version::HTTP_3), Err(Kind::VersionUnknown));
    }

    proptest! {
        #[test]
        fn what_is_taken_as_an_authority_says_nothing_else(text in "[a-zA-Z0-9.:@%/ \\[\\]-]{0,16}") {
            if let Ok(read) = authority(text.as_bytes()) {
                prop_assert!(!read.host.is_empty());
                prop_assert!(!text.contains(['@', '/', ' ']));
                let rest = &text[read.host.len()..];
                match read.port {
                    None => prop_assert!(rest.is_empty() || rest == ":"),
                    Some(port) => prop_assert_eq!(rest[1..].parse::<u16>(), Ok(port)),
                }
            }
        }
    }
}
