//! fiel beside a service: the ready-made configuration at work, the manifests for Kubernetes, and the end of a pod.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::{self, Client, End};
use crate::support::tls::{Authority, TlsClient};
use crate::support::wait::eventually;
use crate::support::{Endpoint, Fiel, Scrape, yaml};

const MANIFESTS: [&str; 2] = [
    "examples/kubernetes/sidecar.yaml",
    "examples/kubernetes/edge.yaml",
];

/// The objects of a manifest.
fn objects(manifest: &str) -> Vec<Value> {
    let text = fs::read_to_string(manifest).unwrap();
    text.split("\n---\n")
        .map(|one| {
            serde_saphyr::from_str(one).unwrap_or_else(|error| panic!("{manifest}: {error}"))
        })
        .collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let mut found = objects.iter().filter(|object| object["kind"] == kind);
    let object = found.next().unwrap_or_else(|| panic!("no {kind}"));
    assert!(found.next().is_none(), "several of {kind}");
    object
}

/// All containers of a pod, those that start first included.
fn containers(pod: &Value) -> Vec<&Value> {
    let of = |key: &str| pod[key].as_array().into_iter().flatten();
    of("initContainers").chain(of("containers")).collect()
}

fn ask(address: SocketAddr, path: &str) -> client::Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client::request(address, request)
}

/// `fiel drain`, as the preStop hook of a pod runs it.
fn order_to_drain(fiel: &Fiel) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args(["drain", "--admin", &fiel.admin().to_string()])
        .output()
        .unwrap()
}

#[test]
fn the_configuration_in_each_manifest_is_right_where_it_is_mounted() {
    for manifest in MANIFESTS {
        let objects = objects(manifest);
        let config = &of_kind(&objects, "ConfigMap")["data"]["fiel.yaml"];
        let folder = tempfile::tempdir().unwrap();
        for (mounted, file) in [
            ("tls/tls.crt", "config/tls/site.crt"),
            ("tls/tls.key", "config/tls/site.key"),
            ("tls/ca.crt", "config/tls/ca.crt"),
        ] {
            let place = folder.path().join(mounted);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(file, place).unwrap();
        }
        let file = folder.path().join("config/fiel.yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, config.as_str().unwrap()).unwrap();

        let checked = Command::new(env!("CARGO_BIN_EXE_fiel"))
            .args(["check", "--config"])
            .arg(&file)
            .env("VERSION", "1.8.2")
            .output()
            .unwrap();

        let told = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{manifest}: {told}");
        assert!(!told.contains("warning"), "{manifest}: {told}");
    }
}

#[test]
fn the_pods_of_the_manifests_are_confined_probed_and_given_the_time_their_end_takes() {
    for manifest in MANIFESTS {
        let objects = objects(manifest);
        let config = of_kind(&objects, "ConfigMap")["data"]["fiel.yaml"].as_str();
        let config: Value = serde_saphyr::from_str(config.unwrap()).unwrap();
        let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for container in containers(pod) {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"], false, "{manifest}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{manifest}");
            assert_eq!(context["capabilities"]["drop"], serde_json::json!(["ALL"]));
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
        let all = containers(pod);
        let fiel = all.iter().find(|one| one["name"] == "fiel").unwrap();

        // What is asked on the address for reading, by its name.
        let ports = fiel["ports"].as_array().unwrap();
        let port = |name: &str| {
            let named = ports.iter().find(|port| port["name"] == name);
            named.unwrap()["containerPort"].as_u64().unwrap()
        };
        let bound = |bind: &Value| {
            let (_, port) = bind.as_str().unwrap().rsplit_once(':').unwrap();
            port.parse::<u64>().unwrap()
        };
        assert_eq!(bound(&config["admin"]["readBind"]), port("fiel-read"));
        assert_eq!(bound(&config["listeners"][0]["bind"]), port("https"));
        for (probe, path) in [
            ("startupProbe", "/livez"),
            ("readinessProbe", "/readyz"),
            ("livenessProbe", "/livez"),
        ] {
            let asked = &fiel[probe]["httpGet"];
            assert_eq!(
                (&asked["path"], &asked["port"]),
                (&path.into(), &"fiel-read".into())
            );
        }

        // Everything that takes time one after the other fits.
        let seconds = |value: &Value| {
            let text = value.as_str().unwrap();
            text.strip_suffix('s').unwrap().parse::<u64>().unwrap()
        };
        let (delay, drain) = (&config["shutdown"]["delay"], &config["shutdown"]["drain"]);
        let (delay, drain) = (seconds(delay), seconds(drain));
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        if fiel["restartPolicy"] == "Always" {
            // A sidecar is told by its hook, and the service goes on for at least as long as the delay.
            let hook = &fiel["lifecycle"]["preStop"]["exec"]["command"];
            assert_eq!(hook, &serde_json::json!(["/fiel", "drain"]));
            let service = all.iter().find(|one| one["name"] != "fiel").unwrap();
            let sleep = service["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
            assert!(sleep.unwrap() >= delay, "{manifest}");
            assert!(grace > sleep.unwrap() + 20 + drain, "{manifest}");
        } else {
            assert!(grace > delay + drain, "{manifest}");
        }
    }
}

#[test]
fn a_sidecar_takes_in_over_mutual_tls_leads_out_by_host_and_is_probed_on_its_reading_address() {
    let (service, orders) = (Endpoint::start("service"), Endpoint::start("orders"));
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("ca");
    let pair = authority.issue(&["shop.prod"]);
    let files = pair.put(folder.path(), "site");
    let ca = folder.path().join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let text = fs::read_to_string("config/sidecar.yaml").unwrap();
    let replaced = [
        (
            "certFile: tls/site.crt, keyFile: tls/site.key",
            files.as_str(),
        ),
        ("tls/ca.crt", ca.to_str().unwrap()),
        ("0.0.0.0:8443", "127.0.0.1:0"),
        ("127.0.0.1:8081", "127.0.0.1:0"),
        ("127.0.0.1:9901", "127.0.0.1:0"),
        ("0.0.0.0:9902", "127.0.0.1:0"),
        (
            "127.0.0.1:${SERVICE_PORT:-8000}",
            &service.address().to_string(),
        ),
        (
            "orders.prod.svc.cluster.local:8080",
            &orders.address().to_string(),
        ),
        ("payments.prod.svc.cluster.local:8080", "127.0.0.1:1"),
    ];
    let text = replaced.into_iter().fold(text, |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    // The comments name some of the addresses as well.
    let fiel = Fiel::start(&text);

    // In: nobody without a certificate, and the service hears who it is.
    let pod = fiel.address("pod");
    assert!(TlsClient::new().try_get(pod, "shop.prod").is_err());
    let alice = TlsClient::known_as(&authority.issue_client("alice"));
    let answer = alice.try_get(pod, "shop.prod").unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "service"));
    let heard = service.requests_to("/").pop().unwrap();
    let known = heard.header("x-forwarded-client-cert").unwrap();
    assert!(known.contains("alice"), "{known}");

    // Out: as an address, and as the forward proxy of `http_proxy`.
    let out = fiel.address("out");
    for request in [
        "GET / HTTP/1.1\r\nHost: orders.prod.svc.cluster.local\r\n\r\n",
        "GET http://orders/ HTTP/1.1\r\nHost: orders\r\n\r\n",
    ] {
        assert_eq!(client::request(out, request).text(), "orders", "{request}");
    }
    assert_eq!(ask(out, "/").status, 404);

    // Asked by the kubelet and the scraper.
    let line = fiel.wait_for_log("Admin listening for reading");
    let (_, read) = line.rsplit_once("address=").unwrap();
    let read: SocketAddr = read.trim().parse().unwrap();
    eventually("readiness", || {
        (ask(read, "/readyz").status == 200).then_some(())
    });
    assert_eq!(ask(read, "/livez").status, 200);
    assert!(ask(read, "/metrics").text().contains("fiel_requests_total"));
    assert_eq!(ask(read, "/status").status, 404);
}

#[test]
fn after_an_order_to_drain_clients_are_asked_to_go_and_new_ones_are_still_served() {
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("{text}shutdown: {{ delay: 1h, drain: 0s }}\n"));
    let web = fiel.address("web");
    let mut old = Client::connect(web);
    assert_eq!(old.get("/").header("connection"), None);
    assert_eq!(ask(fiel.admin(), "/readyz").status, 200);

    let ordered = order_to_drain(&fiel);

    assert!(ordered.status.success(), "{ordered:?}");
    let said = String::from_utf8(ordered.stdout).unwrap();
    assert!(said.contains("SIGTERM ends it"), "{said}");
    // In force when the order has returned.
    let answer = ask(fiel.admin(), "/readyz");
    assert_eq!((answer.status, answer.text().trim()), (503, "draining"));
    assert_eq!(ask(fiel.admin(), "/livez").status, 200);
    eventually("the old connection to be asked to close", || {
        let answer = old.get("/");
        assert_eq!(answer.status, 200);
        (answer.header("connection") == Some("close")).then_some(())
    });
    assert_eq!(old.read_to_end(), (Vec::new(), End::Fin));
    eventually("new connections to be asked to close", || {
        let answer = client::get(web, "/");
        assert_eq!(answer.text(), "a");
        (answer.header("connection") == Some("close")).then_some(())
    });
    // It is not the end: that comes by a signal. A second order changes nothing.
    assert!(order_to_drain(&fiel).status.success());
    assert_eq!(client::get(web, "/").text(), "a");
    fiel.signal(Signal::INT);
    assert_eq!(fiel.wait_exit().code(), Some(0));
    let late = Command::new(env!("CARGO_BIN_EXE_fiel"))
        .args(["drain", "--admin", "127.84.0.1:9"])
        .output()
        .unwrap();
    assert_eq!(late.status.code(), Some(1));
}

#[test]
fn from_the_order_to_drain_to_the_end_of_the_pod_no_request_is_lost() {
    const ROUTERS: usize = 3;
    const ENOUGH: usize = 60;
    let endpoint = Endpoint::start("a");
    let text = yaml::shop(&[("a", "1", &[endpoint.address()])]);
    let fiel = Fiel::start(&format!("{text}shutdown: {{ delay: 0s, drain: 0s }}\n"));
    let web = fiel.address("web");
    // Routers send until they have heard that the pod leaves: on connections that they keep for as long as they may.
    let (heard, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let until = |count: usize| {
        eventually("requests", || {
            (served.load(Ordering::Relaxed) >= count).then_some(())
        });
    };

    thread::scope(|scope| {
        for _ in 0..ROUTERS {
            scope.spawn(|| {
                while !heard.load(Ordering::Relaxed) {
                    let mut client = Client::connect(web);
                    for _ in 0..10 {
                        let answer = client.get("/");
                        assert_eq!((answer.status, answer.text().as_str()), (200, "a"));
                        served.fetch_add(1, Ordering::Relaxed);
                        if answer.header("connection") == Some("close") {
                            break;
                        }
                    }
                }
            });
        }
        until(ENOUGH);
        assert!(order_to_drain(&fiel).status.success());
        assert_eq!(ask(fiel.admin(), "/readyz").status, 503);
        until(served.load(Ordering::Relaxed) + ENOUGH);
        heard.store(true, Ordering::Relaxed);
    });

    fiel.signal(Signal::TERM);
    assert_eq!(fiel.wait_exit().code(), Some(0));
    let log = fiel.access_log();
    assert_eq!(log.len(), served.load(Ordering::Relaxed));
    assert!(log.iter().all(|line| line["status"] == 200));
}

#[test]
fn the_manifests_mount_what_the_configuration_names() {
    for manifest in MANIFESTS {
        let objects = objects(manifest);
        let pod = &of_kind(&objects, "Deployment")["spec"]["template"]["spec"];
        let all = containers(pod);
        let fiel = all.iter().find(|one| one["name"] == "fiel").unwrap();
        let arguments: Vec<&str> = fiel["args"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let file = Path::new(arguments[2]);
        assert_eq!(arguments[..2], ["run", "--config"]);
        let mounts = fiel["volumeMounts"].as_array().unwrap();
        let mounted = |place: &Path| {
            let path = |mount: &&Value| mount["mountPath"].as_str() == place.to_str();
            let mount = mounts
                .iter()
                .find(path)
                .unwrap_or_else(|| panic!("{place:?}"));
            assert!(mount.get("subPath").is_none(), "a subPath is never renewed");
            let volumes = pod["volumes"].as_array().unwrap();
            volumes
                .iter()
                .find(|volume| volume["name"] == mount["name"])
                .unwrap()
        };
        let config = mounted(file.parent().unwrap());
        let name = &of_kind(&objects, "ConfigMap")["metadata"]["name"];
        assert_eq!(&config["configMap"]["name"], name);
        let beside = file.parent().unwrap().parent().unwrap().join("tls");
        assert!(mounted(&beside)["secret"]["secretName"].is_string());
    }
}

#[test]
fn what_only_the_start_has_needed_of_the_program_is_given_back_and_comes_again_when_it_is_needed() {
    let service = Endpoint::start("service");
    let fiel = Fiel::start(&yaml::shop(&[("service", "100", &[service.address()])]));
    let kilobytes = |name: &str| -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", fiel.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.trim().strip_suffix(" kB"));
        value.unwrap().parse().unwrap()
    };
    let shrinks = || {
        eventually("the start's pages to be given back", || {
            (kilobytes("VmRSS:") < kilobytes("VmHWM:") * 3 / 4).then_some(())
        });
    };
    shrinks();
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);

    // Reading a configuration needs it again, and serves in between.
    fiel.signal(Signal::HUP);
    eventually("the reload", || {
        let reloads = "fiel_config_reloads_total{result=\"unchanged\"}";
        (Scrape::of(&fiel).value(reloads) == Some(1.0)).then_some(())
    });
    shrinks();
    assert_eq!(client::get(fiel.address("web"), "/").status, 200);
}
