//! What surrounds the traffic: shutdown, names, the admin addresses, the access log, metrics.

use serde_json::json;

use crate::config::keys::{
    ACCESS_LOG, ADMIN, FAMILY, LOG_FILE, LOG_FORMAT, LOG_OUTPUT, METRICS, RESOLVER, SHUTDOWN,
};
use crate::config::model::{Admin, LogFile, LogFormat, MAX_ENDPOINT_SERIES, Resolver, Shutdown};
use crate::config::schema::shape::{
    Shape, duration, key, list, one, size, whole, with_default, word,
};

pub(super) fn shapes() -> Vec<Shape> {
    let mut shapes = vec![shutdown(), resolver(), admin()];
    shapes.extend(access_log());
    shapes.push(metrics());
    shapes
}

fn shutdown() -> Shape {
    let shutdown = Shutdown::default();
    Shape::new(
        "Shutdown",
        &SHUTDOWN,
        "What happens after SIGTERM.",
        vec![
            with_default(
                "delay",
                "Go on accepting for so long while /readyz fails.",
                one("Duration"),
                duration(Some(shutdown.delay)),
            ),
            with_default(
                "drain",
                "Then give requests in flight so long to end.",
                one("Duration"),
                duration(Some(shutdown.drain)),
            ),
        ],
    )
}

fn resolver() -> Shape {
    let resolver = Resolver::default();
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Shape::new(
        "Resolver",
        &RESOLVER,
        "How names of endpoints become addresses.",
        vec![
            with_default(
                "servers",
                "Name servers, at port 53 unless written; none given: those of resolvConf.",
                list(one("NameServer")),
                json!([]),
            ),
            with_default(
                "family",
                "Which addresses of a name are used.",
                word(&FAMILY),
                "all",
            ),
            with_default(
                "minTtl",
                "An answer is asked for again no sooner, however short its TTL; at least 100ms.",
                one("Duration"),
                duration(Some(resolver.min_ttl)),
            ),
            with_default(
                "maxTtl",
                "An answer is asked for again no later, however long its TTL; at least minTtl.",
                one("Duration"),
                duration(Some(resolver.max_ttl)),
            ),
            with_default(
                "hostsFile",
                "Names that it holds are not asked for elsewhere.",
                one("Text"),
                path(&resolver.hosts_file),
            ),
            with_default(
                "resolvConf",
                "Name servers, search list and options.",
                one("Text"),
                path(&resolver.resolv_conf),
            ),
        ],
    )
}

fn admin() -> Shape {
    let admin = Admin::default();
    Shape::new(
        "Admin",
        &ADMIN,
        "The admin addresses.",
        vec![
            with_default(
                "bind",
                "The address of everything, which elsewhere than on loopback needs tokenFile; or a unix socket, such as unix:/run/fiel-admin.sock.",
                one("ListenAddress"),
                admin.bind.to_string(),
            ),
            key(
                "unix",
                "Who may connect to its unix socket.",
                one("AdminSocketRights"),
            ),
            key(
                "readBind",
                "An address of /livez, /readyz and /metrics only; off by default.",
                one("Address"),
            ),
            key(
                "tokenFile",
                "The file with the token that whoever gives orders has to bring.",
                one("Text"),
            ),
            with_default(
                "hosts",
                "Names by which the admin address may be called, beside loopback names and IP addresses.",
                list(one("Host")),
                json!([]),
            ),
        ],
    )
}

fn access_log() -> [Shape; 2] {
    [
        Shape::new(
            "AccessLog",
            &ACCESS_LOG,
            "One line for each request.",
            vec![
                with_default(
                    "format",
                    "How lines are written: json has all fields, ecs is the Elastic Common Schema, common and combined are those of Apache.",
                    word(&LOG_FORMAT),
                    LogFormat::default().word(),
                ),
                with_default(
                    "output",
                    "Where lines go to.",
                    json!({ "anyOf": [ word(&LOG_OUTPUT), one("LogFile") ] }),
                    "stdout",
                ),
                with_default(
                    "query",
                    "Whether the query is logged with the path.",
                    one("Boolean"),
                    false,
                ),
            ],
        ),
        log_file(),
    ]
}

fn log_file() -> Shape {
    let endless = LogFile::endless(std::path::PathBuf::new());
    Shape::new(
        "LogFile",
        &LOG_FILE,
        "A file to write to, reopened on SIGUSR1.",
        vec![
            key(
                "file",
                "Its path; a relative one begins beside the configuration.",
                one("Text"),
            ),
            with_default(
                "maxBytes",
                "Before it grows beyond so many octets, it becomes FILE.1 and another is begun; from 1KiB, 0 is no limit.",
                one("Size"),
                size(endless.max_bytes),
            ),
            with_default(
                "keep",
                "How many of those before it are kept beside it; 0 keeps none.",
                whole(0, 1_000),
                endless.keep,
            ),
        ],
    )
    .needs(json!({ "required": ["file"], "dependentRequired": { "keep": ["maxBytes"] } }))
}

fn metrics() -> Shape {
    Shape::new(
        "Metrics",
        &METRICS,
        "What is counted for whom.",
        vec![with_default(
            "maxEndpoints",
            "With more endpoints than this they have no series of their own.",
            one("Limit"),
            MAX_ENDPOINT_SERIES,
        )],
    )
}
