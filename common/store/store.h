/* SPDX-License-Identifier: Apache-2.0 */
/* store — Redis on the loop: one link that reconnects by itself, scripts by name, a reply channel.
 *
 * Scripts are the files of lua/, embedded at build time. All are loaded before a fresh connection
 * serves its first command; a function that is not there is loaded, and the call sent again. A
 * connection serves only after its persistence was verified (store.durability, noeviction) and its
 * epoch is known, on a server that says itself that it is a master. No answer for `answer_ms`
 * although one is due, or one that took three times as long while others came, ends the connection;
 * every command in flight ends with ERR_UNKNOWN: it may have happened. Commands of one loop turn
 * leave in one write, or wait for what was asked before them, and calls of some scripts about one
 * tenant leave in one call (scripts.def).
 *
 * With `wait_replicas` the answers of certain scripts count only when so many replicas have what
 * they wrote; fewer within `wait_ms`: ERR_UNKNOWN, and the link stays open (store/wait.h).
 *
 * Where the server is, is asked at each connection: the resolver, or the sentinels (finding.h).
 *
 * Thread: the loop's. Never blocks. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

#include <stdint.h>

struct store;

enum store_script {
#define SCRIPT(NAME, file, flags, kept, jobs, text) STORE_##NAME,
#include "store/scripts.def"
#undef SCRIPT
    STORE_SCRIPTS
};

/* What a command gave, independent of the client library. Borrowed until the callback returns. */
enum store_type { STORE_NIL, STORE_TEXT, STORE_INTEGER, STORE_ARRAY, STORE_ERROR };
struct store_value {
    enum store_type type;
    struct str text; /* TEXT, ERROR */
    int64_t integer;
    const struct store_value *items; /* ARRAY */
    size_t n_items;
};

/* rc: 0 with a value; ERR_UNKNOWN (no answer came, or too few replicas have it), ERR_LIMIT (Redis
 * is out of memory), ERR_DENIED (read-only, MISCONF, NOREPLICAS, LOADING: refused, nothing
 * happened), ERR_BUG (the script failed). `value` is NULL with ERR_UNKNOWN, else what Redis said,
 * also an error. cb may be NULL. Exactly once a command, never from within the call. */
typedef void (*store_cb)(int rc, const struct store_value *value, void *arg);

typedef void (*store_state_cb)(struct store *s, bool is_open, void *arg);
/* A message on a channel that this process subscribed to. */
typedef void (*store_message_cb)(struct str channel, struct str message, void *arg);

struct store_options {
    const char *url; /* redis://[user:password@]host:port/db */
    /* "[user:password@]host[:port]" of each; then host and port of the URL do not count. */
    const char *const *sentinels;
    size_t n_sentinels;
    const char *master; /* the sentinels' name for it */
    bool is_strict; /* refuse a Redis that is not append-only with fsync always and noeviction */
    int64_t connect_ms;
    int64_t answer_ms;
    size_t max_outstanding; /* commands in flight; one more is ERR_LIMIT; 0: 65,536 */
    size_t max_bytes;       /* of commands in flight; more is ERR_LIMIT; 0: 64 MiB */
    uint32_t
        wait_replicas;   /* that must have what certain scripts wrote, or it is unknown; 0: none */
    int64_t wait_ms;     /* for them; well below answer_ms */
    bool has_standby;    /* another server may take this one's place */
    const char *channel; /* subscribed before the link counts as open; NULL: none */
    store_state_cb on_state;
    store_message_cb on_message;
    void *arg;
};

/* Begins to connect; the options are copied. Returns 0, ERR_SYNTAX or ERR_INVALID (the URL, or a
 * sentinel), ERR_TOO_LARGE (a part of it), ERR_NOMEM. */
MUST_CHECK int store_new(struct loop *l, const struct store_options *o, struct store **ret);
/* Commands in flight end with ERR_UNKNOWN before this returns; on_state is not called. Also from
 * within any callback of the store. NULL is accepted. */
void store_free(struct store *s);
bool store_is_open(const struct store *s);
/* Why it is not open, for `/readyz`; owned by the store, until the loop's next turn. Empty while
 * open. */
const char *store_trouble(const struct store *s);
/* The store's birth certificate (random, written when it was empty); NULL before the first opening.
 */
const char *store_epoch(const struct store *s);
/* Grows with every new life of the server; 0 before the first opening. */
int64_t store_generation(const struct store *s);
/* What can be relied on. LOST stays for good: whoever came later does not know. */
enum store_memory {
    STORE_KEEPS = 'k',         /* durability strict: what was answered is kept */
    STORE_MAY_FORGET = 'f',    /* fast: each new life may have lost its last second */
    STORE_LOST_SOME = 'p',     /* strict, but a fail-over once lost what had been acknowledged */
    STORE_HAS_FORGOTTEN = 'l', /* another epoch was seen before: everything was lost */
};
enum store_memory store_memory(const struct store *s);
/* How often the epoch was another than before. */
uint64_t store_epoch_changes(const struct store *s);
/* "address:port" of the server that is connected, or was last; empty before the first. */
const char *store_server(const struct store *s);
/* The last generation that began because acknowledged writes were gone; 0 when none did. */
int64_t store_forgot(const struct store *s);
/* How often this link has heard of such a loss. */
uint64_t store_losses(const struct store *s);
/* Why an open store is of little use now, for `/readyz`: too few replicas. Else empty. Static. */
const char *store_doubt(const struct store *s);
/* Callers' commands that have no answer yet. */
size_t store_outstanding(const struct store *s);

/* Calls a script. keys and args are copied. Returns 0, ERR_DOWN, ERR_LIMIT; then cb does not run.
 */
MUST_CHECK int store_call(struct store *s, enum store_script script, const struct str *keys,
                          size_t n_keys, const struct str *args, size_t n_args, store_cb cb,
                          void *arg);
/* A plain command ("GET", key): not one that subscribes, blocks or changes the connection. */
MUST_CHECK int store_command(struct store *s, const struct str *words, size_t n_words, store_cb cb,
                             void *arg);
/* As store_command(), for a reading after which something happens outside that cannot be taken
 * back: the answer counts as those of the scripts do that wait for replicas. All that it saw is
 * there. */
MUST_CHECK int store_command_kept(struct store *s, const struct str *words, size_t n_words,
                                  store_cb cb, void *arg);
