//! Who may ask: the whole table of tokens, hosts, origins and addresses.

use super::*;

const OWN: &str = "admin.internal";

fn rules(token: Option<&str>) -> watch::Receiver<Rules> {
    let token = token.map(Token::of);
    let hosts = vec![OWN.into()];
    watch::channel(Rules { token, hosts }).1
}

fn full(bound: &str, token: Option<&str>) -> Access {
    let bound = match bound.strip_prefix("unix:") {
        Some(path) => Bind::Unix(std::path::Path::new(path).into()),
        None => Bind::Tcp(bound.parse().unwrap()),
    };
    Access::full(&bound, rules(token))
}

fn ask(
    access: &Access,
    method: &str,
    target: &str,
    fields: &[(&'static str, &str)],
) -> Result<(), Refused> {
    let headers = fields
        .iter()
        .map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
    let method = method.parse().unwrap();
    access.check(&method, &target.parse().unwrap(), &headers)
}

/// Bound address, configured token, method, `Authorization`, outcome.
type Case<'a> = (
    &'a str,
    Option<&'a str>,
    &'a str,
    Option<&'a str>,
    Result<(), Refused>,
);

#[test]
fn the_token_is_needed_for_orders_and_off_loopback_for_all() {
    const HOST_FIELD: (&str, &str) = ("host", "127.0.0.1:9901");
    let (lo, net) = ("127.0.0.1:9901", "10.0.0.1:9901");
    let right = Some("Bearer secret");
    let cases: &[Case<'_>] = &[
        (lo, None, "GET", None, Ok(())),
        (lo, None, "POST", None, Ok(())),
        (lo, None, "POST", right, Ok(())),
        (lo, Some("secret"), "GET", None, Ok(())),
        (lo, Some("secret"), "HEAD", None, Ok(())),
        (lo, Some("secret"), "POST", None, Err(Refused::NoToken)),
        (lo, Some("secret"), "PUT", None, Err(Refused::NoToken)),
        (lo, Some("secret"), "POST", right, Ok(())),
        (lo, Some("secret"), "POST", Some("bearer secret"), Ok(())),
        (lo, Some("secret"), "POST", Some("Bearer   secret "), Ok(())),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Bearer secreT"),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Bearer secret2"),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Bearer secre"),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Bearer"),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Bearer "),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("Basic secret"),
            Err(Refused::NoToken),
        ),
        (
            lo,
            Some("secret"),
            "POST",
            Some("secret"),
            Err(Refused::NoToken),
        ),
        ("[::1]:9901", Some("secret"), "GET", None, Ok(())),
        (
            "[::ffff:127.0.0.1]:9901",
            Some("secret"),
            "GET",
            None,
            Ok(()),
        ),
        (net, Some("secret"), "GET", None, Err(Refused::NoToken)),
        (net, Some("secret"), "HEAD", None, Err(Refused::NoToken)),
        (net, Some("secret"), "GET", right, Ok(())),
        (net, Some("secret"), "POST", right, Ok(())),
        (net, Some("secret"), "POST", None, Err(Refused::NoToken)),
        (
            "0.0.0.0:1",
            Some("secret"),
            "GET",
            None,
            Err(Refused::NoToken),
        ),
        ("[::]:1", Some("secret"), "GET", None, Err(Refused::NoToken)),
        (net, None, "GET", None, Err(Refused::Unprotected)),
        (net, None, "POST", right, Err(Refused::Unprotected)),
    ];
    for &(bound, token, method, authorization, expected) in cases {
        let mut fields = vec![HOST_FIELD];
        fields.extend(authorization.map(|value| ("authorization", value)));
        let got = ask(&full(bound, token), method, "/x", &fields);
        assert_eq!(
            got, expected,
            "{method} at {bound}, {token:?}, {authorization:?}"
        );
    }
}

#[test]
fn two_tokens_in_one_request_are_none() {
    let access = full("127.0.0.1:1", Some("secret"));
    let fields = [
        ("host", "localhost"),
        ("authorization", "Bearer secret"),
        ("authorization", "Bearer secret"),
    ];
    assert_eq!(
        ask(&access, "POST", "/reload", &fields),
        Err(Refused::NoToken)
    );
}

#[test]
fn the_host_must_be_an_own_name_or_an_address_at_both_addresses() {
    let open = full("127.0.0.1:9901", None);
    let read_only = Access::read_only(rules(None));
    let own = [
        "localhost",
        "localhost:9901",
        "LOCALHOST:1",
        "localhost.",
        "fiel.localhost:80",
        "127.0.0.1",
        "127.0.0.1:9901",
        "10.1.2.3:9902",
        "[::1]",
        "[::1]:9901",
        "[2001:db8::1]:80",
        OWN,
        "Admin.Internal:9901",
    ];
    let foreign = [
        "evil.example",
        "evil.example:9901",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "admin.internal.evil.example",
        "evil@localhost",
        "localhost@evil.example",
        "",
        ":9901",
        "local host",
        "[::1",
        "0x7f.1",
    ];
    for method in ["GET", "POST"] {
        for access in [&open, &read_only] {
            for host in own {
                let got = ask(access, method, "/livez", &[("host", host)]);
                assert_eq!(got, Ok(()), "{method} {host:?}");
            }
            for host in foreign {
                let got = ask(access, method, "/livez", &[("host", host)]);
                assert_eq!(got, Err(Refused::Host), "{method} {host:?}");
            }
            assert_eq!(ask(access, method, "/livez", &[]), Err(Refused::Host));
            let two = [("host", "localhost"), ("host", "localhost")];
            assert_eq!(ask(access, method, "/livez", &two), Err(Refused::Host));
            let target = "http://evil.example/livez";
            let got = ask(access, method, target, &[("host", "localhost")]);
            assert_eq!(got, Err(Refused::Host));
            let target = "http://localhost/livez";
            let got = ask(access, method, target, &[("host", "evil.example")]);
            assert_eq!(got, Err(Refused::Host));
        }
    }
}

#[test]
fn orders_of_foreign_pages_are_refused_with_a_token_too() {
    let host = ("host", "127.0.0.1:9901");
    let cases: &[(&[(&'static str, &str)], bool)] = &[
        (&[], true),
        (&[("origin", "http://127.0.0.1:9901")], true),
        (&[("origin", "https://127.0.0.1:9901")], true),
        (&[("origin", "http://127.0.0.1:9902")], false),
        (&[("origin", "http://localhost:9901")], false),
        (&[("origin", "http://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", "")], false),
        (&[("origin", "127.0.0.1:9901")], false),
        (
            &[
                ("origin", "http://127.0.0.1:9901"),
                ("origin", "http://evil.example"),
            ],
            false,
        ),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "")], false),
        (
            &[
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://evil.example"),
            ],
            false,
        ),
    ];
    for token in [None, Some("secret")] {
        let access = full("127.0.0.1:9901", token);
        for (fields, may) in cases {
            let mut all = vec![host, ("authorization", "Bearer secret")];
            all.extend(*fields);
            let expected = if *may { Ok(()) } else { Err(Refused::Foreign) };
            assert_eq!(
                ask(&access, "POST", "/reload", &all),
                expected,
                "{fields:?}"
            );
            assert_eq!(ask(&access, "GET", "/status", &all), Ok(()), "{fields:?}");
        }
    }
}

#[test]
fn a_reload_of_the_rules_counts_from_the_next_request_on() {
    let (sender, receiver) = watch::channel(Rules::default());
    let access = Access::full(&Bind::Tcp("127.0.0.1:1".parse().unwrap()), receiver);
    let post = || ask(&access, "POST", "/reload", &[("host", "localhost")]);
    assert_eq!(post(), Ok(()));
    sender.send_replace(Rules {
        token: Some(Token::of("x")),
        hosts: Vec::new(),
    });
    assert_eq!(post(), Err(Refused::NoToken));
}

#[test]
fn over_a_socket_any_host_or_none_will_do_and_orders_need_the_token() {
    let right = ("authorization", "Bearer secret");
    for token in [None, Some("secret")] {
        let access = full("unix:/run/fiel.sock", token);
        for host in [None, Some("localhost"), Some("evil.example"), Some("a b")] {
            let named: Vec<_> = host.iter().map(|host| ("host", *host)).collect();
            assert_eq!(ask(&access, "GET", "/status", &named), Ok(()), "{host:?}");
            let without = match token {
                None => Ok(()),
                Some(_) => Err(Refused::NoToken),
            };
            assert_eq!(ask(&access, "POST", "/reload", &named), without);
            let with = [named.clone(), vec![right]].concat();
            assert_eq!(ask(&access, "POST", "/reload", &with), Ok(()));
            // A page that comes through something which passes requests on to the socket.
            let page = [with, vec![("origin", "http://other.example")]].concat();
            let sent = ask(&access, "POST", "/reload", &page);
            assert_eq!(sent, Err(Refused::Foreign), "{host:?}");
        }
    }
}
