//! Real sockets and raw octets.

use super::*;

fn listening() -> (AsyncFd<Listening>, SocketAddr) {
    let any = Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (listener, bound) = bind(&any, None).unwrap();
    (listener, bound.tcp().unwrap())
}

/// Sends octets to a real admin address and reads until it closes.
async fn over_a_socket(octets: &[u8]) -> String {
    let house = house(|_| {});
    let (listener, address) = listening();
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, house.admin, open(), ended));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    end.send(()).unwrap();
    serving.await.unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn head_has_the_length_and_not_the_body() {
    let said = over_a_socket(
        b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )
    .await;
    let (head, rest) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(head.contains("content-length: 6"), "{said}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(rest.ends_with("\r\n\r\nalive\n"), "{said}");
}

#[tokio::test]
async fn octets_that_are_no_request_end_their_connection_only() {
    for octets in [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n".as_slice(),
        b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
        b"GET /%ff%zz/../pools HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        let said = over_a_socket(octets).await;
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 4"),
            "{octets:?}: {said}"
        );
    }
}

#[tokio::test]
async fn the_end_closes_unused_connections_at_once() {
    let house = house(|_| {});
    let (listener, address) = listening();
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve(listener, house.admin, open(), ended));
    let mut used = TcpStream::connect(address).await.unwrap();
    used.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    used.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");

    let start = tokio::time::Instant::now();
    end.send(()).unwrap();
    serving.await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(900));
    let mut rest = Vec::new();
    used.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"alive\n"), "{rest:?}");
    assert!(TcpStream::connect(address).await.is_err());
}
