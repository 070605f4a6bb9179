//! nginx as an endpoint over TLS, by ALPN, behind the PROXY protocol and at a unix socket; curl as the client that begins so.

use std::fs;
use std::process::Command;

use super::{Nginx, run, tool};
use crate::support::Fiel;
use crate::support::tls::Authority;

fn ask(curl: &str, args: &[&str]) -> String {
    let answer = run(Command::new(curl)
        .args(["-sS", "--max-time", "30"])
        .args(args));
    assert!(answer.status.success(), "curl {args:?}: {answer:?}");
    String::from_utf8(answer.stdout).unwrap()
}

#[test]
fn nginx_is_spoken_to_over_tls_by_what_alpn_settles_and_knows_who_comes() {
    let (Some(curl), Some(nginx)) = (tool("curl"), tool("nginx")) else {
        return;
    };
    let authority = Authority::new("authority");
    let nginx = Nginx::serving(nginx, |folder, address| {
        authority.issue(&["shop.internal"]).put(folder, "site");
        fs::write(folder.join("ca.crt"), authority.pem()).unwrap();
        let folder = folder.display();
        format!(
            "listen {address} ssl http2;
    ssl_certificate {folder}/site.crt; ssl_certificate_key {folder}/site.key;
    ssl_protocols TLSv1.2 TLSv1.3; ssl_client_certificate {folder}/ca.crt; ssl_verify_client on;
    location / {{ default_type text/plain; return 200 \"$server_protocol $ssl_protocol $ssl_client_s_dn\"; }}"
        )
    });
    let folder = nginx.folder.path();
    let me = authority.issue_client("fiel").put(folder, "me");
    let ca = folder.join("ca.crt");
    for (protocol, spoken) in [
        ("http1", "HTTP/1.1"),
        ("http2", "HTTP/2.0"),
        ("auto", "HTTP/2.0"),
    ] {
        let fiel = Fiel::start(&format!(
            "\
admin: {{ bind: 127.0.0.1:0 }}
listeners: [ {{ name: web, bind: 127.0.0.1:0 }} ]
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools:
  app:
    endpoints: [{address}]
    protocol: {protocol}
    tls: {{ caFile: {ca}, serverName: shop.internal, {me} }}
    readinessProbe: {{ httpGet: {{ path: /, scheme: HTTPS, verify: true }}, periodSeconds: 1 }}
",
            address = nginx.address,
            ca = ca.display(),
        ));
        let url = format!("http://{}/", fiel.address("web"));
        for _ in 0..3 {
            let told = ask(curl, &[&url]);
            assert_eq!(
                told,
                format!("{spoken} TLSv1.3 CN=fiel,O=Example"),
                "{protocol}"
            );
        }
    }
}

#[test]
fn the_proxy_protocol_goes_from_curl_through_fiel_to_nginx_at_a_unix_socket() {
    let (Some(curl), Some(nginx)) = (tool("curl"), tool("nginx")) else {
        return;
    };
    let nginx = Nginx::serving(nginx, |folder, address| {
        let folder = folder.display();
        format!(
            "listen {address}; listen unix:{folder}/app.sock proxy_protocol;
    location / {{ default_type text/plain; return 200 \"$proxy_protocol_addr $http_x_forwarded_for\"; }}"
        )
    });
    for version in ["v1", "v2"] {
        let folder = nginx.folder.path().display().to_string();
        let fiel = Fiel::start(&format!(
            "\
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0, proxyProtocol: true }}
  - {{ name: local, bind: \"unix:{folder}/{version}.sock\" }}
routes: [ {{ name: all, split: [ {{ pool: app }} ] }} ]
pools:
  app:
    endpoints: [\"unix:{folder}/app.sock\"]
    proxyProtocol: {version}
"
        ));
        let url = format!("http://{}/", fiel.address("web"));
        let told = ask(curl, &["--haproxy-protocol", &url]);
        assert_eq!(told, "127.0.0.1 127.0.0.1", "{version}");
        // Who speaks without one is refused.
        let answer = run(Command::new(curl).args(["-sS", "--max-time", "30", &url]));
        assert!(!answer.status.success(), "{answer:?}");

        let socket = format!("{folder}/{version}.sock");
        let told = ask(curl, &["--unix-socket", &socket, "http://app/"]);
        assert!(!told.contains("127.0.0.1"), "{version}: {told}");
    }
}
