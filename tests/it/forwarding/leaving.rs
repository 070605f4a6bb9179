//! Clients that leave: what they waited for is cancelled at the endpoint, unless a FIN only says that they are done.

use crate::support::client::End;
use crate::support::endpoint::Progress;
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Client, Endpoint, Fiel, Step};

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

fn delivering(endpoint: &Endpoint) -> Fiel {
    let terms = Terms {
        listener: &["halfClose: deliver"],
        ..Terms::default()
    };
    terms.before(endpoint)
}

#[track_caller]
fn assert_left(fiel: &Fiel, attempts: i64) {
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["status"], 499, "{line}");
    assert_eq!(line["reason"], "client_gone", "{line}");
    assert_eq!(line["attempts"], attempts, "{line}");
}

#[test]
fn a_client_that_closes_cancels_what_it_waits_for() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);
    endpoint.wait_for_requests(1);
    drop(client);

    endpoint.wait_for_end(0);
    assert_left(&fiel, 1);
}

#[test]
fn a_client_that_resets_cancels_what_it_waits_for() {
    for halves in ["cancel", "deliver"] {
        let endpoint = Endpoint::behaving("a", Behaviour::stall());
        let half_close = format!("halfClose: {halves}");
        let terms = Terms {
            listener: &[&half_close],
            ..Terms::default()
        };
        let fiel = terms.before(&endpoint);
        let mut client = Client::connect(fiel.address("web"));

        client.send(GET);
        endpoint.wait_for_requests(1);
        client.reset();

        endpoint.wait_for_end(0);
        assert_left(&fiel, 1);
    }
}

#[test]
fn a_fin_cancels_by_default() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);
    endpoint.wait_for_requests(1);
    client.finish_sending();

    endpoint.wait_for_end(0);
    assert_left(&fiel, 1);
    let (answer, _) = client.read_to_end();
    assert_eq!(answer, b"");
}

#[test]
fn a_fin_may_only_mean_that_nothing_more_is_said() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = delivering(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);
    client.finish_sending();
    endpoint.wait_for_requests(1);
    endpoint.release();
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    assert_eq!(client.read_to_end(), (vec![], End::Fin));
    assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 200);
}

#[test]
fn a_body_before_a_fin_is_delivered_too() {
    let endpoint = Endpoint::behaving("a", Behaviour::echo());
    let fiel = delivering(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");
    client.finish_sending();

    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_client_that_leaves_in_the_middle_of_an_answer_ends_it_at_the_endpoint() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::pieces([
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
            "later",
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send(GET);
    client.head();
    assert_eq!(client.read_exact(5), b"hello");
    drop(client);

    endpoint.wait_for_end(0);
    assert_left(&fiel, 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_ends_it_at_the_endpoint() {
    for body in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let endpoint = Endpoint::behaving("a", Behaviour::name());
        let fiel = before(&endpoint);
        let mut client = Client::connect(fiel.address("web"));

        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{body}"));
        endpoint.wait_for_request_list("the first octets", |requests| {
            requests.first().is_some_and(|one| one.body == b"hello")
        });
        drop(client);

        endpoint.wait_for_end(0);
        endpoint.wait_for_request_list("the cut", |requests| {
            requests[0].progress == Progress::CutShort
        });
        assert_left(&fiel, 1);
    }
}

#[test]
fn a_fin_in_the_middle_of_a_body_is_a_client_that_left() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    client.finish_sending();

    assert_eq!(client.read_to_end().0, b"", "nobody is answered");
    endpoint.wait_for_end(0);
    assert_left(&fiel, 1);
}

#[test]
fn a_fin_in_the_middle_of_a_body_is_a_bad_request_where_clients_may_end_their_side() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        listener: &["halfClose: deliver"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhello");
    client.finish_sending();

    assert_eq!(client.response().status, 400);
    endpoint.wait_for_end(0);
}

#[test]
fn a_client_that_leaves_while_its_early_answer_flows_ends_it_at_the_endpoint() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::Write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec()),
            Step::AwaitRelease,
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nfirst");
    client.head();
    drop(client);

    endpoint.wait_for_end(0);
    assert_left(&fiel, 1);
}
