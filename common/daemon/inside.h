/* SPDX-License-Identifier: Apache-2.0 */
/* inside — what a struct daemon is made of; for the files of this folder only. */
#pragma once

#include "daemon/daemon.h"
#include "daemon/filewatch.h"
#include "daemon/flags.h"
#include "daemon/phase.h"
#include "daemon/process.h"

struct daemon {
    const struct daemon_program *program;
    struct flags flags;
    char *listen; /* as bound: a reload does not change it */
    struct config *config;
    struct loop *loop;
    struct metrics *metrics;
    struct process *process;
    struct httpd *httpd;
    struct filewatch *watch; /* NULL: the program does not reload */
    struct phase phase;
    void *self;
    bool is_started;     /* `self` is good: between start and stop */
    bool is_thread_left; /* one that looks up a name, when all else was freed */
    struct mono linger_until;
    struct loop_signal *on_term, *on_int, *on_hup;
    struct loop_timer *look, *overdue, *linger;
    struct metric *reloads, *reload_failures, *connections, *pending;
};

/* serve.c: the daemon's part of HTTP; `arg` is the struct daemon. */
void serve_head(struct httpd_req *r, void *arg);
void serve_request(struct httpd_req *r, void *arg);
void serve_refusal(int status, const char *detail, struct httpd_answer *answer, void *arg);
