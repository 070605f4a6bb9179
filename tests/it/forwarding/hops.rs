//! Over how many hops an OPTIONS may go (RFC 9110 §7.6.2), and who answers it at the end.

use crate::support::client::Client;
use crate::support::frames::{Came, Raw, ask};
use crate::support::terms::{Terms, before};
use crate::support::{Endpoint, Fiel, Scrape};

/// Requests that came to the endpoint, and what each was told of further hops.
fn arrived(endpoint: &Endpoint) -> Vec<(String, Option<String>)> {
    let requests = endpoint.requests().into_iter();
    let told = requests.map(|one| (one.line().to_owned(), one.header("max-forwards")));
    told.collect()
}

fn options(target: &str, hops: &str) -> String {
    format!("OPTIONS {target} HTTP/1.1\r\nHost: test\r\nMax-Forwards: {hops}\r\n\r\n")
}

fn assert_booked(fiel: &Fiel, protocol: &str) {
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(
        (&line["protocol"], &line["status"], &line["reason"]),
        (&protocol.into(), &200.into(), &"max_forwards".into()),
        "{line}"
    );
    assert_eq!(line["route"], "shop");
    assert_eq!(line["endpoint"], serde_json::Value::Null, "{line}");
    let series = "fiel_local_replies_total{route=\"shop\",pool=\"none\",code=\"200\",reason=\"max_forwards\"}";
    Scrape::wait_for(fiel, &[(series, 1.0)]);
}

#[test]
fn an_options_that_may_go_no_further_is_answered_by_the_proxy() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        route: &["responseHeaders: { set: { x-edge: \"1\" } }"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.request(options("/a", "0"));

    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.headers_named("content-length"), ["0"]);
    assert_eq!(answer.header("x-edge"), Some("1"));
    assert_eq!(answer.header("allow"), None);
    assert_booked(&fiel, "HTTP/1.1");
    // Also what is about the server as a whole, and one with a body; the connection goes on behind it.
    assert_eq!(client.request(options("*", "0")).status, 200);
    let body =
        "OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(client.request(body).text(), "");
    assert_eq!(endpoint.connections(), 0);
    assert_eq!(client.get("/next").text(), "a");
}

#[test]
fn an_options_that_may_go_further_is_told_of_one_hop_less() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for (sent, left) in [("1", "0"), ("10", "9"), ("007", "6")] {
        assert_eq!(client.request(options("/a", sent)).text(), "a", "{sent}");
        let told = arrived(&endpoint).pop();
        let line = "OPTIONS /a HTTP/1.1".to_owned();
        assert_eq!(told, Some((line, Some(left.to_owned()))), "{sent}");
    }
    // A client cannot have the count taken away by naming its field.
    let named =
        "OPTIONS / HTTP/1.1\r\nHost: test\r\nConnection: max-forwards\r\nMax-Forwards: 3\r\n\r\n";
    assert_eq!(client.request(named).text(), "a");
    assert_eq!(arrived(&endpoint).pop().unwrap().1.as_deref(), Some("2"));
    assert_eq!(
        client
            .request("OPTIONS / HTTP/1.1\r\nHost: test\r\n\r\n")
            .text(),
        "a"
    );
    assert_eq!(arrived(&endpoint).pop().unwrap().1, None);
}

#[test]
fn hops_of_other_methods_are_not_counted() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for hops in ["0", "1", "none"] {
        let get = format!("GET / HTTP/1.1\r\nHost: test\r\nMax-Forwards: {hops}\r\n\r\n");
        assert_eq!(client.request(get).text(), "a");
        assert_eq!(arrived(&endpoint).pop().unwrap().1.as_deref(), Some(hops));
    }
}

#[test]
fn hops_are_counted_over_http_2_too() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut raw = Raw::connect(fiel.address("web"));

    raw.request(1, &ask("OPTIONS", "/a", &[("max-forwards", "0")]));
    assert_eq!(raw.outcome(1), Came::Answer(200, Vec::new()));
    assert_booked(&fiel, "HTTP/2.0");
    assert_eq!(endpoint.connections(), 0);

    raw.request(3, &ask("OPTIONS", "/a", &[("max-forwards", "1")]));
    assert_eq!(raw.outcome(3), Came::Answer(200, b"a".to_vec()));
    let line = "OPTIONS /a HTTP/1.1".to_owned();
    assert_eq!(arrived(&endpoint), [(line, Some("0".to_owned()))]);

    raw.request(5, &ask("OPTIONS", "/a", &[("max-forwards", "x")]));
    assert!(matches!(raw.outcome(5), Came::Answer(400, _)));
}
