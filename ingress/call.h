/* SPDX-License-Identifier: Apache-2.0 */
/* call — ANY /call/{tenant}/{path}, and any path under a tenant's declared `apis`: this very
 * request, forwarded. */
#pragma once

#include "daemon/keyring.h"
#include "ingress.h"

/* The tenant a request path names and the path that goes out. False: it is no call. The tenant may
 * be unknown: then *ret_entry is NULL. */
bool call_target(const struct ingress *g, struct str target, struct registry_entry **ret_entry,
                 struct str *ret_tenant, struct str *ret_path);
/* Answers or keeps the request. */
void call_start(struct ingress *g, struct httpd_req *r, struct registry_entry *tenant,
                struct str path, const struct keyring_pass *pass);
