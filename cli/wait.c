/* SPDX-License-Identifier: Apache-2.0 */
#include "wait.h"

#include "ask.h"
#include "base/backoff.h"
#include "base/random.h"
#include "job/id.h"
#include "json.h"
#include "progress.h"
#include "reply.h"
#include "show.h"

#include <cjson/cJSON.h>

enum {
    POLL_MAX_S = 20,     /* below the idle limits of common proxies */
    PATIENCE_MS = 30000, /* with a server that is away */
    SLACK_MS = 15000,    /* what an answer may take beyond the poll */
    STEP_MS = 250,       /* the least time between two looks at the same state */
    RETRY_AFTER_MAX_S = 30,
    ETAG_SIZE = 128
};

struct waiting {
    struct cli *cli;
    struct str id;
    struct mono began;
    int64_t timeout_ms;
    char etag[ETAG_SIZE]; /* of the state last seen; "" none yet */
    struct buf *document;
    struct mono failed_at; /* since when the server is away */
    unsigned int failures;
};

/* What a look at the job came to. */
enum look { LOOK_CHANGED, LOOK_SAME, LOOK_AWAY, LOOK_OVER };

static int64_t left_ms(const struct waiting *w)
{
    int64_t spent = mono_since_ms(w->began, clock_mono());

    if (w->timeout_ms < 0) {
        return INT64_MAX;
    }
    return spent < w->timeout_ms ? w->timeout_ms - spent : 0;
}

/* Whole seconds to long-poll; 0: only look. */
static int64_t poll_s(const struct waiting *w)
{
    int64_t s = left_ms(w) / 1000;

    if (w->etag[0] == '\0' || w->failures > 0) {
        return 0;
    }
    return s < POLL_MAX_S ? s : POLL_MAX_S;
}

static int take_document(struct waiting *w, const struct client_answer *answer)
{
    struct str body = buf_as_str(&answer->body);
    struct cJSON *job = json_parse(body);
    struct str state = json_text(job, "state");
    int n_attempts = cJSON_GetArraySize(json_get(job, "attempts"));
    int code = CLI_UNAVAILABLE;

    if (state.n == 0) {
        cli_say(w->cli, "the answer of %s is not a job's document", w->cli->ingress);
        goto out;
    }
    progress_set(w->cli->progress, state, n_attempts > 0 ? (unsigned int)n_attempts : 0);
    buf_clear(w->document);
    buf_str(w->document, body);
    (void)snprintf(w->etag, sizeof w->etag, "%.*s", STR_ARG(client_field(answer, "ETag")));
    code = buf_failed(w->document) ? CLI_BROKEN : reply_exit_of_state(state);
out:
    json_free(job);
    return code;
}

static bool is_away(const struct client_answer *answer, int code)
{
    return code == CLI_UNAVAILABLE ||
           (code == CLI_OK && (answer->status >= 500 || answer->status == 429));
}

/* Pauses until the next try. False: patience, or the time given, is at its end, or a signal came.
 */
static bool try_later(struct waiting *w, const struct client_answer *answer, int *ret_signum)
{
    static const struct backoff backoff = {.initial_ms = 200, .factor = 2, .max_ms = 3000};
    struct mono now = clock_mono();
    uint64_t after_s = 0;

    if (w->failures++ == 0) {
        w->failed_at = now;
    }
    if (str_to_u64(client_field(answer, "Retry-After"), RETRY_AFTER_MAX_S, &after_s) != ERR_OK) {
        after_s = 0;
    }
    int64_t ms = backoff_half_jitter_ms(&backoff, w->failures, random_unit());
    ms = ms > (int64_t)after_s * 1000 ? ms : (int64_t)after_s * 1000;
    ms = ms < left_ms(w) ? ms : left_ms(w);
    if (mono_since_ms(w->failed_at, now) >= PATIENCE_MS || ms <= 0) {
        return false;
    }
    *ret_signum = client_pause(w->cli->client, ms);
    return *ret_signum == 0;
}

/* The last failure is said, whatever it was. */
static int give_up(struct waiting *w, const struct ask *a, const struct client_answer *answer,
                   int code)
{
    return code == CLI_OK ? ask_refused(w->cli, answer) : ask_explain(w->cli, a, answer, code);
}

/* One request. *ret_code: of LOOK_OVER the exit code. */
static enum look look(struct waiting *w, int *ret_code)
{
    char path[JOB_ID_SIZE + 16];
    char prefer[32];
    char known[ETAG_SIZE + 20];
    int64_t wait_s = poll_s(w);
    struct client_answer answer;
    enum look result = LOOK_OVER;
    int signum = 0;

    (void)snprintf(path, sizeof path, "/v1/jobs/%.*s", STR_ARG(w->id));
    (void)snprintf(prefer, sizeof prefer, "Prefer: wait=%lld", (long long)wait_s);
    (void)snprintf(known, sizeof known, "If-None-Match: %s", w->etag);
    struct ask a = {.base = w->cli->ingress,
                    .method = "GET",
                    .path = path,
                    .total_ms = wait_s * 1000 + SLACK_MS,
                    .is_harmless = true};
    if (w->etag[0] != '\0') {
        a.lines[a.n_lines++] = known;
    }
    if (wait_s > 0) {
        a.lines[a.n_lines++] = prefer;
    }
    int code = ask_send(w->cli, &a, &answer);
    if (is_away(&answer, code)) {
        if (try_later(w, &answer, &signum)) {
            result = LOOK_AWAY;
        } else {
            *ret_code = signum != 0 ? 128 + signum : give_up(w, &a, &answer, code);
        }
    } else if (code != CLI_OK || answer.status >= 400) {
        *ret_code = give_up(w, &a, &answer, code);
    } else if (answer.status == 304 ||
               (w->etag[0] != '\0' && str_is(client_field(&answer, "ETag"), str_of(w->etag)))) {
        w->failures = 0;
        result = LOOK_SAME;
    } else {
        w->failures = 0;
        *ret_code = take_document(w, &answer);
        result = *ret_code == CLI_TIMEOUT ? LOOK_CHANGED : LOOK_OVER;
    }
    client_answer_fini(&answer);
    return result;
}

static int follow(struct waiting *w)
{
    int code = CLI_TIMEOUT;

    for (;;) {
        struct mono before = clock_mono();
        enum look seen = look(w, &code);
        if (seen == LOOK_OVER) {
            return code;
        }
        int64_t left = left_ms(w);
        if (left == 0 && seen != LOOK_AWAY) {
            return CLI_TIMEOUT;
        }
        /* A server that drains, or knows no long-poll, answers at once. */
        int64_t rest = STEP_MS - mono_since_ms(before, clock_mono());
        rest = rest < left ? rest : left;
        if (seen != LOOK_AWAY && rest > 0) {
            int signum = client_pause(w->cli->client, rest);
            if (signum != 0) {
                return 128 + signum;
            }
        }
    }
}

int wait_for(struct cli *c, struct str id, int64_t timeout_ms, struct buf *ret_document)
{
    struct waiting w = {.cli = c,
                        .id = id,
                        .began = clock_mono(),
                        .timeout_ms = timeout_ms,
                        .document = ret_document};

    progress_begin(c->progress, w.began);
    int code = follow(&w);
    progress_end(c->progress);
    if (code == CLI_TIMEOUT && timeout_ms > 0) {
        cli_say(c, "the job has not ended within %lld.%03lld s: %.*s",
                (long long)(timeout_ms / 1000), (long long)(timeout_ms % 1000), STR_ARG(id));
    } else if (code > 128) {
        cli_say(c, "interrupted; the job goes on: %.*s", STR_ARG(id));
    }
    return code;
}

int wait_show(struct cli *c, const struct buf *document, int code)
{
    struct buf text = {0};

    if (document->n == 0) {
        return code;
    }
    if (c->is_json) {
        return cli_put_json(c, buf_as_str(document), code);
    }
    if (show_job(buf_as_str(document), &text) != ERR_OK) {
        code = CLI_BROKEN;
    } else {
        code = cli_put_buf(c, &text, code);
    }
    buf_fini(&text);
    return code;
}
