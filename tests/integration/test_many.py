# SPDX-License-Identifier: Apache-2.0
"""One call about many jobs of a tenant (common/store/lua/_call.lua): each has its answer, in order; later ones see what earlier
ones did, though the tenant's hash and the set of the unended are written at the end; an error is one job's own."""
import pytest

from test_walk import scripts, store  # noqa: F401

WAITS = ("cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000)


def many(scripts, script, *jobs):
    words = []
    for args in jobs:
        words += [1 + len(args), scripts.knows, *args]
    return scripts.redis.execute_command("FCALL", script, 1, "{t}:t", *words)


def accept(name, key="", bound=0):
    return (name, key, "fp", "normal", "async", 0, 0, 0, "", 30000, bound)


def claim(name, token="t1"):
    return (name, token, "w1", *WAITS)


def complete(name, verdict="end", wait=0):
    return (name, 1, "t1", verdict, "succeeded", "200", "", "200\n\r\nyes", 3, 1, wait, 600000, 600000, 600000, 60000, "head", "body",
            1000000, 0, 0)


def fields(scripts):
    return scripts.redis.hgetall("{t}:t")


def test_each_has_its_own_answer_in_order(scripts):
    rows = many(scripts, "accept", accept("a"), accept("b"), accept("c"))
    assert [row[:2] for row in rows] == [["new", "a"], ["new", "b"], ["new", "c"]]
    assert scripts.redis.zcard("{t}:u") == 3


def test_the_second_of_a_key_finds_the_first(scripts):
    first, second, other = many(scripts, "accept", accept("a", "k"), accept("b", "k"), accept("c", "l"))
    assert (first[0], second[:2], other[0]) == ("new", ["busy", "a"], "new")
    assert not scripts.redis.exists("{t}:j:b")


def test_a_queues_bound_holds_within_a_call(scripts):
    rows = many(scripts, "accept", *[accept(f"j{n}", bound=3) for n in range(5)])
    assert [row[0] for row in rows] == ["new", "new", "new", "full", "full"]
    assert scripts.redis.zcard("{t}:u") == 3


def test_slots_are_counted_within_a_call(scripts):
    many(scripts, "accept", *[accept(f"j{n}") for n in range(4)])
    rows = many(scripts, "claim", *[claim(f"j{n}") for n in range(4)])
    assert [row[0] for row in rows] == ["go", "go", "wait", "wait"]  # the instance takes two
    assert (fields(scripts)["c"], fields(scripts)["run"]) == ("2", "2")
    assert fields(scripts)["ww"].split() == ["cw"]


def test_what_is_freed_is_there_for_who_comes_later(scripts):
    many(scripts, "accept", *[accept(f"j{n}") for n in range(3)])
    many(scripts, "claim", claim("j0"), claim("j1"))
    assert [row[0] for row in many(scripts, "complete", complete("j0"), complete("j1"))] == ["ended", "ended"]
    assert (fields(scripts)["c"], fields(scripts)["run"]) == ("0", "0")
    assert scripts.redis.zrange("{t}:u", 0, -1) == ["j2"]


def test_one_that_is_named_twice_gets_the_same_answer(scripts):
    scripts.accept("a")
    first, again = many(scripts, "claim", claim("a"), claim("a"))
    assert first[0] == again[0] == "go" and first[1] == int(again[1]) == 1
    assert fields(scripts)["run"] == "1"
    once, twice = many(scripts, "complete", complete("a"), complete("a"))
    assert once[0] == twice[0] == "ended"
    assert fields(scripts)["run"] == "0"


def test_a_key_that_a_job_frees_is_taken_by_the_next(scripts):
    scripts.accept("a", key="k")
    scripts.redis.hset("{t}:j:a", "al", 1)  # its accept lease is over
    taken, = many(scripts, "accept", accept("b", "k"))
    assert taken[0] == "new" and scripts.redis.hget("{t}:j:a", "st") == "canceled"
    assert scripts.redis.zrange("{t}:u", 0, -1) == ["b"]


def test_the_error_of_one_is_no_others(scripts):
    scripts.redis.set("{t}:j:broken", "no hash")
    first, bad, last = many(scripts, "accept", accept("a"), accept("broken"), accept("b"))
    assert first[0] == last[0] == "new"
    assert isinstance(bad, Exception) and "WRONGTYPE" in str(bad)
    assert scripts.redis.zcard("{t}:u") == 2


@pytest.mark.parametrize("script", ["accept", "claim", "complete"])
def test_a_call_about_nobody_does_nothing(scripts, script):
    before = fields(scripts)
    assert many(scripts, script) == []
    assert fields(scripts) == before
