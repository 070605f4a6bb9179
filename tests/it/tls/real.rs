//! What openssl and curl are told where they speak the wrong thing, and that others are served meanwhile.

use std::net::SocketAddr;
use std::process::{Command, Output};

use super::{Site, certificates, secure};
use crate::real::{run, tool};
use crate::support::terms::before;
use crate::support::tls::Authority;
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
