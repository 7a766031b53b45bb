/* SPDX-License-Identifier: Apache-2.0 */
/* inside — what the files of this folder share. Of this folder only. */
#pragma once

#include "loop/loop.h"

#include <uv.h>

uv_loop_t *loop_uv(struct loop *l);
