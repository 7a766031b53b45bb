# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# containers — a stack of containers in $DIR, by compose. Below DIR/containers, which is its owner's alone:
#
#   config/sluice.yaml   what the daemons read (mounted: readable for their user, who has another number)
#   secrets/store.conf   Redis's password
#   secrets.env          all secrets, for this shell
#   ledger/              the sample tenant's receipts; DIR/ledger.jsonl points there
#   started              is there from before the first container is made until the last one is gone

CONTAINERS_READY_S=240
HAS_OWN_KEYS=no

containers_project() {
    local name
    name=$(printf '%s' "$DIR" | sha256sum)
    printf 'sluice-%s\n' "${name:0:8}"
}

compose() {
    if command -v docker-compose >/dev/null; then
        docker-compose "$@"
    else
        docker compose "$@"
    fi
}

# --- secrets ---

containers_random() {
    od -An -tx1 -N20 /dev/urandom | tr -d ' \n'
}

containers_folders() {
    local home=$DIR/containers
    mkdir -p "$home"
    chmod 700 "$home"
    mkdir -p "$home/config" "$home/check" "$home/secrets" "$home/ledger"
    chmod 755 "$home/config" "$home/check" "$home/secrets"
    # The sample tenant's user has another number than ours.
    chmod 1777 "$home/ledger"
    ln -sfn containers/ledger/ledger.jsonl "$DIR/ledger.jsonl"
}

# Once for a DIR: passwords, and one key for callers and operators.
containers_secrets() {
    local home=$DIR/containers made token entry
    if [[ ! -r $home/secrets.env ]]; then
        made=$(docker run --rm --network none "${IMAGES[sluice]}" \
            sluice keys new --name deploy-up --scopes submit,read,admin --json) || die "no key can be made"
        token=$(sed -n 's/^{"token": "\([^"]*\)".*/\1/p' <<<"$made")
        entry=$(sed -n 's/.*, "key": \({.*}\)}$/\1/p' <<<"$made")
        [[ -n $token && -n $entry ]] || die "sluice keys new said something unexpected"
        (
            umask 077
            write_whole "$home/secrets.env" <<END_OF_SECRETS
BROKER_PASSWORD=$(containers_random)
STORE_PASSWORD=$(containers_random)
KEY=$token
KEY_ENTRY=$entry
END_OF_SECRETS
        )
    fi
    # Its reader is Redis's user; the folder above lets nobody else in.
    [[ -r $home/secrets/store.conf ]] || printf 'include /etc/redis/redis.conf\nmaxmemory %s\nrequirepass %s\n' \
        768mb "$(containers_secret STORE_PASSWORD)" | write_whole "$home/secrets/store.conf"
    chmod 644 "$home/secrets/store.conf"
}

containers_secret() {
    sed -n "s/^$1=//p" "$DIR/containers/secrets.env"
}

# --- configuration ---

# The dispatcher of the image over the file that would come.
containers_dispatcher() {
    docker run --rm --network none --read-only --env SLUICE_CFG_BROKER_URL=amqp://rabbitmq \
        --env SLUICE_CFG_STORE_URL=redis://redis --volume "$DIR/containers/check:/etc/sluice:ro" "${IMAGES[sluice]}" \
        sluice-dispatcher --config /etc/sluice/sluice.yaml --listen 0.0.0.0:8081 "$@"
}

# What the daemons shall read, on stdout, without keys.
containers_source() {
    if [[ -n ${OPTION[config]} ]]; then
        cat "${OPTION[config]}"
    else
        sed "s|127\.0\.0\.1:8093|sample:8093|" "$SLUICE_ROOT/deploy/sluice.yaml"
    fi
}

containers_print() {
    containers_dispatcher --print-config 2>"$DIR/log/check.log" || containers_config_fails
}

containers_config_fails() {
    cat "$DIR/log/check.log" >&2
    die "the configuration is not usable in containers: ${OPTION[config]:-deploy/sluice.yaml}" \
        "(they listen on all addresses of their own, so it must have keys)"
}

# Checks it before anything is started with it, adds our key where there is none, and puts it in place if it differs:
# a change makes daemons reload.
containers_config() {
    local check=$DIR/containers/check/sluice.yaml config=$DIR/containers/config/sluice.yaml printed
    containers_source | write_whole "$check"
    chmod 644 "$check"
    printed=$(containers_print) || exit 1
    if grep -q '^keys: \[\]$' <<<"$printed"; then
        printf '\nkeys:\n  - %s\n' "$(containers_secret KEY_ENTRY)" >>"$check"
    else
        HAS_OWN_KEYS=yes
    fi
    containers_dispatcher --check >"$DIR/log/check.log" 2>&1 || containers_config_fails
    containers_grace "$printed"
    cmp -s "$check" "$config" || mv -f "$check" "$config"
}

# containers_grace PRINTED: how long a worker may take to end, for compose: the longest drain, and some.
containers_grace() {
    local longest
    longest=$(sed -n 's/^  drain_s: \([0-9.]*\)$/\1/p' <<<"$(sed -n '/^worker:/,/^[a-v]/p' <<<"$1")")
    longest=${longest:-$(sed -n 's/^ *total_s: \([0-9.]*\)$/\1/p' <<<"$1" | sort -n | tail -n 1)}
    longest=${longest%.*}
    printf '%s\n' $((${longest:-60} + 30)) | write_whole "$DIR/containers/grace"
}

# --- what compose is told ---

# NAME=VALUE lines.
containers_variables() {
    local home=$DIR/containers here=$SLUICE_ROOT/deploy/container all=${OPTION[dispatchers]}
    cat <<END
DOCKER_HOST=${OPTION[engine]}
COMPOSE_FILE=$here/compose.yaml:$here/compose.loopback.yaml
COMPOSE_PROJECT_NAME=$(containers_project)
COMPOSE_HTTP_TIMEOUT=600
SLUICE_IMAGE=${IMAGES[sluice]:-sluice}
SLUICE_SAMPLE_IMAGE=${IMAGES[sample]:-sluice-sample}
SLUICE_RABBITMQ_IMAGE=${IMAGES[rabbitmq]:-sluice-rabbitmq}
SLUICE_REDIS_IMAGE=${IMAGES[redis]:-sluice-redis}
SLUICE_CONFIG_DIR=$home/config
SLUICE_SECRETS_DIR=$home/secrets
SLUICE_LEDGER_DIR=$home/ledger
SLUICE_BROKER_PASSWORD=$(containers_secret BROKER_PASSWORD)
SLUICE_STORE_PASSWORD=$(containers_secret STORE_PASSWORD)
SLUICE_INGRESS_PORT=$(part_port ingress)
SLUICE_DISPATCHER_PORT=$(part_port dispatcher)
SLUICE_AMQP_PORT=$(part_port rabbitmq)
SLUICE_REDIS_PORT=$(part_port redis)
SLUICE_TENANT_PORT=$(part_port tenant)
SLUICE_WORKERS=${OPTION[workers]}
SLUICE_INGRESSES=${OPTION[ingresses]}
SLUICE_DISPATCHERS=$((all > 0 ? 1 : 0))
SLUICE_STANDBYS=$((all > 1 ? all - 1 : 0))
SLUICE_WORKER_GRACE=$(cat "$home/grace")s
END
}

containers_url() {
    case $1 in
    rabbitmq)
        printf 'amqp://sluice:%s@127.0.0.1:%s/%%2f\n' "$(containers_secret BROKER_PASSWORD)" "$(part_port rabbitmq)"
        ;;
    redis) printf 'redis://default:%s@127.0.0.1:%s/0\n' "$(containers_secret STORE_PASSWORD)" "$(part_port redis)" ;;
    *) part_url "$1" ;;
    esac
}

# All that DIR/env exports.
containers_exports() {
    containers_variables
    [[ $HAS_OWN_KEYS == yes ]] || printf 'SLUICE_KEY=%s\n' "$(containers_secret KEY)"
    cat <<END
SLUICE_INGRESS_URL=$(containers_url ingress)
SLUICE_DISPATCHER_URL=$(containers_url dispatcher)
SLUICE_AMQP_URL=$(containers_url rabbitmq)
SLUICE_REDIS_URL=$(containers_url redis)
SLUICE_TENANT_URL=$(containers_url tenant)
END
}

containers_env() {
    local name value
    while IFS='=' read -r name value; do
        printf 'export %s=%q\n' "$name" "$value"
    done < <(containers_exports) | (umask 077 && write_whole "$DIR/env")
}

# From here on compose works, here as in the shell of whoever reads DIR/env.
containers_take_env() {
    # shellcheck source=/dev/null
    . "$DIR/env"
}

# --- starting ---

# containers_ps OPTION…: the containers of this stack; --all: also those that do not run.
containers_ps() {
    docker ps --filter "label=com.docker.compose.project=$(containers_project)" "$@"
}

containers_of() {
    containers_ps --all --quiet --filter "label=com.docker.compose.service=$1"
}

# Every port that is not ours yet must be free, before anything is started.
containers_check_ports() {
    local kind
    for kind in ingress dispatcher rabbitmq redis tenant; do
        [[ -n $(containers_of "${kind/tenant/sample}") ]] || part_check_port "$kind"
    done
}

# Those of which a person should know: not running, or not healthy (yet).
containers_not_ready() {
    containers_ps --all --format '{{.Names}} {{.Status}}' | grep -vE ' Up [^()]*(\(healthy\))?$' || true
}

containers_are_ready() {
    [[ -z $(containers_not_ready) ]]
}

containers_wait_ready() {
    local name
    wait_until "$CONTAINERS_READY_S" containers_are_ready && return 0
    while read -r name _; do
        printf -- '--- the end of %s ---\n' "$name" >&2
        docker logs --tail 25 "$name" >&2 || true
    done < <(containers_not_ready)
    die "not ready after $CONTAINERS_READY_S s: $(containers_not_ready | tr '\n' ';')"
}

# containers_compose WORD…: compose, quiet unless it fails.
containers_compose() {
    compose "$@" >"$DIR/log/compose.log" 2>&1 </dev/null || {
        tail -n 40 "$DIR/log/compose.log" >&2
        die "compose failed (log: $DIR/log/compose.log)"
    }
}

containers_start() {
    [[ -n $(containers_ps --quiet) ]] || say "Starting the containers (compose project $(containers_project))"
    touch "$DIR/containers/started"
    wait_until "$CONTAINERS_READY_S" containers_up || die "compose failed (log: $DIR/log/compose.log)"
    containers_wait_ready
}

# compose gives up on what was slow to become healthy, as on a busy machine; who asks again goes on from there. False: then.
containers_up() {
    compose up -d --remove-orphans >"$DIR/log/compose.log" 2>&1 </dev/null && return 0
    if grep -q 'is unhealthy' "$DIR/log/compose.log"; then
        sleep 1
        return 1
    fi
    tail -n 40 "$DIR/log/compose.log" >&2
    die "compose failed (log: $DIR/log/compose.log)"
}

# --- scaling ---

containers_workers() {
    containers_ps --quiet --filter label=com.docker.compose.service=worker | wc -l
}

# Nothing else is touched; surplus workers drain.
containers_scale() {
    containers_compose up -d --no-deps --no-recreate --scale "worker=$1" worker
    containers_wait_ready
}

# --- stopping ---

# Callers first, then those who do their work, then what they stand on.
containers_stop() {
    local names services
    names=$(containers_ps --format '{{.Names}}' | sort | tr '\n' ' ')
    [[ -z $names ]] || say "Stopping ${names% }"
    for services in ingress 'dispatcher standby' worker sample 'redis rabbitmq'; do
        # shellcheck disable=SC2086  # several words
        containers_compose stop $services
    done
}

containers_remove() {
    containers_compose down --remove-orphans
    rm -f "$DIR/containers/started"
}

# Found by their label: the compose file may be another one by now.
containers_remove_volumes() {
    local -a names
    mapfile -t names < <(docker volume ls --quiet --filter "label=com.docker.compose.project=$(containers_project)")
    ((${#names[@]} == 0)) || docker volume rm "${names[@]}" >/dev/null
}
