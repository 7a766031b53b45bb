/* SPDX-License-Identifier: Apache-2.0 */
/* A timer and two dispatchers that take the lead from each other; whoever was stopped goes on as if it led.
 * One script moves the cursor and puts the instant's job into the outbox; the entry is published until it is
 * confirmed. Each instant has exactly one job, and it runs. */
#include "model.inc"

#define INSTANTS 3

byte cursor;
byte st[4];            /* of the job of instant 1, 2, 3 */
bool outbox[4];
byte q[4];
byte ran[4];
byte leader;           /* whose lease it is: 0 nobody's */
byte hand;
byte faults = FAULTS;

hidden byte an_instant_once, no_instant_missed, somebody_will_wake_it, ends_or_shelved;

#define WOKEN(k) (st[k] != QUEUED || outbox[k] || q[k] > 0 || hand == k)
#define HAS_JOB(k) (cursor < k || st[k] != NONE)

inline invariants()
{
    must(no_instant_missed, HAS_JOB(1) && HAS_JOB(2) && HAS_JOB(3));
    must(somebody_will_wake_it, WOKEN(1) && WOKEN(2) && WOKEN(3))
}

#ifdef BREAK_cursor_by_compare
#define IS_AS_READ true
#else
#define IS_AS_READ cursor == read
#endif

#ifdef BREAK_outbox_until_confirmed
#define WHEN_LOST outbox[e] = false
#else
#define WHEN_LOST skip
#endif

inline put_job(k)
{
    must(an_instant_once, st[k] == NONE);
    st[k] = QUEUED;
    outbox[k] = true
}

inline forget()
{
    read = 0;
    is_known = false;
    e = 0
}

proctype Dispatcher(byte me)
{
    byte read, e, owed;
    bool leads, is_known;

end:
    do
    :: d_step { !leads && leader == 0 -> leader = me; leads = true; is_known = false }
    :: d_step { leads && leader != me -> leads = false; forget() } /* it hears of it, sooner or later */
    :: d_step { leads && !is_known -> read = cursor; is_known = true }
#ifdef BREAK_cursor_with_job
    :: d_step { leads && is_known && read < INSTANTS && owed == 0 && cursor == read -> cursor++; read++; owed = read }
    :: d_step { owed != 0 -> put_job(owed); owed = 0; invariants() }
    :: d_step { owed != 0 && fault; leads = false; leader = 0; owed = 0; forget(); invariants() }
#else
    /* fire.lua */
    :: d_step { leads && is_known && read < INSTANTS ->
            if
            :: IS_AS_READ -> cursor = read + 1; put_job(cursor); read = cursor
            :: else -> read = cursor
            fi;
            invariants() }
    :: d_step { leads && is_known && read < INSTANTS && IS_AS_READ && fault; /* its answer is lost */
            cursor = read + 1; put_job(cursor); is_known = false; read = 0; invariants() }
#endif
    /* The outbox: read an entry, publish it, after the confirm remove it. */
    :: d_step { leads && e == 0 && outbox[1] -> e = 1; q[1]++ }
    :: d_step { leads && e == 0 && outbox[2] -> e = 2; q[2]++ }
    :: d_step { leads && e == 0 && outbox[3] -> e = 3; q[3]++ }
    :: d_step { leads && e == 0 && outbox[1] && fault; e = 1; WHEN_LOST; e = 0; invariants() } /* never stored */
    :: d_step { e != 0 -> outbox[e] = false; e = 0; invariants() }
    :: d_step { e != 0 && fault; e = 0 } /* stored without a word */
    :: d_step { leads && fault; leads = false; e = 0; forget() } /* dies */
    od
}

proctype World()
{
end:
    do
    :: d_step { leader != 0 && faults > 0 -> leader = 0; faults-- } /* a lease runs out */
    od
}

proctype Worker()
{
end:
    do
    :: d_step { hand == 0 && q[1] > 0 -> q[1]--; hand = 1 }
    :: d_step { hand == 0 && q[2] > 0 -> q[2]--; hand = 2 }
    :: d_step { hand == 0 && q[3] > 0 -> q[3]--; hand = 3 }
    :: d_step { hand != 0 && st[hand] == QUEUED ->
            ran[hand]++;
            must(an_instant_once, ran[hand] <= 1);
            st[hand] = SUCCEEDED;
            invariants() }
    :: d_step { hand != 0 && st[hand] == SUCCEEDED -> hand = 0; invariants() }
    od
}

/* Nobody leads for ever after the last dispatcher died: its lease is free then, and it starts again. */
proctype Quiet()
{
end:
    do
    :: timeout ->
        if
        :: leader != 0 && (st[1] != SUCCEEDED || st[2] != SUCCEEDED || st[3] != SUCCEEDED) -> leader = 0
        :: else ->
            must(ends_or_shelved, cursor == INSTANTS && st[1] == SUCCEEDED && st[2] == SUCCEEDED && st[3] == SUCCEEDED);
            break
        fi
    od
}

init {
    atomic {
        run Dispatcher(1);
        run Dispatcher(2);
        run World();
        run Worker();
        run Quiet()
    }
}
