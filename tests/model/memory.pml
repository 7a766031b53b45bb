/* SPDX-License-Identifier: Apache-2.0 */
/* The store loses everything, under the policy hold. A message says whether an attempt was ever made: by its
 * header, or because the broker delivers it again. Without a record, one that was never attempted runs, and
 * one that was waits for a person. A worker that gives back what it has not begun publishes it anew. */
#include "model.inc"

byte st = QUEUED;
bool sh;
byte clean = 1, marked;   /* messages: never attempted, perhaps attempted */
byte operated, effects;
bool forgot;              /* the store was emptied, once */
byte faults = FAULTS;

hidden byte no_silent_effect, somebody_will_wake_it, ends_or_shelved;

#define FINAL (st >= SUCCEEDED)
byte hand;

/* Nothing holds of a record that is not there: the message carries what is known. */
inline invariants()
{
    must(somebody_will_wake_it, FINAL || sh || clean + marked + hand > 0)
}

#ifdef BREAK_requeue_marks_attempted
#define BACK clean++
#else
#define BACK marked++
#endif

#define IDLE 0
#define CLAIM 1
#define GO 2
#define SETTLE 3

inline forget()
{
    step = IDLE;
    is_marked = false
}

proctype Worker()
{
    byte step;
    bool is_marked;

end:
    do
    :: d_step { step == IDLE && clean > 0 -> clean--; hand++; step = CLAIM }
    :: d_step { step == IDLE && marked > 0 -> marked--; hand++; is_marked = true; step = CLAIM }
    /* claim.lua: the record decides, where there is one. */
    :: d_step { step == CLAIM && st == QUEUED -> st = RUNNING; step = GO; invariants() }
    :: d_step { step == CLAIM && (FINAL || st == IN_DOUBT) -> hand--; forget(); invariants() }
    :: d_step { step == CLAIM && st == NONE && !is_marked -> st = RUNNING; step = GO; invariants() }
    :: d_step { step == CLAIM && st == NONE && is_marked -> st = IN_DOUBT; sh = true; hand--; forget(); invariants() }
    /* running elsewhere: the holder lives, or is dead: then held */
    :: d_step { step == CLAIM && st == RUNNING && hand == 1 -> st = IN_DOUBT; sh = true; hand--; forget(); invariants() }
    /* gives back what it has not begun: anew, as it was, with a confirm */
    :: d_step { step == CLAIM && fault;
            if
            :: is_marked -> marked++
            :: else -> clean++
            fi;
            hand--;
            forget();
            invariants() }
    :: d_step { step == GO ->
            must(no_silent_effect, effects == 0 || operated > 0);
            effects++;
            step = SETTLE }
    /* answered; a record that is gone meanwhile is written as the end */
    :: d_step { step == SETTLE && !FINAL && st != IN_DOUBT -> st = SUCCEEDED; hand--; forget(); invariants() }
    :: d_step { step == SETTLE && (FINAL || st == IN_DOUBT) -> st = SUCCEEDED; sh = false; hand--; forget(); invariants() }
    /* dies, or its channel is closed: the message comes back, marked by the broker */
    :: d_step { step != IDLE && fault; hand--; BACK; forget(); invariants() }
    od
}

proctype Store()
{
end:
    do
    :: d_step { !forgot && !sh && !FINAL -> forgot = true; st = NONE; invariants() }
    od
}

proctype Quiet()
{
end:
    timeout -> must(ends_or_shelved, FINAL || (st == IN_DOUBT && sh))
}

init {
    atomic {
        run Worker();
        run Worker();
        run Store();
        run Quiet()
    }
}
