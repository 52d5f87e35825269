# syntax=docker/dockerfile:1
#
#   docker build -t talkgraph .
#   docker build -t talkgraph --build-arg FEATURES=embedded-model .   # with a small model inside
#
#   docker run -p 8080:8080 -v talkgraph-data:/data -e OPENAI_API_KEY \
#     -v "$PWD/talkgraph.toml:/app/talkgraph.toml:ro" talkgraph
#
# The server listens on all addresses here (a container's loopback is of no use),
# and does so only with at least one key: from talkgraph.toml, TALKGRAPH_AUTH__KEYS, a file or a
# folder (docs/security.md), or the container ends at once with an error that says so.
#
# A folder mounted on /data must be writable by the user 65532. Runs are drained on
# SIGTERM: give them more than Docker's 10 seconds with `docker run --stop-timeout 60`.

# Base images are named by digest too, so that the same source gives the same image. To take a
# newer one, change tag and digest together: docker buildx imagetools inspect IMAGE:TAG

# --- the model, when the feature asks for it; otherwise an empty folder ---------
FROM python:3.13-slim-bookworm@sha256:fcbd8dfc2605ba7c2eca646846c5e892b2931e41f6227985154a596f26ab8ed7 AS model
WORKDIR /model
RUN mkdir models
COPY scripts/fetch-model scripts/
ARG FEATURES=""
RUN case "$FEATURES" in *embedded-model*) scripts/fetch-model --dir /model/models ;; esac

# --- the binary -----------------------------------------------------------------
FROM rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
WORKDIR /src
# The final image has no shell to make the folder with.
RUN install --directory --owner=65532 --group=65532 /data
COPY . .
ARG FEATURES=""
# The caches are shared between builds and not in the image: copy the binary out in
# the same step. `locked`, because two builds writing one target folder break both.
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --profile dist --locked --features "$FEATURES" && \
    cp target/dist/talkgraph /usr/local/bin/

# --- what runs: glibc, root certificates, no shell and no package manager --------
FROM gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Talkgraph" \
      org.opencontainers.image.description="A GraphQL server for AI agents" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
WORKDIR /app
COPY LICENSE-APACHE LICENSE-MIT ./
COPY --from=build --chown=65532:65532 /data /data
COPY --from=model /model/models models
COPY agents agents
COPY --from=build /usr/local/bin/talkgraph /usr/local/bin/talkgraph
ENV DATABASE_URL=sqlite:///data/talkgraph.db \
    PORT=8080 \
    TALKGRAPH_HTTP__ADDRESS=0.0.0.0
# The base image's nonroot user, by number, so that a cluster can see it is not root.
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# Liveness, because what fails this check is restarted, and no restart mends a database that
# is away. Load balancers ask /health/ready. Long enough at the start for migrations and for loading the model.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["/usr/local/bin/talkgraph", "health", "--live"]
ENTRYPOINT ["/usr/local/bin/talkgraph"]
