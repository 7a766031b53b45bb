# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# demo — the four daily things, done with curl and shown. A step that fails ends it, named.

DEMO_STATUS='' DEMO_HEADERS='' DEMO_BODY=''
DEMO_KEY=''

demo_fail() {
    warn "the demonstration failed at: $1"
    exit 1
}

# demo_curl ARGUMENT…: shows the command, runs it, shows the answer and keeps it.
demo_curl() {
    local answer word line='curl'
    local -a auth=()
    if [[ -n $DEMO_KEY ]]; then
        auth=(-H "Authorization: Bearer $DEMO_KEY")
        # shellcheck disable=SC2016  # shown, not expanded
        line+=' -H "Authorization: Bearer $SLUICE_KEY"'
    fi
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_./:?=\&%-]+$ && $word != *[\&?]* ]] || word="'$word'"
        line+=" $word"
    done
    printf '   $ %s\n' "$line"
    answer=$(local_curl --max-time 40 --include ${auth[@]+"${auth[@]}"} "$@") || answer=''
    DEMO_HEADERS=${answer%%$'\r\n\r\n'*}
    DEMO_BODY=${answer#*$'\r\n\r\n'}
    DEMO_STATUS=$(sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' <<<"$DEMO_HEADERS")
    printf '   %s %s\n' "${DEMO_STATUS:-no answer}" "$(head -c 400 <<<"$DEMO_BODY" | tr -d '\n')"
}

demo_field() {
    grep -oE "\"$1\" *: *\"[^\"]*\"" <<<"$DEMO_BODY" | head -n 1 | sed 's/.*: *"\(.*\)"$/\1/'
}

demo_header() {
    sed -n "s/^$1: *\([^\r]*\)\r\{0,1\}$/\1/Ip" <<<"$DEMO_HEADERS" | head -n 1
}

demo_synchronous() {
    say "1. A synchronous call: the caller waits, and gets the tenant's own answer."
    demo_curl "$(part_url ingress)/call/sample/hello"
    [[ $DEMO_STATUS == 200 ]] || demo_fail "the synchronous call (wanted 200)"
    say "   It was job $(demo_header sluice-job-id), done in $(demo_header sluice-attempts) attempt."
    say
}

demo_post() {
    demo_curl -X POST "$(part_url ingress)/v1/jobs" -H 'Content-Type: application/json' \
        -H "Idempotency-Key: $1" \
        -d "{\"tenant\": \"sample\", \"request\": {\"path\": \"/orders\", \"body\": {\"n\": $2}}}"
}

demo_asynchronous() {
    local key=$1 state=''
    say "2. An asynchronous job: accepted at once, then asked about by its id."
    demo_post "$key" 1
    [[ $DEMO_STATUS == 202 ]] || demo_fail "the asynchronous job (wanted 202)"
    DEMO_JOB=$(demo_field id)
    [[ -n $DEMO_JOB ]] || demo_fail "the asynchronous job (the answer has no id)"
    local end=$((SECONDS + 30))
    while ((SECONDS < end)); do
        demo_curl "$(part_url ingress)/v1/jobs/$DEMO_JOB" -H 'Prefer: wait=2'
        state=$(demo_field state)
        case $state in succeeded | failed | expired | canceled | in_doubt) break ;; esac
        sleep 0.2
    done
    [[ $state == succeeded ]] || demo_fail "the asynchronous job (its state is '$state')"
    demo_curl "$(part_url ingress)/v1/jobs/$DEMO_JOB/result"
    [[ $DEMO_STATUS == 200 ]] || demo_fail "the result of the asynchronous job (wanted 200)"
    say
}

demo_duplicate() {
    local key=$1
    say "3. A duplicate: the same key and request is the same job; the same key for another is refused."
    demo_post "$key" 1
    [[ $DEMO_STATUS == 202 && $(demo_field id) == "$DEMO_JOB" ]] ||
        demo_fail "the repeated request (wanted 202 with the same id)"
    say "   The same job; Idempotent-Replayed: $(demo_header idempotent-replayed)"
    demo_post "$key" 2
    [[ $DEMO_STATUS == 422 ]] || demo_fail "the duplicate (wanted 422)"
    say
}

demo_tick() {
    tail -c "+$(($1 + 1))" "$DIR/ledger.jsonl" | grep -m 1 '"schedule": "sample-tick"'
}

demo_schedule() {
    local seen
    seen=$(stat -Lc %s "$DIR/ledger.jsonl")
    say "4. A cron entry: sample-tick fires every five seconds; the tenant's ledger shows the receipt."
    printf '   $ tail -f %s | grep sample-tick\n' "$DIR/ledger.jsonl"
    wait_until 90 eval "demo_tick $seen >/dev/null" || demo_fail "the cron entry (no receipt in 90 s)"
    printf '   %s\n\n' "$(demo_tick "$seen")"
}

# demo_run [KEY]: with the key that the stack wants, if it wants one.
demo_run() {
    local key
    DEMO_KEY=${1:-}
    if [[ -n ${OPTION[config]} ]]; then
        say "The demonstration belongs to the sample configuration; with --config it is left out."
        return 0
    fi
    key=demo-$(date +%s)-$RANDOM
    say
    demo_synchronous
    demo_asynchronous "$key"
    demo_duplicate "$key"
    demo_schedule
}
