//! Every metric that fiel has: its name, its type, its labels and what it says, declared once.
//!
//! Names and labels are those of the contract, chapter 5. Who counts is elsewhere (`traffic.rs`, `process.rs`, the
//! snapshot); here is only what the counts are called. The reference in the documentation is made from [`ALL`].

/// One metric: a name under which there is a series for each set of label values.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The names of its labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of durations.
    Histogram,
}

macro_rules! families {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help, ".")]
            pub static $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: concat!($help, "."),
            };
        )*

        /// All of them.
        pub static ALL: &[&Family] = &[$(&$constant),*];
    };
}

families! {
    REQUESTS = Counter "fiel_requests_total" ["route", "pool", "code"]
        "Requests answered, by status; 499 when the client left first";
    REQUEST_DURATION = Histogram "fiel_request_duration_seconds" ["route", "pool"]
        "From the request's head read to the response's last byte written";
    RESPONSE_DURATION = Histogram "fiel_response_duration_seconds" ["route", "pool"]
        "From the request's head read to the response's head, with queue, connects and retries, without tunnels";
    UPSTREAM_DURATION = Histogram "fiel_upstream_duration_seconds" ["pool"]
        "One attempt, from the request sent to the response's head";
    LOCAL_REPLIES = Counter "fiel_local_replies_total" ["route", "pool", "code", "reason"]
        "Requests that fiel answered by itself";
    GRPC_RESPONSES = Counter "fiel_grpc_responses_total" ["route", "pool", "grpc_status"]
        "Calls of gRPC that are over, by the number of their status; 1 when the client left first";
    REQUESTS_IN_FLIGHT = Gauge "fiel_requests_in_flight" ["pool"]
        "Requests that are being served";
    TUNNELS = Gauge "fiel_tunnels" ["route", "pool"]
        "Upgraded connections that are open";
    TUNNEL_DURATION = Histogram "fiel_tunnel_duration_seconds" ["route", "pool"]
        "From the switch of protocols to the end of an upgraded connection";
    TUNNEL_BYTES = Counter "fiel_tunnel_bytes_total" ["route", "pool", "direction"]
        "Bytes that upgraded connections carried, counted when they end; in is from the client";
    SPLIT_WEIGHT = Gauge "fiel_split_weight_ratio" ["route", "pool"]
        "The share of the route's requests that the configuration gives to a pool";
    SPLIT_EFFECTIVE = Gauge "fiel_split_effective_ratio" ["route", "pool"]
        "The share of the route's requests that a pool gets now, after what pools without ready endpoints gave away";
    SPLIT_ASSIGNED = Counter "fiel_split_assigned_total" ["route", "pool"]
        "First attempts that the split has placed";
    POOL_ENDPOINTS = Gauge "fiel_pool_endpoints" ["pool", "state"]
        "Endpoints by state";
    ENDPOINT_READY = Gauge "fiel_endpoint_ready" ["pool", "endpoint"]
        "1 when the endpoint takes new requests, else 0";
    ENDPOINT_LIVE = Gauge "fiel_endpoint_live" ["pool", "endpoint"]
        "0 when the endpoint is dead, else 1";
    ENDPOINT_IN_FLIGHT = Gauge "fiel_endpoint_in_flight" ["pool", "endpoint"]
        "Requests in flight at the endpoint";
    PROBES = Counter "fiel_probes_total" ["pool", "probe", "result"]
        "Probes that have ended";
    PROBE_DURATION = Histogram "fiel_probe_duration_seconds" ["pool", "probe", "result"]
        "How long probes took";
    PROBE_LAG = Gauge "fiel_probe_lag_seconds" []
        "How much later than planned the latest probes went out";
    NAME_ADDRESSES = Gauge "fiel_name_addresses" ["name"]
        "Addresses that a host name of endpoints stands for, by its last good answer";
    NAME_LOOKUPS = Counter "fiel_name_lookups_total" ["name", "result"]
        "Times that a host name was asked for";
    NAME_LAST_SUCCESS = Gauge "fiel_name_last_success_timestamp_seconds" ["name"]
        "When a host name was last answered; absent before the first answer";
    POOL_LIVENESS_HELD = Gauge "fiel_pool_liveness_held" ["pool"]
        "Endpoints that fail liveness but are not declared dead, because too many others are";
    RETRIES = Counter "fiel_retries_total" ["pool", "reason"]
        "Attempts after the first, by why the one before had failed";
    UPSTREAM_FAILURES = Counter "fiel_upstream_failures_total" ["pool", "reason"]
        "Attempts that failed, retried or not";
    UPSTREAM_CONNECTIONS = Gauge "fiel_upstream_connections" ["pool"]
        "Connections to endpoints that are open, busy or not";
    UPSTREAM_CONNECTS = Counter "fiel_upstream_connects_total" ["pool"]
        "Connections to endpoints that were made";
    CONNECTIONS = Gauge "fiel_connections" ["listener"]
        "Connections of clients that are open";
    CONNECTIONS_TOTAL = Counter "fiel_connections_total" ["listener"]
        "Connections of clients that were accepted";
    WORKER_CONNECTIONS = Gauge "fiel_worker_connections" ["worker"]
        "Connections of clients that a worker serves, whatever the listener";
    HTTP2_ABORTS = Counter "fiel_http2_aborts_total" ["listener", "reason"]
        "HTTP/2 connections of clients that were broken off: floods, deadlines, broken rules";
    CONNECTIONS_REFUSED = Counter "fiel_connections_refused_total" ["listener", "reason"]
        "Connections that were turned away before they could ask anything, because they do not speak what the listener speaks or show no certificate that it believes";
    TLS_HANDSHAKES = Counter "fiel_tls_handshakes_total" ["listener", "result"]
        "TLS handshakes of clients that have ended: full, resumed or failed";
    CERTIFICATE_NOT_AFTER = Gauge "fiel_tls_certificate_not_after_timestamp_seconds" ["listener", "name"]
        "When the certificate of this name runs out; the earliest where several are for it";
    POOL_CERTIFICATE_NOT_AFTER = Gauge "fiel_tls_pool_certificate_not_after_timestamp_seconds" ["pool", "name"]
        "When the certificate that a pool shows to its endpoints runs out";
    AUTHORITY_NOT_AFTER = Gauge "fiel_tls_authority_not_after_timestamp_seconds" ["listener", "pool", "name"]
        "When an authority in the caFile of a listener or of a pool runs out, the other being none; the latest where several have its name";
    BYTES = Counter "fiel_bytes_total" ["listener", "direction"]
        "Bytes exchanged with clients; in is from the client";
    CONFIG_RELOADS = Counter "fiel_config_reloads_total" ["result"]
        "Reloads of the configuration";
    CONFIG_LAST_RELOAD_SUCCESSFUL = Gauge "fiel_config_last_reload_successful" []
        "0 when the last reload was rejected, else 1";
    CONFIG_LAST_RELOAD_SUCCESS = Gauge "fiel_config_last_reload_success_timestamp_seconds" []
        "When a configuration was last found good";
    TLS_CERTIFICATE_FAULTS = Gauge "fiel_tls_certificate_faults" []
        "Files of certificates, keys and authorities that have changed and cannot be used; what they held before stays";
    CONFIG_RESTART_NEEDED = Gauge "fiel_config_restart_needed" []
        "1 when a changed key waits for a restart, else 0";
    PANICS = Counter "fiel_panics_total" []
        "Panics that were caught; each is a defect";
    ACCESS_LOG_DROPPED = Counter "fiel_access_log_dropped_total" []
        "Lines missing from the access log, because its output was too slow or failed";
    POOL_INFO = Gauge "fiel_pool_info" ["pool", "version"]
        "1; which version a pool runs";
    BUILD_INFO = Gauge "fiel_build_info" ["version"]
        "1; which fiel this is";
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "Processor time spent, user and system";
    PROCESS_RESIDENT_MEMORY = Gauge "process_resident_memory_bytes" []
        "Memory that is resident";
    PROCESS_VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes" []
        "Address space in use";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "File descriptors that are open";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "File descriptors that may be open";
    PROCESS_START_TIME = Gauge "process_start_time_seconds" []
        "When the process started, in seconds since 1970";
    PROCESS_THREADS = Gauge "process_threads" []
        "Threads of the process";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_name_is_declared_once() {
        let names: BTreeSet<&str> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn names_follow_the_rules() {
        for Family {
            name, kind, help, ..
        } in ALL
        {
            let snake = |text: &str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            };
            assert!(snake(name), "{name}");
            assert!(
                name.starts_with("fiel_") || name.starts_with("process_"),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_total"),
                *kind == Kind::Counter,
                "{name}: counters, and only they, end in _total"
            );
            if *kind == Kind::Histogram {
                assert!(name.ends_with("_seconds"), "{name}: in base units");
            }
            for unit in ["_ms", "_millis", "_percent", "_kib", "_minutes"] {
                assert!(!name.contains(unit), "{name}: base units only");
            }
            assert!(help.len() > 2 && help.ends_with('.'), "{name}: {help:?}");
        }
    }

    #[test]
    fn labels_are_bounded_sets_and_clash_with_no_reserved_name() {
        let known = [
            "route",
            "pool",
            "code",
            "reason",
            "grpc_status",
            "direction",
            "state",
            "endpoint",
            "probe",
            "result",
            "listener",
            "worker",
            "version",
            "name",
        ];
        for family in ALL {
            let unique: BTreeSet<&&str> = family.labels.iter().collect();
            assert_eq!(unique.len(), family.labels.len(), "{}", family.name);
            for label in family.labels {
                assert!(known.contains(label), "{}: {label}", family.name);
            }
        }
    }
}
