# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# options — the options of deploy/up: given now, else kept in DIR/options, else the default.

declare -A OPTION=()
declare -A OPTION_DEFAULTS=(
    [port_base]=8080 [config]='' [workers]=1 [dispatchers]=1 [ingresses]=1 [prefix]='' [containers]=no [engine]='')

# 21 of a kind fit between the offsets of operations.md.
readonly MOST_OF_A_KIND=21
# Containers have no port of the machine each.
readonly MOST_WORKERS_IN_CONTAINERS=200

options_keep_path() {
    local path
    path=$(realpath -m -- "$2")
    OPTION[$1]=$path
}

# option_in_range KEY LEAST MOST
option_in_range() {
    local value=${OPTION[$1]}
    if ! is_number "$value" || ((10#$value < $2 || 10#$value > $3)); then
        usage_error "--${1//_/-} wants a number from $2 to $3, not '$value'"
    fi
}

options_check() {
    local key most
    # The highest offset is that of the last ingress.
    option_in_range port_base 1024 $((65535 - 58 - MOST_OF_A_KIND))
    for key in workers dispatchers ingresses; do
        most=$MOST_OF_A_KIND
        [[ $key != workers || ${OPTION[containers]} != yes ]] || most=$MOST_WORKERS_IN_CONTAINERS
        option_in_range "$key" 0 "$most"
    done
    [[ -z ${OPTION[config]} || -r ${OPTION[config]} ]] ||
        die "the configuration cannot be read: ${OPTION[config]}"
}

# Fills what was not given on the command line; prints nothing.
options_load() {
    local key value
    if [[ -r $DIR/options ]]; then
        while IFS='=' read -r key value; do
            if [[ -v OPTION_DEFAULTS[$key] && ! -v OPTION[$key] ]]; then
                OPTION[$key]=$value
            fi
        done <"$DIR/options"
    fi
    for key in "${!OPTION_DEFAULTS[@]}"; do
        [[ -v OPTION[$key] ]] || OPTION[$key]=${OPTION_DEFAULTS[$key]}
    done
    # The sample named as a file is the sample: with the stack's own ports.
    [[ ${OPTION[config]} != "$SLUICE_ROOT/deploy/sluice.yaml" ]] || OPTION[config]=''
}

# options_kept KEY: what DIR had before, or nothing.
options_kept() {
    [[ ! -r $DIR/options ]] || sed -n "s/^$1=//p" "$DIR/options"
}

options_save() {
    local key
    for key in "${!OPTION[@]}"; do
        printf '%s=%s\n' "$key" "${OPTION[$key]}"
    done | sort | write_whole "$DIR/options"
}
