# SPDX-License-Identifier: Apache-2.0
"""Records that follow their message (common/store/lua/_follow.lua, decision 0015), a short sequence each, on a real Redis: what the
claim writes is what accept and mark would have; only where nothing can have been forgotten; what is turned away does not run."""
import pytest

from test_recovery import Recovery
from test_walk import store  # noqa: F401

KEEPS = "e1:1:k"
FORGETFUL = "e1:2:f"  # the second life of a store that may have forgotten its last second


@pytest.fixture
def scripts(store):  # noqa: F811
    return Following(store)


class Following(Recovery):
    def __init__(self, port):
        super().__init__(port)
        self.knows = KEEPS

    def now(self):
        seconds, micros = self.redis.time()
        return seconds * 1000 + micros // 1000

    def text(self, epoch="e1", generation=1, age=0, deadline=0, kind="normal", waiter="-"):
        created = self.now() - age
        due = created + deadline if deadline else 0
        return f"{epoch} {generation} {created} {due} {kind} {waiter}\nm\nPOST\np\n/orders\ncr\nshop\n"

    def claim_first(self, name="j", token="t1", **said):
        return self("claim", name, token, "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "lt", self.text(**said))

    def follow(self, name="j", mode="async", waiter="", bound=0, deadline=0, epoch="e1", generation=1, age=0, word="follows"):
        life = f"{word} {epoch} {generation} {self.now() - age}"
        return self("accept", name, "", "", "normal" if mode == "async" else "sync", mode, deadline, 0, 0, waiter, life, bound,
                    "m", "POST", "p", "/orders", "cr", "shop")

    def record(self, name="j"):
        return self.redis.hgetall(f"{{t}}:j:{name}")

    def state(self, name="j"):
        return self.record(name).get("st")


TIMES = {"ca", "sa", "se", "ex"}


@pytest.mark.parametrize("mode, kind, waiter, deadline", [("async", "normal", "", 0), ("wait", "sync", "ch|w", 60000)])
def test_a_claim_writes_what_accept_and_mark_would_have(scripts, mode, kind, waiter, deadline):
    scripts("accept", "slow", "", "", kind, mode, deadline, 0, 0, waiter, 30000, 0, "m", "POST", "p", "/orders", "cr", "shop")
    scripts("mark", 3600000, "slow")
    assert scripts("claim", "slow", "t1", "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000)[:2] == ["go", 1]
    assert scripts.claim_first("fast", kind=kind, waiter=waiter or "-", deadline=deadline)[:2] == ["go", 1]
    slow, fast = scripts.record("slow"), scripts.record("fast")
    assert set(slow) == set(fast)
    assert {f: v for f, v in slow.items() if f not in TIMES} == {f: v for f, v in fast.items() if f not in TIMES}
    checks = dict(scripts.redis.zrange("{t}:u", 0, -1, withscores=True))
    assert abs(checks["slow"] - checks["fast"]) < 60000
    assert scripts.redis.zrange("{t}:y", 0, -1) == []


def test_what_is_refused_a_slot_has_its_record(scripts):
    for n in range(2):
        scripts.claim_first(f"other{n}")
    assert scripts.claim_first(kind="sync", waiter="ch|w", deadline=60000)[0] == "wait"  # the instance takes two
    assert (scripts.state(), scripts.record()["rc"]) == ("queued", "ch|w")
    assert scripts.redis.zrange("{t}:y", 0, -1) == ["j"]
    assert scripts.complete("other0", 1, "t1", "end", "succeeded", "200")[0] == "ended"
    assert scripts.claim_first()[:2] == ["go", 1]
    assert scripts.redis.zrange("{t}:y", 0, -1) == []


def test_the_confirm_writes_it_if_no_claim_has(scripts):
    said = scripts.follow()
    assert (said[0], said[6], scripts.state()) == ("new", "queued", "queued")
    assert scripts.claim_first()[:2] == ["go", 1]
    assert scripts.complete("j", 1, "t1", "end", "succeeded", "200")[0] == "ended"


@pytest.mark.parametrize("ended", [False, True])
def test_the_confirm_finds_what_a_claim_wrote(scripts, ended):
    scripts.claim_first()
    if ended:
        scripts.complete("j", 1, "t1", "end", "succeeded", "200")
    before = scripts.record()
    said = scripts.follow(bound=1)
    assert (said[0], said[6]) == ("new", "succeeded" if ended else "running")
    assert scripts.record() == before


def test_what_the_queue_has_no_room_for_does_not_run(scripts):
    scripts.accept("other")
    assert scripts.follow(bound=1)[0] == "full"
    assert scripts.claim_first()[:2] == ["ack", "canceled"]
    assert scripts.redis.zcard("{t}:u") == 1 and scripts.redis.pttl("{t}:j:j") > 0


def test_what_its_caller_was_promised_is_not_turned_away(scripts):
    scripts.accept("other")
    assert scripts.follow(bound=1, word="promised")[0] == "new"
    assert scripts.claim_first()[:2] == ["go", 1]


def busy(scripts):
    """Nine calls wait, of five seconds each."""
    now = scripts.now()
    scripts.redis.hset("{t}:t", mapping={"ld": f"{now} 5000 20 {now} 5000 20", "run": "1"})
    for n in range(9):
        scripts.redis.zadd("{t}:y", {f"w{n}": now + 60000})


@pytest.mark.parametrize("word, verdict, claim", [("follows", "shed", ["ack", "canceled"]), ("promised", "new", ["go", 1])])
def test_what_comes_too_late_is_shed_unless_it_was_promised(scripts, word, verdict, claim):
    busy(scripts)
    assert scripts.follow(mode="wait", waiter="ch|w", deadline=1000, word=word)[0] == verdict
    assert scripts.claim_first(kind="sync", waiter="ch|w", deadline=1000)[:2] == claim


@pytest.mark.parametrize("how", ["hangup", "deadline"])
def test_a_caller_that_leaves_before_there_is_a_record(scripts, how):
    scripts.knows = FORGETFUL
    assert scripts("expire", "j", "ch|w", how, 60000, "e1", 2, scripts.now()) == ["expired", 0]
    assert scripts.claim_first(generation=2, kind="sync", waiter="ch|w")[:2] == ["ack", "expired"]


@pytest.mark.parametrize("life", [("e1", 1), ("e0", 2), ()])
def test_a_caller_that_leaves_what_may_be_forgotten(scripts, life):
    scripts.knows = FORGETFUL
    at = (scripts.now(),) if life else ()
    assert scripts("expire", "j", "ch|w", "hangup", 60000, *life, *at) == ["unknown", 0]


def test_what_was_undone_before_there_was_a_record_does_not_run(scripts):
    scripts.knows = "e1:1:f"
    assert scripts("undo", "j", 60000, "e1", 1, scripts.now()) == ["undone"]
    assert scripts.claim_first()[:2] == ["ack", "canceled"]
    assert scripts.follow()[0] == "undone"


@pytest.mark.parametrize("epoch, generation", [("e0", 1), ("e1", 1), ("e0", 2)])
def test_an_undo_of_what_may_be_forgotten_is_unknown(scripts, epoch, generation):
    scripts.knows = FORGETFUL
    assert scripts("undo", "j", 60000, epoch, generation, scripts.now()) == ["unknown"]
    assert scripts.record() == {}


def test_an_undo_behind_a_claim_is_lost(scripts):
    scripts.claim_first()
    assert scripts("undo", "j", 60000, "e1", 1, scripts.now()) == ["lost", "running"]


def test_a_store_that_may_have_forgotten_writes_no_record_for_a_message_from_before(scripts):
    scripts.knows = FORGETFUL
    assert scripts.claim_first(generation=1)[0] == "missing"
    assert scripts.record() == {} and scripts.redis.zcard("{t}:u") == 0


@pytest.mark.parametrize("knows, said", [(FORGETFUL, {}), (KEEPS, {"epoch": "e0"}), (KEEPS, {"age": 61000})])
def test_no_record_is_entered_that_may_have_come_and_gone(scripts, knows, said):
    """Its message may be worked off: nobody would wake it."""
    scripts.knows = knows
    assert scripts.follow(**said)[0] == "forgotten"
    assert scripts.record() == {} and scripts.redis.zcard("{t}:u") == 0


def test_a_store_that_keeps_writes_it_in_its_next_life_too(scripts):
    scripts.knows = "e1:2:k"
    assert scripts.claim_first(generation=1)[:2] == ["go", 1]


@pytest.mark.parametrize("knows", [KEEPS, "e1:1:f"])
def test_another_epochs_message_has_no_record_written(scripts, knows):
    scripts.knows = knows
    assert scripts.claim_first(epoch="e0")[0] == "missing"


@pytest.mark.parametrize("age, verdict", [(50000, "go"), (70000, "missing"), (-4000, "go"), (-60000, "missing")])
def test_only_a_young_message_has_its_record_written(scripts, age, verdict):
    assert scripts.claim_first(age=age)[0] == verdict


def test_a_record_is_never_in_the_future(scripts):
    scripts.claim_first(age=-3000)
    assert int(scripts.record()["ca"]) <= scripts.now()


def test_a_message_that_makes_no_sense_writes_nothing(scripts):
    for text in ("", "x", "e1 1 5 0 normal", "e1 one 5 0 normal -\n", "e1 1 99999999999999999999 0 normal -\nm\nPOST\n"):
        said = scripts("claim", "j", "t1", "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "lt", text)
        assert said[0] == "missing", text
    assert scripts.record() == {}


def test_the_same_token_gets_the_same_answer(scripts):
    text = scripts.text()
    ask = ("claim", "j", "t1", "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "lt", text)
    first = scripts(*ask)
    assert [str(w) for w in scripts(*ask)] == [str(w) for w in first]


def test_one_that_is_past_its_deadline_expires(scripts):
    assert scripts.claim_first(age=2000, deadline=1000, kind="sync", waiter="ch|w")[:2] == ["ack", "expired"]
    assert scripts.state() == "expired" and scripts.redis.zcard("{t}:u") == 0


def test_briefness_is_said(scripts):
    for n in range(3):
        scripts.claim_first(f"w{n}")
        scripts("complete", f"w{n}", 1, "t1", "end", "succeeded", "200", "", "yes", 3, 1, 0, 600000, 600000, 600000, 60000, "head", "body",
                1000000, 0, 0)
    assert scripts.follow("a")[5] == "400"
    assert scripts.follow("b", bound=2)[5] == "0"  # half of the queue is used


@pytest.mark.parametrize("took, together", [(1, 400), (12, 33), (50, 8), (51, 0)])
def test_slow_jobs_share_a_message_with_fewer(scripts, took, together):
    scripts.redis.hset("{t}:t", "ld", f"{scripts.now()} {took} 20 0 0 0 0 0")
    assert scripts.follow()[5] == str(together)


def test_a_tenant_of_which_nothing_is_known_is_not_brisk(scripts):
    assert scripts.follow("a")[5] == "0"
