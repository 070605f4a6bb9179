//! The admin service as a whole: what it shows, what it orders, and over real sockets.

use super::*;

mod orders;
mod scrape;
mod sockets;
mod status;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::HOST;
use http_body_util::{BodyExt as _, Empty};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use crate::change::{Found, ProbeKind, ReloadCause, ReloadOutcome};
use crate::config;
use crate::config::model::{self, Bind};
use crate::control::report::{Rejected, Report, Settled};
use crate::endpoint::{Endpoint, ProbeReport, State};
use crate::metrics::cells::WorkerId;
use crate::phase::Stage;
use crate::pool::{Judged, Roster};
use crate::probe::ProbeResult;
use crate::snapshot::build::{self, Endpoints};
use crate::split::Turn;

const YAML: &str = "
environment: test
zone: a
listeners:
  - { name: web, bind: 127.0.0.1:8080 }
routes:
  - name: shop
    match: { hosts: [shop.example], path: { prefix: /api } }
    split: [ { pool: v1, weight: 99.9 }, { pool: v2, weight: 0.1 } ]
  - name: blog
    match: { path: { prefix: /blog } }
    split: [ { pool: v2 } ]
  - name: ping
    match: { path: { exact: /ping } }
    respond: { body: pong }
pools:
  v1:
    version: 1.8.2
    deployment: { commit: 643217c, by: ignas }
    endpoints:
      - { address: 10.0.0.1:80, weight: 3, zone: b }
      - { address: 10.0.0.2:80, backup: true }
    whenNoneReady: useAll
  v2:
    endpoints: [ '[::1]:80' ]
metrics: { maxEndpoints: 3 }
";

/// Endpoints that are made as they are asked for, ready but where `states` says otherwise.
#[derive(Default)]
struct Fixed {
    states: BTreeMap<SocketAddr, State>,
    made: Mutex<BTreeMap<EndpointKey, Arc<Endpoint>>>,
}

impl Endpoints for Fixed {
    fn roster(&self, pool: &model::Pool) -> Arc<Roster> {
        Arc::new(Roster::new(pool, |_| &[]))
    }

    fn endpoint(&self, key: &EndpointKey) -> Arc<Endpoint> {
        let state = self.states.get(&key.address.ip().unwrap()).copied();
        let mut made = self.made.lock().unwrap();
        let endpoint = made
            .entry(key.clone())
            .or_insert_with(|| endpoint(key.clone(), state.unwrap_or(State::Ready)));
        Arc::clone(endpoint)
    }

    fn judged(&self, _: &model::Pool) -> Judged {
        Judged::Yes
    }
}

fn endpoint(key: EndpointKey, state: State) -> Arc<Endpoint> {
    Arc::new(Endpoint::new(key, state, 1, SystemTime::UNIX_EPOCH))
}

fn key(pool: &str, address: &str) -> EndpointKey {
    EndpointKey {
        pool: pool.into(),
        address: address.parse().unwrap(),
    }
}

/// An admin over [`YAML`], and the end where `control` would stand.
struct House {
    admin: Arc<Admin>,
    changes: mpsc::Receiver<Change>,
}

fn house(tell: impl FnOnce(&mut Report)) -> House {
    house_with(&Fixed::default(), tell)
}

fn house_with(endpoints: &Fixed, tell: impl FnOnce(&mut Report)) -> House {
    let loaded = config::read(YAML.as_bytes(), "t.yaml", Path::new(""), &|_| None);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    let metrics = Metrics::new(1);
    let snapshot = build::whole(Arc::new(loaded.config), endpoints, &metrics, None);
    let mut report = Report {
        hash: loaded.hash,
        loaded_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
        redacted: Arc::new(loaded.redacted),
        last_error: None,
        certificate_faults: Vec::new(),
        restart_needed: Vec::new(),
        bound: BTreeMap::from([("web".into(), Bind::Tcp("127.0.0.1:8080".parse().unwrap()))]),
        leaving: Vec::new(),
        held: BTreeMap::new(),
        names: Arc::default(),
        settled: Settled::Yes,
    };
    tell(&mut report);
    let (sender, changes) = mpsc::channel(8);
    let admin = Arc::new(Admin {
        store: Arc::new(Store::new(snapshot, 1)),
        metrics,
        probes: Arc::default(),
        board: Board::new(report),
        phase: Arc::default(),
        heartbeats: Arc::new(Heartbeats::new(1)),
        changes: sender,
    });
    House { admin, changes }
}

fn open_rules() -> watch::Receiver<Rules> {
    watch::channel(Rules::default()).1
}

fn open() -> Access {
    Access::full(&Bind::Tcp("127.0.0.1:9901".parse().unwrap()), open_rules())
}

fn request(method: &str, path: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "localhost")
        .body(Empty::new())
        .unwrap()
}

async fn ask_with(admin: &Arc<Admin>, access: Access, method: &str, path: &str) -> Reply {
    let service = service(Arc::clone(admin), access);
    service.oneshot(request(method, path)).await.unwrap()
}

async fn ask(admin: &Arc<Admin>, method: &str, path: &str) -> (u16, String) {
    let reply = ask_with(admin, open(), method, path).await;
    (reply.status().as_u16(), text_of(reply).await)
}

/// What was said, whole; only for answers of this module, which are whole before they are sent.
async fn text_of(reply: Reply) -> String {
    let mut body = reply.into_body();
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        let octets = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&octets).unwrap());
    }
    text
}

#[tokio::test]
async fn every_answer_says_what_it_is_and_is_never_kept() {
    let house = house(|_| {});
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/livez", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8"),
        ("/status", "application/json"),
        ("/config", "application/json"),
        ("/nothing", "text/plain; charset=utf-8"),
    ] {
        let reply = ask_with(&house.admin, open(), "GET", path).await;
        let fields = reply.headers();
        assert_eq!(fields["content-type"], content_type, "{path}");
        assert_eq!(fields["cache-control"], "no-store", "{path}");
        assert_eq!(fields["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(fields.contains_key("content-security-policy"), path == "/");
        let text = text_of(reply).await;
        assert!(text.ends_with('\n'), "{path}: {text:?}");
    }
}

#[tokio::test]
async fn the_page_links_to_all_that_is_shown() {
    let house = house(|_| {});
    let (status, page) = ask(&house.admin, "GET", "/").await;
    assert_eq!(status, 200);
    for path in ["/livez", "/readyz", "/metrics", "/status", "/config"] {
        assert!(page.contains(&format!("<a href=\"{path}\">")), "{page}");
    }
    assert!(page.contains("POST /reload"), "{page}");
    assert!(!page.contains("<script"), "{page}");
}

#[tokio::test]
async fn a_wrong_path_or_method_is_told_what_there_is() {
    let house = house(|_| {});
    let (status, text) = ask(&house.admin, "GET", "/nothing").await;
    assert_eq!(status, 404);
    assert!(
        text.contains("/status") && text.contains("/reload"),
        "{text}"
    );

    let reply = ask_with(&house.admin, open(), "DELETE", "/status").await;
    assert_eq!(reply.status(), 405);
    assert_eq!(reply.headers()["allow"], "GET, HEAD");
    let reply = ask_with(&house.admin, open(), "GET", "/reload").await;
    assert_eq!(reply.status(), 405);
    assert_eq!(reply.headers()["allow"], "POST");

    let expected = (404, "not in this version\n".to_owned());
    for path in ["/rollouts", "/autoscale/v1"] {
        assert_eq!(ask(&house.admin, "GET", path).await, expected, "{path}");
    }
}

#[tokio::test]
async fn the_reading_address_shows_health_and_metrics_only() {
    let house = house(|_| {});
    for (method, path, expected) in [
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/livez", 404),
        ("GET", "/", 404),
        ("GET", "/status", 404),
        ("GET", "/config", 404),
        ("POST", "/reload", 404),
        ("GET", "/autoscale/v1", 404),
    ] {
        let access = Access::read_only(open_rules());
        let reply = ask_with(&house.admin, access, method, path).await;
        assert_eq!(reply.status().as_u16(), expected, "{method} {path}");
        let text = text_of(reply).await;
        assert!(
            expected == 200 || !text.contains("/status"),
            "{path}: {text}"
        );
    }
}

#[tokio::test]
async fn readiness_names_every_reason_against_it() {
    let ready = house(|_| {});
    let expected = (200, "ready\n".to_owned());
    assert_eq!(ask(&ready.admin, "GET", "/readyz").await, expected);

    let young = house(|report| {
        report.bound.clear();
        report.settled = Settled::NotYet;
    });
    young.admin.phase.enter(Stage::Delaying);
    let expected =
        "listener web is not bound yet\nfirst verdicts of probes are outstanding\ndraining\n";
    let got = ask(&young.admin, "GET", "/readyz").await;
    assert_eq!(got, (503, expected.to_owned()));
    assert_eq!(ask(&young.admin, "GET", "/livez").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn liveness_fails_when_a_worker_stands_still_for_more_than_15_s() {
    let house = house(|_| {});
    tokio::time::advance(Duration::from_secs(15)).await;
    assert_eq!(ask(&house.admin, "GET", "/livez").await.0, 200);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(ask(&house.admin, "GET", "/livez").await.0, 503);
    house.admin.heartbeats.beat(0);
    assert_eq!(ask(&house.admin, "GET", "/livez").await.0, 200);
}

#[tokio::test]
async fn the_configuration_in_force_is_shown_with_its_defaults() {
    let house = house(|_| {});
    let (status, text) = ask(&house.admin, "GET", "/config").await;
    assert_eq!(status, 200);
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["routes"][0]["name"], "shop");
    assert_eq!(config["shutdown"]["drain"], "25s");
}

#[tokio::test]
async fn an_order_without_the_token_is_challenged_and_told_to_nobody() {
    let mut house = house(|_| {});
    let (_sender, rules) = watch::channel(Rules {
        token: Some(Token::of("secret")),
        hosts: Vec::new(),
    });
    let access = Access::full(&Bind::Tcp("127.0.0.1:9901".parse().unwrap()), rules);
    let reply = ask_with(&house.admin, access, "POST", "/reload").await;
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["www-authenticate"], "Bearer realm=\"fiel\"");
    assert!(house.changes.try_recv().is_err());
}
