/* SPDX-License-Identifier: Apache-2.0 */
/* daemon — what every daemon does alike: flags, configuration, signals, the shutdown machine,
 * /livez, /readyz, /metrics, the server.
 *
 * A program is a struct daemon_program; main() is one call. Shutdown is a machine (RUN, DRAIN,
 * STOP; phase.def): SIGTERM or SIGINT makes it DRAIN: /readyz turns 503, the program stops taking
 * and calls daemon_drained() when nothing is left, or its drain time ends; then STOP. A second
 * signal stops at once. SIGHUP reloads, and so does a change of the configuration file or of a
 * crontab, within two seconds; mistakes are logged, and the old configuration goes on. /livez
 * answers 200 as long as the loop turns.
 *
 * The server goes on listening through DRAIN, so that /readyz can say so; a program that wants no
 * new connections calls httpd_quiesce() in its on_drain.
 *
 * Thread: the loop's. */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "daemon/metrics.h"
#include "daemon/problem.h"
#include "httpd/httpd.h"
#include "loop/loop.h"

struct daemon;

/* What the server of this daemon listens on and bears; read from the configuration. */
struct daemon_server {
    const char *listen;
    size_t max_header_bytes;
    size_t max_body_bytes;
    unsigned int max_connections;
    int64_t drain_ms; /* the longest DRAIN; STOP comes a second later, whatever is left */
};

struct daemon_program {
    const char *name; /* "sluice-ingress" */
    struct daemon_server (*server)(const struct config *c);
    config_cron_check cron_check; /* may be NULL */
    /* Builds the program's context. Returns 0 or an error, with a sentence in `why`, and nothing
     * left behind. The server listens already, but no request comes before the loop runs. */
    int (*start)(struct daemon *d, void **ret_self, struct buf *why);
    httpd_head_cb on_head;       /* may be NULL; arg is self */
    httpd_request_cb on_request; /* what is not /livez, /readyz, /metrics; arg is self */
    /* Whether work can be done now; else a sentence for people in `why`. NULL: always. */
    bool (*is_ready)(void *self, struct buf *why);
    /* Sets what is read at scrape time (gauges). May be NULL. */
    void (*on_scrape)(void *self);
    /* The configuration file or a crontab changed, or SIGHUP: `c` is checked, and now the daemon's
     * (daemon_config() gives it). The one before lives until this returns, and no longer: whatever
     * still points into it must be replaced or copied by then; what is to outlive the next reload,
     * too. Not called once draining. May be NULL: reloading does nothing. */
    void (*on_reload)(void *self, const struct config *c);
    /* Take nothing new; call daemon_drained() when nothing is left (also from within). NULL: there
     * never is anything left. */
    void (*on_drain)(void *self);
    /* How long the drain may last, asked at its begin, before on_drain. NULL: the server's
     * drain_ms. */
    int64_t (*drain_ms)(void *self);
    /* Answer every request that is still kept (its gone_cb would come when `self` is no more), then
     * free everything, all timers and watches too. The server still takes answers; it goes after
     * this, when they have left (a second at most). Not called when start failed. */
    void (*stop)(void *self);
};

/* The whole life of a process: parses --config FILE, --listen ADDR:PORT, --check, --print-config,
 * --version, --health, --help; returns the exit code (0; 1 refused, failed, or stopped before it
 * was drained; 2 usage). Without configured keys a listener that is not on loopback is refused
 * unless insecure_listen.
 * --listen replaces the text in the configuration that `server` hands out as `listen`. */
int daemon_main(const struct daemon_program *p, int argc, char **argv);

struct loop *daemon_loop(struct daemon *d);
const struct config *daemon_config(const struct daemon *d);
struct metrics *daemon_metrics(struct daemon *d);
struct httpd *daemon_httpd(struct daemon *d);
/* From the first signal on. */
bool daemon_is_draining(const struct daemon *d);
/* Only once draining (else it panics); again does nothing. Returns before stop is called. */
void daemon_drained(struct daemon *d);
