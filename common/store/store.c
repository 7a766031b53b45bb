/* SPDX-License-Identifier: Apache-2.0 */
/* Callers' code runs in three places only: when an answer or a message is read, in the tick (what
 * falls with a lost link), and in store_free(). Each may free the store, so `depth` puts the end of
 * its memory off.
 *
 * Commands wait in `queue` until the hook at the end of the turn gives them to hiredis, and never
 * more than FEED_BYTES at once: hiredis moves its whole buffer after each partial write. */
#include "store/store.h"

#include "base/backoff.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "store/core.h"
#include "store/wait.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FEED_BYTES = 256 * 1024,
    MAX_OUTSTANDING = 65536,
    MAX_BYTES = 64 * 1024 * 1024,
    /* A flush of the script cache between load and call is bad luck; three in a row are not. */
    MAX_RESENT = 3,
    /* In one call, during which Redis does nothing else. */
    MOST_MATES = 32,
    /* Short against an operator's patience, long against the cost of two commands. */
    PROBE_MS = 2000,
    /* So many times answer_ms an answer may take while others come. */
    MOST_WAITS = 3
};

static const struct backoff RECONNECT = {.initial_ms = 50, .factor = 2, .max_ms = 2000};
/* A failover takes seconds in any case, and what is asked meanwhile is only memory's worth. */
static const struct backoff RECONNECT_SENTINELS = {.initial_ms = 50, .factor = 2, .max_ms = 500};

static const struct mono NEVER = {INT64_MAX / 2};

/* First in every probe: no message of ours begins with it. */
#define PROBE_PREFIX "\001probe "

static bool is_reached(struct mono when, struct mono now)
{
    return now.ns >= when.ns;
}

static struct mono earlier(struct mono a, struct mono b)
{
    return a.ns < b.ns ? a : b;
}

static struct mono later(struct mono a, struct mono b)
{
    return a.ns < b.ns ? b : a;
}

static void move(struct store *s, enum link_event event)
{
    enum link_state to = s->state;

    if (!store_link_next(s->state, event, &to)) {
        PANIC("store link: event %d in state %d", (int)event, (int)s->state);
    }
    s->state = to;
    log_event(LOG_DEBUG, "store_link", "state=\"%s\" server=%s", store_link_text(to), s->server);
}

/* Sees to it that the tick runs at `due` or before. */
static void wake(struct store *s, struct mono due)
{
    if (s->is_freed || (loop_timer_is_set(s->timer) && s->due.ns <= due.ns)) {
        return;
    }
    int64_t ns = due.ns - loop_now(s->loop).ns;
    s->due = due;
    loop_timer_set(s->timer, ns > 0 ? (ns + 999999) / 1000000 : 0);
}

void store_lost(struct store *s, const char *format, ...)
{
    va_list args;

    if (s->is_lost || s->is_freed || s->state == LINK_DOWN) {
        return;
    }
    s->is_lost = true;
    va_start(args, format);
    (void)vsnprintf(s->trouble, sizeof s->trouble, format, args);
    va_end(args);
    wake(s, loop_now(s->loop));
}

static void destroy(struct store *s)
{
    redis_values_fini(&s->values);
    free(s->channel);
    free(s);
}

static void enter(struct store *s)
{
    s->depth++;
}

static void leave(struct store *s)
{
    s->depth--;
    if (s->is_freed && s->depth == 0) {
        destroy(s);
    }
}

/* Commands: queue, flight, end. */

/* Behind its mates that wait, though what was only read came since. What no other script came
 * behind: a caller that does not wait for an answer relies on the order. */
static void line_up(struct store *s, struct command *c)
{
    s->n_queued++;
    if (s->last_mate != NULL && store_command_is_mate(s->last_mate, c)) {
        list_push_front(&s->last_mate->link, &c->link);
    } else {
        list_push_back(&s->queue, &c->link);
    }
    if (c->rest_at > 0) {
        s->last_mate = c;
    } else if (c->script >= 0 || c->step != NULL) {
        s->last_mate = NULL;
    }
}

static void take_in(struct store *s, struct command *c)
{
    bool is_oldest = list_is_empty(&s->queue) && list_is_empty(&s->flying);

    c->since = loop_now(s->loop);
    line_up(s, c);
    if (c->step == NULL) {
        s->n++;
        s->n_bytes += c->n;
    }
    if (is_oldest) {
        wake(s, mono_plus_ms(c->since, s->o.answer_ms));
    }
}

static struct command *take_out(struct store *s, struct list *from)
{
    struct list *link = list_pop_front(from);

    if (link == NULL) {
        return NULL;
    }
    struct command *c = LIST_OF(link, struct command, link);
    s->n_queued -= from == &s->queue ? 1 : 0;
    s->last_mate = s->last_mate == c ? NULL : s->last_mate;
    if (c->step == NULL) {
        s->n--;
        s->n_bytes -= c->n;
    }
    return c;
}

/* Where the oldest command stands, if there is one. */
static struct list *oldest_of(struct store *s)
{
    return list_is_empty(&s->flying) ? &s->queue : &s->flying;
}

static const struct command *oldest(struct store *s)
{
    struct list *from = oldest_of(s);

    return list_is_empty(from) ? NULL : LIST_OF(from->next, struct command, link);
}

static void finish(struct command *c, int rc, const struct store_value *value)
{
    if (c->cb != NULL) {
        c->cb(rc, value, c->arg);
    }
    free(c->kept);
    free(c);
}

void store_end_all(struct store *s, struct list *from, int rc)
{
    struct command *c = NULL;

    while ((c = take_out(s, from)) != NULL) {
        finish(c, rc, rc == ERR_OK ? c->kept : NULL);
    }
}

static void finish_all(struct store *s)
{
    store_end_all(s, &s->wait.covered, ERR_UNKNOWN);
    store_end_all(s, &s->wait.held, ERR_UNKNOWN);
    store_end_all(s, &s->flying, ERR_UNKNOWN);
    store_end_all(s, &s->queue, ERR_UNKNOWN);
}

void store_ask(struct store *s, const struct str *words, size_t n_words, command_step step,
               size_t index)
{
    struct command *c = store_command_new(&(struct words){words, n_words}, 1, 0);

    if (c == NULL) {
        store_lost(s, "%s", err_text(ERR_NOMEM));
        return;
    }
    c->step = step;
    c->index = index;
    take_in(s, c);
}

/* Answers. */

static void answer_caller(struct store *s, struct command *c, const struct store_value *value)
{
    int rc = ERR_OK;

    if (value->type == STORE_ERROR) {
        const struct redis_refusal *refusal = redis_refusal_of(value->text);
        rc = refusal->rc;
        if (refusal->is_resent && c->script >= 0 && c->resent < MAX_RESENT) {
            /* The load goes into the same queue, ahead of it. */
            store_reload(s, (enum store_script)c->script);
            c->resent++;
            take_in(s, c);
            return;
        }
        if (refusal->is_our_end) {
            store_lost(s, "%.*s", STR_ARG(value->text));
        }
    } else if (store_wait_is_due(s, c)) {
        if (store_wait_hold(s, c, value) == ERR_OK) {
            return;
        }
        rc = ERR_UNKNOWN; /* it happened, and cannot be told */
    }
    finish(c, rc, rc == ERR_UNKNOWN ? NULL : value);
}

static void answer_us(struct store *s, struct command *c, const struct store_value *value)
{
    if (!s->is_lost) {
        c->step(s, c->index, value);
    }
    free(c);
}

/* One answer for many: each gets its own. An error is everybody's. */
static void answer_mates(struct store *s, struct command *c, const struct store_value *value)
{
    size_t n = c->mates + 1;

    if (value->type != STORE_ERROR && (value->type != STORE_ARRAY || value->n_items != n)) {
        store_lost(s, "an answer for others than asked");
        finish(c, ERR_UNKNOWN, NULL);
        return; /* its mates end with the link */
    }
    for (size_t i = 0; i < n && c != NULL; i++) {
        answer_caller(s, c, value->type == STORE_ERROR ? value : &value->items[i]);
        c = i + 1 < n ? take_out(s, &s->flying) : NULL; /* none: a caller has freed the store */
    }
}

static void on_reply(const struct redisReply *reply, void *arg)
{
    struct store *s = arg;
    struct store_value value = {.type = STORE_NIL};
    struct command *c = take_out(s, &s->flying);

    s->answered++;
    s->answered_at = loop_now(s->loop);
    if (c == NULL) {
        store_lost(s, "an answer that nobody asked for");
        return;
    }
    enter(s);
    if (redis_value_of(reply, &s->values, &value) != ERR_OK) {
        /* It happened, but what it gave cannot be told. */
        store_lost(s, "%s", err_text(ERR_NOMEM));
        finish(c, ERR_UNKNOWN, NULL);
    } else if (c->rest_at > 0) {
        answer_mates(s, c, &value);
    } else if (c->step != NULL) {
        answer_us(s, c, &value);
    } else {
        answer_caller(s, c, &value);
    }
    leave(s);
}

static void on_commands_lost(const char *why, void *arg)
{
    store_lost(arg, "connection: %s", why);
}

/* The channel. */

static void on_subscribed(struct store *s)
{
    move(s, LINK_SUBSCRIBED);
    s->failures = 0;
    s->trouble[0] = '\0';
    s->is_probing = false;
    s->probe_at = mono_plus_ms(loop_now(s->loop), PROBE_MS);
    wake(s, s->probe_at);
    if (s->o.on_state != NULL) {
        s->o.on_state(s, /* is_open= */ true, s->o.arg);
    }
}

static void take_message(struct store *s, struct str channel, struct str message)
{
    if (str_starts(message, STR(PROBE_PREFIX))) {
        s->is_probing = s->is_probing && !str_is(message, str_of(s->probe));
    } else if (s->state == LINK_OPEN && s->o.on_message != NULL) {
        s->o.on_message(channel, message, s->o.arg);
    }
}

/* One address may lead to another server than a moment ago. */
static void check_channel_server(struct store *s, const struct store_value *v)
{
    struct str run_id = v->type == STORE_TEXT ? store_find_run_id(v->text) : (struct str){NULL, 0};

    if (run_id.n > 0 && !str_is(run_id, str_of(s->run_id))) {
        store_lost(s, "channel: %s is another server than for commands", s->server);
    }
    s->is_same_server = s->is_same_server || run_id.n > 0;
}

static void on_channel_value(struct store *s, const struct store_value *v)
{
    if (v->type == STORE_ERROR) {
        store_lost(s, "channel: %.*s", STR_ARG(v->text));
    } else if (v->type != STORE_ARRAY || v->n_items < 3) {
        check_channel_server(s, v); /* or AUTH's OK */
    } else if (str_is(v->items[0].text, STR("message"))) {
        take_message(s, v->items[1].text, v->items[2].text);
    } else if (str_is(v->items[0].text, STR("subscribe")) && s->state == LINK_SUBSCRIBING) {
        if (s->is_same_server) {
            on_subscribed(s);
        } else {
            store_lost(s, "channel: INFO: no run_id");
        }
    }
}

void store_take(struct store *s, const struct redisReply *reply,
                void (*on_value)(struct store *s, const struct store_value *v))
{
    struct store_value value = {.type = STORE_NIL};

    if (s->is_lost) {
        return;
    }
    enter(s);
    if (redis_value_of(reply, &s->values, &value) != ERR_OK) {
        store_lost(s, "%s", err_text(ERR_NOMEM));
    } else {
        on_value(s, &value);
    }
    leave(s);
}

static void on_channel_reply(const struct redisReply *reply, void *arg)
{
    store_take(arg, reply, on_channel_value);
}

static void on_channel_lost(const char *why, void *arg)
{
    store_lost(arg, "channel: %s", why);
}

int store_send(struct redis_adapter *a, const struct str *words, size_t n_words)
{
    struct command *c = store_command_new(&(struct words){words, n_words}, 1, 0);

    if (c == NULL) {
        return ERR_NOMEM;
    }
    int rc = redis_adapter_send(a, (struct str){c->wire, c->n});
    free(c);
    return rc;
}

int store_dial(struct store *s, void (*on_answer)(const struct redisReply *, void *),
               void (*on_end)(const char *, void *), struct redis_adapter **ret)
{
    const struct redis_adapter_calls calls = {on_answer, on_end, s};

    return redis_adapter_open(s->loop, s->address, s->port, &calls, ret);
}

static int subscribe(struct store *s)
{
    const struct str info[] = {STR("INFO"), STR("server")};
    const struct str words[] = {STR("SUBSCRIBE"), str_of(s->channel)};
    struct str auth[3];
    size_t n = store_login_words(s, auth);

    s->is_same_server = false;
    int rc = store_dial(s, on_channel_reply, on_channel_lost, &s->messages);

    if (rc == ERR_OK && n > 0) {
        rc = store_send(s->messages, auth, n);
    }
    if (rc == ERR_OK) {
        rc = store_send(s->messages, info, 2);
    }
    return rc != ERR_OK ? rc : store_send(s->messages, words, 2);
}

void store_arrived(struct store *s)
{
    move(s, LINK_ARRIVED);
    if (s->channel == NULL) {
        on_subscribed(s);
        return;
    }
    int rc = subscribe(s);
    if (rc != ERR_OK) {
        store_lost(s, "channel: %s", err_text(rc));
    }
}

/* The tick: all that time does. */

static void begin(struct store *s)
{
    move(s, LINK_SOUGHT);
    store_finder_seek(s->finder);
}

static void on_found(const struct loop_address *found, size_t n, void *arg)
{
    struct store *s = arg;
    /* The first address comes first again after a success. */
    const struct loop_address *to = &found[s->failures % n];

    loop_address_text(to, s->address);
    s->port = loop_address_port(to);
    (void)snprintf(s->server, sizeof s->server,
                   strchr(s->address, ':') != NULL ? "[%s]:%d" : "%s:%d", s->address, s->port);
    move(s, LINK_DIALED);
    s->opening_until = mono_plus_ms(loop_now(s->loop), s->o.connect_ms);
    memset(s->is_loading, 0, sizeof s->is_loading);
    store_finder_watch(s->finder, to);
    wake(s, s->opening_until);
    int rc = store_dial(s, on_reply, on_commands_lost, &s->commands);
    if (rc != ERR_OK) {
        store_lost(s, "connection: %s", err_text(rc));
        return;
    }
    store_opening_begin(s);
}

static void on_none(const char *why, void *arg)
{
    store_lost(arg, "%s", why);
}

static void on_moved(const char *why, void *arg)
{
    store_lost(arg, "%s", why);
}

/* What a lost link takes with it. */
static void fall(struct store *s, struct mono now)
{
    bool was_open = s->state == LINK_OPEN;
    const struct backoff *pause = s->o.n_sentinels > 0 ? &RECONNECT_SENTINELS : &RECONNECT;

    store_finder_rest(s->finder);
    redis_adapter_close(s->commands);
    redis_adapter_close(s->messages);
    s->commands = NULL;
    s->messages = NULL;
    store_wait_close(s);
    s->is_lost = false;
    s->failures++;
    s->retry_at = mono_plus_ms(now, backoff_half_jitter_ms(pause, s->failures, random_unit()));
    move(s, LINK_LOST);
    finish_all(s);
    if (was_open && !s->is_freed && s->o.on_state != NULL) {
        s->o.on_state(s, /* is_open= */ false, s->o.arg);
    }
}

/* When the next answer is overdue; NEVER where none is due. Counted from the answer before it: ten
 * thousand commands at once take their time, and a Redis that answers one after the other is not
 * gone. But nobody waits much longer than was promised. */
static struct mono answer_due(struct store *s)
{
    const struct command *c = oldest(s);

    if (c == NULL) {
        return NEVER;
    }
    return earlier(mono_plus_ms(later(c->since, s->answered_at), s->o.answer_ms),
                   mono_plus_ms(c->since, MOST_WAITS * s->o.answer_ms));
}

/* Late ourselves (stopped, or a long turn)? Then the answer may lie in the socket: read first. */
static void check_answers(struct store *s, struct mono now)
{
    uint64_t answered = s->answered;

    if (!is_reached(answer_due(s), now)) {
        return;
    }
    redis_adapter_read(s->commands);
    if (s->answered == answered) {
        store_lost(s, "no answer within %lld ms", (long long)s->o.answer_ms);
    }
}

static void on_published(struct store *s, size_t index, const struct store_value *v)
{
    (void)index;
    if (v->type == STORE_INTEGER && v->integer == 0) {
        store_lost(s, "channel: nobody listens");
    } else if (v->type == STORE_ERROR) {
        s->is_probing = false; /* refused, which says nothing about the channel */
    } else {
        s->probe_until = mono_plus_ms(loop_now(s->loop), s->o.answer_ms);
    }
}

static void on_epoch(struct store *s, size_t index, const struct store_value *v)
{
    int64_t forgot = 0;

    (void)index;
    if (v->type != STORE_ARRAY || v->n_items < 2) {
        return;
    }
    const struct store_value *epoch = &v->items[0];
    if (epoch->type != STORE_TEXT || !str_is(epoch->text, str_of(s->epoch))) {
        store_lost(s, "the store lost its memory: another epoch");
    } else if (v->items[1].type == STORE_TEXT && RULE(loss_is_heard) &&
               str_to_i64(v->items[1].text, &forgot) == ERR_OK && forgot > s->forgot) {
        /* Noticed by another link. */
        store_lost(s, "the store lost acknowledged writes");
    }
}

static void send_probe(struct store *s, struct mono now)
{
    const struct str get[] = {STR("MGET"), STORE_EPOCH_KEY, STORE_FORGOT_KEY};

    store_wait_probe(s);
    store_ask(s, get, 3, on_epoch, 0);
    if (s->channel != NULL) {
        const struct str publish[] = {STR("PUBLISH"), str_of(s->channel), str_of(s->probe)};
        store_ask(s, publish, 3, on_published, 0);
        s->is_probing = true;
    }
    s->probe_until = NEVER; /* from its answer on */
    s->probe_at = mono_plus_ms(now, PROBE_MS);
}

static void check_probe(struct store *s, struct mono now)
{
    if (s->is_probing && is_reached(s->probe_until, now)) {
        redis_adapter_read(s->messages);
        if (s->is_freed || s->is_lost) {
            return;
        }
        if (s->is_probing) {
            store_lost(s, "channel: deaf for %lld ms", (long long)s->o.answer_ms);
        }
    } else if (!s->is_probing && is_reached(s->probe_at, now)) {
        send_probe(s, now);
    }
}

static void check_open(struct store *s, struct mono now)
{
    check_answers(s, now);
    if (!s->is_freed && !s->is_lost) {
        store_wait_check(s, now);
    }
    if (!s->is_freed && !s->is_lost) {
        check_probe(s, now);
    }
}

static struct mono next_due(struct store *s, struct mono now)
{
    if (s->is_lost) {
        return now;
    }
    if (s->state == LINK_DOWN) {
        return s->retry_at;
    }
    if (s->state == LINK_FINDING) {
        return NEVER; /* the finder has bounds of its own */
    }
    if (s->state != LINK_OPEN) {
        return s->opening_until;
    }
    struct mono due = earlier(s->is_probing ? s->probe_until : s->probe_at, answer_due(s));
    /* Late, but answers come: libuv would run a timer of 0 again before it reads. */
    struct mono soon = mono_plus_ms(now, 1);
    return is_reached(due, now) ? soon : due;
}

static void tick(struct store *s, struct mono now)
{
    if (s->is_lost) {
        fall(s, now);
    }
    if (s->is_freed) {
        return;
    }
    if (s->state == LINK_DOWN) {
        if (is_reached(s->retry_at, now)) {
            begin(s);
        }
    } else if (s->state == LINK_OPEN) {
        check_open(s, now);
    } else if (s->state != LINK_FINDING && is_reached(s->opening_until, now)) {
        store_lost(s, "not %s within %lld ms", s->state == LINK_OPENING ? "verified" : "subscribed",
                   (long long)s->o.connect_ms);
    }
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct store *s = arg;
    struct mono now = loop_now(s->loop);

    (void)t;
    enter(s);
    tick(s, now);
    if (!s->is_freed) {
        wake(s, next_due(s, now));
    }
    leave(s);
}

/* The end of a turn: everything leaves in one write a connection. */

static struct command *launch(struct store *s)
{
    struct list *link = list_pop_front(&s->queue);
    struct command *c = LIST_OF(link, struct command, link);

    s->n_queued--;
    s->last_mate = s->last_mate == c ? NULL : s->last_mate;
    c->mates = 0;
    list_push_back(&s->flying, link);
    return c;
}

/* How many behind the first in the queue go along with it. */
static size_t count_mates(struct store *s, size_t *ret_n_rest)
{
    struct list *at = s->queue.next;
    const struct command *first = LIST_OF(at, struct command, link);
    size_t n = 0;
    size_t n_bytes = first->n;

    *ret_n_rest = first->n_rest;
    const struct command *before = first;
    for (at = at->next; at != &s->queue && n + 1 < MOST_MATES; at = at->next) {
        struct command *c = LIST_OF(at, struct command, link);
        n_bytes += c->n;
        if (!store_command_is_mate(first, c) || n_bytes > FEED_BYTES) {
            break;
        }
        c->changed = store_command_changes(before, c);
        *ret_n_rest += store_command_n_words(c, c->changed);
        before = c;
        n++;
    }
    return n;
}

static int send_rest(struct store *s, const struct command *c)
{
    return redis_adapter_send(s->commands, (struct str){c->wire + c->rest_at, c->n - c->rest_at});
}

/* Behind its mate. */
static int send_mate(struct store *s, const struct command *c)
{
    char places[STORE_PLACES_SIZE];
    uint64_t changed = c->changed;

    if (changed == 0) {
        return send_rest(s, c);
    }
    size_t n = store_command_places(changed, places);
    int rc = redis_adapter_send(s->commands, (struct str){places, n});
    while (rc == ERR_OK && changed != 0) {
        rc = redis_adapter_send(s->commands, store_command_next(c, &changed));
    }
    return rc;
}

/* The first in the queue, and its mates right behind it: one call. */
static int send_first(struct store *s)
{
    char head[STORE_HEAD_SIZE];
    size_t n_rest = 0;
    size_t n_mates = count_mates(s, &n_rest);
    struct command *c = launch(s);
    size_t n_head = n_mates > 0 ? store_command_head(c, n_rest, head) : 0;

    if (n_head == 0) {
        return redis_adapter_send(s->commands, (struct str){c->wire, c->n});
    }
    c->mates = n_mates;
    int rc = redis_adapter_send(s->commands, (struct str){head, n_head});
    if (rc == ERR_OK) {
        rc = send_rest(s, c);
    }
    for (size_t i = 0; rc == ERR_OK && i < n_mates; i++) {
        rc = send_mate(s, launch(s));
    }
    return rc;
}

/* Redis answers in order: what is asked behind an unanswered command is answered no sooner for
 * being sent at once, but costs less when it has found mates meanwhile. */
static bool may_gather(const struct store *s)
{
    return s->state == LINK_OPEN && !list_is_empty(&s->flying) && s->n_queued < MOST_MATES;
}

static void feed(struct store *s)
{
    if (may_gather(s)) {
        return;
    }
    while (!list_is_empty(&s->queue) && redis_adapter_backlog(s->commands) < FEED_BYTES) {
        if (send_first(s) != ERR_OK) {
            store_lost(s, "connection lost");
            return;
        }
    }
}

static void on_turn_end(void *arg)
{
    struct store *s = arg;

    if (s->commands != NULL && !s->is_lost) {
        feed(s);
        redis_adapter_flush(s->commands);
    }
    if (s->messages != NULL && !s->is_lost) {
        redis_adapter_flush(s->messages);
    }
    if (!s->is_lost) {
        store_wait_flush(s);
    }
}

/* Making, asking, freeing. */

static int make_finder(struct store *s, const struct store_options *o)
{
    const struct store_place where = {.host = s->url.host,
                                      .port = s->url.port,
                                      .sentinels = o->sentinels,
                                      .n_sentinels = o->n_sentinels,
                                      .master = o->master,
                                      .lookup_ms = o->connect_ms};
    const struct store_finder_calls calls = {on_found, on_none, on_moved, s};

    return store_finder_new(s->loop, &where, &calls, &s->finder);
}

static int set_up(struct store *s, const struct store_options *o)
{
    char name[RANDOM_NAME_SIZE];
    int rc = redis_url_parse(o->url, &s->url);

    if (rc == ERR_OK) {
        rc = make_finder(s, o);
    }
    if (rc == ERR_OK && o->channel != NULL) {
        s->channel = str_dup(str_of(o->channel));
        rc = s->channel == NULL ? ERR_NOMEM : ERR_OK;
    }
    s->o = *o;
    s->o.url = NULL;
    s->o.sentinels = NULL;
    s->o.master = NULL;
    s->o.channel = NULL;
    s->o.max_outstanding = o->max_outstanding > 0 ? o->max_outstanding : MAX_OUTSTANDING;
    s->o.max_bytes = o->max_bytes > 0 ? o->max_bytes : MAX_BYTES;
    random_name(name);
    (void)snprintf(s->probe, sizeof s->probe, PROBE_PREFIX "%s", name);
    (void)snprintf(s->trouble, sizeof s->trouble, "not connected yet");
    return rc;
}

int store_new(struct loop *l, const struct store_options *o, struct store **ret)
{
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->loop = l;
    list_init(&s->queue);
    list_init(&s->flying);
    store_wait_init(s);
    int rc = set_up(s, o);
    for (int i = 0; rc == ERR_OK && i < STORE_SCRIPTS; i++) {
        rc = store_script_function((enum store_script)i, s->functions[i]);
    }
    if (rc == ERR_OK) {
        rc = loop_timer_new(l, on_timer, s, &s->timer);
    }
    if (rc == ERR_OK) {
        rc = loop_hook_new(l, on_turn_end, s, &s->hook);
    }
    if (rc != ERR_OK) {
        store_free(s);
        return rc;
    }
    s->retry_at = loop_now(l);
    wake(s, s->retry_at);
    *ret = s;
    return ERR_OK;
}

void store_free(struct store *s)
{
    if (s == NULL || s->is_freed) {
        return;
    }
    s->is_freed = true;
    enter(s);
    loop_timer_free(s->timer);
    loop_hook_free(s->hook);
    store_finder_free(s->finder);
    s->finder = NULL;
    redis_adapter_close(s->commands);
    redis_adapter_close(s->messages);
    s->commands = NULL;
    s->messages = NULL;
    store_wait_close(s);
    finish_all(s);
    leave(s);
}

bool store_is_open(const struct store *s)
{
    return s->state == LINK_OPEN && !s->is_lost && !s->is_freed;
}

const char *store_trouble(const struct store *s)
{
    return s->trouble;
}

const char *store_epoch(const struct store *s)
{
    return s->epoch[0] == '\0' ? NULL : s->epoch;
}

enum store_memory store_memory(const struct store *s)
{
    return s->epoch_changes > 0 ? STORE_HAS_FORGOTTEN
           : !s->o.is_strict    ? STORE_MAY_FORGET
           : s->forgot > 0      ? STORE_LOST_SOME
                                : STORE_KEEPS;
}

int64_t store_forgot(const struct store *s)
{
    return s->forgot;
}

uint64_t store_losses(const struct store *s)
{
    return s->losses;
}

const char *store_doubt(const struct store *s)
{
    return s->wait.is_short ? "fewer replicas than store.wait_replicas have acknowledged" : "";
}

uint64_t store_epoch_changes(const struct store *s)
{
    return s->epoch_changes;
}

int64_t store_generation(const struct store *s)
{
    return s->generation;
}

const char *store_server(const struct store *s)
{
    return s->server;
}

size_t store_outstanding(const struct store *s)
{
    return s->n;
}

static int issue(struct store *s, const struct words *parts, size_t n_parts, size_t n_shared,
                 int script, store_cb cb, void *arg)
{
    if (!store_is_open(s)) {
        return ERR_DOWN;
    }
    if (s->n >= s->o.max_outstanding) {
        return ERR_LIMIT;
    }
    struct command *c = store_command_new(parts, n_parts, n_shared);
    if (c == NULL || s->n_bytes + c->n > s->o.max_bytes) {
        free(c);
        return ERR_LIMIT;
    }
    c->script = script;
    c->cb = cb;
    c->arg = arg;
    take_in(s, c);
    return ERR_OK;
}

int store_call(struct store *s, enum store_script script, const struct str *keys, size_t n_keys,
               const struct str *args, size_t n_args, store_cb cb, void *arg)
{
    char count[STR_I64_SIZE];

    CHECK(script < STORE_SCRIPTS);
    const struct str head[] = {STR("FCALL"), str_of(s->functions[script]),
                               str_from_i64((int64_t)n_keys, count)};
    if (!store_script_is_for_many(script)) {
        const struct words parts[] = {{head, 3}, {keys, n_keys}, {args, n_args}};
        return issue(s, parts, 3, 0, (int)script, cb, arg);
    }
    char own[STR_I64_SIZE];
    const struct str own_count = str_from_i64((int64_t)n_args, own);
    const struct words parts[] = {{head, 3}, {keys, n_keys}, {&own_count, 1}, {args, n_args}};
    return issue(s, parts, 4, 2, (int)script, cb, arg);
}

int store_command(struct store *s, const struct str *words, size_t n_words, store_cb cb, void *arg)
{
    return issue(s, &(struct words){words, n_words}, 1, 0, COMMAND_NO_SCRIPT, cb, arg);
}

int store_command_kept(struct store *s, const struct str *words, size_t n_words, store_cb cb,
                       void *arg)
{
    return issue(s, &(struct words){words, n_words}, 1, 0, COMMAND_KEPT, cb, arg);
}
