# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# process — starting and stopping the processes of one stack in $DIR by name.
#
# DIR/run/NAME.pid holds the pid, DIR/state/NAME.identity says which process that pid meant (a pid is
# given again to others), DIR/state/NAME.command what was started, DIR/log/NAME.log what it said.

# One at a time in a DIR.
stack_lock() {
    exec 9>"$DIR/lock"
    flock -w 600 9 || die "another deploy/up, deploy/down or deploy/scale holds $DIR/lock"
}

# process_identity PID: words that no other process ever has; fails when it is dead or a zombie.
process_identity() {
    local stat boot
    local -a fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    # The command's name stands in parentheses and may hold anything; what follows the last one counts.
    read -r -a fields <<<"${stat##*) }"
    [[ ${fields[0]:-Z} != [ZX] ]] || return 1
    boot=$(</proc/sys/kernel/random/boot_id)
    printf '%s %s\n' "$boot" "${fields[19]}"
}

# process_pid NAME: prints the pid if the process that was started under that name lives.
process_pid() {
    local pid identity
    [[ -r $DIR/run/$1.pid && -r $DIR/state/$1.identity ]] || return 1
    { pid=$(<"$DIR/run/$1.pid"); } 2>/dev/null || return 1
    is_number "$pid" || return 1
    { identity=$(<"$DIR/state/$1.identity"); } 2>/dev/null || return 1
    [[ $(process_identity "$pid") == "$identity" ]] || return 1
    printf '%s\n' "$pid"
}

process_runs() {
    process_pid "$1" >/dev/null
}

# Whether it was started with these words.
process_has_command() {
    local name=$1
    shift
    [[ -r $DIR/state/$name.command && $(<"$DIR/state/$name.command") == "${*@Q}" ]]
}

# process_launch NAME COMMAND…: a session of its own, nothing inherited but the environment, and its
# pid in the file before it is the program.
process_launch() {
    local name=$1
    shift
    # shellcheck disable=SC2016  # expanded by the inner shell
    setsid bash -c '
        . "$1/deploy/lib/base.sh" && . "$1/deploy/lib/process.sh" || exit 1
        name=$2 DIR=$3
        shift 3
        for fd in /proc/$$/fd/*; do
            fd=${fd##*/}
            if ((fd > 2)); then eval "exec $fd>&-"; fi
        done
        hard=$(ulimit -Hn)
        if [[ $hard == unlimited ]] || ((hard > 65536)); then hard=65536; fi
        ulimit -Sn "$hard"
        printf "%s\n" "${*@Q}" >"$DIR/state/$name.command"
        process_identity $$ >"$DIR/state/$name.identity"
        printf "%s\n" $$ >"$DIR/run/$name.pid.new"
        mv -f "$DIR/run/$name.pid.new" "$DIR/run/$name.pid"
        exec "$@"' "$name" "$SLUICE_ROOT" "$name" "$DIR" "$@" </dev/null >>"$DIR/log/$name.log" 2>&1 &
    wait_until 10 process_has_pid "$name" $! || die "$name could not be started"
}

process_has_pid() {
    [[ -r $DIR/run/$1.pid && $(<"$DIR/run/$1.pid") == "$2" ]]
}

process_log_tail() {
    printf -- '--- the end of %s ---\n' "$DIR/log/$1.log" >&2
    tail -n 25 "$DIR/log/$1.log" >&2 || true
}

process_is_gone() {
    ! process_runs "$1"
}

process_signal() {
    local pid
    pid=$(process_pid "$2") || return 0
    kill "-$1" "$pid" 2>/dev/null || true
}

# A stopped process hears nothing else. (SIGCONT is not sent to others: it hangs LeakSanitizer.)
process_continue() {
    local pid stat
    pid=$(process_pid "$1") || return 0
    { stat=$(<"/proc/$pid/stat"); } 2>/dev/null || return 0
    [[ ${stat##*) } != T* ]] || process_signal CONT "$1"
}

process_forget() {
    rm -f "$DIR/run/$1.pid" "$DIR/state/$1.identity" "$DIR/state/$1.command"
}

# processes_stop SECONDS NAME…: asks all of them to end, waits for each, and ends by force what does
# not. SIGCONT, because a stopped process hears nothing else.
processes_stop() {
    local bound=$1 name
    shift
    for name in "$@"; do
        process_signal TERM "$name"
        process_continue "$name"
    done
    for name in "$@"; do
        if ! wait_until "$bound" process_is_gone "$name"; then
            warn "$name did not end within $bound s: killed"
            process_signal KILL "$name"
            wait_until 10 process_is_gone "$name" || warn "$name cannot be killed"
        fi
        process_forget "$name"
    done
}

# The names that have a pid file and match a pattern, oldest number last.
process_names() {
    local file
    for file in "$DIR"/run/$1.pid; do
        [[ -e $file ]] || continue
        file=${file##*/}
        printf '%s\n' "${file%.pid}"
    done | sort -rV
}
