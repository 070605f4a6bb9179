# syntax=docker/dockerfile:1
# A static binary and nothing else: docker build -t fiel . (or podman). docs/sidecar.md says how it is run and checked.

FROM rust:1.95-bookworm AS build
# 1 for a binary that is shaped by a profile: built, put to work, and built again (benches/profiled). It needs two cores.
ARG PROFILED=0
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates musl-tools \
        $([ "$PROFILED" = 0 ] || echo nginx wrk nghttp2-client) \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The machine that builds decides the architecture: x86_64 or aarch64. Packed relocations are half a megabyte less to be
# read at the start. The musl of this toolchain knows them (1.2.4); with an older one, or an older glibc, nothing would run.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    machine="$(uname -m)" \
    && target="$machine-unknown-linux-musl" \
    && relocations="-C link-arg=-Wl,-z,pack-relative-relocs" \
    && rustup target add "$target" \
    && export "CC_${machine}_unknown_linux_musl=musl-gcc" \
    && if [ "$PROFILED" = 0 ]; then \
        cargo rustc --release --locked --target "$target" --bin fiel -- $relocations \
        && cp "target/$target/release/fiel" /fiel; \
    else \
        rustup component add llvm-tools \
        && benches/profiled "$target" $relocations \
        && cp "target/pgo-built/$target/release/fiel" /fiel; \
    fi \
    && /fiel check --config config/quickstart.yaml

FROM scratch
# For TLS to endpoints that the public authorities vouch for.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
COPY --from=build /fiel /fiel
# A number, so that runAsNonRoot can see that it is not root; 65532 is what others call nonroot.
USER 65532:65532
ENTRYPOINT ["/fiel"]
CMD ["run", "--config", "/etc/fiel/config/fiel.yaml"]
