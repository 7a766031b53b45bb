/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include "base/panic.h"
#include "httpc/httpc.h"
#include "loop/loop.h"

#include <signal.h>
#include <stdlib.h>

enum { TICK_MS = 200, CONNECT_MS = 5000, SIGNALS = 2 };
static const size_t answer_max = (size_t)1 << 30;

struct client {
    struct loop *loop;
    struct httpc *http;
    struct loop_timer *tick;
    struct loop_timer *pause;
    struct loop_signal *signals[SIGNALS];
    client_tick_cb on_tick;
    void *arg;
    struct httpc_call *call; /* under way, or NULL */
    struct client_answer *answer;
    int signum;
};

static void on_tick(struct loop_timer *t, void *arg)
{
    struct client *c = arg;

    c->on_tick(c->arg);
    loop_timer_set(t, TICK_MS);
}

static void on_pause(struct loop_timer *t, void *arg)
{
    struct client *c = arg;

    (void)t;
    loop_stop(c->loop);
}

static void on_signal(int signum, void *arg)
{
    struct client *c = arg;

    c->signum = signum;
    if (c->call != NULL) {
        httpc_abort(c->call); /* on_done ends the loop */
    } else {
        loop_stop(c->loop);
    }
}

static void on_done(const struct httpc_result *r, void *arg)
{
    struct client *c = arg;
    struct client_answer *a = c->answer;

    a->status = r->kind == HTTPC_ANSWERED ? r->status : 0;
    a->error = r->kind == HTTPC_ANSWERED ? NULL : r->error;
    a->may_have_left = r->kind != HTTPC_UNSENT;
    a->is_too_large = r->is_too_large;
    buf_str(&a->head, r->head);
    buf_str(&a->body, r->body);
    c->call = NULL;
    loop_stop(c->loop);
}

int client_new(client_tick_cb tick, void *arg, struct client **ret)
{
    struct client *c = calloc(1, sizeof *c);
    int rc = ERR_NOMEM;

    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->on_tick = tick;
    c->arg = arg;
    rc = loop_new(&c->loop);
    if (rc == ERR_OK) {
        rc = httpc_new(c->loop, /* idle_s= */ 0, &c->http);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(c->loop, on_tick, c, &c->tick);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(c->loop, on_pause, c, &c->pause);
    }
    if (rc != ERR_OK) {
        client_free(c);
        return rc;
    }
    *ret = c;
    return ERR_OK;
}

void client_free(struct client *c)
{
    if (c == NULL) {
        return;
    }
    httpc_free(c->http);
    loop_timer_free(c->tick);
    loop_timer_free(c->pause);
    loop_free(c->loop);
    free(c);
}

/* What the terminal sends is ours only while we wait. */
static int watch_signals(struct client *c)
{
    static const int numbers[SIGNALS] = {SIGINT, SIGTERM};
    int rc = ERR_OK;

    c->signum = 0;
    for (size_t i = 0; i < SIGNALS && rc == ERR_OK; i++) {
        rc = loop_signal_new(c->loop, numbers[i], on_signal, c, &c->signals[i]);
    }
    return rc;
}

static void wait_for_it(struct client *c)
{
    loop_timer_set(c->tick, 0);
    loop_run(c->loop);
    loop_timer_cancel(c->tick);
    CHECK(c->call == NULL);
}

static void unwatch_signals(struct client *c)
{
    for (size_t i = 0; i < SIGNALS; i++) {
        loop_signal_free(c->signals[i]);
        c->signals[i] = NULL;
    }
}

int client_ask(struct client *c, const struct client_request *r, struct client_answer *ret)
{
    struct httpc_request request = {.method = str_of(r->method),
                                    .url = r->url,
                                    .head = r->head,
                                    .body = r->body,
                                    .connect_ms = CONNECT_MS,
                                    .total_ms = r->total_ms,
                                    .max_answer_bytes = answer_max,
                                    .done = on_done,
                                    .arg = c};

    *ret = (struct client_answer){0};
    c->answer = ret;
    int rc = watch_signals(c);
    if (rc == ERR_OK) {
        rc = httpc_start(c->http, &request, &c->call);
    }
    if (rc == ERR_OK) {
        wait_for_it(c);
        /* An answer that came just before the signal is an answer. */
        ret->signum = ret->status == 0 ? c->signum : 0;
        rc = buf_failed(&ret->head) || buf_failed(&ret->body) ? ERR_NOMEM : ERR_OK;
    }
    unwatch_signals(c);
    c->answer = NULL;
    return rc;
}

void client_answer_fini(struct client_answer *a)
{
    buf_fini(&a->head);
    buf_fini(&a->body);
}

int client_pause(struct client *c, int64_t ms)
{
    int rc = watch_signals(c);

    if (rc == ERR_OK) {
        loop_timer_set(c->pause, ms);
        wait_for_it(c);
        loop_timer_cancel(c->pause);
    }
    unwatch_signals(c);
    return c->signum;
}

struct str client_field(const struct client_answer *a, const char *name)
{
    struct str rest = buf_as_str(&a->head);
    struct str line;

    while (str_cut(&rest, '\n', &line)) {
        struct str field;
        if (str_cut(&line, ':', &field) && str_is_nocase(field, str_of(name)) && line.p != NULL) {
            if (line.n > 0 && line.p[line.n - 1] == '\r') {
                line.n--;
            }
            return str_trim(line);
        }
    }
    return (struct str){"", 0};
}
