# SPDX-License-Identifier: Apache-2.0
"""Ordering keys, rule by rule, on a real Redis (protocol.md, "Order"): who has which place, who waits, who is woken, and what
a loss leaves of it. The running system: test_order.py."""
import pytest

from test_recovery import HOUR
from test_script_rules import Rules
from test_walk import store  # noqa: F401


@pytest.fixture
def scripts(store):  # noqa: F811
    return Lines(store)


class Lines(Rules):
    def take(self, *names, key="o", is_marked=True, **more):
        for name in names:
            self.accept_ordered(name, key, **more)
            if is_marked:
                self("mark", HOUR, name)

    def accept_ordered(self, name, key="o", due=0, ttl=0, waiter=""):
        mode = "wait" if waiter else "async"
        deadline = 60000 if waiter else ttl
        return self("accept", name, "", "fp", "sync" if waiter else "normal", mode, deadline, ttl, due, waiter, 30000, 0, "ok", key)

    def wait_turn(self, name, bound=100000):
        return self("wait_turn", name, "head of " + name, "body", bound)

    def line_up(self, *names, **more):
        """Each takes a place; all but the first wait on the shelf; the first runs, with token t1."""
        self.take(*names, **more)
        assert self.claim(names[0])[:2] == ["go", 1]
        for name in names[1:]:
            assert self.claim(name, token="x") == ["order", names[0]]
            assert self.wait_turn(name) == ["shelved", "queued"]

    def end(self, name, n=1, token="t1", verdict="end", state="succeeded"):
        return self.complete(name, n, token, verdict, state, answer="200\r\n")

    def line(self, key="o"):
        return self.redis.zrange(f"{{t}}:q:{key}", 0, -1)

    def outbox(self):
        return self.redis.zrange("{t}:o", 0, -1)

    def waits(self, name):
        """Out of turn, with its request stored, and not where a person looks."""
        record = self.redis.hgetall(f"{{t}}:j:{name}")
        return record["st"] == "queued" and record.get("oo") == "1" and self.redis.exists(f"{{t}}:b:{name}") == 1 and \
            self.redis.zscore("{t}:h", name) is None and "sh" not in record

    def nothing_is_left(self):
        assert self.redis.keys("{t}:q*") == [] and self.redis.keys("{t}:b:*") == [] and self.outbox() == []
        assert int(self.redis.hget("{t}:t", "sb") or 0) == 0


def test_the_next_waits_until_the_first_has_ended(scripts):
    scripts.line_up("a", "b", "c")
    assert scripts.waits("b") and scripts.waits("c") and scripts.line() == ["a", "b", "c"]
    ended = scripts.end("a")
    assert ended[:3] == ["ended", "0", "b"] and scripts.outbox() == ["b"]
    assert scripts.end("a") == ended, "sent again it gives the same"
    assert int(ended[3]) == int(scripts.redis.zscore("{t}:o", "b"))
    assert scripts.redis.hmget("{t}:b:b", "h", "b", "t") == ["head of b", "body", "1"]
    assert scripts("outbox_done", "b", ended[3]) == [1] and scripts.redis.exists("{t}:b:b") == 0
    assert scripts.end("a") == ["ended", "0"], "it is published: nobody needs to be told"
    assert scripts.claim("c", token="t3")[0] == "ack"  # a superfluous message of what waits on the shelf
    assert scripts.claim("b", token="t2")[:2] == ["go", 1]
    assert scripts.end("b", token="t2")[2] == "c"
    assert scripts.claim("c", token="t3")[:2] == ["go", 1]  # before the outbox's entry was removed
    assert scripts("outbox_done", "c", int(scripts.redis.zscore("{t}:o", "c"))) == [1]
    assert scripts.end("c", token="t3") == ["ended", "0"]
    scripts.nothing_is_left()


def test_other_keys_and_jobs_without_one_wait_for_nobody(scripts):
    scripts.take("a")
    scripts.take("b", key="p")
    scripts.accept("c")
    assert scripts.claim("a")[0] == "go" and scripts.claim("b", token="t2")[0] == "go"
    assert scripts.line("p") == ["b"]
    scripts.end("a"), scripts.end("b", token="t2")
    assert scripts.claim("c", token="t3")[0] == "go"
    scripts.nothing_is_left()


def test_a_place_is_taken_by_mark_not_by_delivery(scripts):
    scripts.take("a", "b")
    assert scripts.claim("b", token="x") == ["order", "a"]
    assert scripts.claim("a")[0] == "go"


def test_a_claim_before_the_mark_takes_the_place(scripts):
    scripts.take("a", "b", is_marked=False)
    assert scripts.claim("b")[0] == "go" and scripts.line() == ["b"]
    assert scripts.claim("a", token="x") == ["order", "b"]
    assert scripts.state("a") == "queued", "its delivery is the broker's confirm: nobody undoes it any more"
    assert scripts("mark", HOUR, "b", "a") == ["running", "queued"] and scripts.line() == ["b", "a"]


def test_a_delayed_job_takes_its_place_when_it_is_due(scripts):
    scripts.take("later", due=300)
    scripts.take("now")
    assert scripts.line() == ["now", "later"]
    assert scripts.claim("now")[0] == "go"
    scripts.redis.hset("{t}:j:later", "due", "1")  # it is due
    scripts.take("last")
    assert scripts.claim("later", token="x") == ["order", "now"]


def test_a_delayed_job_that_was_due_first_is_before_who_came_after(scripts):
    scripts.take("later", due=30)
    end = int(scripts.redis.hget("{t}:j:later", "due"))
    while int(scripts.redis.time()[0]) * 1000 + scripts.redis.time()[1] // 1000 <= end:
        pass
    scripts.take("after")
    assert scripts.claim("after", token="x") == ["order", "later"] and scripts.claim("later")[0] == "go"


def test_who_has_begun_is_first_whatever_time_says(scripts):
    """A step of the clock, or a rebuilt job that is older, comes before no job that has begun."""
    scripts.take("a")
    assert scripts.claim("a")[0] == "go"
    scripts.take("old")
    scripts.redis.zadd("{t}:q:o", {"old": 5})
    assert scripts.claim("old", token="x") == ["order", "a"]
    assert scripts.complete("a", 1, "t1", "retry", wait=0)[0] == "waiting"
    assert scripts.claim("old", token="x") == ["order", "a"] and scripts.claim("a", token="t2")[:2] == ["go", 2]


def test_a_retry_keeps_its_place(scripts):
    scripts.line_up("a", "b")
    assert scripts.complete("a", 1, "t1", "retry", wait=60000)[0] == "waiting"
    assert scripts.line() == ["a", "b"] and scripts.outbox() == []


def test_what_is_in_doubt_holds_its_key_until_a_person_has_decided(scripts):
    scripts.line_up("a", "b")
    assert scripts.complete("a", 1, "t1", "hold")[0] == "in_doubt"
    assert scripts.line() == ["a", "b"] and scripts.outbox() == [] and scripts.waits("b")
    assert scripts.resolve("a", "retry")[0] == "queued" and scripts.line() == ["a", "b"] and scripts.outbox() == ["a"]
    assert scripts.claim("a", token="t2")[:2] == ["go", 2]
    assert scripts.complete("a", 2, "t2", "hold")[0] == "in_doubt"
    assert scripts.resolve("a", "failed") == ["settled", "failed"]
    assert scripts.outbox()[-1:] == ["b"] and scripts.line() == ["b"]


def test_a_dead_one_gives_up_its_place_and_a_redrive_goes_to_the_end(scripts):
    scripts.line_up("a", "b", "c")
    assert scripts.end("a", verdict="dead", state="failed")[:3] == ["ended", "0", "b"]
    assert scripts.line() == ["b", "c"]
    assert scripts.resolve("a", "retry")[0] == "queued"
    assert scripts.line() == ["b", "c", "a"], "it takes a new place at once"
    assert scripts.claim("a", token="x") == ["order", "b"]
    assert scripts.wait_turn("a") == ["shelved", "queued"] and scripts.waits("a")
    for name, after in (("b", "c"), ("c", "a")):
        assert scripts.claim(name, token=name)[0] == "go"
        assert scripts.end(name, token=name)[2] == after
    assert scripts.claim("a", token="z")[:2] == ["go", 2]


def test_what_has_used_up_its_attempts_in_a_dead_worker_gives_up_its_place(scripts):
    scripts.line_up("a", "b")
    scripts.redis.zadd("{t}:d", {"w1": 1})
    row = scripts("shelve", "a", 1, "t1", "attempts_used_up", "head", "body", 100000, "failed", 600000)
    assert row[:3] == ["shelved", "", "b"] and scripts.outbox() == ["b"]


@pytest.mark.parametrize("way", ["cancel", "expire", "sweep", "claim"])
def test_what_ends_in_the_middle_leaves_the_line(scripts, way):
    waiter = {"waiter": "ch|0"} if way == "expire" else {"ttl": 60000} if way in ("sweep", "claim") else {}
    scripts.take("a")
    scripts.take("b", **waiter)
    scripts.take("c")
    assert scripts.claim("a")[0] == "go"
    for name in "bc":
        assert scripts.claim(name, token="x")[0] == "order" and scripts.wait_turn(name)[0] == "shelved"
    if way in ("sweep", "claim"):
        scripts.age("b")
    if way == "cancel":
        assert scripts("cancel", "b", 600000, 600000)[0] == "canceled"
    elif way == "expire":
        assert scripts("expire", "b", "ch|0", "hangup", 600000) == ["expired", 0]
    elif way == "sweep":
        assert scripts.sweep()["ended"] == 1
    else:
        assert scripts.claim("b", token="x")[:2] == ["ack", "expired"]
    assert scripts.line() == ["a", "c"] and scripts.redis.exists("{t}:b:b") == 0 and scripts.outbox() == []
    assert scripts.end("a")[2] == "c"
    assert scripts.claim("c", token="t3")[0] == "go"


@pytest.mark.parametrize("way", ["cancel", "expire", "sweep", "claim", "undo"])
def test_a_first_that_ends_without_having_begun_wakes_the_next(scripts, way):
    waiter = {"waiter": "ch|0"} if way == "expire" else {"ttl": 60000} if way in ("sweep", "claim") else {}
    scripts.take("a", **waiter)
    scripts.take("b")
    assert scripts.claim("b", token="x") == ["order", "a"] and scripts.wait_turn("b")[0] == "shelved"
    if way in ("sweep", "claim"):
        scripts.age("a")
    if way == "cancel":
        assert scripts("cancel", "a", 600000, 600000)[0] == "canceled"
    elif way == "expire":
        assert scripts("expire", "a", "ch|0", "hangup", 600000) == ["expired", 0]
    elif way == "sweep":
        assert scripts.sweep()["ended"] == 1
    elif way == "undo":
        scripts.redis.hset("{t}:j:a", "st", "accepted")  # its claim parked it, and its mark never came
        assert scripts("undo", "a", 600000) == ["undone"]
    else:
        assert scripts.claim("a")[:3] == ["ack", "expired", "b"]
    assert scripts.outbox() == ["b"] and scripts.line() == ["b"]


def test_whose_turn_comes_while_its_copy_is_published_looks_again(scripts):
    scripts.take("a", "b")
    assert scripts.claim("a")[0] == "go"
    assert scripts.claim("b", token="x") == ["order", "a"]
    assert scripts.end("a") == ["ended", "0"]  # b is not on the shelf yet: nobody to wake
    assert scripts.wait_turn("b") == ["changed", "queued"]
    assert scripts.claim("b", token="x")[0] == "go"


def test_wait_turn_sent_again_gives_the_same(scripts):
    scripts.line_up("a", "b")
    held = scripts.redis.hget("{t}:t", "sb")
    assert scripts.wait_turn("b") == ["shelved", "queued"] and scripts.redis.hget("{t}:t", "sb") == held
    scripts.end("a")
    assert scripts.wait_turn("b") == ["changed", "queued"]
    assert scripts.outbox() == ["b"]


def test_the_shelf_is_bounded_for_what_is_out_of_turn_too(scripts):
    scripts.take("a", "b")
    assert scripts.claim("a")[0] == "go" and scripts.claim("b", token="x")[0] == "order"
    assert scripts.wait_turn("b", bound=5)[0] == "full"
    assert not scripts.waits("b") and scripts.line() == ["a", "b"]
    scripts.end("a")
    assert scripts.claim("b", token="x")[0] == "go"
    scripts.end("b", token="x")
    scripts.nothing_is_left()


def test_what_waits_for_its_turn_is_no_dead_letter(scripts):
    scripts.line_up("a", "b")
    assert scripts("dead", "count", 100, 300, "", "", "", "", "", "", "", "", "")[3:6] == [0, 0, 0]
    assert scripts("dead_show", "b") == ["not_on_shelf", "queued"]
    assert scripts.resolve("b", "retry") == ["not_on_shelf", "queued"]
    assert scripts("drop", "b", 1, 1, 1) == ["not_on_shelf", "queued"]


def test_what_waits_for_its_turn_is_not_lost(scripts):
    scripts.line_up("a", "b")
    scripts.age("b")
    assert scripts.sweep()["suspects"] == 0
    assert scripts.sweep(is_empty=True)["lost"] == 0 and scripts.waits("b")


def test_a_lost_first_holds_its_key(scripts):
    scripts.take("a", "b")
    assert scripts.claim("b", token="x")[0] == "order" and scripts.wait_turn("b")[0] == "shelved"
    scripts.lose("a")
    scripts.sweep()
    assert scripts.line() == ["a", "b"] and scripts.waits("b")
    assert scripts.resolve("a", "failed") == ["settled", "failed"] and scripts.outbox() == ["b"]


@pytest.mark.parametrize("how", ["gone", "ended", "forgotten"])
def test_the_sweep_wakes_a_line_that_nobody_woke(scripts, how):
    scripts.line_up("a", "b")
    if how == "gone":
        scripts.redis.delete("{t}:j:a")
    elif how == "ended":
        scripts.redis.hset("{t}:j:a", "st", "failed")
    else:
        scripts.redis.zrem("{t}:q:o", "a")
    scripts.redis.zadd("{t}:qk", {"o": 1})  # not looked at for long
    scripts.sweep()
    assert scripts.outbox() == ["b"] and scripts.line() == ["b"]


def test_an_end_looks_at_who_really_stands_next(scripts):
    scripts.line_up("a", "b", "c")
    scripts.redis.delete("{t}:j:b")
    assert scripts.end("a")[2] == "c" and scripts.line() == ["c"]


def test_a_late_answer_ends_what_was_run_again_and_waits(scripts):
    scripts.line_up("a", "b")
    assert scripts.complete("a", 1, "t1", "hold")[0] == "in_doubt"
    scripts.redis.hset("{t}:j:a", "st", "failed")  # as dead: it gives up its place
    scripts.redis.zrem("{t}:q:o", "a")
    assert scripts.claim("b", token="x")[0] == "go" or True
    assert scripts.resolve("a", "retry")[0] == "queued"
    scripts.redis.hset("{t}:j:a", "dn", "")
    assert scripts.claim("a", token="y")[0] == "order" and scripts.wait_turn("a")[0] == "shelved"
    assert scripts.end("a")[0] == "ended"
    assert "a" not in scripts.line() and scripts.redis.exists("{t}:b:a") == 0 and "a" not in scripts.outbox()


# --- loss of memory ---

def rebuilt(scripts, name, attempted=False, created=1, policy="hold"):
    return scripts("rebuild", name, "1" if attempted else "0", policy, 15000, HOUR, 600000, 0, 0, 0, "", "fp", "normal", created, "",
                   "ok", "o")


def test_what_is_rebuilt_stands_by_the_time_it_was_accepted(scripts):
    for name, created in (("c", 30), ("a", 10), ("b", 20)):
        assert rebuilt(scripts, name, created=created) == ["queued"]
    assert scripts.line() == ["a", "b", "c"]
    assert scripts.claim("b", token="x") == ["order", "a"]


def test_what_may_have_begun_before_the_loss_comes_first(scripts):
    rebuilt(scripts, "a", created=10)
    rebuilt(scripts, "b", created=20, attempted=True, policy="retry")
    assert scripts.line() == ["b", "a"]


def test_what_runs_and_is_registered_again_is_first(scripts):
    rebuilt(scripts, "a", created=10)
    assert scripts("reregister", "b", 1, "t1", "w1", "a", 1, 99999999999999, 1, "", "fp", "normal", 20, "", HOUR, 0, "ok", "o") \
        == ["restored"]
    assert scripts.line() == ["b", "a"] and scripts.claim("a", token="x") == ["order", "b"]
    assert scripts.end("b")[:2] == ["ended", "0"]
    assert scripts.claim("a", token="x")[0] == "go"


def test_what_is_shelved_without_a_record_holds_its_key(scripts):
    rebuilt(scripts, "a", created=10)
    assert scripts("shelve", "b", -1, "", "memory_lost", "head", "body", 100000, "in_doubt", 0, "cl", "normal", "ok", "o")[0] == "shelved"
    assert scripts.claim("a", token="x") == ["order", "b"]
