//! Two tries under way at once: the first answer wins, and the other is let go.

use std::net::Ipv4Addr;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::access_log::AccessLog;
use crate::config::model::RouteId;
use crate::control::Endpoints;
use crate::header::forwarded::Scheme;
use crate::metrics::{Metrics, WorkerId};
use crate::pool::Keys;
use crate::snapshot::{Store, build};

#[tokio::test(flavor = "local")]
async fn of_two_tries_under_way_the_first_answer_wins_and_the_other_is_cut() {
    let stalls = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let yaml = format!(
        "accessLog: {{ output: \"off\" }}\nlisteners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools: {{ app: {{ endpoints: [ \"{}\", \"{}\" ] }} }}\n",
        stalls.local_addr().unwrap(),
        answers.local_addr().unwrap(),
    );
    let folder = std::path::Path::new(".");
    let config = crate::config::read(yaml.as_bytes(), "test.yaml", folder, &|_| None)
        .unwrap()
        .config;
    let metrics = Metrics::new(1);
    let log = AccessLog::start(&config.access_log, Arc::clone(&metrics)).unwrap();
    let mut endpoints = Endpoints::new(1);
    endpoints.configure(&config, SystemTime::now());
    let listener = Arc::clone(&config.listeners[0]);
    let first = build::whole(Arc::new(config), &endpoints, &metrics, None);
    let store = Arc::new(Store::new(first, 1));
    let context = Rc::new(WorkerContext::new(
        WorkerId(0),
        store,
        metrics,
        log.handle(),
        7,
    ));
    let client = Rc::new(Client::new(
        listener,
        Some(Ipv4Addr::LOCALHOST.into()),
        Scheme::Http,
    ));
    let now = Instant::now();
    let mut ledger = Ledger::open(&context, now);
    let mut headers = HeaderMap::new();
    headers.insert(http::header::HOST, HeaderValue::from_static("test"));
    let outbound = Outbound {
        method: http::Method::GET,
        target: http::Uri::from_static("/"),
        headers,
        own: crate::header::own::Own::default(),
        websocket: false,
        body: None,
    };
    let view = context.reader.newest();
    let pool = Arc::clone(view.pool(model::PoolId(0)));
    let placing = Placing::new(view, RouteId(0), 0, Keys::default());
    let mut attempts = Attempts::new(&context, &client, placing, outbound);
    for member in pool.members() {
        attempts.try_at(&member.endpoint, &pool, Freshness::Any, &mut ledger, now);
    }
    assert_eq!(attempts.under_way.len(), 2);

    let held = async {
        let (mut held, _) = stalls.accept().await.unwrap();
        let mut heard = Vec::new();
        // Ends when the try that lost lets its connection go.
        held.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let answering = async {
        let (mut socket, _) = answers.accept().await.unwrap();
        assert!(socket.read(&mut [0; 1024]).await.unwrap() > 0);
        socket
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        socket
    };
    let won = std::future::poll_fn(|cx| attempts.poll(cx, &mut ledger));
    let deadline = Duration::from_secs(30);
    let (heard, _socket, won) =
        tokio::time::timeout(deadline, async { tokio::join!(held, answering, won) })
            .await
            .unwrap();

    let won = won.unwrap();
    assert_eq!(won.answer.response.status(), 200);
    assert!(attempts.under_way.is_empty());
    assert_eq!(
        pool.members()[0].endpoint.in_flight(),
        0,
        "the one that lost is counted out"
    );
    assert_eq!(pool.members()[1].endpoint.in_flight(), 1);
    assert!(
        heard.is_empty() || heard.starts_with(b"GET / HTTP/1.1"),
        "{heard:?}"
    );
}
