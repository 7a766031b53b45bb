/* SPDX-License-Identifier: Apache-2.0 */
/* live_server — the Redis of a test: given by SLUICE_REDIS_URL (and SLUICE_REDIS_PID), or a private
 * one on a free port in a directory of its own, killed with the test. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct live_server {
    char url[256];
    char directory[64]; /* empty: not ours */
    int port;
    pid_t pid; /* 0: not known */
};

bool live_server_start(struct live_server *v);
void live_server_stop(struct live_server *v);
/* Only of a private server. */
bool live_server_is_ours(const struct live_server *v);
void live_server_kill(struct live_server *v);
bool live_server_run(struct live_server *v);

/* Runs one command, blocking, on a connection of its own. Returns its integer, or 0 for +OK and
 * strings, or -1 for an error. */
__attribute__((format(printf, 2, 3))) long long live_server_do(const struct live_server *v,
                                                               const char *format, ...);

/* A proxy before the server, for what passes through it; the URL of the proxy replaces v->url in
 * *ret. live_proxy_deafen: what the server says on subscribed connections is dropped from now on.
 */
bool live_proxy_start(const struct live_server *v, struct live_server *ret);
void live_proxy_deafen(const struct live_server *proxy);
void live_proxy_stop(struct live_server *proxy);
