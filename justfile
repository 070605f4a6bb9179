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

# The tests; those that need curl, openssl, nginx, chromium and other tools are skipped where these are missing
test:
    cargo test

# The benches of the parts: header, pick, probe, route
bench:
    cargo bench --benches

host := `rustc -vV | sed -n 's/^host: //p'`

# A binary shaped by the work it does: built, put to work by the bench (nginx, wrk, h2load), and built again by what was seen.
# `profdata` is the `llvm-profdata` of the LLVM that `rustc -vV` names; that of its component llvm-tools is found by itself.
pgo profdata="":
    PROFDATA={{profdata}} benches/profiled {{host}}

# The image; `just image 1` is built by a profile, which takes twice as long and two cores
image profiled="0":
    docker build --build-arg PROFILED={{profiled}} -t fiel .

# A canary at work, in one process
demo:
    cargo run --release -- demo
