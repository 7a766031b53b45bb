# SPDX-License-Identifier: Apache-2.0
"""The rules of offloading that one script enforces, a short sequence each, on a real Redis (docs/protocol.md, "Offloading"). The whole
is in test_offload.py."""
import pytest

from test_recovery import Recovery
from test_walk import store  # noqa: F401

URL = "http://a/jobs/7"


class Offloading(Recovery):
    """A job `j` whose attempt 1 is to be offloaded."""

    def __init__(self, port):
        super().__init__(port)
        self.queued("j")
        assert self.claim("j")[:2] == ["go", 1]

    def field(self, name):
        return self.redis.hget("{t}:j:j", name)

    def offload(self, url=URL, max_ms=60000, linger=5000, wait=500, frees=0, token="t1"):
        return self("complete", "j", 1, token, "offload", "failed", "202", "", "", 0, frees, wait, 600000, 600000, 600000, 60000,
                    "", "", 1000000, 0, 0, "ofu", url, "ofm", max_ms, "ofg", linger)

    def begin(self, **more):
        said = self.offload(**more)
        assert said[0] == "waiting"
        return self

    def due(self):
        self.redis.hset("{t}:j:j", "ofp", 1)
        return self

    def over(self):
        self.redis.hset("{t}:j:j", "oft", 1)
        return self

    def look(self, token="p1", worker="w2", policy="hold", most=5):
        return self("claim", "j", token, worker, "cw", 60000, policy, most, 15000, 600000, 600000, 600000, 60000, "poll_lease_ms",
                    35000)

    def polled(self, word, poll=0, token="p1", wait=500, n=1, fence="t1"):
        return self("polled", "j", n, fence, poll, token, word, wait)

    def outcome(self, status=200, answer="200\n\r\ndone", token="t1", n=1, **options):
        more = [x for pair in options.items() for x in pair]
        return self("complete", "j", n, token, "end", "succeeded" if status < 400 else "failed", status, "", answer, len(answer), 1, 0,
                    600000, 600000, 600000, 60000, "", "", 1000000, 0, 0, *more)

    def slots(self):
        return self.redis.hgetall("{t}:s")


@pytest.fixture
def job(store):  # noqa: F811
    return Offloading(store)


def test_it_runs_and_no_worker_holds_it(job):
    said = job.offload()
    assert said[0] == "waiting" and said[1] == job.field("ofp")
    job.redis.hset("{t}:j:j", "ofp", int(said[1]) + 300)
    assert job.offload()[1] == str(int(said[1]) + 300), "sent again"
    job.expect("j", "running", of="1", ofu=URL, n="1")
    parked = job.look()
    assert parked[:2] == ["park", "poll"] and 0 < int(parked[2]) <= 800
    assert job.claim("j")[:2] == ["park", "poll"], "its own token gives no second call"
    job("mourn", "w1")
    assert job.look()[:2] == ["park", "poll"], "whoever called it may die: nothing is in doubt"
    assert job("cancel", "j", 600000, 600000)[:2] == ["no", "running"]


def test_the_slot_is_kept_till_its_outcome(job):
    job.begin()
    (slot,) = job.slots().values()
    assert slot == f"{job.field('se')}\tw1\ta\t\t" and int(job.field("se")) == int(job.field("oft")) + 5000
    job.due().look()
    assert job.outcome()[0] == "ended"
    assert job.slots() == {}
    job.expect("j", "succeeded", of="", os="200")


def test_the_slot_is_freed_by_the_202_where_it_says_so(job):
    job.begin(frees=1)
    assert job.slots() == {}
    job.counts()


def test_the_slot_ends_by_time_while_its_worker_lives(job):
    job.begin()
    job.age("j", 120000)
    assert job.sweep()["freed"] == 1


def test_a_due_poll_is_leased(job):
    job.begin().due()
    row = ["poll", 1, "t1", URL, "0", "a", job.field("se"), 1]
    assert job.look() == row == job.look(), "its token asks again"
    assert job.look("p2", "w3")[:2] == ["park", "poll"]
    assert job.polled("pending")[0] == "waiting"
    assert job.due().look("p2", "w3")[4] == "1"


def test_a_dead_pollers_lease_is_over(job):
    job.begin().due().look()
    job("mourn", "w2")
    assert job.look("p2", "w3")[0] == "poll"


def test_pending_waits_and_says_so_once(job):
    job.begin().due().look()
    said = job.polled("pending", wait=700)
    assert said == ["waiting", "700"] == job.polled("pending", wait=700)
    assert job.field("ofn") == "1"
    assert job.polled("pending", token="p2") == ["changed", "0"], "another poll's answer was first"
    assert job.polled("unknown", n=2, fence="t2") == ["changed", "0"]


def test_trouble_backs_off_and_is_forgotten(job):
    job.begin()
    waits = [int(job.polled("trouble", poll)[1]) for poll in range(8)]
    assert waits == [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
    assert job.polled("pending", 8) == ["waiting", "500"]
    assert job.polled("trouble", 9) == ["waiting", "1000"]


def test_no_poll_is_later_than_the_end(job):
    job.begin(max_ms=2000)
    assert int(job.polled("pending", wait=60000)[1]) <= 2000


def test_an_outcome_settles_it_once(job):
    job.begin().due().look()
    assert job.outcome() == ["ended", "0"] == job.outcome()
    assert job.look("p2") == ["ack", "succeeded"]
    assert job.polled("pending") == ["changed", "0"]
    assert job.offload()[0] == "late", "the 202 comes after the outcome"
    job.expect("j", "succeeded", of="")
    assert job.redis.get("{t}:r:j") == "200\n\r\ndone"


@pytest.mark.parametrize("policy, said", [("hold", ["hold", 1, "t1", "offload_over"]), ("retry", ["go", 2]), ("ask", ["park", "due"])])
def test_over_its_time_it_is_in_doubt(job, policy, said):
    job.begin(frees=1).over()
    assert job.look(policy=policy)[:len(said)] == said
    if policy != "hold":
        assert job.field("of") is None
        job.counts()


@pytest.mark.parametrize("policy, said", [("hold", ["hold", 1, "t1", "offload_unknown"]), ("retry", ["go", 2]), ("ask", ["ask", 1])])
def test_unknown_there_it_is_in_doubt(job, policy, said):
    job.begin().due().look()
    assert job.polled("unknown") == ["again", "0"] == job.polled("unknown")
    assert job.slots() == {}
    now = job.look(policy=policy)
    if policy == "ask":  # the slot is over: asked at once
        now = job.look(policy=policy) if now[0] == "park" and int(now[2]) <= 1 else now
    assert now[:len(said)] == said
    job.counts()


def test_attempts_are_used_up_by_it_too(job):
    job.begin(frees=1).over()
    assert job.look(policy="retry", most=1) == ["used_up", 1, "t1"]
    assert job("shelve", "j", 1, "t1", "attempts_used_up", "head", "body", 1000000, "failed", 600000)[0] == "shelved"
    job.expect("j", "failed", of="")


def test_what_is_still_polled_is_not_shelved(job):
    job.begin()
    job("mourn", "w1")
    shelve = ("shelve", "j", 1, "t1", "offload_over", "head", "body", 1000000, "in_doubt", 600000)
    assert job(*shelve) == ["changed", "running"]
    job.over()
    assert job(*shelve)[0] == "shelved"
    job.expect("j", "in_doubt", er="offload_over", of="")
    assert job.outcome()[0] == "ended", "the truth is never thrown away"
    job.expect("j", "succeeded", sh="")


def test_an_202_of_what_is_on_the_shelf_changes_nothing(job):
    job("mourn", "w1")
    assert job.look()[0] == "hold"
    assert job("shelve", "j", 1, "t1", "worker_lost", "head", "body", 1000000, "in_doubt", 600000)[0] == "shelved"
    assert job.offload()[0] == "late"
    job.expect("j", "in_doubt", of="", sh="1")


def test_a_deadline_does_not_end_it(job):
    job.begin().due()
    job.redis.hset("{t}:j:j", "ex", 1)
    assert job.look()[0] == "poll"
    job.redis.zadd("{t}:u", {"j": 1})
    assert job.sweep()["ended"] == 0
    job.expect("j", "running")


def test_a_lost_poll_is_noticed_and_goes_on_when_it_turns_up(job):
    job.begin(max_ms=86400000)  # long before its time is over
    job.age("j")
    job.redis.hset("{t}:j:j", "ofp", job.field("ca"))
    assert job.sweep()["suspects"] == 1
    assert job.sweep(is_empty=True)["lost"] == 1
    job.expect("j", "in_doubt", er="message_lost", of="1")
    assert job.look()[0] == "poll"
    job.expect("j", "running", er="", of="1")
    assert job.outcome()[0] == "ended"
    job.counts()


def test_what_is_lost_is_settled_by_its_tenant(job):
    job.begin()
    job.age("j")
    job.redis.hset("{t}:j:j", "ofp", job.field("ca"))
    job.sweep()
    assert job.sweep(is_empty=True)["lost"] == 1
    assert job.outcome(cd="d1")[0] == "ended"
    job.expect("j", "succeeded", of="", er="")
    job.counts()


def test_only_the_same_posted_outcome_is_answered_again(job):
    job.begin()
    assert job.outcome(cd="d1") == ["ended", "0"] == job.outcome(cd="d1")
    assert job.outcome(cd="d2")[0] == "late"
    assert job.outcome(answer="200\n\r\nother", cd="d2")[0] == "late"
    assert job.redis.get("{t}:r:j") == "200\n\r\ndone"


def test_an_outcome_may_be_posted_before_the_202(job):
    assert job.outcome(cd="d1")[0] == "ended"
    assert job.offload()[0] == "late"
    assert job.field("lt1") == "202\t"
    job.expect("j", "succeeded", of="")


def test_what_is_run_again_is_another_attempt(job):
    job.begin(frees=1).over()
    assert job.look()[0] == "hold"
    assert job("shelve", "j", 1, "t1", "offload_over", "head", "body", 1000000, "in_doubt", 600000)[0] == "shelved"
    assert job.resolve("j", "retry")[0] == "queued"
    assert job.claim("j", token="t2")[:2] == ["go", 2]
    assert job.polled("pending") == ["changed", "0"]
    assert job.outcome()[0] == "late", "attempt 1"
