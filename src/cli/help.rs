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
  fiel status --watch                   what is it at? listeners, shares, pools, endpoints

Exit codes:
  0  fine
  1  the configuration or a check is wrong, or a running fiel could not be asked
  2  wrong usage
  3  could not bind or start

Environment:
  FIEL_LOG   what is logged to standard error: error, warn, info (default), debug,
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
  fiel status --watch                      what is it at? (asks the admin address)

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

/// Above `fiel status --help`.
pub(crate) const STATUS: &str = "\
Show what a running fiel is at, as its admin address tells it.

Listeners with their addresses; of each route the weight, the share, what it is now (pools with nothing ready give \
theirs away), how many requests were assigned, and how many exactness expects; of each endpoint the state, since when, \
its requests in flight, and why (its last probe, the one that failed, or what drains it); of each name how many \
addresses it has. With `--watch` it is drawn again and again, and waits for a fiel that is not there (yet).";

/// Below `fiel status --help`.
pub(crate) const STATUS_MORE: &str = "\
Examples:
  fiel status
  fiel status --watch --interval 500ms
  fiel status --admin 127.0.0.1:9988                      another admin address
  fiel status --admin 10.0.0.7:9901 --token-file admin.token
  fiel status --json                                      as programs want it: what /status says

Exit codes:
  0 shown (or ended with Ctrl-C), 1 it could not be asked or refuses, 2 wrong usage, 3 could not start

Environment: NO_COLOR.";

/// Above `fiel drain --help`.
pub(crate) const DRAIN: &str = "\
Have a running fiel send its clients elsewhere, before the SIGTERM that is to come.

From then on `/readyz` fails and every answer asks its client to close the connection, while new connections are still \
accepted and served: `shutdown.delay` begins here and not at SIGTERM. Returns at once. There is no way back. It is the \
preStop hook of a sidecar, which gets its SIGTERM only after the service beside it has ended.";

/// Below `fiel drain --help`.
pub(crate) const DRAIN_MORE: &str = "\
Examples:
  fiel drain
  fiel drain --admin 127.0.0.1:9988                       another admin address
  fiel drain --admin 10.0.0.7:9901 --token-file admin.token

Exit codes:
  0 it drains, 1 it could not be asked or refuses, 2 wrong usage, 3 could not start";

/// Above `fiel schema --help`.
pub(crate) const SCHEMA: &str = "\
Print the JSON Schema (draft 2020-12) of the configuration.

Editors complete keys, show what they mean and mark what is wrong. They know less than `fiel check`, which also looks at \
what belongs together. Keys that are not in this version are not in the schema.";

/// Below `fiel schema --help`.
pub(crate) const SCHEMA_MORE: &str = "\
Examples:
  fiel schema > fiel.schema.json
  fiel schema --part > fiel.part.schema.json     for the files of a folder

As the first line of a configuration, for editors with the YAML language server:
  # yaml-language-server: $schema=fiel.schema.json

Exit codes: 0 printed, 2 wrong usage.";

/// Above `fiel completions --help`.
pub(crate) const COMPLETIONS: &str = "\
Print what a shell needs to complete commands and flags of fiel.";

/// Below `fiel completions --help`.
pub(crate) const COMPLETIONS_MORE: &str = "\
Examples:
  fiel completions bash > ~/.local/share/bash-completion/completions/fiel
  fiel completions zsh > ~/.zfunc/_fiel          with fpath+=(~/.zfunc) before compinit in ~/.zshrc
  fiel completions fish > ~/.config/fish/completions/fiel.fish
  fiel completions elvish >> ~/.config/elvish/rc.elv
  fiel completions powershell >> $PROFILE

Exit codes: 0 printed, 2 wrong usage.";

/// Below clap's words when `--config` is missing.
pub(crate) const NO_CONFIG: &str = "\
  fiel never runs on silent defaults: name a YAML file, or a folder of them.
  No file yet? `fiel demo --print-config > fiel.yaml` writes one to begin with; `fiel demo` needs none.";

/// Commands that are planned but not in this version, and what to do meanwhile.
pub(crate) const LATER: [(&str, &str); 6] = [
    (
        "explain",
        "until then `fiel status` shows routes and shares",
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
];
