//! Endpoints that refuse, talk nonsense or break off.

use crate::support::client::Response;
use crate::support::endpoint::Refusing;
use crate::support::terms::{Terms, before};
use crate::support::{Behaviour, Client, Endpoint, client};

#[track_caller]
fn assert_refused(answer: &Response, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{answer:?}");
    let told = format!("fiel; error={error}");
    assert_eq!(answer.header("proxy-status"), Some(told.as_str()));
    assert!(answer.text().contains("request id: "), "{}", answer.text());
    assert_eq!(answer.cut_short, None);
}

#[test]
fn an_endpoint_that_refuses_is_passed_over() {
    let endpoint = Endpoint::start("a");
    let refusing = Refusing::start();
    let fiel = Terms::default().before_all(&[refusing.address(), endpoint.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..6 {
        assert_eq!(client.get("/").text(), "a");
    }

    let log = fiel.wait_for_access_log(6);
    let attempts: i64 = log
        .iter()
        .filter_map(|line| line["attempts"].as_i64())
        .sum();
    assert_eq!(attempts, 6 + 3, "every second first try was refused");
    for line in log {
        assert_eq!(line["endpoint"], endpoint.address().to_string());
    }
}

#[test]
fn a_pool_that_refuses_altogether_is_a_bad_gateway() {
    let refusing = [Refusing::start(), Refusing::start()];
    let addresses = refusing.each_ref().map(Refusing::address);
    let fiel = Terms::default().before_all(&addresses);
    let mut client = Client::connect(fiel.address("web"));

    let answer = client.get("/");

    assert_refused(&answer, 502, "connection_refused");
    assert_refused(&client.get("/"), 502, "connection_refused");
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["reason"], "connect_refused");
    assert_eq!(line["attempts"], 3, "one and two more");
    let id = line["request_id"].as_str().unwrap_or_default();
    assert!(answer.text().contains(id), "{} without {id}", answer.text());
}

#[test]
fn a_route_may_forbid_to_try_again() {
    let refusing = Refusing::start();
    let terms = Terms {
        route: &["retry: { attempts: 0 }"],
        ..Terms::default()
    };
    let fiel = terms.before_all(&[refusing.address()]);

    let answer = client::get(fiel.address("web"), "/");

    assert_refused(&answer, 502, "connection_refused");
    assert_eq!(fiel.wait_for_access_log(1)[0]["attempts"], 1);
}

#[test]
fn answers_that_are_no_answers_are_a_bad_gateway() {
    let faulty = [
        "garbage\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello!",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: ",
    ];
    for (number, answer) in faulty.into_iter().enumerate() {
        let endpoint = Endpoint::behaving("a", Behaviour::bytes_then_finish(answer));
        let fiel = before(&endpoint);

        let told = client::get(fiel.address("web"), "/");

        assert_eq!(told.status, 502, "{number}: {answer:?} became {told:?}");
        assert_refused(&told, 502, "http_protocol_error");
        assert_eq!(endpoint.requests().len(), 1, "{answer:?}");
        let line = &fiel.wait_for_access_log(1)[0];
        assert_eq!(line["reason"], "malformed_response", "{answer:?}");
    }
}

#[test]
fn a_head_without_end_is_a_bad_gateway() {
    let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    head.resize(1 << 20, b'x');
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(head));
    let fiel = before(&endpoint);

    let answer = client::get(fiel.address("web"), "/");

    assert_refused(&answer, 502, "http_protocol_error");
    endpoint.wait_for_end(0);
}

#[test]
fn an_end_before_any_answer_is_a_bad_gateway_after_all_tries() {
    for behaviour in [
        Behaviour::bytes_then_finish(""),
        Behaviour::bytes_then_reset(""),
    ] {
        let endpoint = Endpoint::behaving("a", behaviour);
        let fiel = before(&endpoint);

        let answer = client::get(fiel.address("web"), "/");

        assert_refused(&answer, 502, "connection_terminated");
        assert_eq!(endpoint.requests().len(), 3);
        let line = &fiel.wait_for_access_log(1)[0];
        assert_eq!(
            (&line["reason"], &line["attempts"]),
            (&"reset".into(), &3.into())
        );
    }
}

#[test]
fn a_get_that_was_cut_goes_to_another_endpoint() {
    let cutting = Endpoint::behaving("cutting", Behaviour::bytes_then_reset(""));
    let sound = Endpoint::start("sound");
    let fiel = Terms::default().before_all(&[cutting.address(), sound.address()]);
    let mut client = Client::connect(fiel.address("web"));

    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "sound");
    }

    assert_eq!(cutting.requests().len(), 2);
}

#[test]
fn a_cut_body_is_seen_as_cut() {
    let cuts = [
        (
            "length",
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        ),
        (
            "chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhello",
        ),
        (
            "between chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
    ];
    let endings: [fn(&str) -> Behaviour; 2] = [
        |bytes| Behaviour::bytes_then_finish(bytes),
        |bytes| Behaviour::bytes_then_reset(bytes),
    ];
    for (case, bytes) in cuts {
        for (ending, end) in endings.into_iter().enumerate() {
            let endpoint = Endpoint::behaving("a", end(bytes));
            let fiel = before(&endpoint);

            let answer = client::get(fiel.address("web"), "/");

            // A reset may overtake what was written before it.
            if answer.status == 502 {
                assert_eq!(ending, 1, "{case}");
                continue;
            }
            assert_eq!(answer.status, 200, "{case}");
            assert!(answer.cut_short.is_some(), "{case}: {answer:?}");
            let line = &fiel.wait_for_access_log(1)[0];
            assert_eq!(line["status"], 200, "{case}");
            assert_eq!(line["reason"], "response_cut", "{case}");
            assert_eq!(endpoint.requests().len(), 1, "{case}");
        }
    }
}

#[test]
fn a_chunk_that_is_none_cuts_the_answer() {
    let endpoint = Endpoint::behaving(
        "a",
        Behaviour::bytes(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        ),
    );
    let fiel = before(&endpoint);

    let answer = client::get(fiel.address("web"), "/");

    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    assert!(answer.cut_short.is_some());
    endpoint.wait_for_end(0);
}
