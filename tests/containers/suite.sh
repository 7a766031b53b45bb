# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# suite — tests/run containers: an engine, the images, the tests, and nothing left behind. Sourced by tests/run.
#
# An engine that answers is used, and keeps the images; else one of our own is started, below $SCRATCH, and goes with it.

# Each test names its compose project there: what is looked for at the end.
export SLUICE_TEST_PROJECTS=''
# shellcheck disable=SC2034  # engine.sh reads and sets it
declare -A OPTION=([engine]='')

containers_may_start() {
    [[ ${CI:-} == true ]] || ((EUID == 0)) || engine_answers "${DOCKER_HOST:-unix:///var/run/docker.sock}" ||
        { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# An engine that answers needs nothing of this.
containers_are_forbidden() {
    ! engine_answers "${DOCKER_HOST:-unix:///var/run/docker.sock}" &&
        ! as_root unshare --mount --net --pid --ipc --uts --fork true
}

containers_engine() {
    local -a names
    mkdir -p "$DIR/log" "$DIR/state"
    engine_init
    engine_choose
    mapfile -t names < <(engine_packages)
    packages_install "$SCRATCH/packages.log" ${names[@]+"${names[@]}"}
    engine_start
}

# containers_left PROJECT: what compose made for it, or with '' all that is not the engine's own.
containers_left() {
    local -a of=()
    [[ -z $1 ]] || of=(--filter "label=com.docker.compose.project=$1")
    docker ps --all ${of[@]+"${of[@]}"} --format 'container {{.Names}}'
    docker volume ls ${of[@]+"${of[@]}"} --format 'volume {{.Name}}'
    docker network ls --filter type=custom ${of[@]+"${of[@]}"} --format 'network {{.Name}}'
}

# The processes that were started here and go on: they name our folder.
containers_processes() {
    local proc
    for proc in /proc/[0-9]*; do
        if { tr '\0' ' ' <"$proc/cmdline" | grep -qF -e "$SCRATCH/"; } 2>/dev/null; then
            printf 'process %s\n' "${proc##*/} $(tr '\0' ' ' <"$proc/cmdline")"
        fi
    done
}

# Prints what is left; fails if anything is.
containers_clean() {
    local project left=''
    while read -r project; do
        left+=$(containers_left "$project")
    done <"$SLUICE_TEST_PROJECTS"
    if engine_is_own; then
        left+=$(containers_left '')
        engine_stop
        ! engine_lives || left+='the engine lives'
        [[ ! -e $ENGINE_RUN ]] || left+="$ENGINE_RUN is there"
        as_root rm -rf "$DIR/engine"
    fi
    left+=$(containers_processes)
    printf '%s\n' "$left"
    [[ -z $left ]]
}

# Once for all tests: what the sources have not changed is there already, where the engine is. The tests are told the names.
containers_images() {
    local name
    # First where a failure ends a subshell only, so that the engine is stopped after it; then for the names.
    (images_build haproxy) || return 1
    images_build haproxy
    for name in rabbitmq redis haproxy sample; do
        export "SLUICE_${name^^}_IMAGE=${IMAGES[$name]}"
    done
    export SLUICE_IMAGE=${IMAGES[sluice]}
}

# containers_suite NAME MARKED: the tests that are marked so (pytest -m).
containers_suite() {
    local name=$1 marked=$2
    if ! containers_may_start; then
        warn "NOT RUN: $name. No container engine answers, and only root, or sudo without a password, may start one."
        tally "$name" 0 0 1
        return 0
    fi
    if containers_are_forbidden; then
        warn "NOT RUN: $name. This platform lets nobody make name spaces, not even root."
        # Not one of ours to mend: skipped under CI, too.
        say "== $name: 0 passed, 0 failed, skipped: the platform forbids it"
        SKIPPED=$((SKIPPED + 1))
        return 0
    fi
    local DIR=$SCRATCH/engine
    SLUICE_TEST_PROJECTS=$SCRATCH/projects
    touch "$SLUICE_TEST_PROJECTS"
    one containers-engine containers_engine
    # Rules that another engine left drop what is bridged, but for the addresses of ours.
    ! engine_is_own || export SLUICE_TEST_CLUSTER_NET=${ENGINE_POOL%.0.0/*}
    one containers-images containers_images
    if [[ -n ${SLUICE_IMAGE:-} ]]; then
        TESTS_IN=containers SIDE_BY_SIDE=2 run_pytest dev "$name" --dist loadgroup -m "$marked"
    else
        tally "$name" 0 1 0
    fi
    one containers-clean containers_clean
}

suite_containers() {
    containers_suite containers 'not cluster'
}

# Seventeen containers and minutes of kills: not in the time of each run.
suite_cluster() {
    containers_suite cluster cluster
}
