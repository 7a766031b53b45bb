/* SPDX-License-Identifier: Apache-2.0 */
/* lookout — whether the broker still knows the consumers of this worker's lanes. It may drop one
 * and say nothing: where a queue is deleted while somebody declares it again (seen with quorum
 * queues of RabbitMQ 3.10), and nothing would ever be delivered.
 *
 * A lane to which nothing was delivered for some seconds has its queue looked at; where nobody
 * consumes it, the lane begins anew. Another worker's consumer hides the loss of ours: then that
 * one does the work. */
#pragma once

#include "lane.h"

/* Each second: asks about a few lanes, each in turn. */
void lookout_turn(struct worker *w);
/* The lane's queue was found deleted: the tenant's other ones are looked at in the next turns. */
void lookout_hurry(struct lane *l);
