/* SPDX-License-Identifier: Apache-2.0 */
/* settings — the configuration as a daemon sees it: the file, the environment, the flags over it,
 * and whether it may listen where it is told to. */
#pragma once

#include "daemon/daemon.h"
#include "daemon/exposure.h"
#include "daemon/flags.h"

/* Loads and puts --listen into the program's section. Returns 0, ERR_NOMEM, or ERR_INVALID with one
 * line a mistake in `mistakes`. The caller frees *ret. */
MUST_CHECK int settings_load(const struct daemon_program *p, const struct flags *f,
                             struct config **ret, struct buf *mistakes);
/* Where the daemon listens: the flag, else the configuration. Borrowed from either. */
const char *settings_listen(const struct daemon_program *p, const struct flags *f,
                            const struct config *c);
/* The verdict over `listen`; EXPOSURE_REFUSED adds its line to `mistakes`. */
enum exposure_verdict settings_judge(const struct flags *f, const struct config *c,
                                     const char *listen, struct buf *mistakes);
/* What to call the configuration in a message. */
const char *settings_name(const struct flags *f);
