/* SPDX-License-Identifier: Apache-2.0 */
/* until_signal — the life of a test tool: the loop turns until SIGTERM or SIGINT. */
#pragma once

#include "loop/loop.h"

MUST_CHECK int run_until_signal(struct loop *l);
