//! The PROXY protocol towards endpoints.

use super::pool;
use crate::support::client::{Client, End};
use crate::support::front::{Front, Manner};
use crate::support::tls::Authority;
use crate::support::{Endpoint, Fiel, client};

#[test]
fn a_connection_begins_with_who_it_is_for_and_serves_nobody_else() {
    let endpoint = Endpoint::start("app");
    let yaml = pool(&endpoint.address().to_string(), &["proxyProtocol: v1"]);
    let fiel = Fiel::start(&yaml);
    let web = fiel.address("web");

    let mut clients = [Client::connect(web), Client::connect(web)];
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.get("/").text(), "app");
        }
    }

    assert_eq!(endpoint.connections(), 2);
    let requests = endpoint.wait_for_whole_requests(6);
    for (client, request) in clients.iter().zip(&requests) {
        let address = client.local_address();
        let wanted = format!(
            "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}",
            address.port(),
            web.port()
        );
        assert_eq!(request.line(), wanted);
        assert!(request.head.contains("\r\nGET / HTTP/1.1\r\n"));
    }
    for request in &requests[2..] {
        assert_eq!(request.line(), "GET / HTTP/1.1");
    }
    // Whose client has gone is of no use any more.
    drop(clients);
    for connection in 0..2 {
        assert_eq!(endpoint.wait_for_end(connection), End::Fin);
    }
}

#[test]
fn version_2_comes_before_the_handshake() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("authority");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    let endpoint = Endpoint::start("app");
    let manner = Manner {
        told: true,
        ..Manner::default()
    };
    let pair = authority.issue(&["127.0.0.1"]);
    let front = Front::behaving(&pair, endpoint.address(), &manner);
    let tls = format!("tls: {{ caFile: {} }}", ca.display());
    let yaml = pool(&front.address().to_string(), &[&tls, "proxyProtocol: v2"]);
    let fiel = Fiel::start(&yaml);
    let web = fiel.address("web");

    let mut client = Client::connect(web);
    assert_eq!(client.get("/").text(), "app");

    let headers = front.headers();
    let mut wanted = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01".to_vec();
    wanted.extend_from_slice(&client.local_address().port().to_be_bytes());
    wanted.extend_from_slice(&web.port().to_be_bytes());
    assert_eq!(headers, [wanted]);
}

#[test]
fn probes_say_that_they_speak_for_nobody() {
    let endpoint = Endpoint::start("app");
    let probe = "readinessProbe: { httpGet: { path: /ready } }";
    let more = ["proxyProtocol: v1", probe];
    let fiel = Fiel::start(&pool(&endpoint.address().to_string(), &more));
    fiel.wait_for_state(endpoint.address(), "ready", 1);
    let request = &endpoint.wait_for_requests(1)[0];
    assert!(
        request.head.starts_with("PROXY UNKNOWN\r\nGET /ready "),
        "{}",
        request.head
    );
}

#[test]
fn it_begins_and_ends_with_a_reload() {
    let endpoint = Endpoint::start("app");
    let address = endpoint.address().to_string();
    let fiel = Fiel::start(&pool(&address, &[]));
    let mut client = Client::connect(fiel.address("web"));
    let mut first_line = |count: usize| {
        assert_eq!(client.get("/").text(), "app");
        let requests = endpoint.wait_for_whole_requests(count);
        requests[count - 1]
            .line()
            .split(' ')
            .next()
            .map(str::to_owned)
    };
    assert_eq!(first_line(1).as_deref(), Some("GET"));

    fiel.rewrite(&pool(&address, &["proxyProtocol: v1"]));
    fiel.wait_for_logs("Configuration is in force", 1);
    assert_eq!(first_line(2).as_deref(), Some("PROXY"));
    assert_eq!(first_line(3).as_deref(), Some("GET"));

    fiel.rewrite(&pool(&address, &["proxyProtocol: off"]));
    fiel.wait_for_logs("Configuration is in force", 2);
    assert_eq!(first_line(4).as_deref(), Some("GET"));
    let connections: Vec<usize> = endpoint
        .requests()
        .iter()
        .map(|one| one.connection)
        .collect();
    assert_eq!(connections, [0, 1, 1, 2]);
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
}
