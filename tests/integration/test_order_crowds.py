# SPDX-License-Identifier: Apache-2.0
"""Crowds under one ordering key, on a real Redis: a line that stands keeps nobody else out, counts for no more than it can run,
and goes on when the shelf is full. Time is made to pass as in test_load_rules.py."""
import pytest

from test_load_rules import Load
from test_order_rules import Lines
from test_recovery import HOUR
from test_walk import store  # noqa: F401


@pytest.fixture
def scripts(store):  # noqa: F811
    return Crowds(store)


class Crowds(Lines):
    pass_time = Load.pass_time

    def stands(self, *names, **more):
        """The first of the line is in doubt: the others wait for a person, out of turn."""
        self.line_up(*names, **more)
        assert self.complete(names[0], 1, "t1", "hold")[0] == "in_doubt"

    def comes(self, name, key="", waits=True, ms=3000):
        """A call, or a job with a deadline, comes now; whether it is taken."""
        return self("accept", name, "", "fp", "sync" if waits else "normal", "wait" if waits else "async", ms if waits else 0,
                    0 if waits else ms, 0, f"c|{name}" if waits else "", 30000, 0, *(("ok", key) if key else ()))[0]

    def swept(self):
        return self("sweep", HOUR, "0", 86400000, 86400000, 86400000, 60000)

    def out_of_turn(self):
        return self.redis.zcount("{t}:x", "+inf", "+inf")


@pytest.mark.parametrize("waits", [True, False])
def test_a_line_that_stands_keeps_no_other_out(scripts, waits):
    """Its jobs are no queue that others stand in: a claim of those would be granted at once."""
    scripts.stands(*"abcdefgh", **({"waiter": "c|9"} if waits else {"ttl": 600000}))
    assert scripts.comes("x", waits=waits) == "new"
    scripts.pass_time(1400)
    scripts.comes("y", waits=waits)
    scripts.pass_time(1000)
    assert scripts.comes("z", waits=waits) == "new"


def test_whose_turn_has_come_is_before_others_again(scripts):
    scripts.line_up(*"abc", waiter="c|9")
    assert scripts.redis.zcard("{t}:y") == 0 and scripts.out_of_turn() == 2
    scripts.end("a")
    assert scripts.redis.zrange("{t}:y", 0, -1) == ["b"] and scripts.out_of_turn() == 1
    assert scripts.claim("b", token="t2")[0] == "go" and scripts.redis.zcard("{t}:y") == 0
    scripts("expire", "c", "c|9", "hangup", 600000)
    assert scripts.state("c") == "expired" and scripts.out_of_turn() == 0 and scripts.redis.zcard("{t}:y") == 0


def test_who_is_claimed_from_the_shelf_waits_no_more(scripts):
    """Its head is gone, nobody woke it yet, and a second message of it comes."""
    scripts.line_up(*"abc")
    assert scripts.out_of_turn() == 2
    scripts.redis.zrem("{t}:q:o", "a")
    assert scripts.claim("b", token="t2")[0] == "go" and scripts.redis.hget("{t}:j:b", "oo") is None
    assert scripts.out_of_turn() == 1


def test_all_that_leave_a_line_are_counted_out(scripts):
    """By a cancel, a second message in its turn, a person's word, its deadline."""
    scripts.line_up(*"abcde")
    assert scripts.out_of_turn() == 4 and scripts.swept()[13] == 4
    assert scripts("cancel", "c", 600000, 600000)[0] == "canceled" and scripts.out_of_turn() == 3
    scripts("shelve", "d", -1, "", "undecodable", "head", "body", 100000, "in_doubt", 0)
    assert scripts.state("d") == "in_doubt" and scripts.out_of_turn() == 2
    assert scripts.resolve("d", "failed")[0] == "settled" and scripts.out_of_turn() == 2
    scripts.redis.hset("{t}:j:e", "ex", 1)
    assert scripts.claim("e", token="t5")[:2] == ["ack", "expired"] and scripts.out_of_turn() == 1
    scripts.end("a")
    assert scripts.out_of_turn() == 0 and scripts.swept()[13] == 0


def test_who_comes_too_late_in_its_line_is_told_so(scripts):
    """One at a time, a second each: nine of them are nine seconds."""
    now = scripts.redis.time()[0] * 1000
    scripts.line_up(*"abcdefghi", waiter="c|9")
    scripts.redis.hset("{t}:t", "ld", f"{now} 1000 20 {now} 10 20 10 20")
    assert scripts.comes("x", key="o", ms=5000) == "shed"
    assert scripts.redis.exists("{t}:j:x") == 0
    assert scripts.comes("y", key="o", ms=15000) == "new" and scripts.comes("z", key="p", ms=5000) == "new"
    assert scripts.comes("v", key="o", waits=False, ms=5000) == "shed"


def test_a_full_shelf_sends_no_copy_to_its_queue(scripts):
    """Whoever finds no room goes round on the ladder, the sooner the nearer its turn is."""
    scripts.line_up("a", "b")
    held = int(scripts.redis.hget("{t}:t", "sb"))
    scripts.take(*(f"c{n:03}" for n in range(400)))

    def claim(name, room):
        return scripts("claim", name, "x", "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "room", room,
                       "size", 100)

    assert claim("c000", 0)[0] == "order" and claim("c000", held + 100)[0] == "order"
    assert claim("c000", held + 99) == ["park", "shelf_full", 500]
    assert claim("c003", held) == ["park", "shelf_full", 1250] and claim("c399", held) == ["park", "shelf_full", 60000]
    assert scripts.wait_turn("c001", bound=held) == ["full", "", 750]
    assert int(scripts.redis.hget("{t}:t", "sb")) == held and scripts.out_of_turn() == 1


def test_what_is_due_later_is_not_before_who_comes_now(scripts):
    now = scripts.redis.time()[0] * 1000
    scripts.take(*"abcdefghi", due=600000)
    scripts.redis.hset("{t}:t", "ld", f"{now} 1000 20 {now} 10 20 10 20")
    assert scripts.comes("x", key="o", ms=5000) == "new" and scripts.comes("y", key="o", waits=False, ms=5000) == "new"
