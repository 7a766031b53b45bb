/* SPDX-License-Identifier: Apache-2.0 */
/* memory — forgetting is visible: the store that was opened is another than before (protocol.md,
 * "Loss of memory"). Logged as store_forgot, counted as sluice_store_epoch_changes_total. Or a
 * fail-over lost writes that had been acknowledged: store_lost_writes,
 * sluice_store_lost_writes_total. */
#pragma once

#include "daemon/metrics.h"
#include "store/store.h"

struct memory {
    struct metric *changes;
    struct metric *losses;
    uint64_t known;
    uint64_t known_losses;
};

void memory_init(struct memory *m, struct metrics *all);
/* At each opening of the store. True when everything was lost since the last one. */
bool memory_note(struct memory *m, const struct store *s);
