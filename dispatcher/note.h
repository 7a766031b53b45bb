/* SPDX-License-Identifier: Apache-2.0 */
/* note — what an operator says with a pause: the body {"note": "…"}, or none. Pure. */
#pragma once

#include "base/buf.h"

enum { NOTE_MAX = 1000 };

/* What to tell whoever sent another body. Static. */
const char *note_expected(void);
/* Appends the note; nothing when there is none. False: the body is something else. */
bool note_read(struct str body, struct buf *note);
