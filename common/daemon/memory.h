/* SPDX-License-Identifier: Apache-2.0 */
/* memory — forgetting is visible: the store that was opened is another than before (protocol.md,
 * "Loss of memory"). Logged as store_forgot, counted as sluice_store_epoch_changes_total. */
#pragma once

#include "daemon/metrics.h"
#include "store/store.h"

struct memory {
    struct metric *changes;
    uint64_t known;
};

void memory_init(struct memory *m, struct metrics *all);
/* At each opening of the store. True when everything was lost since the last one. */
bool memory_note(struct memory *m, const struct store *s);
