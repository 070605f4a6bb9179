//! Who is believed of whom, which fields are read and written, and that nothing is by mixing them.

use std::num::NonZeroUsize;

use proptest::prelude::*;

use super::*;
use crate::config::model::Peers;
use crate::error::Kind;
use crate::header::tests::fields;

fn claims(spoken: ForwardedFields) -> Claims {
    let networks = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    Claims {
        trusted: Peers {
            networks,
            unix: false,
        },
        hops: None,
        fields: spoken,
    }
}

fn counted(hops: usize) -> Claims {
    Claims {
        hops: NonZeroUsize::new(hops),
        ..Claims::default()
    }
}

fn peer(address: &str) -> Peer {
    Peer::new(address.parse().ok(), &claims(ForwardedFields::XForwarded))
}

fn set_by(claims: &Claims, address: &str, lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = fields(lines);
    let peer = Peer::new(address.parse().ok(), claims);
    let trust = hear(&headers, &peer, claims).trust();
    let host = headers.get("host").cloned();
    set(&mut headers, (&peer, trust), Scheme::Http, claims, host);
    headers
}

fn set_for(address: &str, lines: &[(&str, &str)]) -> HeaderMap {
    set_by(&claims(ForwardedFields::XForwarded), address, lines)
}

proptest! {
    #[test]
    fn an_address_is_written_as_it_is_displayed(octets: [u8; 4], segments: [u16; 8]) {
        for address in [IpAddr::from(octets), IpAddr::from(segments)] {
            let text = address.to_string();
            prop_assert_eq!(written(address), text.as_str());
        }
    }
}

#[test]
fn claims_of_an_untrusted_peer_are_replaced() {
    let headers = set_for(
        "1.2.3.4",
        &[
            ("host", "shop.example:8080"),
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-for", "8.8.8.8"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-port", "1"),
            ("x-real-ip", "9.9.9.9"),
            ("forwarded", "for=9.9.9.9"),
            ("x-forwardedness", "kept"),
        ],
    );
    let expected = [
        ("host", "shop.example:8080"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.example:8080"),
        ("x-forwardedness", "kept"),
    ];
    assert_eq!(headers, fields(&expected));
}

#[test]
fn claims_of_a_trusted_peer_are_kept_and_it_is_added() {
    let headers = set_for(
        "10.0.0.2",
        &[
            ("host", "inner.example"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-port", "443"),
            ("forwarded", "for=1.2.3.4"),
        ],
    );
    let expected = [
        ("host", "inner.example"),
        ("x-forwarded-for", "1.2.3.4, 10.0.0.1, 10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
        ("x-forwarded-port", "443"),
    ];
    assert_eq!(headers, fields(&expected));
}

#[test]
fn a_trusted_peer_that_says_nothing_is_the_client() {
    let headers = set_for("fd00::1", &[("host", "a"), ("x-forwarded-for", "")]);
    let expected = [
        ("host", "a"),
        ("x-forwarded-for", "fd00::1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "a"),
    ];
    assert_eq!(headers, fields(&expected));
}

#[test]
fn twins_with_underscores_are_removed_from_everyone() {
    let twins = [
        ("x_forwarded_for", "9.9.9.9"),
        ("x-forwarded_proto", "https"),
        ("x_forwarded-host", "evil.example"),
        ("x_real_ip", "9.9.9.9"),
    ];
    for address in ["1.2.3.4", "10.0.0.1"] {
        let headers = set_for(address, &twins);
        let expected = [("x-forwarded-for", address), ("x-forwarded-proto", "http")];
        assert_eq!(headers, fields(&expected));
    }
}

#[test]
fn twins_of_framing_fields_are_removed_and_those_themselves_are_not() {
    for address in ["1.2.3.4", "10.0.0.1"] {
        let headers = set_for(
            address,
            &[
                ("content-length", "1"),
                ("transfer-encoding", "a"),
                ("content_length", "2"),
                ("transfer_encoding", "b"),
                ("content_lengths", "3"),
            ],
        );
        let kept = ["content-length", "transfer-encoding", "content_lengths"];
        assert!(kept.iter().all(|name| headers.contains_key(*name)));
        assert_eq!(headers.len(), kept.len() + 2, "{headers:?}");
    }
}

#[test]
fn without_host_a_claimed_one_is_removed_all_the_same() {
    let headers = set_for("1.2.3.4", &[("x-forwarded-host", "evil.example")]);
    assert!(!headers.contains_key("x-forwarded-host"));
}

#[test]
fn who_a_peer_has_proved_to_be_is_added_to_what_trusted_proxies_say_and_to_nothing_else() {
    let ours = HeaderValue::from_static("Hash=1");
    let claimed = [
        ("x-forwarded-client-cert", "Hash=8"),
        ("x-forwarded-client-cert", "Hash=9"),
        ("x_forwarded_client_cert", "Hash=7"),
    ];
    for (address, expected) in [("1.2.3.4", "Hash=1"), ("10.0.0.1", "Hash=8,Hash=9,Hash=1")] {
        let mut headers = set_for(address, &claimed);
        set_identity(&mut headers, &ours);
        let all: Vec<_> = headers.get_all(&X_FORWARDED_CLIENT_CERT).iter().collect();
        assert_eq!(all, [expected], "{address}");
        assert!(!headers.contains_key("x_forwarded_client_cert"));
    }
}

#[test]
fn a_mapped_address_is_written_as_ipv4() {
    let headers = set_for("::ffff:1.2.3.4", &[]);
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
    assert_eq!(peer("::ffff:10.0.0.1").trust(), Trust::Trusted);
}

fn client_by(claims: &Claims, address: &str, lines: &[(&str, &str)]) -> String {
    let peer = Peer::new(address.parse().ok(), claims);
    let client = hear(&fields(lines), &peer, claims).client();
    client.map_or("unix".to_owned(), |client| client.to_string())
}

fn client_of(address: &str, lines: &[&str]) -> String {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| ("x-forwarded-for", *line))
        .collect();
    client_by(&claims(ForwardedFields::XForwarded), address, &lines)
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
    assert_eq!(
        client_of("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]),
        "1.2.3.4"
    );
    assert_eq!(
        client_of("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]),
        "1.2.3.4"
    );
    assert_eq!(
        client_of("10.0.0.1", &["[2001:db8::1]:443, "]),
        "2001:db8::1"
    );
    assert_eq!(client_of("10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
    assert_eq!(client_of("10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    assert_eq!(client_of("1.2.3.4", &["9.9.9.9"]), "1.2.3.4");
}

#[test]
fn the_last_known_proxy_is_the_client_where_the_chain_breaks_or_ends() {
    assert_eq!(
        client_of("10.0.0.1", &["1.2.3.4, unknown, 10.0.0.2"]),
        "10.0.0.2"
    );
    assert_eq!(client_of("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
}

#[test]
fn only_a_trusted_peer_says_which_scheme_the_client_used() {
    let said = |address, value| {
        let headers = fields(&[("x-forwarded-proto", value)]);
        let claims = claims(ForwardedFields::XForwarded);
        hear(&headers, &peer(address), &claims).scheme(&headers, Scheme::Http)
    };
    assert_eq!(said("10.0.0.1", "HTTPS, http"), Scheme::Https);
    assert_eq!(said("1.2.3.4", "https"), Scheme::Http);
    assert_eq!(said("10.0.0.1", "gopher"), Scheme::Http);
}

#[test]
fn what_a_listener_does_not_speak_is_removed_even_from_trusted_proxies() {
    let lines = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=5.6.7.8"),
    ];
    let spoken = set_by(&claims(ForwardedFields::Rfc7239), "10.0.0.2", &lines);
    assert_eq!(
        spoken,
        fields(&[("forwarded", "for=5.6.7.8, for=10.0.0.2;proto=http")])
    );
    assert!(!set_for("10.0.0.2", &lines).contains_key("forwarded"));
}

#[test]
fn forwarded_is_set_anew_for_untrusted_peers() {
    let lines = [("host", "a.example:8080"), ("forwarded", "for=9.9.9.9")];
    for (address, node) in [("1.2.3.4", "1.2.3.4"), ("2001:db8::1", "\"[2001:db8::1]\"")] {
        let headers = set_by(&claims(ForwardedFields::Rfc7239), address, &lines);
        let expected = format!("for={node};host=\"a.example:8080\";proto=http");
        assert_eq!(headers["forwarded"], expected);
    }
}

#[test]
fn a_peer_without_an_address_is_unknown() {
    let lines = [("x-forwarded-for", "9.9.9.9"), ("forwarded", "for=9.9.9.9")];
    let headers = set_by(&claims(ForwardedFields::Both), "unix", &lines);
    assert_eq!(
        headers,
        fields(&[
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=unknown;proto=http")
        ])
    );
    let mut trusting = claims(ForwardedFields::Both);
    trusting.trusted.unix = true;
    let lines = [("x-forwarded-for", "1.2.3.4")];
    let headers = set_by(&trusting, "unix", &lines);
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4");
    assert_eq!(headers["forwarded"], "for=1.2.3.4, for=unknown;proto=http");
    assert_eq!(client_by(&trusting, "unix", &lines), "1.2.3.4");
    assert_eq!(client_by(&trusting, "unix", &[]), "unix");
}

#[test]
fn what_is_told_in_one_way_is_told_in_both() {
    let both = claims(ForwardedFields::Both);
    let headers = set_by(
        &both,
        "10.0.0.2",
        &[("forwarded", "for=1.2.3.4;proto=https;host=a, for=_x")],
    );
    assert_eq!(headers["x-forwarded-for"], "1.2.3.4, unknown, 10.0.0.2");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "a");
    let lines = [
        ("x-forwarded-for", "1.2.3.4, 10.0.0.1"),
        ("x-forwarded-proto", "https"),
    ];
    let headers = set_by(&both, "10.0.0.2", &lines);
    assert_eq!(
        headers["forwarded"],
        "for=1.2.3.4;proto=https, for=10.0.0.1, for=10.0.0.2;proto=http"
    );
}

#[test]
fn ways_of_telling_that_contradict_each_other_are_refused() {
    let both = claims(ForwardedFields::Both);
    let trusted = Peer::new("10.0.0.2".parse().ok(), &both);
    let said = |lines: &[(&str, &str)]| hear(&fields(lines), &trusted, &both).check();
    let agreeing = [
        ("forwarded", "for=9.9.9.9, for=1.2.3.4;proto=https;host=A"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "a"),
    ];
    assert_eq!(said(&agreeing), Ok(()));
    for (at, other) in [
        (1, "5.6.7.8"),
        (1, "1.2.3.4, 10.0.0.1, 8.8.8.8"),
        (2, "http"),
        (3, "b"),
        (0, "for=1.2.3.4"),
        (0, "for=\""),
    ] {
        let mut lines = agreeing;
        lines[at].1 = other;
        assert_eq!(said(&lines), Err(Kind::MalformedRequest), "{lines:?}");
    }
    assert_eq!(
        said(&[("forwarded", "for=1.2.3.4"), ("x-forwarded-proto", "https")]),
        Err(Kind::MalformedRequest)
    );
    // What is not believed cannot contradict.
    let stranger = Peer::new("1.1.1.1".parse().ok(), &both);
    assert_eq!(
        hear(&fields(&[("forwarded", "\"")]), &stranger, &both).check(),
        Ok(())
    );
    let spoken = claims(ForwardedFields::XForwarded);
    assert_eq!(
        hear(&fields(&[("forwarded", "\"")]), &trusted, &spoken).check(),
        Ok(())
    );
}

#[test]
fn the_proxy_that_the_client_came_to_says_in_which_scheme() {
    let spoken = claims(ForwardedFields::Rfc7239);
    let proxy = Peer::new("10.0.0.2".parse().ok(), &spoken);
    for (line, expected) in [
        (
            "for=6.6.6.6;proto=https, for=1.2.3.4;proto=http, for=10.0.0.1;proto=https",
            Scheme::Http,
        ),
        (
            "for=6.6.6.6;proto=http, for=1.2.3.4;proto=HTTPS, for=10.0.0.1;proto=http",
            Scheme::Https,
        ),
        ("for=1.2.3.4", Scheme::Http),
    ] {
        let headers = fields(&[("forwarded", line)]);
        assert_eq!(
            hear(&headers, &proxy, &spoken).scheme(&headers, Scheme::Http),
            expected,
            "{line}"
        );
    }
}

#[test]
fn hops_are_counted_from_the_nearest() {
    let line = [("x-forwarded-for", "6.6.6.6, 1.2.3.4, 172.16.0.1")];
    assert_eq!(client_by(&counted(1), "5.5.5.5", &line), "172.16.0.1");
    assert_eq!(client_by(&counted(2), "5.5.5.5", &line), "1.2.3.4");
    assert_eq!(client_by(&counted(3), "5.5.5.5", &line), "6.6.6.6");
    let rfc = Claims {
        fields: ForwardedFields::Rfc7239,
        ..counted(2)
    };
    let line = [("forwarded", "for=6.6.6.6, for=1.2.3.4, for=172.16.0.1")];
    assert_eq!(client_by(&rfc, "5.5.5.5", &line), "1.2.3.4");
}

#[test]
fn who_came_past_fewer_hops_than_there_are_is_not_believed() {
    let lines = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(client_by(&counted(2), "5.5.5.5", &lines), "5.5.5.5");
    let headers = set_by(&counted(2), "5.5.5.5", &lines);
    assert_eq!(
        headers,
        fields(&[
            ("x-forwarded-for", "5.5.5.5"),
            ("x-forwarded-proto", "http")
        ])
    );
}

#[test]
fn hops_of_strangers_are_not_counted_where_trusted_proxies_are_named() {
    let claims = Claims {
        hops: NonZeroUsize::new(1),
        ..claims(ForwardedFields::XForwarded)
    };
    let line = [("x-forwarded-for", "6.6.6.6")];
    assert_eq!(client_by(&claims, "5.5.5.5", &line), "5.5.5.5");
    assert_eq!(client_by(&claims, "10.0.0.1", &line), "6.6.6.6");
}

proptest! {
    #[test]
    fn an_untrusted_peer_never_gets_a_claim_through(
        names in prop::collection::vec("x[-_](forwarded[-_](for|proto|host|by)|real[-_]ip)|forwarded", 0..8),
    ) {
        let lines: Vec<_> = names.iter().map(|name| (name.as_str(), "9.9.9.9")).collect();
        for spoken in [ForwardedFields::XForwarded, ForwardedFields::Rfc7239, ForwardedFields::Both] {
            let headers = set_by(&claims(spoken), "1.2.3.4", &lines);
            prop_assert!(headers.values().all(|value| value != "9.9.9.9"), "{:?}", headers);
        }
    }

    #[test]
    fn no_chain_panics(lines in prop::collection::vec(r"[ -~]{0,12}|(10\.0\.0\.1,){0,3}", 0..4)) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        client_of("10.0.0.1", &lines);
    }
}
