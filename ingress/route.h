/* SPDX-License-Identifier: Apache-2.0 */
/* route — which request goes where. */
#pragma once

#include "ingress.h"

/* The head is there: what needs no body to be refused is refused now. */
void route_head(struct httpd_req *r, void *self);
void route_request(struct httpd_req *r, void *self);
