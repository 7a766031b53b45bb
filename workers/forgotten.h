/* SPDX-License-Identifier: Apache-2.0 */
/* forgotten — the store may have forgotten what runs here: it is registered again
 * (attempt_say_again of attempt.h tells all). */
#pragma once

#include "attempt.h"

/* Registers the attempt again, then settles it. */
void forgotten_register(struct attempt *a);
