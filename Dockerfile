# syntax=docker/dockerfile:1

# One image for every role: `docker run scailabs/scaidrive api`, `worker`, `migrate` or `serve`. The command line is in
# it, too: `docker exec CONTAINER scaidrive config check`.
#
# Same sources and same bases give the same programs: the lock file is obeyed and no path of the build is kept. Name the
# bases by digest to hold them still: --build-arg RUST_IMAGE=rust@sha256:… --build-arg RUNTIME_IMAGE=debian@sha256:…
ARG RUST_IMAGE=rust:1.94-slim-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# Stack traces keep the names of functions; the rest of the symbols would be four fifths of the program.
ENV CARGO_INCREMENTAL=0 \
    CARGO_PROFILE_RELEASE_DEBUG=false \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo \
    RUSTFLAGS="--remap-path-prefix=/src=scaidrive --remap-path-prefix=/usr/local/cargo/registry=registry"
COPY . .
# What is downloaded and compiled stays in the builder's cache; only the two programs leave it.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --features scaidrive-http/otel --bin scaidrive-server --bin scaidrive \
    && install -D -m 755 -t /out target/release/scaidrive-server target/release/scaidrive

FROM ${RUNTIME_IMAGE} AS runtime
# The roots of trust, for an identity provider and a store behind TLS, are all that the base lacks. They come in
# whatever version is current: an old list of authorities is no virtue.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/ldconfig/aux-cache \
    && groupadd --gid 10001 scaidrive \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/scaidrive --shell /usr/sbin/nologin scaidrive \
    && install -d -o 10001 -g 10001 -m 700 /var/lib/scaidrive
COPY --from=build /out/ /usr/local/bin/
COPY --chmod=755 deploy/scaidrive-probe /usr/local/bin/

ENV SCAIDRIVE_LISTEN=0.0.0.0:8000 \
    SCAIDRIVE_METRICS_LISTEN=0.0.0.0:9000 \
    SCAIDRIVE_DATA_DIR=/var/lib/scaidrive
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/scaidrive
# The API; metrics and probes, for operators alone.
EXPOSE 8000 9000
# Whether the process lives, and no more: whoever restarts what is unhealthy must not do so because a database is down.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["scaidrive-probe", "health"]
ENTRYPOINT ["scaidrive-server"]

ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ScaiDrive" \
      org.opencontainers.image.description="Enterprise file sync and share: server and command line" \
      org.opencontainers.image.source="https://github.com/scailabs/scaidrive" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
