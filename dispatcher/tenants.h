/* SPDX-License-Identifier: Apache-2.0 */
/* tenants — the registry over HTTP: tenants and instances are put, removed, drained, paused while
 * traffic runs. Any dispatcher takes the word.
 *
 * Each request is a few steps: the overlay is read, the word is judged against it, said in one
 * script, and the tenant is registered. Only then is it answered: it holds from then on. A
 * dispatcher that ends between two steps leaves the rest to the leader, which sees that the
 * overlay has changed. */
#pragma once

#include "dispatcher.h"

MUST_CHECK int tenants_new(struct dispatcher *d, struct tenants **ret);
/* Answers what is still kept. */
void tenants_free(struct tenants *t);
/* False: not a request of this kind; nothing was answered. */
bool tenants_request(struct tenants *t, struct httpd_req *r);
