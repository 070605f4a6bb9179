//! What a listener speaks, changed by a reload: for those who come later, while those who are there go on; and calls that a
//! reload finds under way.

use bytes::Bytes;
use serde_json::Value;
use tonic::Request;
use tonic::codegen::tokio_stream::StreamExt as _;

use super::IN_FORCE;
use crate::support::grpc::{GrpcClient, GrpcServer, messages, runtime};
use crate::support::terms::Terms;
use crate::support::tls::{Authority, TlsClient};
use crate::support::{Client, Endpoint, Fiel, Scrape, client, yaml};

fn with(listener: &str, endpoint: &Endpoint) -> String {
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let plain = "bind: 127.0.0.1:0\nroutes";
    assert!(text.contains(plain), "{text}");
    text.replace(plain, &format!("bind: 127.0.0.1:0{listener}\nroutes"))
}

fn listener(fiel: &Fiel) -> Value {
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client::request(fiel.admin(), request).json()["listeners"][0].clone()
}

#[test]
fn a_listener_begins_and_ceases_to_speak_tls_with_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let pair = Authority::new("authority").issue(&["site.example"]);
    let entry = pair.put(folder.path(), "site");
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&with("", &endpoint));
    let address = fiel.address("web");
    let mut open = Client::connect(address);
    assert_eq!(open.get("/").text(), "a");
    assert_eq!(listener(&fiel).get("certificates"), None);

    let tls = format!("\n    tls: {{ certificates: [ {{ {entry} }} ], minVersion: \"1.3\" }}");
    fiel.rewrite(&with(&tls, &endpoint));
    fiel.wait_for_logs(IN_FORCE, 1);

    assert_eq!(client::get(address, "/").status, 400);
    let secure = TlsClient::new();
    let mut later = secure.connect(address, "site.example");
    assert_eq!(later.get("site.example", "/").text(), "a");
    assert_eq!(open.get("/").text(), "a");
    let shown = listener(&fiel);
    assert_eq!(shown["certificates"][0]["name"], "site.example", "{shown}");
    assert_eq!(shown["minVersion"], "1.3", "{shown}");
    let series =
        "fiel_tls_certificate_not_after_timestamp_seconds{listener=\"web\",name=\"site.example\"}";
    assert!(Scrape::of(&fiel).value(series).is_some());

    fiel.rewrite(&with("", &endpoint));
    fiel.wait_for_logs(IN_FORCE, 2);

    assert_eq!(client::get(address, "/").text(), "a");
    assert!(secure.try_connect(address, "site.example").is_err());
    assert_eq!(later.get("site.example", "/").text(), "a");
    assert_eq!(listener(&fiel).get("certificates"), None);
    assert_eq!(Scrape::of(&fiel).value(series), None);
}

#[test]
fn a_listener_takes_up_the_proxy_protocol_with_a_reload() {
    let endpoint = Endpoint::start("a");
    let fiel = Fiel::start(&with("", &endpoint));
    let address = fiel.address("web");
    let mut open = Client::connect(address);
    assert_eq!(open.get("/").text(), "a");
    assert_eq!(listener(&fiel)["proxyProtocol"], "nobody");

    fiel.rewrite(&with("\n    proxyProtocol: true", &endpoint));
    fiel.wait_for_logs(IN_FORCE, 1);

    let told = "PROXY TCP4 192.0.2.9 10.0.0.1 256 80\r\nGET /told HTTP/1.1\r\nHost: test\r\n\r\n";
    assert_eq!(client::request(address, told).text(), "a");
    let request = &endpoint.requests_to("/told")[0];
    let forwarded = request.header("x-forwarded-for");
    assert_eq!(forwarded.as_deref(), Some("192.0.2.9"));
    let mut without = Client::connect(address);
    without.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(without.read_to_end().0, b"");
    let refused =
        "fiel_connections_refused_total{listener=\"web\",reason=\"proxy_header_missing\"}";
    Scrape::wait_for(&fiel, &[(refused, 1.0)]);
    assert_eq!(open.get("/").text(), "a");
    assert_eq!(listener(&fiel)["proxyProtocol"], "everybody");
}

#[test]
fn a_call_that_is_under_way_goes_on_over_a_reload() {
    let server = GrpcServer::start("a");
    let other = Endpoint::start("other");
    let terms = Terms {
        pool: &["protocol: http2"],
        ..Terms::default()
    };
    let fiel = terms.before_all(&[server.address()]);
    let address = fiel.address("web");
    runtime().block_on(async {
        let client = GrpcClient::connect(address).await;
        let (say, said) = messages();
        say.send(Bytes::from("before")).await.unwrap();
        let call = client.call("Chat", Request::new(said)).await;
        let mut answers = call.unwrap().into_inner();
        assert_eq!(answers.next().await.unwrap().unwrap(), "before");

        let text = yaml::shop(&[("shop", "1", &[other.address()])]);
        fiel.rewrite(&format!("workers: 1\n{text}"));
        fiel.wait_for_logs(IN_FORCE, 1);

        say.send(Bytes::from("behind")).await.unwrap();
        assert_eq!(answers.next().await.unwrap().unwrap(), "behind");
        drop(say);
        assert!(answers.next().await.is_none());
    });
    let series = "fiel_grpc_responses_total{route=\"shop\",pool=\"shop\",grpc_status=\"0\"}";
    Scrape::wait_for(&fiel, &[(series, 1.0)]);
}
