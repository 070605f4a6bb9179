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
profiles := justfile_directory() / "target/pgo"

# A binary shaped by the work it does: built, put to work by the bench (nginx and wrk), and built again by what was seen.
# `profdata` is the `llvm-profdata` of the LLVM that `rustc -vV` names: of its component llvm-tools, or a system's package.
pgo profdata="llvm-profdata":
    rm -rf {{profiles}}
    RUSTFLAGS="-Cprofile-generate={{profiles}}" cargo build --release --target {{host}} --target-dir target/pgo-seen
    FIEL=target/pgo-seen/{{host}}/release/fiel PEERS=fiel ROUNDS=1 cargo bench --bench compare -- keepalive logged answers uploads connect tls handshakes http2
    {{profdata}} merge --output={{profiles}}/fiel.profdata {{profiles}}
    RUSTFLAGS="-Cprofile-use={{profiles}}/fiel.profdata" cargo build --release --target {{host}} --target-dir target/pgo-built
    @echo target/pgo-built/{{host}}/release/fiel

# A canary at work, in one process
demo:
    cargo run --release -- demo
