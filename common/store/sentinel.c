/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH, SENTINEL MASTER (for the epoch) and SENTINEL GET-MASTER-ADDR-BY-NAME leave together. The
 * address comes from the second, which during a failover tells the promoted replica sooner; in this
 * order, so that an old address never goes with a new epoch.
 *
 * What the connection and the lookup tell is only noted; the timer acts on it, so that the
 * connection can be closed and the caller called from there. */
#include "store/sentinel.h"

#include "base/random.h"
#include "loop/lookup.h"
#include "store/adapter.h"
#include "store/command.h"
#include "store/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sentinel_ask {
    struct loop *loop;
    const struct redis_url *sentinel;
    const char *master;
    int64_t bound_ms;
    sentinel_cb cb;
    void *arg;

    struct loop_timer *timer;
    struct mono until;
    struct loop_lookup *lookup;
    struct loop_address addresses[LOOP_ADDRESSES];
    size_t n_addresses;
    size_t first; /* of the addresses, drawn */
    size_t tried;
    struct redis_adapter *adapter;
    struct redis_values values;
    size_t n_sent;
    size_t n_answers;

    bool is_refused; /* this address: on to the next */
    bool is_over;
    int rc;
    char why[256];
    char host[256];
    char port[6];
    uint64_t epoch;
};

static void act_soon(struct sentinel_ask *x)
{
    loop_timer_set(x->timer, 0);
}

/* The first verdict stands. */
__attribute__((format(printf, 3, 4))) static void end(struct sentinel_ask *x, int rc,
                                                      const char *format, ...)
{
    va_list args;

    if (x->is_over) {
        return;
    }
    x->is_over = true;
    x->rc = rc;
    va_start(args, format);
    (void)vsnprintf(x->why, sizeof x->why, format, args);
    va_end(args);
    act_soon(x);
}

/* Answers. */

/* SENTINEL MASTER: names and values by turns. */
static bool find_epoch(const struct store_value *v, uint64_t *ret)
{
    for (size_t i = 0; v->type == STORE_ARRAY && i + 1 < v->n_items; i += 2) {
        if (str_is(v->items[i].text, STR("config-epoch"))) {
            return str_to_u64(v->items[i + 1].text, UINT64_MAX, ret) == ERR_OK;
        }
    }
    return false;
}

static void take_address(struct sentinel_ask *x, const struct store_value *v)
{
    uint64_t port = 0;

    if (v->type == STORE_NIL) {
        end(x, ERR_MISSING, "knows no master named '%s'", x->master);
    } else if (v->type != STORE_ARRAY || v->n_items != 2 ||
               !str_keep(v->items[0].text, x->host, sizeof x->host) ||
               !str_keep(v->items[1].text, x->port, sizeof x->port) ||
               str_to_u64(str_of(x->port), 65535, &port) != ERR_OK || port == 0) {
        end(x, ERR_DENIED, "tells no address of the master");
    } else {
        end(x, ERR_OK, "%s", "");
    }
}

static void take_answer(struct sentinel_ask *x, const struct store_value *v)
{
    size_t left = x->n_sent - ++x->n_answers; /* commands behind this one */

    if (v->type == STORE_ERROR && left == 1 && str_starts(v->text, STR("ERR No such master"))) {
        end(x, ERR_MISSING, "knows no master named '%s'", x->master);
    } else if (v->type == STORE_ERROR) {
        end(x, ERR_DENIED, "%.*s", STR_ARG(v->text));
    } else if (left == 1 && !find_epoch(v, &x->epoch)) {
        end(x, ERR_DENIED, "tells no config-epoch of the master");
    } else if (left == 0) {
        take_address(x, v);
    }
}

static void on_reply(const struct redisReply *reply, void *arg)
{
    struct sentinel_ask *x = arg;
    struct store_value value = {.type = STORE_NIL};

    if (x->is_over) {
        return;
    }
    if (redis_value_of(reply, &x->values, &value) != ERR_OK) {
        end(x, ERR_DOWN, "%s", err_text(ERR_NOMEM));
    } else {
        take_answer(x, &value);
    }
}

static void refuse(struct sentinel_ask *x, const char *why)
{
    if (!x->is_over) {
        x->is_refused = true;
        (void)snprintf(x->why, sizeof x->why, "%s", why);
        act_soon(x);
    }
}

static void on_lost(const char *why, void *arg)
{
    refuse(arg, why);
}

/* Asking. */

static int send_words(struct sentinel_ask *x, const struct str *words, size_t n)
{
    struct command *c = store_command_new(&(struct words){words, n}, 1, 0);

    if (c == NULL) {
        return ERR_NOMEM;
    }
    int rc = redis_adapter_send(x->adapter, (struct str){c->wire, c->n});
    free(c);
    x->n_sent++;
    return rc;
}

static int send_all(struct sentinel_ask *x)
{
    const struct redis_url *u = x->sentinel;
    struct str auth[3] = {STR("AUTH")};
    const struct str master[] = {STR("SENTINEL"), STR("MASTER"), str_of(x->master)};
    const struct str address[] = {STR("SENTINEL"), STR("GET-MASTER-ADDR-BY-NAME"),
                                  str_of(x->master)};
    size_t n = 1;
    int rc = ERR_OK;

    x->n_sent = 0;
    x->n_answers = 0;
    if (u->user[0] != '\0') {
        auth[n++] = str_of(u->user);
    }
    if (u->password[0] != '\0') {
        auth[n++] = str_of(u->password);
        rc = send_words(x, auth, n);
    }
    if (rc == ERR_OK) {
        rc = send_words(x, master, 3);
    }
    return rc != ERR_OK ? rc : send_words(x, address, 3);
}

static void dial(struct sentinel_ask *x)
{
    const struct redis_adapter_calls calls = {on_reply, on_lost, x};
    char address[LOOP_ADDRESS_TEXT_SIZE];
    uint64_t port = 0;
    int rc = str_to_u64(str_of(x->sentinel->port), 65535, &port);

    loop_address_text(&x->addresses[(x->first + x->tried) % x->n_addresses], address);
    x->tried++;
    if (rc == ERR_OK) {
        rc = redis_adapter_open(x->loop, address, (int)port, &calls, &x->adapter);
    }
    if (rc == ERR_OK) {
        rc = send_all(x);
    }
    if (rc != ERR_OK) {
        refuse(x, err_text(rc));
    }
}

static void on_found(int rc, const struct loop_address *found, size_t n, void *arg)
{
    struct sentinel_ask *x = arg;

    if (rc != ERR_OK) {
        end(x, ERR_DOWN, "its name does not resolve: %s", err_text(rc));
        return;
    }
    memcpy(x->addresses, found, n * sizeof *found);
    x->n_addresses = n;
    x->first = random_u64() % n;
    dial(x);
}

static void tell(struct sentinel_ask *x)
{
    const struct sentinel_answer answer = {x->host, x->port, x->epoch};
    sentinel_cb cb = x->cb;

    redis_adapter_close(x->adapter);
    x->adapter = NULL;
    loop_timer_cancel(x->timer);
    /* It may free x. */
    cb(x->rc, x->rc == ERR_OK ? &answer : NULL, x->why, x->arg);
}

static void on_timer(struct loop_timer *t, void *arg)
{
    struct sentinel_ask *x = arg;
    int64_t left_ms = -mono_since_ms(x->until, loop_now(x->loop));

    if (!x->is_over && left_ms <= 0) {
        end(x, ERR_DOWN, "no answer within %lld ms", (long long)x->bound_ms);
    } else if (!x->is_over && x->is_refused && x->tried < x->n_addresses) {
        x->is_refused = false;
        redis_adapter_close(x->adapter);
        x->adapter = NULL;
        loop_timer_set(t, left_ms);
        dial(x);
        return;
    } else if (!x->is_over && x->is_refused) {
        x->is_over = true;
        x->rc = ERR_DOWN;
    }
    if (x->is_over) {
        tell(x);
    } else {
        loop_timer_set(t, left_ms);
    }
}

static int begin(struct sentinel_ask *x)
{
    const struct redis_url *u = x->sentinel;

    if (loop_lookup_numeric(u->host, u->port, &x->addresses[0]) != ERR_OK) {
        return loop_lookup_new(x->loop, u->host, u->port, on_found, x, &x->lookup);
    }
    x->n_addresses = 1;
    dial(x);
    return ERR_OK;
}

int sentinel_ask_new(struct loop *l, const struct redis_url *sentinel, const char *master,
                     int64_t bound_ms, sentinel_cb cb, void *arg, struct sentinel_ask **ret)
{
    struct sentinel_ask *x = calloc(1, sizeof *x);

    if (x == NULL) {
        return ERR_NOMEM;
    }
    x->loop = l;
    x->sentinel = sentinel;
    x->master = master;
    x->bound_ms = bound_ms;
    x->cb = cb;
    x->arg = arg;
    x->until = mono_plus_ms(loop_now(l), bound_ms);
    int rc = loop_timer_new(l, on_timer, x, &x->timer);
    if (rc == ERR_OK) {
        loop_timer_set(x->timer, bound_ms);
        rc = begin(x);
    }
    if (rc != ERR_OK) {
        sentinel_ask_free(x);
        return ERR_NOMEM;
    }
    *ret = x;
    return ERR_OK;
}

void sentinel_ask_free(struct sentinel_ask *x)
{
    if (x == NULL) {
        return;
    }
    loop_lookup_free(x->lookup);
    redis_adapter_close(x->adapter);
    loop_timer_free(x->timer);
    redis_values_fini(&x->values);
    free(x);
}
