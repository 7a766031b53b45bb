/* SPDX-License-Identifier: Apache-2.0 */
/* exposure — whom a listening address lets in, and whether that is allowed. Pure. */
#pragma once

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct exposure {
    struct sockaddr_storage address;
    socklen_t address_len;
    bool is_any;      /* every address of the machine: "0.0.0.0", "[::]", or none given */
    bool is_loopback; /* 127.0.0.0/8, ::1, or 127.0.0.0/8 mapped into IPv6 */
};

/* "127.0.0.1:8080", "[::1]:8080", ":8080"; addresses are numbers, ports 1 to 65535. Returns 0 or
 * ERR_SYNTAX. Without an address: the IPv4 wildcard. */
MUST_CHECK int exposure_parse(const char *listen, struct exposure *ret);

enum exposure_verdict {
    EXPOSURE_KEYED,    /* there are keys: any address */
    EXPOSURE_LOOPBACK, /* open, to this machine only */
    EXPOSURE_INSECURE, /* open to everybody who reaches it, and that was asked for */
    EXPOSURE_REFUSED
};
/* What cannot be read as an address is not loopback. */
enum exposure_verdict exposure_judge(const char *listen, size_t n_keys, bool is_insecure_allowed);
