# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# build — cmake and ninja, quiet unless they fail. Ninja knows what is newer than what.

# build_targets PRESET LOG CMAKE-OPTIONS-COUNT [OPTION…] TARGET…
build_targets() {
    local preset=$1 log=$2 count=$3
    shift 3
    local -a options=("${@:1:count}") targets=("${@:count+1}")
    local dir=$SLUICE_ROOT/build/$preset
    mkdir -p "$dir"
    (
        # Two stacks of one checkout must not build at the same time.
        exec 8>"$dir/.sluice-build-lock"
        flock 8
        cd "$SLUICE_ROOT"
        if [[ ! -f $dir/build.ninja ]] || ((count > 0)); then
            cmake --preset "$preset" ${options[@]+"${options[@]}"}
        fi
        ninja -C "$dir" "${targets[@]}"
    ) >"$log" 2>&1 </dev/null || {
        tail -n 40 "$log" >&2
        die "the $preset build failed (log: $log)"
    }
}
