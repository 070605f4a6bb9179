//! The words of the command line: what `fiel` says of itself, and what `--help` teaches.
//!
//! Only what works in this version is told. The lines under "examples" are run by `tests/it/cli.rs`.

/// One line: what fiel is.
pub(crate) const ABOUT: &str = "A layer-7 load-balancing reverse proxy whose split is exact and which loses nothing entrusted to it";

/// Bare `fiel`.
pub(crate) const WELCOME: &str = "\
fiel is a layer-7 load-balancing reverse proxy: it takes HTTP requests, splits them between
versions of a service by exact shares, and gives them only to endpoints that are ready.

  fiel demo                  see it at work, without any file: a canary at 5 %, in one process
  fiel check --config PATH   validate a configuration: every problem at once, with its place and remedy
  fiel run --config PATH     run the proxy with it

Try first:

  fiel demo

A configuration to begin with:

  fiel demo --print-config > fiel.yaml
  fiel check --config fiel.yaml

`fiel --help` says more. Nothing was started: fiel never runs on silent defaults.";

/// Below `fiel -h`.
pub(crate) const AFTER: &str =
    "Try `fiel demo` first. `fiel --help` and `fiel run --help` say more.";

/// Below `fiel --help`.
pub(crate) const AFTER_LONG: &str = "\
Examples:
  fiel demo                             a canary at 5 % in one process, with what to try
  fiel demo --print-config > fiel.yaml  a configuration to begin with
  fiel check --config fiel.yaml         is it right? every problem at once, exit code 1 if any
  fiel run --config fiel.yaml           run the proxy

Exit codes:
  0  fine
  1  the configuration or a check is wrong
  2  wrong usage
  3  could not bind or start

Environment:
  FIEL_LOG   what is logged to standard error: error, warn, info (default), debug, trace,
             or by module: FIEL_LOG=warn,fiel::probe=debug
  NO_COLOR   when set, and not empty, nothing is coloured";

/// Above `fiel run --help`.
pub(crate) const RUN: &str = "\
Run the proxy with a configuration.

PATH is a YAML file, or a folder: then its *.yaml and *.yml files are one configuration, in the order of their names. \
Binds the listeners and the admin address, starts probing, and proxies until told to stop. \
A change of the file is taken up by itself; a wrong one changes nothing and is reported. \
Logs go to standard error, access logs where `accessLog` says (standard output by default).";

/// Below `fiel run --help`.
pub(crate) const RUN_MORE: &str = "\
Examples:
  fiel run --config fiel.yaml
  fiel run --config /etc/fiel              a folder of files: lists are joined, maps merged
  FIEL_LOG=debug fiel run -c fiel.yaml     log more
  curl -s http://127.0.0.1:9901/status     what is it doing? (admin address)

Signals:
  SIGTERM, SIGQUIT  go on accepting for `shutdown.delay`, drain, exit 0
  SIGINT (Ctrl-C)   the same without the delay; a second signal exits at once
  SIGHUP            reload the configuration
  SIGUSR1           reopen log files

Exit codes:
  0 drained and stopped, 1 the configuration is wrong, 2 wrong usage, 3 could not bind or start

Environment: FIEL_LOG (log filter), NO_COLOR.";

/// Above `fiel check --help`.
pub(crate) const CHECK: &str = "\
Validate a configuration without binding a port.

Says of every problem, all at once, where it is (file, line, column), what is wrong, and how to mend it. \
The same validation stands before every start and every reload. Of a folder all *.yaml and *.yml files are one \
configuration; what is set in two of them is a problem that names both places.";

/// Below `fiel check --help`.
pub(crate) const CHECK_MORE: &str = "\
Examples:
  fiel check --config fiel.yaml
  fiel check --config /etc/fiel                             a folder of files
  fiel check -c fiel.yaml && kill -HUP \"$(pidof fiel)\"     reload only what is right

Exit codes: 0 fine (warnings may be printed), 1 there are problems (on standard error), 2 wrong usage.";

/// Above `fiel demo --help`.
pub(crate) const DEMO: &str = "\
Show a canary at work, in one process and without any file.

Starts four small HTTP servers as endpoints (three of version v1, one of v2) and the proxy in front of them, \
splitting 95:5, with startup, readiness and liveness probes. Prints the addresses and what to try: \
the exact split, and endpoints that become unready, dead, slow or failing when told so.";

/// Below `fiel demo --help`.
pub(crate) const DEMO_MORE: &str = "\
Examples:
  fiel demo
  fiel demo --port 8088 --admin-port 9988     when 8080 or 9901 is taken
  fiel demo --port 0 --admin-port 0           any free ports
  fiel demo --print-config > fiel.yaml        only print its configuration, to begin your own with

Telling an endpoint what to do (its own port, as the demo prints it):
  curl -X POST http://127.0.0.1:PORT/demo/unready          /ready answers 503
  curl -X POST http://127.0.0.1:PORT/demo/ready
  curl -X POST http://127.0.0.1:PORT/demo/dead             /live answers 503, requests hang
  curl -X POST http://127.0.0.1:PORT/demo/alive
  curl -X POST http://127.0.0.1:PORT/demo/slow?ms=400      requests take 400 ms longer
  curl -X POST http://127.0.0.1:PORT/demo/fast
  curl -X POST http://127.0.0.1:PORT/demo/failing          requests get 500
  curl -X POST http://127.0.0.1:PORT/demo/healthy
  curl http://127.0.0.1:PORT/demo                          how it is, and how many it has answered

Exit codes: 0 stopped with Ctrl-C, 2 wrong usage, 3 a port is taken.";

/// Below clap's words when `--config` is missing.
pub(crate) const NO_CONFIG: &str = "\
  fiel never runs on silent defaults: name a YAML file, or a folder of them.
  No file yet? `fiel demo --print-config > fiel.yaml` writes one to begin with; `fiel demo` needs none.";

/// Commands that are planned but not in this version, and what to do meanwhile.
pub(crate) const LATER: [(&str, &str); 9] = [
    (
        "explain",
        "until then `/status` on the admin address shows routes and shares: curl -s http://127.0.0.1:9901/status",
    ),
    (
        "status",
        "until then the admin address has the same as JSON: curl -s http://127.0.0.1:9901/status",
    ),
    (
        "diff",
        "until then `fiel check` validates the new file, and the log says what a reload changed",
    ),
    (
        "rollout",
        "until then change the weights of the split in the file: it is taken up at once",
    ),
    (
        "autoscale",
        "until then scale on `fiel_requests_in_flight` and the durations in `/metrics`",
    ),
    (
        "generate",
        "until then build on the names in `/metrics`: curl -s http://127.0.0.1:9901/metrics",
    ),
    (
        "upgrade",
        "until then start the new binary on its own and stop the old one with SIGTERM: it drains",
    ),
    (
        "schema",
        "until then `fiel check` names unknown keys, and the nearest known one",
    ),
    ("completions", "until then `fiel --help` lists the commands"),
];
