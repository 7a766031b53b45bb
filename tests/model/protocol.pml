/* SPDX-License-Identifier: Apache-2.0 */
/* A job's life: one ingress, two workers, a leader, an operator, a broker that delivers again and whose
 * publishes may be lost or stored without a word, a tenant that breaks off. Scripts are atomic; between two
 * steps of a process anything may happen, which is how a pause looks from outside. One job; what two
 * callers with one key do is in keys.pml, deadlines in deadline.pml. */
#include "model.inc"

#define MAX_ATTEMPTS 2
#ifndef OPERATOR
#define OPERATOR 1
#endif

/* The record. */
#ifndef HOLDS
#define HOLDS 1     /* the tenant's in-doubt policy: hold; 0: retry */
#endif
#define hold (HOLDS == 1)

byte st, n, tk, cnt;
byte holder;          /* whose name: 0 nobody, 1 and 2 the worker's present name, GONE, DEAD */
bool db, sh, not_due;
byte dn_n, dn_tk, dv; /* what was last completed, and what it gave */
#define GONE 3        /* of a process that is no more, not declared dead yet */
#define DEAD 4        /* declared dead */

/* The broker, the shelf's queue, the outbox. */
byte q, copies, ob, entry;

/* The workers. */
#define IDLE 0
#define CLAIM 1
#define ASKED 2
#define GO 3
#define CALL 4
#define SHELF_PUB 5
#define SHELF_WAIT 6
#define SETTLE 7
#define SHELVE 8
#define DELAY_PUB 9
#define DELAY_WAIT 10
#define ACK 11
byte step[2], token[2], my_n[2], seen_n[2], seen_tk[2];
byte hand[2];         /* the delivery: NO, LIVE, LOST (its channel is gone, the message is back) */
#define NO 0
#define LIVE 1
#define LOST 2
bool fresh[2];        /* its renewal is younger than the lease, on its own clock */
bool dead[2];         /* its present name was declared dead, which it does not know yet */

/* Verdicts of an attempt, answers of scripts. */
#define END 1
#define RETRY 2
#define DEADLETTER 3
#define UNSENT 4
#define DOUBT 5
#define HOLD 6
#define USED_UP 7

#define R_ACK 1
#define R_GO 2
#define R_PARK 3
#define R_HOLD 4
#define R_USED_UP 5
#define R_DEAD 6
#define R_LATE 7
#define R_WAITING 8
#define R_CHANGED 9

byte faults = FAULTS;
byte operated, effects;
bool said_202, said_503;

hidden byte somebody_will_wake_it, accepted_stands, shelved_is_durable, holder_runs_it, one_attempt_at_a_time,
    no_silent_effect, refused_never_runs, final_is_final, no_stale_write, recorded_once, truth_is_kept,
    given_to_the_living, ends_or_shelved, bounds_hold;

#define FINAL (st >= SUCCEEDED)
#define HOLDER_DEAD (holder == DEAD || (holder == 1 && dead[0]) || (holder == 2 && dead[1]))
#define RUNS(i) (token[i] == tk && step[i] != IDLE)

/* What nobody compares any more is forgotten, so that such states fall together: numbers and tokens of
 * attempts that no worker has in mind, and what a final, unshelved job had. */
inline tidy()
{
    if
    :: st != RUNNING && n > 0 && my_n[0] == 0 && my_n[1] == 0 && seen_n[0] == 0 && seen_n[1] == 0 ->
        n = 1;
        tk = 0;
        dn_n = 0;
        dn_tk = 0;
        dv = 0
    :: FINAL && !sh -> q = 0 /* each would be acknowledged */
    :: else
    fi
}

/* Judged after every step that changes anything. */
inline invariants()
{
    tidy();
    must(somebody_will_wake_it, st <= ACCEPTED || FINAL || sh || q > 0 || hand[0] == LIVE || hand[1] == LIVE || ob > 0);
    must(accepted_stands, !said_202 || (st != ACCEPTED && st != CANCELED));
    must(shelved_is_durable, !sh || copies > 0);
    must(holder_runs_it, st != RUNNING || holder == 0 || holder >= GONE || dead[holder - 1] || RUNS(holder - 1));
    must(bounds_hold, q < 8 && copies < 8 && n < 9);
}

/* --- the rules that can be taken out by a word ---------------------------------------------------- */

#ifdef BREAK_no_silent_repeat
#define RETRIES true
#else
#define RETRIES !hold
#endif

#ifdef BREAK_death_is_a_mark
/* A lease that runs out by time: whoever looks judges for himself. */
#define IS_LOST (HOLDER_DEAD || holder == GONE || (holder == 1 && !fresh[0]) || (holder == 2 && !fresh[1]))
#else
#define IS_LOST HOLDER_DEAD
#endif

#ifdef BREAK_fence
#define NOT_MINE false
#else
#define NOT_MINE !is_newest
#endif

/* A dead letter of what was run again by hand meanwhile: its shelf copy may have been swept away, and it is
 * queued anyhow. */
#ifdef BREAK_dead_has_its_copy
#define HAS_NO_COPY false
#else
#define HAS_NO_COPY (verdict == DEADLETTER && !sh)
#endif

#ifdef BREAK_late_answer_settles
#define SETTLES false
#else
#define SETTLES is_answer
#endif


#ifdef BREAK_shelf_copy_first
#define AFTER_HOLD SHELVE
#define BEFORE_SHELF SETTLE
#else
#define AFTER_HOLD SHELF_PUB
#define BEFORE_SHELF SHELF_PUB
#endif

#ifdef BREAK_lease_before_send
#define MAY_SEND true
#else
#define MAY_SEND (fresh[i] && !old)
#endif

#ifdef BREAK_shelf_copy_first
#define AFTER_SHELF ACK
#define AFTER_SETTLE (verdict == HOLD || verdict == DEADLETTER -> SHELF_PUB : ACK)
#define AFTER_SHELVE SHELF_PUB
#else
#define AFTER_SHELF (runs -> SETTLE : SHELVE)
#define AFTER_SETTLE ACK
#define AFTER_SHELVE ACK
#endif

#ifdef BREAK_waiting_before_publish
#define AFTER_WAITING (verdict == RETRY -> ACK : DELAY_PUB)
#else
#define AFTER_WAITING DELAY_PUB
#endif

#ifdef BREAK_park_confirm_before_ack
#define AFTER_LOST ACK
#else
#define AFTER_LOST DELAY_PUB
#endif

#ifdef BREAK_outbox_until_confirmed
#define AFTER_LOST_ENTRY ob = 0
#else
#define AFTER_LOST_ENTRY skip
#endif

/* Between the look and the shelving the next incarnation may have taken the attempt along, and sends it. */
#ifdef BREAK_shelve_looks_at_holder
#define IS_SHELVED_RUNNING (st == RUNNING)
#else
#define IS_SHELVED_RUNNING (st == RUNNING && IS_LOST)
#endif

/* Two idle workers are alike. */
#define IS_FIRST_IDLE(i) (i == 0 || step[0] != IDLE || !fresh[0] || !fresh[1])

inline set_state(to)
{
    must(final_is_final, !FINAL);
    st = to
}

/* Ended and off the shelf: nothing that follows may change anything, and what no script reads any more is
 * forgotten, so that such states fall together. Faults are over, too: what is stale by now acts all the same. */
inline ended(to)
{
    set_state(to);
    sh = false;
    n = 0;
    tk = 0;
    cnt = 0;
    db = false;
    not_due = false;
    copies = 0;
    faults = 0
}

/* --- the scripts --------------------------------------------------------------------------------- */

inline claim_lua(i)
{
    bool_old = old || dead[i];
    if
    :: FINAL || st == IN_DOUBT -> res = R_ACK
#ifndef BREAK_claim_same_token
    :: else -> if
    :: st == RUNNING && tk == token[i] ->
        if
        :: holder == i + 1 || old -> res = R_GO; my_n[i] = n
        :: holder != i + 1 && !old && dead[i] -> res = R_DEAD
        :: holder != i + 1 && !old && !dead[i] -> take_along(i)
        fi
#endif
#ifndef BREAK_dead_cannot_claim
    :: else -> if
    :: bool_old -> res = R_DEAD
#endif
    :: else -> if
    :: st == RUNNING && !IS_LOST -> res = R_PARK
#ifndef BREAK_no_silent_repeat
    :: st == RUNNING && IS_LOST && hold -> res = R_HOLD; seen_n[i] = n; seen_tk[i] = tk
#endif
    :: st == RUNNING && IS_LOST && RETRIES && cnt >= MAX_ATTEMPTS -> res = R_USED_UP; seen_n[i] = n; seen_tk[i] = tk
    :: st != RUNNING && not_due -> res = R_PARK
    :: else -> grant(i)
    fi
#ifndef BREAK_dead_cannot_claim
    fi
#endif
#ifndef BREAK_claim_same_token
    fi
#endif
    fi
}

/* Asked again by the next incarnation, nothing sent yet: the lease goes over with it. */
inline take_along(i)
{
    holder = i + 1;
    res = R_GO;
    my_n[i] = n;
}

inline grant(i)
{
    must(given_to_the_living, !bool_old);
    db = db || st == RUNNING;
    set_state(RUNNING);
    n++;
    cnt++;
    tk = token[i];
    holder = i + 1;
    not_due = false;
    res = R_GO;
    my_n[i] = n;
}

inline to_outbox()
{
    st = QUEUED;
    sh = false;
    ob = (entry == 1 -> 2 : 1);
}

inline complete_lua(i)
{
    is_answer = verdict == END || verdict == RETRY || verdict == DEADLETTER;
    is_newest = n == my_n[i] && tk == token[i];
    if
#ifndef BREAK_complete_once
    :: dn_n == my_n[i] && dn_tk == token[i] -> res = dv
    :: else -> if
#endif
    :: FINAL || NOT_MINE || (st != RUNNING && !(SETTLES && !HAS_NO_COPY)) ->
        must(truth_is_kept, FINAL || !is_newest || !is_answer || HAS_NO_COPY);
        res = R_LATE
    :: else ->
        must(no_stale_write, is_newest);
        must(recorded_once, !(dn_n == my_n[i] && dn_tk == token[i]));
        record(i)
    fi
#ifndef BREAK_complete_once
    fi
#endif
}

inline record(i)
{
    dn_n = my_n[i];
    dn_tk = token[i];
    if
    :: verdict == END -> ended(SUCCEEDED); dv = R_ACK
    :: verdict == DEADLETTER -> set_state(FAILED); sh = true; dv = R_ACK
    :: verdict == HOLD -> set_state(IN_DOUBT); sh = true; db = true; dv = R_ACK
    :: verdict == RETRY && sh -> to_outbox(); db = false; not_due = true; dv = R_ACK
    :: verdict == RETRY && !sh -> set_state(WAITING); db = false; not_due = true; dv = R_WAITING
    :: verdict == UNSENT -> set_state(WAITING); not_due = true; cnt--; dv = R_WAITING
    :: verdict == DOUBT -> set_state(WAITING); not_due = true; db = true; dv = R_WAITING
    fi;
    holder = 0;
    res = dv
}

inline shelve_lua(i)
{
    if
    :: n == seen_n[i] && sh -> res = R_ACK
#ifndef BREAK_shelve_by_compare
    :: !(n == seen_n[i] && sh) && (n != seen_n[i] || tk != seen_tk[i] ||
                                !(IS_SHELVED_RUNNING || (db && st != IN_DOUBT && !FINAL))) -> res = R_CHANGED
#endif
    :: else ->
        if
        :: verdict == USED_UP -> set_state(FAILED)
        :: else -> set_state(IN_DOUBT); db = true
        fi;
        sh = true;
        holder = 0;
        res = R_ACK
    fi
}

/* --- a worker ------------------------------------------------------------------------------------ */

/* A token that nobody else has: tokens are random; here the smallest free one. */
inline draw_token(i)
{
    token[i] = 1;
    do
    :: token[i] == tk || token[i] == token[1 - i] || token[i] == seen_tk[1 - i] -> token[i]++
    :: else -> break
    od
}

inline forget(i)
{
    step[i] = IDLE;
    token[i] = 0;
    seen_tk[i] = 0;
    seen_n[i] = 0;
    my_n[i] = 0;
    verdict = 0;
    old = false;
    is_open = false;
    runs = false;
    did = false;
    is_known = false;
}

/* Without a renewed lease it does not ask. */
inline ask(i)
{
    old = false;
    is_open = is_open || fresh[i];
    step[i] = (fresh[i] -> ASKED : CLAIM)
}

inline acknowledge(i)
{
    must(truth_is_kept, !is_known || hand[i] != LIVE);
    hand[i] = NO;
    forget(i)
}

/* What the worker does with a script's answer. */
inline act_on_claim(i)
{
    is_open = false;
    if
    :: res == R_ACK -> acknowledge(i)
    :: res == R_GO -> step[i] = GO; runs = true
    :: res == R_PARK -> q++; step[i] = DELAY_WAIT
    :: res == R_HOLD -> step[i] = AFTER_HOLD; verdict = HOLD
    :: res == R_USED_UP -> step[i] = AFTER_HOLD; verdict = USED_UP
    :: res == R_DEAD -> step[i] = CLAIM /* a new name is due */
    fi
}

inline judge(kind)
{
    verdict = kind;
    is_known = kind == END || kind == RETRY || kind == DEADLETTER;
    if
    :: verdict == HOLD || verdict == DEADLETTER -> step[i] = BEFORE_SHELF
#ifdef BREAK_outcome_before_ack
    :: verdict == END -> step[i] = ACK
#endif
#ifdef BREAK_waiting_before_publish
    :: verdict == RETRY -> step[i] = DELAY_PUB
#endif
    :: else -> step[i] = SETTLE
    fi
}

inline send(i)
{
    must(one_attempt_at_a_time, st == RUNNING && n == my_n[i] && tk == token[i]);
    must(refused_never_runs, !said_503);
    step[i] = CALL
}

inline do_it()
{
    must(no_silent_effect, !hold || effects == 0 || operated > 0);
    effects = 1;
    did = true
}

proctype Worker(byte i)
{
    byte verdict, res;
    bool old;      /* it claimed under a name that it has no more */
    bool is_open;  /* a claim was sent and not answered */
    bool runs;     /* claimed here, and not settled */
    bool did;      /* the tenant did it */
    bool is_known; /* an answer is in hand, and not recorded */
    bool is_answer, is_newest, bool_old;

end:
    do
    :: d_step { step[i] == IDLE && q > 0 && IS_FIRST_IDLE(i) -> q--; hand[i] = LIVE; draw_token(i); ask(i); invariants() }

    :: d_step { step[i] == CLAIM && fresh[i] -> ask(i) }
    :: d_step { step[i] == CLAIM && !is_open && hand[i] == LOST -> hand[i] = NO; forget(i); invariants() }
    :: atomic { step[i] == ASKED -> d_step { claim_lua(i) };
        if
        :: d_step { true -> act_on_claim(i); invariants() }
        :: d_step { res == R_PARK && fault; is_open = false; step[i] = AFTER_LOST; invariants() }
        :: d_step { fault; step[i] = CLAIM; invariants() } /* the answer was lost: asked again */
        fi }

    /* The tenant does it, or refuses it for now. */
    :: d_step { step[i] == GO && MAY_SEND -> send(i); do_it() }
    :: d_step { step[i] == GO && MAY_SEND -> send(i) }
    :: d_step { step[i] == GO && !MAY_SEND -> judge(UNSENT) }
    :: d_step { step[i] == GO && MAY_SEND && fault; judge(UNSENT) } /* connection refused */

    /* It answers, or the connection breaks. */
    :: d_step { step[i] == CALL && did -> judge(END) }
    :: d_step { step[i] == CALL && !did && cnt < MAX_ATTEMPTS -> judge(RETRY) }
    :: d_step { step[i] == CALL && !did && cnt >= MAX_ATTEMPTS -> judge(DEADLETTER) }
    :: d_step { step[i] == CALL && hold && fault; judge(HOLD) }
    :: d_step { step[i] == CALL && !hold && cnt < MAX_ATTEMPTS && fault; judge(DOUBT) }
    :: d_step { step[i] == CALL && !hold && cnt >= MAX_ATTEMPTS && fault; judge(DEADLETTER); is_known = false }

    /* First the durable copy, then the record that says so, then the acknowledgement. */
    :: d_step { step[i] == SHELF_PUB -> copies++; step[i] = SHELF_WAIT }
    :: d_step { step[i] == SHELF_WAIT && fault; step[i] = SHELF_PUB } /* no word: perhaps stored */
    :: d_step { step[i] == SHELF_WAIT -> step[i] = AFTER_SHELF }

    :: atomic { step[i] == SETTLE -> d_step { complete_lua(i) };
        if
        :: d_step { true ->
            is_known = false;
            if
            :: res == R_WAITING -> step[i] = AFTER_WAITING; runs = false
            :: res == R_LATE -> runs = false; ask(i)
            :: res == R_ACK -> step[i] = AFTER_SETTLE; runs = false
            fi;
            invariants() }
        /* the answer is lost: asked again (for what has just ended, too, where no faults are left) */
        :: d_step { faults > 0 || FINAL -> faults = (faults > 0 -> faults - 1 : 0); invariants() }
        fi }
    :: atomic { step[i] == SHELVE -> d_step { shelve_lua(i) };
        if
        :: d_step { true ->
            if
            :: res == R_CHANGED -> ask(i)
            :: else -> step[i] = AFTER_SHELVE
            fi;
            invariants() }
        :: d_step { fault; invariants() }
        fi }

    /* Another message takes this one's place. */
    :: d_step { step[i] == DELAY_PUB -> q++; step[i] = DELAY_WAIT; invariants() }
    :: d_step { step[i] == DELAY_PUB && fault; step[i] = AFTER_LOST } /* never stored */
    :: d_step { step[i] == DELAY_WAIT && fault; step[i] = DELAY_PUB } /* stored without a word */
    :: d_step { step[i] == DELAY_WAIT -> acknowledge(i); invariants() }
    :: d_step { step[i] == DELAY_PUB && hand[i] == LOST && !is_known -> hand[i] = NO; forget(i); invariants() }

    :: d_step { step[i] == ACK -> acknowledge(i); invariants() }

    /* Its channel is closed, it dies, it is stopped for longer than its lease, it goes on. */
    :: d_step { hand[i] == LIVE && fault; hand[i] = LOST; q++; invariants() }
    :: d_step { step[i] != IDLE && fault;
            if
            :: hand[i] == LIVE -> q++
            :: else
            fi;
            hand[i] = NO;
            if
            :: holder == i + 1 -> holder = (dead[i] -> DEAD : GONE)
            :: else
            fi;
            fresh[i] = true;
            dead[i] = false;
            forget(i);
            invariants() }
    :: d_step { fresh[i] && step[i] >= ASKED && step[i] <= SHELVE && fault; fresh[i] = false }
    :: d_step { !fresh[i] ->
            if
            :: dead[i] ->
                /* It learns of its death: the next incarnation begins. */
                dead[i] = false;
                if
                :: holder == i + 1 -> holder = DEAD
                :: else
                fi;
                old = step[i] >= ASKED && step[i] <= SETTLE
            :: else
            fi;
            fresh[i] = true }
    od
}

/* --- the others ---------------------------------------------------------------------------------- */

/* Asynchronous: accept, publish, confirm, mark, 202. */
proctype Ingress()
{
    bool is_confirmed = true;

    d_step { st = ACCEPTED };
    if
    :: d_step { true -> q++; invariants() }
    :: d_step { fault; is_confirmed = false } /* never stored */
    :: d_step { fault; q++; is_confirmed = false } /* stored without a word */
    :: d_step { fault }; goto gone
    fi;
    if
    :: d_step { is_confirmed -> /* mark.lua */
        if
        :: st == ACCEPTED -> st = QUEUED
        :: else
        fi;
        invariants() }
    :: d_step { !is_confirmed -> /* undo.lua */
        if
        :: st == ACCEPTED -> st = CANCELED
        :: else
        fi }
    :: d_step { fault }; goto gone
    fi;
    d_step {
        if
        :: st == CANCELED -> said_503 = true
        :: else -> said_202 = true
        fi;
        invariants() };
gone:
    skip
}

/* Declares dead what does not renew, publishes the outbox, undoes accepts whose lease is over, lets go
 * shelf copies that have left the shelf. */
proctype Leader()
{
end:
    do
    :: d_step { !fresh[0] && !dead[0] -> dead[0] = true; invariants() }
    :: d_step { !fresh[1] && !dead[1] -> dead[1] = true; invariants() }
    :: d_step { holder == GONE -> holder = DEAD; invariants() }
    :: d_step { st == ACCEPTED -> st = CANCELED; invariants() } /* sweep.lua: any time is late enough */
    :: d_step { not_due -> not_due = false } /* time goes by */

    :: d_step { ob > 0 && entry == 0 -> entry = ob; q++; invariants() }
    :: d_step { ob > 0 && entry == 0 && fault; AFTER_LOST_ENTRY; invariants() } /* never stored: again */
    :: d_step { entry > 0 && fault; entry = 0 } /* stored without a word, or this leader dies: again */
    :: d_step { entry > 0 ->
            if
            :: ob == entry -> ob = 0
            :: else
            fi;
            entry = 0;
            invariants() }

    :: d_step { copies > 0 && st > NONE && !sh && !db && st != RUNNING -> copies--; invariants() }
    od
}

/* Runs again what is on the shelf (one attempt more, to keep the model small), or settles it. */
proctype Operator()
{
end:
    do
    :: d_step { sh && operated < OPERATOR -> operated++; to_outbox(); cnt = 1; db = false; not_due = false; invariants() }
    :: d_step { sh && st == IN_DOUBT && operated < OPERATOR -> operated++; ended(SUCCEEDED); invariants() }
    od
}

/* Nothing moves any more. */
proctype Quiet()
{
end:
    timeout -> must(ends_or_shelved, st == NONE || FINAL || (st == IN_DOUBT && sh))
}

init {
    atomic {
        fresh[0] = true;
        fresh[1] = true;
        run Ingress();
        run Leader();
        run Operator();
        run Worker(0);
        run Worker(1);
        run Quiet()
    }
}
