//! Server-sent events and long polls: each piece arrives before the next is sent, however long the pause, all ways through.

use std::thread;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::{WAYS, before};
use crate::support::websocket::{Http, Octets, Two, run};

const EVENTS: usize = 5;

fn event(number: usize) -> String {
    format!("id: {number}\ndata: tick\n\n")
}

/// Answers one request with an event each time that it is told to, and with a late head at `/poll`.
fn endpoint(http: Http) -> (std::net::SocketAddr, mpsc::Sender<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel(1);
    thread::spawn(move || {
        run(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            match http {
                Http::One => speak1(tcp, told).await,
                Http::Two => speak2(tcp, told).await,
            }
        });
    });
    (address, tell)
}

async fn speak1(tcp: TcpStream, mut told: mpsc::Receiver<()>) {
    let mut tcp = BufReader::new(tcp);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        tcp.read_line(&mut line).await.unwrap();
    }
    told.recv().await.unwrap();
    tcp.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await
    .unwrap();
    let mut number = 0;
    while told.recv().await.is_some() {
        let event = event(number);
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        tcp.write_all(chunk.as_bytes()).await.unwrap();
        number += 1;
    }
    tcp.write_all(b"0\r\n\r\n").await.ok();
}

async fn speak2(tcp: TcpStream, mut told: mpsc::Receiver<()>) {
    let mut connection = h2::server::handshake(tcp).await.unwrap();
    let (_, mut respond) = connection.accept().await.unwrap().unwrap();
    tokio::task::spawn_local(async move { while connection.accept().await.is_some() {} });
    told.recv().await.unwrap();
    let head = http::Response::builder().header("content-type", "text/event-stream");
    let mut body = respond
        .send_response(head.body(()).unwrap(), false)
        .unwrap();
    let mut number = 0;
    while told.recv().await.is_some() {
        body.send_data(Bytes::from(event(number)), false).unwrap();
        number += 1;
    }
    body.send_data(Bytes::new(), true).ok();
}

#[test]
fn each_event_arrives_before_the_next_is_sent() {
    for (near, far) in WAYS {
        let (address, tell) = endpoint(far);
        let fiel = before(address, far, &[]);
        run(async {
            let web = fiel.address("web");
            match near {
                Http::One => {
                    let mut tcp = TcpStream::connect(web).await.unwrap();
                    tcp.write_all(b"GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
                        .await
                        .unwrap();
                    // A long poll: nothing comes for a while, then the head does, before there is a body.
                    tell.send(()).await.unwrap();
                    let mut tcp = BufReader::new(tcp);
                    let mut line = String::new();
                    while line != "\r\n" {
                        line.clear();
                        tcp.read_line(&mut line).await.unwrap();
                    }
                    for number in 0..EVENTS {
                        tell.send(()).await.unwrap();
                        let event = event(number);
                        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                        let mut came = vec![0; chunk.len()];
                        tcp.read_exact(&mut came).await.unwrap();
                        assert_eq!(String::from_utf8_lossy(&came), chunk, "{near:?} {far:?}");
                    }
                }
                Http::Two => {
                    let mut two = Two::connect(web).await;
                    let (answer, ()) = tokio::join!(two.get("/events"), async {
                        tell.send(()).await.unwrap();
                    });
                    let mut body = Octets::reading(answer.into_body());
                    for number in 0..EVENTS {
                        tell.send(()).await.unwrap();
                        let event = event(number);
                        let mut came = vec![0; event.len()];
                        body.read_exact(&mut came).await.unwrap();
                        assert_eq!(String::from_utf8_lossy(&came), event, "{near:?} {far:?}");
                    }
                }
            }
        });
    }
}
