# The commands of this project. `just check` is what CI runs, in the same order.

default:
    @just --list

# Everything that is checked before a change is taken
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    FIEL_REAL_TOOLS=1 cargo test
    @if command -v kubernetes-validate >/dev/null; then kubernetes-validate --strict examples/kubernetes/sidecar.yaml examples/kubernetes/edge.yaml; else echo "skipped: kubernetes-validate is not installed"; fi
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
    @if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "skipped: cargo-deny is not installed"; fi

# The tests; those that need curl, nginx, wrk or promtool are skipped where these are missing
test:
    cargo test

# The benches of the parts: header, pick, probe, route
bench:
    cargo bench --benches

# A canary at work, in one process
demo:
    cargo run --release -- demo
