/* SPDX-License-Identifier: Apache-2.0 */
/* internal — what the files of this folder share; nobody else includes it.
 *
 * A connection is in one phase, and each phase but two has its own deadline; a request is in one
 * state:
 *
 *   connection   HEAD ──► BODY ──► BUSY ──► SENDING ──► IDLE ──► HEAD …      any ──► CLOSED
 *   request      LINE ──► BODY ──► ASKED ──► ANSWERED            KEPT ──► GONE
 *                                    └──► KEPT ──┘ */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "httpd/guard.h"
#include "httpd/httpd.h"
#include "httpd/listen.h"

#include <microhttpd.h>

/* The phases before N_TIMED have a list ordered by deadline: one timeout a phase, so that a list in
 * the order of entry is in the order of deadlines too. */
enum conn_phase { CONN_HEAD, CONN_BODY, CONN_SENDING, CONN_IDLE, N_TIMED, CONN_BUSY, CONN_CLOSED };

struct shard;

struct conn {
    struct httpd *h;
    struct shard *shard;
    struct MHD_Connection *mhd; /* closes the socket; we only ever shut it down */
    int fd;
    enum conn_phase phase;
    struct list due; /* in h->due[phase] */
    struct mono entered;
    struct httpd_req *req;
    bool is_new;      /* has not sent a whole request line yet */
    bool is_surplus;  /* came over the limit: to be refused */
    bool is_hung_up;  /* the other side has closed, or half-closed */
    bool is_lingered; /* has its linger already */
    char peer[LISTEN_TEXT_SIZE];
};

enum req_state { REQ_LINE, REQ_BODY, REQ_ASKED, REQ_KEPT, REQ_ANSWERED, REQ_GONE };

struct httpd_req {
    struct conn *conn;
    enum req_state state;
    bool is_pending;    /* counted in h->n_pending */
    bool is_suspended;  /* in MHD */
    bool in_handler;    /* a callback of the handler is running */
    bool has_body;      /* the head announces one */
    bool must_close;    /* after the answer */
    struct list link;   /* in h->kept, h->hung or shard->resuming */
    const char *raw_at; /* where the target lay in MHD's buffer */
    char *target;       /* our copy: MHD cuts its own up */
    size_t path_n;      /* of it, up to the query */
    struct guard_head head;
    struct httpd_field *fields;
    uint64_t body_len; /* by Content-Length */
    struct buf body;
    void *data;
    httpd_gone_cb gone;
    int status;
    struct MHD_Response *response;
};

/* One daemon of MHD. A resume walks all suspended connections of its daemon: several daemons make
 * the walk short. Each has system calls of its own a turn: few connections share one. */
struct shard {
    struct httpd *h;
    struct MHD_Daemon *mhd;
    struct loop_fd *watch;
    struct list resuming; /* requests */
    unsigned int n_conns;
    bool must_run;
};

enum {
    N_SHARDS = 8,
    SHARD_FILL = 64, /* connections, before the next gets any */
    MAX_LINGERS = 256,
    SEND_TIMEOUT_MS = 120000 /* for a whole answer; a reader this slow is no reader */
};

struct httpd {
    struct loop *loop;
    struct httpd_options o;
    bool is_lax_parser; /* MHD before 1.0: the guard must look at the layout, too */
    bool is_closing;
    bool is_in_hook;
    bool was_handler_called; /* in this run of the hook */

    int listen_fd;
    int port;
    struct loop_fd *listen_watch;
    struct loop_timer *listen_again; /* after a failed accept */

    struct shard shards[N_SHARDS];
    unsigned int next_shard;
    struct loop_hook *hook;
    struct loop_timer *kick; /* wakes the loop for another turn */
    struct list kept;        /* suspended requests */
    struct list hung;        /* suspended requests whose caller has gone */
    size_t n_pending;
    size_t n_conns;

    struct list due[N_TIMED];
    int64_t timeout_ms[N_TIMED];
    struct loop_timer *due_timer;
    struct mono due_at; /* what due_timer is set to; 0: not set */

    int hangup_epoll;
    struct loop_fd *hangup_watch;

    struct list lingers;
    size_t n_lingers;
    struct loop_timer *linger_timer;
};

/* --- answer.c --------------------------------------------------------------------------------- */
/* Frees the body of an answer that is not given. */
void answer_drop(const struct httpd_answer *a);
/* The bytes of its fields. */
size_t answer_head_len(const struct httpd_answer *a);
/* Takes over a->body when free_body is set, whatever happens. NULL without memory. */
struct MHD_Response *answer_build(const struct httpd_answer *a, bool must_close);
/* Whether a field may go out: well-formed, and not one of the server's own. */
bool answer_is_allowed(struct httpd_field f);
/* The refusal of h for `status` as a response, or written straight to a socket. */
struct MHD_Response *answer_refusal(const struct httpd *h, int status, const char *detail);
void answer_refuse_raw(const struct httpd *h, int fd, int status, const char *detail);

/* --- request.c -------------------------------------------------------------------------------- */
/* Copies the target; NULL without memory. */
struct httpd_req *request_new(struct conn *c, const char *target);
void request_free(struct httpd_req *r);
/* Fills in the head from MHD, checks it, and counts the request in. Returns 0 or the status of the
 * refusal with its detail; a negative number is out of memory. */
int request_take_head(struct httpd_req *r, const char *method, const char *version,
                      const char **ret_detail);
/* Appends to the body. Returns 0, ERR_TOO_LARGE or ERR_NOMEM. */
MUST_CHECK int request_add_body(struct httpd_req *r, const char *bytes, size_t n);
/* Is no longer pending. */
void request_settle(struct httpd_req *r);

/* --- watch.c ---------------------------------------------------------------------------------- */
MUST_CHECK int watch_init(struct httpd *h);
void watch_fini(struct httpd *h);
void watch_enter(struct conn *c, enum conn_phase phase);
/* Sets the timer to the earliest deadline; called once a turn. */
void watch_arm(struct httpd *h);
MUST_CHECK int watch_hangup_add(struct conn *c);
void watch_hangup_remove(struct conn *c);
/* Tells the requests in h->hung that their callers have gone. */
void watch_tell_gone(struct httpd *h);

/* --- linger.c --------------------------------------------------------------------------------- */
/* Reads and drops what a refused client still sends, for a while: a socket that is closed with
 * unread bytes resets the connection, and the client never sees why it was refused. */
MUST_CHECK int linger_init(struct httpd *h);
void linger_start(struct conn *c);
void linger_fini(struct httpd *h);

/* --- httpd.c ---------------------------------------------------------------------------------- */
/* The request goes back to MHD at the end of this turn. */
void httpd_resume(struct httpd_req *r);
/* Closes the connection from outside of MHD's callbacks. */
void httpd_shut(struct conn *c);
