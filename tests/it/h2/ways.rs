//! How a connection comes to speak HTTP/2, and what is said to one that may not.

use crate::support::client::Client;
use crate::support::frames::{Came, PREFACE, Raw, get};
use crate::support::terms::{Terms, before, limited};
use crate::support::tls::{Authority, TlsClient};
use crate::support::{Endpoint, Fiel, client};

use super::app;

fn speaking(protocols: &str, endpoint: &Endpoint) -> Fiel {
    let protocols = format!("protocols: {protocols}");
    Terms {
        listener: &[&protocols],
        ..Terms::default()
    }
    .before(endpoint)
}

#[test]
fn both_are_spoken_on_one_port_by_default() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));

    raw.request(1, &get("/a", &[]));
    raw.request(3, &get("/b", &[]));

    assert_eq!(raw.outcome(1), app());
    assert_eq!(raw.outcome(3), app());
    assert_eq!(client::get(fiel.address("web"), "/c").text(), "app");
}

#[test]
fn a_preface_in_pieces_is_one() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    for size in [1, 5, 13, 23] {
        let mut raw = Raw::silent(fiel.address("web"));
        let whole = [PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
        for piece in whole.chunks(size) {
            raw.write(piece);
        }
        raw.request(1, &get("/", &[]));
        assert_eq!(raw.outcome(1), app(), "{size}");
    }
}

#[test]
fn http_1_alone_knows_no_preface() {
    let endpoint = Endpoint::start("app");
    let fiel = speaking("[http1]", &endpoint);
    let mut client = Client::connect(fiel.address("web"));
    client.send(PREFACE);
    assert_eq!(client.response().status, 505);
}

#[test]
fn http_2_alone_tells_others_so() {
    let endpoint = Endpoint::start("app");
    let fiel = speaking("[http2]", &endpoint);
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status, 505);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=http_request_error")
    );
    assert_eq!(endpoint.requests().len(), 0);

    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), app());
}

#[test]
fn a_preface_is_nothing_behind_a_request() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "app");
    client.send(PREFACE);
    assert_eq!(client.response().status, 505);
}

#[test]
fn something_like_a_preface_is_none() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    client.send("PRI / HTTP/2.0\r\n\r\n");
    assert_eq!(client.response().status, 505);
}

#[test]
fn a_preface_that_stops_is_waited_for_so_long_and_no_longer() {
    let endpoint = Endpoint::start("app");
    let fiel = limited("headerTimeout: 300ms, handshakeTimeout: 300ms", &endpoint);
    for part in [4, 12, 20] {
        let mut raw = Raw::silent(fiel.address("web"));
        raw.write(&PREFACE[..part]);
        if part < 12 {
            // Nobody can know yet what it will be.
            continue;
        }
        assert_eq!(raw.goaway(), None, "{part}");
    }
}

#[test]
fn over_tls_the_handshake_settles_it() {
    let endpoint = Endpoint::start("app");
    let folder = tempfile::tempdir().unwrap();
    let entry = Authority::new("authority")
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let tls = format!("tls: {{ certificates: [ {{ {entry} }} ] }}");
    let with = |protocols: &str| {
        let protocols = format!("protocols: {protocols}");
        Terms {
            listener: &[&tls, &protocols],
            ..Terms::default()
        }
        .before(&endpoint)
    };
    let fiel = with("[http2, http1]");
    let web = fiel.address("web");
    let both = TlsClient::new().offering(&["http/1.1", "h2"]);

    let secure = both.connect(web, "site.example");
    assert_eq!(secure.session().alpn_protocol(), Some(&b"h2"[..]));
    let mut raw = Raw::over(secure.into_stream());
    raw.greet(&[]);
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "site.example"),
        (":path", "/"),
    ];
    raw.request(1, &crate::support::frames::block(&fields));
    assert_eq!(raw.outcome(1), app());
    let received = &endpoint.wait_for_whole_requests(1)[0];
    assert_eq!(
        received.header("x-forwarded-proto").as_deref(),
        Some("https")
    );

    let mut old = TlsClient::new().offering(&[]).connect(web, "site.example");
    assert_eq!(old.get("site.example", "/").text(), "app");
    // Who offers nothing is not taken to know.
    let silent = TlsClient::new().offering(&[]).connect(web, "site.example");
    let mut silent = silent.into_stream();
    std::io::Write::write_all(&mut silent, PREFACE).unwrap();
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut silent, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 505");

    let fiel = with("[http1]");
    let secure = both.connect(fiel.address("web"), "site.example");
    assert_eq!(secure.session().alpn_protocol(), Some(&b"http/1.1"[..]));

    let fiel = with("[http2]");
    let old = TlsClient::new().offering(&["http/1.1"]);
    let refused = old.try_connect(fiel.address("web"), "site.example");
    let refused = refused.err().unwrap();
    assert!(refused.contains("NoApplicationProtocol"), "{refused}");
}

#[test]
fn protocols_change_with_a_reload_for_those_who_come_later() {
    let endpoint = Endpoint::start("app");
    let yaml = |protocols: &str| {
        format!(
            "admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: 127.0.0.1:0, protocols: {protocols} }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [\"{}\"] }} }}
",
            endpoint.address()
        )
    };
    let fiel = Fiel::start(&yaml("[http1, http2]"));
    let mut old = Raw::connect(fiel.address("web"));
    old.request(1, &get("/", &[]));
    assert_eq!(old.outcome(1), app());

    fiel.rewrite(&yaml("[http1]"));
    crate::support::wait::eventually("HTTP/2 to be refused", || {
        let mut new = Client::connect(fiel.address("web"));
        new.send(PREFACE);
        (new.read_to_end().0.starts_with(b"HTTP/1.1 505")).then_some(())
    });

    old.request(3, &get("/", &[]));
    assert_eq!(old.outcome(3), app());
}

#[test]
fn an_upgrade_to_h2c_is_passed_over() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let ask = "GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = client::request(fiel.address("web"), ask);
    assert_eq!((answer.status, answer.text()), (200, "app".to_owned()));
}

#[test]
fn a_connection_that_ends_in_its_preface_costs_nothing() {
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    drop(Raw::connect(fiel.address("web")));
    let mut raw = Raw::connect(fiel.address("web"));
    raw.request(1, &get("/", &[]));
    assert_eq!(raw.outcome(1), Came::Answer(200, b"app".to_vec()));
}
