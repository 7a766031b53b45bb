/* SPDX-License-Identifier: Apache-2.0 */
/* loop — the one event loop of a process: timers, file descriptors, signals, and a hook that runs
 * once at the end of every turn, where what the turn gathered leaves in one write.
 *
 * Thread: everything here belongs to the thread that runs the loop. Callbacks never block.
 * Memory: each handle is owned by who made it and is freed by its own _free, at any time, also from
 * within its own callback; NULL is accepted. After _free no callback of it runs. */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

struct loop;
struct loop_timer;
struct loop_fd;
struct loop_hook;
struct loop_signal;

MUST_CHECK int loop_new(struct loop **ret);
/* All handles must have been freed before. Returns false when a thread still looks up a name, whose
 * memory then stays: exit() would wait for it, for as long as the resolver is patient. */
bool loop_free(struct loop *l);
/* Runs until loop_stop(). */
void loop_run(struct loop *l);
/* Ends loop_run() after this turn. */
void loop_stop(struct loop *l);
/* The time at the start of this turn. */
struct mono loop_now(const struct loop *l);

typedef void (*loop_timer_cb)(struct loop_timer *t, void *arg);
MUST_CHECK int loop_timer_new(struct loop *l, loop_timer_cb cb, void *arg, struct loop_timer **ret);
/* Fires once, `delay_ms` from now (0: in the next turn); replaces an earlier setting. */
void loop_timer_set(struct loop_timer *t, int64_t delay_ms);
void loop_timer_cancel(struct loop_timer *t);
bool loop_timer_is_set(const struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

enum loop_fd_events { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 };
/* `events`: what is ready, from enum loop_fd_events. LOOP_ERROR comes alone and once: the
 * descriptor is watched no more. */
typedef void (*loop_fd_cb)(struct loop_fd *f, unsigned int events, void *arg);
/* Watches `fd`, which stays the caller's: free the watch first, then close it. One watch a
 * descriptor. Nothing is wanted at first. */
MUST_CHECK int loop_fd_new(struct loop *l, int fd, loop_fd_cb cb, void *arg, struct loop_fd **ret);
/* LOOP_READ, LOOP_WRITE, both, or 0. Level-triggered. */
void loop_fd_want(struct loop_fd *f, unsigned int events);
void loop_fd_free(struct loop_fd *f);

typedef void (*loop_hook_cb)(void *arg);
/* Runs `cb` at the end of every turn, just before the loop sleeps; hooks made later run first, so
 * that who builds on a link hands over before the link writes. A hook that makes work for another
 * turn must set a timer of 0 itself. */
MUST_CHECK int loop_hook_new(struct loop *l, loop_hook_cb cb, void *arg, struct loop_hook **ret);
void loop_hook_free(struct loop_hook *h);

typedef void (*loop_signal_cb)(int signum, void *arg);
MUST_CHECK int loop_signal_new(struct loop *l, int signum, loop_signal_cb cb, void *arg,
                               struct loop_signal **ret);
void loop_signal_free(struct loop_signal *s);
