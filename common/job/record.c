/* SPDX-License-Identifier: Apache-2.0 */
#include "job/record.h"

#include <stdio.h>

/* Attempts that are shown: ten times what a retry policy allows. A damaged counter must not be
 * counted up to. */
enum { SHOWN_MAX = 10000 };

struct state_row {
    const char *word;
    bool is_final;
};

static const struct state_row states[JOB_STATES] = {
#define STATE(NAME, word, is_final) {word, is_final},
#include "job/state.def"
#undef STATE
};

const char *job_state_word(enum job_state s)
{
    return states[s].word;
}

bool job_state_is_final(enum job_state s)
{
    return states[s].is_final;
}

int job_state_parse(struct str word, enum job_state *ret)
{
    for (size_t i = 0; i < JOB_STATES; i++) {
        if (str_is(word, str_of(states[i].word))) {
            *ret = (enum job_state)i;
            return ERR_OK;
        }
    }
    return ERR_PROTOCOL;
}

struct str job_record_get(const struct job_record_field *fields, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (str_is(fields[i].name, str_of(name))) {
            return fields[i].value;
        }
    }
    return (struct str){"", 0};
}

static int64_t get_number(const struct job_record_field *fields, size_t n, const char *name)
{
    int64_t value = 0;

    return str_to_i64(job_record_get(fields, n, name), &value) == ERR_OK ? value : 0;
}

int job_record_state(const struct job_record_field *fields, size_t n, struct wall now,
                     enum job_state *ret)
{
    int rc = job_state_parse(job_record_get(fields, n, "st"), ret);

    if (rc == ERR_OK && (*ret == JOB_WAITING || *ret == JOB_SCHEDULED) &&
        get_number(fields, n, "due") <= now.ms &&
        !str_is(job_record_get(fields, n, "q"), STR("1"))) { /* asked about, it waits */
        *ret = JOB_QUEUED;
    }
    return rc;
}

static void print_time(struct buf *out, const char *member, int64_t ms)
{
    char text[WALL_TEXT_SIZE];

    wall_format((struct wall){ms}, text);
    buf_printf(out, ",\"%s\":\"%s\"", member, text);
}

/* A number as it stands, or null. */
static void print_number(struct buf *out, const char *member, struct str text)
{
    int64_t value;

    buf_printf(out, ",\"%s\":", member);
    if (str_to_i64(text, &value) == ERR_OK) {
        buf_str(out, text);
    } else {
        buf_text(out, "null");
    }
}

static void print_word(struct buf *out, const char *member, struct str text)
{
    buf_printf(out, ",\"%s\":", member);
    if (text.n > 0) {
        buf_json_str(out, text);
    } else {
        buf_text(out, "null");
    }
}

static void print_time_or_null(struct buf *out, const char *member, struct str text)
{
    int64_t ms;

    if (str_to_i64(text, &ms) == ERR_OK) {
        print_time(out, member, ms);
    } else {
        buf_printf(out, ",\"%s\":null", member);
    }
}

/* row: "instance \t start \t end \t status \t error"; an attempt that still runs has only the first
 * two. */
static void print_attempt(struct buf *out, uint64_t number, struct str row)
{
    struct str piece[5] = {{"", 0}, {"", 0}, {"", 0}, {"", 0}, {"", 0}};

    for (size_t i = 0; i < 5 && str_cut(&row, '\t', &piece[i]); i++) {
    }
    buf_printf(out, "{\"number\":%llu", (unsigned long long)number);
    print_word(out, "instance", piece[0]);
    print_time_or_null(out, "started_at", piece[1]);
    print_time_or_null(out, "ended_at", piece[2]);
    print_number(out, "status", piece[3]);
    print_word(out, "error", piece[4]);
    buf_char(out, '}');
}

static void print_attempts(const struct job_record_field *fields, size_t n, enum job_state state,
                           struct buf *out)
{
    int64_t stored = get_number(fields, n, "n");
    uint64_t newest = stored < 0 ? 0 : stored > SHOWN_MAX ? SHOWN_MAX : (uint64_t)stored;
    bool is_first = true;
    char name[24];

    buf_text(out, ",\"attempts\":[");
    for (uint64_t i = 1; i <= newest; i++) {
        (void)snprintf(name, sizeof name, "a%llu", (unsigned long long)i);
        struct str row = job_record_get(fields, n, name);
        struct buf running = {0};
        if (row.n == 0 && i == newest && state == JOB_RUNNING) {
            buf_str(&running, job_record_get(fields, n, "i"));
            buf_char(&running, '\t');
            buf_str(&running, job_record_get(fields, n, "sa"));
            row = buf_as_str(&running);
        }
        if (row.n > 0) {
            buf_text(out, is_first ? "" : ",");
            print_attempt(out, i, row);
            is_first = false;
        }
        buf_fini(&running);
    }
    buf_char(out, ']');
}

static void print_outcome(const struct job_record_field *fields, size_t n, enum job_state state,
                          struct buf *out)
{
    buf_text(out, ",\"outcome\":");
    if (!job_state_is_final(state) && state != JOB_IN_DOUBT) {
        buf_text(out, "null");
        return;
    }
    struct buf inner = {0};
    print_number(&inner, "status", job_record_get(fields, n, "os"));
    print_number(&inner, "body_bytes", job_record_get(fields, n, "ob"));
    print_word(&inner, "error", job_record_get(fields, n, "er"));
    buf_char(out, '{');
    buf_add(out, inner.p + 1, inner.n - 1);
    buf_char(out, '}');
    buf_fini(&inner);
}

/* What tells about the job beyond its state, each only when it is there. */
static void print_optional(const struct job_record_field *fields, size_t n, struct buf *out)
{
    static const struct {
        const char *field;
        const char *member;
    } times[] = {{"ea", "ended_at"},
                 {"due", "not_before"},
                 {"ex", "deadline_at"},
                 {"xa", "expires_at"},
                 {"dp", "dropped_at"}};
    static const struct {
        const char *field;
        const char *member;
    } words[] = {{"m", "method"},        {"p", "path"},  {"sc", "schedule"},
                 {"ok", "ordering_key"}, {"nt", "note"}, {"pr", "priority"}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int64_t ms = get_number(fields, n, times[i].field);
        if (ms > 0) {
            print_time(out, times[i].member, ms);
        }
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct str value = job_record_get(fields, n, words[i].field);
        if (value.n > 0) {
            print_word(out, words[i].member, value);
        }
    }
    buf_printf(out, ",\"synchronous\":%s",
               str_is(job_record_get(fields, n, "cl"), STR("sync")) ? "true" : "false");
}

static void print_offloaded(const struct job_record_field *fields, size_t n, struct buf *out)
{
    if (!str_is(job_record_get(fields, n, "of"), STR("1"))) {
        return;
    }
    buf_text(out, ",\"offloaded\":true");
    if (job_record_get(fields, n, "ofu").n > 0) {
        print_time(out, "poll_at", get_number(fields, n, "ofp"));
    }
}

int job_record_print(struct str id, const struct job_record_field *fields, size_t n,
                     struct wall now, struct buf *out)
{
    enum job_state state;
    struct str tenant = {id.p, 0};
    struct str labels = job_record_get(fields, n, "lb");

    int rc = job_record_state(fields, n, now, &state);
    if (rc != ERR_OK) {
        return rc;
    }
    struct str rest = id;
    (void)str_cut(&rest, '.', &tenant);
    buf_text(out, "{\"id\":");
    buf_json_str(out, id);
    buf_text(out, ",\"tenant\":");
    buf_json_str(out, tenant);
    buf_printf(out, ",\"state\":\"%s\"", job_state_word(state));
    print_time(out, "created_at", get_number(fields, n, "ca"));
    print_optional(fields, n, out);
    print_offloaded(fields, n, out);
    buf_text(out, ",\"labels\":");
    buf_str(out, labels.n > 0 ? labels : STR("{}"));
    print_attempts(fields, n, state, out);
    print_outcome(fields, n, state, out);
    buf_printf(out, ",\"links\":{\"self\":\"/v1/jobs/%.*s\",\"result\":\"/v1/jobs/%.*s/result\"}}",
               STR_ARG(id), STR_ARG(id));
    return ERR_OK;
}
