# SPDX-License-Identifier: Apache-2.0
"""Rules of the protocol that one script enforces, a short sequence each, on a real Redis. `tests/run mutants` runs each of them
without its rule, too (tests/mutants/rules.yaml)."""
import pytest

from test_recovery import Recovery
from test_walk import store  # noqa: F401

FORGETFUL = "e1:2:f"  # the second life of a store that may have forgotten its last second


@pytest.fixture
def scripts(store):  # noqa: F811
    return Rules(store)


class Rules(Recovery):
    def state(self, name="j"):
        return self.redis.hget(f"{{t}}:j:{name}", "st")

    def held(self, name="j", key=""):
        """On the shelf, in doubt."""
        self.accept(name, key=key)
        assert self.claim(name)[:2] == ["go", 1]
        assert self.complete(name, 1, "t1", "hold")[0] == "in_doubt"

    def used_up(self, name="j", key=""):
        """On the shelf as failed."""
        self.accept(name, key=key)
        assert self.claim(name)[:2] == ["go", 1]
        assert self.complete(name, 1, "t1", "dead")[0] == "ended"

    def rebuild(self, name, attempted=False, key="", policy="hold"):
        return self("rebuild", name, "1" if attempted else "0", policy, 15000, 3600000, 600000, 0, 0, 0, key, "fp", "normal",
                    1, "")


# --- keys ---

def test_a_key_of_another_request_is_said(scripts):
    scripts.accept("j", key="k")
    scripts("mark", 3600000, "j")
    other = scripts("accept", "other", "k", "another fingerprint", "normal", "async", 0, 0, 0, "", 30000, 0)
    assert other[:2] == ["reused", "j"]


def test_what_is_run_again_takes_no_key_of_another_job(scripts):
    scripts.used_up(key="k")
    scripts.redis.delete("{t}:k:k")  # its window is over
    assert scripts.accept("other", key="k")[0] == "new"
    assert scripts.resolve("j", "retry") == ["key_taken", "other"]
    assert (scripts.state(), scripts.redis.get("{t}:k:k")) == ("failed", "other")


def test_what_is_rebuilt_has_its_key(scripts):
    assert scripts.rebuild("j", key="k") == ["queued"]
    assert scripts.accept("other", key="k")[:2] == ["replay", "j"]


def test_what_is_rebuilt_joins_the_job_that_has_its_key(scripts):
    assert scripts.accept("other", key="k")[0] == "new"
    assert scripts.rebuild("j", key="k") == ["ended"]
    assert scripts.state() == "canceled"


# --- what was withdrawn stays so ---

def test_an_undo_without_a_record_is_final(scripts):
    assert scripts("undo", "j", 600000) == ["undone"]
    assert scripts.claim("j") == ["ack", "canceled"]
    assert scripts.accept("j")[0] == "undone"


def test_a_hangup_without_a_record_is_final(scripts):
    assert scripts("expire", "j", "c|1", "hangup", 600000) == ["expired", 0]
    assert scripts.claim("j") == ["ack", "expired"]


def test_what_has_started_is_not_canceled(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"
    assert scripts("cancel", "j", 600000, 600000)[:2] == ["no", "running"]
    scripts.expect("j", "running")


# --- schedules ---

def test_a_resume_makes_nothing_up(scripts):
    """Nobody led while it was paused: its cursor stands where it stood."""
    scripts.redis.hset("{t}:c", "s", "10")
    assert scripts("pause", "s", "resume", "", "50") == ["goes_on"]
    assert scripts.redis.hget("{t}:c", "s") == "10", "it was not paused"
    assert scripts("pause", "s", "pause", "why", "20") == ["paused"]
    assert scripts("pause", "s", "resume", "", "50") == ["goes_on"]
    assert scripts.redis.hget("{t}:c", "s") == "50"
    assert scripts("pause", "s", "pause", "why", "60") == ["paused"]
    assert scripts("pause", "s", "resume", "", "40") == ["goes_on"]
    assert scripts.redis.hget("{t}:c", "s") == "50", "a cursor never moves back"


def test_a_rewind_is_of_what_was_read(scripts):
    """Somebody moved the cursor meanwhile: it stays."""
    scripts.redis.hset("{t}:c", "s", "900")
    assert scripts("rewind", "s", "800", "50") == ["behind", "900"]
    assert scripts.redis.hget("{t}:c", "s") == "900"
    assert scripts("rewind", "s", "900", "50") == ["rewound", "50"]
    assert scripts.redis.hget("{t}:c", "s") == "50"
    assert scripts("rewind", "s", "900", "70") == ["behind", "50"], "said twice"
    assert scripts("rewind", "gone", "900", "50") == ["behind", ""]
    assert scripts.redis.hget("{t}:c", "gone") is None


def fire(scripts, n, overlap="allow", max_runs=0, **fields):
    """The n-th instant, whose job is f<n>."""
    pairs = [word for pair in fields.items() for word in pair]
    return scripts("fire", "s", n - 1 if n > 1 else "", n, f"f{n}", overlap, max_runs, 600000, "head", "body", 0, 3600000, *pairs)[0]


def end(scripts, name, state="succeeded"):
    assert scripts.claim(name)[:2] == ["go", 1]
    assert scripts.complete(name, 1, "t1", "end", state, "answer")[0] == "ended"


def test_one_that_is_behind_moves_no_cursor_back(scripts):
    assert [fire(scripts, n) for n in (1, 2, 3)] == ["fired", "fired", "fired"]
    assert scripts("fire", "s", 1, 2, "f2", "allow", 0, 600000, "head", "body", 0, 3600000) == ["behind", "3"]
    assert scripts.redis.hget("{t}:c", "s") == "3"


def test_one_waits_at_most(scripts):
    assert [fire(scripts, n, "queue_one") for n in (1, 2, 3)] == ["fired", "fired", "skipped"]
    end(scripts, "f1")
    assert [fire(scripts, n, "queue_one") for n in (4, 5)] == ["fired", "skipped"]
    # Whoever waits is canceled: there is room, though the one that runs is not the last.
    assert scripts("cancel", "f4", 600000, 600000)[0] == "canceled"
    assert [fire(scripts, n, "queue_one") for n in (6, 7)] == ["fired", "skipped"]


def test_no_fire_beyond_max_runs(scripts):
    assert [fire(scripts, n, max_runs=2) for n in (1, 2, 3)] == ["fired", "fired", "used_up"]
    assert fire(scripts, 4, max_runs=3) == "fired"


def test_only_what_has_not_started_gives_way(scripts):
    assert [fire(scripts, n, "cancel_previous") for n in (1, 2)] == ["fired", "fired"]
    assert [scripts.state(n) for n in ("f1", "f2")] == ["canceled", "queued"]
    assert [scripts.redis.zscore("{t}:o", "f1"), scripts.redis.exists("{t}:b:f1")] == [None, 0]
    assert scripts.claim("f2")[0] == "go"
    assert fire(scripts, 3, "cancel_previous") == "skipped"
    scripts.expect("f2", "running")


@pytest.mark.parametrize("state, pauses", [("failed", True), ("succeeded", False)])
def test_a_failure_pauses_its_schedule(scripts, state, pauses):
    assert fire(scripts, 1, pf="s") == "fired"
    end(scripts, "f1", state)
    assert fire(scripts, 2) == ("paused" if pauses else "fired")
    if pauses:
        since, by, note = scripts.redis.hget("{t}:c", "s:paused").split("\t")
        assert int(since) > 0 and (by, note) == ("failure", "job t.f1 failed")


def test_a_failure_leaves_the_operators_pause_and_what_is_gone(scripts):
    assert fire(scripts, 1, pf="s") == "fired"
    scripts("pause", "s", "pause", "mine", "5")
    end(scripts, "f1", "failed")
    assert scripts.redis.hget("{t}:c", "s:paused").endswith("operator\tmine")
    scripts("pause", "s", "resume", "", "1")
    assert fire(scripts, 2, pf="s") == "fired"
    scripts.redis.hset("{t}:c", "s", "d7")  # the schedule was deleted
    end(scripts, "f2", "failed")
    assert scripts.redis.hget("{t}:c", "s:paused") is None


def test_the_history_is_bounded(scripts):
    for n in range(1, 53):
        assert fire(scripts, n) == "fired"
    assert scripts.redis.llen("{t}:c:s") == 50
    rows = scripts("fires", "s")
    assert [rows[i:i + 2] + rows[i + 3:i + 5] for i in (0, 5)] == [["time", str(n), f"f{n}", "queued"] for n in (52, 51)]


def test_a_run_is_made_once(scripts):
    run = ("run_now", "s", "run", "1000", "f", "head", "body", 0, 3600000, "m", "POST")
    assert scripts(*run) == ["fired"]
    assert scripts.claim("f")[:2] == ["go", 1]
    assert scripts.complete("f", 1, "t1", "end", "succeeded", "answer")[0] == "ended"
    assert scripts(*run) == ["there"]
    assert scripts.state("f") == "succeeded"


# --- slots and the shelf ---

def test_no_claim_beyond_the_limit(scripts):
    for name in "abc":
        scripts.queued(name)
    assert [scripts.claim(name, token=name)[0] for name in "abc"] == ["go", "go", "wait"]
    scripts.counts()


def test_a_slot_is_freed_once(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"
    assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    scripts.age("j")
    scripts.sweep()
    assert scripts.redis.hget("{t}:t", "c") == "0", "slots taken"


def test_a_full_shelf_takes_nothing(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"
    assert scripts.complete("j", 1, "t1", "hold", shelf=7) == ["full", "0"]
    scripts.expect("j", "running")
    assert scripts.complete("j", 1, "t1", "hold", shelf=8) == ["in_doubt", "0"]


def test_what_is_in_doubt_is_not_dropped(scripts):
    scripts.held()
    assert scripts("drop", "j", 600000, 600000, 600000) == ["in_doubt", ""]
    scripts.expect("j", "in_doubt", sh="1")


def test_the_outbox_leaves_the_copy_of_what_is_back_on_the_shelf(scripts):
    """Its message ran, and failed, before the leader saw the confirm."""
    scripts.used_up()
    assert scripts.resolve("j", "retry")[0] == "queued"
    score = int(scripts.redis.zscore("{t}:o", "j"))
    assert scripts.claim("j", token="t2")[:2] == ["go", 2]
    assert scripts.complete("j", 2, "t2", "dead")[0] == "ended"
    assert scripts("outbox_done", "j", score) == [1]
    assert scripts.redis.hget("{t}:b:j", "b") == "body", "the shelf's copy"


# --- a store that forgets ---

def test_nobody_claims_for_one_lease_after_the_store_may_have_forgotten(scripts):
    scripts.queued("j")
    scripts.knows = FORGETFUL
    assert scripts.claim("j")[:2] == ["wait", "settling"]


def test_an_accept_whose_mark_may_be_forgotten_is_not_swept(scripts):
    scripts.accept("j")
    scripts.knows = FORGETFUL
    scripts.redis.zadd("{t}:u", {"j": 1})
    assert scripts.sweep()["undone"] == 0, "it may have had its 202"
    assert scripts.state() == "queued"


def test_a_key_whose_mark_may_be_forgotten_is_not_taken_over(scripts):
    scripts.accept("j", key="k")
    scripts.redis.hset("{t}:j:j", "al", 1)
    scripts.knows = FORGETFUL
    scripts.sweep()
    assert scripts.accept("other", key="k")[:2] == ["replay", "j"]


def test_an_undo_of_what_may_be_forgotten_promises_nothing(scripts):
    scripts.knows = FORGETFUL
    assert scripts("undo", "j", 600000) == ["unknown"]


def test_a_deadline_of_what_may_be_forgotten_promises_nothing(scripts):
    scripts.knows = FORGETFUL
    assert scripts("expire", "j", "c|1", "deadline", 600000) == ["unknown", 0]


def test_an_outcome_of_a_forgotten_claim_waits_until_it_is_registered(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[:2] == ["go", 1]
    # The last second is missing: what the claim wrote.
    scripts.redis.hset("{t}:j:j", mapping={"st": "queued", "n": 0, "cnt": 0})
    scripts.redis.delete("{t}:s")
    scripts.redis.hdel("{t}:t", "run", "c", "c:a")
    outcome = ("j", 1, "t1", "end", "succeeded", "200\n\r\nx")
    assert scripts.complete(*outcome) == ["missing", "0"]
    again = scripts("reregister", "j", 1, "t1", "w1", "a", 1, 9000000000000, 1, "", "fp", "normal", 1, "", 3600000, 0)
    assert again == ["restored"]
    scripts.expect("j", "running", n="1", tk="t1")
    assert scripts.complete(*outcome) == ["ended", "0"]
    scripts.expect("j", "succeeded")


def test_what_was_attempted_before_everything_was_lost_is_held(scripts):
    assert scripts.rebuild("j", attempted=True, policy="hold") == ["hold"]
    assert scripts.state() is None
    assert scripts.rebuild("j", attempted=True, policy="retry") == ["queued"]


# --- claims and outcomes ---

def test_a_claim_sent_again_is_the_same_attempt(scripts):
    scripts.queued("j")
    first = scripts.claim("j")
    assert first[:2] == ["go", 1]
    assert scripts.claim("j") == first
    scripts.counts()


def test_what_runs_is_not_claimed(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[:2] == ["go", 1]
    assert scripts.claim("j", token="t2", worker="w2", policy="retry")[:2] == ["park", "holder"]


def test_what_was_lost_is_held_where_the_policy_says_so(scripts):
    scripts.running_dead("j")
    assert scripts.claim("j", token="t2", worker="w2", policy="hold") == ["hold", 1, "t1", "worker_lost"]


def test_a_retry_is_not_claimed_before_it_is_due(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"
    assert scripts.complete("j", 1, "t1", "retry", wait=60000)[0] == "waiting"
    assert scripts.claim("j", token="t2")[:2] == ["park", "due"]


def test_the_dead_claim_nothing(scripts):
    scripts.queued("j")
    scripts("mourn", "w1")
    assert scripts.claim("j") == ["dead"]
    scripts.expect("j", "queued")


def test_the_dead_renew_nothing(scripts):
    def renew():
        return scripts.raw("renew", 1, "{sluice}:w", "w1", "0", "2000")

    assert renew() == [1]
    value = scripts.redis.hget("{sluice}:w", "w1")
    assert scripts.raw("bury", 1, "{sluice}:w", "w1", value) == [1]
    assert renew() == [0], "it is dead"
    assert scripts.redis.hget("{sluice}:w", "w1") == "dead"


def test_one_leads(scripts):
    def lead(who):
        return scripts.raw("lead", 1, "{sluice}:leader", who, "60000")

    assert [lead("d1"), lead("d2"), lead("d1")] == [[1], [0], [1]]
    assert scripts.redis.get("{sluice}:leader") == "d1"


def test_the_slot_of_a_dead_workers_call_is_taken_until_its_end(scripts):
    scripts.running_dead("j")
    assert scripts.sweep()["freed"] == 0, "the tenant may be at it still"
    scripts.age("j")
    assert scripts.sweep()["freed"] == 1
    scripts.counts()


def test_an_outcome_sent_again_gives_the_same_answer(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"
    for _ in range(2):
        assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx") == ["ended", "0"]
    scripts.expect("j", "succeeded")


def test_what_was_settled_is_not_shelved(scripts):
    scripts.running_dead("j")
    assert scripts.complete("j", 1, "t1", "end", state="succeeded", answer="200\n\r\nx")[0] == "ended"
    assert scripts("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000) == ["changed", "succeeded"]
    scripts.expect("j", "succeeded", sh="")
