//! Files of pools that change, and configurations that change: connections made under the old ones are used no more.

use std::fs;

use super::Site;
use crate::support::front::{Front, Manner};
use crate::support::tls::{Authority, Pair};
use crate::support::wait::eventually;
use crate::support::{Behaviour, Client, Fiel, Scrape, client};

const RENEWED: &str = "Certificate is renewed";
const STAYS: &str = "Certificate cannot be taken up, the old one stays";

/// A front that wants certificates of clients, and a fiel that has one.
fn mutual(site: &Site, pair: &Pair) -> (Front, Fiel) {
    let entry = pair.put(site.folder.path(), "me");
    let manner = Manner {
        clients: Some(site.authority.pem().to_owned()),
        ..Manner::default()
    };
    let front = Front::behaving(&site.pair, site.endpoint.address(), &manner);
    let tls = format!("{}, {entry}", site.ca());
    let yaml = super::secured(&[front.address().to_string()], &tls, &[]);
    let fiel = Fiel::start(&yaml);
    (front, fiel)
}

fn shown(front: &Front) -> Option<Vec<u8>> {
    front.sessions().pop()?.client
}

#[test]
fn a_renewed_certificate_is_shown_on_new_connections_and_unused_old_ones_are_closed() {
    let site = Site::start();
    let first = site.authority.issue_client("first");
    let (front, fiel) = mutual(&site, &first);
    site.endpoint.behave_at("/slow", Behaviour::stall());
    let mut slow = Client::connect(fiel.address("web"));
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    site.endpoint.wait_for_requests(1);
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
    assert_eq!(shown(&front).as_deref(), Some(&*first.der()));

    let second = site.authority.issue_client("second");
    second.put(site.folder.path(), "me");
    fiel.wait_for_log(RENEWED);

    front.wait_for_goodbyes(1);
    eventually("the new certificate", || {
        assert_eq!(client::get(fiel.address("web"), "/").status, 200);
        (shown(&front)? == second.der()).then_some(())
    });
    // What was under way goes on to its end, and its connection serves nothing after it.
    site.endpoint.release();
    assert_eq!(slow.response().text(), "app");
    front.wait_for_goodbyes(2);
}

#[test]
fn what_is_shown_and_whose_authorities_are_believed_has_its_end_in_the_metrics() {
    let site = Site::start();
    // An authority and the one that takes its place.
    let (old, new) = (Authority::expired("authority"), &site.authority);
    let many: Vec<Authority> = (0..33)
        .map(|number| Authority::new(&number.to_string()))
        .collect();
    let file = |name: &str, text: String| {
        let file = site.folder.path().join(name);
        fs::write(&file, text).unwrap();
        format!("caFile: {}", file.display())
    };
    let both = file("both.crt", format!("{}{}", new.pem(), old.pem()));
    let many = file("many.crt", many.iter().map(Authority::pem).collect());
    let entry = site
        .authority
        .issue_client("me")
        .put(site.folder.path(), "me");
    let mut yaml = site.configured(&format!("{both}, {entry}"), &[]);
    yaml += &format!("  other: {{ endpoints: [\"127.0.0.1:9\"], tls: {{ {many} }} }}\n");
    let site_entry = site.pair.put(site.folder.path(), "site");
    let listener = format!(
        "  - {{ name: secure, bind: 127.0.0.1:0, tls: {{ certificates: [ {{ {site_entry} }} ], clientAuth: {{ {both}, mode: optional }} }} }}\nroutes:"
    );
    let fiel = Fiel::start(&yaml.replace("routes:", &listener));

    let scrape = Scrape::of(&fiel);

    // rcgen's certificates are good until the first day of 4096.
    let end = Some(67_090_118_400.0);
    let authority = "fiel_tls_authority_not_after_timestamp_seconds";
    for series in [
        "fiel_tls_pool_certificate_not_after_timestamp_seconds{pool=\"shop\",name=\"me.example.com\"}",
        &format!("{authority}{{listener=\"none\",pool=\"shop\",name=\"authority\"}}"),
        &format!("{authority}{{listener=\"secure\",pool=\"none\",name=\"authority\"}}"),
    ] {
        assert_eq!(scrape.value(series), end, "{series}\n{}", scrape.text());
    }
    assert!(
        !scrape.text().contains("pool=\"other\",name"),
        "{}",
        scrape.text()
    );
}

#[test]
fn a_broken_pair_is_named_and_the_old_one_stays() {
    let site = Site::start();
    let first = site.authority.issue_client("first");
    let (front, fiel) = mutual(&site, &first);
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);

    let (cert, _) = Pair::paths(site.folder.path(), "me");
    fs::write(&cert, "nonsense").unwrap();

    let line = fiel.wait_for_log(STAYS);
    assert!(line.contains("me.crt"), "{line}");
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
    assert_eq!(shown(&front).as_deref(), Some(&*first.der()));
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let status = client::request(fiel.admin(), request).json();
    let faults = status["config"]["certificateFaults"].to_string();
    assert!(faults.contains("me.crt"), "{faults}");
}

#[test]
fn renewed_authorities_hold_for_new_connections() {
    let site = Site::start();
    let other = Authority::new("other");
    let ca = site.folder.path().join("ca.crt");
    fs::write(&ca, other.pem()).unwrap();
    let fiel = site.fiel();
    assert_eq!(client::get(fiel.address("web"), "/").status, 502);

    fs::write(&ca, format!("{}{}", other.pem(), site.authority.pem())).unwrap();
    fiel.wait_for_log("Authorities for the certificates of endpoints are renewed");

    eventually("the renewed authorities to hold", || {
        (client::get(fiel.address("web"), "/").status == 200).then_some(())
    });
    fiel.wait_for_log("TLS handshake with an endpoint succeeds again");
}

#[test]
fn a_pool_begins_to_speak_tls_with_a_reload() {
    let site = Site::start();
    let secured = site.configured(&site.ca(), &[]);
    let plain: String = secured
        .lines()
        .filter(|line| !line.trim_start().starts_with("tls:"))
        .map(|line| format!("{line}\n"))
        .collect();
    let plain = plain.replace(
        &site.address().to_string(),
        &site.endpoint.address().to_string(),
    );
    let fiel = Fiel::start(&plain);
    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");
    assert_eq!(site.front.sessions().len(), 0);

    fiel.rewrite(&secured);
    fiel.wait_for_log("Configuration is in force");

    assert_eq!(client::get(fiel.address("web"), "/").text(), "app");
    assert_eq!(site.front.sessions().len(), 1);
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let status = client::request(fiel.admin(), request).json();
    let tls = &status["pools"][0]["tls"];
    assert_eq!(tls["verifiedBy"], "caFile", "{status}");
}
