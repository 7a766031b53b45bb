/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits, until when: a caller that waits (wait=N, or synchronous), an asynchronous repeat of its key, the
 * deadline, the hang-up, the accept lease, a worker. A 202 promises that the job will run; a 504 "not started"
 * and a 503 promise that it will not. */
#include "model.inc"

byte st;
bool claimed;
bool has_deadline = true; /* ex is the first caller's deadline; else never */
bool passed;              /* by the store's clock */
bool waits = true;        /* the first caller is among the record's waiters */
bool given_202;           /* o2 */
byte q;
bool ran;
byte faults = FAULTS;

byte said[2];
#define S_202 1
#define S_504_NOT_STARTED 2
#define S_504_STARTED 3
#define S_503 4
#define S_ANSWER 5
#define S_GONE 6

hidden byte promised_stands, not_started_never_runs, started_goes_on, ends_or_shelved;

#define FINAL (st >= SUCCEEDED)
#define OVERDUE (has_deadline && passed)

#ifdef BREAK_expire_unclaimed_only
#define MAY_EXPIRE true
#else
#define MAY_EXPIRE !claimed
#endif

#ifdef BREAK_given_202_lifts_deadline
#define LIFT skip
#else
#define LIFT has_deadline = false; given_202 = true
#endif

/* What ended without an attempt before its 202 could be promised is not answered 202. */
#ifdef BREAK_no_202_of_what_ended
#define IS_WITHDRAWN false
#else
#define IS_WITHDRAWN (st == CANCELED || st == EXPIRED)
#endif

inline invariants()
{
    must(promised_stands, (said[0] != S_202 && said[1] != S_202) || (st != EXPIRED && st != CANCELED && st != ACCEPTED));
    must(not_started_never_runs, (said[0] != S_504_NOT_STARTED && said[0] != S_503) || !ran)
}

inline expire_now()
{
    must(started_goes_on, !claimed);
    st = EXPIRED
}

/* expire.lua */
inline expire(is_hangup)
{
    if
    :: !FINAL ->
        waits = false;
        if
        :: MAY_EXPIRE && (OVERDUE || !given_202) -> expire_now()
        :: else
        fi
    :: else
    fi
}

/* A caller whose deadline runs by its ingress's own clock, a little before or after the store's. */
proctype Waiting(bool is_wait)
{
    if
    :: d_step { said[0] == 0 -> expire(true); said[0] = S_GONE; invariants() } /* hangs up */
    :: is_wait ->
        do
        :: d_step { said[0] == 0 && st == ACCEPTED -> skip } /* looks again */
        :: d_step { said[0] == 0 && st != ACCEPTED && !FINAL -> LIFT; waits = false; said[0] = S_202; invariants() } -> break
        :: d_step { said[0] == 0 && FINAL && !IS_WITHDRAWN -> said[0] = (st == SUCCEEDED -> S_ANSWER : S_202); invariants() } -> break
        :: d_step { said[0] == 0 && FINAL && IS_WITHDRAWN -> said[0] = (st == EXPIRED -> S_504_NOT_STARTED : S_503); invariants() } -> break
        :: said[0] != 0 -> break
        od
    :: !is_wait ->
        d_step {
            if
            :: said[0] == 0 ->
                expire(false);
                said[0] = (st == EXPIRED -> S_504_NOT_STARTED : (st == SUCCEEDED -> S_ANSWER : S_504_STARTED));
                invariants()
            :: else
            fi }
    fi
}

/* The same key again, asynchronously: accept.lua joins it to what has not ended. */
proctype Repeat()
{
    if
    :: d_step { st != ACCEPTED && !FINAL -> LIFT; said[1] = S_202; invariants() }
    :: d_step { FINAL -> said[1] = S_GONE } /* its key is free, or it has an answer: not this model's affair */
    fi
}

/* Of the first call: publish, confirm, mark or undo. Its caller is with the waiters meanwhile. */
proctype Ingress()
{
    bool is_confirmed = true;

    if
    :: d_step { true -> q++; invariants() }
    :: d_step { fault; is_confirmed = false }
    :: d_step { fault; q++; is_confirmed = false; invariants() }
    fi;
    if
    :: d_step { is_confirmed ->
            if
            :: st == ACCEPTED -> st = QUEUED
            :: else
            fi;
            invariants() }
    :: d_step { !is_confirmed ->
            if
            :: st == ACCEPTED -> st = CANCELED
            :: else
            fi;
            invariants() }
    fi;
    d_step {
        if
        :: st == CANCELED && said[0] == 0 -> said[0] = S_503
        :: else
        fi;
        invariants() }
}

proctype World()
{
end:
    do
    :: d_step { !passed -> passed = true }
    :: d_step { st == ACCEPTED -> st = CANCELED; invariants() } /* the accept lease is over */
    od
}

proctype Worker()
{
    bool has;

end:
    do
    :: d_step { !has && q > 0 -> q--; has = true }
    :: d_step { has && !FINAL && !claimed && OVERDUE -> expire_now(); invariants() } /* claim.lua */
    :: d_step { has && !FINAL && !claimed && !OVERDUE -> claimed = true; st = RUNNING; invariants() }
    :: d_step { has && st == RUNNING -> ran = true; st = SUCCEEDED; invariants() } /* sent, answered */
    :: d_step { has && st == RUNNING && fault; ran = true; st = WAITING; invariants() } /* answered: again later */
    :: d_step { has && st == WAITING -> st = RUNNING; invariants() }
    :: d_step { has && FINAL -> has = false;
            if
            :: claimed && st != SUCCEEDED -> must(started_goes_on, false)
            :: else
            fi }
    :: d_step { has && fault; q++; has = false }
    od
}

proctype Quiet()
{
end:
    timeout -> must(ends_or_shelved, FINAL)
}

init {
    atomic {
        st = ACCEPTED;
        if
        :: run Waiting(true)
        :: run Waiting(false)
        fi;
        run Repeat();
        run Ingress();
        run World();
        run Worker();
        run Quiet()
    }
}
