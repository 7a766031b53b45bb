# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2034  # the lists are read by those who source this
# packages — what is installed from Debian, and how, without disturbing what runs.

PACKAGES_RUN=(rabbitmq-server redis-server curl tzdata)
PACKAGES_BUILD=(
    cmake ninja-build gcc libc6-dev pkg-config librabbitmq-dev libhiredis-dev libmicrohttpd-dev
    libcjson-dev libuv1-dev libcurl4-openssl-dev libssl-dev libyaml-dev)
PACKAGES_TEST=(
    libcmocka-dev libnss-wrapper faketime python3-pytest python3-pytest-xdist python3-requests python3-pika python3-redis python3-jsonschema
    python3-yaml spin)
PACKAGES_LINT=(clang-format clang-tidy shellcheck cppcheck lua5.1)

POLICY_FILE=/usr/sbin/policy-rc.d

packages_missing() {
    local name
    local -A is_there=()
    while read -r name; do
        is_there[$name]=1
    done < <(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
        sed -n 's/^installed //p')
    for name in "$@"; do
        [[ -n ${is_there[$name]:-} ]] || printf '%s\n' "$name"
    done
}

# Debian asks this file before a package starts or restarts its service: 101 means no. One that is
# there already is the machine's own and stays.
forbid_services() {
    [[ ! -e $POLICY_FILE ]] || return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY_FILE" >/dev/null
    as_root chmod 755 "$POLICY_FILE"
    trap 'as_root rm -f "$POLICY_FILE"' EXIT
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

# packages_install LOG NAME…: installs those that are missing.
packages_install() {
    local log=$1
    local -a missing
    shift
    if ! command -v apt-get >/dev/null; then
        warn "not a Debian: taking it that these are installed: $*"
        return 0
    fi
    mapfile -t missing < <(packages_missing "$@")
    ((${#missing[@]} > 0)) || return 0
    say "Installing ${missing[*]} (log: $log)"
    # A subshell of its own, so that its EXIT trap always runs and no other is replaced.
    if ! (
        forbid_services
        apt_get update && apt_get install --yes --no-install-recommends "${missing[@]}"
    ) >>"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        die "the packages could not be installed"
    fi
}
