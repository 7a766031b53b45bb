/* SPDX-License-Identifier: Apache-2.0 */
#include "wallwatch.h"

enum { STEP_MS = 1000 };

int64_t wallwatch_look(struct wallwatch *w, struct wall wall, struct mono mono)
{
    int64_t by_ms = wall.ms - w->wall.ms - mono_since_ms(w->mono, mono);
    bool is_step = w->has_looked && (by_ms >= STEP_MS || by_ms <= -STEP_MS);

    *w = (struct wallwatch){wall, mono, true};
    return is_step ? by_ms : 0;
}
