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
#include "store/store.h"
#include "store/url.h"

enum { STORE_SHA_SIZE = 41, STORE_NAME_SIZE = 128 };

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

    struct list queue;  /* not yet given to hiredis */
    struct list flying; /* given to hiredis; answers come in this order */
    size_t n;           /* callers' commands in both */
    size_t n_bytes;
    uint64_t answered;

    size_t steps; /* of the opening, without an answer yet */
    char run_id[STORE_NAME_SIZE];
    bool is_same_server; /* the channel's connection told the same run_id */
    char sha[STORE_SCRIPTS][STORE_SHA_SIZE];
    bool is_loading[STORE_SCRIPTS];
    char epoch[STORE_NAME_SIZE];
    int64_t generation;
    uint64_t epoch_changes;

    char probe[STORE_NAME_SIZE];
    struct mono probe_at;
    struct mono probe_until;
    bool is_probing;

    struct redis_values values;
    char trouble[384];
};

/* The key that holds the epoch: one a store. */
#define STORE_EPOCH_KEY STR("{sluice}:epoch")

/* Notes why the link is of no use (the first reason stands); it falls in the next turn. */
__attribute__((format(printf, 2, 3))) void store_lost(struct store *s, const char *format, ...);
/* Sends a command of our own, past the callers' bounds. Without memory the link is lost. */
void store_ask(struct store *s, const struct str *words, size_t n_words, command_step step,
               size_t index);
/* The command link is verified: on to the channel. */
void store_arrived(struct store *s);

/* "run_id:<id>\r\n" somewhere in INFO's text; empty when it is not there. */
struct str store_find_run_id(struct str info);
/* Sends all that verifies a fresh connection; ends in store_arrived() or store_lost(). */
void store_opening_begin(struct store *s);
/* Loads one script again, if it is not being loaded already. */
void store_reload(struct store *s, enum store_script script);
