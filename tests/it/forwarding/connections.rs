//! Connections to endpoints: used again while they are good, replaced without a client noticing, and never at the
//! price of sending twice what may have been carried out.

use std::time::Duration;

use crate::support::endpoint::Refusing;
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Client, Endpoint, Step};

const POST: &str = "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello";

/// A connection that serves `/` and ends under any request for `/cut`.
fn endpoint_that_cuts() -> Endpoint {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/cut", Behaviour::bytes_then_reset(""));
    endpoint
}

#[test]
fn a_connection_is_used_again_for_another_client() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);

    for _ in 0..5 {
        let mut client = Client::connect(fiel.address("web"));
        assert_eq!(client.get("/").status, 200);
        assert_eq!(client.request(POST).status, 200);
    }

    assert_eq!(endpoint.connections(), 1);
}

#[test]
fn connections_are_not_shared_by_requests_under_way() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let fiel = before(&endpoint);
    let mut clients: Vec<Client> = (0..3)
        .map(|_| Client::connect(fiel.address("web")))
        .collect();

    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    }
    endpoint.wait_for_requests(3);
    endpoint.release_all();

    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(endpoint.connections(), 3);
}

#[test]
fn a_connection_that_the_endpoint_closed_is_replaced_without_the_client_noticing() {
    let endpoint = Endpoint::start("a");
    endpoint.close_after(1);
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..5 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    }

    assert_eq!(endpoint.connections(), 5);
}

#[test]
fn a_get_that_a_reused_connection_ends_under_is_sent_on_a_new_one() {
    let endpoint = Endpoint::start("a");
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").status, 200);
    // Once: the script of the second request is taken when it arrives on the reused connection.
    endpoint.behave(Behaviour(vec![Step::AwaitRelease, Step::Reset]));

    client.send("GET /again HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(2);
    endpoint.behave(Behaviour::name());
    endpoint.release();
    let answer = client.response();

    assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
    let connections: Vec<usize> = endpoint
        .requests_to("/again")
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 1]);
}

#[test]
fn a_post_that_a_reused_connection_ends_under_is_not_sent_again() {
    let endpoint = endpoint_that_cuts();
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").status, 200);

    let answer =
        client.request("POST /cut HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello");

    assert_eq!(answer.status, 502);
    assert_eq!(
        answer.header("proxy-status"),
        Some("fiel; error=connection_terminated")
    );
    let seen = endpoint.requests_to("/cut");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].connection, 0, "the connection was a reused one");
    assert_eq!(client.get("/").status, 200, "the client keeps its own");
}

#[test]
fn a_post_without_a_body_that_may_have_been_seen_is_not_sent_again() {
    let endpoint = endpoint_that_cuts();
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").status, 200);

    let answer = client.request("POST /cut HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");

    assert_eq!(answer.status, 502);
    assert_eq!(endpoint.requests_to("/cut").len(), 1);
}

#[test]
fn a_post_of_which_nothing_was_sent_goes_elsewhere_with_its_body() {
    let endpoint = Endpoint::start("a");
    let refusing = Refusing::start();
    let fiel = Terms::default().before_all(&[refusing.address(), endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..4 {
        assert_eq!(client.request(POST).status, 200);
    }

    for request in endpoint.wait_for_whole_requests(4) {
        assert_eq!(request.body, b"hello");
        assert_eq!(request.header("host").as_deref(), Some("test"));
    }
}

#[test]
fn a_connection_that_died_unused_does_not_cost_a_post() {
    let endpoint = Endpoint::start("a");
    endpoint.close_after(1);
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for number in 0..3 {
        assert_eq!(client.request(POST).status, 200, "request {number}");
        // fiel has seen the end of the connection when it has ended its own side.
        endpoint.wait_for_end(number);
    }
}

#[test]
fn an_endpoint_is_believed_for_how_long_it_keeps_a_connection() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 1\r\n\r\na"),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    let first = client.get("/");
    let second = client.get("/");

    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.header("keep-alive"), None, "it is not the client's");
    assert_eq!(
        endpoint.connections(),
        2,
        "a second is too short to be used"
    );
}

#[test]
fn a_connection_is_let_go_after_its_configured_time() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        pool: &["connect: { keepAlive: 100ms }"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);

    assert_eq!(Client::connect(fiel.address("web")).get("/").status, 200);

    endpoint.wait_for_end(0);
}

#[test]
fn no_connection_is_kept_where_none_may_be() {
    let endpoint = Endpoint::start("a");
    let terms = Terms {
        pool: &["connect: { maxIdlePerWorker: 0 }"],
        ..Terms::default()
    };
    let fiel = terms.before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..3 {
        assert_eq!(client.get("/").status, 200);
    }

    assert_eq!(endpoint.connections(), 3);
    endpoint.wait_for_end(2);
}

#[test]
fn an_endpoint_that_closes_idle_connections_is_never_noticed() {
    let endpoint = Endpoint::start("a");
    endpoint.idle_timeout(Duration::from_millis(1));
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for number in 0..200 {
        let answer = client.get("/");
        assert_eq!(answer.status, 200, "request {number}");
    }
}

#[test]
fn what_an_endpoint_says_unasked_is_nobodys_answer() {
    let stray = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray";
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour(vec![
            Step::ReadBody,
            Step::WriteName,
            Step::AwaitRelease,
            Step::Write(stray.into()),
        ]),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "a");
    let asked = endpoint.written_bytes(0);

    endpoint.release();
    endpoint.wait_for_written_bytes(0, asked + stray.len() as u64);
    // What was written may reach the worker behind the next request; that it has is seen by the end of the connection.
    endpoint.wait_for_end(0);
    let next = client.get("/");

    assert_eq!(next.text(), "a");
    assert_eq!(endpoint.connections(), 2);
}

#[test]
fn what_follows_an_answer_is_nobodys_answer() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na\
             HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray",
        ),
    );
    let fiel = before(&endpoint);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "a");
    }

    assert_eq!(endpoint.connections(), 3);
}
