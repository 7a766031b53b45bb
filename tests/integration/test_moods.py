# SPDX-License-Identifier: Apache-2.0
"""An instance that asks to be left alone is, by everybody, and the job that it refused goes elsewhere uncounted; a breaker
opens, lets its probes through, and closes; an adaptive limit is kept like any other. The scripts alone, on a real Redis.
(The whole stack: test_moods_stack.py. The search for a limit: test_adaptive.py.)"""
import time

import pytest

from test_script_rules import Rules
from test_walk import store  # noqa: F401

BREAKER = "0.5 4 60000 1000 2"  # half of the calls, at least four, in a minute; open for a second; two probes
DAY = 86400000


@pytest.fixture
def scripts(store):  # noqa: F811
    return Moods(store)


class Moods(Rules):
    def __init__(self, port):
        super().__init__(port)
        self.options = {}
        self.pool("a", "b")

    def pool(self, *names, concurrency=2, bound=0):
        self("register", f"{{{names}}}", "".join(f"{n}\thttp://{n}\t{concurrency}\n" for n in names), bound)

    def claim(self, name, token="t1", worker="w1", policy="hold"):
        return self("claim", name, token, worker, "cw", 60000, policy, 5, 15000, 600000, 600000, 600000, 60000,
                    *[x for pair in self.options.items() for x in pair])

    def complete(self, name, n, token, verdict, state="failed", answer="", unsent=False, shelf=1000000, wait=0, **more):
        options = {**self.options, **more}
        return self("complete", name, n, token, verdict, state, answer[:3], "", answer, len(answer), 1, wait, 600000, 600000,
                    600000, 60000, "head", "body", shelf, 0, 1 if unsent else 0, *[x for pair in options.items() for x in pair])

    def elsewhere(self, name, n=1, token="t1", cool=30000, cools="instance", attempts=5, uncounted=50):
        return self.complete(name, n, token, "elsewhere", answer="503\n\r\nbusy", cool=cool, cools=cools, attempts=attempts,
                             uncounted=uncounted, wait=7000, call="none", load="busy")

    def record(self, name="j"):
        return self.redis.hgetall(f"{{t}}:j:{name}")

    def field(self, name):
        return self.redis.hget("{t}:t", name)

    def now(self):
        seconds, us = self.redis.time()
        return seconds * 1000 + us // 1000

    def run(self, name, call, took=5, **more):
        """One call to the only instance, and what it says of it."""
        self.queued(name)
        n = self.claim(name, token=name)
        assert n[0] == "go", n
        self.end(name, call, took=took, **more)

    def end(self, name, call, token=None, **more):
        state = "succeeded" if call == "good" else "failed"
        done = self.complete(name, 1, token or name, "end", state=state, answer="200\n\r\nx", call=call, **more)
        assert done[0] == "ended", done

    def opened(self):
        """The breaker of the only instance is open, as of now."""
        self.pool("a", concurrency=0)
        self.options = {"breaker": BREAKER}
        for n in range(4):
            self.run(f"bad{n}", "bad")

    def forget_the_open_second(self):
        assert self.field("br:a").startswith("o ")
        self.redis.hset("{t}:t", "br:a", f"o {self.now() - 1}")


# --- cooling down ---

def test_a_cooled_instance_is_left_alone_and_the_job_goes_elsewhere_uncounted(scripts):
    scripts.queued("j", key="k")
    go = scripts.claim("j")
    assert go[:3] == ["go", 1, "a"]
    what, due, ms = scripts.elsewhere("j")
    assert (what, ms) == ("waiting", "0"), "the other instance is free"
    assert scripts.record()["cnt"] == "0", "not counted"
    again = scripts.claim("j", token="t2")
    assert again[:3] == ["go", 2, "b"] and again[5] == 1
    for name in "xy":
        scripts.queued(name)
    assert scripts.claim("x", token="x")[2] == "b", "a cools, for everybody"
    wait = scripts.claim("y", token="y")
    assert wait[:2] == ["wait", "concurrency"], "b is full"
    scripts.counts()


def test_all_that_cool_are_waited_for_and_the_first_is_the_earliest(scripts):
    scripts.redis.hset("{t}:t", "cool:b", scripts.now() + 20000)
    scripts.queued("j")
    assert scripts.claim("j")[2] == "a"
    what, due, ms = scripts.elsewhere("j", cool=30000)
    assert what == "waiting" and 15000 < int(ms) <= 20000, "until b's cooling is over"
    scripts.queued("x")
    wait = scripts.claim("x")
    assert wait[:2] == ["wait", "cooling"] and 15000 < int(wait[2]) <= 20000
    assert scripts.claim("j", token="t2")[:2] == ["park", "due"]


def test_a_whole_tenant_cools(scripts):
    scripts.queued("j")
    assert scripts.claim("j")[2] == "a"
    what, due, ms = scripts.elsewhere("j", cool=30000, cools="tenant")
    assert what == "waiting" and 25000 < int(ms) <= 30000, "b cools, too"
    scripts.queued("x")
    assert scripts.claim("x")[:2] == ["wait", "cooling"]


def test_a_success_may_cool(scripts):
    scripts.pool("a")
    scripts.run("j", "good", cool=30000, cools="instance")
    scripts.queued("x")
    assert scripts.claim("x")[:2] == ["wait", "cooling"]


def test_a_cooling_is_never_moved_earlier_and_a_day_at_most(scripts):
    scripts.pool("a")
    for name in "jx":
        scripts.queued(name)
        assert scripts.claim(name, token=name)[0] == "go"
    scripts.elsewhere("j", token="j", cool=60000)
    till = int(scripts.field("cool:a"))
    scripts.elsewhere("x", token="x", cool=1000)
    assert int(scripts.field("cool:a")) == till, "the later end holds"
    scripts.redis.hset("{t}:t", "cool:a", 0)
    scripts.run("y", "good", cool=10 * DAY, cools="instance")
    assert int(scripts.field("cool:a")) <= scripts.now() + DAY


def test_elsewhere_sent_again_gives_the_same_and_counts_once(scripts):
    scripts.queued("j")
    scripts.claim("j")
    first = scripts.elsewhere("j")
    assert scripts.elsewhere("j") == first
    assert (scripts.record()["uc"], scripts.record()["cnt"]) == ("1", "0")
    scripts.counts()


def test_what_was_answered_uncounted_keeps_its_key(scripts):
    scripts.queued("j", key="k")
    scripts.claim("j")
    scripts.elsewhere("j")
    assert scripts("cancel", "j", 600000, 600000)[0] == "canceled"
    assert scripts.accept("other", key="k")[:2] == ["replay", "j"], "it was sent"


def test_an_instance_that_always_cools_does_not_keep_a_job_for_ever(scripts):
    """Uncounted up to a bound; then each is counted, with the backoff that it names, until the attempts are used up."""
    scripts.pool("a", concurrency=0)
    scripts.queued("j")
    seen = []
    for n in range(1, 20):
        scripts.redis.hdel("{t}:t", "cool:a")
        scripts.redis.hset("{t}:j:j", "due", 1)
        assert scripts.claim("j", token=f"t{n}")[:2] == ["go", n]
        done = scripts.elsewhere("j", n, f"t{n}", cool=50, attempts=2, uncounted=4)
        seen.append((done[0], scripts.record()["cnt"]))
        if done[0] != "waiting":
            break
    assert seen == [("waiting", "0")] * 4 + [("waiting", "1"), ("instead", "2")], "the bound"
    assert done == ["instead", "attempts_used_up"]
    scripts.expect("j", "running")
    assert scripts.complete("j", n, f"t{n}", "dead", answer="503\n\r\nbusy")[0] == "ended"


def test_a_wait_that_does_not_fit_before_the_deadline_ends_with_the_answer(scripts):
    scripts.pool("a")
    scripts("accept", "j", "", "fp", "sync", "wait", 10000, 0, 0, "c|1", 30000, 0)
    assert scripts.claim("j")[0] == "go"
    assert scripts.elsewhere("j", cool=30000) == ["instead", "deadline"]
    scripts.expect("j", "running")
    scripts.pool("a", "b")
    assert scripts.elsewhere("j", cool=30000)[::2] == ["waiting", "0"], "there is time for another instance"


def test_a_person_who_runs_it_again_gives_it_its_uncounted_answers_back(scripts):
    scripts.queued("j")
    scripts.claim("j")
    scripts.elsewhere("j")
    assert scripts.claim("j", token="t2")[:2] == ["go", 2]
    assert scripts.complete("j", 2, "t2", "dead", answer="500\n\r\nno")[0] == "ended"
    assert scripts.resolve("j", "retry")[0] == "queued"
    assert scripts.record()["uc"] == "0"


# --- the circuit breaker ---

def test_a_breaker_opens_by_its_ratio_and_not_before_its_least_calls(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"breaker": BREAKER}
    for n, call in enumerate(["bad", "bad", "good"]):
        scripts.run(f"j{n}", call)
    scripts.queued("x")
    assert scripts.claim("x", token="x")[0] == "go", "three calls are too few"
    scripts.end("x", "good")
    scripts.queued("y")
    assert scripts.claim("y")[:2] == ["wait", "breaker"], "two of four"
    assert 0 < int(scripts.claim("y")[2]) <= 1000


def test_what_is_long_ago_does_not_open_it(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"breaker": BREAKER}
    for n in range(3):
        scripts.run(f"j{n}", "bad")
    state, at, *rest = scripts.field("br:a").split()
    scripts.redis.hset("{t}:t", "br:a", " ".join([state, str(int(at) - 2), *rest]))  # two half windows ago
    scripts.run("x", "bad")
    scripts.queued("y")
    assert scripts.claim("y")[0] == "go"


def test_other_instances_go_on_while_one_is_open(scripts):
    scripts.opened()
    scripts.pool("a", "b", concurrency=0)
    scripts.queued("j")
    assert scripts.claim("j")[2] == "b"


def test_a_half_open_breaker_takes_its_probes_and_their_successes_close_it(scripts):
    scripts.opened()
    scripts.forget_the_open_second()
    for name in "jxy":
        scripts.queued(name)
    assert [scripts.claim(name, token=name)[0] for name in "jxy"] == ["go", "go", "wait"], "two probes at a time"
    assert scripts.claim("y", token="y")[1] == "breaker"
    scripts.end("j", "good")
    assert scripts.claim("y", token="y")[0] == "wait", "one success and one probe under way"
    scripts.end("x", "good")
    assert scripts.field("br:a").startswith("c "), "closed"
    for n in range(5):
        scripts.queued(f"z{n}")
        assert scripts.claim(f"z{n}", token=f"z{n}")[0] == "go"


def test_one_failed_probe_opens_it_again(scripts):
    scripts.opened()
    scripts.forget_the_open_second()
    scripts.run("j", "bad")
    scripts.queued("x")
    assert scripts.claim("x")[:2] == ["wait", "breaker"]
    assert scripts.field("br:a").startswith("o ")


def test_calls_from_before_it_opened_say_nothing_to_it(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"breaker": BREAKER}
    scripts.queued("old")
    assert scripts.claim("old", token="old")[0] == "go"
    for n in range(4):
        scripts.run(f"bad{n}", "bad")
    scripts.forget_the_open_second()
    scripts.queued("j")
    assert scripts.claim("j", token="j")[0] == "go"
    scripts.end("old", "bad")
    assert scripts.field("br:a").startswith("h 0 j="), "half open, its probe under way"


def test_a_lost_probe_blocks_nothing_for_ever(scripts):
    scripts.opened()
    scripts.forget_the_open_second()
    for name in "jxy":
        scripts.queued(name)
        scripts.claim(name, token=name)
    assert scripts.claim("y", token="y")[0] == "wait"
    past = scripts.field("br:a").replace("=", "=1 was=")  # as if their ends had come
    scripts.redis.hset("{t}:t", "br:a", " ".join(w for w in past.split() if not w.startswith("was=")))
    assert scripts.claim("y", token="y")[0] == "go"


def test_the_probe_of_a_dead_worker_goes_on_with_its_job(scripts):
    scripts.opened()
    scripts.forget_the_open_second()
    for name in "jx":
        scripts.queued(name)
        assert scripts.claim(name, token=name)[0] == "go"
    scripts("mourn", "w1")
    assert scripts.claim("j", token="again", worker="w2", policy="retry")[:2] == ["go", 2]
    assert sorted(word.partition("=")[0] for word in scripts.field("br:a").split()[2:]) == ["again", "x"]


def test_a_probe_whose_claim_is_sent_again_is_one(scripts):
    scripts.opened()
    scripts.forget_the_open_second()
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go" and scripts.claim("j")[0] == "go"
    assert scripts.field("br:a").count("=") == 1


def test_an_answer_that_is_sent_again_is_counted_once(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"breaker": BREAKER}
    scripts.queued("j")
    scripts.claim("j", token="j")
    for _ in range(3):
        scripts.end("j", "bad")
    assert scripts.field("br:a").split()[2:4] == ["1", "1"]


def test_without_a_policy_there_is_no_breaker(scripts):
    scripts.opened()
    scripts.options = {}
    scripts.queued("j")
    assert scripts.claim("j")[0] == "go"


# --- the adaptive limit ---

def test_an_adaptive_limit_holds_where_none_is_set(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"adaptive": "2 100"}
    for name in "jxy":
        scripts.queued(name)
    assert [scripts.claim(name, token=name)[0] for name in "jxy"] == ["go", "go", "wait"]
    scripts.counts()
    scripts.end("j", "good", load="good", took=5)
    assert scripts.claim("y", token="y")[0] == "go"
    scripts.counts()


def test_a_set_limit_holds_over_an_adaptive_one(scripts):
    scripts.pool("a", concurrency=1)
    scripts.options = {"adaptive": "2 100"}
    for name in "jx":
        scripts.queued(name)
    assert [scripts.claim(name, token=name)[0] for name in "jx"] == ["go", "wait"]


def test_an_unused_limit_does_not_grow(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"adaptive": "4 100"}
    for n in range(30):
        scripts.run(f"j{n}", "good", load="good", took=5)
    assert float(scripts.field("ad:a").split()[0]) == 4


def test_a_refusal_lowers_it_once_for_all_that_were_under_way(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"adaptive": "1 100"}
    scripts.redis.hset("{t}:t", "ad:a", "10 0 0 0 0 0 0 0")
    for n in range(5):
        scripts.queued(f"j{n}")
        assert scripts.claim(f"j{n}", token=f"j{n}")[0] == "go"
    time.sleep(0.005)  # the lowering comes in a later millisecond than the claims
    for n in range(5):
        scripts.end(f"j{n}", "none", load="busy", took=1)
    assert float(scripts.field("ad:a").split()[0]) == 9


def test_a_slot_under_an_adaptive_limit_is_registered_again(scripts):
    scripts.pool("a", concurrency=0)
    scripts("register", '{"adaptive":{"enabled":true}}', "a\thttp://a\t0\n", 0)
    scripts.queued("j")
    said = ("reregister", "j", 1, "t1", "w1", "a", 1, scripts.now() + 60000, 1, "", "fp", "normal", 1, "", 3600000, 0)
    assert scripts(*said) == ["restored"]
    scripts.counts()
    assert scripts.field("c:a") == "1"


def round_of(scripts, calls, took):
    """So many at a time, all begun before the first ends."""
    names = [f"r{scripts.now()}{n}" for n in range(calls)]
    for name in names:
        scripts.queued(name)
        assert scripts.claim(name, token=name)[0] == "go"
    for name in names:
        scripts.end(name, "good", load="good", took=took)
    time.sleep(0.005)  # the next round begins in a later millisecond
    return float(scripts.field("ad:a").split()[0])


def test_a_used_limit_grows(scripts):
    scripts.pool("a", concurrency=0)
    scripts.options = {"adaptive": "1 100"}
    scripts.redis.hset("{t}:t", "ad:a", "10 0 0 0 0 0 0 0")
    assert round_of(scripts, 10, 20) == 11


def test_a_queue_in_the_tenant_lowers_it(scripts):
    """The latency that it had with fewer calls is told by its least mean."""
    scripts.pool("a", concurrency=0)
    scripts.options = {"adaptive": "1 100"}
    scripts.redis.hset("{t}:t", "ad:a", "10 20 0 0 0 0 0 0")
    limit = round_of(scripts, 10, 30)
    assert 6 < limit < 7, "10 × 0.95 × 20 / 30, and the least mean drifts a little"
    scripts.redis.hset("{t}:t", "ad:a", "10 20 0 0 0 0 0 0")
    assert round_of(scripts, 10, 21) == 11, "a twentieth is no queue"
