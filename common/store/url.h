/* SPDX-License-Identifier: Apache-2.0 */
/* url — where the store is: redis://[[user]:password@]host[:port][/db]. Pure. */
#pragma once

#include "base/err.h"

struct redis_url {
    char host[256]; /* a name or a numeric address, without brackets */
    char port[6];
    char user[128]; /* empty: none */
    char password[512];
    unsigned int db;
};

/* User and password are percent-decoded. Returns 0, ERR_SYNTAX (no such URL), ERR_INVALID (another
 * scheme, or rediss: there is no TLS here), ERR_TOO_LARGE. */
MUST_CHECK int redis_url_parse(const char *text, struct redis_url *ret);

/* A sentinel: [[user]:password@]host[:port], the port 26379 when none is given; db is 0. Returns 0,
 * ERR_SYNTAX, ERR_TOO_LARGE. */
MUST_CHECK int redis_sentinel_parse(const char *text, struct redis_url *ret);
