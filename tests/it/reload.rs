//! Chapter 2, "Reload": how a change of the file is noticed, what it changes, and what it leaves alone.

mod files;
mod listeners;
mod load;
mod pools;
mod protocols;

use std::net::SocketAddr;

use rustix::process::Signal;

use crate::support::{Endpoint, Fiel, client, yaml};

const IN_FORCE: &str = "Configuration is in force";
const UNCHANGED: &str = "Configuration is unchanged";
const WAITING: &str = "Keys keep their old values";
const REJECTED: &str = "Configuration rejected";

/// A configuration whose only route answers everything by itself, with this.
fn answering(text: &str) -> String {
    format!(
        "\
admin: {{ bind: 127.0.0.1:0 }}
listeners:
  - {{ name: web, bind: 127.0.0.1:0 }}
routes:
  - name: all
    respond: {{ status: 200, body: \"{text}\" }}
pools:
  unused: {{ endpoints: [127.0.0.1:9] }}
"
    )
}

/// A configuration with one pool of one endpoint, and another listener.
fn two_listeners(endpoint: SocketAddr, second: &str, bind: &str) -> String {
    let text = yaml::shop(&[("a", "1", &[endpoint])]);
    let first = "bind: 127.0.0.1:0\nroutes";
    let both = format!("bind: 127.0.0.1:0\n  - {{ name: {second}, bind: \"{bind}\" }}\nroutes");
    assert!(text.contains(first), "{text}");
    text.replace(first, &both)
}

/// Renames a configuration over the file and waits until it is in force, as the `count`th.
fn reload(fiel: &Fiel, text: &str, count: usize) {
    fiel.rewrite(text);
    fiel.wait_for_logs(IN_FORCE, count);
}

#[test]
fn a_signal_reloads_what_the_file_says() {
    let fiel = Fiel::start(&answering("one"));
    fiel.signal(Signal::HUP);
    fiel.wait_for_log(UNCHANGED);

    reload(&fiel, &answering("two"), 1);
    fiel.signal(Signal::HUP);

    fiel.wait_for_logs(UNCHANGED, 2);
    assert_eq!(client::get(fiel.address("web"), "/").text(), "two");
}

#[test]
fn what_means_the_same_is_unchanged() {
    let fiel = Fiel::start(&answering("one"));

    fiel.rewrite(&format!("# a comment\n{}", answering("one")));

    fiel.wait_for_log(UNCHANGED);
    assert_eq!(
        fiel.log().iter().filter(|l| l.contains(IN_FORCE)).count(),
        0
    );
}

#[test]
fn a_wrong_configuration_changes_nothing_and_is_reported_whole_and_the_next_right_one_is_taken() {
    let endpoint = Endpoint::start("a");
    let right = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&right);
    let mut client = client::Client::connect(fiel.address("web"));
    assert_eq!(client.get("/").text(), "a");

    fiel.rewrite(
        &right
            .replace("weight: 1", "weight: -1")
            .replace("shop", "shop\n    retyr: {}"),
    );

    let line = fiel.wait_for_log(REJECTED);
    for part in ["fiel.yaml:", "-1", "retyr", "retry", "ERROR"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    assert_eq!(client.get("/").text(), "a");

    fiel.rewrite("no: [yaml");
    fiel.wait_for_logs(REJECTED, 2);
    assert_eq!(client.get("/").text(), "a");

    reload(&fiel, &right.replace("name: shop", "name: shop-front"), 1);
    assert_eq!(client.get("/").text(), "a");
    assert_eq!(endpoint.connections(), 1);
    let routes: Vec<_> = fiel
        .wait_for_access_log(4)
        .iter()
        .map(|line| line["route"].clone())
        .collect();
    assert_eq!(routes, ["shop", "shop", "shop", "shop-front"]);
}

#[test]
fn keys_that_need_a_restart_are_named_and_the_rest_is_applied() {
    let fiel = Fiel::start(&format!("{}workers: 2\n", answering("one")));

    let rewrite = |text: &str, workers: usize| {
        fiel.rewrite(&format!("{}workers: {workers}\n", answering(text)));
    };

    rewrite("two", 1);
    let line = fiel.wait_for_log(WAITING);
    assert!(line.contains("workers"), "{line}");
    assert_eq!(client::get(fiel.address("web"), "/").text(), "two");

    // Nothing else differs, which is no reason to keep silent.
    rewrite("two", 3);
    fiel.wait_for_logs(WAITING, 2);

    // The old value is what runs.
    rewrite("three", 2);
    fiel.wait_for_logs(IN_FORCE, 2);
    rewrite("four", 2);
    fiel.wait_for_logs(IN_FORCE, 3);
    assert_eq!(fiel.wait_for_logs(WAITING, 2).len(), 2);
}

#[test]
fn doubts_about_a_configuration_are_logged_when_it_is_reloaded() {
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&text);

    reload(
        &fiel,
        &format!(
            "{text}  unused: {{ endpoints: [{}] }}\n",
            endpoint.address()
        ),
        1,
    );

    let line = fiel.wait_for_log("Configuration is doubtful");
    assert!(line.contains("unused"), "{line}");
}
