/* SPDX-License-Identifier: Apache-2.0 */
/* services — what a discovery server shows of its services: of each instance its polls, their
 * history, and how many requests it was given; and the configuration as loaded.
 *
 * Polls are known to the dispatcher that leads (health.h); requests are counted in the store, and
 * are at most two seconds old; of more than a hundred tenants, fifteen (rota.h). */
#pragma once

#include "dispatcher.h"

MUST_CHECK int services_new(struct dispatcher *d, struct services **ret);
void services_free(struct services *s);
/* A round: reads the requests of all tenants every two seconds. */
void services_turn(struct services *s);
/* {"<tenant>": {"requests", "instances": {…}}, …} */
void services_print(const struct services *s, bool with_history, struct buf *out);
/* The effective configuration of this process as JSON, secrets masked; null without memory. */
void services_print_configuration(const struct services *s, struct buf *out);
