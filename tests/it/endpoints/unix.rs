//! Unix sockets as endpoints.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::pool;
use crate::support::front::UnixFront;
use crate::support::wait::eventually;
use crate::support::{Client, Endpoint, Fiel, Scrape, client};

#[test]
fn requests_go_to_a_unix_socket_over_kept_connections() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let endpoint = Endpoint::start("app");
    let _front = UnixFront::start(&path, endpoint.address());
    let name = format!("unix:{}", path.display());
    let fiel = Fiel::start(&pool(&format!("{{ address: \"{name}\", weight: 3 }}"), &[]));

    let mut client = Client::connect(fiel.address("web"));
    for _ in 0..3 {
        let answer = client.request("GET / HTTP/1.1\r\nHost: site.example\r\n\r\n");
        assert_eq!((answer.status, answer.text()), (200, "app".to_owned()));
    }

    let received = endpoint.wait_for_whole_requests(3);
    assert_eq!(received[0].header("host").as_deref(), Some("site.example"));
    assert_eq!(endpoint.connections(), 1);
    let line = &fiel.wait_for_access_log(1)[0];
    assert_eq!(line["endpoint"], name);
    let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let status = client::request(fiel.admin(), request).json();
    assert_eq!(status["pools"][0]["endpoints"][0]["address"], name);
    let series = format!("fiel_endpoint_in_flight{{pool=\"shop\",endpoint=\"{name}\"}}");
    Scrape::wait_for(&fiel, &[(&series, 0.0)]);
}

#[test]
fn a_relative_path_lies_beside_the_configuration_and_an_abstract_name_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start("app");
    let name = format!("fiel-test-{}", std::process::id());
    let abstracted = format!("\0{name}");
    let abstracted = Path::new(OsStr::from_bytes(abstracted.as_bytes()));
    let _one = UnixFront::start(abstracted, endpoint.address());
    let _two = UnixFront::start(&folder.path().join("app.sock"), endpoint.address());
    for socket in [format!("unix:@{name}"), "unix:app.sock".to_owned()] {
        let file = folder.path().join("fiel.yaml");
        std::fs::write(&file, pool(&format!("\"{socket}\""), &[])).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fiel"));
        command.arg("run").arg("--config").arg(file);
        let fiel = Fiel::command(command, tempfile::tempdir().unwrap());
        fiel.wait_until_ready();
        assert_eq!(
            client::get(fiel.address("web"), "/").text(),
            "app",
            "{socket}"
        );
    }
}

#[test]
fn a_socket_that_is_not_there_is_refused_and_another_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere.sock");
    let endpoint = Endpoint::start("app");
    let alone = format!("\"unix:{}\"", nowhere.display());
    let fiel = Fiel::start(&pool(&alone, &[]));
    let answer = client::get(fiel.address("web"), "/");
    let told = answer.header("proxy-status");
    assert_eq!(
        (answer.status, told),
        (502, Some("fiel; error=connection_refused"))
    );

    let fiel = Fiel::start(&pool(&format!("{alone}, {}", endpoint.address()), &[]));
    for _ in 0..4 {
        assert_eq!(client::get(fiel.address("web"), "/").text(), "app");
    }
}

#[test]
fn it_is_probed_and_drained_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let endpoint = Endpoint::start("app");
    let address = format!("unix:{}", path.display());
    let probes = [
        "readinessProbe: { httpGet: { path: /ready }, periodSeconds: 0.1 }",
        "livenessProbe: { tcpSocket: {}, periodSeconds: 0.1, failureThreshold: 1000 }",
    ];
    let fiel = Fiel::start(&pool(&format!("\"{address}\""), &probes));
    eventually("the first probe", || {
        let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let status = client::request(fiel.admin(), request).text();
        status.contains("there is no such socket").then_some(())
    });
    let front = UnixFront::start(&path, endpoint.address());
    let endpoint_of = |fiel: &Fiel| {
        let request = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client::request(fiel.admin(), request).json()["pools"][0]["endpoints"][0].clone()
    };
    let wait_for = |state: &str| {
        eventually(state, || {
            (endpoint_of(&fiel)["state"] == state).then_some(())
        });
    };
    wait_for("ready");
    let probe = &endpoint.requests_to("/ready")[0];
    assert_eq!(probe.header("host").as_deref(), Some("localhost"));
    // The one probe knows nothing of the other.
    eventually("the other probe to connect", || {
        (endpoint_of(&fiel)["probes"][1]["detail"] == "connected").then_some(())
    });

    let encoded = address.replace('/', "%2F").replace(':', "%3A");
    for (named, order, state) in [
        (&address, "drain", "draining"),
        (&encoded, "undrain", "ready"),
    ] {
        let request = format!(
            "POST /pools/shop/endpoints/{named}/{order} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(client::request(fiel.admin(), request).status, 200);
        wait_for(state);
    }
    drop(front);
    wait_for("unready");
}

#[test]
fn an_exec_probe_is_told_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    let told = folder.path().join("told");
    let probe = format!(
        "readinessProbe: {{ exec: {{ command: [sh, -c, 'printf %s \"$FIEL_ENDPOINT\" > {}'] }} }}",
        told.display()
    );
    let _fiel = Fiel::start(&pool(&format!("\"{address}\""), &[&probe]));
    eventually("the program", || {
        let said = std::fs::read_to_string(&told).ok()?;
        (said == address).then_some(())
    });
}
