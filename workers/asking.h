/* SPDX-License-Identifier: Apache-2.0 */
/* asking — in doubt, policy ask: the tenant is asked what became of an attempt, and the script
 * asked is told. */
#pragma once

#include "attempt.h"
#include "store/store.h"

/* The claim's answer said: ask. */
void asking_begin(struct attempt *a, const struct store_value *v);
/* Tells the script, again where no answer came. */
void asking_record(struct attempt *a);
