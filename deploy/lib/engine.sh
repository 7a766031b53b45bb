# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# engine — the container engine: the one that answers, else one of our own for this DIR.
#
# Our own keeps its data in DIR/engine/data. Socket, pid and everything that must not outlive the machine are in
# $ENGINE_RUN: below /run, since the path of a socket may have 107 bytes only. It sets no rules of a firewall
# (--iptables=false): an engine that does so empties, as it starts, the chains of every other engine of the machine.
# What our networks need is in one chain of ours, SLUICE-ENGINE, which several such engines share.

ENGINE_RUNS=/run/sluice-engine
ENGINE_RUN=''
ENGINE_CHAIN=SLUICE-ENGINE
# The networks of our engines; the engine itself leaves out what the machine already has a route for.
ENGINE_POOL=10.213.0.0/16
# Of these those that compose files leave to the engine; the lower half is for fixed addresses (SLUICE_CLUSTER_NET=10.213).
ENGINE_POOL_ANY=10.213.128.0/17
ENGINE_READY_S=60
ENGINE_STOP_S=60

engine_init() {
    local name
    name=$(printf '%s' "$DIR" | sha256sum)
    ENGINE_RUN=$ENGINE_RUNS/${name:0:8}
}

engine_own_host() {
    printf 'unix://%s/docker.sock\n' "$ENGINE_RUN"
}

# engine_answers HOST
engine_answers() {
    command -v docker >/dev/null &&
        DOCKER_HOST=$1 timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

engine_is_own() {
    [[ ${OPTION[engine]} == "$(engine_own_host)" ]]
}

# --- which one ---

# Sets OPTION[engine]: the one that this stack already has, the caller's, the machine's, or our own.
engine_choose() {
    local own
    own=$(engine_own_host)
    if [[ -z ${OPTION[engine]} ]]; then
        if [[ -n ${DOCKER_HOST:-} ]] && ! engine_is_stale "$own"; then
            OPTION[engine]=$DOCKER_HOST
        elif engine_answers unix:///var/run/docker.sock; then
            OPTION[engine]=unix:///var/run/docker.sock
        else
            OPTION[engine]=$own
        fi
    fi
    engine_use
}

# A DOCKER_HOST that comes from a DIR/env, of this DIR or of one whose engine is gone.
engine_is_stale() {
    [[ $DOCKER_HOST == "$1" ]] || { [[ $DOCKER_HOST == "unix://$ENGINE_RUNS/"* ]] && ! engine_answers "$DOCKER_HOST"; }
}

# What docker and compose are told by this process and its children, whatever the caller's shell had in mind.
engine_use() {
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH COMPOSE_PROFILES COMPOSE_PATH_SEPARATOR COMPOSE_ENV_FILES
    export DOCKER_HOST=${OPTION[engine]}
    # docker-compose gives up waiting for the engine after 60 s; a drain may last longer.
    export COMPOSE_HTTP_TIMEOUT=600
}

engine_has_compose() {
    command -v docker-compose >/dev/null || docker compose version >/dev/null 2>&1
}

# The packages that are missing for what will be done. Commands count, not packages: an engine of Docker's own
# repository must not be replaced.
engine_packages() {
    if ! command -v docker >/dev/null; then
        printf 'docker.io\n'
    elif engine_is_own && ! command -v dockerd >/dev/null && [[ ! -x /usr/sbin/dockerd ]]; then
        printf 'docker.io\n'
    fi
    { command -v docker >/dev/null && engine_has_compose; } || printf 'docker-compose\n'
    ! engine_is_own || [[ -n $(engine_iptables) ]] || printf 'iptables\n'
    ! engine_needs_bridge || [[ -n $(engine_ip) ]] || printf 'iproute2\n'
    command -v curl >/dev/null || printf 'curl\n'
}

# Ordinary users have no sbin in their path.
engine_iptables() {
    PATH=$PATH:/usr/sbin:/sbin command -v iptables || true
}

engine_ip() {
    PATH=$PATH:/usr/sbin:/sbin command -v ip || true
}

# --- our own: its bridge ---

# No container of ours is on the default bridge; but an engine that is told to have none removes docker0, whosever it is.
engine_needs_bridge() {
    engine_is_own && [[ -e /sys/class/net/docker0 ]]
}

engine_bridge_name() {
    printf 'sluice%s\n' "${ENGINE_RUN##*/}"
}

# Makes the default bridge where there must be one, and prints its name, or none.
engine_bridge() {
    local name
    name=$(engine_bridge_name)
    if [[ ! -e /sys/class/net/$name ]]; then
        if ! engine_needs_bridge; then
            printf 'none\n'
            return 0
        fi
        as_root "$(engine_ip)" link add "$name" type bridge >&2 || die "the bridge $name cannot be made"
    fi
    printf '%s\n' "$name"
}

engine_bridge_drop() {
    local name
    name=$(engine_bridge_name)
    [[ ! -e /sys/class/net/$name ]] || as_root "$(engine_ip)" link del "$name" || warn "the bridge $name is still there"
}

# --- our own: starting ---

engine_pid() {
    local pid
    pid=$(cat "$ENGINE_RUN/docker.pid" 2>/dev/null) || return 1
    is_number "$pid" || return 1
    # A pid is given again to others; nobody else has this path in the command line.
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$ENGINE_RUN/docker.pid" || return 1
    printf '%s\n' "$pid"
}

# Whether a dockerd of ours is there, also one that has not written its pid yet.
engine_lives() {
    [[ -n $(engine_processes dockerd) ]]
}

# engine_processes NAME: the processes of that name, or of one that begins so, which have our run folder or our name
# space in their command line.
engine_processes() {
    local proc name
    for proc in /proc/[0-9]*; do
        { name=$(<"$proc/comm"); } 2>/dev/null || continue
        [[ $name == "$1"* ]] || continue
        tr '\0' ' ' <"$proc/cmdline" 2>/dev/null | grep -qF -e "$ENGINE_RUN/" -e "-namespace sluice-${ENGINE_RUN##*/} " &&
            printf '%s\n' "${proc##*/}"
    done
    return 0
}

# engine_launch OPTION…: a session of its own, which a Ctrl-C of the caller does not reach.
engine_launch() {
    local id=${ENGINE_RUN##*/} bridge
    bridge=$(engine_bridge) || exit 1
    # A containerd of the machine is used as it is, in namespaces of our own.
    # shellcheck disable=SC2016  # expanded by the inner shell
    as_root setsid -f /bin/sh -c 'PATH=$PATH:/usr/sbin:/sbin; umask 022; ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -H -n)"; exec "$@"' sluice-engine \
        dockerd --data-root "$DIR/engine/data" --exec-root "$ENGINE_RUN/exec" --pidfile "$ENGINE_RUN/docker.pid" \
        --host "$(engine_own_host)" --group root --bridge "$bridge" --iptables=false --ip6tables=false --ip-forward=false \
        --default-address-pool "base=$ENGINE_POOL_ANY,size=24" \
        --containerd-namespace "sluice-$id" --containerd-plugins-namespace "sluice-plugins-$id" \
        "$@" >>"$DIR/log/engine.log" 2>&1 </dev/null 9>&-
    wait_until 5 engine_lives || true
    wait_until "$ENGINE_READY_S" engine_is_decided
}

# Whether it answers, or is dead, which ends the waiting. The socket belongs to who started it: root, or the user who
# may become root anyway.
engine_is_decided() {
    if [[ -S $ENGINE_RUN/docker.sock && ! -O $ENGINE_RUN/docker.sock ]]; then
        as_root chown "$EUID" "$ENGINE_RUN/docker.sock"
        as_root chmod 600 "$ENGINE_RUN/docker.sock"
    fi
    engine_answers "$(engine_own_host)" || ! engine_lives
}

# Starts ours if it is the one, and does not run.
engine_start() {
    local driver
    if ! engine_is_own; then
        engine_answers "$DOCKER_HOST" || die "the container engine does not answer: DOCKER_HOST=$DOCKER_HOST"
        return 0
    fi
    if ! engine_answers "$DOCKER_HOST"; then
        say "Starting a container engine (log: $DIR/log/engine.log)"
        as_root mkdir -p "$DIR/engine/data" "$ENGINE_RUN"
        engine_sweep
        engine_launch || true
        engine_answers "$DOCKER_HOST" || engine_start_plainly
    fi
    engine_rules
    driver=$(docker info --format '{{.Driver}}')
    [[ $driver != vfs ]] || say "Note: the file system below $DIR lets the engine copy only (vfs): slow, and large."
}

# Where overlay2 is promised and does not work.
engine_start_plainly() {
    engine_kill
    warn "the engine did not start; trying the storage driver vfs"
    engine_launch --storage-driver vfs || true
    ! engine_answers "$DOCKER_HOST" || return 0
    tail -n 25 "$DIR/log/engine.log" >&2
    die "the container engine does not start (log: $DIR/log/engine.log)"
}

# --- our own: the rules of its networks ---

engine_table() {
    as_root "$(engine_iptables)" -w 10 "$@" >>"$DIR/log/engine.log" 2>&1
}

# Containers of one network see each other, those of two do not; all may call out, under the machine's address.
engine_rules() {
    engine_table -n -L "$ENGINE_CHAIN" && engine_table -C FORWARD -j "$ENGINE_CHAIN" && return 0
    engine_rules_drop
    if ! engine_rules_make; then
        engine_rules_drop
        warn "no rules for the firewall (see $DIR/log/engine.log): containers may not reach tenants elsewhere"
    fi
}

engine_rules_make() {
    local pool=$ENGINE_POOL chain=$ENGINE_CHAIN
    engine_table -N "$chain" && engine_table -t nat -N "$chain" || return 1
    # Only where bridges are filtered; then what stays on one bridge comes by here as well.
    engine_table -A "$chain" -s "$pool" -d "$pool" -m physdev --physdev-is-bridged -j ACCEPT || true
    engine_table -A "$chain" -s "$pool" -d "$pool" -j DROP &&
        engine_table -A "$chain" -s "$pool" -j ACCEPT &&
        engine_table -A "$chain" -d "$pool" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT &&
        engine_table -A "$chain" -d "$pool" -j DROP &&
        engine_forward &&
        engine_table -t nat -A "$chain" -s "$pool" ! -d "$pool" -j MASQUERADE &&
        engine_table -t nat -I POSTROUTING -j "$chain" &&
        engine_table -I FORWARD -j "$chain"
}

# A machine that was no router becomes none for others.
engine_forward() {
    [[ $(</proc/sys/net/ipv4/ip_forward) == 0 ]] || return 0
    engine_table -A "$ENGINE_CHAIN" -j DROP &&
        as_root touch "$ENGINE_RUNS/forwards" &&
        as_root sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# With the last of our engines.
engine_rules_drop() {
    local chain=$ENGINE_CHAIN
    if [[ -e $ENGINE_RUNS/forwards ]]; then
        as_root sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
        as_root rm -f "$ENGINE_RUNS/forwards"
    fi
    while engine_table -D FORWARD -j "$chain"; do :; done
    while engine_table -t nat -D POSTROUTING -j "$chain"; do :; done
    engine_table -F "$chain" && engine_table -X "$chain"
    engine_table -t nat -F "$chain" && engine_table -t nat -X "$chain"
    return 0
}

# --- our own: stopping ---

engine_is_gone() {
    ! engine_lives
}

engine_stop() {
    local pid
    if [[ ! -e $ENGINE_RUN ]]; then
        engine_sweep
        return 0
    fi
    say "Stopping the container engine"
    for pid in $(engine_processes dockerd); do
        as_root kill -TERM "$pid" || true
    done
    wait_until "$ENGINE_STOP_S" engine_is_gone || warn "the engine did not end within $ENGINE_STOP_S s: killed"
    engine_kill
    engine_sweep
    engine_bridge_drop
    as_root rm -rf "$ENGINE_RUN"
    # The chain is for all of them; it goes with the last one.
    if [[ -z $(engine_others) ]]; then
        [[ -z $(engine_iptables) ]] || engine_rules_drop
        as_root rmdir "$ENGINE_RUNS" 2>/dev/null || true
    fi
}

engine_others() {
    find "$ENGINE_RUNS" -mindepth 1 -maxdepth 1 -type d ! -path "$ENGINE_RUN" 2>/dev/null || true
}

engine_kill() {
    local name pid
    for name in dockerd containerd; do
        for pid in $(engine_processes "$name"); do
            as_root kill -KILL "$pid" 2>/dev/null || true
        done
    done
    wait_until 10 engine_is_gone || warn "the engine cannot be killed"
}

# What an engine leaves that was killed: file systems of containers, name spaces of networks, a stale pid.
engine_sweep() {
    local at
    while read -r at; do
        as_root umount -l "$at" 2>/dev/null || true
    done < <(awk -v run="$ENGINE_RUN/" -v data="$DIR/engine/data/" \
        'index($5 "/", run) == 1 || index($5 "/", data) == 1 {print $5}' /proc/self/mountinfo | sort -r)
    if [[ -e $ENGINE_RUN && -z $(engine_processes dockerd) ]]; then
        as_root rm -f "$ENGINE_RUN/docker.pid" "$ENGINE_RUN/docker.sock"
    fi
}
