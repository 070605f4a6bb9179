//! TLS by tools that were not written for fiel, openssl, curl, nghttp and h2load: what they agree on, and what they are told where
//! they speak the wrong thing, while others are served.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::{Site, certificates, secure};
use crate::real::{run, tool};
use crate::support::terms::before;
use crate::support::tls::{Authority, Pair};
use crate::support::{Endpoint, Fiel, Scrape};

fn s_client(openssl: &str, address: SocketAddr, more: &[&str]) -> Output {
    let address = address.to_string();
    let mut command = Command::new(openssl);
    command.args([
        "s_client",
        "-connect",
        &address,
        "-servername",
        "site.example",
    ]);
    run(command.args(more))
}

fn ask(curl: &str, url: &str) -> Output {
    run(Command::new(curl).args(["-sSk", "--max-time", "30", "-w", " %{http_code}", url]))
}

fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{err}")
}

fn refused(fiel: &Fiel, reason: &str, count: f64) {
    let series = format!("fiel_connections_refused_total{{listener=\"web\",reason=\"{reason}\"}}");
    Scrape::wait_for(fiel, &[(&series, count)]);
    let told = |line: &&String| line.contains("Connection refused");
    assert_eq!(fiel.log().iter().filter(told).count(), 1);
}

#[test]
fn who_speaks_the_wrong_protocol_to_a_port_of_tls_is_told_so() {
    let (Some(openssl), Some(curl)) = (tool("openssl"), tool("curl")) else {
        return;
    };
    let site = Site::start();
    let (clear, secure) = (
        format!("http://{}/", site.address()),
        format!("https://{}/", site.address()),
    );
    for _ in 0..3 {
        let answer = said(&ask(curl, &clear));
        assert!(
            answer.contains("use https") && answer.contains(" 400"),
            "{answer}"
        );
    }
    refused(&site.fiel, "plaintext", 3.0);
    let answer = s_client(openssl, site.address(), &["-alpn", "gopher"]);
    let told = said(&answer);
    assert!(
        told.to_lowercase().contains("no application protocol"),
        "{told}"
    );
    let answer = s_client(openssl, site.address(), &["-alpn", "gopher,http/1.1"]);
    let told = said(&answer);
    assert!(told.contains("ALPN protocol: http/1.1"), "{told}");
    let answer = s_client(
        openssl,
        site.address(),
        &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
    );
    assert!(!answer.status.success(), "{}", said(&answer));
    assert_eq!(said(&ask(curl, &secure)), "app 200");
}

#[test]
fn tls_to_a_port_in_the_clear_ends_at_once() {
    let (Some(openssl), Some(curl)) = (tool("openssl"), tool("curl")) else {
        return;
    };
    let endpoint = Endpoint::start("app");
    let fiel = before(&endpoint);
    let address = fiel.address("web");
    assert!(!ask(curl, &format!("https://{address}/")).status.success());
    let answer = s_client(openssl, address, &[]);
    assert!(!answer.status.success(), "{}", said(&answer));
    refused(&fiel, "tls", 2.0);
    assert_eq!(said(&ask(curl, &format!("http://{address}/"))), "app 200");
}

#[test]
fn who_verifies_tells_what_is_wrong_with_the_certificate() {
    let Some(openssl) = tool("openssl") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let authority = Authority::expired("authority");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, authority.pem()).unwrap();
    let entry = authority
        .issue(&["site.example"])
        .put(folder.path(), "site");
    let fiel = Fiel::start(&secure(&certificates(&[entry]), endpoint.address()));
    let ca = ca.to_str().unwrap();
    let verify = ["-CAfile", ca, "-verify_return_error"];

    let answer = s_client(openssl, fiel.address("web"), &verify);

    assert!(!answer.status.success());
    assert!(
        said(&answer).contains("certificate has expired"),
        "{}",
        said(&answer)
    );
    let failed = "fiel_tls_handshakes_total{listener=\"web\",result=\"failed\"}";
    Scrape::wait_for(&fiel, &[(failed, 1.0)]);
    assert!(s_client(openssl, fiel.address("web"), &[]).status.success());
}

/// What openssl says when it asks for `/` and reads to the end.
fn asking(openssl: &str, address: SocketAddr, more: &[&str]) -> String {
    let mut child = Command::new(openssl)
        .args(["s_client", "-ign_eof", "-servername", "site.example"])
        .args(["-connect", &address.to_string()])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ask = "GET / HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\n\r\n";
    // Who is refused may not read it.
    let mut stdin = child.stdin.take().expect("it was asked for");
    stdin.write_all(ask.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    drop(stdin);
    said(&output)
}

#[test]
fn openssl_takes_sessions_up_again_and_is_shown_what_is_stapled() {
    let Some(openssl) = tool("openssl") else {
        return;
    };
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
    let file = folder.path().join("session");
    let file = file.to_str().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let args = [version, "-alpn", "http/1.1", "-status", "-sess_out", file];
        let first = asking(openssl, fiel.address("web"), &args);
        assert!(first.contains("\nNew, TLSv1."), "{first}");
        assert!(
            first.contains("OCSP Response Status: successful"),
            "{first}"
        );
        let args = [version, "-alpn", "http/1.1", "-sess_in", file];
        let again = asking(openssl, fiel.address("web"), &args);
        assert!(again.contains("\nReused, TLSv1."), "{again}");
        assert!(again.contains("HTTP/1.1 200 OK"), "{again}");
    }
    let resumed = "fiel_tls_handshakes_total{listener=\"web\",result=\"resumed\"}";
    Scrape::wait_for(&fiel, &[(resumed, 2.0)]);
}

#[test]
fn openssl_is_let_in_by_a_good_certificate_and_told_what_is_wrong_with_others() {
    let Some(openssl) = tool("openssl") else {
        return;
    };
    let (old, good) = (
        Authority::expired("old-authority"),
        Authority::new("authority"),
    );
    let site = Site::with(|folder, _| {
        let ca = folder.join("ca.crt");
        std::fs::write(&ca, format!("{}{}", old.pem(), good.pem())).unwrap();
        format!(
            ", clientAuth: {{ caFile: {}, mode: require }}",
            ca.display()
        )
    });
    let stranger = Authority::new("stranger");
    let visit = |pair: &Pair, name: &str| {
        pair.put(site.folder.path(), name);
        let (cert, key) = Pair::paths(site.folder.path(), name);
        let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
        asking(openssl, site.address(), &["-cert", cert, "-key", key])
    };

    let told = visit(&good.issue_client("alice"), "good");
    assert!(told.contains("HTTP/1.1 200 OK"), "{told}");
    // RFC 8446 §6.2
    let told = visit(&old.issue_client("alice"), "old");
    assert!(told.contains("alert number 45"), "{told}");
    let told = visit(&stranger.issue_client("alice"), "stranger");
    assert!(told.contains("alert number 48"), "{told}");
    let told = asking(openssl, site.address(), &[]);
    assert!(told.contains("alert number 116"), "{told}");
    assert_eq!(site.endpoint.requests().len(), 1);
}

#[test]
fn curl_verifies_shows_its_own_certificate_and_speaks_what_alpn_settles() {
    let Some(curl) = tool("curl") else { return };
    let site = Site::with(|folder, authority| {
        let ca = folder.join("ca.crt");
        std::fs::write(&ca, authority.pem()).unwrap();
        format!(
            ", clientAuth: {{ caFile: {}, mode: require }}",
            ca.display()
        )
    });
    site.authority
        .issue_client("alice")
        .put(site.folder.path(), "alice");
    let file = |name: &str| site.folder.path().join(name).display().to_string();
    let port = site.address().port();
    for (how, version) in [
        ("--http1.1", "1.1"),
        ("--http2", "2"),
        ("--tls-max=1.2", "2"),
    ] {
        let answer = run(Command::new(curl)
            .args(["-sS", "--max-time", "30", "-w", " %{http_version}"])
            .args(how.split('='))
            .args(["--resolve", &format!("site.example:{port}:127.0.0.1")])
            .args(["--cacert", &file("ca.crt"), "--cert", &file("alice.crt")])
            .args(["--key", &file("alice.key")])
            .arg(format!("https://site.example:{port}/")));
        assert_eq!(said(&answer), format!("app {version}"), "{how}");
    }
    let told = site.endpoint.requests()[0].header("x-forwarded-client-cert");
    assert!(told.unwrap().contains("CN=alice,O=Example"));
}

#[test]
fn nghttp_and_h2load_speak_http_2_over_tls() {
    let (Some(nghttp), Some(h2load)) = (tool("nghttp"), tool("h2load")) else {
        return;
    };
    let site = Site::start();
    let url = format!("https://{}/", site.address());
    let answer = run(Command::new(nghttp).args(["-v", "--no-dep", "--no-verify-peer", &url, &url]));
    let told = said(&answer);
    assert!(answer.status.success(), "{told}");
    assert!(told.contains("The negotiated protocol: h2"), "{told}");
    assert!(told.contains(":status: 200"), "{told}");
    let load = ["-n", "500", "-c", "5", "-m", "10", &url];
    let told = said(&run(Command::new(h2load).args(load)));
    assert!(told.contains("Application protocol: h2"), "{told}");
    assert!(told.contains("500 succeeded, 0 failed"), "{told}");
}
