#!/usr/bin/env bash
# A second RabbitMQ, of version 4, from the distribution's next release, beside the machine's own: in a folder of its own.
#
#   broker4.sh make ROOT             download it (as root; needs debootstrap), about 400 MB
#   broker4.sh run ROOT DATA PROGRAM ARGS…
#                                    run a program of it as the same process id, with DATA in its place
#
# Mounts are made in a mount namespace that ends with the program, so nothing is left behind.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
RELEASE=trixie

make_root() {
    local root=$1 mirror
    [ -e "$root/.complete" ] && return 0
    . "$HERE/../servers.sh"
    need debootstrap:debootstrap
    mirror=$(sed -n 's/^URIs: *\(http[^ ]*debian\) *$/\1/p; s/^deb \(\[[^]]*\] \)\{0,1\}\(http[^ ]*debian\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)
    say "making a root with RabbitMQ 4 in $root…"
    # A mirror may fail to answer once.
    for attempt in 1 2 3; do
        rm -rf "$root"; mkdir -p "$root"
        debootstrap --variant=minbase "$RELEASE" "$root" ${mirror:+"$mirror"} >"$root.log" 2>&1 && break
        tail -n 5 "$root.log" >&2
        [ "$attempt" -lt 3 ] || return 1
        sleep 5
    done
    # Packages must not start servers of their own.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"; chmod +x "$root/usr/sbin/policy-rc.d"
    cp -f /etc/apt/apt.conf.d/*proxy* "$root/etc/apt/apt.conf.d/" 2>/dev/null || true
    cp -f /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
    unshare --mount bash -c "mount -t proc proc '$root/proc' && DEBIAN_FRONTEND=noninteractive chroot '$root' apt-get install -y -q --no-install-recommends rabbitmq-server" >>"$root.log" 2>&1 ||
        { tail -n 5 "$root.log" >&2; return 1; }
    touch "$root/.complete"
}

run() {
    local root=$1 data=$2; shift 2
    mkdir -p "$root$data"
    export ROOT="$root" DATA="$data"
    exec unshare --mount bash -c 'mount -t proc proc "$ROOT/proc" && mount --bind "$DATA" "$ROOT$DATA" && exec chroot "$ROOT" "$@"' run "$@"
}

command=${1:-}; [ $# -gt 0 ] && shift
case $command in
    make) make_root "$1" ;;
    run) run "$@" ;;
    *) sed -n '2,8p' "$0" | sed 's/^# \{0,1\}//'; exit 2 ;;
esac
