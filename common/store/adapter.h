/* SPDX-License-Identifier: Apache-2.0 */
/* adapter — one hiredis connection on our loop.
 *
 * hiredis only appends to its buffer when a command is sent; adapter_flush(), at the end of a turn,
 * writes it out in one piece. What the socket does not take waits for it to become writable.
 * A lost connection is told once, by on_lost; its unanswered commands are not: who sent them knows
 * them, for answers come in the order of sending.
 *
 * Thread: the loop's. Never blocks. Memory: closed by who opened it, at any time, also from
 * within on_reply (not from on_lost). */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stddef.h>

struct redisReply;
struct redis_adapter;

struct redis_adapter_calls {
    /* `reply` is borrowed until it returns. */
    void (*on_reply)(const struct redisReply *reply, void *arg);
    /* `why` is borrowed. Do not close the adapter from within. */
    void (*on_lost)(const char *why, void *arg);
    void *arg;
};

/* address: numeric. Returns 0, ERR_DOWN (refused at once), ERR_NOMEM, ERR_IO. */
MUST_CHECK int redis_adapter_open(struct loop *l, const char *address, int port,
                                  const struct redis_adapter_calls *calls,
                                  struct redis_adapter **ret);
void redis_adapter_close(struct redis_adapter *a);
/* `wire`: one whole command as Redis reads it, NUL-terminated behind its end. No callback runs from
 * within. Returns 0 or ERR_DOWN. */
MUST_CHECK int redis_adapter_send(struct redis_adapter *a, struct str wire);
/* Bytes that were sent but not yet written. */
size_t redis_adapter_backlog(const struct redis_adapter *a);
/* Writes the backlog, if the socket is not known to be full. on_lost may run, on_reply not. */
void redis_adapter_flush(struct redis_adapter *a);
/* Reads once, for one who is late himself and should not blame the other side. */
void redis_adapter_read(struct redis_adapter *a);
