/* SPDX-License-Identifier: Apache-2.0 */
/* A job on the shelf that an operator runs again, and again; two dispatchers that both think they lead
 * publish its outbox entry. An entry goes only after a confirm, and only if it is still the one that was
 * read. */
#include "model.inc"

#define OPERATOR 2

byte st = IN_DOUBT;
bool sh = true;
byte ob;               /* the entry's time: 0 none, 1 and 2 the first and second retry's */
bool has_request = true; /* the stored copy of the request */
byte q, hand, operated;
byte faults = FAULTS;

hidden byte somebody_will_wake_it, entry_has_its_request, ends_or_shelved;

#define FINAL (st >= SUCCEEDED)

inline invariants()
{
    must(somebody_will_wake_it, FINAL || sh || q > 0 || hand > 0 || ob > 0);
    must(entry_has_its_request, has_request || (!sh && (ob == 0 || FINAL)))
}

#ifdef BREAK_outbox_until_confirmed
#define REMOVE_EARLY ob = 0
#else
#define REMOVE_EARLY skip
#endif

#ifdef BREAK_outbox_done_by_compare
#define IS_AS_READ true
#else
#define IS_AS_READ ob == e
#endif

/* outbox_done.lua: back on the shelf already, the copy is the shelf's again. */
#ifdef BREAK_shelf_keeps_copy
#define DROP_COPY has_request = false
#else
#define DROP_COPY has_request = has_request && sh
#endif

proctype Dispatcher()
{
    byte e;

end:
    do
    :: d_step { e == 0 && ob > 0 -> e = ob; q++; REMOVE_EARLY; invariants() }
    :: d_step { e == 0 && ob > 0 && fault; REMOVE_EARLY; invariants() } /* never stored */
    :: d_step { e > 0 && fault; e = 0 } /* stored without a word, or it dies */
    :: d_step { e > 0 ->
            if
            :: ob > 0 && IS_AS_READ -> ob = 0; DROP_COPY
            :: else
            fi;
            e = 0;
            invariants() }
    od
}

/* Two deliveries at a time may be with workers; what runs ends, or is in doubt again and shelved. */
proctype Worker()
{
    bool has;

end:
    do
    :: d_step { !has && q > 0 -> q--; hand++; has = true; invariants() }
    :: d_step { has && st == QUEUED -> st = RUNNING; invariants() }
    :: d_step { has && st == RUNNING -> st = SUCCEEDED; invariants() }
    :: d_step { has && st == RUNNING -> st = IN_DOUBT; sh = true; has_request = true; invariants() }
    :: d_step { has && (FINAL || st == IN_DOUBT) -> hand--; has = false; invariants() }
    :: d_step { has && fault; hand--; q++; has = false; invariants() }
    od
}

proctype Operator()
{
end:
    do
    :: d_step { sh && operated < OPERATOR -> operated++; st = QUEUED; sh = false; ob = operated; invariants() }
    od
}

proctype Quiet()
{
end:
    timeout -> must(ends_or_shelved, FINAL || (st == IN_DOUBT && sh))
}

init {
    atomic {
        run Dispatcher();
        run Dispatcher();
        run Worker();
        run Worker();
        run Operator();
        run Quiet()
    }
}
