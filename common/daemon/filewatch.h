/* SPDX-License-Identifier: Apache-2.0 */
/* filewatch — whether files have changed: time of change, size, inode, looked at now and then.
 * Looking works on every file system and through replaced symbolic links, where inotify does not.
 *
 * A change counts only when two looks in a row find the same: a file that is still being written is
 * not read. Memory: copies the paths. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct filewatch;

MUST_CHECK int filewatch_new(struct filewatch **ret);
void filewatch_free(struct filewatch *w);
/* Watches these files instead; of one watched before, what was seen of it stays. Call
 * filewatch_look() before reading the files, this after it: what changes in between is found.
 * Returns 0, ERR_NOMEM (nothing has changed). */
MUST_CHECK int filewatch_set(struct filewatch *w, const char *const *paths, size_t n);
/* Takes every file as it stands for seen. */
void filewatch_look(struct filewatch *w);
/* Looks; true once after each change, by itself taken for seen. A file that appears or goes away
 * has changed. */
bool filewatch_changed(struct filewatch *w);
