# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# parts — the processes of a stack: their ports, how each is started, when it is ready, and how long
# it may take to end. Names: epmd rabbitmq redis tenant dispatcher[-N] worker-N ingress[-N].

RABBITMQ_BIN=/usr/lib/rabbitmq/bin

# How long each kind may take to end. A worker ends when its running attempts have, an ingress when
# its waiting callers are answered; the broker writes what it holds.
declare -A STOP_BOUND_S=(
    [ingress]=45 [dispatcher]=20 [worker]=120 [tenant]=10 [redis]=60 [rabbitmq]=90 [epmd]=10)
declare -A READY_BOUND_S=(
    [ingress]=60 [dispatcher]=60 [worker]=60 [tenant]=10 [redis]=120 [rabbitmq]=180 [epmd]=20)

part_kind() {
    printf '%s\n' "${1%%-*}"
}

part_number() {
    case $1 in
    *-*) printf '%s\n' "${1##*-}" ;;
    *) printf '1\n' ;;
    esac
}

# The name of the Nth of a kind.
part_name() {
    if [[ $1 == worker ]] || (($2 > 1)); then
        printf '%s-%s\n' "$1" "$2"
    else
        printf '%s\n' "$1"
    fi
}

part_port() {
    local number offset
    number=$(part_number "$1")
    case $(part_kind "$1") in
    ingress) offset=$((number == 1 ? 0 : 58 + number)) ;;
    dispatcher) offset=$((number == 1 ? 1 : 38 + number)) ;;
    worker) offset=$((number == 1 ? 2 : 18 + number)) ;;
    rabbitmq) offset=10 ;;
    redis) offset=11 ;;
    distribution) offset=12 ;;
    tenant) offset=13 ;;
    epmd) offset=14 ;;
    esac
    printf '%s\n' $(("${OPTION[port_base]}" + offset))
}

part_url() {
    case $1 in
    rabbitmq) printf 'amqp://guest:guest@127.0.0.1:%s/%%2f\n' "$(part_port rabbitmq)" ;;
    redis) printf 'redis://127.0.0.1:%s/0\n' "$(part_port redis)" ;;
    *) printf 'http://127.0.0.1:%s\n' "$(part_port "$1")" ;;
    esac
}

part_binary() {
    local name
    case $(part_kind "$1") in
    tenant) name=sluice-sample-tenant ;;
    *) name=sluice-$(part_kind "$1") ;;
    esac
    if [[ -n ${OPTION[prefix]} && ! -x ${OPTION[prefix]}/bin/$name ]]; then
        printf '%s\n' "${OPTION[prefix]}/$name"
    else
        printf '%s\n' "${OPTION[prefix]:-$SLUICE_ROOT/build/release}/bin/$name"
    fi
}

# --- what each needs in DIR before it starts ---

memory_mib() {
    awk '/^MemTotal:/ {print int($2 / 1024)}' /proc/meminfo
}

# Everything that RabbitMQ reads from its environment, for the server and for rabbitmqctl. Scripts
# under /usr/sbin refuse ordinary users; those in $RABBITMQ_BIN do not.
rabbitmq_variables() {
    local home=$DIR/rabbitmq
    local port distribution epmd
    port=$(part_port rabbitmq)
    distribution=$(part_port distribution)
    epmd=$(part_port epmd)
    cat <<END
HOME=$home/home
RABBITMQ_CONF_ENV_FILE=/dev/null
RABBITMQ_NODENAME=sluice@localhost
RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
RABBITMQ_NODE_PORT=$port
RABBITMQ_DIST_PORT=$distribution
ERL_EPMD_PORT=$epmd
ERL_EPMD_ADDRESS=127.0.0.1
ERL_CRASH_DUMP=$home/erl_crash.dump
RABBITMQ_MNESIA_BASE=$home/mnesia
RABBITMQ_LOG_BASE=$home/log
RABBITMQ_LOGS=-
RABBITMQ_PID_FILE=$home/pid
RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf
RABBITMQ_ADVANCED_CONFIG_FILE=$home/advanced.config
RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins
RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}
RABBITMQ_CTL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}
RUNNING_UNDER_SYSTEMD=true
LANG=C.UTF-8
LC_ALL=C.UTF-8
END
}

rabbitmq_prepare() {
    local home=$DIR/rabbitmq name value
    local memory=$(($(memory_mib) * 2 / 5))
    mkdir -p "$home/home" "$home/mnesia" "$home/log"
    chmod 700 "$home"
    write_whole "$home/rabbitmq.conf" <<END
vm_memory_high_watermark.absolute = $((memory > 1024 ? 1024 : memory))MiB
disk_free_limit.absolute = 200MB
# The default of 512 MB is kept in memory too, until it is written out.
raft.wal_max_size_bytes = 64000000
# A worker has one channel a queue, two queues a tenant: the default, 2047, is enough for a thousand tenants.
channel_max = 65535
log.console.level = warning
END
    # A level of the delay ladder stops at so many messages whose target does not confirm. It forwards them
    # again after the timeout (default: three minutes): so long stands what was due while the broker was down,
    # when a level is back before the exchange that it forwards to.
    write_whole "$home/advanced.config" <<'END'
[{rabbit, [{dead_letter_worker_consumer_prefetch, 512},
           {dead_letter_worker_publisher_confirm_timeout, 5000}]}].
END
    write_whole "$home/enabled_plugins" <<<'[].'
    # For people and tests: ( set -a; . DIR/rabbitmq/env; /usr/lib/rabbitmq/bin/rabbitmqctl … )
    rabbitmq_variables | while IFS='=' read -r name value; do
        printf 'export %s=%q\n' "$name" "$value"
    done | write_whole "$home/env"
}

redis_prepare() {
    local memory=$(($(memory_mib) / 4))
    mkdir -p "$DIR/redis"
    chmod 700 "$DIR/redis"
    write_whole "$DIR/redis/redis.conf" <<END
bind 127.0.0.1
port $(part_port redis)
dir "$DIR/redis"
daemonize no
logfile ""
save ""
appendonly yes
appendfsync always
maxmemory $((memory > 2048 ? 2048 : memory))mb
maxmemory-policy noeviction
END
}

# The configuration that the daemons read.
config_file() {
    printf '%s\n' "${OPTION[config]:-$DIR/sluice.yaml}"
}

# The sample with this stack's port. Rewritten only when it differs: a change makes daemons reload.
config_prepare() {
    local rendered
    [[ -z ${OPTION[config]} ]] || return 0
    rendered=$(sed "s|127\.0\.0\.1:8093|127.0.0.1:$(part_port tenant)|" "$SLUICE_ROOT/deploy/sluice.yaml")
    [[ -r $DIR/sluice.yaml && $(<"$DIR/sluice.yaml") == "$rendered" ]] ||
        write_whole "$DIR/sluice.yaml" <<<"$rendered"
}

# --- starting ---

# part_command NAME: sets COMMAND.
part_command() {
    local listen
    listen=127.0.0.1:$(part_port "$1")
    case $(part_kind "$1") in
    epmd) COMMAND=(epmd -address 127.0.0.1 -port "$(part_port epmd)") ;;
    rabbitmq) COMMAND=("$RABBITMQ_BIN/rabbitmq-server") ;;
    redis) COMMAND=(redis-server "$DIR/redis/redis.conf") ;;
    tenant)
        COMMAND=("$(part_binary tenant)" --listen "$listen" --ledger "$DIR/ledger.jsonl" --name sample-1)
        ;;
    *) COMMAND=("$(part_binary "$1")" --config "$(config_file)" --listen "$listen") ;;
    esac
}

# In the environment of the process that comes.
part_environment() {
    local name value
    case $(part_kind "$1") in
    epmd | rabbitmq)
        for name in $(compgen -e | grep -E '^(RABBITMQ|ERL)_' || true); do
            unset "$name"
        done
        while IFS='=' read -r name value; do
            export "$name=$value"
        done < <(rabbitmq_variables)
        ;;
    ingress | dispatcher | worker)
        SLUICE_CFG_BROKER_URL=$(part_url rabbitmq)
        SLUICE_CFG_STORE_URL=$(part_url redis)
        export SLUICE_CFG_BROKER_URL SLUICE_CFG_STORE_URL
        ;;
    esac
}

part_prepare() {
    case $1 in
    rabbitmq) rabbitmq_prepare ;;
    redis) redis_prepare ;;
    esac
}

part_check_port() {
    ! port_answers "$(part_port "$1")" ||
        die "port $(part_port "$1"), which $1 needs, is in use: choose another --port-base"
}

# part_start NAME: starts it unless it runs as it should; prints the name if it did.
part_start() {
    local name=$1
    local -a COMMAND
    part_command "$name"
    if process_runs "$name"; then
        process_has_command "$name" "${COMMAND[@]}" && return 0
        processes_stop "${STOP_BOUND_S[$(part_kind "$name")]}" "$name"
    fi
    part_check_port "$name"
    part_prepare "$name"
    (
        part_environment "$name"
        process_launch "$name" "${COMMAND[@]}"
    ) || die "$name could not be started"
    printf '%s\n' "$name"
}

# --- being ready ---

amqp_answers() {
    # A broker that has come up answers the protocol header with a method frame: type 1.
    # shellcheck disable=SC2016  # expanded by the inner shell
    [[ $(timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "AMQP\0\0\11\1" >&3 &&
        head -c 1 <&3 | od -An -tu1' amqp "$1" 2>/dev/null) == *1 ]]
}

redis_answers() {
    # Not yet while it loads its file: then the answer is -LOADING.
    # shellcheck disable=SC2016  # expanded by the inner shell
    [[ $(timeout 5 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "PING\r\n" >&3 &&
        head -c 5 <&3' redis "$1" 2>/dev/null) == +PONG ]]
}

http_answers() {
    local_curl --fail --output /dev/null --max-time 2 "$1" 2>/dev/null
}

part_is_ready() {
    local port
    port=$(part_port "$1")
    case $(part_kind "$1") in
    epmd) port_answers "$port" ;;
    rabbitmq) amqp_answers "$port" ;;
    redis) redis_answers "$port" ;;
    tenant) http_answers "http://127.0.0.1:$port/stats" ;;
    *) http_answers "http://127.0.0.1:$port/readyz" ;;
    esac
}

# Ready, or dead, which ends the waiting.
part_is_decided() {
    part_is_ready "$1" || ! process_runs "$1"
}

part_wait_ready() {
    local name=$1 bound
    bound=${READY_BOUND_S[$(part_kind "$name")]}
    if wait_until "$bound" part_is_decided "$name" && process_runs "$name"; then
        return 0
    fi
    process_log_tail "$name"
    process_runs "$name" || die "$name has ended at once"
    case $(part_kind "$name") in
    ingress | dispatcher | worker)
        warn "/readyz says: $(local_curl "http://127.0.0.1:$(part_port "$name")/readyz" 2>&1)"
        ;;
    esac
    die "$name is not ready after $bound s"
}

# --- stopping ---

parts_stop_kind() {
    local -a names
    mapfile -t names < <(process_names "$1"; process_names "$1-[0-9]*")
    ((${#names[@]} == 0)) || processes_stop "${STOP_BOUND_S[$1]}" "${names[@]}"
}

# RabbitMQ starts an epmd of its own when it misses ours, and leaves it behind. It is ours if its
# home is.
epmd_strays() {
    local proc
    for proc in /proc/[0-9]*; do
        [[ $(readlink "$proc/exe" 2>/dev/null) == */epmd ]] || continue
        tr '\0' '\n' <"$proc/environ" 2>/dev/null | grep -qxF "HOME=$DIR/rabbitmq/home" &&
            printf '%s\n' "${proc##*/}"
    done
    return 0
}

epmd_stop() {
    local pid
    parts_stop_kind epmd
    for pid in $(epmd_strays); do
        kill -TERM "$pid" 2>/dev/null || true
    done
}
