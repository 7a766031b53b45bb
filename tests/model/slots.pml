/* SPDX-License-Identifier: Apache-2.0 */
/* A tenant that takes one call at a time, two jobs, two workers that may die while the tenant works on. An
 * attempt's slot has an end, fixed at the claim, that lies behind the tenant's work (limit and linger); a
 * tenant that works longer is not promised anything. The in-doubt policy is retry. */
#include "model.inc"

#define ATTEMPTS 4

byte made;                /* attempts given out so far */
bool slot[ATTEMPTS];      /* the slot's entry */
bool is_dead[ATTEMPTS];   /* its holder was declared dead */
bool lost[ATTEMPTS];      /* its holder's process is gone */
bool calling[ATTEMPTS];   /* the tenant works on it */
bool past[ATTEMPTS];      /* the slot's end has passed */
byte current[2];          /* 1 + the newest attempt of each job, 0 none */
bool ended[2];
byte c;                   /* slots taken */
byte faults = FAULTS;

hidden byte limit_holds, count_is_exact;

#define CALLS (calling[0] + calling[1] + calling[2] + calling[3])
#define SLOTS (slot[0] + slot[1] + slot[2] + slot[3])

inline invariants()
{
    must(limit_holds, CALLS <= 1);
    must(count_is_exact, c == SLOTS)
}

#ifdef BREAK_slot_freed_once
#define IS_THERE(k) true
#else
#define IS_THERE(k) slot[k]
#endif

#ifdef BREAK_slot_outlives_lease
#define FREE_OF_THE_DEAD(k) free_slot(k)
#else
#define FREE_OF_THE_DEAD(k) skip
#endif

inline free_slot(k)
{
    if
    :: IS_THERE(k) -> slot[k] = false; c--
    :: else
    fi
}

#define IDLE 0
#define GO 1
#define CALL 2
#define SETTLE 3
#define SETTLE_DOUBT 4

inline take()
{
    k = made;
    made++;
    slot[k] = true;
    c++;
    current[j] = k + 1;
    step = GO;
    invariants()
}

inline complete()
{
    free_slot(k);
    if
    :: current[j] == k + 1 && !ended[j] -> ended[j] = true
    :: else
    fi;
    invariants()
}

inline forget()
{
    k = 0;
    j = 0
}

proctype Worker(byte w)
{
    byte step, j, k;

end:
    do
    /* claim.lua, for either job: not running, or its holder dead; and a slot is free. */
    :: d_step { step == IDLE && !ended[0] && c < 1 && made < ATTEMPTS && (current[0] == 0 || is_dead[current[0] - 1]) -> j = 0; take() }
    :: d_step { step == IDLE && !ended[1] && c < 1 && made < ATTEMPTS && (current[1] == 0 || is_dead[current[1] - 1]) -> j = 1; take() }
    /* Sends while its lease is good, and while it is not dead, that is. */
    :: d_step { step == GO && !is_dead[k] && !past[k] -> calling[k] = true; step = CALL; invariants() }
    :: d_step { step == GO && (is_dead[k] || past[k]) -> step = SETTLE }
    :: d_step { step == CALL && !calling[k] -> step = SETTLE } /* answered */
    :: d_step { step == CALL && fault; step = SETTLE_DOUBT } /* the connection broke: the tenant may work on */
    :: d_step { step == SETTLE -> complete(); step = IDLE; forget() }
    :: d_step { step == SETTLE && fault; complete() } /* the answer is lost: asked again */
    :: d_step { step == SETTLE_DOUBT -> /* the slot stays to its end; the job may be claimed again */
            if
            :: current[j] == k + 1 -> current[j] = 0
            :: else
            fi;
            step = IDLE; forget() }
    :: d_step { step != IDLE && fault; lost[k] = true; step = IDLE; forget() } /* dies */
    :: d_step { step != IDLE && !is_dead[k] && fault; is_dead[k] = true; FREE_OF_THE_DEAD(k); invariants() } /* stopped until declared dead */
    od
}

/* The leader and the tenant, for each attempt. */
proctype World(byte k)
{
end:
    do
    :: d_step { calling[k] -> calling[k] = false } /* the tenant is done */
    :: d_step { slot[k] && !past[k] && !calling[k] -> past[k] = true } /* limit and linger: longer than it works */
    :: d_step { lost[k] && !is_dead[k] -> is_dead[k] = true; FREE_OF_THE_DEAD(k); invariants() }
    :: d_step { slot[k] && past[k] && (is_dead[k] || (current[0] != k + 1 && current[1] != k + 1)) ->
            free_slot(k); invariants() } /* sweep.lua */
    od
}

init {
    atomic {
        run World(0);
        run World(1);
        run World(2);
        run World(3);
        run Worker(0);
        run Worker(1)
    }
}
