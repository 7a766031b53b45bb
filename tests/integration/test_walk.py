# SPDX-License-Identifier: Apache-2.0
"""The job scripts on a real Redis: a random walk, every script sent twice now and then, with the invariants
checked along the way (tests/model/walk.py); and single sequences that once went wrong. That the walk sees a
rule taken out is shown by `tests/run mutants`."""
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis

from harness import functions
from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
LUA = ROOT / "common/store/lua"
STEPS = "2500"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    port = free_port()
    directory = tmp_path_factory.mktemp("walk")
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                               "--dir", str(directory)], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    end = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < end, "Redis does not start"
            time.sleep(0.05)
    yield port
    server.terminate()
    server.wait(timeout=10)


def walk(port, lua, seed, *more):
    redis.Redis(port=port).flushall()
    return subprocess.run([sys.executable, str(ROOT / "tests/model/walk.py"), str(port), str(lua), STEPS, seed, *more],
                          capture_output=True, text=True, timeout=250)


@pytest.mark.slow
@pytest.mark.timeout_s(300)
@pytest.mark.parametrize("seed", ["2", "3", "11"])
def test_no_walk_breaks_an_invariant(store, seed):
    done = walk(store, LUA, seed)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.timeout_s(300)
@pytest.mark.parametrize("seed", ["2", "8"])
def test_no_walk_breaks_an_invariant_when_everything_is_lost_now_and_then(store, seed):
    done = walk(store, LUA, seed, "forget")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


class Scripts:
    """Calls a script as the store does, about the tenant t."""

    def __init__(self, port):
        self.redis = redis.Redis(port=port, decode_responses=True)
        self.redis.flushall()
        self.knows = "e1"  # the epoch, and what else the caller knows of the store
        functions.load(self.redis)
        self("register", "{}", "a\thttp://a\t2\n", 2)

    def __call__(self, script, *args):
        return self.raw(script, 1, "{t}:t", self.knows, *[str(a) for a in args])

    def raw(self, script, n_keys, *words):
        return functions.call(self.redis, script, n_keys, *words)

    def accept(self, name, key="", mode="async", waiter=""):
        return self("accept", name, key, "fp", "normal" if mode == "async" else "sync", mode, 0 if mode == "async" else 60000,
                    0, 0, waiter, 30000, 0)

    def claim(self, name, token="t1", worker="w1", policy="hold"):
        return self("claim", name, token, worker, "cw", 60000, policy, 5, 15000, 600000, 600000, 600000, 60000)

    def complete(self, name, n, token, verdict, state="failed", answer="", unsent=False, shelf=1000000, wait=0):
        return self("complete", name, n, token, verdict, state, "200" if answer else "", "word", answer, len(answer), 1, wait,
                    600000, 600000, 600000, 60000, "head", "body", shelf, 0, 1 if unsent else 0)


@pytest.fixture
def scripts(store):
    return Scripts(store)


def test_a_job_that_was_sent_keeps_its_key_through_retry_and_cancel(scripts):
    scripts.accept("j", key="k")
    scripts("mark", 3600000, "j")
    assert scripts.claim("j")[0] == "go"
    assert scripts.complete("j", 1, "t1", "hold")[0] == "in_doubt"
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts("cancel", "j", 600000, 600000)[0] == "canceled"
    assert scripts.accept("other", key="k")[0] == "replay"


def test_a_job_that_was_never_sent_frees_its_key(scripts):
    scripts.accept("j", key="k")
    scripts("mark", 3600000, "j")
    assert scripts("cancel", "j", 600000, 600000)[0] == "canceled"
    assert scripts.accept("other", key="k")[0] == "new"


def test_no_202_between_record_and_confirm(scripts):
    scripts.accept("j", mode="wait", waiter="c|1")
    assert scripts("give_202", "j", "c|1") == ["accepted"]
    assert scripts("undo", "j", 600000) == ["undone"]


def test_a_claim_sent_again_by_a_dead_worker_is_refused(scripts):
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"
    scripts("mourn", "w1")
    scripts("mourn", "w2")
    assert scripts.claim("j", worker="w2") == ["dead"]
    taken = scripts.claim("j", worker="w3")
    assert taken[0] == "go" and scripts.redis.hget("{t}:j:j", "w") == "w3"


def test_shelving_again_does_not_undo_an_operators_retry(scripts):
    scripts.accept("j")
    scripts.claim("j")
    scripts("mourn", "w1")
    assert scripts.claim("j", token="t2", worker="w2")[0] == "hold"
    shelve = ("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000)
    assert scripts(*shelve)[0] == "shelved"
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts(*shelve)[0] == "changed"
    assert scripts.redis.hget("{t}:j:j", "st") == "queued"


def test_an_attempt_that_was_taken_along_is_not_shelved(scripts):
    """Found by the model (one_attempt_at_a_time): looked at while its worker's name was dead, shelved after the next
    incarnation had taken the attempt along, it would have been sent while an operator read that it was in doubt."""
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"  # its answer is lost
    scripts("mourn", "w1")
    assert scripts.claim("j", token="t2", worker="w2")[:3] == ["hold", 1, "t1"]
    assert scripts.claim("j", worker="w3")[0] == "go"
    assert scripts("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000) == ["changed", "running"]
    assert scripts.claim("j", token="t2", worker="w2")[0] == "park"


def test_an_attempt_is_not_taken_along_behind_its_slots_end(scripts):
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"
    scripts("mourn", "w1")
    scripts.redis.hset("{t}:j:j", "se", 1)
    assert scripts.claim("j", worker="w3")[0] == "hold"


def test_a_dead_letter_of_what_was_run_again_is_late(scripts):
    """Found by the model (shelved_is_durable): a worker publishes its shelf copy, is stopped, is declared dead; the job
    is held, and run again by a person; the copy is swept. Its dead letter would have been shelved without a copy."""
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"
    scripts("mourn", "w1")
    assert scripts.claim("j", token="t2", worker="w2")[0] == "hold"
    assert scripts("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000)[0] == "shelved"
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts.complete("j", 1, "t1", "dead", answer="503\n\r\nno")[0] == "late"
    assert scripts.redis.hget("{t}:j:j", "st") == "queued"
    assert scripts.claim("j", token="t2", worker="w2")[:2] == ["go", 2]


def test_an_earlier_answer_is_not_a_later_outcome(scripts):
    scripts.accept("j")
    scripts.claim("j")
    assert scripts.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")[0] == "waiting"
    assert scripts.claim("j", token="t2")[0] == "go"
    assert scripts.complete("j", 2, "t2", "end", state="succeeded")[0] == "ended"
    assert scripts.redis.get("{t}:r:j") is None


def test_an_attempt_that_never_left_leaves_the_last_answer(scripts):
    scripts.accept("j")
    scripts.claim("j")
    scripts.complete("j", 1, "t1", "retry", answer="503\n\r\nlater")
    assert scripts.claim("j", token="t2")[0] == "go"
    scripts.complete("j", 2, "t2", "end", unsent=True)
    assert scripts.redis.get("{t}:r:j") == "503\n\r\nlater"
    assert scripts.redis.hget("{t}:j:j", "os") == "200"


def test_only_the_holder_of_the_fence_settles(scripts):
    scripts.accept("j")
    scripts.claim("j")
    scripts("mourn", "w1")
    assert scripts.claim("j", token="t2", worker="w2", policy="retry")[:2] == ["go", 2]
    assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nold")[0] == "late"
    assert scripts.complete("j", 2, "t2", "end", state="succeeded", answer="200\n\r\nnew")[0] == "ended"
    assert scripts.redis.get("{t}:r:j") == "200\n\r\nnew"


def calls_of(scripts, do_it):
    """What one script calls in Redis."""
    before = {k: v["calls"] for k, v in scripts.redis.info("commandstats").items()}
    do_it()
    after = {k: v["calls"] for k, v in scripts.redis.info("commandstats").items()}
    made = {k: n - before.get(k, 0) for k, n in after.items() if n != before.get(k, 0)}
    made.pop("cmdstat_fcall"), made.pop("cmdstat_info", None)
    return made


def test_a_claim_makes_at_most_eight_calls(scripts):
    scripts.accept("j")
    said = []
    made = calls_of(scripts, lambda: said.append(scripts.claim("j")[0]))
    assert said == ["go"]
    assert sum(made.values()) <= 8, made


@pytest.mark.parametrize("instances, most", [("a\thttp://a\t0\n", 11), ("a\thttp://a\t2\n", 16)], ids=["free", "limited"])
def test_a_completion_makes_few_calls(scripts, instances, most):
    scripts("register", "{}", instances, 0)
    scripts.accept("j")
    scripts.claim("j")
    said = []
    made = calls_of(scripts, lambda: said.append(scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0]))
    assert said == ["ended"]
    assert sum(made.values()) <= most, made


def used_up(scripts, key=""):
    """A job of one attempt, whose worker died: on the shelf as failed."""
    scripts.accept("j", key=key)
    assert scripts.claim("j", policy="retry")[0] == "go"
    scripts("mourn", "w1")
    assert scripts("claim", "j", "t2", "w2", "cw", 60000, "retry", 1, 15000, 600000, 600000, 600000, 60000)[0] == "used_up"
    assert scripts("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "failed", 600000)[0] == "shelved"


def test_the_key_of_what_runs_again_does_not_expire(scripts):
    used_up(scripts, key="k")
    assert scripts.redis.pttl("{t}:k:k") > 0
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts.redis.pttl("{t}:k:k") == -1


def test_an_outbox_entry_that_was_put_anew_stays(scripts):
    used_up(scripts)
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    score = int(scripts.redis.zscore("{t}:o", "j"))
    assert scripts("outbox_done", "j", score - 1) == [0]
    assert scripts.redis.zcard("{t}:o") == 1 and scripts.redis.exists("{t}:b:j")
    assert scripts("outbox_done", "j", score) == [1]
    assert scripts.redis.zcard("{t}:o") == 0


def test_a_worker_that_renewed_meanwhile_is_not_buried(scripts):
    scripts.redis.hset("{sluice}:w", "w1", "5:2000")
    assert scripts.raw("bury", 1, "{sluice}:w", "w1", "4:2000") == [0]
    assert scripts.redis.hget("{sluice}:w", "w1") == "5:2000"
    assert scripts.raw("bury", 1, "{sluice}:w", "w1", "5:2000") == [1]
    assert scripts.redis.hget("{sluice}:w", "w1") == "dead"


REBUILD = {"attempted": "0", "policy": "hold", "key": "", "class": "normal", "deadline": 0, "due": 0, "own": 0}


def rebuild(scripts, name, **more):
    m = {**REBUILD, **more}
    return scripts("rebuild", name, m["attempted"], m["policy"], 15000, 3600000, 86400000, m["due"], m["own"], m["deadline"],
                   m["key"], "fp", m["class"], 1, "", "m", "POST", "p", "/")


def test_a_hangup_does_not_end_what_was_promised_before_a_loss_of_memory(scripts):
    """Rebuilt from its message it may have had its 202: a repeat with its key that hangs up must not expire it."""
    assert rebuild(scripts, "j", key="k") == ["queued"]
    assert scripts.accept("again", key="k", mode="wait", waiter="c|1")[:2] == ["replay", "j"]
    assert scripts("expire", "j", "c|1", "hangup", 86400000) == ["queued", 0]


def test_a_synchronous_callers_hangup_ends_what_was_rebuilt(scripts):
    assert rebuild(scripts, "j", **{"class": "sync", "deadline": int(time.time() * 1000) + 60000}) == ["queued"]
    assert scripts("expire", "j", "c|1", "hangup", 86400000) == ["expired", 0]


def test_what_was_attempted_before_a_loss_is_not_said_never_to_have_started(scripts):
    """Rebuilt under policy retry it has no attempt of this memory, but may have one of the last: at its deadline its
    caller must not be told that it was not started, nor its key be freed."""
    soon = int(time.time() * 1000) + 5
    assert rebuild(scripts, "j", **{"class": "sync", "deadline": soon, "attempted": "1", "policy": "retry", "key": "k"}) == ["queued"]
    time.sleep(0.01)
    assert scripts("expire", "j", "c|1", "deadline", 86400000) == ["queued", 0]
    assert scripts.redis.get("{t}:k:k") == "j"


def test_what_a_person_runs_again_does_not_end_with_its_old_caller(scripts):
    """Found by the walk: a caller still waits while its job was shelved without a record, and is run again."""
    scripts("shelve", "j", -1, "", "memory_lost", "head", "body", 0, "in_doubt", 0, "k", "k", "fp", "fp")
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts("expire", "j", "c|1", "hangup", 86400000) == ["queued", 0]
    assert scripts.redis.hget("{t}:j:j", "o2") == "1"


def test_a_rebuilt_job_is_looked_at_at_its_deadline(scripts):
    soon = int(time.time() * 1000) + 60000
    assert rebuild(scripts, "j", own=soon) == ["queued"]
    assert scripts.redis.zscore("{t}:u", "j") == soon


def test_a_record_is_not_missing_while_the_store_is_another(scripts):
    """The store was emptied, and this worker has not heard of it: it must not shelve all that it is given."""
    scripts.redis.delete("{t}:t")
    assert scripts.claim("j") == ["memory"]
    assert scripts("undo", "j", 600000) == ["unknown"]
    assert scripts("expire", "j", "c|1", "deadline", 600000) == ["unknown", 0]
    assert scripts.redis.exists("{t}:j:j") == 0


def test_what_was_missing_keeps_its_key_through_retry_and_cancel(scripts):
    """Nobody knows whether it was sent before its record was gone."""
    shelved = scripts("shelve", "j", -1, "", "memory_lost", "head", "body", 0, "in_doubt", 0, "k", "k", "fp", "fp")
    assert shelved == ["shelved", ""]
    assert scripts("resolve", "j", "retry", "", 600000, 600000, 600000)[0] == "queued"
    assert scripts("cancel", "j", 600000, 600000)[0] == "canceled"
    assert scripts.accept("other", key="k")[:2] == ["replay", "j"]


def forget_the_last_second(scripts):
    """As when a new life of the store began that may have forgotten a mark."""
    time.sleep(0.005)
    scripts.redis.hset("{t}:t", "gs", int(time.time() * 1000))


def test_a_repeat_gets_no_202_for_what_its_ingress_may_still_undo(scripts):
    scripts.accept("j", key="k")
    forget_the_last_second(scripts)
    assert scripts.accept("again", key="k")[0] == "busy"
    scripts.redis.hset("{t}:j:j", "al", 1)
    assert scripts.accept("again", key="k")[0::3] == ["replay", "queued"]
    assert scripts("undo", "j", 600000) == ["lost", "queued"]


def test_an_accept_whose_mark_was_forgotten_stands_as_if_marked(scripts):
    scripts("accept", "j", "", "fp", "normal", "async", 0, 90000, 30000, "", 0, 0)
    forget_the_last_second(scripts)
    scripts("sweep", 3600000, "0", 600000, 600000, 600000, 60000)
    r = scripts.redis.hgetall("{t}:j:j")
    assert r["st"] == "scheduled"
    assert scripts.redis.zscore("{t}:w", "j") == int(r["due"])


def asked_unknown_twice(scripts):
    """Attempt 1 was answered by a gateway, 502; the tenant says that it never arrived."""
    scripts.accept("j")
    scripts("mark", 3600000, "j")
    assert scripts.claim("j", policy="ask")[0] == "go"
    scripts("complete", "j", 1, "t1", "ask", "failed", "502", "gateway_in_doubt", "502\n\r\nbad", 3, 1, 0, 600000, 600000, 600000,
            60000, "", "", 0, 0, 0)
    scripts.redis.hset("{t}:j:j", "due", 1)
    question = ("unknown", 404, "", "", 0, 0, 600000, 600000, 600000, 60000)
    assert scripts("asked", "j", 1, "t1", 0, "q1", *question)[0] == "waiting"
    assert scripts("asked", "j", 1, "t1", 1, "q2", *question)[0] == "again"


def test_the_answer_of_what_never_arrived_does_not_stay_for_ever(scripts):
    asked_unknown_twice(scripts)
    assert scripts("cancel", "j", 600000, 600000)[0] == "canceled"
    assert scripts.redis.exists("{t}:r:j") == 0


def test_the_answer_of_what_never_arrived_is_the_last_one(scripts):
    asked_unknown_twice(scripts)
    scripts.redis.hset("{t}:j:j", "ex", 1)
    assert scripts.claim("j", token="t2", policy="ask") == ["ack", "failed"]
    assert scripts.redis.hget("{t}:j:j", "os") == "502"
    assert scripts.redis.get("{t}:r:j") == "502\n\r\nbad" and scripts.redis.pttl("{t}:r:j") > 0


def test_what_a_delivery_was_told_of_one_attempt_is_not_said_of_the_next(scripts):
    """One delivery asks with one token: its answer about attempt 1 is no answer about attempt 2."""
    asked_unknown_twice(scripts)
    assert scripts.claim("j", token="t2", policy="ask")[:2] == ["go", 2]
    scripts("mourn", "w1")
    assert scripts.claim("j", token="q2", worker="w2", policy="ask")[0] == "park"
    asked = scripts("asked", "j", 2, "t2", 0, "q2", "pending", 202, "", "", 0, 0, 600000, 600000, 600000, 60000)
    assert asked == ["waiting", "1000"]


def test_what_ended_and_went_in_order_does_not_come_back_to_life(scripts):
    """A worker stood still for longer than the record of its unkeyed synchronous job was kept. Under `strict` its late answer
    must not write the record anew: a 503 would have had it run again."""
    scripts.accept("j")
    assert scripts.claim("j")[0] == "go"
    scripts.redis.delete("{t}:j:j")
    answer = ("complete", "j", 1, "t1", "retry", "failed", "503", "", "503\n\r\nno", 2, 1, 0, 600000, 600000, 600000, 60000, "", "", 0, 0, 0)
    assert scripts(*answer)[0] == "missing"  # under `fast` it may have been forgotten
    keeps = [str(a) for a in ("e1:1:k", *answer[1:])]
    assert scripts.raw("complete", 1, "{t}:t", *keeps)[0] == "late"
    scripts.redis.hset("{t}:t", "ep", "e2")  # everything was lost, and the worker has not heard of it
    assert scripts.raw("complete", 1, "{t}:t", *keeps)[0] == "missing"


def test_what_is_registered_again_says_nothing_of_its_loss(scripts):
    shelved = scripts("shelve", "j", -1, "", "memory_lost", "head", "body", 0, "in_doubt", 0, "cl", "normal")
    assert shelved == ["shelved", ""]
    now = int(time.time() * 1000)
    assert scripts("reregister", "j", 1, "t1", "w1", "a", now, now + 60000, 1, "", "fp", "normal", 1, "", 3600000, 0) == ["restored"]
    r = scripts.redis.hgetall("{t}:j:j")
    assert (r["st"], r["er"]) == ("running", "") and "sh" not in r
    t = scripts.redis.hgetall("{t}:t")
    assert (t["run"], t["ind"], t["sb"], t["c"]) == ("1", "0", "0", "1")
