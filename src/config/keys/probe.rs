//! The keys of probes, which are those of Kubernetes.

use crate::config::keys::kind::Keys;

pub(crate) const PROBE: Keys = Keys {
    kind: "a probe",
    works: &[
        "httpGet",
        "tcpSocket",
        "grpc",
        "exec",
        "initialDelaySeconds",
        "periodSeconds",
        "timeoutSeconds",
        "successThreshold",
        "failureThreshold",
        "terminationGracePeriodSeconds",
    ],
    later: &[],
};

pub(crate) const HTTP_GET: Keys = Keys {
    kind: "httpGet",
    works: &["host", "port", "path", "scheme", "verify", "httpHeaders"],
    later: &[],
};

pub(crate) const TCP_SOCKET: Keys = Keys {
    kind: "tcpSocket",
    works: &["host", "port"],
    later: &[],
};

pub(crate) const GRPC: Keys = Keys {
    kind: "grpc",
    works: &["port", "service"],
    later: &[],
};

pub(crate) const EXEC: Keys = Keys {
    kind: "exec",
    works: &["command"],
    later: &[],
};
