# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# base — words to people, waiting, becoming root. Sourced by deploy/up, deploy/down and tests/run.

# shellcheck disable=SC2034  # read by those who source this
SLUICE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() {
    printf '%s\n' "$*"
}

warn() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
    warn "$@"
    exit 1
}

# A mistake on the command line.
usage_error() {
    warn "$1 (see --help)"
    exit 2
}

as_root() {
    if ((EUID == 0)); then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# wait_until SECONDS COMMAND…: whether the command succeeded within the time.
wait_until() {
    local end=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@"; do
        ((${EPOCHREALTIME/[.,]/} < end)) || return 1
        sleep 0.05
    done
}

is_number() {
    [[ $1 =~ ^[0-9]{1,9}$ ]]
}

# Writes stdin to a file that readers see whole or not at all.
write_whole() {
    local file=$1
    cat >"$file.new"
    mv -f "$file.new" "$file"
}

# port_answers PORT: whether something accepts connections there.
port_answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# curl that talks to loopback whatever proxies the environment names.
local_curl() {
    curl --noproxy '*' --silent --show-error --max-time 10 "$@"
}
