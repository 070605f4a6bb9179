//! The prober on its thread, against real endpoints.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::change::{EndpointKey, Finding, ProbeKind, Verdict};
use crate::config::model::{Probe, ProbeAction, ProbeScheme};
use crate::endpoint::{Endpoint, State};

fn target(pool: &str, address: SocketAddr) -> Target {
    let key = EndpointKey {
        pool: pool.into(),
        address: address.into(),
    };
    let probe = Probe {
        action: ProbeAction::HttpGet {
            host: None,
            port: None,
            path: "/ready".into(),
            headers: Vec::new(),
            scheme: ProbeScheme::Http,
        },
        initial_delay: Duration::ZERO,
        period: Duration::from_millis(20),
        timeout: Duration::from_secs(20),
        success_threshold: NonZeroU32::MIN,
        failure_threshold: NonZeroU32::MIN,
    };
    Target {
        endpoint: Arc::new(Endpoint::new(key, State::Unready, 1, SystemTime::now())),
        startup: None,
        readiness: Some(Arc::new(probe)),
        liveness: None,
        secure: None,
        proxy_protocol: None,
    }
}

async fn next(changes: &mut mpsc::Receiver<Change>) -> Verdict {
    let net = Duration::from_secs(30);
    let change = tokio::time::timeout(net, changes.recv()).await;
    let Change::Verdict(verdict) = change.expect("a verdict in time").expect("a prober") else {
        panic!("only verdicts are told");
    };
    verdict
}

#[tokio::test]
async fn verdicts_follow_what_an_endpoint_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        for status in [503, 200, 503] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let (tell, mut changes) = mpsc::channel(16);
    let counts = Arc::new(Counts::new());
    let prober = Prober::start(tell, Arc::clone(&counts), 1).unwrap();
    let target = target("shop", address);
    prober.follow(Plan {
        targets: vec![target.clone()],
    });

    let expected = [
        (Finding::Failing, "HTTP 503"),
        (Finding::Passing, "HTTP 200"),
        (Finding::Failing, "HTTP 503"),
    ];
    for (finding, reason) in expected {
        let verdict = next(&mut changes).await;
        assert_eq!(verdict.endpoint, *target.endpoint.key());
        assert_eq!(verdict.probe, ProbeKind::Readiness);
        assert_eq!((verdict.finding, &*verdict.reason), (finding, reason));
    }
    serving.await.unwrap();
    assert!(prober.is_running());
    let series = counts.series();
    let count = |result| -> u64 { series[0].tally.of(result).read().count() };
    assert_eq!(count(ProbeResult::Success), 1);
    assert!(count(ProbeResult::Failure) >= 2);
}

#[tokio::test]
async fn dropping_the_handle_ends_the_thread_and_what_is_in_flight() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target("shop", listener.local_addr().unwrap());
    let (tell, mut changes) = mpsc::channel(16);
    let prober = Prober::start(tell, Arc::default(), 1).unwrap();
    prober.follow(Plan {
        targets: vec![target],
    });
    let (mut stream, _) = listener.accept().await.unwrap();
    drop(prober);
    assert!(changes.recv().await.is_none());
    let mut rest = Vec::new();
    // Closed, in whatever way.
    drop(stream.read_to_end(&mut rest).await);
}
