/* SPDX-License-Identifier: Apache-2.0 */
/* tenant — one tenant's settings, with every default filled in: what the configuration file says
 * and what the registry carries to ingress and workers (as the same JSON document).
 *
 * Memory: a struct tenant owns all it points to; tenant_free frees it. Treat it as read-only. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Times in the documents are seconds and may be fractions; here they are milliseconds. */

enum tenant_priority { TENANT_HIGH, TENANT_MED, TENANT_LOW };
enum tenant_balance {
    TENANT_ROUND_ROBIN,
    TENANT_LEAST_BUSY,
    TENANT_LEAST_LATENCY,
    TENANT_PRIORITY,
    TENANT_WEIGHTED,
    TENANT_REGION
};
enum tenant_doubt {
    TENANT_DOUBT_BY_METHOD,
    TENANT_DOUBT_RETRY,
    TENANT_DOUBT_HOLD,
    TENANT_DOUBT_ASK
};
enum tenant_poll { TENANT_POLL_NONE, TENANT_POLL_HEALTH, TENANT_POLL_PING };

struct tenant_rate {
    bool is_set;
    double limit;
    int64_t period_ms;
    double burst;
};

/* How an instance's health is asked for. */
struct tenant_polling {
    enum tenant_poll method;
    char *endpoint;
    int64_t frequency_ms;
    uint32_t retries;
    int64_t retry_delay_ms;
    uint32_t packet_limit;
};

struct tenant_instance {
    char *name;           /* given, or "host:port" of the URL, made unique within the tenant */
    char *url;            /* without a trailing '/' */
    uint32_t concurrency; /* 0: no limit */
    enum tenant_priority priority;
    uint32_t weight;
    char *region; /* or NULL */
    struct tenant_rate rate;
    struct tenant_polling *polling; /* its own, or NULL: the tenant's; see tenant_polling_of */
};

struct tenant_retry {
    uint32_t max_attempts;
    int64_t initial_ms;
    double factor;
    int64_t max_ms;
    bool is_sync_full; /* sync: full; else safe */
    int *statuses;     /* NULL: the defaults by method */
    size_t n_statuses;
};

struct tenant {
    char *name;
    struct tenant_instance *instances;
    size_t n_instances;
    char **apis;
    size_t n_apis;
    enum tenant_balance balance;
    uint32_t concurrency; /* 0: no limit */
    int64_t slot_linger_ms;
    double sync_share;
    char *fair_by;     /* or NULL */
    char *queue_group; /* or NULL */
    struct tenant_rate rate;
    struct {
        bool is_set;  /* then exactly one of header and label is given */
        char *header; /* or NULL */
        char *label;  /* or NULL */
        uint32_t concurrency;
    } per_key;
    struct {
        int64_t connect_ms, first_byte_ms, total_ms, sync_ms;
    } timeouts;
    struct tenant_retry retry;
    struct {
        enum tenant_doubt policy;
        char *ask_path; /* or NULL */
    } in_doubt;
    struct {
        bool is_required;
        int64_t window_ms;
    } idempotency;
    int64_t result_ttl_ms;
    int64_t sync_result_ttl_ms;
    size_t max_result_bytes;
    struct tenant_polling polling;
    struct {
        bool is_set;
        double failure_ratio;
        uint32_t minimum_calls;
        int64_t window_ms, open_ms;
        uint32_t probes;
    } breaker;
    struct {
        bool is_enabled;
        uint32_t minimum, maximum;
    } adaptive;
    bool cools_tenant; /* cooldown: tenant; else instance */
    struct {
        bool is_enabled;
        char *location_header;
        int *pending_statuses;
        size_t n_pending_statuses;
        int64_t poll_ms, max_ms;
        bool frees_slot;
    } offload;
    uint64_t max_queue;
    int64_t lost_after_ms;
};

void tenant_free(struct tenant *t);

/* [a-z0-9_-]{1,64} */
bool tenant_name_is_valid(struct str name);

/* The canonical JSON document: every key that is not at its default, sorted; equal tenants give
 * equal bytes. The caller frees. NULL without memory. */
char *tenant_to_json(const struct tenant *t);

/* Decodes such a document (a tenant as it stands under its name in the configuration).
 * Returns 0, ERR_SYNTAX, ERR_INVALID, ERR_NOMEM. */
MUST_CHECK int tenant_from_json(struct str name, struct str json, struct tenant **ret);

/* The same, and says what is wrong: one line a mistake, "retry.factor: …" (also for ERR_SYNTAX). */
struct buf;
MUST_CHECK int tenant_decode(struct str name, struct str json, struct tenant **ret,
                             struct buf *ret_mistakes);

/* The same on top of `defaults` (a document, sound; or empty), as in a configuration. */
MUST_CHECK int tenant_decode_over(struct str name, struct str defaults, struct str json,
                                  struct tenant **ret, struct buf *ret_mistakes);

/* One instance by itself, as it stands in a list of instances, named; its document may say `ttl_s`.
 * ret_ttl_ms: 0 without it. Returns as tenant_decode. Free with tenant_instance_free. */
MUST_CHECK int tenant_instance_decode(struct str name, struct str json,
                                      struct tenant_instance **ret, int64_t *ret_ttl_ms,
                                      struct buf *ret_mistakes);
void tenant_instance_free(struct tenant_instance *i);
/* Canonical, as tenant_to_json; with its name. ttl_ms: 0 for none. */
char *tenant_instance_to_json(const struct tenant_instance *i, int64_t ttl_ms);
/* The instance of that name; NULL when there is none. */
struct tenant_instance *tenant_instance_of(const struct tenant *t, struct str name);
/* Puts the instance into the tenant, in place of one of its name, or last. Moves out of `i`, which
 * is freed in any case. Returns 0 or ERR_NOMEM. */
MUST_CHECK int tenant_take_instance(struct tenant *t, struct tenant_instance *i);
void tenant_drop_instance(struct tenant *t, struct str name);

/* The polling that holds for an instance of the tenant. Borrowed. */
const struct tenant_polling *tenant_polling_of(const struct tenant *t,
                                               const struct tenant_instance *instance);

/* Whether an answer of this status to this method is retried (configuration.md, "Statuses retried
 * by default"). */
bool tenant_retries_status(const struct tenant *t, struct str method, int status);

/* The in-doubt policy for a method: the tenant's, else by method (RETRY for GET, HEAD, OPTIONS,
 * PUT, DELETE; HOLD for all else). Never TENANT_DOUBT_BY_METHOD. */
enum tenant_doubt tenant_doubt_policy(const struct tenant *t, struct str method);
