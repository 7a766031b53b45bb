/* SPDX-License-Identifier: Apache-2.0 */
/* url — amqp://user:secret@host:port/vhost taken apart; user, secret and vhost are percent-decoded.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct url {
    char *user; /* "guest" when the URL names none, as the secret */
    char *secret;
    char *host;   /* brackets of an IPv6 address removed */
    char *vhost;  /* "/" when the URL has none or an empty one */
    char port[6]; /* decimal; 5672 when the URL names none */
};

/* Fills *u. Returns 0, ERR_SYNTAX, ERR_INVALID (amqps: no TLS here; the port; a NUL), ERR_NOMEM. */
MUST_CHECK int bus_url_parse(const char *text, struct url *u);
void bus_url_fini(struct url *u);
