/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wait.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "store/scripts.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    /* A link that was away for longer does not look: its counter may have gone in order. */
    BELIEVED_MS = STORE_SEEN_MS - 3600000
};

bool store_wait_is_on(const struct store *s)
{
    return s->o.wait_replicas > 0 || (s->o.has_standby && s->o.is_strict);
}

void store_wait_init(struct store *s)
{
    char name[RANDOM_NAME_SIZE];

    list_init(&s->wait.held);
    list_init(&s->wait.covered);
    random_name(name);
    (void)snprintf(s->wait.key, sizeof s->wait.key, "{sluice}:seen:%s", name);
}

uint64_t store_wait_confirmed(const struct store *s)
{
    bool is_old = mono_since_ms(s->wait.confirmed_at, loop_now(s->loop)) > BELIEVED_MS;

    return is_old ? 0 : s->wait.confirmed;
}

/* --- what is held ----------------------------------------------------------------------------- */

/* A test may take the rule out for one kind of script. */
static bool is_excepted(int script)
{
    return (script == STORE_CLAIM && !RULE(claim_waits)) ||
           (script == STORE_ACCEPT && !RULE(accept_waits)) ||
           (script == STORE_COMPLETE && !RULE(complete_waits));
}

bool store_wait_is_due(const struct store *s, const struct command *c)
{
    if (!store_wait_is_on(s) || c->script == COMMAND_NO_SCRIPT) {
        return false;
    }
    if (c->script == COMMAND_KEPT) {
        return RULE(readings_wait);
    }
    return store_script_waits((enum store_script)c->script) && !is_excepted(c->script);
}

int store_wait_hold(struct store *s, struct command *c, const struct store_value *value)
{
    int rc = redis_value_keep(value, &c->kept);

    if (rc == ERR_OK) {
        list_push_back(&s->wait.held, &c->link);
        s->n++;
        s->n_bytes += c->n;
    }
    return rc;
}

static void note_replicas(struct store *s, bool is_short, int64_t told)
{
    if (is_short != s->wait.is_short) {
        log_event(is_short ? LOG_WARN : LOG_INFO, is_short ? "replicas_short" : "replicas_back",
                  "wanted=%u acknowledged=%" PRId64, s->o.wait_replicas, told);
    }
    s->wait.is_short = is_short;
}

static void end_round(struct store *s, bool is_kept)
{
    s->wait.due = WAIT_NOTHING;
    if (is_kept) {
        s->wait.confirmed = s->wait.sent;
        s->wait.confirmed_at = s->wait.since;
    }
    store_end_all(s, &s->wait.covered, is_kept ? ERR_OK : ERR_UNKNOWN);
}

/* --- answers on the connection of its own ----------------------------------------------------- */

static void on_login(struct store *s, const struct store_value *v)
{
    if (v->type == STORE_ERROR) {
        store_lost(s, "wait: %.*s", STR_ARG(v->text));
    } else if (--s->wait.logins == 0) {
        s->wait.due = WAIT_INFO;
    }
}

/* Behind one address there may be several servers: what one wrote another cannot confirm. */
static void on_info(struct store *s, const struct store_value *v)
{
    struct str run_id = {NULL, 0};

    if (v->type == STORE_TEXT) {
        run_id = store_find_run_id(v->text);
    }
    if (!str_is(run_id, str_of(s->run_id))) {
        store_lost(s, "wait: another server answers");
        return;
    }
    s->wait.due = WAIT_NOTHING;
    store_arrived(s);
}

static void on_seen(struct store *s, const struct store_value *v)
{
    bool is_counted = v->type == STORE_INTEGER;

    if (is_counted && v->integer < (int64_t)s->wait.confirmed) {
        /* Under our hands; it was left as it stands. To come again is to have it noticed. */
        store_lost(s, "the store lost acknowledged writes");
        return;
    }
    if (!is_counted && v->type == STORE_ERROR) {
        const struct redis_refusal *refusal = redis_refusal_of(v->text);
        log_event(LOG_DEBUG, "store_seen", "err=\"%.*s\"", STR_ARG(v->text));
        if (refusal->is_our_end) {
            store_lost(s, "wait: %.*s", STR_ARG(v->text));
            return;
        }
        if (refusal->is_resent) {
            store_reload(s, STORE_SEEN); /* for the next round */
        }
    }
    s->wait.is_counted = is_counted;
    if (s->o.wait_replicas > 0) {
        s->wait.due = WAIT_REPLICAS;
    } else {
        end_round(s, is_counted);
    }
}

static void on_replicas(struct store *s, const struct store_value *v)
{
    int64_t told = v->type == STORE_INTEGER ? v->integer : 0;

    if (v->type == STORE_ERROR) {
        store_lost(s, "wait: %.*s", STR_ARG(v->text)); /* a replica itself, by now */
        return;
    }
    bool is_short = told < s->o.wait_replicas;
    note_replicas(s, is_short, told);
    end_round(s, (s->wait.is_counted && !is_short) || !RULE(wait_counts));
}

static void on_value(struct store *s, const struct store_value *v)
{
    switch (s->wait.due) {
    case WAIT_LOGIN:
        on_login(s, v);
        break;
    case WAIT_INFO:
        on_info(s, v);
        break;
    case WAIT_SEEN:
        on_seen(s, v);
        break;
    case WAIT_REPLICAS:
        on_replicas(s, v);
        break;
    case WAIT_NOTHING:
        store_lost(s, "wait: an answer that nobody asked for");
        break;
    }
}

static void on_reply(const struct redisReply *reply, void *arg)
{
    store_take(arg, reply, on_value);
}

static void on_lost(const char *why, void *arg)
{
    store_lost(arg, "wait: %s", why);
}

/* --- opening, rounds -------------------------------------------------------------------------- */

static void send_round(struct store *s, const struct str *words, size_t n_words)
{
    int rc = store_send(s->wait.link, words, n_words);

    if (rc != ERR_OK) {
        store_lost(s, "wait: %s", err_text(rc));
    }
}

void store_wait_open(struct store *s)
{
    const struct str info[] = {STR("INFO"), STR("server")};
    struct str login[3];
    char db[16];
    size_t n = store_login_words(s, login);
    int rc = store_dial(s, on_reply, on_lost, &s->wait.link);

    if (rc != ERR_OK) {
        store_lost(s, "wait: %s", err_text(rc));
        return;
    }
    s->wait.confirmed = store_wait_confirmed(s);
    s->wait.logins = 0;
    s->wait.is_short = false;
    s->wait.is_asked = true; /* how the replicas stand is seen at once */
    if (n > 0) {
        s->wait.logins++;
        send_round(s, login, n);
    }
    if (s->url.db != 0) {
        (void)snprintf(db, sizeof db, "%u", s->url.db);
        const struct str choose[] = {STR("SELECT"), str_of(db)};
        s->wait.logins++;
        send_round(s, choose, 2);
    }
    s->wait.due = s->wait.logins > 0 ? WAIT_LOGIN : WAIT_INFO;
    send_round(s, info, 2);
}

static void begin_round(struct store *s)
{
    struct list *link;
    char counter[24];
    char kept[24];
    char confirmed[24];
    char replicas[16];
    char ms[24];

    while ((link = list_pop_front(&s->wait.held)) != NULL) {
        list_push_back(&s->wait.covered, link);
    }
    s->wait.is_asked = false;
    s->wait.sent++;
    s->wait.since = loop_now(s->loop);
    s->wait.due = WAIT_SEEN;
    (void)snprintf(counter, sizeof counter, "%" PRIu64, s->wait.sent);
    (void)snprintf(kept, sizeof kept, "%d", STORE_SEEN_MS);
    (void)snprintf(confirmed, sizeof confirmed, "%" PRIu64, s->wait.confirmed);
    const struct str seen[] = {STR("FCALL"),     str_of(s->functions[STORE_SEEN]),
                               STR("1"),         str_of(s->wait.key),
                               str_of(counter),  str_of(kept),
                               str_of(confirmed)};
    send_round(s, seen, sizeof seen / sizeof seen[0]);
    if (s->o.wait_replicas > 0) {
        (void)snprintf(replicas, sizeof replicas, "%u", s->o.wait_replicas);
        (void)snprintf(ms, sizeof ms, "%" PRId64, s->o.wait_ms);
        const struct str wait[] = {STR("WAIT"), str_of(replicas), str_of(ms)};
        send_round(s, wait, 3);
    }
}

void store_wait_flush(struct store *s)
{
    if (s->wait.link == NULL) {
        return;
    }
    bool is_wanted = !list_is_empty(&s->wait.held) || s->wait.is_asked;
    if (s->state == LINK_OPEN && s->wait.due == WAIT_NOTHING && is_wanted) {
        begin_round(s);
    }
    redis_adapter_flush(s->wait.link);
}

void store_wait_probe(struct store *s)
{
    s->wait.is_asked = s->wait.link != NULL;
}

void store_wait_check(struct store *s, struct mono now)
{
    bool is_out = s->wait.due == WAIT_SEEN || s->wait.due == WAIT_REPLICAS;
    int64_t limit_ms = s->o.wait_ms + s->o.answer_ms;
    uint64_t round = s->wait.sent;

    if (s->wait.link == NULL || !is_out || mono_since_ms(s->wait.since, now) < limit_ms) {
        return;
    }
    redis_adapter_read(s->wait.link);
    if (!s->is_freed && s->wait.due != WAIT_NOTHING && s->wait.sent == round) {
        store_lost(s, "wait: no answer within %" PRId64 " ms", limit_ms);
    }
}

void store_wait_close(struct store *s)
{
    redis_adapter_close(s->wait.link);
    s->wait.link = NULL;
    s->wait.due = WAIT_NOTHING;
}
