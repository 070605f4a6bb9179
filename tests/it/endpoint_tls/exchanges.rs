//! Requests and answers over a session: bodies, kept connections, ends, tunnels.

use super::Site;
use crate::support::Behaviour;
use crate::support::client::{self, Client, End};
use crate::support::front::{Ending, Manner};

#[test]
fn requests_go_over_one_session_and_are_otherwise_as_they_were() {
    let site = Site::start();
    let fiel = site.fiel();
    let mut client = Client::connect(fiel.address("web"));

    for path in ["/a", "/b", "/c"] {
        let answer = client.request(format!("GET {path} HTTP/1.1\r\nHost: site.example\r\n\r\n"));
        assert_eq!((answer.status, answer.text()), (200, "app".to_owned()));
    }

    let received = site.endpoint.wait_for_whole_requests(3);
    assert_eq!(received[2].header("host").as_deref(), Some("site.example"));
    let proto = received[2].header("x-forwarded-proto");
    assert_eq!(proto.as_deref(), Some("http"));
    let sessions = site.front.sessions();
    assert_eq!(sessions.len(), 1);
    // The endpoint is an address, and the name of one is not sent.
    assert_eq!(sessions[0].name, None);
    assert_eq!(sessions[0].client, None);
}

#[test]
fn bodies_go_both_ways_whole() {
    let site = Site::start();
    site.endpoint.behave(Behaviour::echo());
    let fiel = site.fiel();
    let body = "0123456789abcdef".repeat(64 << 10);
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );

    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..3 {
        // The echo comes back while the body is sent, and who does not read it stops everything once all that lies
        // between is full.
        let mut twin = client.twin();
        let answer = std::thread::scope(|scope| {
            scope.spawn(|| twin.send(&request));
            client.response()
        });
        assert_eq!(answer.status, 200);
        assert!(answer.text() == body, "{} octets", answer.body.len());
    }

    assert_eq!(site.front.sessions().len(), 1);
}

#[test]
fn news_of_the_session_makes_no_unused_connection_unfit() {
    let site = Site::behaving(&Manner {
        ending: Ending::Rekeying,
        ..Manner::default()
    });
    let fiel = site.fiel();

    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..5 {
        assert_eq!(client.get("/").status, 200);
    }

    assert_eq!(site.front.sessions().len(), 1);
}

#[test]
fn an_answer_that_ends_with_a_goodbye_is_whole_and_without_one_it_is_cut() {
    let octets = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it";
    for (ending, wanted) in [(Ending::Polite, true), (Ending::Cut, false)] {
        let site = Site::behaving(&Manner {
            ending,
            ..Manner::default()
        });
        site.endpoint.behave(Behaviour::bytes_then_finish(octets));
        let fiel = site.fiel();

        let mut client = Client::connect(fiel.address("web"));
        client.send("GET / HTTP/1.0\r\n\r\n");
        let (read, end) = client.read_to_end();

        let read = String::from_utf8(read).unwrap();
        assert!(read.ends_with("\r\n\r\nall of it"), "{read}");
        // An answer of HTTP/1.0 ends with the connection: only its way of ending can tell.
        assert_eq!(end == End::Fin, wanted, "{end:?}");
        let line = &fiel.wait_for_access_log(1)[0];
        let reason = (!wanted).then_some("response_cut");
        assert_eq!(line["reason"].as_str(), reason, "{line}");
    }
}

#[test]
fn a_tunnel_goes_through_a_session_both_ways() {
    let site = Site::start();
    site.endpoint.behave(Behaviour::upgrade());
    let fiel = site.fiel();
    let mut client = Client::connect(fiel.address("web"));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.head().status, 101);

    let piece = vec![b'x'; 100_000];
    for _ in 0..3 {
        client.send(&piece);
        assert!(client.read_exact(piece.len()) == piece);
    }
    client.finish_sending();

    assert_eq!(client.read_to_end(), (Vec::new(), End::Fin));
    site.front.wait_for_goodbyes(1);
}

#[test]
fn an_endpoint_that_answers_before_it_has_read_all_is_heard() {
    let site = Site::start();
    site.endpoint.behave(Behaviour::early(
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig",
    ));
    let fiel = site.fiel();
    let body = vec![b'x'; 8 << 20];
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = Client::connect(fiel.address("web"));
    client.send(head);
    client.send(&body);

    let answer = client.response();

    assert_eq!((answer.status, answer.text()), (413, "big".to_owned()));
}

#[test]
fn an_unused_connection_is_closed_with_a_goodbye() {
    let site = Site::start();
    let fiel = site.fiel_with(&site.ca(), &[]);
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);

    fiel.signal(rustix::process::Signal::TERM);

    site.front.wait_for_goodbyes(1);
    assert!(fiel.wait_exit().success());
}
