# SPDX-License-Identifier: Apache-2.0
"""Where two parts of the pool meet, on the scripts alone: work that waits for its own key is before nobody; both kinds of work
have their share of what an ailing pool can take; who waits is woken by whatever comes free first; a dead worker's probe is
nobody's; what is noted of an instance goes with it; a clock that was set back spoils no figure."""
import collections

import pytest

from test_load_rules import Load
from test_moods import BREAKER, Moods
from test_pool import Pool
from test_walk import store  # noqa: F401

HOUR = 3600000


@pytest.fixture
def load(store):  # noqa: F811
    return Load(store)


@pytest.fixture
def moods(store):  # noqa: F811
    return Moods(store)


@pytest.fixture
def pool(store):  # noqa: F811
    return Pool(store)


# --- shedding, and work that waits for its own key ---

def wait_in_line(load, head, names):
    load("mark", HOUR, head)
    assert load.claim(head, token=head)[0] == "go"
    for name in names:
        load("mark", HOUR, name)
        assert load.claim(name, token=name)[0] == "order"
        assert load("wait_turn", name, "head", "body", 100000)[0] == "shelved"


def test_a_line_whose_head_is_in_doubt_sheds_nobody_elses_work(load):
    """The line may wait for a person for days. The tenant itself is idle."""
    load.served(1000, times=5)
    names = [load.arrive(mode="async", ok="o")[0] for _ in range(40)]
    wait_in_line(load, names[0], names[1:])
    assert load.complete(names[0], 1, names[0], "hold")[0] == "in_doubt"
    for _ in range(8):
        assert load.verdict(mode="async", own=5000) == "new"
        load("cancel", f"n{load.n}", 600000, 600000)
        load.look(1500)
        load.pass_time(1000)
    assert load.redis.zcard("{t}:x") == 39


def test_who_leaves_the_line_waits_like_all(load):
    names = [load.arrive(mode="async", ok="o")[0] for _ in range(4)]
    wait_in_line(load, names[0], names[1:])
    assert load.redis.zrange("{t}:x", 0, -1) == sorted(names[1:])
    load.end(names[0])
    assert load.redis.zrange("{t}:x", 0, -1) == sorted(names[2:]), "its turn has come"
    assert load("cancel", names[2], 600000, 600000)[0] == "canceled"
    assert load.redis.zrange("{t}:x", 0, -1) == names[3:]


@pytest.mark.parametrize("mode", ["async", "wait"])
def test_a_key_without_room_sheds_nobody_elses_work(load, mode):
    """One customer's hundred jobs wait for that customer's one place; the others have room."""
    load("register", "{}", "a\thttp://a\t20\n", 20, "pol", "per_key=1")
    load.served(1000, times=5)

    def claim(name, key):
        load("mark", HOUR, name)
        return load("claim", name, name, "w1", "cw", 60000, "hold", 5, 15000, 600000, 600000, 600000, 60000, "pk", key)[0]

    names = [load.arrive(mode=mode, deadline=600000)[0] for _ in range(40)]
    assert [claim(name, "k1") for name in names] == ["go"] + ["park"] * 39
    load.look(3000)
    for _ in range(4):
        name, said = load.arrive(mode=mode, deadline=5000, own=5000 if mode == "async" else 0)
        assert said[0] == "new"
        assert claim(name, f"k{name}") == "go"
        load.end(name)
        load.look(1500)
    load.end(names[0])
    assert claim(names[1], "k1") == "go"
    assert load.redis.zscore("{t}:x", names[1]) is None
