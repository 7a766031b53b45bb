/* SPDX-License-Identifier: Apache-2.0 */
/* core — what store.c (queue, watch, state) and opening.c (verification) share. Of this folder
 * only.
 */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "loop/loop.h"
#include "store/adapter.h"
#include "store/command.h"
#include "store/finding.h"
#include "store/link.h"
#include "store/reply.h"
#include "store/scripts.h"
#include "store/store.h"
#include "store/url.h"

enum {
    STORE_NAME_SIZE = 128,
    /* How long a link's counter is kept behind its last round. */
    STORE_SEEN_MS = 86400000
};

/* What wait.c remembers; nobody else looks into it, but for the lists. */
struct store_wait {
    char key[STORE_NAME_SIZE];
    struct redis_adapter *link;
    enum {
        WAIT_NOTHING,
        WAIT_LOGIN,
        WAIT_INFO,
        WAIT_SEEN,
        WAIT_REPLICAS
    } due; /* the next answer */
    unsigned int logins;
    struct list held;    /* answered, for the next round */
    struct list covered; /* by the round under way */
    struct mono since;   /* the round under way */
    uint64_t sent;       /* the counter's newest value */
    uint64_t confirmed;  /* the last that replicas have */
    struct mono confirmed_at;
    bool is_counted; /* this round's value was written */
    bool is_asked;   /* a round without an answer to wait for is wanted */
    bool is_short;   /* fewer replicas than wanted had the last round */
};

struct store {
    struct loop *loop;
    struct store_options o;
    char *channel;        /* our copy, or NULL */
    struct redis_url url; /* with sentinels only user, password and db count */
    struct store_finder *finder;
    char address[LOOP_ADDRESS_TEXT_SIZE]; /* that of both connections */
    int port;
    char server[LOOP_ADDRESS_TEXT_SIZE + 16]; /* both, for people */

    struct loop_timer *timer;
    struct mono due; /* when the timer fires, while it is set */
    struct loop_hook *hook;
    struct redis_adapter *commands;
    struct redis_adapter *messages;

    enum link_state state;
    bool is_lost; /* noticed; the tick that follows at once acts on it */
    bool is_freed;
    unsigned int depth; /* frames of ours below which callers' code may run */
    unsigned int failures;
    struct mono retry_at;
    struct mono opening_until;

    struct list queue; /* not yet given to hiredis */
    size_t n_queued;
    struct command *last_mate; /* in the queue: where one more for the same call goes; or NULL */
    struct list flying;        /* given to hiredis; answers come in this order */
    size_t n;                  /* callers' commands in both */
    size_t n_bytes;
    uint64_t answered;
    struct mono answered_at; /* the last one */

    size_t steps; /* of the opening, without an answer yet */
    char run_id[STORE_NAME_SIZE];
    bool is_same_server; /* the channel's connection told the same run_id */
    char functions[STORE_SCRIPTS][STORE_FUNCTION_SIZE];
    bool is_loading[STORE_SCRIPTS];
    char epoch[STORE_NAME_SIZE];
    int64_t generation;
    int64_t forgot; /* the last generation before which acknowledged writes were lost; 0 none */
    uint64_t epoch_changes;
    uint64_t losses;
    struct store_wait wait;

    char probe[STORE_NAME_SIZE];
    struct mono probe_at;
    struct mono probe_until;
    bool is_probing;

    struct redis_values values;
    char trouble[384];
};

/* The key that holds the epoch: one a store; and that of the last generation that forgot. */
#define STORE_EPOCH_KEY STR("{sluice}:epoch")
#define STORE_FORGOT_KEY STR("{sluice}:forgot")

/* Notes why the link is of no use (the first reason stands); it falls in the next turn. */
__attribute__((format(printf, 2, 3))) void store_lost(struct store *s, const char *format, ...);
/* Sends a command of our own, past the callers' bounds. Without memory the link is lost. */
void store_ask(struct store *s, const struct str *words, size_t n_words, command_step step,
               size_t index);
/* The command link is verified: on to the channel. */
void store_arrived(struct store *s);
/* Opens another connection to where the link goes. Returns what redis_adapter_open() does. */
MUST_CHECK int store_dial(struct store *s, void (*on_answer)(const struct redisReply *, void *),
                          void (*on_end)(const char *, void *), struct redis_adapter **ret);
/* Sends a command whose answer its connection's own reader takes. Returns 0, ERR_DOWN, ERR_NOMEM.
 */
MUST_CHECK int store_send(struct redis_adapter *a, const struct str *words, size_t n_words);
/* From within an adapter's on_reply: hands the answer on, unless the link is lost. */
void store_take(struct store *s, const struct redisReply *reply,
                void (*on_value)(struct store *s, const struct store_value *v));
/* Ends every command of `from`; with 0 each gets the answer that was kept for it. */
void store_end_all(struct store *s, struct list *from, int rc);

/* "run_id:<id>\r\n" somewhere in INFO's text; empty when it is not there. */
struct str store_find_run_id(struct str info);
/* Sends all that verifies a fresh connection; ends in store_arrived() or store_lost(). */
void store_opening_begin(struct store *s);
/* AUTH's words; 0 when the URL has no password. They borrow from the URL. */
size_t store_login_words(const struct store *s, struct str ret[3]);
/* Loads one script again, if it is not being loaded already. */
void store_reload(struct store *s, enum store_script script);
