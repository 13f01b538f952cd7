# Private RabbitMQ and PostgreSQL for tests, the fleet and benchmarks: own ports, own data folders, stopped by who
# started them. To be sourced by bash. Nothing here touches a server that was running before.

PG_BIN=${PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
RABBIT_SERVER=${RABBIT_SERVER:-/usr/lib/rabbitmq/bin/rabbitmq-server}
RABBIT_CTL=${RABBIT_CTL:-/usr/lib/rabbitmq/bin/rabbitmqctl}
WAIT_S=90

say() { printf '%s\n' "$*" >&2; }

# need PACKAGE:PATH-OR-COMMAND … : installs from the distribution what is missing (as root), else says what is.
need() {
    local missing=() pair package probe
    for pair in "$@"; do
        package=${pair%%:*} probe=${pair#*:}
        # shellcheck disable=SC2086
        command -v "$probe" >/dev/null 2>&1 || ls $probe >/dev/null 2>&1 || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        say "missing: ${missing[*]}. Install them (apt-get install ${missing[*]}) or run this as root."
        return 1
    fi
    say "installing ${missing[*]} from the distribution…"
    # Packages must not start servers of their own while they are installed.
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made=1; fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
        { apt-get update -q >/dev/null 2>&1; DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2; }
    local status=$?
    [ -n "$made" ] && rm -f "$policy"
    PG_BIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
    return $status
}

need_servers() { need rabbitmq-server:"$RABBIT_SERVER" postgresql:'/usr/lib/postgresql/*/bin/initdb'; }

# A port that nobody listens on, below the ephemeral range and outside RabbitMQ's own (35672…).
free_port() {
    local port
    for _ in $(seq 200); do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return 0; }
    done
    say "no free port found"; return 1
}

port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# wait_until WHAT COMMAND… : at most WAIT_S seconds.
wait_until() {
    local what=$1 end=$((SECONDS + WAIT_S)); shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { say "$what did not come up within $WAIT_S s"; return 1; }
        sleep 0.1
    done
}

as_postgres() { if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

# pg_start DIR PORT : a cluster in DIR (made if there is none), user and database drover, no password, loopback only.
pg_start() {
    local dir=$1 port=$2
    if [ ! -e "$dir/PG_VERSION" ]; then
        mkdir -p "$dir" && chmod 700 "$dir"
        [ "$(id -u)" -eq 0 ] && chown postgres "$dir"
        as_postgres "$PG_BIN/initdb" -D "$dir" -A trust -U drover -E UTF8 --locale=C.UTF-8 >/dev/null || return 1
        as_postgres tee -a "$dir/postgresql.conf" >/dev/null <<-EOF
			listen_addresses = '127.0.0.1'
			unix_socket_directories = '$dir'
			max_connections = 300
			shared_buffers = 256MB
			max_wal_size = 4GB
			wal_compression = lz4
			log_min_messages = error
		EOF
        # Every address of the loopback is this machine; the server listens on one, and a proxy calls from others.
        printf 'host all all 127.0.0.0/8 trust\n' | as_postgres tee -a "$dir/pg_hba.conf" >/dev/null
        # Tests throw their data away: they need no disk to be sure of it.
        [ -n "${PG_FAST:-}" ] && printf 'fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n' | as_postgres tee -a "$dir/postgresql.conf" >/dev/null
    fi
    as_postgres "$PG_BIN/pg_ctl" -D "$dir" -o "-p $port" -l "$dir/log" -w -t $WAIT_S start >/dev/null || { tail -n 20 "$dir/log" >&2; return 1; }
    as_postgres "$PG_BIN/psql" -h 127.0.0.1 -p "$port" -U drover -d postgres -qAt -c 'CREATE DATABASE drover' >/dev/null 2>&1
    return 0
}
# pg_up DIR PORT : starts what is not there, and waits for what recovers from a crash by itself, or ends while it does.
pg_serves() { as_postgres "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$2" && return; port_open "$2" || pg_start "$1" "$2"; }
pg_up() { port_open "$2" || pg_start "$1" "$2" || return 1; wait_until "PostgreSQL" pg_serves "$1" "$2"; }
pg_pid() { head -n 1 "$1/postmaster.pid" 2>/dev/null; }
pg_stop() { [ -e "$1/postmaster.pid" ] && as_postgres "$PG_BIN/pg_ctl" -D "$1" -m immediate -w stop >/dev/null; return 0; }

# Everything a node of our own needs to know; the CLI needs the same. Nodes of one cluster share RABBIT_EPMD_PORT.
rabbit_env() {
    local dir=$1 port=$2
    export HOME="$dir" RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_NODENAME="drover$port@localhost" \
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT=$((port + 1)) \
        ERL_EPMD_PORT="${RABBIT_EPMD_PORT:-$((port + 2))}" ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_BASE="$dir" RABBITMQ_MNESIA_BASE="$dir/data" \
        RABBITMQ_LOG_BASE="$dir/log" RABBITMQ_PID_FILE="$dir/pid" RABBITMQ_ENABLED_PLUGINS_FILE="$dir/plugins" \
        RABBITMQ_CONFIG_FILE="$dir/rabbitmq.conf" RABBITMQ_ADVANCED_CONFIG_FILE="$dir/advanced.config" \
        RABBITMQ_GENERATED_CONFIG_DIR="$dir/generated" RABBITMQ_SCHEMA_DIR="$dir/schema" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none' RUNNING_UNDER_SYSTEMD=true \
        ERL_CRASH_DUMP="$dir/log/erl_crash.dump"
}
rabbit_ctl() { local dir=$1 port=$2; shift 2; (rabbit_env "$dir" "$port"; "$RABBIT_CTL" -q "$@"); }

# rabbit_start DIR PORT : a node in a process group of its own; takes PORT to PORT + 2. Its pid is in DIR/pid.
rabbit_start() {
    local dir=$1 port=$2
    mkdir -p "$dir"/{data,log,generated,schema}
    : >"$dir/plugins"; printf '[].\n' >"$dir/plugins"
    printf 'loopback_users = none\nlog.file.level = warning\n' >"$dir/rabbitmq.conf"
    (rabbit_env "$dir" "$port"; exec setsid "$RABBIT_SERVER" >"$dir/log/out" 2>&1 </dev/null) &
    echo $! >"$dir/group"
    disown
    wait_until "RabbitMQ" port_open "$port" || { tail -n 20 "$dir/log/out" >&2; return 1; }
    wait_until "RabbitMQ" rabbit_ctl "$dir" "$port" await_startup
}
rabbit_pid() { cat "$1/pid" 2>/dev/null || cat "$1/group" 2>/dev/null; }
rabbit_stop() {
    local dir=$1 port=$2 pid
    pid=$(rabbit_pid "$dir")
    if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then
        kill -TERM "$pid"
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        kill -KILL "$pid" 2>/dev/null
    fi
    epmd -port "${RABBIT_EPMD_PORT:-$((port + 2))}" -kill >/dev/null 2>&1
    rm -f "$dir/pid" "$dir/group"
    return 0
}
