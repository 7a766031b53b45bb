# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# images — what the containers are made of: a base of Debian 13, ours, broker and store. Each image is named by a digest
# of its sources, so that nothing is built again that is there.

IMAGE_BASE=debian:trixie-slim
IMAGE_PULL_S=120
declare -A IMAGES=()

image_is_there() {
    docker image inspect "$1" >/dev/null 2>&1
}

# --- the base ---

# The mirror of Debian that this machine uses.
image_mirror() {
    local found
    # shellcheck disable=SC2016  # apt expands it
    found=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's/^Debian main //p' | grep -v security | head -n 1) || true
    found=${found:-$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)}
    printf '%s\n' "${found:-http://deb.debian.org/debian}"
}

image_base() {
    local log=$DIR/log/base.log mirror
    ! image_is_there "$IMAGE_BASE" || return 0
    ! timeout "$IMAGE_PULL_S" docker pull --quiet "$IMAGE_BASE" >"$log" 2>&1 </dev/null || return 0
    packages_install "$DIR/log/packages.log" mmdebstrap
    mirror=$(image_mirror)
    say "No registry has $IMAGE_BASE for us: making it from $mirror (log: $log)"
    # By a file: a half of it must not become an image.
    as_root rm -f "$DIR/state/base.tar"
    { as_root mmdebstrap --variant=minbase trixie "$DIR/state/base.tar" "$mirror" &&
        docker import "$DIR/state/base.tar" "$IMAGE_BASE"; } >>"$log" 2>&1 </dev/null || {
        tail -n 20 "$log" >&2
        die "the base image cannot be made (log: $log)"
    }
    as_root rm -f "$DIR/state/base.tar"
}

# --- ours ---

# image_context FILE FOLDER NAME…: what docker is given, the same bytes for the same sources.
image_context() {
    local file=$1 folder=$2
    shift 2
    tar -C "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu \
        --exclude=__pycache__ --exclude='*.yaml' --exclude='*.cfg' --exclude=deploy/container/images \
        --exclude=deploy/container/cluster -cf "$file" "$@"
}

# image_names DOCKERFILE CONTEXT TARGET…: names them by the digest of the context.
image_names() {
    local context=$2 digest target
    shift 2
    digest=$(sha256sum <"$context")
    for target in "$@"; do
        IMAGES[$target]=$(image_title "$target"):${digest:0:12}
    done
}

image_title() {
    if [[ $1 == sluice ]]; then
        printf 'sluice\n'
    else
        printf 'sluice-%s\n' "$1"
    fi
}

# images_prepare: writes both contexts and sets IMAGES.
images_prepare() {
    local -a ours engines
    mkdir -p "$DIR/state" "$DIR/log"
    mapfile -t ours < <(sed -n 's/^!//p' "$SLUICE_ROOT/.dockerignore")
    mapfile -t engines < <(cd "$SLUICE_ROOT/deploy/container" && find . -maxdepth 1 -type f ! -name Dockerfile \
        ! -name '*.c' ! -name CMakeLists.txt ! -name root-tree ! -name images -printf '%P\n')
    image_context "$DIR/state/sluice.tar" "$SLUICE_ROOT" "${ours[@]}"
    image_context "$DIR/state/engines.tar" "$SLUICE_ROOT/deploy/container" "${engines[@]}"
    image_names deploy/container/Dockerfile "$DIR/state/sluice.tar" sluice sample
    image_names engines.Dockerfile "$DIR/state/engines.tar" rabbitmq redis haproxy
}

# image_build TARGET DOCKERFILE CONTEXT
image_build() {
    local log=$DIR/log/image-$1.log
    local -a builder=(env)
    ! image_is_there "${IMAGES[$1]}" || return 0
    image_base
    say "Building the image ${IMAGES[$1]} (log: $log)"
    docker buildx version >/dev/null 2>&1 || builder=(env DOCKER_BUILDKIT=0)
    "${builder[@]}" docker build --network host --file "$2" --target "$1" --tag "${IMAGES[$1]}" - \
        <"$3" >"$log" 2>&1 || {
        tail -n 40 "$log" >&2
        die "the image ${IMAGES[$1]} cannot be built (log: $log)"
    }
}

images_are_there() {
    local name
    for name in "$@"; do
        image_is_there "${IMAGES[$name]}" || return 1
    done
}

# images_build [haproxy]: those of the engines, which wait for packages, beside ours, which compile. Only a cluster has a
# balancer.
images_build() {
    local engines name
    images_prepare
    images_are_there rabbitmq redis sluice sample "$@" || image_base
    (
        for name in rabbitmq redis "$@"; do
            image_build "$name" engines.Dockerfile "$DIR/state/engines.tar"
        done
    ) &
    engines=$!
    (
        image_build sluice deploy/container/Dockerfile "$DIR/state/sluice.tar"
        image_build sample deploy/container/Dockerfile "$DIR/state/sluice.tar"
    ) || {
        wait "$engines" || true
        exit 1
    }
    wait "$engines" || exit 1
    rm -f "$DIR/state/sluice.tar" "$DIR/state/engines.tar"
}
