/* SPDX-License-Identifier: Apache-2.0 */
/* keyring — the API keys of the configuration: who calls, and what it may do.
 *
 * Tokens come as `Authorization: Bearer` or `Sluice-Key`; only their SHA-256 is known. Without
 * configured keys everybody may do everything. */
#pragma once

#include "config/config.h"
#include "httpd/httpd.h"

struct keyring;

enum keyring_verdict {
    KEYRING_OK,
    KEYRING_NO_TOKEN,    /* 401 */
    KEYRING_BAD_TOKEN,   /* 401 */
    KEYRING_NOT_ALLOWED, /* 403: the scope, or (for submit) the tenant */
    KEYRING_TOO_MANY     /* 429: over the key's rate */
};

/* Which header carried the token that matched: it is never forwarded. */
enum keyring_source { KEYRING_NONE, KEYRING_AUTHORIZATION, KEYRING_SLUICE_KEY };

struct keyring_pass {
    enum keyring_verdict verdict;
    enum keyring_source source;
    struct str caller; /* the key's name; empty without keys. Lives as long as the keyring. */
    const struct tenant_rate *rate; /* the key's; NULL without one. Likewise. */
};

/* Copies what it needs of the configuration. */
MUST_CHECK int keyring_new(const struct config *c, struct keyring **ret);
void keyring_free(struct keyring *k);
/* From now on submissions are charged to the rates elsewhere, for all processes together. */
void keyring_leave_submissions(struct keyring *k);
/* scope: of enum config_scope; tenant: empty for none. */
struct keyring_pass keyring_check(struct keyring *k, const struct httpd_req *r, unsigned int scope,
                                  struct str tenant, struct mono now);
/* The same for a request that passed it before, as something more is known: charges no rate. */
struct keyring_pass keyring_check_again(struct keyring *k, const struct httpd_req *r,
                                        unsigned int scope, struct str tenant);
/* Who it is, by a check that passed before: charges no rate. */
struct keyring_pass keyring_identify(struct keyring *k, const struct httpd_req *r);
/* Answers the request by the verdict; false when it is KEYRING_OK and nothing was answered. */
bool keyring_refuse(const struct keyring_pass *p, struct httpd_req *r);
