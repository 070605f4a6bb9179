//! The support itself: what tests of fiel believe must be true without fiel.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use tonic::Request;

use super::client::{self, End};
use super::endpoint::{Progress, Refusing};
use super::grpc::{self, GrpcClient, GrpcServer};
use super::wait::eventually;
use super::{Behaviour, Client, Endpoint, Fiel, Step};

fn post(body: &str) -> String {
    let length = body.len();
    format!("POST /form HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[test]
fn an_endpoint_answers_with_its_name_and_keeps_what_arrived() {
    let endpoint = Endpoint::start("a");
    let mut client = Client::connect(endpoint.address());

    let first = client.request(post("hello"));
    let second = client.get("/x?y=1");

    assert_eq!((first.status, first.text().as_str()), (200, "a"));
    assert_eq!(
        (first.version.as_str(), first.reason.as_str()),
        ("HTTP/1.1", "OK")
    );
    assert_eq!(second.header("content-length"), Some("1"));
    let requests = endpoint.wait_for_whole_requests(2);
    assert_eq!(requests[0].body, b"hello");
    assert_eq!(requests[0].header("host").as_deref(), Some("test"));
    assert_eq!(requests[1].line(), "GET /x?y=1 HTTP/1.1");
    assert_eq!(requests[1].connection, 0, "the connection was kept");
    assert_eq!(endpoint.connections(), 1);
    assert_eq!(endpoint.requests_to("/x").len(), 1);
    let arrived = String::from_utf8(endpoint.arrived(0)).unwrap();
    assert!(arrived.starts_with(&post("hello")), "{arrived}");
    assert_eq!(requests[0].headers().len(), 2);
}

#[test]
fn a_head_request_has_no_body_and_the_next_one_has() {
    let endpoint = Endpoint::start("a");
    let mut client = Client::connect(endpoint.address());

    let head = client.request("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
    let get = client.get("/");

    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(get.text(), "a");
}

#[test]
fn a_body_can_be_read_as_json() {
    let json = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(json));

    let answer = client::request(endpoint.address(), post("x"));

    assert_eq!(answer.json()["a"], 1);
}

#[test]
fn a_path_may_behave_otherwise() {
    let endpoint = Endpoint::start("a");
    endpoint.behave_at("/ready", Behaviour::status(503));

    let ready = client::get(endpoint.address(), "/ready?now");
    let other = client::get(endpoint.address(), "/");

    assert_eq!((ready.status, other.status), (503, 200));
}

#[test]
fn an_endpoint_closes_after_so_many_requests() {
    let endpoint = Endpoint::start("a");
    endpoint.close_after(2);
    let mut client = Client::connect(endpoint.address());

    client.get("/");
    client.get("/");

    assert_eq!(client.read_to_end(), (vec![], End::Fin));
}

#[test]
fn an_endpoint_closes_an_idle_connection() {
    let endpoint = Endpoint::start("a");
    endpoint.idle_timeout(Duration::from_millis(20));
    let mut client = Client::connect(endpoint.address());

    client.get("/");

    assert_eq!(client.read_to_end(), (vec![], End::Fin));
}

#[test]
fn a_stalled_answer_comes_when_released() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    let mut client = Client::connect(endpoint.address());
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    endpoint.wait_for_requests(1);
    assert_eq!(endpoint.written_bytes(0), 0);

    endpoint.release();

    assert_eq!(client.response().text(), "a");
    endpoint.release_all();
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn a_client_that_leaves_while_an_endpoint_stalls_is_seen() {
    let endpoint = Endpoint::behaving("a", Behaviour::stall());
    for (connection, end) in [(0, End::Fin), (1, End::Reset)] {
        let mut client = Client::connect(endpoint.address());
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        endpoint.wait_for_requests(connection + 1);
        assert_eq!(endpoint.open_connections(), 1);

        match end {
            End::Fin => drop(client),
            End::Reset => client.reset(),
        }

        assert_eq!(endpoint.wait_for_end(connection), end);
    }
}

#[test]
fn a_reset_is_a_reset_before_and_within_an_answer() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    for bytes in ["", begun] {
        let endpoint = Endpoint::behaving("a", Behaviour::bytes_then_reset(bytes));
        let mut client = Client::connect(endpoint.address());
        client.send(post("x"));

        let (got, end) = client.read_to_end();

        // A reset may overtake what was written before it.
        assert_eq!(end, End::Reset);
        assert!(bytes.as_bytes().starts_with(&got), "{got:?}");
    }
}

#[test]
fn an_answer_cut_short_is_told_from_a_whole_one() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    let endpoint = Endpoint::behaving("a", Behaviour::bytes_then_finish(half));
    let cut = client::get(endpoint.address(), "/");
    endpoint.behave(Behaviour::bytes_then_finish("HTTP/1.0 200 OK\r\n\r\nall"));

    let whole = client::get(endpoint.address(), "/");

    assert_eq!(cut.text(), "half");
    assert!(cut.cut_short.is_some(), "{cut:?}");
    assert_eq!(whole.text(), "all");
    assert!(whole.cut_short.is_none(), "{whole:?}");
}

#[test]
fn an_early_answer_comes_before_the_body_and_the_rest_is_read() {
    let no = "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n";
    let endpoint = Endpoint::behaving("a", Behaviour::early(no));
    let mut client = Client::connect(endpoint.address());
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nab");

    let answer = client.response();

    assert_eq!(answer.status, 413);
    assert_eq!(endpoint.requests()[0].progress, Progress::Begun);
    client.send("cd");
    assert_eq!(endpoint.wait_for_whole_requests(1)[0].body, b"abcd");
}

#[test]
fn a_request_cut_short_is_known_as_such() {
    let endpoint = Endpoint::start("a");
    let mut client = Client::connect(endpoint.address());
    client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nab");
    client.finish_sending();

    let requests = endpoint.wait_for_request_list("a request cut short", |requests| {
        requests
            .iter()
            .any(|request| request.progress == Progress::CutShort)
    });

    assert_eq!(requests[0].body, b"ab");
}

#[test]
fn an_echo_streams_in_chunks_with_trailers() {
    let endpoint = Endpoint::behaving("a", Behaviour::echo());
    let mut client = Client::connect(endpoint.address());
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n");
    assert_eq!(client.head().header("trailer"), Some("x-sum"));
    assert_eq!(client.read_exact(8), b"3\r\nabc\r\n");

    client.send("2;x=y\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n");

    assert_eq!(client.read_exact(7), b"2\r\nde\r\n");
    assert_eq!(client.read_exact(15), b"0\r\nX-Sum: 5\r\n\r\n");
    let request = endpoint.wait_for_whole_requests(1).remove(0);
    assert_eq!(request.body, b"abcde");
    assert_eq!(request.trailers, [("X-Sum".to_owned(), "5".to_owned())]);
}

#[test]
fn trailers_and_fields_keep_their_order_and_case() {
    let chunked = "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\na: 2\r\n\r\n1\r\nx\r\n0\r\nT-One: 1\r\n\r\n";
    let endpoint = Endpoint::behaving("a", Behaviour::bytes(chunked));

    let answer = client::get(endpoint.address(), "/");

    assert_eq!(answer.headers_named("a"), ["1", "2"]);
    assert_eq!(answer.headers[2].0, "a");
    assert_eq!(answer.trailers, [("T-One".to_owned(), "1".to_owned())]);
    assert_eq!(answer.text(), "x");
}

#[test]
fn interim_answers_are_kept_before_the_final_one() {
    let endpoint = Endpoint::behaving("a", Behaviour::continue_then_echo());
    let mut client = Client::connect(endpoint.address());
    client
        .send("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.one_head().status, 100);
    client.send("ok");
    assert_eq!(client.response().text(), "ok");

    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    endpoint.behave(Behaviour::bytes(hints));
    let answer = client.get("/");

    assert_eq!((answer.status, answer.interim[0].status), (200, 103));
    assert_eq!(answer.interim[0].header("link"), Some("</a>"));
}

#[test]
fn an_upgraded_connection_echoes_until_it_is_finished() {
    let endpoint = Endpoint::behaving("a", Behaviour::upgrade());
    let mut client = Client::connect(endpoint.address());
    let answer = client
        .request("GET / HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(answer.status, 101);
    client.send("\x00\x01");
    assert_eq!(client.read_exact(2), [0, 1]);

    client.finish_sending();

    assert_eq!(client.read_to_end(), (vec![], End::Fin));
}

#[test]
fn a_body_in_pieces_comes_piece_by_piece() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let endpoint = Endpoint::behaving("a", Behaviour::pieces([head, "ab", "cd"]));
    let mut client = Client::connect(endpoint.address());
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().status, 200);
    endpoint.wait_for_written_bytes(0, head.len() as u64);
    assert_eq!(endpoint.written_bytes(0), head.len() as u64);

    endpoint.release();
    assert_eq!(client.read_exact(2), b"ab");
    endpoint.release();
    assert_eq!(client.read_exact(2), b"cd");

    endpoint.behave(Behaviour::paced(
        [head, "ab", "cd"],
        Duration::from_millis(1),
    ));
    assert_eq!(client.get("/").text(), "abcd");
    endpoint.behave(Behaviour::slow(Duration::from_millis(1)));
    assert_eq!(client.get("/").text(), "a");
}

#[test]
fn an_endpoint_that_does_not_read_pushes_back() {
    let endpoint = Endpoint::behaving("a", Behaviour(vec![Step::AwaitRelease, Step::WriteName]));
    let body = "x".repeat(32 << 20);
    let mut client = Client::connect(endpoint.address());
    let sending = std::thread::spawn(move || {
        client.send(post(&body));
        client.response()
    });
    endpoint.wait_for_requests(1);
    assert!(!sending.is_finished(), "32 MiB went into a full pipe");

    endpoint.release();

    assert_eq!(sending.join().unwrap().text(), "a");
    let request = endpoint.wait_for_whole_requests(1).remove(0);
    assert_eq!(request.body.len(), 32 << 20);
}

#[test]
fn a_refusing_address_refuses_and_a_stopped_endpoint_too_until_it_is_back() {
    let refusing = Refusing::start();
    assert!(TcpStream::connect(refusing.address()).is_err());
    let mut endpoint = Endpoint::start("a");
    let mut kept = Client::connect(endpoint.address());
    endpoint.wait_for_connections(1);
    assert_ne!(kept.local_address(), endpoint.address());

    endpoint.stop_listening();

    assert!(TcpStream::connect(endpoint.address()).is_err());
    assert_eq!(kept.get("/").text(), "a", "what is open goes on");
    let address = endpoint.address();
    drop(endpoint);
    let back = Endpoint::start_at("b", address);
    assert_eq!(client::get(back.address(), "/").text(), "b");
}

/// A stand-in for the binary: a shell script that writes what fiel writes.
fn stand_in(script: &str) -> Fiel {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    Fiel::command(command, folder)
}

#[test]
fn the_addresses_are_read_from_the_log() {
    let fiel = stand_in(
        "echo '2026-11-20T11:29:22Z  INFO Listening listener=web address=127.0.0.1:41234' >&2
         echo '2026-11-20T11:29:22Z  INFO Listening listener=\"other\" address=[::1]:41236' >&2
         echo '2026-11-20T11:29:22Z  INFO Admin listening address=127.0.0.1:41235' >&2
         echo '2026-11-20T11:29:22Z  INFO Ready' >&2
         echo '{\"status\":200}'
         exec sleep 60",
    );

    fiel.wait_until_ready();
    assert!(fiel.wait_for_log("Ready").ends_with("INFO Ready"));
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(fiel.address("web"), local(41_234));
    assert_eq!(fiel.address("other").to_string(), "[::1]:41236");
    assert_eq!(fiel.admin(), local(41_235));
    assert_eq!(fiel.wait_for_access_log(1)[0]["status"], 200);
    assert_eq!(fiel.wait_for_logs("INFO", 4), fiel.log());
    assert_eq!(fiel.output().len(), fiel.access_log().len());
}

#[test]
fn a_signal_arrives_and_the_exit_is_seen_with_all_output() {
    let fiel =
        stand_in("trap 'echo drained >&2; exit 7' TERM; echo on >&2; while :; do sleep 0.05; done");
    fiel.wait_for_log("on");
    assert!(fiel.pid() > 0);

    fiel.signal(Signal::TERM);

    assert_eq!(fiel.wait_exit().code(), Some(7));
    assert_eq!(fiel.log(), ["on", "drained"]);
    fiel.signal(Signal::TERM);
}

#[test]
fn the_configuration_is_replaced_by_a_rename() {
    let fiel = Fiel::launch("admin: 1\n");
    assert_eq!(std::fs::read_to_string(fiel.file()).unwrap(), "admin: 1\n");

    fiel.rewrite("admin: 2\n");

    assert_eq!(std::fs::read_to_string(fiel.file()).unwrap(), "admin: 2\n");
    let names = std::fs::read_dir(fiel.folder()).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside it");
}

#[test]
fn what_can_only_be_asked_for_is_asked_until_it_is_there() {
    let mut asked = 0;
    let answer = eventually("the third time", || {
        asked += 1;
        (asked == 3).then_some("there")
    });
    assert_eq!((answer, asked), ("there", 3));
}

#[test]
fn a_client_and_a_server_of_grpc_understand_each_other() {
    let mut server = GrpcServer::start("a");
    grpc::runtime().block_on(async {
        let client = GrpcClient::connect(server.address()).await;
        assert_eq!(client.unary("Name", "x").await.unwrap(), "a");
        assert_eq!(client.unary("Collect", "x").await.unwrap(), "x");
        let (say, said) = grpc::messages();
        say.send(Bytes::from_static(b"one")).await.unwrap();
        let mut answers = client
            .call("Chat", Request::new(said))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(answers.message().await.unwrap().unwrap(), "one");
        say.send(Bytes::from_static(b"two")).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap(), "two");
        drop(say);
        assert_eq!(answers.message().await.unwrap(), None);

        let mut trickle = client
            .call("Trickle", Request::new(grpc::messages().1))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(trickle.message().await.unwrap().unwrap(), "first");
        server.stop();
        assert!(trickle.message().await.is_err());
    });
}
