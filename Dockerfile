# One image with all of Drover: `drover` (serve, and the tools) and the roles of a fleet. The command chooses.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p drover -p api -p seed-worker -p exec-worker -p monitor-worker \
    && mkdir /out \
    && cp target/release/drover target/release/api target/release/seed-worker target/release/exec-worker target/release/monitor-worker /out/

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/drover drover
COPY --from=build /out/ /usr/local/bin/
USER drover
WORKDIR /var/lib/drover
# Inside a container the others are elsewhere; outside, the defaults stay on the loopback interface. An API that listens so needs
# users: AUTH_FILE or AUTH_USERS, or ALLOW_UNAUTHENTICATED=true if its port is published on loopback alone (docs/security.md).
ENV LISTEN_ADDR=0.0.0.0:8080 ADMIN_ADDR=0.0.0.0:9090 HEALTHCHECK_URL=http://127.0.0.1:9090/readyz LOG_FORMAT=json
EXPOSE 8080 9090
CMD ["drover", "serve"]
