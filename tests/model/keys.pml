/* SPDX-License-Identifier: Apache-2.0 */
/* Two calls with one key at two ingresses: accept, publish, confirm, mark or undo, the answer; takeover of
 * the key, the leader's sweep, a worker that runs what may be run. Either ingress may be slow, or die, at any
 * step. Job j is what ingress j makes of its call. */
#include "model.inc"

byte st[2];
byte q[2];             /* messages of each job */
bool lease_over[2];    /* the accept lease */
byte key;              /* 0 free, else 1 + the job that holds it */
bool window_over;      /* the window after a job's end has passed */
bool ran[2];
byte said[2];          /* to the caller of each: */
#define S_202 1
#define S_503 2        /* it will not run */
#define S_BUSY 3
#define S_UNKNOWN 4
byte job_of[2];        /* the job that each 202 names */
bool is_gone[2];       /* that ingress died */
byte faults = FAULTS;

hidden byte accepted_is_durable, accepted_stands, refused_never_runs, one_job_per_key, every_message_has_a_record,
    nothing_abandoned, accept_lease_is_kept;

#define ENDED(j) (st[j] >= SUCCEEDED)
#define LIVES(j) (st[j] >= QUEUED && st[j] != CANCELED)

#define STANDS(i) (said[i] != S_202 || (st[job_of[i]] != CANCELED && st[job_of[i]] != NONE && st[job_of[i]] != ACCEPTED))
#define DURABLE(i) (said[i] != S_202 || ENDED(job_of[i]) || q[job_of[i]] > 0 || hand == job_of[i] + 1)
#define REFUSED(i) (said[i] != S_503 || !ran[i])

byte hand;             /* the worker's delivery: 0 none, else 1 + job */

/* --- the rules that can be taken out by a word ---------------------------------------------------- */

#ifdef BREAK_takeover_by_lease
#define WAITS(j) false
#else
#define WAITS(j) !lease_over[j]
#endif

#ifdef BREAK_takeover_undoes_first
#define TAKE_OVER skip
#else
#define TAKE_OVER cancel(1 - i)
#endif

#ifdef BREAK_undo_by_compare
#define MAY_UNDO(j) !ENDED(j)
#else
#define MAY_UNDO(j) (st[j] == ACCEPTED)
#endif

#ifdef BREAK_confirm_before_202
#define IS_TAKEN_FOR_CONFIRMED true
#else
#define IS_TAKEN_FOR_CONFIRMED false
#endif

#ifdef BREAK_mark_before_202
#define MARK skip
#define IS_UNDONE(j) false
#else
#define MARK mark_lua(i)
#define IS_UNDONE(j) (st[j] == CANCELED)
#endif

#ifdef BREAK_sweep_undoes_accepts
#define SWEEPS false
#else
#define SWEEPS true
#endif

#ifdef BREAK_key_until_end
#define WINDOW_RUNS(j) true
#else
#define WINDOW_RUNS(j) ENDED(j)
#endif

inline invariants()
{
    must(accepted_is_durable, DURABLE(0) && DURABLE(1));
    must(accepted_stands, STANDS(0) && STANDS(1));
    must(refused_never_runs, REFUSED(0) && REFUSED(1));
    must(one_job_per_key, !(LIVES(0) && LIVES(1)) || window_over)
}

/* --- the scripts --------------------------------------------------------------------------------- */

inline cancel(j)
{
    st[j] = CANCELED;
    if
    :: key == j + 1 -> key = 0 /* never sent: its key is free */
    :: else
    fi
}

#define A_NEW 1
#define A_BUSY 2
#define A_REPLAY 3
#define A_UNDONE 4

inline accept_lua(i)
{
    if
    :: st[i] != NONE -> verdict = (st[i] == CANCELED -> A_UNDONE : A_NEW)
    :: st[i] == NONE && key != 0 && st[key - 1] != ACCEPTED -> verdict = A_REPLAY; job_of[i] = key - 1
    :: st[i] == NONE && key != 0 && st[key - 1] == ACCEPTED && WAITS(key - 1) -> verdict = A_BUSY
    :: else ->
        if
        :: key != 0 ->
            must(accept_lease_is_kept, lease_over[key - 1]);
            TAKE_OVER
        :: else
        fi;
        st[i] = ACCEPTED;
        key = i + 1;
        job_of[i] = i;
        verdict = A_NEW
    fi
}

inline mark_lua(i)
{
    if
    :: st[i] == ACCEPTED -> st[i] = QUEUED
    :: else
    fi
}

inline undo_lua(i)
{
    if
    :: MAY_UNDO(i) -> cancel(i)
    :: st[i] == NONE -> st[i] = CANCELED
    :: else
    fi;
    was_undone = st[i] == CANCELED
}

/* --- the processes ------------------------------------------------------------------------------- */

/* What was published: 0 never stored, 1 stored, and its confirm comes, 2 stored without a word. */
inline publish(i)
{
    if
    :: d_step { true -> q[i]++; published = 1; invariants() }
    :: d_step { fault; published = 0 }
    :: d_step { fault; q[i]++; published = 2; invariants() }
    :: d_step { fault; is_gone[i] = true } -> goto gone
    fi
}

inline accept(i)
{
    do
    :: d_step { true -> accept_lua(i); invariants() } -> break
    :: d_step { fault; accept_lua(i); invariants() } /* its answer is lost: asked again */
    :: d_step { fault; is_gone[i] = true } -> goto gone
    od
}

inline say(i, what)
{
    d_step { said[i] = what; invariants() }
}

proctype Ingress(byte i)
{
    byte verdict, published;
    bool was_undone;

#ifdef BREAK_record_before_publish
    publish(i);
    accept(i);
#else
    accept(i);
#endif
    if
    :: verdict == A_BUSY -> say(i, S_BUSY); goto done
    :: verdict == A_UNDONE -> say(i, S_503); goto done
    :: verdict == A_REPLAY -> say(i, S_202); goto done
    :: else
    fi;
#ifndef BREAK_record_before_publish
    publish(i);
#endif
    if
    :: published == 1 || IS_TAKEN_FOR_CONFIRMED ->
        if
        :: d_step { true ->
            MARK;
            said[i] = (IS_UNDONE(i) -> S_503 : S_202);
            invariants() }
        :: d_step { true -> MARK; invariants() } -> skip; /* mark's answer is late, or it dies before its own */
            if
            :: say(i, (IS_UNDONE(i) -> S_503 : S_202))
            :: d_step { fault; is_gone[i] = true } -> goto gone
            fi
        :: d_step { fault; is_gone[i] = true } -> goto gone
        fi
    :: else -> /* a nack, a return, a lost connection, a late confirm: unknown */
        if
        :: d_step { true ->
            undo_lua(i);
            said[i] = (was_undone -> S_503 : S_202);
            invariants() }
        :: d_step { fault; is_gone[i] = true } -> goto gone
        fi
    fi;
done:
gone:
    skip
}

/* Takes a message, claims, calls, records, acknowledges; what it drops comes back. */
proctype Worker()
{
    byte j;

end:
    do
    :: d_step { hand == 0 && q[0] > 0 -> q[0]--; hand = 1; j = 0; invariants() }
    :: d_step { hand == 0 && q[1] > 0 -> q[1]--; hand = 2; j = 1; invariants() }
    :: d_step { hand != 0 && (st[j] == ACCEPTED || st[j] == QUEUED) -> st[j] = RUNNING; invariants() }
    :: d_step { hand != 0 && st[j] == RUNNING -> /* sent and answered */
            ran[j] = true;
            st[j] = SUCCEEDED;
            invariants() }
    :: d_step { hand != 0 && st[j] == NONE -> must(every_message_has_a_record, false) }
    :: d_step { hand != 0 && ENDED(j) -> hand = 0; invariants() }
    :: d_step { hand != 0 && fault; q[j]++; hand = 0; invariants() }
    od
}

proctype Leader()
{
end:
    do
    :: d_step { st[0] == ACCEPTED && !lease_over[0] -> lease_over[0] = true }
    :: d_step { st[1] == ACCEPTED && !lease_over[1] -> lease_over[1] = true }
    :: d_step { SWEEPS && st[0] == ACCEPTED && lease_over[0] -> cancel(0); invariants() }
    :: d_step { SWEEPS && st[1] == ACCEPTED && lease_over[1] -> cancel(1); invariants() }
    /* The window of a job's key passes. */
    :: d_step { key != 0 && WINDOW_RUNS(key - 1) ->
            window_over = window_over || ENDED(key - 1);
            key = 0 }
    od
}

proctype Quiet()
{
end:
    timeout -> must(nothing_abandoned, (st[0] == NONE || ENDED(0)) && (st[1] == NONE || ENDED(1)))
}

init {
    atomic {
        run Ingress(0);
        run Ingress(1);
        run Leader();
        run Worker();
        run Quiet()
    }
}
