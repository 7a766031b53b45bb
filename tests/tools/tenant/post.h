/* SPDX-License-Identifier: Apache-2.0 */
/* post — one POST of a JSON text to a port of this machine, on a connection of its own. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "loop/loop.h"

struct post;

/* status: of the answer; 0 without one. Once, and never from within post_start. */
typedef void (*post_cb)(int status, void *arg);

MUST_CHECK int post_start(struct loop *l, uint16_t port, const char *path, struct str body,
                          post_cb cb, void *arg, struct post **ret);
/* Also from within the callback. */
void post_free(struct post *p);
