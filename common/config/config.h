/* SPDX-License-Identifier: Apache-2.0 */
/* config — the one configuration document of all daemons, YAML or JSON, read by libyaml.
 *
 * Every mistake is reported at once, with the key's path and its line. Order: default, file,
 * environment (SLUICE_CFG_<PATH>, scalars of broker, store, ingress, dispatcher, worker), flag.
 *
 * Memory: a struct config owns all it points to. */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "config/tenant.h"

enum config_overlap {
    CONFIG_OVERLAP_SKIP,
    CONFIG_OVERLAP_ALLOW,
    CONFIG_OVERLAP_QUEUE_ONE,
    CONFIG_OVERLAP_QUEUE_ALL,
    CONFIG_OVERLAP_CANCEL_PREVIOUS
};
enum config_catch_up { CONFIG_CATCH_UP_LAST, CONFIG_CATCH_UP_NONE, CONFIG_CATCH_UP_ALL };

struct config_schedule {
    char *name;
    char **crons; /* at least one */
    size_t n_crons;
    char *timezone; /* "UTC" by default */
    char *job_json; /* the `job` object as a POST /v1/jobs document */
    char *tenant;   /* the job's */
    enum config_overlap overlap;
    enum config_catch_up catch_up;
    bool is_gap_skipped;   /* dst_gap: skip; else run_after */
    bool is_overlap_twice; /* dst_overlap: twice; else once */
    char **excludes;
    size_t n_excludes;
    int64_t start_ms, end_ms; /* wall clock; 0: none */
    uint64_t max_runs;        /* 0: no bound */
    bool pauses_on_failure;
    int64_t catch_up_ms;
    int64_t jitter_ms;
};

enum config_scope { CONFIG_SUBMIT = 1, CONFIG_READ = 2, CONFIG_ADMIN = 4 };

struct config_key {
    char *name;
    unsigned char hash[32]; /* SHA-256 of the token */
    char **tenants;         /* empty: all */
    size_t n_tenants;
    unsigned int scopes; /* of enum config_scope */
    struct tenant_rate rate;
};

struct config {
    struct {
        char *url;   /* the first of urls where those are given */
        char **urls; /* of a cluster; empty: only url */
        size_t n_urls;
        bool is_quorum; /* queue_type: quorum; else classic */
    } broker;
    struct {
        char *url;
        char **sentinels; /* "[user:password@]host:port"; then master is their name for it, and of
                             url only user, password and database count */
        size_t n_sentinels;
        char *master;
        bool is_strict;         /* durability: strict; else fast */
        uint32_t wait_replicas; /* 0: none */
        int64_t wait_ms;
        uint64_t shelf_max_bytes;
    } store;
    struct {
        char *listen;
        bool is_insecure_listen;
        size_t max_body_bytes, max_header_bytes;
        uint32_t max_connections;
        int64_t drain_ms;
    } ingress;
    struct {
        char *listen;
        int64_t leader_lease_ms;
        char *state_dir; /* where what was said over HTTP is kept; or NULL */
    } dispatcher;
    struct {
        char *listen;
        uint32_t concurrency;
        int64_t lease_ms;
        char *region;     /* or NULL */
        int64_t drain_ms; /* -1: absent */
    } worker;
    struct config_key *keys;
    size_t n_keys;
    char *defaults_json; /* of every tenant, sound, as a document; or NULL */
    struct tenant **tenants;
    size_t n_tenants;
    struct config_schedule *schedules; /* also those of the crontabs */
    size_t n_schedules;
    char **crontabs; /* the files that were read, to be watched */
    size_t n_crontabs;
};

/* Reads and checks `path` (NULL: defaults and environment only). On mistakes returns ERR_INVALID
 * and one line a mistake in `ret_mistakes` ("config.yaml:12: tenants.erp.retry.factor: …"); an
 * unreadable file is one such mistake. A discovery-server file (situation C) is recognised by its
 * shape. Whether a cron expression is sound is said by `cron_check` (may be NULL): 0 or a negative
 * enum err with a sentence in `why`. */
typedef int (*config_cron_check)(const char *expression, const char *timezone, char *why,
                                 size_t why_size);
MUST_CHECK int config_load(const char *path, config_cron_check cron_check, struct config **ret,
                           struct buf *ret_mistakes);
/* Reads the text of one crontab, as `file` under `crontabs` would be, and gives a configuration
 * with its schedules. Its tenants must be those of the configuration `path`, of which the schedules
 * and the environment do not count; NULL: any. Mistakes of both, and the result, as config_load. */
MUST_CHECK int config_load_crontab(const char *path, const char *file, struct str text,
                                   config_cron_check cron_check, struct config **ret,
                                   struct buf *ret_mistakes);
void config_free(struct config *c);

/* The whole effective configuration as YAML, secrets replaced by "***". */
void config_print(const struct config *c, struct buf *out);

struct tenant *config_tenant(const struct config *c, struct str name);

/* Decodes one schedule, as it stands under its name in the configuration (what PUT /v1/schedules
 * takes), with one line a mistake. Whether its tenant exists is the caller's to check.
 * cron_check: NULL: it was judged when it was put, by rules that may have been others; only its
 * form is judged again. Returns 0, ERR_SYNTAX, ERR_INVALID, ERR_NOMEM. */
MUST_CHECK int config_schedule_decode(struct str name, struct str json,
                                      config_cron_check cron_check, struct config_schedule **ret,
                                      struct buf *ret_mistakes);
void config_schedule_free(struct config_schedule *s);

enum { CONFIG_PREVIEW_MAX = 1000 };
/* What POST /v1/schedules/preview takes: what the times of a schedule are made of, and which. */
struct config_preview {
    struct config_schedule schedule; /* of it only the times */
    int64_t from_ms, until_ms;       /* wall clock; INT64_MAX: no end */
    uint32_t count;
};
/* now: `from` where none is given. Else as config_schedule_decode. */
MUST_CHECK int config_preview_decode(struct str json, struct wall now, config_cron_check cron_check,
                                     struct config_preview **ret, struct buf *ret_mistakes);
void config_preview_free(struct config_preview *p);

/* The canonical document, as tenant_to_json. The caller frees. NULL without memory. */
char *config_schedule_to_json(const struct config_schedule *s);
/* The same for everybody's eyes: headers that may be secret are "***". */
char *config_schedule_to_public_json(const struct config_schedule *s);
