//! TLS to clients: versions, certificates and who gets which, sessions, client certificates, files that change, limits.

mod clients;
mod files;
mod limits;
mod names;
mod real;
mod sessions;

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::support::tls::{Authority, Pair, TlsClient};
use crate::support::{Behaviour, Endpoint, Fiel, Scrape};

/// A listener `web` with this as its `tls`, and a route to this endpoint.
fn secure(tls: &str, endpoint: SocketAddr) -> String {
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - name: web
    bind: 127.0.0.1:0
    limits: {{ handshakeTimeout: 20s }}
    tls: {{ {tls} }}
routes:
  - name: all
    split: [ {{ pool: app }} ]
pools:
  app:
    endpoints: [{endpoint}]
"
    )
}

/// The entries of `certificates`.
fn certificates(entries: &[String]) -> String {
    let entries: Vec<String> = entries.iter().map(|one| format!("{{ {one} }}")).collect();
    format!("certificates: [ {} ]", entries.join(", "))
}

/// A listener with one certificate for `site.example`.
struct Site {
    endpoint: Endpoint,
    fiel: Fiel,
    folder: TempDir,
    authority: Authority,
    pair: Pair,
}

impl Site {
    fn start() -> Self {
        Self::with(|_, _| String::new())
    }

    /// With more of `tls`.
    fn with(more: impl FnOnce(&Path, &Authority) -> String) -> Self {
        let endpoint = Endpoint::start("app");
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("authority");
        let pair = authority.issue(&["site.example"]);
        let entry = pair.put(folder.path(), "site");
        let more = more(folder.path(), &authority);
        let tls = format!("{}{more}", certificates(&[entry]));
        let fiel = Fiel::start(&secure(&tls, endpoint.address()));
        Self {
            endpoint,
            fiel,
            folder,
            authority,
            pair,
        }
    }

    fn address(&self) -> SocketAddr {
        self.fiel.address("web")
    }
}

#[test]
fn a_request_over_tls_goes_to_the_endpoint_as_https() {
    let site = Site::start();
    let mut secure = TlsClient::new().connect(site.address(), "site.example");

    assert_eq!(secure.get("site.example", "/a").text(), "app");
    assert_eq!(secure.get("site.example", "/b").text(), "app");

    let received = &site.endpoint.wait_for_whole_requests(2)[1];
    assert_eq!(
        received.header("x-forwarded-proto").as_deref(),
        Some("https")
    );
    assert_eq!(received.header("x-forwarded-client-cert"), None);
    let session = secure.session();
    assert_eq!(
        session.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
    assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    let group = session.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
}

#[test]
fn version_1_2_is_spoken_unless_it_is_ruled_out() {
    let site = Site::start();
    let old = TlsClient::of_version(&rustls::version::TLS12);
    let answer = old.try_get(site.address(), "site.example").unwrap();
    assert_eq!(answer.status, 200);

    let site = Site::with(|_, _| ", minVersion: \"1.3\"".to_owned());
    let refused = old.try_get(site.address(), "site.example").unwrap_err();
    assert!(refused.contains("ProtocolVersion"), "{refused}");
    let new = TlsClient::new().try_get(site.address(), "site.example");
    assert_eq!(new.unwrap().status, 200);
}

#[test]
fn bodies_go_both_ways_whole() {
    let body: Vec<u8> = (0_u8..251).cycle().take(3_000_000).collect();
    let message = |first: &str| {
        let length = body.len();
        let head = format!("{first}\r\nHost: site.example\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &body].concat()
    };
    for version in rustls::ALL_VERSIONS {
        let site = Site::start();
        let answer = Behaviour::bytes(message("HTTP/1.1 200 OK"));
        site.endpoint.behave_at("/down", answer);
        let mut secure = TlsClient::of_version(version).connect(site.address(), "site.example");

        let up = secure.request(message("POST /up HTTP/1.1")).unwrap();
        let down = secure.get("site.example", "/down");

        assert_eq!((up.status, down.status), (200, 200));
        assert!(site.endpoint.requests_to("/up")[0].body == body);
        assert!(down.body == body, "{} octets", down.body.len());
    }
}

#[test]
fn requests_that_come_in_one_record_are_all_answered() {
    let site = Site::start();
    let mut secure = TlsClient::new().connect(site.address(), "site.example");
    // More than is read at once, so that the rest lies decrypted where no notice tells of it.
    let one = |at: usize| format!("GET /{at} HTTP/1.1\r\nHost: site.example\r\n\r\n");
    let all: String = (1..300).map(one).collect();
    assert!(all.len() > 8 << 10 && all.len() < 16 << 10);
    let first = secure.request(all).unwrap();
    assert_eq!(first.text(), "app");
    for _ in 2..300 {
        assert_eq!(secure.request("").unwrap().text(), "app");
    }
    assert_eq!(site.endpoint.requests().len(), 299);
}

#[test]
fn a_client_that_leaves_cancels_what_it_waits_for() {
    use std::io::Write as _;
    let site = Site::start();
    site.endpoint.behave(Behaviour::stall());
    for (round, is_polite) in [true, false].into_iter().enumerate() {
        let mut secure = TlsClient::new().connect(site.address(), "site.example");
        let stream = secure.stream().get_mut();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n")
            .unwrap();
        site.endpoint.wait_for_requests(round + 1);
        if is_polite {
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        } else {
            drop(secure);
        }
        site.endpoint.wait_for_end(round);
        let log = site.fiel.wait_for_access_log(round + 1);
        assert_eq!(log[round]["status"], 499, "{}", log[round]);
    }
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    use std::io::Write as _;
    let endpoint = Endpoint::start("app");
    let body = vec![b'x'; 40 << 20];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    endpoint.behave(Behaviour::bytes([head.as_bytes(), &body].concat()));
    let folder = tempfile::tempdir().unwrap();
    let pair = Authority::new("authority").issue(&["site.example"]);
    let text = secure(
        &certificates(&[pair.put(folder.path(), "site")]),
        endpoint.address(),
    );
    let idle = "pool: app } ]\n    timeouts: { idle: 300ms }\n";
    let fiel = Fiel::start(&text.replace("pool: app } ]\n", idle));
    let mut client = TlsClient::new().connect(fiel.address("web"), "site.example");
    let ask = b"GET / HTTP/1.1\r\nHost: site.example\r\n\r\n";
    client.stream().get_mut().write_all(ask).unwrap();

    let log = fiel.wait_for_access_log(1);

    assert!(
        log[0]["bytes_out"].as_u64().unwrap() < 40 << 20,
        "{}",
        log[0]
    );
    endpoint.wait_for_end(0);
}

#[test]
fn a_tunnel_goes_through_a_session() {
    use std::io::{Read as _, Write as _};
    let site = Site::start();
    site.endpoint.behave(Behaviour::upgrade());
    let mut secure = TlsClient::new().connect(site.address(), "site.example");
    let stream = secure.stream();
    let ask =
        "GET / HTTP/1.1\r\nHost: site.example\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
    stream.get_mut().write_all(ask.as_bytes()).unwrap();
    let head = std::io::BufRead::lines(&mut *stream).map_while(Result::ok);
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    assert!(head[0].contains(" 101 "), "{head:?}");
    for round in 0..3 {
        let text = format!("ping {round}");
        stream.get_mut().write_all(text.as_bytes()).unwrap();
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, text.as_bytes());
    }
}

#[test]
fn the_end_of_a_body_that_ends_with_its_connection_is_said() {
    let site = Site::start();
    let mut secure = TlsClient::new().connect(site.address(), "site.example");
    // A session that ends without `close_notify` would be an error here.
    let answer = secure.request("GET / HTTP/1.0\r\nHost: site.example\r\n\r\n");
    assert_eq!(answer.unwrap().text(), "app");
}

#[test]
fn the_end_of_a_certificate_is_a_metric() {
    let site = Site::start();
    let scrape = Scrape::of(&site.fiel);
    let series =
        "fiel_tls_certificate_not_after_timestamp_seconds{listener=\"web\",name=\"site.example\"}";
    // rcgen's certificates are good until the first day of 4096.
    assert_eq!(
        scrape.value(series),
        Some(67_090_118_400.0),
        "{}",
        scrape.text()
    );
}

#[test]
fn an_ocsp_response_is_stapled() {
    let ocsp = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/tls/site.ocsp");
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let pair = Authority::new("authority").issue(&["site.example"]);
    let entry = format!(
        "{}, ocspFile: {}",
        pair.put(folder.path(), "site"),
        ocsp.display()
    );
    let fiel = Fiel::start(&secure(&certificates(&[entry]), endpoint.address()));

    let client = TlsClient::new();
    client.connect(fiel.address("web"), "site.example");

    assert_eq!(client.shown().1, std::fs::read(ocsp).unwrap());
}
