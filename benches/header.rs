//! What the header rules cost a usual request and its response: `cargo bench --bench header`.
//!
//! Each turn works on a fresh clone of the fields, whose making is not timed.

use std::hint::black_box;
use std::net::IpAddr;

use divan::Bencher;
use fiel::config::model::{Claims, HeaderEdits};
use fiel::header::forwarded::{Peer, Scheme};
use fiel::header::present::Present;
use fiel::header::{
    Forwarding, forward_request, forward_response, forwarded, framing, hop, host, ids,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

fn main() {
    divan::main();
}

fn fields(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn browser() -> HeaderMap {
    fields(&[
        ("host", "shop.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
        ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("connection", "keep-alive"),
        ("cookie", "session=0123456789abcdef; theme=dark"),
        ("referer", "https://shop.example.com/cart"),
        ("cache-control", "no-cache"),
        (
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ])
}

fn answer() -> HeaderMap {
    fields(&[
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("content-type", "application/json"),
        ("content-length", "512"),
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("cache-control", "no-store"),
    ])
}

/// All that happens to a request's fields on its way, in its order.
fn whole_request(
    headers: &mut HeaderMap,
    uri: &Uri,
    (peer, claims): (&Peer, &Claims),
    edits: &HeaderEdits,
) {
    let version = Version::HTTP_11;
    let target = host::target(version, &Method::GET, uri, headers).expect("the request is sound");
    let asked_host = black_box(target).said.cloned();
    let present = Present::of(headers);
    let framing = framing::request(version, headers, present).expect("the request is sound");
    black_box(ids::request_id(headers, present, black_box(7)));
    black_box(ids::trace_id(headers));
    let heard = black_box(forwarded::hear(headers, peer, claims));
    let upgrade = hop::upgrade(headers, present, &Method::GET, version, framing);
    let own = forward_request(
        headers,
        Forwarding {
            present,
            asked_host,
            version,
            peer,
            trust: heard.trust(),
            claims,
            scheme: Scheme::Http,
            identity: None,
            host: None,
            edits,
        },
    );
    black_box(own);
    hop::announce(headers, present, upgrade);
}

#[divan::bench]
fn request(bencher: Bencher<'_, '_>) {
    let (fields, uri, edits) = (browser(), Uri::from_static("/cart"), HeaderEdits::default());
    let claims = Claims::default();
    let peer = Peer::new(Some(IpAddr::from([1, 2, 3, 4])), &claims);
    bencher
        .with_inputs(|| fields.clone())
        .bench_local_refs(|headers| whole_request(headers, &uri, (&peer, &claims), &edits));
}

#[divan::bench]
fn request_from_a_trusted_proxy(bencher: Bencher<'_, '_>) {
    let (mut fields, uri, edits) = (browser(), Uri::from_static("/cart"), HeaderEdits::default());
    fields.insert("x-forwarded-for", HeaderValue::from_static("1.2.3.4"));
    fields.insert("x-request-id", HeaderValue::from_static("abc"));
    let mut claims = Claims::default();
    claims.trusted.networks = vec!["10.0.0.0/8".parse().expect("a network")];
    let peer = Peer::new(Some(IpAddr::from([10, 0, 0, 1])), &claims);
    bencher
        .with_inputs(|| fields.clone())
        .bench_local_refs(|headers| whole_request(headers, &uri, (&peer, &claims), &edits));
}

#[divan::bench]
fn response(bencher: Bencher<'_, '_>) {
    let (fields, edits) = (answer(), HeaderEdits::default());
    bencher
        .with_inputs(|| fields.clone())
        .bench_local_refs(|headers| {
            let present = Present::of(headers);
            let checked = framing::response(Version::HTTP_11, StatusCode::OK, headers, present);
            black_box(checked).expect("the response is sound");
            forward_response(headers, present, Version::HTTP_11, &edits);
        });
}
