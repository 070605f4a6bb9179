//! `grpc` probes against tonic's server.

use crate::support::grpc::GrpcServer;
use crate::support::terms::Terms;

#[test]
fn an_endpoint_is_ready_while_its_health_service_says_that_it_serves() {
    const NOT_SERVING: u8 = 2;
    let server = GrpcServer::start("a");
    let fiel = Terms {
        pool: &[
            "readinessProbe: { grpc: { service: test.Echo }, periodSeconds: 0.1, failureThreshold: 1 }",
        ],
        ..Terms::default()
    }
    .before_all(&[server.address()]);
    fiel.wait_for_state(server.address(), "ready", 1);
    let agent = server.wait_for_call("Check");
    let agent = agent.get("user-agent").unwrap().to_str().unwrap();
    assert!(agent.starts_with("fiel-probe/"), "{agent}");

    server.is_of_health(NOT_SERVING);
    let line = fiel
        .wait_for_state(server.address(), "unready", 1)
        .remove(0);
    assert!(line.contains("NOT_SERVING"), "{line}");

    server.is_of_health(1);
    fiel.wait_for_state(server.address(), "ready", 2);
}
