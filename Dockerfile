# syntax=docker/dockerfile:1
# A static binary and nothing else: docker build -t fiel . (or podman). docs/sidecar.md says how it is run and checked.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates musl-tools \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The machine that builds decides the architecture: x86_64 or aarch64. Packed relocations are half a megabyte less to be
# read at the start. The musl of this toolchain knows them (1.2.4); with an older one, or an older glibc, nothing would run.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    machine="$(uname -m)" \
    && target="$machine-unknown-linux-musl" \
    && rustup target add "$target" \
    && env "CC_${machine}_unknown_linux_musl=musl-gcc" \
        cargo rustc --release --locked --target "$target" --bin fiel -- \
            -C link-arg=-Wl,-z,pack-relative-relocs \
    && cp "target/$target/release/fiel" /fiel \
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
